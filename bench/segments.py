"""`make bench-segments`: who fits a rule among a million customers on PostgreSQL, beside SQL written by hand.

The rows stand as storage writes them, made by a few statements here (the road of every write would take an
hour): customers, the index of the facts that count, one segment's members. Times are those of the whole
question as the API asks it of storage, warm, median of interleaved runs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated

import asyncpg
import typer
from rich.console import Console

from bench.postgres import Postgres, postgres
from regulars_schema.entities import REGISTRY
from regulars_schema.rules.knowing import Chain
from regulars_schema.rules.text import parse, show
from regulars_schema.rules.tree import Vocabulary
from regulars_server.authors import UnitTree
from regulars_server.knowledge.matching import Viewpoint, matching
from regulars_server.knowledge.previewing import preview
from regulars_server.knowledge.statistics import Crowd, summaries
from regulars_server.storage.interface import All, Member, Order, Person
from regulars_server.storage.postgres import PostgresStorage

RULE = "gender = female and count(purchase, last 90 days) >= 2 and sum(amount of purchase) >= 300.00 CNY"
UNIT = "01990000-0000-7000-8000-000000000001"
SEGMENT = "01990000-0000-7000-8000-000000000002"
NOW_MS = round(datetime(2026, 11, 22, 4, tzinfo=UTC).timestamp() * 1_000)
METRICS_ASKED = ("spend", "days_since_purchase")
GOALS = {"count": 2_000, "first page of members": 300}
AT = "to_char(timestamp '2026-11-21' - (({}) % 700) * interval '1 day', 'YYYY-MM-DD\"T\"HH24:MI:SS.000\"Z\"')"
ID = "'0199' || lpad(to_hex(i), 4, '0') || '-0000-7000-8000-' || lpad(to_hex(i), 12, '0')"


def filling(customers: int) -> list[str]:
    """The statements that make the rows; every customer has five facts, two of them purchases."""
    id = "substr(md5(i::text), 1, 8) || '-0000-7000-8000-' || lpad(to_hex(i), 12, '0')"
    said = f"json_build_object('id', {id}, 'name', 'C' || i, 'v', '[]'::json)::text"
    gender = "CASE i % 2 WHEN 0 THEN 'female' ELSE 'male' END"
    kind = "(ARRAY['visit', 'visit', 'purchase', 'purchase', 'call'])[n]"
    deed = f"i, md5(i || '-' || n)::uuid::text, {AT.format('i * 7 + n * 31')}, {kind}"
    series = f"generate_series(1, {customers}) AS i CROSS JOIN generate_series(1, 5) AS n"
    bought = f"generate_series(1, {customers}) AS i CROSS JOIN generate_series(3, 4) AS n"
    return [
        "INSERT INTO customer(row, id, seq, document, hash, name, gender, home_unit)"
        f" SELECT i, {id}, 1, convert_to({said}, 'UTF8'), '', 'C' || i, {gender}, '{UNIT}'"
        f" FROM generate_series(1, {customers}) AS i",
        f"INSERT INTO deed(customer, id, at, kind, effort_min) SELECT {deed}, 5 FROM {series}",
        "INSERT INTO deed_line(customer, id, at, kind, effort_min, n, quantity, amount, currency)"
        f" SELECT {deed}, 5, 0, 1, (i * 37) % 40000, 'CNY' FROM {bought}",
        f"INSERT INTO membership SELECT '{SEGMENT}', i, 0 FROM generate_series(9, {customers}, 9) AS i",
        "VACUUM ANALYZE",  # as the daemon does soon after so many new rows
    ]


BY_HAND = """
SELECT count(*) FROM customer c WHERE c.gender = 'female'
 AND (SELECT count(*) FROM deed d
      WHERE d.customer = c.row AND d.kind = 'purchase' AND d.at >= $1 AND d.at < $2) >= 2
 AND (SELECT coalesce(sum(l.amount), 0) FROM deed_line l
      WHERE l.customer = c.row AND l.kind = 'purchase') >= 30000
"""
SINCE, UNTIL = "2026-08-25T00:00:00.000Z", "2026-11-23T00:00:00.000Z"


async def measure(
    server: Postgres, customers: int, repetitions: int, console: Console
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Of each question the wall times, and the CPU of all of PostgreSQL meanwhile, in ms."""
    url = server.new()
    storage = PostgresStorage(url, REGISTRY)
    await storage.open()
    async with storage.writer():
        pass
    connection = await asyncpg.connect(url)
    names = "SELECT table_schema FROM information_schema.tables WHERE table_name = 'deed'"
    await connection.execute(f"SET search_path = {await connection.fetchval(names)}")
    for statement in filling(customers):
        console.print(statement[:60], "...")
        await connection.execute(statement)
    tree = UnitTree([])
    rule = parse(RULE, Vocabulary())
    view, world = Viewpoint(tree, NOW_MS, True), Chain()
    found = matching(rule, {}, view)
    assert found.exact, show(rule, Vocabulary())
    times: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    async with storage.unscoped_reader() as reader:

        async def by_hand() -> int:
            return int(
                await connection.fetchval(BY_HAND, "2026-08-25T00:00:00.000Z", "2026-11-23T00:00:00.000Z")
            )

        async def first() -> int:
            return len(await reader.select("customer", All((Person(), Member(SEGMENT))), Order(), 50))

        async def page() -> int:
            return len(await reader.select("customer", found.sure, Order(), 50))

        async def whole() -> int:
            told = await preview(reader, rule, world, view, frozenset(), lambda: True)
            crowd = Crowd(told.fits.by_home, people=told.members)
            await summaries(reader, METRICS_ASKED, [crowd], world, view, lambda: True)
            return told.count

        questions: dict[str, Callable[[], Awaitable[int]]] = {
            "by hand": by_hand,
            "count": lambda: reader.count("customer", found.sure),
            "count of members": lambda: reader.count("customer", All((Person(), Member(SEGMENT)))),
            "first page of members": first,
            "first page of a rule": page,
            "preview, two metrics": whole,
        }
        for run in range(repetitions + 1):
            for name, ask in questions.items():
                began, worked = perf_counter(), server.cpu_ms()
                answer = await ask()
                if run:
                    times.setdefault(name, []).append((perf_counter() - began) * 1_000)
                    cpu.setdefault(name, []).append(server.cpu_ms() - worked)
                elif name in ("by hand", "count"):
                    console.print(f"{name}: {answer:,} customers")
    await connection.close()
    await storage.close()
    return times, cpu


def main(
    customers: Annotated[int, typer.Option(help="How many; the goals are of a million.")] = 1_000_000,
    repetitions: Annotated[int, typer.Option(help="Of each question, after one that warms up.")] = 5,
) -> None:
    """Measure segments on PostgreSQL; some minutes for a million customers."""
    console, before = Console(width=120), os.getloadavg()[0]
    with TemporaryDirectory() as folder, postgres(Path(folder)) as server:
        times, cpu = asyncio.run(measure(server, customers, repetitions, console))
    floor = median(times["by hand"])
    console.print(
        f"{customers:,} customers: {RULE}; load {before:.1f} before, {os.getloadavg()[0]:.1f} after"
    )
    for name, some in times.items():
        goal = f"goal {GOALS[name]:,} ms" if name in GOALS else ""
        spread = f"({min(some):.0f}-{max(some):.0f})"
        told = f"{name:>24} {median(some):8.0f} ms {spread:>15} {median(some) / floor:6.2f}"
        console.print(f"{told} CPU {median(cpu[name]):6.0f} ms {goal}")


if __name__ == "__main__":
    typer.run(main)
