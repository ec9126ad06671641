"""The chain's app behind a real socket, and what speaks graphql-transport-ws or reads events there."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any, Self

import httpx2
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from regulars_server.cli.serving import listen, server
from tests.support.chain import Chain

PATIENCE_S = 10.0
"""Far beyond what anything here takes."""


@asynccontextmanager
async def served(chain: Chain) -> AsyncIterator[Served]:
    """The chain's app at an address of its own, as `regulars serve` serves it."""
    listening = listen("127.0.0.1", 0)
    ready = asyncio.Event()
    running = server(chain.app, ready.set, chain.service)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    task = asyncio.create_task(running.serve([listening]))
    try:
        await ready.wait()
        port = listening.getsockname()[1]

        async def stop() -> None:
            running.should_exit = True
            async with asyncio.timeout(PATIENCE_S):
                await task

        yield Served(chain, port, stop)
        await stop()
    finally:
        running.should_exit = running.force_exit = True
        await asyncio.wait([task], timeout=PATIENCE_S)
        for number, handler in handlers.items():
            signal.signal(number, handler)


@dataclass
class Served:
    chain: Chain
    port: int
    stop: Any

    def socket(self, token: str | None = None, **options: Any) -> Socket:
        return Socket(f"ws://127.0.0.1:{self.port}/graphql", token, options)

    def http(self, token: str | None = None) -> httpx2.AsyncClient:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        url = f"http://127.0.0.1:{self.port}"
        return httpx2.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE_S)


@dataclass
class Socket:
    """One client; with a token it is let in as soon as it is entered."""

    url: str
    token: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    ids: Any = field(default_factory=lambda: count(1))

    async def __aenter__(self) -> Self:
        options = {"subprotocols": [Subprotocol("graphql-transport-ws")], **self.options}
        self.line: ClientConnection = await connect(self.url, compression=None, proxy=None, **options)
        if self.token:
            await self.say(type="connection_init", payload={"authorization": f"Bearer {self.token}"})
            assert await self.hear() == {"type": "connection_ack"}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.line.close()

    async def say(self, **message: Any) -> None:
        await self.line.send(orjson.dumps(message).decode())

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            text = await self.line.recv()
        assert isinstance(text, str), "a text frame is expected"
        said: dict[str, Any] = orjson.loads(text)
        return said

    async def subscribe(self, query: str, **variables: Any) -> str:
        id = str(next(self.ids))
        await self.say(type="subscribe", id=id, payload={"query": query, "variables": variables})
        return id

    async def data(self) -> dict[str, Any]:
        """What the one root field of the next event holds."""
        said = await self.hear()
        assert said["type"] == "next", said
        assert "errors" not in said["payload"], said
        (value,) = said["payload"]["data"].values()
        found: dict[str, Any] = value
        return found

    async def closed(self) -> int:
        """The code with which the server closes it; what it says before is let go."""
        with suppress(ConnectionClosed):
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    await self.line.recv()
        assert self.line.close_code is not None
        return self.line.close_code


@asynccontextmanager
async def events(
    http: httpx2.AsyncClient, method: str = "POST", headers: dict[str, str] | None = None, **request: Any
) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
    """The events of a stream, as (event, data)."""
    accept = {"accept": "text/event-stream", **(headers or {})}
    async with http.stream(method, "/graphql", headers=accept, **request) as answer:
        assert answer.status_code == 200, (answer.status_code, await answer.aread())
        assert answer.headers["content-type"].startswith("text/event-stream")

        async def read() -> AsyncIterator[tuple[str, Any]]:
            event = ""
            async for line in answer.aiter_lines():
                name, _, value = line.partition(":")
                if name == "event":
                    event = value.strip()
                elif name == "data":
                    yield event, orjson.loads(value) if value.strip() else None

        yield read()


async def told(stream: AsyncIterator[tuple[str, Any]]) -> tuple[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        return await anext(stream)
