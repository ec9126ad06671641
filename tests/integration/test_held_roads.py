"""Every road out of the held changes, from both ends, for each thing that a change may wait for.

A group of two is held: a good edit, and a culprit. Whatever road is taken ends in the same place at both
ends: the tablet is told, nothing is left open that was not meant to be, and the good edit shares the fate.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from regulars import Shop
from regulars_sync.changes import Value
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, caller

MEND = """mutation ($key: String!, $cid: String!, $set: JSON!) {
    heldMend(idempotencyKey: $key, cid: $cid, set: $set) { __typename ... on Error { code } }
}"""
DROP = """mutation ($key: String!, $cid: String!) {
    heldDrop(idempotencyKey: $key, cid: $cid) { __typename ... on Error { code } }
}"""
MOVE = """mutation ($key: String!, $id: UUID!, $unit: UUID!) {
    customerUpdate(idempotencyKey: $key, id: $id, set: {homeUnitId: $unit}) {
        __typename ... on Error { code }
    }
}"""
RETRY = DROP.replace("heldDrop", "heldRetry")


@dataclass
class Case:
    """A tablet whose group is held, and what would mend or free it."""

    chain: Chain
    one: Shop
    hq: Graph
    lin: str
    culprit: str = ""
    mend: dict[str, object] | None = None
    free: Callable[[], Awaitable[None]] | None = None

    async def learn(self, code: str) -> None:
        await self.one.sync()
        codes = {held.code: held for held in await self.one.held()}
        assert codes.keys() == {code, "group_held"}, codes
        self.culprit = codes[code].cid

    async def move(self, unit: str) -> None:
        await self.hq.ask(MOVE, key=self.hq.key(), id=self.lin, unit=self.chain.units[unit])

    async def notes(self) -> object:
        """What head office sees in the field of the good edit."""
        query = "query ($id: UUID!) { customer(id: $id) { notes } }"
        return (await self.hq.ask(query, id=self.lin))["customer"]["notes"]

    async def written(self) -> int:
        """How many changes of that customer's rows were accepted, each counted once."""
        async with self.chain.service.storage.unscoped_reader() as reader:
            log = await reader.history("customer", self.lin)
        accepted = [entry.cid for entry in log if entry.is_accepted]
        assert len(accepted) == len(set(accepted))
        return len(accepted)

    async def open(self) -> int:
        async with self.chain.service.storage.unscoped_reader() as reader:
            return len(await reader.open_entries(10))


async def unknown_row(case: Case) -> None:
    """A visit of a customer whom nobody has registered yet."""
    wang = case.chain.new_id()
    async with case.one.transaction():
        await case.one.customers.edit(case.lin, notes="first")
        await case.one.interactions.record(wang, kind="visit")
    await case.learn("row_unknown")
    case.mend = {"party": [{"customer": case.lin}]}

    async def free() -> None:
        home = case.chain.units["Nanjing Road"]
        await case.chain.write("create", "customer", wang, {"name": "王", "home_unit": home})

    case.free = free


async def unfit_value(case: Case) -> None:
    """A value that no declaration allows, as a broken tool would write it."""
    async with case.one.transaction():
        await case.one.customers.edit(case.lin, notes="first")
        change = case.one._draft("customer", case.lin, "edit", {"gender": Value("purple")}, {}, None)
        case.one._transaction.get().changes.append(change)  # type: ignore[union-attr]
    await case.learn("enum_unknown")
    case.mend = {"gender": "female"}


async def left_row(case: Case) -> None:
    """Opinions on a customer who moved to another branch meanwhile."""
    async with case.one.transaction():
        await case.one.customers.edit(case.lin, notes="first")
        await case.one.customers.edit(case.lin, tags={"vip": True})
    await case.move("Orchard")
    await case.learn("scope_left")
    case.mend = {"tags/oak": True}

    async def free() -> None:
        await case.move("Nanjing Road")

    case.free = free


REASONS = {made.__name__: made for made in (unknown_row, unfit_value, left_row)}


async def device_mends(case: Case) -> None:
    assert case.mend is not None
    await case.one.mend(case.culprit, **case.mend)
    await case.one.sync()


async def device_drops(case: Case) -> None:
    await case.one.drop(case.culprit)
    await case.one.sync()


async def office_mends(case: Case) -> None:
    await case.hq.ask(MEND, key=case.hq.key(), cid=case.culprit, set=case.mend)


async def office_drops(case: Case) -> None:
    await case.hq.ask(DROP, key=case.hq.key(), cid=case.culprit)


async def office_retries(case: Case) -> None:
    await case.hq.ask(RETRY, key=case.hq.key(), cid=case.culprit)


async def cause_goes(case: Case) -> None:
    assert case.free is not None
    await case.free()
    await case.chain.service.admission.sweep()


ROADS = {
    road.__name__: road
    for road in (device_mends, device_drops, office_mends, office_drops, office_retries, cause_goes)
}
ENDS = {
    # free: the good edit is there; held: all wait as before; gone: the good edit was itself what was dropped
    ("unknown_row", "device_mends"): "free",
    ("unknown_row", "device_drops"): "free",
    ("unknown_row", "office_mends"): "free",
    ("unknown_row", "office_drops"): "free",
    ("unknown_row", "office_retries"): "held",
    ("unknown_row", "cause_goes"): "free",
    ("unfit_value", "device_mends"): "free",
    ("unfit_value", "device_drops"): "free",
    ("unfit_value", "office_mends"): "free",
    ("unfit_value", "office_drops"): "free",
    ("unfit_value", "office_retries"): "held",
    ("left_row", "device_mends"): "held",
    ("left_row", "device_drops"): "held",
    ("left_row", "office_mends"): "free",
    ("left_row", "office_drops"): "gone",
    ("left_row", "office_retries"): "free",
    ("left_row", "cause_goes"): "free",
}


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


@pytest.mark.parametrize(("reason", "road"), ENDS)
async def test_every_road(chain: Chain, reason: str, road: str) -> None:
    one = await chain.tablet("one")
    lin = await one.customers.create(name="林芳")
    await one.sync()
    case = Case(chain, one, await caller(chain), lin.id)
    await REASONS[reason](case)
    before = await case.written()
    assert await case.notes() is None
    await ROADS[road](case)
    for _ in range(2):
        await one.sync()
    held = {change.code for change in await one.held()}
    end = ENDS[reason, road]
    assert await case.notes() == ("first" if end == "free" else None)
    assert bool(held) == (end == "held")
    assert bool(await case.open()) == (end == "held")
    assert (await case.written() > before) == (end != "held")
    assert await chain.digests_equal(one)
