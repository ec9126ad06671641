"""Which documents a caller may send: any that fits, or trusted ones alone; and who is told the schema.

A request names a trusted document by `documentId` (GraphQL over HTTP, persisted documents) or as Apollo's
clients do, by `extensions.persistedQuery.sha256Hash`. Nothing is ever registered by a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regulars_server.access import Principal
from regulars_server.access.rights import callers_of, named_callers
from regulars_server.service import Service
from regulars_sync.errors import Refused


def document_id(given: Mapping[str, Any]) -> str | None:
    """The id of the document that a request names. `Refused("body_invalid")`."""
    id, extensions = given.get("documentId"), given.get("extensions")
    persisted = extensions.get("persistedQuery") if isinstance(extensions, dict) else None
    if id is None and isinstance(persisted, dict):
        id = persisted.get("sha256Hash")
    if id is None:
        return None
    if not isinstance(id, str):
        raise Refused("body_invalid", reason="`documentId` should be a text")
    if given.get("query"):
        raise Refused("body_invalid", reason="send `documentId` or `query`, not both")
    return id


class Trust:
    """The rules of one service. `LocalError("setting_invalid")` for settings that name nobody."""

    def __init__(self, service: Service) -> None:
        settings = service.settings
        self._documents = service.access.documents
        self._told = named_callers("REGULARS_INTROSPECTION", settings.introspection)
        self._trusted_only = named_callers("REGULARS_TRUSTED_ONLY", settings.trusted_only)

    def may_introspect(self, principal: Principal) -> bool:
        """Whether the schema is told, by introspection or by suggestions in errors."""
        return not self._told.isdisjoint(callers_of(principal.kind, principal.standing))

    async def text(self, query: str, id: str | None, principal: Principal) -> str:
        """The document of a request. `Refused`: document_unknown, document_required."""
        if id is not None:
            return await self._documents.text(id)
        callers = callers_of(principal.kind, principal.standing)
        if principal.trusted_only or not self._trusted_only.isdisjoint(callers):
            raise Refused("document_required")
        return query
