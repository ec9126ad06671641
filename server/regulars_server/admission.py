"""The one road by which a change enters: pushes, mutations, imports, mends and releases alike.

Load what the changes touch in one read, settle them in memory, write all in one commit. What became
ready by that commit is then tried, each group in a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec
import orjson

from regulars_schema.declare import Level, Registry
from regulars_schema.entities import CHANGE_VERDICT
from regulars_server.authors import SERVER, UnitTree, device_author
from regulars_server.storage.interface import Batch, Commit, Incarnation, Storage, Writer
from regulars_sync import changes, log, trail
from regulars_sync.changes import Change, Malformed
from regulars_sync.document import META
from regulars_sync.errors import Refused
from regulars_sync.log import Entry
from regulars_sync.placement import Place, conclude, moved
from regulars_sync.protocol import Acked, Gap, PushAnswer, PushRequest, Verdict
from regulars_sync.reconcile import Author, Key, Ruling, World, needs, settle
from regulars_sync.scope import Reach, device_scope, reach

ROUNDS_OF_RELEASE_MAX = 1_000


@dataclass(slots=True)
class Arrived:
    """One change of a push: its bytes, and what could be read of them."""

    raw: bytes
    cid: str
    n: int
    change: Change | None
    problem: str | None = None


@dataclass(slots=True)
class Tally:
    """What a transaction has decided so far, on its way to one commit."""

    batch: Batch = field(default_factory=Batch)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    told: dict[str, Entry] = field(default_factory=dict)
    """By cid, what its device is to be told in its own scope."""


class Admission:
    """Admits changes to a chain. Time and randomness come from outside; there is one per storage."""

    def __init__(self, storage: Storage, now_ms: Callable[[], int], entropy: Callable[[int], bytes]) -> None:
        self._storage = storage
        self._registry: Registry = storage.registry
        self._now_ms = now_ms
        self._entropy = entropy
        self._tree: UnitTree | None = None

    async def tree(self) -> UnitTree:
        """The chain's units, read anew after every commit that touched one."""
        if self._tree is None:
            async with self._storage.unscoped_reader() as reader:
                self._tree = await UnitTree.read(reader)
        return self._tree

    # --- a push ------------------------------------------------------------------------------------

    async def push(self, author: Author, request: PushRequest) -> PushAnswer:
        """Take a device's changes: exactly once, whole groups, a verdict for each.

        `Refused` with nothing done: number_gap, number_taken, body_invalid. An incomplete last group
        is left for the next push.
        """
        assert author.device is not None
        arrived = _arrived(request)
        now = self._now_ms()
        async with self._storage.writer() as writer:
            incarnation = await writer.incarnation(request.incarnation)
            if incarnation is None:
                incarnation = Incarnation(
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
            tally = Tally()
            await self._log_gap(writer, author, request.gap, tally, now)
            taken = await self._take(writer, author, incarnation, arrived, known, tally, now)
            answer = PushAnswer(now, Acked(incarnation.n, incarnation.trail), taken)
            if incarnation.n < expect:
                return answer
            tally.batch.incarnation = incarnation
            await self._commit(writer, tally)
        await self._release(tally.batch.writes.ready)
        return answer

    async def _log_gap(self, writer: Writer, author: Author, gap: Gap | None, tally: Tally, now: int) -> None:
        """Log once that a device no longer has some of its numbers."""
        if gap is None:
            return
        said = f"gap|{author.device}|{gap.incarnation}|{gap.first}|{gap.last}"
        cid = blake2b(said.encode(), digest_size=16).hexdigest()
        if await writer.entries({cid}):
            return
        detail = {"incarnation": gap.incarnation, "first": gap.first, "last": gap.last, "expect": gap.first}
        tally.batch.entries.append(
            Entry(
                cid=cid,
                group=cid,
                entity="",
                id="",
                verdict="rejected",
                code="number_gap",
                detail=detail,
                device=author.device,
                closed=True,
                at_ms=now,
            )
        )

    async def _take(
        self,
        writer: Writer,
        author: Author,
        incarnation: Incarnation,
        arrived: list[Arrived],
        known: dict[str, Entry],
        tally: Tally,
        now: int,
    ) -> list[Verdict]:
        """Settle what is new, answer what is known, and move the incarnation's number and trail on."""
        fresh = [a for a in arrived if a.cid not in known and a.change is not None]
        world = await self._world(writer, author, [a.change for a in fresh if a.change], now)
        taken: list[Verdict] = []
        at = 0
        while at < len(arrived):
            first = arrived[at]
            size = 1
            if first.change is not None and first.cid not in known:
                group = first.change.group
                while at + size < len(arrived) and _is_of(arrived[at + size], group, known):
                    size += 1
                if at + size == len(arrived) and size < first.change.size:
                    break
            members = arrived[at : at + size]
            at += size
            if first.cid in known:
                taken.append(self._answer_known(tally, author, incarnation, first, known[first.cid], now))
            elif first.change is None:
                ruling = Ruling(
                    _placeholder(first),
                    "rejected",
                    "change_malformed",
                    None,
                    {"reason": first.problem},
                    "person",
                )
                self._log(tally, author, incarnation, [(ruling, first.raw, first.n)], now)
                taken.append(tally.verdicts[first.cid])
            else:
                group_changes = [m.change for m in members if m.change is not None]
                if sum(len(m.raw) for m in members) > changes.GROUP_BYTES_MAX:
                    limits = {"changes_max": changes.GROUP_CHANGES_MAX, "bytes_max": changes.GROUP_BYTES_MAX}
                    rulings = [
                        Ruling(c, "rejected", "group_too_large", None, limits, "person")
                        for c in group_changes
                    ]
                else:
                    rulings = await self._settle(writer, world, author, group_changes, tally, now)
                self._log(
                    tally,
                    author,
                    incarnation,
                    [(ruling, m.raw, m.n) for ruling, m in zip(rulings, members, strict=True)],
                    now,
                )
                taken += [tally.verdicts[m.cid] for m in members]
            for member in members:
                if member.cid not in known:
                    known[member.cid] = _seen_here(tally, member)
                if member.n == incarnation.n + 1:
                    incarnation.n = member.n
                    incarnation.trail = trail.extend(incarnation.trail, member.cid)
        await self._conclude(writer, world, tally)
        return taken

    def _answer_known(
        self, tally: Tally, author: Author, incarnation: Incarnation, a: Arrived, entry: Entry, now: int
    ) -> Verdict:
        if entry.key is None or log.body_digest(entry.key, a.raw) == entry.digest:
            return _verdict(entry)
        kept = Ruling(_placeholder(a, self._entropy(16).hex()), "rejected", "cid_reused", waits="person")
        self._log(tally, author, incarnation, [(kept, a.raw, a.n)], now)
        return Verdict(a.cid, "rejected", "cid_reused")

    # --- mutations and imports ------------------------------------------------------------------------

    async def write(
        self,
        author: Author,
        groups: Sequence[Sequence[Change]],
        versions: dict[Key, int] | None = None,
        keep_going: bool = False,
    ) -> list[list[Ruling]]:
        """Apply groups whose caller waits for the answer: what is refused is answered and not stored.

        With `keep_going` the other groups apply all the same; otherwise one refused group undoes all.
        `versions` gives the seq that a row must still have: `Refused("version_conflict")`. A known cid
        answers what became of it; with other content it is `Refused("idempotency_reused")`.
        """
        now = self._now_ms()
        async with self._storage.writer() as writer:
            every = [change for group in groups for change in group]
            known = await writer.entries({change.cid for change in every})
            if versions and not known:
                await _require_versions(writer, versions)
            world = await self._world(writer, author, [c for c in every if c.cid not in known], now)
            tally = Tally()
            results: list[list[Ruling]] = []
            for group in groups:
                if group and all(change.cid in known for change in group):
                    results.append([_known_ruling(change, known[change.cid]) for change in group])
                    continue
                rulings = await self._settle(writer, world, author, group, tally, now)
                results.append(rulings)
                if all(ruling.verdict in log.ACCEPTED for ruling in rulings):
                    given = [(r, changes.encode(c), None) for r, c in zip(rulings, group, strict=True)]
                    self._log(tally, author, None, given, now)
                elif not keep_going:
                    return results
            await self._conclude(writer, world, tally)
            if tally.batch.entries:
                await self._commit(writer, tally)
        await self._release(tally.batch.writes.ready)
        return results

    # --- what waits ---------------------------------------------------------------------------------

    async def retry(self, group: str, elevated: bool = False) -> bool:
        """Try a held group again; True when all of it was accepted.

        `elevated` is head office's word: the row may be anywhere in the chain, the device revoked.
        """
        now = self._now_ms()
        tree = await self.tree()
        async with self._storage.writer() as writer:
            entries = [entry for entry in await writer.members([group]) if entry.is_open]
            device = next((entry.device for entry in entries if entry.device), None)
            author = await _author_of(writer, tree, device) if device else SERVER
            if elevated:
                author = _elevated(author)
            tally = Tally()
            world = await self._world(writer, author, [], now)
            accepted = await self._retry(writer, world, author, group, entries, tally, now)
            if not tally.batch.entries:
                return accepted
            await self._conclude(writer, world, tally)
            await self._commit(writer, tally)
        await self._release(tally.batch.writes.ready)
        return accepted

    async def _release(self, ready: set[str]) -> None:
        """Try every group that waited for one of these. What a release makes ready is tried by its own."""
        if not ready:
            return
        async with self._storage.writer() as writer:
            groups = await writer.waiting(ready)
        for group in groups:
            await self.retry(group)

    async def _settle(
        self,
        writer: Writer,
        world: World,
        author: Author,
        group: Sequence[Change],
        tally: Tally,
        now: int,
    ) -> list[Ruling]:
        """Settle a group that is new; one that mends a held change is tried in that change's group."""
        replaced = group[0].replaces if len(group) == 1 else None
        if replaced is None:
            return settle(world, author, group)
        target = (await writer.entries({replaced})).get(replaced)
        allowed = target is not None and (target.device == author.device or author.head_office)
        if target is None or not target.is_open or not allowed:
            return settle(world, author, group)
        mend = group[0]
        entries = [entry for entry in await writer.members([target.group]) if entry.is_open]
        if author.head_office and target.device:
            author = _elevated(await _author_of(writer, await self.tree(), target.device))
        if await self._retry(writer, world, author, target.group, entries, tally, now, mend):
            return [self._own_ruling(tally, mend)]
        ruling = settle(_scratch(world), author, [msgspec.structs.replace(mend, replaces=None)])[0]
        if ruling.verdict == "rejected":
            return [ruling._replace(change=mend)]
        return [Ruling(mend, "held", "mend_waits", waits="person")]

    async def _retry(
        self,
        writer: Writer,
        world: World,
        author: Author,
        group: str,
        entries: list[Entry],
        tally: Tally,
        now: int,
        mend: Change | None = None,
    ) -> bool:
        """Settle a held group with its mends in the places of what they replace; note what became of it."""
        members = [entry for entry in entries if entry.group == group]
        mends = {e.replaces: e for e in entries if e.group != group and e.verdict == "held"}
        if not members:
            return False
        tried: list[Change] = []
        for entry in members:
            if mend is not None and mend.replaces == entry.cid:
                tried.append(mend)
            else:
                source = mends.get(entry.cid, entry)
                change = _decoded(source)
                if change is None:
                    return False
                tried.append(change)
        size = len(tried) if author.head_office else max(c.size for c in tried)
        tried = [msgspec.structs.replace(c, group=group, size=size) for c in tried]
        await self._extend(writer, world, author, tried)
        rulings = settle(world, author, tried)
        accepted = all(ruling.verdict in log.ACCEPTED for ruling in rulings)
        if accepted:
            tally.batch.waits[group] = None
            for entry, ruling in zip(members, rulings, strict=True):
                took_over = ruling.change.cid != entry.cid
                for other in entries:
                    if other.replaces == entry.cid and other.cid != ruling.change.cid:
                        self._note(
                            tally, other, Ruling(ruling.change, "rejected", "mended"), now, closed=True
                        )
                        tally.batch.waits[other.group] = None
                if took_over:
                    code = "dropped" if not ruling.change.fields else "mended"
                    self._note(tally, entry, Ruling(ruling.change, "rejected", code), now, closed=True)
                    own = mends.get(entry.cid)
                    if own is not None and own.cid == ruling.change.cid:
                        self._note(tally, own, ruling, now)
                        tally.batch.waits[own.group] = None
                    else:
                        tally.verdicts[ruling.change.cid] = Verdict(
                            ruling.change.cid, ruling.verdict, ruling.code
                        )
                else:
                    self._note(tally, entry, ruling, now)
        elif mend is None:
            for entry, ruling in zip(members, rulings, strict=True):
                if ruling.change.cid == entry.cid and (ruling.verdict, ruling.code) != (
                    entry.verdict,
                    entry.code,
                ):
                    self._note(tally, entry, ruling, now)
            tally.batch.waits[group] = rulings[0].waits
        elif rulings[0].waits != "person":
            tally.batch.waits[group] = rulings[0].waits
        return accepted

    def _own_ruling(self, tally: Tally, mend: Change) -> Ruling:
        verdict = tally.verdicts[mend.cid]
        return Ruling(mend, verdict.verdict, verdict.code)

    # --- reading and writing the world ------------------------------------------------------------------

    async def _world(self, writer: Writer, author: Author, wanted: Iterable[Change], now: int) -> World:
        world = World(self._registry, now, (await writer.head()).stamp_max, {}, {})
        await self._extend(writer, world, author, wanted)
        return world

    async def _extend(self, writer: Writer, world: World, author: Author, wanted: Iterable[Change]) -> None:
        """Load into the world what these changes touch and what it does not hold yet."""
        keys, cids = needs(self._registry, wanted)
        keys -= world.rows.keys()
        if keys:
            world.rows.update(await writer.rows(keys))
        gone = {
            row.id: home
            for row in (world.rows[key] for key in keys if key in world.rows)
            if row.entity.name == "customer" and reach(row.places, author.scopes) is Reach.LEFT
            if (home := _writer_of(row.documents.get(Level.INTERNAL), "home_unit"))
        }
        cids = (cids | set(gone.values())) - world.entries.keys()
        if cids:
            world.entries.update(await writer.entries(cids))
        for id, cid in gone.items():
            entry = world.entries.get(cid)
            if author.device and entry is not None and entry.device == author.device:
                world.moved_by_author.add(id)

    async def _conclude(self, writer: Writer, world: World, tally: Tally) -> None:
        """Add to the batch what the settled world means for storage."""
        movers = moved(world)
        dependents = await writer.dependents(movers) if movers else []
        others = {
            ("customer", id)
            for row in dependents
            for id in row.entity.named_customers(row.values)
            if ("customer", id) not in world.rows
        }
        if others:
            world.rows.update(await writer.rows(others))
        writes = conclude(world, [row for row in dependents if (row.entity.name, row.id) not in world.rows])
        batch = tally.batch
        batch.writes.documents += writes.documents
        batch.writes.places += writes.places
        batch.writes.ready |= writes.ready
        for cid, entry in tally.told.items():
            if entry.device is not None:
                batch.writes.documents.append((CHANGE_VERDICT, cid, Level.INTERNAL, _told(entry)))
                scope = device_scope(entry.device)
                batch.writes.places.append(Place(scope, CHANGE_VERDICT.name, cid, left=False))
        batch.stamp_max = max(batch.stamp_max, world.stamp_max)

    async def _commit(self, writer: Writer, tally: Tally) -> Commit:
        if any(entity.name == "unit" for entity, *_ in tally.batch.writes.documents):
            self._tree = None
        return await writer.commit(tally.batch)

    # --- the log ------------------------------------------------------------------------------------

    def _log(
        self,
        tally: Tally,
        author: Author,
        incarnation: Incarnation | None,
        given: Iterable[tuple[Ruling, bytes, int | None]],
        now: int,
    ) -> None:
        """Append changes as they came, with what became of them."""
        for ruling, raw, n in given:
            change = ruling.change
            key = self._entropy(log.KEY_BYTES)
            entry = Entry(
                cid=change.cid,
                group=change.group,
                entity=change.entity,
                id=change.id,
                verdict=ruling.verdict,
                code=ruling.code,
                field=ruling.field,
                detail=ruling.detail,
                device=author.device,
                incarnation=incarnation.id if incarnation else None,
                n=n,
                actor=change.actor,
                replaces=change.replaces,
                stamp=ruling.stamp,
                at_ms=now,
                body=raw,
                key=key,
                digest=log.body_digest(key, raw),
            )
            tally.batch.entries.append(entry)
            tally.verdicts[change.cid] = _verdict(entry)
            if entry.is_open:
                tally.batch.waits[change.group] = ruling.waits
                tally.told[change.cid] = entry

    def _note(self, tally: Tally, entry: Entry, ruling: Ruling, now: int, closed: bool = False) -> None:
        """Append that a logged change has another verdict now, and tell its device."""
        noted = Entry(
            cid=entry.cid,
            group=entry.group,
            entity=entry.entity,
            id=entry.id,
            verdict=ruling.verdict,
            code=ruling.code,
            field=ruling.field,
            detail=ruling.detail,
            device=entry.device,
            replaces=entry.replaces,
            closed=closed,
            stamp=ruling.stamp,
            at_ms=now,
        )
        tally.batch.entries.append(noted)
        tally.verdicts[entry.cid] = _verdict(noted)
        tally.told[entry.cid] = noted


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


def _is_of(arrived: Arrived, group: str, known: dict[str, Entry]) -> bool:
    return arrived.change is not None and arrived.change.group == group and arrived.cid not in known


def _told(entry: Entry) -> bytes:
    """The row in a device's own scope that says what became of its change."""
    said = {
        "id": entry.cid,
        "device": entry.device,
        "verdict": entry.verdict,
        "code": entry.code,
        "field": entry.field,
        "detail": entry.detail,
        "closed": entry.closed,
        "v": [],
    }
    return orjson.dumps(said)


def _placeholder(arrived: Arrived, cid: str | None = None) -> Change:
    """A stand-in under which bytes that are no change are kept."""
    cid = cid or arrived.cid
    return Change(
        cid=cid, group=cid, op="edit", entity="", id="", fields={}, stated=changes.Stated(0), schema=0
    )


def _seen_here(tally: Tally, member: Arrived) -> Entry:
    """What the log will know of a change of this very push."""
    entry = next((e for e in reversed(tally.batch.entries) if e.cid == member.cid and e.body), None)
    assert entry is not None
    return entry


def _verdict(entry: Entry) -> Verdict:
    return Verdict(entry.cid, entry.verdict, entry.code, entry.field, entry.detail)


def _known_ruling(change: Change, entry: Entry) -> Ruling:
    logged = _decoded(entry)
    if logged is None or (logged.entity, logged.id, logged.op, logged.fields) != (
        change.entity,
        change.id,
        change.op,
        change.fields,
    ):
        raise Refused("idempotency_reused")
    return Ruling(logged, entry.verdict, entry.code, entry.field, entry.detail, stamp=entry.stamp)


def _decoded(entry: Entry) -> Change | None:
    if entry.body is None:
        return None
    try:
        return changes.decode(entry.body)
    except Malformed:
        return None


def _scratch(world: World) -> World:
    return World(world.registry, world.now_ms, world.stamp_max, dict(world.rows), dict(world.entries))


def _elevated(author: Author) -> Author:
    return Author(author.device, None, author.unit, author.country, head_office=True)


def _writer_of(raw: bytes | None, path: str) -> str | None:
    """The cid of the change whose value of a path is shown."""
    if raw is None:
        return None
    document = orjson.loads(raw)
    if path in META or path not in document:
        return None
    at = document.get("x", {}).get(path, [0])[0]
    return str(document["v"][at][0])


async def _author_of(writer: Writer, tree: UnitTree, device: str) -> Author:
    found = (await writer.find("device", [device])).get(device)
    if found is None:
        return Author(device, frozenset(), revoked=True)
    said: dict[str, Any] = orjson.loads(found.documents[Level.INTERNAL])
    return device_author(tree, device, said["unit"], sensitive=True, revoked=bool(said.get("revoked")))


async def _require_versions(writer: Writer, versions: dict[Key, int]) -> None:
    for (entity, id), seq in versions.items():
        found = (await writer.find(entity, [id])).get(id)
        if found is None or found.seq != seq:
            raise Refused("version_conflict", entity=entity)
