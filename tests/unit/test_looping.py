"""The loop's promises, on a clock that only the test moves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars.looping import BASE_S, CAP_S, GATHER_S, IDLE_S, STANDING_S, Loop, asked_s, wait
from regulars.transport import Download
from regulars_sync.errors import LocalError, Offline
from regulars_sync.protocol import Problem
from regulars_sync.round import SyncReport


class Silent:
    """A server that accepts listeners and never says anything."""

    async def post(self, path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        raise Offline("offline")

    def fetch(
        self, path: str, token: str, start: int = 0, etag: str | None = None
    ) -> AbstractAsyncContextManager[Download]:
        raise Offline("offline")

    async def listen(self, path: str, token: str) -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield ""

    async def close(self) -> None: ...


class Rounds:
    """Rounds that end as scripted, and the waits between them; the last one stops the loop."""

    def __init__(self, *problems: Problem | LocalError | None) -> None:
        self.problems = list(problems)
        self.waits: list[float] = []
        self.reports: list[SyncReport] = []
        self.nudge_at: set[int] = set()
        self.loop = Loop(self.sync, Silent, lambda: "token", lambda: 0.5, self.reports.append, self.wait)

    async def sync(self) -> SyncReport:
        problem = self.problems.pop(0)
        if not self.problems:
            self.loop.stop()
        if isinstance(problem, LocalError):
            raise problem
        report = SyncReport()
        report.problem = problem
        return report

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        if seconds == GATHER_S:
            return
        if event in (self.loop.stopped, self.loop.nudged, self.loop.urgent):
            self.waits.append(seconds)
            if len(self.waits) in self.nudge_at:
                self.loop.nudged.set()
        else:
            await event.wait()


BUSY = Problem("busy", detail={"seconds": 7}, retryable=True)
OFFLINE = Problem("offline", retryable=True)


async def test_pending_changes_go_out_without_a_new_write():
    rounds = Rounds(OFFLINE, OFFLINE, OFFLINE, None)
    await rounds.loop.run()
    assert [report.problem for report in rounds.reports] == [OFFLINE, OFFLINE, OFFLINE, None]


async def test_waits_after_failures_double_and_a_success_starts_anew():
    rounds = Rounds(OFFLINE, OFFLINE, OFFLINE, None, OFFLINE, None)
    await rounds.loop.run()
    assert rounds.waits == [BASE_S, 2 * BASE_S, 4 * BASE_S, IDLE_S, BASE_S, IDLE_S]


async def test_a_local_write_does_not_cut_a_wait_after_a_failure_short():
    rounds = Rounds(OFFLINE, OFFLINE, None)
    rounds.nudge_at = {1}
    await rounds.loop.run()
    assert rounds.waits[:2] == [BASE_S, 2 * BASE_S]


async def test_what_a_server_asks_for_is_waited_at_least():
    rounds = Rounds(BUSY, None)
    await rounds.loop.run()
    assert rounds.waits[:2] == [7, BASE_S]


async def test_a_full_disk_is_a_problem_like_any_other():
    rounds = Rounds(LocalError("disk_full"), None)
    await rounds.loop.run()
    assert rounds.reports[0].problem is not None
    assert rounds.reports[0].problem.code == "disk_full"


async def test_a_stop_ends_the_loop_after_the_round_under_way():
    rounds = Rounds(None)
    await rounds.loop.run()
    assert len(rounds.reports) == 1


@given(
    st.integers(0, 10_000),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from([BUSY, OFFLINE, Problem("token_invalid")]),
)
def test_no_wait_is_longer_than_the_cap(failures: int, chance: float, problem: Problem):
    rounds = Rounds(None)
    rounds.loop.failures = failures
    rounds.loop.chance = lambda: chance
    least = asked_s(problem.detail)
    assert 0 <= rounds.loop.jitter_s(failures if problem.retryable else None, least) <= CAP_S - least / 2


async def test_a_dead_line_is_opened_again_ever_more_patiently():
    opened: list[float] = []
    tried = asyncio.Event()

    class Dead(Silent):
        async def listen(self, path: str, token: str) -> AsyncIterator[str]:
            for reason in ("offline",):
                raise Offline(reason)
            yield ""

    async def wait(event: asyncio.Event, seconds: float) -> None:
        if event in (loop.nudged, loop.stopped, loop.urgent):
            await tried.wait()
        elif seconds == STANDING_S:
            await event.wait()
        else:
            opened.append(seconds)
            if len(opened) == 12:
                loop.stop()
                tried.set()
                await event.wait()

    async def sync() -> SyncReport:
        return SyncReport()

    loop = Loop(sync, Dead, lambda: "token", lambda: 0.5, lambda report: None, wait)
    await loop.run()
    assert opened == sorted(opened)
    assert opened[0] == BASE_S
    assert opened[-1] == CAP_S / 2


async def test_a_cancelled_loop_leaves_no_listener_behind():
    rounds = Rounds(None, None)
    reported = asyncio.Event()

    async def wait(event: asyncio.Event, seconds: float) -> None:
        await event.wait()

    rounds.loop.wait = wait
    rounds.loop.on_report = lambda report: reported.set()
    running = asyncio.create_task(rounds.loop.run())
    await reported.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(asyncio.all_tasks()) == 1


@given(st.integers(1, 40))
def test_jitter_is_full_and_independent_of_what_others_drew(failures: int):
    """A thousand tablets that failed together come back spread over the whole of the ceiling."""
    chance = random.Random(failures)
    loop = Rounds(None).loop
    loop.chance = chance.random
    ceiling = min(CAP_S, BASE_S * 2**failures)
    drawn = sorted(loop.jitter_s(failures) for _ in range(1_000))
    assert drawn[0] < 0.02 * ceiling
    assert 0.98 * ceiling < drawn[-1] < ceiling
    assert 0.4 * ceiling < drawn[500] < 0.6 * ceiling


@pytest.mark.parametrize("asked", [None, "soon", -5, [1], True])
def test_what_is_no_number_of_seconds_asks_for_nothing_much(asked: object):
    assert 0 <= asked_s({"seconds": asked}) <= 1


@pytest.mark.parametrize(
    ("meanwhile", "rounds"),
    [
        (["woken", "pull"], 1),
        (["pull", "woken"], 2),
        (["written", "pull"], 2),
        (["pull", "woken", "pull"], 1),
    ],
)
async def test_a_pull_answers_every_wake_up_before_it(meanwhile: list[str], rounds: int):
    """So a tablet's own push, whose wake-up comes before its second pull, makes no further round."""
    made = 0
    told: asyncio.Queue[str] = asyncio.Queue()
    was_idle = asyncio.Event()

    class Line(Silent):
        async def listen(self, path: str, token: str) -> AsyncIterator[str]:
            while True:
                yield await told.get()

    async def sync() -> SyncReport:
        nonlocal made
        made += 1
        for what in meanwhile if made == 1 else ["pull"]:
            if what == "pull":
                loop.looks()
            elif what == "written":
                loop.nudge()
            else:
                told.put_nowait("change")
                for _ in range(10):
                    await asyncio.sleep(0)
                assert loop.nudged.is_set()
        return SyncReport()

    async def wait(event: asyncio.Event, seconds: float) -> None:
        if seconds != IDLE_S:
            await asyncio.Event().wait() if seconds == STANDING_S else await asyncio.sleep(0)
        elif not event.is_set():
            was_idle.set()
            await event.wait()

    loop = Loop(sync, Line, lambda: "token", lambda: 0.5, lambda report: None, wait)
    running = asyncio.create_task(loop.run())
    async with asyncio.timeout(5):
        await was_idle.wait()
    assert made == rounds
    loop.stop()
    await running


async def test_who_waits_again_and_again_ends_when_cancelled_as_the_event_is_set() -> None:
    event = asyncio.Event()

    async def listen() -> None:
        while True:
            await wait(event, 60)
            event.clear()

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    event.set()
    await asyncio.sleep(0)  # it has been told, and may not have gone on yet
    listening.cancel()
    done, _ = await asyncio.wait([listening], timeout=0.5)
    listening.cancel()
    assert done
