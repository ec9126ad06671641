"""What is written of where a person stands, and what moved: the difference of what is kept and what is so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.rules.evaluate import FOREVER, Finding
from regulars_schema.rules.knowing import Chain, Known, SchemeRules
from regulars_schema.rules.tree import InTest, IsTest
from regulars_server.knowledge.checking import Kept, Stood
from regulars_server.knowledge.reasons import Turned
from tests.support.rules import TODAY, WORDS

NOW = 1_000
SCHEMES, VALUES, SEGMENTS, MEMBERS = ("s", "t"), ("a", "b", "c"), ("x", "y"), ("ann", "bob")
TURNED = Turned(
    Known("ann", TODAY, ZoneInfo("Asia/Shanghai")),
    Chain({key: SchemeRules("person") for key in SCHEMES}),
    WORDS,
)
Standing = dict[str, dict[str, dict[str, int]]]


def stood(standing: dict[str, list[str] | None], segments: dict[str, bool | None], **more: Any) -> Stood:
    return Stood(
        {key: Finding(IsTest(key, ()), None if said is None else True, value=said, **more)
         for key, said in standing.items()},
        {key: Finding(InTest(key), said) for key, said in segments.items()},
    )  # fmt: skip


def applied(standing: Standing, memberships: dict[str, dict[str, int]], checked: Any) -> tuple[Any, Any]:
    """What is kept after it was written."""
    held = {
        (id, key, v): since
        for id, of in standing.items()
        for key, vs in of.items()
        for v, since in vs.items()
    }
    inside = {(id, key): since for id, of in memberships.items() for key, since in of.items()}
    for gone in checked.no_standing:
        del held[gone]
    for left in checked.no_membership:
        del inside[left]
    held |= {(checked.customer, key, value): since for key, value, since in checked.standing}
    inside |= {(checked.customer, key): since for key, since in checked.membership}
    return held, inside


SINCES = st.integers(1, 99)
KEPT = st.dictionaries(
    st.sampled_from(MEMBERS),
    st.dictionaries(st.sampled_from(SCHEMES), st.dictionaries(st.sampled_from(VALUES), SINCES, min_size=1)),
)
INSIDE = st.dictionaries(st.sampled_from(MEMBERS), st.dictionaries(st.sampled_from(SEGMENTS), SINCES))
STOOD = st.builds(
    stood,
    st.dictionaries(st.sampled_from(SCHEMES), st.none() | st.lists(st.sampled_from(VALUES), unique=True)),
    st.dictionaries(st.sampled_from(SEGMENTS), st.sampled_from([True, False, None])),
)


@given(KEPT, INSIDE, STOOD, st.booleans())
def test_after_what_is_written_the_survivor_alone_stands_where_it_does(standing, inside, now, is_first):
    kept = Kept.of(MEMBERS, standing, inside)
    checked = now.against(kept, MEMBERS, TURNED, NOW, is_first)
    held, members = applied(standing, inside, checked)
    assert held.keys() == {("ann", key, value) for key in now.standing for value in now.values(key)}
    assert members.keys() == {("ann", key) for key in now.segments}
    for (_, key, value), since in held.items():
        assert since == kept.values(key).get(value, NOW), "since when is kept, of a merged one, too"
    for (_, key), since in members.items():
        others = [of[key] for of in inside.values() if key in of]
        assert since == inside.get("ann", {}).get(key, min(others, default=NOW))
    moved = {m.key for m in checked.movements if m.what == "standing"}
    turned = {key for key in SCHEMES if set(now.values(key)) != kept.values(key).keys()}
    assert moved == (set() if is_first else turned)
    came = {(m.key, m.after) for m in checked.movements if m.what == "membership"}
    assert came == {
        (key, "member" if key in now.segments else None) for key in now.segments ^ kept.segments.keys()
    }
    assert now.differs(kept) is bool(turned or came)
    again = Kept.of(MEMBERS, {"ann": _by(held)}, {"ann": {key: since for (_, key), since in members.items()}})
    assert not now.differs(again)
    nothing = now.against(again, MEMBERS, TURNED, NOW + 1, False)
    written = nothing.standing, nothing.no_standing, nothing.membership, nothing.no_membership
    assert [*written, nothing.movements] == [[]] * 5


def _by(held: dict[tuple[str, str, str], int]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (_, key, value), since in held.items():
        found.setdefault(key, {})[value] = since
    return found


@pytest.mark.parametrize(
    ("was", "now", "moves"),
    [
        (["a"], ["b"], [("a", "b")]),
        (["a"], [], [("a", None)]),
        ([], ["b"], [(None, "b")]),
        (["a", "b"], ["b", "c"], [("a", "c")]),
        (["a", "b"], ["c"], [("a", None), ("b", None), (None, "c")]),
        (["a"], None, [("a", None)]),
        (["a"], ["a"], []),
    ],
)
def test_one_value_for_another_is_one_movement_and_several_are_each_their_own(was, now, moves):
    kept = Kept.of(MEMBERS, {"ann": {"s": dict.fromkeys(was, 5)}}, {})
    checked = stood({"s": now}, {}).against(kept, MEMBERS, TURNED, NOW, False)
    assert [(m.before, m.after) for m in checked.movements] == moves
    assert all((m.n, m.at_ms, m.customer, m.key) == (0, NOW, "ann", "s") for m in checked.movements)


def test_where_members_stood_apart_what_the_survivor_has_counts():
    apart = {"bob": {"s": {"b": 1}, "t": {"c": 2}}, "ann": {"s": {"a": 3}}, "eve": {"s": {"c": 4}}}
    kept = Kept.of(MEMBERS, apart, {"bob": {"x": 5}, "eve": {"y": 6}})
    assert (kept.values("s"), kept.values("t"), kept.values("u")) == ({"a": 3}, {"c": 2}, {})
    assert kept.segments == {"x": 5}


def test_somebody_is_due_again_when_the_first_answer_may_turn():
    soon, later = datetime(2026, 11, 23, 1, 2, 3, 500_000, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    assert stood({"s": ["a"]}, {"x": True}, until=later).until_ms == later.timestamp() * 1_000
    both = Stood({"s": Finding(IsTest("s", ()), True, later)}, {"x": Finding(InTest("x"), False, soon)})
    assert both.until_ms == 1_795_395_723_500
    assert stood({"s": ["a"]}, {"x": None}, until=FOREVER).until_ms is None
    assert Stood({}, {}).until_ms is None
