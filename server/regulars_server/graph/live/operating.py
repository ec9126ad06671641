"""An operation on a line, from its document to its last answer: a subscription has many."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from inspect import isawaitable
from typing import Any

from graphql import ExecutionResult, GraphQLError, OperationType
from graphql.execution import create_source_event_stream

from regulars_server.graph.documents import Document, Invalid, Operation
from regulars_server.graph.executor import CompiledExecutor
from regulars_server.graph.live.turns import Turns
from regulars_server.graph.operations import Asked, Operations, Said
from regulars_server.lines import Line


async def operate(operations: Operations, asked: Asked, line: Line, lang: str) -> AsyncGenerator[Said, None]:
    """Every answer to an operation until it is over; the line's turn is held while one is with the caller.

    One that did not run is the last; what is raised becomes such an answer.
    """
    try:
        document = await operations.document(asked, await operations.principal(line.bearer))
        operation = document.operation(asked.operation)
        if operation.kind is not OperationType.SUBSCRIPTION:
            async with line.turn:
                yield await _once(operations, asked, line, lang)
            return
        async with aclosing(_events(operations, asked, document, operation, line, lang)) as events:
            async for said in events:
                yield said
    except Invalid as invalid:
        yield operations.said(ExecutionResult(None, invalid.errors), lang)
    except Exception as error:
        yield operations.said(ExecutionResult(None, [GraphQLError(str(error), original_error=error)]), lang)


async def _once(operations: Operations, asked: Asked, line: Line, lang: str) -> Said:
    principal = await operations.principal(line.bearer)
    context = await operations.context(principal, lang)
    try:
        return operations.said(await operations.run(asked, context), lang)
    finally:
        await context.close()


async def _events(
    operations: Operations, asked: Asked, document: Document, operation: Operation, line: Line, lang: str
) -> AsyncGenerator[Said, None]:
    turns = Turns(operations, asked, operation, line, lang)
    context = await operations.context(await operations.principal(line.bearer), lang)
    context.turns = turns
    executor = CompiledExecutor.build(
        operations.schema,
        document.node,
        context_value=context,
        raw_variable_values=asked.variables,
        operation_name=asked.operation,
        hide_suggestions=not operations.trust.may_introspect(context.principal),
    )
    if isinstance(executor, list):
        yield operations.said(ExecutionResult(None, executor), lang)
        return
    source: Any = create_source_event_stream(executor)
    if isawaitable(source):
        source = await source
    if isinstance(source, ExecutionResult):  # refused before it began, at the path of its root
        said = operations.said(source, lang)
        yield Said({"errors": said.body["errors"]}, ran=False, broke=said.broke)
        return
    try:
        async with aclosing(source):
            async for event in source:
                assert turns.context is not None
                result = await operations.execute(document, operation, asked, turns.context, event)
                await turns.told()
                yield operations.said(result, lang)
    finally:
        await turns.end()
