"""Whether a log is still the one that was written."""

from __future__ import annotations

from collections.abc import Iterable

from regulars_sync.errors import LocalError
from regulars_sync.log import START, Entry, entry_hash


def check_log(entries: Iterable[Entry], file: str) -> int:
    """The number of entries; `LocalError("file_damaged")` names the first one that does not fit."""
    before, pos = START, 0
    for entry in entries:
        pos += 1
        if not (entry.pos == pos and entry.hash == entry_hash(before, entry) and entry.is_sealed()):
            raise LocalError("file_damaged", file=file, reason=f"log entry {pos} is not as it was written")
        before = entry.hash
    return pos
