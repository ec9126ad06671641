"""Limits on what could be guessed: a growing wait after wrong tries, and so many look-ups an hour.

Both are exact, for all servers of a chain together. What can't be counted is not tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from ipaddress import IPv6Address, ip_address, ip_network

from regulars_server.access.counts import Counts, State
from regulars_sync.errors import Refused

TRIES_FREE = 5
WAIT_MS_MAX = 300_000
FORGET_MS = 900_000

Key = tuple[str, str]


class Throttle:
    """Five wrong tries are free; then the wait begins at a second and doubles, up to five minutes."""

    def __init__(self, counts: Counts, now_ms: Callable[[], int]) -> None:
        self._counts = counts
        self._now_ms = now_ms

    async def take(self, keys: Iterable[Key]) -> None:
        """Count a try as wrong before it is judged, so that many at once don't all slip through.

        `Refused("too_many_tries")` when one of the keys must wait; then nothing is counted, so that
        knocking on does not lengthen the wait.
        """
        now, keys = self._now_ms(), list(keys)
        for step in (_look, _count):
            wait_ms = 0
            for key in keys:
                wait_ms = max(wait_ms, await self._change(key, partial(step, now)))
            if wait_ms > 0:
                raise Refused("too_many_tries", seconds=-(-wait_ms // 1_000))

    async def give_back(self, key: Key) -> None:
        """The try was right after all."""
        await self._change(key, lambda state: ((max(0, state[0] - 1), state[1]) if state else (), 0))

    async def forgive(self, key: Key) -> None:
        """Forget every wrong try."""
        await self._change(key, lambda state: ((), 0))

    async def _change(self, key: Key, step: Callable[[State], tuple[State, int]]) -> int:
        return await self._counts.change("\0".join(key), step, FORGET_MS)


def _look(now: int, state: State) -> tuple[State, int]:
    """How long whoever tries has to wait. The state: how many were wrong, and when the last one was."""
    if not state:
        return state, 0
    wrong, last = state
    last = min(last, now)  # a clock that was set back must not lengthen the wait
    if wrong < TRIES_FREE or now - last >= FORGET_MS:
        return state, 0
    return (wrong, last), last + min(1_000 << min(wrong - TRIES_FREE, 20), WAIT_MS_MAX) - now


def _count(now: int, state: State) -> tuple[State, int]:
    """Once more, unless one has to wait."""
    state, wait_ms = _look(now, state)
    if wait_ms > 0:
        return state, wait_ms
    wrong = state[0] if state and now - state[1] < FORGET_MS else 0
    return (wrong + 1, now), 0


HOUR_MS = 3_600_000
SKEW_MS = 10_000
"""So far clocks of servers may differ; what lies further ahead was written before a clock was set back."""


class Tally:
    """How often each token has looked somebody up within the last hour."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    async def take(self, token: str, now_ms: int, per_hour: int) -> None:
        """Count once more; `Refused("too_many_tries")` when that is too often, and nothing is counted."""
        begun = now_ms - HOUR_MS

        def step(asked: State) -> tuple[State, int]:
            recent = tuple(at for at in asked if begun < at <= now_ms + SKEW_MS)
            if len(recent) < per_hour:
                return (*recent, now_ms), 0
            return asked, recent[-per_hour] - begun if per_hour else HOUR_MS

        wait_ms = await self._counts.change(f"lookup\0{token}", step, HOUR_MS + SKEW_MS)
        if wait_ms:
            raise Refused("too_many_tries", seconds=-(-wait_ms // 1_000))


def remote_keys(remote: str | None) -> list[Key]:
    """The key of an address; a whole /64 is one household, so it is one key."""
    if not remote:
        return []
    try:
        address = ip_address(remote.partition("%")[0])
    except ValueError:
        return [("remote", remote[:100])]
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return [("remote", str(ip_network((address, 64), strict=False)))]
        address = address.ipv4_mapped
    return [("remote", str(address))]
