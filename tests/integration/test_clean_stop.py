"""A round cancelled at each instant at which it waits: no write is lost, nothing is half done."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from regulars import Shop
from regulars.files import Connection, InlineConnection, connect
from regulars.lease import Lease
from regulars_server import devices
from tests.support.chain import AppTransport, Chain, new_chain

T = TypeVar("T")


class Stop:
    """Cancels whoever waits for the `at`-th time."""

    def __init__(self) -> None:
        self.at: int | None = None
        self.passed = 0

    def set(self, at: int | None) -> None:
        self.at, self.passed = at, 0

    async def point(self) -> None:
        self.passed += 1
        if self.passed == self.at:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        await asyncio.sleep(0)

    @property
    def struck(self) -> bool:
        return self.at is not None and self.passed >= self.at


class Halting(InlineConnection):
    """A connection on which a caller may be stopped before its work begins, and after it was done."""

    def __init__(self, path: Path, stop: Stop) -> None:
        super().__init__(path)
        self._stop = stop

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        await self._stop.point()
        result = work(self._connection)
        await self._stop.point()
        return result


class HaltingTransport(AppTransport):
    def __init__(self, chain: Chain, stop: Stop) -> None:
        super().__init__(chain.app, chain.service)
        self._stop = stop

    async def post(self, path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        await self._stop.point()
        answer = await super().post(path, body, token)
        await self._stop.point()
        return answer


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


@pytest.fixture
def stop() -> Stop:
    return Stop()


async def open_tablet(chain: Chain, stop: Stop, name: str = "one") -> Shop:
    async def halting(path: Path) -> Connection:
        return Halting(path, stop)

    shop = await chain.stack.enter_async_context(
        Shop.open(
            chain.folder / f"{name}.db",
            now_ms=chain.clock,
            entropy=chain.entropy,
            transport=lambda url: HaltingTransport(chain, stop),
            connect=halting,
            durable=False,
        )
    )
    code = await chain.service.access.new_pairing_code(chain.units["Nanjing Road"], name)
    await shop.pair("http://hq", code, name)
    return shop


async def stopped_at(stop: Stop, shop: Shop, at: int) -> bool:
    """Whether the round was still under way at its `at`-th wait, and was stopped there."""
    stop.set(at)
    try:
        await asyncio.create_task(shop.sync())
    except asyncio.CancelledError:
        assert stop.struck
    finally:
        struck = stop.struck
        stop.set(None)
    return struck


def is_free(shop: Shop) -> bool:
    with Lease(shop._rows.file.path).taken() as is_ours:
        return is_ours


@pytest.mark.parametrize("rotating", [False, True])
async def test_a_round_stopped_anywhere_loses_nothing_and_the_next_one_goes_on(
    chain: Chain, stop: Stop, rotating: bool
) -> None:
    shop = await open_tablet(chain, stop)
    other = await chain.tablet("other")
    made: list[str] = []
    at = 0
    struck = True
    while struck:
        at += 1
        if rotating:
            chain.clock.pass_(days=91)
        async with shop.transaction():
            lin = await shop.customers.create(name="林芳")
            await shop.interactions.record(lin, kind="visit")
        theirs = await other.customers.create(name="theirs")
        await other.sync()
        await shop.customers.edit(lin, notes=f"{at}")
        struck = await stopped_at(stop, shop, at)
        assert is_free(shop)
        row = await shop.customers.get(lin.id)
        assert (row.name, row.notes) == ("林芳", f"{at}")
        assert len(await shop.interactions.of(lin.id)) == 1
        report = await shop.sync()
        if report.problem is not None:  # it had just taken another token, and asks with the former one again
            assert rotating
            report = await shop.sync()
        assert (report.problem, report.equal) == (None, True)
        assert (await shop.status()).pending == 0
        assert (await shop.customers.get(theirs.id)).name == "theirs"
        made += [lin.id]
    assert at > 30
    assert await chain.digests_equal(shop)
    async with chain.service.storage.unscoped_reader() as reader:
        assert [len(await reader.history("customer", id)) for id in made] == [2] * len(made)
    assert len(await shop._outbox.incarnations()) == 1


async def test_a_wipe_stopped_anywhere_is_done_in_the_end(chain: Chain, stop: Stop) -> None:
    struck, at = True, 0
    while struck:
        at += 1
        shop = await open_tablet(chain, stop, f"tablet {at}")
        await shop.customers.create(name="vermilion")
        await shop.sync()
        device = (await shop.status()).device
        assert device is not None
        await devices.wipe(chain.service, device)
        struck = await stopped_at(stop, shop, at)
        if (await shop.status()).paired:
            assert (await shop.sync()).wiped
        assert not (await shop.status()).paired
        assert b"vermilion" not in b"".join(file.read_bytes() for file in chain.folder.glob(f"tablet {at}.*"))
        assert "wiped_at" in (await devices._rows(chain.service, [device]))[device]
    assert at > 8


@pytest.mark.parametrize("turns", [*range(0, 40, 3), *range(40, 400, 30)])
async def test_a_loop_cancelled_at_any_turn_ends_with_all_it_began_and_the_files_close(
    chain: Chain, tmp_path: Path, turns: int
) -> None:
    """The files have threads here, as those of a real tablet have."""
    wire = AppTransport(chain.app, chain.service)
    place = tmp_path / "threaded.db"
    code = await chain.service.access.new_pairing_code(chain.units["Nanjing Road"], "threaded")
    before = asyncio.all_tasks()
    async with Shop.open(place, transport=lambda url: wire, connect=connect, durable=False) as shop:
        await shop.pair("http://hq", code)
        lin = await shop.customers.create(name="林芳")
        running = asyncio.create_task(shop.sync_forever())
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        left = {str(task.get_coro()) for task in asyncio.all_tasks() - before}
        assert all("Access." in name for name in left), left  # the server's own go on
    wire = AppTransport(chain.app, chain.service)
    async with Shop.open(place, transport=lambda url: wire, connect=connect, durable=False) as shop:
        assert (await shop.customers.get(lin.id)).name == "林芳"
        assert (await shop.sync()).equal
        assert (await shop.status()).pending == 0
    async with chain.service.storage.unscoped_reader() as reader:
        assert len(await reader.history("customer", lin.id)) == 1
