"""The cursor: how far a replica has read in each scope, opaque to it and signed by the server.

It names the chain, the server's epoch and the mark of the commit it was made at, so a server that
was restored to an older state recognises a reader that has seen what it lost.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b

import msgspec

from regulars_sync.errors import Refused


class Cursor(msgspec.Struct, frozen=True):
    chain: str
    epoch: str
    seq: int
    mark: str
    """64 random bits that the commit with this last seq wrote."""
    scopes: dict[str, int]
    """The seq up to which each granted scope was read."""
    floor: int = 0
    """The seq up to which departures had been dropped by then: of those the reader has missed none."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Cursor)


def _sign(secret: bytes, payload: bytes) -> bytes:
    return blake2b(payload, key=secret, digest_size=16).digest()


def encode(cursor: Cursor, secret: bytes) -> str:
    payload = _encoder.encode(cursor)
    return urlsafe_b64encode(_sign(secret, payload) + payload).decode()


def decode(text: str, secret: bytes) -> Cursor:
    """The cursor in this text; `Refused("cursor_invalid")` when this server never signed it."""
    try:
        raw = urlsafe_b64decode(text.encode("ascii"))
        same = urlsafe_b64encode(raw).decode() == text  # the decoder skips what is not of its alphabet
        if not (same and hmac.compare_digest(raw[:16], _sign(secret, raw[16:]))):
            raise Refused("cursor_invalid")
        return _decoder.decode(raw[16:])
    except (ValueError, msgspec.DecodeError):
        raise Refused("cursor_invalid") from None
