"""Some seeds of the simulator, and every chain that once failed."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation import run
from tests.simulation.plan import Size, plan
from tests.simulation.run import REGRESSIONS, Summary, kept, line_of, minimise, next_seed, simulate
from tests.simulation.world import World
from tests.support.postgres import Databases

SEEDS = [*((seed, "L1") for seed in range(1, 21)), *((seed, "L2") for seed in range(1, 3))]


@pytest.mark.parametrize(("seed", "lane"), SEEDS)
def test_a_chain_comes_to_rest_and_agrees(seed: int, lane: str) -> None:
    outcome = simulate(*plan(seed, Size(), lane))
    assert outcome.failure is None, f"{outcome.failure}\nreplay: make sim SEED={seed} ARGS='--lane {lane}'"


def test_a_chain_on_postgres_comes_to_rest_and_agrees(postgres: Databases) -> None:
    outcome = simulate(*plan(1, Size(days=2), "L2"), databases=postgres)
    replay = "replay: make sim SEED=1 ARGS='--lane L2 --storage postgres --days 2'"
    assert outcome.failure is None, f"{outcome.failure}\n{replay}"


@pytest.mark.parametrize("path", sorted(REGRESSIONS.glob("*.json")), ids=lambda path: path.stem)
def test_what_once_failed_holds(path: Path) -> None:
    outcome = simulate(*kept(path))
    assert outcome.failure is None, f"{outcome.failure}\nreplay: tests/simulation/run.py --replay {path}"


@pytest.mark.parametrize(("seed", "lane"), [(4, "L1"), (7, "L2")])
def test_the_same_seed_runs_the_same_way_however_sets_are_hashed(seed: int, lane: str) -> None:
    said = {
        subprocess.run(
            [sys.executable, run.__file__, "--seed", str(seed), "--lane", lane],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": hashing},
            capture_output=True,
            check=True,
        ).stdout
        for hashing in ("1", "2")
    }
    assert len(said) == 1
    assert b"it holds; trace" in said.pop()


def test_a_chain_leaves_the_log_of_others_alone() -> None:
    level = logging.getLogger("regulars").level
    simulate(*plan(7, Size(), "L2"))
    assert logging.getLogger("regulars").level == level


def test_a_long_run_goes_on_where_the_last_one_ended() -> None:
    summary = Summary("L2", range(41, 61), done=21, device_days=240, cpu_s=30.0, failed={45: "a law"})
    line = line_of(summary, "abc1234")
    assert line.startswith("| L2 | 41-60 | abc1234 | 240 | 480 | 45 | 0 | request lost, ")
    assert next_seed(f"| L1 | 1-1000 |\n{line}\n", "L2") == 61
    assert next_seed("", "L1") == 1
    assert not summary.holds


@pytest.mark.parametrize("lane", ["L1", "L2"])
def test_a_failure_is_cut_down_to_few_events(lane: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def examine(world: World) -> None:
        visits = world.log("SELECT count(*) FROM interaction WHERE document IS NOT NULL")
        world.check(visits == [(0,)], "nobody ever comes", visits)

    monkeypatch.setattr(run, "examine", examine)
    chain, events = plan(3, Size(days=1, writes=6, rounds=2), lane)
    assert (simulate(chain, events).law, len(events) > 20) == ("nobody ever comes", True)
    fewer = minimise(chain, events)
    assert len(fewer) <= 6
    assert simulate(chain, fewer).law == "nobody ever comes"
