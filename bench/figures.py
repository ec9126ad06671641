"""The figures, each measured on the floor and on ours in turn (A B A B), and the limits of the machine."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import cycle
from pathlib import Path

import msgspec
import orjson

from bench import data, floor, graph
from bench.server import Cost, Kind, Server, Wire, running
from bench.workload import Workload, pushes
from regulars import Shop
from regulars_schema.entities import REGISTRY
from regulars_server.app import wall_ms
from regulars_sync import coding
from regulars_sync.protocol import PullAnswer, PullRequest, PushAnswer, PushRequest

PAGE_ROWS = 1_000
PUSH = "push of offline-made interactions"
UPDATES = "push of updates to existing customers"
PULL = "pull of all rows by pages"
CATCH_UP = "catch-up of changed rows"
KINDS: tuple[Kind, Kind] = ("floor", "ours")
GRAPH_CUSTOMERS = 2_000

_answer = msgspec.json.Decoder(PullAnswer)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    base_customers: int = 2_000
    interactions: int = 10_000
    updates: int = 2_000
    customers: int = 10_000
    rows: int = 70_000
    changed: int = 200
    catch_ups: int = 30
    local_writes: int = 50
    repetitions: int = 3

    @classmethod
    def quick(cls) -> Sizes:
        return cls(50, 600, 40, 100, 1_500, 20, 5, 5, 1)


@dataclass(slots=True)
class Results:
    """Samples by figure and kind, in the order in which they were taken."""

    costs: dict[str, dict[Kind, list[Cost]]] = field(default_factory=lambda: defaultdict(dict))
    limits: dict[str, list[Cost]] = field(default_factory=lambda: defaultdict(list))
    sdk: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Milliseconds on a tablet, by what it did."""
    first_syncs: list[tuple[float, float]] = field(default_factory=list)
    """Milliseconds of a first sync by snapshot, and of copying the same file over loopback HTTP."""
    rss_mib: dict[str, dict[Kind, float]] = field(default_factory=lambda: defaultdict(dict))
    graph: dict[str, dict[Kind, list[Cost]]] = field(default_factory=lambda: defaultdict(dict))
    """Of one request, by figure."""
    rows: int = 0

    def add(self, figure: str, kind: Kind, cost: Cost) -> None:
        self.costs[figure].setdefault(kind, []).append(cost)


Step = Callable[[str], None]
"""Told what is done next; one call a step, `steps` of them."""


def steps(sizes: Sizes) -> int:
    return 9 * sizes.repetitions + 9


async def measure(folder: Path, sizes: Sizes, on_step: Step) -> Results:
    """Measure everything on data below `folder`."""
    results = Results()
    await _pushes(folder / "push", sizes, results, on_step)
    await _pulls(folder / "pull", sizes, results, on_step)
    await _graph(folder / "graph", sizes, results, on_step)
    return results


# --- push ---------------------------------------------------------------------------------------------


async def _pushes(folder: Path, sizes: Sizes, results: Results, on_step: Step) -> None:
    on_step("load customers")
    workload = Workload(wall_ms())
    base = folder / "base"
    token = await data.build(base, workload, sizes.base_customers, 0, lambda rows: None)
    facts = list(workload.new_interactions(sizes.interactions + 20, days=7))
    warm = pushes(workload.rng, facts[:20], workload.now_ms)
    interactions = pushes(workload.rng, facts[20:], workload.now_ms)
    updates = pushes(workload.rng, list(workload.edits(workload.customers[: sizes.updates])), workload.now_ms)
    paths = {"floor": "/push", "ours": "/sync/v1/push"}
    for repetition in range(sizes.repetitions):
        for kind in KINDS:
            at = folder / f"{kind}-{repetition}"
            shutil.copytree(base / kind, at)
            with running(kind, at) as server:
                wire = Wire(server.port, token)
                for body in warm:
                    wire.post(paths[kind], body)
                for figure, bodies in ((PUSH, interactions), (UPDATES, updates)):
                    on_step(f"{figure}: {kind}")
                    answers: list[bytes] = []
                    send = _sender(wire, paths[kind], bodies, answers)
                    results.add(figure, kind, server.cost(wire, send))
                    if kind == "ours":
                        _require_applied(bodies, answers)
                results.rss_mib[PUSH][kind] = server.rss_peak_mib()
                wire.close()
            shutil.rmtree(at)
        on_step("limit: upsert of the same rows")
        results.limits["SQLite upsert of the interactions, no server"].append(_upsert(folder, interactions))


def _sender(wire: Wire, path: str, bodies: Sequence[bytes], answers: list[bytes]) -> Callable[[], object]:
    return lambda: answers.extend(wire.post(path, body) for body in bodies)


def _require_applied(bodies: Sequence[bytes], answers: Sequence[bytes]) -> None:
    """A push that refuses its changes is quick: see that none was."""
    for body, raw in zip(bodies, answers, strict=True):
        verdicts = msgspec.json.decode(raw, type=PushAnswer).verdicts
        sent = len(msgspec.json.decode(body, type=PushRequest).changes)
        refused = [verdict for verdict in verdicts if verdict.verdict != "applied"]
        if len(verdicts) != sent or refused:
            raise RuntimeError(f"{len(verdicts)} of {sent} answered; not applied: {refused[:1]}")


def _upsert(folder: Path, bodies: Sequence[bytes]) -> Cost:
    """What SQLite alone takes for the same rows in the same batches, in this process."""
    batches = [
        [(change["id"], orjson.dumps(change)) for change in orjson.loads(body)["changes"]] for body in bodies
    ]
    place = folder / "limit"
    place.mkdir()
    connection = floor.connect(place)
    cpu, begun = time.process_time(), time.perf_counter()
    for batch in batches:
        floor.store(connection, batch)
    cost = Cost(
        (time.perf_counter() - begun) * 1000,
        (time.process_time() - cpu) * 1000,
        sum(len(json) for batch in batches for _, json in batch),
    )
    connection.close()
    shutil.rmtree(place)
    return cost


# --- pull and catch-up --------------------------------------------------------------------------------


async def _pulls(folder: Path, sizes: Sizes, results: Results, on_step: Step) -> None:
    on_step("load rows")
    workload = Workload(wall_ms())
    token = await data.build(
        folder, workload, sizes.customers, sizes.rows - sizes.customers, lambda rows: None
    )
    with running("floor", folder / "floor") as bare, running("ours", folder / "ours") as ours:
        servers: tuple[Server, Server] = (bare, ours)
        wires = {"floor": Wire(bare.port), "ours": Wire(ours.port, token)}
        pull_all = {"floor": _pull_floor, "ours": _pull_ours}
        on_step("warm up")
        rows = {server.kind: pull_all[server.kind](wires[server.kind])[0] for server in servers}
        results.rows = rows["ours"]
        if abs(rows["ours"] - rows["floor"]) > 2:
            raise RuntimeError(f"not the same rows: {rows}")
        for _ in range(sizes.repetitions):
            for server in servers:
                on_step(f"{PULL}: {server.kind}")
                wire, pull = wires[server.kind], pull_all[server.kind]
                results.add(PULL, server.kind, server.cost(wire, lambda pull=pull, wire=wire: pull(wire)))  # type: ignore[misc]
        for server in servers:
            results.rss_mib[PULL][server.kind] = server.rss_peak_mib()
        for coded in (coding.IDENTITY, coding.GZIP, coding.ZSTD):
            on_step(f"first sync's pages, {coded}")
            wire = Wire(ours.port, token, coded)
            cost = ours.cost(wire, lambda wire=wire: _pull_ours(wire))  # type: ignore[misc]
            results.limits[f"pages of a first sync in the coding {coded}"].append(cost)
            wire.close()
        on_step(CATCH_UP)
        _catch_up(servers, wires, workload, sizes, results)
        for n in range(sizes.repetitions):
            on_step("first sync of a tablet")
            await _first_sync(folder, ours, workload, n, sizes, results)


def _pull_ours(wire: Wire) -> tuple[int, str]:
    """Pull to the head; how many rows came, and the cursor there."""
    cursor: str | None = None
    rows = 0
    while True:
        asked = PullRequest(schema=REGISTRY.version, cursor=cursor, rows_max=PAGE_ROWS)
        answer = _answer.decode(wire.post("/sync/v1/pull", msgspec.json.encode(asked)))
        rows += sum(len(page.rows) for page in answer.pages)
        cursor = answer.cursor
        if answer.head is not None:
            return rows, cursor


class _FloorPage(msgspec.Struct):
    after: int
    rows: list[msgspec.Raw]


def _pull_floor(wire: Wire, after: int = 0) -> tuple[int, str]:
    rows = 0
    while True:
        raw = wire.post("/pull", b'{"after":%d,"rows":%d}' % (after, PAGE_ROWS))
        page = msgspec.json.decode(raw, type=_FloorPage)
        rows += len(page.rows)
        after = page.after
        if len(page.rows) < PAGE_ROWS:
            return rows, str(after)


def _catch_up(
    servers: Sequence[Server], wires: dict[str, Wire], workload: Workload, sizes: Sizes, results: Results
) -> None:
    """A device that has everything but `changed` rows asks again and again from where it stood."""
    _, cursor = _pull_ours(wires["ours"])
    spread = workload.customers[:: max(1, len(workload.customers) // sizes.changed)][: sizes.changed]
    for body in pushes(workload.rng, list(workload.edits(spread)), workload.now_ms):
        _require_applied([body], [wires["ours"].post("/sync/v1/push", body)])
    asked = PullRequest(schema=REGISTRY.version, cursor=cursor, rows_max=PAGE_ROWS)
    _, last = _pull_floor(wires["floor"])
    bodies = {
        "ours": ("/sync/v1/pull", msgspec.json.encode(asked)),
        "floor": ("/pull", b'{"after":%d,"rows":%d}' % (int(last) - len(spread), PAGE_ROWS)),
    }
    answer = _answer.decode(wires["ours"].post(*bodies["ours"]))
    came = sum(len(page.rows) for page in answer.pages)
    if came != len(spread) or answer.head is None:
        raise RuntimeError(f"{came} rows came, not {len(spread)}")
    warmed = 3 * len(servers)
    for n, server in zip(range(warmed + sizes.catch_ups * len(servers)), cycle(servers), strict=False):
        wire = wires[server.kind]
        cpu, begun = server.cpu_ms(), time.perf_counter()
        raw = wire.post(*bodies[server.kind])
        wall = (time.perf_counter() - begun) * 1000
        if n >= warmed:
            time.sleep(0.005)  # what follows the answer is counted too
            results.add(CATCH_UP, server.kind, Cost(wall, server.cpu_ms() - cpu, len(raw)))


# --- GraphQL -------------------------------------------------------------------------------------------


async def _graph(folder: Path, sizes: Sizes, results: Results, on_step: Step) -> None:
    on_step("load customers")
    workload = Workload(wall_ms())
    await data.build(folder, workload, GRAPH_CUSTOMERS, 0, lambda rows: None)
    token = await graph.token(folder / "ours")
    shutil.copytree(folder / "ours", folder / "core")
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(running(kind, folder / kind)) for kind in graph.KINDS}
        asking = graph.Asking(servers, token)
        stack.callback(asking.close)
        for n in range(sizes.repetitions + 1):
            on_step("GraphQL")
            for figure, counts in graph.COUNTS.items():
                for kind, count in counts.items():
                    cost = servers[kind].cost(asking.wire(kind), partial(asking.send, figure, kind, count))
                    if n:  # the first is to warm up
                        each = Cost(cost.wall_ms / count, cost.cpu_ms / count, cost.bytes // count)
                        results.graph[figure].setdefault(kind, []).append(each)


# --- the SDK ------------------------------------------------------------------------------------------


async def _first_sync(
    folder: Path, server: Server, workload: Workload, n: int, sizes: Sizes, results: Results
) -> None:
    place = folder / f"tablet-{n}"
    place.mkdir()
    for road in ("by snapshot", "by pages"):
        file = place / f"{road}.db"
        async with Shop.open(file) as shop:
            async with data.invited(folder / "ours", workload.unit) as code:
                await shop.pair(f"http://127.0.0.1:{server.port}", code)
            if road == "by pages":
                file.with_name(f"{file.name}.snapshot.etag").mkdir()  # a tablet without room for a snapshot
            cpu, begun = time.process_time(), time.perf_counter()
            report = await shop.sync()
            await shop.customers.list(limit=50)
            wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
        results.sdk[f"first sync of all rows {road}, request to first query, wall"].append(wall * 1000)
        results.sdk[f"first sync of all rows {road}, CPU of the tablet"].append(cpu * 1000)
        if not report.equal or report.pulled < sizes.rows:
            raise RuntimeError(f"the first sync did not bring everything: {report}")
        if (report.snapshot_bytes > 0) != (road == "by snapshot"):
            raise RuntimeError(f"the first sync came by another road: {report}")
        if road == "by snapshot":
            copied = _copy_by_http(file)
            results.limits["copy of that tablet's file over loopback HTTP to disk"].append(copied)
            results.first_syncs.append((wall * 1000, copied.wall_ms))
    async with Shop.open(place / "by snapshot.db") as shop:
        begun = time.perf_counter()
        report = await shop.sync()
        results.sdk["sync after opening, all stored bytes counted anew"].append(
            (time.perf_counter() - begun) * 1000
        )
        if not report.equal or report.repaired:
            raise RuntimeError(f"the sync after opening failed: {report}")
        for i in range(sizes.local_writes):
            begun = time.perf_counter()
            made = await shop.customers.create(name=f"林芳 {i}", phone=f"+86 138 0013 {i:04}")
            results.sdk["write of a customer, durable, and its read"].append(
                (time.perf_counter() - begun) * 1000
            )
            begun = time.perf_counter()
            await shop.customers.get(made.id)
            results.sdk["read of a customer"].append((time.perf_counter() - begun) * 1000)
        begun = time.perf_counter()
        report = await shop.sync()
        results.sdk[f"sync of {sizes.local_writes} written customers"].append(
            (time.perf_counter() - begun) * 1000
        )
        if report.problem is not None or report.pushed != sizes.local_writes:
            raise RuntimeError(f"the second sync failed: {report.problem}")
    results.limits["copy of that tablet's file over loopback"].append(_copy(place / "by snapshot.db"))
    shutil.rmtree(place)


# --- the machine --------------------------------------------------------------------------------------


def _copy(path: Path) -> Cost:
    """One file through a socket to this machine itself: what a first sync can't be quicker than."""
    size = path.stat().st_size
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)

        def send() -> None:
            sender, _ = listening.accept()
            with sender, path.open("rb") as file:
                sender.sendfile(file)

        thread = threading.Thread(target=send)
        cpu, begun = time.process_time(), time.perf_counter()
        thread.start()
        received = 0
        with socket.create_connection(listening.getsockname()) as receiver:
            while part := receiver.recv(1 << 20):
                received += len(part)
        thread.join()
        wall = time.perf_counter() - begun
    if received != size:
        raise RuntimeError(f"{received} of {size} bytes came")
    return Cost(wall * 1000, (time.process_time() - cpu) * 1000, received)


def _copy_by_http(path: Path) -> Cost:
    """One file through HTTP from this machine to its disk, durably: what a first sync is measured by."""
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
        wall = time.perf_counter() - begun
    size = target.stat().st_size
    target.unlink()
    return Cost(wall * 1000, (time.process_time() - cpu) * 1000, size)
