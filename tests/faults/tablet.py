"""One tablet in a process of its own: it does the deeds of a plan that it is told, a line of JSON each.

python tests/faults/tablet.py FILE INDEX [old]

What it tells, a line of JSON each: what a deed is about before it is written (`said`), what the SDK has
acknowledged once it is (`done`), and what came of each sync (`report`). It may be killed at any instant;
what it told nobody of counts as never acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import urllib.error
import urllib.request
from collections import Counter
from typing import Any

from regulars import Shop
from regulars.shop import wall_ms
from regulars.transport import HttpTransport
from regulars_schema.entities import REGISTRY
from regulars_sync.errors import LocalError, Offline, Refused
from regulars_sync.ids import ENTROPY_BYTES, uuid7
from regulars_sync.round import SyncReport
from tests.simulation.deeds import TABLET_DEEDS
from tests.simulation.tablet import PREVIOUS

TIMEOUT_S = 4.0
DRAIN_ROUNDS = 12
LOOK_UP_S = 1.0


def tell(**told: Any) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


class Told(dict[str, Any]):
    """What the whole chain knows: whatever is put in here is told before anything is written."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __setitem__(self, key: str, value: Any) -> None:
        tell(said=self._name, key=key, value=value)
        super().__setitem__(key, value)

    def hear(self, news: dict[str, Any]) -> None:
        super().update(news)


class Movers(set[str]):
    def add(self, id: str) -> None:
        tell(said="movers", key=id)
        super().add(id)


class Stage:
    """What a simulator's deed asks of its world and of its tablet, as far as one process knows it."""

    roams = False
    fault = None

    def __init__(self, shop: Shop, index: int, is_old: bool) -> None:
        self.shop = shop
        self.index = index
        self.registry = PREVIOUS if is_old else REGISTRY
        self.random = random.Random(index)
        self.units: Any = []
        self.segments: list[str] = []
        self.customers_known: Any = Told("customers")
        self.movers = Movers()
        self.about = Told("about")
        self.groups = Told("groups")
        self.faults: Counter[str] = Counter()
        self.sometimes: Counter[str] = Counter()
        self.made: list[str] = []
        self.own_units: frozenset[int] = frozenset()
        self.unit = ""
        self._held: list[str] = []
        self._read: int | None = None

    def hear(self, news: dict[str, Any]) -> None:
        for name in ("customers", "groups"):
            {"customers": self.customers_known, "groups": self.groups}[name].hear(news.get(name, {}))
        set.update(self.movers, news.get("movers", ()))
        for name in ("units", "segments", "unit"):
            if name in news:
                setattr(self, name, news[name])
        if "numbers" in news:
            self.own_units = frozenset(news["numbers"])

    def now_ms(self) -> int:
        return wall_ms()

    def new_id(self) -> str:
        return uuid7(self.now_ms(), os.urandom(ENTROPY_BYTES))

    def held_here(self) -> list[str]:
        held = set(self._held)
        return self._held + [id for id in self.made if id not in held]

    async def look(self) -> None:
        sql = "SELECT id FROM row WHERE entity='customer' AND level='internal'"
        file = self.shop._rows.file
        self._held = [id for (id,) in await file.read(lambda c: c.execute(sql).fetchall())]

    async def written(self) -> list[str]:
        """The cids that came into the outbox since this was last asked."""
        file = self.shop._outbox.file
        if self._read is None:
            last = await file.read(lambda c: c.execute("SELECT ifnull(max(pos), 0) FROM change").fetchone())
            (self._read,) = last
            return []
        read = self._read
        sql = "SELECT pos, cid FROM change WHERE pos > ? ORDER BY pos"
        found = await file.read(lambda c: c.execute(sql, (read,)).fetchall())
        self._read = found[-1][0] if found else read
        return [cid for _, cid in found]

    def send(self, path: str, body: bytes, bearer: str) -> tuple[int, bytes]:
        """A request beside the SDK's own."""
        request = urllib.request.Request(self.shop._said["url"] + path, body)
        request.add_header("content-type", "application/json")
        request.add_header("authorization", f"Bearer {bearer}")
        try:
            with urllib.request.urlopen(request, timeout=LOOK_UP_S) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, b""
        except (OSError, ValueError):
            return 0, b""


class World:
    """One face of a stage: here `customers` is what the chain knows, in `Tablet` what that one holds."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @property
    def customers(self) -> Any:
        return self._stage.customers_known

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage, name)


class Tablet(World):
    @property
    def customers(self) -> Any:
        return self._stage.held_here

    @property
    def units(self) -> Any:
        return self._stage.own_units


class Process:
    def __init__(self, shop: Shop, stage: Stage) -> None:
        self.shop = shop
        self.stage = stage
        self.number = 0
        """Of the order that is being carried out."""
        self._session: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()

    def done(self, **told: Any) -> None:
        tell(done=self.number, **told)

    async def obey(self, order: dict[str, Any]) -> None:
        self.number = order["number"]
        self.stage.hear(order["news"])
        match order["do"]:
            case "deed":
                await self._deed(order["kind"], order["draw"])
            case "session":
                self._begin(order["seconds"])
                self.done()
            case "pair":
                await self._pair(order["url"], order["code"])
            case "drain":
                await self._end()
                await self._drain()

    async def _deed(self, kind: str, draw: int) -> None:
        stage, refused = self.stage, None
        stage.random.seed(draw)
        world: Any = World(stage)
        tablet: Any = Tablet(stage)
        try:
            await stage.look()
            await TABLET_DEEDS[kind](world, tablet)
        except LocalError as error:
            refused = error.code
        self.done(refused=refused, wrote=await self._wrote())

    async def _wrote(self) -> list[str]:
        try:
            return await self.stage.written()
        except LocalError:  # its disk fails: they are counted with the next ones
            return []

    async def _pair(self, url: str, code: str) -> None:
        refused = None
        try:
            await self.shop.pair(url, code)
        except (LocalError, Refused, Offline) as error:
            refused = error.code
        said = self.shop._said
        self.done(refused=refused, device=said.get("device"), token=said.get("token"))

    def _begin(self, seconds: float) -> None:
        """Be online for so long, beside whatever else it does."""
        if self._session is None or self._session.done():
            self._stopped.clear()
            self._session = asyncio.create_task(self._online())
        asyncio.get_running_loop().call_later(seconds, self._stopped.set)

    async def _online(self) -> None:
        try:
            await self.shop.sync_forever(_report, self._stopped)
        except LocalError as error:
            tell(report=error.code)

    async def _end(self) -> None:
        if self._session is not None:
            self._stopped.set()
            await self._session

    async def _drain(self) -> None:
        """Sync, without a new write, until nothing is pending and the rows are the server's."""
        problem: str | None = None
        equal = False
        pending = -1
        for _ in range(DRAIN_ROUNDS):
            try:
                report = await self.shop.sync()
                problem = report.problem.code if report.problem else None
                equal, pending = report.equal, (await self.shop.status()).pending
            except LocalError as error:
                problem, equal = error.code, False
            if (equal and not pending) or problem not in {None, "offline", "lease_held", "internal"}:
                break
            await asyncio.sleep(0.2)
        status = await self.shop.status()
        digests = await self.shop.verify()
        self.done(
            equal=equal,
            problem=problem,
            pending=status.pending,
            held=[(h.cid, h.code) for h in await self.shop.held()],
            lost=status.lost,
            digests={scope: list(digest) for scope, digest in digests.items()},
        )


def _report(report: SyncReport) -> None:
    problem = report.problem.code if report.problem else None
    tell(report=problem, pushed=report.pushed, pulled=report.pulled, equal=report.equal)


async def main(file: str, index: str, *more: str) -> None:
    is_old = "old" in more
    async with Shop.open(
        file,
        transport=lambda url: HttpTransport(url, timeout_s=TIMEOUT_S, deadline_s=3 * TIMEOUT_S),
        registry=PREVIOUS if is_old else REGISTRY,
    ) as shop:
        process = Process(shop, Stage(shop, int(index), is_old))
        await process.stage.written()
        process.done()
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
            await process.obey(json.loads(line))
        await process._end()


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except LocalError as error:  # its disk fails; it is started again
        tell(ended=error.code)
