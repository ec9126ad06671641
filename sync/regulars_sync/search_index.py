"""The index of tokens in a SQLite file, on server and tablet alike: full text over a column of tokens.

It keeps no text of its own: triggers tell it of rows that came and went. Whoever writes other tokens into a
row tells it the difference: `FORGET` what the column says and will not, then `LEARN` what it did not say.
What it was told to forget still stands in older segments; `optimize` makes one segment of all, without it.
"""

from __future__ import annotations

from typing import Any, Protocol, assert_never

from regulars_schema.search import Each, Either, Match, Token

_DDL = (
    "CREATE VIRTUAL TABLE {index} USING"
    " fts5({column}, content='{table}', content_rowid='{row}', detail=none, columnsize=0,"
    " tokenize='ascii')",
    "CREATE TRIGGER {index}_came AFTER INSERT ON {table} BEGIN"
    " INSERT INTO {index}(rowid, {column}) VALUES(new.{row}, new.{column}); END",
    "CREATE TRIGGER {index}_gone AFTER DELETE ON {table} BEGIN"
    " INSERT INTO {index}({index}, rowid, {column}) VALUES('delete', old.{row}, old.{column}); END",
    "INSERT INTO {index}({index}) VALUES('rebuild')",
)

FORGET = "INSERT INTO {index}({index}, rowid, {column}) VALUES('delete', ?, ?)"
LEARN = "INSERT INTO {index}(rowid, {column}) VALUES(?, ?)"
"""Of a row and tokens. Both for each row, in this order, so that it counts as many rows as there are."""


class Connection(Protocol):
    def execute(self, sql: str, /) -> Any: ...


def ddl(index: str, table: str, column: str, row: str) -> list[str]:
    """The statements that make the index of a column; `row` is the table's INTEGER PRIMARY KEY."""
    return [statement.format(index=index, table=table, column=column, row=row) for statement in _DDL]


def optimize(connection: Connection, index: str) -> None:
    """Leave nothing in the index of what it was told to forget; its old pages are overwritten."""
    connection.execute(f"INSERT INTO {index}({index}) VALUES('optimize')")


def check(connection: Connection, index: str) -> None:
    """Raises the driver's error of a damaged database when the index is not that of its column."""
    connection.execute(f"INSERT INTO {index}({index}, rank) VALUES('integrity-check', 1)")


def rebuild(connection: Connection, index: str) -> None:
    connection.execute(f"INSERT INTO {index}({index}) VALUES('rebuild')")


def empty(connection: Connection, index: str, table: str, column: str, row: str) -> None:
    """Delete all rows of the table, and all of its index without telling it of each."""
    for trigger in ("came", "changed", "gone"):  # `changed` stands in older files
        connection.execute(f"DROP TRIGGER IF EXISTS {index}_{trigger}")
    connection.execute(f"DELETE FROM {table}")
    connection.execute(f"INSERT INTO {index}({index}) VALUES('delete-all')")
    for statement in ddl(index, table, column, row):
        if statement.startswith("CREATE TRIGGER"):
            connection.execute(statement)


def query(match: Match) -> str:
    """What `{index} MATCH ?` is given."""
    match match:
        case Token(text, begins):
            return f'"{text}"*' if begins else f'"{text}"'
        case Each(parts):
            return f"({' AND '.join(map(query, parts))})"
        case Either(parts):
            return f"({' OR '.join(map(query, parts))})"
    assert_never(match)
