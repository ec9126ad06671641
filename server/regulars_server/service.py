"""What every part of the running server is given: storage, admission, access, settings, time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Protocol

from regulars_schema.declare import JSON
from regulars_server.access import Access, Principal
from regulars_server.access.budgets import Buckets, Budget, MemoryBuckets
from regulars_server.access.throttle import Tally
from regulars_server.admission import Admission
from regulars_server.answers import Answers
from regulars_server.authors import Posting, UnitTree, device_author, person_author
from regulars_server.gate import Gates
from regulars_server.hub import Hub
from regulars_server.journal import Journal
from regulars_server.knowledge.checking import Checking
from regulars_server.knowledge.world import Worlds
from regulars_server.lines import Lines
from regulars_server.pace import Pace
from regulars_server.settings import Settings
from regulars_server.snapshots import Snapshots
from regulars_server.storage.interface import Reader, Storage
from regulars_server.telemetry import SILENT, Telemetry
from regulars_server.works import Works
from regulars_sync.changes import Change, Source, Stated, Value, Verified
from regulars_sync.errors import Refused
from regulars_sync.reconcile import Author


class Reports(Protocol):
    """Readers that a replica of the database may serve; `storage.postgres.reports.Reports` is one."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def reader(self, scopes: frozenset[str] | None, from_ms: int) -> AbstractAsyncContextManager[Reader]:
        """A snapshot with all that was committed by `from_ms`. `scopes`: None is everything."""
        ...


@dataclass(frozen=True)
class Service:
    settings: Settings
    storage: Storage
    admission: Admission
    access: Access
    now_ms: Callable[[], int]
    entropy: Callable[[int], bytes]
    hub: Hub
    snapshots: Snapshots | None = None
    """None where the chain has no folder: tablets pull by pages."""
    buckets: Buckets = field(default_factory=MemoryBuckets)
    pace: Pace = field(default_factory=Pace)
    telemetry: Telemetry = SILENT
    reports: Reports | None = None
    """None: there is no replica."""

    @cached_property
    def lines(self) -> Lines:
        """The sockets and event streams that are open."""
        settings = self.settings
        return Lines(self.access, settings.lines_max, settings.lines_per_token_max)

    @cached_property
    def gates(self) -> Gates:
        """How much of each kind of work is under way, and how much waits."""
        return Gates(self.settings, lambda: int.from_bytes(self.entropy(4)) / 2**32)

    @cached_property
    def worlds(self) -> Worlds:
        """What the chain's rules are answered by."""
        return Worlds()

    @cached_property
    def lookups(self) -> Tally:
        """How often tokens look customers up."""
        return Tally(self.access.counts)

    def reader(
        self, scopes: frozenset[str] | None, from_ms: int | None = None
    ) -> AbstractAsyncContextManager[Reader]:
        """A snapshot with all that was committed by `from_ms`, or by now. `scopes`: None is everything."""
        if from_ms is not None and self.reports is not None:
            return self.reports.reader(scopes, from_ms)
        return self.storage.unscoped_reader() if scopes is None else self.storage.reader(scopes)

    @property
    def journal(self) -> Journal:
        """What outlives a restore of the database, in the same folder."""
        return Journal(self.settings.data)

    def budget(self, principal: Principal) -> Budget:
        """What such a token may spend on GraphQL."""
        most, per_s = f"{principal.kind}_cost_max", f"{principal.kind}_cost_per_s"
        return Budget(getattr(self.settings, most), getattr(self.settings, per_s))

    @property
    def answers(self) -> Answers:
        """What mutations were answered."""
        return Answers(self.access.database, self.now_ms)

    @cached_property
    def works(self) -> Works:
        """Exports and imports."""
        return Works(self.access.database, self.settings, self.now_ms, self.entropy)

    @cached_property
    def checking(self) -> Checking:
        """Who looks at customers that are due."""
        return Checking(self.storage, self.admission, self.worlds, self.hub, self.now_ms, self.entropy)

    async def forget_snapshots(self) -> None:
        """Delete the snapshots here that were made before the last erasure, whichever server did it."""
        if self.snapshots is not None:
            async with self.storage.unscoped_reader() as reader:
                erased = (await reader.since({}, 0)).erased
            self.snapshots.forget(erased)

    async def author(self, principal: Principal) -> Author:
        """The writer behind a token, with the scopes it has at this moment."""
        tree = await self.admission.tree()
        if principal.device is not None:
            posting = await self.admission.posting(principal.device)
            if posting is None:  # the server was restored to before it was paired
                posting = Posting((principal.units or ("",))[0])
            return device_author(tree, principal.device, posting, principal.sensitive, principal.revoked)
        head_office = principal.standing == "head_office"
        return person_author(tree, self._reach(tree, principal), principal.sensitive, head_office)

    async def narrowed(self, principal: Principal) -> Principal:
        """The same, with `units` less what its maker has not."""
        if principal.within is None:
            return principal
        units = self._reach(await self.admission.tree(), principal)
        return replace(principal, units=units, within=None)

    @staticmethod
    def _reach(tree: UnitTree, principal: Principal) -> tuple[str, ...] | None:
        if principal.units is None or principal.within is None:
            return principal.units
        own, makers = tree.below(principal.units), tree.below(principal.within)
        return tuple(unit for unit in dict.fromkeys((*principal.units, *sorted(own))) if unit in makers)

    async def device(self, bearer: str | None) -> tuple[Principal, Author]:
        """The device behind a bearer token; `Refused` token_missing, token_invalid, not_allowed."""
        principal = await self.access.principal(bearer)
        if principal.device is None:
            raise Refused("not_allowed")
        return principal, await self.author(principal)

    def change(
        self,
        op: Literal["create", "edit"],
        entity: str,
        id: str,
        fields: Mapping[str, JSON],
        *,
        seen: Mapping[str, list[str]] | None = None,
        cid: str | None = None,
        actor: str | None = None,
        source: Source | None = None,
        verified: Verified | None = None,
    ) -> Change:
        """A change made at the server itself, a group of its own; admission fixes its stamp."""
        cid = cid or self.entropy(16).hex()
        return Change(
            cid=cid,
            group=cid,
            op=op,
            entity=entity,
            id=id,
            fields={path: Value(value, source, verified) for path, value in fields.items()},
            seen=dict(seen or {}),
            stated=Stated(self.now_ms()),
            schema=self.storage.registry.version,
            actor=actor,
        )
