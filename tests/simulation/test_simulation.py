"""Some seeds of the simulator, and every chain that once failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.plan import Size, plan
from tests.simulation.run import REGRESSIONS, kept, simulate

SEEDS = [*((seed, "L1") for seed in range(1, 31)), *((seed, "L2") for seed in range(1, 6))]


@pytest.mark.parametrize(("seed", "lane"), SEEDS)
def test_a_chain_comes_to_rest_and_agrees(seed: int, lane: str) -> None:
    outcome = simulate(*plan(seed, Size(), lane))
    assert outcome.failure is None, f"{outcome.failure}\nreplay: make sim SEED={seed} ARGS='--lane {lane}'"


@pytest.mark.parametrize("path", sorted(REGRESSIONS.glob("*.json")), ids=lambda path: path.stem)
def test_what_once_failed_holds(path: Path) -> None:
    outcome = simulate(*kept(path))
    assert outcome.failure is None, f"{outcome.failure}\nreplay: tests/simulation/run.py --replay {path}"


@pytest.mark.parametrize("lane", ["L1", "L2"])
def test_the_same_seed_runs_the_same_way(lane: str) -> None:
    traces = {simulate(*plan(7, Size(), lane)).trace for _ in range(2)}
    assert len(traces) == 1
