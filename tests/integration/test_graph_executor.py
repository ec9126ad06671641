"""The compiled executor answers as graphql-core's own does, data and errors, for any query and any values."""

from __future__ import annotations

import asyncio
import enum
import math
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from inspect import isawaitable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import strawberry
from graphql import GraphQLSchema, execute, parse, print_schema, validate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import nodes, queries
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from regulars_server.graph.compiling import Compiled
from regulars_server.graph.executor import CompiledExecutor
from regulars_server.graph.request import Context
from regulars_server.graph.rows import Value
from regulars_server.graph.schema import build_schema
from regulars_server.graph.types import Unit
from tests.support.chain import new_chain
from tests.support.graph import caller

EXAMPLES = int(os.environ.get("REGULARS_TEST_QUERIES", "250"))
SCHEMA = build_schema()._schema
IDS: list[str] = []
TEXT = st.sampled_from(["a", "C1", "林", "138", ""]).map(nodes.String)
SCALARS = {
    "UUID": st.deferred(lambda: st.sampled_from(IDS or ["01a20038-0101-7724-a4c3-597164c48aff"])).map(
        nodes.String
    ),
    "DateTime": st.sampled_from(["2026-01-01T00:00:00Z", "2030-11-22T10:00:00+08:00"]).map(nodes.String),
    "Date": st.sampled_from(["2026-01-01", "1999-12-31"]).map(nodes.String),
    "Money": st.integers(-5, 2**52).map(nodes.Int),
    "JSON": TEXT,
}


def told(result: Any) -> tuple[Any, list[Any]]:
    """Data, and what can be seen of the errors, in an order that does not hang on who came first."""
    errors = [(e.message, e.path, [tuple(at) for at in e.locations or ()]) for e in result.errors or ()]
    return result.data, sorted(errors, key=repr)


async def answer(schema: GraphQLSchema, query: str, kind: type[Any], **more: Any) -> tuple[Any, list[Any]]:
    result = execute(schema, parse(query), executor_class=kind, **more)
    return told(await result if isawaitable(result) else result)


# --- the product's own schema -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A filled chain, and its head office's principal; `run` asks it with either executor."""
    loop = asyncio.new_event_loop()
    stack = AsyncExitStack()

    async def fill() -> Any:
        chain = await stack.enter_async_context(new_chain(Path(tmp_path_factory.mktemp("chain"))))
        admin = await caller(chain, "admin", sensitive=True)
        for i in range(6):
            customer = await admin.customer(
                f"C{i}", tags=["a", "b"], phones=["138 0013 8000"], homeUnitId=chain.units["Orchard"]
            )
            IDS.extend([customer, await admin.visit(customer, note="é", unitId=chain.units["Orchard"])])
        IDS.extend(chain.units.values())
        principal = await chain.service.access.principal(admin.token)
        return chain.service, principal, await chain.service.author(principal)

    service, principal, author = loop.run_until_complete(fill())

    def run(query: str, kind: type[Any]) -> tuple[Any, list[Any]]:
        async def once() -> tuple[Any, list[Any]]:
            context = Context(service, principal, author, "en")
            try:
                return await answer(SCHEMA, query, kind, context_value=context)
            finally:
                await context.close()

        return loop.run_until_complete(once())

    yield run
    loop.run_until_complete(stack.aclose())
    loop.close()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(query=queries(print_schema(SCHEMA), custom_scalars=SCALARS, allow_null=True))
def test_every_query_is_answered_alike(office: Any, query: str):
    if validate(SCHEMA, parse(query)):
        return
    assert office(query, CompiledExecutor) == office(query, StrawberryGraphQLCoreExecutionContext), query


def test_plain_rows_take_the_short_way(office: Any, monkeypatch: pytest.MonkeyPatch):
    """Were everything sent the long way, all of this would pass and be as slow as before."""
    asked: list[str] = []
    original = CompiledExecutor.execute_field

    def counted(self: Any, parent: Any, *rest: Any) -> Any:
        asked.append(parent.name)
        return original(self, parent, *rest)

    monkeypatch.setattr(CompiledExecutor, "execute_field", counted)
    query = """{ customers(first: 5) { nodes { __typename id name kind homeUnitId phones { key typed }
        tags { key }
        birth { month } archived version homeUnit { name kind } } } }"""
    data, errors = office(query, CompiledExecutor)
    assert not errors
    assert len(data["customers"]["nodes"]) == 5
    assert asked == ["Query"]


def test_a_reference_to_a_broken_row_fails_alike(office: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(CompiledExecutor, "compiled", Compiled())
    monkeypatch.setattr(Unit, "READS", {**Unit.READS, "name": Value("gone", is_required=True)})
    query = "{ customers(first: 4) { nodes { name homeUnit { id name parent { kind } } } } }"
    short, long = office(query, CompiledExecutor), office(query, StrawberryGraphQLCoreExecutionContext)
    assert short == long
    assert len(short[1]) == 4


# --- whatever a resolver may give --------------------------------------------------------------------------


@strawberry.enum
class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@strawberry.interface
class Named:
    name: str


@strawberry.type
class Leaf(Named):
    size: int | None = None
    weight: float | None = None
    is_big: bool | None = None
    colour: Colour | None = None
    id: strawberry.ID | None = None


@strawberry.type
class Other(Named):
    other: str | None = None


@strawberry.type
class Odd(Leaf):
    """A class that stands where its base is declared."""


@strawberry.type
class Tree(Named):
    leaf: Leaf | None = None
    sure: Leaf
    leaves: list[Leaf] | None = None
    grid: list[list[int | None]] | None = None
    either: Leaf | Other | None = None
    several: list[Leaf | Other] | None = None
    named: Named | None = None

    @strawberry.field
    def asked(self, times: int = 1) -> str:
        return self.name * times

    @strawberry.field
    async def awaited(self) -> Leaf | None:
        return self.leaf

    @strawberry.field
    def broken(self) -> str | None:
        raise ValueError("broken")


@strawberry.type
class Root:
    trees: ClassVar[Any]
    tree: Tree | None = None
    many: list[Tree | None] | None = None


WEIRD = strawberry.Schema(query=Root, types=[Odd])._schema
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(
        [0, 1, -(2**31), 2**31, 2**63, 1.0, 2.5, math.nan, math.inf, "", "x", "red", "BLUE", b"x"]
    ),
    st.sampled_from([Colour.RED, Colour.BLUE, ValueError("a value that is an error"), [], [1], {}, object]),
)
LEAVES = st.builds(
    lambda kind, **given: kind(**given),
    st.sampled_from([Leaf, Leaf, Leaf, Odd]),
    name=st.one_of(st.just("n"), VALUES), size=VALUES, weight=VALUES, is_big=VALUES, colour=VALUES, id=VALUES,
)  # fmt: skip
OTHERS = st.builds(Other, name=st.just("o"), other=VALUES)
ITEMS = st.one_of(LEAVES, OTHERS, VALUES)
TREES = st.builds(
    Tree,
    name=st.one_of(st.just("t"), VALUES), leaf=ITEMS, sure=st.one_of(LEAVES, ITEMS),
    leaves=st.one_of(st.lists(LEAVES, max_size=3), st.lists(ITEMS, max_size=3), st.tuples(LEAVES), VALUES),
    grid=st.one_of(st.lists(st.lists(st.one_of(st.integers(0, 9), VALUES), max_size=2), max_size=2), VALUES),
    either=ITEMS, several=st.one_of(st.lists(ITEMS, max_size=3), VALUES), named=ITEMS,
)  # fmt: skip


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(tree=st.one_of(TREES, VALUES), many=st.lists(st.one_of(TREES, VALUES), max_size=3), data=st.data())
def test_whatever_is_there_is_answered_alike(tree: Any, many: list[Any], data: st.DataObject):
    query = data.draw(queries(print_schema(WEIRD), allow_null=False))
    root = Root(tree=tree, many=many)

    async def both() -> tuple[Any, Any]:
        return (
            await answer(WEIRD, query, CompiledExecutor, root_value=root),
            await answer(WEIRD, query, StrawberryGraphQLCoreExecutionContext, root_value=root),
        )

    short, long = asyncio.run(both())
    assert repr(short) == repr(long), query  # by their texts: nan is not itself


def test_compiled_functions_are_bounded(monkeypatch: pytest.MonkeyPatch):
    compiled = Compiled(fields_max=6)
    monkeypatch.setattr(CompiledExecutor, "compiled", compiled)
    root = Root(tree=Tree(name="t", sure=Leaf(name="l")))
    for alias in ("a", "b", "c", "d", "e"):
        query = f"{{ tree {{ {alias}: name more: name }} }}"
        found, _ = asyncio.run(answer(WEIRD, query, CompiledExecutor, root_value=root))
        assert found == {"tree": {alias: "t", "more": "t"}}
    assert len(compiled) == 3
