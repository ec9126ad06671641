"""`/auth`: people sign in with name and password and are given a session token."""

from __future__ import annotations

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from regulars_server import web
from regulars_server.service import Service

BODY_BYTES_MAX = 4_096


class LoginRequest(msgspec.Struct):
    name: str
    password: str


def routes(service: Service) -> list[Route]:
    async def login(request: Request) -> Response:
        with service.gates.entry.visit() as visit:
            asked = web.decode(await web.read_body(request, BODY_BYTES_MAX, visit), LoginRequest)
            remote = request.client.host if request.client else ""
            principal, token = await service.access.login(asked.name, asked.password, remote)
        said = {"token": token, "role": principal.role, "name": principal.name}
        return web.answer(request, orjson.dumps(said))

    async def logout(request: Request) -> Response:
        principal = await service.access.principal(web.bearer(request))
        await service.access.revoke(principal.token)
        return web.answer(request, b'{"ok":true}')

    return [
        Route(path, web.guarded(handler, service.now_ms, service.entropy), methods=["POST"])
        for path, handler in (("/auth/login", login), ("/auth/logout", logout))
    ]
