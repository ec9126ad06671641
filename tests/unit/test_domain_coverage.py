"""The table of what carries each row of the source documents: whole, and true of the code."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from graphql import GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType, build_schema

from regulars_schema.entities import REGISTRY
from regulars_schema.rules.metrics import METRICS
from regulars_schema.schemes import load

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "DOMAIN_COVERAGE.md"
ROWS = [f"S{i}" for i in (*range(1, 79), *range(95, 102), 107, 113, *range(119, 130))]
SHIPPED = load()
SDK = ROOT / "client_sdk" / "regulars"


def cells() -> Iterator[list[str]]:
    for line in PAGE.read_text("utf-8").splitlines():
        if re.match(r"\| S\d+ \|", line):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def graph():
    return build_schema((ROOT / "schema" / "schema.graphql").read_text("utf-8"))


@cache
def classes() -> dict[str, ast.ClassDef]:
    found = (node for path in SDK.glob("*.py") if path.name != "blocking.py" for node in parsed(path).body)
    return {node.name: node for node in found if isinstance(node, ast.ClassDef)}


def methods(name: str) -> set[str]:
    """Of a class of the SDK and of those it is made of."""
    of = classes().get(name)
    if of is None:
        return set()
    own = {node.name for node in of.body if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)}
    return own.union(*(methods(base.id) for base in of.bases if isinstance(base, ast.Name)))


def is_proof(name: str) -> bool:
    """Whether there is a test `file::name`, with the case in brackets if there is one."""
    found = re.fullmatch(r"(tests/\S+\.py)::(test_\w+)(?:\[(\w+)\])?", name)
    if found is None or not (ROOT / found[1]).is_file():
        return False
    module = parsed(ROOT / found[1])
    made = {node.name for node in module.body if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)}
    texts = {node.value for node in ast.walk(module) if isinstance(node, ast.Constant)}
    return found[2] in made and (found[3] is None or found[3] in texts)


def is_there(name: str) -> bool:
    """Whether what is said to carry a row is there."""
    kind, _, key = name.partition(":")
    owner, _, part = name.partition(".")
    if kind == "scheme":
        scheme, _, value = key.partition("=")
        of = SHIPPED.schemes.get(scheme)
        return of is not None and (not value or value in {one.key for one in of.values})
    if kind == "template":
        return key in SHIPPED.templates
    if kind == "metric":
        return key in METRICS
    if owner == "shop":
        house, _, method = part.rpartition(".")
        return method in methods(house.capitalize() or "Shop")
    if owner in REGISTRY.by_name:
        return part in {field.name for field in REGISTRY.get(owner).fields}
    declared = graph().type_map.get(owner)
    if not part:
        return declared is not None
    is_object = isinstance(declared, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType)
    return is_object and part in declared.fields


def test_every_row_is_in_the_table_once_and_in_order():
    assert [row for row, *_ in cells()] == ROWS


def test_every_row_says_what_it_asks_by_its_term_and_in_english():
    for row, what, *rest in cells():
        assert re.search(r"[\u4e00-\u9fff]|FORD|RFM", what), row
        assert len(rest) == 3, row


@pytest.mark.parametrize(
    ("row", "carried", "proved"), [pytest.param(r, c, p, id=r) for r, _, c, p, *_ in cells()]
)
def test_a_row_is_carried_by_what_is_there_and_proved_by_a_test(row: str, carried: str, proved: str):
    assert quoted(carried), row
    assert [name for name in quoted(carried) if not is_there(name)] == []
    assert quoted(proved), row
    assert [name for name in quoted(proved) if not is_proof(name)] == []


@pytest.mark.parametrize(
    "name",
    [
        "scheme:tier=gone", "scheme:gone", "template:gone", "metric:gone", "customer.gone", "Customer.gone",
        "Gone", "Mutation.gone", "shop.customers.gone", "shop.gone", "shop.gone.find",
    ],
)  # fmt: skip
def test_a_name_that_is_gone_is_found(name: str):
    assert not is_there(name)


@pytest.mark.parametrize(
    "name",
    [
        "tests/unit/test_gone.py::test_a", "tests/unit/test_schemes.py::test_gone", "a test",
        "tests/integration/test_domain_rows.py::test_a_row_holds_of_its_customer_and_of_no_stranger_at_head_office_and_offline[S999]",
    ],
)  # fmt: skip
def test_a_proof_that_is_gone_is_found(name: str):
    assert not is_proof(name)
