"""The schemes that come with the product: whole, in both languages, each sample customer where it belongs."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from generate_docs import schemes_page
from regulars_schema.rules.evaluate import evaluate, standing
from regulars_schema.rules.knowing import Assigned, Line
from regulars_schema.rules.text import parse, show
from regulars_schema.schemes import BadScheme, Playbook, Words, load, read
from regulars_schema.schemes.changing import changed
from tests.support.rules import KNOWN, TODAY
from tests.support.samples import CHAIN, SAMPLES, STEADY, buy, did, known, often

PAGE = Path(__file__).resolve().parents[2] / "docs" / "SCHEMES.md"
SHIPPED = load()
SCHEMES = SHIPPED.schemes
KEYS = {
    "nature", "channel_role", "time_order", "deal_phase", "lifecycle", "funnel", "attention", "tier",
    "quality", "volume_class", "management_class", "relation4", "rfm_cell", "profit_loyalty", "dependency",
    "loyalty_cycle", "pyramid", "motive", "personality", "social_style", "behaviour_mode", "difficulty",
    "selling_point", "orientation", "consumer_group", "age_band", "ownership", "outlet_type",
    "location_type", "churn_cause",
}  # fmt: skip
TRADITIONAL = KEYS - {
    "lifecycle", "attention", "volume_class", "motive", "personality", "age_band", "ownership",
    "outlet_type", "location_type",
}  # fmt: skip
"""Those with terms of the two sources that are in Traditional characters."""
VALUES = {
    "nature": 5, "channel_role": 4, "dependency": 4, "motive": 14, "personality": 7, "social_style": 4,
    "behaviour_mode": 4, "difficulty": 12, "selling_point": 5, "orientation": 4, "consumer_group": 11,
    "ownership": 5, "outlet_type": 6, "location_type": 4, "churn_cause": 6, "loyalty_cycle": 5, "pyramid": 5,
    "profit_loyalty": 4, "rfm_cell": 8, "relation4": 4,
}  # fmt: skip
"""How many: motive with its three classes, difficulty with its sub-causes, the salaried of two kinds."""
WITH_CUES = [
    "social_style", "behaviour_mode", "difficulty", "selling_point", "orientation", "consumer_group",
    "churn_cause", "attention", "dependency",
]  # fmt: skip


# --- what is there ----------------------------------------------------------------------------------------


def test_there_are_thirty_schemes_with_the_values_of_the_rows():
    assert set(SCHEMES) == KEYS
    assert len(KEYS) == 30
    assert {key: len(SCHEMES[key].values) for key in VALUES} == VALUES


def labels() -> Iterator[tuple[bool, Words]]:
    for scheme in SCHEMES.values():
        yield scheme.key in TRADITIONAL, scheme.label
        yield from ((scheme.key in TRADITIONAL, value.label) for value in scheme.values)


def playbooks() -> Iterator[Playbook]:
    for scheme in SCHEMES.values():
        found = [scheme.playbook, *(value.playbook for value in scheme.values)]
        yield from (playbook for playbook in found if playbook is not None)


def chinese(text: str) -> bool:
    return any("一" <= letter <= "鿿" for letter in text)


def test_labels_are_in_the_scripts_of_their_sources():
    for traditional, label in labels():
        assert chinese(label.zh_hans)
        assert not chinese(label.en)
        assert (label.zh_hant is not None) is traditional, label


def test_every_text_is_in_both_languages():
    texts = [text for p in playbooks() for part in (p.cues, p.problems, p.actions, p.avoid) for text in part]
    texts += [playbook.group for playbook in playbooks() if playbook.group is not None]
    texts += [text for scheme in SCHEMES.values() for value in scheme.values for text in value.benefits]
    texts += [hint.text for scheme in SCHEMES.values() for hint in scheme.hints]
    assert len(texts) > 150
    for text in texts:
        assert chinese(text.zh)
        assert not chinese(text.en)


def test_no_two_values_of_a_scheme_are_called_the_same():
    for scheme in SCHEMES.values():
        for script in ("zh_hans", "en"):
            names = [getattr(value.label, script) for value in scheme.values]
            assert len(set(names)) == len(names), (scheme.key, script)


@pytest.mark.parametrize("key", WITH_CUES)
def test_a_value_that_a_row_says_more_of_than_its_name_has_a_playbook(key):
    bare = {value.key for value in SCHEMES[key].values if value.playbook is None and value.parent is None}
    assert bare <= {"political"}, "S107 says no more of it than its name"


def test_the_hint_by_gender_is_off_and_assigns_nothing():
    hints = [hint for hint in SCHEMES["motive"].hints if hint.sources == ("S57",)]
    assert len(hints) == 2
    assert all(not hint.on and not hint.suggests for hint in hints)


def test_a_persons_judgement_of_a_persona_needs_evidence_and_expires():
    personas = [s for s in SCHEMES.values() if "S68" in s.sources]
    assert len(personas) == 8
    assert all(scheme.mode == "person" and scheme.evidence for scheme in personas)
    assert {scheme.check_days for scheme in personas} == {365}


def test_the_lowest_values_are_never_told_to_the_customer():
    told = {(s.key, v.key) for s in SCHEMES.values() for v in s.values if v.disclose == "customer"}
    best = {("tier", "diamond"), ("tier", "gold"), ("tier", "silver")}
    assert told == best | {("lifecycle", "loyal"), ("relation4", "loyal")}


def test_every_rule_is_the_same_after_its_text():
    rules = [value.rule for scheme in SCHEMES.values() for value in scheme.values if value.rule is not None]
    for rule in [*rules, *(template.rule for template in SHIPPED.templates.values())]:
        assert parse(show(rule, SHIPPED.words), SHIPPED.words) == rule


@pytest.mark.parametrize(
    "row", ["S31", "S38", "S77", *(f"S{i}" for i in (87, 88, 89, 90, 91, 95, 96, 97, 98))]
)
def test_a_condition_of_the_sources_is_a_template(row):
    assert any(row in template.sources for template in SHIPPED.templates.values())


def test_every_value_is_a_template_whose_label_shows_its_scheme():
    for scheme in SCHEMES.values():
        for value in scheme.values:
            template = SHIPPED.templates[f"{scheme.key}.{value.key}"]
            assert show(template.rule, SHIPPED.words) == f"is({scheme.key}) in [{value.key}]"
            assert template.label.en == f"{scheme.label.en}: {value.label.en}"
            assert (template.label.zh_hant is not None) is (scheme.key in TRADITIONAL)


def test_the_page_is_current():
    assert PAGE.read_text("utf-8") == schemes_page(SHIPPED)


# --- what is wrong ----------------------------------------------------------------------------------------

GOOD = """
key = "x"
label = { zh_hans = "类", en = "Class" }
for_kind = ["person"]
mode = "rule"
sources = ["S1"]
[[values]]
key = "a"
label = { zh_hans = "甲", en = "A" }
rule = "purchase_count >= 1"
[[values]]
key = "b"
parent = "a"
label = { zh_hans = "乙", en = "B" }
rule = "is(x) = a"
[values.playbook]
cues = [["快", "fast"]]
[[hints]]
key = "h"
rule = "kind = person"
text = ["提示", "A hint"]
suggests = ["a"]
sources = ["S1"]
"""


def test_a_good_file_is_read():
    scheme = read({"x.toml": GOOD}).schemes["x"]
    assert [value.key for value in scheme.values] == ["a", "b"]
    assert scheme.rules().parents == {"b": "a"}


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('key = "x"', 'key = "y"', "key"),
        ('key = "x"', "key = ", ""),
        ('key = "x"', 'key = "x"\nsize = 3', "size"),
        ('mode = "rule"', 'mode = "rules"', "mode"),
        ('mode = "rule"', 'mode = "person"', "values.a.rule"),
        ('mode = "rule"', 'mode = "rule"\nmulti = 1', "multi"),
        ('mode = "rule"', 'mode = "rule"\nordered = "yes"', "ordered"),
        ('mode = "rule"', 'mode = "rule"\ncheck_days = 0', "check_days"),
        ('mode = "rule"', 'mode = "rule"\ncheck_days = true', "check_days"),
        ('mode = "rule"', 'mode = "rule"\nlevel = "secret"', "level"),
        ('mode = "rule"', 'mode = "rule"\nplaybook = 3', "playbook"),
        ('"S1"]\n[[values', '"S1000"]\n[[values', "sources"),
        ('"S1"]\n[[values', '"S01"]\n[[values', "sources"),
        ('text = ["提示", "A hint"]', 'text = ["提示", "A hint"]\non = 1', "hints.h.on"),
        ('["person"]', '["people"]', "for_kind"),
        ('["person"]', "[]", "for_kind"),
        ('sources = ["S1"]\n[[values', 'sources = ["1"]\n[[values', "sources"),
        ('sources = ["S1"]\n[[values', "[[values", "sources"),
        ('en = "Class" ', 'eng = "Class" ', "label.en"),
        ('en = "A" ', 'en = "A", fr = "A" ', "values.a.label.fr"),
        ('en = "B" ', 'en = " " ', "values.b.label.en"),
        ('key = "b"', 'key = "a"', "values.1"),
        ('key = "b"', 'key = "B"', "values.1.key"),
        ('parent = "a"', 'parent = "c"', "values.b.parent"),
        ('parent = "a"', 'parent = "b"', "values.b.parent"),
        ("purchase_count >= 1", "purchase_cont >= 1", "values.a.rule"),
        ('rule = "is(x) = a"', "", "values.b.rule"),
        ("is(x) = a", "is(x) = c", "values.b.rule"),
        ('["快", "fast"]', '["快"]', "values.b.playbook.cues"),
        ("cues =", "cue =", "values.b.playbook.cue"),
        ('suggests = ["a"]', 'suggests = ["c"]', "hints.h.suggests"),
        ('text = ["提示", "A hint"]', "text = 3", "hints.h.text"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_file_and_place(old, new, place):
    assert GOOD.count(old) >= 1
    with pytest.raises(BadScheme) as raised:
        read({"x.toml": GOOD.replace(old, new, 1)})
    assert str(raised.value).startswith(f"x.toml: {place}")


def test_two_templates_of_one_key_are_refused():
    words = 'label = { zh_hans = "甲", en = "A" }\nrule = "gender exists"\nsources = ["S1"]\n'
    one = f'[[templates]]\nkey = "a"\n{words}'
    shipped = read({"templates.toml": one, "x.toml": GOOD})
    assert list(shipped.templates) == ["a", "x.a", "x.b"]
    with pytest.raises(BadScheme, match="twice"):
        read({"templates.toml": one + one})


# --- where customers belong -------------------------------------------------------------------------------


@pytest.mark.parametrize(("scheme", "value", "of"), SAMPLES)
def test_a_sample_customer_is_where_it_belongs(scheme, value, of):
    assert standing(scheme, of, CHAIN).value == ([] if value is None else [value])


def test_the_samples_reach_every_value_of_every_scheme_by_rule():
    reached = {(scheme, value) for scheme, value, _ in SAMPLES}
    ruled = {(s.key, v.key) for s in SCHEMES.values() for v in s.values if v.rule and s.key != "rfm_cell"}
    assert ruled <= reached


def test_without_published_cut_points_nobody_is_graded():
    of = known(*often(*STEADY, amount=100))
    bare = replace(CHAIN, cuts={})
    for scheme in ("tier", "quality", "volume_class", "rfm_cell", "profit_loyalty"):
        assert standing(scheme, of, bare).value == []


BEYOND_RULES = {
    "S19": "suppliers of the card", "S20": "custom fields", "S21": "the printed card",
    "S22": "sources of values", "S24": "cards", "S73": "texts of a playbook", "S99": "composition",
    "S100": "campaigns", "S101": "plans", "S121": "sensitive fields", "S127": "files of a playbook",
}  # fmt: skip
"""Rows that no scheme and no ready rule can carry, and what does."""


def test_every_row_of_what_is_known_of_customers_is_carried():
    carried = {row for scheme in SCHEMES.values() for row in scheme.sources}
    carried |= {row for s in SCHEMES.values() for hint in s.hints for row in hint.sources}
    carried |= {row for template in SHIPPED.templates.values() for row in template.sources}
    wanted = {f"S{i}" for i in (*range(1, 79), 84, *range(95, 102), 107, 113, *range(119, 130))}
    assert wanted - carried == set(BEYOND_RULES)


@pytest.mark.parametrize(
    ("rule", "of"),
    [
        ("final", known(inward={"supplies": ("a",)})),
        ("intermediate", known(outward={"supplies": ("a",)})),
        ("served_final", known(inward={"supplies": ("a",)})),
        ("brought_by_others", known(inward={"referrer": ("a",)})),
        ("refill_due", known(did("purchase", 25, lines=(Line("p", usage_days=30, lead_days=7),)))),
        ("unanswered", known(did("request", 2), did("touch", 1))),
        ("slow_answers", known(did("complaint", 9), did("call", 1))),
        ("unsatisfied", known(buy(9), did("survey", 2, rating=2))),
        ("invite_to_group", known(*often(30, 20))),
        ("neglected", known(buy(91))),
        ("worth_now", known(did("visit", 3, opportunity=5))),
        ("with_demands", known(did("visit", 3, topic=("demand",)))),
        ("outdoor_events", known(did("event", 3, place="outdoor"))),
        ("won_by_trying", known(did("visit", 3, methods_used=("experience",)), buy(2))),
        ("dangerous_deals", known(did("quote", 3), values={"credit_status": "dangerous"})),
        ("may_be_sent_offers", known(consents=frozenset({("marketing", "sms")}))),
        ("used_up", known(did("purchase", 31, lines=(Line("p", usage_days=30),)))),
    ],
)
def test_a_ready_rule_holds_for_whom_it_means_and_not_for_a_stranger(rule, of):
    if rule == "may_be_sent_offers":
        of = replace(of, values={"contact_by": ["sms"]})
    assert evaluate(SHIPPED.templates[rule].rule, of, CHAIN).answer is True
    assert evaluate(SHIPPED.templates[rule].rule, known(), CHAIN).answer is (rule == "final")


def test_a_tier_is_held_up_until_a_day_and_a_better_one_counts_at_once():
    gold = Assigned("gold", "import", TODAY - 3, TODAY + 30)
    fell, rose = known(buy(3, 300)), known(*often(3, 4, 5, 6, 7, amount=81))
    for of, held, after in ((fell, "gold", "ordinary"), (rose, "diamond", "diamond")):
        kept = replace(of, assigned={"tier": (gold,)})
        found = standing("tier", kept, CHAIN)
        assert found.value == [held]
        assert found.until <= of.start_of(TODAY + 30)
        assert standing("tier", replace(kept, today=TODAY + 30), CHAIN).value == [after]
    said = replace(fell, assigned={"tier": (replace(gold, check_by=None),)})
    assert standing("tier", said, CHAIN).value == ["gold"]
    pinned = replace(rose, assigned={"tier": (gold, Assigned("silver", "person", TODAY))})
    assert standing("tier", pinned, CHAIN).value == ["silver"]


def test_a_chain_grades_firms_and_persons_by_rules_of_their_own():
    rule = "(kind = organization and margin_fifth = 5) or (kind != organization and monetary_fifth = 5)"
    graded = changed(SHIPPED, {"tier": {"values": {"diamond": {"rule": rule}}}})
    assert not graded.problems
    chain = replace(CHAIN, schemes={"tier": graded.schemes["tier"].rules()})
    rich, useful = buy(3, 500, 490), buy(3, 300, 50)
    tiers = {
        (kind, of): standing("tier", known(deed, values={"kind": kind}), chain).value
        for kind in ("person", "organization")
        for of, deed in (("rich", rich), ("useful", useful))
    }
    assert tiers["person", "rich"] == tiers["organization", "useful"] == ["diamond"]
    assert tiers["organization", "rich"] == ["gold"]
    assert tiers["person", "useful"] == ["ordinary"]


def test_a_parent_holds_its_values_and_a_person_beats_the_rule():
    mature = known(*often(*range(10, 110, 10)))
    assert evaluate(parse("is(lifecycle) = old", SHIPPED.words), mature, CHAIN).answer is True
    pinned = replace(mature, assigned={"lifecycle": (Assigned("loyal", "person", TODAY),)})
    assert standing("funnel", pinned, CHAIN).value == ["loyal"]


@settings(max_examples=60, deadline=None)
@given(KNOWN)
def test_any_customer_has_one_value_of_a_single_scheme_at_most_and_no_rule_fails(of):
    for scheme in SCHEMES.values():
        found = standing(scheme.key, of, CHAIN)
        assert found.until > of.start_of(of.today)
        assert found.answer is None or scheme.multi or len(found.value) <= 1
    for template in SHIPPED.templates.values():
        assert evaluate(template.rule, of, CHAIN).until > of.start_of(of.today)
