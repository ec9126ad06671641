"""Lane L3: real processes, real sockets, kill -9. Acknowledged writes are counted afterwards.

python tests/faults/run.py --seconds 60 --tablets 5 --seed 1

Five tablets of two branches write and sync through a proxy that cuts, delays, doubles, trickles and stalls;
server and tablets are killed at random instants and started again. Then the faults stop, nobody writes any
more, and every tablet syncs until nothing is pending. What was acknowledged must be in the log once, every
replica must equal the server, and tablets of one branch each other.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regulars import Shop
from regulars_schema.entities import REGISTRY
from regulars_server.storage.interface import Order
from regulars_server.storage.sqlite import SqliteStorage
from tests.faults.proxy import Proxy
from tests.support.server import ServerProcess

TABLET = str(Path(__file__).with_name("tablet.py"))
RATE = 0.25
ALIVE_S = (0.3, 3.0)
START_S_MAX = 60.0
"""On a busy machine a process may take long to start; most are killed only once they have written."""


@dataclass
class Tablet:
    file: Path
    number: int
    told: list[dict[str, Any]] = field(default_factory=list)
    kills: int = 0
    process: asyncio.subprocess.Process | None = None
    writes: asyncio.Event = field(default_factory=asyncio.Event)

    async def live(self, chance: random.Random, until: float) -> None:
        """Be started and killed again and again, until then and until something was written."""
        loop = asyncio.get_running_loop()
        while loop.time() < until or not self.told:
            self.writes.clear()
            await self.start(str(chance.randrange(10**9)), "3600")
            listening = asyncio.create_task(self.listen())
            if chance.random() < 0.8:
                async with asyncio.timeout(START_S_MAX):
                    await self.writes.wait()
            await asyncio.sleep(min(chance.uniform(*ALIVE_S), max(0.0, until - loop.time()) + 0.1))
            assert self.process is not None
            if self.process.returncode is None:
                self.process.kill()
                self.kills += 1
            await self.process.wait()
            await listening

    async def start(self, *arguments: str) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, TABLET, str(self.file), *arguments,
            stdout=asyncio.subprocess.PIPE, limit=64 * 1024 * 1024, env=dict(os.environ),
        )  # fmt: skip

    async def listen(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if line.endswith(b"\n"):  # half a line: the write may have returned, nobody heard of it
                self.told.append(json.loads(line))
                self.writes.set()


class Chain:
    """A server, its tablets and the proxy between them."""

    def __init__(self, folder: Path, tablets: int, seed: int) -> None:
        self.chance = random.Random(seed)
        self.server = ServerProcess(folder / "chain")
        self.proxy = Proxy(self.server.port, random.Random(seed + 1))
        self.tablets = [Tablet(folder / f"tablet-{i}.db", i) for i in range(tablets)]
        self.kills = 0

    async def found(self) -> None:
        self.server.start()
        await self.proxy.open()
        names = ("Nanjing Road", "Huaihai Road")
        units = [str(self.server.run("unit", "add", name, "--kind", "branch")["id"]) for name in names]
        for tablet in self.tablets:
            code = str(self.server.run("device", "invite", units[tablet.number % 2])["code"])
            async with Shop.open(tablet.file) as shop:
                await shop.pair(self.proxy.url, code, f"tablet {tablet.number}")

    async def suffer(self, seconds: float) -> None:
        self.proxy.rate = RATE
        until = asyncio.get_running_loop().time() + seconds
        living = [asyncio.create_task(t.live(random.Random(t.number), until)) for t in self.tablets]
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(self.chance.uniform(0.5, 4.0))
            self.server.kill()
            self.kills += 1
            await asyncio.sleep(self.chance.uniform(0, 0.5))
            await asyncio.to_thread(self.server.start)
        await asyncio.gather(*living)
        self.proxy.rate = 0.0

    async def rest(self) -> list[dict[str, Any]]:
        """No faults, no new writes: what each tablet says in the end."""
        said: list[dict[str, Any]] = []
        for _ in range(2):  # the first to finish gets what the others brought in the second turn
            said = []
            for tablet in self.tablets:
                await tablet.start("drain")
                assert tablet.process is not None
                out, _ = await tablet.process.communicate()
                said.append(json.loads(out.splitlines()[-1]))
        return said


async def logged(folder: Path) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """How often each row was created, and how often each value was written to a row."""
    storage = SqliteStorage(folder / "chain.db", REGISTRY)
    await storage.open()
    try:
        await storage.verify_log()
        creates: Counter[tuple[str, str]] = Counter()
        wrote: Counter[tuple[str, str]] = Counter()
        async with storage.unscoped_reader() as reader:
            for entity in ("customer", "interaction"):
                for row in await reader.select(entity, None, Order(), 1_000_000):
                    for entry in await reader.history(entity, row.id):
                        body = json.loads(entry.body or b"{}")
                        if body.get("op") == "create":
                            creates[entity, row.id] += 1
                        for path, written in body.get("fields", {}).items():
                            value = written.get("value") if isinstance(written, dict) else written
                            wrote[row.id, path if path.startswith("tags/") else str(value)] += 1
        return creates, wrote
    finally:
        await storage.close()


def shared(said: dict[str, Any]) -> tuple[Any, Any]:
    """Of what a tablet says in the end: that in which tablets of one branch are alike."""
    digests = said["digests"].items()
    return said["rows"], {scope: digest for scope, digest in digests if not scope.startswith("device:")}


async def run(folder: Path, seconds: float, tablets: int, seed: int) -> dict[str, Any]:
    chain = Chain(folder, tablets, seed)
    await chain.found()
    try:
        await chain.suffer(seconds)
        said = await chain.rest()
    finally:
        await chain.proxy.close()
        if chain.server._process is not None:
            chain.server.stop()
    creates, wrote = await logged(chain.server.folder)
    told = [line for tablet in chain.tablets for line in tablet.told]
    lost = [t for t in told if "id" in t and creates[t["entity"], t["id"]] == 0]
    lost += [t for t in told if "edited" in t and (t["edited"], t["note"]) not in wrote]
    lost += [t for t in told if "tagged" in t and (t["tagged"], f"tags/{t['tag']}") not in wrote]
    doubled = [key for times in (creates, wrote) for key, count in times.items() if count > 1]
    stuck = [s for s in said if not s["equal"] or s["pending"] or s["problem"] or s["held"]]
    unlike = [i for i, s in enumerate(said) if shared(s) != shared(said[i % 2])]
    return {
        "acknowledged": sum("refused" not in t for t in told),
        "refused": Counter(t["refused"] for t in told if "refused" in t),
        "rows": len(creates),
        "server kills": chain.kills,
        "tablet kills": sum(tablet.kills for tablet in chain.tablets),
        "network": dict(chain.proxy.met),
        "lost": lost,
        "doubled": doubled[:10],
        "stuck": [{**s, "rows": len(s["rows"])} for s in stuck],
        "unlike": unlike,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--tablets", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="regulars-faults-") as folder:
        found = asyncio.run(run(Path(folder), given.seconds, given.tablets, given.seed))
    print(json.dumps(found, indent=1, default=str))
    return any(found[name] for name in ("lost", "doubled", "stuck", "unlike"))


if __name__ == "__main__":
    sys.exit(main())
