"""What may be told of where customers stand, to whom.

What the server keeps (memberships, standings, movements) it found with all rights. A reader who may not
see all that a rule looks at must not learn it from the rule's answer: of such a rule nothing that is kept is
told, and asked anew, with the reader's own eyes, it says unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from regulars_schema.declare import Level
from regulars_schema.rules.knowing import Chain
from regulars_schema.rules.metrics import METRICS
from regulars_schema.rules.naming import link_kinds, looks_through, tests
from regulars_schema.rules.tree import (
    DateTest,
    DayOf,
    FieldTest,
    InTest,
    IsTest,
    Metric,
    NumberTest,
    OwnerTest,
    Rule,
)
from regulars_schema.schemes.changing import rules_of
from regulars_schema.schemes.world import Knowledge


@dataclass(frozen=True, slots=True)
class Eyes:
    """Whose: what a reader sees of customers."""

    sensitive: bool
    whole_chain: bool
    """Whether no customer is out of reach."""
    me: str | None = None
    team: frozenset[str] = frozenset()


class Telling:
    """What one reader may be told of a chain's knowledge."""

    def __init__(self, knowledge: Knowledge, eyes: Eyes) -> None:
        self.knowledge = knowledge
        self.eyes = eyes

    def scheme(self, key: str) -> bool:
        """Whether what is kept of a scheme may be told."""
        return all(self._sees(test) for test in self._of_scheme(key, set()))

    def segment(self, id: str) -> bool:
        """Whether what is kept of a segment may be told."""
        return all(self._sees(test) for test in self._of_segment(id, set()))

    def shown(self, key: str) -> bool:
        """Whether a scheme is one that the reader may know customers' values of at all."""
        scheme = self.knowledge.schemes.schemes.get(key)
        return scheme is not None and (self.eyes.sensitive or scheme.level is not Level.SENSITIVE)

    def world(self) -> Chain:
        """As the evaluator asks it for this reader; a scheme that is hidden is unknown."""
        chain = self.knowledge.chain
        schemes = {key: rules for key, rules in chain.schemes.items() if self.shown(key)}
        return Chain(schemes, chain.segments, chain.cuts, self.eyes.me, self.eyes.team)

    def looks_at_others(self, rule: Rule) -> frozenset[str]:
        """The kinds of links through which a rule looks at customers, also by schemes and segments."""
        return link_kinds(self._of(rule, set()))

    def of_scheme(self, key: str) -> frozenset[str]:
        """The same of a scheme."""
        return link_kinds(self._of_scheme(key, set()))

    def _sees(self, test: Rule) -> bool:
        if isinstance(test, IsTest):
            return self.shown(test.scheme)
        if isinstance(test, OwnerTest):
            return False  # it was found with nobody's eyes
        if looks_through(test) is not None and not self.eyes.whole_chain:
            return False
        return self.eyes.sensitive or not any(self._is_sensitive(name) for name in _fields(test))

    def _is_sensitive(self, name: str) -> bool:
        field = self.knowledge.words.field(name)
        return field is None or field.level is Level.SENSITIVE

    def _of(self, rule: Rule, seen: set[str]) -> Iterator[Rule]:
        """Its tests, and those of the schemes and segments that it names."""
        for test in tests(rule):
            yield test
            if isinstance(test, IsTest):
                yield from self._of_scheme(test.scheme, seen)
            elif isinstance(test, InTest):
                yield from self._of_segment(test.segment, seen)

    def _of_scheme(self, key: str, seen: set[str]) -> Iterator[Rule]:
        scheme = self.knowledge.schemes.schemes.get(key)
        if scheme is None or key in seen:
            return
        seen.add(key)
        yield IsTest(key, ())
        for rule in rules_of(scheme):
            yield from self._of(rule, seen)

    def _of_segment(self, id: str, seen: set[str]) -> Iterator[Rule]:
        segment = self.knowledge.segments.get(id)
        if segment is None or segment.rule is None or id in seen:
            return
        seen.add(id)
        yield from self._of(segment.rule, seen)


def _fields(test: Rule) -> tuple[str, ...]:
    match test:
        case FieldTest(name) | DateTest(DayOf(name)):
            return (name,)
        case NumberTest(Metric(name)):
            return METRICS[name].needs
    return ()
