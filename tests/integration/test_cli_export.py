"""`regulars export`: the file of `exportStart`, for whoever holds the chain's files."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from pyarrow import parquet

from tests.support.commands import Commands

QUERY = """query ($name: String) {
    customers(orderBy: NAME_ASC, where: { name: { eq: $name } }) { nodes { name belief visits: interactions { nodes { kind at } } } }
}"""  # noqa: E501
PARTS = ["--customers", "30", "--interactions", "60"]


@pytest.fixture
def regulars(tmp_path: Path) -> Commands:
    commands = Commands(tmp_path / "chain")
    chain = ["--name", "Songhe", "--external-id", "sample:U-01", "--password-stdin"]
    assert commands("init", *chain, stdin="correct horse").code == 0
    commands("sample", str(tmp_path / "csv"), *PARTS)
    assert commands("import", str(tmp_path / "csv"), "--source", "sample").code == 0
    return commands


def test_a_list_becomes_a_file_of_either_kind(regulars: Commands, tmp_path: Path):
    document = tmp_path / "visits.graphql"
    document.write_text(
        "{ customers(orderBy: NAME_ASC) { nodes { name visits: interactions { nodes { at } } } } }"
    )
    said = regulars.asked("export", str(document), str(tmp_path / "visits.jsonl"))
    lines = [orjson.loads(line) for line in (tmp_path / "visits.jsonl").read_bytes().splitlines()]
    assert said["rows"] == len(lines) > 60
    assert said["bytes"] == (tmp_path / "visits.jsonl").stat().st_size
    regulars.asked("export", str(document), str(tmp_path / "visits.parquet"))
    table = parquet.read_table(tmp_path / "visits.parquet")
    assert table.column("name").to_pylist() == [line.get("name") for line in lines]
    assert table.column("__parentId").to_pylist() == [line.get("__parentId") for line in lines]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "chain", "csv", "visits.graphql", "visits.jsonl", "visits.parquet",
    ]  # fmt: skip


def test_what_can_not_be_exported_leaves_no_file(regulars: Commands, tmp_path: Path):
    document, out = tmp_path / "q.graphql", tmp_path / "out.jsonl"
    document.write_text(QUERY)
    one = ["--variables", '{"name": "nobody"}']
    assert regulars.asked("export", str(document), str(out), *one)["rows"] == 0
    assert regulars.problem("export", str(document), str(out))["code"] == "file_exists"
    out.unlink()
    assert regulars.problem("export", str(document), str(tmp_path / "out.csv"))["code"] == "argument_invalid"
    assert (
        regulars.problem("export", str(document), str(out), "--variables", "{")["code"] == "argument_invalid"
    )
    assert regulars.problem("export", str(document), str(out), "--variables", "[]")["code"] == "value_type"
    document.write_text("{ me { name } }")
    assert regulars.problem("export", str(document), str(out))["code"] == "export_query"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chain", "csv", "q.graphql"]
