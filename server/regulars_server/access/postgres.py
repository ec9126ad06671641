"""Tortoise's client for asyncpg, with connections made where the chain's own are made."""

from __future__ import annotations

from typing import Any

from tortoise.backends.asyncpg.client import AsyncpgDBClient

from regulars_server.storage.postgres.pool import Address, OpenPool, Pool

CONNECTIONS_MAX = 2
"""Of each of the two clients of `Database`."""


class Client(AsyncpgDBClient):
    async def create_pool(self, *, address: Address, open_pool: OpenPool, **unused: Any) -> Pool:  # type: ignore[override]
        return await open_pool(address, CONNECTIONS_MAX)


client_class = Client
