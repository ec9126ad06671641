# ruff: noqa: E501 (values)
"""Customers with everything on their cards, and what no paper may show of them."""

from __future__ import annotations

from typing import Any

from regulars_sync.ids import link_id, made_id
from tests.support.chain import Chain

NEAR, FAR = "Nanjing Road", "Orchard"
SECRETS = (
    "秘密信仰ZXCV", "税号QWER998877", "资产ASDF5566", "876543219", "拖欠HJKL", "信用自定义UIOP", "惯用词标签VBNM", "外部号TYUI",
)  # fmt: skip
"""Values of sensitive fields, and of fields by which the chain sorts its customers."""
GUARDED_LABEL = "家底情况"
"""Of a sensitive field of the chain's own: its name alone would tell."""
NAME = '<script>alert(1)</script>&amp; #read("/etc/passwd") $x$ *粗* 林芳'
"""A name that tries to be HTML, a template and a Typst program."""


class Filled:
    """An organization and its people, near; one person of theirs is at home far away."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    async def write(self, entity: str, id: str | None = None, /, **fields: Any) -> str:
        id = id or self.chain.new_id()
        await self.chain.write("create", entity, id, fields)
        return id

    async def customer(self, name: str, unit: str = NEAR, /, **fields: Any) -> str:
        return await self.write("customer", name=name, home_unit=self.chain.units[unit], **fields)

    async def link(self, one: str, other: str, kind: str, **fields: Any) -> str:
        ends = {"from_customer": one, "to_customer": other, "kind": kind}
        return await self.write("link", link_id(one, other, kind), **ends, active=True, **fields)

    async def met(self, kind: str, day: int, *party: dict[str, Any], **fields: Any) -> str:
        at = f"2026-11-{day:02}T10:00:00.000Z"
        return await self.write("interaction", kind=kind, at=at, party=list(party), **fields)

    async def fill(self) -> Filled:
        belief, tax, assets, turnover, incident, guarded, tag, foreign = SECRETS
        self.firm = await self.customer(
            "栖木家具有限公司", kind="organization", industry="家具", org_form="有限公司", headcount=38,
            philosophy="以质取胜", problems="交货慢", service_area="上海", tax_no=tax, assets=assets,
            turnover=int(turnover), credit_status="dangerous", **{f"credit_incidents/{incident}": True},
            **{f"tags/{tag}": True}, service_stance="reduced",
        )  # fmt: skip
        self.lin = await self.customer(
            NAME, kind="person", gender="female", birth={"year": 1988, "month": 5, "day": 2, "calendar": "lunar"},
            address="南京路 1 号", belief=belief, income_band="high", notes="<img src=x onerror=alert(2)>",
            quiet_hours={"start": 1320, "end": 480}, character="爽朗", education="大学", ability="谈判",
            **{"preferences/橡木": True, "hobbies/钓鱼": True, "phones/13800138000": True},
            **{f"external_ids/{foreign}": True},
        )  # fmt: skip
        self.amy = await self.customer("Amy", FAR)
        await self.link(self.lin, self.firm, "owner_of", note="2019 年起")
        await self.link(self.amy, self.firm, "manager_of")
        await self.link(self.lin, self.amy, "family")
        oak = await self.write("product", name="橡木桌", category="桌")
        me = {"customer": self.lin, "role": "principal"}
        lines = [{"product": oak, "quantity": 2, "amount": 9}, {"name": "蜡", "quantity": 1, "amount": 1}]
        await self.met("purchase", 1, me, lines=lines)
        await self.met("purchase", 2, me, lines=[{"product": oak, "quantity": 1, "amount": 9}])
        wrong = await self.met("purchase", 3, me, lines=[{"name": "记错的", "quantity": 9}])
        await self.met("purchase", 3, me, lines=[], supersedes=wrong)
        learned = [{"topic": "family", "content": "女儿今年高考"}, {"topic": "demand", "content": "想要矮柜"}]
        stub = {"name": "小王", "role": "companion"}
        await self.met("visit", 4, me, {"customer": self.amy, "role": "decider"}, stub, facts=learned)
        await self.met("visit", 5, me, stub, facts=[{"topic": "family", "content": "女儿考上了"}])
        await self.write(
            "supplier", made_id("supplier", self.lin, "宜居"), customer=self.lin, name="宜居", satisfaction=2
        )
        for key, label, sensitivity, tab, said in (
            ("size", "尺码", "internal", "basic", {"value": "M"}),
            ("wealth", GUARDED_LABEL, "sensitive", "service", {"guarded_value": guarded}),
        ):
            field = made_id("field_def", key)
            await self.write(
                "field_def", field, key=key, label={"zh": label, "en": f"Own {key}"}, type="text",
                rule="last_writer", sensitivity=sensitivity, tab=tab,
            )  # fmt: skip
            value = made_id("custom_value", self.lin, field)
            await self.write("custom_value", value, customer=self.lin, field_def=field, **said)
        return self
