"""The loop of a real tablet against the real app, on virtual time: what is written goes out by itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from regulars import Shop
from regulars.desk import NOTICE_S
from regulars.looping import CAP_S, GATHER_S, IDLE_S
from regulars_sync import changes
from regulars_sync.errors import LocalError, Offline
from regulars_sync.protocol import PushRequest
from regulars_sync.round import SyncReport
from tests.support.chain import AppTransport, Chain, Clock, new_chain
from tests.support.virtual import Hours

LIVENESS_S = 600
PATIENCE_S = 20.0
YEAR_MS = 365 * 86_400_000


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


async def deaf(path: str, token: str) -> AsyncIterator[str]:
    """A line through a proxy that buffers: it stands, and nothing ever comes."""
    await asyncio.Event().wait()
    yield ""


class Looping:
    """A tablet in its loop."""

    def __init__(self, chain: Chain, shop: Shop) -> None:
        self.wire: AppTransport = chain.transports["one"]
        self.wire.listen = deaf  # type: ignore[method-assign]
        self.shop = shop
        self.time = Hours(shop._syncing.locked, NOTICE_S)
        self.reports: list[SyncReport] = []
        self.steps: list[str] = []
        self.bytes: list[tuple[int, int]] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Looping]:
        stopped = asyncio.Event()
        task = asyncio.create_task(
            self.shop.sync_forever(
                self.reports.append,
                stopped,
                self.time.wait,
                self.steps.append,
                on_bytes=lambda sent, received: self.bytes.append((sent, received)),
            )
        )
        await self.time.settle()
        yield self
        stopped.set()
        async with asyncio.timeout(PATIENCE_S):
            await task

    async def pending(self) -> int:
        return (await self.shop.status()).pending


@pytest.fixture
async def tablet(chain: Chain) -> Looping:
    return Looping(chain, await chain.tablet("one"))


class Faults:
    """A network that does what chance says, until it is mended."""

    def __init__(self, wire: AppTransport, chance: random.Random) -> None:
        self._post = wire.post
        self._chance = chance
        self.is_mended = False
        wire.post = self.post  # type: ignore[method-assign]

    async def post(self, path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        fault = "none" if self.is_mended else self._chance.choice(["cut", "lost", "busy", "asked", "none"])
        if fault == "cut":
            raise Offline("offline")
        if fault == "asked":
            raise Offline("answer_invalid", status=503, seconds=self._chance.choice([2, 60, 3_600, 10**9]))
        if fault == "busy":
            return 503, b'{"code": "busy", "message": "", "detail": {"seconds": 5}, "retryable": true}'
        answer = await self._post(path, body, token)
        if fault == "lost":
            raise Offline("offline")
        return answer


@pytest.mark.parametrize("seed", range(12))
async def test_a_queue_goes_out_by_itself_within_ten_minutes_of_the_end_of_all_faults(
    tablet: Looping, seed: int
) -> None:
    chance = random.Random(seed)
    async with tablet.running():
        faults = Faults(tablet.wire, chance)
        for n in range(5):
            await tablet.shop.customers.create(name=f"{n}")
        await tablet.time.pass_(chance.uniform(0, 8 * 3_600))
        faults.is_mended = True
        await tablet.time.pass_(LIVENESS_S)
        assert await tablet.pending() == 0
        assert tablet.reports[-1].equal


@pytest.mark.parametrize("failing", [{1}, {2}, {1, 2, 3}])
async def test_a_disk_that_fails_for_a_moment_does_not_end_the_loop(
    tablet: Looping, failing: set[int]
) -> None:
    said, times = tablet.shop._outbox.said, 0

    async def failing_said() -> Mapping[str, Any]:
        nonlocal times
        times += 1
        if times in failing:
            raise LocalError("disk_full", file="one.outbox.db")
        return await said()

    tablet.shop._outbox.said = failing_said  # type: ignore[method-assign]
    async with tablet.running():
        await tablet.shop.customers.create(name="林芳")
        await tablet.time.pass_(LIVENESS_S)
        assert await tablet.pending() == 0


async def test_a_write_goes_out_after_a_moment_in_which_others_may_join_it(tablet: Looping) -> None:
    async with tablet.running():
        for n in range(5):
            await tablet.shop.customers.create(name=f"{n}")
        await tablet.time.pass_(GATHER_S / 2)
        assert len(tablet.reports) == 1
        await tablet.time.pass_(GATHER_S)
        assert [report.pushed for report in tablet.reports] == [0, 5]


async def test_a_write_does_not_shorten_the_wait_after_a_failure(tablet: Looping) -> None:
    tablet.wire.online = False
    async with tablet.running():
        await tablet.time.pass_(3_600)
        tablet.wire.online = True
        rounds = len(tablet.reports)
        left = min(at for at, _, over in tablet.time._sleepers if not over.done() and at > 3_601)
        await tablet.shop.customers.create(name="林芳")
        await tablet.time.pass_((left - tablet.time.now_s) * 0.9)
        assert len(tablet.reports) == rounds
        await tablet.time.pass_(CAP_S)
        assert tablet.reports[rounds].pushed == 1


async def test_an_urgent_fact_goes_out_at_once_and_overtakes_nothing(tablet: Looping) -> None:
    async with tablet.running():
        mei = await tablet.shop.customers.create(name="first")
        await tablet.shop.interactions.record(mei, kind="visit")
        await tablet.shop.interactions.record(mei, kind="visit", report_class="urgent")
        await tablet.time.settle()
        assert tablet.time.now_s == 0
        assert tablet.reports[-1].pushed == 3
    (body,) = [body for path, body in tablet.wire.requests if path.endswith("/push")]
    pushed = [changes.decode(raw) for raw in msgspec.json.decode(body, type=PushRequest).changes]
    assert [change.entity for change in pushed] == ["customer", "interaction", "interaction"]
    assert "report_class" in pushed[-1].fields


async def test_an_urgent_fact_ends_the_wait_after_a_failure_once(tablet: Looping) -> None:
    mei = await tablet.shop.customers.create(name="first")
    tablet.wire.online = False
    async with tablet.running():
        await tablet.time.pass_(3_600)
        rounds = len(tablet.reports)
        await tablet.shop.interactions.record(mei, kind="visit", report_class="urgent")
        await tablet.time.settle()
        assert len(tablet.reports) == rounds + 1, "once: it failed, and is waited for as ever"
        tablet.wire.online = True
        await tablet.shop.interactions.record(mei, kind="visit", report_class="urgent")
        await tablet.time.settle()
        assert tablet.reports[-1].pushed == 3


async def test_an_urgent_fact_does_not_shorten_what_the_server_asked_for(tablet: Looping) -> None:
    post = tablet.wire.post

    async def busy(path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        return 503, b'{"code": "busy", "message": "", "detail": {"seconds": 50}, "retryable": true}'

    mei = await tablet.shop.customers.create(name="first")
    tablet.wire.post = busy  # type: ignore[method-assign]
    async with tablet.running():
        tablet.wire.post = post  # type: ignore[method-assign]
        await tablet.shop.interactions.record(mei, kind="visit", report_class="urgent")
        await tablet.time.pass_(49)
        assert len(tablet.reports) == 1
        await tablet.time.pass_(2)
        assert tablet.reports[-1].pushed == 2


async def test_where_no_wake_up_ever_comes_through_a_quiet_tablet_looks_by_itself(
    chain: Chain, tablet: Looping
) -> None:
    async with tablet.running():
        id = chain.new_id()
        home = chain.units["Nanjing Road"]
        await chain.write("create", "customer", id, {"name": "theirs", "home_unit": home})
        await tablet.time.pass_(IDLE_S - 1)
        assert await tablet.shop.customers.find(id) is None
        await tablet.time.pass_(1)
        assert await tablet.shop.customers.find(id) is not None


async def test_a_storm_of_wake_ups_makes_one_round(chain: Chain, tablet: Looping) -> None:
    storm = asyncio.Event()

    async def stormy(path: str, token: str) -> AsyncIterator[str]:
        await storm.wait()
        for _ in range(1_000):
            yield "change"
        await asyncio.Event().wait()

    tablet.wire.listen = stormy  # type: ignore[method-assign]
    async with tablet.running():
        await tablet.time.pass_(10)
        storm.set()
        await tablet.time.pass_(10)
        assert len(tablet.reports) == 2


async def test_a_line_that_dies_whenever_it_is_opened_makes_ever_fewer_rounds(tablet: Looping) -> None:
    opened = 0

    async def flapping(path: str, token: str) -> AsyncIterator[str]:
        nonlocal opened
        opened += 1
        yield "ready"
        raise Offline("offline")

    tablet.wire.listen = flapping  # type: ignore[method-assign]
    async with tablet.running():
        await tablet.time.pass_(3_600)
        assert 12 < opened < 100
        assert len(tablet.reports) < 120


async def test_a_good_line_is_opened_again_at_once(tablet: Looping) -> None:
    opened: list[float] = []

    async def ends_hourly(path: str, token: str) -> AsyncIterator[str]:
        opened.append(tablet.time.now_s)
        yield "ready"
        await tablet.time.wait(asyncio.Event(), 3_600)

    tablet.wire.listen = ends_hourly  # type: ignore[method-assign]
    async with tablet.running():
        await tablet.time.pass_(20 * 3_600)
    assert len(opened) == 20
    assert max(b - a for a, b in pairwise(opened)) < 3_602


async def test_a_line_that_asks_to_wait_is_waited_for(tablet: Looping) -> None:
    opened: list[float] = []

    async def busy(path: str, token: str) -> AsyncIterator[str]:
        opened.append(tablet.time.now_s)
        for seconds in (200,):
            raise Offline("answer_invalid", status=503, seconds=seconds)
        yield ""

    tablet.wire.listen = busy  # type: ignore[method-assign]
    async with tablet.running():
        await tablet.time.pass_(3_600)
    assert min(b - a for a, b in pairwise(opened)) >= 200


@pytest.mark.parametrize("years", [-30, -1, 1, 30])
async def test_a_wall_clock_that_jumps_by_years_does_not_disturb_the_waiting(
    chain: Chain, years: int
) -> None:
    clock = Clock()
    tablet = Looping(chain, await chain.tablet("one", clock=clock))
    async with tablet.running():
        await tablet.time.pass_(10)
        clock.ms += years * YEAR_MS
        id = chain.new_id()
        home = chain.units["Nanjing Road"]
        await chain.write("create", "customer", id, {"name": "theirs", "home_unit": home})
        await tablet.time.pass_(IDLE_S)
        assert await tablet.shop.customers.find(id) is not None
        tablet.wire.online = False
        await tablet.shop.customers.create(name="林芳")
        await tablet.time.pass_(60)
        clock.ms -= 2 * years * YEAR_MS
        tablet.wire.online = True
        await tablet.time.pass_(LIVENESS_S)
        assert await tablet.pending() == 0
        assert len(tablet.reports) < 40


async def test_a_screen_hears_every_step_and_every_byte(tablet: Looping) -> None:
    async with tablet.running():
        before = len(tablet.bytes)
        await tablet.shop.customers.create(name="林芳")
        await tablet.time.pass_(GATHER_S)
    steps = ["pull", "stage", "apply", "outgoing", "push", "outgoing", "pull", "stage", "apply"]
    assert tablet.steps[-len(steps) :] == steps
    sent = [len(body) for path, body in tablet.wire.requests[-3:]]
    assert [sent_ for sent_, _ in tablet.bytes[before:]] == [sent[0], sum(sent[:2]), sum(sent)]
    received = [received for _, received in tablet.bytes[before:]]
    assert received == sorted(set(received))
