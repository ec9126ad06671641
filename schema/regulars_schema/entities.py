"""Every entity, declared once. The terms are those of DOMAIN.md; `S` numbers name its rows.

Long because: every closed list and every field has its line.
"""

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
    Json,
    Label,
    Level,
    List,
    Nature,
    Part,
    Ref,
    Registry,
    Rule,
    Scalar,
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
MANAGERS = frozenset({"manager", "admin"})
"""The roles of staff who write what is `managed`."""
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
DEGREE = Enum(
    "Degree",  # S48, S66
    {"low": L("低", "Low"), "middle": L("中", "Middle"), "high": L("高", "High")},
    label=L("程度", "Degree"),
)
SERVICE_STANCE = Enum(
    "ServiceStance",  # S8
    {
        "normal": L("正常服务", "Normal"),
        "reduced": L("减少服务", "Reduced"),
        "ended": L("终止服务", "Ended"),
    },
    label=L("服务立场", "Service stance"),
)
STANCE_REASON = Enum(
    "StanceReason",  # S8
    {
        "unprofitable": L("不赚钱的客户", "Unprofitable"),
        "policy_changed": L("客户策略和方针改变", "Its policy changed"),
        "unethical_demand": L("客户提不道德的要求", "Unethical demand"),
    },
    label=L("服务立场的原因", "Reason of the service stance"),
)
SERVICE_PLAN = Enum(
    "ServicePlan",  # S76
    {"standard": L("标准", "Standard"), "private": L("一对一", "Private")},
    label=L("服务方案", "Service plan"),
)
TOPIC = Enum(
    "FactTopic",  # S16: FORD; S112: demands; S15, S65: what is learned in passing
    {
        "family": L("家庭", "Family"),
        "occupation": L("职业", "Occupation"),
        "recreation": L("休闲", "Recreation"),
        "dreams": L("梦想", "Dreams"),
        "demand": L("需求", "Demand"),
        "preference": L("偏好", "Preference"),
        "habit": L("习惯", "Habit"),
        "other": L("其他", "Other"),
    },
    label=L("所知事项", "What a fact is about"),
)
FACT_STATUS = Enum(
    "FactStatus",
    {"raised": L("已提出", "Raised"), "adopted": L("已采纳", "Adopted")},
    label=L("事项状态", "Status of a fact"),
)
PLACE = Enum(
    "Place",  # S126
    {"indoor": L("室内", "Indoor"), "outdoor": L("室外", "Outdoor")},
    label=L("活动地点", "Place"),
)
ATTENTION_FOCUS = Enum(
    "AttentionFocus",  # S72
    {
        "quality": L("质量", "Quality"),
        "style": L("款式", "Style"),
        "price": L("价格", "Price"),
        "other": L("其他", "Other"),
    },
    label=L("关注焦点", "Focus of attention"),
)
METHOD = Enum(
    "Method",  # S74; the source leaves its third out
    {
        "experience": L("体验法", "Let them try"),
        "example": L("实例法", "Examples"),
        "emotion": L("情感法", "Emotion"),
        "contrast": L("正反法", "Pro and contra"),
    },
    label=L("介绍方法", "Method of presenting"),
)
FIELD_TYPE = Enum(
    "CustomFieldKind",  # S20
    {
        "text": L("文本", "Text"),
        "integer": L("整数", "Whole number"),
        "boolean": L("是否", "Yes or no"),
        "date": L("日期", "Date"),
        "choice": L("选项", "Choice"),
    },
    label=L("自定义字段类型", "Type of a custom field"),
)
FIELD_RULE = Enum(
    "CustomRule",  # S20
    {
        "last_writer": L("以最后为准", "The last one counts"),
        "min": L("取最小", "The least"),
        "max": L("取最大", "The greatest"),
        "or_set": L("合并为集合", "A set of all"),
        "append": L("只增不减", "Only added to"),
        "review": L("由人判断", "A person decides"),
    },
    label=L("合并规则", "Merge rule of a custom field"),
)
FIELD_TAB = Enum(
    "CustomTab",  # S20
    {
        "basic": L("基础信息", "Basics"),
        "trading": L("交易信息", "Trading"),
        "service": L("服务信息", "Service"),
    },
    label=L("自定义字段分组", "Tab of a custom field"),
)
SENSITIVITY = Enum(
    "Sensitivity",
    {"internal": L("内部", "Internal"), "sensitive": L("敏感", "Sensitive")},
    label=L("敏感程度", "Sensitivity"),
)
CONSENT_PURPOSE = Enum(
    "ConsentPurpose",
    {
        "marketing": L("营销", "Marketing"),
        "service": L("服务通知", "Service notices"),
        "survey": L("调查", "Surveys"),
        "profiling": L("画像分析", "Profiling"),
    },
    label=L("同意用途", "Purpose of a consent"),
)
TASK_STATUS = Enum(
    "TaskStatus",  # the order of the lattice
    {
        "open": L("待办", "Open"),
        "expired": L("已过期", "Expired"),
        "cancelled": L("已取消", "Cancelled"),
        "skipped": L("已跳过", "Skipped"),
        "done": L("已完成", "Done"),
    },
    label=L("任务状态", "Status of a task"),
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

FACT = Struct(
    "LearnedFact",  # S16
    {
        "topic": Part(TOPIC, L("事项", "Topic"), required=True),
        "content": Part(Text(1000, empty=False), L("内容", "Content"), required=True),
        "product": Part(Ref("product"), L("商品", "Product")),
        "status": Part(FACT_STATUS, L("状态", "Status")),
    },
    label=L("所知事项", "Learned fact"),
)
OPPORTUNITY = Struct(
    "Opportunity",  # S97
    {
        "urgency": Part(Int(0, 2), L("急迫性", "Urgency"), required=True),
        "effect": Part(Int(0, 2), L("短时间内见效", "Quick effect"), required=True),
        "price": Part(Int(0, 2), L("价格可观", "Worthwhile price"), required=True),
    },
    label=L("机会评分", "Rating of an opportunity"),
)
QUIET_HOURS = Struct(
    "QuietHours",  # S123
    {
        "start": Part(Int(0, 1440), L("开始（分钟）", "Start, in minutes of the day"), required=True),
        "end": Part(Int(0, 1440), L("结束（分钟）", "End, in minutes of the day"), required=True),
    },
    label=L("免打扰时段", "Quiet hours"),
)
FIELD_LABEL = Struct(
    "CustomLabel",
    {
        "zh": Part(Text(80, empty=False), L("中文", "Chinese"), required=True),
        "en": Part(Text(80, empty=False), L("英文", "English"), required=True),
    },
    label=L("字段名称", "Label of a field"),
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
        Field("key", Text(80), L("键", "Key"), stored=True, since=3),
        Field("rule", Json(), L("规则", "Rule"), since=3),
        Field("snapshot_of", Ref("segment"), L("快照来源", "Snapshot of"), fixed=True, stored=True, since=3),
        Field("taken_at", Instant(), L("快照时间", "Taken at"), fixed=True, stored=True, since=3),
    ),
    "A named set of customers: those whom its rule finds, and its static members. These are kept on the"
    " customers, so they follow them, as are those whom no rule brings back. A snapshot is a campaign (S100).",
)
SCHEME = Entity(
    "scheme",
    "schemes",
    L("分类方案", "Scheme"),
    Nature.REFERENCE,
    Scope.CHAIN,
    (
        Field("key", Text(80, empty=False), L("键", "Key"), required=True, fixed=True, stored=True),
        Field("changes", Json(), L("更改", "Changes")),
        ARCHIVED,
    ),
    "What a chain changed of a shipped scheme, as a merge patch (RFC 7396), or all of a scheme of its own."
    " What it did not change follows the product.",
    since=3,
    made_of=("key",),
)
FIELD_DEF = Entity(
    "field_def",
    "field_defs",
    L("自定义字段", "Custom field"),
    Nature.REFERENCE,
    Scope.CHAIN,
    (
        Field("key", Text(80, empty=False), L("键", "Key"), required=True, fixed=True, stored=True),
        Field("label", FIELD_LABEL, L("名称", "Label"), required=True),
        Field("type", FIELD_TYPE, L("类型", "Type"), required=True, fixed=True, stored=True),
        Field("rule", FIELD_RULE, L("合并规则", "Merge rule"), required=True, fixed=True, stored=True),
        Field(
            "sensitivity", SENSITIVITY, L("敏感程度", "Sensitivity"), required=True, fixed=True, stored=True
        ),
        Field("section", CARD_SECTION, L("卡片分区", "Section"), stored=True),
        Field("tab", FIELD_TAB, L("分组", "Tab"), stored=True),
        Field("for_kind", CUSTOMER_KIND, L("适用性质", "For this kind only"), stored=True),
        Field("choices", List(Text(80, empty=False), 200), L("选项", "Choices")),
        ARCHIVED,
    ),
    "A field of a chain's own (S20). What replicas merge by is fixed when it is made.",
    since=3,
    made_of=("key",),
)
CUT_POINTS = Entity(
    "cut_points",
    "cut_points",
    L("分界点", "Cut points"),
    Nature.REFERENCE,
    Scope.CHAIN,
    (
        Field("day", Date(), L("日期", "Day"), required=True, fixed=True, stored=True),
        Field("cuts", Json(), L("分界", "Cuts"), required=True),
    ),
    "What divides the chain's customers on a day, by metric: the ends of fifths, the Pareto cut. The latest"
    " day counts, on every replica.",
    since=3,
    made_of=("day",),
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
        Field(
            "org_form",
            Text(200),
            L("企业组织形式", "Form of organization"),
            Rule.VERIFIED,
            section="basic",
            since=3,
        ),
        Field(
            "industry", Text(200), L("业种", "Industry"), Rule.VERIFIED, stored=True, section="basic", since=3
        ),
        Field(
            "founded_on",
            Date(),
            L("创业时间", "Founded on"),
            Rule.VERIFIED,
            stored=True,
            section="basic",
            since=3,
        ),
        Field(
            "assets",
            Text(200),
            L("资产", "Assets"),
            Rule.VERIFIED,
            level=Level.SENSITIVE,
            section="basic",
            since=3,
        ),
        Field(
            "service_area",
            Text(200),
            L("服务区域", "Service area"),
            Rule.VERIFIED,
            section="features",
            since=3,
        ),
        Field(
            "sales_capacity",
            Text(200),
            L("销售能力", "Sales capacity"),
            Rule.VERIFIED,
            section="features",
            since=3,
        ),
        Field(
            "growth_potential",
            Text(200),
            L("发展潜力", "Growth potential"),
            Rule.VERIFIED,
            section="features",
            since=3,
        ),
        Field("philosophy", Text(), L("经营观念", "Philosophy"), Rule.VERIFIED, section="features", since=3),
        Field("direction", Text(), L("经营方向", "Direction"), Rule.VERIFIED, section="features", since=3),
        Field("policy", Text(), L("经营方针与政策", "Policy"), Rule.VERIFIED, section="features", since=3),
        Field(
            "headcount",
            Int(0, 10_000_000),
            L("职工人数", "Headcount"),
            Rule.VERIFIED,
            stored=True,
            section="features",
            since=3,
        ),
        Field(
            "turnover",
            MONEY_MINOR,
            L("销售额", "Turnover a year in minor units"),
            Rule.VERIFIED,
            level=Level.SENSITIVE,
            section="features",
            since=3,
        ),
        Field(
            "management_traits",
            Text(),
            L("经营管理特点", "Traits of its management"),
            Rule.VERIFIED,
            section="features",
            since=3,
        ),
        Field(
            "staff_quality",
            Text(),
            L("经营管理者和业务人员的素质", "Quality of its staff"),
            Rule.VERIFIED,
            section="business",
            since=3,
        ),
        Field(
            "competitor_relations",
            Text(200),
            L("与其他竞争公司的关系", "Relations with competitors"),
            Rule.SET_ADD,
            section="business",
            since=3,
        ),
        Field(
            "cooperation_attitude",
            Int(1, 5),
            L("合作态度", "Attitude to co-operation"),
            stored=True,
            section="business",
            since=3,
        ),
        Field(
            "activity",
            Text(),
            L("销售活动状况", "Sales activity"),
            Rule.VERIFIED,
            section="dealings",
            since=3,
        ),
        Field("problems", Text(), L("存在的问题", "Problems"), Rule.VERIFIED, section="dealings", since=3),
        Field("strengths", Text(), L("保持的优势", "Strengths"), Rule.VERIFIED, section="dealings", since=3),
        Field("measures", Text(), L("未来的对策", "Measures"), Rule.VERIFIED, section="dealings", since=3),
        Field(
            "reputation",
            Text(),
            L("企业信誉与形象", "Reputation"),
            Rule.VERIFIED,
            section="dealings",
            since=3,
        ),
        Field(
            "credit_incidents",
            Text(200),
            L("以往出现的信用问题", "Credit incidents"),
            Rule.SET_ADD,
            Level.SENSITIVE,
            section="dealings",
            since=3,
        ),
        Field(
            "trade_terms", Text(), L("交易条件", "Terms of trade"), Rule.VERIFIED, section="dealings", since=3
        ),
        Field(
            "economic_status",
            Text(200),
            L("经济状况", "Economic status"),
            Rule.VERIFIED,
            level=Level.SENSITIVE,
            section="business",
            since=3,
        ),
        Field(
            "purchase_traits",
            Text(),
            L("购买特征", "Purchase traits"),
            Rule.VERIFIED,
            section="business",
            since=3,
        ),
        Field("education", Text(), L("教育情况", "Education"), Rule.VERIFIED, section="education", since=3),
        Field("family", Text(), L("家庭情况", "Family"), Rule.VERIFIED, section="family", since=3),
        Field(
            "household_size",
            Int(1, 100),
            L("家庭成员数", "Members of the household"),
            stored=True,
            section="family",
            since=3,
        ),
        Field("social_life", Text(), L("人际情况", "Social life"), Rule.VERIFIED, section="social", since=3),
        Field(
            "occupation",
            Text(200),
            L("职业", "Occupation"),
            Rule.VERIFIED,
            stored=True,
            section="career",
            since=3,
        ),
        Field("career", Text(), L("事业情况", "Career"), Rule.VERIFIED, section="career", since=3),
        Field("lifestyle", Text(), L("生活情况", "Lifestyle"), Rule.VERIFIED, section="lifestyle", since=3),
        Field("habits", Text(200), L("习惯", "Habits"), Rule.SET_ADD, section="lifestyle", since=3),
        Field(
            "preferences",
            Text(200),
            L("偏好", "Preferences"),
            Rule.SET_ADD,
            stored=True,
            section="lifestyle",
            since=3,
        ),
        Field("character", Text(), L("性格", "Character"), Rule.VERIFIED, section="personality", since=3),
        Field("ability", Text(), L("能力", "Ability"), Rule.VERIFIED, section="personality", since=3),
        Field("life_values", Text(), L("价值取向", "Values"), Rule.VERIFIED, section="personality", since=3),
        Field(
            "experience", Text(), L("阅历情况", "Experience"), Rule.VERIFIED, section="experience", since=3
        ),
        Field(
            "supplement",
            Text(),
            L("其他可供参考的补充材料", "Further material"),
            Rule.VERIFIED,
            section="other",
            since=3,
        ),
        Field(
            "groups",
            Text(80),
            L("顾客群", "Customer groups"),
            Rule.SET_ADD,
            stored=True,
            section="social",
            since=3,
        ),
        Field(
            "owned_products",
            Ref("product"),
            L("拥有的商品", "Products owned"),
            Rule.SET_ADD,
            stored=True,
            section="business",
            since=3,
        ),
        Field(
            "excluded_segments",
            Ref("segment"),
            L("排除的分群", "Segments taken out of"),
            Rule.SET_ADD,
            stored=True,
            section="business",
            since=3,
        ),
        Field("risk_level", DEGREE, L("风险", "Risk"), level=Level.SENSITIVE, section="dealings", since=3),
        Field(
            "price_sensitivity",
            DEGREE,
            L("价格敏感度", "Sensitivity to price"),
            stored=True,
            section="business",
            since=3,
        ),
        Field(
            "fault_tolerance",
            DEGREE,
            L("对质量问题的容忍度", "Tolerance of faults"),
            stored=True,
            section="business",
            since=3,
        ),
        Field(
            "service_stance",
            SERVICE_STANCE,
            L("服务立场", "Service stance"),
            Rule.REVIEW,
            stored=True,
            section="business",
            since=3,
            managed=True,
        ),
        Field(
            "stance_reason",
            STANCE_REASON,
            L("服务立场的原因", "Reason of the stance"),
            Rule.REVIEW,
            section="business",
            since=3,
            managed=True,
        ),
        Field(
            "service_plan",
            SERVICE_PLAN,
            L("服务方案", "Service plan"),
            stored=True,
            section="business",
            since=3,
        ),
        Field(
            "do_not_contact",
            Bool(),
            L("请勿联系", "Do not contact"),
            Rule.ANY_TRUE,
            stored=True,
            section="contact",
            since=3,
        ),
        Field("quiet_hours", QUIET_HOURS, L("免打扰时段", "Quiet hours"), section="contact", since=3),
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
        Field("satisfaction", Int(1, 5), L("满意度", "Satisfaction"), stored=True, since=3),
        Field("facts", List(FACT, 50), L("所知事项", "Learned facts"), since=3),
        Field("checklist", List(Text(80, empty=False), 50), L("检查表", "Ticked items"), since=3),
        Field("methods_used", List(METHOD, 10), L("介绍方法", "Methods used"), since=3),
        Field("attention_focus", ATTENTION_FOCUS, L("关注焦点", "Focus of attention"), stored=True, since=3),
        Field("opportunity", OPPORTUNITY, L("机会评分", "Rating of the opportunity"), since=3),
        Field("place", PLACE, L("地点", "Place"), stored=True, since=3),
        Field("benefit", Text(200), L("回馈", "Benefit granted"), since=3),
        Field("next_on", Date(), L("下次日期", "Next on"), stored=True, since=3),
        Field("campaign", Ref("segment"), L("活动名单", "Campaign"), stored=True, since=3),
        Field("agency", Text(200), L("专业机构", "Agency that looked into it"), since=3),
        Field("looked_into", List(Text(80, empty=False), 50), L("调查的字段", "Fields looked into"), since=3),
    ),
    "One append-only fact (S69, S79-S82). A correction is a further fact that supersedes it; so is voiding.",
    ages=True,
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

CUSTOM_VALUE = Entity(
    "custom_value",
    "custom_values",
    L("自定义字段的值", "Value of a custom field"),
    Nature.OPINION,
    Scope.NAMED,
    (
        Field("customer", Ref("customer"), L("顾客", "Customer"), required=True, fixed=True, stored=True),
        Field("field_def", Ref("field_def"), L("字段", "Field"), required=True, fixed=True, stored=True),
        Field("value", Scalar(), L("值", "Value"), Rule.VERIFIED),
        Field("reviewed", Scalar(), L("由人判断的值", "Value that a person decides"), Rule.REVIEW),
        Field("least", Scalar(), L("最小值", "The least"), Rule.MIN),
        Field("most", Scalar(), L("最大值", "The greatest"), Rule.MAX),
        Field("items", Text(200), L("各项", "Items"), Rule.SET_ADD),
        Field("guarded_value", Scalar(), L("敏感的值", "Sensitive value"), Rule.VERIFIED, Level.SENSITIVE),
        Field(
            "guarded_reviewed",
            Scalar(),
            L("由人判断的敏感的值", "Sensitive value that a person decides"),
            Rule.REVIEW,
            Level.SENSITIVE,
        ),
        Field(
            "guarded_least", Scalar(), L("敏感的最小值", "The least, sensitive"), Rule.MIN, Level.SENSITIVE
        ),
        Field(
            "guarded_most", Scalar(), L("敏感的最大值", "The greatest, sensitive"), Rule.MAX, Level.SENSITIVE
        ),
        Field("guarded_items", Text(200), L("敏感的各项", "Sensitive items"), Rule.SET_ADD, Level.SENSITIVE),
    ),
    "What is said of a customer in a custom field. Its merge rule and level choose the column (`custom.column`).",
    since=3,
    made_of=("customer", "field_def"),
)
SUPPLIER = Entity(
    "supplier",
    "suppliers",
    L("供应商", "Supplier"),
    Nature.OPINION,
    Scope.NAMED,
    (
        Field("customer", Ref("customer"), L("顾客", "Customer"), required=True, fixed=True, stored=True),
        Field("name", NAME, L("名称", "Name"), required=True, fixed=True),
        Field("satisfaction", Int(1, 5), L("满意状态", "Satisfaction")),
        Field("note", Text(400), L("说明", "Note")),
        ARCHIVED,
    ),
    "Of whom a customer buys besides, and how satisfied it is (S19).",
    since=3,
    made_of=("customer", "name"),
)
ASSIGNMENT = Entity(
    "assignment",
    "assignments",
    L("分类", "Assignment"),
    Nature.OPINION,
    Scope.NAMED,
    (
        Field("customer", Ref("customer"), L("顾客", "Customer"), required=True, fixed=True, stored=True),
        Field("scheme", Text(80, empty=False), L("方案", "Scheme"), required=True, fixed=True, stored=True),
        Field("value", Text(80), L("值", "Value"), Rule.VERIFIED, stored=True),
        Field(
            "reviewed", Text(80), L("由人判断的值", "Value that a person decides"), Rule.REVIEW, stored=True
        ),
        Field("values", Text(80), L("各值", "Values"), Rule.SET_ADD, stored=True),
        Field("guarded_value", Text(80), L("敏感的值", "Sensitive value"), Rule.VERIFIED, Level.SENSITIVE),
        Field("guarded_values", Text(80), L("敏感的各值", "Sensitive values"), Rule.SET_ADD, Level.SENSITIVE),
        Field(
            "guarded_reason", Text(400), L("敏感的理由", "Sensitive reason"), Rule.VERIFIED, Level.SENSITIVE
        ),
        Field("pinned", Bool(), L("固定", "Pinned"), Rule.VERIFIED, stored=True),
        Field("decided_by", Ref("staff"), L("判定人", "Decided by"), Rule.VERIFIED, stored=True),
        Field("reason", Text(400), L("理由", "Reason"), Rule.VERIFIED),
        Field("evidence", Ref("interaction"), L("依据", "Evidence"), Rule.VERIFIED, stored=True),
        Field("since", Date(), L("起始", "Since"), Rule.VERIFIED, stored=True),
        Field("check_by", Date(), L("复核期限", "To be checked by"), Rule.VERIFIED, stored=True),
    ),
    "What a person or an import says of a customer in a scheme (S55-S64, S124). Where two people's words"
    " must not hide each other (tier, lifecycle, churn cause) it stands in `reviewed`; of a scheme of many"
    " values in `values`; of a sensitive scheme where its level guards it (`schemes.assigning`). What a person"
    " says is verified, so a file that says it otherwise stands beside it with a day of its own.",
    since=3,
    made_of=("customer", "scheme"),
)
TASK = Entity(
    "task",
    "tasks",
    L("任务", "Task"),
    Nature.OPINION,
    Scope.NAMED,
    (
        Field("plan", Text(80, empty=False), L("计划", "Plan"), required=True, fixed=True, stored=True),
        Field("customer", Ref("customer"), L("顾客", "Customer"), required=True, fixed=True, stored=True),
        Field("subject", Text(200), L("事由", "Subject"), required=True, fixed=True, stored=True),
        Field("due", Date(), L("到期", "Due"), stored=True),
        Field("status", TASK_STATUS, L("状态", "Status"), Rule.LATTICE, stored=True),
        Field("owner", Ref("staff"), L("负责人", "Owner"), stored=True),
        Field("closed_by", Ref("interaction"), L("由此完成", "Closed by"), stored=True),
        Field("note", Text(400), L("说明", "Note")),
    ),
    "Something to be done for a customer. Its id is made of the plan, the customer and the subject, so those"
    " who notice the same thing make one task.",
    since=3,
    made_of=("plan", "customer", "subject"),
)
CONSENT = Entity(
    "consent",
    "consents",
    L("同意", "Consent"),
    Nature.FACT,
    Scope.NAMED,
    (
        Field("customer", Ref("customer"), L("顾客", "Customer"), required=True, stored=True),
        Field("purpose", CONSENT_PURPOSE, L("用途", "Purpose"), required=True, stored=True),
        Field("channel", CHANNEL, L("渠道", "Channel"), stored=True),
        Field("granted", Bool(), L("同意", "Granted"), required=True, stored=True),
        Field("at", Instant(), L("时间", "At"), required=True, stored=True),
        Field("unit", Ref("unit"), L("门店", "Unit"), stored=True),
        Field("staff", Ref("staff"), L("员工", "Staff"), stored=True),
        Field("proof", Text(400), L("凭证", "Proof")),
    ),
    "A ledger: that somebody granted or withdrew a consent (S123). The latest counts; of equal times the"
    " withdrawal.",
    since=3,
)

# --- written by the server itself ----------------------------------------------------------------

BASELINE = Entity(
    "baseline",
    "baselines",
    L("基线", "Baseline"),
    Nature.DERIVED,
    Scope.NAMED,
    (
        Field("customer", Ref("customer"), L("顾客", "Customer"), stored=True),
        Field("edge", Instant(), L("起点", "Edge")),
        Field("kinds", Json(), L("各类汇总", "Sums by kind")),
    ),
    "Sums of a customer's facts from before the edge, by kind; its id is the customer's. A customer without"
    " one has no such facts.",
    since=3,
)

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
    version=3,
    entities=(
        UNIT,
        STAFF,
        STAFF_PIN,
        DEVICE,
        PRODUCT,
        SEGMENT,
        SCHEME,
        FIELD_DEF,
        CUT_POINTS,
        WINDOW,
        CUSTOMER,
        LINK,
        IDENTITY,
        CUSTOM_VALUE,
        SUPPLIER,
        ASSIGNMENT,
        TASK,
        INTERACTION,
        CONSENT,
        BASELINE,
        CHANGE_VERDICT,
    ),
)
