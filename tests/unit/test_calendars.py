"""Births and when they come round, in the solar and the lunar calendar; dates are those of almanacs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.rules.calendars import LUNAR_YEARS, born_on, lunar_day, next_anniversary, solar_day
from regulars_schema.rules.windows import DAY_MAX, iso, ordinal


@pytest.mark.parametrize(
    ("lunar", "solar"),
    [
        ((1900, 1, 1, False), "1900-01-31"),
        ((2025, 6, 1, False), "2025-06-25"),
        ((2025, 6, 1, True), "2025-07-25"),
        ((2026, 6, 1, True), "2026-07-14"),
        ((2026, 1, 1, False), "2026-02-17"),
        ((2026, 8, 15, False), "2026-09-25"),
        ((2100, 1, 1, False), "2100-02-09"),
        ((1899, 1, 1, False), None),
        ((2101, 1, 1, False), None),
    ],
)
def test_a_lunar_day_is_that_of_the_almanac_and_none_where_the_tables_end(lunar, solar):
    day = lunar_day(*lunar)
    assert (day and iso(day)) == solar


@given(st.sampled_from(LUNAR_YEARS[:-1]), st.integers(1, 11), st.booleans())
def test_the_last_day_of_a_short_month_is_before_the_first_of_the_next(year, month, leap):
    last, following = lunar_day(year, month, 30, leap), lunar_day(year, month + 1, 1, False)
    between = lunar_day(year, month, 1, True)
    assert last is not None
    assert last + 1 in (following, between)


@pytest.mark.parametrize(
    ("birth", "day"),
    [
        ({"year": 1985, "month": 8, "day": 15, "calendar": "lunar"}, "1985-09-29"),
        ({"year": 2025, "month": 6, "day": 1, "calendar": "lunar", "leap": True}, "2025-07-25"),
        ({"year": 1985, "month": 8, "day": 15}, "1985-08-15"),
        ({"year": 1985, "month": 2, "day": 29}, "1985-02-28"),
        ({"month": 8, "day": 15}, None),
    ],
)
def test_a_birth_is_a_day_where_its_year_is_known(birth, day):
    born = born_on(birth)
    assert (born and iso(born)) == day


@pytest.mark.parametrize(
    ("birth", "today", "lunar", "day"),
    [
        ({"month": 11, "day": 22}, "2026-11-22", False, "2026-11-22"),
        ({"month": 11, "day": 21}, "2026-11-22", False, "2027-11-21"),
        ({"month": 12, "day": 20, "calendar": "lunar"}, "2027-01-05", False, "2027-01-27"),
        ({"month": 8, "day": 15, "calendar": "lunar"}, "2026-09-26", False, "2027-09-15"),
        ({"month": 8, "day": 15, "calendar": "lunar"}, "2026-01-01", True, "2026-09-25"),
        ({"year": 1985, "month": 9, "day": 29}, "2026-01-01", True, "2026-09-25"),
        ({"year": 1985, "month": 9, "day": 29}, "2026-01-01", False, "2026-09-29"),
        ({"month": 9, "day": 29}, "2026-01-01", True, None),
        ({"year": 1890, "month": 9, "day": 29}, "2026-01-01", True, None),
        ({"year": 2150, "month": 9, "day": 29}, "2026-01-01", True, None),
        ({"month": 8, "day": 15, "calendar": "lunar"}, "2105-01-01", False, None),
        ({"month": 1, "day": 1}, "9999-06-01", False, None),
    ],
)
def test_a_birth_comes_round_from_today_on_in_its_calendar(birth, today, lunar, day):
    coming = next_anniversary(birth, ordinal(today), lunar)
    assert (coming and iso(coming)) == day


@given(st.integers(1, 12), st.integers(1, 31), st.booleans(), st.integers(ordinal("1901-01-01"), DAY_MAX))
def test_it_comes_round_within_a_year_and_a_leap_month(month, day, lunar, today):
    birth = {"month": month, "day": day, "calendar": "lunar" if lunar else "solar"}
    coming = next_anniversary(birth, today, lunar)
    if coming is None:
        assert today > ordinal("2100-01-01" if lunar else "9999-01-01")
    else:
        assert today <= coming <= today + (385 if lunar else 366)
        assert next_anniversary(birth, coming, lunar) == coming
        assert lunar or coming == solar_day(int(iso(coming)[:4]), month, day)
