"""The page at GET /graphql: three files of our own, which name no other host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).parent
ASSETS = {"ide.js": "text/javascript", "ide.css": "text/css"}
HEADERS = {
    "content-security-policy": "default-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}


def page() -> Response:
    return Response((FOLDER / "index.html").read_bytes(), headers=HEADERS, media_type="text/html")


def asset(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        return Response((FOLDER / name).read_bytes(), headers=HEADERS, media_type=ASSETS[name])

    return serve
