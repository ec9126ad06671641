"""What is written on one tablet, until it can be read on another: both real, in their loops, over sockets."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

from bench import data
from bench.figures import Results, Sizes
from bench.server import Server
from bench.workload import Workload
from regulars import Shop
from regulars.looping import GATHER_S

PAUSE_S = GATHER_S + 0.2
"""Between two changes; those that follow one another more closely go together."""
PATIENCE_S = 30.0


async def measure(folder: Path, ours: Server, workload: Workload, results: Results, sizes: Sizes) -> None:
    place = folder / "live"
    place.mkdir()
    stopped, woken = asyncio.Event(), asyncio.Event()
    answered: list[float] = []
    steps: list[str] = []

    def on_step(step: str) -> None:
        if steps and steps[-1] == "push":
            answered.append(time.perf_counter())
        steps.append(step)

    async with AsyncExitStack() as stack:
        here, there = [
            await stack.enter_async_context(Shop.open(place / f"{name}.db")) for name in ("here", "there")
        ]
        for shop in (here, there):
            async with data.invited(folder / "ours", workload.unit) as code:
                await shop.pair(f"http://127.0.0.1:{ours.port}", code)
            await shop.sync()
        loops = [
            asyncio.create_task(here.sync_forever(stopped=stopped, on_step=on_step)),
            asyncio.create_task(there.sync_forever(lambda report: woken.set(), stopped)),
        ]
        await asyncio.sleep(2 * PAUSE_S)
        for n in range(sizes.live):
            answered.clear()
            made = await here.customers.create(name=f"林芳 {n}")
            begun = time.perf_counter()
            async with asyncio.timeout(PATIENCE_S):
                while await there.customers.find(made.id) is None:
                    woken.clear()
                    await woken.wait()
            read = time.perf_counter()
            await asyncio.sleep(PAUSE_S)
            results.sdk["live: a change, durable here, to readable there"].append((read - begun) * 1000)
            results.sdk["live: a change, its push answered here, to readable there"].append(
                (read - answered[0]) * 1000
            )
        stopped.set()
        await asyncio.gather(*loops)
