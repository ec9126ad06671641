"""What happens in a simulated chain, as a flat list of events that can be kept, cut short and replayed.

An event is `[at_ms, do, device, draw, *more]`. Everything random inside an event comes from its own
`draw`, so leaving one out never changes what another does.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Event = list[Any]

DAY_MS = 86_400_000
HEAD_OFFICE = -1
REGION = -2
"""The unit below which branches are put and taken away again."""

WRITES = {
    "create": 18,
    "edit": 24,
    "same": 10,
    "twice": 4,
    "set": 10,
    "archive": 4,
    "link": 5,
    "record": 16,
    "tell": 10,
    "amend": 4,
    "early": 3,
    "group": 9,
    "move": 4,
    "invalid": 4,
    "mend": 6,
    "lookup": 2,
    "propose": 2,
    "decide": 1,
}
"""What a tablet writes, by weight."""

NETWORK = {
    "L1": ("lost_request", "lost_answer", "doubled", "delayed", "cut"),
    "L2": (
        "request lost",
        "answer lost",
        "request doubled",
        "request delayed",
        "request cut short",
        "answer cut short",
        "answer ends early",
        "captive portal",
        "compression stripped",
        "half-open line",
        "server overloaded",
        "flaky",
    ),
    "L3": (
        "refused",
        "request lost",
        "cut going up",
        "answer lost",
        "cut coming down",
        "delayed",
        "trickled",
        "half-open",
        "doubled",
        "doubled late",
    ),
}
"""What the network does to a sync round's `at`-th exchange, by lane; `flaky`: some of it to any exchange."""

PROCESS = ("server_crash_before_commit", "server_crash_after_commit", "device_crash")
STORAGE = tuple(f"{who}_{what}" for who in ("tablet", "server") for what in ("full", "io_error", "locked"))
"""What the file system does to a statement in a round."""

ON_WRITE = ("clock", "crash_write", "disk_write", "cross", "mid_write")
PEOPLE = ("back_up", "clone", "revoke", "restore_server", "upgrade", "attack")

HEAD_OFFICE_WRITES = ("edit", "edit", "move", "retry", "mend", "drop", "product", "define")
WHO_IS_WHO = (*("decide",) * 5, "contradict", "contradict", "resolve", "resolve", "unmerge", "scan")
SCOPE_DEEDS = ("regroup", "relocate", "age", "age")
YEAR_MS = 365 * DAY_MS


@dataclass(frozen=True)
class Size:
    days: int = 3
    writes: int = 20
    rounds: int = 3
    tablets: int | None = None
    """None: three to five."""


@dataclass(frozen=True)
class Swarm:
    """What may go wrong in one chain: each seed draws some kinds of fault and how often they come."""

    rate: float
    """Of the days of a tablet."""
    rounds: tuple[str, ...]
    days: tuple[str, ...]
    people: tuple[str, ...]

    @classmethod
    def draw(cls, rnd: random.Random, lane: str) -> Swarm:
        def some(kinds: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(sorted(rnd.sample(kinds, rnd.randint(1, len(kinds)))))

        rounds = NETWORK[lane] + PROCESS + STORAGE
        return cls(rnd.choice((0.3, 0.7, 0.95)), some(rounds), some(ON_WRITE), some(PEOPLE))


def plan(seed: int, size: Size, lane: str = "L1") -> tuple[dict[str, Any], list[Event]]:
    """The chain of a seed, and what happens in it, in order of time."""
    rnd = random.Random(f"{lane} {seed}")
    branches = rnd.randint(2, 3)
    tablets = size.tablets or rnd.randint(3, 5)
    swarm = Swarm.draw(rnd, lane)
    chain: dict[str, Any] = {
        "seed": seed,
        "lane": lane,
        "branches": branches,
        "tablets": [_tablet(rnd, i, branches, lane) for i in range(tablets)],
        "page_rows": rnd.choice((3, 7, 20, 100)),
        "snapshot_rows_min": rnd.choice((None, None, 5, 30)),
    }
    events: list[Event] = []
    for day in range(size.days):
        for device in range(tablets):
            events += _device_day(rnd, day, device, size, swarm)
        for _ in range(rnd.randint(3, 8)):
            events.append(_event(rnd, day, rnd.choice(HEAD_OFFICE_WRITES), HEAD_OFFICE))
        for _ in range(rnd.randint(1, 8)):
            events.append(_event(rnd, day, rnd.choice(WHO_IS_WHO), HEAD_OFFICE))
        for _ in range(rnd.randint(0, 3)):
            events.append(_event(rnd, day, "late", HEAD_OFFICE))
        if lane == "L1":
            for _ in range(rnd.randint(0, 3)):
                events.append(_event(rnd, day, rnd.choice(SCOPE_DEEDS), HEAD_OFFICE))
            if rnd.random() < 0.15:
                events.append(_event(rnd, day, "months", HEAD_OFFICE))
        if "attack" in swarm.people:
            for _ in range(rnd.randint(2, 8)):
                events.append(_event(rnd, day, "attack", HEAD_OFFICE))
    _disasters(rnd, events, chain, size, swarm.people)
    if lane == "L1":
        _wear(rnd, events, tablets, size)
    events.sort(key=lambda event: event[0])
    return chain, events


def _tablet(rnd: random.Random, i: int, branches: int, lane: str) -> dict[str, Any]:
    """Two tablets at least share the first branch; now and then one is the company's, or a region's."""
    unit = 0 if i < 2 else HEAD_OFFICE if rnd.random() < 0.15 else rnd.randrange(branches)
    if lane == "L1" and i >= 2 and rnd.random() < 0.15:
        unit = REGION
    return {"unit": unit, "sensitive": rnd.random() < 0.3}


def _event(rnd: random.Random, day: int, do: str, device: int, *more: Any) -> Event:
    return [day * DAY_MS + rnd.randrange(DAY_MS), do, device, rnd.getrandbits(32), *more]


def _device_day(rnd: random.Random, day: int, device: int, size: Size, swarm: Swarm) -> list[Event]:
    kinds = rnd.choices(list(WRITES), list(WRITES.values()), k=size.writes)
    events = [_event(rnd, day, kind, device) for kind in kinds]
    if rnd.random() < 0.08:
        return [*events, _event(rnd, day, "offline_day", device)]
    rounds = [_event(rnd, day, "sync", device) for _ in range(size.rounds)]
    if rnd.random() >= swarm.rate:
        return events + rounds
    if rnd.random() < 0.7:
        rnd.choice(rounds).extend([rnd.choice(swarm.rounds), rnd.choice((0, 0, 1, 1, 2, 3, 5, 8))])
        return events + rounds
    match rnd.choice(swarm.days):
        case "clock":
            jump = rnd.choice((-2 * YEAR_MS, 2 * YEAR_MS, -DAY_MS, DAY_MS, rnd.randint(-10_000, 10_000), 0))
            events.append(_event(rnd, day, "clock", device, jump))
        case "crash_write":
            events.append(_event(rnd, day, "crash_write", device, rnd.randrange(6)))
        case "disk_write":
            kind = rnd.choice(("full", "io_error", "locked"))
            statement = rnd.randrange(2 if kind == "locked" else 12)
            events.append(_event(rnd, day, "disk_write", device, kind, statement))
        case crossing:
            rounds[0][1] = crossing
    return events + rounds


def _disasters(
    rnd: random.Random, events: list[Event], chain: dict[str, Any], size: Size, kinds: tuple[str, ...]
) -> None:
    """What happens at most once or twice in a chain's life."""
    tablets = len(chain["tablets"])

    def at(low: float, high: float) -> int:
        return int(size.days * DAY_MS * rnd.uniform(low, high))

    def add(when: int, do: str, device: int, *more: Any) -> None:
        events.append([when, do, device, rnd.getrandbits(32), *more])

    if "restore_server" in kinds and rnd.random() < 0.8:
        add(at(0.1, 0.6), "back_up_server", HEAD_OFFICE)
        add(at(0.6, 0.95), "restore_server", HEAD_OFFICE)
    for _ in range(rnd.choice((0, 1, 2)) if "back_up" in kinds else 0):
        device = rnd.randrange(tablets)
        add(at(0.1, 0.5), "back_up", device)
        add(at(0.5, 0.95), "restore", device)
    if "clone" in kinds and rnd.random() < 0.5:
        device, slot = rnd.randrange(tablets), tablets
        when = at(0.2, 0.7)
        add(when, "clone", device, slot)
        for _ in range(size.writes):
            kind = rnd.choices(list(WRITES), list(WRITES.values()))[0]
            add(rnd.randint(when, size.days * DAY_MS), kind, slot)
        for _ in range(size.rounds):
            add(rnd.randint(when, size.days * DAY_MS), "sync", slot)
    if "revoke" in kinds and rnd.random() < 0.4:
        device = rnd.randrange(tablets)
        add(at(0.4, 0.95), "revoke", device)
    if "upgrade" in kinds:
        for device, tablet in enumerate(chain["tablets"]):
            if tablet.setdefault("is_old", rnd.random() < 0.5):
                add(at(0.2, 0.9), "upgrade", device)


DAMAGES = ("row flipped", "row lost", "index entry lost")


def _wear(rnd: random.Random, events: list[Event], tablets: int, size: Size) -> None:
    """What time does: disks lose bits, and now and then more than a year passes."""
    for device in range(tablets):
        if rnd.random() < 0.3:
            when = int(size.days * DAY_MS * rnd.uniform(0.2, 1))
            events.append([when, "damage", device, rnd.getrandbits(32), rnd.choice(DAMAGES)])
    if rnd.random() < 0.15:
        when = int(size.days * DAY_MS * rnd.uniform(0.3, 0.95))
        events.append([when, "years", HEAD_OFFICE, rnd.getrandbits(32)])


def describe(event: Sequence[Any]) -> str:
    """One line of the story."""
    at, do, device, draw, *more = event
    day, rest = divmod(at, DAY_MS)
    hours, rest = divmod(rest, 3_600_000)
    who = "head office" if device == HEAD_OFFICE else f"tablet {device}"
    said = " ".join(map(str, more))
    return f"day {day + 1} {hours:02}:{rest // 60_000:02}  {who:<11}  {do} {said} (draw {draw})"
