"""What each token may still spend: a leaky bucket that fills again with time.

Where the levels are kept is behind `Buckets`, so that several servers can share them.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple, Protocol

KEPT_MAX = 10_000


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
        self._levels: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """In thousandths, and when that was."""

    async def take(self, token: str, cost: int, budget: Budget, now_ms: int) -> Taken:
        brim, wanted = budget.most * 1_000, cost * 1_000
        level, at_ms = self._levels.pop(token, (brim, now_ms))
        level = min(level + max(now_ms - at_ms, 0) * budget.per_s, brim)  # a clock may be set back
        wait_ms = 0
        if wanted > level:
            wait_ms = -(-(wanted - level) // max(budget.per_s, 1))
        else:
            level = min(level - wanted, brim)
        self._levels[token] = (level, now_ms)
        if len(self._levels) > KEPT_MAX:
            self._levels.popitem(last=False)
        return Taken(level // 1_000, wait_ms)
