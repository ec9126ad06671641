"""The journal: what must outlive a restore of the database, in a file beside it.

A database put back to an earlier state has forgotten who was shut out since. So what takes a right away
is written here first, durably, and carried out again at every start. One JSON object a line; `do` says
what was done:

    revoke, wipe    {device}         by `devices.replay`
    erase           {customer, ids}  by `erasure.replay`
    revoke_token    {token}          by `tokens.replay`
    shut_login, open_login  {login}  by `tokens.replay`: the last one counts

Nothing is ever taken out of it. A record is carried out any number of times with one effect.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from regulars_sync.errors import LocalError, Refused

JOURNAL = "journal.jsonl"


class Journal:
    """The journal of one chain's folder. Several processes may write; it holds nothing open."""

    def __init__(self, folder: Path, name: str = JOURNAL) -> None:
        self.path = folder / name

    def append(self, record: dict[str, Any]) -> None:
        """Keep a record; when this returns, power may fail. `Refused("storage_full")`.

        What a crash tore off before took no effect, since nobody got an answer: it is cut away.
        """
        line = orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
        try:
            is_new = not self.path.exists()
            with self.path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                whole = _whole(file.fileno())
                os.ftruncate(file.fileno(), whole)
                try:
                    file.write(line)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    os.ftruncate(file.fileno(), whole)
                    raise
            if is_new:
                _sync_folder(self.path.parent)
        except OSError as error:
            raise Refused("storage_full") from error

    def records(self) -> Iterator[dict[str, Any]]:
        """Every record, oldest first; a torn last line is none.

        Any other damage is `LocalError("file_damaged")`.
        """
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    record = orjson.loads(line)
                except orjson.JSONDecodeError:
                    record = None
                if not isinstance(record, dict):
                    raise LocalError("file_damaged", file=self.path.name, reason=f"line {number}")
                yield record


def _whole(file: int) -> int:
    """How many bytes whole lines take."""
    end = os.fstat(file).st_size
    tail = b""
    while end and b"\n" not in tail:
        begin = max(0, end - 65_536)
        tail = os.pread(file, end - begin, begin)
        if b"\n" in tail:
            return begin + tail.rindex(b"\n") + 1
        end = begin
    return 0


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
