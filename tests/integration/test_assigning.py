# ruff: noqa: E501 (queries)
"""What is said of many customers at once: by one mutation, or by a file of another system (3b)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from regulars_server.importing import ImportReport, import_file
from regulars_sync.ids import row_id
from tests.integration.test_graph_writing import Office, keys
from tests.support.chain import Chain, new_chain
from tests.support.graph import caller

NOBODY = "01a20038-0101-7724-a4c3-597164c48aff"
ASSIGN = "mutation ($k: String!, $rows: [AssignmentInput!]!, $on: BulkErrorPolicy!) { done: customersAssign(idempotencyKey: $k, inputs: $rows, onError: $on) { __typename ... on Error { code } ... on AssignmentsSaved { written results { ... on AssignmentSaved { assignment { scheme value values reviewed } } ... on Error { code path message } } } } }"
HEADER = "customer,scheme,value,since,check_by,reason,evidence"


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as chain:
        yield chain


@pytest.fixture
async def office(chain: Chain) -> Office:
    return Office(await caller(chain, "admin", sensitive=True))


async def assign(
    office: Office, rows: list[dict[str, Any]], key: str = "k", on: str = "REJECT_FAILED_ROWS"
) -> Any:
    return (await office.graph.ask(ASSIGN, k=key, rows=rows, on=on))["done"]


def codes(done: dict[str, Any]) -> list[str | None]:
    return [result.get("code") for result in done["results"]]


async def file(chain: Chain, *lines: str, source: str = "crm", dry_run: bool = False) -> ImportReport:
    path = chain.folder / "assignments.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return await import_file(chain.service, path, "assignment", source, dry_run=dry_run)


async def people(chain: Chain, *lines: str, entity: str = "customer") -> None:
    path = chain.folder / f"{entity}.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    assert not (await import_file(chain.service, path, entity, "crm")).refused


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    return report.created, report.updated, report.unchanged, len(report.refused)


LIN = row_id("crm", "customer", "C-1")


async def test_many_words_are_one_mutation_with_a_result_for_each(office: Office):
    lin, wang = [await office.graph.customer(name) for name in ("林芳", "王明")]
    rows: list[dict[str, Any]] = [
        {"customerId": lin, "scheme": "attention", "value": "key"},
        {"customerId": wang, "scheme": "motive", "values": {"add": ["quality"]}, "reason": "asked twice"},
        {"customerId": wang, "scheme": "attention", "value": "loud"},
        {"customerId": NOBODY, "scheme": "attention", "value": "key"},
        {"customerId": lin, "scheme": "attention", "value": "ordinary"},
        {"customerId": lin, "scheme": "colour", "value": "red"},
        {"customerId": lin, "scheme": "personality", "value": "expert"},
    ]
    refused = await assign(office, rows, "all", "REJECT_EVERYTHING")
    assert (refused["written"], set(codes(refused)[:3])) == (0, {"bulk_rejected", "enum_unknown"})
    assert (await office.stands(lin, "attention"))["attention"]["values"] == []
    done = await assign(office, rows)
    wrong = ["enum_unknown", "not_found", "row_twice", "not_found", "evidence_missing"]
    assert (done["written"], codes(done)) == (2, [None, None, *wrong])
    assert keys((await office.stands(lin, "attention"))["attention"]) == ["key"]
    assert keys((await office.stands(wang, "motive"))["motive"]) == ["quality"]
    assert await assign(office, rows) == done, "the same key is the same answer"


async def test_more_than_a_bulk_holds_is_refused_before_anything_is_read(office: Office):
    done = await assign(office, [{"customerId": NOBODY, "scheme": "tier", "value": "gold"}] * 501)
    assert done["code"] == "query_too_large"


async def test_a_file_says_what_customers_are_by_any_of_their_names(chain: Chain, office: Office):
    await people(
        chain, "external_id,name,member_no,kind", "C-1,林芳,,", "C-2,王明,M-7,", "C-3,Oak & Co,,organization"
    )
    visit = ("external_id,kind,party,at", "V-1,visit,C-1,2026-03-01 10:00")
    await people(chain, *visit, entity="interaction")
    other = await office.graph.customer("陈静", memberNo="M-9")
    lines = (
        HEADER,
        "C-1,nature,individual,2024-01-31,,of the old system,V-1",
        "M-7,motive,new;quality,,,,",
        f"{other},attention,key,,2027-03-01,,",
        "C-3,outlet_type,retail,,,,",
    )
    tried = await file(chain, *lines, dry_run=True)
    assert (await office.stands(LIN, "nature"))["nature"]["origin"] is None
    report = await file(chain, *lines)
    assert counts(tried) == counts(report) == (4, 0, 0, 0), report.refused
    assert counts(await file(chain, *lines)) == (0, 0, 4, 0), "twice changes nothing"
    stands = (await office.stands(LIN, "nature"))["nature"]
    assert (keys(stands), stands["origin"], stands["en"]) == (["individual"], "IMPORT", "imported Individual")
    said = stands["assignment"]
    assert (said["since"], said["reason"], said["pinned"]) == ("2024-01-31", "of the old system", False)
    wang = row_id("crm", "customer", "C-2")
    assert keys((await office.stands(wang, "motive"))["motive"]) == ["quality", "new"]
    assert (await office.stands(other, "attention"))["attention"]["en"].endswith("until 1 March 2027")
    changed = await file(chain, HEADER, "M-7,motive,new;cheap,,,,")
    assert counts(changed) == (0, 1, 0, 0)
    assert set(keys((await office.stands(wang, "motive"))["motive"])) == {"new", "cheap"}


async def test_a_line_that_can_not_be_said_is_told_and_may_come_again(chain: Chain, office: Office):
    await people(chain, "external_id,name,member_no", "C-1,林芳,", "C-2,王明,M-7", "C-3,王明,M-7")
    report = await file(
        chain,
        HEADER,
        "C-9,nature,individual,,,,",
        "C-1,nature,martian,,,,",
        "C-1,colour,red,,,,",
        "M-7,nature,individual,,,,",
        "C-1,outlet_type,retail,,,,",
        "C-1,attention,key;ordinary,,,,",
        "C-1,attention,,,,,",
        "C-1,attention,key,,soon,,",
        "C-1,tier,gold,,,,V-404",
        ",tier,gold,,,,",
        "C-1,lifecycle,loyal,,,,",
        "C-1,lifecycle,old,,,,",
    )
    assert counts(report) == (1, 0, 0, 11)
    assert [(line.line, line.code, line.detail.get("field")) for line in report.refused] == [
        (2, "not_found", "customer"),
        (3, "enum_unknown", "value"),
        (4, "enum_unknown", "scheme"),
        (5, "customer_ambiguous", "customer"),
        (6, "scheme_kind", "scheme"),
        (7, "scheme_values", "value"),
        (8, "fields_missing", None),
        (9, "date_invalid", "check_by"),
        (10, "not_found", "evidence"),
        (11, "field_required", "customer"),
        (13, "row_twice", "customer"),
    ]
    again = await file(chain, HEADER, "C-1,nature,individual,,,,", "C-1,attention,key,,,,")
    assert counts(again) == (2, 0, 0, 0)


async def test_what_a_person_says_stands_before_a_file_until_it_is_to_be_checked(
    chain: Chain, office: Office
):
    await people(chain, "external_id,name", "C-1,林芳")
    assert counts(await file(chain, HEADER, "C-1,tier,silver,,,,")) == (1, 0, 0, 0)
    assert (await office.stands(LIN, "tier"))["tier"]["origin"] == "IMPORT"
    await office.assign(LIN, "tier", "diamond", reason="the mayor", checkBy="2027-02-01")
    for value, wanted in (("gold", (0, 1, 0, 0)), ("gold", (0, 0, 1, 0))):
        assert counts(await file(chain, HEADER, f"C-1,tier,{value},,2027-06-01,,")) == wanted
    stands = (await office.stands(LIN, "tier"))["tier"]
    assert (keys(stands), stands["origin"]) == (["diamond"], "PERSON")
    assert stands["en"].endswith("pinned Diamond, until 1 February 2027"), "a file does not move a pin's day"
    assert (stands["assignment"]["checkBy"], stands["assignment"]["pinned"]) == ("2027-02-01", True)
    chain.clock.pass_(days=80)
    held = (await office.stands(LIN, "tier"))["tier"]
    assert (keys(held), held["origin"]) == (["gold"], "IMPORT"), "then the file's word holds the tier up"
    assert held["en"].endswith("until 1 June 2027")
    chain.clock.pass_(days=130)
    assert (await office.stands(LIN, "tier"))["tier"]["origin"] != "IMPORT"


async def test_a_tablet_tells_of_a_file_what_head_office_tells(chain: Chain, office: Office):
    shop = await chain.tablet("one", "Orchard")
    card = await shop.customers.create(name="林芳")
    await shop.sync()
    await file(chain, HEADER, f"{card.id},tier,gold,,2027-06-01,,", f"{card.id},nature,individual,,,,")
    await shop.sync()
    tier = await shop.customers.standing(card, "tier")
    assert (tier.values, tier.origin, str(tier.check_by)) == (("gold",), "import", "2027-06-01")
    await shop.customers.assign(card, "nature", "company")
    assert (await shop.customers.standing(card, "nature")).values == ("company",)
    assert (await shop.sync()).equal
    assert keys((await office.stands(card.id, "nature"))["nature"]) == ["company"]


async def test_a_word_that_had_not_seen_a_files_stands_before_it_and_waits_for_nobody(
    chain: Chain, office: Office
):
    one, other = await chain.tablet("one"), await chain.tablet("other")
    card = await one.customers.create(name="林芳")
    await one.sync()
    await other.sync()
    await file(chain, HEADER, f"{card.id},tier,silver,,,,")
    chain.clock.pass_(minutes=1)
    await one.customers.assign(card, "tier", "diamond", check_by=date(2027, 2, 1))
    for shop in (one, other):
        assert (await shop.sync()).equal
        tier = await shop.customers.standing(card, "tier")
        assert (tier.values, tier.origin, tier.check_by) == (("diamond",), "person", date(2027, 2, 1))
        assert await shop.customers.contested_assignments(card) == {}
    assert keys((await office.stands(card.id, "tier"))["tier"]) == ["diamond"]
    await other.customers.assign(card, "tier", "gold")
    await one.customers.assign(card, "tier", "ordinary")
    for shop in (one, other, one):
        await shop.sync()
    assert set(await one.customers.contested_assignments(card)) == {"tier"}, "two persons' words wait"


async def test_a_file_of_assignments_names_its_columns(chain: Chain):
    with pytest.raises(Exception, match="fields_missing"):
        await file(chain, "customer,value", "C-1,gold")
    with pytest.raises(Exception, match="column_unknown"):
        await file(chain, "customer,scheme,value,colour", "C-1,tier,gold,red")


async def test_a_file_that_says_what_somebody_verified_leaves_it_verified(chain: Chain, office: Office):
    await people(chain, "external_id,name,industry", "C-1,Oak & Co,furniture")
    await office.saved("valueVerify", customerId=LIN, path="industry", isTrue=True)
    await people(chain, "external_id,name,industry", "C-1,Oak & Co,timber")
    await people(chain, "external_id,name,industry", "C-1,Oak & Co,furniture")
    assert (await office.card(LIN))["fields"]["industry"]["verified"] == "verified"
