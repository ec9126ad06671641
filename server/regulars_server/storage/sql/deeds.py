"""The facts that count, laid out for rules: `deed`, a row for each, and `deed_line`, one for each line.

What is written of a person is always the whole of it, as its rows tell it (`knowledge.checking`), and only
the difference touches the tables: replay, correction and un-merge can neither double a fact nor lose one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from regulars_schema.declare import JSON
from regulars_server.storage.sql.dialect import Connection, Dialect
from regulars_server.storage.sql.snapshot import Snapshot
from regulars_server.storage.standing import DEED, LINE, Counted

_DEED = ("customer", *DEED)
_LINE = ("customer", "n", *DEED, *LINE)


def replace(connection: Connection, dialect: Dialect, counted: Mapping[int, Sequence[Counted]]) -> None:
    """Within a transaction: let these be the facts of the customers in each of these rows, and no others."""
    if not counted:
        return
    ids = dialect.list(sorted(counted))
    deeds = {(id, *one.deed) for id, some in counted.items() for one in some}
    lines = {
        (id, n, *one.deed, *line)
        for id, some in counted.items()
        for one in some
        for n, line in enumerate(one.lines)
    }
    _become(connection, "deed", _DEED, ("customer", "at", "id"), ids, deeds)
    _become(connection, "deed_line", _LINE, ("customer", "at", "id", "n"), ids, lines)


def counted(of: Snapshot, customers: Collection[str]) -> dict[str, set[Counted]]:
    """The facts that are laid out of each of these within reach."""
    lines: dict[tuple[JSON, ...], list[tuple[JSON, ...]]] = {}
    for row in _laid(of, "deed_line", (*DEED, *LINE), "d.n", customers):
        lines.setdefault(tuple(row[: 1 + len(DEED)]), []).append(tuple(row[1 + len(DEED) :]))
    found: dict[str, set[Counted]] = {}
    for row in _laid(of, "deed", DEED, "d.id", customers):
        told = Counted(tuple(row[1:]), tuple(lines.pop(tuple(row), ())))
        found.setdefault(row[0], set()).add(told)
    for row, astray in lines.items():
        found.setdefault(str(row[0]), set()).add(Counted((), tuple(astray)))
    return found


def _laid(
    of: Snapshot, table: str, columns: Sequence[str], order: str, customers: Collection[str]
) -> Iterable[Sequence[Any]]:
    named = ", ".join(f"d.{name}" for name in columns)
    return of.rows(
        f"SELECT t.id, {named} FROM customer t JOIN {table} d ON d.customer=t.row"
        f" WHERE t.id IN (SELECT value FROM json_each(?)) AND {of.reaching('customer')} ORDER BY {order}",
        of.dialect.list(customers),
    )


def forget(connection: Connection, customer: int | None) -> None:
    """Within a commit: nothing is kept of a customer who was erased."""
    for table in ("deed", "deed_line"):
        connection.execute(f"DELETE FROM {table} WHERE customer=?", (customer,))


def _become(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    key: Sequence[str],
    customers: JSON,
    rows: Collection[tuple[JSON, ...]],
) -> None:
    named = ", ".join(columns)
    sql = f"SELECT {named} FROM {table} WHERE customer IN (SELECT value FROM json_each(?))"
    before = set(map(tuple, connection.execute(sql, (customers,))))
    place = itemgetter(*(columns.index(name) for name in key))
    new = set(rows)
    gone = sorted(map(place, before - new))
    connection.executemany(f"DELETE FROM {table} WHERE {' AND '.join(f'{name}=?' for name in key)}", gone)
    marks = ", ".join("?" * len(columns))
    connection.executemany(f"INSERT INTO {table}({named}) VALUES({marks})", sorted(new - before, key=place))
