"""Scopes: who holds what. A scope is a name; a row is in every scope that its declaration gives it.

    chain           every tablet of the chain
    unit:<id>       the tablets of a unit
    device:<id>     one tablet
    .../sensitive   the same, for the documents of that level

Feed, cursor, digest, grant and revocation all speak of these names, so they serve levels too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

from regulars_schema.declare import JSON, Entity, Level, Scope
from regulars_sync.document import elements

CHAIN = "chain"


def unit_scope(unit: str) -> str:
    return f"unit:{unit}"


def device_scope(device: str) -> str:
    return f"device:{device}"


def at_level(scope: str, level: Level) -> str:
    """The scope that holds this level's documents."""
    return scope if level is Level.INTERNAL else f"{scope}/{level}"


def granted(units: Iterable[str], device: str | None, levels: Iterable[Level]) -> frozenset[str]:
    """Every scope of a reader with these units and levels."""
    bases = [CHAIN, *map(unit_scope, units), *([device_scope(device)] if device else [])]
    return frozenset(at_level(base, level) for base in bases for level in levels)


def scopes_of(entity: Entity, values: Mapping[str, JSON], homes: Mapping[str, str | None]) -> set[str]:
    """The scopes of a row with these shown values, before levels.

    `homes` gives the home unit of every customer that the row may name. Empty when the row has no
    home yet: then only head office holds it.
    """
    match entity.scope:
        case Scope.CHAIN:
            return {CHAIN}
        case Scope.DEVICE:
            return {device_scope(values["device"])} if values.get("device") else set()
        case Scope.UNITS:
            return {unit_scope(unit) for unit in elements(values, "units")}
        case Scope.HOME:
            home = values.get("home_unit")
            return {unit_scope(home)} if home else set()
        case Scope.NAMED | Scope.SAME:
            if entity.scope is Scope.SAME and values.get("decision") != "same":
                return set()
            customers = list(entity.named_customers(values))
            units = {homes.get(customer) for customer in customers} if customers else {values.get("unit")}
            return {unit_scope(unit) for unit in units if unit}


class Reach(Enum):
    """What a writer has of a row."""

    IN = "in"
    LEFT = "left"
    NEVER = "never"


def reach(places: Mapping[str, bool], scopes: frozenset[str] | None) -> Reach:
    """How a writer with these scopes (None: all) stands to a row with these places (scope -> has left)."""
    if scopes is None:
        return Reach.IN
    found = Reach.NEVER
    for scope, left in places.items():
        if scope in scopes:
            if not left:
                return Reach.IN
            found = Reach.LEFT
    return found
