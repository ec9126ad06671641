"""Mutations that undo what was written, and that choose between values that stand beside each other."""

from __future__ import annotations

import strawberry

from regulars_server.graph import payloads
from regulars_server.graph.declared import mutation
from regulars_server.graph.enums import EntityName
from regulars_server.graph.request import Context, Info
from regulars_server.graph.rows import seq_of
from regulars_server.graph.scalars import UUID
from regulars_server.graph.types import TYPES
from regulars_server.graph.writing import Writing, settled, settled_on
from regulars_server.reversing import Reversed, Reversing
from regulars_sync.changes import is_cid
from regulars_sync.errors import Refused


@strawberry.input(description="What is reversed.")
class ChangeReverseInput:
    cid: str = strawberry.field(description="Of the change, as `history` and `ledger` tell it.")
    path: str | None = strawberry.field(
        default=None, description="One field of it; without it all that it wrote and that stands still."
    )


@strawberry.input(description="Which value stays.")
class FieldChooseInput:
    entity: EntityName
    id: UUID
    path: str = strawberry.field(description="The field; of a set `field/key`.")
    cid: str = strawberry.field(description="Of the value that shall stay, as `contested` tells it.")


@strawberry.type
class ReversalMutations:
    @mutation("Put back what a change replaced; of values beside each other show the other one.")
    async def change_reverse(
        self,
        info: Info,
        idempotency_key: str,
        input: ChangeReverseInput,
        expected_version: str | None = None,
    ) -> payloads.ChangeResult:
        context = info.context

        async def run(writing: Writing) -> payloads.ChangeReversed:
            if entry is not None and entry.entity not in TYPES:
                raise Refused("reverse_nothing")
            seq = _seq(context, expected_version)
            reversing = Reversing(writing.mutations)
            done = await reversing.reverse(idempotency_key, input.cid, input.path, seq)
            return await _reversed(context, done)

        async with context.reading() as reader:
            found = await reader.accepted([input.cid] if is_cid(input.cid) else [])
        entry = found.get(input.cid)
        if entry is None:
            return await settled(context, idempotency_key, run)
        return await settled_on(context, idempotency_key, entry.entity, entry.id, run)

    @mutation("Let one of the values that stand beside each other in a field be the only one.")
    async def field_choose(
        self,
        info: Info,
        idempotency_key: str,
        input: FieldChooseInput,
        expected_version: str | None = None,
    ) -> payloads.ChangeResult:
        context, entity = info.context, input.entity.value

        async def run(writing: Writing) -> payloads.ChangeReversed:
            seq = _seq(context, expected_version)
            choosing = Reversing(writing.mutations)
            done = await choosing.choose(idempotency_key, entity, input.id, input.path, input.cid, seq)
            return await _reversed(context, done)

        return await settled_on(context, idempotency_key, entity, input.id, run)


def _seq(context: Context, expected: str | None) -> int | None:
    return None if expected is None else seq_of(expected, context.service.storage.chain.epoch)


async def _reversed(context: Context, done: Reversed) -> payloads.ChangeReversed:
    await context.refresh()
    row = await context.related(TYPES[done.entity], done.id)
    return payloads.ChangeReversed(cid=done.cid, row=row, paths=list(done.paths))
