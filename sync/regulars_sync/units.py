"""The tree of units: who is below whom, and what a unit has from the nearest one above that says it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from regulars_sync.known import Place


@dataclass(frozen=True, slots=True)
class Unit:
    id: str
    name: str
    parent: str | None
    country: str | None
    time_zone: str | None = None
    currency: str | None = None


class Units:
    """The units of the chain as a tree. A unit without a country has that of the nearest unit above."""

    def __init__(self, units: Iterable[Unit]) -> None:
        self._units = {unit.id: unit for unit in units}
        self._children: dict[str | None, list[str]] = {}
        for unit in self._units.values():
            self._children.setdefault(unit.parent, []).append(unit.id)

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
