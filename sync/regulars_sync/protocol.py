"""What travels between tablet and server. JSON over HTTP; docs/PROTOCOL.md explains each part.

    GET  /sync/v1                -> Hello         what this server serves; without a token
    POST /sync/v1/pull   PullRequest -> PullAnswer    a page of rows; the last one carries a `Head`
    POST /sync/v1/digest DigestRequest -> PullAnswer  a pull; where the replica differs, what belongs there
    POST /sync/v1/push   PushRequest -> PushAnswer    a verdict for each change
    POST /sync/v1/pair   PairRequest -> PairAnswer    a single-use code for a device token
    POST /sync/v1/rotate Rotate      -> RotateAnswer  another token; the present one still serves for a day
    POST /sync/v1/wiped  Wiped       -> WipedAnswer   a device that was shut out holds nothing any more
    POST /sync/v1/lookup LookupRequest -> LookupAnswer  customers of other units, who come with the next pull
    any refusal                      -> Problem       with what a push still needs, to a known device

PROTOCOL_VERSION history: 1 - the first.
"""

from __future__ import annotations

from typing import Any

import msgspec

from regulars_sync.digest import Digest

PROTOCOL_VERSION = 1
PAGE_ROWS_MAX = 1_000
PAGE_BYTES_MAX = 4 * 1024 * 1024
PUSH_CHANGES_MAX = 2_000
PUSH_BYTES_MAX = 4 * 1024 * 1024
"""Above the limit of one group by far, so every server accepts one whole group."""


class Served(msgspec.Struct, frozen=True):
    """Of the declarations: the server's version, and the oldest that is sent rows."""

    version: int
    oldest: int


class Hello(msgspec.Struct, frozen=True):
    protocol: int
    schema: Served
    now: int


class Acked(msgspec.Struct, frozen=True):
    """The server has every change of an incarnation up to `n`; their trail is `trail`."""

    n: int
    trail: str


class Contact(msgspec.Struct, frozen=True):
    """What a push needs from a contact, also from one that refused the pull."""

    now: int
    """The server's clock, ms."""
    acks: dict[str, Acked] = {}


class PullRequest(msgspec.Struct, omit_defaults=True):
    schema: int
    cursor: str | None = None
    acked: dict[str, int] = {}
    """The device's incarnations and what each believes acknowledged; the answer speaks of these."""
    rows_max: int = PAGE_ROWS_MAX


class DigestRequest(PullRequest, omit_defaults=True):
    """A pull from where the replica stands, with questions that are answered at a head only."""

    scopes: list[str] = []
    """The digests of their buckets are asked for."""
    buckets: dict[str, list[int]] = {}
    """Scope -> buckets, all of which is asked for; as many are answered as fit."""


class Rows(msgspec.Struct, omit_defaults=True):
    """Documents of one entity in one scope, as stored; and the ids of rows that left that scope."""

    scope: str
    entity: str
    rows: list[msgspec.Raw] = []
    left: list[str] = []
    erased: list[str] = []
    """Those of `left` that were erased: own changes about them lose what they say too."""


class Head(msgspec.Struct):
    """Proof that comes with the page that reached the head of its own read snapshot."""

    digests: dict[str, tuple[int, str]]
    """Scope -> count and hash of what it holds."""
    stamp_max: int
    """The highest accepted stamp."""
    backup_ms: int = 0
    """The server's oldest restorable backup, by its clock: what it had acknowledged before is safe."""


class Contents(msgspec.Struct):
    """All that some buckets of a scope hold: it takes the place of what the replica has of them."""

    scope: str
    buckets: list[int]
    rows: list[Rows]


class PullAnswer(msgspec.Struct, omit_defaults=True):
    chain: str
    epoch: str
    now: int
    cursor: str
    acks: dict[str, Acked] = {}
    """Of the same snapshot; what a push needs even where the page can't be kept."""
    pages: list[Rows] = []
    dropped: list[str] = []
    """Scopes no longer granted: everything that only they held goes."""
    head: Head | None = None
    buckets: dict[str, dict[int, Digest]] | None = None
    """Of the scopes that were asked about, at this head; a bucket without rows is left out."""
    contents: list[Contents] = []
    """To be put in their place after the pages."""
    rotate: bool = False
    """The device's token is old: ask for another one."""


class Gap(msgspec.Struct, frozen=True):
    """Numbers of an older incarnation that the device no longer has."""

    incarnation: str
    first: int
    last: int


class PushRequest(msgspec.Struct, omit_defaults=True):
    incarnation: str
    n: int
    """The number of the first change; the others follow without gaps."""
    schema: int
    changes: list[msgspec.Raw]
    gap: Gap | None = None


class Verdict(msgspec.Struct, omit_defaults=True, frozen=True):
    cid: str
    verdict: str
    """applied, merged, held or rejected; a newer server may say more."""
    code: str | None = None
    field: str | None = None
    detail: dict[str, Any] | None = None
    message: str | None = None


class PushAnswer(msgspec.Struct):
    now: int
    acked: Acked
    verdicts: list[Verdict]


class PairRequest(msgspec.Struct, omit_defaults=True):
    code: str
    name: str
    schema: int


class PairAnswer(msgspec.Struct):
    token: str
    device: str
    unit: str
    chain: str
    country: str | None


class Rotate(msgspec.Struct):
    """The device asks for the token that follows its own: the same, however often it asks."""


class RotateAnswer(msgspec.Struct):
    token: str


class Wiped(msgspec.Struct):
    """The device, which was shut out, holds nothing any more that the server has."""


class WipedAnswer(msgspec.Struct):
    """The server knows that the device is wiped, since when it first said so."""

    wiped_at: str


class LookupRequest(msgspec.Struct):
    """The customers with exactly this key, wherever they are at home."""

    field: str
    """phones, emails, member_no or external_ids."""
    key: str


class LookupAnswer(msgspec.Struct):
    """Their ids, and those of who is the same person. They come with the next pull."""

    customers: list[str]


class Problem(msgspec.Struct, omit_defaults=True):
    """A refusal: a stable code, its detail, a message in the caller's language."""

    code: str
    message: str = ""
    detail: dict[str, Any] = {}
    retryable: bool = False
    contact: Contact | None = None
