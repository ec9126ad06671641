"""A server on a real socket that answers as it is told: a portal, a proxy, a dead line."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


def answer(status: int, body: bytes, media: str = "application/json", **headers: str) -> Behaviour:
    """An answer in one piece, with its length. Underscores in names of headers are dashes."""

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} So", f"content-type: {media}", f"content-length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()

    return behave


def raw(*parts: bytes, pause_s: float = 0.0, reset: bool = False) -> Behaviour:
    """These bytes, one part after the other, and then the end of the line: in order, or by a reset."""

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)
        if reset:
            writer.transport.abort()
        else:
            writer.close()

    return behave


async def silence(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Never answer: the line is half open."""
    await asyncio.Event().wait()


@dataclass
class Misbehaving:
    behave: Behaviour
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().rstrip().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, path, _ = first.split()
                self.asked.append(Asked(method, path, headers, body))
                await self.behave(self.asked[-1], writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the caller went, or the test is over
        finally:
            self._open.discard(task)
            writer.close()


@asynccontextmanager
async def misbehaving(behave: Behaviour, *, tls: bool = False) -> AsyncIterator[Misbehaving]:
    """With `tls` under a certificate that nobody vouches for."""
    made = Misbehaving(behave)
    context = None
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(Path(__file__).with_name("nobody.pem"))
    server = await asyncio.start_server(made._serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    made.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield made
    finally:
        server.close()
        for task in list(made._open):
            task.cancel()
        await asyncio.gather(*made._open, return_exceptions=True)
        await server.wait_closed()
