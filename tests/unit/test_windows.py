"""A window's two readings agree: which days count today, and from when to when a day counts."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.rules.windows import (
    EVER,
    NEVER,
    Between,
    Last,
    Next,
    Period,
    Unit,
    Window,
    moved,
    ordinal,
)

START, END = date(1995, 1, 1).toordinal(), date(2035, 12, 31).toordinal()
DAYS = st.integers(START, END)
UNITS = st.sampled_from(list(Unit))
WINDOWS: st.SearchStrategy[Window] = st.one_of(
    st.just(EVER),
    st.builds(Last, st.integers(1, 40), UNITS),
    st.builds(Next, st.integers(1, 40), UNITS),
    st.builds(Period, UNITS, st.integers(0, 1)),
    st.builds(lambda a, b: Between(min(a, b), max(a, b)), DAYS, DAYS),
)


@given(WINDOWS, DAYS, st.integers(-800, 800))
def test_a_day_counts_today_exactly_while_today_is_in_its_span(window, today, apart):
    day = today + apart
    first, last = window.days(today)
    enters, leaves = window.span(day)
    assert (first <= day <= last) == (enters <= today < leaves)


@given(WINDOWS, DAYS)
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
    assert moved(ordinal("2024-02-29"), -1, Unit.YEAR) == ordinal("2023-02-28")


def test_previous_month_is_whole_and_this_one_ends_today():
    today = ordinal("2026-11-22")
    assert Period(Unit.MONTH, 1).days(today) == (ordinal("2026-10-01"), ordinal("2026-10-31"))
    assert Period(Unit.MONTH).days(today) == (ordinal("2026-11-01"), today)
