"""A campaign out of a segment: whoever is a member now is one of a further segment, which no rule moves."""

from __future__ import annotations

from typing import Annotated

import strawberry

from regulars_schema.declare import JSON
from regulars_server.graph.bulk import BULK_ROWS_MAX
from regulars_server.graph.declared import mutation, said
from regulars_server.graph.knowing import looking
from regulars_server.graph.payloads import MemberResult, SegmentSnapshotResult, SegmentSnapshotTaken
from regulars_server.graph.problems import refusal
from regulars_server.graph.request import Context, Info
from regulars_server.graph.scalars import UUID, instant_of
from regulars_server.graph.segments import members_of
from regulars_server.graph.types import Segment
from regulars_server.graph.writing import Writing, settled
from regulars_server.mutations import Edit, Mutations
from regulars_server.storage.interface import Order
from regulars_sync.errors import Refused

SNAPSHOT_MAX = 5_000
"""So many members may a segment have of which a snapshot is taken."""


@strawberry.type
class SnapshotMutations:
    @mutation(
        "Make a segment of those who are in one at this moment, to be a campaign (S100): interactions name it"
        f" as their `campaign`. Of {SNAPSHOT_MAX} members at most. Head office only."
    )
    async def segment_snapshot(
        self,
        info: Info,
        idempotency_key: str,
        id: UUID,
        name: Annotated[str, said("What the snapshot is called.")],
    ) -> SegmentSnapshotResult:
        async def run(writing: Writing) -> SegmentSnapshotTaken:
            return await _take(writing, id, name)

        return await settled(info.context, idempotency_key, run)


async def _take(writing: Writing, of: str, name: str) -> SegmentSnapshotTaken:
    """Sent again after it was given up on the way, it goes on: who was put in stays."""
    context, mutations = writing.context, writing.mutations
    for right in ("write:segments", "write:customers"):
        context.principal.require(right)
    members = await _members(context, of)
    made = Mutations.new_id("segment", writing.cid)
    begun = await context.related(Segment, made)
    now = instant_of(context.service.now_ms())
    taken_at = now if begun is None else begun.taken_at
    fields: dict[str, JSON] = {"name": name, "snapshot_of": of, "taken_at": taken_at}
    await writing.write(Segment, Edit(writing.cid, "create", "segment", made, fields))
    left_out: list[MemberResult] = []
    for start in range(0, len(members), BULK_ROWS_MAX):
        some = members[start : start + BULK_ROWS_MAX]
        edits = [
            Edit(mutations.cid(f"{writing.key} {id}"), "edit", "customer", id, {f"segments/{made}": True})
            for id in some
        ]
        await context.refresh()
        refused = await mutations.write_each(edits)
        left_out += [
            MemberResult(customer_id=UUID(id), error=refusal(error, context.lang))
            for id, error in zip(some, refused, strict=True)
            if error
        ]
    await context.refresh()
    return SegmentSnapshotTaken(
        segment=await context.related(Segment, made),
        members=len(members) - len(left_out),
        left_out=left_out,
    )


async def _members(context: Context, segment: str) -> list[str]:
    """All of them, or `Refused`: not_found, not_allowed (some may not be told), query_too_large."""
    if await context.related(Segment, segment) is None:
        raise Refused("not_found", entity="segment", field="id")
    if not (await looking(context)).telling.segment(segment):
        raise Refused("not_allowed")
    inside = await members_of(context, segment)
    async with context.reading() as reader:
        found = await reader.select("customer", inside, Order(), SNAPSHOT_MAX + 1)
    if len(found) > SNAPSHOT_MAX:
        raise Refused("query_too_large", what="members", limit=SNAPSHOT_MAX)
    return [row.id for row in found]
