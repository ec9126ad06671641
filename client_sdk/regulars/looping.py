"""The loop: sync when something happens here, when the server says so, and now and then all the same.

After a failure it waits with full jitter under a doubling cap, and a local write does not cut that
short: a thousand tablets whose server comes back must not all call at once. Only an urgent fact does,
which a person waits for; it goes out in its turn, behind what was written before it. Nothing here
depends on a new local write, nor on the wall clock.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from regulars.transport import Transport
from regulars_sync.errors import LocalError, Offline
from regulars_sync.protocol import Problem
from regulars_sync.round import SyncReport

BASE_S = 1.0
CAP_S = 300.0
IDLE_S = 300.0
"""How long a quiet tablet waits before it looks by itself."""
GATHER_S = 0.5
"""The first write or wake-up makes a round at once; those that follow it closely make one together."""
STANDING_S = 60.0
"""How long a line has to stand to be a good one."""


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, but no longer than this.

    Without `wait_for`, which swallows a cancellation that comes when the event was just set (Python 3.11):
    who cancels would wait for ever.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def ended(*tasks: asyncio.Future[None]) -> None:
    """Cancel them and see them end: nothing goes on behind the caller's back."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(slots=True)
class Loop:
    """Runs rounds for ever. `chance` gives a number in [0, 1); `wait` is the only clock."""

    sync: Callable[[], Awaitable[SyncReport]]
    transport: Callable[[], Transport]
    token: Callable[[], str | None]
    chance: Callable[[], float]
    on_report: Callable[[SyncReport], None]
    wait: Callable[[asyncio.Event, float], Awaitable[None]] = wait
    nudged: asyncio.Event = field(default_factory=asyncio.Event)
    urgent: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0
    is_written: bool = False
    """Whether something was written since this round began."""

    async def run(self) -> None:
        """Until cancelled or `stopped` is set; a round that is under way is finished or leaves no trace."""
        listening = asyncio.create_task(self._listen())
        try:
            while not self.stopped.is_set():
                self.nudged.clear()
                self.urgent.clear()
                self.is_written = False
                report = await self._round()
                self.on_report(report)
                if self.token() is None:  # wiped: only pairing goes on from here
                    return
                if report.problem is not None:
                    self.failures += 1
                    await self._back_off(report.problem)
                    continue
                self.failures = 0
                await self._idle()
        finally:
            await ended(listening)

    async def _round(self) -> SyncReport:
        """A round; what this tablet itself can't do (its disk is full) is a problem like any other."""
        try:
            return await self.sync()
        except LocalError as error:
            report = SyncReport()
            report.problem = Problem(error.code, error.text(), error.detail, error.retryable)
            return report

    async def _back_off(self, problem: Problem) -> None:
        if least := asked_s(problem.detail):
            await self.wait(self.stopped, least)
        if not self.stopped.is_set():
            await self.wait(self.urgent, self.jitter_s(self.failures if problem.retryable else None, least))

    def jitter_s(self, failures: int | None, least: float = 0.0) -> float:
        """A random part of a ceiling that doubles with every failure (None: at once) up to the cap.

        Who was asked to wait waits so on top of it: at most a cap and a half in all.
        """
        ceiling = CAP_S if failures is None else min(CAP_S, BASE_S * 2 ** min(failures, 16))
        return self.chance() * min(ceiling, CAP_S - least / 2)

    async def _idle(self) -> None:
        gathering = asyncio.ensure_future(self.wait(self.urgent, GATHER_S))
        try:
            await self.wait(self.nudged, IDLE_S)
            await gathering
        finally:
            await ended(gathering)

    async def _listen(self) -> None:
        """Turn the server's wake-ups into nudges; a dead line is opened again, ever more patiently.

        A line was good when it stood for a while: one that dies whenever it is opened must not make a round
        each time.
        """
        failures = 0
        never = asyncio.Event()
        while token := self.token():
            least = 0.0
            standing = asyncio.ensure_future(self.wait(never, STANDING_S))
            try:
                async for event in self.transport().listen("/sync/v1/live", token):
                    if event in {"ready", "change", "end"}:  # at the end the next pull says why
                        self.nudged.set()
            except Offline as offline:
                least = asked_s(offline.detail)
            finally:
                failures = 1 if standing.done() else failures + 1
                await ended(standing)
            await self.wait(never, least + self.jitter_s(failures, least))

    def looks(self) -> None:
        """A pull begins: it brings what every wake-up until now was about, that of our own push too."""
        if not self.is_written:
            self.nudged.clear()

    def nudge(self, urgent: bool = False) -> None:
        """Something is to be sent."""
        self.is_written = True
        self.nudged.set()
        if urgent:
            self.urgent.set()

    def stop(self) -> None:
        """End after the round that is under way."""
        self.stopped.set()
        self.nudge(urgent=True)


def asked_s(detail: Mapping[str, Any]) -> float:
    """How long somebody asked us to wait, at most the cap: a wrong header locks nobody out."""
    asked = detail.get("seconds", 0)
    return min(CAP_S, max(0.0, asked)) if isinstance(asked, int | float) else 0.0
