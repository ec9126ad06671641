"""The one run: every figure, on the floor and on ours in turn (A B A B), on data below one folder."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench import data, first_sync, graph, live, wires
from bench.figures import CATCH_UP, CLIENTS, PULL, PUSH, SMALL, UPDATES, Results, Sizes, Step
from bench.postgres import Postgres, postgres
from bench.server import Cost, Kind, Server, Wire, no_database_ms, running
from bench.workload import Workload, pushes
from regulars_server.app import wall_ms
from regulars_sync import coding

PUSHED: tuple[Kind, ...] = ("floor", "ours", "postgres", "two")
PULLED: tuple[Kind, ...] = ("floor", "ours", "postgres")
WARM = 3
START_S = 1.0
"""Then a server has done what it does when it starts."""


def steps(sizes: Sizes) -> int:
    return (len(PUSHED) + len(PULLED) + 2) * sizes.repetitions + 7


async def measure(folder: Path, sizes: Sizes, on_step: Step) -> Results:
    results = Results()
    with postgres(folder) as beside:
        await _pushes(folder / "push", beside, sizes, results, on_step)
        await _pulls(folder / "pull", beside, sizes, results, on_step)
    await _graph(folder / "graph", sizes, results, on_step)
    return results


async def _pushes(folder: Path, beside: Postgres, sizes: Sizes, results: Results, on_step: Step) -> None:
    on_step("load customers")
    workload = Workload(wall_ms())
    base = folder / "base"
    token = await data.build(base, workload, sizes.base_customers, 0)
    tokens = await data.tablets(base / "ours", workload.unit, sizes.clients)
    (base / "postgres").mkdir()
    database = await beside.copy_of(base / "ours")

    bodies = partial(pushes, workload.rng, now_ms=workload.now_ms)
    warm, interactions, small = (
        bodies(list(workload.new_interactions(count, days=7)), **batch)
        for count, batch in ((20, {}), (sizes.interactions, {}), (sizes.small * 5, {"batch": 5}))
    )
    updates = bodies(list(workload.edits(workload.customers[: sizes.updates])))
    edited = iter(workload.customers[sizes.updates :])
    clients = [
        wires.Client(
            token,
            bodies(
                [
                    *workload.new_interactions(sizes.client_facts, days=7),
                    *workload.edits([next(edited) for _ in range(sizes.client_edits)]),
                ]
            ),
        )
        for token in tokens
    ]
    for n in range(sizes.repetitions):
        for kind in PUSHED:
            on_step(f"push: {kind}")
            at = folder / f"{kind}-{n}"
            is_beside = kind in ("postgres", "two")
            shutil.copytree(base / ("postgres" if is_beside else kind), at)
            used = beside.copy(database) if is_beside else ""
            with ExitStack() as stack:
                servers = [
                    stack.enter_context(running(kind, at, used, beside.cpu_ms if used else no_database_ms))
                ]
                if kind == "two":
                    other = at.with_name(f"{at.name}-other")
                    other.mkdir()
                    servers.append(stack.enter_context(running(kind, other, used)))
                wire = Wire(servers[0].port, token)
                wires.push(wire, kind, warm)
                await asyncio.sleep(START_S)
                results.add(
                    CLIENTS, kind, wires.at_once(servers, clients, sizes.client_edits * sizes.clients)
                )
                if kind != "two":
                    for figure, sent in ((PUSH, interactions), (UPDATES, updates), (SMALL, small)):
                        results.add(figure, kind, wires.pushed(servers[0], wire, sent))
                wire.close()
            shutil.rmtree(at)
            if used:
                beside.drop(used)
        on_step("limit: upsert of the same rows")
        limit = "SQLite upsert of the interactions, no server"
        results.limits[limit].append(wires.upserted(folder / f"limit-{n}", interactions))


async def _pulls(folder: Path, beside: Postgres, sizes: Sizes, results: Results, on_step: Step) -> None:
    on_step("load rows")
    workload = Workload(wall_ms())
    token = await data.build(folder, workload, sizes.customers, sizes.rows - sizes.customers)
    database = await beside.copy_of(folder / "ours")
    (folder / "postgres").mkdir()
    with ExitStack() as stack:
        servers: dict[Kind, Server] = {
            "floor": stack.enter_context(running("floor", folder / "floor")),
            "ours": stack.enter_context(running("ours", folder / "ours")),
            "postgres": stack.enter_context(
                running("postgres", folder / "postgres", database, beside.cpu_ms)
            ),
        }
        lines = {kind: Wire(server.port, token) for kind, server in servers.items()}
        on_step("warm up")
        found = {kind: wires.pull(lines[kind], kind) for kind in PULLED}
        results.rows, _ = found["ours"]
        if max(abs(rows - results.rows) for rows, _ in found.values()) > 1:  # a tablet has its own row too
            raise RuntimeError(f"not the same rows: {found}")
        for _ in range(sizes.repetitions):
            for kind in PULLED:
                on_step(f"{PULL}: {kind}")
                results.add(
                    PULL, kind, servers[kind].cost(lines[kind], partial(wires.pull, lines[kind], kind))
                )
        paged_bytes = _codings(servers["ours"], token, results, on_step)
        for _ in range(sizes.repetitions):
            on_step("first sync of a tablet")
            await first_sync.measure(
                folder, servers["floor"], servers["ours"], workload, paged_bytes, results, sizes
            )
        on_step(CATCH_UP)
        _catch_up(servers, lines, workload, sizes, results)
        on_step("live")
        await live.measure(folder, servers["ours"], workload, results, sizes)


def _codings(server: Server, token: str, results: Results, on_step: Step) -> int:
    """Pull everything in each coding; the bytes of it plain."""
    on_step("pages in each coding")
    for coded in (coding.IDENTITY, coding.GZIP, coding.ZSTD):
        wire = Wire(server.port, token, coded)
        taken = server.cost(wire, partial(wires.pull, wire, server.kind))
        results.limits[f"pages of a first sync in the coding {coded}"].append(taken)
        wire.close()
    return results.limits[f"pages of a first sync in the coding {coding.IDENTITY}"][0].bytes


def _catch_up(
    servers: dict[Kind, Server], lines: dict[Kind, Wire], workload: Workload, sizes: Sizes, results: Results
) -> None:
    """A device that has everything but some changed rows asks again and again from where it stood."""
    spread = workload.customers[:: max(1, len(workload.customers) // sizes.changed)][: sizes.changed]
    edits = pushes(workload.rng, list(workload.edits(spread)), workload.now_ms)
    asked: dict[Kind, tuple[str, bytes]] = {}
    for kind, wire in lines.items():
        _, cursor = wires.pull(wire, kind)
        if kind == "floor":  # an edit keeps its place there: let it send as many rows
            cursor = str(int(cursor) - len(spread))
        else:
            wires.require_applied(edits, wires.push(wire, kind, edits))
        came, _ = wires.pull(wire, kind, cursor)
        if came != len(spread):
            raise RuntimeError(f"{kind}: {came} rows came, not {len(spread)}")
        asked[kind] = wires.pull_body(kind, cursor)
    for n in range(WARM + sizes.catch_ups):
        for kind, wire in lines.items():
            taken = servers[kind].cost(wire, partial(wire.post, *asked[kind]))
            if n >= WARM:
                results.add(CATCH_UP, kind, taken)


async def _graph(folder: Path, sizes: Sizes, results: Results, on_step: Step) -> None:
    on_step("load customers")
    workload = Workload(wall_ms())
    await data.build(folder, workload, sizes.graph_customers, 0)
    token = await graph.token(folder / "ours")
    shutil.copytree(folder / "ours", folder / "core")
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(running(kind, folder / kind)) for kind in graph.KINDS}
        asking = graph.Asking(servers, token)
        stack.callback(asking.close)
        for n in range(sizes.repetitions + 1):
            on_step("GraphQL")
            for figure, counts in graph.COUNTS.items():
                for kind, most in counts.items():
                    count = max(1, round(most * sizes.graph_share))
                    taken = servers[kind].cost(asking.wire(kind), partial(asking.send, figure, kind, count))
                    if n:  # the first is to warm up
                        each = Cost(
                            taken.wall_ms / count, taken.cpu_ms / count, taken.bytes // count, taken.peak_mib
                        )
                        results.add(figure, kind, each)
