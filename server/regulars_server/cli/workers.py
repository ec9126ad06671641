"""`regulars serve --workers N`: several processes that serve on one socket, and the one that keeps them.

The keeper listens and answers nothing. A worker that ends by itself is replaced; on a signal all end as a
single server does; a keeper that is killed takes its workers along.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from asyncio.subprocess import PIPE
from collections.abc import Callable
from typing import TYPE_CHECKING

from regulars_server.settings import Settings

if TYPE_CHECKING:
    from regulars_server.telemetry.metrics import Gathering

AGAIN_S = 1.0
"""After so long a worker that ended is replaced."""

log = logging.getLogger("regulars")


async def keep(
    count: int,
    settings: Settings,
    listening: socket.socket,
    ready: Callable[[], None],
    gathering: Gathering | None = None,
) -> None:
    """Keep so many workers until a signal; `ready` is called when each of them serves."""
    is_over = asyncio.Event()
    for stop in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(stop, is_over.set)
    begun = [asyncio.Event() for _ in range(count)]
    async with asyncio.TaskGroup() as group:
        keeping = [
            group.create_task(_keep_one(settings, listening, one, is_over, gathering)) for one in begun
        ]
        serving = group.create_task(_all(begun))
        await asyncio.wait([serving, *keeping], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            ready()
        serving.cancel()


async def _all(events: list[asyncio.Event]) -> None:
    for event in events:
        await event.wait()


async def _keep_one(
    settings: Settings,
    listening: socket.socket,
    begun: asyncio.Event,
    is_over: asyncio.Event,
    gathering: Gathering | None,
) -> None:
    handle = listening.fileno()
    # By the environment: a command line, with the password in it, is everybody's to read.
    given = {"REGULARS_DATA": str(settings.data), "REGULARS_DATABASE": settings.database}
    if gathering is not None:
        given |= gathering.environment
    command = [sys.executable, "-m", "regulars_server.cli", "serve", "--json", "--listening", str(handle)]
    over = asyncio.create_task(is_over.wait())
    while True:
        worker = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, pass_fds=[handle], env={**os.environ, **given}
        )
        ended = asyncio.create_task(_serve_out(worker, begun))
        await asyncio.wait([over, ended], return_when=asyncio.FIRST_COMPLETED)
        if over.done():
            if worker.returncode is None:
                worker.terminate()
            await ended
            return
        if gathering is not None:
            gathering.forget(worker.pid)
        log.warning("a worker ended with %s; another one takes its place", worker.returncode)
        await asyncio.wait([over], timeout=AGAIN_S)
        if over.done():
            return


async def _serve_out(worker: asyncio.subprocess.Process, begun: asyncio.Event) -> None:
    assert worker.stdout is not None
    if await worker.stdout.readline():  # its first line says that it is ready
        begun.set()
    await worker.wait()


def inherited(handle: int) -> socket.socket:
    """The keeper's socket, in a worker; when the keeper is gone, the worker stops."""

    def watch() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    return socket.socket(fileno=handle)
