# ruff: noqa: E501 (queries)
"""Rules at the API: read in both forms, told where they are wrong, and all that they may ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.chain import new_chain
from tests.support.graph import Graph, caller

PROBLEM = "code message path line column offset suggestion"
READ = f"query ($rule: JSON!) {{ ruleRead(rule: $rule) {{ text json problems {{ {PROBLEM} }} warnings {{ code }} }} }}"
FILTERS = """query ($lang: Language!) { ruleFilters(lang: $lang) {
    filters { kind name label type unit operators { value label } values { value label parent } windows sensitive example }
    parts { name label type values { value label } } periods { value label }
} }"""


async def read(graph: Graph, rule: Any, **headers: str) -> dict[str, Any]:
    answer = await graph.send(READ, headers, rule=rule)
    assert "errors" not in answer, answer
    found: dict[str, Any] = answer["data"]["ruleRead"]
    return found


async def test_a_rule_is_read_as_text_and_as_its_tree(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, "analyst")
        read_ = await read(graph, "gender=female and  count( visit|call ,last 30 days )>=2")
        assert read_["text"] == "gender = female and count(visit | call, last 30 days) >= 2"
        assert read_["json"]["all"][0] == {"field": "gender", "op": "=", "value": "female"}
        assert await read(graph, read_["json"]) == read_
        assert (read_["problems"], read_["warnings"]) == ([], [])
        assert [w["code"] for w in (await read(graph, "spend < 100"))["warnings"]] == ["rule_prospects"]


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("gender = female and\n  gendr = male", ("rule_unknown", "all[1].field", 2, 3, 22, "gender")),
        ("is(lifecycle) in [od]", ("rule_unknown", "values[0]", 1, 19, 18, "old")),
        ("gender == female", ("rule_unreadable", None, 1, 9, 8, None)),
        ("gender = female an", ("rule_unreadable", None, 1, 17, 16, "and")),
        ({"any": [{"field": "gender", "op": "=", "value": "femal"}]}, ("rule_unknown", "any[0].value", None, None, None, "female")),
        ({"number": {"metric": "spend"}, "op": ">=", "value": "much"}, ("rule_invalid", "value", None, None, None, None)),
        ('in("01990000-0000-7000-8000-00000000dead")', ("rule_unknown", "in", 1, 4, 3, None)),
        (7, ("rule_invalid", None, None, None, None, None)),
        ("not " * 60 + "gender = male", ("rule_too_large", None, 1, 101, 100, None)),
    ],
)  # fmt: skip
async def test_what_is_no_rule_is_told_with_its_place(tmp_path: Path, rule: Any, problem: tuple[Any, ...]):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, "analyst")
        for lang in ("en", "zh"):
            found = await read(graph, rule, **{"accept-language": lang})
            (told,) = found["problems"]
            assert (found["text"], found["json"]) == (None, None)
            said = tuple(told[name] for name in ("code", "path", "line", "column", "offset", "suggestion"))
            assert said == problem
            assert "?" not in told["message"]
            assert any("一" <= letter <= "鿿" for letter in told["message"]) == (lang == "zh")


async def test_each_filter_has_labels_and_a_rule_that_asks_it(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        office, graph = await caller(chain), await caller(chain, "analyst")
        saved = await office.ask(
            'mutation { segmentSave(idempotencyKey: "s", input: { name: "x" }) { ... on SegmentSaved { segment { id } } } }'
        )
        segment = saved["segmentSave"]["segment"]["id"]
        en, zh = [(await graph.ask(FILTERS, lang=lang))["ruleFilters"] for lang in ("EN", "ZH")]
        found = {(each["kind"], each["name"]): each for each in en["filters"]}
        assert len(found) == len(en["filters"]) == len(zh["filters"]) > 150
        assert {kind for kind, _ in found} == {
            "FIELD", "DATE", "METRIC", "FACTS", "SCHEME", "SEGMENT", "LINK", "TASK", "CASE", "CONSENT", "UNIT", "OWNER",
        }  # fmt: skip
        for each, other in zip(en["filters"], zh["filters"], strict=True):
            example = each["example"]
            if each["kind"] == "SEGMENT":
                example = f'in("{segment}")'
            said = await read(graph, example)
            assert said["problems"] == [], each
            assert any("一" <= letter <= "鿿" for letter in other["label"]), other
        gender = found["FIELD", "gender"]
        assert [value["value"] for value in gender["values"]][:2] == ["female", "male"]
        assert [op["value"] for op in gender["operators"]] == ["=", "!=", "in", "exists", "missing"]
        assert found["FIELD", "belief"]["sensitive"]
        assert found["METRIC", "spend"]["unit"] == "money"
        assert found["METRIC", "spend"]["windows"]
        values = {value["value"]: value for value in found["SCHEME", "lifecycle"]["values"]}
        assert values["mature"]["parent"] == "old"
        assert {
            value["label"]
            for value in zh["filters"][[e["name"] for e in zh["filters"]].index("lifecycle")]["values"]
        } >= {"潜在客户", "新客户"}
        assert {part["name"] for part in en["parts"]} == {
            "kind", "channel", "stage_reached", "outcome", "unit", "staff", "role", "product", "category",
            "attention_focus", "place", "campaign", "methods_used", "topic",
        }  # fmt: skip
        assert [period["value"] for period in en["periods"]] == ["day", "week", "month", "year"]


async def test_templates_are_rules_that_can_be_read(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, "analyst")
        asked = (
            "{ zh: ruleTemplates(lang: ZH) { key label } en: ruleTemplates { key label text json sources } }"
        )
        found = await graph.ask(asked)
        en = {each["key"]: each for each in found["en"]}
        assert len(en) == len(found["zh"]) > 150
        assert en["never_purchased"]["text"] == "purchase_count = 0"
        assert en["lifecycle.dormant"]["text"] == "is(lifecycle) in [dormant]"
        assert {each["key"]: each["label"] for each in found["zh"]}["never_purchased"] == "从未购买过产品"
        for each in list(en.values())[::20]:
            assert (await read(graph, each["text"]))["json"] == each["json"]


SAVE = """mutation ($key: String!, $id: UUID, $name: String, $rule: JSON) {
    segmentSave(idempotencyKey: $key, id: $id, input: { name: $name, rule: $rule }) {
        ... on SegmentSaved { segment { id rule } warnings { code message } }
        ... on Error { code path message detail }
    }
}"""


async def save(graph: Graph, rule: Any, id: str | None = None) -> dict[str, Any]:
    done: dict[str, Any] = (await graph.ask(SAVE, key=graph.key(), id=id, name="x", rule=rule))["segmentSave"]
    return done


async def test_a_segment_is_saved_with_a_rule_as_text_or_as_its_tree(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain)
        tree = {"field": "gender", "op": "=", "value": "female"}
        saved = await save(graph, "gender=female")
        assert saved["segment"]["rule"] == tree
        assert saved["warnings"] == []
        id = saved["segment"]["id"]
        assert (await save(graph, {"all": [tree, {"in": id}]}))["segment"]["rule"]["all"][1] == {"in": id}
        (warned,) = (await save(graph, "spend < 100", id))["warnings"]
        assert warned["code"] == "rule_prospects"
        assert (await save(graph, None, id))["segment"]["rule"] is None


async def test_a_segment_with_a_wrong_rule_is_refused_with_its_place(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain)
        wrong = await save(graph, "kind = person and gendr = male")
        assert (wrong["code"], wrong["path"]) == ("rule_unknown", "rule.all[1].field")
        assert wrong["detail"]["suggestion"] == "gender"
        assert (wrong["detail"]["line"], wrong["detail"]["column"]) == (1, 19)
        assert wrong["detail"]["offset"] == 18
        assert (await save(graph, {"field": "x"}))["path"] == "rule.field"
        named = (await save(graph, "kind = person"))["segment"]
        for rule, code, meant in (
            ("is(tiers) = gold", "rule_unknown", "tier"),
            (f'in("{named["id"][:-1]}")', "rule_unknown", named["id"]),
            ("kind == person", "rule_unreadable", None),
        ):
            wrong = await save(graph, rule)
            assert (wrong["code"], wrong["detail"].get("suggestion")) == (code, meant), wrong
            assert wrong["detail"]["offset"] == wrong["detail"]["column"] - 1


async def test_segments_that_come_to_name_themselves_are_refused(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain)
        one = (await save(graph, "kind = person"))["segment"]["id"]
        other = (await save(graph, f'in("{one}") and gender = female'))["segment"]["id"]
        wrong = await save(graph, f'not in("{other}")', one)
        assert (wrong["code"], wrong["path"]) == ("rule_circle", "rule")
        assert one in wrong["message"]
        assert (await save(graph, f'in("{one}")', one))["code"] == "rule_circle"


async def test_who_is_kept_out_of_a_segment_says_so_and_is_let_in_again(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph, clerk = await caller(chain), await caller(chain, "clerk", "Orchard")
        segment = (await save(graph, "kind = person"))["segment"]["id"]
        lin = await graph.customer("林芳")
        for verb, where, who, told in (
            ("Add", "segments", graph, [segment]),
            ("Exclude", "excludedSegments", graph, [segment]),
            ("Exclude", "excludedSegments", clerk, [segment]),
            ("Readmit", "excludedSegments", graph, []),
        ):
            done = await who.ask(
                f"mutation ($k: String!, $s: UUID!, $c: [UUID!]!) {{ done: segmentMembers{verb}(idempotencyKey: $k, segment: $s, customers: $c)"
                " { ... on SegmentMembersSaved { results { error { code } } } ... on Error { code } } }",
                k=who.key(), s=segment, c=[lin],
            )  # fmt: skip
            (result,) = done["done"]["results"]
            assert result["error"] == (None if who is graph else {"code": "not_found"})
            card = await graph.ask(f'{{ customer(id: "{lin}") {{ {where} {{ id }} }} }}')
            assert [each["id"] for each in card["customer"][where]] == told
