"""The way in: how much work of one kind is under way, how much waits, and when the rest should come again.

Each kind of work has a gate of its own, so that people at head office never stand behind two thousand
tablets. A visit reads its body, which is kept as it came and counted; then it waits for its turn, first come,
first served; then its work is done. However it ends, and wherever it was, its room is free at once.

Who finds no room is told when to come again: each a little later than the one before, at the pace at which
the work goes, so that a herd comes back as a line.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from regulars_server.settings import Settings
from regulars_sync.errors import Refused

WAIT_S_MAX = 10.0
"""A client takes a line for dead that is silent for 30 seconds."""
AGAIN_S_MAX = 60
JITTER = 0.25
"""What is said is lengthened by up to this part of it."""
PACE_S = 0.05
"""How long a piece of work takes, as long as none was seen."""
PACE_WEIGHT = 0.1
READING_MAX = 1_000
"""Bodies that are on their way hold a few bytes each; slow lines don't keep quick ones out."""
ENTRIES_AT_ONCE, ENTRIES_WAITING_MAX = 4, 64
EACH_MAX = 4
"""A tablet has one request under way; more are those that it gave up."""


@dataclass(frozen=True, slots=True)
class Bounds:
    at_once: int
    waiting_max: int
    bytes_max: int
    """Of all bodies together, as they came."""
    each_max: int | None = None
    """Visits of one bearer. None: as many as there is room."""
    body_seconds_max: int = 120
    reading_max: int = READING_MAX


class Visit:
    """One request inside a gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.bounds = gate.bounds
        self.held = 0
        """Bytes of its body."""
        self.granted: asyncio.Future[None] | None = None
        """While it waits, and when it has waited."""
        self.began_s: float | None = None
        """Since when it works."""

    def hold(self, size: int) -> None:
        """So many bytes more of its body came. `Refused("busy")`: there is no room for them."""
        self._gate.hold(self, size)

    async def turn(self) -> None:
        """Wait until its work may be done. `Refused("busy")`: too many wait, or it took too long."""
        await self._gate.turn(self)


class Gate:
    """One per process and kind of work. `chance` gives a number in [0, 1)."""

    def __init__(
        self,
        bounds: Bounds,
        chance: Callable[[], float],
        now_s: Callable[[], float] = time.monotonic,
        wait_s_max: float = WAIT_S_MAX,
    ) -> None:
        self.bounds = bounds
        self._chance = chance
        self._now_s = now_s
        self._wait_s_max = wait_s_max
        self._queue: deque[Visit] = deque()
        self._each: Counter[str] = Counter()
        self._pace_s = PACE_S / max(bounds.at_once, 1)
        """From the end of one piece of work to that of the next."""
        self._told_s = 0.0
        """When whoever was refused last should come again."""
        self.reading = self.working = self.bytes = 0
        self.refused = 0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @contextmanager
    def visit(self, who: str | None = None) -> Iterator[Visit]:
        """Room for one request of this bearer. `Refused("busy")`: there is none, or it has enough."""
        bounds = self.bounds
        is_full = self._is_full() or self.reading >= bounds.reading_max
        has_enough = who and bounds.each_max is not None and self._each[who] >= bounds.each_max
        if is_full or has_enough or self.bytes >= bounds.bytes_max:
            raise self._busy()
        visit = Visit(self)
        self.reading += 1
        if who:
            self._each[who] += 1
        try:
            yield visit
        finally:
            self._leave(visit)
            if who:
                self._each[who] -= 1
                if not self._each[who]:
                    del self._each[who]

    def hold(self, visit: Visit, size: int) -> None:
        if self.bytes + size > self.bounds.bytes_max:
            raise self._busy()
        self.bytes += size
        visit.held += size

    async def turn(self, visit: Visit) -> None:
        if self._is_full():
            raise self._busy()
        visit.granted = asyncio.get_running_loop().create_future()
        self.reading -= 1
        self._queue.append(visit)
        self._grant()
        if visit.began_s is None:
            try:
                async with asyncio.timeout(self._wait_s_max):
                    await visit.granted
            except TimeoutError:
                raise self._busy() from None

    def _is_full(self) -> bool:
        return self.waiting >= self.bounds.waiting_max and self.working >= self.bounds.at_once

    def _leave(self, visit: Visit) -> None:
        self.bytes -= visit.held
        if visit.granted is None:
            self.reading -= 1
        elif visit.began_s is None:
            self._queue.remove(visit)
        else:
            took_s = (self._now_s() - visit.began_s) / self.bounds.at_once
            self._pace_s += PACE_WEIGHT * (took_s - self._pace_s)
            self.working -= 1
            self._grant()

    def _grant(self) -> None:
        while self._queue and self.working < self.bounds.at_once:
            visit = self._queue.popleft()
            self.working += 1
            visit.began_s = self._now_s()
            if visit.granted is not None and not visit.granted.done():
                visit.granted.set_result(None)

    def _busy(self) -> Refused:
        """Each is told the place in time behind the one who was told before."""
        self.refused += 1
        now = self._now_s()
        first = now + self.waiting * self._pace_s
        self._told_s = min(max(first, self._told_s) + self._pace_s, now + AGAIN_S_MAX)
        said = (self._told_s - now) * (1 + JITTER * self._chance())
        return Refused("busy", seconds=max(1, min(AGAIN_S_MAX, round(said))))


class Gates:
    """Those of one process."""

    def __init__(self, settings: Settings, chance: Callable[[], float]) -> None:
        room, seconds_max = settings.bodies_bytes_max, settings.body_seconds_max

        def gate(at_once: int, waiting_max: int, each_max: int | None = EACH_MAX) -> Gate:
            return Gate(Bounds(at_once, waiting_max, room, each_max, seconds_max), chance)

        self.push = gate(settings.pushes_at_once, settings.pushes_waiting_max)
        """Tablets hand in."""
        self.pull = gate(settings.pulls_at_once, settings.pulls_waiting_max)
        """Tablets fetch."""
        self.query = gate(settings.queries_at_once, settings.queries_waiting_max, None)
        """Somebody waits for the answer: GraphQL, looking somebody up."""
        self.entry = gate(ENTRIES_AT_ONCE, ENTRIES_WAITING_MAX, None)
        """Signing in and pairing: who asks is nobody yet, and must not stand in anybody's way."""
