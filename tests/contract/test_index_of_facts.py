"""The index of facts that count is a function of what was accepted, in every storage, however it came."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regulars_schema.entities import REGISTRY
from regulars_schema.rules.metrics import summed
from regulars_server.admission import Admission
from regulars_server.authors import SERVER, Posting, device_author
from regulars_server.hub import Hub
from regulars_server.knowledge.checking import Checking
from regulars_server.knowledge.indexing import differing
from regulars_server.knowledge.loading import known
from regulars_server.knowledge.world import Worlds
from regulars_server.storage.interface import Order, Storage
from regulars_server.storage.memory import MemoryStorage
from regulars_server.storage.postgres import PostgresStorage
from regulars_server.storage.sqlite import SqliteStorage, inline
from regulars_sync.changes import Change, encode
from regulars_sync.ids import identity_id
from regulars_sync.protocol import PushRequest
from tests.contract.rows import START_MS, UNITS, Scribe, uid
from tests.support.released import V2, unpack

CUSTOMERS = (1, 2, 3)
PRODUCTS = (11,)
FACTS = (21, 22, 23, 24, 25)
PAIRS = ((1, 2), (1, 3), (2, 3))
DEVICE = uid(90)
INCARNATION = "0" * 16
NOW_MS = START_MS + 1_000_000
LOOK = "look"
Step = int | tuple[int, int] | str
STEPS: list[Step] = [*CUSTOMERS, *PRODUCTS, *FACTS, *PAIRS]


@dataclass(frozen=True)
class Made:
    """What there is to hear, each change with its own bytes for ever."""

    place: list[Change]
    brought: dict[Step, Change]
    """Customers and products, by head office."""
    facts: dict[Step, Change]
    """Of a tablet; any of them may correct or void any other."""
    decided: dict[Step, list[Change]]
    """What head office says of two customers, one word after the other."""


@st.composite
def changes(draw: st.DrawFn) -> Made:
    """Stamps of facts are in any order."""
    scribe = Scribe()
    unit = {"name": "x", "kind": "branch", "country": "CN", "time_zone": "Asia/Shanghai", "currency": "CNY"}
    place = [
        scribe.change("unit", UNITS[0], unit),
        scribe.change("device", DEVICE, {"unit": UNITS[0], "name": "x"}),
    ]
    brought: dict[Step, Change] = {id: scribe.customer(id) for id in CUSTOMERS}
    for id in PRODUCTS:
        brought[id] = scribe.change("product", uid(id), {"name": "x", "category": f"c{id}"})
    facts: dict[Step, Change] = {}
    for id, stamp in zip(FACTS, draw(st.permutations(range(len(FACTS)))), strict=True):
        roles = st.sampled_from(["principal", "payer", "companion"])
        named = draw(st.lists(st.sampled_from(CUSTOMERS), max_size=2, unique=True))
        said: dict[str, Any] = {
            "kind": draw(st.sampled_from(["purchase", "return", "visit"])),
            "at": f"2026-11-{draw(st.integers(1, 4)):02}T00:00:00.000Z",
            "party": [{"customer": uid(customer), "role": draw(roles)} for customer in named],
            "lines": [
                {"product": uid(11), "amount": amount, "currency": "CNY"}
                for amount in draw(st.lists(st.integers(1, 9), max_size=2))
            ],
        }
        former = draw(st.sampled_from([None, *FACTS]))
        if former not in (None, id):
            said |= {"supersedes": uid(former), "void": draw(st.booleans())}
        made = scribe.change("interaction", uid(id), said)
        facts[id] = msgspec.structs.replace(made, stamp=(START_MS + stamp) * 1_000)
    decided: dict[Step, list[Change]] = {}
    for pair in PAIRS:
        one, other = map(uid, pair)
        words = [{"decision": draw(st.sampled_from(["same", "not_same"]))} for _ in range(3)]
        id_ = identity_id(one, other)
        said = {"one": one, "other": other, **words[0]}
        decided[pair] = [scribe.change("identity", id_, said)]
        for word in words[1:]:
            seen = {"decision": [decided[pair][-1].cid]}
            decided[pair].append(scribe.change("identity", id_, word, "edit", seen))
    return Made(place, brought, facts, decided)


class Server:
    """Takes changes, looks at whoever is due, and says what it knows."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        entropy = random.Random(1).randbytes
        self.admission = Admission(storage, lambda: NOW_MS, entropy)
        self.checking = Checking(storage, self.admission, Worlds(), Hub(), lambda: NOW_MS, entropy)

    async def take(self, made: Made, steps: Iterable[Step]) -> None:
        numbers: dict[Step, int] = {}
        decided = {pair: iter(words) for pair, words in made.decided.items()}
        await self.admission.write(SERVER, [[change] for change in made.place])
        tablet = device_author(await self.admission.tree(), DEVICE, Posting(UNITS[0]), sensitive=True)
        for step in steps:
            if step == LOOK:
                await self.checking.drain()
            elif step in made.facts:
                n = numbers.setdefault(step, len(numbers) + 1)
                raw = msgspec.Raw(encode(made.facts[step]))
                await self.admission.push(tablet, PushRequest(INCARNATION, n, REGISTRY.version, [raw]))
            elif change := made.brought.get(step) or next(decided[step], None):
                ((ruling,),) = await self.admission.write(SERVER, [[change]], keep_going=True)
                assert ruling.verdict == "applied"

    async def says(self) -> list[Any]:
        """When everybody was looked at: the index, what divides all by it, and the sums of each person."""
        await self.checking.drain()
        ids = [uid(id) for id in CUSTOMERS]
        async with self.storage.unscoped_reader() as reader:
            assert await differing(reader, NOW_MS) == []
            tree = await self.admission.tree(reader)
            persons = await known(reader, ids, tree=tree, as_of_ms=NOW_MS, sensitive=True)
            sums = {id: summed(person.deeds, "CNY") for id, person in persons.items()}
            return [await reader.counted(ids), await reader.cuts("2026-11-02", "2026-12"), sums]


async def told(storage: Storage, made: Made, steps: Iterable[Step]) -> list[Any]:
    await storage.open()
    try:
        server = Server(storage)
        await server.take(made, steps)
        return await server.says()
    finally:
        await storage.close()


def once(steps: Iterable[Step]) -> list[Step]:
    """Each of these changes once, in the order in which a chain would have come about."""
    times = Counter(steps)
    return [step for step in STEPS for _ in range(times[step] if step in PAIRS else times[step] > 0)]


def whole(steps: Iterable[Step]) -> list[Step]:
    """Who is one with whom is said of customers who are there."""
    told: list[Step] = []
    for step in steps:
        told += [*step, step] if isinstance(step, tuple) else [step]
    return told


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """Everything in any order, some of it twice, and somebody who looks now and then."""
    more: list[Step] = [*FACTS, *PAIRS, *PAIRS]
    again = draw(st.lists(st.sampled_from(more), max_size=9))
    return whole(draw(st.permutations([*CUSTOMERS, *PRODUCTS, *FACTS, *again, *[LOOK] * 8])))


HISTORIES = given(changes(), histories())
HOWEVER = settings(suppress_health_check=list(HealthCheck), report_multiple_bugs=False)


async def test_a_filled_database_of_version_2_has_its_index_when_everybody_was_looked_at(tmp_path):
    unpack("end.db", tmp_path / "chain.db", V2)
    storage = SqliteStorage(tmp_path / "chain.db", REGISTRY)
    await storage.open()
    try:
        async with storage.unscoped_reader() as reader:
            ids = [row.id for row in await reader.select("customer", None, Order(), 100)]
            assert await reader.unlooked(ids, NOW_MS) == set(ids)
            assert await reader.counted(ids) == {}
        await Server(storage).checking.drain()
        async with storage.unscoped_reader() as reader:
            assert await reader.unlooked(ids, NOW_MS) == set()
            assert sum(map(len, (await reader.counted(ids)).values())) == 5
            assert await differing(reader, NOW_MS) == []
    finally:
        await storage.close()


@HISTORIES
@settings(HOWEVER, max_examples=30)
def test_any_order_and_repetition_gives_the_index_of_those_who_heard_each_once(made, steps):
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            sqlite = SqliteStorage(Path(folder) / "chain.db", REGISTRY, readers=1, connect=inline)
            plain = await told(MemoryStorage(REGISTRY), made, once(steps))
            assert await told(MemoryStorage(REGISTRY), made, steps) == plain
            assert await told(sqlite, made, steps) == plain

    asyncio.run(run())


@HISTORIES
@settings(HOWEVER, max_examples=5)
def test_on_postgres_too(postgres, made, steps):
    async def run(url: str) -> None:
        plain = await told(MemoryStorage(REGISTRY), made, once(steps))
        assert await told(PostgresStorage(url, REGISTRY), made, steps) == plain

    with postgres.one() as url:
        asyncio.run(run(url))
