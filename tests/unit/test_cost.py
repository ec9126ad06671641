# ruff: noqa: E501 (queries)
"""What operations cost before they run, and the buckets from which it is paid."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars_server.access.budgets import SHARE_MS, WAIT_S_MAX, Budget, MemoryBuckets, SharedBuckets
from regulars_server.access.counts import MemoryCounts
from regulars_server.graph.cost import INTROSPECTED, WEIGHTS
from regulars_server.graph.documents import Documents
from regulars_server.graph.schema import build_schema
from regulars_sync.errors import Refused

SCHEMA = build_schema()._schema
DOCUMENTS = Documents(SCHEMA, 64 * 1024, 4_000, 12)
ID = "01a20038-0101-7724-a4c3-597164c48aff"


def cost(query: str, operation: str | None = None, **variables: Any) -> int:
    return DOCUMENTS.read(query).operation(operation).price.of(variables)


def test_a_row_is_one_and_what_it_carries_is_free():
    assert cost("{ __typename }") == 0
    assert cost(f'{{ customer(id: "{ID}") {{ id name notes }} }}') == 1
    assert cost(f'{{ customer(id: "{ID}") {{ name homeUnit {{ name parent {{ name }} }} }} }}') == 3
    assert cost(f'{{ a: customer(id: "{ID}") {{ name }} b: customer(id: "{ID}") {{ name }} }}') == 2


@pytest.mark.parametrize(
    ("arguments", "variables", "rows"),
    [
        ("", {}, 50),
        ("(first: 7)", {}, 7),
        ("(last: 7)", {}, 7),
        ("(first: 2147483647)", {}, 250),
        ("(first: -5)", {}, 0),
        ("(first: $n)", {"n": 9}, 9),
        ("(first: $n)", {"n": 9.0}, 9),
        ("(first: $n)", {"n": 10**30}, 250),
        ("(first: $n)", {"n": -9}, 0),
        ("(first: $n)", {"n": None}, 50),
        ("(first: $n)", {}, 50),
        ("(first: $n)", {"n": "x"}, 50),
        ("(first: $d)", {}, 30),
        ("(first: $d)", {"d": 3}, 30),
        ("(first: 2, last: $n)", {"n": 8}, 8),
    ],
)
def test_a_connection_costs_as_many_rows_as_it_is_asked_for(
    arguments: str, variables: dict[str, Any], rows: int
):
    query = f"query ($n: Int, $d: Int = 30) {{ customers{arguments} {{ nodes {{ id homeUnit {{ name }} }} }} x: customers(first: $n, last: $d) {{ __typename }} }}"
    assert cost(query, **variables) == 2 * rows


def test_rows_within_rows_are_multiplied():
    inner = "interactions(first: 4) { edges { node { id } } pageInfo { hasNextPage } totalCount }"
    assert cost(f"{{ customers(first: 10) {{ nodes {{ {inner} }} }} }}") == 10 * (1 + 4 + 20)
    assert cost("{ customers(first: 10) { nodes { interactions { nodes { id } } } } }") == 10 * (1 + 20)
    twice = "{ customers(first: 10) { nodes { id } edges { cursor node { id } } } }"
    assert cost(twice) == 20


def test_fragments_cost_what_they_stand_for_wherever_they_stand():
    plain = "{ customers(first: 10) { nodes { homeUnit { id } } } units(first: 5) { nodes { id } } }"
    spread = """
        query { customers(first: 10) { ...Page } ... { units(first: 5) { nodes { ... on Node { id } } } } }
        fragment Page on CustomerConnection { nodes { ...Card } }
        fragment Card on Customer { homeUnit { id } }
    """
    assert cost(plain) == cost(spread) == 25


def test_what_works_harder_than_its_rows_show_weighs_more():
    assert cost('{ customers(first: 1, search: "x") { nodes { id } } }') == 21
    assert cost("{ customers(first: 1) { totalCount } }") == 20
    history = f'{{ history(entity: CUSTOMER, id: "{ID}", first: 1) {{ nodes {{ cid }} }} }}'
    assert cost(history) == 101
    assert cost('mutation { customerArchive(idempotencyKey: "k", id: "' + ID + '") { __typename } }') == 11


def test_each_operation_of_a_document_has_its_own_price():
    query = "query A { customers(first: 3) { nodes { id } } } query B { units(first: 5) { nodes { id } } }"
    assert (cost(query, "A"), cost(query, "B"), cost(query, "C"), cost(query)) == (3, 5, 0, 0)


def test_telling_the_schema_has_a_price():
    assert 100 < cost("{ __schema { types { name fields { name args { name type { name } } } } } }") < 2_000
    assert cost('{ __type(name: "Customer") { name } }') == 1


def test_every_weight_is_that_of_a_field():
    for name in WEIGHTS:
        type_name, field = name.split(".")
        type_ = SCHEMA.type_map[type_name]
        assert isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)
        assert field in type_.fields, name
    told = {
        name
        for type_ in SCHEMA.type_map.values()
        if type_.name.startswith("__") and isinstance(type_, GraphQLObjectType)
        for name in type_.fields
    }
    assert told >= set(INTROSPECTED)


# --- buckets --------------------------------------------------------------------------------------------

BUDGET = Budget(1_000, 100)


async def test_a_bucket_fills_with_time_and_never_beyond_its_brim():
    buckets = MemoryBuckets()
    assert await buckets.take("a", 900, BUDGET, 0) == (100, 0)
    assert await buckets.take("a", 300, BUDGET, 0) == (100, 2_000)
    assert await buckets.take("a", 300, BUDGET, 1_999) == (299, 1)
    assert await buckets.take("a", 300, BUDGET, 2_000) == (0, 0)
    assert await buckets.take("b", 1_000, BUDGET, 2_000) == (0, 0)
    assert await buckets.take("a", 0, BUDGET, 10**9) == (1_000, 0)
    assert await buckets.take("a", -500, BUDGET, 10**9) == (1_000, 0)


async def test_a_clock_that_goes_back_gives_and_takes_nothing():
    buckets = MemoryBuckets()
    assert await buckets.take("a", 900, BUDGET, 50_000) == (100, 0)
    assert await buckets.take("a", 50, BUDGET, 0) == (50, 0)
    assert await buckets.take("a", 0, BUDGET, 1_000) == (150, 0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 20_000)), max_size=40))
async def test_no_one_spends_more_than_the_brim_and_what_came_back(asked: list[tuple[int, int]]):
    buckets, now, spent = MemoryBuckets(), 0, 0
    for cost_, pause in asked:
        now += pause
        taken = await buckets.take("a", cost_, BUDGET, now)
        assert 0 <= taken.available <= BUDGET.most
        if not taken.wait_ms:
            spent += cost_
            assert spent <= BUDGET.most + now * BUDGET.per_s / 1_000
        else:
            assert (await buckets.take("a", cost_, BUDGET, now + taken.wait_ms)).wait_ms == 0
            spent += cost_
            now += taken.wait_ms


# --- buckets that several servers share ------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 1_000), st.integers(0, 100), st.integers(0, 3_000)),
        max_size=60,
    )
)
async def test_servers_together_let_through_one_budget(asked: list[tuple[int, int, int, int]]):
    """Each operation reserves, and gives the part back that it did not use. A share serves for a second."""
    counts = MemoryCounts()
    servers, now, spent = [SharedBuckets(counts) for _ in range(3)], 10**12, 0
    begun = now
    for server, cost_, used, pause in asked:
        now += pause
        taken = await servers[server].take("a", cost_, BUDGET, now)
        assert 0 <= taken.available <= BUDGET.most
        if taken.wait_ms:
            continue
        back = cost_ * (100 - used) // 100
        assert (await servers[server].take("a", -back, BUDGET, now)).wait_ms == 0
        spent += cost_ - back
        assert spent <= BUDGET.most + (now - begun + SHARE_MS) * BUDGET.per_s / 1_000


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 50), st.integers(500, 1_500)), max_size=60))
async def test_who_spends_less_than_comes_back_never_waits_whichever_server_answers(
    asked: list[tuple[int, int, int]],
):
    counts = MemoryCounts()
    servers, now = [SharedBuckets(counts) for _ in range(3)], 10**12
    for server, cost_, pause in asked:
        now += pause
        assert (await servers[server].take("a", 800, BUDGET, now)).wait_ms == 0
        await servers[server].take("a", cost_ - 800, BUDGET, now)


class Away(MemoryCounts):
    is_away = True
    asked = 0

    async def change(self, *given: Any) -> Any:
        self.asked += 1
        if self.is_away:
            raise Refused("busy", seconds=2)
        return await super().change(*given)


async def test_while_counts_can_not_be_had_each_server_has_its_own_budget_and_asks_once_a_second():
    counts, now = Away(), 10**12
    buckets = SharedBuckets(counts)
    assert await buckets.take("a", 1_000, BUDGET, now) == (0, 0)
    assert (await buckets.take("a", 1_000, BUDGET, now)).wait_ms == 10_000
    assert (await buckets.take("b", 1_000, BUDGET, now)).wait_ms == 0
    assert counts.asked == 1
    counts.is_away = False
    assert (await buckets.take("a", 1_000, BUDGET, now + 999)).wait_ms > 0
    assert (await buckets.take("a", 1_000, BUDGET, now + 1_000)).wait_ms == 0
    assert counts.asked == 2


async def test_counts_that_do_not_answer_hold_nobody_up():
    class Hanging(MemoryCounts):
        async def change(self, *given: Any) -> Any:
            await asyncio.Event().wait()

    buckets = SharedBuckets(Hanging())
    async with asyncio.timeout(10 * WAIT_S_MAX):
        assert (await buckets.take("a", 1_000, BUDGET, 0)).wait_ms == 0
        assert (await buckets.take("a", 1_000, BUDGET, 0)).wait_ms > 0
