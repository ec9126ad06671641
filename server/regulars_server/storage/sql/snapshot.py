"""What can be read in one open transaction: plain functions over SQL, run where the connection is.

Rows are joined by small integers. `feed` says which scopes hold a row, so a scoped snapshot adds one
look into it for each row that it considers; an unscoped one adds nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

import orjson

from regulars_schema.declare import JSON, Level, Registry
from regulars_server.storage.interface import (
    Bucket,
    Choice,
    Chosen,
    EqualKey,
    FeedPage,
    FeedRows,
    Found,
    Happened,
    Head,
    Noted,
    OpenCount,
    Order,
    Since,
    Tail,
    Where,
)
from regulars_server.storage.layout import Table, check_order, check_where, level_of
from regulars_server.storage.sql.dialect import Connection, Dialect
from regulars_server.storage.sql.where import WhereText, beyond_sql, order_column, order_sql
from regulars_server.storage.tables import TABLES
from regulars_server.storage.verify import check_log
from regulars_sync import digest, trail
from regulars_sync.digest import EMPTY, Digest
from regulars_sync.log import ACCEPTED, Entry
from regulars_sync.protocol import Acked
from regulars_sync.scope import unit_of, unit_scope

Terms = Mapping[str, int]
"""`<entity>` and `<entity>.<field>` by their numbers in this database."""

CHOICE = (
    "(verdict = 'merged' OR code = 'stamp_replaced'"
    " OR (verdict = 'applied' AND detail IS NOT NULL AND code IS DISTINCT FROM 'erased'))"
)
"""The condition of the index `log_choice`, so that it serves."""
VERIFIED_AT_ONCE = 2_000
COUNTED_AT_ONCE = 100
_OF_A_PERSON = (
    ("customer", "id"),
    ("link", "from_customer"),
    ("link", "to_customer"),
    ("identity", "one"),
    ("identity", "other"),
)
"""What tells of a person beside what was recorded, and where it names a customer."""
_TOOK_EFFECT = (
    "b.verdict IN ('applied', 'merged') AND NOT EXISTS"
    " (SELECT 1 FROM log e WHERE e.cid=b.cid AND e.pos < b.pos AND e.verdict IN ('applied', 'merged'))"
)
_BEYOND = "SELECT 1 FROM feed WHERE scope=? AND seq>? LIMIT 1"


class Snapshot:
    """One snapshot of a database, for one reader; `scopes` None is the unscoped one."""

    def __init__(
        self,
        connection: Connection,
        dialect: Dialect,
        registry: Registry,
        terms: Terms,
        scopes: frozenset[str] | None,
    ) -> None:
        self.connection = connection
        self.dialect = dialect
        self.registry = registry
        self.terms = terms
        self.scopes = scopes
        self.fixed: Head | None = None
        """The head, once it was looked at: a snapshot's stands, and nobody else moves a writer's."""
        self._plans_anew = False
        self.names = {number: name for name, number in terms.items()}
        self.scope_ids: dict[str, int] = {}
        if scopes:
            sql = "SELECT name, id FROM scope WHERE name IN (SELECT value FROM json_each(?))"
            self.scope_ids = dict(self.rows(sql, dialect.list(scopes)))
        self._ids_at = {
            level: ",".join(str(id) for name, id in sorted(self.scope_ids.items()) if level_of(name) is level)
            for level in Level
        }

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return list(self.connection.execute(sql, parameters))

    def head(self) -> Head:
        return self.fixed or self.fix()[0]

    def fix(self) -> tuple[Head, str]:
        """Look at the head, which nothing moves from here on, and at the epoch."""
        sql = (
            "SELECT c.epoch, m.seq, m.mark, c.stamp_max, c.floor FROM chain c, commit_mark m"
            " WHERE m.seq = (SELECT max(seq) FROM commit_mark)"
        )
        epoch, *found = self.rows(sql)[0]
        self.fixed = Head(*found)
        return self.fixed, epoch

    # --- rows --------------------------------------------------------------------------------------

    def reaching(self, entity: str, level: Level = Level.INTERNAL, t: str = "t") -> str:
        """The condition that a document of the row `t` is within reach."""
        if self.scopes is None:
            return f"{t}.row NOT IN (SELECT row FROM erased WHERE entity={self.terms[entity]})"
        return (
            f"EXISTS (SELECT 1 FROM feed f WHERE f.entity={self.terms[entity]} AND f.row={t}.row"
            f" AND f.scope IN ({self._ids_at[level] or 'NULL'}) AND f.gone=0)"
        )

    def find(self, entity: str, ids: Collection[str]) -> dict[str, Found]:
        if entity not in TABLES:
            return {}
        wanted = "t.id IN (SELECT value FROM json_each(?))"
        found = self._found(TABLES[entity], "id", wanted, [self.dialect.list(ids)], "")
        return {row.id: row for row in found}

    def select(
        self,
        entity: str,
        where: Where | None,
        order: Order,
        limit: int,
        after: tuple[JSON, str] | None,
        before: tuple[JSON, str] | None,
        backwards: bool,
    ) -> list[Found]:
        table = TABLES[entity]
        check_order(table, order)
        column = order_column(table, order)
        condition, parameters = self._condition(table, where)
        for key, descending in ((after, order.descending), (before, not order.descending)):
            if key is not None:
                beyond = beyond_sql(column, key, descending)
                condition += f" AND {beyond.text}"
                parameters += beyond.parameters
        way = order_sql(column, order.descending is not backwards)
        found = self._found(table, column, condition, [*parameters, limit], f"ORDER BY {way} LIMIT ?")
        return found[::-1] if backwards else found

    def count(self, entity: str, where: Where | None) -> int:
        table = TABLES[entity]
        condition, parameters = self._condition(table, where)
        sql = f'SELECT count(*) FROM "{entity}" t WHERE {self.reaching(entity)} AND {condition}'
        return int(self.rows(sql, *parameters)[0][0])

    def counts(self, entity: str, wheres: Sequence[Where]) -> list[int]:
        table, found = TABLES[entity], dict[int, int]()
        for start in range(0, len(wheres), COUNTED_AT_ONCE):
            selects: list[str] = []
            parameters: list[JSON] = []
            for place, where in enumerate(wheres[start : start + COUNTED_AT_ONCE], start):
                condition, more = self._condition(table, where)
                parameters += more
                within = f'FROM "{entity}" t WHERE {self.reaching(entity)} AND {condition}'
                selects.append(f"SELECT {place} AS place, count(*) {within}")
            found |= dict(self.rows(" UNION ALL ".join(selects), *parameters))
        return [found[place] for place in range(len(wheres))]

    def passing(self, entity: str, where: Where | None) -> tuple[str, list[JSON]]:
        """The condition on the row `t`, and its parameters."""
        return self._condition(TABLES[entity], where)

    def _condition(self, table: Table, where: Where | None) -> tuple[str, list[JSON]]:
        check_where(TABLES, table, where)
        if where is None:
            return "TRUE", []
        made = WhereText(self.terms, self.dialect, self.reaching)
        condition = made.condition(table.name, where)
        if made.has_rule and not self._plans_anew:
            self.dialect.plan_anew(self.connection)
            self._plans_anew = True
        return condition, made.parameters

    def _found(
        self, table: Table, column: str, condition: str, parameters: list[JSON], tail: str
    ) -> list[Found]:
        """The rows within reach under a condition, as `Found`. One statement."""
        join, more = "", ""
        if table.sensitive and (self.scopes is None or self._ids_at[Level.SENSITIVE]):
            reaching = self.reaching(table.name, Level.SENSITIVE)
            join = f" LEFT JOIN {table.name}_sensitive s ON s.row=t.row AND {reaching}"
            more = ", s.document, s.seq"
        sql = (
            f'SELECT t.id, t.document, t.seq, t."{column}"{more} FROM "{table.name}" t{join}'
            f" WHERE {self.reaching(table.name)} AND {condition} {tail}"
        )
        declared = table.column(column)
        is_bool = declared is not None and declared.type == "bool"
        result: list[Found] = []
        for id, document, seq, value, *sensitive in self.connection.execute(sql, parameters):
            documents = {} if document is None else {Level.INTERNAL: document}
            seqs = dict.fromkeys(documents, seq)
            if sensitive and sensitive[0] is not None:
                documents[Level.SENSITIVE] = sensitive[0]
                seqs[Level.SENSITIVE] = sensitive[1]
            if is_bool and value is not None:
                value = bool(value)
            result.append(Found(id, documents, (value, id), seqs))
        return result

    # --- feed --------------------------------------------------------------------------------------

    def feed(self, after: Mapping[str, int], rows_max: int, bytes_max: int) -> FeedPage:
        if self.scopes is not None and not after.keys() <= self.scopes:
            raise LookupError(f"not this reader's: {sorted(after.keys() - self.scopes)}")
        ids = self.scope_ids
        if self.scopes is None and after:
            sql = "SELECT name, id FROM scope WHERE name IN (SELECT value FROM json_each(?))"
            ids = dict(self.rows(sql, self.dialect.list(after)))
        head = self.head().seq
        reached = dict(after)
        page: list[FeedRows] = []
        rows_left, bytes_left = max(rows_max, 1), bytes_max
        for scope in sorted(after):
            start = after[scope]
            number = ids.get(scope)
            if number is None or start >= head:
                reached[scope] = max(start, head)
                continue
            if rows_left <= 0 or (bytes_left <= 0 and page):
                if self.rows(_BEYOND, number, start):
                    return FeedPage(page, reached, True)
                reached[scope] = max(start, head)
                continue
            sql = "SELECT seq FROM feed WHERE scope=? AND seq>? ORDER BY seq LIMIT 2 OFFSET ?"
            bound = self.rows(sql, number, start, rows_left - 1)
            more = len(bound) == 2
            last = bound[0][0] if bound else head
            sql = "SELECT DISTINCT entity, gone FROM feed WHERE scope=? AND seq>? AND seq<=?"
            kinds = set(self.rows(sql, number, start, last))
            entities = sorted({entity for entity, _ in kinds}, key=lambda entity: self.names[entity])
            parts = {e: self._documents(scope, number, e, start, last) for e in entities if (e, 0) in kinds}
            size = sum(len(document) for part in parts.values() for _, document in part)
            if size > bytes_left:
                cut = _cut(parts.values(), bytes_left)
                if more or self.rows(_BEYOND, number, cut):
                    more, last = True, cut
                    parts = {e: [item for item in part if item[0] <= cut] for e, part in parts.items()}
            for e in entities:
                documents = [document for _, document in parts.get(e, ())]
                gone = self._left(number, e, start, last) if (e, 1) in kinds else []
                left = [id for id, _ in gone]
                if documents or left:
                    erased = [id for id, is_erased in gone if is_erased]
                    page.append(FeedRows(scope, self.names[e], documents, left, erased))
                    rows_left -= len(documents) + len(left)
            if more:
                reached[scope] = last
                return FeedPage(page, reached, True)
            bytes_left -= size
            reached[scope] = max(start, head)
        return FeedPage(page, reached, False)

    def _documents(
        self, scope: str, number: int, entity: int, after: int, last: int
    ) -> list[tuple[int, bytes]]:
        """(seq, document) of what of an entity stands in a stretch of a scope's feed."""
        name = self.names[entity]
        level = level_of(scope)
        if level is not Level.INTERNAL:
            name += f"_{level}"
        sql = (
            f'SELECT f.seq, t.document FROM feed f INDEXED BY feed_by_seq CROSS JOIN "{name}" t'
            " ON t.row=f.row WHERE f.scope=? AND f.seq>? AND f.seq<=? AND f.entity=? AND f.gone=0"
            " ORDER BY f.seq"
        )
        return self.rows(sql, number, after, last, entity)

    def _left(self, number: int, entity: int, after: int, last: int) -> list[tuple[str, int]]:
        """(id, whether it was erased) of what of an entity left, in a stretch of a scope's feed."""
        sql = (
            "SELECT t.id, EXISTS (SELECT 1 FROM erased e WHERE e.entity=f.entity AND e.row=f.row)"
            f' FROM feed f INDEXED BY feed_by_seq CROSS JOIN "{self.names[entity]}" t'
            " ON t.row=f.row WHERE f.scope=? AND f.seq>? AND f.seq<=? AND f.entity=? AND f.gone=1"
            " ORDER BY f.seq"
        )
        return self.rows(sql, number, after, last, entity)

    def digests(self, scopes: Collection[str]) -> dict[str, Digest]:
        if self.scopes is not None and not self.scopes.issuperset(scopes):
            raise LookupError(f"not this reader's: {sorted(set(scopes) - self.scopes)}")
        sql = "SELECT name, count, hash FROM scope WHERE name IN (SELECT value FROM json_each(?))"
        found = {
            name: Digest(count, hash.hex()) for name, count, hash in self.rows(sql, self.dialect.list(scopes))
        }
        return {scope: found.get(scope, EMPTY) for scope in scopes}

    def buckets(self, scope: str) -> dict[int, Bucket]:
        hashes: list[bytes] = []
        sizes: dict[int, int] = {}
        for _, rows in self._held(scope, "t.hash, length(t.document)"):
            for hash, size in rows:
                hashes.append(hash)
                sizes[hash[0]] = sizes.get(hash[0], 0) + size
        return {byte: Bucket(found, sizes[byte]) for byte, found in digest.buckets(hashes).items()}

    def bucket_rows(self, scope: str, buckets: Collection[int]) -> list[FeedRows]:
        wanted = sorted(set(buckets))
        condition = f"AND substr(t.hash, 1, 1) IN ({','.join('?' * len(wanted))})" if wanted else "AND FALSE"
        asked = self._held(scope, "t.document", condition, [bytes([byte]) for byte in wanted])
        found = [(name, [d for (d,) in rows]) for name, rows in asked]
        return [FeedRows(scope, name, documents, []) for name, documents in found if documents]

    def _held(
        self, scope: str, columns: str, condition: str = "", parameters: Sequence[Any] = ()
    ) -> Iterator[tuple[str, Iterable[tuple[Any, ...]]]]:
        """Each entity of which a scope holds rows, and these columns of them. A statement for each entity."""
        if self.scopes is not None and scope not in self.scopes:
            raise LookupError(f"not this reader's: {scope}")
        level = level_of(scope)
        suffix = "" if level is Level.INTERNAL else f"_{level}"
        for name in sorted(TABLES):
            if suffix and not TABLES[name].sensitive:
                continue
            sql = (
                f'SELECT {columns} FROM feed f INDEXED BY feed_by_seq CROSS JOIN "{name}{suffix}" t'
                " ON t.row=f.row WHERE f.scope=(SELECT id FROM scope WHERE name=?)"
                f" AND f.entity=? AND f.gone=0 {condition} ORDER BY f.seq"
            )
            yield name, self.connection.execute(sql, (scope, self.terms[name], *parameters))

    # --- devices, marks, log -------------------------------------------------------------------------

    def acks(self, device: str, incarnations: Collection[str]) -> dict[str, Acked]:
        sql = "SELECT id, n, trail FROM incarnation WHERE device=? AND id IN (SELECT value FROM json_each(?))"
        found = {id: Acked(n, at) for id, n, at in self.rows(sql, device, self.dialect.list(incarnations))}
        return {id: found.get(id) or Acked(0, trail.start(id)) for id in incarnations}

    def is_cloned(self, device: str, incarnations: Collection[str]) -> bool:
        sql = (
            "SELECT 1 FROM incarnation"
            " WHERE device=? AND cloned=1 AND id IN (SELECT value FROM json_each(?)) LIMIT 1"
        )
        return bool(self.rows(sql, device, self.dialect.list(incarnations)))

    def commits(self, after: int) -> list[int]:
        return [seq for (seq,) in self.rows("SELECT seq FROM commit_mark WHERE seq>? ORDER BY seq", after)]

    def knows_mark(self, seq: int, mark: str) -> bool:
        return bool(self.rows("SELECT 1 FROM commit_mark WHERE seq=? AND mark=?", seq, mark))

    def since(self, after: Mapping[str, int], entries_max: int) -> Since:
        if self.scopes is not None and not after.keys() <= self.scopes:
            raise LookupError(f"not this reader's: {sorted(after.keys() - self.scopes)}")
        entries, departed = 0, False
        for scope, seq in after.items():
            sql = (
                "SELECT count(*), coalesce(max(gone), 0) FROM (SELECT gone FROM feed WHERE"
                " scope=(SELECT id FROM scope WHERE name=?) AND seq>? ORDER BY seq LIMIT ?) AS beyond"
            )
            ((count, gone),) = self.rows(sql, scope, seq, entries_max + 1)
            entries += count
            departed = departed or bool(gone)
        ((erased,),) = self.rows("SELECT count(*) FROM erased")
        return Since(entries, departed, erased)

    def history(self, entity: str, id: str) -> list[Entry]:
        if not (self.find(entity, [id]) if entity in TABLES else self.scopes is None):
            return []
        sql = f"SELECT {COLUMNS} FROM log WHERE id=? AND entity=? ORDER BY pos"
        return [entry_of(row) for row in self.rows(sql, id, entity)]

    def histories(self, entity: str, ids: Collection[str]) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {id: [] for id in self.find(entity, ids)}
        among = "id IN (SELECT value FROM json_each(?))"
        sql = f"SELECT {COLUMNS} FROM log WHERE {among} AND entity=? ORDER BY pos"
        for row in self.rows(sql, self.dialect.list(found), entity):
            entry = entry_of(row)
            found[entry.id].append(entry)
        return found

    def happened(
        self,
        asked: Sequence[tuple[str, str]],
        limit: int,
        before: tuple[int, int] | None,
        fields: frozenset[str] | None,
    ) -> dict[str, list[Happened]]:
        found: dict[str, list[Happened]] = {person: [] for person, _ in asked}
        if not asked:
            return found
        parameters: list[JSON] = [text for pair in asked for text in pair]
        abouts = [
            f"SELECT a.person, '{entity}' AS entity, t.id FROM asked a CROSS JOIN {entity} t"
            f" WHERE t.{column}=a.id AND {self.reaching(entity)}"
            for entity, column in _OF_A_PERSON
        ]
        wrote = "TRUE"
        if fields is not None:
            wrote = self.dialect.wrote
            parameters.append(self.dialect.list(sorted(fields)))
        beyond = "TRUE"
        if before is not None:
            beyond = "(b.at_ms < ? OR (b.at_ms = ? AND b.pos < ?))"
            parameters += [before[0], *before]
        sql = (
            f"WITH asked(person, id) AS (VALUES {', '.join(['(?, ?)'] * len(asked))}),"
            f" about AS ({' UNION '.join(abouts)})"
            " SELECT person, at_ms, pos, cid FROM (SELECT a.person AS person, b.at_ms AS at_ms, b.pos AS pos,"
            " b.cid AS cid, row_number() OVER (PARTITION BY a.person ORDER BY b.at_ms DESC, b.pos DESC)"
            " AS place FROM about a CROSS JOIN log b WHERE b.id=a.id AND b.entity=a.entity"
            f" AND {_TOOK_EFFECT} AND EXISTS (SELECT 1 FROM log f WHERE f.cid=b.cid AND f.body IS NOT NULL"
            f" AND {wrote}) AND {beyond}) ranked WHERE place <= ? ORDER BY place"
        )
        rows = self.rows(sql, *parameters, limit)
        entries = self.entries(cid.hex() for *_, cid in rows)
        for person, at_ms, pos, cid in rows:
            found[person].append(Happened(at_ms, pos, entries[cid.hex()]))
        return found

    def holders(self, customers: Collection[str]) -> dict[str, frozenset[str]]:
        sql = (
            "SELECT t.id, s.name FROM customer t CROSS JOIN feed h CROSS JOIN scope s"
            f" WHERE t.id IN (SELECT value FROM json_each(?)) AND {self.reaching('customer')}"
            f" AND h.entity={self.terms['customer']} AND h.row=t.row AND h.gone=0 AND s.id=h.scope"
        )
        if self.scopes is not None:
            sql += f" AND h.scope IN ({self._ids_at[Level.INTERNAL] or 'NULL'})"
        found: dict[str, set[str]] = {}
        for id, scope in self.rows(sql, self.dialect.list(customers)):
            if (unit := unit_of(scope)) is not None:
                found.setdefault(id, set()).add(unit)
        return {id: frozenset(units) for id, units in found.items()}

    def open_entries(
        self, limit: int, after: int, device: str | None, cids: Collection[str] | None
    ) -> list[Entry]:
        condition = "TRUE"
        parameters: list[Any] = [after]
        if device is not None:
            condition += " AND b.device=?"
            parameters.append(device)
        if self.scopes is not None:
            condition += f" AND {self._entry_in_reach()}"
        if cids is None:
            found = self._open_cids(condition, parameters, limit)
        else:
            found = []
            for among, part in self.dialect.blobs(cids):
                found += self._open_cids(f"{condition} AND b.cid {among}", [*parameters, *part], limit)
        entries = sorted(self.entries(found).values(), key=_by_pos)
        return entries[:limit]

    def open_counts(self) -> list[OpenCount]:
        if self.scopes is not None:
            raise LookupError("only the unscoped reader counts what is open")
        sql = (
            "SELECT l.verdict, l.code, COUNT(*), MIN(b.at_ms) FROM log b JOIN log l"
            " ON l.pos = (SELECT MAX(e.pos) FROM log e WHERE e.cid=b.cid)"
            " WHERE b.verdict IN ('held', 'rejected')"
            " AND NOT EXISTS (SELECT 1 FROM log e WHERE e.cid=b.cid AND e.pos < b.pos)"
            " AND l.closed=0 AND l.verdict IN ('held', 'rejected') GROUP BY l.verdict, l.code"
        )
        found = [OpenCount(*row) for row in self.rows(sql)]
        return sorted(found, key=lambda one: (one.verdict, one.code or ""))

    def _open_cids(self, condition: str, parameters: list[Any], limit: int) -> list[str]:
        """The cids whose latest entry is open, in order of their first entries, which `b` is."""
        sql = (
            "SELECT b.cid FROM log b WHERE b.verdict IN ('held', 'rejected') AND b.pos > ?"
            " AND NOT EXISTS (SELECT 1 FROM log e WHERE e.cid=b.cid AND e.pos < b.pos)"
            " AND (SELECT e.closed=0 AND e.verdict IN ('held', 'rejected') FROM log e"
            f" WHERE e.cid=b.cid ORDER BY e.pos DESC LIMIT 1) AND {condition} ORDER BY b.pos LIMIT ?"
        )
        return [cid.hex() for (cid,) in self.rows(sql, *parameters, limit)]

    def _entry_in_reach(self) -> str:
        return f"({self._device_in_reach()} OR {self._row_in_reach()})"

    def _device_in_reach(self) -> str:
        assert self.scopes is not None
        units = [scope[5:] for scope in sorted(self.scopes) if unit_scope(scope[5:]) == scope]
        quoted = ",".join("'" + unit.replace("'", "''") + "'" for unit in units) or "NULL"
        return f"EXISTS (SELECT 1 FROM device d WHERE d.id=b.device AND d.unit IN ({quoted}))"

    def _row_in_reach(self) -> str:
        rows = " ".join(
            f"WHEN '{name}' THEN EXISTS"
            f' (SELECT 1 FROM "{name}" t WHERE t.id=b.id AND {self.reaching(name)})'
            for name in TABLES
        )
        return f"CASE b.entity {rows} END"

    def accepted(self, cids: Iterable[str]) -> dict[str, Entry]:
        found: set[str] = set()
        for among, part in self.dialect.blobs(cids):
            sql = (
                f"SELECT b.cid FROM log b WHERE b.cid {among} AND b.verdict IN ('applied', 'merged')"
                f" AND {self._row_in_reach()}"
            )
            found.update(cid.hex() for (cid,) in self.rows(sql, *part))
        return {cid: entry for cid, entry in self.entries(found).items() if entry.body is not None}

    def choices(self, limit: int, before: int | None, chosen: Chosen) -> list[Choice]:
        sql = (
            f"SELECT b.pos, b.at_ms, b.cid FROM log b WHERE {CHOICE} AND {self._row_in_reach()}"
            " AND EXISTS (SELECT 1 FROM log f WHERE f.cid=b.cid AND f.body IS NOT NULL)"
        )
        parameters: list[JSON] = []
        for value, condition in (
            (before, "b.pos < ?"),
            (chosen.device, "b.device=?"),
            (chosen.unit, "b.device IN (SELECT id FROM device WHERE unit=?)"),
            (chosen.since_ms, "b.at_ms >= ?"),
        ):
            if value is not None:
                sql += f" AND {condition}"
                parameters.append(value)
        if chosen.fields is not None:
            bare = "b.code='stamp_replaced' OR b.detail IS NULL OR " if chosen.bare else ""
            sql += f" AND ({bare}{self.dialect.touches})"
            parameters.append(self.dialect.list(sorted(chosen.fields)))
        found = self.rows(f"{sql} ORDER BY b.pos DESC LIMIT ?", *parameters, limit)
        entries = self.entries(cid.hex() for _, _, cid in found)
        return [Choice(pos, at_ms, entries[cid.hex()]) for pos, at_ms, cid in found]

    def tail(self, after: int, limit: int) -> Tail:
        if self.scopes is not None:
            raise LookupError("the log is the unscoped reader's")
        sql = "SELECT pos, entity, id, verdict FROM log WHERE pos>? ORDER BY pos LIMIT ?"
        found = [
            Noted(pos, entity, id, verdict in ACCEPTED)
            for pos, entity, id, verdict in self.rows(sql, after, limit)
        ]
        return Tail(found, self.rows("SELECT coalesce(max(pos), 0) FROM log")[0][0])

    def gaps(self, limit: int, device: str | None) -> list[Entry]:
        sql, parameters = f"SELECT {COLUMNS} FROM log b WHERE code='number_gap'", []
        if device is not None:
            sql += " AND b.device=?"
            parameters.append(device)
        if self.scopes is not None:
            sql += f" AND {self._device_in_reach()}"
        return [entry_of(row) for row in self.rows(f"{sql} ORDER BY pos DESC LIMIT ?", *parameters, limit)]

    def entries(self, cids: Iterable[str]) -> dict[str, Entry]:
        """What the log knows of these cids: the first entry of each under what the latest says."""
        found: dict[str, Entry] = {}
        for among, part in self.dialect.blobs(cids):
            for row in self.rows(f"SELECT {COLUMNS} FROM log WHERE cid {among} ORDER BY pos", *part):
                later = entry_of(row)
                entry = found.setdefault(later.cid, later)
                if later is not entry:
                    follow(entry, later)
        return found

    def about(self, ids: Collection[str], named: Collection[str]) -> list[Entry]:
        sql = "SELECT cid FROM log WHERE id IN (SELECT value FROM json_each(?))"
        cids = [cid for (cid,) in self.rows(sql, self.dialect.list(ids))]
        sql = f"SELECT cid FROM log WHERE {self.dialect.names}"
        cids += [cid for (cid,) in self.rows(sql, self.dialect.list(named))]
        return sorted(self.entries(cid.hex() for cid in cids).values(), key=_by_pos)

    def members(self, groups: Collection[str]) -> list[Entry]:
        cids: list[bytes] = []
        for among, part in self.dialect.blobs(groups):
            sql = (
                f"SELECT cid FROM log WHERE cid {among} AND grp IS NULL"
                f" UNION SELECT cid FROM log WHERE grp {among}"
            )
            cids += [cid for (cid,) in self.rows(sql, *part, *part)]
        entries = self.entries(cid.hex() for cid in cids)
        mends: list[bytes] = []
        for among, part in self.dialect.blobs(entries):
            sql = f"SELECT DISTINCT cid FROM log WHERE replaces {among}"
            mends += [cid for (cid,) in self.rows(sql, *part)]
        for cid, entry in self.entries(cid.hex() for cid in mends).items():
            if entry.is_open:
                entries.setdefault(cid, entry)
        return sorted(entries.values(), key=_by_pos)

    def waiting(self, keys: Collection[str]) -> list[str]:
        sql = "SELECT grp FROM queue WHERE waits IN (SELECT value FROM json_each(?)) ORDER BY n"
        return [group.hex() for (group,) in self.rows(sql, self.dialect.list(keys))]

    def verify_log(self, path: str) -> int:
        return check_log(self._log(), self.head().stamp_max, path)

    def _log(self) -> Iterator[Entry]:
        """The whole log, some of it at a time."""
        sql, pos = f"SELECT {COLUMNS} FROM log WHERE pos > ? ORDER BY pos LIMIT {VERIFIED_AT_ONCE}", 0
        while rows := self.rows(sql, pos):
            yield from map(entry_of, rows)
            pos = rows[-1][0]

    # --- identity -------------------------------------------------------------------------------------

    def clusters(self, customers: Collection[str]) -> dict[str, tuple[str, ...]]:
        sql = (
            "WITH asked AS (SELECT c.id AS id, coalesce(m.survivor, c.row) AS survivor FROM customer c"
            " LEFT JOIN merged m ON m.row=c.row WHERE c.id IN (SELECT value FROM json_each(?)))"
            " SELECT a.id, t.id FROM asked a CROSS JOIN merged m ON m.survivor=a.survivor"
            f" CROSS JOIN customer t ON t.row=m.row WHERE {self.reaching('customer')} UNION"
            " SELECT a.id, t.id FROM asked a CROSS JOIN customer t ON t.row=a.survivor"
            f" WHERE {self.reaching('customer')} AND EXISTS (SELECT 1 FROM merged WHERE survivor=t.row)"
        )
        found: dict[str, list[str]] = {}
        for id, member in self.rows(sql, self.dialect.list(customers)):
            found.setdefault(id, []).append(member)
        return {id: tuple(sorted(ids)) for id, ids in found.items() if id in ids}

    def equal_keys(self, limit: int) -> list[EqualKey]:
        table = TABLES["customer"]
        within = f"t.archived IS DISTINCT FROM 1 AND {self.reaching('customer')}"
        parts: list[str] = []
        for field in self.registry.by_name["customer"].fields:
            if not field.identity:
                continue
            if table.keys_of(field.name):
                number = self.terms[f"customer.{field.name}"]
                parts.append(
                    f"SELECT '{field.name}' AS field, e.key AS key, t.id AS id, t.row AS row FROM element e"
                    f" CROSS JOIN customer t ON t.row=e.row WHERE e.field={number} AND e.key IN"
                    f" (SELECT key FROM element WHERE field={number} GROUP BY key HAVING count(*) > 1)"
                    f" AND substr(e.key, 1, 1) <> '?' AND {within}"
                )
            else:
                column = f't."{field.name}"'
                parts.append(
                    f"SELECT '{field.name}', {column}, t.id, t.row FROM customer t WHERE {column} IN"
                    f' (SELECT "{field.name}" FROM customer WHERE "{field.name}" IS NOT NULL'
                    f" AND \"{field.name}\" <> '' GROUP BY 1 HAVING count(*) > 1) AND {within}"
                )
        sql = (
            f"SELECT field, key, {self.dialect.ids} FROM"
            " (SELECT field, key, id, coalesce(m.survivor, p.row) AS person"
            f" FROM ({' UNION ALL '.join(parts)}) AS p LEFT JOIN merged m ON m.row=p.row"
            " ORDER BY field, key, id) AS found"
            " GROUP BY field, key HAVING count(DISTINCT person) > 1 ORDER BY field, key LIMIT ?"
        )
        return [EqualKey(f, key, tuple(sorted(orjson.loads(ids)))) for f, key, ids in self.rows(sql, limit)]


COLUMNS = (
    "pos, cid, grp, entity, id, verdict, code, field, detail, device, incarnation, n, actor, replaces"
    ", closed, stamp, at_ms, body, key, digest, hash"
)


def entry_of(row: Sequence[Any]) -> Entry:
    pos, cid, group, entity, id, verdict, code, field, detail, device, incarnation, n, *rest = row
    actor, replaces, closed, stamp, at_ms, body, key, digest, hash = rest
    return Entry(
        cid=cid.hex(),
        group=(cid if group is None else group).hex(),
        entity=entity,
        id=id,
        verdict=verdict,
        code=code,
        field=field,
        detail=None if detail is None else orjson.loads(detail),
        device=device,
        incarnation=incarnation,
        n=n,
        actor=actor,
        replaces=None if replaces is None else replaces.hex(),
        closed=bool(closed),
        stamp=stamp,
        at_ms=at_ms,
        body=body,
        key=key,
        digest=digest,
        hash=hash,
        pos=pos,
    )


def entry_row(entry: Entry) -> tuple[Any, ...]:
    """The entry in the order of `COLUMNS`; the group of a change that is its own group is not repeated."""
    return (
        entry.pos,
        bytes.fromhex(entry.cid),
        None if entry.group == entry.cid else bytes.fromhex(entry.group),
        entry.entity,
        entry.id,
        entry.verdict,
        entry.code,
        entry.field,
        None if entry.detail is None else orjson.dumps(entry.detail).decode(),
        entry.device,
        entry.incarnation,
        entry.n,
        entry.actor,
        None if entry.replaces is None else bytes.fromhex(entry.replaces),
        entry.closed,
        entry.stamp,
        entry.at_ms,
        entry.body,
        entry.key,
        entry.digest,
        entry.hash,
    )


def follow(entry: Entry, later: Entry) -> None:
    """Let the first entry of a cid say what a later one says of it."""
    entry.verdict, entry.code, entry.field = later.verdict, later.code, later.field
    entry.detail, entry.stamp, entry.closed = later.detail, later.stamp, later.closed


_by_pos = attrgetter("pos")


def _cut(parts: Iterable[list[tuple[int, bytes]]], bytes_max: int) -> int:
    """The seq at which the documents, oldest first, pass so many bytes."""
    for seq, document in sorted(item for part in parts for item in part):
        bytes_max -= len(document)
        if bytes_max <= 0:
            return seq
    raise AssertionError("asked for only when they pass")
