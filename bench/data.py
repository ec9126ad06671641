"""The two databases that are measured: ours made by the product's own road, the floor's of the very
documents that ours stored."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path

from bench import floor
from bench.workload import Workload
from regulars_server.access import Access
from regulars_server.app import DATABASE, create_service, opened, wall_ms
from regulars_server.authors import SERVER
from regulars_server.devices import enrol
from regulars_server.service import Service
from regulars_server.settings import Settings
from regulars_server.storage.tables import TABLES
from regulars_sync.changes import Change
from regulars_sync.protocol import PairRequest

BATCH = 2_000


async def build(folder: Path, workload: Workload, customers: int, interactions: int) -> str:
    """Make `folder/ours` and `folder/floor` with so many rows; the bearer token of a paired tablet."""
    ours = folder / "ours"
    token = await found(ours, workload)
    await fill(ours, workload, customers, interactions)
    _copy_documents(ours, folder / "floor")
    return token


async def found(folder: Path, workload: Workload) -> str:
    """Make a chain with its branch, staff and products; the bearer token of a paired tablet."""
    os.makedirs(folder)
    async with opened(create_service(Settings(data=folder))) as service:
        for reference in workload.reference():
            await _write(service, reference)
    (token,) = await tablets(folder, workload.unit, 1)
    return token


async def fill(
    folder: Path,
    workload: Workload,
    customers: int,
    interactions: int,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> None:
    """Add so many, as head office does; told of each batch."""
    async with opened(create_service(Settings(data=folder))) as service:
        for rows in (workload.new_customers(customers), workload.new_interactions(interactions, days=365)):
            while batch := list(islice(rows, BATCH)):
                await _write(service, batch)
                on_rows(len(batch))


async def tablets(folder: Path, unit: str, count: int) -> list[str]:
    """The bearer tokens of so many more tablets of a unit, of a chain that nobody serves."""
    async with opened(create_service(Settings(data=folder))) as service:
        version = service.storage.registry.version
        codes = [await service.access.new_pairing_code(unit, f"tablet {n}") for n in range(count)]
        return [(await enrol(service, PairRequest(code, "tablet", version))).token for code in codes]


async def _write(service: Service, batch: Iterable[Change]) -> None:
    results = await service.admission.write(SERVER, [[change] for change in batch])
    for (ruling,) in results:
        assert ruling.verdict == "applied", ruling


_HELD = """SELECT feed.row FROM feed JOIN term ON term.id = feed.entity JOIN scope ON scope.id = feed.scope
    WHERE term.name = ? AND NOT gone AND (scope.name = 'chain' OR scope.name LIKE 'unit:%')"""
"""Rows that a tablet holds: what waits for head office's word, and head office's own, it does not."""


def _copy_documents(ours: Path, folder: Path) -> None:
    folder.mkdir()
    source = sqlite3.connect(ours / DATABASE)
    connection = floor.connect(folder)
    for table in TABLES:
        rows = source.execute(
            f"SELECT id, document FROM {table} WHERE document IS NOT NULL AND row IN ({_HELD}) ORDER BY row",
            (table,),
        )
        floor.store(connection, rows)
    connection.close()
    source.close()


@asynccontextmanager
async def access(folder: Path) -> AsyncIterator[Access]:
    """The logins and tokens of a server that is running."""
    opened = Access(folder / DATABASE, now_ms=wall_ms, entropy=os.urandom)
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def invited(folder: Path, unit: str) -> AsyncIterator[str]:
    """A pairing code for one more tablet, of a server that is running."""
    async with access(folder) as opened:
        yield await opened.new_pairing_code(unit, "tablet")
