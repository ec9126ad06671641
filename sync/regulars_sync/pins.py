"""PIN verifiers: what a tablet keeps so that a member of staff can sign in without a network.

A PIN is short, so a verifier only slows down whoever holds the file: four digits fall within minutes on
a good machine, eight within weeks. That is why a tablet holds those of its own unit's staff and no
others, and why a PIN opens the tablet's screen and never the server.
"""

from __future__ import annotations

import re
import unicodedata
from base64 import b64decode, b64encode
from hashlib import scrypt
from hmac import compare_digest

from regulars_sync.errors import Refused

SALT_BYTES = 16
PIN_CHARS_MIN, PIN_CHARS_MAX = 4, 64
# 16 MiB and some 40 ms on a tablet.
_LOG2_N, _R, _P = 14, 8, 1
# A verifier beyond these was not written here; checking it would only eat the tablet's memory.
_LOG2_N_MAX, _R_MAX, _P_MAX = 17, 16, 4
_HASH_BYTES = 32
_FORM = re.compile(
    r"scrypt\$(\d{1,2})\$(\d{1,2})\$(\d)\$([0-9A-Za-z+/]{22}==)\$([0-9A-Za-z+/]{43}=)", re.ASCII
)


def verifier(pin: str, salt: bytes) -> str:
    """The text that `fits` compares a PIN with; `salt` is sixteen random bytes drawn by the caller.

    Wide digits of a Chinese keyboard count as plain ones. `Refused("argument_invalid")` when the PIN is
    too short or too long, `ValueError` when the salt is.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"salt must be {SALT_BYTES} bytes, not {len(salt)}")
    plain = _plain(pin)
    if not PIN_CHARS_MIN <= len(plain) <= PIN_CHARS_MAX:
        raise Refused("argument_invalid", reason=f"A PIN has {PIN_CHARS_MIN} to {PIN_CHARS_MAX} characters.")
    hashed = _hash(plain, salt, _LOG2_N, _R, _P)
    return f"scrypt${_LOG2_N}${_R}${_P}${b64encode(salt).decode()}${b64encode(hashed).decode()}"


def fits(pin: str, verifier: str) -> bool:
    """Whether the verifier was made from this PIN. A text that is no verifier fits nothing."""
    found = _FORM.fullmatch(verifier)
    if found is None:
        return False
    log2_n, r, p = (int(found[i]) for i in (1, 2, 3))
    if not (1 <= log2_n <= _LOG2_N_MAX and 1 <= r <= _R_MAX and 1 <= p <= _P_MAX):
        return False
    plain = _plain(pin)
    if not PIN_CHARS_MIN <= len(plain) <= PIN_CHARS_MAX:
        return False
    return compare_digest(_hash(plain, b64decode(found[4]), log2_n, r, p), b64decode(found[5]))


def _plain(pin: str) -> str:
    return unicodedata.normalize("NFKC", pin).strip()


def _hash(plain: str, salt: bytes, log2_n: int, r: int, p: int) -> bytes:
    n = 1 << log2_n
    return scrypt(
        plain.encode(errors="surrogatepass"),
        salt=salt,
        n=n,
        r=r,
        p=p,
        # What OpenSSL counts: 128 r (n + p + 2), with some room.
        maxmem=256 * r * (n + p + 2),
        dklen=_HASH_BYTES,
    )
