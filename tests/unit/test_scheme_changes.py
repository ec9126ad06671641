"""What a chain changes of schemes: kept by every upgrade, told where it does not fit, never a circle."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.rules.evaluate import evaluate
from regulars_schema.rules.naming import circle
from regulars_schema.rules.text import parse
from regulars_schema.rules.tree import Misread, write
from regulars_schema.schemes import BadScheme, Shipped, load, read
from regulars_schema.schemes.changing import changed, merged
from regulars_schema.schemes.world import Knowledge, SchemeRow, SegmentRow, know
from tests.support.rules import KNOWN

SHIPPED = load()
SEGMENTS = [f"00000000-0000-7000-8000-0000000000{i:02}" for i in range(3)]
OWN = {
    "label": {"zh_hans": "宠物", "en": "Pet"},
    "for_kind": ["person"],
    "mode": "rule",
    "values": {
        "cat": {"label": {"zh_hans": "猫", "en": "Cat"}, "rule": 'tags has "cat"'},
        "dog": {
            "label": {"zh_hans": "狗", "en": "Dog"},
            "rule": {"field": "tags", "op": "has", "value": "dog"},
        },
    },
}


def rule(text: str) -> Any:
    return write(parse(text, SHIPPED.words))


def values(shipped: Shipped, changes: dict[str, Any], key: str = "tier") -> list[str]:
    found = changed(shipped, changes)
    assert not found.problems
    return [value.key for value in found.schemes[key].values]


# --- merging ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_patches_merge_as_the_rfc_says(target, patch, result):
    assert merged(target, patch) == result


def test_without_changes_the_shipped_schemes_stand():
    assert changed(SHIPPED, {}).schemes == SHIPPED.schemes


def test_values_are_changed_added_and_taken_away_by_key():
    patch = {
        "values": {
            "gold": {"rule": "monetary_fifth >= 4"},
            "silver": None,
            "bronze": {"label": {"zh_hans": "铜", "en": "Bronze"}, "rule": "monetary_fifth = 2"},
        },
        "order": ["gold", "diamond"],
    }
    found = changed(SHIPPED, {"tier": patch})
    assert not found.problems
    tier = found.schemes["tier"]
    assert [value.key for value in tier.values] == ["gold", "ordinary", "bronze", "diamond"]
    assert tier.values[0].rule == parse("monetary_fifth >= 4", SHIPPED.words)
    assert tier.values[0].label == SHIPPED.schemes["tier"].values[1].label
    assert list(found.words.schemes["tier"]) == ["gold", "ordinary", "bronze", "diamond"]


def test_hints_by_gender_are_shipped_off_and_a_chain_may_switch_them_on():
    patch = {"hints": {"male": {"on": True}, "female": {"text": ["无", "None"]}}}
    hints = {hint.key: hint for hint in changed(SHIPPED, {"motive": patch}).schemes["motive"].hints}
    shipped = {hint.key: hint for hint in SHIPPED.schemes["motive"].hints}
    assert not shipped["male"].on
    assert not shipped["female"].on
    assert hints["male"].on
    assert not hints["female"].on
    assert hints["female"].text.en == "None"


def test_a_hint_no_longer_suggests_what_was_taken_away():
    found = changed(SHIPPED, {"motive": {"values": {"cheap": None}}})
    assert not found.problems
    suggested = {value for hint in found.schemes["motive"].hints for value in hint.suggests}
    assert suggested == {"practical", "fame", "beautiful"}


def test_a_scheme_of_the_chain_is_a_patch_over_nothing():
    found = changed(SHIPPED, {"pet": OWN, "tier": {"values": {"gold": {"rule": "is(pet) = cat"}}}})
    assert not found.problems
    assert [value.key for value in found.schemes["pet"].values] == ["cat", "dog"]
    assert found.schemes["pet"].sources == ()


@pytest.mark.parametrize(
    ("key", "patch", "place"),
    [
        ("tier", [], ""),
        ("tier", {"key": "x"}, "key"),
        ("tier", {"values": {"gold": {"rule": "spnd > 1"}}}, "values.gold.rule"),
        ("tier", {"values": {"gold": {"rule": {"is": "x"}}}}, "values.gold.rule"),
        ("tier", {"values": {"gold": {"rule": None}}}, "values.gold.rule"),
        ("tier", {"values": {"gold": 3}}, "values.gold"),
        ("tier", {"values": {"new": {"rule": "spend > 1"}}}, "values.new.label"),
        ("tier", {"values": {"N-1": {}}}, "values.N-1"),
        ("tier", {"values": None}, "values"),
        ("tier", {"order": ["gold", "x"]}, "order"),
        ("tier", {"order": ["gold", "gold"]}, "order"),
        ("tier", {"order": "gold"}, "order"),
        ("tier", {"mode": "person"}, "values.diamond.rule"),
        ("tier", {"size": 3}, "size"),
        ("tier", {"hints": [3]}, "hints"),
        ("lifecycle", {"order": ["mature", "old"]}, "values.mature.parent"),
        ("lifecycle", {"values": {"old": None}}, "values.mature.parent"),
        ("tier", {"values": {"gold": {"rule": "is(funnel) = won"}}}, "values.won.rule"),
        ("pet", {**OWN, "values": {}}, "values"),
        ("pet", {"label": {"en": "Pet"}}, "mode"),
        ("pet", {**OWN, "level": "secret"}, "level"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_its_place_and_the_shipped_scheme_stands(key, patch, place):
    changes = {"funnel": {"values": {"won": {"rule": "is(tier) = gold"}}}, key: patch}
    found = changed(SHIPPED, changes)
    problem = next(iter(found.problems.values()))
    assert problem.place == place
    at = next(iter(found.problems))
    assert found.schemes.get(at) == SHIPPED.schemes.get(at)


# --- upgrades ---------------------------------------------------------------------------------------------

TEXT = """
key = "x"
label = { zh_hans = "类", en = "Class" }
for_kind = ["person"]
mode = "rule"
sources = ["S1"]
"""
NAMES = st.sampled_from(["a", "b", "c", "d"])
RULES = st.integers(1, 9).map(lambda n: f"purchase_count >= {n}")
WORDS = st.integers(1, 9).map(lambda n: {"zh_hans": f"甲{n}", "en": f"A{n}"})
VALUE = st.fixed_dictionaries({"rule": RULES, "label": WORDS})
FILES = st.dictionaries(NAMES, VALUE, min_size=1)
PATCHES = st.fixed_dictionaries(
    {},
    optional={
        "label": WORDS,
        "check_days": st.integers(1, 9),
        "values": st.dictionaries(
            NAMES,
            st.none() | st.fixed_dictionaries({}, optional={"rule": RULES, "label": WORDS}),
        ),
    },
)


def shipped(of: dict[str, Any]) -> Shipped:
    text = TEXT
    for key, value in of.items():
        label = value["label"]
        text += f'[[values]]\nkey = "{key}"\nrule = "{value["rule"]}"\n'
        text += f'label = {{ zh_hans = "{label["zh_hans"]}", en = "{label["en"]}" }}\n'
    return read({"x.toml": text})


@given(FILES, FILES, PATCHES)
def test_an_upgrade_keeps_what_the_chain_changed_and_takes_what_the_product_did(older, newer, patch):
    for file in (older, newer):
        product = shipped(file)
        found = changed(product, {"x": patch})
        if found.problems:
            assert found.schemes["x"] == product.schemes["x"]
            continue
        scheme = found.schemes["x"]
        said = patch.get("values", {})
        expected = {key: value for key, value in {**file, **said}.items() if said.get(key, 0) is not None}
        assert {value.key for value in scheme.values} == set(expected)
        for value in scheme.values:
            meant = {**file.get(value.key, {}), **(said.get(value.key) or {})}
            assert value.rule == parse(meant["rule"], product.words)
            assert {"zh_hans": value.label.zh_hans, "en": value.label.en} == meant["label"]
        assert scheme.check_days == patch.get("check_days")
        assert scheme.label.en == patch.get("label", {"en": "Class"})["en"]


@given(FILES, st.lists(NAMES, unique=True))
def test_an_order_holds_for_those_it_names_and_the_others_stay_behind_theirs(file, order):
    patch = {"order": [key for key in order if key in file]}
    found = values(shipped(file), {"x": patch}, "x")
    assert [key for key in found if key in order] == patch["order"]
    assert sorted(found) == sorted(file)
    stood = list(file)
    for before, after in pairwise(stood):
        if after not in order:
            assert found.index(after) > found.index(before)


PARTS = st.sampled_from(["values", "gold", "hints", "label", "rule", "order", "playbook", "cues", "key"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["gold", "person", "S1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PARTS, inner, max_size=4),
    max_leaves=12,
)


@given(ANYTHING)
def test_no_patch_whatever_it_holds_brings_the_reading_down(patch):
    found = changed(SHIPPED, {"tier": patch, "own": patch})
    assert set(found.schemes) >= set(SHIPPED.schemes)
    assert "own" in found.problems


# --- what names what --------------------------------------------------------------------------------------


@given(st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdefg"), max_size=3)))
def test_a_circle_is_found_where_there_is_one(names):
    way = circle(names)
    for one, other in zip(way, [*way[1:], *way[:1]], strict=True):
        assert other in names[one]
    left = dict(names)
    while ends := [name for name, others in left.items() if not others & left.keys()]:
        left = {name: others for name, others in left.items() if name not in ends}
    assert bool(way) == bool(left)


def knowing(*rules: str, **changes: Any) -> Knowledge:
    rows = [SchemeRow(key, patch) for key, patch in changes.items()]
    return know(SHIPPED, rows, [SegmentRow(SEGMENTS[i], rule(text)) for i, text in enumerate(rules)])


def test_a_segment_that_comes_to_name_itself_is_refused():
    known = knowing("spend > 1", f'in("{SEGMENTS[0]}")')
    assert not known.problems
    for text in (f'in("{SEGMENTS[1]}")', f'not link(companion: in("{SEGMENTS[1]}"))', f'in("{SEGMENTS[0]}")'):
        with pytest.raises(Misread) as raised:
            known.with_segment(SEGMENTS[0], rule(text))
        assert raised.value.code == "rule_circle"
    known.with_segment(SEGMENTS[0], rule("spend > 2"))
    with pytest.raises(Misread, match="rule_unknown"):
        known.with_segment(SEGMENTS[0], rule(f'in("{SEGMENTS[2]}")'))


def test_a_scheme_that_comes_to_name_itself_through_a_segment_is_refused():
    known = knowing("is(tier) = gold")
    patch = {"values": {"gold": {"rule": f'in("{SEGMENTS[0]}")'}}}
    with pytest.raises(BadScheme, match="comes to name itself: scheme tier > segment") as raised:
        known.with_scheme("tier", patch)
    assert raised.value.misread is not None
    assert raised.value.misread.code == "rule_circle"
    known.with_scheme("quality", {"values": {"high": {"rule": f'in("{SEGMENTS[0]}")'}}})


def test_changes_that_would_break_what_others_name_are_refused():
    text = {**rule("is(tier) = gold"), "is": "pet", "values": ["cat"]}
    known = know(SHIPPED, [SchemeRow("pet", OWN)], [SegmentRow(SEGMENTS[0], text)])
    with pytest.raises(BadScheme, match=SEGMENTS[0]):
        known.with_scheme("pet", {**OWN, "values": {"dog": OWN["values"]["dog"]}})  # type: ignore[index]
    with pytest.raises(BadScheme, match=SEGMENTS[0]):
        known.with_scheme("pet", None)
    used = knowing(pet=OWN, tier={"values": {"gold": {"rule": "is(pet) = cat"}}})
    with pytest.raises(BadScheme, match=r"^tier: values.gold.rule"):
        used.with_scheme("pet", None)


def test_what_can_not_be_read_is_told_and_is_unknown():
    known = know(
        SHIPPED,
        [SchemeRow("tier", {"size": 3}), SchemeRow("pet", OWN, archived=True)],
        [SegmentRow(SEGMENTS[0], {"is": "nothing", "values": ["x"]}), SegmentRow(SEGMENTS[1])],
        {"spend": [1, 2, 3, 4], "margin": "x", "profit": [1, "2"]},
    )
    assert set(known.problems) == {"tier", SEGMENTS[0]}
    assert known.dynamic == []
    assert "pet" not in known.used
    assert known.chain.cuts == {"spend": (1, 2, 3, 4)}


@given(KNOWN)
def test_a_value_taken_away_holds_of_nobody_where_a_segment_still_names_it(of):
    known = knowing("is(tier) in [gold, silver]", tier={"values": {"gold": None, "silver": None}})
    assert not known.problems
    segment = known.segments[SEGMENTS[0]].rule
    assert segment is not None
    assert evaluate(segment, of, known.chain).answer in (False, None) or "tier" in of.assigned
