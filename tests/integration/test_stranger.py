"""docs/PROTOCOL.md is enough: a client written from it alone agrees with the server and with the SDK."""

from __future__ import annotations

import ast
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars import Shop
from regulars_schema.declare import Level
from regulars_server import devices, erasure
from regulars_sync import ids, trail
from regulars_sync.digest import EMPTY, add, row_hash
from regulars_sync.errors import Offline
from tests.support import stranger
from tests.support.chain import AppTransport, Chain, new_chain
from tests.support.stranger import Problem, Stranger


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


async def paired(chain: Chain, name: str, unit: str = "Nanjing Road", sensitive: bool = False) -> Stranger:
    transport = chain.transports[name] = AppTransport(chain.app, chain.service)

    async def post(path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        try:
            status, answer = await transport.post(path, body, token)
        except Offline:
            raise ConnectionError from None
        return status, answer

    made = Stranger(post, chain.clock, chain.entropy)
    await made.pair(await chain.service.access.new_pairing_code(chain.units[unit], name, sensitive), name)
    return made


def new_customer(device: Stranger, name: str, **fields: Any) -> str:
    id = stranger.row_id(device.now_ms(), device.random(10))
    device.write(("create", "customer", id, {"name": name, "kind": "person", **fields}))
    return id


async def history(chain: Chain, entity: str, id: str) -> list[tuple[str, str | None]]:
    async with chain.service.storage.unscoped_reader() as reader:
        return [(entry.verdict, entry.code) for entry in await reader.history(entity, id)]


async def agrees(chain: Chain, device: Stranger) -> bool:
    """Whether every document that it keeps is the server's own, byte for byte."""
    async with chain.service.storage.unscoped_reader() as reader:
        for scope, rows in device.kept["rows"].items():
            level = Level(scope.partition("/")[2] or "internal")
            for (entity, id), raw in rows.items():
                if (await reader.find(entity, [id]))[id].documents[level] != raw:
                    return False
    return bool(device.kept["rows"])


def test_the_stranger_knows_nothing_of_the_product() -> None:
    tree = ast.parse(Path(stranger.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported <= {"__future__", "collections.abc", "copy", "hashlib", "json", "typing"}


async def test_it_pairs_pulls_writes_and_proves(chain: Chain) -> None:
    one, sdk = await paired(chain, "one", sensitive=True), await chain.tablet("sdk")
    lin = new_customer(one, "林芳", **{"phones/138 0013 8000": "138 0013 8000", "income_band": "high"})
    assert one.shown("customer", lin)["name"] == "林芳"  # before any contact
    assert await one.sync()
    assert one.shown("customer", lin)["phones/+8613800138000"] == "138 0013 8000"
    assert one.shown("customer", lin)["income_band"] == "high"
    await sdk.sync()
    assert (await sdk.customers.get(lin)).name == "林芳"
    assert (await sdk.customers.get(lin)).income_band is None
    await sdk.customers.edit(lin, notes="from the SDK", tags=["vip"])
    await sdk.sync()
    assert await one.sync()
    one.write(("edit", "customer", lin, {"notes": "from a stranger", "tags/vip": False, "tags/oak": True}))
    assert await one.sync()
    assert one.verdicts[one.kept["incarnations"][0]["changes"][-1]["body"]["cid"]]["verdict"] == "applied"
    await sdk.sync()
    seen = await sdk.customers.get(lin)
    assert (seen.notes, set(seen.tags)) == ("from a stranger", {"oak"})
    assert await agrees(chain, one)
    assert await chain.digests_equal(sdk)


async def test_values_that_have_not_seen_each_other_stand_side_by_side_and_one_who_saw_them_ends_it(
    chain: Chain,
) -> None:
    one, two = await paired(chain, "one"), await paired(chain, "two")
    lin = new_customer(one, "林芳", notes="first")
    await one.sync()
    await two.sync()
    one.write(("edit", "customer", lin, {"notes": "from one"}))
    two.write(("edit", "customer", lin, {"notes": "from two"}))
    await one.sync()
    await two.sync()
    assert [v["verdict"] for v in two.verdicts.values()] == ["merged"]
    await one.sync()
    assert one.shown("customer", lin) == two.shown("customer", lin)
    assert len(one.seen("customer", lin, "notes")) == 2
    one.write(("edit", "customer", lin, {"notes": "both"}))
    await one.sync()
    assert len(one.seen("customer", lin, "notes")) == 1
    assert await two.sync()
    assert two.shown("customer", lin)["notes"] == "both"


async def test_a_transaction_of_customer_link_and_fact_shares_one_fate(chain: Chain) -> None:
    one = await paired(chain, "one")
    lin, mei = (stranger.row_id(one.now_ms(), one.random(10)) for _ in range(2))
    visit, missing = (stranger.row_id(one.now_ms(), one.random(10)) for _ in range(2))
    family = {"from_customer": lin, "to_customer": mei, "kind": "family", "active": True}
    fact = {"kind": "visit", "at": "2026-11-22T08:00:00.000Z", "party": [{"customer": lin}]}
    one.write(
        ("create", "customer", lin, {"name": "林芳"}),
        ("create", "customer", mei, {"name": "Mei"}),
        ("create", "link", stranger.link_id(lin, mei, "family"), family),
        ("create", "interaction", visit, {**fact, "unit": one.kept["unit"]}),
    )
    lost = one.write(
        ("edit", "customer", lin, {"notes": "waits"}),
        ("create", "interaction", missing, {**fact, "party": [{"customer": one.kept["device"]}]}),
    )
    assert await one.sync()
    assert [(v["verdict"], v.get("code")) for v in one.verdicts.values()] == [("applied", None)] * 4 + [
        ("held", "group_held"),
        ("held", "row_unknown"),
    ]
    assert "notes" not in json.loads(one.kept["rows"][f"unit:{one.kept['unit']}"]["customer", lin])
    held = one.documents("change_verdict", lost[1])[0]
    assert (held["verdict"], held["code"], held["closed"]) == ("held", "row_unknown", False)
    one.write(("edit", "interaction", missing, {}), replaces=lost[1])  # it is dropped, the rest goes on
    assert await one.sync()
    assert one.shown("customer", lin)["notes"] == "waits"
    assert one.documents("change_verdict", lost[1])[0]["code"] == "dropped"
    assert await agrees(chain, one)


@pytest.mark.parametrize("path", ["/sync/v1/pull", "/sync/v1/push"])
@pytest.mark.parametrize("rows_max", [1, 1_000])
async def test_lost_answers_cost_nothing(chain: Chain, path: str, rows_max: int) -> None:
    one = await paired(chain, "one")
    one.rows_max = rows_max
    made = []
    for turn in range(4):
        made.append(new_customer(one, f"guest {turn}"))
        chain.transports["one"].lose_answers_to = path
        with pytest.raises(ConnectionError):
            await one.sync()
    assert await one.sync()
    for id in made:
        assert await history(chain, "customer", id) == [("applied", None)]
    assert await agrees(chain, one)


async def test_a_restored_and_a_copied_stranger_lose_nothing_and_apply_nothing_twice(chain: Chain) -> None:
    one = await paired(chain, "one")
    first = new_customer(one, "before")
    await one.sync()
    image = one.copied()
    after = new_customer(one, "after the image")
    await one.sync()
    other = new_customer(image, "after the restore")
    assert await image.sync()
    assert len(image.kept["incarnations"]) == 2
    for id in (first, after, other):
        assert await history(chain, "customer", id) == [("applied", None)]
    assert image.shown("customer", after)["name"] == "after the image"
    assert await agrees(chain, image)
    late = new_customer(one, "the other one is alive")
    await one.sync()  # the older of two that live at once goes on
    assert await history(chain, "customer", late) == [("applied", None)]
    mine = new_customer(image, "handed in")
    with pytest.raises(Problem, match="device_cloned"):
        await image.sync()
    assert await history(chain, "customer", mine) == [("applied", None)]


async def test_a_restored_server_is_offered_again_what_it_lost(chain: Chain) -> None:
    one = await paired(chain, "one")
    new_customer(one, "kept")
    await one.sync()
    copy = await chain.back_up()
    lost = new_customer(one, "lost by the server")
    await one.sync()
    await chain.restore(copy)
    assert await history(chain, "customer", lost) == []
    assert await one.sync()
    assert await history(chain, "customer", lost) == [("applied", None)]
    assert await agrees(chain, one)


async def test_numbers_that_the_server_has_are_answered_and_numbers_it_lacks_are_asked_for(
    chain: Chain,
) -> None:
    one = await paired(chain, "one")
    first, second = new_customer(one, "first"), new_customer(one, "second")
    contact = (await one.pull())[1]
    (life,) = one.kept["incarnations"]
    acks, contact["acks"] = contact["acks"], {life["id"]: {"n": 0, "trail": ""}}
    await one.push({**contact, "acks": acks})
    await one.push(contact)  # sent again from the beginning: answered, not applied again
    third = new_customer(one, "third")
    trail_ = stranger.trail_start(life["id"])
    for change in life["changes"]:
        trail_ = stranger.trail_next(trail_, change["body"]["cid"])
    new_customer(one, "fourth")
    await one.push({**contact, "acks": {life["id"]: {"n": 3, "trail": trail_}}})  # as if it had three: a gap
    for id in (first, second, third):
        assert await history(chain, "customer", id) == [("applied", None)]
    assert await one.sync()


async def test_a_device_that_lost_a_change_of_its_own_goes_on_in_a_new_incarnation(chain: Chain) -> None:
    one = await paired(chain, "one")
    new_customer(one, "first")
    second = new_customer(one, "second")
    await one.sync()
    del one.kept["incarnations"][0]["changes"][0]
    third = new_customer(one, "third")
    assert await one.sync()
    assert len(one.kept["incarnations"]) == 2
    for id in (second, third):
        assert await history(chain, "customer", id) == [("applied", None)]


async def test_a_customer_who_leaves_and_one_who_is_erased_leave_nothing(chain: Chain) -> None:
    one, orchard = await paired(chain, "one"), await paired(chain, "two", "Orchard")
    moved, erased = new_customer(one, "moved"), new_customer(one, "erased")
    await one.sync()
    one.write(("edit", "customer", moved, {"home_unit": chain.units["Orchard"]}))
    await one.sync()
    assert await orchard.sync()
    assert orchard.shown("customer", moved)["name"] == "moved"
    assert not one.documents("customer", moved)
    await erasure.erase(chain.service, erased, "asked for it")
    assert await one.sync()
    assert not one.shown("customer", erased)
    assert b'"erased"' not in stranger.spelled([c["body"] for c in one.kept["incarnations"][0]["changes"]])
    assert await agrees(chain, orchard)


async def test_a_revoked_stranger_hands_in_and_wipes_and_one_to_wipe_keeps_nothing(chain: Chain) -> None:
    one, two = await paired(chain, "one"), await paired(chain, "two")
    for device, order in ((one, devices.revoke), (two, devices.wipe)):
        await device.sync()
        new_customer(device, "written late")
        await order(chain.service, device.kept["device"])
        with pytest.raises(Problem):
            await device.sync()
        assert (device.kept["rows"], device.kept["token"]) == ({}, None)
    assert [v["code"] for v in one.verdicts.values()] == ["device_revoked"]
    assert (two.verdicts, two.kept["incarnations"]) == ({}, [])


async def test_strangers_and_tablets_end_equal_after_weeks_of_edits(chain: Chain) -> None:
    devices_ = [await paired(chain, f"s{i}", "Nanjing Road" if i < 2 else "Orchard") for i in range(3)]
    sdk = await chain.tablet("sdk")
    people = [new_customer(devices_[0], f"guest {i}") for i in range(3)]
    await devices_[0].sync()
    for turn in range(40):
        device = devices_[turn % 3]
        chain.clock.pass_(hours=7)
        for id in people:
            if device.documents("customer", id):
                fields = {"notes": f"{turn}", f"tags/t{turn % 5}": turn % 2 == 0, "archived": turn % 7 == 0}
                device.write(("edit", "customer", id, fields))
        if turn % 11 == 5 and device.documents("customer", people[turn % 3]):
            there = chain.units["Orchard" if turn % 2 else "Nanjing Road"]
            device.write(("edit", "customer", people[turn % 3], {"home_unit": there}))
        if turn % 4 == 3:
            await device.sync()
        if turn % 6 == 1:
            await _edit(sdk, people, turn)
    for _ in range(2):
        for device in devices_:
            assert await device.sync()
        assert (await sdk.sync()).equal
    for device in devices_:
        assert await agrees(chain, device)
    assert await chain.digests_equal(sdk)


async def _edit(sdk: Shop, people: list[str], turn: int) -> None:
    await sdk.sync()
    for id in people:
        if await sdk.customers.find(id):
            await sdk.customers.edit(id, notes=f"sdk {turn}", address=f"{turn}")


# --- formats, held to the product's own ------------------------------------------------------------------

hexes = st.binary(min_size=16, max_size=16).map(bytes.hex)


@given(st.text(st.characters(codec="utf-8"), max_size=20), st.lists(hexes, max_size=4))
def test_its_trails_are_ours(incarnation: str, cids: list[str]) -> None:
    own, ours = stranger.trail_start(incarnation), trail.start(incarnation)
    for cid in cids:
        own, ours = stranger.trail_next(own, cid), trail.extend(ours, cid)
    assert own == ours


@given(
    st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10), st.text(max_size=9), st.text(max_size=9)
)
def test_its_ids_are_ours(ms: int, entropy: bytes, one: str, other: str) -> None:
    assert stranger.row_id(ms, entropy) == ids.uuid7(ms, entropy)
    one, other = (part.encode(errors="replace").decode() for part in (one, other))
    assert stranger.link_id(one, other, "family") == ids.link_id(one, other, "family")


scalars = (
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8"))
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.lists(scalars, max_size=4), max_size=4))
def test_its_spelling_and_digests_are_ours(value: dict[str, Any]) -> None:
    assert stranger.spelled(value) == orjson.dumps(value)
    raw = orjson.dumps(value)
    assert stranger.digest([("customer", raw), ("link", raw)]) == [
        *add(EMPTY, [row_hash("customer", raw), row_hash("link", raw)])
    ]
