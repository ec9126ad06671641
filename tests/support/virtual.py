"""Waiting without time: a test says how long it takes, and nothing else moves the clock."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

SETTLE = 20
"""Turns of the event loop in which a task that was woken begins what it does next."""


@dataclass
class Hours:
    """`wait` for a loop, ended by its event or by `pass_`; time stands still while it `is_busy`.

    Waits of `never_s` are ended by nothing but their event.
    """

    is_busy: Callable[[], bool]
    never_s: float
    now_s: float = 0.0
    _sleepers: list[tuple[float, int, asyncio.Future[None]]] = field(default_factory=list)
    _count: count[int] = field(default_factory=count)

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        if seconds == self.never_s:
            await event.wait()
            return
        over = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now_s + seconds, next(self._count), over))
        set_ = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait({over, set_}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            set_.cancel()

    async def pass_(self, seconds: float) -> None:
        end = self.now_s + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self.now_s, _, over = heapq.heappop(self._sleepers)
            if not over.done():
                over.set_result(None)
                await self.settle()
        self.now_s = end

    async def settle(self) -> None:
        """Until nothing goes on any more that needs no time; a thread of a database may be at work."""
        calm = 0
        while calm < SETTLE:
            calm = 0 if self.is_busy() else calm + 1
            await asyncio.sleep(0 if calm else 0.0005)
