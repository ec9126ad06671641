"""Changes reach the other tablet by themselves, and a device without the right hears nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from regulars import Shop
from regulars_schema.declare import Level
from regulars_server.authors import SERVER
from regulars_server.devices import revoke
from regulars_server.hub import EVERYTHING, HEARTBEAT_S, Hub
from regulars_server.live import events
from regulars_sync.round import SyncReport
from tests.support.chain import Chain, new_chain
from tests.support.sockets import served

PATIENCE_S = 20.0
"""Far beyond what anything here takes: a test that waits so long has failed."""


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


class Running:
    """A tablet in its loop, and what it reports."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.reports: asyncio.Queue[SyncReport] = asyncio.Queue()

    @asynccontextmanager
    async def loop(self) -> AsyncIterator[Running]:
        stopped = asyncio.Event()
        task = asyncio.create_task(self.shop.sync_forever(self.reports.put_nowait, stopped))
        try:
            yield self
        finally:
            stopped.set()
            async with asyncio.timeout(PATIENCE_S):
                await task

    async def until_held(self, id: str) -> None:
        """Until a sync has brought the row."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.shop.customers.find(id) is None:
                await self.reports.get()


async def test_a_write_here_is_readable_there_without_anybody_calling_sync(chain: Chain) -> None:
    one, two = await chain.tablet("one"), await chain.tablet("two")
    async with Running(one).loop() as here, Running(two).loop() as there:
        await here.reports.get()
        await there.reports.get()
        lin = await one.customers.create(name="林芳")
        await there.until_held(lin.id)
    assert (await one.status()).pending == 0


async def test_the_end_of_a_loop_keeps_the_shop_open(chain: Chain) -> None:
    one = await chain.tablet("one")
    async with Running(one).loop() as here:
        await here.reports.get()
    assert (await one.customers.create(name="林芳")).state.pending
    assert (await one.sync()).equal


async def test_a_commit_out_of_reach_wakes_nobody(chain: Chain) -> None:
    await chain.tablet("one")
    token, scopes = await listener(chain, "one")
    stream = events(chain.service, token, scopes)
    assert await anext(stream) == b"event: ready\ndata: {}\n\n"
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await chain.write(
        "create", "customer", chain.new_id(), {"name": "theirs", "home_unit": chain.units["Orchard"]}
    )
    await asyncio.sleep(0)
    assert not waiting.done()
    await chain.write(
        "create", "customer", chain.new_id(), {"name": "ours", "home_unit": chain.units["Nanjing Road"]}
    )
    assert await waiting == b"event: change\ndata: {}\n\n"
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_revoked_device_is_told_that_it_is_over(chain: Chain) -> None:
    one = await chain.tablet("one")
    token, scopes = await listener(chain, "one")
    stream = events(chain.service, token, scopes)
    await anext(stream)
    device = (await one.status()).device
    assert device is not None
    await revoke(chain.service, device)
    assert await anext(stream) == b"event: end\ndata: {}\n\n"
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


def test_who_has_gone_is_woken_no_more() -> None:
    hub = Hub()
    with hub.waiting(["a", "b"]) as gone:
        pass
    with hub.waiting(["a"]) as there:
        hub.publish(["a", "b"])
    assert there.is_set()
    assert not gone.is_set()


def test_a_commit_that_touched_no_scope_wakes_who_waits_for_everything() -> None:
    hub = Hub()
    with hub.waiting([EVERYTHING]) as all_, hub.waiting(["a"]) as some:
        hub.publish([])
        assert all_.is_set()
        assert not some.is_set()


async def test_a_server_that_stops_ends_every_line(chain: Chain) -> None:
    await chain.tablet("one")
    token, scopes = await listener(chain, "one")
    stream = events(chain.service, token, scopes)
    await anext(stream)
    chain.service.hub.close()
    assert await anext(stream) == b"event: end\ndata: {}\n\n"


async def test_who_comes_while_the_server_stops_is_told_at_once(chain: Chain) -> None:
    await chain.tablet("one")
    token, scopes = await listener(chain, "one")
    chain.service.hub.close()
    stream = events(chain.service, token, scopes)
    assert await anext(stream) == b"event: ready\ndata: {}\n\n"
    async with asyncio.timeout(HEARTBEAT_S / 2):
        assert await anext(stream) == b"event: end\ndata: {}\n\n"


async def test_what_another_process_wrote_wakes_everybody(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regulars_server.hub.POLL_S", 0)
    hub = Hub()  # the commits below tell the service's own hub, as those of another process would
    with hub.waiting(["anything"]) as touched:
        watching = asyncio.create_task(hub.watch(chain.service.storage))
        async with asyncio.timeout(PATIENCE_S):
            while not touched.is_set():
                await chain.write("create", "customer", chain.new_id(), {"name": "林芳"})
                await asyncio.sleep(0)
        watching.cancel()


async def test_what_this_process_wrote_wakes_nobody_else(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look at the head that finds own commits is not a reason to wake every tablet of the chain."""
    monkeypatch.setattr("regulars_server.hub.POLL_S", 0)
    monkeypatch.setattr("regulars_server.hub.SETTLE_S", 0.01)
    service = chain.service
    heard: list[object] = []
    with service.hub.waiting(["anything"]) as touched, service.hub.waiting([EVERYTHING]) as all_:
        watching = asyncio.create_task(service.hub.watch(service.storage, heard.append))
        for _ in range(50):
            await chain.write("create", "customer", chain.new_id(), {"name": "林芳"})
            await asyncio.sleep(0)
        assert all_.is_set()
        assert not touched.is_set()
        assert heard == []
        watching.cancel()


async def listener(chain: Chain, name: str) -> tuple[str, frozenset[str]]:
    """The token of a tablet and its scopes."""
    said = await chain.shops[name]._outbox.said()
    _, author = await chain.service.device(str(said["token"]))
    assert author.scopes is not None
    return str(said["token"]), author.scopes


async def test_who_loses_a_row_is_woken_as_well_as_who_gets_it(chain: Chain) -> None:
    await chain.tablet("one")
    await chain.tablet("two", "Orchard")
    id = chain.new_id()
    home = chain.units["Nanjing Road"]
    await chain.write("create", "customer", id, {"name": "moving", "home_unit": home})
    streams = [events(chain.service, *await listener(chain, name)) for name in ("one", "two")]
    for stream in streams:
        assert await anext(stream) == b"event: ready\ndata: {}\n\n"
    woken = [asyncio.ensure_future(anext(stream)) for stream in streams]
    await asyncio.sleep(0)
    async with chain.service.storage.unscoped_reader() as reader:
        (found,) = (await reader.find("customer", [id])).values()
    (cid,) = [entry[0] for entry in orjson.loads(found.documents[Level.INTERNAL])["v"]]
    move = chain.service.change(
        "edit", "customer", id, {"home_unit": chain.units["Orchard"]}, seen={"home_unit": [cid]}
    )
    await chain.service.admission.write(SERVER, [[move]])
    async with asyncio.timeout(HEARTBEAT_S / 2):
        assert await asyncio.gather(*woken) == [b"event: change\ndata: {}\n\n"] * 2
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]


async def test_no_more_tablets_listen_than_is_set(tmp_path: Path) -> None:
    async with new_chain(tmp_path, listeners_max=1) as chain, served(chain) as site:
        await chain.tablet("one")
        token, _ = await listener(chain, "one")
        async with site.http(token) as http:
            async with http.stream("GET", "/sync/v1/live") as first:
                assert first.status_code == 200
                lines = first.aiter_lines()
                assert await anext(lines) == "event: ready"
                refused = await http.get("/sync/v1/live")
                assert (refused.status_code, refused.json()["code"]) == (429, "streams_too_many")
                assert int(refused.headers["retry-after"]) > 0
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    if not chain.service.hub.listeners:
                        break
                    await asyncio.sleep(0.01)
            async with http.stream("GET", "/sync/v1/live") as second:
                assert second.status_code == 200
