# ruff: noqa: E501 (queries)
"""Exports as Parquet: read by pyarrow they are, row for row, what the JSON lines of the same query are."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow
import pytest
from graphql import GraphQLObjectType, get_named_type, is_leaf_type, is_required_argument
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from regulars_server.app import working_of
from regulars_server.graph import columns, exporting
from regulars_server.graph.operations import Operations
from regulars_server.graph.scalars import instant
from regulars_server.graph.schema import build_schema
from regulars_server.graph.shapes import ENUM, Shape
from regulars_server.works import DEAD_MS, WorkRow
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, Tablet, caller

ABOUT = "__typename ... on ExportSaved { export { id state format } } ... on Error { code message }"
START = f"mutation ($k: String!, $q: String!, $v: JSON, $f: ExportFormat!) {{ done: exportStart(idempotencyKey: $k, input: {{ query: $q, variables: $v, format: $f }}) {{ {ABOUT} }} }}"
STATE = "query ($id: UUID!) { export(id: $id) { state rows bytes error { code } } }"
WIDE = """query ($tags: Boolean = true) { customers(orderBy: ID_ASC) { nodes {
    id name gender birth { year month day } tags @include(if: $tags) consentAskedAt tradingSince contactBy homeUnit { id name kind }
    card(lang: ZH) { sections { key label fields { name value text verified } } }
    visits: interactions { nodes { id at kind unit { name } lines { quantity amount currency } party { role customer { id } } } }
    timeline { nodes { __typename at ... on InteractionRecorded { interaction { kind } } ... on CardChanged { registered fields { path value } } } }
} } }"""


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path, query_cost_max=10**9, developer_cost_max=0, query_depth_max=20) as made:
        yield made


@pytest.fixture
async def office(chain: Chain) -> Graph:
    return await caller(chain, "admin", sensitive=True)


async def peopled(chain: Chain, office: Graph) -> None:
    """Some of much: cards with and without values, visits, tablets, what is held."""
    till = await Tablet(chain, office).pair("Nanjing Road")
    lin = await office.customer(
        "林芳", homeUnitId=chain.units["Orchard"], gender="FEMALE", tags=["vip", "oak"],
        consentAskedAt="2026-11-20T10:00:00.007Z", tradingSince="1999-12-31", contactBy=["WECHAT"],
    )  # fmt: skip
    await office.customer("王明", birth={"year": 1988, "month": 3, "day": 12})
    line = {"name": "sofa", "quantity": 2, "amount": 9_007_199_254_740_991, "currency": "CNY"}
    for n in range(5):
        await office.visit(
            lin, at=f"2026-11-1{n}T10:00:00.12{n}Z", unitId=chain.units["Orchard"], lines=[line]
        )
    await till.push(till.change({"name": " "}, f"{1:032x}"), till.change({"name": "Zhao"}, f"{2:032x}"))


async def asked(who: Graph, query: str, format: str, key: str, **variables: Any) -> dict[str, Any]:
    done: dict[str, Any] = (await who.ask(START, k=key, q=query, v=variables, f=format))["done"]
    return done


async def started(who: Graph, query: str, format: str, **variables: Any) -> str:
    done = await asked(who, query, format, who.key(), **variables)
    assert done["__typename"] == "ExportSaved", (done, query)
    assert done["export"]["format"] == format
    return str(done["export"]["id"])


async def fetched(who: Graph, id: str) -> bytes:
    answer = await who.http.get(f"/works/{id}", headers={"authorization": f"Bearer {who.token}"})
    assert answer.status_code == 200, answer.text
    return answer.content


async def exported(chain: Chain, who: Graph, query: str, format: str, **variables: Any) -> tuple[int, bytes]:
    """How many rows it says it has, and the file."""
    id = await started(who, query, format, **variables)
    assert await working_of(Operations(chain.service)).once()
    state = (await who.ask(STATE, id=id))["export"]
    assert state["state"] == "COMPLETED", (state, query)
    content = await fetched(who, id)
    assert int(state["bytes"]) == len(content)
    return state["rows"], content


def read(content: bytes) -> Any:
    return parquet.read_table(io.BytesIO(content))


def is_same(found: Any, told: Any) -> bool:
    """Whether what pyarrow read is what JSON tells; a field that is not told is null."""
    match found:
        case None:
            return told is None
        case dict():
            return isinstance(told, dict) and told.keys() <= found.keys() and all(
                is_same(value, told.get(name)) for name, value in found.items()
            )  # fmt: skip
        case list():
            return isinstance(told, list) and all(map(is_same, found, told)) and len(found) == len(told)
        case datetime():
            return bool(instant(found) == told)
        case date():
            return bool(found.isoformat() == told)
        case str():
            return found == told or bool(orjson.loads(found) == told)
        case _:
            return type(found) is type(told) and bool(found == told)


async def compared(chain: Chain, who: Graph, query: str, **variables: Any) -> Any:
    """The table of a query whose two formats say the same."""
    count, lines = await exported(chain, who, query, "JSONL", **variables)
    rows, content = await exported(chain, who, query, "PARQUET", **variables)
    table, told = read(content), [orjson.loads(line) for line in lines.splitlines()]
    assert rows == count == len(told) == table.num_rows
    for found, line in zip(table.to_pylist(), told, strict=True):
        assert is_same(found, line), (found, line)
    return table


async def test_a_file_of_columns_says_what_the_lines_say(
    chain: Chain, office: Graph, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exporting, "BELOW_ROWS", 4)
    monkeypatch.setattr(exporting, "PAGE_ROWS", 2)
    await peopled(chain, office)
    table = await compared(chain, office, WIDE)
    types = {field.name: str(field.type) for field in table.schema}
    assert set(types) >= {"id", "birth", "card", "interaction", "__parentId", "__parentField", "at", "lines"}
    assert types["at"] == "timestamp[us, tz=UTC]"
    assert types["gender"] == types["kind"] == "dictionary<values=string, indices=int32, ordered=0>"
    assert types["tags"] == "list<element: string>"
    assert "amount: int64" in types["lines"]
    assert types["tradingSince"] == "date32[day]"
    assert "tags" not in (await compared(chain, office, WIDE, tags=False)).column_names


def selections() -> Iterator[tuple[str, str]]:
    """Every connection at the root that needs no argument, with all that its rows carry two levels deep."""
    schema = build_schema()._schema

    def below(type_: Any, depth: int) -> str:
        named = get_named_type(type_)
        if is_leaf_type(named):
            return " "
        if not isinstance(named, GraphQLObjectType) or depth == 0:
            return ""
        parts = ["__typename"]
        for name, field in named.fields.items():
            if not any(map(is_required_argument, field.args.values())) and "first" not in field.args:
                inner = below(field.type, depth - 1)
                if inner:
                    parts.append(name if inner == " " else f"{name} {inner}")
        return f"{{ {' '.join(parts)} }}"

    assert schema.query_type is not None
    for name, field in schema.query_type.fields.items():
        if {"first", "after"} <= field.args.keys() and not any(
            map(is_required_argument, field.args.values())
        ):
            connection = get_named_type(field.type)
            assert isinstance(connection, GraphQLObjectType)
            yield name, f"{{ {name} {{ nodes {below(connection.fields['nodes'].type, 2)} }} }}"


async def test_so_it_is_of_every_connection_of_the_schema(chain: Chain, office: Graph):
    await peopled(chain, office)
    filled = 0
    for name, query in selections():
        table = await compared(chain, office, query)
        filled += table.num_rows > 0
        assert table.num_columns > 1, name
    assert filled >= 6


async def test_no_rows_are_a_file_with_its_columns(chain: Chain, office: Graph):
    table = await compared(
        chain, office, "{ customers { nodes { id birth { year } interactions { nodes { at } } } } }"
    )
    assert (table.num_rows, table.column_names) == (0, ["id", "birth", "at", "__parentId", "__parentField"])


@pytest.mark.parametrize(
    "query",
    [
        "{ customers { nodes { at: name interactions { nodes { at } } } } }",
        "{ customers { nodes { id x: birth { year } interactions { nodes { x: lines { amount } } } } } }",
        "query ($no: Boolean = false) { customers { nodes { id birth { year @include(if: $no) } } } }",
        "query ($no: Boolean = false) { customers { nodes { id @include(if: $no) } } }",
    ],
)
async def test_what_has_no_columns_is_refused_at_once(chain: Chain, office: Graph, query: str):
    assert (await asked(office, query, "PARQUET", "k"))["code"] == "export_query"
    assert (await asked(office, query, "JSONL", "k2"))["__typename"] == "ExportSaved"


async def test_without_pyarrow_it_is_refused_by_name(
    chain: Chain, office: Graph, monkeypatch: pytest.MonkeyPatch
):
    waits = await started(office, WIDE, "PARQUET")
    monkeypatch.delitem(sys.modules, "regulars_server.graph.columns", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused = await asked(office, WIDE, "PARQUET", "k")
    assert (refused["code"], "regulars[parquet]" in refused["message"]) == ("parquet_missing", True)
    assert await working_of(Operations(chain.service)).once()
    state = (await office.ask(STATE, id=waits))["export"]
    assert (state["state"], state["error"]) == ("FAILED", {"code": "parquet_missing"})
    await exported(chain, office, "{ units { nodes { id } } }", "JSONL")


async def test_one_that_was_cut_off_is_written_anew_and_fetched_from_any_byte_on(
    chain: Chain, office: Graph, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exporting, "PAGE_ROWS", 2)
    monkeypatch.setattr(columns, "GROUP_BYTES", 1)
    for n in range(7):
        await office.customer(f"C{n}")
    query = "{ customers(orderBy: NAME_ASC) { nodes { name } } }"
    id = await started(office, query, "PARQUET")
    works = chain.service.works
    row = await works.take()
    assert isinstance(row, WorkRow)

    async def dies() -> None:
        assert works.data(id).exists()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await exporting.Exporting(Operations(chain.service), works).run(row, dies)
    chain.clock.pass_(ms=DEAD_MS + 1)
    assert await working_of(Operations(chain.service)).once()
    whole = await fetched(office, id)
    file = parquet.ParquetFile(io.BytesIO(whole))
    assert file.read().to_pydict() == {"name": [f"C{n}" for n in range(7)]}
    assert file.num_row_groups == 4
    rest = await office.http.get(
        f"/works/{id}", headers={"authorization": f"Bearer {office.token}", "range": "bytes=9-"}
    )
    assert (rest.status_code, rest.content) == (206, whole[9:])
    assert rest.headers["content-type"] == "application/vnd.apache.parquet"


def test_what_waits_to_be_written_is_bounded():
    """Some 80 MB of rows, of which never more than two row groups are held."""
    file = io.BytesIO()
    sink = columns.Columns(file, {"notes": "String"})
    before, most = pyarrow.total_allocated_bytes(), 0
    for page in range(100):
        sink.write([{"notes": f"{page} {n} " + "x" * 3_200} for n in range(250)])
        most = max(most, pyarrow.total_allocated_bytes() - before)
    sink.close()
    assert most < 2 * columns.GROUP_BYTES
    assert parquet.ParquetFile(io.BytesIO(file.getvalue())).metadata.num_rows == 25_000


LEAVES: dict[str, st.SearchStrategy[Any]] = {
    "DateTime": st.datetimes(timezones=st.just(UTC)).map(instant),
    "Date": st.dates().map(date.isoformat),
    "Int": st.integers(-(2**31), 2**31 - 1),
    "Money": st.integers(-(2**53), 2**53),
    "Float": st.floats(allow_nan=False),
    "Boolean": st.booleans(),
    "JSON": st.recursive(st.integers(0, 9) | st.booleans(), st.lists, max_leaves=3),
    ENUM: st.sampled_from(["A", "B", "C"]),
    "String": st.text(st.characters(codec="utf-8"), max_size=8),
    "UUID": st.uuids().map(str),
}
SHAPES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(sorted(LEAVES)),
    lambda of: st.tuples(of).map(list) | st.dictionaries(st.sampled_from("abc"), of, min_size=1),
    max_leaves=6,
)


def values(shape: Shape) -> st.SearchStrategy[Any]:
    if isinstance(shape, str):
        return st.none() | LEAVES[shape]
    if isinstance(shape, list):
        return st.none() | st.lists(values(shape[0]), max_size=3)
    return st.none() | st.fixed_dictionaries({}, optional={name: values(of) for name, of in shape.items()})


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_whatever_shape_rows_have_they_are_read_back(data: st.DataObject):
    shape = data.draw(st.dictionaries(st.sampled_from("pqr"), SHAPES, min_size=1))
    row = st.fixed_dictionaries({}, optional={name: values(of) for name, of in shape.items()})
    pages = data.draw(st.lists(st.lists(row, max_size=3), max_size=3))
    file = io.BytesIO()
    sink = columns.Columns(file, shape)
    for page in pages:
        sink.write(page)
    sink.close()
    told = [row for page in pages for row in page]
    found = read(file.getvalue()).to_pylist()
    assert len(found) == len(told)
    assert all(map(is_same, found, told)), (found, told)
