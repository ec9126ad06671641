# ruff: noqa: E501 (queries)
"""A customer's card as data (S10-S16, S19-S21): all that is known, once, and nothing that the reader may not see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from regulars_schema import card as layout
from regulars_schema.entities import CUSTOMER
from regulars_sync.ids import identity_id
from tests.support.cards import NAME, NEAR, SECRETS, Filled
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, caller, http

CARD = """query ($id: UUID!, $lang: Language = ZH) { customerCard(id: $id, lang: $lang) {
  kind title htmlUrl pdfUrl completeness { wanted filled share missing }
  sections { key label fields { name label value text source hidden asked printed } }
  tabs { key label fields { name label value text hidden printed } }
  leaders { kind label customerId name note fields { name text } }
  links { kind label outgoing customerId name note }
  companions { customerId name roles times lastAt }
  facts { topic label facts { at content } } callOpener { topic facts { content } }
  preferences { declared boughtMost { name times quantity lastAt } }
  suppliers { name satisfaction note } standings { scheme value valueLabel } } }"""
FORM = "query ($kind: CustomerKind!) { cardForm(kind: $kind, lang: ZH) { sections { key fields { name value text asked } } tabs { fields { label value } } htmlUrl } }"


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


@pytest.fixture
async def filled(chain: Chain) -> Filled:
    return await Filled(chain).fill()


async def told(graph: Graph, id: str, **asked: Any) -> dict[str, Any]:
    card: dict[str, Any] = (await graph.ask(CARD, id=id, **asked))["customerCard"]
    return card


def fields(card: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {field["name"]: field for part in card["sections"] for field in part["fields"]}


async def test_each_kind_has_its_own_sections_and_every_field_once(chain: Chain, filled: Filled):
    office = await caller(chain, sensitive=True)
    for id, kind in ((filled.lin, "person"), (filled.firm, "organization")):
        card = await told(office, id)
        assert card["kind"] == kind.upper()
        assert [part["key"].lower() for part in card["sections"]] == list(layout.SECTIONS[kind])
        named = [field["name"] for part in card["sections"] for field in part["fields"]]
        assert sorted(named) == sorted(field.name for field in CUSTOMER.fields)


async def test_values_are_told_in_words_and_rows_by_their_names(chain: Chain, filled: Filled):
    office = await caller(chain, sensitive=True)
    zh, en = fields(await told(office, filled.lin)), fields(await told(office, filled.lin, lang="EN"))
    assert (zh["home_unit"]["text"], zh["gender"]["text"], en["gender"]["text"]) == (NEAR, "女", "Female")
    assert (zh["birth"]["text"], en["birth"]["text"]) == ("1988-5-2 农历", "1988-5-2 Lunar")
    assert zh["quiet_hours"]["text"] == "22:00–08:00"
    assert zh["belief"]["value"] == SECRETS[0]


async def test_leaders_come_with_traits_of_their_own_and_links_by_kind(chain: Chain, filled: Filled):
    branch = await caller(chain, "clerk", NEAR)
    card = await told(branch, filled.firm)
    owner, manager = card["leaders"]
    assert (owner["kind"], owner["label"], owner["name"], owner["note"]) == (
        "OWNER_OF",
        "所有者",
        NAME,
        "2019 年起",
    )
    assert {trait["name"]: trait["text"] for trait in owner["fields"]} == {
        "character": "爽朗", "hobbies": "钓鱼", "family": None, "education": "大学", "birth": "1988-5-2 农历", "ability": "谈判",
    }  # fmt: skip
    assert (manager["name"], manager["customerId"], manager["fields"]) == (
        None,
        filled.amy,
        [],
    )  # at home elsewhere
    assert card["links"] == []
    mine = await told(branch, filled.lin)
    assert [(link["kind"], link["outgoing"], link["name"]) for link in mine["links"]] == [
        ("FAMILY", True, None),
        ("OWNER_OF", True, "栖木家具有限公司"),
    ]
    assert mine["leaders"] == []


async def test_what_was_learned_bought_and_who_was_there_counts_once(chain: Chain, filled: Filled):
    card = await told(await caller(chain), filled.lin)
    assert [(topic["topic"], [fact["content"] for fact in topic["facts"]]) for topic in card["facts"]] == [
        ("FAMILY", ["女儿考上了", "女儿今年高考"]),
        ("DEMAND", ["想要矮柜"]),
    ]
    assert card["callOpener"] == [{"topic": "FAMILY", "facts": [{"content": "女儿考上了"}]}]
    assert card["preferences"]["declared"] == ["橡木"]
    assert [(b["name"], b["times"], b["quantity"]) for b in card["preferences"]["boughtMost"]] == [
        ("橡木桌", 2, 3),
        ("蜡", 1, 1),
    ]
    assert [(c["name"], c["roles"], c["times"]) for c in card["companions"]] == [
        ("小王", ["COMPANION"], 2),
        ("Amy", ["DECIDER"], 1),
    ]
    assert card["suppliers"] == [{"name": "宜居", "satisfaction": 2, "note": None}]


async def test_one_person_of_two_rows_has_one_card(chain: Chain, filled: Filled):
    other = await filled.customer("林 芳", occupation="教师")
    one, two = sorted([filled.lin, other])
    pair = {"one": one, "other": two}
    await filled.write("identity", identity_id(one, two), **pair, decision="same", reason="person")
    office = await caller(chain)
    cards = [await told(office, id) for id in (one, two)]
    assert cards[0] == cards[1]
    assert fields(cards[0])["occupation"]["text"] == "教师"
    assert cards[0]["preferences"]["boughtMost"][0]["times"] == 2


async def test_own_fields_stand_in_their_tabs_and_sensitive_ones_are_hidden(chain: Chain, filled: Filled):
    for sensitive in (True, False):
        card = await told(await caller(chain, sensitive=sensitive), filled.lin)
        basic, service = card["tabs"]
        (size,), (wealth,) = basic["fields"], service["fields"]
        assert (basic["label"], size["name"], size["label"], size["text"]) == (
            "基础信息",
            "custom.size",
            "尺码",
            "M",
        )
        assert (wealth["text"], wealth["hidden"]) == ((SECRETS[5], False) if sensitive else (None, True))
        assert not wealth["printed"]


async def test_without_the_right_nothing_sensitive_is_told(chain: Chain, filled: Filled):
    clerk = await caller(chain, "clerk", NEAR)
    for id in (filled.lin, filled.firm):
        said = str(await told(clerk, id))
        assert not [secret for secret in SECRETS[:6] if secret in said]


async def test_completeness_counts_what_the_kind_wants_alike_for_everybody(chain: Chain, filled: Filled):
    card = await told(await caller(chain, sensitive=True), filled.lin)
    seen = card["completeness"]
    assert seen["filled"] + len(seen["missing"]) == seen["wanted"]
    assert seen["share"] == pytest.approx(seen["filled"] / seen["wanted"], abs=1e-4)
    assert "address" not in seen["missing"]
    assert "wechat" in seen["missing"]
    assert "belief" not in seen["missing"]
    assert "industry" not in seen["missing"]
    assert seen == (await told(await caller(chain), filled.lin))["completeness"]


async def test_a_card_out_of_reach_is_null_and_takes_the_right_to_read_customers(
    chain: Chain, filled: Filled
):
    branch = await caller(chain, "clerk", NEAR)
    assert (await branch.ask(CARD, id=filled.amy))["customerCard"] is None
    _, token = await chain.service.access.new_token(
        "developer", "narrow", "admin", None, False, scopes=("read:units",)
    )
    narrow = Graph(chain, token, branch.http)
    assert await narrow.code(CARD, id=filled.lin) == "scope_missing"


async def test_a_token_without_interactions_gets_a_card_without_them(chain: Chain, filled: Filled):
    office = await caller(chain)
    _, token = await chain.service.access.new_token(
        "developer", "narrow", "admin", None, False, scopes=("read:customers",)
    )
    card = await told(Graph(chain, token, office.http), filled.lin)
    bare = ("tabs", "leaders", "links", "companions", "facts", "suppliers", "standings")
    assert [card[part] for part in bare] == [[]] * len(bare)
    assert card["preferences"] == {"declared": ["橡木"], "boughtMost": []}


async def test_the_form_asks_without_any_value_and_for_nothing_sensitive(chain: Chain, filled: Filled):
    office = await caller(chain, sensitive=True)
    asked: dict[str, set[str]] = {}
    for kind in ("PERSON", "ORGANIZATION"):
        form = (await office.ask(FORM, kind=kind))["cardForm"]
        every = [field for part in form["sections"] for field in part["fields"]]
        assert all(field["value"] is None and field["text"] is None and field["asked"] for field in every)
        assert [field["label"] for tab in form["tabs"] for field in tab["fields"]] == ["尺码"]
        asked[kind] = {field["name"] for field in every}
        assert not asked[kind] & {field.name for field in CUSTOMER.fields if field.level == "sensitive"}
    assert "hobbies" in asked["PERSON"] - asked["ORGANIZATION"]
    assert "industry" in asked["ORGANIZATION"] - asked["PERSON"]


WORDS = "query ($id: UUID!, $lang: Language = EN) { customerCard(id: $id, lang: $lang) { sections { fields { name source verified verifiedAt verifiedBy { name } } } tabs { fields { name verifiedAt verifiedBy { name } } } pins { scheme { key } values { key } origin en zh assignment { checkBy decidedBy { name } } } agencyChecks { at agency fields cost currency interactionId } } }"
VERIFY = "mutation ($k: String!, $id: UUID!, $path: String!, $true: Boolean!) { valueVerify(idempotencyKey: $k, input: { customerId: $id, path: $path, isTrue: $true }) { __typename ... on Error { code } } }"
UPDATE = "mutation ($k: String!, $id: UUID!, $set: CustomerEdit!, $agency: AgencyInput, $origin: ValueSource) { done: customerUpdate(idempotencyKey: $k, id: $id, set: $set, origin: $origin, agency: $agency) { __typename ... on Error { code path } } }"
ASSIGN = "mutation ($k: String!, $input: AssignmentInput!) { assignmentSet(idempotencyKey: $k, input: $input) { __typename ... on Error { code } } }"


async def test_each_value_says_who_verified_it_and_when(chain: Chain, filled: Filled):
    li = await person(chain, "李明")
    chain.clock.pass_(days=3)
    for path, is_true in (("industry", True), ("philosophy", False)):
        done = await li.ask(VERIFY, k=path, id=filled.firm, path=path, true=is_true)
        assert done["valueVerify"]["__typename"] == "CustomerSaved", done
    reader = await caller(chain)
    card = (await reader.ask(WORDS, id=filled.firm))["customerCard"]
    of = fields(card)
    day = datetime.fromtimestamp(chain.clock.ms / 1000, UTC).date().isoformat()
    for name, verified in (("industry", "verified"), ("philosophy", "rejected")):
        assert (of[name]["verified"], of[name]["verifiedBy"]) == (verified, {"name": "李明"})
        assert of[name]["verifiedAt"].startswith(day)
    assert (of["problems"]["verifiedAt"], of["problems"]["verifiedBy"]) == (None, None)


async def test_a_card_tells_whose_word_counts_and_until_when(chain: Chain, filled: Filled):
    li = await person(chain, "李明")
    for scheme, value, until in (("tier", "diamond", "2027-05-03"), ("attention", "key", None)):
        given = {"customerId": filled.lin, "scheme": scheme, "value": value, "checkBy": until}
        done = await li.ask(ASSIGN, k=scheme, input=given)
        assert done["assignmentSet"]["__typename"] == "AssignmentSaved", done
    office = await caller(chain)
    pins = {p["scheme"]["key"]: p for p in (await office.ask(WORDS, id=filled.lin))["customerCard"]["pins"]}
    assert pins.keys() == {"tier", "attention"}
    tier = pins["tier"]
    assert ([v["key"] for v in tier["values"]], tier["origin"]) == (["diamond"], "PERSON")
    assert tier["assignment"] == {"checkBy": "2027-05-03", "decidedBy": {"name": "李明"}}
    assert tier["en"].startswith("rule says ")
    assert tier["en"].endswith("pinned Diamond by 李明, until 3 May 2027")
    chain.clock.pass_(days=200)
    after = (await office.ask(WORDS, id=filled.lin))["customerCard"]["pins"]
    assert [p["scheme"]["key"] for p in after] == ["attention"], "a pin that has ended is none"


async def test_what_an_agency_found_carries_what_it_cost(chain: Chain, filled: Filled):
    office = await caller(chain, sensitive=True)
    agency = {"name": "诚信调查", "cost": 80_000, "currency": "CNY", "note": "annual"}
    given = {"id": filled.firm, "set": {"creditStatus": "WATCH", "reputation": "稳健"}}
    refused = (await office.ask(UPDATE, k="a", **given, agency=agency, origin="STAFF_VISIT"))["done"]
    assert (refused["code"], refused["path"]) == ("argument_invalid", "agency")
    for _ in range(2):
        done = (await office.ask(UPDATE, k="b", **given, agency=agency, origin="AGENCY"))["done"]
        assert done["__typename"] == "CustomerSaved", done
    card = (await office.ask(WORDS, id=filled.firm))["customerCard"]
    (check,) = card["agencyChecks"]
    assert (check["agency"], check["cost"], check["currency"]) == ("诚信调查", 80_000, "CNY")
    assert check["fields"] == ["credit_status", "reputation"]
    assert fields(card)["reputation"]["source"] == "agency"
    spent = 'query ($id: UUID!) { customer(id: $id) { explain(of: { rule: "sum(cost of survey, last 1 year) >= 800.00 CNY" }) { answer } } }'
    assert (await office.ask(spent, id=filled.firm))["customer"]["explain"]["answer"] == "YES"
    made = await office.ask(
        'mutation { done: customerCreate(idempotencyKey: "c", input: { name: "新公司", kind: ORGANIZATION, industry: "木材" }, origin: AGENCY, agency: { name: "诚信调查" }) { ... on CustomerSaved { customer { id } } } }'
    )
    card = (await office.ask(WORDS, id=made["done"]["customer"]["id"]))["customerCard"]
    assert [(c["agency"], c["cost"], "industry" in c["fields"]) for c in card["agencyChecks"]] == [
        ("诚信调查", None, True)
    ]
    clerk = await caller(chain, "clerk", NEAR)
    found = (await clerk.ask(WORDS, id=filled.firm))["customerCard"]
    assert found["agencyChecks"][0]["cost"] == 80_000


async def person(chain: Chain, name: str) -> Graph:
    """A manager who signs in, sees what is sensitive, and is a member of staff."""
    office = await caller(chain)
    saved = await office.ask(
        "mutation ($n: String!) { staffSave(idempotencyKey: $n, input: { name: $n, role: MANAGER }) { ... on StaffSaved { staff { id } } } }",
        n=name,
    )
    staff = saved["staffSave"]["staff"]["id"]
    access = chain.service.access
    _, token = await access.new_token("developer", name, "admin", None, True, owner=staff)
    return Graph(chain, token, http(chain))
