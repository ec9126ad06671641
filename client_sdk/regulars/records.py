"""Written by schema/generate.py from the declared entities: `make generate`, not by hand.

Long because: every field has its line.

What a reader gets: a record holds the shown value of each field, None where there is none or where a
newer version wrote something that this one does not know. A required field is never None, except for
a closed list, which a newer version may extend, and in an entity with sensitive fields, of which a
reader may hold those alone. Money is an integer in minor units; instants are in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, Protocol, Self, get_args

from regulars.json_values import (
    EPOCH,
    boolean,
    choice,
    choices,
    chosen,
    day,
    each,
    elements,
    instant,
    integer,
    mapping,
    scalar,
    spellings,
    text,
)
from regulars.row_state import RowState
from regulars_schema.declare import JSON

AS_THE_SERVER_HAS_IT = RowState()


class Record(Protocol):
    """What every record has."""

    @property
    def id(self) -> str: ...

    @property
    def state(self) -> RowState: ...

    @classmethod
    def of(cls, id: str, values: Mapping[str, JSON], state: RowState = ...) -> Self:
        """The record of a row from its shown values, a set as the dict of its present elements.

        Never raises: names that are not declared are ignored.
        """
        ...


UnitKind = Literal["company", "region", "department", "branch", "point_of_sale"]
_UNIT_KIND: tuple[UnitKind, ...] = get_args(UnitKind)
StaffRole = Literal["admin", "analyst", "manager", "clerk"]
_STAFF_ROLE: tuple[StaffRole, ...] = get_args(StaffRole)
CustomFieldKind = Literal["text", "integer", "boolean", "date", "choice"]
_CUSTOM_FIELD_KIND: tuple[CustomFieldKind, ...] = get_args(CustomFieldKind)
CustomRule = Literal["last_writer", "min", "max", "or_set", "append", "review"]
_CUSTOM_RULE: tuple[CustomRule, ...] = get_args(CustomRule)
Sensitivity = Literal["internal", "sensitive"]
_SENSITIVITY: tuple[Sensitivity, ...] = get_args(Sensitivity)
CardSection = Literal[
    "basic",
    "contact",
    "education",
    "family",
    "social",
    "career",
    "lifestyle",
    "personality",
    "experience",
    "features",
    "business",
    "dealings",
    "other",
]
_CARD_SECTION: tuple[CardSection, ...] = get_args(CardSection)
CustomTab = Literal["basic", "trading", "service"]
_CUSTOM_TAB: tuple[CustomTab, ...] = get_args(CustomTab)
CustomerKind = Literal["person", "organization"]
_CUSTOMER_KIND: tuple[CustomerKind, ...] = get_args(CustomerKind)
Gender = Literal["female", "male", "other"]
_GENDER: tuple[Gender, ...] = get_args(Gender)
Calendar = Literal["solar", "lunar"]
_CALENDAR: tuple[Calendar, ...] = get_args(Calendar)
AcquisitionChannel = Literal[
    "mass_media",
    "niche_media",
    "hotline",
    "website",
    "referral",
    "street",
    "event",
    "other",
]
_ACQUISITION_CHANNEL: tuple[AcquisitionChannel, ...] = get_args(AcquisitionChannel)
PrivacyNotice = Literal["not_shown", "shown", "accepted"]
_PRIVACY_NOTICE: tuple[PrivacyNotice, ...] = get_args(PrivacyNotice)
Channel = Literal["store", "phone", "sms", "wechat", "email", "web", "post", "event", "home"]
_CHANNEL: tuple[Channel, ...] = get_args(Channel)
IncomeBand = Literal["low", "middle", "high", "very_high"]
_INCOME_BAND: tuple[IncomeBand, ...] = get_args(IncomeBand)
CreditStatus = Literal["unknown", "good", "watch", "dangerous"]
_CREDIT_STATUS: tuple[CreditStatus, ...] = get_args(CreditStatus)
Degree = Literal["low", "middle", "high"]
_DEGREE: tuple[Degree, ...] = get_args(Degree)
ServiceStance = Literal["normal", "reduced", "ended"]
_SERVICE_STANCE: tuple[ServiceStance, ...] = get_args(ServiceStance)
StanceReason = Literal["unprofitable", "policy_changed", "unethical_demand"]
_STANCE_REASON: tuple[StanceReason, ...] = get_args(StanceReason)
ServicePlan = Literal["standard", "private"]
_SERVICE_PLAN: tuple[ServicePlan, ...] = get_args(ServicePlan)
LinkKind = Literal[
    "companion",
    "family",
    "household",
    "owner_of",
    "manager_of",
    "legal_of",
    "contact_of",
    "influencer",
    "referrer",
    "supplies",
    "alliance",
]
_LINK_KIND: tuple[LinkKind, ...] = get_args(LinkKind)
IdentityDecision = Literal["proposed", "same", "household", "not_same"]
_IDENTITY_DECISION: tuple[IdentityDecision, ...] = get_args(IdentityDecision)
IdentityReason = Literal["verified_key", "equal_key", "similar", "person", "kept"]
_IDENTITY_REASON: tuple[IdentityReason, ...] = get_args(IdentityReason)
TaskStatus = Literal["open", "expired", "cancelled", "skipped", "done"]
_TASK_STATUS: tuple[TaskStatus, ...] = get_args(TaskStatus)
InteractionKind = Literal[
    "visit",
    "purchase",
    "return",
    "quote",
    "call",
    "message",
    "followup",
    "complaint",
    "service",
    "survey",
    "compliment",
    "request",
    "event",
    "form",
    "gift",
    "payment",
    "touch",
    "note",
]
_INTERACTION_KIND: tuple[InteractionKind, ...] = get_args(InteractionKind)
PartyRole = Literal["principal", "companion", "decider", "payer", "user"]
_PARTY_ROLE: tuple[PartyRole, ...] = get_args(PartyRole)
Outcome = Literal["open", "interested", "won", "lost", "no_answer", "solved"]
_OUTCOME: tuple[Outcome, ...] = get_args(Outcome)
ReportClass = Literal["routine", "urgent", "periodic"]
_REPORT_CLASS: tuple[ReportClass, ...] = get_args(ReportClass)
FactTopic = Literal["family", "occupation", "recreation", "dreams", "demand", "preference", "habit", "other"]
_FACT_TOPIC: tuple[FactTopic, ...] = get_args(FactTopic)
FactStatus = Literal["raised", "adopted"]
_FACT_STATUS: tuple[FactStatus, ...] = get_args(FactStatus)
Method = Literal["experience", "example", "emotion", "contrast"]
_METHOD: tuple[Method, ...] = get_args(Method)
AttentionFocus = Literal["quality", "style", "price", "other"]
_ATTENTION_FOCUS: tuple[AttentionFocus, ...] = get_args(AttentionFocus)
Place = Literal["indoor", "outdoor"]
_PLACE: tuple[Place, ...] = get_args(Place)
ConsentPurpose = Literal["marketing", "service", "survey", "profiling"]
_CONSENT_PURPOSE: tuple[ConsentPurpose, ...] = get_args(ConsentPurpose)


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomLabel:
    zh: str
    """中文 · Chinese"""
    en: str
    """英文 · English"""

    @classmethod
    def of(cls, value: JSON) -> Self | None:
        if not isinstance(value, dict):
            return None
        zh = text(value.get("zh"))
        en = text(value.get("en"))
        if zh is None or en is None:
            return None
        return cls(
            zh=zh,
            en=en,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    year: int | None = None
    """年 · Year"""
    month: int
    """月 · Month"""
    day: int
    """日 · Day"""
    calendar: Calendar | None = None
    """历法 · Calendar"""
    leap: bool | None = None
    """闰月 · Leap month"""

    @classmethod
    def of(cls, value: JSON) -> Self | None:
        if not isinstance(value, dict):
            return None
        month = integer(value.get("month"))
        day = integer(value.get("day"))
        if month is None or day is None:
            return None
        return cls(
            year=integer(value.get("year")),
            month=month,
            day=day,
            calendar=choice(value.get("calendar"), _CALENDAR),
            leap=boolean(value.get("leap")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    start: int
    """开始（分钟） · Start, in minutes of the day"""
    end: int
    """结束（分钟） · End, in minutes of the day"""

    @classmethod
    def of(cls, value: JSON) -> Self | None:
        if not isinstance(value, dict):
            return None
        start = integer(value.get("start"))
        end = integer(value.get("end"))
        if start is None or end is None:
            return None
        return cls(
            start=start,
            end=end,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyMember:
    customer: str | None = None
    """顾客 · Customer"""
    role: PartyRole | None = None
    """角色 · Role"""
    name: str | None = None
    """姓名 · Name"""

    @classmethod
    def of(cls, value: JSON) -> Self | None:
        if not isinstance(value, dict):
            return None
        return cls(
            customer=text(value.get("customer")),
            role=choice(value.get("role"), _PARTY_ROLE),
            name=text(value.get("name")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    product: str | None = None
    """商品 · Product"""
    name: str | None = None
    """名称 · Name"""
    quantity: int | None = None
    """数量 · Quantity"""
    amount: int | None = None
    """金额 · Amount in minor units"""
    cost: int | None = None
    """成本 · Cost in minor units"""
    currency: str | None = None
    """币种 · Currency"""

    @classmethod
    def of(cls, value: JSON) -> Self | None:
        if not isinstance(value, dict):
            return None
        return cls(
            product=text(value.get("product")),
            name=text(value.get("name")),
            quantity=integer(value.get("quantity")),
            amount=integer(value.get("amount")),
            cost=integer(value.get("cost")),
            currency=text(value.get("currency")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedFact:
    topic: FactTopic
    """事项 · Topic"""
    content: str
    """内容 · Content"""
    product: str | None = None
    """商品 · Product"""
    status: FactStatus | None = None
    """状态 · Status"""

    @classmethod
    def of(cls, value: JSON) -> Self | None:
        if not isinstance(value, dict):
            return None
        topic = choice(value.get("topic"), _FACT_TOPIC)
        content = text(value.get("content"))
        if topic is None or content is None:
            return None
        return cls(
            topic=topic,
            content=content,
            product=text(value.get("product")),
            status=choice(value.get("status"), _FACT_STATUS),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Opportunity:
    urgency: int
    """急迫性 · Urgency"""
    effect: int
    """短时间内见效 · Quick effect"""
    price: int
    """价格可观 · Worthwhile price"""

    @classmethod
    def of(cls, value: JSON) -> Self | None:
        if not isinstance(value, dict):
            return None
        urgency = integer(value.get("urgency"))
        effect = integer(value.get("effect"))
        price = integer(value.get("price"))
        if urgency is None or effect is None or price is None:
            return None
        return cls(
            urgency=urgency,
            effect=effect,
            price=price,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """组织单元: A node of the chain's tree: company, region, department, branch, point of sale."""

    id: str
    name: str
    """名称 · Name"""
    kind: UnitKind | None
    """类型 · Kind"""
    parent: str | None = None
    """上级 · Parent"""
    time_zone: str | None = None
    """时区 · Time zone"""
    country: str | None = None
    """国家 · Country"""
    currency: str | None = None
    """币种 · Currency"""
    external_ids: frozenset[str] = frozenset()
    """外部编号 · External ids"""
    archived: bool | None = None
    """已归档 · Archived"""
    state: RowState = AS_THE_SERVER_HAS_IT

    @classmethod
    def of(cls, id: str, values: Mapping[str, JSON], state: RowState = AS_THE_SERVER_HAS_IT) -> Self:
        return cls(
            id=id,
            name=text(values.get("name")) or "",
            kind=choice(values.get("kind"), _UNIT_KIND),
            parent=text(values.get("parent")),
            time_zone=text(values.get("time_zone")),
            country=text(values.get("country")),
            currency=text(values.get("currency")),
            external_ids=elements(values.get("external_ids")),
            archived=boolean(values.get("archived")),
            state=state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """员工: A member of staff; the manager is the superior who is told of urgent reports (S86)."""

    id: str
    name: str
    """姓名 · Name"""
    role: StaffRole | None
    """角色 · Role"""
    units: frozenset[str] = frozenset()
    """所属 · Units"""
    manager: str | None = None
    """上级 · Manager"""
    active: bool | None = None
    """在职 · Active"""
    external_ids: frozenset[str] = frozenset()
    """外部编号 · External ids"""
    state: RowState = AS_THE_SERVER_HAS_IT

    @classmethod
    def of(cls, id: str, values: Mapping[str, JSON], state: RowState = AS_THE_SERVER_HAS_IT) -> Self:
        return cls(
            id=id,
            name=text(values.get("name")) or "",
            role=choice(values.get("role"), _STAFF_ROLE),
            units=elements(values.get("units")),
            manager=text(values.get("manager")),
            active=boolean(values.get("active")),
            external_ids=elements(values.get("external_ids")),
            state=state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """设备: A tablet; its credentials are kept apart."""

    id: str
    name: str
    """名称 · Name"""
    unit: str
    """所属 · Unit"""
    revoked: bool | None = None
    """已吊销 · Revoked"""
    wipe: bool | None = None
    """已下令清除 · Ordered to wipe"""
    wiped_at: datetime | None = None
    """清除时间 · Wiped at"""
    left_units: frozenset[str] = frozenset()
    """曾属门店 · Units it was moved away from"""
    state: RowState = AS_THE_SERVER_HAS_IT

    @classmethod
    def of(cls, id: str, values: Mapping[str, JSON], state: RowState = AS_THE_SERVER_HAS_IT) -> Self:
        return cls(
            id=id,
            name=text(values.get("name")) or "",
            unit=text(values.get("unit")) or "",
            revoked=boolean(values.get("revoked")),
            wipe=boolean(values.get("wipe")),
            wiped_at=instant(values.get("wiped_at")),
            left_units=elements(values.get("left_units")),
            state=state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """商品: Mirrored from the shop system (S87)."""

    id: str
    name: str
    """名称 · Name"""
    category: str | None = None
    """类别 · Category"""
    usage_days: int | None = None
    """使用天数 · Days of use per piece"""
    refill_lead_days: int | None = None
    """提前天数 · Days to remind before"""
    price: int | None = None
    """价格 · Price in minor units"""
    currency: str | None = None
    """币种 · Currency"""
    external_ids: frozenset[str] = frozenset()
    """外部编号 · External ids"""
    archived: bool | None = None
    """已归档 · Archived"""
    state: RowState = AS_THE_SERVER_HAS_IT

    @classmethod
    def of(cls, id: str, values: Mapping[str, JSON], state: RowState = AS_THE_SERVER_HAS_IT) -> Self:
        return cls(
            id=id,
            name=text(values.get("name")) or "",
            category=text(values.get("category")),
            usage_days=integer(values.get("usage_days")),
            refill_lead_days=integer(values.get("refill_lead_days")),
            price=integer(values.get("price")),
            currency=text(values.get("currency")),
            external_ids=elements(values.get("external_ids")),
            archived=boolean(values.get("archived")),
            state=state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """分群: A named set of customers: those whom its rule finds, and its static members. These are
    kept on the customers, so they follow them, as are those whom no rule brings back. A snapshot is
    a campaign (S100)."""

    id: str
    name: str
    """名称 · Name"""
    purpose: str | None = None
    """用途 · Purpose"""
    owner: str | None = None
    """负责人 · Owner"""
    archived: bool | None = None
    """已归档 · Archived"""
    key: str | None = None
    """键 · Key"""
    rule: Mapping[str, JSON] = field(default_factory=dict, hash=False)
    """规则 · Rule"""
    snapshot_of: str | None = None
    """快照来源 · Snapshot of"""
    taken_at: datetime | None = None
    """快照时间 · Taken at"""
    state: RowState = AS_THE_SERVER_HAS_IT

    @classmethod
    def of(cls, id: str, values: Mapping[str, JSON], state: RowState = AS_THE_SERVER_HAS_IT) -> Self:
        return cls(
            id=id,
            name=text(values.get("name")) or "",
            purpose=text(values.get("purpose")),
            owner=text(values.get("owner")),
            archived=boolean(values.get("archived")),
            key=text(values.get("key")),
            rule=mapping(values.get("rule")),
            snapshot_of=text(values.get("snapshot_of")),
            taken_at=instant(values.get("taken_at")),
            state=state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDef:
    """自定义字段: A field of a chain's own (S20). What replicas merge by is fixed when it is made."""

    id: str
    key: str
    """键 · Key"""
    label: CustomLabel | None
    """名称 · Label"""
    type: CustomFieldKind | None
    """类型 · Type"""
    rule: CustomRule | None
    """合并规则 · Merge rule"""
    sensitivity: Sensitivity | None
    """敏感程度 · Sensitivity"""
    section: CardSection | None = None
    """卡片分区 · Section"""
    tab: CustomTab | None = None
    """分组 · Tab"""
    for_kind: CustomerKind | None = None
    """适用性质 · For this kind only"""
    choices: tuple[str, ...] = ()
    """选项 · Choices"""
    archived: bool | None = None
    """已归档 · Archived"""
    state: RowState = AS_THE_SERVER_HAS_IT

    @classmethod
    def of(cls, id: str, values: Mapping[str, JSON], state: RowState = AS_THE_SERVER_HAS_IT) -> Self:
        return cls(
            id=id,
            key=text(values.get("key")) or "",
            label=CustomLabel.of(values.get("label")),
            type=choice(values.get("type"), _CUSTOM_FIELD_KIND),
            rule=choice(values.get("rule"), _CUSTOM_RULE),
            sensitivity=choice(values.get("sensitivity"), _SENSITIVITY),
            section=choice(values.get("section"), _CARD_SECTION),
            tab=choice(values.get("tab"), _CUSTOM_TAB),
            for_kind=choice(values.get("for_kind"), _CUSTOMER_KIND),
            choices=each(values.get("choices"), text),
            archived=boolean(values.get("archived")),
            state=state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """历史窗口: One row: tablets hold the facts from this edge on. The server moves it once a month."""

    id: str
    edge: datetime
    """起点 · Edge"""
    state: RowState = AS_THE_SERVER_HAS_IT

    @classmethod
    def of(cls, id: str, values: Mapping[str, JSON], state: RowState = AS_THE_SERVER_HAS_IT) -> Self:
        return cls(
            id=id,
            edge=instant(values.get("edge")) or EPOCH,
            state=state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """顾客: A person or an organization that accepts the chain's product or service (S1, S10-S19)."""

    id: str
    name: str | None
    """姓名 · Name"""
    kind: CustomerKind | None = None
    """性质 · Kind"""
    home_unit: str | None = None
    """所属门店 · Home unit"""
    owner: str | None = None
    """负责人 · Owner"""
    phones: Mapping[str, str] = field(default_factory=dict, hash=False)
    """电话 · Phones"""
    emails: Mapping[str, str] = field(default_factory=dict, hash=False)
    """邮箱 · E-mails"""
    member_no: str | None = None
    """会员号 · Member number"""
    external_ids: frozenset[str] = frozenset()
    """外部编号 · External ids"""
    wechat: str | None = None
    """微信 · WeChat"""
    gender: Gender | None = None
    """性别 · Gender"""
    birth: Birth | None = None
    """生日 · Birth"""
    address: str | None = None
    """地址 · Address"""
    acquisition_channel: AcquisitionChannel | None = None
    """来源渠道 · Acquisition channel"""
    trading_since: date | None = None
    """首次交易 · Trading since"""
    first_seen: datetime | None = None
    """首次到店 · First seen"""
    consent_asked_at: datetime | None = None
    """最近询问同意 · Consent last asked"""
    privacy_notice: PrivacyNotice | None = None
    """隐私告知 · Privacy notice"""
    contact_by: frozenset[Channel] = frozenset()
    """允许联系方式 · May be contacted by"""
    preferred_channel: Channel | None = None
    """首选渠道 · Preferred channel"""
    tags: frozenset[str] = frozenset()
    """标签 · Tags"""
    hobbies: frozenset[str] = frozenset()
    """爱好 · Hobbies"""
    segments: frozenset[str] = frozenset()
    """静态分群 · Static segments"""
    notes: str | None = None
    """备注 · Notes"""
    income_band: IncomeBand | None = None
    """收入 · Income band"""
    belief: str | None = None
    """信仰 · Belief"""
    credit_status: CreditStatus | None = None
    """信用状况 · Credit status"""
    tax_no: str | None = None
    """税号或证件号 · Tax or identity number"""
    archived: bool | None = None
    """已归档 · Archived"""
    org_form: str | None = None
    """企业组织形式 · Form of organization"""
    industry: str | None = None
    """业种 · Industry"""
    founded_on: date | None = None
    """创业时间 · Founded on"""
    assets: str | None = None
    """资产 · Assets"""
    service_area: str | None = None
    """服务区域 · Service area"""
    sales_capacity: str | None = None
    """销售能力 · Sales capacity"""
    growth_potential: str | None = None
    """发展潜力 · Growth potential"""
    philosophy: str | None = None
    """经营观念 · Philosophy"""
    direction: str | None = None
    """经营方向 · Direction"""
    policy: str | None = None
    """经营方针与政策 · Policy"""
    headcount: int | None = None
    """职工人数 · Headcount"""
    turnover: int | None = None
    """销售额 · Turnover a year in minor units"""
    management_traits: str | None = None
    """经营管理特点 · Traits of its management"""
    staff_quality: str | None = None
    """经营管理者和业务人员的素质 · Quality of its staff"""
    competitor_relations: frozenset[str] = frozenset()
    """与其他竞争公司的关系 · Relations with competitors"""
    cooperation_attitude: int | None = None
    """合作态度 · Attitude to co-operation"""
    activity: str | None = None
    """销售活动状况 · Sales activity"""
    problems: str | None = None
    """存在的问题 · Problems"""
    strengths: str | None = None
    """保持的优势 · Strengths"""
    measures: str | None = None
    """未来的对策 · Measures"""
    reputation: str | None = None
    """企业信誉与形象 · Reputation"""
    credit_incidents: frozenset[str] = frozenset()
    """以往出现的信用问题 · Credit incidents"""
    trade_terms: str | None = None
    """交易条件 · Terms of trade"""
    economic_status: str | None = None
    """经济状况 · Economic status"""
    purchase_traits: str | None = None
    """购买特征 · Purchase traits"""
    education: str | None = None
    """教育情况 · Education"""
    family: str | None = None
    """家庭情况 · Family"""
    household_size: int | None = None
    """家庭成员数 · Members of the household"""
    social_life: str | None = None
    """人际情况 · Social life"""
    occupation: str | None = None
    """职业 · Occupation"""
    career: str | None = None
    """事业情况 · Career"""
    lifestyle: str | None = None
    """生活情况 · Lifestyle"""
    habits: frozenset[str] = frozenset()
    """习惯 · Habits"""
    preferences: frozenset[str] = frozenset()
    """偏好 · Preferences"""
    character: str | None = None
    """性格 · Character"""
    ability: str | None = None
    """能力 · Ability"""
    life_values: str | None = None
    """价值取向 · Values"""
    experience: str | None = None
    """阅历情况 · Experience"""
    supplement: str | None = None
    """其他可供参考的补充材料 · Further material"""
    groups: frozenset[str] = frozenset()
    """顾客群 · Customer groups"""
    owned_products: frozenset[str] = frozenset()
    """拥有的商品 · Products owned"""
    excluded_segments: frozenset[str] = frozenset()
    """排除的分群 · Segments taken out of"""
    risk_level: Degree | None = None
    """风险 · Risk"""
    price_sensitivity: Degree | None = None
    """价格敏感度 · Sensitivity to price"""
    fault_tolerance: Degree | None = None
    """对质量问题的容忍度 · Tolerance of faults"""
    service_stance: ServiceStance | None = None
    """服务立场 · Service stance"""
    stance_reason: StanceReason | None = None
    """服务立场的原因 · Reason of the stance"""
    service_plan: ServicePlan | None = None
    """服务方案 · Service plan"""
    do_not_contact: bool | None = None
    """请勿联系 · Do not contact"""
    quiet_hours: QuietHours | None = None
    """免打扰时段 · Quiet hours"""
    state: RowState = AS_THE_SERVER_HAS_IT

    @classmethod
    def of(cls, id: str, values: Mapping[str, JSON], state: RowState = AS_THE_SERVER_HAS_IT) -> Self:
        return cls(
            id=id,
            name=text(values.get("name")),
            kind=choice(values.get("kind"), _CUSTOMER_KIND),
            home_unit=text(values.get("home_unit")),
            owner=text(values.get("owner")),
            phones=spellings(values.get("phones")),
            emails=spellings(values.get("emails")),
            member_no=text(values.get("member_no")),
            external_ids=elements(values.get("external_ids")),
            wechat=text(values.get("wechat")),
            gender=choice(values.get("gender"), _GENDER),
            birth=Birth.of(values.get("birth")),
            address=text(values.get("address")),
            acquisition_channel=choice(values.get("acquisition_channel"), _ACQUISITION_CHANNEL),
            trading_since=day(values.get("trading_since")),
            first_seen=instant(values.get("first_seen")),
            consent_asked_at=instant(values.get("consent_asked_at")),
            privacy_notice=choice(values.get("privacy_notice"), _PRIVACY_NOTICE),
            contact_by=choices(values.get("contact_by"), _CHANNEL),
            preferred_channel=choice(values.get("preferred_channel"), _CHANNEL),
            tags=elements(values.get("tags")),
            hobbies=elements(values.get("hobbies")),
            segments=elements(values.get("segments")),
            notes=text(values.get("notes")),
            income_band=choice(values.get("income_band"), _INCOME_BAND),
            belief=text(values.get("belief")),
            credit_status=choice(values.get("credit_status"), _CREDIT_STATUS),
            tax_no=text(values.get("tax_no")),
            archived=boolean(values.get("archived")),
            org_form=text(values.get("org_form")),
            industry=text(values.get("industry")),
            founded_on=day(values.get("founded_on")),
            assets=text(values.get("assets")),
            service_area=text(values.get("service_area")),
            sales_capacity=text(values.get("sales_capacity")),
            growth_potential=text(values.get("growth_potential")),
            philosophy=text(values.get("philosophy")),
            direction=text(values.get("direction")),
            policy=text(values.get("policy")),
            headcount=integer(values.get("headcount")),
            turnover=integer(values.get("turnover")),
            management_traits=text(values.get("management_traits")),
            staff_quality=text(values.get("staff_quality")),
            competitor_relations=elements(values.get("competitor_relations")),
            cooperation_attitude=integer(values.get("cooperation_attitude")),
            activity=text(values.get("activity")),
            problems=text(values.get("problems")),
            strengths=text(values.get("strengths")),
            measures=text(values.get("measures")),
            reputation=text(values.get("reputation")),
            credit_incidents=elements(values.get("credit_incidents")),
            trade_terms=text(values.get("trade_terms")),
            economic_status=text(values.get("economic_status")),
            purchase_traits=text(values.get("purchase_traits")),
            education=text(values.get("education")),
            family=text(values.get("family")),
            household_size=integer(values.get("household_size")),
            social_life=text(values.get("social_life")),
            occupation=text(values.get("occupation")),
            career=text(values.get("career")),
            lifestyle=text(values.get("lifestyle")),
            habits=elements(values.get("habits")),
            preferences=elements(values.get("preferences")),
            character=text(values.get("character")),
            ability=text(values.get("ability")),
            life_values=text(values.get("life_values")),
            experience=text(values.get("experience")),
            supplement=text(values.get("supplement")),
            groups=elements(values.get("groups")),
            owned_products=elements(values.get("owned_products")),
            excluded_segments=elements(values.get("excluded_segments")),
            risk_level=choice(values.get("risk_level"), _DEGREE),
            price_sensitivity=choice(values.get("price_sensitivity"), _DEGREE),
            fault_tolerance=choice(values.get("fault_tolerance"), _DEGREE),
            service_stance=choice(values.get("service_stance"), _SERVICE_STANCE),
            stance_reason=choice(values.get("stance_reason"), _STANCE_REASON),
            service_plan=choice(values.get("service_plan"), _SERVICE_PLAN),
            do_not_contact=boolean(values.get("do_not_contact")),
            quiet_hours=QuietHours.of(values.get("quiet_hours")),
            state=state,
        )

    @property
    def members(self) -> tuple[str, ...]:
        """The ids that are this person, the survivor's first; its own alone when it was never merged."""
        return self.state.members or (self.id,)

    @property
    def merged_into(self) -> str | None:
        """The id under which the person is listed, where that is another."""
        return self.state.merged_into


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """关系: A relation between two customers; its id is made of both and the kind, so two tablets
    agree."""

    id: str
    from_customer: str
    """顾客 · From"""
    to_customer: str
    """对象 · To"""
    kind: LinkKind | None
    """关系类型 · Kind"""
    active: bool | None = None
    """有效 · Active"""
    note: str | None = None
    """说明 · Note"""
    state: RowState = AS_THE_SERVER_HAS_IT

    @classmethod
    def of(cls, id: str, values: Mapping[str, JSON], state: RowState = AS_THE_SERVER_HAS_IT) -> Self:
        return cls(
            id=id,
            from_customer=text(values.get("from_customer")) or "",
            to_customer=text(values.get("to_customer")) or "",
            kind=choice(values.get("kind"), _LINK_KIND),
            active=boolean(values.get("active")),
            note=text(values.get("note")),
            state=state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """身份判定: Whether two customers are one person. Its id is made of both, in their order, so there
    is one a pair. What the server says is verified, so what a branch proposes never stands before
    it."""

    id: str
    one: str
    """顾客 · One"""
    other: str
    """另一顾客 · Other"""
    decision: IdentityDecision | None
    """判定 · Decision"""
    reason: IdentityReason | None = None
    """依据 · Reason"""
    matched: str | None = None
    """匹配字段 · Field that matched"""
    suggests: IdentityDecision | None = None
    """建议 · Suggestion"""
    state: RowState = AS_THE_SERVER_HAS_IT

    @classmethod
    def of(cls, id: str, values: Mapping[str, JSON], state: RowState = AS_THE_SERVER_HAS_IT) -> Self:
        return cls(
            id=id,
            one=text(values.get("one")) or "",
            other=text(values.get("other")) or "",
            decision=choice(values.get("decision"), _IDENTITY_DECISION),
            reason=choice(values.get("reason"), _IDENTITY_REASON),
            matched=text(values.get("matched")),
            suggests=choice(values.get("suggests"), _IDENTITY_DECISION),
            state=state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomValue:
    """自定义字段的值: What is said of a customer in a custom field. Its merge rule and level choose the
    column (`custom.column`)."""

    id: str
    customer: str | None
    """顾客 · Customer"""
    field_def: str | None
    """字段 · Field"""
    value: str | int | bool | None = None
    """值 · Value"""
    reviewed: str | int | bool | None = None
    """由人判断的值 · Value that a person decides"""
    least: str | int | bool | None = None
    """最小值 · The least"""
    most: str | int | bool | None = None
    """最大值 · The greatest"""
    items: frozenset[str] = frozenset()
    """各项 · Items"""
    guarded_value: str | int | bool | None = None
    """敏感的值 · Sensitive value"""
    guarded_reviewed: str | int | bool | None = None
    """由人判断的敏感的值 · Sensitive value that a person decides"""
    guarded_least: str | int | bool | None = None
    """敏感的最小值 · The least, sensitive"""
    guarded_most: str | int | bool | None = None
    """敏感的最大值 · The greatest, sensitive"""
    guarded_items: frozenset[str] = frozenset()
    """敏感的各项 · Sensitive items"""
    state: RowState = AS_THE_SERVER_HAS_IT

    @classmethod
    def of(cls, id: str, values: Mapping[str, JSON], state: RowState = AS_THE_SERVER_HAS_IT) -> Self:
        return cls(
            id=id,
            customer=text(values.get("customer")),
            field_def=text(values.get("field_def")),
            value=scalar(values.get("value")),
            reviewed=scalar(values.get("reviewed")),
            least=scalar(values.get("least")),
            most=scalar(values.get("most")),
            items=elements(values.get("items")),
            guarded_value=scalar(values.get("guarded_value")),
            guarded_reviewed=scalar(values.get("guarded_reviewed")),
            guarded_least=scalar(values.get("guarded_least")),
            guarded_most=scalar(values.get("guarded_most")),
            guarded_items=elements(values.get("guarded_items")),
            state=state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplier:
    """供应商: Of whom a customer buys besides, and how satisfied it is (S19)."""

    id: str
    customer: str
    """顾客 · Customer"""
    name: str
    """名称 · Name"""
    satisfaction: int | None = None
    """满意状态 · Satisfaction"""
    note: str | None = None
    """说明 · Note"""
    archived: bool | None = None
    """已归档 · Archived"""
    state: RowState = AS_THE_SERVER_HAS_IT

    @classmethod
    def of(cls, id: str, values: Mapping[str, JSON], state: RowState = AS_THE_SERVER_HAS_IT) -> Self:
        return cls(
            id=id,
            customer=text(values.get("customer")) or "",
            name=text(values.get("name")) or "",
            satisfaction=integer(values.get("satisfaction")),
            note=text(values.get("note")),
            archived=boolean(values.get("archived")),
            state=state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """分类: What a person or an import says of a customer in a scheme (S55-S64, S124). Where two
    people's words must not hide each other (tier, lifecycle, churn cause) it stands in `reviewed`;
    of a scheme of many values in `values`; of a sensitive scheme where its level guards it
    (`schemes.assigning`). What a person says is verified, so a file that says it otherwise stands
    beside it with a day of its own."""

    id: str
    customer: str | None
    """顾客 · Customer"""
    scheme: str | None
    """方案 · Scheme"""
    value: str | None = None
    """值 · Value"""
    reviewed: str | None = None
    """由人判断的值 · Value that a person decides"""
    values: frozenset[str] = frozenset()
    """各值 · Values"""
    guarded_value: str | None = None
    """敏感的值 · Sensitive value"""
    guarded_values: frozenset[str] = frozenset()
    """敏感的各值 · Sensitive values"""
    guarded_reason: str | None = None
    """敏感的理由 · Sensitive reason"""
    pinned: bool | None = None
    """固定 · Pinned"""
    decided_by: str | None = None
    """判定人 · Decided by"""
    reason: str | None = None
    """理由 · Reason"""
    evidence: str | None = None
    """依据 · Evidence"""
    since: date | None = None
    """起始 · Since"""
    check_by: date | None = None
    """复核期限 · To be checked by"""
    state: RowState = AS_THE_SERVER_HAS_IT

    @classmethod
    def of(cls, id: str, values: Mapping[str, JSON], state: RowState = AS_THE_SERVER_HAS_IT) -> Self:
        return cls(
            id=id,
            customer=text(values.get("customer")),
            scheme=text(values.get("scheme")),
            value=text(values.get("value")),
            reviewed=text(values.get("reviewed")),
            values=elements(values.get("values")),
            guarded_value=text(values.get("guarded_value")),
            guarded_values=elements(values.get("guarded_values")),
            guarded_reason=text(values.get("guarded_reason")),
            pinned=boolean(values.get("pinned")),
            decided_by=text(values.get("decided_by")),
            reason=text(values.get("reason")),
            evidence=text(values.get("evidence")),
            since=day(values.get("since")),
            check_by=day(values.get("check_by")),
            state=state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """任务: Something to be done for a customer. Its id is made of the plan, the customer and the
    subject, so those who notice the same thing make one task."""

    id: str
    plan: str
    """计划 · Plan"""
    customer: str
    """顾客 · Customer"""
    subject: str
    """事由 · Subject"""
    due: date | None = None
    """到期 · Due"""
    status: TaskStatus | None = None
    """状态 · Status"""
    owner: str | None = None
    """负责人 · Owner"""
    closed_by: str | None = None
    """由此完成 · Closed by"""
    note: str | None = None
    """说明 · Note"""
    state: RowState = AS_THE_SERVER_HAS_IT

    @classmethod
    def of(cls, id: str, values: Mapping[str, JSON], state: RowState = AS_THE_SERVER_HAS_IT) -> Self:
        return cls(
            id=id,
            plan=text(values.get("plan")) or "",
            customer=text(values.get("customer")) or "",
            subject=text(values.get("subject")) or "",
            due=day(values.get("due")),
            status=choice(values.get("status"), _TASK_STATUS),
            owner=text(values.get("owner")),
            closed_by=text(values.get("closed_by")),
            note=text(values.get("note")),
            state=state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """往来: One append-only fact (S69, S79-S82). A correction is a further fact that supersedes it;
    so is voiding."""

    id: str
    kind: InteractionKind | None
    """类型 · Kind"""
    at: datetime
    """时间 · At"""
    unit: str | None = None
    """门店 · Unit"""
    staff: str | None = None
    """员工 · Staff"""
    channel: Channel | None = None
    """渠道 · Channel"""
    party: tuple[PartyMember, ...] = ()
    """参与人 · Party"""
    lines: tuple[Line, ...] = ()
    """明细 · Lines"""
    stage_reached: int | None = None
    """到达阶段 · Stage reached"""
    outcome: Outcome | None = None
    """结果 · Outcome"""
    report_class: ReportClass | None = None
    """报告类别 · Report class"""
    effort_min: int | None = None
    """投入分钟 · Effort in minutes"""
    note: str | None = None
    """内容 · Note"""
    supersedes: str | None = None
    """更正 · Supersedes"""
    void: bool | None = None
    """作废 · Void"""
    external_ids: tuple[str, ...] = ()
    """外部编号 · External ids"""
    satisfaction: int | None = None
    """满意度 · Satisfaction"""
    facts: tuple[LearnedFact, ...] = ()
    """所知事项 · Learned facts"""
    checklist: tuple[str, ...] = ()
    """检查表 · Ticked items"""
    methods_used: tuple[Method, ...] = ()
    """介绍方法 · Methods used"""
    attention_focus: AttentionFocus | None = None
    """关注焦点 · Focus of attention"""
    opportunity: Opportunity | None = None
    """机会评分 · Rating of the opportunity"""
    place: Place | None = None
    """地点 · Place"""
    benefit: str | None = None
    """回馈 · Benefit granted"""
    next_on: date | None = None
    """下次日期 · Next on"""
    campaign: str | None = None
    """活动名单 · Campaign"""
    agency: str | None = None
    """专业机构 · Agency that looked into it"""
    looked_into: tuple[str, ...] = ()
    """调查的字段 · Fields looked into"""
    state: RowState = AS_THE_SERVER_HAS_IT

    @classmethod
    def of(cls, id: str, values: Mapping[str, JSON], state: RowState = AS_THE_SERVER_HAS_IT) -> Self:
        return cls(
            id=id,
            kind=choice(values.get("kind"), _INTERACTION_KIND),
            at=instant(values.get("at")) or EPOCH,
            unit=text(values.get("unit")),
            staff=text(values.get("staff")),
            channel=choice(values.get("channel"), _CHANNEL),
            party=each(values.get("party"), PartyMember.of),
            lines=each(values.get("lines"), Line.of),
            stage_reached=integer(values.get("stage_reached")),
            outcome=choice(values.get("outcome"), _OUTCOME),
            report_class=choice(values.get("report_class"), _REPORT_CLASS),
            effort_min=integer(values.get("effort_min")),
            note=text(values.get("note")),
            supersedes=text(values.get("supersedes")),
            void=boolean(values.get("void")),
            external_ids=each(values.get("external_ids"), text),
            satisfaction=integer(values.get("satisfaction")),
            facts=each(values.get("facts"), LearnedFact.of),
            checklist=each(values.get("checklist"), text),
            methods_used=chosen(values.get("methods_used"), _METHOD),
            attention_focus=choice(values.get("attention_focus"), _ATTENTION_FOCUS),
            opportunity=Opportunity.of(values.get("opportunity")),
            place=choice(values.get("place"), _PLACE),
            benefit=text(values.get("benefit")),
            next_on=day(values.get("next_on")),
            campaign=text(values.get("campaign")),
            agency=text(values.get("agency")),
            looked_into=each(values.get("looked_into"), text),
            state=state,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """同意: A ledger: that somebody granted or withdrew a consent (S123). The latest counts; of equal
    times the withdrawal."""

    id: str
    customer: str
    """顾客 · Customer"""
    purpose: ConsentPurpose | None
    """用途 · Purpose"""
    channel: Channel | None = None
    """渠道 · Channel"""
    granted: bool | None
    """同意 · Granted"""
    at: datetime
    """时间 · At"""
    unit: str | None = None
    """门店 · Unit"""
    staff: str | None = None
    """员工 · Staff"""
    proof: str | None = None
    """凭证 · Proof"""
    state: RowState = AS_THE_SERVER_HAS_IT

    @classmethod
    def of(cls, id: str, values: Mapping[str, JSON], state: RowState = AS_THE_SERVER_HAS_IT) -> Self:
        return cls(
            id=id,
            customer=text(values.get("customer")) or "",
            purpose=choice(values.get("purpose"), _CONSENT_PURPOSE),
            channel=choice(values.get("channel"), _CHANNEL),
            granted=boolean(values.get("granted")),
            at=instant(values.get("at")) or EPOCH,
            unit=text(values.get("unit")),
            staff=text(values.get("staff")),
            proof=text(values.get("proof")),
            state=state,
        )


RECORD_OF: Mapping[str, type[Record]] = {
    "unit": Unit,
    "staff": Staff,
    "device": Device,
    "product": Product,
    "segment": Segment,
    "field_def": FieldDef,
    "window": Window,
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
ENTITY_OF: Mapping[type[Record], str] = {record: name for name, record in RECORD_OF.items()}
