"""What a reader sees: the outbox laid over the server's rows, with the same merge as the server's.

The outbox is always read first and the replica second: a sync that comes between has moved rows and
acks together, so a change is never missing from both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import orjson

from regulars import replica
from regulars.laid import Laid
from regulars.outbox import Live, Outbox
from regulars.persons import clusters_in
from regulars.replica import Replica
from regulars.row_state import RowState
from regulars_schema.declare import JSON, Entity, Registry
from regulars_schema.search import Asked, Match, fits, score, tokens
from regulars_sync import document, merge, replica_layout, search_index
from regulars_sync.changes import Value
from regulars_sync.check import provisional
from regulars_sync.merge import Registers
from regulars_sync.protocol import Acked
from regulars_sync.verifying import may_see

BEST_MAX = 200
"""So many of the rows that a search finds are ranked."""
PENDING_STAMP = 2**62
"""Above every real stamp: until the server says otherwise, what was done here last is shown."""


class Overlay:
    """Reads of one replica and one outbox together."""

    def __init__(self, registry: Registry, rows: Replica, outbox: Outbox) -> None:
        self._registry = registry
        self._rows = rows
        self._outbox = outbox

    async def get(self, entity: str, id: str, unsaved: Sequence[Live] = ()) -> Laid | None:
        """The row with this id, None when this tablet has none."""
        found = await self.find(entity, [id], unsaved)
        return found.get(id)

    async def find(self, entity: str, ids: Iterable[str], unsaved: Sequence[Live] = ()) -> dict[str, Laid]:
        """The rows among these ids that this tablet has."""
        wanted = list(ids)
        live = [*await self._outbox.live(entity, wanted[0] if len(wanted) == 1 else None), *unsaved]

        def work(connection: sqlite3.Connection) -> dict[str, Laid]:
            return self.lay(connection, self._registry.get(entity), wanted, live)

        return await self._rows.read(work)

    async def persons(self, ids: Iterable[str], unsaved: Sequence[Live] = ()) -> dict[str, list[Laid]]:
        """The rows of each of these customers' persons, the survivor's first; none where there is no row."""
        wanted = list(ids)
        guess = set(wanted)
        customer = self._registry.get("customer")
        while True:
            only = wanted[0] if len(guess) == 1 else None
            live = [*await self._outbox.live("customer", only), *unsaved]

            def work(connection: sqlite3.Connection) -> tuple[set[str], dict[str, list[Laid]]]:
                of = clusters_in(connection, wanted)
                among = {id: sorted(of.get(id, (id,))) for id in wanted}
                every = {member for members in among.values() for member in members}
                laid = self.lay(connection, customer, sorted(every), live)  # noqa: B023 (called at once)
                return every, {id: [laid[m] for m in among[id] if m in laid] for id in wanted}

            every, found = await self._rows.read(work)
            if only is None or every <= guess:
                return found
            guess = every

    async def select(
        self,
        entity: str,
        unsaved: Sequence[Live] = (),
        *,
        element: tuple[str, str] | None = None,
        after: tuple[str, str] | None = None,
        limit: int = 100,
        descending: bool = False,
    ) -> list[Laid]:
        """Rows in their natural order: names by pinyin, facts by time.

        `element`: (field, key) of a set, `("party", customer)` for what names a customer. `after`: the
        `sort_key` and id to go on behind.
        """
        declared = self._registry.get(entity)
        live = [*await self._outbox.live(entity), *unsaved]

        def work(connection: sqlite3.Connection) -> list[Laid]:
            touched = {change.id for change in live if change.entity == entity}
            ids = self._stored_ids(connection, entity, touched, element, after, limit, descending)
            laid = self.lay(connection, declared, ids, [])
            laid |= {
                id: row
                for id, row in self.lay(connection, declared, touched, live).items()
                if self.passes(declared, row, element)
            }
            found = [(self.sort_key(declared, row), row) for row in laid.values()]
            if after is not None:
                found = [f for f in found if (f[0] < after if descending else f[0] > after)]
            found.sort(key=lambda f: f[0], reverse=descending)
            return [row for _, row in found[:limit]]

        return await self._rows.read(work)

    def sort_key(self, entity: Entity, row: Laid) -> tuple[str, str]:
        values = document.nested(entity, document.shown(entity, known(entity, row.registers)))
        return replica_layout.sort_key(entity, values), row.id

    def _stored_ids(
        self,
        connection: sqlite3.Connection,
        entity: str,
        but: set[str],
        element: tuple[str, str] | None,
        after: tuple[str, str] | None,
        limit: int,
        descending: bool,
    ) -> list[str]:
        sql, given = "SELECT f.id FROM find f WHERE f.entity = ?", [entity]
        if element is not None:
            sql += " AND f.id IN (SELECT id FROM element WHERE entity = ? AND field = ? AND key = ?)"
            given += [entity, *element]
        if but:
            sql += " AND f.id NOT IN (SELECT value FROM json_each(?))"
            given.append(orjson.dumps(sorted(but)).decode())
        if after is not None:
            sql += f" AND (f.sort, f.id) {'<' if descending else '>'} (?, ?)"
            given += after
        turn = "DESC" if descending else "ASC"
        sql += f" ORDER BY f.sort {turn}, f.id {turn} LIMIT {int(limit)}"
        return [id for (id,) in connection.execute(sql, given)]

    def passes(self, entity: Entity, row: Laid, element: tuple[str, str] | None) -> bool:
        """Whether a row is one that was asked for."""
        return element is None or element in replica_layout.index_keys(entity, shown(entity, row))

    async def search(
        self, entity: str, wanted: Asked, match: Match, unsaved: Sequence[Live] = ()
    ) -> list[str]:
        """The ids of rows that fit, the best first.

        Of the server's rows `BEST_MAX` are ranked, before all those whose whole name it is; of what was
        written here all.
        """
        declared = self._registry.get(entity)
        live = [*await self._outbox.live(entity), *unsaved]

        def work(connection: sqlite3.Connection) -> list[str]:
            touched = {change.id for change in live if change.entity == entity}
            stored = _matching(connection, entity, match, touched)
            if len(stored) == BEST_MAX:
                stored = _matching(connection, entity, wanted.whole, touched) | stored
            found: dict[str, dict[str, JSON]] = {}
            for id, raw in stored.items():
                with replica.readable(entity, id):
                    found[id] = document.nested(declared, orjson.loads(raw))
            for id, row in self.lay(connection, declared, touched, live).items():
                values = shown(declared, row)
                if fits(match, tokens(declared, values)):
                    found[id] = values
            ranked = {
                id: (-score(wanted, declared, values), replica_layout.sort_key(declared, values), id)
                for id, values in found.items()
            }
            return sorted(ranked, key=ranked.__getitem__)

        return await self._rows.read(work)

    def lay(
        self, connection: sqlite3.Connection, entity: Entity, ids: Iterable[str], live: Sequence[Live]
    ) -> dict[str, Laid]:
        """The rows among these that are here, with these changes of the outbox laid over them."""
        wanted = list(ids)
        stored = replica.registers(connection, entity.name, wanted)
        among = set(wanted)
        relevant = [change for change in live if change.entity == entity.name and change.id in among]
        acked = replica.acks(connection) if relevant else {}
        said = replica.verdicts(connection, [change.cid for change in relevant]) if relevant else {}
        replaced = {change.replaces for change in relevant if change.replaces}
        laid: dict[str, Laid] = {}
        for id in wanted:
            registers = stored.get(id, {})
            own = [c for c in relevant if c.id == id and (is_pending(c, acked) or _is_open(c, said))]
            pending = False
            held: list[str] = []
            for change in own:
                if change.cid in replaced:
                    continue
                if is_pending(change, acked):
                    pending = True
                else:
                    held.append(change.cid)
                self._apply(registers, entity, change)
            exists = id in stored or any(c.change.op == "create" for c in own if c.cid not in replaced)
            if exists and any(register.values for register in registers.values()):
                contested = tuple(sorted(merge.contested(registers)))
                laid[id] = Laid(id, registers, RowState(pending, tuple(held), contested), own)
        return laid

    def _apply(self, registers: Registers, entity: Entity, live: Live) -> None:
        change = provisional(self._registry, live.change, self._outbox.facts.get("country"))
        fields = {path: value for path, value in change.fields.items() if _is_known(entity, path)}
        if len(fields) != len(change.fields):
            change = msgspec.structs.replace(change, fields=fields)
        merge.apply(registers, entity, change, change.stamp or PENDING_STAMP, lambda cid: False)


def _matching(
    connection: sqlite3.Connection, entity: str, match: Match, but: Iterable[str]
) -> dict[str, bytes]:
    """The internal documents of the server's rows that fit, by id."""
    sql = (
        f"SELECT w.id, CAST(r.document AS BLOB) FROM {replica_layout.FOUND} CROSS JOIN words w"
        f" ON w.n = {replica_layout.FOUND}.rowid CROSS JOIN row r"
        " ON r.entity = w.entity AND r.id = w.id AND r.level = 'internal'"
        f" WHERE {replica_layout.FOUND} MATCH ? AND w.entity = ?"
        " AND w.id NOT IN (SELECT value FROM json_each(?)) LIMIT ?"
    )
    given = (search_index.query(match), entity, orjson.dumps(sorted(but)).decode(), BEST_MAX)
    return dict(connection.execute(sql, given).fetchall())


def is_pending(change: Live, acked: dict[str, Acked]) -> bool:
    """Whether the server's acks, as of the replica's rows, do not yet cover the change."""
    ack = acked.get(change.incarnation)
    return change.n == 0 or ack is None or change.n > ack.n


def _is_open(change: Live, said: dict[str, dict[str, Any]]) -> bool:
    verdict = said.get(change.cid)
    return verdict is not None and replica.is_open(verdict)


def known(entity: Entity, registers: Registers) -> Registers:
    """The registers that this version's declarations know; a newer server's others are kept, not shown."""
    return {path: register for path, register in registers.items() if _is_known(entity, path)}


def _is_known(entity: Entity, path: str) -> bool:
    name, _, key = path.partition("/")
    found = entity.by_name.get(name)
    return found is not None and found.is_set == bool(key)


def seen_by(rows: Iterable[Laid], path: str, written: Value) -> list[str]:
    """What the writer of this value has seen: the values in each row, and every own change that wrote it.

    But for a verified one where this is from a weaker source (`verifying.may_see`).
    """
    cids: set[str] = set()
    for row in rows:
        register = row.registers.get(path)
        values = register.values.values() if register else ()
        cids.update(value.cid for value in values if may_see(written, value))
        own = [(live.cid, live.change.fields.get(path)) for live in row.own]
        cids.update(cid for cid, value in own if value is not None and may_see(written, value))
    return sorted(cids)


def shown(entity: Entity, row: Laid) -> dict[str, JSON]:
    """The shown values of a row, sets as dicts of their present elements."""
    return document.nested(entity, document.shown(entity, known(entity, row.registers)))
