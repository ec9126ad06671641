"""The laws of storage; every implementation passes them all. Long because: the laws are one list."""

from __future__ import annotations

import msgspec
import orjson
import pytest

from regulars_schema.declare import Level
from regulars_schema.entities import REGISTRY
from regulars_schema.search import Each, Either, Token
from regulars_server.storage.interface import (
    SHARED_MAX,
    Batch,
    Chosen,
    Incarnation,
    Not,
    Order,
    Person,
    Related,
    Storage,
    Test,
    Torn,
)
from regulars_sync import trail
from regulars_sync.changes import encode
from regulars_sync.digest import EMPTY, Digest, add, row_hash
from regulars_sync.errors import Refused
from regulars_sync.ids import identity_id, link_id
from regulars_sync.log import Entry
from regulars_sync.placement import Place
from regulars_sync.protocol import Acked
from regulars_sync.reconcile import Author, Ruling
from tests.contract.rows import UNITS, Scribe, cid, searched, uid

UNIT_0 = f"unit:{UNITS[0]}"
UNIT_1 = f"unit:{UNITS[1]}"
ROWS_MAX, BYTES_MAX = 1_000, 4 << 20
ALL = Chosen()


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


def matching(text):
    return Test("*", "match", searched(text).strict)


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

    async def test_buckets_of_a_scope_add_up_to_its_digest(self, storage, scribe):
        sensitive = f"{UNIT_0}/sensitive"
        made = [scribe.customer(i, i % 2, belief="x") for i in range(40)]
        await scribe.push(storage, [*made, *(scribe.fact(50 + i, i) for i in range(40))])
        edit = scribe.change("customer", uid(0), {"home_unit": UNITS[1]}, "edit", {"home_unit": [cid(1)]})
        await scribe.push(storage, [edit])
        async with storage.reader(frozenset({UNIT_0, sensitive})) as reader:
            digests = await reader.digests([UNIT_0, sensitive])
            assert [digest.rows for digest in digests.values()] == [38, 19]
            for scope, digest in digests.items():
                buckets = await reader.buckets(scope)
                total = 0
                for bucket in buckets.values():
                    total ^= int(bucket.digest.hash, 16)
                assert Digest(sum(b.digest.rows for b in buckets.values()), f"{total:032x}") == digest
                for byte, bucket in buckets.items():
                    rows = await reader.bucket_rows(scope, [byte])
                    hashes = [row_hash(part.entity, d) for part in rows for d in part.documents]
                    assert {hash[0] for hash in hashes} == {byte}
                    assert add(EMPTY, hashes) == bucket.digest
                    assert sum(len(d) for part in rows for d in part.documents) == bucket.size
                    assert not any(part.left for part in rows)
                whole = await reader.bucket_rows(scope, buckets)
                assert sum(len(part.documents) for part in whole) == digest.rows
                assert await reader.bucket_rows(scope, []) == []
            for asked in (reader.buckets(UNIT_1), reader.bucket_rows(UNIT_1, [0])):
                with pytest.raises(LookupError):
                    await asked
        async with storage.unscoped_reader() as reader:
            assert await reader.buckets(f"unit:{UNITS[3]}") == {}
            assert await reader.bucket_rows(f"unit:{UNITS[3]}", range(256)) == []

    async def test_departures_and_marks_go_and_what_is_there_stays(self, storage, scribe):
        await scribe.push(storage, [scribe.customer(1), scribe.customer(2)])
        seen = {"home_unit": [cid(1)]}
        away = scribe.change("customer", uid(1), {"home_unit": UNITS[1]}, "edit", seen)
        await scribe.push(storage, [away])
        async with storage.unscoped_reader() as reader:
            old = await reader.head()
        scribe.now_ms += 1_000
        seen = {"home_unit": [cid(2)]}
        later = scribe.change("customer", uid(2), {"home_unit": UNITS[1]}, "edit", seen)
        await scribe.push(storage, [later])
        assert await storage.compact(scribe.now_ms - 2_000) == 0, "nothing is as old as that"
        before, _ = await read(storage, {UNIT_0: 0, UNIT_1: 0})
        assert before.pop((UNIT_0, "customer", uid(1))) is None
        async with storage.reader(frozenset({UNIT_0})) as reader:
            digests = await reader.digests([UNIT_0])
        assert await storage.compact(scribe.now_ms) == old.seq
        assert await storage.compact(scribe.now_ms - 2_000) == old.seq, "the floor never falls"
        assert (await read(storage, {UNIT_0: 0, UNIT_1: 0}))[0] == before
        async with storage.reader(frozenset({UNIT_0})) as reader:
            head = await reader.head()
            assert (head.floor, head.seq) == (old.seq, old.seq + 2)
            assert await reader.knows_mark(old.seq, old.mark)
            assert await reader.knows_mark(head.seq, head.mark)
            assert not await reader.knows_mark(0, "")
            assert await reader.commits(old.seq - 1) == [old.seq, head.seq]
            assert await reader.commits(old.seq) == [head.seq]
            assert await reader.commits(head.seq) == []
            assert await reader.digests([UNIT_0]) == digests
        assert await storage.compact(scribe.now_ms + 1) == head.seq
        async with storage.unscoped_reader() as reader:
            assert await reader.knows_mark(head.seq, head.mark)
            assert not await reader.knows_mark(old.seq, old.mark)
        rows, _ = await read(storage, {UNIT_0: 0, UNIT_1: 0})
        assert set(rows) == {(UNIT_1, "customer", uid(1)), (UNIT_1, "customer", uid(2))}

    async def test_verdicts_that_are_final_are_listed_once_they_are_old(self, storage, scribe):
        scope = f"device:{uid(9)}"

        async def tell(number, **said):
            document = {"id": cid(number), "verdict": "held", "code": None, "closed": False, **said}
            raw = orjson.dumps({**document, "device": uid(9), "v": []})
            entity = REGISTRY.by_name["change_verdict"]
            batch = Batch(at_ms=scribe.now_ms)
            batch.writes.documents.append((entity, cid(number), Level.INTERNAL, raw))
            batch.writes.places.append(Place(scope, entity.name, cid(number), left=False))
            async with storage.writer() as writer:
                await writer.commit(batch)

        async def settled(before_ms, limit=9, erased=False):
            async with storage.writer() as writer:
                return await writer.settled(before_ms, limit, erased)

        begun = scribe.now_ms
        await tell(4, verdict="applied")
        await tell(3, verdict="rejected", closed=True)
        await tell(2, verdict="rejected", closed=True, code="erased")
        await tell(1)
        scribe.now_ms += 10
        await tell(5, verdict="merged")
        await tell(4, verdict="applied", code="later")
        assert await settled(begun) == []
        assert await settled(begun + 1) == [cid(3)]
        assert await settled(begun + 1, erased=True) == [cid(2)]
        assert await settled(begun + 11) == [cid(3), cid(5), cid(4)]
        assert await settled(begun + 11, 2) == [cid(3), cid(5)]
        batch = Batch(at_ms=scribe.now_ms)
        batch.writes.places.append(Place(scope, "change_verdict", cid(3), left=True))
        async with storage.writer() as writer:
            await writer.commit(batch)
        assert await settled(begun + 11) == [cid(5), cid(4)]
        await storage.compact(begun + 11)
        async with storage.writer() as writer:
            keys = [("change_verdict", cid(3)), ("change_verdict", cid(5))]
            assert [row.exists for row in (await writer.rows(keys)).values()] == [False, True]
        await tell(3)
        rows, _ = await read(storage, {scope: 0})
        assert len(rows) == 5

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
            (held,) = await reader.open_entries(10)
            assert held.cid == rulings[1].change.cid
            assert await reader.open_counts() == [("held", held.code, 1, held.at_ms)]
        async with storage.reader(frozenset({"chain"})) as reader:
            with pytest.raises(LookupError):
                await reader.open_counts()
        async with storage.writer() as writer:
            assert await writer.waiting([f"row:customer:{uid(99)}"]) == [rulings[1].change.group]
            assert [e.cid for e in await writer.members([rulings[1].change.group])] == [rulings[1].change.cid]
        assert await storage.verify_log() == 2

    async def test_choices_are_found_by_device_unit_field_and_time_within_reach(self, storage, scribe):
        till = scribe.change("device", uid(900), {"name": "till", "unit": UNITS[1]})
        made = scribe.customer(
            1, 1, **{"phones/138 0013 8000": "138 0013 8000", "notes": "one", "belief": "x"}
        )
        await scribe.push(storage, [till, made, scribe.customer(2)])
        tablet = Author(uid(900), None, UNITS[1], "CN")
        other = scribe.change("customer", uid(1), {"notes": "two", "name": "Li"}, "edit")
        hidden = scribe.change("customer", uid(1), {"belief": "y"}, "edit")
        await scribe.push(storage, [other, hidden], tablet)
        scribe.now_ms += 1_000
        late = scribe.change("customer", uid(2), {"notes": "z"}, "edit")
        late = msgspec.structs.replace(late, stamp=(scribe.now_ms + 10**9) * 1000)
        await scribe.push(storage, [late])

        async def found(chosen=ALL, limit=9, before=None, reach=None):
            opened = storage.unscoped_reader() if reach is None else storage.reader(reach)
            async with opened as reader:
                return await reader.choices(limit, before, chosen)

        every = await found()
        assert [choice.entry.cid for choice in every] == [late.cid, hidden.cid, other.cid, made.cid]
        assert [choice.entry.code for choice in every] == ["stamp_replaced", None, None, None]
        assert every[2].entry.detail == {
            "beside": {"notes": [other.cid, made.cid], "name": [other.cid, made.cid]}
        }
        assert every[2].entry.body == encode(other)
        assert every[3].entry.detail == {"normal": {"phones/138 0013 8000": "phones/+8613800138000"}}
        assert await found(limit=2) == every[:2]
        assert await found(before=every[1].pos) == every[2:]
        for chosen, wanted in (
            (Chosen(device=uid(900)), every[1:3]),
            (Chosen(unit=UNITS[1]), every[1:3]),
            (Chosen(unit=UNITS[0]), []),
            (Chosen(since_ms=scribe.now_ms), every[:1]),
            (Chosen(fields=frozenset({"customer.notes"})), [every[0], every[2]]),
            (Chosen(fields=frozenset({"customer.notes"}), bare=False), [every[2]]),
            (Chosen(fields=frozenset({"customer.phones", "link.notes"}), bare=False), [every[3]]),
            (Chosen(fields=frozenset()), every[:1]),
        ):
            assert await found(chosen) == wanted, chosen
        assert await found(reach=frozenset({UNIT_1})) == every[1:]
        async with storage.reader(frozenset({UNIT_0})) as reader:
            assert list(await reader.accepted([made.cid, late.cid, "f" * 32])) == [late.cid]
        async with storage.unscoped_reader() as reader:
            assert await reader.accepted([other.cid]) == {other.cid: every[2].entry}
        async with storage.writer() as writer:
            await writer.commit(Batch(emptied={other.cid}))
        assert await found() == [every[0], every[1], every[3]]
        async with storage.unscoped_reader() as reader:
            assert await reader.accepted([other.cid]) == {}

    async def test_what_an_older_version_said_is_found_as_a_choice_of_todays_field(self, storage, scribe):
        await scribe.push(storage, [scribe.customer(1)])
        came = scribe.change("customer", uid(1), {"remarks": "x"}, "edit")
        said = {"older": {"remarks": ["notes", "x"]}}
        async with storage.writer() as writer:
            await writer.commit(Batch(entries=[scribe.entry(Ruling(came, "applied", None, None, said))]))
        for field, wanted in (("customer.notes", [came.cid]), ("customer.remarks", [])):
            chosen = Chosen(fields=frozenset({field}), bare=False)
            async with storage.unscoped_reader() as reader:
                assert [c.entry.cid for c in await reader.choices(9, None, chosen)] == wanted

    async def test_a_choice_made_by_a_release_is_told_with_its_change(self, storage, scribe):
        await scribe.push(storage, [scribe.customer(1)])
        waiting = scribe.change("customer", uid(1), {"name": "Li"}, "edit")
        held = scribe.entry(Ruling(waiting, "held", "row_unknown"))
        freed = scribe.entry(Ruling(waiting, "merged", None, None, {"beside": {"name": [waiting.cid]}}))
        freed.body = None
        freed.seal(bytes(16))
        freed.at_ms += 5
        async with storage.writer() as writer:
            await writer.commit(Batch(entries=[held]))
        async with storage.writer() as writer:
            await writer.commit(Batch(entries=[freed]))
        async with storage.unscoped_reader() as reader:
            (choice,) = await reader.choices(9, None, Chosen())
        assert (choice.pos, choice.decided_ms) == (3, held.at_ms + 5)
        assert (choice.entry.verdict, choice.entry.body) == ("merged", encode(waiting))

    async def test_gaps_are_found_by_device_within_reach(self, storage, scribe):
        tills = [scribe.change("device", uid(900 + i), {"name": "till", "unit": UNITS[i]}) for i in (0, 1)]
        await scribe.push(storage, tills)
        said = [
            Entry(cid=cid(70 + i), group=cid(70 + i), entity="", id="", verdict="rejected", code="number_gap",
                  detail={"first": i}, device=uid(900 + i), closed=True)
            for i in (0, 1)
        ]  # fmt: skip
        for entry in said:
            entry.seal(bytes(16))
        async with storage.writer() as writer:
            await writer.commit(Batch(entries=said))
        async with storage.unscoped_reader() as reader:
            assert [entry.detail for entry in await reader.gaps(9)] == [{"first": 1}, {"first": 0}]
            assert [entry.device for entry in await reader.gaps(9, uid(900))] == [uid(900)]
            assert len(await reader.gaps(1)) == 1
        async with storage.reader(frozenset({UNIT_1})) as reader:
            assert [entry.device for entry in await reader.gaps(9)] == [uid(901)]

    async def test_reader_sees_one_snapshot_as_long_as_it_is_open(self, storage, scribe):
        await scribe.push(storage, [scribe.customer(1)])
        async with storage.reader(frozenset({UNIT_0})) as reader:
            await scribe.push(storage, [scribe.customer(2)])
            assert (await reader.head()).seq == 1
            assert await reader.count("customer", None) == 1
            assert (await reader.digests([UNIT_0]))[UNIT_0].rows == 1
            assert not (await reader.feed({UNIT_0: 1}, 9, BYTES_MAX)).rows

    async def test_the_tail_of_the_log_tells_what_came_after_to_whoever_holds_all(self, storage, scribe):
        await scribe.push(storage, [scribe.customer(1), scribe.customer(2)])
        async with storage.unscoped_reader() as reader:
            entries, end = await reader.tail(0, 9)
            assert [(e.pos, e.entity, e.id, e.accepted) for e in entries] == [
                (1, "customer", uid(1), True),
                (2, "customer", uid(2), True),
            ]
            assert end == 2
            assert [e.pos for e in (await reader.tail(0, 1)).entries] == [1]
            assert await reader.tail(end, 9) == ([], end)
        async with storage.reader(frozenset({UNIT_0})) as reader:
            with pytest.raises(LookupError):
                await reader.tail(0, 9)

    async def test_head_grows_with_every_commit_and_knows_its_mark(self, storage, scribe):
        heads = []
        for batch in range(3):
            await scribe.push(storage, [scribe.customer(batch)] if batch != 1 else [])
            async with storage.unscoped_reader() as reader:
                heads.append(await reader.head())
        assert [head.seq for head in heads] == [1, 2, 3]
        async with storage.unscoped_reader() as reader:
            assert [await reader.knows_mark(head.seq, head.mark) for head in heads] == [True] * 3
            assert not await reader.knows_mark(heads[0].seq, heads[1].mark)
            assert not await reader.knows_mark(9, heads[1].mark)

    async def test_pages_of_any_size_bring_the_same(self, storage, scribe):
        made = [scribe.customer(number, number % 2) for number in range(9)]
        await scribe.push(storage, made)
        away = {"home_unit": UNITS[1]}
        await scribe.push(
            storage, [scribe.change("customer", uid(4), away, "edit", {"home_unit": [made[4].cid]})]
        )
        scopes = {UNIT_0: 0, UNIT_1: 0}
        whole = await read(storage, scopes)
        assert len(whole[0]) == 10
        for rows_max in (1, 2, 3, 5):
            for bytes_max in (1, BYTES_MAX):
                assert await read(storage, scopes, rows_max, bytes_max) == whole

    async def test_a_row_that_left_is_out_of_reach(self, storage, scribe):
        await scribe.push(storage, [made := scribe.customer(1), scribe.customer(2)])
        away = {"home_unit": UNITS[1]}
        moved = scribe.change("customer", uid(1), away, "edit", {"home_unit": [made.cid]})
        await scribe.push(storage, [moved])
        for scope, id in ((UNIT_0, uid(2)), (UNIT_1, uid(1))):
            async with storage.reader(frozenset({scope})) as reader:
                assert (await reader.find("customer", [uid(1), uid(2)])).keys() == {id}
                assert await reader.count("customer", None) == 1
                assert [f.id for f in await reader.select("customer", None, Order("name"), 9)] == [id]

    async def test_the_highest_stamp_never_falls(self, storage):
        for stamp, highest in ((5, 5), (9, 9), (7, 9)):
            async with storage.writer() as writer:
                await writer.commit(Batch(stamp_max=stamp))
            async with storage.unscoped_reader() as reader:
                assert (await reader.head()).stamp_max == highest

    async def test_what_happened_since_tells_departures_until_the_row_is_back(self, storage, scribe):
        await scribe.push(storage, [scribe.customer(1), scribe.customer(2)])
        _, reached = await read(storage, {UNIT_0: 0, UNIT_1: 0})

        async def since(entries_max=9, **after):
            async with storage.reader(frozenset(reached)) as reader:
                return tuple(await reader.since(after or reached, entries_max))

        def moved(number, unit, seen):
            return scribe.change(
                "customer", uid(number), {"home_unit": UNITS[unit]}, "edit", {"home_unit": seen}
            )

        assert await since() == (0, False, 0)
        await scribe.push(storage, [away := moved(1, 1, ["0" * 31 + "1"])])
        assert await since() == (2, True, 0)
        assert await since(**{UNIT_1: 0}) == (1, False, 0)
        await scribe.push(storage, [moved(1, 0, [away.cid])])
        assert await since(**{UNIT_0: reached[UNIT_0]}) == (1, False, 0)
        assert await since(0, **{UNIT_0: 0}) == (1, False, 0)
        async with storage.reader(frozenset({UNIT_0})) as reader:
            with pytest.raises(LookupError):
                await reader.since({UNIT_1: 0}, 9)

    async def test_an_older_incarnation_that_goes_on_makes_the_newer_ones_clones(self, storage, scribe):
        def named(id, device=9):
            return Incarnation(id * 16, uid(device), 0, trail.start(id * 16))

        async def clones(*ids, device=9):
            async with storage.unscoped_reader() as reader:
                return [id for id in ids if await reader.is_cloned(uid(device), [id * 16])]

        first, second, third, other = named("a"), named("b"), named("c"), named("d", 8)
        for number, incarnation in enumerate((first, second, third, other)):
            await scribe.push(storage, [scribe.customer(number)], incarnation=incarnation)
        assert await clones("a", "b", "c", "d") == []
        await scribe.push(storage, [scribe.customer(10)], incarnation=third)
        assert await clones("a", "b", "c") == []
        await scribe.push(storage, [scribe.customer(11)], incarnation=second)
        assert await clones("a", "b", "c") == ["c"]
        await scribe.push(storage, [scribe.customer(12)], incarnation=third)
        await scribe.push(storage, [scribe.customer(13)], incarnation=first)
        assert await clones("a", "b", "c", "e") == ["b", "c"]
        assert await clones("d", device=8) == []
        assert await clones("b", "c", device=8) == [], "another device's"
        async with storage.unscoped_reader() as reader:
            assert await reader.is_cloned(uid(9), ["a" * 16, "c" * 16])
            assert not await reader.is_cloned(uid(9), [])

    async def test_acks_speak_of_the_devices_own_incarnations_only(self, storage, scribe):
        mine = Incarnation("aa" * 8, uid(9), 0, trail.start("aa" * 8))
        changes = [scribe.customer(1), scribe.customer(2)]
        await scribe.push(storage, changes, incarnation=mine)
        expected = trail.extend(trail.extend(trail.start("aa" * 8), changes[0].cid), changes[1].cid)
        nothing = Acked(0, trail.start("aa" * 8))
        async with storage.reader(frozenset()) as reader:
            assert await reader.acks(uid(9), ["aa" * 8, "bb" * 8]) == {
                "aa" * 8: Acked(2, expected),
                "bb" * 8: Acked(0, trail.start("bb" * 8)),
            }
            assert await reader.acks(uid(8), ["aa" * 8]) == {"aa" * 8: nothing}
        async with storage.writer() as writer:
            assert await writer.incarnation("aa" * 8) == Incarnation("aa" * 8, uid(9), 2, expected)
            assert await writer.incarnation("bb" * 8) is None

    async def test_reader_is_asked_for_its_own_scopes_only(self, storage):
        async with storage.reader(frozenset({UNIT_0})) as reader:
            with pytest.raises(LookupError):
                await reader.feed({UNIT_1: 0}, 1, 1)
            with pytest.raises(LookupError):
                await reader.digests([UNIT_1])
        with pytest.raises(ValueError, match="sensitive"):
            async with storage.reader(frozenset({f"{UNIT_0}/sensitive"})):
                pass

    async def test_sensitive_document_reaches_only_who_was_granted_its_level(self, storage, scribe):
        await scribe.push(storage, [scribe.customer(1, belief="x")])
        sensitive = f"{UNIT_0}/sensitive"
        for scopes, levels in (
            ({UNIT_0}, ["internal"]),
            ({UNIT_0, sensitive}, ["internal", "sensitive"]),
            ({UNIT_0, UNIT_1, f"{UNIT_1}/sensitive"}, ["internal"]),
        ):
            async with storage.reader(frozenset(scopes)) as reader:
                found = (await reader.find("customer", [uid(1)]))[uid(1)]
                assert sorted(found.documents) == levels
                assert [f.documents for f in await reader.select("customer", None, Order(), 9)] == [
                    found.documents
                ]
        async with storage.reader(frozenset({UNIT_0})) as reader:
            before = await reader.find("customer", [uid(1)])
        await scribe.push(storage, [scribe.change("customer", uid(1), {"belief": "y"}, "edit")])
        async with storage.reader(frozenset({UNIT_0})) as reader:
            assert await reader.find("customer", [uid(1)]) == before, "not even its version tells of it"

    async def test_entry_is_known_under_its_latest_verdict_at_its_first_place(self, storage, scribe):
        held = scribe.fact(50, 1)
        (ruling,), _ = await scribe.push(storage, [held])
        later = scribe.entry(ruling)
        later.body = later.key = None
        later.digest, later.verdict, later.code, later.stamp = b"", "applied", None, 77
        async with storage.writer() as writer:
            await writer.commit(Batch(entries=[later], waits={held.group: None}))
        async with storage.writer() as writer:
            known = (await writer.entries([held.cid, "f" * 32]))[held.cid]
            assert (known.pos, known.verdict, known.code, known.stamp) == (1, "applied", None, 77)
            assert known.body == encode(held)
            assert await writer.waiting([f"row:customer:{uid(1)}"]) == []
            assert await writer.open_entries(9) == []
            assert await writer.open_counts() == []
        assert await storage.verify_log() == 2

    async def test_members_of_a_group_come_with_the_open_mend_of_any(self, storage, scribe):
        first = scribe.customer(1, gender="wrong")
        other = scribe.change("customer", uid(2), {"name": "x"}, group=first.group, size=2)
        first = msgspec.structs.replace(first, size=2)
        mend = scribe.change("customer", uid(1), {"gender": "no"}, replaces=first.cid)
        await scribe.push(storage, [first, other])
        await scribe.push(storage, [mend, scribe.customer(3)])
        async with storage.writer() as writer:
            assert [e.cid for e in await writer.members([first.group])] == [first.cid, other.cid, mend.cid]
            assert [e.cid for e in await writer.members([mend.cid])] == [mend.cid]
            assert [e.cid for e in await writer.open_entries(2)] == [first.cid, other.cid]
            assert [e.cid for e in await writer.open_entries(2, after=2)] == [mend.cid]
            assert [e.cid for e in await writer.open_entries(9, cids=[mend.cid])] == [mend.cid]

    async def test_open_entries_are_seen_by_the_unit_of_their_device_and_of_their_row(self, storage, scribe):
        device = scribe.change("device", uid(9), {"name": "t", "unit": UNITS[1]})
        await scribe.push(storage, [device, scribe.customer(1)])
        scopes = frozenset({UNIT_1})
        author = Author(uid(9), scopes, UNITS[1], "CN")
        await scribe.push(storage, [scribe.fact(50, 1), scribe.fact(51, 2)], author)
        edit = scribe.change("customer", uid(1), {"gender": "female"}, "edit")
        await scribe.push(storage, [edit], Author(uid(8), scopes, UNITS[1]))
        cids = {}
        for name, scope in (("device", UNIT_1), ("row", UNIT_0), ("none", f"unit:{UNITS[2]}")):
            async with storage.reader(frozenset({scope})) as reader:
                cids[name] = [e.id for e in await reader.open_entries(9)]
                assert await reader.open_entries(9, device=uid(7)) == []
        assert cids == {"device": [uid(50), uid(51)], "row": [uid(1)], "none": []}

    async def test_groups_wait_in_the_order_they_came(self, storage):
        names = ["0c" * 16, "0a" * 16, "0b" * 16]
        async with storage.writer() as writer:
            await writer.commit(Batch(waits=dict.fromkeys(names, "x")))
        async with storage.writer() as writer:
            await writer.commit(Batch(waits={names[1]: "y", names[0]: None}))
        async with storage.writer() as writer:
            assert await writer.waiting(["x", "y", "z"]) == names[1:]
            assert await writer.waiting(["y"]) == [names[1]]

    async def test_question_that_cannot_be_answered_is_refused(self, storage):
        async with storage.unscoped_reader() as reader:
            for test in (
                Test("belief", "eq", "x"),
                Test("nothing", "eq", "x"),
                Test("name", "eq", 5),
                Test("name", "eq", "\ud800"),
                Test("archived", "eq", 1),
                Test("tags", "eq", "x"),
                Test("name", "has", "x"),
                Test("name", "overlaps", ["x"]),
                Test("phones", "overlaps", "x"),
                Test("*", "match", None),
                Test("*", "match", Token("")),
                Test("*", "match", Either(())),
                Test("*", "match", Each((Token("a"), Either(())))),
                Test("name", "match", Token("a")),
                Related("unit", "owner"),
                Related("nothing", "home_unit"),
                Related("unit", "name"),
                Related("interaction", "party"),
                Related("unit", "home_unit", test=Test("gender", "eq", "male")),
            ):
                with pytest.raises(Refused) as error:
                    await reader.count("customer", test)
                assert error.value.code == "argument_invalid"
            with pytest.raises(Refused):
                await reader.select("customer", None, Order("belief"), 1)

    async def test_a_row_out_of_reach_is_no_row_for_a_test_through_a_relation(self, storage, scribe):
        near, far = scribe.customer(1), scribe.customer(2, unit=1, gender="female")
        party = [{"customer": near.id}, {"customer": far.id}]
        fact = scribe.change(
            "interaction", uid(50), {"kind": "visit", "at": "2026-11-22T00:00:00.000Z", "party": party}
        )
        await scribe.push(storage, [near, far, fact, scribe.fact(51, 2, stage_reached=7)])
        women = Related("customer", "party", test=Test("gender", "eq", "female"))
        late = Related("interaction", "party", back=True, test=Test("stage_reached", "eq", 7))
        for scopes, facts, without in ((None, [50, 51], [1]), ({UNIT_0}, [], [1]), ({UNIT_1}, [50, 51], [])):
            opened = storage.unscoped_reader() if scopes is None else storage.reader(frozenset(scopes))
            async with opened as reader:
                found = await reader.select("interaction", women, Order(), 9)
                assert [row.id for row in found] == [uid(number) for number in facts]
                assert await reader.count("interaction", Not(women)) == (1 if scopes == {UNIT_0} else 0)
                found = await reader.select("customer", Not(late), Order(), 9)
                assert [row.id for row in found] == [uid(number) for number in without]

    async def test_ids_that_nobody_can_have_are_not_found(self, storage, scribe):
        await scribe.push(storage, [scribe.customer(1)])
        async with storage.unscoped_reader() as reader:
            odd = ["\ud800", "", "x\x00", uid(1) + "\x00", uid(1)]
            assert list(await reader.find("customer", odd)) == [uid(1)]
            assert await reader.find("nothing", [uid(1)]) == {}
            assert await reader.history("nothing", uid(1)) == []

    async def test_new_epoch_stays(self, storage):
        before = storage.chain
        epoch = await storage.new_epoch()
        assert storage.chain.epoch == epoch != before.epoch
        assert storage.chain.id == before.id

    async def erase(self, storage, keys, places=(), emptied=()):
        async with storage.writer() as writer:
            batch = Batch(erased=list(keys), emptied=set(emptied))
            batch.writes.places += [Place(scope, entity, id, left=True) for (entity, id), scope in places]
            await writer.commit(batch)
        await storage.scrub()

    async def test_erased_row_is_nowhere_and_its_id_is_a_tombstone(self, storage, scribe):
        key, never = ("customer", uid(1)), ("customer", uid(7))
        phone = {"phones/138 0013 8000": True, "belief": "x", "member_no": "M"}
        await scribe.push(storage, [scribe.customer(1, **phone), scribe.customer(2, **phone)])
        await scribe.push(storage, [], sightings={(uid(1), UNITS[0]): 5})
        _, reached = await read(storage, {UNIT_0: 0})
        scopes = [(key, UNIT_0), (key, f"{UNIT_0}/sensitive")]
        await self.erase(storage, [key, never], scopes)
        async with storage.unscoped_reader() as reader:
            assert await reader.find("customer", [uid(1), uid(7)]) == {}
            assert await reader.count("customer", None) == 1
            assert [row.id for row in await reader.select("customer", None, Order(), 9)] == [uid(2)]
            assert await reader.count("customer", Test("phones", "has", "+8613800138000")) == 1
            assert await reader.count("customer", Not(Test("member_no", "eq", "M"))) == 0
            assert await reader.equal_keys(9) == []
            assert await reader.history("customer", uid(1)) == []
            digests = await reader.digests([UNIT_0, f"{UNIT_0}/sensitive"])
            assert [digest.rows for digest in digests.values()] == [1, 1]
        for after in (reached, {UNIT_0: 0}):
            async with storage.reader(frozenset({UNIT_0})) as reader:
                page = await reader.feed(after, ROWS_MAX, BYTES_MAX)
                assert [(part.left, part.erased) for part in page.rows] == [([uid(1)], [uid(1)])]
                assert tuple(await reader.since(reached, 9)) == (1, True, 2)
        async with storage.writer() as writer:
            rows = await writer.rows([key, never, ("customer", uid(2)), ("customer", uid(3))])
            assert [(row.erased, row.exists) for row in rows.values()] == [
                (True, False),
                (True, False),
                (False, True),
                (False, False),
            ]
            assert await writer.dependents([uid(1)]) == []
            assert await writer.expired(9, 9) == []
        await scribe.push(storage, [scribe.customer(3)])
        assert (await read(storage, {UNIT_0: 0}))[0][UNIT_0, "customer", uid(1)] is None

    async def test_sightings_are_kept_renewed_ended_and_found_when_they_are_old(self, storage, scribe):
        await scribe.push(storage, [scribe.customer(1), scribe.customer(2)])
        one, two = uid(1), uid(2)

        async def known():
            async with storage.writer() as writer:
                rows = await writer.rows([("customer", one), ("customer", two)])
                old = await writer.expired(60, 10), await writer.expired(60, 1), await writer.expired(50, 10)
                return [row.seen for row in rows.values()], *old

        sightings = {(one, UNITS[2]): 50, (one, UNITS[3]): 40, (two, UNITS[2]): 60}
        await scribe.push(storage, [], sightings=sightings)
        assert await known() == (
            [{UNITS[2]: 50, UNITS[3]: 40}, {UNITS[2]: 60}],
            [(one, UNITS[3]), (one, UNITS[2])],
            [(one, UNITS[3])],
            [(one, UNITS[3])],
        )
        await scribe.push(storage, [], sightings={(one, UNITS[2]): 70, (one, UNITS[3]): None})
        assert await known() == ([{UNITS[2]: 70}, {UNITS[2]: 60}], [], [], [])
        rows, _ = await read(storage, {f"unit:{UNITS[2]}": 0, f"unit:{UNITS[3]}": 0})
        assert {key[2]: raw is None for key, raw in rows.items() if key[0].endswith(UNITS[2])} == {
            one: False,
            two: False,
        }
        assert rows[f"unit:{UNITS[3]}", "customer", one] is None

    async def test_kin_are_the_decisions_inside_the_clusters_that_somebody_belongs_to(self, storage, scribe):
        def decide(one, other, decision):
            pair = {"one": uid(one), "other": uid(other)}
            return scribe.change("identity", identity_id(*pair.values()), {**pair, "decision": decision})

        decided = {
            (one, other): decide(one, other, decision)
            for one, other, decision in [
                (1, 2, "same"),
                (2, 3, "same"),
                (1, 3, "not_same"),
                (3, 4, "proposed"),
                (5, 6, "same"),
                (4, 5, "household"),
            ]
        }
        await scribe.push(storage, [scribe.customer(number) for number in range(1, 8)])
        await scribe.push(storage, decided.values())

        async def kin(*numbers):
            async with storage.writer() as writer:
                found = await writer.kin(map(uid, numbers))
            assert [row.id for row in found] == sorted(row.id for row in found)
            return {pair for pair, change in decided.items() if change.id in {row.id for row in found}}

        assert await kin(7) == set()
        assert await kin(4) == set()
        assert await kin(3) == {(1, 2), (2, 3), (1, 3)}
        assert await kin(3, 4) == {(1, 2), (2, 3), (1, 3), (3, 4)}
        assert await kin(6) == {(5, 6)}
        assert await kin(4, 6) == {(5, 6), (4, 5)}

    async def test_row_that_left_without_being_erased_is_not_said_to_be(self, storage, scribe):
        await scribe.push(storage, [scribe.customer(1), scribe.customer(2)])
        edit = scribe.change(
            "customer", uid(1), {"home_unit": UNITS[1]}, "edit", {"home_unit": ["0" * 31 + "1"]}
        )
        await scribe.push(storage, [edit])
        await self.erase(storage, [("customer", uid(2))], [(("customer", uid(2)), UNIT_0)])
        async with storage.reader(frozenset({UNIT_0})) as reader:
            (part,) = (await reader.feed({UNIT_0: 0}, ROWS_MAX, BYTES_MAX)).rows
            assert (set(part.left), part.erased) == ({uid(1), uid(2)}, [uid(2)])

    async def test_emptied_entries_say_nothing_and_the_log_still_verifies(self, storage, scribe):
        rulings, _ = await scribe.push(
            storage,
            [scribe.customer(1), scribe.fact(50, 1), scribe.customer(2), scribe.customer(3, kind="robot")],
        )
        made, fact, kept, refused = (ruling.change.cid for ruling in rulings)
        async with storage.writer() as writer:
            assert [e.cid for e in await writer.about([uid(2)], [uid(1)])] == [made, fact, kept]
            assert [e.cid for e in await writer.about([], [])] == []
            assert (await writer.entries([refused]))[refused].field == "kind"
        await self.erase(storage, [], emptied=[made, fact, refused])
        async with storage.writer() as writer:
            known = await writer.entries([made, fact, kept, refused])
            assert [entry.is_emptied for entry in known.values()] == [True, True, False, True]
            assert all(e.body is e.key is e.field is e.detail is None for e in known.values() if e.is_emptied)
            assert known[refused].code == "enum_unknown"
            assert [e.cid for e in await writer.about([], [uid(1)])] == []
        assert await storage.verify_log() == 4
        await scribe.push(storage, [scribe.customer(4)])
        assert await storage.verify_log() == 5

    async def test_search_finds_every_word_wherever_it_stands(self, storage, scribe):
        first = scribe.customer(0, **{"phones/138 0013 8000": True, "emails/Lin@x.cn": True})
        await scribe.push(storage, [first, scribe.customer(2, member_no="A%1")])
        async with storage.unscoped_reader() as reader:
            for words, numbers in (
                ("138-0013-8000", [0]),
                ("(138)0013", [0]),
                ("138 8000 linfang", [0]),
                ("LF lin@X.CN", [0]),
                ("芳 139", []),
                ("a%1", [2]),
                ("ann", [2]),
                ("%1 an", [2]),
            ):
                found = await reader.select("customer", matching(words), Order(), 9)
                assert [row.id for row in found] == [uid(n) for n in numbers], words

    async def test_a_row_is_found_by_what_it_says_now_and_by_nothing_that_it_said(self, storage, scribe):
        async def found(text):
            async with storage.unscoped_reader() as reader:
                return [row.id for row in await reader.select("customer", matching(text), Order(), 9)]

        first = scribe.change("customer", uid(1), {"name": "林芳", "home_unit": UNITS[0], "tags/oak": True})
        await scribe.push(storage, [first, scribe.customer(2)])
        assert await found("oak") == await found("linfang") == [uid(1)]
        seen = {"name": [first.cid], "tags/oak": [first.cid]}
        edit = scribe.change("customer", uid(1), {"name": "王伟", "tags/oak": False}, "edit", seen)
        await scribe.push(storage, [edit])
        assert await found("oak") == await found("linfang") == []
        assert await found("wangwei") == [uid(1)]
        await self.erase(storage, [("customer", uid(1))], [(("customer", uid(1)), UNIT_0)])
        assert await found("wangwei") == []
        assert await found("ann") == [uid(2)]

    async def test_page_stops_at_the_document_that_reaches_its_bytes(self, storage, scribe):
        await scribe.push(storage, [scribe.customer(i) for i in range(3)])
        async with storage.reader(frozenset({UNIT_0})) as reader:
            whole = await reader.feed({UNIT_0: 0}, 9, BYTES_MAX)
            (part,) = whole.rows
            one, two = len(part.documents[0]), len(part.documents[1])
            for bytes_max, count in (
                (0, 1),
                (1, 1),
                (one, 1),
                (one + 1, 2),
                (one + two, 2),
                (one + two + 1, 3),
            ):
                page = await reader.feed({UNIT_0: 0}, 9, bytes_max)
                assert [len(part.documents) for part in page.rows] == [count]
                assert page.more is (count < 3)
            assert not whole.more

    # --- who may be one person ------------------------------------------------------------------------

    async def test_customers_are_queued_to_be_matched_until_it_was_done(self, storage, scribe):
        await scribe.push(storage, [scribe.customer(1), scribe.customer(2), scribe.customer(3)])
        async with storage.writer() as writer:
            assert await writer.unmatched(10) == []
            await writer.commit(Batch(unmatched={uid(2), uid(1)}))
        async with storage.writer() as writer:
            assert await writer.unmatched(10) == [uid(1), uid(2)]
            assert await writer.unmatched(1) == [uid(1)]
            await writer.commit(Batch(unmatched={uid(1), uid(3)}, matched={uid(2)}))
        async with storage.writer() as writer:
            assert await writer.unmatched(10) == [uid(1), uid(3)]
            await writer.commit(Batch(matched={uid(1), uid(3)}))
        async with storage.writer() as writer:
            assert await writer.unmatched(10) == []

    async def test_a_scan_queues_every_customer_that_there_is(self, storage, scribe):
        await scribe.push(storage, [scribe.customer(n) for n in (1, 2, 3)])
        async with storage.writer() as writer:
            await writer.commit(Batch(erased=[("customer", uid(2))]))
        async with storage.writer() as writer:
            await writer.commit(Batch(scan=True))
        async with storage.writer() as writer:
            assert await writer.unmatched(10) == [uid(1), uid(3)]

    async def test_customers_with_a_key_in_common_are_alike(self, storage, scribe):
        phone, mail = {"phones/138 0013 8000": True}, {"emails/a@b.cn": True}
        rows = [
            scribe.customer(1, **phone, **mail),
            scribe.customer(2, **phone),
            scribe.customer(3, **mail, member_no="7"),
            scribe.customer(4, member_no="7", **{"phones/12": True}),
            scribe.customer(5, **phone, archived=True),
            scribe.customer(6, **{"phones/12": True, "external_ids/pos:1": True, "tags/vip": True}),
            scribe.customer(7, **{"external_ids/pos:1": True, "tags/vip": True}),
        ]
        await scribe.push(storage, rows)
        key = "phones/+8613800138000"
        async with storage.writer() as writer:
            assert await writer.alike([uid(1)]) == [
                (uid(1), uid(2), key),
                (uid(1), uid(3), "emails/a@b.cn"),
            ]
            assert await writer.alike([uid(2), uid(3)]) == [
                (uid(1), uid(2), key),
                (uid(1), uid(3), "emails/a@b.cn"),
                (uid(3), uid(4), "member_no"),
            ]
            assert await writer.alike([uid(5)]) == []
            assert await writer.alike([uid(6), uid(99)]) == [(uid(6), uid(7), "external_ids/pos:1")]

    async def test_customers_with_the_spoken_name_and_birth_or_address_are_alike(self, storage, scribe):
        born = {"month": 5, "day": 3}
        rows = [
            scribe.customer(1, name="林芳", birth=born),
            scribe.customer(2, name="Lin Fang", birth=born, address="南京路 1 号"),
            scribe.customer(3, name="林方", address="南京路1号"),
            scribe.customer(4, name="林芳"),
            scribe.customer(5, name="张伟", birth=born, address="南京路1号"),
        ]
        await scribe.push(storage, rows)
        async with storage.writer() as writer:
            found = [(uid(1), uid(2), "name"), (uid(2), uid(3), "name")]
            assert await writer.alike([uid(n) for n in range(1, 6)]) == found
        edit = scribe.change("customer", uid(2), {"birth": None}, "edit", {"birth": ["0" * 31 + "2"]})
        await scribe.push(storage, [edit])
        async with storage.writer() as writer:
            assert await writer.alike([uid(1)]) == []

    async def test_what_too_many_share_tells_nothing_of_a_person(self, storage, scribe):
        shops_own = {"phones/138 0013 8000": True}
        await scribe.push(storage, [scribe.customer(n, **shops_own) for n in range(1, SHARED_MAX + 1)])
        async with storage.writer() as writer:
            assert len(await writer.alike([uid(1)])) == SHARED_MAX - 1
        await scribe.push(storage, [scribe.customer(SHARED_MAX + 1, **shops_own, archived=True)])
        async with storage.writer() as writer:
            assert await writer.alike([uid(1)]) == []

    async def decided(self, storage, scribe, one, other, decision):
        """Let head office say something of two customers, anew where it was said before."""
        id = identity_id(uid(one), uid(other))
        async with storage.unscoped_reader() as reader:
            found = await reader.find("identity", [id])
        before = [orjson.loads(found[id].documents["internal"])["v"][0][0]] if found else []
        said = {"one": uid(one), "other": uid(other), "decision": decision}
        seen = {"decision": before} if before else {}
        made = scribe.change("identity", id, said, seen=seen)
        ((ruling,), _) = await scribe.push(storage, [made])
        assert ruling.verdict in ("applied", "merged")

    async def found(self, storage, where, entity="customer"):
        async with storage.unscoped_reader() as reader:
            rows = await reader.select(entity, where, Order(), 100)
            assert await reader.count(entity, where) == len(rows)
        return [row.id for row in rows]

    async def test_a_cluster_is_one_person_found_by_any_of_its_rows(self, storage, scribe):
        await scribe.push(storage, [scribe.customer(n, **{f"tags/t{n}": True}) for n in (1, 2, 3, 4)])
        await self.decided(storage, scribe, 2, 3, "same")
        await self.decided(storage, scribe, 3, 4, "same")
        assert await self.found(storage, Person()) == [uid(1), uid(2)]
        assert await self.found(storage, Person(Test("tags", "has", "t4"))) == [uid(2)]
        assert await self.found(storage, Person(Test("tags", "has", "t1"))) == [uid(1)]
        assert await self.found(storage, Not(Person())) == [uid(3), uid(4)]
        async with storage.unscoped_reader() as reader:
            all_ = (uid(2), uid(3), uid(4))
            assert await reader.clusters([uid(1), uid(2), uid(4), uid(9)]) == {uid(2): all_, uid(4): all_}
        async with storage.reader(frozenset({UNIT_0})) as reader:
            assert await reader.clusters([uid(3)]) == {uid(3): all_}
        async with storage.reader(frozenset({UNIT_1})) as reader:
            assert await reader.clusters([uid(3)]) == {}
        await self.decided(storage, scribe, 2, 3, "not_same")
        assert await self.found(storage, Person()) == [uid(1), uid(2), uid(3)]
        async with storage.unscoped_reader() as reader:
            assert await reader.clusters([uid(2), uid(3)]) == {uid(3): (uid(3), uid(4))}

    async def test_what_happened_to_a_person_is_told_latest_first_within_reach(self, storage, scribe):
        await scribe.push(storage, [scribe.customer(1), scribe.customer(2), scribe.customer(3, 1)])
        scribe.now_ms += 1_000
        near, far = (link_id(uid(2), uid(n), "family") for n in (1, 3))
        link = {"from_customer": uid(2), "to_customer": uid(1), "kind": "family"}
        made = [scribe.change("link", near, link), scribe.fact(50, 1)]
        away = scribe.change("link", far, {**link, "to_customer": uid(3)})
        edit = scribe.change("customer", uid(1), {"belief": "x"}, "edit")
        both = scribe.change("customer", uid(2), {"belief": "x", "notes": "y"}, "edit")
        held = scribe.change("customer", uid(1), {"name": " "}, "edit")
        await scribe.push(storage, [*made, away, edit, both, held])
        await self.decided(storage, scribe, 1, 2, "same")
        internal = frozenset({"customer.name", "customer.notes", "link.kind", "identity.decision"})
        persons = {"one": [uid(1)], "two": [uid(2), uid(1)], "three": [uid(3)]}

        async def told(reach=None, **more):
            opened = storage.unscoped_reader() if reach is None else storage.reader(reach)
            async with opened as reader:
                found = await reader.happened(persons, **{"limit": 9, **more})
            for happened in found.values():
                assert [(h.at_ms, h.pos) for h in happened] == sorted(
                    ((h.at_ms, h.pos) for h in happened), reverse=True
                )
            return {person: [names[h.entry.id] for h in happened] for person, happened in found.items()}

        names = {near: "near", far: "far", identity_id(uid(1), uid(2)): "same"}
        names |= {uid(n): f"customer {n}" for n in (1, 2, 3)}
        of_2 = ["customer 2", "customer 1", "far", "near", "customer 2", "customer 1"]
        assert await told() == {
            "one": ["same", "customer 1", "near", "customer 1"],
            "two": ["same", *of_2],
            "three": ["far", "customer 3"],
        }
        assert (await told(limit=2))["two"] == ["same", "customer 2"]
        assert await told(fields=internal) == {
            "one": ["same", "near", "customer 1"],
            "two": ["same", "customer 2", "far", "near", "customer 2", "customer 1"],
            "three": ["far", "customer 3"],
        }
        assert await told(frozenset({UNIT_1})) == {
            "one": [],
            "two": ["far"],
            "three": ["far", "customer 3"],
        }
        async with storage.unscoped_reader() as reader:
            every = (await reader.happened(persons, 9))["two"]
            beyond = await reader.happened({"two": [uid(2), uid(1)]}, 9, (every[2].at_ms, every[2].pos))
            assert beyond == {"two": every[3:]}
            assert await reader.happened({}, 9) == {}
            assert await reader.happened({"nobody": [uid(9)]}, 9) == {"nobody": []}

    async def test_histories_counts_and_holders_are_those_of_each_row_within_reach(self, storage, scribe):
        await scribe.push(
            storage, [scribe.customer(1, notes="x"), scribe.customer(2, 1), scribe.customer(3, None)]
        )
        await scribe.push(storage, [scribe.change("customer", uid(1), {"notes": "y"}, "edit")])
        sighted = {(uid(1), UNITS[1]): scribe.now_ms}
        await scribe.push(storage, [], sightings=sighted, again=[("customer", uid(1))])
        ids = [uid(n) for n in (1, 2, 3, 9)]
        wheres = [Test("id", "eq", id) for id in ids] * 60 + [Not(Test("id", "eq", uid(1)))]
        async with storage.unscoped_reader() as reader:
            told = await reader.histories("customer", ids)
            assert {id: len(entries) for id, entries in told.items()} == {uid(1): 2, uid(2): 1, uid(3): 1}
            assert told[uid(1)] == await reader.history("customer", uid(1))
            assert await reader.counts("customer", wheres) == [1, 1, 1, 0] * 60 + [2]
            assert await reader.counts("customer", []) == []
            both = {uid(1): frozenset(UNITS[:2]), uid(2): frozenset({UNITS[1]})}
            assert await reader.holders(ids) == both
        async with storage.reader(frozenset({UNIT_0})) as reader:
            assert list(await reader.histories("customer", ids)) == [uid(1)]
            assert await reader.counts("customer", wheres[:4]) == [1, 0, 0, 0]
            assert await reader.holders(ids) == {uid(1): frozenset({UNITS[0]})}

    async def test_a_contradiction_tears_its_cluster_until_it_is_resolved(self, storage, scribe):
        await scribe.push(storage, [scribe.customer(n) for n in (1, 2, 3)])
        await self.decided(storage, scribe, 1, 2, "same")
        await self.decided(storage, scribe, 2, 3, "same")
        assert await self.found(storage, Torn(), "identity") == []
        await self.decided(storage, scribe, 1, 3, "not_same")
        torn = sorted(identity_id(uid(a), uid(b)) for a, b in ((1, 2), (2, 3), (1, 3)))
        assert await self.found(storage, Torn(), "identity") == torn
        assert await self.found(storage, Person()) == [uid(1), uid(2), uid(3)]
        await self.decided(storage, scribe, 1, 3, "same")
        assert await self.found(storage, Torn(), "identity") == []
        assert await self.found(storage, Person()) == [uid(1)]
