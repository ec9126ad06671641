"""What README.md says can be done."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from regulars import Shop
from regulars_server.cli import create_cli
from tests.support.chain import new_chain

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
CODE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


async def test_python_of_the_readme_runs_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = (code for lang, code in CODE.findall(README) if lang == "python")
    async with new_chain(tmp_path) as chain:
        code = await chain.service.access.new_pairing_code(chain.units["Nanjing Road"], "one")
        await chain.tablet("one", "Nanjing Road", paired=False)
        open_as_written = Shop.open

        def open_here(path: str) -> Any:
            return open_as_written(tmp_path / path, transport=lambda url: chain.transports["one"])

        monkeypatch.setattr(Shop, "open", open_here)
        block = block.replace("7K4M-2Q9D", code)
        compiled = compile(block, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = eval(compiled, {})
        assert inspect.isawaitable(running)
        await running
    assert "SyncReport(pushed=2, " in capsys.readouterr().out


def test_commands_and_links_of_the_readme_exist():
    shell = "\n".join(code for lang, code in CODE.findall(README) if lang == "sh")
    targets = re.findall(r"^make (\w+)", shell, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert targets == ["demo", "test"]
    assert all(f"\n{target}: " in makefile for target in targets)
    operations = (ROOT / "docs" / "OPERATIONS.md").read_text("utf-8")
    commands = set(re.findall(r"`regulars (\w+)", README + operations))
    assert {"serve", "device", "doctor"} <= commands
    assert commands <= get_command(create_cli()).commands.keys()  # type: ignore[attr-defined]
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / link).exists(), link
