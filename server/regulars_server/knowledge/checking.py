"""Keeps where customers stand up to date: who was written of is due, and whose day has come.

Several servers share the work: each takes some who are due, evaluates them as of one snapshot, and keeps what
it found, unless a commit has made them due again meanwhile. Whom a server that ended has taken, another takes
after a while; nothing is kept twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from regulars_schema.declare import Level
from regulars_schema.rules.evaluate import FOREVER, Finding, evaluate, standing
from regulars_schema.rules.knowing import Chain, Known
from regulars_schema.rules.naming import link_kinds, tests
from regulars_schema.rules.tree import InTest
from regulars_schema.schemes.changing import rules_of
from regulars_schema.schemes.world import Knowledge
from regulars_server.admission import Admission
from regulars_server.authors import UnitTree
from regulars_server.hub import EVERYTHING, Hub
from regulars_server.knowledge.baselines import refresh
from regulars_server.knowledge.indexing import counted
from regulars_server.knowledge.loading import known
from regulars_server.knowledge.reasons import Turned
from regulars_server.knowledge.world import Worlds
from regulars_server.storage.interface import Reader, Storage
from regulars_server.storage.standing import HOPS, MEMBER, MOVED, Checked, Due, Movement
from regulars_sync.errors import RegularsError

AT_ONCE = 50
"""So many customers are taken at once of whom something was written."""
BESIDE = 10
"""So many who are due for another reason: whoever is written of meanwhile waits for no more."""
HELD_MS = 10_000
"""So long nobody else takes them; one who is not done by then is taken by another."""
SWEPT_AT_ONCE = 500
AGAIN_MS = 3_600_000
"""After so long somebody is looked at again of whom nothing could be said."""
LOOK_S_MAX = 60.0
AWAY_S = 1.0

log = logging.getLogger("regulars")


class Checking:
    """Looks at customers who are due. Time and randomness come from outside; one per server process."""

    def __init__(
        self,
        storage: Storage,
        admission: Admission,
        worlds: Worlds,
        hub: Hub,
        now_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._storage = storage
        self._admission = admission
        self._worlds = worlds
        self._hub = hub
        self._now_ms = now_ms
        self._worker = entropy(8).hex()

    async def run(self) -> None:
        """Until cancelled: at once when something is committed, and at the time when somebody is due next."""
        while True:
            with self._hub.waiting([EVERYTHING]) as woken:
                try:
                    await self.drain()
                    async with self._storage.unscoped_reader() as reader:
                        due = await reader.next_due()
                    wait_s = LOOK_S_MAX if due is None else (due - self._now_ms()) / 1_000
                except Exception as error:
                    if not isinstance(error, RegularsError):
                        log.exception("looking at customers failed")
                    await asyncio.sleep(AWAY_S)
                    continue
                if self._hub.is_closing:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), min(max(wait_s, 0), LOOK_S_MAX))

    async def drain(self) -> None:
        """Look at everybody who is due by now."""
        while await self.once() is not None:
            pass

    async def once(self) -> list[Movement] | None:
        """Look at some who are due; what moved. None: nobody is."""
        now = self._now_ms()
        async with self._storage.unscoped_reader() as reader:
            due = await reader.next_due()
        if due is None or due > now:
            return None
        taken = await self._storage.claim(self._worker, now, HELD_MS, AT_ONCE, BESIDE)
        if not taken:
            return [] if await self._storage.sweep_on(now, SWEPT_AT_ONCE) else None
        ids = [one.customer for one in taken]
        try:
            async with self._storage.unscoped_reader() as reader:
                seq = (await reader.head()).seq
                knowledge, tree = await self._worlds.of(reader), await self._worlds.units(reader)
                checked = await look(reader, taken, knowledge, tree, now)
            await refresh(self._admission, self._storage, checked)
        except BaseException:
            with suppress(RegularsError, asyncio.CancelledError):
                await self._storage.conclude(self._worker, 0, [], ids)
            raise
        moved = await self._storage.conclude(self._worker, seq, checked, ids)
        if moved:
            self._hub.publish([MOVED])
        return moved


# --- one batch ----------------------------------------------------------------------------------------------


async def look(
    reader: Reader, taken: Sequence[Due], knowledge: Knowledge, tree: UnitTree, now_ms: int
) -> list[Checked]:
    """Where these customers stand now, against what is kept of them; one for each person.

    Whom time alone moves is looked at as of the instant at which it does, however late that is noticed. What
    time did after that makes them due again, so each movement is told of its own instant, and none is lost.
    """
    clusters = await reader.clusters([one.customer for one in taken])
    persons: dict[str, list[Due]] = {}
    for one in taken:
        persons.setdefault(clusters.get(one.customer, (one.customer,))[0], []).append(one)
    as_of: dict[int, list[Due]] = {}
    for due in persons.values():
        at = [one.since for one in due if one.since is not None]
        as_of.setdefault(min(at) if len(at) == len(due) else now_ms, []).extend(due)
    found: list[Checked] = []
    for at_ms, due in sorted(as_of.items()):
        found += await _look_as_of(at_ms, reader, due, clusters, knowledge, tree, now_ms)
    return found


async def _look_as_of(
    as_of_ms: int,
    reader: Reader,
    taken: Sequence[Due],
    clusters: Mapping[str, tuple[str, ...]],
    knowledge: Knowledge,
    tree: UnitTree,
    now_ms: int,
) -> list[Checked]:
    ids = [one.customer for one in taken]
    persons = await known(reader, ids, tree=tree, as_of_ms=as_of_ms, sensitive=True)
    kinds = _link_kinds(knowledge)
    schemes = knowledge.schemes.schemes
    guarded = frozenset(key for key, of in schemes.items() if of.level is Level.SENSITIVE)
    linked = await _linked(reader, persons, kinds, tree, as_of_ms)
    chain = replace(knowledge.chain, find={**linked, **persons}.get)
    every = [id for customer in persons for id in clusters.get(customer, (customer,))]
    standings, memberships = await reader.standings(every), await reader.memberships(every)
    by_person: dict[str, list[Due]] = {}
    for one in taken:
        if one.customer in persons:
            by_person.setdefault(persons[one.customer].id, []).append(one)
    found: list[Checked] = []
    for id, due in by_person.items():
        person = persons[due[0].customer]
        members = clusters.get(due[0].customer, (id,))
        kept = Kept.of(members, standings, memberships)
        seen = max((one.seen for one in due if one.seen is not None), default=None)
        try:
            stood = Stood.of(person, knowledge, chain)
        except Exception:  # a rule that nobody could foresee: it keeps nobody else waiting
            log.exception("where a customer stands can't be said")
            found.append(Checked(id, members, now_ms + AGAIN_MS, counted=counted(person.deeds)))
            continue
        is_first = seen is None and not kept.standing and not kept.membership
        turned = Turned(person, chain, knowledge.words, guarded)
        if is_first:
            turned = replace(turned, newer=frozenset(deed.id for deed in person.deeds))
        elif seen is not None and stood.differs(kept):
            turned = replace(turned, newer=await _newer(reader, person, seen))
        hops = max(one.hops for one in due)
        others = [other for kind in sorted(kinds) for other in person.linked(kind)]
        checked = stood.against(kept, members, turned, as_of_ms, is_first)
        told = replace(checked, counted=counted(person.deeds), others=others if hops else ())
        found.append(replace(told, hops=max(hops - 1, 0)))
        await asyncio.sleep(0)
    return found


def _link_kinds(knowledge: Knowledge) -> frozenset[str]:
    """The kinds of links through which rules look at others."""
    rules = [rule for of in knowledge.schemes.schemes.values() for rule in rules_of(of)]
    rules += [segment.rule for segment in knowledge.segments.values() if segment.rule is not None]
    return link_kinds(test for rule in rules for test in tests(rule))


async def _linked(
    reader: Reader, persons: Mapping[str, Known], kinds: frozenset[str], tree: UnitTree, now_ms: int
) -> dict[str, Known]:
    """Whom the links of these kinds lead to, as far as rules follow them."""
    found: dict[str, Known] = {}
    last = persons
    for _ in range(HOPS):
        ids = {id for one in last.values() for kind in kinds for id in one.linked(kind)}
        if wanted := sorted(ids - found.keys() - persons.keys()):
            last = await known(reader, wanted, tree=tree, as_of_ms=now_ms, sensitive=True)
            found |= last
    return found


async def _newer(reader: Reader, person: Known, seen: int) -> frozenset[str]:
    """The facts of a person that came after a commit."""
    rows = await reader.find("interaction", [deed.id for deed in person.deeds])
    return frozenset(id for id, row in rows.items() if row.seq() > seen)


# --- one person ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """What storage keeps of a person; of merged ones there may be some of each member."""

    standing: Mapping[str, Mapping[str, Mapping[str, int]]]
    """Member -> scheme -> value -> since, in ms."""
    membership: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(
        cls,
        members: Iterable[str],
        standings: Mapping[str, dict[str, dict[str, int]]],
        memberships: Mapping[str, dict[str, int]],
    ) -> Kept:
        return cls(
            {id: standings[id] for id in members if id in standings},
            {id: memberships[id] for id in members if id in memberships},
        )

    def values(self, scheme: str) -> dict[str, int]:
        """Value -> since. Where members stood apart, what the survivor has counts."""
        return next((dict(of[scheme]) for of in self.standing.values() if scheme in of), {})

    @property
    def segments(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for membership in self.membership.values():
            for segment, since in membership.items():
                found[segment] = min(since, found.get(segment, since))
        return found


@dataclass(frozen=True, slots=True)
class Stood:
    """Where a person stands by the rules."""

    standing: Mapping[str, Finding]
    membership: Mapping[str, Finding]

    @classmethod
    def of(cls, person: Known, knowledge: Knowledge, chain: Chain) -> Stood:
        asked = {*knowledge.dynamic, *(person.segments & knowledge.kept.keys())}
        return cls(
            {scheme: standing(scheme, person, chain) for scheme in knowledge.used},
            {segment: evaluate(InTest(segment), person, chain) for segment in sorted(asked)},
        )

    def values(self, scheme: str) -> list[str]:
        found = self.standing.get(scheme)
        return list(found.value or ()) if found else []

    @property
    def segments(self) -> set[str]:
        return {segment for segment, found in self.membership.items() if found.answer}

    @property
    def until_ms(self) -> int | None:
        until = min(
            (found.until for found in (*self.standing.values(), *self.membership.values())), default=FOREVER
        )
        return None if until == FOREVER else round(until.timestamp() * 1_000)

    def differs(self, kept: Kept) -> bool:
        schemes = {*self.standing, *(scheme for standing in kept.standing.values() for scheme in standing)}
        moved = any(set(self.values(scheme)) != kept.values(scheme).keys() for scheme in schemes)
        return moved or self.segments != kept.segments.keys()

    def against(
        self, kept: Kept, members: Sequence[str], turned: Turned, at_ms: int, is_first: bool
    ) -> Checked:
        """What is to be written, and what moved. A person's first values are no movement."""
        survivor = members[0]
        standing_, gone, moved = list[tuple[str, str, int]](), list[tuple[str, str, str]](), list[Movement]()
        schemes = {*self.standing, *(scheme for of in kept.standing.values() for scheme in of)}
        for scheme in sorted(schemes):
            was, now = kept.values(scheme), self.values(scheme)
            mine = kept.standing.get(survivor, {}).get(scheme, {})
            standing_ += [(scheme, value, was.get(value, at_ms)) for value in now if value not in mine]
            gone += [
                (id, scheme, value)
                for id, of in kept.standing.items()
                for value in of.get(scheme, ())
                if id != survivor or value not in now
            ]
            if not is_first:
                finding = self.standing.get(scheme)
                for before, after in _changes(list(was), now):
                    reason = turned.of_standing(scheme, finding, before, after)
                    moved.append(Movement(0, at_ms, survivor, "standing", scheme, before, after, reason))
        was_in, is_in = kept.segments, self.segments
        mine_in = kept.membership.get(survivor, {})
        for segment in sorted(was_in.keys() ^ is_in):
            reason = turned.of_membership(self.membership.get(segment))
            before, after = (MEMBER, None) if segment in was_in else (None, MEMBER)
            moved.append(Movement(0, at_ms, survivor, "membership", segment, before, after, reason))
        return Checked(
            survivor,
            members,
            self.until_ms,
            standing_,
            gone,
            [(segment, was_in.get(segment, at_ms)) for segment in sorted(is_in - mine_in.keys())],
            [
                (id, segment)
                for id, of in kept.membership.items()
                for segment in of
                if id != survivor or segment not in is_in
            ],
            moved,
        )


def _changes(was: list[str], now: list[str]) -> list[tuple[str | None, str | None]]:
    """From value to value; where there are several, each that ended and each that came for itself."""
    ended, came = [v for v in was if v not in now], [v for v in now if v not in was]
    if len(ended) == len(came) == 1:
        return [(ended[0], came[0])]
    return [*((value, None) for value in ended), *((None, value) for value in came)]
