"""A short run of real processes over a bad network, killed again and again."""

from __future__ import annotations

from pathlib import Path

from tests.faults.run import run


async def test_nothing_acknowledged_is_lost_or_doubled_and_nobody_is_stuck(tmp_path: Path) -> None:
    found = await run(tmp_path, seconds=6, tablets=3, seed=11)
    assert found["acknowledged"]
    assert found["server kills"]
    assert (found["lost"], found["doubled"], found["stuck"], found["unlike"]) == ([], [], [], [])
