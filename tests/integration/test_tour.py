"""docs/TOUR.md is walked through as it stands: every block runs and answers what the page shows."""

from __future__ import annotations

import json
from pathlib import Path

from regulars_schema.rules.metrics import METRICS
from regulars_server.knowledge.world import shipped
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, caller
from tests.support.walk import Walk

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "TOUR.md").read_text("utf-8")
SCHEMES = [of for of in shipped().schemes.values() if "person" in of.for_kind]


async def test_the_tour_goes_as_it_is_told(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        office = await caller(chain, sensitive=True)
        walk = await set_out(chain, office)
        async for step in walk.along(PAGE):
            if step.is_asked:
                assert not step.shown or json.loads(step.found) == json.loads(step.shown), step.said
            else:
                assert step.found == step.shown, step.said
        lin = walk.names["lin"].id
        await all_agree(chain, office, lin)
        await every_scheme_with_a_rule_moved(chain, lin)


async def set_out(chain: Chain, office: Graph) -> Walk:
    await chain.unit("Huaihai Road", "branch", chain.units["hq"])
    nanjing = await chain.tablet("nanjing")
    huaihai = await chain.tablet("huaihai", "Huaihai Road", sensitive=True)
    return Walk(chain, office, nanjing=nanjing, huaihai=huaihai)


async def all_agree(chain: Chain, office: Graph, lin: str) -> None:
    """At the end head office and both tablets say the same of her, in every scheme and every number; but for
    credit, which is hidden from one of them, and her friend, whom the other does not know."""
    explained = " ".join(f'{of.key}: explain(of: {{ scheme: "{of.key}" }}) {{ values }}' for of in SCHEMES)
    asked = f"query ($id: UUID!) {{ customer(id: $id) {{ metrics {{ name value isKnown }} {explained} }} }}"
    found = (await office.ask(asked, id=lin))["customer"]
    metrics = {told["name"]: told["value"] for told in found["metrics"] if told["isKnown"]}
    assert metrics.keys() == METRICS.keys()
    for name, shop in chain.shops.items():
        here = {metric: await shop.customers.metric(lin, metric) for metric in METRICS}
        unknown = {metric for metric, told in here.items() if told.unknown}
        assert unknown == ({"referral_value"} if name == "huaihai" else set())
        for metric in METRICS.keys() - unknown:
            assert here[metric].value == metrics[metric], metric
        standings = {of.scheme: of.values for of in await shop.customers.standings(lin)}
        unknown = {scheme for scheme, values in standings.items() if values is None}
        assert unknown == (set() if name == "huaihai" else {"relation4"})
        for scheme in standings.keys() - unknown:
            assert list(standings[scheme] or ()) == found[scheme]["values"], scheme


async def every_scheme_with_a_rule_moved(chain: Chain, lin: str) -> None:
    async with chain.service.storage.unscoped_reader() as reader:
        moved = {one.key for one in await reader.movements(10_000) if one.customer == lin}
    assert {of.key for of in SCHEMES if of.mode == "rule"} - moved == set()
