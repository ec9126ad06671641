"""Two processes of one tablet share a replica: both write, one syncs, either may be killed at any instant."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from regulars import Shop
from regulars.looping import wait
from tests.acceptance.test_crashes import logged
from tests.support.server import ServerProcess

KILLS = int(os.environ.get("REGULARS_TEST_KILLS", "6"))
PATIENCE_S = 90.0

WORKER = """
import asyncio, sys
from pathlib import Path
from regulars import Shop

async def main(path, enough):
    async with Shop.open(path) as shop:
        syncing = asyncio.create_task(shop.sync_forever())
        print("open", flush=True)
        while not enough.exists():
            print((await shop.customers.create(name="林芳")).id, flush=True)
            await asyncio.sleep(0.02)
        print("done", flush=True)
        await syncing

asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    made = ServerProcess(tmp_path / "chain")
    made.start()
    yield made
    made.stop()


@dataclass
class Worker:
    """A process that syncs, and writes until there is enough; started again after each kill."""

    file: Path
    enough: Path
    told: list[str] = field(default_factory=list)
    kills: int = 0
    is_done: bool = False
    _process: asyncio.subprocess.Process | None = None
    _reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", WORKER, str(self.file), str(self.enough)),
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert await self._process.stdout.readline() == b"open\n"
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line == b"done\n":
                self.is_done = True
            elif line.endswith(b"\n"):
                self.told.append(line.decode().strip())

    async def kill(self) -> None:
        assert self._process is not None
        assert self._reading is not None
        assert self._process.returncode is None, "it ended by itself"
        self._process.kill()
        self.kills += 1
        await self._reading
        await self._process.wait()


async def test_what_two_processes_write_arrives_once_although_they_are_killed(
    server: ServerProcess, tmp_path: Path
) -> None:
    unit = str(server.run("unit", "add", "Nanjing Road", "--kind", "branch")["id"])
    file = tmp_path / "one.db"
    async with Shop.open(file) as shop:
        await shop.pair(server.url, str(server.run("device", "invite", unit)["code"]))
    chance = random.Random(9)
    enough = tmp_path / "enough"
    syncing, writing = Worker(file, enough), Worker(file, enough)
    await syncing.start()
    await writing.start()
    for round in range(KILLS):
        await asyncio.sleep(chance.uniform(0.05, 0.5))
        victim = writing if round % 3 == 2 else syncing  # the one that has the lease, as a rule
        await victim.kill()
        await victim.start()
    enough.touch()
    async with asyncio.timeout(PATIENCE_S), Shop.open(file) as shop:
        while not (syncing.is_done and writing.is_done) or (await shop.status()).pending:
            await wait(asyncio.Event(), 0.1)
        assert (await shop.sync()).problem.code == "lease_held"  # type: ignore[union-attr]
        await syncing.kill()
        await writing.kill()
        report = await shop.sync()
        assert (report.problem, report.equal) == (None, True)
        told = [*syncing.told, *writing.told]
        assert len(set(told)) == len(told)
        there = {customer.id for customer in await shop.customers.list(limit=100_000)}
        assert there >= set(told)
        assert len(there) - len(told) <= syncing.kills + writing.kills
        assert (await shop.status()).held == 0
        incarnations = await shop._outbox.incarnations()
    assert len(incarnations) == 1, "nothing was ever numbered anew"
    times = await logged(server.folder)
    assert {id for entity, id in times if entity == "customer"} == there
    assert set(times.values()) == {1}


async def test_processes_that_open_a_new_replica_at_once_all_get_it(tmp_path: Path) -> None:
    opens = "import asyncio, sys\nfrom regulars import Shop\nasync def main():\n" + (
        "    async with Shop.open(sys.argv[1]) as shop:\n        await shop.customers.create(name='x')\n"
        "asyncio.run(main())"
    )
    for n in range(2):
        file = tmp_path / f"{n}.db"
        processes = [
            await asyncio.create_subprocess_exec(sys.executable, "-c", opens, str(file)) for _ in range(4)
        ]
        assert [await process.wait() for process in processes] == [0] * 4
        async with Shop.open(file) as shop:
            assert len(await shop.customers.list()) == 4


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_tablet_that_is_paired_anew_within_its_loop_still_hears_the_server(
    server: ServerProcess, tmp_path: Path, host: str
) -> None:
    url = server.url.replace("127.0.0.1", host)  # another name makes another line
    unit = str(server.run("unit", "add", "Nanjing Road", "--kind", "branch")["id"])

    def code() -> str:
        return str(server.run("device", "invite", unit)["code"])

    rounds: asyncio.Queue[object] = asyncio.Queue()
    async with (
        asyncio.timeout(PATIENCE_S),
        Shop.open(tmp_path / "one.db") as one,
        Shop.open(tmp_path / "two.db") as two,
    ):
        for shop in (one, two):
            await shop.pair(server.url, code())
        syncing = asyncio.create_task(one.sync_forever(rounds.put_nowait))
        await rounds.get()
        await asyncio.sleep(5)  # it listens by now, and no round is under way
        former = (await one.status()).device
        await one._outbox.say({"refused": "device_cloned"})
        await one.pair(url, code())
        assert (await one.status()).device != former
        lin = await one.customers.create(name="林芳")  # a round under the new token
        while await two.customers.find(lin.id) is None:
            await two.sync()
        await asyncio.sleep(5)  # what was heard of it makes no round any more
        wang = await two.customers.create(name="王伟")
        await two.sync()
        async with asyncio.timeout(20):  # far below the time after which it looks by itself
            while await one.customers.find(wang.id) is None:
                await rounds.get()
        syncing.cancel()
        await asyncio.gather(syncing, return_exceptions=True)
