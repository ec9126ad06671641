"""Stretches of whole days. A window says which days count today, and from when to when a day counts.

Days are ordinals (`date.toordinal`). The two readings agree:
`first <= day <= last` of `window.days(today)` exactly when `enters <= today < leaves` of `window.span(day)`.
By the second reading a count knows when it will change although nothing happens.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache

from regulars_schema.declare import JSON, Date

DAY_MIN = date(1, 1, 1).toordinal()
DAY_MAX = date(9999, 12, 31).toordinal()
NEVER = DAY_MAX + 1
"""The day on which what never changes changes."""
LENGTH_MAX = 1_200


class Unit(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


def moved(day: int, count: int, unit: Unit) -> int:
    """The day so many units later (earlier when negative); of a shorter month its last day."""
    if unit is Unit.DAY:
        return max(DAY_MIN, min(day + count, DAY_MAX))
    if unit is Unit.WEEK:
        return max(DAY_MIN, min(day + 7 * count, DAY_MAX))
    at = date.fromordinal(day)
    months = at.year * 12 + at.month - 1 + count * (12 if unit is Unit.YEAR else 1)
    year, month = divmod(months, 12)
    if year < 1:
        return DAY_MIN
    if year > 9999:
        return DAY_MAX
    return date(year, month + 1, min(at.day, calendar.monthrange(year, month + 1)[1])).toordinal()


def period_start(day: int, unit: Unit) -> int:
    """The first day of the day, week, month or year that this day is in; weeks start on Monday."""
    at = date.fromordinal(day)
    if unit is Unit.WEEK:
        return max(DAY_MIN, day - at.weekday())
    if unit is Unit.MONTH:
        return day - at.day + 1
    if unit is Unit.YEAR:
        return date(at.year, 1, 1).toordinal()
    return day


@dataclass(frozen=True, slots=True)
class Ever:
    """Every day until today."""

    def days(self, today: int) -> tuple[int, int]:
        return DAY_MIN, today

    def span(self, day: int) -> tuple[int, int]:
        return day, NEVER


@dataclass(frozen=True, slots=True)
class Last:
    """Today and days before it: `last 30 days` are thirty, `last 1 month` begins after a month ago."""

    count: int
    unit: Unit

    def days(self, today: int) -> tuple[int, int]:
        return min(moved(today, -self.count, self.unit) + 1, today), today

    def span(self, day: int) -> tuple[int, int]:
        return day, _leaves(self, day)


@lru_cache(maxsize=1 << 16)
def _leaves(window: Last, day: int) -> int:
    leaves = max(moved(day, window.count, window.unit), day + 1)
    while leaves < NEVER and window.days(leaves)[0] <= day:
        leaves += 1
    return leaves


@dataclass(frozen=True, slots=True)
class Next:
    """Today and the days after it: `next 7 days` are seven."""

    count: int
    unit: Unit

    def days(self, today: int) -> tuple[int, int]:
        return today, max(moved(today, self.count, self.unit) - 1, today)

    def span(self, day: int) -> tuple[int, int]:
        enters = min(moved(day, -self.count, self.unit), day)
        while self.days(enters)[1] < day:
            enters += 1
        return enters, day + 1


@dataclass(frozen=True, slots=True)
class Period:
    """The day, week, month or year that today is in (`back` 0), or the one before it (1)."""

    unit: Unit
    back: int = 0

    def days(self, today: int) -> tuple[int, int]:
        start = period_start(today, self.unit)
        if self.back:
            return period_start(max(start - 1, DAY_MIN), self.unit), start - 1
        return start, today

    def span(self, day: int) -> tuple[int, int]:
        following = _next_start(day, self.unit)
        if self.back:
            return following, _next_start(min(following, DAY_MAX), self.unit)
        return day, following


def _next_start(day: int, unit: Unit) -> int:
    start = period_start(day, unit)
    if unit in (Unit.DAY, Unit.WEEK):
        return min(start + (1 if unit is Unit.DAY else 7), NEVER)
    at = date.fromordinal(start)
    if unit is Unit.YEAR:
        return NEVER if at.year == 9999 else date(at.year + 1, 1, 1).toordinal()
    return min(start + calendar.monthrange(at.year, at.month)[1], NEVER)


@dataclass(frozen=True, slots=True)
class Between:
    """The days from `first` to `last`, both counted, and none after today."""

    first: int
    last: int

    def days(self, today: int) -> tuple[int, int]:
        return self.first, min(self.last, today)

    def span(self, day: int) -> tuple[int, int]:
        return (day, NEVER) if self.first <= day <= self.last else (NEVER, NEVER)


Window = Ever | Last | Next | Period | Between
EVER = Ever()


def ordinal(text: JSON) -> int:
    """The day of `2026-11-22`; `Unfit("date_invalid")`."""
    return date.fromisoformat(Date().check(text)).toordinal()


def iso(day: int) -> str:
    return date.fromordinal(day).isoformat()
