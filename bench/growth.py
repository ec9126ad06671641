"""How cost grows with the chain: `make bench-growth`. Chains of 10 k, 100 k and 1 M rows, on SQLite and on
PostgreSQL; all serve at once and are measured in turn, so that what disturbs one disturbs all.

make bench-growth                                    some twenty minutes
make bench-growth ARGS="--rows 10000 --rows 100000"  without the largest

One chain grows by the road of every write (`Admission.write`, 2,000 rows a transaction); each size is a copy
of its file, and PostgreSQL's a copy as `regulars move` makes it. A seventh of the rows are customers of one
branch, the rest its interactions. They are kept in build/grown for the next time. Writes bench/GROWTH.md and
bench/growth.svg.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import data, graph, plot, report, wires
from bench.figures import LIST, NUMBER, ONE, SEARCH
from bench.postgres import postgres
from bench.server import ROOT, Cost, Server, Wire, no_database_ms, running
from bench.workload import Workload, pushes
from regulars_server.app import wall_ms

ROWS = (10_000, 100_000, 1_000_000)
ENGINES = ("SQLite", "PostgreSQL")
CUSTOMERS = 7
"""One in so many rows is a customer."""
EDITS = 200
FACTS = 2_000
FLAT = 1.2
FIGURES = {
    "push": f"push of {FACTS:,} interactions, a row",
    "update": f"push of {EDITS} updates, a row",
    "pull": "pull of all rows by pages of 1,000, a row",
    "catch-up": f"catch-up of {EDITS} rows",
    LIST: "GraphQL: 1,000 customers x 15 fields + home unit",
    ONE: "GraphQL: one customer by id with 20 fields",
    NUMBER: "GraphQL: search for a phone number",
    SEARCH: "GraphQL: the best 20 of a search for a name, the more found the larger the chain",
}
REQUESTS = {"catch-up": 10, LIST: 5, ONE: 50, NUMBER: 20, SEARCH: 5}

Found = dict[str, dict[tuple[str, int], list[Cost]]]
"""Of one row or one request, by figure, engine and size."""


@dataclass(frozen=True, slots=True)
class Grown:
    """A chain of one size, and what stands in it."""

    rows: int
    folder: Path
    workload: Workload
    token: str
    admin: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a copy of it is served, and the pushes of each repetition."""

    engine: str
    chain: Grown
    server: Server
    edits: list[list[bytes]]
    facts: list[list[bytes]]


async def grow(kept: Path, rows: Sequence[int], progress: Progress) -> list[Grown]:
    """The chains, from `kept` as far as they are there: filling takes longer than measuring."""
    filling = progress.add_task("fill", total=max(rows))
    grown: list[Grown] = []
    for size in rows:
        folder, said = kept / f"{size}", kept / f"{size}.pickle"
        if not said.exists():
            shutil.rmtree(folder, ignore_errors=True)
            if grown:
                workload, token, admin = pickle.loads((kept / f"{grown[-1].rows}.pickle").read_bytes())
                shutil.copytree(grown[-1].folder, folder)
            else:
                workload = Workload(wall_ms())
                token = await data.found(folder, workload)
                admin = await graph.token(folder)
            customers = size // CUSTOMERS - len(workload.customers)
            interactions = size - customers - (grown[-1].rows if grown else 0)
            await data.fill(folder, workload, customers, interactions, partial(progress.advance, filling))
            said.write_bytes(pickle.dumps((workload, token, admin)))
        grown.append(Grown(size, folder, *pickle.loads(said.read_bytes())))
        progress.update(filling, completed=size)
    return grown


async def measure(
    folder: Path, kept: Path, rows: Sequence[int], repetitions: int, progress: Progress, facts: int = FACTS
) -> Found:
    grown = await grow(kept, rows, progress)
    found: Found = {name: defaultdict(list) for name in FIGURES}
    with postgres(folder) as beside, ExitStack() as stack:
        moving = progress.add_task("to PostgreSQL", total=sum(rows))
        places: list[Place] = []
        for chain in grown:
            database = await beside.copy_of(chain.folder)
            progress.advance(moving, chain.rows)
            edits, made = _pushes(chain.workload, repetitions, facts)
            for engine, used in zip(ENGINES, ("", database), strict=True):
                at = folder / f"{chain.rows}-{engine}"
                if used:
                    at.mkdir()
                else:
                    shutil.copytree(chain.folder, at)
                serving = running("ours", at, used, beside.cpu_ms if used else no_database_ms)
                places.append(Place(engine, chain, stack.enter_context(serving), edits, made))
        measuring = progress.add_task("measure", total=repetitions * len(places))
        for n in range(repetitions):
            for place in places:
                for name, each in _each(place, n):
                    found[name][place.engine, place.chain.rows].append(each)
                progress.advance(measuring)
    return found


def _pushes(workload: Workload, repetitions: int, facts: int) -> tuple[list[list[bytes]], list[list[bytes]]]:
    """For each repetition: edits of customers from all over the chain, each once, and interactions."""
    wanted = EDITS * repetitions
    spread = workload.customers[:: max(1, len(workload.customers) // wanted)]
    bodies = partial(pushes, workload.rng, now_ms=workload.now_ms)
    edits = [bodies(list(workload.edits(spread[n:wanted:repetitions]))) for n in range(repetitions)]
    return edits, [bodies(list(workload.new_interactions(facts, days=7))) for _ in range(repetitions)]


def _each(place: Place, n: int) -> Iterator[tuple[str, Cost]]:
    """Everything once."""
    server, chain = place.server, place.chain
    wire, asking = Wire(server.port, chain.token), Wire(server.port, chain.admin)
    came: list[tuple[int, str]] = []
    taken = server.cost(wire, lambda: came.append(wires.pull(wire, "ours")))
    ((rows, cursor),) = came
    yield "pull", _part(taken, rows)
    taken = wires.pushed(server, wire, place.edits[n])
    caught, _ = wires.pull(wire, "ours", cursor)
    yield "update", _part(taken, caught)
    path, body = wires.pull_body("ours", cursor)
    yield "catch-up", _repeated(server, wire, path, body, REQUESTS["catch-up"])
    taken = wires.pushed(server, wire, place.facts[n])
    pulled, _ = wires.pull(wire, "ours", cursor)
    yield "push", _part(taken, pulled - caught)
    bodies = graph.bodies(asking)
    for name in (LIST, ONE, NUMBER, SEARCH):
        asking.post("/graphql", bodies[name])
        yield name, _repeated(server, asking, "/graphql", bodies[name], REQUESTS[name])
    wire.close()
    asking.close()


def _repeated(server: Server, wire: Wire, path: str, body: bytes, count: int) -> Cost:
    return _part(server.cost(wire, lambda: [wire.post(path, body) for _ in range(count)]), count)


def _part(taken: Cost, count: int) -> Cost:
    return Cost(taken.wall_ms / count, taken.cpu_ms / count, taken.bytes // count, taken.peak_mib)


# --- the page ---------------------------------------------------------------------------------------------


def markdown(found: Found, rows: Sequence[int], repetitions: int, load: Sequence[float]) -> str:
    parts = [
        "# How cost grows with the chain",
        """Written by `make bench-growth`; not edited by hand. Medians. One chain grows by the road of every
write, is copied at each size, and moved to PostgreSQL; all of them serve at once and are measured in turn.
CPU is that of the server and of PostgreSQL's processes. Flat is at most 1.2 between the last two sizes.""",
        "![CPU a row or a request, by rows of the chain](growth.svg)",
    ]
    for title, of in (("CPU", _cpu), ("Wall", _wall)):
        header = ("microseconds", "engine", *(f"{size:,} rows" for size in rows), "last two", "")
        ruler = ("---", "---", *("---:" for _ in rows), "---:", "---")
        parts += [f"## {title}", report.rows([header, ruler, *_lines(found, rows, of)])]
    memory = [
        (
            engine,
            *(
                f"{max(c.peak_mib or 0 for by in found.values() for c in by[engine, n]):.0f} MiB"
                for n in rows
            ),
        )
        for engine in ENGINES
    ]
    header = ("the server's, at most", *(f"{size:,} rows" for size in rows))
    parts += ["## Memory", report.rows([header, ("---", *("---:" for _ in rows)), *memory])]
    machine = [("what", "value"), ("---", "---"), *report.machine(load), ("repetitions", f"{repetitions}")]
    return "\n\n".join([*parts, "## Measured on", report.rows(machine)]) + "\n"


def _cpu(costs: Iterable[Cost]) -> float:
    return median(cost.cpu_ms for cost in costs) * 1_000


def _wall(costs: Iterable[Cost]) -> float:
    return median(cost.wall_ms for cost in costs) * 1_000


def _lines(
    found: Found, rows: Sequence[int], of: Callable[[Iterable[Cost]], float]
) -> Iterator[tuple[str, ...]]:
    for name, title in FIGURES.items():
        for engine in ENGINES:
            values = [of(found[name][engine, size]) for size in rows]
            ratio = values[-1] / values[-2]
            said = [f"{value:,.0f}" if value >= 10 else f"{value:.1f}" for value in values]
            yield title, engine, *said, f"{ratio:.2f}", "flat" if ratio <= FLAT else "grows"


def drawn(found: Mapping[str, Mapping[tuple[str, int], list[Cost]]], rows: Sequence[int]) -> str:
    short = {
        "push": "push, a row",
        "update": "update, a row",
        "pull": "pull, a row",
        LIST: "list of 1,000",
        ONE: "one customer",
        NUMBER: "search, phone",
        SEARCH: "search, name",
    }
    return plot.log_log(
        "rows of the chain",
        "CPU microseconds",
        {
            engine: {
                short.get(name, name): [(size, _cpu(found[name][engine, size])) for size in rows]
                for name in FIGURES
            }
            for engine in ENGINES
        },
    )


def main(
    rows: Annotated[list[int], typer.Option(help="Sizes, the smallest first.")] = list(ROWS),  # noqa: B006
    repetitions: Annotated[int, typer.Option(min=1)] = 3,
    facts: Annotated[int, typer.Option(help="Interactions that are pushed.", hidden=True)] = FACTS,
    out: Annotated[Path, typer.Option(help="The folder for page and plot.")] = ROOT / "bench",
    kept: Annotated[Path, typer.Option(help="The folder for the chains.")] = ROOT / "build" / "grown",
) -> None:
    """Measure each figure on chains of several sizes."""
    place = ROOT / "build" / "bench"
    for made in (place, kept):
        made.mkdir(parents=True, exist_ok=True)
    before = os.getloadavg()[0]
    columns = (TextColumn("{task.description:16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with TemporaryDirectory(dir=place) as folder, Progress(*columns, console=Console()) as progress:
        found = asyncio.run(measure(Path(folder), kept, rows, repetitions, progress, facts))
    page = markdown(found, rows, repetitions, (before, os.getloadavg()[0]))
    (out / "GROWTH.md").write_text(page, "utf-8")
    (out / "growth.svg").write_text(drawn(found, rows), "utf-8")
    print(page)


if __name__ == "__main__":
    typer.run(main)
