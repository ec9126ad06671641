"""Digests: count and order-free hash of the documents that a scope holds.

Both ends hash the stored bytes as they were sent, so equal digests mean equal bytes. Where they differ,
the digests of 256 buckets, by the first byte of a document's hash, say in which rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

HASH_BYTES = 16


class Digest(NamedTuple):
    rows: int
    hash: str
    """32 hex digits: the exclusive or of the rows' hashes."""


EMPTY = Digest(0, bytes(HASH_BYTES).hex())


def row_hash(entity: str, document: bytes) -> bytes:
    """The hash of one stored document; its bytes hold its id."""
    return blake2b(document, digest_size=HASH_BYTES, person=entity.encode()[:16]).digest()


def buckets(hashes: Iterable[bytes]) -> dict[int, Digest]:
    """The digest of each bucket, by the first byte of a hash; those without rows are left out."""
    by_byte: dict[int, list[bytes]] = {}
    for hash in hashes:
        by_byte.setdefault(hash[0], []).append(hash)
    return {byte: add(EMPTY, found) for byte, found in sorted(by_byte.items())}


def add(digest: Digest, hashes: Iterable[bytes], sign: int = 1) -> Digest:
    """The digest with these rows added, or, with `sign` -1, taken out."""
    total = int(digest.hash, 16)
    rows = digest.rows
    for row in hashes:
        total ^= int.from_bytes(row)
        rows += sign
    return Digest(rows, f"{total:032x}")
