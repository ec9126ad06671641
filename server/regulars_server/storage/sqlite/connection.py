"""Connections on which one whole operation is one call, never one hop a statement.

`ThreadConnection` runs its work on a thread of its own, in the order in which it was asked. So whatever
is posted after a cancelled operation finds that operation ended: cleaning up is to post a rollback.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import aiosqlite

T = TypeVar("T")


class Driver(Protocol):
    """A connection that runs its work in the order of asking, one at a time."""

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns or raises. Cancelled, it may still be done, but before anything asked later."""
        ...

    def post(self, work: Callable[[sqlite3.Connection], Any]) -> None:
        """Have `work` done without waiting for it; it must not raise."""
        ...

    async def close(self) -> None: ...


Connect = Callable[[Callable[[], sqlite3.Connection]], Awaitable[Driver]]
"""Makes a driver of what opens the connection."""


class ThreadConnection(aiosqlite.Connection):
    """A connection with a thread of its own, which never keeps a program from ending."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        self._thread.daemon = True

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            result: T = await self._execute(work, self._conn)  # type: ignore[no-untyped-call]
        except asyncio.CancelledError:
            self._conn.interrupt()  # nothing else is at work on it: whoever has it next need not wait
            raise
        return result

    def post(self, work: Callable[[sqlite3.Connection], Any]) -> None:
        connection = self._connection
        if connection is None or not self._running:
            return  # closing has ended every transaction
        self._tx.put_nowait((None, lambda: work(connection)))


class InlineConnection:
    """For one-thread drivers, such as a simulator on virtual time: the work is done in the call itself."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._is_closed = False

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return work(self._connection)

    def post(self, work: Callable[[sqlite3.Connection], Any]) -> None:
        if not self._is_closed:
            work(self._connection)

    async def close(self) -> None:
        self._is_closed = True
        self._connection.close()


async def on_thread(opener: Callable[[], sqlite3.Connection]) -> Driver:
    return await ThreadConnection(opener)  # type: ignore[return-value] # is typed as what it extends


async def inline(opener: Callable[[], sqlite3.Connection]) -> Driver:
    return InlineConnection(opener())


def roll_back(connection: sqlite3.Connection) -> None:
    """End whatever transaction is open. Never raises."""
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    except sqlite3.Error:
        if connection.in_transaction:  # nothing else is left that could end it
            connection.close()
