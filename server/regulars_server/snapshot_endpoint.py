"""`GET /sync/v1/snapshot`: a ready-made replica file, from any byte on."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from typing import IO

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from regulars_server import web
from regulars_server.devices import refusal
from regulars_server.downloads import download
from regulars_server.service import Service
from regulars_server.snapshots import Snapshot, Snapshots
from regulars_sync.errors import Refused, RegularsError
from regulars_sync.replica_layout import SCHEMA_MIN

MEDIA = "application/vnd.regulars.replica+zstd"


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
    return download(request, file, snapshot.about.bytes, snapshot.about.sha256, MEDIA, may_go_on)
