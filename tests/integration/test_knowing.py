"""What the server knows of a customer: facts that count, once; whoever it is, whatever was corrected."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from regulars_schema.rules.evaluate import evaluate
from regulars_schema.rules.knowing import Chain as World
from regulars_schema.rules.knowing import Known
from regulars_schema.rules.text import parse
from regulars_server.authors import UnitTree
from regulars_server.knowledge.loading import known
from regulars_sync.clock import ms_of
from regulars_sync.ids import identity_id, link_id, made_id
from tests.support.chain import NOON_MS, Chain, new_chain
from tests.support.rules import WORDS

AT = "2026-11-2{}T10:00:00.000Z"


class Told:
    """A chain of two branches, and short words for what is written in it."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.near = chain.units["Nanjing Road"]

    async def write(self, entity: str, id: str | None = None, /, **fields: Any) -> str:
        id = id or self.chain.new_id()
        await self.chain.write("create", entity, id, fields)
        return id

    async def customer(self, name: str = "林芳", **fields: Any) -> str:
        return await self.write("customer", name=name, home_unit=self.near, **fields)

    async def bought(self, *customers: str, amount: int = 500, day: int = 0, **fields: Any) -> str:
        party = [{"customer": id} for id in customers]
        lines = [{"amount": amount, "currency": "CNY", "quantity": 1}]
        said = {"kind": "purchase", "at": AT.format(day), "party": party, "lines": lines, **fields}
        return await self.write("interaction", **said)

    async def known(self, id: str, sensitive: bool = True, as_of_ms: int | None = None) -> Known:
        async with self.chain.service.storage.unscoped_reader() as reader:
            tree = await UnitTree.read(reader)
            at = self.chain.clock.ms if as_of_ms is None else as_of_ms
            return (await known(reader, [id], tree=tree, as_of_ms=at, sensitive=sensitive))[id]

    async def spent(self, id: str) -> list[int]:
        return [line.amount for deed in (await self.known(id)).deeds for line in deed.lines]


@pytest.fixture
async def told(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        yield Told(chain)


async def test_a_correction_that_names_somebody_else_takes_the_fact_away(told: Told):
    one, other = await told.customer(), await told.customer("王伟")
    wrong = await told.bought(one)
    await told.bought(other, amount=700, supersedes=wrong)
    assert (await told.spent(one), await told.spent(other)) == ([], [700])


async def test_of_two_corrections_of_one_fact_the_later_counts_whomever_they_name(told: Told):
    one, other = await told.customer(), await told.customer("王伟")
    wrong = await told.bought(one)
    await told.bought(one, amount=600, supersedes=wrong)
    last = await told.bought(other, amount=700, supersedes=wrong)
    assert (await told.spent(one), await told.spent(other)) == ([], [700])
    await told.write("interaction", kind="purchase", at=AT.format(1), supersedes=last, void=True)
    assert (await told.spent(one), await told.spent(other)) == ([], [])


async def test_merged_customers_are_known_as_one_and_as_two_again(told: Told):
    one, other = sorted([await told.customer(), await told.customer("林 芳", **{"tags/vip": True})])
    await told.bought(one, amount=1)
    await told.bought(other, amount=2)
    both = await told.bought(one, other, amount=4, day=1)
    pair = {"one": one, "other": other}
    await told.write("identity", identity_id(one, other), **pair, decision="same", reason="person")
    assert await told.spent(one) == await told.spent(other) == [1, 2, 4]
    assert (await told.known(one)).values["tags"] == ["vip"]
    assert len({deed.id for deed in (await told.known(one)).deeds} & {both}) == 1
    await told.chain.write("edit", "identity", identity_id(one, other), {"decision": "not_same"})
    assert sorted([*await told.spent(one), *await told.spent(other)]) == [1, 2, 4]


async def test_all_that_is_said_of_a_customer_is_known(told: Told):
    amy = await told.write("staff", name="Amy", role="manager")
    lin, wang = await told.customer(belief="x"), await told.customer("王伟")
    await told.write(
        "link", link_id(lin, wang, "referrer"), from_customer=lin, to_customer=wang, kind="referrer"
    )
    motive = {"customer": lin, "scheme": "motive", "values/fame": True, "values/new": True}
    await told.write("assignment", made_id("assignment", lin, "motive"), **motive, decided_by=amy)
    tier = {"customer": lin, "scheme": "tier", "reviewed": "gold", "pinned": True, "check_by": "2027-05-03"}
    await told.write("assignment", made_id("assignment", lin, "tier"), **tier, since="2026-11-01")
    size = {"key": "size", "type": "text", "rule": "last_writer", "sensitivity": "internal"}
    size_id = made_id("field_def", "size")
    await told.write("field_def", size_id, **size, label={"zh": "尺码", "en": "Size"})
    await told.write(
        "custom_value", made_id("custom_value", lin, size_id), customer=lin, field_def=size_id, value="M"
    )
    agreed = {"customer": lin, "purpose": "marketing"}
    await told.write("consent", **agreed, granted=True, at=AT.format(0))
    await told.write("consent", **agreed, granted=False, channel="sms", at=AT.format(0))
    await told.write(
        "task", made_id("task", "verify", lin, "card"), plan="verify", customer=lin, subject="card"
    )
    oil = await told.write("product", name="oil", category="care", usage_days=30, refill_lead_days=7)
    lamp = await told.write("product", name="lamp")
    await told.bought(lin, lines=[{"product": oil, "quantity": 2}, {"product": lamp}])
    found = await told.known(lin)
    (deed,) = found.deeds
    assert [(of.category, of.usage_days, of.lead_days) for of in deed.lines] == [
        ("care", 30, 7),
        (None, None, 0),
    ]
    assert {a.value for a in found.assigned["motive"]} == {"fame", "new"}
    (gold,) = found.assigned["tier"]
    assert (gold.value, gold.origin) == ("gold", "person")
    assert gold.check_by == date(2027, 5, 3).toordinal()
    assert found.values["custom.size"] == "M"
    assert ("marketing", "phone") in found.consents
    assert ("marketing", "sms") not in found.consents
    assert (found.tasks, found.outward, found.inward) == ({"verify": ("open",)}, {"referrer": (wang,)}, {})
    assert (found.currency, told.near in found.units) == ("CNY", True)
    debts = {"key": "debts", "type": "integer", "rule": "max", "sensitivity": "sensitive"}
    debts_id = made_id("field_def", "debts")
    await told.write("field_def", debts_id, **debts, label={"zh": "欠款", "en": "Debts"})
    assert {"belief", "custom.debts"} <= (await told.known(lin, sensitive=False)).hidden
    assert (await told.known(wang)).inward == {"referrer": (lin,)}


async def test_as_of_a_day_later_facts_have_not_happened(told: Told):
    lin = await told.customer()
    await told.bought(lin, amount=1, day=0)
    await told.bought(lin, amount=2, day=2)
    rule = parse("count(purchase) >= 2", WORDS)
    days = [date(2026, 11, day) for day in (20, 21, 22, 23)]
    noons = [ms_of(f"{day}T04:00:00.000Z") for day in days]
    found = [evaluate(rule, await told.known(lin, as_of_ms=ms), World()) for ms in noons]
    assert [one.answer for one in found] == [False, False, True, True]
    assert found[1].until.isoformat() == "2026-11-21T16:00:00+00:00"  # midnight in Shanghai


async def test_a_branch_knows_what_it_may_see(told: Told):
    lin = await told.customer()
    far = await told.write("customer", name="远", home_unit=told.chain.units["Orchard"])
    async with told.chain.service.storage.reader(frozenset({"chain", f"unit:{told.near}"})) as reader:
        tree = await UnitTree.read(reader)
        found = await known(reader, [lin, far], tree=tree, as_of_ms=NOON_MS, sensitive=False)
    assert set(found) == {lin}
