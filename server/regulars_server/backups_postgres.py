"""Backups of a chain in PostgreSQL: files as of one in SQLite, so either engine takes the other's copies."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

from regulars_server.backups import Copy, appearing, joined, keep, look
from regulars_server.journal import JOURNAL
from regulars_server.storage import copying
from regulars_server.storage.postgres import Address
from regulars_sync.errors import LocalError

_OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname=current_database() AND pid <> pg_backend_pid()"
    " AND application_name='regulars'"
)


async def back_up(
    address: Address, folder: Path, copy: Path, on_progress: copying.Progress = copying.in_silence
) -> Copy:
    """Copy a chain that may be in use, whose journal is in this folder. As `backups.back_up`."""
    with appearing(copy, folder) as part:
        async with copying.from_postgres(address) as source, copying.to_sqlite(str(part)) as target:
            await copying.copy(source, target, on_progress)
    return look(copy)


async def put_back(
    copy: Path,
    address: Address,
    folder: Path,
    aside: str,
    epoch: str,
    on_progress: copying.Progress = copying.in_silence,
) -> Copy:
    """Let a chain go on from a copy, under another epoch; what was there is kept as the schema `aside`.

    No server may be connected: `LocalError("file_busy")`. Else as `backups.put_back`.
    """
    found = look(copy)
    fresh = replace(address, schema=f"{address.schema}_restored")
    async with copying.connected(address) as connection:
        there = await connection.fetchval("SELECT to_regclass($1)::text", f'"{address.schema}".chain')
        if there and await connection.fetchval("SELECT id FROM chain") != found.chain:
            raise LocalError("chain_other")
        if await connection.fetchval(_OTHERS):
            raise LocalError("file_busy", file=address.shown)
        await connection.execute(f'DROP SCHEMA IF EXISTS "{fresh.schema}" CASCADE')
        with TemporaryDirectory(dir=copy.parent, prefix=".restoring-") as place:  # what is opened is migrated
            file = shutil.copyfile(copy, Path(place) / copy.name)
            async with copying.from_sqlite(str(file)) as source, copying.to_postgres(fresh) as target:
                await copying.copy(source, target, on_progress)
        await connection.execute(f'UPDATE "{fresh.schema}".chain SET epoch=$1', epoch)
        keep(joined(copy, folder), folder / JOURNAL)
        async with connection.transaction():
            if there:
                await connection.execute(f'ALTER SCHEMA "{address.schema}" RENAME TO "{aside}"')
            try:
                await connection.execute(f'DROP SCHEMA IF EXISTS "{address.schema}"')
            except asyncpg.DependentObjectsStillExistError as error:  # somebody else's tables
                raise LocalError("file_foreign", file=address.shown) from error
            await connection.execute(f'ALTER SCHEMA "{fresh.schema}" RENAME TO "{address.schema}"')
    return found
