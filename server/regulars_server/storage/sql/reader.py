"""The interface's reader and writer over one open transaction: each call is one call on its connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from regulars_schema.declare import JSON
from regulars_schema.rules.totals import Numbers
from regulars_server.storage.interface import (
    Alike,
    Batch,
    Bucket,
    Choice,
    Chosen,
    Commit,
    EqualKey,
    FeedPage,
    FeedRows,
    Found,
    Happened,
    Head,
    Incarnation,
    OpenCount,
    Order,
    Since,
    Tail,
    Totals,
    Where,
)
from regulars_server.storage.sql import cuts, deeds, standing, totals
from regulars_server.storage.sql.commit import Transaction
from regulars_server.storage.sql.snapshot import Snapshot
from regulars_server.storage.standing import Counted, Cuts, Home, Movement, Sweep, What
from regulars_sync.digest import Digest
from regulars_sync.log import Entry
from regulars_sync.protocol import Acked
from regulars_sync.reconcile import Key, Row

T = TypeVar("T")
S = TypeVar("S", bound=Snapshot)


class Run(Protocol):
    """Does work where the transaction's connection is."""

    async def __call__(self, work: Callable[[], T]) -> T: ...


class SqlReader(Generic[S]):
    def __init__(self, run: Run, snapshot: S) -> None:
        self._run = run
        self._snapshot = snapshot

    async def head(self) -> Head:
        if self._snapshot.fixed is not None:
            return self._snapshot.fixed
        return await self._run(lambda: self._snapshot.head())

    async def find(self, entity: str, ids: Iterable[str]) -> dict[str, Found]:
        wanted = list(ids)
        return await self._run(lambda: self._snapshot.find(entity, wanted))

    async def select(
        self,
        entity: str,
        where: Where | None,
        order: Order,
        limit: int,
        after: tuple[JSON, str] | None = None,
        before: tuple[JSON, str] | None = None,
        backwards: bool = False,
    ) -> list[Found]:
        return await self._run(
            lambda: self._snapshot.select(entity, where, order, limit, after, before, backwards)
        )

    async def count(self, entity: str, where: Where | None) -> int:
        return await self._run(lambda: self._snapshot.count(entity, where))

    async def counts(self, entity: str, wheres: Iterable[Where]) -> list[int]:
        wanted = list(wheres)
        return await self._run(lambda: self._snapshot.counts(entity, wanted))

    async def totals(self, wheres: Sequence[Where], numbers: Sequence[Numbers]) -> list[Totals]:
        return await self._run(lambda: totals.totals(self._snapshot, wheres, numbers))

    async def feed(self, after: Mapping[str, int], rows_max: int, bytes_max: int) -> FeedPage:
        return await self._run(lambda: self._snapshot.feed(after, rows_max, bytes_max))

    async def digests(self, scopes: Iterable[str]) -> dict[str, Digest]:
        wanted = list(scopes)
        return await self._run(lambda: self._snapshot.digests(wanted))

    async def buckets(self, scope: str) -> dict[int, Bucket]:
        return await self._run(lambda: self._snapshot.buckets(scope))

    async def bucket_rows(self, scope: str, buckets: Iterable[int]) -> list[FeedRows]:
        wanted = list(buckets)
        return await self._run(lambda: self._snapshot.bucket_rows(scope, wanted))

    async def acks(self, device: str, incarnations: Iterable[str]) -> dict[str, Acked]:
        wanted = list(incarnations)
        return await self._run(lambda: self._snapshot.acks(device, wanted))

    async def is_cloned(self, device: str, incarnations: Iterable[str]) -> bool:
        wanted = list(incarnations)
        return await self._run(lambda: self._snapshot.is_cloned(device, wanted))

    async def commits(self, after: int) -> list[int]:
        return await self._run(lambda: self._snapshot.commits(after))

    async def knows_mark(self, seq: int, mark: str) -> bool:
        return await self._run(lambda: self._snapshot.knows_mark(seq, mark))

    async def since(self, after: Mapping[str, int], entries_max: int) -> Since:
        return await self._run(lambda: self._snapshot.since(after, entries_max))

    async def history(self, entity: str, id: str) -> list[Entry]:
        return await self._run(lambda: self._snapshot.history(entity, id))

    async def histories(self, entity: str, ids: Iterable[str]) -> dict[str, list[Entry]]:
        wanted = list(ids)
        return await self._run(lambda: self._snapshot.histories(entity, wanted))

    async def happened(
        self,
        persons: Mapping[str, Iterable[str]],
        limit: int,
        before: tuple[int, int] | None = None,
        fields: frozenset[str] | None = None,
    ) -> dict[str, list[Happened]]:
        asked = [(person, id) for person, ids in persons.items() for id in ids]
        return await self._run(lambda: self._snapshot.happened(asked, limit, before, fields))

    async def holders(self, customers: Iterable[str]) -> dict[str, frozenset[str]]:
        wanted = list(customers)
        return await self._run(lambda: self._snapshot.holders(wanted))

    async def open_entries(
        self, limit: int, after: int = 0, device: str | None = None, cids: Iterable[str] | None = None
    ) -> list[Entry]:
        among = None if cids is None else list(cids)
        return await self._run(lambda: self._snapshot.open_entries(limit, after, device, among))

    async def open_counts(self) -> list[OpenCount]:
        return await self._run(self._snapshot.open_counts)

    async def accepted(self, cids: Iterable[str]) -> dict[str, Entry]:
        wanted = list(cids)
        return await self._run(lambda: self._snapshot.accepted(wanted))

    async def choices(self, limit: int, before: int | None, chosen: Chosen) -> list[Choice]:
        return await self._run(lambda: self._snapshot.choices(limit, before, chosen))

    async def tail(self, after: int, limit: int) -> Tail:
        return await self._run(lambda: self._snapshot.tail(after, limit))

    async def gaps(self, limit: int, device: str | None = None) -> list[Entry]:
        return await self._run(lambda: self._snapshot.gaps(limit, device))

    async def clusters(self, customers: Iterable[str]) -> dict[str, tuple[str, ...]]:
        wanted = list(customers)
        return await self._run(lambda: self._snapshot.clusters(wanted))

    async def equal_keys(self, limit: int) -> list[EqualKey]:
        return await self._run(lambda: self._snapshot.equal_keys(limit))

    async def standings(self, customers: Iterable[str]) -> dict[str, dict[str, dict[str, int]]]:
        wanted = list(customers)
        return await self._run(lambda: standing.standings(self._snapshot, wanted))

    async def memberships(self, customers: Iterable[str]) -> dict[str, dict[str, int]]:
        wanted = list(customers)
        return await self._run(lambda: standing.memberships(self._snapshot, wanted))

    async def movements(
        self,
        limit: int,
        before: int | None = None,
        customers: Iterable[str] | None = None,
        what: What | None = None,
        key: str | None = None,
    ) -> list[Movement]:
        among = None if customers is None else list(customers)
        return await self._run(lambda: standing.movements(self._snapshot, limit, before, among, what, key))

    async def cuts(self, since: str, until: str, home: Home | None = None) -> Cuts:
        return await self._run(lambda: cuts.cuts(self._snapshot, since, until, home))

    async def next_due(self) -> int | None:
        return await self._run(lambda: standing.next_due(self._snapshot))

    async def sweep(self, now_ms: int) -> Sweep | None:
        return await self._run(lambda: standing.sweep(self._snapshot, now_ms))

    async def unlooked(self, customers: Iterable[str], now_ms: int) -> set[str]:
        wanted = list(customers)
        return await self._run(lambda: standing.unlooked(self._snapshot, wanted, now_ms))

    async def counted(self, customers: Iterable[str]) -> dict[str, set[Counted]]:
        wanted = list(customers)
        return await self._run(lambda: deeds.counted(self._snapshot, wanted))

    async def verify_log(self, path: str) -> int:
        return await self._run(lambda: self._snapshot.verify_log(path))


class SqlWriter(SqlReader[Transaction]):
    def __init__(self, run: Run, transaction: Transaction, mark: Callable[[], str]) -> None:
        super().__init__(run, transaction)
        self._mark = mark
        self._is_over = False

    async def rows(self, keys: Iterable[Key]) -> dict[Key, Row]:
        wanted = list(keys)
        return await self._run(lambda: self._snapshot.rows_of(wanted))

    async def entries(self, cids: Iterable[str]) -> dict[str, Entry]:
        wanted = list(cids)
        return await self._run(lambda: self._snapshot.entries(wanted))

    async def dependents(self, customers: Iterable[str]) -> list[Row]:
        wanted = list(customers)
        return await self._run(lambda: self._snapshot.dependents(wanted))

    async def kin(self, customers: Iterable[str]) -> list[Row]:
        wanted = list(customers)
        return await self._run(lambda: self._snapshot.kin(wanted))

    async def expired(self, before_ms: int, limit: int) -> list[tuple[str, str]]:
        return await self._run(lambda: self._snapshot.expired(before_ms, limit))

    async def placed_before(
        self, at: str, limit: int, after: tuple[str, str] | None = None
    ) -> list[tuple[str, str]]:
        return await self._run(lambda: self._snapshot.placed_before(at, limit, after))

    async def about(self, ids: Iterable[str], named: Iterable[str]) -> list[Entry]:
        wanted, texts = list(ids), list(named)
        return await self._run(lambda: self._snapshot.about(wanted, texts))

    async def members(self, groups: Iterable[str]) -> list[Entry]:
        wanted = list(groups)
        return await self._run(lambda: self._snapshot.members(wanted))

    async def waiting(self, keys: Iterable[str]) -> list[str]:
        wanted = list(keys)
        return await self._run(lambda: self._snapshot.waiting(wanted))

    async def unmatched(self, limit: int) -> list[str]:
        return await self._run(lambda: self._snapshot.unmatched(limit))

    async def alike(self, customers: Iterable[str]) -> list[Alike]:
        wanted = list(customers)
        return await self._run(lambda: self._snapshot.alike(wanted))

    async def incarnation(self, id: str) -> Incarnation | None:
        return await self._run(lambda: self._snapshot.incarnation(id))

    async def settled(self, before_ms: int, limit: int, erased: bool) -> list[str]:
        return await self._run(lambda: self._snapshot.settled(before_ms, limit, erased))

    async def commit(self, batch: Batch) -> Commit:
        assert not self._is_over, "commit once, last"
        self._is_over = True
        mark = self._mark()
        cancelled = False
        committing = asyncio.ensure_future(
            self._run(lambda: self._snapshot.commit(batch, mark, lambda: cancelled))
        )
        try:
            return await asyncio.shield(committing)
        except asyncio.CancelledError:
            cancelled = True  # undone, unless it is past the point of no return: then it is whole
            await _ended(committing)
            raise


async def _ended(future: asyncio.Future[Commit]) -> None:
    """Wait until it has come to its end, whatever that is, and however often one is cancelled meanwhile."""
    while not future.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([future])
    if not future.cancelled():
        future.exception()
