"""The replica file: the server's documents byte for byte, which scopes hold them, cursor and acks.

One transaction moves rows, cursor and acks together, so what is laid over the rows (the outbox)
always fits them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import orjson

from regulars.files import Connect, File, is_damage, put_aside
from regulars_schema.declare import Registry
from regulars_sync import audit, replica_layout
from regulars_sync.digest import EMPTY, Digest
from regulars_sync.errors import LocalError
from regulars_sync.protocol import Acked, Head, PullAnswer
from regulars_sync.replica_layout import DDL, KIND, Key

NAMED_MAX = 1_000
"""Applies that changed more rows are told as ones that may have changed any."""

_acks = msgspec.json.Decoder(dict[str, Acked])
_keys = msgspec.json.Decoder(list[Key])
_page = msgspec.json.Decoder(PullAnswer)


class Applied(NamedTuple):
    """What applying the staged pages did."""

    changed: set[Key]
    differing: list[str]
    """Scopes whose digest is not the server's; empty is the proof of equality."""
    buckets: dict[str, list[int]] | None
    """Where in them, as `audit.differing` says; None: not compared."""
    acks: dict[str, Acked]
    still_open: list[str]
    erased: list[str]
    """The cids of own changes that were about somebody who was erased."""


class Replica:
    """The server's rows within reach of this device, as of the last applied head."""

    def __init__(self, path: Path, registry: Registry, durable: bool = True) -> None:
        self.file = File(path, KIND, DDL, durable)
        self._registry = registry
        self._applied: int | None = None
        """Which apply was the last one that is known of here."""

    async def open(self, connect: Connect, is_ours: bool = False) -> None:
        """Open the file; one that was filled under other declarations is indexed anew, once.

        A damaged one is set aside, now or whenever it shows, and a new one made: the next sync fills it.
        `is_ours`: also one that is no database at all any more.
        """

        async def mend() -> None:
            await self.file.close()
            put_aside(self.file.path)
            await self.file.open(connect)
            await self.file.write(lambda c: replica_layout.reindex(c, self._registry))

        self.file.mend = mend if is_ours else None
        try:
            await self.file.open(connect)
        except LocalError as error:
            if not is_ours or not is_damage(error):
                raise
            await mend()
        if not await self.file.read(lambda c: replica_layout.is_indexed(c, self._registry)):
            await self.file.write(lambda c: replica_layout.reindex(c, self._registry))

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
            changed = self._changes_with(connection, None)
            gone.update(replica_layout.clear(connection))
            connection.execute("DELETE FROM said")
            connection.execute("DELETE FROM stage")
            connection.execute("INSERT INTO said VALUES ('changed', ?)", (changed,))

        await self.file.purge(work)
        return gone

    async def apply(self, head: Head, now_ms: int) -> Applied:
        """Move rows, cursor and acks to where the staged pages lead, in one transaction."""

        def work(connection: sqlite3.Connection) -> Applied:
            changed: set[Key] = set()
            erased = False
            if said(connection, "cursor") is None:
                changed |= replica_layout.clear(connection)
                erased = bool(changed)
            page, buckets = None, None
            departures = False
            for (raw,) in connection.execute("SELECT page FROM stage ORDER BY pos").fetchall():
                page = _page.decode(raw)
                changed |= replica_layout.place(connection, self._registry, page)
                erased = erased or any(rows.erased for rows in page.pages)
                departures = departures or bool(page.dropped) or any(rows.left for rows in page.pages)
            if page is None:  # what was staged went with a damaged file
                return Applied(changed, sorted(head.digests), {}, {}, [], [])
            connection.execute("DELETE FROM stage")
            facts = {
                "cursor": page.cursor,
                "acks": msgspec.json.encode(page.acks),
                "stamp_max": head.stamp_max,
                "epoch": page.epoch,
                "applied_ms": now_ms,
                "departures": int(departures),
                "changed": self._changes_with(connection, changed),
            }
            if erased:
                facts["purge"] = 1
            connection.executemany("INSERT OR REPLACE INTO said VALUES (?, ?)", list(facts.items()))
            if page.buckets is not None:
                changed |= audit.whole(connection, self._registry)
                for scope in replica_layout.held(connection).keys() - head.digests.keys():
                    changed |= replica_layout.drop(connection, scope)
            held = replica_layout.held(connection)
            differing = [
                scope
                for scope in sorted(head.digests.keys() | held.keys())
                if held.get(scope, EMPTY) != Digest(*head.digests.get(scope, EMPTY))
            ]
            if page.buckets is not None and differing:
                buckets = audit.differing(connection, head, page.buckets, differing)
            own = verdicts(connection)
            gone = [cid for cid, verdict in own.items() if verdict["code"] == "erased"]
            still_open = [cid for cid, verdict in own.items() if is_open(verdict)]
            return Applied(changed, differing, buckets, page.acks, still_open, gone)

        return await self.file.write(work)

    async def become(self, other: Path) -> set[Key]:
        """Be the caught-up replica in another file from now on; every row that was or is."""
        sql = "SELECT entity, id FROM {}.member INDEXED BY member_row"

        def work(connection: sqlite3.Connection) -> set[Key]:
            changed = self._changes_with(connection, None)
            connection.execute("INSERT OR REPLACE INTO other.said VALUES ('changed', ?)", (changed,))
            return {key for file in ("main", "other") for key in connection.execute(sql.format(file))}

        return await self.file.become(other, work)

    async def erased(self) -> list[Key]:
        """The erased rows that a snapshot knows of."""
        raw = await self.file.read(lambda connection: said(connection, "erased"))
        return _keys.decode(raw) if raw else []

    async def rows(self) -> int:
        """How many documents its scopes hold."""
        (count,) = await self.file.read(lambda c: c.execute("SELECT count(*) FROM member").fetchone())
        return int(count)

    def _changes_with(self, connection: sqlite3.Connection, changed: set[Key] | None) -> bytes:
        """The last few applies and what each changed, with this one; None: all that was there."""
        before = _changes(connection)
        self._applied = before[-1][0] + 1
        if changed is None or len(changed) > NAMED_MAX:
            return orjson.dumps([(self._applied, None)])
        kept = [(self._applied, sorted(changed))]
        named = len(changed)
        for n, keys in reversed(before):
            if keys is None or (named := named + len(keys)) > NAMED_MAX:
                break
            kept.insert(0, (n, keys))
        return orjson.dumps(kept)

    async def foreign(self) -> set[Key] | None:
        """Rows that another process's syncs changed since this was last asked; None: any may have."""

        def work(connection: sqlite3.Connection) -> set[Key] | None:
            changes = _changes(connection)
            last, self._applied = self._applied, changes[-1][0]
            if last is None or last == self._applied:
                return set()
            if changes[0][0] > last + 1 or self._applied < last:
                return None
            told: set[Key] = set()
            for n, keys in changes:
                if n > last:
                    if keys is None:
                        return None
                    told.update((entity, id) for entity, id in keys)
            return told

        return await self.file.read(work)

    async def purge(self) -> None:
        """Leave no byte of what was erased in the file or beside it; put off while somebody else reads."""
        if await self.file.read(lambda connection: said(connection, "purge")):
            with suppress(LocalError):
                await self.file.purge(lambda connection: None)
                await self.file.write(lambda c: c.execute("DELETE FROM said WHERE name = 'purge'"))

    # --- proof ----------------------------------------------------------------------------------------

    async def audit(self) -> set[Key]:
        """Count everything anew from the stored bytes, and take out what is not as it came.

        Then the digests differ from the server's. In slices, so that reads go on meanwhile; which rows it
        touched. Only between two applies.
        """
        try:
            return await self._audit()
        except sqlite3.OperationalError:  # a key that is no text any more: nothing can name its row
            await self.file.write(replica_layout.empty)
            return set()

    async def _audit(self) -> set[Key]:
        touched: set[Key] = set()
        counted: dict[str, Digest] = {}
        after: Key | None = audit.START
        while after is not None:
            look = partial(audit.look, registry=self._registry, after=after, rows_max=audit.SLICE_ROWS)
            found = await self.file.read(look)
            if not found.is_whole:
                touched |= await self.file.write(partial(audit.mend, registry=self._registry, found=found))
            counted = audit.total(counted, found)
            after = found.end
        await self.file.write(partial(audit.correct, counted=counted))
        return touched

    async def verify(self) -> dict[str, Digest]:
        """The digest of every scope, computed anew from the stored bytes."""

        return await self.file.read(replica_layout.counted)


def _changes(connection: sqlite3.Connection) -> list[tuple[int, list[Key] | None]]:
    """The numbers of the last applies, and the rows that each changed, where they were few."""
    raw = said(connection, "changed")
    return orjson.loads(raw) if raw else [(0, None)]


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
