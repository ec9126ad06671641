"""Content codings of bodies, for both ends: zstd, gzip, none. What comes in is never trusted to be small."""

from __future__ import annotations

import gzip
import zlib

from zstandard import ZstdCompressor, ZstdDecompressor, ZstdError

from regulars_sync.errors import Refused

ZSTD, GZIP, IDENTITY = "zstd", "gzip", "identity"
OFFERED = f"{ZSTD}, {GZIP}"
WORTH_BYTES_MIN = 1_024
"""Below this a coding saves nothing."""
ZSTD_LEVEL, GZIP_LEVEL = 3, 1
WINDOW_BYTES_MAX = 8 * 1024 * 1024
"""What RFC 9659 lets a zstd body ask of its reader's memory."""
GROWTH_MAX = 32_768
"""A zstd block of 4 bytes may stand for 128 KiB."""


def choose(accepted: str) -> str:
    """The coding for an answer, by the caller's Accept-Encoding."""
    offered = {}
    for part in accepted.lower().split(","):
        name, _, weight = part.partition(";")
        offered[name.strip()] = weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return next((coding for coding in (ZSTD, GZIP) if offered.get(coding)), IDENTITY)


def encode(body: bytes, coding: str) -> bytes:
    if coding == ZSTD:
        return ZstdCompressor(level=ZSTD_LEVEL).compress(body)
    return gzip.compress(body, GZIP_LEVEL, mtime=0) if coding == GZIP else body


class Incoming:
    """A body as it comes in, taken out of its coding piece by piece: about `bytes_max` is held at most.

    `Refused` encoding_unknown, body_too_large, body_invalid.
    """

    def __init__(self, coding: str, bytes_max: int) -> None:
        self._coding = coding.strip().lower() or IDENTITY
        self._bytes_max = bytes_max
        self._plain = bytearray()
        if self._coding == ZSTD:
            self._zstd = ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX).decompressobj()
        elif self._coding == GZIP:
            self._gzip = zlib.decompressobj(zlib.MAX_WBITS | 16)
        elif self._coding != IDENTITY:
            raise Refused("encoding_unknown", encoding=coding[:40])

    def feed(self, chunk: bytes) -> None:
        try:
            if self._coding == IDENTITY:
                self._take(chunk)
            elif self._coding == GZIP:
                self._take(self._gzip.decompress(chunk, self._room() + 1))
            else:
                at = 0
                while at < len(chunk):
                    size = max(16, self._room() // GROWTH_MAX)
                    self._take(self._zstd.decompress(chunk[at : at + size]))
                    at += size
        except (zlib.error, ZstdError) as error:
            raise Refused("body_invalid", reason=f"{self._coding}: {error}") from None

    def end(self) -> bytes:
        """The whole body; what stops halfway, or goes on behind its end, is refused."""
        if self._coding != IDENTITY:
            stream = self._zstd if self._coding == ZSTD else self._gzip
            if not stream.eof or stream.unused_data:
                raise Refused("body_invalid", reason=f"the {self._coding} stream is not whole")
        return bytes(self._plain)

    def _room(self) -> int:
        return self._bytes_max - len(self._plain)

    def _take(self, plain: bytes) -> None:
        self._plain += plain
        if len(self._plain) > self._bytes_max:
            raise Refused("body_too_large", bytes_max=self._bytes_max)
