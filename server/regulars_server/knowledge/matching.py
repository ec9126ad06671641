"""Who fits a rule, as far as SQL can say it; of the rest the oracle is asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from regulars_schema.rules.evaluate import evaluate
from regulars_schema.rules.knowing import Known, SegmentRule, World
from regulars_schema.rules.sql import FALSE, TRUE, Asking, Sql, compile_rule
from regulars_schema.rules.tree import Rule
from regulars_server.authors import UnitTree
from regulars_server.knowledge.layout import ServerLayout
from regulars_server.knowledge.loading import known
from regulars_server.storage.interface import All, Fits, Not, Order, Person, Reader, Where
from regulars_sync.known import SENSITIVE, Place

AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Matching:
    """Two conditions on persons, each by its survivor's row."""

    sure: Where
    may: Where
    exact: bool
    """Whether SQL says it of everybody who was never merged."""
    by_home: tuple[tuple[Asking, Where], ...]
    """`sure`, those of each home apart: nobody is in two of them."""

    @property
    def asked(self) -> Where:
        """Of whom the oracle is to be asked."""
        return MERGED if self.exact else All((self.may, Not(self.sure)))


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """As of when, and with whose eyes, a rule is asked."""

    tree: UnitTree
    as_of_ms: int
    sensitive: bool
    me: str | None = None
    team: frozenset[str] = frozenset()


def matching(rule: Rule, segments: Mapping[str, SegmentRule], view: Viewpoint) -> Matching:
    """What SQL can say of a rule, in the zone and currency of each customer's home."""
    sure: list[Sql] = []
    may: list[Sql] = []
    by_home: list[tuple[Asking, Where]] = []
    exact = True
    for asking, here in _homes(segments, view):
        compiled = compile_rule(rule, asking)
        exact = exact and compiled.exact
        sure.append(_both(here, compiled.sure))
        may.append(_both(here, compiled.may))
        if sure[-1] != FALSE:
            by_home.append((asking, All((Person(), _fits([sure[-1]], _UNMERGED)))))
    return Matching(
        All((Person(), _fits([s for s in sure if s != FALSE], _UNMERGED))),
        All((Person(), _fits([*(s for s in may if s != FALSE), _MERGED]))),
        exact,
        tuple(by_home),
    )


MERGED: Where = All((Person(), Fits("c.row IN (SELECT survivor FROM merged)")))
"""Persons of several rows, of whom no single row tells the home."""


def homes(view: Viewpoint) -> list[tuple[Asking, Where]]:
    """All persons but the `MERGED`, by the zone and currency of their home: nobody is in two of them."""
    return [(asking, All((Person(), _fits([here], _UNMERGED)))) for asking, here in _homes({}, view)]


def _homes(segments: Mapping[str, SegmentRule], view: Viewpoint) -> Iterator[tuple[Asking, Sql]]:
    layout = _Layout(view.sensitive)
    found: dict[tuple[int, Place], list[str]] = defaultdict(list)
    for unit in view.tree.ids:
        place = view.tree.place(unit)
        found[_today(view, place), Place(place.zone, place.currency)].append(unit)
    below = {unit: view.tree.below([unit]) for unit in view.tree.ids}
    nowhere = Place()
    everywhere = list(view.tree.ids)
    for (today, place), units in [*found.items(), ((_today(view, nowhere), nowhere), None)]:
        asking = Asking(layout, today, place.zone, place.currency, segments, below, view.me, view.team)
        yield asking, _at_home(everywhere, None) if units is None else _at_home(units, True)


async def asked(
    reader: Reader, rule: Rule, world: World, where: Where, view: Viewpoint, limit: int
) -> AsyncIterator[tuple[Known, bool | None]]:
    """What the oracle says of those who pass, `limit` of them at most, in order of id."""
    async for people in pages(reader, where, view, limit):
        for person in people:
            yield person, evaluate(rule, person, world).answer


async def pages(reader: Reader, where: Where, view: Viewpoint, limit: int) -> AsyncIterator[list[Known]]:
    """Persons who pass, `limit` of them at most, in order of id, a page at a time."""
    after = None
    while limit > 0:
        page = await reader.select("customer", where, Order(), min(limit, AT_ONCE), after)
        if not page:
            return
        ids = [row.id for row in page]
        people = await known(reader, ids, tree=view.tree, as_of_ms=view.as_of_ms, sensitive=view.sensitive)
        yield [people[id] for id in ids if id in people]
        limit -= len(page)
        after = page[-1].key


class _Layout(ServerLayout):
    def __init__(self, sensitive: bool) -> None:
        self._hidden = frozenset[str]() if sensitive else SENSITIVE

    def column(self, field: str) -> str | None:
        return None if field in self._hidden else super().column(field)

    def holding(self, field: str) -> str | None:
        return None if field in self._hidden else super().holding(field)


_MERGED = Sql("(c.row IN (SELECT survivor FROM merged))")
_UNMERGED = "c.row NOT IN (SELECT survivor FROM merged)"


def _today(view: Viewpoint, place: Place) -> int:
    return datetime.fromtimestamp(view.as_of_ms / 1000, place.zone).toordinal()


def _at_home(units: Iterable[str], inside: bool | None) -> Sql:
    """At home in one of these units; with None in none of them."""
    given = tuple(sorted(units))
    there = "c.home_unit IN (SELECT value FROM json_each(?))"
    if inside:
        return Sql(f"(c.home_unit IS NOT NULL AND {there})", (given,))
    if not given:
        return TRUE
    return Sql(f"(c.home_unit IS NULL OR NOT ({there}))", (given,))


def _both(here: Sql, condition: Sql) -> Sql:
    if FALSE in (here, condition):
        return FALSE
    if condition == TRUE:
        return here
    return Sql(f"({here.text} AND {condition.text})", (*here.parameters, *condition.parameters))


def _fits(any_of: list[Sql], also: str = "TRUE") -> Fits:
    texts = " OR ".join(one.text for one in any_of) or "FALSE"
    return Fits(f"({also} AND ({texts}))", tuple(p for one in any_of for p in one.parameters))
