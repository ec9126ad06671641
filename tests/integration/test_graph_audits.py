"""The 61 audits by which the graphql-http project (1.23) judges a server, each under its own number.

They say what GraphQL over HTTP demands (MUST), advises (SHOULD) and allows (MAY). All pass.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from tests.support.chain import new_chain
from tests.support.graph import Graph, caller

STRICT = "application/graphql-response+json"
JSON = "application/json"
HELLO = {"query": "{ __typename }"}
NAMED = {"query": "query Query { __typename }", "operationName": "Query"}
TYPE = {
    "query": "query Type($name: String!) { __type(name: $name) { name } }",
    "variables": {"name": "sometype"},
}
UNREADABLE = {"query": "{"}
UNKNOWN = {"query": "{ 8f31403dfe404bccbb0e835f2629c6a7 }"}
UNFIT = {"query": "query CoerceFailure($id: ID!){ __typename }", "variables": {"id": None}}
NO_TEXT: list[Any] = [{"obj": "ect"}, 0, False, ["array"]]
NO_MAP: list[Any] = ["string", 0, False, ["array"]]
CLIENT, ANY_FAULT = range(400, 500), range(400, 600)
OK, BAD = range(200, 201), range(400, 401)


def posts() -> dict[str, tuple[Any, str | None, range]]:
    """By number: the body, what is accepted, and the status that may be answered."""
    audits: dict[str, tuple[Any, str | None, range]] = {
        "22EB": (HELLO, STRICT, OK),
        "4655": (HELLO, JSON, OK),
        "47DE": (HELLO, "*/*", OK),
        "80D8": (HELLO, None, OK),
        "82A3": (HELLO, None, OK),
        "BF61": ({"query": '{ __type(name: "Run🏃Swim🏊") { name } }'}, None, OK),
        "78D5": (HELLO, None, OK),
        "2C94": (HELLO, None, OK),
        "03D4": (HELLO, None, OK),
        "A5BF": (b"", None, BAD),
        "423L": ({"notquery": "{ __typename }"}, STRICT, BAD),
        "34A2": (HELLO, STRICT, OK),
        "13EE": (HELLO, JSON, OK),
        "8161": (NAMED, STRICT, OK),
        "B8B3": (NAMED, JSON, OK),
        "2EA1": (TYPE, STRICT, OK),
        "28B9": (TYPE, JSON, OK),
        "428F": ({**HELLO, "extensions": {"some": "value"}}, STRICT, OK),
        "1B7A": ({**HELLO, "extensions": {"some": "value"}}, JSON, OK),
        "B6DC": (b'{ "not a JSON', JSON, range(200, 600)),
        "BCF8": (b'{ "not a JSON', JSON, BAD),
        "B7N8": (b'{ "not a JSON', STRICT, BAD),
        "8764": ({"qeury": "{ __typename }"}, None, ANY_FAULT),
        "3E3A": ({"qeury": "{ __typename }"}, None, BAD),
        "572B": (UNREADABLE, JSON, OK),
        "FDE2": (UNKNOWN, JSON, OK),
        "7B9B": (UNFIT, JSON, OK),
        "865D": (UNREADABLE, STRICT, ANY_FAULT),
        "556A": (UNREADABLE, STRICT, BAD),
        "D586": (UNREADABLE, STRICT, ANY_FAULT),
        "51FE": (UNKNOWN, STRICT, ANY_FAULT),
        "74FF": (UNKNOWN, STRICT, BAD),
        "5E5B": (UNKNOWN, STRICT, ANY_FAULT),
        "86EE": (UNFIT, STRICT, BAD),
    }
    for i in range(4):
        audits[f"LKJ{i}"] = ({"query": NO_TEXT[i]}, None, BAD)
        audits[f"6C0{i}"] = ({**HELLO, "operationName": NO_TEXT[i]}, None, BAD)
        audits[f"476{i}"] = ({**HELLO, "variables": NO_MAP[i]}, None, BAD)
        audits[f"58B{i}"] = ({**HELLO, "extensions": NO_MAP[i]}, None, BAD)
    for i, name in enumerate(("variables", "operationName", "extensions")):
        audits[f"94B{i}"] = ({**HELLO, name: None}, STRICT, OK)
        audits[f"022{i}"] = ({**HELLO, name: None}, JSON, OK)
    return audits


POSTS = posts()
GETS: dict[str, tuple[dict[str, str], str | None, range]] = {
    "5A70": (HELLO, None, OK),
    "9C48": ({"query": "mutation { __typename }"}, STRICT, CLIENT),
    "D6D5": ({**TYPE, "variables": '{"name":"sometype"}'}, STRICT, OK),  # type: ignore[dict-item]
    "6A70": ({**TYPE, "variables": '{"name":"sometype"}'}, JSON, OK),  # type: ignore[dict-item]
}
UNTYPED = "9ABE"


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Graph]:
    async with new_chain(tmp_path) as chain:
        yield await caller(chain, "admin")


def headers(office: Graph, accept: str | None) -> dict[str, str]:
    given = {"authorization": f"Bearer {office.token}", "accept": accept or ""}
    return {name: value for name, value in given.items() if value}


def judge(answer: httpx2.Response, accept: str | None, statuses: range) -> None:
    assert answer.status_code in statuses, answer.text
    if not answer.content:
        return
    expected = STRICT if accept == STRICT else JSON
    assert answer.headers["content-type"] == f"{expected}; charset=utf-8"
    said = orjson.loads(answer.content.decode("utf-8"))
    if statuses == OK and accept == STRICT:
        assert "errors" not in said
    if statuses.start == 400:
        assert said["errors"]
        assert "data" not in said


def test_there_are_sixty_one():
    assert len(POSTS) + len(GETS) + len([UNTYPED]) == 61


@pytest.mark.parametrize("number", POSTS)
async def test_a_post_is_answered_as_the_audit_says(office: Graph, number: str):
    body, accept, statuses = POSTS[number]
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    charset = "; charset=utf-8" if number == "BF61" else ""
    given = {**headers(office, accept), "content-type": f"{JSON}{charset}"}
    judge(await office.http.post("/graphql", content=content, headers=given), accept, statuses)


@pytest.mark.parametrize("number", GETS)
async def test_a_get_is_answered_as_the_audit_says(office: Graph, number: str):
    parameters, accept, statuses = GETS[number]
    answer = await office.http.get("/graphql", params=parameters, headers=headers(office, accept))
    judge(answer, accept, statuses)


async def test_a_post_of_no_type_is_refused_as_audit_9abe_says(office: Graph):
    answer = await office.http.post("/graphql", content=orjson.dumps(HELLO), headers=headers(office, None))
    judge(answer, None, CLIENT)
