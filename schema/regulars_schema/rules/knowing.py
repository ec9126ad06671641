"""What a rule is answered from: one customer as this replica knows it on a day, and the chain around it.

A replica holds the facts from an edge on; of older ones it has sums (`Before`). What neither says is unknown,
and so is a field that the reader may not see. A customer of several members (one person, merged) is known as
one: the golden values, and the facts of all members.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from functools import cached_property
from typing import Any, Protocol

from regulars_schema.declare import JSON
from regulars_schema.rules.tree import Filter, Rule


@dataclass(frozen=True, slots=True)
class Line:
    product: str | None = None
    category: str | None = None
    quantity: int = 1
    amount: int = 0
    """Minor units, as `cost`; of a return negative."""
    cost: int | None = None
    currency: str | None = None
    usage_days: int | None = None
    """How long one piece lasts."""
    lead_days: int = 0
    """How long before it is used up one should be reminded."""


@dataclass(frozen=True, slots=True)
class Deed:
    """One fact that counts: not superseded, not void. A purchase is its buyer's; to others it is a visit."""

    id: str
    day: int
    """In the zone of the customer's home unit."""
    kind: str
    role: str | None = None
    """The customer's in it."""
    unit: str | None = None
    staff: str | None = None
    channel: str | None = None
    stage_reached: int | None = None
    outcome: str | None = None
    effort_min: int = 0
    rating: int | None = None
    """How satisfied the customer said to be, 1 to 5."""
    opportunity: int | None = None
    """How the chance of a sale was rated: urgency, quick effect and price together, 0 to 6 (S97)."""
    attention_focus: str | None = None
    place: str | None = None
    campaign: str | None = None
    methods_used: tuple[str, ...] = ()
    topic: tuple[str, ...] = ()
    """What was learned about."""
    lines: tuple[Line, ...] = ()
    at: str = ""
    """The instant, as rows spell it: what an index of facts is ordered by."""


@dataclass(frozen=True, slots=True)
class Before:
    """Sums of one kind of facts before the edge, by which numbers are known without them."""

    count: int
    first: int
    last: int
    amount: int = 0
    cost: int | None = 0
    quantity: int = 0
    effort_min: int = 0
    categories: frozenset[str] = frozenset()
    products: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Assigned:
    """What a person or an import says of a customer in one scheme."""

    value: str
    origin: str
    """`person` or `import`."""
    since: int
    check_by: int | None = None
    """A pin beats the rule until this day."""


@dataclass(frozen=True)
class Known:
    id: str
    today: int
    zone: tzinfo
    values: Mapping[str, JSON] = field(default_factory=dict)
    """Shown values, nested: sets as lists of keys."""
    hidden: frozenset[str] = frozenset()
    """Fields that the reader may not see."""
    deeds: tuple[Deed, ...] = ()
    edge: int | None = None
    """The first day whose facts are held; None: all are."""
    before: Mapping[str, Before] = field(default_factory=dict)
    """By kind, of the facts before the edge; a kind that is not named had none."""
    assigned: Mapping[str, tuple[Assigned, ...]] = field(default_factory=dict)
    outward: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By kind, the ids of those to whom a link leads from it: whom it supplies, whom it brought."""
    inward: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By kind, the ids of those from whom a link leads to it."""
    segments: frozenset[str] = frozenset()
    """Those that it was put into."""
    excluded: frozenset[str] = frozenset()
    """Those that it was taken out of; no rule undoes it."""
    tasks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    consents: frozenset[tuple[str, str]] = frozenset()
    """Granted, as (purpose, channel)."""
    units: frozenset[str] = frozenset()
    """The home unit and those above it."""
    currency: str | None = None
    """Of the home unit."""

    def start_of(self, day: int) -> datetime:
        """The instant at which that day begins at the customer's home unit."""
        at = date.fromordinal(day)
        return datetime(at.year, at.month, at.day, tzinfo=self.zone).astimezone(UTC)

    def linked(self, kind: str, direction: str | None = None) -> tuple[str, ...]:
        """The ids at the other end: of links `to` them, `from` them, or either."""
        ahead, back = self.outward.get(kind, ()), self.inward.get(kind, ())
        if direction is None:
            return tuple(dict.fromkeys((*ahead, *back)))
        return ahead if direction == "to" else back

    @cached_property
    def memo(self) -> dict[Any, Any]:
        """What was computed from it, so that it is once."""
        return {}

    @cached_property
    def ordered(self) -> list[Deed]:
        """The facts by time, those of one instant by id."""
        return sorted(self.deeds, key=lambda deed: (deed.day, deed.at, deed.id))

    @cached_property
    def days(self) -> list[int]:
        return [deed.day for deed in self.ordered]

    @cached_property
    def by_kind(self) -> dict[str, list[Deed]]:
        found: dict[str, list[Deed]] = {}
        for deed in self.ordered:
            found.setdefault(deed.kind, []).append(deed)
        return found


@dataclass(frozen=True, slots=True)
class SchemeRules:
    """How a scheme's value is found: by the first rule that holds, or (`mode`) by people."""

    mode: str
    rules: tuple[tuple[str, Rule], ...] = ()
    parents: Mapping[str, str] = field(default_factory=dict)
    multi: bool = False
    ordered: bool = False
    """Whether an earlier value is the higher one."""
    guarded: bool = False
    """What is said in it is hidden from whoever may not see what is sensitive."""

    def rank(self, value: str) -> int | None:
        """Of a value that a rule gives, where they are ordered; 0 is the highest."""
        keys = [key for key, _ in self.rules] if self.ordered and not self.multi else []
        return keys.index(value) if value in keys else None


@dataclass(frozen=True, slots=True)
class SegmentRule:
    rule: Rule | None
    """None: only those that it was given by hand."""


class World(Protocol):
    """The chain as the replica knows it."""

    schemes: Mapping[str, SchemeRules]
    segments: Mapping[str, SegmentRule]
    cuts: Mapping[str, tuple[int, ...]]
    """Published cut points by metric: the highest value of each fifth but the last."""
    me: str | None
    team: frozenset[str]

    def customer(self, id: str) -> Known | None:
        """None: out of this replica's reach."""
        ...


@dataclass
class Chain:
    """A `World` of plain values."""

    schemes: Mapping[str, SchemeRules] = field(default_factory=dict)
    segments: Mapping[str, SegmentRule] = field(default_factory=dict)
    cuts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    me: str | None = None
    team: frozenset[str] = frozenset()
    find: Callable[[str], Known | None] = lambda _: None

    def customer(self, id: str) -> Known | None:
        return self.find(id)


def fits(of: Filter, deed: Deed) -> bool:
    """Whether the fact is one of those that a filter names, its parts of lines in one line of the fact."""
    for name, values in of.parts:
        match name:
            case "product" | "category":
                continue
            case "methods_used" | "topic":
                if not any(one in values for one in getattr(deed, name)):
                    return False
            case _:
                if getattr(deed, name) not in values:
                    return False
    return not of.of_lines or bool(lines_of(of, deed))


def lines_of(of: Filter, deed: Deed) -> Sequence[Line]:
    """The lines that a filter names."""
    if len(of.parts) <= bool(of.kinds):
        return deed.lines
    wanted = of.of_lines.items()
    return [line for line in deed.lines if all(getattr(line, name) in values for name, values in wanted)]
