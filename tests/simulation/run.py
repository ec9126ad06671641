"""Simulate chains of tablets: replay one seed, or run many and say what they covered.

python tests/simulation/run.py --seed 7              one seed, with its story
python tests/simulation/run.py --seeds 1000          many, on two processes
python tests/simulation/run.py --seeds 1000 --within 600   as many of them as begin in ten minutes
python tests/simulation/run.py --lane L2 --seeds 20  the whole app and SDK
python tests/simulation/run.py --lane L2 --storage postgres --seeds 4
python tests/simulation/run.py --for-ever            both lanes, a line in docs/PROOF.md for each run
python tests/simulation/run.py --replay FILE         the events of a kept regression
python tests/simulation/run.py --seed 7 --minimise   keep as few events as still fail
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from queue import Queue
from typing import Any

from regulars_server.process import spare_the_collector
from tests.simulation.attack import ATTACKS
from tests.simulation.deeds import TOLD
from tests.simulation.hq import eager_loop
from tests.simulation.oracle import examine
from tests.simulation.plan import DAMAGES, Event, Size, plan
from tests.simulation.virtual import inline_aiosqlite
from tests.simulation.whole import EXCHANGE_FAULTS, WholeWorld
from tests.simulation.world import Failure, World
from tests.support.postgres import Databases, databases

REGRESSIONS = Path(__file__).parent / "regressions"
PROCESSES = 2
REPEATED = 20
"""One seed in so many is run in both processes, whose hashing differs, and must leave equal traces."""

SHOWN = 10
"""So many failures are shown in full."""

FLOOR_SEEDS = 300
FAULTS = (
    "request lost",
    "answer lost",
    "request doubled",
    "request delayed",
    "old push delivered",
    "server crash",
    "crash in a round",
    "crash in a write",
    "clock ahead",
    "clock behind",
    "edited twice before a sync",
    "offline day",
    "reordered",
    "write in a round",
    "tablet restored",
    "tablet cloned",
    "tablet revoked",
    "tablet upgraded",
    "server restored",
    "tablet's disk failed",
    "server's disk failed",
    "tablet's disk: full",
    "tablet's disk: io_error",
    "tablet's disk: locked",
    *(f"liar: {attack}" for attack in ATTACKS),
)
WEAR = (*DAMAGES, "departures dropped", "repaired", "cursor expired")
SNAPSHOTS = ("snapshot taken", "snapshot cut", "snapshot went on", "snapshot changed in between")
OF_LANE = {
    "L1": ("pull cut between pages", "head office released", *WEAR, *SNAPSHOTS),
    "L2": (*EXCHANGE_FAULTS, "GraphQL CustomerSaved", "GraphQL HeldSettled", *SNAPSHOTS[:3]),
}
SOMETIMES = (
    *(f"told: {what}" for what in sorted({*TOLD})),
    "merged",
    "held, then accepted",
    "mends accepted",
    "mended by the tablet",
    "dropped by the tablet",
    "head office mended",
    "given up",
    "held for a revoked device",
    "held for a row that left",
    "rejected",
    "refused on the tablet",
    "groups accepted whole",
    "groups held whole",
    "values side by side",
    "seen cids kept",
    "customers moved",
    "moved with dependents",
    "left",
    "several pages",
    "duplicates found",
    "epochs changed",
    "incarnations renewed",
    "problem offline",
    "problem device_cloned",
    "problem device_revoked",
    "wiped, then paired again",
    "merged by itself",
    "head office says same",
    "head office says not_same",
    "head office says household",
    "unmerged",
    "contradictions at the end",
    "contradiction resolved",
    "proposed by a tablet",
    "decision reserved",
    "households",
    "persons of two branches",
    "golden cards",
    "a canary followed a merge",
    "looked up",
    "sightings ended",
    "facts that left the window",
    "a unit below a region",
    "a tablet moved",
    *(f"rule {rule}" for rule in ("last_writer", "verified", "min", "max", "set_add", "set_remove")),
    *(f"rule {rule}" for rule in ("any_true", "review")),
)
"""What must come to pass in a run of many seeds: a checker that never saw it has not checked it."""


@dataclass
class Outcome:
    """What became of one chain."""

    seed: int
    failure: str | None = None
    law: str | None = None
    """Which law the failure broke, whatever it was about."""
    trace: str = ""
    device_days: int = 0
    cpu_s: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)
    sometimes: dict[str, int] = field(default_factory=dict)


def folder() -> Path:
    """Where a chain's files live: in memory where the system has such a place."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="regulars-", dir=memory if memory.is_dir() else None))


@contextmanager
def quiet() -> Iterator[None]:
    """Without the server's log: a full disk would fill the screen."""
    log = logging.getLogger("regulars")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def simulate(
    chain: dict[str, Any], events: Sequence[Event], tell: bool = False, databases: Databases | None = None
) -> Outcome:
    """Run one chain's events, let it come to rest, and examine it. `databases`: lane L2 on PostgreSQL."""
    days = 1 + max((event[0] for event in events), default=0) // 86_400_000
    is_whole = chain.get("lane") == "L2"
    outcome = Outcome(chain["seed"], device_days=len(chain["tablets"]) * days)
    place = folder()
    begun = time.process_time()
    world = None
    try:
        with quiet(), inline_aiosqlite() if is_whole else nullcontext(), eager_loop():
            world = WholeWorld(chain, place, tell, databases) if is_whole else World(chain, place, tell)
            try:
                world.play(events)
                world.settle()
                examine(world)
            except BaseException:
                with suppress(Exception):
                    world.close()
                raise
            world.close()
    except Exception as error:
        outcome.law, outcome.failure = _reason(error)
        if tell:
            traceback.print_exc()
    finally:
        shutil.rmtree(place)
    outcome.cpu_s = time.process_time() - begun
    if world is not None:
        outcome.trace = world.trace.hexdigest()
        outcome.faults, outcome.sometimes = dict(world.faults), dict(world.sometimes)
    return outcome


def _reason(error: Exception) -> tuple[str, str]:
    where = traceback.extract_tb(error.__traceback__)[-1]
    at = f"{type(error).__name__} in {Path(where.filename).name}, {where.name}"
    law = str(error.args[0]) if isinstance(error, Failure) else at
    return law, f"{law}: {' '.join(map(str, error.args[1:]))}"[:700]


# --- fewer events ------------------------------------------------------------------------------------------


def minimise(chain: dict[str, Any], events: list[Event]) -> list[Event]:
    """Leave out as many events as the same law's failure can do without."""
    wanted = simulate(chain, events).law
    size = len(events) // 2
    while size:
        at = 0
        while at < len(events):
            fewer = events[:at] + events[at + size :]
            if simulate(chain, fewer).law == wanted:
                events = fewer
            else:
                at += size
        print(f"\r{len(events)} events left, leaving out {size} at a time   ", end="", file=sys.stderr)
        size //= 2
    print(file=sys.stderr)
    return events


def keep(name: str, chain: dict[str, Any], events: list[Event], failure: str) -> Path:
    """Write a regression that the tests replay for ever."""
    path = REGRESSIONS / f"{name}.json"
    lines = ",\n  ".join(json.dumps(event) for event in events)
    was, of = json.dumps(failure[:200]), json.dumps(chain)
    path.write_text(f'{{"was": {was},\n "chain": {of},\n "events": [\n  {lines}\n]}}\n')
    return path


def kept(path: Path) -> tuple[dict[str, Any], list[Event]]:
    said = json.loads(path.read_text())
    return said["chain"], said["events"]


# --- many seeds --------------------------------------------------------------------------------------------


def work(seeds: Sequence[int], size: Size, lane: str, storage: str, within_s: float) -> None:
    """In a process of its own: run these seeds, one line of JSON for each; none begins after `within_s`."""
    spare_the_collector()
    ends = time.monotonic() + within_s
    with on(storage) as databases_:
        for seed in takewhile(lambda _: time.monotonic() < ends, seeds):
            outcome = simulate(*plan(seed, size, lane), databases=databases_)
            print(json.dumps(vars(outcome)), flush=True)


def on(storage: str) -> AbstractContextManager[Databases | None]:
    """Where the chains are: in files, or on a PostgreSQL that runs meanwhile."""
    return databases() if storage == "postgres" else nullcontext()


def run_many(
    seeds: range, size: Size, lane: str, storage: str, within_s: float = math.inf
) -> Iterator[Outcome]:
    """Run seeds on several processes, each with other hashing; the repeated ones come once from each."""
    shares = [
        [s for s in seeds if (s - seeds.start) % PROCESSES == number or s % REPEATED == 0]
        for number in range(PROCESSES)
    ]
    queue: Queue[Outcome | None] = Queue()

    def drive(number: int) -> None:
        command = [sys.executable, __file__, "--work", ",".join(map(str, shares[number]))]
        command += ["--days", str(size.days), "--writes", str(size.writes), "--lane", lane]
        command += ["--storage", storage, "--within", str(within_s)]
        command += ["--tablets", str(size.tablets)] if size.tablets else []
        given = {**os.environ, "PYTHONHASHSEED": str(number + 1)}
        with subprocess.Popen(command, env=given, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                queue.put(Outcome(**json.loads(line)))
        queue.put(None)

    with ThreadPoolExecutor(PROCESSES) as pool:
        for number in range(PROCESSES):
            pool.submit(drive, number)
        running = PROCESSES
        while running:
            outcome = queue.get()
            if outcome is None:
                running -= 1
            else:
                yield outcome


@dataclass
class Summary:
    """What came of a run of many seeds."""

    lane: str
    seeds: range
    storage: str = "sqlite"
    within_s: float = math.inf
    done: int = 0
    device_days: int = 0
    cpu_s: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    sometimes: Counter[str] = field(default_factory=Counter)
    failed: dict[int, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """As an option."""
        return "" if self.storage == "sqlite" else f" --storage {self.storage}"

    @property
    def rate(self) -> float:
        """Device-days per CPU-minute."""
        return self.device_days / max(self.cpu_s, 0.001) * 60

    @property
    def never(self) -> list[str]:
        """What had to come to pass and did not."""
        counted = self.faults + self.sometimes
        return [name for name in (*FAULTS, *OF_LANE[self.lane], *SOMETIMES) if not counted[name]]

    @property
    def holds(self) -> bool:
        is_whole = self.done >= len(self.seeds)
        is_enough = not is_whole or len(self.seeds) < FLOOR_SEEDS or not self.never
        return is_enough and not self.failed and (is_whole or (self.done > 0 and self.within_s < math.inf))


def survey(
    seeds: range, size: Size, lane: str, storage: str = "sqlite", within_s: float = math.inf
) -> Summary:
    """Run them, and show how it goes."""
    summary = Summary(lane, seeds, storage, within_s)
    traces: dict[int, str] = {}
    for outcome in run_many(seeds, size, lane, storage, within_s):
        summary.done += 1
        summary.device_days += outcome.device_days
        summary.cpu_s += outcome.cpu_s
        summary.faults.update(outcome.faults)
        summary.sometimes.update(outcome.sometimes)
        failed = summary.failed
        if outcome.failure:
            failed[outcome.seed] = outcome.failure
        elif traces.setdefault(outcome.seed, outcome.trace) != outcome.trace:
            failed[outcome.seed] = "it ran otherwise the second time"
        if outcome.seed in failed and len(failed) <= SHOWN:
            print(f"\rFAILED seed {outcome.seed}: {failed[outcome.seed]}", file=sys.stderr)
        said = f"{summary.done} runs, {len(failed)} failed, {summary.rate:,.0f} device-days per CPU-minute"
        print(f"\r{said}   ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return summary


def report(summary: Summary) -> None:
    """Print what came of it."""
    days, rate = summary.device_days, summary.rate
    runs = f"{len(summary.seeds)} seeds, {summary.done} runs"
    print(f"{summary.lane}: {runs}, {days:,} device-days, {rate:,.0f} per CPU-minute")
    for title, found in (("faults", summary.faults), ("sometimes", summary.sometimes)):
        print(f"{title}: " + ", ".join(f"{name} {count:,}" for name, count in sorted(found.items())))
    failed = summary.failed
    for seed, failure in sorted(failed.items())[:SHOWN]:
        replay = f"make sim SEED={seed} ARGS='--lane {summary.lane}{summary.where}'"
        print(f"FAILED seed {seed}: {failure}\n  replay: {replay}")
    if len(failed) > SHOWN:
        print(f"... and {len(failed) - SHOWN} more: {' '.join(map(str, sorted(failed)[SHOWN:]))}")
    if summary.never:
        print(f"never happened: {', '.join(summary.never)}")


# --- for ever ----------------------------------------------------------------------------------------------

PROOF = Path(__file__).parents[2] / "docs" / "PROOF.md"
LONG = {"L1": 1_000, "L2": 100}
"""How many seeds of a lane are one line."""


def run_for_ever(size: Size) -> None:
    """Go on where docs/PROOF.md ends, lane after lane, one line for each run, until somebody stops it."""
    while True:
        for lane, count in LONG.items():
            start = next_seed(PROOF.read_text(), lane)
            summary = survey(range(start, start + count), size, lane)
            report(summary)
            with PROOF.open("a") as file:
                file.write(line_of(summary, commit()) + "\n")


def next_seed(text: str, lane: str) -> int:
    """The first seed of a lane that no line tells of."""
    found = re.findall(rf"^\| {lane} \| \d+-(\d+) \|", text, re.MULTILINE)
    return max(map(int, found), default=0) + 1


def line_of(summary: Summary, commit: str) -> str:
    seeds = f"{summary.seeds.start}-{summary.seeds.stop - 1}"
    kinds = sum(bool(count) for count in (summary.faults + summary.sometimes).values())
    failed = " ".join(map(str, sorted(summary.failed))) or "none"
    never = ", ".join(summary.never) or "nothing"
    return (
        f"| {summary.lane} | {seeds} | {commit} | {summary.device_days:,} | {summary.rate:,.0f} | "
        f"{failed} | {kinds} | {never} |"
    )


def commit() -> str:
    def git(*given: str) -> str:
        return subprocess.run(["git", *given], cwd=PROOF.parent, capture_output=True, text=True).stdout

    changed = [line for line in git("status", "--porcelain").splitlines() if "docs/PROOF.md" not in line]
    return git("rev-parse", "--short", "HEAD").strip() + ("+" if changed else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, help="replay one seed and tell its story")
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to run")
    parser.add_argument("--from", type=int, default=1, dest="start", help="the first of them")
    parser.add_argument("--days", type=int, default=Size.days, help="virtual days of each chain")
    parser.add_argument("--tablets", type=int, help="tablets of each chain, three to five without")
    parser.add_argument("--within", type=float, default=math.inf, help="seconds after which none begins")
    parser.add_argument("--writes", type=int, default=Size.writes, help="deeds on each tablet a day")
    parser.add_argument("--lane", choices=("L1", "L2"), default="L1", help="the core alone, or app and SDK")
    parser.add_argument("--storage", choices=("sqlite", "postgres"), default="sqlite", help="of lane L2")
    parser.add_argument("--replay", type=Path, help="a kept regression")
    parser.add_argument("--for-ever", action="store_true", help="both lanes, on and on, into docs/PROOF.md")
    parser.add_argument("--minimise", action="store_true", help="leave out what the failure can do without")
    parser.add_argument("--name", help="keep the minimised events under this name")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.storage == "postgres" and (given.lane == "L1" or given.minimise or given.for_ever):
        parser.error("--storage postgres is for seeds of lane L2")
    size = Size(days=given.days, tablets=given.tablets, writes=given.writes)
    if given.work is not None:
        work(
            [int(seed) for seed in given.work.split(",") if seed],
            size,
            given.lane,
            given.storage,
            given.within,
        )
        return 0
    if given.for_ever:
        with suppress(KeyboardInterrupt):
            run_for_ever(size)
        return 0
    if given.seed is None and given.replay is None:
        seeds = range(given.start, given.start + given.seeds)
        summary = survey(seeds, size, given.lane, given.storage, given.within)
        report(summary)
        return 0 if summary.holds else 1
    chain, events = kept(given.replay) if given.replay else plan(given.seed, size, given.lane)
    if given.minimise:
        failure = simulate(chain, events).failure
        if failure is None:
            print("it does not fail")
            return 0
        events = minimise(chain, events)
        print(f"kept as {keep(given.name or f'seed-{given.seed}', chain, events, failure)}")
    with on(given.storage) as databases_:
        outcome = simulate(chain, events, tell=True, databases=databases_)
    print(outcome.failure or f"it holds; trace {outcome.trace}")
    return 1 if outcome.failure else 0


if __name__ == "__main__":
    sys.exit(main())
