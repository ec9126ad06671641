"""The transactions of one chain's schema.

Readers have a snapshot (`REPEATABLE READ READ ONLY`) and wait for nobody. A writer takes the chain's lock,
its row of `chain`, before it reads anything, and holds it to the end of its commit: so what it decides
on is the latest, of however many servers; commits are numbered in the order in which they are seen; and
since it is the only lock, nobody can wait in a circle.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

from regulars_schema.declare import Registry
from regulars_server.storage.interface import Batch, Chain, Reader, Writer
from regulars_server.storage.layout import check_scopes
from regulars_server.storage.postgres import pool as pools
from regulars_server.storage.postgres.bridge import Bridge, crossed
from regulars_server.storage.postgres.dialect import POSTGRES
from regulars_server.storage.postgres.migrating import migrate
from regulars_server.storage.postgres.pool import Address, OpenPool, Pool, open_pool
from regulars_server.storage.sql import standing
from regulars_server.storage.sql.commit import MARK_BYTES, Transaction, compact, prepare
from regulars_server.storage.sql.dialect import Connection
from regulars_server.storage.sql.reader import Run, SqlReader, SqlWriter
from regulars_server.storage.sql.snapshot import Snapshot
from regulars_server.storage.standing import MOVED, Checked, Due, Movement
from regulars_sync.errors import Refused, RegularsError

T = TypeVar("T")

READERS_MAX = 6
WRITERS_MAX = 2
"""Connections that write: one in its transaction, one for what is asked beside it."""
TOLD_BYTES_MAX = 7_000
"""A notification holds 8,000 bytes; with more scopes it says: any."""
RECONNECT_S = 0.5
OLDER_LOOKS_MAX = 100
_TABLES = (
    "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables WHERE schemaname=$1"
    " AND tablename NOT IN ('chain', 'layout', 'term', 'scope', 'commit_mark', 'incarnation')"
)
_OLDER = (
    "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname=current_database()"
    " AND backend_xmin IS NOT NULL AND age(backend_xmin) >= age($1::xid)"
)
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_LOCK = "SELECT id, epoch, secret FROM chain FOR UPDATE"


class PostgresStorage:
    """A chain in a schema. `open_pool` makes connections: of asyncpg, or inline for a simulator."""

    def __init__(
        self,
        address: Address | str,
        registry: Registry,
        entropy: Callable[[int], bytes] = os.urandom,
        readers: int = READERS_MAX,
        open_pool: OpenPool = open_pool,
    ) -> None:
        self.registry = registry
        self.address = Address.parse(address) if isinstance(address, str) else address
        self._entropy = entropy
        self._readers = readers
        self._open_pool = open_pool
        self._chain: Chain | None = None
        self._terms: dict[str, int] = {}
        self._reading: Pool | None = None
        self._writing: Pool | None = None
        self._alone = asyncio.Lock()

    @property
    def chain(self) -> Chain:
        assert self._chain is not None, "open() it first"
        return self._chain

    # --- opening and closing ---------------------------------------------------------------------------

    async def open(self) -> None:
        try:
            with self._translated():
                self._writing = await self._open_pool(self.address, WRITERS_MAX)
                self._reading = await self._open_pool(self.address, self._readers)
            async with self._connection(self._writing) as connection:
                await connection.execute("BEGIN")
                await crossed(lambda: self._prepare(Bridge(connection)))
                await connection.execute("COMMIT")
        except BaseException:
            await self.close()
            raise

    def _prepare(self, connection: Bridge) -> None:
        """Create or migrate, then see that the schema names its chain and every entity."""
        migrate(connection, self.address.schema, self.address.shown)
        self._terms = prepare(connection, self._entropy)
        ((id, epoch, secret),) = connection.execute(_LOCK)
        self._chain = Chain(id, epoch, secret)

    def _mark(self) -> str:
        return self._entropy(MARK_BYTES).hex()

    async def close(self) -> None:
        async with self._alone:
            opened, self._reading, self._writing = (self._reading, self._writing), None, None
            for pool in opened:
                if pool is not None:
                    await pool.close()

    # --- transactions ------------------------------------------------------------------------------------

    def _translated(self) -> Translated:
        return Translated(self.address)

    @asynccontextmanager
    async def _connection(self, pool: Pool | None) -> AsyncIterator[Any]:
        """A connection outside of every transaction; whatever is open at the end is undone."""
        assert pool is not None, "open() it first"
        with self._translated():
            connection = await pool.acquire()
        try:
            with self._translated():
                yield connection
        finally:
            await pools.give_back(pool, connection)

    def _runner(self) -> Run:
        """One operation at a time, each a function of its own stack."""
        alone = asyncio.Lock()

        async def run(work: Callable[[], T]) -> T:
            async with alone:
                with self._translated():
                    return await crossed(work)

        return run

    @asynccontextmanager
    async def _snapshot(
        self, scopes: frozenset[str] | None, replica: Pool | None = None
    ) -> AsyncIterator[SqlReader[Snapshot]]:
        async with self._connection(replica or self._reading) as connection:
            await connection.execute(_READ)
            run = self._runner()
            is_primary = replica is None
            yield SqlReader(run, await run(lambda: self._begin(Bridge(connection), scopes, is_primary)))

    def _begin(self, connection: Bridge, scopes: frozenset[str] | None, is_primary: bool) -> Snapshot:
        snapshot = Snapshot(connection, POSTGRES, self.registry, self._terms, scopes)
        _, epoch = snapshot.fix()
        if is_primary:
            self._know(epoch)
        elif epoch != self.chain.epoch:
            raise Refused("busy", seconds=1)
        return snapshot

    def replica_reader(
        self, pool: Pool, scopes: frozenset[str] | None
    ) -> AbstractAsyncContextManager[SqlReader[Snapshot]]:
        """A reader of a replica of this schema. `Refused("busy")` when it has not heard of the epoch."""
        return self._snapshot(scopes if scopes is None else check_scopes(scopes), pool)

    async def fetch_row(self, sql: str, *given: object) -> Any:
        """One row of this database as it is now."""
        async with self._connection(self._reading) as connection:
            return await connection.fetchrow(sql, *given)

    def _know(self, epoch: str) -> None:
        """Another server may have drawn another one."""
        if epoch != self.chain.epoch:
            self._chain = replace(self.chain, epoch=epoch)

    def reader(self, scopes: frozenset[str]) -> AbstractAsyncContextManager[Reader]:
        return self._snapshot(check_scopes(scopes))

    def unscoped_reader(self) -> AbstractAsyncContextManager[Reader]:
        return self._snapshot(None)

    @asynccontextmanager
    async def _writer(self) -> AsyncIterator[tuple[Run, PostgresTransaction]]:
        async with self._alone, self._connection(self._writing) as connection:
            await connection.execute("BEGIN")
            run = self._runner()
            bridge = Bridge(connection)
            ((_, epoch, _),) = await run(lambda: list(bridge.execute(_LOCK)))
            self._know(epoch)
            yield run, PostgresTransaction(bridge, self.registry, self._terms, self.chain.id)

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[Writer]:
        async with self._writer() as (run, transaction):
            yield SqlWriter(run, transaction, self._mark)

    async def new_epoch(self) -> str:
        epoch = self._entropy(8).hex()
        await self._keep(lambda c: c.execute("UPDATE chain SET epoch=?", (epoch,)))
        self._know(epoch)
        return epoch

    async def _keep(self, work: Callable[[Connection], T]) -> T:
        """A transaction that is no commit of the chain."""
        async with self._writer() as (run, transaction):

            def kept() -> T:
                result = work(transaction.connection)
                transaction.rows("COMMIT")
                return result

            return await run(kept)

    async def compact(self, before_ms: int) -> int:
        return await self._keep(lambda c: compact(c, before_ms, self._terms["change_verdict"]))

    async def claim(
        self, worker: str, now_ms: int, held_ms: int, limit: int, others: int | None = None
    ) -> list[Due]:
        return await self._keep(lambda c: standing.claim(c, worker, now_ms, held_ms, limit, others))

    async def conclude(
        self, worker: str, seq: int, checked: Sequence[Checked], left: Iterable[str] = ()
    ) -> list[Movement]:
        back = list(left)

        def keep(connection: Connection) -> list[Movement]:
            moved = standing.conclude(connection, POSTGRES, worker, seq, checked, back)
            if moved:
                told = f'{seq} ["{MOVED}"]'
                connection.execute("SELECT pg_notify(?, ?)", (channel(self.chain.id), told))
            return moved

        return await self._keep(keep)

    async def sweep_on(self, now_ms: int, limit: int) -> bool:
        return await self._keep(lambda c: standing.sweep_on(c, now_ms, limit))

    async def scrub(self) -> None:
        async with self._alone, self._connection(self._writing) as connection:
            if not await connection.fetch("SELECT 1 FROM erased WHERE scrubbed=0 LIMIT 1"):
                return
            await _outwait_older_snapshots(connection)
            for (table,) in await connection.fetch(_TABLES, self.address.schema):
                await connection.execute(f"VACUUM (FULL, ANALYZE) {table}")
            await connection.execute("UPDATE erased SET scrubbed=1 WHERE scrubbed=0")

    async def listen(self, on_commit: Callable[[frozenset[str] | None, int | None], None]) -> None:
        while True:
            with suppress(RegularsError), self._translated():
                await self._hear(on_commit)
            await asyncio.sleep(RECONNECT_S)

    async def _hear(self, on_commit: Callable[[frozenset[str] | None, int | None], None]) -> None:
        """Until the connection is lost."""
        is_lost = asyncio.Event()

        def told(connection: Any, process: int, channel: str, said: str) -> None:
            seq, _, scopes = said.partition(" ")
            on_commit(frozenset(json.loads(scopes)) if scopes else None, int(seq))

        connection = await pools.connect(self.address)
        try:
            connection.add_termination_listener(lambda connection: is_lost.set())
            await connection.add_listener(channel(self.chain.id), told)
            on_commit(None, None)  # of what came meanwhile nobody was told
            await is_lost.wait()
        finally:
            connection.terminate()

    async def verify_log(self) -> int:
        async with self._snapshot(None) as reader:
            return await reader.verify_log(self.address.shown)


class PostgresTransaction(Transaction):
    """Tells the chain's other servers, with the commit, which scopes it touches; none is told too."""

    def __init__(self, connection: Bridge, registry: Registry, terms: dict[str, int], chain: str) -> None:
        super().__init__(connection, POSTGRES, registry, terms)
        self._chain = chain

    def announce(self, batch: Batch, seq: int) -> None:
        scopes = sorted({place.scope for place in batch.writes.places})
        told = json.dumps(scopes, separators=(",", ":"))
        told = told if len(told.encode()) <= TOLD_BYTES_MAX else ""
        self.rows("SELECT pg_notify(?, ?)", channel(self._chain), f"{seq} {told}")


async def _outwait_older_snapshots(connection: Any) -> None:
    """Whoever still sees what was erased keeps it in the tables. `Refused("busy")` when it takes too long."""
    now = await connection.fetchval("SELECT pg_current_xact_id()::xid")
    for _ in range(OLDER_LOOKS_MAX):
        if not await connection.fetchval(_OLDER, now):
            return
        await asyncio.sleep(0.05)
    raise Refused("busy", seconds=1)


async def is_laid_out(address: Address) -> bool:
    """Whether the schema holds any table. `Refused("busy")` where nobody answers."""
    with Translated(address):
        connection = await pools.connect(address)
        try:
            sql = "SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname=$1)"
            return bool(await connection.fetchval(sql, address.schema))
        finally:
            await connection.close()


def channel(chain: str) -> str:
    """Where a chain's commits are told."""
    return f"regulars_{chain}"


class Translated:
    """Says a driver's failure in this product's words; what it has no word for passes as it is."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        if isinstance(error, Exception) and (words := pools.said(error, self._address)) is not None:
            raise words from error
