"""The ledger: what was decided by itself, by no person, as a query over the change log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import strawberry
from strawberry import scalars

from regulars_schema.declare import Level, Rule
from regulars_server.graph.connection import PageInfo, clamp
from regulars_server.graph.declared import resolved, valued
from regulars_server.graph.history import FieldValue, field_value, hidden_paths, position, positions, showable
from regulars_server.graph.request import Context, Info
from regulars_server.graph.scalars import UUID, DateTime, instant_of, ms_of
from regulars_server.graph.types import Device, Staff
from regulars_server.storage.interface import Choice, Chosen
from regulars_sync import document
from regulars_sync.changes import Change
from regulars_sync.check import retaken
from regulars_sync.history import change_in
from regulars_sync.log import Entry
from regulars_sync.merge import Candidate, Registers

SCANNED_MAX = 2_000
"""How many entries one page looks through where it wants only those that can be reversed."""
CHUNK = 250


@strawberry.enum(description="合并规则 · How values that have not seen each other are settled.")
class MergeRule(Enum):
    LAST_WRITER = valued(Rule.LAST_WRITER, "以最后为准 · The last writer")
    VERIFIED = valued(Rule.VERIFIED, "已核实优先 · Verified first, then the last writer")
    MIN = valued(Rule.MIN, "取最小 · The lowest")
    MAX = valued(Rule.MAX, "取最大 · The highest")
    SET_ADD = valued(Rule.SET_ADD, "添加优先 · In the set if anybody put it there")
    SET_REMOVE = valued(Rule.SET_REMOVE, "移除优先 · In the set if nobody took it out")
    ANY_TRUE = valued(Rule.ANY_TRUE, "有一为真 · True if any is")
    LATTICE = valued(Rule.LATTICE, "取最高级 · The highest in its order")
    REVIEW = valued(Rule.REVIEW, "待人工确认 · The earliest, until a person decides")


@strawberry.input(description="All that is given must hold.")
class LedgerFilter:
    unit: UUID | None = strawberry.field(default=None, description="Whose tablet wrote the change.")
    device: UUID | None = strawberry.field(default=None, description="Which tablet wrote the change.")
    field: str | None = strawberry.field(default=None, description="The name of a field, such as `phones`.")
    since: DateTime | None = strawberry.field(
        default=None, description="Decided at this instant or later, by the server's clock."
    )
    rule: MergeRule | None = strawberry.field(default=None, description="By which rule it was chosen.")
    reversible: bool | None = strawberry.field(
        default=None, description="Whether the values stand beside each other still."
    )


@strawberry.type(description="One of the values between which was chosen.")
class Contender(FieldValue):
    shown: bool = strawberry.field(description="Whether it was the one that was shown then.")
    stated: DateTime | None = strawberry.field(description="When it was made, as the device's clock said.")
    corrected: DateTime | None = strawberry.field(description="The same, put right.")
    at: DateTime | None = strawberry.field(description="When the server took it.")
    actor_id: UUID | None
    device_id: UUID | None

    @resolved("Who wrote it.")
    async def actor(self, info: Info) -> Staff | None:
        return await info.context.related(Staff, self.actor_id)

    @resolved("On which tablet; null when at the server.")
    async def device(self, info: Info) -> Device | None:
        return await info.context.related(Device, self.device_id)


@strawberry.type(description="A field of which the shown value was chosen by its rule.")
class ChosenField:
    path: str
    rule: MergeRule = strawberry.field(description="By which it was chosen.")
    winner: str = strawberry.field(description="The cid of the value shown then.")
    values: list[Contender] = strawberry.field(description="The one shown first.")
    reversible: bool = strawberry.field(
        description="The change's value stands beside another still: `changeReverse` shows the other one."
    )


@strawberry.type(description="What was stored in another form than it came in, or taken from the writer.")
class AdmittedField:
    path: str
    typed: str | None = strawberry.field(description="As it came; null when the writer left it out.")
    value: scalars.JSON | None


@strawberry.type(description="A change with which something was decided by itself.")
class LedgerEntry:
    cid: str
    entity: str
    row_id: str
    decided: DateTime = strawberry.field(description="By the server's clock.")
    at: DateTime = strawberry.field(description="When the server took the change.")
    stated: DateTime = strawberry.field(description="When it was made, as the device's clock said.")
    corrected: DateTime = strawberry.field(description="The same, put right.")
    stamp_replaced: bool = strawberry.field(description="Its stamp was impossible: the server's own counts.")
    chosen: list[ChosenField] = strawberry.field(description="Where it met values that had not seen it.")
    admitted: list[AdmittedField] = strawberry.field(description="Where it is not stored as it came.")
    reversible: bool = strawberry.field(description="Whether any of `chosen` can be reversed still.")
    actor_id: UUID | None
    device_id: UUID | None
    pos: strawberry.Private[int]

    @resolved("Who made the change.")
    async def actor(self, info: Info) -> Staff | None:
        return await info.context.related(Staff, self.actor_id)

    @resolved("On which tablet; null when it was made at the server.")
    async def device(self, info: Info) -> Device | None:
        return await info.context.related(Device, self.device_id)


@strawberry.type
class LedgerEdge:
    cursor: str
    node: LedgerEntry


@strawberry.type(description="The latest first. A page with fewer than asked for need not be the last.")
class LedgerConnection:
    edges: list[LedgerEdge]
    nodes: list[LedgerEntry]
    page_info: PageInfo


@dataclass(slots=True)
class _Known:
    """What a page of choices is told from: the changes that contended, and the rows as they are now."""

    changes: dict[str, tuple[Entry, Change]]
    rows: dict[tuple[str, str], Registers]


async def ledger(
    context: Context, where: LedgerFilter | None, first: int | None, after: str | None
) -> LedgerConnection:
    wanted = where or LedgerFilter()
    limit, before = clamp(first), position(after) or None
    chosen = _chosen(context, wanted)
    nodes: list[LedgerEntry] = []
    last, more, scanned = before, True, 0
    while more and len(nodes) < limit and scanned < SCANNED_MAX:
        size = CHUNK if wanted.reversible is not None else limit - len(nodes) + 1
        async with context.reading() as reader:
            found = await reader.choices(size, last, chosen)
        more, scanned = len(found) == size, scanned + len(found)
        known = await _known(context, found)
        for at, choice in enumerate(found):
            if len(nodes) == limit:
                more = True
                break
            last = choice.pos
            more = len(found) == size or at + 1 < len(found)
            node = _entry(context, choice, known, wanted)
            if node is not None and wanted.reversible in (None, node.reversible):
                nodes.append(node)
    info = positions([node.pos for node in nodes], more, before is not None)
    if more and last is not None:
        info.end_cursor = str(last)
    return LedgerConnection(
        edges=[LedgerEdge(cursor=str(node.pos), node=node) for node in nodes], nodes=nodes, page_info=info
    )


def _chosen(context: Context, wanted: LedgerFilter) -> Chosen:
    fields = None
    by_field = wanted.field is not None or wanted.rule is not None
    if by_field or not context.sensitive:
        fields = frozenset(
            f"{entity.name}.{field.name}"
            for entity in context.service.storage.registry.entities
            for field in entity.fields
            if (context.sensitive or field.level is Level.INTERNAL)
            and wanted.field in (None, field.name)
            and (wanted.rule is None or field.rule is wanted.rule.value)
        )
    since = None if wanted.since is None else ms_of(wanted.since)
    return Chosen(wanted.device, wanted.unit, since, fields, bare=not by_field)


async def _known(context: Context, found: Iterable[Choice]) -> _Known:
    """Two reads for the changes, one for each entity of the rows."""
    known = _Known({}, {})
    cids: set[str] = set()
    ids_by_entity: dict[str, set[str]] = defaultdict(set)
    for choice in found:
        entry = choice.entry
        _learn(known, entry)
        ids_by_entity[entry.entity].add(entry.id)
        for others in (entry.detail or {}).get("beside", {}).values():
            cids.update(others)
    if missing := cids - known.changes.keys():
        async with context.reading() as reader:
            more = await reader.accepted(missing)
        context.spend(len(more))
        for entry in more.values():
            _learn(known, entry)
    registry = context.service.storage.registry
    for name, ids in ids_by_entity.items():
        for id, row in (await context.find(registry.by_name[name], ids)).items():
            documents = [
                raw for level, raw in row.documents.items() if context.sensitive or level is Level.INTERNAL
            ]
            known.rows[name, id] = document.decode(documents)
    return known


def _learn(known: _Known, entry: Entry) -> None:
    if (came := change_in(entry)) is not None:
        known.changes[entry.cid] = entry, retaken(came, entry.detail or {})


def _entry(context: Context, choice: Choice, known: _Known, wanted: LedgerFilter) -> LedgerEntry | None:
    """The entry with what its reader may see of it; None where that is nothing of its fields."""
    entry, registry = choice.entry, context.service.storage.registry
    if entry.cid not in known.changes or not context.may_read(entry.entity):
        return None
    change = known.changes[entry.cid][1]
    said = entry.detail or {}
    filled = said.get("filled", {})
    paths = {*change.fields, *filled}
    if not context.sensitive:
        paths.difference_update([*hidden_paths(registry, entry.entity, paths)])
    if not paths:
        return None
    present = known.rows.get((entry.entity, entry.id), {})
    fields = [
        _field(context, entry, path, cids, known, present)
        for path, cids in said.get("beside", {}).items()
        if path in paths
    ]
    spelled: dict[str, str] = {to: path for path, (to, _) in said.get("older", {}).items()}
    spelled |= {normal: spelled.pop(typed, typed) for typed, normal in said.get("normal", {}).items()}
    return LedgerEntry(
        cid=entry.cid,
        entity=entry.entity,
        row_id=entry.id,
        decided=instant_of(choice.decided_ms),
        at=instant_of(entry.at_ms),
        stated=instant_of(change.stated.at),
        corrected=instant_of(change.stated.at + change.stated.offset),
        stamp_replaced=entry.code == "stamp_replaced",
        chosen=fields,
        admitted=[
            AdmittedField(path=path, typed=spelled.get(path), value=showable(change.fields[path].value))
            for path in (*spelled, *filled)
            if path in paths
        ],
        reversible=any(field.reversible for field in fields),
        actor_id=UUID(entry.actor) if entry.actor else None,
        device_id=UUID(entry.device) if entry.device else None,
        pos=choice.pos,
    )


def _field(
    context: Context, entry: Entry, path: str, cids: list[str], known: _Known, present: Registers
) -> ChosenField:
    field = context.service.storage.registry.get(entry.entity).at(path)[0]
    standing = present[path].values if path in present else {}
    values = [
        _contender(*known.changes[cid], path, shown=cid == cids[0])
        for cid in dict.fromkeys([*cids, entry.cid])
        if cid in known.changes and path in known.changes[cid][1].fields
    ]
    return ChosenField(
        path=path,
        rule=MergeRule(field.rule),
        winner=cids[0],
        values=values,
        reversible=len(standing) > 1 and entry.cid in standing,
    )


def _contender(entry: Entry, change: Change, path: str, shown: bool) -> Contender:
    value = change.fields[path]
    plain = field_value(Candidate(entry.cid, entry.stamp, value.value, value.source, value.verified))
    return Contender(
        **vars(plain),
        shown=shown,
        stated=instant_of(change.stated.at),
        corrected=instant_of(change.stated.at + change.stated.offset),
        at=instant_of(entry.at_ms),
        actor_id=UUID(entry.actor) if entry.actor else None,
        device_id=UUID(entry.device) if entry.device else None,
    )
