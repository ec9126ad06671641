"""A chain moves from its file to PostgreSQL: the same chain to every tablet, whatever is cut off."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from regulars import Shop
from regulars_schema.entities import REGISTRY
from regulars_server.app import DATABASE
from regulars_server.knowledge.indexing import differing
from regulars_server.storage import copying
from regulars_server.storage.interface import Order
from regulars_server.storage.migrations import MOVED
from regulars_server.storage.postgres import Address, PostgresStorage
from regulars_server.storage.sqlite import SqliteStorage
from regulars_sync.errors import LocalError
from tests.support.chain import NOON_MS, new_chain, open_chain
from tests.support.commands import Commands
from tests.support.postgres import Databases
from tests.support.server import ServerProcess, serving


@pytest.fixture
def url(postgres: Databases) -> Iterator[str]:
    url = postgres.new()
    yield f"{url}?schema=songhe"
    postgres.drop(url)


async def filled(folder: Path) -> Path:
    """A closed chain with customers of every kind of document, held changes, tokens and a device."""
    async with new_chain(folder) as chain:
        one = await chain.tablet("one", sensitive=True)
        lin = await one.customers.create(name="林芳", phone="13800138000", tags=["vip"], income_band="high")
        await one.interactions.record(lin, kind="visit", note="likes oak")
        await one.interactions.record(chain.new_id(), kind="visit", note="of nobody")
        await one.sync()
        await chain.service.access.add_login("amy", "correct horse", "admin")
        await chain.service.checking.drain()
    return folder / DATABASE


async def everything(storage: SqliteStorage | PostgresStorage) -> tuple[object, ...]:
    """What a storage is: identity, head, rows, log, digests, and what it found out of customers."""
    await storage.open()
    try:
        entries = await storage.verify_log()
        async with storage.unscoped_reader() as reader:
            units = await reader.select("unit", None, Order(), 100)
            scopes = [f"unit:{unit.id}" for unit in units]
            rows = {
                entity.name: [
                    (row.id, row.documents, row.seqs)
                    for row in await reader.select(entity.name, None, Order(), 1_000)
                ]
                for entity in REGISTRY.entities
            }
            digests = dict(await reader.digests(["chain", *scopes, *(f"{s}/sensitive" for s in scopes)]))
            open_ = [entry.cid for entry in await reader.open_entries(100)]
            ids = [row.id for row in await reader.select("customer", None, Order(), 1_000)]
            found = [await reader.standings(ids), await reader.movements(100), await reader.next_due()]
            index = await reader.counted(ids)
            assert index
            assert await differing(reader, NOON_MS) == []
            return storage.chain, await reader.head(), rows, entries, digests, open_, found, index
    finally:
        await storage.close()


async def test_every_row_token_and_mark_is_there(tmp_path: Path, url: str) -> None:
    file = await filled(tmp_path)
    before = await everything(SqliteStorage(file, REGISTRY))
    regulars = Commands(tmp_path)
    moved = await asyncio.to_thread(regulars.asked, "move", "--to", url)
    assert moved["rows"] > 20
    assert await everything(PostgresStorage(url, REGISTRY)) == before
    with pytest.raises(LocalError, match="chain_moved"):
        await SqliteStorage(file, REGISTRY).open()
    there = Commands(tmp_path, database=url)
    logins = await asyncio.to_thread(there.asked, "login", "list")
    assert [(login["name"], login["active"]) for login in logins] == [("amy", True)]
    added = await asyncio.to_thread(there, "unit", "add", "Third", "--kind", "branch")
    assert added.code == 0, added.err
    assert (await asyncio.to_thread(regulars.problem, "move", "--to", url))["code"] == "chain_moved"


@pytest.mark.parametrize("steps", [0, 1, 5, 14])
async def test_what_was_cut_off_goes_on_where_it_was(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr(copying, "ROWS_A_STEP", 2)
    file = await filled(tmp_path)
    before = await everything(SqliteStorage(file, REGISTRY))
    address, written = Address.parse(url), 0
    write = copying.PostgresSide.write

    class Cut(Exception):
        pass

    async def cut(self: copying.PostgresSide, *given: object) -> None:
        nonlocal written
        if written == steps:
            raise Cut
        written += 1
        await write(self, *given)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(copying.PostgresSide, "write", cut)
        async with copying.from_sqlite(str(file)) as source:
            with pytest.raises(Cut):
                async with copying.to_postgres(address) as target:
                    await copying.copy(source, target)
    with pytest.raises(LocalError, match="copy_unfinished"):
        await PostgresStorage(url, REGISTRY).open()
    done: list[int] = []
    async with copying.from_sqlite(str(file)) as source, copying.to_postgres(address) as target:
        rows = await copying.copy(source, target, lambda name, there, total: done.append(there))
    assert steps == 0 or any(done[:1])
    assert await everything(PostgresStorage(url, REGISTRY)) == before
    async with copying.from_sqlite(str(file)) as source, copying.to_postgres(address) as target:
        assert await copying.copy(source, target) == rows, "a second time changes nothing"


async def test_a_chain_that_went_on_meanwhile_is_copied_anew(tmp_path: Path, url: str) -> None:
    file = await filled(tmp_path)
    address = Address.parse(url)
    async with copying.from_sqlite(str(file)) as source, copying.to_postgres(address) as target:
        await target.begin(await source.mark())
        await target.write("term", ["id", "name"], [(999, "left over")])
    async with open_chain(tmp_path) as chain:
        await chain.unit("Third", "branch")
    before = await everything(SqliteStorage(file, REGISTRY))
    async with copying.from_sqlite(str(file)) as source, copying.to_postgres(address) as target:
        await copying.copy(source, target)
    assert await everything(PostgresStorage(url, REGISTRY)) == before


async def test_nothing_is_moved_from_under_a_server_or_over_another_chain(tmp_path: Path, url: str) -> None:
    regulars = Commands(tmp_path)
    (tmp_path / "other").mkdir()
    other = Commands(tmp_path / "other")
    await filled(tmp_path / "other")
    async with new_chain(tmp_path):
        assert (await asyncio.to_thread(regulars.problem, "move", "--to", url))["code"] == "file_busy"
    await asyncio.to_thread(regulars.asked, "move", "--to", url)
    assert (await asyncio.to_thread(other.problem, "move", "--to", url))["code"] == "chain_exists"
    with closing(sqlite3.connect(tmp_path / "other" / DATABASE)) as connection:
        assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name=?", (MOVED,)).fetchall()
    assert (await asyncio.to_thread(other.problem, "move", "--to", "mysql://x"))["code"] == "setting_invalid"


async def test_a_tablet_notices_nothing_but_a_pause(tmp_path: Path, url: str) -> None:
    server = ServerProcess(tmp_path / "chain")
    server.start()
    unit = str(server.run("unit", "add", "Orchard", "--kind", "branch")["id"])
    code = str(server.run("device", "invite", unit)["code"])
    async with Shop.open(tmp_path / "one.db") as one:
        await one.pair(server.url, code)
        lin = await one.customers.create(name="林芳")
        assert (await one.sync()).equal
        cursor = await one._rows.cursor()
        server.stop()
        server.run("move", "--to", url)
        await one.customers.edit(lin, notes="while it moved")
        with serving(tmp_path / "chain", "--database", url, "--port", str(server.port)):
            report = await one.sync()
        assert (report.problem, report.applied, report.equal) == (None, 1, True)
        assert report.pulled <= 2
        assert await one._rows.cursor() != cursor
        assert (await one.status()).lost == 0
