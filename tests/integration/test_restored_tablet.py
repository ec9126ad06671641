"""A tablet whose files were copied back to before a sync loses nothing and applies nothing twice."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from regulars import Shop
from regulars.files import InlineConnection
from tests.support.chain import Chain, new_chain

SUFFIXES = (".db", ".outbox.db")


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


async def test_a_change_sent_before_the_copy_and_stamped_anew_after_it_is_the_same_change(
    chain: Chain,
) -> None:
    async def connect(path: Path) -> InlineConnection:
        return InlineConnection(path)

    one = await chain.tablet("one", "Nanjing Road")
    lin = await one.customers.create(name="林芳")
    for file in (one._rows.file, one._outbox.file):
        assert file._connection is not None
        await file._connection.run(lambda c: c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
        shutil.copyfile(file.path, f"{file.path}.copy")
    await one.customers.create(name="王伟")
    await one.sync()
    (chain.folder / "again").mkdir()
    for suffix in SUFFIXES:
        shutil.copyfile(chain.folder / f"one{suffix}.copy", chain.folder / "again" / f"one{suffix}")
    chain.clock.pass_(minutes=1)
    opened = Shop.open(
        chain.folder / "again" / "one.db",
        now_ms=chain.clock,
        entropy=chain.entropy,
        transport=lambda url: chain.transports["one"],
        connect=connect,
    )
    async with opened as again:
        report = await again.sync()
        assert (report.applied, report.rejected) == (1, 0), report
        assert (await again.status()).pending == 0
        assert await chain.digests_equal(again)
    async with chain.service.storage.unscoped_reader() as reader:
        assert len(await reader.history("customer", lin.id)) == 1
        assert not await reader.open_entries(10)


async def test_a_copied_tablet_offers_all_that_the_other_never_sent(chain: Chain) -> None:
    """Two tablets with one identity write different numbers of changes; a held one stands among them."""

    async def connect(path: Path) -> InlineConnection:
        return InlineConnection(path)

    one = await chain.tablet("one", "Nanjing Road")
    await one.customers.create(name="林芳")
    await one.sync()
    (chain.folder / "copy").mkdir()
    for file in (one._rows.file, one._outbox.file):
        assert file._connection is not None
        await file._connection.run(lambda c: c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
        shutil.copyfile(file.path, chain.folder / "copy" / file.path.name)
    opened = Shop.open(
        chain.folder / "copy" / "one.db",
        now_ms=chain.clock,
        entropy=chain.entropy,
        transport=lambda url: chain.transports["one"],
        connect=connect,
    )
    async with opened as copy:
        mine = await one.customers.create(name="王伟")
        await one.sync()
        theirs = [await copy.customers.create(name=f"{i}") for i in range(3)]
        await copy.interactions.record(chain.new_id(), kind="visit")
        for shop in (copy, one, copy, one):
            assert (await shop.sync()).equal
        for shop in (one, copy):
            assert [(await shop.customers.get(row.id)).name for row in (mine, *theirs)] == [
                "王伟",
                "0",
                "1",
                "2",
            ]
            assert (await shop.status()).pending == 0
        incarnations = await copy._outbox.incarnations()
        for _ in range(3):
            await copy.sync()
        assert await copy._outbox.incarnations() == incarnations
