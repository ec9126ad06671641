# ruff: noqa: E501 (queries)
"""Whatever a branch asks or does, its answers are those of a world in which no other branch exists.

Two chains: in both Nanjing Road does the same at the same times; in one of them Orchard does as much in
between, in the same spelling of everything. (Units, staff, devices and segments are the chain's own and
known to every branch, so Orchard and its tablet are there in both.) Then operations drawn from the schema are sent to both as
Nanjing Road, with Orchard's ids, cids and words among their arguments. Answers, statuses and costs are
equal, once cursors, versions and seqs stand for their rank, and so is the number of SQL statements of
all that writes nothing.

REGULARS_TEST_QUERIES says how many (the whole is 10,000), REGULARS_TEST_SEED which. Every tenth is a mutation.
`customerLookup` is left out: it is meant to find the customers of other branches, by an exact key.
"""

from __future__ import annotations

import os
import random
import re
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

from regulars_schema.entities import REGISTRY
from regulars_server.app import DATABASE
from regulars_server.graph.schema import build_schema
from regulars_server.storage.sqlite import SqliteStorage, inline
from regulars_server.storage.sqlite.connection import Driver
from regulars_sync.ids import made_id
from tests.support.chain import NOON_MS, Chain, new_chain
from tests.support.graph import Graph, Tablet, caller
from tests.support.queries import Known, Queries

SEED = 20_261_122
DRAWN = int(os.environ.get("REGULARS_TEST_SEED", SEED))
OPERATIONS = int(os.environ.get("REGULARS_TEST_QUERIES", "300"))
NOBODY = "01a20038-0101-7724-a4c3-597164c48aff"
LEFT_OUT = ("customerLookup",)
RANKED = {"cursor", "startCursor", "endCursor", "version"}
ALIAS = re.compile(r"__\d+$")
PHONES = ["138 0013 8000", "139 0013 9000"]
STEP_MS = 10_000


class Twin(NamedTuple):
    """What is called differently in the two worlds and means the same."""

    alone: str
    beside: str


class World:
    """One chain. Time and chance are set anew for each step, so what one party does moves no other's."""

    def __init__(self) -> None:
        self._random = random.Random(SEED)
        self.step = 0
        self.statements = 0

    def entropy(self, size: int) -> bytes:
        return self._random.randbytes(size)

    async def connect(self, opener: Callable[[], sqlite3.Connection]) -> Driver:
        def counted() -> sqlite3.Connection:
            connection = opener()
            connection.set_trace_callback(self._count)
            return connection

        return await inline(counted)

    def _count(self, statement: str) -> None:
        # Not those that SQLite's own search index asks of its tables: they tell how its pages lie.
        self.statements += not statement.startswith("--")

    def begin(self, step: int, whose: str) -> None:
        self._random = random.Random(f"{SEED} {step} {whose}")
        self.chain.clock.ms = NOON_MS + STEP_MS * step + (5_000 if whose == "near" else 0)
        self.statements = 0

    async def open(self, stack: AsyncExitStack, folder: Path) -> None:
        storage = SqliteStorage(folder / DATABASE, REGISTRY, self.entropy, readers=1, connect=self.connect)
        self.chain: Chain = await stack.enter_async_context(
            new_chain(folder, storage, entropy=self.entropy, page_rows_max=100)
        )


class Party:
    """A branch at work: the same deeds whoever does them, so that everything of one looks like the other's."""

    def __init__(self, world: World, unit: str) -> None:
        self.world, self.unit = world, unit
        self.customers: list[str] = []
        self.visits: list[str] = []
        self.others: list[str] = []

    async def come(self) -> None:
        chain = self.world.chain
        self.manager = await caller(chain, "manager", self.unit)
        self.office = await caller(chain, "admin", sensitive=True)
        self.tablet = await Tablet(chain, self.manager).pair(self.unit)
        self.tablet.incarnation = self.unit[0].encode().hex() * 8
        self.others += [self.tablet.device, chain.units[self.unit]]

    async def register(self, at: int) -> None:
        """A customer with every kind of field, a visit, a correction."""
        given: dict[str, Any] = {
            "tags": ["vip", "a"][: at % 3],
            "phones": PHONES[at % 2 : at % 2 + 1],
            "notes": "é",
            "stage": None,
        }
        if at == 3:
            given["homeUnitId"] = self.world.chain.units[self.unit]
        given.pop("stage")
        customer = await self.manager.customer(["林芳", "C1", "王 Wang", "C3"][at % 4], **given)
        self.customers.append(customer)
        self.visits.append(await self.manager.visit(customer, note="x", at=f"2026-11-{10 + at:02}T10:00:00Z"))

    async def edit(self, at: int) -> None:
        query = "mutation ($id: UUID!, $set: CustomerEdit!, $k: String!) { customerUpdate(idempotencyKey: $k, id: $id, set: $set) { __typename } }"
        await self.manager.send(
            query, id=self.customers[at], set={"name": f"N{at}", "notes": None}, k=f"e{at}"
        )

    async def link(self) -> None:
        query = 'mutation ($a: UUID!, $b: UUID!) { linkSet(idempotencyKey: "l", kind: FAMILY, fromCustomerId: $a, toCustomerId: $b) { __typename ... on LinkSaved { link { id } } } }'
        done = await self.manager.ask(query, a=self.customers[0], b=self.customers[2])
        self.others.append(done["linkSet"]["link"]["id"])

    async def push(self) -> None:
        """From the tablet: one that passes, one that is held, one that is rejected."""
        unit = self.unit[:1].lower()
        marks = {"n": "abc", "o": "def"}[unit]
        self.cids = [mark * 32 for mark in marks]
        await self.tablet.push(self.tablet.change({"name": "C1"}, self.cids[0]))
        await self.tablet.push(self.tablet.change({"name": " "}, self.cids[1]))
        await self.tablet.push(self.tablet.change({"name": "H", "nothing": 1}, self.cids[2]))

    async def know(self, at: int) -> None:
        """What is known of a customer beside its card: a task, an assignment, a consent, a supplier."""
        customer, chain = self.customers[at], self.world.chain
        rows: dict[str, dict[str, Any]] = {
            "task": {"plan": "verify", "customer": customer, "subject": "card", "status": "open"},
            "assignment": {"customer": customer, "scheme": "personality", "value": "expert"},
            "supplier": {"customer": customer, "name": "Oak & Co", "satisfaction": 1 + at % 5},
        }
        for entity, fields in rows.items():
            id = made_id(entity, *(fields[name] for name in REGISTRY.get(entity).made_of))
            await chain.write("create", entity, id, fields)
        consent = {"customer": customer, "purpose": "marketing", "channel": "sms", "granted": at % 2 == 0}
        at_noon = {"at": f"2026-11-{10 + at:02}T12:00:00.000Z"}
        await chain.write("create", "consent", made_id("test", customer), {**consent, **at_noon})

    async def merge(self) -> None:
        """Head office says that two of this branch's customers are one."""
        query = "mutation ($a: UUID!, $b: UUID!, $k: String!) { identityDecide(idempotencyKey: $k, input: { one: $a, other: $b, decision: SAME }) { __typename } }"
        await self.office.send(query, a=self.customers[1], b=self.customers[3], k=f"m{self.unit}")

    def ids(self) -> list[str]:
        return [*self.customers, *self.visits, *self.others]

    def deeds(self) -> list[Callable[[], Any]]:
        def one(at: int) -> Callable[[], Any]:
            return lambda: self.register(at)

        def two(at: int) -> Callable[[], Any]:
            return lambda: self.edit(at)

        def three(at: int) -> Callable[[], Any]:
            return lambda: self.know(at)

        registered = [one(at) for at in range(6)]
        known = [three(at) for at in range(5)]
        deeds = [two(0), two(4), *known, self.link, self.push, self.merge, two(1), two(0)]
        return [self.come, *registered, *deeds]


class Ranks:
    """Pairs of what the two worlds call one thing, of one rank in each."""

    def __init__(self) -> None:
        self.beside: dict[str, str] = {}
        self.alone: dict[str, str] = {}

    def same(self, one: str, other: str) -> bool:
        return self.beside.setdefault(one, other) == other and self.alone.setdefault(other, one) == one

    def in_order(self) -> None:
        """Of two versions, or places in a log, the later is the later in both worlds."""
        for form in (re.compile(r"[0-9a-f]{16}\.(\d+)"), re.compile(r"(\d+)")):
            pairs = [(form.fullmatch(a), form.fullmatch(b)) for a, b in self.beside.items()]
            numbers = sorted((int(a[1]), int(b[1])) for a, b in pairs if a and b)
            assert [b for _, b in numbers] == sorted(b for _, b in numbers)
            assert numbers, "there was nothing to compare"


def differs(one: Any, other: Any, ranks: Ranks, known: Known, field: str = "") -> str | None:
    """Where two answers differ, None when they are equal."""
    if isinstance(one, dict) and isinstance(other, dict):
        if list(one) != list(other):
            return f"{field}: {list(one)} against {list(other)}"
        for key, value in one.items():
            found = differs(value, other[key], ranks, known, ALIAS.sub("", key))
            if found is not None:
                return found
        return None
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return f"{field}: {len(one)} against {len(other)}"
        return next(
            (d for a, b in zip(one, other, strict=True) if (d := differs(a, b, ranks, known, field))), None
        )
    if field in RANKED and isinstance(one, str) and isinstance(other, str):
        pool = known.versions if field == "version" else known.cursors
        if len(pool) < 2_000 and one not in ranks.beside:
            pool.append(Twin(one, other))
        return None if ranks.same(one, other) else f"{field}: {one!r} against {other!r}"
    if (
        field == "cid"
        and isinstance(one, str)
        and one == other
        and len(known.cids) < 200
        and one not in known.cids
    ):
        known.cids.append(one)
    return None if one == other and type(one) is type(other) else f"{field}: {one!r} against {other!r}"


def of_world(value: Any, at: int) -> Any:
    """The value with each twin by its name in this world."""
    if isinstance(value, Twin):
        return value[at]
    if isinstance(value, dict):
        return {key: of_world(inner, at) for key, inner in value.items()}
    if isinstance(value, list):
        return [of_world(inner, at) for inner in value]
    return value


async def test_a_branch_can_not_tell_whether_another_one_exists(tmp_path: Path):
    async with AsyncExitStack() as stack:
        alone, beside = World(), World()
        for name, world in (("alone", alone), ("beside", beside)):
            (tmp_path / name).mkdir()
            await world.open(stack, tmp_path / name)
        assert alone.chain.units == beside.chain.units
        near = [Party(world, "Nanjing Road") for world in (alone, beside)]
        far = Party(beside, "Orchard")
        step = 0
        idle = Party(alone, "Orchard")
        for mine, same, theirs in zip(near[0].deeds(), near[1].deeds(), far.deeds(), strict=True):
            step += 1
            beside.begin(step, "far")
            await theirs()
            if step == 1:
                alone.begin(step, "far")
                await idle.come()
            for world, deed in ((alone, mine), (beside, same)):
                world.begin(step, "near")
                await deed()
        assert near[0].ids() == near[1].ids()
        assert near[0].cids == near[1].cids

        known = Known(
            texts=["林", "lin", "C1", "C", "0013", "N0", "wang", "", "zzz", "%"],
            cids=[*near[0].cids, *far.cids, "0" * 32],
        )
        ids = [*near[0].ids(), *far.ids(), NOBODY]
        queries = Queries(build_schema()._schema, DRAWN, ids, known)
        ranks, seen = Ranks(), Counter[str]()
        callers = [(alone, near[0].manager), (beside, near[1].manager)]
        for i in range(OPERATIONS):
            asked = queries.mutation(LEFT_OUT) if i % 10 == 9 else queries.query()
            answers: list[dict[str, Any]] = []
            statements: list[int] = []
            for at, (world, graph) in enumerate(callers):
                world.begin(step + 1 + i, "near")
                answers.append(await sent(graph, asked.query, of_world(asked.variables, at)))
                statements.append(world.statements)
            difference = differs(answers[0], answers[1], ranks, known)
            assert difference is None, (DRAWN, i, difference, asked)
            assert statements[0] == statements[1], (DRAWN, i, statements, asked)
            count(seen, asked.root, answers[0])
        ranks.in_order()
        schema = build_schema()._schema
        assert schema.query_type is not None
        assert schema.mutation_type is not None
        if OPERATIONS >= 300:
            assert set(schema.query_type.fields) <= set(seen), "a root was never asked"
            assert seen["answered"] > OPERATIONS / 2, seen
            assert seen["rows"] > OPERATIONS / 5, seen
        if OPERATIONS >= 3_000:
            assert set(schema.mutation_type.fields) - set(LEFT_OUT) <= set(seen), "a mutation was never tried"
        left = await sent(near[0].manager, "{ customers(merged: true, first: 250) { nodes { id } } }", {})
        assert any(node["id"] in near[0].customers for node in left["data"]["customers"]["nodes"])


async def sent(graph: Graph, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    body = {"query": query, "variables": variables}
    headers = {"authorization": f"Bearer {graph.token}"}
    answer = await graph.http.post("/graphql", json=body, headers=headers)
    said: dict[str, Any] = answer.json()
    return {"status": answer.status_code, **said}


def is_done(query: str, answer: dict[str, Any]) -> bool:
    """Whether something was written: then head office's matching looks at everybody behind the commit."""
    if not query.startswith("mutation") or "errors" in answer:
        return False
    return any(done["__typename"] not in ("Refusal", "VersionConflict") for done in answer["data"].values())


def count(seen: Counter[str], root: str, answer: dict[str, Any]) -> None:
    seen[root] += 1
    seen["answered"] += "errors" not in answer
    types = set(re.findall(r"'__typename': '(\w+)'", str(answer.get("data"))))
    seen["rows"] += any(not type_.endswith(("Query", "Connection", "PageInfo", "Refusal")) for type_ in types)
