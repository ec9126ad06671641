"""The main job: two tablets work offline, come back, and both equal the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from regulars import LocalError
from regulars_sync.pins import SALT_BYTES, verifier
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


async def test_a_branch_that_leaves_a_region_leaves_the_tablets_of_that_region(chain: Chain) -> None:
    region = await chain.unit("East", "region", chain.units["hq"])
    branch = await chain.unit("Hangzhou", "branch", region)
    lin = chain.new_id()
    await chain.write("create", "customer", lin, {"name": "林芳", "home_unit": branch})
    one = await chain.tablet("one", "East")
    assert (await one.sync()).equal
    assert await one.customers.find(lin) is not None
    await chain.write("edit", "unit", branch, {"parent": chain.units["hq"]})
    assert (await one.sync()).equal
    assert await one.customers.find(lin) is None
    assert await chain.digests_equal(one)


async def test_a_links_note_is_edited_on_both_tablets_and_stays_in_reach(chain: Chain) -> None:
    one, two = await chain.tablet("one", "Nanjing Road"), await chain.tablet("two", "Nanjing Road")
    lin, wang = await one.customers.create(name="林芳"), await one.customers.create(name="王芳")
    await one.links.add(lin, wang, "household")
    await one.sync()
    await two.sync()
    await two.links.add(lin.id, wang.id, "household", note="sisters")
    report = await two.sync()
    assert (report.held, report.rejected) == (0, 0)
    await one.sync()
    for shop in (one, two):
        (link,) = await shop.links.of(lin.id)
        assert link.note == "sisters"
        assert await chain.digests_equal(shop)


async def test_the_same_link_made_on_both_tablets_is_one(chain: Chain) -> None:
    one, two = await chain.tablet("one", "Nanjing Road"), await chain.tablet("two", "Nanjing Road")
    lin, wang = await one.customers.create(name="林芳"), await one.customers.create(name="王芳")
    await one.sync()
    await two.sync()
    await one.links.add(lin, wang, "companion")
    await two.links.add(lin.id, wang.id, "companion")
    for shop in (one, two, one):
        await shop.sync()
    assert len(await one.links.of(lin)) == len(await two.links.of(lin.id)) == 1


async def test_a_verdict_says_nothing_of_what_its_reader_may_not_see(chain: Chain) -> None:
    one = await chain.tablet("one", "Nanjing Road", sensitive=True)
    two = await chain.tablet("two", "Nanjing Road")
    lin = await one.customers.create(name="林芳", belief="zoroaster")
    await one.sync()
    await two.sync()
    assert (await two.customers.get(lin.id)).belief is None
    await two.customers.edit(lin.id, belief="second")
    report = await two.sync()
    assert (report.applied, report.merged) == (1, 0)
    await one.sync()
    assert (await one.customers.get(lin.id)).state.contested == ("belief",)
    for shop in (one, two):
        assert await chain.digests_equal(shop)
    assert "zoroaster" not in (chain.folder / "two.db").read_bytes().decode("latin1")


async def test_rows_that_find_no_room_do_not_keep_changes_from_going_out(chain: Chain) -> None:
    one, two = await chain.tablet("one", "Nanjing Road"), await chain.tablet("two", "Nanjing Road")
    await one.sync()
    for _ in range(60):
        await two.customers.create(name="林芳", notes="n" * 3_000)
    await two.sync()
    lin = await one.customers.create(name="李娜")
    connection = one._rows.file._connection
    assert connection is not None
    await connection.run(lambda c: c.execute("PRAGMA max_page_count = 1"))
    report = await one.sync()
    assert report.problem is not None
    assert (report.problem.code, report.applied) == ("disk_full", 1)
    await connection.run(lambda c: c.execute("PRAGMA max_page_count = 1000000"))
    await one.sync()
    assert not (await one.customers.get(lin.id)).state.pending
    assert await chain.digests_equal(one)


async def test_a_screen_is_told_what_changed_here_and_by_a_sync(chain: Chain) -> None:
    one, two = await chain.tablet("one", "Nanjing Road"), await chain.tablet("two", "Nanjing Road")
    await one.sync()
    watching = one.watch()
    first = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0)
    here = await one.customers.create(name="here")
    assert await first == {("customer", here.id)}
    there = await two.customers.create(name="there")
    await two.sync()
    second = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0)
    await one.sync()
    assert ("customer", there.id) in await second
    await watching.aclose()  # type: ignore[attr-defined]


async def test_staff_sign_in_offline_and_only_in_their_own_unit(chain: Chain) -> None:
    one, other = await chain.tablet("one", "Nanjing Road"), await chain.tablet("other", "Orchard")
    li = chain.new_id()
    unit = chain.units["Nanjing Road"]
    await chain.write("create", "staff", li, {"name": "李店员", "role": "clerk", f"units/{unit}": True})
    pin = verifier("2468", chain.entropy(SALT_BYTES))
    await chain.write("create", "staff_pin", li, {f"units/{unit}": True, "verifier": pin})
    for shop in (one, other):
        await shop.sync()
    chain.transports["one"].online = False
    with pytest.raises(LocalError, match="sign_in_failed"):
        await one.sign_in("李店员", "1357")
    assert (await one.sign_in("李店员", "2468")).id == li
    lin = await one.customers.create(name="林芳")
    visit = await one.interactions.record(lin, kind="visit")
    assert visit.staff == li
    with pytest.raises(LocalError, match="sign_in_failed"):
        await other.sign_in("李店员", "2468")


async def test_a_static_segment_gains_members_on_two_tablets_at_once(chain: Chain) -> None:
    one, two = await chain.tablet("one", "Nanjing Road"), await chain.tablet("two", "Nanjing Road")
    await chain.write("create", "segment", segment := chain.new_id(), {"name": "autumn guests"})
    lin, wang = await one.customers.create(name="林芳"), await one.customers.create(name="王芳")
    await one.sync()
    await two.sync()
    (known,) = await one.segments.list()
    await one.segments.add(known, [lin])
    await two.segments.add(segment, [wang.id])
    for shop in (one, two, one):
        await shop.sync()
    for shop in (one, two):
        assert {c.name for c in (await shop.segments.members(segment)).yes} == {"林芳", "王芳"}
    await one.segments.remove(known, [lin])
    await one.sync()
    await two.sync()
    assert [c.name for c in (await two.segments.members(segment)).yes] == ["王芳"]


async def test_what_does_not_fit_is_refused_on_the_tablet_and_nothing_is_written(chain: Chain) -> None:
    one = await chain.tablet("one", "Nanjing Road", paired=False)
    bad: dict[str, dict[str, Any]] = {
        "fields_missing": {},
        "field_unknown": {"name": "a", "shoe_size": 41},
        "enum_unknown": {"name": "a", "gender": "seven"},
        "text_invalid": {"name": "a\ud800"},
        "phone_invalid": {"name": "a", "phone": "call me"},
        "text_too_long": {"name": "a" * 201},
    }
    for code, fields in bad.items():
        with pytest.raises(LocalError, match=code) as refused:
            await one.customers.create(**fields)
        assert refused.value.text("zh") != refused.value.text("en")
    with pytest.raises(LocalError, match="not_found"):
        await one.customers.edit(chain.new_id(), notes="nobody")
    assert (await one.status()).pending == 0
    with pytest.raises(LocalError, match="not_paired"):
        await one.sync()


async def test_a_transaction_left_by_an_exception_writes_nothing(chain: Chain) -> None:
    one = await chain.tablet("one", "Nanjing Road")
    made = []

    async def fail() -> None:
        async with one.transaction():
            made.append(await one.customers.create(name="林芳"))
            assert (await one.customers.get(made[0].id)).name == "林芳"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await one.customers.find(made[0].id) is None
    assert (await one.status()).pending == 0
