"""The composition root: the only place where the parts of the server are put together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import orjson
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from regulars_schema.entities import REGISTRY
from regulars_server import (
    auth_endpoints,
    card_endpoints,
    devices,
    erasure,
    jobs,
    live,
    retention,
    snapshot_endpoint,
    sync_endpoints,
    tokens,
    web,
    work_endpoints,
)
from regulars_server.access import Access
from regulars_server.access.budgets import MemoryBuckets, SharedBuckets
from regulars_server.access.models import PostgresDatabase
from regulars_server.admission import Admission
from regulars_server.ageing import Ageing
from regulars_server.graph import routes as graph_routes
from regulars_server.graph.exporting import Exporting
from regulars_server.graph.importing import Importing
from regulars_server.graph.operations import Operations
from regulars_server.hub import Hub
from regulars_server.knowledge.cuts import Cutting
from regulars_server.origins import Origins
from regulars_server.service import Reports, Service
from regulars_server.settings import Settings
from regulars_server.snapshots import Snapshots
from regulars_server.storage.interface import Storage
from regulars_server.storage.sqlite import SqliteStorage
from regulars_server.telemetry import SILENT, Telemetry, figures
from regulars_server.telemetry.watching import WatchedStorage, Watching, watched
from regulars_server.working import Working
from regulars_sync.errors import Refused, RegularsError

DATABASE = "chain.db"
DAY_S = 86_400.0
HOUR_S = 3_600.0

log = logging.getLogger("regulars")


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def create_service(
    settings: Settings,
    now_ms: Callable[[], int] = wall_ms,
    entropy: Callable[[int], bytes] = os.urandom,
    storage: Storage | None = None,
    telemetry: Telemetry = SILENT,
) -> Service:
    """The parts, wired and not yet open. Without `storage` it is what the settings name."""
    database: str | Path | PostgresDatabase = settings.data / DATABASE
    has_folder = storage is None
    reports: Reports | None = None
    if settings.database:
        from regulars_server.access.postgres import AccessTables  # an extra
        from regulars_server.storage.postgres import Address, PostgresStorage
        from regulars_server.storage.postgres.reports import Reports as PostgresReports

        address = Address.parse(settings.database)
        database = AccessTables(address)
        storage = storage or PostgresStorage(address, REGISTRY, entropy)
        if settings.reports_database and isinstance(storage, PostgresStorage):
            replica = Address.parse(settings.reports_database, "REGULARS_REPORTS_DATABASE", "prefer-standby")
            reports = PostgresReports(storage, replica)
    storage = storage or SqliteStorage(settings.data / DATABASE, REGISTRY, entropy)
    if telemetry.is_on:
        storage = cast(Storage, WatchedStorage(storage, telemetry))
    access = Access(database, now_ms=now_ms, entropy=entropy)
    hub = Hub()
    admission = Admission(storage, now_ms, entropy, hub.publish, telemetry)
    made = Snapshots(settings, storage, now_ms, entropy, lambda: hub.is_closing) if has_folder else None
    buckets = SharedBuckets(access.counts) if settings.database else MemoryBuckets()
    return Service(
        settings,
        storage,
        admission,
        access,
        now_ms,
        entropy,
        hub,
        made,
        buckets,
        telemetry=telemetry,
        reports=reports,
    )


@contextlib.asynccontextmanager
async def opened(service: Service, sweep: bool = True) -> AsyncIterator[Service]:
    """The service with its files open; what was accepted is finished before they close.

    A server first tries what is held (`sweep`); a command beside it does not.
    """
    await service.storage.open()
    try:
        await service.access.open()
        try:
            if service.reports is not None:
                await service.reports.open()
            await devices.replay(service)
            await erasure.replay(service)
            await tokens.replay(service)
            if sweep:
                await service.admission.sweep()
            yield service
        finally:
            if service.reports is not None:
                await service.reports.close()
            await service.access.close()
    finally:
        await service.storage.close()


def jobs_of(service: Service) -> list[jobs.Job]:
    """What a serving process does by itself."""
    days = service.settings.departures_days
    cutting = Cutting(service.storage, service.admission, service.worlds, service.now_ms)
    ageing = Ageing(service.storage, service.admission, service.now_ms, service.entropy)
    own = [
        jobs.Job("tidy", DAY_S, lambda: retention.tidy(service.storage, service.now_ms(), days)),
        jobs.Job("ageing", HOUR_S, ageing.once),
        jobs.Job("cuts", HOUR_S, cutting.once),
        jobs.Job("answers", HOUR_S, lambda: service.answers.tidy(service.settings.answers_hours)),
        jobs.Job("counts", HOUR_S, service.access.counts.tidy),
        jobs.Job("works", HOUR_S, service.works.tidy),
        jobs.Job("snapshots", HOUR_S, service.forget_snapshots),
    ]
    if service.telemetry.meter is not None:
        own.append(jobs.Job("figures", figures.EVERY_S, lambda: figures.publish(service)))
    return [replace(job, work=watched(service.telemetry, job.name, job.work)) for job in own]


def working_of(operations: Operations) -> Working:
    """Who does the exports and imports of a chain."""
    works = operations.service.works
    runs = {"export": Exporting(operations, works).run, "import": Importing(operations, works).run}
    return Working(works, runs, operations.service.telemetry)


def create_app(settings: Settings, service: Service | None = None) -> Starlette:
    """The application. A `service` given is already open and stays so; otherwise the app opens its own."""
    own = service is None
    parts = service or create_service(settings)
    operations = Operations(parts)
    bulk = working_of(operations)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with opened(parts) if own else contextlib.nullcontext():
            watching = asyncio.create_task(parts.hub.watch(parts.storage, parts.admission.others_wrote))
            working = asyncio.create_task(jobs.run(jobs_of(parts)))
            doing = asyncio.create_task(bulk.run())
            checking = asyncio.create_task(parts.checking.run())
            log.info("ready")
            try:
                yield
            finally:
                for task in (checking, doing, watching, working):
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
        log.info("stopped")

    async def healthz(request: Request) -> Response:
        return Response(b'{"ok":true}', media_type="application/json")

    async def readyz(request: Request) -> Response:
        try:
            if parts.hub.is_leaving:
                raise Refused("busy", seconds=1)
            async with parts.storage.unscoped_reader() as reader:
                head = await reader.head()
        except RegularsError as error:
            return web.problem(request, error)
        said = {"ok": True, "chain": parts.storage.chain.id, "seq": head.seq}
        return Response(orjson.dumps(said), media_type="application/json")

    async def unknown(request: Request, error: Exception) -> Response:
        return web.problem(
            request, Refused("path_unknown", path=request.url.path[:80], method=request.method)
        )

    routes: list[BaseRoute] = [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        *graph_routes(parts, operations),
        *sync_endpoints.routes(parts),
        *live.routes(parts),
        *snapshot_endpoint.routes(parts),
        *work_endpoints.routes(parts, operations),
        *card_endpoints.routes(parts, operations),
        *auth_endpoints.routes(parts),
    ]
    telemetry = parts.telemetry
    outermost = [Middleware(Watching, telemetry=telemetry, routes=routes)] if telemetry.is_on else []
    return Starlette(
        routes=routes,
        middleware=[*outermost, *Origins(settings.origins).middleware()],
        lifespan=lifespan,
        exception_handlers={404: unknown, 405: unknown},
    )
