"""Which facts count is a function of their set."""

from datetime import UTC, date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.rules.facts import Fact, Product, counting, deed

IDS = st.sampled_from("abcdefgh")
FACTS = st.lists(
    st.builds(Fact, IDS, st.integers(0, 3), st.one_of(st.none(), IDS), st.booleans()),
    max_size=8, unique_by=lambda fact: fact.id,
)  # fmt: skip


@given(FACTS, st.randoms(use_true_random=False))
def test_any_order_and_repetition_of_facts_count_the_same(facts, random):
    again = facts * 2
    random.shuffle(again)
    assert counting(again) == counting(facts)


@given(FACTS)
def test_what_is_superseded_or_void_never_counts_and_one_fact_counts_once(facts):
    found = counting(facts)
    superseded = {fact.supersedes for fact in facts}
    by_id = {fact.id: fact for fact in facts}
    assert not found & superseded
    assert not any(by_id[id].void for id in found)
    first = [id for id in found if by_id[id].supersedes is not None]
    assert len({by_id[id].supersedes for id in first}) == len(first)


def test_of_two_corrections_the_later_one_counts_and_a_void_wins_over_both():
    first, one, other = Fact("a", 1), Fact("b", 5, "a"), Fact("c", 4, "a")
    assert counting([first, one, other]) == {"b"}
    assert counting([one, other]) == {"b"}
    assert counting([first, one, other, Fact("d", 2, "a", True)]) == set()
    assert counting([first, one, Fact("d", 9, "b", True)]) == set()


BUYING = {
    "kind": "purchase",
    "at": "2026-11-22T23:30:00.000Z",
    "party": [{"customer": "li", "role": "principal"}, {"customer": "wu", "role": "companion"}],
    "lines": [{"product": "p", "amount": 500, "currency": "CNY"}],
}


def test_a_purchase_is_its_buyers_and_a_visit_of_whoever_came_along():
    of = deed("f", BUYING, "li", UTC, {"p": Product("oak", 30)})
    assert (of.kind, of.role, of.lines[0].amount, of.lines[0].category) == (
        "purchase",
        "principal",
        500,
        "oak",
    )
    along = deed("f", BUYING, "wu", UTC, {})
    assert (along.kind, along.role, along.lines) == ("visit", "companion", ())
    payer = {**BUYING, "party": [*BUYING["party"], {"customer": "ma", "role": "payer"}]}
    assert deed("f", payer, "li", UTC, {}).kind == "visit"
    assert deed("f", payer, "ma", UTC, {}).kind == "purchase"


def test_what_was_rated_is_known_of_whoever_was_there():
    rated = {**BUYING, "satisfaction": 4, "opportunity": {"urgency": 2, "effect": 0, "price": 1}}
    for who in ("li", "wu"):
        found = deed("f", rated, who, UTC, {"p": Product("oak", 30, 7)})
        assert (found.rating, found.opportunity) == (4, 3)
    assert deed("f", rated, "li", UTC, {"p": Product("oak", 30, 7)}).lines[0].lead_days == 7
    assert deed("f", BUYING, "li", UTC, {}).opportunity is None


def test_what_a_line_does_not_say_is_one_piece_for_nothing_of_unknown_cost():
    bare = deed("f", {**BUYING, "lines": [{"product": "p"}]}, "li", UTC, {}).lines[0]
    assert (bare.quantity, bare.amount, bare.cost, bare.category, bare.lead_days) == (1, 0, None, None, 0)
    none = deed("f", {**BUYING, "lines": [{"quantity": 0, "amount": 5, "cost": 0}]}, "li", UTC, {}).lines[0]
    assert (none.quantity, none.amount, none.cost) == (0, 5, 0)


def test_a_return_takes_away_however_its_amounts_are_signed():
    for amount in (500, -500):
        back = {**BUYING, "kind": "return", "lines": [{"amount": amount, "cost": 200}]}
        line = deed("f", back, "li", UTC, {}).lines[0]
        assert (line.amount, line.cost) == (-500, -200)


@pytest.mark.parametrize(
    ("at", "zone", "day"),
    [
        ("2026-11-22T15:59:59.999Z", "Asia/Shanghai", "2026-11-22"),
        ("2026-11-22T16:00:00.000Z", "Asia/Shanghai", "2026-11-23"),
        ("2026-11-22T04:59:59.999Z", "America/New_York", "2026-11-21"),
        ("9999-12-31T23:30:00.000Z", "Asia/Shanghai", "9999-12-31"),
        ("0001-01-01T00:30:00.000Z", "America/New_York", "0001-01-01"),
    ],
)
def test_a_fact_is_of_its_day_in_the_zone_and_at_the_ends_of_the_calendar_of_one_that_there_is(at, zone, day):
    found = deed("f", {**BUYING, "at": at}, "li", ZoneInfo(zone), {})
    assert date.fromordinal(found.day).isoformat() == day
