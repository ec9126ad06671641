"""Written by schema/generate.py from the declared entities: `make generate`, not by hand."""

from __future__ import annotations

from typing import Annotated

import strawberry

from regulars_server.graph import inputs, types
from regulars_server.graph.connection import Connection, page
from regulars_server.graph.declared import resolved, said
from regulars_server.graph.request import Info
from regulars_server.graph.scalars import UUID


@strawberry.type
class RowQueries:
    @resolved("组织单元 · Unit: one by its id; null when there is none within reach")
    async def unit(self, info: Info, id: UUID) -> types.Unit | None:
        return await info.context.related(types.Unit, id)

    @resolved("组织单元 · Unit: all within reach, by keyset")
    async def units(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        where: inputs.UnitWhere | None = None,
        order_by: inputs.UnitOrder = inputs.UnitOrder.ID_ASC,
    ) -> Connection[types.Unit]:
        return await page(info.context, types.Unit, first, after, last, before, where, order_by.value, None)

    @resolved("员工 · Staff: one by its id; null when there is none within reach")
    async def staff_member(self, info: Info, id: UUID) -> types.Staff | None:
        return await info.context.related(types.Staff, id)

    @resolved("员工 · Staff: all within reach, by keyset")
    async def staff(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        where: inputs.StaffWhere | None = None,
        order_by: inputs.StaffOrder = inputs.StaffOrder.ID_ASC,
    ) -> Connection[types.Staff]:
        return await page(info.context, types.Staff, first, after, last, before, where, order_by.value, None)

    @resolved("商品 · Product: one by its id; null when there is none within reach")
    async def product(self, info: Info, id: UUID) -> types.Product | None:
        return await info.context.related(types.Product, id)

    @resolved("商品 · Product: all within reach, by keyset")
    async def products(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        where: inputs.ProductWhere | None = None,
        order_by: inputs.ProductOrder = inputs.ProductOrder.ID_ASC,
        search: str | None = None,
    ) -> Connection[types.Product]:
        return await page(
            info.context, types.Product, first, after, last, before, where, order_by.value, search
        )

    @resolved("设备 · Device: one by its id; null when there is none within reach")
    async def device(self, info: Info, id: UUID) -> types.Device | None:
        return await info.context.related(types.Device, id)

    @resolved("设备 · Device: all within reach, by keyset")
    async def devices(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        where: inputs.DeviceWhere | None = None,
        order_by: inputs.DeviceOrder = inputs.DeviceOrder.ID_ASC,
    ) -> Connection[types.Device]:
        return await page(info.context, types.Device, first, after, last, before, where, order_by.value, None)

    @resolved("分群 · Segment: one by its id; null when there is none within reach")
    async def segment(self, info: Info, id: UUID) -> types.Segment | None:
        return await info.context.related(types.Segment, id)

    @resolved("分群 · Segment: all within reach, by keyset")
    async def segments(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        where: inputs.SegmentWhere | None = None,
        order_by: inputs.SegmentOrder = inputs.SegmentOrder.ID_ASC,
        search: str | None = None,
    ) -> Connection[types.Segment]:
        return await page(
            info.context, types.Segment, first, after, last, before, where, order_by.value, search
        )

    @resolved("自定义字段 · Custom field: one by its id; null when there is none within reach")
    async def field_def(self, info: Info, id: UUID) -> types.FieldDef | None:
        return await info.context.related(types.FieldDef, id)

    @resolved("自定义字段 · Custom field: all within reach, by keyset")
    async def field_defs(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        where: inputs.FieldDefWhere | None = None,
        order_by: inputs.FieldDefOrder = inputs.FieldDefOrder.ID_ASC,
    ) -> Connection[types.FieldDef]:
        return await page(
            info.context, types.FieldDef, first, after, last, before, where, order_by.value, None
        )

    @resolved("顾客 · Customer: one by its id; null when there is none within reach")
    async def customer(self, info: Info, id: UUID) -> types.Customer | None:
        return await info.context.related(types.Customer, id)

    @resolved("顾客 · Customer: all within reach, by keyset; one for each person, or every row (`merged`)")
    async def customers(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        where: inputs.CustomerWhere | None = None,
        order_by: inputs.CustomerOrder = inputs.CustomerOrder.ID_ASC,
        search: str | None = None,
        merged: Annotated[bool, said("Every row, also those that are one person.")] = False,
    ) -> Connection[types.Customer]:
        return await page(
            info.context,
            types.Customer,
            first,
            after,
            last,
            before,
            where,
            order_by.value,
            search,
            persons=not merged,
        )

    @resolved("任务 · Task: one by its id; null when there is none within reach")
    async def task(self, info: Info, id: UUID) -> types.Task | None:
        return await info.context.related(types.Task, id)

    @resolved("任务 · Task: all within reach, by keyset")
    async def tasks(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        where: inputs.TaskWhere | None = None,
        order_by: inputs.TaskOrder = inputs.TaskOrder.ID_ASC,
    ) -> Connection[types.Task]:
        return await page(info.context, types.Task, first, after, last, before, where, order_by.value, None)

    @resolved("往来 · Interaction: one by its id; null when there is none within reach")
    async def interaction(self, info: Info, id: UUID) -> types.Interaction | None:
        return await info.context.related(types.Interaction, id)

    @resolved("往来 · Interaction: all within reach, by keyset")
    async def interactions(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        where: inputs.InteractionWhere | None = None,
        order_by: inputs.InteractionOrder = inputs.InteractionOrder.AT_DESC,
    ) -> Connection[types.Interaction]:
        return await page(
            info.context, types.Interaction, first, after, last, before, where, order_by.value, None
        )
