"""One write transaction on its way to one commit: what it read, what it decided, what it will write."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import orjson

from regulars_schema.declare import JSON, Level, Nature, Registry, Scope
from regulars_schema.entities import CHANGE_VERDICT, CUSTOMER
from regulars_server.authors import SERVER, Posting, UnitTree, device_author
from regulars_server.storage.interface import Batch, Incarnation, Order, Test, Writer
from regulars_server.storage.standing import Concern, Swept
from regulars_sync import changes, log
from regulars_sync.changes import Change, Malformed
from regulars_sync.clock import next_stamp
from regulars_sync.document import META
from regulars_sync.identity import concerns
from regulars_sync.log import Entry
from regulars_sync.placement import Place, affected, conclude, moved, unloaded
from regulars_sync.protocol import Verdict
from regulars_sync.reconcile import Author, Key, Row, Ruling, World, is_erased, needs, settle
from regulars_sync.scope import Reach, device_scope, reach

_MEND_WAITS = "mend_waits"
_MEND_FOREIGN = "mend_foreign"
"""The code of a mend that was let into the place of what it replaces and does not pass there yet."""
MEASURES: Mapping[str, tuple[Swept, tuple[str, ...]]] = {
    "segment": ("all", ("rule", "archived")),
    "scheme": ("all", ("changes", "archived")),
    "cut_points": ("buyers", ("cuts",)),
    "product": ("product", ("category", "usage_days", "refill_lead_days")),
    "unit": ("unit", ("parent", "time_zone", "currency")),
}
"""Entity -> whom it concerns when one of these fields changes: they may come to stand elsewhere."""
ROWS_MAX = 1_000_000
_STANDING = {"unit": ("parent",), "device": ("unit", "left_units/")}
"""Entity -> the fields that say below which units it stands, or stood."""


class Settling:
    """Settles groups of one author in one transaction; `commit` writes all of it, or nothing happened."""

    def __init__(
        self,
        writer: Writer,
        registry: Registry,
        tree: UnitTree,
        author: Author,
        now_ms: int,
        entropy: Callable[[int], bytes],
    ) -> None:
        self.writer = writer
        self.author = author
        self.now_ms = now_ms
        self.batch = Batch(at_ms=now_ms)
        self.seq = 0
        """The last of the commit, once that is made."""
        self.verdicts: dict[str, Verdict] = {}
        """What this transaction says of each cid."""
        self.registry = registry
        self._tree = tree
        self.entropy = entropy
        self._winners: dict[str, Ruling] = {}
        """By cid, how the mends were accepted that took the place of what they replace."""
        self._told: dict[str, Entry] = {}
        """By cid, what its device is to be told in its own scope."""
        self._erased: list[Row] = []
        self._again: list[Row] = []
        """Rows that are only to be placed anew."""
        self._world = World(registry, now_ms, 0, {}, {})

    # --- reading ----------------------------------------------------------------------------------------

    async def load(self, wanted: Iterable[Change], author: Author | None = None) -> None:
        """Load into the world what these changes touch and what it does not hold yet."""
        world, author = self._world, author or self.author
        world.stamp_max = max(world.stamp_max, (await self.writer.head()).stamp_max)
        keys, cids = needs(self.registry, wanted)
        keys -= world.rows.keys()
        if keys:
            world.rows.update(await self.writer.rows(sorted(keys)))
        corrected = (world.rows[key] for key in keys if key[0] == "interaction")
        if named := {("customer", id) for row in corrected for id in row.named} - world.rows.keys():
            world.rows.update(await self.writer.rows(sorted(named)))
            keys |= named
        movers = {
            row.id: cid
            for row in (world.rows[key] for key in keys if key in world.rows)
            if row.entity.name == "customer" and reach(row.places, author.scopes) is Reach.LEFT
            if (cid := _writer_of(row.documents.get(Level.INTERNAL), "home_unit"))
        }
        cids = (cids | set(movers.values())) - world.entries.keys()
        if cids:
            world.entries.update(await self.writer.entries(cids))
        for id, cid in movers.items():
            entry = world.entries.get(cid)
            if author.device and entry is not None and entry.device == author.device:
                world.moved_by_author.add(id)

    # --- deciding ---------------------------------------------------------------------------------------

    def stamped(self, group: Sequence[Change]) -> list[Change]:
        """The changes of a group that is made here, with stamps that they keep however long they wait."""
        stamp = self._world.stamp_max
        made: list[Change] = []
        for change in group:
            stamp = next_stamp(self.now_ms, stamp)
            made.append(msgspec.structs.replace(change, stamp=stamp))
        return made

    async def settle(self, group: Sequence[Change]) -> list[Ruling]:
        """Settle a new group; one that mends a held change is tried in that change's group and place."""
        mend = group[0]
        if len(group) > 1 or mend.replaces is None or self.is_erased(mend):
            return settle(self._world, self.author, group)
        target = await self._open_entry(mend.replaces)
        if target is not None:
            target = await self._open_entry(target.replaces) or target
        allowed = target is not None and (target.device == self.author.device or self.author.head_office)
        if target is None:
            return settle(self._world, self.author, group)
        if not allowed:
            return [Ruling(mend, "held", _MEND_FOREIGN, waits="person")]
        mend = msgspec.structs.replace(mend, replaces=target.cid)
        author = self.author
        if author.head_office and target.device:
            author = elevated(await self.author_of(target.device))
        if await self.retry(target.group, author, mend):
            return [self._winners[mend.cid]._replace(change=mend)]
        world = self._world
        scratch = World(world.registry, world.now_ms, world.stamp_max, dict(world.rows), dict(world.entries))
        alone = settle(scratch, author, [msgspec.structs.replace(mend, replaces=None)])[0]
        if alone.verdict == "rejected":
            return [alone._replace(change=mend)]
        return [Ruling(mend, "held", _MEND_WAITS, waits="person")]

    def is_erased(self, change: Change) -> bool:
        """Whether a change that was loaded is about somebody who was erased."""
        return is_erased(self._world, change)

    async def home_of(self, group: str) -> str:
        """The group in which a group has its place: that of a mend is where what it replaces stands."""
        mend = await self._open_entry(group)
        target = await self._open_entry(mend.replaces) if mend else None
        if mend is None or target is None or mend.device not in {target.device, None}:
            return group
        return target.group

    async def _open_entry(self, cid: str | None) -> Entry | None:
        if cid is None:
            return None
        found = self._followed(await self.writer.entries({cid}), lambda entry: entry.cid == cid).get(cid)
        return found if found is not None and found.is_open else None

    async def _entries(self, group: str) -> list[Entry]:
        """A group's changes, and the open ones that replace any of them."""
        known = {entry.cid: entry for entry in await self.writer.members([group])}
        found = self._followed(known, lambda entry: entry.group == group or entry.replaces in known)
        return list(found.values())

    def _followed(self, known: dict[str, Entry], wanted: Callable[[Entry], bool]) -> dict[str, Entry]:
        """What the log knew, as this very transaction has gone on with it."""
        for entry in self.batch.entries:
            before = known.get(entry.cid)
            if before is not None:
                kept = {
                    name: getattr(before, name) for name in ("group", "replaces", "body", "key", "digest")
                }
                known[entry.cid] = dataclasses.replace(entry, **kept)
            elif wanted(entry):
                known[entry.cid] = entry
        return known

    async def retry(self, group: str, author: Author, mend: Change | None = None) -> bool:
        """Settle a held group, mends in the places of what they replace; note what became of each member.

        True when all of it was accepted. A head office author's word also frees a group that never
        came whole.
        """
        known = await self._entries(group)
        entries = [entry for entry in known if entry.is_open]
        members = [entry for entry in entries if entry.group == group]
        mends = {e.replaces: e for e in entries if e.group != group and e.code == _MEND_WAITS}
        tried: list[Change] = []
        for entry in members:
            chosen = mend if mend and mend.replaces == entry.cid else decoded(mends.get(entry.cid, entry))
            if chosen is None:
                return False
            tried.append(chosen)
        if not tried or (not author.head_office and await self._mends_another(members)):
            return False
        came = [change.size for entry in members if (change := decoded(entry))]
        gone = sum(entry.group == group and entry.code == "erased" for entry in known)
        size = len(tried) if author.head_office else max(came, default=1) - gone
        tried = [msgspec.structs.replace(change, group=group, size=size) for change in tried]
        await self.load(tried, author)
        rulings = settle(self._world, author, tried)
        if all(ruling.verdict in log.ACCEPTED for ruling in rulings):
            self.batch.waits[group] = None
            for entry, ruling in zip(members, rulings, strict=True):
                self._accepted(entry, ruling, [e for e in entries if e.replaces == entry.cid])
            return True
        waits = next((r.waits for r in rulings if r.waits), None)
        if mend is None:
            for entry, ruling in zip(members, rulings, strict=True):
                same = (ruling.verdict, ruling.code) == (entry.verdict, entry.code)
                if ruling.change.cid == entry.cid and not same:
                    self.note(entry, ruling)
        if mend is None or waits != "person":
            self.batch.waits[group] = waits
        return False

    async def _mends_another(self, members: Sequence[Entry]) -> bool:
        """Whether one of these would take the place of another device's change that is still open."""
        foreign = [entry.replaces for entry in members if entry.code == _MEND_FOREIGN]
        return any([await self._open_entry(cid) is not None for cid in foreign])

    def _accepted(self, entry: Entry, ruling: Ruling, mends: list[Entry]) -> None:
        """A member's place was accepted: by itself, or by the mend that closes it and every other mend."""
        winner = ruling.change.cid
        if winner == entry.cid:
            self.note(entry, ruling)
        else:
            code = "mended" if ruling.change.fields else "dropped"
            self.note(entry, Ruling(ruling.change, "rejected", code), closed=True)
            self._winners[winner] = ruling
        for other in mends:
            self.batch.waits[other.group] = None
            if other.cid == winner:
                self.note(other, ruling)
            else:
                self.note(other, Ruling(ruling.change, "rejected", "mended"), closed=True)

    async def author_of(self, device: str | None) -> Author:
        """The author that a device is at this moment; the server itself for None."""
        if device is None:
            return SERVER
        found = (await self.writer.find("device", [device])).get(device)
        if found is None:
            return Author(device, frozenset(), revoked=True)
        said: dict[str, Any] = orjson.loads(found.documents[Level.INTERNAL])
        return device_author(
            self._tree, device, Posting.of(said), sensitive=True, revoked=bool(said.get("revoked"))
        )

    # --- the log ----------------------------------------------------------------------------------------

    def log(
        self, ruling: Ruling, raw: bytes, incarnation: Incarnation | None = None, n: int | None = None
    ) -> Entry:
        """Append a change as it came, with what became of it; of one about somebody erased no more."""
        change = ruling.change
        is_erased = ruling.code == "erased"
        entry = Entry(
            cid=change.cid,
            group=change.group,
            entity=change.entity,
            id=change.id,
            verdict=ruling.verdict,
            code=ruling.code,
            field=ruling.field,
            detail=ruling.detail,
            device=self.author.device,
            incarnation=incarnation.id if incarnation else None,
            n=n,
            actor=change.actor,
            replaces=change.replaces,
            closed=is_erased,
            stamp=ruling.stamp,
            at_ms=self.now_ms,
            body=raw,
        )
        self.append(entry)
        self._queue(ruling)
        if is_erased:
            entry.body = entry.key = None
            self._told[change.cid] = entry
        if entry.is_open:
            self.batch.waits[change.group] = ruling.waits
            self._told[change.cid] = entry
        return entry

    def note(self, entry: Entry, ruling: Ruling, closed: bool = False) -> None:
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
            at_ms=self.now_ms,
        )
        self.append(noted)
        self._queue(ruling)
        self._told[entry.cid] = noted

    def _queue(self, ruling: Ruling) -> None:
        """See to it that a customer is matched whose keys or name an accepted change wrote."""
        change = ruling.change
        if ruling.verdict in log.ACCEPTED and change.entity == "customer" and concerns(CUSTOMER, change):
            self.batch.unmatched.add(change.id)

    def append(self, entry: Entry) -> None:
        if entry.body is not None or entry.field is not None or entry.detail is not None:
            entry.seal(self.entropy(log.KEY_BYTES))
        self.batch.entries.append(entry)
        self.verdicts[entry.cid] = verdict_of(entry)

    # --- erasing ----------------------------------------------------------------------------------------

    def put(self, row: Row) -> None:
        """Let this row take the place of what the world holds of it."""
        self._world.rows[row.entity.name, row.id] = row

    def erase(self, row: Row) -> None:
        """Let the row leave wherever it ever was, and never come back."""
        self._erased.append(row)
        if row.entity.scope is Scope.SAME:
            self._world.loosened.update(row.entity.named_customers(row.values))
        self.put(Row(row.entity, row.id, erased=True))

    # --- ageing ----------------------------------------------------------------------------------------

    async def see(self, sightings: Iterable[tuple[str, str]], at_ms: int | None) -> None:
        """Let these units have seen these customers at that time; None: let the sightings end."""
        sightings, rows = list(sightings), self._world.rows
        missing = {("customer", customer) for customer, _ in sightings} - rows.keys()
        rows.update(await self.writer.rows(sorted(missing)))
        for customer, unit in sightings:
            rows["customer", customer].sighted[unit] = at_ms

    async def place_again(self, keys: Iterable[Key]) -> None:
        """Let these rows go where they belong by now."""
        self._again += (await self.writer.rows(keys)).values()

    @property
    def regrants(self) -> bool:
        """Whether a unit or a device now stands below other units, so that somebody has other scopes."""
        for (entity, _), row in self._world.rows.items():
            if entity in _STANDING and row.written and row.documents:
                before = orjson.loads(row.documents[Level.INTERNAL])
                if _standing(entity, row.values) != _standing(entity, before):
                    return True
        return False

    @property
    def has_work(self) -> bool:
        """Whether there is anything to commit."""
        is_touched = any(row.sighted or row.written for row in self._world.rows.values())
        return bool(self.batch.entries or self.batch.waits or self._again or is_touched)

    # --- writing ----------------------------------------------------------------------------------------

    async def commit(self) -> list[str]:
        """Write everything and end the transaction; the groups that waited for what it brings."""
        world, batch, dependents = self._world, self.batch, self._again
        if movers := moved(world):
            world.kin = await self.writer.kin(sorted(movers))
            dependents += await self.writer.dependents(sorted(affected(world)))
        if facts := {row.id: row for row in (*dependents, *world.rows.values()) if row.entity.ages}:
            rest = [row for row in dependents if not row.entity.ages]
            dependents = [*rest, *(await self._with_families(facts)).values()]
        if missing := unloaded(world, dependents):
            world.rows.update(await self.writer.rows(sorted(missing)))
        batch.writes = conclude(world, dependents)
        batch.stamp_max = world.stamp_max
        for row in self._erased:
            batch.erased.append((row.entity.name, row.id))
            batch.writes.places += [Place(s, row.entity.name, row.id, left=True) for s in sorted(row.places)]
        for cid, entry in self._told.items():
            if entry.device is not None:
                batch.writes.documents.append((CHANGE_VERDICT, cid, Level.INTERNAL, _told(entry)))
                scope = device_scope(entry.device)
                batch.writes.places.append(Place(scope, CHANGE_VERDICT.name, cid, left=False))
        self._let_be_looked_at()
        ready = batch.writes.ready
        groups = await self.writer.waiting(ready) if ready else []
        groups += [group for group, waits in batch.waits.items() if waits in ready and group not in groups]
        self.seq = (await self.writer.commit(batch)).seq
        return [group for group in groups if batch.waits.get(group, "") is not None]

    async def _with_families(self, facts: dict[str, Row]) -> dict[str, Row]:
        """These facts, and what corrects them or is corrected by them, in however many steps."""
        known = {id: row for id, row in facts.items() if row.exists}
        asked: set[str] = set()
        while todo := sorted({*known, *_formers(known.values())} - asked):
            asked.update(todo)
            later = await self.writer.select("interaction", Test("supersedes", "in", todo), Order(), ROWS_MAX)
            ids = {*(row.id for row in later), *_formers(known.values())} - known.keys()
            rows = await self.writer.rows([("interaction", id) for id in sorted(ids)]) if ids else {}
            known |= {row.id: row for row in rows.values() if row.exists}
        return known

    def _let_be_looked_at(self) -> None:
        """Note of whom something was written, and what by which more stand than it names."""
        batch, rows = self.batch, self._world.rows
        for entity, id, *_ in batch.writes.documents:
            if entity is CUSTOMER:
                batch.due.add(id)
            elif entity.naming and entity.scope is not Scope.SAME and entity.nature is not Nature.DERIVED:
                batch.due.update(rows[entity.name, id].named)
            elif entity.name in MEASURES:
                what, fields = MEASURES[entity.name]
                row = rows[entity.name, id]
                stored = row.documents.get(Level.INTERNAL)
                before = orjson.loads(stored) if stored else {}
                if any(row.values.get(name) != before.get(name) for name in fields):
                    batch.swept.add(Concern(what, id) if what in ("product", "unit") else Concern(what))
        batch.due.update(batch.writes.merged)
        for row in self._erased:
            batch.due.update(row.named)


def _formers(facts: Iterable[Row]) -> set[str]:
    return {former for row in facts if (former := row.values.get("supersedes")) is not None}


def _standing(entity: str, values: Mapping[str, JSON]) -> dict[str, JSON]:
    return {path: value for path, value in values.items() if value and path.startswith(_STANDING[entity])}


def elevated(author: Author) -> Author:
    """Head office's word for a device's change: any row of the chain, phones read as in its unit."""
    return dataclasses.replace(author, scopes=None, head_office=True, revoked=False)


def decoded(entry: Entry) -> Change | None:
    """The change that an entry logged, None when there is none to be read, or one of another cid."""
    if entry.body is None:
        return None
    try:
        change = changes.decode(entry.body)
    except Malformed:
        return None
    return change if change.cid == entry.cid else None


def verdict_of(entry: Entry) -> Verdict:
    return Verdict(entry.cid, entry.verdict, entry.code, entry.field, entry.reason)


def _told(entry: Entry) -> bytes:
    """The row in a device's own scope that says what became of its change."""
    said: dict[str, Any] = {
        "id": entry.cid,
        "device": entry.device,
        "verdict": entry.verdict,
        "code": entry.code,
        "field": entry.field,
        "detail": entry.reason,
        "closed": entry.closed,
        "v": [],
    }
    return orjson.dumps(said)


def _writer_of(raw: bytes | None, path: str) -> str | None:
    """The cid of the change whose value of a path is shown."""
    if raw is None:
        return None
    document = orjson.loads(raw)
    if path in META or path not in document:
        return None
    at = document.get("x", {}).get(path, [0])[0]
    return str(document["v"][at][0])
