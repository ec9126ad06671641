"""What a chain must hold, worked out from the set of accepted changes alone: DESIGN.md section 4 once more.

Written from the text, without a line of `regulars_sync`: no order of arrival, no step-by-step merge.
A field's values are what the accepted changes of its row wrote and none of them had seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from regulars_schema.declare import JSON, Entity, Enum, Field, Nature, Registry, Rule, Scope

Key = tuple[str, str]
Together = Mapping[str, frozenset[str]]
"""Customer -> all who are the same person."""


class Written(NamedTuple):
    """One value: the change that wrote it, its stamp, the value, its source and whether it is verified."""

    cid: str
    stamp: int
    value: JSON
    source: str | None = None
    verified: str | None = None


class Accepted(NamedTuple):
    """A change that the log says was accepted, as it came, under the stamp that counts."""

    cid: str
    stamp: int
    body: Mapping[str, Any]

    @property
    def key(self) -> Key:
        return self.body["entity"], self.body["id"]

    @property
    def fields(self) -> Mapping[str, Any]:
        return self.body["fields"]  # type: ignore[no-any-return]

    def wrote(self, path: str) -> Written:
        given = self.fields[path]
        return Written(self.cid, self.stamp, given["value"], given.get("source"), given.get("verified"))

    def seen(self, path: str) -> set[str]:
        return set(self.body.get("seen", {}).get(path, ()))


@dataclass
class Cell:
    """One path of a row: what is shown, what stands beside it, and the seen cids that are kept."""

    shown: Written | None
    beside: Mapping[str, Written] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()


Cells = dict[str, Cell]


def field_of(entity: Entity, path: str) -> Field:
    return entity.by_name[path.partition("/")[0]]


def pick(declared: Field, values: Iterable[Written]) -> Written:
    """The shown one among values that have not seen each other, rule by rule as DESIGN.md 3 names them."""
    all_ = sorted(values, key=lambda w: (w.stamp, w.cid))
    latest = all_[-1]

    def last(found: list[Written]) -> Written:
        return found[-1] if found else latest

    def earliest_best(rank: Any, highest: bool) -> Written:
        given = [w for w in all_ if w.value is not None]
        if not given:
            return all_[0]
        best = (max if highest else min)(rank(w.value) for w in given)
        return next(w for w in given if rank(w.value) == best)

    match declared.rule:
        case Rule.LAST_WRITER:
            return latest
        case Rule.VERIFIED:
            return last([w for w in all_ if w.verified == "verified"])
        case Rule.SET_ADD | Rule.ANY_TRUE:
            return last([w for w in all_ if w.value])
        case Rule.SET_REMOVE:
            return last([w for w in all_ if not w.value])
        case Rule.REVIEW:
            return all_[0]
        case Rule.MIN:
            return earliest_best(lambda value: value, highest=False)
        case Rule.MAX:
            return earliest_best(lambda value: value, highest=True)
        case Rule.LATTICE:
            assert isinstance(declared.type, Enum)
            return earliest_best(list(declared.type.values).index, highest=True)


def cells_of(entity: Entity, changes: Iterable[Accepted]) -> Cells:
    """A row as the set of changes that were accepted on it makes it."""
    all_ = {change.cid: change for change in changes}
    writers: dict[str, list[Accepted]] = defaultdict(list)
    for change in all_.values():
        for path in change.fields:
            writers[path].append(change)
    cells: Cells = {}
    for path, wrote in writers.items():
        declared = field_of(entity, path)
        if declared.rule is Rule.LATTICE:
            cells[path] = Cell(pick(declared, [change.wrote(path) for change in wrote]))
            continue
        seen = set().union(*(change.seen(path) for change in wrote))
        values = [change.wrote(path) for change in wrote if change.cid not in seen]
        shown = pick(declared, values) if values else None
        beside = {w.cid: w for w in values if w is not shown}
        cells[path] = Cell(shown, beside, frozenset(seen - all_.keys()))
    return cells


@dataclass
class Model:
    registry: Registry
    changes: dict[Key, list[Accepted]] = field(default_factory=lambda: defaultdict(list))
    rows: dict[Key, Cells] = field(default_factory=dict)
    _tied: dict[str, set[str]] | None = None

    @classmethod
    def of(cls, registry: Registry, accepted: Iterable[Accepted]) -> Model:
        """Facts are a set: a second acceptance under the same id says the same again and adds nothing."""
        model = cls(registry)
        for change in accepted:
            if not change.fields:
                continue
            entity = registry.by_name[change.key[0]]
            if entity.nature is Nature.FACT and change.key in model.changes:
                continue
            model.changes[change.key].append(change)
        for key, changes in model.changes.items():
            model.rows[key] = cells_of(registry.by_name[key[0]], changes)
        return model

    def shown(self, key: Key, path: str) -> JSON:
        cell = self.rows.get(key, {}).get(path)
        return cell.shown.value if cell and cell.shown else None

    def units(
        self, key: Key, units_by_customer: Mapping[str, set[str]], together: Together
    ) -> set[str] | None:
        """The units whose tablets hold a row; None: every tablet of the chain.

        Given where the customers are, and who of them is one person.
        """
        if key[0] == "interaction":
            family = self.family(key)
            own = self._own(key, units_by_customer)
            if key[1] in self.counting(family):
                return own
            return own.intersection(*(self._own(one, units_by_customer) for one in family))
        entity = self.registry.by_name[key[0]]
        match entity.scope:
            case Scope.CHAIN:
                return None
            case Scope.HOME:
                return units_by_customer[key[1]]
            case Scope.SAME:
                one, other, decision = (self.shown(key, path) for path in ("one", "other", "decision"))
                return (
                    units_by_customer[one] if decision == "same" and other in together.get(one, ()) else set()
                )
            case Scope.NAMED:
                return self._own(key, units_by_customer)
        raise AssertionError(entity.scope)

    def family(self, key: Key) -> set[Key]:
        """A fact, what corrects it and what it corrects, and so on."""
        if self._tied is None:
            self._tied = defaultdict(set)
            for entity, id in self.rows:
                former = self.shown((entity, id), "supersedes") if entity == "interaction" else None
                if former is not None:
                    self._tied[id].add(former)
                    self._tied[former].add(id)
        found, todo = {key[1]}, [key[1]]
        while todo:
            more = self._tied[todo.pop()] - found
            found |= more
            todo += more
        return {("interaction", id) for id in found if ("interaction", id) in self.rows}

    def counting(self, family: Iterable[Key]) -> set[str]:
        """The facts that count: the last word of each chain of corrections, unless any of it is a void."""
        ids = {id for _, id in family}
        after: dict[str, list[str]] = defaultdict(list)
        for id in ids:
            after[self.shown(("interaction", id), "supersedes") or ""].append(id)
        found = set()
        for start in {*after} - ids:
            for id in after[start] if not start else [start]:
                while after[id] and not any(self.shown(("interaction", n), "void") for n in after[id]):
                    id = max(after[id], key=lambda n: (self.changes["interaction", n][0].stamp, n))
                if id in ids and not after[id] and not self.shown(("interaction", id), "void"):
                    found.add(id)
        return found

    def _own(self, key: Key, units_by_customer: Mapping[str, set[str]]) -> set[str]:
        """The units that hold a row because of those whom it names itself."""
        if key[0] == "interaction" and self._is_before_edge(key):
            return set()
        named = [self.shown(key, path) for path in ("customer", "from_customer", "to_customer")]
        named += [member.get("customer") for member in self.shown(key, "party") or []]
        named = [id for id in named if id]
        if not named:
            return {self.shown(key, "unit")} - {None}
        return set().union(*(units_by_customer.get(id, set()) for id in named))

    def _is_before_edge(self, key: Key) -> bool:
        """Whether a fact is older than the history window, by what it says and by when it was written."""
        edges = [self.shown(row, "edge") for row in self.rows if row[0] == "window"]
        if not edges or self.shown(key, "at") >= edges[0]:
            return False
        (change, *_) = self.changes[key]
        is_imported = any(given.get("source") == "import" for given in change.fields.values())
        written = datetime.fromtimestamp(change.stamp / 1_000_000, UTC)
        return is_imported or written < datetime.fromisoformat(edges[0])


def read(document: Mapping[str, Any]) -> Cells:
    """A stored document, read as docs/PROTOCOL.md describes it."""
    cells: Cells = {}
    listed, kept = document.get("x", {}), document.get("s", {})

    def written(i: int, value: JSON) -> Written:
        cid, stamp, *rest = document["v"][i]
        source, verified = (*rest, None, None)[:2]
        return Written(cid, stamp, value, source or None, verified or None)

    for path, value in document.items():
        if path not in {"id", "v", "x", "s"}:
            at, *beside = listed.get(path, [0])
            others = [written(i, other) for i, other in beside]
            cells[path] = Cell(written(at, value), {w.cid: w for w in others})
    for path, cids in kept.items():
        cells.setdefault(path, Cell(None)).kept = frozenset(cids)
    return cells
