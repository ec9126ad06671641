"""Of what the server keeps, nobody is told what rests on something that it may not see."""

from __future__ import annotations

import pytest

from regulars_schema.rules.text import parse
from regulars_schema.rules.tree import write
from regulars_schema.schemes.world import SchemeRow, SegmentRow, know
from regulars_server.knowledge.telling import Eyes, Telling
from regulars_server.knowledge.world import shipped
from tests.support.rules import DEFINED

PLAIN, GUARDED, FIRST, SECOND, TOLD = (f"00000000-0000-7000-8000-00000000020{n}" for n in range(5))
DEBTS = {**DEFINED[0], "key": "debts", "sensitivity": "sensitive"}
DUE_ON = {**DEFINED[3], "key": "due_on", "sensitivity": "sensitive"}
OWN = [*DEFINED, DEBTS, DUE_ON]
WORDS = know(shipped(), [], [SegmentRow(id) for id in (PLAIN, GUARDED, FIRST, SECOND)], None, OWN).words
CHANGED = [
    SchemeRow(key, {"values": {value: {"rule": rule}}})
    for key, value, rule in (
        ("tier", "gold", "income_band = high"),
        ("quality", "high", "is(tier) in [gold]"),
        ("funnel", "won", "link(companion: gender = female)"),
        ("pyramid", "kept", f'in("{GUARDED}")'),
    )
]
ALL, PLAIN_EYES = Eyes(True, True), Eyes(False, True)
BRANCH, GUARDED_BRANCH = Eyes(False, False), Eyes(True, False)


def telling(rule: str, eyes: Eyes) -> Telling:
    rules = {
        PLAIN: "gender = female",
        GUARDED: "income_band = high or is(pyramid) in [won]",
        FIRST: f'in("{SECOND}") and gender = female',
        SECOND: f'in("{FIRST}") or income_band = high',
        TOLD: rule,
    }
    rows = [SegmentRow(id, write(parse(text, WORDS))) for id, text in rules.items()]
    return Telling(know(shipped(), CHANGED, rows, {"spend": [1, 2, 3, 4]}, OWN), eyes)


@pytest.mark.parametrize(
    ("rule", "whom"),
    [
        ("gender = female", [ALL, PLAIN_EYES, BRANCH, GUARDED_BRANCH]),
        ("link(companion) or days_since_visit > 3", [ALL, PLAIN_EYES, BRANCH, GUARDED_BRANCH]),
        ("income_band = high", [ALL, GUARDED_BRANCH]),
        ("not (gender = female and belief missing)", [ALL, GUARDED_BRANCH]),
        ("custom.debts > 3", [ALL, GUARDED_BRANCH]),
        ("date(custom.due_on) within last 3 days", [ALL, GUARDED_BRANCH]),
        ("custom.shoe_size > 3 and date(custom.moved_on) within last 3 days",
         [ALL, PLAIN_EYES, BRANCH, GUARDED_BRANCH]),
        ("is(difficulty) in [moody]", [ALL, GUARDED_BRANCH]),
        ("is(lifecycle) in [old]", [ALL, PLAIN_EYES, BRANCH, GUARDED_BRANCH]),
        ("link(companion: gender = female)", [ALL, PLAIN_EYES]),
        ("link(companion: income_band = high)", [ALL]),
        ("referral_value >= 1", [ALL, PLAIN_EYES]),
        ("age >= 18", [ALL, PLAIN_EYES, BRANCH, GUARDED_BRANCH]),
        ("owner = me", []),
        ("is(tier) in [silver]", [ALL, GUARDED_BRANCH]),
        ("is(quality) in [low]", [ALL, GUARDED_BRANCH]),
        ("is(pyramid) in [won]", [ALL, GUARDED_BRANCH]),
        ("is(funnel) in [won] and gender = female", [ALL, PLAIN_EYES]),
        (f'in("{PLAIN}")', [ALL, PLAIN_EYES, BRANCH, GUARDED_BRANCH]),
        (f'in("{GUARDED}")', [ALL, GUARDED_BRANCH]),
        (f'in("{FIRST}")', [ALL, GUARDED_BRANCH]),
    ],
)  # fmt: skip
def test_a_segment_is_told_to_whoever_sees_all_that_its_rule_looks_at(rule, whom):
    every = (ALL, PLAIN_EYES, BRANCH, GUARDED_BRANCH)
    assert [eyes for eyes in every if telling(rule, eyes).segment(TOLD)] == whom


@pytest.mark.parametrize("key", ["lifecycle", "difficulty", "management_class", "nobody"])
def test_a_scheme_is_told_to_whoever_may_know_of_it_and_of_those_that_its_rules_name(key):
    scheme = shipped().schemes.get(key)
    guarded = scheme is not None and scheme.level.name == "SENSITIVE"
    for eyes in (ALL, PLAIN_EYES, BRANCH):
        of = telling("gender = female", eyes)
        assert of.shown(key) is (scheme is not None and (eyes.sensitive or not guarded))
        assert of.scheme(key) is (eyes.sensitive or not guarded)


def test_the_world_of_a_reader_has_its_eyes_and_no_scheme_that_is_hidden():
    world = telling("gender = female", Eyes(False, True, "amy", frozenset({"bob"}))).world()
    assert (world.me, world.team, world.cuts) == ("amy", frozenset({"bob"}), {"spend": (1, 2, 3, 4)})
    assert "lifecycle" in world.schemes
    assert "difficulty" not in world.schemes
    assert "difficulty" in telling("gender = female", ALL).world().schemes
    assert set(world.segments) == {PLAIN, GUARDED, FIRST, SECOND, TOLD}


def test_the_links_through_which_a_rule_looks_are_also_those_of_what_it_names():
    of = telling("link(companion: gender = female) or link(alliance)", ALL)
    for rule, kinds in (
        (f'in("{TOLD}")', {"companion"}),
        ("referral_value > 1 and gender = male", {"referrer"}),
        ("link(family)", set()),
        (f'not (gender = male or in("{TOLD}")) and link(family: name missing)', {"companion", "family"}),
    ):
        assert of.looks_at_others(parse(rule, of.knowledge.words)) == kinds
    assert of.of_scheme("lifecycle") == frozenset()
    assert of.of_scheme("funnel") == {"companion"}
    assert [of.scheme(key) for key in ("tier", "funnel", "pyramid")] == [True, True, True]
    far = telling("gender = female", BRANCH)
    assert [far.scheme(key) for key in ("tier", "funnel", "pyramid")] == [False, False, False]
