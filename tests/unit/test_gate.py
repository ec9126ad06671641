"""The law of a gate: its bounds hold, first come first served, no place stays empty, nothing stays behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars_server.gate import AGAIN_S_MAX, Bounds, Gate, Visit
from regulars_sync.errors import Refused

BOUNDS = Bounds(at_once=2, waiting_max=3, bytes_max=100, each_max=3, reading_max=4)
SETTLE = 4
"""Turns of the loop in which a task that was told something has done it."""


@dataclass
class Guest:
    """A request that does what it is told, step by step."""

    gate: Gate
    who: str
    state: str = "new"
    held: int = 0
    seconds: int | None = None
    _orders: asyncio.Queue[Callable[[Visit], Awaitable[None]]] = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            with self.gate.visit(self.who) as visit:
                self.state = "reading"
                while True:
                    await (await self._orders.get())(visit)
        except Refused as refused:
            self.seconds = refused.detail["seconds"]
        finally:
            self.state = "gone"

    def order(self, what: str, size: int = 0) -> None:
        async def hold(visit: Visit) -> None:
            visit.hold(size)
            self.held += size

        async def turn(visit: Visit) -> None:
            self.state = "waiting"
            await visit.turn()
            self.state = "working"

        if what == "leave":
            self.task.cancel()  # done, failed, hung up or cancelled: to a gate it is all the same
        else:
            self._orders.put_nowait(hold if what == "hold" else turn)


Told = tuple[str, int, int]
told = st.tuples(
    st.sampled_from(["come", "come", "hold", "turn", "turn", "leave"]), st.integers(0, 9), st.integers(0, 60)
)


@given(st.lists(told, max_size=60))
@settings(deadline=None)
def test_a_gate_keeps_its_bounds_whatever_happens(script: list[Told]):
    async def play() -> None:
        now = 0.0
        gate = Gate(BOUNDS, lambda: 0.5, lambda: now)
        guests: list[Guest] = []
        queue: list[Guest] = []
        for what, which, size in script:
            now += 0.01
            inside = [guest for guest in guests if guest.state != "gone"]
            before = (gate.reading, gate.waiting, gate.working, gate.bytes)
            if what == "come":
                guest = Guest(gate, f"device {which % 2}")
                guests.append(guest)
            elif inside:
                guest = inside[which % len(inside)]
                if what == "leave" or guest.state == "reading":
                    guest.order(what, size)
            for _ in range(SETTLE):
                await asyncio.sleep(0)

            states = [guest.state for guest in guests]
            counted = [states.count(state) for state in ("reading", "waiting", "working")]
            assert [gate.reading, gate.waiting, gate.working] == counted
            assert gate.reading <= BOUNDS.reading_max
            assert gate.waiting <= BOUNDS.waiting_max
            assert gate.working <= BOUNDS.at_once
            assert (
                gate.bytes == sum(guest.held for guest in guests if guest.state != "gone") <= BOUNDS.bytes_max
            )
            for who in ("device 0", "device 1"):
                assert sum(g.who == who and g.state != "gone" for g in guests) <= (BOUNDS.each_max or 0)
            assert not gate.waiting or gate.working == BOUNDS.at_once, "somebody waits beside an empty place"
            stood = [guest.state for guest in queue if guest.state != "gone"]
            assert stood == sorted(stood, reverse=True), "somebody was overtaken"  # working, then waiting
            queue = [guest for guest in queue if guest.state == "waiting"]
            queue += [guest for guest in guests if guest.state == "waiting" and guest not in queue]
            if what == "come" and guests[-1].state == "gone":
                assert (gate.reading, gate.waiting, gate.working, gate.bytes) == before, "a refusal is free"
                assert guests[-1].seconds is not None
                assert 1 <= guests[-1].seconds <= AGAIN_S_MAX
        for guest in guests:
            guest.task.cancel()
        await asyncio.gather(*(guest.task for guest in guests), return_exceptions=True)
        assert (gate.reading, gate.waiting, gate.working, gate.bytes) == (0, 0, 0, 0)
        await asyncio.wait_for(_visit(gate), 1)

    asyncio.run(play())


async def _visit(gate: Gate) -> None:
    with gate.visit("somebody") as visit:
        await visit.turn()


async def test_places_are_given_in_the_order_of_waiting():
    gate = Gate(Bounds(at_once=1, waiting_max=10, bytes_max=1), lambda: 0.0)
    came: list[int] = []

    async def come(n: int) -> None:
        with gate.visit() as visit:
            await visit.turn()
            came.append(n)
            await asyncio.sleep(0)

    await asyncio.gather(*(come(n) for n in range(10)))
    assert came == list(range(10))


async def test_who_waits_too_long_is_told_so_and_stands_in_nobodys_way():
    gate = Gate(Bounds(at_once=1, waiting_max=2, bytes_max=1), lambda: 0.0, wait_s_max=0.01)
    with gate.visit() as first:
        await first.turn()
        with pytest.raises(Refused, match="busy"):
            await _visit(gate)
        assert gate.waiting == 0
    await _visit(gate)


async def test_a_herd_that_is_refused_comes_back_as_a_line():
    """200 are refused at one moment by a gate that does a piece of work in 0.1 s, two at once."""
    now = 0.0
    gate = Gate(Bounds(at_once=2, waiting_max=0, bytes_max=1), lambda: 0.0, lambda: now)
    for _ in range(100):  # it sees how long work takes
        with gate.visit() as visit:
            await visit.turn()
            now += 0.1
    seconds = []
    with gate.visit() as one, gate.visit() as other:
        await asyncio.gather(one.turn(), other.turn())
        for _ in range(200):
            with pytest.raises(Refused) as refused, gate.visit():
                pass
            seconds.append(refused.value.detail["seconds"])
        assert seconds == sorted(seconds)
        assert seconds[-1] == pytest.approx(200 * 0.1 / 2, abs=1)
        assert max(seconds.count(second) for second in set(seconds)) <= 32, "20 a second are what it can do"
        now += 30
        with pytest.raises(Refused) as refused, gate.visit():
            pass
        assert refused.value.detail["seconds"] == 1, "what was told before is over"


async def test_nobody_is_sent_away_for_longer_than_a_minute():
    gate = Gate(Bounds(at_once=1, waiting_max=0, bytes_max=1), lambda: 0.999, lambda: 0.0)
    told = []
    with gate.visit() as visit:
        await visit.turn()
        for _ in range(5_000):
            with pytest.raises(Refused) as refused, gate.visit():
                pass
            told.append(refused.value.detail["seconds"])
    assert max(told) == AGAIN_S_MAX
