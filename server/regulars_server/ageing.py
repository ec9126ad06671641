"""What time alone changes in who holds what: sightings that grow old, and the edge of the history window.

All of it is done in batches of one transaction each, and done again from wherever it was cut off.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import orjson

from regulars_schema.declare import Level
from regulars_server.admission import Admission
from regulars_server.authors import SERVER
from regulars_server.knowledge.baselines import renew
from regulars_server.settling import Settling
from regulars_server.storage.interface import Storage
from regulars_sync.changes import Change, Stated, Value
from regulars_sync.clock import instant_of, ms_of
from regulars_sync.ids import WINDOW

SEEN_MS_MAX = 365 * 86_400_000
"""How long a unit keeps a customer that it saw and that is at home elsewhere."""
WINDOW_YEARS = 2
BATCH_ROWS = 500


class Ageing:
    """Brings a chain to what is so now. Time and randomness come from outside; there is one per storage."""

    def __init__(
        self,
        storage: Storage,
        admission: Admission,
        now_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._storage = storage
        self._admission = admission
        self._now_ms = now_ms
        self._entropy = entropy
        self._swept: str | None = None
        """The edge below which all facts have left, as far as this process knows."""

    async def once(self) -> None:
        """End what has grown too old, and move the edge when a month has begun."""
        await self._end_sightings()
        edge = await self._move_edge()
        if edge != self._swept:
            await self._let_leave(edge)
            self._swept = edge

    async def _end_sightings(self) -> None:
        async def work(settling: Settling) -> int:
            found = await settling.writer.expired(self._now_ms() - SEEN_MS_MAX, BATCH_ROWS)
            await settling.see(found, None)
            return len(found)

        while await self._admission.transact(work) == BATCH_ROWS:
            pass

    async def _move_edge(self) -> str:
        """The edge after it was moved; it never goes back, whatever the clock does."""
        entity, id = WINDOW
        async with self._storage.unscoped_reader() as reader:
            row = (await reader.find(entity, [id])).get(id)
        said = orjson.loads(row.documents[Level.INTERNAL]) if row else {}
        edge = edge_at(self._now_ms())
        if said.get("edge", "") >= edge:
            return str(said["edge"])
        await self._sum_up(edge)
        cid = self._entropy(16).hex()
        change = Change(
            cid=cid,
            group=cid,
            op="edit" if row else "create",
            entity=entity,
            id=id,
            fields={"edge": Value(edge)},
            seen={"edge": [entry[0] for entry in said["v"]]} if row else {},
            stated=Stated(self._now_ms()),
            schema=self._storage.registry.version,
        )
        await self._admission.write(SERVER, [[change]])
        return edge

    async def _sum_up(self, edge: str) -> None:
        """Tell tablets what the facts come to that are about to leave them: before they do."""
        tree = await self._admission.tree()
        after: tuple[str, str] | None = None

        async def work(settling: Settling) -> list[tuple[str, str]]:
            found = await settling.writer.placed_before(edge, BATCH_ROWS, after)
            rows = (await settling.writer.rows([("interaction", id) for _, id in found])).values()
            await renew(settling, {id for row in rows for id in row.named}, edge, tree)
            return found

        while found := await self._admission.transact(work):
            after = found[-1]

    async def _let_leave(self, edge: str) -> None:
        after: tuple[str, str] | None = None

        async def work(settling: Settling) -> list[tuple[str, str]]:
            found = await settling.writer.placed_before(edge, BATCH_ROWS, after)
            await settling.place_again([("interaction", id) for _, id in found])
            return found

        while found := await self._admission.transact(work):
            after = found[-1]


def edge_at(now_ms: int) -> str:
    """The first instant of the month, two years ago."""
    now = datetime.fromtimestamp(now_ms / 1_000, UTC)
    return instant_of(ms_of(f"{now.year - WINDOW_YEARS:04}-{now.month:02}-01T00:00:00.000Z"))
