"""Connections to one chain's schema, and what their failures mean."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from regulars_server.storage.postgres.bridge import Asynchronous
from regulars_sync.errors import LocalError, Refused, RegularsError

SCHEMES = ("postgresql", "postgres")
CONNECT_S_MAX = 5.0
STATEMENTS_KEPT = 512
BUSY_S = 2
LOCK_MS_MAX = 10_000
"""How long a writer waits for another one, or for rows."""


@dataclass(frozen=True, slots=True)
class Address:
    """A database, and the schema of it that is the chain: `postgresql://user@host/database?schema=songhe`.

    Several hosts, divided by commas, are tried until one takes writes.
    """

    dsn: str
    schema: str = "public"

    @classmethod
    def parse(cls, url: str, name: str = "REGULARS_DATABASE", wanted: str = "read-write") -> Address:
        """`LocalError("setting_invalid")`, which names the setting, for what is no address.

        `wanted`: which of several hosts, as `target_session_attrs` says it.
        """
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query))
        schema = given.pop("schema", "public")
        if parts.scheme not in SCHEMES or not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema):
            raise LocalError("setting_invalid", name=name, value=cls._safe(url))
        given.setdefault("target_session_attrs", wanted)
        return cls(urlunsplit(parts._replace(query=urlencode(given))), schema)

    def with_setting(self, name: str, value: str) -> Address:
        """The same, for connections that begin with this setting of PostgreSQL."""
        parts = urlsplit(self.dsn)
        query = urlencode([*parse_qsl(parts.query), (name, value)])
        return replace(self, dsn=urlunsplit(parts._replace(query=query)))

    @property
    def shown(self) -> str:
        """Without the password."""
        return f"{self._safe(self.dsn.partition('?')[0])} ({self.schema})"

    @staticmethod
    def _safe(url: str) -> str:
        return re.sub(r"(?<=//)([^@/:]*):[^@/]*@", r"\1:***@", url)[:200]


class Pool(Protocol):
    """Gives connections and takes them back, as asyncpg's does."""

    async def acquire(self) -> Any: ...
    async def release(self, connection: Any) -> None: ...
    async def close(self) -> None: ...
    def terminate(self) -> None: ...


OpenPool = Callable[[Address, int], Awaitable[Pool]]
"""Opens a pool of at most so many connections."""


class _Connection(asyncpg.Connection):  # type: ignore[misc]
    __slots__ = ()

    def get_reset_query(self) -> str:
        return ""  # whoever gives one back has ended its transaction and set nothing


async def connect(address: Address) -> Any:
    """One connection, outside of every pool."""
    return await asyncpg.connect(address.dsn, timeout=CONNECT_S_MAX, server_settings=_settings(address))


async def open_pool(address: Address, size_max: int) -> Pool:
    return await asyncpg.create_pool(  # type: ignore[no-any-return]
        address.dsn,
        min_size=0,
        max_size=size_max,
        connection_class=_Connection,
        statement_cache_size=STATEMENTS_KEPT,
        timeout=CONNECT_S_MAX,
        server_settings=_settings(address),
    )


def _settings(address: Address) -> dict[str, str]:
    return {
        "search_path": address.schema,
        "application_name": "regulars",
        "jit": "off",  # it compiles for longer than these statements run
        "work_mem": "64MB",  # a rule groups the facts of all customers
        "lock_timeout": str(LOCK_MS_MAX),
        "idle_in_transaction_session_timeout": "60000",
    }


def said(error: BaseException, address: Address) -> RegularsError | None:
    """A driver's failure in this product's words; None for what it has no word for."""
    match error:
        case asyncpg.DiskFullError() | asyncpg.OutOfMemoryError():
            return Refused("storage_full")
        case asyncpg.CharacterNotInRepertoireError():
            return Refused("argument_invalid", reason="a text holds what no text can")
        case asyncpg.DataError() if type(error) is asyncpg.DataError:  # found by the driver, before sending
            return Refused("argument_invalid", reason="a value does not fit what it is compared with")
        case (
            asyncpg.DeadlockDetectedError()
            | asyncpg.SerializationError()
            | asyncpg.LockNotAvailableError()
            | asyncpg.PostgresConnectionError()
            | asyncpg.OperatorInterventionError()
            | asyncpg.InsufficientResourcesError()
            | asyncpg.ReadOnlySQLTransactionError()
            | asyncpg.InterfaceError()
            | asyncpg.TargetServerAttributeNotMatched()
            | TimeoutError()
            | OSError()
        ):
            return Refused("busy", seconds=BUSY_S)
        case asyncpg.IndexCorruptedError() | asyncpg.DataCorruptedError():
            return LocalError("file_damaged", file=address.shown, reason=str(error))
    return None


async def give_back(pool: Pool, connection: Asynchronous) -> None:
    """End whatever transaction is open and give the connection back, however often one is cancelled."""

    async def end() -> None:
        with contextlib.suppress(asyncpg.InterfaceError):  # one that was lost has been taken back already
            try:
                if not connection.is_closed() and connection.is_in_transaction():
                    await connection.execute("ROLLBACK")
            except (asyncpg.PostgresError, OSError):
                connection.terminate()
            await pool.release(connection)

    ending = asyncio.ensure_future(end())
    is_cancelled = False
    while not ending.done():
        try:
            await asyncio.wait([ending])
        except asyncio.CancelledError:
            is_cancelled = True
    ending.result()
    if is_cancelled:
        raise asyncio.CancelledError
