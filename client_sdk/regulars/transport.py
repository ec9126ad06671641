"""The only seam to the network: bytes out, bytes in. What is no Regulars server is offline."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol, TypeVar

import httpx2
import msgspec

from regulars_sync.errors import Offline
from regulars_sync.protocol import Problem

TIMEOUT_S = 30.0
SILENCE_S_MAX = 60.0
"""The server says at least every 20 seconds that it is there; a longer silence is a dead connection."""
T = TypeVar("T")


class Transport(Protocol):
    async def post(self, path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        """Send one request; status and body. `Offline` when there is no answer."""
        ...

    def listen(self, path: str, token: str) -> AsyncIterator[str]:
        """The server's events by name, as they come; `end` when it ends them, or refuses to begin.

        `Offline` when cut off.
        """
        ...

    async def close(self) -> None: ...


class HttpTransport:
    """HTTP to one server. Answers are compressed on the way, except from this very machine."""

    def __init__(self, url: str, lang: str = "en") -> None:
        local = httpx2.URL(url).host in {"127.0.0.1", "localhost", "::1"}
        self._client = httpx2.AsyncClient(
            base_url=url,
            timeout=TIMEOUT_S,
            headers={"accept-language": lang, "accept-encoding": "identity" if local else "gzip"},
        )

    async def post(self, path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        headers = {"content-type": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        try:
            answer = await self._client.post(path, content=body, headers=headers)
        except httpx2.HTTPError as error:
            raise Offline("offline", reason=type(error).__name__) from error
        return answer.status_code, answer.content

    async def listen(self, path: str, token: str) -> AsyncIterator[str]:
        headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
        timeout = httpx2.Timeout(TIMEOUT_S, read=SILENCE_S_MAX)
        try:
            async with self._client.stream("GET", path, headers=headers, timeout=timeout) as answer:
                if answer.status_code == 403:
                    yield "end"
                    return
                if answer.headers.get("content-type", "").partition(";")[0] != "text/event-stream":
                    raise Offline("answer_invalid", status=answer.status_code)
                async for line in answer.aiter_lines():
                    if line.startswith("event:"):
                        yield line.removeprefix("event:").strip()
        except httpx2.HTTPError as error:
            raise Offline("offline", reason=type(error).__name__) from error

    async def close(self) -> None:
        await self._client.aclose()


async def ask(
    transport: Transport, path: str, request: msgspec.Struct, token: str | None, into: type[T]
) -> T | Problem:
    """Send a request of the protocol; its answer, or the server's `Problem`.

    `Offline("answer_invalid")` when what answered is no Regulars server: the login page of a network,
    a proxy's error page.
    """
    status, body = await transport.post(path, msgspec.json.encode(request), token)
    try:
        if status == 200:
            return msgspec.json.decode(body, type=into)
        found: Any = msgspec.json.decode(body, type=Problem)
        return found  # type: ignore[no-any-return]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Offline("answer_invalid", status=status) from error
