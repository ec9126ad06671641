"""Driving a sync round on a tablet: each step of `regulars_sync.round` done on files and over the network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from regulars.files import drop_aside
from regulars.outbox import Outbox
from regulars.replica import Replica
from regulars.snapshot import Snapshot
from regulars.transport import Transport, ask
from regulars_sync.errors import LocalError, Offline
from regulars_sync.protocol import (
    Acked,
    DigestRequest,
    Problem,
    PullAnswer,
    PullRequest,
    PushAnswer,
    PushRequest,
    Wiped,
    WipedAnswer,
)
from regulars_sync.replica_layout import Key
from regulars_sync.round import (
    Apply,
    Compare,
    Fetch,
    Fetched,
    Outgoing,
    Pull,
    Push,
    Renew,
    Reply,
    Reset,
    Stage,
    Step,
    SyncReport,
    Wipe,
    sync_round,
)

SHUT_OUT = frozenset({"device_revoked", "device_wipe", "device_cloned", "token_invalid"})
"""Refusals of a pull that end only when the tablet is paired again."""


@dataclass(slots=True)
class Syncer:
    """One replica's rounds. The offset to the server's clock is measured anew at every contact."""

    rows: Replica
    outbox: Outbox
    snapshot: Snapshot
    transport: Transport
    token: str
    schema: int
    now_ms: Callable[[], int]
    on_changed: Callable[[set[Key]], None]
    on_step: Callable[[str], None]
    on_progress: Callable[[str, int, int], None]
    """Step, bytes done, bytes in all."""
    offset_ms: int = 0
    chain: str | None = None
    rows_max: int = 2_000
    refused: str | None = None
    """Why this device may read no more, as last heard: it has to be paired again."""
    audit: bool = False
    """Whether to count the stored bytes anew before the next apply; False once it is done."""
    rotate: bool = False
    """Whether the server has asked this device to take another token."""
    beside: Replica | None = None
    """A snapshot that is being caught up; pages go there."""
    by_pages: bool = False
    """A snapshot of this round was of no use."""

    async def run(self) -> SyncReport:
        """One whole round. Being offline is a result: it stands in the report's `problem`."""
        round_ = sync_round()
        try:
            step = next(round_)
            while True:
                try:
                    reply = await self._do(step)
                except Offline as offline:
                    step = round_.throw(offline)
                else:
                    step = round_.send(reply)
        except StopIteration as stop:
            return cast(SyncReport, stop.value)
        finally:
            round_.close()
            if self.beside is not None:  # it is gone on with in the next round
                await self.beside.file.close()

    async def _do(self, step: Step) -> Reply:
        self.on_step(type(step).__name__.lower())
        match step:
            case Fetch():
                return await self._fetch()
            case Pull():
                return await self._pull()
            case Stage(page):
                erased = [(rows.entity, id) for rows in page.pages for id in rows.erased]
                if erased:
                    drop_aside(self.rows.file.path)
                    drop_aside(self.outbox.file.path)
                    await self.outbox.erase(erased)  # before the rows: cut off here, the page comes again
                return await self._room_for((self.beside or self.rows).stage(page))
            case Apply(page):
                assert page.head is not None
                if self.audit and self.beside is None:
                    self.on_changed(await self.rows.audit())
                    self.audit = False
                applied = await (self.beside or self.rows).apply(page.head, self.now_ms())
                if self.beside is not None:
                    if applied.differing:
                        self.by_pages = True
                        return _differs(applied.differing, {})
                    await self._let_go()
                    applied = applied._replace(changed=await self.rows.become(self.snapshot.path))
                    self.snapshot.discard()
                await self.outbox.clear(applied.acks, applied.still_open, page.now, page.head.backup_ms)
                await self.outbox.erase((), applied.erased)
                await self.rows.purge()
                self.on_changed(applied.changed)
                if applied.differing:
                    return _differs(applied.differing, applied.buckets)
                drop_aside(self.rows.file.path)
            case Compare(scopes, buckets):
                return await self._compare(scopes, buckets)
            case Reset():
                await self._let_go()
                self.snapshot.discard()
                await self.rows.reset()
            case Outgoing(contact):
                return await self.outbox.outgoing(contact, self.offset_ms, self.schema)
            case Push(request):
                return await self._push(request)
            case Renew(incarnation, expect):
                await self.outbox.renew(incarnation, expect)
            case Wipe(acks):
                await self._wipe(acks)
        return None

    async def _fetch(self) -> Fetched | None:
        if await self.rows.cursor() is not None or self.by_pages:
            self.snapshot.discard()
            return None
        came = 0
        self.beside = await self.snapshot.open(self.chain)
        if self.beside is None:
            progress = partial(self.on_progress, "fetch")
            try:
                came = await self.snapshot.fetch(self.transport, self.token, progress)
            except OSError:  # no room for it; pages may tell more
                self.snapshot.discard()
                return None
            self.beside = await self.snapshot.open(self.chain)
        if self.beside is None:
            self.by_pages = came > 0
            return None
        await self.outbox.erase(await self.beside.erased())  # before the rows, as with a page
        return Fetched(came, await self.beside.rows())

    async def _let_go(self) -> None:
        beside, self.beside = self.beside, None
        if beside is not None:
            await beside.file.close()

    async def _wipe(self, acks: dict[str, Acked] | None) -> None:
        """Delete, then tell the server; the token goes once it knows, and with it the way back."""
        await self._let_go()
        self.snapshot.discard()
        drop_aside(self.rows.file.path)
        drop_aside(self.outbox.file.path)
        self.on_changed(await self.rows.wipe())
        await self.outbox.wipe(acks)
        answer = await ask(self.transport, "/sync/v1/wiped", Wiped(), self.token, WipedAnswer)
        if isinstance(answer, WipedAnswer):
            await self.outbox.say({"token": None})

    async def _room_for(self, keeping: Awaitable[None]) -> Problem | None:
        """A full disk keeps rows from coming, but not changes from going out."""
        try:
            await keeping
        except LocalError as error:
            if error.code != "disk_full":
                raise
            return Problem(error.code, error.text(), error.detail, True)
        return None

    async def _pull(self) -> PullAnswer | Problem:
        request = PullRequest(
            schema=self.schema,
            cursor=await (self.beside or self.rows).cursor(),
            acked=dict.fromkeys(await self.outbox.incarnations(), 0),
            rows_max=self.rows_max,
        )
        return await self._ask_for_page("/sync/v1/pull", request)

    async def _compare(
        self, scopes: Sequence[str], buckets: Mapping[str, Sequence[int]]
    ) -> PullAnswer | Problem:
        request = DigestRequest(
            schema=self.schema,
            cursor=await self.rows.cursor(),
            acked=dict.fromkeys(await self.outbox.incarnations(), 0),
            rows_max=self.rows_max,
            scopes=list(scopes),
            buckets={scope: list(bytes_) for scope, bytes_ in buckets.items()},
        )
        return await self._ask_for_page("/sync/v1/digest", request)

    async def _ask_for_page(self, path: str, request: PullRequest) -> PullAnswer | Problem:
        begun = self.now_ms()
        answer = await ask(self.transport, path, request, self.token, PullAnswer)
        now = answer.now if isinstance(answer, PullAnswer) else answer.contact.now if answer.contact else None
        self._measure(begun, now)
        if isinstance(answer, PullAnswer):
            self.refused = None
            self.rotate = answer.rotate
        elif answer.code in SHUT_OUT:
            self.refused = answer.code
        if isinstance(answer, PullAnswer) and self.chain not in (None, answer.chain):
            return Problem("chain_other")
        return answer

    async def _push(self, request: PushRequest) -> PushAnswer | Problem:
        begun = self.now_ms()
        answer = await ask(self.transport, "/sync/v1/push", request, self.token, PushAnswer)
        self._measure(begun, answer.now if isinstance(answer, PushAnswer) else None)
        return answer

    def _measure(self, begun: int, server_now: int | None) -> None:
        if server_now is not None:
            self.offset_ms = server_now - (begun + self.now_ms()) // 2


def _differs(scopes: list[str], buckets: Mapping[str, Sequence[int]] | None) -> Problem:
    """What differs and, where it is known, in which buckets; none of them: all of it is to be fetched."""
    where = {} if buckets is None else {"buckets": buckets}
    return Problem("replica_differs", detail={"scopes": scopes, **where}, retryable=True)
