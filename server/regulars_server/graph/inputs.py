"""Written by schema/generate.py from the declared entities: `make generate`, not by hand.

Long because: every field has its line.
"""

from __future__ import annotations

from enum import Enum

import strawberry
from strawberry import scalars

from regulars_server.graph.declared import valued
from regulars_server.graph.enums import (
    AcquisitionChannel,
    AttentionFocus,
    Calendar,
    CardSection,
    Channel,
    CreditStatus,
    CustomerKind,
    CustomFieldKind,
    CustomRule,
    CustomTab,
    Degree,
    FactStatus,
    FactTopic,
    Gender,
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
from regulars_server.graph.filters import (
    BooleanFilter,
    DateFilter,
    DateTimeFilter,
    ElementEdit,
    ElementFilter,
    Filter,
    IdFilter,
    IdSetEdit,
    IdSetFilter,
    IntFilter,
    MoneyFilter,
    Relation,
    SetEdit,
    SetFilter,
    StandingFilter,
    TextFilter,
)
from regulars_server.graph.scalars import UUID, Date, DateTime, Money


@strawberry.input(description="字段名称 · Label of a field")
class CustomLabelInput:
    zh: str = strawberry.field(description="中文 · Chinese")
    en: str = strawberry.field(description="英文 · English")


@strawberry.input(description="生日 · Birth")
class BirthInput:
    year: int | None = strawberry.field(description="年 · Year", default=None)
    month: int = strawberry.field(description="月 · Month")
    day: int = strawberry.field(description="日 · Day")
    calendar: Calendar | None = strawberry.field(description="历法 · Calendar", default=None)
    leap: bool | None = strawberry.field(description="闰月 · Leap month", default=None)


@strawberry.input(description="免打扰时段 · Quiet hours")
class QuietHoursInput:
    start: int = strawberry.field(description="开始（分钟） · Start, in minutes of the day")
    end: int = strawberry.field(description="结束（分钟） · End, in minutes of the day")


@strawberry.input(description="参与人 · Member of a party")
class PartyMemberInput:
    customer_id: UUID | None = strawberry.field(description="顾客 · Customer", default=None)
    role: PartyRole | None = strawberry.field(description="角色 · Role", default=None)
    name: str | None = strawberry.field(description="姓名 · Name", default=None)


@strawberry.input(description="明细 · Line")
class LineInput:
    product_id: UUID | None = strawberry.field(description="商品 · Product", default=None)
    name: str | None = strawberry.field(description="名称 · Name", default=None)
    quantity: int | None = strawberry.field(description="数量 · Quantity", default=None)
    amount: Money | None = strawberry.field(description="金额 · Amount in minor units", default=None)
    cost: Money | None = strawberry.field(description="成本 · Cost in minor units", default=None)
    currency: str | None = strawberry.field(description="币种 · Currency", default=None)


@strawberry.input(description="所知事项 · Learned fact")
class LearnedFactInput:
    topic: FactTopic = strawberry.field(description="事项 · Topic")
    content: str = strawberry.field(description="内容 · Content")
    product_id: UUID | None = strawberry.field(description="商品 · Product", default=None)
    status: FactStatus | None = strawberry.field(description="状态 · Status", default=None)


@strawberry.input(description="机会评分 · Rating of an opportunity")
class OpportunityInput:
    urgency: int = strawberry.field(description="急迫性 · Urgency")
    effect: int = strawberry.field(description="短时间内见效 · Quick effect")
    price: int = strawberry.field(description="价格可观 · Worthwhile price")


@strawberry.input(description="Tests on units; all that are given must pass.")
class UnitWhere:
    and_: list[UnitWhere] | None = strawberry.field(name="AND", default=strawberry.UNSET)
    or_: list[UnitWhere] | None = strawberry.field(name="OR", default=strawberry.UNSET)
    not_: UnitWhere | None = strawberry.field(name="NOT", default=strawberry.UNSET)
    id: IdFilter | None = strawberry.UNSET
    name: TextFilter | None = strawberry.field(description="名称 · Name", default=strawberry.UNSET)
    kind: Filter[UnitKind] | None = strawberry.field(description="类型 · Kind", default=strawberry.UNSET)
    parent_id: IdFilter | None = strawberry.field(description="上级 · Parent", default=strawberry.UNSET)
    external_ids: SetFilter | None = strawberry.field(
        description="外部编号 · External ids", default=strawberry.UNSET
    )
    archived: BooleanFilter | None = strawberry.field(
        description="已归档 · Archived", default=strawberry.UNSET
    )
    parent: UnitWhere | None = strawberry.field(description="上级 · Parent", default=strawberry.UNSET)
    children: UnitListFilter | None = strawberry.field(
        description="下级 · Units right below it", default=strawberry.UNSET
    )
    customers: CustomerListFilter | None = strawberry.field(
        description="顾客 · Customers at home there", default=strawberry.UNSET
    )
    devices: DeviceListFilter | None = strawberry.field(
        description="设备 · Devices that stand there", default=strawberry.UNSET
    )
    staff: StaffListFilter | None = strawberry.field(
        description="员工 · Staff who belong to it", default=strawberry.UNSET
    )


@strawberry.input(description="Tests on those units that are tied to a row, as far as they are within reach.")
class UnitListFilter:
    some: UnitWhere | None = strawberry.UNSET
    none: UnitWhere | None = strawberry.UNSET
    every: UnitWhere | None = strawberry.UNSET


@strawberry.input(description="Tests on staff; all that are given must pass.")
class StaffWhere:
    and_: list[StaffWhere] | None = strawberry.field(name="AND", default=strawberry.UNSET)
    or_: list[StaffWhere] | None = strawberry.field(name="OR", default=strawberry.UNSET)
    not_: StaffWhere | None = strawberry.field(name="NOT", default=strawberry.UNSET)
    id: IdFilter | None = strawberry.UNSET
    name: TextFilter | None = strawberry.field(description="姓名 · Name", default=strawberry.UNSET)
    role: Filter[StaffRole] | None = strawberry.field(description="角色 · Role", default=strawberry.UNSET)
    unit_ids: IdSetFilter | None = strawberry.field(description="所属 · Units", default=strawberry.UNSET)
    manager_id: IdFilter | None = strawberry.field(description="上级 · Manager", default=strawberry.UNSET)
    active: BooleanFilter | None = strawberry.field(description="在职 · Active", default=strawberry.UNSET)
    external_ids: SetFilter | None = strawberry.field(
        description="外部编号 · External ids", default=strawberry.UNSET
    )
    units: UnitListFilter | None = strawberry.field(description="所属 · Units", default=strawberry.UNSET)
    manager: StaffWhere | None = strawberry.field(description="上级 · Manager", default=strawberry.UNSET)
    customers: CustomerListFilter | None = strawberry.field(
        description="顾客 · Customers it looks after", default=strawberry.UNSET
    )


@strawberry.input(description="Tests on those staff that are tied to a row, as far as they are within reach.")
class StaffListFilter:
    some: StaffWhere | None = strawberry.UNSET
    none: StaffWhere | None = strawberry.UNSET
    every: StaffWhere | None = strawberry.UNSET


@strawberry.input(description="Tests on products; all that are given must pass.")
class ProductWhere:
    and_: list[ProductWhere] | None = strawberry.field(name="AND", default=strawberry.UNSET)
    or_: list[ProductWhere] | None = strawberry.field(name="OR", default=strawberry.UNSET)
    not_: ProductWhere | None = strawberry.field(name="NOT", default=strawberry.UNSET)
    id: IdFilter | None = strawberry.UNSET
    name: TextFilter | None = strawberry.field(description="名称 · Name", default=strawberry.UNSET)
    category: TextFilter | None = strawberry.field(description="类别 · Category", default=strawberry.UNSET)
    usage_days: IntFilter | None = strawberry.field(
        description="使用天数 · Days of use per piece", default=strawberry.UNSET
    )
    price: MoneyFilter | None = strawberry.field(
        description="价格 · Price in minor units", default=strawberry.UNSET
    )
    external_ids: SetFilter | None = strawberry.field(
        description="外部编号 · External ids", default=strawberry.UNSET
    )
    archived: BooleanFilter | None = strawberry.field(
        description="已归档 · Archived", default=strawberry.UNSET
    )


@strawberry.input(
    description="Tests on those products that are tied to a row, as far as they are within reach."
)
class ProductListFilter:
    some: ProductWhere | None = strawberry.UNSET
    none: ProductWhere | None = strawberry.UNSET
    every: ProductWhere | None = strawberry.UNSET


@strawberry.input(description="Tests on devices; all that are given must pass.")
class DeviceWhere:
    and_: list[DeviceWhere] | None = strawberry.field(name="AND", default=strawberry.UNSET)
    or_: list[DeviceWhere] | None = strawberry.field(name="OR", default=strawberry.UNSET)
    not_: DeviceWhere | None = strawberry.field(name="NOT", default=strawberry.UNSET)
    id: IdFilter | None = strawberry.UNSET
    name: TextFilter | None = strawberry.field(description="名称 · Name", default=strawberry.UNSET)
    unit_id: IdFilter | None = strawberry.field(description="所属 · Unit", default=strawberry.UNSET)
    revoked: BooleanFilter | None = strawberry.field(description="已吊销 · Revoked", default=strawberry.UNSET)
    unit: UnitWhere | None = strawberry.field(description="所属 · Unit", default=strawberry.UNSET)


@strawberry.input(
    description="Tests on those devices that are tied to a row, as far as they are within reach."
)
class DeviceListFilter:
    some: DeviceWhere | None = strawberry.UNSET
    none: DeviceWhere | None = strawberry.UNSET
    every: DeviceWhere | None = strawberry.UNSET


@strawberry.input(description="Tests on segments; all that are given must pass.")
class SegmentWhere:
    and_: list[SegmentWhere] | None = strawberry.field(name="AND", default=strawberry.UNSET)
    or_: list[SegmentWhere] | None = strawberry.field(name="OR", default=strawberry.UNSET)
    not_: SegmentWhere | None = strawberry.field(name="NOT", default=strawberry.UNSET)
    id: IdFilter | None = strawberry.UNSET
    name: TextFilter | None = strawberry.field(description="名称 · Name", default=strawberry.UNSET)
    owner_id: IdFilter | None = strawberry.field(description="负责人 · Owner", default=strawberry.UNSET)
    archived: BooleanFilter | None = strawberry.field(
        description="已归档 · Archived", default=strawberry.UNSET
    )
    key: TextFilter | None = strawberry.field(description="键 · Key", default=strawberry.UNSET)
    snapshot_of_id: IdFilter | None = strawberry.field(
        description="快照来源 · Snapshot of", default=strawberry.UNSET
    )
    taken_at: DateTimeFilter | None = strawberry.field(
        description="快照时间 · Taken at", default=strawberry.UNSET
    )
    owner: StaffWhere | None = strawberry.field(description="负责人 · Owner", default=strawberry.UNSET)
    snapshot_of: SegmentWhere | None = strawberry.field(
        description="快照来源 · Snapshot of", default=strawberry.UNSET
    )
    customers: CustomerListFilter | None = strawberry.field(
        description="静态成员 · Static members", default=strawberry.UNSET
    )


@strawberry.input(
    description="Tests on those segments that are tied to a row, as far as they are within reach."
)
class SegmentListFilter:
    some: SegmentWhere | None = strawberry.UNSET
    none: SegmentWhere | None = strawberry.UNSET
    every: SegmentWhere | None = strawberry.UNSET


@strawberry.input(description="Tests on field_defs; all that are given must pass.")
class FieldDefWhere:
    and_: list[FieldDefWhere] | None = strawberry.field(name="AND", default=strawberry.UNSET)
    or_: list[FieldDefWhere] | None = strawberry.field(name="OR", default=strawberry.UNSET)
    not_: FieldDefWhere | None = strawberry.field(name="NOT", default=strawberry.UNSET)
    id: IdFilter | None = strawberry.UNSET
    key: TextFilter | None = strawberry.field(description="键 · Key", default=strawberry.UNSET)
    type: Filter[CustomFieldKind] | None = strawberry.field(
        description="类型 · Type", default=strawberry.UNSET
    )
    rule: Filter[CustomRule] | None = strawberry.field(
        description="合并规则 · Merge rule", default=strawberry.UNSET
    )
    sensitivity: Filter[Sensitivity] | None = strawberry.field(
        description="敏感程度 · Sensitivity", default=strawberry.UNSET
    )
    section: Filter[CardSection] | None = strawberry.field(
        description="卡片分区 · Section", default=strawberry.UNSET
    )
    tab: Filter[CustomTab] | None = strawberry.field(description="分组 · Tab", default=strawberry.UNSET)
    for_kind: Filter[CustomerKind] | None = strawberry.field(
        description="适用性质 · For this kind only", default=strawberry.UNSET
    )
    archived: BooleanFilter | None = strawberry.field(
        description="已归档 · Archived", default=strawberry.UNSET
    )


@strawberry.input(
    description="Tests on those field_defs that are tied to a row, as far as they are within reach."
)
class FieldDefListFilter:
    some: FieldDefWhere | None = strawberry.UNSET
    none: FieldDefWhere | None = strawberry.UNSET
    every: FieldDefWhere | None = strawberry.UNSET


@strawberry.input(description="Tests on customers; all that are given must pass.")
class CustomerWhere:
    and_: list[CustomerWhere] | None = strawberry.field(name="AND", default=strawberry.UNSET)
    or_: list[CustomerWhere] | None = strawberry.field(name="OR", default=strawberry.UNSET)
    not_: CustomerWhere | None = strawberry.field(name="NOT", default=strawberry.UNSET)
    id: IdFilter | None = strawberry.UNSET
    name: TextFilter | None = strawberry.field(description="姓名 · Name", default=strawberry.UNSET)
    kind: Filter[CustomerKind] | None = strawberry.field(description="性质 · Kind", default=strawberry.UNSET)
    home_unit_id: IdFilter | None = strawberry.field(
        description="所属门店 · Home unit", default=strawberry.UNSET
    )
    owner_id: IdFilter | None = strawberry.field(description="负责人 · Owner", default=strawberry.UNSET)
    phones: SetFilter | None = strawberry.field(description="电话 · Phones", default=strawberry.UNSET)
    emails: SetFilter | None = strawberry.field(description="邮箱 · E-mails", default=strawberry.UNSET)
    member_no: TextFilter | None = strawberry.field(
        description="会员号 · Member number", default=strawberry.UNSET
    )
    external_ids: SetFilter | None = strawberry.field(
        description="外部编号 · External ids", default=strawberry.UNSET
    )
    wechat: TextFilter | None = strawberry.field(description="微信 · WeChat", default=strawberry.UNSET)
    gender: Filter[Gender] | None = strawberry.field(description="性别 · Gender", default=strawberry.UNSET)
    acquisition_channel: Filter[AcquisitionChannel] | None = strawberry.field(
        description="来源渠道 · Acquisition channel", default=strawberry.UNSET
    )
    trading_since: DateFilter | None = strawberry.field(
        description="首次交易 · Trading since", default=strawberry.UNSET
    )
    first_seen: DateTimeFilter | None = strawberry.field(
        description="首次到店 · First seen", default=strawberry.UNSET
    )
    consent_asked_at: DateTimeFilter | None = strawberry.field(
        description="最近询问同意 · Consent last asked", default=strawberry.UNSET
    )
    privacy_notice: Filter[PrivacyNotice] | None = strawberry.field(
        description="隐私告知 · Privacy notice", default=strawberry.UNSET
    )
    contact_by: ElementFilter[Channel] | None = strawberry.field(
        description="允许联系方式 · May be contacted by", default=strawberry.UNSET
    )
    preferred_channel: Filter[Channel] | None = strawberry.field(
        description="首选渠道 · Preferred channel", default=strawberry.UNSET
    )
    tags: SetFilter | None = strawberry.field(description="标签 · Tags", default=strawberry.UNSET)
    hobbies: SetFilter | None = strawberry.field(description="爱好 · Hobbies", default=strawberry.UNSET)
    segment_ids: IdSetFilter | None = strawberry.field(
        description="静态分群 · Static segments", default=strawberry.UNSET
    )
    archived: BooleanFilter | None = strawberry.field(
        description="已归档 · Archived", default=strawberry.UNSET
    )
    industry: TextFilter | None = strawberry.field(description="业种 · Industry", default=strawberry.UNSET)
    founded_on: DateFilter | None = strawberry.field(
        description="创业时间 · Founded on", default=strawberry.UNSET
    )
    headcount: IntFilter | None = strawberry.field(
        description="职工人数 · Headcount", default=strawberry.UNSET
    )
    cooperation_attitude: IntFilter | None = strawberry.field(
        description="合作态度 · Attitude to co-operation", default=strawberry.UNSET
    )
    household_size: IntFilter | None = strawberry.field(
        description="家庭成员数 · Members of the household", default=strawberry.UNSET
    )
    occupation: TextFilter | None = strawberry.field(
        description="职业 · Occupation", default=strawberry.UNSET
    )
    preferences: SetFilter | None = strawberry.field(
        description="偏好 · Preferences", default=strawberry.UNSET
    )
    groups: SetFilter | None = strawberry.field(
        description="顾客群 · Customer groups", default=strawberry.UNSET
    )
    owned_product_ids: IdSetFilter | None = strawberry.field(
        description="拥有的商品 · Products owned", default=strawberry.UNSET
    )
    excluded_segment_ids: IdSetFilter | None = strawberry.field(
        description="排除的分群 · Segments taken out of", default=strawberry.UNSET
    )
    price_sensitivity: Filter[Degree] | None = strawberry.field(
        description="价格敏感度 · Sensitivity to price", default=strawberry.UNSET
    )
    fault_tolerance: Filter[Degree] | None = strawberry.field(
        description="对质量问题的容忍度 · Tolerance of faults", default=strawberry.UNSET
    )
    service_stance: Filter[ServiceStance] | None = strawberry.field(
        description="服务立场 · Service stance", default=strawberry.UNSET
    )
    service_plan: Filter[ServicePlan] | None = strawberry.field(
        description="服务方案 · Service plan", default=strawberry.UNSET
    )
    do_not_contact: BooleanFilter | None = strawberry.field(
        description="请勿联系 · Do not contact", default=strawberry.UNSET
    )
    member_of: UUID | None = strawberry.field(
        description="分群成员 · Members of a segment, by its rule or by hand", default=strawberry.UNSET
    )
    standing: StandingFilter | None = strawberry.field(
        description="分类 · Those of a value in a scheme", default=strawberry.UNSET
    )
    home_unit: UnitWhere | None = strawberry.field(
        description="所属门店 · Home unit", default=strawberry.UNSET
    )
    owner: StaffWhere | None = strawberry.field(description="负责人 · Owner", default=strawberry.UNSET)
    segments: SegmentListFilter | None = strawberry.field(
        description="静态分群 · Static segments", default=strawberry.UNSET
    )
    owned_products: ProductListFilter | None = strawberry.field(
        description="拥有的商品 · Products owned", default=strawberry.UNSET
    )
    excluded_segments: SegmentListFilter | None = strawberry.field(
        description="排除的分群 · Segments taken out of", default=strawberry.UNSET
    )
    links: LinkListFilter | None = strawberry.field(
        description="关系 · Links of the person", default=strawberry.UNSET
    )
    interactions: InteractionListFilter | None = strawberry.field(
        description="往来 · Interactions of the person", default=strawberry.UNSET
    )


@strawberry.input(
    description="Tests on those customers that are tied to a row, as far as they are within reach."
)
class CustomerListFilter:
    some: CustomerWhere | None = strawberry.UNSET
    none: CustomerWhere | None = strawberry.UNSET
    every: CustomerWhere | None = strawberry.UNSET


@strawberry.input(description="Tests on tasks; all that are given must pass.")
class TaskWhere:
    and_: list[TaskWhere] | None = strawberry.field(name="AND", default=strawberry.UNSET)
    or_: list[TaskWhere] | None = strawberry.field(name="OR", default=strawberry.UNSET)
    not_: TaskWhere | None = strawberry.field(name="NOT", default=strawberry.UNSET)
    id: IdFilter | None = strawberry.UNSET
    plan: TextFilter | None = strawberry.field(description="计划 · Plan", default=strawberry.UNSET)
    customer_id: IdFilter | None = strawberry.field(description="顾客 · Customer", default=strawberry.UNSET)
    subject: TextFilter | None = strawberry.field(description="事由 · Subject", default=strawberry.UNSET)
    due: DateFilter | None = strawberry.field(description="到期 · Due", default=strawberry.UNSET)
    status: Filter[TaskStatus] | None = strawberry.field(
        description="状态 · Status", default=strawberry.UNSET
    )
    owner_id: IdFilter | None = strawberry.field(description="负责人 · Owner", default=strawberry.UNSET)
    closed_by_id: IdFilter | None = strawberry.field(
        description="由此完成 · Closed by", default=strawberry.UNSET
    )
    customer: CustomerWhere | None = strawberry.field(description="顾客 · Customer", default=strawberry.UNSET)
    owner: StaffWhere | None = strawberry.field(description="负责人 · Owner", default=strawberry.UNSET)
    closed_by: InteractionWhere | None = strawberry.field(
        description="由此完成 · Closed by", default=strawberry.UNSET
    )


@strawberry.input(description="Tests on those tasks that are tied to a row, as far as they are within reach.")
class TaskListFilter:
    some: TaskWhere | None = strawberry.UNSET
    none: TaskWhere | None = strawberry.UNSET
    every: TaskWhere | None = strawberry.UNSET


@strawberry.input(description="Tests on interactions; all that are given must pass.")
class InteractionWhere:
    and_: list[InteractionWhere] | None = strawberry.field(name="AND", default=strawberry.UNSET)
    or_: list[InteractionWhere] | None = strawberry.field(name="OR", default=strawberry.UNSET)
    not_: InteractionWhere | None = strawberry.field(name="NOT", default=strawberry.UNSET)
    id: IdFilter | None = strawberry.UNSET
    kind: Filter[InteractionKind] | None = strawberry.field(
        description="类型 · Kind", default=strawberry.UNSET
    )
    at: DateTimeFilter | None = strawberry.field(description="时间 · At", default=strawberry.UNSET)
    unit_id: IdFilter | None = strawberry.field(description="门店 · Unit", default=strawberry.UNSET)
    staff_id: IdFilter | None = strawberry.field(description="员工 · Staff", default=strawberry.UNSET)
    channel: Filter[Channel] | None = strawberry.field(description="渠道 · Channel", default=strawberry.UNSET)
    party: IdSetFilter | None = strawberry.field(description="参与人 · Party", default=strawberry.UNSET)
    stage_reached: IntFilter | None = strawberry.field(
        description="到达阶段 · Stage reached", default=strawberry.UNSET
    )
    outcome: Filter[Outcome] | None = strawberry.field(description="结果 · Outcome", default=strawberry.UNSET)
    report_class: Filter[ReportClass] | None = strawberry.field(
        description="报告类别 · Report class", default=strawberry.UNSET
    )
    effort_min: IntFilter | None = strawberry.field(
        description="投入分钟 · Effort in minutes", default=strawberry.UNSET
    )
    supersedes_id: IdFilter | None = strawberry.field(
        description="更正 · Supersedes", default=strawberry.UNSET
    )
    void: BooleanFilter | None = strawberry.field(description="作废 · Void", default=strawberry.UNSET)
    external_ids: SetFilter | None = strawberry.field(
        description="外部编号 · External ids", default=strawberry.UNSET
    )
    satisfaction: IntFilter | None = strawberry.field(
        description="满意度 · Satisfaction", default=strawberry.UNSET
    )
    attention_focus: Filter[AttentionFocus] | None = strawberry.field(
        description="关注焦点 · Focus of attention", default=strawberry.UNSET
    )
    place: Filter[Place] | None = strawberry.field(description="地点 · Place", default=strawberry.UNSET)
    next_on: DateFilter | None = strawberry.field(description="下次日期 · Next on", default=strawberry.UNSET)
    campaign_id: IdFilter | None = strawberry.field(
        description="活动名单 · Campaign", default=strawberry.UNSET
    )
    unit: UnitWhere | None = strawberry.field(description="门店 · Unit", default=strawberry.UNSET)
    staff: StaffWhere | None = strawberry.field(description="员工 · Staff", default=strawberry.UNSET)
    supersedes: InteractionWhere | None = strawberry.field(
        description="更正 · Supersedes", default=strawberry.UNSET
    )
    campaign: SegmentWhere | None = strawberry.field(
        description="活动名单 · Campaign", default=strawberry.UNSET
    )
    customers: CustomerListFilter | None = strawberry.field(
        description="顾客 · The customers it names", default=strawberry.UNSET
    )
    superseded_by: InteractionListFilter | None = strawberry.field(
        description="更正 · Facts that correct it", default=strawberry.UNSET
    )


@strawberry.input(
    description="Tests on those interactions that are tied to a row, as far as they are within reach."
)
class InteractionListFilter:
    some: InteractionWhere | None = strawberry.UNSET
    none: InteractionWhere | None = strawberry.UNSET
    every: InteractionWhere | None = strawberry.UNSET


@strawberry.input(description="Tests on links; all that are given must pass.")
class LinkWhere:
    and_: list[LinkWhere] | None = strawberry.field(name="AND", default=strawberry.UNSET)
    or_: list[LinkWhere] | None = strawberry.field(name="OR", default=strawberry.UNSET)
    not_: LinkWhere | None = strawberry.field(name="NOT", default=strawberry.UNSET)
    id: IdFilter | None = strawberry.UNSET
    from_customer_id: IdFilter | None = strawberry.field(description="顾客 · From", default=strawberry.UNSET)
    to_customer_id: IdFilter | None = strawberry.field(description="对象 · To", default=strawberry.UNSET)
    kind: Filter[LinkKind] | None = strawberry.field(description="关系类型 · Kind", default=strawberry.UNSET)
    active: BooleanFilter | None = strawberry.field(description="有效 · Active", default=strawberry.UNSET)
    from_customer: CustomerWhere | None = strawberry.field(
        description="顾客 · From", default=strawberry.UNSET
    )
    to_customer: CustomerWhere | None = strawberry.field(description="对象 · To", default=strawberry.UNSET)


@strawberry.input(description="Tests on those links that are tied to a row, as far as they are within reach.")
class LinkListFilter:
    some: LinkWhere | None = strawberry.UNSET
    none: LinkWhere | None = strawberry.UNSET
    every: LinkWhere | None = strawberry.UNSET


@strawberry.enum
class UnitOrder(Enum):
    ID_ASC = "id asc"
    ID_DESC = "id desc"
    NAME_ASC = "name asc"
    NAME_DESC = "name desc"
    KIND_ASC = "kind asc"
    KIND_DESC = "kind desc"
    ARCHIVED_ASC = "archived asc"
    ARCHIVED_DESC = "archived desc"


@strawberry.enum
class StaffOrder(Enum):
    ID_ASC = "id asc"
    ID_DESC = "id desc"
    NAME_ASC = "name asc"
    NAME_DESC = "name desc"
    ROLE_ASC = "role asc"
    ROLE_DESC = "role desc"
    ACTIVE_ASC = "active asc"
    ACTIVE_DESC = "active desc"


@strawberry.enum
class ProductOrder(Enum):
    ID_ASC = "id asc"
    ID_DESC = "id desc"
    NAME_ASC = "name asc"
    NAME_DESC = "name desc"
    CATEGORY_ASC = "category asc"
    CATEGORY_DESC = "category desc"
    USAGE_DAYS_ASC = "usage_days asc"
    USAGE_DAYS_DESC = "usage_days desc"
    PRICE_ASC = "price asc"
    PRICE_DESC = "price desc"
    ARCHIVED_ASC = "archived asc"
    ARCHIVED_DESC = "archived desc"
    RELEVANCE = valued(
        "relevance desc", "相关度 · Relevance: what fits `search` best comes first; 200 rows at most"
    )


@strawberry.enum
class DeviceOrder(Enum):
    ID_ASC = "id asc"
    ID_DESC = "id desc"
    NAME_ASC = "name asc"
    NAME_DESC = "name desc"
    REVOKED_ASC = "revoked asc"
    REVOKED_DESC = "revoked desc"


@strawberry.enum
class SegmentOrder(Enum):
    ID_ASC = "id asc"
    ID_DESC = "id desc"
    NAME_ASC = "name asc"
    NAME_DESC = "name desc"
    ARCHIVED_ASC = "archived asc"
    ARCHIVED_DESC = "archived desc"
    KEY_ASC = "key asc"
    KEY_DESC = "key desc"
    TAKEN_AT_ASC = "taken_at asc"
    TAKEN_AT_DESC = "taken_at desc"
    RELEVANCE = valued(
        "relevance desc", "相关度 · Relevance: what fits `search` best comes first; 200 rows at most"
    )


@strawberry.enum
class FieldDefOrder(Enum):
    ID_ASC = "id asc"
    ID_DESC = "id desc"
    KEY_ASC = "key asc"
    KEY_DESC = "key desc"
    TYPE_ASC = "type asc"
    TYPE_DESC = "type desc"
    RULE_ASC = "rule asc"
    RULE_DESC = "rule desc"
    SENSITIVITY_ASC = "sensitivity asc"
    SENSITIVITY_DESC = "sensitivity desc"
    SECTION_ASC = "section asc"
    SECTION_DESC = "section desc"
    TAB_ASC = "tab asc"
    TAB_DESC = "tab desc"
    FOR_KIND_ASC = "for_kind asc"
    FOR_KIND_DESC = "for_kind desc"
    ARCHIVED_ASC = "archived asc"
    ARCHIVED_DESC = "archived desc"


@strawberry.enum
class CustomerOrder(Enum):
    ID_ASC = "id asc"
    ID_DESC = "id desc"
    NAME_ASC = "name asc"
    NAME_DESC = "name desc"
    KIND_ASC = "kind asc"
    KIND_DESC = "kind desc"
    MEMBER_NO_ASC = "member_no asc"
    MEMBER_NO_DESC = "member_no desc"
    WECHAT_ASC = "wechat asc"
    WECHAT_DESC = "wechat desc"
    GENDER_ASC = "gender asc"
    GENDER_DESC = "gender desc"
    ACQUISITION_CHANNEL_ASC = "acquisition_channel asc"
    ACQUISITION_CHANNEL_DESC = "acquisition_channel desc"
    TRADING_SINCE_ASC = "trading_since asc"
    TRADING_SINCE_DESC = "trading_since desc"
    FIRST_SEEN_ASC = "first_seen asc"
    FIRST_SEEN_DESC = "first_seen desc"
    CONSENT_ASKED_AT_ASC = "consent_asked_at asc"
    CONSENT_ASKED_AT_DESC = "consent_asked_at desc"
    PRIVACY_NOTICE_ASC = "privacy_notice asc"
    PRIVACY_NOTICE_DESC = "privacy_notice desc"
    PREFERRED_CHANNEL_ASC = "preferred_channel asc"
    PREFERRED_CHANNEL_DESC = "preferred_channel desc"
    ARCHIVED_ASC = "archived asc"
    ARCHIVED_DESC = "archived desc"
    INDUSTRY_ASC = "industry asc"
    INDUSTRY_DESC = "industry desc"
    FOUNDED_ON_ASC = "founded_on asc"
    FOUNDED_ON_DESC = "founded_on desc"
    HEADCOUNT_ASC = "headcount asc"
    HEADCOUNT_DESC = "headcount desc"
    COOPERATION_ATTITUDE_ASC = "cooperation_attitude asc"
    COOPERATION_ATTITUDE_DESC = "cooperation_attitude desc"
    HOUSEHOLD_SIZE_ASC = "household_size asc"
    HOUSEHOLD_SIZE_DESC = "household_size desc"
    OCCUPATION_ASC = "occupation asc"
    OCCUPATION_DESC = "occupation desc"
    PRICE_SENSITIVITY_ASC = "price_sensitivity asc"
    PRICE_SENSITIVITY_DESC = "price_sensitivity desc"
    FAULT_TOLERANCE_ASC = "fault_tolerance asc"
    FAULT_TOLERANCE_DESC = "fault_tolerance desc"
    SERVICE_STANCE_ASC = "service_stance asc"
    SERVICE_STANCE_DESC = "service_stance desc"
    SERVICE_PLAN_ASC = "service_plan asc"
    SERVICE_PLAN_DESC = "service_plan desc"
    DO_NOT_CONTACT_ASC = "do_not_contact asc"
    DO_NOT_CONTACT_DESC = "do_not_contact desc"
    RELEVANCE = valued(
        "relevance desc", "相关度 · Relevance: what fits `search` best comes first; 200 rows at most"
    )


@strawberry.enum
class TaskOrder(Enum):
    ID_ASC = "id asc"
    ID_DESC = "id desc"
    PLAN_ASC = "plan asc"
    PLAN_DESC = "plan desc"
    SUBJECT_ASC = "subject asc"
    SUBJECT_DESC = "subject desc"
    DUE_ASC = "due asc"
    DUE_DESC = "due desc"
    STATUS_ASC = "status asc"
    STATUS_DESC = "status desc"


@strawberry.enum
class InteractionOrder(Enum):
    ID_ASC = "id asc"
    ID_DESC = "id desc"
    KIND_ASC = "kind asc"
    KIND_DESC = "kind desc"
    AT_ASC = "at asc"
    AT_DESC = "at desc"
    CHANNEL_ASC = "channel asc"
    CHANNEL_DESC = "channel desc"
    STAGE_REACHED_ASC = "stage_reached asc"
    STAGE_REACHED_DESC = "stage_reached desc"
    OUTCOME_ASC = "outcome asc"
    OUTCOME_DESC = "outcome desc"
    REPORT_CLASS_ASC = "report_class asc"
    REPORT_CLASS_DESC = "report_class desc"
    EFFORT_MIN_ASC = "effort_min asc"
    EFFORT_MIN_DESC = "effort_min desc"
    VOID_ASC = "void asc"
    VOID_DESC = "void desc"
    SATISFACTION_ASC = "satisfaction asc"
    SATISFACTION_DESC = "satisfaction desc"
    ATTENTION_FOCUS_ASC = "attention_focus asc"
    ATTENTION_FOCUS_DESC = "attention_focus desc"
    PLACE_ASC = "place asc"
    PLACE_DESC = "place desc"
    NEXT_ON_ASC = "next_on asc"
    NEXT_ON_DESC = "next_on desc"


@strawberry.input(description="What to write: what is left out stays, null clears. 组织单元 · Unit")
class UnitEdit:
    name: str | None = strawberry.field(description="名称 · Name", default=strawberry.UNSET)
    kind: UnitKind | None = strawberry.field(description="类型 · Kind", default=strawberry.UNSET)
    parent_id: UUID | None = strawberry.field(description="上级 · Parent", default=strawberry.UNSET)
    time_zone: str | None = strawberry.field(description="时区 · Time zone", default=strawberry.UNSET)
    country: str | None = strawberry.field(description="国家 · Country", default=strawberry.UNSET)
    currency: str | None = strawberry.field(description="币种 · Currency", default=strawberry.UNSET)
    external_ids: SetEdit | None = strawberry.field(
        description="外部编号 · External ids", default=strawberry.UNSET
    )
    archived: bool | None = strawberry.field(description="已归档 · Archived", default=strawberry.UNSET)


@strawberry.input(description="What to write: what is left out stays, null clears. 员工 · Staff")
class StaffEdit:
    name: str | None = strawberry.field(description="姓名 · Name", default=strawberry.UNSET)
    role: StaffRole | None = strawberry.field(description="角色 · Role", default=strawberry.UNSET)
    unit_ids: IdSetEdit | None = strawberry.field(description="所属 · Units", default=strawberry.UNSET)
    manager_id: UUID | None = strawberry.field(description="上级 · Manager", default=strawberry.UNSET)
    active: bool | None = strawberry.field(description="在职 · Active", default=strawberry.UNSET)
    external_ids: SetEdit | None = strawberry.field(
        description="外部编号 · External ids", default=strawberry.UNSET
    )


@strawberry.input(description="What to write: what is left out stays, null clears. 商品 · Product")
class ProductEdit:
    name: str | None = strawberry.field(description="名称 · Name", default=strawberry.UNSET)
    category: str | None = strawberry.field(description="类别 · Category", default=strawberry.UNSET)
    usage_days: int | None = strawberry.field(
        description="使用天数 · Days of use per piece", default=strawberry.UNSET
    )
    refill_lead_days: int | None = strawberry.field(
        description="提前天数 · Days to remind before", default=strawberry.UNSET
    )
    price: Money | None = strawberry.field(
        description="价格 · Price in minor units", default=strawberry.UNSET
    )
    currency: str | None = strawberry.field(description="币种 · Currency", default=strawberry.UNSET)
    external_ids: SetEdit | None = strawberry.field(
        description="外部编号 · External ids", default=strawberry.UNSET
    )
    archived: bool | None = strawberry.field(description="已归档 · Archived", default=strawberry.UNSET)


@strawberry.input(description="What to write: what is left out stays, null clears. 分群 · Segment")
class SegmentEdit:
    name: str | None = strawberry.field(description="名称 · Name", default=strawberry.UNSET)
    purpose: str | None = strawberry.field(description="用途 · Purpose", default=strawberry.UNSET)
    owner_id: UUID | None = strawberry.field(description="负责人 · Owner", default=strawberry.UNSET)
    archived: bool | None = strawberry.field(description="已归档 · Archived", default=strawberry.UNSET)
    key: str | None = strawberry.field(description="键 · Key", default=strawberry.UNSET)
    rule: scalars.JSON | None = strawberry.field(description="规则 · Rule", default=strawberry.UNSET)


@strawberry.input(description="A new row. 顾客 · Customer")
class CustomerInput:
    name: str = strawberry.field(description="姓名 · Name")
    kind: CustomerKind | None = strawberry.field(description="性质 · Kind", default=strawberry.UNSET)
    home_unit_id: UUID | None = strawberry.field(description="所属门店 · Home unit", default=strawberry.UNSET)
    owner_id: UUID | None = strawberry.field(description="负责人 · Owner", default=strawberry.UNSET)
    phones: list[str] | None = strawberry.field(description="电话 · Phones", default=strawberry.UNSET)
    emails: list[str] | None = strawberry.field(description="邮箱 · E-mails", default=strawberry.UNSET)
    member_no: str | None = strawberry.field(description="会员号 · Member number", default=strawberry.UNSET)
    external_ids: list[str] | None = strawberry.field(
        description="外部编号 · External ids", default=strawberry.UNSET
    )
    wechat: str | None = strawberry.field(description="微信 · WeChat", default=strawberry.UNSET)
    gender: Gender | None = strawberry.field(description="性别 · Gender", default=strawberry.UNSET)
    birth: BirthInput | None = strawberry.field(description="生日 · Birth", default=strawberry.UNSET)
    address: str | None = strawberry.field(description="地址 · Address", default=strawberry.UNSET)
    acquisition_channel: AcquisitionChannel | None = strawberry.field(
        description="来源渠道 · Acquisition channel", default=strawberry.UNSET
    )
    trading_since: Date | None = strawberry.field(
        description="首次交易 · Trading since", default=strawberry.UNSET
    )
    first_seen: DateTime | None = strawberry.field(
        description="首次到店 · First seen", default=strawberry.UNSET
    )
    consent_asked_at: DateTime | None = strawberry.field(
        description="最近询问同意 · Consent last asked", default=strawberry.UNSET
    )
    privacy_notice: PrivacyNotice | None = strawberry.field(
        description="隐私告知 · Privacy notice", default=strawberry.UNSET
    )
    contact_by: list[Channel] | None = strawberry.field(
        description="允许联系方式 · May be contacted by", default=strawberry.UNSET
    )
    preferred_channel: Channel | None = strawberry.field(
        description="首选渠道 · Preferred channel", default=strawberry.UNSET
    )
    tags: list[str] | None = strawberry.field(description="标签 · Tags", default=strawberry.UNSET)
    hobbies: list[str] | None = strawberry.field(description="爱好 · Hobbies", default=strawberry.UNSET)
    notes: str | None = strawberry.field(description="备注 · Notes", default=strawberry.UNSET)
    income_band: IncomeBand | None = strawberry.field(
        description="收入 · Income band", default=strawberry.UNSET
    )
    belief: str | None = strawberry.field(description="信仰 · Belief", default=strawberry.UNSET)
    credit_status: CreditStatus | None = strawberry.field(
        description="信用状况 · Credit status", default=strawberry.UNSET
    )
    tax_no: str | None = strawberry.field(
        description="税号或证件号 · Tax or identity number", default=strawberry.UNSET
    )
    org_form: str | None = strawberry.field(
        description="企业组织形式 · Form of organization", default=strawberry.UNSET
    )
    industry: str | None = strawberry.field(description="业种 · Industry", default=strawberry.UNSET)
    founded_on: Date | None = strawberry.field(description="创业时间 · Founded on", default=strawberry.UNSET)
    assets: str | None = strawberry.field(description="资产 · Assets", default=strawberry.UNSET)
    service_area: str | None = strawberry.field(
        description="服务区域 · Service area", default=strawberry.UNSET
    )
    sales_capacity: str | None = strawberry.field(
        description="销售能力 · Sales capacity", default=strawberry.UNSET
    )
    growth_potential: str | None = strawberry.field(
        description="发展潜力 · Growth potential", default=strawberry.UNSET
    )
    philosophy: str | None = strawberry.field(description="经营观念 · Philosophy", default=strawberry.UNSET)
    direction: str | None = strawberry.field(description="经营方向 · Direction", default=strawberry.UNSET)
    policy: str | None = strawberry.field(description="经营方针与政策 · Policy", default=strawberry.UNSET)
    headcount: int | None = strawberry.field(description="职工人数 · Headcount", default=strawberry.UNSET)
    turnover: Money | None = strawberry.field(
        description="销售额 · Turnover a year in minor units", default=strawberry.UNSET
    )
    management_traits: str | None = strawberry.field(
        description="经营管理特点 · Traits of its management", default=strawberry.UNSET
    )
    staff_quality: str | None = strawberry.field(
        description="经营管理者和业务人员的素质 · Quality of its staff", default=strawberry.UNSET
    )
    competitor_relations: list[str] | None = strawberry.field(
        description="与其他竞争公司的关系 · Relations with competitors", default=strawberry.UNSET
    )
    cooperation_attitude: int | None = strawberry.field(
        description="合作态度 · Attitude to co-operation", default=strawberry.UNSET
    )
    activity: str | None = strawberry.field(
        description="销售活动状况 · Sales activity", default=strawberry.UNSET
    )
    problems: str | None = strawberry.field(description="存在的问题 · Problems", default=strawberry.UNSET)
    strengths: str | None = strawberry.field(description="保持的优势 · Strengths", default=strawberry.UNSET)
    measures: str | None = strawberry.field(description="未来的对策 · Measures", default=strawberry.UNSET)
    reputation: str | None = strawberry.field(
        description="企业信誉与形象 · Reputation", default=strawberry.UNSET
    )
    credit_incidents: list[str] | None = strawberry.field(
        description="以往出现的信用问题 · Credit incidents", default=strawberry.UNSET
    )
    trade_terms: str | None = strawberry.field(
        description="交易条件 · Terms of trade", default=strawberry.UNSET
    )
    economic_status: str | None = strawberry.field(
        description="经济状况 · Economic status", default=strawberry.UNSET
    )
    purchase_traits: str | None = strawberry.field(
        description="购买特征 · Purchase traits", default=strawberry.UNSET
    )
    education: str | None = strawberry.field(description="教育情况 · Education", default=strawberry.UNSET)
    family: str | None = strawberry.field(description="家庭情况 · Family", default=strawberry.UNSET)
    household_size: int | None = strawberry.field(
        description="家庭成员数 · Members of the household", default=strawberry.UNSET
    )
    social_life: str | None = strawberry.field(description="人际情况 · Social life", default=strawberry.UNSET)
    occupation: str | None = strawberry.field(description="职业 · Occupation", default=strawberry.UNSET)
    career: str | None = strawberry.field(description="事业情况 · Career", default=strawberry.UNSET)
    lifestyle: str | None = strawberry.field(description="生活情况 · Lifestyle", default=strawberry.UNSET)
    habits: list[str] | None = strawberry.field(description="习惯 · Habits", default=strawberry.UNSET)
    preferences: list[str] | None = strawberry.field(
        description="偏好 · Preferences", default=strawberry.UNSET
    )
    character: str | None = strawberry.field(description="性格 · Character", default=strawberry.UNSET)
    ability: str | None = strawberry.field(description="能力 · Ability", default=strawberry.UNSET)
    life_values: str | None = strawberry.field(description="价值取向 · Values", default=strawberry.UNSET)
    experience: str | None = strawberry.field(description="阅历情况 · Experience", default=strawberry.UNSET)
    supplement: str | None = strawberry.field(
        description="其他可供参考的补充材料 · Further material", default=strawberry.UNSET
    )
    groups: list[str] | None = strawberry.field(
        description="顾客群 · Customer groups", default=strawberry.UNSET
    )
    owned_product_ids: list[UUID] | None = strawberry.field(
        description="拥有的商品 · Products owned", default=strawberry.UNSET
    )
    risk_level: Degree | None = strawberry.field(description="风险 · Risk", default=strawberry.UNSET)
    price_sensitivity: Degree | None = strawberry.field(
        description="价格敏感度 · Sensitivity to price", default=strawberry.UNSET
    )
    fault_tolerance: Degree | None = strawberry.field(
        description="对质量问题的容忍度 · Tolerance of faults", default=strawberry.UNSET
    )
    service_stance: ServiceStance | None = strawberry.field(
        description="服务立场 · Service stance", default=strawberry.UNSET
    )
    stance_reason: StanceReason | None = strawberry.field(
        description="服务立场的原因 · Reason of the stance", default=strawberry.UNSET
    )
    service_plan: ServicePlan | None = strawberry.field(
        description="服务方案 · Service plan", default=strawberry.UNSET
    )
    do_not_contact: bool | None = strawberry.field(
        description="请勿联系 · Do not contact", default=strawberry.UNSET
    )
    quiet_hours: QuietHoursInput | None = strawberry.field(
        description="免打扰时段 · Quiet hours", default=strawberry.UNSET
    )


@strawberry.input(description="What to write: what is left out stays, null clears. 顾客 · Customer")
class CustomerEdit:
    name: str | None = strawberry.field(description="姓名 · Name", default=strawberry.UNSET)
    kind: CustomerKind | None = strawberry.field(description="性质 · Kind", default=strawberry.UNSET)
    home_unit_id: UUID | None = strawberry.field(description="所属门店 · Home unit", default=strawberry.UNSET)
    owner_id: UUID | None = strawberry.field(description="负责人 · Owner", default=strawberry.UNSET)
    phones: SetEdit | None = strawberry.field(description="电话 · Phones", default=strawberry.UNSET)
    emails: SetEdit | None = strawberry.field(description="邮箱 · E-mails", default=strawberry.UNSET)
    member_no: str | None = strawberry.field(description="会员号 · Member number", default=strawberry.UNSET)
    external_ids: SetEdit | None = strawberry.field(
        description="外部编号 · External ids", default=strawberry.UNSET
    )
    wechat: str | None = strawberry.field(description="微信 · WeChat", default=strawberry.UNSET)
    gender: Gender | None = strawberry.field(description="性别 · Gender", default=strawberry.UNSET)
    birth: BirthInput | None = strawberry.field(description="生日 · Birth", default=strawberry.UNSET)
    address: str | None = strawberry.field(description="地址 · Address", default=strawberry.UNSET)
    acquisition_channel: AcquisitionChannel | None = strawberry.field(
        description="来源渠道 · Acquisition channel", default=strawberry.UNSET
    )
    trading_since: Date | None = strawberry.field(
        description="首次交易 · Trading since", default=strawberry.UNSET
    )
    first_seen: DateTime | None = strawberry.field(
        description="首次到店 · First seen", default=strawberry.UNSET
    )
    consent_asked_at: DateTime | None = strawberry.field(
        description="最近询问同意 · Consent last asked", default=strawberry.UNSET
    )
    privacy_notice: PrivacyNotice | None = strawberry.field(
        description="隐私告知 · Privacy notice", default=strawberry.UNSET
    )
    contact_by: ElementEdit[Channel] | None = strawberry.field(
        description="允许联系方式 · May be contacted by", default=strawberry.UNSET
    )
    preferred_channel: Channel | None = strawberry.field(
        description="首选渠道 · Preferred channel", default=strawberry.UNSET
    )
    tags: SetEdit | None = strawberry.field(description="标签 · Tags", default=strawberry.UNSET)
    hobbies: SetEdit | None = strawberry.field(description="爱好 · Hobbies", default=strawberry.UNSET)
    notes: str | None = strawberry.field(description="备注 · Notes", default=strawberry.UNSET)
    income_band: IncomeBand | None = strawberry.field(
        description="收入 · Income band", default=strawberry.UNSET
    )
    belief: str | None = strawberry.field(description="信仰 · Belief", default=strawberry.UNSET)
    credit_status: CreditStatus | None = strawberry.field(
        description="信用状况 · Credit status", default=strawberry.UNSET
    )
    tax_no: str | None = strawberry.field(
        description="税号或证件号 · Tax or identity number", default=strawberry.UNSET
    )
    org_form: str | None = strawberry.field(
        description="企业组织形式 · Form of organization", default=strawberry.UNSET
    )
    industry: str | None = strawberry.field(description="业种 · Industry", default=strawberry.UNSET)
    founded_on: Date | None = strawberry.field(description="创业时间 · Founded on", default=strawberry.UNSET)
    assets: str | None = strawberry.field(description="资产 · Assets", default=strawberry.UNSET)
    service_area: str | None = strawberry.field(
        description="服务区域 · Service area", default=strawberry.UNSET
    )
    sales_capacity: str | None = strawberry.field(
        description="销售能力 · Sales capacity", default=strawberry.UNSET
    )
    growth_potential: str | None = strawberry.field(
        description="发展潜力 · Growth potential", default=strawberry.UNSET
    )
    philosophy: str | None = strawberry.field(description="经营观念 · Philosophy", default=strawberry.UNSET)
    direction: str | None = strawberry.field(description="经营方向 · Direction", default=strawberry.UNSET)
    policy: str | None = strawberry.field(description="经营方针与政策 · Policy", default=strawberry.UNSET)
    headcount: int | None = strawberry.field(description="职工人数 · Headcount", default=strawberry.UNSET)
    turnover: Money | None = strawberry.field(
        description="销售额 · Turnover a year in minor units", default=strawberry.UNSET
    )
    management_traits: str | None = strawberry.field(
        description="经营管理特点 · Traits of its management", default=strawberry.UNSET
    )
    staff_quality: str | None = strawberry.field(
        description="经营管理者和业务人员的素质 · Quality of its staff", default=strawberry.UNSET
    )
    competitor_relations: SetEdit | None = strawberry.field(
        description="与其他竞争公司的关系 · Relations with competitors", default=strawberry.UNSET
    )
    cooperation_attitude: int | None = strawberry.field(
        description="合作态度 · Attitude to co-operation", default=strawberry.UNSET
    )
    activity: str | None = strawberry.field(
        description="销售活动状况 · Sales activity", default=strawberry.UNSET
    )
    problems: str | None = strawberry.field(description="存在的问题 · Problems", default=strawberry.UNSET)
    strengths: str | None = strawberry.field(description="保持的优势 · Strengths", default=strawberry.UNSET)
    measures: str | None = strawberry.field(description="未来的对策 · Measures", default=strawberry.UNSET)
    reputation: str | None = strawberry.field(
        description="企业信誉与形象 · Reputation", default=strawberry.UNSET
    )
    credit_incidents: SetEdit | None = strawberry.field(
        description="以往出现的信用问题 · Credit incidents", default=strawberry.UNSET
    )
    trade_terms: str | None = strawberry.field(
        description="交易条件 · Terms of trade", default=strawberry.UNSET
    )
    economic_status: str | None = strawberry.field(
        description="经济状况 · Economic status", default=strawberry.UNSET
    )
    purchase_traits: str | None = strawberry.field(
        description="购买特征 · Purchase traits", default=strawberry.UNSET
    )
    education: str | None = strawberry.field(description="教育情况 · Education", default=strawberry.UNSET)
    family: str | None = strawberry.field(description="家庭情况 · Family", default=strawberry.UNSET)
    household_size: int | None = strawberry.field(
        description="家庭成员数 · Members of the household", default=strawberry.UNSET
    )
    social_life: str | None = strawberry.field(description="人际情况 · Social life", default=strawberry.UNSET)
    occupation: str | None = strawberry.field(description="职业 · Occupation", default=strawberry.UNSET)
    career: str | None = strawberry.field(description="事业情况 · Career", default=strawberry.UNSET)
    lifestyle: str | None = strawberry.field(description="生活情况 · Lifestyle", default=strawberry.UNSET)
    habits: SetEdit | None = strawberry.field(description="习惯 · Habits", default=strawberry.UNSET)
    preferences: SetEdit | None = strawberry.field(description="偏好 · Preferences", default=strawberry.UNSET)
    character: str | None = strawberry.field(description="性格 · Character", default=strawberry.UNSET)
    ability: str | None = strawberry.field(description="能力 · Ability", default=strawberry.UNSET)
    life_values: str | None = strawberry.field(description="价值取向 · Values", default=strawberry.UNSET)
    experience: str | None = strawberry.field(description="阅历情况 · Experience", default=strawberry.UNSET)
    supplement: str | None = strawberry.field(
        description="其他可供参考的补充材料 · Further material", default=strawberry.UNSET
    )
    groups: SetEdit | None = strawberry.field(
        description="顾客群 · Customer groups", default=strawberry.UNSET
    )
    owned_product_ids: IdSetEdit | None = strawberry.field(
        description="拥有的商品 · Products owned", default=strawberry.UNSET
    )
    risk_level: Degree | None = strawberry.field(description="风险 · Risk", default=strawberry.UNSET)
    price_sensitivity: Degree | None = strawberry.field(
        description="价格敏感度 · Sensitivity to price", default=strawberry.UNSET
    )
    fault_tolerance: Degree | None = strawberry.field(
        description="对质量问题的容忍度 · Tolerance of faults", default=strawberry.UNSET
    )
    service_stance: ServiceStance | None = strawberry.field(
        description="服务立场 · Service stance", default=strawberry.UNSET
    )
    stance_reason: StanceReason | None = strawberry.field(
        description="服务立场的原因 · Reason of the stance", default=strawberry.UNSET
    )
    service_plan: ServicePlan | None = strawberry.field(
        description="服务方案 · Service plan", default=strawberry.UNSET
    )
    do_not_contact: bool | None = strawberry.field(
        description="请勿联系 · Do not contact", default=strawberry.UNSET
    )
    quiet_hours: QuietHoursInput | None = strawberry.field(
        description="免打扰时段 · Quiet hours", default=strawberry.UNSET
    )


@strawberry.input(description="A new row. 往来 · Interaction")
class InteractionInput:
    kind: InteractionKind = strawberry.field(description="类型 · Kind")
    at: DateTime = strawberry.field(description="时间 · At")
    unit_id: UUID | None = strawberry.field(description="门店 · Unit", default=strawberry.UNSET)
    staff_id: UUID | None = strawberry.field(description="员工 · Staff", default=strawberry.UNSET)
    channel: Channel | None = strawberry.field(description="渠道 · Channel", default=strawberry.UNSET)
    party: list[PartyMemberInput] | None = strawberry.field(
        description="参与人 · Party", default=strawberry.UNSET
    )
    lines: list[LineInput] | None = strawberry.field(description="明细 · Lines", default=strawberry.UNSET)
    stage_reached: int | None = strawberry.field(
        description="到达阶段 · Stage reached", default=strawberry.UNSET
    )
    outcome: Outcome | None = strawberry.field(description="结果 · Outcome", default=strawberry.UNSET)
    report_class: ReportClass | None = strawberry.field(
        description="报告类别 · Report class", default=strawberry.UNSET
    )
    effort_min: int | None = strawberry.field(
        description="投入分钟 · Effort in minutes", default=strawberry.UNSET
    )
    note: str | None = strawberry.field(description="内容 · Note", default=strawberry.UNSET)
    external_ids: list[str] | None = strawberry.field(
        description="外部编号 · External ids", default=strawberry.UNSET
    )
    satisfaction: int | None = strawberry.field(description="满意度 · Satisfaction", default=strawberry.UNSET)
    facts: list[LearnedFactInput] | None = strawberry.field(
        description="所知事项 · Learned facts", default=strawberry.UNSET
    )
    checklist: list[str] | None = strawberry.field(
        description="检查表 · Ticked items", default=strawberry.UNSET
    )
    methods_used: list[Method] | None = strawberry.field(
        description="介绍方法 · Methods used", default=strawberry.UNSET
    )
    attention_focus: AttentionFocus | None = strawberry.field(
        description="关注焦点 · Focus of attention", default=strawberry.UNSET
    )
    opportunity: OpportunityInput | None = strawberry.field(
        description="机会评分 · Rating of the opportunity", default=strawberry.UNSET
    )
    place: Place | None = strawberry.field(description="地点 · Place", default=strawberry.UNSET)
    benefit: str | None = strawberry.field(description="回馈 · Benefit granted", default=strawberry.UNSET)
    next_on: Date | None = strawberry.field(description="下次日期 · Next on", default=strawberry.UNSET)
    campaign_id: UUID | None = strawberry.field(description="活动名单 · Campaign", default=strawberry.UNSET)
    agency: str | None = strawberry.field(
        description="专业机构 · Agency that looked into it", default=strawberry.UNSET
    )
    looked_into: list[str] | None = strawberry.field(
        description="调查的字段 · Fields looked into", default=strawberry.UNSET
    )


@strawberry.input(description="What to write: what is left out stays, null clears. 往来 · Interaction")
class InteractionEdit:
    kind: InteractionKind | None = strawberry.field(description="类型 · Kind", default=strawberry.UNSET)
    at: DateTime | None = strawberry.field(description="时间 · At", default=strawberry.UNSET)
    unit_id: UUID | None = strawberry.field(description="门店 · Unit", default=strawberry.UNSET)
    staff_id: UUID | None = strawberry.field(description="员工 · Staff", default=strawberry.UNSET)
    channel: Channel | None = strawberry.field(description="渠道 · Channel", default=strawberry.UNSET)
    party: list[PartyMemberInput] | None = strawberry.field(
        description="参与人 · Party", default=strawberry.UNSET
    )
    lines: list[LineInput] | None = strawberry.field(description="明细 · Lines", default=strawberry.UNSET)
    stage_reached: int | None = strawberry.field(
        description="到达阶段 · Stage reached", default=strawberry.UNSET
    )
    outcome: Outcome | None = strawberry.field(description="结果 · Outcome", default=strawberry.UNSET)
    report_class: ReportClass | None = strawberry.field(
        description="报告类别 · Report class", default=strawberry.UNSET
    )
    effort_min: int | None = strawberry.field(
        description="投入分钟 · Effort in minutes", default=strawberry.UNSET
    )
    note: str | None = strawberry.field(description="内容 · Note", default=strawberry.UNSET)
    external_ids: list[str] | None = strawberry.field(
        description="外部编号 · External ids", default=strawberry.UNSET
    )
    satisfaction: int | None = strawberry.field(description="满意度 · Satisfaction", default=strawberry.UNSET)
    facts: list[LearnedFactInput] | None = strawberry.field(
        description="所知事项 · Learned facts", default=strawberry.UNSET
    )
    checklist: list[str] | None = strawberry.field(
        description="检查表 · Ticked items", default=strawberry.UNSET
    )
    methods_used: list[Method] | None = strawberry.field(
        description="介绍方法 · Methods used", default=strawberry.UNSET
    )
    attention_focus: AttentionFocus | None = strawberry.field(
        description="关注焦点 · Focus of attention", default=strawberry.UNSET
    )
    opportunity: OpportunityInput | None = strawberry.field(
        description="机会评分 · Rating of the opportunity", default=strawberry.UNSET
    )
    place: Place | None = strawberry.field(description="地点 · Place", default=strawberry.UNSET)
    benefit: str | None = strawberry.field(description="回馈 · Benefit granted", default=strawberry.UNSET)
    next_on: Date | None = strawberry.field(description="下次日期 · Next on", default=strawberry.UNSET)
    campaign_id: UUID | None = strawberry.field(description="活动名单 · Campaign", default=strawberry.UNSET)
    agency: str | None = strawberry.field(
        description="专业机构 · Agency that looked into it", default=strawberry.UNSET
    )
    looked_into: list[str] | None = strawberry.field(
        description="调查的字段 · Fields looked into", default=strawberry.UNSET
    )


ATTRIBUTES: dict[str, dict[str, str]] = {
    "CustomLabel": {},
    "Birth": {},
    "QuietHours": {},
    "PartyMember": {"customer": "customer_id"},
    "Line": {"product": "product_id"},
    "LearnedFact": {"product": "product_id"},
    "Opportunity": {},
    "unit": {"parent": "parent_id"},
    "staff": {"units": "unit_ids", "manager": "manager_id"},
    "product": {},
    "device": {"unit": "unit_id", "left_units": "left_unit_ids"},
    "segment": {"owner": "owner_id", "snapshot_of": "snapshot_of_id"},
    "field_def": {},
    "customer": {
        "home_unit": "home_unit_id",
        "owner": "owner_id",
        "segments": "segment_ids",
        "owned_products": "owned_product_ids",
        "excluded_segments": "excluded_segment_ids",
    },
    "link": {"from_customer": "from_customer_id", "to_customer": "to_customer_id"},
    "identity": {"one": "one_id", "other": "other_id"},
    "custom_value": {"customer": "customer_id", "field_def": "field_def_id"},
    "supplier": {"customer": "customer_id"},
    "assignment": {"customer": "customer_id", "decided_by": "decided_by_id", "evidence": "evidence_id"},
    "task": {"customer": "customer_id", "owner": "owner_id", "closed_by": "closed_by_id"},
    "interaction": {
        "unit": "unit_id",
        "staff": "staff_id",
        "supersedes": "supersedes_id",
        "campaign": "campaign_id",
    },
    "consent": {"customer": "customer_id", "unit": "unit_id", "staff": "staff_id"},
}
"""Field or part -> the attribute that carries it, where the two differ."""


RELATIONS: dict[str, dict[str, Relation]] = {
    "unit": {
        "parent": Relation("unit", ("parent",), False),
        "children": Relation("unit", ("parent",), True),
        "customers": Relation("customer", ("home_unit",), True),
        "devices": Relation("device", ("unit",), True),
        "staff": Relation("staff", ("units",), True),
    },
    "staff": {
        "units": Relation("unit", ("units",), False),
        "manager": Relation("staff", ("manager",), False),
        "customers": Relation("customer", ("owner",), True),
    },
    "product": {},
    "device": {
        "unit": Relation("unit", ("unit",), False),
    },
    "segment": {
        "owner": Relation("staff", ("owner",), False),
        "snapshot_of": Relation("segment", ("snapshot_of",), False),
        "customers": Relation("customer", ("segments",), True),
    },
    "field_def": {},
    "customer": {
        "home_unit": Relation("unit", ("home_unit",), False),
        "owner": Relation("staff", ("owner",), False),
        "segments": Relation("segment", ("segments",), False),
        "owned_products": Relation("product", ("owned_products",), False),
        "excluded_segments": Relation("segment", ("excluded_segments",), False),
        "links": Relation("link", ("from_customer", "to_customer"), True),
        "interactions": Relation("interaction", ("party",), True),
    },
    "task": {
        "customer": Relation("customer", ("customer",), False),
        "owner": Relation("staff", ("owner",), False),
        "closed_by": Relation("interaction", ("closed_by",), False),
    },
    "interaction": {
        "unit": Relation("unit", ("unit",), False),
        "staff": Relation("staff", ("staff",), False),
        "supersedes": Relation("interaction", ("supersedes",), False),
        "campaign": Relation("segment", ("campaign",), False),
        "customers": Relation("customer", ("party",), False),
        "superseded_by": Relation("interaction", ("supersedes",), True),
    },
    "link": {
        "from_customer": Relation("customer", ("from_customer",), False),
        "to_customer": Relation("customer", ("to_customer",), False),
    },
}
"""What can be tested of the rows that are tied to one of an entity."""
