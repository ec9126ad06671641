"""What each token may still spend: a leaky bucket that fills again with time.

Where the levels are kept is behind `Buckets`: a server alone has them in memory. Several servers have them in
the database; so that not every query asks there, a server takes a little more than it needs, and spends that
by itself within a second. What all of them let through together is one budget.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from regulars_server.access.counts import Counts, State

KEPT_MAX = 10_000
SKEW_MS = 10_000
"""So far clocks of servers may differ; a level from further ahead was kept before a clock was set back."""
KEPT_MS = 86_400_000
SHARE = 20
"""Of how many parts of a budget a server takes one ahead, and keeps two at most."""
SHARE_MS = 1_000
WAIT_S_MAX = 0.5
ALONE_MS = 1_000
"""Where counts can't be had, so long nobody asks again."""

log = logging.getLogger("regulars")


@dataclass(frozen=True, slots=True)
class Budget:
    """`most` can be saved up; `per_s` comes back in a second. 0 is no limit."""

    most: int
    per_s: int


class Taken(NamedTuple):
    available: int
    """What is left, after it was taken or without it."""
    wait_ms: int
    """0: it was taken. Otherwise nothing was, and so long it takes until there is enough."""


class Buckets(Protocol):
    async def take(self, token: str, cost: int, budget: Budget, now_ms: int) -> Taken:
        """Take `cost`, at most `budget.most`, at once or not at all. A negative cost is given back."""
        ...


class MemoryBuckets:
    """The buckets of one process. A restart fills them all."""

    def __init__(self) -> None:
        self._states: OrderedDict[str, State] = OrderedDict()

    async def take(self, token: str, cost: int, budget: Budget, now_ms: int) -> Taken:
        wanted = cost * 1_000
        level, now_ms = _filled(self._states.pop(token, ()), budget, now_ms)
        wait_ms = _wait_ms(wanted - level, budget)
        if not wait_ms:
            level = min(level - wanted, budget.most * 1_000)
        self._states[token] = (level, now_ms)
        if len(self._states) > KEPT_MAX:
            self._states.popitem(last=False)
        return Taken(level // 1_000, wait_ms)


@dataclass(slots=True)
class _Share:
    """What a server may spend of a bucket; all in thousandths."""

    level: int = 0
    taken_ms: int = 0
    rest: State = ()
    """Of the bucket, when it was last seen."""


class SharedBuckets:
    """The buckets of a chain. While the counts can't be had, each server has its own: nobody is shut out,
    and n servers let through n budgets at most.
    """

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._shares: OrderedDict[str, _Share] = OrderedDict()
        self._own = MemoryBuckets()
        self._alone_until_ms = 0

    async def take(self, token: str, cost: int, budget: Budget, now_ms: int) -> Taken:
        share = self._shares.setdefault(token, _Share())
        self._shares.move_to_end(token)
        if len(self._shares) > KEPT_MAX:
            self._shares.popitem(last=False)
        ahead, wanted = budget.most * 1_000 // SHARE, cost * 1_000
        is_fresh = share.taken_ms <= now_ms < share.taken_ms + SHARE_MS
        if is_fresh and 0 <= share.level - wanted <= 2 * ahead:
            share.level -= wanted
            return Taken(_available(share, budget, now_ms), 0)
        if now_ms < self._alone_until_ms <= now_ms + ALONE_MS:
            return await self._own.take(token, cost, budget, now_ms)
        short, share.level, mine = wanted - share.level, 0, share.level

        def step(state: State) -> tuple[State, tuple[int, State]]:
            """What is taken, and what is left; no more is taken than there is."""
            level, at_ms = _filled(state, budget, now_ms)
            taken = min(short + ahead, level)
            if taken < short:
                return state, (0, (level, at_ms))
            rest = min(level - taken, budget.most * 1_000), at_ms
            return rest, (taken, rest)

        try:
            async with asyncio.timeout(WAIT_S_MAX):
                taken, share.rest = await self._counts.change(f"cost\0{token}", step, KEPT_MS)
        except Exception as error:
            log.warning("budgets are each server's own for now", extra={"error": type(error).__name__})
            self._alone_until_ms, share.level = now_ms + ALONE_MS, share.level + mine
            return await self._own.take(token, cost, budget, now_ms)
        if taken < short:
            share.level += mine
            return Taken(_available(share, budget, now_ms), _wait_ms(short - share.rest[0], budget))
        share.level, share.taken_ms = share.level + taken - short, now_ms
        return Taken(_available(share, budget, now_ms), 0)


def _filled(state: State, budget: Budget, now_ms: int) -> tuple[int, int]:
    """The level, in thousandths, and when that is."""
    if not state:
        return budget.most * 1_000, now_ms
    level, at_ms = state
    if now_ms < at_ms <= now_ms + SKEW_MS:
        now_ms = at_ms
    return min(level + max(now_ms - at_ms, 0) * budget.per_s, budget.most * 1_000), now_ms


def _wait_ms(short: int, budget: Budget) -> int:
    return -(-short // max(budget.per_s, 1)) if short > 0 else 0


def _available(share: _Share, budget: Budget, now_ms: int) -> int:
    level, _ = _filled(share.rest, budget, now_ms)
    return min(level + share.level, budget.most * 1_000) // 1_000
