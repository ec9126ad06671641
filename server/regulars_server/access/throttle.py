"""A growing wait after wrong tries, kept in memory: a restart forgets it, and each process counts its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from regulars_sync.errors import Refused

TRIES_FREE = 5
WAIT_MS_MAX = 300_000
FORGET_MS = 900_000
KEYS_MAX = 10_000

Key = tuple[str, str]


@dataclass(slots=True)
class _Tries:
    wrong: int
    last_ms: int

    def wait_ms(self, now: int) -> int:
        if self.wrong < TRIES_FREE:
            return 0
        # A clock that was set back must not lengthen the wait.
        self.last_ms = min(self.last_ms, now)
        return self.last_ms + min(1_000 << min(self.wrong - TRIES_FREE, 20), WAIT_MS_MAX) - now


class Throttle:
    """Five wrong tries are free; then the wait begins at a second and doubles, up to five minutes."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._tries: dict[Key, _Tries] = {}

    def take(self, keys: Iterable[Key]) -> None:
        """Count a try as wrong before it is judged, so that many at once don't all slip through.

        `Refused("too_many_tries")` when one of the keys must wait; then nothing is counted, so that
        knocking on does not lengthen the wait.
        """
        now, keys = self._now_ms(), list(keys)
        wait = max((self._tries[key].wait_ms(now) for key in keys if key in self._tries), default=0)
        if wait > 0:
            raise Refused("too_many_tries", seconds=-(-wait // 1_000))
        for key in keys:
            known = self._tries.pop(key, None)
            wrong = known.wrong if known and now - known.last_ms < FORGET_MS else 0
            self._tries[key] = _Tries(wrong + 1, now)
        while len(self._tries) > KEYS_MAX:
            del self._tries[next(iter(self._tries))]

    def give_back(self, key: Key) -> None:
        """The try was right after all."""
        if (known := self._tries.get(key)) is not None:
            known.wrong = max(0, known.wrong - 1)

    def forgive(self, key: Key) -> None:
        """Forget every wrong try."""
        self._tries.pop(key, None)


HOUR_MS = 3_600_000


class Tally:
    """How often each token has looked somebody up within the last hour; kept in memory, by each process."""

    def __init__(self) -> None:
        self._asked: dict[str, list[int]] = {}

    def take(self, token: str, now_ms: int, per_hour: int) -> None:
        """Count once more; `Refused("too_many_tries")` when that is too often, and nothing is counted."""
        begun = now_ms - HOUR_MS
        self._asked = {who: asked for who, asked in self._asked.items() if asked[-1] > begun}
        recent = [at for at in self._asked.get(token, ()) if begun < at <= now_ms]
        if len(recent) >= per_hour:
            wait_ms = recent[-per_hour] - begun if per_hour else HOUR_MS
            raise Refused("too_many_tries", seconds=-(-wait_ms // 1_000))
        self._asked[token] = [*recent, now_ms]


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
