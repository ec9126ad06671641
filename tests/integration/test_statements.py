"""SQL statements of a pull, a push and a comparison: as many for a thousand rows as for ten, at both ends."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regulars import Shop
from regulars.files import InlineConnection
from regulars_schema.entities import REGISTRY
from regulars_server import identities
from regulars_server.storage.sqlite import SqliteStorage
from regulars_server.storage.sqlite.connection import InlineConnection as Driver
from regulars_sync import audit
from tests.support.chain import AppTransport, Chain, new_chain, seeded
from tests.support.counted import Counted

FEW, MANY = 10, 1_000


class CountingTransport(AppTransport):
    """Gives what the server did to the kind of call that made it do it."""

    def __init__(self, chain: Chain, at: dict[str, str]) -> None:
        super().__init__(chain.app, chain.service)
        self._at = at

    async def post(self, path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        self._at["server"] = path.rpartition("/")[2]
        return await super().post(path, body, token)


async def statements(folder: Path, rows: int) -> dict[str, Counter[str]]:
    """By end and by kind of call or step, the statements of a round that moves so many rows each way."""
    found: dict[str, Counter[str]] = {"server": Counter(), "tablet": Counter()}
    at = {"server": "", "tablet": ""}

    def counting(end: str) -> Callable[[str], None]:
        def count(sql: str) -> None:
            found[end][at[end]] += 1

        return count

    async def connect(opener: Callable[[], sqlite3.Connection]) -> Driver:
        return Driver(Counted(opener(), counting("server")))  # type: ignore[arg-type]

    storage = SqliteStorage(folder / "chain.db", REGISTRY, seeded(1), readers=1, connect=connect)
    async with new_chain(folder, storage) as chain:
        shop = await chain.tablet("a")
        other = await chain.tablet("b")
        shop._transport = CountingTransport(chain, at)
        for file in (shop._rows.file, shop._outbox.file):
            connection: Any = file._connection
            assert isinstance(connection, InlineConnection)
            counted: Any = Counted(connection._connection, counting("tablet"))
            connection._connection = counted

        async def write(to: Shop) -> None:
            async with to.transaction():
                for number in range(rows // 2):
                    customer = await to.customers.create(name=f"Lin {number}", tags=["vip"])
                    await to.interactions.record(customer, kind="visit")

        await write(other)
        assert (await other.sync()).applied == rows
        await write(shop)
        await shop.sync(lambda step: at.update(tablet=step))
        at["tablet"] = ""
        async with shop.transaction():
            for customer_ in await other.customers.list(limit=rows):
                await shop.customers.edit(customer_.id, home_unit=chain.units["Orchard"])
        raw: Any = shop._rows.file._connection
        for entity in ("customer", "interaction"):
            some = (
                f"SELECT id FROM row WHERE entity = '{entity}' ORDER BY id DESC LIMIT {max(1, rows // 100)}"
            )
            sql = f"UPDATE row SET document = X'00' WHERE entity = '{entity}' AND id IN ({some})"
            raw._connection._connection.execute(sql)
        chain.clock.pass_(days=1, minutes=1)
        report = await shop.sync(lambda step: at.update(tablet=step))
        assert (report.equal, report.problem) == (True, None)
        assert report.repaired
        assert report.left >= rows // 2
    for counts in found.values():
        del counts[""]
    return found


async def test_statements_do_not_grow_with_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice of the audit counts as one; so does a batch of new customers that are compared with others."""
    monkeypatch.setattr(audit, "SLICE_ROWS", 1_000_000)
    monkeypatch.setattr(identities, "MATCHED_AT_ONCE", 1_000_000)
    (tmp_path / "few").mkdir()
    (tmp_path / "many").mkdir()
    few = await statements(tmp_path / "few", FEW)
    many = await statements(tmp_path / "many", MANY)
    assert set(few["server"]) == {"pull", "push", "digest"}
    assert {"stage", "apply", "outgoing", "compare"} <= set(few["tablet"])
    grown = many["tablet"].pop("apply") - few["tablet"].pop("apply")
    assert 0 <= grown <= 3, "once more it was looked for facts that came before their customers"
    assert few == many
