"""`/graphql` as a WebSocket: `protocol.Connection` between Starlette and the operations.

One task reads; each operation has one of its own. Answers are made and sent one at a time (`Line.turn`), and
the next is made when the last was taken, so a slow reader holds one answer and gets what is true by then. One
that takes nothing for `SEND_S_MAX` is given up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any

from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from regulars_server import web
from regulars_server.graph.live.operating import operate
from regulars_server.graph.live.protocol import (
    SUBPROTOCOL,
    Close,
    Code,
    Connection,
    Event,
    Init,
    Reply,
    State,
    Stop,
    Subscribe,
)
from regulars_server.graph.operations import Asked, Operations
from regulars_server.graph.problems import coded
from regulars_server.lines import Line
from regulars_server.origins import Origins
from regulars_sync.errors import Refused, RegularsError

INIT_S_MAX = 10.0
SEND_S_MAX = 30.0
CLOSE_S_MAX = 1.0
MESSAGE_BYTES_MAX = 256 * 1024
"""A larger one closes with 1009; the WebSocket layer is told so where it is started."""

log = logging.getLogger("regulars")


class Socket:
    """One socket, from its handshake to its end."""

    def __init__(self, operations: Operations, read: Callable[[object], Asked], websocket: WebSocket) -> None:
        self._operations = operations
        self._origins = Origins(operations.service.settings.origins)
        self._read = read
        self._websocket = websocket
        self._connection = Connection()
        self._lang = web.language(websocket)
        self._line: Line | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[Any] | None = None
        self._end: Close | None = None
        self._stack = AsyncExitStack()

    async def serve(self) -> None:
        """Until either side closes it."""
        service, websocket = self._operations.service, self._websocket
        if not self._origins.allows(websocket.headers):
            await websocket.send_denial_response(Response(status_code=403))
            return
        try:
            service.lines.check()
        except RegularsError as error:
            await websocket.send_denial_response(Response(status_code=error.status))
            return
        if SUBPROTOCOL not in websocket.scope["subprotocols"]:
            await websocket.accept()
            code = Code.SUBPROTOCOL_NOT_ACCEPTABLE
            await websocket.close(code.value, f"Speak {SUBPROTOCOL}")
            return
        self._task = asyncio.current_task()
        try:
            await websocket.accept(SUBPROTOCOL)
            await self._listen()
        except asyncio.CancelledError:
            if self._end is None:
                raise
            assert self._task is not None
            self._task.uncancel()
        except WebSocketDisconnect:
            pass
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            await self._stack.aclose()
            await self._say_goodbye()

    async def _listen(self) -> None:
        try:
            async with asyncio.timeout(INIT_S_MAX) as patience:
                while self._end is None:
                    message = await self._websocket.receive()
                    if message["type"] == "websocket.disconnect":
                        return
                    event = self._connection.receive(message.get("text"))
                    if event is not None:
                        await self._do(event)
                    if self._connection.state is State.READY:
                        patience.reschedule(None)
        except TimeoutError:
            self._end = self._connection.close(Code.INIT_TIMEOUT, "Connection initialisation timeout")

    async def _do(self, event: Event) -> None:
        match event:
            case Init(payload):
                await self._let_in(payload)
            case Subscribe(id, payload):
                task = asyncio.create_task(self._operate(id, payload))
                self._tasks[id] = task
                task.add_done_callback(lambda done: self._forget(id, done))
            case Stop(id):
                if id in self._tasks:
                    self._tasks[id].cancel()
            case Reply(text):
                await self._send(text)
            case Close():
                self._end = event

    def _forget(self, id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(id) is task:
            del self._tasks[id]

    async def _let_in(self, payload: Mapping[str, Any]) -> None:
        try:
            bearer = bearer_of(payload) or web.bearer(self._websocket)
            principal = await self._operations.principal(bearer)
            line = Line(bearer, principal, self._end_with)
            self._stack.enter_context(self._operations.service.lines.open(line))
        except RegularsError as error:
            self._end = self._closing(error)
        else:
            self._line = line
            await self._send(self._connection.acknowledge())

    async def _operate(self, id: str, payload: Mapping[str, Any]) -> None:
        """Answer one operation. Cancelled when it is stopped."""
        assert self._line is not None
        connection, settings = self._connection, self._operations.service.settings
        try:
            if connection.operations > settings.line_operations_max:
                raise Refused("streams_too_many", limit=settings.line_operations_max)
            asked = self._read(payload)
            async with aclosing(operate(self._operations, asked, self._line, self._lang)) as answers:
                async for said in answers:
                    if not said.ran:
                        await self._send(connection.error(id, said.body["errors"]))
                        return
                    text = connection.next(id, said.body)
                    if text is not None and len(text) > settings.answer_bytes_max:
                        raise Refused("answer_too_large", bytes_max=settings.answer_bytes_max)
                    await self._send(text)
                    if not connection.is_open(id):
                        return
            await self._send(connection.complete(id))
        except RegularsError as error:
            await self._send(connection.error(id, [coded(error.code, error.detail, self._lang)]))
        except WebSocketDisconnect:
            pass  # the reader is told too

    async def _send(self, text: str | None) -> None:
        if text is None:
            return
        try:
            async with asyncio.timeout(SEND_S_MAX):
                await self._websocket.send_text(text)
        except TimeoutError:
            self._end_with(Refused("stream_slow"))

    # --- the end -----------------------------------------------------------------------------------------

    def _end_with(self, error: RegularsError) -> None:
        """End it from outside of its tasks."""
        if self._end is None and self._task is not None:
            self._end = self._closing(error)
            self._task.cancel()

    def _closing(self, error: RegularsError) -> Close:
        code = Code.FORBIDDEN
        if error.code == "server_stopping":
            code = Code.GOING_AWAY
        elif error.status in (429, 503):
            code = Code.TRY_AGAIN_LATER
        return self._connection.close(code, f"{error.code}: {error.text(self._lang)}")

    async def _say_goodbye(self) -> None:
        end = self._end
        try:
            async with asyncio.timeout(CLOSE_S_MAX):
                if end is not None:
                    await self._websocket.close(end.code.value, end.reason)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            pass  # it is gone
        code = end.code.value if end is not None else Code.NORMAL.value
        device = self._line.principal.device if self._line is not None else None
        extra = {"method": "WS", "path": self._websocket.scope["path"], "status": code, "device": device}
        log.info("WS %s %d", self._websocket.scope["path"], code, extra=extra)


def bearer_of(payload: Mapping[str, Any]) -> str | None:
    """The bearer in a connection_init: `authorization`, in any case, by itself or among `headers`."""
    for given in (payload, payload.get("headers")):
        for name, value in given.items() if isinstance(given, dict) else ():
            if name.lower() == "authorization" and isinstance(value, str):
                scheme, _, token = value.partition(" ")
                return (token if scheme.lower() == "bearer" else value).strip() or None
    return None
