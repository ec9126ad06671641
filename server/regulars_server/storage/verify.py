"""Whether a log is still the one that was written."""

from __future__ import annotations

from collections.abc import Iterable

from regulars_sync.errors import LocalError
from regulars_sync.log import START, Entry, entry_hash


def check_log(entries: Iterable[Entry], stamp_max: int, file: str) -> int:
    """The number of entries; `LocalError("file_damaged")` names the first one that does not fit.

    The highest accepted stamp stands beside the log too, so that a log whose end was cut off is found.
    """
    before, pos, highest = START, 0, 0
    for entry in entries:
        pos += 1
        if not (entry.pos == pos and entry.hash == entry_hash(before, entry) and entry.is_sealed()):
            raise LocalError("file_damaged", file=file, reason=f"log entry {pos} is not as it was written")
        before, highest = entry.hash, max(highest, entry.stamp)
    if highest < stamp_max:
        reason = f"the log ends with entry {pos}, before what the rows hold: its end was cut off, or put back"
        raise LocalError("file_damaged", file=file, reason=reason)
    return pos
