"""The replica file: the server's documents byte for byte, which scopes hold them, cursor and acks.

One transaction moves rows, cursor and acks together, so what is laid over the rows (the outbox)
always fits them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import orjson

from regulars.files import Connect, File, Work, is_damage, put_aside
from regulars_schema.declare import Level, Registry
from regulars_sync import audit, document, replica_layout, search_index
from regulars_sync.digest import EMPTY, Digest
from regulars_sync.errors import LocalError
from regulars_sync.merge import Registers
from regulars_sync.protocol import Acked, Head, PullAnswer
from regulars_sync.replica_layout import DDL, KIND, Key, level_of, sealed, unsealed

T = TypeVar("T")
BROKEN = (ValueError, KeyError, IndexError, TypeError, AttributeError)
"""What decoding a document says of one that is none."""
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
        self.file = File(path, KIND, DDL, durable, version=replica_layout.VERSION)
        self._registry = registry
        self._applied: int | None = None
        """Which apply was the last one that is known of here."""

    async def open(self, connect: Connect, is_ours: bool = False) -> None:
        """Open the file; one that was filled under other declarations is indexed anew, once.

        A damaged one is set aside, now or whenever it shows, and a new one made: the next sync fills it.
        `is_ours`: also one that is no database at all any more.
        """

        async def put() -> None:
            put_aside(self.file.path)

        async def mend() -> None:
            await self.file.exchange(connect, put)
            await self.file.write(lambda c: replica_layout.reindex(c, self._registry))

        self.file.mend = mend if is_ours else None
        try:
            await self.file.open(connect)
        except LocalError as error:
            if not is_ours or not is_damage(error):
                raise
            await mend()
        if not await self.file.read(lambda c: replica_layout.is_indexed(c, self._registry)):
            while not await self.file.write(lambda c: replica_layout.reindex_some(c, self._registry)):
                pass

    # --- receiving --------------------------------------------------------------------------------------

    async def cursor(self) -> str | None:
        """Where the next pull goes on: behind the last staged page, else behind what was applied.

        Pages of which the last is not as it came any more are fetched anew.
        """

        def work(connection: sqlite3.Connection) -> str | None:
            row = connection.execute("SELECT page FROM stage ORDER BY pos DESC LIMIT 1").fetchone()
            if row and (raw := unsealed(row[0])):
                return _page.decode(raw).cursor
            return None if row else said(connection, "cursor")

        found = await self.file.read(work)
        if found is None:
            await self.file.write(lambda c: c.execute("DELETE FROM stage"))
            found = await self.file.read(lambda c: said(c, "cursor"))
        return found

    async def stage(self, page: PullAnswer) -> None:
        """Keep a page durably; nothing of it is shown before it is applied."""
        raw = sealed(msgspec.json.encode(page))
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
        try:
            return await self._apply(head, now_ms)
        except LocalError as error:
            if not is_unreadable(error):
                raise
            await self.audit()
            return await self._apply(head, now_ms)

    async def _apply(self, head: Head, now_ms: int) -> Applied:
        def work(connection: sqlite3.Connection) -> Applied:
            changed: set[Key] = set()
            erased = False
            if said(connection, "cursor") is None:
                changed |= replica_layout.clear(connection)
                erased = bool(changed)
            page, buckets = None, None
            departures = False
            pages = connection.execute("SELECT page FROM stage ORDER BY pos").fetchall()
            staged = [unsealed(raw) for (raw,) in pages]
            if None in staged:
                connection.execute("DELETE FROM stage")
                staged.clear()
            for raw in filter(None, staged):
                page = _page.decode(raw)
                changed |= replica_layout.place(connection, self._registry, page)
                erased = erased or any(rows.erased for rows in page.pages)
                departures = departures or bool(page.dropped) or any(rows.left for rows in page.pages)
            if page is None:  # what was staged went with a damaged file, or is not as it came
                return Applied(changed, sorted(head.digests), {}, {}, [], [])
            connection.execute("DELETE FROM stage")
            facts = {
                "cursor": page.cursor,
                "acks": sealed(msgspec.json.encode(page.acks)),
                "stamp_max": head.stamp_max,
                "epoch": page.epoch,
                "sensitive": int(any(level_of(scope) == Level.SENSITIVE for scope in head.digests)),
                "applied_ms": now_ms,
                "changed": self._changes_with(connection, changed),
            }
            if erased:
                facts["purge"] = 1
            if departures:
                facts["departures"] = 1
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
        """Leave no byte of what left or was erased in the file or beside it; put off while others read.

        What left was overwritten where it stood, so only the log and the index of words have it still.
        """
        with suppress(LocalError):
            if await self.file.read(lambda connection: said(connection, "purge")):
                await self.file.purge(replica_layout.forget)
            elif await self.file.read(lambda connection: said(connection, "departures")):
                await self.file.write(replica_layout.forget)
                await self.file.flush()
            else:
                return
            sql = "DELETE FROM said WHERE name IN ('purge', 'departures')"
            await self.file.write(lambda connection: connection.execute(sql))

    # --- reading ---------------------------------------------------------------------------------------

    async def read(self, work: Work[T]) -> T:
        """Run a function in one read transaction.

        `LocalError("file_damaged")` when a document that it looks at can't be read any more: the others can,
        and the next sync fetches it anew.
        """
        try:
            return await self.file.read(work)
        except LocalError as error:
            if is_unreadable(error):
                with suppress(LocalError):
                    await self.file.write(
                        lambda c: c.execute("INSERT OR REPLACE INTO said VALUES ('doubted', 1)")
                    )
                raise LocalError(error.code, **{"file": self.file.path.name, **error.detail}) from error
            raise

    async def is_doubted(self) -> bool:
        """Whether something was found that can't be read, since the last audit."""
        return await self.file.read(lambda connection: said(connection, "doubted")) is not None

    # --- proof ----------------------------------------------------------------------------------------

    async def audit(self) -> set[Key]:
        """Count everything anew from the stored bytes, and take out what is not as it came.

        Then the digests differ from the server's. In slices, so that reads go on meanwhile; which rows it
        touched. Only between two applies.
        """
        try:
            return await self._audit()
        except LocalError as error:
            if not is_unreadable(error):
                raise
            await self.file.write(replica_layout.empty)  # a key that is no text: nothing can name its row
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

        def settle(connection: sqlite3.Connection) -> None:
            audit.correct(connection, counted)
            try:
                search_index.check(connection, replica_layout.FOUND)
            except sqlite3.DatabaseError:
                search_index.rebuild(connection, replica_layout.FOUND)
            connection.execute("DELETE FROM said WHERE name = 'doubted'")

        await self.file.write(settle)
        return touched

    async def verify(self) -> dict[str, Digest]:
        """The digest of every scope, computed anew from the stored bytes."""

        return await self.file.read(replica_layout.counted)


def _changes(connection: sqlite3.Connection) -> list[tuple[int, list[Key] | None]]:
    """The numbers of the last applies, and the rows that each changed, where they were few."""
    with suppress(*BROKEN):
        return [(int(n), keys) for n, keys in orjson.loads(said(connection, "changed") or "")]
    return [(0, None)]


# --- reading, on a connection inside somebody's read transaction ----------------------------------------


def is_unreadable(error: LocalError) -> bool:
    """Whether something in a whole file can't be read."""
    return error.code == "file_damaged" and not is_damage(error)


@contextmanager
def readable(entity: str, id: str) -> Iterator[None]:
    """Of a document that is none any more: `LocalError("file_damaged")`."""
    try:
        yield
    except BROKEN as error:
        raise LocalError("file_damaged", reason=f"{entity} {id}") from error


def said(connection: sqlite3.Connection, name: str) -> str | None:
    row = connection.execute("SELECT CAST(value AS BLOB) FROM said WHERE name = ?", (name,)).fetchone()
    return row[0].decode(errors="replace") if row and row[0] is not None else None


def number(connection: sqlite3.Connection, name: str) -> int | None:
    found = said(connection, name) or ""
    return int(found) if found.isdecimal() else None


def acks(connection: sqlite3.Connection) -> dict[str, Acked]:
    """As of the rows; none when they can't be trusted, which the next apply makes good."""
    row = connection.execute("SELECT value FROM said WHERE name = 'acks'").fetchone()
    raw = unsealed(row[0]) if row else None
    return _acks.decode(raw) if raw else {}


def registers(connection: sqlite3.Connection, entity: str, ids: Iterable[str]) -> dict[str, Registers]:
    """The registers of these rows; `LocalError("file_damaged")` when one of them can't be read."""
    found: dict[str, Registers] = {}
    for id, raws in documents(connection, entity, ids).items():
        with readable(entity, id):
            found[id] = document.decode(raws)
    return found


def documents(connection: sqlite3.Connection, entity: str, ids: Iterable[str]) -> dict[str, list[bytes]]:
    """The documents of these rows, all levels that this replica holds."""
    found: dict[str, list[bytes]] = {}
    for id, raw in connection.execute(
        "SELECT id, CAST(document AS BLOB) FROM row "
        "WHERE entity = ? AND id IN (SELECT value FROM json_each(?))",
        (entity, orjson.dumps(list(ids)).decode()),
    ):
        found.setdefault(id, []).append(raw or b"")
    return found


def verdicts(connection: sqlite3.Connection, among: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
    """What the server says of own changes that it held or rejected, by cid; of these alone when given.

    `LocalError("file_damaged")` when one of them can't be read.
    """
    wanted = None if among is None else orjson.dumps(list(among)).decode()
    found: dict[str, dict[str, Any]] = {}
    for id, raw in connection.execute(
        "SELECT id, CAST(document AS BLOB) FROM row WHERE entity = 'change_verdict' "
        "AND (?1 IS NULL OR id IN (SELECT value FROM json_each(?1)))",
        (wanted,),
    ):
        with readable("change_verdict", id):
            verdict = found[id] = orjson.loads(raw)
            is_open(verdict)
            verdict["code"]
    return found


def is_open(verdict: dict[str, Any]) -> bool:
    return verdict["verdict"] in {"held", "rejected"} and not verdict["closed"]
