"""The laws of storage, one test each. Every implementation passes them all."""

from __future__ import annotations

import orjson
import pytest

from regulars_server.storage.interface import Batch, Order, Storage, Test
from regulars_sync.digest import EMPTY
from tests.contract.rows import UNITS, Scribe, uid

UNIT_0 = f"unit:{UNITS[0]}"
UNIT_1 = f"unit:{UNITS[1]}"
ROWS_MAX, BYTES_MAX = 1_000, 4 << 20


async def read(storage: Storage, scopes: dict[str, int], rows_max=ROWS_MAX, bytes_max=BYTES_MAX):
    """All pages of these scopes; (scope, entity, id) -> document, and what is left out of it."""
    rows: dict[tuple[str, str, str], bytes | None] = {}
    after = dict(scopes)
    async with storage.reader(frozenset(scopes)) as reader:
        while True:
            page = await reader.feed(after, rows_max, bytes_max)
            for part in page.rows:
                for document in part.documents:
                    rows[part.scope, part.entity, orjson.loads(document)["id"]] = document
                for id in part.left:
                    rows[part.scope, part.entity, id] = None
            after = dict(page.reached)
            if not page.more:
                return rows, after


class StorageContract:
    @pytest.fixture
    def scribe(self):
        return Scribe()

    async def test_fresh_storage_is_empty_and_has_a_mark(self, storage):
        async with storage.unscoped_reader() as reader:
            head = await reader.head()
            assert (head.seq, head.stamp_max) == (0, 0)
            assert await reader.knows_mark(head.seq, head.mark)
            assert await reader.digests([UNIT_0]) == {UNIT_0: EMPTY}
            assert await reader.count("customer", None) == 0

    async def test_committed_row_is_found_byte_for_byte(self, storage, scribe):
        await scribe.push(storage, [scribe.customer(1, **{"phones/138 0013 8000": True, "belief": "x"})])
        async with storage.unscoped_reader() as reader:
            found = await reader.find("customer", [uid(1), uid(2)])
            assert list(found) == [uid(1)]
            assert orjson.loads(found[uid(1)].documents["internal"])["phones/+8613800138000"] is True
            assert orjson.loads(found[uid(1)].documents["sensitive"])["belief"] == "x"
        rows, _ = await read(storage, {UNIT_0: 0, UNIT_1: 0})
        assert rows == {(UNIT_0, "customer", uid(1)): found[uid(1)].documents["internal"]}

    async def test_row_that_moves_leaves_and_enters_with_what_names_it(self, storage, scribe):
        await scribe.push(storage, [scribe.customer(1), scribe.fact(50, 1)])
        _, reached = await read(storage, {UNIT_0: 0, UNIT_1: 0})
        edit = scribe.change(
            "customer", uid(1), {"home_unit": UNITS[1]}, "edit", {"home_unit": ["0" * 31 + "1"]}
        )
        await scribe.push(storage, [edit])
        rows, _ = await read(storage, reached)
        assert rows.pop((UNIT_0, "customer", uid(1))) is None
        assert rows.pop((UNIT_0, "interaction", uid(50))) is None
        assert set(rows) == {(UNIT_1, "customer", uid(1)), (UNIT_1, "interaction", uid(50))}
        async with storage.unscoped_reader() as reader:
            digests = await reader.digests([UNIT_0, UNIT_1])
            assert digests[UNIT_0] == EMPTY
            assert digests[UNIT_1].rows == 2

    async def test_select_and_count_within_reach(self, storage, scribe):
        await scribe.push(storage, [scribe.customer(i, i % 2) for i in range(10)])
        async with storage.reader(frozenset({UNIT_0})) as reader:
            assert await reader.count("customer", None) == 5
            found = await reader.select("customer", Test("name", "eq", "林芳"), Order("name"), 10)
            assert [f.id for f in found] == [uid(0)]

    async def test_writer_left_without_commit_leaves_no_trace(self, storage, scribe):
        async with storage.writer() as writer:
            await writer.rows([("customer", uid(1))])
        with pytest.raises(KeyError):
            async with storage.writer():
                raise KeyError
        async with storage.writer() as writer:
            assert (await writer.commit(Batch())).seq == 1

    async def test_history_open_entries_and_log(self, storage, scribe):
        rulings, _ = await scribe.push(storage, [scribe.customer(1), scribe.fact(50, 99)])
        assert [r.verdict for r in rulings] == ["applied", "held"]
        async with storage.unscoped_reader() as reader:
            assert [e.cid for e in await reader.history("customer", uid(1))] == [rulings[0].change.cid]
            assert [e.cid for e in await reader.open_entries(10)] == [rulings[1].change.cid]
        async with storage.writer() as writer:
            assert await writer.waiting([f"row:customer:{uid(99)}"]) == [rulings[1].change.group]
            assert [e.cid for e in await writer.members([rulings[1].change.group])] == [rulings[1].change.cid]
        assert await storage.verify_log() == 2
