"""An event loop on virtual time: when nothing is ready, the clock stands at the next timer at once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

import aiosqlite

T = TypeVar("T")

BUSY_S_MAX = 5.0


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs until a given moment, or until a coroutine is done. No sockets, no threads, no real clock."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._until_s = 0.0
        self._selector = self

    def time(self) -> float:
        return self._now_s

    def run_until(self, seconds: float) -> None:
        """Do all that happens up to then; afterwards nothing is ready."""
        self._until_s = max(seconds, self._now_s)
        self._run(self.run_forever)

    def complete(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, however much time passes; afterwards nothing is ready."""
        self._until_s = float("inf")
        result = self._run(lambda: self.run_until_complete(coroutine))
        self.run_until(self._now_s)
        return result

    def _run(self, work: Callable[[], T]) -> T:
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            return work()
        finally:
            asyncio._set_running_loop(outer)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """At once, as there are no threads."""
        future: asyncio.Future[Any] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    # --- what asyncio's own loop asks of a selector ---------------------------------------------------------

    def select(self, timeout_s: float | None) -> list[Any]:
        if timeout_s is None or self._now_s + timeout_s > self._until_s:
            assert self._until_s != float("inf"), "it waits for ever"
            self._now_s = max(self._now_s, self._until_s)
            self.stop()
        else:
            self._now_s += timeout_s
        return []

    def _process_events(self, events: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


@contextmanager
def inline_aiosqlite() -> Iterator[None]:
    """Let aiosqlite work in the call itself, without its thread, and wait for a busy file."""

    async def execute(self: Any, work: Callable[..., Any], *given: Any, **named: Any) -> Any:
        begun = asyncio.get_running_loop().time()
        while True:
            if not self._running or self._connection is None:
                raise ValueError("Connection closed")
            try:
                return work(*given, **named)
            except sqlite3.OperationalError as error:
                now = asyncio.get_running_loop().time()
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or now - begun > BUSY_S_MAX:
                    raise
            await asyncio.sleep(0.005)

    async def connect(self: Any) -> Any:
        self._connection = self._connection or self._connector()
        return self

    def start(self: Any) -> Generator[Any, None, Any]:
        return connect(self).__await__()

    def stop(self: Any) -> None:
        self._running = False
        connection: sqlite3.Connection | None = self._connection
        self._connection = None
        if connection is not None:
            connection.close()

    made = aiosqlite.Connection
    with (
        patch.object(made, "_execute", execute),
        patch.object(made, "_connect", connect),
        patch.object(made, "__await__", start),
        patch.object(made, "stop", stop),
    ):
        yield
