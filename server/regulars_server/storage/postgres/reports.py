"""Reading for reports from a replica of the database, which may be a little behind.

The replica is asked only while it is as far as whoever reads needs it, which the primary says in one
statement: when the first commit was made that the replica has not, and that no erasure is missing. Where the
replica is away, too far behind or slow to answer, the primary gives the answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace

from regulars_server.storage.interface import Reader
from regulars_server.storage.postgres.pool import Address, Pool, open_pool
from regulars_server.storage.postgres.storage import PostgresStorage
from regulars_sync.errors import RegularsError

CONNECTIONS_MAX = 6
WAIT_S_MAX = 1.0
AWAY_S = 5.0
"""So long nobody asks a replica again that did not answer."""
_MISSING = (
    "SELECT (SELECT at_ms FROM commit_mark WHERE seq > $1 ORDER BY seq LIMIT 1),"
    " (SELECT count(*) FROM erased)"
)

log = logging.getLogger("regulars")


class Reports:
    """The readers of a chain that a replica may serve."""

    def __init__(self, primary: PostgresStorage, address: Address) -> None:
        self._primary = primary
        self._address = replace(address, schema=primary.address.schema)
        self._pool: Pool | None = None
        self._away_until_s = 0.0

    async def open(self) -> None:
        """Connects to nothing yet: a replica that is away keeps no server from its start."""
        self._pool = await open_pool(self._address, CONNECTIONS_MAX)

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    @asynccontextmanager
    async def reader(self, scopes: frozenset[str] | None, from_ms: int) -> AsyncIterator[Reader]:
        """A snapshot with all that was committed by `from_ms`. `scopes`: None is everything."""
        async with AsyncExitStack() as stack:
            reader = await self._replica(stack, scopes, from_ms)
            if reader is None:
                primary = self._primary
                opened = primary.unscoped_reader() if scopes is None else primary.reader(scopes)
                reader = await stack.enter_async_context(opened)
            yield reader

    async def _replica(
        self, stack: AsyncExitStack, scopes: frozenset[str] | None, from_ms: int
    ) -> Reader | None:
        now_s = asyncio.get_running_loop().time()
        if self._pool is None or now_s < self._away_until_s:
            return None
        trying = AsyncExitStack()
        try:
            async with asyncio.timeout(WAIT_S_MAX):
                opened = self._primary.replica_reader(self._pool, scopes)
                reader: Reader = await trying.enter_async_context(opened)
                seq = (await reader.head()).seq
                erased = (await reader.since({}, 0)).erased
                first_ms, all_erased = await self._primary.fetch_row(_MISSING, seq)
        except BaseException as error:
            with suppress(RegularsError):
                await trying.aclose()
            if not isinstance(error, Exception):
                raise
            log.warning("reports are read from the primary", extra={"error": type(error).__name__})
            self._away_until_s = now_s + AWAY_S
            return None
        if (first_ms is None or first_ms > from_ms) and erased == all_erased:
            await stack.enter_async_context(trying)
            return reader
        await trying.aclose()
        return None
