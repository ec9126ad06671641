"""GraphQL operations, however they arrive: who asks, the document, its run, and the answer in words."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from graphql import ExecutionResult, execute

from regulars_server.access import Principal
from regulars_server.graph.documents import Documents, Invalid
from regulars_server.graph.executor import CompiledExecutor
from regulars_server.graph.problems import formatted
from regulars_server.graph.request import Context, Invites
from regulars_server.graph.schema import build_schema
from regulars_server.service import Service
from regulars_sync.errors import Refused

INCIDENT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Asked:
    query: str
    operation: str | None
    variables: dict[str, Any]


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
        self._invites: Invites = {}

    async def principal(self, bearer: str | None) -> Principal:
        """Who asks. `Refused`: token_missing, token_invalid, device_revoked."""
        principal = await self.service.access.principal(bearer)
        if principal.revoked:
            raise Refused("device_revoked")
        return principal

    async def context(self, principal: Principal, lang: str) -> Context:
        """For one operation, with the rights of this moment; to be closed when it is answered."""
        author = await self.service.author(principal)
        return Context(self.service, principal, author, lang, self._invites)

    async def run(self, asked: Asked, context: Context) -> ExecutionResult:
        """The result of a query or mutation; what can't be run is told by its errors. `Refused`."""
        try:
            document = self.documents.read(asked.query)
        except Invalid as invalid:
            return ExecutionResult(None, invalid.errors)
        result = execute(
            self.schema,
            document,
            context_value=context,
            variable_values=asked.variables,
            operation_name=asked.operation,
            executor_class=CompiledExecutor,
        )
        if isawaitable(result):
            return await result
        return result

    def said(self, result: ExecutionResult, lang: str) -> Said:
        body: dict[str, Any] = {}
        broke = False
        if result.errors:
            body["errors"], broke = formatted(result.errors, lang, self._incident)
        ran = result.data is not None or any(error.path for error in result.errors or ())
        if ran:
            body["data"] = result.data
        return Said(body, ran, broke)

    def _incident(self) -> str:
        return self.service.entropy(INCIDENT_BYTES).hex()
