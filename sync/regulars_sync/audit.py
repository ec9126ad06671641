"""Whether a replica file still holds what was put into it, and what of it can be trusted no more.

The digests that a replica keeps up row by row do not notice a byte that turned on its disk. So all is
counted anew from the stored bytes, slice by slice. What does not fit is taken out: then the digests
differ from the server's, and it is fetched again. Index entries are made of documents and mended here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import orjson

from regulars_schema.declare import JSON, Level, Registry
from regulars_schema.search import written
from regulars_sync import deeds, digest, replica_layout
from regulars_sync.digest import EMPTY, Digest, add, row_hash
from regulars_sync.document import nested
from regulars_sync.protocol import Head
from regulars_sync.replica_layout import Connection, Key, index_keys, sort_key

START: Key = ("", "")
SLICE_ROWS = 1_000
"""Some 30 ms of work (70,000 rows: 1.5 s once a day); between two slices others read."""


class Slice(NamedTuple):
    """What was found from one key to another."""

    end: Key | None
    """The last key that was looked at; None: there is no more."""
    held: dict[str, Digest]
    """Scope -> what it holds of these rows, of those that are whole."""
    members: list[tuple[str, str, str]]
    """(scope, entity, id) whose document is another than came, or none."""
    rows: list[tuple[str, str, str]]
    """(entity, id, level) that no scope holds, or none any more."""
    indexed: list[Key]
    """Rows whose index entries are not those of their document."""

    @property
    def is_whole(self) -> bool:
        return not (self.members or self.rows or self.indexed)


def look(connection: Connection, registry: Registry, after: Key, rows_max: int) -> Slice:
    """Look at the rows beyond a key. Changes nothing; a dozen statements."""
    bound = connection.execute(
        "SELECT entity, id FROM row WHERE (entity, id) > (?, ?) ORDER BY entity, id LIMIT 1 OFFSET ?",
        (*after, rows_max - 1),
    ).fetchone()
    within = "(entity, id) > (?, ?)" + (" AND (entity, id) <= (?, ?)" if bound else "")
    keys = (*after, *(bound or ()))
    documents = {
        (entity, id, level): document
        for entity, id, level, document in connection.execute(
            f"SELECT entity, id, level, coalesce(CAST(document AS BLOB), x'') FROM row WHERE {within}", keys
        )
    }
    hashes = {key: row_hash(key[0], document) for key, document in documents.items()}
    whole: dict[str, list[bytes]] = {}
    members: list[tuple[str, str, str]] = []
    trusted: set[tuple[str, str, str]] = set()
    for scope, *key, hash in connection.execute(
        f"SELECT scope, entity, id, level, hash FROM member WHERE {within}", keys
    ):
        entity, id, level = key
        if hashes.get((entity, id, level)) == hash:
            whole.setdefault(scope, []).append(hash)
            trusted.add((entity, id, level))
        else:
            members.append((scope, entity, id))
    sorts: dict[Key, str] = {}
    words: dict[Key, str] = {}
    elements: set[tuple[str, str, str, str]] = set()
    counted: dict[str, dict[str, dict[str, JSON]]] = {"customer": {}, "interaction": {}}
    for name, id, level in trusted:
        declared = registry.by_name.get(name)
        if declared is None or level != Level.INTERNAL:
            continue
        values = nested(declared, orjson.loads(documents[name, id, level]))
        sorts[name, id] = sort_key(declared, values)
        if name in counted:
            counted[name][id] = values
        if declared.searched:
            words[name, id] = written(declared, values)
        elements.update([(name, id, field, key) for field, key in index_keys(declared, values)])
    differs: set[Key] = set()
    for table, column, expected in (("find", "sort", sorts), ("words", "text", words)):
        found = connection.execute(f"SELECT entity, id, {column} FROM {table} WHERE {within}", keys)
        differs.update(key for key, _ in expected.items() ^ {(e, id): said for e, id, said in found}.items())
    found = connection.execute(f"SELECT entity, id, field, key FROM element WHERE {within}", keys)
    differs.update((name, id) for name, id, _, _ in elements.symmetric_difference(found))
    differs |= deeds.differing(connection, counted["customer"], counted["interaction"])
    return Slice(
        bound,
        {scope: add(EMPTY, of) for scope, of in whole.items()},
        members,
        [key for key in documents if key not in trusted],
        list(differs),
    )


def mend(connection: Connection, registry: Registry, found: Slice) -> set[Key]:
    """Take out what can't be trusted and make anew what can be made; which rows that touched."""
    connection.executemany("DELETE FROM member WHERE scope = ? AND entity = ? AND id = ?", found.members)
    replica_layout.delete(connection, found.rows)
    replica_layout.reindex_rows(connection, registry, found.indexed)
    return {(entity, id) for entity, id, _ in found.rows} | set(found.indexed)


def total(before: Mapping[str, Digest], found: Slice) -> dict[str, Digest]:
    """The digests of what was looked at before and now."""
    both = dict(before)
    for scope, (rows, hash) in found.held.items():
        once = both.get(scope, EMPTY)
        both[scope] = Digest(once.rows + rows, add(once, [bytes.fromhex(hash)]).hash)
    return both


def correct(connection: Connection, counted: Mapping[str, Digest]) -> bool:
    """Let the digests that are kept be those that were counted; whether they were not."""
    deeds.sweep(connection)
    kept = {scope: digest for scope, digest in replica_layout.held(connection).items() if digest.rows}
    if kept == counted:
        return False
    connection.execute("DELETE FROM digest")
    connection.executemany("INSERT INTO digest VALUES (?, ?, ?)", [(s, *d) for s, d in counted.items()])
    return True


def whole(connection: Connection, registry: Registry) -> set[Key]:
    """All of it in the transaction that is open; which rows that touched."""
    touched: set[Key] = set()
    counted: dict[str, Digest] = {}
    after: Key | None = START
    while after is not None:
        found = look(connection, registry, after, SLICE_ROWS)
        counted = total(counted, found)
        touched |= mend(connection, registry, found)
        after = found.end
    correct(connection, counted)
    return touched


def differing(
    connection: Connection, head: Head, theirs: Mapping[str, Mapping[int, Digest]], scopes: list[str]
) -> dict[str, list[int]] | None:
    """Which buckets of these scopes are not the server's; None where it was not asked about one of them.

    None at all when they hold more than half of the rows: then all is fetched again at less cost.
    """
    if not theirs.keys() >= set(scopes):
        return None
    buckets: dict[str, list[int]] = {}
    rows = 0
    for scope in scopes:
        members = connection.execute("SELECT hash FROM member WHERE scope = ?", (scope,))
        mine = digest.buckets(hash for (hash,) in members)
        for byte in sorted(mine.keys() | theirs[scope].keys()):
            here, there = mine.get(byte, EMPTY), theirs[scope].get(byte, EMPTY)
            if here != there:
                buckets.setdefault(scope, []).append(byte)
                rows += max(here.rows, there.rows)
    is_most = 2 * rows > sum(count for count, _ in head.digests.values())
    return {} if is_most else buckets
