"""Long answers are made in slices, so that whoever asks for little is never behind one.

The loop looks at its sockets only between its turns. `breathe`, called wherever a piece of work begins,
puts the rest off to the next turn once this one has lasted long enough, whoever it was that used it up.
"""

from __future__ import annotations

import asyncio

SLICE_S = 0.01


class Pace:
    """Of one process: all requests share a turn."""

    def __init__(self, slice_s: float = SLICE_S) -> None:
        self._slice_s = slice_s
        self._began: float | None = None

    async def breathe(self) -> None:
        """Go on at once, or in a later turn."""
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            if self._began is None:
                self._began = now
                loop.call_soon(self._turn)
            if now - self._began < self._slice_s:
                return
            await asyncio.sleep(0)

    def _turn(self) -> None:
        self._began = None
