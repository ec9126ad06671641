"""The write transaction: rows to decide on, and one commit that writes what was decided.

What was read for deciding is kept, so that the commit need not read it again: nobody else writes
meanwhile. Every part is one `executemany`, so statements do not grow with rows.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import orjson

from regulars_schema.declare import JSON, Level
from regulars_server.storage.interface import Batch, Commit, Incarnation
from regulars_server.storage.layout import column_values, element_keys, level_of
from regulars_server.storage.sqlite.snapshot import Snapshot, entry_row, json_list
from regulars_server.storage.tables import TABLES
from regulars_sync.digest import HASH_BYTES, row_hash
from regulars_sync.log import START, entry_hash
from regulars_sync.reconcile import Key, Row

MARK_BYTES = 8
_SENSITIVE = Level.SENSITIVE
_INTERNAL = Level.INTERNAL


@dataclass(slots=True)
class _Stored:
    """A row as the file holds it before the commit; `row` is None where there is none."""

    row: int | None = None
    documents: dict[Level, bytes] = field(default_factory=dict)
    places: dict[str, bool] = field(default_factory=dict)


class Transaction(Snapshot):
    """The open write transaction; everything of it runs on the writer's thread."""

    _stored: dict[Key, _Stored]

    def rows_of(self, keys: Iterable[Key]) -> dict[Key, Row]:
        wanted = [key for key in dict.fromkeys(keys) if key[0] in TABLES]
        self._load(wanted)
        by_name = self.registry.by_name
        stored = self.stored
        result: dict[Key, Row] = {}
        for key in wanted:
            found = stored[key]
            result[key] = Row(by_name[key[0]], key[1], dict(found.documents), dict(found.places))
        return result

    @property
    def stored(self) -> dict[Key, _Stored]:
        try:
            return self._stored
        except AttributeError:
            self._stored = {}
            return self._stored

    def _load(self, keys: Iterable[Key]) -> None:
        """Read those of these rows that were not read yet: two statements for each entity."""
        stored = self.stored
        ids_by_entity: dict[str, list[str]] = defaultdict(list)
        for key in keys:
            if key not in stored:
                ids_by_entity[key[0]].append(key[1])
                stored[key] = _Stored()
        for entity, ids in ids_by_entity.items():
            sensitive = TABLES[entity].sensitive
            join = f" LEFT JOIN {entity}_sensitive s ON s.row=t.row" if sensitive else ""
            hidden_column = "s.document" if sensitive else "NULL"
            sql = (
                f"SELECT t.row, t.id, t.document, {hidden_column} FROM {entity} t{join}"
                " WHERE t.id IN (SELECT value FROM json_each(?))"
            )
            by_row: dict[int, _Stored] = {}
            for row, id, internal, hidden in self.rows(sql, json_list(ids)):
                found = stored.get((entity, id))
                if found is None:
                    continue
                found.row = row
                if internal is not None:
                    found.documents[_INTERNAL] = internal
                if hidden is not None:
                    found.documents[_SENSITIVE] = hidden
                by_row[row] = found
            if by_row:
                sql = (
                    "SELECT f.row, s.name, f.gone FROM feed f JOIN scope s ON s.id=f.scope"
                    " WHERE f.entity=? AND f.row IN (SELECT value FROM json_each(?))"
                )
                for row, scope, gone in self.rows(sql, self.terms[entity], json_list(by_row)):
                    by_row[row].places[scope] = bool(gone)

    def dependents(self, customers: Iterable[str]) -> list[Row]:
        names = json_list(customers)
        keys: list[Key] = []
        for entity in self.registry.entities:
            for name, _ in entity.naming:
                table = TABLES[entity.name]
                if table.keys_of(name):
                    sql = (
                        f"SELECT t.id FROM {entity.name} t WHERE t.row IN (SELECT row FROM element"
                        f" WHERE field={self.terms[f'{entity.name}.{name}']}"
                        " AND key IN (SELECT value FROM json_each(?))) ORDER BY t.row"
                    )
                else:
                    sql = (
                        f'SELECT t.id FROM {entity.name} t WHERE t."{name}" IN'
                        " (SELECT value FROM json_each(?)) ORDER BY t.row"
                    )
                keys += [(entity.name, id) for (id,) in self.rows(sql, names)]
        return list(self.rows_of(keys).values())

    def incarnation(self, id: str) -> Incarnation | None:
        found = self.rows("SELECT id, device, n, trail FROM incarnation WHERE id=?", id)
        return Incarnation(*found[0]) if found else None

    # --- commit ------------------------------------------------------------------------------------------

    def commit(self, batch: Batch, mark: str, is_cancelled: Callable[[], bool]) -> Commit:
        places = batch.writes.places
        head = self.head()
        first = head.seq + 1
        last = head.seq + max(len(places), 1)
        self._write_rows(batch, first, last)
        self._append(batch)
        self._wait(batch)
        execute = self.connection.execute
        if batch.incarnation is not None:
            i = batch.incarnation
            execute("INSERT OR REPLACE INTO incarnation VALUES(?, ?, ?, ?)", (i.id, i.device, i.n, i.trail))
        if batch.stamp_max > head.stamp_max:
            execute("UPDATE chain SET stamp_max=?", (batch.stamp_max,))
        execute("INSERT INTO commit_mark VALUES(?, ?)", (last, mark))
        if is_cancelled():
            raise sqlite3.OperationalError("cancelled before its commit")
        execute("COMMIT")
        return Commit(last, mark)

    def _write_rows(self, batch: Batch, first: int, last: int) -> None:
        writes = batch.writes
        keys: dict[Key, None] = dict.fromkeys((e.name, id) for e, id, _, _ in writes.documents)
        keys.update(dict.fromkeys((place.entity, place.id) for place in writes.places))
        if not keys:
            return
        stored = self.stored
        self._load(keys)
        fresh = self._number(keys)
        change: dict[Key, dict[Level, tuple[bytes, bytes]]] = defaultdict(dict)
        for entity, id, level, document in writes.documents:
            change[entity.name, id][level] = (document, row_hash(entity.name, document))
        moves: dict[Key, dict[str, bool]] = defaultdict(dict)
        for scope, name, id, left in writes.places:
            moves[name, id][scope] = left
        self._write_documents(change, fresh, last)
        self._write_feed(batch, first, self._digest(change, moves))
        for key, documents in change.items():
            found = stored[key]
            found.documents.update({level: raw for level, (raw, _) in documents.items()})
        for key, placed in moves.items():
            stored[key].places.update(placed)

    def _number(self, keys: Iterable[Key]) -> set[Key]:
        """Give each new row its number; the rows that are new."""
        stored = self.stored
        fresh = {key for key in keys if stored[key].row is None}
        next_row: dict[str, int] = {}
        for key in keys:
            if key in fresh:
                entity = key[0]
                if entity not in next_row:
                    next_row[entity] = self.rows(f"SELECT ifnull(max(row), 0) FROM {entity}")[0][0]
                next_row[entity] += 1
                stored[key].row = next_row[entity]
        return fresh

    def _write_documents(
        self, change: dict[Key, dict[Level, tuple[bytes, bytes]]], fresh: set[Key], last: int
    ) -> None:
        by_name = self.registry.by_name
        stored = self.stored
        inserts: dict[str, list[list[JSON]]] = defaultdict(list)
        updates: dict[str, list[list[JSON]]] = defaultdict(list)
        hidden: dict[str, list[tuple[JSON, ...]]] = defaultdict(list)
        added: list[tuple[int, str, int]] = []
        removed: list[tuple[int, str, int]] = []
        for key, documents in change.items():
            name, id = key
            table = TABLES[name]
            found = stored[key]
            row = found.row
            assert row is not None
            if _INTERNAL in documents:
                raw, hash = documents[_INTERNAL]
                values = orjson.loads(raw)
                columns = column_values(table, by_name[name], values)
                if key in fresh:
                    inserts[name].append([row, id, last, raw, hash, *columns])
                else:
                    updates[name].append([last, raw, hash, *columns, row])
                if table.keys:
                    terms = self.terms
                    now = element_keys(table, values)
                    before: set[tuple[str, str]] = set()
                    if _INTERNAL in found.documents:
                        before = element_keys(table, orjson.loads(found.documents[_INTERNAL]))
                    added += [(terms[f"{name}.{f}"], k, row) for f, k in now - before]
                    removed += [(terms[f"{name}.{f}"], k, row) for f, k in before - now]
            elif key in fresh:
                inserts[name].append([row, id, 0, None, None, *[None] * len(table.column_names)])
            if _SENSITIVE in documents:
                hidden[name].append((row, last, *documents[_SENSITIVE]))
        many = self.connection.executemany
        for name, values_ in inserts.items():
            names = TABLES[name].column_names
            columns_sql = "".join(f', "{column}"' for column in names)
            many(
                f"INSERT INTO {name}(row, id, seq, document, hash{columns_sql})"
                f" VALUES(?, ?, ?, ?, ?{', ?' * len(names)})",
                values_,
            )
        for name, values_ in updates.items():
            columns_sql = "".join(f', "{column}"=?' for column in TABLES[name].column_names)
            many(f"UPDATE {name} SET seq=?, document=?, hash=?{columns_sql} WHERE row=?", values_)
        for name, rows in hidden.items():
            many(
                f"INSERT OR REPLACE INTO {name}_sensitive(row, seq, document, hash) VALUES(?, ?, ?, ?)", rows
            )
        many("DELETE FROM element WHERE field=? AND key=? AND row=?", removed)
        many("INSERT INTO element VALUES(?, ?, ?)", added)

    def _digest(
        self,
        change: dict[Key, dict[Level, tuple[bytes, bytes]]],
        moves: dict[Key, dict[str, bool]],
    ) -> dict[str, tuple[int, int]]:
        """Scope -> (rows more, hash to exclude-or): the difference that this commit makes to its digest."""
        stored = self.stored
        rows: dict[str, int] = defaultdict(int)
        sums: dict[str, int] = defaultdict(int)
        for key in {**moves, **change}:
            found = stored[key]
            changed = change.get(key, {})
            moved = moves.get(key, {})
            for scope in {**found.places, **moved}:
                level = level_of(scope)
                was = not found.places.get(scope, True)
                is_now = not moved.get(scope, not was)
                if not was and not is_now:
                    continue
                before = found.documents.get(level)
                if was and not (is_now and level not in changed):
                    assert before is not None
                    sums[scope] ^= int.from_bytes(row_hash(key[0], before))
                    rows[scope] -= 1
                    was = False
                if is_now and not was:
                    if level in changed:
                        hash = changed[level][1]
                    else:
                        assert before is not None, f"{key} has no document for {scope}"
                        hash = row_hash(key[0], before)
                    sums[scope] ^= int.from_bytes(hash)
                    rows[scope] += 1
        return {scope: (rows[scope], sums[scope]) for scope in sums}

    def _write_feed(self, batch: Batch, first: int, differences: dict[str, tuple[int, int]]) -> None:
        names = {place.scope for place in batch.writes.places} | differences.keys()
        sql = "SELECT name, id, count, hash FROM scope WHERE name IN (SELECT value FROM json_each(?))"
        known = {name: rest for name, *rest in self.rows(sql, json_list(names))}
        new = sorted(names - known.keys())
        if new:
            (top,) = self.rows("SELECT ifnull(max(id), 0) FROM scope")[0]
            known.update({name: [top + i, 0, bytes(HASH_BYTES)] for i, name in enumerate(new, 1)})
            self.connection.executemany(
                "INSERT INTO scope VALUES(?, ?, ?, ?)", [(known[n][0], n, 0, bytes(HASH_BYTES)) for n in new]
            )
        updates = []
        for scope, (rows, sum) in differences.items():
            id, count, hash = known[scope]
            updates.append((count + rows, (int.from_bytes(hash) ^ sum).to_bytes(HASH_BYTES), id))
        self.connection.executemany("UPDATE scope SET count=?, hash=? WHERE id=?", updates)
        terms, stored = self.terms, self.stored
        self.connection.executemany(
            "INSERT INTO feed VALUES(?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET seq=excluded.seq, gone=excluded.gone",
            [
                (known[scope][0], terms[entity], stored[entity, id].row, seq, left)
                for seq, (scope, entity, id, left) in enumerate(batch.writes.places, first)
            ],
        )

    def _append(self, batch: Batch) -> None:
        if not batch.entries:
            return
        found = self.rows("SELECT pos, hash FROM log ORDER BY pos DESC LIMIT 1")
        pos, hash = found[0] if found else (0, START)
        for entry in batch.entries:
            pos += 1
            entry.pos = pos
            entry.hash = hash = entry_hash(hash, entry)
        sql = f"INSERT INTO log VALUES({', '.join('?' * 21)})"
        self.connection.executemany(sql, map(entry_row, batch.entries))

    def _wait(self, batch: Batch) -> None:
        if not batch.waits:
            return
        many = self.connection.executemany
        groups = [(bytes.fromhex(group), waits) for group, waits in batch.waits.items()]
        many("DELETE FROM queue WHERE grp=?", [(group,) for group, waits in groups if waits is None])
        many(
            "INSERT INTO queue(grp, waits) VALUES(?, ?) ON CONFLICT(grp) DO UPDATE SET waits=excluded.waits",
            [(group, waits) for group, waits in groups if waits is not None],
        )
