"""The tables of a replica file, and how pages fill them: on a tablet, and on a server that makes snapshots.

Every function works on a connection that somebody else opened, inside somebody else's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Protocol

import orjson

from regulars_schema.declare import JSON, Entity, Level, Registry
from regulars_schema.normal import sort_name
from regulars_schema.search import written
from regulars_sync import deeds, search_index
from regulars_sync.digest import EMPTY, Digest, add, row_hash
from regulars_sync.document import nested
from regulars_sync.protocol import Contents, PullAnswer, Rows

KIND = 0x52475231
"""`PRAGMA application_id` of the file: "RGR1"."""

VERSION = 3
"""`PRAGMA user_version` of the file. 2: words, which are indexed. 3: cards and facts that count, for rules.
Raise it when tokens change, too."""

SCHEMA_MIN = 3
"""The oldest schema version whose tablets know this layout."""

_TABLES = """
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
CREATE TABLE element (
    entity TEXT NOT NULL, field TEXT NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL,
    PRIMARY KEY (entity, field, key, id)) WITHOUT ROWID;
CREATE INDEX element_id ON element (entity, id)"""

_FIND = """
CREATE TABLE find (
    entity TEXT NOT NULL, sort TEXT NOT NULL, id TEXT NOT NULL,
    PRIMARY KEY (entity, sort, id)) WITHOUT ROWID;
CREATE UNIQUE INDEX find_id ON find (entity, id);
CREATE TABLE words (n INTEGER PRIMARY KEY, entity TEXT NOT NULL, id TEXT NOT NULL, text TEXT NOT NULL);
CREATE UNIQUE INDEX words_id ON words (entity, id)"""

FOUND = "found"
"""The index of the tokens in `words`."""

_INDEXED = (FOUND, "words", "text", "n")
_INDEX = search_index.ddl(*_INDEXED)
DDL = ";\n".join([_TABLES, _FIND, deeds.DDL, *_INDEX])
"""Statements, each ended by `;` and a new line."""
REINDEX_ROWS = 1_000
ROW_TABLES = ("row", "member", "digest", "find", "element", *deeds.TABLES)

SEAL_BYTES = 8

Key = tuple[str, str]
"""Entity and id of a row."""


class Connection(Protocol):
    """As much of a database connection as filling a file takes."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Any: ...

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any: ...


def place(connection: Connection, registry: Registry, page: PullAnswer) -> set[Key]:
    """Let the rows of a page enter and leave, and its dropped scopes go; which rows that touched."""
    changed: set[Key] = set()
    for rows in page.pages:
        changed |= enter(connection, registry, rows)
        changed |= leave(connection, rows.scope, rows.entity, rows.left)
    for scope in page.dropped:
        changed |= drop(connection, scope)
    for part in page.contents:
        changed |= _replace(connection, registry, part)
    return changed


def _replace(connection: Connection, registry: Registry, part: Contents) -> set[Key]:
    """Put what came in the place of all that these buckets of a scope hold."""
    buckets = set(part.buckets)
    came = {(rows.entity, orjson.loads(bytes(raw))["id"]) for rows in part.rows for raw in rows.rows}
    gone: dict[str, list[str]] = {}
    members = connection.execute("SELECT entity, id, hash FROM member WHERE scope = ?", (part.scope,))
    for entity, id, hash in members.fetchall():
        if hash[0] in buckets and (entity, id) not in came:
            gone.setdefault(entity, []).append(id)
    changed: set[Key] = set()
    for entity, ids in gone.items():
        changed |= leave(connection, part.scope, entity, ids)
    for rows in part.rows:
        changed |= enter(connection, registry, rows)
    return changed


def enter(connection: Connection, registry: Registry, rows: Rows) -> set[Key]:
    """Store the documents of one entity in one scope."""
    if not rows.rows:
        return set()
    name, scope = rows.entity, rows.scope
    level = level_of(scope)
    entity = registry.by_name.get(name)
    documents = [bytes(raw) for raw in rows.rows]
    parsed = [orjson.loads(document) for document in documents]
    ids = [document["id"] for document in parsed]
    hashes = [row_hash(name, document) for document in documents]
    before = _hashes(connection, scope, name, ids)
    _count(connection, scope, before.values(), hashes)
    connection.executemany(
        "INSERT OR REPLACE INTO member VALUES (?, ?, ?, ?, ?)",
        [(scope, name, id, level, hash) for id, hash in zip(ids, hashes, strict=True)],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO row VALUES (?, ?, ?, ?)",
        [(name, id, level, document) for id, document in zip(ids, documents, strict=True)],
    )
    if entity is not None and level == Level.INTERNAL:
        _index(connection, entity, {id: nested(entity, doc) for id, doc in zip(ids, parsed, strict=True)})
    return {(name, id) for id in ids}


def leave(connection: Connection, scope: str, name: str, ids: list[str]) -> set[Key]:
    """Take rows out of a scope; a document that no scope holds any more goes, index and all."""
    if not ids:
        return set()
    level = level_of(scope)
    before = _hashes(connection, scope, name, ids)
    _count(connection, scope, before.values(), ())
    connection.executemany(
        "DELETE FROM member WHERE scope = ? AND entity = ? AND id = ?",
        [(scope, name, id) for id in before],
    )
    others = connection.execute(
        "SELECT DISTINCT id FROM member "
        "WHERE entity = ? AND id IN (SELECT value FROM json_each(?)) AND level = ?",
        (name, orjson.dumps(list(before)).decode(), level),
    )
    kept = {id for (id,) in others.fetchall()}
    delete(connection, [(name, id, level) for id in before if id not in kept])
    return {(name, id) for id in before}


def delete(connection: Connection, rows: list[tuple[str, str, str]]) -> None:
    """Delete documents (entity, id, level), and the index entries of those that are indexed."""
    connection.executemany("DELETE FROM row WHERE entity = ? AND id = ? AND level = ?", rows)
    _unindex(connection, [(name, id) for name, id, level in rows if level == Level.INTERNAL])


def reindex_rows(connection: Connection, registry: Registry, keys: Iterable[Key]) -> None:
    """Make the index entries of these rows anew from their documents; a row without one has none."""
    ids_by_entity: dict[str, list[str]] = {}
    for name, id in keys:
        ids_by_entity.setdefault(name, []).append(id)
    for name, ids in ids_by_entity.items():
        _unindex(connection, [(name, id) for id in ids])
        entity = registry.by_name.get(name)
        found = connection.execute(
            "SELECT id, document FROM row "
            "WHERE entity = ? AND id IN (SELECT value FROM json_each(?)) AND level = ?",
            (name, orjson.dumps(ids).decode(), Level.INTERNAL),
        ).fetchall()
        if entity is not None and found:
            _index(connection, entity, {id: nested(entity, orjson.loads(raw)) for id, raw in found})


def _unindex(connection: Connection, keys: Iterable[Key]) -> None:
    gone = list(keys)
    facts = [id for name, id in gone if name == "interaction"]
    left = deeds.remove(connection, facts) if facts else set()
    _forget(connection, gone)
    deeds.remove_cards(connection, [id for name, id in gone if name == "customer"])
    if left:
        deeds.again(connection, left)


def _forget(connection: Connection, gone: list[Key]) -> None:
    for table in ("find", "words", "element"):
        connection.executemany(f"DELETE FROM {table} WHERE entity = ? AND id = ?", gone)


def drop(connection: Connection, scope: str) -> set[Key]:
    """Take everything out of a scope, and forget the scope."""
    changed: set[Key] = set()
    rows = connection.execute("SELECT entity, id FROM member WHERE scope = ?", (scope,)).fetchall()
    for entity in {entity for entity, _ in rows}:
        changed |= leave(connection, scope, entity, [id for e, id in rows if e == entity])
    connection.execute("DELETE FROM digest WHERE scope = ?", (scope,))
    return changed


def clear(connection: Connection) -> set[Key]:
    """Delete every row; which there were."""
    gone = set(connection.execute("SELECT DISTINCT entity, id FROM row"))
    empty(connection)
    return gone


def empty(connection: Connection) -> None:
    for table in ROW_TABLES:
        connection.execute(f"DELETE FROM {table}")
    search_index.empty(connection, *_INDEXED)


def forget(connection: Connection) -> None:
    """Leave nothing in the index of what left; how long it takes follows from all that is in it."""
    search_index.optimize(connection, FOUND)


def held(connection: Connection) -> dict[str, Digest]:
    """The digest of every scope, as it was kept up row by row."""
    rows = connection.execute("SELECT scope, rows, hash FROM digest")
    return {scope: Digest(count, hash) for scope, count, hash in rows}


def counted(connection: Connection) -> dict[str, Digest]:
    """The digest of every scope, computed anew from the stored bytes."""
    digests: dict[str, Digest] = {}
    rows = connection.execute(
        "SELECT m.scope, m.entity, r.document FROM member m LEFT JOIN row r USING (entity, id, level)"
    )
    for scope, entity, document in rows:
        digests[scope] = add(digests.get(scope, EMPTY), [row_hash(entity, document or b"")])
    return digests


def is_indexed(connection: Connection, registry: Registry) -> bool:
    """Whether what rows are found by stands in this layout and follows from these very declarations."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != VERSION:
        return False
    row = connection.execute("SELECT CAST(value AS BLOB) FROM said WHERE name = 'schema'").fetchone()
    return row is not None and row[0] == registry.fingerprint.encode()


def reindex(connection: Connection, registry: Registry) -> None:
    """Make anew, at once, what rows are found by."""
    while not reindex_some(connection, registry):
        pass


def reindex_some(connection: Connection, registry: Registry) -> bool:
    """Make anew what some more rows are found by; True at the end. Cut off anywhere, it goes on from there.

    The rows hold all fields, declared or not, so nothing is fetched. A document that can't be read is left
    for the audit. A file of a former layout gets this one.
    """
    if is_indexed(connection, registry):
        return True  # another process was quicker
    row = connection.execute("SELECT CAST(value AS BLOB) FROM said WHERE name = 'reindexing'").fetchone()
    until: list[str] | None = orjson.loads(row[0]) if row else None
    if until is None or until[0] != registry.fingerprint:
        _begin(connection)
        until = [registry.fingerprint, "", ""]
    _, after, last = until
    found = connection.execute(
        "SELECT entity, id, CAST(document AS BLOB) FROM row WHERE (entity, id) > (?, ?) AND level = ?"
        " ORDER BY entity, id LIMIT ?",
        (after, last, Level.INTERNAL, REINDEX_ROWS),
    ).fetchall()
    parsed: dict[str, dict[str, dict[str, object]]] = {}
    for name, id, document in found:
        entity = registry.by_name.get(name)
        if entity is not None:
            with suppress(orjson.JSONDecodeError):
                parsed.setdefault(name, {})[id] = nested(entity, orjson.loads(document))
    for name, rows in parsed.items():
        _index(connection, registry.get(name), rows)
    if len(found) == REINDEX_ROWS:
        mark = orjson.dumps([registry.fingerprint, *found[-1][:2]])
        connection.execute("INSERT OR REPLACE INTO said VALUES ('reindexing', ?)", (mark,))
        return False
    connection.execute("DELETE FROM said WHERE name = 'reindexing'")
    connection.execute("INSERT OR REPLACE INTO said VALUES ('schema', ?)", (registry.fingerprint,))
    return True


def _begin(connection: Connection) -> None:
    """Empty what rows are found by, in this layout."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute("DELETE FROM said WHERE name = 'schema'")
    connection.execute("DELETE FROM element")
    if version == 1:
        connection.execute("DROP TABLE find")
        for statement in [*_FIND.split(";\n"), *_INDEX]:
            connection.execute(statement)
    else:
        connection.execute("DELETE FROM find")
        search_index.empty(connection, *_INDEXED)
    for table in deeds.TABLES:
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    for statement in deeds.DDL.strip().split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def sealed(raw: bytes) -> bytes:
    """Bytes that tell whether they are still what was kept."""
    return blake2b(raw, digest_size=SEAL_BYTES).digest() + raw


def unsealed(kept: object) -> bytes | None:
    """What was sealed; None when it is not that any more."""
    raw = kept[SEAL_BYTES:] if isinstance(kept, bytes) else b""
    return raw if kept == sealed(raw) else None


def _hashes(connection: Connection, scope: str, name: str, ids: list[str]) -> dict[str, bytes]:
    found = connection.execute(
        "SELECT id, hash FROM member "
        "WHERE scope = ? AND entity = ? AND id IN (SELECT value FROM json_each(?))",
        (scope, name, orjson.dumps(ids).decode()),
    )
    return dict(found.fetchall())


def _count(connection: Connection, scope: str, out: Iterable[bytes], in_: Iterable[bytes]) -> None:
    row = connection.execute("SELECT rows, hash FROM digest WHERE scope = ?", (scope,)).fetchone()
    digest = add(add(Digest(*row) if row else EMPTY, out, -1), in_)
    connection.execute("INSERT OR REPLACE INTO digest VALUES (?, ?, ?)", (scope, *digest))


def _index(connection: Connection, entity: Entity, rows: dict[str, dict[str, object]]) -> None:
    """Keep what a tablet finds rows by: order, tokens, elements of sets and parties."""
    found = connection.execute(
        "SELECT id FROM find WHERE entity = ? AND id IN (SELECT value FROM json_each(?))",
        (entity.name, orjson.dumps(list(rows)).decode()),
    )
    known = [id for (id,) in found.fetchall()]
    _forget(connection, [(entity.name, id) for id in known])
    connection.executemany(
        "INSERT INTO find VALUES (?, ?, ?)",
        [(entity.name, sort_key(entity, v), id) for id, v in rows.items()],
    )
    if entity.searched:
        connection.executemany(
            "INSERT INTO words (entity, id, text) VALUES (?, ?, ?)",
            [(entity.name, id, written(entity, v)) for id, v in rows.items()],
        )
    connection.executemany(
        "INSERT OR IGNORE INTO element VALUES (?, ?, ?, ?)",
        [(entity.name, field, key, id) for id, v in rows.items() for field, key in index_keys(entity, v)],
    )
    match entity.name:
        case "customer":
            deeds.put_cards(connection, rows)
        case "interaction":
            deeds.put(connection, rows, known)


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
