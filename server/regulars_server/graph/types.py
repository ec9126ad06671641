"""Written by schema/generate.py from the declared entities: `make generate`, not by hand. Long because: every field has its line."""
# ruff: noqa: E501 (descriptions)

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

import strawberry

from regulars_schema.declare import JSON
from regulars_server.graph.card import Card, card_of
from regulars_server.graph.connection import Connection
from regulars_server.graph.declared import Language, reference, resolved
from regulars_server.graph.enums import (
    AcquisitionChannel,
    Calendar,
    Channel,
    CreditStatus,
    CustomerKind,
    Gender,
    IdentityDecision,
    IdentityReason,
    IncomeBand,
    InteractionKind,
    LinkKind,
    Outcome,
    PartyRole,
    PrivacyNotice,
    ReportClass,
    StaffRole,
    UnitKind,
)
from regulars_server.graph.request import Info
from regulars_server.graph.rows import Element, Node, Reads, Value
from regulars_server.graph.scalars import UUID, Date, DateTime, Money

if TYPE_CHECKING:
    from regulars_server.graph.history import HistoryConnection
    from regulars_server.graph.identities import CustomerReviews
    from regulars_server.graph.timeline import TimelineConnection


@strawberry.type(description="生日 · Birth")
class Birth:
    year: int | None = strawberry.field(description="年 · Year")
    month: int = strawberry.field(description="月 · Month")
    day: int = strawberry.field(description="日 · Day")
    calendar: Calendar | None = strawberry.field(description="历法 · Calendar")
    leap: bool | None = strawberry.field(description="闰月 · Leap month")

    @classmethod
    def of(cls, given: Mapping[str, JSON]) -> Birth:
        return cls(
            year=given.get("year"),
            month=given["month"],
            day=given["day"],
            calendar=given.get("calendar"),
            leap=given.get("leap"),
        )


@strawberry.type(description="参与人 · Member of a party")
class PartyMember:
    customer_id: UUID | None = strawberry.field(description="顾客 · Customer")
    role: PartyRole | None = strawberry.field(description="角色 · Role")
    name: str | None = strawberry.field(description="姓名 · Name")

    @classmethod
    def of(cls, given: Mapping[str, JSON]) -> PartyMember:
        return cls(customer_id=given.get("customer"), role=given.get("role"), name=given.get("name"))

    @reference("customer_id", "顾客 · Customer")
    async def customer(self, info: Info) -> Customer | None:
        return await info.context.related(Customer, self.customer_id)


@strawberry.type(description="明细 · Line")
class Line:
    product_id: UUID | None = strawberry.field(description="商品 · Product")
    name: str | None = strawberry.field(description="名称 · Name")
    quantity: int | None = strawberry.field(description="数量 · Quantity")
    amount: Money | None = strawberry.field(description="金额 · Amount in minor units")
    cost: Money | None = strawberry.field(description="成本 · Cost in minor units")
    currency: str | None = strawberry.field(description="币种 · Currency")

    @classmethod
    def of(cls, given: Mapping[str, JSON]) -> Line:
        return cls(
            product_id=given.get("product"),
            name=given.get("name"),
            quantity=given.get("quantity"),
            amount=given.get("amount"),
            cost=given.get("cost"),
            currency=given.get("currency"),
        )

    @reference("product_id", "商品 · Product")
    async def product(self, info: Info) -> Product | None:
        return await info.context.related(Product, self.product_id)


@strawberry.type(
    description="组织单元 · Unit. A node of the chain's tree: company, region, department, branch, point of sale."
)
class Unit(Node):
    ENTITY: ClassVar[str] = "unit"
    name: str = strawberry.field(description="名称 · Name")
    kind: UnitKind = strawberry.field(description="类型 · Kind")
    parent_id: UUID | None = strawberry.field(description="上级 · Parent")
    time_zone: str | None = strawberry.field(description="时区 · Time zone")
    country: str | None = strawberry.field(description="国家 · Country")
    currency: str | None = strawberry.field(description="币种 · Currency")
    external_ids: list[str] = strawberry.field(description="外部编号 · External ids")
    archived: bool | None = strawberry.field(description="已归档 · Archived")
    READS: ClassVar[Reads] = {
        **Node.READS,
        "name": Value("name", is_required=True),
        "kind": Value("kind", is_required=True),
        "parent_id": Value("parent"),
        "time_zone": Value("time_zone"),
        "country": Value("country"),
        "currency": Value("currency"),
        "external_ids": lambda row: row.keys("external_ids"),
        "archived": Value("archived"),
    }

    @reference("parent_id", "上级 · Parent; null when out of reach")
    async def parent(self, info: Info) -> Unit | None:
        return await info.context.related(Unit, self.parent_id)


@strawberry.type(
    description="员工 · Staff. A member of staff; the manager is the superior who is told of urgent reports (S86)."
)
class Staff(Node):
    ENTITY: ClassVar[str] = "staff"
    name: str = strawberry.field(description="姓名 · Name")
    role: StaffRole = strawberry.field(description="角色 · Role")
    unit_ids: list[UUID] = strawberry.field(description="所属 · Units")
    manager_id: UUID | None = strawberry.field(description="上级 · Manager")
    active: bool | None = strawberry.field(description="在职 · Active")
    external_ids: list[str] = strawberry.field(description="外部编号 · External ids")
    READS: ClassVar[Reads] = {
        **Node.READS,
        "name": Value("name", is_required=True),
        "role": Value("role", is_required=True),
        "unit_ids": lambda row: row.keys("units"),
        "manager_id": Value("manager"),
        "active": Value("active"),
        "external_ids": lambda row: row.keys("external_ids"),
    }

    @resolved("所属 · Units; those within reach")
    async def units(self, info: Info) -> list[Unit]:
        return await info.context.related_all(Unit, self.unit_ids)

    @reference("manager_id", "上级 · Manager; null when out of reach")
    async def manager(self, info: Info) -> Staff | None:
        return await info.context.related(Staff, self.manager_id)


@strawberry.type(description="商品 · Product. Mirrored from the shop system (S87).")
class Product(Node):
    ENTITY: ClassVar[str] = "product"
    name: str = strawberry.field(description="名称 · Name")
    category: str | None = strawberry.field(description="类别 · Category")
    usage_days: int | None = strawberry.field(description="使用天数 · Days of use per piece")
    refill_lead_days: int | None = strawberry.field(description="提前天数 · Days to remind before")
    price: Money | None = strawberry.field(description="价格 · Price in minor units")
    currency: str | None = strawberry.field(description="币种 · Currency")
    external_ids: list[str] = strawberry.field(description="外部编号 · External ids")
    archived: bool | None = strawberry.field(description="已归档 · Archived")
    READS: ClassVar[Reads] = {
        **Node.READS,
        "name": Value("name", is_required=True),
        "category": Value("category"),
        "usage_days": Value("usage_days"),
        "refill_lead_days": Value("refill_lead_days"),
        "price": Value("price"),
        "currency": Value("currency"),
        "external_ids": lambda row: row.keys("external_ids"),
        "archived": Value("archived"),
    }


@strawberry.type(description="设备 · Device. A tablet; its credentials are kept apart.")
class Device(Node):
    ENTITY: ClassVar[str] = "device"
    name: str = strawberry.field(description="名称 · Name")
    unit_id: UUID = strawberry.field(description="所属 · Unit")
    revoked: bool | None = strawberry.field(description="已吊销 · Revoked")
    wipe: bool | None = strawberry.field(description="已下令清除 · Ordered to wipe")
    wiped_at: DateTime | None = strawberry.field(description="清除时间 · Wiped at")
    left_unit_ids: list[UUID] = strawberry.field(description="曾属门店 · Units it was moved away from")
    READS: ClassVar[Reads] = {
        **Node.READS,
        "name": Value("name", is_required=True),
        "unit_id": Value("unit", is_required=True),
        "revoked": Value("revoked"),
        "wipe": Value("wipe"),
        "wiped_at": Value("wiped_at"),
        "left_unit_ids": lambda row: row.keys("left_units"),
    }

    @reference("unit_id", "所属 · Unit; null when out of reach")
    async def unit(self, info: Info) -> Unit | None:
        return await info.context.related(Unit, self.unit_id)

    @resolved("曾属门店 · Units it was moved away from; those within reach")
    async def left_units(self, info: Info) -> list[Unit]:
        return await info.context.related_all(Unit, self.left_unit_ids)


@strawberry.type(
    description="分群 · Segment. A named set of customers. Its static members are kept on the customers, so they follow them."
)
class Segment(Node):
    ENTITY: ClassVar[str] = "segment"
    name: str = strawberry.field(description="名称 · Name")
    purpose: str | None = strawberry.field(description="用途 · Purpose")
    owner_id: UUID | None = strawberry.field(description="负责人 · Owner")
    archived: bool | None = strawberry.field(description="已归档 · Archived")
    READS: ClassVar[Reads] = {
        **Node.READS,
        "name": Value("name", is_required=True),
        "purpose": Value("purpose"),
        "owner_id": Value("owner"),
        "archived": Value("archived"),
    }

    @reference("owner_id", "负责人 · Owner; null when out of reach")
    async def owner(self, info: Info) -> Staff | None:
        return await info.context.related(Staff, self.owner_id)


@strawberry.type(
    description="顾客 · Customer. A person or an organization that accepts the chain's product or service (S1, S10-S19)."
)
class Customer(Node):
    ENTITY: ClassVar[str] = "customer"
    name: str = strawberry.field(description="姓名 · Name")
    kind: CustomerKind | None = strawberry.field(description="性质 · Kind")
    home_unit_id: UUID | None = strawberry.field(description="所属门店 · Home unit")
    owner_id: UUID | None = strawberry.field(description="负责人 · Owner")
    phones: list[Element] = strawberry.field(description="电话 · Phones")
    emails: list[Element] = strawberry.field(description="邮箱 · E-mails")
    member_no: str | None = strawberry.field(description="会员号 · Member number")
    external_ids: list[str] = strawberry.field(description="外部编号 · External ids")
    wechat: str | None = strawberry.field(description="微信 · WeChat")
    gender: Gender | None = strawberry.field(description="性别 · Gender")
    birth: Birth | None = strawberry.field(description="生日 · Birth")
    address: str | None = strawberry.field(description="地址 · Address")
    acquisition_channel: AcquisitionChannel | None = strawberry.field(
        description="来源渠道 · Acquisition channel"
    )
    trading_since: Date | None = strawberry.field(description="首次交易 · Trading since")
    first_seen: DateTime | None = strawberry.field(description="首次到店 · First seen")
    consent_asked_at: DateTime | None = strawberry.field(description="最近询问同意 · Consent last asked")
    privacy_notice: PrivacyNotice | None = strawberry.field(description="隐私告知 · Privacy notice")
    contact_by: list[Channel] = strawberry.field(description="允许联系方式 · May be contacted by")
    preferred_channel: Channel | None = strawberry.field(description="首选渠道 · Preferred channel")
    tags: list[str] = strawberry.field(description="标签 · Tags")
    hobbies: list[str] = strawberry.field(description="爱好 · Hobbies")
    segment_ids: list[UUID] = strawberry.field(description="静态分群 · Static segments")
    notes: str | None = strawberry.field(description="备注 · Notes")
    income_band: IncomeBand | None = strawberry.field(
        description="收入 · Income band (sensitive: null without that right)"
    )
    belief: str | None = strawberry.field(description="信仰 · Belief (sensitive: null without that right)")
    credit_status: CreditStatus | None = strawberry.field(
        description="信用状况 · Credit status (sensitive: null without that right)"
    )
    tax_no: str | None = strawberry.field(
        description="税号或证件号 · Tax or identity number (sensitive: null without that right)"
    )
    archived: bool | None = strawberry.field(description="已归档 · Archived")
    READS: ClassVar[Reads] = {
        **Node.READS,
        "name": Value("name", is_required=True),
        "kind": Value("kind"),
        "home_unit_id": Value("home_unit"),
        "owner_id": Value("owner"),
        "phones": lambda row: row.elements("phones"),
        "emails": lambda row: row.elements("emails"),
        "member_no": Value("member_no"),
        "external_ids": lambda row: row.keys("external_ids"),
        "wechat": Value("wechat"),
        "gender": Value("gender"),
        "birth": lambda row: row.part("birth", Birth.of),
        "address": Value("address"),
        "acquisition_channel": Value("acquisition_channel"),
        "trading_since": Value("trading_since"),
        "first_seen": Value("first_seen"),
        "consent_asked_at": Value("consent_asked_at"),
        "privacy_notice": Value("privacy_notice"),
        "contact_by": lambda row: row.keys("contact_by"),
        "preferred_channel": Value("preferred_channel"),
        "tags": lambda row: row.keys("tags"),
        "hobbies": lambda row: row.keys("hobbies"),
        "segment_ids": lambda row: row.keys("segments"),
        "notes": Value("notes"),
        "income_band": Value("income_band"),
        "belief": Value("belief"),
        "credit_status": Value("credit_status"),
        "tax_no": Value("tax_no"),
        "archived": Value("archived"),
    }

    @reference("home_unit_id", "所属门店 · Home unit; null when out of reach")
    async def home_unit(self, info: Info) -> Unit | None:
        return await info.context.related(Unit, self.home_unit_id)

    @reference("owner_id", "负责人 · Owner; null when out of reach")
    async def owner(self, info: Info) -> Staff | None:
        return await info.context.related(Staff, self.owner_id)

    @resolved("静态分群 · Static segments; those within reach")
    async def segments(self, info: Info) -> list[Segment]:
        return await info.context.related_all(Segment, self.segment_ids)

    @resolved("The card of the person, folded from the values of all members; its id is the survivor's")
    async def golden(self, info: Info) -> Customer:
        return await info.context.golden(self)

    @resolved("The rows that are this person, as they stand, the survivor's first")
    async def members(self, info: Info) -> list[Customer]:
        return await info.context.related_all(Customer, await info.context.cluster(self.row.id))

    @resolved("The id under which the person is listed; of one that was never merged its own")
    async def survivor_id(self, info: Info) -> UUID:
        return UUID((await info.context.cluster(self.row.id))[0])

    @resolved("同住 · Who is linked with the person as of one household, those within reach")
    async def household(self, info: Info) -> list[Customer]:
        return await info.context.related_all(Customer, await info.context.household(self.row.id))

    @resolved("卡片 · The card, in its sections; the labels in the language of Accept-Language unless told")
    async def card(self, info: Info, lang: Language | None = None) -> Card:
        return card_of(self.row, info.context.lang if lang is None else lang.value, info.context.sensitive)

    @resolved("时间线 · Everything that happened to the person, the latest first")
    async def timeline(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Annotated[TimelineConnection, strawberry.lazy("regulars_server.graph.timeline")]:
        from regulars_server.graph.timeline import timeline

        return await timeline(info.context, self.row.id, first, after)

    @resolved("历史 · Every change of the row, or those of one of its fields, oldest first")
    async def history(
        self, info: Info, path: str | None = None, first: int | None = None, after: str | None = None
    ) -> Annotated[HistoryConnection, strawberry.lazy("regulars_server.graph.history")]:
        from regulars_server.graph.history import history

        info.context.principal.require("read:changes")
        return await history(info.context, self.ENTITY, self.row.id, path, first, after)

    @resolved("设备 · The tablets on which the person lives: those of the units within reach that hold it")
    async def devices(self, info: Info) -> list[Device]:
        return await info.context.tablets(Device, self.row.id)

    @resolved("待处理 · What waits for a person to decide")
    async def reviews(
        self, info: Info
    ) -> Annotated[CustomerReviews, strawberry.lazy("regulars_server.graph.identities")]:
        from regulars_server.graph.identities import reviews

        return await reviews(info.context, self)

    @resolved("关系 · Link: those within reach that name this person, newest first")
    async def links(self, info: Info, first: int | None = None, after: str | None = None) -> Connection[Link]:
        return await info.context.naming(Link, self.row.id, first, after)

    @resolved("身份判定 · Identity decision: those within reach that name this person, newest first")
    async def identities(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Identity]:
        return await info.context.naming(Identity, self.row.id, first, after)

    @resolved("往来 · Interaction: those within reach that name this person, newest first")
    async def interactions(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Interaction]:
        return await info.context.naming(Interaction, self.row.id, first, after)


@strawberry.type(
    description="关系 · Link. A relation between two customers; its id is made of both and the kind, so two tablets agree."
)
class Link(Node):
    ENTITY: ClassVar[str] = "link"
    from_customer_id: UUID = strawberry.field(description="顾客 · From")
    to_customer_id: UUID = strawberry.field(description="对象 · To")
    kind: LinkKind = strawberry.field(description="关系类型 · Kind")
    active: bool | None = strawberry.field(description="有效 · Active")
    note: str | None = strawberry.field(description="说明 · Note")
    READS: ClassVar[Reads] = {
        **Node.READS,
        "from_customer_id": Value("from_customer", is_required=True),
        "to_customer_id": Value("to_customer", is_required=True),
        "kind": Value("kind", is_required=True),
        "active": Value("active"),
        "note": Value("note"),
    }

    @reference("from_customer_id", "顾客 · From; null when out of reach")
    async def from_customer(self, info: Info) -> Customer | None:
        return await info.context.related(Customer, self.from_customer_id)

    @reference("to_customer_id", "对象 · To; null when out of reach")
    async def to_customer(self, info: Info) -> Customer | None:
        return await info.context.related(Customer, self.to_customer_id)


@strawberry.type(
    description="身份判定 · Identity decision. Whether two customers are one person. Its id is made of both, in their order, so there is one a pair. What the server says is verified, so what a branch proposes never stands before it."
)
class Identity(Node):
    ENTITY: ClassVar[str] = "identity"
    one_id: UUID = strawberry.field(description="顾客 · One")
    other_id: UUID = strawberry.field(description="另一顾客 · Other")
    decision: IdentityDecision = strawberry.field(description="判定 · Decision")
    reason: IdentityReason | None = strawberry.field(description="依据 · Reason")
    matched: str | None = strawberry.field(description="匹配字段 · Field that matched")
    suggests: IdentityDecision | None = strawberry.field(description="建议 · Suggestion")
    READS: ClassVar[Reads] = {
        **Node.READS,
        "one_id": Value("one", is_required=True),
        "other_id": Value("other", is_required=True),
        "decision": Value("decision", is_required=True),
        "reason": Value("reason"),
        "matched": Value("matched"),
        "suggests": Value("suggests"),
    }

    @reference("one_id", "顾客 · One; null when out of reach")
    async def one(self, info: Info) -> Customer | None:
        return await info.context.related(Customer, self.one_id)

    @reference("other_id", "另一顾客 · Other; null when out of reach")
    async def other(self, info: Info) -> Customer | None:
        return await info.context.related(Customer, self.other_id)


@strawberry.type(
    description="往来 · Interaction. One append-only fact (S69, S79-S82). A correction is a further fact that supersedes it; so is voiding."
)
class Interaction(Node):
    ENTITY: ClassVar[str] = "interaction"
    kind: InteractionKind = strawberry.field(description="类型 · Kind")
    at: DateTime = strawberry.field(description="时间 · At")
    unit_id: UUID | None = strawberry.field(description="门店 · Unit")
    staff_id: UUID | None = strawberry.field(description="员工 · Staff")
    channel: Channel | None = strawberry.field(description="渠道 · Channel")
    party: list[PartyMember] = strawberry.field(description="参与人 · Party")
    lines: list[Line] = strawberry.field(description="明细 · Lines")
    stage_reached: int | None = strawberry.field(description="到达阶段 · Stage reached")
    outcome: Outcome | None = strawberry.field(description="结果 · Outcome")
    report_class: ReportClass | None = strawberry.field(description="报告类别 · Report class")
    effort_min: int | None = strawberry.field(description="投入分钟 · Effort in minutes")
    note: str | None = strawberry.field(description="内容 · Note")
    supersedes_id: UUID | None = strawberry.field(description="更正 · Supersedes")
    void: bool | None = strawberry.field(description="作废 · Void")
    external_ids: list[str] = strawberry.field(description="外部编号 · External ids")
    READS: ClassVar[Reads] = {
        **Node.READS,
        "kind": Value("kind", is_required=True),
        "at": Value("at", is_required=True),
        "unit_id": Value("unit"),
        "staff_id": Value("staff"),
        "channel": Value("channel"),
        "party": lambda row: row.parts("party", PartyMember.of),
        "lines": lambda row: row.parts("lines", Line.of),
        "stage_reached": Value("stage_reached"),
        "outcome": Value("outcome"),
        "report_class": Value("report_class"),
        "effort_min": Value("effort_min"),
        "note": Value("note"),
        "supersedes_id": Value("supersedes"),
        "void": Value("void"),
        "external_ids": lambda row: row.flat.get("external_ids") or [],
    }

    @reference("unit_id", "门店 · Unit; null when out of reach")
    async def unit(self, info: Info) -> Unit | None:
        return await info.context.related(Unit, self.unit_id)

    @reference("staff_id", "员工 · Staff; null when out of reach")
    async def staff(self, info: Info) -> Staff | None:
        return await info.context.related(Staff, self.staff_id)

    @reference("supersedes_id", "更正 · Supersedes; null when out of reach")
    async def supersedes(self, info: Info) -> Interaction | None:
        return await info.context.related(Interaction, self.supersedes_id)

    @resolved("顾客 · The customers it names, those within reach")
    async def customers(self, info: Info) -> list[Customer]:
        named = [item.customer_id for item in self.party if item.customer_id is not None]
        return await info.context.related_all(Customer, named)

    @resolved("更正 · The facts that correct or void this one")
    async def superseded_by(self, info: Info) -> list[Interaction]:
        return await info.context.referring(Interaction, "supersedes", self.row.id)


TYPES: Mapping[str, type[Node]] = {
    "unit": Unit,
    "staff": Staff,
    "product": Product,
    "device": Device,
    "segment": Segment,
    "customer": Customer,
    "link": Link,
    "identity": Identity,
    "interaction": Interaction,
}
"""The GraphQL type of each entity that has one."""
