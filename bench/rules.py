"""`make bench-rules`: CPU of all shipped schemes, and of as many segments as there are ready rules, for one
customer with so many facts, beside a floor: one pass over the facts that sums their minutes and amounts.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from time import process_time
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from regulars_schema.rules.evaluate import evaluate, standing
from regulars_schema.rules.knowing import Chain, Deed, Known, Line
from regulars_schema.rules.windows import ordinal
from regulars_schema.schemes import load

TODAY = ordinal("2026-11-22")
KINDS = ["visit"] * 5 + ["purchase"] * 3 + ["call"] * 2 + ["complaint", "quote", "return"]
CUTS = {
    "days_since_purchase": (10, 30, 90, 180),
    "purchase_count": (4, 8, 16, 32),
    "spend": (10_000, 50_000, 100_000, 200_000),
    "margin": (5_000, 20_000, 50_000, 100_000),
    "margin_pareto": (80_000,),
}


def customer(chance: random.Random, facts: int) -> Known:
    """Somebody with so many facts in two and a half years."""

    def line() -> Line:
        product, days = f"p{chance.randrange(20)}", chance.choice([None, 30, 60])
        amount = chance.randrange(100, 9_000)
        return Line(product, chance.choice(["oak", "pine"]), 1, amount, amount // 2, "CNY", days)

    deeds = []
    for i in range(facts):
        kind = chance.choice(KINDS)
        lines = tuple(line() for _ in range(chance.randrange(1, 4))) if kind in ("purchase", "return") else ()
        deeds.append(
            Deed(f"f{i}", TODAY - chance.randrange(900), kind, effort_min=chance.randrange(30), lines=lines)
        )
    values = {"name": "林芳", "kind": "person", "birth": {"year": 1985, "month": 3, "day": 3}}
    return Known("c", TODAY, ZoneInfo("Asia/Shanghai"), values, deeds=tuple(deeds), currency="CNY")


def measured(facts: int, customers: int, repetitions: int) -> dict[str, float]:
    """CPU in milliseconds for a customer of whom nothing was computed before; median of interleaved runs."""
    shipped = load()
    world = Chain({key: scheme.rules() for key, scheme in shipped.schemes.items()}, cuts=CUTS)
    ready = [template.rule for key, template in shipped.templates.items() if "." not in key]
    chance = random.Random(1)
    crowd = [customer(chance, facts) for _ in range(customers)]

    def schemes(known: Known) -> None:
        for key in world.schemes:
            standing(key, known, world)

    def segments(known: Known) -> None:
        for rule in ready:
            evaluate(rule, known, world)

    def both(known: Known) -> None:
        schemes(known)
        segments(known)

    works: dict[str, Callable[[Known], None]] = {
        "floor: one pass over the facts": _pass,
        f"{len(world.schemes)} schemes": schemes,
        f"{len(ready)} segments": segments,
        "both": both,
    }
    spent: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repetitions):
        for name, work in works.items():
            fresh = [replace(known) for known in crowd]
            start = process_time()
            for known in fresh:
                work(known)
            spent[name].append((process_time() - start) / customers * 1_000)
    return {name: median(times) for name, times in spent.items()}


def _pass(known: Known) -> None:
    amount = effort = 0
    for deed in known.deeds:
        effort += deed.effort_min
        for line in deed.lines:
            amount += line.amount


def main(
    facts: Annotated[int, typer.Option(help="Of each customer.")] = 200,
    customers: Annotated[int, typer.Option(help="How many, each once.")] = 50,
    repetitions: Annotated[int, typer.Option(min=1)] = 7,
) -> None:
    """Measure the evaluation of rules."""
    for name, ms in measured(facts, customers, repetitions).items():
        typer.echo(f"{name:36}{ms:8.3f} ms")


if __name__ == "__main__":
    typer.run(main)
