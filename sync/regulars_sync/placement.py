"""What a settled world means for storage: documents to write and feed entries to number.

A row is in the scopes that its declaration gives it. Entering and leaving are feed entries like
any other, so they are sequenced, and a customer who moves takes along every row that names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from regulars_schema.declare import Entity, Level, Scope
from regulars_sync import document
from regulars_sync.merge import choose
from regulars_sync.reconcile import Key, Row, World, waits_for_row
from regulars_sync.scope import at_level, scopes_of


class Place(NamedTuple):
    """A feed entry to be written: the row's latest state in a scope, or that it left it."""

    scope: str
    entity: str
    id: str
    left: bool


@dataclass(slots=True)
class Writes:
    """Everything a commit stores besides the log."""

    documents: list[tuple[Entity, str, Level, bytes]] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    ready: set[str] = field(default_factory=set)
    """What waiting groups may have waited for: rows that are new, placed otherwise or moved by another."""


def moved(world: World) -> set[str]:
    """The customers whose home is another than storage holds, so that what names them moves along."""
    result = set()
    for (entity, id), row in world.rows.items():
        if entity == "customer" and row.written and row.documents:
            before = orjson.loads(row.documents[Level.INTERNAL]).get("home_unit")
            if row.values.get("home_unit") != before:
                result.add(id)
    return result


def unloaded(world: World, dependents: Iterable[Row] = ()) -> set[Key]:
    """The customers that rows to be placed name and that are not in the world: load them, then conclude."""
    written = [row for row in world.rows.values() if row.written]
    named = {
        ("customer", id)
        for row in (*written, *dependents)
        if row.entity.scope in (Scope.NAMED, Scope.SAME)
        for id in row.entity.named_customers(row.values)
    }
    return named - world.rows.keys()


def conclude(world: World, dependents: Iterable[Row] = ()) -> Writes:
    """The documents and feed entries to write; `dependents` are all rows that name moved customers.

    Every customer that a dependent or a written row names must stand in `world` (see `unloaded`): one
    that is missing would read as one without a home, and the row would leave its scopes.
    """
    dependents = [world.rows.get((row.entity.name, row.id), row) for row in dependents]
    assert not unloaded(world, dependents)
    writes = Writes()
    homes = {
        id: row.values.get("home_unit") for (entity, id), row in world.rows.items() if entity == "customer"
    }
    for row in [row for row in world.rows.values() if row.written]:
        changed: set[Level] = set()
        is_new = row.registers is None or not row.documents
        for level in sorted(row.written):
            if row.registers is None:
                raw: bytes | None = row.documents[level]
            else:
                raw = document.encode(row.entity, row.id, row.registers, level)
                if raw == row.documents.get(level):
                    continue
            if raw is not None:
                changed.add(level)
                writes.documents.append((row.entity, row.id, level, raw))
        _place(row, homes, changed, writes)
        if is_new or _has_another_mover(row):
            writes.ready.add(waits_for_row((row.entity.name, row.id)))
    for row in dependents:
        if not row.written:
            _place(row, homes, set(), writes)
    return writes


def _has_another_mover(row: Row) -> bool:
    """Whether the shown home is by another change than in storage: its author may go on writing there."""
    raw = row.documents.get(Level.INTERNAL)
    register = row.registers.get("home_unit") if row.registers else None
    if raw is None or register is None or not register.values:
        return False
    before = orjson.loads(raw)
    at = before.get("x", {}).get("home_unit", [0])[0]
    was = before["v"][at][0] if "home_unit" in before else None
    return was != choose(row.entity.by_name["home_unit"], register.values.values()).cid


def _place(row: Row, homes: Mapping[str, str | None], changed: set[Level], writes: Writes) -> None:
    bases = scopes_of(row.entity, row.values, homes)
    levels = sorted(changed | set(row.documents))
    wanted = {at_level(base, level): level for base in sorted(bases) for level in levels}
    name = row.entity.name
    for scope, level in sorted(wanted.items()):  # in one order, so that one history gives one feed
        if level in changed or row.places.get(scope, True):
            writes.places.append(Place(scope, name, row.id, left=False))
    for scope, left in sorted(row.places.items()):
        if not left and scope not in wanted:
            writes.places.append(Place(scope, name, row.id, left=True))
    if any(row.places.get(scope, True) for scope in wanted):
        writes.ready.add(waits_for_row((name, row.id)))
