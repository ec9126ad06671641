"""The connections of one file and the transactions on them.

A transaction is ended by what is posted behind its last operation, so a task that is cancelled anywhere
leaves none open: whoever gets the connection next finds it clean.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

from regulars_schema.declare import Registry
from regulars_server.storage.interface import Chain, Reader, Writer
from regulars_server.storage.layout import check_scopes
from regulars_server.storage.migrations import migrate
from regulars_server.storage.search_index import optimize
from regulars_server.storage.sql import standing
from regulars_server.storage.sql.commit import MARK_BYTES, Transaction, compact, prepare
from regulars_server.storage.sql.reader import Run, SqlReader, SqlWriter
from regulars_server.storage.sql.snapshot import Snapshot
from regulars_server.storage.sqlite.connection import Connect, Driver, on_thread, roll_back
from regulars_server.storage.sqlite.dialect import SQLITE
from regulars_server.storage.standing import Checked, Due, Movement
from regulars_sync.errors import LocalError, Refused, RegularsError

T = TypeVar("T")

BUSY_S_MAX = 5.0
_WRITER_CACHE_KIB, _READER_CACHE_KIB = 64 * 1024, 16 * 1024
_MMAP_BYTES = 1 << 30
_CHECKPOINT_PAGES = 4_000


class SqliteStorage:
    """A chain in the file at `path`. `connect` makes connections: on threads, or inline for a simulator."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        registry: Registry,
        entropy: Callable[[int], bytes] = os.urandom,
        readers: int = 3,
        connect: Connect = on_thread,
    ) -> None:
        self.registry = registry
        self.path = os.fspath(path)
        self._entropy = entropy
        self._readers = readers
        self._connect = connect
        self._chain: Chain | None = None
        self._terms: dict[str, int] = {}
        self._writer: Driver | None = None
        self._idle: asyncio.Queue[Driver] = asyncio.Queue()
        self._opened: list[Driver] = []
        self._alone = asyncio.Lock()

    @property
    def chain(self) -> Chain:
        assert self._chain is not None, "open() it first"
        return self._chain

    # --- opening and closing ---------------------------------------------------------------------------

    async def open(self) -> None:
        try:
            self._writer = await self._open_one(_WRITER_CACHE_KIB)
            await self._run(self._writer, self._prepare)
            for _ in range(self._readers):
                driver = await self._open_one(_READER_CACHE_KIB)
                await self._run(driver, partial(_configure, cache_kib=_READER_CACHE_KIB))
                self._idle.put_nowait(driver)
        except BaseException:
            await self.close()
            raise

    async def _open_one(self, cache_kib: int) -> Driver:
        with self._translated():
            driver = await self._connect(partial(_open_file, self.path))
        self._opened.append(driver)
        return driver

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Create or migrate, then see that the file names its chain and every entity."""
        migrate(connection, self.path)
        _configure(connection, _WRITER_CACHE_KIB)
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._terms = prepare(connection, self._entropy)
            connection.execute("COMMIT")
        finally:
            roll_back(connection)
        self._chain = Chain(*connection.execute("SELECT id, epoch, secret FROM chain").fetchone())

    def _mark(self) -> str:
        return self._entropy(MARK_BYTES).hex()

    async def close(self) -> None:
        async with self._alone:
            opened, self._opened = self._opened, []
            self._writer, self._idle = None, asyncio.Queue()
            for driver in reversed(opened):
                driver.post(roll_back)
                await driver.close()

    # --- transactions ------------------------------------------------------------------------------------

    async def _run(self, driver: Driver, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._translated():
            return await driver.run(work)

    def _runner(self, driver: Driver) -> Run:
        async def run(work: Callable[[], T]) -> T:
            return await self._run(driver, lambda connection: work())

        return run

    def _translated(self) -> Translated:
        return Translated(self.path)

    @asynccontextmanager
    async def _reading(self, scopes: frozenset[str] | None) -> AsyncIterator[Reader]:
        idle = self._idle
        driver = await idle.get()
        try:
            begin = partial(_begin_reading, registry=self.registry, terms=self._terms, scopes=scopes)
            snapshot = await self._run(driver, begin)
            yield SqlReader(self._runner(driver), snapshot)
        finally:
            driver.post(roll_back)
            idle.put_nowait(driver)

    def reader(self, scopes: frozenset[str]) -> AbstractAsyncContextManager[Reader]:
        return self._reading(check_scopes(scopes))

    def unscoped_reader(self) -> AbstractAsyncContextManager[Reader]:
        return self._reading(None)

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[Writer]:
        async with self._alone:
            driver = self._writer
            assert driver is not None, "open() it first"
            try:
                begin = partial(_begin_writing, registry=self.registry, terms=self._terms)
                transaction = await self._run(driver, begin)
                yield SqlWriter(self._runner(driver), transaction, self._mark)
            finally:
                driver.post(roll_back)

    async def listen(self, on_commit: Callable[[frozenset[str] | None, int | None], None]) -> None:
        """Nobody tells of others here."""

    async def new_epoch(self) -> str:
        epoch = self._entropy(8).hex()

        await self._keep(lambda c: c.execute("UPDATE chain SET epoch=?", (epoch,)))
        self._chain = replace(self.chain, epoch=epoch)
        return epoch

    async def _keep(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """A transaction that is no commit of the chain."""

        def kept(connection: sqlite3.Connection) -> T:
            try:
                connection.execute("BEGIN IMMEDIATE")
                result = work(connection)
                connection.execute("COMMIT")
                return result
            finally:
                roll_back(connection)

        async with self._alone:
            assert self._writer is not None, "open() it first"
            return await self._run(self._writer, kept)

    async def claim(
        self, worker: str, now_ms: int, held_ms: int, limit: int, others: int | None = None
    ) -> list[Due]:
        return await self._keep(lambda c: standing.claim(c, worker, now_ms, held_ms, limit, others))

    async def conclude(
        self, worker: str, seq: int, checked: Sequence[Checked], left: Iterable[str] = ()
    ) -> list[Movement]:
        back = list(left)
        return await self._keep(lambda c: standing.conclude(c, SQLITE, worker, seq, checked, back))

    async def sweep_on(self, now_ms: int, limit: int) -> bool:
        return await self._keep(lambda c: standing.sweep_on(c, now_ms, limit))

    async def compact(self, before_ms: int) -> int:
        return await self._keep(lambda c: compact(c, before_ms, self._terms["change_verdict"]))

    async def scrub(self) -> None:
        async with self._alone:
            assert self._writer is not None, "open() it first"
            await self._run(self._writer, _scrub)

    async def verify_log(self) -> int:
        async with self._reading(None) as reader:
            assert isinstance(reader, SqlReader)
            return await reader.verify_log(self.path)


class Translated:
    """Says a driver's failure in this product's words; what it has no word for passes as it is."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        if isinstance(error, sqlite3.Error):
            said = self._say(error)
            if said is not None:
                raise said from error

    def _say(self, error: sqlite3.Error) -> RegularsError | None:
        match getattr(error, "sqlite_errorcode", 0) & 0xFF:
            case sqlite3.SQLITE_FULL:
                return Refused("storage_full")
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return Refused("busy", seconds=1)
            case sqlite3.SQLITE_NOTADB:
                return LocalError("file_foreign", file=self.path)
            case sqlite3.SQLITE_CORRUPT:
                return LocalError("file_damaged", file=self.path, reason=str(error))
        return None


def _open_file(path: str) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=BUSY_S_MAX, isolation_level=None, check_same_thread=False, cached_statements=256
    )


def _configure(connection: sqlite3.Connection, cache_kib: int) -> None:
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "secure_delete=ON",
        f"cache_size=-{cache_kib}",
        f"mmap_size={_MMAP_BYTES}",
        f"wal_autocheckpoint={_CHECKPOINT_PAGES}",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _scrub(connection: sqlite3.Connection) -> None:
    """Write the file anew: pages that were split or freed keep old bytes, whatever is deleted in them."""
    if not connection.execute("SELECT 1 FROM erased WHERE scrubbed=0 LIMIT 1").fetchone():
        return
    optimize(connection)
    connection.execute("PRAGMA temp_store=FILE")  # the copy may be larger than memory
    try:
        connection.execute("VACUUM")
    finally:
        connection.execute("PRAGMA temp_store=MEMORY")
    (is_busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if is_busy:
        raise Refused("busy", seconds=1)
    connection.execute("UPDATE erased SET scrubbed=1 WHERE scrubbed=0")


def _begin_reading(
    connection: sqlite3.Connection,
    registry: Registry,
    terms: Mapping[str, int],
    scopes: frozenset[str] | None,
) -> Snapshot:
    roll_back(connection)
    connection.execute("BEGIN")
    snapshot = Snapshot(connection, SQLITE, registry, terms, scopes)
    snapshot.fix()  # the first look: from here on the snapshot stands
    return snapshot


def _begin_writing(
    connection: sqlite3.Connection, registry: Registry, terms: Mapping[str, int]
) -> Transaction:
    roll_back(connection)
    connection.execute("BEGIN IMMEDIATE")
    return Transaction(connection, SQLITE, registry, terms)
