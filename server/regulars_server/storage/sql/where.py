"""From a `Where` to SQL: text and parameters. The row's table is `t` in what is made here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, assert_never

from regulars_schema.declare import JSON
from regulars_server.storage.interface import All, Any_, Not, Order, Person, Test, Torn, Where
from regulars_server.storage.layout import Table, search_words


class Sql(NamedTuple):
    text: str
    parameters: list[JSON]


_COMPARED = {"eq": "=", "ne": "IS DISTINCT FROM", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def where_sql(where: Where, term: Callable[[str], int], among: Callable[[Iterable[JSON]], Any]) -> Sql:
    """The condition, perhaps unknown (null) where it is not true.

    `term` numbers `<table>.<field>`; `among` makes values one parameter.
    """
    parameters: list[JSON] = []
    return Sql(_condition(where, term, among, parameters), parameters)


def _condition(
    where: Where, term: Callable[[str], int], among: Callable[[Iterable[JSON]], Any], parameters: list[JSON]
) -> str:
    match where:
        case All(tests):
            return f"({' AND '.join(_condition(t, term, among, parameters) for t in tests) or 'TRUE'})"
        case Any_(tests):
            return f"({' OR '.join(_condition(t, term, among, parameters) for t in tests) or 'FALSE'})"
        case Not(test):
            return f"({_condition(test, term, among, parameters)} IS NOT TRUE)"
        case Person(test):
            inner = "TRUE" if test is None else _condition(test, term, among, parameters)
            again = "TRUE" if test is None else _condition(test, term, among, parameters)
            others = f"SELECT m.survivor FROM merged m CROSS JOIN customer t ON t.row=m.row WHERE {again}"
            return f"(t.row NOT IN (SELECT row FROM merged) AND ({inner} OR t.row IN ({others})))"
        case Torn():
            return "(t.row IN (SELECT row FROM torn))"
        case Test():
            return _test(where, term, among, parameters)
    assert_never(where)


def _test(
    test: Test, term: Callable[[str], int], among: Callable[[Iterable[JSON]], Any], parameters: list[JSON]
) -> str:
    column = f't."{test.field}"'
    value = test.value
    match test.op:
        case "search":
            words = search_words(value)
            for spellings in words:
                parameters += spellings
            each = (f"({' OR '.join(['instr(t.search, ?)'] * len(spellings))})" for spellings in words)
            return f"({' AND '.join(each) or 'TRUE'})"
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
            parameters.append(among(value))
            return f"({column} IN (SELECT value FROM json_each(?)))"
        case "starts":
            parameters += [value, len(value), value]
            return f"({column} >= ? AND substr({column}, 1, ?) = ?)"
        case "contains":
            parameters.append(value)
            return f"(instr({column}, ?) > 0)"
        case _:
            parameters.append(value)
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
