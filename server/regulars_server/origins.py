"""Which web pages may talk to this server.

Nothing here is ever authorised by what a browser attaches by itself (cookies, certificates, addresses): every
right comes from a bearer token that a page must know and set, so another site's page can't use it, nor forge
a request in a person's name. On top of that a request that changes anything is refused when a browser says
that a page of another site sent it, unless that site is on the list, which CORS is answered from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from regulars_server import web
from regulars_sync.errors import LocalError, Refused

METHODS = ("GET", "POST", "PUT", "DELETE")
HEADERS = (
    "accept",
    "accept-language",
    "authorization",
    "content-type",
    "last-event-id",
    "x-graphql-event-stream-token",
    "x-request-id",
)
EXPOSED = ("retry-after", "www-authenticate", "x-request-id")
PREFLIGHT_S = 600
_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Origins:
    """The pages of this very server, and those of the sites on the list."""

    def __init__(self, listed: str) -> None:
        """`listed`: origins such as `https://desk.example`, with commas. `LocalError("setting_invalid")`."""
        self.listed = frozenset(filter(None, (part.strip() for part in listed.split(","))))
        for origin in self.listed:
            if not _ORIGIN.fullmatch(origin):
                raise LocalError("setting_invalid", name="REGULARS_ORIGINS", value=origin[:80])

    def allows(self, headers: Mapping[str, str]) -> bool:
        """Whether no page of another site sent this; what no browser sent is not asked."""
        origin = headers.get("origin")
        if origin is None or origin in self.listed or headers.get("sec-fetch-site") == "same-origin":
            return True
        return bool(parts := urlsplit(origin).netloc) and parts == headers.get("host")

    def middleware(self) -> list[Middleware]:
        listed = sorted(self.listed)
        cors = Middleware(
            CORSMiddleware,
            allow_origins=listed,
            allow_methods=METHODS,
            allow_headers=HEADERS,
            expose_headers=EXPOSED,
            max_age=PREFLIGHT_S,
        )
        return [*([cors] if listed else []), Middleware(_Guard, self)]


class _Guard:
    """Refuses what another site's page asks to be done."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in SAFE:
            request = Request(scope)
            if not self._origins.allows(request.headers):
                await web.problem(request, Refused("origin_refused"))(scope, receive, send)
                return
        await self._app(scope, receive, send)
