"""A chain from one engine to the other, table by table, as it is: tablets notice nothing but a pause.

Epoch, marks, cursors and tokens stay what they are, so nobody has to reset anything. Both sides have the
layout of the same version. What derives from a row (indexes, the search index) is made by the side it is
written to.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import asyncpg

from regulars_server.storage.migrations import migrate
from regulars_server.storage.postgres.bridge import Bridge, crossed
from regulars_server.storage.postgres.migrating import UNFINISHED
from regulars_server.storage.postgres.migrating import migrate as migrate_postgres
from regulars_server.storage.postgres.pool import Address, connect
from regulars_server.storage.postgres.pool import said as postgres_said
from regulars_server.storage.sqlite.storage import Translated
from regulars_sync.errors import LocalError, RegularsError

ROWS_A_STEP = 5_000

Row = tuple[Any, ...]
Progress = Callable[[str, int, int], None]
"""Is told of a table, of its rows that are there, and of its rows in all."""


def in_silence(table: str, done: int, total: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Table:
    columns: tuple[str, ...]
    booleans: frozenset[int]
    """The places of those that are yes or no, which SQLite keeps as 1 and 0."""


class Side(Protocol):
    """One chain, which nobody else writes to meanwhile."""

    async def tables(self) -> dict[str, Table]: ...

    async def count(self, table: str) -> int: ...

    async def mark(self) -> str:
        """Of its last commit."""
        ...


class Source(Side, Protocol):
    def rows(self, table: str, columns: Sequence[str], skip: int) -> AsyncIterator[list[Row]]:
        """All but the first `skip`, some at once, in an order that stays while nobody writes."""
        ...


class Target(Side, Protocol):
    async def begin(self, mark: str) -> None:
        """Be empty, unless rows of the source at this mark are here already. `LocalError("chain_exists")`."""
        ...

    async def write(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Durably, or none of them."""
        ...

    async def end(self) -> None:
        """From now on it is a chain; until then nothing opens it."""
        ...


async def copy(source: Source, target: Target, on_progress: Progress = in_silence) -> int:
    """Copy what the target lacks; how many rows the chain has.

    It may be cut off and begun again. `LocalError("copy_differs")` when the sides are not equal in the end.
    """
    await target.begin(await source.mark())
    theirs, ours = await source.tables(), await target.tables()
    if theirs.keys() - ours.keys():
        raise LocalError("copy_differs", table=min(theirs.keys() - ours.keys()))
    rows = 0
    for name, table in sorted(theirs.items()):
        columns, total, done = table.columns, await source.count(name), await target.count(name)
        on_progress(name, done, total)
        async for some in source.rows(name, columns, done):
            await target.write(name, columns, _typed(some, table.booleans))
            done += len(some)
            on_progress(name, done, total)
        if await target.count(name) != total:
            raise LocalError("copy_differs", table=name)
        rows += total
    await target.end()
    return rows


def _typed(rows: list[Row], booleans: frozenset[int]) -> list[Row]:
    if not booleans:
        return rows
    return [tuple(bool(v) if i in booleans and v is not None else v for i, v in enumerate(r)) for r in rows]


# --- SQLite ---------------------------------------------------------------------------------------------

_SQLITE_TABLES = (
    "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'"
    " AND name NOT LIKE '%\\_search%' ESCAPE '\\' AND name <> 'upgrade' ORDER BY name"
)


class SqliteSide:
    """A file; as a target a new one, which is a chain only when all of it is there."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def tables(self) -> dict[str, Table]:
        names = [name for (name,) in self._connection.execute(_SQLITE_TABLES)]
        found: dict[str, Table] = {}
        for name in names:
            columns = [row[1:3] for row in self._connection.execute(f'PRAGMA table_info("{name}")')]
            booleans = {place for place, (_, kind) in enumerate(columns) if kind.upper() == "BOOLEAN"}
            found[name] = Table(tuple(column for column, _ in columns), frozenset(booleans))
        return found

    async def count(self, table: str) -> int:
        (count,) = self._connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()
        return int(count)

    async def mark(self) -> str:
        sql = "SELECT mark FROM commit_mark ORDER BY seq DESC LIMIT 1"
        (mark,) = self._connection.execute(sql).fetchone()
        return str(mark)

    async def rows(self, table: str, columns: Sequence[str], skip: int) -> AsyncIterator[list[Row]]:
        sql = f'SELECT {_listed(columns)} FROM "{table}" LIMIT -1 OFFSET ?'
        found = self._connection.execute(sql, (skip,))
        while some := found.fetchmany(ROWS_A_STEP):
            yield some

    async def begin(self, mark: str) -> None:
        for name in await self.tables():
            self._connection.execute(f'DELETE FROM "{name}"')

    async def write(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        marks = ",".join("?" * len(columns))
        self._connection.executemany(f'INSERT INTO "{table}"({_listed(columns)}) VALUES({marks})', rows)

    async def end(self) -> None:
        self._connection.execute("COMMIT")


@asynccontextmanager
async def from_sqlite(path: str) -> AsyncIterator[SqliteSide]:
    """The chain in a file that nobody else has open: `LocalError("file_busy")`."""
    with Translated(path), closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            migrate(connection, path)
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise LocalError("file_busy", file=path) from error
        yield SqliteSide(connection)


@asynccontextmanager
async def to_sqlite(path: str) -> AsyncIterator[SqliteSide]:
    """A new file; the whole copy is one transaction."""
    with Translated(path), closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE")
        yield SqliteSide(connection)


# --- PostgreSQL -------------------------------------------------------------------------------------------

_COLUMNS = (
    "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema=$1"
    " AND table_name NOT IN ('layout', $2) ORDER BY table_name, ordinal_position"
)
_NUMBERED = (
    "SELECT table_name, column_name FROM information_schema.columns"
    " WHERE table_schema=$1 AND is_identity='YES'"
)


class PostgresSide:
    def __init__(self, connection: Any, address: Address) -> None:
        self._connection = connection
        self._address = address

    async def has(self, table: str) -> bool:
        sql = "SELECT to_regclass($1) IS NOT NULL"
        return bool(await self._connection.fetchval(sql, f'"{self._address.schema}"."{table}"'))

    async def tables(self) -> dict[str, Table]:
        columns: dict[str, list[tuple[str, str]]] = {}
        for name, column, kind in await self._connection.fetch(_COLUMNS, self._address.schema, UNFINISHED):
            columns.setdefault(name, []).append((column, kind))
        return {
            name: Table(
                tuple(column for column, _ in found),
                frozenset(place for place, (_, kind) in enumerate(found) if kind == "boolean"),
            )
            for name, found in columns.items()
        }

    async def count(self, table: str) -> int:
        return int(await self._connection.fetchval(f'SELECT count(*) FROM "{table}"'))

    async def mark(self) -> str:
        sql = "SELECT mark FROM commit_mark ORDER BY seq DESC LIMIT 1"
        return str(await self._connection.fetchval(sql))

    async def rows(self, table: str, columns: Sequence[str], skip: int) -> AsyncIterator[list[Row]]:
        cursor = await self._connection.cursor(f'SELECT {_listed(columns)} FROM "{table}" OFFSET $1', skip)
        while some := await cursor.fetch(ROWS_A_STEP):
            yield [tuple(row) for row in some]

    async def begin(self, mark: str) -> None:
        async with self._connection.transaction():
            if not await self.has(UNFINISHED):
                if await self.mark() != mark:
                    raise LocalError("chain_exists", folder=self._address.shown)
                return  # all of it is here
            if await self._connection.fetchval(f"SELECT mark FROM {UNFINISHED}") == mark:
                return
            for name in await self.tables():
                await self._connection.execute(f'TRUNCATE "{name}"')
            await self._connection.execute(f"DELETE FROM {UNFINISHED}")
            await self._connection.execute(f"INSERT INTO {UNFINISHED} VALUES($1)", mark)

    async def write(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        await self._connection.copy_records_to_table(
            table, schema_name=self._address.schema, columns=list(columns), records=rows
        )

    async def end(self) -> None:
        async with self._connection.transaction():
            for name, column in await self._connection.fetch(_NUMBERED, self._address.schema):
                await self._connection.execute(
                    f"SELECT setval(pg_get_serial_sequence('\"{name}\"', '{column}'),"
                    f' coalesce((SELECT max("{column}") FROM "{name}"), 0) + 1, false)'
                )
            await self._connection.execute(f"DROP TABLE IF EXISTS {UNFINISHED}")
        await self._connection.execute("ANALYZE")


@asynccontextmanager
async def from_postgres(address: Address) -> AsyncIterator[PostgresSide]:
    """The chain as it is at this instant, however long it is read."""
    async with (
        connected(address) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        yield PostgresSide(connection, address)


@asynccontextmanager
async def to_postgres(address: Address) -> AsyncIterator[PostgresSide]:
    """A schema that is no chain yet, or to which the same one was being copied."""
    async with connected(address) as connection:
        side = PostgresSide(connection, address)
        if not await side.has("chain"):
            async with connection.transaction():
                await crossed(lambda: migrate_postgres(Bridge(connection), address.schema, address.shown))
                await connection.execute(f"CREATE TABLE {UNFINISHED}(mark TEXT NOT NULL)")
        yield side


@asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Any]:
    try:
        connection = await connect(address)
        try:
            yield connection
        finally:
            with suppress(OSError, asyncpg.PostgresError):
                await connection.close()
    except RegularsError:
        raise
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        told = postgres_said(error, address)
        if told is None:
            raise
        raise told from error


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)
