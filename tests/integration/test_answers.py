# ruff: noqa: E501 (queries)
"""What is kept of answers: for whom they are, how long, and what an erasure leaves."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from regulars_server.app import DATABASE
from tests.support.chain import Chain, new_chain
from tests.support.graph import CREATE, Graph, caller

TAG = 'mutation ($k: String!, $id: UUID!) { done: customerTag(idempotencyKey: $k, id: $id, tags: ["vip"]) { __typename ... on CustomerSaved { customer { name notes tags belief } } ... on Error { code message } } }'
NOTE = "mutation ($k: String!, $id: UUID!, $n: String!) { done: customerUpdate(idempotencyKey: $k, id: $id, set: { notes: $n }) { __typename ... on Error { code } } }"
ERASE = 'mutation ($k: String!, $id: UUID!) { done: customerErase(idempotencyKey: $k, id: $id, reason: "asked") { __typename ... on Error { code } } }'


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


@pytest.fixture
async def office(chain: Chain) -> Graph:
    return await caller(chain, "admin", sensitive=True)


async def bodies(chain: Chain) -> list[str | None]:
    with closing(sqlite3.connect(chain.folder / DATABASE)) as database:
        return [body for (body,) in database.execute("SELECT body FROM answer ORDER BY at_ms")]


async def test_of_what_is_sent_twice_at_once_one_is_done_and_both_are_told_the_same(
    chain: Chain, office: Graph
):
    others = [Graph(chain, office.token, office.http) for _ in range(4)]
    input = {"name": "林芳"}
    answers = await asyncio.gather(*(other.send(CREATE, key="k", input=input) for other in others))
    assert len({str(answer) for answer in answers}) == 1
    assert answers[0]["data"]["customerCreate"]["__typename"] == "CustomerSaved"
    got = await office.ask("{ customers { totalCount } }")
    assert got["customers"]["totalCount"] == 1


async def test_another_selection_is_read_anew_and_done_no_more(chain: Chain, office: Graph):
    id = await office.customer("林芳")
    await office.ask(TAG, k="k", id=id)
    await office.ask(NOTE, k="n", id=id, n="later")
    assert (await office.ask(TAG, k="k", id=id))["done"]["customer"]["notes"] is None
    fewer = TAG.replace("name notes", "notes")
    assert (await office.ask(fewer, k="k", id=id))["done"]["customer"]["notes"] == "later"
    zh = await office.send(TAG, {"accept-language": "zh"}, k="k", id=id)
    assert zh["data"]["done"]["customer"]["notes"] == "later"


async def test_whoever_may_read_less_by_now_is_told_less(chain: Chain, office: Graph):
    """The answer kept for other rights is not shown: what may be seen now is read anew."""
    id = await office.customer("林芳", homeUnitId=chain.units["Orchard"], belief="zebra")
    told = await office.ask(TAG, k="k", id=id)
    assert told["done"]["customer"]["belief"] == "zebra"
    with closing(sqlite3.connect(chain.folder / DATABASE)) as database, database:
        database.execute("UPDATE access_token SET sensitive = 0")
    chain.clock.pass_(minutes=1)
    assert (await office.ask(TAG, k="k", id=id))["done"]["customer"]["belief"] is None
    with closing(sqlite3.connect(chain.folder / DATABASE)) as database, database:
        database.execute("UPDATE access_token SET units = ?", (f'["{chain.units["Nanjing Road"]}"]',))
    chain.clock.pass_(minutes=1)
    assert (await office.ask(TAG, k="k", id=id))["done"]["customer"] is None


async def test_an_erasure_destroys_every_answer_and_what_was_done_stays_done(chain: Chain, office: Graph):
    lin, wang = await office.customer("林芳zebra"), await office.customer("王明")
    for id in (lin, wang):
        await office.ask(TAG, k=id, id=id)
    assert "zebra" in str(await bodies(chain))
    assert (await office.ask(ERASE, k="e", id=lin))["done"]["__typename"] == "CustomerErased"
    assert [body for body in await bodies(chain) if body] == ['{"__typename":"CustomerErased"}']
    assert b"zebra" not in (chain.folder / DATABASE).read_bytes()
    assert (await office.ask(TAG, k=lin, id=lin))["done"]["code"] == "erased"
    at = await office.ask(TAG, k=wang, id=wang)
    assert at["done"]["customer"]["tags"] == ["vip"]
    assert (await office.ask(NOTE, k=wang, id=wang, n="x"))["done"]["code"] == "idempotency_reused"


async def test_what_was_read_before_an_erasure_is_not_kept_after_it(
    chain: Chain, office: Graph, monkeypatch: pytest.MonkeyPatch
):
    lin, wang = await office.customer("林芳zebra"), await office.customer("王明")
    other = Graph(chain, office.token, office.http)
    answers = type(chain.service.answers)
    keep = answers.keep

    async def kept_late(*given: Any, **named: Any) -> Any:
        monkeypatch.setattr(answers, "keep", keep)
        await other.ask(ERASE, k="e", id=lin)
        return await keep(*given, **named)

    monkeypatch.setattr(answers, "keep", kept_late)
    await office.ask(TAG, k="k", id=wang)
    assert [body for body in await bodies(chain) if body] == ['{"__typename":"CustomerErased"}']


async def test_answers_are_dropped_in_time_and_nothing_is_done_again(chain: Chain, office: Graph):
    id = await office.customer("林芳")
    await office.ask(TAG, k="k", id=id)
    await office.ask(TAG.replace("customerTag", "customerUntag"), k="u", id=id)
    chain.clock.pass_(hours=49)
    await chain.service.answers.tidy(chain.service.settings.answers_hours)
    assert await bodies(chain) == []
    assert (await office.ask(TAG, k="k", id=id))["done"]["customer"]["tags"] == []
    assert (await office.ask(NOTE, k="k", id=id, n="x"))["done"]["code"] == "idempotency_reused"


async def test_a_secret_is_told_again_and_kept_nowhere(chain: Chain, office: Graph):
    invite = 'mutation ($u: UUID!) { done: deviceInvite(idempotencyKey: "k", unit: $u, name: "till") { ... on DeviceInvited { code } } }'
    code = (await office.ask(invite, u=chain.units["Orchard"]))["done"]["code"]
    assert code not in str(await bodies(chain))
    chain.clock.pass_(minutes=16)
    assert (await office.ask(invite, u=chain.units["Orchard"]))["done"]["code"] == code
    paired = await office.http.post("/sync/v1/pair", json={"code": code, "name": "till", "schema": 1})
    assert paired.status_code == 403
