"""Texts of rules: whatever a rule may hold is spelled so that it is read back, and money by its currency."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from regulars_schema.declare import JSON
from regulars_schema.rules.text import TEXT_CHARS_MAX, parse, show, shown_money
from regulars_schema.rules.tree import Misread, read
from tests.support.rules import WORDS

MOST = 2**53 - 1
AWKWARD = st.text(alphabet='\\"\n\t\u2028\x85\x00 a林[]', min_size=1, max_size=6)


def amounts(low: int, high: int, currency: str) -> JSON:
    number = {"sum": "amount", "currency": currency}
    return {"number": number, "op": "between", "value": sorted((low, high))}


@given(st.integers(-MOST, MOST), st.integers(-MOST, MOST), st.sampled_from(["CNY", "JPY", "KWD", "USD"]))
def test_any_amount_is_read_back_in_its_currency(low, high, currency):
    rule = read(amounts(low, high, currency), WORDS)
    assert parse(show(rule, WORDS), WORDS) == rule


@given(AWKWARD, st.integers(0, 5))
def test_any_text_is_read_back_wherever_a_rule_may_hold_one(text, which):
    assume(text.strip())
    given_: JSON = (
        {"field": "name", "op": "contains", "value": text},
        {"field": "tags", "op": "has", "value": text},
        {"number": {"count": {"category": [text, "x"]}}, "op": ">", "value": 1},
        {"task": text, "states": ["open"]},
        {"consent": text, "channel": "sms"},
        {"case": "complaint", "states": [text]},
    )[which]
    try:
        rule = read(given_, WORDS)
    except Misread:
        assume(False)
    said = show(rule, WORDS)
    assert parse(said, WORDS) == rule
    assert "\n" not in said


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (500_000, "CNY", "5000.00 CNY"),
        (5, "CNY", "0.05 CNY"),
        (-5, "CNY", "-0.05 CNY"),
        (-123, "JPY", "-123 JPY"),
        (0, "KWD", "0.000 KWD"),
        (1_234, "KWD", "1.234 KWD"),
    ],
)
def test_money_is_spelled_with_the_digits_of_its_currency(minor, currency, text):
    assert shown_money(minor, currency) == text
    rule = parse(f"sum(amount of any) = {text}", WORDS)
    assert rule == read(amounts(minor, minor, currency) | {"op": "=", "value": minor}, WORDS)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("sum(amount of any) = 5 CNY", "sum(amount of any) = 5.00 CNY"),
        ("sum(amount of any) = 5.1 CNY", "sum(amount of any) = 5.10 CNY"),
        ("sum(amount of any) = 5CNY", "sum(amount of any) = 5.00 CNY"),
        ("count(visit, last 1 days) > 1", "count(visit, last 1 day) > 1"),
        ("count(visit, this weeks) > 1", "count(visit, this week) > 1"),
        ("gender in [female]", "gender in [female]"),
        ("is(motive) = fame", "is(motive) in [fame]"),
        ("((gender = female))", "gender = female"),
        ("not not gender = female", "not not gender = female"),
        ("count(visit where stage_reached in [1, 2] and channel = store) = 1",
         "count(visit where channel = store and stage_reached in [1, 2]) = 1"),
        ("last(purchase | return where topic in [family, demand]) on 2026-01-02",) * 2,
    ],
)  # fmt: skip
def test_one_rule_may_be_spelled_in_several_ways_and_is_printed_in_one(text, same):
    assert show(parse(text, WORDS), WORDS) == same


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("sum(amount of any) = 5.123 CNY", "rule_invalid", (1, 22)),
        ("sum(amount of any) = 5.5 JPY", "rule_invalid", (1, 22)),
        ("sum(amount of any) between 5 CNY and 6 JPY", "rule_invalid", (1, 38)),
        ("count(any) = 5 CNY", "rule_invalid", (1, 14)),
        ("sum(amount of any) = 12345678901234567 CNY", "rule_invalid", (1, 22)),
        ("count(any) = 12345678901234567890", "rule_invalid", (1, 14)),
        ('name = "\\x"', "rule_invalid", (1, 8)),
        ("count(any where channel = store and channel = phone) = 1", "rule_invalid", (1, 37)),
        ("gender = female\nand\n  kind = thing", "rule_unknown", (3, 10)),
        ("gender = female and", "rule_unreadable", (1, 20)),
        ("gender = female\nand", "rule_unreadable", (2, 4)),
        ("", "rule_unreadable", (1, 1)),
        ("gender = §", "rule_unreadable", (1, 10)),
        ("is(lifecycle) in [old, gold]", "rule_unknown", (1, 24)),
        ("count(visit | vist) = 1", "rule_unknown", (1, 15)),
        ("not not not link(companions)", "rule_unknown", (1, 18)),
    ],
)
def test_what_is_no_rule_is_told_with_its_place(text, code, place):
    with pytest.raises(Misread) as raised:
        parse(text, WORDS)
    detail = raised.value.detail
    assert (raised.value.code, (detail["line"], detail["column"])) == (code, place)


def test_a_text_of_any_length_ends():
    rule = "gender = female"
    parse(rule + " " * (TEXT_CHARS_MAX - len(rule)), WORDS)
    with pytest.raises(Misread, match="rule_too_large"):
        parse(rule + " " * (TEXT_CHARS_MAX - len(rule) + 1), WORDS)
