"""Who fits a rule, as far as SQL can say it; of the rest the oracle is asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
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

ASKED_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Matching:
    """Two conditions on persons, each by its survivor's row."""

    sure: Where
    may: Where
    exact: bool
    """Whether SQL says it of everybody who was never merged."""

    @property
    def asked(self) -> Where:
        """Of whom the oracle is to be asked."""
        return All((self.may, Not(self.sure)))


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
    layout = _Layout(view.sensitive)
    homes: dict[tuple[int, Place], list[str]] = defaultdict(list)
    for unit in view.tree.ids:
        place = view.tree.place(unit)
        today = datetime.fromtimestamp(view.as_of_ms / 1000, place.zone).toordinal()
        homes[today, Place(place.zone, place.currency)].append(unit)
    below = {unit: view.tree.below([unit]) for unit in view.tree.ids}
    sure: list[Sql] = []
    may: list[Sql] = []
    exact = True
    nowhere = Place()
    everywhere = list(view.tree.ids)
    for (today, place), units in [*homes.items(), ((_today(view, nowhere), nowhere), None)]:
        asking = Asking(layout, today, place.zone, place.currency, segments, below, view.me, view.team)
        here = _at_home(everywhere, None) if units is None else _at_home(units, True)
        compiled = compile_rule(rule, asking)
        exact = exact and compiled.exact
        sure.append(_both(here, compiled.sure))
        may.append(_both(here, compiled.may))
    return Matching(
        All((Person(), _fits([s for s in sure if s != FALSE], "c.row NOT IN (SELECT survivor FROM merged)"))),
        All((Person(), _fits([*(s for s in may if s != FALSE), _MERGED]))),
        exact,
    )


async def asked(
    reader: Reader, rule: Rule, world: World, where: Where, view: Viewpoint, limit: int
) -> AsyncIterator[tuple[Known, bool | None]]:
    """What the oracle says of those who pass, `limit` of them at most, in order of id."""
    after = None
    left = limit
    while left > 0:
        page = await reader.select("customer", where, Order(), min(left, ASKED_AT_ONCE), after)
        if not page:
            return
        ids = [row.id for row in page]
        people = await known(reader, ids, tree=view.tree, as_of_ms=view.as_of_ms, sensitive=view.sensitive)
        for id in ids:
            if id in people:
                yield people[id], evaluate(rule, people[id], world).answer
        left -= len(page)
        after = page[-1].key


class _Layout(ServerLayout):
    def __init__(self, sensitive: bool) -> None:
        self._hidden = frozenset[str]() if sensitive else SENSITIVE

    def column(self, field: str) -> str | None:
        return None if field in self._hidden else super().column(field)

    def holding(self, field: str) -> str | None:
        return None if field in self._hidden else super().holding(field)


_MERGED = Sql("(c.row IN (SELECT survivor FROM merged))")


def _today(view: Viewpoint, place: Place) -> int:
    return datetime.fromtimestamp(view.as_of_ms / 1000, place.zone).toordinal()


def _at_home(units: Iterable[str], inside: bool | None) -> Sql:
    """At home in one of these units; with None in none of them."""
    given = tuple(sorted(units))
    marks = ", ".join("?" * len(given))
    if inside:
        return Sql(f"(c.home_unit IS NOT NULL AND c.home_unit IN ({marks}))", given)
    if not given:
        return TRUE
    return Sql(f"(c.home_unit IS NULL OR c.home_unit NOT IN ({marks}))", given)


def _both(here: Sql, condition: Sql) -> Sql:
    if FALSE in (here, condition):
        return FALSE
    if condition == TRUE:
        return here
    return Sql(f"({here.text} AND {condition.text})", (*here.parameters, *condition.parameters))


def _fits(any_of: list[Sql], also: str = "TRUE") -> Fits:
    texts = " OR ".join(one.text for one in any_of) or "FALSE"
    return Fits(f"({also} AND ({texts}))", tuple(p for one in any_of for p in one.parameters))
