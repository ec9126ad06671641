"""Storage in plain dictionaries: the fake that tests and demos use, and the oracle for every other one.

It answers by looking at everything, in the simplest words there are. A commit makes new dictionaries
and then takes their place, so a reader goes on with the ones it was opened on.
Long because: it is the whole interface, told once.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from operator import eq, ge, gt, le, lt
from typing import assert_never

import orjson

from regulars_schema.declare import JSON, Level, Registry
from regulars_schema.normal import sort_name
from regulars_schema.rules.totals import Numbers
from regulars_schema.search import fits, tokens
from regulars_server.storage.interface import (
    SHARED_MAX,
    Alike,
    All,
    Any_,
    Batch,
    Bucket,
    Chain,
    Choice,
    Chosen,
    Commit,
    EqualKey,
    FeedPage,
    FeedRows,
    Fits,
    Found,
    Happened,
    Head,
    Incarnation,
    Member,
    Not,
    Noted,
    OpenCount,
    Order,
    Person,
    Reader,
    Related,
    Since,
    Stands,
    Tail,
    Test,
    Torn,
    Totals,
    Where,
    Writer,
)
from regulars_server.storage.layout import (
    LIKENESS,
    Table,
    check_order,
    check_scopes,
    check_where,
    element_keys,
    identity_keys,
    level_of,
)
from regulars_server.storage.memory_standing import Stood
from regulars_server.storage.standing import Checked, Counted, Cuts, Due, Home, Movement, Sweep, What
from regulars_server.storage.tables import TABLES
from regulars_server.storage.verify import check_log
from regulars_sync import digest, trail
from regulars_sync.digest import Digest, row_hash
from regulars_sync.document import nested
from regulars_sync.log import ACCEPTED, START, Entry, entry_hash
from regulars_sync.protocol import Acked
from regulars_sync.reconcile import Key, Row
from regulars_sync.scope import unit_scope, units_in

_NULL = (0, "")


@dataclass(slots=True)
class _Stored:
    """A row: its documents with the seq of the commit that wrote each, and its feed entries."""

    documents: dict[Level, tuple[bytes, int]] = field(default_factory=dict)
    places: dict[str, tuple[int, bool]] = field(default_factory=dict)
    """Scope -> (seq, whether the row has left it)."""

    def copy(self) -> _Stored:
        return _Stored(dict(self.documents), dict(self.places))


@dataclass(slots=True)
class _State:
    rows: dict[Key, _Stored] = field(default_factory=dict)
    log: list[Entry] = field(default_factory=list)
    queue: dict[str, str] = field(default_factory=dict)
    incarnations: dict[str, Incarnation] = field(default_factory=dict)
    marks: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Last seq of a commit -> its mark, and when it was."""
    stamp_max: int = 0
    floor: int = 0
    erased: frozenset[Key] = frozenset()
    seen: dict[str, dict[str, int]] = field(default_factory=dict)
    """Customer -> unit -> when it saw them last."""
    unmatched: frozenset[str] = frozenset()
    merged: dict[str, str] = field(default_factory=dict)
    """Customer -> the survivor of its cluster, which is another."""
    torn: frozenset[str] = frozenset()
    stood: Stood = field(default_factory=Stood)

    def copy(self) -> _State:
        rows, log, queue, incarnations, marks = self.rows, self.log, self.queue, self.incarnations, self.marks
        copied = _State(dict(rows), list(log), dict(queue), dict(incarnations), dict(marks), self.stamp_max)
        copied.floor = self.floor
        copied.erased, copied.unmatched = self.erased, self.unmatched
        copied.seen = {id: dict(units) for id, units in self.seen.items()}
        copied.merged, copied.torn = dict(self.merged), self.torn
        copied.stood = self.stood.copy()
        return copied

    def customers(self) -> list[str]:
        """In the order in which they came, those who were not erased."""
        return [id for (name, id), row in self.rows.items() if name == "customer" and row.documents]

    def above(self, customer: str) -> set[str]:
        """Where a customer is at home, and the units above."""
        found: set[str] = set()
        unit = self._said("customer", customer).get("home_unit")
        while unit is not None and unit not in found:
            found.add(unit)
            unit = self._said("unit", unit).get("parent")
        return found

    def _said(self, entity: str, id: str) -> dict[str, JSON]:
        row = self.rows.get((entity, id))
        return orjson.loads(row.documents[Level.INTERNAL][0]) if row and row.documents else {}


class MemoryStorage:
    def __init__(self, registry: Registry, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self.registry = registry
        self._entropy = entropy
        self._chain: Chain | None = None
        self._state = _State()
        self._alone = asyncio.Lock()

    @property
    def chain(self) -> Chain:
        assert self._chain is not None, "open() it first"
        return self._chain

    async def open(self) -> None:
        if self._chain is None:
            self._chain = Chain(self._entropy(16).hex(), self._entropy(8).hex(), self._entropy(32))
            self._state.marks[0] = self._entropy(8).hex(), 0

    async def close(self) -> None:
        async with self._alone:
            pass

    def reader(self, scopes: frozenset[str]) -> AbstractAsyncContextManager[Reader]:
        return self._reading(check_scopes(scopes))

    def unscoped_reader(self) -> AbstractAsyncContextManager[Reader]:
        return self._reading(None)

    @asynccontextmanager
    async def _reading(self, scopes: frozenset[str] | None) -> AsyncIterator[Reader]:
        yield MemoryReader(self.registry, self._state, scopes)

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[Writer]:
        async with self._alone:
            yield MemoryWriter(self, self._state)

    async def listen(self, on_commit: Callable[[frozenset[str] | None, int | None], None]) -> None:
        """Nobody tells of others here."""

    async def new_epoch(self) -> str:
        self._chain = replace(self.chain, epoch=self._entropy(8).hex())
        return self.chain.epoch

    async def compact(self, before_ms: int) -> int:
        async with self._alone:
            state = self._state.copy()
            old = [seq for seq, (_, at_ms) in state.marks.items() if at_ms < before_ms]
            state.floor = floor = max([*old, state.floor])
            state.marks = {seq: mark for seq, mark in state.marks.items() if seq >= floor}
            for key, stored in self._state.rows.items():
                places = {
                    scope: (seq, gone)
                    for scope, (seq, gone) in stored.places.items()
                    if not gone or seq > floor
                }
                state.rows[key] = _Stored(dict(stored.documents), places)
                if key[0] == "change_verdict" and not places:
                    del state.rows[key]
            self._state = state
            return floor

    async def claim(
        self, worker: str, now_ms: int, held_ms: int, limit: int, others: int | None = None
    ) -> list[Due]:
        async with self._standing() as (stood, customers):
            return stood.claim(customers, worker, now_ms, held_ms, limit, others)

    async def conclude(
        self, worker: str, seq: int, checked: Sequence[Checked], left: Iterable[str] = ()
    ) -> list[Movement]:
        async with self._standing() as (stood, customers):
            return stood.conclude(customers, worker, seq, checked, left)

    async def sweep_on(self, now_ms: int, limit: int) -> bool:
        async with self._standing() as (stood, customers):
            return stood.sweep_on(customers, self._state.above, now_ms, limit)

    @asynccontextmanager
    async def _standing(self) -> AsyncIterator[tuple[Stood, list[str]]]:
        async with self._alone:
            stood = self._state.stood.copy()
            yield stood, self._state.customers()
            self._state = replace(self._state, stood=stood)

    async def scrub(self) -> None:
        pass  # nothing is kept

    async def verify_log(self) -> int:
        return check_log(self._state.log, self._state.stamp_max, "memory")


class MemoryReader:
    def __init__(self, registry: Registry, state: _State, scopes: frozenset[str] | None) -> None:
        self._registry = registry
        self._state = state
        self._scopes = scopes

    async def head(self) -> Head:
        seq, (mark, _) = max(self._state.marks.items())
        return Head(seq, mark, self._state.stamp_max, self._state.floor)

    # --- rows ----------------------------------------------------------------------------------------

    def _found(self, entity: str, id: str) -> Found | None:
        stored = self._state.rows.get((entity, id))
        if stored is None:
            return None
        levels = set(stored.documents)
        if self._scopes is not None:
            placed = {level_of(s) for s, (_, left) in stored.places.items() if not left and s in self._scopes}
            levels &= placed
        if not levels:
            return None
        documents = {level: stored.documents[level][0] for level in sorted(levels)}
        return Found(id, documents, (id, id), {level: stored.documents[level][1] for level in documents})

    def _all(self, entity: str) -> Iterator[Found]:
        for name, id in self._state.rows:
            if name == entity and (found := self._found(name, id)):
                yield found

    async def find(self, entity: str, ids: Iterable[str]) -> dict[str, Found]:
        return {id: found for id in ids if (found := self._found(entity, id))}

    def _matching(self, entity: str, where: Where | None) -> Iterator[tuple[Found, dict[str, JSON]]]:
        table = TABLES[entity]
        check_where(TABLES, table, where)
        for found in self._all(entity):
            values = _values(found)
            if where is None or self._passes(table, values, where):
                yield found, values

    def _passes(self, table: Table, values: dict[str, JSON], where: Where) -> bool:
        match where:
            case All(tests):
                return all(self._passes(table, values, test) for test in tests)
            case Any_(tests):
                return any(self._passes(table, values, test) for test in tests)
            case Not(test):
                return not self._passes(table, values, test)
            case Person(test):
                merged = self._state.merged
                ids = [values["id"], *(id for id, into in merged.items() if into == values["id"])]
                rows = [_values(row) for id in ids if (row := self._found("customer", id))]
                passes = any(test is None or self._passes(table, row, test) for row in rows)
                return values["id"] not in merged and passes
            case Torn():
                return values["id"] in self._state.torn
            case Fits():
                raise LookupError("nothing here reads SQL")
            case Stands(scheme, wanted):
                stands = self._state.stood.standing.get(values["id"], {})
                return any(name == scheme and value in wanted for name, value in stands)
            case Member(segment):
                return segment in self._state.stood.membership.get(values["id"], {})
            case Related(entity, field, back, test):
                return any(
                    self._passes(TABLES[entity], _values(other), test)
                    for other in self._tied(table, values, entity, field, back)
                )
            case Test():
                return self._passes_test(table, values, where)
        assert_never(where)

    def _tied(
        self, table: Table, values: dict[str, JSON], entity: str, field: str, back: bool
    ) -> Iterator[Found]:
        """The rows of another entity that a field ties to this one."""
        if not back:
            found = (self._found(entity, id) for id in sorted(_named(table, values, field)))
            yield from (other for other in found if other)
            return
        own: set[str] = {values["id"]}
        if table.name == "customer":
            merged = self._state.merged
            person: str = merged.get(values["id"]) or values["id"]
            ids = {person, *(id for id, survivor in merged.items() if survivor == person)}
            own.update(id for id in ids if self._found("customer", id))
        for other in self._all(entity):
            if own & _named(TABLES[entity], _values(other), field):
                yield other

    def _passes_test(self, table: Table, values: dict[str, JSON], test: Test) -> bool:
        name, op, wanted = test.field, test.op, test.value
        value = values.get(name)
        if table.keys_of(name):
            keys = {key for field_, key in element_keys(table, values) if field_ == name}
            if op == "overlaps":
                return not keys.isdisjoint(wanted)
            return wanted in keys if op == "has" else bool(keys) is wanted
        if op == "match":
            entity = self._registry.by_name[table.name]
            return fits(wanted, tokens(entity, nested(entity, values)))
        if op == "exists":
            return (value is not None) is wanted
        if op == "ne":
            return bool(value != wanted)
        if value is None or wanted is None:
            return False
        if op == "in":
            return value in wanted
        if op == "starts":
            return bool(value.startswith(wanted))
        if op == "contains":
            return wanted in value
        compare = {"eq": eq, "lt": lt, "le": le, "gt": gt, "ge": ge}[op]
        return bool(compare(value, wanted))

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
        table = TABLES[entity]
        check_order(table, order)

        def place(key: tuple[JSON, str]) -> tuple[tuple[int, JSON], str]:
            return (_NULL if key[0] is None else (1, key[0])), key[1]

        result: list[Found] = []
        for found, values in self._matching(entity, where):
            value = found.id if order.field == "id" else values.get(order.field)
            if order.field == "name" and table.sort_name and value is not None:
                value = sort_name(value)
            result.append(found._replace(key=(value, found.id)))
        result.sort(key=lambda found: place(found.key), reverse=order.descending)
        low, high = (before, after) if order.descending else (after, before)
        if low is not None:
            result = [found for found in result if place(found.key) > place(low)]
        if high is not None:
            result = [found for found in result if place(found.key) < place(high)]
        return result[max(len(result) - limit, 0) :] if backwards else result[:limit]

    async def count(self, entity: str, where: Where | None) -> int:
        return sum(1 for _ in self._matching(entity, where))

    async def counts(self, entity: str, wheres: Iterable[Where]) -> list[int]:
        return [await self.count(entity, where) for where in wheres]

    async def totals(self, wheres: Sequence[Where], numbers: Sequence[Numbers]) -> list[Totals]:
        raise LookupError("nothing here reads SQL")

    # --- feed ----------------------------------------------------------------------------------------

    async def feed(self, after: Mapping[str, int], rows_max: int, bytes_max: int) -> FeedPage:
        self._only_own(after)
        head = (await self.head()).seq
        reached = dict(after)
        page: list[FeedRows] = []
        count = size = 0
        for scope in sorted(after):
            entries = sorted(
                (stored.places[scope], key)
                for key, stored in self._state.rows.items()
                if scope in stored.places and stored.places[scope][0] > after[scope]
            )
            documents: dict[str, list[bytes]] = defaultdict(list)
            left: dict[str, list[str]] = defaultdict(list)
            is_full = False
            for (seq, gone), (entity, id) in entries:
                is_full = count >= max(rows_max, 1) or (count > 0 and size >= bytes_max)
                if is_full:
                    break
                if gone:
                    left[entity].append(id)
                else:
                    document = self._state.rows[entity, id].documents[level_of(scope)][0]
                    documents[entity].append(document)
                    size += len(document)
                count += 1
                reached[scope] = seq
            page += [
                FeedRows(
                    scope,
                    entity,
                    documents[entity],
                    left[entity],
                    [id for id in left[entity] if (entity, id) in self._state.erased],
                )
                for entity in sorted({*documents, *left})
            ]
            if is_full:
                return FeedPage(page, reached, True)
            reached[scope] = max(after[scope], head)
        return FeedPage(page, reached, False)

    def _only_own(self, scopes: Iterable[str]) -> None:
        if self._scopes is not None and (foreign := set(scopes) - self._scopes):
            raise LookupError(f"not this reader's: {sorted(foreign)}")

    async def digests(self, scopes: Iterable[str]) -> dict[str, Digest]:
        wanted = list(scopes)
        self._only_own(wanted)
        return {scope: digest.add(digest.EMPTY, self._hashes(scope)) for scope in wanted}

    def _hashes(self, scope: str) -> Iterator[bytes]:
        return (hash for _, _, _, hash in self._held(scope))

    def _held(self, scope: str) -> Iterator[tuple[int, str, bytes, bytes]]:
        """(seq, entity, document, hash) of what a scope holds."""
        for (entity, _), stored in self._state.rows.items():
            seq, gone = stored.places.get(scope, (0, True))
            if not gone:
                document = stored.documents[level_of(scope)][0]
                yield seq, entity, document, row_hash(entity, document)

    async def buckets(self, scope: str) -> dict[int, Bucket]:
        self._only_own([scope])
        sizes: dict[int, int] = defaultdict(int)
        for _, _, document, hash in self._held(scope):
            sizes[hash[0]] += len(document)
        found = digest.buckets(self._hashes(scope))
        return {byte: Bucket(found[byte], sizes[byte]) for byte in found}

    async def bucket_rows(self, scope: str, buckets: Iterable[int]) -> list[FeedRows]:
        self._only_own([scope])
        wanted = set(buckets)
        documents: dict[str, list[bytes]] = defaultdict(list)
        for _, entity, document, hash in sorted(self._held(scope)):
            if hash[0] in wanted:
                documents[entity].append(document)
        return [FeedRows(scope, entity, documents[entity], []) for entity in sorted(documents)]

    # --- devices, marks, log ---------------------------------------------------------------------------

    async def acks(self, device: str, incarnations: Iterable[str]) -> dict[str, Acked]:
        result: dict[str, Acked] = {}
        for id in incarnations:
            known = self._state.incarnations.get(id)
            mine = known is not None and known.device == device
            result[id] = Acked(known.n, known.trail) if known and mine else Acked(0, trail.start(id))
        return result

    async def is_cloned(self, device: str, incarnations: Iterable[str]) -> bool:
        known = [self._state.incarnations.get(id) for id in incarnations]
        return any(found is not None and found.device == device and found.cloned for found in known)

    async def commits(self, after: int) -> list[int]:
        return sorted(seq for seq in self._state.marks if seq > after)

    async def knows_mark(self, seq: int, mark: str) -> bool:
        return seq in self._state.marks and self._state.marks[seq][0] == mark

    async def since(self, after: Mapping[str, int], entries_max: int) -> Since:
        self._only_own(after)
        entries, departed = 0, False
        for scope, seq in after.items():
            places = (stored.places.get(scope) for stored in self._state.rows.values())
            beyond = sorted(place for place in places if place and place[0] > seq)[: entries_max + 1]
            entries += len(beyond)
            departed = departed or any(left for _, left in beyond)
        return Since(entries, departed, len(self._state.erased))

    async def history(self, entity: str, id: str) -> list[Entry]:
        if not (self._found(entity, id) if entity in TABLES else self._scopes is None):
            return []
        return [replace(entry) for entry in self._state.log if (entry.entity, entry.id) == (entity, id)]

    async def histories(self, entity: str, ids: Iterable[str]) -> dict[str, list[Entry]]:
        return {id: await self.history(entity, id) for id in ids if self._found(entity, id)}

    async def happened(
        self,
        persons: Mapping[str, Iterable[str]],
        limit: int,
        before: tuple[int, int] | None = None,
        fields: frozenset[str] | None = None,
    ) -> dict[str, list[Happened]]:
        known = self._known()
        took: dict[str, Entry] = {}
        for entry in self._state.log:
            if entry.is_accepted:
                took.setdefault(entry.cid, entry)
        found: dict[str, list[Happened]] = {}
        for person, ids in persons.items():
            about = {*ids}
            happened = [
                Happened(entry.at_ms, entry.pos, known[cid])
                for cid, entry in took.items()
                if about.intersection(self._persons_of(entry))
                and (body := known[cid].body) is not None
                and (fields is None or not fields.isdisjoint(_written(entry.entity, body)))
                and (before is None or (entry.at_ms, entry.pos) < before)
            ]
            found[person] = sorted(happened, reverse=True)[:limit]
        return found

    def _persons_of(self, entry: Entry) -> tuple[str, ...]:
        """The customers of whom a change to a row within reach tells."""
        row = self._found(entry.entity, entry.id)
        if row is None or entry.entity not in ("customer", "link", "identity"):
            return ()
        if entry.entity == "customer":
            return (entry.id,)
        return tuple(self._registry.by_name[entry.entity].named_customers(_values(row)))

    async def holders(self, customers: Iterable[str]) -> dict[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for id in customers:
            if self._found("customer", id):
                units = units_in(
                    {
                        scope: left
                        for scope, (_, left) in self._state.rows["customer", id].places.items()
                        if self._scopes is None or scope in self._scopes
                    }
                )
                found |= {id: frozenset(units)} if units else {}
        return found

    def _known(self) -> dict[str, Entry]:
        """What the log knows of every cid: its first entry under what its latest says."""
        known: dict[str, Entry] = {}
        for later in self._state.log:
            entry = known.setdefault(later.cid, replace(later))
            entry.verdict, entry.code, entry.field = later.verdict, later.code, later.field
            entry.detail, entry.stamp, entry.closed = later.detail, later.stamp, later.closed
        return known

    async def open_entries(
        self, limit: int, after: int = 0, device: str | None = None, cids: Iterable[str] | None = None
    ) -> list[Entry]:
        among = None if cids is None else set(cids)
        return [
            entry
            for entry in self._known().values()
            if entry.is_open
            and entry.pos > after
            and (device is None or entry.device == device)
            and (among is None or entry.cid in among)
            and (self._scopes is None or self._is_mine(entry))
        ][:limit]

    async def open_counts(self) -> list[OpenCount]:
        if self._scopes is not None:
            raise LookupError("only the unscoped reader counts what is open")
        came: dict[tuple[str, str | None], list[int]] = defaultdict(list)
        for entry in self._known().values():
            if entry.is_open:
                came[entry.verdict, entry.code].append(entry.at_ms)
        ordered = sorted(came.items(), key=lambda item: (item[0][0], item[0][1] or ""))
        return [OpenCount(*said, len(times), min(times)) for said, times in ordered]

    def _is_mine(self, entry: Entry) -> bool:
        return self._device_is_mine(entry) or self._found(entry.entity, entry.id) is not None

    def _device_is_mine(self, entry: Entry) -> bool:
        assert self._scopes is not None
        unit = self._unit_of(entry)
        return unit is not None and unit_scope(unit) in self._scopes

    def _unit_of(self, entry: Entry) -> str | None:
        stored = self._state.rows.get(("device", entry.device or ""))
        if stored is None or Level.INTERNAL not in stored.documents:
            return None
        unit: str | None = orjson.loads(stored.documents[Level.INTERNAL][0]).get("unit")
        return unit

    async def accepted(self, cids: Iterable[str]) -> dict[str, Entry]:
        known, wanted = self._known(), set(cids)
        return {
            cid: known[cid]
            for cid in wanted & known.keys()
            if (entry := known[cid]).is_accepted and entry.body and self._found(entry.entity, entry.id)
        }

    async def choices(self, limit: int, before: int | None, chosen: Chosen) -> list[Choice]:
        known = self._known()
        return [
            Choice(entry.pos, entry.at_ms, known[entry.cid])
            for entry in reversed(self._state.log)
            if _is_choice(entry, chosen)
            and known[entry.cid].body is not None
            and (before is None or entry.pos < before)
            and (chosen.unit is None or self._unit_of(entry) == chosen.unit)
            and self._found(entry.entity, entry.id)
        ][:limit]

    async def tail(self, after: int, limit: int) -> Tail:
        if self._scopes is not None:
            raise LookupError("the log is the unscoped reader's")
        beyond = [entry for entry in self._state.log if entry.pos > after][:limit]
        noted = [Noted(entry.pos, entry.entity, entry.id, entry.is_accepted) for entry in beyond]
        return Tail(noted, self._state.log[-1].pos if self._state.log else 0)

    async def gaps(self, limit: int, device: str | None = None) -> list[Entry]:
        return [
            replace(entry)
            for entry in reversed(self._state.log)
            if entry.code == "number_gap"
            and (device is None or entry.device == device)
            and (self._scopes is None or self._device_is_mine(entry))
        ][:limit]

    async def clusters(self, customers: Iterable[str]) -> dict[str, tuple[str, ...]]:
        merged = self._state.merged
        found: dict[str, tuple[str, ...]] = {}
        for id in customers:
            into = merged.get(id, id)
            ids = [into, *sorted(member for member, other in merged.items() if other == into)]
            within = tuple(member for member in ids if self._found("customer", member))
            if len(ids) > 1 and id in within:
                found[id] = within
        return found

    async def equal_keys(self, limit: int) -> list[EqualKey]:
        table = TABLES["customer"]
        ids: dict[tuple[str, str], list[str]] = defaultdict(list)
        for found in self._all("customer"):
            values = _values(found)
            if values.get("archived"):
                continue
            keys = element_keys(table, values)
            for declared in self._registry.by_name["customer"].fields:
                if not declared.identity:
                    continue
                if table.keys_of(declared.name):
                    mine = {key for name, key in keys if name == declared.name and not key.startswith("?")}
                else:
                    mine = {values[declared.name]} if values.get(declared.name) else set()
                for key in mine:
                    ids[declared.name, key].append(found.id)
        merged = self._state.merged
        groups = [
            EqualKey(name, key, tuple(sorted(i)))
            for (name, key), i in sorted(ids.items())
            if len({merged.get(id, id) for id in i}) > 1
        ]
        return groups[:limit]

    # --- where customers stand -----------------------------------------------------------------------

    async def standings(self, customers: Iterable[str]) -> dict[str, dict[str, dict[str, int]]]:
        found: dict[str, dict[str, dict[str, int]]] = {}
        for id in customers:
            if self._found("customer", id):
                for (scheme, value), since in sorted(self._state.stood.standing.get(id, {}).items()):
                    found.setdefault(id, {}).setdefault(scheme, {})[value] = since
        return found

    async def memberships(self, customers: Iterable[str]) -> dict[str, dict[str, int]]:
        kept = self._state.stood.membership
        return {id: dict(kept[id]) for id in customers if kept.get(id) and self._found("customer", id)}

    async def movements(
        self,
        limit: int,
        before: int | None = None,
        customers: Iterable[str] | None = None,
        what: What | None = None,
        key: str | None = None,
    ) -> list[Movement]:
        among = None if customers is None else set(customers)
        return [
            movement
            for movement in reversed(self._state.stood.movements)
            if (before is None or movement.n < before)
            and (among is None or movement.customer in among)
            and what in (None, movement.what)
            and key in (None, movement.key)
            and self._found("customer", movement.customer)
        ][:limit]

    async def cuts(self, since: str, until: str, home: Home | None = None) -> Cuts:
        if home is None:
            return self._state.stood.cuts(since, until)
        there = [v["id"] for _, v in self._matching("customer", Test("home_unit", "in", list(home.units)))]
        return self._state.stood.cuts(since, until, home.currency, frozenset(there))

    async def next_due(self) -> int | None:
        return self._state.stood.next_due()

    async def sweep(self, now_ms: int) -> Sweep | None:
        return self._state.stood.sweeping(self._state.customers(), now_ms)

    async def unlooked(self, customers: Iterable[str], now_ms: int) -> set[str]:
        waiting = self._state.stood.unlooked(self._state.customers(), now_ms)
        return {id for id in customers if id in waiting and self._found("customer", id)}

    async def counted(self, customers: Iterable[str]) -> dict[str, set[Counted]]:
        kept = self._state.stood.counted
        return {id: set(kept[id]) for id in customers if kept.get(id) and self._found("customer", id)}


class MemoryWriter(MemoryReader):
    def __init__(self, storage: MemoryStorage, state: _State) -> None:
        super().__init__(storage.registry, state, None)
        self._storage = storage
        self._is_over = False

    def _row(self, key: Key) -> Row:
        stored = self._state.rows.get(key) or _Stored()
        return Row(
            self._registry.by_name[key[0]],
            key[1],
            {level: raw for level, (raw, _) in stored.documents.items()},
            {scope: left for scope, (_, left) in stored.places.items()},
            erased=key in self._state.erased,
            seen=dict(self._state.seen.get(key[1], {})) if key[0] == "customer" else {},
        )

    async def rows(self, keys: Iterable[Key]) -> dict[Key, Row]:
        return {key: self._row(key) for key in keys if key[0] in TABLES}

    async def entries(self, cids: Iterable[str]) -> dict[str, Entry]:
        known = self._known()
        return {cid: known[cid] for cid in cids if cid in known}

    async def dependents(self, customers: Iterable[str]) -> list[Row]:
        wanted = set(customers)
        rows = map(self._row, sorted(self._state.rows))
        return [row for row in rows if wanted.intersection(row.entity.named_customers(row.values))]

    async def kin(self, customers: Iterable[str]) -> list[Row]:
        decided = [self._row(key) for key in sorted(self._state.rows) if key[0] == "identity"]
        pairs = [(row, {row.values.get("one"), row.values.get("other")}) for row in decided if row.exists]
        members: set[JSON] = set(customers)
        size = -1
        while size != len(members):
            size = len(members)
            for row, pair in pairs:
                if row.values.get("decision") == "same" and pair & members:
                    members |= pair
        return [row for row, pair in pairs if pair <= members]

    async def expired(self, before_ms: int, limit: int) -> list[tuple[str, str]]:
        found = [
            (at, id, unit)
            for id, units in self._state.seen.items()
            for unit, at in units.items()
            if at < before_ms
        ]
        return [(id, unit) for _, id, unit in sorted(found)[:limit]]

    async def placed_before(
        self, at: str, limit: int, after: tuple[str, str] | None = None
    ) -> list[tuple[str, str]]:
        found = [
            (str(row.values.get("at")), row.id)
            for row in map(self._row, self._state.rows)
            if row.entity.name == "interaction" and row.exists and not all(row.places.values())
        ]
        beyond = after or ("", "")
        return sorted(one for one in found if beyond < one and one[0] < at)[:limit]

    async def about(self, ids: Iterable[str], named: Iterable[str]) -> list[Entry]:
        wanted, texts = set(ids), [text.encode() for text in named]
        found = {
            entry.cid
            for entry in self._state.log
            if entry.id in wanted or any(text in (entry.body or b"") for text in texts)
        }
        return [entry for cid, entry in self._known().items() if cid in found]

    async def members(self, groups: Iterable[str]) -> list[Entry]:
        wanted = set(groups)
        known = self._known().values()
        cids = {entry.cid for entry in known if entry.group in wanted}
        return [e for e in known if e.cid in cids or (e.is_open and e.replaces in cids)]

    async def waiting(self, keys: Iterable[str]) -> list[str]:
        wanted = set(keys)
        return [group for group, waits in self._state.queue.items() if waits in wanted]

    async def unmatched(self, limit: int) -> list[str]:
        return sorted(self._state.unmatched)[:limit]

    async def alike(self, customers: Iterable[str]) -> list[Alike]:
        declared, wanted = self._registry.by_name["customer"], set(customers)
        holders: dict[str, list[tuple[str, bool]]] = defaultdict(list)
        for found in self._all("customer"):
            values = _values(found)
            for path in identity_keys(declared, values):
                holders[path].append((found.id, bool(values.get("archived"))))
        alike: set[Alike] = set()
        for path, sharing in holders.items():
            name, _, _ = path.partition("/")
            if 2 <= len(sharing) <= SHARED_MAX:
                said = "name" if name == LIKENESS else path if name in declared.set_names else name
                ids = sorted(id for id, archived in sharing if not archived)
                pairs = ((one, other) for one in ids for other in ids if one < other)
                alike |= {Alike(one, other, said) for one, other in pairs if {one, other} & wanted}
        return sorted(alike)

    async def incarnation(self, id: str) -> Incarnation | None:
        known = self._state.incarnations.get(id)
        return None if known is None else replace(known)

    async def settled(self, before_ms: int, limit: int, erased: bool) -> list[str]:
        bound = max((seq for seq, (_, at_ms) in self._state.marks.items() if at_ms < before_ms), default=-1)
        found: list[tuple[int, str]] = []
        for (entity, id), stored in self._state.rows.items():
            if entity == "change_verdict" and not all(gone for _, gone in stored.places.values()):
                raw, seq = stored.documents[Level.INTERNAL]
                said = orjson.loads(raw)
                is_final = said["verdict"] in ACCEPTED or said["closed"]
                if seq <= bound and is_final and (said["code"] == "erased") is erased:
                    found.append((seq, id))
        return [id for _, id in sorted(found)[:limit]]

    async def commit(self, batch: Batch) -> Commit:
        assert not self._is_over, "commit once, last"
        self._is_over = True
        head = await self.head()
        last = head.seq + max(len(batch.writes.places), 1)
        state = self._state.copy()
        own: set[Key] = set()

        def stored(key: Key) -> _Stored:
            if key not in own:
                own.add(key)
                state.rows[key] = state.rows[key].copy() if key in state.rows else _Stored()
            return state.rows[key]

        for entity, id, level, raw in batch.writes.documents:
            stored((entity.name, id)).documents[level] = (raw, last)
        for seq, (scope, name, id, left) in enumerate(batch.writes.places, head.seq + 1):
            stored((name, id)).places[scope] = (seq, left)
        state.erased |= frozenset(batch.erased)
        for customer, unit, at in batch.writes.sightings:
            units = state.seen.setdefault(customer, {})
            if at is None:
                units.pop(unit, None)
            else:
                units[unit] = at
        for key in batch.erased:
            stored(key).documents.clear()
            if key[0] == "customer":
                state.seen.pop(key[1], None)
        nothing: dict[str, None] = dict.fromkeys(("body", "key", "field", "detail"))
        state.log = [replace(e, **nothing) if e.cid in batch.emptied else e for e in state.log]  # type: ignore[arg-type]
        hash = state.log[-1].hash if state.log else START
        for pos, entry in enumerate(batch.entries, len(state.log) + 1):
            entry.pos, entry.hash = pos, entry_hash(hash, entry)
            hash = entry.hash
            state.log.append(replace(entry))
        for group, waits in batch.waits.items():
            if waits is None:
                state.queue.pop(group, None)
            else:
                state.queue[group] = waits
        for id, into in batch.writes.merged.items():
            if into is None:
                state.merged.pop(id, None)
            else:
                state.merged[id] = into
        torn = {id for id, is_torn in batch.writes.torn.items() if is_torn}
        state.torn = (state.torn - batch.writes.torn.keys() - {id for _, id in batch.erased}) | torn
        if batch.scan:
            state.unmatched |= {
                id for (name, id), row in state.rows.items() if name == "customer" and row.documents
            }
        state.unmatched = (state.unmatched | batch.unmatched) - batch.matched
        here = self._state.customers()
        for id in [id for name, id in batch.erased if name == "customer" and id in here]:
            state.stood.forget(id, here)
            here.remove(id)
        state.stood.queue(state.customers(), (batch.due | self._families(state, batch)), last)
        state.stood.sweep_for(batch.swept, last)
        if batch.incarnation is not None:
            known = state.incarnations
            before = known.get(batch.incarnation.id)
            mine = known[batch.incarnation.id] = replace(
                batch.incarnation,
                began=before.began if before else last,
                cloned=before is not None and before.cloned,
            )
            for id, other in known.items():
                if other.device == mine.device and other.began > mine.began:
                    known[id] = replace(other, cloned=True)
        state.stamp_max = max(state.stamp_max, batch.stamp_max)
        mark = self._storage._entropy(8).hex()
        state.marks[last] = mark, batch.at_ms
        self._storage._state = state
        return Commit(last, mark)

    @staticmethod
    def _families(state: _State, batch: Batch) -> set[str]:
        """Whom facts name that correct what is written, or are corrected by it, in however many steps."""
        said = {
            id: orjson.loads(row.documents[Level.INTERNAL][0])
            for (name, id), row in state.rows.items()
            if name == "interaction" and row.documents
        }
        tied: dict[str, set[str]] = defaultdict(set)
        for id, values in said.items():
            if former := values.get("supersedes"):
                tied[id].add(former)
                tied[former].add(id)
        family: set[str] = set()
        todo = [id for entity, id, *_ in batch.writes.documents if entity.name == "interaction"]
        while todo:
            id = todo.pop()
            if id not in family:
                family.add(id)
                todo += tied[id]
        parties = [said[id].get("party") or () for id in family if id in said and tied[id]]
        return {member["customer"] for party in parties for member in party if member.get("customer")}


def _written(entity: str, body: bytes) -> set[str]:
    """The `<entity>.<field>` that a change of the log wrote."""
    return {f"{entity}.{path.partition('/')[0]}" for path in orjson.loads(body)["fields"]}


def _is_choice(entry: Entry, chosen: Chosen) -> bool:
    said = entry.detail or {}
    stamped = entry.code == "stamp_replaced"
    decided = entry.verdict == "merged" or stamped
    if not decided and not (entry.verdict == "applied" and said and entry.code != "erased"):
        return False
    if chosen.device not in (None, entry.device) or entry.at_ms < (chosen.since_ms or entry.at_ms):
        return False
    paths = [*said.get("beside", ()), *said.get("normal", {}).values(), *said.get("filled", ())]
    paths += [path for path, _ in said.get("older", {}).values()]
    touched = {f"{entry.entity}.{path.partition('/')[0]}" for path in paths}
    if chosen.fields is None or touched & chosen.fields:
        return True
    return chosen.bare and (stamped or not said)


def _named(table: Table, values: dict[str, JSON], field: str) -> set[str]:
    """The ids that a field of a row names."""
    if table.keys_of(field):
        return {key for name, key in element_keys(table, values) if name == field}
    id = values.get(field)
    return {id} if id else set()


def _values(found: Found) -> dict[str, JSON]:
    """The shown internal values of a row, as far as they are within reach."""
    raw = found.documents.get(Level.INTERNAL)
    values: dict[str, JSON] = orjson.loads(raw) if raw else {}
    return {**values, "id": found.id}
