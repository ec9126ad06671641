"""The index of tokens of every searched table in a SQLite file."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter

from regulars_server.storage.sql.dialect import Connection
from regulars_server.storage.tables import TABLES
from regulars_sync import search_index

SEARCHED = {table.name: f"{table.name}_search" for table in TABLES.values() if table.search}
"""The index of each table that has one."""


def index(connection: Connection) -> None:
    """Make all of them, those that are there anew: a step may have written other tokens."""
    for table, name in SEARCHED.items():
        for trigger in ("came", "changed", "gone"):  # `changed` stands in files of the third step
            connection.execute(f"DROP TRIGGER IF EXISTS {name}_{trigger}")
        connection.execute(f"DROP TABLE IF EXISTS {name}")
        for statement in search_index.ddl(name, table, "search", "row"):
            connection.execute(statement)


def tell(connection: Connection, table: str, differences: Iterable[tuple[int, set[str], set[str]]]) -> None:
    """Tell the index of a table, in order of the rows, what the tokens of each lose and what they gain."""
    index, told = SEARCHED[table], sorted(differences, key=itemgetter(0))
    words = {"index": index, "column": "search"}
    connection.executemany(
        search_index.FORGET.format(**words), [(row, " ".join(out)) for row, out, _ in told]
    )
    connection.executemany(search_index.LEARN.format(**words), [(row, " ".join(in_)) for row, _, in_ in told])


def optimize(connection: Connection) -> None:
    for name in SEARCHED.values():
        search_index.optimize(connection, name)
