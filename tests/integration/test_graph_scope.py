# ruff: noqa: E501, UP031 (queries)
"""What is out of reach over GraphQL is what does not exist: by every road, with the same answer."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from regulars_server.access.rights import ROLES
from regulars_server.graph.connection import encode_cursor
from regulars_server.storage.interface import Order
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, Tablet, caller

NOBODY = "01a20038-0101-7724-a4c3-597164c48aff"


class World:
    """Nanjing Road knows Lin and Wang; Orchard knows Tan, in the same spelling of everything."""

    chain: Chain
    office: Graph
    branch: Graph
    lin: str
    wang: str
    tan: str
    visit: str
    far_visit: str


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with new_chain(tmp_path) as chain:
        made = World()
        made.chain = chain
        made.office = await caller(chain, "admin", sensitive=True)
        made.branch = await caller(chain, "manager", "Nanjing Road")
        far = await caller(chain, "clerk", "Orchard")
        made.lin = await made.branch.customer("林芳", phones=["138 0013 8000"], tags=["vip"])
        made.wang = await made.branch.customer("王明", phones=["139 0013 9000"])
        made.tan = await far.customer("陈secret", phones=["+65 8123 4567"], tags=["vip", "rare"])
        made.visit = await made.branch.visit(made.lin)
        made.far_visit = await far.visit(made.tan, note="secret note")
        yield made


def ids(connection: dict[str, Any]) -> list[str]:
    return [node["id"] for node in connection["nodes"]]


def same_words(answer: dict[str, Any], *given: str) -> str:
    text = str(answer)
    for id in given:
        text = text.replace(id, "ID")
    return re.sub(r"[0-9a-f]{16}\.\d+", "VERSION", text)


LOOKS = [
    "query ($id: UUID!) { customer(id: $id) { id name } }",
    "query ($id: UUID!) { customers(where: { id: { eq: $id } }) { totalCount nodes { id } } }",
    "query ($id: UUID!) { customers(where: { id: { in: [$id] } }) { totalCount nodes { id } } }",
    "query ($id: UUID!) { interactions(where: { party: { has: $id } }) { totalCount nodes { id } } }",
    "query ($id: UUID!) { interactions(where: { customers: { some: { id: { eq: $id } } } }) { totalCount } }",
    "query ($id: UUID!) { units(where: { customers: { some: { id: { eq: $id } } } }) { totalCount } }",
    "query ($id: UUID!) { history(entity: CUSTOMER, id: $id) { nodes { cid } } }",
    "query ($id: ID!) { node(id: $id) { id version } }",
    "query ($id: ID!) { nodes(ids: [$id]) { id version } }",
    "query ($id: ID!) { node(id: $id) { __typename contested { path } } }",
]


@pytest.mark.parametrize("look", LOOKS)
async def test_another_branchs_customer_and_none_at_all_get_the_same_answer(world: World, look: str):
    far = await world.branch.send(look, id=world.tan)
    none = await world.branch.send(look, id=NOBODY)
    assert same_words(far, world.tan) == same_words(none, NOBODY)
    assert "errors" not in far
    assert "secret" not in str(far)


WRITES = [
    'customerUpdate(idempotencyKey: "%k", id: "%i", set: { notes: "x" })',
    'customerUpdate(idempotencyKey: "%k", id: "%i", set: { notes: "x" }, expectedVersion: "%v")',
    'customerArchive(idempotencyKey: "%k", id: "%i")',
    'customerReturn(idempotencyKey: "%k", id: "%i")',
    'customerTag(idempotencyKey: "%k", id: "%i", tags: ["a"])',
    'customerUntag(idempotencyKey: "%k", id: "%i", tags: ["vip"])',
    'interactionRecord(idempotencyKey: "%k", input: { kind: VISIT, at: "2026-11-20T10:00:00Z", party: [{ customerId: "%i" }] })',
    'linkSet(idempotencyKey: "%k", fromCustomerId: "%i", toCustomerId: "%l", kind: FAMILY)',
    'linkSet(idempotencyKey: "%k", fromCustomerId: "%l", toCustomerId: "%i", kind: FAMILY, note: "n")',
    'interactionCorrect(idempotencyKey: "%k", id: "%i", set: { note: "x" })',
    'interactionVoid(idempotencyKey: "%k", id: "%i")',
]


@pytest.mark.parametrize("write", WRITES)
async def test_a_write_to_what_is_out_of_reach_answers_as_if_there_were_nothing(world: World, write: str):
    seen = await world.office.ask("query ($id: UUID!) { customer(id: $id) { version } }", id=world.tan)
    about_facts = "interactionC" in write or "interactionV" in write
    answers = []
    for id in (world.far_visit if about_facts else world.tan, NOBODY):
        text = write.replace("%k", world.branch.key()).replace("%i", id).replace("%l", world.lin)
        text = text.replace("%v", seen["customer"]["version"])
        query = (
            "mutation { done: %s { __typename ... on Error { code path message detail retryable } } }" % text
        )
        answers.append(same_words(await world.branch.ask(query), id))
    assert answers[0] == answers[1]
    assert "not_found" in answers[0]


async def test_counts_lists_filters_searches_and_orders_know_only_what_is_within_reach(world: World):
    query = """{
        all: customers { totalCount nodes { id } }
        vip: customers(where: { tags: { has: "vip" } }) { totalCount nodes { id } }
        rare: customers(where: { tags: { has: "rare" } }) { totalCount nodes { id } }
        not: customers(where: { NOT: { tags: { has: "vip" } } }) { totalCount nodes { id } }
        any: customers(where: { OR: [{ phones: { has: "+6581234567" } }, { name: { startsWith: "陈" } }] }) { totalCount }
        search: customers(search: "secret") { totalCount nodes { id } }
        down: customers(orderBy: NAME_DESC) { nodes { id } }
        last: customers(last: 10) { nodes { id } }
        facts: interactions { totalCount nodes { id customers { name } } }
    }"""
    found = await world.branch.ask(query)
    assert (
        set(ids(found["all"]))
        == {world.lin, world.wang}
        == set(ids(found["down"]))
        == set(ids(found["last"]))
    )
    assert found["all"]["totalCount"] == 2
    assert ids(found["vip"]) == [world.lin]
    assert found["rare"]["totalCount"] == 0
    assert ids(found["not"]) == [world.wang]
    assert found["any"]["totalCount"] == 0
    assert found["search"]["totalCount"] == 0
    assert ids(found["facts"]) == [world.visit]
    everywhere = await world.office.ask(query)
    assert everywhere["all"]["totalCount"] == 3
    assert ids(everywhere["search"]) == [world.tan]


async def test_what_is_out_of_reach_neither_finds_nor_ranks_nor_forgives(world: World):
    far = await caller(world.chain, "clerk", "Orchard")
    ask = """query ($s: String) { customers(search: $s, orderBy: RELEVANCE) {
        totalCount nodes { name } pageInfo { endCursor hasNextPage } } }"""
    before = await world.branch.ask(ask, s="linfamg")
    assert [node["name"] for node in before["customers"]["nodes"]] == ["林芳"]
    await far.customer("Linfamg")  # fits as it is, but not here
    await far.customer("林芳", notes="林芳", tags=["林芳"])
    assert await world.branch.ask(ask, s="linfamg") == before
    near = await world.branch.ask(ask, s="林芳")
    assert near["customers"]["totalCount"] == 1
    assert (await world.office.ask(ask, s="linfamg"))["customers"]["nodes"] == [{"name": "Linfamg"}]
    await world.office.ask(
        'mutation ($i: UUID!) { customerUpdate(idempotencyKey: "b", id: $i, set: { belief: "quietone" }) { __typename } }',
        i=world.lin,
    )
    assert (await world.office.ask(ask, s="quietone"))["customers"]["totalCount"] == 0


async def test_filters_through_relations_know_only_what_is_within_reach(world: World):
    query = """{
        rare: interactions(where: { customers: { some: { tags: { has: "rare" } } } }) { totalCount }
        common: interactions(where: { customers: { none: { tags: { has: "rare" } } } }) { totalCount }
        customers: units(where: { customers: { some: { tags: { has: "rare" } } } }) { totalCount }
        visited: customers(where: { interactions: { some: { id: { eq: "FAR" } } } }) { totalCount }
    }""".replace("FAR", world.far_visit)
    mine, all_ = await world.branch.ask(query), await world.office.ask(query)
    assert {name: found["totalCount"] for name, found in mine.items()} == {
        "rare": 0,
        "common": 1,
        "customers": 0,
        "visited": 0,
    }
    assert {name: found["totalCount"] for name, found in all_.items()} == {
        "rare": 1,
        "common": 1,
        "customers": 1,
        "visited": 1,
    }


async def test_no_filter_looks_through_rows_that_may_not_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    fewer = ROLES["manager"] - {"read:interactions"}
    monkeypatch.setattr("regulars_server.access.access.rights_of", lambda *_: fewer)
    ask = "query ($w: CustomerWhere) { customers(where: $w) { totalCount } }"
    some: dict[str, Any] = {"interactions": {"some": {}}}
    tests: list[dict[str, Any]] = [
        some,
        {"NOT": some},
        {"OR": [{"AND": [some]}]},
        {"interactions": {"none": {}}},
    ]
    for where in tests:
        assert await world.branch.code(ask, w=where) in ("not_allowed", "scope_missing")
    assert (await world.branch.ask(ask, w={"homeUnit": {}}))["customers"]["totalCount"] == 2


async def test_a_cursor_made_from_a_far_row_opens_nothing(world: World):
    found = await world.office.ask('{ customers(search: "secret", orderBy: NAME_ASC) { edges { cursor } } }')
    cursor = found["customers"]["edges"][0]["cursor"]
    both = "query ($c: String) { a: customers(after: $c, orderBy: NAME_ASC) { nodes { name } } b: customers(before: $c, orderBy: NAME_ASC) { nodes { name } } }"
    assert "secret" not in str(await world.branch.ask(both, c=cursor))


async def test_a_fact_with_a_far_companion_shows_a_bare_id_and_no_card(world: World):
    await world.office.visit(world.lin, world.tan)
    query = "query ($id: UUID!) { customer(id: $id) { interactions { nodes { party { customerId customer { name } } customers { name } } } } }"
    found = await world.branch.ask(query, id=world.lin)
    shared = found["customer"]["interactions"]["nodes"]
    assert any(len(fact["party"]) == 2 for fact in shared)
    assert {member["customer"] and member["customer"]["name"] for f in shared for member in f["party"]} == {
        None,
        "林芳",
    }
    assert "secret" not in str(found)


async def test_equal_keys_and_segment_members_stop_at_the_border(world: World):
    twin = await world.office.customer("芳", phones=["13800138000"], homeUnitId=world.chain.units["Orchard"])
    keys = "{ equalKeys { key customers { id } } }"
    assert (await world.branch.ask(keys))["equalKeys"] == []
    everywhere = (await world.office.ask(keys))["equalKeys"]
    assert [{c["id"] for c in group["customers"]} for group in everywhere] == [{world.lin, twin}]
    saved = await world.office.ask(
        'mutation { segmentSave(idempotencyKey: "s", input: { name: "S" }) { ... on SegmentSaved { segment { id } } } }'
    )
    segment = saved["segmentSave"]["segment"]["id"]
    await world.office.ask(
        'mutation ($s: UUID!, $c: [UUID!]!) { segmentMembersAdd(idempotencyKey: "m", segment: $s, customers: $c) { __typename } }',
        s=segment,
        c=[world.lin, world.tan],
    )
    members = (
        "query ($s: UUID!) { segmentMembers(segment: $s) { totalCount nodes { id segments { name } } } }"
    )
    near = (await world.branch.ask(members, s=segment))["segmentMembers"]
    assert near == {"totalCount": 1, "nodes": [{"id": world.lin, "segments": [{"name": "S"}]}]}
    assert (await world.office.ask(members, s=segment))["segmentMembers"]["totalCount"] == 2
    assert (await world.branch.ask(members, s=NOBODY))["segmentMembers"] is None


async def test_a_bulk_write_answers_alike_for_far_and_absent_members(world: World):
    saved = await world.office.ask(
        'mutation { segmentSave(idempotencyKey: "s", input: { name: "S" }) { ... on SegmentSaved { segment { id } } } }'
    )
    done = await world.branch.ask(
        'mutation ($s: UUID!, $c: [UUID!]!) { segmentMembersAdd(idempotencyKey: "m", segment: $s, customers: $c) '
        "{ ... on SegmentMembersSaved { results { customerId error { code detail message } } } } }",
        s=saved["segmentSave"]["segment"]["id"],
        c=[world.lin, world.tan, NOBODY],
    )
    near, far, none = done["segmentMembersAdd"]["results"]
    assert near["error"] is None
    assert far["error"] == none["error"]
    assert far["error"]["code"] == "not_found"


async def test_sensitive_fields_are_null_for_those_without_the_right_and_in_no_filter(world: World):
    done = await world.office.ask(
        'mutation ($id: UUID!) { customerUpdate(idempotencyKey: "x", id: $id, set: { creditStatus: DANGEROUS, taxNo: "T1" }) '
        "{ ... on CustomerSaved { customer { creditStatus taxNo } } } }",
        id=world.lin,
    )
    assert done["customerUpdate"]["customer"] == {"creditStatus": "DANGEROUS", "taxNo": "T1"}
    look = "query ($id: UUID!) { customer(id: $id) { name creditStatus taxNo incomeBand contested { path } } history(entity: CUSTOMER, id: $id) { nodes { fields { path } } } }"
    seen = await world.branch.ask(look, id=world.lin)
    assert seen["customer"] == {
        "name": "林芳",
        "creditStatus": None,
        "taxNo": None,
        "incomeBand": None,
        "contested": [],
    }
    assert "tax_no" not in str(seen["history"])
    assert "tax_no" in str((await world.office.ask(look, id=world.lin))["history"])
    chain_wide = await caller(world.chain, "analyst")
    assert (await chain_wide.ask(look, id=world.lin))["customer"]["taxNo"] is None
    for ask in ('where: { taxNo: { eq: "T1" } }', "orderBy: TAX_NO_ASC"):
        assert await world.office.code("{ customers(%s) { totalCount } }" % ask) == "argument_invalid"
    assert (await world.office.ask('{ customers(search: "T1") { totalCount } }'))["customers"][
        "totalCount"
    ] == 0


async def test_a_blind_write_of_a_sensitive_field_says_nothing_of_what_stood_there(world: World):
    await world.office.ask(
        'mutation ($id: UUID!) { customerUpdate(idempotencyKey: "x", id: $id, set: { belief: "old" }) { __typename } }',
        id=world.lin,
    )
    write = (
        'mutation ($id: UUID!, $k: String!) { customerUpdate(idempotencyKey: $k, id: $id, set: { belief: "new" }) '
        "{ __typename ... on CustomerSaved { customer { belief contested { path } } } } }"
    )
    on_old = await world.branch.ask(write, id=world.lin, k="a")
    on_none = await world.branch.ask(write, id=world.wang, k="b")
    assert on_old == on_none
    beside = await world.office.ask(
        "query ($id: UUID!) { customer(id: $id) { contested { path shown beside { value cid stamp source } } } }",
        id=world.lin,
    )
    (field,) = beside["customer"]["contested"]
    assert {field["shown"], *(value["value"] for value in field["beside"])} == {"old", "new"}


async def test_held_changes_of_another_branch_are_not_shown_nor_touched(world: World):
    tablet = await Tablet(world.chain, world.office).pair("Orchard")
    assert await tablet.push(tablet.change({"name": "secret", "gender": "seven"}, "a" * 32)) == ["rejected"]
    query = "{ heldChanges { nodes { cid fields { path value } } } }"
    assert (await world.branch.ask(query))["heldChanges"]["nodes"] == []
    there = await caller(world.chain, "manager", "Orchard")
    (held,) = (await there.ask(query))["heldChanges"]["nodes"]
    assert held["fields"][0] == {"path": "name", "value": "secret"}
    retry = 'mutation { done: heldRetry(idempotencyKey: "k", cid: "%s") { __typename ... on Error { code path detail message } } }'
    far = await world.branch.ask(retry % ("a" * 32))
    none = await world.branch.ask(retry % ("0" * 32))
    assert far == none
    assert far["done"]["code"] == "not_found"
    assert (await there.ask(retry % ("a" * 32)))["done"]["__typename"] == "HeldSettled"


async def test_a_held_change_hides_sensitive_values_from_those_without_the_right(world: World):
    tablet = await Tablet(world.chain, world.office).pair("Nanjing Road")
    await tablet.push(tablet.change({"name": "a", "belief": "B1", "credit_status": "awful"}, "a" * 32))
    query = "{ heldChanges { nodes { code path detail message fields { path value } } } }"
    (held,) = (await world.branch.ask(query))["heldChanges"]["nodes"]
    assert held["fields"] == [{"path": "name", "value": "a"}]
    assert "awful" not in str(held)
    (open_,) = (await world.office.ask(query))["heldChanges"]["nodes"]
    assert "awful" in open_["message"]


async def test_a_forged_cursor_is_refused_in_one_way(world: World):
    forged = [
        "x",
        "",
        "é",
        encode_cursor(Order("name"), (None, world.tan)),
        encode_cursor(Order("id"), ({"a": 1}, world.tan)),
        encode_cursor(Order("id"), ("\0", world.tan)),
        "W10",
        "a" * 5_000,
    ]
    for cursor in forged:
        asked = await world.branch.code(
            "query ($c: String) { customers(after: $c) { totalCount } }", c=cursor
        )
        assert asked == "cursor_invalid", cursor
