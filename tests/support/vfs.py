"""SQLite's own VFS with a listener: every write, cut, sync and deletion may be noted, or made to fail.

Its methods are put into a table of ours that asks first. Python's driver must use the same library.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OK, FULL, IO_WRITE, IO_FSYNC = 0, 13, 778, 1034
"""SQLite's result codes."""

_Write = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Truncate = CFUNCTYPE(c_int, c_void_p, c_int64)
_Sync = CFUNCTYPE(c_int, c_void_p, c_int)
_Open = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_Delete = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
_VFS_POINTERS, _IO_POINTERS = 16, 18


class _Vfs(Structure):
    """sqlite3_vfs of version 3."""

    _fields_ = (
        ("iVersion", c_int),
        ("szOsFile", c_int),
        ("mxPathname", c_int),
        ("pNext", c_void_p),
        ("zName", c_char_p),
        ("pAppData", c_void_p),
        ("xOpen", c_void_p),
        ("xDelete", c_void_p),
        ("others", c_void_p * (_VFS_POINTERS - 2)),
    )


class _Methods(Structure):
    """sqlite3_io_methods of version 3."""

    _fields_ = (
        ("iVersion", c_int),
        ("xClose", c_void_p),
        ("xRead", c_void_p),
        ("xWrite", c_void_p),
        ("xTruncate", c_void_p),
        ("xSync", c_void_p),
        ("others", c_void_p * (_IO_POINTERS - 5)),
    )


@dataclass
class _Opened:
    path: str
    write: Any
    truncate: Any
    sync: Any


class Listener:
    """Hears of the files below a folder. Each answers with SQLite's code: not `OK`, and it fails."""

    def writing(self, path: str, at: int, data: int, size: int) -> int:
        """Before so many bytes from this address are written."""
        return OK

    def cutting(self, path: str, size: int) -> int:
        """Before a file is cut to this size."""
        return OK

    def synced(self, path: str) -> int:
        """After a file was synced."""
        return OK

    def deleting(self, path: str) -> int:
        return OK


def _library() -> ctypes.CDLL:
    """The SQLite that Python's driver is linked to."""
    maps = Path("/proc/self/maps").read_text()
    (path,) = set(re.findall(r"(/\S*libsqlite3\S*)", maps))
    return ctypes.CDLL(path)


def _text(name: int) -> str:
    return ctypes.string_at(name).decode()


@contextmanager
def heard(folder: Path, listener: Listener) -> Iterator[None]:
    """Let it hear of all that connections opened within do to files below the folder."""
    library = _library()
    library.sqlite3_vfs_find.restype = c_void_p
    real = _Vfs.from_address(library.sqlite3_vfs_find(None))
    ours = _Vfs.from_buffer_copy(real)
    ours.zName = b"heard"
    real_open, real_delete = _Open(real.xOpen), _Delete(real.xDelete)
    kept: list[Any] = []  # what C code points to

    def is_ours(name: int) -> bool:
        return _text(name).startswith(str(folder))

    # A name is passed on as the pointer that it is: SQLite keeps it, and more stands behind it.
    def open_(vfs: int, name: int | None, file: int, flags: int, out: int | None) -> int:
        code = int(real_open(ctypes.addressof(real), name, file, flags, out))
        if code == OK and name is not None and is_ours(name):
            kept.append(_follow(file, _text(name), listener))
        return code

    def delete(vfs: int, name: int, is_durable: int) -> int:
        failed = listener.deleting(_text(name)) if is_ours(name) else OK
        return failed or int(real_delete(ctypes.addressof(real), name, is_durable))

    pointers = _Open(open_), _Delete(delete)
    ours.xOpen, ours.xDelete = (ctypes.cast(p, c_void_p).value for p in pointers)
    kept += [ours, *pointers]
    library.sqlite3_vfs_register(ctypes.byref(ours), 1)
    try:
        yield
    finally:
        library.sqlite3_vfs_unregister(ctypes.byref(ours))
        library.sqlite3_vfs_register(ctypes.byref(real), 1)
        _STILL_OPEN.append(kept)


_STILL_OPEN: list[Any] = []
"""What files that were opened within may still point to."""


def _follow(file: int, path: str, listener: Listener) -> Any:
    """Put our methods in the place of the file's own; what must be kept for it."""
    place = ctypes.cast(file, POINTER(c_void_p))
    real = _Methods.from_address(place[0])
    ours = _Methods.from_buffer_copy(real)
    opened = _Opened(path, _Write(real.xWrite), _Truncate(real.xTruncate), _Sync(real.xSync))

    def write(file: int, data: int, size: int, at: int) -> int:
        return listener.writing(path, at, data, size) or int(opened.write(file, data, size, at))

    def truncate(file: int, size: int) -> int:
        return listener.cutting(path, size) or int(opened.truncate(file, size))

    def sync(file: int, flags: int) -> int:
        return int(opened.sync(file, flags)) or listener.synced(path)

    pointers = _Write(write), _Truncate(truncate), _Sync(sync)
    ours.xWrite, ours.xTruncate, ours.xSync = (ctypes.cast(p, c_void_p).value for p in pointers)
    place[0] = ctypes.addressof(ours)
    return ours, opened, pointers
