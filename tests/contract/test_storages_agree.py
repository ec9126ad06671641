"""Memory is the oracle: SQLite gives the same answers to random questions about random histories.

And a scoped reader answers as a database that holds only the rows of its scopes.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regulars_schema.declare import Level
from regulars_schema.entities import REGISTRY
from regulars_server.storage.interface import All, Any_, Batch, Chosen, Not, Order, Storage
from regulars_server.storage.interface import Test as Probe
from regulars_server.storage.layout import column_values, element_keys, level_of
from regulars_server.storage.memory import MemoryStorage
from regulars_server.storage.postgres import PostgresStorage
from regulars_server.storage.search_index import SEARCHED
from regulars_server.storage.sqlite import SqliteStorage, inline
from regulars_server.storage.tables import TABLES
from regulars_sync.document import decode
from regulars_sync.history import tell
from regulars_sync.ids import link_id
from regulars_sync.placement import Place, Writes
from tests.contract.rows import NAMES, UNITS, Scribe, searched, uid

EXAMPLES = 60
CUSTOMERS = range(6)
SCOPES = [
    *(f"unit:{unit}{level}" for unit in UNITS[:3] for level in ("", "/sensitive")),
    "chain",
    f"device:{uid(9)}",
]
PHONES = ["138 0013 8000", "13800138000", "12", "139-1111-2222"]

customer = st.sampled_from(CUSTOMERS)
unit = st.sampled_from([None, 0, 1, 2])
fields = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(NAMES),
        "home_unit": st.sampled_from(UNITS[:3]),
        "member_no": st.sampled_from([None, "", "A1", "a1", "B%"]),
        "archived": st.booleans(),
        "gender": st.sampled_from([None, "female", "male"]),
        "belief": st.sampled_from([None, "x", "y"]),
        "tags/vip": st.booleans(),
        "tags/new": st.booleans(),
        **{f"phones/{phone}": st.booleans() for phone in PHONES},
    },
).filter(bool)
step = st.one_of(
    st.tuples(st.just("move"), customer, st.sampled_from(UNITS[:3]), st.none()),
    st.tuples(
        st.just("edit"),
        customer,
        st.just(True),
        st.fixed_dictionaries({"tags/vip": st.booleans(), "phones/12": st.booleans()}),
    ),
    st.tuples(st.just("create"), customer, unit, fields),
    st.tuples(st.just("edit"), customer, st.booleans(), fields),
    st.tuples(st.just("fact"), st.integers(50, 58), customer, st.integers(0, 3)),
    st.tuples(st.just("link"), customer, customer, st.booleans()),
    st.tuples(st.just("product"), st.integers(70, 72), st.sampled_from(NAMES), st.booleans()),
)
BEGINNING = [
    ("create", i, i % 3, {"phones/12": i > 2, "phones/138 0013 8000": i < 3, "belief": "x"})
    for i in CUSTOMERS
]
history = st.lists(st.lists(step, min_size=1, max_size=6), min_size=1, max_size=6)

text = st.sampled_from([*NAMES, "A1", "a", "", "林", "%", "女", *UNITS[:2], "female", uid(1)])
scalar = st.sampled_from(["name", "member_no", "gender", "home_unit", "kind", "id"])
test = st.one_of(
    st.builds(Probe, scalar, st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"]), text | st.none()),
    st.builds(Probe, scalar, st.sampled_from(["starts", "contains"]), text),
    st.builds(Probe, scalar, st.just("in"), st.lists(text | st.none(), max_size=3)),
    st.builds(Probe, st.just("archived"), st.sampled_from(["eq", "ne", "le"]), st.booleans() | st.none()),
    st.builds(Probe, st.just("tags"), st.just("has"), st.sampled_from(["vip", "new", "no"])),
    st.builds(
        Probe,
        st.just("tags"),
        st.just("overlaps"),
        st.lists(st.sampled_from(["vip", "new", "no"]), max_size=3),
    ),
    st.builds(Probe, st.sampled_from(["tags", "phones", "name", "gender"]), st.just("exists"), st.booleans()),
    st.builds(
        Probe,
        st.just("*"),
        st.just("match"),
        st.sampled_from(
            ["lin", "138-0013-8000", "138 0013", "LF", "林 8000", "ann l", "b%", "linfanh", "annlea"]
        )
        .map(searched)
        .flatmap(lambda found: st.sampled_from([found.strict, found.whole, found.loose or found.strict])),
    ),
)
where = st.none() | st.recursive(
    test,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Any_, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=5,
)
order = st.builds(Order, st.sampled_from(["id", "name", "gender", "archived", "member_no"]), st.booleans())
key = st.none() | st.tuples(st.integers(0, 5), st.integers(0, 5))
scopes = st.frozensets(st.sampled_from(SCOPES)).map(
    lambda chosen: frozenset({*chosen, *(scope.partition("/")[0] for scope in chosen)})
)
question = st.tuples(where, order, st.integers(0, 4), key, st.booleans(), scopes)


def changes_of(scribe: Scribe, steps, latest):
    """Changes as a device would make them: an edit has seen the latest value of a path, or nothing."""
    for kind, one, two, three in steps:
        if kind == "create":
            made = scribe.customer(one, two, **three)
        elif kind == "edit":
            seen = {path: latest[one, path] for path in three if two and (one, path) in latest}
            made = scribe.change("customer", uid(one), three, "edit", seen)
        elif kind == "move":
            seen = {"home_unit": latest.get((one, "home_unit"), [])}
            made = scribe.change("customer", uid(one), {"home_unit": two}, "edit", seen)
        elif kind == "fact":
            made = scribe.fact(one, two, three)
        elif kind == "link":
            ends = (uid(one), uid(two), "family")
            values = dict(zip(("from_customer", "to_customer", "kind"), ends, strict=True))
            made = scribe.change("link", link_id(*ends), {**values, "active": three})
        else:
            made = scribe.change("product", uid(one), {"name": two, "archived": three})
        for path in made.fields:
            latest[one, path] = [*latest.get((one, path), []), made.cid]
        yield made


async def only(storage: Storage, mine: frozenset[str]) -> MemoryStorage:
    """A storage that holds only what stands in these scopes."""
    part = MemoryStorage(REGISTRY)
    await part.open()
    writes = Writes()
    async with storage.writer() as writer:
        keys = [
            (e.name, found.id)
            for e in REGISTRY.entities
            for found in await writer.select(e.name, None, Order(), 999)
        ]
        for row in (await writer.rows(keys)).values():
            levels = {level_of(s) for s, left in row.places.items() if not left and s in mine}
            for level in levels:
                writes.documents.append((row.entity, row.id, level, row.documents[level]))
            for scope, left in row.places.items():
                if scope in mine and not left:
                    writes.places.append(Place(scope, row.entity.name, row.id, left=False))
    async with part.writer() as writer:
        await writer.commit(Batch(writes))
    return part


async def pages(storage: Storage, mine: frozenset[str], after, rows_max, bytes_max):
    result = []
    async with storage.reader(mine) as reader:
        while True:
            page = await reader.feed(after, rows_max, bytes_max)
            result.append(page)
            after = dict(page.reached)
            assert page.rows or not page.more
            if not page.more:
                return result


async def bucket_rows(storage: Storage, scope: str, buckets):
    async with storage.unscoped_reader() as reader:
        return await reader.bucket_rows(scope, buckets)


def plain(found):
    return [(f.id, dict(f.documents), f.key) for f in found]


async def compare(other, steps, questions, rows_max, bytes_max, from_seq):
    memory = MemoryStorage(REGISTRY)
    storages: list[tuple[Storage, Scribe, dict[Any, Any]]]
    storages = [(memory, Scribe(), {}), (other, Scribe(), {})]
    await memory.open()
    await other.open()
    try:
        for part in [BEGINNING, *steps]:
            outcomes = []
            for storage, scribe, latest in storages:
                made = list(changes_of(scribe, part, latest))
                rulings, commit = await scribe.push(storage, made)
                outcomes.append(([(r.verdict, r.code, r.waits) for r in rulings], commit.seq))
            assert outcomes[0] == outcomes[1]
        assert await memory.verify_log() == await other.verify_log()
        for asked in questions:
            await ask(memory, other, *asked)
        everything = frozenset(SCOPES)
        after = dict.fromkeys(SCOPES, from_seq)
        assert await pages(memory, everything, after, rows_max, bytes_max) == await pages(
            other, everything, after, rows_max, bytes_max
        )
        await compare_writers(memory, other)
        await compare_stories(memory)
        for scope in SCOPES:
            some = range(0, 256, 3)
            assert await bucket_rows(memory, scope, some) == await bucket_rows(other, scope, some)
    finally:
        await other.close()


async def ask(memory, other, where_, order_, limit, key_, backwards, mine):
    part = await only(memory, mine)
    for scoped in (False, True):
        answers: list[list[Any]] = []
        bounds = None
        for storage in (memory, other, *((part,) if scoped else ())):
            is_part = storage is part
            opened = storage.reader(mine) if scoped and not is_part else storage.unscoped_reader()
            async with opened as reader:
                everyone = await reader.select("customer", None, order_, 99)
                if key_ and bounds is None and everyone:
                    bounds = sorted(i % len(everyone) for i in key_)
                after, before = (everyone[i].key for i in bounds) if bounds else (None, None)
                answers.append(
                    [
                        plain(
                            await reader.select("customer", where_, order_, limit, after, before, backwards)
                        ),
                        await reader.count("customer", where_),
                        sorted(plain((await reader.find("customer", map(uid, CUSTOMERS))).values())),
                        await reader.equal_keys(99),
                        plain(
                            await reader.select(
                                "interaction", Probe("party", "has", uid(1)), Order("at", True), 9
                            )
                        ),
                        plain(await reader.select("product", None, Order("name"), 9)),
                        await reader.digests(sorted(mine)),
                        {scope: await reader.buckets(scope) for scope in sorted(mine)},
                    ]
                )
                if not is_part:
                    answers[-1].append(await histories_of(reader))
        assert answers[0] == answers[1]
        if scoped:
            assert answers[0][:-1] == answers[2]


async def histories_of(reader):
    found = [await reader.history("customer", uid(i)) for i in CUSTOMERS]
    choices = [
        await reader.choices(99, None, Chosen(fields=fields))
        for fields in (None, frozenset({"customer.phones"}), frozenset({"customer.name", "product.name"}))
    ]
    cids = [f"{i:032x}" for i in range(0, 60, 3)]
    return (
        found,
        choices,
        await reader.accepted(cids),
        await reader.open_entries(99),
        await reader.open_entries(2, after=3),
    )


async def compare_stories(storage):
    """What the log tells of a row ends where the row stands."""
    async with storage.unscoped_reader() as reader:
        for entity in ("customer", "interaction", "link", "product"):
            declared = REGISTRY.get(entity)
            for found in await reader.select(entity, None, Order(), 99):
                story = tell(declared, await reader.history(entity, found.id))
                assert story.registers == decode(found.documents.values()), (entity, found.id)


async def compare_writers(memory, other):
    answers = []
    for storage in (memory, other):
        async with storage.writer() as writer:
            keys = [("customer", uid(i)) for i in CUSTOMERS] + [("interaction", uid(51)), ("nothing", uid(1))]
            rows = await writer.rows(keys)
            cids = [f"{i:032x}" for i in range(60)]
            dependents = await writer.dependents([uid(1), uid(2)])
            answers.append(
                (
                    {key: (row.documents, row.places) for key, row in rows.items()},
                    await writer.entries(cids),
                    sorted((row.entity.name, row.id, row.documents) for row in dependents),
                    await writer.members(cids[:30]),
                    await writer.waiting([f"row:customer:{uid(i)}" for i in CUSTOMERS] + ["person"]),
                    (await writer.head()).seq,
                    (await writer.head()).stamp_max,
                )
            )
    assert answers[0] == answers[1]


asked = given(
    steps=history,
    questions=st.lists(question, min_size=1, max_size=4),
    rows_max=st.integers(1, 9),
    bytes_max=st.sampled_from([1, 500, 1500, 1 << 20]),
    from_seq=st.integers(0, 12),
)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@asked
def test_sqlite_answers_as_memory_does(steps, questions, rows_max, bytes_max, from_seq):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.db"
        sqlite = SqliteStorage(path, REGISTRY, connect=inline, readers=2)
        asyncio.run(compare(sqlite, steps, questions, rows_max, bytes_max, from_seq))
        require_laid_out(path)


def require_laid_out(path):
    """What stands beside a document follows from it alone, whatever the row said before."""
    connection = sqlite3.connect(path)
    elements = {
        (*named.split("."), key, row)
        for named, key, row in connection.execute(
            "SELECT t.name, e.key, e.row FROM element e JOIN term t ON t.id = e.field"
        )
    }
    for table in TABLES.values():
        names = ", ".join(f'"{name}"' for name in table.column_names)
        found = connection.execute(f"SELECT row, document{', ' * bool(names)}{names} FROM {table.name}")
        for row, document, *columns in found:
            values = orjson.loads(document)
            assert columns == column_values(table, REGISTRY.by_name[table.name], values)
            keys = {(table.name, field, key, row) for field, key in element_keys(table, values)}
            assert {found for found in elements if (found[0], found[3]) == (table.name, row)} == keys
        if table.search:
            index = SEARCHED[table.name]
            connection.execute(f"INSERT INTO {index}({index}, rank) VALUES('integrity-check', 1)")
    connection.close()


@settings(max_examples=EXAMPLES // 4, deadline=None, suppress_health_check=list(HealthCheck))
@asked
def test_postgres_answers_as_memory_does(postgres, steps, questions, rows_max, bytes_max, from_seq):
    with postgres.one() as url:
        storage = PostgresStorage(url, REGISTRY, readers=2)
        asyncio.run(compare(storage, steps, questions, rows_max, bytes_max, from_seq))


def test_levels_of_the_scopes_asked_for():
    assert {level_of(scope) for scope in SCOPES} == set(Level)
