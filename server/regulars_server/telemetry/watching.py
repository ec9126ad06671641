"""What is seen from around the server's parts: requests from outside the app, storage from above, jobs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from regulars_server.storage.interface import Reader, Storage, Writer
from regulars_server.telemetry import Telemetry
from regulars_server.telemetry.declared import LINES, REFUSALS, REQUEST, STORAGE, WORK

T = TypeVar("T")
EVENTS = b"text/event-stream"
UNKNOWN = "unknown"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})


class Watching:
    """ASGI around the app: a span and the seconds of each request, what was refused, what is open."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._telemetry = telemetry
        self._paths = {route.endpoint: route.path for route in routes if isinstance(route, Route)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._line("websocket", scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _line(self, kind: str, scope: Scope, receive: Receive, send: Send) -> None:
        self._telemetry.note(LINES, 1, kind)
        try:
            await self._app(scope, receive, send)
        finally:
            self._telemetry.note(LINES, -1, kind)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        telemetry, begun = self._telemetry, time.perf_counter()
        method = scope["method"] if scope["method"] in METHODS else UNKNOWN
        status, is_stream = "500", False

        async def sending(message: Message) -> None:
            nonlocal status, is_stream
            if message["type"] == "http.response.start":
                status = str(message["status"])
                is_stream = any(n == b"content-type" and v.startswith(EVENTS) for n, v in message["headers"])
                if is_stream:
                    telemetry.note(LINES, 1, "events")
            await send(message)

        try:
            with telemetry.span(method, Headers(scope=scope)) as span:
                try:
                    await self._app(scope, receive, sending)
                finally:
                    route = self._paths.get(scope.get("endpoint", self), UNKNOWN)
                    if telemetry.tracer is not None:
                        self._tell(span, method, route, int(status), scope.get("state", {}))
        finally:
            if is_stream:
                telemetry.note(LINES, -1, "events")
            else:
                telemetry.note(REQUEST, time.perf_counter() - begun, method, route, status)
            refused = scope.get("state", {}).get("refused")
            if refused is not None:
                telemetry.note(REFUSALS, 1, *refused)

    @staticmethod
    def _tell(span: Any, method: str, route: str, status: int, state: dict[str, Any]) -> None:
        span.update_name(f"{method} {route}")
        span.set_attribute("http.request.method", method)
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        if device := state.get("said", {}).get("device"):
            span.set_attribute("regulars.device", device)
        if refused := state.get("refused"):
            span.set_attribute("regulars.code", refused[1])


class WatchedStorage:
    """The same storage, each step of it timed."""

    def __init__(self, inner: Storage, telemetry: Telemetry) -> None:
        self._inner = inner
        self._telemetry = telemetry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @asynccontextmanager
    async def reader(self, scopes: frozenset[str]) -> AsyncIterator[Reader]:
        async with self._inner.reader(scopes) as reader:
            yield cast(Reader, _Watched(reader, self._telemetry))

    @asynccontextmanager
    async def unscoped_reader(self) -> AsyncIterator[Reader]:
        async with self._inner.unscoped_reader() as reader:
            yield cast(Reader, _Watched(reader, self._telemetry))

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[Writer]:
        begun = time.perf_counter()
        async with self._inner.writer() as writer:
            self._telemetry.note(STORAGE, time.perf_counter() - begun, "wait", "done")
            yield cast(Writer, _Watched(writer, self._telemetry))


class _Watched:
    def __init__(self, inner: Reader | Writer, telemetry: Telemetry) -> None:
        self._inner = inner
        self._telemetry = telemetry

    def __getattr__(self, step: str) -> Any:
        method = getattr(self._inner, step)

        async def watched(*arguments: Any, **named: Any) -> Any:
            with self._telemetry.timed(STORAGE, f"storage {step}", step):
                return await method(*arguments, **named)

        self.__dict__[step] = watched
        return watched


def watched(telemetry: Telemetry, name: str, work: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
    """The same work, timed each time."""

    async def run() -> T:
        with telemetry.timed(WORK, f"work {name}", name):
            return await work()

    return run if telemetry.is_on else work
