"""Power fails at every commit of a session: whatever was acknowledged before is there, and all goes on."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from regulars import Shop
from regulars.files import InlineConnection
from regulars_schema.entities import REGISTRY
from regulars_server.app import DATABASE
from regulars_server.storage.sqlite import SqliteStorage, inline
from tests.support.chain import AppTransport, Chain, new_chain
from tests.support.power import Recorder, Step, failures, is_whole, lay_out

WRITES = 50
PUSHES = 5
"""After so many writes each the tablet syncs."""
SHAPES = 2
"""So many disks are rebuilt for every cut."""
SYNCED = 9
"""Every so-many-th tablet that comes back syncs with the server, which may be ahead of it."""


async def open_tablet(chain: Chain, path: Path) -> Shop:
    transport = AppTransport(chain.app, chain.service)

    async def connect(path: Path) -> InlineConnection:
        return InlineConnection(path)

    return await chain.stack.enter_async_context(
        Shop.open(
            path,
            now_ms=chain.clock,
            entropy=chain.entropy,
            transport=lambda url: transport,
            connect=connect,
        )
    )


async def session(chain: Chain, recorder: Recorder, writes: int, synchronous: str | None) -> None:
    """Writes on a tablet with syncs and checkpoints between; notes who said what is durable when.

    `synchronous` None: as tablet and server set it themselves.
    """
    shop = await open_tablet(chain, chain.folder / "branch.db")
    storage: Any = chain.service.storage
    connections: list[tuple[Any, int]] = [
        (shop._rows.file._connection, 12),
        (shop._outbox.file._connection, 12),
        (storage._writer, 120),
    ]
    for connection, pages in connections:
        if synchronous is not None:
            connection._connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection._connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
    code = await chain.service.access.new_pairing_code(chain.units["Nanjing Road"], "branch")
    await shop.pair("http://hq", code)
    waiting: list[str] = []
    for i in range(1, writes + 1):
        lin = await shop.customers.create(name=f"林芳 {i}", notes="x" * 700)
        recorder.acked(f"tablet {lin.id}")
        waiting.append(lin.id)
        if i % PUSHES == 0:
            assert (await shop.sync()).equal
            for id in waiting:
                recorder.acked(f"server {id}")
            waiting.clear()
    recorder.over()


async def lost_on_tablet(chain: Chain, steps: Sequence[Step], folder: Path) -> int:
    """How many acknowledged writes a tablet lost, over all failures; else it is whole and goes on."""
    lost = 0
    for number, failed in enumerate(failures(steps, "branch.", random.Random(1), SHAPES)):
        lay_out(failed.images, folder)
        shop = await open_tablet(chain, folder / "branch.db")
        assert is_whole(folder / "branch.db")
        assert is_whole(folder / "branch.outbox.db")
        customers = await shop.customers.list(limit=2 * WRITES)
        lost += len(told(failed.acked, "tablet ") - {customer.id for customer in customers})
        if number % SYNCED == 0 and shop.unit is not None:
            assert (await shop.sync()).problem is None
            assert (await shop.status()).pending == 0
        await shop._rows.file.close()
        await shop._outbox.file.close()
    return lost


async def lost_on_server(steps: Sequence[Step], folder: Path) -> int:
    """How many acknowledged changes the server lost, over all failures; else it is whole."""
    lost = 0
    path = folder / DATABASE
    for failed in failures(steps, DATABASE, random.Random(2), SHAPES):
        lay_out(failed.images, folder)
        storage = SqliteStorage(path, REGISTRY, random.Random(3).randbytes, readers=1, connect=inline)
        await storage.open()
        assert is_whole(path)
        await storage.verify_log()
        wanted = told(failed.acked, "server ")
        async with storage.unscoped_reader() as reader:
            lost += len(wanted - (await reader.find("customer", wanted)).keys())
        await storage.close()
    return lost


def told(acked: Iterable[str], whom: str) -> set[str]:
    return {said.removeprefix(whom) for said in acked if said.startswith(whom)}


@contextmanager
def in_memory() -> Iterator[Path]:
    """A folder on a disk that syncs at once: what is durable is decided by what was recorded."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(prefix="regulars-", dir=memory if memory.is_dir() else None) as place:
        yield Path(place)


async def test_nothing_acknowledged_is_lost_when_power_fails() -> None:
    assert await lost_everywhere(WRITES) == (0, 0)


async def test_nothing_acknowledged_is_lost_in_the_shortest_session() -> None:
    assert await lost_everywhere(PUSHES) == (0, 0)


async def test_without_full_syncs_something_acknowledged_is_lost() -> None:
    """So the tests above can tell."""
    on_tablet, on_server = await lost_everywhere(2 * PUSHES, "NORMAL")
    assert on_tablet > 0
    assert on_server > 0


async def lost_everywhere(writes: int, synchronous: str | None = None) -> tuple[int, int]:
    """How many acknowledged writes tablet and server lost, over all failures of a session."""
    with in_memory() as place:
        recorder = Recorder(place / "live")
        recorder.folder.mkdir()
        with recorder.recording():
            async with new_chain(recorder.folder) as chain:
                await session(chain, recorder, writes, synchronous)
                steps = recorder.steps
                on_tablet = await lost_on_tablet(chain, steps, place / "tablet")
        return on_tablet, await lost_on_server(steps, place / "server")
