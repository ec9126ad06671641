"""Real processes, killed at random instants: what was acknowledged is there, once, and nothing is stuck."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from regulars import Shop
from regulars_schema.entities import REGISTRY
from regulars_server.storage.interface import Order
from regulars_server.storage.sqlite import SqliteStorage
from tests.support.server import ServerProcess

KILLS = int(os.environ.get("REGULARS_TEST_KILLS", "6"))

WRITER = """
import asyncio, sys
from regulars import Shop

async def main():
    async with Shop.open(sys.argv[1]) as shop:
        while True:
            async with shop.transaction():
                lin = await shop.customers.create(name="林芳")
                await shop.interactions.record(lin, kind="visit")
            print(lin.id, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    made = ServerProcess(tmp_path / "chain")
    made.start()
    yield made
    if made._process is not None:
        made.stop()


async def logged(folder: Path) -> Counter[tuple[str, str]]:
    """How often each row was created, by the server's own log; the log is checked on the way."""
    storage = SqliteStorage(folder / "chain.db", REGISTRY)
    await storage.open()
    try:
        await storage.verify_log()
        found: Counter[tuple[str, str]] = Counter()
        async with storage.unscoped_reader() as reader:
            for entity in ("customer", "interaction"):
                for row in await reader.select(entity, None, Order(), 1_000_000):
                    found[entity, row.id] += len(await reader.history(entity, row.id))
        return found
    finally:
        await storage.close()


async def test_a_server_killed_again_and_again_loses_nothing_and_doubles_nothing(
    server: ServerProcess, tmp_path: Path
) -> None:
    unit = str(server.run("unit", "add", "Nanjing Road", "--kind", "branch")["id"])
    chance = random.Random(7)
    acknowledged: set[str] = set()
    async with Shop.open(tmp_path / "one.db") as shop:
        await shop.pair(server.url, str(server.run("device", "invite", unit)["code"]))
        for _ in range(KILLS):
            killer = asyncio.get_running_loop().call_later(chance.uniform(0.02, 0.4), server.kill)
            while not killer.cancelled() and server._process is not None:
                lin = await shop.customers.create(name="林芳")
                acknowledged.add(lin.id)
                await shop.interactions.record(lin, kind="visit")
                await shop.sync()
            server.start()
        report = await shop.sync()
        assert report.problem is None
        status = await shop.status()
        assert (status.pending, status.held) == (0, 0)
        assert {c.id for c in await shop.customers.list(limit=100_000)} == acknowledged
    assert server.stop() == 0
    times = await logged(server.folder)
    assert {id for entity, id in times if entity == "customer"} == acknowledged
    assert set(times.values()) == {1}


def write_until_killed(file: Path, seconds: float) -> list[str]:
    """The ids that a writing process said were written before it was killed."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        first = writer.stdout.readline()
        timer = threading.Timer(seconds, writer.send_signal, [signal.SIGKILL])
        timer.start()
        rest, _ = writer.communicate()
        timer.join()
    return [line for line in (first + rest).split("\n")[:-1] if line]


async def test_a_tablet_killed_while_it_writes_keeps_every_write_that_returned(tmp_path: Path) -> None:
    chance = random.Random(8)
    told: list[str] = []
    for _ in range(KILLS):
        told += await asyncio.to_thread(write_until_killed, tmp_path / "one.db", chance.uniform(0, 0.2))
    async with Shop.open(tmp_path / "one.db") as shop:
        for id in told:
            assert len(await shop.interactions.of(id)) == 1
        customers = await shop.customers.list(limit=100_000)
        assert len(customers) - len(told) in range(KILLS + 1)
        assert (await shop.status()).pending == 2 * len(customers)


async def test_a_stop_finishes_what_was_accepted(server: ServerProcess, tmp_path: Path) -> None:
    unit = str(server.run("unit", "add", "Nanjing Road", "--kind", "branch")["id"])
    async with Shop.open(tmp_path / "one.db") as shop:
        await shop.pair(server.url, str(server.run("device", "invite", unit)["code"]))
        for _ in range(300):
            await shop.customers.create(name="林芳")
        stopped: list[asyncio.Future[int]] = []

        def stop_at_the_push(step: str) -> None:
            if step == "push":
                stopped.append(asyncio.get_running_loop().run_in_executor(None, server.stop))

        report = await shop.sync(stop_at_the_push)
        assert await stopped[0] == 0
        assert report.pushed in {0, 300}
        assert len(await logged(server.folder)) == report.pushed


SYNCER = """
import asyncio, sys
from regulars import Shop

async def main():
    async with Shop.open(sys.argv[1]) as shop:
        report = await shop.sync(lambda step: print(step, flush=True))
        print("equal" if report.equal else report.problem, flush=True)

asyncio.run(main())
"""


def sync_until_killed(file: Path, seconds: float) -> str:
    """The last thing that a syncing process said before it ended, by itself or by being killed."""
    with subprocess.Popen(
        [sys.executable, "-c", SYNCER, str(file)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        timer = threading.Timer(seconds, process.send_signal, [signal.SIGKILL])
        timer.start()
        rest, _ = process.communicate()
        timer.cancel()
    return (first + rest).split("\n")[-2]


async def test_a_tablet_killed_while_a_snapshot_comes_has_the_old_rows_or_the_new(
    server: ServerProcess, tmp_path: Path
) -> None:
    unit = str(server.run("unit", "add", "Nanjing Road", "--kind", "branch")["id"])
    async with Shop.open(tmp_path / "one.db") as shop:
        await shop.pair(server.url, str(server.run("device", "invite", unit)["code"]))
        for number in range(5):
            async with shop.transaction():
                for _ in range(100):
                    await shop.customers.create(name=f"林芳 {number}", notes="likes oak " * 20)
        assert (await shop.sync()).equal
    two = tmp_path / "two.db"
    async with Shop.open(two) as shop:
        await shop.pair(server.url, str(server.run("device", "invite", unit)["code"]))
        made = await shop.customers.create(name="written before")
    chance = random.Random(9)
    for _ in range(KILLS):
        said = await asyncio.to_thread(sync_until_killed, two, chance.uniform(0, 0.25))
        async with Shop.open(two) as shop:
            found = await shop.customers.list(limit=100_000)
            assert len(found) in {1, 501}, said
            assert made.id in {customer.id for customer in found}
    async with Shop.open(two) as shop:
        report = await shop.sync()
        assert report.equal
        assert len(await shop.customers.list(limit=100_000)) == 501
        assert (await shop.status()).pending == 0
    assert not [name for name in os.listdir(tmp_path) if "snapshot" in name]
