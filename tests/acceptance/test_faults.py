"""A short run on each engine of real processes over a bad network, on bad disks, killed again and again."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.faults.end import ROOT, environment


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_nothing_acknowledged_is_lost_or_doubled_and_all_come_to_rest(engine: str) -> None:
    command = [sys.executable, "tests/faults/run.py", "--engine", engine, "--seed", "11"]
    done = subprocess.run(
        [*command, "--seconds", "4", "--tablets", "3"],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    report = json.loads(done.stdout.splitlines()[0])
    assert report["failure"] is None, report
    assert done.returncode == 0
    assert report["acknowledged"]
    assert sum(report["faults"].values())
    assert (report["lost"], report["doubled"]) == ([], [])
