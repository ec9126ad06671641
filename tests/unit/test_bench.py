"""The benchmark runs: a figure that can't be taken any more would only be noticed when it is wanted."""

import os
import subprocess
import sys
from pathlib import Path

from bench.figures import SECTIONS

ROOT = Path(__file__).resolve().parents[2]


def test_bench_quick_measures_every_figure(tmp_path):
    out = tmp_path / "RESULTS.md"
    ran = subprocess.run(
        [sys.executable, "bench/run.py", "--quick", "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    page = out.read_text("utf-8")
    for section in SECTIONS:
        assert f"## {section.title}" in page
    for figure in (
        "push of 600",
        "push of 40 updates",
        "catch-up of 20 rows",
        "5 clients x 20",
        "upsert",
        "coding zstd",
    ):
        assert figure in page, f"{figure} is missing:\n{page}"
