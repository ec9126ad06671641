"""What a file system does to a statement: it is full, it fails to read or write, somebody holds the lock."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any, cast

SAID = {
    "full": ("database or disk is full", sqlite3.SQLITE_FULL),
    "io_error": ("disk I/O error", sqlite3.SQLITE_IOERR),
    "locked": ("database is locked", sqlite3.SQLITE_BUSY),
}
HARMLESS = {"full": ("SELECT", "BEGIN", "ROLLBACK", "PRAGMA"), "io_error": ("ROLLBACK", "PRAGMA")}


@dataclass
class Trouble:
    """The `left`-th statement from now on fails; a full disk stays full until `end`."""

    kind: str | None = None
    left: int = 0
    met: bool = False
    said: str | None = None
    """What the last one that failed was told."""

    def begin(self, kind: str, left: int) -> None:
        self.kind, self.left, self.met = kind, left, False

    def end(self) -> None:
        self.kind, self.met = None, False

    def is_met(self, sql: str, locks: bool) -> bool:
        """Whether this statement fails; `locks`: it is the one that waits for the lock."""
        kind = self.kind
        if kind is None or not (locks if kind == "locked" else not sql.startswith(HARMLESS[kind])):
            return False
        self.left -= 1
        if self.left >= 0:
            return False
        self.met, self.said = True, kind
        if kind != "full":
            self.kind = None
        return True

    def meet(self, sql: str) -> None:
        if self.is_met(sql, sql.startswith("BEGIN IMMEDIATE")):
            text, code = SAID[str(self.said)]
            error = sqlite3.OperationalError(text)
            error.sqlite_errorcode = code
            raise error


class TroubledConnection:
    """A connection whose statements may fail; for everything else it is the connection."""

    def __init__(self, connection: sqlite3.Connection, trouble: Trouble) -> None:
        self.raw = self._connection = connection
        """For whoever only looks, and is no part of what is tried."""
        self._trouble = trouble
        self.close = connection.close

    def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
        if self._trouble.kind is not None:
            self._trouble.meet(sql)
        return self._connection.execute(sql, *given)

    def executemany(self, sql: str, rows: Any) -> sqlite3.Cursor:
        if self._trouble.kind is not None:
            self._trouble.meet(sql)
        return self._connection.executemany(sql, rows)

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class TroubledFile(sqlite3.Connection):
    """The same as a connection of SQLite's own kind, into which a snapshot is copied."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.trouble = Trouble()

    def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
        self.trouble.meet(sql)
        return super().execute(sql, *given)

    def executemany(self, sql: str, rows: Any) -> sqlite3.Cursor:
        self.trouble.meet(sql)
        return super().executemany(sql, rows)

    def look(self, sql: str, given: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """For whoever only looks, and is no part of what is tried."""
        return super().execute(sql, given).fetchall()


def troubled(connection: sqlite3.Connection, trouble: Trouble) -> sqlite3.Connection:
    return cast(sqlite3.Connection, TroubledConnection(connection, trouble))
