"""The benchmark runs: a figure that can't be taken any more would only be noticed when it is wanted."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from bench.figures import SECTIONS
from bench.growth import FIGURES

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_bench_quick_measures_every_figure(tmp_path):
    out = tmp_path / "RESULTS.md"
    ran = run("bench/run.py", "--quick", "--out", str(out))
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


def test_growth_is_measured_on_both_engines_and_drawn(tmp_path):
    places = [argument for name in ("out", "kept") for argument in (f"--{name}", str(tmp_path))]
    sizes = ["--rows", "200", "--rows", "400", "--repetitions", "1", "--facts", "20"]
    ran = run("-m", "bench.growth", *sizes, *places)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    page = (tmp_path / "GROWTH.md").read_text("utf-8")
    for title in FIGURES.values():
        assert page.count(f"| {title} | SQLite |") == page.count(f"| {title} | PostgreSQL |") == 2
    drawn = ElementTree.parse(tmp_path / "growth.svg")
    lines = drawn.findall(".//{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 2 * len(FIGURES)


def test_what_rules_cost_is_measured_beside_a_floor():
    ran = run("-m", "bench.rules", "--facts", "20", "--customers", "2", "--repetitions", "1")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for figure in ("floor", "30 schemes", "segments", "both"):
        assert figure in ran.stdout


def test_what_an_interaction_moves_is_timed_beside_its_commit():
    ran = run("-m", "bench.standing", "--customers", "3", "--facts", "2", "--interactions", "3")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for figure in ("floor: its commit", "its membership events"):
        assert figure in ran.stdout


def test_what_metrics_add_to_a_push_is_measured_beside_a_server_that_keeps_none(tmp_path):
    sizes = ["--customers", "5", "--interactions", "20", "--repetitions", "1"]
    ran = run("-m", "bench.metrics", *sizes, "--out", str(tmp_path / "METRICS.md"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    page = (tmp_path / "METRICS.md").read_text("utf-8")
    for figure in ("floor: nobody looks", "facts counted and laid out", "and all schemes evaluated"):
        assert figure in page


def test_peers_say_what_they_need(tmp_path):
    ran = run("-m", "bench.peers", PATH=str(tmp_path))
    assert ran.returncode == 1
    assert "needs node and npm; not found: node, npm" in ran.stderr
