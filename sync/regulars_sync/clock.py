"""Stamps: microseconds that never run back, used only between values that have not seen each other.

A hybrid logical clock (Kulkarni et al. 2014) folded into one integer: wall time in microseconds,
and plus one wherever wall time does not move forward by itself.
"""

from __future__ import annotations

from datetime import UTC, datetime

STAMPS_PER_MS = 1_000
DRIFT_MS_MAX = 5 * 60 * 1_000
"""How far beyond the server's clock a stamp may lie before it counts as impossible."""
STEPS_MAX = 100_000
"""How far beyond the highest accepted stamp one may lie when the server's clock went back: so many changes
of one replica may stand between, and a broken client gains no more than that at a time."""


def fix(stated_ms: int, offset_ms: int, server_now_ms: int, known: int, last: int) -> int:
    """The stamp of a change, fixed once, before it is sent first.

    `stated_ms` is what the device's clock said, `offset_ms` what this contact measured to add to it,
    `known` the highest accepted stamp that the replica held when the change was written, `last` the
    highest stamp it ever fixed. Never above the server's clock by the device's word alone, always
    above everything the writer could have seen and everything it fixed before.
    """
    wall_ms = min(stated_ms + offset_ms, server_now_ms)
    return max(wall_ms * STAMPS_PER_MS, known + 1, last + 1)


def next_stamp(now_ms: int, last: int) -> int:
    """A server's own stamp: its clock, but always above the highest one accepted."""
    return max(now_ms * STAMPS_PER_MS, last + 1)


def is_impossible(stamp: int, server_now_ms: int, highest: int) -> bool:
    """Whether no honest clock can have made this stamp: negative, or far beyond everything known."""
    return stamp < 0 or stamp > max((server_now_ms + DRIFT_MS_MAX) * STAMPS_PER_MS, highest + STEPS_MAX)


def ms_of(instant: str) -> int:
    """Unix time in ms of an instant as rows spell it."""
    return round(datetime.fromisoformat(instant).timestamp() * 1_000)


def instant_of(ms: int) -> str:
    """Unix time in ms as rows spell an instant."""
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
