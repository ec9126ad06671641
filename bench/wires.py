"""What a tablet sends and what it is answered, as bytes: pushes, pulls and catch-ups without an SDK, so that
the client costs the floor and us the same."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import msgspec
import orjson

from bench import floor
from bench.server import Cost, Kind, Server, Wire, cost
from regulars_schema.entities import REGISTRY
from regulars_sync.protocol import PullAnswer, PullRequest, PushAnswer, PushRequest

PAGE_ROWS = 1_000
_answer = msgspec.json.Decoder(PullAnswer)


class _FloorPage(msgspec.Struct):
    after: int
    rows: list[msgspec.Raw]


_floor_page = msgspec.json.Decoder(_FloorPage)


def push_path(kind: Kind) -> str:
    return "/push" if kind == "floor" else "/sync/v1/push"


def push(wire: Wire, kind: Kind, bodies: Sequence[bytes]) -> list[bytes]:
    """Send these one after the other; the answers."""
    return [wire.post(push_path(kind), body) for body in bodies]


def require_applied(bodies: Sequence[bytes], answers: Sequence[bytes]) -> None:
    """A push that refuses its changes is quick: see that none was."""
    for body, raw in zip(bodies, answers, strict=True):
        verdicts = msgspec.json.decode(raw, type=PushAnswer).verdicts
        sent = len(msgspec.json.decode(body, type=PushRequest).changes)
        refused = [verdict for verdict in verdicts if verdict.verdict != "applied"]
        if len(verdicts) != sent or refused:
            raise RuntimeError(f"{len(verdicts)} of {sent} answered; not applied: {refused[:1]}")


def pushed(server: Server, wire: Wire, bodies: Sequence[bytes]) -> Cost:
    """What it takes to push these; every change is seen to be applied."""
    answers: list[bytes] = []
    taken = server.cost(wire, lambda: answers.extend(push(wire, server.kind, bodies)))
    if server.kind != "floor":
        require_applied(bodies, answers)
    return taken


def pull(wire: Wire, kind: Kind, cursor: str | None = None) -> tuple[int, str]:
    """Pull to the head from a cursor on; how many rows came, and the cursor there."""
    return (_pull_floor if kind == "floor" else _pull_ours)(wire, cursor)


def pull_body(kind: Kind, cursor: str | None) -> tuple[str, bytes]:
    """Path and body of the request for one page."""
    if kind == "floor":
        return "/pull", b'{"after":%d,"rows":%d}' % (int(cursor or 0), PAGE_ROWS)
    asked = PullRequest(schema=REGISTRY.version, cursor=cursor, rows_max=PAGE_ROWS)
    return "/sync/v1/pull", msgspec.json.encode(asked)


def _pull_ours(wire: Wire, cursor: str | None) -> tuple[int, str]:
    rows = 0
    while True:
        answer = _answer.decode(wire.post(*pull_body("ours", cursor)))
        rows += sum(len(page.rows) for page in answer.pages)
        cursor = answer.cursor
        if answer.head is not None:
            return rows, cursor


def _pull_floor(wire: Wire, cursor: str | None) -> tuple[int, str]:
    rows = 0
    while True:
        page = _floor_page.decode(wire.post(*pull_body("floor", cursor)))
        rows += len(page.rows)
        cursor = str(page.after)
        if len(page.rows) < PAGE_ROWS:
            return rows, cursor


@dataclass(frozen=True, slots=True)
class Client:
    """One of many at once: its token, and the pushes of its changes."""

    token: str
    bodies: list[bytes]


def at_once(servers: Sequence[Server], clients: Sequence[Client], edited: int) -> Cost:
    """What it takes when each of these pushes, and when all have, each pulls what all have pushed.

    `edited`: how many of the changed rows were there before. The clients are spread over the servers.
    """
    kind = servers[0].kind
    wires = [Wire(server.port, client.token) for server, client in zip(cycle(servers), clients, strict=False)]
    _, cursor = pull(wires[0], kind)
    if kind == "floor":  # an edit keeps its place there: let it send as many rows
        cursor = str(int(cursor) - edited)
    answers: list[list[bytes]] = []
    pulled: list[tuple[int, str]] = []

    def work() -> None:
        answers.extend(threads.map(lambda wire, client: push(wire, kind, client.bodies), wires, clients))
        pulled.extend(threads.map(lambda wire: pull(wire, kind, cursor), wires))

    with ThreadPoolExecutor(len(clients)) as threads:
        taken = cost(servers, wires, work)
    changed = sum(len(orjson.loads(body)["changes"]) for client in clients for body in client.bodies)
    if kind != "floor":
        for client, answer in zip(clients, answers, strict=True):
            require_applied(client.bodies, answer)
    if any(rows not in (changed, changed + 1) for rows, _ in pulled):  # a new server may write a row itself
        raise RuntimeError(f"{kind}: {sorted({rows for rows, _ in pulled})} rows came, not {changed}")
    for wire in wires:
        wire.close()
    return taken


def upserted(folder: Path, bodies: Sequence[bytes]) -> Cost:
    """What SQLite alone takes for the same rows in the same batches, in this process."""
    batches = [
        [(change["id"], orjson.dumps(change)) for change in orjson.loads(body)["changes"]] for body in bodies
    ]
    folder.mkdir()
    connection = floor.connect(folder)
    cpu, begun = time.process_time(), time.perf_counter()
    for batch in batches:
        floor.store(connection, batch)
    wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    connection.close()
    return Cost(wall * 1000, cpu * 1000, sum(len(json) for batch in batches for _, json in batch))
