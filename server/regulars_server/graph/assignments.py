"""What a person or a program says of a customer in a scheme, and how it is taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import strawberry

from regulars_schema.declare import JSON, Level
from regulars_schema.schemes import Scheme
from regulars_schema.schemes.assigning import assigned, cleared
from regulars_schema.schemes.world import Knowledge
from regulars_server.graph.declared import mutation
from regulars_server.graph.filters import SetEdit
from regulars_server.graph.payloads import GONE
from regulars_server.graph.problems import Refusal, VersionConflict
from regulars_server.graph.request import Context, Info
from regulars_server.graph.rules import knowledge
from regulars_server.graph.scalars import UUID, Date
from regulars_server.graph.types import Assignment, Customer
from regulars_server.graph.verifying import ValueSource, kind_of, today_of, word_of
from regulars_server.graph.writing import Writing, fitting, settled_on
from regulars_server.mutations import Edit
from regulars_sync.changes import Source, Verified
from regulars_sync.errors import Refused
from regulars_sync.ids import made_id
from regulars_sync.known import IMPORTS

ABOUT_SCHEME = "The scheme, by its key, such as `tier`."


@strawberry.input(description="What is said of a customer in a scheme.")
class AssignmentInput:
    customer_id: UUID = strawberry.field(description="Of whom it is said.")
    scheme: str = strawberry.field(description=ABOUT_SCHEME)
    value: str | None = strawberry.field(
        description="The value, by its key; where a customer has several, one more.", default=None
    )
    values: SetEdit | None = strawberry.field(
        description="Where a customer has several values: which it has and has not.", default=None
    )
    reason: str | None = strawberry.field(description="Why; for whoever checks it again.", default=None)
    evidence_id: UUID | None = strawberry.field(
        description="The interaction that shows it. Some schemes ask for this, or for a reason.", default=None
    )
    pinned: bool | None = strawberry.field(
        description="That it beats the scheme's rule; by default where there is a rule.", default=None
    )
    check_by: Date | None = strawberry.field(
        description="The day on which it ends and is to be checked again; by default as the scheme says,"
        " of a pin after a year.",
        default=None,
    )
    source: ValueSource | None = strawberry.field(
        description="Where it is from: what is imported yields to what a person says.", default=None
    )


@strawberry.input(description="What is taken back.")
class AssignmentClearInput:
    customer_id: UUID = strawberry.field(description="Of whom it was said.")
    scheme: str = strawberry.field(description=ABOUT_SCHEME)


@strawberry.type(description="It was said, or taken back.")
class AssignmentSaved:
    assignment: Assignment | None = strawberry.field(description=GONE)


AssignmentResult = Annotated[
    AssignmentSaved | Refusal | VersionConflict, strawberry.union("AssignmentResult")
]


@strawberry.type
class AssignmentMutations:
    @mutation("Say what a customer is in a scheme. What two say of its tier at once waits for a third.")
    async def assignment_set(
        self,
        info: Info,
        idempotency_key: str,
        input: AssignmentInput,
        expected_version: str | None = None,
    ) -> AssignmentResult:
        id = made_id("assignment", input.customer_id, input.scheme)

        async def run(writing: Writing) -> AssignmentSaved:
            (word,) = await worded(info.context, [input])
            if isinstance(word.fields, Refused):
                raise word.fields
            edit = Edit(writing.cid, "create", "assignment", id, word.fields, word.source, word.verified)
            return AssignmentSaved(assignment=await writing.write(Assignment, edit, expected_version))

        return await settled_on(info.context, idempotency_key, "assignment", id, run)

    @mutation("Take back what was said of a customer in a scheme; where there is a rule, it decides again.")
    async def assignment_clear(
        self,
        info: Info,
        idempotency_key: str,
        input: AssignmentClearInput,
        expected_version: str | None = None,
    ) -> AssignmentResult:
        id = made_id("assignment", input.customer_id, input.scheme)

        async def run(writing: Writing) -> AssignmentSaved:
            of = await writable_scheme(info.context, input.scheme)
            row = await info.context.related(Assignment, id)
            if row is None:
                raise Refused("not_found", entity="assignment")
            edit = Edit(writing.cid, "edit", "assignment", id, cleared(of, row.row.values), None, "verified")
            return AssignmentSaved(assignment=await writing.write(Assignment, edit, expected_version))

        return await settled_on(info.context, idempotency_key, "assignment", id, run)


@dataclass(frozen=True, slots=True)
class Word:
    """What an input writes, or why it can't be said."""

    id: str
    fields: Mapping[str, JSON] | Refused
    source: Source | None
    verified: Verified | None


async def worded(context: Context, inputs: Sequence[AssignmentInput]) -> list[Word]:
    """What each input says, in order; statements do not grow with them."""
    known = await knowledge(context)
    nodes = await context.related_all(Customer, [input.customer_id for input in inputs])
    customers = {node.row.id: node for node in nodes}
    found: list[Word] = []
    for input in inputs:
        id, source = made_id("assignment", input.customer_id, input.scheme), word_of(input.source)
        fields: Mapping[str, JSON] | Refused
        try:
            fields = await _said(context, known, customers.get(input.customer_id), input, source)
        except Refused as refused:
            fields = refused
        found.append(Word(id, fields, source, None if source in IMPORTS else "verified"))
    return found


async def _said(
    context: Context,
    known: Knowledge,
    customer: Customer | None,
    input: AssignmentInput,
    source: Source | None,
) -> Mapping[str, JSON]:
    of = _scheme(context, known, input.scheme)
    if customer is None:
        raise Refused("not_found", entity="customer", field="customerId")
    values = dict.fromkeys([] if input.value is None else [input.value], True)
    if input.values is not None:
        values |= dict.fromkeys(input.values.remove or (), False)
        values |= dict.fromkeys(input.values.add or (), True)
    with fitting():
        fields = assigned(
            of,
            values,
            kind_of(customer),
            await today_of(context, customer.row.values.get("home_unit")),
            reason=input.reason,
            evidence=input.evidence_id,
            pinned=input.pinned,
            check_by=input.check_by,
            imported=source in IMPORTS,
        )
    said: dict[str, JSON] = {"customer": input.customer_id, "scheme": of.key, **fields}
    if context.principal.staff is not None:
        said["decided_by"] = context.principal.staff
    return said


async def writable_scheme(context: Context, key: str) -> Scheme:
    """`Refused`: not_found; not_allowed for a sensitive one."""
    return _scheme(context, await knowledge(context), key)


def _scheme(context: Context, known: Knowledge, key: str) -> Scheme:
    of = known.schemes.schemes.get(key)
    if of is None or key in known.archived:
        raise Refused("not_found", entity="scheme", field="scheme")
    if of.level is Level.SENSITIVE and not context.sensitive:
        raise Refused("not_allowed")
    return of
