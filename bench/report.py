"""What was measured, as a table for the terminal and as a page of Markdown."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from rich.table import Table

from bench import graph
from bench.figures import CATCH_UP, PULL, PUSH, UPDATES, Results, Sizes
from bench.server import ROOT, Cost

PACKAGES = ("uvicorn", "uvloop", "httptools", "starlette", "orjson", "msgspec", "aiosqlite", "httpx2")
TITLE = "Regulars beside a bare floor"
ABOUT = """Written by `make bench`; not edited by hand. Median, and in brackets least and most; a ratio is the
median of the ratios of neighbouring runs (floor, ours, floor, ours). CPU is the server process's own, user
and system; the client's is not in it. The floor (`bench/floor.py`) is Starlette and one SQLite transaction
a batch: no auth, no validation, no conflicts, no log, no scopes, no proof."""
HEADER = ("figure", "floor", "ours", "ours / floor", "goal")


@dataclass(frozen=True, slots=True)
class Line:
    figure: str
    floor: str
    ours: str
    ratio: str
    goal: str = ""
    met: bool | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        said = {True: f"{self.goal}: met", False: f"{self.goal}: missed", None: self.goal}[self.met]
        return self.figure, self.floor, self.ours, self.ratio, said


def lines(results: Results, sizes: Sizes) -> list[Line]:
    names = {
        PUSH: f"push of {sizes.interactions:,} offline-made interactions",
        UPDATES: f"push of {sizes.updates:,} updates to existing customers",
        PULL: f"pull of {results.rows:,} rows by pages of 1,000",
        CATCH_UP: f"catch-up of {sizes.changed:,} rows among {results.rows:,}",
    }
    goals = {PUSH: 3.0, PULL: 2.0}
    found: list[Line] = []
    for figure, name in names.items():
        floor, ours = results.costs[figure]["floor"], results.costs[figure]["ours"]
        ratio = _ratio(floor, ours, lambda cost: cost.cpu_ms)
        goal = goals.get(figure)
        found.append(
            Line(
                f"{name}: server CPU",
                _spread([cost.cpu_ms for cost in floor]),
                _spread([cost.cpu_ms for cost in ours]),
                f"{ratio:.2f}",
                f"<= {goal:g}" if goal else "",
                ratio <= goal if goal else None,
            )
        )
        wall = median(cost.wall_ms for cost in ours)
        is_catch_up = figure == CATCH_UP
        found.append(
            Line(
                f"{name}: wall",
                _spread([cost.wall_ms for cost in floor]),
                _spread([cost.wall_ms for cost in ours]),
                f"{_ratio(floor, ours, lambda cost: cost.wall_ms):.2f}",
                "< 10 ms" if is_catch_up else "",
                wall < 10 if is_catch_up else None,
            )
        )
        found.append(
            Line(
                f"{name}: bytes",
                _megabytes(floor),
                _megabytes(ours),
                f"{_ratio(floor, ours, lambda cost: cost.bytes):.2f}",
            )
        )
    found += _graph_lines(results)
    synced, copied = [ours for ours, _ in results.first_syncs], [copy for _, copy in results.first_syncs]
    ratio = median(ours / copy for ours, copy in results.first_syncs)
    found.append(
        Line(
            f"first sync of {results.rows:,} rows by snapshot to first query (floor: HTTP copy of its file)",
            _spread(copied),
            _spread(synced),
            f"{ratio:.2f}",
            "<= 3",
            ratio <= 3,
        )
    )
    for figure, peaks in results.rss_mib.items():
        found.append(
            Line(
                f"{figure}: peak memory of the server",
                f"{peaks['floor']:.0f} MiB",
                f"{peaks['ours']:.0f} MiB",
                f"{peaks['ours'] / peaks['floor']:.2f}",
            )
        )
    return found


def _graph_lines(results: Results) -> Iterator[Line]:
    """Rates against the floor's: here more is better. A rate is that of one server process kept busy."""
    for figure, costs in results.graph.items():
        floor, ours, core = costs["floor"], costs["ours"], costs["core"]
        rate = 1_000 / median(cost.cpu_ms for cost in ours)
        share = 1 / _ratio(floor, ours, lambda cost: cost.cpu_ms)
        is_list = figure == graph.LIST
        yield Line(
            f"{figure}: server CPU a request",
            _spread([cost.cpu_ms for cost in floor]),
            _spread([cost.cpu_ms for cost in ours]),
            f"{1 / share:.2f}",
            *_held(figure, rate, share),
        )
        yield Line(
            f"{figure}: wall a request",
            _spread([cost.wall_ms for cost in floor]),
            _spread([cost.wall_ms for cost in ours]),
            f"{_ratio(floor, ours, lambda cost: cost.wall_ms):.2f}",
        )
        times = _ratio(ours, core, lambda cost: cost.cpu_ms)
        yield Line(
            f"{figure}: server CPU on graphql-core's own executor, on ours, and their ratio",
            _spread([cost.cpu_ms for cost in core]),
            _spread([cost.cpu_ms for cost in ours]),
            f"{times:.2f}",
            ">= 8" if is_list else "",
            times >= 8 if is_list else None,
        )


def _held(figure: str, rate: float, share: float) -> tuple[str, bool | None]:
    """What is asked of a figure, and whether it holds; of some nothing is asked."""
    if figure == graph.LIST:
        asked = f">= 150/s ({rate:.0f}/s) or 0.04 of the floor's rate ({share:.3f})"
        return asked, rate >= 150 or share >= 0.04
    if figure == graph.ONE:
        return f">= 0.12 of the floor's rate ({share:.3f})", share >= 0.12
    return f"{rate:.0f}/s", None


def further(results: Results) -> Iterator[tuple[str, str]]:
    """What has no floor: the machine's limits and the tablet."""
    for name, costs in results.limits.items():
        walls, cpus = ([c.wall_ms for c in costs], [c.cpu_ms for c in costs])
        yield f"{name}: wall", f"{_spread(walls)}, {median(c.bytes for c in costs) / 1e6:.1f} MB"
        yield f"{name}: CPU", _spread(cpus)
    for name, times in results.sdk.items():
        yield f"SDK: {name}", _spread(times)


def table(results: Results, sizes: Sizes) -> Table:
    made = Table(*HEADER, title=TITLE)
    for line in lines(results, sizes):
        style = {True: "green", False: "red", None: None}[line.met]
        made.add_row(*line.cells, style=style)
    made.add_section()
    for name, value in further(results):
        made.add_row(name, "", value)
    return made


def markdown(results: Results, sizes: Sizes, load: Sequence[float]) -> str:
    """The page: figures, then what they were measured on."""
    rows = [HEADER, ("---", "---:", "---:", "---:", "---"), *(line.cells for line in lines(results, sizes))]
    more = [("figure", "value"), ("---", "---:"), *further(results)]
    machine = [("what", "value"), ("---", "---"), *_machine(sizes, load)]
    return (
        "\n\n".join(
            [
                f"# {TITLE}",
                ABOUT,
                _rows(rows),
                "## Without a floor",
                _rows(more),
                "## Measured on",
                _rows(machine),
                "",
            ]
        ).rstrip()
        + "\n"
    )


def _rows(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _spread(values: Sequence[float]) -> str:
    digits = 0 if median(values) >= 100 else 1 if median(values) >= 10 else 2
    said = f"{median(values):.{digits}f} ms"
    return f"{said} ({min(values):.{digits}f}-{max(values):.{digits}f})" if len(values) > 1 else said


def _megabytes(costs: Sequence[Cost]) -> str:
    return f"{median(cost.bytes for cost in costs) / 1e6:.2f} MB"


def _ratio(floor: Sequence[Cost], ours: Sequence[Cost], of: Callable[[Cost], float]) -> float:
    return median(of(b) / of(a) for a, b in zip(floor, ours, strict=True))


def _machine(sizes: Sizes, load: Sequence[float]) -> Iterator[tuple[str, str]]:
    yield "date", datetime.now(UTC).isoformat(timespec="minutes")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    yield (
        "commit",
        _git("rev-parse", "--short=12", "HEAD") + (" with changes not committed" if changed else ""),
    )
    yield "processor", f"{_processor()}, {os.cpu_count()} cores"
    yield "memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    yield "system", f"{platform.system()} {platform.release()}"
    yield "load before and after", " and ".join(f"{one:.2f}" for one in load)
    yield "repetitions", f"{sizes.repetitions}; catch-up {sizes.catch_ups}"
    yield "Python, SQLite", f"{platform.python_version()}, {sqlite3.sqlite_version}"
    for name in PACKAGES:
        yield name, version(name)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _git(*arguments: str) -> str:
    asked = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return asked.stdout.strip() or ("" if asked.returncode == 0 else "unknown")
