# ruff: noqa: E501 (queries)
"""Numbers of a customer and why rules hold of it, as of any day, and never more than the reader may see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from regulars_server import admission
from regulars_sync.ids import link_id
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, caller, http

METRICS = """query ($id: UUID!, $names: [String!], $window: String, $at: DateTime) {
    customer(id: $id) { metrics(names: $names, window: $window, asOf: $at) { name label unit currency value isKnown } }
}"""
EXPLAIN = """query ($id: UUID!, $of: ExplainInput!, $at: DateTime) {
    customer(id: $id) { explain(of: $of, asOf: $at) { asOf answer values until steps { depth text answer value until } } }
}"""


async def bought(graph: Graph, customer: str, at: str, amount: int) -> str:
    line = {"amount": amount, "currency": "CNY", "quantity": 1}
    return await graph.visit(customer, kind="PURCHASE", at=at, lines=[line])


async def metric(graph: Graph, id: str, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await graph.ask(METRICS, id=id, **asked))["customer"]["metrics"]
    return found


async def explain(graph: Graph, id: str, **asked: Any) -> dict[str, Any]:
    at = asked.pop("at", None)
    found: dict[str, Any] = (await graph.ask(EXPLAIN, id=id, of=asked, at=at))["customer"]["explain"]
    return found


async def lin_of(chain: Chain, graph: Graph) -> str:
    """林芳, at home at Nanjing Road: two purchases, and a belief that few may see."""
    lin = await graph.customer("林芳", homeUnitId=chain.units["Nanjing Road"], gender="FEMALE", belief="x")
    await bought(graph, lin, "2026-03-01T10:00:00Z", 300_000)
    await bought(graph, lin, "2026-11-01T10:00:00Z", 200_000)
    return lin


async def test_metrics_of_a_customer_in_any_window_as_of_any_day(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, sensitive=True)
        lin = await lin_of(chain, graph)
        (spend, count) = await metric(graph, lin, names=["spend", "purchase_count"])
        assert spend == {
            "name": "spend",
            "label": "Spend",
            "unit": "money",
            "currency": "CNY",
            "value": 500_000,
            "isKnown": True,
        }
        assert (count["value"], count["currency"]) == (2, None)
        assert (await metric(graph, lin, names=["spend"], window="last 3 months"))[0]["value"] == 200_000
        assert (await metric(graph, lin, names=["spend"], at="2026-05-01T00:00:00Z"))[0]["value"] == 300_000
        assert (await metric(graph, lin, names=["spend"], at="2026-02-01T00:00:00Z"))[0]["value"] == 0
        assert len(await metric(graph, lin)) > 30
        assert await graph.code(METRICS, id=lin, names=["spent"]) == "rule_unknown"
        assert await graph.code(METRICS, id=lin, window="last 30 dayz") == "rule_unreadable"
        assert await graph.code(METRICS, id=lin, window="ever) >= 1 or (spend") == "rule_unreadable"


async def test_what_those_spent_whom_a_customer_brought_is_known_to_whoever_sees_them(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain)
        lin = await lin_of(chain, graph)
        wu = await graph.customer("吴刚", homeUnitId=chain.units["Orchard"])
        await bought(graph, wu, "2026-11-01T10:00:00Z", 70_000)
        ends: dict[str, object] = {
            "from_customer": lin,
            "to_customer": wu,
            "kind": "referrer",
            "active": True,
        }
        await chain.write("create", "link", link_id(lin, wu, "referrer"), ends)
        (value,) = await metric(graph, lin, names=["referral_value"])
        assert (value["value"], value["isKnown"]) == (70_000, True)
        assert (await explain(graph, lin, rule="referral_value >= 70000"))["answer"] == "YES"
        clerk = await caller(chain, "clerk", "Nanjing Road")
        (value,) = await metric(clerk, lin, names=["referral_value"])
        assert (value["value"], value["isKnown"]) == (None, False)


async def test_why_a_rule_holds_is_a_tree_with_values(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, sensitive=True)
        lin = await lin_of(chain, graph)
        found = await explain(graph, lin, rule="gender = female and days_since_purchase <= 30")
        assert found["answer"] == "YES"
        assert [(step["depth"], step["text"], step["answer"], step["value"]) for step in found["steps"]] == [
            (0, "gender = female and days_since_purchase <= 30", "YES", None),
            (1, "gender = female", "YES", "female"),
            (1, "days_since_purchase <= 30", "YES", found["steps"][2]["value"]),
        ]
        assert found["until"] == found["steps"][2]["until"] > found["asOf"]
        later = await explain(graph, lin, rule="days_since_purchase <= 30", at=found["until"])
        assert later["answer"] == "NO"
        assert (await explain(graph, lin, rule="purchase_count = 1", at="2026-05-01T00:00:00Z"))[
            "answer"
        ] == "YES"


async def test_why_a_customer_stands_so_in_a_scheme_or_is_in_a_segment(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, sensitive=True)
        lin = await lin_of(chain, graph)
        found = await explain(graph, lin, scheme="time_order")
        assert (found["answer"], found["values"]) == ("YES", ["old"])
        assert (await explain(graph, lin, scheme="time_order", at="2026-05-01T00:00:00Z"))["values"] == [
            "new"
        ]
        save = 'mutation { segmentSave(idempotencyKey: "s", input: { name: "x", rule: "spend >= 400000" }) { ... on SegmentSaved { segment { id } } } }'
        segment = (await graph.ask(save))["segmentSave"]["segment"]["id"]
        found = await explain(graph, lin, segment=segment)
        assert (found["answer"], found["steps"][1]["value"]) == ("YES", 500_000)
        await graph.ask(
            'mutation ($s: UUID!, $c: [UUID!]!) { segmentMembersExclude(idempotencyKey: "e", segment: $s, customers: $c) { __typename } }',
            s=segment, c=[lin],
        )  # fmt: skip
        found = await explain(graph, lin, segment=segment)
        assert (found["answer"], found["steps"][0]["value"]) == ("NO", "excluded")
        assert await graph.code(EXPLAIN, id=lin, of={"scheme": "nobody"}) == "not_found"
        assert await graph.code(EXPLAIN, id=lin, of={"segment": lin}) == "not_found"
        assert await graph.code(EXPLAIN, id=lin, of={}) == "argument_invalid"
        assert await graph.code(EXPLAIN, id=lin, of={"rule": "gendr = x"}) == "rule_unknown"


async def test_a_rule_about_what_is_sensitive_says_unknown_to_whoever_may_not_see_it(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        office = await caller(chain, sensitive=True)
        lin = await lin_of(chain, office)
        assert (await explain(office, lin, rule='belief = "x"'))["answer"] == "YES"
        for reader in (await caller(chain), await caller(chain, "clerk", "Nanjing Road")):
            for value in ("x", "y"):
                for rule in (
                    f'belief = "{value}"',
                    f'not belief = "{value}"',
                    "belief exists",
                    "is(difficulty) in [suspicious]",
                ):
                    found = await explain(reader, lin, rule=rule)
                    assert found["answer"] == "UNKNOWN", rule
                    assert all(step["value"] is None for step in found["steps"])
            assert (await explain(reader, lin, scheme="difficulty"))["answer"] == "UNKNOWN"


async def test_whoever_is_out_of_reach_tells_nothing_through_links(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        office = await caller(chain, sensitive=True)
        lin = await lin_of(chain, office)
        wu = await office.customer("吴刚", homeUnitId=chain.units["Orchard"], gender="MALE")
        await office.ask(
            'mutation ($a: UUID!, $b: UUID!) { linkSet(idempotencyKey: "l", fromCustomerId: $a, toCustomerId: $b, kind: COMPANION) { __typename } }',
            a=lin, b=wu,
        )  # fmt: skip
        clerk = await caller(chain, "clerk", "Nanjing Road")
        for rule in ("link(companion: gender = male)", "link(companion: gender = female)"):
            assert (await explain(clerk, lin, rule=rule))["answer"] == "UNKNOWN"
            assert (await explain(office, lin, rule=rule))["answer"] == ("NO" if "female" in rule else "YES")
        assert (await clerk.ask(EXPLAIN, id=wu, of={"rule": "gender = male"}))["customer"] is None


async def test_who_may_not_read_interactions_is_told_no_numbers_of_them(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        office = await caller(chain)
        lin = await lin_of(chain, await caller(chain, sensitive=True))
        _, token = await chain.service.access.new_token(
            "developer", "few", "analyst", None, False, scopes=("read:customers",)
        )
        few = Graph(chain, token, http(chain))
        assert await few.code(METRICS, id=lin) == "scope_missing"
        assert await few.code(EXPLAIN, id=lin, of={"rule": "spend > 0"}) == "scope_missing"
        assert await metric(office, lin, names=["spend"])


async def test_a_request_needs_one_reader_also_where_the_tree_of_units_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with new_chain(tmp_path, query_seconds_max=2) as chain:
        graph = await caller(chain, sensitive=True)
        lin = await lin_of(chain, graph)
        monkeypatch.setattr(admission, "TREE_MS_MAX", 0)
        assert await metric(graph, lin, names=["spend"])
