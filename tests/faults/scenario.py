"""What happens in a run of lane L3: a simulator's plan whose days are seconds, and faults at random instants.

Everything is drawn from the seed. At which instruction a process is when something befalls it is not: there a
seed says what is tried, not what comes of it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.faults.proxy import PARTITIONS
from tests.simulation.deeds import TABLET_DEEDS
from tests.simulation.plan import DAY_MS, Event, Size, plan

KILLS = {"server killed": (0.5, 3.0), "tablet killed": (3.0, 10.0)}
"""Fault -> between how many seconds it comes again."""
FAULTS = {
    **KILLS,
    "server stopped for a while": (9.0, 25.0),
    "tablet stopped for a while": (4.0, 12.0),
    "server's disk full": (9.0, 25.0),
    "tablet's disk full": (5.0, 15.0),
    "server's disk fails to write": (9.0, 25.0),
    "tablet's disk fails to write": (5.0, 15.0),
    "server's disk fails to sync": (9.0, 25.0),
    "tablet's disk fails to sync": (5.0, 15.0),
    "server's file locked": (12.0, 30.0),
    "tablet's file locked": (8.0, 20.0),
    "server's clock off": (10.0, 30.0),
    "PostgreSQL stopped at once": (8.0, 24.0),
    "PostgreSQL stopped for a while": (12.0, 30.0),
}
"""The first second of the first one is drawn from the same."""
LASTS_S = (0.1, 1.5)
SERVER_CLOCK_MS = 2 * 3_600_000
"""Further off, and it would let tokens and codes expire: those are other tests'."""
SERVERS = {"postgres": ("PostgreSQL",), "sqlite": ("server's disk", "server's file")}
RATE = 0.12
"""Of requests, to which something happens on the line."""
MATRIX = [(how, rate) for rate in (10, 20, 30, 40) for how in PARTITIONS]
MATRIX_S = (100, 200, 300)
MATRIX_TABLETS = 10


@dataclass(frozen=True)
class Scenario:
    name: str
    seed: int
    engine: str
    seconds: float
    chain: dict[str, Any]
    events: list[tuple[float, str, int, int, list[Any]]]
    """(second, what, tablet, draw, more) in order."""
    rate: float = 0.0
    is_always_on: bool = False

    @property
    def replay(self) -> str:
        return f"make faults ARGS='{self.name}'"


def storm(seed: int, engine: str, seconds: float, tablets: int, only: Sequence[str] = ()) -> Scenario:
    """A plan's deeds with everything that may go wrong; of what comes at random instants `only` these."""
    days = max(1, round(seconds / 10))
    chain, events = plan(seed, Size(days, writes=30, rounds=4, tablets=tablets), "L3")
    told = _in_seconds(events, seconds / days)
    chance = random.Random(f"faults {seed} {engine}")
    other = SERVERS["sqlite" if engine == "postgres" else "postgres"]
    for fault, (low, high) in FAULTS.items():
        if fault.startswith(other) or (only and fault not in only):
            continue
        at = chance.uniform(0, high)
        while at < seconds:
            lasts = chance.uniform(*LASTS_S)
            told.append((at, fault, chance.randrange(tablets), chance.getrandbits(32), [lasts]))
            at += chance.uniform(low, high) / (tablets if fault == "tablet killed" else 1)
    name = f"--seed {seed} --engine {engine} --seconds {seconds:g} --tablets {tablets}"
    name += f" --only {' '.join(fault.replace(' ', '-') for fault in only)}" if only else ""
    return Scenario(name, seed, engine, seconds, chain, sorted(told, key=_when), RATE)


def partition(seed: int, engine: str, seconds: float, how: str, rate: int) -> Scenario:
    """Ten tablets that write so many transactions a second in all, always on, cut off again and again."""
    writes = round(seconds * rate / MATRIX_TABLETS)
    chain, events = plan(seed, Size(1, writes, 1, MATRIX_TABLETS), "L3")
    wanted = [event for event in events if event[1] in TABLET_DEEDS and event[2] < MATRIX_TABLETS]
    for tablet in chain["tablets"]:
        tablet.pop("is_old", None)
    told = _in_seconds(wanted, seconds)
    chance = random.Random(f"partition {seed} {how}")
    for tablet in range(MATRIX_TABLETS if how != "none" else 0):
        at = chance.uniform(0, seconds / 5)
        while at < seconds * 0.9:
            lasts = chance.uniform(seconds / 20, seconds / 4)
            told.append((at, "partition", tablet, 0, [how]))
            told.append((at + lasts, "partition", tablet, 0, ["none"]))
            at += lasts + chance.uniform(seconds / 30, seconds / 8)
    name = f"--seed {seed} --engine {engine} --seconds {seconds:g} --partition {how} --rate {rate}"
    return Scenario(name, seed, engine, seconds, chain, sorted(told, key=_when), is_always_on=True)


def _in_seconds(events: list[Event], day_s: float) -> list[tuple[float, str, int, int, list[Any]]]:
    return [(at / DAY_MS * day_s, do, device, draw, more) for at, do, device, draw, *more in events]


def _when(event: tuple[float, str, int, int, list[Any]]) -> float:
    return event[0]
