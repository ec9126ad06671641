"""Whether a log is still the one that was written."""

from __future__ import annotations

from collections.abc import Iterable

from regulars_sync.errors import LocalError
from regulars_sync.log import START, Entry, body_digest, entry_hash


def check_log(entries: Iterable[Entry], file: str) -> int:
    """The number of entries; `LocalError("file_damaged")` names the first one that does not fit."""
    before, pos = START, 0
    for entry in entries:
        pos += 1
        fits = entry.pos == pos and entry.hash == entry_hash(before, entry)
        if fits and entry.body is not None and entry.key is not None:
            fits = entry.digest == body_digest(entry.key, entry.body)
        if not fits:
            raise LocalError("file_damaged", file=file, reason=f"log entry {pos} is not as it was written")
        before = entry.hash
    return pos
