"""Who writes and what that writer has: units of the chain's tree turned into the scopes of sync/."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from regulars_schema.declare import JSON, Level
from regulars_server.storage.interface import Order, Reader
from regulars_sync.document import elements
from regulars_sync.known import Place
from regulars_sync.reconcile import Author
from regulars_sync.scope import granted

UNITS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Unit:
    id: str
    name: str
    parent: str | None
    country: str | None
    time_zone: str | None = None
    currency: str | None = None


class UnitTree:
    """The units of the chain as a tree. A unit without a country has that of the nearest unit above."""

    def __init__(self, units: Iterable[Unit]) -> None:
        self._units = {unit.id: unit for unit in units}
        self._children: dict[str | None, list[str]] = {}
        for unit in self._units.values():
            self._children.setdefault(unit.parent, []).append(unit.id)

    @classmethod
    async def read(cls, reader: Reader) -> UnitTree:
        found = await reader.select("unit", None, Order(), UNITS_MAX)
        documents = [orjson.loads(row.documents[Level.INTERNAL]) for row in found]
        inherited = ("parent", "country", "time_zone", "currency")
        return cls(Unit(d["id"], d["name"], *map(d.get, inherited)) for d in documents)

    @property
    def ids(self) -> list[str]:
        return list(self._units)

    def __contains__(self, unit: str) -> bool:
        return unit in self._units

    def below(self, units: Iterable[str]) -> set[str]:
        """These units and all below them; a grant on a region is one on its branches."""
        found: set[str] = set()
        todo = list(units)
        while todo:
            unit = todo.pop()
            if unit not in found:
                found.add(unit)
                todo += self._children.get(unit, [])
        return found

    def above(self, unit: str | None) -> list[str]:
        """The unit and those above it, from below; a circle is walked once."""
        found: list[str] = []
        while unit is not None and unit in self._units and unit not in found:
            found.append(unit)
            unit = self._units[unit].parent
        return found

    def country(self, unit: str | None) -> str | None:
        """The ISO country in whose manner phone numbers are dialled there."""
        return next((self._units[u].country for u in self.above(unit) if self._units[u].country), None)

    def place(self, unit: str | None) -> Place:
        """Of a customer at home there: zone (UTC where none is known), currency, units above."""
        above = self.above(unit)
        zones = (self._units[u].time_zone for u in above)
        currencies = (self._units[u].currency for u in above)
        zone = zone_of(next(filter(None, zones), None))
        return Place(zone, next(filter(None, currencies), None), frozenset(above))


@cache
def zone_of(name: str | None) -> tzinfo:
    """The zone of that name; UTC for none, and for one that this machine does not know."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def levels(sensitive: bool) -> tuple[Level, ...]:
    return tuple(Level) if sensitive else (Level.INTERNAL,)


class Posting(NamedTuple):
    """Where a device belongs, by its row."""

    unit: str
    left_units: frozenset[str] = frozenset()
    """Units that it was moved away from."""

    @classmethod
    def of(cls, device: Mapping[str, JSON]) -> Posting:
        return cls(device["unit"], frozenset(elements(device, "left_units")))


def device_author(
    tree: UnitTree, device: str, posting: Posting, sensitive: bool, revoked: bool = False
) -> Author:
    """A tablet of a unit: it has its unit, all below it, the chain, and a scope of its own."""
    unit, which = posting.unit, levels(sensitive)
    scopes = granted(tree.below([unit]), device, which)
    lost = granted(tree.below(posting.left_units), None, which) - scopes
    return Author(device, scopes, unit, tree.country(unit), head_office=False, revoked=revoked, lost=lost)


def person_author(
    tree: UnitTree, units: tuple[str, ...] | None, sensitive: bool, head_office: bool
) -> Author:
    """A person or program at the API; `units` None is the whole chain."""
    if units is None:
        return Author(scopes=None, country=tree.country(tree_root(tree)), head_office=head_office)
    scopes = granted(tree.below(units), None, levels(sensitive))
    first = units[0] if units else None
    return Author(scopes=scopes, unit=first, country=tree.country(first), head_office=head_office)


def tree_root(tree: UnitTree) -> str | None:
    """The unit on top, whose country is the chain's."""
    roots = tree._children.get(None, [])
    return roots[0] if roots else None


SERVER = Author(head_office=True)
"""The server itself, the command line and the import."""
