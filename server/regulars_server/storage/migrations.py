"""The steps that bring a chain's database to this version, numbered, each one transaction.

A step is never altered once it was released: a database that took it stays as it is. `tables` may grow;
then a further step adds what is new, and a test holds the outcome of all steps to `tables`. Steps are
written as SQLite says it and are taken by every engine (`storage/postgres/dialect.py` translates).

Here stands also how a SQLite file takes them. Before a filled file is upgraded a copy of it is made
beside it, `<file>.before-<version>`. While several steps are under way the file says so; one that was
left there is never opened as if it were whole.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import orjson

from regulars_schema.entities import REGISTRY
from regulars_schema.normal import likenesses
from regulars_schema.search import written
from regulars_server.access.models import COUNTED_DDL, FIRST_DDL, SCOPES_DDL
from regulars_server.answers import ANSWERS_DDL
from regulars_server.storage.layout import LIKENESS
from regulars_server.storage.search_index import index
from regulars_server.storage.sql.dialect import Connection
from regulars_server.works import PLACES_DDL, WORKS_DDL
from regulars_sync.document import nested
from regulars_sync.errors import LocalError

APPLICATION_ID = 0x52474C52
"""`RGLR`: what a file of this product says of itself."""

MOVED = "moved"
"""The table of a file whose chain went on elsewhere; it says where."""

Step = Callable[[Connection], None]

_CREATE = """
CREATE TABLE chain(
  one INTEGER PRIMARY KEY CHECK (one = 1), format TEXT NOT NULL, id TEXT NOT NULL, epoch TEXT NOT NULL,
  secret BLOB NOT NULL, stamp_max INTEGER NOT NULL);
CREATE TABLE term(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE scope(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, count INTEGER NOT NULL, hash BLOB NOT NULL);
CREATE TABLE feed(
  scope INTEGER NOT NULL, entity INTEGER NOT NULL, row INTEGER NOT NULL, seq INTEGER NOT NULL,
  gone INTEGER NOT NULL, PRIMARY KEY(entity, row, scope)) WITHOUT ROWID;
CREATE INDEX feed_by_seq ON feed(scope, seq, entity, row, gone);
CREATE TABLE element(
  field INTEGER NOT NULL, key TEXT NOT NULL, row INTEGER NOT NULL,
  PRIMARY KEY(field, key, row)) WITHOUT ROWID;
CREATE TABLE erased(
  entity INTEGER NOT NULL, row INTEGER NOT NULL, scrubbed INTEGER NOT NULL,
  PRIMARY KEY(entity, row)) WITHOUT ROWID;
CREATE TABLE log(
  pos INTEGER PRIMARY KEY, cid BLOB NOT NULL, grp BLOB, entity TEXT NOT NULL, id TEXT NOT NULL,
  verdict TEXT NOT NULL, code TEXT, field TEXT, detail TEXT, device TEXT, incarnation TEXT, n INTEGER,
  actor TEXT, replaces BLOB, closed INTEGER NOT NULL, stamp INTEGER NOT NULL, at_ms INTEGER NOT NULL,
  body BLOB, key BLOB, digest BLOB NOT NULL, hash BLOB NOT NULL);
CREATE INDEX log_by_cid ON log(cid);
CREATE INDEX log_by_id ON log(id);
CREATE INDEX log_by_group ON log(grp) WHERE grp IS NOT NULL;
CREATE INDEX log_by_replaced ON log(replaces) WHERE replaces IS NOT NULL;
CREATE INDEX log_open ON log(pos) WHERE verdict IN ('held', 'rejected');
CREATE TABLE queue(n INTEGER PRIMARY KEY, grp BLOB NOT NULL UNIQUE, waits TEXT NOT NULL);
CREATE INDEX queue_by_waits ON queue(waits);
CREATE TABLE incarnation(
  id TEXT PRIMARY KEY, device TEXT NOT NULL, n INTEGER NOT NULL, trail TEXT NOT NULL,
  began INTEGER NOT NULL, cloned INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX incarnation_by_device ON incarnation(device, began);
CREATE TABLE commit_mark(seq INTEGER PRIMARY KEY, mark TEXT NOT NULL);
"""

_ROWS = {
    "unit": "name TEXT, kind TEXT, parent TEXT, archived INTEGER, name_sort TEXT",
    "staff": "name TEXT, role TEXT, manager TEXT, active INTEGER, name_sort TEXT",
    "staff_pin": "",
    "device": "name TEXT, unit TEXT, revoked INTEGER, name_sort TEXT",
    "product": "name TEXT, category TEXT, archived INTEGER, name_sort TEXT, search TEXT",
    "segment": "name TEXT, owner TEXT, archived INTEGER, name_sort TEXT, search TEXT",
    "customer": "name TEXT, kind TEXT, home_unit TEXT, owner TEXT, member_no TEXT, gender TEXT,"
    " acquisition_channel TEXT, trading_since TEXT, archived INTEGER, name_sort TEXT, search TEXT",
    "link": "from_customer TEXT, to_customer TEXT, kind TEXT, active INTEGER",
    "interaction": "kind TEXT, at TEXT, unit TEXT, staff TEXT, channel TEXT, stage_reached INTEGER,"
    " outcome TEXT, report_class TEXT, supersedes TEXT, void INTEGER",
    "change_verdict": "",
}
_ROW_INDEXES = """
CREATE INDEX customer_by_name ON customer(name_sort);
CREATE INDEX customer_by_member_no ON customer(member_no) WHERE member_no IS NOT NULL;
CREATE INDEX link_by_from ON link(from_customer);
CREATE INDEX link_by_to ON link(to_customer);
CREATE INDEX interaction_by_at ON interaction(at);
"""


def create(connection: Connection) -> None:
    """Step 1: everything."""
    _execute_all(connection, _CREATE)
    for statement in FIRST_DDL:
        connection.execute(statement)
    for name, columns in _ROWS.items():
        more = ", ".join(f'"{c.split()[0]}" {c.split()[1]}' for c in columns.split(",") if c)
        connection.execute(
            f"CREATE TABLE {name}(row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, seq INTEGER NOT NULL,"
            f" document BLOB, hash BLOB{', ' if more else ''}{more})"
        )
    connection.execute(
        "CREATE TABLE customer_sensitive(row INTEGER PRIMARY KEY, seq INTEGER NOT NULL,"
        " document BLOB NOT NULL, hash BLOB NOT NULL)"
    )
    _execute_all(connection, _ROW_INDEXES)


_IDENTITY_AND_WINDOW = """
CREATE TABLE window(
  row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, seq INTEGER NOT NULL, document BLOB, hash BLOB);
CREATE TABLE identity(
  row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, seq INTEGER NOT NULL, document BLOB, hash BLOB,
  one TEXT, other TEXT, decision TEXT, reason TEXT);
CREATE INDEX identity_by_one ON identity(one);
CREATE INDEX identity_by_other ON identity(other);
CREATE INDEX identity_by_decision ON identity(decision);
CREATE TABLE seen(
  customer INTEGER NOT NULL, unit TEXT NOT NULL, at_ms INTEGER NOT NULL,
  PRIMARY KEY(customer, unit)) WITHOUT ROWID;
CREATE INDEX seen_by_at ON seen(at_ms);
CREATE INDEX log_choice ON log(pos) WHERE (verdict = 'merged' OR code = 'stamp_replaced'
  OR (verdict = 'applied' AND detail IS NOT NULL AND code IS NOT 'erased'));
CREATE INDEX log_gap ON log(pos) WHERE code = 'number_gap';
ALTER TABLE commit_mark ADD COLUMN at_ms INTEGER NOT NULL DEFAULT 0;
UPDATE commit_mark SET at_ms = CAST(strftime('%s', 'now') AS INTEGER) * 1000;
ALTER TABLE chain ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;
CREATE TABLE unmatched(row INTEGER PRIMARY KEY);
CREATE TABLE merged(row INTEGER PRIMARY KEY, survivor INTEGER NOT NULL);
CREATE INDEX merged_by_survivor ON merged(survivor);
CREATE TABLE torn(row INTEGER PRIMARY KEY);
"""


def identity_and_window(connection: Connection) -> None:
    """Step 2: who is the same person, and what schema 2 brought."""
    _execute_all(connection, _IDENTITY_AND_WINDOW)
    connection.execute("INSERT INTO term(name) VALUES(?)", (f"customer.{LIKENESS}",))
    rows = connection.execute("SELECT row, document FROM customer WHERE document IS NOT NULL")
    connection.executemany(
        "INSERT INTO element VALUES((SELECT id FROM term WHERE name='customer.likeness'), ?, ?)",
        ((likeness, row) for row, document in rows for likeness in likenesses(orjson.loads(document))),
    )


_SORTED_AND_FILTERED = {
    "product": {"usage_days": "INTEGER", "price": "INTEGER"},
    "customer": {
        "wechat": "TEXT",
        "first_seen": "TEXT",
        "consent_asked_at": "TEXT",
        "privacy_notice": "TEXT",
        "preferred_channel": "TEXT",
    },
    "interaction": {"effort_min": "INTEGER"},
}


_TIES = """
CREATE INDEX customer_by_home_unit ON customer(home_unit);
CREATE INDEX customer_by_owner ON customer(owner) WHERE owner IS NOT NULL;
CREATE INDEX interaction_by_supersedes ON interaction(supersedes) WHERE supersedes IS NOT NULL;
"""


def graph_and_search(connection: Connection) -> None:
    """Step 3: what lists are filtered, sorted and searched by since; scopes of tokens, answers."""
    for table, columns in _SORTED_AND_FILTERED.items():
        for column, type_ in columns.items():
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {type_}")
        rows = connection.execute(f"SELECT row, document FROM {table} WHERE document IS NOT NULL")
        said = [(row, orjson.loads(document)) for row, document in rows]
        connection.executemany(
            f"UPDATE {table} SET {', '.join(f'{column}=?' for column in columns)} WHERE row=?",
            [(*map(document.get, columns), row) for row, document in said],
        )
    _execute_all(connection, _TIES)
    for entity in REGISTRY.entities:
        if entity.searched:
            rows = connection.execute(f"SELECT row, document FROM {entity.name} WHERE document IS NOT NULL")
            connection.executemany(
                f"UPDATE {entity.name} SET search=? WHERE row=?",
                [(written(entity, nested(entity, orjson.loads(document))), row) for row, document in rows],
            )
    connection.execute("INSERT INTO term(name) VALUES('customer.hobbies') ON CONFLICT DO NOTHING")
    rows = connection.execute("SELECT row, document FROM customer WHERE document IS NOT NULL")
    connection.executemany(
        "INSERT INTO element VALUES((SELECT id FROM term WHERE name='customer.hobbies'), ?, ?)",
        [
            (path.partition("/")[2], row)
            for row, document in rows
            for path, present in orjson.loads(document).items()
            if present and path.startswith("hobbies/")
        ],
    )
    for statement in (*SCOPES_DDL, *ANSWERS_DDL, *WORKS_DDL):
        connection.execute(statement)


def limits_and_tokens(connection: Connection) -> None:
    """Step 4: what limits count, and where files of works lie.

    And an index of tokens is told what a row's lose and gain; in a SQLite file it is another index.
    """
    for statement in (*COUNTED_DDL, *PLACES_DDL):
        connection.execute(statement)


_KNOWN = {
    "scheme": "key TEXT, archived INTEGER",
    "field_def": "key TEXT, type TEXT, rule TEXT, sensitivity TEXT, section TEXT, tab TEXT, for_kind TEXT,"
    " archived INTEGER",
    "cut_points": "day TEXT",
    "custom_value": "customer TEXT, field_def TEXT",
    "supplier": "customer TEXT, archived INTEGER",
    "assignment": "customer TEXT, scheme TEXT, value TEXT, reviewed TEXT, pinned INTEGER, decided_by TEXT,"
    " evidence TEXT, since TEXT, check_by TEXT",
    "task": "plan TEXT, customer TEXT, subject TEXT, due TEXT, status TEXT, owner TEXT, closed_by TEXT",
    "consent": "customer TEXT, purpose TEXT, channel TEXT, granted INTEGER, at TEXT, unit TEXT, staff TEXT",
    "baseline": "customer TEXT",
}
_KNOWN_COLUMNS = {
    "segment": "key TEXT, snapshot_of TEXT, taken_at TEXT",
    "customer": "industry TEXT, founded_on TEXT, headcount INTEGER, cooperation_attitude INTEGER,"
    " household_size INTEGER, occupation TEXT, price_sensitivity TEXT, fault_tolerance TEXT,"
    " service_stance TEXT, service_plan TEXT, do_not_contact INTEGER",
    "interaction": "satisfaction INTEGER, attention_focus TEXT, place TEXT, next_on TEXT, campaign TEXT",
}
_KNOWN_INDEXES = """
CREATE INDEX custom_value_by_customer ON custom_value(customer);
CREATE INDEX supplier_by_customer ON supplier(customer);
CREATE INDEX assignment_by_customer ON assignment(customer);
CREATE INDEX task_by_customer ON task(customer);
CREATE INDEX task_by_due ON task(due) WHERE due IS NOT NULL;
CREATE INDEX consent_by_customer ON consent(customer);
CREATE INDEX baseline_by_customer ON baseline(customer);
"""
_STANDING = """
CREATE TABLE recheck(
  row INTEGER PRIMARY KEY, due INTEGER, seq INTEGER NOT NULL, hops INTEGER NOT NULL, seen INTEGER,
  held INTEGER NOT NULL, worker TEXT NOT NULL);
CREATE INDEX recheck_by_due ON recheck(due, row) WHERE due IS NOT NULL;
CREATE TABLE standing(
  row INTEGER NOT NULL, scheme TEXT NOT NULL, value TEXT NOT NULL, since INTEGER NOT NULL,
  PRIMARY KEY(row, scheme, value)) WITHOUT ROWID;
CREATE INDEX standing_by_value ON standing(scheme, value, row);
CREATE TABLE membership(
  segment TEXT NOT NULL, row INTEGER NOT NULL, since INTEGER NOT NULL,
  PRIMARY KEY(segment, row)) WITHOUT ROWID;
CREATE INDEX membership_by_row ON membership(row, segment);
CREATE TABLE movement(
  n INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, row INTEGER NOT NULL, what TEXT NOT NULL, key TEXT NOT NULL,
  was TEXT, became TEXT, reason TEXT);
CREATE INDEX movement_by_row ON movement(row, n);
CREATE INDEX movement_by_key ON movement(what, key, n);
CREATE TABLE swept(
  what TEXT NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, is_whole INTEGER NOT NULL,
  PRIMARY KEY(what, key)) WITHOUT ROWID;
INSERT INTO swept VALUES('all', '', 0, 1);
CREATE TABLE sweep(one INTEGER PRIMARY KEY, row INTEGER NOT NULL);
INSERT INTO sweep VALUES(1, 0);
"""
_DEED = """id TEXT NOT NULL, at TEXT NOT NULL, kind TEXT NOT NULL, unit TEXT, staff TEXT, channel TEXT,
  stage_reached INTEGER, outcome TEXT, role TEXT, effort_min INTEGER NOT NULL, rating INTEGER"""
_DEEDS = f"""
CREATE TABLE deed(customer INTEGER NOT NULL, {_DEED}, PRIMARY KEY(customer, at, id)) WITHOUT ROWID;
CREATE TABLE deed_line(customer INTEGER NOT NULL, n INTEGER NOT NULL, {_DEED}, product TEXT, category TEXT,
  quantity INTEGER NOT NULL, amount INTEGER NOT NULL, cost INTEGER, currency TEXT,
  PRIMARY KEY(customer, at, id, n)) WITHOUT ROWID;
CREATE INDEX deed_by_kind ON deed(kind, customer, at);
CREATE INDEX deed_line_by_kind ON deed_line(kind, customer, at, currency, amount);
"""


def what_is_known(connection: Connection) -> None:
    """Step 5: what schema 3 brought to know customers by."""
    for name, columns in _KNOWN.items():
        more = "".join(f', "{c.split()[0]}" {c.split()[1]}' for c in columns.split(",") if c)
        connection.execute(
            f"CREATE TABLE {name}(row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, seq INTEGER NOT NULL,"
            f" document BLOB, hash BLOB{more})"
        )
    for name in ("assignment", "custom_value"):
        connection.execute(
            f"CREATE TABLE {name}_sensitive(row INTEGER PRIMARY KEY, seq INTEGER NOT NULL,"
            " document BLOB NOT NULL, hash BLOB NOT NULL)"
        )
    for name, columns in _KNOWN_COLUMNS.items():
        for column in columns.split(","):
            connection.execute(f"ALTER TABLE {name} ADD COLUMN {column}")
    _execute_all(connection, _KNOWN_INDEXES)
    _execute_all(connection, _STANDING)
    _execute_all(connection, _DEEDS)


STEPS: tuple[Step, ...] = (
    create,
    identity_and_window,
    graph_and_search,
    limits_and_tokens,
    what_is_known,
)
"""Step `i` brings version `i` to `i + 1`."""


def migrate(connection: sqlite3.Connection, path: str, steps: Sequence[Step] = STEPS) -> None:
    """Bring the file to the version of `steps`; does nothing to one that is there already.

    `LocalError` file_foreign, file_newer (both before anything is touched), file_unfinished.
    """
    version = _version(connection, path, len(steps))
    if version == len(steps):
        return
    if version == 0:
        with _transaction(connection):
            if _version(connection, path, len(steps)) == 0:  # another process may have been quicker
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                for step in steps:
                    step(connection)
                index(connection)
                connection.execute(f"PRAGMA user_version={len(steps)}")
        return
    copy = f"{path}.before-{version}"
    part = f"{copy}.part"
    if os.path.exists(part):
        os.remove(part)
    connection.execute("VACUUM INTO ?", (part,))
    os.replace(part, copy)
    with _transaction(connection):
        connection.execute("CREATE TABLE IF NOT EXISTS upgrade(began INTEGER NOT NULL, copy TEXT NOT NULL)")
        connection.execute("DELETE FROM upgrade")
        connection.execute("INSERT INTO upgrade VALUES(?, ?)", (version, copy))
    for at in range(version, len(steps)):
        with _transaction(connection):
            steps[at](connection)
            connection.execute(f"PRAGMA user_version={at + 1}")
            if at + 1 == len(steps):
                index(connection)
                connection.execute("DROP TABLE upgrade")


def _version(connection: sqlite3.Connection, path: str, known: int) -> int:
    """The file's version, 0 for an empty file; what can't be opened is refused here."""
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise LocalError("file_foreign", file=path) from error
        raise
    if application != APPLICATION_ID:
        if application or version or tables:
            raise LocalError("file_foreign", file=path)
        return 0
    if version > known:
        raise LocalError("file_newer", file=path, found=version, known=known)
    if MOVED in tables:
        raise LocalError(
            "chain_moved", file=path, to=connection.execute(f"SELECT place FROM {MOVED}").fetchone()[0]
        )
    if "upgrade" in tables:
        began, copy = connection.execute("SELECT began, copy FROM upgrade").fetchone()
        if began != version:
            raise LocalError("file_unfinished", file=path, copy=copy)
    return int(version)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _execute_all(connection: Connection, script: str) -> None:
    """Every statement of a script, inside the present transaction (`executescript` would end it)."""
    for statement in _statements(script):
        connection.execute(statement)


def _statements(script: str) -> Iterator[str]:
    for statement in script.split(";\n"):
        if statement.strip():
            yield statement
