"""The index of facts that count is a function of the rows that a replica holds, however they came."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.entities import REGISTRY
from regulars_sync import audit, deeds, replica_layout
from regulars_sync.protocol import Rows

SCOPE = "unit:one"
CUSTOMERS = ("ann", "bob")
FACTS = ("f0", "f1", "f2", "f3", "f4")


@st.composite
def documents(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """One unchanging document for each fact; any of them may correct or void any other."""
    found = {}
    for id in FACTS:
        party = [{"customer": c} for c in draw(st.lists(st.sampled_from(CUSTOMERS), max_size=2, unique=True))]
        of: dict[str, Any] = {
            "id": id,
            "at": f"2026-11-{draw(st.integers(10, 12))}T00:00:00.000Z",
            "party": party,
        }
        of["kind"] = draw(st.sampled_from(["purchase", "return", "visit"]))
        of["v"] = [["cid", draw(st.integers(1, 3))]]
        if draw(st.booleans()):
            of["lines"] = [{"product": "p", "amount": 5}]
        if (former := draw(st.sampled_from([None, *FACTS]))) not in (None, id):
            of |= {"supersedes": former, "void": draw(st.booleans())}
        found[id] = of
    return found


STEPS = st.lists(
    st.tuples(st.booleans(), st.sets(st.sampled_from(CUSTOMERS + FACTS), min_size=1)), max_size=12
)


def opened() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in replica_layout.DDL.split(";\n"):
        connection.execute(statement)
    return connection


def move(
    connection: sqlite3.Connection, ids: set[str], rows: dict[str, dict[str, Any]], enters: bool
) -> None:
    for entity, among in (("interaction", FACTS), ("customer", CUSTOMERS)):
        mine = sorted(ids & set(among))
        if enters:
            raws = [msgspec.Raw(orjson.dumps(rows[id])) for id in mine]
            replica_layout.enter(connection, REGISTRY, Rows(SCOPE, entity, raws))
        else:
            replica_layout.leave(connection, SCOPE, entity, mine)


def said(connection: sqlite3.Connection) -> list[list[Any]]:
    """The index, whatever numbers stand in it."""
    deed = f"SELECT c.id, d.* FROM {deeds.DEEDS} d JOIN card c ON c.n = d.customer"
    line = f"SELECT c.id, l.* FROM {deeds.LINES} l JOIN card c ON c.n = l.customer"
    tables = [connection.execute(sql).fetchall() for sql in ("SELECT id, name FROM card", deed, line)]
    return [
        sorted((row[0], *row[2:]) for row in table) if at else sorted(table)
        for at, table in enumerate(tables)
    ]


@given(documents(), STEPS)
def test_it_is_that_of_the_rows_that_are_there_in_whatever_order_they_came_and_went(facts, steps):
    rows = facts | {id: {"id": id, "name": id, "v": [["cid", 1]]} for id in CUSTOMERS}
    held: set[str] = set()
    with closing(opened()) as connection, closing(opened()) as fresh:
        for enters, ids in steps:
            move(connection, ids, rows, enters)
            held = held | ids if enters else held - ids
        move(fresh, held, rows, True)
        assert said(connection) == said(fresh)
        assert audit.look(connection, REGISTRY, audit.START, 100).is_whole
        connection.execute("PRAGMA user_version = 2")
        replica_layout.reindex(connection, REGISTRY)
        assert said(connection) == said(fresh)


DAMAGE = (
    "DELETE FROM deed",
    "UPDATE deed SET kind = 'call'",
    "UPDATE deed_line SET amount = 7",
    "DELETE FROM deed_line",
    "UPDATE card SET name = 'x'",
    "DELETE FROM card",
    "INSERT INTO deed (customer, id, at, kind) VALUES (1, 1, '2026-01-01T00:00:00.000Z', 'visit')",
    "INSERT INTO card (id, name) VALUES ('gone', 'x')",
)


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_audit_finds_and_mends_what_the_documents_do_not_say(damage):
    party = [{"customer": "ann"}]
    fact = {"id": "f0", "at": "2026-11-10T00:00:00.000Z", "kind": "purchase", "party": party, "v": [["c", 1]]}
    rows: dict[str, dict[str, Any]] = {
        "f0": {**fact, "lines": [{"amount": 5}]},
        "ann": {"id": "ann", "name": "Ann", "v": [["c", 1]]},
    }
    with closing(opened()) as connection:
        move(connection, {"f0", "ann"}, rows, True)
        whole = said(connection)
        connection.execute(damage)
        audit.whole(connection, REGISTRY)
        assert said(connection) == whole
        assert [len(table) for table in whole] == [1, 1, 1]


def test_an_index_that_was_cut_off_while_it_was_made_goes_on_where_it_was(monkeypatch):
    monkeypatch.setattr(replica_layout, "REINDEX_ROWS", 2)
    rows = {
        id: {"id": id, "at": "2026-11-10T00:00:00.000Z", "kind": "visit", "party": [{"customer": "ann"}]}
        | {"v": [["c", 1]]}
        for id in FACTS
    }
    rows["ann"] = {"id": "ann", "name": "Ann", "v": [["c", 1]]}
    with closing(opened()) as connection:
        move(connection, set(rows), rows, True)
        whole = said(connection)
        connection.execute("PRAGMA user_version = 2")
        slices = 0
        while not replica_layout.reindex_some(connection, REGISTRY):
            slices += 1
            assert not replica_layout.is_indexed(connection, REGISTRY)
        assert slices == 3
        assert said(connection) == whole
        assert replica_layout.is_indexed(connection, REGISTRY)
