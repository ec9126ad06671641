"""Who writes and what that writer has: units of the chain's tree turned into the scopes of sync/."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import orjson

from regulars_schema.declare import JSON, Level
from regulars_server.storage.interface import Order, Reader
from regulars_sync.document import elements
from regulars_sync.reconcile import Author
from regulars_sync.scope import granted
from regulars_sync.units import Unit, Units

UNITS_MAX = 100_000


class UnitTree(Units):
    """The units of the chain as storage has them."""

    @classmethod
    async def read(cls, reader: Reader) -> UnitTree:
        found = await reader.select("unit", None, Order(), UNITS_MAX)
        documents = [orjson.loads(row.documents[Level.INTERNAL]) for row in found]
        inherited = ("parent", "country", "time_zone", "currency")
        return cls(Unit(d["id"], d["name"], *map(d.get, inherited)) for d in documents)


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
