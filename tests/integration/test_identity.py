# ruff: noqa: E501 (queries)
"""One person registered twice: found, merged or asked about, shown as one, and taken apart exactly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from regulars import LocalError
from regulars_schema.declare import Level
from regulars_schema.entities import REGISTRY
from regulars_server import erasure
from regulars_server.app import DATABASE
from regulars_server.storage.interface import Order
from regulars_server.storage.memory import MemoryReader, MemoryStorage
from regulars_server.storage.sql.reader import SqlReader
from regulars_server.storage.sqlite import SqliteStorage
from regulars_sync.ids import identity_id
from tests.support.chain import Chain, new_chain, seeded
from tests.support.graph import Graph, caller

PHONE, SPELLED = "138 0013 8000", "+86 138 0013 8000"
DECIDE = """mutation ($key: String!, $input: IdentityDecisionInput!) { identityDecide(idempotencyKey: $key, input: $input) {
    __typename ... on IdentityDecided { identity { decision } one { id } other { id } } ... on Error { code } } }"""
PROPOSE = """mutation ($key: String!, $input: IdentityPairInput!) { identityPropose(idempotencyKey: $key, input: $input) {
    __typename ... on IdentityProposed { one { id } } ... on Error { code } } }"""
UNMERGE = """mutation ($key: String!, $input: CustomerUnmergeInput!) { customerUnmerge(idempotencyKey: $key, input: $input) {
    __typename ... on CustomerSaved { customer { id } } ... on Error { code } } }"""
SCAN = """mutation ($key: String!) { identityScan(idempotencyKey: $key) {
    __typename ... on IdentityScanned { customers } ... on Error { code } } }"""
REVIEWS = """query ($first: Int, $after: String) { identityReviews(first: $first, after: $after) {
    nodes { contradictory identity { decision reason matched suggests } one { id name } other { id name } }
    pageInfo { hasNextPage endCursor } } }"""
PERSON = """query ($id: UUID!) { customer(id: $id) { id survivorId members { id } household { id }
    golden { id name notes tags phones { key } contested { path } } interactions { totalCount nodes { id } } } }"""


@pytest.fixture(params=["sqlite", "memory"])
async def chain(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Chain]:
    storage = None
    if request.param == "memory":
        beside = SqliteStorage(tmp_path / DATABASE, REGISTRY)  # logins and codes are kept there all the same
        await beside.open()
        await beside.close()
        storage = MemoryStorage(REGISTRY, seeded(7))
    async with new_chain(tmp_path, storage) as made:
        yield made


@pytest.fixture
async def office(chain: Chain) -> Graph:
    return await caller(chain, "admin")


async def said(chain: Chain) -> dict[tuple[str, str], dict[str, Any]]:
    """What the server says of each pair."""
    async with chain.service.storage.unscoped_reader() as reader:
        found = await reader.select("identity", None, Order(), 1_000)
    rows = [orjson.loads(row.documents[Level.INTERNAL]) for row in found]
    return {(row["one"], row["other"]): row for row in rows}


async def of_pair(chain: Chain, a: str, b: str) -> str | None:
    row = (await said(chain)).get((min(a, b), max(a, b)))
    return None if row is None else row["decision"]


async def decide(office: Graph, a: str, b: str, decision: str, key: str | None = None) -> dict[str, Any]:
    input = {"one": a, "other": b, "decision": decision}
    done: dict[str, Any] = (await office.ask(DECIDE, key=key or office.key(), input=input))["identityDecide"]
    return done


async def unmerge(office: Graph, id: str, key: str | None = None) -> dict[str, Any]:
    done: dict[str, Any] = (await office.ask(UNMERGE, key=key or office.key(), input={"id": id}))[
        "customerUnmerge"
    ]
    return done


async def reviews(office: Graph) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = (await office.ask(REVIEWS))["identityReviews"]["nodes"]
    return nodes


async def person(graph: Graph, id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await graph.ask(PERSON, id=id))["customer"]
    return found


async def listed(graph: Graph, merged: bool = False, **given: Any) -> list[str]:
    query = """query ($search: String, $where: CustomerWhere, $merged: Boolean!) {
        customers(search: $search, where: $where, merged: $merged) { totalCount nodes { id } } }"""
    found = (await graph.ask(query, merged=merged, **given))["customers"]
    ids = [node["id"] for node in found["nodes"]]
    assert found["totalCount"] == len(ids)
    return ids


# --- what is found by itself ----------------------------------------------------------------------------


async def test_one_unit_registers_a_person_twice_offline_and_they_are_one(chain: Chain) -> None:
    one, two = await chain.tablet("one"), await chain.tablet("two")
    a = await one.customers.create(name="林芳", phone=PHONE)
    b = await two.customers.create(name="Lin Fang", phone="13800138000")
    assert (await one.sync()).equal
    assert (await two.sync()).equal
    (row,) = (await said(chain)).values()
    assert {row["one"], row["other"]} == {a.id, b.id}
    assert (row["decision"], row["reason"], row["matched"]) == ("same", "equal_key", "phones")


async def test_cards_of_one_person_are_no_shared_key_any_more(chain: Chain, office: Graph) -> None:
    keys = "{ equalKeys { key customers { id } } }"
    a = await office.customer("林芳", phones=[PHONE])
    b = await office.customer("林芳", phones=[PHONE])
    (shared,) = (await office.ask(keys))["equalKeys"]
    assert {customer["id"] for customer in shared["customers"]} == {a, b}
    await office.ask(DECIDE, key=office.key(), input={"one": a, "other": b, "decision": "SAME"})
    assert (await office.ask(keys))["equalKeys"] == []
    c = await office.customer("王伟", phones=[PHONE])
    (shared,) = (await office.ask(keys))["equalKeys"]
    assert {customer["id"] for customer in shared["customers"]} == {a, b, c}


async def test_two_units_wait_for_head_office_and_then_hold_both(chain: Chain, office: Graph) -> None:
    here, there = await chain.tablet("here"), await chain.tablet("there", "Orchard")
    a = await here.customers.create(name="林芳", phone=PHONE, notes="likes oak")
    b = await there.customers.create(name="Lin Fang", phone="+86 138 0013 8000", tag="vip")
    seen_here = await here.interactions.record(a, kind="visit")
    seen_there = await there.interactions.record(b, kind="purchase")
    for shop in (here, there, here):
        assert (await shop.sync()).equal
    assert await here.customers.find(b.id) is None
    assert await there.customers.find(a.id) is None
    (review,) = await reviews(office)
    assert not review["contradictory"]
    assert {review["one"]["name"], review["other"]["name"]} == {"林芳", "Lin Fang"}
    assert review["identity"] == {
        "decision": "PROPOSED",
        "reason": "EQUAL_KEY",
        "matched": "phones",
        "suggests": "SAME",
    }
    done = await decide(office, b.id, a.id, "SAME")
    assert done["identity"] == {"decision": "SAME"}
    assert await reviews(office) == []
    for shop in (here, there):
        assert (await shop.sync()).equal
        assert await chain.digests_equal(shop)
        for id in (a.id, b.id):
            facts = await shop.interactions.of(id)
            assert {fact.id for fact in facts} == {seen_here.id, seen_there.id}
            card = await shop.customers.get(id)
            assert (card.notes, set(card.tags), card.id) == ("likes oak", {"vip"}, id)
            assert card.members == tuple(sorted([a.id, b.id]))
            assert card.merged_into == (None if id == min(a.id, b.id) else min(a.id, b.id))
    golden = (await person(office, b.id))["golden"]
    assert golden["id"] == min(a.id, b.id)
    assert (golden["notes"], golden["tags"]) == ("likes oak", ["vip"])
    assert len(golden["phones"]) == 1


async def test_a_verified_key_merges_across_units_by_itself(chain: Chain) -> None:
    here, there = await chain.tablet("here"), await chain.tablet("there", "Orchard")
    a = await here.customers.create(name="林芳")
    b = await there.customers.create(name="林芳")
    for shop, id in ((here, a.id), (there, b.id)):
        await shop.write("customer", id, "edit", {"phones/+8613800138000": SPELLED}, verified="verified")
        await shop.sync()
    (row,) = (await said(chain)).values()
    assert (row["decision"], row["reason"]) == ("same", "verified_key")


async def test_a_proposal_becomes_a_merge_when_the_key_is_verified(chain: Chain, office: Graph) -> None:
    here, there = await chain.tablet("here"), await chain.tablet("there", "Orchard")
    a = await here.customers.create(name="林芳", phone=PHONE)
    b = await there.customers.create(name="林芳", phone="+86 138 0013 8000")
    await here.sync()
    await there.sync()
    assert await of_pair(chain, a.id, b.id) == "proposed"
    for shop, id in ((here, a.id), (there, b.id)):
        await shop.write("customer", id, "edit", {"phones/+8613800138000": SPELLED}, verified="verified")
        await shop.sync()
    assert await of_pair(chain, a.id, b.id) == "same"


async def test_what_was_decided_is_remembered_through_new_keys_and_a_scan(
    chain: Chain, office: Graph
) -> None:
    one = await chain.tablet("one")
    a = await one.customers.create(name="林芳", phone=PHONE)
    b = await one.customers.create(name="林芳", phone=PHONE)
    await one.sync()
    assert await of_pair(chain, a.id, b.id) == "same"
    await decide(office, a.id, b.id, "NOT_SAME")
    await one.customers.edit(a, email="lin@x.cn")
    await one.customers.edit(b.id, email="lin@x.cn")
    await one.sync()
    done = (await office.ask(SCAN, key="scan"))["identityScan"]
    assert done == {"__typename": "IdentityScanned", "customers": 2}
    assert await of_pair(chain, a.id, b.id) == "not_same"
    assert await reviews(office) == []


async def test_a_scan_finds_what_was_there_before_anybody_asked(chain: Chain, office: Graph) -> None:
    a = await office.customer("林芳", phones=[PHONE])
    b = await office.customer("林芳", phones=[PHONE])
    async with chain.service.storage.unscoped_reader() as reader:
        rows = await reader.select("identity", None, Order(), 10)
    await erasure_of_decisions(chain, [row.id for row in rows])
    assert await of_pair(chain, a, b) is None
    steps: list[int] = []
    assert await chain.service.admission.scan(steps.append) == 2
    assert steps == [2]
    assert await of_pair(chain, a, b) is None  # an erased decision never comes back
    c = await office.customer("林芳", phones=[PHONE])
    assert await of_pair(chain, a, c) == "proposed"


async def erasure_of_decisions(chain: Chain, ids: list[str]) -> None:
    async def work(settling: Any) -> None:
        for row in (await settling.writer.rows([("identity", id) for id in ids])).values():
            settling.erase(row)
        settling.append(erasure._entry(chain.service, "f" * 32, ids[0], None, None))

    await chain.service.admission.transact(work)


async def test_who_is_archived_or_erased_is_like_nobody(chain: Chain, office: Graph) -> None:
    a = await office.customer("林芳", phones=[PHONE])
    await chain.write("edit", "customer", a, {"archived": True})
    b = await office.customer("林芳", phones=[PHONE])
    assert await said(chain) == {}
    await erasure.erase(chain.service, b, "asked")
    c = await office.customer("林芳", phones=[PHONE])
    assert await said(chain) == {}
    await chain.write("edit", "customer", a, {"archived": False})
    assert await of_pair(chain, a, c) is None  # a false that saw no true archives still
    async with chain.service.storage.unscoped_reader() as reader:
        assert await reader.count("customer", None) == 2


async def test_a_key_that_many_share_proposes_nothing_and_is_listed(chain: Chain, office: Graph) -> None:
    for n in range(21):
        await office.customer(f"C{n}", phones=[PHONE])
    before = len(await said(chain))
    assert before == 20 * 19 / 2  # while they were few
    await office.customer("林芳", phones=[PHONE])
    assert len(await said(chain)) == before
    (shared,) = (await office.ask("{ equalKeys { key customers { id } } }"))["equalKeys"]
    assert len(shared["customers"]) == 22


async def test_matching_waits_for_its_turn_and_survives_a_restart(
    chain: Chain, office: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as cut:
        cut.setattr("regulars_server.admission.MATCHES_MAX", 0)
        a = await office.customer("林芳", phones=[PHONE])
        b = await office.customer("林芳", phones=[PHONE])
        assert await said(chain) == {}
    await chain.service.admission.sweep()
    assert await of_pair(chain, a, b) == "proposed"


# --- what head office decides ----------------------------------------------------------------------------


async def test_a_merged_person_is_listed_once_and_found_by_any_card(chain: Chain, office: Graph) -> None:
    a = await office.customer("林芳", phones=[PHONE], tags=["old"])
    b = await office.customer("Lin Fang", phones=["139 0013 9000"], tags=["vip"])
    c = await office.customer("张伟", tags=["vip"])
    await decide(office, a, b, "SAME")
    one = min(a, b)
    assert await listed(office) == sorted([one, c])
    assert await listed(office, merged=True) == sorted([a, b, c])
    for search in ("13900139000", "13800138000"):
        assert await listed(office, search=search) == [one]
    assert await listed(office, where={"name": {"eq": "Lin Fang"}}) == [one]
    assert await listed(office, where={"tags": {"has": "vip"}}) == sorted([one, c])
    for id in (a, b):
        found = await person(office, id)
        assert (found["id"], found["survivorId"]) == (id, one)
        assert [member["id"] for member in found["members"]] == sorted([a, b])
        assert found["golden"]["tags"] == ["old", "vip"]
        assert [path["path"] for path in found["golden"]["contested"]] == ["name"]
    alone = await person(office, c)
    assert (alone["survivorId"], alone["golden"]["id"], [m["id"] for m in alone["members"]]) == (c, c, [c])


async def test_an_edit_of_either_card_is_an_edit_of_the_person(chain: Chain, office: Graph) -> None:
    a, b = await office.customer("林芳", notes="of a"), await office.customer("林芳", notes="of b")
    await decide(office, a, b, "SAME")
    edit = "mutation ($key: String!, $id: UUID!, $notes: String!) { customerUpdate(idempotencyKey: $key, id: $id, set: {notes: $notes}) { __typename } }"
    for id, notes in ((b, "one"), (a, "two"), (b, "three")):
        await office.ask(edit, key=office.key(), id=id, notes=notes)
        golden = (await person(office, a))["golden"]
        assert golden["notes"] == notes
        assert golden["contested"] == []
    visits = [await office.visit(id) for id in (a, b)]
    found = (await person(office, a))["interactions"]
    assert {node["id"] for node in found["nodes"]} == set(visits)
    assert found["totalCount"] == 2


async def test_taking_one_out_leaves_the_others_one_and_every_row_as_it_was(
    chain: Chain, office: Graph
) -> None:
    here, there = await chain.tablet("here"), await chain.tablet("there", "Orchard")
    a = await here.customers.create(name="林芳", notes="of a")
    b = await there.customers.create(name="林芳", notes="of b")
    c = await there.customers.create(name="林芳", notes="of c")
    for shop in (here, there):
        await shop.sync()
    before = {id: await raw(chain, id) for id in (a.id, b.id, c.id)}
    both = await person(office, b.id)
    await decide(office, a.id, b.id, "SAME")
    await decide(office, a.id, c.id, "SAME")
    assert len((await person(office, b.id))["members"]) == 3
    for shop in (here, there):
        assert (await shop.sync()).equal
    assert await here.customers.find(c.id) is not None
    done = await unmerge(office, a.id, "take a out")
    assert done == {"__typename": "CustomerSaved", "customer": {"id": a.id}}
    assert await unmerge(office, a.id, "take a out") == done
    assert await unmerge(office, a.id) == done
    assert {id: await raw(chain, id) for id in before} == before
    assert [m["id"] for m in (await person(office, b.id))["members"]] == [b.id, c.id]
    assert (await said(chain))[b.id, c.id]["reason"] == "kept"
    assert [m["id"] for m in (await person(office, a.id))["members"]] == [a.id]
    await decide(office, b.id, c.id, "NOT_SAME")
    assert await person(office, b.id) == both
    for shop in (here, there):
        assert (await shop.sync()).equal
        assert await chain.digests_equal(shop)
    assert await here.customers.find(b.id) is None
    assert await there.customers.find(a.id) is None
    assert await there.customers.find(b.id) is not None


async def raw(chain: Chain, id: str) -> Any:
    async with chain.service.storage.unscoped_reader() as reader:
        return (await reader.find("customer", [id]))[id].documents


async def test_a_contradiction_dissolves_the_cluster_until_it_is_resolved(
    chain: Chain, office: Graph
) -> None:
    a, b, c = [await office.customer("林芳") for _ in range(3)]
    await decide(office, a, c, "SAME")
    await decide(office, b, c, "SAME")
    await decide(office, a, b, "NOT_SAME")
    found = await reviews(office)
    assert [node["contradictory"] for node in found] == [True, True, True]
    assert {frozenset((node["one"]["id"], node["other"]["id"])) for node in found} == {
        frozenset(pair) for pair in ((a, c), (b, c), (a, b))
    }
    assert await listed(office) == sorted([a, b, c])
    await unmerge(office, a)
    assert await reviews(office) == []
    assert [m["id"] for m in (await person(office, c))["members"]] == sorted([b, c])


async def test_the_server_never_contradicts_a_person_by_itself(chain: Chain, office: Graph) -> None:
    one = await chain.tablet("one")
    a, b, c = [await one.customers.create(name="林芳") for _ in range(3)]
    await one.sync()
    await decide(office, a.id, b.id, "SAME")
    await decide(office, b.id, c.id, "NOT_SAME")
    for customer in (a, c):
        await one.customers.edit(customer.id, phone=PHONE)
    await one.sync()
    assert await of_pair(chain, a.id, c.id) == "proposed"
    assert [m["id"] for m in (await person(office, a.id))["members"]] == [a.id, b.id]


async def test_a_household_is_two_people_who_are_linked(chain: Chain, office: Graph) -> None:
    a = await office.customer("林芳", phones=[PHONE])
    b = await office.customer("张伟", phones=[PHONE])
    (review,) = await reviews(office)
    assert review["identity"]["suggests"] == "HOUSEHOLD"
    await decide(office, a, b, "HOUSEHOLD", "once")
    await decide(office, a, b, "HOUSEHOLD", "once")
    assert await reviews(office) == []
    assert [other["id"] for other in (await person(office, a))["household"]] == [b]
    assert len((await person(office, a))["members"]) == 1
    await decide(office, a, b, "NOT_SAME")
    assert (await person(office, a))["household"] == []


async def test_the_same_decision_twice_is_one_and_another_under_its_key_is_refused(
    chain: Chain, office: Graph
) -> None:
    a, b, c = [await office.customer("林芳") for _ in range(3)]
    first = await decide(office, a, b, "SAME", "key")
    assert await decide(office, a, b, "SAME", "key") == first
    assert (await decide(office, b, a, "SAME", "key"))["code"] == "idempotency_reused"
    entries = await office.ask(
        "query ($id: UUID!) { history(entity: IDENTITY, id: $id) { nodes { cid } } }",
        id=next(iter((await said(chain)).values()))["id"],
    )
    assert len(entries["history"]["nodes"]) == 1
    assert (await decide(office, a, b, "NOT_SAME", "key"))["code"] == "idempotency_reused"
    assert (await decide(office, a, c, "SAME", "key"))["code"] == "idempotency_reused"
    assert (await unmerge(office, a, "key"))["code"] == "idempotency_reused"
    assert (await decide(office, a, a, "SAME"))["code"] == "argument_invalid"
    assert (await decide(office, a, chain.new_id(), "SAME"))["code"] == "not_found"
    assert (await unmerge(office, chain.new_id()))["code"] == "not_found"


async def test_reviews_come_in_pages(chain: Chain, office: Graph) -> None:
    for n in range(5):
        for _ in range(2):
            await office.customer(f"林{n}", phones=[f"138 0013 800{n}"])
    pages, after = [], None
    while True:
        page = (await office.ask(REVIEWS, first=2, after=after))["identityReviews"]
        pages.append(len(page["nodes"]))
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert pages == [2, 2, 1]


async def test_many_people_cost_no_more_reads_than_one(
    chain: Chain, office: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    for name in ("find", "select", "count", "clusters"):
        for kind in (SqlReader, MemoryReader):
            monkeypatch.setattr(kind, name, counted(getattr(kind, name), reads))
    query = '{ customers(where: {tags: {has: "t%d"}}) { nodes { golden { name } members { id } household { id } interactions { nodes { id } } } } }'
    counts = []
    for n in (1, 12):
        for i in range(n):
            a, b = [await office.customer(f"P{i}", tags=[f"t{n}"]) for _ in range(2)]
            await decide(office, a, b, "SAME")
            await office.visit(b)
        reads.clear()
        assert len((await office.ask(query % n))["customers"]["nodes"]) == n
        counts.append(len(reads))
    assert counts[0] == counts[1] <= 6


def counted(method: Any, calls: list[str]) -> Any:
    def call(*given: Any, **more: Any) -> Any:
        calls.append(method.__name__)
        return method(*given, **more)

    return call


# --- who may know and say what -----------------------------------------------------------------------------


async def test_a_branch_learns_nothing_of_the_other_side_before_the_decision(
    chain: Chain, office: Graph
) -> None:
    branch = await caller(chain, "manager", "Nanjing Road")
    here, there = await chain.tablet("here"), await chain.tablet("there", "Orchard")
    b = await there.customers.create(name="CANARY", phone="+86 138 0013 8000", notes="CANARY")
    await there.interactions.record(b, kind="visit", note="CANARY")
    await there.sync()
    transport = chain.transports["here"]
    alone = await here.customers.create(name="林芳", phone="139 0013 9000")
    await here.sync()
    a = await here.customers.create(name="canary", phone=PHONE)
    requests = len(transport.requests)
    report = await here.sync()
    assert await of_pair(chain, a.id, b.id) == "proposed"
    assert (report.applied, report.merged, report.held) == (1, 0, 0)
    assert len(transport.requests) - requests == 3
    assert report.pulled == 1
    for query in (
        "{ customers(merged: true) { totalCount nodes { id name notes members { id } survivorId identities { totalCount nodes { id } } golden { id notes } } } }",
        "{ equalKeys { key customers { id } } }",
        '{ customers(search: "canary") { totalCount nodes { id } } }',
    ):
        text = str(await branch.ask(query))
        assert "CANARY" not in text
        assert b.id not in text
        assert "'totalCount': 1, 'nodes': [{'id': " not in text or "identities" not in query
    unknown = chain.new_id()
    for query in (REVIEWS,):
        assert await branch.code(query) == "not_allowed"
    for id in (b.id, unknown):
        done = (await branch.ask(PROPOSE, key=branch.key(), input={"one": a.id, "other": id}))[
            "identityPropose"
        ]
        assert done == {"__typename": "Refusal", "code": "not_found"}
        done = (
            await branch.ask(DECIDE, key=branch.key(), input={"one": a.id, "other": id, "decision": "SAME"})
        )["identityDecide"]
        assert done == {"__typename": "Refusal", "code": "not_allowed"}
        assert (await unmerge(branch, id))["code"] == "not_allowed"
    assert (await branch.ask(SCAN, key="k"))["identityScan"]["code"] == "not_allowed"
    for path in chain.folder.glob("here*"):
        assert b"CANARY" not in path.read_bytes()
        assert b.id.encode() not in path.read_bytes()
    assert (await person(branch, alone.id))["members"] == [{"id": alone.id}]


async def test_a_branch_proposes_what_it_holds_and_head_office_sees_it(chain: Chain, office: Graph) -> None:
    branch = await caller(chain, "clerk", "Nanjing Road")
    a, b = await branch.customer("林芳"), await branch.customer("林 芳芳")
    done = (await branch.ask(PROPOSE, key="once", input={"one": b, "other": a}))["identityPropose"]
    assert done["__typename"] == "IdentityProposed"
    assert (await branch.ask(PROPOSE, key="once", input={"one": b, "other": a}))["identityPropose"] == done
    (review,) = await reviews(office)
    assert review["identity"]["reason"] == "PERSON"
    await decide(office, a, b, "NOT_SAME")
    again = (await branch.ask(PROPOSE, key="again", input={"one": a, "other": b}))["identityPropose"]
    assert again["__typename"] == "IdentityProposed"
    assert await of_pair(chain, a, b) == "not_same"
    await decide(office, a, b, "SAME")
    again = (await branch.ask(PROPOSE, key="third", input={"one": a, "other": b}))["identityPropose"]
    assert again["__typename"] == "IdentityProposed"
    assert await of_pair(chain, a, b) == "same"


async def test_erasing_a_member_takes_its_decisions_with_it(chain: Chain, office: Graph) -> None:
    a, b, c = [await office.customer("林芳", notes=note) for note in "abc"]
    await decide(office, a, b, "SAME")
    await decide(office, a, c, "SAME")
    await erasure.erase(chain.service, a, "asked")
    assert await said(chain) == {}
    assert await listed(office) == sorted([b, c])
    assert (await person(office, b))["golden"]["notes"] == "b"


# --- on a tablet --------------------------------------------------------------------------------------------


async def test_a_tablet_shows_one_card_a_person_and_writes_where_it_was_told(
    chain: Chain, office: Graph
) -> None:
    one, two = await chain.tablet("one"), await chain.tablet("two", "Orchard")
    a = await one.customers.create(name="林芳", phone=PHONE, notes="of a", tag="old")
    b = await two.customers.create(name="Lin Fang", phone="+86 139 0013 9000", notes="of b", tag="vip")
    other = await one.customers.create(name="张伟", tag="vip")
    await one.sync()
    await two.sync()
    chain.transports["two"].online = False
    pending = await two.interactions.record(b, kind="visit", note="offline")
    await decide(office, a.id, b.id, "SAME")
    await one.sync()
    chain.transports["two"].online = True
    await two.sync()
    first = min(a.id, b.id)
    assert [card.id for card in await one.customers.list()] == [first, other.id]
    assert [card.id for card in await one.customers.list(limit=1)] == [first]
    for text in ("linfang", "13900139000", "13800138000"):
        assert [card.id for card in await one.customers.search(text)] == [first]
    assert [card.id for card in await one.customers.with_phone("139 0013 9000")] == [first]
    assert {card.id for card in await one.tags.customers("vip")} == {first, other.id}
    shown = await one.customers.get(a.id)
    assert shown.tags == {"old", "vip"}
    assert set(shown.state.contested) == {"name", "notes", "home_unit"}
    # an edit through the person's card has seen what all of its cards say
    edited = await one.customers.edit(b.id, notes="settled")
    assert (edited.notes, "notes" in edited.state.contested, edited.state.pending) == ("settled", False, True)
    await one.tags.remove(a, "vip")
    assert (await one.customers.get(b.id)).tags == {"old"}
    assert {card.id for card in await one.tags.customers("vip")} == {other.id}
    await one.sync()
    await two.sync()
    for shop in (one, two):
        for id in (a.id, b.id):
            card = await shop.customers.get(id)
            assert (card.notes, set(card.tags)) == ("settled", {"old"})
            assert card.state.contested == ("home_unit", "name")
        assert [fact.id for fact in await shop.interactions.of(a)] == [pending.id]
        assert await chain.digests_equal(shop)
    golden = (await person(office, a.id))["golden"]
    assert (golden["notes"], golden["tags"]) == ("settled", ["old"])
    own = orjson.loads((await raw(chain, b.id))[Level.INTERNAL])
    assert (own["notes"], own["tags/vip"]) == ("settled", True)  # the row of b keeps what was its own
    await unmerge(office, b.id)
    await one.sync()
    await two.sync()
    assert (await two.customers.get(b.id)).tags == {"vip"}
    assert (await one.customers.get(a.id)).notes == "of a"
    assert await one.customers.find(b.id) is None


async def test_facts_written_offline_to_a_losing_id_show_with_the_person(chain: Chain, office: Graph) -> None:
    one = await chain.tablet("one")
    a, b = await one.customers.create(name="林芳"), await one.customers.create(name="林方")
    await one.sync()
    await decide(office, a.id, b.id, "SAME")
    await one.sync()
    chain.transports["one"].online = False
    for id in (a.id, b.id):
        await one.interactions.record(id, kind="visit")
        await one.customers.edit(id, tags=[id[-4:]])
    for id in (a.id, b.id):
        assert len(await one.interactions.of(id)) == 2
        card = await one.customers.get(id)
        assert card.tags == {a.id[-4:], b.id[-4:]}
        assert card.state.pending
    async with one.transaction():
        await one.customers.edit(a.id, notes="first")
        await one.customers.edit(b.id, notes="second")
    assert (await one.customers.get(a.id)).notes == "second"
    chain.transports["one"].online = True
    assert (await one.sync()).equal
    assert (await one.customers.get(a.id)).notes == "second"
    assert "notes" not in (await one.customers.get(a.id)).state.contested


async def test_a_tablet_proposes_offline_and_head_office_is_asked(chain: Chain, office: Graph) -> None:
    one = await chain.tablet("one")
    a, b = await one.customers.create(name="林芳"), await one.customers.create(name="阿芳")
    await one.identities.propose(b, a.id)
    report = await one.sync()
    assert (report.pushed, report.applied, report.equal) == (3, 3, True)
    (review,) = await reviews(office)
    assert review["identity"]["reason"] == "PERSON"
    await decide(office, a.id, b.id, "SAME")
    await one.sync()
    with pytest.raises(LocalError) as refused:
        await one.identities.propose(a, b)
    assert refused.value.code == "argument_invalid"
    for wrong, code in ((chain.new_id(), "not_found"), (a.id, "argument_invalid")):
        with pytest.raises(LocalError) as refused:
            await one.identities.propose(a, wrong)
        assert refused.value.code == code
    said = {"one": min(a.id, b.id), "other": max(a.id, b.id), "decision": "not_same"}
    with pytest.raises(LocalError) as refused:
        await one.write("identity", identity_id(a.id, b.id), "create", said)
    assert refused.value.code == "decision_reserved"


async def test_a_household_is_seen_on_the_tablet(chain: Chain, office: Graph) -> None:
    one = await chain.tablet("one")
    a = await one.customers.create(name="林芳", phone=PHONE)
    b = await one.customers.create(name="张伟", phone=PHONE)
    also_b = await one.customers.create(name="张伟")
    await one.sync()
    await decide(office, a.id, b.id, "HOUSEHOLD")
    await decide(office, b.id, also_b.id, "SAME")
    await one.sync()
    (found,) = await one.customers.household(a)
    assert set(found.members) == {b.id, also_b.id}
    assert [card.id for card in await one.customers.household(also_b)] == [a.id]


async def test_a_decision_stands_above_the_one_before_when_the_servers_clock_went_back(chain: Chain) -> None:
    office, one = await caller(chain), await chain.tablet("one")
    a = await one.customers.create(name="林芳")
    b = await one.customers.create(name="王伟")
    await one.sync()
    await decide(office, a.id, b.id, "NOT_SAME")
    chain.clock.ms -= 7_200_000
    await decide(office, a.id, b.id, "SAME")
    async with chain.service.storage.unscoped_reader() as reader:
        before, after = (
            e.stamp for e in await reader.history("identity", identity_id(*sorted((a.id, b.id))))
        )
    assert after > before
