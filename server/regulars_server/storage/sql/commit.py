"""The write transaction: rows to decide on, and one commit that writes what was decided.

What was read for deciding is kept, so that the commit need not read it again: nobody else writes
meanwhile. Every part is one `executemany`, so statements do not grow with rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from regulars_schema.declare import JSON, Entity, Level, Registry
from regulars_server.storage.interface import SHARED_MAX, Alike, Batch, Commit, Incarnation
from regulars_server.storage.layout import (
    LIKENESS,
    Table,
    changed_paths,
    column_values,
    columns_of,
    element_keys,
    identity_keys,
    level_of,
    moved_keys,
)
from regulars_server.storage.sql import deeds, standing
from regulars_server.storage.sql.dialect import Connection, Dialect
from regulars_server.storage.sql.snapshot import COLUMNS, Snapshot, Terms, entry_row
from regulars_server.storage.tables import TABLES
from regulars_sync.digest import HASH_BYTES, row_hash
from regulars_sync.log import START, Entry, entry_hash
from regulars_sync.placement import Place, Writes
from regulars_sync.reconcile import Key, Row

_Written = dict[Level, dict[Key, tuple[bytes, bytes]]]
"""Level -> row -> (document, hash) of what a commit writes."""

FORMAT = "regulars-chain"
MARK_BYTES = 8
_NONE: set[tuple[str, str]] = set()
_SENSITIVE = Level.SENSITIVE
_INTERNAL = Level.INTERNAL


@dataclass(slots=True)
class _Stored:
    """A row as it is stored before the commit; `row` is None where there is none."""

    row: int | None = None
    documents: dict[Level, bytes] = field(default_factory=dict)
    places: dict[str, bool] = field(default_factory=dict)
    erased: bool = False
    seen: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Updates:
    """Rows of one table that are written anew by one statement, and the columns that any of them changes:
    a column that is named is indexed anew, also where it says what it said."""

    rows: list[tuple[int, bytes, bytes, dict[str, JSON]]] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)

    def add(self, row: int, raw: bytes, hash: bytes, values: dict[str, JSON], columns: set[str]) -> None:
        self.rows.append((row, raw, hash, values))
        self.columns |= columns

    def parameters(self, table: Table, entity: Entity, seq: int) -> list[list[JSON]]:
        columns = sorted(self.columns)
        return [
            [seq, bytearray(raw), bytearray(hash), *column_values(table, entity, values, columns), row]
            for row, raw, hash, values in self.rows
        ]


class Cancelled(Exception):
    """Whoever asked for a commit has gone: nothing of it is kept."""


class Transaction(Snapshot):
    """The open write transaction."""

    def __init__(self, connection: Connection, dialect: Dialect, registry: Registry, terms: Terms) -> None:
        super().__init__(connection, dialect, registry, terms, None)
        self.stored: dict[Key, _Stored] = {}
        """What was read so far; nobody else can have changed it."""

    def rows_of(self, keys: Iterable[Key]) -> dict[Key, Row]:
        wanted = [key for key in dict.fromkeys(keys) if key[0] in TABLES]
        self._load(wanted)
        by_name = self.registry.by_name
        stored = self.stored
        result: dict[Key, Row] = {}
        for key in wanted:
            found = stored[key]
            result[key] = Row(
                by_name[key[0]],
                key[1],
                dict(found.documents),
                dict(found.places),
                erased=found.erased,
                seen=found.seen,
            )
        return result

    def _load(self, keys: Iterable[Key]) -> None:
        """Read those of these rows that were not read yet: a few statements for each entity."""
        stored = self.stored
        ids_by_entity: dict[str, list[str]] = defaultdict(list)
        for key in keys:
            if key not in stored:
                ids_by_entity[key[0]].append(key[1])
                stored[key] = _Stored()
        for entity, ids in ids_by_entity.items():
            sensitive = TABLES[entity].sensitive
            join = f' LEFT JOIN "{entity}_sensitive" s ON s.row=t.row' if sensitive else ""
            hidden_column = "s.document" if sensitive else "NULL"
            sql = (
                f'SELECT t.row, t.id, t.document, {hidden_column} FROM "{entity}" t{join}'
                " WHERE t.id IN (SELECT value FROM json_each(?))"
            )
            by_row: dict[int, _Stored] = {}
            for row, id, internal, hidden in self.rows(sql, self.dialect.list(ids)):
                found = stored.get((entity, id))
                if found is None:
                    continue
                found.row = row
                if internal is not None:
                    found.documents[_INTERNAL] = internal
                if hidden is not None:
                    found.documents[_SENSITIVE] = hidden
                by_row[row] = found
            if empty := [row for row, found in by_row.items() if not found.documents]:
                sql = "SELECT row FROM erased WHERE entity=? AND row IN (SELECT value FROM json_each(?))"
                for (row,) in self.rows(sql, self.terms[entity], self.dialect.list(empty)):
                    by_row[row].erased = True
            if by_row:
                sql = (
                    "SELECT f.row, s.name, f.gone FROM feed f JOIN scope s ON s.id=f.scope"
                    " WHERE f.entity=? AND f.row IN (SELECT value FROM json_each(?))"
                )
                for row, scope, gone in self.rows(sql, self.terms[entity], self.dialect.list(by_row)):
                    by_row[row].places[scope] = bool(gone)
            if by_row and entity == "customer":
                sql = "SELECT * FROM seen WHERE customer IN (SELECT value FROM json_each(?))"
                for row, unit, at_ms in self.rows(sql, self.dialect.list(by_row)):
                    by_row[row].seen[unit] = at_ms

    def dependents(self, customers: Iterable[str]) -> list[Row]:
        names = self.dialect.list(customers)
        keys: list[Key] = []
        for entity in self.registry.entities:
            for name, _ in entity.naming:
                table = TABLES[entity.name]
                if table.keys_of(name):
                    sql = (
                        f'SELECT t.id FROM "{entity.name}" t WHERE t.row IN (SELECT row FROM element'
                        f" WHERE field={self.terms[f'{entity.name}.{name}']}"
                        " AND key IN (SELECT value FROM json_each(?)))"
                    )
                else:
                    sql = (
                        f'SELECT t.id FROM "{entity.name}" t WHERE t."{name}" IN'
                        " (SELECT value FROM json_each(?))"
                    )
                keys += [(entity.name, id) for (id,) in self.rows(sql, names)]
        return list(self.rows_of(sorted(keys)).values())

    def kin(self, customers: Iterable[str]) -> list[Row]:
        sql = (
            "WITH RECURSIVE member(id) AS (SELECT value FROM json_each(?)"
            f" UNION {self.dialect.same}) SELECT i.id FROM {self.dialect.pairs}"
            " WHERE i.other IN (SELECT id FROM member) ORDER BY i.id"
        )
        ids = [id for (id,) in self.rows(sql, self.dialect.list(customers))]
        return list(self.rows_of([("identity", id) for id in ids]).values())

    def expired(self, before_ms: int, limit: int) -> list[tuple[str, str]]:
        sql = (
            "SELECT t.id, s.unit FROM seen s CROSS JOIN customer t ON t.row=s.customer"
            " WHERE s.at_ms<? ORDER BY s.at_ms, t.id, s.unit LIMIT ?"
        )
        return self.rows(sql, before_ms, limit)

    def unmatched(self, limit: int) -> list[str]:
        sql = "SELECT t.id FROM unmatched u CROSS JOIN customer t ON t.row=u.row ORDER BY t.id LIMIT ?"
        return [id for (id,) in self.rows(sql, limit)]

    def alike(self, customers: Iterable[str]) -> list[Alike]:
        """Two statements for each field by which a person may be recognised."""
        declared = self.registry.by_name["customer"]
        rows = self.rows_of([("customer", id) for id in customers]).values()
        holders: dict[tuple[str, str], list[str]] = defaultdict(list)
        for row in rows:
            if not row.values.get("archived"):
                for path in identity_keys(declared, row.values):
                    field, _, key = path.partition("/")
                    holders[field, key].append(row.id)
        found: set[Alike] = set()
        for name in sorted({field for field, _ in holders}):
            wanted = self.dialect.list(sorted(key for field, key in holders if field == name))
            for key, other in self._sharing(name, wanted):
                path = "name" if name == LIKENESS else f"{name}/{key}" if name in declared.set_names else name
                mine = holders[name, key]
                found |= {Alike(min(id, other), max(id, other), path) for id in mine if id != other}
        return sorted(found)

    def _sharing(self, name: str, keys: str) -> list[tuple[str, str]]:
        """(key, customer) of these keys of a field that few customers share."""
        number = self.terms.get(f"customer.{name}")
        key = f's."{name}"' if number is None else "s.key"
        source, where = ("customer", "TRUE") if number is None else ("element", f"s.field={number}")
        where += f" AND {key} IN (SELECT value FROM json_each(?))"
        few = f"SELECT {key} FROM {source} s WHERE {where} GROUP BY {key} HAVING count(*) BETWEEN 2 AND ?"
        shared = self.dialect.list(found for (found,) in self.rows(few, keys, SHARED_MAX))
        sql = f"SELECT {key}, t.id FROM {source} s CROSS JOIN customer t ON t.row=s.row WHERE {where}"
        return self.rows(f"{sql} AND t.archived IS DISTINCT FROM 1", shared)

    def placed_before(self, at: str, limit: int, after: tuple[str, str] | None) -> list[tuple[str, str]]:
        start, beyond = after or ("", "")
        sql = (
            "SELECT t.at, t.id FROM interaction t WHERE t.at>=? AND t.at<? AND (t.at>? OR t.id>?)"
            f" AND EXISTS (SELECT 1 FROM feed f WHERE f.entity={self.terms['interaction']} AND f.row=t.row"
            " AND f.gone=0) ORDER BY t.at, t.id LIMIT ?"
        )
        return self.rows(sql, start, at, start, beyond, limit)

    def incarnation(self, id: str) -> Incarnation | None:
        found = self.rows("SELECT id, device, n, trail FROM incarnation WHERE id=?", id)
        return Incarnation(*found[0]) if found else None

    def settled(self, before_ms: int, limit: int, erased: bool) -> list[str]:
        said = self.dialect
        sql = (
            "SELECT t.id FROM change_verdict t"
            " WHERE t.seq <= (SELECT max(seq) FROM commit_mark WHERE at_ms < ?)"
            " AND EXISTS (SELECT 1 FROM feed f WHERE f.entity=? AND f.row=t.row AND f.gone=0)"
            f" AND ({said.verdict} IN ('applied', 'merged') OR {said.closed})"
            f" AND ({said.code} IS NOT DISTINCT FROM 'erased') = ? ORDER BY t.seq, t.id LIMIT ?"
        )
        return [id for (id,) in self.rows(sql, before_ms, self.terms["change_verdict"], erased, limit)]

    # --- commit ------------------------------------------------------------------------------------------

    def commit(self, batch: Batch, mark: str, is_cancelled: Callable[[], bool]) -> Commit:
        head = self.head()
        first = head.seq + 1
        last = head.seq + max(len(batch.writes.places), 1)
        self._write_rows(batch.writes, batch.erased, first, last)
        self._empty(batch.emptied)
        self._append(batch.entries)
        self._wait(batch.waits)
        self._match(batch)
        self._let_be_looked_at(batch, last)
        execute = self.connection.execute
        if batch.incarnation is not None:
            i = batch.incarnation
            execute(
                "INSERT INTO incarnation(id, device, n, trail, began, cloned) VALUES(?, ?, ?, ?, ?, 0)"
                " ON CONFLICT(id) DO UPDATE SET n=excluded.n, trail=excluded.trail",
                (i.id, i.device, i.n, i.trail, last),
            )
            execute(
                "UPDATE incarnation SET cloned=1"
                " WHERE device=? AND began > (SELECT began FROM incarnation WHERE id=?)",
                (i.device, i.id),
            )
        if batch.stamp_max > head.stamp_max:
            execute("UPDATE chain SET stamp_max=?", (batch.stamp_max,))
        execute("INSERT INTO commit_mark VALUES(?, ?, ?)", (last, mark, batch.at_ms))
        self.announce(batch, last)
        if is_cancelled():
            raise Cancelled("before its commit")
        execute("COMMIT")
        return Commit(last, mark)

    def announce(self, batch: Batch, seq: int) -> None:
        """Say beside the commit what it touches, where an engine has somebody to tell."""

    def _write_rows(self, writes: Writes, erased: Sequence[Key], first: int, last: int) -> None:
        written: _Written = {level: {} for level in Level}
        for entity, id, level, document in writes.documents:
            name = entity.name
            written[level][name, id] = (document, row_hash(name, document))
        places = {(entity, id, scope): left for scope, entity, id, left in writes.places}
        keys = dict.fromkeys(key for rows in written.values() for key in rows)
        keys.update(dict.fromkeys((entity, id) for entity, id, _ in places))
        keys.update(dict.fromkeys(erased))
        keys.update(dict.fromkeys(("customer", customer) for customer, _, _ in writes.sightings))
        if not keys:
            return
        self._load(keys)
        fresh = self._number(keys)
        self._write_documents(written, fresh, last)
        self._write_feed(writes.places, first, self._differences(written, places, fresh))
        self._write_sightings(writes.sightings)
        self._write_clusters(writes)
        self._erase(erased, last)

    def _write_sightings(self, sightings: Sequence[tuple[str, str, int | None]]) -> None:
        if not sightings:
            return
        found = [(self.stored["customer", customer].row, unit, at) for customer, unit, at in sightings]
        many = self.connection.executemany
        sql = (
            "INSERT INTO seen VALUES(?, ?, ?) ON CONFLICT(customer, unit) DO UPDATE SET at_ms=excluded.at_ms"
        )
        many(sql, [one for one in found if one[2] is not None])
        many("DELETE FROM seen WHERE customer=? AND unit=?", [one[:2] for one in found if one[2] is None])

    def _number(self, keys: Iterable[Key]) -> set[Key]:
        """Give each new row its number; the rows that are new."""
        stored = self.stored
        fresh: set[Key] = set()
        top: dict[str, int] = {}
        for key in keys:
            found = stored[key]
            if found.row is None:
                fresh.add(key)
                entity = key[0]
                if entity not in top:
                    top[entity] = self.rows(f'SELECT coalesce(max(row), 0) FROM "{entity}"')[0][0]
                top[entity] += 1
                found.row = top[entity]
        return fresh

    def _write_documents(self, written: _Written, fresh: set[Key], last: int) -> None:
        by_name, terms, stored = self.registry.by_name, self.terms, self.stored
        inserts: dict[str, list[list[JSON]]] = defaultdict(list)
        updates: dict[tuple[str, bool], _Updates] = defaultdict(_Updates)
        added: list[tuple[int, str, int]] = []
        removed: list[tuple[int, str, int]] = []
        for key, (raw, hash) in written[_INTERNAL].items():
            name, id = key
            table, entity, found = TABLES[name], by_name[name], stored[key]
            row = found.row
            assert row is not None
            values = orjson.loads(raw)
            stood = found.documents.get(_INTERNAL)
            before = orjson.loads(stood) if stood is not None else {}
            if key in fresh:
                inserts[name].append([row, id, last, raw, hash, *column_values(table, entity, values)])
                come, go = element_keys(table, values) if table.keys else _NONE, _NONE
            else:
                changed = changed_paths(values, before)
                columns = columns_of(table, entity, changed)
                updates[name, "search" in columns].add(row, raw, hash, values, columns)
                come, go = moved_keys(table, values, before, changed) if table.keys else (_NONE, _NONE)
            added += [(terms[f"{name}.{field}"], text, row) for field, text in come]
            removed += [(terms[f"{name}.{field}"], text, row) for field, text in go]
        for key in fresh - written[_INTERNAL].keys():
            nothing = [None] * len(TABLES[key[0]].column_names)
            inserts[key[0]].append([stored[key].row, key[1], 0, None, None, *nothing])
        for name, rows in inserts.items():
            self._insert(name, ("row", "id", "seq", "document", "hash", *TABLES[name].column_names), rows)
        many = self.connection.executemany
        for (name, is_retold), these in updates.items():
            written_columns = sorted(these.columns)
            parameters = these.parameters(TABLES[name], by_name[name], last)
            if is_retold:
                at = 3 + written_columns.index("search")
                self._retell(name, {said[-1]: said[at] for said in parameters})
            names = "".join(f', "{column}"=?' for column in written_columns)
            many(f'UPDATE "{name}" SET seq=?, document=?, hash=?{names} WHERE row=?', parameters)
        hidden: dict[str, list[tuple[JSON, ...]]] = defaultdict(list)
        for key, (raw, hash) in written[_SENSITIVE].items():
            hidden[key[0]].append((stored[key].row, last, raw, hash))
        for name, hidden_rows in hidden.items():
            sql = (
                f'INSERT INTO "{name}_sensitive"(row, seq, document, hash) VALUES(?, ?, ?, ?)'
                " ON CONFLICT(row) DO UPDATE SET seq=excluded.seq, document=excluded.document,"
                " hash=excluded.hash"
            )
            many(sql, hidden_rows)
        if removed:
            many("DELETE FROM element WHERE field=? AND key=? AND row=?", removed)
        if added:
            many("INSERT INTO element VALUES(?, ?, ?)", added)

    def _retell(self, name: str, tokens: Mapping[int, str]) -> None:
        """Let the index of tokens follow what these rows will say, while they still say what they did."""
        sql = f'SELECT row, search FROM "{name}" WHERE row IN (SELECT value FROM json_each(?))'
        differences = []
        for row, said in self.rows(sql, self.dialect.list(tokens)):
            was, now = set((said or "").split()), set(tokens[row].split())
            differences.append((row, was - now, now - was))
        self.dialect.retell(self.connection, name, differences)

    def _write_clusters(self, writes: Writes) -> None:
        if not writes.merged and not writes.torn:
            return
        self._load([*(("customer", id) for id in writes.merged), *(("identity", id) for id in writes.torn)])
        stored, many = self.stored, self.connection.executemany
        alone = [(stored["customer", id].row,) for id, into in writes.merged.items() if into is None]
        merged = [
            (stored["customer", id].row, stored["customer", into].row)
            for id, into in writes.merged.items()
            if into is not None
        ]
        many("DELETE FROM merged WHERE row=?", alone)
        sql = "INSERT INTO merged VALUES(?, ?) ON CONFLICT(row) DO UPDATE SET survivor=excluded.survivor"
        many(sql, merged)
        many("DELETE FROM torn WHERE row=?", [(stored["identity", id].row,) for id in writes.torn])
        torn = [(stored["identity", id].row,) for id, is_torn in writes.torn.items() if is_torn]
        many("INSERT INTO torn VALUES(?)", torn)

    def _erase(self, keys: Iterable[Key], last: int) -> None:
        many, terms = self.connection.executemany, self.terms
        for key in keys:
            name, found = key[0], self.stored[key]
            table = TABLES[name]
            if (document := found.documents.get(_INTERNAL)) is not None:
                indexed = element_keys(table, orjson.loads(document))
                gone = [(terms[f"{name}.{field}"], text, found.row) for field, text in indexed]
                many("DELETE FROM element WHERE field=? AND key=? AND row=?", gone)
            if table.search and found.row is not None:
                self._retell(name, {found.row: ""})
            nulls = "".join(f', "{column}"=NULL' for column in table.column_names)
            sql = f'UPDATE "{name}" SET seq=?, document=NULL, hash=NULL{nulls} WHERE row=?'
            self.connection.execute(sql, (last, found.row))
            if name == "identity":
                self.connection.execute("DELETE FROM torn WHERE row=?", (found.row,))
            if table.sensitive:
                self.connection.execute(f'DELETE FROM "{name}_sensitive" WHERE row=?', (found.row,))
            if name == "customer":
                self.connection.execute("DELETE FROM seen WHERE customer=?", (found.row,))
                standing.forget(self.connection, found.row)
                deeds.forget(self.connection, found.row)
            sql = (
                "INSERT INTO erased(entity, row, scrubbed) VALUES(?, ?, 0)"
                " ON CONFLICT(entity, row) DO UPDATE SET scrubbed=0"
            )
            self.connection.execute(sql, (terms[name], found.row))

    def _empty(self, cids: Iterable[str]) -> None:
        sql = "UPDATE log SET body=NULL, key=NULL, field=NULL, detail=NULL WHERE cid=?"
        self.connection.executemany(sql, [(bytes.fromhex(cid),) for cid in sorted(cids)])

    def _insert(self, table: str, names: Sequence[str], rows: Iterable[Sequence[JSON]]) -> None:
        """Insert rows, leaving out the columns that none of them fills.

        Python's driver takes an int, a str and a bytearray as they are, but searches an adapter for
        every None, bool and bytes: a third of a microsecond each, more than all of SQLite's own work.
        """
        filled: list[Sequence[JSON]] = []
        kept: list[str] = []
        for name, column in zip(names, zip(*rows, strict=True), strict=True):
            nulls = column.count(None)
            if nulls == len(column):
                continue
            kept.append(f'"{name}"')
            kind = type(column[0])
            if nulls == 0 and kind is bytes:
                filled.append(list(map(bytearray, column)))
            elif nulls == 0 and kind is bool:
                filled.append(list(map(int, column)))
            else:
                filled.append(column)
        sql = f'INSERT INTO "{table}"({", ".join(kept)}) VALUES({", ".join("?" * len(kept))})'
        self.connection.executemany(sql, zip(*filled, strict=True))

    def _differences(
        self, written: _Written, places: Mapping[tuple[str, str, str], bool], fresh: set[Key]
    ) -> dict[str, tuple[int, int]]:
        """Scope -> (rows more, hash to exclude-or): what this commit does to its digest."""
        stored = self.stored
        rows: dict[str, int] = defaultdict(int)
        sums: dict[str, int] = defaultdict(int)
        levels = {scope: level_of(scope) for scope in {scope for _, _, scope in places}}
        moved: dict[Key, dict[str, bool]] = {}
        for (entity, id, scope), left in places.items():
            key = (entity, id)
            if key not in fresh:
                moved.setdefault(key, {})[scope] = left
            elif not left:
                sums[scope] ^= int.from_bytes(written[levels[scope]][key][1])
                rows[scope] += 1
        for key in {**moved, **{key: None for of in written.values() for key in of if key not in fresh}}:
            found, moves = stored[key], moved.get(key, {})
            for scope in {**found.places, **moves}:
                level = level_of(scope)
                was = not found.places.get(scope, True)
                now = not moves.get(scope, not was)
                rewritten = written[level].get(key)
                if was == now and (not now or rewritten is None):
                    continue
                before = found.documents.get(level)
                if was:
                    assert before is not None
                    sums[scope] ^= int.from_bytes(row_hash(key[0], before))
                    rows[scope] -= 1
                if now:
                    if rewritten is None:
                        assert before is not None, f"{key} has no document for {scope}"
                        hash = row_hash(key[0], before)
                    else:
                        hash = rewritten[1]
                    sums[scope] ^= int.from_bytes(hash)
                    rows[scope] += 1
        return {scope: (rows[scope], sums[scope]) for scope in sums}

    def _write_feed(
        self, places: Sequence[Place], first: int, differences: dict[str, tuple[int, int]]
    ) -> None:
        names = {place.scope for place in places} | differences.keys()
        sql = "SELECT name, id, count, hash FROM scope WHERE name IN (SELECT value FROM json_each(?))"
        known = {
            name: (id, count, hash) for name, id, count, hash in self.rows(sql, self.dialect.list(names))
        }
        many = self.connection.executemany
        new = sorted(names - known.keys())
        if new:
            (top,) = self.rows("SELECT coalesce(max(id), 0) FROM scope")[0]
            known.update({name: (top + i, 0, bytes(HASH_BYTES)) for i, name in enumerate(new, 1)})
            many(
                "INSERT INTO scope VALUES(?, ?, ?, ?)", [(known[n][0], n, 0, bytes(HASH_BYTES)) for n in new]
            )
        updates = []
        for scope, (rows, total) in differences.items():
            id, count, hash = known[scope]
            updates.append((count + rows, (int.from_bytes(hash) ^ total).to_bytes(HASH_BYTES), id))
        many("UPDATE scope SET count=?, hash=? WHERE id=?", updates)
        ids = {name: entry[0] for name, entry in known.items()}
        terms, stored = self.terms, self.stored
        many(
            "INSERT INTO feed(scope, entity, row, seq, gone) VALUES(?, ?, ?, ?, ?)"
            " ON CONFLICT(entity, row, scope) DO UPDATE SET seq=excluded.seq, gone=excluded.gone",
            [
                (ids[scope], terms[entity], stored[entity, id].row, seq, 1 if left else 0)
                for seq, (scope, entity, id, left) in enumerate(places, first)
            ],
        )

    def _match(self, batch: Batch) -> None:
        if batch.scan:
            self.connection.execute(
                "INSERT INTO unmatched SELECT row FROM customer WHERE document IS NOT NULL"
                " ON CONFLICT DO NOTHING"
            )
        for sql, ids in (
            ("INSERT INTO unmatched VALUES(?) ON CONFLICT DO NOTHING", batch.unmatched),
            ("DELETE FROM unmatched WHERE row=?", batch.matched),
        ):
            if ids:
                keys = [("customer", id) for id in sorted(ids)]
                self._load(keys)
                self.connection.executemany(sql, [(row,) for key in keys if (row := self.stored[key].row)])

    def _let_be_looked_at(self, batch: Batch, last: int) -> None:
        facts = [id for entity, id, *_ in batch.writes.documents if entity.name == "interaction"]
        standing.queue(self.connection, self.dialect, self.terms, batch.due, facts, last)
        standing.sweep_for(self.connection, batch.swept, last)

    def _append(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        found = self.rows("SELECT pos, hash FROM log ORDER BY pos DESC LIMIT 1")
        pos, hash = found[0] if found else (0, START)
        for entry in entries:
            pos += 1
            entry.pos = pos
            entry.hash = hash = entry_hash(hash, entry)
        self._insert("log", COLUMNS.split(", "), map(entry_row, entries))

    def _wait(self, waits: Mapping[str, str | None]) -> None:
        if not waits:
            return
        many = self.connection.executemany
        groups = [(bytes.fromhex(group), key) for group, key in waits.items()]
        many("DELETE FROM queue WHERE grp=?", [(group,) for group, key in groups if key is None])
        many(
            "INSERT INTO queue(grp, waits) VALUES(?, ?) ON CONFLICT(grp) DO UPDATE SET waits=excluded.waits",
            [(group, key) for group, key in groups if key is not None],
        )


def prepare(connection: Connection, entropy: Callable[[int], bytes]) -> dict[str, int]:
    """Number what the tables are called, and found the chain where there is none; every name's number."""
    names = [
        name
        for table in TABLES.values()
        for name in (table.name, *(f"{table.name}.{keys.field}" for keys in table.keys))
    ]
    names.append(f"customer.{LIKENESS}")
    sql = "INSERT INTO term(name) VALUES(?) ON CONFLICT DO NOTHING"
    connection.executemany(sql, [(name,) for name in names])
    if not list(connection.execute("SELECT 1 FROM chain")):
        drawn = (FORMAT, entropy(16).hex(), entropy(8).hex(), entropy(32))
        connection.execute("INSERT INTO chain VALUES(1, ?, ?, ?, ?, 0, 0)", drawn)
        connection.execute("INSERT INTO commit_mark VALUES(0, ?, 0)", (entropy(MARK_BYTES).hex(),))
    return dict(connection.execute("SELECT name, id FROM term ORDER BY id"))


def compact(connection: Connection, before_ms: int, verdicts: int) -> int:
    """What `Storage.compact` does, within the transaction that is open; `verdicts` numbers their entity."""
    ((before,),) = connection.execute("SELECT floor FROM chain")
    sql = "SELECT coalesce(max(seq), 0) FROM commit_mark WHERE at_ms < ?"
    ((reached,),) = connection.execute(sql, (before_ms,))
    floor = max(before, reached)
    if floor > before:
        connection.execute("DELETE FROM feed WHERE gone=1 AND seq<=?", (floor,))
        sql = "DELETE FROM change_verdict WHERE row NOT IN (SELECT row FROM feed WHERE entity=?)"
        connection.execute(sql, (verdicts,))
        connection.execute("DELETE FROM commit_mark WHERE seq<?", (floor,))
        connection.execute("UPDATE chain SET floor=?", (floor,))
    return int(floor)
