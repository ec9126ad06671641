"""Power that fails: what SQLite wrote is recorded, and the disk rebuilt as it may look when power fails.

SQLite's own VFS does all the work; its methods that write, cut or sync a file are put into a table of ours
that notes the call first. Python's driver must use the same library, which `Recorder` makes sure of.

Of what a file was told before its last sync everything is there. Of what came after, some of it is: in any
order, and torn at sectors of 512 bytes. A file that was deleted is gone once any file was synced: that is how
journaling file systems keep their folders.
"""

from __future__ import annotations

import ctypes
import random
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

SECTOR_BYTES = 512

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


class Step(NamedTuple):
    """Something that a file was told, or that somebody was told (`acked`)."""

    do: str
    path: str
    at: int = 0
    data: bytes = b""


@dataclass
class _Opened:
    path: str
    write: Any
    truncate: Any
    sync: Any


def _library() -> ctypes.CDLL:
    """The SQLite that Python's driver is linked to."""
    maps = Path("/proc/self/maps").read_text()
    (path,) = set(re.findall(r"(/\S*libsqlite3\S*)", maps))
    return ctypes.CDLL(path)


class Recorder:
    """Notes what SQLite does to the files below a folder, from entering to leaving."""

    def __init__(self, folder: Path) -> None:
        self.steps: list[Step] = []
        self.folder = folder
        self._is_over = False
        self._kept: list[Any] = []
        """What C code points to."""

    def acked(self, what: str) -> None:
        """Note that somebody was told that this is durable."""
        self._note("acked", what)

    def over(self) -> None:
        """Note nothing more."""
        self._is_over = True

    def _note(self, *step: Any) -> None:
        if not self._is_over:
            self.steps.append(Step(*step))

    @contextmanager
    def recording(self) -> Iterator[None]:
        library = _library()
        library.sqlite3_vfs_find.restype = c_void_p
        real = _Vfs.from_address(library.sqlite3_vfs_find(None))
        ours = _Vfs.from_buffer_copy(real)
        ours.zName = b"recorder"
        real_open, real_delete = _Open(real.xOpen), _Delete(real.xDelete)

        # A name is passed on as the pointer that it is: SQLite keeps it, and more stands behind it.
        def open_(vfs: int, name: int | None, file: int, flags: int, out: int | None) -> int:
            code = int(real_open(ctypes.addressof(real), name, file, flags, out))
            if code == 0 and name is not None and self._is_ours(name):
                self._follow(file, _text(name))
            return code

        def delete(vfs: int, name: int, is_durable: int) -> int:
            if self._is_ours(name):
                self._note("delete", _text(name))
            return int(real_delete(ctypes.addressof(real), name, is_durable))

        pointers = _Open(open_), _Delete(delete)
        ours.xOpen, ours.xDelete = (ctypes.cast(p, c_void_p).value for p in pointers)
        self._kept += [ours, *pointers]
        library.sqlite3_vfs_register(ctypes.byref(ours), 1)
        try:
            yield
        finally:
            library.sqlite3_vfs_unregister(ctypes.byref(ours))
            library.sqlite3_vfs_register(ctypes.byref(real), 1)
        assert any(step.do == "write" for step in self.steps), "Python's driver uses another SQLite"

    def _is_ours(self, name: int) -> bool:
        return _text(name).startswith(str(self.folder))

    def _follow(self, file: int, path: str) -> None:
        """Put our methods in the place of the file's own."""
        place = ctypes.cast(file, POINTER(c_void_p))
        real = _Methods.from_address(place[0])
        ours = _Methods.from_buffer_copy(real)
        opened = _Opened(path, _Write(real.xWrite), _Truncate(real.xTruncate), _Sync(real.xSync))

        def write(file: int, data: int, size: int, at: int) -> int:
            self._note("write", path, at, ctypes.string_at(data, size))
            return int(opened.write(file, data, size, at))

        def truncate(file: int, size: int) -> int:
            self._note("truncate", path, size)
            return int(opened.truncate(file, size))

        def sync(file: int, flags: int) -> int:
            code = int(opened.sync(file, flags))
            self._note("sync", path)
            return code

        pointers = _Write(write), _Truncate(truncate), _Sync(sync)
        ours.xWrite, ours.xTruncate, ours.xSync = (ctypes.cast(p, c_void_p).value for p in pointers)
        self._kept += [ours, opened, *pointers]
        place[0] = ctypes.addressof(ours)


def _text(name: int) -> str:
    return ctypes.string_at(name).decode()


@dataclass
class Failed:
    """Power failed: what the disk holds, and what had been acknowledged by then."""

    images: dict[str, bytes]
    """Path -> bytes."""
    acked: list[str]


def failures(steps: Iterable[Step], name: str, chance: random.Random, shapes: int) -> Iterator[Failed]:
    """The disks to be found, for files whose names begin so, when power fails before or behind a sync of one
    of them, or behind an acknowledgement: so many shapes of each."""
    durable: dict[str, bytearray | None] = {}
    pending: dict[str, list[Step]] = {}
    acked: list[str] = []

    def fail() -> Iterator[Failed]:
        for _ in range(shapes):
            images = {}
            for path, told in pending.items():
                kept = durable.get(path)
                image = _after(None if kept is None else bytearray(kept), _some(told, chance))
                if image is not None:
                    images[path] = bytes(image)
            yield Failed(images, list(acked))

    for step in steps:
        if step.do == "acked":
            acked.append(step.path)
            yield from fail()
        elif step.path.rpartition("/")[2].startswith(name):
            told = pending.setdefault(step.path, [])
            if step.do != "sync":
                told.append(step)
                continue
            yield from fail()
            durable[step.path] = _after(durable.get(step.path), told)
            told.clear()
            for path, others in pending.items():  # a folder is kept in order with what is in it
                gone = max((at for at, one in enumerate(others, 1) if one.do == "delete"), default=0)
                if gone:
                    durable[path] = None
                    del others[:gone]
            yield from fail()


def _some(told: list[Step], chance: random.Random) -> list[Step]:
    """What of unsynced steps reached the disk: nothing, or torn pieces of some in any order."""
    for at, step in enumerate(told):
        if step.do == "delete":
            return [step, *_some(told[at + 1 :], chance)] if chance.random() < 0.5 else []
    mode = chance.random()
    if mode < 0.4:
        return []
    kept = [step for step in told if chance.random() < 0.6]
    chance.shuffle(kept)
    return [_torn(step, chance) if mode < 0.8 else step for step in kept]


def _torn(step: Step, chance: random.Random) -> Step:
    sectors = -(-len(step.data) // SECTOR_BYTES)
    if step.do != "write" or sectors < 2:
        return step
    first = chance.randrange(sectors)
    last = chance.randint(first + 1, sectors)
    return step._replace(
        at=step.at + first * SECTOR_BYTES, data=step.data[first * SECTOR_BYTES : last * SECTOR_BYTES]
    )


def _after(image: bytearray | None, told: Iterable[Step]) -> bytearray | None:
    for step in told:
        if step.do == "delete":
            image = None
            continue
        image = bytearray() if image is None else image
        if step.do == "truncate":
            image = image[: step.at] + bytes(max(0, step.at - len(image)))
            continue
        image += bytes(max(0, step.at - len(image)))
        image[step.at : step.at + len(step.data)] = step.data
    return image


def lay_out(images: dict[str, bytes], folder: Path) -> None:
    """Write these files into a folder, and nothing else."""
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    for path, image in images.items():
        (folder / Path(path).name).write_bytes(image)


def is_whole(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.execute("PRAGMA integrity_check")) == [("ok",)]
