"""Two shops on the same files, each with connections of its own, as two processes of one tablet have them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from regulars import LocalError, Shop
from regulars.looping import IDLE_S
from regulars.shop import TAKE_OVER_S
from regulars_server import devices
from regulars_sync.pins import SALT_BYTES, verifier
from regulars_sync.protocol import Problem
from regulars_sync.round import SyncReport
from tests.support.chain import Chain, new_chain

PATIENCE_S = 20.0


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


@pytest.fixture
async def pair(chain: Chain) -> tuple[Shop, Shop]:
    """Both open; the first one has paired the tablet."""
    second = await chain.tablet("one", paired=False)
    return await chain.tablet("one"), second


def code_of(report: SyncReport) -> str | None:
    return report.problem.code if report.problem else None


async def numbers(shop: Shop) -> list[tuple[str, int]]:
    rows = "SELECT incarnation, n FROM change ORDER BY pos"
    return await shop._outbox.file.read(lambda c: c.execute(rows).fetchall())


# --- the lease ------------------------------------------------------------------------------------------


async def test_one_at_a_time_syncs_and_the_other_is_told_so(chain: Chain, pair: tuple[Shop, Shop]) -> None:
    one, two = pair
    lin = await two.customers.create(name="林芳")
    heard: list[Problem | None] = []
    post = chain.transports["one"].post

    async def posted(path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        heard.append((await two.sync()).problem)
        with pytest.raises(LocalError, match="lease_held"):
            await two.pair("http://hq", "0000-0000")
        return await post(path, body, token)

    chain.transports["one"].post = posted  # type: ignore[method-assign]
    report = await one.sync()
    assert (report.pushed, report.equal) == (1, True)
    assert {(problem.code, problem.retryable) for problem in heard if problem} == {("lease_held", True)}
    assert len(heard) == 3
    chain.transports["one"].post = post  # type: ignore[method-assign]
    assert not (await two.customers.get(lin.id)).state.pending
    assert (await two.status()).pending == 0
    assert (await two.sync()).equal


async def test_a_shop_in_its_loop_may_sync_besides(chain: Chain, pair: tuple[Shop, Shop]) -> None:
    one, two = pair
    stopped, reports = asyncio.Event(), asyncio.Queue[SyncReport]()
    running = asyncio.create_task(one.sync_forever(reports.put_nowait, stopped))
    await reports.get()
    assert (await one.sync()).equal
    assert code_of(await two.sync()) == "lease_held"
    stopped.set()
    await running
    assert (await two.sync()).equal


async def test_a_round_that_fails_gives_the_lease_up(chain: Chain, pair: tuple[Shop, Shop]) -> None:
    one, two = pair
    chain.transports["one"].online = False
    assert code_of(await one.sync()) == "offline"

    async def power_fails(*_: object) -> None:
        raise SystemExit

    stage, one._rows.stage = one._rows.stage, power_fails  # type: ignore[assignment]
    chain.transports["one"].online = True
    with pytest.raises(SystemExit):
        await one.sync()
    one._rows.stage = stage  # type: ignore[method-assign]
    assert (await two.sync()).equal


async def test_who_waits_takes_over_quietly_when_the_other_ends(
    chain: Chain, pair: tuple[Shop, Shop]
) -> None:
    one, two = pair
    heard = asyncio.Queue[SyncReport]()
    later: list[str | None] = []
    waiting, go_on, came = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def wait(event: asyncio.Event, seconds: float) -> None:
        if seconds == IDLE_S:
            came.set()
        if seconds == TAKE_OVER_S:
            waiting.set()
            await go_on.wait()
        else:
            await event.wait()

    async with asyncio.timeout(PATIENCE_S):
        first = asyncio.create_task(one.sync_forever(heard.put_nowait))
        await heard.get()
        second = asyncio.create_task(
            two.sync_forever(lambda report: later.append(code_of(report)), wait=wait)
        )
        await waiting.wait()
        assert later == []
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        go_on.set()
        await came.wait()
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
    assert later == [None]
    assert (await one.sync()).equal


async def test_who_waits_for_the_lease_ends_when_it_is_told_to(pair: tuple[Shop, Shop]) -> None:
    one, two = pair
    with one._lease.taken():
        stopped = asyncio.Event()
        running = asyncio.create_task(two.sync_forever(stopped=stopped))
        await asyncio.sleep(0)
        stopped.set()
        async with asyncio.timeout(PATIENCE_S):
            await running


# --- one outbox -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
async def test_what_both_write_in_any_order_arrives_once_and_without_gaps(
    chain: Chain, pair: tuple[Shop, Shop], seed: int
) -> None:
    chance = random.Random(seed)
    made: list[str] = []
    wire = chain.transports["one"]
    for _ in range(60):
        shop = chance.choice(pair)
        match chance.randrange(5):
            case 0:
                wire.lose_answers_to = chance.choice([None, "/sync/v1/push", "/sync/v1/pull"])
                await shop.sync()
            case 1 if made:
                await shop.customers.edit(chance.choice(made), notes=f"{chance.random()}")
            case 2:
                async with shop.transaction():
                    made += [(await shop.customers.create(name=f"{n}")).id for n in range(3)]
            case _:
                made.append((await shop.customers.create(name="林芳")).id)
        assert await numbers(pair[0]) == await numbers(pair[1])
    wire.lose_answers_to = None
    for shop in pair:
        assert (await shop.sync()).equal
        assert [n for _, n in await numbers(shop)] == list(range(1, len(await numbers(shop)) + 1))
        assert {customer.id for customer in await shop.customers.list(limit=1_000)} == set(made)
        assert (await shop.status()).pending == 0
        assert await chain.digests_equal(shop)
    async with chain.service.storage.unscoped_reader() as reader:
        written = [len(await reader.history("customer", id)) for id in made]
    assert sum(written) == len(await numbers(pair[0]))


async def test_an_edit_has_seen_what_the_other_process_wrote(chain: Chain, pair: tuple[Shop, Shop]) -> None:
    one, two = pair
    lin = await one.customers.create(name="林芳", notes="of one")
    await two.customers.edit(lin.id, notes="of two")
    assert (await one.customers.get(lin.id)).notes == "of two"
    report = await one.sync()
    assert (report.applied, report.merged) == (2, 0)


# --- what one knows, the other learns -------------------------------------------------------------------


async def test_a_tablet_paired_by_one_process_is_paired_for_the_other(chain: Chain) -> None:
    two = await chain.tablet("one", paired=False)
    with pytest.raises(LocalError, match="not_paired"):
        await two.sync()
    one = await chain.tablet("one")
    lin = await two.customers.create(name="林芳")
    assert lin.home_unit == chain.units["Nanjing Road"]
    status = await two.status()
    assert (status.paired, status.unit, status.device) == (True, one.unit, (await one.status()).device)
    with pytest.raises(LocalError, match="already_paired"):
        await two.pair("http://hq", "0000-0000")


async def test_a_token_taken_by_one_process_is_used_by_the_other(
    chain: Chain, pair: tuple[Shop, Shop]
) -> None:
    one, two = pair
    await two.sync()
    before = two._said["token"]
    chain.clock.pass_(days=91)
    await one.sync()
    chain.clock.pass_(days=2)  # the grace is over
    assert (await two.sync()).equal
    assert two._said["token"] == one._said["token"] != before


async def test_what_one_process_heard_of_its_end_the_other_knows(
    chain: Chain, pair: tuple[Shop, Shop]
) -> None:
    one, two = pair
    mei, unit = chain.new_id(), chain.units["Nanjing Road"]
    await chain.write("create", "staff", mei, {"name": "Mei", "role": "clerk", f"units/{unit}": True})
    pin = verifier("4711", chain.entropy(SALT_BYTES))
    await chain.write("create", "staff_pin", mei, {f"units/{unit}": True, "verifier": pin})
    lin = await two.customers.create(name="林芳")
    await one.sync()
    await two.sign_in("Mei", "4711")
    assert two.staff_id == mei
    device = (await one.status()).device
    assert device is not None
    await devices.wipe(chain.service, device)
    assert (await one.sync()).wiped
    status = await two.status()
    assert (status.wiped, status.paired, status.rows, status.staff) == (True, False, 0, None)
    assert await two.customers.find(lin.id) is None
    with pytest.raises(LocalError, match="not_paired"):
        await two.sync()
    code = await chain.service.access.new_pairing_code(chain.units["Orchard"], "again")
    await two.pair("http://hq", code)
    assert (await one.customers.create(name="x")).home_unit == chain.units["Orchard"]
    assert (await one.sync()).equal
    assert two.staff_id is None


async def test_a_loop_ends_when_another_process_has_wiped_the_tablet(
    chain: Chain, pair: tuple[Shop, Shop]
) -> None:
    one, two = pair
    device = (await one.status()).device
    assert device is not None
    async with asyncio.timeout(PATIENCE_S):
        with one._lease.taken():
            running = asyncio.create_task(two.sync_forever(wait=briefly))
            await asyncio.sleep(0)
            await devices.wipe(chain.service, device)
            assert (await one.sync()).wiped
        await running


async def briefly(event: asyncio.Event, seconds: float) -> None:
    await asyncio.sleep(0)


# --- watching -------------------------------------------------------------------------------------------


async def test_a_screen_hears_what_the_other_process_writes_and_syncs(
    chain: Chain, pair: tuple[Shop, Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regulars.desk.NOTICE_S", 0.01)
    monkeypatch.setattr("regulars.replica.NAMED_MAX", 9)
    one, two = pair
    await one.sync()
    await two._look()
    told = two.watch()
    async with asyncio.timeout(PATIENCE_S):
        lin = await one.customers.create(name="林芳")
        assert await anext(told) == {("customer", lin.id)}
        await one.sync()
        assert ("customer", lin.id) in await anext(told)
        theirs = chain.new_id()
        home = chain.units["Nanjing Road"]
        await chain.write("create", "customer", theirs, {"name": "theirs", "home_unit": home})
        await one.sync()
        assert await anext(told) == {("customer", theirs)}
        for n in range(10):
            await chain.write("create", "customer", chain.new_id(), {"name": f"{n}", "home_unit": home})
        await one.sync()
        assert await anext(told) == set(), "more than can be named"
        own = await two.customers.create(name="own")
        assert await anext(told) == {("customer", own.id)}
    await told.aclose()  # type: ignore[attr-defined]


async def test_what_the_other_process_writes_wakes_the_loop_that_has_the_lease(
    chain: Chain, pair: tuple[Shop, Shop]
) -> None:
    one, two = pair
    reports = asyncio.Queue[SyncReport]()
    stopped, noticing = asyncio.Event(), asyncio.Event()

    async def wait(event: asyncio.Event, seconds: float) -> None:
        if seconds == 1.0:
            await noticing.wait()
            noticing.clear()
        else:
            await event.wait()

    chain.transports["one"].listen = deaf  # type: ignore[method-assign]
    async with asyncio.timeout(PATIENCE_S):
        running = asyncio.create_task(one.sync_forever(reports.put_nowait, stopped, wait))
        assert (await reports.get()).equal
        lin = await two.customers.create(name="林芳")
        await two.interactions.record(lin, kind="visit", report_class="urgent")
        noticing.set()
        assert (await reports.get()).pushed == 2
        stopped.set()
        await running


async def deaf(path: str, token: str) -> AsyncIterator[str]:
    """A line on which nothing ever comes."""
    await asyncio.Event().wait()
    yield ""
