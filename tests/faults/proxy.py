"""The line between one tablet and the server, request by request: what passes it, how, and how often.

It cuts after k bytes, delays, trickles, doubles, goes dead while it stays open, and may be partitioned for a
while: what the tablet asks is lost (`in`: nothing gets in to the server), what the server answers is lost
(`out`: it is carried out all the same), or both.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections import Counter

from tests.simulation.plan import NETWORK

KINDS = NETWORK["L3"]
PARTITIONS = ("none", "in", "out", "both")
CHUNK = 16 * 1024
TRICKLE = 700
STALL_S = 3.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


class Proxy:
    """Listens on a port of its own; `rate` is the share of requests that something befalls."""

    def __init__(self, target_port: int, chance: random.Random) -> None:
        self.target = target_port
        self.chance = chance
        self.rate = 0.0
        self.armed: tuple[str, int] | None = None
        """What befalls a request, after so many others."""
        self.partition = "none"
        self.met: Counter[str] = Counter()
        self.requests = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._lines: set[Line] = set()
        self._late: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for line in list(self._lines):
            line.close()
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    def part(self, how: str) -> None:
        """Begin a partition, or end it: then lines on which something was lost are closed."""
        self.partition = how
        if how == "none":
            for line in [line for line in self._lines if line.has_lost]:
                line.close()
        else:
            self.met[f"partition {how}"] += 1

    def fault(self) -> str | None:
        """What befalls the next request."""
        self.requests += 1
        found = None
        if self.armed is not None:
            kind, left = self.armed
            self.armed = (kind, left - 1) if left else None
            found = None if left else kind
        elif self.chance.random() < self.rate:
            found = self.chance.choice(KINDS)
        if found:
            self.met[found] += 1
        return found

    def again(self, request: bytes, wait_s: float) -> None:
        task = asyncio.create_task(self._again(request, wait_s))
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _again(self, request: bytes, wait_s: float) -> None:
        """What a client sent comes once more, as from a network that kept a copy."""
        await asyncio.sleep(wait_s)
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
            writer.write(request)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(CHUNK), 5)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(self, reader, writer)
        self._lines.add(line)
        try:
            await line.run()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._lines.discard(line)
            line.close()


class Line:
    """One connection of the tablet's and the server's end of it."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.has_lost = False
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._to: asyncio.StreamWriter | None = None
        self._left: int | None = None
        """How many bytes may still come down."""
        self._slow = False
        self._deaf = False
        self._closed = asyncio.Event()

    def close(self) -> None:
        self._closed.set()
        for writer in (self._writer, self._to):
            if writer is not None:
                with contextlib.suppress(OSError, RuntimeError):
                    writer.close()

    async def run(self) -> None:
        ended = asyncio.create_task(self._closed.wait())
        going = asyncio.create_task(self._up())
        await asyncio.wait([ended, going], return_when=asyncio.FIRST_COMPLETED)
        for task in (ended, going):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await going

    async def _up(self) -> None:
        down: asyncio.Task[None] | None = None
        try:
            while request := await self._request():
                fault = self._proxy.fault()
                if fault == "refused":
                    return
                if self._proxy.partition in {"in", "both"} or fault in {"request lost", "half-open"}:
                    self._proxy.met["lost in a partition"] += self._proxy.partition in {"in", "both"}
                    self.has_lost = True
                    await self._silence(fault)
                    return
                if fault == "delayed":
                    await asyncio.sleep(self._proxy.chance.uniform(0.05, 1.0))
                if down is None:
                    up, self._to = await asyncio.open_connection("127.0.0.1", self._proxy.target)
                    down = asyncio.create_task(self._down(up))
                self._slow = fault == "trickled"
                self._deaf = fault == "answer lost"
                self._left = self._proxy.chance.randrange(1, 6_000) if fault == "cut coming down" else None
                if fault in {"doubled", "doubled late"}:
                    late_s = self._proxy.chance.uniform(0.1, 3.0) if fault == "doubled late" else 0.0
                    self._proxy.again(request, late_s)
                if fault == "cut going up":
                    request = request[: self._proxy.chance.randrange(1, len(request))]
                assert self._to is not None
                await self._give(self._to, request)
                if fault == "cut going up":
                    return
        finally:
            if down is not None:
                down.cancel()

    async def _silence(self, fault: str | None) -> None:
        """Nothing more is heard here: for a while, until the partition ends, or the tablet gives up."""
        if fault == "request lost":
            await asyncio.sleep(STALL_S)
        else:
            await self._reader.read()

    async def _request(self) -> bytes:
        """One whole request as it came; nothing when the tablet hung up."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return b""
        if _CHUNKED.search(head):
            return head + await self._chunks()
        length = _LENGTH.search(head)
        return head + (await self._reader.readexactly(int(length[1])) if length else b"")

    async def _chunks(self) -> bytes:
        body = b""
        while True:
            line = await self._reader.readuntil(b"\r\n")
            size = int(line, 16)
            body += line + await self._reader.readexactly(size + 2)
            if size == 0:
                return body

    async def _down(self, up: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await up.read(CHUNK):
                is_parted = self._proxy.partition in {"out", "both"}
                if is_parted or self._deaf:
                    self._proxy.met["lost in a partition"] += is_parted
                    self.has_lost = True
                    if self._deaf:
                        await asyncio.sleep(0.1)
                        break
                    continue
                if self.has_lost:
                    break
                if self._left is not None:
                    data, self._left = data[: self._left], self._left - len(data)
                await self._give(self._writer, data)
                if self._left is not None and self._left <= 0:
                    break
        self.close()

    async def _give(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        step = TRICKLE if self._slow else CHUNK
        for at in range(0, len(data), step):
            writer.write(data[at : at + step])
            await writer.drain()
            if self._slow:
                await asyncio.sleep(0.002)
