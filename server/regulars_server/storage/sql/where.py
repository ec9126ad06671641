"""From a `Where` to SQL: text and parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, assert_never

from regulars_schema.declare import JSON
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
from regulars_server.storage.layout import Table
from regulars_server.storage.sql.dialect import Dialect


class Sql(NamedTuple):
    text: str
    parameters: list[JSON]


_NUMBER, _CUSTOMER = re.compile(r"\bc\.id\b"), re.compile(r"\bc\.")
_COMPARED = {"eq": "=", "ne": "IS DISTINCT FROM", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


class Reaching(Protocol):
    def __call__(self, entity: str, *, t: str) -> str:
        """The condition that a row of an entity, named `t`, is within reach."""
        ...


@dataclass(slots=True)
class WhereText:
    """Makes conditions; `parameters` grow in the order of their places."""

    terms: Mapping[str, int]
    """`<entity>.<field>` by number."""
    dialect: Dialect
    reaching: Reaching
    parameters: list[JSON] = field(default_factory=list)
    has_rule: bool = False
    """Whether a rule is among them, whose plan is to be made for its values."""

    def condition(self, entity: str, where: Where, t: str = "t") -> str:
        """The condition on the row `t`, perhaps unknown (null) where it is not true."""
        match where:
            case All(tests):
                return f"({' AND '.join(self.condition(entity, test, t) for test in tests) or 'TRUE'})"
            case Any_(tests):
                return f"({' OR '.join(self.condition(entity, test, t) for test in tests) or 'FALSE'})"
            case Not(test):
                return f"({self.condition(entity, test, t)} IS NOT TRUE)"
            case Person(test):
                inner = "TRUE" if test is None else self.condition(entity, test, t)
                again = "TRUE" if test is None else self.condition(entity, test, "p")
                others = f"SELECT m.survivor FROM merged m CROSS JOIN customer p ON p.row=m.row WHERE {again}"
                return f"({t}.row NOT IN (SELECT row FROM merged) AND ({inner} OR {t}.row IN ({others})))"
            case Torn():
                return f"({t}.row IN (SELECT row FROM torn))"
            case Stands(scheme, values):
                self.parameters += [scheme, self.dialect.list(values)]
                among = "value IN (SELECT value FROM json_each(?))"
                return f"({t}.row IN (SELECT row FROM standing WHERE scheme=? AND {among}))"
            case Member(segment):
                self.parameters.append(segment)
                return f"({t}.row IN (SELECT row FROM membership WHERE segment=?))"
            case Fits(text, parameters):
                self.has_rule = True
                self.parameters += [self.dialect.list(p) if isinstance(p, tuple) else p for p in parameters]
                return _CUSTOMER.sub(f"{t}.", _NUMBER.sub(f"{t}.row", text))
            case Related():
                return self._related(entity, where, t)
            case Test():
                return self._test(entity, where, t)
        assert_never(where)

    def _related(self, entity: str, where: Related, t: str) -> str:
        """A look from each row along an index; from a set's side the set of rows is made once."""
        other, r = where.entity, f"{t}r"
        tie = f"{other if where.back else entity}.{where.field}"
        number = self.terms.get(tie)
        passes = f"{self.reaching(other, t=r)} AND {self.condition(other, where.test, r)}"
        if not where.back and number is None:
            return f'EXISTS (SELECT 1 FROM "{other}" {r} WHERE {r}.id={t}."{where.field}" AND {passes})'
        if not where.back:
            held = (
                f'SELECT e.row FROM "{other}" {r} CROSS JOIN element e ON e.key={r}.id WHERE e.field={number}'
            )
            return f"({t}.row IN ({held} AND {passes}))"
        own = f"={t}.id" if entity != "customer" else f" IN ({self._ids(t)})"
        if number is None:
            return f'EXISTS (SELECT 1 FROM "{other}" {r} WHERE {r}."{where.field}"{own} AND {passes})'
        return (
            f'EXISTS (SELECT 1 FROM element e CROSS JOIN "{other}" {r} ON {r}.row=e.row'
            f" WHERE e.field={number} AND e.key{own} AND {passes})"
        )

    def _ids(self, t: str) -> str:
        """The ids of the person that a customer is, those within reach."""
        person = f"coalesce((SELECT survivor FROM merged WHERE row={t}.row), {t}.row)"
        return (
            f"SELECT {t}.id UNION ALL SELECT {t}k.id FROM customer {t}k WHERE {t}k.row IN"
            f" (SELECT row FROM merged WHERE survivor={person} UNION ALL SELECT {person})"
            f" AND {self.reaching('customer', t=f'{t}k')}"
        )

    def _test(self, entity: str, test: Test, t: str) -> str:
        column = f'{t}."{test.field}"'
        value = test.value
        match test.op:
            case "match":
                found = self.dialect.match(entity, t, value)
                self.parameters += found.parameters
                return found.text
            case "has":
                self.parameters.append(value)
                number = self.terms.get(f"{entity}.{test.field}")
                return f"{t}.row IN (SELECT row FROM element WHERE field={number} AND key=?)"
            case "overlaps":
                self.parameters.append(self.dialect.list(value))
                number = self.terms.get(f"{entity}.{test.field}")
                keys = "SELECT value FROM json_each(?)"
                return f"{t}.row IN (SELECT row FROM element WHERE field={number} AND key IN ({keys}))"
            case "exists":
                number = self.terms.get(f"{entity}.{test.field}")
                if number is None:
                    return f"({column} IS {'NOT ' if value else ''}NULL)"
                negated = "" if value else "NOT "
                return f"({t}.row {negated}IN (SELECT row FROM element WHERE field={number}))"
            case "in":
                self.parameters.append(self.dialect.list(value))
                return f"({column} IN (SELECT value FROM json_each(?)))"
            case "starts":
                self.parameters += [value, len(value), value]
                return f"({column} >= ? AND substr({column}, 1, ?) = ?)"
            case "contains":
                self.parameters.append(value)
                return f"(instr({column}, ?) > 0)"
            case _:
                self.parameters.append(value)
                return f"({column} {_COMPARED[test.op]} ?)"


def order_column(table: Table, order: Order) -> str:
    """The column that an order goes by."""
    return "name_sort" if order.field == "name" and table.sort_name else order.field


def order_sql(column: str, descending: bool) -> str:
    way, nulls = ("DESC", "LAST") if descending else ("ASC", "FIRST")
    return f"t.id {way}" if column == "id" else f't."{column}" {way} NULLS {nulls}, t.id {way}'


def beyond_sql(column: str, key: tuple[JSON, str], descending: bool) -> Sql:
    """The rows strictly beyond a key in the direction of the order; nulls are the lowest."""
    value, id = key
    way = "<" if descending else ">"
    if column == "id":
        return Sql(f"t.id {way} ?", [id])
    quoted = f't."{column}"'
    if value is None:
        rest = "" if descending else f" OR {quoted} IS NOT NULL"
        return Sql(f"(({quoted} IS NULL AND t.id {way} ?){rest})", [id])
    if descending:
        return Sql(
            f"(({quoted} <= ? AND ({quoted} < ? OR t.id < ?)) OR {quoted} IS NULL)", [value, value, id]
        )
    return Sql(f"({quoted} >= ? AND ({quoted} > ? OR t.id > ?))", [value, value, id])
