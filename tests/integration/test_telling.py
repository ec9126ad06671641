"""What tablets write of customers with no network, beside their cards, and what becomes of it together."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from regulars import LocalError, Shop
from regulars.records import Customer
from regulars_schema.declare import JSON
from regulars_schema.messages import MESSAGES
from regulars_sync.ids import made_id
from regulars_sync.pins import SALT_BYTES, verifier
from tests.support.chain import Chain, new_chain

FIELDS: dict[str, tuple[str, JSON]] = {
    "last": ("last_writer", "integer"),
    "least": ("min", "date"),
    "most": ("max", "integer"),
    "likes": ("or_set", "choice"),
    "seen": ("append", "text"),
    "asked": ("review", "text"),
}


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as chain:
        yield chain


async def two(chain: Chain, **fields: JSON) -> tuple[Shop, Shop, Customer]:
    """Two tablets of one branch that hold the same customer."""
    for key, (rule, type_) in FIELDS.items():
        label = {"zh": key, "en": key}
        said = {"key": key, "label": label, "type": type_, "rule": rule, "sensitivity": "internal"}
        more = {"choices": ["oak", "elm", "ash"]} if type_ == "choice" else {}
        await chain.write("create", "field_def", made_id("field_def", key), {**said, **more})
    one, other = await chain.tablet("one"), await chain.tablet("other")
    lin = await one.customers.create(name="林芳", **fields)
    await exchange(one, other)
    return one, other, lin


async def exchange(*shops: Shop) -> None:
    for shop in (*shops, *shops):
        await shop.sync()


async def values(shop: Shop, customer: Customer) -> dict[str, JSON]:
    return {field.key: field.value for field in await shop.customers.custom(customer)}


async def test_motives_that_two_tablets_add_and_take_away_offline_all_count(chain: Chain):
    one, other, lin = await two(chain)
    await one.customers.assign(lin, "motive", "fame", "cheap", reason="asks for the brand")
    await exchange(one, other)
    await one.customers.assign(lin, "motive", "new", remove=["cheap"], reason="wants the latest")
    await other.customers.assign(lin, "motive", "beautiful", reason="looks at the grain")
    await exchange(one, other)
    for shop in (one, other):
        (said,) = await shop.customers.assignments(lin)
        assert said.values == {"fame", "new", "beautiful"}
        assert set((await shop.customers.standing(lin, "motive")).values or ()) == said.values
    assert await chain.digests_equal(one)


async def test_a_tier_that_two_set_offline_shows_the_older_and_waits_for_a_person(chain: Chain):
    one, other, lin = await two(chain)
    await one.customers.assign(lin, "tier", "gold", reason="buys for the office")
    chain.clock.pass_(minutes=5)
    await other.customers.assign(lin, "tier", "diamond", check_by=date(2027, 5, 3))
    await exchange(other, one, other)
    for shop in (one, other):
        assert (await shop.customers.standing(lin, "tier")).values == ("gold",)
        waits = (await shop.customers.contested_assignments(lin))["tier"]
        assert [side.value for side in waits.values] == ["gold", "diamond"]
    await other.customers.choose_assignment(lin, "tier", "diamond")
    await exchange(other, one)
    for shop in (one, other):
        assert await shop.customers.contested_assignments(lin) == {}
        assert (await shop.customers.standing(lin, "tier")).values == ("diamond",)
    await one.customers.unassign(lin, "tier")
    assert (await one.customers.standing(lin, "tier")).origin != "person"
    with pytest.raises(LocalError) as gone:
        await one.customers.choose_assignment(lin, "tier", "gold")
    assert gone.value.code == "choice_gone"


async def test_custom_fields_of_every_rule_are_the_same_on_every_replica(chain: Chain):
    for order in itertools.permutations(range(2)):
        folder = chain.folder / str(order)
        folder.mkdir()
        async with new_chain(folder) as apart:
            one, other, lin = await two(apart)
            told: tuple[dict[str, JSON], dict[str, JSON]] = (
                {"last": 1, "least": "2024-02-01", "most": 9, "likes": "oak", "seen": "May", "asked": "a"},
                {"last": 2, "least": "2023-01-01", "most": 7, "likes": "elm", "seen": "June", "asked": "b"},
            )
            for shop, said in zip((one, other), told, strict=True):
                apart.clock.pass_(minutes=5)
                for key, value in said.items():
                    await shop.customers.set_custom(lin, key, value)
            shops = [(one, other)[at] for at in order]
            await exchange(*shops)
            found = [await values(shop, lin) for shop in shops]
            assert found[0] == found[1]
            assert found[0] == {
                "last": 2,
                "least": "2023-01-01",
                "most": 9,
                "likes": ["elm", "oak"],
                "seen": ["June", "May"],
                "asked": "a",
            }
            assert await apart.digests_equal(one)
            await one.customers.set_custom(lin, "likes", {"elm": False})
            assert (await values(one, lin))["likes"] == ["oak"]


async def test_what_does_not_fit_is_refused_on_the_tablet_as_by_the_server(chain: Chain):
    one, _, lin = await two(chain)
    office = await chain.tablet("apart", "Orchard", sensitive=True)
    await office.sync()
    chen = await office.customers.create(name="陈")
    await office.customers.assign(chen, "difficulty", "suspicious", reason="wants a receipt")
    assert (await office.customers.standing(chen, "difficulty")).values == ("suspicious",)
    for deed, code in (
        (one.customers.assign(lin, "tier", "platinum"), "enum_unknown"),
        (one.customers.assign(lin, "tier", "gold", "silver"), "scheme_values"),
        (one.customers.assign(lin, "personality", "expert"), "evidence_missing"),
        (one.customers.assign(lin, "difficulty", "suspicious", reason="x"), "not_allowed"),
        (one.customers.assign(lin, "mood", "good"), "not_found"),
        (one.customers.unassign(lin, "motive"), "not_found"),
        (one.customers.set_custom(lin, "most", "wide"), "value_type"),
        (one.customers.set_custom(lin, "likes", "cork"), "enum_unknown"),
        (one.customers.set_custom(lin, "seen", {"May": False}), "custom_append_only"),
        (one.customers.set_custom(lin, "nothing", 1), "not_found"),
        (one.customers.edit(lin, service_stance="ended"), "not_allowed"),
        (one.customers.verify(lin, "education"), "choice_gone"),
    ):
        with pytest.raises(LocalError) as refused:
            await deed
        assert refused.value.code == code
        for lang in ("zh", "en"):
            assert "conflict" not in refused.value.text(lang).lower()
            assert "冲突" not in refused.value.text(lang)
    assert (await one.status()).pending == 0, "nothing was written"


async def test_a_form_filled_in_offline_on_two_tablets_makes_one_task_that_verifying_closes(chain: Chain):
    one, other, lin = await two(chain, occupation="nurse")
    await one.customers.verify(lin, "occupation")
    await exchange(one, other)
    await one.customers.fill(lin, occupation="surgeon")
    await other.customers.fill(lin, education="PhD")
    assert (await one.customers.get(lin.id)).occupation == "nurse", "a form hides nothing that was verified"
    await exchange(one, other)
    for shop in (one, other):
        (task,) = await shop.tasks.open()
        assert (task.plan, task.customer) == ("verify", lin.id)
    await one.customers.verify(lin, "occupation", False)
    assert len(await one.tasks.open()) == 1
    await one.customers.verify(lin, "education")
    assert await one.tasks.open() == []
    await exchange(one, other)
    assert await other.tasks.open() == []
    card = await other.customers.get(lin.id)
    assert (card.occupation, card.education) == ("nurse", "PhD")
    assert await other.customers.contested(lin) == []


async def test_consents_suppliers_and_tasks_of_two_tablets_come_together(chain: Chain):
    one, other, lin = await two(chain)
    await one.consents.record(lin, "marketing", True, channel="sms", proof="form 7")
    chain.clock.pass_(minutes=1)
    await other.consents.record(lin, "marketing", False, channel="sms")
    for shop, satisfaction in ((one, 2), (other, 4)):
        await shop.suppliers.set(lin, "Oak & Co", satisfaction=satisfaction)
        await shop.tasks.save(lin, "call", "oak", due=date(2026, 11, 30))
        chain.clock.pass_(minutes=1)
    visit = await one.interactions.record(lin, kind="call")
    (task,) = await one.tasks.of(lin)
    await one.tasks.done(task, by=visit)
    await other.tasks.done(task, status="skipped")
    await exchange(one, other)
    for shop in (one, other):
        assert [word.granted for word in await shop.consents.of(lin)] == [False, True]
        (supplier,) = await shop.suppliers.of(lin)
        assert supplier.satisfaction == 4
        (task,) = await shop.tasks.of(lin)
        assert task.status == "done", "done stands above skipped"
        assert await shop.tasks.open() == []
    await one.suppliers.set(lin, "Oak & Co", archived=True)
    assert await one.suppliers.of(lin) == []
    with pytest.raises(LocalError):
        await one.tasks.done(task, status="open")


async def test_a_visit_tells_who_was_there_what_was_learned_and_how_it_went(chain: Chain):
    one, other, lin = await two(chain)
    await one.interactions.record(
        [lin, {"name": "her mother", "role": "decider"}],
        kind="visit",
        stage_reached=6,
        satisfaction=4,
        facts=[{"topic": "family", "content": "a boy of six"}],
        checklist=["asked for the purchase"],
        methods_used=["experience", "contrast"],
        attention_focus="style",
        opportunity={"urgency": 2, "effect": 1, "price": 2},
        next_on="2026-12-01",
    )
    await exchange(one, other)
    (visit,) = await other.interactions.of(lin)
    assert [member.role for member in visit.party] == ["principal", "decider"]
    assert [(fact.topic, fact.content) for fact in visit.facts] == [("family", "a boy of six")]
    assert (visit.satisfaction, visit.attention_focus) == (4, "style")
    assert visit.opportunity is not None
    assert visit.opportunity.urgency == 2
    corrected = await other.interactions.correct(visit, satisfaction=5)
    assert (corrected.satisfaction, corrected.facts) == (5, visit.facts)


def test_no_message_for_staff_speaks_of_a_conflict():
    for code, message in MESSAGES.items():
        assert "冲突" not in message.zh, code
        assert "conflict" not in message.en.lower(), code


async def test_staff_find_their_own_tasks_those_of_a_unit_and_what_is_due(chain: Chain):
    li, wang = chain.new_id(), chain.new_id()
    near, far = chain.units["Nanjing Road"], chain.units["Orchard"]
    for id, name in ((li, "Li"), (wang, "Wang")):
        fields: dict[str, Any] = {"name": name, "role": "clerk", f"units/{chain.units['hq']}": True}
        await chain.write("create", "staff", id, fields)
    pin = verifier("2468", chain.entropy(SALT_BYTES))
    await chain.write("create", "staff_pin", li, {f"units/{chain.units['hq']}": True, "verifier": pin})
    shop = await chain.tablet("one", "hq")
    await shop.sync()
    with pytest.raises(LocalError, match="argument_invalid"):
        await shop.tasks.open(mine=True)
    lin = await shop.customers.create(name="林芳", home_unit=near, owner=li)
    chen = await shop.customers.create(name="陈静", home_unit=far, owner=wang)
    for subject, of, owner, day in (
        ("late", lin, li, date(2026, 11, 20)),
        ("soon", lin, None, date(2026, 11, 30)),
        ("his", lin, wang, date(2026, 11, 21)),
        ("far", chen, None, date(2026, 11, 19)),
        ("lent", chen, li, date(2026, 12, 24)),
        ("some day", lin, None, None),
    ):
        await shop.tasks.save(of, "call", subject, due=day, owner=owner)
    await shop.sync()
    await shop.sign_in(li, "2468")

    async def found(**asked: Any) -> list[str | None]:
        return [task.subject for task in await shop.tasks.open(**asked)]

    assert await found() == ["far", "late", "his", "soon", "lent", "some day"]
    assert await found(mine=True) == ["late", "soon", "lent", "some day"]
    assert await found(owner=wang) == ["his"]
    assert await found(unit=far) == ["far", "lent"]
    assert await found(due_by=date(2026, 11, 20)) == ["far", "late"]
    assert await found(mine=True, unit=near, due_by=date(2026, 11, 30)) == ["late", "soon"]
