"""The shop: everything a branch tool does, on a tablet that works with no network at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import orjson

from regulars import replica
from regulars.customers import Customers, Links, Segments, Tags
from regulars.files import Connection, connect
from regulars.held import HeldChange, held_changes
from regulars.interactions import Interactions
from regulars.looping import Loop, wait
from regulars.outbox import CID_BYTES, Live, Outbox
from regulars.overlay import Laid, Overlay, seen_by, shown
from regulars.records import ENTITY_OF, Product, Record, Staff, Unit
from regulars.replica import Key, Replica
from regulars.syncing import Syncer
from regulars.transport import HttpTransport, Transport, ask
from regulars_schema.declare import JSON, Registry, Unfit
from regulars_schema.entities import REGISTRY
from regulars_sync import changes
from regulars_sync.changes import Change, Source, Stated, Value, Verified
from regulars_sync.check import admit
from regulars_sync.digest import Digest
from regulars_sync.errors import LocalError, Offline, Refused
from regulars_sync.ids import ENTROPY_BYTES, uuid7
from regulars_sync.pins import fits
from regulars_sync.protocol import PairAnswer, PairRequest, Problem, Rotate, RotateAnswer
from regulars_sync.round import SyncReport

R = TypeVar("R", bound=Record)


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Status:
    """How this tablet stands."""

    paired: bool
    device: str | None
    unit: str | None
    server: str | None
    staff: str | None
    pending: int
    """Changes that the server has not yet acknowledged."""
    held: int
    """Own changes that were held or rejected."""
    synced_ms: int | None
    """When rows were last applied, by this tablet's clock."""
    offset_ms: int
    """What to add to this tablet's clock to get the server's, as last measured."""
    rows: int
    wiped: bool
    """Head office shut this tablet out, and what it held was deleted; pair it again to go on."""


@dataclass(slots=True)
class _Transaction:
    changes: list[Change]
    live: list[Live]


class Shop:
    """One tablet's replica and outbox. Open it with `Shop.open`; one process at a time.

    Writes are durable when they return and raise nothing but `LocalError`; reads never touch the
    network; only `pair`, `sync`, `sync_forever` and `graphql` do.
    """

    def __init__(
        self,
        rows: Replica,
        outbox: Outbox,
        registry: Registry,
        now_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
        transport: Callable[[str], Transport],
    ) -> None:
        self.registry = registry
        self.now_ms = now_ms
        self.entropy = entropy
        self._rows = rows
        self._outbox = outbox
        self._overlay = Overlay(registry, rows, outbox)
        self._new_transport = transport
        self._transport: Transport | None = None
        self._said: dict[str, Any] = {}
        self._staff: str | None = None
        self._offset_ms = 0
        self._writing = asyncio.Lock()
        self._syncing = asyncio.Lock()
        self._nudges: set[asyncio.Event] = set()
        self._watchers: set[asyncio.Queue[set[Key]]] = set()
        self._transaction: ContextVar[_Transaction | None] = ContextVar("transaction", default=None)
        self.customers = Customers(self)
        self.interactions = Interactions(self)
        self.tags = Tags(self)
        self.links = Links(self)
        self.segments = Segments(self)

    # --- opening ------------------------------------------------------------------------------------

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: str | Path,
        *,
        now_ms: Callable[[], int] = wall_ms,
        entropy: Callable[[int], bytes] = os.urandom,
        transport: Callable[[str], Transport] = HttpTransport,
        connect: Callable[[Path], Awaitable[Connection]] = connect,
        registry: Registry = REGISTRY,
        durable: bool = True,
    ) -> AsyncIterator[Self]:
        """Open the replica at `path` and the outbox beside it (`branch.outbox.db`), or make them.

        `LocalError`: file_foreign, file_newer, file_busy, file_damaged, disk_full; nothing was changed.
        """
        place = Path(path)
        rows = Replica(place, registry, durable)
        outbox = Outbox(place.with_suffix(f".outbox{place.suffix or '.db'}"), entropy, durable)
        shop = cls(rows, outbox, registry, now_ms, entropy, transport)
        try:
            await outbox.file.open(await connect(outbox.file.path))
            await rows.file.open(await connect(rows.file.path))
            shop._know(await outbox.said())
            yield shop
        finally:
            if shop._transport is not None:
                await shop._transport.close()
            await rows.file.close()
            await outbox.file.close()

    def _know(self, said: Mapping[str, Any]) -> None:
        self._said = dict(said)
        self._overlay.country = self._said.get("country")

    @property
    def unit(self) -> str | None:
        """The unit of this tablet, None before it is paired."""
        return self._said.get("unit")

    @property
    def country(self) -> str | None:
        return self._said.get("country")

    @property
    def staff_id(self) -> str | None:
        """Who is signed in."""
        return self._staff

    # --- the server -----------------------------------------------------------------------------------

    async def pair(self, url: str, code: str, name: str = "") -> None:
        """Enrol this tablet with a code from head office; what was written before is sent at the next sync.

        One that was shut out, copied or forgotten by the server is paired again so: as another device,
        under which it offers what it kept. `Refused` pairing_code_invalid, chain_other; `Offline`,
        `LocalError("already_paired")`.
        """
        async with self._syncing:
            await self._pair(url, code, name)

    async def _pair(self, url: str, code: str, name: str) -> None:
        if self._said.get("token") and not self._said.get("refused"):
            raise LocalError("already_paired")
        transport = self._new_transport(url)
        try:
            request = PairRequest(code, name or Path(self._rows.file.path).stem, self.registry.version)
            answer = await ask(transport, "/sync/v1/pair", request, None, PairAnswer)
        except BaseException:
            await transport.close()
            raise
        if isinstance(answer, Problem):
            await transport.close()
            raise Refused(answer.code, **answer.detail)
        facts = {
            "url": url,
            "token": answer.token,
            "device": answer.device,
            "unit": answer.unit,
            "chain": answer.chain,
            "country": answer.country,
        }
        try:
            await self._leave()
            await self._outbox.enrol(facts)
        except BaseException:
            await transport.close()
            raise
        self._know(await self._outbox.said())
        if self._transport not in (None, transport):
            await self._transport.close()
        self._transport = transport

    async def _leave(self) -> None:
        """Delete what the device that this tablet was may not keep; else the next sync replaces the rows."""
        if self._said.get("wiped"):
            return
        if (refused := self._said.get("refused")) in {"device_revoked", "device_wipe"}:
            acked = await self._rows.file.read(replica.acks) if refused == "device_revoked" else None
            self._tell(await self._rows.wipe())
            await self._outbox.wipe(acked)
            self.sign_out()
        else:
            await self._rows.reset()

    async def sync(self, on_step: Callable[[str], None] = lambda step: None) -> SyncReport:
        """One round: pull, push what is pending, pull again. Being offline is a result, not an error.

        `LocalError("not_paired")` before pairing.
        """
        async with self._syncing:
            syncer = Syncer(
                self._rows,
                self._outbox,
                self._connected(),
                self._said["token"],
                self.registry.version,
                self.now_ms,
                self._tell,
                on_step,
                self._offset_ms,
                self._said.get("chain"),
                refused=self._said.get("refused"),
            )
            report = await syncer.run()
            self._offset_ms = syncer.offset_ms
            if syncer.refused != self._said.get("refused"):
                await self._outbox.say({"refused": syncer.refused})
            if syncer.refused != self._said.get("refused") or report.wiped:
                self._know(await self._outbox.said())
            if report.wiped:
                self.sign_out()
            if syncer.rotate or syncer.refused == "token_invalid":
                await self._rotate(syncer.rotate)
            return report

    async def _rotate(self, is_asked: bool) -> None:
        """Take the token that follows, or go back to the former one where the present one is not known.

        It is durable before it is used. When the answer is lost the present one still serves, and the
        server asks again. A server that was restored to before the change knows the former one only.
        """
        present, other = self._said["token"], None
        if is_asked:
            with contextlib.suppress(Offline):
                answer = await ask(self._connected(), "/sync/v1/rotate", Rotate(), present, RotateAnswer)
                other = answer.token if isinstance(answer, RotateAnswer) else None
        else:
            other = self._said.get("former_token")
        if other is not None:
            await self._outbox.say({"token": other, "former_token": present})
            self._know(await self._outbox.said())

    async def sync_forever(
        self,
        on_report: Callable[[SyncReport], None] = lambda report: None,
        stopped: asyncio.Event | None = None,
        wait: Callable[[asyncio.Event, float], Awaitable[None]] = wait,
    ) -> None:
        """Sync at once, then whenever something was written here, the server says so, or time has passed.

        Failures are waited out with full jitter, and told to `on_report` like every round. Ends when it
        is cancelled, after the round under way when `stopped` is set, and when this tablet was wiped.
        """
        transport = self._connected()

        def chance() -> float:
            return int.from_bytes(self.entropy(4)) / 2**32

        loop = Loop(self.sync, transport, lambda: self._said.get("token"), chance, on_report, wait)
        if stopped is not None:
            loop.stopped = stopped
        self._nudges.add(loop.nudged)
        ending = asyncio.create_task(_end(loop))
        try:
            await loop.run()
        finally:
            ending.cancel()
            self._nudges.discard(loop.nudged)

    async def graphql(self, query: str, variables: Mapping[str, JSON] | None = None) -> dict[str, Any]:
        """Ask the server, online, with this tablet's rights; GraphQL's answer as it is (data, errors)."""
        transport = self._connected()
        body = orjson.dumps({"query": query, "variables": dict(variables or {})})
        _, raw = await transport.post("/graphql", body, self._said["token"])
        try:
            answer = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise Offline("answer_invalid") from error
        if not isinstance(answer, dict):
            raise Offline("answer_invalid")
        return answer

    def _connected(self) -> Transport:
        if not self._said.get("token"):
            raise LocalError("not_paired")
        if self._transport is None:
            self._transport = self._new_transport(self._said["url"])
        return self._transport

    # --- people -----------------------------------------------------------------------------------------

    async def sign_in(self, staff: str, pin: str) -> Staff:
        """Sign a member of staff in, by id or name, offline too; changes are theirs from now on.

        `LocalError("sign_in_failed")` whatever was wrong.
        """
        people = [s for s in await self.staff() if staff in (s.id, s.name)]
        for person in people:
            row = await self._overlay.get("staff_pin", person.id)
            verifier = shown(self.registry.get("staff_pin"), row).get("verifier") if row else None
            if person.active is not False and isinstance(verifier, str) and fits(pin, verifier):
                self._staff = person.id
                return person
        raise LocalError("sign_in_failed")

    def sign_out(self) -> None:
        self._staff = None

    async def staff(self) -> list[Staff]:
        return await self.list_records(Staff, limit=100_000)

    async def units(self) -> list[Unit]:
        return await self.list_records(Unit, limit=100_000)

    async def products(self, text: str | None = None, limit: int = 100) -> list[Product]:
        return await self.list_records(Product, text=text, limit=limit)

    # --- how it stands --------------------------------------------------------------------------------

    async def status(self) -> Status:
        live = await self._outbox.live()
        held = {change.cid for change in await self.held()}

        def work(connection: Any) -> tuple[dict[str, Any], Any, int]:
            (rows,) = connection.execute("SELECT count(*) FROM row").fetchone()
            return replica.acks(connection), replica.said(connection, "applied_ms"), rows

        acked, applied, rows = await self._rows.file.read(work)
        pending = sum(
            change.incarnation not in acked or change.n > acked[change.incarnation].n for change in live
        )
        return Status(
            paired=bool(self._said.get("token")),
            device=self._said.get("device"),
            unit=self.unit,
            server=self._said.get("url"),
            staff=self._staff,
            pending=pending,
            held=len(held),
            synced_ms=applied,
            offset_ms=self._offset_ms,
            rows=rows,
            wiped=bool(self._said.get("wiped")),
        )

    async def verify(self) -> dict[str, Digest]:
        """Count and hash of every scope, computed anew from the stored bytes."""
        return await self._rows.verify()

    async def watch(self) -> AsyncIterator[set[Key]]:
        """(entity, id) of rows as they change, by this tablet or by a sync; for a screen that shows them."""
        queue: asyncio.Queue[set[Key]] = asyncio.Queue()
        self._watchers.add(queue)
        try:
            while True:
                keys = await queue.get()
                while not queue.empty():
                    keys |= queue.get_nowait()
                yield keys
        finally:
            self._watchers.discard(queue)

    def _tell(self, keys: set[Key]) -> None:
        if keys:
            for queue in self._watchers:
                queue.put_nowait(set(keys))

    # --- what was refused -------------------------------------------------------------------------------

    async def held(self) -> list[HeldChange]:
        """Own changes that the server holds or rejected, with what to do; the newest last."""
        return await held_changes(self._rows, self._outbox)

    async def mend(self, cid: str, **fields: JSON) -> None:
        """Replace a held or rejected change: its fields with these put over them (a set's as `tags/x`).

        `LocalError("mend_invalid")` when nothing is held under this cid.
        """
        held = await self._held(cid)
        original = held.change
        put = {path: Value(value) for path, value in fields.items()}
        await self._replace(original, original.op, {**original.fields, **put})

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
            row = await self._overlay.get(original.entity, original.id)
            seen = {path: cids for path in fields if (cids := seen_by(row, path))}
            drafted = self._draft(original.entity, original.id, op, fields, seen, original.cid)
            await self._save([drafted])

    # --- writing ------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Several writes that share one fate, here and at the server. Leaving by an exception writes none."""
        if self._transaction.get() is not None:
            raise LocalError("argument_invalid", reason="a transaction is open already")
        open_ = _Transaction([], [])
        token = self._transaction.set(open_)
        try:
            yield
        finally:
            self._transaction.reset(token)
        if open_.changes:
            async with self._writing:
                await self._save(open_.changes)

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
        written = {path: Value(value, source, verified) for path, value in fields.items()}
        open_ = self._transaction.get()
        if open_ is not None:
            await self._write(entity, id, op, written, open_)
            return
        async with self._writing:
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
        row = None
        if op == "edit":
            row = await self._overlay.get(entity, id, open_.live)
            if row is None:
                raise LocalError("not_found", entity=declared.label.en)
        drafted = self._draft(entity, id, op, fields, {}, None)
        try:
            _, admitted = admit(self.registry, drafted, self.country, self.unit)
        except Unfit as unfit:
            raise LocalError(unfit.code, **unfit.detail) from None
        seen = {path: cids for path in admitted.fields if (cids := seen_by(row, path))}
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
            actor=self._staff,
            replaces=replaces,
        )

    async def _save(self, drafted: Sequence[Change]) -> None:
        known = await self._rows.file.read(lambda c: int(replica.said(c, "stamp_max") or 0))
        await self._outbox.append(changes.grouped(drafted), known)
        for nudged in self._nudges:
            nudged.set()
        self._tell({(change.entity, change.id) for change in drafted})

    # --- reading ------------------------------------------------------------------------------------------

    def new_id(self) -> str:
        return uuid7(self.now_ms(), self.entropy(ENTROPY_BYTES))

    async def get_record(self, kind: type[R], id: str) -> R | None:
        """The record of this kind with this id, None when this tablet has none."""
        row = await self._overlay.get(ENTITY_OF[kind], id, self._unsaved())
        return self._record(kind, row) if row else None

    async def list_records(self, kind: type[R], **wanted: Any) -> list[R]:
        """Records in their natural order; the arguments of `Overlay.select`."""
        rows = await self._overlay.select(ENTITY_OF[kind], self._unsaved(), **wanted)
        return [self._record(kind, row) for row in rows]

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


async def _end(loop: Loop) -> None:
    await loop.stopped.wait()
    loop.stop()
