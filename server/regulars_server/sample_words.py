"""What `sample` is made of: branches, goods, names, and what people say and do. Tables only."""
# fmt: off

# --- the chain ------------------------------------------------------------------------------------

SHANGHAI = ("Asia/Shanghai", "CN", "CNY")
NOWHERE = ("", "", "")
REGIONS = (
    ("U-02", "华东区 East China", SHANGHAI),
    ("U-03", "华南区 South China", SHANGHAI),
    ("U-04", "海外 Overseas", NOWHERE),
)
# name, which region, city, area code, (time zone, country, currency), share of the customers
BRANCHES = (
    ("上海徐家汇店", 0, "上海市", "021", SHANGHAI, 14),
    ("上海浦东店", 0, "上海市", "021", SHANGHAI, 12),
    ("杭州西湖店", 0, "杭州市", "0571", SHANGHAI, 10),
    ("南京新街口店", 0, "南京市", "025", SHANGHAI, 8),
    ("苏州园区店", 0, "苏州市", "0512", SHANGHAI, 8),
    ("广州天河店", 1, "广州市", "020", SHANGHAI, 12),
    ("深圳南山店", 1, "深圳市", "0755", SHANGHAI, 11),
    ("佛山乐从店", 1, "佛山市", "0757", SHANGHAI, 6),
    ("厦门思明店", 1, "厦门市", "0592", SHANGHAI, 5),
    ("东莞厚街店", 1, "东莞市", "0769", SHANGHAI, 4),
    ("Songhe Home Orchard 乌节店", 2, "Singapore", "", ("Asia/Singapore", "SG", "SGD"), 5),
    ("Songhe Home Toronto 多伦多店", 2, "Toronto", "", ("America/Toronto", "CA", "CAD"), 5),
)
HUNDREDTHS_OF_CNY = {"CNY": 100, "SGD": 540, "CAD": 510}

# category, most pieces in one sale, {name: yuan, or (yuan, days of use, days to remind before)}
RANGE: tuple[tuple[str, int, dict[str, int | tuple[int, int, int]]], ...] = (
    ("沙发", 1, {
        "云岭三人沙发": 8990, "云岭转角沙发": 12800, "栖木双人沙发": 5690, "栖木单人椅": 2890,
        "鹿野皮沙发": 16900, "Harbour Sofa Bed": 6490, "松风贵妃榻": 4590,
    }),
    ("床", 2, {
        "松禾实木床 1.5m": 4990, "松禾实木床 1.8m": 5990, "云岭软包床": 6890, "鹿野皮床": 8990,
        "小松儿童床": 3290, "小松高低床": 5490,
    }),
    ("床垫", 2, {
        "安枕乳胶床垫": 4590, "安枕独立弹簧床垫": 3790, "安枕椰棕床垫": 2690, "Cloud Memory Mattress": 6990,
    }),
    ("餐桌", 1, {
        "栖木餐桌 1.4m": 3290, "栖木餐桌 1.8m": 4190, "圆融岩板圆桌": 5890, "松风茶台": 6690,
        "Maple Extending Table": 7290,
    }),
    ("椅", 8, {
        "栖木餐椅": 590, "圆融餐椅": 690, "松风圈椅": 2190, "伴读学习椅": 1290, "摇月摇椅": 1990,
        "Harbour Bar Stool": 890,
    }),
    ("柜", 2, {
        "云岭电视柜": 2990, "栖木餐边柜": 3590, "松禾衣柜 2m": 7990, "鹿野床头柜": 990, "玄关鞋柜": 1890,
        "Oak Bookcase": 4290, "小松书柜": 2290, "斗柜五屉": 2790,
    }),
    ("灯具", 3, {"月影吊灯": 1290, "月影落地灯": 990, "月影台灯": 490, "竹影壁灯": 390}),
    ("家纺", 4, {
        "云棉四件套": 899, "云棉被芯": 699, "乳胶枕": 399, "亚麻窗帘": 1590, "Wool Rug 2x3": 2990,
        "沙发盖毯": 359,
    }),
    ("护理", 4, {
        "皮革护理剂": (129, 180, 14), "木蜡油": (168, 365, 21), "地板清洁液": (59, 60, 7),
        "除螨喷雾": (79, 45, 7), "布艺干洗剂": (89, 120, 10), "Leather Balm": (149, 180, 14),
    }),
    ("耗材", 6, {
        "净水滤芯": (199, 180, 14), "空气净化滤网": (269, 240, 21), "香薰补充液": (99, 40, 7),
        "防潮包": (39, 90, 10), "毡脚垫": (29, 365, 14),
    }),
    ("摆件", 3, {"青瓷花瓶": 458, "山水挂画": 1680, "檀木香座": 268}),
)
# Where two lists stand side by side, the first is for who writes Chinese, the second for who does not.
CUSTOM_PIECES = (
    ("定制书架", "定制榻榻米；带储物", "旧沙发翻新"),
    ("oak shelf, made to measure", "walnut desk; two drawers", "window seat"),
)

# --- names and numbers ----------------------------------------------------------------------------

GENDERS = ("female", "male")
SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢"
    "姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向"
)
"""The most frequent first."""
COMPOUND_SURNAMES = ("欧阳", "上官", "司马", "诸葛", "司徒", "皇甫", "尉迟", "令狐", "慕容", "端木")
GIVEN = {
    "female": (
        "芳娜敏静秀娟英华慧巧美淑惠珠翠雅芝玉萍红玲芬燕彩春菊兰凤洁梅琳素云莲真雪荣爱霞香月莺媛艳瑞凡佳嘉琼"
        "桂叶璧璐娅琦晶妍茜秋珊莎锦黛青倩婷娴瑾颖露瑶怡婵雁蓓仪荷丹蓉眉君琴蕊薇菁梦岚筠柔竹凝晓欢芸菲欣滢"
    ),
    "male": (
        "伟刚勇毅俊峰强军平保东文辉力明永健世广志义兴良海山仁波宁贵福生龙元全国胜学祥才武新利清飞彬富顺信"
        "杰涛昌成康星光天达安岩中茂进林有坚和彪博诚先敬震振壮思群豪心邦承乐绍功松善厚庆磊民裕河哲江超浩亮"
    ),
}
STRAITS_SURNAMES = ("Tan", "Lim", "Lee", "Ng", "Wong", "Goh", "Chua", "Ong", "Koh", "Teo")
STRAITS_GIVEN = {
    "female": ("Hui Min", "Xin Yi", "Mei Ling", "Jia Hui", "Siew Lan", "Rachel", "Geraldine", "Li Ting"),
    "male": ("Wei Ming", "Jun Jie", "Kok Leong", "Zhi Hao", "Boon Huat", "Marcus", "Desmond", "Kai Xiang"),
}
STRAITS_OTHER = {
    "female": ("Nur Aisyah binte Rahman", "Priya Nair", "Siti Khadijah", "Kavitha Raj", "Anjali Menon"),
    "male": ("Muhammad Hafiz", "Arjun Pillai", "Ahmad Faizal", "Ravi Chandran", "Vikram Singh"),
}
WESTERN_SURNAMES = (
    "Smith", "Brown", "Tremblay", "Martin", "Roy", "Wilson", "MacDonald", "Gagnon", "Campbell", "O'Brien",
    "Anderson", "Singh", "Patel", "Nguyen", "Kowalski", "Fraser", "Côté", "Murphy", "Ferreira", "Haddad",
)
WESTERN_GIVEN = {
    "female": ("Emma", "Olivia", "Chloé", "Sarah", "Hannah", "Grace", "Amélie", "Leah", "Fatima", "Julia"),
    "male": ("Liam", "Noah", "Ethan", "Lucas", "Daniel", "Thomas", "Étienne", "Owen", "Samuel", "Omar"),
}
HAN_SHARE = {"CN": 0.96, "SG": 0.45, "CA": 0.35}
TITLES = (("先生", "女士", "太太", "小姐"), ("Mr", "Mrs", "Ms"))
ORGANIZATION_PLACES = ("上海", "杭州", "南京", "苏州", "广州", "深圳", "佛山", "厦门", "东莞")
ORGANIZATION_WORDS = (
    "云栖", "鼎盛", "恒通", "宏远", "锦绣", "瑞丰", "金桥", "天成", "华美", "兴隆", "东方", "明德",
)
ORGANIZATION_TRADES = (
    "酒店管理有限公司", "装饰工程有限公司", "置业有限公司", "科技有限公司", "设计工作室", "家居商行",
    "餐饮管理有限公司", "律师事务所", "幼儿园", "民宿",
)
LATIN_WORDS = (
    "Maple Leaf", "Northgate", "Harbourfront", "Bukit", "Lakeside", "Orchid", "Kensington", "Merlion",
)
LATIN_TRADES = (
    "Interiors Ltd.", "Hotel Group", "Realty Inc.", "Design Studio", "Cafe & Co.", "Property Pte Ltd",
)
MOBILE_HEADS = (
    "135", "136", "137", "138", "139", "150", "151", "158", "159", "177", "180", "186", "188", "199",
)
CALLING_CODES = {"CN": "86", "SG": "65", "CA": "1"}
FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")

# --- a card ---------------------------------------------------------------------------------------

TAGS = (
    "新房装修", "二手房翻新", "设计师", "团购", "价格敏感", "prefers oak", "老带新", "小户型", "婚房",
    "has pets",
)
ORGANIZATION_TAGS = ("wholesale", "批发", "企业采购", "月结", "样板房")
HOBBIES = (
    "茶道", "摄影", "书法", "钓鱼", "烘焙", "园艺", "广场舞", "golf", "cycling", "瑜伽", "围棋", "hiking",
)
CARD_NOTES = (
    (
        "两个孩子，要圆角家具", "喜欢胡桃木，不要皮质", "周末才有空，下午打电话",
        "朋友介绍来的，在意环保等级", "电梯小，大件需分拆\n送货前一天先电话确认", "对“实木”很讲究，会看榫卯",
    ),
    (
        "Two cats, wants scratch-proof fabric", "Prefers e-mail, never calls back", "Moving house in spring",
        'Asked for the "old price" twice', "Narrow stairs,\nmeasure before delivery",
    ),
)
ROADS = {
    "CN": ("人民路", "中山路", "解放路", "建设大道", "学府路", "滨江大道", "文化路", "湖滨路"),
    "SG": ("Tanglin Road", "Bukit Timah Road", "Marine Parade Road"),
    "CA": ("Queen Street W", "Bloor Street E", "Yonge Street"),
}
ACQUIRED = {
    "street": 34, "referral": 22, "website": 16, "mass_media": 8, "niche_media": 6, "hotline": 5,
    "event": 6, "other": 3,
}
MAIL_HOSTS = ("qq.example", "163.example", "mail.example.com", "example.org")

# --- what happens ---------------------------------------------------------------------------------

NEXT = {
    "new": {"visit": 70, "call": 14, "message": 10, "event": 4, "form": 2},
    "browsing": {"visit": 44, "call": 16, "message": 13, "quote": 14, "purchase": 11, "request": 2},
    "weighing": {"purchase": 40, "quote": 18, "visit": 24, "call": 12, "followup": 6},
    "owner": {
        "followup": 30, "purchase": 24, "visit": 18, "service": 7, "complaint": 5, "return": 4,
        "compliment": 3, "survey": 4, "message": 4, "gift": 1,
    },
    "upset": {"service": 50, "followup": 34, "call": 16},
}
"""What is likely to come next, by where the customer stands."""
CHANNELS = {
    "call": ("phone",), "message": ("wechat", "sms", "email"), "form": ("web",), "event": ("event",),
    "followup": ("phone", "phone", "wechat", "home"), "service": ("home", "store"),
    "complaint": ("phone", "store", "wechat"), "quote": ("store", "store", "wechat", "email"),
    "survey": ("sms", "phone"),
}
OUTCOMES = {
    "visit": ("open", "interested", "interested", "lost"), "call": ("interested", "open", "no_answer"),
    "followup": ("solved", "interested", "no_answer"), "quote": ("open", "interested"), "purchase": ("won",),
    "service": ("solved",), "complaint": ("open",), "return": ("solved",),
}
EFFORT_MIN = {
    "visit": (10, 90), "purchase": (15, 60), "quote": (10, 45), "complaint": (10, 60), "service": (20, 180),
}
NOTES = {
    "visit": (
        ("看中云岭沙发，要回家量尺寸", "夫妻意见不一，再考虑", "和隔壁店比价", "试坐很久，喜欢布艺"),
        ("Compared two sofas, will measure at home", "Likes oak, worried about delivery time"),
    ),
    "call": (
        ("问活动什么时候开始", "约周六下午来店"),
        ("Asked about stock", "Will come on Saturday"),
    ),
    "message": (
        ("发了尺寸图", "问能否改颜色"),
        ("Sent photos of the living room", "Asked for fabric samples"),
    ),
    "quote": (
        ("客厅整套报价，有效期 7 天", "含安装和旧家具搬运"),
        ("Living room set, valid 7 days", "With delivery"),
    ),
    "purchase": (
        ("要求月底前送货", "分两次付款", "老客户介绍"),
        ("Deliver before the end of the month", "Paid in full"),
    ),
    "followup": (
        ("安装满意，柜门略有异响", "滤芯快用完了", "一切都好"),
        ("Happy with the bed", "Drawer sticks a little"),
    ),
    "complaint": (
        ("送货晚了三天", "桌面有划痕，要求更换", "客服态度差"),
        ("Delivered three days late", "Scratch on the table top"),
    ),
    "return": (("尺寸不合适", "颜色与样品不同"), ("Too large for the room", "Not the colour of the sample")),
    "service": (("上门更换铰链", "补漆完成"), ("Replaced a hinge", "Touched up the finish")),
}
CORRECTION_NOTE = ("漏录折扣", "Discount forgotten")
