"""Content codings of bodies, for both ends: zstd, gzip, none. What comes in is never trusted to be small."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

from zstandard import ZstdCompressor, ZstdDecompressor, ZstdError

from regulars_sync.errors import Refused

ZSTD, GZIP, IDENTITY = "zstd", "gzip", "identity"
OFFERED = f"{ZSTD}, {GZIP}"
WORTH_BYTES_MIN = 1_024
"""Below this a coding saves nothing."""
ZSTD_LEVEL, GZIP_LEVEL = 3, 1
WINDOW_BYTES_MAX = 8 * 1024 * 1024
"""What RFC 9659 lets a zstd body ask of its reader's memory."""
PIECE_BYTES = 4 * 1024 * 1024
"""What a piece of a body that goes on may become, at most."""
GZIP_PIECE_BYTES = 256 * 1024
"""The same of gzip, which is as quick in small pieces and holds each of them twice."""
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


class Pieces:
    """What comes in, taken out of its coding in pieces of about `piece_bytes`, however much it stands for.

    `Refused` encoding_unknown, body_invalid.
    """

    def __init__(self, coding: str, piece_bytes: int = PIECE_BYTES) -> None:
        self._coding = coding.strip().lower() or IDENTITY
        self._piece_bytes = piece_bytes
        if self._coding == ZSTD:
            self._zstd = ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX).decompressobj()
        elif self._coding == GZIP:
            self._piece_bytes = min(piece_bytes, GZIP_PIECE_BYTES)
            self._gzip = zlib.decompressobj(zlib.MAX_WBITS | 16)
        elif self._coding != IDENTITY:
            raise Refused("encoding_unknown", encoding=coding[:40])

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        if self._coding == IDENTITY:
            yield chunk
            return
        try:
            if self._coding == GZIP:
                self._refuse_if(self._gzip.eof and bool(chunk))
                piece = b""
                while chunk or len(piece) == self._piece_bytes:
                    piece = self._gzip.decompress(chunk, self._piece_bytes)
                    chunk = self._gzip.unconsumed_tail
                    yield piece
            else:
                size = max(16, self._piece_bytes // GROWTH_MAX)
                for at in range(0, len(chunk), size):
                    self._refuse_if(self._zstd.eof)
                    yield self._zstd.decompress(chunk[at : at + size])
        except (zlib.error, ZstdError) as error:
            raise Refused("body_invalid", reason=f"{self._coding}: {error}") from None

    def end(self) -> None:
        """What stops halfway, or goes on behind its end, is refused."""
        if self._coding != IDENTITY:
            stream = self._zstd if self._coding == ZSTD else self._gzip
            self._refuse_if(not stream.eof or bool(stream.unused_data))

    def _refuse_if(self, is_over: bool) -> None:
        if is_over:
            raise Refused("body_invalid", reason=f"the {self._coding} stream is not whole")


class Incoming:
    """A body as it comes in, taken out of its coding piece by piece: about `bytes_max` is held at most.

    `Refused` as for `Pieces`, and body_too_large.
    """

    def __init__(self, coding: str, bytes_max: int) -> None:
        self._pieces = Pieces(coding, min(PIECE_BYTES, bytes_max + 1))
        self._bytes_max = bytes_max
        self._plain = bytearray()

    def feed(self, chunk: bytes) -> None:
        for piece in self._pieces.feed(chunk):
            self._plain += piece
            if len(self._plain) > self._bytes_max:
                raise Refused("body_too_large", bytes_max=self._bytes_max)

    def end(self) -> bytes:
        """The whole body."""
        self._pieces.end()
        return bytes(self._plain)
