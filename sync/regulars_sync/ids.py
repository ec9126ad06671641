"""Ids of rows: drawn where a person made the row, derived where two writers must agree without talking.

A derived id (UUIDv8, RFC 9562) is a hash of what the row is, so that a file read twice, or a link made on
two tablets, gives one row. A drawn id (UUIDv7) begins with its time, so that rows stored one after another
lie beside each other.
"""

from __future__ import annotations

from hashlib import blake2b

ENTROPY_BYTES = 10
_MS_BITS = 48
_VARIANT = 0b10 << 62
_LOW_62 = (1 << 62) - 1


def uuid7(ms: int, entropy: bytes) -> str:
    """The id of a row made at `ms` (Unix time in milliseconds), with ten random bytes drawn by the caller.

    Ids of different milliseconds sort by time, as text too; within one millisecond the entropy decides.
    74 of its 80 bits are used. `ValueError` when either argument can't be held.
    """
    if not 0 <= ms < 1 << _MS_BITS:
        raise ValueError(f"ms must be in 0..2**{_MS_BITS}, not {ms}")
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"entropy must be {ENTROPY_BYTES} bytes, not {len(entropy)}")
    drawn = int.from_bytes(entropy)
    return _spell(ms, 7, drawn >> 62 & 0xFFF, drawn)


def row_id(source: str, entity: str, external_id: str) -> str:
    """The id of the row that `source` (a cash system, a file) calls `external_id`, the same everywhere."""
    return _derive(b"regulars.row", source, entity, external_id)


def link_id(from_customer: str, to_customer: str, kind: str) -> str:
    """The id of a link, so that two tablets that link the same two customers make one row.

    The direction counts: a link from B to A is another row than one from A to B.
    """
    return _derive(b"regulars.link", from_customer, to_customer, kind)


def identity_id(one: str, other: str) -> str:
    """The id of the decision whether two customers are one, whichever is named first."""
    return _derive(b"regulars.same", *sorted((one, other)))


def made_id(entity: str, *parts: str) -> str:
    """The id of a row that is made of what it says in some of its fields (`Entity.made_of`)."""
    return _derive(b"regulars.made", entity, *parts)


def restored_id(entity: str, void: str) -> str:
    """The id under which a fact stands again whose void was reversed: once, however often that is done."""
    return _derive(b"regulars.again", entity, void)


def _derive(purpose: bytes, *parts: str) -> str:
    """UUIDv8 of the parts; each stands behind its length, so `("ab", "c")` and `("a", "bc")` differ."""
    digest = blake2b(digest_size=16, person=purpose)
    for part in parts:
        encoded = part.encode(errors="surrogatepass")
        digest.update(len(encoded).to_bytes(4))
        digest.update(encoded)
    drawn = int.from_bytes(digest.digest())
    return _spell(drawn >> 80, 8, drawn >> 64 & 0xFFF, drawn)


def _spell(high: int, version: int, middle: int, low: int) -> str:
    """48 bits, the version, 12 bits, the variant, 62 bits, in the canonical spelling."""
    bits = high << 80 | version << 76 | middle << 64 | _VARIANT | low & _LOW_62
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


WINDOW = "window", _derive(b"regulars.window")
"""(entity, id) of the one row that says from which edge on replicas hold facts."""
