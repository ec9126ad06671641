"""What the server does by itself: each job at start, and again whenever its time has passed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

log = logging.getLogger("regulars")


@dataclass(frozen=True, slots=True)
class Job:
    name: str
    every_s: float
    work: Callable[[], Awaitable[object]]


async def run(jobs: Sequence[Job], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
    """Until cancelled. A job that fails is logged and tried again when its time comes."""
    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(_repeat(job, sleep))


async def _repeat(job: Job, sleep: Callable[[float], Awaitable[None]]) -> None:
    while True:
        try:
            await job.work()
        except Exception:
            log.exception("the job %s failed", job.name)
        await sleep(job.every_s)
