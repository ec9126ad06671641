# ruff: noqa: E501 (queries)
"""GraphQL over HTTP: statuses and media types, limits, hostile bodies, and the page."""

from __future__ import annotations

import gc
import gzip
import logging
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from graphql import get_introspection_query

from regulars_schema.messages import MESSAGES
from regulars_server.app import create_app
from regulars_server.graph.request import Context
from regulars_server.settings import Settings
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, caller
from tests.support.hostile import HOSTILE

RESPONSE = "application/graphql-response+json"
PLAIN = "application/json"
CPU_SECONDS_MAX = 0.5
"""Of client and server together; the limits stop each of these within some 50 milliseconds."""


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


@pytest.fixture
async def office(chain: Chain) -> Graph:
    return await caller(chain, "admin")


async def post(graph: Graph, body: Any, **headers: str) -> httpx2.Response:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    given = {"authorization": f"Bearer {graph.token}", "content-type": PLAIN, **headers}
    return await graph.http.post("/graphql", content=content, headers={k: v for k, v in given.items() if v})


def code_of(answer: httpx2.Response) -> str:
    said = answer.json()
    assert "Traceback" not in answer.text
    assert "File " not in answer.text
    return str(said["errors"][0]["extensions"]["code"])


async def test_without_a_token_nothing_is_told(office: Graph):
    for accept in (RESPONSE, PLAIN):
        answer = await post(office, {"query": "{ __typename }"}, accept=accept, authorization="")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert code_of(answer) == "token_missing"
        wrong = await post(
            office, {"query": "{ __typename }"}, accept=accept, authorization="Bearer nonsense"
        )
        assert (wrong.status_code, code_of(wrong)) == (401, "token_invalid")
    zh = await post(office, {"query": "{ a }"}, authorization="", **{"accept-language": "zh"})
    assert "令牌" in zh.json()["errors"][0]["message"]


async def test_a_revoked_token_is_out_at_once(chain: Chain, office: Graph):
    assert (await office.ask("{ __typename }")) == {"__typename": "Query"}
    (token,) = await chain.service.access.tokens()
    await chain.service.access.revoke(token.id)
    assert await office.code("{ __typename }") == "token_invalid"


async def test_a_person_signs_in_and_asks(chain: Chain, office: Graph):
    await chain.service.access.add_login("amy", "correct horse", "manager", units=[chain.units["Orchard"]])
    said = (await office.http.post("/auth/login", json={"name": "amy", "password": "correct horse"})).json()
    office.token = said["token"]
    got = await office.ask("{ me { kind name role units { name } } }")
    assert got["me"] == {"kind": "session", "name": "amy", "role": "manager", "units": [{"name": "Orchard"}]}


STATUSES: list[tuple[Any, int, int]] = [
    # body, status as application/graphql-response+json, as application/json
    ({"query": "{ __typename }"}, 200, 200),
    ({"query": "{ __typename }", "variables": None, "operationName": None, "extensions": None}, 200, 200),
    ({"query": "{ __typename }", "variables": {}, "extensions": {"a": 1}}, 200, 200),
    ({"query": "query A { __typename } query B { me { name } }", "operationName": "A"}, 200, 200),
    ({"query": "query A { __typename } query B { me { name } }"}, 400, 200),
    ({"query": "query A { __typename }", "operationName": "Z"}, 400, 200),
    ({"query": "{"}, 400, 200),
    ({"query": "{ nothing }"}, 400, 200),
    ({"query": "query ($id: UUID!) { customer(id: $id) { id } }"}, 400, 200),
    ({"query": "query ($id: UUID!) { customer(id: $id) { id } }", "variables": {"id": 7}}, 400, 200),
    ({"query": "{ customers(first: -1) { totalCount } }"}, 200, 200),
    ({"query": ""}, 400, 400),
    ({"query": 7}, 400, 400),
    ({}, 400, 400),
    ({"query": "{ __typename }", "variables": 7}, 400, 400),
    ({"query": "{ __typename }", "variables": [7]}, 400, 400),
    ({"query": "{ __typename }", "operationName": 7}, 400, 400),
    ({"query": "{ __typename }", "extensions": "x"}, 400, 400),
    ([{"query": "{ __typename }"}], 400, 400),
    ("{ __typename }", 400, 400),
    (None, 400, 400),
    (b"", 400, 400),
    (b'{"query": "{ __type', 400, 400),
    (b'{"query": "\xff\xfe"}', 400, 400),
    (b'{"query": "\\ud800"}', 400, 400),
    (b"[" * 100_000, 400, 400),
]


@pytest.mark.parametrize(("body", "strict", "legacy"), STATUSES)
async def test_the_status_says_what_happened(office: Graph, body: Any, strict: int, legacy: int):
    for accept, status in ((RESPONSE, strict), (PLAIN, legacy), ("", legacy), ("*/*", legacy)):
        answer = await post(office, body, accept=accept or PLAIN)
        assert answer.status_code == status, answer.text
        expected = RESPONSE if accept == RESPONSE else PLAIN
        assert answer.headers["content-type"] == f"{expected}; charset=utf-8"
        if answer.json().get("data") is None:
            assert code_of(answer) in MESSAGES


async def test_what_is_not_json_is_415_and_what_is_not_accepted_406(office: Graph):
    good = {"query": "{ __typename }"}
    for content_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/graphql",
        "application/json; charset=utf-16",
    ):
        assert (await post(office, good, **{"content-type": content_type})).status_code == 415
    assert (
        await post(office, good, **{"content-type": "application/json; charset=UTF-8"})
    ).status_code == 200
    assert (await post(office, good, accept="text/html")).status_code == 406
    for accept, expected in (
        (f"{PLAIN}, {RESPONSE};q=0.5", PLAIN),
        (f"{PLAIN};q=0.5, {RESPONSE}", RESPONSE),
        (f"{RESPONSE}, {PLAIN};q=0.9", RESPONSE),
        ("text/html, application/*;q=0.1", PLAIN),
    ):
        answer = await post(office, good, accept=accept)
        assert answer.headers["content-type"].startswith(expected), accept


async def test_queries_go_over_get_and_mutations_never(chain: Chain, office: Graph):
    async def get(query: str, **parameters: str) -> httpx2.Response:
        given = {"query": query, **parameters}
        headers = {"accept": PLAIN, "authorization": f"Bearer {office.token}"}
        return await office.http.get("/graphql", params=given, headers=headers)

    assert (await get("{ __typename }")).json()["data"] == {"__typename": "Query"}
    both = 'query A { __typename } mutation B { identityScan(idempotencyKey: "k") { __typename } }'
    assert (await get(both, operationName="A")).status_code == 200
    for answer in (await get(both, operationName="B"), await get("mutation { __typename }")):
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert not answer.content
    assert (await get("{ __typename }", variables="{")).status_code == 400
    assert (await get("{ __typename }", variables="[]")).status_code == 400
    unnamed = await office.http.get("/graphql", params={"query": "{ __typename }"})
    assert unnamed.status_code == 401
    assert (await office.http.get("/graphql", params={"x": "y"})).status_code == 405


async def test_gzip_is_taken_and_given(office: Graph):
    body = gzip.compress(orjson.dumps({"query": get_introspection_query()}))
    answer = await post(office, body, **{"content-encoding": "gzip", "accept-encoding": "gzip"})
    assert answer.status_code == 200
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json()["data"]["__schema"]["queryType"] == {"name": "Query", "kind": "OBJECT"}
    bomb = gzip.compress(b" " * 50_000_000)
    assert (await post(office, bomb, **{"content-encoding": "gzip"})).status_code == 413


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_document_is_refused_soon(office: Graph, name: str):
    gc.collect()
    gc.disable()  # what thousands of tests before left is none of the server's
    try:
        begun = time.process_time()
        answer = await post(office, {"query": HOSTILE[name]}, accept=RESPONSE)
        took = time.process_time() - begun
    finally:
        gc.enable()
    assert took < CPU_SECONDS_MAX
    assert answer.status_code in {400, 413}, answer.text[:300]
    assert code_of(answer) in {"query_too_large", "argument_invalid", "body_too_large"}
    assert "data" not in answer.json()


async def test_a_body_of_a_megabyte_or_more_is_refused(office: Graph):
    answer = await post(office, {"query": "{ me { name } }", "variables": {"x": "y" * 2_000_000}})
    assert (answer.status_code, code_of(answer)) == (413, "body_too_large")


async def test_hostile_variables_have_a_code(office: Graph):
    nested: Any = {}
    for _ in range(100):
        nested = {"NOT": nested}
    where = "query ($w: CustomerWhere) { customers(where: $w) { totalCount } }"
    assert code_of(await post(office, {"query": where, "variables": {"w": nested}})) == "query_too_large"
    raw = b'{"query": "query ($s: String) { customers(search: $s) { totalCount } }", "variables": {"s": %s}}'
    for given, code in (
        (b'"a\\u0000b"', "text_invalid"),
        (b'"\\ud800"', "body_invalid"),
        (b'{"a": 1}', "argument_invalid"),
        (b"1e999", "body_invalid"),
        (b"7", "argument_invalid"),
    ):
        assert code_of(await post(office, raw % given)) == code, given
    first = "query ($n: Int) { customers(first: $n) { totalCount } }"
    for number in (2**31, -(2**40), 1.5, "1", True):
        assert code_of(await post(office, {"query": first, "variables": {"n": number}})) == "argument_invalid"
    many = {"query": where, "variables": {"w": {"OR": [{"bad": i} for i in range(2_000)]}}}
    answer = await post(office, many)
    assert len(answer.json()["errors"]) <= 51


async def test_the_introspection_of_every_tool_passes_the_limits(office: Graph):
    got = await office.ask(get_introspection_query(descriptions=True, input_value_deprecation=True))
    names = {type_["name"] for type_ in got["__schema"]["types"]}
    assert {"Customer", "CustomerWhere", "CustomerConnection", "Mutation", "UUID", "DateTime"} <= names
    deepest = "{ customers { edges { node { interactions { edges { node { party { customer { homeUnit { parent { name } } } } } } } } } } }"
    await office.ask(deepest)


async def test_a_fault_of_ours_shows_a_number_and_nothing_else(
    office: Graph, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def broken(self: Context, *arguments: Any, **named: Any) -> Any:
        raise RuntimeError("SELECT secret FROM customer")

    monkeypatch.setattr(Context, "select", broken)
    with caplog.at_level(logging.ERROR):
        answer = await post(office, {"query": "{ me { name } customers { totalCount } }"}, accept=RESPONSE)
    assert answer.status_code == 200
    assert code_of(answer) == "internal"
    assert "secret" not in answer.text
    (error,) = answer.json()["errors"]
    assert error["path"] == ["customers"]
    incident = error["extensions"]["detail"]["incident"]
    assert incident in error["message"]
    assert any(getattr(record, "incident", None) == incident for record in caplog.records)


async def test_a_fault_inside_a_mutation_is_masked_too(
    chain: Chain, office: Graph, monkeypatch: pytest.MonkeyPatch
):
    async def broken(*arguments: Any, **named: Any) -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr(type(chain.service.admission), "write", broken)
    answer = await office.send(
        'mutation { customerCreate(idempotencyKey: "k", input: { name: "a" }) { __typename } }'
    )
    assert answer["errors"][0]["extensions"]["code"] == "internal"
    assert "secret" not in str(answer)


async def test_documents_are_kept_by_their_text(chain: Chain, office: Graph, monkeypatch: pytest.MonkeyPatch):
    query = "query ($n: Int) { customers(first: $n) { totalCount } }"
    await office.ask(query, n=1)

    def never(*arguments: Any, **named: Any) -> Any:
        raise AssertionError("parsed again")

    monkeypatch.setattr("regulars_server.graph.documents.parse", never)
    await office.ask(query, n=2)


# --- the page ---------------------------------------------------------------------------------------


async def test_the_page_and_all_that_it_names_come_from_this_server(office: Graph):
    page = await office.http.get("/graphql", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assets = [name for name in named if not name.startswith("data:")]
    assert sorted(assets) == ["/graphql/ide/ide.css", "/graphql/ide/ide.js"]
    texts = [page.text]
    for name in assets:
        asset = await office.http.get(name)
        assert asset.status_code == 200
        texts.append(asset.text)
    for text in texts:
        assert not re.search(r"https?:|//[a-z0-9-]+\.[a-z]|@import|url\(", text), "it refers to another host"
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert not re.search(r"<script>|\son\w+=|style=", page.text), "the policy would refuse it"


async def test_every_word_of_the_page_is_there_in_both_languages(office: Graph):
    script = (await office.http.get("/graphql/ide/ide.js")).text
    page = (await office.http.get("/graphql")).text
    tables = {
        lang: set(re.findall(r"[ ,{](\w+): \"", re.sub(r"JSON: ", "", block)))
        for lang, block in re.findall(r"^  (en|zh): \{(.*?)^  \},", script, re.DOTALL | re.MULTILINE)
    }
    assert tables["en"] == tables["zh"]
    used = set(re.findall(r'data-t="(\w+)"', page)) | set(re.findall(r'\bt\("(\w+)"\)', script))
    assert used <= tables["en"]


async def test_the_pages_examples_and_its_introspection_run(office: Graph):
    script = (await office.http.get("/graphql/ide/ide.js")).text
    queries = [orjson.loads(text) for text in re.findall(r'query: ("(?:[^"\\]|\\.)*")', script)]
    assert len(queries) == 6
    (listening,) = [query for query in queries if query.startswith("subscription")]
    queries.remove(listening)
    assert await office.code(listening) == "stream_needed"
    variables = {"key": "k", "input": {"name": "林芳"}, "search": "lin"}
    for query in queries:
        wanted = {name: variables[name] for name in re.findall(r"\$(\w+):", query)}
        await office.ask(query, **wanted)
    (introspection,) = re.findall(r"INTROSPECTION = `(.*?)`", script, re.DOTALL)
    got = await office.ask(introspection)
    assert len(got["__schema"]["types"]) > 50


async def test_the_page_can_be_switched_off(chain: Chain):
    closed = replace(chain.service, settings=Settings(data=chain.folder, ide=False))
    app = create_app(closed.settings, closed)
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hq")
    assert (await http.get("/graphql")).status_code == 405
    assert (await http.get("/graphql/ide/ide.js")).status_code == 404
