"""What is let go of in time, and what is not: nobody misses a departure, and nothing comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regulars import Shop
from regulars_schema.entities import REGISTRY
from regulars_server import erasure, jobs, retention
from regulars_server.authors import SERVER
from regulars_server.pull import DAY_MS, pull
from regulars_server.storage.interface import Storage
from regulars_server.storage.memory import MemoryStorage
from regulars_server.storage.sqlite import SqliteStorage, inline
from regulars_sync.errors import Refused
from regulars_sync.protocol import PullRequest
from regulars_sync.reconcile import Author
from tests.contract.rows import UNITS, Scribe, cid, uid
from tests.support.chain import Chain, new_chain

DEPARTURES_DAYS = 400


async def tidy(chain: Chain) -> None:
    await retention.tidy(chain.service.storage, chain.clock(), DEPARTURES_DAYS)


# --- the law --------------------------------------------------------------------------------------------

DEVICE = uid(9)
SCOPES = ("chain", f"device:{DEVICE}", f"unit:{UNITS[0]}", f"unit:{UNITS[1]}")
Rows = dict[tuple[str, str, str], bytes]


async def follow(
    storage: Storage, scopes: frozenset[str], rows: Rows, cursor: str | None, pages: int | None = None
) -> str | None:
    """Pull so many pages, or to the head, into these rows; the cursor then."""
    author = Author(DEVICE, scopes, UNITS[0])
    while pages is None or pages > 0:
        request = PullRequest(schema=1, cursor=cursor, rows_max=2)
        page = orjson.loads(await pull(storage, author, request, 0, rows_max=2, backup_days=30))
        if cursor is None:
            rows.clear()
        cursor = page["cursor"]
        for part in page["pages"]:
            for document in part["rows"]:
                rows[part["scope"], part["entity"], document["id"]] = orjson.dumps(document)
            for id in part["left"]:
                rows.pop((part["scope"], part["entity"], id), None)
        for scope in page["dropped"]:
            for key in [key for key in rows if key[0] == scope]:
                del rows[key]
        if page["head"] is not None:
            break
        pages = None if pages is None else pages - 1
    return cursor


step = st.one_of(
    st.tuples(st.just("move"), st.integers(0, 5), st.integers(0, 1)),
    st.tuples(st.just("new"), st.integers(6, 30), st.integers(0, 1)),
    st.tuples(st.just("pull"), st.integers(1, 4), st.integers(0, 1)),
    st.tuples(st.just("days"), st.integers(1, 250), st.just(0)),
)


async def hold(storage: Storage, steps: list[tuple[str, int, int]]) -> None:
    """Play; then, for every cursor ever given out, compact, pull from it, and compare with a pull of all."""
    await storage.open()
    try:
        scribe = Scribe()
        homes: dict[int, list[str]] = {}
        await scribe.push(storage, [scribe.customer(i, i % 2) for i in range(6)])
        homes = {i: [cid(i + 1)] for i in range(6)}
        rows: Rows = {}
        cursor: str | None = None
        given_out: list[tuple[str, Rows, frozenset[str]]] = []
        for do, one, two in steps:
            if do == "move" and one in homes:
                fields = {"home_unit": UNITS[two]}
                edit = scribe.change("customer", uid(one), fields, "edit", {"home_unit": homes[one]})
                homes[one] = [*homes[one], edit.cid]
                await scribe.push(storage, [edit])
            elif do == "new":
                made = scribe.customer(one, two)
                homes.setdefault(one, []).append(made.cid)
                await scribe.push(storage, [made])
            elif do == "pull":
                scopes = frozenset(SCOPES if two else SCOPES[:3])
                cursor = await follow(storage, scopes, rows, cursor, one)
                assert cursor is not None
                given_out.append((cursor, dict(rows), scopes))
            else:
                scribe.now_ms += one * DAY_MS
        await retention.tidy(storage, scribe.now_ms, DEPARTURES_DAYS)
        for cursor, held, scopes in given_out:
            fresh: Rows = {}
            await follow(storage, scopes, fresh, None)
            is_expired = False
            try:
                await follow(storage, scopes, held, cursor)
            except Refused as refused:
                is_expired = refused.code == "cursor_expired"
            assert held == fresh or is_expired
    finally:
        await storage.close()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(step, min_size=4, max_size=24))
def test_from_every_old_cursor_a_pull_is_whole_or_says_that_it_expired(steps, tmp_path_factory):
    async def both() -> None:
        await hold(MemoryStorage(REGISTRY), steps)
        path = tmp_path_factory.mktemp("law") / "chain.db"
        await hold(SqliteStorage(path, REGISTRY, readers=1, connect=inline), steps)

    asyncio.run(both())


async def test_a_cursor_that_stopped_half_way_is_measured_by_where_it_stopped() -> None:
    storage = MemoryStorage(REGISTRY)
    await storage.open()
    scribe = Scribe()
    await scribe.push(storage, [scribe.customer(i) for i in range(4)])
    rows: Rows = {}
    half = await follow(storage, frozenset(SCOPES), rows, None, 1)
    scribe.now_ms += 401 * DAY_MS
    await scribe.push(storage, [scribe.customer(5)])
    whole = await follow(storage, frozenset(SCOPES), {}, None)
    await retention.tidy(storage, scribe.now_ms, DEPARTURES_DAYS)
    with pytest.raises(Refused) as refused:
        await follow(storage, frozenset(SCOPES), rows, half)
    assert refused.value.code == "cursor_expired"
    await follow(storage, frozenset(SCOPES), rows, whole)


# --- on tablets -----------------------------------------------------------------------------------------


@asynccontextmanager
async def branch(folder: Path) -> AsyncIterator[tuple[Chain, Shop, str]]:
    """A chain, a tablet, and a customer that it holds."""
    async with new_chain(folder) as chain:
        shop = await chain.tablet("a")
        customer = await shop.customers.create(name="Lin")
        await shop.sync()
        yield chain, shop, customer.id


async def test_a_tablet_back_after_the_retention_syncs_anew_and_keeps_its_outbox(tmp_path: Path) -> None:
    async with branch(tmp_path) as (chain, shop, customer):
        stays = await shop.customers.create(name="Wang")
        await shop.sync()
        other = await chain.tablet("b")
        await other.sync()
        await other.customers.edit(customer, home_unit=chain.units["Orchard"])
        await other.sync()
        await shop.customers.edit(stays, notes="written far from any network")
        chain.clock.pass_(days=401)
        await chain.write("edit", "customer", stays.id, {"gender": "female"})
        await tidy(chain)
        report = await shop.sync()
        assert (report.equal, report.problem, report.pushed) == (True, None, 1)
        assert await shop.customers.find(customer) is None, "a departure that nobody could tell any more"
        kept = await shop.customers.find(stays.id)
        assert kept is not None
        assert (kept.notes, kept.gender) == ("written far from any network", "female")
        assert await chain.digests_equal(shop)


async def test_a_cursor_that_expired_still_tells_what_a_push_needs(tmp_path: Path) -> None:
    async with branch(tmp_path) as (chain, shop, _):
        said = await shop._rows.cursor()
        await chain.write("create", "product", chain.new_id(), {"name": "table"})
        chain.clock.pass_(days=401)
        await chain.write("create", "product", chain.new_id(), {"name": "chair"})
        await tidy(chain)
        body = orjson.dumps({"schema": REGISTRY.version, "cursor": said, "acked": {"a" * 16: 0}})
        token = str((await shop._outbox.said())["token"])
        status, answer = await chain.transports["a"].post("/sync/v1/pull", body, token)
        problem = orjson.loads(answer)
        assert (status, problem["code"], problem["retryable"]) == (410, "cursor_expired", True)
        assert list(problem["contact"]["acks"]) == ["a" * 16]


async def test_an_erased_id_is_refused_and_an_unknown_one_held_after_ten_years(tmp_path: Path) -> None:
    async with branch(tmp_path) as (chain, _, customer):
        await erasure.erase(chain.service, customer, "asked for")
        for _ in range(10):
            chain.clock.pass_(days=366)
            await chain.write("create", "product", chain.new_id(), {"name": "chair"})
            await tidy(chain)

        async def ruling(op: str, id: str) -> tuple[str, str | None]:
            change = chain.service.change(op, "customer", id, {"name": "Lin"})  # type: ignore[arg-type]
            ((ruling,),) = await chain.service.admission.write(SERVER, [[change]])
            return ruling.verdict, ruling.code

        assert await ruling("edit", customer) == ("rejected", "erased")
        assert await ruling("create", customer) == ("rejected", "erased")
        assert await ruling("edit", chain.new_id()) == ("held", "row_unknown")


async def verdicts(chain: Chain, device: str) -> list[str]:
    """What stands in a device's own scope."""
    scope = f"device:{device}"
    async with chain.service.storage.unscoped_reader() as reader:
        page = await reader.feed({scope: 0}, 1_000, 1 << 20)
    return [orjson.loads(d)["id"] for part in page.rows for d in part.documents]


async def test_final_verdicts_leave_after_sixty_days_and_open_ones_never(tmp_path: Path) -> None:
    async with branch(tmp_path) as (chain, shop, _):
        customer = chain.new_id()
        await shop.interactions.record(customer, kind="visit")
        await shop.interactions.record(chain.new_id(), kind="visit")
        await shop.sync()
        first, second = [change.cid for change in await shop.held()]
        device = str((await shop._outbox.said())["device"])
        unit = chain.units["Nanjing Road"]
        await chain.write("create", "customer", customer, {"name": "Wang", "home_unit": unit})
        chain.clock.pass_(days=59)
        await chain.write("create", "product", chain.new_id(), {"name": "chair"})
        await tidy(chain)
        assert set(await verdicts(chain, device)) == {first, second}
        chain.clock.pass_(days=2)
        await tidy(chain)
        assert await verdicts(chain, device) == [second]
        assert len(await shop.held()) == 2, "this tablet has not been told yet"
        report = await shop.sync()
        assert report.equal
        assert [change.cid for change in await shop.held()] == [second]
        assert [row.state.held for row in await shop.interactions.of(customer)] == [()]
        chain.clock.pass_(days=500)
        await chain.write("create", "product", chain.new_id(), {"name": "table"})
        await tidy(chain)
        assert (await shop.sync()).equal
        assert [change.cid for change in await shop.held()] == [second]
        assert await chain.digests_equal(shop)


# --- the outbox -----------------------------------------------------------------------------------------


async def kept(shop: Shop) -> list[str]:
    return await shop._outbox.file.read(
        lambda c: [cid for (cid,) in c.execute("SELECT cid FROM change ORDER BY pos")]
    )


async def test_acknowledged_changes_go_once_the_oldest_backup_has_them(tmp_path: Path) -> None:
    async with branch(tmp_path) as (chain, shop, customer):
        await shop.interactions.record(chain.new_id(), kind="visit")
        for number in range(5):
            await shop.customers.edit(customer, notes=f"note {number}")
            await shop.sync()
        before = await kept(shop)
        held = [change.cid for change in await shop.held()]
        chain.clock.pass_(days=29)
        await shop.sync()
        assert await kept(shop) == before
        await shop.customers.edit(customer, notes="not yet handed in")
        chain.clock.pass_(days=2)
        chain.transports["a"].lose_answers_to = "/sync/v1/push"
        await shop.sync()
        after = await kept(shop)
        assert after[:-2] == held, "what is held stays"
        assert after[-2] == before[-1], "the newest of the old stays, to compare trails with"
        for _ in range(2):
            report = await shop.sync()
            assert (report.equal, report.renewals) == (True, 0)
        await shop.customers.edit(customer, notes="last")
        report = await shop.sync()
        assert (report.applied, report.renewals, report.equal) == (1, 0, True)
        assert len(await shop._outbox.incarnations()) == 1


async def test_what_was_acknowledged_before_times_were_kept_counts_from_now(tmp_path: Path) -> None:
    async with branch(tmp_path) as (chain, shop, customer):
        for number in range(3):
            await shop.customers.edit(customer, notes=f"note {number}")
        await shop.sync()
        before = await kept(shop)
        await shop._outbox.file.write(lambda c: c.execute("UPDATE change SET cleared = 1"))
        await shop.sync()
        assert await kept(shop) == before
        chain.clock.pass_(days=31)
        await shop.sync()
        assert await kept(shop) == before[-1:]


async def test_a_server_restored_from_its_oldest_backup_gets_back_all_that_it_lost(tmp_path: Path) -> None:
    async with branch(tmp_path) as (chain, shop, customer):
        for number in range(4):
            await shop.customers.edit(customer, notes=f"old {number}")
            await shop.sync()
        chain.clock.pass_(days=1)
        backup = await chain.back_up()
        for number in range(4):
            await shop.customers.edit(customer, notes=f"new {number}")
            await shop.interactions.record(customer, kind="visit", note=f"visit {number}")
            await shop.sync()
        chain.clock.pass_(days=29, minutes=-10)
        await shop.sync()
        assert len(await kept(shop)) == 5 + 8
        chain.clock.pass_(hours=12)
        await shop.sync()
        assert len(await kept(shop)) == 1 + 8, "what the backup has is gone"
        await chain.restore(backup)
        report = await shop.sync()
        assert (report.equal, report.problem) == (True, None)
        found = await shop.customers.find(customer)
        assert found is not None
        assert found.notes == "new 3"
        assert len(await shop.interactions.of(customer)) == 4
        assert len(await shop._outbox.incarnations()) == 1
        assert await chain.digests_equal(shop)


async def test_a_backup_older_than_promised_costs_an_incarnation_and_nothing_that_is_kept(
    tmp_path: Path,
) -> None:
    async with branch(tmp_path) as (chain, shop, customer):
        backup = await chain.back_up()
        for number in range(4):
            await shop.customers.edit(customer, notes=f"old {number}")
            await shop.sync()
        await shop.interactions.record(chain.new_id(), kind="visit")
        await shop.sync()
        chain.clock.pass_(days=40)
        await shop.sync()
        await shop.customers.edit(customer, notes="young")
        await shop.sync()
        await chain.restore(backup)
        await shop.sync()
        await shop.sync()
        report = await shop.sync()
        assert (report.equal, report.problem) == (True, None)
        found = await shop.customers.find(customer)
        assert found is not None
        assert found.notes == "young"
        assert len(await shop.held()) == 1


# --- jobs -----------------------------------------------------------------------------------------------


async def test_jobs_run_at_start_and_again_and_outlive_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    done: list[Any] = []

    async def works() -> None:
        done.append("works")

    async def fails() -> None:
        done.append("fails")
        raise OSError("a full disk")

    async def sleep(seconds: float) -> None:
        done.append(seconds)
        if len(done) > 11:
            running.cancel()
        await asyncio.sleep(0)

    running = asyncio.create_task(jobs.run([jobs.Job("a", 60, works), jobs.Job("b", 5, fails)], sleep))
    with pytest.raises(asyncio.CancelledError):
        await running
    assert done.count("works") >= 3
    assert done.count("fails") >= 3
    assert {60, 5} <= set(done)
    assert "the job b failed" in caplog.text
