"""A mutation that was answered before is answered with the same bytes: it does not run again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from typing import Any

import orjson
from graphql import GraphQLError, GraphQLObjectType, print_ast
from graphql.execution.collect_fields import FieldDetailsList
from graphql.execution.values import get_argument_values
from graphql.pyutils import Path

from regulars_server.answers import Answer, answer_id, digest
from regulars_server.graph.asking import Asking
from regulars_server.graph.executor import CompiledExecutor
from regulars_server.graph.request import Context
from regulars_sync.errors import RegularsError

KEY = "idempotencyKey"

log = logging.getLogger("regulars")


class ReplayingExecutor(CompiledExecutor):
    """Use it as `executor_class`, with a `Context` as the context."""

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: FieldDetailsList,
        path: Path,
        position_context: Any,
    ) -> Any:
        run = partial(super().execute_field, parent_type, source, field_details_list, path, position_context)
        if parent_type is not self.schema.mutation_type:
            return run()
        details = field_details_list[0]
        field = parent_type.fields.get(details.node.name.value)
        if field is None or KEY not in field.args:
            return run()
        try:
            given = get_argument_values(
                field, details.node, self.variable_values, details.fragment_variable_values
            )
        except GraphQLError:
            return run()  # which says so in its place
        key = given.pop(KEY)
        asking = Asking(digest(details.node.name.value, _plain(given)), self._view(path))
        return self._once(run, answer_id(self.context_value.principal.token, key), asking)

    def _view(self, path: Path) -> str:
        """A hash of what an answer follows from beside the state of the chain."""
        context: Context = self.context_value
        principal, author = context.principal, context.author
        rights = (sorted(principal.rights), principal.sensitive, author.scopes and sorted(author.scopes))
        text = [print_ast(self.operation), *(print_ast(f.definition) for f in self.fragments.values())]
        return digest(
            str(path.key), context.lang, _plain(rights), _plain(self.variable_values.coerced), *text
        )

    async def _once(self, run: Callable[[], Any], id: str, asking: Asking) -> Any:
        context: Context = self.context_value
        answers = context.service.answers
        mark = f"secret {id}"
        """Stands where a secret was told."""
        async with context.one_by_one.of(id):
            asking.known = known = await answers.find(id)
            if known is not None and _fits(known, asking) and mark not in (known.body or ""):
                return orjson.Fragment(known.body or "")
            asking.erased = await context.erased()
            context.asking = asking
            errors = len(self.collected_errors.errors)
            result = run()
            if self.is_awaitable(result):
                result = await result
            if not asking.is_done or len(self.collected_errors.errors) > errors:
                return result
            try:
                body = orjson.dumps(result).decode()
                if asking.secret:
                    body = body.replace(asking.secret, mark)
                answer = Answer(asking.content, asking.view, body)
                stands = await answers.keep(id, answer, asking.erased, context.erased)
            except (RegularsError, TypeError) as error:  # it is done all the same
                log.warning("an answer was not kept", extra={"error": repr(error)})
                return result
            if not _fits(stands, asking) or (mark in (stands.body or "") and not asking.secret):
                return result
            return orjson.Fragment((stands.body or "").replace(mark, asking.secret or ""))


def _fits(known: Answer, asking: Asking) -> bool:
    return known.body is not None and (known.content, known.view) == (asking.content, asking.view)


def _plain(value: Any) -> str:
    """Coerced arguments as one text; the same for the same values."""
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{name!r}:{_plain(value[name])}' for name in sorted(value))}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_plain, value))}]"
    return repr(value.value if isinstance(value, Enum) else value)
