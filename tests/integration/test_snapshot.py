"""A first sync by snapshot: what comes of it is what pages would bring, wherever it breaks off."""

from __future__ import annotations

import asyncio
import errno
import random
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
import zstandard
from hypothesis import given
from hypothesis.strategies import text

from regulars import Shop
from regulars.replica import Replica
from regulars_schema.entities import REGISTRY
from regulars_server import devices, erasure
from regulars_server.downloads import ranged
from regulars_sync.replica_layout import Key
from tests.support.chain import Chain, new_chain

PATH = f"/sync/v1/snapshot?schema={REGISTRY.version}"


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path, snapshot_rows_min=1) as made:
        one = await made.tablet("one", sensitive=True)
        for number in range(60):
            lin = await one.customers.create(
                name=f"林芳 {number}", phone=f"138 0013 {number:04}", belief="calm"
            )
            await one.interactions.record(lin, kind="visit", note="likes oak" * (number % 7))
        await one.sync()
        shutil.rmtree(made.folder / "snapshots")  # its own first sync's, of an empty chain
        yield made


async def same(chain: Chain, shop: Shop) -> bool:
    """Whether the tablet, after a sync, holds byte for byte what the server's scopes hold."""
    report = await shop.sync()
    return report.equal and await chain.digests_equal(shop)


def kept(chain: Chain) -> list[Path]:
    return sorted(chain.folder.glob("snapshots/*"))


def beside(chain: Chain, name: str) -> list[str]:
    return sorted(file.name for file in chain.folder.glob(f"{name}.db.snapshot*"))


async def get(chain: Chain, shop: Shop, path: str = PATH, **headers: str) -> httpx2.Response:
    given = {"authorization": f"Bearer {shop._said['token']}"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    transport = httpx2.ASGITransport(chain.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://hq") as client:
        return await client.get(path, headers=given)


async def rows(shop: Shop) -> dict[str, list[tuple[Any, ...]]]:
    """All that a replica finds rows by, and the rows."""

    def work(connection: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
        tables = ("row", "member", "digest", "find", "element")
        found = {
            name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2, 3").fetchall() for name in tables
        }
        found["words"] = connection.execute("SELECT entity, id, text FROM words ORDER BY 1, 2").fetchall()
        return found

    return await shop._rows.file.read(work)


async def test_a_first_sync_is_one_file_and_leaves_what_pages_would(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    two, three = await chain.tablet("two"), await chain.tablet("three")
    own = await two.customers.create(name="王伟")
    told: list[tuple[str, int, int]] = []
    report = await two.sync(on_progress=lambda *said: told.append(said))
    assert (report.equal, report.problem, report.pushed) == (True, None, 1)
    assert told[-1] == ("fetch", report.snapshot_bytes, report.snapshot_bytes)
    assert report.pulled > 120
    assert beside(chain, "two") == []
    assert [c.id for c in await two.customers.search("王伟")] == [own.id]
    monkeypatch.setattr(three._snapshot, "fetch", no_snapshot)
    by_pages = await three.sync()
    assert (by_pages.equal, by_pages.snapshot_bytes) == (True, 0)
    assert await same(chain, two)
    assert await rows(two) == await rows(three)
    assert (await two.sync()).snapshot_bytes == 0


async def no_snapshot(*given: Any) -> int:
    return 0


async def test_rows_stay_readable_until_the_new_ones_take_their_place(chain: Chain) -> None:
    two = await chain.tablet("two")
    await two.sync()
    before = await two.customers.list(limit=1000)
    await two.customers.edit(before[0].id, notes="pending")
    await chain.service.storage.new_epoch()
    transport = chain.transports["two"]
    seen: list[int] = []

    async def look_and_write() -> None:
        seen.append(len(await two.customers.list(limit=1000)))
        await two.customers.create(name=f"Somebody {len(seen)}")

    transport.on_chunk = look_and_write
    report = await two.sync()
    assert (report.equal, report.snapshot_bytes > 0) == (True, True)
    assert seen == [len(before) + i for i in range(len(seen))]
    assert (await two.customers.get(before[0].id)).notes == "pending"
    assert len(await two.customers.list(limit=1000)) == len(before) + len(seen)
    assert await same(chain, two)


@pytest.mark.parametrize("lost", ["all but one byte", "half", "one byte", "no byte, but its end"])
async def test_a_fetch_that_breaks_off_goes_on_where_it_stood(chain: Chain, lost: str) -> None:
    two = await chain.tablet("two")
    transport = chain.transports["two"]
    size = len((await get(chain, two)).content)
    at = {"all but one byte": 1, "half": size // 2, "one byte": size - 1}.get(lost, size)
    transport.cut_after = at
    report = await two.sync()
    assert report.problem is not None
    assert (report.problem.code, report.pages) == ("offline", 0)
    assert [file.removeprefix("two.db.") for file in beside(chain, "two")] == [
        "snapshot.etag",
        "snapshot.part",
    ]
    one = chain.shops["one"]
    await one.customers.create(name="written meanwhile")
    await one.sync()
    report = await two.sync()
    assert (report.equal, report.snapshot_bytes) == (True, size - at)
    assert [start for start, _ in transport.fetches] == ([0, at] if at < size else [0])
    assert await same(chain, two)
    assert beside(chain, "two") == []


async def test_a_line_that_carries_a_few_bytes_at_a_time_brings_all_of_them(chain: Chain) -> None:
    two = await chain.tablet("two")
    transport = chain.transports["two"]
    size = len((await get(chain, two)).content)
    chance = random.Random(4)
    came = 0
    while came < size:
        step = chance.choice([1, 2, 3, 100, 4_095, 4_096, 4_097])
        transport.cut_after = min(step, size - came)
        came += transport.cut_after
        assert (await two.sync()).problem is not None
    report = await two.sync()
    assert (report.equal, report.snapshot_bytes) == (True, 0)
    assert await same(chain, two)


async def test_a_line_on_which_nothing_of_it_comes_is_left_for_pages(chain: Chain) -> None:
    two = await chain.tablet("two")
    chain.transports["two"].cut_after = 0
    report = await two.sync()
    assert (report.equal, report.snapshot_bytes) == (True, 0)
    assert await same(chain, two)


async def test_another_file_on_the_server_starts_anew(chain: Chain) -> None:
    two, three = await chain.tablet("two"), await chain.tablet("three")
    transport = chain.transports["two"]
    transport.cut_after = 500
    await two.sync()
    for place in kept(chain):
        shutil.rmtree(place)
    await chain.shops["one"].customers.create(name="later")
    await chain.shops["one"].sync()
    size = len((await get(chain, three)).content)
    report = await two.sync()
    assert (report.equal, report.snapshot_bytes) == (True, size)
    assert transport.fetches[-1][0] == 500
    assert await same(chain, two)


async def test_bytes_that_were_altered_on_the_way_are_thrown_away_and_pages_come(chain: Chain) -> None:
    two = await chain.tablet("two")
    transport = chain.transports["two"]
    transport.cut_after = 700
    await two.sync()
    part = chain.folder / "two.db.snapshot.part"
    raw = bytearray(part.read_bytes())
    raw[300] ^= 1
    part.write_bytes(raw)
    report = await two.sync()
    assert (report.equal, report.pages > 0) == (True, True)
    assert beside(chain, "two") == []
    assert await same(chain, two)


async def test_a_snapshot_whose_rows_are_not_the_servers_never_takes_their_place(chain: Chain) -> None:
    """It is looked at once; pages bring the rows."""
    two = await chain.tablet("two")
    opened, taken = two._snapshot.open, 0

    async def altered(chain: str | None) -> Replica | None:
        nonlocal taken
        made = await opened(chain)
        if made is not None:
            taken += 1
            await made.file.write(lambda c: c.execute("UPDATE digest SET rows = rows + 1").rowcount)
        return made

    async def become(other: Path) -> set[Key]:
        raise AssertionError(other)

    two._snapshot.open = altered  # type: ignore[method-assign]
    two._rows.become = become  # type: ignore[method-assign]
    report = await two.sync()
    assert (report.equal, report.pages > 0, taken) == (True, True, 1)
    assert beside(chain, "two") == []
    assert await same(chain, two)


async def test_where_a_snapshot_finds_no_room_pages_come(chain: Chain) -> None:
    two = await chain.tablet("two")

    async def full(transport: object, token: str, on_progress: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    two._snapshot.fetch = full  # type: ignore[method-assign]
    report = await two.sync()
    assert (report.equal, report.pages > 0, report.problem) == (True, True, None)
    assert await same(chain, two)


@pytest.mark.parametrize("alien", [b"<html>log in</html>", b"\x28\xb5\x2f\xfd", b""])
async def test_what_is_no_snapshot_is_no_replica(chain: Chain, alien: bytes) -> None:
    """A file that a crash, or somebody, left at the snapshot's place."""
    two = await chain.tablet("two")
    (chain.folder / "two.db.snapshot").write_bytes(alien)
    assert (await two.sync()).equal
    assert await same(chain, two)


async def test_a_snapshot_of_another_chain_is_thrown_away(chain: Chain, tmp_path_factory: Any) -> None:
    two = await chain.tablet("two")
    async with new_chain(tmp_path_factory.mktemp("other"), snapshot_rows_min=1, seed=9) as other:
        alien = await other.tablet("two")
        raw = zstandard.decompress((await get(other, alien)).content)
    (chain.folder / "two.db.snapshot").write_bytes(raw)
    assert (await two.sync()).equal
    assert await same(chain, two)


async def test_what_was_caught_up_to_half_is_gone_on_with(tmp_path: Path) -> None:
    """The pulls behind a snapshot are kept too; pages hold one row."""
    async with new_chain(tmp_path, snapshot_rows_min=1, page_rows_max=1) as chain:
        one, two = await chain.tablet("one"), await chain.tablet("two")
        transport = chain.transports["two"]
        await get(chain, two)
        for number in range(30):
            await one.customers.create(name=f"later {number}")
        await one.sync()
        transport.offline_after_pulls = 10
        report = await two.sync()
        assert report.problem is not None
        assert (report.pages, report.snapshot_bytes > 0) == (10, True)
        assert beside(chain, "two") == ["two.db.snapshot"]
        assert (await two.status()).rows == 0
        transport.offline_after_pulls = None
        report = await two.sync()
        assert (report.equal, report.snapshot_bytes) == (True, 0)
        assert len(transport.fetches) == 1
        assert await same(chain, two)
        assert beside(chain, "two") == []


# --- what the server serves -----------------------------------------------------------------------------


async def test_the_file_holds_its_scopes_and_nothing_of_others(chain: Chain) -> None:
    far = await chain.tablet("far", unit="Orchard")
    await far.customers.create(name="Faraway", belief="far belief")
    await far.sync()
    shutil.rmtree(chain.folder / "snapshots")
    plain, sensitive = await chain.tablet("two"), chain.shops["one"]
    for shop, its, others in (
        (plain, [b"likes oak"], [b"calm", b"Faraway", b"far belief"]),
        (sensitive, [b"likes oak", b"calm"], [b"Faraway", b"far belief"]),
        (far, [b"Faraway"], [b"calm", b"far belief", b"likes oak"]),
    ):
        raw = zstandard.decompress((await get(chain, shop)).content)
        assert all(trace in raw for trace in its)
        assert not any(trace in raw for trace in others)
        with closing(sqlite3.connect(":memory:")) as file:
            file.deserialize(raw)
            scopes = {scope for (scope,) in file.execute("SELECT DISTINCT scope FROM member")}
            assert not any(scope.startswith("device:") for scope in scopes)
    assert len(kept(chain)) == 3


async def test_ranges(chain: Chain) -> None:
    two = await chain.tablet("two")
    whole = await get(chain, two)
    tag, size = whole.headers["etag"], len(whole.content)
    assert whole.status_code == 200
    assert whole.headers["accept-ranges"] == "bytes"
    assert int(whole.headers["content-length"]) == size
    asked_for = {
        "0-": (0, size),
        "7-": (7, size),
        "7-9": (7, 10),
        "-5": (size - 5, size),
        "3-99999999": (3, size),
    }
    for asked, (start, end) in asked_for.items():
        answer = await get(chain, two, range=f"bytes={asked}", if_range=tag)
        assert (answer.status_code, answer.content) == (206, whole.content[start:end])
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    beyond = await get(chain, two, range=f"bytes={size}-", if_range=tag)
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    ignored = {"range": "bytes=7-", "if_range": '"other"'}, {"range": "bytes=1-2,4-5"}, {"range": "rows=7-"}
    for headers in ignored:
        answer = await get(chain, two, **headers)
        assert (answer.status_code, answer.content) == (200, whole.content)


@given(text())
def test_a_range_that_is_none_is_ignored(asked: str) -> None:
    found = ranged(asked, 100)
    assert found is None or (found[0] >= 0 and found[1] <= 100)


async def test_who_may_not_pull_gets_no_snapshot_and_the_same_answer(chain: Chain) -> None:
    two = await chain.tablet("two")
    await get(chain, two)
    await devices.revoke(chain.service, two._said["device"])
    refused = await get(chain, two)
    assert (refused.status_code, refused.json()["code"]) == (403, "device_revoked")
    await two._outbox.say({"token": "none"})
    assert (await get(chain, two)).status_code == 401


async def test_a_device_that_is_revoked_while_it_fetches_gets_no_further_byte(chain: Chain) -> None:
    two = await chain.tablet("two")
    chain.transports["two"].cut_after = 500
    await two.sync()
    await devices.revoke(chain.service, two._said["device"])
    report = await two.sync()
    assert report.wiped
    assert beside(chain, "two") == []


async def test_versions_too_old_get_none_and_tiny_chains_pull_by_pages(
    chain: Chain, tmp_path_factory: Any
) -> None:
    two = await chain.tablet("two")
    said = {0: "schema_too_old", "x": "argument_invalid", "": "argument_invalid"}
    for schema, code in said.items():
        assert (await get(chain, two, f"/sync/v1/snapshot?schema={schema}")).json()["code"] == code
    async with new_chain(tmp_path_factory.mktemp("tiny")) as tiny:
        shop = await tiny.tablet("one")
        assert (await get(tiny, shop)).json()["code"] == "snapshot_none"
        assert (await shop.sync()).equal


async def test_a_snapshot_is_served_again_until_a_row_left(chain: Chain) -> None:
    two = await chain.tablet("two")
    tag = (await get(chain, two)).headers["etag"]
    one = chain.shops["one"]
    await one.customers.create(name="later")
    await one.sync()
    assert (await get(chain, two)).headers["etag"] == tag
    (moved, *_) = await one.customers.list()
    await one.customers.edit(moved, home_unit=chain.units["Orchard"])
    await one.sync()
    again = await get(chain, two)
    assert again.headers["etag"] != tag
    assert moved.id.encode() not in zstandard.decompress(again.content)
    assert len(kept(chain)) == 1
    assert await same(chain, two)


async def test_a_long_feed_behind_it_makes_it_void(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regulars_server.snapshots.BEYOND_ROWS", 0)
    two = await chain.tablet("two")
    tag = (await get(chain, two)).headers["etag"]
    one = chain.shops["one"]
    for _ in range(40):
        await one.customers.create(name="later")
    await one.sync()
    assert (await get(chain, two)).headers["etag"] != tag


async def test_those_who_ask_while_it_is_made_get_the_same_one(chain: Chain) -> None:
    shops = [await chain.tablet(f"t{i}") for i in range(3)]
    answers = await asyncio.gather(*(get(chain, shop) for shop in shops))
    assert len({answer.headers["etag"] for answer in answers}) == 1
    assert len(kept(chain)) == 1


async def test_a_former_process_s_file_is_used_again_unless_it_is_broken(chain: Chain) -> None:
    two = await chain.tablet("two")
    tag = (await get(chain, two)).headers["etag"]
    service = chain.service
    assert service.snapshots is not None
    (chain.folder / "snapshots" / "x-0-y.building").mkdir()
    service.snapshots._checked.clear()
    assert (await get(chain, two)).headers["etag"] == tag
    (place,) = [place for place in kept(chain) if place.suffix != ".building"]
    raw = bytearray((place / "replica.zst").read_bytes())
    raw[len(raw) // 2] ^= 1
    (place / "replica.zst").write_bytes(raw)
    service.snapshots._checked.clear()
    again = await get(chain, two)
    zstandard.decompress(again.content)
    assert len(kept(chain)) == 1


async def test_few_are_kept(tmp_path: Path) -> None:
    async with new_chain(tmp_path, snapshot_rows_min=1, snapshot_files_max=2) as chain:
        for name, unit, sensitive in (("a", "Orchard", False), ("b", "Orchard", True), ("c", "hq", False)):
            shop = await chain.tablet(name, unit=unit, sensitive=sensitive)
            await shop.sync()
        assert len(kept(chain)) == 2


async def test_a_restored_server_serves_nothing_of_what_it_lost(chain: Chain) -> None:
    copy = await chain.back_up()
    one, two = chain.shops["one"], await chain.tablet("two")
    await one.customers.create(name="Lost One")
    await one.sync()
    first = await get(chain, two)
    assert b"Lost One" in zstandard.decompress(first.content)
    await chain.restore(copy)
    three = await chain.tablet("three")
    again = await get(chain, three)
    assert b"Lost One" not in zstandard.decompress(again.content)
    for _ in range(2):
        await one.sync()
        await three.sync()
    assert await same(chain, one)
    assert await same(chain, three)


async def test_who_was_erased_is_in_no_file_and_in_no_tablet_that_starts_from_one(chain: Chain) -> None:
    one, two = chain.shops["one"], await chain.tablet("two")
    lin = await one.customers.create(name="Erased One", notes="her notes")
    wang = await one.customers.create(name="Wang")
    party = [{"customer": lin.id, "name": "Erased One"}, {"customer": wang.id}]
    await one.interactions.record(party, kind="visit", note="with her")
    await two.sync()
    await one.sync()
    await two.sync()
    await two.customers.edit(lin.id, notes="her notes too")
    await two.sync()
    assert kept(chain)
    await erasure.erase(chain.service, lin.id, "asked")
    assert kept(chain) == []
    await two._rows.reset()  # as after any reset: what it learns comes from the snapshot
    report = await two.sync()
    assert (report.equal, report.snapshot_bytes > 0) == (True, True)
    await same(chain, two)
    files = [file for at in ("snapshots/*/*", "two.*", "chain.db*") for file in chain.folder.glob(at)]
    for trace in (b"Erased One", b"her notes", b"with her"):
        assert not [file for file in files if trace in file.read_bytes()]
    raw = zstandard.decompress((await get(chain, two)).content)
    assert b"Erased One" not in raw


async def test_an_erasure_while_it_is_made_takes_it_away(chain: Chain) -> None:
    two, snapshots = await chain.tablet("two"), chain.service.snapshots
    assert snapshots is not None
    (lin, *_) = await chain.shops["one"].customers.list()
    offload, steps = snapshots._offload, []

    async def erased_in_between(work: Any, /, *given: Any) -> Any:
        steps.append(work.__name__)
        if work.__name__ == "_pack" and steps.count("_pack") == 1:
            await erasure.erase(chain.service, lin.id, "asked")
            assert kept(chain) == []
        return await offload(work, *given)

    snapshots._offload = erased_in_between
    answer = await get(chain, two)
    assert steps.count("_pack") == 2
    assert answer.status_code == 200
    assert f'"{lin.name}"'.encode() not in zstandard.decompress(answer.content)
    assert await same(chain, two)


async def test_a_server_that_stops_ends_what_is_being_made(chain: Chain) -> None:
    two = await chain.tablet("two")
    chain.service.hub.close()
    answer = await get(chain, two)
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert kept(chain) == []


async def test_a_takeover_that_a_failing_disk_left_open_is_in_nobodys_way(chain: Chain) -> None:
    two = await chain.tablet("two")
    connection = two._rows.file._connection
    assert connection is not None
    await connection.run(lambda c: c.execute("ATTACH ':memory:' AS other").fetchall())
    report = await two.sync()
    assert (report.equal, report.problem) == (True, None)
    assert await same(chain, two)
