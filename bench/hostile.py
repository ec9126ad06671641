"""What hostile documents cost the server, and what a parallel ping notices: `make hostile`.

A real `regulars serve`, filled; each document is sent several times over its own connection while another
one pings. Prints a table for docs/PROOF.md: wall and CPU milliseconds until the answer, growth of memory,
and the slowest pings.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.workload import Workload
from regulars_server.app import create_service, opened, wall_ms
from regulars_server.authors import SERVER
from regulars_server.settings import Settings
from tests.support.hostile import BODIES, HOSTILE, LARGE, body_of
from tests.support.server import ServerProcess

BATCH = 1_000
PING_EVERY_S = 0.004
ENDLESS = {"REGULARS_DEVELOPER_COST_MAX": "0"}


@dataclass(frozen=True, slots=True)
class Noticed:
    name: str
    status: int
    answer: bytes
    wall_ms: float
    """The slowest of them."""
    cpu_ms: float
    """Of the server for one of them, at most."""
    grown_kib: int
    pings: list[tuple[float, float]]
    """Wall and server's CPU milliseconds of each ping meanwhile."""


async def fill(folder: Path, customers: int, interactions: int) -> str:
    """A chain with so many rows; the bearer of a token of head office."""
    workload = Workload(wall_ms())
    async with opened(create_service(Settings(data=folder))) as service:
        batches = [
            *workload.reference(),
            workload.new_customers(customers),
            workload.new_interactions(interactions, days=365),
        ]
        for batch in batches:
            changes = iter(batch)
            while some := list(islice(changes, BATCH)):
                await service.admission.write(SERVER, [[change] for change in some])
        _, token = await service.access.new_token("developer", "hostile", "admin", None, True)
        return token


class Attacked:
    """A serving process with one connection that attacks and one that pings."""

    def __init__(self, server: ServerProcess, token: str) -> None:
        self._server = server
        self._token = token
        self._attack = HTTPConnection("127.0.0.1", server.port, timeout=120)

    def cpu_ms(self) -> float:
        return time.clock_gettime_ns((~self._server.pid << 3) | 2) / 1e6

    def memory_kib(self) -> int:
        """What it holds by itself; pages of the database file that are mapped are the system's."""
        status = Path(f"/proc/{self._server.pid}/status").read_text("ascii")
        return next(int(said.split()[1]) for said in status.splitlines() if said.startswith("RssAnon:"))

    def close(self) -> None:
        self._attack.close()

    def send(self, body: bytes) -> tuple[int, bytes]:
        headers = {
            "content-type": "application/json",
            "accept": "application/graphql-response+json",
            "authorization": f"Bearer {self._token}",
        }
        self._attack.request("POST", "/graphql", body, headers)
        answer = self._attack.getresponse()
        return answer.status, answer.read()

    def notice(self, name: str, body: bytes, times: int) -> Noticed:
        before = self.memory_kib()
        held: list[int] = []
        pings: list[tuple[float, float]] = []
        walls, cpus = [], []
        status, answer = 0, b""
        with _Pinging(self, self._server.port, pings, held):
            for _ in range(times):
                cpu, begun = self.cpu_ms(), time.perf_counter()
                status, answer = self.send(body)
                walls.append((time.perf_counter() - begun) * 1_000)
                cpus.append(self.cpu_ms() - cpu)
        grown = max(held) - before
        return Noticed(name, status, answer, max(walls), min(cpus), grown, pings)


class _Pinging:
    """Until it is left: the time of each ping goes into `pings`, the memory after it into `held`."""

    def __init__(
        self, attacked: Attacked, port: int, pings: list[tuple[float, float]], held: list[int]
    ) -> None:
        self._attacked, self._port, self._pings, self._held = attacked, port, pings, held
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=120)
        while True:
            cpu, begun = self._attacked.cpu_ms(), time.perf_counter()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            self._pings.append(((time.perf_counter() - begun) * 1_000, self._attacked.cpu_ms() - cpu))
            self._held.append(self._attacked.memory_kib())
            if self._over.wait(PING_EVERY_S):
                connection.close()
                return


def million_ms() -> float:
    """CPU milliseconds of a million multiplications in Python, here and now: a unit for what others cost."""
    begun = time.process_time()
    for number in range(1_000_000):
        number * number
    return (time.process_time() - begun) * 1_000


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def table(found: Mapping[str, list[Noticed]]) -> str:
    lines = ["| sent | status | wall ms | CPU ms | memory MiB | ping p99 ms |", "|---|---|---|---|---|---|"]
    for group, each in found.items():
        lines.append(f"| **{group}** | | | | | |")
        lines += [
            f"| {n.name} | {n.status} | {n.wall_ms:.0f} | {n.cpu_ms:.0f} | {n.grown_kib / 1024:.1f} |"
            f" {percentile([wall for wall, _ in n.pings], 0.99):.0f} |"
            for n in each
        ]
    pings = [wall for each in found.values() for n in each for wall, _ in n.pings]
    lines.append(f"| all | | | | | p50 {percentile(pings, 0.5):.1f}, p99 {percentile(pings, 0.99):.0f} |")
    return "\n".join(lines)


def main(customers: int = 3_000, interactions: int = 60_000, times: int = 5) -> None:
    with TemporaryDirectory() as folder:
        data = Path(folder) / "chain"
        data.mkdir()
        token = asyncio.run(fill(data, customers, interactions))
        server = ServerProcess(data, ENDLESS)
        server.start()
        try:
            attacked = Attacked(server, token)
            attacked.send(body_of({"query": "{ customers(first: 250) { nodes { id name } } }"}))
            groups: dict[str, Mapping[str, Any]] = {
                "refused": {name: {"query": text} for name, text in HOSTILE.items()},
                "bodies": BODIES,
                "as large as is allowed": LARGE,
            }
            found = {
                group: [attacked.notice(name, body_of(body), times) for name, body in bodies.items()]
                for group, bodies in groups.items()
            }
            print(table(found))
            attacked.close()
        finally:
            server.stop()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
