"""From a `Where` to SQL: pure text and parameters. The row's table is `t` in what is made here."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, assert_never

import orjson

from regulars_schema.declare import JSON
from regulars_server.storage.interface import All, Any_, Not, Order, Person, Test, Torn, Where
from regulars_server.storage.layout import Table, search_words


class Sql(NamedTuple):
    text: str
    parameters: list[JSON]


_COMPARED = {"eq": "=", "ne": "IS NOT", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def where_sql(where: Where, term: Callable[[str], int]) -> Sql:
    """The condition, perhaps unknown (null) where it is not true; `term` numbers `<table>.<field>`."""
    parameters: list[JSON] = []
    return Sql(_condition(where, term, parameters), parameters)


def _condition(where: Where, term: Callable[[str], int], parameters: list[JSON]) -> str:
    match where:
        case All(tests):
            return f"({' AND '.join(_condition(t, term, parameters) for t in tests) or '1'})"
        case Any_(tests):
            return f"({' OR '.join(_condition(t, term, parameters) for t in tests) or '0'})"
        case Not(test):
            return f"({_condition(test, term, parameters)} IS NOT TRUE)"
        case Person(test):
            inner = "1" if test is None else _condition(test, term, parameters)
            again = "1" if test is None else _condition(test, term, parameters)
            others = f"SELECT m.survivor FROM merged m CROSS JOIN customer t ON t.row=m.row WHERE {again}"
            return f"(t.row NOT IN (SELECT row FROM merged) AND ({inner} OR t.row IN ({others})))"
        case Torn():
            return "(t.row IN (SELECT row FROM torn))"
        case Test():
            return _test(where, term, parameters)
    assert_never(where)


def _test(test: Test, term: Callable[[str], int], parameters: list[JSON]) -> str:
    column = f't."{test.field}"'
    value = test.value
    match test.op:
        case "search":
            words = search_words(value)
            for spellings in words:
                parameters += spellings
            each = (f"({' OR '.join(['instr(t.search, ?)'] * len(spellings))})" for spellings in words)
            return f"({' AND '.join(each) or '1'})"
        case "has":
            parameters.append(value)
            return f"t.row IN (SELECT row FROM element WHERE field={term(test.field)} AND key=?)"
        case "exists":
            try:
                number = term(test.field)
            except KeyError:
                return f"({column} IS {'NOT ' if value else ''}NULL)"
            negated = "" if value else "NOT "
            return f"(t.row {negated}IN (SELECT row FROM element WHERE field={number}))"
        case "in":
            parameters.append(orjson.dumps(list(value)).decode())
            return f"({column} IN (SELECT value FROM json_each(?)))"
        case "starts":
            parameters += [value, len(value), value]
            return f"({column} >= ? AND substr({column}, 1, ?) = ?)"
        case _:
            parameters.append(value)
            return f"({column} {_COMPARED[test.op]} ?)"


def order_column(table: Table, order: Order) -> str:
    """The column that an order goes by."""
    return "name_sort" if order.field == "name" and table.sort_name else order.field


def order_sql(column: str, descending: bool) -> str:
    way = "DESC" if descending else "ASC"
    return f"t.id {way}" if column == "id" else f't."{column}" {way}, t.id {way}'


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
