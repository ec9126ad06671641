"""`GET /works/{id}`: what an export gave, from any byte on, for whoever asked and still may read it."""

from __future__ import annotations

import asyncio
import os

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from regulars_server import web
from regulars_server.downloads import download
from regulars_server.graph.exporting import rights_of
from regulars_server.graph.operations import Operations
from regulars_server.service import Service
from regulars_server.works import WorkRow, owner_of
from regulars_sync.errors import Refused, RegularsError

MEDIA = {"jsonl": "application/jsonl", "parquet": "application/vnd.apache.parquet"}


def routes(service: Service, operations: Operations) -> list[Route]:
    works = service.works

    async def found(request: Request, bearer: str | None) -> WorkRow:
        """The work, if it is there to be fetched by this caller now."""
        principal = await operations.principal(bearer)
        row = await works.get(request.path_params["id"], owner_of(principal))
        if row.state != "completed" or row.expires_ms <= service.now_ms():
            raise row.error or Refused("not_found", entity=row.kind)
        context = await operations.context(principal, "en")
        await context.close()
        if row.rights != rights_of(context):
            raise Refused("rights_changed")
        return row

    async def fetch(request: Request) -> Response:
        bearer = web.bearer(request)
        row = await found(request, bearer)
        if row.kind != "export" or row.sha256 is None:
            raise Refused("not_found", entity=row.kind)
        try:
            file = await asyncio.to_thread(works.data(row.id).open, "rb")
        except FileNotFoundError:
            raise Refused("not_found", entity=row.kind) from None

        async def may_go_on() -> bool:
            try:
                await found(request, bearer)
            except RegularsError:
                return False
            return not service.hub.is_closing and os.fstat(file.fileno()).st_nlink > 0

        kind = row.wanted["format"]
        name = f"export-{row.id}.{kind}"
        return download(request, file, row.byte_count, row.sha256, MEDIA[kind], may_go_on, name)

    return [
        Route("/works/{id}", web.guarded(fetch, service.now_ms, service.entropy), methods=["GET"]),
    ]
