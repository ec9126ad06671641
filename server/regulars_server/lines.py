"""Lines: the sockets and event streams that are open in this process, and when each must end.

A line stands for one bearer. One look for all of them, twice a second, asks which bearers still stand for
somebody: a line whose token was revoked, rotated out, or has expired, or whose login was deactivated, ends
within a second, by whatever process that was done. Whose rights became others is woken, to see by them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator

from regulars_server.access import Access, Principal
from regulars_sync.errors import Refused, RegularsError

LOOK_S = 0.4
WORKING_MAX = 4
CLOSE_S_MAX = 2.0
"""So long a server that stops waits for the last words of its lines."""

log = logging.getLogger("regulars")


class Line:
    """One open line. `end` is called at most once, and may be called at any time."""

    def __init__(
        self, bearer: str | None, principal: Principal, end: Callable[[RegularsError], None]
    ) -> None:
        self.bearer = bearer
        self.principal = principal
        self.end = end
        self.turn = asyncio.Lock()
        """Held from the making of an answer until it was sent: no line ever holds two."""
        self._listening: set[asyncio.Event] = set()

    @contextlib.contextmanager
    def waking(self, event: asyncio.Event) -> Iterator[None]:
        """Set this event, too, when the rights of the bearer become others."""
        self._listening.add(event)
        try:
            yield
        finally:
            self._listening.discard(event)

    def see(self, principal: Principal) -> None:
        """The bearer stands for this now."""
        if principal != self.principal:
            self.principal = principal
            for event in self._listening:
                event.set()


class Lines:
    """One per server process."""

    def __init__(self, access: Access, lines_max: int, per_token_max: int) -> None:
        self._access = access
        self._lines_max = lines_max
        self._per_token_max = per_token_max
        self._open: set[Line] = set()
        self._by_token: Counter[str] = Counter()
        self._looking: asyncio.Task[None] | None = None
        self.working = asyncio.Semaphore(WORKING_MAX)
        """Held while an event is made: a commit that wakes thousands leaves room for requests."""
        self._is_closing = False
        self._all_closed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._open)

    def check(self) -> None:
        """`Refused` server_stopping, streams_too_many: no further line, whoever asks."""
        if self._is_closing:
            raise Refused("server_stopping")
        if len(self._open) >= self._lines_max:
            raise Refused("streams_too_many", limit=self._lines_max)

    @contextlib.contextmanager
    def open(self, line: Line) -> Iterator[None]:
        """Keep it among the open ones. `Refused` as `check`, and when its token has too many."""
        self.check()
        token = line.principal.token
        if self._by_token[token] >= self._per_token_max:
            raise Refused("streams_too_many", limit=self._per_token_max)
        self._open.add(line)
        self._by_token[token] += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            self._open.discard(line)
            self._by_token[token] -= 1
            if not self._by_token[token]:
                del self._by_token[token]
            if not self._open:
                self._all_closed.set()

    async def close(self) -> None:
        """End every line: the server stops. Comes back when all have said their last words, or soon."""
        self._is_closing = True
        for line in list(self._open):
            line.end(Refused("server_stopping"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S_MAX):
                while self._open:
                    self._all_closed.clear()
                    await self._all_closed.wait()

    async def _look(self) -> None:
        """Until no line is open."""
        while self._open:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except Exception:
                log.exception("the rights of open lines could not be read")

    async def look(self) -> None:
        """End the lines of bearers who may come in no more, and wake those whose rights are others now."""
        lines = list(self._open)
        standing = await self._access.principals({line.bearer for line in lines if line.bearer})
        for line in lines:
            principal = standing.get(line.bearer or "")
            if principal is None:
                line.end(Refused("token_invalid"))
            else:
                line.see(principal)
