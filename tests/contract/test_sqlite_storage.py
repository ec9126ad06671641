import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from regulars_schema.entities import REGISTRY
from regulars_server.storage.interface import Batch, Chosen, Order
from regulars_server.storage.sql.commit import Transaction
from regulars_server.storage.sqlite import SqliteStorage, ThreadConnection, inline
from regulars_sync.errors import LocalError, Refused
from tests.contract.rows import UNITS, Scribe, uid
from tests.contract.storage_contract import StorageContract

ROOT = Path(__file__).resolve().parents[2]
UNIT_0 = f"unit:{UNITS[0]}"

CHILD = """
import asyncio, sys
from regulars_schema.entities import REGISTRY
from regulars_server.storage.sqlite import SqliteStorage
from tests.contract.rows import Scribe

async def main():
    storage, scribe = SqliteStorage(sys.argv[1], REGISTRY), Scribe()
    await storage.open()
    for number in range(10_000):
        await scribe.push(storage, [scribe.customer(2 * number), scribe.customer(2 * number + 1)])
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "chain.db"


@pytest.fixture
async def storage(path):
    storage = SqliteStorage(path, REGISTRY)
    await storage.open()
    yield storage
    await storage.close()


@pytest.fixture
def scribe():
    return Scribe()


class TestSqliteStorage(StorageContract):
    @pytest.fixture
    async def storage(self, path):
        storage = SqliteStorage(path, REGISTRY)
        await storage.open()
        yield storage
        await storage.close()


class TestInlineSqliteStorage(StorageContract):
    @pytest.fixture
    async def storage(self, path):
        storage = SqliteStorage(path, REGISTRY, connect=inline)
        await storage.open()
        yield storage
        await storage.close()


async def ids_and_digest(storage):
    async with storage.reader(frozenset({UNIT_0})) as reader:
        found = await reader.select("customer", None, Order(), 100_000)
        digests = await reader.digests([UNIT_0])
        return [row.id for row in found], digests[UNIT_0].rows


def kill_in_the_middle(path):
    """Let a child commit for a while and kill it; the last commit that it acknowledged."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")]))},
        text=True,
    )
    assert child.stdout is not None
    with child.stdout as lines:
        for line in lines:
            if int(line) >= 20:
                break
        child.send_signal(signal.SIGKILL)
        acknowledged = max([20, *(int(line) for line in lines if line.endswith("\n"))])
    child.wait()
    return acknowledged


async def test_killed_in_the_middle_of_commits_loses_no_acknowledged_commit(path):
    acknowledged = kill_in_the_middle(path)
    storage = SqliteStorage(path, REGISTRY)
    await storage.open()
    ids, rows = await ids_and_digest(storage)
    assert len(ids) % 2 == 0
    assert len(ids) >= 2 * (acknowledged + 1)
    assert ids == [uid(number) for number in range(len(ids))]
    assert rows == len(ids)
    assert await storage.verify_log() == len(ids)
    await storage.close()


async def test_readers_do_not_wait_for_the_writer(storage, scribe):
    await scribe.push(storage, [scribe.customer(1)])
    async with storage.writer() as writer, asyncio.timeout(20):
        await writer.rows([("customer", uid(1))])
        readers = [storage.unscoped_reader() for _ in range(3)]
        for reader in readers:
            assert (await (await reader.__aenter__()).head()).seq == 1
        for reader in readers:
            await reader.__aexit__(None, None, None)


async def test_what_is_stored_is_there_when_opened_again(storage, scribe, path):
    await scribe.push(storage, [scribe.customer(1), scribe.fact(50, 1)])
    chain, epoch = storage.chain, await storage.new_epoch()
    before = await ids_and_digest(storage)
    await storage.close()
    await storage.close()
    again = SqliteStorage(path, REGISTRY)
    await again.open()
    assert (again.chain.id, again.chain.secret, again.chain.epoch) == (chain.id, chain.secret, epoch)
    assert epoch != chain.epoch
    assert await ids_and_digest(again) == before
    await again.close()


class Cancelling(ThreadConnection):
    """Cancels the task that asks, while the operation with a chosen number is under way."""

    countdown = 0
    task: asyncio.Task[object] | None = None

    async def run(self, work):
        Cancelling.countdown -= 1
        if Cancelling.countdown == 0:
            assert Cancelling.task is not None
            Cancelling.task.cancel()
        return await super().run(work)


async def cancelling(opener):
    return await Cancelling(opener)


COMMIT = 7  # after: begin, rows, entries, head, rows placed anew, rows that depend


@pytest.mark.parametrize("operation", range(1, COMMIT + 2))
async def test_cancelled_writer_leaves_no_transaction(path, scribe, operation):
    storage = SqliteStorage(path, REGISTRY, connect=cancelling)
    await storage.open()
    Cancelling.countdown = operation
    task = Cancelling.task = asyncio.create_task(
        scribe.push(storage, [scribe.customer(1), scribe.customer(2)])
    )
    await asyncio.wait([task])
    was_cancelled = task.cancelled()
    Cancelling.countdown = 0
    assert was_cancelled is (operation <= COMMIT)
    ids, rows = await ids_and_digest(storage)
    assert len(ids) == rows == await storage.verify_log()
    assert len(ids) in ((0, 2) if operation == COMMIT else (0,) if was_cancelled else (2,))
    await scribe.push(storage, [scribe.customer(3)])
    assert uid(3) in (await ids_and_digest(storage))[0]
    await storage.close()


async def test_a_commit_that_is_cancelled_just_before_its_end_is_undone(path, scribe, monkeypatch):
    """Everything is written by then, on the writer's thread; only COMMIT is missing."""
    storage = SqliteStorage(path, REGISTRY)
    await storage.open()
    loop, reached, told = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    wait = Transaction._wait

    def waiting(self, waits):
        wait(self, waits)
        loop.call_soon_threadsafe(reached.set)
        assert told.wait(10)

    monkeypatch.setattr(Transaction, "_wait", waiting)
    task = asyncio.create_task(scribe.push(storage, [scribe.customer(1)]))
    await reached.wait()
    task.cancel()
    await asyncio.sleep(0)
    told.set()
    await asyncio.wait([task])
    assert task.cancelled()
    monkeypatch.undo()
    assert await ids_and_digest(storage) == ([], 0)
    assert await storage.verify_log() == 0
    await scribe.push(storage, [scribe.customer(2)])
    assert (await ids_and_digest(storage))[0] == [uid(2)]
    await storage.close()


@pytest.mark.parametrize("operation", [1, 2])
async def test_cancelled_reader_gives_its_connection_back_clean(path, scribe, operation):
    storage = SqliteStorage(path, REGISTRY, connect=cancelling, readers=1)
    await storage.open()
    Cancelling.countdown = operation
    task = Cancelling.task = asyncio.create_task(ids_and_digest(storage))
    await asyncio.wait([task])
    assert task.cancelled()
    Cancelling.countdown = 0
    await scribe.push(storage, [scribe.customer(1)])
    assert await ids_and_digest(storage) == ([uid(1)], 1)
    await storage.close()


async def test_full_disk_is_refused_and_loses_nothing(storage, scribe):
    await scribe.push(storage, [scribe.customer(0)])

    def limit(pages):
        return storage._writer.run(lambda c: c.execute(f"PRAGMA max_page_count={pages}").fetchall())

    (used,) = (await storage._writer.run(lambda c: c.execute("PRAGMA page_count").fetchone()),)
    await limit(used[0] + 10)
    stored = 1

    async def fill():
        nonlocal stored
        while stored < 10_000:
            await scribe.push(storage, [scribe.customer(stored, notes="n" * 1_000)])
            stored += 1

    with pytest.raises(Refused) as error:
        await fill()
    assert error.value.code == "storage_full"
    assert await ids_and_digest(storage) == ([uid(i) for i in range(stored)], stored)
    assert await storage.verify_log() == stored
    await limit(1 << 30)
    await scribe.push(storage, [scribe.customer(stored)])
    assert (await ids_and_digest(storage))[1] == stored + 1


async def test_file_held_by_another_process_is_busy(storage, path, monkeypatch):
    await storage._writer.run(lambda c: c.execute("PRAGMA busy_timeout=1").fetchall())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Refused) as error:
        async with storage.writer():
            pass
    assert error.value.code == "busy"
    assert error.value.retryable
    other.execute("ROLLBACK")
    other.close()
    async with storage.writer() as writer:
        await writer.commit(Batch())


async def test_altered_log_is_found(storage, scribe):
    await scribe.push(storage, [scribe.customer(i) for i in range(5)])
    assert await storage.verify_log() == 5
    await storage._writer.run(lambda c: c.execute("UPDATE log SET verdict='held' WHERE pos=3").fetchall())
    with pytest.raises(LocalError) as error:
        await storage.verify_log()
    assert error.value.code == "file_damaged"
    assert "log entry 3" in error.value.detail["reason"]


async def test_choices_and_gaps_are_read_along_an_index(storage, scribe):
    """The log may be as long as it likes: neither a scan of it nor a sort."""
    await scribe.push(storage, [scribe.customer(1), scribe.customer(1)])
    seen: list[str] = []
    async with storage.reader(frozenset({UNIT_0})) as reader:
        connection = reader._snapshot.connection
        connection.set_trace_callback(seen.append)
        assert len(await reader.choices(9, None, Chosen(fields=frozenset({"customer.name"})))) == 1
        await reader.choices(9, 99, Chosen(uid(1), uid(2), 5))
        await reader.gaps(9)
        connection.set_trace_callback(None)
        asked = [statement for statement in seen if "log b" in statement]
        assert len(asked) == 3
        for statement in asked:
            plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            assert "USING INDEX log_choice" in plan[0] or "USING INDEX log_gap" in plan[0], plan
            assert "ORDER BY" not in " / ".join(plan), plan


async def test_pages_are_read_along_an_index(storage, scribe):
    """Neither a scan nor a sort, however large the feed is."""
    await scribe.push(storage, [scribe.customer(1), scribe.fact(50, 1)])
    seen: list[str] = []
    async with storage.reader(frozenset({UNIT_0})) as reader:
        connection = reader._snapshot.connection
        connection.set_trace_callback(seen.append)
        await reader.feed({UNIT_0: 0}, 1_000, 1 << 20)
        connection.set_trace_callback(None)
        for statement in [s for s in seen if "feed" in s]:
            plan = " / ".join(str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"))
            assert "SCAN" not in plan, plan
            assert "ORDER BY" not in plan, plan
