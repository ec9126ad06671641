"""Incarnations and trails: what counts as acknowledged, and how a copied replica finds out.

trail(0) = H(incarnation), trail(n) = H(trail(n-1), cid of n). A change is acknowledged when the
server's trail at its number equals the replica's own. Where they differ, the replica was restored
or cloned: it takes a new incarnation and numbers anew what is not acknowledged.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

TRAIL_BYTES = 16


def start(incarnation: str) -> str:
    return blake2b(incarnation.encode(), digest_size=TRAIL_BYTES).hexdigest()


def extend(trail: str, *cids: str) -> str:
    """The trail that many numbers on."""
    reached = bytes.fromhex(trail)
    for cid in cids:
        reached = blake2b(reached + bytes.fromhex(cid), digest_size=TRAIL_BYTES).digest()
    return reached.hex()


def acknowledged(own: Mapping[int, str], n: int, trail: str) -> bool:
    """Whether the server's word (`n`, `trail`) is about this very history: own[n] is the own trail at n."""
    return own.get(n) == trail
