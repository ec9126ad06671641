"""`make storm`: 9:00 after three days without a network. Every tablet comes within ten seconds.

make storm                          2,000 tablets, 200 changes up and 500 rows down each; some minutes
make storm ARGS="--tablets 200"     a tenth of it

A chain is prepared once for each size (build/storm) and copied for each run. Then run beside each other: the
server; the herd, which replays prepared bodies (bench/herd.py); real SDKs (bench/shops.py); and, here, head
office, which asks GraphQL without pause. At the end the log is compared with what was sent, and tablets with
the server.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import orjson
import typer

from bench import herd, shops
from bench.herd import Sizes, Told
from bench.report import machine
from bench.server import ROOT, Server, Wire, running
from regulars_server.app import DATABASE, create_service, opened
from regulars_server.settings import Settings

T = TypeVar("T")

PAUSE_S = 0.03
SAMPLE_S = 0.2
SECONDS_MAX = 600.0
QUERIES = (
    "query ($id: UUID!) { customer(id: $id) { name notes phones { key } tags homeUnit { name } } }",
    "{ customers(first: 50, orderBy: NAME_ASC) { nodes { id name homeUnit { name } } } }",
    'query { customers(search: "王", first: 20) { nodes { id name memberNo } } }',
)

LOGGED = """SELECT incarnation, n, lower(hex(cid)), verdict FROM log
    WHERE incarnation IS NOT NULL ORDER BY pos"""


@dataclass
class Storm:
    """What was seen."""

    sizes: Sizes
    herd: herd.Outcome = field(default_factory=herd.Outcome)
    shops: shops.Outcome = field(default_factory=shops.Outcome)
    asked_ms: list[float] = field(default_factory=list)
    """Of head office's queries."""
    unanswered: Counter[str] = field(default_factory=Counter)
    rss_mib: float = 0.0
    own_mib: float = 0.0
    """Without the database file that is mapped."""
    cpu_s: float = 0.0
    """Of the server until all had converged."""
    wrong: list[str] = field(default_factory=list)

    @property
    def converged_s(self) -> float:
        return max(self.herd.converged_s, self.herd.handed_in_s, self.shops.converged_s)


class Office:
    """Head office: one query after the other, in a thread, until it is left."""

    def __init__(self, server: Server, token: str, storm: Storm) -> None:
        self._server, self._storm = server, storm
        self._wire = Wire(server.port, token)
        (first,) = self._ask("{ customers(first: 1) { nodes { id } } }")["data"]["customers"]["nodes"]
        self._variables = first
        for query in QUERIES:
            answer = self._ask(query)
            if "errors" in answer:
                raise RuntimeError(f"{answer['errors'][:1]}")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._wire.close()

    def _ask(self, query: str) -> Any:
        variables = self._variables if "$id" in query else {}
        return orjson.loads(
            self._wire.post("/graphql", orjson.dumps({"query": query, "variables": variables}))
        )

    def _run(self) -> None:
        n = sampled = 0.0
        while not self._over.wait(PAUSE_S):
            begun = time.perf_counter()
            try:
                answer = self._ask(QUERIES[int(n) % len(QUERIES)])
                if "errors" in answer:
                    self._storm.unanswered[answer["errors"][0]["extensions"]["code"]] += 1
            except (OSError, RuntimeError) as error:
                self._storm.unanswered[type(error).__name__] += 1
            self._storm.asked_ms.append((time.perf_counter() - begun) * 1_000)
            n += 1
            if begun - sampled > SAMPLE_S:
                sampled = begun
                self._storm.own_mib = max(self._storm.own_mib, self._server.memory_kib("RssAnon") / 1024)


class Beside:
    """A process of this benchmark, which has said that it is ready; told to go, it ends with its outcome."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        if self._line() != b"ready\n":
            raise RuntimeError(f"{process.args!r} did not start")

    def tell(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()

    def outcome(self, of: type[T]) -> T:
        return msgspec.json.decode(self._line(), type=of)

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def beside(module: str, *arguments: object) -> Iterator[Beside]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe) as process:
        try:
            yield Beside(process)
        finally:
            process.kill()


def prepared(sizes: Sizes, place: Path) -> Path:
    """The folder with the chain, bodies and tablets of this size; made when it is not there."""
    folder = place / "-".join(str(part) for part in asdict(sizes).values())
    if (folder / "office").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    ours, tablets = folder / "ours", folder / "tablets"
    for one in (ours, tablets):
        one.mkdir(parents=True)
    made = asyncio.run(herd.found(ours, sizes))
    with running("ours", ours) as server:
        asyncio.run(shops.pair(tablets, server.port, made.codes))
    asyncio.run(herd.prepare(ours, folder / "bodies", made, sizes))
    asyncio.run(shops.write(tablets, sizes.shops, sizes.changes))
    (folder / "office").write_text(made.office, "ascii")
    return folder


def run(folder: Path, at: Path, sizes: Sizes, settings: Mapping[str, str], seconds_max: float) -> Storm:
    """One storm on a copy of what was prepared."""
    storm = Storm(sizes)
    for part in ("ours", "tablets"):
        shutil.copytree(folder / part, at / part)
    with (
        running("ours", at / "ours", settings=settings) as server,
        beside("bench.herd", folder, server.port, seconds_max, sizes.over_s) as replaying,
        beside("bench.shops", at / "tablets", sizes.shops, server.port, sizes.over_s) as real,
    ):
        cpu = server.cpu_ms()
        with Office(server, (folder / "office").read_text("ascii"), storm):
            replaying.tell()
            real.tell()
            storm.herd = replaying.outcome(herd.Outcome)
            storm.cpu_s = (server.cpu_ms() - cpu) / 1_000
        real.tell()
        storm.shops = real.outcome(shops.Outcome)
        storm.rss_mib = server.peak_mib()
    storm.wrong = [*storm.herd.failed, *in_log(at / "ours", folder / "bodies.told", sizes)]
    storm.wrong += asyncio.run(differing(at / "ours", [*storm.herd.digests, *storm.shops.digests]))
    if storm.shops.pending or storm.shops.held:
        storm.wrong.append(f"SDKs: {storm.shops.pending} pending, {storm.shops.held} held")
    return storm


def in_log(ours: Path, told: Path, sizes: Sizes) -> list[str]:
    """What is in the log otherwise than once, at its number, accepted."""
    wrong = []
    with closing(sqlite3.connect(ours / DATABASE)) as database:
        found: dict[str, list[tuple[int, str, str]]] = {}
        for incarnation, n, cid, verdict in database.execute(LOGGED):
            found.setdefault(incarnation, []).append((n, cid, verdict))
    for one in msgspec.msgpack.decode(told.read_bytes(), type=list[Told]):
        logged = found.pop(one.incarnation, [])
        if [(n, cid) for n, cid, _ in logged] != list(enumerate(one.cids, 1)):
            wrong.append(f"incarnation {one.incarnation}: {len(logged)} of {len(one.cids)} in the log")
        if {verdict for *_, verdict in logged} - {"applied", "merged"}:
            wrong.append(f"incarnation {one.incarnation}: {Counter(verdict for *_, verdict in logged)}")
    rest = [[n for n, *_ in logged] for logged in found.values()]
    if sorted(rest) != [list(range(1, sizes.changes + 1))] * sizes.shops:
        wrong.append(f"of the SDKs {[len(numbers) for numbers in rest]} changes are in the log")
    return wrong


async def differing(ours: Path, held: Sequence[Mapping[str, tuple[int, str]]]) -> list[str]:
    """Tablets that do not hold what the server's scopes hold."""
    scopes = sorted({scope for one in held for scope in one})
    async with (
        opened(create_service(Settings(data=ours)), sweep=False) as service,
        service.storage.unscoped_reader() as reader,
    ):
        there = {scope: (*digest,) for scope, digest in (await reader.digests(scopes)).items()}
    return [
        f"tablet {n} differs in {scope}: {digest} there {there.get(scope)}"
        for n, one in enumerate(held)
        for scope, digest in one.items()
        if (*digest,) != there.get(scope)
    ]


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] if values else 0.0


def rows(storm: Storm) -> list[tuple[str, str, str]]:
    """What, measured, and the goal for 2,000 tablets."""
    sizes, seen = storm.sizes, storm.herd
    refused = sum(count for name, count in seen.statuses.items() if name.endswith(" 503"))
    changes = (sizes.tablets + sizes.shops) * sizes.changes
    return [
        ("tablets: replayed, real SDKs", f"{sizes.tablets:,}, {sizes.shops}", "2,000, of them 20 real"),
        (
            "changes up, rows down each; all come within",
            f"{sizes.changes}, {sizes.rows}; {sizes.over_s:g} s",
            "",
        ),
        ("everything handed in", f"{max(seen.handed_in_s, storm.shops.handed_in_s):.1f} s", ""),
        ("everybody has everything", f"{storm.converged_s:.1f} s", "60 s"),
        ("changes a second until all were handed in", f"{changes / max(seen.handed_in_s, 0.001):,.0f}", ""),
        ("rows down to replayed tablets", f"{seen.rows:,}", ""),
        (
            "head office's queries: p50, p99, slowest",
            f"{percentile(storm.asked_ms, 0.5):.0f}, {percentile(storm.asked_ms, 0.99):.0f},"
            f" {max(storm.asked_ms, default=0):.0f} ms of {len(storm.asked_ms):,}",
            "p99 < 500 ms",
        ),
        ("not answered", str(dict(storm.unanswered) or "none"), "none"),
        (
            "server: resident at most; of that its own",
            f"{storm.rss_mib:.0f}, {storm.own_mib:.0f} MiB",
            "< 1,536 MiB",
        ),
        ("server: CPU", f"{storm.cpu_s:.1f} s", ""),
        ("generator: CPU, memory", f"{seen.cpu_s:.1f} s, {seen.rss_mib:.0f} MiB", ""),
        ("real SDKs: CPU", f"{storm.shops.cpu_s:.1f} s", ""),
        ("answers", ", ".join(f"{name}: {count:,}" for name, count in seen.statuses.items()), ""),
        ("refused with 503; tries of one tablet at most", f"{refused:,}; {seen.tries_max + 1}", "some"),
        (
            "a push that was taken: p50, p99",
            f"{percentile(seen.pushes_ms, 0.5):.0f}, {percentile(seen.pushes_ms, 0.99):.0f} ms",
            "",
        ),
        ("rounds of real SDKs that found no room", str(storm.shops.problems or "none"), ""),
        ("wrong in log or tablets", "; ".join(storm.wrong[:5]) or "nothing", "nothing"),
    ]


def page(storm: Storm, load: Sequence[float]) -> str:
    lines = ["| what | measured | goal |", "|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows(storm)]
    lines += ["", "| measured on | |", "|---|---|", *(f"| {' | '.join(row)} |" for row in machine(load))]
    return "\n".join(lines) + "\n"


def main(
    tablets: Annotated[int, typer.Option(min=4)] = 2_000,
    shops_: Annotated[int, typer.Option("--shops", min=1, help="Of real SDKs.")] = 20,
    changes: Annotated[int, typer.Option(min=20)] = 200,
    rows_: Annotated[int, typer.Option("--rows", min=0, help="That came meanwhile.")] = 500,
    out: Annotated[Path | None, typer.Option(help="Where to write the table, too.")] = None,
    keep: Annotated[bool, typer.Option(help="Keep what was prepared.")] = True,
) -> None:
    """2,000 tablets come back at once."""
    sizes = Sizes(tablets=tablets, shops=shops_, changes=changes, rows=rows_, samples=min(40, tablets))
    place = ROOT / "build" / "storm"
    folder = prepared(sizes, place)
    at = place / "running"
    shutil.rmtree(at, ignore_errors=True)
    before = os.getloadavg()[0]
    try:
        storm = run(folder, at, sizes, {}, SECONDS_MAX)
    finally:
        shutil.rmtree(at, ignore_errors=True)
    said = page(storm, (before, os.getloadavg()[0]))
    print(said)
    if out is not None:
        out.write_text(said, "utf-8")
    if not keep:
        shutil.rmtree(folder)
    if storm.wrong:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
