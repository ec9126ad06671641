"""The root of queries."""

from __future__ import annotations

from collections.abc import Sequence

import strawberry
from graphql import GraphQLEnumType, GraphQLError

from regulars_schema.declare import Label, Level
from regulars_server.graph import ledger
from regulars_server.graph.cards import CardQueries
from regulars_server.graph.choices import LedgerConnection, LedgerFilter
from regulars_server.graph.choices import ledger as read_ledger
from regulars_server.graph.connection import ROWS_MAX, Connection, page
from regulars_server.graph.declared import Language, resolved
from regulars_server.graph.enums import EntityName
from regulars_server.graph.history import HistoryConnection, LoggedChange
from regulars_server.graph.history import history as read_history
from regulars_server.graph.history import logged_change as read_logged_change
from regulars_server.graph.identities import IdentityQueries
from regulars_server.graph.imports import ImportQueries
from regulars_server.graph.ledger import EqualKey, HeldConnection, NumberGap
from regulars_server.graph.ledger import gaps as read_gaps
from regulars_server.graph.movements import StandingProgress
from regulars_server.graph.movements import progress as read_progress
from regulars_server.graph.request import Context, Info
from regulars_server.graph.roots import RowQueries
from regulars_server.graph.rows import Node
from regulars_server.graph.rules import RuleQueries
from regulars_server.graph.scalars import SCALARS, UUID
from regulars_server.graph.schemes import SchemeQueries
from regulars_server.graph.segments import SegmentQueries, members_of
from regulars_server.graph.tokens import TokenQueries
from regulars_server.graph.types import TYPES, Customer, Device, Segment, Staff, Unit
from regulars_server.graph.words import said
from regulars_server.graph.works import WorkQueries
from regulars_sync.errors import Refused

NODES_MAX = ROWS_MAX


@strawberry.type(description="Whom the token stands for, and what it may read.")
class Me:
    kind: str = strawberry.field(description="`session`, `developer` or `device`.")
    name: str = strawberry.field(description="Of the person, program or tablet.")
    role: str = strawberry.field(description="What it may do: docs/API.md says of each.")
    sensitive: bool = strawberry.field(description="Whether sensitive fields are shown.")
    head_office: bool = strawberry.field(description="Whether it may write what head office alone writes.")
    whole_chain: bool = strawberry.field(
        description="Whether nothing is out of reach; `units` is empty then."
    )
    unit_ids: list[UUID] = strawberry.field(description="The units granted, by id.")
    staff_id: UUID | None = strawberry.field(description="The member of staff, by id.")
    device_id: UUID | None = strawberry.field(description="The tablet, by id.")

    @resolved("The units granted; all below them are within reach too.")
    async def units(self, info: Info) -> list[Unit]:
        return await info.context.related_all(Unit, self.unit_ids)

    @resolved("The member of staff; null for a program or a tablet.")
    async def staff(self, info: Info) -> Staff | None:
        return await info.context.related(Staff, self.staff_id)

    @resolved("The tablet; null for a person or a program.")
    async def device(self, info: Info) -> Device | None:
        return await info.context.related(Device, self.device_id)


@strawberry.type(description="A value of a closed list, in one language.")
class EnumValueLabel:
    name: str = strawberry.field(description="The name in GraphQL.")
    value: str = strawberry.field(description="The value in files and on tablets, where it stands in any.")
    label: str = strawberry.field(description="What people call it.")


@strawberry.type(description="A closed list, in one language.")
class EnumLabels:
    name: str = strawberry.field(description="The name of the enum in GraphQL.")
    label: str = strawberry.field(description="What people call it.")
    values: list[EnumValueLabel] = strawberry.field(description="Its values, in their order.")


@strawberry.type(description="A field of an entity, in one language.")
class FieldLabel:
    name: str = strawberry.field(description="The name in files, paths and on tablets.")
    label: str = strawberry.field(description="What people call it.")
    sensitive: bool = strawberry.field(description="Whether it takes that right to read it.")
    rule: str = strawberry.field(description="How values that have not seen each other are settled.")


@strawberry.type(description="An entity, in one language.")
class EntityLabels:
    name: str = strawberry.field(description="The name in files and on tablets.")
    label: str = strawberry.field(description="What people call it.")
    fields: list[FieldLabel] = strawberry.field(description="Its fields, in their order.")


async def _nodes(context: Context, ids: Sequence[str]) -> list[Node | None]:
    """The row of each id; one statement for each entity, whichever the ids are."""
    known = [_uuid(id) for id in ids]
    found: dict[str, Node] = {}
    for type_ in TYPES.values():
        wanted = [id for id in known if id is not None and id not in found]
        found |= {node.row.id: node for node in await context.related_all(type_, wanted)}
    return [None if id is None else found.get(id) for id in known]


def _uuid(id: str) -> str | None:
    """The id as rows have it; None for what can be no row's."""
    try:
        return str(SCALARS[UUID].parse_value(str(id)))  # type: ignore[misc]
    except GraphQLError:
        return None


@strawberry.type
class Query(
    CardQueries,
    WorkQueries,
    ImportQueries,
    RowQueries,
    RuleQueries,
    SchemeQueries,
    SegmentQueries,
    IdentityQueries,
    TokenQueries,
):
    @resolved("Any row by its id; null when there is none within reach.")
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:
        (found,) = await _nodes(info.context, [id])
        return found

    @resolved(
        "The rows with these ids, in their order; null for each that is not within reach. "
        f"At most {NODES_MAX} ids."
    )
    async def nodes(self, info: Info, ids: list[strawberry.ID]) -> list[Node | None]:
        if len(ids) > NODES_MAX:
            raise Refused("query_too_large", what="ids", limit=NODES_MAX)
        return await _nodes(info.context, ids)

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

    @resolved(
        "How far the servers are with looking at customers since a rule changed; null when nobody waits, and"
        " for whoever does not see the whole chain."
    )
    async def standing_progress(self, info: Info) -> StandingProgress | None:
        return await read_progress(info.context)

    @resolved("Customers that may be one person: groups with an equal key.")
    async def equal_keys(self, info: Info, first: int | None = None) -> list[EqualKey]:
        return await ledger.equal_keys(info.context, first)

    @resolved("Who is in a segment, of those within reach; null when there is no such segment.")
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
        fixed = await members_of(info.context, segment)
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
        enums = [
            type_
            for name, type_ in sorted(info._raw_info.schema.type_map.items())
            if isinstance(type_, GraphQLEnumType) and not name.startswith("__")
        ]
        return [
            EnumLabels(
                name=enum.name,
                label=said(enum.description, lang.value),
                values=[
                    EnumValueLabel(
                        name=name,
                        value=str(getattr(value.value, "value", value.value)),
                        label=said(value.description, lang.value),
                    )
                    for name, value in enum.values.items()
                ],
            )
            for enum in enums
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
