"""`make bench-metrics`: what keeping the metrics of customers adds to a push, and bench/METRICS.md.

The floor is the same server on the same chain, in the same run, whose job that looks at customers is switched
off. A sample is the CPU of the server's process from the first push until everybody was looked at.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from bench import data, report, wires
from bench.server import ROOT, Cost, Kind, Wire, running
from bench.workload import Workload, pushes
from regulars_server.app import DATABASE, create_service, opened, wall_ms
from regulars_server.settings import Settings

KINDS = {
    "unlooked": "floor: nobody looks",
    "numbers": "facts counted and laid out",
    "ours": "and all schemes evaluated",
}
ABOUT = """Written by `make bench-metrics`; not edited by hand. Median, and in brackets least and most; a
ratio is the median of those of neighbouring runs. CPU is the server process's own, user and system, until
everybody was looked at."""
GOAL = 1.3
LOOK_S = 0.05
START_S = 1.0
DUE = "SELECT (SELECT count(*) FROM recheck WHERE due <= ?) + (SELECT count(*) FROM sweep)"


async def chain(folder: Path, workload: Workload, customers: int, facts: int) -> str:
    """A chain all of whose customers were looked at; the token of a tablet."""
    token = await data.found(folder, workload)
    await data.fill(folder, workload, customers, facts)
    async with opened(create_service(Settings(data=folder))) as service:
        await service.checking.drain()
    return token


def looked(folder: Path) -> None:
    """Wait until nobody is due."""
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        while connection.execute(DUE, (wall_ms(),)).fetchone() != (0,):
            time.sleep(LOOK_S)


def sample(kind: Kind, folder: Path, token: str, warm: list[bytes], bodies: list[bytes]) -> Cost:
    answers: list[bytes] = []
    with running(kind, folder) as server:
        wire = Wire(server.port, token)
        wires.push(wire, kind, warm)
        time.sleep(START_S)

        def work() -> None:
            answers.extend(wires.push(wire, kind, bodies))
            if kind != "unlooked":
                looked(folder)

        taken = server.cost(wire, work)
        wire.close()
    wires.require_applied(bodies, answers)
    return taken


def measure(
    folder: Path, customers: int, facts: int, interactions: int, repetitions: int
) -> dict[str, list[Cost]]:
    workload = Workload(wall_ms())
    token = asyncio.run(chain(folder / "base", workload, customers, facts))
    warm, bodies = (
        pushes(workload.rng, list(workload.new_interactions(count, days=7)), workload.now_ms)
        for count in (20, interactions)
    )
    found: dict[str, list[Cost]] = {kind: [] for kind in KINDS}
    for n in range(repetitions):
        for kind, costs in found.items():
            at = folder / f"{kind}-{n}"
            shutil.copytree(folder / "base", at)
            costs.append(sample(kind, at, token, warm, bodies))
            shutil.rmtree(at)
    return found


def lines(found: dict[str, list[Cost]]) -> Iterator[tuple[str, ...]]:
    floor = found["unlooked"]
    for kind, said in KINDS.items():
        cpu = [cost.cpu_ms for cost in found[kind]]
        ratio = median(cost.cpu_ms / below.cpu_ms for cost, below in zip(found[kind], floor, strict=True))
        goal = "" if kind == "unlooked" else f"<= {GOAL}: {'met' if ratio <= GOAL else 'missed'}"
        yield said, f"{median(cpu):.0f} ms ({min(cpu):.0f}-{max(cpu):.0f})", f"{ratio:.2f}", goal


def main(
    customers: Annotated[int, typer.Option(help="How many.")] = 1_000,
    facts: Annotated[int, typer.Option(help="That they had before.")] = 0,
    interactions: Annotated[
        int, typer.Option(help="That are pushed, as many at once as a tablet does.")
    ] = 10_000,
    repetitions: Annotated[int, typer.Option(min=1)] = 3,
    out: Annotated[Path, typer.Option(help="Where to write.")] = ROOT / "bench" / "METRICS.md",
) -> None:
    """Measure what keeping metrics adds to the CPU of a push."""
    place, before = ROOT / "build" / "bench", os.getloadavg()[0]
    place.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place) as folder:
        found = measure(Path(folder), customers, facts, interactions, repetitions)
    size = f"{interactions:,} interactions of {customers:,} customers, who had {facts:,} before"
    header = (f"push of {size}", "CPU", "ratio", "goal")
    machine = [("what", "value"), ("---", "---"), *report.machine((before, os.getloadavg()[0]))]
    page = "\n\n".join(
        [
            "# What keeping metrics costs",
            ABOUT,
            report.rows([header, ("---", "---:", "---:", "---"), *lines(found)]),
            "## Measured on",
            report.rows([*machine, ("repetitions", str(repetitions))]),
        ]
    )
    out.write_text(page + "\n", "utf-8")
    print(page)


if __name__ == "__main__":
    typer.run(main)
