"""A file over HTTP from any byte on, for as long as whoever fetches it may."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import IO

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

CHUNK_BYTES = 256 * 1024
CHECK_CHUNKS = 16
"""After so many chunks the right to read on is looked at anew."""


def download(
    request: Request,
    file: IO[bytes],
    size: int,
    sha256: str,
    media: str,
    may_go_on: Callable[[], Awaitable[bool]],
    name: str | None = None,
) -> Response:
    """The whole file or the range that is asked for; `If-Range` holds it to the same bytes. Closes it."""
    tag = f'"{sha256}"'
    headers = {
        "accept-ranges": "bytes",
        "cache-control": "private, no-store, no-transform",
        "content-type": media,
        "etag": tag,
        "repr-digest": f"sha-256=:{b64encode(bytes.fromhex(sha256)).decode()}:",
    }
    if name is not None:
        headers["content-disposition"] = f'attachment; filename="{name}"'
    asked = request.headers.get("range")
    if asked is not None and request.headers.get("if-range", tag) == tag:
        stretch = ranged(asked, size)
        if stretch is not None and stretch[0] >= stretch[1]:
            file.close()
            return Response(status_code=416, headers={**headers, "content-range": f"bytes */{size}"})
        if stretch is not None:
            start, end = stretch
            headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
            return FileStretch(file, start, end, 206, headers, may_go_on)
    return FileStretch(file, 0, size, 200, headers, may_go_on)


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
            if not left:
                await send({"type": "http.response.body", "body": b""})
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
