"""SQLite files of a tablet: opened whole or refused, every write one transaction on the file's own thread."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Protocol, TypeVar

import aiosqlite

if sys.platform != "win32":
    import fcntl

from regulars_sync.errors import LocalError

USERS_TRIES, USERS_WAIT_S = 20, 0.1
T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class Connection(Protocol):
    """Runs a function on a connection; the seam at which a one-thread driver replaces the thread."""

    async def run(self, work: Work[T]) -> T: ...

    async def close(self) -> None: ...


class ThreadConnection(aiosqlite.Connection):
    """aiosqlite's connection with a whole function as its unit of work: one hop, never half of it."""

    async def run(self, work: Work[T]) -> T:
        return await self._execute(work, self._conn)  # type: ignore[no-any-return, no-untyped-call]


Connect = Callable[[Path], Awaitable[Connection]]


async def connect(path: Path) -> Connection:
    def connector() -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level=None, cached_statements=256)

    connection = ThreadConnection(connector, 64)
    connection._thread.daemon = True
    await connection
    return connection


class InlineConnection:
    """The same without a thread, for drivers that own their only thread (the simulator, tests)."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)

    async def run(self, work: Work[T]) -> T:
        return work(self._connection)

    async def close(self) -> None:
        self._connection.close()


async def connect_inline(path: Path) -> Connection:
    return InlineConnection(path)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """SQLite's errors as ours: disk_full, file_busy, file_foreign, file_damaged."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        said = str(error)
        if "full" in said or "disk I/O" in said:
            raise LocalError("disk_full", file=path.name) from error
        if "locked" in said or "busy" in said:
            raise LocalError("file_busy", file=path.name) from error
        if "not a database" in said:
            raise LocalError("file_foreign", file=path.name) from error
        if "malformed" in said or "corrupt" in said:
            raise LocalError("file_damaged", file=path.name, reason=said) from error
        if "decode" in said:
            raise LocalError("file_damaged", file=path.name, reason=said) from None
        raise


def is_damage(error: LocalError) -> bool:
    """Whether the file is one of ours that something destroyed, or so broken that nobody can say.

    Not so when it is whole, and something in it can't be read.
    """
    is_sqlites = isinstance(error.__cause__, sqlite3.DatabaseError)
    return error.code in {"file_damaged", "file_foreign"} and is_sqlites


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def kind_of(path: Path) -> int | None:
    """The kind that a file's first bytes name; None when there is no such file, or it is too short."""
    with suppress(OSError), path.open("rb") as file:
        head = file.read(72)
        return int.from_bytes(head[68:72]) if len(head) == 72 else None
    return None


def aside(path: Path) -> Path:
    """Where a damaged file is put; at most one is kept."""
    return path.with_name(f"{path.stem}.damaged-1{path.suffix}")


def put_aside(path: Path) -> None:
    """Give the file the name under which damaged ones are kept. Its log goes first."""
    drop_aside(path)
    for end in ("-wal", ""):  # a new file must never find the old one's log
        file = Path(f"{path}{end}")
        if file.exists():
            file.replace(f"{aside(path)}{end}")
    Path(f"{path}-shm").unlink(missing_ok=True)


def replace(path: Path, fresh: Path) -> None:
    """Put the damaged file aside and a closed one in its place."""
    put_aside(path)
    fresh.replace(path)


def drop_aside(path: Path) -> None:
    drop(aside(path))


def drop(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)


class Users:
    """Who has a file open. Only who is alone with it may put another one in its place: whoever else still had
    the former one would go on writing to it, and delete the new one's log when it closes.

    A lock on a file beside it, shared by all users, which the kernel takes from a dead one.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(f"{path}.open")
        self._handle: int | None = None

    async def join(self) -> None:
        """Once nobody replaces the file. `LocalError("file_busy")` when that takes too long."""
        await self._lock(exclusive=False)

    def leave(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    @asynccontextmanager
    async def alone(self, is_needless: Callable[[], bool]) -> AsyncIterator[None]:
        """Ours alone within, unless that is needless. `LocalError("file_busy")` while others use it."""
        self.leave()  # two who have found the same damage must not wait for each other
        try:
            await self._lock(exclusive=True, is_needless=is_needless)
            yield
        finally:
            self.leave()

    async def _lock(self, exclusive: bool, is_needless: Callable[[], bool] = lambda: False) -> None:
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for _ in range(USERS_TRIES):
            if is_needless() or sys.platform == "win32":  # where nobody can rename what somebody has open
                return
            try:
                fcntl.flock(self._handle, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                await asyncio.sleep(USERS_WAIT_S)
        self.leave()
        raise LocalError("file_busy", file=self._path.stem)


@contextmanager
def _alone(connection: sqlite3.Connection) -> Iterator[None]:
    """Where nobody else has the file open, without the log, through which every page would go twice."""
    connection.execute("PRAGMA busy_timeout = 0")
    with suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA busy_timeout = 5000")
    try:
        yield
    finally:
        connection.execute("PRAGMA journal_mode = WAL")


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _keep_log(connection: sqlite3.Connection, patience_s: float = 5.0) -> None:
    """Keep a write-ahead log from now on. SQLite itself waits for nobody when two processes ask at once."""
    until = time.monotonic() + patience_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)


class File:
    """One SQLite file of a known kind and version.

    `mend` puts a file that works in the place of one that turned out to be damaged.
    """

    def __init__(
        self,
        path: Path,
        kind: int,
        ddl: str,
        durable: bool = True,
        on_moved: Work[None] = lambda connection: None,
        version: int = 1,
    ) -> None:
        """`version` is the highest that can be read. `on_moved` reads anew what is kept of the file in
        memory, within the first transaction of all, the first one after another process wrote, and the first
        one after a rollback."""
        self.path = path
        self.foreign = 0
        """How often another process was seen to have written."""
        self._known = version
        self._version: int | None = None
        self._is_stale = True
        self._on_moved = on_moved
        self._kind = kind
        self._ddl = ddl
        self._durable = durable
        self._connection: Connection | None = None
        self._mending = asyncio.Lock()
        self.mend: Callable[[], Awaitable[None]] | None = None
        self._waits_to_mend = False
        self._opened: tuple[int, int] | None = None
        """Which file it was that stood at the path."""
        self.users: Users | None = None
        """Set where other processes may use the file too."""

    async def open(self, connect: Connect) -> None:
        """Create or check; `LocalError` file_foreign, file_newer, file_busy, file_damaged, disk_full."""
        try:
            if self.users is not None:
                await self.users.join()
            self._opened = _identity(self.path)
            self._connection = connection = await connect(self.path)
            with explained(self.path):
                await connection.run(self._prepare)
        except BaseException:
            await self.close()
            raise

    async def exchange(self, connect: Connect, put: Callable[[], Awaitable[None]]) -> None:
        """Close the file, let `put` put another one in its place unless somebody has done so, and open that.

        `LocalError("file_busy")` while another process uses it; it is tried again by whatever comes next.
        """
        await self.close()
        self._waits_to_mend = True

        def is_done() -> bool:
            return self._opened != _identity(self.path)

        async with self.users.alone(is_done) if self.users is not None else nullcontext():
            if not is_done():
                await put()
        self._waits_to_mend = False
        await self.open(connect)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA busy_timeout = 5000")
        with _transaction(connection, "BEGIN"):
            is_new = self._is_new(connection)
        if is_new:
            with _transaction(connection, "BEGIN EXCLUSIVE"):
                if self._is_new(connection):  # else another process was quicker
                    for statement in self._ddl.split(";\n"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA application_id = {self._kind}")
                    connection.execute(f"PRAGMA user_version = {self._known}")
        _keep_log(connection)
        connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'OFF'}")
        connection.execute("PRAGMA secure_delete = ON")

    def _is_new(self, connection: sqlite3.Connection) -> bool:
        """Whether nothing was written to the file yet; raises when what was is not ours to read."""
        (kind,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if (kind, version, tables) == (0, 0, 0):
            return True
        if kind != self._kind:
            raise LocalError("file_foreign", file=self.path.name)
        if version > self._known:
            raise LocalError("file_newer", file=self.path.name, found=version, known=self._known)
        return False

    @property
    def damaged(self) -> str | None:
        """The name of the damaged file that was set aside; None when there is none."""
        place = aside(self.path)
        return place.name if place.exists() else None

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        if self.users is not None:
            self.users.leave()

    async def read(self, work: Work[T]) -> T:
        """Run a function in one read transaction."""
        return await self._run("BEGIN", work)

    async def write(self, work: Work[T]) -> T:
        """Run a function in one write transaction: durable when this returns, no trace when it raises."""
        return await self._run("BEGIN IMMEDIATE", work)

    async def purge(self, work: Work[None]) -> None:
        """Write, and leave no byte of what was deleted in the file or beside it; idempotent.

        `LocalError("file_busy")` when another process reads: it is deleted, and its bytes go next time.
        """
        await self.write(work)

        if self._connection is not None:
            with explained(self.path):
                await self._connection.run(lambda connection: connection.execute("VACUUM"))
        await self.flush()

    async def flush(self) -> None:
        """Bring the log into the file and empty it: nothing that was overwritten is left beside the file.

        `LocalError("file_busy")` when another process reads.
        """

        def work(connection: sqlite3.Connection) -> None:
            (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise LocalError("file_busy", file=self.path.name)

        if self._connection is not None:
            with explained(self.path):
                await self._connection.run(work)

    async def become(self, other: Path, work: Work[T]) -> T:
        """Take the content of another file of this kind in the place of one's own, durably, or none of it.

        `work` looks at it right before, on a connection to which the other file is attached as `other`.
        Whoever reads meanwhile, in this process or another one, sees the former content whole, then the new.
        """

        def whole(connection: sqlite3.Connection) -> T:
            if any(name == "other" for _, name, _ in connection.execute("PRAGMA database_list")):
                connection.execute("DETACH other")  # a disk that failed kept the last attempt from doing so
            connection.execute("ATTACH ? AS other", (str(other),))
            try:
                result = work(connection)
            finally:
                connection.execute("DETACH other")
            with _alone(connection), closing(sqlite3.connect(other)) as source:
                source.backup(connection)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return result

        if self._connection is None:
            raise LocalError("file_closed", file=self.path.name)
        with explained(self.path):
            return await self._connection.run(whole)

    async def _run(self, begin: str, work: Work[T]) -> T:
        used = self._connection
        try:
            if self._waits_to_mend:
                raise LocalError("file_damaged", file=self.path.name, reason="it waits to be replaced")
            return await self._attempt(begin, work)
        except LocalError as error:
            if self.mend is None or not (self._waits_to_mend or is_damage(error)):
                raise
            async with self._mending:
                if self._connection is used:
                    await self.mend()
        return await self._attempt(begin, work)

    async def _attempt(self, begin: str, work: Work[T]) -> T:
        def whole(connection: sqlite3.Connection) -> T:
            try:
                with _transaction(connection, begin):
                    self._notice(connection)
                    return work(connection)
            except BaseException:
                self._is_stale = True
                raise

        if self._connection is None:
            raise LocalError("file_closed", file=self.path.name)
        with explained(self.path):
            return await self._connection.run(whole)

    def _notice(self, connection: sqlite3.Connection) -> None:
        """See whether another process wrote: SQLite's own count of it moves."""
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if self._version not in (None, version):
            self.foreign += 1
            self._is_stale = True
        self._version = version
        if self._is_stale:
            self._on_moved(connection)
            self._is_stale = False
