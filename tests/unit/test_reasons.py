"""Why somebody moved: which tests turned, and whether facts, time or a person turned them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from regulars_schema.custom import fields
from regulars_schema.declare import JSON
from regulars_schema.rules.evaluate import evaluate, standing
from regulars_schema.rules.knowing import Assigned, Chain, Deed, Known, SchemeRules, SegmentRule
from regulars_schema.rules.text import parse, show
from regulars_schema.rules.tree import InTest, Vocabulary
from regulars_server.knowledge.reasons import Turned, deciding
from tests.support.rules import DEFINED, SCHEMES, SEGMENTS, TODAY, WORDS

GUARDED = {**DEFINED[0], "key": "debts", "sensitivity": "sensitive"}
VOCABULARY: Vocabulary = replace(WORDS, custom=fields([*DEFINED, GUARDED]))


def person(*agos: int, **more: Any) -> Known:
    deeds = tuple(Deed(f"d{ago}", TODAY - ago, "visit") for ago in agos)
    return Known("c", TODAY, ZoneInfo("Asia/Shanghai"), {"gender": "female"}, deeds=deeds, **more)


def told(rule: str, of: Known, *newer: str, guarded: frozenset[str] = frozenset()) -> JSON:
    """Of a segment with this rule, whose facts of these ids are new."""
    world = Chain(
        {"motive": SchemeRules("person")},
        {SEGMENTS[0]: SegmentRule(parse(rule, VOCABULARY))},
        find=lambda _: None,
    )
    found = evaluate(InTest(SEGMENTS[0]), of, world)
    return Turned(of, world, VOCABULARY, guarded, frozenset(newer)).of_membership(found)


@pytest.mark.parametrize(
    ("rule", "tests"),
    [
        ("gender = female and kind missing", ["gender = female", "kind missing"]),
        ("gender = female and kind = person", ["kind = person"]),
        ("gender = female or kind = person", ["gender = female"]),
        ("gender = male or kind = person", ["gender = male", "kind = person"]),
        ("not (gender = female and kind = person)", ["kind = person"]),
        ("gender = female and (kind = person or name missing)", ["gender = female", "name missing"]),
        ("gender = female and notes missing", ["gender = female", "notes missing"]),
        ("gender = male and notes missing", ["gender = male"]),
    ],
)
def test_what_decides_is_what_would_turn_the_answer(rule, tests):
    of = person(hidden=frozenset({"notes"}))
    found = evaluate(parse(rule, WORDS), of, Chain())
    assert [show(leaf.rule, WORDS) for leaf in deciding(found)] == tests


def test_a_segment_in_a_rule_is_told_by_its_own_tests():
    world = Chain({}, {SEGMENTS[0]: SegmentRule(parse("gender = female", WORDS))})
    asked = parse(f'in("{SEGMENTS[0]}") and name missing', WORDS)
    assert [show(leaf.rule, WORDS) for leaf in deciding(evaluate(asked, person(), world))] == [
        "gender = female",
        "name missing",
    ]
    by_hand = evaluate(asked, person(segments=frozenset({SEGMENTS[0]})), world)
    assert next(show(leaf.rule, WORDS) for leaf in deciding(by_hand)) == f'in("{SEGMENTS[0]}")'


def test_facts_turned_it_where_without_the_new_ones_it_would_be_other():
    rule = "count(visit) >= 2 and gender = female"
    said = {"rule": "count(visit) >= 2", "answer": True, "value": 2}
    assert told(rule, person(1, 2), "d1") == {"by": "facts", "tests": [said]}
    assert told(rule, person(1, 2, 3), "d1")["by"] == "rest"


def test_time_turned_it_where_the_day_before_it_was_other():
    rule = "count(visit, last 2 days) >= 1 and gender = female"
    assert [test["rule"] for test in told(f"not ({rule})", person(2))["tests"]] == [
        "count(visit, last 2 days) >= 1"
    ]
    assert told(f"not ({rule})", person(2))["by"] == "time"
    assert told(f"not ({rule})", person(3))["by"] == "rest"
    assert told("count(visit) >= 1", person(0), "d0")["by"] == "facts", "also where both tell it"


def test_what_neither_turned_is_told_whole_and_what_a_person_did_without_tests():
    assert told("gender = female and count(visit) = 0", person(), "other") == {
        "by": "rest",
        "tests": [
            {"rule": "gender = female", "answer": True, "value": "female"},
            {"rule": "count(visit) = 0", "answer": True, "value": 0},
        ],
    }
    by_person = {"by": "person", "tests": []}
    assert told("count(visit) >= 2", person(segments=frozenset({SEGMENTS[0]}))) == by_person
    assert told("count(visit) >= 2", person(excluded=frozenset({SEGMENTS[0]}))) == by_person
    turned = Turned(person(), Chain(), VOCABULARY)
    assert turned.of_membership(None) == {"by": "rule", "tests": []}
    assert turned.of_standing("gone", None, "a", None) == {"by": "rule", "tests": []}


@pytest.mark.parametrize(
    ("rule", "sensitive"),
    [
        ("gender missing", False),
        ("income_band missing", True),
        ("not income_band = high", True),
        ("date(birth) before 2000-01-01", False),
        ("link(companion: income_band missing)", True),
        ("custom.debts missing", True),
        ("custom.shoe_size missing", False),
        ("not is(motive) in [fame]", True),
        ("age >= 1", False),
    ],
)
def test_a_test_of_what_is_sensitive_is_marked(rule, sensitive):
    of = person()
    (test,) = told(rule, of, guarded=frozenset({"motive"}))["tests"]
    assert test.get("sensitive", False) is sensitive
    if rule.startswith("not is"):
        assert "sensitive" not in told(rule, of)["tests"][0]


RULES = SchemeRules(
    "rule",
    tuple(
        (value, parse(f"count(visit) >= {least}", WORDS))
        for value, least in zip(SCHEMES["lifecycle"][1:], (3, 2, 1), strict=True)
    ),
)


@pytest.mark.parametrize(
    ("agos", "assigned", "before", "after", "by", "tests"),
    [
        ((1, 2), (), "mature", "old", "facts", ["count(visit) >= 2"]),
        ((1, 2, 3), (), "old", "new", "facts", ["count(visit) >= 3"]),
        ((5,), (), "old", "mature", "rest", ["count(visit) >= 2", "count(visit) >= 1"]),
        ((5,), (Assigned("old", "person", 0),), "mature", "old", "person", []),
        ((1,), (Assigned("old", "person", 0, TODAY),), "old", "mature", "time", []),
        ((1,), (Assigned("old", "person", 0, TODAY - 1),), "old", "mature", "facts", ["count(visit) >= 1"]),
        ((1,), (Assigned("new", "person", 0, TODAY),), None, "mature", "facts", ["count(visit) >= 1"]),
    ],
)
def test_a_value_moves_by_the_rules_of_what_was_and_what_is(agos, assigned, before, after, by, tests):
    world = Chain({"lifecycle": RULES})
    of = person(*agos, assigned={"lifecycle": assigned})
    turned = Turned(of, world, WORDS, newer=frozenset({"d1"}))
    said = turned.of_standing("lifecycle", standing("lifecycle", of, world), before, after)
    assert (said["by"], [test["rule"] for test in said["tests"]]) == (by, tests)
