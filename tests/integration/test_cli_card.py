"""`regulars card`: the card of a customer, or the empty form, as files to print."""

from __future__ import annotations

import io
from pathlib import Path

import orjson
import pypdf
import pytest

from tests.support.commands import Commands


@pytest.fixture
def regulars(tmp_path: Path) -> Commands:
    commands = Commands(tmp_path / "chain")
    chain = ["--name", "Songhe", "--external-id", "sample:U-01", "--password-stdin"]
    assert commands("init", *chain, stdin="correct horse").code == 0
    commands("sample", str(tmp_path / "csv"), "--customers", "3", "--interactions", "6")
    assert commands("import", str(tmp_path / "csv"), "--source", "sample").code == 0
    return commands


def test_a_card_and_a_form_become_files(regulars: Commands, tmp_path: Path):
    query, rows = tmp_path / "q.graphql", tmp_path / "rows.jsonl"
    query.write_text("{ customers { nodes { id name } } }")
    regulars.asked("export", str(query), str(rows))
    one = orjson.loads(rows.read_bytes().splitlines()[0])
    regulars.lang = "zh"
    pdf, html, form = tmp_path / "card.pdf", tmp_path / "card.html", tmp_path / "form.html"
    said = regulars.asked("card", one["id"], "--pdf", str(pdf), "--html", str(html))
    assert said["files"] == {str(file): file.stat().st_size for file in (html, pdf)}
    assert one["name"] in html.read_text("utf-8")
    assert "客户档案卡" in pypdf.PdfReader(io.BytesIO(pdf.read_bytes())).pages[0].extract_text()
    regulars.asked("card", "blank", "--kind", "organization", "--html", str(form))
    assert "客户资料表" in form.read_text("utf-8")
    assert regulars.problem("card", one["id"], "--pdf", str(pdf))["code"] == "file_exists"


def test_what_can_not_be_printed_leaves_no_file(regulars: Commands, tmp_path: Path):
    out = tmp_path / "out.html"
    for id, more, code in (
        ("x", [], "not_found"),
        ("0199c0de-0000-7000-8000-000000000000", [], "not_found"),
        ("blank", ["--kind", "shop"], "enum_unknown"),
    ):
        assert regulars.problem("card", id, "--html", str(out), *more)["code"] == code
    assert not out.exists()
    assert regulars.problem("card", "blank")["code"] == "argument_invalid"
