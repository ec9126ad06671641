"""The one road by which a change enters: pushes, mutations, imports, mends and releases alike.

Load what the changes touch in one read, settle them in memory, write all in one commit. What became
ready by that commit is then tried, each group in a transaction of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

import msgspec
import orjson

from regulars_schema.declare import Level
from regulars_server import identities
from regulars_server.authors import SERVER, Posting, UnitTree
from regulars_server.settling import Settling, decoded, elevated, verdict_of
from regulars_server.storage.interface import Incarnation, Reader, Storage
from regulars_server.telemetry import SILENT, Telemetry
from regulars_server.telemetry.declared import VERDICTS
from regulars_server.versions import Expected, stale_rows
from regulars_sync import changes, log, trail
from regulars_sync.changes import Change, Malformed, Stated
from regulars_sync.errors import Refused, RegularsError
from regulars_sync.log import Entry
from regulars_sync.protocol import Acked, Gap, PushAnswer, PushRequest, Verdict
from regulars_sync.reconcile import Author, Key, Ruling
from regulars_sync.scope import CHAIN

T = TypeVar("T")

TREE_MS_MAX = 2_000
"""How long a unit that another process wrote may stay unnoticed here."""
SWEEP_ENTRIES_MAX = 100_000
MATCHES_MAX = 4
"""How often customers are matched behind one commit."""


@dataclass(slots=True)
class Arrived:
    """One change of a push: its bytes, and what could be read of them."""

    raw: bytes
    cid: str
    n: int
    change: Change | None
    problem: str | None = None


class Admission:
    """Admits changes to a chain. Time and randomness come from outside; there is one per storage."""

    def __init__(
        self,
        storage: Storage,
        now_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
        on_commit: Callable[[set[str], int], None] = lambda scopes, seq: None,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._storage = storage
        self._now_ms = now_ms
        self._entropy = entropy
        self._on_commit = on_commit
        self._telemetry = telemetry
        self._tree: UnitTree | None = None
        self._tree_read_ms = 0
        self._touched = 0
        """How often units or devices may have changed."""
        self._is_unmatched = False
        """Whether customers wait to be matched."""
        self._postings: dict[str, Posting] = {}
        self._ready: list[str] = []
        """Groups that waited for what a commit brought and have not been tried since."""

    async def tree(self, reader: Reader | None = None) -> UnitTree:
        """The chain's units, read anew after every commit here that touched one, and now and then.

        Whoever has a reader open gives it: one that waits for a second one keeps others from their first.
        """
        now = self._now_ms()
        tree = self._tree
        if tree is None or not 0 <= now - self._tree_read_ms < TREE_MS_MAX:
            if reader is not None:
                return await UnitTree.read(reader)
            touched = self._touched
            async with self._storage.unscoped_reader() as opened:
                tree = await UnitTree.read(opened)
            self._postings.clear()
            if touched == self._touched:  # else it may be from before the last commit
                self._tree, self._tree_read_ms = tree, now
        return tree

    async def posting(self, device: str) -> Posting | None:
        """Where a device belongs now, as fresh as the tree; None when there is no such device."""
        await self.tree()
        found = self._postings.get(device)
        if found is None:
            async with self._storage.unscoped_reader() as reader:
                row = (await reader.find("device", [device])).get(device)
            if row is None:
                return None
            found = self._postings[device] = Posting.of(orjson.loads(row.documents[Level.INTERNAL]))
        return found

    def others_wrote(self, scopes: frozenset[str] | None) -> None:
        """Another process touched these scopes, or any: units and devices are in the chain's."""
        if scopes is None or CHAIN in scopes:
            self._outdate()

    def _outdate(self) -> None:
        self._tree, self._touched = None, self._touched + 1

    @asynccontextmanager
    async def _settling(self, author: Author) -> AsyncIterator[Settling]:
        tree = await self.tree()
        async with self._storage.writer() as writer:
            yield Settling(writer, self._storage.registry, tree, author, self._now_ms(), self._entropy)

    async def _commit(self, settling: Settling) -> None:
        with self._telemetry.span("admission commit"):
            self._ready += await settling.commit()
        if self._telemetry.meter is not None:
            verdicts = Counter((entry.verdict, entry.code or "") for entry in settling.batch.entries)
            for verdict, count in verdicts.items():
                self._telemetry.note(VERDICTS, count, *verdict)
        if any(entity.name in {"unit", "device"} for entity, *_ in settling.batch.writes.documents):
            self._outdate()
        self._is_unmatched = self._is_unmatched or bool(settling.batch.unmatched) or settling.batch.scan
        self._on_commit({place.scope for place in settling.batch.writes.places}, settling.seq)
        if settling.regrants:
            self._ready += await self._held_groups()

    # --- a push ------------------------------------------------------------------------------------

    async def push(self, author: Author, request: PushRequest) -> PushAnswer:
        """Take a device's changes: exactly once, whole groups, a verdict for each.

        `Refused` with nothing done: number_gap, number_taken, body_invalid. An incomplete last group
        is left for the next push, and held as `group_broken` where the device names a gap.
        """
        assert author.device is not None
        arrived = _arrived(request)
        async with self._settling(author) as settling:
            writer = settling.writer
            incarnation = await writer.incarnation(request.incarnation) or Incarnation(
                request.incarnation, author.device, 0, trail.start(request.incarnation)
            )
            if incarnation.device != author.device:
                raise Refused("number_taken", n=1, expect=1)
            expect = incarnation.n + 1
            if request.n > expect:
                raise Refused("number_gap", expect=expect, trail=incarnation.trail)
            known = await writer.entries({a.cid for a in arrived})
            for a in arrived:
                if a.n < expect and a.cid not in known:
                    raise Refused("number_taken", n=a.n, expect=a.n)
            with self._telemetry.span("push load", changes=len(arrived)):
                await settling.load(
                    [a.change for a in arrived if a.change is not None and a.cid not in known]
                )
            is_rest = request.gap is not None
            with self._telemetry.span("push settle"):
                verdicts = await self._take(settling, incarnation, arrived, known, is_rest)
            if request.gap is not None:
                await _log_gap(settling, request.gap)
            if incarnation.n >= expect:
                settling.batch.incarnation = incarnation
                await self._commit(settling)
        await self._release()
        return PushAnswer(settling.now_ms, Acked(incarnation.n, incarnation.trail), verdicts)

    async def _take(
        self,
        settling: Settling,
        incarnation: Incarnation,
        arrived: list[Arrived],
        known: dict[str, Entry],
        is_rest: bool,
    ) -> list[Verdict]:
        """Settle what is new, answer what is known, and move the incarnation's number and trail on.

        `is_rest`: of a last group that is not whole no more will come.
        """
        verdicts: list[Verdict] = []
        numbered: list[str] = []
        at = 0
        while at < len(arrived):
            members = _group_at(arrived, at, known)
            first = members[0]
            at += len(members)
            if first.cid in known:
                verdicts.append(self._answer_known(settling, incarnation, first, known[first.cid]))
            elif first.change is None:
                reason = {"reason": first.problem}
                ruling = Ruling(_stand_in(first.cid), "rejected", "change_malformed", None, reason, "person")
                known[first.cid] = settling.log(ruling, first.raw, incarnation, first.n)
                verdicts.append(settling.verdicts[first.cid])
            elif at == len(arrived) and len(members) < first.change.size and not is_rest:
                break
            else:
                rulings = await _settle(settling, members)
                for member, ruling in zip(members, rulings, strict=True):
                    known[member.cid] = settling.log(ruling, member.raw, incarnation, member.n)
                    verdicts.append(settling.verdicts[member.cid])
            for member in members:
                if member.n == incarnation.n + 1:
                    incarnation.n = member.n
                    numbered.append(member.cid)
        incarnation.trail = trail.extend(incarnation.trail, *numbered)
        return verdicts

    def _answer_known(
        self, settling: Settling, incarnation: Incarnation, arrived: Arrived, entry: Entry
    ) -> Verdict:
        """The present verdict; other content under a known cid is kept under another one and rejected."""
        if entry.body is None or entry.body == arrived.raw:
            return verdict_of(entry)
        if arrived.change is not None and _says_the_same(arrived.change, decoded(entry)):
            return verdict_of(entry)
        stand_in = _stand_in(self._entropy(16).hex())
        settling.log(
            Ruling(stand_in, "rejected", "cid_reused", waits="person"), arrived.raw, incarnation, arrived.n
        )
        return Verdict(arrived.cid, "rejected", "cid_reused")

    # --- mutations and imports ------------------------------------------------------------------------

    async def write(
        self,
        author: Author,
        groups: Sequence[Sequence[Change]],
        versions: Mapping[Key, Expected] | None = None,
        keep_going: bool = False,
        all_or_none: bool = False,
        dry_run: bool = False,
    ) -> list[list[Ruling]]:
        """Apply groups whose caller waits for the answer: what is refused is answered and not stored (but
        for a mend that waits for its group).

        With `keep_going` the other groups apply all the same. With `all_or_none` every group is decided, and
        nothing is written when one was refused. Otherwise the first refused one ends it and nothing is
        written. A `dry_run` decides and writes nothing. `versions` says at what version a row must still be;
        another one is refused as `version_conflict`. A known cid answers what became of it; with other
        content it is `Refused("idempotency_reused")`.
        """
        results: list[list[Ruling]] = []
        is_refused = False
        async with self._settling(author) as settling:
            every = [change for group in groups for change in group]
            known = await settling.writer.entries({change.cid for change in every})
            stale = await stale_rows(settling.writer, versions) if versions else frozenset()
            # What is stale is not looked at any further: whether the row is another one or none stays untold.
            looked = [c for c in every if c.cid not in known and (c.entity, c.id) not in stale]
            await settling.load(looked)
            for group in groups:
                if all(change.cid in known for change in group):
                    results.append([_known_ruling(change, known[change.cid]) for change in group])
                    continue
                if any((change.entity, change.id) in stale for change in group):
                    rulings = [Ruling(change, "rejected", "version_conflict") for change in group]
                elif any(map(settling.is_erased, group)):
                    rulings = [Ruling(change, "rejected", "erased") for change in group]
                else:
                    group = settling.stamped(group)
                    rulings = await settling.settle(group)
                results.append(rulings)
                # A mend that has to wait for others of its group is held, so that they can be mended too.
                waits = [ruling.code for ruling in rulings] == ["mend_waits"]
                if waits or all(ruling.verdict in log.ACCEPTED for ruling in rulings):
                    for ruling, change in zip(rulings, group, strict=True):
                        settling.log(ruling, changes.encode(change))
                    continue
                is_refused = True
                if not (keep_going or all_or_none):
                    return results
            if dry_run or (is_refused and all_or_none):
                return results
            if settling.batch.entries:
                await self._commit(settling)
        await self._release()
        return results

    async def transact(self, work: Callable[[Settling], Awaitable[T]]) -> T:
        """Do the server's own work in one transaction, and then what it made ready."""
        async with self._settling(SERVER) as settling:
            result = await work(settling)
            if settling.has_work:
                await self._commit(settling)
        await self._release()
        return result

    async def scan(self, on_step: Callable[[int], None] = lambda customers: None) -> int:
        """Match every customer that there is, others in between; how many there were."""
        async with self._settling(SERVER) as settling:
            settling.batch.scan = True
            await self._commit(settling)
        customers = 0
        while found := await self._match():
            customers += found
            on_step(customers)
        await self._release()
        return customers

    # --- what waits ---------------------------------------------------------------------------------

    async def retry(self, group: str, by_head_office: bool = False) -> bool:
        """Try a held group again; True when all of it was accepted.

        Head office's word goes for any row of the chain, for a revoked device and for a broken group.
        """
        async with self._settling(SERVER) as settling:
            group = await settling.home_of(group)
            members = await settling.writer.members([group])
            device = next((entry.device for entry in members if entry.group == group), None)
            author = await settling.author_of(device)
            accepted = await settling.retry(group, elevated(author) if by_head_office else author)
            if settling.has_work:
                await self._commit(settling)
        if not by_head_office:
            return accepted
        await self._release()
        return accepted

    async def sweep(self) -> None:
        """Try every held group: after a start, when a release was cut off or the schema is newer."""
        for group in await self._held_groups():
            await self.retry(group)
        while await self._match():
            pass
        await self._release()

    async def _held_groups(self) -> list[str]:
        async with self._storage.unscoped_reader() as reader:
            entries = await reader.open_entries(SWEEP_ENTRIES_MAX)
        return list(dict.fromkeys(entry.group for entry in entries if entry.verdict == "held"))

    async def _release(self) -> None:
        """Try every group that waited for what the last commits brought, and what that brings in turn.

        And see who else the customers may be whom they made, a few thousand at most: the next goes on.
        A group that can't be tried now (the disk is full) is left for the next commit: what led here is
        done and stays done.
        """
        matches = 0
        while self._ready or (self._is_unmatched and matches < MATCHES_MAX):
            group = self._ready.pop(0) if self._ready else None
            try:
                if group is not None:
                    await self.retry(group)
                else:
                    matches += 1
                    await self._match()
            except RegularsError:
                self._ready += [] if group is None else [group]
                return

    async def _match(self) -> int:
        """Match some of the customers that wait for it; how many these were."""
        async with self._settling(SERVER) as settling:
            matched = await identities.match(settling)
            self._is_unmatched = matched == identities.MATCHED_AT_ONCE
            if matched:
                await self._commit(settling)
        return matched


async def _settle(settling: Settling, members: list[Arrived]) -> list[Ruling]:
    group = [member.change for member in members if member.change is not None]
    if sum(len(member.raw) for member in members) <= changes.GROUP_BYTES_MAX:
        return await settling.settle(group)
    limits = {"changes_max": changes.GROUP_CHANGES_MAX, "bytes_max": changes.GROUP_BYTES_MAX}
    return [Ruling(change, "rejected", "group_too_large", None, limits, "person") for change in group]


async def _log_gap(settling: Settling, gap: Gap) -> None:
    """Log once that a device no longer has some of its numbers."""
    device = settling.author.device
    said = f"gap|{device}|{gap.incarnation}|{gap.first}|{gap.last}"
    cid = blake2b(said.encode(), digest_size=16).hexdigest()
    if not await settling.writer.entries({cid}):
        detail = {"incarnation": gap.incarnation, "first": gap.first, "last": gap.last, "expect": gap.first}
        settling.append(
            Entry(
                cid=cid,
                group=cid,
                entity="",
                id="",
                verdict="rejected",
                code="number_gap",
                detail=detail,
                device=device,
                closed=True,
                at_ms=settling.now_ms,
            )
        )


def _arrived(request: PushRequest) -> list[Arrived]:
    arrived: list[Arrived] = []
    for i, given in enumerate(request.changes):
        raw = bytes(given)
        try:
            change = changes.decode(raw)
            arrived.append(Arrived(raw, change.cid, request.n + i, change))
        except Malformed as malformed:
            if malformed.cid is None:
                raise Refused("body_invalid", reason=f"change {i}: {malformed.reason}") from None
            arrived.append(Arrived(raw, malformed.cid, request.n + i, None, malformed.reason))
    return arrived


def _group_at(arrived: list[Arrived], at: int, known: dict[str, Entry]) -> list[Arrived]:
    """The new changes of one group that begin here, or the one change that is known or can't be read."""
    first = arrived[at]
    if first.change is None or first.cid in known:
        return [first]
    end, cids = at, set()
    while end < len(arrived):
        change = arrived[end].change
        if change is None or change.group != first.change.group or change.cid in known or change.cid in cids:
            break
        cids.add(change.cid)
        end += 1
    return arrived[at:end]


def _says_the_same(change: Change, logged: Change | None) -> bool:
    """Whether they differ in their stamp alone: a replica copied back to before then fixes it anew."""
    if logged is None:
        return False
    stated = msgspec.structs.replace(change.stated, offset=logged.stated.offset)
    return msgspec.structs.replace(change, stamp=logged.stamp, stated=stated) == logged


def _stand_in(cid: str) -> Change:
    """A change under which bytes that are none are kept."""
    return Change(cid=cid, group=cid, op="edit", entity="", id="", fields={}, stated=Stated(0), schema=0)


def _known_ruling(change: Change, entry: Entry) -> Ruling:
    if entry.is_emptied:
        raise Refused("erased")
    logged = decoded(entry)
    if logged is None or (logged.entity, logged.id, logged.op, logged.fields) != (
        change.entity,
        change.id,
        change.op,
        change.fields,
    ):
        raise Refused("idempotency_reused")
    return Ruling(logged, entry.verdict, entry.code, entry.field, entry.detail, stamp=entry.stamp)
