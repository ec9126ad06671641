"""Who syncs: of all processes that share a replica one holds the lease; the kernel takes it from a dead one.

The others read and write as always; what they write goes out with the holder's next round.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from regulars_sync.errors import LocalError


class Lease:
    """The lock on `<replica>.lock`. The shop that has it may take it again, and then gives it up as often."""

    def __init__(self, replica: Path) -> None:
        self._lock = FileLock(f"{replica}.lock", thread_local=False, blocking=False, fallback_to_soft=False)

    def take(self) -> bool:
        """Whether it is ours now; nothing waits. `LocalError("disk_full")`."""
        try:
            self._lock.acquire()
        except Timeout:
            return False
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise LocalError("disk_full", file=Path(self._lock.lock_file).name) from error
            raise
        return True

    def give_up(self) -> None:
        self._lock.release()

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """Ours within the block, if it can be had."""
        is_ours = self.take()
        try:
            yield is_ours
        finally:
            if is_ours:
                self.give_up()
