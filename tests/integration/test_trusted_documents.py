"""Trusted documents, who is told the schema, and requests that name a document instead of sending it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest
from graphql import get_introspection_query

from regulars_server.access.documents import KEPT_MS
from regulars_server.settings import Settings
from regulars_sync.errors import LocalError, Refused
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, Tablet, caller, http

NAMES = "query Names { customers { nodes { name } } }"
HASH = sha256(NAMES.encode()).hexdigest()
STRICT = {"accept": "application/graphql-response+json"}


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as chain:
        await chain.service.access.documents.publish({f"sha256:{HASH}": ("Names", NAMES)})
        yield chain


async def ask(graph: Graph, **body: Any) -> httpx2.Response:
    headers = {"authorization": f"Bearer {graph.token}", **STRICT}
    return await graph.http.post("/graphql", json=body, headers=headers)


def code(answer: httpx2.Response) -> str:
    return str(answer.json()["errors"][0]["extensions"]["code"])


async def as_(chain: Chain, role: str) -> Graph:
    """A person of the role who signed in, or a tablet."""
    office = await caller(chain)
    if role == "device":
        office.token = (await Tablet(chain, office).pair("Nanjing Road")).token
        return office
    units = None if role == "admin" else [chain.units["Nanjing Road"]]
    await chain.service.access.add_login(f"a {role}", "correct horse", role, units=units)
    _, token = await chain.service.access.login(f"a {role}", "correct horse")
    return Graph(chain, token, http(chain))


# --- naming a document -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "named",
    [
        {"documentId": f"sha256:{HASH}"},
        {"documentId": HASH},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": HASH}}},
        {"documentId": f"sha256:{HASH}", "operationName": "Names", "variables": {}},
    ],
)
async def test_a_published_document_is_run_by_its_id(chain: Chain, named: dict[str, Any]):
    graph = await caller(chain)
    await graph.customer("林芳")
    answer = await ask(graph, **named)
    assert (answer.status_code, answer.json()["data"]) == (200, {"customers": {"nodes": [{"name": "林芳"}]}})
    params = {k: v if isinstance(v, str) else json.dumps(v) for k, v in named.items()}
    headers = {"authorization": f"Bearer {graph.token}", **STRICT}
    by_get = await graph.http.get("/graphql", params=params, headers=headers)
    assert by_get.json()["data"] == answer.json()["data"]


@pytest.mark.parametrize("id", ["sha256:" + "0" * 64, "0" * 64, "", "../etc", "x" * 5_000, "é", "a'b"])
async def test_an_unknown_document_is_refused_and_nothing_is_registered(chain: Chain, id: str):
    graph = await caller(chain)
    answer = await ask(graph, documentId=id)
    assert (answer.status_code, code(answer)) == (404, "document_unknown")
    unknown = sha256(b"{ me { name } }").hexdigest()
    apollo = {"persistedQuery": {"version": 1, "sha256Hash": unknown}}
    registering = await ask(graph, query="{ me { name } }", extensions=apollo)
    assert (registering.status_code, code(registering)) == (400, "body_invalid")
    assert code(await ask(graph, extensions=apollo)) == "document_unknown"
    assert len(await chain.service.access.documents.all()) == 1


@pytest.mark.parametrize(
    "given", [{"documentId": 7}, {"documentId": ["x"]}, {"documentId": HASH, "query": NAMES}]
)
async def test_a_request_names_one_document_by_a_text(chain: Chain, given: dict[str, Any]):
    answer = await ask(await caller(chain), **given)
    assert (answer.status_code, code(answer)) == (400, "body_invalid")


async def test_a_mutation_is_never_run_over_get_whatever_it_is_named_by(chain: Chain):
    mutation = 'mutation { customerCreate(idempotencyKey: "g", input: { name: "G" }) { __typename } }'
    await chain.service.access.documents.publish({"make": ("", mutation)})
    graph = await caller(chain)
    headers = {"authorization": f"Bearer {graph.token}", **STRICT}
    for params in ({"documentId": "make"}, {"query": mutation}):
        assert (await graph.http.get("/graphql", params=params, headers=headers)).status_code == 405
    assert (await graph.ask(NAMES))["customers"]["nodes"] == []
    assert (await ask(graph, documentId="make")).json()["data"]["customerCreate"][
        "__typename"
    ] == "CustomerSaved"


async def test_a_retired_document_is_unknown_at_once_here_and_soon_elsewhere(chain: Chain):
    graph = await caller(chain)
    assert (await ask(graph, documentId=HASH)).status_code == 200
    kept = chain.service.access.documents._kept
    known = dict(kept)
    await chain.service.access.documents.retire([f"sha256:{HASH}"])
    assert code(await ask(graph, documentId=HASH)) == "document_unknown"
    kept.update(known)  # another process, which has not heard of it
    assert (await ask(graph, documentId=HASH)).status_code == 200
    chain.clock.pass_(ms=KEPT_MS)
    assert code(await ask(graph, documentId=HASH)) == "document_unknown"
    await chain.service.access.documents.publish({f"sha256:{HASH}": ("Names", NAMES)})
    assert (await ask(graph, documentId=HASH)).status_code == 200


async def test_an_id_never_means_another_document(chain: Chain):
    documents = chain.service.access.documents
    assert await documents.publish({"names": ("", NAMES)}) == ["names"]
    assert await documents.publish({"names": ("", NAMES)}) == []
    with pytest.raises(Refused) as refused:
        await documents.publish({"names": ("", "{ me { name } }"), "new": ("", NAMES)})
    assert refused.value.code == "argument_invalid"
    assert "new" not in {one.id for one in await documents.all()}
    with pytest.raises(Refused) as refused:
        await documents.retire(["names", "never"])
    assert refused.value.code == "document_unknown"
    assert await documents.text("names") == NAMES


# --- trusted documents alone -------------------------------------------------------------------------


async def test_a_token_of_trusted_documents_alone_sends_no_other(chain: Chain):
    _, token = await chain.service.access.new_token(
        "developer", "till", "clerk", None, False, trusted_only=True
    )
    graph = Graph(chain, token, http(chain))
    for query in (NAMES, "{ me { name } }", get_introspection_query(), "{ nothing", "{"):
        answer = await ask(graph, query=query)
        assert (answer.status_code, code(answer)) == (403, "document_required")
    assert (await ask(graph, documentId=HASH)).status_code == 200


@pytest.mark.parametrize("role", ["clerk", "device", "admin"])
async def test_a_setting_says_who_sends_trusted_documents_alone(tmp_path: Path, role: str):
    async with new_chain(tmp_path, trusted_only="clerk, device") as chain:
        await chain.service.access.documents.publish({"names": ("Names", NAMES)})
        graph = await as_(chain, role)
        free = await ask(graph, query=NAMES)
        assert free.status_code == (200 if role == "admin" else 403)
        assert (await ask(graph, documentId="names")).status_code == 200
        assert (await ask(await caller(chain, "clerk"), query=NAMES)).status_code == 200  # a developer's


# --- who is told the schema ----------------------------------------------------------------------------

TELLING = [
    get_introspection_query(),
    "{ __schema { queryType { name } } }",
    '{ __type(name: "Customer") { name } }',
    "{ me { name } ... on Query { ...F } } fragment F on Query { __schema { description } }",
    'query A { me { name } } query B { __type(name: "Staff") { name } }',
]
TYPO = "{ customer(id: 7) { id } custommers { nodes { nam } } }"


@pytest.mark.parametrize(
    ("role", "is_told"),
    [("admin", True), ("manager", False), ("clerk", False), ("analyst", False), ("device", False)],
)
async def test_the_schema_is_told_to_head_office_and_developers(chain: Chain, role: str, is_told: bool):
    graph = await as_(chain, role)
    for query in TELLING:
        answer = await ask(graph, query=query, operationName="A" if "query A" in query else None)
        assert (answer.status_code, "introspection_off" in answer.text) == (
            (200, False) if is_told else (403, True)
        )
    assert (await graph.ask("{ __typename me { __typename } }"))["__typename"] == "Query"


@pytest.mark.parametrize(("role", "is_told"), [("admin", True), ("manager", False), ("device", False)])
async def test_errors_suggest_nothing_to_those_who_are_not_told_the_schema(
    chain: Chain, role: str, is_told: bool
):
    graph = await as_(chain, role)
    wrong: list[dict[str, Any]] = [
        {"query": "{ custommers { nodes { id } } }"},
        {"query": "{ customers { nodes { nam } } }"},
        {"query": "{ customers(orderBy: NAME_AS) { nodes { id } } }"},
        {"query": "{ customers(wher: {}) { nodes { id } } }"},
        {"query": "query ($o: CustomerOrdr) { customers(orderBy: $o) { nodes { id } } }"},
        {
            "query": "query ($o: CustomerOrder!) { customers(orderBy: $o) { nodes { id } } }",
            "variables": {"o": "NAME_AS"},
        },
        {
            "query": "query ($w: CustomerWhere) { customers(where: $w) { nodes { id } } }",
            "variables": {"w": {"nam": {"eq": "x"}}},
        },
    ]
    for body in wrong:
        answer = await ask(graph, **body)
        assert answer.status_code == 400
        assert ("Did you mean" in answer.text) is is_told, (body, answer.text)


@pytest.mark.parametrize("role", ["manager", "device", "admin"])
async def test_a_setting_says_who_is_told_the_schema(tmp_path: Path, role: str):
    async with new_chain(tmp_path, introspection="manager") as chain:
        answer = await ask(await as_(chain, role), query=TELLING[1])
        assert answer.status_code == (200 if role == "manager" else 403)
        assert (await ask(await caller(chain), query=TELLING[1])).status_code == 403


async def test_a_stranger_is_told_nothing_whatever_the_settings(tmp_path: Path):
    async with new_chain(tmp_path, introspection="all") as chain:
        stranger = Graph(chain, "nonsense", http(chain))
        for query in (*TELLING, TYPO):
            answer = await ask(stranger, query=query)
            assert (answer.status_code, code(answer)) == (401, "token_invalid")
            assert "mean" not in answer.text
        assert (await ask(await as_(chain, "device"), query=TELLING[0])).status_code == 200


@pytest.mark.parametrize("name", ["introspection", "trusted_only"])
async def test_a_setting_that_names_nobody_stops_the_server(tmp_path: Path, name: str):
    settings: dict[str, Any] = {name: "boss"}
    with pytest.raises(LocalError) as refused:
        async with new_chain(tmp_path, **settings):
            pass
    assert refused.value.code == "setting_invalid"
    assert getattr(Settings.read({f"REGULARS_{name.upper()}": "device"}), name) == "device"


# --- what builds write -----------------------------------------------------------------------------------


async def test_what_relay_and_codegen_write_is_found_by_what_their_clients_send(chain: Chain):
    relay, codegen = md5(NAMES.encode()).hexdigest(), "abcdef0123456789" * 2 + "abcdef01"
    await chain.service.access.documents.publish({relay: ("", NAMES), codegen: ("", NAMES)})
    graph = await caller(chain)
    for id in (relay, codegen):
        assert (await ask(graph, documentId=id)).status_code == 200
