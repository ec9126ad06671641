"""The root of subscriptions: what a program is told without asking again.

Each follows from a cursor or from what it told last, read anew after every wake-up (`live.turns`). Of a row
that is out of reach nothing is told but its id, to whoever was told of it before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from enum import Enum
from typing import Annotated

import strawberry

from regulars_server.graph.declared import subscribed, valued
from regulars_server.graph.enums import EntityName
from regulars_server.graph.live.following import Following
from regulars_server.graph.live.roster import Roster
from regulars_server.graph.live.turns import Turns
from regulars_server.graph.movements import Moved, told
from regulars_server.graph.request import Context, Info
from regulars_server.graph.reviews import Review, Reviewing, ReviewKind
from regulars_server.graph.rows import Node
from regulars_server.graph.scalars import UUID
from regulars_server.graph.types import TYPES, Customer, Device, Segment
from regulars_server.storage.interface import Found, Order
from regulars_server.storage.standing import MOVED
from regulars_sync.errors import Refused

IDS_MAX = 100
DEVICES_MAX = 250
HELD_MAX = 100


@strawberry.enum(description="行的去留 · What became of a row, for the one who is told.")
class RowEvent(Enum):
    CHANGED = valued("changed", "新增或修改 · It is new within reach, or it changed")
    LEFT = valued("left", "已离开 · It is out of reach or erased; forget it")


@strawberry.type(description="A row that changed or left.")
class RowChange:
    kind: RowEvent = strawberry.field(description="What became of it.")
    entity: EntityName = strawberry.field(description="The kind of row.")
    id: UUID = strawberry.field(description="The id of the row.")
    row: Node | None = strawberry.field(description="The row as it is now; null when it left.")


@strawberry.type(description="What changed within reach since the event before, or since `after`.")
class Changes:
    cursor: str = strawberry.field(
        description="Keep it: given as `after` it goes on from here, on any server."
    )
    rows: list[RowChange] = strawberry.field(
        description="Each row once, in the order of change. After a reconnection some may be told again."
    )
    more: bool = strawberry.field(description="Whether further events follow at once.")
    units_lost: list[UUID] = strawberry.field(
        description="Units that are not within reach any more: forget the rows that were theirs alone."
    )
    sensitive_lost: bool = strawberry.field(
        description="Whether sensitive fields may be read no more: forget them."
    )


@strawberry.type(description="A customer's card that changed or left. The first event is the card as it is.")
class CustomerChange:
    kind: RowEvent = strawberry.field(description="What became of it.")
    id: UUID = strawberry.field(description="The id that was asked for.")
    customer: Customer | None = strawberry.field(description="The card as it is now; null when it left.")


@strawberry.type(description="Who came into a segment and who left it, since the event before.")
class MembershipChange:
    entered: list[Customer] = strawberry.field(description="Who is a member now.")
    left: list[UUID] = strawberry.field(
        description="Who is a member no more, or is out of reach; by id, which says no more than that."
    )
    members: int = strawberry.field(description="How many there are within reach now.")
    movements: list[Moved] = strawberry.field(
        description="Why, of those who moved by the rule, in that order. Who only came within reach or left"
        " it did not move, and whoever was put in by hand is told at once, without."
    )


@strawberry.type(description="What waits for a person, since the event before or since `after`.")
class ReviewsNeeded:
    cursor: str = strawberry.field(description="Keep it: given as `after` it goes on from here.")
    reviews: list[Review] = strawberry.field(description="In the order in which they came up.")


@strawberry.type(description="A tablet's row, and how much of its work waits. The first event is how it is.")
class DeviceStatus:
    kind: RowEvent = strawberry.field(description="What became of it.")
    id: UUID = strawberry.field(description="The id of the tablet.")
    device: Device | None = strawberry.field(description="The tablet as it is now; null when it left.")
    held_changes: int = strawberry.field(
        description="How many of its changes are held or rejected and wait; counted to 100."
    )


Ids = Annotated[list[UUID], strawberry.argument(description="Which ones; 100 at most. A single id will do.")]
After = Annotated[
    str | None,
    strawberry.argument(
        description="A cursor of an earlier event: what came since is told first. Without one it begins now."
    ),
]


@strawberry.type(description="What can be listened to, over graphql-transport-ws or server-sent events.")
class Subscription:
    @subscribed(
        "Every row that changes within reach, resumable. The first event comes at once and may be empty: it"
        " brings the cursor. `cursor_expired` and `epoch_changed` say that rows must be read anew, and then"
        " begin without a cursor."
    )
    async def changes(
        self,
        info: Info,
        after: After = None,
        entities: Annotated[
            list[EntityName] | None, strawberry.argument(description="Only these kinds of row.")
        ] = None,
    ) -> AsyncIterator[Changes]:
        turns = turns_of(info)
        wanted = {entity.value for entity in entities} if entities is not None else TYPES.keys()
        following = Following(info.context, after)
        is_first = True
        async for context in turns.each():
            step = await following.step(context)
            turns.at_once = step.more
            told = {entity for entity in wanted if context.may_read(entity)}
            rows = [_row_change(context, *row) for row in step.rows if row[0] in told]
            if rows or is_first or step.units_lost or step.sensitive_lost:
                yield Changes(
                    cursor=following.cursor,
                    rows=rows,
                    more=step.more,
                    units_lost=[UUID(unit) for unit in step.units_lost],
                    sensitive_lost=step.sensitive_lost,
                )
            is_first = False

    @subscribed(
        "The cards of some customers, each whenever any row of that person changes. The present state comes"
        " first, so nothing is missed across a reconnection. An id out of reach is silent until it comes"
        " within reach."
    )
    async def customer_changed(self, info: Info, ids: Ids) -> AsyncIterator[CustomerChange]:
        _check(ids)
        known: dict[str, tuple[tuple[str, int], ...]] = {}
        async for context in turns_of(info).each():
            async with context.reading() as reader:
                clusters = await reader.clusters(ids)
            members = {id: (id, *clusters.get(id, ())) for id in ids}
            found = await context.find(
                context.entity(Customer), {one for of in members.values() for one in of}
            )
            for id in ids:
                state = _state(context, found, members[id] if id in found else ())
                if state == known.get(id, ()):
                    continue
                known[id] = state
                card = context.node(Customer, found[id]) if state else None
                yield CustomerChange(
                    kind=RowEvent.CHANGED if card else RowEvent.LEFT, id=UUID(id), customer=card
                )

    @subscribed(
        "Who comes into a segment and who leaves it. The first event is empty and says that it has begun:"
        " read `segmentMembers` after it, and again after a reconnection."
    )
    async def membership_changed(self, info: Info, segment: UUID) -> AsyncIterator[MembershipChange]:
        roster = Roster(segment)
        is_first = True
        async for context in turns_of(info).each(also=frozenset({MOVED})):
            if await context.related(Segment, segment) is None:
                raise Refused("not_found", entity="segment")
            entered, left = await roster.step(context)
            if entered or left or is_first:
                yield MembershipChange(
                    entered=await context.related_all(Customer, entered),
                    left=[UUID(id) for id in left],
                    members=len(roster),
                    movements=[told(movement, context) for movement in roster.movements],
                )
            is_first = False

    @subscribed(
        "What begins to wait for a person: pairs of customers that may be one (head office only), fields on"
        " which writers disagree, and changes that are held or rejected. The first event comes at once with"
        " the cursor."
    )
    async def review_needed(
        self,
        info: Info,
        after: After = None,
        kinds: Annotated[
            list[ReviewKind] | None, strawberry.argument(description="Only these kinds.")
        ] = None,
    ) -> AsyncIterator[ReviewsNeeded]:
        turns = turns_of(info)
        reviewing = Reviewing(info.context, after, kinds or list(ReviewKind))
        is_first = True
        async for context in turns.each(everything=True):
            reviews = await reviewing.step(context)
            turns.at_once = reviewing.more
            if reviews or is_first:
                yield ReviewsNeeded(cursor=reviewing.cursor, reviews=reviews)
            is_first = False

    @subscribed(
        "Tablets: their rows, and how many of their changes wait. The present state comes first. Without"
        " `ids` it is every tablet within reach, 250 at most."
    )
    async def device_status(
        self,
        info: Info,
        ids: Annotated[
            list[UUID] | None, strawberry.argument(description="Only these tablets; 100 at most.")
        ] = None,
    ) -> AsyncIterator[DeviceStatus]:
        if ids is not None:
            _check(ids)
        known: dict[str, tuple[int, int]] = {}
        async for context in turns_of(info).each(everything=True):
            entity = context.entity(Device)
            if ids is None:
                rows = await context.select(entity, None, Order(), DEVICES_MAX)
                found = {row.id: row for row in rows}
            else:
                found = await context.find(entity, ids)
            for id in [*found, *(id for id in list(known) if id not in found)]:
                row = found.get(id)
                if row is None:
                    del known[id]
                    yield DeviceStatus(kind=RowEvent.LEFT, id=UUID(id), device=None, held_changes=0)
                    continue
                async with context.reading() as reader:
                    held = len(await reader.open_entries(HELD_MAX, device=id))
                state = (row.seq(context.sensitive), held)
                if known.get(id) != state:
                    known[id] = state
                    device = context.node(Device, row)
                    yield DeviceStatus(kind=RowEvent.CHANGED, id=UUID(id), device=device, held_changes=held)


def turns_of(info: Info) -> Turns:
    turns = info.context.turns
    assert turns is not None
    return turns


def _check(ids: Sequence[str]) -> None:
    if not ids or len(ids) > IDS_MAX:
        raise Refused("argument_invalid", reason=f"ids should name 1 to {IDS_MAX} rows.")


def _state(context: Context, found: dict[str, Found], members: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """The versions of a person's rows within reach; empty when there is none."""
    versions = {id: found[id].seq(context.sensitive) for id in members if id in found}
    return tuple(sorted(versions.items()))


def _row_change(context: Context, entity: str, id: str, found: Found | None) -> RowChange:
    return RowChange(
        kind=RowEvent.LEFT if found is None else RowEvent.CHANGED,
        entity=EntityName(entity),
        id=UUID(id),
        row=None if found is None else context.node(TYPES[entity], found),
    )
