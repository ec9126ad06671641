"""Where values are from, and what a person says of those that wait to be verified (S22, S23)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from enum import Enum
from typing import TypeVar, cast

import strawberry

from regulars_schema.declare import JSON
from regulars_server.access.rights import WRITE
from regulars_server.graph.declared import mutation, valued
from regulars_server.graph.payloads import CustomerResult, CustomerSaved
from regulars_server.graph.request import Context, Info
from regulars_server.graph.rows import Node
from regulars_server.graph.scalars import UUID, Money, instant_of
from regulars_server.graph.types import Customer
from regulars_server.graph.writing import Writing, fitting, settled_on
from regulars_server.mutations import Edit
from regulars_server.storage.interface import All, Order, Test
from regulars_sync import document
from regulars_sync.changes import Source
from regulars_sync.errors import Refused
from regulars_sync.ids import made_id
from regulars_sync.merge import Candidate, Registers
from regulars_sync.verifying import CLOSED, PLAN, judged, pending, standing_of, task

TASKS_MAX = 1_000

N = TypeVar("N", bound=Node)


@strawberry.enum(description="来源 · Where a value is from.")
class ValueSource(Enum):
    STAFF_VISIT = valued("staff_visit", "员工访问 · A member of staff found it out")
    SELF_FORM = valued("self_form", "客户自填 · The customer filled it in; it waits to be verified")
    AGENCY = valued("agency", "专业机构 · An agency looked into it")
    IMPORT = valued("import", "导入 · A file said it")
    POS = valued("pos", "收银系统 · The cash system said it")
    RULE = valued("rule", "规则 · A rule concluded it")


@strawberry.input(description="Which value is looked at, and what is found.")
class ValueVerifyInput:
    customer_id: UUID = strawberry.field(description="Whose value it is.")
    path: str = strawberry.field(description="The field; of a set `field/key`.")
    is_true: bool = strawberry.field(description="False rejects the value.")
    cid: str | None = strawberry.field(
        description="Of the value that is meant, as `contested` tells it; by default the one that waits, or"
        " the one that is shown.",
        default=None,
    )


@strawberry.input(description="Which agency looked into a customer, and what that cost (S22, S23).")
class AgencyInput:
    name: str = strawberry.field(description="What it is called.")
    cost: Money | None = strawberry.field(description="What it cost, in minor units.", default=None)
    currency: str | None = strawberry.field(description="Of the cost, such as CNY.", default=None)
    note: str | None = strawberry.field(description="What else is to be said of it.", default=None)


@strawberry.type
class VerifyingMutations:
    @mutation(
        "Say that a value is true, or that it is not: it then yields to another beside it, or stays and says"
        " that it was rejected. When nothing of the customer waits any more, its task is done."
    )
    async def value_verify(
        self,
        info: Info,
        idempotency_key: str,
        input: ValueVerifyInput,
        expected_version: str | None = None,
    ) -> CustomerResult:
        id = input.customer_id

        async def run(writing: Writing) -> CustomerSaved:
            context = info.context
            if await context.related(Customer, id) is None:
                raise Refused("not_found", entity="customer", field="customerId")
            members = await context.cluster(id)
            nodes = await context.related_all(Customer, members)
            values = _values([document.decode(node.row.documents) for node in nodes], input.path)
            try:
                with fitting():
                    found = judged(writing.entity("customer"), input.path, values, input.cid, input.is_true)
            except KeyError:
                raise Refused("choice_gone", field=input.path) from None
            written = {input.path: found.value}
            edits = [Edit(writing.cid, "edit", "customer", id, written, found.source, found.verified)]
            if not await _waiting(context, members, input.path):
                for place, open_ in enumerate(await _open_tasks(context, members), 1):
                    cid = writing.mutations.cid(writing.key, place)
                    edits.append(Edit(cid, "edit", "task", open_, {"status": "done"}))
            return CustomerSaved(customer=await writing.write_together(Customer, edits, expected_version))

        return await settled_on(info.context, idempotency_key, "customer", id, run)


def word_of(source: ValueSource | None) -> Source | None:
    """As changes say it."""
    return None if source is None else cast(Source, source.value)


async def write_filled(
    writing: Writing,
    type_: type[N],
    edit: Edit,
    source: ValueSource | None,
    customer: str,
    home: str | None,
    expected: str | None = None,
    agency: AgencyInput | None = None,
) -> N | None:
    """Write an edit about a customer, as from this source; what then waits gets a task to verify it, and
    what an agency found a fact that says what it cost."""
    said = word_of(source)
    if agency is not None and said != "agency":
        raise Refused("argument_invalid", reason="`agency` goes with the origin AGENCY.", field="agency")
    edit = replace(edit, source=said, verified=standing_of(said))
    edits = [edit]
    if edit.verified == "pending":
        context = writing.context
        day = (await today_of(context, home)).isoformat()
        async with context.reading() as reader:
            clusters = await reader.clusters([customer])
        tasks = await _tasks(context, clusters.get(customer, (customer,)))
        fields = task(customer, day, {subject: status for _, subject, status in tasks})
        if fields is not None:
            id = made_id("task", PLAN, customer, str(fields["subject"]))
            edits.append(Edit(writing.mutations.cid(writing.key, 1), "create", "task", id, fields))
    if agency is not None:
        edits.append(_looked_into(writing, edit, customer, agency))
    return await writing.write_together(type_, edits, expected)


def _looked_into(writing: Writing, edit: Edit, customer: str, agency: AgencyInput) -> Edit:
    context = writing.context
    context.principal.require(WRITE["interaction"])
    line = {"name": agency.name, "cost": agency.cost, "currency": agency.currency}
    told = {"staff": context.principal.staff, "note": agency.note}
    fields: dict[str, JSON] = {
        "kind": "survey",
        "at": instant_of(context.service.now_ms()),
        "party": [{"customer": customer, "role": "principal"}],
        "agency": agency.name,
        "looked_into": sorted({path.partition("/")[0] for path in edit.fields}),
        **{name: value for name, value in told.items() if value is not None},
    }
    if agency.cost is not None:
        fields["lines"] = [{name: value for name, value in line.items() if value is not None}]
    cid = writing.mutations.cid(writing.key, 2)
    return Edit(cid, "create", "interaction", writing.mutations.new_id("interaction", cid), fields)


def kind_of(customer: Customer) -> str:
    """Whoever was registered without a kind is a person."""
    return customer.row.values.get("kind") or "person"


async def today_of(context: Context, home: str | None) -> date:
    """The day at a customer's home unit; at the writer's for a customer without one."""
    tree = await context.service.admission.tree()
    zone = tree.place(home or context.author.unit).zone
    return datetime.fromtimestamp(context.service.now_ms() / 1000, UTC).astimezone(zone).date()


def _values(registers: Iterable[Registers], path: str) -> list[Candidate]:
    found = {cid: c for some in registers if path in some for cid, c in some[path].values.items()}
    return list(found.values())


async def _waiting(context: Context, members: Iterable[str], but: str) -> bool:
    """Whether another value of the person waits, also where it is not this reader's to see."""
    await context.refresh()  # one reader at a time
    async with context.service.storage.unscoped_reader() as reader:
        cards = await reader.find("customer", members)
        ours = Test("customer", "in", list(members))
        values = await reader.select("custom_value", ours, Order(), TASKS_MAX)
    rows = [(True, row) for row in cards.values()] + [(False, row) for row in values]
    return any(
        path != but or not is_card
        for is_card, row in rows
        for path in pending(document.decode(row.documents))
    )


async def _tasks(context: Context, members: Iterable[str]) -> list[tuple[str, str, str]]:
    """(id, subject, status) of the person's tasks to verify what it filled in."""
    ours = All((Test("customer", "in", list(members)), Test("plan", "eq", PLAN)))
    async with context.reading() as reader:
        found = await reader.select("task", ours, Order(), TASKS_MAX)
    entity = context.service.storage.registry.by_name["task"]
    rows = [(row.id, document.shown(entity, document.decode(row.documents))) for row in found]
    return [(id, said["subject"], said.get("status") or "open") for id, said in rows]


async def _open_tasks(context: Context, members: Iterable[str]) -> list[str]:
    return [id for id, _, status in await _tasks(context, members) if status not in CLOSED]
