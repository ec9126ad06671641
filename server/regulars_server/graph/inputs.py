"""Written by schema/generate.py from the declared entities: `make generate`, not by hand."""

from __future__ import annotations

from enum import Enum

import strawberry

from regulars_server.graph.declared import valued
from regulars_server.graph.enums import (
    AcquisitionChannel,
    Calendar,
    Channel,
    CreditStatus,
    CustomerKind,
    Gender,
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
    TextFilter,
)
from regulars_server.graph.scalars import UUID, Date, DateTime, Money


@strawberry.input(description="生日 · Birth")
class BirthInput:
    year: int | None = strawberry.field(description="年 · Year", default=None)
    month: int = strawberry.field(description="月 · Month")
    day: int = strawberry.field(description="日 · Day")
    calendar: Calendar | None = strawberry.field(description="历法 · Calendar", default=None)
    leap: bool | None = strawberry.field(description="闰月 · Leap month", default=None)


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
    owner: StaffWhere | None = strawberry.field(description="负责人 · Owner", default=strawberry.UNSET)
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
    home_unit: UnitWhere | None = strawberry.field(
        description="所属门店 · Home unit", default=strawberry.UNSET
    )
    owner: StaffWhere | None = strawberry.field(description="负责人 · Owner", default=strawberry.UNSET)
    segments: SegmentListFilter | None = strawberry.field(
        description="静态分群 · Static segments", default=strawberry.UNSET
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
    unit: UnitWhere | None = strawberry.field(description="门店 · Unit", default=strawberry.UNSET)
    staff: StaffWhere | None = strawberry.field(description="员工 · Staff", default=strawberry.UNSET)
    supersedes: InteractionWhere | None = strawberry.field(
        description="更正 · Supersedes", default=strawberry.UNSET
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
    RELEVANCE = valued(
        "relevance desc", "相关度 · Relevance: what fits `search` best comes first; 200 rows at most"
    )


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
    RELEVANCE = valued(
        "relevance desc", "相关度 · Relevance: what fits `search` best comes first; 200 rows at most"
    )


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


ATTRIBUTES: dict[str, dict[str, str]] = {
    "Birth": {},
    "PartyMember": {"customer": "customer_id"},
    "Line": {"product": "product_id"},
    "unit": {"parent": "parent_id"},
    "staff": {"units": "unit_ids", "manager": "manager_id"},
    "product": {},
    "device": {"unit": "unit_id", "left_units": "left_unit_ids"},
    "segment": {"owner": "owner_id"},
    "customer": {"home_unit": "home_unit_id", "owner": "owner_id", "segments": "segment_ids"},
    "link": {"from_customer": "from_customer_id", "to_customer": "to_customer_id"},
    "identity": {"one": "one_id", "other": "other_id"},
    "interaction": {"unit": "unit_id", "staff": "staff_id", "supersedes": "supersedes_id"},
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
        "customers": Relation("customer", ("segments",), True),
    },
    "customer": {
        "home_unit": Relation("unit", ("home_unit",), False),
        "owner": Relation("staff", ("owner",), False),
        "segments": Relation("segment", ("segments",), False),
        "links": Relation("link", ("from_customer", "to_customer"), True),
        "interactions": Relation("interaction", ("party",), True),
    },
    "interaction": {
        "unit": Relation("unit", ("unit",), False),
        "staff": Relation("staff", ("staff",), False),
        "supersedes": Relation("interaction", ("supersedes",), False),
        "customers": Relation("customer", ("party",), False),
        "superseded_by": Relation("interaction", ("supersedes",), True),
    },
    "link": {
        "from_customer": Relation("customer", ("from_customer",), False),
        "to_customer": Relation("customer", ("to_customer",), False),
    },
}
"""What can be tested of the rows that are tied to one of an entity."""
