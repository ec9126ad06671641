"""What changed since a cursor, for whoever asks: read from the feed of the reader's scopes, or from the log.

A reader with scopes follows its feed, as tablets do: rows that changed, that came, and that left. One that
holds the whole chain follows the log, because head office also holds rows that no scope has; a change that
altered nothing it may read tells it nothing. Either way each change is told at least once, and its row as it
is at that moment; a cursor goes on after any pause, on any server of the chain.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from regulars_server.graph.request import Context
from regulars_server.graph.types import TYPES
from regulars_server.pull import check_cursor
from regulars_server.storage.interface import Found, Reader
from regulars_sync import cursor
from regulars_sync.cursor import Cursor
from regulars_sync.errors import Refused
from regulars_sync.scope import unit_of

ROWS_MAX = 100
"""Rows in one step."""
BYTES_MAX = 512 * 1024
LOG = "log"
"""Where a cursor of the whole chain keeps its place in the log."""


@dataclass(slots=True)
class Step:
    rows: list[tuple[str, str, Found | None]] = field(default_factory=list)
    """(entity, id, the row) in order, each once; None for one that left the reach or was erased."""
    units_lost: list[str] = field(default_factory=list)
    sensitive_lost: bool = False
    more: bool = False


class Following:
    """Where one reader stands. `after` None is now."""

    def __init__(self, context: Context, after: str | None) -> None:
        self._storage = context.service.storage
        self._checked = after is None
        self._at = None if after is None else cursor.decode(after, self._storage.chain.secret)

    @property
    def cursor(self) -> str:
        assert self._at is not None
        return cursor.encode(self._at, self._storage.chain.secret)

    async def step(self, context: Context) -> Step:
        """What came since the last step. `Refused` cursor_expired, epoch_changed, chain_other."""
        scopes = context.author.scopes
        async with context.reading() as reader:
            if not self._checked:
                assert self._at is not None
                head = await reader.head()
                await check_cursor(self._storage, reader, head, self._at, scopes or frozenset())
                self._checked = True
            if self._at is None:
                self._at = await self._now(reader, scopes)
                return Step()
            if (LOG in self._at.scopes) is not (scopes is None):  # it held the whole chain then, or does now
                raise Refused("cursor_expired")
            keys, step, base = await (self._feed(reader, scopes) if scopes is not None else self._log(reader))
        for entity in dict.fromkeys(entity for entity, _ in keys if entity in TYPES):
            if not context.may_read(entity):
                continue
            ids = [id for name, id in keys if name == entity]
            found = await context.find(context.entity(TYPES[entity]), ids)
            for id in ids:
                row = found.get(id)
                if row is None or row.seq(context.sensitive) > base:
                    step.rows.append((entity, id, row))
        return step

    async def _now(self, reader: Reader, scopes: frozenset[str] | None) -> Cursor:
        head, chain = await reader.head(), self._storage.chain
        if scopes is None:
            places = {LOG: (await reader.tail(0, 0)).end}
        else:
            places = dict.fromkeys(sorted(scopes), head.seq)
        return Cursor(chain.id, chain.epoch, head.seq, head.mark, places, head.floor)

    async def _feed(self, reader: Reader, scopes: frozenset[str]) -> tuple[list[tuple[str, str]], Step, int]:
        assert self._at is not None
        head, before = await reader.head(), self._at.scopes
        page = await reader.feed({scope: before.get(scope, 0) for scope in scopes}, ROWS_MAX, BYTES_MAX)
        keys: dict[tuple[str, str], None] = {}
        for part in page.rows:
            keys |= {(part.entity, orjson.loads(document)["id"]): None for document in part.documents}
            keys |= {(part.entity, id): None for id in part.left}
        lost = before.keys() - scopes
        units = sorted(unit for scope in lost if (unit := unit_of(scope)) is not None)
        levels = any("/" in scope and scope.partition("/")[0] in scopes for scope in lost)
        self._at = _moved(self._at, head.seq, head.mark, dict(page.reached), head.floor)
        return list(keys), Step(units_lost=units, sensitive_lost=levels, more=page.more), -1

    async def _log(self, reader: Reader) -> tuple[list[tuple[str, str]], Step, int]:
        assert self._at is not None
        head, at = await reader.head(), self._at
        tail = await reader.tail(at.scopes[LOG], ROWS_MAX)
        keys = dict.fromkeys((entry.entity, entry.id) for entry in tail.entries if entry.accepted)
        reached = tail.entries[-1].pos if tail.entries else tail.end
        more = reached < tail.end
        # A row that is no newer than the cursor's commit was told before: what was accepted altered nothing.
        seq, mark, floor = (at.seq, at.mark, at.floor) if more else (head.seq, head.mark, head.floor)
        self._at = _moved(at, seq, mark, {LOG: reached}, floor)
        return list(keys), Step(more=more), at.seq


def _moved(at: Cursor, seq: int, mark: str, places: dict[str, int], floor: int) -> Cursor:
    return Cursor(at.chain, at.epoch, seq, mark, places, floor)
