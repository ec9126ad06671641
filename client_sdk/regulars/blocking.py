"""The same API for scripts without `async`, derived from `regulars.Shop`: nothing to keep in step.

    from regulars.blocking import Shop

    with Shop.open("branch.db") as shop:
        lin = shop.customers.create(name="林芳")

Every coroutine is run to its end on an event loop in a thread of its own; asynchronous context managers
and iterators become plain ones.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any

import regulars
from regulars.attached import Consents, Suppliers, Tasks
from regulars.customers import Customers, Identities, Links, Tags
from regulars.interactions import Interactions
from regulars.segments import Segments

_ROOMS = (Consents, Customers, Identities, Interactions, Links, Segments, Suppliers, Tags, Tasks)
_END = object()


class _Loop:
    """An event loop in a thread, and one context in which everything runs, so that transactions hold."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._context = contextvars.copy_context()
        self._thread = threading.Thread(target=self._loop.run_forever, name="regulars", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        done: asyncio.Future[Any] = asyncio.run_coroutine_threadsafe(self._within(work), self._loop)  # type: ignore[assignment]
        return done.result()

    async def _within(self, work: Coroutine[Any, Any, Any]) -> Any:
        return await self._loop.create_task(work, context=self._context)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Plain:
    """An object whose coroutines are plain calls."""

    def __init__(self, target: Any, loop: _Loop) -> None:
        self._target = target
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._plain(getattr(self._target, name))

    def _plain(self, value: Any) -> Any:
        if isinstance(value, _ROOMS):
            return _Plain(value, self._loop)
        if not callable(value) or isinstance(value, type):
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            result = value(*args, **kwargs)
            if inspect.iscoroutine(result):
                return self._loop.run(result)
            if isinstance(result, AbstractAsyncContextManager):
                return _managed(result, self._loop)
            return _iterated(result, self._loop) if isinstance(result, AsyncIterator) else result

        return call


@contextmanager
def _managed(manager: AbstractAsyncContextManager[Any], loop: _Loop) -> Iterator[Any]:
    entered = loop.run(_enter(manager))
    try:
        yield entered
    except BaseException as error:
        if not loop.run(_exit(manager, error)):
            raise
    else:
        loop.run(_exit(manager, None))


async def _enter(manager: AbstractAsyncContextManager[Any]) -> Any:
    return await manager.__aenter__()


async def _exit(manager: AbstractAsyncContextManager[Any], error: BaseException | None) -> bool | None:
    return await manager.__aexit__(
        type(error) if error else None, error, error.__traceback__ if error else None
    )


def _iterated(items: AsyncIterator[Any], loop: _Loop) -> Iterator[Any]:
    while (item := loop.run(_next(items))) is not _END:
        yield item


async def _next(items: AsyncIterator[Any]) -> Any:
    return await anext(items, _END)


class Shop(_Plain):
    """`regulars.Shop` for scripts; see there."""

    @classmethod
    @contextmanager
    def open(cls, path: str | Path, **options: Callable[..., Any]) -> Iterator[Shop]:
        """Open the replica at `path`, as `regulars.Shop.open` does."""
        loop = _Loop()
        try:
            with _managed(regulars.Shop.open(path, **options), loop) as shop:  # type: ignore[arg-type]
                yield cls(shop, loop)
        finally:
            loop.close()
