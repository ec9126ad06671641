"""JSON values as Python's own, and back.

Each reader takes any JSON value and never raises: a value of another shape, as a newer schema may
write, is read as None or as empty. Checking is for writers (`regulars_schema.declare`); a reader
shows what it can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from typing import TypeVar

from regulars_schema.declare import JSON, Date, Instant, Unfit

T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands where a required instant can't be read."""

_INSTANT = Instant()
_DATE = Date()


def text(value: JSON) -> str | None:
    return value if isinstance(value, str) else None


def integer(value: JSON) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def boolean(value: JSON) -> bool | None:
    return value if isinstance(value, bool) else None


def instant(value: JSON) -> datetime | None:
    try:
        return datetime.fromisoformat(_INSTANT.check(value))
    except Unfit:
        return None


def day(value: JSON) -> date | None:
    try:
        return date.fromisoformat(_DATE.check(value))
    except Unfit:
        return None


def choice(value: JSON, known: tuple[T, ...]) -> T | None:
    """The value when this version knows it."""
    return next((item for item in known if item == value), None)


def chosen(value: JSON, known: tuple[T, ...]) -> tuple[T, ...]:
    """The items of a list that this version knows."""
    return each(value, lambda item: choice(item, known))


def scalar(value: JSON) -> str | int | bool | None:
    return value if isinstance(value, str | int) else None


def mapping(value: JSON) -> Mapping[str, JSON]:
    return value if isinstance(value, dict) else {}


def each(value: JSON, read: Callable[[JSON], T | None]) -> tuple[T, ...]:
    """The items of a list that can be read."""
    found = map(read, value if isinstance(value, list) else ())
    return tuple(item for item in found if item is not None)


def _by_key(value: JSON) -> Mapping[str, JSON]:
    return value if isinstance(value, dict) else {}


def elements(value: JSON) -> frozenset[str]:
    """The present elements of a set."""
    return frozenset(key for key, present in _by_key(value).items() if present)


def choices(value: JSON, known: tuple[T, ...]) -> frozenset[T]:
    """The present elements of a set that this version knows."""
    present = elements(value)
    return frozenset(item for item in known if item in present)


def spellings(value: JSON) -> dict[str, str]:
    """Normal form -> typed spelling of a set's present elements; stored `true` means that both are equal."""
    return {key: typed if isinstance(typed, str) else key for key, typed in _by_key(value).items() if typed}


def to_json(value: object) -> JSON:
    """The value as it is written in a change: the inverse of what a record's field holds.

    Instants are written in UTC with milliseconds; one without a time zone is a `ValueError`, since
    nobody could say when it was. A struct leaves out its parts that are None. Sets are not its business:
    they are written element by element.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no time zone")
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        named = ((f.name, to_json(getattr(value, f.name))) for f in fields(value))
        return {name: part for name, part in named if part is not None}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    return value
