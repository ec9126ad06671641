"""A tablet says of a customer what the server says, or that it can't know; whatever was exchanged of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.agreeing import History
from tests.support.chain import new_chain

HISTORIES = int(os.environ.get("REGULARS_TEST_HISTORIES", "6"))
STEPS = 45


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_every_tablet_says_what_the_server_says_or_that_it_can_not_know(tmp_path: Path, seed: int):
    async with new_chain(tmp_path, seed=seed + 1) as chain:
        history = History(chain, seed)
        await history.begin()
        for _ in range(STEPS):
            await history.rng.choice(history.steps)()
            if history.rng.random() < 0.03:
                await history.merge()
        await history.settle()
        told = await history.compare()
    assert any(known for _, known in told)
