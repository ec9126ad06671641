"""Whether a rule about purchases also holds of people who never bought (S98)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from regulars_schema.rules.evaluate import Answer, compare
from regulars_schema.rules.knowing import SchemeRules, SegmentRule
from regulars_schema.rules.naming import tests
from regulars_schema.rules.tree import (
    AllOf,
    AnyOf,
    Count,
    DateTest,
    DayOf,
    DayOfFact,
    Filter,
    InTest,
    IsTest,
    Metric,
    Not,
    NumberTest,
    Rule,
)

BOUGHT = frozenset({"purchase", "return"})
ZERO = frozenset({
    "purchase_count", "distinct_categories", "distinct_products", "spend", "margin", "loyalty",
})  # fmt: skip
"""Metrics of purchases that are nought without any; of the others there is nothing to measure then."""
MEASURED = ZERO | {
    "days_since_purchase", "tenure_days", "next_runout_days", "refill_days", "interval_days",
    "interval_spread_days", "silence_percent", "average_order", "margin_per_hour", "recency_fifth",
    "frequency_fifth", "monetary_fifth", "margin_fifth", "margin_pareto",
}  # fmt: skip


def mixes_prospects(
    rule: Rule, schemes: Mapping[str, SchemeRules], segments: Mapping[str, SegmentRule]
) -> bool:
    """Whether it asks for numbers of purchases and may hold of somebody without any, all the same.

    A test that only tells buyers from others (`purchase_count = 0`) means whom it says.
    """
    if not any(_asks(test) for test in tests(rule)):
        return False
    return _Prospect(schemes, segments).answer(rule) is not False


class _Prospect:
    """Somebody of whom nothing is known but that no purchase was made."""

    def __init__(self, schemes: Mapping[str, SchemeRules], segments: Mapping[str, SegmentRule]) -> None:
        self.schemes = schemes
        self.segments = segments
        self.inside: list[str] = []

    def answer(self, rule: Rule) -> Answer:
        match rule:
            case AllOf(rules):
                return _least(self.answer(inner) for inner in rules)
            case AnyOf(rules):
                return _negated(_least(_negated(self.answer(inner)) for inner in rules))
            case Not(inner):
                return _negated(self.answer(inner))
            case NumberTest(Metric(name)) if name in MEASURED:
                return compare(rule.op, (0, 0), rule.value) if name in ZERO else False
            case NumberTest(number) if not isinstance(number, Metric) and _of_purchases(number.of):
                return compare(rule.op, (0, 0), rule.value)
            case DateTest(DayOfFact(_, of)) if _of_purchases(of):
                return False
            case IsTest(scheme, values):
                return self.stands(scheme, values)
            case InTest(segment):
                defined = self.segments.get(segment)
                return (
                    None if defined is None or defined.rule is None else self.at_most(segment, defined.rule)
                )
        return None

    def stands(self, scheme: str, values: tuple[str, ...]) -> Answer:
        rules = self.schemes.get(scheme)
        if rules is None or rules.mode != "rule":
            return None
        mine = [rule for value, rule in rules.rules if _is_part(value, values, rules.parents)]
        return None if any(self.at_most(scheme, rule) is None for rule in mine) else False

    def at_most(self, name: str, rule: Rule) -> Answer:
        """No, or who knows: people, too, put somebody into a value or a segment."""
        if name in self.inside:
            return None
        self.inside.append(name)
        found = self.answer(rule)
        self.inside.pop()
        return None if found is not False else False


def _asks(test: Rule) -> bool:
    """Whether it is about how much or when somebody bought, and not only whether."""
    if isinstance(test, NumberTest):
        number = test.number
        if number in (Metric("purchase_count"), Count(Filter((("kind", ("purchase",)),)))):
            return (test.op, test.value) not in _WHETHER
        return number.name in MEASURED if isinstance(number, Metric) else _of_purchases(number.of)
    return isinstance(test, DateTest) and not isinstance(test.date, DayOf) and _of_purchases(test.date.of)


_WHETHER = (("=", 0), ("<=", 0), ("<", 1), ("!=", 0), (">", 0), (">=", 1))


def _is_part(value: str | None, of: tuple[str, ...], parents: Mapping[str, str]) -> bool:
    while value is not None and value not in of:
        value = parents.get(value)
    return value is not None


def _of_purchases(of: Filter) -> bool:
    return bool(of.kinds) and BOUGHT.issuperset(of.kinds)


def _least(answers: Iterator[Answer]) -> Answer:
    found = list(answers)
    return False if False in found else None if None in found else True


def _negated(answer: Answer) -> Answer:
    return None if answer is None else not answer
