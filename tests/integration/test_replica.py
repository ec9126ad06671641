"""The replica against pages that a server may send: one move for rows, cursor and proof."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import orjson
import pytest

from regulars import replica
from regulars.files import connect_inline
from regulars.replica import Applied, Replica
from regulars_schema.entities import REGISTRY
from regulars_sync.digest import EMPTY, Digest, add, row_hash
from regulars_sync.protocol import Acked, Head, PullAnswer, Rows

NOON_MS = 1_795_300_000_000
LIN = orjson.dumps({"id": "lin", "name": "Lin", "tags/vip": True, "v": [["a", 1]]})
LIN_LATER = orjson.dumps({"id": "lin", "name": "Fang", "tags/new": True, "v": [["b", 2]]})
WANG = orjson.dumps({"id": "wang", "name": "Wang", "v": [["c", 3]]})


@pytest.fixture
async def rows(tmp_path: Path) -> AsyncIterator[Replica]:
    made = Replica(tmp_path / "branch.db", REGISTRY, durable=False)
    await made.file.open(connect_inline)
    yield made
    await made.file.close()


def customers(scope: str, *documents: bytes, left: tuple[str, ...] = ()) -> Rows:
    return Rows(scope, "customer", [msgspec.Raw(document) for document in documents], list(left))


def page(cursor: str, *parts: Rows, dropped: tuple[str, ...] = ()) -> PullAnswer:
    return PullAnswer("c", "e", NOON_MS, cursor, {"i": Acked(1, "t")}, list(parts), list(dropped))


def digest(*documents: bytes) -> Digest:
    return add(EMPTY, [row_hash("customer", document) for document in documents])


async def apply(rows: Replica, held: dict[str, Digest], *pages: PullAnswer) -> Applied:
    for one in pages:
        await rows.stage(one)
    return await rows.apply(Head({scope: (n, hash) for scope, (n, hash) in held.items()}, 7), NOON_MS)


async def table(rows: Replica, columns: str, name: str) -> list[tuple[object, ...]]:
    return await rows.file.read(lambda c: c.execute(f"SELECT {columns} FROM {name} ORDER BY 1, 2").fetchall())


async def test_pages_are_staged_unseen_and_applied_once(rows: Replica) -> None:
    await rows.stage(page("1", customers("u", LIN)))
    assert await rows.cursor() == "1"
    assert await table(rows, "entity, id", "row") == []
    applied = await apply(rows, {"u": digest(LIN, WANG)}, page("2", customers("u", WANG)))
    assert (applied.changed, applied.differing) == ({("customer", "lin"), ("customer", "wang")}, [])
    assert applied.acks == {"i": Acked(1, "t")}
    assert await table(rows, "pos, page", "stage") == []
    assert await rows.cursor() == "2"
    assert await rows.file.read(lambda c: int(replica.said(c, "stamp_max") or 0)) == 7


async def test_an_apply_that_fails_moves_nothing(rows: Replica) -> None:
    await apply(rows, {"u": digest(LIN)}, page("1", customers("u", LIN)))
    nameless = customers("u", b'{"name": "a row without an id"}')
    with pytest.raises(KeyError):
        await apply(rows, {}, page("2", customers("u", LIN_LATER), nameless))
    assert await table(rows, "id, document", "row") == [("lin", LIN)]
    assert await rows.verify() == {"u": digest(LIN)}
    assert await rows.file.read(lambda c: replica.said(c, "cursor")) == "1"


async def test_a_row_written_anew_takes_its_old_bytes_out_of_digest_and_index(rows: Replica) -> None:
    await apply(rows, {"u": digest(LIN)}, page("1", customers("u", LIN)))
    applied = await apply(rows, {"u": digest(LIN_LATER)}, page("2", customers("u", LIN_LATER)))
    assert applied.differing == []
    assert await table(rows, "field, key", "element") == [("tags", "new")]
    ((id, text),) = await table(rows, "id, text", "words")
    assert id == "lin"
    assert {"fang", "·fang"} <= set(str(text).split())
    assert "lin" not in str(text).split()


async def test_a_row_that_another_scope_holds_stays_until_that_one_lets_it_go(rows: Replica) -> None:
    both = {"u": digest(LIN), "w": digest(LIN)}
    await apply(rows, both, page("1", customers("u", LIN), customers("w", LIN)))
    held = {"u": EMPTY, "w": digest(LIN)}
    assert (await apply(rows, held, page("2", customers("u", left=("lin",))))).differing == []
    assert await table(rows, "id, document", "row") == [("lin", LIN)]
    assert (await apply(rows, {}, page("3", customers("w", left=("lin",))))).differing == []
    for name in ("row", "member", "find", "words", "element"):
        assert await table(rows, "entity, id", name) == [], name


async def test_a_level_that_left_goes_though_another_level_of_the_row_stays(rows: Replica) -> None:
    secret = orjson.dumps({"id": "lin", "belief": "b", "v": [["a", 1]]})
    held = {"u": digest(LIN), "u/sensitive": digest(secret)}
    first = page("1", customers("u", LIN), customers("u/sensitive", secret))
    assert (await apply(rows, held, first)).differing == []
    await apply(rows, {"u": digest(LIN)}, page("2", customers("u/sensitive", left=("lin",))))
    assert await table(rows, "id, document", "row") == [("lin", LIN)]
    assert len(await table(rows, "entity, id", "find")) == 1


async def test_a_dropped_scope_takes_what_only_it_held(rows: Replica) -> None:
    await apply(rows, {}, page("1", customers("u", LIN, WANG), customers("w", WANG)))
    applied = await apply(rows, {"w": digest(WANG)}, page("2", dropped=("u",)))
    assert applied.differing == []
    assert ("customer", "lin") in applied.changed
    assert await table(rows, "id, document", "row") == [("wang", WANG)]
    assert await table(rows, "scope, rows", "digest") == [("w", 1)]


async def test_a_scope_that_differs_is_named_whoever_has_more(rows: Replica) -> None:
    held = {"u": digest(WANG), "there": digest(LIN)}
    applied = await apply(rows, held, page("1", customers("u", LIN), customers("here", WANG)))
    assert applied.differing == ["here", "there", "u"]


async def test_after_a_reset_the_old_rows_are_shown_until_new_ones_replace_them_all(rows: Replica) -> None:
    await apply(rows, {}, page("1", customers("u", LIN)))
    await rows.stage(page("2", customers("u", LIN_LATER)))
    await rows.reset()
    assert await rows.cursor() is None
    assert await table(rows, "id, document", "row") == [("lin", LIN)]
    applied = await apply(rows, {"u": digest(WANG)}, page("3", customers("u", WANG)))
    assert applied.changed == {("customer", "lin"), ("customer", "wang")}
    assert applied.differing == []
    assert await table(rows, "id, document", "row") == [("wang", WANG)]
    assert await table(rows, "entity, id", "find") == [("customer", "wang")]
    assert await table(rows, "entity, id", "element") == []


async def test_a_wiped_replica_names_what_it_held_and_keeps_no_byte_of_it(rows: Replica) -> None:
    await apply(rows, {}, page("1", customers("u", LIN)))
    await rows.stage(page("2", customers("u", WANG)))
    assert await rows.wipe() == {("customer", "lin")}
    assert await rows.cursor() is None
    for file in rows.file.path.parent.iterdir():
        assert b'"name":' not in file.read_bytes(), file.name
        assert b"wang" not in file.read_bytes().lower(), file.name


async def test_verdicts_open_until_the_server_closes_them(rows: Replica) -> None:
    said = [
        ("held", "row_unknown", False),
        ("rejected", "x", False),
        ("held", "x", True),
        ("rejected", "erased", True),
    ]
    documents = [
        orjson.dumps({"id": f"cid {i}", "verdict": verdict, "code": code, "closed": closed, "v": []})
        for i, (verdict, code, closed) in enumerate(said)
    ]
    verdicts = Rows("device", "change_verdict", [msgspec.Raw(document) for document in documents])
    applied = await apply(rows, {}, page("1", verdicts))
    assert sorted(applied.still_open) == ["cid 0", "cid 1"]
    assert applied.erased == ["cid 3"]
