"""Written by schema/generate.py from the declared entities: `make generate`, not by hand. Long because: every field has its line."""
# ruff: noqa: E501 (descriptions)

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

import strawberry
from strawberry import scalars

from regulars_schema.declare import JSON
from regulars_server.graph.connection import Connection
from regulars_server.graph.declared import Language, reference, resolved, said
from regulars_server.graph.enums import (
    AcquisitionChannel,
    AttentionFocus,
    Calendar,
    CardSection,
    Channel,
    ConsentPurpose,
    CreditStatus,
    CustomerKind,
    CustomFieldKind,
    CustomRule,
    CustomTab,
    Degree,
    FactStatus,
    FactTopic,
    Gender,
    IdentityDecision,
    IdentityReason,
    IncomeBand,
    InteractionKind,
    LinkKind,
    Method,
    Outcome,
    PartyRole,
    Place,
    PrivacyNotice,
    ReportClass,
    Sensitivity,
    ServicePlan,
    ServiceStance,
    StaffRole,
    StanceReason,
    TaskStatus,
    UnitKind,
)
from regulars_server.graph.findings import ExplainInput, Explanation, MetricValue
from regulars_server.graph.request import Info
from regulars_server.graph.rows import Element, Node, Reads, Value
from regulars_server.graph.scalars import UUID, Date, DateTime, Money

if TYPE_CHECKING:
    from regulars_server.graph.cards import Card
    from regulars_server.graph.custom import CustomField
    from regulars_server.graph.history import HistoryConnection
    from regulars_server.graph.identities import CustomerReviews
    from regulars_server.graph.segments import Membership, Movement
    from regulars_server.graph.standings import Standing
    from regulars_server.graph.timeline import TimelineConnection


@strawberry.type(description="字段名称 · Label of a field")
class CustomLabel:
    zh: str = strawberry.field(description="中文 · Chinese")
    en: str = strawberry.field(description="英文 · English")

    @classmethod
    def of(cls, given: Mapping[str, JSON]) -> CustomLabel:
        return cls(zh=given["zh"], en=given["en"])


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


@strawberry.type(description="免打扰时段 · Quiet hours")
class QuietHours:
    start: int = strawberry.field(description="开始（分钟） · Start, in minutes of the day")
    end: int = strawberry.field(description="结束（分钟） · End, in minutes of the day")

    @classmethod
    def of(cls, given: Mapping[str, JSON]) -> QuietHours:
        return cls(start=given["start"], end=given["end"])


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


@strawberry.type(description="所知事项 · Learned fact")
class LearnedFact:
    topic: FactTopic = strawberry.field(description="事项 · Topic")
    content: str = strawberry.field(description="内容 · Content")
    product_id: UUID | None = strawberry.field(description="商品 · Product")
    status: FactStatus | None = strawberry.field(description="状态 · Status")

    @classmethod
    def of(cls, given: Mapping[str, JSON]) -> LearnedFact:
        return cls(
            topic=given["topic"],
            content=given["content"],
            product_id=given.get("product"),
            status=given.get("status"),
        )

    @reference("product_id", "商品 · Product")
    async def product(self, info: Info) -> Product | None:
        return await info.context.related(Product, self.product_id)


@strawberry.type(description="机会评分 · Rating of an opportunity")
class Opportunity:
    urgency: int = strawberry.field(description="急迫性 · Urgency")
    effect: int = strawberry.field(description="短时间内见效 · Quick effect")
    price: int = strawberry.field(description="价格可观 · Worthwhile price")

    @classmethod
    def of(cls, given: Mapping[str, JSON]) -> Opportunity:
        return cls(urgency=given["urgency"], effect=given["effect"], price=given["price"])


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
    description="分群 · Segment. A named set of customers: those whom its rule finds, and its static members. These are kept on the customers, so they follow them, as are those whom no rule brings back. A snapshot is a campaign (S100)."
)
class Segment(Node):
    ENTITY: ClassVar[str] = "segment"
    name: str = strawberry.field(description="名称 · Name")
    purpose: str | None = strawberry.field(description="用途 · Purpose")
    owner_id: UUID | None = strawberry.field(description="负责人 · Owner")
    archived: bool | None = strawberry.field(description="已归档 · Archived")
    key: str | None = strawberry.field(description="键 · Key")
    rule: scalars.JSON | None = strawberry.field(description="规则 · Rule")
    snapshot_of_id: UUID | None = strawberry.field(description="快照来源 · Snapshot of")
    taken_at: DateTime | None = strawberry.field(description="快照时间 · Taken at")
    READS: ClassVar[Reads] = {
        **Node.READS,
        "name": Value("name", is_required=True),
        "purpose": Value("purpose"),
        "owner_id": Value("owner"),
        "archived": Value("archived"),
        "key": Value("key"),
        "rule": Value("rule"),
        "snapshot_of_id": Value("snapshot_of"),
        "taken_at": Value("taken_at"),
    }

    @reference("owner_id", "负责人 · Owner; null when out of reach")
    async def owner(self, info: Info) -> Staff | None:
        return await info.context.related(Staff, self.owner_id)

    @reference("snapshot_of_id", "快照来源 · Snapshot of; null when out of reach")
    async def snapshot_of(self, info: Info) -> Segment | None:
        return await info.context.related(Segment, self.snapshot_of_id)


@strawberry.type(
    description="自定义字段 · Custom field. A field of a chain's own (S20). What replicas merge by is fixed when it is made."
)
class FieldDef(Node):
    ENTITY: ClassVar[str] = "field_def"
    key: str = strawberry.field(description="键 · Key")
    label: CustomLabel = strawberry.field(description="名称 · Label")
    type: CustomFieldKind = strawberry.field(description="类型 · Type")
    rule: CustomRule = strawberry.field(description="合并规则 · Merge rule")
    sensitivity: Sensitivity = strawberry.field(description="敏感程度 · Sensitivity")
    section: CardSection | None = strawberry.field(description="卡片分区 · Section")
    tab: CustomTab | None = strawberry.field(description="分组 · Tab")
    for_kind: CustomerKind | None = strawberry.field(description="适用性质 · For this kind only")
    choices: list[str] = strawberry.field(description="选项 · Choices")
    archived: bool | None = strawberry.field(description="已归档 · Archived")
    READS: ClassVar[Reads] = {
        **Node.READS,
        "key": Value("key", is_required=True),
        "label": lambda row: row.part("label", CustomLabel.of),
        "type": Value("type", is_required=True),
        "rule": Value("rule", is_required=True),
        "sensitivity": Value("sensitivity", is_required=True),
        "section": Value("section"),
        "tab": Value("tab"),
        "for_kind": Value("for_kind"),
        "choices": lambda row: row.flat.get("choices") or [],
        "archived": Value("archived"),
    }


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
    org_form: str | None = strawberry.field(description="企业组织形式 · Form of organization")
    industry: str | None = strawberry.field(description="业种 · Industry")
    founded_on: Date | None = strawberry.field(description="创业时间 · Founded on")
    assets: str | None = strawberry.field(description="资产 · Assets (sensitive: null without that right)")
    service_area: str | None = strawberry.field(description="服务区域 · Service area")
    sales_capacity: str | None = strawberry.field(description="销售能力 · Sales capacity")
    growth_potential: str | None = strawberry.field(description="发展潜力 · Growth potential")
    philosophy: str | None = strawberry.field(description="经营观念 · Philosophy")
    direction: str | None = strawberry.field(description="经营方向 · Direction")
    policy: str | None = strawberry.field(description="经营方针与政策 · Policy")
    headcount: int | None = strawberry.field(description="职工人数 · Headcount")
    turnover: Money | None = strawberry.field(
        description="销售额 · Turnover a year in minor units (sensitive: null without that right)"
    )
    management_traits: str | None = strawberry.field(description="经营管理特点 · Traits of its management")
    staff_quality: str | None = strawberry.field(
        description="经营管理者和业务人员的素质 · Quality of its staff"
    )
    competitor_relations: list[str] = strawberry.field(
        description="与其他竞争公司的关系 · Relations with competitors"
    )
    cooperation_attitude: int | None = strawberry.field(description="合作态度 · Attitude to co-operation")
    activity: str | None = strawberry.field(description="销售活动状况 · Sales activity")
    problems: str | None = strawberry.field(description="存在的问题 · Problems")
    strengths: str | None = strawberry.field(description="保持的优势 · Strengths")
    measures: str | None = strawberry.field(description="未来的对策 · Measures")
    reputation: str | None = strawberry.field(description="企业信誉与形象 · Reputation")
    credit_incidents: list[str] = strawberry.field(
        description="以往出现的信用问题 · Credit incidents (sensitive: null without that right)"
    )
    trade_terms: str | None = strawberry.field(description="交易条件 · Terms of trade")
    economic_status: str | None = strawberry.field(
        description="经济状况 · Economic status (sensitive: null without that right)"
    )
    purchase_traits: str | None = strawberry.field(description="购买特征 · Purchase traits")
    education: str | None = strawberry.field(description="教育情况 · Education")
    family: str | None = strawberry.field(description="家庭情况 · Family")
    household_size: int | None = strawberry.field(description="家庭成员数 · Members of the household")
    social_life: str | None = strawberry.field(description="人际情况 · Social life")
    occupation: str | None = strawberry.field(description="职业 · Occupation")
    career: str | None = strawberry.field(description="事业情况 · Career")
    lifestyle: str | None = strawberry.field(description="生活情况 · Lifestyle")
    habits: list[str] = strawberry.field(description="习惯 · Habits")
    preferences: list[str] = strawberry.field(description="偏好 · Preferences")
    character: str | None = strawberry.field(description="性格 · Character")
    ability: str | None = strawberry.field(description="能力 · Ability")
    life_values: str | None = strawberry.field(description="价值取向 · Values")
    experience: str | None = strawberry.field(description="阅历情况 · Experience")
    supplement: str | None = strawberry.field(description="其他可供参考的补充材料 · Further material")
    groups: list[str] = strawberry.field(description="顾客群 · Customer groups")
    owned_product_ids: list[UUID] = strawberry.field(description="拥有的商品 · Products owned")
    excluded_segment_ids: list[UUID] = strawberry.field(description="排除的分群 · Segments taken out of")
    risk_level: Degree | None = strawberry.field(
        description="风险 · Risk (sensitive: null without that right)"
    )
    price_sensitivity: Degree | None = strawberry.field(description="价格敏感度 · Sensitivity to price")
    fault_tolerance: Degree | None = strawberry.field(description="对质量问题的容忍度 · Tolerance of faults")
    service_stance: ServiceStance | None = strawberry.field(description="服务立场 · Service stance")
    stance_reason: StanceReason | None = strawberry.field(description="服务立场的原因 · Reason of the stance")
    service_plan: ServicePlan | None = strawberry.field(description="服务方案 · Service plan")
    do_not_contact: bool | None = strawberry.field(description="请勿联系 · Do not contact")
    quiet_hours: QuietHours | None = strawberry.field(description="免打扰时段 · Quiet hours")
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
        "org_form": Value("org_form"),
        "industry": Value("industry"),
        "founded_on": Value("founded_on"),
        "assets": Value("assets"),
        "service_area": Value("service_area"),
        "sales_capacity": Value("sales_capacity"),
        "growth_potential": Value("growth_potential"),
        "philosophy": Value("philosophy"),
        "direction": Value("direction"),
        "policy": Value("policy"),
        "headcount": Value("headcount"),
        "turnover": Value("turnover"),
        "management_traits": Value("management_traits"),
        "staff_quality": Value("staff_quality"),
        "competitor_relations": lambda row: row.keys("competitor_relations"),
        "cooperation_attitude": Value("cooperation_attitude"),
        "activity": Value("activity"),
        "problems": Value("problems"),
        "strengths": Value("strengths"),
        "measures": Value("measures"),
        "reputation": Value("reputation"),
        "credit_incidents": lambda row: row.keys("credit_incidents"),
        "trade_terms": Value("trade_terms"),
        "economic_status": Value("economic_status"),
        "purchase_traits": Value("purchase_traits"),
        "education": Value("education"),
        "family": Value("family"),
        "household_size": Value("household_size"),
        "social_life": Value("social_life"),
        "occupation": Value("occupation"),
        "career": Value("career"),
        "lifestyle": Value("lifestyle"),
        "habits": lambda row: row.keys("habits"),
        "preferences": lambda row: row.keys("preferences"),
        "character": Value("character"),
        "ability": Value("ability"),
        "life_values": Value("life_values"),
        "experience": Value("experience"),
        "supplement": Value("supplement"),
        "groups": lambda row: row.keys("groups"),
        "owned_product_ids": lambda row: row.keys("owned_products"),
        "excluded_segment_ids": lambda row: row.keys("excluded_segments"),
        "risk_level": Value("risk_level"),
        "price_sensitivity": Value("price_sensitivity"),
        "fault_tolerance": Value("fault_tolerance"),
        "service_stance": Value("service_stance"),
        "stance_reason": Value("stance_reason"),
        "service_plan": Value("service_plan"),
        "do_not_contact": Value("do_not_contact"),
        "quiet_hours": lambda row: row.part("quiet_hours", QuietHours.of),
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

    @resolved("拥有的商品 · Products owned; those within reach")
    async def owned_products(self, info: Info) -> list[Product]:
        return await info.context.related_all(Product, self.owned_product_ids)

    @resolved("排除的分群 · Segments taken out of; those within reach")
    async def excluded_segments(self, info: Info) -> list[Segment]:
        return await info.context.related_all(Segment, self.excluded_segment_ids)

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
    async def card(
        self, info: Info, lang: Language | None = None
    ) -> Annotated[Card, strawberry.lazy("regulars_server.graph.cards")]:
        from regulars_server.graph.cards import card_of

        return await card_of(info.context, self.row, info.context.lang if lang is None else lang.value)

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

    @resolved("指标 · Numbers of the person: all, or those of these names; as of an instant")
    async def metrics(
        self,
        info: Info,
        names: Annotated[list[str] | None, said("As rules name them; all unless told.")] = None,
        window: Annotated[str | None, said("Of which facts, such as `last 30 days`.")] = None,
        as_of: DateTime | None = None,
    ) -> list[MetricValue]:
        from regulars_server.graph.knowing import metrics

        return await metrics(info.context, self.row.id, names, window, as_of)

    @resolved("解释 · Why a rule, a segment or a scheme says of the person what it says; as of an instant")
    async def explain(
        self,
        info: Info,
        of: ExplainInput,
        as_of: DateTime | None = None,
    ) -> Explanation | None:
        from regulars_server.graph.knowing import explained

        return await explained(info.context, self.row.id, of, as_of)

    @resolved("分群 · The segments that the person is in, as far as you may be told")
    async def memberships(
        self, info: Info
    ) -> list[Annotated[Membership, strawberry.lazy("regulars_server.graph.segments")]]:
        from regulars_server.graph.segments import memberships

        return await memberships(info.context, self)

    @resolved("变动 · Where the person came from and went to, in schemes and segments; the latest first")
    async def movements(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> list[Annotated[Movement, strawberry.lazy("regulars_server.graph.segments")]]:
        from regulars_server.graph.segments import movements_of

        return await movements_of(info.context, self.row.id, first, after)

    @resolved("待处理 · What waits for a person to decide")
    async def reviews(
        self, info: Info
    ) -> Annotated[CustomerReviews, strawberry.lazy("regulars_server.graph.identities")]:
        from regulars_server.graph.identities import reviews

        return await reviews(info.context, self)

    @resolved("分类状况 · Where the person stands in each scheme; with `schemes` in those, by their keys")
    async def standings(
        self, info: Info, schemes: list[str] | None = None
    ) -> list[Annotated[Standing, strawberry.lazy("regulars_server.graph.standings")]]:
        from regulars_server.graph.standings import standings

        return await standings(info.context, self, schemes)

    @resolved("自定义字段 · What the chain's own fields say of the person, whether filled or not")
    async def custom_fields(
        self, info: Info
    ) -> list[Annotated[CustomField, strawberry.lazy("regulars_server.graph.custom")]]:
        from regulars_server.graph.custom import custom_fields

        return await custom_fields(info.context, self)

    @resolved("关系 · Link: those within reach that name this person, newest first")
    async def links(self, info: Info, first: int | None = None, after: str | None = None) -> Connection[Link]:
        return await info.context.naming(Link, self.row.id, first, after)

    @resolved("身份判定 · Identity decision: those within reach that name this person, newest first")
    async def identities(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Identity]:
        return await info.context.naming(Identity, self.row.id, first, after)

    @resolved(
        "自定义字段的值 · Value of a custom field: those within reach that name this person, newest first"
    )
    async def custom_values(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[CustomValue]:
        return await info.context.naming(CustomValue, self.row.id, first, after)

    @resolved("供应商 · Supplier: those within reach that name this person, newest first")
    async def suppliers(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Supplier]:
        return await info.context.naming(Supplier, self.row.id, first, after)

    @resolved("分类 · Assignment: those within reach that name this person, newest first")
    async def assignments(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Assignment]:
        return await info.context.naming(Assignment, self.row.id, first, after)

    @resolved("任务 · Task: those within reach that name this person, newest first")
    async def tasks(self, info: Info, first: int | None = None, after: str | None = None) -> Connection[Task]:
        return await info.context.naming(Task, self.row.id, first, after)

    @resolved("往来 · Interaction: those within reach that name this person, newest first")
    async def interactions(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Interaction]:
        return await info.context.naming(Interaction, self.row.id, first, after)

    @resolved("同意 · Consent: those within reach that name this person, newest first")
    async def consents(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Connection[Consent]:
        return await info.context.naming(Consent, self.row.id, first, after)


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
    description="自定义字段的值 · Value of a custom field. What is said of a customer in a custom field. Its merge rule and level choose the column (`custom.column`)."
)
class CustomValue(Node):
    ENTITY: ClassVar[str] = "custom_value"
    customer_id: UUID = strawberry.field(description="顾客 · Customer")
    field_def_id: UUID = strawberry.field(description="字段 · Field")
    value: scalars.JSON | None = strawberry.field(description="值 · Value")
    reviewed: scalars.JSON | None = strawberry.field(description="由人判断的值 · Value that a person decides")
    least: scalars.JSON | None = strawberry.field(description="最小值 · The least")
    most: scalars.JSON | None = strawberry.field(description="最大值 · The greatest")
    items: list[str] = strawberry.field(description="各项 · Items")
    guarded_value: scalars.JSON | None = strawberry.field(
        description="敏感的值 · Sensitive value (sensitive: null without that right)"
    )
    guarded_reviewed: scalars.JSON | None = strawberry.field(
        description="由人判断的敏感的值 · Sensitive value that a person decides (sensitive: null without that right)"
    )
    guarded_least: scalars.JSON | None = strawberry.field(
        description="敏感的最小值 · The least, sensitive (sensitive: null without that right)"
    )
    guarded_most: scalars.JSON | None = strawberry.field(
        description="敏感的最大值 · The greatest, sensitive (sensitive: null without that right)"
    )
    guarded_items: list[str] = strawberry.field(
        description="敏感的各项 · Sensitive items (sensitive: null without that right)"
    )
    READS: ClassVar[Reads] = {
        **Node.READS,
        "customer_id": Value("customer", is_required=True),
        "field_def_id": Value("field_def", is_required=True),
        "value": Value("value"),
        "reviewed": Value("reviewed"),
        "least": Value("least"),
        "most": Value("most"),
        "items": lambda row: row.keys("items"),
        "guarded_value": Value("guarded_value"),
        "guarded_reviewed": Value("guarded_reviewed"),
        "guarded_least": Value("guarded_least"),
        "guarded_most": Value("guarded_most"),
        "guarded_items": lambda row: row.keys("guarded_items"),
    }

    @reference("customer_id", "顾客 · Customer; null when out of reach")
    async def customer(self, info: Info) -> Customer | None:
        return await info.context.related(Customer, self.customer_id)

    @reference("field_def_id", "字段 · Field; null when out of reach")
    async def field_def(self, info: Info) -> FieldDef | None:
        return await info.context.related(FieldDef, self.field_def_id)


@strawberry.type(
    description="供应商 · Supplier. Of whom a customer buys besides, and how satisfied it is (S19)."
)
class Supplier(Node):
    ENTITY: ClassVar[str] = "supplier"
    customer_id: UUID = strawberry.field(description="顾客 · Customer")
    name: str = strawberry.field(description="名称 · Name")
    satisfaction: int | None = strawberry.field(description="满意状态 · Satisfaction")
    note: str | None = strawberry.field(description="说明 · Note")
    archived: bool | None = strawberry.field(description="已归档 · Archived")
    READS: ClassVar[Reads] = {
        **Node.READS,
        "customer_id": Value("customer", is_required=True),
        "name": Value("name", is_required=True),
        "satisfaction": Value("satisfaction"),
        "note": Value("note"),
        "archived": Value("archived"),
    }

    @reference("customer_id", "顾客 · Customer; null when out of reach")
    async def customer(self, info: Info) -> Customer | None:
        return await info.context.related(Customer, self.customer_id)


@strawberry.type(
    description="分类 · Assignment. What a person or an import says of a customer in a scheme (S55-S64, S124). Where two people's words must not hide each other (tier, lifecycle, churn cause) it stands in `reviewed`; of a scheme of many values in `values`; of a sensitive scheme where its level guards it (`schemes.assigning`). What a person says is verified, so a file that says it otherwise stands beside it with a day of its own."
)
class Assignment(Node):
    ENTITY: ClassVar[str] = "assignment"
    customer_id: UUID = strawberry.field(description="顾客 · Customer")
    scheme: str = strawberry.field(description="方案 · Scheme")
    value: str | None = strawberry.field(description="值 · Value")
    reviewed: str | None = strawberry.field(description="由人判断的值 · Value that a person decides")
    values: list[str] = strawberry.field(description="各值 · Values")
    guarded_value: str | None = strawberry.field(
        description="敏感的值 · Sensitive value (sensitive: null without that right)"
    )
    guarded_values: list[str] = strawberry.field(
        description="敏感的各值 · Sensitive values (sensitive: null without that right)"
    )
    guarded_reason: str | None = strawberry.field(
        description="敏感的理由 · Sensitive reason (sensitive: null without that right)"
    )
    pinned: bool | None = strawberry.field(description="固定 · Pinned")
    decided_by_id: UUID | None = strawberry.field(description="判定人 · Decided by")
    reason: str | None = strawberry.field(description="理由 · Reason")
    evidence_id: UUID | None = strawberry.field(description="依据 · Evidence")
    since: Date | None = strawberry.field(description="起始 · Since")
    check_by: Date | None = strawberry.field(description="复核期限 · To be checked by")
    READS: ClassVar[Reads] = {
        **Node.READS,
        "customer_id": Value("customer", is_required=True),
        "scheme": Value("scheme", is_required=True),
        "value": Value("value"),
        "reviewed": Value("reviewed"),
        "values": lambda row: row.keys("values"),
        "guarded_value": Value("guarded_value"),
        "guarded_values": lambda row: row.keys("guarded_values"),
        "guarded_reason": Value("guarded_reason"),
        "pinned": Value("pinned"),
        "decided_by_id": Value("decided_by"),
        "reason": Value("reason"),
        "evidence_id": Value("evidence"),
        "since": Value("since"),
        "check_by": Value("check_by"),
    }

    @reference("customer_id", "顾客 · Customer; null when out of reach")
    async def customer(self, info: Info) -> Customer | None:
        return await info.context.related(Customer, self.customer_id)

    @reference("decided_by_id", "判定人 · Decided by; null when out of reach")
    async def decided_by(self, info: Info) -> Staff | None:
        return await info.context.related(Staff, self.decided_by_id)

    @reference("evidence_id", "依据 · Evidence; null when out of reach")
    async def evidence(self, info: Info) -> Interaction | None:
        return await info.context.related(Interaction, self.evidence_id)


@strawberry.type(
    description="任务 · Task. Something to be done for a customer. Its id is made of the plan, the customer and the subject, so those who notice the same thing make one task."
)
class Task(Node):
    ENTITY: ClassVar[str] = "task"
    plan: str = strawberry.field(description="计划 · Plan")
    customer_id: UUID = strawberry.field(description="顾客 · Customer")
    subject: str = strawberry.field(description="事由 · Subject")
    due: Date | None = strawberry.field(description="到期 · Due")
    status: TaskStatus | None = strawberry.field(description="状态 · Status")
    owner_id: UUID | None = strawberry.field(description="负责人 · Owner")
    closed_by_id: UUID | None = strawberry.field(description="由此完成 · Closed by")
    note: str | None = strawberry.field(description="说明 · Note")
    READS: ClassVar[Reads] = {
        **Node.READS,
        "plan": Value("plan", is_required=True),
        "customer_id": Value("customer", is_required=True),
        "subject": Value("subject", is_required=True),
        "due": Value("due"),
        "status": Value("status"),
        "owner_id": Value("owner"),
        "closed_by_id": Value("closed_by"),
        "note": Value("note"),
    }

    @reference("customer_id", "顾客 · Customer; null when out of reach")
    async def customer(self, info: Info) -> Customer | None:
        return await info.context.related(Customer, self.customer_id)

    @reference("owner_id", "负责人 · Owner; null when out of reach")
    async def owner(self, info: Info) -> Staff | None:
        return await info.context.related(Staff, self.owner_id)

    @reference("closed_by_id", "由此完成 · Closed by; null when out of reach")
    async def closed_by(self, info: Info) -> Interaction | None:
        return await info.context.related(Interaction, self.closed_by_id)


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
    satisfaction: int | None = strawberry.field(description="满意度 · Satisfaction")
    facts: list[LearnedFact] = strawberry.field(description="所知事项 · Learned facts")
    checklist: list[str] = strawberry.field(description="检查表 · Ticked items")
    methods_used: list[Method] = strawberry.field(description="介绍方法 · Methods used")
    attention_focus: AttentionFocus | None = strawberry.field(description="关注焦点 · Focus of attention")
    opportunity: Opportunity | None = strawberry.field(description="机会评分 · Rating of the opportunity")
    place: Place | None = strawberry.field(description="地点 · Place")
    benefit: str | None = strawberry.field(description="回馈 · Benefit granted")
    next_on: Date | None = strawberry.field(description="下次日期 · Next on")
    campaign_id: UUID | None = strawberry.field(description="活动名单 · Campaign")
    agency: str | None = strawberry.field(description="专业机构 · Agency that looked into it")
    looked_into: list[str] = strawberry.field(description="调查的字段 · Fields looked into")
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
        "satisfaction": Value("satisfaction"),
        "facts": lambda row: row.parts("facts", LearnedFact.of),
        "checklist": lambda row: row.flat.get("checklist") or [],
        "methods_used": lambda row: row.flat.get("methods_used") or [],
        "attention_focus": Value("attention_focus"),
        "opportunity": lambda row: row.part("opportunity", Opportunity.of),
        "place": Value("place"),
        "benefit": Value("benefit"),
        "next_on": Value("next_on"),
        "campaign_id": Value("campaign"),
        "agency": Value("agency"),
        "looked_into": lambda row: row.flat.get("looked_into") or [],
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

    @reference("campaign_id", "活动名单 · Campaign; null when out of reach")
    async def campaign(self, info: Info) -> Segment | None:
        return await info.context.related(Segment, self.campaign_id)

    @resolved("顾客 · The customers it names, those within reach")
    async def customers(self, info: Info) -> list[Customer]:
        named = [item.customer_id for item in self.party if item.customer_id is not None]
        return await info.context.related_all(Customer, named)

    @resolved("更正 · The facts that correct or void this one")
    async def superseded_by(self, info: Info) -> list[Interaction]:
        return await info.context.referring(Interaction, "supersedes", self.row.id)


@strawberry.type(
    description="同意 · Consent. A ledger: that somebody granted or withdrew a consent (S123). The latest counts; of equal times the withdrawal."
)
class Consent(Node):
    ENTITY: ClassVar[str] = "consent"
    customer_id: UUID = strawberry.field(description="顾客 · Customer")
    purpose: ConsentPurpose = strawberry.field(description="用途 · Purpose")
    channel: Channel | None = strawberry.field(description="渠道 · Channel")
    granted: bool = strawberry.field(description="同意 · Granted")
    at: DateTime = strawberry.field(description="时间 · At")
    unit_id: UUID | None = strawberry.field(description="门店 · Unit")
    staff_id: UUID | None = strawberry.field(description="员工 · Staff")
    proof: str | None = strawberry.field(description="凭证 · Proof")
    READS: ClassVar[Reads] = {
        **Node.READS,
        "customer_id": Value("customer", is_required=True),
        "purpose": Value("purpose", is_required=True),
        "channel": Value("channel"),
        "granted": Value("granted", is_required=True),
        "at": Value("at", is_required=True),
        "unit_id": Value("unit"),
        "staff_id": Value("staff"),
        "proof": Value("proof"),
    }

    @reference("customer_id", "顾客 · Customer; null when out of reach")
    async def customer(self, info: Info) -> Customer | None:
        return await info.context.related(Customer, self.customer_id)

    @reference("unit_id", "门店 · Unit; null when out of reach")
    async def unit(self, info: Info) -> Unit | None:
        return await info.context.related(Unit, self.unit_id)

    @reference("staff_id", "员工 · Staff; null when out of reach")
    async def staff(self, info: Info) -> Staff | None:
        return await info.context.related(Staff, self.staff_id)


TYPES: Mapping[str, type[Node]] = {
    "unit": Unit,
    "staff": Staff,
    "product": Product,
    "device": Device,
    "segment": Segment,
    "field_def": FieldDef,
    "customer": Customer,
    "link": Link,
    "identity": Identity,
    "custom_value": CustomValue,
    "supplier": Supplier,
    "assignment": Assignment,
    "task": Task,
    "interaction": Interaction,
    "consent": Consent,
}
"""The GraphQL type of each entity that has one."""
