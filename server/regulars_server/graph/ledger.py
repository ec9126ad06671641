"""The change log as GraphQL shows it: the history of a row, what is held, and keys that are equal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
import strawberry
from strawberry import scalars

from regulars_schema.declare import Level, Registry, Unfit
from regulars_schema.messages import text
from regulars_server.graph.connection import PageInfo, clamp
from regulars_server.graph.declared import resolved
from regulars_server.graph.documents import nesting
from regulars_server.graph.enums import Verdict
from regulars_server.graph.request import Context, Info
from regulars_server.graph.scalars import UUID, DateTime, instant_of
from regulars_server.graph.types import Customer, Device, Staff
from regulars_sync import changes
from regulars_sync.changes import Change, Malformed
from regulars_sync.errors import Refused
from regulars_sync.log import Entry

POS_DIGITS_MAX = 18
NESTING_MAX = 40


@strawberry.type(description="One value that a change wrote.")
class WrittenField:
    path: str
    value: scalars.JSON | None
    source: str | None
    verified: str | None


@strawberry.type(description="A change as it came, and what became of it.")
class LoggedChange:
    cid: str = strawberry.field(description="The identity of the change for ever.")
    op: str | None = strawberry.field(description="create or edit.")
    entity: str
    row_id: str
    at: DateTime = strawberry.field(description="When the server took it.")
    stated: DateTime | None = strawberry.field(
        description="When it was made, by the device's clock put right."
    )
    verdict: Verdict
    code: str | None = strawberry.field(
        description="Why, where it was not simply applied: see docs/ERRORS.md."
    )
    message: str | None
    path: str | None = strawberry.field(description="The field that is to blame.")
    detail: scalars.JSON | None
    closed: bool = strawberry.field(description="Refused for good: mended or dropped.")
    replaces: str | None = strawberry.field(description="The cid of the change that this one mends.")
    fields: list[WrittenField]
    actor_id: UUID | None
    device_id: UUID | None
    pos: strawberry.Private[int]

    @resolved("Who made it.")
    async def actor(self, info: Info) -> Staff | None:
        return await info.context.related(Staff, self.actor_id)

    @resolved("On which tablet; null when it was made at the server.")
    async def device(self, info: Info) -> Device | None:
        return await info.context.related(Device, self.device_id)


@strawberry.type
class HeldEdge:
    cursor: str
    node: LoggedChange


@strawberry.type(description="Changes that were held or rejected and wait, oldest first.")
class HeldConnection:
    edges: list[HeldEdge]
    nodes: list[LoggedChange]
    page_info: PageInfo


@strawberry.type(description="Customers that share a phone, e-mail, member number or external id.")
class EqualKey:
    field: str
    key: str
    customers: list[Customer]


async def history(context: Context, entity: str, id: str) -> list[LoggedChange]:
    async with context.reading() as reader:
        entries = await reader.history(entity, id)
    context.spend(len(entries))
    bodies: dict[str, Entry] = {}
    latest: dict[str, Entry] = {}
    for entry in entries:
        if entry.body is not None:
            bodies.setdefault(entry.cid, entry)
        latest[entry.cid] = entry
    found = [logged(context, bodies.get(cid, entry), entry) for cid, entry in latest.items()]
    return [change for change in found if change is not None]


async def held_changes(
    context: Context, first: int | None, after: str | None, device: str | None
) -> HeldConnection:
    limit = clamp(first)
    pos = 0
    if after is not None:
        if not (after.isascii() and after.isdecimal() and len(after) <= POS_DIGITS_MAX):
            raise Refused("cursor_invalid")
        pos = int(after)
    async with context.reading() as reader:
        entries = await reader.open_entries(limit + 1, pos, device)
    context.spend(len(entries))
    more = len(entries) > limit
    nodes = [n for entry in entries[:limit] if (n := logged(context, entry, entry, keep=True)) is not None]
    info = PageInfo(
        has_next_page=more,
        has_previous_page=pos > 0,
        start_cursor=str(nodes[0].pos) if nodes else None,
        end_cursor=str(nodes[-1].pos) if nodes else None,
    )
    return HeldConnection(
        edges=[HeldEdge(cursor=str(node.pos), node=node) for node in nodes], nodes=nodes, page_info=info
    )


async def held_change(context: Context, cid: str) -> LoggedChange | None:
    async with context.reading() as reader:
        entries = await reader.open_entries(1, cids=[cid])
    return logged(context, entries[0], entries[0], keep=True) if entries else None


async def equal_keys(context: Context, first: int | None) -> list[EqualKey]:
    async with context.reading() as reader:
        groups = await reader.equal_keys(clamp(first))
    await context.related_all(Customer, [id for group in groups for id in group.ids])  # all at once
    return [
        EqualKey(field=group.field, key=group.key, customers=await context.related_all(Customer, group.ids))
        for group in groups
    ]


def logged(context: Context, entry: Entry, latest: Entry, keep: bool = False) -> LoggedChange | None:
    """The change with what its reader may see of it; None when that is none of its fields."""
    change = _change_in(entry)
    hidden = set()
    if not context.sensitive and change is not None:
        hidden = set(_sensitive(context.service.storage.registry, change, change.fields))
    written = []
    if change is not None:
        written = [
            WrittenField(
                path=path, value=_showable(value.value), source=value.source, verified=value.verified
            )
            for path, value in change.fields.items()
            if path not in hidden
        ]
        if hidden and not written and not keep:
            return None
    detail = latest.detail
    if latest.field in hidden:
        detail = None
    return LoggedChange(
        cid=entry.cid,
        op=change.op if change else None,
        entity=entry.entity,
        row_id=entry.id,
        at=instant_of(entry.at_ms),
        stated=instant_of(change.stated.at + change.stated.offset) if change else None,
        verdict=latest.verdict,  # type: ignore[arg-type]
        code=latest.code,
        message=text(latest.code, {"field": latest.field, **(detail or {})}, context.lang)
        if latest.code
        else None,
        path=latest.field,
        detail=detail,  # type: ignore[arg-type]
        closed=latest.closed,
        replaces=entry.replaces,
        fields=written,
        actor_id=UUID(entry.actor) if entry.actor else None,
        device_id=UUID(entry.device) if entry.device else None,
        pos=entry.pos,
    )


def _sensitive(registry: Registry, change: Change, paths: Iterable[str]) -> Iterable[str]:
    """The paths that are not plainly of the internal level; what nobody here declared may be anything."""
    for path in paths:
        try:
            if registry.get(change.entity).at(path)[0].level is not Level.INTERNAL:
                yield path
        except Unfit:
            yield path


def _showable(value: Any) -> scalars.JSON | None:
    """A value as it was sent, which may be anything; one that no reader could take is told of in words."""
    try:
        encoded = orjson.dumps(value)
    except TypeError:
        encoded = b""
    if not encoded or nesting(value, NESTING_MAX) > NESTING_MAX:
        return scalars.JSON(f"({type(value).__name__})")
    return scalars.JSON(value)


def _change_in(entry: Entry) -> Change | None:
    if entry.body is None:
        return None
    try:
        return changes.decode(entry.body)
    except Malformed:
        return None
