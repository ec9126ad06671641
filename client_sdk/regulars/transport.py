"""The only seam to the network: bytes out, bytes in. What is no Regulars server is offline.

Between a tablet and its server stand login pages, proxies that unpack, cut or translate what they carry,
and lines that are dead without saying so. Whatever is not a whole answer of the expected form is
`Offline`, with the seconds that somebody on the way asked us to wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, TypeVar

import httpx2
import msgspec

from regulars_schema.messages import MESSAGES
from regulars_sync import coding
from regulars_sync.errors import Offline, Refused
from regulars_sync.protocol import Problem

TIMEOUT_S = 30.0
"""How long the other end may be silent within a request. A listener waits twice as long: the server says
at least every 20 seconds that it is there."""
DEADLINE_S = 300.0
"""How long a request may take in all, however busily its answer trickles."""
ANSWER_BYTES_MAX = 64 * 1024 * 1024
DISLIKES_CODING = frozenset({400, 415})
"""What a server that does not know a coding says of a body in it, or one that was not told of the coding."""
MAKING_S_MAX = 120.0
"""How long a server may take to make a snapshot of a very large branch."""
T = TypeVar("T")
_problem = msgspec.json.Decoder(Problem)


@dataclass(frozen=True, slots=True)
class Download:
    """An answer whose body is read as it comes; `Offline` comes out of `chunks` when it is cut off."""

    status: int
    headers: Mapping[str, str]
    """By names in lower case."""
    chunks: AsyncIterator[bytes]


class Transport(Protocol):
    async def post(self, path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        """Send one request; status and body. `Offline` when there is no answer."""
        ...

    def fetch(
        self, path: str, token: str, start: int = 0, etag: str | None = None
    ) -> AbstractAsyncContextManager[Download]:
        """Get a file from byte `start` on, if it is still the one with this tag; else all of it.

        `Offline` when there is no answer.
        """
        ...

    def listen(self, path: str, token: str) -> AsyncIterator[str]:
        """The server's events by name, as they come; `end` when it ends them, or refuses to begin.

        `Offline` when cut off.
        """
        ...

    async def close(self) -> None: ...


class HttpTransport:
    """HTTP to one server. What it sends and asks for is compressed, except on this very machine (`coded`).

    Redirects are not followed: the token is for this server. What a server or a proxy was seen to choke on
    is not sent to it again: coded bodies, or coded answers.
    """

    def __init__(
        self,
        url: str,
        lang: str = "en",
        *,
        coded: bool | None = None,
        timeout_s: float = TIMEOUT_S,
        deadline_s: float = DEADLINE_S,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        if coded is None:
            coded = httpx2.URL(url).host not in {"127.0.0.1", "localhost", "::1"}
        self._sends_coded = self._asks_coded = coded
        self._timeout_s = timeout_s
        self._deadline_s = deadline_s
        self._wall_s = wall_s
        self._client = httpx2.AsyncClient(
            base_url=url, timeout=timeout_s, headers={"accept-language": lang}, follow_redirects=False
        )

    async def post(self, path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(self._deadline_s):
                if self._sends_coded and len(body) >= coding.WORTH_BYTES_MIN:
                    return await self._send_coded(path, body, token)
                return await self._send(path, body, token)
        except TimeoutError as error:
            raise Offline("offline", reason="deadline") from error
        except (httpx2.HTTPError, OSError) as error:
            raise Offline("offline", reason=type(error).__name__) from error

    async def _send_coded(self, path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        """Send it coded; where that may be what is refused, plain, and from then on if it helped."""
        try:
            status, answer = await self._send(path, body, token, coded=True)
        except Offline as offline:
            if (status := offline.detail.get("status", 0)) not in DISLIKES_CODING:
                raise
        else:
            if status not in DISLIKES_CODING:
                return status, answer
        plain_status, answer = await self._send(path, body, token)
        self._sends_coded = plain_status == status
        return plain_status, answer

    async def _send(
        self, path: str, body: bytes, token: str | None, coded: bool = False
    ) -> tuple[int, bytes]:
        headers = {
            "content-type": "application/json",
            "accept-encoding": coding.OFFERED if self._asks_coded else coding.IDENTITY,
        }
        if token:
            headers["authorization"] = f"Bearer {token}"
        if coded:
            headers["content-encoding"] = coding.ZSTD
            body = coding.encode(body, coding.ZSTD)
        async with self._client.stream("POST", path, content=body, headers=headers) as answer:
            if not _is_json(answer) or answer.status_code in range(300, 400):
                raise self._not_ours(answer)
            came = await self._read(answer)
        if answer.status_code in {429, 503} and "retry-after" in answer.headers:
            try:
                _problem.decode(came)
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise self._not_ours(answer) from None
        return answer.status_code, came

    async def _read(self, answer: httpx2.Response) -> bytes:
        """The whole body; its length, its chunks or its coding say that it is."""
        named = answer.headers.get("content-encoding", coding.IDENTITY)
        try:
            body = coding.Incoming(named, ANSWER_BYTES_MAX)
            async for chunk in answer.aiter_raw():
                body.feed(chunk)
            whole = body.end()
        except Refused as refused:
            self._asks_coded = False
            raise Offline("answer_invalid", status=answer.status_code, reason=refused.code) from refused
        is_framed = "content-length" in answer.headers or "transfer-encoding" in answer.headers
        if named == coding.IDENTITY and not is_framed:
            raise Offline("answer_invalid", status=answer.status_code, reason="its end is not marked")
        if whole[:1] not in (b"{", b"["):  # still coded, but nobody says so any more
            self._asks_coded = False
            raise Offline("answer_invalid", status=answer.status_code, reason="not JSON")
        return whole

    def _not_ours(self, answer: httpx2.Response) -> Offline:
        asked = retry_after_s(answer.headers, self._wall_s())
        detail: dict[str, Any] = {} if asked is None else {"seconds": asked}
        return Offline("answer_invalid", status=answer.status_code, **detail)

    @asynccontextmanager
    async def fetch(
        self, path: str, token: str, start: int = 0, etag: str | None = None
    ) -> AsyncIterator[Download]:
        headers = {"authorization": f"Bearer {token}", "accept-encoding": coding.IDENTITY}
        if start and etag:
            headers |= {"range": f"bytes={start}-", "if-range": etag}
        timeout = httpx2.Timeout(self._timeout_s, read=max(self._timeout_s, MAKING_S_MAX))
        try:
            async with self._client.stream("GET", path, headers=headers, timeout=timeout) as answer:
                yield Download(answer.status_code, answer.headers, answer.aiter_raw())
        except (httpx2.HTTPError, OSError) as error:
            raise Offline("offline", reason=type(error).__name__) from error

    async def listen(self, path: str, token: str) -> AsyncIterator[str]:
        headers = {
            "authorization": f"Bearer {token}",
            "accept": "text/event-stream",
            "accept-encoding": coding.IDENTITY,
        }
        timeout = httpx2.Timeout(self._timeout_s, read=2 * self._timeout_s)
        try:
            async with self._client.stream("GET", path, headers=headers, timeout=timeout) as answer:
                if answer.status_code == 403 and _is_json(answer):
                    yield "end"
                    return
                if answer.headers.get("content-type", "").partition(";")[0] != "text/event-stream":
                    raise self._not_ours(answer)
                async for line in answer.aiter_lines():
                    if line.startswith("event:"):
                        yield line.removeprefix("event:").strip()
        except (httpx2.HTTPError, OSError) as error:
            raise Offline("offline", reason=type(error).__name__) from error

    async def close(self) -> None:
        await self._client.aclose()


@dataclass(slots=True)
class Counted:
    """A transport that tells how many bytes it sent and received so far, without codings and headers."""

    transport: Transport
    on_bytes: Callable[[int, int], None]
    sent: int = 0
    received: int = 0

    async def post(self, path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        status, answer = await self.transport.post(path, body, token)
        self.sent += len(body)
        self.received += len(answer)
        self.on_bytes(self.sent, self.received)
        return status, answer

    def fetch(
        self, path: str, token: str, start: int = 0, etag: str | None = None
    ) -> AbstractAsyncContextManager[Download]:
        return self.transport.fetch(path, token, start, etag)

    def listen(self, path: str, token: str) -> AsyncIterator[str]:
        return self.transport.listen(path, token)

    async def close(self) -> None:
        await self.transport.close()


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """The seconds that Retry-After asks for, in either of its forms; None without one that can be read.

    A date counts from the answer's own Date where there is one: this tablet's clock may stand years off.
    """
    said = headers.get("retry-after", "").strip()
    if said.isdecimal():
        return float(said[:9])
    try:
        until = parsedate_to_datetime(said).timestamp()
        now_s = parsedate_to_datetime(headers["date"]).timestamp() if "date" in headers else now_s
        return max(0.0, until - now_s)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _is_json(answer: httpx2.Response) -> bool:
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower().endswith("json")


async def ask(
    transport: Transport, path: str, request: msgspec.Struct, token: str | None, into: type[T]
) -> T | Problem:
    """Send a request of the protocol; its answer, or the server's `Problem`.

    `Offline("answer_invalid")` when what answered is no Regulars server: the login page of a network,
    a proxy's error page, a problem under a status that is not its own.
    """
    status, body = await transport.post(path, msgspec.json.encode(request), token)
    try:
        if status == 200:
            return msgspec.json.decode(body, type=into)
        found = _problem.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Offline("answer_invalid", status=status) from error
    known = MESSAGES.get(found.code)
    if status < 400 or (known is not None and (known.status or 500) != status):
        raise Offline("answer_invalid", status=status)
    return found
