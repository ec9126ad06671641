"""Ready-made replica files, one for each set of scopes: a first sync runs at the speed of copying a file.

A snapshot is what a replica of these scopes would be after its first pulls, without the scope of the
device: that one starts at zero. It is filled from one read snapshot, compressed once, and kept in the
chain's folder, each in a folder of its own that appears there whole or not at all:

    snapshots/<key>-<erasures>-<random>.building/    being made; of a process that ended: litter
    snapshots/<key>-<erasures>-<hash>/replica.zst    the file
    snapshots/<key>-<erasures>-<hash>/about.json     what it holds (`About`)

It is void once a row has left one of its scopes since, once anybody was erased, once the feed behind it
has grown long, in another epoch, and after thirty days. `erasures` stands in the name so that erasing
finds every file that may hold the person, also one that another process makes at that moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import logging
import os
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec
import zstandard

from regulars_schema.declare import Level, Registry
from regulars_server.settings import Settings
from regulars_server.storage.interface import FeedPage, Head, Order, Reader, Storage
from regulars_sync import cursor, replica_layout
from regulars_sync.cursor import Cursor
from regulars_sync.digest import Digest
from regulars_sync.errors import Refused
from regulars_sync.protocol import PAGE_BYTES_MAX, Rows
from regulars_sync.replica_layout import Key

FOLDER = "snapshots"
PAGE_ROWS = 1_000
LEVEL = 3
"""Of zstd: more makes the file hardly smaller and takes far longer."""
BEYOND_PARTS, BEYOND_ROWS = 5, 1_000
"""The feed behind a snapshot may hold a fifth of its rows and a thousand entries."""
AGE_MS_MAX = 30 * 86_400_000
"""Far below the time for which departures are kept."""
TRIES = 3
FORGET_TRIES = 100

log = logging.getLogger("regulars")

Facts = dict[str, str | int | bytes]


class Offload(Protocol):
    """Runs a function where it holds nobody up; the seam for programs without threads."""

    def __call__(self, work: Callable[..., Any], /, *given: Any) -> Awaitable[Any]: ...


class About(msgspec.Struct, frozen=True):
    """What a snapshot's file holds."""

    chain: str
    seq: int
    mark: str
    reached: dict[str, int]
    rows: int
    erased: int
    made_ms: int
    sha256: str
    bytes: int


class Snapshot(msgspec.Struct, frozen=True):
    place: Path
    about: About

    @property
    def file(self) -> Path:
        return self.place / "replica.zst"


class Snapshots:
    """The snapshots of one chain. Makes one at a time; whoever asks for it meanwhile waits."""

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        now_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
        is_stopping: Callable[[], bool],
        offload: Offload = asyncio.to_thread,
    ) -> None:
        self.folder = settings.data / FOLDER
        self._settings = settings
        self._storage = storage
        self._now_ms = now_ms
        self._entropy = entropy
        self._is_stopping = is_stopping
        self._offload = offload
        self._alone = asyncio.Lock()
        self._checked: set[str] = set()
        """Names of the snapshots that this process has made, or read through."""

    async def get(self, scopes: frozenset[str]) -> Snapshot:
        """The snapshot of these scopes, made now if there is none that may be served.

        `Refused`: snapshot_none (a pull by pages is as good, or there is no room), busy (the server stops).
        """
        wanted = frozenset(scope for scope in scopes if not scope.startswith("device:"))
        found = await self._find(wanted)
        if found is None:
            async with self._alone:
                found = await self._find(wanted) or await self._make(wanted)
        return found

    async def _find(self, scopes: frozenset[str]) -> Snapshot | None:
        """The snapshot that may be served; those of the same key that may not are deleted."""
        async with self._storage.reader(scopes) as reader:
            digests = await reader.digests(scopes)
            if sum(digest.rows for digest in digests.values()) < self._settings.snapshot_rows_min:
                raise Refused("snapshot_none")
            key = await self._key(reader, scopes)
            kept: list[Snapshot] = await self._offload(self._kept, key)
            for snapshot in kept:
                if await self._fits(reader, snapshot) and await self._is_whole(snapshot):
                    return snapshot
                await self._offload(_remove, snapshot.place)
        return None

    async def _key(self, reader: Reader, scopes: frozenset[str]) -> str:
        windows = await reader.select("window", None, Order(), 2)
        said = [
            replica_layout.VERSION,
            self._storage.registry.fingerprint,
            self._storage.chain.epoch,
            sorted(scopes),
            [row.documents[Level.INTERNAL].decode() for row in windows],
        ]
        return hashlib.blake2b(msgspec.json.encode(said), digest_size=12).hexdigest()

    def _kept(self, key: str) -> list[Snapshot]:
        found = []
        for place in self.folder.glob(f"{key}-*"):
            if place.suffix == ".building":
                continue
            try:
                snapshot = Snapshot(
                    place, msgspec.json.decode((place / "about.json").read_bytes(), type=About)
                )
                if snapshot.file.stat().st_size != snapshot.about.bytes:
                    raise ValueError
            except (OSError, ValueError, msgspec.DecodeError):
                _remove(place)
            else:
                found.append(snapshot)
        return found

    async def _fits(self, reader: Reader, snapshot: Snapshot) -> bool:
        about = snapshot.about
        beyond_max = about.rows // BEYOND_PARTS + BEYOND_ROWS
        if about.chain != self._storage.chain.id or self._now_ms() - about.made_ms > AGE_MS_MAX:
            return False
        since = await reader.since(about.reached, beyond_max)
        return (
            not since.departed
            and since.erased == about.erased
            and since.entries <= beyond_max
            and await reader.knows_mark(about.seq, about.mark)
        )

    async def _is_whole(self, snapshot: Snapshot) -> bool:
        """Whether the bytes are those that were made: a former process may have been cut off."""
        if snapshot.place.name not in self._checked:
            with contextlib.suppress(OSError):
                if await self._offload(_sha256, snapshot.file) == snapshot.about.sha256:
                    self._checked.add(snapshot.place.name)
        if snapshot.place.name in self._checked:
            with contextlib.suppress(OSError):
                os.utime(snapshot.place)  # the least used one is deleted first
                return True
        return False

    # --- making ---------------------------------------------------------------------------------------

    async def _make(self, scopes: frozenset[str]) -> Snapshot:
        for _ in range(TRIES):
            try:
                made = await self._build(scopes)
            except (OSError, sqlite3.Error) as error:  # no room; or an erasure took it away while it grew
                log.warning("no snapshot", extra={"error": repr(error)})
                if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                    break
                continue
            self._checked.add(made.place.name)
            await self._offload(self._prune, made.place)
            async with self._storage.reader(scopes) as reader:
                if await self._fits(reader, made):
                    return made
            await self._offload(_remove, made.place)
        raise Refused("snapshot_none")

    async def _build(self, scopes: frozenset[str]) -> Snapshot:
        storage = self._storage
        async with storage.reader(scopes) as reader:
            head = await reader.head()
            erased = (await reader.since({}, 0)).erased
            key = f"{await self._key(reader, scopes)}-{erased}"
            place = self.folder / f"{key}-{self._entropy(8).hex()}.building"
            connection = await self._offload(_create, place)
            try:
                reached = dict.fromkeys(sorted(scopes), 0)
                gone: set[Key] = set()
                is_more = True
                while is_more:
                    if self._is_stopping():
                        raise Refused("busy", seconds=5)
                    page = await reader.feed(reached, PAGE_ROWS, PAGE_BYTES_MAX)
                    await self._offload(_fill, connection, storage.registry, page)
                    gone |= {(part.entity, id) for part in page.rows for id in part.erased}
                    reached, is_more = dict(page.reached), page.more
                digests = {scope: d for scope, d in (await reader.digests(scopes)).items() if d.rows}
                facts = self._facts(head, reached, gone)
                await self._offload(_finish, connection, facts, digests)
            except BaseException:
                _remove(place)
                raise
        rows = sum(digest.rows for digest in digests.values())
        about = About(storage.chain.id, head.seq, head.mark, reached, rows, erased, self._now_ms(), "", 0)
        try:
            return await self._offload(_pack, place, about, self.folder / key)  # type: ignore[no-any-return]
        finally:
            await self._offload(_remove, place)

    def _facts(self, head: Head, reached: dict[str, int], erased: set[Key]) -> Facts:
        chain = self._storage.chain
        signed = cursor.encode(
            Cursor(chain.id, chain.epoch, head.seq, head.mark, reached, head.floor), chain.secret
        )
        return {
            "cursor": signed,
            "chain": chain.id,
            "epoch": chain.epoch,
            "schema": self._storage.registry.fingerprint,
            "stamp_max": head.stamp_max,
            "erased": msgspec.json.encode(sorted(erased)),
        }

    # --- deleting -------------------------------------------------------------------------------------

    def _prune(self, but: Path) -> None:
        """Delete the least used ones until the rest keeps to the limits, and what an ended process left."""
        kept: list[tuple[float, int, Path]] = []
        for place in self.folder.iterdir():
            if place.suffix == ".building":
                _remove(place)  # one is made at a time, and this one is made
            elif place != but:
                with contextlib.suppress(OSError):
                    kept.append((place.stat().st_mtime, (place / "replica.zst").stat().st_size, place))
        files, size = 1, (but / "replica.zst").stat().st_size
        for _, its_size, place in sorted(kept, reverse=True):
            files, size = files + 1, size + its_size
            if files > self._settings.snapshot_files_max or size > self._settings.snapshot_bytes_max:
                _remove(place)

    def forget(self, erased: int) -> None:
        """Delete every file that was made before the last erasure, being made or not.

        `erased`: how many rows are erased by now. When this returns, no such file has a name any more.
        `Refused("busy")` when one can't be deleted.
        """
        for _ in range(FORGET_TRIES):
            old = [place for place in self.folder.glob("*") if place.name.split("-")[1:2] != [str(erased)]]
            if not old:
                return
            for place in old:
                _remove(place)
        raise Refused("busy", seconds=1)


def _create(place: Path) -> sqlite3.Connection:
    place.mkdir(parents=True)
    connection = sqlite3.connect(place / "replica.db", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -65536")
    for statement in replica_layout.DDL.split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {replica_layout.KIND}")
    connection.execute(f"PRAGMA user_version = {replica_layout.VERSION}")
    return connection


def _fill(connection: sqlite3.Connection, registry: Registry, page: FeedPage) -> None:
    connection.execute("BEGIN")
    for part in page.rows:
        documents = [msgspec.Raw(document) for document in part.documents]
        replica_layout.enter(connection, registry, Rows(part.scope, part.entity, documents))
    connection.execute("COMMIT")


def _finish(
    connection: sqlite3.Connection, facts: dict[str, str | int | bytes], digests: dict[str, Digest]
) -> None:
    """Write what the file says of itself; see that it is what the scopes hold."""
    connection.executemany("INSERT INTO said VALUES (?, ?)", list(facts.items()))
    if replica_layout.held(connection) != digests:
        raise sqlite3.DatabaseError("a snapshot is not what its scopes hold")
    replica_layout.forget(connection)
    connection.execute("VACUUM")  # in order of keys: smaller, and read in one go
    connection.close()


def _pack(place: Path, about: About, named: Path) -> Snapshot:
    """Compress the file and give the folder its name."""
    plain = place / "replica.db"
    packed = place / "replica.zst"
    with plain.open("rb") as source, packed.open("wb") as target:
        compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
        compressor.copy_stream(source, target, size=plain.stat().st_size)
        target.flush()
        os.fsync(target.fileno())
    plain.unlink()
    digest = _sha256(packed)
    about = msgspec.structs.replace(about, sha256=digest, bytes=packed.stat().st_size)
    with (place / "about.json").open("wb") as target:
        target.write(msgspec.json.encode(about))
        target.flush()
        os.fsync(target.fileno())
    final = named.with_name(f"{named.name}-{digest[:16]}")
    _remove(final)
    _sync_folder(place)
    place.rename(final)
    _sync_folder(final.parent)
    return Snapshot(final, about)


def _sha256(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
