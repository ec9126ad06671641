"""A balancer before several servers: one request a connection, to whichever says that it is ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

LOOK_S = 0.1
AWAY = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Balancer:
    def __init__(self) -> None:
        self.servers: list[str] = []
        """Their URLs."""
        self.ready: set[str] = set()
        self.cut = 0
        """Requests that a server took and never answered."""
        self.url = ""
        self.looked = asyncio.Event()
        self.serving: set[asyncio.Task[None]] = set()
        self._turn = 0

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self.serving.add(task)
        task.add_done_callback(self.serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = [one for one in head.split(b"\r\n") if not one.lower().startswith(b"connection:")]
            lines.insert(1, b"connection: close")
            for _ in self.servers:
                self._turn += 1
                url = self.servers[self._turn % len(self.servers)]
                if url in self.ready and (found := await self._connect(url)) is not None:
                    await self._pass_on(b"\r\n".join(lines), reader, writer, *found)
                    return
            writer.write(AWAY)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _connect(self, url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        try:
            return await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        except OSError:
            return None

    async def _pass_on(
        self,
        head: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        asks: asyncio.StreamWriter,
    ) -> None:
        asks.write(head)
        going_up = asyncio.create_task(_copy(reader, asks))
        try:
            if not await _copy(answers, writer):
                self.cut += 1
        finally:
            going_up.cancel()
            asks.close()

    async def is_told(self, url: str) -> None:
        """Wait until this server is ready."""
        while url not in self.ready:
            self.looked.clear()
            await self.looked.wait()

    async def look(self) -> None:
        """Ask every server whether it is ready, again and again."""
        while True:
            for url in list(self.servers):
                if await self._is_ready(url):
                    self.ready.add(url)
                else:
                    self.ready.discard(url)
            self.looked.set()
            await asyncio.sleep(LOOK_S)

    async def _is_ready(self, url: str) -> bool:
        found = await self._connect(url)
        if found is None:
            return False
        reader, writer = found
        try:
            writer.write(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            return b" 200 " in await reader.readline()
        except ConnectionError:
            return False
        finally:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """How many bytes there were until the end."""
    count = 0
    with suppress(ConnectionError):
        while chunk := await reader.read(1 << 16):
            count += len(chunk)
            writer.write(chunk)
            await writer.drain()
    return count


@asynccontextmanager
async def balancing(*servers: str, looks: bool = True) -> AsyncIterator[Balancer]:
    """`looks`: whether it asks servers if they are ready; else they are."""
    balancer = Balancer()
    balancer.servers, balancer.ready = list(servers), set() if looks else set(servers)
    listening = await asyncio.start_server(balancer.accept, "127.0.0.1", 0)
    looking = asyncio.create_task(balancer.look() if looks else asyncio.sleep(0))
    balancer.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield balancer
    finally:
        looking.cancel()
        listening.close()
        for task in balancer.serving:
            task.cancel()
        await asyncio.gather(*balancer.serving, return_exceptions=True)
