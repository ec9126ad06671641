"""Wake-ups: whoever waits on a scope is told that a commit touched it, and then pulls as always.

A wake-up carries no data, so a lost or doubled one costs nothing. Commits of this process are told at
once; those of another (a server beside this one, a command) are told by storage where it can, and found by
looking at the head now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from regulars_server.storage.interface import Storage
from regulars_sync.errors import RegularsError

POLL_S = 2.0
SETTLE_S = 0.2
"""So long a commit of this process may be done before it is told here."""
EVERYTHING = "*"
"""No scope: whoever waits for it is told of every commit, also of one that touched no scope."""
HEARTBEAT_S = 20.0
"""A client that hears nothing for longer than this takes the connection for dead."""


class Hub:
    """Who waits for which scopes. One per server process."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._closing = False
        self.listeners = 0
        """Tablets that are told of changes."""
        self._told: set[int] = set()
        """The last seqs of commits that were told here since the last look at the head."""
        self.is_leaving = False
        """The server still answers, and wants to be asked no more."""

    @contextmanager
    def waiting(self, scopes: Iterable[str]) -> Iterator[asyncio.Event]:
        """An event that is set whenever one of these scopes was touched, and for good when all ends."""
        event = asyncio.Event()
        wanted = list(scopes)
        for scope in wanted:
            self._waiting.setdefault(scope, set()).add(event)
        if self._closing:
            event.set()
        try:
            yield event
        finally:
            for scope in wanted:
                others = self._waiting[scope]
                others.discard(event)
                if not others:
                    del self._waiting[scope]

    @contextmanager
    def listening(self) -> Iterator[None]:
        """One more tablet listens."""
        self.listeners += 1
        try:
            yield
        finally:
            self.listeners -= 1

    @property
    def is_closing(self) -> bool:
        return self._closing

    def publish(self, scopes: Iterable[str], seq: int | None = None) -> None:
        """A commit, with this last seq, touched these scopes."""
        if seq is not None:
            self._told.add(seq)
        for scope in (*scopes, EVERYTHING):
            for event in self._waiting.get(scope, ()):
                event.set()

    def close(self) -> None:
        """Wake everybody for the last time: the server stops."""
        self._closing = True
        self.publish(list(self._waiting))

    async def watch(
        self, storage: Storage, on_other: Callable[[frozenset[str] | None], None] = lambda scopes: None
    ) -> None:
        """Wake whom commits of other processes touch, until cancelled; `on_other` is told first.

        A database that is away for a while ends nothing.
        """

        def told(scopes: frozenset[str] | None, seq: int | None) -> None:
            on_other(scopes)
            self.publish(list(self._waiting) if scopes is None else scopes, seq)

        async with asyncio.TaskGroup() as group:
            group.create_task(storage.listen(told))
            group.create_task(self._poll(storage, told))

    async def _poll(
        self, storage: Storage, told: Callable[[frozenset[str] | None, int | None], None]
    ) -> None:
        """Wake everybody for a commit of which nobody told. This process tells of its own."""
        seq = None
        while True:
            with suppress(RegularsError):
                async with storage.unscoped_reader() as reader:
                    head = (await reader.head()).seq
                    commits = await reader.commits(head if seq is None else seq)
                if not self._told.issuperset(commits):
                    await asyncio.sleep(SETTLE_S)
                if not self._told.issuperset(commits):
                    told(None, None)
                seq = head
                self._told = {one for one in self._told if one > seq}
            await asyncio.sleep(POLL_S)
