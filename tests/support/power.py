"""Power that fails: what SQLite wrote is recorded, and the disk rebuilt as it may look when power fails.

SQLite's own VFS does all the work, and what it is told is noted (`vfs.py`). Python's driver must use the same
library, which `Recorder` makes sure of.

Of what a file was told before its last sync everything is there. Of what came after, some of it is: in any
order, and torn at sectors of 512 bytes. A file that was deleted is gone once any file was synced: that is how
journaling file systems keep their folders.
"""

from __future__ import annotations

import ctypes
import random
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.vfs import OK, Listener, heard

SECTOR_BYTES = 512


class Step(NamedTuple):
    """Something that a file was told, or that somebody was told (`acked`)."""

    do: str
    path: str
    at: int = 0
    data: bytes = b""


class Recorder(Listener):
    """Notes what SQLite does to the files below a folder, from entering to leaving."""

    def __init__(self, folder: Path) -> None:
        self.steps: list[Step] = []
        self.folder = folder
        self._is_over = False

    def acked(self, what: str) -> None:
        """Note that somebody was told that this is durable."""
        self._note("acked", what)

    def over(self) -> None:
        """Note nothing more."""
        self._is_over = True

    def _note(self, *step: Any) -> int:
        if not self._is_over:
            self.steps.append(Step(*step))
        return OK

    @contextmanager
    def recording(self) -> Iterator[None]:
        with heard(self.folder, self):
            yield
        assert any(step.do == "write" for step in self.steps), "Python's driver uses another SQLite"

    def writing(self, path: str, at: int, data: int, size: int) -> int:
        return self._note("write", path, at, ctypes.string_at(data, size))

    def cutting(self, path: str, size: int) -> int:
        return self._note("truncate", path, size)

    def synced(self, path: str) -> int:
        return self._note("sync", path)

    def deleting(self, path: str) -> int:
        return self._note("delete", path)


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
