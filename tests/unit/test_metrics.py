"""Every metric of a customer whose numbers are reckoned by hand, and None where nothing can be measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.rules.evaluate import metric
from regulars_schema.rules.knowing import Before, Chain, Known, Line
from regulars_schema.rules.metrics import METRICS, Unheld, added, counted, summed
from regulars_schema.rules.windows import EVER, Between, Last, Unit, Window, ordinal
from tests.support.rules import DEEDS, TODAY
from tests.support.samples import buy, did, known

CUTS = {"days_since_purchase": (10, 30, 90), "purchase_count": (1, 2), "spend": (99,), "margin": (50,)}
WORLD = Chain(cuts={**CUTS, "margin_pareto": (60,)})
OAK, SOFA = Line("oak", "wood", 2, 30, 10, None, 10, 3), Line("sofa", "cloth", 1, 70, 20, "CNY", 100, 30)
ABROAD = Line("lamp", None, 1, 500, 100, "JPY")
LIN = known(
    did("purchase", 100, lines=(OAK,), effort_min=20),
    did("purchase", 60, lines=(OAK, SOFA, ABROAD), rating=1),
    did("purchase", 50, lines=(SOFA,)),
    did("return", 40, lines=(Line("sofa", "cloth", 1, -70, -20, "CNY"),), effort_min=40),
    did("complaint", 30),
    did("call", 28, rating=4, opportunity=2),
    did("quote", 90, outcome="open"),
    did("quote", 20),
    did("quote", 19, outcome="lost"),
    did("quote", 18, outcome="interested"),
    did("request", 9),
    did("touch", 8, rating=5, opportunity=5),
    did("gift", 2, rating=5),
    outward={"referrer": ("wu", "he")},
    inward={"referrer": ("ma",)},
    values={"first_seen": "2026-06-01T00:00:00.000Z", "birth": {"year": 1985, "month": 11, "day": 23}},
)
NOTHING = known()


@pytest.mark.parametrize(
    ("name", "value", "of_nothing"),
    [
        ("purchase_count", 3, 0),
        ("contact_count", 11, 0),
        ("visit_count", 0, 0),
        ("complaint_count", 1, 0),
        ("referral_count", 2, 0),
        ("referral_value", 11, 0),
        ("distinct_categories", 2, 0),
        ("distinct_products", 3, 0),
        ("days_since_purchase", 50, None),
        ("days_since_contact", 9, None),
        ("days_since_visit", None, None),
        ("days_since_complaint", 30, None),
        ("waiting_days", 9, None),
        ("response_days", 2, None),
        ("tenure_days", 100, None),
        ("known_days", TODAY - ordinal("2026-06-01"), None),
        ("next_runout_days", -40, None),
        ("refill_days", -43, None),
        ("interval_days", 25, None),
        ("interval_spread_days", 15, None),
        ("silence_percent", 200, None),
        ("open_quotes", 2, 0),
        ("spend", 130, 0),
        ("margin", 90, 0),
        ("average_order", 66, None),
        ("effort_min", 60, 0),
        ("margin_per_hour", 90, None),
        ("satisfaction", 91, None),
        ("opportunity", 5, None),
        ("loyalty", 6 + 2 + 10 + 25, 0),
        ("recency_fifth", 3, None),
        ("frequency_fifth", 3, 1),
        ("monetary_fifth", 2, 1),
        ("margin_fifth", 2, 1),
        ("margin_pareto", 1, 0),
        ("age", 40, None),
    ],
)
def test_a_metric_is_what_the_facts_come_to(name, value, of_nothing):
    others = {"wu": known(buy(7, 11)), "he": known(buy(7, 5), did("return", 6, lines=(Line(amount=-5),)))}
    world = replace(WORLD, find=others.get)
    assert metric(name, LIN, world) == value
    assert metric(name, NOTHING, world) == of_nothing


def test_every_metric_is_reckoned_here():
    (table,) = test_a_metric_is_what_the_facts_come_to.pytestmark
    assert [row[0] for row in table.args[1]] == list(METRICS)


@pytest.mark.parametrize(
    ("name", "of", "value"),
    [
        ("interval_days", known(buy(10), buy(10)), 0),
        ("interval_days", known(buy(10)), None),
        ("silence_percent", known(buy(10), buy(10)), None),
        ("interval_spread_days", known(buy(30), buy(10)), None),
        ("loyalty", known(buy(10), buy(10), buy(10)), 2),
        ("loyalty", known(*(buy(ago) for ago in range(0, 1200, 30))), 25 + 25 + 25),
        ("loyalty", known(buy(365)), 8),
        ("loyalty", known(buy(364)), 2 + 8),
        ("average_order", known(did("return", 3)), None),
        ("margin", known(buy(9), did("purchase", 3, lines=(Line(amount=5),))), None),
        ("margin_per_hour", known(did("visit", 3, effort_min=0)), None),
        ("margin_per_hour", known(did("visit", 3, effort_min=1)), 0),
        ("satisfaction", known(did("survey", 3, rating=1)), 0),
        ("satisfaction", known(did("survey", 3, rating=5)), 100),
        ("satisfaction", known(*(did("survey", ago, rating=ago) for ago in (5, 4, 3, 2))), 50),
        ("open_quotes", known(did("quote", 9), buy(9)), 0),
        ("open_quotes", known(did("quote", 8), buy(9)), 1),
        ("next_runout_days", known(did("purchase", 9, lines=(Line("p"), Line(usage_days=9)))), None),
        ("next_runout_days", known(*(did("purchase", ago, lines=(OAK,)) for ago in (9, 5))), 15),
        ("refill_days", known(*(did("purchase", ago, lines=(OAK,)) for ago in (9, 5))), 12),
        ("refill_days", known(did("purchase", 9, lines=(OAK, SOFA))), 8),
        ("next_runout_days", known(did("visit", 9, lines=(OAK,))), None),
        ("waiting_days", known(did("request", 9), did("call", 9)), None),
        ("response_days", known(did("request", 9), did("call", 9), did("complaint", 5), did("visit", 2)), 1),
        ("response_days", known(did("call", 10), did("request", 9)), None),
        ("age", known(values={"birth": {"year": 1985, "month": 11, "day": 22}}), 41),
        ("age", known(values={"birth": {"year": 1985, "month": 12, "day": 1}}), 40),
        ("age", known(values={"birth": {"month": 12, "day": 1}}), None),
        ("margin_pareto", known(buy(3, 60, 0)), 1),
        ("margin_pareto", known(buy(3, 60, 1)), 0),
        ("recency_fifth", known(buy(10)), 5),
        ("recency_fifth", known(buy(11)), 4),
        ("monetary_fifth", known(buy(3, 99)), 1),
        ("monetary_fifth", known(buy(3, 100)), 2),
        ("monetary_fifth", known(buy(400, 100)), 1),
        ("referral_value", known(outward={"referrer": ()}), 0),
    ],
)
def test_a_metric_at_its_edges(name, of, value):
    assert metric(name, of, WORLD) == value


@pytest.mark.parametrize("name", [name for name in METRICS if "fifth" in name or "pareto" in name])
def test_without_cut_points_nobody_is_graded(name):
    assert metric(name, LIN, Chain()) is None


def test_a_metric_as_of_another_day_or_in_a_window_counts_the_facts_of_then():
    assert metric("purchase_count", LIN, WORLD, today=TODAY - 60) == 2
    assert metric("days_since_purchase", LIN, WORLD, today=TODAY - 99) == 1
    assert metric("purchase_count", LIN, WORLD, Last(60, Unit.DAY)) == 1
    assert metric("purchase_count", LIN, WORLD, Last(61, Unit.DAY)) == 2
    assert metric("effort_min", LIN, WORLD, Between(TODAY - 100, TODAY - 99)) == 20


@given(st.lists(DEEDS, max_size=6), st.integers(0, 6), st.sampled_from(["CNY", None]))
def test_sums_of_some_facts_and_of_the_others_are_the_sums_of_all(deeds, at, currency):
    one, other = summed(deeds[:at], currency), summed(deeds[at:], currency)
    whole = {kind: one.get(kind) or other[kind] for kind in one.keys() | other.keys()}
    for kind in one.keys() & other.keys():
        whole[kind] = added(one[kind], other[kind])
        assert added(other[kind], one[kind]) == whole[kind]
    assert whole == summed(deeds, currency)


OLDER = {"visit": Before(2, TODAY - 90, TODAY - 80)}


@pytest.mark.parametrize(
    ("window", "count"),
    [
        (EVER, 3),
        (Last(91, Unit.DAY), 3),
        (Last(90, Unit.DAY), Unheld),
        (Last(81, Unit.DAY), Unheld),
        (Last(80, Unit.DAY), 1),
        (Between(TODAY - 90, TODAY - 80), 2),
        (Between(TODAY - 95, TODAY - 81), Unheld),
        (Between(TODAY - 95, TODAY - 91), 0),
    ],
)
def test_a_window_that_cuts_the_sums_of_older_facts_is_not_known(window: Window, count: int | type[Unheld]):
    of: Known = replace(known(did("visit", 3)), before=OLDER, edge=TODAY - 50)
    if isinstance(count, int):
        facts = counted(of, window, TODAY)
        assert facts.count(("visit",)) == count
        assert facts.whole is (count < 2)
    else:
        with pytest.raises(Unheld):
            counted(of, window, TODAY)
