"""What was held is released, mended or dropped; what was restored, copied or cut off loses nothing."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import msgspec
import orjson
import pytest

from regulars import LocalError, Shop
from regulars_schema.declare import Level
from regulars_server.app import DATABASE
from regulars_server.authors import SERVER
from regulars_sync.changes import Value
from regulars_sync.errors import Refused
from tests.support.chain import Chain, new_chain


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


async def logged(chain: Chain, entity: str, id: str) -> list[tuple[str, str | None]]:
    async with chain.service.storage.unscoped_reader() as reader:
        return [(entry.verdict, entry.code) for entry in await reader.history(entity, id)]


def copied(shop_name: str, chain: Chain, as_name: str) -> None:
    """Copy a tablet's two files, as an image of its disk would."""
    for suffix in (".db", ".outbox.db"):
        with sqlite3.connect(chain.folder / f"{shop_name}{suffix}") as database:
            (chain.folder / f"{as_name}{suffix}").unlink(missing_ok=True)
            database.execute("VACUUM INTO ?", (str(chain.folder / f"{as_name}{suffix}"),))
        database.close()


async def test_what_waited_for_a_row_is_released_when_it_comes(chain: Chain) -> None:
    one, two = await chain.tablet("one"), await chain.tablet("two")
    lin = await two.customers.create(name="林芳")
    visit = await one.interactions.record(lin.id, kind="visit")
    assert (await one.sync()).held == 1
    (held,) = await one.held()
    assert (held.code, held.entity) == ("row_unknown", "interaction")
    assert "林" not in held.message("en")
    await two.sync()
    await one.sync()
    assert await one.held() == []
    assert (await one.customers.get(lin.id)).name == "林芳"
    assert [fact.id for fact in await one.interactions.of(lin.id)] == [visit.id]
    assert await logged(chain, "interaction", visit.id) == [("held", "row_unknown"), ("applied", None)]
    assert await chain.digests_equal(one)


async def test_a_release_that_was_cut_off_is_made_up_for_at_the_next_start(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await chain.tablet("one"), await chain.tablet("two")
    lin = await two.customers.create(name="林芳")
    await one.interactions.record(lin.id, kind="visit")
    await one.sync()

    async def cut_off() -> None:
        chain.service.admission._ready.clear()

    with monkeypatch.context() as patch:
        patch.setattr(chain.service.admission, "_release", cut_off)
        await two.sync()
    await one.sync()
    assert len(await one.held()) == 1
    await chain.service.admission.sweep()
    await one.sync()
    assert await one.held() == []


async def test_a_release_that_failed_is_made_up_for_at_the_next_commit(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await chain.tablet("one"), await chain.tablet("two")
    lin = await two.customers.create(name="林芳")
    await one.interactions.record(lin.id, kind="visit")
    await one.sync()

    async def full(group: str) -> bool:
        raise Refused("storage_full")

    with monkeypatch.context() as patch:
        patch.setattr(chain.service.admission, "retry", full)
        assert (await two.sync()).problem is None
    await one.sync()
    assert len(await one.held()) == 1
    await two.customers.create(name="王伟")
    await two.sync()
    await one.sync()
    assert await one.held() == []


async def test_a_held_group_tried_in_vain_says_nothing_new(chain: Chain) -> None:
    one = await chain.tablet("one")
    visit = await one.interactions.record(chain.new_id(), kind="visit")
    await one.sync()
    for _ in range(2):
        await chain.service.admission.sweep()
    with closing(sqlite3.connect(chain.folder / DATABASE)) as database:
        assert database.execute("SELECT count(*) FROM log WHERE id=?", (visit.id,)).fetchone() == (1,)


async def test_a_group_with_one_bad_member_is_held_whole_and_its_mend_frees_all(chain: Chain) -> None:
    one = await chain.tablet("one")
    lin = await one.customers.create(name="林芳")
    async with one.transaction():
        await one.customers.edit(lin, notes="first of two")
        await one.interactions.record(chain.new_id(), kind="visit")
    report = await one.sync()
    assert (report.applied, report.held) == (1, 2)
    by_code = {held.code: held for held in await one.held()}
    assert by_code.keys() == {"group_held", "row_unknown"}
    assert (await one.customers.get(lin.id)).notes == "first of two"
    await one.mend(by_code["row_unknown"].cid, party=[{"customer": lin.id, "role": "principal"}])
    report = await one.sync()
    assert (report.applied, report.held, report.rejected) == (1, 0, 0)
    assert await one.held() == []
    lin = await one.customers.get(lin.id)
    assert (lin.notes, lin.state.pending, lin.state.held) == ("first of two", False, ())
    assert len(await one.interactions.of(lin)) == 1
    assert await chain.digests_equal(one)


async def test_dropping_the_culprit_frees_the_rest_of_its_transaction(chain: Chain) -> None:
    one = await chain.tablet("one")
    async with one.transaction():
        lin = await one.customers.create(name="林芳")
        await one.interactions.record(chain.new_id(), kind="visit")
    await one.sync()
    (culprit,) = [held for held in await one.held() if held.code == "row_unknown"]
    assert (await one.customers.get(lin.id)).state.held
    await one.drop(culprit.cid)
    await one.sync()
    assert await one.held() == []
    assert (await one.customers.get(lin.id)).state.held == ()
    assert (await one.status()).pending == 0
    assert await chain.digests_equal(one)


async def test_a_mend_that_does_not_help_is_held_itself_and_a_second_one_frees_all(chain: Chain) -> None:
    one = await chain.tablet("one")
    lin = await one.customers.create(name="林芳")
    await one.interactions.record(chain.new_id(), kind="visit")
    await one.sync()
    (held,) = await one.held()
    await one.mend(held.cid, party=[{"customer": chain.new_id()}])
    assert (await one.sync()).held == 1
    assert {h.code for h in await one.held()} == {"row_unknown", "mend_waits"}
    await one.mend(held.cid, party=[{"customer": lin.id}])
    await one.sync()
    assert await one.held() == []
    assert len(await one.interactions.of(lin)) == 1
    assert (await one.status()).pending == 0


async def test_head_office_mends_and_the_result_reaches_the_device(chain: Chain) -> None:
    one = await chain.tablet("one")
    lin = await one.customers.create(name="林芳")
    visit = await one.interactions.record(chain.new_id(), kind="visit", note="of Lin")
    await one.sync()
    (held,) = await one.held()
    mend = chain.service.change("create", "interaction", visit.id, {})
    party = {"party": Value([{"customer": lin.id, "role": "principal"}])}
    mend = msgspec.structs.replace(mend, fields={**held.change.fields, **party}, replaces=held.cid)
    ((ruling,),) = await chain.service.admission.write(SERVER, [[mend]])
    assert ruling.verdict == "applied"
    await one.sync()
    assert await one.held() == []
    (fact,) = await one.interactions.of(lin)
    assert (fact.id, fact.note) == (visit.id, "of Lin")
    assert set(await logged(chain, "interaction", visit.id)) == {
        ("held", "row_unknown"),
        ("applied", None),
        ("rejected", "mended"),
    }


async def test_an_edit_of_a_row_that_left_is_kept_and_comes_back_with_it(chain: Chain) -> None:
    here, there = await chain.tablet("here"), await chain.tablet("there", "Orchard")
    lin = await here.customers.create(name="林芳")
    await here.sync()
    await there.sync()
    shown = await here.customers.get(lin.id)
    async with chain.service.storage.unscoped_reader() as reader:
        (found,) = (await reader.find("customer", [lin.id])).values()
    (cid,) = [entry[0] for entry in orjson.loads(found.documents[Level.INTERNAL])["v"]]
    move = chain.service.change(
        "edit", "customer", lin.id, {"home_unit": chain.units["Orchard"]}, seen={"home_unit": [cid]}
    )
    await chain.service.admission.write(SERVER, [[move]])
    await here.customers.edit(shown, notes="edited offline")
    visit = await here.interactions.record(shown, kind="visit")
    report = await here.sync()
    assert (report.applied, report.held) == (1, 1)
    assert await here.customers.find(lin.id) is None
    (held,) = await here.held()
    assert held.code == "scope_left"
    await there.sync()
    assert (await there.customers.get(lin.id)).notes is None
    assert (await there.interactions.get(visit.id)).kind == "visit"
    moved = await there.customers.get(lin.id)
    await there.customers.edit(moved, home_unit=chain.units["Nanjing Road"])
    await there.sync()
    await here.sync()
    assert (await here.customers.get(lin.id)).notes == "edited offline"
    assert await here.held() == []
    for shop in (here, there):
        await shop.sync()
        assert await chain.digests_equal(shop)


async def test_a_restored_server_is_offered_again_what_it_lost(chain: Chain) -> None:
    one, two = await chain.tablet("one"), await chain.tablet("two")
    kept = await one.customers.create(name="before")
    await one.sync()
    await two.sync()
    copy = await chain.back_up()
    lost = await one.customers.create(name="after")
    await one.customers.edit(kept, notes="after")
    await one.sync()
    await two.sync()
    theirs = await two.customers.edit(lost.id, wechat="seen by two")
    await two.sync()
    epoch = chain.service.storage.chain.epoch
    await chain.restore(copy)
    for _ in range(2):
        for shop in (two, one):
            report = await shop.sync()
            assert report.problem is None, report.problem
            assert report.equal
    assert chain.service.storage.chain.epoch != epoch
    await two.sync()
    for shop in (one, two):
        assert (await shop.customers.get(kept.id)).notes == "after"
        seen = await shop.customers.get(lost.id)
        assert (seen.name, seen.wechat) == ("after", theirs.wechat)
        assert (await shop.status()).pending == 0
        assert await shop.held() == []
        assert await chain.digests_equal(shop)


async def test_a_restored_tablet_takes_a_new_incarnation_and_loses_nothing(chain: Chain) -> None:
    one = await chain.tablet("one")
    lin = await one.customers.create(name="林芳")
    await one.sync()
    copied("one", chain, "old")
    first = await one.interactions.record(lin, kind="visit", note="before the restore")
    await one.sync()
    old = await reopened(chain, "old")
    second = await old.interactions.record(lin, kind="visit", note="after the restore")
    report = await old.sync()
    assert report.problem is None
    assert {fact.id for fact in await old.interactions.of(lin)} == {first.id, second.id}
    assert (await old.status()).pending == 0
    assert await chain.digests_equal(old)


async def test_two_clones_of_one_tablet_both_keep_their_edits(chain: Chain) -> None:
    """The one that came later is told so once the other goes on, and is paired again."""
    one = await chain.tablet("one")
    lin = await one.customers.create(name="林芳")
    await one.sync()
    copied("one", chain, "clone")
    clone = await reopened(chain, "clone")
    made = []
    told = []
    for turn in range(4):
        for shop in (one, clone):
            made.append((await shop.interactions.record(lin, kind="note", note=f"{turn}")).id)
            report = await shop.sync()
            assert (report.held, report.rejected) == (0, 0)
            if report.problem is not None:
                told.append((turn, shop is clone, report.problem.code))
                assert report.pulled == 0
                code = await chain.service.access.new_pairing_code(chain.units["Nanjing Road"], "clone")
                await shop.pair("http://hq", code)
                assert (await shop.sync()).equal
    assert told == [(1, True, "device_cloned")]
    assert (await one.status()).device != (await clone.status()).device
    await one.sync()
    for shop in (one, clone):
        assert {fact.id for fact in await shop.interactions.of(lin)} == set(made)
        assert (await shop.status()).pending == 0
        assert await chain.digests_equal(shop)
    for id in made:
        assert await logged(chain, "interaction", id) == [("applied", None)]


async def reopened(chain: Chain, name: str) -> Shop:
    """Open files that exist, with a wire of their own."""
    return await chain.tablet(name, paired=False)


async def test_a_full_server_disk_refuses_the_push_and_loses_nothing(chain: Chain, tmp_path: Path) -> None:
    one = await chain.tablet("one")
    lin = await one.customers.create(name="林芳")
    await one.sync()
    storage = chain.service.storage
    await storage._writer.run(lambda c: c.execute("PRAGMA max_page_count = 1"))  # type: ignore[attr-defined]
    for _ in range(50):
        await one.interactions.record(lin, kind="visit", note="n" * 3_000)
    report = await one.sync()
    assert report.problem is not None
    assert report.problem.code == "storage_full"
    assert (await one.status()).pending == 50
    await storage._writer.run(lambda c: c.execute("PRAGMA max_page_count = 1000000"))  # type: ignore[attr-defined]
    report = await one.sync()
    assert (report.applied, report.problem) == (50, None)
    assert await chain.digests_equal(one)


async def test_a_full_tablet_fails_the_write_loudly_and_keeps_what_it_had(chain: Chain) -> None:
    one = await chain.tablet("one")
    lin = await one.customers.create(name="林芳")
    connection = one._outbox.file._connection
    assert connection is not None
    await connection.run(lambda c: c.execute("PRAGMA max_page_count = 1"))

    async def fill() -> None:
        for _ in range(50):
            await one.interactions.record(lin, kind="visit", note="n" * 3_000)

    with pytest.raises(LocalError, match="disk_full"):
        await fill()
    await connection.run(lambda c: c.execute("PRAGMA max_page_count = 1000000"))
    report = await one.sync()
    assert report.problem is None
    assert (await one.customers.get(lin.id)).name == "林芳"


async def test_a_foreign_or_damaged_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    foreign = tmp_path / "branch.db"
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE mine (a)")
    database.close()
    before = foreign.read_bytes()
    with pytest.raises(LocalError, match="file_foreign"):
        async with Shop.open(foreign):
            pass
    assert foreign.read_bytes() == before
    text = tmp_path / "text.db"
    text.write_text("this is no database at all, whatever its name says")
    with pytest.raises(LocalError, match="file_foreign"):
        async with Shop.open(text):
            pass


async def test_a_file_of_another_chain_is_not_mixed_with_this_one(chain: Chain, tmp_path: Path) -> None:
    one = await chain.tablet("one")
    await one.sync()
    (tmp_path / "second").mkdir()
    async with new_chain(tmp_path / "second", seed=2) as other:
        code = await other.service.access.new_pairing_code(other.units["Orchard"], "x")
        with pytest.raises(LocalError, match="already_paired"):
            await one.pair("http://hq", code)
        stranger = await other.tablet("stranger", "Orchard")
        one._transport = other.transports["stranger"]
        await one._outbox.say({"token": stranger._said["token"]})
        report = await one.sync()
        assert report.problem is not None
        assert report.problem.code in {"cursor_invalid", "chain_other"}
    shutil.rmtree(tmp_path / "second")
