"""A tablet's file that several open for the first time at one instant: all of them get the same one."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from regulars.files import File, explained
from regulars_sync.errors import LocalError

KIND = 77
DDL = "CREATE TABLE note (text TEXT);\nCREATE TABLE second (x);\nCREATE TABLE third (x)"


def at_once(times: int, work: Callable[[], None]) -> list[BaseException]:
    errors: list[BaseException] = []
    start = threading.Barrier(times)

    def one() -> None:
        start.wait()
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_all_who_open_a_new_file_at_once_get_it(tmp_path: Path) -> None:
    for n in range(100):
        path = tmp_path / f"{n}.db"

        def opens(path: Path = path) -> None:
            with closing(sqlite3.connect(path, isolation_level=None)) as connection, explained(path):
                File(path, KIND, DDL)._prepare(connection)
                connection.execute("INSERT INTO note VALUES ('here')")

        assert at_once(4, opens) == []
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT count(*) FROM note").fetchone() == (4,)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_is_being_made_by_another_program_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("CREATE TABLE theirs (x)")
        theirs.commit()
    before = path.read_bytes()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with pytest.raises(LocalError, match="file_foreign"):
            File(path, KIND, DDL)._prepare(connection)
        assert not connection.in_transaction
    assert path.read_bytes() == before
