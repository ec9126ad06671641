"""What a connection is asked, counted."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any


class Counted:
    """A connection that counts what it is asked; `executemany` is one statement, however many rows it has."""

    def __init__(self, connection: sqlite3.Connection, count: Callable[[str], None]) -> None:
        self._connection = connection
        self._count = count

    def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
        self._count(sql)
        return self._connection.execute(sql, *given)

    def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:
        self._count(sql)
        return self._connection.executemany(sql, rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)
