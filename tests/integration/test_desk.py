"""What a branch tool reads and writes at its own desk, with no network at all."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from regulars import LocalError, Shop
from regulars.files import File, connect_inline
from regulars_sync.pins import SALT_BYTES, verifier
from tests.support.chain import Chain, new_chain
from tests.support.graph import caller


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


@pytest.fixture
async def shop(chain: Chain) -> Shop:
    """A paired tablet that has read its unit's rows once."""
    shop = await chain.tablet("one")
    await shop.sync()
    return shop


# --- lists and search --------------------------------------------------------------------------------


@pytest.mark.parametrize("is_synced", [False, True])
async def test_a_list_is_paged_by_name_and_names_everybody_once(shop: Shop, is_synced: bool) -> None:
    for name in ("王芳", "陈静", "林芳", "林芳", "张伟"):
        await shop.customers.create(name=name)
    if is_synced:
        await shop.sync()
    seen = [*await shop.customers.list(limit=2)]
    while page := await shop.customers.list(limit=2, after=seen[-1]):
        seen += page
    assert [c.name for c in seen] == ["陈静", "林芳", "林芳", "王芳", "张伟"]
    assert len({c.id for c in seen}) == 5


@pytest.mark.parametrize("is_synced", [False, True])
async def test_an_archived_customer_is_listed_only_when_asked_and_pages_stay_full(
    shop: Shop, is_synced: bool
) -> None:
    made = [await shop.customers.create(name=f"guest {i}") for i in range(6)]
    for customer in made[:3]:
        await shop.customers.archive(customer)
    if is_synced:
        await shop.sync()
    assert [c.name for c in await shop.customers.list(limit=2)] == ["guest 3", "guest 4"]
    assert len(await shop.customers.list(archived=True)) == 6
    await shop.customers.restore(made[0])
    assert len(await shop.customers.list()) == 4


@pytest.mark.parametrize("is_synced", [False, True])
async def test_search_finds_a_spelled_number_and_needs_every_word(shop: Shop, is_synced: bool) -> None:
    lin = await shop.customers.create(name="Lin Fang", phone="138 0013 8000")
    await shop.customers.create(name="Lin Na", phone="139 0000 1111")
    if is_synced:
        await shop.sync()
    for text in ("138-0013", "LIN fang", "8000 lin"):
        assert [c.id for c in await shop.customers.search(text)] == [lin.id], text
    assert len(await shop.customers.search("lin")) == 2
    assert [c.id for c in await shop.customers.with_phone("+86 138-0013-8000")] == [lin.id]
    assert [c.id for c in await shop.customers.with_phone("13800138000")] == [lin.id]


@pytest.mark.parametrize("is_synced", [False, True])
async def test_search_ranks_as_the_server_does_and_forgives_a_letter_where_nothing_fits(
    chain: Chain, shop: Shop, is_synced: bool
) -> None:
    await shop.customers.create(name="王林芳", tags=["vip"])
    await shop.customers.create(name="Bob", notes="知道林芳的电话")
    await shop.customers.create(name="林芳菲", phone="138 0013 8000", member_no="VIP-00412")
    await shop.customers.create(name="林芳", tags=["vip", "老客户"])
    if is_synced:
        await shop.sync()

    async def names(text: str, limit: int = 50) -> list[str]:
        return [str(customer.name) for customer in await shop.customers.search(text, limit)]

    assert await names("林芳") == ["林芳", "林芳菲", "王林芳", "Bob"]
    assert await names("林芳", 2) == ["林芳", "林芳菲"]
    assert await names("linfamg") == ["林芳"]
    assert await names("临方") == ["林芳", "林芳菲", "王林芳"]
    assert await names("0412") == ["林芳菲"]
    assert await names("老客") == ["林芳"]
    assert await names("电话") == ["Bob"]
    assert await names("%") == []
    assert len(await names(" ")) == 4
    if is_synced:
        office = await caller(chain)
        ask = "query ($s: String) { customers(search: $s, orderBy: RELEVANCE) { nodes { name } } }"
        for text in ("林芳", "linfang", "linfamg", "vip 林", "138", "l"):
            got = (await office.ask(ask, s=text))["customers"]["nodes"]
            assert sorted(node["name"] for node in got) == sorted(await names(text)), text
            assert got[0]["name"] == (await names(text))[0]


async def test_whose_whole_name_it_is_comes_first_among_more_than_are_ranked(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regulars.overlay.BEST_MAX", 3)
    for name in ("林芳菲", "林芳丽", "林芳娜", "林芳美", "林芳"):
        await shop.customers.create(name=name)
    await shop.sync()
    found = await shop.customers.search("linfang")
    assert (found[0].name, len(found)) == ("林芳", 4)


async def test_a_row_edited_here_is_found_by_what_it_says_now_and_no_more_by_what_it_said(
    shop: Shop,
) -> None:
    lin = await shop.customers.create(name="Lin Fang", tags=["vip"])
    await shop.sync()
    await shop.customers.edit(lin, name="Wang Fang")
    await shop.tags.remove(lin, "vip")
    for _ in range(2):  # laid over the server's row, and then in it
        assert [c.id for c in await shop.customers.search("wang")] == [lin.id]
        assert await shop.customers.search("lin") == []
        assert await shop.tags.customers("vip") == []
        await shop.sync()


async def test_a_departed_row_is_found_no_more(chain: Chain, shop: Shop) -> None:
    wang = await shop.customers.create(name="Wang", tags=["vip"], phone="139 0000 1111")
    await shop.sync()
    await shop.customers.edit(wang, home_unit=chain.units["Orchard"])
    await shop.sync()
    file = shop._rows.file
    blocks = await file.read(lambda c: c.execute("SELECT block FROM found_data").fetchall())
    assert not any(b"wan" in block for (block,) in blocks), "the index remembers what left"
    for table in ("row", "find", "words", "element", "member"):
        left = await file.read(
            lambda c, table=table: c.execute(  # type: ignore[misc]
                f"SELECT count(*) FROM {table} WHERE entity = 'customer' AND id = ?", (wang.id,)
            ).fetchone()
        )
        assert left == (0,), table
    assert await shop.customers.search("wang") == []


async def test_a_link_that_was_removed_is_not_shown_and_comes_back_as_the_same(shop: Shop) -> None:
    lin, wang = await shop.customers.create(name="林芳"), await shop.customers.create(name="王芳")
    link = await shop.links.add(lin, wang, "household")
    await shop.links.remove(link)
    assert await shop.links.of(lin) == []
    await shop.sync()
    assert await shop.links.of(wang) == []
    assert (await shop.links.add(lin, wang, "household")).id == link.id
    report = await shop.sync()
    assert (report.held, report.rejected) == (0, 0)
    assert [found.id for found in await shop.links.of(wang)] == [link.id]


# --- interactions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_synced", [False, True])
async def test_interactions_come_latest_first_and_what_no_longer_counts_only_when_asked(
    chain: Chain, shop: Shop, is_synced: bool
) -> None:
    lin = await shop.customers.create(name="林芳")
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    for hour in (1, 3, 0, 2):
        at = noon + timedelta(hours=hour)
        await shop.interactions.record(lin, kind="visit", at=at, note=str(hour), stage_reached=3)
    _, wrong, void, _ = await shop.interactions.of(lin)
    right = await shop.interactions.correct(wrong, note="two, corrected")
    await shop.interactions.correct(void, note="a correction of what never was")
    await shop.interactions.void(void, note="another customer's")
    if is_synced:
        await shop.sync()
    found = await shop.interactions.of(lin)
    assert [fact.note for fact in found] == ["3", "two, corrected", "0"]
    assert (found[1].id, found[1].at, found[1].stage_reached) == (right.id, wrong.at, 3)
    assert len(await shop.interactions.of(lin, corrections=True)) == 7


async def test_an_instant_is_kept_in_utc_and_one_without_a_zone_is_refused(shop: Shop) -> None:
    lin = await shop.customers.create(name="林芳")
    shanghai = timezone(timedelta(hours=8))
    at = datetime(2026, 11, 20, 9, 30, tzinfo=shanghai)
    visit = await shop.interactions.record(lin, kind="visit", at=at)
    assert visit.at == datetime(2026, 11, 20, 1, 30, tzinfo=UTC)
    with pytest.raises(LocalError, match="instant_invalid"):
        await shop.interactions.record(lin, kind="visit", at=at.replace(tzinfo=None))


async def test_the_first_of_a_party_is_the_principal_and_the_unit_is_the_tablets(
    chain: Chain, shop: Shop
) -> None:
    lin, wang = await shop.customers.create(name="林芳"), await shop.customers.create(name="王芳")
    visit = await shop.interactions.record([lin, wang], kind="visit")
    assert [(p.customer, p.role) for p in visit.party] == [(lin.id, "principal"), (wang.id, "companion")]
    assert visit.unit == chain.units["Nanjing Road"]
    assert [fact.id for fact in await shop.interactions.of(wang)] == [visit.id]


# --- transactions ----------------------------------------------------------------------------------------


async def test_a_transaction_reads_what_it_wrote_and_nobody_else_does(shop: Shop) -> None:
    before = await shop.customers.create(name="before")
    async with shop.transaction():
        lin = await shop.customers.create(name="林芳")
        await shop.customers.edit(lin, notes="in the same transaction")
        assert {c.id for c in await shop.customers.list()} == {before.id, lin.id}
    assert (await shop.customers.get(lin.id)).notes == "in the same transaction"
    report = await shop.sync()
    assert (report.pushed, report.held, report.rejected) == (3, 0, 0)
    assert (await shop.customers.get(lin.id)).state.contested == ()


async def test_a_transaction_left_by_an_exception_is_over_and_the_next_write_stands_alone(
    shop: Shop,
) -> None:
    async def fail() -> None:
        async with shop.transaction():
            await shop.customers.create(name="never")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    lin = await shop.customers.create(name="林芳")
    assert (await shop.status()).pending == 1
    async with shop.transaction():
        await shop.customers.edit(lin, notes="n")
    assert [c.name for c in await shop.customers.list()] == ["林芳"]


async def test_a_transaction_within_a_transaction_is_refused_and_the_outer_goes_on(shop: Shop) -> None:
    async with shop.transaction():
        lin = await shop.customers.create(name="林芳")
        with pytest.raises(LocalError, match="argument_invalid"):
            async with shop.transaction():
                pass
        await shop.customers.edit(lin, notes="n")
    assert (await shop.status()).pending == 2


async def test_a_segment_takes_all_of_its_new_members_or_none(chain: Chain, shop: Shop) -> None:
    await chain.write("create", "segment", segment := chain.new_id(), {"name": "autumn guests"})
    await shop.sync()
    lin = await shop.customers.create(name="林芳")
    with pytest.raises(LocalError, match="not_found"):
        await shop.segments.add(segment, [lin, chain.new_id()])
    assert (await shop.segments.members(segment)).yes == ()


# --- what is not yet the server's --------------------------------------------------------------------------


async def test_two_edits_of_one_field_before_a_sync_are_no_dispute_with_oneself(shop: Shop) -> None:
    lin = await shop.customers.create(name="林芳")
    await shop.sync()
    for notes in ("first", "second"):
        await shop.customers.edit(lin, notes=notes)
    for _ in range(2):
        found = await shop.customers.get(lin.id)
        assert (found.notes, found.state.contested) == ("second", ())
        await shop.sync()


async def test_a_held_fact_is_shown_as_held_and_as_its_mend_says_once_it_is_mended(
    chain: Chain, shop: Shop
) -> None:
    visit = await shop.interactions.record(chain.new_id(), kind="visit", note="as it was written")
    await shop.sync()
    (held,) = await shop.held()
    found = await shop.interactions.get(visit.id)
    assert (found.note, found.state.held, found.state.pending) == ("as it was written", (held.cid,), False)
    lin = await shop.customers.create(name="林芳")
    await shop.mend(held.cid, note="as it was mended", party=[{"customer": lin.id, "role": "principal"}])
    found = await shop.interactions.get(visit.id)
    assert (found.note, found.kind, found.state.held) == ("as it was mended", "visit", ())
    assert found.state.pending
    await shop.sync()
    found = await shop.interactions.get(visit.id)
    assert (found.note, found.state.held, found.state.pending) == ("as it was mended", (), False)


async def test_an_edit_not_yet_sent_is_shown_over_one_that_came_meanwhile(chain: Chain, shop: Shop) -> None:
    lin = await shop.customers.create(name="林芳")
    await shop.sync()
    await shop.customers.edit(lin, notes="from here")
    await chain.write("edit", "customer", lin.id, {"notes": "from head office"})

    def cut_off(step: str) -> None:
        if step == "outgoing":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await shop.sync(on_step=cut_off)
    found = await shop.customers.get(lin.id)
    assert (found.notes, found.state.pending, found.state.contested) == ("from here", True, ("notes",))


# --- people and screens ----------------------------------------------------------------------------------


async def test_staff_who_left_sign_in_no_more_and_changes_name_who_made_them(
    chain: Chain, shop: Shop
) -> None:
    unit, li = chain.units["Nanjing Road"], chain.new_id()
    await chain.write("create", "staff", li, {"name": "李店员", "role": "clerk", f"units/{unit}": True})
    pin = verifier("2468", chain.entropy(SALT_BYTES))
    await chain.write("create", "staff_pin", li, {f"units/{unit}": True, "verifier": pin})
    await shop.sync()
    await shop.sign_in(li, "2468")
    await shop.customers.create(name="林芳")
    (made,) = await shop._outbox.live()
    assert made.change.actor == li
    shop.sign_out()
    await chain.write("edit", "staff", li, {"active": False})
    await shop.sync()
    with pytest.raises(LocalError, match="sign_in_failed"):
        await shop.sign_in(li, "2468")


async def test_a_slow_screen_is_told_once_of_all_that_changed_and_a_closed_one_is_forgotten(
    shop: Shop,
) -> None:
    watching = shop.watch()
    first = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0)
    made = {("customer", (await shop.customers.create(name=f"{i}")).id) for i in range(3)}
    assert await first == made
    await watching.aclose()  # type: ignore[attr-defined]
    assert not shop._watchers


# --- files -------------------------------------------------------------------------------------------------


async def opened(path: Path) -> File:
    file = File(path, 0x7465, "CREATE TABLE note (text TEXT)")
    await file.open(connect_inline)
    return file


async def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "branch.db"
    await (await opened(path)).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 2")
    before = path.read_bytes()
    with pytest.raises(LocalError, match="file_newer"):
        await opened(path)
    assert path.read_bytes() == before


async def test_a_write_that_fails_leaves_no_trace_and_the_file_goes_on(tmp_path: Path) -> None:
    file = await opened(tmp_path / "branch.db")

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO note VALUES ('half')")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await file.write(work)
    await file.write(lambda c: c.execute("INSERT INTO note VALUES ('whole')"))
    assert await file.read(lambda c: c.execute("SELECT text FROM note").fetchall()) == [("whole",)]
    await file.close()


async def test_what_is_purged_is_in_no_byte_and_a_reader_in_the_way_is_named(tmp_path: Path) -> None:
    def emptied(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM note")

    file = await opened(tmp_path / "branch.db")
    await file.write(lambda c: c.execute("INSERT INTO note VALUES (?)", ("secret " * 2_000,)))
    with closing(sqlite3.connect(file.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM note").fetchone()
        assert file._connection is not None
        await file._connection.run(lambda c: c.execute("PRAGMA busy_timeout = 0"))
        with pytest.raises(LocalError, match="file_busy"):
            await file.purge(emptied)
    await file.purge(lambda c: None)
    for path in (file.path, Path(f"{file.path}-wal")):
        assert b"secret" not in path.read_bytes(), path.name
    await file.close()


async def test_a_durable_file_waits_for_the_disk(tmp_path: Path) -> None:
    file = await opened(tmp_path / "branch.db")
    for pragma, value in (("synchronous", 2), ("secure_delete", 1), ("journal_mode", "wal")):
        found = await file.read(lambda c, p=pragma: c.execute(f"PRAGMA {p}").fetchone())  # type: ignore[misc]
        assert found == (value,)
    await file.close()
