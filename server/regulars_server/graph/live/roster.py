"""Who is in a segment, kept beside a subscription so that it can tell who came and who left."""

from __future__ import annotations

from uuid import UUID

from regulars_server.graph.live.following import Following
from regulars_server.graph.request import Context
from regulars_server.graph.types import Customer, Identity
from regulars_server.storage.interface import All, Any_, Member, Not, Order, Person, Test, Where
from regulars_server.storage.standing import Movement
from regulars_sync.errors import Refused

MEMBERS_MAX = 20_000
PAGE_ROWS = 1_000


class Roster:
    """The persons of a segment within one reader's reach, by the ids of their survivors, 16 bytes each."""

    def __init__(self, segment: str) -> None:
        self._segment = segment
        self._members: set[bytes] = set()
        self._following: Following | None = None
        self._scopes: frozenset[str] | None = None
        self._told = 0
        """The latest movement that was looked at."""
        self.movements: list[Movement] = []
        """Why it is another than at the step before."""

    def __len__(self) -> int:
        return len(self._members)

    async def step(self, context: Context) -> tuple[list[str], list[str]]:
        """Who came and who left since the last step. `Refused("query_too_large")`: the roster is too long."""
        if self._following is None:
            self._scopes = context.author.scopes
            self._following = Following(context, None)
            await self._following.step(context)
            await self._moved(context)
            self._members, self.movements = await self._all(context), []
            return [], []
        before, now = self._members, set(self._members)
        self.movements = await self._moved(context)
        if self._scopes != context.author.scopes:
            self._scopes = context.author.scopes
            self._following = Following(context, None)
            await self._following.step(context)
            now = await self._all(context)
        else:
            now = await self._again(context, now, {movement.customer for movement in self.movements})
            more = True
            while more:
                step = await self._following.step(context)
                more = step.more
                ids = {id for entity, id, _ in step.rows if entity == "customer"}
                pairs = [
                    found for entity, _, found in step.rows if entity == "identity" and found is not None
                ]
                for found in pairs:
                    identity = context.node(Identity, found)
                    ids |= {str(identity.one_id), str(identity.other_id)}
                now = await self._again(context, now, ids)
        self._members = now
        entered, left = now - before, before - now
        return [_text(id) for id in sorted(entered)], [_text(id) for id in sorted(left)]

    async def _moved(self, context: Context) -> list[Movement]:
        """What moved within reach since it was asked last, the first time only the latest."""
        found: list[Movement] = []
        before, is_first = None, not self._told
        async with context.reading() as reader:
            while True:
                page = await reader.movements(PAGE_ROWS, before, what="membership", key=self._segment)
                found += [movement for movement in page if movement.n > self._told]
                if is_first or len(page) < PAGE_ROWS or page[-1].n <= self._told:
                    break
                before = page[-1].n
        self._told = max([self._told, *(movement.n for movement in found)])
        return found[::-1]

    async def _again(self, context: Context, now: set[bytes], ids: set[str]) -> set[bytes]:
        """The roster after another look at these customers and all who are one person with them."""
        if not ids:
            return now
        async with context.reading() as reader:
            clusters = await reader.clusters(ids)
        ids |= {member for members in clusters.values() for member in members}
        test = All((self._test(), Test("id", "in", sorted(ids))))
        found = await context.select(context.entity(Customer), test, Order(), len(ids))
        members = now - {UUID(id).bytes for id in ids} | {UUID(row.id).bytes for row in found}
        return _checked(members)

    async def _all(self, context: Context) -> set[bytes]:
        """Read without counting rows: they are not shown."""
        found: set[bytes] = set()
        after = None
        async with context.reading() as reader:
            while True:
                rows = await reader.select("customer", self._test(), Order(), PAGE_ROWS, after)
                _checked(found)
                found |= {UUID(row.id).bytes for row in rows}
                if len(rows) < PAGE_ROWS:
                    return _checked(found)
                after = rows[-1].key

    def _test(self) -> Where:
        """Those put into it, at once, and those whom the rule put there; less those taken out."""
        inside = Person(Any_((Test("segments", "has", self._segment), Member(self._segment))))
        return All((inside, Not(Person(Test("excluded_segments", "has", self._segment)))))


def _text(id: bytes) -> str:
    return str(UUID(bytes=id))


def _checked(members: set[bytes]) -> set[bytes]:
    if len(members) > MEMBERS_MAX:
        raise Refused("query_too_large", what="members", limit=MEMBERS_MAX)
    return members
