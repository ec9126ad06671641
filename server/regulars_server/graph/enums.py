"""Written by schema/generate.py from the declared entities: `make generate`, not by hand."""

from enum import Enum

import strawberry

from regulars_server.graph.declared import valued


@strawberry.enum(description="组织单元类型 · Kind of unit")
class UnitKind(Enum):
    COMPANY = valued("company", "公司 · Company")
    REGION = valued("region", "区域 · Region")
    DEPARTMENT = valued("department", "部门 · Department")
    BRANCH = valued("branch", "门店 · Branch")
    POINT_OF_SALE = valued("point_of_sale", "销售点 · Point of sale")


@strawberry.enum(description="员工角色 · Role of a member of staff")
class StaffRole(Enum):
    ADMIN = valued("admin", "管理员 · Administrator")
    ANALYST = valued("analyst", "分析员 · Analyst")
    MANAGER = valued("manager", "经理 · Manager")
    CLERK = valued("clerk", "店员 · Clerk")


@strawberry.enum(description="自定义字段类型 · Type of a custom field")
class CustomFieldKind(Enum):
    TEXT = valued("text", "文本 · Text")
    INTEGER = valued("integer", "整数 · Whole number")
    BOOLEAN = valued("boolean", "是否 · Yes or no")
    DATE = valued("date", "日期 · Date")
    CHOICE = valued("choice", "选项 · Choice")


@strawberry.enum(description="合并规则 · Merge rule of a custom field")
class CustomRule(Enum):
    LAST_WRITER = valued("last_writer", "以最后为准 · The last one counts")
    MIN = valued("min", "取最小 · The least")
    MAX = valued("max", "取最大 · The greatest")
    OR_SET = valued("or_set", "合并为集合 · A set of all")
    APPEND = valued("append", "只增不减 · Only added to")
    REVIEW = valued("review", "由人判断 · A person decides")


@strawberry.enum(description="敏感程度 · Sensitivity")
class Sensitivity(Enum):
    INTERNAL = valued("internal", "内部 · Internal")
    SENSITIVE = valued("sensitive", "敏感 · Sensitive")


@strawberry.enum(description="卡片分区 · Section of the card")
class CardSection(Enum):
    BASIC = valued("basic", "基本资料 · Basics")
    CONTACT = valued("contact", "联系方式 · Contact")
    EDUCATION = valued("education", "教育情况 · Education")
    FAMILY = valued("family", "家庭情况 · Family")
    SOCIAL = valued("social", "人际情况 · Social life")
    CAREER = valued("career", "事业情况 · Career")
    LIFESTYLE = valued("lifestyle", "生活情况 · Lifestyle")
    PERSONALITY = valued("personality", "个性情况 · Personality")
    EXPERIENCE = valued("experience", "阅历情况 · Experience")
    FEATURES = valued("features", "客户特征 · Features")
    BUSINESS = valued("business", "业务状况 · Business")
    DEALINGS = valued("dealings", "交易活动现状 · Dealings")
    OTHER = valued("other", "其他 · Other")


@strawberry.enum(description="自定义字段分组 · Tab of a custom field")
class CustomTab(Enum):
    BASIC = valued("basic", "基础信息 · Basics")
    TRADING = valued("trading", "交易信息 · Trading")
    SERVICE = valued("service", "服务信息 · Service")


@strawberry.enum(description="顾客性质 · Kind of customer")
class CustomerKind(Enum):
    PERSON = valued("person", "个人 · Person")
    ORGANIZATION = valued("organization", "组织 · Organization")


@strawberry.enum(description="性别 · Gender")
class Gender(Enum):
    FEMALE = valued("female", "女 · Female")
    MALE = valued("male", "男 · Male")
    OTHER = valued("other", "其他 · Other")


@strawberry.enum(description="历法 · Calendar")
class Calendar(Enum):
    SOLAR = valued("solar", "公历 · Solar")
    LUNAR = valued("lunar", "农历 · Lunar")


@strawberry.enum(description="来源渠道 · Acquisition channel")
class AcquisitionChannel(Enum):
    MASS_MEDIA = valued("mass_media", "大众媒体 · Mass media")
    NICHE_MEDIA = valued("niche_media", "差异化媒体 · Niche media")
    HOTLINE = valued("hotline", "热线电话 · Hotline")
    WEBSITE = valued("website", "网站 · Website")
    REFERRAL = valued("referral", "转介绍 · Referral")
    STREET = valued("street", "路过 · Walk-in")
    EVENT = valued("event", "活动 · Event")
    OTHER = valued("other", "其他 · Other")


@strawberry.enum(description="隐私告知 · Privacy notice")
class PrivacyNotice(Enum):
    NOT_SHOWN = valued("not_shown", "未告知 · Not shown")
    SHOWN = valued("shown", "已告知 · Shown")
    ACCEPTED = valued("accepted", "已接受 · Accepted")


@strawberry.enum(description="渠道 · Channel")
class Channel(Enum):
    STORE = valued("store", "门店 · Store")
    PHONE = valued("phone", "电话 · Phone")
    SMS = valued("sms", "短信 · SMS")
    WECHAT = valued("wechat", "微信 · WeChat")
    EMAIL = valued("email", "邮件 · E-mail")
    WEB = valued("web", "网络 · Web")
    POST = valued("post", "信函 · Post")
    EVENT = valued("event", "活动 · Event")
    HOME = valued("home", "上门 · Home visit")


@strawberry.enum(description="收入档次 · Income band")
class IncomeBand(Enum):
    LOW = valued("low", "较低 · Low")
    MIDDLE = valued("middle", "中等 · Middle")
    HIGH = valued("high", "较高 · High")
    VERY_HIGH = valued("very_high", "很高 · Very high")


@strawberry.enum(description="信用状况 · Credit status")
class CreditStatus(Enum):
    UNKNOWN = valued("unknown", "未知 · Unknown")
    GOOD = valued("good", "良好 · Good")
    WATCH = valued("watch", "观察 · Watch")
    DANGEROUS = valued("dangerous", "危险客户 · Dangerous")


@strawberry.enum(description="程度 · Degree")
class Degree(Enum):
    LOW = valued("low", "低 · Low")
    MIDDLE = valued("middle", "中 · Middle")
    HIGH = valued("high", "高 · High")


@strawberry.enum(description="服务立场 · Service stance")
class ServiceStance(Enum):
    NORMAL = valued("normal", "正常服务 · Normal")
    REDUCED = valued("reduced", "减少服务 · Reduced")
    ENDED = valued("ended", "终止服务 · Ended")


@strawberry.enum(description="服务立场的原因 · Reason of the service stance")
class StanceReason(Enum):
    UNPROFITABLE = valued("unprofitable", "不赚钱的客户 · Unprofitable")
    POLICY_CHANGED = valued("policy_changed", "客户策略和方针改变 · Its policy changed")
    UNETHICAL_DEMAND = valued("unethical_demand", "客户提不道德的要求 · Unethical demand")


@strawberry.enum(description="服务方案 · Service plan")
class ServicePlan(Enum):
    STANDARD = valued("standard", "标准 · Standard")
    PRIVATE = valued("private", "一对一 · Private")


@strawberry.enum(description="关系类型 · Kind of link")
class LinkKind(Enum):
    COMPANION = valued("companion", "同伴 · Companion")
    FAMILY = valued("family", "家人 · Family")
    HOUSEHOLD = valued("household", "同住 · Household")
    OWNER_OF = valued("owner_of", "所有者 · Owner of")
    MANAGER_OF = valued("manager_of", "经营管理者 · Manager of")
    LEGAL_OF = valued("legal_of", "法人 · Legal person of")
    CONTACT_OF = valued("contact_of", "联系人 · Contact of")
    INFLUENCER = valued("influencer", "影响者 · Influencer")
    REFERRER = valued("referrer", "介绍人 · Referrer")
    SUPPLIES = valued("supplies", "供货 · Supplies")
    ALLIANCE = valued("alliance", "战略联盟 · Alliance")


@strawberry.enum(description="身份判定 · Identity decision")
class IdentityDecision(Enum):
    PROPOSED = valued("proposed", "待确认 · Proposed")
    SAME = valued("same", "同一人 · The same")
    HOUSEHOLD = valued("household", "同一家庭 · One household")
    NOT_SAME = valued("not_same", "不是同一人 · Not the same")


@strawberry.enum(description="判定依据 · Reason of an identity decision")
class IdentityReason(Enum):
    VERIFIED_KEY = valued("verified_key", "已核实的相同号码 · Equal verified key")
    EQUAL_KEY = valued("equal_key", "相同号码 · Equal key")
    SIMILAR = valued("similar", "姓名及生日或地址相近 · Similar name with birth or address")
    PERSON = valued("person", "人工判断 · Somebody's judgement")
    KEPT = valued("kept", "拆分后保留 · Kept together when another was taken out")


@strawberry.enum(description="任务状态 · Status of a task")
class TaskStatus(Enum):
    OPEN = valued("open", "待办 · Open")
    EXPIRED = valued("expired", "已过期 · Expired")
    CANCELLED = valued("cancelled", "已取消 · Cancelled")
    SKIPPED = valued("skipped", "已跳过 · Skipped")
    DONE = valued("done", "已完成 · Done")


@strawberry.enum(description="往来类型 · Kind of interaction")
class InteractionKind(Enum):
    VISIT = valued("visit", "到店 · Visit")
    PURCHASE = valued("purchase", "购买 · Purchase")
    RETURN = valued("return", "退货 · Return")
    QUOTE = valued("quote", "报价 · Quote")
    CALL = valued("call", "通话 · Call")
    MESSAGE = valued("message", "消息 · Message")
    FOLLOWUP = valued("followup", "回访 · Follow-up")
    COMPLAINT = valued("complaint", "投诉 · Complaint")
    SERVICE = valued("service", "服务 · Service")
    SURVEY = valued("survey", "调查 · Survey")
    COMPLIMENT = valued("compliment", "表扬 · Compliment")
    REQUEST = valued("request", "需求 · Request")
    EVENT = valued("event", "活动 · Event")
    FORM = valued("form", "表单 · Form")
    GIFT = valued("gift", "礼品 · Gift")
    PAYMENT = valued("payment", "付款 · Payment")
    TOUCH = valued("touch", "触达 · Touch")
    NOTE = valued("note", "备注 · Note")


@strawberry.enum(description="参与角色 · Role in a party")
class PartyRole(Enum):
    PRINCIPAL = valued("principal", "主客 · Principal")
    COMPANION = valued("companion", "同伴 · Companion")
    DECIDER = valued("decider", "决策者 · Decider")
    PAYER = valued("payer", "付款人 · Payer")
    USER = valued("user", "使用者 · User")


@strawberry.enum(description="结果 · Outcome")
class Outcome(Enum):
    OPEN = valued("open", "待定 · Open")
    INTERESTED = valued("interested", "有意向 · Interested")
    WON = valued("won", "成交 · Won")
    LOST = valued("lost", "未成交 · Lost")
    NO_ANSWER = valued("no_answer", "未接通 · No answer")
    SOLVED = valued("solved", "已解决 · Solved")


@strawberry.enum(description="报告类别 · Report class")
class ReportClass(Enum):
    ROUTINE = valued("routine", "日常报告 · Routine")
    URGENT = valued("urgent", "紧急报告 · Urgent")
    PERIODIC = valued("periodic", "定期报告 · Periodic")


@strawberry.enum(description="所知事项 · What a fact is about")
class FactTopic(Enum):
    FAMILY = valued("family", "家庭 · Family")
    OCCUPATION = valued("occupation", "职业 · Occupation")
    RECREATION = valued("recreation", "休闲 · Recreation")
    DREAMS = valued("dreams", "梦想 · Dreams")
    DEMAND = valued("demand", "需求 · Demand")
    PREFERENCE = valued("preference", "偏好 · Preference")
    HABIT = valued("habit", "习惯 · Habit")
    OTHER = valued("other", "其他 · Other")


@strawberry.enum(description="事项状态 · Status of a fact")
class FactStatus(Enum):
    RAISED = valued("raised", "已提出 · Raised")
    ADOPTED = valued("adopted", "已采纳 · Adopted")


@strawberry.enum(description="介绍方法 · Method of presenting")
class Method(Enum):
    EXPERIENCE = valued("experience", "体验法 · Let them try")
    EXAMPLE = valued("example", "实例法 · Examples")
    EMOTION = valued("emotion", "情感法 · Emotion")
    CONTRAST = valued("contrast", "正反法 · Pro and contra")


@strawberry.enum(description="关注焦点 · Focus of attention")
class AttentionFocus(Enum):
    QUALITY = valued("quality", "质量 · Quality")
    STYLE = valued("style", "款式 · Style")
    PRICE = valued("price", "价格 · Price")
    OTHER = valued("other", "其他 · Other")


@strawberry.enum(description="活动地点 · Place")
class Place(Enum):
    INDOOR = valued("indoor", "室内 · Indoor")
    OUTDOOR = valued("outdoor", "室外 · Outdoor")


@strawberry.enum(description="同意用途 · Purpose of a consent")
class ConsentPurpose(Enum):
    MARKETING = valued("marketing", "营销 · Marketing")
    SERVICE = valued("service", "服务通知 · Service notices")
    SURVEY = valued("survey", "调查 · Surveys")
    PROFILING = valued("profiling", "画像分析 · Profiling")


@strawberry.enum(description="处理结果 · Verdict")
class Verdict(Enum):
    APPLIED = valued("applied", "已采用 · Applied")
    MERGED = valued("merged", "已合并 · Merged")
    HELD = valued("held", "暂存 · Held")
    REJECTED = valued("rejected", "待修正 · Rejected")


@strawberry.enum(description="实体 · An entity whose rows can be asked for.")
class EntityName(Enum):
    UNIT = valued("unit", "组织单元 · Unit")
    STAFF = valued("staff", "员工 · Staff")
    PRODUCT = valued("product", "商品 · Product")
    DEVICE = valued("device", "设备 · Device")
    SEGMENT = valued("segment", "分群 · Segment")
    FIELD_DEF = valued("field_def", "自定义字段 · Custom field")
    CUSTOMER = valued("customer", "顾客 · Customer")
    LINK = valued("link", "关系 · Link")
    IDENTITY = valued("identity", "身份判定 · Identity decision")
    CUSTOM_VALUE = valued("custom_value", "自定义字段的值 · Value of a custom field")
    SUPPLIER = valued("supplier", "供应商 · Supplier")
    ASSIGNMENT = valued("assignment", "分类 · Assignment")
    TASK = valued("task", "任务 · Task")
    INTERACTION = valued("interaction", "往来 · Interaction")
    CONSENT = valued("consent", "同意 · Consent")
