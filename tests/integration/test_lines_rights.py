"""What a caller may not do by request it may not do over a socket or an event stream either."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from websockets.exceptions import InvalidStatus

from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, caller, http
from tests.support.sockets import Served, served

DESK = "https://desk.example"
CHANGES = "subscription Changes { changes { rows { entity row { id } } } }"
PRODUCT = 'mutation { productSave(idempotencyKey: "p", input: { name: "Oak" }) { __typename } }'


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path, origins=DESK) as made:
        yield made


@pytest.fixture
async def site(chain: Chain) -> AsyncIterator[Served]:
    async with served(chain) as made:
        yield made


async def program(chain: Chain, **given: Any) -> str:
    _, token = await chain.service.access.new_token("developer", "p", "analyst", None, False, **given)
    return token


async def stream(site: Served, token: str, body: dict[str, Any]) -> str:
    """The first event of a stream of its own."""
    async with site.http(token) as client:
        headers = {"accept": "text/event-stream"}
        async with client.stream("POST", "/graphql", json=body, headers=headers) as answer:
            said = ""
            async for line in answer.aiter_lines():
                said += line + "\n"
                if line.startswith("data: {"):
                    return said
            return said


async def test_changes_are_told_of_what_the_token_may_read_alone(chain: Chain, site: Served):
    office = await caller(chain)
    token = await program(chain, scopes=["read:products"])
    async with site.socket(token) as socket:
        await socket.subscribe(CHANGES)
        assert (await socket.data())["rows"] == []
        await office.customer("林芳")
        await office.ask(PRODUCT)
        (row,) = (await socket.data())["rows"]
        assert row["entity"] == "PRODUCT"


@pytest.mark.parametrize(
    "query", ["subscription { customerChanged(ids: []) { id } }", "{ customers { totalCount } }"]
)
async def test_a_root_asks_for_its_right_on_a_line_as_well(chain: Chain, site: Served, query: str):
    token = await program(chain, scopes=["read:products"])
    async with site.socket(token) as socket:
        await socket.subscribe(query)
        message = orjson.loads(await socket.line.recv())
        assert "scope_missing" in str(message)
    assert "scope_missing" in await stream(site, token, {"query": query})


async def test_trusted_documents_alone_on_a_line_as_well(chain: Chain, site: Served):
    await chain.service.access.documents.publish({"changes": ("Changes", CHANGES)})
    token = await program(chain, trusted_only=True)
    for query in (CHANGES, "{ me { name } }"):
        async with site.socket(token) as socket:
            await socket.subscribe(query)
            assert "document_required" in str(orjson.loads(await socket.line.recv()))
        assert "document_required" in await stream(site, token, {"query": query})
    for payload in ({"documentId": "changes"}, {"query": "", "documentId": "changes"}):
        async with site.socket(token) as socket:
            message = {"id": "1", "type": "subscribe", "payload": payload}
            await socket.line.send(orjson.dumps(message).decode())
            assert orjson.loads(await socket.line.recv())["payload"]["data"] == {"changes": {"rows": []}}
    assert '"rows":[]' in await stream(site, token, {"documentId": "changes"})


async def test_the_schema_is_not_told_on_a_line_to_those_who_are_not(chain: Chain, site: Served):
    await chain.service.access.add_login("amy", "correct horse", "manager")
    _, token = await chain.service.access.login("amy", "correct horse")
    for query, said in (
        ("{ __schema { queryType { name } } }", "introspection_off"),
        ("{ custommers { x } }", "Cannot query field"),
    ):
        async with site.socket(token) as socket:
            await socket.subscribe(query)
            answer = str(orjson.loads(await socket.line.recv()))
            assert said in answer
            assert "mean" not in answer


@pytest.mark.parametrize(
    ("origin", "status"), [("https://evil.example", 403), ("null", 403), (DESK, 101), (None, 101)]
)
async def test_a_socket_is_opened_by_pages_of_listed_sites_alone(
    chain: Chain, site: Served, origin: str | None, status: int
):
    token = await program(chain)
    options: dict[str, Any] = {} if origin is None else {"origin": origin}
    if status != 101:
        with pytest.raises(InvalidStatus) as refused:
            async with site.socket(token, **options):
                pass
        assert refused.value.response.status_code == status
        return
    async with site.socket(token, **options) as socket:
        await socket.subscribe("{ me { name } }")
        assert "me" in str(orjson.loads(await socket.line.recv()))


async def test_a_filter_through_a_relation_needs_the_right_to_its_rows(chain: Chain):
    graph = Graph(chain, await program(chain, scopes=["read:customers"]), http(chain))
    asked = "query { customers(where: { interactions: { some: { outcome: { eq: WON } } } }) { totalCount } }"
    assert await graph.code(asked) == "scope_missing"
    both = Graph(chain, await program(chain, scopes=["read:customers", "read:interactions"]), http(chain))
    assert (await both.ask(asked))["customers"]["totalCount"] == 0
