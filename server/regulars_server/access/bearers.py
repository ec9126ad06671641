"""The text form of a bearer token: `rgl_dev_...`, 32 random bytes in base 62, and a checksum.

The prefix lets secret scanners find a leaked one; the checksum tells a typo apart without a look-up.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Literal
from zlib import crc32

Kind = Literal["device", "developer", "session"]

SECRET_BYTES = 32
_PREFIXES: dict[Kind, str] = {"device": "rgl_dev_", "developer": "rgl_api_", "session": "rgl_ses_"}
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_CHARS = 43
_CHECK_CHARS = 6
_FORM = re.compile(rf"(?:{'|'.join(_PREFIXES.values())})[0-9A-Za-z]{{{_SECRET_CHARS + _CHECK_CHARS}}}")


def write(kind: Kind, secret: bytes) -> str:
    """The bearer with these 32 random bytes."""
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"secret must be {SECRET_BYTES} bytes, not {len(secret)}")
    text = _PREFIXES[kind] + spell(int.from_bytes(secret), _DIGITS, _SECRET_CHARS)
    return text + _check(text)


def is_whole(bearer: str) -> bool:
    """Whether the form and the checksum are right; it says nothing of who it belongs to."""
    return _FORM.fullmatch(bearer) is not None and _check(bearer[:-_CHECK_CHARS]) == bearer[-_CHECK_CHARS:]


def digest(bearer: str) -> str:
    """What is stored of it. The secret is random, so a plain hash can't be guessed back."""
    return sha256(bearer.encode()).hexdigest()


def spell(number: int, digits: str, chars: int) -> str:
    """The last `chars` places of a number in the base of these digits."""
    text = ""
    for _ in range(chars):
        number, place = divmod(number, len(digits))
        text = digits[place] + text
    return text


def _check(text: str) -> str:
    return spell(crc32(text.encode()), _DIGITS, _CHECK_CHARS)
