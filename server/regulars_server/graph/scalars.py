"""Scalars: values that travel as JSON strings and numbers in the very form in which they are stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC as UTC_ZONE
from datetime import datetime
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

from regulars_schema.declare import SAFE_INT_MAX, Unfit
from regulars_schema.declare import Date as DateType
from regulars_schema.messages import text

UUID = NewType("UUID", str)
Date = NewType("Date", str)
DateTime = NewType("DateTime", str)
Money = NewType("Money", int)
Phone = NewType("Phone", str)


def _uuid(value: object) -> str:
    if isinstance(value, str) and _UUID.fullmatch(value):
        return value.lower()
    if not isinstance(value, str):
        wrong = "it is no string"
    elif len(value) != 36:
        wrong = f"it has {len(value)} characters, a UUID has 36"
    elif odd := _NOT_IN_UUIDS.search(value):
        wrong = f"“{odd.group()}” is no hexadecimal digit"
    else:
        wrong = "its dashes are not behind the digits 8, 12, 16 and 20"
    return _refuse("id_invalid", value, f" Here {wrong}.")


def _date(value: object) -> str:
    try:
        return DateType().check(value)
    except Unfit:
        return _refuse("date_invalid", value)


def _instant(value: object) -> str:
    """Any offset is taken; what is stored is UTC with milliseconds."""
    if not isinstance(value, str) or len(value) > 40:
        return _refuse("instant_invalid", value)
    try:
        given = datetime.fromisoformat(value)
        if given.tzinfo is None:
            return _refuse("instant_invalid", value)
        return instant(given)
    except (ValueError, OverflowError):
        return _refuse("instant_invalid", value)


def instant(given: datetime) -> str:
    return given.astimezone(UTC_ZONE).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant_of(ms: int) -> DateTime:
    """Milliseconds since 1970 as text; a clock gone mad is shown as the nearest year that has four digits."""
    low, high = -62_135_596_800_000, 253_402_300_799_999
    seconds, rest = divmod(min(max(ms, low), high), 1_000)
    return DateTime(instant(datetime.fromtimestamp(seconds, UTC_ZONE).replace(microsecond=rest * 1_000)))


def ms_of(given: DateTime) -> int:
    """An instant that passed `DateTime` as milliseconds since 1970."""
    return round(datetime.fromisoformat(given).timestamp() * 1_000)


def _money(value: object) -> int:
    if type(value) is not int or abs(value) > SAFE_INT_MAX:
        raise GraphQLError("A whole number of minor units (fen, cents) is expected.")
    return value


def _phone(value: object) -> str:
    if phone_of(value) is None:
        return _refuse("phone_invalid", value)
    return str(value)


def phone_of(value: object) -> Phone | None:
    """The number, where this is one in E.164."""
    return Phone(value) if isinstance(value, str) and _E164.fullmatch(value) else None


_E164 = re.compile(r"\+[1-9][0-9]{1,14}", re.ASCII)


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_NOT_IN_UUIDS = re.compile(r"[^0-9a-f-]", re.ASCII | re.IGNORECASE)


def _refuse(code: str, value: object, wrong: str = "") -> str:
    shown = value[:40] if isinstance(value, str) else repr(value)[:40]
    raise GraphQLError(text(code, {"field": shown, "value": shown}) + wrong, extensions={"code": code})


def as_stored(value: Any) -> Any:
    return value


SCALARS: Mapping[object, ScalarDefinition] = {
    UUID: strawberry.scalar(
        name="UUID",
        description="The id of a row: a UUID (versions 7 and 8 are used here) in lower case.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc9562",
        serialize=as_stored,
        parse_value=_uuid,
    ),
    Date: strawberry.scalar(
        name="Date",
        description="A calendar day, `2026-11-22`.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=as_stored,
        parse_value=_date,
    ),
    DateTime: strawberry.scalar(
        name="DateTime",
        description="An instant, answered in UTC: `2026-11-22T13:05:09.120Z`. Any offset is taken.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time.html",
        serialize=as_stored,
        parse_value=_instant,
    ),
    Phone: strawberry.scalar(
        name="Phone",
        description="A telephone number in E.164, `+8613800138000`.",
        specified_by_url="https://www.itu.int/rec/T-REC-E.164",
        serialize=as_stored,
        parse_value=_phone,
    ),
    Money: strawberry.scalar(
        name="Money",
        description="A whole number of minor units (fen, cents); the currency stands beside it.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259#section-6",
        serialize=as_stored,
        parse_value=_money,
    ),
}
