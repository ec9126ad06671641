# ruff: noqa: E501 (queries)
"""History, ledger and reversal over GraphQL: all of it from the change log, and nothing a reader could not read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from regulars import Shop
from regulars_server import erasure
from regulars_server.graph import choices
from regulars_server.storage.sql.snapshot import Snapshot
from regulars_sync import changes
from regulars_sync.changes import Stated
from tests.support.chain import Chain, Clock, new_chain
from tests.support.graph import Graph, Tablet, caller

HISTORY = """query ($id: UUID!, $entity: EntityName! = CUSTOMER, $path: String, $first: Int, $after: String) {
  history(entity: $entity, id: $id, path: $path, first: $first, after: $after) {
    nodes {
      cid op verdict code at stated corrected emptied device { name } actor { name }
      fields { path value source verified rule state replacedBy before { value cid } replaced { value cid } beside { value cid } }
    }
    edges { cursor }
    pageInfo { hasNextPage hasPreviousPage endCursor }
  }
}"""
LEDGER = """query ($where: LedgerFilter, $first: Int, $after: String) {
  ledger(where: $where, first: $first, after: $after) {
    nodes {
      cid entity rowId decided at stated corrected stampReplaced reversible device { name } actor { name }
      chosen { path rule winner reversible values { cid value shown source verified stated corrected at device { name } actor { name } } }
      admitted { path typed value }
    }
    pageInfo { hasNextPage hasPreviousPage endCursor }
  }
}"""
REVERSE = """mutation ($k: String!, $cid: String!, $path: String, $v: String) {
  done: changeReverse(idempotencyKey: $k, input: { cid: $cid, path: $path }, expectedVersion: $v) {
    __typename
    ... on ChangeReversed { cid paths row { id version ... on Customer { name notes tags archived gender phones { key typed } } ... on Link { active } ... on Interaction { void supersedesId note outcome } } }
    ... on VersionConflict { present { id } }
    ... on Error { code path message }
  }
}"""
CHOOSE = """mutation ($k: String!, $id: UUID!, $path: String!, $cid: String!, $v: String) {
  done: fieldChoose(idempotencyKey: $k, input: { entity: CUSTOMER, id: $id, path: $path, cid: $cid }, expectedVersion: $v) {
    __typename
    ... on ChangeReversed { cid paths row { ... on Customer { notes homeUnit { name } contested { path } } } }
    ... on Error { code path }
  }
}"""
UPDATE = "mutation ($k: String!, $id: UUID!, $set: CustomerEdit!) { customerUpdate(idempotencyKey: $k, id: $id, set: $set) { __typename ... on CustomerSaved { customer { version } } ... on Error { code } } }"


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


@pytest.fixture
async def office(chain: Chain) -> Graph:
    return await caller(chain, "admin", sensitive=True)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that readers send, as they are sent."""
    asked: list[str] = []
    rows = Snapshot.rows

    def counted(self: Snapshot, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        asked.append(sql)
        return rows(self, sql, *parameters)

    monkeypatch.setattr(Snapshot, "rows", counted)
    return asked


async def update(graph: Graph, id: str, **set: Any) -> None:
    done = await graph.ask(UPDATE, k=graph.key(), id=id, set=set)
    assert done["customerUpdate"]["__typename"] == "CustomerSaved", done


async def history(graph: Graph, id: str, **more: Any) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = (await graph.ask(HISTORY, id=id, **more))["history"]["nodes"]
    return nodes


async def ledger(graph: Graph, **where: Any) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = (await graph.ask(LEDGER, where=where))["ledger"]["nodes"]
    return nodes


async def reverse(graph: Graph, cid: str, path: str | None = None, **more: Any) -> dict[str, Any]:
    given = {"k": graph.key(), **more}
    done: dict[str, Any] = (await graph.ask(REVERSE, cid=cid, path=path, **given))["done"]
    return done


async def disputed(chain: Chain, first: str = "from one", second: str = "from two") -> tuple[Shop, Shop, str]:
    """A customer whose notes two tablets wrote without having seen each other."""
    one, two = await chain.tablet("one"), await chain.tablet("two", sensitive=True)
    lin = await one.customers.create(name="林芳")
    await one.sync()
    await two.sync()
    await one.customers.edit(lin.id, notes=first)
    chain.clock.pass_(minutes=5)
    await two.customers.edit(lin.id, notes=second)
    await one.sync()
    await two.sync()
    return one, two, lin.id


# --- history ---------------------------------------------------------------------------------------------


async def test_history_tells_of_each_field_what_was_there_what_was_seen_and_what_became_of_it(
    chain: Chain, office: Graph
):
    _, _, id = await disputed(chain)
    made, one, two = await history(office, id)
    assert (made["device"]["name"], made["fields"][0]["state"]) == ("one", "SHOWN")
    (noted,) = one["fields"]
    assert (noted["path"], noted["value"], noted["rule"], noted["source"]) == (
        "notes",
        "from one",
        "last_writer",
        "staff_visit",
    )
    assert (noted["state"], noted["before"], noted["replaced"], noted["beside"]) == ("BESIDE", None, [], [])
    (other,) = two["fields"]
    assert (two["verdict"], two["device"]["name"], other["state"]) == ("MERGED", "two", "SHOWN")
    assert other["before"] == {"value": "from one", "cid": one["cid"]} == other["beside"][0]
    await update(office, id, notes="both")
    _, one, two, both = await history(office, id, path=None)
    assert {f["state"] for c in (one, two) for f in c["fields"]} == {"REPLACED"}
    assert {f["replacedBy"] for c in (one, two) for f in c["fields"]} == {both["cid"]}
    assert {v["value"] for v in both["fields"][0]["replaced"]} == {"from one", "from two"}
    assert both["fields"][0]["before"]["value"] == "from two"


async def test_history_tells_what_a_clock_said_and_what_it_was_put_right_to(chain: Chain, office: Graph):
    wrong = Clock(chain.clock.ms - 2 * 365 * 86_400_000)
    shop = await chain.tablet("slow", clock=wrong)
    lin = await shop.customers.create(name="林芳")
    await shop.sync()
    (made,) = await history(office, lin.id)
    assert (made["stated"][:4], made["corrected"][:4], made["at"][:4]) == ("2024", "2026", "2026")
    assert made["corrected"] <= made["at"]


async def test_history_is_paged_and_narrowed_to_a_field_or_an_element(office: Graph):
    id = await office.customer("林芳", tags=["vip"], notes="0")
    for n in range(1, 5):
        await update(office, id, notes=str(n))
    await update(office, id, tags={"add": ["oak"]})
    every = await history(office, id)
    assert len(every) == 6
    first = (await office.ask(HISTORY, id=id, first=4))["history"]
    assert first["nodes"] == every[:4]
    assert first["pageInfo"] == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "endCursor": first["edges"][-1]["cursor"],
    }
    rest = (await office.ask(HISTORY, id=id, first=4, after=first["pageInfo"]["endCursor"]))["history"]
    assert rest["nodes"] == every[4:]
    assert (rest["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasPreviousPage"]) == (False, True)
    assert [len(c["fields"]) for c in await history(office, id, path="notes")] == [1] * 5
    assert [c["fields"][0]["path"] for c in await history(office, id, path="tags")] == [
        "tags/vip",
        "tags/oak",
    ]
    assert [c["fields"][0]["path"] for c in await history(office, id, path="tags/oak")] == ["tags/oak"]
    assert await history(office, id, path="no") == []
    assert await office.code(HISTORY, id=id, after="x") == "cursor_invalid"


async def test_a_longer_history_takes_no_more_statements(office: Graph, statements: list[str]):
    id = await office.customer("林芳")
    counts = []
    for n in range(12):
        await update(office, id, notes=str(n))
        if n in (0, 11):
            statements.clear()
            assert len(await history(office, id)) == n + 2
            counts.append(len(statements))
    assert counts[0] == counts[1]


async def test_history_keeps_sensitive_fields_from_those_without_the_right(chain: Chain, office: Graph):
    branch = await caller(chain, "manager", "Nanjing Road")
    id = await branch.customer("林芳")
    await update(office, id, taxNo="T1", notes="n")
    await update(office, id, taxNo="T2")
    assert len(await history(office, id)) == 3
    seen = await history(branch, id)
    assert [[f["path"] for f in c["fields"]] for c in seen[1:]] == [["notes"]]
    assert "T1" not in str(seen)
    assert await history(branch, id, path="tax_no") == []


async def test_a_fact_and_what_corrects_it_have_a_history_each(chain: Chain, office: Graph):
    lin = await office.customer("林芳")
    visit = await office.visit(lin, outcome="OPEN")
    (step,) = await history(office, visit, entity="INTERACTION")
    assert {f["state"] for f in step["fields"]} == {"SHOWN"}
    assert {f["path"] for f in step["fields"]} >= {"kind", "at", "party", "outcome"}


# --- ledger ----------------------------------------------------------------------------------------------


async def test_the_ledger_tells_both_values_who_wrote_them_where_when_and_which_is_shown(
    chain: Chain, office: Graph
):
    _, _, id = await disputed(chain)
    (entry,) = await ledger(office, field="notes")
    assert (entry["rowId"], entry["device"]["name"], entry["reversible"]) == (id, "two", True)
    (field,) = entry["chosen"]
    assert (field["path"], field["rule"], field["winner"]) == ("notes", "LAST_WRITER", entry["cid"])
    assert [(v["value"], v["shown"], v["device"]["name"]) for v in field["values"]] == [
        ("from two", True, "two"),
        ("from one", False, "one"),
    ]
    assert field["values"][1]["at"] < entry["at"] <= entry["decided"]
    await update(office, id, notes="both")
    (entry,) = await ledger(office, field="notes")
    assert (entry["reversible"], entry["chosen"][0]["reversible"]) == (False, False)


async def test_the_ledger_is_asked_by_unit_device_field_rule_time_and_what_is_open(
    chain: Chain, office: Graph
):
    _, two, id = await disputed(chain)
    tablet = await Tablet(chain, office).pair("Orchard")
    impossible = tablet.change({"name": "Ann", "home_unit": chain.units["Orchard"]}, "a" * 32)
    far = msgspec.structs.replace(impossible, stamp=(chain.clock.ms + 10**9) * 1000)
    assert await tablet.push(far) == ["applied"]
    notes, stamp = (
        (await ledger(office, field="notes"))[0],
        (await ledger(office, unit=chain.units["Orchard"]))[0],
    )
    assert (stamp["stampReplaced"], stamp["chosen"], notes["stampReplaced"]) == (True, [], False)
    assert [e["rowId"] for e in await ledger(office, device=two._said["device"])] == [id]
    assert [e["cid"] for e in await ledger(office, rule="LAST_WRITER", unit=chain.units["Nanjing Road"])] == [
        notes["cid"]
    ]
    assert await ledger(office, rule="REVIEW", reversible=True) == []
    assert [e["cid"] for e in await ledger(office, reversible=True)] == [notes["cid"]]
    assert notes["cid"] not in {e["cid"] for e in await ledger(office, reversible=False)}
    assert notes["cid"] not in {e["cid"] for e in await ledger(office, since=stamp["decided"])}
    assert stamp["cid"] in {e["cid"] for e in await ledger(office, since=stamp["decided"])}


async def test_a_number_that_was_typed_is_told_beside_its_normal_form(chain: Chain, office: Graph):
    shop = await chain.tablet("one", paired=False)
    lin = await shop.customers.create(name="林芳", phone="138 0013 8000")
    code = await chain.service.access.new_pairing_code(chain.units["Nanjing Road"], "one")
    await shop.pair("http://hq", code)
    await shop.sync()
    (entry,) = [e for e in await ledger(office) if e["rowId"] == lin.id]
    told = {a["path"]: (a["typed"], a["value"]) for a in entry["admitted"]}
    typed, value = told["phones/+8613800138000"]
    assert typed in {"phones/138 0013 8000", "phones/?13800138000"}
    assert value == "138 0013 8000"
    assert told["home_unit"] == (None, chain.units["Nanjing Road"])
    made = (await history(office, lin.id))[0]
    assert "phones/+8613800138000" in {f["path"] for f in made["fields"]}


async def test_the_ledger_is_paged_also_where_few_entries_fit(
    chain: Chain, office: Graph, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(choices, "CHUNK", 2)
    monkeypatch.setattr(choices, "SCANNED_MAX", 4)
    await disputed(chain)
    tablet = await Tablet(chain, office).pair("Nanjing Road")
    for n in range(5):
        change = tablet.change({"name": "x", "phones/138 0013 8000": "1"}, f"{n + 1:032x}")
        await tablet.push(change)

    async def pages(**where: Any) -> tuple[list[str], int]:
        found: list[str] = []
        after, count = None, 0
        while True:
            page = (await office.ask(LEDGER, where=where, first=2, after=after))["ledger"]
            found += [node["cid"] for node in page["nodes"]]
            after, count = page["pageInfo"]["endCursor"], count + 1
            assert page["pageInfo"]["hasPreviousPage"] is (count > 1)
            if not page["pageInfo"]["hasNextPage"]:
                return found, count

    every, _ = await pages()
    assert every == [e["cid"] for e in (await office.ask(LEDGER, first=99))["ledger"]["nodes"]]
    open_, count = await pages(reversible=True)
    (noted,) = [e["cid"] for e in (await ledger(office)) if e["chosen"]]
    assert (open_, count > 1) == ([noted], True)


async def test_the_ledger_shows_nothing_that_its_reader_could_not_read(chain: Chain, office: Graph):
    _, two, id = await disputed(chain)
    await two.customers.edit(id, tax_no="T-two")
    await update(office, id, taxNo="T-hq")
    await two.sync()
    branch, far = await caller(chain, "manager", "Nanjing Road"), await caller(chain, "manager", "Orchard")
    assert any(field["path"] == "tax_no" for e in await ledger(office) for field in e["chosen"])
    told = await ledger(branch)
    assert not any(said in str(told) for said in ("T-two", "T-hq", "tax_no"))
    assert [f["path"] for e in told for f in e["chosen"]] == ["notes"]
    assert await ledger(branch, field="tax_no") == []
    assert await ledger(far) == []
    await erasure.erase(chain.service, id, "asked")
    assert [e for e in await ledger(office) if e["rowId"] == id] == []


async def test_a_page_of_the_ledger_takes_as_many_statements_however_long_it_is(
    chain: Chain, office: Graph, statements: list[str]
):
    tablet = await Tablet(chain, office).pair("Nanjing Road")
    for n in range(12):
        await tablet.push(tablet.change({"name": "x", "phones/138 0013 8000": "1"}, f"{n + 1:032x}"))
    await disputed(chain)
    counts = []
    for first in (2, 13):
        statements.clear()
        query = "query ($n: Int) { ledger(first: $n) { nodes { cid chosen { values { value } } } } }"
        assert len((await office.ask(query, n=first))["ledger"]["nodes"]) == first
        counts.append(len(statements))
    assert counts[0] == counts[1]


# --- reversal --------------------------------------------------------------------------------------------


async def test_a_reversal_puts_back_what_a_change_replaced_and_can_be_reversed_in_turn(office: Graph):
    id = await office.customer("林芳", notes="old", tags=["vip"])
    await update(office, id, notes="new", gender="FEMALE", tags={"add": ["oak"], "remove": ["vip"]})
    cid = (await history(office, id))[-1]["cid"]
    done = await reverse(office, cid)
    assert sorted(done["paths"]) == ["gender", "notes", "tags/oak", "tags/vip"]
    assert (done["row"]["notes"], done["row"]["gender"], done["row"]["tags"]) == ("old", None, ["vip"])
    again = await reverse(office, done["cid"])
    assert (again["row"]["notes"], again["row"]["gender"], again["row"]["tags"]) == ("new", "FEMALE", ["oak"])
    once_more = await reverse(office, again["cid"], "notes")
    assert (once_more["row"]["notes"], once_more["row"]["gender"]) == ("old", "FEMALE")


async def test_reversing_an_automatic_choice_shows_the_other_value_and_ends_the_dispute(
    chain: Chain, office: Graph
):
    one, two, id = await disputed(chain)
    (entry,) = await ledger(office, reversible=True)
    done = await reverse(office, entry["cid"], "notes")
    assert done["row"]["notes"] == "from one"
    assert await ledger(office, reversible=True) == []
    for shop in (one, two):
        await shop.sync()
        customer = await shop.customers.get(id)
        assert (customer.notes, customer.state.contested) == ("from one", ())
    back = await reverse(office, done["cid"])
    assert back["row"]["notes"] == "from two"


async def test_reversing_the_value_that_lost_lets_it_win(chain: Chain, office: Graph):
    _, _, id = await disputed(chain)
    lost = (await history(office, id))[1]
    assert lost["fields"][0]["state"] == "BESIDE"
    assert (await reverse(office, lost["cid"]))["row"]["notes"] == "from one"


async def test_a_row_made_by_mistake_is_archived_and_comes_back(office: Graph):
    id = await office.customer("林芳")
    (made,) = await history(office, id)
    done = await reverse(office, made["cid"])
    assert (done["paths"], done["row"]["archived"]) == (["archived"], True)
    assert (await reverse(office, made["cid"]))["code"] == "reverse_nothing"
    assert (await reverse(office, done["cid"]))["row"]["archived"] is False
    other = await office.customer("王明")
    link = await office.ask(
        'mutation ($a: UUID!, $b: UUID!) { linkSet(idempotencyKey: "l", fromCustomerId: $a, toCustomerId: $b, kind: FAMILY) { ... on LinkSaved { link { id } } } }',
        a=id, b=other,
    )  # fmt: skip
    (set_,) = await history(office, link["linkSet"]["link"]["id"], entity="LINK")
    assert (await reverse(office, set_["cid"]))["row"]["active"] is False


async def test_a_fact_is_voided_a_correction_undone_and_a_void_taken_back_once(office: Graph):
    lin = await office.customer("林芳")
    visit = await office.visit(lin, outcome="OPEN", note="n")

    async def cid_of(id: str) -> str:
        return str((await history(office, id, entity="INTERACTION"))[0]["cid"])

    corrected = await office.ask(
        'mutation ($id: UUID!) { interactionCorrect(idempotencyKey: "c", id: $id, set: { outcome: WON }) { ... on InteractionSaved { interaction { id } } } }',
        id=visit,
    )
    correction = corrected["interactionCorrect"]["interaction"]["id"]
    assert (await reverse(office, await cid_of(visit)))["code"] == "reverse_nothing"
    back = (await reverse(office, await cid_of(correction)))["row"]
    assert (back["outcome"], back["supersedesId"], back["note"], back["void"]) == (
        "OPEN",
        correction,
        "n",
        None,
    )
    voided = (await reverse(office, await cid_of(back["id"])))["row"]
    assert (voided["outcome"], voided["supersedesId"]) == ("WON", back["id"])
    plain = await office.visit(lin, note="x")
    void = (await reverse(office, await cid_of(plain)))["row"]
    assert (void["void"], void["supersedesId"], void["note"]) == (True, plain, None)
    anew = (await reverse(office, await cid_of(void["id"]), k="again"))["row"]
    assert (anew["void"], anew["supersedesId"], anew["note"]) == (None, None, "x")
    assert (await reverse(office, await cid_of(void["id"]), k="again"))["row"]["id"] == anew["id"]
    assert (await reverse(office, await cid_of(void["id"])))["code"] == "reverse_nothing"
    assert (await reverse(office, await cid_of(anew["id"]), "note"))["code"] == "argument_invalid"


async def test_a_reversal_sent_twice_is_done_once_and_another_one_under_its_key_is_refused(office: Graph):
    id = await office.customer("林芳", notes="old")
    await update(office, id, notes="new")
    await update(office, id, gender="FEMALE")
    _, noted, gendered = await history(office, id)
    first = await reverse(office, noted["cid"], k="k")
    await update(office, id, notes="later")
    again = await reverse(office, noted["cid"], k="k")
    assert again == first
    assert (await reverse(office, gendered["cid"], k="k"))["code"] == "idempotency_reused"
    assert len(await history(office, id)) == 5


async def test_where_nothing_is_to_be_reversed_it_says_so(chain: Chain, office: Graph):
    id = await office.customer("林芳", notes="old")
    await update(office, id, notes="new")
    await update(office, id, notes="newer")
    made, noted, _ = await history(office, id)
    for cid, path in (
        (noted["cid"], None),
        (noted["cid"], "notes"),
        (made["cid"], "name"),
        (made["cid"], "no"),
    ):
        done = await reverse(office, cid, path)
        assert (done["code"], done["path"]) == ("reverse_nothing", path)
    for cid in ("f" * 32, "x", ""):
        assert (await reverse(office, cid))["code"] == "not_found"
    far = await caller(chain, "manager", "Orchard")
    assert (await reverse(far, made["cid"]))["code"] == "not_found"
    clerkless = await caller(chain, "analyst")
    assert (await reverse(clerkless, made["cid"]))["code"] == "not_allowed"
    tablet = await Tablet(chain, office).pair("Orchard")
    held = msgspec.structs.replace(tablet.change({"notes": "x"}, "b" * 32), op="edit", id=chain.new_id())
    assert await tablet.push(held) == ["held"]
    assert (await reverse(office, held.cid))["code"] == "reverse_nothing"


async def test_a_reversal_heeds_the_version_that_its_writer_read(office: Graph):
    id = await office.customer("林芳", notes="old")
    await update(office, id, notes="new")
    cid = (await history(office, id))[-1]["cid"]
    version = (await office.ask("query ($id: UUID!) { customer(id: $id) { version } }", id=id))["customer"][
        "version"
    ]
    await update(office, id, gender="FEMALE")
    done = await reverse(office, cid, v=version)
    assert (done["__typename"], done["present"]["id"]) == ("VersionConflict", id)


async def test_a_reader_without_the_right_reverses_no_sensitive_field(chain: Chain, office: Graph):
    branch = await caller(chain, "manager", "Nanjing Road")
    id = await branch.customer("林芳", notes="old")
    await update(office, id, taxNo="T1", notes="new")
    cid = (await history(office, id))[-1]["cid"]
    assert (await reverse(branch, cid, "tax_no"))["code"] == "reverse_nothing"
    done = await reverse(branch, cid)
    assert (done["paths"], done["row"]["notes"]) == (["notes"], "old")
    seen = await office.ask("query ($id: UUID!) { customer(id: $id) { taxNo } }", id=id)
    assert seen["customer"]["taxNo"] == "T1"


async def test_a_verified_value_comes_back_verified(chain: Chain, office: Graph):
    id = await office.customer("林芳", homeUnitId=chain.units["Nanjing Road"])
    tablet = await Tablet(chain, office).pair("Nanjing Road")
    first = msgspec.structs.replace(
        tablet.change({}, "c" * 32), op="edit", id=id, stated=Stated(chain.clock.ms),
        fields={"gender": changes.Value("female", "staff_visit", "verified")},
    )  # fmt: skip
    await tablet.push(first)
    await update(office, id, gender="MALE")
    cid = (await history(office, id))[-1]["cid"]
    await reverse(office, cid)
    (last,) = (await history(office, id))[-1]["fields"]
    assert (last["value"], last["source"], last["verified"]) == ("female", "staff_visit", "verified")


# --- choosing --------------------------------------------------------------------------------------------


async def test_one_of_the_values_is_chosen_and_every_tablet_agrees(chain: Chain, office: Graph):
    _, two, id = await disputed(chain)
    _, mine, theirs = await history(office, id)
    done = (await office.ask(CHOOSE, k="c", id=id, path="notes", cid=mine["cid"]))["done"]
    assert (done["row"]["notes"], done["row"]["contested"]) == ("from one", [])
    again = (await office.ask(CHOOSE, k="c", id=id, path="notes", cid=mine["cid"]))["done"]
    assert again["cid"] == done["cid"]
    for path, cid, code in (
        ("notes", theirs["cid"], "choice_gone"),
        ("name", mine["cid"], "choice_gone"),
        ("no", mine["cid"], "field_unknown"),
    ):
        assert (await office.ask(CHOOSE, k=office.key(), id=id, path=path, cid=cid))["done"]["code"] == code
    await two.sync()
    assert (await two.customers.get(id)).notes == "from one"


async def test_a_field_under_review_waits_until_somebody_chooses(chain: Chain, office: Graph):
    one, two = await chain.tablet("one", "Nanjing Road"), await chain.tablet("two", "Nanjing Road")
    lin = await one.customers.create(name="林芳")
    await one.sync()
    await two.sync()
    await one.customers.edit(lin.id, home_unit=chain.units["Nanjing Road"])
    await two.customers.edit(lin.id, home_unit=chain.units["Orchard"])
    await one.sync()
    await two.sync()
    (entry,) = await ledger(office, rule="REVIEW")
    assert entry["chosen"][0]["path"] == "home_unit"
    chosen = next(v for v in entry["chosen"][0]["values"] if not v["shown"])
    done = (await office.ask(CHOOSE, k="c", id=lin.id, path="home_unit", cid=chosen["cid"]))["done"]
    assert (done["row"]["contested"], done["row"]["homeUnit"]["name"]) == ([], "Orchard")
