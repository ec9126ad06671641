"""Damaged files: the replica is set aside and fetched anew; of the outbox all that can be read is kept."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import msgspec
import pytest

from regulars import Shop, files
from regulars.files import aside, connect_inline
from regulars.transport import ask
from regulars_server.erasure import erase
from regulars_sync.errors import LocalError
from regulars_sync.protocol import PullAnswer, PullRequest
from tests.support.chain import AppTransport, Chain, new_chain

PAGE = 4096


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path, snapshot_rows_min=1) as made:
        yield made


@asynccontextmanager
async def reopened(chain: Chain, name: str) -> AsyncIterator[Shop]:
    """The tablet's files in another process."""
    transport = chain.transports[name] = AppTransport(chain.app, chain.service)
    async with Shop.open(
        chain.folder / f"{name}.db",
        now_ms=chain.clock,
        entropy=chain.entropy,
        transport=lambda url: transport,
        connect=connect_inline,
        durable=False,
    ) as shop:
        yield shop


async def written(chain: Chain, synced: int, pending: int) -> list[str]:
    """A tablet `two` that has synced and then written more; closed. Its pending customers."""
    one = await chain.tablet("one")
    for number in range(synced):
        await one.customers.create(name=f"林芳 {number}", notes="likes oak " * 20)
    await one.sync()
    two = await chain.tablet("two")
    for number in range(20):
        await two.customers.create(name=f"Early {number}", notes="e" * 300)
    await two.sync()
    made = [(await two.customers.create(name=f"Late {n}", notes="n" * 300)).id for n in range(pending)]
    await close(two)
    return made


async def close(shop: Shop) -> None:
    """Close its files for good, with nothing left in their logs."""
    for file in (shop._rows.file, shop._outbox.file):
        connection = file._connection
        assert connection is not None
        await connection.run(lambda c: c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
        await file.close()


def flip(file: Path, first: int, last: int | None = None, seed: int = 1) -> None:
    """Overwrite pages (from 0) with noise."""
    raw = bytearray(file.read_bytes())
    chance = random.Random(seed)
    pages = range(first, (last or first) + 1)
    for page in pages:
        raw[page * PAGE : (page + 1) * PAGE] = chance.randbytes(PAGE)
    file.write_bytes(raw)


def zero_header(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[:100] = bytes(100)
    file.write_bytes(raw)


def truncate(file: Path) -> None:
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.truncate(size // 2 // PAGE * PAGE)


def shred(file: Path) -> None:
    flip(file, 1, file.stat().st_size // PAGE - 1)


# --- the replica ----------------------------------------------------------------------------------------


def first_page(file: Path) -> None:
    flip(file, 0)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def everything(file: Path) -> None:
    flip(file, 0, file.stat().st_size // PAGE - 1)


@pytest.mark.parametrize("damage", [shred, truncate, zero_header, first_page, empty])
async def test_a_damaged_replica_is_fetched_anew_and_nothing_written_is_lost(
    chain: Chain, damage: Callable[[Path], None]
) -> None:
    pending = await written(chain, 60, 5)
    damage(chain.folder / "two.db")
    async with reopened(chain, "two") as two:
        for id in pending:
            assert "Late" in str((await two.customers.get(id)).name)
        report = await two.sync()
        for _ in range(2):
            report = report if report.equal else await two.sync()
        assert (report.equal, report.problem) == (True, None)
        assert await chain.digests_equal(two)
        assert len(await two.customers.list(limit=1000)) == 85
        status = await two.status()
        assert (status.pending, status.lost, status.damaged) == (0, 0, ())
    assert not list(chain.folder.glob("*damaged*"))


async def test_damage_that_shows_while_it_is_open_is_no_end_of_work(chain: Chain) -> None:
    pending = await written(chain, 60, 5)
    async with reopened(chain, "two") as two:
        shred(chain.folder / "two.db")
        two_connection = two._rows.file._connection
        assert two_connection is not None
        await two_connection.run(lambda c: c.execute("PRAGMA shrink_memory"))
        assert len(await two.customers.list(limit=1000)) in {5, 85}  # pending ones, and what was in memory
        report = await two.sync()
        for _ in range(2):
            report = report if report.equal else await two.sync()
        assert report.equal
        assert await chain.digests_equal(two)
        assert {c.id for c in await two.customers.list(limit=1000)} >= set(pending)


async def test_a_lost_log_of_the_replica_is_made_up_for(chain: Chain) -> None:
    one = await chain.tablet("one")
    two = await chain.tablet("two")
    await two.sync()
    await close(two)
    async with reopened(chain, "two") as two:
        await one.customers.create(name="林芳")
        await one.sync()
        await two.sync()
        shutil.copy(chain.folder / "two.db", chain.folder / "kept")
    for end in ("", "-wal", "-shm"):
        (chain.folder / f"two.db{end}").unlink(missing_ok=True)
    shutil.copy(chain.folder / "kept", chain.folder / "two.db")
    async with reopened(chain, "two") as two:
        assert (await two.sync()).equal
        assert await chain.digests_equal(two)


async def test_a_set_aside_replica_goes_with_the_next_equal_sync(chain: Chain) -> None:
    await written(chain, 60, 1)
    shred(chain.folder / "two.db")
    async with reopened(chain, "two") as two:
        await two.customers.list(limit=1000)
        chain.transports["two"].online = False
        await two.sync()
        assert (await two.status()).damaged == ("two.damaged-1.db",)
        chain.transports["two"].online = True
        await two.sync()
        assert (await two.status()).damaged == ()


# --- the outbox -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
async def test_every_readable_change_of_a_damaged_outbox_is_sent(chain: Chain, seed: int) -> None:
    pending = await written(chain, 3, 40)
    file = chain.folder / "two.outbox.db"
    chance = random.Random(seed)
    pages = file.stat().st_size // PAGE
    for page in chance.sample(range(pages), 1 + seed % 3):
        flip(file, page, seed=seed)
    async with reopened(chain, "two") as two:
        found = await two._outbox.live()
        status = await two.status()
        if not status.paired:  # who it was cannot be read: it is paired anew
            code = await chain.service.access.new_pairing_code(chain.units["Nanjing Road"], "two")
            await two.pair("http://hq", code)
        await two.sync()
        await two.sync()
        report = await two.sync()
        assert (report.problem, report.equal) == (None, True)
        assert (await two.status()).pending == 0
        assert await chain.digests_equal(two)
        kept = {change.id for change in found} & set(pending)
        here = {customer.id for customer in await two.customers.list(limit=1000)}
        assert kept <= here
        assert len(kept) >= 40 - 20 * (1 + seed % 3)
        again = await two.customers.create(name="afterwards")
        report = await two.sync()
        assert (report.pushed, report.equal) == (1, True)
        assert (await two.customers.get(again.id)).name == "afterwards"


async def test_files_that_were_set_aside_go_with_whoever_is_erased(chain: Chain) -> None:
    await written(chain, 3, 40)
    file = chain.folder / "two.outbox.db"
    flip(file, file.read_bytes().index(b'"Late 20"') // PAGE)
    async with reopened(chain, "two") as two:
        assert (await two.sync()).equal
        assert aside(file).exists()
        early = next(c for c in await two.customers.list(limit=100) if c.name == "Early 7")
        await erase(chain.service, early.id, "asked for it")
        assert aside(file).exists()
        assert (await two.sync()).equal
        assert not aside(file).exists()
        found = b"".join(each.read_bytes() for each in chain.folder.glob("two*"))
        assert b"Early 7" not in found


async def test_numbers_that_were_lost_are_named(chain: Chain) -> None:
    await written(chain, 3, 40)
    file = chain.folder / "two.outbox.db"
    flip(file, file.read_bytes().index(b'"Late 20"') // PAGE)
    async with reopened(chain, "two") as two:
        live = await two._outbox.live()
        status = await two.status()
        assert status.lost > 0
        assert status.lost + len(live) == 40
        assert status.damaged == ("two.outbox.damaged-1.db",)
        before = len(chain.transports["two"].requests)
        await two.sync()
        pushed = [body for path, body in chain.transports["two"].requests[before:] if path.endswith("push")]
        assert b'"gap":{"incarnation"' in pushed[0]


async def test_a_zeroed_header_of_the_outbox_costs_nothing(chain: Chain) -> None:
    pending = await written(chain, 3, 40)
    zero_header(chain.folder / "two.outbox.db")
    async with reopened(chain, "two") as two:
        assert (await two.status()).lost == 0
        assert {change.id for change in await two._outbox.live()} >= set(pending)
        assert (await two.sync()).equal
        assert await chain.digests_equal(two)


@pytest.mark.parametrize("damage", [everything, empty, Path.unlink])
async def test_an_outbox_of_which_nothing_is_left_is_said_aloud_again_and_again(
    chain: Chain, damage: Callable[[Path], None]
) -> None:
    await written(chain, 3, 4)
    damage(chain.folder / "two.outbox.db")
    for _ in range(2):
        with pytest.raises(LocalError) as error:
            async with reopened(chain, "two"):
                pass
        assert error.value.code == "outbox_lost"
    for end in ("", ".outbox"):
        (chain.folder / f"two{end}.db").unlink(missing_ok=True)
    async with reopened(chain, "two") as two:
        assert not (await two.status()).paired


async def test_damage_of_the_outbox_that_shows_while_it_is_open(chain: Chain) -> None:
    pending = await written(chain, 3, 60)
    file = chain.folder / "two.outbox.db"
    async with reopened(chain, "two") as two:
        flip(file, file.stat().st_size // PAGE - 2)
        lin = await two.customers.create(name="after the damage")
        await two.sync()
        await two.sync()
        report = await two.sync()
        assert (report.problem, report.equal) == (None, True)
        here = {customer.id for customer in await two.customers.list(limit=1000)}
        assert lin.id in here
        assert len(here & set(pending)) >= 30


# --- a byte of what a replica keeps ---------------------------------------------------------------------


async def with_a_held_change(chain: Chain) -> tuple[str, str]:
    """A closed tablet `two` with two customers and a held change; their ids."""
    two = await chain.tablet("two")
    lin = await two.customers.create(name="林芳", notes="likes oak")
    wang = await two.customers.create(name="王伟")
    await two.interactions.record(lin, kind="visit", note="first")
    await two.sync()
    await two.interactions.record(chain.new_id(), kind="visit", note="of nobody")
    await two.sync()
    assert len(await two.held()) == 1
    await close(two)
    return lin.id, wang.id


async def code_of(reading: Awaitable[object]) -> str:
    with pytest.raises(LocalError) as error:
        await reading
    assert error.value.text()
    return error.value.code


DOCUMENTS = {
    "customer": b'"notes":"likes oak"',
    "its meta": b'"v":[["',
    "fact": b'"note":"first"',
    "verdict": b'"verdict":"held"',
}


@pytest.mark.parametrize("what", DOCUMENTS)
@pytest.mark.parametrize("reindexed", [False, True])
async def test_a_document_that_cant_be_read_is_said_and_mended_by_the_next_sync(
    chain: Chain, what: str, reindexed: bool
) -> None:
    lin, wang = await with_a_held_change(chain)
    file = chain.folder / "two.db"
    with closing(sqlite3.connect(file)) as database:
        entity = {"fact": "interaction", "verdict": "change_verdict"}.get(what, "customer")
        id = database.execute(
            "SELECT id, document FROM row WHERE entity = ? AND instr(document, CAST(? AS BLOB)) ORDER BY id",
            (entity, DOCUMENTS[what].decode()),
        ).fetchone()[0]
        (raw,) = database.execute("SELECT document FROM row WHERE id = ?", (id,)).fetchone()
        broken = raw.replace(
            DOCUMENTS[what], b'"w":[["' if what == "its meta" else b"\x00" + DOCUMENTS[what][1:]
        )
        database.execute("UPDATE row SET document = ? WHERE id = ?", (broken, id))
        if reindexed:
            database.execute("UPDATE said SET value = 'older' WHERE name = 'schema'")
        database.commit()
    async with reopened(chain, "two") as two:
        if what == "verdict":
            assert await code_of(two.held()) == "file_damaged"
            assert (await two.customers.get(lin)).name == "林芳"
        elif what == "fact":
            assert (await two.customers.get(lin)).name == "林芳"
            if not reindexed:
                assert await code_of(two.interactions.of(lin)) == "file_damaged"
        else:
            assert await code_of(two.customers.get(lin)) == "file_damaged"
            if not reindexed:
                assert await code_of(two.customers.list()) == "file_damaged"
            assert (await two.customers.get(wang)).name == "王伟"
        assert not list(chain.folder.glob("*damaged*"))
        report = await two.sync()
        assert (report.problem, report.equal) == (None, True)
        assert {c.id for c in await two.customers.list()} == {lin, wang}
        assert [fact.note for fact in await two.interactions.of(lin)] == ["first"]
        assert len(await two.held()) == 1
        assert await chain.digests_equal(two)


async def test_damage_after_the_audit_of_today_is_mended_when_a_read_meets_it(chain: Chain) -> None:
    lin, _ = await with_a_held_change(chain)
    async with reopened(chain, "two") as two:
        assert (await two.sync()).equal
        await two._rows.file.write(
            lambda c: c.execute(
                "UPDATE row SET document = x'7b' WHERE entity = 'customer' AND id = ?", (lin,)
            )
        )
        assert await code_of(two.customers.get(lin)) == "file_damaged"
        report = await two.sync()
        assert (report.equal, report.repaired != {}) == (True, True)
        assert (await two.customers.get(lin)).name == "林芳"
        await two._rows.file.write(
            lambda c: c.execute("UPDATE row SET document = x'00' WHERE entity = 'change_verdict'")
        )
        assert (await two.sync()).equal  # the sync itself met it
        assert len(await two.held()) == 1


@pytest.mark.parametrize("seed", range(12))
async def test_a_bit_of_what_a_replica_notes_or_stages_never_misleads_it(chain: Chain, seed: int) -> None:
    lin, wang = await with_a_held_change(chain)
    other = await chain.tablet("one")
    for number in range(30):
        await other.customers.create(name=f"Early {number}")
    assert (await other.sync()).equal
    chance = random.Random(seed)
    async with reopened(chain, "two") as two:
        cursor = await two._rows.cursor()
        request = PullRequest(schema=two.registry.version, cursor=cursor, acked={}, rows_max=8)
        for _ in range(2):  # a pull that was cut off after two pages
            page = await ask(two._connected(), "/sync/v1/pull", request, two._said["token"], PullAnswer)
            assert isinstance(page, PullAnswer)
            await two._rows.stage(page)
            request = msgspec.structs.replace(request, cursor=page.cursor)

        def flip_one(connection: sqlite3.Connection) -> None:
            table, key, column = [("stage", "pos", "page"), ("said", "name", "value")][seed % 2]
            rows = connection.execute(f"SELECT {key}, {column} FROM {table} ORDER BY 1").fetchall()
            for name, value in rows:
                if table == "stage" and chance.random() < 0.5:
                    continue
                raw = bytearray(value if isinstance(value, bytes) else str(value).encode())
                raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
                cast = "" if isinstance(value, bytes) else "TEXT"
                given = f"CAST(? AS {cast})" if cast else "?"
                connection.execute(
                    f"UPDATE {table} SET {column} = {given} WHERE {key} = ?", (bytes(raw), name)
                )

        await two._rows.file.write(flip_one)
        await close(two)
    async with reopened(chain, "two") as two:
        assert {c.id for c in await two.customers.list()} == {lin, wang}
        fang = await two.customers.create(name="陈静")
        report = await two.sync()
        report = report if report.equal else await two.sync()
        assert (report.problem, report.equal) == (None, True)
        assert {lin, wang, fang.id} < {c.id for c in await two.customers.list(limit=100)}
        assert len(await two.customers.list(limit=100)) == 33
        assert len(await two.held()) == 1
        assert (await two.status()).pending == 0
        assert await chain.digests_equal(two)


@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize("lost", [(2,), (3,), (1,), (2, 3)])
async def test_what_is_left_of_a_transaction_never_waits_for_another_write(
    chain: Chain, lost: tuple[int, ...], sent: bool
) -> None:
    two = await chain.tablet("two")
    wang = await two.customers.create(name="王伟")
    if sent:
        await two.sync()
    async with two.transaction():
        for number in (1, 2, 3):
            await two.customers.create(name=f"Late {number}")
    gone = [(1 + number,) for number in lost]
    delete = "DELETE FROM change WHERE pos = ?"
    await two._outbox.file.write(lambda connection: connection.executemany(delete, gone))
    await two.sync()
    report = await two.sync()
    assert (report.problem, report.equal) == (None, True)
    assert (await two.status()).pending == 0
    held = await two.held()
    assert [change.code for change in held] == ["group_broken"] * (3 - len(lost))
    async with chain.service.storage.unscoped_reader() as reader:
        assert len(await reader.gaps(10)) == 1
        assert len(await reader.open_entries(10)) == 3 - len(lost)
    assert await two.customers.find(wang.id) is not None
    assert await chain.service.admission.retry(held[0].change.group, by_head_office=True)
    assert (await two.sync()).equal
    assert await two.held() == []
    assert len(await two.customers.list()) == 4 - len(lost)
    assert await chain.digests_equal(two)


# --- while another process has the files open --------------------------------------------------------------


def harm(file: Path) -> None:
    """So that what it holds can't be read whole, and an outbox still gives most of it."""
    last = file.stat().st_size // PAGE - 1
    flip(file, 1 if file.name == "two.db" else last - 1, last if file.name == "two.db" else None)


async def names(shop: Shop) -> set[str]:
    return {str(customer.name) for customer in await shop.customers.list(limit=1000)}


@pytest.mark.parametrize("file", ["two.db", "two.outbox.db"])
async def test_a_file_that_another_process_uses_is_replaced_when_that_one_lets_go(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.setattr(files, "USERS_WAIT_S", 0.001)
    await written(chain, 30, 40)
    async with reopened(chain, "two") as one:
        there = await names(one)
        harm(chain.folder / file)
        with pytest.raises(LocalError, match="file_busy"):
            async with reopened(chain, "two") as other:
                await names(other)
        assert not list(chain.folder.glob("*damaged*"))
        if file == "two.db":  # the outbox is whole, and takes what is written
            await one.customers.create(name="Meanwhile")
            there.add("Meanwhile")
    async with reopened(chain, "two") as other:
        report = await other.sync()
        for _ in range(3):
            report = report if report.equal else await other.sync()
        assert report.equal
        assert await chain.digests_equal(other)
        lost = (await other.status()).lost
        assert len(there - await names(other)) == lost
        assert lost == 0 or file == "two.outbox.db"


@pytest.mark.parametrize("file", ["two.db", "two.outbox.db"])
async def test_two_processes_that_find_the_same_damage_replace_the_file_once(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.setattr(files, "USERS_WAIT_S", 0.01)
    await written(chain, 30, 40)
    places: list[Path] = []
    put = files.put_aside

    def noted(path: Path) -> None:
        places.append(path)
        put(path)

    for module in ("regulars.files", "regulars.replica"):
        monkeypatch.setattr(f"{module}.put_aside", noted)
    async with reopened(chain, "two") as one, reopened(chain, "two") as other:
        await asyncio.gather(names(one), names(other))
        harm(chain.folder / file)
        for shop in (one, other):  # nothing of what was read before
            held = getattr(shop, "_rows" if file == "two.db" else "_outbox").file
            await held._connection.run(lambda c: c.execute("PRAGMA shrink_memory").fetchall())
        await asyncio.gather(names(one), names(other))
        assert places == [chain.folder / file]
        await one.customers.create(name="By one")
        await other.customers.create(name="By other")
        for shop in (one, other):
            assert {"By one", "By other"} <= await names(shop)
    async with reopened(chain, "two") as two:
        assert {"By one", "By other"} <= await names(two)
        report = await two.sync()
        for _ in range(3):
            report = report if report.equal else await two.sync()
        assert report.equal
        assert {"By one", "By other"} <= await names(two)
