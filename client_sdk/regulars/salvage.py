"""What a damaged outbox file still gives: every change that can be read, and who this tablet is.

Pages that are broken are gone around by reading ever smaller stretches. Where the first page is broken,
which says where everything is, that of a new file takes its place in a copy: the layout is the same.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from regulars_sync import changes

COLUMNS = "pos, cid, incarnation, n, trail, grp, entity, id, replaces, body, known, fixed, cleared"
ROWS_A_PAGE = 64
"""More than a page holds: how far positions may reach where nothing else tells."""
FACTS = (
    *("url", "token", "former_token", "device", "unit", "chain", "country", "last_stamp", "gap"),
    *("wiped", "refused", "purge", "lost"),
)


class Found(NamedTuple):
    said: dict[str, Any]
    incarnations: list[tuple[str, int, int, str]]
    """Id, place, last number, trail there."""
    changes: list[tuple[Any, ...]]
    """In the order of `COLUMNS`, by position."""

    @property
    def is_empty(self) -> bool:
        return not (self.said or self.incarnations or self.changes)


def salvage(damaged: Path, empty: Path) -> Found:
    """What can be read of the damaged file; `empty` is a new one of the same layout. Neither is altered."""
    found = _read(damaged)
    if not found.is_empty:
        return found
    copy = damaged.with_name(f"{damaged.name}.copy")
    try:
        shutil.copyfile(damaged, copy)
        with empty.open("rb") as source, copy.open("r+b") as target:
            page = bytearray(source.read(4096))
            page[28:32] = (copy.stat().st_size // 4096).to_bytes(4)  # pages of this file
            page[32:40] = bytes(8)  # none of them is known to be free
            page[92:96] = page[24:28]  # and that is to be believed
            target.write(page)
        return _read(copy)
    finally:
        for end in ("", "-wal", "-shm", "-journal"):
            Path(f"{copy}{end}").unlink(missing_ok=True)


def _read(path: Path) -> Found:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        said = dict(_all(connection, "SELECT name, value FROM said"))
        for name in FACTS if not said else ():
            said |= dict(_all(connection, "SELECT name, value FROM said WHERE name = ?", name))
        incarnations = _all(connection, "SELECT id, place, n, trail FROM incarnation ORDER BY place")
        rows = _stretch(connection, 1, _last(connection, path))
    return Found(said, incarnations, [row for row in rows if _is_whole(row)])


def _all(connection: sqlite3.Connection, sql: str, *given: Any) -> list[Any]:
    with suppress(sqlite3.DatabaseError):
        return connection.execute(sql, given).fetchall()
    return []


def _last(connection: sqlite3.Connection, path: Path) -> int:
    """A position beyond which there is no change."""
    for index in ("NOT INDEXED", "INDEXED BY change_n"):
        if found := _all(connection, f"SELECT max(pos) FROM change {index}"):
            return found[0][0] or 0
    return path.stat().st_size // 4096 * ROWS_A_PAGE


def _stretch(connection: sqlite3.Connection, first: int, last: int) -> list[tuple[Any, ...]]:
    sql = f"SELECT {COLUMNS} FROM change NOT INDEXED WHERE pos BETWEEN ? AND ? ORDER BY pos"
    if first > last:
        return []
    try:
        return connection.execute(sql, (first, last)).fetchall()
    except sqlite3.DatabaseError:
        if first == last:
            return []
    middle = (first + last) // 2
    return _stretch(connection, first, middle) + _stretch(connection, middle + 1, last)


def _is_whole(row: tuple[Any, ...]) -> bool:
    """Whether the row is a change that this file's own code could have written."""
    _, cid, incarnation, n, trail, *_, body, _known, _fixed, _cleared = row
    try:
        change = changes.decode(body)
    except (msgspec.DecodeError, TypeError, UnicodeDecodeError):
        return False
    texts = all(isinstance(text, str) for text in (incarnation, trail))
    return change.cid == cid and isinstance(n, int) and n > 0 and texts
