"""Long work is done in slices, and nobody who asks for little waits for the end of it."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from regulars_server.pace import SLICE_S, Pace
from regulars_server.storage.sqlite.connection import on_thread

PIECE_S = 0.002


def work(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        pass


async def test_a_turn_lasts_a_slice_however_many_work():
    """Turns of the loop are counted, not time: forty pieces of work take many of them."""
    pace, turns, done = Pace(), 0, 0

    async def worker() -> None:
        nonlocal done
        await pace.breathe()
        work(PIECE_S)
        done += 1

    workers = [asyncio.create_task(worker()) for _ in range(40)]
    in_one_turn = []
    while not all(task.done() for task in workers):
        before = done
        await asyncio.sleep(0)
        turns += 1
        in_one_turn.append(done - before)
    assert done == 40
    assert turns >= 40 * PIECE_S / SLICE_S / 2
    assert max(in_one_turn) <= SLICE_S / PIECE_S + 1


async def test_little_work_is_done_in_the_turn_in_which_it_was_asked_for():
    pace, done = Pace(), []

    async def worker(number: int) -> None:
        await pace.breathe()
        done.append(number)

    workers = [asyncio.create_task(worker(number)) for number in range(10)]
    await asyncio.sleep(0)
    assert done == list(range(10))
    await asyncio.gather(*workers)


async def test_a_query_that_was_given_up_frees_its_connection(tmp_path: Path):
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"
    driver = await on_thread(lambda: sqlite3.connect(tmp_path / "a.db", check_same_thread=False))
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await driver.run(lambda connection: connection.execute(endless).fetchone())
        async with asyncio.timeout(10):
            assert await driver.run(lambda connection: connection.execute("SELECT 7").fetchone()) == (7,)
    finally:
        await driver.close()
