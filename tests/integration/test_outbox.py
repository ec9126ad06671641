"""The outbox against what servers may say: stamps fixed once, whole groups, histories that part."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from regulars.files import connect_inline
from regulars.outbox import BATCH_CHANGES, Outbox
from regulars_schema.entities import REGISTRY
from regulars_sync import changes
from regulars_sync.changes import GROUP_CHANGES_MAX, Change, Stated, Value
from regulars_sync.errors import LocalError, Refused
from regulars_sync.protocol import Acked, Contact, Gap, PushRequest

NOON_MS = 1_795_300_000_000

FACTS: dict[str, str | int | None] = {"chain": "c", "token": "t", "url": "http://hq"}


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    made = Outbox(tmp_path / "branch.outbox.db", random.Random(1).randbytes, durable=False)
    await made.file.open(connect_inline)
    yield made
    await made.file.close()


def draft(n: int, notes: str = "n", at: int = NOON_MS) -> Change:
    cid = f"{n:032x}"
    return Change(
        cid=cid,
        group=cid,
        op="edit",
        entity="customer",
        id=f"row {n}",
        fields={"notes": Value(notes)},
        stated=Stated(at),
        schema=REGISTRY.version,
    )


async def write(outbox: Outbox, *numbers: int, known: int = 0) -> None:
    """Each as a transaction of its own."""
    for n in numbers:
        await outbox.append(changes.grouped([draft(n)]), known)


async def push(
    outbox: Outbox, acks: dict[str, Acked] | None = None, now: int = NOON_MS, offset_ms: int = 0
) -> PushRequest | None:
    return await outbox.outgoing(Contact(now, acks or {}), offset_ms, REGISTRY.version)


async def sent(
    outbox: Outbox, acks: dict[str, Acked] | None = None, now: int = NOON_MS, offset_ms: int = 0
) -> list[Change]:
    request = await push(outbox, acks, now, offset_ms)
    return [changes.decode(raw) for raw in request.changes] if request else []


async def acked(outbox: Outbox, n: int) -> dict[str, Acked]:
    """The word of a server that has the newest incarnation up to `n`."""
    id = (await outbox.incarnations())[-1]
    trail = await outbox.file.read(lambda c: outbox._trail_at(c, id, n))
    return {id: Acked(n, trail or "")}


async def numbers(outbox: Outbox) -> list[int]:
    return [int(live.cid, 16) for live in await outbox.live()]


async def test_a_stamp_is_fixed_once_and_sent_again_byte_for_byte(outbox: Outbox) -> None:
    await write(outbox, 1)
    first = await push(outbox)
    again = await push(outbox, now=NOON_MS + 3_600_000, offset_ms=77)
    assert first is not None
    assert again is not None
    assert first.changes == again.changes


async def test_stamps_rise_over_pushes_however_the_clocks_stand(outbox: Outbox) -> None:
    await write(outbox, 1)
    (one,) = await sent(outbox)
    await outbox.clear(acks := await acked(outbox, 1), [], NOON_MS, 0)
    await write(outbox, 2)
    (two,) = await sent(outbox, acks, now=NOON_MS - 86_400_000)
    assert one.stamp is not None
    assert two.stamp == one.stamp + 1


async def test_a_stamp_lies_above_what_the_writer_could_have_seen(outbox: Outbox) -> None:
    await write(outbox, 1, known=(NOON_MS + 60_000) * 1_000)
    (one,) = await sent(outbox)
    assert one.stamp == (NOON_MS + 60_000) * 1_000 + 1


async def test_what_the_clock_said_is_sent_with_the_offset_of_the_contact(outbox: Outbox) -> None:
    await write(outbox, 1)
    (one,) = await sent(outbox, offset_ms=-5_000)
    assert one.stated == Stated(NOON_MS, -5_000)
    assert one.stamp == (NOON_MS - 5_000) * 1_000


async def test_a_transaction_is_never_divided_between_pushes(outbox: Outbox) -> None:
    await write(outbox, *range(BATCH_CHANGES - 1))
    group = changes.grouped([draft(n) for n in range(BATCH_CHANGES, BATCH_CHANGES + GROUP_CHANGES_MAX)])
    await outbox.append(group, 0)
    assert len(await sent(outbox)) == BATCH_CHANGES - 1
    rest = await sent(outbox, await acked(outbox, BATCH_CHANGES - 1))
    assert [change.cid for change in rest] == [change.cid for change in group]


async def test_a_push_carries_about_one_mebibyte(outbox: Outbox) -> None:
    for n in range(3):
        await outbox.append(changes.grouped([draft(n, notes="n" * 600_000)]), 0)
    assert len(await sent(outbox)) == 1


async def test_a_transaction_over_the_limit_is_refused_whole(outbox: Outbox) -> None:
    with pytest.raises(LocalError, match="group_too_large"):
        await outbox.append(changes.grouped([draft(n) for n in range(GROUP_CHANGES_MAX + 1)]), 0)
    assert await outbox.live() == []


async def test_what_is_acknowledged_is_laid_over_no_more_unless_it_is_still_open(outbox: Outbox) -> None:
    await write(outbox, 1, 2, 3)
    await outbox.clear(await acked(outbox, 2), [draft(1).cid], NOON_MS, 0)
    assert await numbers(outbox) == [1, 3]
    await outbox.clear(await acked(outbox, 3), [], NOON_MS, 0)
    assert await numbers(outbox) == []
    await outbox.clear(await acked(outbox, 3), [draft(2).cid], NOON_MS, 0)
    assert await numbers(outbox) == [2]


async def test_what_the_server_lost_is_laid_over_again(outbox: Outbox) -> None:
    await write(outbox, 1, 2)
    await outbox.clear(await acked(outbox, 2), [], NOON_MS, 0)
    await outbox.clear(await acked(outbox, 1), [], NOON_MS, 0)
    assert await numbers(outbox) == [2]


async def test_a_word_about_another_history_clears_nothing_and_all_is_offered_anew(outbox: Outbox) -> None:
    await write(outbox, 1, 2)
    await outbox.clear(await acked(outbox, 1), [], NOON_MS, 0)
    (old,) = await outbox.incarnations()
    word = {old: Acked(2, "0" * 32)}
    await outbox.clear(word, [], NOON_MS, 0)
    assert await numbers(outbox) == [2]
    request = await push(outbox, word)
    assert request is not None
    assert (len(request.changes), request.n, request.gap) == (2, 1, None)
    assert await outbox.incarnations() == [old, request.incarnation]
    assert await numbers(outbox) == [1, 2]
    again = await push(outbox, word)
    assert again is not None
    assert again.incarnation == request.incarnation


async def test_a_number_lost_in_the_middle_is_named_and_the_rest_goes_on_under_other_numbers(
    outbox: Outbox,
) -> None:
    await write(outbox, 1, 2, 3, 4, 5)
    (old,) = await outbox.incarnations()
    word = await acked(outbox, 1)
    await outbox.file.write(lambda c: c.execute("DELETE FROM change WHERE n IN (3, 4)").fetchall())
    request = await push(outbox, word)
    assert request is not None
    assert (request.gap, request.n, len(request.changes)) == (Gap(old, 3, 4), 1, 2)
    assert request.incarnation != old


async def test_what_a_tablet_no_longer_has_is_named_until_the_rest_has_arrived(outbox: Outbox) -> None:
    await write(outbox, 1, 2, 3, 4)
    (old,) = await outbox.incarnations()
    wiped = await acked(outbox, 2)
    await outbox.wipe(wiped)
    assert await numbers(outbox) == [3, 4]
    await outbox.renew(old, 1)
    request = await push(outbox)
    assert request is not None
    assert request.gap == Gap(old, 1, 2)
    await outbox.clear(await acked(outbox, 2), [], NOON_MS, 0)
    await write(outbox, 5)
    later = await push(outbox, await acked(outbox, 2))
    assert later is not None
    assert later.gap is None


async def test_renewing_from_a_number_on_leaves_what_stands_before_it(outbox: Outbox) -> None:
    await write(outbox, 1, 2, 3)
    (old,) = await outbox.incarnations()
    word = await acked(outbox, 1)
    await outbox.renew(old, 2)
    request = await push(outbox, word)
    assert request is not None
    assert request.incarnation != old
    assert [changes.decode(raw).cid for raw in request.changes] == [draft(2).cid, draft(3).cid]
    left = await outbox.file.read(
        lambda c: c.execute("SELECT n, trail FROM incarnation WHERE id = ?", (old,)).fetchone()
    )
    assert left == (1, word[old].trail)


async def test_a_wipe_keeps_what_is_not_provably_the_servers(outbox: Outbox) -> None:
    await write(outbox, 1, 2)
    (old,) = await outbox.incarnations()
    await outbox.wipe({old: Acked(2, "0" * 32)})
    assert await numbers(outbox) == [1, 2]
    await outbox.wipe(await acked(outbox, 2))
    assert await numbers(outbox) == []


async def test_a_whole_wipe_keeps_what_tells_the_server_and_the_stamp(outbox: Outbox) -> None:
    await outbox.enrol({**FACTS, "unit": "u"})
    await write(outbox, 1)
    (one,) = await sent(outbox)
    await outbox.wipe(None)
    assert await outbox.said() == {"url": "http://hq", "token": "t", "wiped": 1, "last_stamp": one.stamp}
    for file in outbox.file.path.parent.iterdir():
        assert draft(1).cid.encode() not in file.read_bytes(), file.name


async def test_enrolling_forgets_what_the_former_device_was_told(outbox: Outbox) -> None:
    await outbox.enrol(FACTS)
    await write(outbox, 1, 2)
    (old,) = await outbox.incarnations()
    await outbox.wipe(await acked(outbox, 1))
    await outbox.renew(old, 1)
    await outbox.say({"refused": "token_invalid", "former_token": "f"})
    await outbox.enrol(FACTS)
    assert (await outbox.said()).keys() == FACTS.keys()
    with pytest.raises(Refused, match="chain_other"):
        await outbox.enrol({**FACTS, "chain": "d"})
    assert (await outbox.said())["chain"] == "c"


async def test_an_erased_correction_says_nothing_any_more_and_keeps_its_number(outbox: Outbox) -> None:
    fact = msgspec.structs.replace(
        draft(1), entity="interaction", id="fact", op="create", fields={"party": Value([{"customer": "lin"}])}
    )
    correction = msgspec.structs.replace(
        draft(2), entity="interaction", id="right", op="create", fields={"supersedes": Value("fact")}
    )
    mend = msgspec.structs.replace(draft(3, notes="of lin"), id="lin", replaces=draft(9).cid)
    for change in (fact, correction, mend, draft(4)):
        await outbox.append(changes.grouped([change]), 0)
    await outbox.erase([("customer", "lin")])
    live = await outbox.live()
    assert [(row.n, row.entity, row.id, row.replaces, bool(row.change.fields)) for row in live] == [
        (1, "customer", "lin", None, False),
        (2, "customer", "lin", None, False),
        (3, "customer", "lin", None, False),
        (4, "customer", "row 4", None, True),
    ]
