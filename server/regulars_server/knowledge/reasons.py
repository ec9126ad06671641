"""Why somebody moved: which tests turned, and by what.

What decides the present answer is compared with two other answers: that of the day before, and that without
the facts that came since somebody looked last. Where neither differs it was the card, an assignment, a link,
or the rule itself: then all that decides is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from regulars_schema.declare import JSON, Level
from regulars_schema.rules.evaluate import Finding, evaluate
from regulars_schema.rules.knowing import Assigned, Known, World
from regulars_schema.rules.metrics import METRICS
from regulars_schema.rules.naming import tests
from regulars_schema.rules.text import show
from regulars_schema.rules.tree import (
    AllOf,
    AnyOf,
    DateTest,
    DayOf,
    FieldTest,
    InTest,
    IsTest,
    Metric,
    Not,
    NumberTest,
    Rule,
    Vocabulary,
)
from regulars_sync.known import SENSITIVE


@dataclass(frozen=True, slots=True)
class Turned:
    person: Known
    world: World
    words: Vocabulary
    guarded: frozenset[str] = frozenset()
    """Keys of sensitive schemes."""
    newer: frozenset[str] = frozenset()
    """The ids of the facts that came since somebody looked last."""

    def of_membership(self, found: Finding | None) -> JSON:
        """Of a segment, `found` for `in(segment)`; None: it is no more."""
        if found is None:
            return {"by": "rule", "tests": []}
        if not found.parts:  # put into it or taken out by hand
            return {"by": "person", "tests": []}
        return self._told(list(deciding(found.parts[0])))

    def of_standing(self, scheme: str, found: Finding | None, before: str | None, after: str | None) -> JSON:
        """Of a scheme, `found` by `standing`; None: it is no more."""
        if found is None:
            return {"by": "rule", "tests": []}
        values = [value for value, _ in self.world.schemes[scheme].rules]
        tried = [part for value, part in zip(values, found.parts, strict=False) if value in (before, after)]
        if not tried:
            return {"by": "person", "tests": []}
        if any(of.value == before and self._lapsed(of) for of in self.person.assigned.get(scheme, ())):
            return {"by": "time", "tests": []}
        return self._told([leaf for part in tried for leaf in deciding(part)])

    def _lapsed(self, said: Assigned) -> bool:
        return said.check_by == self.person.today

    def _told(self, leaves: list[Finding]) -> JSON:
        others = {"facts": self._without_newer(), "time": self._day_before()}
        for by, other in others.items():
            if other is not None and (turned := [leaf for leaf in leaves if self._differs(leaf, other)]):
                return {"by": by, "tests": [self._test(leaf) for leaf in turned]}
        return {"by": "rest", "tests": [self._test(leaf) for leaf in leaves]}

    def _differs(self, leaf: Finding, other: Known) -> bool:
        return evaluate(leaf.rule, other, self.world).answer is not leaf.answer

    def _without_newer(self) -> Known | None:
        left = tuple(deed for deed in self.person.deeds if deed.id not in self.newer)
        return replace(self.person, deeds=left) if len(left) < len(self.person.deeds) else None

    def _day_before(self) -> Known:
        return replace(self.person, today=self.person.today - 1)

    def _test(self, leaf: Finding) -> JSON:
        told: dict[str, JSON] = {"rule": show(leaf.rule, self.words), "answer": leaf.answer}
        if leaf.value is not None:
            told["value"] = leaf.value
        if any(_names(test) & SENSITIVE or self._is_guarded(test) for test in tests(leaf.rule)):
            told["sensitive"] = True
        return told

    def _is_guarded(self, test: Rule) -> bool:
        if isinstance(test, IsTest):
            return test.scheme in self.guarded
        return any(
            field.level is Level.SENSITIVE and name in _names(test)
            for name, field in self.words.custom.items()
        )


def _names(test: Rule) -> set[str]:
    """The fields of the customer that a test reads."""
    match test:
        case FieldTest(field) | DateTest(DayOf(field)):
            return {field}
        case NumberTest(Metric(name)):
            return set(METRICS[name].needs)
    return set()


def deciding(found: Finding) -> Iterator[Finding]:
    """The tests by which the answer is what it is."""
    match found.rule:
        case AllOf() | AnyOf():
            decides = isinstance(found.rule, AnyOf)
            parts = [part for part in found.parts if part.answer is decides] or found.parts
            for part in parts:
                yield from deciding(part)
        case Not():
            yield from deciding(found.parts[0])
        case InTest() if found.parts:
            yield from deciding(found.parts[0])
        case _:
            yield found
