"""Whoever follows changes by cursor holds what is within reach in the end, however often the line breaks."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from regulars_server.graph.live.following import Following
from regulars_server.graph.operations import Operations
from regulars_server.graph.types import TYPES
from regulars_server.storage.interface import Order
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, caller

EDIT = """mutation ($key: String!, $id: UUID!, $set: CustomerEdit!) {
    customerUpdate(idempotencyKey: $key, id: $id, set: $set) { __typename ... on Error { code } }
}"""
Known = dict[tuple[str, str], str]


class Follower:
    """Keeps what it was told, and the cursor of the last event that it has stored."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.operations = Operations(graph.chain.service)
        self.known: Known = {}
        self.cursor: str | None = None

    async def listen(self, events: int, is_stored: bool) -> bool:
        """A line of so many events; of the last one the cursor may be lost. Whether there was more."""
        following: Following | None = None
        more = False
        for n in range(events):
            principal = await self.operations.principal(self.graph.token)
            context = await self.operations.context(principal, "en")
            following = following or Following(context, self.cursor)
            step = await following.step(context)
            for entity, id, found in step.rows:
                if found is None:
                    self.known.pop((entity, id), None)
                else:
                    self.known[entity, id] = context.row(context.entity(TYPES[entity]), found).version
            await context.close()
            if is_stored or n < events - 1:
                self.cursor = following.cursor
            more = step.more
        return more

    async def reach(self) -> Known:
        """What there is, read as a list."""
        context = await self.operations.context(await self.operations.principal(self.graph.token), "en")
        found: Known = {}
        for entity, type_ in TYPES.items():
            declared = context.entity(type_)
            for row in await context.select(declared, None, Order(), 1_000):
                found[entity, row.id] = context.row(declared, row).version
        await context.close()
        return found


async def deed(rng: random.Random, chain: Chain, admin: Graph, customers: list[str]) -> None:
    unit = rng.choice([chain.units["Nanjing Road"], chain.units["Orchard"], None])
    kind = rng.choice(["create", "visit", "move", "note", "belief", "tag"]) if customers else "create"
    if kind == "create":
        customers.append(await admin.customer(f"{len(customers)}", homeUnitId=unit))
        return
    id = rng.choice(customers)
    if kind == "visit":
        await admin.visit(id, *rng.sample(customers, rng.randint(0, min(1, len(customers)))))
        return
    given = {
        "move": {"homeUnitId": unit},
        "note": {"notes": f"{rng.random()}"},
        "belief": {"belief": f"{rng.random()}"},
        "tag": {"tags": {"add": [rng.choice("ab")]}},
    }[kind]
    await admin.ask(EDIT, key=admin.key(), id=id, set=given)


@pytest.mark.parametrize("seed", range(6))
async def test_nothing_is_missed_however_often_the_line_breaks(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr("regulars_server.graph.live.following.ROWS_MAX", rng.choice([1, 2, 5, 100]))
    async with new_chain(tmp_path, seed=seed) as chain:
        admin = await caller(chain, sensitive=True)
        readers = [
            admin,
            await caller(chain),
            await caller(chain, "clerk", "Nanjing Road"),
            await caller(chain, "clerk", "Orchard", sensitive=True),
        ]
        followers = [Follower(reader) for reader in readers]
        for follower in followers:
            await follower.listen(1, is_stored=True)
            follower.known = await follower.reach()
        customers: list[str] = []
        for _ in range(60):
            await deed(rng, chain, admin, customers)
            for follower in followers:
                if rng.random() < 0.3:
                    await follower.listen(rng.randint(1, 3), is_stored=rng.random() < 0.7)
        for follower in followers:
            while await follower.listen(1, is_stored=True):
                pass
            assert follower.known == await follower.reach()
            assert any(entity == "customer" for entity, _ in follower.known)
