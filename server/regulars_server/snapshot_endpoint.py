"""`GET /sync/v1/snapshot`: a ready-made replica file, from any byte on."""

from __future__ import annotations

import asyncio
import contextlib
import os
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import IO

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from regulars_server import web
from regulars_server.devices import refusal
from regulars_server.service import Service
from regulars_server.snapshots import Snapshot, Snapshots
from regulars_sync.errors import Refused, RegularsError
from regulars_sync.replica_layout import SCHEMA_MIN

MEDIA = "application/vnd.regulars.replica+zstd"
CHUNK_BYTES = 256 * 1024
CHECK_CHUNKS = 16
"""After so many chunks the right to read on is looked at anew."""


def routes(service: Service) -> list[Route]:
    async def scopes_of(token: str | None) -> frozenset[str]:
        principal, author = await service.device(token)
        if principal.revoked:
            raise await refusal(service, principal.device or "")
        return author.scopes or frozenset()

    async def do_snapshot(request: Request) -> Response:
        token = web.bearer(request)
        principal, _ = await service.device(token)
        request.state.said = {"device": principal.device}
        scopes = await scopes_of(token)
        registry = service.storage.registry
        schema = _schema(request)
        if schema < registry.oldest_served:
            raise Refused("schema_too_old", schema=schema, oldest=registry.oldest_served)
        if service.snapshots is None or schema < SCHEMA_MIN:
            raise Refused("snapshot_none")
        snapshot, file = await opened(service.snapshots, scopes)
        if await scopes_of(token) != scopes:  # it waited while rights changed
            file.close()
            raise Refused("busy", seconds=1)

        async def may_go_on() -> bool:
            """Whether the device may read, the file was not deleted, and the server goes on."""
            try:
                is_same = await scopes_of(token) == scopes
            except RegularsError:
                return False
            return is_same and not service.hub.is_closing and os.fstat(file.fileno()).st_nlink > 0

        return _answer(request, snapshot, file, may_go_on)

    handler = web.guarded(do_snapshot, service.now_ms, service.entropy)
    return [Route("/sync/v1/snapshot", handler, methods=["GET"])]


async def opened(snapshots: Snapshots, scopes: frozenset[str]) -> tuple[Snapshot, IO[bytes]]:
    """The snapshot and its file; another one where somebody was erased that very moment."""
    while True:
        snapshot = await snapshots.get(scopes)
        with contextlib.suppress(FileNotFoundError):
            return snapshot, await asyncio.to_thread(snapshot.file.open, "rb")


def _schema(request: Request) -> int:
    said = request.query_params.get("schema", "")
    if not (said.isascii() and said.isdecimal() and len(said) < 10):
        raise Refused("argument_invalid", reason="schema=N: the version of the declarations that you know")
    return int(said)


def _answer(
    request: Request, snapshot: Snapshot, file: IO[bytes], may_go_on: Callable[[], Awaitable[bool]]
) -> Response:
    about = snapshot.about
    tag = f'"{about.sha256}"'
    headers = {
        "accept-ranges": "bytes",
        "cache-control": "private, no-store, no-transform",
        "content-type": MEDIA,
        "etag": tag,
        "repr-digest": f"sha-256=:{b64encode(bytes.fromhex(about.sha256)).decode()}:",
    }
    asked = request.headers.get("range")
    if asked is not None and request.headers.get("if-range", tag) == tag:
        stretch = ranged(asked, about.bytes)
        if stretch is not None and stretch[0] >= stretch[1]:
            file.close()
            return Response(status_code=416, headers={**headers, "content-range": f"bytes */{about.bytes}"})
        if stretch is not None:
            start, end = stretch
            headers["content-range"] = f"bytes {start}-{end - 1}/{about.bytes}"
            return FileStretch(file, start, end, 206, headers, may_go_on)
    return FileStretch(file, 0, about.bytes, 200, headers, may_go_on)


def ranged(asked: str, size: int) -> tuple[int, int] | None:
    """The first byte and the one behind the last; None for what is not one range: the whole file is sent.

    The first is not before the end where nothing of the file was asked for.
    """
    unit, equals, said = asked.partition("=")
    first, dash, last = said.strip().partition("-")
    if unit.strip().lower() != "bytes" or not equals or not dash or not f"{first}{last}".isdecimal():
        return None
    if not said.isascii() or len(said) > 40:
        return None
    if not first:
        return max(0, size - int(last)), size
    end = min(size, int(last) + 1) if last else size
    return (int(first), end) if not last or int(last) >= int(first) else None


class FileStretch(Response):
    """Sends a stretch of an open file, and closes it. One that may not go on is cut off, as a line is."""

    def __init__(
        self,
        file: IO[bytes],
        start: int,
        end: int,
        status: int,
        headers: dict[str, str],
        may_go_on: Callable[[], Awaitable[bool]],
    ) -> None:
        super().__init__(status_code=status, headers={**headers, "content-length": str(end - start)})
        del self.body
        self._file = file
        self._start, self._end = start, end
        self._may_go_on = may_go_on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            await asyncio.to_thread(self._file.seek, self._start)
            left, chunks = self._end - self._start, 0
            while left:
                if chunks % CHECK_CHUNKS == 0 and not await self._may_go_on():
                    return
                chunk = await asyncio.to_thread(self._file.read, min(left, CHUNK_BYTES))
                if not chunk:
                    return
                left, chunks = left - len(chunk), chunks + 1
                await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})
        finally:
            self._file.close()
