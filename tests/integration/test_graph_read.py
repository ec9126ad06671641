# ruff: noqa: E501 (queries)
"""Pages, filters, relations and the schema of GraphQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from regulars_server.graph.connection import encode_cursor
from regulars_server.graph.export import SDL, exported
from regulars_server.graph.inputs import CustomerOrder
from regulars_server.graph.request import Context
from regulars_server.graph.searching import RELEVANCE
from regulars_server.graph.types import TYPES
from regulars_server.storage.sql.reader import SqlReader
from regulars_sync.errors import Refused
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, caller

NAMES = ["林芳", "王明", "陈晓", "Amy", "Zoe", "李雷", "韩梅梅"]


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


@pytest.fixture
async def office(chain: Chain) -> Graph:
    return await caller(chain, "admin", sensitive=True)


def test_the_committed_sdl_is_current():
    assert SDL.read_text("utf-8") == exported(), "run `make sdl`"


def test_every_type_and_root_field_says_what_it_is():
    text = SDL.read_text("utf-8")
    assert "@specifiedBy" in text
    assert "“" not in text
    for name in ("Customer", "Interaction", "Unit", "Link", "Segment", "Staff", "Product", "Device"):
        assert f'"""\ntype {name} ' in text or f'"""\ntype {name} implements' in text, name


async def test_pages_by_keyset_are_stable_while_rows_are_inserted(chain: Chain, office: Graph):
    for name in NAMES:
        await office.customer(name)
    page = "query ($after: String) { customers(first: 2, after: $after, orderBy: NAME_ASC) { totalCount nodes { name } pageInfo { hasNextPage hasPreviousPage endCursor } } }"
    found: list[str] = []
    after = None
    rounds = 0
    while True:
        got = (await office.ask(page, after=after))["customers"]
        found += [node["name"] for node in got["nodes"]]
        assert got["pageInfo"]["hasPreviousPage"] == (after is not None)
        if not got["pageInfo"]["hasNextPage"]:
            break
        after = got["pageInfo"]["endCursor"]
        rounds += 1
        await office.customer(f"Aaa {rounds}")  # sorts before everything read so far
    assert sorted(found) == sorted(NAMES)
    assert found == ["Amy", "陈晓", "韩梅梅", "李雷", "林芳", "王明", "Zoe"]


async def test_last_and_before_walk_the_same_rows_backwards(office: Graph):
    for name in NAMES:
        await office.customer(name)
    whole = await office.ask("{ customers(orderBy: NAME_DESC) { edges { cursor node { name } } } }")
    edges = whole["customers"]["edges"]
    got = await office.ask(
        "query ($b: String) { customers(last: 3, before: $b, orderBy: NAME_DESC) { nodes { name } pageInfo { hasNextPage hasPreviousPage startCursor } } }",
        b=edges[5]["cursor"],
    )
    assert [n["name"] for n in got["customers"]["nodes"]] == [e["node"]["name"] for e in edges[2:5]]
    assert got["customers"]["pageInfo"] == {
        "hasNextPage": True,
        "hasPreviousPage": True,
        "startCursor": edges[2]["cursor"],
    }


async def test_pages_by_a_field_that_some_rows_lack_lose_none(office: Graph):
    for i, name in enumerate(NAMES):
        await office.customer(name, **({"tradingSince": f"2024-01-0{i + 1}"} if i % 2 else {}))
    page = "query ($a: String) { customers(first: 1, after: $a, orderBy: TRADING_SINCE_DESC) { nodes { name } pageInfo { hasNextPage endCursor } } }"
    found, after, more = [], None, True
    while more:
        got = (await office.ask(page, a=after))["customers"]
        found += [node["name"] for node in got["nodes"]]
        after, more = got["pageInfo"]["endCursor"], got["pageInfo"]["hasNextPage"]
    assert sorted(found) == sorted(NAMES)


async def test_lists_are_clamped_and_nonsense_arguments_have_a_code(office: Graph):
    await office.customer("林芳")
    got = await office.ask(
        "{ customers(first: 2147483647) { nodes { name } } none: customers(first: 0) { nodes { name } } }"
    )
    assert got == {"customers": {"nodes": [{"name": "林芳"}]}, "none": {"nodes": []}}
    for arguments in ("first: -1", "last: -5", "first: 1, last: 1"):
        assert await office.code(f"{{ customers({arguments}) {{ totalCount }} }}") == "argument_invalid"
    assert await office.code('{ customers(after: "no") { totalCount } }') == "cursor_invalid"


async def test_a_cursor_of_another_order_is_refused(office: Graph):
    await office.customer("林芳")
    got = await office.ask("{ customers(orderBy: NAME_ASC) { pageInfo { endCursor } } }")
    cursor = got["customers"]["pageInfo"]["endCursor"]
    ask = "query ($c: String) { customers(after: $c, orderBy: NAME_DESC) { totalCount } }"
    assert await office.code(ask, c=cursor) == "cursor_invalid"


FILTERS: list[tuple[str, set[str]]] = [
    ('name: { eq: "Amy" }', {"Amy"}),
    ('name: { ne: "Amy" }', {"林芳", "Bob"}),
    ('name: { in: ["Amy", "Bob"] }', {"Amy", "Bob"}),
    ('name: { notIn: ["Amy", "Bob"] }', {"林芳"}),
    ('name: { startsWith: "A" }', {"Amy"}),
    ('name: { contains: "m" }', {"Amy"}),
    ('name: { contains: "芳" }', {"林芳"}),
    ('name: { contains: "AMY" }', set()),
    ('wechat: { contains: "" }', {"林芳"}),
    ("gender: { eq: FEMALE }", {"林芳"}),
    ("gender: { eq: null }", {"Amy", "Bob"}),
    ("gender: { ne: null }", {"林芳"}),
    ("gender: { in: [MALE, FEMALE] }", {"林芳"}),
    ("gender: { ne: FEMALE }", {"Amy", "Bob"}),
    ("gender: { notIn: [FEMALE] }", {"Amy", "Bob"}),
    ("gender: { notIn: [] }", {"Amy", "Bob", "林芳"}),
    ("preferredChannel: { eq: WECHAT }", {"林芳"}),
    ("privacyNotice: { in: [SHOWN, ACCEPTED] }", {"Amy"}),
    ('firstSeen: { gte: "2024-05-01T08:00:00+08:00", lt: "2024-05-02T00:00:00Z" }', {"林芳"}),
    ('firstSeen: { notIn: ["2024-05-01T00:00:00Z"] }', {"Amy", "Bob"}),
    ('hobbies: { hasAny: ["go", "tea"] }', {"林芳"}),
    ("hobbies: { exists: false }", {"Amy", "Bob"}),
    ('phones: { has: "138 0013 8000" }', {"林芳"}),
    ('phones: { has: "+86 138-0013-8000" }', {"林芳"}),
    ("phones: { exists: false }", {"Amy", "Bob"}),
    ('tags: { hasAll: ["vip", "oak"] }', {"林芳"}),
    ('tags: { hasAny: ["vip", "pine"] }', {"林芳", "Bob"}),
    ("contactBy: { has: SMS }", {"Amy"}),
    ('tradingSince: { gte: "2025-01-01" }', {"Amy"}),
    ('tradingSince: { lt: "2025-01-01" }', {"林芳"}),
    ('tradingSince: { in: ["2024-05-01", "2024-05-02"] }', {"林芳"}),
    ('NOT: { tags: { has: "vip" } }', {"Amy", "Bob"}),
    (
        'OR: [{ name: { eq: "Amy" } }, { AND: [{ tags: { has: "vip" } }, { tags: { has: "oak" } }] }]',
        {"Amy", "林芳"},
    ),
    ('name: { eq: "Amy" }, tags: { has: "vip" }', set()),
    ("id: { exists: true }", {"Amy", "Bob", "林芳"}),
    ("archived: { ne: true }", {"Amy", "Bob", "林芳"}),
    ("{}"[1:1], {"Amy", "Bob", "林芳"}),
    ("OR: []", set()),
]


async def test_filters_find_what_they_say(office: Graph):
    await office.customer(
        "林芳",
        gender="FEMALE",
        phones=["13800138000"],
        tags=["vip", "oak"],
        tradingSince="2024-05-01",
        wechat="linfang",
        preferredChannel="WECHAT",
        firstSeen="2024-05-01T00:00:00Z",
        hobbies=["tea"],
    )
    await office.customer("Amy", contactBy=["SMS"], tradingSince="2025-05-01", privacyNotice="SHOWN")
    await office.customer("Bob", tags=["pine"])
    for where, expected in FILTERS:
        got = await office.ask(f"{{ customers(where: {{ {where} }}) {{ totalCount nodes {{ name }} }} }}")
        assert {node["name"] for node in got["customers"]["nodes"]} == expected, where
        assert got["customers"]["totalCount"] == len(expected), where
    for search, expected in (
        ("linf", {"林芳"}),
        ("lf", {"林芳"}),
        ("8001", {"林芳"}),
        ("138-0013", {"林芳"}),
        ("am", {"Amy"}),
    ):
        got = await office.ask("query ($s: String) { customers(search: $s) { nodes { name } } }", s=search)
        assert {node["name"] for node in got["customers"]["nodes"]} == expected, search


async def test_filters_go_through_relations_both_ways_in_one_statement(chain: Chain, office: Graph):
    road, orchard = chain.units["Nanjing Road"], chain.units["Orchard"]
    lin = await office.customer("林芳", homeUnitId=road, tags=["vip"])
    amy = await office.customer("Amy", homeUnitId=orchard)
    await office.customer("Bob", homeUnitId=orchard)
    await office.visit(lin, stageReached=7, unitId=road)
    first = await office.visit(amy, amy, lin, stageReached=2, at="2026-11-21T10:00:00Z", unitId=orchard)
    done = await office.ask(
        """mutation ($key: String!, $from: UUID!, $to: UUID!) {
            linkSet(idempotencyKey: $key, fromCustomerId: $from, toCustomerId: $to, kind: FAMILY) { __typename }
        }""",
        key=office.key(),
        **{"from": lin, "to": amy},
    )
    assert done["linkSet"]["__typename"] == "LinkSaved"

    async def found(list_: str, shown: str, where: str) -> set[Any]:
        got = await office.ask(f"{{ {list_}(where: {{ {where} }}) {{ totalCount nodes {{ {shown} }} }} }}")
        assert got[list_]["totalCount"] == len(got[list_]["nodes"])
        return {node[shown] for node in got[list_]["nodes"]}

    for where, expected in (
        ('homeUnit: { name: { eq: "Orchard" } }', {"Amy", "Bob"}),
        ('NOT: { homeUnit: { name: { eq: "Orchard" } } }', {"林芳"}),
        ("interactions: { some: { stageReached: { gte: 5 } } }", {"林芳"}),
        ("interactions: { none: { stageReached: { gte: 5 } } }", {"Amy", "Bob"}),
        ("interactions: { some: {} }", {"林芳", "Amy"}),
        ("interactions: { every: { stageReached: { lt: 5 } } }", {"Amy", "Bob"}),
        ("interactions: { some: { stageReached: { eq: 2 } }, none: { stageReached: { eq: 7 } } }", {"Amy"}),
        ('interactions: { some: { unit: { name: { eq: "Nanjing Road" } } } }', {"林芳"}),
        ("links: { some: { kind: { eq: FAMILY } } }", {"林芳", "Amy"}),
        ('links: { some: { toCustomer: { name: { eq: "Amy" } } } }', {"林芳", "Amy"}),
        ("links: { none: { active: { eq: true } } }", {"Bob"}),
        ("owner: { name: { exists: true } }", set()),
    ):
        assert await found("customers", "name", where) == expected, where
    assert await found("interactions", "stageReached", 'customers: { some: { tags: { has: "vip" } } }') == {
        7,
        2,
    }
    assert await found("interactions", "id", 'customers: { some: { name: { eq: "Amy" } } }') == {first}
    assert await found("interactions", "stageReached", 'unit: { name: { startsWith: "Nan" } }') == {7}
    assert await found("units", "name", 'customers: { some: { tags: { has: "vip" } } }') == {"Nanjing Road"}
    assert "Orchard" in await found("units", "name", "parent: { kind: { in: [REGION, COMPANY] } }")
    assert await found("units", "name", 'children: { some: { name: { eq: "Orchard" } } }')
    deep = "links: { some: { toCustomer: { homeUnit: { name: { exists: true } } } } }"
    assert await office.code(f"{{ customers(where: {{ {deep} }}) {{ totalCount }} }}") == "query_too_large"
    wide = ", ".join("{ interactions: { some: {} } }" for _ in range(30))
    assert (
        await office.code(f"{{ customers(where: {{ OR: [{wide}] }}) {{ totalCount }} }}") == "query_too_large"
    )


SEARCHED = "query ($s: String, $o: CustomerOrder!, $w: CustomerWhere, $n: Int, $a: String, $l: Int, $b: String) { customers(search: $s, orderBy: $o, where: $w, first: $n, after: $a, last: $l, before: $b) { totalCount nodes { name } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"


async def names_of(caller: Graph, text: str, order: str = "RELEVANCE", **more: Any) -> list[str]:
    got = (await caller.ask(SEARCHED, s=text, o=order, **more))["customers"]
    if not more:
        assert got["totalCount"] == len(got["nodes"])
    return [node["name"] for node in got["nodes"]]


async def test_a_search_is_ranked_forgives_a_letter_and_composes_with_filters(office: Graph):
    await office.customer("王林芳", tags=["vip"])
    await office.customer("Bob", notes="知道林芳的电话", phones=["13900002222"])
    await office.customer("林芳菲", phones=["13800138000"], memberNo="VIP-00412")
    await office.customer("林芳", tags=["vip", "老客户"])
    assert await names_of(office, "林芳") == ["林芳", "林芳菲", "王林芳", "Bob"]
    assert await names_of(office, "linfang") == ["林芳", "林芳菲", "王林芳"]
    assert await names_of(office, "林芳", "NAME_DESC") == ["王林芳", "林芳菲", "林芳", "Bob"]
    assert await names_of(office, "林芳", w={"tags": {"has": "vip"}}) == ["林芳", "王林芳"]
    assert await names_of(office, "林芳", w={"tags": {"has": "rare"}}) == []
    for text, names in (
        ("0412", ["林芳菲"]),
        ("138-0013", ["林芳菲"]),
        ("2222", ["Bob"]),
        ("老客", ["林芳"]),
        ("vip 林", ["林芳", "林芳菲", "王林芳"]),
        ("电话", ["Bob"]),
        ("linfamg", ["林芳"]),
        ("临方", ["林芳", "林芳菲", "王林芳"]),
        ("linfanf", ["林芳"]),
        ("lifnang", ["林芳"]),
        ("%", []),
        ("zzz", []),
    ):
        found = await names_of(office, text)
        assert sorted(found) == sorted(names), text
    assert len(await names_of(office, "  ", "NAME_ASC")) == 4
    assert await office.code(SEARCHED, o="RELEVANCE") == "argument_invalid"


async def test_ranked_pages_walk_all_that_was_found_both_ways(office: Graph):
    for name in ("林芳", "林芳菲", "林方", "王林芳", "林芬芳", "李雷"):
        await office.customer(name)
    whole = await names_of(office, "lin")
    assert len(whole) == 5
    found: list[str] = []
    after = None
    while True:
        got = (await office.ask(SEARCHED, s="lin", o="RELEVANCE", n=2, a=after))["customers"]
        assert got["totalCount"] == 5
        assert got["pageInfo"]["hasPreviousPage"] is (after is not None)
        found += [node["name"] for node in got["nodes"]]
        after = got["pageInfo"]["endCursor"]
        if not got["pageInfo"]["hasNextPage"]:
            break
    assert found == whole
    got = (await office.ask(SEARCHED, s="lin", o="RELEVANCE", l=2, b=after))["customers"]
    assert [node["name"] for node in got["nodes"]] == whole[2:4]
    assert got["pageInfo"]["hasNextPage"]
    assert got["pageInfo"]["hasPreviousPage"]
    assert await office.code(SEARCHED, s="lin", o="NAME_ASC", a=after) == "cursor_invalid"
    forged = encode_cursor(RELEVANCE, ("x", "y"))
    assert await office.code(SEARCHED, s="lin", o="RELEVANCE", a=forged) == "cursor_invalid"


async def test_whose_whole_name_it_is_comes_first_among_more_rows_than_are_ranked(
    office: Graph, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("regulars_server.graph.searching.BEST_MAX", 3)
    for i in range(5):
        await office.customer(f"林芳{'菲丽娜美玲'[i]}")
    await office.customer("林芳")
    got = (await office.ask(SEARCHED, s="linfang", o="RELEVANCE"))["customers"]
    assert (got["nodes"][0]["name"], len(got["nodes"]), got["totalCount"]) == ("林芳", 3, 6)


async def test_amounts_are_tested_and_ordered_as_numbers(office: Graph):
    save = """mutation ($key: String!, $input: ProductEdit!) { productSave(idempotencyKey: $key, input: $input) {
        __typename ... on Error { message }
    } }"""
    for name, price in (("oak", 9_000_000_000), ("pine", 80_000), ("ash", None)):
        made = {"name": name, "price": price}
        assert (await office.ask(save, key=office.key(), input=made))["productSave"]["__typename"] != "Error"
    ask = "query ($w: ProductWhere) { products(where: $w, orderBy: PRICE_ASC) { nodes { name } } }"
    for where, expected in (
        ({}, ["ash", "pine", "oak"]),
        ({"price": {"gt": 80_000}}, ["oak"]),
        ({"price": {"lte": 9_000_000_000}}, ["pine", "oak"]),
        ({"price": {"notIn": [80_000]}}, ["ash", "oak"]),
    ):
        got = await office.ask(ask, w=where)
        assert [node["name"] for node in got["products"]["nodes"]] == expected, where


@pytest.mark.parametrize("order", [o.name for o in CustomerOrder if o is not CustomerOrder.RELEVANCE])
async def test_pages_in_any_order_never_repeat_nor_skip_a_row_while_rows_come(
    chain: Chain, office: Graph, order: str
):
    old = set()
    for i, name in enumerate(NAMES):
        given = {"tradingSince": f"2024-01-0{i + 1}"} if i % 2 else {"gender": "MALE", "wechat": f"w{i}"}
        old.add(await office.customer(name, **given))
    page = f"query ($a: String) {{ customers(first: 2, after: $a, orderBy: {order}) {{ nodes {{ id }} pageInfo {{ hasNextPage endCursor }} }} }}"
    found, after, more = [], None, True
    while more:
        got = (await office.ask(page, a=after))["customers"]
        found += [node["id"] for node in got["nodes"]]
        after, more = got["pageInfo"]["endCursor"], got["pageInfo"]["hasNextPage"]
        if len(found) < 10:
            await office.customer("Aaa", gender="FEMALE", tradingSince="2020-01-01")
            await office.customer("zzz", wechat="z")
    assert len(found) == len(set(found))
    assert set(found) >= old


async def test_a_filter_with_nonsense_in_it_has_a_code(office: Graph):
    ask = "query ($w: CustomerWhere) { customers(where: $w) { totalCount } }"
    assert await office.code(ask, w={"phones": {"has": "call me"}}) == "phone_invalid"
    assert await office.code(ask, w={"name": {"eq": "a\0"}}) == "text_invalid"
    assert await office.code(ask, w={"name": {"lt": None}}) == "argument_invalid"
    assert await office.code(ask, w={"homeUnitId": {"eq": "7"}}) == "id_invalid"
    assert await office.code(ask, w={"OR": [{"name": {"eq": "x"}}] * 500}) == "query_too_large"
    nested: dict[str, Any] = {"name": {"eq": "x"}}
    for _ in range(12):
        nested = {"NOT": nested}
    assert await office.code(ask, w=nested) == "query_too_large"
    assert (
        await office.code("query ($s: String) { customers(search: $s) { totalCount } }", s="a\0b")
        == "text_invalid"
    )


async def test_relations_are_read_for_a_page_at_once(
    chain: Chain, office: Graph, monkeypatch: pytest.MonkeyPatch
):
    calls: Counter[str] = Counter()
    for name in ("find", "select", "count"):

        def counted(method: Any, name: str) -> Any:
            async def run(self: Any, *arguments: Any, **named: Any) -> Any:
                calls[name] += 1
                return await method(self, *arguments, **named)

            return run

        monkeypatch.setattr(SqlReader, name, counted(getattr(SqlReader, name), name))
    query = """{ customers(first: 50) { nodes {
        name homeUnit { name parent { name } } owner { name } segments { name }
        links { nodes { kind toCustomer { name homeUnit { name } } } }
        interactions(first: 2) { nodes {
            kind unit { name } staff { name } customers { name } supersededBy { id } supersedes { id }
            party { customer { name } } lines { product { name } }
        } }
    } } }"""
    used: list[int] = []
    got: dict[str, Any] = {}
    for upto in (2, 12):
        for i in range(upto):
            id = await office.customer(
                f"C {upto}-{i}", homeUnitId=chain.units["Orchard" if i % 2 else "Nanjing Road"]
            )
            for hour in range(3):
                await office.visit(id, at=f"2026-11-{hour + 10}T10:00:00Z", unitId=chain.units["Orchard"])
        calls.clear()
        got = await office.ask(query)
        used.append(sum(calls.values()))
    assert len(got["customers"]["nodes"]) == 14
    assert all(len(node["interactions"]["nodes"]) == 2 for node in got["customers"]["nodes"])
    assert used[0] == used[1] <= 14, used


async def test_one_customer_with_very_many_visits_does_not_hide_those_of_others(office: Graph):
    busy, quiet = await office.customer("busy"), await office.customer("quiet")
    await office.visit(quiet, at="2020-01-01T00:00:00Z")
    for minute in range(30):
        await office.visit(busy, at=f"2026-11-20T10:{minute:02}:00Z")
    got = await office.ask(
        "{ customers(orderBy: NAME_ASC) { nodes { name interactions(first: 2) { totalCount nodes { at } pageInfo { hasNextPage endCursor } } } } }"
    )
    first, second = got["customers"]["nodes"]
    assert [fact["at"] for fact in first["interactions"]["nodes"]] == [
        "2026-11-20T10:29:00.000Z",
        "2026-11-20T10:28:00.000Z",
    ]
    assert first["interactions"]["totalCount"] == 30
    assert first["interactions"]["pageInfo"]["hasNextPage"]
    assert [fact["at"] for fact in second["interactions"]["nodes"]] == ["2020-01-01T00:00:00.000Z"]
    assert not second["interactions"]["pageInfo"]["hasNextPage"]
    more = await office.ask(
        "query ($id: UUID!, $a: String) { customer(id: $id) { interactions(first: 1, after: $a) { nodes { at } } } }",
        id=busy,
        a=first["interactions"]["pageInfo"]["endCursor"],
    )
    assert more["customer"]["interactions"]["nodes"] == [{"at": "2026-11-20T10:27:00.000Z"}]


async def test_a_count_is_made_only_when_it_is_asked_for(office: Graph, monkeypatch: pytest.MonkeyPatch):
    async def never(self: Context, *arguments: Any) -> int:
        raise AssertionError("counted")

    monkeypatch.setattr(Context, "count", never)
    await office.ask("{ customers { nodes { id } } }")
    assert await office.code("{ customers { totalCount } }") == "internal"


async def test_a_request_that_would_read_too_many_rows_stops(office: Graph, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("regulars_server.graph.request.ROWS_PER_REQUEST_MAX", 5)
    for i in range(4):
        await office.customer(f"C{i}")
    assert len((await office.ask("{ customers { nodes { id } } }"))["customers"]["nodes"]) == 4
    assert (
        await office.code("{ a: customers { nodes { id } } b: customers { nodes { id } } }")
        == "query_too_large"
    )


async def test_any_row_is_found_by_its_id_alone(chain: Chain, office: Graph):
    customer = await office.customer("林芳")
    visit = await office.visit(customer, unitId=chain.units["Orchard"])
    query = "query ($id: ID!) { node(id: $id) { __typename id version } }"
    for id, type_ in ((customer, "Customer"), (visit, "Interaction"), (chain.units["Orchard"], "Unit")):
        assert (await office.ask(query, id=id))["node"]["__typename"] == type_
    assert (await office.ask(query, id=customer.upper()))["node"]["id"] == customer
    for id in ("", "x", "é" * 36, "00000000-0000-0000-0000-000000000000"):
        assert (await office.ask(query, id=id))["node"] is None


async def test_rows_of_any_kind_are_read_by_their_ids_with_one_statement_for_each_entity(
    chain: Chain, office: Graph, monkeypatch: pytest.MonkeyPatch
):
    customers = [await office.customer(name) for name in NAMES]
    visit = await office.visit(customers[0])
    ids = [
        visit,
        "no id",
        customers[3],
        chain.units["Orchard"],
        customers[0].upper(),
        customers[3],
        str(uuid4()),
    ]
    entities: list[str] = []
    find = SqlReader.find

    async def counted(self: Any, entity: str, ids: Any) -> Any:
        entities.append(entity)
        return await find(self, entity, ids)

    monkeypatch.setattr(SqlReader, "find", counted)
    ask = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on Customer { name } } }"
    got = (await office.ask(ask, ids=ids))["nodes"]
    assert [node and node["id"] for node in got] == [
        visit,
        None,
        customers[3],
        chain.units["Orchard"],
        customers[0],
        customers[3],
        None,
    ]
    assert got[2] == {"__typename": "Customer", "id": customers[3], "name": NAMES[3]}
    assert len(entities) == len(set(entities)) == len(TYPES)
    assert len((await office.ask(ask, ids=customers * 30))["nodes"]) == 30 * len(customers)
    assert await office.code(ask, ids=[visit] * 251) == "query_too_large"


async def test_history_tells_who_wrote_what_and_what_became_of_it(chain: Chain):
    staff = chain.new_id()
    await chain.write("create", "staff", staff, {"name": "Mei", "role": "manager"})
    _, token = await chain.service.access.new_token(
        "developer", "Mei's", "manager", [chain.units["Nanjing Road"]], False, owner=staff
    )
    mei = await caller(chain, "manager", "Nanjing Road")
    mei.token = token
    id = await mei.customer("林芳")
    await mei.ask(
        'mutation ($id: UUID!) { customerTag(idempotencyKey: "t", id: $id, tags: ["vip"]) { __typename } }',
        id=id,
    )
    got = await mei.ask(
        "query ($id: UUID!) { history(entity: CUSTOMER, id: $id) { nodes { op verdict code closed actor { name } device { name } stated at fields { path value } } } }",
        id=id,
    )
    made, tagged = got["history"]["nodes"]
    assert (made["op"], made["verdict"], made["actor"], made["device"]) == (
        "create",
        "APPLIED",
        {"name": "Mei"},
        None,
    )
    assert tagged["fields"] == [{"path": "tags/vip", "value": True}]
    assert made["stated"] < tagged["stated"]


async def test_a_device_reads_within_its_scopes_and_writes_nothing_here(chain: Chain, office: Graph):
    shop = await chain.tablet("till", "Nanjing Road")
    near = await office.customer("near", homeUnitId=chain.units["Nanjing Road"])
    await office.customer("far", homeUnitId=chain.units["Orchard"])
    _, token = await chain.service.access.new_token(
        "device", "till", "device", [chain.units["Nanjing Road"]], False, owner=chain.new_id()
    )
    device = await caller(chain, "clerk", "Orchard")
    device.token = token
    got = await device.ask("{ me { kind role wholeChain headOffice } customers { nodes { id } } }")
    assert got["me"] == {"kind": "device", "role": "device", "wholeChain": False, "headOffice": False}
    assert got["customers"]["nodes"] == [{"id": near}]
    done = await device.ask(
        'mutation { customerCreate(idempotencyKey: "k", input: { name: "x" }) { ... on Error { code } } }'
    )
    assert done["customerCreate"]["code"] == "not_allowed"
    assert shop is not None


async def test_labels_come_in_both_languages(office: Graph):
    got = await office.ask(
        "{ zh: enumLabels(lang: ZH) { name values { name value label } } labels(lang: EN) { name label fields { name label sensitive rule } } }"
    )
    kinds = next(enum for enum in got["zh"] if enum["name"] == "InteractionKind")
    assert kinds["values"][0] == {"name": "VISIT", "value": "visit", "label": "到店"}
    customer = next(entity for entity in got["labels"] if entity["name"] == "customer")
    tax = next(field for field in customer["fields"] if field["name"] == "tax_no")
    assert (tax["sensitive"], tax["rule"]) == (True, "review")


async def test_nothing_is_read_for_a_request_that_was_answered(tmp_path: Path):
    """What stood beside a failed field may run on; three such had taken every reader, and all was silent."""
    async with new_chain(tmp_path) as chain:
        admin = await caller(chain, "admin")
        principal = await chain.service.access.principal(admin.token)
        for _ in range(5):  # more than there are readers
            context = Context(chain.service, principal, await chain.service.author(principal), "en")
            await context.close()
            with pytest.raises(Refused, match="busy"):
                async with context.reading():
                    pass


@pytest.mark.parametrize(
    ("id", "wrong"),
    [
        ('"7"', "it has 1 characters, a UUID has 36"),
        ('"0199c0de-0000-7000-8000-00000000000g"', "“g” is no hexadecimal digit"),
        ('"0199c0de00-00-7000-8000-000000000000"', "its dashes are not behind the digits 8, 12, 16 and 20"),
        ("7", "it is no string"),
    ],
)
async def test_a_wrong_id_is_told_what_is_wrong_with_it(chain: Chain, id: str, wrong: str):
    office = await caller(chain, "admin")
    answer = await office.send(f"{{ customer(id: {id}) {{ name }} }}")
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "id_invalid"
    assert f"“{id.strip(chr(34))}” should be an id" in error["message"]
    assert wrong in error["message"]
    by_variable = await office.send("query ($id: UUID!) { customer(id: $id) { name } }", id=orjson.loads(id))
    assert wrong in by_variable["errors"][0]["message"]
