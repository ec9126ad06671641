"""A mend stands where the change stands that it replaces, and shares the fate of that group."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from regulars import Shop
from regulars.records import Customer
from regulars_server.authors import SERVER
from regulars_sync.changes import Value
from regulars_sync.document import decode
from tests.support.chain import Chain, new_chain


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


async def held_group(chain: Chain) -> tuple[Shop, Customer, dict[str, str]]:
    """A tablet, its customer, and a held group: an edit of that customer, and a visit of nobody known."""
    one = await chain.tablet("one", "Nanjing Road")
    lin = await one.customers.create(name="林芳")
    async with one.transaction():
        await one.customers.edit(lin, notes="first")
        await one.interactions.record(chain.new_id(), kind="visit")
    await one.sync()
    return one, lin, {held.entity: held.cid for held in await one.held()}


async def test_a_mend_that_waits_is_never_tried_without_its_group(chain: Chain) -> None:
    one, lin, held = await held_group(chain)
    await one.mend(held["customer"], notes="second")
    await one.sync()
    (mend,) = [change.cid for change in await one.held() if change.code == "mend_waits"]
    assert not await chain.service.admission.retry(mend)
    await chain.service.admission.sweep()
    two = await chain.tablet("two", "Nanjing Road")
    await two.sync()
    assert (await two.customers.get(lin.id)).notes is None
    await one.drop(held["interaction"])
    await one.sync()
    await two.sync()
    assert (await two.customers.get(lin.id)).notes == "second"
    assert await one.held() == []


async def test_a_mend_of_a_mend_takes_the_place_of_the_first(chain: Chain) -> None:
    one, lin, held = await held_group(chain)
    await one.mend(held["customer"], notes="second")
    await one.sync()
    (mend,) = [change.cid for change in await one.held() if change.code == "mend_waits"]
    await one.mend(mend, notes="third")
    await one.sync()
    two = await chain.tablet("two", "Nanjing Road")
    await two.sync()
    assert (await two.customers.get(lin.id)).notes is None
    await one.drop(held["interaction"])
    await one.sync()
    await two.sync()
    assert (await two.customers.get(lin.id)).notes == "third"
    async with chain.service.storage.unscoped_reader() as reader:
        log = await reader.history("customer", lin.id)
    assert all(entry.stamp > 0 for entry in log if entry.is_accepted)
    assert await one.held() == []


async def test_two_mends_of_one_push_see_each_other(chain: Chain) -> None:
    one, lin, held = await held_group(chain)
    await one.mend(held["customer"], notes="second")
    await one.drop(held["interaction"])
    await one.drop(held["interaction"])
    await one.sync()
    async with chain.service.storage.unscoped_reader() as reader:
        log = await reader.history("customer", lin.id)
        assert not await reader.open_entries(10)
    accepted = [entry for entry in log if entry.is_accepted]
    assert len(accepted) == len({entry.cid for entry in accepted}) == 2
    two = await chain.tablet("two", "Nanjing Road")
    await two.sync()
    assert (await two.customers.get(lin.id)).notes == "second"


async def test_another_device_never_mends_a_member_out_of_its_group(chain: Chain) -> None:
    _, lin, held = await held_group(chain)
    two = await chain.tablet("two", "Nanjing Road")
    await two.sync()
    seen = await two.customers.get(lin.id)
    foreign = two._draft("customer", seen.id, "edit", {"notes": Value("second")}, {}, held["customer"])
    await two._save([foreign])
    assert (await two.sync()).held == 1
    (mine,) = await two.held()
    assert mine.code == "mend_foreign"
    await chain.service.admission.sweep()
    three = await chain.tablet("three", "Nanjing Road")
    await three.sync()
    assert (await three.customers.get(lin.id)).notes is None
    assert await chain.service.admission.retry(mine.cid, by_head_office=True)
    await three.sync()
    assert (await three.customers.get(lin.id)).notes == "second"


async def test_a_mend_by_head_office_keeps_its_stamp_however_long_it_waits(chain: Chain) -> None:
    one, lin, held = await held_group(chain)
    mend = chain.service.change("edit", "customer", lin.id, {"notes": "second"})
    mend = msgspec.structs.replace(mend, replaces=held["customer"])
    ((ruling,),) = await chain.service.admission.write(SERVER, [[mend]])
    assert (ruling.verdict, ruling.code) == ("held", "mend_waits")
    made_us = chain.clock.ms * 1_000
    chain.clock.pass_(days=2)
    await one.drop(held["interaction"])
    await one.sync()
    async with chain.service.storage.unscoped_reader() as reader:
        (row,) = (await reader.find("customer", [lin.id])).values()
    (shown,) = decode(row.documents)["notes"].values.values()
    assert (shown.cid, shown.value) == (mend.cid, "second")
    assert shown.stamp <= made_us
