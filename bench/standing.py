"""`make bench-standing`: from a new interaction to its membership events, beside a floor: the commit alone.

A chain on a SQLite file, customers with facts, 50 dynamic segments and the 30 shipped schemes. The latency is
that of the wall, of one interaction after another, with the looking running beside as in a server.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from regulars_schema.rules.text import parse
from regulars_schema.rules.tree import write
from regulars_server.app import create_service, opened
from regulars_server.authors import SERVER
from regulars_server.knowledge.world import shipped
from regulars_server.service import Service
from regulars_server.settings import Settings
from regulars_server.storage.standing import MOVED
from regulars_sync.changes import Change
from regulars_sync.clock import instant_of
from regulars_sync.ids import uuid7

SEGMENTS = 50
DAY_MS = 86_400_000
GROUPS = 500


def rules(count: int) -> list[str]:
    """Segments that customers move through; a visit of today brings everybody into one at least."""
    ready = [
        "days_since_visit < {n}",
        "count(visit | call, last 90 days) >= {n} and kind = person",
        "days_since_contact > {n} and purchase_count >= 1",
        "sum(amount of purchase, last 1 year) >= {n}00.00 CNY or is(lifecycle) in [loyal]",
        "is(tier) in [gold, diamond] and not tags has t{n}",
    ]
    return [ready[i % len(ready)].format(n=i // len(ready) + 1) for i in range(count)]


async def filled(service: Service, customers: int, facts: int) -> list[str]:
    """The ids of so many customers with so many facts each, all of them looked at."""
    chance, now = random.Random(1), service.now_ms()

    def new() -> str:
        return uuid7(now, os.urandom(10))

    words = shipped().words
    changes: list[Change] = [
        service.change("create", "segment", new(), {"name": "S", "rule": write(parse(rule, words))})
        for rule in rules(SEGMENTS)
    ]
    ids = [new() for _ in range(customers)]
    for id in ids:
        changes.append(service.change("create", "customer", id, {"name": "林芳", "kind": "person"}))
        for _ in range(facts):
            kind = chance.choice(["visit", "visit", "call", "purchase"])
            said: dict[str, Any] = {"kind": kind, "at": instant_of(now - chance.randrange(1, 700) * DAY_MS)}
            if kind == "purchase":
                said["lines"] = [
                    {"amount": chance.randrange(1_000, 90_000), "quantity": 1, "currency": "CNY"}
                ]
            changes.append(
                service.change("create", "interaction", new(), {**said, "party": [{"customer": id}]})
            )
    for start in range(0, len(changes), GROUPS):
        await service.admission.write(SERVER, [[change] for change in changes[start : start + GROUPS]])
    await service.checking.drain()
    return ids


async def measured(
    customers: int, facts: int, interactions: int, sweeping: bool = False
) -> dict[str, list[float]]:
    """Seconds of each interaction: of its commit, and until what moved by it is kept and told.

    `sweeping`: while everybody is looked at, since a segment is new.
    """
    with tempfile.TemporaryDirectory() as folder:
        service = create_service(Settings(data=Path(folder)))
        async with opened(service):
            ids = await filled(service, customers, facts)
            if sweeping:
                rule = {"name": "S", "rule": write(parse("count(call) >= 1", shipped().words))}
                segment = service.change("create", "segment", uuid7(service.now_ms(), os.urandom(10)), rule)
                await service.admission.write(SERVER, [[segment]])
            looking = asyncio.create_task(service.checking.run())
            await asyncio.sleep(0.2)
            spent: dict[str, list[float]] = {"floor: its commit": [], "its membership events": []}
            for i in range(min(interactions, customers)):
                if sweeping:
                    await asyncio.sleep(0.4)  # let it get on
                said = {
                    "kind": "visit",
                    "at": instant_of(service.now_ms() - 1_000),
                    "party": [{"customer": ids[i]}],
                }
                change = service.change(
                    "create", "interaction", uuid7(service.now_ms(), os.urandom(10)), said
                )
                begun = time.perf_counter()
                await service.admission.write(SERVER, [[change]])
                spent["floor: its commit"].append(time.perf_counter() - begun)
                is_there = False
                while not is_there:
                    with service.hub.waiting([MOVED]) as told:
                        is_there = await moved(service, ids[i])
                        if not is_there:
                            await told.wait()
                spent["its membership events"].append(time.perf_counter() - begun)
            if sweeping:
                async with service.storage.unscoped_reader() as reader:
                    assert await reader.sweep(service.now_ms()), "the sweep was over too soon"
            looking.cancel()
    return spent


async def moved(service: Service, customer: str) -> bool:
    """Whether it came into the first segment, of those who visited lately."""
    async with service.storage.unscoped_reader() as reader:
        first = await reader.movements(1, customers=[customer], what="membership")
    return bool(first) and first[0].at_ms > service.now_ms() - 60_000


def at(seconds: Sequence[float], percent: int) -> float:
    return sorted(seconds)[min(len(seconds) - 1, len(seconds) * percent // 100)] * 1_000


def main(
    customers: Annotated[int, typer.Option(help="How many.")] = 500,
    facts: Annotated[int, typer.Option(help="Of each.")] = 20,
    interactions: Annotated[
        int, typer.Option(help="New ones, one after another, of one customer each.")
    ] = 200,
    sweeping: Annotated[bool, typer.Option(help="While everybody is looked at.")] = False,
) -> None:
    """Measure how soon somebody is in the segments where a new interaction brings them."""
    for name, seconds in asyncio.run(measured(customers, facts, interactions, sweeping)).items():
        typer.echo(f"{name:30} p50 {at(seconds, 50):8.1f} ms   p95 {at(seconds, 95):8.1f} ms")


if __name__ == "__main__":
    typer.run(main)
