# ruff: noqa: E501 (queries)
"""A customer as GraphQL tells it: the card in its sections, the timeline, the tablets it lives on, what waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from regulars_schema.entities import REGISTRY
from regulars_server import devices
from regulars_sync.changes import Value
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, Tablet, caller

CARD = """query ($id: UUID!, $lang: Language) { customer(id: $id) { card(lang: $lang) {
  sections { key label fields { name label value text source verified contested hidden } } } } }"""
TIMELINE = """query ($id: UUID!, $first: Int, $after: String) { customer(id: $id) { timeline(first: $first, after: $after) {
  edges { cursor node { __typename at
    ... on TimelineChange { actor { name } device { name } corrected }
    ... on InteractionRecorded { interaction { id kind } }
    ... on CardChanged { customerId registered fields { path value } }
    ... on TagsChanged { added removed }
    ... on LinkChanged { active link { kind } }
    ... on IdentityChanged { decision identity { decision } } } }
  pageInfo { hasNextPage hasPreviousPage endCursor } } } }"""
DEVICES = "query ($id: UUID!) { customer(id: $id) { devices { name unit { name } } } }"
REVIEWS = """query ($id: UUID!) { customer(id: $id) { reviews {
  identities { contradictory one { id } other { id } } fields { path shown beside { value } } } } }"""
HISTORY = "query ($id: UUID!, $path: String) { customer(id: $id) { history(path: $path, first: 9) { nodes { cid fields { path } } } } history(entity: CUSTOMER, id: $id, path: $path, first: 9) { nodes { cid fields { path } } } }"
EDIT = "mutation ($key: String!, $id: UUID!, $set: CustomerEdit!) { customerUpdate(idempotencyKey: $key, id: $id, set: $set) { __typename ... on Error { code } } }"
LINK = "mutation ($key: String!, $a: UUID!, $b: UUID!, $active: Boolean! = true) { linkSet(idempotencyKey: $key, kind: FAMILY, fromCustomerId: $a, toCustomerId: $b, active: $active) { __typename ... on Error { code } } }"
DECIDE = "mutation ($key: String!, $a: UUID!, $b: UUID!, $d: IdentityVerdict!) { identityDecide(idempotencyKey: $key, input: { one: $a, other: $b, decision: $d }) { __typename ... on Error { code } } }"
NEAR, FAR = "Nanjing Road", "Orchard"


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


@pytest.fixture
async def office(chain: Chain) -> Graph:
    return await caller(chain, "admin", sensitive=True)


@pytest.fixture
async def branch(chain: Chain) -> Graph:
    return await caller(chain, "manager", NEAR)


async def do(graph: Graph, mutation: str, **variables: Any) -> None:
    ((_, done),) = (await graph.ask(mutation, key=graph.key(), **variables)).items()
    assert "code" not in done, done


async def card(graph: Graph, id: str, lang: str | None = None) -> dict[str, dict[str, Any]]:
    """By section and field."""
    told = (await graph.ask(CARD, id=id, lang=lang))["customer"]["card"]["sections"]
    return {part["key"]: {"": part["label"], **{f["name"]: f for f in part["fields"]}} for part in told}


async def events(graph: Graph, id: str, **page: Any) -> list[dict[str, Any]]:
    told = (await graph.ask(TIMELINE, id=id, **{"first": 250, **page}))["customer"]["timeline"]
    return [edge["node"] for edge in told["edges"]]


def brief(event: dict[str, Any]) -> Any:
    match event["__typename"]:
        case "InteractionRecorded":
            return event["interaction"]["kind"]
        case "CardChanged":
            return sorted(field["path"] for field in event["fields"])
        case "TagsChanged":
            return event["added"], event["removed"]
        case "LinkChanged":
            return event["link"]["kind"], event["active"]
    return event["decision"]


async def disputed(chain: Chain, graph: Graph, id: str) -> None:
    """Two tablets write what neither had seen of the other."""
    for number, notes in enumerate(("likes oak", "likes pine")):
        tablet = await Tablet(chain, graph).pair(NEAR)
        tablet.incarnation = f"{number:016x}"
        change = tablet.change({"notes": notes}, f"{number + 1:032x}")
        await tablet.push(msgspec.structs.replace(change, op="edit", id=id))


# --- the card ------------------------------------------------------------------------------------------


async def test_every_field_of_a_customer_stands_in_one_section_of_its_card(office: Graph):
    id = await office.customer("林芳")
    told = await card(office, id)
    customer = REGISTRY.get("customer")
    assert customer.sections is not None
    assert [key.lower() for key in told] == [key for key in customer.sections.values if key.upper() in told]
    named = [name for part in told.values() for name in part if name]
    assert sorted(named) == sorted(field.name for field in customer.fields)


async def test_a_card_tells_values_labels_and_where_they_are_from(chain: Chain, office: Graph):
    id = await office.customer(
        "林芳", gender="FEMALE", phones=["138 0013 8000"], tags=["vip", "oak"], birth={"month": 5, "day": 2}
    )
    en, zh = await card(office, id), await card(office, id, "ZH")
    assert (en["BASIC"][""], zh["BASIC"][""]) == ("Basics", "基本资料")
    assert [en["BASIC"]["gender"][part] for part in ("label", "value", "text")] == [
        "Gender",
        "female",
        "Female",
    ]
    assert [zh["BASIC"]["gender"][part] for part in ("label", "value", "text")] == ["性别", "female", "女"]
    assert en["CONTACT"]["phones"]["value"] == ["138 0013 8000"]
    assert en["BUSINESS"]["tags"]["text"] == "oak, vip"
    assert zh["BUSINESS"]["tags"]["text"] == "oak、vip"
    assert en["BASIC"]["birth"]["text"] == "5-2"
    assert en["OTHER"]["notes"]["value"] is None
    assert en["OTHER"]["notes"]["text"] is None
    said = await office.send(CARD, headers={"accept-language": "zh"}, id=id)
    assert said["data"]["customer"]["card"]["sections"][0]["label"] == "基本资料"


async def test_a_card_shows_what_is_contested_and_verified(chain: Chain, office: Graph):
    id = await office.customer("林芳")
    tablet = await Tablet(chain, office).pair(NEAR)
    await disputed(chain, office, await tablet_customer(chain, tablet))
    mine = (await office.ask('{ customers(search: "Lin") { nodes { id } } }'))["customers"]["nodes"][0]["id"]
    told = await card(office, mine)
    assert told["OTHER"]["notes"]["contested"]
    assert not told["BASIC"]["name"]["contested"]
    assert (told["BASIC"]["name"]["source"], told["BASIC"]["name"]["verified"]) == ("self_form", "verified")
    assert not (await card(office, id))["OTHER"]["notes"]["contested"]


async def tablet_customer(chain: Chain, tablet: Tablet) -> str:
    change = tablet.change({"name": "Lin"}, "f" * 32)
    change = msgspec.structs.replace(change, fields={"name": Value("Lin", "self_form", "verified")})
    assert await tablet.push(change) == ["applied"]
    return change.id


async def test_a_card_hides_sensitive_values_from_who_may_not_read_them(
    chain: Chain, office: Graph, branch: Graph
):
    id = await office.customer("林芳", homeUnitId=chain.units[NEAR], belief="secret", incomeBand="HIGH")
    shown, hidden = await card(office, id), await card(branch, id)
    assert (shown["PERSONALITY"]["belief"]["value"], shown["PERSONALITY"]["belief"]["hidden"]) == (
        "secret",
        False,
    )
    assert shown["CAREER"]["income_band"]["text"] == "High"
    for part in ("value", "text", "source", "verified"):
        assert hidden["PERSONALITY"]["belief"][part] is None
    assert hidden["PERSONALITY"]["belief"]["hidden"]
    empty = await branch.customer("王明")
    blank = await card(branch, empty)
    assert blank["PERSONALITY"] == hidden["PERSONALITY"]
    assert blank["CAREER"] == hidden["CAREER"]


# --- the timeline --------------------------------------------------------------------------------------


async def lived(office: Graph, chain: Chain) -> tuple[str, str]:
    """A customer to whom everything happened, and another."""
    near = chain.units[NEAR]
    lin, wang = await office.customer("林芳", homeUnitId=near), await office.customer("王明", homeUnitId=near)
    await do(office, EDIT, id=lin, set={"notes": "likes oak", "belief": "x"})
    await do(office, EDIT, id=lin, set={"belief": "y"})
    await do(office, EDIT, id=lin, set={"tags": {"add": ["vip"]}})
    await do(office, LINK, a=lin, b=wang)
    await office.visit(lin, at="2026-01-05T10:00:00Z", kind="VISIT")
    await office.visit(lin, at="2027-05-05T10:00:00Z", kind="CALL")
    await do(office, EDIT, id=lin, set={"tags": {"remove": ["vip"], "add": ["oak"]}})
    await do(office, LINK, a=lin, b=wang, active=False)
    return lin, wang


async def test_a_timeline_tells_everything_that_happened_the_latest_first(chain: Chain, office: Graph):
    lin, wang = await lived(office, chain)
    told = await events(office, lin)
    assert [brief(event) for event in told] == [
        "CALL",
        ("FAMILY", False),
        (["oak"], ["vip"]),
        ("FAMILY", True),
        (["vip"], []),
        ["belief"],
        ["belief", "notes"],
        ["home_unit", "name"],
        "VISIT",
    ]
    assert [event["at"] for event in told] == sorted((event["at"] for event in told), reverse=True)
    assert [event.get("registered") for event in told][-2] is True
    assert [brief(event) for event in await events(office, wang)] == [
        ("FAMILY", False),
        ("FAMILY", True),
        ["home_unit", "name"],
    ]


async def test_a_timeline_is_that_of_the_person_and_tells_of_merges(chain: Chain, office: Graph):
    lin, wang = await lived(office, chain)
    before = [brief(event) for event in await events(office, lin)]
    await do(office, DECIDE, a=lin, b=wang, d="SAME")
    told = await events(office, wang)
    assert told == await events(office, lin)
    assert [brief(event) for event in told][:2] == ["CALL", "SAME"]
    assert len(told) == len(before) + 2  # the decision, and that the other was registered
    assert {event["customerId"] for event in told if "customerId" in event} == {lin, wang}
    await do(office, DECIDE, a=lin, b=wang, d="NOT_SAME")
    assert brief((await events(office, wang))[0]) == "NOT_SAME"
    assert len(await events(office, lin)) == len(before) + 2


async def test_pages_of_any_size_tell_every_event_once_also_while_more_happens(chain: Chain, office: Graph):
    lin, _ = await lived(office, chain)
    whole = await events(office, lin)
    for event in whole[1:8]:  # an interaction at the very instant of each change
        await office.visit(lin, at=event["at"])
    whole = await events(office, lin)
    assert len(whole) == 9 + 7
    for size in (1, 2, 3, 5, 16):
        after, told, pages = None, [], 0
        while True:
            said = (await office.ask(TIMELINE, id=lin, first=size, after=after))["customer"]["timeline"]
            told += [edge["node"] for edge in said["edges"]]
            assert said["pageInfo"]["hasPreviousPage"] is (after is not None)
            after, pages = said["pageInfo"]["endCursor"], pages + 1
            if not said["pageInfo"]["hasNextPage"]:
                break
            if size == 3 and pages == 2:
                await do(office, EDIT, id=lin, set={"notes": f"written at {pages}"})
        assert told == whole, size
        whole = await events(office, lin)


async def test_who_may_not_read_a_value_is_not_told_that_it_was_written(
    chain: Chain, office: Graph, branch: Graph
):
    lin, _ = await lived(office, chain)
    told = await events(branch, lin)
    assert ["belief"] not in [brief(event) for event in told]
    assert [brief(event) for event in told][5:7] == [["notes"], ["home_unit", "name"]]
    first = await events(branch, lin, first=7)
    assert first == told[:7]


async def test_a_timeline_needs_the_right_to_read_changes_and_a_cursor_of_its_own(
    chain: Chain, office: Graph
):
    id = await office.customer("林芳")
    for cursor in ("", "x", "W10", "WzEsMiwzXQ", "WyIyMDI2LTAxLTAxVDAwOjAwOjAwLjAwMFoiLDEsIngiXQ"):
        assert await office.code(TIMELINE, id=id, after=cursor) == "cursor_invalid"
    _, token = await chain.service.access.new_token(
        "developer", "reader", "admin", None, False, scopes=("read:customers",)
    )
    reader = Graph(chain, token, office.http)
    assert await reader.code(TIMELINE, id=id) == "scope_missing"
    assert (
        await reader.code("query ($id: UUID!) { customer(id: $id) { history { nodes { cid } } } }", id=id)
        == "scope_missing"
    )
    assert (await reader.ask(REVIEWS, id=id))["customer"]["reviews"]["identities"] == []


async def test_the_history_of_a_customer_is_that_of_its_row(chain: Chain, office: Graph):
    lin, _ = await lived(office, chain)
    for path in (None, "notes", "tags", "tags/vip"):
        told = await office.ask(HISTORY, id=lin, path=path)
        assert told["customer"]["history"] == told["history"]
        assert len(told["history"]["nodes"]) == {None: 5, "notes": 1}.get(path, 2)


# --- devices and reviews -------------------------------------------------------------------------------


async def test_a_customer_lives_on_the_tablets_of_the_units_that_hold_it(
    chain: Chain, office: Graph, branch: Graph
):
    for name, unit in (("till 1", NEAR), ("till 2", NEAR), ("till 3", FAR)):
        await chain.tablet(name, unit)
    lin = await office.customer("林芳", homeUnitId=chain.units[NEAR])
    tan = await office.customer("陈", homeUnitId=chain.units[FAR])

    async def tills(graph: Graph, id: str) -> list[str]:
        return [device["name"] for device in (await graph.ask(DEVICES, id=id))["customer"]["devices"]]

    assert await tills(office, lin) == ["till 1", "till 2"]
    assert await tills(office, tan) == ["till 3"]
    assert await tills(branch, lin) == ["till 1", "till 2"]
    await office.visit(lin, unitId=chain.units[FAR])
    await do(office, DECIDE, a=lin, b=tan, d="SAME")
    assert await tills(office, lin) == ["till 1", "till 2", "till 3"]
    assert await tills(branch, lin) == ["till 1", "till 2"]  # what another unit holds is out of its reach
    (first, *_) = (await office.ask("{ devices { nodes { id name } } }"))["devices"]["nodes"]
    await devices.wipe(chain.service, first["id"])
    assert first["name"] in await tills(office, lin)  # it was told to, and has not done it yet
    await devices.confirm_wiped(chain.service, first["id"])
    assert first["name"] not in await tills(office, lin)
    nowhere = await office.customer("无家")
    assert await tills(office, nowhere) == []


async def test_what_waits_for_a_decision_is_told_to_who_decides(chain: Chain, office: Graph, branch: Graph):
    near = chain.units[NEAR]
    lin, wang = await office.customer("林芳", homeUnitId=near), await office.customer("林方", homeUnitId=near)
    propose = "mutation ($key: String!, $a: UUID!, $b: UUID!) { identityPropose(idempotencyKey: $key, input: { one: $a, other: $b }) { __typename ... on Error { code } } }"
    await do(branch, propose, a=lin, b=wang)
    await disputed(chain, office, lin)

    async def reviews(graph: Graph, id: str) -> dict[str, Any]:
        found: dict[str, Any] = (await graph.ask(REVIEWS, id=id))["customer"]["reviews"]
        return found

    for id in (lin, wang):
        (pair,) = (await reviews(office, id))["identities"]
        assert {pair["one"]["id"], pair["other"]["id"]} == {lin, wang}
        assert not pair["contradictory"]
        assert (await reviews(branch, id))["identities"] == []
    (notes,) = (await reviews(branch, lin))["fields"]
    assert (notes["path"], {notes["shown"], notes["beside"][0]["value"]}) == (
        "notes",
        {"likes oak", "likes pine"},
    )
    assert (await reviews(branch, wang))["fields"] == []
    await do(office, DECIDE, a=lin, b=wang, d="NOT_SAME")
    assert (await reviews(office, lin))["identities"] == []


async def test_a_phone_is_told_as_a_number_where_it_is_one(chain: Chain, office: Graph):
    typed = {"phones": ["138 0013 8000", "ext. 12"], "emails": ["lin@x.cn"]}
    id = await office.customer("林芳", homeUnitId=chain.units[NEAR], **typed)
    asked = "query ($id: UUID!) { customer(id: $id) { phones { key typed phone } emails { phone } } }"
    told = (await office.ask(asked, id=id))["customer"]
    assert {phone["typed"]: phone["phone"] for phone in told["phones"]} == {
        "138 0013 8000": next(phone["key"] for phone in told["phones"] if phone["typed"] == "138 0013 8000"),
        "ext. 12": None,
    }
    assert told["emails"] == [{"phone": None}]
