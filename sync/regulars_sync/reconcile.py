"""Groups of changes against rows: verdicts, and what is to be written. Decided whole, in memory.

The caller loads a `World` (the rows that the changes touch or name, and what the log knows of the
cids they mention), settles group after group in it, and writes what `placement.conclude` lists. A group
shares one fate: one member that can't apply holds all of them, and nobody else is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import orjson

from regulars_schema.declare import JSON, Entity, Level, Registry, Scope, Unfit, is_id
from regulars_sync import document, merge
from regulars_sync.changes import Change
from regulars_sync.check import admit, managed, may_manage, taken_as
from regulars_sync.clock import is_impossible, ms_of, next_stamp
from regulars_sync.ids import WINDOW
from regulars_sync.log import Entry
from regulars_sync.merge import Registers
from regulars_sync.scope import CHAIN, Reach, at_level, reach, unit_scope
from regulars_sync.upgrade import OUTGROWN

Key = tuple[str, str]
"""(entity, id)."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes, and what that writer has: a device of a unit, a token, or the server itself."""

    device: str | None = None
    scopes: frozenset[str] | None = None
    """None: the whole chain."""
    unit: str | None = None
    country: str | None = None
    head_office: bool = False
    revoked: bool = False
    lost: frozenset[str] = frozenset()
    """Scopes of the units that it was moved away from: what is there has left it."""

    def reads(self, level: Level) -> bool:
        """Whether it may know what stands at this level; a verdict says nothing of what it may not."""
        return self.scopes is None or level is Level.INTERNAL or at_level(CHAIN, level) in self.scopes


@dataclass(slots=True)
class Row:
    """A row as it is stored, its registers when an edit needs them, and the scopes it is in."""

    entity: Entity
    id: str
    documents: dict[Level, bytes] = field(default_factory=dict)
    places: dict[str, bool] = field(default_factory=dict)
    """Scope -> whether the row has left it."""
    registers: Registers | None = None
    written: frozenset[Level] = frozenset()
    """The levels whose documents are not what storage holds."""
    values_: dict[str, JSON] | None = None
    named_: list[JSON] | None = None
    erased: bool = False
    """Its id never comes back."""
    seen: dict[str, int] = field(default_factory=dict)
    """Unit -> when it saw this customer last, in ms, as storage holds it."""
    sighted: dict[str, int | None] = field(default_factory=dict)
    """What of that is to be another now; None: the sighting ended."""
    rehomed: bool = False
    """Whether an accepted change of this transaction wrote its home."""

    @property
    def exists(self) -> bool:
        return bool(self.documents) or self.registers is not None

    @property
    def values(self) -> dict[str, JSON]:
        """The shown values of the internal level."""
        if self.values_ is None:
            if self.registers is not None:
                self.values_ = document.shown(self.entity, self.registers)
            else:
                raw = self.documents.get(Level.INTERNAL)
                self.values_ = orjson.loads(raw) if raw else {}
        return self.values_

    @property
    def named(self) -> list[JSON]:
        """The customers that it names."""
        if self.named_ is None:
            self.named_ = self.entity.named_customers(self.values) if self.entity.naming else []
        return self.named_

    def copy(self) -> Row:
        if self.registers is None:
            copied = document.decode(self.documents)
        else:
            copied = {path: register.copy() for path, register in self.registers.items()}
        row = Row(self.entity, self.id, self.documents, self.places, copied, self.written)
        row.seen, row.sighted, row.rehomed = self.seen, dict(self.sighted), self.rehomed
        return row


@dataclass(slots=True)
class World:
    """All that settling may look at. Rows that do not exist stand in it as empty rows."""

    registry: Registry
    now_ms: int
    stamp_max: int
    rows: dict[Key, Row]
    entries: dict[str, Entry]
    moved_by_author: set[str] = field(default_factory=set)
    """Customers that the author's own accepted change moved out of its reach."""
    kin: list[Row] = field(default_factory=list)
    """Identity decisions about the clusters of the customers that move (see `placement.moved`)."""
    loosened: set[str] = field(default_factory=set)
    """Customers about whom a decision was erased."""

    @property
    def edge(self) -> str | None:
        """The instant from which on replicas hold facts; None: all of them, or the row is not loaded."""
        row = self.rows.get(WINDOW)
        return row.values.get("edge") if row else None

    def is_accepted_on(self, key: Key, cid: str) -> bool:
        entry = self.entries.get(cid)
        return entry is not None and entry.is_accepted and (entry.entity, entry.id) == key


class Ruling(NamedTuple):
    """What became of one change."""

    change: Change
    verdict: str
    code: str | None = None
    field: str | None = None
    detail: dict[str, Any] | None = None
    """What fills its code's message; of an accepted one what was decided by itself (`log.Entry.detail`)."""
    waits: str | None = None
    """What its group waits for: `row:<entity>:<id>`, `device:<id>`, `schema:<version>` or `person`."""
    stamp: int = 0


class _Held(Exception):
    def __init__(self, code: str, waits: str) -> None:
        self.code = code
        self.waits = waits


def waits_for_row(key: Key) -> str:
    return f"row:{key[0]}:{key[1]}"


def needs(registry: Registry, changes: Iterable[Change]) -> tuple[set[Key], set[str]]:
    """The rows and the cids that settling these changes will ask for."""
    keys: set[Key] = set()
    cids: set[str] = set()
    for change in changes:
        for seen in change.seen.values():
            cids.update(seen)
        entity = registry.by_name.get(change.entity)
        if entity is not None and is_id(change.id):
            keys.add((change.entity, change.id))
            keys.update(("customer", customer) for customer in _named(entity, change))
            if change.actor is not None and is_id(change.actor) and managed(entity, change):
                keys.add(("staff", change.actor))
            if former := _former(change):
                keys.add((change.entity, former))
    return keys, cids


def _named(entity: Entity, change: Change) -> list[str]:
    """The customers that a change names; a value of a wrong shape names none."""
    if not entity.naming:
        return []
    try:
        values = {name: change.fields[name].value for name, _ in entity.naming if name in change.fields}
        return [id for id in entity.named_customers(values) if is_id(id)]
    except (TypeError, AttributeError, KeyError):
        return []


def is_erased(world: World, change: Change) -> bool:
    """Whether a change is about a row that was erased, or names one."""
    entity = world.registry.by_name.get(change.entity)
    if entity is None:
        return False
    keys = [(change.entity, change.id), *(("customer", id) for id in _named(entity, change))]
    return any(key in world.rows and world.rows[key].erased for key in keys)


def settle(world: World, author: Author, group: Sequence[Change]) -> list[Ruling]:
    """Decide one group: all of it applies, or all of it is held with the culprit's own code.

    Rows of `world` are replaced only when the whole group is accepted. A change about somebody who was
    erased can never apply, not even mended, so it is refused for good and the others go on without it.
    """
    gone = {change.cid for change in group if is_erased(world, change)}
    if not gone:
        return _settle(world, author, group, len(group))
    rest = [change for change in group if change.cid not in gone]
    decided = iter(_settle(world, author, rest, len(group)) if rest else ())
    return [Ruling(change, "rejected", "erased") if change.cid in gone else next(decided) for change in group]


def _settle(world: World, author: Author, group: Sequence[Change], size: int) -> list[Ruling]:
    """Decide what is left of a group of this size."""
    if author.revoked:
        waits = f"device:{author.device}"
        return [Ruling(change, "held", "device_revoked", waits=waits) for change in group]
    cids = {change.cid for change in group}
    if len(cids) != len(group) or any(change.size != size for change in group):
        return [Ruling(change, "held", "group_broken", waits="person") for change in group]
    draft: dict[Key, Row] = {}
    stamp_max, moved = world.stamp_max, set(world.moved_by_author)
    rulings: list[Ruling] = []
    culprit: Ruling | None = None
    for change in group:
        if culprit is not None:
            rulings.append(Ruling(change, "held", "group_held", waits=culprit.waits))
            continue
        try:
            rulings.append(_accept(world, author, change, draft))
        except Unfit as unfit:
            if unfit.code in _UNKNOWN and change.schema > world.registry.version:
                culprit = Ruling(change, "held", "schema_newer", waits=f"schema:{change.schema}")
            else:
                verdict = "held" if unfit.code == OUTGROWN else "rejected"
                where = unfit.detail.pop("field", None)
                culprit = Ruling(change, verdict, unfit.code, where, unfit.detail, "person")
            rulings.append(culprit)
        except _Held as held:
            culprit = Ruling(change, "held", held.code, waits=held.waits)
            rulings.append(culprit)
    if culprit is None:
        world.rows.update(draft)
        return rulings
    world.stamp_max, world.moved_by_author = stamp_max, moved
    for change in group:
        world.entries.pop(change.cid, None)
    return [
        Ruling(r.change, "held", "group_held", waits=culprit.waits) if r is not culprit else culprit
        for r in rulings
    ]


_UNKNOWN = frozenset({"entity_unknown", "field_unknown", "enum_unknown", "part_unknown"})


def _accept(world: World, author: Author, change: Change, draft: dict[Key, Row]) -> Ruling:
    came = change
    entity, change = admit(world.registry, came, author.country, author.unit, author.head_office)
    said = taken_as(entity, came, change, author.country)
    key = (change.entity, change.id)
    if not change.fields:
        return Ruling(change, "applied")
    _require_manager(world, author, entity, change)
    row = draft.get(key) or world.rows.get(key) or Row(entity, change.id)
    look = partial(_customer_reach, world, author, draft)
    named = _named(entity, change)
    if entity.is_fact:
        _require(map(look, named), facts=True)
        if not named:
            unit = change.fields["unit"].value if "unit" in change.fields else None
            _require_own_unit(author, unit)
        _require_former(world, author, change, draft)
    else:
        if row.exists:
            if entity.scope is not Scope.SAME:  # whoever holds both customers may propose, decided or not
                _require([(_reach(world, author, row), key)], facts=False)
            _keep_fixed(entity, row, change)
        elif change.op == "edit":
            raise _Held("row_unknown", waits_for_row(key))
        _require(map(look, named), facts=False)
    code, stamp = None, change.stamp
    if stamp is None or is_impossible(stamp, world.now_ms, world.stamp_max):
        code = "stamp_replaced" if stamp is not None else None
        stamp = next_stamp(world.now_ms, world.stamp_max)
    world.stamp_max = max(world.stamp_max, stamp)
    world.entries[change.cid] = Entry(
        cid=change.cid, group=change.group, entity=key[0], id=key[1], verdict="applied"
    )
    if entity.is_fact:
        if not row.exists:
            _see_again(world, author, change, named, draft)
        return _record(row, change, stamp, code, draft)._replace(detail=said or None)
    home = row.values.get("home_unit")
    is_new = not row.exists
    draft[key] = row = row.copy()
    if is_new and author.unit and entity.scope is not Scope.SAME:
        row.places = {unit_scope(author.unit): False}
    assert row.registers is not None
    merge.apply(row.registers, entity, change, stamp, partial(world.is_accepted_on, key))
    row.written |= document.levels_of(entity, change.fields)
    if entity.scope is Scope.HOME and "home_unit" in change.fields:
        _rehome(world, author, row, home, change, is_new)
    for name in entity.required:
        if name in change.fields and not row.registers[name].values:
            raise Unfit("field_required", field=name)
    readable = [path for path in change.fields if author.reads(entity.at(path)[0].level)]
    if entity.scope is Scope.SAME and author.scopes is not None:
        readable = []  # what was decided before is head office's to know
    alone = merge.stands_alone(row.registers, change.cid, readable)
    if beside := merge.beside(row.registers, entity, change):
        said["beside"] = beside
    return Ruling(change, "applied" if alone else "merged", code, None, said or None, stamp=stamp)


def _rehome(world: World, author: Author, row: Row, home: str | None, change: Change, is_new: bool) -> None:
    """A customer who moves leaves the old home; one who is registered for another unit was seen here.

    But one that a tablet registered where it stood before it was moved was seen there.
    """
    row.rehomed = True
    now = row.values.get("home_unit")
    if home and now != home:
        row.sighted[home] = None
        if author.device:
            world.moved_by_author.add(row.id)
    was_there = now is not None and unit_scope(now) in author.lost
    if is_new and author.unit and now != author.unit and not was_there:
        row.sighted[author.unit] = min(change.stated.at + change.stated.offset, world.now_ms)


def _see_again(
    world: World, author: Author, change: Change, named: Iterable[str], draft: dict[Key, Row]
) -> None:
    """A new fact of a unit that saw its customers: each was seen again. It never makes a first sighting."""
    unit = change.fields["unit"].value if "unit" in change.fields else None
    if unit is None or (author.scopes is not None and unit_scope(unit) not in author.scopes):
        return
    for id in named:
        key = ("customer", id)
        row = draft.get(key) or world.rows[key]
        known = row.sighted.get(unit, row.seen.get(unit))
        if known is None:
            continue
        at = min(ms_of(change.fields["at"].value) + change.stated.offset, world.now_ms)
        if at > known:
            draft[key] = replace(row, sighted={**row.sighted, unit: at})


def _record(row: Row, change: Change, stamp: int, code: str | None, draft: dict[Key, Row]) -> Ruling:
    """A fact: it is new, or it is a replay under another cid, or it is refused."""
    if row.exists:
        same = {path: written.value for path, written in change.fields.items()}
        held = {path: value for path, value in row.values.items() if path not in document.META}
        if same != held:
            raise Unfit("fact_exists", entity=row.entity.name)
        return Ruling(change, "applied", stamp=stamp)
    values = {path: written.value for path, written in change.fields.items()}
    documents = {Level.INTERNAL: document.encode_fact(change.id, change, stamp)}
    draft[change.entity, change.id] = Row(
        row.entity, change.id, documents, row.places, None, frozenset({Level.INTERNAL}), values
    )
    return Ruling(change, "applied", code, stamp=stamp)


def _reach(world: World, author: Author, row: Row) -> Reach:
    found = reach(row.places, author.scopes, author.lost)
    return Reach.IN if found is Reach.LEFT and row.id in world.moved_by_author else found


def _customer_reach(world: World, author: Author, draft: dict[Key, Row], id: str) -> tuple[Reach, Key]:
    key = ("customer", id)
    row = draft.get(key) or world.rows.get(key)
    if row is None or not row.exists:
        return Reach.NEVER, key
    return _reach(world, author, row), key


def _require(found: Iterable[tuple[Reach, Key]], facts: bool) -> None:
    for how, key in found:
        if how is Reach.NEVER:
            raise _Held("row_unknown", waits_for_row(key))
        if how is Reach.LEFT and not facts:
            raise _Held("scope_left", waits_for_row(key))


def _require_own_unit(author: Author, unit: JSON) -> None:
    if author.scopes is not None and (
        unit is None or unit_scope(str(unit)) not in author.scopes | author.lost
    ):
        raise _Held("row_unknown", waits_for_row(("unit", str(unit))))


def _require_manager(world: World, author: Author, entity: Entity, change: Change) -> None:
    """Of what a tablet says who says it counts; whoever writes at the server was asked for the right."""
    paths = managed(entity, change) if author.device is not None and not author.head_office else ()
    if paths:
        staff = world.rows.get(("staff", change.actor or ""))
        if not may_manage(staff.values if staff is not None and staff.exists else None):
            raise Unfit("manager_needed", field=paths[0])


def _require_former(world: World, author: Author, change: Change, draft: dict[Key, Row]) -> None:
    """Who corrects a fact must have, or have had, somebody whom it names: it counts no more for them."""
    key = (change.entity, _former(change))
    row = draft.get(key) or world.rows.get(key)
    if author.scopes is None or row is None or not row.exists:
        return
    if not row.named:
        _require_own_unit(author, row.values.get("unit"))
    elif all(_customer_reach(world, author, draft, id)[0] is Reach.NEVER for id in row.named):
        raise _Held("row_unknown", waits_for_row(key))


def _former(change: Change) -> str:
    """The fact that a change corrects; "" for none, and for a value of a wrong shape."""
    written = change.fields.get("supersedes")
    return written.value if written is not None and is_id(written.value) else ""


def _keep_fixed(entity: Entity, row: Row, change: Change) -> None:
    for path, written in change.fields.items():
        found = entity.by_name.get(path)
        if found is not None and found.fixed and row.values.get(path) != written.value:
            raise Unfit("field_fixed", field=path)
