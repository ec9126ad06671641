"""Does the works that are asked for, one at a time, beside what the server answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping

from regulars_server.telemetry import SILENT, Telemetry
from regulars_server.telemetry.declared import WORK
from regulars_server.works import Stopped, WorkRow, Works
from regulars_sync.errors import Refused, RegularsError

POLL_S = 5.0
"""Another process may have asked."""

log = logging.getLogger("regulars")

Run = Callable[[WorkRow, Callable[[], Awaitable[None]]], Awaitable[None]]


class Working:
    """`runs`: by kind of work, how it is done. It ends with `Works.finish`, or raises."""

    def __init__(self, works: Works, runs: Mapping[str, Run], telemetry: Telemetry = SILENT) -> None:
        self._works = works
        self._runs = runs
        self._telemetry = telemetry

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                did = await self.once()
            except RegularsError:
                log.exception("a work could not be taken")
                did = False
            if not did:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await self._works.asked.wait()
            self._works.asked.clear()

    async def once(self) -> bool:
        """Do the next work; False when none waits. One that is cut off waits again."""
        work = await self._works.take()
        if work is None:
            return False
        try:
            with self._telemetry.timed(WORK, f"work {work.kind}", work.kind):
                await self._runs[work.kind](work, _pause)
        except Stopped:
            self._works.remove(work.id)
        except asyncio.CancelledError:
            with contextlib.suppress(Stopped, RegularsError):
                await self._works.put_back(work.id)
            raise
        except Exception as error:
            if not isinstance(error, RegularsError):
                log.exception("a work failed", extra={"error": type(error).__name__})
                error = Refused("internal", incident=work.id)
            with contextlib.suppress(Stopped):
                await self._works.end(work.id, "failed", error)
        return True


async def _pause() -> None:
    """Let everybody else go first."""
    await asyncio.sleep(0.001)
