"""What is written of a customer beside its card: consents, tasks, and of whom it buys besides."""

from __future__ import annotations

from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from regulars_schema.declare import JSON
from regulars_server.graph.declared import mutation
from regulars_server.graph.enums import Channel, ConsentPurpose, TaskStatus
from regulars_server.graph.payloads import GONE
from regulars_server.graph.problems import Refusal, VersionConflict
from regulars_server.graph.request import Info
from regulars_server.graph.scalars import UUID, Date, DateTime
from regulars_server.graph.types import Consent, Supplier, Task
from regulars_server.graph.writing import Writing, fields_of, settled, settled_on
from regulars_server.mutations import Edit
from regulars_sync.clock import instant_of
from regulars_sync.errors import Refused
from regulars_sync.ids import made_id


@strawberry.input(description="A word of a customer about being contacted or looked at.")
class ConsentInput:
    customer_id: UUID = strawberry.field(description="Whose word it is.")
    purpose: ConsentPurpose = strawberry.field(description="What for.")
    granted: bool = strawberry.field(description="False withdraws it; at equal times that counts.")
    channel: Channel | None = strawberry.field(description="By which way; left out: by all.", default=UNSET)
    at: DateTime | None = strawberry.field(description="When it was said; left out: now.", default=UNSET)
    unit_id: UUID | None = strawberry.field(description="Where; left out: at your unit.", default=UNSET)
    staff_id: UUID | None = strawberry.field(description="To whom; left out: to you.", default=UNSET)
    proof: str | None = strawberry.field(description="What shows it, such as a form's number.", default=UNSET)


@strawberry.input(description="Something to be done for a customer.")
class TaskInput:
    plan: str = strawberry.field(description="The plan that it is of, such as `verify`; or a word of yours.")
    customer_id: UUID = strawberry.field(description="For whom.")
    subject: str = strawberry.field(description="What for, such as a day: two who say the same make one.")
    due: Date | None = strawberry.field(description="The day by which.", default=UNSET)
    owner_id: UUID | None = strawberry.field(description="Who is to do it.", default=UNSET)
    note: str | None = strawberry.field(description="Some words about it.", default=UNSET)


@strawberry.input(description="What became of a task.")
class TaskDoneInput:
    id: UUID
    status: TaskStatus = strawberry.field(
        description="Done, or skipped or cancelled; one that was done stays so.", default=TaskStatus.DONE
    )
    closed_by_id: UUID | None = strawberry.field(description="The interaction that did it.", default=UNSET)
    note: str | None = strawberry.field(description="Some words about it.", default=UNSET)


@strawberry.input(description="Of whom a customer buys besides.")
class SupplierInput:
    customer_id: UUID = strawberry.field(description="Which customer.")
    name: str = strawberry.field(description="The supplier; the same name is the same row.")
    satisfaction: int | None = strawberry.field(
        description="How satisfied the customer is with it, 1 to 5.", default=UNSET
    )
    note: str | None = strawberry.field(description="Some words about it.", default=UNSET)
    archived: bool | None = strawberry.field(description="True: no longer.", default=UNSET)


@strawberry.type
class ConsentSaved:
    consent: Consent | None = strawberry.field(description=GONE)


@strawberry.type
class TaskSaved:
    task: Task | None = strawberry.field(description=GONE)


@strawberry.type
class SupplierSaved:
    supplier: Supplier | None = strawberry.field(description=GONE)


ConsentResult = Annotated[ConsentSaved | Refusal, strawberry.union("ConsentResult")]
TaskResult = Annotated[TaskSaved | Refusal | VersionConflict, strawberry.union("TaskResult")]
SupplierResult = Annotated[SupplierSaved | Refusal | VersionConflict, strawberry.union("SupplierResult")]


@strawberry.type
class AttachedMutations:
    @mutation("Record that a consent was granted or withdrawn. A ledger: nothing of it is ever edited.")
    async def consent_record(self, info: Info, idempotency_key: str, input: ConsentInput) -> ConsentResult:
        async def run(writing: Writing) -> ConsentSaved:
            context = info.context
            fields = _given(writing, "consent", input)
            fields.setdefault("at", instant_of(context.service.now_ms()))
            if context.principal.staff is not None:
                fields.setdefault("staff", context.principal.staff)
            id = writing.mutations.new_id("consent", writing.cid)
            edit = Edit(writing.cid, "create", "consent", id, fields)
            return ConsentSaved(consent=await writing.write(Consent, edit))

        return await settled(info.context, idempotency_key, run)

    @mutation("Make a task, or write to it when it is there: its id is made of plan, customer and subject.")
    async def task_save(
        self, info: Info, idempotency_key: str, input: TaskInput, expected_version: str | None = None
    ) -> TaskResult:
        id = made_id("task", input.plan, input.customer_id, input.subject)

        async def run(writing: Writing) -> TaskSaved:
            fields = {"status": "open", **_given(writing, "task", input)}
            edit = Edit(writing.cid, "create", "task", id, fields)
            return TaskSaved(task=await writing.write(Task, edit, expected_version))

        return await settled_on(info.context, idempotency_key, "task", id, run)

    @mutation("Close a task. It never opens again: what comes up anew is another task.")
    async def task_done(
        self, info: Info, idempotency_key: str, input: TaskDoneInput, expected_version: str | None = None
    ) -> TaskResult:
        async def run(writing: Writing) -> TaskSaved:
            if input.status is TaskStatus.OPEN:
                raise Refused("argument_invalid", reason="A closed task does not open again.")
            fields = {"status": input.status.value, **_given(writing, "task", input)}
            return TaskSaved(task=await writing.edit(Task, input.id, fields, expected_version))

        return await settled_on(info.context, idempotency_key, "task", input.id, run)

    @mutation("Say of whom a customer buys besides, and how satisfied it is there.")
    async def supplier_set(
        self, info: Info, idempotency_key: str, input: SupplierInput, expected_version: str | None = None
    ) -> SupplierResult:
        id = made_id("supplier", input.customer_id, input.name)

        async def run(writing: Writing) -> SupplierSaved:
            edit = Edit(writing.cid, "create", "supplier", id, _given(writing, "supplier", input))
            return SupplierSaved(supplier=await writing.write(Supplier, edit, expected_version))

        return await settled_on(info.context, idempotency_key, "supplier", id, run)


def _given(writing: Writing, entity: str, input: Any) -> dict[str, JSON]:
    """What an input says; null is as if it were left out."""
    return {
        path: value for path, value in fields_of(writing.entity(entity), input).items() if value is not None
    }
