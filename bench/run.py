"""`make bench`: floors and ours in one run, a table, and bench/RESULTS.md.

make bench                            everything; some minutes
make bench ARGS="--repetitions 7"     steadier medians
make bench ARGS=--quick               seconds; only shows that it works
make bench ARGS="--profile push"      where the server's time goes, in this process
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import profiling, report
from bench.figures import Sizes
from bench.measure import measure, steps
from bench.server import ROOT

RESULTS = ROOT / "bench" / "RESULTS.md"


def main(
    quick: Annotated[bool, typer.Option(help="Small sizes, once.")] = False,
    repetitions: Annotated[int, typer.Option(min=1, help="How often each figure is measured.")] = 3,
    out: Annotated[Path | None, typer.Option(help="Where to write; with --quick nowhere.")] = None,
    profile: Annotated[profiling.What | None, typer.Option(help="Profile this instead.")] = None,
) -> None:
    """Measure Regulars beside a bare floor."""
    sizes = Sizes.quick() if quick else replace(Sizes(), repetitions=repetitions)
    console = Console(width=None if Console().is_terminal else 160)
    place = ROOT / "build" / "bench"  # the disk of the work, not a temporary one in memory
    place.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place) as folder:
        if profile is not None:
            asyncio.run(profiling.profile(profile, Path(folder), sizes))
            return
        before = os.getloadavg()[0]
        columns = (
            TextColumn("{task.description:42}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("start", total=steps(sizes))

            def on_step(what: str) -> None:
                progress.update(task, description=what, advance=1)

            results = asyncio.run(measure(Path(folder), sizes, on_step))
    for table in report.tables(results, sizes):
        console.print(table)
    target = out or (None if quick else RESULTS)
    if target is not None:
        target.write_text(report.markdown(results, sizes, (before, os.getloadavg()[0])), "utf-8")
        console.print(f"Written to {target}")


if __name__ == "__main__":
    typer.run(main)
