"""`GET /sync/v1/live`: server-sent wake-ups for one device, which then pulls as always."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from regulars_server import web
from regulars_server.devices import refusal
from regulars_server.hub import HEARTBEAT_S
from regulars_server.service import Service
from regulars_sync.errors import Refused, RegularsError


def routes(service: Service) -> list[Route]:
    async def live(request: Request) -> Response:
        token = web.bearer(request)
        if service.hub.listeners >= service.settings.listeners_max:
            raise Refused("streams_too_many", limit=service.settings.listeners_max)
        principal, author = await service.device(token)
        if principal.revoked:
            raise await refusal(service, principal.device or "")
        request.state.said = {"device": principal.device}
        stream = events(service, token, author.scopes or frozenset())
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    handler = web.guarded(live, service.now_ms, service.entropy)
    return [Route("/sync/v1/live", handler, methods=["GET"])]


async def events(service: Service, token: str | None, scopes: frozenset[str]) -> AsyncIterator[bytes]:
    """`ready`, then `change` after each commit in reach, a comment as heartbeat, `end` when it is over.

    The right to listen is checked anew before every event.
    """
    with service.hub.listening(), service.hub.waiting(scopes) as touched:
        yield b"event: ready\ndata: {}\n\n"
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await touched.wait()
                event = b"event: change\ndata: {}\n\n"
            except TimeoutError:
                event = b": still here\n\n"
            touched.clear()
            if service.hub.is_closing or not await _may_listen(service, token):
                yield b"event: end\ndata: {}\n\n"
                return
            yield event


async def _may_listen(service: Service, token: str | None) -> bool:
    try:
        principal, _ = await service.device(token)
    except RegularsError:
        return False
    return not principal.revoked
