"""Synchronous functions over a connection that has to be awaited.

`crossed` runs a function in a greenlet of its own; each `execute` in it steps out to the task, which awaits
the answer and steps back in. Nothing runs on another thread, and a cancelled task ends the function where
it waits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import greenlet

from regulars_server.storage.postgres.dialect import translated

T = TypeVar("T")


class Asynchronous(Protocol):
    """What is used of a connection of asyncpg."""

    async def fetch(self, query: str, /, *parameters: Any) -> list[Any]: ...
    async def execute(self, query: str, /) -> str: ...
    async def executemany(self, command: str, args: Iterable[Sequence[Any]], /) -> None: ...
    def is_in_transaction(self) -> bool: ...
    def is_closed(self) -> bool: ...
    def terminate(self) -> None: ...


async def crossed(work: Callable[[], T]) -> T:
    """What `work` returns or raises; `Bridge` awaits in it."""
    crossing = greenlet.greenlet(work)
    crossing.gr_context = greenlet.getcurrent().gr_context
    wanted = crossing.switch()
    while not crossing.dead:
        try:
            answer = await wanted
        except BaseException as error:
            wanted = crossing.throw(error)
        else:
            wanted = crossing.switch(answer)
    return wanted  # type: ignore[no-any-return]


def awaited(wanted: Awaitable[T]) -> T:
    """What it gives; only within `crossed`."""
    return greenlet.getcurrent().parent.switch(wanted)  # type: ignore[no-any-return]


class Bridge:
    """A `storage.sql` connection over one of asyncpg."""

    def __init__(self, connection: Asynchronous) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Iterable[tuple[Any, ...]]:
        if sql == "COMMIT":
            awaited(self._connection.execute(sql))
            return ()
        return map(tuple, awaited(self._connection.fetch(translated(sql), *parameters)))

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> None:
        rows = list(parameters)
        if rows:
            awaited(self._connection.executemany(translated(sql), rows))
