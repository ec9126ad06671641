"""What a token may spend, what an operation may take, and what is told of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from regulars_schema.messages import MESSAGES
from regulars_server.graph.request import Context, Loader
from regulars_sync.errors import Refused
from tests.support.chain import Chain, new_chain
from tests.support.graph import CREATE, Graph, Tablet, caller

STRICT = {"accept": "application/graphql-response+json"}
PAGE = "query ($n: Int) { customers(first: $n) { nodes { id homeUnit { name } } } }"


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    limits: dict[str, Any] = {
        "developer_cost_max": 1_000,
        "developer_cost_per_s": 100,
        "session_cost_max": 600,
        "device_cost_max": 300,
    }
    async with new_chain(tmp_path, **limits) as made:
        yield made


@pytest.fixture
async def office(chain: Chain) -> Graph:
    return await caller(chain, "admin")


async def test_an_answer_says_what_it_cost_and_what_is_left(chain: Chain, office: Graph):
    unit = chain.units["Orchard"]
    for i in range(3):
        await office.customer(f"C{i}", homeUnitId=unit)
    chain.clock.pass_(minutes=1)
    cost = (await office.send(PAGE, n=100))["extensions"]["cost"]
    status = cost.pop("throttleStatus")
    assert cost == {"requestedQueryCost": 200, "actualQueryCost": 4}  # three customers and their unit
    assert (status["maximumAvailable"], status["restoreRate"]) == (1_000, 100)
    assert status["currentlyAvailable"] == 996


async def test_who_has_spent_its_share_waits_and_others_do_not(chain: Chain, office: Graph):
    asked: dict[str, Any] = {"n": 250}
    for _ in range(3):  # nothing is found, so all but the weight comes back
        assert "errors" not in await office.send(PAGE, **asked)
    await office.send("{ " + " ".join(f"a{i}: customers {{ totalCount }}" for i in range(20)) + " }")
    await office.send("{ " + " ".join(f"a{i}: customers {{ totalCount }}" for i in range(20)) + " }")
    answer = await office.send(PAGE, STRICT, **asked)
    assert office.last is not None
    assert office.last.status_code == 429
    seconds = int(office.last.headers["retry-after"])
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "throttled"
    assert error["extensions"]["retryable"]
    assert error["extensions"]["detail"]["seconds"] == seconds
    assert "data" not in answer
    cost = answer["extensions"]["cost"]
    assert (cost["requestedQueryCost"], cost["actualQueryCost"]) == (500, 0)
    assert cost["throttleStatus"]["currentlyAvailable"] < 500
    other = await caller(chain, "admin")
    assert "errors" not in await other.send(PAGE, **asked)
    assert (await office.send(PAGE, **asked))["errors"]
    assert office.last.status_code == 200  # what application/json promises of every GraphQL request
    assert office.last.headers["retry-after"]
    chain.clock.pass_(seconds=seconds)
    assert "errors" not in await office.send(PAGE, **asked)
    zh = await office.send(PAGE, {"accept-language": "zh"}, **asked)
    assert "errors" not in zh or "额度" in zh["errors"][0]["message"]


async def test_what_no_budget_allows_is_refused_for_good(chain: Chain, office: Graph):
    nested = "query ($n: Int) { customers(first: $n) { nodes { interactions(first: $n) { nodes { id } } } } }"
    answer = await office.send(nested, STRICT, n=40)
    assert office.last is not None
    assert office.last.status_code == 400
    assert "retry-after" not in office.last.headers
    (error,) = answer["errors"]
    assert error["extensions"] == {
        "code": "query_too_large",
        "retryable": False,
        "detail": {"what": "cost", "limit": 1_000},
    }
    assert "errors" not in await office.send(nested, n=4)


async def test_each_kind_of_token_has_a_budget_of_its_own(chain: Chain, office: Graph):
    found = {}
    tablet = await Tablet(chain, office).pair("Orchard")
    await chain.service.access.add_login("amy", "correct horse", "manager", units=[chain.units["Orchard"]])
    said = (await office.http.post("/auth/login", json={"name": "amy", "password": "correct horse"})).json()
    for kind, token in (("developer", office.token), ("device", tablet.token), ("session", said["token"])):
        asked = Graph(chain, token, office.http)
        found[kind] = (await asked.send("{ me { name } }"))["extensions"]["cost"]["throttleStatus"][
            "maximumAvailable"
        ]
    assert found == {"developer": 1_000, "device": 300, "session": 600}


async def test_a_mutation_is_paid_for_and_replayed_for_its_own_price(office: Graph):
    given: dict[str, Any] = {"key": "k", "input": {"name": "a"}}
    first = await office.send(CREATE, **given)
    again = await office.send(CREATE, **given)
    assert first["data"] == again["data"]
    for answer in (first, again):
        assert (
            10
            <= answer["extensions"]["cost"]["actualQueryCost"]
            <= answer["extensions"]["cost"]["requestedQueryCost"]
        )


async def test_what_takes_too_long_is_given_up_and_its_reader_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with new_chain(tmp_path, query_seconds_max=1) as chain:
        office = await caller(chain, "admin")
        select = Context.select
        stuck = asyncio.Event()

        async def endless(self: Context, *arguments: Any, **named: Any) -> Any:
            async with self.reading():
                stuck.set()
                await asyncio.Event().wait()

        monkeypatch.setattr(Context, "select", endless)
        answer = await office.send(PAGE, STRICT, n=1)
        assert stuck.is_set()
        assert office.last is not None
        assert (office.last.status_code, answer["errors"][0]["extensions"]["code"]) == (503, "too_slow")
        monkeypatch.setattr(Context, "select", select)
        for _ in range(5):  # there is one reader
            assert "errors" not in await office.send(PAGE, n=1)


async def test_an_answer_may_be_too_large(tmp_path: Path):
    async with AsyncExitStack() as stack:
        chain = await stack.enter_async_context(new_chain(tmp_path, answer_bytes_max=2_000))
        office = await caller(chain, "admin")
        for i in range(5):
            await office.customer(f"C{i}", notes="n" * 1_000)
        answer = await office.send("{ customers { nodes { notes } } }", STRICT)
        assert office.last is not None
        assert office.last.status_code == MESSAGES["answer_too_large"].status
        assert answer["errors"][0]["extensions"]["code"] == "answer_too_large"
        assert "errors" not in await office.send("{ customers { nodes { name } } }")


async def test_very_many_values_in_variables_are_refused(office: Graph):
    query = "query ($ids: [UUID!]) { customers(where: { id: { in: $ids } }) { totalCount } }"
    assert await office.code(query, ids=["x"] * 30_000) == "query_too_large"
    assert await office.code(query, ids=[["x"] * 200 for _ in range(200)]) == "query_too_large"


async def test_the_log_tells_what_each_request_cost(office: Graph, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "regulars"):
        await office.send("{ me { name units { name } } }")
    (line,) = [record for record in caplog.records if getattr(record, "path", None) == "/graphql"]
    assert line.__dict__["cost"] == 1


async def test_a_part_of_an_answer_that_nobody_waits_for_keeps_no_reader(chain: Chain, office: Graph):
    (principal,) = [await chain.service.access.principal(office.token)]
    context = Context(chain.service, principal, await chain.service.author(principal), "en")
    await context.close()
    with pytest.raises(Refused, match="busy"):
        async with context.reading():
            raise AssertionError("it was opened")
    async with asyncio.timeout(5), chain.service.storage.unscoped_reader():  # there is one reader
        pass


async def test_a_field_that_is_given_up_takes_no_other_with_it():
    """Errors cancel their siblings; what these waited for may be what others wait for too."""

    async def load(ids: list[str]) -> list[str]:
        await asyncio.sleep(0)
        return [id.upper() for id in ids]

    loader = Loader(load_fn=load)

    async def field() -> object:
        return await loader.load("a")

    one, other = asyncio.create_task(field()), asyncio.create_task(field())
    await asyncio.sleep(0)
    one.cancel()
    assert await other == "A"
    assert one.cancelled()
