"""Interactions: what happened with a customer. Facts: recorded, corrected and voided, never edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

from regulars.customers import id_of, paths
from regulars.desk import Desk
from regulars.records import Customer, Interaction, InteractionKind
from regulars_schema.declare import JSON
from regulars_schema.entities import INTERACTION
from regulars_sync.errors import LocalError
from regulars_sync.ids import restored_id

Person = Customer | str | Mapping[str, JSON]
"""A customer, an id, or a member of the party: `{"customer": id, "role": "companion"}`, `{"name": ...}`."""


class Interactions:
    """The interactions of this tablet: the server's facts and its own not yet returned ones."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def record(
        self,
        party: Person | Sequence[Person],
        *,
        kind: InteractionKind,
        at: datetime | None = None,
        **fields: JSON,
    ) -> Interaction:
        """Record what happened, now or at an instant with a time zone.

        The first of the party is the principal, the others companions unless they say otherwise (`role`:
        decider, payer, user); one without a card has a `name`. Among the fields: `stage_reached` (1-8),
        `outcome`, `satisfaction` (1-5), `facts` learned (`[{"topic": "family", "content": ...}]`),
        `checklist` (items ticked), `methods_used`, `attention_focus`, `opportunity` (`urgency`, `effect`,
        `price`, each 0-2), `effort_min`, `place`, `benefit`, `next_on`, `report_class`, `campaign`, `lines`.
        """
        desk = self._desk
        written = {"kind": kind, "at": instant(at, desk.now_ms()), "party": _party(party), **fields}
        if desk.unit is not None:
            written.setdefault("unit", desk.unit)
        if desk.staff_id is not None:
            written.setdefault("staff", desk.staff_id)
        return await self._create(written)

    async def correct(self, interaction: Interaction, **fields: JSON) -> Interaction:
        """Record a further fact that stands for this one, with these fields put otherwise."""
        return await self._create({**_written(interaction), **fields, "supersedes": interaction.id})

    async def void(self, interaction: Interaction, note: str | None = None) -> Interaction:
        """Record that it did not happen."""
        fields: dict[str, JSON] = {**_written(interaction), "supersedes": interaction.id, "void": True}
        if note is not None:
            fields["note"] = note
        return await self._create(fields)

    async def reverse(self, interaction: Interaction) -> Interaction:
        """Void it; of a correction record the former fact again, of a void the voided one anew, once.

        `LocalError("reverse_nothing")` where another fact stands for it already, or the former one is not
        on this tablet.
        """
        if any(fact.supersedes == interaction.id for fact in await self._beside(interaction)):
            raise LocalError("reverse_nothing")
        if interaction.supersedes is None:
            return await self.void(interaction)
        former = await self._desk.get_record(Interaction, interaction.supersedes)
        if former is None:
            raise LocalError("reverse_nothing")
        if not interaction.void:
            return await self._create({**_written(former), "void": former.void, "supersedes": interaction.id})
        again = restored_id("interaction", interaction.id)
        if await self._desk.get_record(Interaction, again) is not None:
            raise LocalError("reverse_nothing")
        return await self._create(_written(former), again)

    async def _beside(self, interaction: Interaction) -> Sequence[Interaction]:
        """What happened with the first customer whom it names."""
        named = next((member.customer for member in interaction.party if member.customer), None)
        return [] if named is None else await self.of(named, corrections=True)

    async def get(self, id: str) -> Interaction:
        """`LocalError("not_found")` when this tablet does not hold it."""
        found = await self._desk.get_record(Interaction, id)
        if found is None:
            raise LocalError("not_found", entity="interaction")
        return found

    async def of(
        self, customer: Customer | str, limit: int = 1_000, corrections: bool = False
    ) -> Sequence[Interaction]:
        """What happened with a person, the latest first; with `corrections` also what no longer counts."""
        by_id: dict[str, Interaction] = {}
        for member in await self._desk.members(id_of(customer)):
            facts = await self._desk.list_records(
                Interaction, element=("party", member), limit=limit, descending=True
            )
            by_id |= {fact.id: fact for fact in facts}
        found = sorted(by_id.values(), key=lambda fact: (fact.at, fact.id), reverse=True)[:limit]
        if corrections:
            return found
        counting = await self._desk.know(lambda known: known.counting(by_id))
        return [fact for fact in found if fact.id in counting]

    async def _create(self, fields: Mapping[str, JSON], id: str | None = None) -> Interaction:
        id = id or self._desk.new_id()
        given = {name: value for name, value in fields.items() if value is not None}
        await self._desk.write("interaction", id, "create", paths(INTERACTION, given, self._desk.country))
        return await self.get(id)


def instant(at: datetime | None, now_ms: int) -> str:
    """An instant as it is stored: UTC with milliseconds."""
    if at is None:
        at = datetime.fromtimestamp(now_ms / 1000, UTC)
    if at.tzinfo is None:
        raise LocalError("instant_invalid", field="at")
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _party(party: Person | Sequence[Person]) -> list[JSON]:
    people = [party] if isinstance(party, Customer | str | Mapping) else list(party)
    members: list[JSON] = []
    for person in people:
        if isinstance(person, Mapping):
            members.append({"role": "companion" if members else "principal", **person})
        else:
            members.append({"customer": id_of(person), "role": "companion" if members else "principal"})
    return members


def _written(interaction: Interaction) -> dict[str, JSON]:
    """The fields of a fact as they were written, for a fact that stands for it."""
    fields: dict[str, JSON] = {}
    for field in INTERACTION.fields:
        value = getattr(interaction, field.name)
        if value is None or value == () or field.name in {"supersedes", "void", "external_ids"}:
            continue
        fields[field.name] = _plain(value)
    return fields


def _plain(value: object) -> JSON:
    """As a change says it."""
    if isinstance(value, datetime):
        return instant(value, 0)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    names = getattr(value, "__slots__", None)
    if names is None:
        return value
    return {name: _plain(part) for name in names if (part := getattr(value, name)) is not None}
