"""The append-only change log: the change as it came, what became of it, and the hash of all before.

An entry's hash covers a digest, under a key of its own, of all in it that may tell of a person: the body,
the field that is to blame, the detail. Erasure destroys these and the key; the digest stays, so the chain
of hashes still proves that nothing else was touched. A later entry of the same cid without a body says
that its verdict is another now.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

HASH_BYTES = 16
KEY_BYTES = 16
START = bytes(HASH_BYTES)

ACCEPTED = frozenset({"applied", "merged"})
OPEN = frozenset({"held", "rejected"})


@dataclass(slots=True, kw_only=True)
class Entry:
    """One entry. `pos` and `hash` are given when it is appended."""

    cid: str
    group: str
    entity: str
    id: str
    verdict: str
    code: str | None = None
    field: str | None = None
    detail: dict[str, Any] | None = None
    """What fills the message of `code`. Of an accepted change what was decided by itself:

    `beside` (path -> cids that stood there after it, the shown one first, where they had not seen each
    other), `older` (path of an older version -> path and value now), `normal` (typed path -> normal form),
    `filled` (field -> value taken from its writer, or said for a version that did not know it).
    """
    device: str | None = None
    incarnation: str | None = None
    n: int | None = None
    actor: str | None = None
    replaces: str | None = None
    closed: bool = False
    """Refused for good: a mend took its place or a person dropped it."""
    stamp: int = 0
    at_ms: int = 0
    body: bytes | None = None
    key: bytes | None = None
    digest: bytes = b""
    hash: bytes = b""
    pos: int = 0

    @property
    def is_accepted(self) -> bool:
        return self.verdict in ACCEPTED

    @property
    def reason(self) -> dict[str, Any] | None:
        """What fills the message of `code`, and may be told to the author."""
        return None if self.is_accepted else self.detail

    @property
    def is_open(self) -> bool:
        """Whether it still waits for a row, a person or a mend."""
        return self.verdict in OPEN and not self.closed

    @property
    def is_emptied(self) -> bool:
        """Whether erasure destroyed what it said."""
        return self.key is None and self.digest != b""

    def seal(self, key: bytes) -> None:
        """Let its digest cover what it says of a person, under this key."""
        self.key, self.digest = key, body_digest(key, self.body or b"", self.field, self.detail)

    def is_sealed(self) -> bool:
        """Whether its digest is that of what it says; one without a key says nothing of anybody."""
        if self.key is None:
            return self.body is None and self.field is None and self.detail is None
        return self.digest == body_digest(self.key, self.body or b"", self.field, self.detail)


def body_digest(
    key: bytes, body: bytes, field: str | None = None, detail: dict[str, Any] | None = None
) -> bytes:
    """The keyed digest of a body and what was said of it: without the key nobody can tell what it was of."""
    if field is None and detail is None:
        return blake2b(body, key=key, digest_size=HASH_BYTES).digest()
    said = orjson.dumps([field, detail])
    hashed = blake2b(said, key=key, digest_size=HASH_BYTES, person=b"regulars.said")
    hashed.update(body)
    return hashed.digest()


def entry_hash(before: bytes, entry: Entry) -> bytes:
    """The hash of an entry over the one before it; of what may tell of a person only the digest is in it."""
    said = (
        entry.cid, entry.group, entry.entity, entry.id, entry.verdict, entry.code, entry.device,
        entry.incarnation, entry.n, entry.actor, entry.replaces, entry.closed, entry.stamp, entry.at_ms,
    )  # fmt: skip
    return blake2b(before + entry.digest + repr(said).encode(), digest_size=HASH_BYTES).digest()
