# ruff: noqa: E501 (queries)
"""Segments at the API: previews, members, movements, composition, campaigns; nothing beyond what one may see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from regulars_server.graph import snapshots
from regulars_server.knowledge import previewing, statistics
from regulars_server.mutations import Mutations
from regulars_sync.errors import Refused
from regulars_sync.ids import identity_id
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, caller

PREVIEW = """query ($rule: JSON!, $metrics: [String!]!) { segmentPreview(rule: $rule, metrics: $metrics) {
    text json by exact total lookedAt count unknown share warnings { code }
    statistics { name label unit currency measured nothing unknown sum average statisticsOf } examples { name }
} }"""
SAVE = """mutation ($key: String!, $id: UUID, $rule: JSON) {
    segmentSave(idempotencyKey: $key, id: $id, input: { name: "S", rule: $rule }) { ... on SegmentSaved { segment { id } } ... on Error { code message } }
}"""
MEMBERS = "query ($s: UUID!, $n: Int, $after: String) { segmentMembers(segment: $s, first: $n, after: $after) { totalCount nodes { name } pageInfo { hasNextPage endCursor } } }"
SET = """mutation ($k: String!, $s: UUID!, $c: [UUID!]!) {{ segmentMembers{verb}(idempotencyKey: $k, segment: $s, customers: $c) {{ __typename }} }}"""
MOVES = "at scheme segmentId before after by tests { rule value } customerId cursor"


async def preview(graph: Graph, rule: Any, *metrics: str) -> dict[str, Any]:
    found: dict[str, Any] = (await graph.ask(PREVIEW, rule=rule, metrics=metrics))["segmentPreview"]
    return found


async def saved(graph: Graph, rule: str | None, id: str | None = None) -> str:
    done = (await graph.ask(SAVE, key=graph.key(), rule=rule, id=id))["segmentSave"]
    await graph.chain.service.checking.drain()
    return str(done["segment"]["id"])


async def put(graph: Graph, verb: str, segment: str, *customers: str) -> None:
    done = await graph.ask(SET.format(verb=verb), k=graph.key(), s=segment, c=customers)
    assert list(done.values()) == [{"__typename": "SegmentMembersSaved"}]
    await graph.chain.service.checking.drain()


async def members(graph: Graph, segment: str) -> list[str]:
    found = (await graph.ask(MEMBERS, s=segment))["segmentMembers"]
    assert found["totalCount"] == len(found["nodes"])
    return sorted(node["name"] for node in found["nodes"])


async def crowd(chain: Chain, graph: Graph) -> dict[str, str]:
    """Three at Nanjing Road, one at Orchard; 林芳 and 吴刚 bought."""
    near, far = chain.units["Nanjing Road"], chain.units["Orchard"]
    ids = {
        "林芳": await graph.customer("林芳", homeUnitId=near, gender="FEMALE", belief="x"),
        "王明": await graph.customer("王明", homeUnitId=near, gender="MALE"),
        "李娜": await graph.customer("李娜", homeUnitId=near, gender="FEMALE"),
        "吴刚": await graph.customer("吴刚", homeUnitId=far, gender="MALE", belief="x"),
    }
    for name, amount in (("林芳", 300_000), ("林芳", 200_000), ("吴刚", 100_000)):
        lines = [{"amount": amount, "currency": "CNY", "quantity": 1}]
        await graph.visit(ids[name], kind="PURCHASE", at="2026-11-20T10:00:00Z", lines=lines)
    await chain.service.checking.drain()
    return ids


@pytest.mark.parametrize(
    ("rule", "by", "names"),
    [
        ("gender = female", "DATABASE", ["李娜", "林芳"]),
        ("purchase_count >= 1", "DATABASE", ["吴刚", "林芳"]),
        ('name sounds "linf"', "EACH", ["林芳"]),
        ("is(time_order) in [old] or gender = male", "EACH", ["吴刚", "林芳", "王明"]),
        ("purchase_count >= 1 and is(time_order) in [new]", "EACH", ["吴刚"]),
        ('belief = "x" and gender = male', "EACH", ["吴刚"]),
    ],
)
async def test_a_preview_counts_and_says_how(tmp_path: Path, rule: str, by: str, names: list[str]):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, sensitive=True)
        await crowd(chain, graph)
        found = await preview(graph, rule)
        assert sorted(each["name"] for each in found["examples"]) == names
        assert (found["count"], found["total"], found["lookedAt"], found["unknown"]) == (len(names), 4, 4, 0)
        assert (found["share"], found["exact"], found["by"]) == (len(names) / 4, True, by)


async def test_a_preview_sums_metrics_up_by_currency(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, sensitive=True)
        await crowd(chain, graph)
        found = await preview(graph, "purchase_count >= 1", "spend", "purchase_count", "age")
        assert found["statistics"] == [
            {"name": "spend", "label": "Spend", "unit": "money", "currency": "CNY", "measured": 2, "nothing": 0, "unknown": 0, "sum": 600_000, "average": 300_000.0, "statisticsOf": None},
            {"name": "purchase_count", "label": "Purchases", "unit": "count", "currency": None, "measured": 2, "nothing": 0, "unknown": 0, "sum": 3, "average": 1.5, "statisticsOf": None},
            {"name": "age", "label": "Age", "unit": "years", "currency": None, "measured": 0, "nothing": 2, "unknown": 0, "sum": 0, "average": None, "statisticsOf": None},
        ]  # fmt: skip
        assert [w["code"] for w in (await preview(graph, "spend < 9"))["warnings"]] == ["rule_prospects"]
        assert await graph.code(PREVIEW, rule="gendr = x", metrics=[]) == "rule_unknown"
        assert await graph.code(PREVIEW, rule="gender = male", metrics=["x"]) == "rule_unknown"


async def test_numbers_of_a_preview_are_of_all_or_say_of_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(statistics, "MEASURED_MAX", 2)
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, sensitive=True)
        await crowd(chain, graph)
        names = ("spend", "days_since_purchase", "age", "referral_count")
        found = await preview(graph, "gender in [male, female]", *names)
        told = {each["name"]: each for each in found["statistics"]}
        assert found["count"] == 4
        assert [(n, told[n]["measured"], told[n]["nothing"], told[n]["statisticsOf"]) for n in names] == [
            ("spend", 4, 0, None),
            ("days_since_purchase", 2, 2, None),
            ("age", 0, 2, 2),
            ("referral_count", 2, 0, 2),
        ]
        clerk = await caller(chain, "clerk", "Nanjing Road")
        (age,) = (await preview(clerk, "gender in [male, female]", "age"))["statistics"]
        assert (age["measured"], age["nothing"] + age["unknown"], age["statisticsOf"]) == (0, 2, 2)


async def test_a_preview_of_very_many_says_how_far_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(previewing, "ASKED_MAX", 2)
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, sensitive=True)
        await crowd(chain, graph)
        found = await preview(graph, 'not name sounds "zzz"')
        told = [found[name] for name in ("by", "exact", "total", "lookedAt", "count", "share")]
        assert told == ["SAMPLE", False, 4, 2, 2, 1.0]


async def test_a_preview_is_cut_down_to_what_its_reader_may_see(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        office = await caller(chain, sensitive=True)
        await crowd(chain, office)
        clerk = await caller(chain, "clerk", "Nanjing Road")
        found = await preview(clerk, "purchase_count >= 1", "spend")
        assert (found["total"], found["count"], found["statistics"][0]["sum"]) == (3, 1, 500_000)
        for reader, total in ((clerk, 3), (await caller(chain), 4)):
            for rule in ('belief = "x"', 'belief = "y"', "belief missing", 'not belief = "x"'):
                found = await preview(reader, rule)
                assert (found["count"], found["unknown"], found["exact"], found["examples"]) == (
                    0,
                    total,
                    False,
                    [],
                )


async def test_a_dynamic_segment_has_whom_its_rule_finds_and_no_excluded_one(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, sensitive=True)
        ids = await crowd(chain, graph)
        segment = await saved(graph, "gender = female")
        assert await members(graph, segment) == ["李娜", "林芳"]
        await put(graph, "Add", segment, ids["王明"])
        await put(graph, "Exclude", segment, ids["林芳"])
        assert await members(graph, segment) == ["李娜", "王明"]
        await put(graph, "Exclude", segment, ids["王明"])
        assert await members(graph, segment) == ["李娜"]
        await put(graph, "Readmit", segment, ids["王明"], ids["林芳"])
        assert await members(graph, segment) == ["李娜", "林芳", "王明"]
        first = (await graph.ask(MEMBERS, s=segment, n=2))["segmentMembers"]
        rest = (await graph.ask(MEMBERS, s=segment, n=2, after=first["pageInfo"]["endCursor"]))[
            "segmentMembers"
        ]
        assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
        assert sorted(node["name"] for page in (first, rest) for node in page["nodes"]) == [
            "李娜",
            "林芳",
            "王明",
        ]
        assert await members(await caller(chain, "clerk", "Orchard"), segment) == []


async def test_a_customers_memberships_and_movements_say_why(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, sensitive=True)
        ids = await crowd(chain, graph)
        buyers, static = await saved(graph, "purchase_count >= 2"), await saved(graph, None)
        await put(graph, "Add", static, ids["吴刚"])
        lines = [{"amount": 1, "currency": "CNY", "quantity": 1}]
        await graph.visit(ids["吴刚"], kind="PURCHASE", at="2026-11-21T10:00:00Z", lines=lines)
        await chain.service.checking.drain()
        asked = f"query ($id: UUID!) {{ customer(id: $id) {{ memberships {{ byHand since segment {{ id }} }} movements {{ {MOVES} }} }} }}"
        wu = (await graph.ask(asked, id=ids["吴刚"]))["customer"]
        assert {(each["segment"]["id"], each["byHand"]) for each in wu["memberships"]} == {
            (buyers, False),
            (static, True),
        }
        entered = next(each for each in wu["movements"] if each["segmentId"] == buyers)
        assert (entered["before"], entered["after"], entered["by"]) == (None, "member", "FACTS")
        assert entered["tests"][0]["value"] == 2
        older = next(each for each in wu["movements"] if each["scheme"] == "time_order")
        assert (older["before"], older["after"]) == ("new", "old")
        moves = f"query ($s: UUID, $k: String, $n: Int, $a: String) {{ movements(about: {{ segment: $s, scheme: $k }}, first: $n, after: $a) {{ {MOVES} customer {{ name }} }} }}"
        by_segment = (await graph.ask(moves, s=buyers))["movements"]
        assert entered["cursor"] in [each["cursor"] for each in by_segment]
        by_scheme = (await graph.ask(moves, k="time_order", n=1))["movements"]
        assert [each["customer"]["name"] for each in by_scheme] == ["吴刚"]
        assert by_scheme[0]["cursor"] not in [
            each["cursor"]
            for each in (await graph.ask(moves, k="time_order", a=by_scheme[0]["cursor"]))["movements"]
        ]
        clerk = await caller(chain, "clerk", "Nanjing Road")
        assert all(
            each["customerId"] != ids["吴刚"]
            for each in (await clerk.ask(moves, k="time_order"))["movements"]
        )
        assert await graph.code(moves) == "argument_invalid"
        assert await graph.code(moves, k="tier", a="x") == "cursor_invalid"


async def test_what_rests_on_more_than_one_may_see_is_not_told_by_what_is_kept(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        office = await caller(chain, sensitive=True)
        ids = await crowd(chain, office)
        believers = await saved(office, 'belief = "x"')
        inner = await saved(office, f'in("{believers}") and gender = female')
        await put(office, "Add", believers, ids["王明"])
        assert await members(office, believers) == ["吴刚", "林芳", "王明"]
        assert await members(office, inner) == ["林芳"]
        asked = (
            "query ($id: UUID!) { customer(id: $id) { memberships { segmentId } movements { segmentId } } }"
        )
        moves = "query ($s: UUID) { movements(about: { segment: $s }) { at } }"
        within = 'query ($s: UUID!) { composition(by: { field: "gender" }, within: $s) { total } }'
        for reader in (await caller(chain), await caller(chain, "clerk", "Nanjing Road")):
            assert await members(reader, believers) == ["王明"]
            assert await members(reader, inner) == []
            lin = (await reader.ask(asked, id=ids["林芳"]))["customer"]
            assert {each["segmentId"] for each in lin["memberships"]} == set()
            assert await reader.code(moves, s=believers) == "not_allowed"
            assert await reader.code(moves, s=inner) == "not_allowed"
            assert (await reader.ask(within, s=believers))["composition"]["total"] == 1
            assert (
                await reader.code('{ composition(by: { scheme: "difficulty" }) { total } }') == "not_allowed"
            )
            for rule in (f'in("{believers}")', f'in("{inner}")'):
                found = await preview(reader, rule)
                assert found["count"] == (1 if believers in rule else 0)
                assert found["count"] + found["unknown"] == found["total"] or found["unknown"] > 0


async def test_a_composition_adds_up_to_what_is_listed(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, sensitive=True)
        await crowd(chain, graph)
        segment = await saved(graph, "purchase_count >= 1")
        by = "query ($k: String, $f: String, $w: UUID) { composition(by: { scheme: $k, field: $f }, within: $w) { total parts { value label count share } } }"
        found = (await graph.ask(by, f="gender"))["composition"]
        assert {part["value"]: part["count"] for part in found["parts"] if part["count"]} == {
            "female": 2,
            "male": 2,
        }
        assert found["parts"][0] == {"value": "female", "label": "Female", "count": 2, "share": 0.5}
        found = (await graph.ask(by, k="time_order"))["composition"]
        counts = {part["value"]: part["count"] for part in found["parts"] if part["count"]}
        assert (found["total"], sum(counts.values()), counts["old"], counts["new"]) == (4, 4, 1, 1)
        found = (await graph.ask(by, k="time_order", w=segment))["composition"]
        assert {part["value"]: part["count"] for part in found["parts"] if part["count"]} == {
            "old": 1,
            "new": 1,
        }
        assert (await graph.ask(by, f="gender", w=chain.units["hq"]))["composition"] is None
        assert await graph.code(by, f="belief") == "rule_unknown"
        assert await graph.code(by, k="nothing") == "not_found"
        assert await graph.code(by) == "argument_invalid"


COMBINED = "query ($of: CombinedCardInput!, $s: [String!], $m: [String!]) { combinedCard(of: $of, schemes: $s, metrics: $m) { name total preview { count exact statistics { name currency measured sum } } parts { scheme label composition { total parts { value count } } } } }"


async def test_a_combined_card_tells_what_the_customers_of_units_or_of_a_segment_come_to(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, sensitive=True)
        await crowd(chain, graph)
        segment = await saved(graph, "purchase_count >= 1")
        near = chain.units["Nanjing Road"]
        for of, name, total, spend in (
            ({"unit": chain.units["hq"]}, None, 4, 600_000),
            ({"unit": near}, "Nanjing Road", 3, 500_000),
            ({"segment": segment}, "S", 2, 600_000),
        ):
            card = (await graph.ask(COMBINED, of=of))["combinedCard"]
            assert name in (None, card["name"])
            assert (card["total"], card["preview"]["count"], card["preview"]["exact"]) == (total, total, True)
            numbers = {n["name"]: (n["currency"], n["sum"]) for n in card["preview"]["statistics"]}
            assert numbers["spend"] == ("CNY", spend)
            assert [p["scheme"] for p in card["parts"]] == [
                "nature",
                "lifecycle",
                "tier",
                "quality",
                "attention",
            ]
            for part in card["parts"]:
                counts = [each["count"] for each in part["composition"]["parts"]]
                assert part["composition"]["total"] == sum(counts) == total
        card = (await graph.ask(COMBINED, of={"unit": near}, s=["time_order"], m=["purchase_count"]))[
            "combinedCard"
        ]
        ((part,), (number,)) = card["parts"], card["preview"]["statistics"]
        assert {p["value"]: p["count"] for p in part["composition"]["parts"] if p["count"]} == {
            "old": 1,
            "potential": 2,
        }
        assert (number["name"], number["sum"]) == ("purchase_count", 2)
        far = await caller(chain, "clerk", "Orchard")
        card = (await far.ask(COMBINED, of={"unit": chain.units["hq"]}))["combinedCard"]
        assert card is None or card["total"] == 1, "nobody beyond one's reach is counted"
        assert (await graph.ask(COMBINED, of={"unit": segment}))["combinedCard"] is None
        assert await graph.code(COMBINED, of={}) == "argument_invalid"
        assert (
            await far.code(COMBINED, of={"unit": chain.units["Orchard"]}, s=["difficulty"]) == "not_allowed"
        )
        assert await graph.code(COMBINED, of={"unit": near}, s=["tier"] * 11) == "query_too_large"


COMPOSED = """query ($k: String, $f: String, $w: UUID, $m: [String!]!) { composition(by: { scheme: $k, field: $f }, within: $w, metrics: $m) {
    total statistics { name currency sum measured } parts { value count statistics { name currency sum measured nothing statisticsOf } }
} }"""


async def test_a_composition_says_what_each_part_spent_and_never_adds_two_currencies(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        await chain.write("edit", "unit", chain.units["Orchard"], {"currency": "SGD"})
        graph = await caller(chain, sensitive=True)
        ids = await crowd(chain, graph)
        lines = [{"amount": 70_000, "currency": "SGD", "quantity": 1, "cost": 50_000}]
        for name in ("吴刚", "林芳"):  # what is not of the home's currency is not spent there
            await graph.visit(ids[name], kind="PURCHASE", at="2026-11-21T10:00:00Z", lines=lines)
        twin = await graph.customer("王明", homeUnitId=chain.units["Orchard"], gender="MALE")
        pair: dict[str, object] = {
            "one": min(twin, ids["吴刚"]),
            "other": max(twin, ids["吴刚"]),
            "decision": "same",
            "reason": "person",
        }
        await chain.write("create", "identity", identity_id(twin, ids["吴刚"]), pair)
        await chain.service.checking.drain()
        segment = await saved(graph, "purchase_count >= 1")

        async def told(graph: Graph, **asked: Any) -> dict[str, list[tuple[Any, ...]]]:
            found = (await graph.ask(COMPOSED, m=["spend", "age"], **asked))["composition"]
            parts: dict[str, list[tuple[Any, ...]]] = {
                str(part["value"]): [
                    (s["currency"], s["sum"], s["measured"])
                    for s in part["statistics"]
                    if s["name"] == "spend"
                ]
                for part in [*found["parts"], {"value": "all", **found}]
                if part["statistics"]
            }
            ages = [
                (part["count"], s["nothing"])
                for part in found["parts"]
                for s in part["statistics"]
                if s["name"] == "age"
            ]
            assert all(count == nothing for count, nothing in ages)
            assert all(s["statisticsOf"] is None for part in found["parts"] for s in part["statistics"])
            return parts

        found = await told(graph, f="gender")
        assert found["female"] == [("CNY", 500_000, 2)]
        assert found["male"] == [("CNY", 0, 1), ("SGD", 70_000, 1)]
        assert found["all"] == [("CNY", 500_000, 3), ("SGD", 70_000, 1)]
        found = await told(graph, f="gender", w=segment)
        assert (found["female"], found["male"]) == ([("CNY", 500_000, 1)], [("SGD", 70_000, 1)])
        found = await told(graph, k="time_order")
        assert {key: some for key, some in found.items() if some and key in ("old", "all")} == {
            "old": [("CNY", 500_000, 1), ("SGD", 70_000, 1)],
            "all": [("CNY", 500_000, 3), ("SGD", 70_000, 1)],
        }
        clerk = await caller(chain, "clerk", "Nanjing Road")
        assert (await told(clerk, f="gender"))["all"] == [("CNY", 500_000, 3)]
        assert await graph.code(COMPOSED, f="gender", m=["nothing"]) == "rule_unknown"


async def test_touches_of_a_campaign_are_counted_by_outcome(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain)
        ids = await crowd(chain, await caller(chain, sensitive=True))
        segment = await saved(graph, None)
        await put(graph, "Add", segment, ids["林芳"], ids["吴刚"])
        for outcome in ("INTERESTED", None):
            await graph.visit(ids["林芳"], kind="TOUCH", campaignId=segment, outcome=outcome)
        asked = "query ($s: UUID!) { campaign(segment: $s) { members touched touches outcomes { outcome label count } } }"
        found = (await graph.ask(asked, s=segment))["campaign"]
        assert (found["members"], found["touched"], found["touches"]) == (2, 1, 2)
        assert {each["outcome"]: each["count"] for each in found["outcomes"] if each["count"]} == {
            "interested": 1,
            None: 1,
        }
        assert (await (await caller(chain, "clerk", "Orchard")).ask(asked, s=segment))["campaign"][
            "touches"
        ] == 0


SNAPSHOT = 'mutation ($k: String!, $s: UUID!) { segmentSnapshot(idempotencyKey: $k, id: $s, name: "Autumn") { ... on SegmentSnapshotTaken { members leftOut { customerId } segment { id name rule snapshotOfId takenAt } } ... on Error { code } } }'


async def test_a_snapshot_is_a_campaign_of_those_who_were_members_at_its_moment(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, sensitive=True)
        ids = await crowd(chain, graph)
        women = await saved(graph, "gender = female")
        await put(graph, "Add", women, ids["王明"])
        await put(graph, "Exclude", women, ids["林芳"])
        taken = (await graph.ask(SNAPSHOT, k="autumn", s=women))["segmentSnapshot"]
        autumn = taken["segment"]
        assert (taken["members"], taken["leftOut"]) == (2, [])
        assert (autumn["name"], autumn["rule"], autumn["snapshotOfId"]) == ("Autumn", None, women)
        assert autumn["takenAt"] is not None
        await put(graph, "Readmit", women, ids["林芳"])
        await put(graph, "Remove", women, ids["王明"])
        assert await members(graph, women) == ["李娜", "林芳"]
        assert await members(graph, autumn["id"]) == ["李娜", "王明"]
        assert (await graph.ask(SNAPSHOT, k="autumn", s=women))["segmentSnapshot"] == taken
        for name in ("王明", "林芳"):
            await graph.visit(ids[name], kind="TOUCH", campaignId=autumn["id"], outcome="INTERESTED")
        asked = "query ($s: UUID!) { campaign(segment: $s) { members touched touches } }"
        assert (await graph.ask(asked, s=autumn["id"]))["campaign"] == {
            "members": 2,
            "touched": 1,
            "touches": 2,
        }


async def test_a_snapshot_given_up_on_its_way_goes_on_when_it_is_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(snapshots, "BULK_ROWS_MAX", 1)
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, sensitive=True)
        await crowd(chain, graph)
        women = await saved(graph, "gender = female")
        batches = 0

        async def given_up(self: Mutations, edits: Any) -> Any:
            nonlocal batches
            batches += 1
            if batches == 2:
                raise Refused("too_slow", seconds_max=1)
            return await write_each(self, edits)

        write_each = Mutations.write_each
        monkeypatch.setattr(Mutations, "write_each", given_up)
        assert (await graph.ask(SNAPSHOT, k="a", s=women))["segmentSnapshot"] == {"code": "too_slow"}
        chain.clock.pass_(seconds=5)
        taken = (await graph.ask(SNAPSHOT, k="a", s=women))["segmentSnapshot"]
        assert (taken["members"], batches) == (2, 4)
        assert await members(graph, taken["segment"]["id"]) == ["李娜", "林芳"]
        listed = (await graph.ask("{ segments { nodes { name } } }"))["segments"]["nodes"]
        assert sorted(node["name"] for node in listed) == ["Autumn", "S"]


async def test_a_snapshot_is_of_all_members_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(snapshots, "SNAPSHOT_MAX", 1)
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, sensitive=True)
        await crowd(chain, graph)
        women, believers = await saved(graph, "gender = female"), await saved(graph, 'belief = "x"')

        async def code(graph: Graph, segment: str) -> str:
            done = await graph.ask(SNAPSHOT, k=graph.key(), s=segment)
            return str(done["segmentSnapshot"]["code"])

        assert await code(graph, women) == "query_too_large"
        assert await code(await caller(chain), believers) == "not_allowed"
        assert await code(await caller(chain, "clerk", "Nanjing Road"), women) in (
            "not_allowed",
            "scope_missing",
        )
        assert await code(graph, chain.units["hq"]) == "not_found"
        listed = (await graph.ask("{ segments { nodes { name } } }"))["segments"]["nodes"]
        assert len(listed) == 2


async def test_customers_are_filtered_by_segment_and_standing_as_far_as_one_may_be_told(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        office = await caller(chain, sensitive=True)
        await crowd(chain, office)
        women, believers = await saved(office, "gender = female"), await saved(office, 'belief = "x"')
        asked = "query ($w: CustomerWhere!) { customers(where: $w) { nodes { name } } }"

        async def names(graph: Graph, where: dict[str, Any]) -> list[str]:
            return sorted(node["name"] for node in (await graph.ask(asked, w=where))["customers"]["nodes"])

        assert await names(office, {"memberOf": women}) == ["李娜", "林芳"]
        old = {"standing": {"scheme": "time_order", "in": ["old"]}}
        assert await names(office, {"memberOf": women, **old}) == ["林芳"]
        assert await names(office, {"NOT": {"memberOf": women}}) == ["吴刚", "王明"]
        for reader in (await caller(chain), await caller(chain, "clerk", "Nanjing Road")):
            assert await names(reader, {"memberOf": believers}) == []
            assert await names(reader, {"standing": {"scheme": "difficulty", "in": ["moody"]}}) == []
            assert await names(reader, old) == ["林芳"]
