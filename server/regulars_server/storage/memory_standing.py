"""Where customers stand, in plain dictionaries: what `storage.standing` says, told once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from regulars_server.storage.standing import (
    BUYING,
    DEED,
    EVERYBODY,
    HOPS,
    LINE,
    Checked,
    Concern,
    Counted,
    Cuts,
    Due,
    Movement,
    Sweep,
)

V = TypeVar("V", int, str)


@dataclass(frozen=True, slots=True)
class Looked:
    due: int | None
    seq: int
    hops: int = 0
    seen: int | None = None
    held: int = 0
    worker: str = ""

    def told(self, id: str) -> Due:
        by_time = self.seen is not None and self.seq <= self.seen and self.due
        return Due(id, self.hops, self.seen, self.due if by_time else None)


@dataclass(slots=True)
class Stood:
    looked: dict[str, Looked] = field(default_factory=dict)
    standing: dict[str, dict[tuple[str, str], int]] = field(default_factory=dict)
    membership: dict[str, dict[str, int]] = field(default_factory=dict)
    movements: list[Movement] = field(default_factory=list)
    counted: dict[str, Sequence[Counted]] = field(default_factory=dict)
    swept: dict[Concern, tuple[int, bool]] = field(default_factory=lambda: {EVERYBODY: (0, True)})
    """By what it changed: the commit, and whether all have been asked when this round ends."""
    asked: str | None = None
    """The last customer who was asked in this round."""
    is_begun: bool = False
    """Whether anybody was, though it may be erased."""

    def copy(self) -> Stood:
        standing = {id: dict(kept) for id, kept in self.standing.items()}
        membership = {id: dict(kept) for id, kept in self.membership.items()}
        counted, movements = dict(self.counted), list(self.movements)
        looked, swept = dict(self.looked), dict(self.swept)
        return Stood(looked, standing, membership, movements, counted, swept, self.asked, self.is_begun)

    # --- what is due ----------------------------------------------------------------------------------

    def queue(self, customers: Iterable[str], due: set[str], seq: int, hops: int = HOPS, at: int = 0) -> None:
        for id in due.intersection(customers):
            self._put(id, at, seq, hops)

    def _put(self, id: str, due: int, seq: int, hops: int) -> None:
        before = self.looked.get(id, Looked(None, 0))
        is_due = before.due is not None and before.due <= due
        self.looked[id] = replace(
            before,
            due=before.due if is_due else due,
            seq=max(before.seq, seq),
            hops=max(before.hops, hops) if is_due else hops,
        )

    def next_due(self) -> int | None:
        if self.swept:
            return 0
        due = [(one.held, one.due) for one in self.looked.values() if one.due is not None]
        return min((max(at, held) for held, at in due), default=None)

    def claim(
        self, customers: list[str], worker: str, now_ms: int, held_ms: int, limit: int, others: int | None
    ) -> list[Due]:
        due = [
            (one.due, place, id)
            for place, id in enumerate(customers)
            if (one := self.looked.get(id)) and one.due is not None and max(one.due, one.held) <= now_ms
        ]
        written = [one for one in due if one[0] <= 0]
        some = sorted(written)[:limit] or sorted(due)[: limit if others is None else others]
        taken = [id for *_, id in some]
        for id in taken:
            self.looked[id] = replace(self.looked[id], held=now_ms + held_ms, worker=worker)
        return [self.looked[id].told(id) for id in taken]

    def sweep_for(self, concerns: Iterable[Concern], seq: int) -> None:
        self.swept |= dict.fromkeys(concerns, (seq, not self.is_begun))

    def sweep_on(
        self, customers: list[str], above: Callable[[str], set[str]], now_ms: int, limit: int
    ) -> bool:
        """`above`: where a customer is at home, and the units above."""
        some = customers[0 if self.asked is None else customers.index(self.asked) + 1 :][:limit]
        if not some:
            self.swept = {concern: (seq, True) for concern, (seq, whole) in self.swept.items() if not whole}
            self.asked, self.is_begun = None, False
            return bool(self.swept)
        if not self.swept:
            return False
        last: dict[str, int] = {}
        for concern, (seq, _) in self.swept.items():
            last[concern.what] = max(seq, last.get(concern.what, 0))
        for id in some:
            before = self.looked.get(id, Looked(None, 0))
            units = above(id)
            concerns = {
                concern.what
                for concern, (seq, _) in self.swept.items()
                if seq > (-1 if before.seen is None else before.seen) and self._concerns(concern, id, units)
            }
            for what in last if before.held else concerns:
                self._put(id, now_ms, last[what], 0 if what == EVERYBODY.what else HOPS)
        self.asked, self.is_begun = some[-1], True
        return True

    def _concerns(self, concern: Concern, customer: str, units: set[str]) -> bool:
        facts = self.counted.get(customer, ())
        match concern.what:
            case "all":
                return True
            case "buyers":
                return any(fact.deed[DEED.index("kind")] in BUYING for fact in facts)
            case "product":
                place = LINE.index("product")
                return any(line[place] == concern.key for fact in facts for line in fact.lines)
            case "unit":
                return concern.key in units

    def sweeping(self, customers: list[str], now_ms: int) -> Sweep | None:
        waiting = sum(one.due is not None and one.due <= now_ms for one in self.looked.values())
        if not self.swept and not waiting:
            return None
        is_whole = all(whole for _, whole in self.swept.values())
        reached = customers.index(self.asked) + 1 if self.asked and is_whole else 0
        return Sweep(reached if self.swept else len(customers), len(customers), waiting)

    def unlooked(self, customers: list[str], now_ms: int) -> set[str]:
        due = {id for id, one in self.looked.items() if one.due is not None and one.due <= now_ms}
        last = max((seq for seq, _ in self.swept.values()), default=-1)
        is_whole = all(whole for _, whole in self.swept.values())
        asked = customers.index(self.asked) + 1 if self.asked and is_whole else 0
        never = Looked(None, 0)
        return due | {
            id
            for id in customers[asked:]
            if last > (-1 if (seen := self.looked.get(id, never).seen) is None else seen)
        }

    # --- what divides them ----------------------------------------------------------------------------

    def cuts(
        self, since: str, until: str, currency: str | None = None, there: Collection[str] | None = None
    ) -> Cuts:
        last: dict[str, str] = {}
        bought: dict[str, int] = {}
        spend: dict[str, int] = {}
        costs: dict[str, list[int | None]] = {}
        for id, facts in self.counted.items():
            for fact in facts:
                said = dict(zip(DEED, fact.deed, strict=True))
                if said["kind"] == "purchase" and said["at"] <= until:
                    last[id] = max(last.get(id, ""), said["at"])
                if said["kind"] not in ("purchase", "return") or not since <= said["at"] <= until:
                    continue
                if said["kind"] == "purchase":
                    bought[id] = bought.get(id, 0) + 1
                for line in fact.lines if there is None or id in there else ():
                    told = dict(zip(LINE, line, strict=True))
                    if there is not None and told["currency"] not in (None, currency):
                        continue
                    spend[id] = spend.get(id, 0) + told["amount"]
                    costs.setdefault(id, []).append(told["cost"])
        margins = {
            id: spend[id] - sum(cost for cost in of if cost is not None)
            for id, of in costs.items()
            if None not in of
        }
        return Cuts(
            tuple(_fifths(sorted(last.values(), reverse=True))),
            tuple(_fifths(sorted(bought.values()))),
            tuple(_fifths(sorted(spend.values()))),
            tuple(_fifths(sorted(margins.values()))),
            tuple(_pareto(sorted((margin for margin in margins.values() if margin > 0), reverse=True))),
        )

    # --- what was found -------------------------------------------------------------------------------

    def conclude(
        self, customers: Iterable[str], worker: str, seq: int, checked: Sequence[Checked], left: Iterable[str]
    ) -> list[Movement]:
        here = set(customers)
        back = set(left)
        kept: list[Checked] = []
        for one in checked:
            states = [self.looked.get(id) for id in one.members]
            mine = {id for id in one.members if id in self.looked and self.looked[id].worker == worker}
            is_due_again = any(state is not None and state.seq > seq for state in states)
            is_foreign = not here.issuperset(one.members) or any(
                state is not None and state.worker not in ("", worker) for state in states
            )
            if not mine or is_due_again or is_foreign:
                back |= mine
                continue
            self._keep(one, seq)
            kept.append(one)
        for id in back:
            if id in self.looked and self.looked[id].worker == worker:
                self.looked[id] = replace(self.looked[id], held=0, worker="")
        for one in kept:
            self.queue(here, set(one.others), seq, one.hops)
        top = max((movement.n for movement in self.movements), default=0)
        moved = [movement for one in kept for movement in one.movements]
        numbered = [movement._replace(n=n) for n, movement in enumerate(moved, top + 1)]
        self.movements += numbered
        return numbered

    def _keep(self, one: Checked, seq: int) -> None:
        for id, scheme, value in one.no_standing:
            self.standing.get(id, {}).pop((scheme, value), None)
        for id, segment in one.no_membership:
            self.membership.get(id, {}).pop(segment, None)
        for scheme, value, since in one.standing:
            self.standing.setdefault(one.customer, {}).setdefault((scheme, value), since)
        for segment, since in one.membership:
            self.membership.setdefault(one.customer, {}).setdefault(segment, since)
        for id in one.members:
            self.counted.pop(id, None)
        self.counted[one.customer] = one.counted
        before = self.looked.get(one.customer, Looked(None, seq))
        for id in one.members:
            self.looked.pop(id, None)
        self.looked[one.customer] = replace(before, due=one.due_ms, hops=0, seen=seq, held=0, worker="")

    def forget(self, id: str, customers: list[str]) -> None:
        """Nothing is kept of a customer who is erased; `customers`: with this one."""
        if self.asked == id:
            self.asked = ([None, *customers])[customers.index(id)]
        for kept in (self.looked, self.standing, self.membership, self.counted):
            kept.pop(id, None)
        self.movements = [movement for movement in self.movements if movement.customer != id]


def _fifths(values: list[V]) -> Iterator[V]:
    """The last of each fifth but the last; the first ones are the larger where they can't be equal."""
    size, more = divmod(len(values), 5)
    end = 0
    for fifth in range(4):
        end += size + (fifth < more)
        if end and (size or fifth < more):
            yield values[end - 1]


def _pareto(margins: list[int]) -> Iterator[int]:
    """The least of the greatest that come to four fifths of all."""
    total, higher, least = sum(margins), 0, None
    for margin in margins:
        if higher * 5 < total * 4:
            least = margin
        higher += margin
    if least is not None:
        yield least
