"""Fields of a chain's own (S20): their definitions, and what they say of a customer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import strawberry
from strawberry import UNSET, scalars

from regulars_schema.custom import SETS, check_definition, column, shown, written
from regulars_schema.declare import JSON
from regulars_server.graph.declared import mutation
from regulars_server.graph.enums import (
    CardSection,
    CustomerKind,
    CustomFieldKind,
    CustomRule,
    CustomTab,
    Sensitivity,
)
from regulars_server.graph.inputs import CustomLabelInput
from regulars_server.graph.payloads import GONE
from regulars_server.graph.problems import Refusal, VersionConflict
from regulars_server.graph.request import Context, Info
from regulars_server.graph.scalars import UUID
from regulars_server.graph.types import Customer, CustomValue, FieldDef
from regulars_server.graph.verifying import ValueSource, kind_of, write_filled
from regulars_server.graph.writing import Writing, fields_of, fitting, settled_on
from regulars_server.mutations import Edit
from regulars_server.storage.interface import Order
from regulars_sync import document
from regulars_sync.errors import Refused
from regulars_sync.ids import made_id
from regulars_sync.merge import choose

FIELDS_MAX = 1_000


@strawberry.input(description="A field of the chain's own. Its key, type, rule and sensitivity never change.")
class FieldDefInput:
    key: str = strawberry.field(description="By which it is known, such as `shoe_size`.")
    label: CustomLabelInput = strawberry.field(description="What people call it.")
    type: CustomFieldKind = strawberry.field(description="What it holds.")
    rule: CustomRule = strawberry.field(description="How values that have not seen each other are settled.")
    sensitivity: Sensitivity = strawberry.field(description="Who may read it.", default=Sensitivity.INTERNAL)
    section: CardSection | None = strawberry.field(description="Where on the card.", default=UNSET)
    tab: CustomTab | None = strawberry.field(description="In which of the three groups.", default=UNSET)
    for_kind: CustomerKind | None = strawberry.field(
        description="Of which kind of customers; left out: of all.", default=UNSET
    )
    choices: list[str] | None = strawberry.field(
        description="What may be chosen, where its type is CHOICE.", default=UNSET
    )
    archived: bool | None = strawberry.field(description="True: nothing is written to it.", default=UNSET)


@strawberry.input(description="What a custom field says of a customer.")
class CustomValueInput:
    customer_id: UUID = strawberry.field(description="Of whom.")
    field: str = strawberry.field(description="The field, by its key.")
    value: scalars.JSON | None = strawberry.field(
        description="The value; null clears it. Of a set a list of items to add, or an object that says"
        " of each item whether it is there.",
        default=None,
    )
    source: ValueSource | None = strawberry.field(description="Where it is from.", default=None)


@strawberry.type
class FieldDefSaved:
    field_def: FieldDef | None = strawberry.field(description=GONE)


@strawberry.type
class CustomValueSaved:
    custom_value: CustomValue | None = strawberry.field(description=GONE)
    field: CustomField | None = strawberry.field(description="What the field says now.")


@strawberry.type(description="自定义字段 · What a field of the chain's own says of a customer.")
class CustomField:
    definition: FieldDef = strawberry.field(description="The field.")
    value: scalars.JSON | None = strawberry.field(
        description="The value shown; of a set its items; null for nothing."
    )
    source: str | None
    verified: str | None
    contested: bool = strawberry.field(
        description="Whether several values stand beside each other: `CustomValue.contested` tells them."
    )
    hidden: bool = strawberry.field(description="Sensitive, and you may not read it: `value` says nothing.")


FieldDefResult = Annotated[FieldDefSaved | Refusal | VersionConflict, strawberry.union("FieldDefResult")]
CustomValueResult = Annotated[
    CustomValueSaved | Refusal | VersionConflict, strawberry.union("CustomValueResult")
]


@strawberry.type
class CustomMutations:
    @mutation("Make a field of the chain's own, or edit it: its id is made of its key. Head office only.")
    async def field_def_save(
        self, info: Info, idempotency_key: str, input: FieldDefInput, expected_version: str | None = None
    ) -> FieldDefResult:
        id = made_id("field_def", input.key)

        async def run(writing: Writing) -> FieldDefSaved:
            fields = fields_of(writing.entity("field_def"), input)
            with fitting():
                check_definition(fields)
            edit = Edit(writing.cid, "create", "field_def", id, fields)
            return FieldDefSaved(field_def=await writing.write(FieldDef, edit, expected_version))

        return await settled_on(info.context, idempotency_key, "field_def", id, run)

    @mutation("Say what a field of the chain's own is of a customer.")
    async def custom_value_set(
        self,
        info: Info,
        idempotency_key: str,
        input: CustomValueInput,
        expected_version: str | None = None,
    ) -> CustomValueResult:
        customer, of = input.customer_id, made_id("field_def", input.field)
        id = made_id("custom_value", customer, of)

        async def run(writing: Writing) -> CustomValueSaved:
            context = info.context
            definition = await context.related(FieldDef, of)
            if definition is None or definition.archived:
                raise Refused("not_found", entity="field_def", field="field")
            card = await context.related(Customer, customer)
            if card is None:
                raise Refused("not_found", entity="customer", field="customerId")
            defined = definition.row.values
            if defined["sensitivity"] == "sensitive" and not context.sensitive:
                raise Refused("not_allowed")
            kind = kind_of(card)
            if defined.get("for_kind") not in (None, kind):
                raise Refused("scheme_kind", field="field", scheme=input.field, kind=kind)
            value: JSON = input.value
            if defined["rule"] in SETS and isinstance(value, list):
                value = {str(item): True for item in value}
            with fitting():
                fields = written(defined, value)
            edit = Edit(
                writing.cid, "create", "custom_value", id, {"customer": customer, "field_def": of, **fields}
            )
            home = card.row.values.get("home_unit")
            saved = await write_filled(
                writing, CustomValue, edit, input.source, customer, home, expected_version
            )
            return CustomValueSaved(custom_value=saved, field=_field(context, definition, saved))

        return await settled_on(info.context, idempotency_key, "custom_value", id, run)


async def custom_fields(context: Context, customer: Customer) -> list[CustomField]:
    """Every field that applies to the customer, whether it says something or not, by key."""
    definitions = await context.loaded("field_defs", partial(_definitions, context), "")
    members = await context.cluster(customer.row.id)
    found = await context.named(CustomValue, customer.row.id, FIELDS_MAX, None)
    values: dict[str, CustomValue] = {}
    nodes = [context.node(CustomValue, row) for row in found]
    for node in sorted(nodes, key=lambda node: members.index(node.customer_id)):
        values.setdefault(node.field_def_id, node)
    kind = kind_of(customer)
    return [
        _field(context, definition, values.get(definition.row.id))
        for definition in definitions
        if not definition.archived and definition.row.values.get("for_kind") in (None, kind)
    ]


async def _definitions(context: Context, keys: list[str]) -> Sequence[object]:
    rows = await context.select(context.entity(FieldDef), None, Order("key"), FIELDS_MAX)
    return [[context.node(FieldDef, row) for row in rows] for _ in keys]


def _field(context: Context, definition: FieldDef, value: CustomValue | None) -> CustomField:
    defined = definition.row.values
    hidden = defined["sensitivity"] == "sensitive" and not context.sensitive
    name = column(defined)
    registers = {} if value is None else document.decode(value.row.documents)
    told = [r for path, r in registers.items() if path.partition("/")[0] == name and r.values]
    field = context.service.storage.registry.by_name["custom_value"].by_name[name]
    chosen = [choose(field, register.values.values()) for register in told]
    says: JSON = None if value is None or hidden else shown(defined, value.row.values)
    return CustomField(
        definition=definition,
        value=None if says is None else scalars.JSON(says),
        source=chosen[0].source if len({c.source for c in chosen}) == 1 else None,
        verified=chosen[0].verified if len({c.verified for c in chosen}) == 1 else None,
        contested=any(len(register.values) > 1 for register in told),
        hidden=hidden,
    )
