"""Where customers stand follows what is written and what day it is, and each movement says why."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from regulars_schema.declare import Level
from regulars_schema.rules.evaluate import evaluate, metric
from regulars_schema.rules.text import parse
from regulars_schema.rules.tree import Metric, NumberTest, write
from regulars_server.authors import SERVER
from regulars_server.knowledge import checking
from regulars_server.knowledge.checking import Checking, look
from regulars_server.knowledge.cuts import Cutting
from regulars_server.knowledge.loading import known
from regulars_server.knowledge.world import shipped
from regulars_server.storage.interface import Order, Reader
from regulars_server.storage.standing import Due, Movement
from regulars_sync.clock import instant_of
from regulars_sync.document import decode
from regulars_sync.ids import identity_id, link_id, made_id
from tests.support.chain import Chain, new_chain
from tests.support.graph import caller

DAY_MS = 86_400_000


@dataclass
class Shopkeeper:
    """A chain, and short words for what happens in it."""

    chain: Chain

    @property
    def checking(self) -> Checking:
        return self.chain.service.checking

    async def segment(self, rule: str | None, id: str | None = None) -> str:
        id = id or self.chain.new_id()
        said = write(parse(rule, shipped().words)) if rule else None
        await self.chain.write("create", "segment", id, {"name": "S", **({"rule": said} if said else {})})
        return id

    async def customer(self, **fields: Any) -> str:
        id = self.chain.new_id()
        home = self.chain.units["Nanjing Road"]
        await self.chain.write("create", "customer", id, {"name": "林芳", "home_unit": home, **fields})
        return id

    async def did(
        self,
        kind: str,
        *customers: str,
        days: float = 0,
        amount: int = 100,
        product: str | None = None,
        **fields: Any,
    ) -> str:
        id = self.chain.new_id()
        party = [{"customer": customer, "role": "principal"} for customer in customers]
        at = instant_of(self.chain.clock.ms + round(days * DAY_MS))
        said = {"kind": kind, "at": at, "party": party, **fields}
        if kind == "purchase":
            line = {"amount": amount, "quantity": 1, "currency": "CNY"}
            said.setdefault("lines", [line if product is None else {**line, "product": product}])
        await self.chain.write("create", "interaction", id, said)
        return id

    def looked_at(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Comes to have whoever is looked at from now on."""
        storage, found = self.chain.service.storage, list[str]()
        conclude = storage.conclude

        async def concluded(worker: str, seq: int, checked: Any, left: Any = ()) -> Any:
            found.extend(one.customer for one in checked)
            return await conclude(worker, seq, checked, left)

        monkeypatch.setattr(storage, "conclude", concluded)
        return found

    async def edit(self, entity: str, id: str, **fields: Any) -> None:
        """An edit that has seen what it replaces."""
        service = self.chain.service
        async with service.storage.unscoped_reader() as reader:
            registers = decode((await reader.find(entity, [id]))[id].documents)
        seen = {path: sorted(registers[path].values) for path in fields if path in registers}
        change = service.change("edit", entity, id, fields, seen=seen)
        ((ruling,),) = await service.admission.write(SERVER, [[change]])
        assert ruling.verdict == "applied", ruling

    async def pin(self, customer: str, value: str, days: int | None) -> None:
        """A word of a person on the lifecycle, for some days or for good."""
        id, check_by = made_id("assignment", customer, "lifecycle"), None
        if days is not None:
            check_by = instant_of(self.chain.clock.ms + days * DAY_MS)[:10]
        said: dict[str, Any] = {"reviewed": value, "check_by": check_by}
        async with self.chain.service.storage.unscoped_reader() as reader:
            known = await reader.find("assignment", [id])
        if known:
            await self.edit("assignment", id, **said)
        else:
            said |= {"customer": customer, "scheme": "lifecycle"}
            await self.chain.write("create", "assignment", id, said)

    async def moved(self) -> list[Movement]:
        """What moved since this was asked last."""
        await self.checking.drain()
        async with self.chain.service.storage.unscoped_reader() as reader:
            found = await reader.movements(1_000)
        self._told, before = max((m.n for m in found), default=0), getattr(self, "_told", 0)
        return [movement for movement in reversed(found) if movement.n > before]

    async def members(self) -> list[tuple[str, str, str | None]]:
        """Who came into a segment and who left since."""
        return [(m.customer, m.key, m.after) for m in await self.moved() if m.what == "membership"]

    async def stands(self, customer: str, scheme: str) -> list[str]:
        async with self.chain.service.storage.unscoped_reader() as reader:
            return list((await reader.standings([customer])).get(customer, {}).get(scheme, {}))

    async def sees_afresh(self) -> None:
        """The tables say what an evaluation of everybody says that knows nothing of them."""
        service = self.chain.service
        await self.checking.drain()
        tree = await service.admission.tree()
        async with service.storage.unscoped_reader() as reader:
            rows = await reader.select("customer", None, Order(), 1_000)
            ids = [row.id for row in rows]
            knowledge = await service.worlds.of(reader)
            kept = await reader.standings(ids), await reader.memberships(ids)
            blank, due = cast(Reader, _Blank(reader)), [Due(id, 0, None) for id in ids]
            looked = await look(blank, due, knowledge, tree, self.chain.clock.ms)
        standing: dict[str, dict[str, set[str]]] = {}
        membership: dict[str, set[str]] = {}
        for one in looked:
            for scheme, value, _ in one.standing:
                standing.setdefault(one.customer, {}).setdefault(scheme, set()).add(value)
            for segment, _ in one.membership:
                membership.setdefault(one.customer, set()).add(segment)
        assert {id: {s: set(v) for s, v in of.items()} for id, of in kept[0].items()} == standing
        assert {id: set(of) for id, of in kept[1].items()} == membership


class _Blank:
    """A reader who knows of no standing."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    async def standings(self, ids: list[str]) -> dict[str, Any]:
        return {}

    memberships = standings


def midnight(ms: int, days: int) -> int:
    """When the day so many days later begins in Shanghai."""
    return (ms + 8 * 3_600_000) // DAY_MS * DAY_MS + days * DAY_MS - 8 * 3_600_000


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shopkeeper]:
    async with new_chain(tmp_path) as made:
        yield Shopkeeper(made)


# --- what is written --------------------------------------------------------------------------------------


async def test_a_new_fact_brings_its_customer_into_a_segment_and_says_why(shop: Shopkeeper):
    buyers = await shop.segment("kind = person and count(purchase) >= 2")
    lin, other = await shop.customer(kind="person"), await shop.customer(kind="person")
    await shop.did("purchase", lin)
    assert await shop.members() == []
    await shop.did("purchase", lin)
    (moved,) = [m for m in await shop.moved() if m.what == "membership"]
    assert (moved.customer, moved.key, moved.before, moved.after) == (lin, buyers, None, "member")
    assert moved.reason == {
        "by": "facts",
        "tests": [{"rule": "count(purchase) >= 2", "answer": True, "value": 2}],
    }
    async with shop.chain.service.storage.unscoped_reader() as reader:
        assert set(await reader.memberships([lin, other])) == {lin}
    await shop.sees_afresh()


async def test_a_correction_takes_out_whom_the_corrected_fact_named(shop: Shopkeeper):
    buyers = await shop.segment("count(purchase) >= 1")
    lin, wang = await shop.customer(), await shop.customer()
    wrong = await shop.did("purchase", lin)
    assert await shop.members() == [(lin, buyers, "member")]
    right = await shop.did("purchase", wang, supersedes=wrong)
    assert sorted(await shop.members()) == sorted([(lin, buyers, None), (wang, buyers, "member")])
    await shop.did("purchase", supersedes=right, void=True)
    assert await shop.members() == [(wang, buyers, None)]
    await shop.sees_afresh()


async def test_values_of_schemes_move_with_their_reason(shop: Shopkeeper):
    lin = await shop.customer()
    await shop.did("visit", lin)
    assert [m.key for m in await shop.moved()] == []  # where one stands first is no movement
    assert await shop.stands(lin, "lifecycle") == ["prospect"]
    await shop.did("purchase", lin)
    moved = {m.key: m for m in await shop.moved()}
    lifecycle = moved["lifecycle"]
    assert (lifecycle.before, lifecycle.after) == ("prospect", "new")
    assert lifecycle.reason["by"] == "facts"
    assert "purchase" in lifecycle.reason["tests"][0]["rule"]
    await shop.pin(lin, "loyal", None)
    (pinned,) = [m for m in await shop.moved() if m.key == "lifecycle"]
    assert (pinned.before, pinned.after, pinned.reason) == ("new", "loyal", {"by": "person", "tests": []})
    await shop.sees_afresh()


async def test_members_by_hand_are_members_and_exclusions_win(shop: Shopkeeper):
    by_hand, by_rule = await shop.segment(None), await shop.segment("count(visit) >= 1")
    lin = await shop.customer(**{f"segments/{by_hand}": True})
    assert await shop.members() == [(lin, by_hand, "member")]
    await shop.did("visit", lin)
    assert await shop.members() == [(lin, by_rule, "member")]
    await shop.edit("customer", lin, **{f"excluded_segments/{by_rule}": True})
    (out,) = await shop.moved()
    assert (out.key, out.after, out.reason["by"]) == (by_rule, None, "person")
    await shop.did("visit", lin)
    assert await shop.members() == []
    await shop.sees_afresh()


# --- the clock --------------------------------------------------------------------------------------------


async def test_whoever_turns_by_time_alone_does_so_on_the_very_day_and_not_before(shop: Shopkeeper):
    silent = await shop.segment("days_since_purchase > 30")
    lin = await shop.customer()
    await shop.did("purchase", lin)
    await shop.moved()
    clock = shop.chain.clock
    noon = clock.ms
    for days in (1, 10, 29):
        clock.ms = noon + days * DAY_MS
        assert await shop.members() == []
    clock.ms = midnight(noon, 31) - 60_000
    assert await shop.members() == []
    async with shop.chain.service.storage.unscoped_reader() as reader:
        assert await reader.next_due() == midnight(noon, 31)
    clock.ms = midnight(noon, 31)
    (moved,) = [m for m in await shop.moved() if m.what == "membership"]
    assert (moved.customer, moved.key, moved.after) == (lin, silent, "member")
    assert moved.reason == {
        "by": "time",
        "tests": [{"rule": "days_since_purchase > 30", "answer": True, "value": 31}],
    }
    await shop.sees_afresh()


async def test_a_server_that_was_away_tells_of_each_movement_at_its_own_instant(shop: Shopkeeper):
    lately = await shop.segment("days_since_visit between 3 and 5")
    silent = await shop.segment("days_since_visit > 9")
    lin = await shop.customer()
    await shop.did("visit", lin)
    await shop.moved()
    clock = shop.chain.clock
    noon = clock.ms
    clock.ms = noon + 20 * DAY_MS + 3_600_000
    moved = [m for m in await shop.moved() if m.what == "membership"]
    days = [(m.key, m.after, m.at_ms) for m in moved]
    assert days == [
        (lately, "member", midnight(noon, 3)),
        (lately, None, midnight(noon, 6)),
        (silent, "member", midnight(noon, 10)),
    ]
    assert [(m.reason["by"], m.reason["tests"][0]["value"]) for m in moved if m.reason] == [
        ("time", 3),
        ("time", 6),
        ("time", 10),
    ]
    async with shop.chain.service.storage.unscoped_reader() as reader:
        assert await reader.memberships([lin]) == {lin: {silent: midnight(noon, 10)}}
    await shop.sees_afresh()


async def test_who_was_written_of_meanwhile_is_looked_at_as_of_now(shop: Shopkeeper):
    silent = await shop.segment("days_since_visit > 9")
    lin = await shop.customer()
    await shop.did("visit", lin)
    await shop.moved()
    shop.chain.clock.pass_(days=20)
    await shop.edit("customer", lin, name="林芳芳")
    (moved,) = [m for m in await shop.moved() if m.what == "membership"]
    assert moved.key == silent
    assert shop.chain.clock.ms - moved.at_ms < 1_000


async def test_a_fact_that_lies_ahead_counts_from_its_day_on(shop: Shopkeeper):
    buyers = await shop.segment("count(visit) >= 1")
    lin = await shop.customer()
    await shop.did("visit", lin, days=2)
    await shop.did("visit", lin, at="9999-12-31T23:30:00.000Z")  # a day later in Shanghai there is no day
    assert await shop.members() == []
    shop.chain.clock.pass_(days=1)
    assert await shop.members() == []
    shop.chain.clock.pass_(days=1)
    assert await shop.members() == [(lin, buyers, "member")]


# --- others -----------------------------------------------------------------------------------------------


async def test_a_pin_that_ends_moves_by_time(shop: Shopkeeper):
    lin = await shop.customer()
    await shop.did("purchase", lin)
    await shop.pin(lin, "loyal", 5)
    await shop.moved()
    shop.chain.clock.pass_(days=4)  # that day has begun in Shanghai
    (ended,) = [m for m in await shop.moved() if m.key == "lifecycle"]
    assert (ended.before, ended.after, ended.reason) == ("loyal", "new", {"by": "time", "tests": []})


async def test_who_comes_in_with_the_first_fact_comes_by_it(shop: Shopkeeper):
    segment = await shop.segment("count(purchase) >= 1")
    lin = await shop.customer()
    await shop.did("purchase", lin)
    (came,) = [m for m in await shop.moved() if m.key == segment]
    assert came.reason is not None
    assert came.reason["by"] == "facts"


async def test_what_those_spend_whom_one_brought_moves_the_one_who_brought_them(shop: Shopkeeper):
    hen = await shop.segment("referral_value >= 100")
    one, two = await shop.customer(), await shop.customer()
    fields = {"from_customer": one, "to_customer": two, "kind": "referrer", "active": True}
    await shop.chain.write("create", "link", link_id(one, two, "referrer"), fields)
    await shop.moved()
    bought = await shop.did("purchase", two)
    assert await shop.members() == [(one, hen, "member")]
    await shop.did("purchase", two, supersedes=bought, void=True)
    assert await shop.members() == [(one, hen, None)]


async def test_who_is_linked_moves_with_the_other_two_links_far(shop: Shopkeeper):
    near = await shop.segment("link(companion: count(visit) >= 1)")
    far = await shop.segment("link(companion: link(companion: count(visit) >= 1))")
    one, two, three = [await shop.customer() for _ in range(3)]
    for a, b in ((one, two), (two, three)):
        fields = {"from_customer": a, "to_customer": b, "kind": "companion", "active": True}
        await shop.chain.write("create", "link", link_id(a, b, "companion"), fields)
    assert await shop.members() == []
    await shop.did("visit", one)
    moved = [(two, near, "member"), (three, far, "member"), (one, far, "member")]
    assert sorted(await shop.members()) == sorted(moved)
    await shop.sees_afresh()
    await shop.edit("link", link_id(one, two, "companion"), active=False)
    assert sorted(await shop.members()) == sorted([(two, near, None), (three, far, None), (one, far, None)])
    await shop.sees_afresh()


async def test_a_merge_moves_what_is_kept_to_the_survivor_and_tells_no_more_than_what_is_new(
    shop: Shopkeeper,
):
    buyers, often = await shop.segment("count(purchase) >= 1"), await shop.segment("count(purchase) >= 2")
    one, other = sorted([await shop.customer(), await shop.customer()])
    for id in (one, other):
        await shop.did("purchase", id)
    await shop.moved()
    pair: dict[str, object] = {"one": one, "other": other, "decision": "same"}
    await shop.chain.write("create", "identity", identity_id(one, other), pair)
    found = await shop.moved()
    assert [(m.customer, m.key, m.after) for m in found if m.what == "membership"] == [(one, often, "member")]
    assert {m.key: (m.before, m.after) for m in found}["lifecycle"] == ("new", "old")
    async with shop.chain.service.storage.unscoped_reader() as reader:
        assert set(await reader.memberships([one, other])) == {one}
        assert set(await reader.standings([one, other])) == {one}
    await shop.sees_afresh()
    await shop.edit("identity", identity_id(one, other), decision="not_same")
    assert sorted(await shop.members()) == sorted([(one, often, None), (other, buyers, "member")])
    await shop.sees_afresh()


# --- rules ------------------------------------------------------------------------------------------------


async def test_a_new_or_changed_rule_is_asked_of_everybody_by_and_by(shop: Shopkeeper):
    customers = [await shop.customer() for _ in range(4)]
    for id in customers[:3]:
        await shop.did("purchase", id)
    await shop.moved()
    segment = await shop.segment("count(purchase) >= 1")
    async with shop.chain.service.storage.unscoped_reader() as reader:
        sweep = await reader.sweep(shop.chain.clock.ms)
        assert sweep is not None
        assert (sweep.reached, sweep.total) == (0, 4)
    assert sorted(await shop.members()) == sorted((id, segment, "member") for id in customers[:3])
    async with shop.chain.service.storage.unscoped_reader() as reader:
        assert await reader.sweep(shop.chain.clock.ms) is None
    rule = write(parse("count(purchase) = 0", shipped().words))
    await shop.edit("segment", segment, rule=rule)
    assert len(await shop.members()) == 4
    await shop.edit("segment", segment, name="other words")
    async with shop.chain.service.storage.unscoped_reader() as reader:
        assert await reader.sweep(shop.chain.clock.ms) is None
    patch = {"values": {"new": {"rule": "purchase_count >= 5"}}}
    row: dict[str, object] = {"key": "lifecycle", "changes": patch}
    await shop.chain.write("create", "scheme", made_id("scheme", "lifecycle"), row)
    assert {m.before for m in await shop.moved() if m.key == "lifecycle"} == {"new"}
    await shop.edit("segment", segment, archived=True)
    (left,) = await shop.moved()
    assert (left.after, left.reason) == (None, {"by": "rule", "tests": []})
    await shop.sees_afresh()


async def test_a_changed_product_is_asked_of_those_who_bought_it(
    shop: Shopkeeper, monkeypatch: pytest.MonkeyPatch
):
    due = await shop.segment("refill_days <= 0")
    soap, tea = shop.chain.new_id(), shop.chain.new_id()
    for id in (soap, tea):
        await shop.chain.write("create", "product", id, {"name": "P", "usage_days": 30})
    lin, wang = await shop.customer(), await shop.customer()
    friend = await shop.segment("link(companion: refill_days <= 0)")
    tied = {"from_customer": lin, "to_customer": wang, "kind": "companion", "active": True}
    await shop.chain.write("create", "link", link_id(lin, wang, "companion"), tied)
    others = [await shop.customer() for _ in range(3)]
    await shop.did("purchase", lin, product=soap)
    for id in others:
        await shop.did("purchase", id, product=tea)
    assert await shop.members() == []
    looked = shop.looked_at(monkeypatch)
    await shop.edit("product", soap, refill_lead_days=30)
    assert sorted(await shop.members()) == sorted([(lin, due, "member"), (wang, friend, "member")])
    assert set(looked) == {lin, wang}
    await shop.sees_afresh()
    looked.clear()
    await shop.edit("product", tea, usage_days=31)
    await shop.chain.write("create", "product", shop.chain.new_id(), {"name": "New", "usage_days": 3})
    await shop.edit("product", soap, name="Soap")
    await shop.moved()
    assert set(looked) == set(others)


async def test_a_changed_unit_is_asked_of_those_at_home_below_it(
    shop: Shopkeeper, monkeypatch: pytest.MonkeyPatch
):
    units = shop.chain.units
    south = await shop.chain.unit("South", "region", units["hq"])
    await shop.chain.unit("Lake", "branch", south)
    by_the_lake, elsewhere = await shop.customer(home_unit=units["Lake"]), await shop.customer()
    spent = await shop.segment("spend >= 100")
    for id in (by_the_lake, elsewhere):
        await shop.did("purchase", id)
    assert sorted(await shop.members()) == sorted((id, spent, "member") for id in (by_the_lake, elsewhere))
    looked = shop.looked_at(monkeypatch)
    await shop.edit("unit", south, currency="SGD")
    assert await shop.members() == [(by_the_lake, spent, None)]
    assert set(looked) == {by_the_lake}
    await shop.sees_afresh()


async def test_cut_points_are_asked_of_buyers(shop: Shopkeeper, monkeypatch: pytest.MonkeyPatch):
    buyer, visitor = await shop.customer(), await shop.customer()
    await shop.did("purchase", buyer)
    await shop.did("visit", visitor)
    await shop.moved()
    looked = shop.looked_at(monkeypatch)
    said: dict[str, Any] = {"day": "2026-11-22", "cuts": {"spend": [10, 20, 30, 40]}}
    await shop.chain.write("create", "cut_points", made_id("cut_points", said["day"]), said)
    assert "tier" in {movement.key for movement in await shop.moved()}
    assert set(looked) == {buyer}
    await shop.sees_afresh()


async def test_who_is_written_of_during_a_sweep_is_looked_at_next(shop: Shopkeeper):
    customers = [await shop.customer() for _ in range(checking.BESIDE + 3)]
    await shop.moved()
    segment = await shop.segment("count(visit) >= 1")
    assert await shop.checking.once() == []  # they are made due
    assert await shop.checking.once() == []  # some are looked at
    last = customers[-1]
    await shop.did("visit", last)
    moved = await shop.checking.once()
    assert moved is not None
    assert [(m.customer, m.key) for m in moved if m.what == "membership"] == [(last, segment)]
    async with shop.chain.service.storage.unscoped_reader() as reader:
        sweep = await reader.sweep(shop.chain.clock.ms)
    assert sweep is not None
    assert sweep.waiting == 2


async def test_of_whom_nothing_can_be_said_keeps_nobody_else_waiting(
    shop: Shopkeeper, monkeypatch: pytest.MonkeyPatch
):
    buyers = await shop.segment("count(purchase) >= 1")
    poor, lin = await shop.customer(), await shop.customer()
    await shop.moved()

    def failing(rule: Any, known: Any, world: Any) -> Any:
        if known.id == poor:
            raise ZeroDivisionError
        return evaluate(rule, known, world)

    monkeypatch.setattr(checking, "evaluate", failing)
    for id in (poor, lin):
        await shop.did("purchase", id)
    assert await shop.members() == [(lin, buyers, "member")]
    monkeypatch.undo()
    shop.chain.clock.pass_(hours=2)
    assert await shop.members() == [(poor, buyers, "member")]


# --- any history ------------------------------------------------------------------------------------------

RULES = [
    "count(purchase) >= 2",
    "days_since_contact > 20",
    "is(lifecycle) in [new, temporary]",
    "link(companion: count(visit, last 30 days) >= 1)",
    "count(visit) = 0 or tags has vip",
    "sum(amount of purchase, last 60 days) >= 3.00 CNY",
    "not is(tier) in [gold, silver]",
]

STEPS = ["correct", "tag", "pin", "link", "same", "rule", "cuts", "put", "pass", "look", *["fact"] * 3]


@pytest.mark.parametrize("seed", range(3))
async def test_after_any_history_the_tables_say_what_a_fresh_look_says(shop: Shopkeeper, seed: int):
    chance = random.Random(seed)
    customers = [await shop.customer() for _ in range(6)]
    facts: list[str] = []
    segments: list[str] = []
    ties: set[str] = set()
    for step in range(60):
        one, other = sorted(chance.sample(customers, 2))
        match chance.choice(STEPS):
            case "fact":
                kind, ago = chance.choice(["visit", "purchase", "call"]), -chance.randint(0, 90)
                facts.append(await shop.did(kind, *chance.choice([(one,), (one, other)]), days=ago))
            case "correct" if facts:
                former = chance.choice(facts)
                facts.append(await shop.did("purchase", other, supersedes=former, void=chance.random() < 0.4))
            case "tag":
                await shop.edit("customer", one, **{"tags/vip": chance.random() < 0.5})
            case "pin":
                await shop.pin(one, chance.choice(["loyal", "new"]), chance.choice([None, 5]))
            case "link" | "same" as what:
                id = link_id(one, other, "companion") if what == "link" else identity_id(one, other)
                said: dict[str, Any]
                changed: dict[str, Any]
                if what == "link":
                    said = {"from_customer": one, "to_customer": other, "kind": "companion", "active": True}
                    changed = {"active": chance.random() < 0.5}
                else:
                    said = {"one": one, "other": other, "decision": "same"}
                    changed = {"decision": chance.choice(["same", "not_same"])}
                entity = "link" if what == "link" else "identity"
                if id in ties:
                    await shop.edit(entity, id, **changed)
                else:
                    await shop.chain.write("create", entity, id, said)
                ties.add(id)
            case "rule":
                rule = chance.choice(RULES)
                if len(segments) < 5:
                    segments.append(await shop.segment(rule))
                else:
                    said_ = write(parse(rule, shipped().words))
                    await shop.edit("segment", chance.choice(segments), rule=said_)
            case "cuts":
                day = instant_of(shop.chain.clock.ms + step * DAY_MS)[:10]
                cuts = {"spend": [100, 200, 300, chance.randint(301, 900)], "purchase_count": [1, 2, 3, 4]}
                published: dict[str, Any] = {"day": day, "cuts": cuts}
                await shop.chain.write("create", "cut_points", made_id("cut_points", day), published)
            case "put" if segments:
                field = chance.choice(["segments", "excluded_segments"])
                path = f"{field}/{chance.choice(segments)}"
                await shop.edit("customer", one, **{path: chance.random() < 0.6})
            case "pass":
                shop.chain.clock.pass_(days=chance.choice([1, 7, 25]))
            case "look":
                await shop.checking.once()
        if step % 20 == 19:
            await shop.sees_afresh()


async def test_cut_points_are_published_once_a_day_and_customers_are_graded_by_them(shop: Shopkeeper):
    service = shop.chain.service
    cutting = Cutting(service.storage, service.admission, service.worlds, service.now_ms)
    customers = [await shop.customer() for _ in range(5)]
    for n, id in enumerate(customers, 1):
        await shop.did("purchase", id, amount=100 * n, days=-n)
    await cutting.once()
    async with service.storage.unscoped_reader() as reader:
        assert await reader.count("cut_points", None) == 0  # nobody was looked at yet
    await shop.moved()
    await cutting.once()
    await cutting.once()
    async with service.storage.unscoped_reader() as reader:
        (row,) = await reader.select("cut_points", None, Order(), 9)
        cuts = (await service.worlds.of(reader)).chain.cuts
    assert orjson.loads(row.documents[Level.INTERNAL])["day"] == "2026-11-22"
    assert cuts == {
        "days_since_purchase": (1, 2, 3, 4),
        "purchase_count": (1, 1, 1, 1),
        "spend": (100, 200, 300, 400),
    }
    assert {(m.key, m.after) for m in await shop.moved() if m.customer == customers[4]} >= {("tier", "gold")}
    assert await shop.stands(customers[3], "tier") == ["silver"]
    await shop.sees_afresh()
    shop.chain.clock.pass_(days=1)
    await shop.did("purchase", customers[0], amount=1_000)
    await shop.moved()
    await cutting.once()
    async with service.storage.unscoped_reader() as reader:
        assert await reader.count("cut_points", None) == 2
    await shop.moved()
    assert await shop.stands(customers[0], "tier") == ["diamond"]
    await shop.sees_afresh()


async def test_a_chain_of_two_currencies_has_cut_points_of_money_for_each(shop: Shopkeeper):
    service, units = shop.chain.service, shop.chain.units
    await shop.edit("unit", units["Orchard"], currency="SGD")
    cutting = Cutting(service.storage, service.admission, service.worlds, service.now_ms)
    customers = [await shop.customer() for _ in range(5)]
    abroad = [await shop.customer(home_unit=units["Orchard"]) for _ in range(5)]
    for n, (near, far) in enumerate(zip(customers, abroad, strict=True), 1):
        await shop.did("purchase", near, amount=10_000 * n)
        for currency, amount in (("SGD", 20 * n), ("CNY", 90_000)):
            lines = [{"amount": amount, "cost": 0, "quantity": 1, "currency": currency}]
            await shop.did("purchase", far, lines=lines)
    await shop.moved()
    await cutting.once()
    async with service.storage.unscoped_reader() as reader:
        world = (await service.worlds.of(reader)).chain
        ids, tree = [*customers, *abroad], await service.admission.tree()
        found = await known(reader, ids, tree=tree, as_of_ms=shop.chain.clock.ms, sensitive=True)
    assert world.cuts["spend CNY"] == (10_000, 20_000, 30_000, 40_000)
    assert world.cuts["spend SGD"] == world.cuts["margin SGD"] == (20, 40, 60, 80)
    assert "spend" not in world.cuts
    assert world.cuts["purchase_count"] == (1, 1, 2, 2)
    people = [found[id] for id in ids]
    fifths = [metric("monetary_fifth", person, world) for person in people]
    assert fifths == [1, 2, 3, 4, 5] * 2
    rule = NumberTest(Metric("monetary_fifth"), ">=", 4)
    assert [evaluate(rule, person, world).answer for person in people] == [
        False,
        False,
        False,
        True,
        True,
    ] * 2
    assert {(m.key, m.after) for m in await shop.moved() if m.customer == abroad[4]} >= {("tier", "gold")}
    await shop.sees_afresh()


async def test_head_office_sees_how_far_everybody_was_looked_at_and_a_branch_does_not(shop: Shopkeeper):
    asked = "{ standingProgress { reached total waiting } }"
    office, branch = await caller(shop.chain), await caller(shop.chain, "clerk", "Nanjing Road")
    await shop.customer()
    await shop.moved()
    assert await office.ask(asked) == {"standingProgress": None}
    await shop.segment("count(visit) >= 1")
    assert await office.ask(asked) == {"standingProgress": {"reached": 0, "total": 1, "waiting": 0}}
    assert await branch.ask(asked) == {"standingProgress": None}
