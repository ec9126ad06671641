"""The append-only change log: the change as it came, what became of it, and the hash of all before.

An entry's hash covers a digest of the body under a key of its own. Erasure destroys body and key;
the digest stays, so the chain of hashes still proves that nothing else was touched. A later entry
of the same cid without a body says that its verdict is another now.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

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
    def is_open(self) -> bool:
        """Whether it still waits for a row, a person or a mend."""
        return self.verdict in OPEN and not self.closed


def body_digest(key: bytes, body: bytes) -> bytes:
    """The keyed digest of a body: without the key nobody can tell what it was of."""
    return blake2b(body, key=key, digest_size=HASH_BYTES).digest()


def entry_hash(before: bytes, entry: Entry) -> bytes:
    """The hash of an entry over the one before it."""
    said = (
        entry.cid, entry.group, entry.entity, entry.id, entry.verdict, entry.code, entry.field, entry.device,
        entry.incarnation, entry.n, entry.actor, entry.replaces, entry.closed, entry.stamp, entry.at_ms,
    )  # fmt: skip
    return blake2b(before + entry.digest + repr(said).encode(), digest_size=HASH_BYTES).digest()
