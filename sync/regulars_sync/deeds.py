"""The index of a replica by which rules find customers: their plain fields, and the facts that count.

Made of documents alone, in the transaction that moves them. A fact counts or not by all that stand for it or
for which it stands (`facts.counting`), so these are looked at together, whichever of them came or went. It is
for customers whom the replica holds, and small: they and all other ids stand in it as numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Protocol

import orjson

from regulars_schema.declare import JSON, Level
from regulars_schema.entities import CUSTOMER
from regulars_schema.rules.facts import Fact, as_seen_by, counting, figures

CARD = tuple(f.name for f in CUSTOMER.fields if f.stored and not f.is_set)
"""The fields of a customer that rules are asked of in SQL, beside the sets in `element`."""
SETS = frozenset(CUSTOMER.found_by) & CUSTOMER.set_names
"""Those sets."""
DEED = ("at", "kind", "channel", "stage_reached", "outcome", "role", "effort_min", "unit", "staff")
LINE = ("quantity", "amount", "currency", "product")
_COLUMNS = ", ".join(f'"{name}"' for name in CARD)
TABLES = ("card", "coded", "deed", "deed_line")
DDL = f"""
CREATE TABLE card (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, {_COLUMNS});
CREATE TABLE coded (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
CREATE TABLE deed (
    customer INTEGER NOT NULL, id INTEGER NOT NULL, {", ".join(DEED)},
    PRIMARY KEY (customer, id)) WITHOUT ROWID;
CREATE TABLE deed_line (
    customer INTEGER NOT NULL, id INTEGER NOT NULL, n INTEGER NOT NULL, {", ".join(LINE)},
    PRIMARY KEY (customer, id, n)) WITHOUT ROWID"""
_OF_DEED = ", ".join([*(f"d.{name}" for name in DEED[:-2]), "u.id AS unit", "s.id AS staff"])
DEEDS = f"""(SELECT d.customer, d.id, {_OF_DEED}
    FROM deed d LEFT JOIN coded u ON u.n = d.unit LEFT JOIN coded s ON s.n = d.staff)"""
LINES = f"""(SELECT d.customer, d.id, {_OF_DEED}, l.quantity, l.amount, l.currency,
    p.id AS product, json_extract(CAST(r.document AS TEXT), '$.category') AS category
    FROM deed_line l JOIN deed d ON d.customer = l.customer AND d.id = l.id
    LEFT JOIN coded u ON u.n = d.unit LEFT JOIN coded s ON s.n = d.staff
    LEFT JOIN coded p ON p.n = l.product
    LEFT JOIN row r ON r.entity = 'product' AND r.id = p.id AND r.level = 'internal')"""
"""As `rules.sql.Layout` asks for them; `customer` is the number of a card."""

_NEW = ", ".join(f'"{name}" = excluded."{name}"' for name in CARD)
_INTO_CARD = (
    f"INSERT INTO card (id, {_COLUMNS}) VALUES ({', '.join('?' * (1 + len(CARD)))})"
    f" ON CONFLICT (id) DO UPDATE SET {_NEW}"
)
_INTO_DEED = f"INSERT OR REPLACE INTO deed VALUES ({', '.join('?' * (2 + len(DEED)))})"
_INTO_LINE = f"INSERT OR REPLACE INTO deed_line VALUES ({', '.join('?' * (3 + len(LINE)))})"
_AMONG = "IN (SELECT value FROM json_each(?))"
_TIED = f"SELECT id, key FROM element WHERE entity = 'interaction' AND field = 'supersedes' AND {{}} {_AMONG}"
SCALARS = str | int | float
BROKEN = (ValueError, KeyError, IndexError, TypeError, AttributeError)

Row = tuple[JSON, ...]
Documents = Mapping[str, Mapping[str, JSON]]


class Connection(Protocol):
    def execute(self, sql: str, parameters: Any = ..., /) -> Any: ...

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any: ...


# --- customers --------------------------------------------------------------------------------------------


def put_cards(connection: Connection, rows: Documents) -> None:
    """Index these customers, and of new ones the facts that came before them."""
    new = rows.keys() - _numbers(connection, rows)
    connection.executemany(_INTO_CARD, [_card(id, values) for id, values in rows.items()])
    if new:
        named = connection.execute(
            f"SELECT id FROM element WHERE entity = 'interaction' AND field = 'party' AND key {_AMONG}",
            (_listed(new),),
        )
        again(connection, {id for (id,) in named.fetchall()})


def remove_cards(connection: Connection, ids: Collection[str]) -> None:
    given = (_listed(ids),)
    for table in ("deed", "deed_line"):
        connection.execute(
            f"DELETE FROM {table} WHERE customer IN (SELECT n FROM card WHERE id {_AMONG})", given
        )
    connection.execute(f"DELETE FROM card WHERE id {_AMONG}", given)


def _card(id: str, values: Mapping[str, JSON]) -> Row:
    return id, *(value if isinstance(value, SCALARS) else None for value in map(values.get, CARD))


def _numbers(connection: Connection, ids: Iterable[str]) -> dict[str, int]:
    return dict(connection.execute(f"SELECT id, n FROM card WHERE id {_AMONG}", (_listed(ids),)).fetchall())


# --- facts ------------------------------------------------------------------------------------------------


def put(connection: Connection, rows: Documents, known: Collection[str]) -> None:
    """Count these facts, which stand in `row` and `element` by now; `known`: those that did before."""
    given = (_listed(rows),)
    later = {id for pair in connection.execute(_TIED.format("key"), given) for id in pair}
    tied = family(connection, later | {id for id, values in rows.items() if values.get("supersedes")})
    _forget(connection, tied | set(known))
    _write(connection, {id: values for id, values in rows.items() if id not in tied})
    _write(connection, _documents(connection, tied))


def remove(connection: Connection, ids: Collection[str]) -> set[str]:
    """Count these no more, which `element` still knows; the facts that are to be counted `again` then."""
    _forget(connection, ids)
    return family(connection, ids) - set(ids)


def again(connection: Connection, ids: Collection[str]) -> None:
    """Count facts anew some of whose family or of whose customers came or went."""
    if ids:
        tied = family(connection, ids) | set(ids)
        _forget(connection, tied)
        _write(connection, _documents(connection, tied))


def family(connection: Connection, ids: Iterable[str]) -> set[str]:
    """All facts that stand for these, or for which these stand; none of a fact that is alone."""
    found: set[str] = set()
    new = set(ids)
    asked: set[str] = set()
    while new:
        asked |= new
        given = (_listed(new),)
        pairs = [pair for by in ("id", "key") for pair in connection.execute(_TIED.format(by), given)]
        tied = {end for pair in pairs for end in pair}
        found |= tied
        new = tied - asked
    return found


def number_of(fact: str) -> int:
    """What a fact's id is in the index."""
    return int.from_bytes(blake2b(fact.encode(), digest_size=8).digest(), signed=True)


def expected(rows: Documents, numbers: Mapping[str, int]) -> tuple[list[Row], list[Row]]:
    """The rows of `deed` and `deed_line` of these facts, of which all families are whole; ids are not coded.
    One whose document is none is left for the audit."""
    facts: list[Fact] = []
    laid: dict[str, tuple[list[Row], list[Row]]] = {}
    for id, values in rows.items():
        with suppress(*BROKEN):
            fact = Fact(id, values["v"][0][1], values.get("supersedes"), bool(values.get("void")))
            laid[id] = _laid(id, values, numbers)
            facts.append(fact)
    counted = counting(facts)
    deeds = [row for id in laid if id in counted for row in laid[id][0]]
    return deeds, [row for id in laid if id in counted for row in laid[id][1]]


def _laid(id: str, values: Mapping[str, JSON], numbers: Mapping[str, int]) -> tuple[list[Row], list[Row]]:
    deeds: list[Row] = []
    lines: list[Row] = []
    n = number_of(id)
    for customer in {member.get("customer") for member in values.get("party") or ()} & numbers.keys():
        seen = as_seen_by(values, customer)
        deeds.append(
            (
                numbers[customer],
                n,
                values["at"],
                seen.kind,
                values.get("channel"),
                values.get("stage_reached"),
                values.get("outcome"),
                seen.role,
                values.get("effort_min") or 0,
                values.get("unit"),
                values.get("staff"),
            )
        )
        lines += [
            (
                numbers[customer],
                n,
                at,
                *figures(line, seen.kind)[:2],
                line.get("currency"),
                line.get("product"),
            )
            for at, line in enumerate(seen.lines)
        ]
    return deeds, lines


def _write(connection: Connection, rows: Documents) -> None:
    if not rows:
        return
    named = {
        member["customer"]
        for values in rows.values()
        for member in values.get("party") or ()
        if member.get("customer") is not None
    }
    deeds, lines = expected(rows, _numbers(connection, named))
    code = _codes(connection, {row[at] for row in deeds for at in (-1, -2)} | {row[-1] for row in lines})
    deeds.sort(key=_place)  # side by side in the file
    lines.sort(key=_place)
    connection.executemany(_INTO_DEED, [(*row[:-2], code.get(row[-2]), code.get(row[-1])) for row in deeds])
    connection.executemany(_INTO_LINE, [(*row[:-1], code.get(row[-1])) for row in lines])


def _place(row: Row) -> Row:
    return row[:2]


def _codes(connection: Connection, ids: set[JSON]) -> dict[JSON, int]:
    given = (_listed(ids - {None}),)
    connection.execute("INSERT OR IGNORE INTO coded (id) SELECT value FROM json_each(?)", given)
    return dict(connection.execute(f"SELECT id, n FROM coded WHERE id {_AMONG}", given).fetchall())


def _forget(connection: Connection, ids: Collection[str]) -> None:
    if ids:
        named = connection.execute(
            "SELECT c.n, e.id FROM element e JOIN card c ON c.id = e.key"
            f" WHERE e.entity = 'interaction' AND e.field = 'party' AND e.id {_AMONG}",
            (_listed(ids),),
        ).fetchall()
        gone = [(n, number_of(id)) for n, id in named]
        for table in ("deed", "deed_line"):
            connection.executemany(f"DELETE FROM {table} WHERE customer = ? AND id = ?", gone)


def _documents(connection: Connection, facts: Collection[str]) -> dict[str, Mapping[str, JSON]]:
    """What can be read of them."""
    rows: dict[str, Mapping[str, JSON]] = {}
    if facts:
        found = connection.execute(
            f"SELECT id, CAST(document AS BLOB) FROM row WHERE entity = 'interaction' AND id {_AMONG}"
            " AND level = ?",
            (_listed(facts), Level.INTERNAL),
        )
        for id, document in found.fetchall():
            with suppress(orjson.JSONDecodeError):
                rows[id] = orjson.loads(document)
    return rows


def _listed(values: Iterable[str]) -> str:
    """Sorted: the numbers they are given in the file do not depend on how sets are hashed."""
    return orjson.dumps(sorted(values, key=str)).decode()


# --- proof ------------------------------------------------------------------------------------------------


def differing(connection: Connection, customers: Documents, facts: Documents) -> set[tuple[str, str]]:
    """Those of these rows, by entity and id, of which the index says other than their documents do."""
    kept = connection.execute(f"SELECT id, {_COLUMNS} FROM card WHERE id {_AMONG}", (_listed(customers),))
    cards = {_card(id, values) for id, values in customers.items()} ^ set(kept.fetchall())
    named = [
        (member["customer"], id)
        for id, values in facts.items()
        for member in values.get("party") or ()
        if member.get("customer") is not None
    ]
    numbers = _numbers(connection, {customer for customer, _ in named})
    tied = family(connection, facts)
    ids = {number_of(id): id for id in facts}
    want = [*expected({id: values for id, values in facts.items() if id not in tied}, numbers)]
    for rows, more in zip(want, expected(_documents(connection, tied), numbers), strict=True):
        rows += [row for row in more if row[1] in ids]
    given = (orjson.dumps([(numbers[c], number_of(id)) for c, id in named if c in numbers]).decode(),)
    plain = [f"d.{name}" for name in ("customer", "id", *DEED[:-2])]
    deed = ", ".join([*plain, _decoded("unit"), _decoded("staff")])
    lines = [f"d.{name}" for name in ("customer", "id", "n", *LINE[:-1])]
    line = ", ".join([*lines, _decoded("product")])
    result = {("customer", str(id)) for id, *_ in cards}
    for table, columns, rows in zip(("deed", "deed_line"), (deed, line), want, strict=True):
        found = connection.execute(
            f"SELECT DISTINCT {columns} FROM json_each(?) p CROSS JOIN {table} d"
            " ON d.customer = p.value ->> 0 AND d.id = p.value ->> 1",
            given,
        )
        result |= {("interaction", ids[row[1]]) for row in set(rows) ^ set(found.fetchall())}
    return result


def _decoded(column: str) -> str:
    return f"(SELECT id FROM coded WHERE n = d.{column})"


def sweep(connection: Connection) -> None:
    """Take out of the index what no document stands behind."""
    connection.execute(
        "DELETE FROM card WHERE NOT EXISTS"
        " (SELECT 1 FROM find f WHERE f.entity = 'customer' AND f.id = card.id)"
    )
    named = connection.execute(
        "SELECT c.n, e.id FROM element e JOIN card c ON c.id = e.key"
        " WHERE e.entity = 'interaction' AND e.field = 'party'"
    )
    real = {(n, number_of(id)) for n, id in named}
    for table in ("deed", "deed_line"):
        kept = set(connection.execute(f"SELECT DISTINCT customer, id FROM {table}"))
        connection.executemany(f"DELETE FROM {table} WHERE customer = ? AND id = ?", list(kept - real))
