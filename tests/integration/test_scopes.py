"""Who holds what, with real tablets: being seen, look-up, ageing, moves of customers, units and tablets."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from regulars import LocalError, Offline, Refused, Shop
from regulars.records import Customer
from regulars_server import devices, erasure
from regulars_server.ageing import Ageing, edge_at
from regulars_server.app import DATABASE
from regulars_server.authors import SERVER
from regulars_sync.document import decode
from regulars_sync.ids import identity_id
from regulars_sync.log import Entry
from tests.support.chain import NOON_MS, Chain, Clock, new_chain
from tests.support.graph import caller

DAY_MS = 86_400_000
HERE, THERE = "Nanjing Road", "Orchard"


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


def ageing(chain: Chain) -> Ageing:
    service = chain.service
    return Ageing(service.storage, service.admission, service.now_ms, service.entropy)


async def sync(*shops: Shop) -> None:
    for shop in shops:
        report = await shop.sync()
        assert report.problem is None, report
        assert report.equal, report


async def of_orchard(chain: Chain, **fields: object) -> tuple[Shop, Customer]:
    """A tablet of Orchard with a customer who was there once."""
    there = await chain.tablet("there", THERE)
    lin = await there.customers.create(name="林芳", phone="9123 4567", member_no="M1", **fields)
    await there.interactions.record(lin, kind="visit", note="first")
    await sync(there)
    return there, lin


# --- being seen -----------------------------------------------------------------------------------


async def test_who_registers_a_customer_for_another_unit_keeps_it_for_a_year_since_the_last_visit(
    chain: Chain,
) -> None:
    here, there = await chain.tablet("here", HERE), await chain.tablet("there", THERE)
    lin = await here.customers.create(name="林芳", home_unit=chain.units[THERE])
    await sync(here, there)
    assert await here.customers.find(lin.id) is not None
    assert await there.customers.find(lin.id) is not None
    chain.clock.pass_(days=300)
    await here.interactions.record(lin, kind="visit")
    await sync(here)
    chain.clock.pass_(days=300)
    await ageing(chain).once()
    await sync(here)
    assert await here.customers.find(lin.id) is not None
    chain.clock.pass_(days=66)
    await ageing(chain).once()
    await sync(here, there)
    assert await here.customers.find(lin.id) is None
    assert await here.interactions.of(lin.id) == []
    assert len(await there.interactions.of(lin.id)) == 1
    await here.interactions.record(lin.id, kind="call")  # accepted, since it was here once
    report = await here.sync()
    assert (report.applied, report.held) == (1, 0)
    await sync(here, there)
    assert await here.customers.find(lin.id) is None
    assert len(await there.interactions.of(lin.id)) == 2


async def test_a_fact_about_a_guessed_id_opens_no_history(chain: Chain) -> None:
    there, lin = await of_orchard(chain)
    here = await chain.tablet("here", HERE)
    await here.interactions.record(lin.id, kind="visit")
    report = await here.sync()
    assert report.held == 1
    await sync(here, there)
    assert await here.customers.find(lin.id) is None
    assert len(await there.interactions.of(lin.id)) == 1


async def test_a_customer_who_moves_is_handed_over_and_returns_without_another_update(chain: Chain) -> None:
    there, lin = await of_orchard(chain)
    here = await chain.tablet("here", HERE)
    await sync(here)
    await there.customers.edit(lin, home_unit=chain.units[HERE])
    await sync(there, here)
    assert await there.customers.find(lin.id) is None
    assert len(await here.interactions.of(lin.id)) == 1
    await there.interactions.record(lin.id, kind="call")
    report = await there.sync()
    assert (report.applied, report.held) == (1, 0)
    other = await chain.tablet("other", THERE)
    await sync(other)
    await here.customers.edit(lin.id, home_unit=chain.units[THERE])
    await sync(here, there, other)
    for shop in (there, other):
        assert len(await shop.interactions.of(lin.id)) == 2
    assert await here.customers.find(lin.id) is None


async def test_of_a_row_that_left_facts_are_taken_and_opinions_wait_until_it_returns(chain: Chain) -> None:
    there, lin = await of_orchard(chain)
    here = await chain.tablet("here", HERE)
    await chain.write("edit", "customer", lin.id, {"name": "林方"})
    await sync(there)
    await there.customers.edit(lin, notes="written offline")
    await there.interactions.record(lin, kind="call")
    await sync(here)
    await move(chain, lin.id, HERE)
    report = await there.sync()
    assert (report.applied, report.held) == (1, 1)
    (held,) = await there.held()
    assert held.code == "scope_left"
    assert await there.customers.find(lin.id) is None
    await sync(here)
    assert len(await here.interactions.of(lin.id)) == 2
    assert (await here.customers.get(lin.id)).notes is None
    await here.customers.edit(lin.id, home_unit=chain.units[THERE])
    await sync(here, there)
    assert await there.held() == []
    assert (await there.customers.get(lin.id)).notes == "written offline"


async def move(chain: Chain, id: str, unit: str) -> None:
    """Head office moves a customer, having seen where it is."""
    async with chain.service.storage.unscoped_reader() as reader:
        found = (await reader.find("customer", [id]))[id]
    seen = {"home_unit": sorted(decode(found.documents)["home_unit"].values)}
    change = chain.service.change("edit", "customer", id, {"home_unit": chain.units[unit]}, seen=seen)
    await chain.service.admission.write(SERVER, [[change]])


# --- clusters -------------------------------------------------------------------------------------


async def test_a_cluster_enters_and_leaves_together_and_taking_a_member_out_is_exact(chain: Chain) -> None:
    there, lin = await of_orchard(chain)
    here = await chain.tablet("here", HERE)
    twin = await here.customers.create(name="林女士")
    await sync(here)
    one, other = sorted((lin.id, twin.id))
    pair = identity_id(one, other)
    await chain.write("create", "identity", pair, {"one": one, "other": other, "decision": "same"})
    await sync(here, there)
    for shop in (here, there):
        assert all([await shop.customers.find(id) is not None for id in (one, other)])
        assert len(await shop.interactions.of(lin.id)) == 1
        assert await chain.digests_equal(shop)
    await here.customers.edit(lin.id, notes="from here")
    await sync(here, there)
    assert (await there.customers.get(lin.id)).notes == "from here"
    await chain.write("edit", "identity", pair, {"decision": "not_same"})
    await sync(here, there)
    assert [c.id for c in await here.customers.list()] == [twin.id]
    assert [c.id for c in await there.customers.list()] == [lin.id]
    assert await here.interactions.of(lin.id) == []


# --- look-up --------------------------------------------------------------------------------------


async def test_a_lookup_brings_the_customer_with_history_and_is_written_down(chain: Chain) -> None:
    there, lin = await of_orchard(chain)
    here = await chain.tablet("here", HERE)
    with pytest.raises(Refused, match="not_found"):
        await here.customers.lookup(phone="9123 4567")  # in the manner of China it is another number
    for key in ({"phone": "+65 9123-4567"}, {"member_no": "M1"}):
        (found,) = await here.customers.lookup(**key)
        assert found.id == lin.id
    (visit,) = await here.interactions.of(lin.id)
    assert visit.note == "first"
    assert await chain.digests_equal(here)
    async with chain.service.storage.unscoped_reader() as reader:
        entries = await reader.history("customer", lin.id)
    looked = [entry for entry in entries if entry.code == "looked_up"]
    assert [entry.detail for entry in looked] == [
        {"field": field, "unit": chain.units[HERE]} for field in ("phones", "member_no")
    ]
    assert not any("9123" in str(entry) or "M1" in str(entry) for entry in looked)
    await here.customers.edit(lin.id, notes="from here")
    await sync(here, there)
    assert (await there.customers.get(lin.id)).notes == "from here"
    await erasure.erase(chain.service, lin.id, "asked for")
    async with chain.service.storage.writer() as writer:
        emptied = [entry for entry in await writer.about([lin.id], []) if entry.code == "looked_up"]
    assert [(entry.detail, entry.key) for entry in emptied] == [(None, None)] * 2
    assert await chain.service.storage.verify_log() > 0


async def test_archived_erased_unknown_and_doubtful_are_all_not_found(chain: Chain) -> None:
    there, lin = await of_orchard(chain)
    gone = await there.customers.create(name="王伟", member_no="M2")
    await there.customers.create(name="陈静", phone="12")
    await there.customers.archive(lin)
    await sync(there)
    await erasure.erase(chain.service, gone.id, "asked for")
    here = await chain.tablet("here", HERE)
    for key in (
        {"member_no": "M1"},
        {"member_no": "M2"},
        {"member_no": "M3"},
        {"phone": "12"},
        {"email": "a@b.cn"},
    ):
        with pytest.raises(Refused, match="not_found"):
            await here.customers.lookup(**key)
    with pytest.raises(LocalError, match="argument_invalid"):
        await here.customers.lookup()
    await sync(here)
    assert await here.customers.list(archived=True) == []


async def test_lookups_are_counted_and_need_the_network(chain: Chain) -> None:
    await of_orchard(chain)
    here = await chain.tablet("here", HERE)
    for _ in range(chain.service.settings.lookups_per_hour):
        await here.customers.lookup(member_no="M1")
    with pytest.raises(Refused, match="too_many_tries") as refused:
        await here.customers.lookup(member_no="M1")
    assert 3_000 < refused.value.detail["seconds"] <= 3_600
    chain.clock.pass_(hours=1)
    assert await here.customers.lookup(member_no="M1")
    chain.transports["here"].online = False
    with pytest.raises(Offline):
        await here.customers.lookup(member_no="M1")


async def test_staff_look_up_over_graphql_for_a_unit_of_theirs(chain: Chain) -> None:
    there, lin = await of_orchard(chain)
    query = """mutation ($key: String!, $input: CustomerLookupInput!) {
        customerLookup(idempotencyKey: $key, input: $input) {
            __typename ... on CustomersFound { customers { id name } } ... on Error { code } } }"""
    clerk = await caller(chain, "clerk", HERE)

    async def look(**given: object) -> dict[str, Any]:
        answer = await clerk.ask(query, key=clerk.key(), input={"field": "MEMBER_NO", "key": "M1", **given})
        return dict(answer["customerLookup"])

    assert (await look(unitId=chain.units[THERE]))["code"] == "not_allowed"
    assert (await look(key="M9"))["code"] == "not_found"
    assert (await look())["customers"] == [{"id": lin.id, "name": "林芳"}]
    here = await chain.tablet("here", HERE)
    await sync(here, there)
    assert (await here.customers.get(lin.id)).name == "林芳"


# --- facts that correct each other ---------------------------------------------------------------


async def met(shop: Shop, customer: str) -> int:
    visits = await shop.customers.metric(customer, "visit_count")
    assert visits.value is not None
    return int(visits.value)


async def two_shops(chain: Chain) -> tuple[Shop, Shop, Customer, Customer]:
    """A tablet each at Orchard and Nanjing Road, with a customer each."""
    there, lin = await of_orchard(chain)
    here = await chain.tablet("here", HERE)
    wang = await here.customers.create(name="王伟")
    await sync(here, there)
    return there, here, lin, wang


async def correct(chain: Chain, fact: str, *party: str, **fields: object) -> str:
    """Head office corrects a fact into a visit of these."""
    id = chain.new_id()
    named = [{"customer": customer, "role": "principal"} for customer in party]
    said = {"kind": "visit", "at": "2026-11-02T10:00:00.000Z", "party": named, **fields, "supersedes": fact}
    await chain.write("create", "interaction", id, said)
    return id


async def test_a_fact_that_turns_out_to_be_anothers_counts_no_more_where_it_was(chain: Chain) -> None:
    there, here, lin, wang = await two_shops(chain)
    (visit,) = await there.interactions.of(lin)
    first = await correct(chain, visit.id, wang.id)
    await sync(there, here)
    assert [await met(there, lin.id), await met(here, wang.id)] == [0, 1]
    assert await there.interactions.of(lin) == []
    files = b"".join(path.read_bytes() for path in chain.folder.glob("there*"))
    assert lin.id.encode() in files
    assert wang.id.encode() not in files
    await correct(chain, first, lin.id)  # no, it was she
    await sync(there, here)
    assert [await met(there, lin.id), await met(here, wang.id)] == [1, 0]


async def test_a_void_that_names_another_counts_where_the_fact_was(chain: Chain) -> None:
    there, here, lin, wang = await two_shops(chain)
    (visit,) = await there.interactions.of(lin)
    await correct(chain, visit.id, wang.id, void=True)
    await sync(there, here)
    assert [await met(there, lin.id), await met(here, wang.id)] == [0, 0]
    assert await there.interactions.of(lin, corrections=True) == []


async def test_of_two_corrections_the_later_counts_wherever_the_other_is(chain: Chain) -> None:
    there, here, lin, wang = await two_shops(chain)
    (visit,) = await there.interactions.of(lin)
    await correct(chain, visit.id, wang.id)
    await sync(there, here)
    assert [await met(there, lin.id), await met(here, wang.id)] == [0, 1]
    chain.clock.pass_(days=1)
    await correct(chain, visit.id, lin.id)
    await sync(there, here)
    assert [await met(there, lin.id), await met(here, wang.id)] == [1, 0]
    assert [len(await there.interactions.of(lin)), len(await here.interactions.of(wang))] == [1, 0]


async def test_a_correction_that_comes_before_its_fact_is_there_when_that_comes(chain: Chain) -> None:
    there, here, lin, wang = await two_shops(chain)
    late = await there.interactions.record(lin, kind="visit")
    await correct(chain, late.id, wang.id)
    await sync(here)
    assert await met(there, lin.id) == 2
    await sync(there)
    assert [await met(there, lin.id), await met(here, wang.id)] == [1, 1]


async def test_facts_that_correct_each_other_move_and_leave_together(chain: Chain) -> None:
    there, here, lin, wang = await two_shops(chain)
    (visit,) = await there.interactions.of(lin)
    await correct(chain, visit.id, wang.id)
    await sync(there, here)
    await move(chain, lin.id, HERE)
    await sync(there, here)
    assert [await met(here, lin.id), await met(here, wang.id)] == [0, 1]
    assert await there.interactions.of(lin.id) == []
    await move(chain, lin.id, THERE)
    await sync(there, here)
    assert [await met(there, lin.id), await met(here, wang.id)] == [0, 1]


async def test_a_fact_that_a_correction_puts_before_the_window_counts_once(chain: Chain) -> None:
    there, lin = await of_orchard(chain)
    await ageing(chain).once()
    (visit,) = await there.interactions.of(lin)
    old = {"at": "2020-01-01T10:00:00.000Z"}
    change = chain.service.change(
        "create",
        "interaction",
        chain.new_id(),
        {"kind": "visit", "party": [{"customer": lin.id}], "supersedes": visit.id, **old},
        source="import",
    )
    await chain.service.admission.write(SERVER, [[change]])
    await chain.service.checking.drain()
    await sync(there)
    assert await met(there, lin.id) == 1


async def test_who_never_had_a_fact_can_not_correct_it(chain: Chain) -> None:
    there, here, lin, wang = await two_shops(chain)
    (visit,) = await there.interactions.of(lin)
    said = {"kind": "visit", "at": "2026-11-02T10:00:00.000Z", "party": [{"customer": wang.id}]}
    await here.write("interaction", here.new_id(), "create", {**said, "supersedes": visit.id})
    assert (await here.sync()).held == 1
    await sync(there, here)
    assert await met(there, lin.id) == 1
    assert not await here.interactions.of(lin.id)


# --- the history window ---------------------------------------------------------------------------


async def test_facts_leave_with_the_window_and_head_office_reads_on(chain: Chain) -> None:
    assert edge_at(NOON_MS) == "2024-11-01T00:00:00.000Z"
    there, lin = await of_orchard(chain)
    job = ageing(chain)
    await job.once()
    await sync(there)
    assert len(await there.interactions.of(lin.id)) == 1
    chain.clock.pass_(days=700)
    await there.interactions.record(lin, kind="call")
    await job.once()
    await sync(there)
    assert {fact.kind for fact in await there.interactions.of(lin.id)} == {"visit", "call"}
    chain.clock.pass_(days=62)
    await job.once()
    await sync(there)
    (left,) = await there.interactions.of(lin.id)
    assert left.kind == "call"
    async with chain.service.storage.unscoped_reader() as reader:
        assert await reader.count("interaction", None) == 2
    here = await chain.tablet("here", HERE)
    await here.customers.lookup(member_no="M1")
    (entered,) = await here.interactions.of(lin.id)
    assert entered.kind == "call"
    again = ageing(chain)  # a server that starts anew goes on wherever it was
    await again.once()
    await sync(there, here)


async def test_a_consent_of_long_ago_follows_its_customer(chain: Chain) -> None:
    there, lin = await of_orchard(chain)
    await there.consents.record(lin, "marketing", True)
    await sync(there)
    chain.clock.pass_(days=900)
    await ageing(chain).once()
    here = await chain.tablet("here", HERE)
    await here.customers.lookup(member_no="M1")
    await sync(here, there)
    assert not await here.interactions.of(lin.id)
    assert [word.granted for tablet in (here, there) for word in await tablet.consents.of(lin.id)] == [
        True
    ] * 2


async def test_a_tablet_whose_clock_is_years_behind_keeps_what_it_writes(chain: Chain) -> None:
    await ageing(chain).once()
    slow = await chain.tablet("slow", HERE, Clock(chain.clock.ms - 4 * 365 * DAY_MS))
    lin = await slow.customers.create(name="林芳")
    await slow.interactions.record(lin, kind="visit")
    await sync(slow)
    assert len(await slow.interactions.of(lin.id)) == 1


# --- grants ---------------------------------------------------------------------------------------


async def test_a_unit_below_a_region_gives_its_tablets_everything_and_takes_it_back(chain: Chain) -> None:
    there, lin = await of_orchard(chain)
    region = await chain.unit("East", "region", chain.units["hq"], country="CN")
    east = await chain.tablet("east", "East")
    await sync(east)
    assert await east.customers.list() == []
    await chain.write("edit", "unit", chain.units[THERE], {"parent": region})
    await sync(east)
    assert len(await east.interactions.of(lin.id)) == 1
    assert await chain.digests_equal(east)
    await east.customers.edit(lin.id, notes="from the region")
    await chain.write("edit", "unit", chain.units[THERE], {"parent": chain.units["hq"]})
    report = await east.sync()
    assert report.held == 1
    assert await east.customers.list() == []
    await chain.write("edit", "unit", chain.units[THERE], {"parent": region})
    await sync(east, there)
    assert await east.held() == []
    assert (await there.customers.get(lin.id)).notes == "from the region"
    for parent in (chain.units["hq"], region, chain.units["hq"], region):
        await chain.write("edit", "unit", chain.units[THERE], {"parent": parent})
    await sync(east)
    assert await chain.digests_equal(east)
    assert [c.id for c in await east.customers.list()] == [lin.id]


# --- a tablet that is moved -----------------------------------------------------------------------


async def test_a_tablet_that_is_moved_belongs_to_its_new_unit_and_loses_nothing(chain: Chain) -> None:
    there, lin = await of_orchard(chain)
    here = await chain.tablet("here", HERE)
    wang = await here.customers.create(name="王伟")
    await sync(here)
    other = await here.customers.create(name="陈静", phone="138 0013 8000")
    await sync(here)
    await there.customers.edit(lin, notes="offline")
    await there.interactions.record(lin, kind="call")
    device = (await there.status()).device
    assert device is not None
    await devices.move(chain.service, device, chain.units[HERE])
    report = await there.sync()
    assert (report.applied, report.held) == (1, 1)
    (held,) = await there.held()
    assert held.code == "scope_left"
    await sync(there)
    assert {c.id for c in await there.customers.list()} == {wang.id, other.id}
    assert (there.unit, there.country) == (chain.units[HERE], "CN")
    assert await chain.digests_equal(there)
    li = await there.customers.create(name="李娜", phone="138 0013 8001")
    await sync(there, here)
    assert (await here.customers.get(li.id)).phones == {"+8613800138001": "138 0013 8001"}
    await devices.move(chain.service, device, chain.units[THERE])
    await sync(there)
    assert await there.held() == []
    assert (await there.customers.get(lin.id)).notes == "offline"
    assert len(await there.interactions.of(lin.id)) == 2
    assert (there.unit, there.country) == (chain.units[THERE], "SG")
    assert await there.customers.find(wang.id) is None


async def test_whom_a_moved_tablet_registered_before_stays_unknown_where_it_is_now(chain: Chain) -> None:
    """Also when head office lets the change pass later (seed 521147)."""
    there = await chain.tablet("there", THERE)
    lin = await there.customers.create(name="林芳")
    device = (await there.status()).device
    assert device is not None
    await devices.move(chain.service, device, chain.units[HERE])
    await devices.revoke(chain.service, device)
    await there.sync()
    (group,) = {entry.group for entry in await opened(chain)}
    assert await chain.service.admission.retry(group, by_head_office=True)
    here, other = await chain.tablet("here", HERE), await chain.tablet("other", THERE)
    await sync(here, other)
    assert (await other.customers.get(lin.id)).name == "林芳"
    assert await here.customers.find(lin.id) is None


async def opened(chain: Chain) -> list[Entry]:
    async with chain.service.storage.unscoped_reader() as reader:
        return await reader.open_entries(10)


async def test_what_a_tablet_wrote_is_taken_once_the_server_knows_that_it_was_there(chain: Chain) -> None:
    """A restored server has forgotten where the tablet stood; head office says so again."""
    _, lin = await of_orchard(chain)
    here = await chain.tablet("here", HERE)
    await here.interactions.record(lin.id, kind="call")
    await sync(here)
    assert [held.code for held in await here.held()] == ["row_unknown"]
    device = (await here.status()).device
    assert device is not None
    stood = chain.service.change("edit", "device", device, {f"left_units/{chain.units[THERE]}": True})
    await chain.service.admission.write(SERVER, [[stood]])
    await sync(here)
    assert await here.held() == []
    assert await here.customers.find(lin.id) is None


async def test_a_phone_is_read_in_the_country_in_which_it_was_typed(chain: Chain) -> None:
    there = await chain.tablet("there", THERE)
    await sync(there)
    lin = await there.customers.create(name="林芳", phone="9123 4567")
    wang = await there.customers.create(name="王伟")
    await there.customers.edit(wang, phone="8123 4567")
    device = (await there.status()).device
    assert device is not None
    await devices.move(chain.service, device, chain.units[HERE])
    await sync(there)
    assert there.country == "CN"
    office = await caller(chain, "admin")
    found = await office.ask("{ customers { nodes { id phones { key typed } } } }")
    assert {node["id"]: node["phones"] for node in found["customers"]["nodes"]} == {
        lin.id: [{"key": "+6591234567", "typed": "9123 4567"}],
        wang.id: [{"key": "+6581234567", "typed": "8123 4567"}],
    }


async def test_head_office_moves_a_tablet_over_graphql(chain: Chain) -> None:
    there, _ = await of_orchard(chain)
    query = """mutation ($key: String!, $id: UUID!, $unit: UUID!) {
        deviceMove(idempotencyKey: $key, id: $id, unit: $unit) {
            __typename ... on DeviceMoved { device { unitId } } ... on Error { code } } }"""
    device = (await there.status()).device
    manager, office = await caller(chain, "manager", THERE), await caller(chain, "admin")
    given = {"id": device, "unit": chain.units[HERE]}
    assert (await manager.ask(query, key=manager.key(), **given))["deviceMove"]["code"] == "not_allowed"
    moved = (await office.ask(query, key=office.key(), **given))["deviceMove"]
    assert moved["device"] == {"unitId": chain.units[HERE]}
    await sync(there)
    viewer = (await there.graphql("{ me { unitIds units { name } } }"))["data"]["me"]
    assert viewer == {"unitIds": [chain.units[HERE]], "units": [{"name": HERE}]}
    assert await there.customers.list() == []
    absent = {"id": chain.new_id(), "unit": chain.units[HERE]}
    assert (await office.ask(query, key=office.key(), **absent))["deviceMove"]["code"] == "not_found"


# --- the sensitive level --------------------------------------------------------------------------


def grant(chain: Chain, device: str, sensitive: bool) -> None:
    with closing(sqlite3.connect(chain.folder / DATABASE)) as database:
        changed = database.execute(
            "UPDATE access_token SET sensitive = ? WHERE owner = ?", (sensitive, device)
        )
        assert changed.rowcount
        database.commit()
    chain.clock.pass_(minutes=5)


async def test_a_right_to_the_sensitive_level_brings_its_history_and_takes_back_every_byte(
    chain: Chain,
) -> None:
    open_, here = await chain.tablet("open", HERE, sensitive=True), await chain.tablet("here", HERE)
    secret = "canary of belief"
    for number in range(30):
        await open_.customers.create(name=f"林芳 {number}", belief=f"{secret} {number}")
    await sync(open_, here)
    device = (await here.status()).device
    assert device is not None

    async def seen() -> list[str | None]:
        return [customer.belief for customer in await here.customers.list()]

    def holding() -> set[str]:
        """The files of the tablet in which it stands."""
        files = {file.name: file.read_bytes() for file in chain.folder.glob("here*") if file.is_file()}
        return {name for name, content in files.items() if secret.encode() in content}

    for _ in range(2):
        assert await seen() == [None] * 30
        assert holding() == set()
        grant(chain, device, True)
        await sync(here)
        assert sorted(map(str, await seen())) == sorted(f"{secret} {number}" for number in range(30))
        assert holding()
        assert await chain.digests_equal(here)
        assert any(scope.endswith("/sensitive") for scope in await here.verify())
        grant(chain, device, False)
        await sync(here)
        assert await seen() == [None] * 30
        assert not any(scope.endswith("/sensitive") for scope in await here.verify())
        assert await chain.digests_equal(here)
