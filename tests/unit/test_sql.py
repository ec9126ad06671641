"""Which rules a database answers by itself; what it could and does not is asked of the oracle, slowly."""

from __future__ import annotations

from datetime import UTC

import pytest

from regulars_schema.rules.knowing import SegmentRule
from regulars_schema.rules.sql import Asking, compile_rule
from regulars_schema.rules.text import parse
from tests.support.rules import SEGMENTS, STAFF, TODAY, UNITS, WORDS


class Every:
    """A layout that keeps all that can be asked for."""

    deeds = "deed"
    lines = "line"

    def column(self, field: str) -> str:
        return f"c.{field}"

    def holding(self, field: str) -> str:
        return f"SELECT customer FROM {field} WHERE key = ?"

    def linked(self) -> str:
        return "SELECT customer, other, kind, direction FROM link"


RULES = {SEGMENTS[0]: SegmentRule(parse("gender = female", WORDS)), SEGMENTS[1]: SegmentRule(None)}
ASKING = Asking(Every(), TODAY, UTC, "CNY", RULES, {UNITS[0]: UNITS}, STAFF[0], frozenset(STAFF))


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("gender = female and not kind != person", True),
        ("headcount between 2 and 5 or headcount < 3 or headcount in [7]", True),
        ("notes exists and notes missing and archived = true", True),
        ('tags has "vip" or tags lacks "x"', True),
        ("date(trading_since) within last 3 days", True),
        ("date(trading_since) within next 3 days", True),
        ("date(first_seen) on 2026-11-22 or date(first_seen) before 2026-11-22", True),
        ("last(visit) after 2026-11-22 or first(visit) within last 3 days", True),
        ("count(visit, last 3 days) >= 2 and count(any where channel = store) = 0", True),
        ("sum(amount of purchase) != 5.00 CNY and sum(quantity of purchase) between 0 and 3", True),
        ("purchase_count(last 1 year) > 3 and spend < 100 and effort_min >= 5", True),
        ("days_since_contact != 3 or days_since_visit >= 5 or days_since_purchase between 1 and 3", True),
        (f'in("{SEGMENTS[0]}") or in("{SEGMENTS[1]}")', True),
        (f'home_unit under "{UNITS[0]}" or home_unit under "{UNITS[1]}" or owner = team', True),
        ("link(companion) and not link(supplies to)", True),
        (f'in("{SEGMENTS[2]}")', False),
        ("tags exists", False),
        ('name contains "x"', False),
        ("date(birth) anniversary within next 3 days", False),
        ("is(lifecycle) in [old]", False),
        ("custom.shoe_size = 3", False),
        ("margin > 5", False),
        ("count(any where place = outdoor) = 1", False),
        ("last(any where topic = family) on 2026-11-22", False),
        ("age > 3", False),
        ("gender = female or age > 3", False),
    ],
)
def test_a_rule_is_the_databases_where_it_keeps_what_is_asked(text, exact):
    compiled = compile_rule(parse(text, WORDS), ASKING)
    assert compiled.exact is exact
    for said in compiled:
        assert said.text.count("?") == len(said.parameters)


@pytest.mark.parametrize(
    ("text", "sure", "may"),
    [
        ("age > 3 and days_since_visit < 0", "FALSE", "FALSE"),
        ("age > 3 or not days_since_visit < 0", "TRUE", "TRUE"),
        ("age > 3", "FALSE", "TRUE"),
        ("not age > 3", "FALSE", "TRUE"),
        ("last(visit) before 0001-01-01", "FALSE", "FALSE"),
    ],
)
def test_what_holds_of_everybody_or_of_nobody_asks_no_table(text, sure, may):
    compiled = compile_rule(parse(text, WORDS), ASKING)
    assert (compiled.sure.text, compiled.may.text) == (sure, may)
