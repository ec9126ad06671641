"""Reversals and choices by a person: ordinary changes that have seen the present values.

What a change replaced is read from the story of its row, so nothing but the log is needed for it. The
same mutation sent again looks at the row as it was before it, and so makes the same change again.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from regulars_schema.declare import Entity, Unfit
from regulars_server.mutations import Mutations
from regulars_server.storage.interface import Found, Order, Reader, Test
from regulars_sync import document
from regulars_sync.changes import Change, Value, is_cid
from regulars_sync.errors import Refused
from regulars_sync.history import AWAY, Step, Story, as_written, tell, undone
from regulars_sync.ids import restored_id
from regulars_sync.log import Entry
from regulars_sync.merge import Registers

_NOT_AGAIN = ("id", "void", "external_ids", "supersedes")


@dataclass(frozen=True, slots=True)
class Reversed:
    entity: str
    id: str
    """Of the row that was written: of a fact another one than that which is reversed."""
    cid: str
    """Of the change that was made."""
    paths: tuple[str, ...]


@dataclass(slots=True)
class _Row:
    """A row as the writer of a reversal may see it: now, or before the very same mutation was done."""

    entity: Entity
    id: str
    story: Story
    registers: Registers


class Reversing:
    """Reversals on behalf of one person or program. Everything refused is a `Refused` and stores nothing."""

    def __init__(self, mutations: Mutations) -> None:
        self._mutations = mutations

    async def reverse(
        self, key: str, cid: str, path: str | None = None, expected_seq: int | None = None
    ) -> Reversed:
        """Put back what a change replaced; of a choice between values show the other one.

        Of a create: archive it. Of a fact: void it, or put back the one that it superseded. Without a path
        all of its fields that still stand. `Refused`: not_found, reverse_nothing, version_conflict,
        idempotency_reused, and whatever refuses a change.
        """
        own = self._mutations.cid(key)
        async with self._mutations.reader() as reader:
            target = await self._accepted(reader, cid)
            row = await self._row(reader, target.entity, target.id, own)
            step = row.story.find(cid)
            if step is None or step.change is None:
                raise Refused("reverse_nothing")
            if row.entity.is_fact:
                if path is not None:
                    raise Refused("argument_invalid", reason="A fact is reversed whole, without a path.")
                made = await self._fact(reader, row, own)
            else:
                made = self._opinion(row, step, path, own)
        return await self._write(row, made, expected_seq)

    async def choose(
        self, key: str, entity: str, id: str, path: str, cid: str, expected_seq: int | None = None
    ) -> Reversed:
        """Write one of the values that stand beside each other, having seen all of them.

        `Refused`: not_found, choice_gone, version_conflict, idempotency_reused.
        """
        own = self._mutations.cid(key)
        async with self._mutations.reader() as reader:
            row = await self._row(reader, entity, id, own)
        try:
            level = row.entity.at(path)[0].level
        except Unfit as unfit:
            raise Refused(unfit.code, **unfit.detail) from None
        values = row.registers[path].values if path in row.registers else {}
        if cid not in values or len(values) < 2 or not self._mutations.may_read(level):
            raise Refused("choice_gone", field=path)
        written = {path: as_written(values[cid])}
        return await self._write(row, self._change(row, own, written), expected_seq)

    # --- reading --------------------------------------------------------------------------------------

    async def _accepted(self, reader: Reader, cid: str) -> Entry:
        if is_cid(cid):
            if (entry := (await reader.accepted([cid])).get(cid)) is not None:
                return entry
            if await reader.open_entries(1, cids=[cid]):
                raise Refused("reverse_nothing")
        raise Refused("not_found", entity="change", field="cid")

    async def _row(self, reader: Reader, name: str, id: str, own: str) -> _Row:
        entity = self._mutations.registry.get(name)
        found = (await reader.find(name, [id])).get(id)
        if found is None:
            raise Refused("not_found", entity=name, field="id")
        entries = await reader.history(name, id)
        done = next((entry.pos for entry in entries if entry.cid == own), None)
        if done is None:
            return _Row(entity, id, tell(entity, entries), self._present(found))
        story = tell(entity, [entry for entry in entries if entry.pos < done])
        return _Row(entity, id, story, story.registers)

    def _present(self, found: Found) -> Registers:
        levels = found.documents.items()
        return document.decode({level: raw for level, raw in levels if self._mutations.may_read(level)})

    # --- making the change -------------------------------------------------------------------------------

    def _opinion(self, row: _Row, step: Step, path: str | None, own: str) -> Change:
        fields: dict[str, Value] = {}
        if path is None and row.story.began_with(step):
            values = document.shown(row.entity, row.registers)
            away = next(((n, v) for n, v in AWAY if n in row.entity.by_name), None)
            if away is not None and values.get(away[0]) is not away[1]:
                fields[away[0]] = Value(away[1])
        else:
            may_read = self._mutations.may_read
            readable = [w for w in step.fields if may_read(row.entity.at(w.path)[0].level)]
            fields = undone(row.entity, row.registers, [w for w in readable if path in (None, w.path)])
        if not fields:
            raise Refused("reverse_nothing", **({} if path is None else {"field": path}))
        return self._change(row, own, fields)

    async def _fact(self, reader: Reader, row: _Row, own: str) -> Change:
        """A fact that voids one; of a correction the former fact again; of a void the voided one anew.

        A void wins over whatever supersedes it, so that one stands for itself, under an id of its own.
        """
        name, values = row.entity.name, document.shown(row.entity, row.registers)
        id = Mutations.new_id(name, own)
        newer = await reader.select(name, Test("supersedes", "eq", row.id), Order(), 2)
        if any(found.id != id for found in newer):
            raise Refused("reverse_nothing")
        more: dict[str, object] = {"supersedes": row.id}
        former = values.get("supersedes")
        if former is None:
            more["void"] = True
        else:
            found = await reader.find(name, [former])
            if former not in found:
                raise Refused("reverse_nothing")
            if values.get("void"):
                id, more = restored_id(name, row.id), {}
                if own not in await reader.accepted([own]) and await reader.find(name, [id]):
                    raise Refused("reverse_nothing")
            values = document.shown(row.entity, self._present(found[former]))
        left_out = ("lines", "note", *_NOT_AGAIN) if "void" in more else _NOT_AGAIN
        kept = {field: value for field, value in values.items() if field not in left_out}
        fields = {field: Value(value) for field, value in (kept | more).items() if value is not None}
        return msgspec.structs.replace(self._mutations.new_change("create", name, id, own), fields=fields)

    def _change(self, row: _Row, own: str, fields: dict[str, Value]) -> Change:
        seen = {path: sorted(row.registers[path].values) for path in fields if path in row.registers}
        made = self._mutations.new_change("edit", row.entity.name, row.id, own)
        return msgspec.structs.replace(
            made, fields=fields, seen={path: cids for path, cids in seen.items() if cids}
        )

    async def _write(self, row: _Row, change: Change, expected_seq: int | None) -> Reversed:
        await self._mutations.admit(change, expected_seq if change.id == row.id else None)
        return Reversed(row.entity.name, change.id, change.cid, tuple(change.fields))
