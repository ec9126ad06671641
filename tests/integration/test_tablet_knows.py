"""A tablet says of a customer what the server says, or that it can't know; whatever was exchanged of it."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from regulars import LocalError, Shop
from regulars_server.ageing import Ageing
from regulars_sync.ids import identity_id, made_id
from tests.support.agreeing import History
from tests.support.chain import NOON_MS, Chain, Clock, new_chain

HISTORIES = int(os.environ.get("REGULARS_TEST_HISTORIES", "6"))
STEPS = 45


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_every_tablet_says_what_the_server_says_or_that_it_can_not_know(tmp_path: Path, seed: int):
    async with new_chain(tmp_path, seed=seed + 1) as chain:
        history = History(chain, seed)
        await history.begin()
        for _ in range(STEPS):
            await history.rng.choice(history.steps)()
            if history.rng.random() < 0.03:
                await history.merge()
        await history.settle()
        told = await history.compare()
    assert any(known for _, known in told)


NOON = datetime.fromtimestamp(NOON_MS / 1_000, UTC)


@pytest.fixture
async def chain(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        yield chain


async def bought(shop: Shop, customer: object, ago: int = 0, amount: int = 500):
    line = {"amount": amount, "quantity": 1, "currency": "CNY"}
    at = NOON - timedelta(days=ago)
    return await shop.interactions.record(customer, kind="purchase", at=at, lines=[line])  # type: ignore[arg-type]


async def test_a_tablet_that_never_met_its_server_says_where_a_customer_stands(chain: Chain):
    shop = await chain.tablet("one", paired=False)
    lin = await shop.customers.create(name="林芳", phone="138 0013 8000")
    assert (await shop.customers.standing(lin, "lifecycle")).values == ("prospect",)
    await bought(shop, lin, ago=3)
    new = await shop.customers.standing(lin, "lifecycle")
    assert (new.values, new.origin, new.scheme) == (("new",), "rule", "lifecycle")
    await bought(shop, lin, ago=2)
    assert (await shop.customers.standing(lin, "lifecycle")).values == ("old",)
    assert (await shop.customers.standing(lin, "lifecycle", as_of=NOON - timedelta(days=2))).values == (
        "old",
    )
    assert (await shop.customers.standing(lin, "lifecycle", as_of=NOON - timedelta(days=3))).values == (
        "new",
    )
    assert {one.scheme for one in await shop.customers.standings(lin)} >= {"lifecycle", "tier", "motive"}
    assert "outlet_type" not in {one.scheme for one in await shop.customers.standings(lin)}


async def test_own_facts_count_once_before_while_and_after_the_server_has_them(chain: Chain):
    shop = await chain.tablet("one")
    await shop.sync()
    lin = await shop.customers.create(name="林芳")
    first = await bought(shop, lin)

    async def spend() -> int | None:
        return (await shop.customers.metric(lin, "spend")).value

    assert await spend() == 500
    chain.transports["one"].lose_answers_to = "/sync/v1/push"
    await shop.sync()
    assert await spend() == 500
    await bought(shop, lin, amount=70)
    chain.transports["one"].offline_after_pulls = 1
    await shop.sync()
    assert await spend() == 570
    chain.transports["one"].offline_after_pulls = None
    corrected = await shop.interactions.correct(first, lines=[{"amount": 300, "currency": "CNY"}])
    assert await spend() == 370
    await shop.sync()
    assert await spend() == 370
    await shop.interactions.void(corrected)
    assert await spend() == 70
    await shop.sync()
    assert await spend() == 70


async def test_a_fact_from_before_the_window_counts_once_however_it_is_held(chain: Chain):
    ageing = Ageing(chain.service.storage, chain.service.admission, chain.clock, chain.entropy)
    await ageing.once()
    shop = await chain.tablet("one")
    await shop.sync()
    lin = await shop.customers.create(name="林芳")
    old = await bought(shop, lin, ago=800)
    await bought(shop, lin, ago=5, amount=70)

    async def told() -> tuple[int | None, int | None]:
        spend, count = [await shop.customers.metric(lin, name) for name in ("spend", "purchase_count")]
        return spend.value, count.value

    async def exchanged() -> tuple[int | None, int | None]:
        await shop.sync()
        await chain.service.checking.drain()
        await shop.sync()
        return await told()

    assert await told() == (570, 2)
    assert await exchanged() == (570, 2)  # it is still held, and the server's sums count it, too
    corrected = await shop.interactions.correct(old, lines=[{"amount": 400, "currency": "CNY"}])
    assert (await told())[1] == 2
    assert await exchanged() == (470, 2)
    await shop.interactions.void(corrected)
    assert await exchanged() == (70, 1)
    chain.clock.pass_(days=1_000)
    await ageing.once()
    assert await exchanged() == (70, 1)
    assert await shop.interactions.of(lin) == []
    unknown = await shop.customers.metric(lin, "next_runout_days")
    assert (unknown.value, unknown.unknown) == (None, True)


async def test_what_the_server_holds_back_does_not_count_here_either(chain: Chain):
    shop = await chain.tablet("one")
    await shop.sync()
    lin = await shop.customers.create(name="林芳")
    await shop.sync()
    async with shop.transaction():
        await bought(shop, lin)
        await shop.links.add(lin, chain.new_id(), "companion")
    assert (await shop.customers.metric(lin, "purchase_count")).value == 1
    await shop.sync()
    assert (await shop.status()).held == 2
    assert (await shop.customers.metric(lin, "purchase_count")).value == 0


async def test_merged_customers_are_known_as_one(chain: Chain):
    shop = await chain.tablet("one")
    await shop.sync()
    lin, other = await shop.customers.create(name="林芳"), await shop.customers.create(name="林 芳")
    await bought(shop, lin, ago=2)
    await bought(shop, other)
    await shop.sync()
    one, two = sorted([lin.id, other.id])
    decided: dict[str, object] = {"one": one, "other": two, "decision": "same", "reason": "person"}
    await chain.write("create", "identity", identity_id(one, two), decided)
    await shop.sync()
    assert (await shop.customers.metric(other, "purchase_count")).value == 2
    found = await shop.segments.members("purchase_count >= 2")
    assert [customer.id for customer in found.yes] == [one]


async def test_a_pin_stands_beside_what_the_rule_says_until_its_day(chain: Chain):
    shop = await chain.tablet("one")
    lin = await shop.customers.create(name="林芳", phone="138 0013 8000")
    said = {"customer": lin.id, "scheme": "lifecycle", "reviewed": "loyal", "check_by": "2026-12-24"}
    await shop.write("assignment", made_id("assignment", lin.id, "lifecycle"), "create", said)
    pinned = await shop.customers.standing(lin, "lifecycle")
    assert (pinned.values, pinned.origin, pinned.by_rule) == (("loyal",), "person", ("prospect",))
    assert str(pinned.check_by) == "2026-12-24"
    later = await shop.customers.standing(lin, "lifecycle", as_of=datetime(2026, 12, 25, tzinfo=UTC))
    assert (later.values, later.origin) == (("prospect",), "rule")


async def test_a_segment_finds_its_members_here_by_name_and_page_by_page(chain: Chain):
    shop = await chain.tablet("one")
    for name in ("张三", "李四", "王五", "Ann"):
        await shop.customers.create(name=name)
    await shop.sync()
    await shop.customers.create(name="Bob")
    await shop.customers.edit((await shop.customers.search("张三"))[0], tags=["vip"])
    first = await shop.segments.members('not tags has "vip"', limit=2)
    second = await shop.segments.members('not tags has "vip"', limit=2, after=first.after)
    assert [c.name for c in (*first.yes, *second.yes)] == ["Ann", "Bob", "李四", "王五"]
    assert (await shop.segments.preview('tags has "vip"')).count == 1
    hidden = await shop.segments.preview("income_band = high")
    assert (hidden.count, hidden.unknown) == (0, 5)


async def test_dynamic_segments_of_head_office_are_followed_offline(chain: Chain):
    segment = chain.new_id()
    rule = {"number": {"metric": "purchase_count"}, "op": ">=", "value": 1}
    await chain.write("create", "segment", segment, {"name": "buyers", "rule": rule})
    shop = await chain.tablet("one")
    await shop.sync()
    lin = await shop.customers.create(name="林芳")
    assert await shop.customers.memberships(lin) == []
    await bought(shop, lin)
    (one,) = await shop.customers.memberships(lin)
    assert (one.segment, one.answer) == (segment, True)
    assert [c.id for c in (await shop.segments.members(segment)).yes] == [lin.id]
    told = await shop.customers.explain(lin, segment)
    assert told["answer"] is True
    assert told["parts"][0]["value"] == 1
    assert (await shop.customers.explain(lin, "purchase_count >= 5"))["answer"] is False


async def test_what_is_no_rule_is_told_with_its_place_and_what_was_meant(chain: Chain):
    shop = await chain.tablet("one")
    with pytest.raises(LocalError) as wrong:
        await shop.segments.preview("purchase_cuont >= 2")
    assert wrong.value.code == "rule_unknown"
    assert (wrong.value.detail["line"], wrong.value.detail["column"]) == (1, 1)
    assert wrong.value.detail["suggestion"] == "purchase_count"
    with pytest.raises(LocalError, match="not_found"):
        await shop.segments.members(chain.new_id())
    with pytest.raises(LocalError, match="instant_invalid"):
        await shop.segments.preview("archived = true", as_of=NOON.replace(tzinfo=None))


async def test_schemes_come_with_their_words_and_as_the_chain_changed_them(chain: Chain):
    patch: dict[str, object] = {"values": {"mature": {"label": {"zh_hans": "老友", "en": "Old friend"}}}}
    await chain.write(
        "create", "scheme", made_id("scheme", "lifecycle"), {"key": "lifecycle", "changes": patch}
    )
    shop = await chain.tablet("one")
    await shop.sync()
    lifecycle = next(of for of in await shop.schemes() if of.key == "lifecycle")
    mature = next(value for value in lifecycle.values if value.key == "mature")
    assert mature.label.en == "Old friend"
    assert any(value.playbook and value.playbook.actions for value in lifecycle.values)


async def test_a_tablet_whose_clock_is_wrong_answers_by_the_servers_day(chain: Chain):
    shop = await chain.tablet("one", clock=Clock(NOON_MS + 400 * 86_400_000))
    await shop.sync()
    lin = await shop.customers.create(name="林芳")
    await bought(shop, lin, ago=10)
    assert (await shop.customers.metric(lin, "days_since_purchase")).value == 10
