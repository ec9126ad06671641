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

WRITES = {
    "create": 18,
    "edit": 24,
    "same": 10,
    "twice": 4,
    "set": 10,
    "archive": 4,
    "link": 5,
    "record": 16,
    "amend": 4,
    "early": 3,
    "group": 9,
    "move": 4,
    "invalid": 4,
    "mend": 6,
}
"""What a tablet writes, by weight."""

ON_SYNC = (
    "lost_request",
    "lost_answer",
    "doubled",
    "delayed",
    "cut",
    "server_crash_before_commit",
    "server_crash_after_commit",
    "device_crash",
)
"""What may go wrong in a sync round, at its `at`-th step."""

HEAD_OFFICE_WRITES = ("edit", "edit", "move", "retry", "mend", "drop", "product")
YEAR_MS = 365 * DAY_MS


@dataclass(frozen=True)
class Size:
    days: int = 3
    writes: int = 20
    rounds: int = 3


def plan(seed: int, size: Size) -> tuple[dict[str, Any], list[Event]]:
    """The chain of a seed, and what happens in it, in order of time."""
    rnd = random.Random(seed)
    branches = rnd.randint(2, 3)
    tablets = rnd.randint(3, 5)
    chain: dict[str, Any] = {
        "seed": seed,
        "branches": branches,
        "tablets": [_tablet(rnd, i, branches) for i in range(tablets)],
        "page_rows": rnd.choice((3, 7, 20, 100)),
    }
    events: list[Event] = []
    for day in range(size.days):
        for device in range(tablets):
            events += _device_day(rnd, day, device, size)
        for _ in range(rnd.randint(3, 8)):
            events.append(_event(rnd, day, rnd.choice(HEAD_OFFICE_WRITES), HEAD_OFFICE))
        for _ in range(rnd.randint(0, 3)):
            events.append(_event(rnd, day, "late", HEAD_OFFICE))
    _disasters(rnd, events, tablets, size)
    events.sort(key=lambda event: event[0])
    return chain, events


def _tablet(rnd: random.Random, i: int, branches: int) -> dict[str, Any]:
    """Two tablets at least share the first branch; now and then one is the region's and sees all."""
    unit = 0 if i < 2 else HEAD_OFFICE if rnd.random() < 0.15 else rnd.randrange(branches)
    return {"unit": unit, "sensitive": rnd.random() < 0.3}


def _event(rnd: random.Random, day: int, do: str, device: int, *more: Any) -> Event:
    return [day * DAY_MS + rnd.randrange(DAY_MS), do, device, rnd.getrandbits(32), *more]


def _device_day(rnd: random.Random, day: int, device: int, size: Size) -> list[Event]:
    kinds = rnd.choices(list(WRITES), list(WRITES.values()), k=size.writes)
    events = [_event(rnd, day, kind, device) for kind in kinds]
    if rnd.random() < 0.08:
        return [*events, _event(rnd, day, "offline_day", device)]
    rounds = [_event(rnd, day, "sync", device) for _ in range(size.rounds)]
    fault = rnd.choices(("on_sync", "clock", "crash_write", "cross", "mid_write"), (16, 3, 2, 2, 2))[0]
    if fault == "on_sync":
        rnd.choice(rounds).extend([rnd.choice(ON_SYNC), rnd.choice((0, 0, 1, 1, 2, 3, 5, 8))])
    elif fault == "clock":
        jump = rnd.choice((-2 * YEAR_MS, 2 * YEAR_MS, -DAY_MS, DAY_MS, rnd.randint(-10_000, 10_000), 0))
        events.append(_event(rnd, day, "clock", device, jump))
    elif fault == "cross":
        rounds[0][1] = "cross"
    elif fault == "mid_write":
        rounds[0][1] = "mid_write"
    else:
        events.append(_event(rnd, day, "crash_write", device, rnd.randrange(6)))
    return events + rounds


def _disasters(rnd: random.Random, events: list[Event], tablets: int, size: Size) -> None:
    """What happens at most once or twice in a chain's life."""

    def at(low: float, high: float) -> int:
        return int(size.days * DAY_MS * rnd.uniform(low, high))

    def add(when: int, do: str, device: int, *more: Any) -> None:
        events.append([when, do, device, rnd.getrandbits(32), *more])

    if rnd.random() < 0.4:
        add(at(0.1, 0.6), "back_up_server", HEAD_OFFICE)
        add(at(0.6, 0.95), "restore_server", HEAD_OFFICE)
    for _ in range(rnd.choice((0, 0, 1, 2))):
        device = rnd.randrange(tablets)
        add(at(0.1, 0.5), "back_up", device)
        add(at(0.5, 0.95), "restore", device)
    if rnd.random() < 0.25:
        device, slot = rnd.randrange(tablets), tablets
        when = at(0.2, 0.7)
        add(when, "clone", device, slot)
        for _ in range(size.writes):
            kind = rnd.choices(list(WRITES), list(WRITES.values()))[0]
            add(rnd.randint(when, size.days * DAY_MS), kind, slot)
        for _ in range(size.rounds):
            add(rnd.randint(when, size.days * DAY_MS), "sync", slot)
    if rnd.random() < 0.2:
        device = rnd.randrange(tablets)
        add(at(0.4, 0.95), "revoke", device)


def describe(event: Sequence[Any]) -> str:
    """One line of the story."""
    at, do, device, draw, *more = event
    day, rest = divmod(at, DAY_MS)
    hours, rest = divmod(rest, 3_600_000)
    who = "head office" if device == HEAD_OFFICE else f"tablet {device}"
    said = " ".join(map(str, more))
    return f"day {day + 1} {hours:02}:{rest // 60_000:02}  {who:<11}  {do} {said} (draw {draw})"
