"""A real PostgreSQL for a program on virtual time.

Its connections live on a loop of their own, on the shore: each statement is done there while virtual time
stands still. Where it crashes and what fails is decided here, as for a file.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import asyncpg

from regulars_server.storage.postgres import Address
from regulars_server.storage.postgres.dialect import translated
from regulars_server.storage.postgres.pool import OpenPool, connect
from tests.simulation.hq import Fuse, ServerCrash
from tests.simulation.trouble import Trouble
from tests.support.postgres import Databases

T = TypeVar("T")

TROUBLES: dict[str, asyncpg.PostgresError] = {
    "full": asyncpg.DiskFullError("could not extend file: No space left on device"),
    "io_error": asyncpg.PostgresIOError("could not read block: Input/output error"),
    "locked": asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
}
_HEX = re.compile(r"lower\(hex\(((?:[^()]|\([^()]*\))*)\)\)")


class Shore:
    """The loop, and one chain's database with its backup."""

    def __init__(self, databases: Databases, url: str | None = None) -> None:
        """`url`: a chain that is there already."""
        self._databases = databases
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.url = url or databases.laid_out()
        self.backup: str | None = None
        self._looking: Any = None

    @property
    def address(self) -> Address:
        return Address.parse(self.url)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def soon(self, work: Any) -> None:
        self._loop.call_soon_threadsafe(work)

    def pools(self, fuse: Fuse | None = None, trouble: Trouble | None = None) -> OpenPool:
        async def open_pool(address: Address, size_max: int) -> ShorePool:
            return ShorePool(self, fuse, trouble)

        return open_pool

    def look(self, sql: str, given: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """For whoever only looks, and is no part of what is tried."""
        if self._looking is None:
            self._looking = self.do(connect(self.address))
        sql = translated(_HEX.sub(r"encode(\1, 'hex')", sql).replace("FROM window", 'FROM "window"'))
        return [tuple(row) for row in self.do(self._looking.fetch(sql, *given))]

    def look_away(self) -> None:
        if self._looking is not None:
            self.do(self._looking.close())
            self._looking = None

    def forget(self) -> None:
        """The connection with which it looked is gone."""
        self._looking = None

    def back_up(self) -> None:
        self.look_away()
        if self.backup is not None:
            self._databases.drop(self.backup)
        self.backup = self._databases.copy(self.url)

    def restore(self) -> None:
        assert self.backup is not None
        self.look_away()
        self._databases.drop(self.url)
        self.url = self._databases.copy(self.backup)

    def close(self) -> None:
        self.look_away()
        for url in filter(None, (self.url, self.backup)):
            self._databases.drop(url)
        self.leave()

    def leave(self) -> None:
        """The database stays."""
        self.look_away()
        self.soon(self._loop.stop)
        self._thread.join()
        self._loop.close()


class ShorePool:
    """As many connections as are wanted; nobody waits for one."""

    def __init__(self, shore: Shore, fuse: Fuse | None, trouble: Trouble | None) -> None:
        self._shore, self._fuse, self._trouble = shore, fuse, trouble
        self._idle: list[ShoreConnection] = []
        self._is_closed = False

    async def acquire(self) -> ShoreConnection:
        if self._idle:
            return self._idle.pop()
        inner = self._shore.do(connect(self._shore.address))
        return ShoreConnection(self._shore, inner, self._fuse, self._trouble)

    async def release(self, connection: ShoreConnection) -> None:
        if self._is_closed or connection.is_closed():
            connection.terminate()
        else:
            self._idle.append(connection)

    async def close(self) -> None:
        self.terminate()

    def terminate(self) -> None:
        self._is_closed = True
        while self._idle:
            self._idle.pop().end()


class ShoreConnection:
    def __init__(self, shore: Shore, inner: Any, fuse: Fuse | None, trouble: Trouble | None) -> None:
        self._shore, self._inner, self._fuse, self._trouble = shore, inner, fuse, trouble

    async def fetch(self, *said: Any) -> Any:
        return self._do(self._inner.fetch, *said)

    async def fetchrow(self, *said: Any) -> Any:
        return self._do(self._inner.fetchrow, *said)

    async def fetchval(self, *said: Any) -> Any:
        return self._do(self._inner.fetchval, *said)

    async def execute(self, *said: Any) -> Any:
        return self._do(self._inner.execute, *said)

    async def executemany(self, *said: Any) -> Any:
        return self._do(self._inner.executemany, *said)

    def _do(self, statement: Any, sql: str, *given: Any) -> Any:
        fuse = self._fuse
        if fuse is not None and fuse.before is not None and sql != "ROLLBACK":
            fuse.before -= 1
            if fuse.before < 0:
                fuse.before = None
                raise ServerCrash
        if self._trouble is not None and self._trouble.is_met(sql, "FOR UPDATE" in sql):
            raise TROUBLES[str(self._trouble.said)]
        result = self._shore.do(statement(sql, *given))
        if fuse is not None and fuse.after is not None and sql == "COMMIT":
            fuse.after -= 1
            if fuse.after < 0:
                fuse.after = None
                raise ServerCrash
        return result

    def is_in_transaction(self) -> bool:
        return bool(self._inner.is_in_transaction())

    def is_closed(self) -> bool:
        return bool(self._inner.is_closed())

    def terminate(self) -> None:
        self._shore.soon(self._inner.terminate)

    def end(self) -> None:
        """Gone for good: nothing of it holds the database."""
        self._shore.do(self._inner.close())
