"""What ails a process: its disk and its clock.

One side sets it, the other one suffers it at once, through a few bytes in a file that both have mapped.
"""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.vfs import FULL, IO_FSYNC, IO_WRITE, OK, Listener

KINDS = ("well", "full", "I/O error", "fsync error")
"""`full` is for where no disk of a size can be mounted."""
_CODES = (OK, FULL, IO_WRITE, IO_FSYNC)
_KIND, _SHIFT, _MET, _SIZE = 0, 8, 16, 24


class Ailments:
    """Both ends of the file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        if not file.exists():
            file.write_bytes(bytes(_SIZE))
        with file.open("r+b") as opened:
            self._bytes = mmap.mmap(opened.fileno(), _SIZE)

    @property
    def kind(self) -> int:
        return self._bytes[_KIND]

    def set(self, kind: str) -> None:
        self._bytes[_KIND] = KINDS.index(kind)

    @property
    def shift_ms(self) -> int:
        """How far its clock is off."""
        return int(struct.unpack_from("<q", self._bytes, _SHIFT)[0])

    @shift_ms.setter
    def shift_ms(self, ms: int) -> None:
        struct.pack_into("<q", self._bytes, _SHIFT, ms)

    @property
    def met(self) -> int:
        """How many operations failed of it."""
        return int(struct.unpack_from("<q", self._bytes, _MET)[0])

    def meet(self) -> None:
        struct.pack_into("<q", self._bytes, _MET, self.met + 1)


class Patient(Listener):
    """A disk that does what the file says."""

    def __init__(self, ailments: Ailments) -> None:
        self._ailments = ailments

    def _fails(self, *kinds: str) -> int:
        kind = self._ailments.kind
        if KINDS[kind] not in kinds:
            return OK
        self._ailments.meet()
        return _CODES[kind]

    def writing(self, path: str, at: int, data: int, size: int) -> int:
        return self._fails("full", "I/O error")

    def cutting(self, path: str, size: int) -> int:
        return self._fails("I/O error")

    def synced(self, path: str) -> int:
        return self._fails("fsync error")


@contextmanager
def shifted(ailments: Ailments) -> Iterator[None]:
    """`time.time` and `time.time_ns` say what the file says; nothing else of `time` does."""
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + ailments.shift_ms / 1000
    time.time_ns = lambda: real_ns() + ailments.shift_ms * 1_000_000
    try:
        yield
    finally:
        time.time, time.time_ns = real, real_ns
