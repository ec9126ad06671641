"""A replica whose file was damaged: the next sync finds it, and fetches what is damaged and no more."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regulars import Shop
from regulars_server.authors import SERVER
from regulars_sync.protocol import DigestRequest, PullAnswer
from regulars_sync.round import SyncReport
from tests.support.chain import AppTransport, Chain, new_chain

ROWS = 5_000
SHARE_MAX = 0.05
"""Of what the whole replica is, so much may be moved to mend one entry."""
DAY = {"days": 1, "minutes": 1}


async def fill(chain: Chain, rows: int) -> None:
    """Customers with phones and tags, and visits, in one branch."""
    unit = chain.units["Nanjing Road"]
    for begin in range(0, rows, 1_000):
        groups = []
        for number in range(begin, min(begin + 1_000, rows), 2):
            customer = chain.new_id()
            fields: dict[str, Any] = {
                "name": f"林{number}",
                "home_unit": unit,
                f"phones/+86138{number:08}": f"138{number:08}",
                "tags/vip": True,
            }
            groups.append([chain.service.change("create", "customer", customer, fields)])
            visit = {
                "kind": "visit",
                "at": "2026-11-22T10:00:00.000Z",
                "party": [{"customer": customer, "role": "principal"}],
                "note": "likes oak",
            }
            groups.append([chain.service.change("create", "interaction", chain.new_id(), visit)])
        for rulings in await chain.service.admission.write(SERVER, groups):
            assert [ruling.verdict for ruling in rulings] == ["applied"]


class Counting(AppTransport):
    """Counts what comes, and lets somebody else act between all calls."""

    def __init__(self, chain: Chain) -> None:
        super().__init__(chain.app, chain.service)
        self.answers: list[tuple[str, int]] = []
        self.pages: list[PullAnswer] = []
        self.between: Callable[[], Any] | None = None

    async def post(self, path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        if self.between is not None:
            await self.between()
        status, answer = await super().post(path, body, token)
        self.answers.append((path.rpartition("/")[2], len(answer)))
        if path.endswith(("pull", "digest")) and status == 200:
            self.pages.append(msgspec.json.decode(answer, type=PullAnswer))
        return status, answer

    @property
    def rows(self) -> int:
        """How many rows came."""
        parts = [rows for page in self.pages for rows in page.pages]
        parts += [rows for page in self.pages for part in page.contents for rows in part.rows]
        return sum(len(part.rows) for part in parts)


@asynccontextmanager
async def tablet(folder: Path, rows: int = 60) -> AsyncIterator[tuple[Chain, Shop, Counting]]:
    """A tablet that holds so many rows, and its transport."""
    async with new_chain(folder) as chain:
        await fill(chain, rows)
        shop = await chain.tablet("a")
        transport = Counting(chain)
        shop._transport = transport
        report = await shop.sync()
        assert report.equal
        assert not report.repaired
        transport.answers.clear()
        transport.pages.clear()
        yield chain, shop, transport


def damage(shop: Shop, *statements: str, given: tuple[object, ...] = ()) -> int:
    """Change the replica's file as no product does; how many entries that touched."""
    connection: Any = shop._rows.file._connection
    return sum(connection._connection.execute(statement, given).rowcount for statement in statements)


async def sync_after_a_day(chain: Chain, shop: Shop) -> SyncReport:
    chain.clock.pass_(**DAY)
    return await shop.sync()


async def tables(shop: Shop) -> dict[str, list[tuple[Any, ...]]]:
    """All of the replica but what it says of time."""

    def work(connection: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
        names = ("row", "member", "digest", "find", "element")
        found = {name: sorted(connection.execute(f"SELECT * FROM {name}")) for name in names}
        return {**found, "words": sorted(connection.execute("SELECT entity, id, text FROM words"))}

    return await shop._rows.file.read(work)


CUSTOMER = "(SELECT id FROM row WHERE entity='customer' LIMIT 1)"
VISIT = "(SELECT id FROM member WHERE entity='interaction' LIMIT 1)"
DAMAGES = {
    "a byte of a document": "UPDATE row SET document = CAST(replace(document, '林', '材') AS BLOB) "
    f"WHERE id = {CUSTOMER}",
    "a document that is none": f"UPDATE row SET document = X'00' WHERE id = {CUSTOMER}",
    "a row lost": f"DELETE FROM row WHERE id = {CUSTOMER}",
    "a member lost": f"DELETE FROM member WHERE id = {VISIT}",
    "a member's hash": f"UPDATE member SET hash = zeroblob(16) WHERE id = {VISIT}",
    "a member of a scope nobody granted": f"UPDATE member SET scope = 'unit:nowhere' WHERE id = {VISIT}",
    "a member more": "INSERT INTO member SELECT scope, entity, 'x' || id, level, hash FROM member LIMIT 1",
    "a row more": "INSERT INTO row SELECT entity, 'x' || id, level, document FROM row LIMIT 1",
    "a row under another id": f"UPDATE row SET id = 'x' || id WHERE id = {VISIT}",
    "a digest": "UPDATE digest SET rows = rows + 1",
    "all digests lost": "DELETE FROM digest",
}
INDEX_DAMAGES = {
    "an entry of the order lost": "DELETE FROM find WHERE id = (SELECT id FROM find LIMIT 1)",
    "a word": "UPDATE words SET text = 'x' WHERE id = (SELECT id FROM words LIMIT 1)",
    "all words of a row": "DELETE FROM words WHERE id = (SELECT id FROM words LIMIT 1)",
    "an element lost": "DELETE FROM element WHERE id = (SELECT id FROM element LIMIT 1)",
    "an element more": "INSERT INTO element SELECT entity, field, 'x' || key, id FROM element LIMIT 1",
    "an entry of no row": "INSERT INTO find SELECT entity, sort, 'x' || id FROM find LIMIT 1",
    "words of no row": "INSERT INTO words SELECT 1e9, entity, 'x' || id, text FROM words LIMIT 1",
}


@pytest.mark.parametrize("what", DAMAGES | INDEX_DAMAGES)
async def test_damage_is_found_within_a_day_and_mended(tmp_path: Path, what: str) -> None:
    async with tablet(tmp_path) as (chain, shop, transport):
        before = await tables(shop)
        assert damage(shop, (DAMAGES | INDEX_DAMAGES)[what]) > 0
        report = await sync_after_a_day(chain, shop)
        assert (report.equal, report.problem) == (True, None)
        assert await tables(shop) == before
        assert await chain.digests_equal(shop)
        if what in INDEX_DAMAGES or "digest" in what:
            assert transport.rows == 0, "nothing of that comes from the server"


async def test_an_index_of_words_that_lost_some_is_found_within_a_day_and_made_anew(tmp_path: Path) -> None:
    async with tablet(tmp_path) as (chain, shop, transport):
        (lin, *_) = await shop.customers.search("林0")
        tokens = "(SELECT text FROM words WHERE id = ?1)"
        lose = f"INSERT INTO found(found, rowid, text) SELECT 'delete', n, {tokens} FROM words WHERE id = ?1"
        damage(shop, lose, given=(lin.id,))
        assert await shop.customers.search("林0") == []
        report = await sync_after_a_day(chain, shop)
        assert (report.equal, report.problem, transport.rows) == (True, None, 0)
        assert [c.id for c in await shop.customers.search("林0")] == [lin.id]


def flip(shop: Shop, table: str, column: str, row: int, at: int, bit: int) -> int:
    """Turn one bit of one value, as a worn disk would."""
    connection: Any = shop._rows.file._connection._connection  # type: ignore[union-attr]
    (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    key = {"row": "entity, id, level", "member": "scope, entity, id", "digest": "scope"}
    key |= {"find": "entity, id", "words": "entity, id", "element": "entity, field, key, id"}
    names = key[table]
    places = ", ".join(f"CAST({name} AS BLOB)" for name in names.split(", "))
    (old, *place) = connection.execute(
        f"SELECT CAST({column} AS BLOB), {places} FROM {table} LIMIT 1 OFFSET ?", (row % count,)
    ).fetchone()
    new = bytearray(old or b"x")
    new[at % len(new)] ^= 1 << bit
    kind = "BLOB" if column in {"document", "hash"} and table != "digest" else "TEXT"
    where = " AND ".join(f"CAST({name} AS BLOB) = ?" for name in names.split(", "))
    sql = f"UPDATE OR REPLACE {table} SET {column} = CAST(? AS {kind}) WHERE {where}"
    return int(connection.execute(sql, (bytes(new), *place)).rowcount)


COLUMNS = {
    "row": ["document", "id", "entity", "level"],
    "member": ["hash", "scope", "entity", "id", "level"],
    "digest": ["hash", "scope"],
    "find": ["sort", "id", "entity"],
    "words": ["text", "id", "entity"],
    "element": ["field", "key", "id", "entity"],
}


def test_whatever_turned_or_was_lost_is_mended_for_a_small_part_of_the_whole(tmp_path: Path) -> None:
    """Any entry of any table, flipped or lost, while head office writes between all calls."""
    with asyncio.Runner() as runner:
        opened = tablet(tmp_path, ROWS)
        chain, shop, transport = runner.run(opened.__aenter__())
        whole_bytes = sum(len(bytes(raw)) for raw in runner.run(documents(shop)))
        edited = runner.run(a_customer(shop))

        async def write() -> None:
            await chain.write("edit", "customer", edited, {"notes": f"at {chain.clock()}"})

        transport.between = write

        async def holds(act: Callable[[], int], is_key: bool) -> None:
            transport.answers.clear()
            transport.pages.clear()
            assert act() > 0
            report = await sync_after_a_day(chain, shop)
            assert (report.equal, report.problem) == (True, None)
            assert await chain.digests_equal(shop)
            if not is_key:  # what nobody can name any more costs all of it
                assert transport.rows < ROWS * SHARE_MAX
                assert sum(size for _, size in transport.answers) < whole_bytes * SHARE_MAX

        @settings(max_examples=24, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.data(), st.sampled_from(sorted(COLUMNS)), st.integers(0, 20_000))
        def flipped(data: st.DataObject, table: str, row: int) -> None:
            column = data.draw(st.sampled_from(COLUMNS[table]))
            at, bit = data.draw(st.integers(0, 200)), data.draw(st.integers(0, 7))
            is_text = column not in {"document", "hash"}
            runner.run(holds(lambda: flip(shop, table, column, row, at, bit), is_text and bit == 7))

        @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.sampled_from(sorted(COLUMNS)), st.integers(0, 20_000))
        def lost(table: str, row: int) -> None:
            given_ = "(SELECT {0} FROM {1} LIMIT 1 OFFSET {2} % (SELECT count(*) FROM {1}))"
            first = {"digest": "scope"}.get(table, "id")
            sql = f"DELETE FROM {table} WHERE {first} = {given_.format(first, table, row)}"
            runner.run(holds(lambda: damage(shop, sql), False))

        flipped()
        lost()
        runner.run(opened.__aexit__(None, None, None))


async def documents(shop: Shop) -> list[bytes]:
    return await shop._rows.file.read(lambda c: [raw for (raw,) in c.execute("SELECT document FROM row")])


async def a_customer(shop: Shop) -> str:
    (found,) = await shop.customers.search("林0", limit=1)
    return found.id


async def test_writes_between_all_calls_are_never_taken_for_damage(tmp_path: Path) -> None:
    async with tablet(tmp_path) as (chain, shop, transport):
        customer = await a_customer(shop)

        async def write() -> None:
            await chain.write("edit", "customer", customer, {"notes": f"at {chain.clock()}"})

        transport.between = write
        for number in range(20):
            await shop.customers.edit(customer, gender="female" if number % 2 else "male")
            report = await sync_after_a_day(chain, shop)
            assert (report.equal, report.problem, report.repaired) == (True, None, {})
        assert {path for path, _ in transport.answers} == {"pull", "push"}


async def test_damage_is_found_at_the_first_sync_after_opening(tmp_path: Path) -> None:
    async with tablet(tmp_path) as (chain, shop, _):
        damage(shop, DAMAGES["a byte of a document"])
        assert (await shop.sync()).repaired == {}, "not yet: it was counted a moment ago"
        shop._audited_ms = None  # as in a shop that was just opened
        report = await shop.sync()
        assert report.equal
        assert list(report.repaired) == [f"unit:{chain.units['Nanjing Road']}"]
        assert (await shop.sync()).repaired == {}
        assert await chain.digests_equal(shop)


async def test_damage_beyond_half_of_the_rows_fetches_all_of_them(tmp_path: Path) -> None:
    async with tablet(tmp_path) as (chain, shop, transport):
        damage(shop, "UPDATE row SET document = X'00'")
        report = await sync_after_a_day(chain, shop)
        assert report.equal
        assert report.repaired == {}
        assert [path for path, _ in transport.answers] == ["pull", "digest", "pull"]
        assert await chain.digests_equal(shop)


async def test_a_replica_behind_by_more_than_a_page_catches_up_before_it_is_compared(tmp_path: Path) -> None:
    async with tablet(tmp_path) as (chain, shop, transport):
        is_due = True

        async def write() -> None:
            nonlocal is_due
            if is_due and [path for path, _ in transport.answers] == ["pull"]:
                is_due = False
                await fill(chain, 2_400)

        transport.between = write
        damage(shop, DAMAGES["a byte of a document"])
        report = await sync_after_a_day(chain, shop)
        assert [path for path, _ in transport.answers] == ["pull", "digest", "pull", "digest", "digest"]
        assert report.equal
        assert await chain.digests_equal(shop)


async def test_contents_that_exceed_a_page_come_in_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tablet(tmp_path, 2_000) as (chain, shop, transport):
        monkeypatch.setattr("regulars_server.pull.PAGE_BYTES_MAX", 20_000)
        some = "SELECT id FROM row WHERE entity='customer' LIMIT 20"
        assert damage(shop, f"UPDATE row SET document = X'00' WHERE id IN ({some})") == 20
        report = await sync_after_a_day(chain, shop)
        assert report.equal
        paths = [path for path, _ in transport.answers]
        assert paths.count("pull") == 1
        assert paths.count("digest") > 2
        largest = max(size for path, size in transport.answers if path == "digest")
        assert largest < 20_000 + 30_000, "contents, the buckets' digests, and one bucket more"
        assert 20 <= sum(report.repaired.values()) < 500
        assert await chain.digests_equal(shop)


async def test_bucket_digests_are_of_granted_scopes_only(tmp_path: Path) -> None:
    async with tablet(tmp_path) as (chain, shop, transport):
        other = f"unit:{chain.units['Orchard']}"
        own = f"unit:{chain.units['Nanjing Road']}"
        asked = DigestRequest(
            schema=shop.registry.version,
            cursor=await shop._rows.cursor(),
            scopes=[own, other],
            buckets={own: [1000, -1], other: list(range(256))},
        )
        token = (await shop._outbox.said())["token"]
        await transport.post("/sync/v1/digest", msgspec.json.encode(asked), str(token))
        (page,) = transport.pages
        assert page.buckets is not None
        assert list(page.buckets) == [own]
        assert page.contents == []
        whole = sum(count for count, _ in page.buckets[own].values())
        assert page.head is not None
        assert page.head.digests[own][0] == whole > 0
