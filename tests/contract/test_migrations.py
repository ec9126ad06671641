import asyncio
import json
import sqlite3
import time
from pathlib import Path

import pytest

from regulars_schema.entities import REGISTRY
from regulars_server.storage import migrations
from regulars_server.storage.migrations import STEPS, migrate
from regulars_server.storage.sqlite import SqliteStorage
from regulars_server.storage.tables import TABLES
from regulars_sync.errors import LocalError
from tests.contract.rows import Scribe, uid


def add_note(connection):
    connection.execute("ALTER TABLE customer ADD COLUMN note TEXT")
    connection.execute("UPDATE customer SET note = 'n' || name")


def add_more(connection):
    connection.execute("CREATE TABLE more(x)")


def cut_off(connection):
    raise KeyboardInterrupt


def add_half_a_note(connection):
    add_note(connection)
    cut_off(connection)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "chain.db")


@pytest.fixture
async def filled(path):
    """A database of the last release with a customer in it."""
    storage = SqliteStorage(path, REGISTRY)
    await storage.open()
    scribe = Scribe()
    await scribe.push(storage, [scribe.customer(1), scribe.fact(50, 1)])
    await storage.close()
    return path


@pytest.fixture
def connection(path):
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


def take_back(connection, version):
    """Make of a file of today one as `version` left it: without the tables and columns that came later."""
    older = sqlite3.connect(":memory:", isolation_level=None)
    migrate(older, ":memory:", STEPS[:version])
    kept = set(tables(older))
    for name in tables(connection):
        if name not in kept and not any(name.startswith(f"{table}_search") for table in kept):
            connection.execute(f"DROP TABLE {name}")
    for name in kept & set(tables(connection)):
        for column in set(columns(connection, name)) - set(columns(older, name)):
            connection.execute(f"ALTER TABLE {name} DROP COLUMN {column}")
    older.close()
    connection.execute(f"PRAGMA user_version = {version}")


def tables(connection):
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    return [name for (name,) in connection.execute(sql)]


def code_of(error):
    return error.value.code


def columns(connection, table):
    return [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]


def test_steps_make_exactly_the_columns_of_the_declarations(connection, path):
    migrate(connection, path)
    for table in TABLES.values():
        own = ["row", "id", "seq", "document", "hash"]
        assert sorted(columns(connection, table.name)) == sorted([*own, *table.column_names])
        assert bool(columns(connection, f"{table.name}_sensitive")) is table.sensitive


def test_marks_of_a_first_file_count_from_its_upgrade(connection, path):
    migrate(connection, path, STEPS[:1])
    connection.execute("INSERT INTO commit_mark VALUES(3, 'm')")
    migrate(connection, path)
    ((seq, mark, at_ms),) = connection.execute("SELECT * FROM commit_mark").fetchall()
    assert (seq, mark) == (3, "m")
    assert abs(at_ms - time.time() * 1000) < 60_000
    assert ("floor", "0") in [(row[1], row[4]) for row in connection.execute("PRAGMA table_info(chain)")]


def test_upgrade_of_a_filled_file_keeps_its_rows_and_a_copy_of_before(filled, connection):
    migrate(connection, filled, [*STEPS, add_note, add_more])
    assert connection.execute("SELECT id, note FROM customer").fetchall() == [(uid(1), "n王伟")]
    assert connection.execute("PRAGMA user_version").fetchone() == (len(STEPS) + 2,)
    assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'upgrade'").fetchall()
    before = sqlite3.connect(f"{filled}.before-{len(STEPS)}")
    assert before.execute("SELECT id FROM customer").fetchall() == [(uid(1),)]
    assert "note" not in columns(before, "customer")
    before.close()
    migrate(connection, filled, [*STEPS, add_note, add_more])


async def test_tokens_of_a_file_of_the_third_step_are_told_by_difference_from_then_on(filled, connection):
    """Its own index was told of each update by a trigger, which would tell it twice."""
    take_back(connection, 3)
    connection.execute(
        "CREATE TRIGGER customer_search_changed AFTER UPDATE OF search ON customer BEGIN"
        " INSERT INTO customer_search(customer_search, rowid, search)"
        " VALUES('delete', old.row, old.search);"
        " INSERT INTO customer_search(rowid, search) VALUES(new.row, new.search); END"
    )
    storage, scribe = SqliteStorage(filled, REGISTRY), Scribe()
    scribe.last = 50
    await storage.open()
    await scribe.push(storage, [scribe.change("customer", uid(1), {"notes": "likes oak"}, "edit")])
    await storage.close()
    connection.execute("INSERT INTO customer_search(customer_search, rank) VALUES('integrity-check', 1)")
    sql = "SELECT rowid FROM customer_search WHERE customer_search MATCH ?"
    assert len(connection.execute(sql, ('"oak" AND "wangwei"',)).fetchall()) == 1


def test_step_that_was_cut_off_is_undone_whole_and_tried_again(filled, connection):
    with pytest.raises(KeyboardInterrupt):
        migrate(connection, filled, [*STEPS, add_half_a_note])
    assert "note" not in columns(connection, "customer")
    migrate(connection, filled, [*STEPS, add_note])
    assert "note" in columns(connection, "customer")


def test_file_left_between_two_steps_is_refused_and_names_its_copy(filled, connection):
    steps = [*STEPS, add_note, add_more]
    with pytest.raises(KeyboardInterrupt):
        migrate(connection, filled, [*steps[:-1], cut_off])
    with pytest.raises(LocalError) as error:
        migrate(connection, filled, steps)
    assert code_of(error) == "file_unfinished"
    copy = sqlite3.connect(error.value.detail["copy"], isolation_level=None)
    migrate(copy, error.value.detail["copy"], steps)
    assert copy.execute("SELECT count(*) FROM customer").fetchone() == (1,)
    copy.close()


async def test_newer_file_is_refused_untouched(filled, connection):
    migrate(connection, filled, [*STEPS, add_note])
    with pytest.raises(LocalError) as error:
        await SqliteStorage(filled, REGISTRY).open()
    assert code_of(error) == "file_newer"
    assert error.value.detail["found"] == len(STEPS) + 1


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be read as one" * 20, None])
def test_foreign_file_is_refused_untouched(path, content):
    if content is None:
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE mine(x)")
        other.close()
    else:
        Path(path).write_bytes(content)
    before = Path(path).read_bytes()
    with pytest.raises(LocalError) as error:
        asyncio.run(SqliteStorage(path, REGISTRY).open())
    assert code_of(error) == "file_foreign"
    assert Path(path).read_bytes() == before


def test_file_says_that_it_is_of_this_product(connection, path):
    migrate(connection, path)
    assert connection.execute("PRAGMA application_id").fetchone() == (migrations.APPLICATION_ID,)


def test_customers_of_the_first_release_are_found_by_name_with_birth(connection, path):
    migrate(connection, path, STEPS[:1])
    born = '{"name": "林芳", "birth": {"month": 5, "day": 3}}'
    connection.execute("INSERT INTO customer(row, id, seq, document) VALUES(7, 'x', 1, ?)", (born,))
    connection.execute("INSERT INTO customer(row, id, seq) VALUES(8, 'erased', 1)")
    migrate(connection, path)
    sql = "SELECT e.row FROM element e JOIN term t ON t.id=e.field WHERE t.name='customer.likeness'"
    assert connection.execute(sql).fetchall() == [(7,)]


def test_what_is_filtered_since_the_third_step_is_filled_from_the_documents(connection, path):
    migrate(connection, path, STEPS[:2])
    at = "2024-05-01T00:00:00.000Z"
    given = {"name": "x", "wechat": "w", "first_seen": at, "hobbies/tea": True, "hobbies/go": False}
    said = json.dumps(given)
    connection.execute("INSERT INTO customer(row, id, seq, document) VALUES(7, 'x', 1, ?)", (said.encode(),))
    connection.execute("INSERT INTO customer(row, id, seq) VALUES(8, 'erased', 1)")
    connection.execute(
        "INSERT INTO product(row, id, seq, document) VALUES(3, 'p', 1, ?)", (b'{"price": 9000000000}',)
    )
    migrate(connection, path)
    found = connection.execute("SELECT wechat, first_seen, preferred_channel FROM customer ORDER BY row")
    assert found.fetchall() == [("w", at, None), (None, None, None)]
    sql = "SELECT rowid FROM customer_search WHERE customer_search MATCH ?"
    assert connection.execute(sql, ('"x" AND "w"',)).fetchall() == [(7,)]
    connection.execute("INSERT INTO customer_search(customer_search, rank) VALUES('integrity-check', 1)")
    assert connection.execute("SELECT price, usage_days FROM product").fetchall() == [(9_000_000_000, None)]
    sql = "SELECT e.key, e.row FROM element e JOIN term t ON t.id=e.field WHERE t.name='customer.hobbies'"
    assert connection.execute(sql).fetchall() == [("tea", 7)]
