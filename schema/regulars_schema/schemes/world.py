"""What a chain's rules are read from: its schemes, its segments and cut points. The same everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from regulars_schema.custom import fields
from regulars_schema.declare import JSON, Field
from regulars_schema.rules.knowing import Chain, SegmentRule
from regulars_schema.rules.naming import circle, named
from regulars_schema.rules.tree import Misread, Rule, Vocabulary, read, write
from regulars_schema.schemes import BadScheme, Shipped
from regulars_schema.schemes.changing import Schemes, changed, place_of, rules_of


class SchemeRow(NamedTuple):
    key: str
    changes: JSON = None
    archived: bool = False


class SegmentRow(NamedTuple):
    id: str
    rule: JSON = None
    archived: bool = False
    name: str = ""


@dataclass(frozen=True)
class Knowledge:
    """What a chain wants to know of customers."""

    shipped: Shipped
    changes: Mapping[str, JSON]
    """Of schemes, by key."""
    schemes: Schemes
    archived: frozenset[str]
    """Keys of schemes that are no longer used; rules may still name them."""
    segments: Mapping[str, SegmentRule]
    kept: Mapping[str, str]
    """Segments that are not archived: id -> name."""
    problems: Mapping[str, BadScheme | Misread]
    """What can't be read, by the key of its scheme or the id of its segment."""
    cuts: Mapping[str, tuple[int, ...]]
    custom: Mapping[str, Field]
    """The chain's own fields, as rules name them."""

    @cached_property
    def words(self) -> Vocabulary:
        """What a new rule may name."""
        return replace(self.schemes.words, segments=self.kept)

    @cached_property
    def chain(self) -> Chain:
        """As the evaluator asks it."""
        rules = {key: of.rules() for key, of in self.schemes.schemes.items()}
        return Chain(rules, self.segments, self.cuts)

    @cached_property
    def used(self) -> list[str]:
        """The schemes that customers stand in."""
        return [key for key in self.schemes.schemes if key not in self.archived]

    @cached_property
    def dynamic(self) -> list[str]:
        """The segments that a rule fills."""
        return [id for id, segment in self.segments.items() if segment.rule is not None and id in self.kept]

    def with_segment(self, id: str, rule: JSON) -> Rule:
        """The rule that this JSON says for a segment; `Misread`, also where it comes to name itself."""
        found = read(rule, self.words)
        _require_no_circle(self.schemes, {**self.segments, id: SegmentRule(found)}, f"segment {id}")
        return found

    def with_scheme(self, key: str, changes: JSON) -> Schemes:
        """The chain's schemes under these changes of one; `BadScheme` with the place of what does not fit, in
        them or in what they would break."""
        every = {**self.changes, key: changes}
        if changes is None:
            del every[key]
        rows = dict.fromkeys((*self.segments, *self.problems), "") | dict(self.kept)
        found = changed(self.shipped, every, self.custom, key, rows)
        for name in (key, *found.problems):
            if name in found.problems and (name == key or name not in self.schemes.problems):
                raise found.problems[name]
        for id, segment in self.segments.items():
            if segment.rule is not None:
                try:
                    read(write(segment.rule), _words(found, self.shipped))
                except Misread as misread:
                    raise BadScheme.of(key, ("segment", id), misread) from None
        try:
            _require_no_circle(found, self.segments, f"scheme {key}")
        except Misread as misread:
            of, name = found.schemes[key], misread.detail["way"][1]
            raise BadScheme.of(key, place_of(of, name), misread) from None
        return found


def know(
    shipped: Shipped,
    schemes: Iterable[SchemeRow],
    segments: Iterable[SegmentRow],
    cuts: Mapping[str, JSON] | None = None,
    definitions: Iterable[Mapping[str, JSON]] = (),
) -> Knowledge:
    """What these rows say; nothing in them raises. `definitions`: shown values of custom fields."""
    told = list(schemes)
    changes = {row.key: row.changes for row in told if row.changes is not None}
    custom = fields(definitions)
    found = changed(shipped, changes, custom)
    archived = frozenset(row.key for row in told if row.archived)
    problems: dict[str, BadScheme | Misread] = dict(found.problems)
    rules: dict[str, SegmentRule] = {}
    rows = list(segments)
    words = _words(found, shipped)
    for row in rows:
        try:
            rules[row.id] = SegmentRule(None if row.rule is None else read(row.rule, words))
        except Misread as misread:
            problems[row.id] = misread
    kept = {row.id: row.name for row in rows if not row.archived}
    return Knowledge(shipped, changes, found, archived, rules, kept, problems, _cuts(cuts or {}), custom)


def _cuts(given: Mapping[str, JSON]) -> dict[str, tuple[int, ...]]:
    return {
        metric: tuple(cuts)
        for metric, cuts in given.items()
        if type(cuts) is list and cuts and all(type(cut) is int for cut in cuts)
    }


def _words(schemes: Schemes, shipped: Shipped) -> Vocabulary:
    """What a segment may go on naming: also what was taken away of a shipped scheme. It holds of nobody."""
    values = {
        key: {*of, *(value.key for value in shipped.schemes[key].values)} if key in shipped.schemes else of
        for key, of in schemes.words.schemes.items()
    }
    return replace(schemes.words, schemes=values)


def _require_no_circle(schemes: Schemes, segments: Mapping[str, SegmentRule], start: str) -> None:
    names: dict[str, set[str]] = {}
    rules = {f"scheme {key}": rules_of(of) for key, of in schemes.schemes.items()}
    rules |= {f"segment {id}": [of.rule] for id, of in segments.items() if of.rule is not None}
    for name, of in rules.items():
        found = [named(rule) for rule in of]
        names[name] = {f"scheme {key}" for one in found for key in one.schemes}
        names[name] |= {f"segment {id}" for one in found for id in one.segments}
    way = circle({start: names.pop(start), **names} if start in names else names)
    if start in way:
        raise Misread("rule_circle", (), way=[*way, way[0]])
