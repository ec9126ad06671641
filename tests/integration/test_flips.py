"""Whom time alone moves, it moves at the very instant: when the day begins where the customer is at home.

Days begin by the clocks of the home unit, also where these are put on or back and a midnight is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.integration.test_standing import Shopkeeper
from tests.support.chain import new_chain

SHANGHAI, NEW_YORK, SANTIAGO = "Asia/Shanghai", "America/New_York", "America/Santiago"
BORN_IN_A_LEAP_YEAR = {"year": 1988, "month": 2, "day": 29, "calendar": "solar"}
BORN_AT_NEW_YEAR = {"year": 1988, "month": 1, "day": 1, "calendar": "lunar"}
BORN_IN_A_LEAP_MONTH = {"month": 6, "day": 1, "calendar": "lunar", "leap": True}


def ms(zone: str, day: str) -> int:
    """The instant at which a wall clock there says this for the first time, or would."""
    return round(datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1_000)


async def turns(shop: Shopkeeper, key: str, until_ms: int) -> list[tuple[int, bool]]:
    """When somebody comes into a segment and leaves it; nobody does so a moment before.

    The clock stands a millisecond before each instant, and at it. It starts at the time of the chain's clock.
    """
    clock, found = shop.chain.clock, list[tuple[int, bool]]()
    await shop.moved()
    while True:
        async with shop.chain.service.storage.unscoped_reader() as reader:
            due = await reader.next_due()
        if due is None or due > until_ms:
            return found
        clock.ms = max(clock.ms, due - 50)
        assert await shop.members() == [], "too early"
        clock.ms = due
        for moved in await shop.moved():
            if moved.key == key:
                found.append((moved.at_ms, moved.after is not None))


async def opened(shop: Shopkeeper, zone: str, start: str) -> str:
    """A branch in that zone, at noon there of that day."""
    shop.chain.clock.ms = ms(zone, f"{start}T12:00")
    company = shop.chain.units["hq"]
    return await shop.chain.unit("There", "branch", company, time_zone=zone)


@pytest.mark.parametrize(
    ("zone", "start", "rule", "birth", "days"),
    [
        # a window that facts leave, and an age of facts
        (SHANGHAI, "2026-12-01", "count(visit, last 30 days) >= 1", None, ["2026-12-31"]),
        (SHANGHAI, "2026-12-05", "count(visit, this month) >= 1", None, ["2027-01-01"]),
        (SHANGHAI, "2026-12-01", "days_since_visit between 2 and 3", None, ["2026-12-03", "2026-12-05"]),
        # clocks are put on in the night to 14 March 2027, and back in that to 7 November
        (NEW_YORK, "2027-03-12", "days_since_visit between 1 and 2", None, ["2027-03-13", "2027-03-15"]),
        (NEW_YORK, "2027-03-13", "days_since_visit between 1 and 1", None, ["2027-03-14", "2027-03-15"]),
        (NEW_YORK, "2027-11-06", "days_since_visit between 1 and 1", None, ["2027-11-07", "2027-11-08"]),
        # there the fifth of September begins at one o'clock
        (SANTIAGO, "2027-09-04", "days_since_visit between 1 and 1", None, ["2027-09-05", "2027-09-06"]),
        (SANTIAGO, "2027-04-03", "days_since_visit between 1 and 1", None, ["2027-04-04", "2027-04-05"]),
        # anniversaries: without and with a 29 February; of the lunar new year; of a leap month
        (
            SHANGHAI,
            "2027-01-10",
            "date(birth) anniversary within next 7 days",
            BORN_IN_A_LEAP_YEAR,
            ["2027-02-22", "2027-03-01", "2028-02-23", "2028-03-01"],
        ),
        (
            SHANGHAI,
            "2027-01-10",
            "date(birth) anniversary within next 7 days",
            BORN_AT_NEW_YEAR,
            ["2027-01-31", "2027-02-07", "2028-01-20", "2028-01-27"],
        ),
        (
            NEW_YORK,
            "2025-01-10",
            "date(birth) anniversary within next 1 days",
            BORN_IN_A_LEAP_MONTH,
            ["2025-07-25", "2025-07-26", "2026-07-14", "2026-07-15"],
        ),
    ],
)
async def test_members_change_when_the_day_begins_at_home_and_not_a_moment_before(
    tmp_path: Path, zone: str, start: str, rule: str, birth: dict[str, Any] | None, days: list[str]
):
    async with new_chain(tmp_path) as chain:
        shop = Shopkeeper(chain)
        there = await opened(shop, zone, start)
        segment = await shop.segment(rule)
        lin = await shop.customer(home_unit=there, **({"birth": birth} if birth else {}))
        if birth is None:
            await shop.did("visit", lin)
        begun = list(alternating(days, is_in=rule.startswith("count")))
        found = await turns(shop, segment, ms(zone, days[-1]) + 60_000)
        assert found == [(ms(zone, day), is_in) for day, is_in in begun]


def alternating(days: Iterable[str], is_in: bool) -> Iterable[tuple[str, bool]]:
    """Each of these days with whether somebody comes in on it, who is in before the first or not."""
    for day in days:
        is_in = not is_in
        yield day, is_in


@pytest.mark.parametrize("what", ["the unit's zone", "the zone above it", "the customer's home"])
async def test_who_comes_to_live_by_other_clocks_moves_by_these(tmp_path: Path, what: str):
    async with new_chain(tmp_path) as chain:
        shop = Shopkeeper(chain)
        there = await opened(shop, SHANGHAI, "2026-12-01")
        below = await chain.unit("Below", "point_of_sale", there)
        segment = await shop.segment("days_since_visit > 1")
        lin = await shop.customer(home_unit=below)
        await shop.did("visit", lin)  # on the evening before by the clocks of New York
        assert await shop.members() == []
        async with chain.service.storage.unscoped_reader() as reader:
            due = await reader.next_due()
        assert due is not None
        assert due <= ms(SHANGHAI, "2026-12-03")
        match what:
            case "the unit's zone":
                await shop.edit("unit", below, time_zone=NEW_YORK)
            case "the zone above it":
                await shop.edit("unit", there, time_zone=NEW_YORK)
            case _:
                away = await chain.unit("Away", "branch", chain.units["hq"], time_zone=NEW_YORK)
                await shop.edit("customer", lin, home_unit=away)
        found = await turns(shop, segment, ms(NEW_YORK, "2026-12-04"))
        assert found == [(ms(NEW_YORK, "2026-12-02"), True)]
        await shop.sees_afresh()


async def test_another_zone_in_which_it_is_tomorrow_moves_at_once(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        shop = Shopkeeper(chain)
        there = await opened(shop, NEW_YORK, "2026-12-01")
        segment = await shop.segment("date(birth) anniversary within next 1 days")
        birth = {"month": 12, "day": 2, "calendar": "solar"}
        lin = await shop.customer(home_unit=there, birth=birth)
        chain.clock.ms = ms(NEW_YORK, "2026-12-01T23:00")
        assert await shop.members() == []
        await shop.edit("unit", there, time_zone=SHANGHAI)
        (came,) = await shop.moved()
        assert (came.customer, came.key, came.after) == (lin, segment, "member")
        assert chain.clock.ms - came.at_ms < 1_000
        await shop.sees_afresh()
