"""HTTP for every room of the server: bounded bodies, codings, problems in the caller's words, log lines."""

from __future__ import annotations

import asyncio
import logging
import re
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from secrets import token_hex
from typing import TypeVar

import msgspec
import orjson
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response

from regulars_server.gate import Visit
from regulars_sync import coding
from regulars_sync.errors import Refused, RegularsError
from regulars_sync.protocol import Contact, Problem

log = logging.getLogger("regulars")

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
"""What a caller or proxy may call a request: it is told back, and logged."""
AGAIN_S = 5
"""When to come again where the error itself does not say it."""
Handler = Callable[[Request], Awaitable[Response]]
T = TypeVar("T")


def language(request: HTTPConnection) -> str:
    """`zh` or `en`, whichever the caller names first."""
    accepted = request.headers.get("accept-language", "").lower()
    zh, en = accepted.find("zh"), accepted.find("en")
    return "zh" if zh >= 0 and (en < 0 or zh < en) else "en"


def bearer(request: HTTPConnection) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


async def read_body(request: Request, bytes_max: int, visit: Visit) -> bytes:
    """The whole body out of its coding, once it is the visit's turn; until then it is kept as it came.

    `Refused` as `coding.Incoming` and `Visit.turn`; too_slow.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:18]) > bytes_max:
        raise Refused("body_too_large", bytes_max=bytes_max)
    body = coding.Incoming(request.headers.get("content-encoding", coding.IDENTITY), bytes_max)
    seconds_max = visit.bounds.body_seconds_max
    chunks: list[bytes] = []
    try:
        async with asyncio.timeout(seconds_max):
            async for chunk in request.stream():
                visit.hold(len(chunk))
                if visit.held > bytes_max:
                    raise Refused("body_too_large", bytes_max=bytes_max)
                chunks.append(chunk)
    except ClientDisconnect:
        raise Refused("body_invalid", reason="it stopped halfway") from None
    except TimeoutError:
        raise Refused("too_slow", seconds_max=seconds_max) from None
    await visit.turn()
    for chunk in chunks:
        body.feed(chunk)
    return body.end()


async def body_pieces(request: Request, bytes_max: int) -> AsyncIterator[bytes]:
    """A long body, out of its coding piece by piece, for a reader who counts them.

    `Refused`: encoding_unknown, body_invalid; body_too_large for one that is larger than this as it comes.
    """
    pieces = coding.Pieces(request.headers.get("content-encoding", coding.IDENTITY))
    came = 0
    try:
        async for chunk in request.stream():
            came += len(chunk)
            if came > bytes_max:
                raise Refused("body_too_large", bytes_max=bytes_max)
            for piece in pieces.feed(chunk):
                yield piece
    except ClientDisconnect:
        raise Refused("body_invalid", reason="it stopped halfway") from None
    pieces.end()


def decode(body: bytes, into: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=into)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("body_invalid", reason=str(error)[:200]) from None


def answer(request: Request, body: bytes, status: int = 200, media: str = "application/json") -> Response:
    """A response, coded as the caller asked where it is worth it."""
    headers = {"vary": "accept-encoding, accept-language"}
    chosen = coding.choose(request.headers.get("accept-encoding", ""))
    if len(body) >= coding.WORTH_BYTES_MIN and chosen != coding.IDENTITY:
        body = coding.encode(body, chosen)
        headers["content-encoding"] = chosen
    return Response(body, status, headers, media_type=media)


def problem(request: Request, error: RegularsError, contact: Contact | None = None) -> Response:
    refuse(request, error)
    detail, headers = error.detail, {}
    if error.status in {429, 503}:
        detail = {"seconds": AGAIN_S, **detail}
        headers = {"retry-after": str(detail["seconds"])}
    said = Problem(error.code, error.text(language(request)), detail, error.retryable, contact)
    return Response(msgspec.json.encode(said), error.status, headers, media_type="application/json")


def refuse(request: HTTPConnection, error: RegularsError) -> None:
    """Note why this request is refused, for whoever counts."""
    request.state.refused = (str(error.status), error.code)


def guarded(handler: Handler, now_ms: Callable[[], int], entropy: Callable[[int], bytes]) -> Handler:
    """The handler with every error turned into a `Problem`, and one log line a request: no personal data."""

    async def run(request: Request) -> Response:
        begun = now_ms()
        named = request.headers.get("x-request-id", "")
        if not REQUEST_ID.fullmatch(named):
            named = token_hex(8)  # tells lines of the log together, and nothing that a seed replays
        try:
            response = await handler(request)
        except RegularsError as error:
            response = problem(request, error)
        except Exception as error:
            incident = entropy(4).hex()
            log.exception(
                "incident %s",
                incident,
                extra={"incident": incident, "error": type(error).__name__, "request": named},
            )
            response = problem(request, Refused("internal", incident=incident))
        response.headers["x-request-id"] = named
        log.info(
            "%s %s %d",
            request.method,
            request.scope["path"],
            response.status_code,
            extra={
                "method": request.method,
                "path": request.scope["path"],
                "status": response.status_code,
                "ms": now_ms() - begun,
                "bytes": len(body) if isinstance(body := getattr(response, "body", None), bytes) else None,
                "request": named,
                **getattr(request.state, "said", {}),
            },
        )
        return response

    return run


def without_texts(error: BaseException | None) -> str:
    """Where an error came from, and what kinds led to it: their texts may hold what a customer wrote."""
    told: list[str] = []
    while error is not None:
        told.append("".join(traceback.format_tb(error.__traceback__)) + type(error).__name__)
        error = error.__cause__ or error.__context__
    return "\n".join(reversed(told))


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, event, and the fields that the call named."""

    FIELDS = (
        "request",
        "method",
        "path",
        "status",
        "ms",
        "bytes",
        "device",
        "changes",
        "verdicts",
        "cost",
        "incident",
        "error",
    )

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "at": int(record.created * 1000),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        said |= {name: value for name in self.FIELDS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            said["trace"] = without_texts(record.exc_info[1])
        return orjson.dumps(said).decode()
