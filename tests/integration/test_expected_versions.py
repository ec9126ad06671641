# ruff: noqa: E501 (queries)
"""`expectedVersion` of whatever decides about a row: what was changed since it was read is not decided about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from regulars_sync.ids import identity_id
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, Tablet, caller

CONFLICT = "__typename ... on VersionConflict { code retryable present { version } } ... on Error { code }"
TAG = 'mutation ($id: UUID!, $k: String!) { customerTag(idempotencyKey: $k, id: $id, tags: ["new"]) { __typename } }'


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


@pytest.fixture
async def office(chain: Chain) -> Graph:
    return await caller(chain, "admin", sensitive=True)


async def version(who: Graph, id: str) -> str:
    return str((await who.ask("query ($id: ID!) { node(id: $id) { version } }", id=id))["node"]["version"])


async def tried(who: Graph, call: str, expected: str | None, **variables: Any) -> dict[str, Any]:
    """A mutation whose arguments are `call`, with a key of its own and the version that was read."""
    name, _, arguments = call.partition("(")
    more = "".join(f", ${key}: UUID!" for key in variables)
    document = (
        f"mutation ($key: String!, $expected: String{more}) {{"
        f" done: {name}(idempotencyKey: $key, expectedVersion: $expected, {arguments} {{ {CONFLICT} }} }}"
    )
    done = await who.ask(document, key=who.key(), expected=expected, **variables)
    found: dict[str, Any] = done["done"]
    return found


async def decided(who: Graph, call: str, row: str, change: Any, **variables: Any) -> None:
    """With a version from before a change it does nothing and tells the present one; with that it is done."""
    before = await version(who, row)
    await change()
    now = await version(who, row)
    assert now != before
    conflict = await tried(who, call, before, **variables)
    assert (conflict["__typename"], conflict["code"]) == ("VersionConflict", "version_conflict")
    assert conflict["present"] == {"version": now}
    assert await version(who, row) == now
    done = await tried(who, call, now, **variables)
    assert done["__typename"] not in ("VersionConflict", "Refusal"), done


@pytest.mark.parametrize(
    "call", ['customerErase(id: $id, reason: "asked")', "customerUnmerge(input: { id: $id })"]
)
async def test_who_decides_about_a_card_saw_it_as_it_is(chain: Chain, office: Graph, call: str):
    lin = await office.customer("林芳", phones=["138 0013 8000"])
    await office.customer("林芳", phones=["138 0013 8000"])

    async def change() -> None:
        await office.ask(TAG, id=lin, k=office.key())

    await decided(office, call, lin, change, id=lin)


async def test_who_decides_about_a_pair_saw_what_stood_of_it(chain: Chain, office: Graph):
    one, other = await office.customer("林芳"), await office.customer("Lin Fang")
    pair = {"one": one, "other": other}
    first = await tried(
        office, "identityDecide(input: { one: $one, other: $other, decision: HOUSEHOLD })", None, **pair
    )
    assert first["__typename"] == "IdentityDecided"

    async def change() -> None:
        await tried(
            office, "identityDecide(input: { one: $one, other: $other, decision: NOT_SAME })", None, **pair
        )

    call = "identityDecide(input: { one: $one, other: $other, decision: SAME })"
    await decided(office, call, identity_id(one, other), change, **pair)


@pytest.mark.parametrize(
    "call", ["deviceMove(id: $id, unit: $to)", "deviceRevoke(id: $id)", "deviceWipe(id: $id)"]
)
async def test_who_decides_about_a_tablet_saw_where_it_stands(chain: Chain, office: Graph, call: str):
    till = (await Tablet(chain, office).pair("Nanjing Road")).device
    units = {"to": chain.units["Nanjing Road"]} if "$to" in call else {}

    async def change() -> None:
        moved = await tried(
            office, "deviceMove(id: $id, unit: $to)", None, id=till, to=chain.units["Orchard"]
        )
        assert moved["__typename"] == "DeviceMoved"

    before = await version(office, till)
    await decided(office, call, till, change, id=till, **units)
    again = await tried(office, call, before, id=till, **units)
    assert again["__typename"] != "VersionConflict"  # what is so already needs no decision
