"""Versions of rows as their readers saw them: whether a row is still what somebody decided about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from regulars_schema.declare import Level
from regulars_server.storage.interface import Reader
from regulars_sync.errors import Refused
from regulars_sync.reconcile import Key


class Expected(NamedTuple):
    """The version of a row as somebody saw it, who may read its sensitive fields or not."""

    seq: int
    sensitive: bool


async def stale_rows(reader: Reader, versions: Mapping[Key, Expected]) -> frozenset[Key]:
    """Those rows that are not at these versions. A statement for each entity."""
    stale: set[Key] = set()
    for entity in {entity for entity, _ in versions}:
        wanted = {id: expected for (name, id), expected in versions.items() if name == entity}
        found = await reader.find(entity, wanted)
        for id, (seq, sensitive) in wanted.items():
            row = found.get(id)
            if row is None or row.seq(sensitive) != seq or Level.INTERNAL not in row.documents:
                stale.add((entity, id))
    return frozenset(stale)


async def require_version(reader: Reader, entity: str, id: str, expected: Expected | None) -> None:
    """`Refused("version_conflict")` where the row is not at the version that is expected, if one is."""
    if expected is not None and await stale_rows(reader, {(entity, id): expected}):
        raise Refused("version_conflict")
