"""The shop: everything a branch tool does, on a tablet that works with no network at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import orjson

from regulars import replica
from regulars.attached import Consents, Suppliers, Tasks
from regulars.customers import Customers, Identities, Links, Tags
from regulars.desk import NOTICE_S
from regulars.files import Connect, Users, connect, kind_of
from regulars.interactions import Interactions
from regulars.lease import Lease
from regulars.looping import Loop, ended, wait
from regulars.outbox import Outbox
from regulars.overlay import shown
from regulars.past import Past
from regulars.records import Product, Staff, Unit
from regulars.replica import Replica
from regulars.segments import Segments
from regulars.snapshot import Snapshot
from regulars.syncing import Syncer
from regulars.transport import Counted, HttpTransport, Transport, ask
from regulars_schema.declare import JSON, Registry
from regulars_schema.entities import REGISTRY
from regulars_schema.messages import text
from regulars_sync import replica_layout
from regulars_sync.digest import Digest
from regulars_sync.errors import LocalError, Offline, Refused
from regulars_sync.pins import fits
from regulars_sync.protocol import (
    LookupAnswer,
    LookupRequest,
    PairAnswer,
    PairRequest,
    Problem,
    Rotate,
    RotateAnswer,
)
from regulars_sync.round import SyncReport

if TYPE_CHECKING:
    from regulars_schema.schemes import Scheme

AUDIT_MS = 86_400_000
"""So often, and once after opening, the stored bytes are counted anew."""
TAKE_OVER_S = 5.0
"""How soon a process that waits for the lease finds that the one that had it is gone."""


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
    lost: int
    """Changes that were written here and could not be read any more when the outbox file was damaged."""
    damaged: tuple[str, ...]
    """Damaged files that were set aside: that of rows until the next sync, that of changes until a wipe."""
    wiped: bool
    """Head office shut this tablet out, and what it held was deleted; pair it again to go on."""


class Shop(Past):
    """One tablet's replica and outbox. Open it with `Shop.open`, in as many processes as there are.

    All of them read and write; one at a time syncs, for all of them, and the others hear `lease_held`.
    Writes are durable when they return and raise nothing but `LocalError`; reads never touch the
    network; only `pair`, `sync`, `sync_forever`,
    `graphql`, `history`, `ledger` and `reverse` do.
    """

    def __init__(
        self,
        rows: Replica,
        outbox: Outbox,
        snapshot: Snapshot,
        registry: Registry,
        now_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
        transport: Callable[[str], Transport],
    ) -> None:
        super().__init__(rows, outbox, registry, now_ms, entropy)
        self._snapshot = snapshot
        self._new_transport = transport
        self._transport: Transport | None = None
        self._url: str | None = None
        self._lease = Lease(rows.file.path)
        self._audited_ms: int | None = None
        """When the stored bytes were last counted anew; None: not since this was opened."""
        self._syncing = asyncio.Lock()
        self.customers = Customers(self, self._look_up)
        self.interactions = Interactions(self)
        self.tags = Tags(self, self.customers)
        self.links = Links(self)
        self.segments = Segments(self)
        self.identities = Identities(self)
        self.consents = Consents(self)
        self.suppliers = Suppliers(self)
        self.tasks = Tasks(self)

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
        connect: Connect = connect,
        registry: Registry = REGISTRY,
        durable: bool = True,
    ) -> AsyncIterator[Self]:
        """Open the replica at `path` and the outbox beside it (`branch.outbox.db`), or make them.

        A damaged replica is set aside and filled anew by the next sync. Of a damaged outbox everything that
        can be read is kept; `Status` tells. `LocalError`: file_foreign, file_newer, file_busy, outbox_lost,
        disk_full; nothing was changed.
        """
        place = Path(path)
        rows = Replica(place, registry, durable)
        outbox = Outbox(place.with_suffix(f".outbox{place.suffix or '.db'}"), entropy, durable)
        snapshot = Snapshot(place, registry, connect, durable)
        shop = cls(rows, outbox, snapshot, registry, now_ms, entropy, transport)
        for file in (rows.file, outbox.file):
            file.users = Users(file.path)
        try:
            is_used = kind_of(place) == replica_layout.KIND
            if is_used and not _is_there(outbox.file.path) and await _was_synced(rows, connect):
                raise LocalError("outbox_lost", file=outbox.file.path.name)
            await outbox.open(connect, is_used)
            await outbox.said()
            await rows.open(connect, bool(shop._said))
            await shop._look()
            yield shop
        finally:
            if shop._transport is not None:
                await shop._transport.close()
            await rows.file.close()
            await outbox.file.close()

    # --- the server -----------------------------------------------------------------------------------

    async def pair(self, url: str, code: str, name: str = "") -> None:
        """Enrol this tablet with a code from head office; what was written before is sent at the next sync.

        One that was shut out, copied or forgotten by the server is paired again so: as another device,
        under which it offers what it kept. `Refused` pairing_code_invalid, chain_other; `Offline`,
        `LocalError` already_paired, lease_held.
        """
        async with self._syncing:
            with self._lease.taken() as is_ours:
                if not is_ours:
                    raise LocalError("lease_held")
                await self._pair(url, code, name)

    async def _pair(self, url: str, code: str, name: str) -> None:
        await self._outbox.said()
        if self._said.get("token") and not self._said.get("refused"):
            raise LocalError("already_paired")
        used = self._transport if self._url == url else None  # a loop may be listening on it
        transport = used or self._new_transport(url)
        try:
            request = PairRequest(code, name or Path(self._rows.file.path).stem, self.registry.version)
            answer = await ask(transport, "/sync/v1/pair", request, None, PairAnswer)
        except BaseException:
            if used is None:
                await transport.close()
            raise
        if isinstance(answer, Problem):
            if used is None:
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
            if used is None:
                await transport.close()
            raise
        if self._transport not in (None, transport):
            await self._transport.close()
        self._transport, self._url = transport, url

    async def _leave(self) -> None:
        """Delete what the device that this tablet was may not keep; else the next sync replaces the rows."""
        if self._said.get("wiped"):
            return
        self._snapshot.discard()
        if (refused := self._said.get("refused")) in {"device_revoked", "device_wipe"}:
            acked = await self._rows.file.read(replica.acks) if refused == "device_revoked" else None
            self._tell(await self._rows.wipe())
            await self._outbox.wipe(acked)
        else:
            await self._rows.reset()

    async def sync(
        self,
        on_step: Callable[[str], None] = lambda step: None,
        on_progress: Callable[[str, int, int], None] = lambda step, done, total: None,
        on_bytes: Callable[[int, int], None] = lambda sent, received: None,
    ) -> SyncReport:
        """One round: pull, push what is pending, pull again.

        Being offline is a result, not an error, and so is `lease_held`: another process on this tablet syncs
        and sends what was written here too. `on_step` hears the name of each step as it begins, `on_progress`
        of a long step how many bytes are done, of how many, and `on_bytes` after each answer what this round
        has sent and received so far, without codings and headers. `LocalError("not_paired")` before pairing.
        """
        async with self._syncing:
            with self._lease.taken() as is_ours:
                if is_ours:
                    return await self._sync(on_step, on_progress, on_bytes)
        report = SyncReport()
        report.problem = Problem("lease_held", text("lease_held"), retryable=True)
        return report

    async def _sync(
        self,
        on_step: Callable[[str], None],
        on_progress: Callable[[str, int, int], None],
        on_bytes: Callable[[int, int], None],
    ) -> SyncReport:
        await self._outbox.said()
        audited = self._audited_ms
        is_due = audited is None or abs(self.now_ms() - audited) >= AUDIT_MS or await self._rows.is_doubted()
        syncer = Syncer(
            self._rows,
            self._outbox,
            self._snapshot,
            Counted(self._connected(), on_bytes),
            self._said["token"],
            self.registry.version,
            self.now_ms,
            self._tell,
            on_step,
            on_progress,
            self._offset_ms,
            self._said.get("chain"),
            refused=self._said.get("refused"),
            audit=is_due,
        )
        report = await syncer.run()
        self._offset_ms = syncer.offset_ms
        if is_due and not syncer.audit:
            self._audited_ms = self.now_ms()
        if syncer.refused != self._said.get("refused"):
            await self._outbox.say({"refused": syncer.refused})
        await self._follow()
        if syncer.rotate or syncer.refused == "token_invalid":
            await self._rotate(syncer.rotate)
        return report

    async def _follow(self) -> None:
        """Head office may have moved this tablet: from then on it is one of the unit that its row names."""
        row = await self._overlay.get("device", self._said.get("device") or "")
        unit = shown(self.registry.get("device"), row).get("unit") if row else None
        if unit is None or unit == self.unit:
            return
        units = {one.id: one for one in await self.units()}
        above, country = units.get(unit), None
        for _ in units:
            if above is None or country:
                break
            country, above = above.country, units.get(above.parent or "")
        await self._outbox.say({"unit": unit, "country": country})

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

    async def sync_forever(
        self,
        on_report: Callable[[SyncReport], None] = lambda report: None,
        stopped: asyncio.Event | None = None,
        wait: Callable[[asyncio.Event, float], Awaitable[None]] = wait,
        on_step: Callable[[str], None] = lambda step: None,
        on_progress: Callable[[str, int, int], None] = lambda step, done, total: None,
        on_bytes: Callable[[int, int], None] = lambda sent, received: None,
    ) -> None:
        """Sync at once, then whenever something was written here, the server says so, or time has passed.

        Failures are waited out with full jitter, and told to `on_report` like every round. While another
        process on this tablet does the same this one waits, and goes on when that one ends, however it does.
        Ends when it is cancelled, after the round under way when `stopped` is set, and when this tablet was
        wiped. `LocalError("not_paired")`.
        """
        with contextlib.suppress(LocalError):  # of a disk that fails for a moment the rounds will tell
            await self._outbox.said()

        def chance() -> float:
            return int.from_bytes(self.entropy(4)) / 2**32

        def token() -> str | None:
            return self._said.get("token")

        def tell_step(step: str) -> None:
            if step == "pull":
                loop.looks()
            on_step(step)

        def sync() -> Awaitable[SyncReport]:
            return self.sync(tell_step, on_progress, on_bytes)

        self._connected()
        loop = Loop(sync, self._connected, token, chance, on_report, wait)
        if stopped is not None:
            loop.stopped = stopped
        self._nudges.add(loop.nudge)
        beside = [asyncio.create_task(_end(loop)), asyncio.create_task(self._notice(wait))]
        try:
            while token() and not loop.stopped.is_set():
                with self._lease.taken() as is_ours:
                    if is_ours:
                        with contextlib.suppress(LocalError):
                            await self._outbox.said()
                        if token():
                            await loop.run()
                        return
                await wait(loop.stopped, TAKE_OVER_S)
        finally:
            self._nudges.discard(loop.nudge)
            await ended(*beside)

    async def _notice(self, wait: Callable[[asyncio.Event, float], Awaitable[None]]) -> None:
        never = asyncio.Event()
        while True:
            await wait(never, NOTICE_S)
            await self._look()

    async def graphql(self, query: str, variables: Mapping[str, JSON] | None = None) -> dict[str, Any]:
        """Ask the server, online, with this tablet's rights; GraphQL's answer as it is (data, errors)."""
        await self._outbox.said()
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

    async def _look_up(self, field: str, key: str) -> list[str]:
        """The ids of who has this key, once they are on this tablet."""
        request = LookupRequest(field, key)
        answer = await ask(self._connected(), "/sync/v1/lookup", request, self._said["token"], LookupAnswer)
        if isinstance(answer, Problem):
            raise Refused(answer.code, **answer.detail)
        report = await self.sync()
        if report.problem is not None and report.problem.code == "offline":
            raise Offline("offline")
        return answer.customers

    def _connected(self) -> Transport:
        if not self._said.get("token"):
            raise LocalError("not_paired")
        if self._transport is None or self._url not in (None, self._said["url"]):
            self._transport, self._url = self._new_transport(self._said["url"]), self._said["url"]
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
                self._staff = (self._said.get("device"), person.id)
                return person
        raise LocalError("sign_in_failed")

    def sign_out(self) -> None:
        self._staff = None

    async def staff(self) -> list[Staff]:
        return await self.list_records(Staff, limit=100_000)

    async def units(self) -> list[Unit]:
        return await self.list_records(Unit, limit=100_000)

    async def schemes(self) -> list[Scheme]:
        """The schemes in use that this tablet may show, with labels, values and playbooks, zh and en."""
        from regulars import judging

        return await self.know(judging.schemes)

    async def products(self, text: str | None = None, limit: int = 100) -> list[Product]:
        return await self.search_records(Product, text or "", limit)

    # --- how it stands --------------------------------------------------------------------------------

    async def status(self) -> Status:
        live = await self._outbox.live()
        held = {change.cid for change in await self.held()}

        def work(connection: Any) -> tuple[dict[str, Any], Any, int]:
            (rows,) = connection.execute("SELECT count(*) FROM row").fetchone()
            return replica.acks(connection), replica.number(connection, "applied_ms"), rows

        acked, applied, rows = await self._rows.file.read(work)
        pending = sum(
            change.incarnation not in acked or change.n > acked[change.incarnation].n for change in live
        )
        return Status(
            paired=bool(self._said.get("token")),
            device=self._said.get("device"),
            unit=self.unit,
            server=self._said.get("url"),
            staff=self.staff_id,
            pending=pending,
            held=len(held),
            synced_ms=applied,
            offset_ms=self._offset_ms,
            rows=rows,
            lost=int((await self._outbox.said()).get("lost") or 0),
            damaged=tuple(name for file in (self._rows.file, self._outbox.file) if (name := file.damaged)),
            wiped=bool(self._said.get("wiped")),
        )

    async def verify(self) -> dict[str, Digest]:
        """Count and hash of every scope, computed anew from the stored bytes."""
        return await self._rows.verify()


async def _end(loop: Loop) -> None:
    await loop.stopped.wait()
    loop.stop()


def _is_there(path: Path) -> bool:
    """Whether there is such a file, or one that was nearly put in its place, with anything in it."""
    return any(
        file.exists() and file.stat().st_size for file in (path, path.with_name(f"{path.name}.salvaged"))
    )


async def _was_synced(rows: Replica, connect: Connect) -> bool:
    try:
        await rows.file.open(connect)
        return await rows.cursor() is not None
    except LocalError:
        return False
    finally:
        await rows.file.close()
