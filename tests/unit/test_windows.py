"""A window's two readings agree: which days count today, and from when to when a day counts."""

from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from regulars_schema.declare import Unfit
from regulars_schema.rules.windows import (
    DAY_MAX,
    DAY_MIN,
    EVER,
    NEVER,
    Between,
    Last,
    Next,
    Period,
    Unit,
    Window,
    iso,
    moved,
    ordinal,
)

START, END = date(1995, 1, 1).toordinal(), date(2035, 12, 31).toordinal()
MONTHS = st.builds(date, st.integers(1995, 2035), st.integers(1, 12), st.just(1)).map(date.toordinal)
DAYS = st.one_of(
    st.integers(START, END),
    st.builds(lambda first, back: first - back, MONTHS, st.integers(1, 3)),
    st.integers(DAY_MAX - 800, DAY_MAX),
)
"""Some of them at the ends of months, and at the end of the calendar."""
UNITS = st.sampled_from(list(Unit))
WINDOWS: st.SearchStrategy[Window] = st.one_of(
    st.just(EVER),
    st.builds(Last, st.integers(1, 3) | st.integers(1, 40), UNITS),
    st.builds(Next, st.integers(1, 40), UNITS),
    st.builds(Period, UNITS, st.integers(0, 1)),
    st.builds(lambda a, b: Between(min(a, b), max(a, b)), DAYS, DAYS),
)


@given(WINDOWS, DAYS, st.integers(-800, 800))
def test_a_day_counts_today_exactly_while_today_is_in_its_span(window, today, apart):
    day = min(today + apart, DAY_MAX)
    first, last = window.days(today)
    enters, leaves = window.span(day)
    assert (first <= day <= last) == (enters <= today < leaves)


@given(WINDOWS, DAYS)
@example(Last(1, Unit.MONTH), date(2026, 1, 31).toordinal())
def test_a_day_enters_and_leaves_on_the_very_day_that_is_said(window, day):
    enters, leaves = window.span(day)
    for today in {enters - 1, enters, leaves - 1, leaves} - {NEVER, NEVER - 1}:
        first, last = window.days(today)
        assert (first <= day <= last) == (enters <= today < leaves)


def test_last_thirty_days_are_thirty_and_today_is_one_of_them():
    today = ordinal("2026-11-22")
    assert Last(30, Unit.DAY).days(today) == (today - 29, today)
    assert Next(7, Unit.DAY).days(today) == (today, today + 6)


def test_last_month_in_march_begins_after_the_last_day_of_february_it_can_have():
    assert Last(1, Unit.MONTH).days(ordinal("2026-03-31")) == (ordinal("2026-03-01"), ordinal("2026-03-31"))


def test_previous_month_is_whole_and_this_one_ends_today():
    today = ordinal("2026-11-22")
    assert Period(Unit.MONTH, 1).days(today) == (ordinal("2026-10-01"), ordinal("2026-10-31"))
    assert Period(Unit.MONTH).days(today) == (ordinal("2026-11-01"), today)


@pytest.mark.parametrize(
    ("day", "count", "unit", "found"),
    [
        ("2026-11-22", -2, Unit.DAY, "2026-11-20"),
        ("2026-11-22", 2, Unit.WEEK, "2026-12-06"),
        ("2026-11-22", 2, Unit.MONTH, "2027-01-22"),
        ("2026-01-31", 1, Unit.MONTH, "2026-02-28"),
        ("2024-02-29", -1, Unit.YEAR, "2023-02-28"),
        ("2026-12-31", -12, Unit.MONTH, "2025-12-31"),
        ("9998-06-01", 1, Unit.YEAR, "9999-06-01"),
        ("0002-06-01", -1, Unit.YEAR, "0001-06-01"),
        *((iso(DAY_MAX - 3), 5, unit, iso(DAY_MAX)) for unit in Unit),
        *((iso(DAY_MIN + 3), -5, unit, iso(DAY_MIN)) for unit in Unit),
    ],
)
def test_a_day_moves_by_whole_units_and_stays_in_the_calendar(day, count, unit, found):
    assert iso(moved(ordinal(day), count, unit)) == found


def test_a_week_begins_on_monday_and_the_first_one_with_the_calendar():
    assert Period(Unit.WEEK).days(ordinal("2026-11-22")) == (ordinal("2026-11-16"), ordinal("2026-11-22"))
    assert Period(Unit.YEAR).days(ordinal("2026-11-22"))[0] == ordinal("2026-01-01")
    for unit in Unit:
        assert Period(unit).days(DAY_MIN) == (DAY_MIN, DAY_MIN)
        assert Period(unit).span(DAY_MAX) == (DAY_MAX, NEVER)


@pytest.mark.parametrize("text", ["20260131", "2026-2-01", "2026-02-30", "2026-W05-1", ""])
def test_a_day_is_spelled_in_one_way(text):
    with pytest.raises(Unfit, match="date_invalid"):
        ordinal(text)
