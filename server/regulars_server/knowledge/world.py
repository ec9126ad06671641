"""A chain's schemes, segments and cut points: what rules are answered by, read from its rows and kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Generic, TypeVar

import orjson

from regulars_schema.declare import JSON, Level
from regulars_schema.schemes import Shipped, load
from regulars_schema.schemes.world import Knowledge, SchemeRow, SegmentRow, know
from regulars_server.authors import UnitTree
from regulars_server.storage.interface import Order, Reader
from regulars_sync.scope import CHAIN

ROWS_MAX = 100_000
T = TypeVar("T")


@cache
def shipped() -> Shipped:
    """What comes with the product; read once."""
    return load()


class Worlds:
    """The latest `Knowledge` and units of one chain, read again when a row in its scope has changed since."""

    def __init__(self) -> None:
        self._knowledge = _Latest(read)
        self._units = _Latest(UnitTree.read)

    async def of(self, reader: Reader) -> Knowledge:
        """What is so in the reader's snapshot, or a moment later."""
        return await self._knowledge.of(reader)

    async def units(self, reader: Reader) -> UnitTree:
        """Likewise, so that no commit of another server is missed."""
        return await self._units.of(reader)


class _Latest(Generic[T]):
    def __init__(self, read: Callable[[Reader], Awaitable[T]]) -> None:
        self._read = read
        self._found: tuple[int, T] | None = None

    async def of(self, reader: Reader) -> T:
        found = self._found
        if found is not None and not (await reader.since({CHAIN: found[0]}, 0)).entries:
            return found[1]
        seq = (await reader.head()).seq
        read = await self._read(reader)
        self._found = (seq, read)
        return read


async def read(reader: Reader) -> Knowledge:
    cuts = await reader.select("cut_points", None, Order("day", descending=True), 1)
    schemes = [_said(row.documents) for row in await reader.select("scheme", None, Order(), ROWS_MAX)]
    segments = [_said(row.documents) for row in await reader.select("segment", None, Order(), ROWS_MAX)]
    return know(
        shipped(),
        [SchemeRow(row["key"], row.get("changes"), bool(row.get("archived"))) for row in schemes],
        [SegmentRow(row["id"], row.get("rule"), bool(row.get("archived")), row["name"]) for row in segments],
        _said(cuts[0].documents)["cuts"] if cuts else None,
        [_said(row.documents) for row in await reader.select("field_def", None, Order(), ROWS_MAX)],
    )


def _said(documents: dict[Level, bytes]) -> dict[str, JSON]:
    found: dict[str, JSON] = orjson.loads(documents[Level.INTERNAL])
    return found
