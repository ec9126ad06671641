"""What a tablet knows and asks of the past: values side by side, history, ledger, reversals, lost numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from regulars import LocalError, Offline, Refused, Shop
from regulars_sync.changes import Value
from tests.support.chain import Chain, new_chain
from tests.support.graph import Tablet, caller


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


async def disputed(chain: Chain) -> tuple[Shop, Shop, str]:
    """A customer whose notes two tablets wrote without having seen each other; both have synced since."""
    one, two = await chain.tablet("one"), await chain.tablet("two")
    lin = await one.customers.create(name="林芳")
    await one.sync()
    await two.sync()
    await one.customers.edit(lin.id, notes="from one")
    chain.clock.pass_(minutes=5)
    await two.customers.edit(lin.id, notes="from two")
    await one.sync()
    await two.sync()
    await one.sync()
    return one, two, lin.id


# --- offline ---------------------------------------------------------------------------------------------


async def test_values_that_stand_beside_each_other_are_told_with_no_network(chain: Chain) -> None:
    one, _, id = await disputed(chain)
    chain.transports["one"].online = False
    (field,) = await one.customers.contested(id)
    assert (field.path, field.rule) == ("notes", "last_writer")
    assert [(v.value, v.shown, v.own, v.source) for v in field.values] == [
        ("from two", True, False, "staff_visit"),
        ("from one", False, False, "staff_visit"),
    ]
    shown, beside = field.values
    assert 290 < (shown.at - beside.at).total_seconds() < 310
    assert (await one.customers.get(id)).state.contested == ("notes",)


async def test_a_value_not_yet_sent_says_who_wrote_it_and_when(chain: Chain) -> None:
    mei = chain.new_id()
    await chain.write("create", "staff", mei, {"name": "Mei", "role": "clerk"})
    one, two, id = await disputed(chain)
    one._staff = (one._said["device"], mei)
    async with one.transaction():  # a draft that has not seen what stands there, as after a restore
        change = one._draft("customer", id, "edit", {"notes": Value("mine")}, {}, None)
        one._transaction.get().changes.append(change)  # type: ignore[union-attr]
    (field,) = await one.customers.contested(id)
    assert (field.values[0].value, field.values[0].own, field.values[0].actor) == ("mine", True, mei)
    assert abs(field.values[0].at.timestamp() * 1000 - chain.clock.ms) < 60_000
    assert two is not one


@pytest.mark.parametrize("by", ["cid", "value"])
async def test_choosing_offline_ends_the_dispute_everywhere(chain: Chain, by: str) -> None:
    one, two, id = await disputed(chain)
    chain.transports["one"].online = False
    (field,) = await one.customers.contested(id)
    chosen = await one.customers.choose(id, "notes", getattr(field.values[1], by))
    assert (chosen.notes, chosen.state.contested, chosen.state.pending) == ("from one", (), True)
    assert await one.customers.contested(id) == []
    chain.transports["one"].online = True
    assert (await one.sync()).applied == 1
    await two.sync()
    settled = await two.customers.get(id)
    assert (settled.notes, settled.state.contested) == ("from one", ())
    for wrong in ("from one", "from two", "f" * 32):
        with pytest.raises(LocalError, match="choice_gone"):
            await two.customers.choose(id, "notes", wrong)
    with pytest.raises(LocalError, match="not_found"):
        await two.customers.choose(chain.new_id(), "notes", "x")
    with pytest.raises(LocalError, match="not_found"):
        await two.customers.contested(chain.new_id())


async def test_what_is_no_value_of_the_field_is_not_chosen(chain: Chain) -> None:
    one, _, id = await disputed(chain)
    for path, choice in (("notes", "else"), ("name", "林芳"), ("no", "x")):
        with pytest.raises(LocalError, match="choice_gone"):
            await one.customers.choose(id, path, choice)
    assert (await one.customers.get(id)).state.pending is False


# --- online ----------------------------------------------------------------------------------------------


async def test_history_and_ledger_come_as_typed_records(chain: Chain) -> None:
    one, two, id = await disputed(chain)
    page = await one.history("customer", id)
    made, first, second = page.items
    assert (page.after, made.began, first.began, made.verdict) == (None, True, False, "applied")
    assert (second.verdict, second.device_id, second.code) == ("merged", two._said["device"], None)
    (field,) = second.fields
    assert (field.state, field.rule, field.before and field.before.value) == (
        "shown",
        "last_writer",
        "from one",
    )
    assert [value.cid for value in field.beside] == [first.cid]
    assert made.stated is not None
    assert made.stated <= made.at
    some = await one.history("customer", id, "notes", first=1)
    assert [change.cid for change in some.items] == [first.cid]
    rest = await one.history("customer", id, "notes", after=some.after)
    assert [change.cid for change in rest.items] == [second.cid]
    (entry,) = (await one.ledger(field="notes", rule="last_writer", reversible=True)).items
    assert (entry.row_id, entry.chosen[0].winner, entry.chosen[0].rule) == (id, second.cid, "last_writer")
    assert [value.value for value in entry.chosen[0].values] == ["from two", "from one"]
    assert (await one.ledger(since=datetime(2030, 1, 1, tzinfo=UTC))).items == ()
    assert [e.cid for e in (await one.ledger(unit=one.unit, device=two._said["device"])).items] == [
        second.cid
    ]
    page_ = await one.ledger(first=1)
    assert len(page_.items) == 1
    assert page_.after is None or (await one.ledger(after=page_.after)).items[0].cid != page_.items[0].cid


async def test_what_can_not_be_asked_says_so(chain: Chain) -> None:
    one = await chain.tablet("one")
    assert (await one.history("customer", chain.new_id())).items == ()
    with pytest.raises(Refused, match="cursor_invalid"):
        await one.ledger(after="x")
    with pytest.raises(Refused, match="not_found"):
        await one.reverse("f" * 32)
    chain.transports["one"].online = False
    for asked in (one.history("customer", chain.new_id()), one.ledger(), one.reverse("f" * 32)):
        with pytest.raises(Offline):
            await asked


async def test_a_reversal_is_a_change_of_the_tablet_and_can_be_reversed_in_turn(chain: Chain) -> None:
    one, two = await chain.tablet("one"), await chain.tablet("two")
    lin = await one.customers.create(name="林芳", notes="old", tags=["vip"])
    await one.customers.edit(lin.id, notes="new", tags={"vip": False, "oak": True})
    await one.sync()
    await two.sync()
    cid = (await two.history("customer", lin.id)).items[-1].cid
    assert sorted(await two.reverse(cid)) == ["notes", "tags/oak", "tags/vip"]
    seen = await two.customers.get(lin.id)
    assert (seen.notes, seen.tags, seen.state.pending) == ("old", frozenset({"vip"}), True)
    assert (await two.sync()).applied == 1
    await one.sync()
    assert (await one.customers.get(lin.id)).notes == "old"
    back = (await one.history("customer", lin.id)).items[-1].cid
    assert await one.reverse(back, "notes") == ("notes",)
    assert (await one.customers.get(lin.id)).notes == "new"
    with pytest.raises(Refused, match="reverse_nothing"):
        await one.reverse(cid)


async def test_a_tablet_reverses_a_choice_a_new_card_and_facts(chain: Chain) -> None:
    one, two, id = await disputed(chain)
    (entry,) = (await one.ledger(field="notes")).items
    assert await one.reverse(entry.cid) == ("notes",)
    await one.sync()
    await two.sync()
    assert (await two.customers.get(id)).notes == "from one"
    made = (await one.history("customer", id)).items[0]
    assert await one.reverse(made.cid) == ("archived",)
    assert (await one.customers.get(id)).archived is True
    visit = await one.interactions.record(id, kind="visit", note="n")
    await one.sync()

    async def cid_of(fact: str) -> str:
        return (await one.history("interaction", fact)).items[0].cid

    assert await one.reverse(await cid_of(visit.id)) == ("supersedes",)
    assert await one.interactions.of(id) == []
    void = next(fact for fact in await one.interactions.of(id, corrections=True) if fact.void)
    await one.sync()
    assert await one.reverse(await cid_of(void.id)) == ()
    (again,) = await one.interactions.of(id)
    assert (again.note, again.id != visit.id) == ("n", True)
    with pytest.raises(LocalError, match="reverse_nothing"):
        await one.reverse(await cid_of(void.id))
    right = await one.interactions.correct(again, note="m")
    await one.sync()
    with pytest.raises(LocalError, match="reverse_nothing"):
        await one.reverse(await cid_of(again.id))
    await one.reverse(await cid_of(right.id))
    assert [fact.note for fact in await one.interactions.of(id)] == ["n"]
    await one.sync()
    assert await one.held() == []


async def test_a_held_change_is_not_reversed_and_one_of_a_far_row_is_not_found(chain: Chain) -> None:
    one, far = await chain.tablet("one"), await chain.tablet("far", "Orchard")
    lin = await one.customers.create(name="林芳")
    await one.sync()
    (made,) = (await one.history("customer", lin.id)).items
    with pytest.raises(Refused, match="not_found"):
        await far.reverse(made.cid)
    stray = one._draft("customer", chain.new_id(), "edit", {"notes": Value("x")}, {}, None)
    await one._save([stray])
    assert (await one.sync()).held == 1
    with pytest.raises(Refused, match="reverse_nothing"):
        await one.reverse(stray.cid)


# --- lost numbers ----------------------------------------------------------------------------------------


async def test_numbers_that_a_tablet_lost_are_named_logged_and_shown_and_it_goes_on(chain: Chain) -> None:
    one = await chain.tablet("one")
    lin = await one.customers.create(name="林芳")
    await one.sync()
    for notes in ("lost", "lost too", "kept"):
        await one.customers.edit(lin.id, notes=notes)
    await one._outbox.file.write(lambda c: c.execute("DELETE FROM change WHERE n IN (2, 3)").fetchall())
    report = await one.sync()
    assert (report.problem, report.pushed, report.applied) == (None, 1, 1)
    assert (await one.sync()).equal
    assert (await one.customers.get(lin.id)).notes == "kept"
    office = await caller(chain)
    query = "query ($d: UUID) { gaps(device: $d) { incarnation first last at device { name } } }"
    (gap,) = (await office.ask(query))["gaps"]
    assert (gap["first"], gap["last"], gap["device"]["name"]) == (2, 3, "one")
    assert len((await office.ask(query, d=one._said["device"]))["gaps"]) == 1
    assert (await office.ask(query, d=chain.new_id()))["gaps"] == []
    far = await caller(chain, "manager", "Orchard")
    assert (await far.ask(query))["gaps"] == []
    assert (await office.ask("{ heldChanges { nodes { cid } } }"))["heldChanges"]["nodes"] == []


# --- what nothing noticed when it was taken away ---------------------------------------------------------


async def test_a_mend_has_seen_what_its_tablet_showed(chain: Chain) -> None:
    one, two = await chain.tablet("one"), await chain.tablet("two")
    lin = await one.customers.create(name="林芳", gender="female")
    await one.sync()
    stray = one._draft("customer", lin.id, "edit", {"gender": Value("no such")}, {}, None)
    await one._save([stray])
    assert (await one.sync()).rejected == 1
    await one.mend(stray.cid, gender="male")
    await one.sync()
    await two.sync()
    mended = await two.customers.get(lin.id)
    assert (mended.gender, mended.state.contested) == ("male", ())


async def test_a_write_is_stamped_above_all_that_its_tablet_knew(chain: Chain) -> None:
    one = await chain.tablet("one")
    lin = await one.customers.create(name="林芳")
    await one.sync()
    ahead = await Tablet(chain, await caller(chain)).pair("Nanjing Road")
    known = (chain.clock.ms + 4 * 60_000) * 1_000
    fast = msgspec.structs.replace(
        ahead.change({"name": "王明", "home_unit": chain.units["Nanjing Road"]}, "e" * 32), stamp=known
    )
    assert await ahead.push(fast) == ["applied"]
    await one.sync()
    await one.customers.edit(lin.id, notes="later")
    await one.sync()
    async with chain.service.storage.unscoped_reader() as reader:
        *_, written = await reader.history("customer", lin.id)
    assert written.stamp == known + 1


async def test_what_a_newer_version_wrote_here_is_kept_and_the_rest_is_shown(chain: Chain) -> None:
    one = await chain.tablet("one")
    lin = await one.customers.create(name="林芳", notes="old")
    await one.sync()
    newer = {"notes": Value("new"), "shiny": Value("x"), "shinies/a": Value(True)}
    (seen,) = (await one._overlay.find("customer", [lin.id])).values()
    draft = one._draft("customer", lin.id, "edit", newer, {"notes": [*seen.registers["notes"].values]}, None)
    await one._save([draft])
    shown = await one.customers.get(lin.id)
    assert (shown.notes, shown.state.pending, shown.state.contested) == ("new", True, ())
    assert await one.customers.contested(lin.id) == []
    assert [customer.notes for customer in await one.customers.search("林芳")] == ["new"]
