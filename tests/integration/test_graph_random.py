"""Random operations: none breaks the server, and none lets one branch notice another."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from regulars_schema.messages import MESSAGES
from regulars_server.graph.schema import build_schema
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, Tablet, caller
from tests.support.queries import Queries

SEED = 20_261_122
OPERATIONS = 300
NOBODY = "01a20038-0101-7724-a4c3-597164c48aff"


async def filled(chain: Chain) -> tuple[Graph, list[str]]:
    """A branch with customers, facts and a held change; and what can be asked for there."""
    branch = await caller(chain, "manager", "Nanjing Road")
    ids = [*chain.units.values(), NOBODY]
    for i in range(6):
        customer = await branch.customer(f"C{i}", tags=["a"], phones=["138 0013 8000"] if i < 2 else [])
        ids += [customer, await branch.visit(customer, note="é")]
    tablet = await Tablet(chain, branch).pair("Nanjing Road")
    await tablet.push(tablet.change({"name": " "}, "a" * 32))
    return branch, [*ids, tablet.device]


def told(data: Any) -> set[str]:
    """The codes of refused mutations, wherever they stand in an answer."""
    if isinstance(data, list):
        return set().union(*map(told, data))
    if not isinstance(data, dict):
        return set()
    mine = {data["code"]} if {"code", "retryable"} <= data.keys() else set()
    return mine.union(*map(told, data.values()))


async def test_no_operation_that_the_schema_allows_breaks_the_server(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        branch, ids = await filled(chain)
        office = await caller(chain, "admin", sensitive=True)
        queries = Queries(build_schema()._schema, SEED, ids)
        for i in range(OPERATIONS):
            asked = queries.mutation() if i % 2 else queries.query()
            answer = await (office if i % 4 < 2 else branch).send(asked.query, **asked.variables)
            codes = {error["extensions"]["code"] for error in answer.get("errors", ())}
            codes |= told(answer.get("data"))
            assert codes <= MESSAGES.keys() - {"internal"}, (SEED, i, asked)


async def test_a_branch_gets_the_same_answers_with_and_without_another_branch(tmp_path: Path):
    async with AsyncExitStack() as stack:
        worlds = []
        for name in ("alone", "beside"):
            (tmp_path / name).mkdir()
            chain = await stack.enter_async_context(new_chain(tmp_path / name))
            worlds.append((chain, *await filled(chain)))
        (_, alone, near), (chain, beside, same) = worlds
        assert near == same
        far = await caller(chain, "manager", "Orchard")
        for i in range(6):
            customer = await far.customer(f"C{i}", tags=["a", "b"], phones=["138 0013 8000"])
            near += [customer, await far.visit(customer, unitId=chain.units["Nanjing Road"])]
        two = [await far.customer(name) for name in ("C7", "C8")]
        await far.ask(
            'mutation ($a: UUID!, $b: UUID!) { linkSet(idempotencyKey: "l", kind: FAMILY,'
            " fromCustomerId: $a, toCustomerId: $b) { ... on LinkSaved { link { id } } } }",
            a=two[0],
            b=two[1],
        )
        queries = Queries(build_schema()._schema, SEED, near)
        for i in range(OPERATIONS):
            asked = queries.query()
            one = await alone.send(asked.query, **asked.variables)
            other = await beside.send(asked.query, **asked.variables)
            assert one == other, (SEED, i, asked)
