"""The numbered steps on PostgreSQL: all that are due are one transaction, so there is nothing half done.

Before a filled schema is upgraded a copy of it is made in the same transaction, `<schema>_before_<version>`,
for whoever wants the version before back, which refuses to open what a newer one wrote.
"""

from __future__ import annotations

from collections.abc import Sequence

from regulars_server.storage.migrations import STEPS, Step
from regulars_server.storage.postgres.bridge import Bridge
from regulars_server.storage.postgres.dialect import TOKENS
from regulars_server.storage.tables import TABLES
from regulars_sync.errors import LocalError

_ONE_AT_A_TIME = 0x52474C52
"""`RGLR`: the advisory lock of whoever makes or upgrades a schema in this database."""

UNFINISHED = "unfinished"
"""The table that a schema has as long as a chain is being copied to it."""

NAME_CHARS = 48
"""Of a schema, in the name of its copy: a name has 63."""

_WRITTEN = """
CREATE OR REPLACE FUNCTION {}.written(body bytea) RETURNS SETOF text LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN QUERY SELECT json_object_keys(convert_from(body, 'UTF8')::json -> 'fields');
EXCEPTION WHEN data_exception THEN
  RETURN;
END $$
"""
"""The paths that a body of the log wrote; the log also keeps bodies that are no change at all."""


def migrate(connection: Bridge, schema: str, shown: str, steps: Sequence[Step] = STEPS) -> None:
    """Bring the schema to the version of `steps`, within the transaction that is open.

    `LocalError` before it touches anything: file_foreign (tables not ours), file_newer, copy_unfinished.
    """
    connection.execute("SELECT pg_advisory_xact_lock(?)", (_ONE_AT_A_TIME,))
    version = version_of(connection, schema, shown)
    if version > len(steps):
        raise LocalError("file_newer", file=shown, found=version, known=len(steps))
    if version == len(steps):
        return
    if version == 0:
        connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        connection.execute("CREATE TABLE layout(version INTEGER NOT NULL)")
        connection.execute("INSERT INTO layout VALUES(0)")
    else:
        keep(connection, schema, f"{schema[:NAME_CHARS]}_before_{version}")
    for step in steps[version:]:
        step(connection)
    connection.execute(_WRITTEN.format(f'"{schema}"'))
    for table in TABLES.values():
        if table.search:
            name = f"{table.name}_search"
            sql = f'CREATE INDEX IF NOT EXISTS {name} ON "{table.name}" USING gin ({TOKENS.format("search")})'
            connection.execute(sql)
    connection.execute("UPDATE layout SET version=?", (len(steps),))


def version_of(connection: Bridge, schema: str, shown: str) -> int:
    """The schema's version, 0 where there is nothing yet; `LocalError` file_foreign, copy_unfinished."""
    sql = "SELECT table_name FROM information_schema.tables WHERE table_schema=?"
    tables = {name for (name,) in connection.execute(sql, (schema,))}
    if not tables:
        return 0
    if not {"layout", "chain"} <= tables:
        raise LocalError("file_foreign", file=shown)
    if UNFINISHED in tables:
        raise LocalError("copy_unfinished", file=shown)
    ((version,),) = connection.execute("SELECT version FROM layout")
    return int(version)


def keep(connection: Bridge, schema: str, copy: str) -> None:
    """Copy a schema's tables, within the transaction that is open; no commit comes between."""
    connection.execute(f'SELECT 1 FROM "{schema}".chain FOR UPDATE')
    connection.execute(f'DROP SCHEMA IF EXISTS "{copy}" CASCADE')
    connection.execute(f'CREATE SCHEMA "{copy}"')
    connection.execute(_WRITTEN.format(f'"{copy}"'))
    sql = "SELECT tablename FROM pg_tables WHERE schemaname=?"
    for (table,) in list(connection.execute(sql, (schema,))):
        connection.execute(f'CREATE TABLE "{copy}"."{table}" (LIKE "{schema}"."{table}" INCLUDING ALL)')
        connection.execute(f'INSERT INTO "{copy}"."{table}" SELECT * FROM "{schema}"."{table}"')
    sql = (
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema=? AND is_identity='YES'"
    )
    for table, column in list(connection.execute(sql, (copy,))):
        connection.execute(
            f"SELECT setval(pg_get_serial_sequence('\"{copy}\".\"{table}\"', '{column}'),"
            f' coalesce((SELECT max("{column}") FROM "{copy}"."{table}"), 0) + 1, false)'
        )
