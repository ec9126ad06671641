"""The root of queries."""

from __future__ import annotations

from enum import Enum

import strawberry

from regulars_schema.declare import Enum as EnumType
from regulars_schema.declare import Label, Level, List, Struct, Type
from regulars_server.graph import ledger
from regulars_server.graph.choices import LedgerConnection, LedgerFilter
from regulars_server.graph.choices import ledger as read_ledger
from regulars_server.graph.connection import Connection, page
from regulars_server.graph.declared import resolved, valued
from regulars_server.graph.enums import EntityName
from regulars_server.graph.history import HistoryConnection, LoggedChange
from regulars_server.graph.history import history as read_history
from regulars_server.graph.history import logged_change as read_logged_change
from regulars_server.graph.identities import IdentityQueries
from regulars_server.graph.ledger import EqualKey, HeldConnection, NumberGap
from regulars_server.graph.ledger import gaps as read_gaps
from regulars_server.graph.request import Info
from regulars_server.graph.roots import RowQueries
from regulars_server.graph.rows import Node
from regulars_server.graph.scalars import SCALARS, UUID
from regulars_server.graph.types import TYPES, Customer, Device, Segment, Staff, Unit
from regulars_server.storage.interface import Test


@strawberry.enum(description="A language of labels.")
class Language(Enum):
    ZH = valued("zh", "中文")
    EN = valued("en", "English")


@strawberry.type(description="Whom the token stands for, and what it may read.")
class Me:
    kind: str = strawberry.field(description="session, developer or device.")
    name: str
    role: str
    sensitive: bool = strawberry.field(description="Whether sensitive fields are shown.")
    head_office: bool
    whole_chain: bool = strawberry.field(
        description="Whether nothing is out of reach; `units` is empty then."
    )
    unit_ids: list[UUID]
    staff_id: UUID | None
    device_id: UUID | None

    @resolved("The units granted; all below them are within reach too.")
    async def units(self, info: Info) -> list[Unit]:
        return await info.context.related_all(Unit, self.unit_ids)

    @resolved()
    async def staff(self, info: Info) -> Staff | None:
        return await info.context.related(Staff, self.staff_id)

    @resolved()
    async def device(self, info: Info) -> Device | None:
        return await info.context.related(Device, self.device_id)


@strawberry.type
class EnumValueLabel:
    name: str = strawberry.field(description="The name in GraphQL.")
    value: str = strawberry.field(description="The value in files and on tablets.")
    label: str


@strawberry.type
class EnumLabels:
    name: str
    values: list[EnumValueLabel]


@strawberry.type
class FieldLabel:
    name: str
    label: str
    sensitive: bool
    rule: str = strawberry.field(description="How values that have not seen each other are settled.")


@strawberry.type
class EntityLabels:
    name: str
    label: str
    fields: list[FieldLabel]


@strawberry.type
class Query(RowQueries, IdentityQueries):
    @resolved("Any row by its id; null when there is none within reach.")
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:
        try:
            known = SCALARS[UUID].parse_value(str(id))  # type: ignore[misc]
        except Exception:
            return None
        for type_ in TYPES.values():
            found = await info.context.related(type_, known)
            if found is not None:
                return found
        return None

    @resolved("Every change of a row within reach, or those of one of its fields, oldest first.")
    async def history(
        self,
        info: Info,
        entity: EntityName,
        id: UUID,
        path: str | None = None,
        first: int | None = None,
        after: str | None = None,
    ) -> HistoryConnection:
        return await read_history(info.context, entity.value, id, path, first, after)

    @resolved("One change by its cid; null when there is none within reach.")
    async def logged_change(self, info: Info, cid: str) -> LoggedChange | None:
        return await read_logged_change(info.context, cid)

    @resolved("Numbers that a tablet said it has lost, with the changes under them; the latest first.")
    async def gaps(self, info: Info, device: UUID | None = None, first: int | None = None) -> list[NumberGap]:
        return await read_gaps(info.context, device, first)

    @resolved("What was decided by itself: between values, of stamps and of normal forms; the latest first.")
    async def ledger(
        self,
        info: Info,
        where: LedgerFilter | None = None,
        first: int | None = None,
        after: str | None = None,
    ) -> LedgerConnection:
        return await read_ledger(info.context, where, first, after)

    @resolved("Changes that were held or rejected and that nobody mended or dropped.")
    async def held_changes(
        self, info: Info, first: int | None = None, after: str | None = None, device: UUID | None = None
    ) -> HeldConnection:
        return await ledger.held_changes(info.context, first, after, device)

    @resolved("Customers that may be one person: groups with an equal key.")
    async def equal_keys(self, info: Info, first: int | None = None) -> list[EqualKey]:
        return await ledger.equal_keys(info.context, first)

    @resolved("The static members of a segment within reach; null when there is no such segment.")
    async def segment_members(
        self,
        info: Info,
        segment: UUID,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[Customer] | None:
        if await info.context.related(Segment, segment) is None:
            return None
        fixed = Test("segments", "has", segment)
        order = "id asc"
        return await page(info.context, Customer, first, after, last, before, None, order, None, fixed, True)

    @resolved("Whom the token stands for.")
    async def me(self, info: Info) -> Me:
        principal, author = info.context.principal, info.context.author
        units = principal.units if principal.device is None else (author.unit,)
        return Me(
            kind=principal.kind,
            name=principal.name,
            role=principal.role,
            sensitive=principal.sensitive,
            head_office=author.head_office,
            whole_chain=principal.units is None,
            unit_ids=[UUID(unit) for unit in units or () if unit],
            staff_id=UUID(principal.staff) if principal.staff else None,
            device_id=UUID(principal.device) if principal.device else None,
        )

    @resolved("Every closed list with the labels of its values.")
    def enum_labels(self, info: Info, lang: Language = Language.EN) -> list[EnumLabels]:
        found: dict[str, EnumType] = {}
        for entity in info.context.service.storage.registry.entities:
            for field in entity.fields:
                for type_ in _inner(field.type):
                    if isinstance(type_, EnumType):
                        found[type_.name] = type_
        return [
            EnumLabels(
                name=name,
                values=[
                    EnumValueLabel(name=value.upper(), value=value, label=_said(label, lang))
                    for value, label in found[name].values.items()
                ],
            )
            for name in sorted(found)
        ]

    @resolved("The labels of entities and their fields.")
    def labels(self, info: Info, lang: Language = Language.EN) -> list[EntityLabels]:
        registry = info.context.service.storage.registry
        return [
            EntityLabels(
                name=name,
                label=_said(registry.by_name[name].label, lang),
                fields=[
                    FieldLabel(
                        name=field.name,
                        label=_said(field.label, lang),
                        sensitive=field.level is Level.SENSITIVE,
                        rule=str(field.rule),
                    )
                    for field in registry.by_name[name].fields
                ],
            )
            for name in TYPES
        ]


def _said(label: Label, lang: Language) -> str:
    return label.zh if lang is Language.ZH else label.en


def _inner(type_: Type) -> list[Type]:
    if isinstance(type_, List):
        return _inner(type_.of)
    if isinstance(type_, Struct):
        return [inner for part in type_.parts.values() for inner in _inner(part.type)]
    return [type_]
