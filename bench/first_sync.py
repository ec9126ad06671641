"""First syncs to first query: a real tablet by each road, JSON pages into an SQLite file, a copied file."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Awaitable
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TypeVar

import orjson

from bench import data, floor, wires
from bench.figures import FIRST_SYNC, Results, Sizes
from bench.server import SETTLE_S, Cost, Server, Wire
from bench.workload import Workload
from regulars import Shop
from regulars_server.snapshots import FOLDER as SNAPSHOTS

T = TypeVar("T")


async def measure(
    folder: Path,
    bare: Server,
    ours: Server,
    workload: Workload,
    paged_bytes: int,
    results: Results,
    sizes: Sizes,
) -> None:
    """Each road once. `paged_bytes`: those of all pages."""
    place = folder / "tablet"
    place.mkdir()
    results.add(FIRST_SYNC, "pages", _by_json_pages(place / "pages", bare, sizes.rows))
    for road in ("built", "snapshot", "paged"):
        if road == "built":
            shutil.rmtree(folder / "ours" / SNAPSHOTS, ignore_errors=True)
        file = place / f"{road}.db"
        async with Shop.open(file) as shop:
            async with data.invited(folder / "ours", workload.unit) as code:
                await shop.pair(f"http://127.0.0.1:{ours.port}", code)
            if road == "paged":
                file.with_name(f"{file.name}.snapshot.etag").mkdir()  # a tablet without room for a snapshot
            ours.forget_peak()
            used, cpu, begun = ours.cpu_ms(), time.process_time(), time.perf_counter()
            report = await shop.sync()
            await shop.customers.list(limit=50)
            wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
        await asyncio.sleep(SETTLE_S)
        moved = paged_bytes if road == "paged" else report.snapshot_bytes
        results.add(FIRST_SYNC, road, Cost(wall * 1000, ours.cpu_ms() - used, moved, ours.peak_mib()))
        results.sdk[f"{_ROADS[road]}, CPU of the tablet"].append(cpu * 1000)
        if not report.equal or report.pulled < sizes.rows:
            raise RuntimeError(f"the first sync did not bring everything: {report}")
        if (report.snapshot_bytes > 0) != (road != "paged"):
            raise RuntimeError(f"the first sync came by another road: {report}")
    results.add(FIRST_SYNC, "copy", _copied(place / "snapshot.db"))
    await _work(place / "snapshot.db", sizes, results)
    shutil.rmtree(place)


_ROADS = {
    "built": "first sync, the snapshot to be built",
    "snapshot": "first sync, the snapshot cached",
    "paged": "first sync by pages",
}


def _by_json_pages(place: Path, server: Server, rows: int) -> Cost:
    """A bare client: each page into an SQLite file, in a transaction of its own; then fifty rows."""
    wire = Wire(server.port)
    place.mkdir()
    connection = floor.connect(place)

    def work() -> None:
        after = "0"
        while True:
            page = orjson.loads(wire.post(*wires.pull_body("floor", after)))
            after = page["after"]
            floor.store(connection, ((row["id"], orjson.dumps(row)) for row in page["rows"]))
            if len(page["rows"]) < wires.PAGE_ROWS:
                break
        connection.execute("SELECT json FROM document ORDER BY id LIMIT 50").fetchall()

    taken = server.cost(wire, work)
    (stored,) = connection.execute("SELECT count(*) FROM document").fetchone()
    connection.close()
    wire.close()
    if stored < rows:
        raise RuntimeError(f"only {stored} rows are stored")
    return taken


def _copied(path: Path) -> Cost:
    """One file through HTTP from this machine to its disk, durably: no first sync is quicker."""
    target = path.with_suffix(".copy")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(path.stat().st_size))
            self.end_headers()
            with path.open("rb") as file:
                shutil.copyfileobj(file, self.wfile, 1 << 20)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        cpu, begun = time.process_time(), time.perf_counter()
        thread.start()
        connection = HTTPConnection("127.0.0.1", server.server_port)
        connection.request("GET", "/")
        with connection.getresponse() as answer, target.open("wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
        thread.join()
        connection.close()
        wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return Cost(wall * 1000, cpu * 1000, target.stat().st_size)


async def _work(file: Path, sizes: Sizes, results: Results) -> None:
    """A day on a tablet that has everything."""

    async def timed(what: str, work: Awaitable[T]) -> T:
        begun = time.perf_counter()
        done = await work
        results.sdk[what].append((time.perf_counter() - begun) * 1000)
        return done

    async with Shop.open(file) as shop:
        report = await timed("sync after opening, all stored bytes counted anew", shop.sync())
        if not report.equal or report.repaired:
            raise RuntimeError(f"the sync after opening failed: {report}")
        for i in range(sizes.local_writes):
            made = await timed(
                "write of a customer, durable, and its read",
                shop.customers.create(name=f"林芳 {i}", phone=f"+86 138 0013 {i:04}"),
            )
            await timed("read of a customer", shop.customers.get(made.id))
        report = await timed(f"sync of {sizes.local_writes} written customers", shop.sync())
        if report.problem is not None or report.pushed != sizes.local_writes:
            raise RuntimeError(f"the second sync failed: {report.problem}")
