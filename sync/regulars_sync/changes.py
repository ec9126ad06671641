"""The change: the only thing that ever alters a row, on a tablet or at head office.

Its bytes are made once, when its stamp is fixed, and never again: what is sent, logged, compared
and replayed is always the same bytes. Its number `n` is not among them, because a replica that
finds itself copied numbers its changes anew; it travels in the push around them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Literal

import msgspec

GROUP_CHANGES_MAX = 1_000
GROUP_BYTES_MAX = 1024 * 1024
SEEN_MAX = 1_000
"""How many cids one field's `seen` may name."""

NAME_CHARS_MAX = 400
"""Of an entity's name, an id, an actor, a path with its element's key."""

Source = Literal["staff_visit", "self_form", "agency", "import", "pos", "rule"]
Verified = Literal["unverified", "pending", "verified", "rejected"]


class Value(msgspec.Struct, omit_defaults=True, frozen=True, gc=False):
    value: Any
    source: Source | None = None
    verified: Verified | None = None


class Stated(msgspec.Struct, omit_defaults=True, frozen=True):
    """What the device's clock said, and the offset in ms that the first sending measured."""

    at: int
    offset: int = 0


class Change(msgspec.Struct, omit_defaults=True, frozen=True, kw_only=True):
    cid: str
    group: str
    """The cid of the first change of its transaction."""
    size: int = 1
    op: Literal["create", "edit"]
    entity: str
    id: str
    fields: dict[str, Value]
    seen: dict[str, list[str]] = {}
    stamp: int | None = None
    stated: Stated
    schema: int
    actor: str | None = None
    replaces: str | None = None


class Named(msgspec.Struct):
    """As much of a change as must be readable to answer for it."""

    cid: str


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Change)
_named = msgspec.json.Decoder(Named)


class Malformed(ValueError):
    """Bytes that are no change; `cid` is known where at least that could be read."""

    def __init__(self, reason: str, cid: str | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cid = cid


def is_cid(text: object) -> bool:
    """Whether this is 128 bits in lower-case hex."""
    return isinstance(text, str) and len(text) == 32 and not text.strip("0123456789abcdef")


def encode(change: Change) -> bytes:
    return _encoder.encode(change)


def decode(raw: bytes) -> Change:
    """The change in these bytes; `Malformed` when they hold none."""
    try:
        change = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        try:
            cid = _named.decode(mask_lone_surrogates(raw)).cid
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            cid = ""
        raise Malformed(str(error), cid if is_cid(cid) else None) from None
    reason = _misshapen(change)
    if reason:
        raise Malformed(reason, change.cid if is_cid(change.cid) else None)
    return change


_ESCAPE = re.compile(
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)


def mask_lone_surrogates(raw: bytes) -> bytes:
    """The same JSON, as long, with a `?` for each escaped half of a character: no decoder takes those.

    So a batch can be taken apart although one of its changes holds what is no text.
    """
    return _ESCAPE.sub(lambda found: b"\\u003f" if found[2] else found[0], raw)


def _misshapen(change: Change) -> str | None:
    if not (is_cid(change.cid) and is_cid(change.group)):
        return "cid and group are 32 lower-case hex digits"
    names = (change.entity, change.id, change.actor or "", *change.fields)
    if max(map(len, names)) > NAME_CHARS_MAX or "\x00" in "".join(names):
        # no storage could keep it in the log, where a refused change stands too
        return f"entity, id, actor and paths are at most {NAME_CHARS_MAX} characters without NUL"
    if not 0 <= change.schema < 2**31:
        return "schema is out of range"
    if change.replaces is not None and not is_cid(change.replaces):
        return "replaces is a cid"
    if not 1 <= change.size <= GROUP_CHANGES_MAX:
        return f"size lies between 1 and {GROUP_CHANGES_MAX}"
    if not -(2**53) < change.stated.at < 2**53 or not -(2**53) < change.stated.offset < 2**53:
        return "stated is out of range"
    if change.stamp is not None and not -(2**63) <= change.stamp < 2**63:
        return "stamp is out of range"
    for path, cids in change.seen.items():
        if path not in change.fields:
            return f"seen names {path[:80]!r}, which the change does not write"
        if len(cids) > SEEN_MAX or not all(map(is_cid, cids)) or change.cid in cids:
            return f"seen of {path[:80]!r} is a short list of other changes' cids"
    return None


def groups(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """Consecutive changes of one transaction together, in order."""
    for _, members in groupby(changes, key=lambda change: change.group):
        yield list(members)


def grouped(drafted: Sequence[Change]) -> list[Change]:
    """The changes of one transaction, tied together under the cid of the first."""
    first, size = drafted[0].cid, len(drafted)
    return [msgspec.structs.replace(change, group=first, size=size) for change in drafted]
