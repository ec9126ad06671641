"""Whatever happened in whatever order: every row is where its customers, seen as a whole, now belong.

The places that were written step by step are compared with those that a small function works out at
once, from the stored documents and sightings alone, on memory and on both SQL engines.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regulars_schema.declare import Level
from regulars_schema.entities import REGISTRY
from regulars_server.storage.interface import Storage
from regulars_server.storage.memory import MemoryStorage
from regulars_server.storage.postgres import PostgresStorage
from regulars_server.storage.sqlite import SqliteStorage, inline
from regulars_sync.changes import Change, Value
from regulars_sync.clock import ms_of
from regulars_sync.ids import WINDOW, identity_id, link_id
from regulars_sync.reconcile import Author, Key, Row
from regulars_sync.scope import granted
from tests.contract.rows import HEAD_OFFICE, START_MS, UNITS, Scribe, uid

CUSTOMERS = range(5)
AUTHORS = [
    Author(uid(900 + i), granted([unit], uid(900 + i), Level), unit, "CN") for i, unit in enumerate(UNITS[:3])
]
EDGES = [f"2026-11-{day}T00:00:00.000Z" for day in (16, 17, 21, 22, 23)]
"""The scribe stamps on the 18th; facts say the 16th or the 22nd."""
customer, number = st.sampled_from(CUSTOMERS), st.sampled_from(range(3))
unit = number.map(UNITS.__getitem__)
pair = st.lists(customer, min_size=2, max_size=2, unique=True).map(sorted).map(tuple)
decision = st.sampled_from(["same", "same", "same", "not_same", "household", "proposed"])
at_home = st.one_of(
    st.tuples(st.just("move"), customer, unit),
    st.tuples(st.just("decide"), pair, decision),
    st.tuples(st.just("decide"), pair, decision),
    st.tuples(st.just("edit"), customer, st.booleans()),
    st.tuples(st.just("link"), pair, st.booleans()),
    st.tuples(st.just("fact"), st.lists(customer, max_size=2, unique=True), number),
)
transaction = st.one_of(
    st.tuples(st.none(), st.lists(at_home, min_size=1, max_size=3)),
    st.tuples(
        number, st.lists(st.tuples(st.just("fact"), st.lists(customer, min_size=1), number), max_size=2)
    ),
    st.tuples(number, st.tuples(st.just("create"), number).map(lambda made: [made])),
    st.tuples(
        st.none(),
        st.tuples(st.just("see"), customer, unit, st.none() | st.integers(1, 9)).map(lambda seen: [seen]),
    ),
    st.tuples(st.none(), st.tuples(st.just("edge"), st.sampled_from(EDGES)).map(lambda edge: [edge])),
)
IMPORTED = Value("visit", source="import")

BEGINNING = (
    None,
    [
        ("decide", (0, 1), "same"),
        ("decide", (1, 2), "same"),
        *(("fact", named, at) for named in ([0], [2], [2, 3], []) for at in (0, 0, 1, 1)),
        ("link", (1, 3), True),
    ],
)


class Story:
    """The changes of a history; what they have seen of homes is all that was ever written."""

    def __init__(self) -> None:
        self.scribe = Scribe()
        self.homes: dict[str, list[str]] = {}
        self.decided: dict[str, list[str]] = {}
        self.facts = 100
        self.edge = ""
        self.keys: set[Key] = set()

    def new(self, number: int, unit: int | None, **fields: Any) -> Change:
        made = self.scribe.customer(number, unit, **fields)
        self.homes[made.id] = [made.cid]
        return made

    def change(self, step: tuple[Any, ...], author: Author | None) -> Change:
        scribe = self.scribe
        match step:
            case "move", number, to:
                id = uid(number)
                made = scribe.change("customer", id, {"home_unit": to}, "edit", {"home_unit": self.homes[id]})
                self.homes[id].append(made.cid)
            case "edit", number, sensitive:
                made = scribe.change(
                    "customer", uid(number), {"belief" if sensitive else "notes": "x"}, "edit"
                )
            case "decide", (one, other), decision:
                ends = {"one": uid(one), "other": uid(other)}
                made = scribe.change("identity", identity_id(*ends.values()), {**ends, "decision": decision})
            case "link", (one, other), active:
                ends = {"from_customer": uid(one), "to_customer": uid(other), "kind": "family"}
                made = scribe.change("link", link_id(*ends.values()), {**ends, "active": active})
            case "fact", named, at:
                self.facts += 1
                fields: dict[str, Any] = {"unit": author.unit if author else UNITS[at]}
                if at:
                    fields["kind"] = IMPORTED
                if named:
                    fields["party"] = [{"customer": uid(number)} for number in named]
                fields["at"] = f"2026-11-{16 if self.facts % 2 else 22}T01:00:00.000Z"
                made = scribe.fact(self.facts, None, **fields)
            case "edge", edge:
                self.edge = max(self.edge, edge)  # it never goes back
                made = scribe.change(*WINDOW, {"edge": self.edge})
            case "create", home:
                self.facts += 1
                made = self.new(self.facts, home, belief="x")
            case _:
                raise AssertionError(step)
        self.keys.add((made.entity, made.id))
        return made


def where(rows: dict[Key, Row]) -> dict[Key, set[str]]:
    """The scopes of every row, from documents and sightings alone."""
    values = {key: orjson.loads(row.documents[Level.INTERNAL]) for key, row in rows.items()}
    edge = values.get(WINDOW, {}).get("edge", "")
    decided = [v for (entity, _), v in values.items() if entity == "identity"]
    cluster = {id: {id} for entity, id in rows if entity == "customer"}
    for said in decided:
        if said["decision"] == "same":
            both = cluster[said["one"]] | cluster[said["other"]]
            for id in both:
                cluster[id] = both
    for said in decided:
        if said["decision"] in {"not_same", "household"} and said["other"] in cluster[said["one"]]:
            for id in list(cluster[said["one"]]):
                cluster[id] = {id}
    own = {
        id: {values["customer", id].get("home_unit"), *row.seen} - {None}
        for (entity, id), row in rows.items()
        if entity == "customer"
    }
    units = {id: set().union(*(own[member] for member in members)) for id, members in cluster.items()}
    result = {}
    for key, row in rows.items():
        said = values[key]
        if key[0] == "customer":
            wanted = units[key[1]]
        elif key[0] == "identity":
            together = said["decision"] == "same" and said["other"] in cluster[said["one"]]
            wanted = units[said["one"]] if together else set()
        elif key == WINDOW:
            result[key] = {"chain"}
            continue
        elif key[0] == "interaction" and (
            said["at"] < edge and (said["v"][0][2:] == ["import"] or said["v"][0][1] < ms_of(edge) * 1_000)
        ):
            wanted = set()
        else:
            named = [m["customer"] for m in said.get("party", ())]
            named += [said[end] for end in ("from_customer", "to_customer") if end in said]
            wanted = set().union(*(units[id] for id in named)) if named else {said["unit"]}
        result[key] = {
            f"unit:{unit}" + ("" if level is Level.INTERNAL else f"/{level}")
            for unit in wanted
            for level in row.documents
        }
    return result


async def let_leave(scribe: Scribe, storage: Storage) -> None:
    """Place what lies before the edge anew, two rows at a time, as the server does."""
    after = None
    while True:
        async with storage.writer() as writer:
            (window,) = (await writer.rows([WINDOW])).values()
            found = await writer.placed_before(window.values["edge"], 2, after)
            if not found:
                return
            after = found[-1]
        await scribe.push(storage, [], again=[("interaction", id) for _, id in found])


async def tell(storage: Storage, history: list[Any]) -> list[dict[Key, set[str]]]:
    story = Story()
    await storage.open()
    beginning = [story.new(number, number % 3, belief="x") for number in CUSTOMERS[:3]]
    beginning += [story.new(number, None) for number in CUSTOMERS[3:]]
    story.keys |= {("customer", made.id) for made in beginning}
    await story.scribe.push(storage, beginning)
    told = []
    for who, steps in [BEGINNING, *history]:
        author = None if who is None else AUTHORS[who]
        sightings = {
            (uid(step[1]), step[2]): step[3] and START_MS + step[3] for step in steps if step[0] == "see"
        }
        made = [story.change(step, author) for step in steps if step[0] != "see"]
        await story.scribe.push(storage, made, author or HEAD_OFFICE, sightings=sightings)
        if steps and steps[0][0] == "edge":
            await let_leave(story.scribe, storage)
        async with storage.writer() as writer:
            rows = {key: row for key, row in (await writer.rows(story.keys)).items() if row.exists}
        placed = {key: {scope for scope, left in row.places.items() if not left} for key, row in rows.items()}
        assert placed == where(rows)
        told.append(placed)
    await storage.close()
    return told


history = st.lists(transaction, min_size=1, max_size=10)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history)
def test_places_written_step_by_step_are_those_worked_out_at_once(history):
    with tempfile.TemporaryDirectory() as folder:
        sqlite = SqliteStorage(Path(folder) / "chain.db", REGISTRY, readers=1, connect=inline)
        assert asyncio.run(tell(sqlite, history)) == asyncio.run(tell(MemoryStorage(REGISTRY), history))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=history)
def test_places_on_postgres_are_those_worked_out_at_once(postgres, history):
    with postgres.one() as url:
        told = asyncio.run(tell(PostgresStorage(url, REGISTRY, readers=1), history))
        assert told == asyncio.run(tell(MemoryStorage(REGISTRY), history))
