"""The index of tokens of every searched table in a SQLite file."""

from __future__ import annotations

from regulars_server.storage.sql.dialect import Connection
from regulars_server.storage.tables import TABLES
from regulars_sync import search_index

SEARCHED = {table.name: f"{table.name}_search" for table in TABLES.values() if table.search}
"""The index of each table that has one."""


def index(connection: Connection) -> None:
    """Make those that are not there yet."""
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    for table, name in SEARCHED.items():
        for statement in search_index.ddl(name, table, "search", "row") if name not in there else ():
            connection.execute(statement)


def optimize(connection: Connection) -> None:
    for name in SEARCHED.values():
        search_index.optimize(connection, name)
