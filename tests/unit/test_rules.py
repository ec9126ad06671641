"""The rule language: its spellings are inverses, answers stand as long as is said, unknown is honest."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars_schema.declare import JSON
from regulars_schema.entities import CUSTOMER
from regulars_schema.messages import text as message
from regulars_schema.rules.calendars import lunar_day, next_anniversary
from regulars_schema.rules.evaluate import FOREVER, evaluate
from regulars_schema.rules.knowing import Assigned, Deed, Known, Line
from regulars_schema.rules.naming import named
from regulars_schema.rules.telling import told
from regulars_schema.rules.text import parse, show
from regulars_schema.rules.tree import Misread, read, write
from regulars_schema.rules.windows import ordinal
from tests.support.rules import CHAIN, KNOWN, RULES, SEGMENTS, STAFF, TODAY, WORDS, beyond, number_tests

# --- spelling ---------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(RULES)
def test_a_rule_is_the_same_after_its_json_and_after_its_text(rule):
    assert read(write(rule), WORDS) == rule
    assert parse(show(rule, WORDS), WORDS) == rule


@pytest.mark.parametrize(
    "text",
    [
        "gender = female",
        "is(lifecycle) in [old, mature] and count(visit | call where channel = store, last 30 days) >= 2",
        'sum(amount of purchase where category = "oak", last 1 year) >= 5000.00 CNY and not tags has "vip"',
        "sum(amount of purchase) between 5000 JPY and 9000 JPY",
        "date(birth) anniversary within next 7 days lunar or link(companion: gender = female)",
        'purchase_count(this month) between 2 and 5 or (name sounds "lin" and owner = me)',
        "last(any) within 2026-01-01..2026-02-01",
        'home_unit under "00000000-0000-7000-8000-000000000001" and not (notes missing and archived = true)',
        "link(supplies to) and link(companion from: gender = female)",
        'custom.shoe_size between 2 and 4 or custom.材质 has "true"',
        "date(custom.moved_on) within last 3 days and custom.fitted = true",
        'consent("marketing", sms) and case(complaint) in ["heard"] and task("second purchase") in [open]',
        "(gender = male and kind = person) and kind = person",
    ],
)  # fmt: skip
def test_a_text_in_its_best_spelling_is_printed_back_exactly(text):
    assert show(parse(text, WORDS), WORDS) == text


@pytest.mark.parametrize(
    ("text", "code", "column", "says"),
    [
        ("gendr = female", "rule_unknown", 1, "gender"),
        ("gender = femal", "rule_unknown", 10, "female"),
        ("custom.shoe_sise = 3", "rule_unknown", 1, "custom.shoe_size"),
        ("custom.材质 has 木", "rule_unreadable", 15, None),
        ('custom.材质 has "橡"', "rule_unknown", 15, None),
        ("custom.shoe_size = big", "value_type", 20, None),
        ("link(supplies of)", "rule_unreadable", 15, None),
        ("kind = person and count(vist) >= 2", "rule_unknown", 25, "visit"),
        ("is(lifecycle) in [od]", "rule_unknown", 19, "old"),
        ("gender = female an kind = person", "rule_unreadable", 17, "and"),
        ("purchase_count(last 3 monts) > 2", "rule_unreadable", 23, "months"),
        ('task("x") in [opn]', "rule_unknown", 15, "open"),
        ("purchase_count >= 12.00 CNY", "rule_invalid", 19, "123"),
        ("count(visit) between 5 and 2", "rule_invalid", 22, "[2, 5]"),
        ("last(visit) before 2026-02-30", "date_invalid", 20, None),
        ("gender has", "rule_unreadable", 11, None),
        ("unit under \"x\"", "rule_unknown", 1, "home_unit"),
    ],
)  # fmt: skip
def test_what_is_no_rule_is_told_where_it_stops_being_one_and_what_was_meant(text, code, column, says):
    with pytest.raises(Misread) as raised:
        parse(text, WORDS)
    assert raised.value.code == code
    assert (raised.value.detail["line"], raised.value.detail["column"]) == (1, column)
    assert says is None or says in (
        raised.value.detail.get("suggestion"),
        raised.value.detail.get("expected"),
    )


def test_what_is_no_rule_is_told_in_words_with_its_place_in_text_and_tree():
    text = "kind = person\nand (gendr = female)"
    with pytest.raises(Misread) as raised:
        parse(text, WORDS)
    found = told(raised.value, text)
    assert (found.code, found.path, found.line, found.column) == ("rule_unknown", "all[1].field", 2, 6)
    assert text[found.offset :].startswith("gendr")
    assert found.suggestion == "gender"
    for lang in ("zh", "en"):
        assert "gender" in message(found.code, found.detail, lang)
    with pytest.raises(Misread) as raised:
        read({"all": [{"field": "gender", "op": "exists"}] * 200}, WORDS)
    assert "nodes_max: 200" in message("rule_too_large", told(raised.value).detail)


@pytest.mark.parametrize("code", ["rule_invalid", "rule_unknown", "rule_unreadable", "rule_too_large"])
def test_each_reason_has_its_message_in_both_languages(code):
    detail = told(Misread(code, ("all", 0), name="x", found="x", nodes_max=3)).detail
    for lang in ("zh", "en"):
        said = message(code, detail, lang)
        assert said != code
        assert "?" not in said


def test_fields_of_the_card_are_asked_for_whatever_their_form():
    values = {
        "org_form": "有限公司", "groups": ["熟客群"], "owned_products": [STAFF[0]], "turnover": 900_000,
        "quiet_hours": {"start": 0, "end": 60}, "headcount": 12,
    }  # fmt: skip
    of = known(values=values)
    texts = [
        'org_form contains "公司"', 'groups has "熟客群"', f'owned_products has "{STAFF[0]}"',
        "turnover >= 900000", "quiet_hours exists", "headcount between 10 and 20",
        f'excluded_segments lacks "{SEGMENTS[0]}"', "birth missing",
    ]  # fmt: skip
    assert [asked(text, of)[0] for text in texts] == [True] * len(texts)
    hidden = frozenset({"turnover"})
    assert asked("turnover >= 1", known(values=values, hidden=hidden))[0] is None
    assert {field.name for field in CUSTOMER.fields} <= {field.name for field in WORDS.fields}


def counted(window):
    return {"number": {"count": {}, "window": window}, "op": ">=", "value": 1}


def linked(rule):
    return {"link": "companion", "rule": rule}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ([], ()),
        ({}, ()),
        ({"al": []}, ()),
        ({"all": []}, ("all",)),
        ({"all": [{"field": "gender", "op": "=", "value": "female"}, {"field": "x"}]}, ("all", 1, "field")),
        ({"field": "gender", "op": "<", "value": "female"}, ("op",)),
        ({"field": "gender", "op": "in", "value": ["female", 3]}, ("value", 1)),
        ({"field": "gender", "op": "exists", "value": 1}, ("value",)),
        ({"number": {"count": {}}, "op": ">=", "value": True}, ("value",)),
        (counted({"next": 3, "unit": "day"}), ("number", "window")),
        (counted({"last": 0, "unit": "day"}), ("number", "window")),
        ({"number": {"sum": "quantity", "currency": "CNY"}, "op": "=", "value": 1}, ("number", "currency")),
        ({"date": {"last": {}}, "op": "anniversary", "value": {"next": 3, "unit": "day"}}, ("value",)),
        ({"in": "x"}, ("in",)),
        (linked(linked(linked({"owner": "me"}))), ("rule", "rule")),
    ],
)  # fmt: skip
def test_what_is_no_tree_is_told_with_the_path_to_it(given, path):
    with pytest.raises(Misread) as raised:
        read(given, WORDS)
    assert raised.value.path == path


def test_a_rule_is_bounded_in_size_and_depth():
    test = {"field": "gender", "op": "exists"}
    with pytest.raises(Misread, match="rule_too_large"):
        read({"all": [test] * 200}, WORDS)
    deep: JSON = test
    for _ in range(30):
        deep = {"not": deep}
    with pytest.raises(Misread, match="rule_too_large"):
        read(deep, WORDS)
    with pytest.raises(Misread, match="rule_too_large"):
        parse("(" * 30_000, WORDS)
    with pytest.raises(Misread, match="rule_too_large"):
        parse("not " * 4000 + "gender exists", WORDS)


# --- answers ----------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(RULES, KNOWN)
def test_an_answer_stands_until_the_instant_that_is_said(rule, known):
    found = evaluate(rule, known, CHAIN)
    assert found.until > known.start_of(known.today)
    for ahead in [*range(1, 45), 60, 90, 180, 365, 366, 400, 800]:
        later = replace(known, today=TODAY + ahead)
        if later.start_of(later.today) >= found.until:
            break
        assert evaluate(rule, later, CHAIN).answer is found.answer, ahead


@settings(max_examples=200, deadline=None)
@given(RULES, KNOWN, st.integers(TODAY - 800, TODAY))
def test_a_replica_without_the_oldest_facts_says_the_same_or_that_it_can_not_know(rule, known, edge):
    whole = evaluate(rule, known, CHAIN).answer
    assert evaluate(rule, beyond(known, edge), CHAIN).answer in (whole, None)


@settings(max_examples=300, deadline=None)
@given(RULES, KNOWN)
def test_facts_count_once_in_any_order(rule, known):
    backwards = replace(known, deeds=tuple(sorted(known.deeds, key=lambda d: (d.day, d.id), reverse=True)))
    assert evaluate(rule, backwards, CHAIN).answer is evaluate(rule, known, CHAIN).answer


SHANGHAI = ZoneInfo("Asia/Shanghai")


def known(*deeds: Deed, **more: object) -> Known:
    return Known("c", TODAY, SHANGHAI, deeds=deeds, **more)  # type: ignore[arg-type]


def bought(ago: int, **more: object) -> Deed:
    return Deed(f"d{ago}", TODAY - ago, "purchase", **more)  # type: ignore[arg-type]


def asked(text: str, of: Known):
    found = evaluate(parse(text, WORDS), of, CHAIN)
    return found.answer, None if found.until == FOREVER else found.until


def midnight(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).astimezone(UTC)


@pytest.mark.parametrize(
    ("text", "answer", "until"),
    [
        ("count(purchase, last 30 days) >= 2", True, "2026-12-12"),
        ("count(purchase, last 30 days) >= 1", True, "2026-12-21"),
        ("count(purchase, last 30 days) = 3", False, None),
        ("count(purchase, last 30 days) != 2", False, "2026-12-12"),
        ("count(purchase) >= 3", True, None),
        ("purchase_count(this month) = 2", True, "2026-12-01"),
        ("count(purchase, previous month) >= 1", False, "2026-12-01"),
        ("days_since_purchase >= 90", False, "2027-02-19"),
        ("days_since_purchase between 1 and 3", True, "2026-11-25"),
        ("last(purchase) within last 7 days", True, "2026-11-28"),
        ("first(purchase) before 2026-01-01", True, None),
        ("sum(amount of purchase, last 1 year) >= 60.00 CNY", False, None),
        ("is(lifecycle) = old", True, None),
        ("is(lifecycle) = prospect", False, None),
        ("complaint_count = 0", True, None),
        ("days_since_complaint > 3", False, None),
    ],
)  # fmt: skip
def test_answers_and_the_very_day_they_turn(text, answer, until):
    of = known(
        bought(400, lines=(Line(amount=3000, currency="CNY"),)),
        bought(10, lines=(Line(amount=2000, currency="CNY"),)),
        bought(1, lines=(Line(amount=1000, currency="CNY"),)),
        currency="CNY",
    )
    assert asked(text, of) == (answer, None if until is None else midnight(until))


def test_a_pin_beats_the_rule_until_it_is_due_to_be_checked():
    pin = Assigned("new", "person", TODAY - 3, TODAY + 5)
    of = known(*[bought(i) for i in (1, 2, 3)], assigned={"lifecycle": (pin,)})
    assert asked("is(lifecycle) = new", of) == (True, midnight("2026-11-27"))
    later = replace(of, today=TODAY + 5)
    assert asked("is(lifecycle) = new", later)[0] is False
    assert asked("is(lifecycle) = old", later)[0] is True


def test_an_exclusion_is_never_undone_by_a_rule_and_a_member_needs_none():
    of = known(bought(1), excluded=frozenset({SEGMENTS[0]}))
    assert asked(f'in("{SEGMENTS[0]}")', of)[0] is False
    assert asked(f'in("{SEGMENTS[0]}")', known(segments=frozenset({SEGMENTS[0]})))[0] is True


def test_a_hidden_field_is_unknown_and_so_is_what_rests_on_it_alone():
    of = known(values={"gender": "female"}, hidden=frozenset({"notes"}))
    assert asked("notes missing", of)[0] is None
    assert asked("notes missing or gender = female", of)[0] is True
    assert asked("notes missing and gender = male", of)[0] is False


def test_a_link_is_asked_for_by_its_direction():
    of = known(outward={"supplies": ("b",)}, inward={"supplies": ("a",), "referrer": ("a",)})
    told = {
        text: asked(f"link({text})", of)[0]
        for text in ("supplies", "supplies to", "supplies from", "referrer", "referrer to", "referrer from")
    }
    assert told == {text: text != "referrer to" for text in told}
    assert [asked(f"link(supplies {way}: kind = person)", of)[0] for way in ("to", "from")] == [None, None]
    assert asked("referral_count = 0", of)[0] is True


def test_what_was_rated_last_counts_and_what_is_not_held_is_unknown():
    of = known(Deed("a", TODAY - 500, "visit", opportunity=5), Deed("b", TODAY - 3, "visit"))
    assert asked("opportunity = 5", of)[0] is True
    assert asked("opportunity >= 0", beyond(of, TODAY - 50))[0] is None
    assert asked("opportunity = 1", replace(of, deeds=(*of.deeds, Deed("c", TODAY, "call", opportunity=1))))[
        0
    ]


def test_product_and_category_are_those_of_one_line():
    both = 'count(any where product = "00000000-0000-7000-8000-000000000005" and category = "oak") = 1'
    chair, oak = Line(product="00000000-0000-7000-8000-000000000005"), Line(category="oak")
    assert asked(both, known(bought(9, lines=(chair, oak))))[0] is False
    assert asked(both, known(bought(9, lines=(replace(chair, category="oak"),))))[0] is True


def test_a_request_waits_until_somebody_answers():
    of = known(
        Deed("a", TODAY - 20, "request"), Deed("b", TODAY - 16, "call"), Deed("c", TODAY - 9, "complaint"),
        Deed("d", TODAY - 7, "touch"),
    )  # fmt: skip
    assert asked("response_days = 4 and waiting_days = 9", of)[0] is True
    assert asked("waiting_days > 9", of) == (False, midnight("2026-11-23"))
    answered = replace(of, deeds=(*of.deeds, Deed("e", TODAY, "message")))
    assert asked("response_days = 6 and not waiting_days >= 0", answered)[0] is True
    assert asked("waiting_days >= 0", beyond(of, TODAY - 8))[0] is None


def test_what_those_whom_it_brought_spent_is_known_where_they_are():
    line = Line(amount=500, currency="CNY")
    wang = known(bought(5, lines=(line,)), currency="CNY")
    of = known(outward={"referrer": ("w",)}, currency="CNY")
    rule = parse("referral_value(last 30 days) >= 500", WORDS)
    found = evaluate(rule, of, replace(CHAIN, find={"w": wang}.get))
    assert (found.answer, found.until) == (True, midnight("2026-12-17"))
    assert evaluate(rule, replace(of), CHAIN).answer is None
    abroad = replace(wang, currency="JPY")
    assert evaluate(rule, replace(of), replace(CHAIN, find={"w": abroad}.get)).answer is None
    assert named(rule).links


def test_facts_are_told_apart_by_what_was_learned_and_where():
    of = known(
        Deed("a", TODAY - 2, "event", place="outdoor", topic=("family", "demand")),
        Deed("b", TODAY - 1, "visit", attention_focus="price", methods_used=("experience",)),
    )
    for part in ("place = outdoor", "topic = demand", "methods_used = experience", "attention_focus = price"):
        assert asked(f"count(any where {part}) = 1", of)[0] is True, part


def test_somebody_is_known_since_the_day_it_was_in_the_zone_of_its_unit():
    of = known(values={"first_seen": "2026-11-20T16:00:00.000Z"})
    assert asked("known_days = 1 and date(first_seen) on 2026-11-21", of)[0] is True


def test_a_refill_is_due_some_days_before_the_product_is_used_up():
    line = Line(product="p", usage_days=30, quantity=2, lead_days=7)
    of = known(bought(50, lines=(line,)))
    assert asked("next_runout_days = 10", of)[0] is True
    assert asked("refill_days = 3", of)[0] is True


def test_a_sensitive_field_of_the_chains_own_is_unknown_to_who_may_not_see_it():
    of = known(values={"custom.shoe_size": 3}, hidden=frozenset({"custom.nickname"}))
    assert asked("custom.shoe_size >= 3", of)[0] is True
    assert asked("custom.nickname missing", of)[0] is None


def test_a_lunar_birthday_comes_round_on_its_lunar_day():
    born = {"year": 1985, "month": 8, "day": 15, "calendar": "lunar"}
    assert next_anniversary(born, ordinal("2026-09-01"), False) == ordinal("2026-09-25")  # mid-autumn
    assert lunar_day(2025, 6, 1, True) == ordinal("2025-07-25")  # the leap sixth month
    assert lunar_day(2026, 6, 1, True) == lunar_day(2026, 6, 1, False)
    of = known(values={"birth": born})
    assert asked("date(birth) anniversary within next 7 days", of)[0] is False
    solar = {"year": 2000, "month": 2, "day": 29}
    assert next_anniversary(solar, ordinal("2027-01-01"), False) == ordinal("2027-02-28")


@pytest.mark.parametrize(
    ("text", "answer", "until"),
    [
        ("age >= 26", False, "2026-12-10"),
        ("age between 25 and 39", True, "2040-12-10"),
        ("age < 18", False, None),
        ("date(birth) anniversary within next 7 days", False, "2026-12-04"),
        ("silence_percent > 200", False, "2026-12-19"),
        ("silence_percent <= 130", True, "2026-12-05"),
        ("purchase_count >= 1 and days_since_purchase > 365", False, "2027-11-11"),
        ("next_runout_days <= 0", False, "2027-01-11"),
        ("refill_days <= 0", False, "2027-01-04"),
        ("next_runout_days between 10 and 20", False, "2026-12-22"),
        ("recency_fifth = 5", False, None),
        ("recency_fifth >= 4", True, "2026-12-11"),
        ("monetary_fifth >= 2", True, "2027-11-10"),
        ("frequency_fifth = 3", False, None),
        ("margin_pareto = 1", True, "2027-11-10"),
        ("tenure_days >= 100", False, "2027-01-30"),
        ("loyalty >= 10", False, "2027-07-12"),
        ("open_quotes = 0", True, None),
    ],
)  # fmt: skip
def test_a_number_that_moves_by_itself_says_the_very_day(text, answer, until):
    """Born on 10 December 2000; bought 31 and 12 days ago, the latter to last for 60 days."""
    sofa = Line("p", None, 2, 20, 0, "CNY", 31, 7)
    deeds = bought(31, lines=()), bought(12, lines=(sofa,)), Deed("v", TODAY - 31, "visit")
    of = known(*deeds, values={"birth": {"year": 2000, "month": 12, "day": 10}}, currency="CNY")
    assert asked(text, of) == (answer, None if until is None else midnight(until))


@settings(max_examples=300, deadline=None)
@given(number_tests(), KNOWN)
def test_a_number_turns_on_the_day_that_is_said(given_, known):
    found = evaluate(read(given_, WORDS), known, CHAIN)
    if found.until != FOREVER and given_["number"].get("metric") != "loyalty":
        day = found.until.astimezone(known.zone).date().toordinal()
        assert evaluate(found.rule, replace(known, today=day), CHAIN).answer is not found.answer


@pytest.mark.parametrize("text", ["satisfaction >= 3", "next_runout_days <= 3", "open_quotes >= 1"])
def test_a_number_of_facts_that_are_not_held_is_unknown_and_not_nothing(text):
    line = Line(product="p", usage_days=30)
    of = known(
        bought(510, lines=(line,)),
        Deed("r", TODAY - 500, "visit", rating=5),
        Deed("q", TODAY - 490, "quote"),
        Deed("v", TODAY - 5, "visit"),
    )
    assert asked(text, of)[0] is True
    assert asked(text, beyond(of, TODAY - 50))[0] is None


def test_a_quote_is_open_until_something_is_bought_or_somebody_decides():
    quote = Deed("q", TODAY - 5, "quote", outcome="open")
    assert asked("open_quotes = 1", known(bought(9), quote))[0] is True
    assert asked("open_quotes = 0", known(quote, bought(1)))[0] is True
    assert asked("open_quotes = 0", known(replace(quote, outcome="lost")))[0] is True


def test_what_an_hour_of_effort_brings_is_measured_where_both_are_known():
    line = Line(amount=9000, cost=3000, currency="CNY")
    of = known(bought(9, lines=(line,), effort_min=90), currency="CNY")
    assert asked("margin_per_hour between 3999 and 4001", of)[0] is True
    assert asked("margin_per_hour < 5000", known(bought(9, lines=(line,)), currency="CNY"))[0] is False
