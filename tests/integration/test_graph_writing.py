# ruff: noqa: E501 (queries)
"""What a person or a program writes of what is known of a customer, and reads again, over GraphQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from regulars_schema.schemes import load
from regulars_sync.ids import made_id
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, caller

STANDINGS = "query ($id: UUID!, $of: [String!]) { customer(id: $id) { standings(schemes: $of) { scheme { key } values { key label { zhHans zhHant en } } known origin ruled { key } assignment { reason guardedReason checkBy pinned since values guardedValues } zh en turnsAt } } }"
FIELDS = "query ($id: UUID!) { customer(id: $id) { customFields { definition { key } value source verified contested hidden } card { sections { fields { name value source verified contested } } } tasks { nodes { plan subject status } } } }"


class Office:
    """One caller, and mutations in few words."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    async def do(self, name: str, type_: str | None = None, /, **given: Any) -> dict[str, Any]:
        """The answer of a mutation that takes an `input`; of others their arguments."""
        kind = type_ or f"{name[0].upper()}{name[1:]}Input"
        declared, passed = f"$input: {kind}!", "input: $input"
        return await self.ask(name, declared, passed, {"input": given})

    async def ask(self, name: str, declared: str, passed: str, given: dict[str, Any]) -> dict[str, Any]:
        query = f"mutation ($k: String!, {declared}) {{ done: {name}(idempotencyKey: $k, {passed}) {{ __typename ... on Error {{ code path message detail }} }} }}"
        done: dict[str, Any] = (await self.graph.ask(query, k=self.graph.key(), **given))["done"]
        return done

    async def code(self, name: str, type_: str | None = None, /, **given: Any) -> str:
        return str((await self.do(name, type_, **given))["code"])

    async def saved(self, name: str, type_: str | None = None, /, **given: Any) -> None:
        done = await self.do(name, type_, **given)
        assert done["__typename"].endswith("Saved"), done

    async def assign(self, customer: str, scheme: str, value: str | None = None, **more: Any) -> None:
        told = {} if value is None else {"value": value}
        await self.saved(
            "assignmentSet", "AssignmentInput", customerId=customer, scheme=scheme, **told, **more
        )

    async def stands(self, customer: str, *schemes: str) -> dict[str, dict[str, Any]]:
        asked = await self.graph.ask(STANDINGS, id=customer, of=list(schemes) or None)
        return {standing["scheme"]["key"]: standing for standing in asked["customer"]["standings"]}

    async def card(self, customer: str) -> dict[str, Any]:
        asked = (await self.graph.ask(FIELDS, id=customer))["customer"]
        fields = {f["name"]: f for part in asked["card"]["sections"] for f in part["fields"]}
        custom = {f["definition"]["key"]: f for f in asked["customFields"]}
        return {"fields": fields, "custom": custom, "tasks": asked["tasks"]["nodes"]}

    async def fill(self, customer: str, origin: str, **set: Any) -> dict[str, Any]:
        declared, passed = (
            "$id: UUID!, $set: CustomerEdit!, $origin: ValueSource",
            "id: $id, set: $set, origin: $origin",
        )
        return await self.ask(
            "customerUpdate", declared, passed, {"id": customer, "set": set, "origin": origin}
        )


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as chain:
        yield chain


@pytest.fixture
async def office(chain: Chain) -> Office:
    return Office(await caller(chain, sensitive=True))


@pytest.fixture
async def lin(chain: Chain, office: Office) -> str:
    return await office.graph.customer("林芳", homeUnitId=chain.units["Nanjing Road"])


def keys(standing: dict[str, Any], of: str = "values") -> list[str]:
    return [value["key"] for value in standing[of]]


# --- assignments --------------------------------------------------------------------------------------


async def test_a_word_in_a_scheme_says_by_whom_why_and_until_when(chain: Chain, office: Office, lin: str):
    visit = await office.graph.visit(lin)
    await office.assign(lin, "personality", "expert", evidenceId=visit, reason="knows oak")
    stands = (await office.stands(lin, "personality"))["personality"]
    assert (keys(stands), stands["origin"], stands["ruled"]) == (["expert"], "PERSON", [])
    assert stands["assignment"]["reason"] == "knows oak"
    since, until = stands["assignment"]["since"], stands["assignment"]["checkBy"]
    assert int(until[:4]) == int(since[:4]) + 1, "it is to be checked again after a year (S68)"
    assert stands["turnsAt"] is not None
    chain.clock.pass_(days=366)
    lapsed = (await office.stands(lin, "personality"))["personality"]
    assert (lapsed["values"], lapsed["en"], lapsed["zh"]) == ([], "nothing said", "未填写")


async def test_a_pin_shows_what_the_rule_says_beside_it_and_gives_way_at_its_end(
    chain: Chain, office: Office, lin: str
):
    cuts = {"spend": [1, 2, 3, 4], "purchase_count": [1, 2, 3, 4]}
    day = "2026-11-19"
    await chain.write("create", "cut_points", made_id("cut_points", day), {"day": day, "cuts": cuts})
    sold = [{"quantity": 1, "amount": 1, "currency": "CNY"}]
    await office.graph.visit(lin, kind="PURCHASE", lines=sold)
    ruled = (await office.stands(lin, "tier"))["tier"]
    assert ruled["origin"] == "RULE"
    await office.assign(lin, "tier", "diamond", reason="the mayor", checkBy="2027-05-03")
    pinned = (await office.stands(lin, "tier"))["tier"]
    assert (keys(pinned), pinned["origin"]) == (["diamond"], "PERSON")
    assert keys(pinned, "ruled") == keys(ruled)
    assert pinned["assignment"]["pinned"] is True
    assert pinned["en"] == "rule says Ordinary, pinned Diamond, until 3 May 2027"
    assert pinned["zh"].endswith("固定为钻石客户，至2027年5月3日")
    await office.saved("assignmentClear", customerId=lin, scheme="tier")
    assert (await office.stands(lin, "tier"))["tier"]["origin"] == "RULE"
    await office.assign(lin, "tier", "gold")
    chain.clock.pass_(days=366)
    assert (await office.stands(lin, "tier"))["tier"]["origin"] == "RULE"


async def test_what_a_person_says_stands_before_what_a_file_says(office: Office, lin: str):
    await office.assign(lin, "nature", "company", source="IMPORT")
    assert (await office.stands(lin, "nature"))["nature"]["origin"] == "IMPORT"
    await office.assign(lin, "nature", "individual")
    await office.assign(lin, "nature", "company", source="IMPORT")
    stands = (await office.stands(lin, "nature"))["nature"]
    assert (keys(stands), stands["origin"]) == (["individual"], "PERSON")


async def test_a_customer_has_several_motives_and_loses_one(office: Office, lin: str):
    await office.assign(lin, "motive", "fame", reason="asks for the brand")
    await office.assign(lin, "motive", values={"add": ["new", "cheap"]}, reason="x")
    await office.assign(lin, "motive", values={"remove": ["fame"]})
    assert keys((await office.stands(lin, "motive"))["motive"]) == ["cheap", "new"]
    await office.saved("assignmentClear", customerId=lin, scheme="motive")
    assert keys((await office.stands(lin, "motive"))["motive"]) == []


async def test_what_does_not_fit_a_scheme_is_refused_with_its_reason(office: Office, lin: str):
    async def code(scheme: str, **given: Any) -> str:
        return await office.code("assignmentSet", "AssignmentInput", customerId=lin, scheme=scheme, **given)

    assert await code("personality", value="expert") == "evidence_missing"
    assert await code("tier", value="platinum") == "enum_unknown"
    assert await code("tier", values={"add": ["gold", "silver"]}) == "scheme_values"
    assert await code("ownership", value="joint_venture") in ("scheme_kind", "enum_unknown")
    assert await code("mood", value="good") == "not_found"
    assert await code("personality", value="expert", evidenceId=lin) == "not_found"


async def test_sensitive_words_never_reach_a_reader_without_the_right(chain: Chain, office: Office, lin: str):
    await office.assign(lin, "difficulty", "suspicious", reason="wants a receipt for all")
    ours = (await office.stands(lin, "difficulty"))["difficulty"]
    assert (keys(ours), ours["assignment"]["guardedReason"]) == (["suspicious"], "wants a receipt for all")
    clerk = Office(await caller(chain, "clerk", "Nanjing Road"))
    theirs = (await clerk.stands(lin, "difficulty"))["difficulty"]
    assert (theirs["values"], theirs["known"], theirs["origin"], theirs["assignment"]) == (
        [],
        False,
        None,
        None,
    )
    rows = await clerk.graph.send(
        "query ($id: UUID!) { customer(id: $id) { assignments { nodes { scheme value values reason guardedValue guardedValues guardedReason } } } }",
        id=lin,
    )
    assert "suspicious" not in str(rows)
    assert "receipt" not in str(rows)
    refused = await clerk.code(
        "assignmentSet", "AssignmentInput", customerId=lin, scheme="difficulty", value="picky"
    )
    assert refused == "not_allowed"
    assert await clerk.code("assignmentClear", customerId=lin, scheme="difficulty") == "not_allowed"


# --- where values are from ----------------------------------------------------------------------------


async def test_what_a_customer_fills_in_waits_makes_one_task_and_verifying_closes_it(
    office: Office, lin: str
):
    for field, value in (("occupation", "teacher"), ("education", "PhD")):
        assert (await office.fill(lin, "SELF_FORM", **{field: value}))["__typename"] == "CustomerSaved"
    card = await office.card(lin)
    assert (card["fields"]["occupation"]["source"], card["fields"]["occupation"]["verified"]) == (
        "self_form",
        "pending",
    )
    assert [task["plan"] for task in card["tasks"]] == ["verify"], "one task, however many forms"
    await office.saved("valueVerify", customerId=lin, path="occupation", isTrue=True)
    card = await office.card(lin)
    assert (card["fields"]["occupation"]["source"], card["fields"]["occupation"]["verified"]) == (
        "self_form",
        "verified",
    )
    assert card["tasks"][0]["status"] == "OPEN", "the other one still waits"
    await office.saved("valueVerify", customerId=lin, path="education", isTrue=False)
    card = await office.card(lin)
    assert (card["fields"]["education"]["value"], card["fields"]["education"]["verified"]) == (
        "PhD",
        "rejected",
    )
    assert card["tasks"][0]["status"] == "DONE"
    await office.fill(lin, "SELF_FORM", education="MSc")
    assert [task["status"] for task in (await office.card(lin))["tasks"]].count("OPEN") == 1


async def test_a_form_never_takes_the_place_of_what_was_verified(office: Office, lin: str):
    await office.fill(lin, "AGENCY", occupation="nurse")
    await office.saved("valueVerify", customerId=lin, path="occupation", isTrue=True)
    await office.fill(lin, "SELF_FORM", occupation="surgeon")
    field = (await office.card(lin))["fields"]["occupation"]
    assert (field["value"], field["contested"], field["source"]) == ("nurse", True, "agency")
    await office.saved("valueVerify", customerId=lin, path="occupation", isTrue=False)
    field = (await office.card(lin))["fields"]["occupation"]
    assert (field["value"], field["contested"], field["verified"]) == ("nurse", False, "verified")
    await office.fill(lin, "SELF_FORM", occupation="surgeon")
    await office.saved("valueVerify", customerId=lin, path="occupation", isTrue=True)
    assert (await office.card(lin))["fields"]["occupation"]["value"] == "surgeon"


async def test_a_new_customer_of_a_form_comes_with_its_task_and_a_verdict_needs_a_value(office: Office):
    declared, passed = "$input: CustomerInput!, $origin: ValueSource", "input: $input, origin: $origin"
    given = {"input": {"name": "陈静"}, "origin": "SELF_FORM"}
    assert (await office.ask("customerCreate", declared, passed, given))["__typename"] == "CustomerSaved"
    found = await office.graph.ask("{ customers { nodes { id tasks { nodes { plan status } } } } }")
    (chen,) = found["customers"]["nodes"]
    assert chen["tasks"]["nodes"] == [{"plan": "verify", "status": "OPEN"}]
    assert (
        await office.code("valueVerify", customerId=chen["id"], path="education", isTrue=True)
        == "choice_gone"
    )
    gone = {"customerId": chen["id"], "path": "name", "isTrue": True, "cid": "0" * 32}
    assert await office.code("valueVerify", **gone) == "choice_gone"


async def test_only_a_manager_reduces_or_ends_the_service_of_a_customer(
    chain: Chain, office: Office, lin: str
):
    for role, may in (("clerk", False), ("manager", True)):
        desk = Office(await caller(chain, role, "Nanjing Road"))
        done = await desk.fill(lin, "STAFF_VISIT", serviceStance="REDUCED", stanceReason="UNPROFITABLE")
        assert (done.get("code") == "not_allowed") is not may, done
        bulk = await desk.ask(
            "customersUpdate",
            "$u: [CustomerUpdateInput!]!",
            "updates: $u",
            {"u": [{"id": lin, "set": {"serviceStance": "NORMAL"}}]},
        )
        assert (bulk.get("code") == "not_allowed") is not may, bulk


# --- custom fields ------------------------------------------------------------------------------------


async def test_a_custom_field_takes_what_its_definition_says_and_shows_it_again(
    chain: Chain, office: Office, lin: str
):
    label = {"zh": "字段", "en": "Field"}
    for key, type_, rule in (
        ("shoe_size", "INTEGER", "MAX"),
        ("likes", "CHOICE", "OR_SET"),
        ("met_on", "DATE", "MIN"),
        ("secret", "TEXT", "REVIEW"),
    ):
        more: dict[str, Any] = {"choices": ["oak", "elm"]} if type_ == "CHOICE" else {}
        more |= {"sensitivity": "SENSITIVE"} if key == "secret" else {}
        await office.saved(
            "fieldDefSave", "FieldDefInput", key=key, label=label, type=type_, rule=rule, **more
        )
    wrong = {"key": "odd", "label": label, "type": "BOOLEAN", "rule": "MAX"}
    assert await office.code("fieldDefSave", "FieldDefInput", **wrong) == "custom_rule_unfit"
    assert (
        await office.code(
            "fieldDefSave", "FieldDefInput", key="shoe_size", label=label, type="TEXT", rule="REVIEW"
        )
        == "field_fixed"
    )
    for key, value in (
        ("shoe_size", 38),
        ("likes", ["oak"]),
        ("likes", {"elm": True}),
        ("met_on", "2024-02-01"),
        ("secret", "x"),
    ):
        await office.saved("customValueSet", "CustomValueInput", customerId=lin, field=key, value=value)
    for key, value, code in (
        ("shoe_size", "wide", "value_type"),
        ("likes", ["ash"], "enum_unknown"),
        ("met_on", "soon", "date_invalid"),
        ("nothing", 1, "not_found"),
    ):
        assert (
            await office.code("customValueSet", "CustomValueInput", customerId=lin, field=key, value=value)
            == code
        )
    values = {key: field["value"] for key, field in (await office.card(lin))["custom"].items()}
    assert values == {"shoe_size": 38, "likes": ["elm", "oak"], "met_on": "2024-02-01", "secret": "x"}
    clerk = Office(await caller(chain, "clerk", "Nanjing Road"))
    theirs = (await clerk.card(lin))["custom"]["secret"]
    assert (theirs["value"], theirs["hidden"]) == (None, True)
    assert (
        await clerk.code("customValueSet", "CustomValueInput", customerId=lin, field="secret", value="y")
        == "not_allowed"
    )
    await office.saved("customValueSet", "CustomValueInput", customerId=lin, field="met_on", value=None)
    await office.saved(
        "customValueSet",
        "CustomValueInput",
        customerId=lin,
        field="met_on",
        value="2023-01-01",
        source="SELF_FORM",
    )
    card = await office.card(lin)
    assert (card["custom"]["met_on"]["verified"], [t["plan"] for t in card["tasks"]]) == (
        "pending",
        ["verify"],
    )


# --- consents, tasks, suppliers -----------------------------------------------------------------------


async def test_consents_tasks_and_suppliers_are_written_once_by_whoever_writes_them(office: Office, lin: str):
    await office.saved(
        "consentRecord", "ConsentInput", customerId=lin, purpose="MARKETING", granted=True, channel="SMS"
    )
    for satisfaction in (2, 4):
        await office.saved(
            "supplierSet", "SupplierInput", customerId=lin, name="Oak & Co", satisfaction=satisfaction
        )
    for note in ("first", "again"):
        await office.saved("taskSave", "TaskInput", customerId=lin, plan="call", subject="oak", note=note)
    task = made_id("task", "call", lin, "oak")
    await office.saved("taskDone", "TaskDoneInput", id=task, note="they came")
    await office.saved("taskSave", "TaskInput", customerId=lin, plan="call", subject="oak")
    assert await office.code("taskDone", "TaskDoneInput", id=task, status="OPEN") == "argument_invalid"
    found = (
        await office.graph.ask(
            "query ($id: UUID!) { customer(id: $id) { consents { nodes { purpose channel granted at } } suppliers { nodes { name satisfaction } } tasks { nodes { status note } } } }",
            id=lin,
        )
    )["customer"]
    (consent,) = found["consents"]["nodes"]
    assert (consent["purpose"], consent["channel"], consent["granted"]) == ("MARKETING", "SMS", True)
    assert found["suppliers"]["nodes"] == [{"name": "Oak & Co", "satisfaction": 4}]
    assert found["tasks"]["nodes"] == [{"status": "DONE", "note": "they came"}], "done stays done"


# --- schemes ------------------------------------------------------------------------------------------

SCHEME = "key label { zhHans zhHant en } forKind mode multi ordered sensitive checkDays evidence values { key label { zhHans zhHant en } parent rule disclose benefits { zh en } playbook { group { zh } cues { zh } problems { zh } actions { zh } avoid { zh } } } hints { key on suggests text { zh en } } sources archived changedByChain changes problem"


async def save(office: Office, key: str, changes: Any) -> dict[str, Any]:
    return await office.ask(
        "schemeSave",
        "$key: String!, $changes: JSON!",
        "key: $key, changes: $changes",
        {"key": key, "changes": changes},
    )


async def test_every_scheme_is_told_with_labels_values_playbooks_and_sources(office: Office):
    told = {one["key"]: one for one in (await office.graph.ask(f"{{ schemes {{ {SCHEME} }} }}"))["schemes"]}
    shipped = load().schemes
    assert told.keys() == shipped.keys()
    for key, of in shipped.items():
        one = told[key]
        assert [value["key"] for value in one["values"]] == [value.key for value in of.values]
        assert one["label"] == {"zhHans": of.label.zh_hans, "zhHant": of.label.zh_hant, "en": of.label.en}
        assert one["sources"] == list(of.sources)
        assert not one["changedByChain"]
        assert [hint["on"] for hint in one["hints"]] == [hint.on for hint in of.hints]
    assert any(value["playbook"] for value in told["lifecycle"]["values"])
    assert any(value["benefits"] for value in told["tier"]["values"])


async def test_a_chain_changes_a_scheme_step_by_step_and_takes_it_back(office: Office, lin: str):
    for changes in ({"label": {"en": "Grade"}}, {"values": {"silver": None}}):
        assert (await save(office, "tier", changes))["__typename"] == "SchemeSaved"
    tier = (await office.graph.ask(f'{{ scheme(key: "tier") {{ {SCHEME} }} }}'))["scheme"]
    assert (tier["label"]["en"], tier["changedByChain"]) == ("Grade", True)
    assert "silver" not in [value["key"] for value in tier["values"]]
    assert (
        await office.code("assignmentSet", "AssignmentInput", customerId=lin, scheme="tier", value="silver")
        == "enum_unknown"
    )
    wrong = await save(office, "tier", {"values": {"gold": {"rule": "spendd > 1"}}})
    assert (wrong["code"], wrong["detail"]["place"]) == ("rule_unknown", "values.gold.rule")
    own = {
        "label": {"zh_hans": "心情", "en": "Mood"},
        "for_kind": ["person"],
        "mode": "person",
        "values": {"good": {"label": {"zh_hans": "好", "en": "Good"}}},
    }
    assert (await save(office, "mood", own))["__typename"] == "SchemeSaved"
    await office.assign(lin, "mood", "good")
    assert keys((await office.stands(lin, "mood"))["mood"]) == ["good"]
    for key in ("tier", "mood"):
        done = await office.ask("schemeReset", "$key: String!", "key: $key", {"key": key})
        assert done["__typename"] == "SchemeSaved", done
    tier = await office.graph.ask(
        f'{{ scheme(key: "tier") {{ {SCHEME} }} mood: scheme(key: "mood") {{ key }} }}'
    )
    assert (tier["scheme"]["changedByChain"], tier["mood"]) == (False, None)
    assert "silver" in [value["key"] for value in tier["scheme"]["values"]]
    assert (await save(office, "No Key", own))["code"] == "scheme_invalid"
    assert (await save(office, "tier", [1]))["code"] == "value_type"


async def wrong_in(office: Office, changes: Any, lang: str = "en", key: str = "tier") -> dict[str, Any]:
    query = "mutation ($k: String!, $key: String!, $c: JSON!) { done: schemeSave(idempotencyKey: $k, key: $key, changes: $c) { __typename ... on Error { code path message detail } } }"
    given = {"k": office.graph.key(), "key": key, "c": changes}
    answer = await office.graph.send(query, {"accept-language": lang}, **given)
    done: dict[str, Any] = answer["data"]["done"]
    assert done["__typename"] == "Refusal", done
    return done


def gold(rule: Any) -> dict[str, Any]:
    return {"values": {"gold": {"rule": rule}}}


async def test_a_wrong_rule_of_a_scheme_says_what_where_and_what_was_meant(office: Office):
    query = 'mutation { segmentSave(idempotencyKey: "s", input: { name: "Oak lovers", rule: "is(tier) = gold" }) { ... on SegmentSaved { segment { id } } } }'
    segment = (await office.graph.ask(query))["segmentSave"]["segment"]["id"]
    unknown = [
        ("kind = person and gendr = male", 19, "gender", "all[1].field"),
        ("kind = person and is(tiers) = gold", 19, "tier", "all[1].is"),
        ("kind = person and is(quality) = hihg", 19, "high", "all[1].values[0]"),
        ('kind = person and in("Oak lover")', 19, segment, "all[1].in"),
        ("spendd(last 1 year) > 1", 1, "spend", "number.metric"),
    ]
    for rule, column, meant, path in unknown:
        wrong = await wrong_in(office, gold(rule))
        detail = wrong["detail"]
        assert (wrong["code"], wrong["path"]) == ("rule_unknown", f"changes.values.gold.rule.{path}"), wrong
        assert (detail["line"], detail["offset"], detail["suggestion"]) == (1, detail["column"] - 1, meant)
        assert detail["column"] >= column
        assert meant in wrong["message"]
    torn = await wrong_in(office, gold("spend >"))
    assert (torn["code"], torn["detail"]["column"]) == ("rule_unreadable", 8)
    tree = {"in": "01990000-0000-7000-8000-0000000000ff"}
    assert (await wrong_in(office, gold(tree)))["path"] == "changes.values.gold.rule.in"
    won = {"values": {"won": {"rule": "is(tier) = gold"}}}
    assert (await save(office, "funnel", won))["__typename"] == "SchemeSaved"
    for circle in (f'in("{segment}")', "is(tier) = silver", "is(funnel) = won"):
        wrong = await wrong_in(office, gold(circle))
        assert (wrong["code"], wrong["path"]) == ("rule_circle", "changes.values.gold.rule"), wrong
        assert "scheme tier" in wrong["message"]
        assert "循环" in (await wrong_in(office, gold(circle), "zh"))["message"]


@pytest.mark.parametrize(
    ("changes", "place", "en", "zh"),
    [
        ({"mdoe": "rule"}, "mdoe", "is not known; did you mean mode?", "未知的名称，是否为 mode？"),
        ({"label": {"en": ""}}, "label.en", "is no text, or empty", "不是文字，或为空"),
        ({"mode": "robot"}, "mode", "'robot' is none of rule, person, import", "没有取值 'robot'，可用：rule, person, import"),
        ({"values": {"gold": {"rule": None}}}, "values.gold.rule", "does not go with mode rule", "与方式 rule 不符"),
        ({"values": []}, "values", "is no object", "不是对象"),
        ({"order": ["gold", "tin"]}, "order", "names others than", "只能列出"),
    ],
)  # fmt: skip
async def test_what_does_not_fit_in_a_scheme_is_told_in_either_language(
    office: Office, changes: Any, place: str, en: str, zh: str
):
    for lang, said in (("en", en), ("zh", zh)):
        wrong = await wrong_in(office, changes, lang)
        assert (wrong["code"], wrong["path"], wrong["detail"]["place"]) == (
            "scheme_invalid",
            f"changes.{place}",
            place,
        )
        assert said in wrong["message"]


async def test_taking_away_what_a_segment_names_is_refused_with_the_segment(office: Office):
    own = {"label": {"zh_hans": "心情", "en": "Mood"}, "for_kind": ["person"], "mode": "person"}
    values = {
        "good": {"label": {"zh_hans": "好", "en": "Good"}},
        "bad": {"label": {"zh_hans": "坏", "en": "Bad"}},
    }
    assert (await save(office, "mood", {**own, "values": values}))["__typename"] == "SchemeSaved"
    query = 'mutation { segmentSave(idempotencyKey: "s", input: { name: "Glad", rule: "is(mood) = good" }) { ... on SegmentSaved { segment { id } } } }'
    segment = (await office.graph.ask(query))["segmentSave"]["segment"]["id"]
    wrong = await wrong_in(office, {"values": {"good": None}}, key="mood")
    assert wrong["code"] == "rule_unknown"
    assert segment in wrong["detail"]["place"]
