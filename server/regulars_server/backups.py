"""Copies of a chain's database, made while it is used, and one of them put back.

A copy is a file of SQLite's own and, beside it, what the journal said: `NAME.db` and `NAME.journal.jsonl`.
Both appear whole or not at all. What was erased or revoked after a copy was made is so again when it is
put back, as long as either journal still says it; tablets offer again what the server lost.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from regulars_server.journal import JOURNAL, Journal
from regulars_server.storage.migrations import APPLICATION_ID, STEPS
from regulars_sync.errors import LocalError

PAGES_A_STEP = 1_024
EPOCH_BYTES = 8

Progress = Callable[[int, int], None]
"""Is told of pages done and of pages in all."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What a copy holds."""

    file: str
    chain: str
    seq: int
    """Of its last commit."""
    at_ms: int
    """When that commit was made; 0 when nothing was ever committed."""
    bytes: int


def journal_of(copy: Path) -> Path:
    return copy.with_name(f"{copy.stem}.{JOURNAL}")


def back_up(database: Path, copy: Path, on_progress: Progress = lambda done, total: None) -> Copy:
    """Copy a chain that may be in use: the state of one instant, checked, durable when this returns.

    `LocalError`: file_exists, file_damaged (the copy is thrown away), disk_full.
    """
    with (
        appearing(copy, database.parent) as part,
        closing(sqlite3.connect(database, isolation_level=None)) as source,
        closing(sqlite3.connect(part, isolation_level=None)) as target,
    ):
        source.execute("BEGIN")
        source.execute("SELECT 1 FROM chain").fetchone()  # from here on the copy is of this instant
        source.backup(
            target, pages=PAGES_A_STEP, progress=lambda _, left, total: on_progress(total - left, total)
        )
        target.execute("PRAGMA journal_mode=DELETE")
    return look(copy)


@contextmanager
def appearing(copy: Path, folder: Path) -> Iterator[Path]:
    """A file to be filled: it gets its name, and the journal beside it, when it is a whole chain."""
    if copy.exists() or journal_of(copy).exists():
        raise LocalError("file_exists", file=str(copy))
    part = copy.with_name(f"{copy.name}.part")
    part.unlink(missing_ok=True)
    try:
        part.touch(mode=0o600)
        # the journal first: a revocation that comes in between is in the database or in both
        journal = lines(folder / JOURNAL)
        yield part
        look(part)
        keep(journal, journal_of(copy))
        _sync(part)
        part.replace(copy)
        _sync(copy.parent)
    except sqlite3.DatabaseError as error:
        raise _said(error, copy) from error
    finally:
        part.unlink(missing_ok=True)


def look(copy: Path) -> Copy:
    """What a file holds, when it is a whole chain that this version can open.

    `LocalError`: file_missing, file_foreign, file_newer, file_damaged.
    """
    if not copy.is_file():
        raise LocalError("file_missing", file=str(copy))
    try:
        with closing(sqlite3.connect(f"{copy.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if application != APPLICATION_ID:
                raise LocalError("file_foreign", file=str(copy))
            if version > len(STEPS):
                raise LocalError("file_newer", file=str(copy), found=version, known=len(STEPS))
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if said != "ok":
                raise LocalError("file_damaged", file=str(copy), reason=said)
            (chain,) = connection.execute("SELECT id FROM chain").fetchone()
            at = "at_ms" if version > 1 else "0"
            seq, at_ms = connection.execute(
                f"SELECT seq, {at} FROM commit_mark ORDER BY seq DESC LIMIT 1"
            ).fetchone()
    except sqlite3.DatabaseError as error:
        raise _said(error, copy) from error
    return Copy(str(copy), chain, seq, at_ms, copy.stat().st_size)


def put_back(copy: Path, database: Path, aside: Path, epoch: str) -> Copy:
    """Let a chain go on from a copy, under another epoch; what was there is kept at `aside`.

    No server and no command may have the chain open: `LocalError("file_busy")`. `chain_other` when another
    chain is there. All or nothing, whenever power fails.
    """
    found = look(copy)
    fresh = database.with_name(f"{database.name}.restored")
    try:
        shutil.copyfile(copy, fresh)
        fresh.chmod(0o600)
        with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("UPDATE chain SET epoch=?", (epoch,))
        _sync(fresh)
        journal = joined(copy, database.parent)
        if database.exists():
            _set_aside(database, aside, found.chain)
        keep(journal, database.parent / JOURNAL)
        fresh.replace(database)
        _sync(database.parent)
    except sqlite3.DatabaseError as error:
        raise _said(error, database) from error
    finally:
        fresh.unlink(missing_ok=True)
    return found


def _set_aside(database: Path, aside: Path, chain: str) -> None:
    """Give it another name too, which it keeps once it is replaced."""
    try:
        if look(database).chain != chain:
            raise LocalError("chain_other")
        with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")  # which fails while anybody else has it open
    except sqlite3.OperationalError as error:
        raise LocalError("file_busy", file=str(database)) from error
    except LocalError as error:
        if error.code not in {"file_damaged", "file_foreign"}:  # else it is why there is a restore
            raise
    for end in ("", "-wal"):
        if (file := Path(f"{database}{end}")).exists():
            os.link(file, f"{aside}{end}")
    for end in ("-wal", "-shm"):
        Path(f"{database}{end}").unlink(missing_ok=True)


def joined(copy: Path, folder: Path) -> list[bytes]:
    """What the journal of a copy says, and that of the folder to which it goes."""
    return [*lines(journal_of(copy)), *lines(folder / JOURNAL)]


def lines(journal: Path) -> list[bytes]:
    """The whole lines; `LocalError("file_damaged")` for one that can't be read."""
    if not journal.exists():
        return []
    list(Journal(journal.parent, journal.name).records())
    return [line for line in journal.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def keep(said: list[bytes], file: Path) -> None:
    """Each line once."""
    if not said:
        return
    part = file.with_name(f"{file.name}.part")
    with part.open("wb") as writing:
        part.chmod(0o600)
        writing.write(b"".join(dict.fromkeys(said)))
        writing.flush()
        os.fsync(writing.fileno())
    part.replace(file)


def _sync(place: Path) -> None:
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _said(error: sqlite3.DatabaseError, file: Path) -> LocalError:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
            return LocalError("disk_full", file=str(file))
        case sqlite3.SQLITE_NOTADB:
            return LocalError("file_foreign", file=str(file))
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return LocalError("file_busy", file=str(file))
    return LocalError("file_damaged", file=str(file), reason=str(error))
