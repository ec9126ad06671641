"""`make bench-finding`: what it costs a tablet to answer rules of its customers: ARGS="--customers 5000".

A replica file filled by the product's own road, with the index and, for comparison, without it; then a rule
of three conditions by `shop.segments.preview`, the first page of its members, one customer's standings. The
floor is what SQLite itself takes for the same conditions on plain tables made for them. CPU ms, medians.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from unittest.mock import patch

import msgspec
import typer

from bench.workload import Workload
from regulars import Shop
from regulars_schema.declare import Level
from regulars_schema.entities import REGISTRY
from regulars_sync import deeds, document, merge, replica_layout
from regulars_sync.changes import Change
from regulars_sync.clock import instant_of
from regulars_sync.merge import Registers
from regulars_sync.protocol import Rows

NOW_MS = 1_795_300_000_000
DAY_MS = 86_400_000
PAGE_ROWS = 2_000
TIMES = 7
RULES = {
    "three conditions": 'gender = female and count(purchase, last 90 days) >= 1 and not tags has "vip"',
    "three sums of facts": (
        "purchase_count(last 1 year) >= 1 and sum(amount of purchase, last 1 year) >= 5000.00 CNY"
        " and days_since_contact < 30"
    ),
}
FLOOR = """SELECT id FROM card WHERE gender = 'female'
    AND id IN (SELECT customer FROM deed WHERE kind = 'purchase' AND at >= ? GROUP BY customer)
    AND id NOT IN (SELECT id FROM tag WHERE key = 'vip')"""


def documents(changes: Iterator[Change]) -> Iterator[tuple[str, bytes]]:
    """(entity, document) of each new row, as the server would have stored it."""
    for change in changes:
        entity = REGISTRY.get(change.entity)
        stamp = change.stated.at * 1_000
        if entity.is_fact:
            yield entity.name, document.encode_fact(change.id, change, stamp)
            continue
        registers: Registers = {}
        merge.apply(registers, entity, change, stamp, lambda cid: False)
        raw = document.encode(entity, change.id, registers, Level.INTERNAL)
        assert raw is not None
        yield entity.name, raw


def fill(path: Path, rows: dict[str, list[bytes]], scope: str) -> float:
    """Put all rows into the replica at `path`; CPU ms."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    used = time.process_time()
    for entity, raws in rows.items():
        for at in range(0, len(raws), PAGE_ROWS):
            page = [msgspec.Raw(raw) for raw in raws[at : at + PAGE_ROWS]]
            connection.execute("BEGIN")
            where = "chain" if REGISTRY.get(entity).scope.name == "CHAIN" else scope
            replica_layout.enter(connection, REGISTRY, Rows(where, entity, page))
            connection.execute("COMMIT")
    used = time.process_time() - used
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return used * 1_000


async def timed(work: Callable[[], Awaitable[Any]]) -> tuple[float, Any]:
    """The median CPU ms of asking a few times, after once to warm up."""
    answer = await work()
    took = []
    for _ in range(TIMES):
        begun = time.process_time()
        answer = await work()
        took.append((time.process_time() - begun) * 1_000)
    return median(took), answer


def floor(path: Path) -> tuple[float, int]:
    """The same conditions on tables of nothing else; CPU ms and how many fit."""
    connection = sqlite3.connect(":memory:")
    connection.execute("ATTACH ? AS replica", (str(path),))
    connection.execute("CREATE TABLE card AS SELECT id, gender FROM replica.card")
    connection.execute(
        "CREATE TABLE deed AS SELECT c.id AS customer, d.at, d.kind FROM replica.deed d JOIN replica.card c"
        " ON c.n = d.customer"
    )
    connection.execute(
        "CREATE TABLE tag AS SELECT id, key FROM replica.element WHERE entity = 'customer' AND field = 'tags'"
    )
    since = instant_of(NOW_MS - 90 * DAY_MS)
    took = []
    count = 0
    for _ in range(TIMES):
        begun = time.process_time()
        count = len(connection.execute(FLOOR, (since,)).fetchall())
        took.append((time.process_time() - begun) * 1_000)
    connection.close()
    return median(took), count


async def run(customers: int, interactions: int) -> None:
    workload = Workload(NOW_MS, Random(1))
    made = [change for part in workload.reference() for change in part]
    made += workload.new_customers(customers)
    rows: dict[str, list[bytes]] = {}
    for entity, raw in documents(iter([*made, *workload.new_interactions(interactions, days=365)])):
        rows.setdefault(entity, []).append(raw)
    with TemporaryDirectory() as folder:
        plain, path = Path(folder) / "plain.db", Path(folder) / "tablet.db"
        for place in (plain, path):
            async with Shop.open(place, now_ms=lambda: NOW_MS, durable=False):
                pass
        with patch.object(deeds, "put"), patch.object(deeds, "put_cards"):
            without = fill(plain, rows, f"unit:{workload.unit}")
        used = fill(path, rows, f"unit:{workload.unit}")
        sizes = [place.stat().st_size / 2**20 for place in (plain, path)]
        print(f"{customers:,} customers, {interactions:,} interactions; CPU ms")
        print(f"fill: {used:,.0f}, without the index of rules {without:,.0f} ({used / without - 1:+.1%})")
        print(f"size: {sizes[1]:,.0f} MiB, without it {sizes[0]:,.0f} ({sizes[1] / sizes[0] - 1:+.1%})")
        async with Shop.open(path, now_ms=lambda: NOW_MS, durable=False) as shop:
            for name, rule in RULES.items():
                took, found = await timed(lambda rule=rule: shop.segments.preview(rule))  # type: ignore[misc]
                print(f"preview, {name}: {took:,.0f}; {found.count:,} fit, {found.asked:,} asked one by one")
                took, _ = await timed(lambda rule=rule: shop.segments.members(rule, limit=50))  # type: ignore[misc]
                print(f"first 50 members, {name}: {took:,.0f}")
            one = (await shop.customers.list(limit=1))[0]
            took, _ = await timed(lambda: shop.customers.standings(one))
            print(f"all standings of one customer: {took:,.1f}")
        took, count = floor(path)
        print(f"floor of the three conditions: {took:,.0f}; {count:,} fit")


def main(
    customers: Annotated[int, typer.Option()] = 50_000, interactions: Annotated[int, typer.Option()] = 200_000
) -> None:
    asyncio.run(run(customers, interactions))


if __name__ == "__main__":
    typer.run(main)
