"""A server under measurement: its process, its CPU time, its memory; and a client that costs it nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import TypeAlias

from regulars_sync import coding

ROOT = Path(__file__).resolve().parents[1]
START_S_MAX = 30.0
SETTLE_S = 0.05
"""What a server still does behind its last answer is its own cost too."""

Kind: TypeAlias = str
"""What took a sample: floor, ours, core (ours with GraphQL on graphql-core's own executor), postgres ..."""


class Wire:
    """A keep-alive connection that sends prepared bytes and reads the answer whole; again when told so."""

    def __init__(self, port: int, token: str | None = None, accept: str = coding.IDENTITY) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=120)
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": accept}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self.sent = 0
        self.received = 0

    def post(self, path: str, body: bytes) -> bytes:
        while True:
            self._connection.request("POST", path, body, self._headers)
            answer = self._connection.getresponse()
            said = answer.read()
            if answer.status != 503 or "Retry-After" not in answer.headers:
                break
            time.sleep(int(answer.headers["Retry-After"]))  # it counts as any other time
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {said[:400]!r}")
        self.sent += len(body)
        self.received += len(said)
        if (coded := answer.headers.get("Content-Encoding")) is None:
            return said
        incoming = coding.Incoming(coded, 1 << 30)
        incoming.feed(said)
        return incoming.end()

    def close(self) -> None:
        self._connection.close()


@dataclass(frozen=True, slots=True)
class Cost:
    wall_ms: float
    cpu_ms: float
    """Of the server's process, user and system."""
    bytes: int
    """Of the bodies, both ways."""
    peak_mib: float | None = None
    """What the server held in memory at most meanwhile; None where that was not looked at."""


class Server:
    """A running server. `kind` says which; `port` is where."""

    def __init__(
        self, kind: Kind, process: subprocess.Popen[bytes], port: int, beside_ms: Callable[[], float]
    ) -> None:
        self.kind = kind
        self.port = port
        self._process = process
        self._beside_ms = beside_ms

    def cpu_ms(self) -> float:
        """Of its process and of its database's."""
        return cpu_ms_of(self._process.pid) + self._beside_ms()

    def forget_peak(self) -> None:
        """From now on the peak of its memory is counted anew."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5", "ascii")

    def peak_mib(self) -> float:
        return self.memory_kib("VmHWM") / 1024

    def memory_kib(self, of: str = "VmRSS") -> int:
        """As /proc/<pid>/status says it: VmRSS, VmHWM (its peak), RssAnon (without mapped files)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text("ascii")
        (line,) = (line for line in status.splitlines() if line.startswith(f"{of}:"))
        return int(line.split()[1])

    def cost(self, wires: Wire | Sequence[Wire], work: Callable[[], object]) -> Cost:
        """What `work` over these wires takes."""
        return cost([self], [wires] if isinstance(wires, Wire) else wires, work)


def cost(servers: Sequence[Server], wires: Sequence[Wire], work: Callable[[], object]) -> Cost:
    """What `work` over these wires takes of these servers together."""

    def moved() -> int:
        return sum(wire.sent + wire.received for wire in wires)

    def cpu_ms() -> float:
        return sum(server.cpu_ms() for server in servers)

    for server in servers:
        server.forget_peak()
    before, cpu, begun = moved(), cpu_ms(), time.perf_counter()
    work()
    wall = time.perf_counter() - begun
    time.sleep(SETTLE_S)
    peak = sum(server.peak_mib() for server in servers)
    return Cost(wall * 1000, cpu_ms() - cpu, moved() - before, peak)


def cpu_ms_of(pid: int) -> float:
    """What /proc/<pid>/stat calls utime + stime, from the process's CPU clock: ns, not ticks of 10 ms."""
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e6


def no_database_ms() -> float:
    """SQLite runs within the server."""
    return 0.0


@contextmanager
def running(
    kind: Kind,
    folder: Path,
    database: str = "",
    beside_ms: Callable[[], float] = no_database_ms,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Start a server on the data in `folder`, wait until it answers, and stop it at the end.

    `database` is a PostgreSQL address, and `beside_ms` the CPU milliseconds of that server so far.
    """
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.serve", kind, str(folder), *filter(None, [database])],
            cwd=ROOT,
            env={**os.environ, **(settings or {})},
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        if not said:
            raise RuntimeError(f"{kind} did not start:\n{(folder / 'log').read_text('utf-8')[-2000:]}")
        server = Server(kind, process, int(said), beside_ms)
        _await_answer(server)
        yield server
    finally:
        process.terminate()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


def _await_answer(server: Server) -> None:
    last = time.monotonic() + START_S_MAX
    while True:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            return
        except OSError:
            if time.monotonic() > last:
                raise
            time.sleep(0.02)
        finally:
            connection.close()
