"""What waits for somebody: changes that are held or rejected, and keys that are equal."""

from __future__ import annotations

import strawberry

from regulars_server.graph.connection import PageInfo, clamp
from regulars_server.graph.declared import resolved
from regulars_server.graph.history import LoggedChange, logged, position, positions
from regulars_server.graph.request import Context, Info
from regulars_server.graph.scalars import UUID, DateTime, instant_of
from regulars_server.graph.types import Customer, Device
from regulars_sync.history import opened


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
    field: str = strawberry.field(description="The field in which it stands.")
    key: str = strawberry.field(description="The key, in its normal form.")
    customers: list[Customer] = strawberry.field(description="Who has it, those within reach.")


@strawberry.type(description="Changes that were made on a tablet and that nobody has any more.")
class NumberGap:
    incarnation: str = strawberry.field(description="Of the tablet's counter.")
    first: int = strawberry.field(description="The first number that is lost.")
    last: int = strawberry.field(description="The last number that is lost.")
    at: DateTime = strawberry.field(description="When the tablet said so.")
    device_id: UUID

    @resolved("Null when out of reach.")
    async def device(self, info: Info) -> Device | None:
        return await info.context.related(Device, self.device_id)


async def gaps(context: Context, device: str | None, first: int | None) -> list[NumberGap]:
    async with context.reading() as reader:
        entries = await reader.gaps(clamp(first), device)
    context.spend(len(entries))
    return [
        NumberGap(
            incarnation=entry.detail["incarnation"],
            first=entry.detail["first"],
            last=entry.detail["last"],
            at=instant_of(entry.at_ms),
            device_id=UUID(entry.device),
        )
        for entry in entries
        if entry.detail is not None and entry.device is not None
    ]


async def held_changes(
    context: Context, first: int | None, after: str | None, device: str | None
) -> HeldConnection:
    limit, pos = clamp(first), position(after)
    async with context.reading() as reader:
        entries = await reader.open_entries(limit + 1, pos, device)
    context.spend(len(entries))
    more = len(entries) > limit
    nodes = [n for entry in entries[:limit] if (n := logged(context, opened(entry), keep=True)) is not None]
    info = positions([node.pos for node in nodes], more, pos > 0)
    return HeldConnection(
        edges=[HeldEdge(cursor=str(node.pos), node=node) for node in nodes], nodes=nodes, page_info=info
    )


async def held_change(context: Context, cid: str) -> LoggedChange | None:
    async with context.reading() as reader:
        entries = await reader.open_entries(1, cids=[cid])
    return logged(context, opened(entries[0]), keep=True) if entries else None


async def equal_keys(context: Context, first: int | None) -> list[EqualKey]:
    async with context.reading() as reader:
        groups = await reader.equal_keys(clamp(first))
    await context.related_all(Customer, [id for group in groups for id in group.ids])  # all at once
    return [
        EqualKey(field=group.field, key=group.key, customers=await context.related_all(Customer, group.ids))
        for group in groups
    ]
