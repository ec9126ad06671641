"""S98: a rule about purchases that also holds of people who never bought is told."""

from __future__ import annotations

import pytest

from regulars_schema.rules.knowing import SegmentRule
from regulars_schema.rules.prospects import mixes_prospects
from regulars_schema.rules.text import parse
from regulars_schema.rules.tree import Vocabulary
from regulars_schema.schemes import load

SHIPPED = load()
SCHEMES = {key: scheme.rules() for key, scheme in SHIPPED.schemes.items()}
BUYERS, ALL = (f"00000000-0000-7000-8000-00000000000{n}" for n in (1, 2))
WORDS = Vocabulary(SHIPPED.words.metrics, SHIPPED.words.schemes, {BUYERS: "Buyers", ALL: "All"})
SEGMENTS = {
    BUYERS: SegmentRule(parse("purchase_count >= 1", WORDS)),
    ALL: SegmentRule(parse("kind = person", WORDS)),
}


@pytest.mark.parametrize(
    "text",
    [
        "spend < 10000",
        "not days_since_purchase < 30",
        "purchase_count(last 30 days) = 0",
        "count(purchase, last 1 year) <= 2",
        "sum(amount of purchase) < 500.00 CNY and gender = female",
        "spend >= 100 or gender = female",
        "spend < 100 and is(lifecycle) in [prospect]",
        f'spend < 100 and in("{ALL}")',
        "spend < 100 and is(motive) in [cheap]",
    ],
)
def test_a_rule_that_mixes_buyers_with_others_is_told(text):
    assert mixes_prospects(parse(text, WORDS), SCHEMES, SEGMENTS)


@pytest.mark.parametrize(
    "text",
    [
        "gender = female",
        "purchase_count = 0",
        "not purchase_count >= 1 and gender = female",
        "days_since_purchase >= 90",
        "count(purchase, last 1 year) >= 2",
        "last(purchase) within last 30 days",
        "spend < 100 and purchase_count >= 1",
        "spend < 100 and is(lifecycle) in [old]",
        f'spend < 100 and in("{BUYERS}")',
    ],
)
def test_a_rule_that_says_whom_it_means_is_not(text):
    assert not mixes_prospects(parse(text, WORDS), SCHEMES, SEGMENTS)
