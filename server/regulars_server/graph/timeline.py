"""Everything that happened to a person, as one list: what was recorded, and what was changed by the log.

Two lists are merged: interactions by when they took place, and the changes of the person's rows, links and
identity decisions by when the server took them. A cursor is a place in both, so a page never shifts.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import orjson
import strawberry
from strawberry import scalars

from regulars_schema.declare import Instant, Level, Unfit, check_text
from regulars_server.graph.connection import CURSOR_CHARS_MAX, PageInfo, clamp
from regulars_server.graph.declared import resolved
from regulars_server.graph.enums import IdentityDecision as Decision
from regulars_server.graph.history import hidden_paths, showable
from regulars_server.graph.request import NESTED_ROWS_DEFAULT, Context, Info
from regulars_server.graph.scalars import UUID, DateTime, instant_of, ms_of
from regulars_server.graph.types import Device, Identity, Interaction, Link, Staff
from regulars_server.storage.interface import Found, Happened
from regulars_sync.changes import Change
from regulars_sync.check import retaken
from regulars_sync.errors import Refused
from regulars_sync.history import change_in

POS_MAX = 2**62
RECORDED, CHANGED = 0, 1
"""At the same instant what was changed counts as later."""
TOLD = ("customer", "link", "identity")


class At(NamedTuple):
    """A place in the list: the higher, the later."""

    at: str
    rank: int
    key: str | int
    """The id of an interaction; of a change its `pos`."""


@strawberry.interface(description="Something that happened to a person.")
class TimelineEvent:
    at: DateTime = strawberry.field(
        description="When: of an interaction when it took place, of a change when the server took it."
    )


@strawberry.type(description="往来 · Something was recorded: a visit, a purchase, a call.")
class InteractionRecorded(TimelineEvent):
    interaction: Interaction = strawberry.field(description="As it was recorded.")


@strawberry.interface(description="A change to what is known of a person.")
class TimelineChange(TimelineEvent):
    cid: str
    corrected: DateTime = strawberry.field(description="When it was made, the device's clock put right.")
    actor_id: UUID | None
    device_id: UUID | None

    @resolved("Who made it.")
    async def actor(self, info: Info) -> Staff | None:
        return await info.context.related(Staff, self.actor_id)

    @resolved("On which tablet; null when it was made at the server.")
    async def device(self, info: Info) -> Device | None:
        return await info.context.related(Device, self.device_id)


@strawberry.type(description="A value that a change wrote.")
class TimelineField:
    path: str
    value: scalars.JSON | None
    source: str | None
    verified: str | None


@strawberry.type(description="卡片 · Fields of the card were written.")
class CardChanged(TimelineChange):
    customer_id: UUID = strawberry.field(description="Of the rows that are this person, which one.")
    registered: bool = strawberry.field(description="Whether the row was made by it.")
    fields: list[TimelineField] = strawberry.field(description="What it wrote.")


@strawberry.type(description="标签 · Tags were put on or taken off.")
class TagsChanged(TimelineChange):
    customer_id: UUID = strawberry.field(description="Of the rows that are this person, which one.")
    added: list[str] = strawberry.field(description="The tags put on.")
    removed: list[str] = strawberry.field(description="The tags taken off.")


@strawberry.type(description="关系 · A link with another customer was made, edited or taken back.")
class LinkChanged(TimelineChange):
    link_id: UUID = strawberry.field(description="The link, by its id.")
    active: bool | None = strawberry.field(description="What it said of that; null when nothing.")

    @resolved("The link as it is now.")
    async def link(self, info: Info) -> Link | None:
        return await info.context.related(Link, self.link_id)


@strawberry.type(
    description="身份判定 · It was said whether two customers are one person; `SAME` merges them."
)
class IdentityChanged(TimelineChange):
    identity_id: UUID = strawberry.field(description="The pair, by its id.")
    decision: Decision | None = strawberry.field(description="What was said; null when something else was.")

    @resolved("What stands of the pair now.")
    async def identity(self, info: Info) -> Identity | None:
        return await info.context.related(Identity, self.identity_id)


@strawberry.type
class TimelineEdge:
    cursor: str
    node: TimelineEvent


@strawberry.type(description="What happened to a person, the latest first.")
class TimelineConnection:
    edges: list[TimelineEdge]
    nodes: list[TimelineEvent]
    page_info: PageInfo


EVENTS = (InteractionRecorded, CardChanged, TagsChanged, LinkChanged, IdentityChanged)


async def timeline(
    context: Context, customer: str, first: int | None, after: str | None
) -> TimelineConnection:
    """A page of what happened to the person; `Refused`: cursor_invalid, and for rights."""
    context.principal.require("read:changes")
    limit = clamp(first, NESTED_ROWS_DEFAULT)
    beyond = None if after is None else _decode(after)
    found = [
        *await _recorded(context, customer, limit, beyond),
        *await _changed(context, customer, limit, beyond),
    ]
    found.sort(key=lambda pair: pair[0], reverse=True)
    page = found[:limit]
    cursors = [_encode(at) for at, _ in page]
    nodes = [event for _, event in page]
    edges = [TimelineEdge(cursor=cursor, node=node) for cursor, node in zip(cursors, nodes, strict=True)]
    info = PageInfo(
        has_next_page=len(found) > limit,
        has_previous_page=beyond is not None,
        start_cursor=cursors[0] if cursors else None,
        end_cursor=cursors[-1] if cursors else None,
    )
    return TimelineConnection(edges=edges, nodes=nodes, page_info=info)


async def _recorded(
    context: Context, customer: str, limit: int, beyond: At | None
) -> list[tuple[At, TimelineEvent]]:
    key = None
    if beyond is not None:
        key = beyond.at, str(beyond.key) if beyond.rank == RECORDED else "g"  # beyond every id
    rows: Sequence[Found] = await context.named(Interaction, customer, limit, key)
    nodes = [context.node(Interaction, row) for row in rows]
    return [
        (At(node.at, RECORDED, node.row.id), InteractionRecorded(at=node.at, interaction=node))
        for node in nodes
    ]


async def _changed(
    context: Context, customer: str, limit: int, beyond: At | None
) -> list[tuple[At, TimelineEvent]]:
    before = None
    if beyond is not None:
        before = ms_of(DateTime(beyond.at)), int(beyond.key) if beyond.rank == CHANGED else 0
    load = partial(_load_changes, context, limit + 1, before)
    found: list[Happened] = await context.loaded(("happened", limit, before), load, customer)
    return [
        (At(event.at, CHANGED, happened.pos), event)
        for happened in found
        if (event := _event(context, happened)) is not None
    ]


async def _load_changes(
    context: Context, limit: int, before: tuple[int, int] | None, customers: list[str]
) -> list[list[Happened]]:
    for entity in TOLD:
        context.require_read(entity)
    persons = {customer: await context.cluster(customer) for customer in customers}
    async with context.reading() as reader:
        found = await reader.happened(
            persons, limit, before, None if context.sensitive else _internal(context)
        )
    context.spend(sum(map(len, found.values())))
    return [found[customer] for customer in customers]


def _internal(context: Context) -> frozenset[str]:
    """The fields of which everybody may be told, under all names that they ever had."""
    found: set[str] = set()
    for name in TOLD:
        entity = context.service.storage.registry.get(name)
        for field in entity.fields:
            if field.level is Level.INTERNAL:
                found.update(f"{name}.{known}" for known in (field.name, *(was for was, _ in field.was)))
    return frozenset(found)


def _event(context: Context, happened: Happened) -> TimelineEvent | None:
    """The event with what its reader may see of it; None when that is nothing."""
    entry = happened.entry
    came = change_in(entry)
    if came is None:
        return None
    change = retaken(came, entry.detail or {})
    paths = list(change.fields)
    if not context.sensitive:
        hidden = set(hidden_paths(context.service.storage.registry, entry.entity, paths))
        paths = [path for path in paths if path not in hidden]
    if not paths:
        return None
    about: dict[str, Any] = {
        "at": instant_of(happened.at_ms),
        "cid": entry.cid,
        "corrected": instant_of(change.stated.at + change.stated.offset),
        "actor_id": UUID(entry.actor) if entry.actor else None,
        "device_id": UUID(entry.device) if entry.device else None,
    }
    if entry.entity == "link":
        return LinkChanged(**about, link_id=UUID(entry.id), active=_said(change, "active"))
    if entry.entity == "identity":
        said = _said(change, "decision")
        return IdentityChanged(**about, identity_id=UUID(entry.id), decision=said and Decision(said))
    about["customer_id"] = UUID(entry.id)
    if all(path.startswith("tags/") for path in paths):
        tags = [(path.removeprefix("tags/"), change.fields[path].value) for path in paths]
        added, removed = ([tag for tag, on in tags if bool(on) is wanted] for wanted in (True, False))
        return TagsChanged(**about, added=added, removed=removed)
    fields = [
        TimelineField(path=path, value=showable(value.value), source=value.source, verified=value.verified)
        for path in paths
        for value in (change.fields[path],)
    ]
    return CardChanged(**about, registered=change.op == "create", fields=fields)


def _said(change: Change, path: str) -> Any:
    return change.fields[path].value if path in change.fields else None


def _encode(at: At) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([*at])).rstrip(b"=").decode()


def _decode(cursor: str) -> At:
    try:
        if len(cursor) > CURSOR_CHARS_MAX or not cursor.isascii():
            raise ValueError
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        at, rank, key = orjson.loads(raw)
        Instant().check(at)
        if rank == RECORDED:
            check_text(key, 200)
        elif rank != CHANGED or type(key) is not int or not 0 <= key < POS_MAX:
            raise ValueError
    except (binascii.Error, ValueError, TypeError, Unfit):
        raise Refused("cursor_invalid") from None
    return At(at, rank, key)
