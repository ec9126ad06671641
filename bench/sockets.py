"""What an idle socket costs the server: `PYTHONPATH=. python bench/sockets.py 1000`.

A server in a process of its own, so many sockets on it, each with a subscription that has nothing to tell;
the memory it took for each, and how long one change takes until all have been told.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2

from tests.support.server import ServerProcess
from tests.support.sockets import Served

PER_TOKEN = 100
CHANGES = "subscription { changes(entities: [CUSTOMER]) { cursor rows { id } } }"
CREATE = 'mutation { customerCreate(idempotencyKey: "k", input: { name: "x" }) { __typename } }'


async def measure(server: ServerProcess, tokens: list[str], sockets: int) -> None:
    site = Served(None, server.port, None)  # type: ignore[arg-type]
    async with AsyncExitStack() as stack:
        warm = await stack.enter_async_context(site.socket(tokens[0]))
        await warm.subscribe(CHANGES)
        await warm.data()
        before = resident_kib(server)
        open_ = [
            await stack.enter_async_context(site.socket(tokens[n % len(tokens)])) for n in range(sockets)
        ]
        idle = (resident_kib(server) - before) / sockets
        for socket in open_:
            await socket.subscribe(CHANGES)
            await socket.data()
        listening = (resident_kib(server) - before) / sockets
        used = seconds_of_cpu(server)
        await asyncio.sleep(5)
        cpu = (seconds_of_cpu(server) - used) / 5
        headers = {"authorization": f"Bearer {tokens[0]}"}
        begun = time.perf_counter()
        async with httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=60) as http:
            await http.post("/graphql", json={"query": CREATE})
            answered = time.perf_counter() - begun
        for socket in open_:
            await socket.data()
        told = time.perf_counter() - begun
    print(f"{sockets} sockets: {idle:.1f} KiB each, {listening:.1f} with a subscription, {cpu:.1%} of a core")
    print(f"one change: answered after {answered * 1000:.0f} ms, all told after {told * 1000:.0f} ms")


def resident_kib(server: ServerProcess) -> int:
    status = Path(f"/proc/{server.pid}/status").read_text("utf-8")
    return int(status.split("VmRSS:")[1].split()[0])


def seconds_of_cpu(server: ServerProcess) -> float:
    fields = Path(f"/proc/{server.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(sockets: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder) / "data")
        server.start()
        try:
            tokens = [
                str(server.run("token", "add", f"{n}", "--role", "admin")["token"])
                for n in range(-(-(sockets + 1) // PER_TOKEN) + 1)
            ]
            asyncio.run(measure(server, tokens, sockets))
        finally:
            server.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
