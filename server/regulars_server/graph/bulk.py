"""Many rows in one mutation: one read, one decision, one commit, and a result for each row in its order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Annotated, Any, Literal, TypeVar

import strawberry

from regulars_schema.declare import JSON
from regulars_server.graph import inputs
from regulars_server.graph.assignments import AssignmentInput, AssignmentResult, AssignmentSaved, worded
from regulars_server.graph.declared import mutation, said, valued
from regulars_server.graph.payloads import CustomerResult, CustomerSaved, InteractionResult, InteractionSaved
from regulars_server.graph.problems import Refusal, VersionConflict, conflict, refusal
from regulars_server.graph.request import Info
from regulars_server.graph.rows import Node, seq_of
from regulars_server.graph.scalars import UUID
from regulars_server.graph.types import Assignment, Customer, Interaction
from regulars_server.graph.writing import Writing, fields_of, settled
from regulars_server.mutations import Edit, Mutations
from regulars_sync.changes import Source, Verified
from regulars_sync.errors import Refused
from regulars_sync.reconcile import Key

N = TypeVar("N", bound=Node)
S = TypeVar("S")

BULK_ROWS_MAX = 500


@strawberry.enum(description="出错时 · What becomes of the other rows when one can't be written.")
class BulkErrorPolicy(Enum):
    REJECT_EVERYTHING = valued("all", "全部拒绝 · Nothing is written")
    REJECT_FAILED_ROWS = valued("each", "只拒绝有误的行 · The others are written")


@strawberry.input(description="What to write into one of several customers.")
class CustomerUpdateInput:
    id: UUID = strawberry.field(description="The id of the row.")
    set: inputs.CustomerEdit = strawberry.field(
        description="What to write: what is left out stays, null clears."
    )
    expected_version: str | None = strawberry.field(
        default=None, description="The `version` you read: a row that is not at it any more is not written."
    )


@strawberry.type(description="What became of each row of a bulk mutation.")
class CustomersSaved:
    written: int = strawberry.field(description="How many rows were written.")
    results: list[CustomerResult] = strawberry.field(description="One for each row, in the order given.")


@strawberry.type(description="What became of each row of a bulk mutation.")
class InteractionsSaved:
    written: int = strawberry.field(description="How many rows were written.")
    results: list[InteractionResult] = strawberry.field(description="One for each row, in the order given.")


@strawberry.type(description="What became of each row of a bulk mutation.")
class AssignmentsSaved:
    written: int = strawberry.field(description="How many rows were written.")
    results: list[AssignmentResult] = strawberry.field(description="One for each row, in the order given.")


AssignmentsResult = Annotated[AssignmentsSaved | Refusal, strawberry.union("AssignmentsResult")]
CustomersResult = Annotated[CustomersSaved | Refusal, strawberry.union("CustomersResult")]
InteractionsResult = Annotated[InteractionsSaved | Refusal, strawberry.union("InteractionsResult")]
OnError = Annotated[BulkErrorPolicy, said("What becomes of the other rows when one can't be written.")]
Ids = Annotated[list[UUID], said(f"The rows, by their ids; at most {BULK_ROWS_MAX}.")]
EVERYTHING = BulkErrorPolicy.REJECT_EVERYTHING


@dataclass(frozen=True, slots=True)
class Wanted:
    """One row of a bulk mutation: what to write, or why it can't even be said."""

    id: str
    fields: Mapping[str, JSON] | Refused
    expected_version: str | None = None
    source: Source | None = None
    verified: Verified | None = None


@strawberry.type
class BulkMutations:
    @mutation("Several new customers, as `customerCreate` makes one.")
    async def customers_create(
        self,
        info: Info,
        idempotency_key: str,
        inputs: Annotated[list[inputs.CustomerInput], said(f"At most {BULK_ROWS_MAX}.")],
        on_error: OnError = EVERYTHING,
    ) -> CustomersResult:
        async def run(writing: Writing) -> CustomersSaved:
            return CustomersSaved(**await _create(writing, Customer, inputs, on_error, _customer))

        return await settled(info.context, idempotency_key, run)

    @mutation("Write some fields of several customers, each its own.")
    async def customers_update(
        self,
        info: Info,
        idempotency_key: str,
        updates: Annotated[list[CustomerUpdateInput], said(f"At most {BULK_ROWS_MAX}.")],
        on_error: OnError = EVERYTHING,
    ) -> CustomersResult:
        async def run(writing: Writing) -> CustomersSaved:
            wanted = [Wanted(u.id, _fields(writing, Customer, u.set), u.expected_version) for u in updates]
            return CustomersSaved(**await _edit(writing, Customer, wanted, on_error, _customer))

        return await settled(info.context, idempotency_key, run)

    @mutation("Put tags on several customers; those there stay.")
    async def customers_tag(
        self, info: Info, idempotency_key: str, ids: Ids, tags: list[str], on_error: OnError = EVERYTHING
    ) -> CustomersResult:
        return await _customers(info, idempotency_key, ids, {f"tags/{tag}": True for tag in tags}, on_error)

    @mutation("Take tags off several customers.")
    async def customers_untag(
        self, info: Info, idempotency_key: str, ids: Ids, tags: list[str], on_error: OnError = EVERYTHING
    ) -> CustomersResult:
        return await _customers(info, idempotency_key, ids, {f"tags/{tag}": False for tag in tags}, on_error)

    @mutation("Put several customers away. They can return.")
    async def customers_archive(
        self, info: Info, idempotency_key: str, ids: Ids, on_error: OnError = EVERYTHING
    ) -> CustomersResult:
        return await _customers(info, idempotency_key, ids, {"archived": True}, on_error)

    @mutation("Undo the archive of several customers.")
    async def customers_return(
        self, info: Info, idempotency_key: str, ids: Ids, on_error: OnError = EVERYTHING
    ) -> CustomersResult:
        return await _customers(info, idempotency_key, ids, {"archived": False}, on_error)

    @mutation("Say what several customers are in schemes, as `assignmentSet` says it of one.")
    async def customers_assign(
        self,
        info: Info,
        idempotency_key: str,
        inputs: Annotated[list[AssignmentInput], said(f"At most {BULK_ROWS_MAX}.")],
        on_error: OnError = EVERYTHING,
    ) -> AssignmentsResult:
        async def run(writing: Writing) -> AssignmentsSaved:
            _require_few(inputs)
            found = await worded(info.context, inputs)
            wanted = [Wanted(one.id, one.fields, source=one.source, verified=one.verified) for one in found]
            return AssignmentsSaved(
                **await _write(writing, "create", Assignment, _once(wanted), on_error, _word)
            )

        return await settled(info.context, idempotency_key, run)

    @mutation("Several new facts, as `interactionRecord` makes one.")
    async def interactions_record(
        self,
        info: Info,
        idempotency_key: str,
        inputs: Annotated[list[inputs.InteractionInput], said(f"At most {BULK_ROWS_MAX}.")],
        on_error: OnError = EVERYTHING,
    ) -> InteractionsResult:
        async def run(writing: Writing) -> InteractionsSaved:
            return InteractionsSaved(**await _create(writing, Interaction, inputs, on_error, _interaction))

        return await settled(info.context, idempotency_key, run)


def _customer(node: Customer | None) -> CustomerSaved:
    return CustomerSaved(customer=node)


def _word(node: Assignment | None) -> AssignmentSaved:
    return AssignmentSaved(assignment=node)


def _interaction(node: Interaction | None) -> InteractionSaved:
    return InteractionSaved(interaction=node)


async def _customers(
    info: Info, key: str, ids: Sequence[str], fields: Mapping[str, JSON], policy: BulkErrorPolicy
) -> CustomersResult:
    async def run(writing: Writing) -> CustomersSaved:
        wanted = [Wanted(id, fields) for id in ids]
        return CustomersSaved(**await _edit(writing, Customer, wanted, policy, _customer))

    return await settled(info.context, key, run)


def _fields(writing: Writing, type_: type[Node], given: object) -> Mapping[str, JSON] | Refused:
    try:
        return fields_of(writing.entity(type_.ENTITY), given)
    except Refused as refused:
        return refused


async def _create(
    writing: Writing,
    type_: type[N],
    given: Sequence[object],
    policy: BulkErrorPolicy,
    saved: Callable[[N | None], S],
) -> dict[str, Any]:
    cids = [writing.mutations.cid(writing.key, place) for place in range(len(given))]
    wanted = [
        Wanted(Mutations.new_id(type_.ENTITY, cid), _fields(writing, type_, one))
        for cid, one in zip(cids, given, strict=True)
    ]
    return await _write(writing, "create", type_, wanted, policy, saved)


async def _edit(
    writing: Writing,
    type_: type[N],
    wanted: Sequence[Wanted],
    policy: BulkErrorPolicy,
    saved: Callable[[N | None], S],
) -> dict[str, Any]:
    return await _write(writing, "edit", type_, _once(wanted), policy, saved)


def _once(wanted: Sequence[Wanted]) -> list[Wanted]:
    """Each row once: a second edit of it would not have seen the first."""
    known: set[str] = set()
    checked: list[Wanted] = []
    for one in wanted:
        fields = one.fields
        if one.id in known:
            fields = Refused("row_twice", field="id")
        elif not fields:
            fields = Refused("argument_invalid", reason="There is nothing to write.")
        known.add(one.id)
        checked.append(replace(one, fields=fields))
    return checked


def _require_few(rows: Sequence[object]) -> None:
    if len(rows) > BULK_ROWS_MAX:
        raise Refused("query_too_large", what="rows", limit=BULK_ROWS_MAX)


async def _write(
    writing: Writing,
    op: Literal["create", "edit"],
    type_: type[N],
    wanted: Sequence[Wanted],
    policy: BulkErrorPolicy,
    saved: Callable[[N | None], S],
) -> dict[str, Any]:
    """What the payload says: how many rows were written, and what became of each."""
    context, name = writing.context, type_.ENTITY
    _require_few(wanted)
    epoch, all_or_none = context.service.storage.chain.epoch, policy is EVERYTHING
    edits: list[Edit | Refused] = []
    versions: dict[Key, int] = {}
    for place, one in enumerate(wanted):
        if isinstance(one.fields, Refused):
            edits.append(one.fields)
            continue
        cid = writing.mutations.cid(writing.key, place)
        edits.append(Edit(cid, op, name, one.id, one.fields, one.source, one.verified))
        if one.expected_version is not None:
            versions[name, one.id] = seq_of(one.expected_version, epoch)
    await context.refresh()
    refused = await writing.mutations.write_each(edits, versions, all_or_none)
    await context.refresh()
    if all_or_none and any(refused):
        writing.is_done = False
        refused = [error or Refused("bulk_rejected") for error in refused]
    shown = await asyncio.gather(
        *(
            context.related(type_, one.id) if error is None or error.code == "version_conflict" else _none()
            for one, error in zip(wanted, refused, strict=True)
        )
    )
    results: list[S | Refusal | VersionConflict] = []
    for node, error in zip(shown, refused, strict=True):
        if error is None:
            results.append(saved(node))
        elif error.code == "version_conflict" and node is not None:
            results.append(conflict(error, context.lang, node))
        elif error.code == "version_conflict":
            results.append(refusal(Refused("not_found", entity=name), context.lang))
        else:
            results.append(refusal(error, context.lang))
    return {"written": sum(error is None for error in refused), "results": results}


async def _none() -> None:
    return None
