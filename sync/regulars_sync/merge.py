"""Values side by side, and the rule that chooses the one every replica shows.

A register keeps every accepted value that no later change has seen: nearly always one. An accepted
change removes from its own register exactly what it saw. Nothing is ever decided pairwise, so every
arrival order and every repetition of the same changes leaves the same values. (A lattice is the one
exception by definition: its join is associative, so it keeps the highest alone.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from regulars_schema.declare import JSON, Entity, Enum, Field, Level, Rule
from regulars_sync.changes import Change


class Candidate(NamedTuple):
    """One value that a field holds, and the change that wrote it."""

    cid: str
    stamp: int
    value: JSON
    source: str | None = None
    verified: str | None = None


@dataclass(slots=True)
class Register:
    """One field of one row, or one element of a set."""

    values: dict[str, Candidate] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    """Cids that an accepted change had seen here and that are not accepted here (yet)."""
    level: Level | None = field(default=None, compare=False)
    """That of the document it was read from: all that is known of a field which a newer version declared."""

    def copy(self) -> Register:
        return Register(dict(self.values), set(self.kept), self.level)


Registers = dict[str, Register]
"""A row as its registers, by path."""


def _order(candidate: Candidate) -> tuple[int, str]:
    return candidate.stamp, candidate.cid


def _rank(field_: Field, value: JSON) -> int:
    if value is None:
        return -1
    if isinstance(field_.type, Enum):
        return field_.type.rank.get(value, -1)
    return int(value)


def _size(value: JSON) -> tuple[str, JSON]:
    """By which values of any types have one order."""
    return ("", 0) if value is None else (type(value).__name__, value)


def choose(field_: Field, candidates: Iterable[Candidate]) -> Candidate:
    """Choose the value that every replica shows among those that have not seen each other.

    Depends on the set of candidates only, never on their order. Equal stamps are decided by cid, so
    two branches never disagree. A cleared value (null) yields to any other under min and max.
    """
    values = list(candidates)
    if len(values) == 1:
        return values[0]
    match field_.rule:
        case Rule.LAST_WRITER:
            return max(values, key=_order)
        case Rule.VERIFIED:
            return max(values, key=lambda c: (c.verified == "verified", *_order(c)))
        case Rule.SET_ADD | Rule.ANY_TRUE:
            return max(values, key=lambda c: (bool(c.value), *_order(c)))
        case Rule.SET_REMOVE:
            return max(values, key=lambda c: (not c.value, *_order(c)))
        case Rule.REVIEW:
            return min(values, key=_order)
        case Rule.LATTICE:
            return min(values, key=lambda c: (-_rank(field_, c.value), *_order(c)))
        case Rule.MIN:
            given = [c for c in values if c.value is not None] or values
            return min(given, key=lambda c: (_size(c.value), *_order(c)))
        case Rule.MAX:
            given = [c for c in values if c.value is not None] or values
            best = max(_size(c.value) for c in given)
            return min((c for c in given if _size(c.value) == best), key=_order)


def apply(
    registers: Registers,
    entity: Entity,
    change: Change,
    stamp: int,
    is_accepted: Callable[[str], bool],
) -> None:
    """Let an accepted change write its fields into a row.

    `is_accepted` says of a cid whether it was accepted on this very row. Commutes with every other
    change: what it saw is removed whether it came before or comes after. Apply each cid once.
    """
    for path, written in change.fields.items():
        register = registers.setdefault(path, Register())
        found = entity.at(path)[0]
        candidate = Candidate(change.cid, stamp, written.value, written.source, written.verified)
        if found.rule is Rule.LATTICE:
            best = choose(found, [*register.values.values(), candidate])
            register.values = {best.cid: best}
            continue
        for cid in change.seen.get(path, ()):
            if register.values.pop(cid, None) is None and not is_accepted(cid):
                register.kept.add(cid)
        if change.cid in register.kept:
            register.kept.discard(change.cid)
        else:
            register.values[change.cid] = candidate


def stands_alone(registers: Mapping[str, Register], cid: str, paths: Iterable[str]) -> bool:
    """Whether each of these fields holds only what this change wrote."""
    return all(registers[path].values.keys() == {cid} for path in paths)


def beside(registers: Registers, entity: Entity, change: Change) -> dict[str, list[str]]:
    """Of the fields that a change has just written, those that hold more or other than what it wrote: path ->
    the cids that stand there, the shown one first."""
    found: dict[str, list[str]] = {}
    for path in change.fields:
        values = registers[path].values
        if values.keys() != {change.cid}:
            shown = choose(entity.at(path)[0], values.values()).cid if values else change.cid
            found[path] = [shown, *sorted(values.keys() - {shown})]
    return found


def contested(registers: Mapping[str, Register]) -> list[str]:
    """The paths that hold several values which have not seen each other."""
    return [path for path, register in registers.items() if len(register.values) > 1]
