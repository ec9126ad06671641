"""One server in a process of its own: `python -m bench.serve KIND FOLDER [DATABASE]`, a kind of
`KINDS` or ours; it prints its port.

Each kind imports only what it runs, so that memory can be compared.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from regulars_server.process import take_all_files

WIRE_S_MAX = 600
"""A wire that waits for the others to be measured stays open."""


def floor(folder: Path, database: str) -> Starlette:
    from bench.floor import create_floor

    return create_floor(folder)


def ours(folder: Path, database: str) -> Starlette:
    """The product as it is served, its log lines included."""
    from regulars_server.app import create_app
    from regulars_server.process import spare_the_collector
    from regulars_server.settings import Settings
    from regulars_server.web import JsonLines

    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("regulars")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    plenty = 1_000_000_000  # the budget is counted, and never empty
    settings = replace(
        Settings.read(os.environ),
        data=folder,
        database=database,
        snapshot_rows_min=1,
        developer_cost_max=plenty,
        developer_cost_per_s=plenty,
    )
    app = create_app(settings)
    spare_the_collector()
    return app


def core(folder: Path, database: str) -> Starlette:
    """The same, but GraphQL goes field by field."""
    from regulars_server.graph.executor import CompiledExecutor

    del CompiledExecutor.execute_collected_subfields, CompiledExecutor.complete_iterable_value
    return ours(folder, database)


def unlooked(folder: Path, database: str) -> Starlette:
    """The same, but nobody looks at customers who are due: no metrics are kept."""
    from regulars_server.knowledge.checking import Checking

    async def idle(self: Checking) -> None:
        await asyncio.Event().wait()

    setattr(Checking, "run", idle)  # noqa: B010
    return ours(folder, database)


def numbers(folder: Path, database: str) -> Starlette:
    """The same, but of whoever is due the facts are counted and laid out, and no rule is asked."""
    from regulars_server.knowledge.checking import Stood

    setattr(Stood, "of", lambda person, knowledge, chain: Stood({}, {}))  # noqa: B010
    return ours(folder, database)


KINDS = {"floor": floor, "core": core, "unlooked": unlooked, "numbers": numbers}


def main() -> None:
    kind, folder, *database = sys.argv[1:]
    app = KINDS.get(kind, ours)(Path(folder), "".join(database))
    take_all_files()
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=WIRE_S_MAX,
    )
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
