"""What waits for a person, as it comes up: the log's tail, looked at with the reader's own eyes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum

import strawberry

from regulars_server.graph.declared import valued
from regulars_server.graph.history import LoggedChange, logged
from regulars_server.graph.identities import IdentityReview
from regulars_server.graph.live.following import LOG
from regulars_server.graph.request import Context
from regulars_server.graph.rows import Node
from regulars_server.graph.types import TYPES, Identity
from regulars_server.pull import check_cursor
from regulars_server.storage.interface import All, Any_, Chosen, Order, Tail, Test, Torn
from regulars_sync import cursor, document
from regulars_sync.cursor import Cursor
from regulars_sync.history import opened

ENTRIES_MAX = 500
"""Entries of the log in one step."""
RIGHT = "admin:identities"


@strawberry.enum(description="待办种类 · What there is to decide.")
class ReviewKind(Enum):
    IDENTITY = valued("identity", "是否同一人 · Whether two customers are one person; head office only")
    CONTESTED = valued("contested", "字段有分歧 · Which value of a field is right")
    HELD = valued("held", "被搁置的修改 · What becomes of a change that was held or rejected")


@strawberry.type(description="One thing that waits for a person.")
class Review:
    kind: ReviewKind = strawberry.field(description="What there is to decide.")
    identity: IdentityReview | None = strawberry.field(description="Of IDENTITY: the pair.")
    row: Node | None = strawberry.field(description="Of CONTESTED: the row, with every value in `contested`.")
    paths: list[str] = strawberry.field(description="Of CONTESTED: the fields on which writers disagree.")
    change: LoggedChange | None = strawberry.field(description="Of HELD: the change, and why it waits.")
    pos: strawberry.Private[int]


class Reviewing:
    """Where one reader stands. `after` None is now. `Refused`: cursor_invalid, and not_allowed for a kind."""

    def __init__(self, context: Context, after: str | None, kinds: Collection[ReviewKind]) -> None:
        self._storage = context.service.storage
        self._kinds = frozenset(kinds)
        if self._kinds == {ReviewKind.IDENTITY}:
            context.principal.require(RIGHT)
        self._checked = after is None
        self._at = None if after is None else cursor.decode(after, self._storage.chain.secret)
        self.more = False

    @property
    def cursor(self) -> str:
        assert self._at is not None
        return cursor.encode(self._at, self._storage.chain.secret)

    async def step(self, context: Context) -> list[Review]:
        """What came up since the last step. `Refused` cursor_expired, epoch_changed, chain_other."""
        pos = self._at.scopes.get(LOG, 0) if self._at is not None else 0
        # Read before the reader's own snapshot, which so knows all that is in it.
        async with self._storage.unscoped_reader() as reader:
            head = await reader.head()
            if not self._checked:
                assert self._at is not None
                await check_cursor(self._storage, reader, head, self._at, frozenset())
                self._checked = True
            tail = await reader.tail(pos, ENTRIES_MAX if self._at is not None else 0)
        is_first = self._at is None
        reached = tail.entries[-1].pos if tail.entries else tail.end
        self.more = not is_first and reached < tail.end
        chain = self._storage.chain
        self._at = Cursor(chain.id, chain.epoch, head.seq, head.mark, {LOG: reached}, head.floor)
        if is_first or not tail.entries:
            return []
        found: list[Review] = []
        if ReviewKind.HELD in self._kinds and not all(entry.accepted for entry in tail.entries):
            found += await self._held(context, pos, reached)
        if ReviewKind.CONTESTED in self._kinds and any(entry.accepted for entry in tail.entries):
            found += await self._contested(context, pos, reached)
        if ReviewKind.IDENTITY in self._kinds and RIGHT in context.principal.rights:
            found += await self._identities(context, tail)
        return sorted(found, key=lambda review: review.pos)

    async def _held(self, context: Context, pos: int, reached: int) -> list[Review]:
        async with context.reading() as reader:
            entries = await reader.open_entries(ENTRIES_MAX, pos)
        changes = [
            (entry.pos, change)
            for entry in entries
            if entry.pos <= reached and (change := logged(context, opened(entry), keep=True)) is not None
        ]
        context.spend(len(changes))
        return [_review(ReviewKind.HELD, pos, change=change) for pos, change in changes]

    async def _contested(self, context: Context, pos: int, reached: int) -> list[Review]:
        async with context.reading() as reader:
            choices = await reader.choices(ENTRIES_MAX, reached + 1, Chosen(bare=False))
        latest: dict[tuple[str, str], tuple[int, set[str]]] = {}
        for choice in reversed(choices):
            entry = choice.entry
            if choice.pos > pos and entry.entity in TYPES:
                paths = latest.get((entry.entity, entry.id), (0, set()))[1]
                latest[entry.entity, entry.id] = choice.pos, {*paths, *(entry.detail or {}).get("beside", ())}
        reviews = []
        for (name, id), (at, paths) in latest.items():
            node = await context.related(TYPES[name], id)
            if node is not None:
                registers = document.decode(node.row.documents)
                open_ = sorted(p for p in paths if p in registers and len(registers[p].values) > 1)
                if open_:
                    reviews.append(_review(ReviewKind.CONTESTED, at, row=node, paths=open_))
        return reviews

    async def _identities(self, context: Context, tail: Tail) -> list[Review]:
        at = {entry.id: entry.pos for entry in tail.entries if entry.accepted and entry.entity == "identity"}
        if not at:
            return []
        entity, among = context.entity(Identity), Test("id", "in", sorted(at))
        waits = Any_((Test("decision", "eq", "proposed"), Torn()))
        rows = await context.select(entity, All((among, waits)), Order(), len(at))
        torn = await context.select(entity, All((among, Torn())), Order(), len(at))
        ids = {row.id for row in torn}
        return [
            _review(
                ReviewKind.IDENTITY,
                at[row.id],
                identity=IdentityReview(identity=context.node(Identity, row), contradictory=row.id in ids),
            )
            for row in rows
        ]


def _review(
    kind: ReviewKind,
    pos: int,
    identity: IdentityReview | None = None,
    row: Node | None = None,
    paths: Sequence[str] = (),
    change: LoggedChange | None = None,
) -> Review:
    return Review(kind=kind, identity=identity, row=row, paths=list(paths), change=change, pos=pos)
