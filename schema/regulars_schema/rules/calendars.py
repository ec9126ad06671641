"""Days of the solar and the lunar calendar, and when a birth comes round."""

from __future__ import annotations

import calendar
from datetime import date, datetime, tzinfo
from functools import lru_cache

from borax.calendars.lunardate import LCalendars, LunarDate

from regulars_schema.declare import JSON

LUNAR_YEARS = range(1900, 2101)


def in_zone(instant: str, zone: tzinfo) -> datetime:
    """An instant by the clocks of a zone; by those of UTC where these would leave the calendar."""
    at = datetime.fromisoformat(instant)
    try:
        return at.astimezone(zone)
    except OverflowError:
        return at


def solar_day(year: int, month: int, day: int) -> int:
    """29 February is kept on the 28th where there is none."""
    return date(year, month, min(day, calendar.monthrange(year, month)[1])).toordinal()


@lru_cache(maxsize=4096)
def lunar_day(year: int, month: int, day: int, leap: bool) -> int | None:
    """The solar day of a day of the lunar calendar; of a short month its last, of a leap month that the year
    has not the month itself. None outside of 1900 to 2100, which the tables end at."""
    if year not in LUNAR_YEARS:
        return None
    leap = leap and LCalendars.leap_month(year) == month
    last = LCalendars.ndays(year, month, int(leap))
    found: date = LunarDate(year, month, min(day, last), int(leap)).to_solar_date()
    return found.toordinal()


def born_on(value: JSON) -> int | None:
    """The solar day of a birth whose year is known."""
    if value.get("year") is None:
        return None
    if value.get("calendar") == "lunar":
        return lunar_day(value["year"], value["month"], value["day"], bool(value.get("leap")))
    return solar_day(value["year"], value["month"], value["day"])


def next_anniversary(value: JSON, today: int, lunar: bool) -> int | None:
    """The first day from today on that a birth comes round, in its calendar. A solar day that is asked for in
    the lunar calendar comes round on the lunar day it was, where its year is known."""
    month, day, leap = value["month"], value["day"], bool(value.get("leap"))
    if value.get("calendar") != "lunar" and lunar:
        if value.get("year") is None:
            return None
        born = solar_day(value["year"], month, day)
        try:
            was = LunarDate.from_solar_date(*date.fromordinal(born).timetuple()[:3])
        except ValueError:  # before or after the tables
            return None
        month, day, leap = was.month, was.day, bool(was.leap)
    lunar = lunar or value.get("calendar") == "lunar"
    year = date.fromordinal(today).year
    for tried in (year - 1, year, year + 1):
        found = lunar_day(tried, month, day, leap) if lunar else solar_day(min(tried, 9999), month, day)
        if found is not None and found >= today:
            return found
    return None
