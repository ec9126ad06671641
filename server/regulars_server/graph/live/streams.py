"""GraphQL over server-sent events, as graphql-sse's protocol has it: both of its modes, at `/graphql`.

    distinct   POST with Accept: text/event-stream              its own stream: next ... complete
    single     PUT                                              201 and the token of a stream, reserved
               GET  with the token                              that stream, once
               POST with the token, extensions.operationId      202; answers come in the stream, with that id
               DELETE with the token and ?operationId=          that operation ends

The token is sent as `X-GraphQL-Event-Stream-Token`, or as the parameter `token` by what can send no headers.
A reservation is kept in the memory of the server that made it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson
from graphql import ExecutionResult
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from regulars_server import web
from regulars_server.access import Principal
from regulars_server.graph.documents import Invalid
from regulars_server.graph.live.operating import operate
from regulars_server.graph.operations import Asked, Operations
from regulars_server.graph.problems import coded
from regulars_server.lines import Line
from regulars_sync.errors import Refused, RegularsError

MEDIA = "text/event-stream"
TOKEN_HEADER = "x-graphql-event-stream-token"
HEARTBEAT_S = 15.0
RESERVED_S_MAX = 60.0
RESERVED_MAX = 1_000
TOKEN_BYTES = 16
COMMENT = b":\n\n"

Asking = Callable[[], Awaitable[Asked]]
"""Reads the GraphQL request in an HTTP one."""


class Stream:
    """One event stream and the operations whose answers it carries."""

    def __init__(self, operations: Operations, line: Line, lang: str, is_single: bool) -> None:
        self._operations = operations
        self._line = line
        self._lang = lang
        self._is_single = is_single
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._events: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(1)
        """Held by an event from when it is made until it was taken: no slow reader makes a queue."""
        self._is_over = False

    def start(self, id: str, asked: Asked) -> None:
        """`Refused`: the id is in use, or too many are under way."""
        limit = self._operations.service.settings.line_operations_max
        if id in self._tasks:
            raise Refused("argument_invalid", reason=f"the operation {id[:80]} is under way already")
        if len(self._tasks) >= limit:
            raise Refused("streams_too_many", limit=limit)
        self._tasks[id] = asyncio.create_task(self._operate(id, asked))

    def stop(self, id: str) -> None:
        if task := self._tasks.pop(id, None):
            task.cancel()

    def end(self) -> None:
        """No more will come."""
        if not self._is_over:
            self._is_over = True
            self._events.put_nowait(None)

    async def _operate(self, id: str, asked: Asked) -> None:
        task = asyncio.current_task()
        try:
            async with aclosing(operate(self._operations, asked, self._line, self._lang)) as answers:
                async for said in answers:
                    if not await self._tell("next", id, said.body):
                        break
            await self._tell("complete", id)
        finally:
            if self._tasks.get(id) is task:
                del self._tasks[id]
            if not self._is_single:
                self.end()

    async def _tell(self, event: str, id: str, payload: dict[str, Any] | None = None) -> bool:
        """Whether it could be told; of what is too large only that."""
        bytes_max = self._operations.service.settings.answer_bytes_max
        raw = written(event, self._data(id, payload))
        fits = len(raw) <= bytes_max
        if not fits:
            error = coded("answer_too_large", {"bytes_max": bytes_max}, self._lang)
            raw = written(event, self._data(id, {"errors": [error]}))
        await self._room.acquire()
        self._events.put_nowait(raw)
        return fits

    def _data(self, id: str, payload: dict[str, Any] | None) -> object:
        if not self._is_single:
            return payload
        return {"id": id} if payload is None else {"id": id, "payload": payload}

    async def body(self) -> AsyncGenerator[bytes, None]:
        """The bytes of the stream; a comment when nothing happens, so that who has gone is noticed."""
        try:
            with self._operations.service.lines.open(self._line):
                yield COMMENT
                while True:
                    try:
                        async with asyncio.timeout(HEARTBEAT_S):
                            event = await self._events.get()
                    except TimeoutError:
                        event = COMMENT
                        yield event
                        continue
                    if event is None:
                        return
                    yield event
                    self._room.release()
        finally:
            await asyncio.gather(*self.abandon(), return_exceptions=True)

    def abandon(self) -> list[asyncio.Task[None]]:
        """Stop every operation; these are on their way out."""
        self._is_over = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        return tasks


def written(event: str, data: object) -> bytes:
    encoded = b"" if data is None else b" " + orjson.dumps(data)
    return b"event: " + event.encode() + b"\ndata:" + encoded + b"\n\n"


class Streams:
    """The event streams of one service."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._reserved: dict[str, _Reserved] = {}

    def is_asked(self, request: Request) -> bool:
        """Whether a POST or GET is one of this protocol."""
        return MEDIA in request.headers.get("accept", "") or _token(request) is not None

    async def post(self, request: Request, asking: Asking) -> Response:
        lang = web.language(request)
        try:
            principal = await self._operations.principal(web.bearer(request))
            asked = await asking()
            token = _token(request)
            if token is not None:
                return await self._begin(self._stream(token, principal), principal, asked, lang)
            stream = self._new(web.bearer(request), principal, lang, is_single=False)
            self._operations.service.lines.check()
        except RegularsError as error:
            return _refused(error, lang)
        stream.start("", asked)
        return _streaming(stream)

    async def put(self, request: Request) -> Response:
        lang = web.language(request)
        try:
            bearer = web.bearer(request)
            principal = await self._operations.principal(bearer)
            self._operations.service.lines.check()
            if sum(not reserved.is_taken for reserved in self._reserved.values()) >= RESERVED_MAX:
                raise Refused("streams_too_many", limit=RESERVED_MAX)
        except RegularsError as error:
            return _refused(error, lang)
        token = self._operations.service.entropy(TOKEN_BYTES).hex()
        stream = self._new(bearer, principal, lang, is_single=True)
        self._reserved[token] = _Reserved(stream, principal.token)
        asyncio.get_running_loop().call_later(RESERVED_S_MAX, self._expire, token)
        return Response(token, 201, {"cache-control": "no-store"}, media_type="text/plain")

    async def get(self, request: Request) -> Response:
        """The stream of a token. The token itself is the ticket: a browser's EventSource has no other."""
        token = _token(request) or ""
        reserved = self._reserved.get(token)
        if reserved is None:
            return _refused(Refused("stream_unknown"), web.language(request))
        if reserved.is_taken:
            return Response(status_code=409)
        reserved.is_taken = True
        return _streaming(reserved.stream, lambda: self._reserved.pop(token, None))

    async def delete(self, request: Request) -> Response:
        lang = web.language(request)
        try:
            principal = await self._operations.principal(web.bearer(request))
            stream = self._stream(_token(request) or "", principal)
        except RegularsError as error:
            return _refused(error, lang)
        stream.stop(request.query_params.get("operationId", ""))
        return Response(status_code=200)

    async def _begin(self, stream: Stream, principal: Principal, asked: Asked, lang: str) -> Response:
        id = asked.extensions.get("operationId")
        if not isinstance(id, str) or not id:
            raise Refused("body_invalid", reason="`extensions.operationId` should be a text")
        try:
            await self._operations.document(asked, principal)
        except Invalid as invalid:
            said = self._operations.said(ExecutionResult(None, invalid.errors), lang)
            return Response(orjson.dumps(said.body), 400, media_type="application/json")
        stream.start(id, asked)
        return Response(status_code=202)

    def _stream(self, token: str, principal: Principal) -> Stream:
        """`Refused("stream_unknown")` also for one that another token reserved."""
        reserved = self._reserved.get(token)
        if reserved is None or reserved.owner != principal.token:
            raise Refused("stream_unknown")
        return reserved.stream

    def _new(self, bearer: str | None, principal: Principal, lang: str, is_single: bool) -> Stream:
        line = Line(bearer, principal, lambda error: stream.end())
        stream = Stream(self._operations, line, lang, is_single)
        return stream

    def _expire(self, token: str) -> None:
        """Nobody came for it."""
        reserved = self._reserved.get(token)
        if reserved is not None and not reserved.is_taken:
            del self._reserved[token]
            reserved.stream.abandon()


@dataclass(slots=True)
class _Reserved:
    stream: Stream
    owner: str
    """The id of the token that reserved it."""
    is_taken: bool = False


def _token(request: Request) -> str | None:
    return request.headers.get(TOKEN_HEADER) or request.query_params.get("token")


def _refused(error: RegularsError, lang: str) -> Response:
    body = orjson.dumps({"errors": [coded(error.code, error.detail, lang)]})
    headers = {"www-authenticate": "Bearer"} if error.status == 401 else {}
    return Response(body, error.status, headers, media_type="application/json")


def _streaming(stream: Stream, over: Callable[[], object] = lambda: None) -> Response:
    async def body() -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(stream.body()) as events:
                async for event in events:
                    yield event
        except RegularsError as error:  # no room for it any more
            yield written("next", {"errors": [coded(error.code, error.detail, "en")]})
            yield written("complete", None)
        finally:
            over()

    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(body(), media_type=MEDIA, headers=headers)
