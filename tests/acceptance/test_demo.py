"""`make demo`: it ends by itself with 0 when everything is equal, in both languages."""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.chain import new_chain

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--customers", "250", "--interactions", "400")
ENOUGH_S = 120


def demo(tmp_path: Path, *options: str) -> subprocess.Popen[str]:
    """The demo on a small sample; its folders go into `tmp_path`."""
    return subprocess.Popen(
        [sys.executable, "examples/demo.py", *SMALL, *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONIOENCODING": "utf-8", "COLUMNS": "200"},
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("lang", "done", "rule"), [("en", "Done", "verified: "), ("zh", "完成", "verified：")]
)
def test_demo_ends_with_tablets_and_server_equal(tmp_path, lang, done, rule):
    process = demo(tmp_path, "--once", "--lang", lang)
    shown, _ = process.communicate(timeout=ENOUGH_S)
    assert process.returncode == 0, shown
    assert done in shown
    assert "✗" not in shown
    assert shown.count("✓") == 9
    assert rule in shown
    assert "+8613800138000" in shown
    assert "(enum_unknown)" in shown
    assert list(tmp_path.iterdir()) == []


def test_demo_stays_up_until_ctrl_c_and_leaves_nothing(tmp_path):
    process = demo(tmp_path, "--lang", "en")
    assert process.stdout is not None
    shown = []
    for line in process.stdout:
        shown.append(line)
        if "Ctrl-C" in line:
            break
    os.killpg(process.pid, signal.SIGINT)
    shown += process.stdout.readlines()
    process.stdout.close()
    assert process.wait(ENOUGH_S) == 0, "".join(shown)
    assert any("Login    admin / " in line for line in shown)
    assert list(tmp_path.iterdir()) == []


async def test_demo_notices_a_tablet_that_differs_in_one_byte(tmp_path):
    script = runpy.run_path(str(ROOT / "examples" / "demo.py"), run_name="regulars_demo")
    show = script["Show"]("en", Console(file=io.StringIO()), 0.0)
    async with new_chain(tmp_path) as chain:
        one, two = [await chain.tablet(name, "Nanjing Road") for name in ("one", "two")]
        await one.customers.create(name="林芳")
        for shop in (one, two, one):
            assert (await shop.sync()).equal
        assert await script["equal"](show, tmp_path, [one, two]) is True
        with contextlib.closing(sqlite3.connect(tmp_path / "two.db")) as connection, connection:
            harm = "UPDATE row SET document = CAST(replace(document, '林芳', '林方') AS BLOB)"
            assert connection.execute(harm).rowcount > 0
        assert await script["equal"](show, tmp_path, [one, two]) is False
