"""What rules name, and whether they name each other in a circle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from regulars_schema.rules.metrics import METRICS
from regulars_schema.rules.tree import AllOf, AnyOf, InTest, IsTest, LinkTest, Metric, Not, NumberTest, Rule


@dataclass(frozen=True, slots=True)
class Named:
    schemes: frozenset[str]
    segments: frozenset[str]
    links: bool
    """Whether it looks at those at the other end of a link."""


def tests(rule: Rule) -> Iterator[Rule]:
    """Its tests, also those of whom it is linked with."""
    match rule:
        case AllOf(rules) | AnyOf(rules):
            for inner in rules:
                yield from tests(inner)
        case Not(inner):
            yield from tests(inner)
        case _:
            yield rule
            if isinstance(rule, LinkTest) and rule.rule is not None:
                yield from tests(rule.rule)


def named(rule: Rule) -> Named:
    found = list(tests(rule))
    return Named(
        frozenset(test.scheme for test in found if isinstance(test, IsTest)),
        frozenset(test.segment for test in found if isinstance(test, InTest)),
        any(looks_through(test) is not None for test in found),
    )


def looks_through(test: Rule) -> str | None:
    """The kind of links at whose other end this test looks at a customer."""
    if isinstance(test, NumberTest) and isinstance(test.number, Metric):
        return METRICS[test.number.name].links
    return test.kind if isinstance(test, LinkTest) and test.rule is not None else None


def link_kinds(tests: Iterable[Rule]) -> frozenset[str]:
    """The kinds of links through which any of these tests looks at others."""
    return frozenset(kind for test in tests if (kind := looks_through(test)) is not None)


def circle(names: Mapping[str, set[str]]) -> list[str]:
    """A way on which each names the next and the last the first; empty where there is none."""
    done: set[str] = set()
    for start in names:
        way: list[str] = []
        todo: list[tuple[str, Iterator[str]]] = [(start, iter(sorted(names[start])))]
        while todo:
            name, others = todo[-1]
            if name not in done and name not in way:
                way.append(name)
            following = next((other for other in others if other in names and other not in done), None)
            if following is None:
                todo.pop()
                done.add(name)
                if way and way[-1] == name:
                    way.pop()
            elif following in way:
                return way[way.index(following) :]
            else:
                todo.append((following, iter(sorted(names[following]))))
    return []
