"""The index of tokens in a SQLite file: a full-text table over the column `search`, kept by triggers.

It holds no text of its own, so what it forgets is said by the row itself. What was forgotten still stands in
its older segments; `optimize` makes one of all, without it.
"""

from __future__ import annotations

from typing import assert_never

from regulars_schema.search import Each, Either, Match, Token
from regulars_server.storage.sql.dialect import Connection
from regulars_server.storage.tables import TABLES

SEARCHED = tuple(table.name for table in TABLES.values() if table.search)

_INDEX = (
    "CREATE VIRTUAL TABLE {0}_search USING"
    " fts5(search, content='{0}', content_rowid='row', detail=none, tokenize='ascii')",
    "CREATE TRIGGER {0}_search_came AFTER INSERT ON {0} BEGIN"
    " INSERT INTO {0}_search(rowid, search) VALUES(new.row, new.search); END",
    "CREATE TRIGGER {0}_search_changed AFTER UPDATE OF search ON {0} WHEN new.search IS NOT old.search BEGIN"
    " INSERT INTO {0}_search({0}_search, rowid, search) VALUES('delete', old.row, old.search);"
    " INSERT INTO {0}_search(rowid, search) VALUES(new.row, new.search); END",
    "INSERT INTO {0}_search({0}_search) VALUES('rebuild')",
)


def index(connection: Connection) -> None:
    """Make the index of every table that has none yet."""
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    for name in SEARCHED:
        if f"{name}_search" not in there:
            for statement in _INDEX:
                connection.execute(statement.format(name))


def optimize(connection: Connection) -> None:
    """Leave nothing in the index of what it has forgotten; its pages are overwritten."""
    for name in SEARCHED:
        connection.execute(f"INSERT INTO {name}_search({name}_search) VALUES('optimize')")


def expression(match: Match) -> str:
    """As FTS5 says it."""
    match match:
        case Token(text, begins):
            return f'"{text}"*' if begins else f'"{text}"'
        case Each(parts):
            return f"({' AND '.join(map(expression, parts))})"
        case Either(parts):
            return f"({' OR '.join(map(expression, parts))})"
    assert_never(match)
