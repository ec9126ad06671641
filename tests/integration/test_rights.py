"""Who may do what, held to the schema and the app: every root field and every endpoint, for every caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.routing import Route, WebSocketRoute

from regulars_schema.entities import STAFF_ROLE
from regulars_server import devices
from regulars_server.access.rights import (
    ANYBODY,
    CALLERS,
    ENDPOINTS,
    EXPORT,
    RANKS,
    READ,
    READS,
    RIGHTS,
    ROLES,
    ROOTS,
    STRANGER,
    WRITE,
)
from regulars_server.graph.schema import build_schema
from regulars_server.graph.types import TYPES
from regulars_sync.errors import Refused
from tests.support.chain import Chain, new_chain
from tests.support.documents import call, roots
from tests.support.graph import Graph, Tablet, caller, http

SCHEMA = build_schema()._schema
ALL_ROOTS = [(f"{operation.capitalize()}.{name}", operation, name, f) for operation, name, f in roots(SCHEMA)]


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as chain:
        yield chain


async def as_(chain: Chain, who: str) -> Graph:
    """Somebody of a row of `ROLES`, with a fresh token; a person of units, but for head office."""
    if who == STRANGER:
        return Graph(chain, "", http(chain))
    if who == "device":
        office = await caller(chain)
        office.token = (await Tablet(chain, office).pair("Nanjing Road")).token
        return office
    name, units = chain.new_id()[-12:], None if who == "head_office" else [chain.units["Nanjing Road"]]
    role = "admin" if who == "head_office" else who
    await chain.service.access.add_login(name, "correct horse", role, units=units)
    _, token = await chain.service.access.login(name, "correct horse")
    return Graph(chain, token, http(chain))


def test_every_root_says_what_it_asks_for_and_nothing_else_does():
    assert {root for root, *_ in ALL_ROOTS} == set(ROOTS)
    assert {right for right in ROOTS.values() if right != ANYBODY} <= set(RIGHTS)


def test_every_right_is_of_a_role_and_roles_grow():
    assert frozenset().union(*ROLES.values()) == set(RIGHTS)
    for less, more in zip(ROLES, list(ROLES)[1:], strict=False):
        assert ROLES[less] <= ROLES[more]
    assert set(RANKS) == set(STAFF_ROLE.values)
    assert set(READ) == set(WRITE) == set(TYPES) | {"scheme"}  # what it shows is made of the shipped one, too


def test_an_analyst_reads_everything_and_writes_nothing():
    assert ROLES["analyst"] == READS | {EXPORT}
    for root, operation, *_ in ALL_ROOTS:
        if operation == "mutation":
            assert ROOTS[root] not in READS | {ANYBODY}, root


def code_of(answer: dict[str, Any]) -> str | None:
    """Why the one root field was refused, by an error or by its own answer."""
    if "errors" in answer:
        return str(answer["errors"][0]["extensions"]["code"])
    done = answer["data"]["done"]
    return done.get("code") if isinstance(done, dict) else None


@pytest.mark.parametrize("who", ROLES)
async def test_each_root_is_refused_to_exactly_those_without_its_right(chain: Chain, who: str):
    graph = await as_(chain, who)
    for root, operation, name, field in ALL_ROOTS:
        if operation == "subscription":
            continue
        answer = await graph.send(call(operation, name, field))
        code = code_of(answer)
        allowed = ROOTS[root] == ANYBODY or ROOTS[root] in ROLES[who]
        assert (code == "not_allowed") is not allowed, (root, who, answer)


def test_the_guard_stands_before_every_root_also_before_a_subscription():
    for root, _, _, field in ALL_ROOTS:
        right = ROOTS[root]
        asked: list[str] = []

        def require(right: str, asked: list[str] = asked) -> None:
            asked.append(right)
            raise Refused("not_allowed")

        context = SimpleNamespace(principal=SimpleNamespace(require=require), lang="en")
        first = field.subscribe or field.resolve
        assert first is not None
        try:
            answer = first(None, SimpleNamespace(context=context))
        except Refused as refused:
            answer = refused
        assert asked == [right]
        assert answer.code == "not_allowed"


def test_the_schema_with_a_root_that_says_nothing_is_not_served(monkeypatch: pytest.MonkeyPatch):
    rows = dict(ROOTS)
    del rows["Query.customers"]
    monkeypatch.setattr("regulars_server.graph.guard.ROOTS", rows)
    with pytest.raises(KeyError):
        build_schema.__wrapped__()


def served(chain: Chain) -> dict[str, str]:
    """Every endpoint as `ENDPOINTS` calls it, and its path."""
    found: dict[str, str] = {}
    for route in chain.app.routes:
        assert isinstance(route, Route | WebSocketRoute), route
        shown = "/graphql/ide/{name}" if route.path.startswith("/graphql/ide/") else route.path
        methods = route.methods if isinstance(route, Route) else {"WS"}
        found |= {f"{method} {shown}": route.path for method in methods or () if method != "HEAD"}
    return found


async def test_every_endpoint_says_who_may_call_it_and_nothing_else_does(chain: Chain):
    assert set(served(chain)) == set(ENDPOINTS)


@pytest.mark.parametrize("who", CALLERS)
async def test_each_endpoint_is_closed_to_exactly_those_it_does_not_name(chain: Chain, who: str):
    chain.service.hub.close()  # so that what streams ends at once
    for endpoint, path in served(chain).items():
        method, _, _ = endpoint.partition(" ")
        if method == "WS":
            continue
        graph = await as_(chain, who)
        if who == "device" and path.endswith("/wiped"):  # one that was told to
            principal = await chain.service.access.principal(graph.token)
            await devices.revoke(chain.service, principal.device or "")
        headers = {"authorization": f"Bearer {graph.token}"} if graph.token else {}
        body: dict[str, Any] = {} if method == "GET" else {"json": {}}
        answer = await asyncio.wait_for(graph.http.request(method, path, headers=headers, **body), 10)
        said = answer.text if answer.status_code in (401, 403) else ""
        closed = "token_missing" in said or "not_allowed" in said
        assert closed is (who not in ENDPOINTS[endpoint]), (endpoint, who, answer.text[:200])
        if closed:
            assert answer.status_code == (401 if who == STRANGER else 403)
