"""What rules are answered from, put together from rows: the same on the server and on a tablet.

Whoever asks reads the rows that name a person (`People.rows`), whatever it reads them from; `known` makes of
them what `regulars_schema.rules` evaluates. Which facts count follows from their set alone, so rows may come
in any order and twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, tzinfo
from functools import cached_property
from typing import NamedTuple

import orjson

from regulars_schema.custom import NAMED as CUSTOM
from regulars_schema.custom import shown as custom_shown
from regulars_schema.declare import JSON, Field, Level
from regulars_schema.entities import ASSIGNMENT, CHANNEL, CUSTOMER, INTERACTION, REGISTRY
from regulars_schema.rules.facts import Fact, Product, buyer, counting, deed
from regulars_schema.rules.knowing import Assigned, Before, Deed, Known
from regulars_schema.schemes.assigning import COLUMNS
from regulars_sync.clock import STAMPS_PER_MS, instant_of
from regulars_sync.document import decode, nested, shown
from regulars_sync.identity import agreed, fold
from regulars_sync.merge import Candidate, Register, Registers, choose

SENSITIVE = frozenset(f.name for f in CUSTOMER.fields if f.level is Level.SENSITIVE)
IMPORTS = frozenset({"import", "pos"})
"""Sources of an assignment that yields to a person's."""
NEVER = "9999-12-31T23:59:59.999Z"
NAMING = ("custom_value", "assignment", "task", "consent", "link")
"""The entities, beside facts, whose rows tell of the customers whom they name."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a customer is at home."""

    zone: tzinfo = UTC
    currency: str | None = None
    above: frozenset[str] = frozenset()
    """The unit and those above it."""


class Told(NamedTuple):
    """What a fact says: it is written once, so there is one value of each field."""

    values: Mapping[str, JSON]
    stamp: int


@dataclass
class Rows:
    """What was read of some customers: facts by id, of all else registers by entity and id."""

    of: dict[str, dict[str, Registers]] = field(default_factory=lambda: defaultdict(dict))
    facts: dict[str, Told] = field(default_factory=dict)
    products: Mapping[str, Product] = field(default_factory=dict)
    defined: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)
    """Custom fields by id, their shown values."""
    _named: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    @cached_property
    def counting(self) -> set[str]:
        """The ids of the facts that count."""
        return counting(
            Fact(id, told.stamp, told.values.get("supersedes"), bool(told.values.get("void")))
            for id, told in self.facts.items()
        )

    def put(self, entity: str, id: str, documents: Mapping[Level, bytes]) -> None:
        if entity == INTERACTION.name:
            values = orjson.loads(documents[Level.INTERNAL])
            self.facts[id] = Told(values, max(stamp for _, stamp, *_ in values["v"]))
        else:
            self.of[entity][id] = decode(documents)

    def lay(self, entity: str, id: str, registers: Registers) -> None:
        """The same, of a row over which pending changes lie."""
        if entity == INTERACTION.name:
            self.facts[id] = Told(_shown(registers, entity), _stamp(registers))
        else:
            self.of[entity][id] = registers

    def supersedes(self, fact: str) -> str | None:
        """The fact that this one corrects or voids."""
        found: str | None = self.facts[fact].values.get("supersedes")
        return found

    def named_products(self) -> set[str]:
        """The ids of the products in lines of facts."""
        lines = [line for told in self.facts.values() for line in told.values.get("lines") or ()]
        return {line["product"] for line in lines if line.get("product") is not None}

    def counted(self, customers: Iterable[str]) -> dict[str, Mapping[str, JSON]]:
        """The facts that count and name any of these customers, in order of id, and what they say."""
        found = {id for customer in customers for id in self._naming.get(customer, ()) if id in self.counting}
        return {id: self.facts[id].values for id in sorted(found)}

    @cached_property
    def _naming(self) -> dict[str, list[str]]:
        index: dict[str, list[str]] = defaultdict(list)
        for id, told in self.facts.items():
            for customer in INTERACTION.named_customers(told.values):
                index[customer].append(id)
        return index

    def naming(self, entity: str, customers: Iterable[str]) -> list[tuple[str, Registers]]:
        """The rows of an entity that name any of these customers, each once, in order of id."""
        if entity not in self._named:
            index: dict[str, list[str]] = defaultdict(list)
            for id, registers in self.of[entity].items():
                for customer in set(_named(entity, registers)):
                    index[customer].append(id)
            self._named[entity] = index
        found = {id for customer in customers for id in self._named[entity].get(customer, ())}
        return [(id, self.of[entity][id]) for id in sorted(found)]


def _named(entity: str, registers: Registers) -> list[str]:
    declared = REGISTRY.by_name[entity]
    return declared.named_customers({name: _value(registers, name) for name, _ in declared.naming})


def _value(registers: Registers, path: str) -> JSON:
    register = registers.get(path)
    return next(iter(register.values.values())).value if register and register.values else None


def known(
    rows: Rows,
    members: Sequence[str],
    place: Place,
    as_of_ms: int,
    *,
    hidden: frozenset[str] = frozenset(),
    edge_ms: int | None = None,
    before: Mapping[str, Before] | None = None,
    pending: AbstractSet[str] = frozenset(),
) -> Known | None:
    """The person whose rows are these members, the survivor's first; None when there is none.

    `hidden`: the fields that the reader may not see. `edge_ms`: facts from then on are held; `before` are the
    sums of older ones, by kind, and `pending` the facts that these can't count yet. Facts of days after that
    of `as_of_ms` are known and count from their day on; of anything but facts the rows say what is so now.
    """
    cards = {id: rows.of["customer"][id] for id in members if id in rows.of["customer"]}
    if not cards:
        return None
    golden = agreed(CUSTOMER, fold(CUSTOMER, cards)) if len(cards) > 1 else next(iter(cards.values()))
    values = nested(CUSTOMER, shown(CUSTOMER, golden))
    for name in CUSTOMER.set_names & values.keys():
        values[name] = list(values[name])
    day = datetime.fromtimestamp(as_of_ms / 1000, place.zone).toordinal()
    outward: dict[str, set[str]] = defaultdict(set)
    inward: dict[str, set[str]] = defaultdict(set)
    for _, link in rows.naming("link", members):
        one, other, kind = (_value(link, name) for name in ("from_customer", "to_customer", "kind"))
        if _shown(link, "link").get("active") is False or {one, other} <= set(members):
            continue
        if one in members:
            outward[kind].add(other)
        else:
            inward[kind].add(one)
    tasks: dict[str, list[str]] = defaultdict(list)
    for _, task in rows.naming("task", members):
        said = _shown(task, "task")
        tasks[said["plan"]].append(said.get("status") or "open")
    custom = _custom(rows, members)
    if hidden:
        guarded = {
            f"{CUSTOM}{d['key']}" for d in rows.defined.values() if d["sensitivity"] == Level.SENSITIVE
        }
        hidden |= guarded
        custom = {name: value for name, value in custom.items() if name not in guarded}
    values |= custom
    deeds = _deeds(rows, members, place.zone, edge_ms, pending)
    return Known(
        id=members[0],
        today=day,
        zone=place.zone,
        values=values,
        hidden=hidden,
        deeds=tuple(deeds),
        edge=None if edge_ms is None else _first_whole_day(edge_ms, place.zone),
        before=before or {},
        assigned=_assigned(rows, members, place.zone, as_of_ms, bool(hidden)),
        outward={kind: tuple(sorted(ids)) for kind, ids in outward.items()},
        inward={kind: tuple(sorted(ids)) for kind, ids in inward.items()},
        segments=frozenset(values.get("segments") or ()),
        excluded=frozenset(values.get("excluded_segments") or ()),
        tasks={plan: tuple(sorted(states)) for plan, states in tasks.items()},
        consents=_consents(rows, members),
        units=place.above,
        currency=place.currency,
    )


def _deeds(
    rows: Rows, members: Sequence[str], zone: tzinfo, edge_ms: int | None, pending: AbstractSet[str]
) -> list[Deed]:
    start = "" if edge_ms is None else instant_of(edge_ms)
    found: list[Deed] = []
    for id, values in rows.counted(members).items():
        if _dated(rows, id, values, pending) >= start:
            who = _whose(values.get("party") or (), members)
            found.append(deed(id, values, who, zone, rows.products))
    return sorted(found, key=lambda deed: (deed.day, deed.id))


def _dated(rows: Rows, id: str, values: Mapping[str, JSON], pending: AbstractSet[str]) -> str:
    """The instant by which sums from before an edge count this fact or, while the server has not heard of it,
    the one that it stands for; the last of all where they can't count either."""
    if id not in pending:
        return str(values["at"])
    former: str | None = id
    while former is not None and former in pending:  # ends: a fact that counts is in no circle
        former = rows.supersedes(former)
    if former is None:
        return NEVER
    held = rows.facts.get(former)
    return "" if held is None else str(held.values["at"])


def deeds_of(rows: Rows, members: Sequence[str], zone: tzinfo) -> Iterator[tuple[str, Deed]]:
    """All that counts of a person, each fact once, under the member whose it is."""
    for id, values in rows.counted(members).items():
        who = _whose(values.get("party") or (), members)
        yield who, deed(id, values, who, zone, rows.products)


def _whose(party: Sequence[Mapping[str, JSON]], members: Sequence[str]) -> str:
    named = {buyer(party)} & set(members) or {member.get("customer") for member in party}
    return next(member for member in members if member in named)


def _first_whole_day(edge_ms: int, zone: tzinfo) -> int:
    """The first day all of which lies behind the edge."""
    edge = datetime.fromtimestamp(edge_ms / 1000, zone)
    return edge.toordinal() + (edge.time() != time(0))


def _custom(rows: Rows, members: Sequence[str]) -> dict[str, JSON]:
    """`custom.<key>` of each custom field that says something; of several members the survivor's first."""
    found: dict[str, JSON] = {}
    order = {id: at for at, id in enumerate(members)}
    said = [(_shown(registers, "custom_value"), id) for id, registers in rows.naming("custom_value", members)]
    for values, _ in sorted(said, key=lambda one: (order[one[0]["customer"]], one[1])):
        defined = rows.defined.get(values["field_def"])
        if defined is None:
            continue
        value = custom_shown(defined, values)
        if value is not None:
            found.setdefault(f"{CUSTOM}{defined['key']}", value)
    return found


def _assigned(
    rows: Rows, members: Sequence[str], zone: tzinfo, as_of_ms: int, hidden: bool
) -> dict[str, tuple[Assigned, ...]]:
    """What each says: a person's word does not hide a file's, which counts once that is to be checked."""
    found: dict[str, list[Assigned]] = defaultdict(list)
    for _, registers in rows.naming("assignment", members):
        scheme = _value(registers, "scheme")
        for path, register in registers.items():
            name, _, key = path.partition("/")
            if name not in COLUMNS:
                continue
            field = ASSIGNMENT.by_name[name]
            if hidden and field.level is Level.SENSITIVE:
                continue
            for origin, written in _by_origin(field, register).items():
                value = written.value if not field.is_set else key if written.value else None
                if value is None:
                    continue
                ms = min(written.stamp // STAMPS_PER_MS, as_of_ms)  # a pending one has no stamp yet
                day = datetime.fromtimestamp(ms / 1_000, zone).toordinal()
                since = _day_beside(registers, "since", origin, written)
                until = _day_beside(registers, "check_by", origin, written)
                found[scheme].append(Assigned(value, origin, day if since is None else since, until))
    return {scheme: tuple(sorted(each, key=lambda a: (a.since, a.value))) for scheme, each in found.items()}


def _by_origin(field: Field, register: Register | None) -> dict[str, Candidate]:
    """What persons say and what files say, each as one."""
    said: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in register.values.values() if register else ():
        said["import" if candidate.source in IMPORTS else "person"].append(candidate)
    return {origin: choose(field, candidates) for origin, candidates in said.items()}


def _day_beside(registers: Registers, name: str, origin: str, written: Candidate) -> int | None:
    """The day that was written with a value, or since by whoever said it."""
    register = registers.get(name)
    found = register.values.get(written.cid) if register else None
    found = found or _by_origin(ASSIGNMENT.by_name[name], register).get(origin)
    return None if found is None or found.value is None else date.fromisoformat(found.value).toordinal()


def _consents(rows: Rows, members: Sequence[str]) -> frozenset[tuple[str, str]]:
    """What is granted by the latest word of each purpose and channel; of equal times the withdrawal counts.

    A word of no channel is one of all.
    """
    latest: dict[tuple[str, str], tuple[str, bool]] = {}
    for _, registers in rows.naming("consent", members):
        channel = _value(registers, "channel")
        word = _value(registers, "at"), not _value(registers, "granted")
        for each in CHANNEL.values if channel is None else (channel,):
            about = _value(registers, "purpose"), each
            latest[about] = max(latest.get(about, ("", False)), word)
    return frozenset(about for about, (_, withdrawn) in latest.items() if not withdrawn)


def _shown(registers: Registers, entity: str) -> dict[str, JSON]:
    declared = REGISTRY.by_name[entity]
    return nested(declared, shown(declared, registers))


def _stamp(registers: Registers) -> int:
    return max(c.stamp for register in registers.values() for c in register.values.values())
