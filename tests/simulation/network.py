"""The network between tablets and the app, as HTTP: headers, statuses and bodies, and what goes wrong.

An httpx2 transport that calls the ASGI app and streams its answer, on the loop's own time. Nothing comes back
at once; a request that meets a fault ends as it would on a real line.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

import httpx2
from httpx2._transports import default

from regulars.transport import Download, HttpTransport
from regulars_sync.errors import Offline

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # reading the authorities takes a tablet 50 ms
LATENCY_S = (0.005, 0.4)
PORTAL = b"<html><body><h1>Free Wi-Fi</h1>Please sign in.</body></html>"


class Line:
    """One request on its way through the app, and its answer on the way back."""

    def __init__(self, app: Any, request: httpx2.Request, body: bytes, stops_at: int | None = None) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.chunks: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue()
        self.started = asyncio.Event()
        self.gone = asyncio.Event()
        """The client has hung up."""
        self._received = False
        self._body = body
        self._stops_at = stops_at
        self._app = app
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "scheme": "https",
            "path": request.url.path,
            "raw_path": request.url.raw_path.split(b"?")[0],
            "query_string": request.url.query,
            "server": ("hq", 443),
            "client": ("192.0.2.1", 5),
            "root_path": "",
        }

    async def run(self) -> None:
        """Let the app answer; whatever it raises ends the line."""
        try:
            await self._app(self._scope, self._receive, self._send)
        except BaseException as error:
            self.drop()
            if not isinstance(error, Exception):
                raise
        self.chunks.put_nowait(None)

    def drop(self) -> None:
        """The other end is gone."""
        self.chunks.put_nowait(httpx2.ReadError("connection reset"))
        self.started.set()

    async def _receive(self) -> dict[str, Any]:
        if self._received:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        self._received = True
        if self._stops_at is not None:
            self.gone.set()
            return {"type": "http.request", "body": self._body[: self._stops_at], "more_body": True}
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", []))
            self.started.set()
        else:
            self.chunks.put_nowait(message.get("body", b""))
            if not message.get("more_body", False):
                self.chunks.put_nowait(None)


class Answer(httpx2.AsyncByteStream):
    """A body that comes as the server sends it, within the client's patience."""

    def __init__(self, line: Line, patience_s: float | None, cut: int | None, is_clean: bool) -> None:
        self._line, self._patience_s = line, patience_s
        self._left, self._is_clean = cut, is_clean

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            try:
                chunk = await asyncio.wait_for(self._line.chunks.get(), self._patience_s)
            except TimeoutError:
                raise httpx2.ReadTimeout("silence") from None
            if chunk is None:
                return
            if isinstance(chunk, BaseException):
                raise chunk
            if self._left is not None:
                chunk, self._left = chunk[: self._left], self._left - len(chunk)
                if self._left <= 0:
                    yield chunk
                    if self._is_clean:
                        return
                    raise httpx2.RemoteProtocolError("closed before the whole body came")
            yield chunk

    async def aclose(self) -> None:
        self._line.gone.set()


class Network(httpx2.AsyncBaseTransport):
    """One tablet's way to the app. `fault` says what happens to each exchange, None for nothing."""

    def __init__(
        self,
        app: Callable[[], Any],
        start: Callable[[Line], Awaitable[None]],
        fault: Callable[[httpx2.Request, bytes], str | None],
        chance: random.Random,
        late: Callable[[httpx2.Request, bytes], None],
    ) -> None:
        self._app, self._start, self._fault = app, start, fault
        self._chance = chance
        self._late = late

    def line(self, request: httpx2.Request, body: bytes, stops_at: int | None = None) -> Line | None:
        app = self._app()
        return None if app is None else Line(app, request, body, stops_at)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        fault = self._fault(request, body)
        patience_s = request.extensions["timeout"]["read"]
        chance = self._chance
        await asyncio.sleep(chance.uniform(*LATENCY_S))
        is_first_half = chance.random() < 0.5
        match fault:
            case "request lost":
                raise httpx2.ConnectError("no route")
            case "captive portal":
                headers = {"content-type": "text/html"}
                stream = httpx2.ByteStream(PORTAL)  # a Response of `content` counts as read already
                return httpx2.Response(200, headers=headers, stream=stream, request=request)
            case "server overloaded":
                stream = httpx2.ByteStream(b"overloaded")
                return httpx2.Response(503, headers={"retry-after": "40"}, stream=stream, request=request)
            case "request delayed":
                self._late(request, body)
                raise httpx2.WriteTimeout("no buffer space")
            case "half-open line" if is_first_half:
                await asyncio.sleep(patience_s)
                raise httpx2.ReadTimeout("silence")
            case "compression stripped" if is_first_half:
                del request.headers["accept-encoding"]
            case "request cut short":
                line = self.line(request, body, chance.randrange(len(body) + 1))
                if line is not None:
                    await self._start(line)
                raise httpx2.WriteError("connection reset")
            case "request doubled":
                first = self.line(request, body)
                if first is not None:
                    await self._start(first)
                    await asyncio.sleep(chance.uniform(0, 0.2))
                    first.gone.set()
        line = self.line(request, body)
        if line is None:
            raise httpx2.ConnectError("connection refused")
        await self._start(line)
        try:
            return await self._answer(request, line, fault, is_first_half)
        except BaseException:
            line.gone.set()
            raise

    async def _answer(
        self, request: httpx2.Request, line: Line, fault: str | None, is_first_half: bool
    ) -> httpx2.Response:
        patience_s, chance = request.extensions["timeout"]["read"], self._chance
        try:
            await asyncio.wait_for(line.started.wait(), patience_s)
        except TimeoutError:
            raise httpx2.ReadTimeout("silence") from None
        await asyncio.sleep(chance.uniform(*LATENCY_S))
        match fault:
            case "answer lost":
                raise httpx2.ReadError("connection reset")
            case "half-open line":
                await asyncio.sleep(patience_s)
                raise httpx2.ReadTimeout("silence")
        if not line.status:
            raise httpx2.ReadError("connection reset")
        headers = line.headers
        if fault == "compression stripped" and not is_first_half:
            headers = [(name, value) for name, value in headers if name.lower() != b"content-encoding"]
        is_cut = fault in {"answer cut short", "answer ends early"}
        cut = chance.randrange(1, 400) if is_cut else None
        if fault == "answer ends early":
            headers = [(name, value) for name, value in headers if name.lower() != b"content-length"]
        stream = Answer(line, patience_s, cut, is_clean=fault == "answer ends early")
        return httpx2.Response(line.status, headers=headers, stream=stream, request=request)


class Wire(HttpTransport):
    """The SDK's own HTTP transport, on that network in place of sockets."""

    def __init__(
        self,
        url: str,
        network: Network,
        heard: Callable[[str, bytes], None],
        fetched: Callable[[str], None],
    ) -> None:
        with patch.object(default, "create_ssl_context", lambda **given: _NO_TLS):
            super().__init__(url)
        self._client._transport = network
        self._heard = heard
        self._fetched = fetched

    async def post(self, path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        status, answer = await super().post(path, body, token)
        self._heard(path, answer)
        return status, answer

    @asynccontextmanager
    async def fetch(
        self, path: str, token: str, start: int = 0, etag: str | None = None
    ) -> AsyncIterator[Download]:
        async with super().fetch(path, token, start, etag) as answer:
            if answer.status == 206:
                self._fetched("snapshot went on")
            elif answer.status == 200 and start:
                self._fetched("snapshot changed in between")
            try:
                yield answer
            except (httpx2.HTTPError, OSError, Offline):
                self._fetched("snapshot cut")
                raise
            if answer.status in {200, 206}:
                self._fetched("snapshot taken")
