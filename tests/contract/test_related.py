"""Tests through relations: every storage finds what plain Python finds among the rows within reach.

The brute force below knows nothing of tables: it reads the documents that the reader gives, so what is out of
reach is not there for it, and so must it be for the storage.
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
from regulars_server.storage.interface import All, Any_, Not, Order, Person, Reader, Related, Storage
from regulars_server.storage.interface import Test as Probe
from regulars_server.storage.memory import MemoryStorage
from regulars_server.storage.postgres import PostgresStorage
from regulars_server.storage.sqlite import SqliteStorage, inline
from regulars_sync.ids import identity_id, link_id
from tests.contract.rows import UNITS, Scribe, uid

EXAMPLES = 80
CUSTOMERS, FACTS, SEGMENTS, STAFF, DEVICES = range(6), range(50, 56), range(70, 72), range(80, 83), (90, 91)
SCOPES = [
    frozenset({"chain", f"unit:{UNITS[0]}"}),
    frozenset({"chain"}),
    frozenset({f"unit:{UNITS[1]}"}),
    None,
]

unit = st.sampled_from(UNITS[:3])
customer = st.sampled_from(CUSTOMERS).map(uid)
pairs = st.lists(
    st.tuples(customer, customer).filter(lambda pair: pair[0] < pair[1]), max_size=3, unique=True
)
world = st.fixed_dictionaries(
    {
        "unit": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from("ab"), "parent": st.none() | unit}),
            min_size=3,
            max_size=3,
        ),
        "customer": st.lists(
            st.fixed_dictionaries(
                {
                    "home_unit": unit,
                    "owner": st.none() | st.sampled_from(STAFF).map(uid),
                    "gender": st.sampled_from([None, "female", "male"]),
                    "tags/vip": st.booleans(),
                    **{f"segments/{uid(id)}": st.booleans() for id in SEGMENTS},
                }
            ),
            min_size=len(CUSTOMERS),
            max_size=len(CUSTOMERS),
        ),
        "interaction": st.lists(
            st.fixed_dictionaries(
                {
                    "party": st.lists(customer.map(lambda id: {"customer": id}), max_size=3),
                    "stage_reached": st.sampled_from([None, 1, 5]),
                    "unit": st.none() | unit,
                    "supersedes": st.none() | st.sampled_from(FACTS).map(uid),
                }
            ),
            min_size=len(FACTS),
            max_size=len(FACTS),
        ),
        "links": pairs,
        "same": pairs,
        "staff": st.lists(
            st.fixed_dictionaries({f"units/{id}": st.booleans() for id in UNITS[:3]}),
            min_size=len(STAFF),
            max_size=len(STAFF),
        ),
        "device": st.lists(unit, min_size=len(DEVICES), max_size=len(DEVICES)),
    }
)

TIES = {
    "unit": [
        ("unit", "parent", False),
        ("unit", "parent", True),
        ("customer", "home_unit", True),
        ("staff", "units", True),
        ("device", "unit", True),
    ],
    "staff": [("unit", "units", False), ("customer", "owner", True)],
    "device": [("unit", "unit", False)],
    "segment": [("customer", "segments", True)],
    "customer": [
        ("unit", "home_unit", False),
        ("staff", "owner", False),
        ("segment", "segments", False),
        ("link", "from_customer", True),
        ("link", "to_customer", True),
        ("interaction", "party", True),
    ],
    "link": [("customer", "from_customer", False), ("customer", "to_customer", False)],
    "interaction": [
        ("customer", "party", False),
        ("unit", "unit", False),
        ("interaction", "supersedes", False),
        ("interaction", "supersedes", True),
    ],
}
OWN = {
    "unit": [Probe("name", "eq", "a"), Probe("parent", "exists", True)],
    "staff": [Probe("units", "has", UNITS[0])],
    "device": [Probe("id", "eq", uid(90))],
    "segment": [Probe("id", "eq", uid(70))],
    "customer": [Probe("gender", "eq", "female"), Probe("gender", "ne", "male"), Probe("tags", "has", "vip")],
    "link": [Probe("kind", "eq", "family")],
    "interaction": [Probe("stage_reached", "ge", 2), Probe("unit", "in", [UNITS[0], UNITS[1]])],
}


def wheres(entity: str, deep: int = 2) -> st.SearchStrategy[Any]:
    own: st.SearchStrategy[Any] = st.sampled_from(OWN[entity])
    if deep:
        tied: list[st.SearchStrategy[Any]] = [
            st.builds(
                Related,
                st.just(other),
                st.just(field),
                st.just(back),
                wheres(other, deep - 1) | st.just(All(())),
            )
            for other, field, back in TIES[entity]
        ]
        own = own | st.one_of(tied)
    return st.one_of(
        own,
        st.builds(Not, own),
        st.builds(All, st.lists(own, max_size=2).map(tuple)),
        st.builds(Any_, st.lists(own, max_size=2).map(tuple)),
    )


question = st.sampled_from(sorted(TIES)).flatmap(
    lambda e: st.tuples(st.just(e), wheres(e), st.sampled_from(SCOPES))
)


def changes_of(scribe: Scribe, made: dict[str, Any]) -> Any:
    for id, values in zip(UNITS, made["unit"], strict=False):
        yield scribe.change("unit", id, {"kind": "branch", **values})
    for number, values in zip(STAFF, made["staff"], strict=True):
        yield scribe.change("staff", uid(number), {"name": "s", "role": "clerk", **values})
    for number, at in zip(DEVICES, made["device"], strict=True):
        yield scribe.change("device", uid(number), {"name": "d", "unit": at})
    for number in SEGMENTS:
        yield scribe.change("segment", uid(number), {"name": "g"})
    for number, values in zip(CUSTOMERS, made["customer"], strict=True):
        yield scribe.change("customer", uid(number), {"name": "c", **values})
    for number, values in zip(FACTS, made["interaction"], strict=True):
        at = f"2026-11-22T00:00:{number}.000Z"
        yield scribe.change("interaction", uid(number), {"kind": "visit", "at": at, **values})
    for one, other in made["links"]:
        ends = {"from_customer": one, "to_customer": other, "kind": "family"}
        yield scribe.change("link", link_id(*ends.values()), {**ends, "active": True})
    for one, other in made["same"]:
        pair = {"one": one, "other": other, "decision": "same"}
        yield scribe.change("identity", identity_id(one, other), pair)


class Brute:
    """All that a reader may read, in dictionaries."""

    def __init__(self, rows: dict[str, dict[str, Any]], clusters: dict[str, tuple[str, ...]]) -> None:
        self.rows = rows
        self.clusters = clusters

    @classmethod
    async def of(cls, reader: Reader) -> Brute:
        rows = {
            entity: {
                found.id: orjson.loads(found.documents[Level.INTERNAL])
                for found in await reader.select(entity, None, Order(), 99)
            }
            for entity in TIES
        }
        return cls(rows, await reader.clusters(rows["customer"]))

    def named(self, entity: str, id: str, field: str) -> set[str]:
        values = self.rows[entity][id]
        if field == "party":
            return {item["customer"] for item in values.get("party") or ()}
        held = {
            path.partition("/")[2] for path, there in values.items() if there and path.startswith(f"{field}/")
        }
        return held | ({values[field]} if values.get(field) else set())

    def tied(self, entity: str, id: str, where: Related) -> list[str]:
        others = self.rows[where.entity]
        if not where.back:
            return [other for other in self.named(entity, id, where.field) if other in others]
        mine = {id, *(self.clusters.get(id, ()) if entity == "customer" else ())}
        return [other for other in others if mine & self.named(where.entity, other, where.field)]

    def passes(self, entity: str, id: str, where: Any) -> Any:
        match where:
            case All(tests):
                return all(self.passes(entity, id, test) for test in tests)
            case Any_(tests):
                return any(self.passes(entity, id, test) for test in tests)
            case Not(test):
                return not self.passes(entity, id, test)
            case Related(other, _, _, test):
                return any(self.passes(other, one, test) for one in self.tied(entity, id, where))
        values = self.rows[entity][id]
        value = id if where.field == "id" else values.get(where.field)
        match where.op:
            case "eq":
                return value == where.value
            case "ne":
                return value != where.value
            case "in":
                return value in where.value
            case "ge":
                return value is not None and value >= where.value
            case "exists":
                return (value is not None) is where.value
            case "has":
                return where.value in self.named(entity, id, where.field)
        raise AssertionError(where)


async def compare(storage: Storage, made: dict[str, Any], questions: list[Any]) -> None:
    await storage.open()
    try:
        scribe = Scribe()
        rulings, _ = await scribe.push(storage, list(changes_of(scribe, made)))
        assert {ruling.verdict for ruling in rulings} == {"applied"}
        for entity, where, scopes in questions:
            opened = storage.unscoped_reader() if scopes is None else storage.reader(scopes)
            async with opened as reader:
                brute = await Brute.of(reader)
                found = await reader.select(entity, where, Order(), 99)
                wanted = sorted(id for id in brute.rows[entity] if brute.passes(entity, id, where))
                assert [row.id for row in found] == wanted
                assert await reader.count(entity, where) == len(wanted)
                if entity == "customer":
                    persons = await reader.select(entity, Person(where), Order(), 99)
                    survivors = {brute.clusters.get(id, (id,))[0] for id in wanted}
                    assert [row.id for row in persons] == sorted(survivors)
    finally:
        await storage.close()


asked = given(made=world, questions=st.lists(question, min_size=1, max_size=12))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@asked
def test_a_test_through_a_relation_finds_what_plain_python_finds_within_reach(made, questions):
    asyncio.run(compare(MemoryStorage(REGISTRY), made, questions))
    with tempfile.TemporaryDirectory() as folder:
        sqlite = SqliteStorage(Path(folder) / "chain.db", REGISTRY, connect=inline, readers=1)
        asyncio.run(compare(sqlite, made, questions))


@settings(max_examples=EXAMPLES // 4, deadline=None, suppress_health_check=list(HealthCheck))
@asked
def test_a_test_through_a_relation_finds_it_in_postgresql_too(postgres, made, questions):
    with postgres.one() as url:
        asyncio.run(compare(PostgresStorage(url, REGISTRY, readers=2), made, questions))
