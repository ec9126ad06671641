"""The tables of access, and the connections to them.

The tables stand beside the chain's own, made by the same numbered migrations from `ACCESS_DDL`; Tortoise
never creates or alters them. Secrets are kept as hashes only.

Each `Database` is a Tortoise context of its own, current only within `reader()` and `writer()`, so any number
of chains can be open in one process, in any task. There are no transactions: everything that must not be
torn is one statement, so a cancelled request leaves nothing open.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from copy import copy
from pathlib import Path
from typing import Any, Protocol

import aiosqlite
from tortoise import fields
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.context import TortoiseContext
from tortoise.exceptions import OperationalError
from tortoise.models import Model

from regulars_sync.errors import Refused, RegularsError

FIRST_DDL: tuple[str, ...] = (
    """
    CREATE TABLE login (
        name TEXT NOT NULL PRIMARY KEY,
        staff TEXT,
        role TEXT NOT NULL,
        password TEXT NOT NULL,
        generation BIGINT NOT NULL,
        units TEXT,
        sensitive BOOLEAN NOT NULL,
        active BOOLEAN NOT NULL
    )
    """,
    """
    CREATE TABLE access_token (
        id TEXT NOT NULL PRIMARY KEY,
        kind TEXT NOT NULL,
        digest TEXT NOT NULL UNIQUE,
        former TEXT,
        former_until_ms BIGINT,
        owner TEXT,
        label TEXT NOT NULL,
        role TEXT NOT NULL,
        units TEXT,
        sensitive BOOLEAN NOT NULL,
        generation BIGINT NOT NULL,
        created_ms BIGINT NOT NULL,
        expires_ms BIGINT,
        last_used_ms BIGINT,
        revoked_ms BIGINT
    )
    """,
    "CREATE INDEX access_token_former ON access_token (former)",
    "CREATE INDEX access_token_owner ON access_token (owner)",
    """
    CREATE TABLE pairing_code (
        half TEXT NOT NULL PRIMARY KEY,
        verifier TEXT NOT NULL,
        unit TEXT NOT NULL,
        name TEXT NOT NULL,
        sensitive BOOLEAN NOT NULL,
        expires_ms BIGINT NOT NULL,
        tries BIGINT NOT NULL,
        used_ms BIGINT
    )
    """,
)
SCOPES_DDL: tuple[str, ...] = (
    "ALTER TABLE access_token ADD COLUMN scopes TEXT",
    "ALTER TABLE access_token ADD COLUMN maker TEXT",
    "ALTER TABLE access_token ADD COLUMN trusted_only BOOLEAN NOT NULL DEFAULT FALSE",
    """
    CREATE TABLE trusted_document (
        id TEXT NOT NULL PRIMARY KEY,
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        published_ms BIGINT NOT NULL,
        retired_ms BIGINT
    )
    """,
)
COUNTED_DDL: tuple[str, ...] = (
    """
    CREATE TABLE counted (
        key TEXT NOT NULL PRIMARY KEY,
        state TEXT NOT NULL,
        until_ms BIGINT NOT NULL
    )
    """,
)
ACCESS_DDL = (*FIRST_DDL, *SCOPES_DDL, *COUNTED_DDL)
"""The only source of these tables; SQLite and PostgreSQL both take it. All but `COUNTED_DDL` is released."""


class LoginRow(Model):
    name = fields.CharField(100, primary_key=True)
    staff = fields.TextField(null=True)
    role = fields.TextField()
    password = fields.TextField()
    generation = fields.BigIntField()
    """Counts what ends every session: a new password, a deactivation."""
    units = fields.TextField(null=True)
    """A JSON list of unit ids; NULL is the whole chain."""
    sensitive = fields.BooleanField()
    active = fields.BooleanField()

    class Meta:
        table = "login"


class TokenRow(Model):
    id = fields.CharField(36, primary_key=True)
    kind = fields.TextField()
    digest = fields.CharField(64)
    former = fields.CharField(64, null=True)
    """The digest before the last rotation, good until `former_until_ms`."""
    former_until_ms = fields.BigIntField(null=True)
    owner = fields.TextField(null=True)
    """A device's id, a developer token's member of staff, a session's login."""
    label = fields.TextField()
    role = fields.TextField()
    units = fields.TextField(null=True)
    sensitive = fields.BooleanField()
    generation = fields.BigIntField()
    """Of the login, when the session began."""
    scopes = fields.TextField(null=True)
    """A JSON list of rights; NULL is all of the role's."""
    maker = fields.TextField(null=True)
    """The login that made it, whose rights it never exceeds; NULL for the command line."""
    trusted_only = fields.BooleanField(default=False)
    created_ms = fields.BigIntField()
    expires_ms = fields.BigIntField(null=True)
    last_used_ms = fields.BigIntField(null=True)
    revoked_ms = fields.BigIntField(null=True)

    class Meta:
        table = "access_token"


class PairingRow(Model):
    half = fields.CharField(4, primary_key=True)
    """The first half finds the code; only the hash of the whole is kept beside it."""
    verifier = fields.TextField()
    unit = fields.TextField()
    name = fields.TextField()
    sensitive = fields.BooleanField()
    expires_ms = fields.BigIntField()
    tries = fields.BigIntField()
    used_ms = fields.BigIntField(null=True)

    class Meta:
        table = "pairing_code"


class DocumentRow(Model):
    id = fields.CharField(200, primary_key=True)
    name = fields.TextField()
    text = fields.TextField()
    published_ms = fields.BigIntField()
    retired_ms = fields.BigIntField(null=True)

    class Meta:
        table = "trusted_document"


class CountedRow(Model):
    key = fields.CharField(32, primary_key=True)
    """A hash: what is typed as a name is sometimes a password."""
    state = fields.TextField()
    """A JSON list of whole numbers."""
    until_ms = fields.BigIntField()
    """What it says counts no longer than this."""

    class Meta:
        table = "counted"


BESIDE = ("regulars_server.answers", "regulars_server.works")
"""Modules whose tables stand beside these and share their connections."""
SQLITE = ("sqlite_reader", "sqlite_writer", "sqlite_counter")
POSTGRES = ("postgres_reader", "postgres_writer", "postgres_counter")
"""The names of connections: Tortoise keeps statements by them, and each engine has its own. Only one is open
in a process at a time."""


class PostgresDatabase(Protocol):
    """Where a chain's schema is; `access.postgres.AccessTables` is one. An extra, so not imported here."""

    @property
    def config(self) -> dict[str, Any]:
        """Of a connection, for Tortoise."""
        ...

    @property
    def lax(self) -> dict[str, Any]:
        """Of one whose last writes may be lost when the database fails, and which waits for no disk."""
        ...

    def say(self, error: Exception) -> RegularsError | None:
        """A driver's failure in the words of this project."""
        ...


class Database:
    """Three connections to one chain's access tables, so that no look-up waits behind a write, and no write
    behind a count.

    `database` is the path of a SQLite file, or an address of PostgreSQL and how its connections are made.
    """

    def __init__(self, database: str | Path | PostgresDatabase, busy_ms: int) -> None:
        if isinstance(database, str | Path):
            # The chain's own connections share this file's WAL: don't cut it down to Tortoise's 16 KiB.
            pragmas = {"busy_timeout": busy_ms, "journal_size_limit": 1 << 26}
            config, lax = (
                {
                    "engine": "tortoise.backends.sqlite",
                    "credentials": {"file_path": str(database), "synchronous": how, **pragmas},
                }
                for how in ("FULL", "NORMAL")
            )
            self._names, self._say = SQLITE, _said_by_sqlite
        else:
            config, lax = database.config, database.lax
            self._names, self._say = POSTGRES, database.say
        self._config = {
            "connections": dict(zip(self._names, (config, config, lax), strict=True)),
            "apps": {"access": {"models": [__name__, *BESIDE], "default_connection": self._names[0]}},
        }
        self._context: TortoiseContext | None = None
        self._clients: list[BaseDBAsyncClient] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        if self._context is not None:
            return
        self._context = TortoiseContext()
        with self._context:
            await self._context.init(self._config)
        self._connect()
        # Tortoise connects at the first query and keeps its lock when that is cancelled (1.1.9): do it now.
        try:
            for client in self._clients:
                await client.execute_query("SELECT 1")
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        clients, loop = self._clients, self._loop
        self._clients, self._context, self._loop = [], None, None
        await _close(clients, loop)

    def reader(self) -> AbstractAsyncContextManager[BaseDBAsyncClient]:
        return self._current(0)

    def writer(self) -> AbstractAsyncContextManager[BaseDBAsyncClient]:
        return self._current(1)

    def counter(self) -> AbstractAsyncContextManager[BaseDBAsyncClient]:
        """Reads and writes what may be lost with the last instants before a database fails."""
        return self._current(2)

    @asynccontextmanager
    async def _current(self, which: int) -> AsyncIterator[BaseDBAsyncClient]:
        """A connection, and its context made current: Tortoise asks for that even where `using_db` is given.

        A full disk and a busy file are said in the words of this project.
        """
        assert self._context is not None, "open() comes first"
        if self._loop is not asyncio.get_running_loop():
            # Tests go from loop to loop.
            old, loop = self._clients, self._loop
            self._connect()
            await _close(old, loop)
        # A context keeps one token of having been entered; a copy lets tasks enter it side by side.
        with copy(self._context):
            try:
                yield self._clients[which]
            except Exception as error:
                said = self._say(error)
                if said is None:
                    raise
                raise said from error

    def _connect(self) -> None:
        assert self._context is not None
        handler = self._context.connections
        for name in self._names:
            handler.discard(name)
        self._clients = [handler.get(name) for name in self._names]
        self._loop = asyncio.get_running_loop()


async def _close(clients: Iterable[BaseDBAsyncClient], loop: asyncio.AbstractEventLoop | None) -> None:
    for client in clients:
        connection = getattr(client, "_connection", None)
        if loop is asyncio.get_running_loop() or not isinstance(connection, aiosqlite.Connection):
            await client.close()
        elif stopped := connection.stop():
            # A loop that ended with a statement under way has killed aiosqlite's thread (0.22): then
            # nobody answers, and `close()` would wait for ever.
            await asyncio.wait([stopped], timeout=1)


def _said_by_sqlite(error: Exception) -> RegularsError | None:
    if isinstance(error, OperationalError):
        if "full" in str(error):
            return Refused("storage_full")
        if "locked" in str(error) or "busy" in str(error):
            return Refused("busy", seconds=1)
    return None
