"""Scopes: who holds what. A scope is a name; a row is in every scope that its declaration gives it.

    chain           every tablet of the chain
    unit:<id>       the tablets of a unit
    device:<id>     one tablet
    .../sensitive   the same, for the documents of that level

Feed, cursor, digest, grant and revocation all speak of these names, so they serve levels too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum

from regulars_schema.declare import JSON, Entity, Level, Scope
from regulars_sync.document import elements

CHAIN = "chain"


def unit_scope(unit: str) -> str:
    return f"unit:{unit}"


def unit_of(scope: str) -> str | None:
    """The unit whose internal documents a scope holds, None for any other scope."""
    return scope[5:] if scope.startswith("unit:") and "/" not in scope else None


def units_in(places: Mapping[str, bool]) -> set[str]:
    """The units that hold a row with these places (scope -> has left)."""
    return {unit for scope, left in places.items() if not left and (unit := unit_of(scope))}


def device_scope(device: str) -> str:
    return f"device:{device}"


def at_level(scope: str, level: Level) -> str:
    """The scope that holds this level's documents."""
    return scope if level is Level.INTERNAL else f"{scope}/{level}"


def granted(units: Iterable[str], device: str | None, levels: Iterable[Level]) -> frozenset[str]:
    """Every scope of a reader with these units and levels."""
    bases = [CHAIN, *map(unit_scope, units), *([device_scope(device)] if device else [])]
    return frozenset(at_level(base, level) for base in bases for level in levels)


def scopes_of(
    entity: Entity,
    id: str,
    values: Mapping[str, JSON],
    named: Iterable[JSON],
    units: Mapping[str, AbstractSet[str]],
) -> set[str]:
    """The scopes of a row with these shown values that names these customers, before levels.

    `units` gives the units that hold each customer: the row itself, or those that it names. Empty when
    it has none: then only head office holds it.
    """
    match entity.scope:
        case Scope.CHAIN:
            return {CHAIN}
        case Scope.DEVICE:
            return {device_scope(values["device"])} if values.get("device") else set()
        case Scope.UNITS:
            return {unit_scope(unit) for unit in elements(values, "units")}
        case Scope.HOME:
            return set(map(unit_scope, units.get(id, ())))
        case Scope.SAME if values.get("decision") != "same":
            return set()
        case Scope.NAMED | Scope.SAME:
            if not named:
                return {unit_scope(values["unit"])} if values.get("unit") else set()
            return {unit_scope(unit) for customer in named for unit in units.get(customer, ())}


class Reach(Enum):
    """What a writer has of a row."""

    IN = "in"
    LEFT = "left"
    NEVER = "never"


def reach(
    places: Mapping[str, bool], scopes: frozenset[str] | None, lost: frozenset[str] = frozenset()
) -> Reach:
    """How a writer with these scopes (None: all) stands to a row with these places (scope -> has left).

    Of scopes that the writer has lost itself, every row has left it.
    """
    if scopes is None:
        return Reach.IN
    found = Reach.NEVER
    for scope, left in places.items():
        if scope in scopes:
            if not left:
                return Reach.IN
            found = Reach.LEFT
        elif scope in lost:
            found = Reach.LEFT
    return found
