"""What waits for somebody: changes that are held or rejected, and keys that are equal."""

from __future__ import annotations

import strawberry

from regulars_server.graph.connection import PageInfo, clamp
from regulars_server.graph.history import LoggedChange, logged, position, positions
from regulars_server.graph.request import Context
from regulars_server.graph.types import Customer
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
    field: str
    key: str
    customers: list[Customer]


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
