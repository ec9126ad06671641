"""`GET /works/{id}`: what an export gave, or what an import could not take, from any byte on, for whoever
asked and still may read it. `POST /works/uploads`: a file to import."""

from __future__ import annotations

import asyncio
import os

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from regulars_server import web
from regulars_server.access.rights import IMPORT
from regulars_server.downloads import download
from regulars_server.graph.exporting import rights_of
from regulars_server.graph.operations import Operations
from regulars_server.service import Service
from regulars_server.works import WorkRow, owner_of
from regulars_sync.errors import Refused, RegularsError
from regulars_sync.ids import row_id

MEDIA = {"jsonl": "application/jsonl", "parquet": "application/vnd.apache.parquet"}


def routes(service: Service, operations: Operations) -> list[Route]:
    works = service.works

    async def found(request: Request, bearer: str | None) -> WorkRow:
        """The work, if it is there to be fetched by this caller now."""
        principal = await operations.principal(bearer)
        row = await works.get(request.path_params["id"], owner_of(principal))
        if not row.is_fetched or row.expires_ms <= service.now_ms():
            raise row.error or Refused("not_found", entity=row.kind)
        context = await operations.context(principal, "en")
        await context.close()
        if row.rights != rights_of(context):
            raise Refused("rights_changed")
        return row

    async def fetch(request: Request) -> Response:
        bearer = web.bearer(request)
        row = await found(request, bearer)
        assert row.sha256 is not None
        works.require_here(row)
        path = works.data(row.id) if row.kind == "export" else works.report(row.id)
        try:
            file = await asyncio.to_thread(path.open, "rb")
        except FileNotFoundError:
            raise Refused("not_found", entity=row.kind) from None

        async def may_go_on() -> bool:
            try:
                await found(request, bearer)
            except RegularsError:
                return False
            return not service.hub.is_closing and os.fstat(file.fileno()).st_nlink > 0

        kind = row.wanted.get("format", "jsonl")
        name = f"{row.kind}-{row.id}.{kind}"
        return download(request, file, row.byte_count, row.sha256, MEDIA[kind], may_go_on, name)

    async def upload(request: Request) -> Response:
        principal = await service.narrowed(await operations.principal(web.bearer(request)))
        principal.require(IMPORT)
        async with service.storage.unscoped_reader() as reader:
            erased = (await reader.since({}, 0)).erased
        id = row_id("works", "upload", service.entropy(16).hex())
        owner, token = owner_of(principal), principal.token
        pieces = web.body_pieces(request, works.settings.upload_bytes_max)
        row = await works.receive(id, owner, token, erased, pieces)
        said = {"id": row.id, "bytes": row.byte_count, "sha256": row.sha256}
        return Response(orjson.dumps(said), 201, media_type="application/json")

    return [
        Route("/works/uploads", web.guarded(upload, service.now_ms, service.entropy), methods=["POST"]),
        Route("/works/{id}", web.guarded(fetch, service.now_ms, service.entropy), methods=["GET"]),
    ]
