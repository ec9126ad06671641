"""`make idle`: what a tablet costs that only waits, and how soon it is woken: ARGS="--lines 1000".

A server in a process of its own; so many live lines on it, twenty of each unit, held by raw sockets here. Its
memory before and after; its CPU while nothing happens; then changes in one unit after the other, and how long
it takes from the request that makes one until each line of the unit was told.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, cast

import orjson
import typer
import uvloop

from bench import herd
from bench.herd import LISTEN, Sizes
from bench.report import machine
from bench.server import ROOT, Server, Wire, running
from bench.storm import percentile
from regulars_server.process import take_all_files

PER_UNIT = 20
WAKES = 100
WARM = 3
"""Changes that are not counted: the first request of all compiles its document."""
CALM_S = 5.0
AT_ONCE = 100
"""Lines that are opened at a time."""
KIB_MAX = 40
CREATE = """mutation ($key: String!, $unit: UUID!) {
    customerCreate(idempotencyKey: $key, input: { name: "x", homeUnitId: $unit }) { __typename }
}"""


class Line(asyncio.Protocol):
    """One listening tablet."""

    def __init__(self, token: str) -> None:
        self._token = token
        self.ready = asyncio.get_running_loop().create_future()
        self.told: list[float] = []
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport = cast(asyncio.Transport, transport)
        transport.write(LISTEN.format(token=self._token).encode())

    def data_received(self, data: bytes) -> None:
        if b"event: ready" in data and not self.ready.done():
            self.ready.set_result(None)
        elif b"event: change" in data:
            self.told.append(time.perf_counter())

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("refused"))


async def opened(port: int, tokens: Sequence[str]) -> list[Line]:
    """A line for each, some at a time."""
    loop = asyncio.get_running_loop()
    lines: list[Line] = []
    for at in range(0, len(tokens), AT_ONCE):
        some = [
            loop.create_connection(lambda token=token: Line(token), "127.0.0.1", port)  # type: ignore[misc]
            for token in tokens[at : at + AT_ONCE]
        ]
        made = [line for _, line in await asyncio.gather(*some)]
        await asyncio.gather(*(line.ready for line in made))
        lines += made
    return lines


async def measure(server: Server, made: herd.Prepared, count: int) -> list[tuple[str, str, str]]:
    tokens = [made.devices[n % len(made.devices)][0] for n in range(count)]
    for line in await opened(server.port, tokens[: 2 * AT_ONCE]):  # what the first ones make is everybody's
        assert line.transport is not None
        line.transport.close()
    await asyncio.sleep(1)
    before = server.memory_kib("RssAnon")
    lines = await opened(server.port, tokens)
    each = (server.memory_kib("RssAnon") - before) / count
    cpu = server.cpu_ms()
    await asyncio.sleep(CALM_S)
    calm = (server.cpu_ms() - cpu) / (CALM_S * 1_000)
    wire = Wire(server.port, made.office)
    taken: list[float] = []
    answered: list[float] = []
    for n in range(-WARM, WAKES):
        unit = n * 7 % len(made.devices)
        asked = {"query": CREATE, "variables": {"key": f"{n}", "unit": made.devices[unit][1].unit}}
        listening = lines[unit :: len(made.devices)]
        for line in listening:
            line.told.clear()
        begun = time.perf_counter()
        answer = orjson.loads(await asyncio.to_thread(wire.post, "/graphql", orjson.dumps(asked)))
        if answer.get("data", {}).get("customerCreate", {}).get("__typename") != "CustomerSaved":
            raise RuntimeError(f"{answer}")
        took = (time.perf_counter() - begun) * 1_000
        async with asyncio.timeout(30):
            while not all(line.told for line in listening):  # noqa: ASYNC110 (the lines have no event)
                await asyncio.sleep(0.001)
        if n >= 0:
            answered.append(took)
            taken += [(line.told[0] - begun) * 1_000 for line in listening]
    wire.close()
    for line in lines:
        assert line.transport is not None
        line.transport.close()
    return [
        ("lines open at once", f"{count:,}", "10,000"),
        ("memory of the server for each", f"{each:.1f} KiB", f"<= {KIB_MAX} KiB"),
        ("CPU of the server while nothing happens", f"{calm:.1%} of a core", ""),
        (
            f"a change, until each of {PER_UNIT} lines of its unit was told: p50, p99",
            f"{percentile(taken, 0.5):.1f}, {percentile(taken, 0.99):.1f} ms",
            "",
        ),
        (
            "the same change, until it was answered: p50, p99",
            f"{percentile(answered, 0.5):.1f}, {percentile(answered, 0.99):.1f} ms",
            "",
        ),
    ]


def main(lines: Annotated[int, typer.Option(min=PER_UNIT)] = 10_000) -> None:
    """Many tablets that only wait."""
    take_all_files()
    load = os.getloadavg()[0]
    place = ROOT / "build" / "bench"
    place.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place) as folder:
        ours = Path(folder) / "ours"
        ours.mkdir()
        sizes = Sizes(tablets=lines // PER_UNIT, shops=0, per_unit=1)
        made = asyncio.run(herd.found(ours, sizes))
        with running("ours", ours, settings={"REGULARS_LISTENERS_MAX": str(lines + PER_UNIT)}) as server:
            rows = uvloop.run(measure(server, made, lines))
        shutil.rmtree(ours)
    for row in [("what", "measured", "goal"), ("---",) * 3, *rows]:
        print(f"| {' | '.join(row)} |")
    print("\n| measured on | |\n|---|---|")
    for pair in machine((load, os.getloadavg()[0])):
        print(f"| {' | '.join(pair)} |")


if __name__ == "__main__":
    typer.run(main)
