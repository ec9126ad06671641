"""GraphQL operations, however they arrive: who asks, the document, its run, and the answer in words.

An operation is priced and paid for before it runs, has so many seconds, and tells what it cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any

from graphql import DocumentNode, ExecutionResult, GraphQLError, OperationType, execute

from regulars_server.access import Principal
from regulars_server.graph.charging import Charging
from regulars_server.graph.documents import Document, Documents, Invalid, Operation
from regulars_server.graph.problems import formatted
from regulars_server.graph.replaying import ReplayingExecutor
from regulars_server.graph.request import Context
from regulars_server.graph.schema import build_schema
from regulars_server.graph.trust import Trust
from regulars_server.one_by_one import OneByOne
from regulars_server.service import Service
from regulars_server.telemetry.declared import GRAPHQL, GRAPHQL_COST
from regulars_sync.errors import Refused

INCIDENT_BYTES = 4
LONG_CHARS = 2_000
"""Reading a longer document, or telling the whole schema, is done on a thread: nobody waits for it."""


@dataclass(frozen=True, slots=True)
class Asked:
    query: str
    operation: str | None
    variables: dict[str, Any]
    extensions: dict[str, Any] = field(default_factory=dict)
    document_id: str | None = None
    """A trusted document, in the place of `query`."""


class WrongMethod(Exception):
    """Such an operation is not run this way: a mutation never over GET."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer as it is sent."""

    body: dict[str, Any]
    ran: bool
    """Whether anything was executed."""
    broke: bool
    """Whether a fault of ours is among the errors."""


class Operations:
    """What the endpoint, sockets and event streams of one service share."""

    def __init__(self, service: Service) -> None:
        settings = service.settings
        self.service = service
        self.schema = build_schema()._schema
        self.documents = Documents(
            self.schema, settings.query_bytes_max, settings.query_tokens_max, settings.query_depth_max
        )
        self.trust = Trust(service)
        self.charging = Charging(service)
        self._one_by_one = OneByOne()
        self._thread = asyncio.Semaphore(1)

    async def principal(self, bearer: str | None) -> Principal:
        """Who asks. `Refused`: token_missing, token_invalid, device_revoked."""
        principal = await self.service.access.principal(bearer)
        if principal.revoked:
            raise Refused("device_revoked")
        return principal

    @staticmethod
    def head_office(sensitive: bool) -> Principal:
        """Whoever holds the chain's own files, on the command line."""
        return Principal("", "developer", "admin", None, sensitive, None, None, False, "command line")

    async def context(self, principal: Principal, lang: str) -> Context:
        """For one operation, with the rights of this moment; to be closed when it is answered."""
        principal = await self.service.narrowed(principal)
        author = await self.service.author(principal)
        context = Context(self.service, principal, author, lang, self._one_by_one)
        context.operations = self
        return context

    async def document(self, asked: Asked, principal: Principal) -> Document:
        """The document that is asked for, if this caller may send it.

        `Invalid`; `Refused` query_too_large, document_unknown, document_required, introspection_off.
        """
        text = await self.trust.text(asked.query, asked.document_id, principal)
        is_told = self.trust.may_introspect(principal)
        document = self.documents.known(text)
        if document is None and len(text) < LONG_CHARS:
            document = self.documents.read(text, is_told)
        if document is None:
            async with self._thread:
                document = await asyncio.to_thread(self.documents.read, text, is_told)
        if document.asks_schema and not is_told:
            raise Refused("introspection_off")
        return document

    async def valid(self, text: str, principal: Principal) -> Document:
        """`document` of a text."""
        return await self.document(Asked(text, None, {}), principal)

    async def run(
        self,
        asked: Asked,
        context: Context,
        kinds: Collection[OperationType] = (OperationType.QUERY, OperationType.MUTATION),
    ) -> ExecutionResult:
        """The result of an operation of these kinds; what can't be run is told by its errors.

        `Refused` as for `document`, and throttled, too_slow; `WrongMethod`.
        """
        try:
            document = await self.document(asked, context.principal)
        except Invalid as invalid:
            return ExecutionResult(None, invalid.errors)
        operation = document.operation(asked.operation)
        if operation.kind not in kinds:
            raise WrongMethod
        if operation.kind is OperationType.QUERY and context.principal.only_reads:
            context.from_ms = self.service.now_ms() - self.service.settings.reports_lag_s_max * 1_000
        charged = await self.charging.charge(operation, asked.variables, context)
        result = await self.execute(document, operation, asked, context)
        cost = await self.charging.settle(charged, operation, context)
        self.service.telemetry.note(GRAPHQL_COST, cost.actual, operation.kind.value)
        result.extensions = {**(result.extensions or {}), "cost": cost.told()}
        return result

    async def answer(self, query: str, variables: dict[str, Any], context: Context) -> dict[str, Any]:
        """The data of a query of the server's own: priced, paid for and timed as one that the caller sent.

        Whatever went wrong anywhere in it is raised; `Refused` as for `run`.
        """
        document = self.documents.known(query) or self.documents.read(query, True)
        operation = document.operation(None)
        charged = await self.charging.charge(operation, variables, context)
        result = await self.execute(document, operation, Asked(query, None, variables), context)
        await self.charging.settle(charged, operation, context)
        for error in result.errors or ():
            cause: BaseException = error
            while isinstance(cause, GraphQLError) and cause.original_error is not None:
                cause = cause.original_error
            raise cause
        assert result.data is not None
        return result.data

    async def execute(
        self, document: Document, operation: Operation, asked: Asked, context: Context, event: object = None
    ) -> ExecutionResult:
        """The result of an operation that is paid for, or of one event of a subscription.

        `Refused("too_slow")`.
        """
        seconds_max = self.service.settings.query_seconds_max
        telemetry, kind = self.service.telemetry, operation.kind.value
        with telemetry.timed(GRAPHQL, f"graphql {kind}", kind) as span:
            if telemetry.tracer is not None:
                for name, value in document.named(asked.operation).items():
                    span.set_attribute(name, value)
            try:
                async with asyncio.timeout(seconds_max):
                    return await self._execute(document, operation, asked, context, event)
            except TimeoutError:
                raise Refused("too_slow", seconds_max=seconds_max) from None

    async def _execute(
        self, document: Document, operation: Operation, asked: Asked, context: Context, event: object
    ) -> ExecutionResult:
        def begin(executor: type[ReplayingExecutor] | None) -> Any:
            return execute(
                self.schema,
                document.node,
                root_value=event,
                context_value=context,
                variable_values=asked.variables,
                operation_name=asked.operation,
                executor_class=executor,
                hide_suggestions=not self.trust.may_introspect(context.principal),
            )

        if operation.is_introspection:  # the schema has no rows to replay, and takes half the time plainly
            async with self._thread:
                result = await asyncio.to_thread(begin, None)
        else:
            result = begin(ReplayingExecutor)
        if isawaitable(result):
            result = await result
        assert isinstance(result, ExecutionResult)
        return result

    async def read_page(
        self, node: DocumentNode, variables: Mapping[str, Any], context: Context
    ) -> ExecutionResult:
        """The result of a query that was made here from one that is valid."""
        result = execute(
            self.schema,
            node,
            context_value=context,
            variable_values=dict(variables),
            executor_class=ReplayingExecutor,
        )
        return await result if isawaitable(result) else result

    def said(self, result: ExecutionResult, lang: str) -> Said:
        body: dict[str, Any] = {}
        broke = False
        if result.errors:
            body["errors"], broke = formatted(result.errors, lang, self._incident)
        ran = result.data is not None or any(error.path for error in result.errors or ())
        if ran:
            body["data"] = result.data
        if result.extensions:
            body["extensions"] = result.extensions
        return Said(body, ran, broke)

    def _incident(self) -> str:
        return self.service.entropy(INCIDENT_BYTES).hex()
