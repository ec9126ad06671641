"""The replica file: the server's documents byte for byte, which scopes hold them, cursor and acks.

One transaction moves rows, cursor and acks together, so what is laid over the rows (the outbox)
always fits them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
import orjson

from regulars.files import File
from regulars_schema.declare import JSON, Entity, Level, Registry
from regulars_schema.normal import search_text, sort_name
from regulars_sync.digest import EMPTY, Digest, add, row_hash
from regulars_sync.document import nested
from regulars_sync.errors import LocalError
from regulars_sync.protocol import Acked, Head, PullAnswer, Rows

KIND = 0x52475231

DDL = """
CREATE TABLE said (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE stage (pos INTEGER PRIMARY KEY, page BLOB NOT NULL);
CREATE TABLE row (
    entity TEXT NOT NULL, id TEXT NOT NULL, level TEXT NOT NULL, document BLOB NOT NULL,
    PRIMARY KEY (entity, id, level)) WITHOUT ROWID;
CREATE TABLE member (
    scope TEXT NOT NULL, entity TEXT NOT NULL, id TEXT NOT NULL, level TEXT NOT NULL, hash BLOB NOT NULL,
    PRIMARY KEY (scope, entity, id)) WITHOUT ROWID;
CREATE INDEX member_row ON member (entity, id, level);
CREATE TABLE digest (scope TEXT PRIMARY KEY, rows INTEGER NOT NULL, hash TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE find (
    entity TEXT NOT NULL, sort TEXT NOT NULL, id TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (entity, sort, id)) WITHOUT ROWID;
CREATE UNIQUE INDEX find_id ON find (entity, id);
CREATE TABLE element (
    entity TEXT NOT NULL, field TEXT NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL,
    PRIMARY KEY (entity, field, key, id)) WITHOUT ROWID;
CREATE INDEX element_id ON element (entity, id)
"""

Key = tuple[str, str]
_acks = msgspec.json.Decoder(dict[str, Acked])
_page = msgspec.json.Decoder(PullAnswer)


class Applied(NamedTuple):
    """What applying the staged pages did."""

    changed: set[Key]
    differing: list[str]
    """Scopes whose digest is not the server's; empty is the proof of equality."""
    acks: dict[str, Acked]
    still_open: list[str]
    erased: list[str]
    """The cids of own changes that were about somebody who was erased."""


class Replica:
    """The server's rows within reach of this device, as of the last applied head."""

    def __init__(self, path: Path, registry: Registry, durable: bool = True) -> None:
        self.file = File(path, KIND, DDL, durable)
        self._registry = registry

    # --- receiving --------------------------------------------------------------------------------------

    async def cursor(self) -> str | None:
        """Where the next pull goes on: behind the last staged page, else behind what was applied."""

        def work(connection: sqlite3.Connection) -> str | None:
            row = connection.execute("SELECT page FROM stage ORDER BY pos DESC LIMIT 1").fetchone()
            if row:
                return _page.decode(row[0]).cursor
            return said(connection, "cursor")

        return await self.file.read(work)

    async def stage(self, page: PullAnswer) -> None:
        """Keep a page durably; nothing of it is shown before it is applied."""
        raw = msgspec.json.encode(page)
        await self.file.write(lambda c: c.execute("INSERT INTO stage (page) VALUES (?)", (raw,)))

    async def reset(self) -> None:
        """Forget cursor and stage. The rows stay and are shown until the next apply replaces them all."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM stage")
            connection.execute("DELETE FROM said WHERE name = 'cursor'")

        await self.file.write(work)

    async def wipe(self) -> set[Key]:
        """Delete everything, so that not a byte of it is left; which rows there were."""
        gone: set[Key] = set()

        def work(connection: sqlite3.Connection) -> None:
            gone.update(connection.execute("SELECT DISTINCT entity, id FROM row"))
            for table in ("said", "stage", "row", "member", "digest", "find", "element"):
                connection.execute(f"DELETE FROM {table}")

        await self.file.purge(work)
        return gone

    async def apply(self, head: Head, now_ms: int) -> Applied:
        """Move rows, cursor and acks to where the staged pages lead, in one transaction."""

        def work(connection: sqlite3.Connection) -> Applied:
            changed: set[Key] = set()
            erased = False
            if said(connection, "cursor") is None:
                changed |= set(connection.execute("SELECT DISTINCT entity, id FROM row"))
                for table in ("row", "member", "digest", "find", "element"):
                    connection.execute(f"DELETE FROM {table}")
                erased = bool(changed)
            page = None
            departures = False
            for (raw,) in connection.execute("SELECT page FROM stage ORDER BY pos").fetchall():
                page = _page.decode(raw)
                for rows in page.pages:
                    changed |= self._enter(connection, rows)
                    erased = erased or bool(rows.erased)
                    if rows.left:
                        departures = True
                        changed |= self._leave(connection, rows.scope, rows.entity, rows.left)
                for scope in page.dropped:
                    departures = True
                    changed |= self._drop(connection, scope)
            assert page is not None
            connection.execute("DELETE FROM stage")
            facts = {
                "cursor": page.cursor,
                "acks": msgspec.json.encode(page.acks),
                "stamp_max": head.stamp_max,
                "epoch": page.epoch,
                "applied_ms": now_ms,
                "departures": int(departures),
            }
            if erased:
                facts["purge"] = 1
            connection.executemany("INSERT OR REPLACE INTO said VALUES (?, ?)", list(facts.items()))
            held = {
                scope: Digest(rows_, hash)
                for scope, rows_, hash in connection.execute("SELECT scope, rows, hash FROM digest")
            }
            differing = [
                scope
                for scope in sorted(head.digests.keys() | held.keys())
                if held.get(scope, EMPTY) != Digest(*head.digests.get(scope, EMPTY))
            ]
            own = verdicts(connection)
            gone = [cid for cid, verdict in own.items() if verdict["code"] == "erased"]
            still_open = [cid for cid, verdict in own.items() if is_open(verdict)]
            return Applied(changed, differing, page.acks, still_open, gone)

        return await self.file.write(work)

    async def purge(self) -> None:
        """Leave no byte of what was erased in the file or beside it; put off while somebody else reads."""
        if await self.file.read(lambda connection: said(connection, "purge")):
            with suppress(LocalError):
                await self.file.purge(lambda connection: None)
                await self.file.write(lambda c: c.execute("DELETE FROM said WHERE name = 'purge'"))

    def _enter(self, connection: sqlite3.Connection, rows: Rows) -> set[Key]:
        """Store the documents of one entity in one scope."""
        if not rows.rows:
            return set()
        name, scope = rows.entity, rows.scope
        level = level_of(scope)
        entity = self._registry.by_name.get(name)
        documents = [bytes(raw) for raw in rows.rows]
        parsed = [orjson.loads(document) for document in documents]
        ids = [document["id"] for document in parsed]
        hashes = [row_hash(name, document) for document in documents]
        before = self._hashes(connection, scope, name, ids)
        self._count(connection, scope, before.values(), hashes)
        connection.executemany(
            "INSERT OR REPLACE INTO member VALUES (?, ?, ?, ?, ?)",
            [(scope, name, id, level, hash) for id, hash in zip(ids, hashes, strict=True)],
        )
        connection.executemany(
            "INSERT OR REPLACE INTO row VALUES (?, ?, ?, ?)",
            [(name, id, level, document) for id, document in zip(ids, documents, strict=True)],
        )
        if entity is not None and level == Level.INTERNAL:
            self._index(
                connection, entity, {id: nested(entity, doc) for id, doc in zip(ids, parsed, strict=True)}
            )
        return {(name, id) for id in ids}

    def _leave(self, connection: sqlite3.Connection, scope: str, name: str, ids: list[str]) -> set[Key]:
        """Take rows out of a scope; a document that no scope holds any more goes, index and all."""
        level = level_of(scope)
        before = self._hashes(connection, scope, name, ids)
        self._count(connection, scope, before.values(), ())
        connection.executemany(
            "DELETE FROM member WHERE scope = ? AND entity = ? AND id = ?",
            [(scope, name, id) for id in before],
        )
        for id in before:
            others = "SELECT 1 FROM member WHERE entity = ? AND id = ? AND level = ? LIMIT 1"
            if connection.execute(others, (name, id, level)).fetchone():
                continue
            connection.execute("DELETE FROM row WHERE entity = ? AND id = ? AND level = ?", (name, id, level))
            if level == Level.INTERNAL:
                connection.execute("DELETE FROM find WHERE entity = ? AND id = ?", (name, id))
                connection.execute("DELETE FROM element WHERE entity = ? AND id = ?", (name, id))
        return {(name, id) for id in before}

    def _drop(self, connection: sqlite3.Connection, scope: str) -> set[Key]:
        changed: set[Key] = set()
        rows = connection.execute("SELECT entity, id FROM member WHERE scope = ?", (scope,)).fetchall()
        for entity in {entity for entity, _ in rows}:
            changed |= self._leave(connection, scope, entity, [id for e, id in rows if e == entity])
        connection.execute("DELETE FROM digest WHERE scope = ?", (scope,))
        return changed

    def _hashes(
        self, connection: sqlite3.Connection, scope: str, name: str, ids: list[str]
    ) -> dict[str, bytes]:
        found = connection.execute(
            "SELECT id, hash FROM member "
            "WHERE scope = ? AND entity = ? AND id IN (SELECT value FROM json_each(?))",
            (scope, name, orjson.dumps(ids).decode()),
        )
        return dict(found.fetchall())

    def _count(
        self, connection: sqlite3.Connection, scope: str, out: Iterable[bytes], in_: Iterable[bytes]
    ) -> None:
        row = connection.execute("SELECT rows, hash FROM digest WHERE scope = ?", (scope,)).fetchone()
        digest = add(add(Digest(*row) if row else EMPTY, out, -1), in_)
        connection.execute("INSERT OR REPLACE INTO digest VALUES (?, ?, ?)", (scope, *digest))

    def _index(
        self, connection: sqlite3.Connection, entity: Entity, rows: dict[str, dict[str, object]]
    ) -> None:
        """Keep what the tablet finds rows by: order, search text, elements of sets and parties."""
        found = connection.execute(
            "SELECT id FROM find WHERE entity = ? AND id IN (SELECT value FROM json_each(?))",
            (entity.name, orjson.dumps(list(rows)).decode()),
        )
        known = [(entity.name, id) for (id,) in found.fetchall()]
        connection.executemany("DELETE FROM find WHERE entity = ? AND id = ?", known)
        connection.executemany("DELETE FROM element WHERE entity = ? AND id = ?", known)
        connection.executemany(
            "INSERT INTO find VALUES (?, ?, ?, ?)",
            [(entity.name, sort_key(entity, v), id, search_text(entity, v)) for id, v in rows.items()],
        )
        connection.executemany(
            "INSERT OR IGNORE INTO element VALUES (?, ?, ?, ?)",
            [(entity.name, field, key, id) for id, v in rows.items() for field, key in index_keys(entity, v)],
        )

    # --- proof ----------------------------------------------------------------------------------------

    async def verify(self) -> dict[str, Digest]:
        """The digest of every scope, computed anew from the stored bytes."""

        def work(connection: sqlite3.Connection) -> dict[str, Digest]:
            digests: dict[str, Digest] = {}
            rows = connection.execute(
                "SELECT m.scope, m.entity, r.document FROM member m LEFT JOIN row r USING (entity, id, level)"
            )
            for scope, entity, document in rows:
                digests[scope] = add(digests.get(scope, EMPTY), [row_hash(entity, document or b"")])
            return digests

        return await self.file.read(work)


# --- reading, on a connection inside somebody's read transaction ----------------------------------------


def said(connection: sqlite3.Connection, name: str) -> str | None:
    row = connection.execute("SELECT value FROM said WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None


def acks(connection: sqlite3.Connection) -> dict[str, Acked]:
    raw = connection.execute("SELECT value FROM said WHERE name = 'acks'").fetchone()
    return _acks.decode(raw[0]) if raw else {}


def documents(connection: sqlite3.Connection, entity: str, ids: Iterable[str]) -> dict[str, list[bytes]]:
    """The documents of these rows, all levels that this replica holds."""
    found: dict[str, list[bytes]] = {}
    for id, document in connection.execute(
        "SELECT id, document FROM row WHERE entity = ? AND id IN (SELECT value FROM json_each(?))",
        (entity, orjson.dumps(list(ids)).decode()),
    ):
        found.setdefault(id, []).append(document)
    return found


def verdicts(connection: sqlite3.Connection) -> dict[str, dict[str, object]]:
    """What the server says of own changes that it held or rejected, by cid."""
    rows = connection.execute("SELECT document FROM row WHERE entity = 'change_verdict'")
    return {document["id"]: document for document in (orjson.loads(raw) for (raw,) in rows)}


def is_open(verdict: dict[str, object]) -> bool:
    return verdict["verdict"] in {"held", "rejected"} and not verdict["closed"]


def level_of(scope: str) -> str:
    return scope.partition("/")[2] or Level.INTERNAL


def sort_key(entity: Entity, values: Mapping[str, JSON]) -> str:
    """The key of the natural order: names by pinyin, facts by their time."""
    if entity.is_fact:
        return str(values.get("at") or "")
    name = values.get("name")
    return sort_name(name) if isinstance(name, str) else ""


def index_keys(entity: Entity, values: Mapping[str, JSON]) -> list[Key]:
    """What a row is found by: stored sets' elements, and every customer that it names."""
    found = [("party", id) for id in entity.named_customers(values)]
    for name in entity.found_by:
        value = values.get(name)
        if value is None:
            continue
        if isinstance(value, str):
            found.append((name, value))
        else:
            found += [(name, item) for item in value if isinstance(item, str)]
    return found
