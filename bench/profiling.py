"""Where the server's time goes: the real app, in this process, on one thread, under cProfile."""

from __future__ import annotations

import cProfile
import pstats
from enum import StrEnum
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.types import Message

from bench import data
from bench.figures import Sizes
from bench.wires import PAGE_ROWS
from bench.workload import Workload, pushes
from regulars_schema.entities import REGISTRY
from regulars_server.app import DATABASE, create_app, create_service, opened, wall_ms
from regulars_server.settings import Settings
from regulars_server.storage.sqlite import SqliteStorage, inline
from regulars_sync.protocol import PullAnswer, PullRequest

LINES = 45


class What(StrEnum):
    PUSH = "push"
    UPDATES = "updates"
    PULL = "pull"


async def profile(what: What, folder: Path, sizes: Sizes) -> None:
    """Print the functions in which a push, updates or a pull spend their time."""
    workload = Workload(wall_ms())
    customers = sizes.customers if what is What.PULL else sizes.base_customers
    facts = sizes.rows - customers if what is What.PULL else 0
    token = await data.build(folder, workload, customers, facts)
    settings = Settings(data=folder / "ours")
    storage = SqliteStorage(settings.data / DATABASE, REGISTRY, readers=1, connect=inline)
    service = create_service(settings, storage=storage)
    async with opened(service):
        app = create_app(settings, service)
        drafted = {
            What.PUSH: workload.new_interactions(sizes.interactions, days=7),
            What.UPDATES: workload.edits(workload.customers),
            What.PULL: iter(()),
        }[what]
        bodies = pushes(workload.rng, list(drafted), workload.now_ms)
        await _pull_page(app, token, None)
        profiler = cProfile.Profile()
        profiler.enable()
        for body in bodies:
            await _post(app, "/sync/v1/push", body, token)
        if what is What.PULL:
            cursor: str | None = None
            while (cursor := await _pull_page(app, token, cursor)) is not None:
                pass
        profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(LINES)


async def _pull_page(app: Starlette, token: str, cursor: str | None) -> str | None:
    """One page; where the next begins, None behind the last."""
    asked = PullRequest(schema=REGISTRY.version, cursor=cursor, rows_max=PAGE_ROWS)
    raw = await _post(app, "/sync/v1/pull", msgspec.json.encode(asked), token)
    answer = msgspec.json.decode(raw, type=PullAnswer)
    return None if answer.head is not None else answer.cursor


async def _post(app: Starlette, path: str, body: bytes, token: str) -> bytes:
    """One request straight into the app."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {token}".encode()), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    said = bytearray()
    status = 0

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        said.extend(message.get("body", b""))

    await app(scope, receive, send)
    if status != 200:
        raise RuntimeError(f"{path}: {status} {bytes(said[:400])!r}")
    return bytes(said)
