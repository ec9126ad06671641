"""The loop: sync when something happens here, when the server says so, and now and then all the same.

After a failure it waits with full jitter under a doubling cap, and a local write does not cut that
short: a thousand tablets whose server comes back must not all call at once. Nothing here depends on a
new local write; what is pending goes out by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from regulars.transport import Transport
from regulars_sync.errors import LocalError, Offline
from regulars_sync.protocol import Problem
from regulars_sync.round import SyncReport

BASE_S = 1.0
CAP_S = 300.0
IDLE_S = 300.0
"""How long a quiet tablet waits before it looks by itself."""
GATHER_S = 0.5
"""Writes that follow one another closely go out together."""


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, but no longer than this."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


@dataclass(slots=True)
class Loop:
    """Runs rounds for ever. `chance` gives a number in [0, 1); `wait` is the only clock."""

    sync: Callable[[], Awaitable[SyncReport]]
    transport: Transport
    token: Callable[[], str | None]
    chance: Callable[[], float]
    on_report: Callable[[SyncReport], None]
    wait: Callable[[asyncio.Event, float], Awaitable[None]] = wait
    nudged: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0

    async def run(self) -> None:
        """Until cancelled or `stopped` is set; a round that is under way is finished or leaves no trace."""
        listening = asyncio.create_task(self._listen())
        try:
            while not self.stopped.is_set():
                self.nudged.clear()
                report = await self._round()
                self.on_report(report)
                if self.token() is None:  # wiped: only pairing goes on from here
                    return
                if report.problem is not None:
                    self.failures += 1
                    await self.wait(self.stopped, self.delay_s(report.problem))
                    continue
                self.failures = 0
                await self._idle()
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening

    async def _round(self) -> SyncReport:
        """A round; what this tablet itself can't do (its disk is full) is a problem like any other."""
        try:
            return await self.sync()
        except LocalError as error:
            report = SyncReport()
            report.problem = Problem(error.code, error.text(), error.detail, error.retryable)
            return report

    def delay_s(self, problem: Problem) -> float:
        """How long to wait after a failure: full jitter, no less than the server asks, at most the cap."""
        asked = problem.detail.get("seconds", 0)
        ceiling = CAP_S if not problem.retryable else min(CAP_S, BASE_S * 2 ** min(self.failures, 16))
        least = float(asked) if isinstance(asked, int | float) else 0.0
        return min(CAP_S, least + self.chance() * ceiling)

    async def _idle(self) -> None:
        await self.wait(self.nudged, IDLE_S)
        if self.nudged.is_set() and not self.stopped.is_set():
            await self.wait(self.stopped, GATHER_S)

    async def _listen(self) -> None:
        """Turn the server's wake-ups into nudges; a dead line is opened again, ever more patiently."""
        failures = 0
        never = asyncio.Event()
        while token := self.token():
            try:
                async for event in self.transport.listen("/sync/v1/live", token):
                    if event in {"ready", "change"}:
                        failures = 0
                    if event in {"ready", "change", "end"}:  # at the end the next pull says why
                        self.nudged.set()
            except Offline:
                failures += 1
            else:
                failures += 1
            await self.wait(never, self.chance() * min(CAP_S, BASE_S * 2 ** min(failures, 16)))

    def stop(self) -> None:
        """End after the round that is under way."""
        self.stopped.set()
        self.nudged.set()
