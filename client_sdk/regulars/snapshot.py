"""A first sync by snapshot: a ready-made replica file, fetched from any byte on, caught up beside ours.

    branch.db.snapshot.part    as much of the compressed file as came
    branch.db.snapshot.etag    which file that is (`Tag`)
    branch.db.snapshot         unpacked and whole; pulls go on in it, and it becomes the replica at a head

Whatever stands there is only ever a start: deleting it costs time, nothing else.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import zstandard

from regulars.files import Connect
from regulars.replica import Replica, said
from regulars.transport import Download, Transport
from regulars_schema.declare import Registry
from regulars_sync.errors import LocalError, Offline
from regulars_sync.protocol import Problem

PATH = "/sync/v1/snapshot"
MEDIA = "application/vnd.regulars.replica+zstd"
PROBLEM_BYTES_MAX = 64 * 1024
_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})")
_problem = msgspec.json.Decoder(Problem)

Progress = Callable[[int, int], None]
"""Bytes done, bytes in all."""


class Tag(msgspec.Struct, frozen=True):
    """Which file is being fetched."""

    etag: str
    sha256: str
    bytes: int


class Snapshot:
    """The files of one replica's first sync."""

    def __init__(self, replica: Path, registry: Registry, connect: Connect, durable: bool = True) -> None:
        self.path = replica.with_name(f"{replica.name}.snapshot")
        self._part = replica.with_name(f"{replica.name}.snapshot.part")
        self._tag = replica.with_name(f"{replica.name}.snapshot.etag")
        self._registry = registry
        self._connect = connect
        self._durable = durable

    @property
    def _litter(self) -> list[Path]:
        beside = [Path(f"{self.path}{end}") for end in ("", ".new", "-journal", "-wal", "-shm")]
        return [self._tag, self._part, *beside]

    def discard(self) -> None:
        """Delete all of it."""
        for file in self._litter:
            file.unlink(missing_ok=True)

    async def open(self, chain: str | None) -> Replica | None:
        """What is here whole, as a replica of this chain and these declarations; deleted if it is none."""
        if not self.path.exists():
            return None
        made = Replica(self.path, self._registry, self._durable)
        try:
            await made.open(self._connect)
            theirs = await made.file.read(lambda connection: said(connection, "chain"))
            if chain in (None, theirs) and await made.cursor():
                return made
        except (LocalError, sqlite3.Error):
            pass
        await made.file.close()
        self.discard()
        return None

    async def fetch(self, transport: Transport, token: str, on_progress: Progress) -> int:
        """Bring the file here and unpack it; how many bytes came, 0 when there is none to be had.

        `Offline` when cut off: what came is kept. Not `Offline` when nothing came at all: a pull will tell.
        """
        came = 0
        for _ in range(2):  # what we have may be of no use; then it begins anew
            tag = self._kept_tag()
            start = self._part.stat().st_size if tag and self._part.exists() else 0
            if tag and start == tag.bytes:
                break
            before = start
            try:
                path = f"{PATH}?schema={self._registry.version}"
                async with transport.fetch(path, token, start, tag.etag if tag else None) as answer:
                    if answer.status not in {200, 206, 416}:
                        await _refused(answer)
                        self.discard()
                        return 0
                    if answer.status == 416 or not (tag := self._take(answer, start)):
                        self.discard()
                        continue
                    before = start = start if answer.status == 206 else 0
                    with self._part.open("r+b" if start else "wb") as file:
                        file.truncate(start)
                        file.seek(start)
                        async for chunk in answer.chunks:
                            start += file.write(chunk)
                            came += len(chunk)
                            on_progress(min(start, tag.bytes), tag.bytes)
                            if start > tag.bytes:
                                break
                if start < tag.bytes:
                    raise Offline("offline", reason="cut off")
            except Offline:
                if start > before:
                    raise
                return came
        tag = self._kept_tag()
        return came if tag and await self._unpack(tag) else 0

    def _kept_tag(self) -> Tag | None:
        try:
            return msgspec.json.decode(self._tag.read_bytes(), type=Tag)
        except (OSError, msgspec.DecodeError):
            return None

    def _take(self, answer: Download, start: int) -> Tag | None:
        """Which file the answer brings; None when it does not go on where ours ends.

        `Offline("answer_invalid")` when it is no snapshot at all.
        """
        headers = answer.headers
        media = headers.get("content-type", "").partition(";")[0].strip().lower()
        stretch = _RANGE.fullmatch(headers.get("content-range", ""))
        size = stretch[2] if stretch else headers.get("content-length", "")
        digest = re.fullmatch(r"sha-256=:([A-Za-z0-9+/=]{44}):", headers.get("repr-digest", ""))
        if media != MEDIA or not size.isdecimal() or digest is None or not headers.get("etag"):
            raise Offline("answer_invalid", status=answer.status)
        try:
            tag = Tag(headers["etag"], b64decode(digest[1]).hex(), int(size))
        except Base64Error as error:
            raise Offline("answer_invalid", status=answer.status) from error
        if answer.status == 206:
            return tag if stretch and int(stretch[1]) == start and tag == self._kept_tag() else None
        self.discard()
        self._tag.write_bytes(msgspec.json.encode(tag))
        return tag

    async def _unpack(self, tag: Tag) -> bool:
        """Whether the file came as it was made: it stands unpacked at `path` then, else nothing is left."""
        worker = await self._connect(Path(":memory:"))  # its thread holds nobody up
        try:
            is_whole = await worker.run(lambda _: self._unpack_here(tag))
        finally:
            await worker.close()
        if not is_whole:
            self.discard()
        return is_whole

    def _unpack_here(self, tag: Tag) -> bool:
        new = Path(f"{self.path}.new")
        with self._part.open("rb") as packed:
            if hashlib.file_digest(packed, "sha256").hexdigest() != tag.sha256:
                return False
            packed.seek(0)
            with new.open("wb") as file:
                try:
                    zstandard.ZstdDecompressor().copy_stream(packed, file)
                except zstandard.ZstdError:
                    return False
                file.flush()
                if self._durable:
                    os.fsync(file.fileno())
        new.replace(self.path)
        self._part.unlink()
        self._tag.unlink(missing_ok=True)
        return True


async def _refused(answer: Download) -> Problem:
    """The server's refusal; `Offline("answer_invalid")` when it is somebody else's."""
    body = b""
    async for chunk in answer.chunks:
        body += chunk
        if len(body) > PROBLEM_BYTES_MAX:
            break
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        return _problem.decode(body)
    raise Offline("answer_invalid", status=answer.status)
