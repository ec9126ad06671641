"""What the server answers rules by: read from the chain's rows, and anew when one of them changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from regulars_server.knowledge.world import Worlds
from regulars_sync.ids import made_id, uuid7
from tests.support.chain import Chain, new_chain

SEGMENT = uuid7(1_795_300_000_000, bytes(range(10)))


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


async def test_the_world_is_that_of_the_rows_and_is_read_anew_when_they_change(chain: Chain):
    worlds, storage = Worlds(), chain.service.storage
    async with storage.unscoped_reader() as reader:
        first = await worlds.of(reader)
        assert await worlds.of(reader) is first
    assert not first.problems
    await chain.write("create", "customer", uuid7(1_795_300_000_000, bytes(10)), {"name": "林芳"})
    async with storage.unscoped_reader() as reader:
        assert await worlds.of(reader) is first
    patch = {"hints": {"male": {"on": True}}, "values": {"cheap": None}}
    await chain.write("create", "scheme", made_id("scheme", "motive"), {"key": "motive", "changes": patch})
    rule = {"is": "motive", "values": ["fame"]}
    await chain.write("create", "segment", SEGMENT, {"name": "体面", "rule": rule})
    for day, cut in (("2026-11-22", 9), ("2026-11-21", 8)):
        row: dict[str, object] = {"day": day, "cuts": {"spend": [1, 2, 3, cut]}}
        await chain.write("create", "cut_points", made_id("cut_points", day), row)
    async with storage.unscoped_reader() as reader:
        found = await worlds.of(reader)
    hints = {hint.key: hint.on for hint in found.schemes.schemes["motive"].hints}
    assert hints == {"middle_aged": True, "young": True, "male": True, "female": False}
    assert "cheap" not in found.words.schemes["motive"]
    assert found.dynamic == [SEGMENT]
    assert found.chain.cuts == {"spend": (1, 2, 3, 9)}
