"""Whom SQL finds by a rule over the server's own tables is whom the oracle finds by the rows."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings

from regulars_schema.entities import REGISTRY
from regulars_schema.rules.evaluate import evaluate
from regulars_schema.rules.knowing import Chain as RuleWorld
from regulars_schema.rules.knowing import Known
from regulars_schema.rules.metrics import METRICS
from regulars_schema.rules.text import parse, show
from regulars_schema.rules.totals import days_since, part_of_a_day
from regulars_schema.rules.windows import iso
from regulars_server.app import DATABASE
from regulars_server.authors import SERVER, UnitTree
from regulars_server.erasure import erase
from regulars_server.knowledge.loading import known
from regulars_server.knowledge.matching import Viewpoint, asked, matching
from regulars_server.knowledge.previewing import preview
from regulars_server.knowledge.statistics import Crowd, measure, summaries
from regulars_server.storage.interface import Fits, Order, Person, Reader
from regulars_server.storage.postgres import PostgresStorage
from regulars_server.storage.sqlite import SqliteStorage
from regulars_sync.clock import ms_of
from regulars_sync.ids import identity_id, link_id
from regulars_sync.units import Unit
from tests.support.chain import Chain, new_chain
from tests.support.rules import CATEGORIES, CHAIN, PRODUCTS, RULES, SEGMENTS, STAFF, TODAY, UNITS, WORDS, rule

CUSTOMERS = 40
DRAWN = 150
NOW_MS = ms_of(f"{iso(TODAY)}T02:00:00.000Z")


async def fill(chain: Chain) -> list[str]:
    """Customers of three zones with facts, corrections, links, merges: the same at every call."""
    dice = random.Random(7)
    hq = chain.units["hq"]
    made: list[tuple[str, str, dict[str, Any]]] = []
    for unit, more in zip(UNITS, ({}, {"time_zone": "America/New_York", "currency": "JPY"}), strict=True):
        made.append(("unit", unit, {"name": unit, "kind": "branch", "parent": hq, **more}))
    made += [("staff", id, {"name": id, "role": "clerk"}) for id in STAFF]
    made += [("segment", id, {"name": id}) for id in SEGMENTS]
    for id, category in zip(PRODUCTS, CATEGORIES, strict=True):
        made.append(("product", id, {"name": id, "category": category, "usage_days": 30}))
    customers = [chain.new_id() for _ in range(CUSTOMERS)]
    for id in customers:
        card: dict[str, Any] = {
            "name": dice.choice(["林芳", "Lin Fang", "ann", 'a "b"']),
            "gender": dice.choice(["female", "male", None]),
            "owner": dice.choice([*STAFF, None]),
            "trading_since": dice.choice([None, iso(TODAY - dice.randrange(900))]),
            "home_unit": dice.choice([*UNITS, chain.units["Orchard"]]),
            "archived": dice.random() < 0.2,
            "notes": dice.choice([None, "ann"]),
            f"segments/{dice.choice(SEGMENTS)}": dice.random() < 0.5,
            f"excluded_segments/{dice.choice(SEGMENTS)}": dice.random() < 0.3,
            "tags/林芳": dice.random() < 0.5,
        }
        made.append(("customer", id, card))
    facts: list[str] = []
    for _ in range(8 * CUSTOMERS):
        day = TODAY - dice.choice([-20, 0, 1, 3, 10, 40, 200, 800])
        fact: dict[str, Any] = {
            "kind": dice.choice(["visit", "purchase", "return", "call", "complaint"]),
            "at": f"{iso(day)}T{dice.randrange(24):02}:30:00.000Z",
            "party": [{"customer": id} for id in dice.sample(customers, dice.choice([1, 1, 1, 2]))],
            "unit": dice.choice([*UNITS, None]) or chain.units["Orchard"],
            "channel": dice.choice(["store", "phone", None]),
            "stage_reached": dice.choice([None, 1, 8]),
            "effort_min": dice.choice([None, 10]),
            "supersedes": dice.choice(facts) if facts and dice.random() < 0.15 else None,
            "void": dice.random() < 0.05,
        }
        fact["lines"] = [
            {
                "product": dice.choice([*PRODUCTS, None]),
                "amount": dice.randrange(-5, 40),
                "cost": dice.choice([None, 5]),
                "quantity": dice.randrange(1, 4),
                "currency": dice.choice(["CNY", "JPY", None]),
            }
            for _ in range(dice.randrange(3))
        ]
        facts.append(chain.new_id())
        made.append(("interaction", facts[-1], fact))
    for one, other in zip(customers[::5], customers[1::5], strict=False):
        kind = dice.choice(["companion", "referrer"])
        ends = {"from_customer": one, "to_customer": other, "kind": kind, "active": dice.random() < 0.8}
        made.append(("link", link_id(one, other, kind), ends))
    for one, other in (customers[:2], customers[2:4]):
        pair = {"one": min(one, other), "other": max(one, other), "decision": "same", "reason": "person"}
        made.append(("identity", identity_id(one, other), pair))
    changes = [[chain.service.change("create", *said)] for said in made]
    for (ruling,) in await chain.service.admission.write(SERVER, changes):
        assert ruling.verdict in ("applied", "merged"), ruling
    return customers


async def survivors(reader: Reader) -> list[str]:
    return [row.id for row in await reader.select("customer", Person(), Order(), 1_000)]


@pytest.fixture(params=["sqlite", "postgres"])
async def chain(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Chain]:
    storage = None
    if request.param == "postgres":
        beside = SqliteStorage(tmp_path / DATABASE, REGISTRY)  # logins are kept there all the same
        await beside.open()
        await beside.close()
        storage = PostgresStorage(request.getfixturevalue("postgres_url"), REGISTRY)
    async with new_chain(tmp_path, storage) as made:
        yield made


async def test_rules_find_in_the_tables_whom_the_oracle_finds_in_the_rows(chain: Chain):
    await fill(chain)
    storage = chain.service.storage
    async with storage.unscoped_reader() as reader:
        tree = await UnitTree.read(reader)
    view = Viewpoint(tree, NOW_MS, True, CHAIN.me, CHAIN.team)
    await chain.service.checking.drain()
    tried: list[Any] = []

    @settings(max_examples=DRAWN, deadline=None, suppress_health_check=list(HealthCheck))
    @given(RULES)
    def draw(rule: Any) -> None:
        tried.append(rule)

    draw()
    exact = 0
    async with storage.unscoped_reader() as reader:
        everybody = await survivors(reader)
        people = await known(reader, everybody, tree=tree, as_of_ms=NOW_MS, sensitive=True)
        assert len(people) == len(everybody) == CUSTOMERS - 2
        for drawn in tried:
            found = matching(drawn, CHAIN.segments, view)
            exact += found.exact
            sure = {row.id for row in await reader.select("customer", found.sure, Order(), 1_000)}
            may = {row.id for row in await reader.select("customer", found.may, Order(), 1_000)}
            fits = {id for id, person in people.items() if evaluate(drawn, person, CHAIN).answer}
            assert sure <= fits <= may, show(drawn, WORDS)
            rest = [one async for one in asked(reader, drawn, CHAIN, found.asked, view, 1_000)]
            assert {one.id for one, _ in rest} == may - sure
            assert sure | {one.id for one, answer in rest if answer} == fits
            assert await reader.count("customer", found.sure) == len(sure)
    assert exact > DRAWN / 10


CUTS = {
    "days_since_purchase": (0, 3, 40, 200),
    "purchase_count": (0, 1, 2, 3),
    "spend CNY": (0, 5, 20, 40),
    "spend JPY": (3, 7, 9, 11),
    "margin": (-5, 0, 9, 30),
    "margin_pareto": (9,),
}
CROWDS = (
    "archived = true or archived = false",
    "purchase_count >= 1",
    "gender = female",
    'name = "nobody"',
    "spend >= 10 and days_since_purchase < 60",
    'not name sounds "linf"',
    "link(companion)",
)


def summed_up(names: Sequence[str], people: Sequence[Known], world: RuleWorld) -> dict[Any, list[int]]:
    """Of each metric and currency: measured, nothing, unknown, sum; computed afresh."""
    found: dict[Any, list[int]] = {(n, None): [0, 0, 0, 0] for n in names if METRICS[n].unit != "money"}
    for name in names:
        for person in people:
            currency = person.currency if METRICS[name].unit == "money" else None
            summary = found.setdefault((name, currency), [0, 0, 0, 0])
            value, is_known = measure(name, person, world)
            summary[0 if value is not None else 1 if is_known else 2] += 1
            summary[3] += value or 0
    return found


async def test_numbers_of_all_who_fit_are_what_each_ones_come_to(chain: Chain):
    customers = await fill(chain)
    one, other = (chain.new_id() for _ in range(2))
    for id, unit in ((one, UNITS[0]), (other, UNITS[1])):
        await chain.write("create", "customer", id, {"name": "of two currencies", "home_unit": unit})
    ends: dict[str, object] = {"from_customer": one, "to_customer": other, "kind": "referrer"}
    await chain.write("create", "link", link_id(one, other, "referrer"), ends)
    storage = chain.service.storage
    await chain.service.checking.drain()
    world = replace(CHAIN, cuts=CUTS)
    async with storage.unscoped_reader() as reader:
        view = Viewpoint(await UnitTree.read(reader), NOW_MS, True, CHAIN.me, CHAIN.team)
        everybody = await survivors(reader)
        assert len(everybody) == len(customers)  # two were merged, two came
        people = await known(reader, everybody, tree=view.tree, as_of_ms=NOW_MS, sensitive=True)
        whole = replace(world, find=people.get)
        unknown, currencies = 0, set[str | None]()
        for text in CROWDS:
            drawn = parse(text, WORDS)
            found = await preview(reader, drawn, world, view, frozenset(), lambda: True)
            crowd = Crowd(found.fits.by_home, people=found.members)
            (told,) = await summaries(reader, METRICS, [crowd], world, view, lambda: True)
            fits = [person for person in people.values() if evaluate(drawn, person, whole).answer]
            assert found.count == len(fits)
            fresh = summed_up(list(METRICS), fits, whole)
            assert {
                (each.name, each.currency): [each.measured, each.nothing, each.unknown, each.sum]
                for each in told
            } == fresh, text
            assert {each.of for each in told} == {None}
            unknown += sum(each.unknown for each in told)
            currencies |= {each.currency for each in told if each.name == "spend"}
            (in_no_time,) = await summaries(reader, METRICS, [crowd], world, view, lambda: False)
            for each in in_no_time:
                if each.of is None:
                    said = [each.measured, each.nothing, each.unknown, each.sum]
                    assert said == fresh[each.name, each.currency]
            of_some = {each.name for each in in_no_time if each.of is not None}
            assert of_some.isdisjoint({"spend", "margin", "days_since_purchase", "satisfaction"})
            of = len(found.members) if found.sure else None
            assert {each.of for each in in_no_time if each.name == "age"} == {of}
        assert unknown
        assert len(currencies) > 1


async def test_a_chain_may_have_more_units_than_a_statement_parameters(chain: Chain):
    await fill(chain)
    units = [Unit("top", "top", None, None)]
    units += [Unit(f"u{n}", f"u{n}", "top", None) for n in range(40_000)]
    view = Viewpoint(UnitTree(units), NOW_MS, True)
    async with chain.service.storage.unscoped_reader() as reader:
        counts = [
            await reader.count("customer", matching(parse(text, WORDS), {}, view).sure)
            for text in ("archived = true", "archived = false")
        ]
    assert sum(counts) == CUSTOMERS - 4  # of two merged pairs no row tells


def test_days_since_are_told_by_the_local_day_in_any_zone():
    for zone in ("Asia/Kolkata", "Asia/Kathmandu", "America/New_York", "Asia/Singapore", "UTC"):
        there = ZoneInfo(zone)
        part = part_of_a_day(there)
        for start in (datetime(1995, 3, 31, tzinfo=UTC), datetime(2026, 3, 8, tzinfo=UTC)):
            for minutes in range(0, 2 * 24 * 60, 5):
                at = start + timedelta(minutes=minutes)
                told = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
                ago = TODAY - at.astimezone(there).toordinal()
                assert days_since(told[:part], TODAY, there) == days_since(told, TODAY, there) == ago


async def test_who_may_not_read_a_field_finds_nobody_for_sure_by_it(chain: Chain):
    await fill(chain)
    async with chain.service.storage.unscoped_reader() as reader:
        blind = Viewpoint(await UnitTree.read(reader), NOW_MS, False)
        poor = rule({"field": "income_band", "op": "missing"})
        found = matching(poor, {}, blind)
        assert await reader.count("customer", found.sure) == 0
        assert await reader.count("customer", found.may) == CUSTOMERS - 2
        answers = [answer async for _, answer in asked(reader, poor, CHAIN, found.asked, blind, 5)]
        assert answers == [None] * 5


async def laid_out(reader: Reader, fact: str) -> set[str]:
    found = Fits("c.id IN (SELECT d.customer FROM deed d WHERE d.id = ?)", (fact,))
    return {row.id for row in await reader.select("customer", found, Order(), 1_000)}


async def test_what_is_laid_out_follows_corrections_and_erasure(chain: Chain):
    customers = await fill(chain)
    storage = chain.service.storage
    async with storage.unscoped_reader() as reader:
        view = Viewpoint(await UnitTree.read(reader), NOW_MS, True)
    for _ in range(3):
        await chain.service.checking.drain()
        async with storage.unscoped_reader() as reader:
            people = await known(reader, customers, tree=view.tree, as_of_ms=NOW_MS, sensitive=True)
            told = {(one.id, deed.id) for one in people.values() for deed in one.deeds}
            assert len(told) > 5 * CUSTOMERS
            for fact in {fact for _, fact in told}:
                assert await laid_out(reader, fact) == {who for who, other in told if other == fact}
        who, fact = min(told)
        void = {"kind": "visit", "at": "2026-11-01T10:00:00.000Z", "supersedes": fact, "void": True}
        await chain.write("create", "interaction", chain.new_id(), void)
        await chain.service.checking.drain()
        async with storage.unscoped_reader() as reader:
            assert await laid_out(reader, fact) == set()
            mine = {fact for other, fact in told if other == who}
        await erase(chain.service, who, "asked for it")
        customers = [id for id in customers if id != who]
        async with storage.unscoped_reader() as reader:
            for fact in mine:
                assert who not in await laid_out(reader, fact)
