"""What a tablet reads: pages of its scopes' feed, and at the head the proof that it holds the same.

A page is read from one snapshot. The last one, which reached the head of its own snapshot, carries
digests and the highest stamp of that very snapshot; and, where it was asked for, the digests of
buckets and all that some of them hold.
"""

from __future__ import annotations

import orjson

from regulars_server.storage.interface import FeedRows, Head, Reader, Storage
from regulars_sync import cursor
from regulars_sync.cursor import Cursor
from regulars_sync.errors import Refused
from regulars_sync.protocol import PAGE_BYTES_MAX, DigestRequest, PullRequest
from regulars_sync.reconcile import Author

BYTES = frozenset(range(256))
DAY_MS = 86_400_000


async def pull(
    storage: Storage,
    author: Author,
    request: PullRequest,
    now: int,
    rows_max: int,
    backup_days: int,
    rotate: bool = False,
) -> bytes:
    """The encoded PullAnswer; to a DigestRequest with what it asks, once the page reached the head.

    `Refused`: device_cloned, cursor_invalid, cursor_expired, chain_other, epoch_changed.
    """
    assert author.device is not None
    assert author.scopes is not None
    chain = storage.chain
    read: dict[str, int] = {}
    async with storage.reader(author.scopes) as reader:
        if await reader.is_cloned(author.device, request.acked):
            raise Refused("device_cloned")
        head = await reader.head()
        if request.cursor is not None:
            said = cursor.decode(request.cursor, chain.secret)
            await check_cursor(storage, reader, head, said, author.scopes)
            read = said.scopes
        after = {scope: read.get(scope, 0) for scope in sorted(author.scopes)}
        page = await reader.feed(after, max(1, min(request.rows_max, rows_max)), PAGE_BYTES_MAX)
        acks = await reader.acks(author.device, request.acked)
        proof = None
        compared: dict[str, object] = {}
        if not page.more:
            digests = await reader.digests(sorted(author.scopes))
            proof = {
                "digests": {scope: [*digest] for scope, digest in digests.items()},
                "stamp_max": head.stamp_max,
                "backup_ms": now - backup_days * DAY_MS,
            }
            if isinstance(request, DigestRequest):
                compared = await _compare(reader, author.scopes, request)
    reached = Cursor(chain.id, chain.epoch, head.seq, head.mark, dict(page.reached), head.floor)
    return orjson.dumps(
        {
            "chain": chain.id,
            "epoch": chain.epoch,
            "now": now,
            "cursor": cursor.encode(reached, chain.secret),
            "dropped": sorted(read.keys() - author.scopes),
            "acks": {incarnation: {"n": ack.n, "trail": ack.trail} for incarnation, ack in acks.items()},
            "head": proof,
            **compared,
            **({"rotate": True} if rotate else {}),
            "pages": [_rows(rows) for rows in page.rows],
        }
    )


async def _compare(reader: Reader, scopes: frozenset[str], asked: DigestRequest) -> dict[str, object]:
    """What the request asks about scopes that are granted; of contents as much as a page may hold."""
    found = {scope: await reader.buckets(scope) for scope in sorted(scopes & {*asked.scopes, *asked.buckets})}
    contents: list[dict[str, object]] = []
    size = 0
    for scope in sorted(found.keys() & asked.buckets.keys()):
        taken: list[int] = []
        for byte in sorted(set(asked.buckets[scope]) & BYTES):
            if (taken or contents) and size >= PAGE_BYTES_MAX:
                break
            taken.append(byte)
            size += found[scope][byte].size if byte in found[scope] else 0
        if taken:
            rows = await reader.bucket_rows(scope, taken)
            contents.append({"scope": scope, "buckets": taken, "rows": [_rows(part) for part in rows]})
    digests = {
        scope: {str(byte): [*bucket.digest] for byte, bucket in of.items()}
        for scope, of in found.items()
        if scope in asked.scopes
    }
    return {"buckets": digests, "contents": contents}


def _rows(rows: FeedRows) -> dict[str, object]:
    stored = orjson.Fragment(b"[" + b",".join(rows.documents) + b"]")
    erased = {"erased": list(rows.erased)} if rows.erased else {}
    return {"scope": rows.scope, "entity": rows.entity, "rows": stored, "left": list(rows.left), **erased}


async def check_cursor(
    storage: Storage, reader: Reader, head: Head, said: Cursor, scopes: frozenset[str]
) -> None:
    """Whether this reader's past is ours. A mark that we signed and do not know means we were restored.

    One that stopped in a scope below a floor that has risen since has missed departures there; below it marks
    are gone too.
    """
    if said.chain != storage.chain.id:
        raise Refused("chain_other")
    if said.epoch != storage.chain.epoch:
        raise Refused("epoch_changed")
    stopped = [at for scope, at in said.scopes.items() if scope in scopes and at]
    if head.floor > said.floor and min([said.seq, *stopped]) < head.floor:
        raise Refused("cursor_expired")
    is_latest = (said.seq, said.mark) == (head.seq, head.mark)
    if said.seq and not is_latest and not await reader.knows_mark(said.seq, said.mark):
        await storage.new_epoch()
        raise Refused("epoch_changed")
