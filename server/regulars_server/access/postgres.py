"""The tables of access in a chain's PostgreSQL schema: Tortoise's client, with connections made where the
chain's own are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tortoise.backends.asyncpg.client import AsyncpgDBClient

from regulars_server.storage.postgres.pool import Address, OpenPool, Pool, open_pool, said
from regulars_sync.errors import RegularsError

CONNECTIONS_MAX = 2
"""Of each of the clients of `Database`."""


@dataclass(frozen=True, slots=True)
class AccessTables:
    """Where they are."""

    address: Address
    open_pool: OpenPool = open_pool

    @property
    def config(self) -> dict[str, Any]:
        return self._config(self.address)

    @property
    def lax(self) -> dict[str, Any]:
        return self._config(self.address.with_setting("synchronous_commit", "off"))

    def _config(self, address: Address) -> dict[str, Any]:
        return {"engine": __name__, "credentials": {"address": address, "open_pool": self.open_pool}}

    def say(self, error: Exception) -> RegularsError | None:
        return said(error, self.address)


class Client(AsyncpgDBClient):
    async def create_pool(  # type: ignore[override]
        self, *, address: Address, open_pool: OpenPool, **unused: Any
    ) -> Pool:
        return await open_pool(address, CONNECTIONS_MAX)


client_class = Client
