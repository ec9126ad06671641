"""Real tablets in a storm: `python -m bench.shops FOLDER COUNT PORT WITHIN`.

They were paired and written to before. Tells in one line of JSON what became of them when it is told to end.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from regulars import Shop
from regulars.transport import HttpTransport
from regulars_sync.round import SyncReport

LOOK_S = 0.2
EDITS, CREATES = 0.10, 0.05


class Outcome(msgspec.Struct):
    """Seconds since the first came."""

    handed_in_s: float = 0.0
    converged_s: float = 0.0
    problems: dict[str, int] = {}
    """Rounds that ended with a problem, by its code; the loop tries again, and nobody is told."""
    pending: int = 0
    held: int = 0
    digests: list[dict[str, tuple[int, str]]] = []
    cpu_s: float = 0.0


def files(folder: Path, count: int) -> list[Path]:
    return [folder / f"shop-{n}.db" for n in range(count)]


async def pair(folder: Path, port: int, codes: Sequence[str]) -> None:
    """Pair and fill them."""
    for file, code in zip(files(folder, len(codes)), codes, strict=True):
        async with Shop.open(file) as shop:
            await shop.pair(f"http://127.0.0.1:{port}", code, file.stem)
            report = await shop.sync()
            if not report.equal:
                raise RuntimeError(f"the first sync of {file.stem}: {report.problem}")


async def write(folder: Path, count: int, changes: int) -> None:
    """Three days offline."""
    rng = random.Random(7)
    for n, file in enumerate(files(folder, count)):
        async with Shop.open(file) as shop:
            known = await shop.customers.list(limit=1_000)
            creates, edits = int(changes * CREATES), int(changes * EDITS)
            for i in range(creates):
                await shop.customers.create(name=f"客人 {n} {i}", phone=f"+86 137 {n:04} {i:04}")
            for customer in rng.choices(known, k=edits):
                await shop.customers.edit(customer, notes=f"{rng.random()}")
            for i in range(changes - creates - edits):
                await shop.interactions.record(rng.choice(known), kind="visit", note=f"{i}")
            if (await shop.status()).pending != changes:
                raise RuntimeError("not everything that was written is pending")


async def _handed_in(shop: Shop) -> None:
    """The loops go on until then."""
    while True:
        if not (await shop.status()).pending:
            return
        await asyncio.sleep(LOOK_S)


class Fleet:
    def __init__(self, shops: Sequence[Shop], over_s: float) -> None:
        self._shops = shops
        self._over_s = over_s
        self._begun = time.perf_counter()
        self._stopped = asyncio.Event()
        self._problems: Counter[str] = Counter()
        self.outcome = Outcome()

    def on_report(self, report: SyncReport) -> None:
        now = time.perf_counter() - self._begun
        if report.problem is not None:
            self._problems[report.problem.code] += 1
        if report.pushed:
            self.outcome.handed_in_s = now
        if report.pushed or report.pulled:
            self.outcome.converged_s = now

    async def one(self, shop: Shop, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        await shop.sync_forever(self.on_report, self._stopped)

    async def run(self) -> Outcome:
        cpu = time.process_time()
        rng = random.Random(9)
        tasks = [asyncio.create_task(self.one(shop, rng.random() * self._over_s)) for shop in self._shops]
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        await asyncio.gather(*map(_handed_in, self._shops))
        self._stopped.set()
        await asyncio.gather(*tasks)
        self.outcome.cpu_s = time.process_time() - cpu
        self.outcome.problems = dict(sorted(self._problems.items()))
        for shop in self._shops:
            await shop.sync()
            status = await shop.status()
            self.outcome.pending += status.pending
            self.outcome.held += status.held
            self.outcome.digests.append(
                {scope: (*d,) for scope, d in (await shop.verify()).items() if d.rows}
            )
        return self.outcome


async def storm(kept: Sequence[Path], port: int, over_s: float) -> Outcome:
    async with AsyncExitStack() as stack:
        shops = [
            await stack.enter_async_context(
                Shop.open(file, transport=lambda url: HttpTransport(f"http://127.0.0.1:{port}", coded=True))
            )
            for file in kept
        ]
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        return await Fleet(shops, over_s).run()


def main(folder: str, count: str, port: str, over_s: str) -> None:
    outcome = asyncio.run(storm(files(Path(folder), int(count)), int(port), float(over_s)))
    sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
