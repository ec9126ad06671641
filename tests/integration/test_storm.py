"""9:00 in small: far more tablets than there is room for come at once. Nothing is lost, all are served."""

from __future__ import annotations

from pathlib import Path

from bench.herd import Sizes
from bench.storm import prepared, run

TIGHT = {
    "REGULARS_PUSHES_AT_ONCE": "1",
    "REGULARS_PUSHES_WAITING_MAX": "2",
    "REGULARS_PULLS_AT_ONCE": "1",
    "REGULARS_PULLS_WAITING_MAX": "3",
}


def test_tablets_that_come_at_once_all_converge_and_head_office_is_answered(tmp_path: Path):
    sizes = Sizes(tablets=16, shops=2, per_unit=4, changes=30, rows=40, samples=16, over_s=0.2)
    folder = prepared(sizes, tmp_path)
    seen = run(folder, tmp_path / "running", sizes, TIGHT, seconds_max=60)
    assert seen.wrong == [], "every change once in the log, every tablet as the server"
    assert seen.unanswered == {}, "head office is never refused"
    assert len(seen.asked_ms) > 10
    refused = sum(count for name, count in seen.herd.statuses.items() if name.endswith("503"))
    assert refused > 0, f"there was room for all: {seen.herd.statuses}"
    assert seen.herd.statuses["push 200"] == sizes.tablets
    assert set(seen.shops.problems) <= {"busy"}
