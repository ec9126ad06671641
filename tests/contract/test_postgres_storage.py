import asyncio
import random

import asyncpg
import orjson
import pytest

from regulars_schema.declare import Level
from regulars_schema.entities import REGISTRY
from regulars_server.storage.interface import Batch, Chosen, Fits, Order
from regulars_server.storage.layout import LIKENESS
from regulars_server.storage.migrations import STEPS
from regulars_server.storage.postgres import Address, PostgresStorage, is_laid_out, open_pool
from regulars_server.storage.postgres.bridge import Bridge, crossed
from regulars_server.storage.postgres.dialect import translated
from regulars_server.storage.postgres.migrating import migrate
from regulars_server.storage.sql.commit import Transaction
from regulars_server.storage.tables import TABLES
from regulars_sync.digest import EMPTY, add, row_hash
from regulars_sync.errors import LocalError, Refused
from regulars_sync.placement import Place
from regulars_sync.reconcile import Ruling
from tests.contract.rows import UNITS, Scribe, cid, uid
from tests.contract.storage_contract import StorageContract
from tests.support.postgres import COPIED, FAST, postgres_server

UNIT_0, UNIT_1 = f"unit:{UNITS[0]}", f"unit:{UNITS[1]}"


@pytest.fixture
async def storage(postgres_url):
    storage = PostgresStorage(postgres_url, REGISTRY)
    await storage.open()
    yield storage
    await storage.close()


@pytest.fixture
async def another(postgres_url, storage):
    """Another server on the same schema."""
    another = PostgresStorage(postgres_url, REGISTRY)
    await another.open()
    yield another
    await another.close()


@pytest.fixture
def scribe():
    return Scribe()


class TestPostgresStorage(StorageContract):
    @pytest.fixture
    async def storage(self, postgres_url):
        storage = PostgresStorage(postgres_url, REGISTRY)
        await storage.open()
        yield storage
        await storage.close()


async def ids_and_digest(storage):
    async with storage.reader(frozenset({UNIT_0})) as reader:
        found = await reader.select("customer", None, Order(), 100_000)
        digests = await reader.digests([UNIT_0])
        return [row.id for row in found], digests[UNIT_0].rows


# --- several servers ------------------------------------------------------------------------------


class Slow:
    """A pool whose statements come after random delays."""

    def __init__(self, pool, chance):
        self._pool, self._chance = pool, chance

    def __getattr__(self, name):
        return getattr(self._pool, name)

    async def acquire(self):
        return SlowConnection(await self._pool.acquire(), self._chance)

    async def release(self, connection):
        await self._pool.release(connection.inner)


class SlowConnection:
    def __init__(self, inner, chance):
        self.inner, self._chance = inner, chance

    def __getattr__(self, name):
        return getattr(self.inner, name)

    async def fetch(self, *said):
        await asyncio.sleep(self._chance.random() ** 6 / 50)
        return await self.inner.fetch(*said)

    async def execute(self, *said):
        await asyncio.sleep(self._chance.random() ** 6 / 50)
        return await self.inner.execute(*said)


async def pulled(storage, chance, is_over):
    """What a tablet holds that pulled pages of any size until all was written: scope and id -> document."""
    after, held = {UNIT_0: 0, UNIT_1: 0}, {}
    while True:
        last = is_over.is_set()
        async with storage.reader(frozenset(after)) as reader:
            page = await reader.feed(after, chance.randint(1, 9), 1 << 20)
            digests = await reader.digests(list(after))
        for part in page.rows:
            for document in part.documents:
                held[part.scope, orjson.loads(document)["id"]] = document
            for id in part.left:
                held.pop((part.scope, id), None)
        after = dict(page.reached)
        if page.more:
            continue
        for scope, digest in digests.items():
            mine = [row_hash("customer", raw) for (where, _), raw in held.items() if where == scope]
            assert add(EMPTY, mine) == digest
        if last:
            return held


@pytest.mark.parametrize("seed", range(3))
async def test_pages_cut_anywhere_hold_what_any_number_of_writers_wrote(postgres_url, seed):
    """Six writers on three servers, four readers: nothing is missed or doubled, nobody waits in a circle."""
    chance = random.Random(seed)

    async def slow_pool(address, size):
        return Slow(await open_pool(address, size), chance)

    servers = [PostgresStorage(postgres_url, REGISTRY, open_pool=slow_pool) for _ in range(3)]
    for server in servers:
        await server.open()
    seqs: list[int] = []
    is_over = asyncio.Event()

    async def write(number):
        scribe, seen = Scribe(), {}
        scribe.last = 10_000 * number
        for at in range(8):
            storage = chance.choice(servers)
            made = [scribe.customer(100 * number + at), scribe.customer(100 * number + 50 + at)]
            seen[at] = made[0].cid
            _, commit = await scribe.push(storage, made)
            seqs.append(commit.seq)
            if at % 2:  # the shared customer goes to and fro
                home = {"home_unit": UNITS[chance.randint(0, 1)]}
                async with storage.writer() as writer:
                    (row,) = (await writer.rows([("customer", uid(9_999))])).values()
                document = orjson.loads(row.documents[Level.INTERNAL])
                edit = scribe.change(
                    "customer", uid(9_999), home, "edit", {"home_unit": [v[0] for v in document["v"]]}
                )
                _, commit = await scribe.push(storage, [edit])
                seqs.append(commit.seq)

    await Scribe().push(servers[0], [Scribe().customer(9_999)])
    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        readers = [group.create_task(pulled(chance.choice(servers), chance, is_over)) for _ in range(4)]
        await asyncio.gather(*(write(number) for number in range(1, 7)))
        is_over.set()
    assert len(set(seqs)) == len(seqs)
    held = [reader.result() for reader in readers]
    assert all(one == held[0] for one in held)
    assert len({id for _, id in held[0]}) == 6 * 16 + 1
    assert await servers[0].verify_log() == 6 * (16 + 4) + 1
    for server in servers:
        await server.close()


async def test_epoch_that_another_server_drew_is_known_at_the_next_look(storage, another):
    epoch = await another.new_epoch()
    async with storage.unscoped_reader():
        assert storage.chain.epoch == epoch
    assert storage.chain == another.chain


async def test_another_server_is_told_which_scopes_a_commit_touched(storage, another, scribe):
    told: asyncio.Queue[frozenset[str] | None] = asyncio.Queue()
    seqs: list[int | None] = []

    def hear(scopes: frozenset[str] | None, seq: int | None) -> None:
        seqs.append(seq)
        told.put_nowait(scopes)

    listening = asyncio.create_task(another.listen(hear))
    async with asyncio.timeout(20):
        assert await told.get() is None, "at first whatever came before"
        await scribe.push(storage, [scribe.customer(1)])
        assert await told.get() == frozenset({UNIT_0})
        batch = Batch()
        places = [Place(f"device:{uid(i)}", "customer", uid(1), left=True) for i in range(500)]
        batch.writes.places += places
        async with storage.writer() as writer:
            await writer.commit(batch)
        assert await told.get() is None, "too many to say"
        async with storage.writer() as writer:
            await writer.commit(Batch())
        assert await told.get() == frozenset(), "for whoever waits for every commit"
        async with another.unscoped_reader() as reader:
            assert seqs == [None, *await reader.commits(0)]
    listening.cancel()
    await asyncio.wait([listening])


async def test_two_servers_that_open_an_empty_database_at_once_find_one_chain(postgres):
    url = postgres.new()
    servers = [PostgresStorage(f"{url}?schema=songhe", REGISTRY) for _ in range(3)]
    await asyncio.gather(*(server.open() for server in servers))
    assert len({server.chain.id for server in servers}) == 1
    for server in servers:
        await server.close()
    postgres.drop(url)


async def test_each_schema_is_a_chain_of_its_own(postgres, scribe):
    url = postgres.new()
    one, other = (PostgresStorage(f"{url}?schema={name}", REGISTRY) for name in ("one", "other"))
    await one.open()
    await other.open()
    await scribe.push(one, [scribe.customer(1)])
    assert (await ids_and_digest(one), await ids_and_digest(other)) == (([uid(1)], 1), ([], 0))
    assert one.chain.id != other.chain.id
    await one.close()
    await other.close()
    postgres.drop(url)


async def test_readers_do_not_wait_for_the_writer_and_keep_their_snapshot(storage, another, scribe):
    await scribe.push(storage, [scribe.customer(1)])
    async with another.unscoped_reader() as reader, storage.writer() as writer, asyncio.timeout(20):
        assert (await reader.head()).seq == 1
        await writer.commit(Batch())
        assert (await reader.head()).seq == 1
        assert await reader.knows_mark(1, (await reader.head()).mark)
        async with another.unscoped_reader() as later:
            assert (await later.head()).seq == 2


# --- cancelling -----------------------------------------------------------------------------------

STATEMENTS = 40


class Cancelling(SlowConnection):
    async def fetch(self, *said):
        self._chance.step()
        return await self.inner.fetch(*said)

    async def execute(self, *said):
        self._chance.step()
        return await self.inner.execute(*said)

    async def executemany(self, *said):
        self._chance.step()
        return await self.inner.executemany(*said)


class CancellingPool(Slow):
    async def acquire(self):
        return Cancelling(await self._pool.acquire(), self._chance)


class Countdown:
    left = 0
    task: asyncio.Task[object] | None = None

    def step(self):
        self.left -= 1
        if self.left == 0:
            assert self.task is not None
            self.task.cancel()


@pytest.mark.parametrize("statement", range(1, STATEMENTS, 2))
async def test_writer_cancelled_anywhere_leaves_no_trace(postgres_url, scribe, statement):
    countdown = Countdown()

    async def cancelling(address, size):
        return CancellingPool(await open_pool(address, size), countdown)

    storage = PostgresStorage(postgres_url, REGISTRY, open_pool=cancelling)
    await storage.open()
    countdown.left = statement
    task = countdown.task = asyncio.create_task(
        scribe.push(storage, [scribe.customer(1), scribe.customer(2)])
    )
    await asyncio.wait([task])
    countdown.left = 0
    ids, rows = await ids_and_digest(storage)
    assert len(ids) == rows == await storage.verify_log()
    assert len(ids) in {0, 2}
    assert task.cancelled() or len(ids) == 2
    await scribe.push(storage, [scribe.customer(3)])
    assert uid(3) in (await ids_and_digest(storage))[0]
    await storage.close()


async def test_a_commit_that_is_cancelled_just_before_its_end_is_undone(storage, scribe, monkeypatch):
    announce = Transaction.announce
    task: asyncio.Task[object] | None = None

    def announcing(self, batch, seq):
        assert task is not None
        task.cancel()
        self.rows("SELECT 1")  # the loop goes on meanwhile, and tells
        announce(self, batch, seq)

    monkeypatch.setattr("regulars_server.storage.postgres.storage.PostgresTransaction.announce", announcing)
    task = asyncio.create_task(scribe.push(storage, [scribe.customer(1)]))
    await asyncio.wait([task])
    assert task.cancelled()
    monkeypatch.undo()
    assert await ids_and_digest(storage) == ([], 0)
    await scribe.push(storage, [scribe.customer(2)])
    assert (await ids_and_digest(storage))[0] == [uid(2)]


# --- faults ---------------------------------------------------------------------------------------


async def test_acknowledged_commits_outlive_an_immediate_stop_and_servers_reconnect(scribe):
    with postgres_server() as server:
        storage = PostgresStorage(server.url, REGISTRY)
        await storage.open()
        number = 0

        async def push_until_refused():
            nonlocal number
            while True:
                await scribe.push(storage, [scribe.customer(number)])
                number += 1
                if number % 5 == 0:
                    is_busy.set()

        for _ in range(3):
            is_busy = asyncio.Event()
            pushing = asyncio.create_task(push_until_refused())
            await is_busy.wait()
            server.stop()
            with pytest.raises(Refused) as refused:
                await pushing
            assert (refused.value.code, refused.value.status) == ("busy", 503)
            server.start()
            async with asyncio.timeout(10):
                ids = await found_again(storage)
            assert len(ids) in {number, number + 1}
            assert await storage.verify_log() == len(ids)
            number = len(ids)
        await storage.close()


async def test_when_the_primary_dies_servers_go_on_with_its_standby_and_lose_nothing_acknowledged(scribe):
    with postgres_server(**COPIED) as primary, postgres_server(primary, **COPIED) as standby:
        connection = await asyncpg.connect(primary.url)
        await connection.execute("ALTER SYSTEM SET synchronous_standby_names='*'")
        await connection.execute("SELECT pg_reload_conf()")
        async with asyncio.timeout(20):
            sql = "SELECT count(*) FROM pg_stat_replication WHERE sync_state='sync'"
            while not await connection.fetchval(sql):
                await connection.execute("SELECT pg_sleep(0.05)")
        await connection.close()
        both = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        storage = PostgresStorage(f"postgresql://postgres@{both}/postgres", REGISTRY)
        await storage.open()
        chain, number = storage.chain, 0
        enough = asyncio.Event()

        async def push_until_refused():
            nonlocal number
            while True:
                await scribe.push(storage, [scribe.customer(number)])
                number += 1
                if number == 20:
                    enough.set()

        pushing = asyncio.create_task(push_until_refused())
        await enough.wait()
        primary.stop()
        with pytest.raises(Refused) as refused:
            await pushing
        assert refused.value.code == "busy"
        standby.promote()
        async with asyncio.timeout(5):
            ids = await found_again(storage)
        assert ids[:number] == [uid(i) for i in range(number)]
        assert len(ids) in {number, number + 1}
        await scribe.push(storage, [scribe.customer(1_000)])
        assert await storage.verify_log() == len(ids) + 1
        assert storage.chain == chain
        await storage.close()


async def found_again(storage):
    while True:
        try:
            return (await ids_and_digest(storage))[0]
        except Refused:
            await asyncio.sleep(0.05)


async def test_altered_log_is_found(storage, scribe, postgres_url):
    await scribe.push(storage, [scribe.customer(i) for i in range(5)])
    assert await storage.verify_log() == 5
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("UPDATE log SET verdict='held' WHERE pos=3")
    await connection.close()
    with pytest.raises(LocalError) as error:
        await storage.verify_log()
    assert error.value.code == "file_damaged"
    assert "log entry 3" in error.value.detail["reason"]


async def test_bytes_of_what_was_erased_are_in_no_table_of_the_database(scribe, monkeypatch):
    with postgres_server(**FAST) as server:
        storage = PostgresStorage(server.url, REGISTRY)
        await storage.open()
        secret = "belongs-to-nobody-any-more"
        await scribe.push(storage, [scribe.customer(1, notes=secret)])
        async with storage._connection(storage._writing) as connection:
            await connection.execute("CHECKPOINT")
        assert any(secret.encode() in raw for raw in table_files(server))
        async with storage.unscoped_reader():
            async with storage.writer() as writer:
                await writer.commit(
                    Batch(erased=[("customer", uid(1))], emptied={cid(1)}, at_ms=scribe.now_ms)
                )
            monkeypatch.setattr("regulars_server.storage.postgres.storage.OLDER_LOOKS_MAX", 2)
            with pytest.raises(Refused) as refused:
                await storage.scrub()
            assert refused.value.code == "busy"
        await storage.scrub()
        async with storage._connection(storage._writing) as connection:
            await connection.execute("CHECKPOINT")
        assert not any(secret.encode() in raw for raw in table_files(server))
        await storage.scrub()
        await storage.close()


def table_files(server):
    return [file.read_bytes() for file in (server.folder / "data" / "base").rglob("*") if file.is_file()]


# --- layout ---------------------------------------------------------------------------------------


@pytest.fixture
async def empty(postgres):
    """A connection to a database without anything, in a transaction."""
    url = postgres.new()
    connection = await asyncpg.connect(url)
    await connection.execute("BEGIN")
    yield connection
    await connection.close()
    postgres.drop(url)


async def upgrade(connection, steps=STEPS):
    await crossed(lambda: migrate(Bridge(connection), "public", "here", steps))


async def columns(connection, table):
    sql = "SELECT column_name FROM information_schema.columns WHERE table_name=$1"
    return [name for (name,) in await connection.fetch(sql, table)]


async def test_steps_make_exactly_the_columns_of_the_declarations(empty):
    await upgrade(empty)
    for table in TABLES.values():
        own = ["row", "id", "seq", "document", "hash"]
        assert sorted(await columns(empty, table.name)) == sorted([*own, *table.column_names])
        assert bool(await columns(empty, f"{table.name}_sensitive")) is table.sensitive


async def test_before_a_filled_schema_is_upgraded_a_copy_is_made_that_goes_on_as_it_was(postgres, scribe):
    url = postgres.new()

    async def more(step):
        connection = await asyncpg.connect(url)
        try:
            async with connection.transaction():
                await crossed(lambda: migrate(Bridge(connection), "public", "here", [*STEPS, step]))
        finally:
            await connection.close()

    def add_note(connection):
        connection.execute("ALTER TABLE customer ADD COLUMN note TEXT")

    def fail(connection):
        add_note(connection)
        raise RuntimeError

    storage = PostgresStorage(url, REGISTRY)
    await storage.open()
    await scribe.push(storage, [scribe.customer(1), scribe.fact(50, 1)])
    chain, before = storage.chain, await ids_and_digest(storage)
    await storage.close()
    copy = f"{url}?schema=public_before_{len(STEPS)}"
    with pytest.raises(RuntimeError):
        await more(fail)
    assert not await is_laid_out(Address.parse(copy))
    await more(add_note)
    with pytest.raises(LocalError, match="file_newer"):
        await PostgresStorage(url, REGISTRY).open()
    storage = PostgresStorage(copy, REGISTRY)
    await storage.open()
    assert storage.chain == chain
    assert await ids_and_digest(storage) == before
    await scribe.push(storage, [scribe.customer(2)])
    assert (await ids_and_digest(storage))[0] == [uid(1), uid(2)]
    assert await storage.verify_log() == 3
    await storage.close()
    postgres.drop(url)


@pytest.mark.parametrize("version", [1, 2])
async def test_upgrade_of_a_filled_database_keeps_and_fills_its_rows(empty, version):
    await upgrade(empty, STEPS[:version])
    said = {"name": "林芳", "birth": {"month": 5, "day": 3}, "wechat": "w", "hobbies/tea": True}
    sql = "INSERT INTO customer(row, id, seq, document, name) VALUES(7, 'x', 1, $1, '林芳')"
    await empty.execute(sql, orjson.dumps(said))
    await empty.execute("INSERT INTO customer(row, id, seq) VALUES(8, 'erased', 1)")
    await empty.execute("INSERT INTO commit_mark(seq, mark) VALUES(3, 'm')")
    await upgrade(empty)
    assert await empty.fetch("SELECT id, name, wechat FROM customer ORDER BY row") == [
        ("x", "林芳", "w" if version < 3 else None),
        ("erased", None, None),
    ]
    sql = "SELECT t.name, e.row FROM element e JOIN term t ON t.id=e.field ORDER BY t.name"
    found = await empty.fetch(sql)
    assert version > 2 or ("customer.hobbies", 7) in found
    assert version > 1 or (f"customer.{LIKENESS}", 7) in found
    assert await empty.fetchval("SELECT version FROM layout") == len(STEPS)


async def test_step_that_was_cut_off_is_undone_whole(postgres_url, storage, scribe):
    await scribe.push(storage, [scribe.customer(1)])
    connection = await asyncpg.connect(postgres_url)

    def add_half_a_note(connection):
        connection.execute("ALTER TABLE customer ADD COLUMN note TEXT")
        raise KeyboardInterrupt

    await connection.execute("BEGIN")
    with pytest.raises(KeyboardInterrupt):
        await upgrade(connection, [*STEPS, add_half_a_note])
    await connection.close()
    connection = await asyncpg.connect(postgres_url)
    assert "note" not in await columns(connection, "customer")
    assert await connection.fetchval("SELECT version FROM layout") == len(STEPS)
    await connection.close()


async def test_newer_and_foreign_schemas_are_refused_untouched(postgres):
    url = postgres.new()
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE SCHEMA newer")
    await connection.execute("CREATE TABLE newer.layout AS SELECT 99 AS version")
    await connection.execute("CREATE TABLE newer.chain(one int)")
    await connection.execute("CREATE SCHEMA foreign_")
    await connection.execute("CREATE TABLE foreign_.mine(one int)")
    for schema, code in (("newer", "file_newer"), ("foreign_", "file_foreign")):
        with pytest.raises(LocalError) as error:
            await PostgresStorage(f"{url}?schema={schema}", REGISTRY).open()
        assert error.value.code == code
    assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname='foreign_'") == 1
    await connection.close()
    postgres.drop(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h1:1,h2:2/db?schema=songhe", "postgresql://u:***@h1:1,h2:2/db (songhe)"),
        ("postgresql://h/db", "postgresql://h/db (public)"),
    ],
)
def test_address_says_where_and_never_the_password(url, shown):
    assert Address.parse(url).shown == shown


@pytest.mark.parametrize(
    "url", ["mysql://u:secret@h/db", "postgresql://u:secret@h/db?schema=a;b", "chain.db"]
)
def test_what_is_no_address_is_refused_without_telling_the_password(url):
    with pytest.raises(LocalError) as error:
        Address.parse(url)
    assert error.value.code == "setting_invalid"
    assert "secret" not in str(error.value.detail)


def test_marks_in_quotes_are_no_placeholders():
    assert translated("SELECT '?' WHERE a=? AND b<>'it''s ?' AND c=?") == (
        "SELECT '?' WHERE a=$1 AND b<>'it''s ?' AND c=$2"
    )


async def test_choices_are_found_although_the_log_keeps_bodies_that_are_no_change(storage, scribe):
    made = scribe.customer(1)
    await scribe.push(storage, [made])
    other = scribe.change("customer", uid(1), {"notes": "x"}, "edit")
    entry = scribe.entry(Ruling(other, "rejected", "change_malformed"))
    entry.body = b'{"fields": {"\\u0000": '
    async with storage.writer() as writer:
        await writer.commit(Batch(entries=[entry]))
    async with storage.unscoped_reader() as reader:
        fields = frozenset({"customer.name"})
        found = await reader.happened({"a": [uid(1)]}, 9, None, fields)
        assert [one.entry.cid for one in found["a"]] == [made.cid]
        await reader.choices(9, None, Chosen(fields=fields))


async def test_a_rule_is_planned_for_its_values_however_often_it_came(storage):
    rule = Fits("c.id IN (SELECT d.customer FROM deed d WHERE d.kind = ?)", ("purchase",))
    told = (
        "SELECT sum(custom_plans), sum(generic_plans) FROM pg_prepared_statements"
        " WHERE statement LIKE 'SELECT count(*)%deed d%'"
    )
    plans = []
    for _ in range(8):
        async with storage.unscoped_reader() as reader:
            assert await reader.count("customer", rule) == 0
            plans = await reader._run(lambda: reader._snapshot.rows(told))
    assert plans == [(8, 0)]
    workers = "SELECT current_setting('max_parallel_workers_per_gather')"
    async with storage.unscoped_reader() as reader:
        (before,) = await reader._run(lambda: reader._snapshot.rows(workers))
        await reader.count("customer", rule)
        assert await reader._run(lambda: reader._snapshot.rows(workers)) == [("0",)] != [before]
