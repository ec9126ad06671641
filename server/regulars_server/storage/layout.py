"""How a row is laid out beside its document: columns and index entries, made from its internal document.

Only what is filtered, sorted or joined is laid out, and only from the internal level, so that what a
reader may not read can neither be found nor guessed by order. `tables` holds the layout of every entity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from regulars_schema.declare import JSON, SAFE_INT_MAX, Entity, Level, Unfit, check_text
from regulars_schema.normal import LIKENED, likenesses, sort_name
from regulars_schema.search import Each, Either, Token, written
from regulars_server.storage.interface import (
    All,
    Any_,
    Fits,
    Member,
    Not,
    Order,
    Person,
    Related,
    Stands,
    Test,
    Torn,
    Where,
)
from regulars_sync.document import META, nested
from regulars_sync.errors import Refused

LIKENESS = "likeness"
"""An index entry of every customer that is no field: `normal.likenesses`."""

ColumnType = Literal["text", "int", "bool"]


@dataclass(frozen=True, slots=True)
class Column:
    """A stored scalar field; the column is named as the field."""

    name: str
    type: ColumnType
    names: str | None = None
    """The entity whose rows it names."""


@dataclass(frozen=True, slots=True)
class Keys:
    """A set, or a list, whose present elements are index entries."""

    field: str
    is_set: bool
    part: str | None = None
    """The part of a list's items that is the key; None: the item itself."""
    identity: bool = False
    names: str | None = None
    """The entity whose rows the keys name."""


@dataclass(frozen=True)
class Table:
    name: str
    columns: tuple[Column, ...]
    keys: tuple[Keys, ...]
    sort_name: bool
    """Has the column `name_sort`, by which names are ordered."""
    search: bool
    """Has the column `search`: its tokens, by which free text finds it."""
    sensitive: bool
    """Has documents of the sensitive level."""

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    def keys_of(self, field: str) -> Keys | None:
        return next((keys for keys in self.keys if keys.field == field), None)

    def named_by(self, field: str) -> str | None:
        """The entity whose rows a field names; None where it names none."""
        tie = self.column(field) or self.keys_of(field)
        return None if tie is None else tie.names

    @cached_property
    def scalars(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        """Every column made from a document, in the order of `column_values`."""
        return self.scalars + ("name_sort",) * self.sort_name + ("search",) * self.search


def column_values(
    table: Table, entity: Entity, document: Mapping[str, JSON], columns: Sequence[str] | None = None
) -> list[JSON]:
    """What these columns, or all, hold of a row with this internal document."""
    names = table.column_names if columns is None else columns
    values = list(map(document.get, names))
    if table.sort_name and "name_sort" in names:
        name = document.get("name")
        values[names.index("name_sort")] = None if name is None else sort_name(name)
    if table.search and "search" in names:
        values[names.index("search")] = written(entity, nested(entity, document))
    return values


def columns_of(table: Table, entity: Entity, paths: Iterable[str]) -> set[str]:
    """The columns that follow from these paths of an internal document."""
    fields = {path.partition("/")[0] for path in paths}
    columns = fields.intersection(table.scalars)
    if table.sort_name and "name" in fields:
        columns.add("name_sort")
    if table.search and any(field.name in fields for field in entity.searched):
        columns.add("search")
    return columns


def changed_paths(document: Mapping[str, JSON], before: Mapping[str, JSON]) -> set[str]:
    """The paths at which two documents of one row show something else."""
    changed = {path for path, value in document.items() if before.get(path) != value}
    changed.update(path for path in before.keys() - document.keys() if before[path] is not None)
    return changed - META


def element_keys(table: Table, document: Mapping[str, JSON]) -> set[tuple[str, str]]:
    """(field, key) of every index entry of a row with this internal document."""
    found: set[tuple[str, str]] = set()
    sets: set[str] = set()
    for keys in table.keys:
        if keys.is_set:
            sets.add(keys.field)
            continue
        items = document.get(keys.field)
        if items:
            part = keys.part
            for item in items:
                key = item if part is None else item.get(part)
                if key is not None:
                    found.add((keys.field, key))
    if sets:
        for path, value in document.items():
            if value:
                field, slash, key = path.partition("/")
                if slash and field in sets:
                    found.add((field, key))
    if table.name == "customer":
        found.update((LIKENESS, likeness) for likeness in likenesses(document))
    return found


def moved_keys(
    table: Table, document: Mapping[str, JSON], before: Mapping[str, JSON], changed: AbstractSet[str]
) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """The index entries that come and that go when these changed paths are all that differs."""
    if changed.isdisjoint(LIKENED):
        document = {path: document[path] for path in changed if path in document}
        before = {path: before[path] for path in changed if path in before}
    now, was = element_keys(table, document), element_keys(table, before)
    return now - was, was - now


def identity_keys(entity: Entity, document: Mapping[str, JSON]) -> set[str]:
    """The paths of what a customer may be recognised by (`LIKENESS/…` for name with birth or address)."""
    found = {f"{LIKENESS}/{likeness}" for likeness in likenesses(document)}
    for path, value in document.items():
        name, slash, key = path.partition("/")
        field = entity.by_name.get(name)
        if value and field is not None and field.identity and key[:1] != "?" and field.is_set == bool(slash):
            found.add(path if slash else f"{name}/{value}")
    return found


def level_of(scope: str) -> Level:
    """The level of the documents that a scope holds."""
    _, slash, level = scope.rpartition("/")
    return Level(level) if slash else Level.INTERNAL


# --- what may be asked for ------------------------------------------------------------------------


def check_scopes(scopes: frozenset[str]) -> frozenset[str]:
    """These scopes; `ValueError` for a level's scope that was granted without the internal one beneath it."""
    for scope in scopes:
        base, slash, _ = scope.rpartition("/")
        if slash and base not in scopes:
            raise ValueError(f"{scope} is granted without {base}")
    return scopes


_SCALAR = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "starts", "in"})
_NEST_MAX = 50


def check_where(tables: Mapping[str, Table], table: Table, where: Where | None, depth: int = 0) -> None:
    """`Refused("argument_invalid")` unless every test names a stored field and fits it."""
    if depth > _NEST_MAX:
        raise Refused("argument_invalid", reason=f"tests are nested deeper than {_NEST_MAX}")
    match where:
        case None:
            return
        case All(tests) | Any_(tests):
            for test in tests:
                check_where(tables, table, test, depth + 1)
        case Not(test) | Person(test):
            check_where(tables, table, test, depth + 1)
        case Related(entity, field, back, test):
            other = tables.get(entity)
            ends = (other, table) if back else (table, other)
            if other is None or ends[0] is None or ends[1] is None or ends[0].named_by(field) != ends[1].name:
                raise Refused("argument_invalid", reason=f"{table.name} and {entity[:80]} are not tied so")
            check_where(tables, other, test, depth + 1)
        case Torn():
            return
        case Stands() | Member() | Fits():
            if table.name != "customer":
                raise Refused("argument_invalid", reason=f"{table.name} stands nowhere")
        case Test():
            _check_test(table, where)


def check_order(table: Table, order: Order) -> None:
    """`Refused("argument_invalid")` unless the order is by `id` or a stored scalar field."""
    if order.field != "id" and table.column(order.field) is None:
        raise Refused("argument_invalid", reason=f"{table.name} can't be ordered by {order.field[:80]}")


def _check_test(table: Table, test: Test) -> None:
    column = Column("id", "text") if test.field == "id" else table.column(test.field)
    keys = table.keys_of(test.field)
    match test.op:
        case "match":
            fits = test.field == "*" and table.search and _is_match(test.value)
        case "has":
            fits = keys is not None and _is(test.value, "text")
        case "overlaps":
            fits = keys is not None and type(test.value) in (list, tuple)
            fits = fits and all(_is(v, "text") for v in test.value)
        case "exists":
            fits = (column is not None or keys is not None) and type(test.value) is bool
        case "in":
            fits = column is not None and type(test.value) in (list, tuple)
            fits = fits and all(v is None or (column and _is(v, column.type)) for v in test.value)
        case "starts" | "contains":
            fits = column is not None and column.type == "text" and _is(test.value, "text")
        case _:
            fits = column is not None and test.op in _SCALAR
            fits = fits and (test.value is None or (column is not None and _is(test.value, column.type)))
    if not fits:
        what = f"{table.name}.{test.field[:80]} {test.op}"
        raise Refused("argument_invalid", reason=f"{what} can't be tested with that value")


def _is_match(value: object) -> bool:
    match value:
        case Token(text):
            return bool(text) and _is(text, "text")
        case Each(parts) | Either(parts):
            return bool(parts) and all(map(_is_match, parts))
    return False


def _is(value: JSON, type_: ColumnType) -> bool:
    if type_ == "text":
        try:
            check_text(value, 4_000)
        except Unfit:
            return False
        return True
    if type_ == "bool":
        return type(value) is bool
    return type(value) is int and abs(value) <= SAFE_INT_MAX
