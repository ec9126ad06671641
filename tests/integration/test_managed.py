# ruff: noqa: E501 (queries)
"""The service of a customer is reduced or ended by a manager (S8), whatever road it takes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from regulars import LocalError
from regulars_sync.changes import Change
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, Tablet, caller

SAVE = "mutation ($k: String!, $id: UUID, $name: String!, $role: StaffRole!, $active: Boolean) { staffSave(idempotencyKey: $k, id: $id, input: { name: $name, role: $role, active: $active }) { ... on StaffSaved { staff { id } } ... on Error { code message } } }"
HELD = "{ heldChanges { nodes { cid code verdict message } } }"
STANCE = "query ($id: UUID!) { customer(id: $id) { serviceStance stanceReason } }"


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as chain:
        yield chain


async def staff(office: Graph, name: str, role: str, active: bool = True, id: str | None = None) -> str:
    given = {"k": office.key(), "id": id, "name": name, "role": role, "active": active}
    return str((await office.ask(SAVE, **given))["staffSave"]["staff"]["id"])


async def test_a_raw_push_of_a_clerk_or_of_nobody_is_refused_and_kept(chain: Chain):
    office = await caller(chain, sensitive=True)
    lin = await office.customer("林芳", homeUnitId=chain.units["Nanjing Road"])
    clerk, manager, left = (
        await staff(office, "Mei", "CLERK"),
        await staff(office, "Li", "MANAGER"),
        await staff(office, "Old", "MANAGER", active=False),
    )
    tablet = await Tablet(chain, office).pair("Nanjing Road")

    def stance(cid: str, actor: str | None, **fields: str) -> Change:
        made = tablet.change({"service_stance": "reduced", **fields}, cid)
        return msgspec.structs.replace(made, op="edit", id=lin, actor=actor, schema=3)

    for place, actor in enumerate((clerk, None, left, chain.new_id()), 1):
        change = stance(f"{place:032x}", actor)
        assert await tablet.push(change) == ["rejected"]
        assert await tablet.push(change) == ["rejected"], "a replay gets the present verdict"
    reason = tablet.change({"stance_reason": "unprofitable", "notes": "x"}, f"{9:032x}")
    reason = msgspec.structs.replace(reason, op="edit", id=lin, actor=clerk, schema=3)
    assert await tablet.push(reason) == ["rejected"]
    assert (await office.ask(STANCE, id=lin))["customer"] == {"serviceStance": None, "stanceReason": None}
    kept = (await office.ask(HELD))["heldChanges"]["nodes"]
    assert len(kept) == 5
    assert {(one["verdict"], one["code"]) for one in kept} == {("REJECTED", "manager_needed")}
    assert await tablet.push(stance(f"{10:032x}", manager, stance_reason="unprofitable")) == ["applied"]
    assert (await office.ask(STANCE, id=lin))["customer"]["serviceStance"] == "REDUCED"
    assert (await office.ask("query ($id: UUID!) { customer(id: $id) { notes } }", id=lin))["customer"][
        "notes"
    ] is None


async def test_what_a_clerk_said_is_taken_when_head_office_tries_it_again(chain: Chain):
    office = await caller(chain, sensitive=True)
    lin = await office.customer("林芳", homeUnitId=chain.units["Nanjing Road"])
    tablet = await Tablet(chain, office).pair("Nanjing Road")
    made = tablet.change({"service_stance": "ended"}, f"{1:032x}")
    await tablet.push(msgspec.structs.replace(made, op="edit", id=lin, schema=3))
    retry = 'mutation { heldRetry(idempotencyKey: "r", cid: "00000000000000000000000000000001") { __typename ... on Error { code } } }'
    done = (await office.ask(retry))["heldRetry"]
    assert done["__typename"] != "Refusal", done
    assert (await office.ask(STANCE, id=lin))["customer"]["serviceStance"] == "ENDED"


async def test_the_sdk_says_so_before_it_is_written(chain: Chain):
    shop = await chain.tablet("one")
    lin = await shop.customers.create(name="林芳")
    with pytest.raises(LocalError) as refused:
        await shop.customers.edit(lin, service_stance="ended")
    assert refused.value.code == "not_allowed"
    assert (await shop.sync()).held == 0
