"""What a settled world means for storage: documents to write and feed entries to number.

A row is in the scopes that its declaration gives it. Entering and leaving are feed entries like
any other, so they are sequenced, and a customer who moves takes along every row that names it.

A customer is in its home unit and in the units that saw it, with all the customers who are the same person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from regulars_schema.declare import Entity, Level, Scope
from regulars_schema.rules.facts import Fact, counting
from regulars_sync import document
from regulars_sync.clock import STAMPS_PER_MS, ms_of
from regulars_sync.identity import Edge, clusters, survivor
from regulars_sync.ids import WINDOW
from regulars_sync.merge import choose
from regulars_sync.reconcile import Key, Row, World, waits_for_row
from regulars_sync.scope import at_level, scopes_of, units_in


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
    sightings: list[tuple[str, str, int | None]] = field(default_factory=list)
    """(customer, unit, when it saw them last, in ms; None: that ended)."""
    merged: dict[str, str | None] = field(default_factory=dict)
    """Customer -> the survivor of its cluster, where that is another; None: it is none other."""
    torn: dict[str, bool] = field(default_factory=dict)
    """Decision -> whether it is one of a cluster that holds a contradiction."""
    ready: set[str] = field(default_factory=set)
    """What waiting groups may have waited for: rows that are new, placed otherwise or moved by another."""


def moved(world: World) -> set[str]:
    """The customers whose units are perhaps others than storage holds: load the kin of these.

    Their home is another, a sighting began or ended, or it was decided anew whether they are somebody.
    """
    result = set(world.loosened)
    for (entity, id), row in world.rows.items():
        if entity == "customer" and row.documents:
            if any((at is None) is (unit in row.seen) for unit, at in row.sighted.items()):
                result.add(id)
            elif row.rehomed:
                before = orjson.loads(row.documents[Level.INTERNAL]).get("home_unit")
                if row.values.get("home_unit") != before:
                    result.add(id)
        elif row.entity.scope is Scope.SAME and row.written:
            stored = row.documents.get(Level.INTERNAL)
            before = orjson.loads(stored).get("decision") if stored else None
            if not {before, row.values.get("decision")} <= {None, "proposed"}:
                result.update(row.named)
    return result


def affected(world: World) -> set[str]:
    """The customers who move and all who are, or were, in a cluster with one: load what names these."""
    return moved(world).union(*(row.named for row in world.kin))


def unloaded(world: World, dependents: Iterable[Row] = ()) -> set[Key]:
    """What decides where rows belong and is not in the world: load it, then conclude."""
    wanted = {("customer", id) for id in affected(world)}
    for row in (*(row for row in world.rows.values() if row.written), *dependents):
        if row.entity.scope in (Scope.NAMED, Scope.SAME):
            wanted.update(("customer", id) for id in row.named)
        if row.entity.ages:
            wanted.add(WINDOW)
    return wanted - world.rows.keys()


def conclude(world: World, dependents: Iterable[Row] = ()) -> Writes:
    """The documents and feed entries to write; `dependents` are all rows that name affected customers, and
    the families of all facts that are written or among them.

    Where a customer did not move, its places say where it is. All that is `unloaded` must stand in `world`:
    a customer that is missing would read as one without a unit, and the row would leave its scopes.
    """
    dependents = [world.rows.get((row.entity.name, row.id), row) for row in dependents]
    assert not unloaded(world, dependents)
    writes = Writes()
    placing = _Placing(world, dependents, writes)
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
        placing.place(row, changed)
        if is_new or _has_another_mover(row):
            writes.ready.add(waits_for_row((row.entity.name, row.id)))
    others = [world.rows["customer", id] for id in sorted(placing.affected)]
    for row in (*others, *dependents):
        if not row.written:
            placing.place(row, set())
    for (entity, id), row in world.rows.items():
        if entity == "customer":
            writes.sightings += [
                (id, unit, at) for unit, at in sorted(row.sighted.items()) if at != row.seen.get(unit)
            ]
    return writes


class _Placing:
    """Where the rows of a settled world belong."""

    def __init__(self, world: World, dependents: Iterable[Row], writes: Writes) -> None:
        self.affected = affected(world)
        self._edge = world.edge
        self._families = families((*world.rows.values(), *dependents))
        self._writes = writes
        self._clusters: Mapping[str, frozenset[str]] = {}
        if self.affected:
            decided = {row.id: row for row in world.kin}
            decided |= {row.id: row for row in world.rows.values() if row.entity.scope is Scope.SAME}
            edges = {id: Edge.of(row.values) for id, row in decided.items() if not row.erased}
            found = clusters(edges.values())
            self._clusters = found.of
            for id in sorted(self.affected):
                into = survivor(found.of.get(id, (id,)))
                writes.merged[id] = None if into == id else into
            for id, (one, other, said) in edges.items():
                if {one, other} <= self.affected:
                    torn = said != "proposed" and any({one, other} <= part for part in found.contradictory)
                    writes.torn[id] = torn
        customers = {id: row for (entity, id), row in world.rows.items() if entity == "customer"}
        self._units: dict[str, AbstractSet[str]] = {
            id: self._own_units(customers, id)
            if id in self.affected or not row.documents
            else units_in(row.places)
            for id, row in customers.items()
        }

    def _own_units(self, customers: Mapping[str, Row], id: str) -> AbstractSet[str]:
        """The home and the sightings of a customer and of everybody in its cluster."""
        units: set[str] = set()
        for member in self._clusters.get(id, (id,)):
            row = customers[member]
            if home := row.values.get("home_unit"):
                units.add(home)
            known = {**row.seen, **row.sighted}
            units.update(unit for unit, at in known.items() if at is not None)
        return units

    def _bases(self, row: Row) -> set[str]:
        """The scopes of a row, before levels: of a fact that does not count those that hold its family."""
        bases, family = self._own(row), self._families.get(row.id)
        if family is None or row.id in counting(map(_fact, family)):
            return bases
        return bases.intersection(*map(self._own, family))

    def _own(self, row: Row) -> set[str]:
        """The scopes of a row for its own sake, before levels."""
        bases = scopes_of(row.entity, row.id, row.values, row.named, self._units)
        if row.entity.scope is Scope.SAME and bases:
            edge = Edge.of(row.values)
            if edge.other not in self._clusters.get(edge.one, ()):
                return set()  # its cluster holds a contradiction
        return set() if row.entity.ages and is_before(row, self._edge) else bases

    def place(self, row: Row, changed: set[Level]) -> None:
        """Note where the row enters, where it is another and where it leaves."""
        bases = self._bases(row)
        levels = sorted(changed | set(row.documents))
        wanted = {at_level(base, level): level for base in sorted(bases) for level in levels}
        name, places = row.entity.name, self._writes.places
        for scope, level in sorted(wanted.items()):  # in one order, so that one history gives one feed
            if level in changed or row.places.get(scope, True):
                places.append(Place(scope, name, row.id, left=False))
        for scope, left in sorted(row.places.items()):
            if not left and scope not in wanted:
                places.append(Place(scope, name, row.id, left=True))
        if any(row.places.get(scope, True) for scope in wanted):
            self._writes.ready.add(waits_for_row((name, row.id)))


def families(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Fact -> the facts that correct it or that it corrects, in however many steps, with itself.

    Which of them counts follows from all of them. None of a fact that is alone.
    """
    facts = {row.id: row for row in rows if row.entity.ages and row.exists}
    found: dict[str, list[str]] = {}
    for row in facts.values():
        former = row.values.get("supersedes")
        if former is not None and (one := found.setdefault(former, [former])) is not (
            other := found.setdefault(row.id, [row.id])
        ):
            one += other
            found.update(dict.fromkeys(other, one))
    return {id: [facts[each] for each in ids if each in facts] for id, ids in found.items()}


def is_before(row: Row, edge: str | None) -> bool:
    """Whether a fact lies before the window's edge, so that no tablet holds it.

    Of a fact that was not imported the moment counts at which it was written too: what a tablet whose
    clock is years behind records today stays on it.
    """
    if edge is None or row.values["at"] >= edge:
        return False
    _, stamp, *source = _written(row)
    return source[:1] == ["import"] or bool(stamp < ms_of(edge) * STAMPS_PER_MS)


def _fact(row: Row) -> Fact:
    return Fact(row.id, _written(row)[1], row.values.get("supersedes"), bool(row.values.get("void")))


def _written(row: Row) -> Sequence[Any]:
    """Of a fact: cid, stamp and, perhaps, source."""
    return orjson.loads(row.documents[Level.INTERNAL])["v"][0]  # type: ignore[no-any-return]


def _has_another_mover(row: Row) -> bool:
    """Whether the shown home is by another change than in storage: its author may go on writing there."""
    if not row.rehomed:
        return False
    raw = row.documents.get(Level.INTERNAL)
    register = row.registers.get("home_unit") if row.registers else None
    if raw is None or register is None or not register.values:
        return False
    before = orjson.loads(raw)
    at = before.get("x", {}).get("home_unit", [0])[0]
    was = before["v"][at][0] if "home_unit" in before else None
    return was != choose(row.entity.by_name["home_unit"], register.values.values()).cid
