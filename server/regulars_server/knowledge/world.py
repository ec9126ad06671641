"""A chain's schemes, segments and cut points: what rules are answered by, read from its rows and kept."""

from __future__ import annotations

from functools import cache

import orjson

from regulars_schema.declare import JSON, Level
from regulars_schema.schemes import Shipped, load
from regulars_schema.schemes.world import Knowledge, SchemeRow, SegmentRow, know
from regulars_server.storage.interface import Order, Reader
from regulars_sync.scope import CHAIN

ROWS_MAX = 100_000


@cache
def shipped() -> Shipped:
    """What comes with the product; read once."""
    return load()


class Worlds:
    """The latest `Knowledge` of one chain; another one when a row in the chain's scope has changed since."""

    def __init__(self) -> None:
        self._found: tuple[int, Knowledge] | None = None

    async def of(self, reader: Reader) -> Knowledge:
        """What is so in the reader's snapshot, or a moment later."""
        found = self._found
        if found is not None and not (await reader.since({CHAIN: found[0]}, 0)).entries:
            return found[1]
        seq = (await reader.head()).seq
        known = await read(reader)
        self._found = (seq, known)
        return known


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
