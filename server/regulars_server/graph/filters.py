"""What can be asked of a stored field, and the way from there to the tests of storage.

Every operator that is given must hold. Nothing of the sensitive level is stored, so there is no filter
by which it could be guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, Generic, NamedTuple, TypeVar

import strawberry

from regulars_schema.declare import JSON, Entity, Field, Form, List, Registry, Unfit, check_text
from regulars_schema.normal import element_path
from regulars_server.graph.scalars import UUID, Date, DateTime, Money
from regulars_server.storage.interface import All, Any_, Member, Not, Operator, Related, Stands, Test, Where
from regulars_sync.errors import Refused

T = TypeVar("T")

TESTS_MAX = 200
NEST_MAX = 8
RELATIONS_MAX = 2
RELATION_TESTS = 10
"""So many tests does one through a relation count for."""
VALUES_MAX = 1_000


def _in() -> Any:
    return strawberry.field(name="in", default=strawberry.UNSET)


@strawberry.input(description="Tests on one of a closed list of values. `eq: null` finds what has none.")
class Filter(Generic[T]):
    eq: T | None = strawberry.UNSET
    ne: T | None = strawberry.UNSET
    in_: list[T] | None = _in()
    not_in: list[T] | None = strawberry.UNSET
    exists: bool | None = strawberry.UNSET


@strawberry.input(description="Tests on a text, letter case and all. `eq: null` finds what has none.")
class TextFilter:
    eq: str | None = strawberry.UNSET
    ne: str | None = strawberry.UNSET
    in_: list[str] | None = _in()
    not_in: list[str] | None = strawberry.UNSET
    lt: str | None = strawberry.UNSET
    lte: str | None = strawberry.UNSET
    gt: str | None = strawberry.UNSET
    gte: str | None = strawberry.UNSET
    starts_with: str | None = strawberry.UNSET
    contains: str | None = strawberry.UNSET
    exists: bool | None = strawberry.UNSET


@strawberry.input(description="Tests on a reference. `eq: null` finds what has none.")
class IdFilter:
    eq: UUID | None = strawberry.UNSET
    ne: UUID | None = strawberry.UNSET
    in_: list[UUID] | None = _in()
    not_in: list[UUID] | None = strawberry.UNSET
    exists: bool | None = strawberry.UNSET


@strawberry.input(description="Tests on a number. `eq: null` finds what has none.")
class IntFilter:
    eq: int | None = strawberry.UNSET
    ne: int | None = strawberry.UNSET
    in_: list[int] | None = _in()
    not_in: list[int] | None = strawberry.UNSET
    lt: int | None = strawberry.UNSET
    lte: int | None = strawberry.UNSET
    gt: int | None = strawberry.UNSET
    gte: int | None = strawberry.UNSET
    exists: bool | None = strawberry.UNSET


@strawberry.input(description="Tests on an amount in minor units. `eq: null` finds what has none.")
class MoneyFilter:
    eq: Money | None = strawberry.UNSET
    ne: Money | None = strawberry.UNSET
    in_: list[Money] | None = _in()
    not_in: list[Money] | None = strawberry.UNSET
    lt: Money | None = strawberry.UNSET
    lte: Money | None = strawberry.UNSET
    gt: Money | None = strawberry.UNSET
    gte: Money | None = strawberry.UNSET
    exists: bool | None = strawberry.UNSET


@strawberry.input(description="Tests on a day. `eq: null` finds what has none.")
class DateFilter:
    eq: Date | None = strawberry.UNSET
    ne: Date | None = strawberry.UNSET
    in_: list[Date] | None = _in()
    not_in: list[Date] | None = strawberry.UNSET
    lt: Date | None = strawberry.UNSET
    lte: Date | None = strawberry.UNSET
    gt: Date | None = strawberry.UNSET
    gte: Date | None = strawberry.UNSET
    exists: bool | None = strawberry.UNSET


@strawberry.input(description="Tests on an instant. `eq: null` finds what has none.")
class DateTimeFilter:
    eq: DateTime | None = strawberry.UNSET
    ne: DateTime | None = strawberry.UNSET
    in_: list[DateTime] | None = _in()
    not_in: list[DateTime] | None = strawberry.UNSET
    lt: DateTime | None = strawberry.UNSET
    lte: DateTime | None = strawberry.UNSET
    gt: DateTime | None = strawberry.UNSET
    gte: DateTime | None = strawberry.UNSET
    exists: bool | None = strawberry.UNSET


@strawberry.input(description="Tests on yes or no. What was never written is neither: ask `ne: true`.")
class BooleanFilter:
    eq: bool | None = strawberry.UNSET
    ne: bool | None = strawberry.UNSET
    exists: bool | None = strawberry.UNSET


@strawberry.input(
    description="Tests on a set or list: an element by its key (a phone in any spelling), or any at all."
)
class SetFilter:
    has: str | None = strawberry.UNSET
    has_all: list[str] | None = strawberry.UNSET
    has_any: list[str] | None = strawberry.UNSET
    exists: bool | None = strawberry.UNSET


@strawberry.input(description="Tests on a set of references: one that is in it, or any at all.")
class IdSetFilter:
    has: UUID | None = strawberry.UNSET
    has_all: list[UUID] | None = strawberry.UNSET
    has_any: list[UUID] | None = strawberry.UNSET
    exists: bool | None = strawberry.UNSET


@strawberry.input(description="Tests on a set out of a closed list of values.")
class ElementFilter(Generic[T]):
    has: T | None = strawberry.UNSET
    has_all: list[T] | None = strawberry.UNSET
    has_any: list[T] | None = strawberry.UNSET
    exists: bool | None = strawberry.UNSET


@strawberry.input(description="Tests on where customers stand in a scheme, as of now.")
class StandingFilter:
    scheme: str = strawberry.field(description="The scheme, by its key.")
    in_: list[str] = strawberry.field(name="in", description="One of these values.")


@strawberry.input(description="Elements to put into a set and to take out of it; all others stay.")
class SetEdit:
    add: list[str] | None = strawberry.UNSET
    remove: list[str] | None = strawberry.UNSET


@strawberry.input(description="References to put into a set and to take out of it; all others stay.")
class IdSetEdit:
    add: list[UUID] | None = strawberry.UNSET
    remove: list[UUID] | None = strawberry.UNSET


@strawberry.input(description="Values to put into a set and to take out of it; all others stay.")
class ElementEdit(Generic[T]):
    add: list[T] | None = strawberry.UNSET
    remove: list[T] | None = strawberry.UNSET


class Relation(NamedTuple):
    """How rows of another entity are tied to one: see `interface.Related`."""

    entity: str
    fields: tuple[str, ...]
    back: bool


_OPERATORS: dict[str, Operator] = {
    "eq": "eq",
    "ne": "ne",
    "in_": "in",
    "not_in": "in",
    "lt": "lt",
    "lte": "le",
    "gt": "gt",
    "gte": "ge",
    "starts_with": "starts",
    "contains": "contains",
    "exists": "exists",
}


def where_of(registry: Registry, entity: Entity, given: object, country: str | None) -> Where:
    """The test that a `where` asks for; `Refused` argument_invalid, query_too_large and those of a value."""
    where = _Asked(registry, country).of(entity, given)
    if _size(where) > TESTS_MAX:
        raise Refused("query_too_large", what="where", limit=TESTS_MAX)
    return where


def entities_of(where: Where) -> Iterator[str]:
    """The entities whose rows are looked at through relations."""
    match where:
        case All(tests) | Any_(tests):
            for test in tests:
                yield from entities_of(test)
        case Not(test):
            yield from entities_of(test)
        case Related(entity, _, _, test):
            yield entity
            yield from entities_of(test)


class _Asked:
    def __init__(self, registry: Registry, country: str | None) -> None:
        self._registry = registry
        self._country = country

    def of(self, entity: Entity, given: object, nested: int = 0, relations: int = 0) -> Where:
        """`nested` in ANDs, ORs and NOTs, and through so many `relations`."""
        from regulars_server.graph.inputs import ATTRIBUTES, RELATIONS

        if nested > NEST_MAX:
            raise Refused("query_too_large", what="where", limit=NEST_MAX)
        attributes, tests = ATTRIBUTES[entity.name], list[Where]()
        for name, value in vars(given).items():
            if value is strawberry.UNSET or value is None:
                continue
            if name in ("and_", "or_"):
                parts = tuple(self.of(entity, part, nested + 1, relations) for part in value)
                tests.append(All(parts) if name == "and_" else Any_(parts))
            elif name == "not_":
                tests.append(Not(self.of(entity, value, nested + 1, relations)))
            elif name == "id":
                tests += _scalar("id", value)
            elif name == "member_of":
                tests.append(Member(value))
            elif isinstance(value, StandingFilter):
                tests.append(Stands(_plain(value.scheme, name), tuple(_plain(value.in_[:VALUES_MAX], name))))
            elif name in RELATIONS[entity.name]:
                tests.append(self._related(RELATIONS[entity.name][name], value, nested, relations + 1))
        for field in entity.fields:
            value = getattr(given, attributes.get(field.name, field.name), None)
            if not field.stored or value is None or value is strawberry.UNSET:
                continue
            if isinstance(value, SetFilter | IdSetFilter | ElementFilter):
                tests += _elements(field, value, self._country)
            else:
                tests += _scalar(field.name, value)
        return All(tuple(tests))

    def _related(self, relation: Relation, given: Any, nested: int, relations: int) -> Where:
        if relations > RELATIONS_MAX:
            raise Refused("query_too_large", what="relations in where", limit=RELATIONS_MAX)
        other = self._registry.by_name[relation.entity]

        def some(test: Where) -> Where:
            return Any_(tuple(Related(other.name, field, relation.back, test) for field in relation.fields))

        def inner(part: object) -> Where:
            return self.of(other, part, nested + 1, relations)

        if not hasattr(given, "some"):
            return some(inner(given))
        tests = list[Where]()
        if given.some:
            tests.append(some(inner(given.some)))
        if given.none:
            tests.append(Not(some(inner(given.none))))
        if given.every:
            tests.append(Not(some(Not(inner(given.every)))))
        return All(tuple(tests))


def _scalar(field: str, given: object) -> Iterator[Where]:
    for name, value in vars(given).items():
        if value is strawberry.UNSET:
            continue
        if value is None:
            if name == "eq":
                yield Test(field, "exists", False)
            elif name == "ne":
                yield Test(field, "exists", True)
            else:
                raise Refused("argument_invalid", reason=f"{field}: only eq and ne take null.")
        else:
            if isinstance(value, list) and len(value) > VALUES_MAX:
                raise Refused("query_too_large", what="in", limit=VALUES_MAX)
            test = _exists_for_id(field, _OPERATORS[name], _plain(value, field))
            yield Not(test) if name == "not_in" else test


def _exists_for_id(field: str, operator: Operator, value: JSON) -> Where:
    if field == "id" and operator == "exists":
        return All(()) if value else Any_(())
    return Test(field, operator, value)


def _elements(
    field: Field, given: SetFilter | IdSetFilter | ElementFilter[Any], country: str | None
) -> Iterator[Where]:
    def has(key: str | Enum) -> Where:
        typed = str(key.value) if isinstance(key, Enum) else key
        return Test(field.name, "has", key_of(field, typed, country))

    if given.has is not None and given.has is not strawberry.UNSET:
        yield has(given.has)
    if given.has_all is not None and given.has_all is not strawberry.UNSET:
        yield All(tuple(map(has, given.has_all[: TESTS_MAX + 1])))
    if given.has_any is not None and given.has_any is not strawberry.UNSET:
        yield Any_(tuple(map(has, given.has_any[: TESTS_MAX + 1])))
    if given.exists is not None and given.exists is not strawberry.UNSET:
        yield Test(field.name, "exists", given.exists)


def key_of(field: Field, typed: str, country: str | None) -> str:
    """The key under which an element is stored; `Refused` with the code of what is wrong with it."""
    if isinstance(field.type, List) or (field.form is Form.PLAIN and not field.is_set):
        return str(_plain(typed, field.name))
    try:
        return element_path(field, typed, True, country).partition("/")[2]
    except Unfit as unfit:
        raise Refused(unfit.code, **{"field": field.name, **unfit.detail}) from None


def _plain(value: JSON, field: str) -> JSON:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list):
        return [_plain(item, field) for item in value]
    if isinstance(value, str):
        try:
            return check_text(value, 4_000)
        except Unfit as unfit:
            raise Refused(unfit.code, field=field, **unfit.detail) from None
    return value


def _size(where: Where) -> int:
    match where:
        case All(tests) | Any_(tests):
            return sum(map(_size, tests)) + 1
        case Not(test):
            return _size(test)
        case Related(_, _, _, test):
            return _size(test) + RELATION_TESTS
        case _:
            return 1
