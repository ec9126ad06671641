"""What schema/generate.py writes is committed and current, and the SDL keeps the rules of schemas."""

import subprocess
import sys
from pathlib import Path

from graphql import build_schema

from tests.support.schema_rules import found

ROOT = Path(__file__).resolve().parents[2]


def test_generated_code_is_current():
    done = subprocess.run(
        [sys.executable, "schema/generate.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_sdl_keeps_every_rule():
    assert found(build_schema((ROOT / "schema" / "schema.graphql").read_text("utf-8"))) == []
