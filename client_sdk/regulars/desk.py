"""One tablet's own desk: what is read here, written here and refused, with no network at all."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from regulars import replica
from regulars.contested import Contested, contested
from regulars.held import HeldChange, held_changes
from regulars.laid import Laid
from regulars.outbox import CID_BYTES, Live, Outbox
from regulars.overlay import Overlay, seen_by, shown
from regulars.persons import golden
from regulars.records import ENTITY_OF, Customer, Record
from regulars.replica import Replica
from regulars_schema.declare import JSON, Registry, Unfit
from regulars_schema.search import Match, asked, fits, tokens
from regulars_sync import changes
from regulars_sync.changes import Change, Source, Stated, Value, Verified
from regulars_sync.check import admit, provisional
from regulars_sync.errors import LocalError
from regulars_sync.history import as_written
from regulars_sync.ids import ENTROPY_BYTES, uuid7
from regulars_sync.merge import Registers
from regulars_sync.replica_layout import Key
from regulars_sync.upgrade import translated

if TYPE_CHECKING:
    from regulars.knowing import Knowing, Settings

NOTICE_S = 1.0
"""How soon what another process on this tablet wrote is noticed."""
R = TypeVar("R", bound=Record)
T = TypeVar("T")


@dataclass(slots=True)
class _Transaction:
    changes: list[Change]
    live: list[Live]


def is_urgent(change: Change) -> bool:
    """A report that somebody waits for."""
    report = change.fields.get("report_class") if change.entity == "interaction" else None
    return report is not None and report.value == "urgent"


class Desk:
    """Reads and writes of one replica and one outbox. Time and randomness enter by constructor."""

    def __init__(
        self,
        rows: Replica,
        outbox: Outbox,
        registry: Registry,
        now_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
    ) -> None:
        self.registry = registry
        self.now_ms = now_ms
        self.entropy = entropy
        self._rows = rows
        self._outbox = outbox
        self._overlay = Overlay(registry, rows, outbox)
        self._staff: tuple[str | None, str] | None = None
        """The device on which somebody signed in, and who."""
        self._offset_ms = 0
        """What to add to this tablet's clock to get the server's, as last measured."""
        self._settings: Settings | None = None
        self._writing = asyncio.Lock()
        self._nudges: set[Callable[[bool], None]] = set()
        self._watchers: set[asyncio.Queue[set[Key]]] = set()
        self._transaction: ContextVar[_Transaction | None] = ContextVar("transaction", default=None)

    # --- whose desk it is -----------------------------------------------------------------------------

    @property
    def _said(self) -> Mapping[str, Any]:
        return self._outbox.facts

    @property
    def unit(self) -> str | None:
        """The unit of this tablet, None before it is paired."""
        return self._said.get("unit")

    @property
    def country(self) -> str | None:
        return self._said.get("country")

    @property
    def staff_id(self) -> str | None:
        """Who is signed in; nobody any more once this tablet was wiped or is another device."""
        device, staff = self._staff or (None, None)
        return staff if device == self._said.get("device") and not self._said.get("wiped") else None

    async def watch(self) -> AsyncIterator[set[Key]]:
        """(entity, id) of rows as they change, by this tablet or by a sync; for a screen that shows them.

        What another process on this tablet writes or syncs is told within a second or so. An empty set: more
        changed than can be named, so all that is shown is to be read anew.
        """
        queue: asyncio.Queue[set[Key]] = asyncio.Queue()
        self._watchers.add(queue)
        try:
            while True:
                try:
                    async with asyncio.timeout(NOTICE_S):
                        told = [await queue.get()]
                except TimeoutError:
                    await self._look()
                    continue
                told += [queue.get_nowait() for _ in range(queue.qsize())]
                yield set().union(*told) if all(told) else set()
        finally:
            self._watchers.discard(queue)

    def _tell(self, keys: set[Key] | None) -> None:
        """None: any row may have changed."""
        if keys is None or keys:
            for queue in self._watchers:
                queue.put_nowait(set(keys or ()))

    async def _look(self) -> None:
        """Take notice of what another process wrote and synced; a busy file is looked at next time."""
        with contextlib.suppress(LocalError):
            if made := await self._outbox.foreign():
                self._nudge([live.change for live in made])
                self._tell({(live.entity, live.id) for live in made})
            self._tell(await self._rows.foreign())

    def _nudge(self, made: Sequence[Change]) -> None:
        urgent = any(is_urgent(change) for change in made)
        for nudge in self._nudges:
            nudge(urgent)

    # --- what was refused -------------------------------------------------------------------------------

    async def held(self) -> list[HeldChange]:
        """Own changes that the server holds or rejected, with what to do; the newest last."""
        return await held_changes(self._rows, self._outbox)

    async def mend(self, cid: str, **fields: JSON) -> None:
        """Replace a held or rejected change: its fields with these put over them (a set's as `tags/x`).

        Of a change that an older version made, what this one has no words for is left out.

        `LocalError("mend_invalid")` when nothing is held under this cid.
        """
        held = await self._held(cid)
        original = held.change
        entity = self.registry.get(original.entity)
        said, unsaid = translated(entity, original, self.registry.version)
        kept = {path: value for path, value in said.fields.items() if path not in unsaid}
        put = {path: Value(value) for path, value in fields.items()}
        await self._replace(original, original.op, {**kept, **put})

    async def drop(self, cid: str) -> None:
        """Give a held or rejected change up: the rest of its transaction goes on without it."""
        held = await self._held(cid)
        await self._replace(held.change, "edit", {})

    async def _held(self, cid: str) -> HeldChange:
        for held in await self.held():
            if held.cid == cid:
                return held
        raise LocalError("mend_invalid", replaces=cid)

    async def _replace(
        self, original: Change, op: Literal["create", "edit"], fields: dict[str, Value]
    ) -> None:
        async with self._writing:
            rows = await self._rows_of(original.entity, original.id)
            drafted = self._draft(original.entity, original.id, op, fields, {}, original.cid)
            fields = provisional(self.registry, drafted, self.country).fields
            seen = {path: cids for path, value in fields.items() if (cids := seen_by(rows, path, value))}
            drafted = msgspec.structs.replace(drafted, fields=fields, seen=seen)
            await self._save([drafted])

    # --- writing ------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Several writes that share one fate, here and at the server. Leaving by an exception writes none."""
        if self._transaction.get() is not None:
            raise LocalError("argument_invalid", reason="a transaction is open already")
        await self._outbox.said()
        open_ = _Transaction([], [])
        token = self._transaction.set(open_)
        try:
            yield
        finally:
            self._transaction.reset(token)
        if open_.changes:
            async with self._writing:
                await self._save(open_.changes)

    @property
    def is_writing_together(self) -> bool:
        """Whether a transaction is open."""
        return self._transaction.get() is not None

    async def registers(self, entity: str, id: str) -> Registers:
        """What a row holds, value by value; nothing for one that is not on this tablet."""
        row = await self._overlay.get(entity, id, self._unsaved())
        return {} if row is None else row.registers

    async def write(
        self,
        entity: str,
        id: str,
        op: Literal["create", "edit"],
        fields: Mapping[str, JSON],
        source: Source | None = "staff_visit",
        verified: Verified | None = None,
    ) -> None:
        """Make one change, durably. What does not fit is refused here already, and nothing is written."""
        await self.put(entity, id, op, {path: Value(v, source, verified) for path, v in fields.items()})

    async def put(
        self, entity: str, id: str, op: Literal["create", "edit"], written: dict[str, Value]
    ) -> None:
        """The same, where each value says for itself where it is from."""
        open_ = self._transaction.get()
        if open_ is not None:
            await self._write(entity, id, op, written, open_)
            return
        async with self._writing:
            await self._outbox.said()
            alone = _Transaction([], [])
            await self._write(entity, id, op, written, alone)
            await self._save(alone.changes)

    async def _write(
        self,
        entity: str,
        id: str,
        op: Literal["create", "edit"],
        fields: dict[str, Value],
        open_: _Transaction,
    ) -> None:
        declared = self.registry.get(entity)
        rows: list[Laid] = []
        if op == "edit":
            rows = await self._rows_of(entity, id, open_.live)
            if not any(row.id == id for row in rows):
                raise LocalError("not_found", entity=declared.label.en)
        drafted = self._draft(entity, id, op, fields, {}, None)
        try:
            _, admitted = admit(self.registry, drafted, self.country, self.unit)
        except Unfit as unfit:
            raise LocalError(unfit.code, **unfit.detail) from None
        seen = {path: cids for path, value in admitted.fields.items() if (cids := seen_by(rows, path, value))}
        drafted = self._draft(entity, id, op, admitted.fields, seen, None, drafted.cid)
        open_.changes.append(drafted)
        open_.live.append(Live(drafted.cid, "", 0, entity, id, None, changes.encode(drafted)))

    def _draft(
        self,
        entity: str,
        id: str,
        op: Literal["create", "edit"],
        fields: dict[str, Value],
        seen: dict[str, list[str]],
        replaces: str | None,
        cid: str | None = None,
    ) -> Change:
        cid = cid or self.entropy(CID_BYTES).hex()
        return Change(
            cid=cid,
            group=cid,
            op=op,
            entity=entity,
            id=id,
            fields=fields,
            seen=seen,
            stated=Stated(self.now_ms()),
            schema=self.registry.version,
            actor=self.staff_id,
            replaces=replaces,
        )

    async def _save(self, drafted: Sequence[Change]) -> None:
        known = await self._rows.file.read(lambda c: replica.number(c, "stamp_max") or 0)
        await self._outbox.append(changes.grouped(drafted), known)
        self._nudge(drafted)
        self._tell({(change.entity, change.id) for change in drafted})

    async def contested(self, entity: str, id: str) -> list[Contested]:
        """The fields of a row that hold several values which have not seen each other.

        `LocalError("not_found")` when the row is not on this tablet.
        """
        declared = self.registry.get(entity)
        return contested(declared, await self._present(entity, id))

    async def choose(self, entity: str, id: str, path: str, choice: JSON) -> None:
        """Let one of these values, named by its cid or by itself, be the only one; it goes out as any change.

        `LocalError`: not_found, choice_gone (that value does not stand there beside another).
        """
        row = await self._present(entity, id)
        values = row.registers[path].values if path in row.registers else {}
        chosen = next((v for v in values.values() if choice == v.cid or choice == v.value), None)
        if chosen is None or len(values) < 2:
            raise LocalError("choice_gone", field=path)
        await self.put(entity, id, "edit", {path: as_written(chosen)})

    async def _present(self, entity: str, id: str) -> Laid:
        row = await self._overlay.get(entity, id, self._unsaved())
        if row is None:
            raise LocalError("not_found", entity=self.registry.get(entity).label.en)
        return row

    # --- reading ------------------------------------------------------------------------------------------

    async def know(self, work: Callable[[Knowing], T], as_of: datetime | None = None) -> T:
        """Ask of what is known here of customers, now by the server's clock or as of an instant.

        What answers is loaded with the first question: rules and schemes cost half the time of a start.
        """
        from regulars.knowing import Knowing, Settings

        if as_of is not None and as_of.tzinfo is None:
            raise LocalError("instant_invalid", field="as_of")
        now_ms = self.now_ms() + self._offset_ms
        as_of_ms = now_ms if as_of is None else int(as_of.timestamp() * 1_000)
        settings = self._settings = self._settings or Settings()
        live = [*await self._outbox.live(), *self._unsaved()]

        def inside(connection: sqlite3.Connection) -> T:
            setting = settings.of(connection)
            knowing = Knowing(
                connection, self.registry, self._overlay, live, setting, as_of_ms, self.staff_id
            )
            return work(knowing)

        return await self._rows.read(inside)

    def new_id(self) -> str:
        return uuid7(self.now_ms(), self.entropy(ENTROPY_BYTES))

    async def get_record(self, kind: type[R], id: str) -> R | None:
        """The record of this kind with this id, of a customer the golden card; None for none here."""
        entity = ENTITY_OF[kind]
        rows = await self._rows_of(entity, id, self._unsaved())
        if not any(row.id == id for row in rows):
            return None
        return self._record(kind, golden(self.registry.get(entity), id, rows))

    async def list_records(self, kind: type[R], **wanted: Any) -> list[R]:
        """Records in their natural order, one for each person; the arguments of `Overlay.select`."""
        entity = ENTITY_OF[kind]
        if entity == "customer":
            return [self._record(kind, row) for row in await self._list_persons(**wanted)]
        rows = await self._overlay.select(entity, self._unsaved(), **wanted)
        return [self._record(kind, row) for row in rows]

    async def search_records(self, kind: type[R], text: str, limit: int) -> list[R]:
        """Records that fit a text, the best first, one for each person; all, in order, for an empty text.

        Only where none fits, a letter may be wrong.
        """
        wanted = asked(text)
        if wanted is None:
            return await self.list_records(kind, limit=limit)
        entity = ENTITY_OF[kind]
        for match in (wanted.strict, wanted.loose) if wanted.words else ():
            if match is not None:
                ids = await self._overlay.search(entity, wanted, match, self._unsaved())
                if found := await self._found(entity, ids, match, limit):
                    return [self._record(kind, row) for row in found]
        return []

    async def _found(self, entity: str, ids: list[str], match: Match, limit: int) -> list[Laid]:
        """The rows with these ids, in their order; of customers the golden cards that fit too."""
        if entity != "customer":
            rows = await self._overlay.find(entity, ids[:limit], self._unsaved())
            return [rows[id] for id in ids[:limit] if id in rows]
        declared = self.registry.get(entity)
        cards: dict[str, Laid | None] = {}
        for at in range(0, len(ids), max(limit, 1)):
            persons = await self._overlay.persons(ids[at : at + limit], self._unsaved())
            for id, rows_ in persons.items():
                first = rows_[0].id if rows_ else id
                if rows_ and first not in cards:
                    card = golden(declared, first, rows_)
                    cards[first] = card if fits(match, tokens(declared, shown(declared, card))) else None
            if sum(card is not None for card in cards.values()) >= limit:
                break
        return [card for card in cards.values() if card is not None][:limit]

    async def customers_of(self, ids: Iterable[str]) -> dict[str, Customer]:
        """The cards of these customers' persons, those that are here."""
        persons = await self._overlay.persons(ids, self._unsaved())
        declared = self.registry.get("customer")
        return {
            id: self._record(Customer, golden(declared, id, rows)) for id, rows in persons.items() if rows
        }

    async def members(self, customer: str) -> list[str]:
        """The ids that are one person with this one, the survivor's first."""
        found = await self._overlay.persons([customer], self._unsaved())
        return [row.id for row in found[customer]] or [customer]

    async def _rows_of(self, entity: str, id: str, unsaved: Sequence[Live] = ()) -> list[Laid]:
        """The row with this id; of a customer all rows of the person."""
        if entity == "customer":
            return (await self._overlay.persons([id], unsaved))[id]
        row = await self._overlay.get(entity, id, unsaved)
        return [row] if row else []

    async def _list_persons(
        self,
        limit: int = 100,
        after: tuple[str, str] | None = None,
        element: tuple[str, str] | None = None,
    ) -> list[Laid]:
        """The golden cards whose rows pass, where their survivor's row stands, or where one was found."""
        entity, overlay = self.registry.get("customer"), self._overlay
        shown: dict[str, Laid | None] = {}
        while True:
            rows = await overlay.select(
                "customer", self._unsaved(), limit=limit, after=after, element=element
            )
            persons = await overlay.persons([row.id for row in rows], self._unsaved())
            for row in rows:
                first = persons[row.id][0].id if persons[row.id] else row.id
                if first in shown or (first != row.id and element is None):
                    continue
                card = golden(entity, first, persons[row.id] or [row])
                shown[first] = card if overlay.passes(entity, card, element) else None
            found = [card for card in shown.values() if card is not None]
            if len(rows) < limit or len(found) >= limit:
                return found[:limit]
            after = overlay.sort_key(entity, rows[-1])

    async def position(self, kind: type[Record], id: str) -> tuple[str, str] | None:
        """Where a list goes on behind this row."""
        entity = ENTITY_OF[kind]
        row = await self._overlay.get(entity, id, self._unsaved())
        return self._overlay.sort_key(self.registry.get(entity), row) if row else None

    def _unsaved(self) -> list[Live]:
        open_ = self._transaction.get()
        return open_.live if open_ else []

    def _record(self, kind: type[R], row: Laid) -> R:
        return kind.of(row.id, shown(self.registry.get(ENTITY_OF[kind]), row), row.state)
