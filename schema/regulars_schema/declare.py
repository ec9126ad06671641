"""The words in which an entity is declared: types, fields, merge rules, sensitivity and scope.

A declaration is data. Whoever needs to know how a field merges, who may see it, how it is stored
or what it is called reads it here; `schema/generate.py` writes the typed code from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from functools import cached_property
from hashlib import blake2b
from typing import Any, Protocol

JSON = Any

TEXT_CHARS_MAX = 4_000
LIST_ITEMS_MAX = 500
JSON_PARTS_MAX, JSON_DEPTH_MAX = 4_000, 32
SAFE_INT_MAX = 2**53 - 1
"""The largest integer that every JSON reader keeps exact."""


class Unfit(ValueError):
    """A value does not fit its declaration. `code` names the reason, `detail` fills its message."""

    def __init__(self, code: str, **detail: JSON) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Label:
    zh: str
    en: str


class Rule(StrEnum):
    """How the shown value is chosen among those that have not seen each other."""

    LAST_WRITER = "last_writer"
    VERIFIED = "verified"
    MIN = "min"
    MAX = "max"
    SET_ADD = "set_add"
    SET_REMOVE = "set_remove"
    ANY_TRUE = "any_true"
    LATTICE = "lattice"
    REVIEW = "review"


SETS = frozenset({Rule.SET_ADD, Rule.SET_REMOVE})


class Level(StrEnum):
    """Sensitivity. Each level of a row is a document of its own, in the scope of its level."""

    INTERNAL = "internal"
    SENSITIVE = "sensitive"


class Nature(StrEnum):
    FACT = "fact"
    """Append-only: never edited, corrected by a further fact."""
    OPINION = "opinion"
    """Registers with a merge rule each."""
    REFERENCE = "reference"
    """Registers that only head office writes."""
    DERIVED = "derived"
    """Written by the server itself, never by a change."""


class Scope(StrEnum):
    """Which scopes hold a row."""

    CHAIN = "chain"
    HOME = "home"
    """The unit in the row's field `home_unit`."""
    NAMED = "named"
    """The scopes of every customer that the row names; of its own `unit` when it names none."""
    SAME = "same"
    """The scopes of the customers that it names while it says that they are one; else nobody's."""
    UNITS = "units"
    """Every unit in the row's set `units`."""
    DEVICE = "device"
    """The device in the row's field `device`."""


class Type(Protocol):
    """A check of JSON values. `check` returns the canonical value or raises `Unfit`."""

    @property
    def graphql(self) -> str:
        """The name of its GraphQL type."""
        ...

    def check(self, value: JSON) -> JSON: ...


def check_text(value: JSON, chars_max: int) -> str:
    if type(value) is not str:
        raise Unfit("value_type", expected="text")
    if len(value) > chars_max:
        raise Unfit("text_too_long", chars=len(value), chars_max=chars_max)
    if "\x00" in value:
        raise Unfit("text_invalid", reason="NUL")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Unfit("text_invalid", reason="lone surrogate") from None
    return value


@dataclass(frozen=True, slots=True)
class Text:
    chars_max: int = TEXT_CHARS_MAX
    empty: bool = True
    graphql: str = "String"

    def check(self, value: JSON) -> str:
        text = check_text(value, self.chars_max)
        if not self.empty and not text.strip():
            raise Unfit("text_empty")
        return text


@dataclass(frozen=True, slots=True)
class Bool:
    graphql: str = "Boolean"

    def check(self, value: JSON) -> bool:
        if type(value) is not bool:
            raise Unfit("value_type", expected="true or false")
        return value


@dataclass(frozen=True, slots=True)
class Int:
    low: int = -SAFE_INT_MAX
    high: int = SAFE_INT_MAX
    graphql: str = "Int"

    def check(self, value: JSON) -> int:
        if type(value) is not int:
            raise Unfit("value_type", expected="a whole number")
        if not self.low <= value <= self.high:
            raise Unfit("value_range", low=self.low, high=self.high)
        return value


@dataclass(frozen=True, slots=True)
class Instant:
    """UTC with milliseconds, `2026-11-22T13:05:09.120Z`: fixed width, so text order is time order."""

    graphql: str = "DateTime"

    def check(self, value: JSON) -> str:
        if type(value) is not str or not _INSTANT.match(value):
            raise Unfit("instant_invalid")
        try:
            datetime.fromisoformat(value)
        except ValueError:
            raise Unfit("instant_invalid") from None
        return value


_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")


_is_id = _ID.match


def is_id(value: JSON) -> bool:
    """Whether the value is a UUID in its canonical lower-case spelling."""
    return type(value) is str and _is_id(value) is not None


@dataclass(frozen=True, slots=True)
class Date:
    """A calendar day, `2026-11-22`."""

    graphql: str = "Date"

    def check(self, value: JSON) -> str:
        if type(value) is not str or not _DATE.match(value):
            raise Unfit("date_invalid")
        try:
            date.fromisoformat(value)
        except ValueError:
            raise Unfit("date_invalid") from None
        return value


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text, a whole number, or true or false: what a field of a chain's own holds."""

    graphql: str = "JSON"

    def check(self, value: JSON) -> JSON:
        if type(value) is str:
            return check_text(value, TEXT_CHARS_MAX)
        if type(value) not in (bool, int):
            raise Unfit("value_type", expected="text, a whole number, true or false")
        return Int().check(value) if type(value) is int else value


@dataclass(frozen=True, slots=True)
class Json:
    """An object whose meaning is checked by whoever reads it: a rule, a patch, cut points."""

    graphql: str = "JSON"

    def check(self, value: JSON) -> dict[str, JSON]:
        if type(value) is not dict:
            raise Unfit("value_type", expected="an object")
        _bounded(value, _Budget(JSON_PARTS_MAX), JSON_DEPTH_MAX)
        return value


class _Budget:
    def __init__(self, left: int) -> None:
        self.left = left


def _bounded(value: JSON, budget: _Budget, depth: int) -> None:
    budget.left -= 1
    if budget.left < 0 or depth < 0:
        raise Unfit("value_too_large", parts_max=JSON_PARTS_MAX, depth_max=JSON_DEPTH_MAX)
    if type(value) is str:
        check_text(value, TEXT_CHARS_MAX)
    elif type(value) is int:
        Int().check(value)
    elif type(value) is dict:
        for key, item in value.items():
            check_text(key, 200)
            _bounded(item, budget, depth - 1)
    elif type(value) is list:
        for item in value:
            _bounded(item, budget, depth - 1)
    elif value is not None and type(value) is not bool:
        raise Unfit("value_type", expected="text, whole numbers, true, false, null, lists, objects")


@dataclass(frozen=True, slots=True)
class Ref:
    """The id of a row of another entity."""

    entity: str
    graphql: str = "UUID"

    def check(self, value: JSON) -> str:
        if not is_id(value):
            raise Unfit("id_invalid", entity=self.entity)
        return str(value)


@dataclass(frozen=True)
class Enum:
    """A closed list of values with labels, in their order (which a lattice climbs)."""

    name: str
    values: Mapping[str, Label]
    was: Mapping[str, tuple[int, str | None]] = field(default_factory=dict)
    """Values that are gone: the first schema version without each, and the value that stands for it; None
    where only a person can say."""
    label: Label = field(kw_only=True)

    @property
    def graphql(self) -> str:
        return self.name

    @cached_property
    def rank(self) -> dict[str, int]:
        return {value: i for i, value in enumerate(self.values)}

    def check(self, value: JSON) -> str:
        if type(value) is not str or value not in self.values:
            # Never str() of a list or a huge number: it may overflow.
            shown = value[:80] if type(value) is str else type(value).__name__
            raise Unfit("enum_unknown", value=shown, allowed=list(self.values))
        return value


@dataclass(frozen=True, slots=True)
class Part:
    """One named member of a `Struct`."""

    type: Type
    label: Label
    required: bool = False


@dataclass(frozen=True)
class Struct:
    """An object with named parts; parts that nobody declared are refused."""

    name: str
    parts: Mapping[str, Part]
    label: Label = field(kw_only=True)

    @property
    def graphql(self) -> str:
        return self.name

    def check(self, value: JSON) -> dict[str, JSON]:
        if type(value) is not dict:
            raise Unfit("value_type", expected=self.name)
        for key, item in value.items():
            part = self.parts.get(key)
            if part is None:
                raise Unfit("part_unknown", part=str(key)[:80], allowed=list(self.parts))
            if item is not None:
                part.type.check(item)
        for key in self.required:
            if value.get(key) is None:
                raise Unfit("part_required", part=key)
        return value

    @cached_property
    def required(self) -> tuple[str, ...]:
        return tuple(name for name, part in self.parts.items() if part.required)


@dataclass(frozen=True)
class List:
    of: Type
    items_max: int = LIST_ITEMS_MAX

    @property
    def graphql(self) -> str:
        return f"[{self.of.graphql}!]"

    def check(self, value: JSON) -> list[JSON]:
        if type(value) is not list:
            raise Unfit("value_type", expected="a list")
        if len(value) > self.items_max:
            raise Unfit("list_too_long", items=len(value), items_max=self.items_max)
        for item in value:
            self.of.check(item)
        return value


class Form(StrEnum):
    """The normal form of an element's key, made by `regulars_schema.normal`."""

    PLAIN = "plain"
    PHONE = "phone"
    EMAIL = "email"


@dataclass(frozen=True)
class Field:
    name: str
    type: Type
    """Of the value; for a set, of one element's key."""
    label: Label
    rule: Rule = Rule.LAST_WRITER
    level: Level = Level.INTERNAL
    required: bool = False
    """Must be written by the create."""
    fixed: bool = False
    """Written by the create only: it is part of what the row is."""
    form: Form = Form.PLAIN
    identity: bool = False
    """Equal values on two customers suggest one person."""
    stored: bool = False
    """Has a column (or, for a set, index entries): it is filtered, sorted or joined."""
    searched: bool = False
    """Found by free-text search."""
    since: int = 1
    """The schema version that brought it."""
    was: tuple[tuple[str, int], ...] = ()
    """Former names, each with the first schema version without it: what an older version writes there is
    taken as written here. A set may so take over from a single value. What names a customer, or is part of
    an id, keeps its name."""
    section: str = ""
    """Where on the card it stands: one of the entity's `sections`."""
    managed: bool = False
    """Only a manager writes it."""
    given: JSON = None
    """What a create of a version before `since` is taken to say of a required field; None: a person says."""

    @cached_property
    def is_set(self) -> bool:
        return self.rule in SETS

    def check(self, value: JSON) -> None:
        """Check one written value, `Unfit` when it does not fit; null clears an optional field."""
        if self.is_set:
            if type(value) is bool:
                return
            check_text(value, 200)
            return
        if value is None:
            if self.required:
                raise Unfit("field_required", field=self.name)
            return
        self.type.check(value)


@dataclass(frozen=True)
class Entity:
    name: str
    plural: str
    label: Label
    nature: Nature
    scope: Scope
    fields: tuple[Field, ...]
    about: str = ""
    since: int = 1
    sections: Enum | None = None
    """The parts of the card of such a row, in their order; each field says its own."""
    made_of: tuple[str, ...] = ()
    """The fixed fields that its id is made of (`ids.made_id`), so that all who make such a row make one."""
    ages: bool = False
    """Whether its rows leave the tablets at the edge of the history window: baselines stand for them."""
    retired: Mapping[str, int] = field(default_factory=dict)
    """Fields that are gone and that nothing stands for, with the first schema version without each."""

    @cached_property
    def former(self) -> dict[str, tuple[Field | None, int]]:
        """Names that older versions write: the field that stands for each, the first version without it."""
        renamed = {name: (f, version) for f in self.fields for name, version in f.was}
        return {**{name: (None, version) for name, version in self.retired.items()}, **renamed}

    @cached_property
    def by_name(self) -> dict[str, Field]:
        return {f.name: f for f in self.fields}

    @cached_property
    def _plain(self) -> dict[str, tuple[Field, None]]:
        return {f.name: (f, None) for f in self.fields if not f.is_set}

    @cached_property
    def required(self) -> tuple[str, ...]:
        return tuple(f.name for f in self.fields if f.required)

    @cached_property
    def searched(self) -> tuple[Field, ...]:
        return tuple(f for f in self.fields if f.searched)

    @cached_property
    def found_by(self) -> tuple[str, ...]:
        """The fields by whose single values or elements a row is looked up, besides whom it names."""
        return tuple(
            f.name
            for f in self.fields
            if f.stored
            and (f.is_set or f.identity or f.name == "supersedes" or isinstance(f.type, List))
            and not (isinstance(f.type, List) and isinstance(f.type.of, Struct))
        )

    @cached_property
    def set_names(self) -> frozenset[str]:
        return frozenset(f.name for f in self.fields if f.is_set)

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        return tuple(level for level in Level if any(f.level == level for f in self.fields))

    @property
    def is_fact(self) -> bool:
        return self.nature is Nature.FACT

    def at(self, path: str) -> tuple[Field, str | None]:
        """The field at a path and, for `tags/vip`, the element's key; `Unfit` when there is none."""
        plain = self._plain.get(path)
        if plain is not None:
            return plain
        name, slash, key = path.partition("/")
        found = self.by_name.get(name)
        if found is None or found.is_set != bool(slash) or (slash and not key):
            raise Unfit("field_unknown", entity=self.name, field=path[:120])
        return found, key

    @cached_property
    def naming(self) -> tuple[tuple[str, str | None], ...]:
        """Where customers are named: (field, None), or (list field, part of its items)."""
        found: list[tuple[str, str | None]] = []
        for f in self.fields:
            if isinstance(f.type, Ref) and f.type.entity == "customer":
                found.append((f.name, None))
            elif isinstance(f.type, List) and isinstance(f.type.of, Struct):
                found += [
                    (f.name, name)
                    for name, part in f.type.of.parts.items()
                    if isinstance(part.type, Ref) and part.type.entity == "customer"
                ]
        return tuple(found)

    def named_customers(self, values: Mapping[str, JSON]) -> list[JSON]:
        """The ids of the customers that a row with these values names."""
        named: list[JSON] = []
        for name, part in self.naming:
            value = values.get(name)
            if value is None:
                continue
            if part is None:
                named.append(value)
            else:
                named += [item[part] for item in value if item.get(part) is not None]
        return named


@dataclass(frozen=True)
class Registry:
    """All declarations of one schema version."""

    version: int
    entities: tuple[Entity, ...]
    oldest_served: int = 1
    """The oldest schema version that is sent rows. Changes of any version are taken."""
    by_name: dict[str, Entity] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {e.name: e for e in self.entities})

    def get(self, name: str) -> Entity:
        """The entity of that name; `Unfit` when nobody declared it."""
        try:
            return self.by_name[name]
        except KeyError:
            raise Unfit("entity_unknown", entity=str(name)[:80]) from None

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change whenever anything declared changes."""
        return blake2b(repr((self.version, self.entities)).encode(), digest_size=8).hexdigest()
