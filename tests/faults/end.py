"""What a run knows of one tablet: its process, its disk, clock and line, and what it was told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regulars_sync.errors import Offline
from tests.faults.ailments import Ailments
from tests.faults.disk import Disk
from tests.faults.proxy import Proxy
from tests.simulation.hq import Token
from tests.simulation.tablet import SUFFIXES
from tests.simulation.world import Failure

if TYPE_CHECKING:
    from tests.faults.chain import Chain

ROOT = Path(__file__).parents[2]
AFFLICTED = ("-m", "tests.faults.afflicted")
START_S_MAX = 90.0
ORDER_S_MAX = 90.0
TABLET_MIB = 24
PAIRS_ANEW = {"token_invalid", "device_cloned", "not_paired"}

Special = Callable[[], Coroutine[Any, Any, None]]


class TabletEnd:
    """What the run knows of one tablet, and its process."""

    def __init__(self, chain: Chain, index: int, given: dict[str, Any]) -> None:
        self.chain = chain
        self.index = index
        self.disk = Disk(chain.folder / f"tablet-{index}", TABLET_MIB, chain.mounts)
        self.file = self.disk.folder / f"tablet{index}.db"
        self.ailments = Ailments(chain.folder / f"tablet-{index}.ails")
        self.proxy = Proxy(chain.server.port, random.Random(f"{chain.scenario.seed} {index}"))
        self.sensitive: bool = given["sensitive"]
        self.is_old: bool = given.get("is_old", False)
        self.numbers: frozenset[int] = frozenset()
        self.unit = ""
        self.queue: asyncio.Queue[dict[str, Any] | Special] = asyncio.Queue()
        self.wrote: dict[str, None] = {}
        self.device = self.token = ""
        self.said: dict[str, Any] = {}
        """What it said last, when it was told to drain."""
        self.problem: str | None = None
        self.online_until_s = 0.0
        self.process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._done: asyncio.Future[dict[str, Any] | None] | None = None
        self._heard = 0
        self._number = 0
        self._is_up = self._was_stillborn = False
        self._worker: asyncio.Task[None] | None = None

    # --- the process ------------------------------------------------------------------------------

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.returncode is None and self._done is not None

    async def start(self) -> None:
        """Until it runs: it may be killed while it starts, or find its disk full."""
        begun = time.monotonic()
        while True:
            await self._reap()
            self._heard = self._number = 0
            self._is_up = False
            with (self.chain.folder / f"tablet-{self.index}.log").open("ab") as log:
                self.process = await asyncio.create_subprocess_exec(
                    sys.executable, *AFFLICTED, str(self.ailments.file), str(self.disk.folder),
                    "tests.faults.tablet", str(self.file), str(self.index), *(["old"] if self.is_old else []),
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
                    limit=64 * 1024 * 1024, env=environment(), cwd=ROOT,
                )  # fmt: skip
            self._done = asyncio.get_running_loop().create_future()
            self._listening = asyncio.create_task(self._listen())
            if await self._done is not None:
                self._is_up, self._was_stillborn = True, False
                break
            self.chain.check(time.monotonic() - begun < START_S_MAX, "a tablet does not start", self.index)
            await asyncio.sleep(0.2)
        left = self.online_until_s - time.monotonic()
        if left > 0:
            await self._order({"do": "session", "seconds": left})

    async def _listen(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if line.endswith(b"\n"):  # half a line: the write may have returned, nobody heard of it
                self._hear(json.loads(line))
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _hear(self, told: dict[str, Any]) -> None:
        chain = self.chain
        if "said" in told:
            chain.learn(told["said"], told["key"], told.get("value"))
        elif "report" in told:
            chain.reports[told["report"] or "no problem"] += 1
            if told["report"] in PAIRS_ANEW:
                self.problem = told["report"]
        elif "ended" in told:
            chain.sometimes[f"a tablet ended: {told['ended']}"] += 1
        elif "done" in told:
            self.wrote.update(dict.fromkeys(told.get("wrote") or ()))
            if "wrote" in told:
                chain.refused.update([told["refused"]] if told["refused"] else [])
                chain.transactions += bool(told["wrote"])
            assert self._done is not None
            if told["done"] == self._number and not self._done.done():
                self._done.set_result(told)

    async def _order(self, order: dict[str, Any]) -> dict[str, Any] | None:
        """What it says when it has done that; None when its process ended."""
        assert self.process is not None
        assert self.process.stdin is not None
        assert self._listening is not None
        self._done = asyncio.get_running_loop().create_future()
        if self._listening.done():
            return None
        self._number += 1
        news, self._heard = self.chain.news(self, self._heard)
        with contextlib.suppress(ConnectionError):
            self.process.stdin.write(
                json.dumps({**order, "number": self._number, "news": news}).encode() + b"\n"
            )
            await self.process.stdin.drain()
        try:
            async with asyncio.timeout(ORDER_S_MAX):  # wait_for may swallow a cancellation
                return await asyncio.shield(self._done)
        except TimeoutError:
            raise Failure("a tablet hangs", self.index, order["do"]) from None

    async def do(self, order: dict[str, Any]) -> dict[str, Any] | None:
        while not self.is_alive:
            await self.start()
        said = await self._order(order)
        if said is None:
            await self._reap()
        return said

    def kill(self) -> bool:
        """kill -9, whatever it does; whether it was. One that was killed while it started is let start."""
        if self.process is None or self.process.returncode is not None:
            return False
        if not self._is_up and self._was_stillborn:
            return False
        self._was_stillborn = not self._is_up
        self.process.kill()
        return True

    async def _reap(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        code = await process.wait()
        if self._listening is not None:
            await self._listening
        self._done = None
        self.chain.check(code in {0, -signal.SIGKILL}, "a tablet's process failed", self.index, code)

    async def stop(self) -> None:
        await self._reap()

    # --- what it does -----------------------------------------------------------------------------

    def work(self) -> None:
        self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        try:
            while True:
                order = await self.queue.get()
                if callable(order):
                    await order()
                else:
                    await self.do(order)
                if self.problem is not None:
                    await self.pair()
                self.queue.task_done()
        except Exception as error:
            self.chain.failures.append(error)

    async def end_work(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    async def pair(self) -> None:
        """Head office invites it, also anew; in vain while nobody answers."""
        chain = self.chain
        try:
            code = await asyncio.to_thread(
                chain.world.invite, self.unit, f"tablet {self.index}", self.sensitive
            )
        except Offline:
            return
        said = await self.do({"do": "pair", "url": self.proxy.url, "code": code})
        if said is None:
            return
        chain.sometimes[f"pairing: {said['refused'] or 'done'}"] += 1
        if said["refused"] in {None, "already_paired"}:
            self.problem = None
        if said["device"]:
            self.device, self.token = said["device"], said["token"] or self.token
            token = Token(self.device, self.unit, self.sensitive)
            chain.world.server.tokens.setdefault(self.token, token)

    def be_online(self, seconds: float) -> None:
        self.online_until_s = max(self.online_until_s, time.monotonic() + seconds)
        self.queue.put_nowait({"do": "session", "seconds": seconds})

    def outbox(self) -> set[str]:
        """The cids that its file holds."""
        file = self.file.with_suffix(SUFFIXES[1])
        if not file.exists():
            return set()
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            return {cid for (cid,) in connection.execute("SELECT cid FROM change")}


def copy_files(file: Path, to: Path) -> None:
    """Both files of a tablet, without their logs: nobody has them open, they may stem from a kill."""
    for suffix in SUFFIXES:
        for end in ("", "-wal"):
            source, target = Path(f"{file.with_suffix(suffix)}{end}"), Path(f"{to.with_suffix(suffix)}{end}")
            target.unlink(missing_ok=True)
            if source.exists():
                shutil.copyfile(source, target)
        Path(f"{to.with_suffix(suffix)}-shm").unlink(missing_ok=True)


def environment() -> dict[str, str]:
    """For a process that imports the tests too."""
    rooms = [ROOT, *(ROOT / room for room in ("schema", "sync", "server", "client_sdk"))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, rooms))}
