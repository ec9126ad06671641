"""Lane L3: the simulator's plans on real processes, sockets and disks, with kill -9. Counted afterwards.

python tests/faults/run.py                              minutes: a few runs on both engines
python tests/faults/run.py --seed 7 --engine postgres   one run, its processes killed at random instants
python tests/faults/run.py --partition out --rate 20    ten tablets whose lines are cut again and again
python tests/faults/run.py --matrix --seconds 60        4 kinds of partition, 10, 20 and 40 a second
python tests/faults/run.py --long                       the 48 runs of 100 to 300 s, then kills until stopped
python tests/faults/run.py --kills 200                  until so many kills of server and of tablets each

A run that fails keeps its folder below build/faults: plan, logs, files, tables. `--record` adds a row for all
runs together to docs/PROOF.md.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.faults.chain import Chain
from tests.faults.disk import may_mount
from tests.faults.end import ROOT
from tests.faults.proxy import PARTITIONS
from tests.faults.scenario import FAULTS, MATRIX, MATRIX_S, Scenario, partition, storm
from tests.simulation.hq import eager_loop
from tests.simulation.run import PROOF, commit, quiet

KEPT = ROOT / "build" / "faults"
BAR = 24
ENGINES = ("sqlite", "postgres")
ROWS = "<!-- runs of lane L3 -->\n"
KILLED = {
    "server kill -9": ("server killed", "server killed in a round", "server killed while it starts"),
    "SDK kill -9": ("tablet killed", "tablet killed in a round", "tablet killed in a write"),
    "PostgreSQL immediate": ("PostgreSQL stopped at once",),
}


def run(folder: Path, scenario: Scenario, mounts: bool, progress: bool = True) -> dict[str, Any]:
    """One run, and its report; `failure` says what did not hold."""
    begun = time.monotonic()

    def tell(what: str, done: float, of: float) -> None:
        if progress:
            filled = min(BAR, round(BAR * done / max(of, 0.1)))
            bar = "#" * filled + "." * (BAR - filled)
            print(f"\r{scenario.name}  [{bar}] {what} {done:.0f} s   ", end="", file=sys.stderr, flush=True)

    async def live(chain: Chain) -> None:
        try:
            tell("being founded", 0, 1)
            await chain.found()
            await chain.suffer(lambda done: tell("faults", done, scenario.seconds))
            await chain.settle(lambda done: tell("coming to rest", done, 30))
        finally:
            await chain.close()

    report: dict[str, Any] = {"replay": scenario.replay, "failure": None}
    chain: Chain | None = None
    counts: dict[str, Any] = {}
    try:
        chain = Chain(folder, scenario, mounts)
        asyncio.run(live(chain))
        with quiet(), eager_loop():
            counts = chain.judge()
        assert not counts["lost"], f"acknowledged and lost: {counts['lost'][:5]}"
        assert not counts["doubled"], f"doubled: {counts['doubled'][:5]}"
    except Exception as error:
        report["failure"] = f"{type(error).__name__}: {' '.join(map(str, error.args))}"[:3000]
        (folder / "failure.txt").write_text(traceback.format_exc())
    if chain is not None:
        report |= {**chain.report(), **counts}
        if report["failure"]:
            report["kept"] = str(keep(folder, chain, report))
        if chain.postgres is not None:
            chain.postgres.stop()
    report["wall_s"] = round(time.monotonic() - begun, 1)
    if progress:
        print(file=sys.stderr)
    return report


def keep(folder: Path, chain: Chain, report: dict[str, Any]) -> Path:
    """The evidence of a failed run, also of disks that are gone with it."""
    scenario = chain.scenario
    place = KEPT / f"{scenario.engine}-{scenario.seed}-{time.strftime('%H%M%S')}"
    if chain.postgres is not None:
        with suppress(Exception):
            chain.server.run("backup", str(folder / "evidence"))
    skip = shutil.ignore_patterns("data", "embedded_postgres*", "*.sock*", ".s.*", "ballast")
    shutil.copytree(folder, place, ignore=skip, dirs_exist_ok=True)
    (place / "plan.json").write_text(json.dumps({"chain": scenario.chain, "events": scenario.events}))
    (place / "report.json").write_text(json.dumps(report, indent=1, default=str))
    told = {index: list(tablet.wrote) for index, tablet in chain.tablets.items()}
    (place / "acknowledged.json").write_text(json.dumps(told))
    return place


def run_all(scenarios: Iterable[Scenario], mounts: bool, wanted: int | None = None) -> list[dict[str, Any]]:
    """One after the other, until somebody stops it, or so many kills of either kind were made."""
    reports: list[dict[str, Any]] = []
    with suppress(KeyboardInterrupt):
        for scenario in scenarios:
            with tempfile.TemporaryDirectory(prefix="regulars-faults-", ignore_cleanup_errors=True) as folder:
                reports.append(run(Path(folder), scenario, mounts))
            report = reports[-1]
            print(json.dumps(report, default=str), flush=True)
            if report["failure"]:
                print(f"FAILED {report['failure']}\n  again: {scenario.replay}", file=sys.stderr)
            if wanted is not None and all(
                count >= wanted for name, count in counted(reports).items() if "kill -9" in name
            ):
                break
    return reports


def counted(reports: list[dict[str, Any]]) -> Counter[str]:
    """What all runs together came to."""
    total: Counter[str] = Counter(dict.fromkeys(KILLED, 0))
    for report in reports:
        faults = Counter(report.get("faults", {}))
        for name, kinds in KILLED.items():
            total[name] += sum(faults[kind] for kind in kinds)
        total["acknowledged"] += report.get("acknowledged", 0)
        total["lost"] += len(report.get("lost", ()))
        total["doubled"] += len(report.get("doubled", ()))
        total["other faults"] += sum(faults.values()) - sum(
            faults[kind] for kinds in KILLED.values() for kind in kinds
        )
        total["on the line"] += sum(report.get("network", {}).values())
        total["seconds"] += round(report.get("seconds", 0))
        total["runs"] += 1
        total["failed"] += bool(report["failure"])
    return total


def line_of(what: str, reports: list[dict[str, Any]], when: str, at: str) -> str:
    total = counted(reports)
    engines = Counter(report.get("engine", "?") for report in reports)
    on = ", ".join(f"{count} {engine}" for engine, count in sorted(engines.items()))
    failed = " ".join(str(report.get("seed")) for report in reports if report["failure"]) or "none"
    kills = " | ".join(f"{total[name]:,}" for name in KILLED)
    return (
        f"| {what} | {when}, {at} | {on} | {total['seconds']:,} | {kills} | {total['other faults']:,} | "
        f"{total['on the line']:,} | {total['acknowledged']:,} | "
        f"{total['lost']} | {total['doubled']} | {failed} |"
    )


def record(what: str, reports: list[dict[str, Any]]) -> None:
    text = PROOF.read_text()
    line = line_of(what, reports, time.strftime("%Y-%m-%d", time.gmtime()), commit())
    PROOF.write_text(text.replace(ROWS, f"{line}\n{ROWS}"))


def matrix(seed: int, engines: Iterable[str], seconds: Iterable[float]) -> Iterator[Scenario]:
    """Each kind of partition at each rate; the engines take turns."""
    turns = itertools.cycle(engines)
    for number, (length, (how, rate)) in enumerate(itertools.product(seconds, MATRIX)):
        yield partition(seed + number, next(turns), length, how, rate)


def storms(
    seed: int, engines: tuple[str, ...], seconds: float, tablets: int, only: Sequence[str] = ()
) -> Iterator[Scenario]:
    for number in itertools.count():
        yield storm(seed + number, engines[number % len(engines)], seconds, tablets, only)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, help="of faults, in each run")
    parser.add_argument("--tablets", type=int, default=5)
    parser.add_argument("--seed", type=int, help="of one run; with more runs that of the first")
    parser.add_argument("--engine", choices=ENGINES, help="one of the two only")
    parser.add_argument("--partition", choices=PARTITIONS)
    parser.add_argument("--rate", type=int, default=20, help="transactions a second of ten tablets together")
    parser.add_argument("--matrix", action="store_true", help="every kind of partition, at three rates")
    parser.add_argument("--long", action="store_true", help="the whole matrix, then kills until stopped")
    parser.add_argument("--kills", type=int, help="until so many kills of the server, and of tablets")
    parser.add_argument("--only", nargs="+", default=[], choices=[name.replace(" ", "-") for name in FAULTS])
    parser.add_argument("--no-mounts", action="store_true", help="as where no disk can be mounted")
    parser.add_argument("--record", metavar="WHAT", help="add a row of this name to docs/PROOF.md")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background too: it ends with its counts
    mounts = not given.no_mounts and may_mount()
    seed = given.seed or 1
    engines = (given.engine,) if given.engine else ENGINES
    seconds = given.seconds or 60.0
    only = [name.replace("-", " ") for name in given.only]
    scenarios: Iterable[Scenario]
    if given.long:
        scenarios = itertools.chain(
            matrix(seed, engines, MATRIX_S), storms(seed, engines, seconds, given.tablets, only)
        )
    elif given.matrix:
        whole = matrix(seed, engines, [seconds])
        scenarios = [one for one, (_, rate) in zip(whole, MATRIX, strict=True) if rate != 30]
    elif given.partition:
        scenarios = [partition(seed, engine, seconds, given.partition, given.rate) for engine in engines]
    elif given.kills:
        scenarios = storms(seed, engines, seconds, given.tablets, only)
    else:
        count = 1 if given.seed else 2
        runs = itertools.islice(storms(seed, engines, seconds, given.tablets, only), count * len(engines))
        cut = [partition(seed, engine, seconds / 2, "both", given.rate) for engine in engines]
        scenarios = list(runs) if given.seed else [*runs, *cut]
    reports = run_all(scenarios, mounts, given.kills)
    total = counted(reports)
    print(", ".join(f"{name} {count:,}" for name, count in total.items()))
    if given.record:
        record(given.record, reports)
    return bool(total["failed"] or total["lost"] or total["doubled"])


if __name__ == "__main__":
    sys.exit(main())
