# ruff: noqa: E501 (queries)
"""Subscriptions over real sockets: what is told, to whom, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from regulars_server import devices, erasure
from regulars_server.access.models import LoginRow
from regulars_server.authors import SERVER
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, Tablet, caller
from tests.support.sockets import Served, Socket, events, served, told

CHANGES = """subscription ($after: String, $entities: [EntityName!]) { changes(after: $after, entities: $entities) {
    cursor more unitsLost sensitiveLost rows { kind entity id row { id ... on Customer { name belief } } }
} }"""
CUSTOMER = "subscription ($ids: [UUID!]!) { customerChanged(ids: $ids) { kind id customer { name notes golden { notes } } } }"
MEMBERS = "subscription ($id: UUID!) { membershipChanged(segment: $id) { entered { name } left members } }"
REVIEWS = """subscription ($after: String, $kinds: [ReviewKind!]) { reviewNeeded(after: $after, kinds: $kinds) {
    cursor reviews { kind paths row { id } change { cid code } identity { one { id } other { id } identity { decision } } }
} }"""
DEVICES = (
    "subscription ($ids: [UUID!]) { deviceStatus(ids: $ids) { kind id heldChanges device { name revoked } } }"
)
UPDATE = """mutation ($key: String!, $id: UUID!, $set: CustomerEdit!) {
    customerUpdate(idempotencyKey: $key, id: $id, set: $set) { __typename ... on Error { code message } }
}"""


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


@pytest.fixture
async def site(chain: Chain) -> AsyncIterator[Served]:
    async with served(chain) as made:
        yield made


async def update(graph: Graph, id: str, **set_: Any) -> None:
    done = await graph.ask(UPDATE, key=graph.key(), id=id, set=set_)
    assert done["customerUpdate"]["__typename"] == "CustomerSaved", done


def rows(event: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    return [(row["kind"], row["entity"], (row["row"] or {}).get("name")) for row in event["rows"]]


async def begun(socket: Socket, query: str, **variables: Any) -> dict[str, Any]:
    """The first event of a subscription."""
    await socket.subscribe(query, **variables)
    return await socket.data()


# --- changes ----------------------------------------------------------------------------------------------


async def test_changes_within_reach_are_told_and_no_others(chain: Chain, site: Served) -> None:
    admin = await caller(chain)
    clerk = await caller(chain, "clerk", "Nanjing Road")
    async with site.socket(admin.token) as all_, site.socket(clerk.token) as some:
        for socket in (all_, some):
            assert (await begun(socket, CHANGES))["rows"] == []
        await admin.customer("theirs", homeUnitId=chain.units["Orchard"])
        await admin.customer("ours", homeUnitId=chain.units["Nanjing Road"])
        await admin.customer("nobody's")
        assert rows(await some.data()) == [("CHANGED", "CUSTOMER", "ours")]
        found = [row for _ in range(3) for row in rows(await all_.data())]
        assert found == [("CHANGED", "CUSTOMER", name) for name in ("theirs", "ours", "nobody's")]
        await admin.customer("theirs again", homeUnitId=chain.units["Orchard"])
        await admin.customer("ours again", homeUnitId=chain.units["Nanjing Road"])
        assert rows(await some.data()) == [("CHANGED", "CUSTOMER", "ours again")]


async def test_a_row_that_left_is_told_by_its_id_alone(chain: Chain, site: Served) -> None:
    admin = await caller(chain)
    clerk = await caller(chain, "clerk", "Nanjing Road")
    id = await admin.customer("moving", homeUnitId=chain.units["Nanjing Road"])
    async with site.socket(clerk.token) as socket:
        await begun(socket, CHANGES)
        await update(admin, id, homeUnitId=chain.units["Orchard"], name="secret")
        (row,) = (await socket.data())["rows"]
        assert row == {"kind": "LEFT", "entity": "CUSTOMER", "id": id, "row": None}


async def test_whoever_was_away_is_told_what_was_missed(chain: Chain, site: Served) -> None:
    admin = await caller(chain)
    clerk = await caller(chain, "clerk", "Nanjing Road")
    for graph in (admin, clerk):
        async with site.socket(graph.token) as socket:
            cursor = (await begun(socket, CHANGES))["cursor"]
        ids = [await admin.customer(f"{n}", homeUnitId=chain.units["Nanjing Road"]) for n in range(3)]
        await update(admin, ids[0], notes="x")
        async with site.socket(graph.token) as socket:
            event = await begun(socket, CHANGES, after=cursor)
            assert {row["id"] for row in event["rows"]} == set(ids)
            again = await begun(socket, CHANGES, after=event["cursor"])
            assert again["rows"] == []


async def test_much_that_was_missed_comes_in_parts_and_whole(
    chain: Chain, site: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regulars_server.graph.live.following.ROWS_MAX", 3)
    admin = await caller(chain)
    for graph in (admin, await caller(chain, "clerk", "Nanjing Road")):
        async with site.socket(graph.token) as socket:
            cursor = (await begun(socket, CHANGES))["cursor"]
        ids = {await admin.customer(f"{n}", homeUnitId=chain.units["Nanjing Road"]) for n in range(10)}
        found: set[str] = set()
        while found != ids:  # each part over a line of its own
            async with site.socket(graph.token) as socket:
                event = await begun(socket, CHANGES, after=cursor)
                assert event["rows"]
                assert len(event["rows"]) <= 3
                found |= {row["id"] for row in event["rows"]}
                cursor = event["cursor"]


async def test_only_the_kinds_that_were_asked_for_are_told(chain: Chain, site: Served) -> None:
    admin = await caller(chain)
    async with site.socket(admin.token) as socket:
        await begun(socket, CHANGES, entities=["INTERACTION"])
        lin = await admin.customer("林芳", homeUnitId=chain.units["Nanjing Road"])
        await admin.visit(lin)
        assert [row["entity"] for row in (await socket.data())["rows"]] == ["INTERACTION"]


async def test_a_program_is_told_only_of_what_its_scopes_let_it_read(chain: Chain, site: Served) -> None:
    admin = await caller(chain)
    _, token = await chain.service.access.new_token(
        "developer", "visits", "admin", None, False, scopes=["read:interactions"]
    )
    async with site.socket(token) as socket:
        await begun(socket, CHANGES)
        lin = await admin.customer("林芳", homeUnitId=chain.units["Nanjing Road"])
        await admin.visit(lin)
        assert [row["entity"] for row in (await socket.data())["rows"]] == ["INTERACTION"]
        await socket.subscribe(CUSTOMER, ids=[lin])
        said = await socket.hear()
        assert said["type"] == "error", said
        assert said["payload"][0]["extensions"]["code"] == "scope_missing"


async def test_a_sensitive_field_changes_silently_for_whoever_may_not_read_it(
    chain: Chain, site: Served
) -> None:
    admin = await caller(chain, sensitive=True)
    id = await admin.customer("林芳", homeUnitId=chain.units["Nanjing Road"])
    plain = await caller(chain)
    clerk = await caller(chain, "clerk", "Nanjing Road")
    async with (
        site.socket(admin.token) as first,
        site.socket(plain.token) as second,
        site.socket(clerk.token) as third,
    ):
        for socket in (first, second, third):
            await begun(socket, CHANGES)
        await update(admin, id, belief="vermilion")
        await update(admin, id, notes="likes oak")
        assert (await first.data())["rows"][0]["row"]["belief"] == "vermilion"
        for socket in (second, third):
            (row,) = (await socket.data())["rows"]
            assert row["row"] == {"id": id, "name": "林芳", "belief": None}
            await socket.subscribe("{ me { name } }")
            assert "me" in (await socket.hear())["payload"]["data"]  # one event came, not two


async def test_an_erased_row_has_left(chain: Chain, site: Served) -> None:
    admin = await caller(chain)
    clerk = await caller(chain, "clerk", "Nanjing Road")
    id = await admin.customer("林芳", homeUnitId=chain.units["Nanjing Road"])
    async with site.socket(admin.token) as first, site.socket(clerk.token) as second:
        for socket in (first, second):
            await begun(socket, CHANGES, entities=["CUSTOMER"])
        await erasure.erase(chain.service, id, "asked for", None)
        for socket in (first, second):
            while not (event := await socket.data())["rows"]:
                pass
            assert rows(event)[-1] == ("LEFT", "CUSTOMER", None)


async def test_a_unit_that_is_taken_away_is_told_and_one_that_is_given_comes_whole(
    chain: Chain, site: Served
) -> None:
    admin = await caller(chain)
    await chain.service.access.add_login("amy", "correct horse", "clerk", units=[chain.units["Nanjing Road"]])
    _, token = await chain.service.access.login("amy", "correct horse")
    await admin.customer("old", homeUnitId=chain.units["Orchard"])
    async with site.socket(token) as socket:
        await begun(socket, CHANGES)
        async with chain.service.access._database.writer() as db:
            await LoginRow.filter(name="amy").using_db(db).update(units=f'["{chain.units["Orchard"]}"]')
        chain.clock.pass_(seconds=5)  # beyond what is kept in memory
        event = await socket.data()
        assert event["unitsLost"] == [chain.units["Nanjing Road"]]
        assert rows(event) == [("CHANGED", "CUSTOMER", "old")]


async def test_a_cursor_of_another_reach_or_of_nobody_is_refused(chain: Chain, site: Served) -> None:
    admin = await caller(chain)
    clerk = await caller(chain, "clerk", "Nanjing Road")
    async with site.socket(admin.token) as first, site.socket(clerk.token) as second:
        cursor = (await begun(first, CHANGES))["cursor"]
        for given, code in ((cursor, "cursor_expired"), ("x", "cursor_invalid")):
            await second.subscribe(CHANGES, after=given)
            said = await second.hear()
            assert (said["type"], said["payload"][0]["extensions"]["code"]) == ("error", code)


async def test_a_cursor_below_the_floor_has_expired(chain: Chain, site: Served) -> None:
    admin = await caller(chain)
    clerk = await caller(chain, "clerk", "Nanjing Road")
    for graph in (admin, clerk):
        async with site.socket(graph.token) as socket:
            cursor = (await begun(socket, CHANGES))["cursor"]
            await admin.customer("x", homeUnitId=chain.units["Nanjing Road"])
            chain.clock.pass_(days=1)
            await admin.customer("y", homeUnitId=chain.units["Nanjing Road"])
            await chain.service.storage.compact(chain.clock.ms)
            await admin.customer("z", homeUnitId=chain.units["Nanjing Road"])
            while rows(await socket.data())[-1] != ("CHANGED", "CUSTOMER", "z"):
                pass
            await socket.subscribe(CHANGES, after=cursor)
            said = await socket.hear()
            assert (said["type"], said["payload"][0]["extensions"]["code"]) == ("error", "cursor_expired")


async def test_what_another_server_on_the_database_wrote_is_told(
    chain: Chain, site: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regulars_server.hub.POLL_S", 0.05)
    monkeypatch.setattr(
        chain.service.hub, "publish", lambda scopes, seq=None: None
    )  # nobody tells this process
    woken = chain.service.hub._waiting
    admin = await caller(chain)

    async def another() -> None:
        seen = None
        while True:  # as Hub.watch does
            async with chain.service.storage.unscoped_reader() as reader:
                head = (await reader.head()).seq
            if seen not in (None, head):
                for waiting in list(woken.values()):
                    for event in waiting:
                        event.set()
            seen = head
            await asyncio.sleep(0.05)

    watching = asyncio.create_task(another())
    async with site.socket(admin.token) as socket:
        await begun(socket, CHANGES)
        await admin.customer("x")
        assert rows(await socket.data()) == [("CHANGED", "CUSTOMER", "x")]
    watching.cancel()


# --- customers, segments, reviews, devices ----------------------------------------------------------------


async def test_a_card_is_told_first_as_it_is_and_then_whenever_it_changes(chain: Chain, site: Served) -> None:
    admin = await caller(chain)
    clerk = await caller(chain, "clerk", "Nanjing Road")
    here = await admin.customer("here", homeUnitId=chain.units["Nanjing Road"])
    there = await admin.customer("there", homeUnitId=chain.units["Orchard"])
    async with site.socket(clerk.token) as socket:
        assert (await begun(socket, CUSTOMER, ids=[here, there]))["customer"]["name"] == "here"
        await update(admin, there, notes="x")
        await update(admin, here, notes="likes oak")
        assert (await socket.data())["customer"]["notes"] == "likes oak"
        await update(admin, here, homeUnitId=chain.units["Orchard"])
        assert await socket.data() == {"kind": "LEFT", "id": here, "customer": None}
        await update(admin, there, homeUnitId=chain.units["Nanjing Road"])
        assert (await socket.data())["customer"]["name"] == "there"


async def test_a_card_changes_with_every_row_of_the_person(chain: Chain, site: Served) -> None:
    admin = await caller(chain)
    home = chain.units["Nanjing Road"]
    one, other = [await admin.customer(name, homeUnitId=home) for name in ("林芳", "林方")]
    decide = """mutation ($key: String!, $one: UUID!, $other: UUID!) {
        identityDecide(idempotencyKey: $key, input: {one: $one, other: $other, decision: SAME}) { __typename }
    }"""
    async with site.socket(admin.token) as socket:
        await begun(socket, CUSTOMER, ids=[one])
        await admin.ask(decide, key=admin.key(), one=one, other=other)
        await socket.data()
        await update(admin, other, notes="of the other row")
        assert (await socket.data())["customer"]["golden"]["notes"] == "of the other row"


async def test_who_enters_and_leaves_a_segment_is_told(chain: Chain, site: Served) -> None:
    admin = await caller(chain)
    clerk = await caller(chain, "clerk", "Nanjing Road")
    home = chain.units["Nanjing Road"]
    segment = chain.new_id()
    await chain.write("create", "segment", segment, {"name": "vip"})
    one, two = [await admin.customer(name, homeUnitId=home) for name in ("one", "two")]
    far = await admin.customer("far", homeUnitId=chain.units["Orchard"])
    add, remove = (
        f"mutation ($key: String!, $segment: UUID!, $ids: [UUID!]!) {{ segmentMembers{verb}(idempotencyKey: $key, segment: $segment, customers: $ids) {{ __typename }} }}"
        for verb in ("Add", "Remove")
    )
    await admin.ask(add, key=admin.key(), segment=segment, ids=[one])
    async with site.socket(clerk.token) as socket:
        assert await begun(socket, MEMBERS, id=segment) == {"entered": [], "left": [], "members": 1}
        await admin.ask(add, key=admin.key(), segment=segment, ids=[far])
        await admin.ask(add, key=admin.key(), segment=segment, ids=[two])
        assert await socket.data() == {"entered": [{"name": "two"}], "left": [], "members": 2}
        await admin.ask(remove, key=admin.key(), segment=segment, ids=[one])
        assert await socket.data() == {"entered": [], "left": [one], "members": 1}
        await update(admin, two, homeUnitId=chain.units["Orchard"])
        assert await socket.data() == {"entered": [], "left": [two], "members": 0}
        await update(admin, far, homeUnitId=home)
        assert await socket.data() == {"entered": [{"name": "far"}], "left": [], "members": 1}
        await socket.subscribe(MEMBERS, id=chain.new_id())
        assert (await socket.hear())["payload"][0]["extensions"]["code"] == "not_found"


async def test_who_a_rule_brings_into_a_segment_is_told_with_the_reason(chain: Chain, site: Served) -> None:
    admin = await caller(chain)
    clerk = await caller(chain, "clerk", "Nanjing Road")
    lin = await admin.customer("林芳", homeUnitId=chain.units["Nanjing Road"])
    far = await admin.customer("far", homeUnitId=chain.units["Orchard"])
    segment = chain.new_id()
    rule = {
        "all": [
            {"number": {"count": {"kind": ["visit"]}}, "op": ">=", "value": 1},
            {"field": "belief", "op": "missing"},
        ]
    }
    await chain.write("create", "segment", segment, {"name": "S", "rule": rule})
    query = MEMBERS.replace(
        " members }", " members movements { customerId before after by tests { rule holds value } } }"
    )
    said: dict[str, Any] = {"kind": "visit", "at": "2026-11-20T00:00:00.000Z", "party": [{"customer": lin}]}
    fact = chain.new_id()
    async with site.socket(clerk.token) as socket:
        assert (await begun(socket, query, id=segment))["members"] == 0
        await chain.write("create", "interaction", chain.new_id(), {**said, "party": [{"customer": far}]})
        await chain.write("create", "interaction", fact, said)
        moved = {"customerId": lin, "before": None, "after": "member", "by": "FACTS"}
        turned = {"rule": "count(visit) >= 1", "holds": True, "value": 1}
        assert await socket.data() == {
            "entered": [{"name": "林芳"}],
            "left": [],
            "members": 1,
            "movements": [{**moved, "tests": [turned]}],
        }
        await chain.write("create", "interaction", chain.new_id(), {**said, "void": True, "supersedes": fact})
        event = await socket.data()
        assert (event["left"], event["members"], event["movements"][0]["after"]) == ([lin], 0, None)
        await chain.write("create", "interaction", chain.new_id(), said)
        assert (await socket.data())["members"] == 1
        await chain.write("edit", "customer", lin, {"belief": "x"})
        (moved,) = (await socket.data())["movements"]
        assert (moved["by"], moved["tests"]) == ("REST", [])  # a clerk may not read the belief


async def test_what_begins_to_wait_for_a_person_is_told_to_those_who_may_see_it(
    chain: Chain, site: Served
) -> None:
    admin = await caller(chain)
    clerk = await caller(chain, "clerk", "Nanjing Road")
    other = await caller(chain, "clerk", "Orchard")
    home = chain.units["Nanjing Road"]
    one, two = [await admin.customer(name, homeUnitId=home) for name in ("林芳", "林方")]
    async with (
        site.socket(admin.token) as first,
        site.socket(clerk.token) as second,
        site.socket(other.token) as third,
    ):
        cursors = [(await begun(socket, REVIEWS))["cursor"] for socket in (first, second, third)]
        tablet = await Tablet(chain, admin).pair("Nanjing Road")
        assert await tablet.push(tablet.change({"name": "x", "gender": "purple"}, "c" * 32)) == ["rejected"]
        for socket in (first, second):
            (review,) = (await socket.data())["reviews"]
            assert (review["kind"], review["change"]["cid"]) == ("HELD", "c" * 32)
        propose = """mutation ($key: String!, $one: UUID!, $other: UUID!) {
            identityPropose(idempotencyKey: $key, input: {one: $one, other: $other}) { __typename }
        }"""
        await admin.ask(propose, key=admin.key(), one=one, other=two)
        (review,) = (await first.data())["reviews"]
        assert review["identity"]["identity"]["decision"] == "PROPOSED"
        edit = chain.service.change("edit", "customer", one, {"notes": "a"})
        beside = chain.service.change("edit", "customer", one, {"notes": "b"})
        await chain.service.admission.write(SERVER, [[edit]])
        await chain.service.admission.write(SERVER, [[beside]])
        for socket in (first, second):
            (review,) = (await socket.data())["reviews"]
            assert (review["kind"], review["paths"], review["row"]["id"]) == ("CONTESTED", ["notes"], one)
        missed = await begun(first, REVIEWS, after=cursors[0], kinds=["HELD", "CONTESTED"])
        assert [review["kind"] for review in missed["reviews"]] == ["HELD", "CONTESTED"]
        assert (await begun(third, REVIEWS, after=cursors[2]))["reviews"] == []
        await second.subscribe(REVIEWS, kinds=["IDENTITY"])
        assert (await second.hear())["payload"][0]["extensions"]["code"] == "not_allowed"


async def test_a_tablet_is_told_of_with_how_much_of_its_work_waits(chain: Chain, site: Served) -> None:
    admin = await caller(chain)
    tablet = await Tablet(chain, admin).pair("Nanjing Road")
    here, there = await caller(chain, "manager", "Nanjing Road"), await caller(chain, "manager", "Orchard")
    async with site.socket(here.token) as first, site.socket(there.token) as second:
        status = await begun(first, DEVICES)
        assert (status["id"], status["heldChanges"], status["device"]["revoked"]) == (tablet.device, 0, None)
        assert (await begun(second, DEVICES, ids=[tablet.device]))[
            "heldChanges"
        ] == 0  # the row is the chain's
        await tablet.push(tablet.change({"name": "x", "gender": "purple"}, "c" * 32))
        assert (await first.data())["heldChanges"] == 1
        await devices.revoke(chain.service, tablet.device)
        while not (await first.data())["device"]["revoked"]:
            pass
        status = await second.data()  # the first that it is told of, for what waits is not of its unit
        assert (status["heldChanges"], status["device"]["revoked"]) == (0, True)


# --- over server-sent events --------------------------------------------------------------------------


async def test_events_of_a_stream_of_its_own(chain: Chain, site: Served) -> None:
    admin = await caller(chain)
    async with site.http(admin.token) as http, events(http, json={"query": CHANGES}) as stream:
        event, said = await told(stream)
        assert (event, said["data"]["changes"]["rows"]) == ("next", [])
        await admin.customer("x")
        event, said = await told(stream)
        assert rows(said["data"]["changes"]) == [("CHANGED", "CUSTOMER", "x")]
    async with site.http(admin.token) as http:
        async with events(http, json={"query": "{ me { role } }"}) as stream:
            event, said = await told(stream)
            assert said["data"] == {"me": {"role": "admin"}}
            assert await told(stream) == ("complete", None)
        async with events(http, json={"query": "{ nothing }"}) as stream:
            event, said = await told(stream)
            assert (event, "data" in said, len(said["errors"])) == ("next", False, 1)
            assert await told(stream) == ("complete", None)
    async with site.http() as http:
        answer = await http.post("/graphql", headers={"accept": "text/event-stream"}, json={"query": CHANGES})
        assert answer.status_code == 401
