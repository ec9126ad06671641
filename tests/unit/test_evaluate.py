"""What a test says of each kind of value, by tables; and of a number that is only known to lie in a range."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.declare import JSON
from regulars_schema.rules.evaluate import FOREVER, Finding, compare, evaluate, explain, sounds, standing
from regulars_schema.rules.knowing import Assigned, Before, Chain, Known, SchemeRules, SegmentRule
from regulars_schema.rules.text import parse, show
from regulars_schema.rules.tree import FieldTest
from tests.support.rules import IDS, SEGMENTS, STAFF, TODAY, WORDS
from tests.support.samples import did, known

BOUND = st.none() | st.integers(-9, 9)
ALL = range(-40, 41)
HOLDS = {
    "=": lambda n, w: n == w,
    "!=": lambda n, w: n != w,
    "<": lambda n, w: n < w,
    "<=": lambda n, w: n <= w,
    ">": lambda n, w: n > w,
    ">=": lambda n, w: n >= w,
    "between": lambda n, w: w[0] <= n <= w[1],
}


@given(st.sampled_from(list(HOLDS)), BOUND, BOUND, st.integers(-12, 12), st.integers(0, 9))
def test_of_a_range_holds_what_holds_of_every_number_in_it(op, low, high, wanted, more):
    if low is not None and high is not None:
        low, high = min(low, high), max(low, high)
    figure = (wanted, wanted + more) if op == "between" else wanted
    numbers = [n for n in ALL if (low is None or n >= low) and (high is None or n <= high)]
    said = {HOLDS[op](number, figure) for number in numbers}
    assert compare(op, (low, high), figure) is (said.pop() if len(said) == 1 else None)


def asked(text: str, of: Known, world: Chain | None = None) -> Finding:
    return evaluate(parse(text, WORDS), of, world or Chain())


@pytest.mark.parametrize(
    ("op", "wanted", "value", "holds"),
    [
        ("=", "a", "a", True), ("=", "a", "b", False), ("=", "a", None, False),
        ("!=", "a", "a", False), ("!=", "a", "b", True), ("!=", "a", None, True),
        ("in", ("a", "b"), "b", True), ("in", ("a", "b"), "c", False), ("in", ("a",), None, False),
        ("exists", None, "a", True), ("exists", None, 0, True), ("exists", None, "", False),
        ("exists", None, [], False), ("exists", None, None, False),
        ("missing", None, None, True), ("missing", None, [], True), ("missing", None, "a", False),
        ("has", "a", ["a", "b"], True), ("has", "c", ["a", "b"], False), ("has", "a", None, False),
        ("lacks", "a", ["a"], False), ("lacks", "a", ["b"], True), ("lacks", "a", None, True),
        ("starts", "LIN", "Lin Fang", True), ("starts", "fang", "Lin Fang", False),
        ("starts", "a", None, False),
        ("contains", "FANG", "Lin Fang", True), ("contains", "straße", "HAUPTSTRASSE", True),
        ("contains", "x", "Lin", False), ("sounds", "lf", "林芳", True), ("sounds", "x", "林芳", False),
        ("=", True, True, True), ("=", True, None, False), ("=", False, None, True),
        ("=", False, False, True),
        ("=", False, True, False), ("<", 5, 4, True), ("<", 5, 5, False), ("<", 5, None, False),
        ("between", (4, 5), 5, True), ("between", (4, 5), 6, False), (">=", 0, 0, True),
    ],
)  # fmt: skip
def test_a_field_holds(op: str, wanted: JSON, value: JSON, holds: bool):
    found = evaluate(FieldTest("x", op, wanted), known(values={"x": value}), Chain())
    assert (found.answer, found.value) == (holds, value)
    assert (
        evaluate(
            FieldTest("x", op, wanted), known(values={"x": value}, hidden=frozenset("x")), Chain()
        ).answer
        is None
    )


@pytest.mark.parametrize(
    ("spoken", "heard"), [("linf", True), ("lin fang", True), ("lf", True), ("fang", False), ("lfx", False)]
)
def test_a_name_sounds_as_its_pinyin_or_its_initials(spoken, heard):
    assert sounds("林芳", spoken) is heard


def test_what_is_said_of_owners_units_tasks_cases_and_consents():
    mine = known(
        values={"owner": STAFF[0]}, tasks={"verify": ("done", "open")}, cases={"complaint": ("heard",)},
        consents=frozenset({("news", "sms")}), units=frozenset(IDS[2:3]),
    )  # fmt: skip
    world = Chain(me=STAFF[0], team=frozenset(STAFF[1:]))
    held = [
        "owner = me", "owner = team", 'task("verify") in [open]', 'case(complaint) in ["heard", "x"]',
        'consent("news", sms)', f'home_unit under "{IDS[2]}"',
    ]  # fmt: skip
    other = [
        'task("verify") in [expired]', 'task("call") in [open]', 'case(complaint) in ["x"]',
        'case(winback) in ["heard"]',
        'consent("news", phone)', 'consent("x", sms)', f'home_unit under "{IDS[3]}"',
    ]  # fmt: skip
    assert [asked(text, mine, world).answer for text in held] == [True] * len(held)
    assert [asked(text, mine, world).answer for text in other] == [False] * len(other)
    assert asked('task("verify") in [open]', mine).value == ["done", "open"]
    for owner, me, team in ((STAFF[1], False, True), (IDS[5], False, False), (None, False, False)):
        of = known(values={"owner": owner})
        assert [asked(f"owner = {who}", of, world).answer for who in ("me", "team")] == [me, team]
    assert [asked(f"owner = {who}", known(), Chain()).answer for who in ("me", "team")] == [False, False]


# --- schemes ----------------------------------------------------------------------------------------------


def said(value: str, origin: str = "person", since: int = 0, check_by: int | None = None) -> Assigned:
    return Assigned(value, origin, since, check_by)


BY_RULE = tuple(
    (value, parse(f"count(visit) >= {least}", WORDS))
    for value, least in (("gold", 3), ("silver", 2), ("tin", 1))
)
BY_RULES, MULTI, ORDERED = (SchemeRules("rule", BY_RULE, {}, *how) for how in ((), (True,), (False, True)))
HIDDEN = ("gold", parse("notes exists", WORDS))
SOON = TODAY + 3


@pytest.mark.parametrize(
    ("rules", "visits", "assigned", "values", "until"),
    [
        (BY_RULES, 2, [], ["silver"], None),
        (BY_RULES, 0, [], [], None),
        (MULTI, 2, [], ["silver", "tin"], None),
        (BY_RULES, 2, [said("tin")], ["tin"], None),
        (BY_RULES, 2, [said("tin", "import"), said("gold")], ["gold"], None),
        (BY_RULES, 2, [said("tin", check_by=SOON)], ["tin"], SOON),
        (BY_RULES, 2, [said("tin", check_by=TODAY)], ["silver"], None),
        (BY_RULES, 2, [said("a", since=1), said("b", since=2)], ["b"], None),
        (BY_RULES, 2, [said("a", since=1), said("b", since=1)], ["b"], None),
        (MULTI, 2, [said("a", check_by=TODAY + 9), said("b", check_by=SOON)],
         ["a", "b"], SOON),
        (SchemeRules("person"), 2, [], [], None),
        (SchemeRules("person"), 2, [said("a", check_by=TODAY - 1)], [], None),
        (SchemeRules("person"), 2, [said("a", "import")], ["a"], None),
        (ORDERED, 1, [said("silver", "import", 0, SOON)], ["silver"], SOON),
        (ORDERED, 3, [said("silver", "import", 0, SOON)], ["gold"], SOON),
        (ORDERED, 0, [said("tin", "import", 0, SOON)], ["tin"], SOON),
        (ORDERED, 3, [said("tin", "person", 0, SOON)], ["tin"], SOON),
        (ORDERED, 3, [said("tin", "import")], ["tin"], None),
        (SchemeRules("rule", BY_RULE, {}, True, True), 3, [said("tin", "import", 0, SOON)], ["tin"], SOON),
        (BY_RULES, 3, [said("tin", "import", 0, SOON)], ["tin"], SOON),
        (ORDERED, 3, [said("other", "import", 0, SOON)], ["other"], SOON),
        (SchemeRules("rule", (HIDDEN, *BY_RULE)), 3, [], None, None),
        (SchemeRules("rule", (*BY_RULE, HIDDEN)), 3, [], ["gold"], None),
        (SchemeRules("rule", BY_RULE, guarded=True), 3, [said("tin")], None, None),
    ],
)  # fmt: skip
def test_where_a_customer_stands_is_a_persons_word_then_an_imports_then_the_rules(
    rules, visits, assigned, values, until
):
    of = known(
        *(did("visit", ago) for ago in range(visits)),
        hidden=frozenset({"notes"}),
        assigned={"s": tuple(assigned)},
    )
    found = standing("s", of, Chain({"s": rules}))
    assert (found.answer, found.value) == (None if values is None else True, values)
    assert found.until == (FOREVER if until is None else of.start_of(until))


def test_a_scheme_that_asks_for_itself_and_one_that_is_not_there_are_unknown():
    world = Chain({"motive": SchemeRules("rule", (("fame", parse("is(motive) in [cheap]", WORDS)),))})
    assert asked("is(motive) in [fame]", known(), world).answer is None
    assert asked("is(lifecycle) in [old]", known(), world).answer is None
    twice = "is(motive) in [fame] or is(motive) in [fame]"
    assert asked(twice, known(), replace(world, schemes={"motive": SchemeRules("person")})).answer is False


def test_a_value_holds_of_those_that_are_part_of_it():
    rules = SchemeRules("person", parents={"mature": "old", "old": "new", "new": "mature"})
    of = known(assigned={"lifecycle": (said("mature"),)})
    world = Chain({"lifecycle": rules})
    asked_of = {
        value: asked(f"is(lifecycle) in [{value}]", of, world).answer
        for value in ("mature", "old", "new", "prospect")
    }
    assert asked_of == {"mature": True, "old": True, "new": True, "prospect": False}


# --- together ---------------------------------------------------------------------------------------------

FEW, MANY = "count(visit, last 3 days) >= 1", "count(visit, last 5 days) >= 1"


@pytest.mark.parametrize(
    ("text", "answer", "until"),
    [
        (f"{FEW} and {MANY}", True, 2),
        (f"{FEW} or {MANY}", True, 4),
        (f"not {FEW} and not {MANY}", False, 4),
        (f"not {FEW} or not {MANY}", False, 2),
        (f"not ({FEW} and {MANY})", False, 2),
        (f"{MANY} and notes missing", None, 4),
        (f"{MANY} or notes missing", True, 4),
        (f"not {MANY} or notes missing", None, 4),
        (f"not {MANY} and notes missing", False, 4),
        (f"not ({MANY} and notes missing)", None, 4),
    ],
)
def test_together_they_stand_until_one_turns_and_where_several_decide_until_all_do(text, answer, until):
    of = known(did("visit", 1), hidden=frozenset({"notes"}))
    found = asked(text, of)
    assert (found.answer, found.until) == (answer, of.start_of(TODAY + until))


def test_a_member_needs_no_rule_and_who_was_taken_out_is_brought_back_by_none():
    rules = {
        SEGMENTS[0]: SegmentRule(parse(FEW, WORDS)),
        SEGMENTS[1]: SegmentRule(None),
        SEGMENTS[2]: SegmentRule(parse(f'in("{SEGMENTS[2]}") or {FEW}', WORDS)),
    }
    world, gone = Chain(segments=rules), Chain()
    of, nobody = known(did("visit", 1)), known()
    first, second = frozenset(SEGMENTS[:1]), frozenset(SEGMENTS[1:2])
    for person, segment, within, answer in (
        (of, SEGMENTS[0], world, True),
        (nobody, SEGMENTS[0], world, False),
        (of, SEGMENTS[0], gone, None),
        (replace(of, excluded=first), SEGMENTS[0], world, False),
        (replace(of, excluded=first, segments=first), SEGMENTS[0], gone, False),
        (replace(nobody, segments=first), SEGMENTS[0], gone, True),
        (of, SEGMENTS[1], world, False),
        (replace(of, segments=second), SEGMENTS[1], world, True),
        (of, SEGMENTS[2], world, True),
        (nobody, SEGMENTS[2], world, None),
    ):
        assert asked(f'in("{segment}")', person, within).answer is answer


def test_whoever_is_linked_is_asked_and_unknown_where_out_of_reach():
    of = known(outward={"companion": ("wu", "he")}, inward={"companion": ("ma",)})
    wu, he, ma = (known(values={"gender": gender}) for gender in ("male", "female", "female"))
    for others, text, answer in (
        ({"wu": wu, "he": he, "ma": ma}, "link(companion: gender = male)", True),
        ({"he": he, "ma": ma}, "link(companion: gender = male)", None),
        ({"he": he, "ma": ma}, "link(companion: gender = female)", True),
        ({"ma": ma}, "link(companion from: gender = male)", False),
        ({"ma": ma}, "link(family: gender = female)", False),
    ):
        found = asked(text, of, Chain(find=others.get))
        assert found.answer is answer
        assert set(found.value) <= {"wu", "he", "ma"}
    assert asked("link(companion to)", of).value == ["wu", "he"]
    assert asked("link(companion)", of).value == ["wu", "he", "ma"]


# --- days -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "answer", "until"),
    [
        ("first(visit) on 2026-11-12", True, 1),
        ("last(visit) on 2026-11-19", True, 1),
        ("last(visit) after 2026-11-18", True, 1),
        ("last(visit) after 2026-11-19", False, 1),
        ("last(visit) before 2026-11-19", False, 1),
        ("first(visit) before 2026-11-13", True, 1),
        ("last(visit) within next 3 days", False, 1),
        ("last(quote) within last 3 days", False, None),
        ("first(event) within last 3 days", False, 1),
        ("last(call) on 2026-11-22", True, None),
        ("first(call) within last 1 day", True, 1),
        ("date(trading_since) within next 7 days", False, 3),
        ("date(trading_since) within last 7 days", False, 9),
        ("date(first_seen) within last 3 days", True, 2),
        ("date(trading_since) anniversary within next 7 days", False, 3),
        ("date(birth) anniversary within next 2 days", True, 2),
        ("date(birth) on 1985-11-23", True, None),
        ("date(custom.moved_on) before 2027-01-01", False, None),
        ("date(custom.moved_on) anniversary within next 3 days", False, None),
    ],
)
def test_days_and_until_when(text, answer, until):
    of = known(
        did("visit", 10), did("visit", 3), did("visit", -1), did("event", -1), did("call", 0),
        values={"trading_since": "2026-12-01", "first_seen": "2026-11-20T16:30:00.000Z",
                "birth": {"year": 1985, "month": 11, "day": 23}},
    )  # fmt: skip
    found = asked(text, of)
    assert (found.answer, found.until) == (answer, FOREVER if until is None else of.start_of(TODAY + until))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("first(visit) on 2026-08-14", True),
        ("last(visit) on 2026-11-19", True),
        ("last(call) on 2026-09-03", True),
        ("first(any) on 2026-08-14", True),
        ("first(visit where channel = store) on 2026-11-19", None),
        ("last(visit where channel = store) on 2026-11-19", True),
        ("last(call where channel = store) on 2026-11-19", None),
        ("last(event) on 2026-11-19", False),
        ("count(call) >= 2", True),
        ("count(call where channel = store) >= 3", False),
        ("count(call where channel = store) >= 1", None),
        ("count(any where channel = store) >= 1", True),
        ("sum(amount of call) = 70", True),
        ("sum(amount of call) = 70 CNY", None),
        ("sum(margin of call) = 20.00 CNY", None),
        ("sum(margin of visit) = 5", None),
        ("count(call, last 81 days) >= 1", None),
        ("count(call, last 80 days) >= 1", False),
        ("sum(quantity of call, last 85 days) >= 0", None),
    ],
)  # fmt: skip
def test_facts_before_the_edge_are_told_by_their_sums_as_far_as_these_go(text, answer):
    sums = Before(2, TODAY - 100, TODAY - 80, 70, 50, 3)
    before = {"call": sums, "visit": replace(sums, cost=None)}
    of = replace(known(did("visit", 3, channel="store")), edge=TODAY - 50, before=before)
    assert asked(text, of).answer is answer
    assert asked("count(call, last 101 days) >= 2", of).until == of.start_of(TODAY + 1)


def test_a_birth_that_no_calendar_tells_never_comes_round():
    of = known(values={"birth": {"month": 1, "day": 1}})
    assert asked("date(birth) anniversary within next 3 days lunar", of).answer is False


# --- telling ----------------------------------------------------------------------------------------------


def test_an_explanation_is_a_tree_with_what_was_compared_and_until_when():
    found = asked("count(visit, last 3 days) >= 1 and gender = male", known(did("visit", 1)))
    assert explain(found, lambda rule: show(rule, WORDS)) == {
        "rule": "count(visit, last 3 days) >= 1 and gender = male",
        "answer": False,
        "parts": [
            {
                "rule": "count(visit, last 3 days) >= 1",
                "answer": True,
                "value": 1,
                "until": "2026-11-23T16:00:00+00:00",
            },
            {"rule": "gender = male", "answer": False},
        ],
    }
