"""A proxy between tablets and server that cuts, delays, trickles, stalls and repeats what passes."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter

KINDS = ("refused", "cut going up", "cut coming down", "delayed", "trickled", "half-open", "repeated late")
CHUNK = 16 * 1024
TRICKLE = 700
STALL_S = 4.0


class Proxy:
    """Listens on a port of its own; `rate` is the share of connections that something befalls."""

    def __init__(self, target_port: int, chance: random.Random) -> None:
        self.target = target_port
        self.chance = chance
        self.rate = 0.0
        self.met: Counter[str] = Counter()
        self.port = 0
        self._server: asyncio.Server | None = None
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
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = self.chance.choice(KINDS) if self.chance.random() < self.rate else None
        if fault:
            self.met[fault] += 1
        try:
            if fault == "refused":
                return
            if fault == "half-open":
                await asyncio.sleep(STALL_S)
                return
            if fault == "delayed":
                await asyncio.sleep(self.chance.uniform(0.05, 1.0))
            up, to = await asyncio.open_connection("127.0.0.1", self.target)
            sent = bytearray() if fault == "repeated late" else None
            slow = fault == "trickled"
            ways = [
                asyncio.create_task(self._pass(reader, to, fault == "cut going up", slow, sent)),
                asyncio.create_task(self._pass(up, writer, fault == "cut coming down", slow)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            to.close()
            if sent:
                task = asyncio.create_task(self._repeat(bytes(sent)))
                self._late.add(task)
                task.add_done_callback(self._late.discard)
        except OSError:
            pass
        finally:
            with contextlib.suppress(OSError):
                writer.close()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        cut: bool,
        trickle: bool,
        sent: bytearray | None = None,
    ) -> None:
        left = self.chance.randrange(1, 20_000) if cut else -1
        while data := await reader.read(CHUNK):
            if sent is not None:
                sent += data
            if cut:
                data, left = data[:left], left - len(data)
            step = TRICKLE if trickle else CHUNK
            for at in range(0, len(data), step):
                writer.write(data[at : at + step])
                await writer.drain()
                if trickle:
                    await asyncio.sleep(0.002)
            if cut and left <= 0:
                return

    async def _repeat(self, sent: bytes) -> None:
        """What a client sent comes once more, long after, as from a network that kept it."""
        await asyncio.sleep(self.chance.uniform(0.1, 3.0))
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
            writer.write(sent)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(CHUNK), 5)
            writer.close()
