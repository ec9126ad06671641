"""docs/TOUR.md is walked through as it stands: every block runs and answers what the page shows."""

from __future__ import annotations

import json
from pathlib import Path

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
        agreed = 0
        async for step in walk.along(PAGE):
            if step.is_asked:
                assert not step.shown or json.loads(step.found) == json.loads(step.shown), step.said
            else:
                assert step.found == step.shown, step.said
            if "lin" in walk.names:
                agreed += await agree(chain, office, walk.names["lin"].id)
        assert agreed > 20
        await every_scheme_with_a_rule_moved(chain, walk.names["lin"].id)


async def set_out(chain: Chain, office: Graph) -> Walk:
    await chain.unit("Huaihai Road", "branch", chain.units["hq"])
    nanjing = await chain.tablet("nanjing")
    huaihai = await chain.tablet("huaihai", "Huaihai Road", sensitive=True)
    return Walk(chain, office, nanjing=nanjing, huaihai=huaihai)


async def agree(chain: Chain, office: Graph, lin: str) -> int:
    """How many tablets hold what the server holds, and so say of her what it says: all schemes and numbers.

    But for credit, which is hidden from one of them, and her friend, whom the other does not know.
    """
    explained = " ".join(f'{of.key}: explain(of: {{ scheme: "{of.key}" }}) {{ values }}' for of in SCHEMES)
    asked = f"query ($id: UUID!) {{ customer(id: $id) {{ metrics {{ name value isKnown }} {explained} }} }}"
    found = (await office.ask(asked, id=lin))["customer"]
    count = 0
    for name, shop in chain.shops.items():
        if (await shop.status()).pending or not await chain.digests_equal(shop):
            continue
        if await shop.customers.find(lin) is None:
            continue
        count += 1
        for metric in found["metrics"]:
            here = await shop.customers.metric(lin, metric["name"])
            assert metric["isKnown"], metric
            if here.unknown:
                assert (name, metric["name"]) == ("huaihai", "referral_value")
            else:
                assert here.value == metric["value"], (name, metric)
        for standing in await shop.customers.standings(lin):
            if standing.values is None:
                assert (name, standing.scheme) == ("nanjing", "relation4")
            else:
                assert list(standing.values) == found[standing.scheme]["values"], (name, standing)
    return count


async def every_scheme_with_a_rule_moved(chain: Chain, lin: str) -> None:
    async with chain.service.storage.unscoped_reader() as reader:
        moved = {one.key for one in await reader.movements(10_000) if one.customer == lin}
    assert {of.key for of in SCHEMES if of.mode == "rule"} - moved == set()
