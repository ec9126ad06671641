"""The values of a field that stand beside each other, as a tablet knows them with no network at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from regulars.laid import Laid
from regulars.overlay import PENDING_STAMP, known
from regulars_schema.declare import JSON, Entity
from regulars_sync import merge
from regulars_sync.clock import STAMPS_PER_MS
from regulars_sync.merge import Candidate


@dataclass(frozen=True, slots=True)
class SideValue:
    """One of the values that have not seen each other."""

    cid: str
    value: JSON
    source: str | None
    verified: str | None
    at: datetime
    """When it was written, as far as its stamp tells."""
    shown: bool
    own: bool
    """Written on this tablet, and not yet returned by the server."""
    actor: str | None
    """The member of staff; known of own ones only. `Shop.history` tells it of every value."""


@dataclass(frozen=True, slots=True)
class Contested:
    path: str
    """The field; of a set `field/key`."""
    rule: str
    """How the shown value was chosen."""
    values: tuple[SideValue, ...]
    """The shown one first, then the latest."""


def contested(entity: Entity, row: Laid) -> list[Contested]:
    """Every field of a row that holds several values."""
    registers = known(entity, row.registers)
    own = {live.cid: live.change for live in row.own}

    def side(candidate: Candidate, shown: bool) -> SideValue:
        change = own.get(candidate.cid)
        ms = candidate.stamp // STAMPS_PER_MS
        if candidate.stamp == PENDING_STAMP and change is not None:
            ms = change.stated.at
        at = datetime.fromtimestamp(ms / 1_000, UTC)
        return SideValue(
            candidate.cid,
            candidate.value,
            candidate.source,
            candidate.verified,
            at,
            shown,
            change is not None,
            change.actor if change else None,
        )

    found = []
    for path in sorted(merge.contested(registers)):
        field = entity.at(path)[0]
        values = registers[path].values
        chosen = merge.choose(field, values.values())
        others = sorted((v for v in values.values() if v.cid != chosen.cid), key=_place, reverse=True)
        sides = (side(chosen, True), *(side(value, False) for value in others))
        found.append(Contested(path, str(field.rule), sides))
    return found


def _place(candidate: Candidate) -> tuple[int, str]:
    return candidate.stamp, candidate.cid
