"""The main job: two tablets work offline, come back, and both equal the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.chain import Chain, Clock, new_chain


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


async def test_a_customer_made_offline_reaches_the_other_tablet(chain: Chain) -> None:
    one = await chain.tablet("one", "Nanjing Road", paired=False)
    lin = await one.customers.create(name="林芳", phone="138 0013 8000")
    await one.interactions.record(lin, kind="visit", stage_reached=6, note="likes oak, comparing prices")
    code = await chain.service.access.new_pairing_code(chain.units["Nanjing Road"], "one")
    await one.pair("http://hq", code)
    report = await one.sync()
    assert (report.pushed, report.held, report.rejected, report.equal) == (2, 0, 0, True), report
    other = await chain.tablet("two", "Nanjing Road")
    await other.sync()
    (found,) = await other.customers.search("linfang")
    assert found.phones == {"+8613800138000": "138 0013 8000"}
    assert found.home_unit == chain.units["Nanjing Road"]
    (visit,) = await other.interactions.of(found)
    assert visit.stage_reached == 6
    await one.sync()
    assert await chain.digests_equal(one)
    assert await chain.digests_equal(other)


async def test_edits_of_different_fields_both_stand(chain: Chain) -> None:
    one, two = await chain.tablet("one", "Nanjing Road"), await chain.tablet("two", "Nanjing Road")
    lin = await one.customers.create(name="林芳")
    await one.sync()
    await two.sync()
    await one.customers.edit(lin, address="南京路 1 号")
    await two.customers.edit(lin.id, wechat="linfang88")
    await one.sync()
    await two.sync()
    await one.sync()
    for shop in (one, two):
        seen = await shop.customers.get(lin.id)
        assert (seen.address, seen.wechat, seen.state.contested) == ("南京路 1 号", "linfang88", ())
        assert await chain.digests_equal(shop)


async def test_edits_of_the_same_field_are_kept_side_by_side_and_equal_everywhere(chain: Chain) -> None:
    slow = Clock(chain.clock.ms - 2 * 365 * 86_400_000)
    one, two = await chain.tablet("one", "Nanjing Road"), await chain.tablet("two", "Nanjing Road", slow)
    lin = await one.customers.create(name="林芳")
    await one.sync()
    await two.sync()
    await one.customers.edit(lin, notes="from one")
    chain.clock.pass_(hours=1)
    slow.pass_(hours=1)
    await two.customers.edit(lin.id, notes="from two")
    report = await two.sync()
    assert report.applied == 1
    report = await one.sync()
    assert report.merged == 1
    await two.sync()
    shown = {(await shop.customers.get(lin.id)).notes for shop in (one, two)}
    assert shown == {"from two"}
    assert (await one.customers.get(lin.id)).state.contested == ("notes",)
    chain.clock.pass_(minutes=1)
    await one.customers.edit(lin, notes="settled")
    await one.sync()
    await two.sync()
    settled = await two.customers.get(lin.id)
    assert (settled.notes, settled.state.contested) == ("settled", ())


async def test_a_lost_answer_applies_once(chain: Chain) -> None:
    one = await chain.tablet("one", "Nanjing Road")
    lin = await one.customers.create(name="林芳")
    chain.transports["one"].lose_answers_to = "/sync/v1/push"
    report = await one.sync()
    assert report.problem is not None
    assert report.problem.code == "offline"
    assert (await one.customers.get(lin.id)).state.pending
    await one.sync()
    assert not (await one.customers.get(lin.id)).state.pending
    assert (await one.status()).pending == 0
    assert await chain.digests_equal(one)


async def test_a_rejected_change_is_kept_shown_and_mended(chain: Chain) -> None:
    one = await chain.tablet("one", "Nanjing Road")
    lin = await one.customers.create(name="林芳")
    await one.sync()
    async with one.transaction():
        await one.customers.edit(lin, notes="good")
        await one.write("customer", lin.id, "edit", {"gender": "female"})
    # a server that knows fewer values than this tablet would reject it; here the row is not within reach
    stranger = chain.new_id()
    await one.interactions.record(stranger, kind="visit")
    report = await one.sync()
    assert (report.applied, report.held) == (2, 1)
    (held,) = await one.held()
    assert held.code == "row_unknown"
    await one.drop(held.cid)
    await one.sync()
    assert await one.held() == []
    assert (await one.status()).pending == 0


async def test_a_customer_that_moves_leaves_one_tablet_and_enters_the_other(chain: Chain) -> None:
    here, there = await chain.tablet("here", "Nanjing Road"), await chain.tablet("there", "Orchard")
    lin = await here.customers.create(name="林芳", belief="secret")
    visit = await here.interactions.record(lin, kind="visit")
    await here.sync()
    await chain.write("edit", "customer", lin.id, {"home_unit": chain.units["Orchard"]})
    # made by head office without having seen the present home: both stand, the earliest is shown
    await here.customers.edit(lin, home_unit=chain.units["Orchard"])
    await here.sync()
    assert await here.customers.find(lin.id) is None
    await there.sync()
    assert (await there.customers.get(lin.id)).name == "林芳"
    assert (await there.interactions.get(visit.id)).kind == "visit"
    assert await chain.digests_equal(here)
    assert await chain.digests_equal(there)
