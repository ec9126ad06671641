"""The bare floor: as little as a server can do that keeps JSON in SQLite and gives it back by pages.

    POST /push   {"changes": [{"id": ...}, ...]}   one transaction a batch, replaced by id
    POST /pull   {"after": rowid, "rows": 1000}    {"rows": [stored JSON, ...], "after": rowid}
    POST /keep/x {...}                             keeps what the JSON says, in memory
    POST /kept/x                                   that, made JSON again

No auth, no validation, no conflicts, no log, no scopes, no digests, no compression. The file is set as
ours is: WAL, synchronous=FULL, the same cache, map and checkpoint, so that a commit costs both the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

DATABASE = "floor.db"
UPSERT = "INSERT INTO document(id, json) VALUES(?, ?) ON CONFLICT(id) DO UPDATE SET json=excluded.json"


def connect(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / DATABASE, isolation_level=None, check_same_thread=False)
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "cache_size=-65536",
        "mmap_size=1073741824",
        "wal_autocheckpoint=4000",
    ):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS document(row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, json BLOB)"
    )
    return connection


def store(connection: sqlite3.Connection, rows: Iterable[tuple[str, bytes]]) -> None:
    """Put a batch in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(UPSERT, rows)
    connection.execute("COMMIT")


def create_floor(folder: Path) -> Starlette:
    connection = connect(folder)

    async def healthz(request: Request) -> Response:
        return Response(b'{"ok":true}', media_type="application/json")

    async def push(request: Request) -> Response:
        changes = orjson.loads(await request.body())["changes"]
        store(connection, [(change["id"], orjson.dumps(change)) for change in changes])
        return Response(orjson.dumps({"stored": len(changes)}), media_type="application/json")

    async def pull(request: Request) -> Response:
        asked = orjson.loads(await request.body())
        found = connection.execute(
            "SELECT row, json FROM document WHERE row>? ORDER BY row LIMIT ?", (asked["after"], asked["rows"])
        ).fetchall()
        after = found[-1][0] if found else asked["after"]
        rows = orjson.Fragment(b"[" + b",".join([json for _, json in found]) + b"]")
        return Response(orjson.dumps({"rows": rows, "after": after}), media_type="application/json")

    kept: dict[str, object] = {}

    async def keep(request: Request) -> Response:
        kept[request.path_params["name"]] = orjson.loads(await request.body())
        return Response(b"{}", media_type="application/json")

    async def give(request: Request) -> Response:
        return Response(orjson.dumps(kept[request.path_params["name"]]), media_type="application/json")

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/push", push, methods=["POST"]),
            Route("/pull", pull, methods=["POST"]),
            Route("/keep/{name}", keep, methods=["POST"]),
            Route("/kept/{name}", give, methods=["POST"]),
        ]
    )
