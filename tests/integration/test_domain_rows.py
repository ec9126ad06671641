# ruff: noqa: E501 (queries and cases)
"""What rows of the source documents ask, written at head office and asked there and on a tablet without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from regulars import Shop
from regulars_schema.declare import Level
from regulars_schema.rules.knowing import Known
from regulars_schema.rules.text import parse, show
from regulars_schema.rules.tree import write
from regulars_schema.schemes import load
from regulars_schema.schemes.assigning import assigned
from regulars_server.authors import SERVER
from regulars_sync.clock import instant_of
from regulars_sync.ids import link_id, made_id
from tests.support.chain import NOON_MS, Chain, new_chain
from tests.support.graph import Graph, caller
from tests.support.rules import TODAY
from tests.support.samples import CHAIN, SAMPLES, STEADY

SHIPPED = load()
NOON = datetime.fromtimestamp(NOON_MS / 1_000, UTC)
EXPLAIN = (
    "query ($id: UUID!, $of: ExplainInput!) { customer(id: $id) { explain(of: $of) { answer values } } }"
)
LINK = """mutation ($key: String!, $from: UUID!, $to: UUID!, $kind: LinkKind!) {
    linkSet(idempotencyKey: $key, fromCustomerId: $from, toCustomerId: $to, kind: $kind) { ... on Error { code message } }
}"""


def did(kind: str, ago: int, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "at": (NOON - timedelta(days=ago)).strftime("%Y-%m-%dT%H:%M:%SZ"), **more}


def buy(ago: int, amount: int = 1_000, cost: int = 500, **more: Any) -> dict[str, Any]:
    lines = [{"amount": amount, "cost": cost, "currency": "CNY", "quantity": 1}]
    return did("PURCHASE", ago, lines=lines, **more)


@dataclass
class Row:
    """A customer as GraphQL takes it, and the ready rules that hold of it."""

    rules: Sequence[str]
    card: Mapping[str, Any] = field(default_factory=dict)
    facts: Sequence[Mapping[str, Any]] = ()
    to: Mapping[str, int] = field(default_factory=dict)
    """How many links of a kind lead from it to others."""
    by: Mapping[str, int] = field(default_factory=dict)
    """How many lead to it."""
    others: Sequence[Mapping[str, Any]] = ()
    """Facts of each of the others."""


SHANGHAI = {"address": "上海市南京路 1 号"}
RATED = {"urgency": 2, "effect": 2, "price": 1}
CASES = {
    "S1": Row(["organizations"], {"kind": "ORGANIZATION"}),
    "S5": Row(["served_final"], by={"SUPPLIES": 1}),
    "S6": Row(["potential_by_region", "potential_by_income"], {**SHANGHAI, "incomeBand": "HIGH"}),
    "S7": Row(["grouped"], to={"COMPANION": 1}),
    "S8": Row(["served_less", "no_profit"], {"serviceStance": "REDUCED", "stanceReason": "UNPROFITABLE"}, [buy(3, 100, 200)]),
    "S11": Row(["growing_firms"], {"kind": "ORGANIZATION", "headcount": 60}),
    "S12": Row(["cooperative"], {"kind": "ORGANIZATION", "cooperationAttitude": 4}),
    "S13": Row(["dangerous_credit"], {"creditStatus": "DANGEROUS"}),
    "S14": Row(["persons", "with_demands"], {"kind": "PERSON"}, [did("VISIT", 2, facts=[{"topic": "DEMAND", "content": "想要矮柜"}])]),
    "S15": Row(["by_preference"], {"preferences": ["橡木"]}),
    "S16": Row(["talk_of_family"], facts=[did("VISIT", 2, facts=[{"topic": "FAMILY", "content": "女儿今年高考"}])]),
    "S17": Row(["by_inner_traits"], {"birth": {"year": 1999, "month": 3, "day": 1}, "incomeBand": "HIGH", "hobbies": ["茶"]}),
    "S18": Row(["by_outer_traits"], {**SHANGHAI, "kind": "PERSON"}),
    "S28": Row(["second_purchase", "one_category"], facts=[buy(3)]),
    "S29": Row(["invite_to_group"], facts=[buy(30), buy(20)]),
    "S30": Row(["loyal_in_group"], {"groups": ["老友群"]}, [buy(ago) for ago in range(10, 130, 10)]),
    "S31": Row(["winback", "winback_first"], facts=[buy(366)]),
    "S32": Row(["target_now"], facts=[did("VISIT", 3, outcome="INTERESTED")]),
    "S38": Row(["costs_more"], facts=[buy(3, effortMin=60)]),
    "S41": Row(["by_behaviour"], facts=[buy(ago) for ago in (3, 30, 60, 90)]),
    "S48": Row(["not_price_minded"], {"priceSensitivity": "LOW", "faultTolerance": "HIGH"}),
    "S52": Row(["alliance"], to={"ALLIANCE": 1}),
    "S53": Row(["loyal_score"], facts=[buy(ago) for ago in STEADY if ago < 700]),
    "S65": Row(["by_habit"], {"habits": ["周末到店"]}),
    "S66": Row(["risky"], {"riskLevel": "HIGH"}),
    "S67": Row(["by_tag"], {"tags": ["vip"]}),
    "S69": Row(["stuck_comparing"], facts=[did("VISIT", 3, stageReached=5)]),
    "S70": Row(["unsatisfied"], facts=[buy(9), did("SURVEY", 2, satisfaction=2)]),
    "S71": Row(["came_to_events"], facts=[did("EVENT", 3)]),
    "S72": Row(["about_price"], facts=[did("VISIT", 3, attentionFocus="PRICE", checklist=["步骤1", "步骤2"])]),
    "S74": Row(["won_by_trying"], facts=[did("VISIT", 3, methodsUsed=["EXPERIENCE"]), buy(3)]),
    "S75": Row(["referred", "unanswered"], {"acquisitionChannel": "REFERRAL"}, [did("REQUEST", 2)]),
    "S76": Row(["private_plan"], {"servicePlan": "PRIVATE"}),
    "S77": Row(["golden_hen", "worthy_referrers", "gift_after_deal"], facts=[buy(3)], to={"REFERRER": 3}, others=[buy(5, 200_000)]),
    "S95": Row(["by_columns"], {**SHANGHAI, "gender": "FEMALE"}, [buy(3, 500_000)]),
    "S97": Row(["worth_now", "target_now"], facts=[did("VISIT", 3, opportunity=RATED)]),
    "S113": Row(["gift_after_deal"], facts=[buy(3)]),
    "S119": Row(["served_less"], {"serviceStance": "ENDED", "stanceReason": "UNETHICAL_DEMAND"}),
    "S120": Row(["dangerous_deals"], {"creditStatus": "DANGEROUS"}, [did("QUOTE", 3, outcome="OPEN")]),
    "S125": Row(["members"], {"memberNo": "V-0001"}),
    "S126": Row(["outdoor_events"], facts=[did("EVENT", 3, place="OUTDOOR")]),
    "S128": Row(["costs_more"], facts=[buy(3, effortMin=90)]),
    "S129": Row(["birthday"], {"birth": {"month": 11, "day": 25}}),
}  # fmt: skip
"""By row: a customer of it."""


async def rows_of(chain: Chain, graph: Graph) -> dict[str, str]:
    """The customers of the cases, by row; and one of whom nothing is known."""
    near = chain.units["Nanjing Road"]
    ids = {}
    for row, case in CASES.items():
        id = ids[row] = await graph.customer(f"客 {row}", homeUnitId=near, **case.card)
        for kind, count in (*case.to.items(), *case.by.items()):
            for n in range(count):
                other = await graph.customer(f"{row} 旁 {n}", homeUnitId=near)
                ends = (id, other) if kind in case.to else (other, id)
                done = await graph.ask(
                    LINK, key=graph.key(), **dict(zip(("from", "to"), ends, strict=True)), kind=kind
                )
                assert done["linkSet"] == {}, done
                for fact in case.others:
                    await graph.visit(other, **fact)
        for fact in case.facts:
            await graph.visit(id, **fact)
    return {**ids, "stranger": await graph.customer("生客", homeUnitId=near)}


async def said(graph: Graph, id: str, **of: str) -> dict[str, Any]:
    found: dict[str, Any] = (await graph.ask(EXPLAIN, id=id, of=of))["customer"]["explain"]
    return found


async def offline(chain: Chain, **more: Any) -> Shop:
    """A tablet that has met its server and has no network any more."""
    shop = await chain.tablet("till", **more)
    await shop.sync()
    await shop.sync()
    chain.transports["till"].offline_after_pulls = 0
    return shop


async def test_a_row_holds_of_its_customer_and_of_no_stranger_at_head_office_and_offline(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, sensitive=True)
        ids = await rows_of(chain, graph)
        shop = await offline(chain, sensitive=True)
        wrong = []
        for row, case in CASES.items():
            for key in case.rules:
                rule = show(SHIPPED.templates[key].rule, SHIPPED.words)
                there = [(await said(graph, ids[who], rule=rule))["answer"] for who in (row, "stranger")]
                here = [(await shop.customers.explain(ids[who], rule))["answer"] for who in (row, "stranger")]
                if there != ["YES", "NO"] or here != [True, False]:
                    wrong.append((row, key, there, here))
        assert wrong == []


async def test_every_value_that_a_person_may_say_stands_at_head_office_and_offline(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, sensitive=True)
        near, wanted = chain.units["Nanjing Road"], []
        for kind in ("PERSON", "ORGANIZATION"):
            schemes = [
                one for one in SHIPPED.schemes.values() if one.mode != "rule" and kind.lower() in one.for_kind
            ]
            for n in range(max(len(one.values) for one in schemes)):
                id = await graph.customer(f"{kind} {n}", homeUnitId=near, kind=kind)
                for scheme in schemes:
                    if n < len(scheme.values):
                        value = scheme.values[n].key
                        of = assigned(
                            scheme, {value: True}, kind.lower(), date.fromordinal(TODAY), reason="交谈所得"
                        )
                        row: dict[str, Any] = {"customer": id, "scheme": scheme.key, **of}
                        await chain.write("create", "assignment", made_id("assignment", id, scheme.key), row)
                        wanted.append((id, scheme, value))
        shop = await offline(chain, sensitive=True)
        wrong = []
        for id, scheme, value in wanted:
            there = (await said(graph, id, scheme=scheme.key))["values"]
            here = await shop.customers.standing(id, scheme.key)
            if there != [value] or here.values != (value,) or here.origin != "person":
                wrong.append((scheme.key, value, there, here))
        assert wrong == []
        assert {scheme.key for _, scheme, _ in wanted} == {
            one.key for one in SHIPPED.schemes.values() if one.mode != "rule"
        }
        guarded = next(one for one in SHIPPED.schemes.values() if one.level is Level.SENSITIVE)
        other = await chain.tablet("other")
        await other.sync()
        assert guarded.key not in {one.scheme for one in await other.customers.standings(wanted[0][0])}


async def write_samples(chain: Chain) -> list[tuple[str, str, str, Known]]:
    """Those sample customers that rows can tell, with what is published and whom they know; their ids."""
    day = date.fromordinal(TODAY).isoformat()
    rows: list[tuple[str, str, dict[str, Any]]] = [
        ("cut_points", made_id("cut_points", day), {"day": day, "cuts": {name: list(cuts) for name, cuts in CHAIN.cuts.items()}})
    ]  # fmt: skip
    near, told = chain.units["Nanjing Road"], []
    ally = chain.new_id()
    rows.append(("customer", ally, {"name": "盟友", "home_unit": near}))
    for scheme, value, of in SAMPLES:
        if value is None or of.cases:
            continue
        told.append((id := chain.new_id(), scheme, value, of))
        card: dict[str, Any] = {}
        for name, given in of.values.items():
            card |= {f"{name}/{key}": True for key in given} if isinstance(given, list) else {name: given}
        rows.append(
            ("customer", id, {"name": f"{scheme} {value}", "home_unit": near, "kind": "person", **card})
        )
        for one, other in [(id, ally)] * len(of.outward) + [(ally, id)] * len(of.inward):
            ends = {"from_customer": one, "to_customer": other, "kind": "alliance", "active": True}
            rows.append(("link", link_id(one, other, "alliance"), ends))
        for deed in of.deeds:
            at = instant_of(NOON_MS - (TODAY - deed.day) * 86_400_000)
            fact: dict[str, Any] = {
                "kind": deed.kind,
                "at": at,
                "party": [{"customer": id, "role": "principal"}],
            }
            fact |= {name: given for name in ("outcome", "effort_min") if (given := getattr(deed, name))}
            if deed.rating is not None:
                fact["satisfaction"] = deed.rating
            if deed.opportunity is not None:
                parts = [min(2, max(0, deed.opportunity - 2 * n)) for n in range(3)]
                fact["opportunity"] = dict(zip(("urgency", "effect", "price"), parts, strict=True))
            if deed.lines:
                fact["lines"] = [
                    {"amount": line.amount, "cost": line.cost, "currency": "CNY", "quantity": 1}
                    for line in deed.lines
                ]
            rows.append(("interaction", chain.new_id(), fact))
    changes = [[chain.service.change("create", *row)] for row in rows]
    for rulings in await chain.service.admission.write(SERVER, changes):
        assert {ruling.verdict for ruling in rulings} <= {"applied", "merged"}, rulings
    return told


async def test_a_sample_of_every_value_by_rule_stands_there_at_head_office_and_offline(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, sensitive=True)
        samples = await write_samples(chain)
        shop = await offline(chain, sensitive=True)
        wrong = []
        for id, scheme, value, _ in samples:
            there = (await said(graph, id, scheme=scheme))["values"]
            here = (await shop.customers.standing(id, scheme)).values
            if there != [value] or here != (value,):
                wrong.append((scheme, value, there, here))
        assert wrong == []
        assert {scheme for _, scheme, _, _ in samples} == {
            one.key for one in SHIPPED.schemes.values() if one.mode == "rule"
        }


async def test_a_customer_who_is_archived_keeps_the_facts_and_the_standing(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, sensitive=True)
        lin = await graph.customer("林芳", homeUnitId=chain.units["Nanjing Road"])
        await graph.visit(lin, **buy(3))
        archive = 'mutation ($id: UUID!) { customerArchive(idempotencyKey: "a", id: $id) { __typename } }'
        assert (await graph.ask(archive, id=lin))["customerArchive"]["__typename"] == "CustomerSaved"
        shop = await offline(chain)
        assert (await said(graph, lin, scheme="deal_phase"))["values"] == ["had"]
        assert (await shop.customers.standing(lin, "deal_phase")).values == ("had",)
        assert (await shop.customers.metric(lin, "purchase_count")).value == 1


async def test_rules_ask_the_archived_too_unless_they_say_otherwise_at_head_office_and_offline(
    tmp_path: Path,
):
    async with new_chain(tmp_path) as chain:
        graph = await caller(chain, sensitive=True)
        home = chain.units["Nanjing Road"]
        gone, lin = [await graph.customer(name, homeUnitId=home) for name in ("王伟", "林芳")]
        for id in (gone, lin):
            await graph.visit(id, **buy(3))
        archive = 'mutation ($id: UUID!) { customerArchive(idempotencyKey: "a", id: $id) { __typename } }'
        await graph.ask(archive, id=gone)
        rules = {
            "purchase_count >= 1": {gone, lin},
            "purchase_count >= 1 and archived = false": {lin},
            "purchase_count >= 1 and archived = true": {gone},
        }
        segments = {rule: chain.new_id() for rule in rules}
        for rule, id in segments.items():
            said_: dict[str, object] = {"name": rule, "rule": write(parse(rule, SHIPPED.words))}
            await chain.write("create", "segment", id, said_)
        await chain.service.checking.drain()
        shop = await offline(chain)
        async with chain.service.storage.unscoped_reader() as reader:
            kept = await reader.memberships([gone, lin])
        counted = "query ($rule: JSON!) { segmentPreview(rule: $rule) { count } }"
        for rule, who in rules.items():
            assert {id for id, of in kept.items() if segments[rule] in of} == who
            assert (await graph.ask(counted, rule=rule))["segmentPreview"]["count"] == len(who)
            assert {one.id for one in (await shop.segments.members(segments[rule])).yes} == who
