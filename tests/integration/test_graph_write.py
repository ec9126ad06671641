# ruff: noqa: E501 (queries)
"""Mutations: a change each, once for each key, with typed answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from regulars_schema.messages import MESSAGES
from regulars_sync.changes import Change, Stated, Value
from regulars_sync.errors import Refused
from tests.support.chain import Chain, new_chain
from tests.support.graph import CREATE, Graph, Tablet, caller

ERROR = "__typename ... on Error { code path message detail retryable }"
NOBODY = "01a20038-0101-7724-a4c3-597164c48aff"
UPDATE = f"mutation ($k: String!, $id: UUID!, $set: CustomerEdit!, $v: String) {{ done: customerUpdate(idempotencyKey: $k, id: $id, set: $set, expectedVersion: $v) {{ {ERROR} ... on CustomerSaved {{ customer {{ id version name notes tags phones {{ key }} contactBy }} }} ... on VersionConflict {{ present {{ id version ... on Customer {{ notes }} }} }} }} }}"


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


@pytest.fixture
async def office(chain: Chain) -> Graph:
    return await caller(chain, "admin", sensitive=True)


@pytest.fixture
async def branch(chain: Chain) -> Graph:
    return await caller(chain, "manager", "Nanjing Road")


async def seq(chain: Chain) -> int:
    async with chain.service.storage.unscoped_reader() as reader:
        return (await reader.head()).seq


async def test_a_mutation_sent_twice_is_done_once_and_answered_alike(chain: Chain, branch: Graph):
    first = await branch.ask(CREATE, key="k", input={"name": "林芳", "phones": ["138 0013 8000"]})
    at = await seq(chain)
    again = await branch.ask(CREATE, key="k", input={"name": "林芳", "phones": ["138 0013 8000"]})
    assert first == again
    assert await seq(chain) == at
    other = await branch.ask(CREATE, key="k", input={"name": "王明"})
    assert other["customerCreate"]["code"] == "idempotency_reused"
    stranger = await caller(chain, "clerk", "Nanjing Road")
    theirs = await stranger.ask(CREATE, key="k", input={"name": "王明"})
    assert theirs["customerCreate"]["customer"]["id"] != first["customerCreate"]["customer"]["id"]


async def test_a_key_used_for_another_mutation_is_refused(branch: Graph):
    id = await branch.customer("林芳")
    await branch.ask(UPDATE, k="same", id=id, set={"notes": "a"})
    done = await branch.ask(
        'mutation ($id: UUID!) { done: customerArchive(idempotencyKey: "same", id: $id) { ... on Error { code } } }',
        id=id,
    )
    assert done["done"]["code"] == "idempotency_reused"


async def test_an_update_writes_what_is_given_and_leaves_the_rest(branch: Graph):
    id = await branch.customer(
        "林芳", phones=["13800138000"], tags=["vip"], notes="old", contactBy=["SMS", "PHONE"]
    )
    change = {
        "notes": "new",
        "tags": {"add": ["oak"], "remove": ["vip"]},
        "phones": {"add": ["139 0013 9000"]},
        "contactBy": {"remove": ["SMS"]},
    }
    done = (await branch.ask(UPDATE, k="1", id=id, set=change))["done"]["customer"]
    assert done["name"] == "林芳"
    assert (done["notes"], done["tags"], done["contactBy"]) == ("new", ["oak"], ["PHONE"])
    assert [phone["key"] for phone in done["phones"]] == ["+8613800138000", "+8613900139000"]
    done = (await branch.ask(UPDATE, k="2", id=id, set={"notes": None}))["done"]["customer"]
    assert (done["notes"], done["name"]) == (None, "林芳")


async def test_a_writer_who_saw_the_present_value_leaves_nothing_beside(branch: Graph, office: Graph):
    id = await branch.customer("林芳", phones=["138 0013 8000"])
    for i in range(3):
        await (branch if i % 2 else office).ask(
            UPDATE, k=f"n{i}", id=id, set={"notes": str(i), "phones": {"remove": ["+86 13800138000"]}}
        )
    got = await office.ask(
        "query ($id: UUID!) { customer(id: $id) { notes phones { key } contested { path } } }", id=id
    )
    assert got["customer"] == {"notes": "2", "phones": [], "contested": []}


async def test_an_outdated_version_conflicts_and_shows_the_present_row(chain: Chain, branch: Graph):
    id = await branch.customer("林芳")
    first = (await branch.ask(UPDATE, k="1", id=id, set={"notes": "a"}))["done"]["customer"]["version"]
    second = (await branch.ask(UPDATE, k="2", id=id, set={"notes": "b"}, v=first))["done"]["customer"][
        "version"
    ]
    assert first != second
    at = await seq(chain)
    for version in (first, "", "nonsense", f"{'0' * 16}.{second.rpartition('.')[2]}", second + "0" * 30):
        done = (await branch.ask(UPDATE, k="3", id=id, set={"notes": "c"}, v=version))["done"]
        assert done["__typename"] == "VersionConflict"
        assert done["code"] == "version_conflict"
        assert done["present"] == {"id": id, "version": second, "notes": "b"}
    assert await seq(chain) == at
    replay = (await branch.ask(UPDATE, k="2", id=id, set={"notes": "b"}, v=first))["done"]
    assert replay["customer"]["version"] == second


BAD_INPUTS: list[tuple[dict[str, Any], str, str | None]] = [
    ({"name": " "}, "text_empty", "name"),
    ({"name": "x" * 201}, "text_too_long", "name"),
    ({"name": "a\0b"}, "text_invalid", "name"),
    ({"name": "a", "phones": ["call me"]}, "phone_invalid", "phones/call me"),
    ({"name": "a", "emails": ["x"]}, "email_invalid", "emails/x"),
    ({"name": "a", "birth": {"month": 13, "day": 1}}, "value_range", "birth"),
    ({"name": "a", "tags": [""]}, "text_empty", "tags"),
    ({"name": "a", "tags": ["x" * 500]}, "text_too_long", None),
    ({"name": "a", "homeUnitId": NOBODY}, "not_found", "home_unit"),
    ({"name": "a", "ownerId": NOBODY}, "not_found", "owner"),
]


@pytest.mark.parametrize(("input", "code", "path"), BAD_INPUTS)
async def test_what_does_not_fit_is_a_typed_error_and_stores_nothing(
    chain: Chain, branch: Graph, input: dict[str, Any], code: str, path: str | None
):
    at = await seq(chain)
    done = (await branch.ask(CREATE, key="k", input=input))["customerCreate"]
    assert done["__typename"] == "Refusal"
    assert done["code"] == code
    assert code in MESSAGES
    if path is not None:
        assert done["path"] == path
    assert "?" not in done["message"].replace("“?”", "")
    assert await seq(chain) == at
    fixed = await branch.ask(CREATE, key="k", input={"name": "mended"})
    assert fixed["customerCreate"]["__typename"] == "CustomerSaved"


async def test_messages_are_in_the_callers_language(branch: Graph):
    asked = {"key": "k", "input": {"name": " "}}
    zh = await branch.send(CREATE, headers={"accept-language": "zh-CN,en;q=0.5"}, **asked)
    en = await branch.send(CREATE, headers={"accept-language": "en"}, **asked)
    assert zh["data"]["customerCreate"]["message"] == "“name”不能为空。"
    assert en["data"]["customerCreate"]["message"] == "“name” must not be empty."


async def test_an_empty_or_endless_key_is_refused(branch: Graph):
    for key in ("", "  ", "x" * 201, "a\0"):
        done = (await branch.ask(CREATE, key=key, input={"name": "a"}))["customerCreate"]
        assert done["path"] == "idempotencyKey", key


async def test_archive_and_return_tag_and_untag(branch: Graph):
    id = await branch.customer("林芳")
    for name, more, expected in (
        ("customerArchive", "", (True, [])),
        ("customerReturn", "", (False, [])),
        ("customerTag", ', tags: ["vip", " oak "]', (False, ["oak", "vip"])),
        ("customerUntag", ', tags: ["vip"]', (False, ["oak"])),
    ):
        done = await branch.ask(
            f'mutation ($id: UUID!) {{ done: {name}(idempotencyKey: "{name}", id: $id{more}) {{ {ERROR} ... on CustomerSaved {{ customer {{ archived tags }} }} }} }}',
            id=id,
        )
        assert (done["done"]["customer"]["archived"], done["done"]["customer"]["tags"]) == expected


async def test_a_correction_and_a_voiding_are_new_facts(branch: Graph):
    lin = await branch.customer("林芳")
    visit = await branch.visit(
        lin,
        stageReached=4,
        note="first",
        externalIds=["pos-1"],
        lines=[{"name": "sofa", "amount": 9_000_000_000}],
    )
    fields = f"{{ {ERROR} ... on InteractionSaved {{ interaction {{ id kind stageReached note void externalIds supersedesId lines {{ name amount }} party {{ customerId }} }} }} }}"
    correct = f'mutation ($id: UUID!) {{ done: interactionCorrect(idempotencyKey: "c", id: $id, set: {{ stageReached: 6, note: null }}) {fields} }}'
    done = (await branch.ask(correct, id=visit))["done"]["interaction"]
    assert (done["stageReached"], done["note"], done["supersedesId"], done["externalIds"]) == (
        6,
        None,
        visit,
        [],
    )
    assert done["lines"] == [{"name": "sofa", "amount": 9_000_000_000}]
    assert done["party"] == [{"customerId": lin}]
    assert (await branch.ask(correct, id=visit))["done"]["interaction"]["id"] == done["id"]
    void = f'mutation ($id: UUID!) {{ done: interactionVoid(idempotencyKey: "v", id: $id) {fields} }}'
    voided = (await branch.ask(void, id=done["id"]))["done"]["interaction"]
    assert (voided["void"], voided["supersedesId"], voided["lines"]) == (True, done["id"], [])
    got = await branch.ask(
        "query ($id: UUID!) { interaction(id: $id) { note supersededBy { id supersededBy { void } } } }",
        id=visit,
    )
    assert got["interaction"] == {
        "note": "first",
        "supersededBy": [{"id": done["id"], "supersededBy": [{"void": True}]}],
    }


async def test_the_same_link_set_twice_is_one_row(branch: Graph, office: Graph):
    lin, wang = await branch.customer("林芳"), await branch.customer("王明")
    query = "mutation ($k: String!, $a: UUID!, $b: UUID!, $on: Boolean!) { linkSet(idempotencyKey: $k, fromCustomerId: $a, toCustomerId: $b, kind: FAMILY, active: $on) { ... on LinkSaved { link { id active fromCustomer { name } toCustomer { name } contested { path } } } ... on Error { code path } } }"
    one = (await branch.ask(query, k="1", a=lin, b=wang, on=True))["linkSet"]["link"]
    two = (await office.ask(query, k="2", a=lin, b=wang, on=False))["linkSet"]["link"]
    assert one["id"] == two["id"]
    assert (one["active"], two["active"], two["contested"]) == (True, False, [])
    assert (await branch.ask(query, k="1", a=lin, b=wang, on=True))["linkSet"]["link"]["id"] == one["id"]
    got = await branch.ask(
        "query ($id: UUID!) { customer(id: $id) { links { totalCount nodes { toCustomerId } } } }", id=lin
    )
    assert got["customer"]["links"] == {"totalCount": 1, "nodes": [{"toCustomerId": wang}]}


async def test_members_are_added_each_for_itself(chain: Chain, office: Graph, branch: Graph):
    saved = await office.ask(
        'mutation { segmentSave(idempotencyKey: "s", input: { name: "Oak" }) { ... on SegmentSaved { segment { id } } } }'
    )
    segment = saved["segmentSave"]["segment"]["id"]
    lin, wang = await branch.customer("林芳"), await branch.customer("王明")
    query = "mutation ($k: String!, $s: UUID!, $c: [UUID!]!) { done: segmentMembers%s(idempotencyKey: $k, segment: $s, customers: $c) { ... on SegmentMembersSaved { results { customerId error { code } } } ... on Error { code path } } }"
    add, remove = query % "Add", query % "Remove"
    done = await branch.ask(add, k="1", s=segment, c=[lin, NOBODY, wang])
    assert [r["error"] for r in done["done"]["results"]] == [None, {"code": "not_found"}, None]
    at = await seq(chain)
    assert await branch.ask(add, k="1", s=segment, c=[lin, NOBODY, wang]) == done
    assert await seq(chain) == at
    assert (await branch.ask(add, k="1", s=segment, c=[wang, lin]))["done"]["code"] == "idempotency_reused"
    assert (await branch.ask(add, k="2", s=NOBODY, c=[lin]))["done"] == {
        "code": "not_found",
        "path": "segment",
    }
    assert (await branch.ask(add, k="3", s=segment, c=[NOBODY] * 501))["done"]["code"] == "query_too_large"
    await branch.ask(remove, k="4", s=segment, c=[wang])
    got = await branch.ask("query ($s: UUID!) { segmentMembers(segment: $s) { nodes { id } } }", s=segment)
    assert got["segmentMembers"]["nodes"] == [{"id": lin}]


SAVES = {
    "unitSave": ('name: "North", kind: REGION', 'name: "South"'),
    "staffSave": ('name: "Mei", role: CLERK', 'name: "Li"'),
    "productSave": ('name: "Sofa", price: 9000000000', 'name: "Bed"'),
    "segmentSave": ('name: "Oak"', 'purpose: "spring"'),
}


@pytest.mark.parametrize("unit", ["Nanjing Road", None])
async def test_a_version_is_of_what_its_reader_sees(chain: Chain, office: Graph, unit: str | None):
    plain = await caller(chain, "manager", unit)
    id = await office.customer("林芳", homeUnitId=chain.units["Nanjing Road"])
    query = "query ($id: UUID!) { customer(id: $id) { version } }"
    versions = [(await who.ask(query, id=id))["customer"]["version"] for who in (plain, office)]
    written = await office.ask(UPDATE, k="s", id=id, set={"belief": "buddhist"}, v=versions[1])
    assert written["done"]["customer"]["id"] == id
    assert (await plain.ask(query, id=id))["customer"]["version"] == versions[0]
    assert (await office.ask(query, id=id))["customer"]["version"] != versions[1]
    stale = await office.ask(UPDATE, k="o", id=id, set={"notes": "stale"}, v=versions[1])
    assert stale["done"]["code"] == "version_conflict"
    done = await plain.ask(UPDATE, k="p", id=id, set={"notes": "seen"}, v=versions[0])
    assert done["done"]["customer"]["notes"] == "seen"
    again = await plain.ask(UPDATE, k="q", id=id, set={"notes": "blind"}, v=versions[0])
    assert again["done"]["code"] == "version_conflict"


@pytest.mark.parametrize("name", SAVES)
async def test_head_office_alone_keeps_reference_data(office: Graph, branch: Graph, chain: Chain, name: str):
    type_ = name.removesuffix("Save")
    saved = f"{{ {ERROR} ... on {type_.capitalize()}Saved {{ {type_} {{ id name version }} }} }}"
    create, edit = SAVES[name]
    made = (
        await office.ask(f'mutation {{ done: {name}(idempotencyKey: "1", input: {{ {create} }}) {saved} }}')
    )["done"]
    id, version = made[type_]["id"], made[type_]["version"]
    done = (
        await office.ask(
            f'mutation {{ done: {name}(idempotencyKey: "2", id: "{id}", input: {{ {edit} }}, expectedVersion: "{version}") {saved} }}'
        )
    )["done"]
    assert done[type_]["id"] == id
    assert done[type_]["version"] != version
    empty = (await office.ask(f'mutation {{ done: {name}(idempotencyKey: "3", input: {{}}) {saved} }}'))[
        "done"
    ]
    assert empty["code"] == "fields_missing"
    none = (
        await office.ask(
            f'mutation {{ done: {name}(idempotencyKey: "4", id: "{NOBODY}", input: {{ {edit} }}) {saved} }}'
        )
    )["done"]
    assert none["code"] == "not_found"
    regional = await caller(chain, "admin", "Nanjing Road")
    for other in (branch, regional):
        refused = (
            await other.ask(
                f'mutation {{ done: {name}(idempotencyKey: "1", input: {{ {create} }}) {saved} }}'
            )
        )["done"]
        assert refused["code"] == "not_allowed"


async def test_an_analyst_reads_and_a_clerk_settles_nothing(chain: Chain):
    analyst, clerk = await caller(chain, "analyst"), await caller(chain, "clerk", "Orchard")
    refused = await analyst.ask(CREATE, key="k", input={"name": "a"})
    assert refused["customerCreate"]["code"] == "not_allowed"
    for field in (
        'heldRetry(idempotencyKey: "k", cid: "x")',
        'heldMend(idempotencyKey: "k", cid: "x", set: {})',
        'heldDrop(idempotencyKey: "k", cid: "x")',
        f'deviceInvite(idempotencyKey: "k", unit: "{chain.units["Orchard"]}", name: "t")',
        f'deviceRevoke(idempotencyKey: "k", id: "{NOBODY}")',
    ):
        done = await clerk.ask(f"mutation {{ done: {field} {{ {ERROR} }} }}")
        assert done["done"]["code"] == "not_allowed", field


async def test_a_tablet_is_invited_to_a_unit_of_yours_and_revoked(chain: Chain, branch: Graph, office: Graph):
    invite = f'mutation ($k: String!, $u: UUID!, $s: Boolean!) {{ done: deviceInvite(idempotencyKey: $k, unit: $u, name: "till", sensitive: $s) {{ {ERROR} ... on DeviceInvited {{ code }} }} }}'
    unit = chain.units["Nanjing Road"]
    code = (await branch.ask(invite, k="1", u=unit, s=False))["done"]["code"]
    assert (await branch.ask(invite, k="1", u=unit, s=False))["done"]["code"] == code
    assert (await branch.ask(invite, k="2", u=chain.units["Orchard"], s=False))["done"][
        "code"
    ] == "not_allowed"
    assert (await branch.ask(invite, k="3", u=NOBODY, s=False))["done"]["code"] == "not_found"
    assert (await branch.ask(invite, k="4", u=unit, s=True))["done"]["code"] == "not_allowed"
    assert (await branch.ask(invite, k="1", u=chain.units["Nanjing Road"], s=False))["done"][
        "__typename"
    ] == "DeviceInvited"
    paired = await office.http.post("/sync/v1/pair", json={"code": code, "name": "till", "schema": 1})
    device, token = paired.json()["device"], paired.json()["token"]
    got = await branch.ask("{ devices { nodes { id revoked unit { name } } } }")
    assert got["devices"]["nodes"] == [{"id": device, "revoked": None, "unit": {"name": "Nanjing Road"}}]
    revoke = f'mutation ($id: UUID!, $k: String! = "r") {{ done: deviceRevoke(idempotencyKey: $k, id: $id) {{ {ERROR} ... on DeviceRevoked {{ device {{ revoked }} }} }} }}'
    far = await caller(chain, "manager", "Orchard")
    assert (await far.ask(revoke, id=device))["done"]["code"] == "not_allowed"
    assert (await branch.ask(revoke, id=device))["done"]["device"] == {"revoked": True}
    assert (await branch.ask(revoke, id=device))["done"]["device"] == {"revoked": True}
    assert (await branch.ask(revoke, id=NOBODY, k="n"))["done"]["code"] == "not_found"
    office.token = token
    assert await office.code("{ me { name } }") == "device_revoked"


HELD = "{ heldChanges { nodes { cid verdict code path message detail fields { path value } device { name unit { name } } } } }"


async def test_a_rejected_change_is_seen_mended_and_gone(chain: Chain, office: Graph, branch: Graph):
    tablet = await Tablet(chain, office).pair("Nanjing Road")
    change = tablet.change({"name": "林芳", "gender": "seven"}, "a" * 32)
    assert await tablet.push(change) == ["rejected"]
    (held,) = (await branch.ask(HELD))["heldChanges"]["nodes"]
    assert (held["cid"], held["verdict"], held["code"], held["path"]) == (
        "a" * 32,
        "REJECTED",
        "enum_unknown",
        "gender",
    )
    assert held["device"] == {"name": "till", "unit": {"name": "Nanjing Road"}}
    assert "seven" in held["message"]
    mend = f'mutation ($k: String!, $set: JSON!, $w: [String!]!) {{ done: heldMend(idempotencyKey: $k, cid: "{"a" * 32}", set: $set, without: $w) {{ {ERROR} ... on HeldSettled {{ waits change {{ cid }} }} }} }}'
    assert (await branch.ask(mend, k="1", set={}, w=["gender"]))["done"]["code"] == "not_allowed"
    assert (await office.ask(mend, k="2", set={"gender": "eight"}, w=[]))["done"]["code"] == "enum_unknown"
    assert (await office.ask(mend, k="3", set=[], w=[]))["done"]["code"] == "value_type"
    done = (await office.ask(mend, k="4", set={"notes": "asked again"}, w=["gender"]))["done"]
    assert (done["waits"], done["change"]) == (False, None)
    assert (await office.ask(mend, k="4", set={"notes": "asked again"}, w=["gender"]))["done"] == done
    assert (await office.ask(mend, k="5", set={}, w=["gender"]))["done"]["code"] == "not_found"
    assert (await branch.ask(HELD))["heldChanges"]["nodes"] == []
    got = await branch.ask(
        "query ($id: UUID!) { customer(id: $id) { name gender notes } history(entity: CUSTOMER, id: $id) { nodes { cid verdict code closed replaces } } }",
        id=change.id,
    )
    assert got["customer"] == {"name": "林芳", "gender": None, "notes": "asked again"}
    first, second = got["history"]["nodes"]
    assert (first["verdict"], first["code"], first["closed"]) == ("REJECTED", "mended", True)
    assert (second["verdict"], second["replaces"]) == ("APPLIED", "a" * 32)


async def test_two_bad_changes_of_one_group_are_mended_one_after_the_other(chain: Chain, office: Graph):
    tablet = await Tablet(chain, office).pair("Nanjing Road")
    group = "a" * 32
    one = tablet.change({"name": "林芳", "gender": "seven"}, group, group, 2)
    two = tablet.change({"name": "王明", "gender": "eight"}, "b" * 32, group, 2)
    await tablet.push(one, two)
    assert {node["cid"] for node in (await office.ask(HELD))["heldChanges"]["nodes"]} == {one.cid, two.cid}
    mend = f'mutation ($cid: String!) {{ done: heldMend(idempotencyKey: $cid, cid: $cid, set: {{}}, without: ["gender"]) {{ {ERROR} ... on HeldSettled {{ waits }} }} }}'
    assert (await office.ask(mend, cid=one.cid))["done"]["waits"] is True
    assert (await office.ask(mend, cid=two.cid))["done"]["waits"] is False
    assert (await office.ask(HELD))["heldChanges"]["nodes"] == []
    got = await office.ask("{ customers(orderBy: NAME_ASC) { nodes { name gender } } }")
    assert got["customers"]["nodes"] == [{"name": "林芳", "gender": None}, {"name": "王明", "gender": None}]


async def test_a_held_change_is_retried_or_dropped(chain: Chain, office: Graph, branch: Graph):
    tablet = await Tablet(chain, office).pair("Nanjing Road")
    far = await office.customer("陈", homeUnitId=chain.units["Orchard"])
    edit = Change(
        cid="c" * 32,
        group="c" * 32,
        op="edit",
        entity="customer",
        id=far,
        fields={"notes": Value("x")},
        stamp=chain.clock.ms,
        stated=Stated(chain.clock.ms),
        schema=1,
    )
    bad = tablet.change({"name": " "}, "d" * 32)
    assert await tablet.push(edit, bad) == ["held", "rejected"]
    retry = f"mutation ($k: String!, $cid: String!) {{ done: heldRetry(idempotencyKey: $k, cid: $cid) {{ {ERROR} ... on HeldSettled {{ waits change {{ code verdict }} }} }} }}"
    done = (await branch.ask(retry, k="1", cid=edit.cid))["done"]
    assert done["waits"] is True
    assert done["change"]["code"] == "row_unknown"
    assert (await office.ask(retry, k="2", cid=edit.cid))["done"] == {
        "__typename": "HeldSettled",
        "waits": False,
        "change": None,
    }
    assert (await office.ask("query ($id: UUID!) { customer(id: $id) { notes } }", id=far))["customer"][
        "notes"
    ] == "x"
    drop = f"mutation ($k: String!, $cid: String!) {{ done: heldDrop(idempotencyKey: $k, cid: $cid) {{ {ERROR} ... on HeldSettled {{ waits }} }} }}"
    assert (await branch.ask(drop, k="1", cid=bad.cid))["done"]["code"] == "not_allowed"
    assert (await office.ask(drop, k="3", cid=bad.cid))["done"]["waits"] is False
    assert (await office.ask(drop, k="3", cid=bad.cid))["done"]["waits"] is False
    for cid in (bad.cid, "0" * 32, "", "林", "\0", "A" * 32):
        for asked in (drop, retry):
            assert (await office.ask(asked, k="4", cid=cid))["done"]["code"] == "not_found"
    assert (await office.ask(HELD))["heldChanges"]["nodes"] == []


async def test_head_offices_mend_reaches_any_row_and_reads_phones_as_the_tablet_would(
    chain: Chain, office: Graph
):
    tablet = await Tablet(chain, office).pair("Orchard")
    far = await office.customer("林芳", homeUnitId=chain.units["Nanjing Road"])
    change = tablet.change({"notes": "x"}, "c" * 32)
    assert await tablet.push(msgspec.structs.replace(change, op="edit", id=far)) == ["held"]
    mend = f'mutation ($k: String!, $set: JSON!) {{ done: heldMend(idempotencyKey: $k, cid: "{change.cid}", set: $set, without: ["notes"]) {{ {ERROR} ... on HeldSettled {{ waits }} }} }}'
    done = (await office.ask(mend, k="1", set={"phones/9123 4567": "9123 4567"}))["done"]
    assert done == {"__typename": "HeldSettled", "waits": False}
    got = await office.ask("query ($id: UUID!) { customer(id: $id) { phones { key } } }", id=far)
    assert got["customer"]["phones"] == [{"key": "+6591234567"}]


async def test_a_mend_has_seen_what_the_change_had_seen(chain: Chain, office: Graph):
    tablet = await Tablet(chain, office).pair("Orchard")
    far = await office.customer("林芳", notes="old", homeUnitId=chain.units["Nanjing Road"])
    async with chain.service.storage.unscoped_reader() as reader:
        (made,) = await reader.history("customer", far)
    change = msgspec.structs.replace(
        tablet.change({"notes": "x"}, "c" * 32), op="edit", id=far, seen={"notes": [made.cid]}
    )
    assert await tablet.push(change) == ["held"]
    mend = f'mutation {{ done: heldMend(idempotencyKey: "1", cid: "{change.cid}", set: {{notes: "new"}}) {{ {ERROR} ... on HeldSettled {{ waits }} }} }}'
    assert (await office.ask(mend))["done"] == {"__typename": "HeldSettled", "waits": False}
    got = await office.ask("query ($id: UUID!) { customer(id: $id) { notes contested { path } } }", id=far)
    assert got["customer"] == {"notes": "new", "contested": []}


async def test_held_changes_come_in_pages(chain: Chain, office: Graph):
    tablet = await Tablet(chain, office).pair("Nanjing Road")
    cids = [f"{i:032x}" for i in range(1, 6)]
    await tablet.push(*(tablet.change({"name": " "}, cid) for cid in cids))
    page = "query ($a: String) { heldChanges(first: 2, after: $a) { nodes { cid } pageInfo { hasNextPage endCursor } } }"
    found, after, more = [], None, True
    while more:
        got = (await office.ask(page, a=after))["heldChanges"]
        found += [node["cid"] for node in got["nodes"]]
        after, more = got["pageInfo"]["endCursor"], got["pageInfo"]["hasNextPage"]
    assert found == cids
    assert await office.code(page, a="x") == "cursor_invalid"
    got = await office.ask("query ($d: UUID!) { heldChanges(device: $d) { nodes { cid } } }", d=NOBODY)
    assert got["heldChanges"]["nodes"] == []


async def test_several_mutations_of_a_request_see_what_those_before_them_wrote(branch: Graph):
    id = await branch.customer("林芳")
    fields = (
        "{ ... on CustomerSaved { customer { tags interactions { totalCount } } } ... on Error { code } }"
    )
    got = await branch.ask(
        f'mutation ($id: UUID!) {{ a: customerTag(idempotencyKey: "a", id: $id, tags: ["x"]) {fields} b: customerTag(idempotencyKey: "b", id: $id, tags: ["y"]) {fields} }}',
        id=id,
    )
    assert got["a"]["customer"]["tags"] == ["x"]
    assert got["b"]["customer"]["tags"] == ["x", "y"]


async def test_a_customer_given_away_is_out_of_reach_and_the_replay_says_the_same(
    chain: Chain, branch: Graph
):
    id = await branch.customer("林芳")
    given = {"k": "move", "id": id, "set": {"homeUnitId": chain.units["Orchard"]}}
    first = (await branch.ask(UPDATE, **given))["done"]
    assert first == {"__typename": "CustomerSaved", "customer": None}
    assert (await branch.ask(UPDATE, **given))["done"] == first
    later = (await branch.ask(UPDATE, k="late", id=id, set={"notes": "x"}))["done"]
    never = (await branch.ask(UPDATE, k="never", id=NOBODY, set={"notes": "x"}))["done"]
    assert later == never
    assert later["code"] == "not_found"


async def test_a_change_that_holds_what_no_reader_takes_hides_no_other(chain: Chain, office: Graph):
    tablet = await Tablet(chain, office).pair("Nanjing Road")
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    await tablet.push(tablet.change({"name": deep}, "e" * 32), tablet.change({"name": [1]}, "f" * 32))
    held = (await office.ask(HELD))["heldChanges"]["nodes"]
    assert [change["fields"] for change in held] == [
        [{"path": "name", "value": "(list)"}],
        [{"path": "name", "value": [1]}],
    ]


async def test_a_full_disk_is_a_typed_error_that_may_pass_later(
    chain: Chain, branch: Graph, monkeypatch: pytest.MonkeyPatch
):
    async def full(*arguments: Any, **named: Any) -> Any:
        raise Refused("storage_full")

    with monkeypatch.context() as patched:
        patched.setattr(type(chain.service.admission), "write", full)
        done = (await branch.ask(CREATE, key="k", input={"name": "a"}))["customerCreate"]
    assert (done["code"], done["retryable"]) == ("storage_full", True)
    again = (await branch.ask(CREATE, key="k", input={"name": "a"}))["customerCreate"]
    assert again["__typename"] == "CustomerSaved"
