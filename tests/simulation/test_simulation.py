"""Some seeds of the simulator, and every chain that once failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.plan import Size, plan
from tests.simulation.run import REGRESSIONS, kept, simulate

SEEDS = range(1, 41)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_chain_comes_to_rest_and_agrees(seed: int) -> None:
    outcome = simulate(*plan(seed, Size()))
    assert outcome.failure is None, f"{outcome.failure}\nreplay: make sim SEED={seed}"


@pytest.mark.parametrize("path", sorted(REGRESSIONS.glob("*.json")), ids=lambda path: path.stem)
def test_what_once_failed_holds(path: Path) -> None:
    outcome = simulate(*kept(path))
    assert outcome.failure is None, f"{outcome.failure}\nreplay: tests/simulation/run.py --replay {path}"


def test_the_same_seed_runs_the_same_way() -> None:
    traces = {simulate(*plan(7, Size())).trace for _ in range(2)}
    assert len(traces) == 1
