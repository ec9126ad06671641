"""Subscriptions in turns: after each wake-up a context of its own, with the rights and rows of that moment.

Nothing is held between two turns: no snapshot, no rows, no right. What a subscription tells follows from a
cursor or from what it told last, so a wake-up that is lost, doubled or of another process costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from regulars_server.graph.charging import Cost, Throttled
from regulars_server.graph.request import Context
from regulars_server.hub import EVERYTHING
from regulars_server.lines import Line

if TYPE_CHECKING:
    from regulars_server.graph.documents import Operation
    from regulars_server.graph.operations import Asked, Operations


class Turns:
    """The turns of one subscription on one line. Each is paid for like a query; who can't pay waits."""

    def __init__(
        self, operations: Operations, asked: Asked, operation: Operation, line: Line, lang: str
    ) -> None:
        self._operations = operations
        self._asked = asked
        self._operation = operation
        self._line = line
        self._lang = lang
        self._charged: Cost | None = None
        self._is_turn = False
        self._works = False
        self.right = ""
        """What its root field asks for; said by the guard before it."""
        self.context: Context | None = None
        """Of the present turn."""
        self.at_once = False
        """There is more to tell: the next turn waits for nothing."""

    async def each(
        self, everything: bool = False, also: frozenset[str] = frozenset()
    ) -> AsyncGenerator[Context, None]:
        """The first turn at once, a further one after each commit within reach; until the server stops.

        `everything`: after each commit of the chain. `also`: of what else to be told. `Refused` when the
        bearer may ask no more.
        """
        hub, awaited = self._operations.service.hub, None
        try:
            context = await self._begin()
            while True:
                awaited = _awaited(context, everything)
                with hub.waiting(awaited | also) as touched, self._line.waking(touched):
                    while awaited == _awaited(context, everything):
                        touched.clear()
                        yield context
                        if hub.is_closing:
                            return
                        await self.end()
                        if not self.at_once:
                            await touched.wait()
                        self.at_once = False
                        context = await self._begin()
        finally:
            await self.end()

    async def _begin(self) -> Context:
        if not self._is_turn:
            await self._line.turn.acquire()
            self._is_turn = True
        while True:
            # Before the bearer is looked up: of thousands who wake at once few cause that.
            await self._operations.service.lines.working.acquire()
            self._works = True
            principal = await self._operations.principal(self._line.bearer)
            principal.require(self.right)
            self.context = await self._operations.context(principal, self._lang)
            charging = self._operations.charging
            try:
                self._charged = await charging.charge(self._operation, self._asked.variables, self.context)
            except Throttled as throttled:
                await self.told()
                await asyncio.sleep(throttled.detail["seconds"])
            else:
                return self.context

    async def told(self) -> None:
        """An event was made: let go of the rows, while it is sent."""
        if self.context is not None:
            await self.context.close()
        if self._works:
            self._works = False
            self._operations.service.lines.working.release()

    async def end(self) -> None:
        """Let go of all that the turn holds. Idempotent."""
        await self.told()
        if self.context is not None and self._charged is not None:
            await self._operations.charging.settle(self._charged, self._operation, self.context)
            self._charged = None
        self.context = None
        if self._is_turn:
            self._is_turn = False
            self._line.turn.release()


def _awaited(context: Context, everything: bool) -> frozenset[str]:
    scopes = context.author.scopes
    return frozenset({EVERYTHING}) if everything or scopes is None else scopes
