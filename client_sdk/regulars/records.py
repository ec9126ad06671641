"""Written by schema/generate.py from the declared entities: `make generate`, not by hand.

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
    day,
    each,
    elements,
    instant,
    integer,
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
    """分群: A named set of customers. Its static members are kept on the customers, so they follow
    them."""

    id: str
    name: str
    """名称 · Name"""
    purpose: str | None = None
    """用途 · Purpose"""
    owner: str | None = None
    """负责人 · Owner"""
    archived: bool | None = None
    """已归档 · Archived"""
    state: RowState = AS_THE_SERVER_HAS_IT

    @classmethod
    def of(cls, id: str, values: Mapping[str, JSON], state: RowState = AS_THE_SERVER_HAS_IT) -> Self:
        return cls(
            id=id,
            name=text(values.get("name")) or "",
            purpose=text(values.get("purpose")),
            owner=text(values.get("owner")),
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
            state=state,
        )


RECORD_OF: Mapping[str, type[Record]] = {
    "unit": Unit,
    "staff": Staff,
    "device": Device,
    "product": Product,
    "segment": Segment,
    "window": Window,
    "customer": Customer,
    "link": Link,
    "identity": Identity,
    "interaction": Interaction,
}
ENTITY_OF: Mapping[type[Record], str] = {record: name for name, record in RECORD_OF.items()}
