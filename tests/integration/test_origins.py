"""Pages of other sites: what they may not have done (CSRF), and what the listed ones may read (CORS)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.datastructures import Headers

from regulars_server.origins import Origins
from regulars_sync.errors import LocalError
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, caller, http

DESK = "https://desk.example"
EVIL = "https://evil.example"
QUERY = {"query": "{ me { name } }"}
WRITE = {"query": 'mutation { customerCreate(idempotencyKey: "c", input: { name: "C" }) { __typename } }'}


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path, origins=f"{DESK}, https://till.example:8443") as chain:
        yield chain


@pytest.fixture
async def closed(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as chain:
        yield chain


async def ask(graph: Graph, body: Any = QUERY, **headers: str) -> httpx2.Response:
    given = {"authorization": f"Bearer {graph.token}"} if graph.token else {}
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await graph.http.post("/graphql", json=body, headers={**given, **sent})


# --- what a page of another site may not have done -----------------------------------------------------


async def test_nothing_is_authorised_by_what_a_browser_attaches_by_itself(closed: Chain):
    """No answer sets a cookie, and a token in a cookie, in the URL or as a basic password opens nothing."""
    graph = await caller(closed)
    await closed.service.access.add_login("amy", "correct horse", "admin")
    login = await graph.http.post("/auth/login", json={"name": "amy", "password": "correct horse"})
    session = login.json()["token"]
    answers = [login, await ask(graph), await graph.http.get("/graphql"), await graph.http.get("/healthz")]
    assert not any("set-cookie" in answer.headers for answer in answers)
    stranger = Graph(closed, "", http(closed))
    for headers in (
        {"cookie": f"token={session}; authorization=Bearer {session}"},
        {"authorization": f"Basic {session}"},
        {"x_authorization": f"Bearer {session}"},
    ):
        assert (await ask(stranger, WRITE, **headers)).status_code == 401
    in_url = await stranger.http.post(f"/graphql?token={session}&access_token={session}", json=WRITE)
    assert in_url.status_code == 401
    assert (await graph.ask("{ customers { totalCount } }"))["customers"]["totalCount"] == 0


@pytest.mark.parametrize(
    "content", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
async def test_what_a_form_can_send_is_not_taken(closed: Chain, content: str):
    """These are what a page may send anywhere without being asked first (a preflight)."""
    graph = await caller(closed)
    headers = {"authorization": f"Bearer {graph.token}", "content-type": content}
    answer = await graph.http.post("/graphql", content=b'{"query": "{ me { name } }"}', headers=headers)
    assert answer.status_code == 415


ENDPOINTS = ["/graphql", "/auth/login", "/auth/logout", "/sync/v1/pair", "/sync/v1/push", "/sync/v1/wiped"]


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("origin", [EVIL, "null", "http://hq.evil.example", "https://hq:81", "hq", "file://"])
async def test_a_page_of_another_site_has_nothing_done(closed: Chain, path: str, origin: str):
    graph = await caller(closed)
    headers = {"authorization": f"Bearer {graph.token}", "origin": origin, "sec-fetch-site": "cross-site"}
    answer = await graph.http.post(path, json=WRITE, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "origin_refused")
    assert "access-control-allow-origin" not in answer.headers
    assert (await graph.ask("{ customers { totalCount } }"))["customers"]["totalCount"] == 0


async def test_programs_and_the_servers_own_page_are_not_asked(closed: Chain):
    graph = await caller(closed)
    assert (await ask(graph)).status_code == 200
    assert (await ask(graph, origin="http://hq")).status_code == 200
    assert (
        await ask(graph, origin="https://behind.a.proxy", sec_fetch_site="same-origin")
    ).status_code == 200
    assert (await ask(graph, origin=EVIL, sec_fetch_site="same-site")).status_code == 403


# --- the listed sites --------------------------------------------------------------------------------


async def preflight(
    chain: Chain, origin: str, method: str = "POST", headers: str = "authorization, content-type"
) -> httpx2.Response:
    asked = {"origin": origin, "access-control-request-method": method}
    if headers:
        asked["access-control-request-headers"] = headers
    return await http(chain).options("/graphql", headers=asked)


async def test_a_listed_site_may_ask_and_read_the_answer(chain: Chain):
    answer = await preflight(chain, DESK)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == DESK
    assert "POST" in answer.headers["access-control-allow-methods"]
    for header in ("authorization", "content-type", "accept-language"):
        assert header in answer.headers["access-control-allow-headers"].lower()
    graph = await caller(chain)
    said = await ask(graph, origin=DESK, x_request_id="till-7:1")
    assert said.json()["data"]["me"]["name"] == "admin"
    assert said.headers["access-control-allow-origin"] == DESK
    assert "origin" in said.headers["vary"].lower()
    assert {"retry-after", "x-request-id"} <= set(said.headers["access-control-expose-headers"].split(", "))
    assert said.headers["x-request-id"] == "till-7:1"
    refused = await ask(Graph(chain, "", http(chain)), origin=DESK)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, DESK)


@pytest.mark.parametrize(
    "origin",
    [EVIL, "null", f"{DESK}.evil.example", "http://desk.example", f"{DESK}:444", "https://DESK.example", "*"],
)
async def test_no_other_site_is_let_in(chain: Chain, origin: str):
    answer = await preflight(chain, origin)
    assert answer.status_code == 400
    assert "access-control-allow-origin" not in answer.headers
    said = await ask(await caller(chain), origin=origin)
    assert (said.status_code, "access-control-allow-origin" in said.headers) == (403, False)


async def test_without_a_list_no_page_elsewhere_reads_anything(closed: Chain):
    answer = await preflight(closed, DESK)
    assert answer.status_code >= 400
    read = await http(closed).get("/graphql", headers={"origin": DESK})
    for headers in (answer.headers, read.headers):
        assert not [name for name in headers if name.startswith("access-control-")]


async def test_credentials_and_wildcards_are_never_granted(chain: Chain):
    for origin in (DESK, EVIL):
        for answer in (await preflight(chain, origin), await ask(await caller(chain), origin=origin)):
            assert "access-control-allow-credentials" not in answer.headers
            assert answer.headers.get("access-control-allow-origin") != "*"
    assert (await preflight(chain, DESK, headers="x-anything")).status_code == 400
    assert (await preflight(chain, DESK, method="PATCH")).status_code == 400


@pytest.mark.parametrize(
    "listed",
    ["*", "desk.example", f"{DESK}/", "https://*.example", "ftp://x", "https://Desk.x", "https://a b"],
)
def test_a_list_that_is_none_stops_the_server(listed: str):
    with pytest.raises(LocalError) as refused:
        Origins(listed)
    assert refused.value.code == "setting_invalid"


def test_a_socket_asks_the_same_question():
    origins = Origins(DESK)
    for origin, allowed in ((DESK, True), ("https://hq", True), (EVIL, False), ("null", False)):
        assert origins.allows(Headers({"host": "hq", "origin": origin})) is allowed
    assert origins.allows(Headers({"host": "hq"}))


@pytest.mark.parametrize("named", ["a b", "x" * 65, "a\tb", "é"])
async def test_a_request_id_that_is_none_is_not_told_back(closed: Chain, named: str):
    graph = await caller(closed)
    headers = [(b"authorization", f"Bearer {graph.token}".encode()), (b"x-request-id", named.encode())]
    answer = await graph.http.post("/graphql", json=QUERY, headers=headers)
    assert answer.status_code == 200
    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["x-request-id"]), "it is given one of ours"
