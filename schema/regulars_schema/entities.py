"""Every entity, declared once. The terms are those of DOMAIN.md; `S` numbers name its rows."""

from __future__ import annotations

import dataclasses

from regulars_schema.declare import (
    Bool,
    Date,
    Entity,
    Enum,
    Field,
    Form,
    Instant,
    Int,
    Label,
    Level,
    List,
    Nature,
    Part,
    Ref,
    Registry,
    Rule,
    Scope,
    Struct,
    Text,
)

L = Label

# --- closed lists -----------------------------------------------------------------------------

UNIT_KIND = Enum(
    "UnitKind",
    {
        "company": L("公司", "Company"),
        "region": L("区域", "Region"),
        "department": L("部门", "Department"),
        "branch": L("门店", "Branch"),
        "point_of_sale": L("销售点", "Point of sale"),
    },
    label=L("组织单元类型", "Kind of unit"),
)
STAFF_ROLE = Enum(
    "StaffRole",
    {
        "admin": L("管理员", "Administrator"),
        "analyst": L("分析员", "Analyst"),
        "manager": L("经理", "Manager"),
        "clerk": L("店员", "Clerk"),
    },
    label=L("员工角色", "Role of a member of staff"),
)
CUSTOMER_KIND = Enum(
    "CustomerKind",
    {"person": L("个人", "Person"), "organization": L("组织", "Organization")},
    label=L("顾客性质", "Kind of customer"),
)
GENDER = Enum(
    "Gender",
    {"female": L("女", "Female"), "male": L("男", "Male"), "other": L("其他", "Other")},
    label=L("性别", "Gender"),
)
CALENDAR = Enum(
    "Calendar",
    {"solar": L("公历", "Solar"), "lunar": L("农历", "Lunar")},
    label=L("历法", "Calendar"),
)
ACQUISITION_CHANNEL = Enum(
    "AcquisitionChannel",  # S75
    {
        "mass_media": L("大众媒体", "Mass media"),
        "niche_media": L("差异化媒体", "Niche media"),
        "hotline": L("热线电话", "Hotline"),
        "website": L("网站", "Website"),
        "referral": L("转介绍", "Referral"),
        "street": L("路过", "Walk-in"),
        "event": L("活动", "Event"),
        "other": L("其他", "Other"),
    },
    label=L("来源渠道", "Acquisition channel"),
)
CREDIT_STATUS = Enum(
    "CreditStatus",  # S13, S120
    {
        "unknown": L("未知", "Unknown"),
        "good": L("良好", "Good"),
        "watch": L("观察", "Watch"),
        "dangerous": L("危险客户", "Dangerous"),
    },
    label=L("信用状况", "Credit status"),
)
INCOME_BAND = Enum(
    "IncomeBand",
    {
        "low": L("较低", "Low"),
        "middle": L("中等", "Middle"),
        "high": L("较高", "High"),
        "very_high": L("很高", "Very high"),
    },
    label=L("收入档次", "Income band"),
)
PRIVACY_NOTICE = Enum(
    "PrivacyNotice",
    {
        "not_shown": L("未告知", "Not shown"),
        "shown": L("已告知", "Shown"),
        "accepted": L("已接受", "Accepted"),
    },
    label=L("隐私告知", "Privacy notice"),
)
CHANNEL = Enum(
    "Channel",
    {
        "store": L("门店", "Store"),
        "phone": L("电话", "Phone"),
        "sms": L("短信", "SMS"),
        "wechat": L("微信", "WeChat"),
        "email": L("邮件", "E-mail"),
        "web": L("网络", "Web"),
        "post": L("信函", "Post"),
        "event": L("活动", "Event"),
        "home": L("上门", "Home visit"),
    },
    label=L("渠道", "Channel"),
)
LINK_KIND = Enum(
    "LinkKind",
    {
        "companion": L("同伴", "Companion"),
        "family": L("家人", "Family"),
        "household": L("同住", "Household"),
        "owner_of": L("所有者", "Owner of"),
        "manager_of": L("经营管理者", "Manager of"),
        "legal_of": L("法人", "Legal person of"),
        "contact_of": L("联系人", "Contact of"),
        "influencer": L("影响者", "Influencer"),
        "referrer": L("介绍人", "Referrer"),
        "supplies": L("供货", "Supplies"),
        "alliance": L("战略联盟", "Alliance"),
    },
    label=L("关系类型", "Kind of link"),
)
INTERACTION_KIND = Enum(
    "InteractionKind",
    {
        "visit": L("到店", "Visit"),
        "purchase": L("购买", "Purchase"),
        "return": L("退货", "Return"),
        "quote": L("报价", "Quote"),
        "call": L("通话", "Call"),
        "message": L("消息", "Message"),
        "followup": L("回访", "Follow-up"),
        "complaint": L("投诉", "Complaint"),
        "service": L("服务", "Service"),
        "survey": L("调查", "Survey"),
        "compliment": L("表扬", "Compliment"),
        "request": L("需求", "Request"),
        "event": L("活动", "Event"),
        "form": L("表单", "Form"),
        "gift": L("礼品", "Gift"),
        "payment": L("付款", "Payment"),
        "touch": L("触达", "Touch"),
        "note": L("备注", "Note"),
    },
    label=L("往来类型", "Kind of interaction"),
)
PARTY_ROLE = Enum(
    "PartyRole",  # S7
    {
        "principal": L("主客", "Principal"),
        "companion": L("同伴", "Companion"),
        "decider": L("决策者", "Decider"),
        "payer": L("付款人", "Payer"),
        "user": L("使用者", "User"),
    },
    label=L("参与角色", "Role in a party"),
)
OUTCOME = Enum(
    "Outcome",
    {
        "open": L("待定", "Open"),
        "interested": L("有意向", "Interested"),
        "won": L("成交", "Won"),
        "lost": L("未成交", "Lost"),
        "no_answer": L("未接通", "No answer"),
        "solved": L("已解决", "Solved"),
    },
    label=L("结果", "Outcome"),
)
REPORT_CLASS = Enum(
    "ReportClass",  # S81
    {
        "routine": L("日常报告", "Routine"),
        "urgent": L("紧急报告", "Urgent"),
        "periodic": L("定期报告", "Periodic"),
    },
    label=L("报告类别", "Report class"),
)
IDENTITY_DECISION = Enum(
    "IdentityDecision",
    {
        "proposed": L("待确认", "Proposed"),
        "same": L("同一人", "The same"),
        "household": L("同一家庭", "One household"),
        "not_same": L("不是同一人", "Not the same"),
    },
    label=L("身份判定", "Identity decision"),
)
IDENTITY_REASON = Enum(
    "IdentityReason",
    {
        "verified_key": L("已核实的相同号码", "Equal verified key"),
        "equal_key": L("相同号码", "Equal key"),
        "similar": L("姓名及生日或地址相近", "Similar name with birth or address"),
        "person": L("人工判断", "Somebody's judgement"),
        "kept": L("拆分后保留", "Kept together when another was taken out"),
    },
    label=L("判定依据", "Reason of an identity decision"),
)
CARD_SECTION = Enum(
    "CardSection",  # S10-S14: the four parts of an organization's card, the ten of a person's
    {
        "basic": L("基本资料", "Basics"),
        "contact": L("联系方式", "Contact"),
        "education": L("教育情况", "Education"),
        "family": L("家庭情况", "Family"),
        "social": L("人际情况", "Social life"),
        "career": L("事业情况", "Career"),
        "lifestyle": L("生活情况", "Lifestyle"),
        "personality": L("个性情况", "Personality"),
        "experience": L("阅历情况", "Experience"),
        "features": L("客户特征", "Features"),
        "business": L("业务状况", "Business"),
        "dealings": L("交易活动现状", "Dealings"),
        "other": L("其他", "Other"),
    },
    label=L("卡片分区", "Section of the card"),
)
VERDICT = Enum(
    "Verdict",
    {
        "applied": L("已采用", "Applied"),
        "merged": L("已合并", "Merged"),
        "held": L("暂存", "Held"),
        "rejected": L("待修正", "Rejected"),
    },
    label=L("处理结果", "Verdict"),
)

# --- shared shapes ----------------------------------------------------------------------------

NAME = Text(200, empty=False)
CURRENCY = Text(3, empty=False)
MONEY_MINOR = Int()
"""Money is an integer in minor units; the currency (ISO 4217) stands beside it."""

BIRTH = Struct(
    "Birth",  # S129
    {
        "year": Part(Int(1850, 2200), L("年", "Year")),
        "month": Part(Int(1, 12), L("月", "Month"), required=True),
        "day": Part(Int(1, 31), L("日", "Day"), required=True),
        "calendar": Part(CALENDAR, L("历法", "Calendar")),
        "leap": Part(Bool(), L("闰月", "Leap month")),
    },
    label=L("生日", "Birth"),
)
PARTY = Struct(
    "PartyMember",
    {
        "customer": Part(Ref("customer"), L("顾客", "Customer")),
        "role": Part(PARTY_ROLE, L("角色", "Role")),
        "name": Part(Text(200), L("姓名", "Name")),
    },
    label=L("参与人", "Member of a party"),
)
LINE = Struct(
    "Line",
    {
        "product": Part(Ref("product"), L("商品", "Product")),
        "name": Part(Text(200), L("名称", "Name")),
        "quantity": Part(Int(-1_000_000, 1_000_000), L("数量", "Quantity")),
        "amount": Part(MONEY_MINOR, L("金额", "Amount in minor units")),
        "cost": Part(MONEY_MINOR, L("成本", "Cost in minor units")),
        "currency": Part(CURRENCY, L("币种", "Currency")),
    },
    label=L("明细", "Line"),
)

ARCHIVED = Field("archived", Bool(), L("已归档", "Archived"), Rule.ANY_TRUE, stored=True)

# --- reference data: written by head office, held by every tablet ------------------------------

UNIT = Entity(
    "unit",
    "units",
    L("组织单元", "Unit"),
    Nature.REFERENCE,
    Scope.CHAIN,
    (
        Field("name", NAME, L("名称", "Name"), required=True, stored=True),
        Field("kind", UNIT_KIND, L("类型", "Kind"), required=True, stored=True),
        Field("parent", Ref("unit"), L("上级", "Parent"), stored=True),
        Field("time_zone", Text(64), L("时区", "Time zone")),
        Field("country", Text(2), L("国家", "Country")),
        Field("currency", CURRENCY, L("币种", "Currency")),
        Field("external_ids", Text(120), L("外部编号", "External ids"), Rule.SET_ADD, stored=True),
        ARCHIVED,
    ),
    "A node of the chain's tree: company, region, department, branch, point of sale.",
)
STAFF = Entity(
    "staff",
    "staff",
    L("员工", "Staff"),
    Nature.REFERENCE,
    Scope.CHAIN,
    (
        Field("name", NAME, L("姓名", "Name"), required=True, stored=True),
        Field("role", STAFF_ROLE, L("角色", "Role"), required=True, stored=True),
        Field("units", Ref("unit"), L("所属", "Units"), Rule.SET_ADD, stored=True),
        Field("manager", Ref("staff"), L("上级", "Manager"), stored=True),
        Field("active", Bool(), L("在职", "Active"), stored=True),
        Field("external_ids", Text(120), L("外部编号", "External ids"), Rule.SET_ADD, stored=True),
    ),
    "A member of staff; the manager is the superior who is told of urgent reports (S86).",
)
STAFF_PIN = Entity(
    "staff_pin",
    "staff_pins",
    L("员工口令", "Staff PIN"),
    Nature.REFERENCE,
    Scope.UNITS,
    (
        Field("units", Ref("unit"), L("所属", "Units"), Rule.SET_ADD),
        Field("verifier", Text(200), L("验证码", "Verifier"), required=True),
    ),
    "The verifier of a PIN, held only by tablets of the member's own units; same id as the staff row.",
)
DEVICE = Entity(
    "device",
    "devices",
    L("设备", "Device"),
    Nature.REFERENCE,
    Scope.CHAIN,
    (
        Field("name", NAME, L("名称", "Name"), required=True, stored=True),
        Field("unit", Ref("unit"), L("所属", "Unit"), required=True, stored=True),
        Field("revoked", Bool(), L("已吊销", "Revoked"), Rule.ANY_TRUE, stored=True),
        Field("wipe", Bool(), L("已下令清除", "Ordered to wipe"), Rule.ANY_TRUE),
        Field("wiped_at", Instant(), L("清除时间", "Wiped at"), Rule.MIN),
        Field(
            "left_units", Ref("unit"), L("曾属门店", "Units it was moved away from"), Rule.SET_ADD, since=2
        ),
    ),
    "A tablet; its credentials are kept apart.",
)
PRODUCT = Entity(
    "product",
    "products",
    L("商品", "Product"),
    Nature.REFERENCE,
    Scope.CHAIN,
    (
        Field("name", NAME, L("名称", "Name"), required=True, stored=True, searched=True),
        Field("category", Text(200), L("类别", "Category"), stored=True),
        Field("usage_days", Int(0, 36_500), L("使用天数", "Days of use per piece"), stored=True),
        Field("refill_lead_days", Int(0, 3_650), L("提前天数", "Days to remind before")),
        Field("price", MONEY_MINOR, L("价格", "Price in minor units"), stored=True),
        Field("currency", CURRENCY, L("币种", "Currency")),
        Field("external_ids", Text(120), L("外部编号", "External ids"), Rule.SET_ADD, stored=True),
        ARCHIVED,
    ),
    "Mirrored from the shop system (S87).",
)
SEGMENT = Entity(
    "segment",
    "segments",
    L("分群", "Segment"),
    Nature.REFERENCE,
    Scope.CHAIN,
    (
        Field("name", NAME, L("名称", "Name"), required=True, stored=True, searched=True),
        Field("purpose", Text(), L("用途", "Purpose")),
        Field("owner", Ref("staff"), L("负责人", "Owner"), stored=True),
        ARCHIVED,
    ),
    "A named set of customers. Its static members are kept on the customers, so they follow them.",
)

WINDOW = Entity(
    "window",
    "windows",
    L("历史窗口", "History window"),
    Nature.REFERENCE,
    Scope.CHAIN,
    (Field("edge", Instant(), L("起点", "Edge"), required=True),),
    "One row: tablets hold the facts from this edge on. The server moves it once a month.",
    since=2,
)

# --- what branches write -----------------------------------------------------------------------

CUSTOMER = Entity(
    "customer",
    "customers",
    L("顾客", "Customer"),
    Nature.OPINION,
    Scope.HOME,
    (
        Field(
            "name",
            NAME,
            L("姓名", "Name"),
            Rule.VERIFIED,
            required=True,
            stored=True,
            searched=True,
            section="basic",
        ),
        Field("kind", CUSTOMER_KIND, L("性质", "Kind"), stored=True, section="basic"),
        Field(
            "home_unit", Ref("unit"), L("所属门店", "Home unit"), Rule.REVIEW, stored=True, section="business"
        ),
        Field("owner", Ref("staff"), L("负责人", "Owner"), stored=True, section="business"),
        Field(
            "phones",
            Text(80),
            L("电话", "Phones"),
            Rule.SET_ADD,
            form=Form.PHONE,
            identity=True,
            stored=True,
            searched=True,
            section="contact",
        ),
        Field(
            "emails",
            Text(200),
            L("邮箱", "E-mails"),
            Rule.SET_ADD,
            form=Form.EMAIL,
            identity=True,
            stored=True,
            searched=True,
            section="contact",
        ),
        Field(
            "member_no",
            Text(80),
            L("会员号", "Member number"),
            Rule.REVIEW,
            identity=True,
            stored=True,
            searched=True,
            section="basic",
        ),
        Field(
            "external_ids",
            Text(120),
            L("外部编号", "External ids"),
            Rule.SET_ADD,
            identity=True,
            stored=True,
            section="other",
        ),
        Field(
            "wechat",
            Text(80),
            L("微信", "WeChat"),
            Rule.VERIFIED,
            stored=True,
            searched=True,
            section="contact",
        ),
        Field("gender", GENDER, L("性别", "Gender"), Rule.VERIFIED, stored=True, section="basic"),
        Field("birth", BIRTH, L("生日", "Birth"), Rule.VERIFIED, section="basic"),
        Field("address", Text(400), L("地址", "Address"), Rule.VERIFIED, section="contact"),
        Field(
            "acquisition_channel",
            ACQUISITION_CHANNEL,
            L("来源渠道", "Acquisition channel"),
            stored=True,
            section="business",
        ),
        Field(
            "trading_since", Date(), L("首次交易", "Trading since"), Rule.MIN, stored=True, section="basic"
        ),
        Field(
            "first_seen", Instant(), L("首次到店", "First seen"), Rule.MIN, stored=True, section="business"
        ),
        Field(
            "consent_asked_at",
            Instant(),
            L("最近询问同意", "Consent last asked"),
            Rule.MAX,
            stored=True,
            section="contact",
        ),
        Field(
            "privacy_notice",
            PRIVACY_NOTICE,
            L("隐私告知", "Privacy notice"),
            Rule.LATTICE,
            stored=True,
            section="contact",
        ),
        Field(
            "contact_by",
            CHANNEL,
            L("允许联系方式", "May be contacted by"),
            Rule.SET_REMOVE,
            stored=True,
            section="contact",
        ),
        Field(
            "preferred_channel", CHANNEL, L("首选渠道", "Preferred channel"), stored=True, section="contact"
        ),
        Field(
            "tags", Text(80), L("标签", "Tags"), Rule.SET_ADD, stored=True, searched=True, section="business"
        ),
        Field("hobbies", Text(80), L("爱好", "Hobbies"), Rule.SET_ADD, stored=True, section="lifestyle"),
        Field(
            "segments",
            Ref("segment"),
            L("静态分群", "Static segments"),
            Rule.SET_ADD,
            stored=True,
            section="business",
        ),
        Field("notes", Text(), L("备注", "Notes"), searched=True, section="other"),
        Field("income_band", INCOME_BAND, L("收入", "Income band"), level=Level.SENSITIVE, section="career"),
        Field("belief", Text(200), L("信仰", "Belief"), level=Level.SENSITIVE, section="personality"),
        Field(
            "credit_status",
            CREDIT_STATUS,
            L("信用状况", "Credit status"),
            Rule.VERIFIED,
            Level.SENSITIVE,
            section="dealings",
        ),
        Field(
            "tax_no",
            Text(40),
            L("税号或证件号", "Tax or identity number"),
            Rule.REVIEW,
            Level.SENSITIVE,
            section="basic",
        ),
        dataclasses.replace(ARCHIVED, section="other"),
    ),
    "A person or an organization that accepts the chain's product or service (S1, S10-S19).",
    sections=CARD_SECTION,
)
LINK = Entity(
    "link",
    "links",
    L("关系", "Link"),
    Nature.OPINION,
    Scope.NAMED,
    (
        Field("from_customer", Ref("customer"), L("顾客", "From"), required=True, fixed=True, stored=True),
        Field("to_customer", Ref("customer"), L("对象", "To"), required=True, fixed=True, stored=True),
        Field("kind", LINK_KIND, L("关系类型", "Kind"), required=True, fixed=True, stored=True),
        Field("active", Bool(), L("有效", "Active"), Rule.ANY_TRUE, stored=True),
        Field("note", Text(400), L("说明", "Note")),
    ),
    "A relation between two customers; its id is made of both and the kind, so two tablets agree.",
)
INTERACTION = Entity(
    "interaction",
    "interactions",
    L("往来", "Interaction"),
    Nature.FACT,
    Scope.NAMED,
    (
        Field("kind", INTERACTION_KIND, L("类型", "Kind"), required=True, stored=True),
        Field("at", Instant(), L("时间", "At"), required=True, stored=True),
        Field("unit", Ref("unit"), L("门店", "Unit"), stored=True),
        Field("staff", Ref("staff"), L("员工", "Staff"), stored=True),
        Field("channel", CHANNEL, L("渠道", "Channel"), stored=True),
        Field("party", List(PARTY, 50), L("参与人", "Party"), stored=True),
        Field("lines", List(LINE), L("明细", "Lines")),
        Field("stage_reached", Int(1, 8), L("到达阶段", "Stage reached"), stored=True),
        Field("outcome", OUTCOME, L("结果", "Outcome"), stored=True),
        Field("report_class", REPORT_CLASS, L("报告类别", "Report class"), stored=True),
        Field("effort_min", Int(0, 100_000), L("投入分钟", "Effort in minutes"), stored=True),
        Field("note", Text(), L("内容", "Note")),
        Field("supersedes", Ref("interaction"), L("更正", "Supersedes"), stored=True),
        Field("void", Bool(), L("作废", "Void"), stored=True),
        Field("external_ids", List(Text(120), 8), L("外部编号", "External ids"), stored=True),
    ),
    "One append-only fact (S69, S79-S82). A correction is a further fact that supersedes it; so is voiding.",
)

IDENTITY = Entity(
    "identity",
    "identities",
    L("身份判定", "Identity decision"),
    Nature.OPINION,
    Scope.SAME,
    (
        Field("one", Ref("customer"), L("顾客", "One"), required=True, fixed=True, stored=True),
        Field("other", Ref("customer"), L("另一顾客", "Other"), required=True, fixed=True, stored=True),
        Field(
            "decision", IDENTITY_DECISION, L("判定", "Decision"), Rule.VERIFIED, required=True, stored=True
        ),
        Field("reason", IDENTITY_REASON, L("依据", "Reason"), Rule.VERIFIED, stored=True),
        Field("matched", Text(40), L("匹配字段", "Field that matched"), Rule.VERIFIED),
        Field("suggests", IDENTITY_DECISION, L("建议", "Suggestion"), Rule.VERIFIED),
    ),
    "Whether two customers are one person. Its id is made of both, in their order, so there is one a pair."
    " What the server says is verified, so what a branch proposes never stands before it.",
    since=2,
)

# --- written by the server itself ----------------------------------------------------------------

CHANGE_VERDICT = Entity(
    "change_verdict",
    "change_verdicts",
    L("处理结果", "Change verdict"),
    Nature.DERIVED,
    Scope.DEVICE,
    (
        Field("device", Ref("device"), L("设备", "Device")),
        Field("verdict", VERDICT, L("结果", "Verdict")),
        Field("code", Text(80), L("代码", "Code")),
        Field("field", Text(200), L("字段", "Field")),
        Field("closed", Bool(), L("已了结", "Closed")),
    ),
    "What became of a change that was held or rejected; its id is the change's cid, its reader the device.",
)

REGISTRY = Registry(
    version=2,
    entities=(
        UNIT,
        STAFF,
        STAFF_PIN,
        DEVICE,
        PRODUCT,
        SEGMENT,
        WINDOW,
        CUSTOMER,
        LINK,
        IDENTITY,
        INTERACTION,
        CHANGE_VERDICT,
    ),
)
