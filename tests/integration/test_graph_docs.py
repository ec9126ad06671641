"""docs/API.md tells the truth: its examples run, in their order, and its limits are those of the code."""

from __future__ import annotations

import json
import re
from contextlib import aclosing
from pathlib import Path
from typing import Any

from regulars_server.graph import (
    bulk,
    connection,
    cost,
    documents,
    endpoint,
    importing,
    imports,
    request,
)
from regulars_server.graph.live import socket
from regulars_server.graph.live.operating import operate
from regulars_server.graph.operations import Asked, Operations
from regulars_server.knowledge import previewing
from regulars_server.lines import Line
from regulars_server.settings import Settings
from tests.support.chain import new_chain
from tests.support.graph import Graph, caller

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "API.md").read_text("utf-8")


async def test_the_examples_run(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        await chain.service.access.add_login("amy", "correct horse", "admin", sensitive=True)
        graph = await caller(chain, "admin")
        login, query = re.findall(r"-d '(\{.*\})'", TEXT)
        answer = await graph.http.post("/auth/login", content=login)
        graph.token = answer.json()["token"]
        headers = {"authorization": f"Bearer {graph.token}", "content-type": "application/json"}
        said = (await graph.http.post("/graphql", content=query, headers=headers)).json()
        assert said["data"] == {"me": {"name": "amy", "role": "admin"}}
        known: dict[str, Any] = {"other": await graph.customer("林方")}
        served = (await graph.http.get("/sync/v1")).json()
        assert f'"protocol": {served["protocol"]}, "schema": {json.dumps(served["schema"])}' in TEXT
        csv = b"external_id,name\nC-1,Amy\n"
        sent = await graph.http.post("/works/uploads", content=csv, headers=headers)
        known["upload"] = sent.json()["id"]
        answers: dict[str, Any] = {}
        for example in re.findall(r"```graphql\n(.*?)```", TEXT, re.DOTALL):
            variables = {name: known[name] for name in re.findall(r"\$(\w+): \w+!", example)}
            if example.startswith("subscription"):
                if "deviceStatus" in example:
                    await chain.tablet("one")
                answers |= await first_event(graph, example, variables)
                continue
            got = await graph.ask(example, **variables)
            answers |= got
            if "customerCreate" in got:
                known["id"] = got["customerCreate"]["customer"]["id"]
            if "history" in got:
                known["cid"] = got["history"]["nodes"][0]["cid"]
        assert answers["exportStart"]["export"]["state"] == "QUEUED"
        assert answers["importStart"]["import"]["state"] == "QUEUED"
        assert answers["customerUpdate"]["customer"]["notes"] == "likes oak"
        assert answers["interactionRecord"]["interaction"]["at"] == "2026-11-22T08:20:00.000Z"
        (noted,) = answers["history"]["nodes"]
        assert noted["fields"][0]["value"] == "likes oak"
        assert answers["identityDecide"]["identity"]["decision"] == "SAME"
        assert len(answers["identityDecide"]["one"]["members"]) == 2
        assert [one["id"] for one in answers["customerUnmerge"]["customer"]["members"]] in (
            [],
            [known["other"]],
        )
        assert answers["changes"]["rows"] == []
        assert answers["customerChanged"]["kind"] == "CHANGED"
        assert answers["changeReverse"]["row"]["notes"] is None
        assert [found["name"] for found in answers["customerLookup"]["customers"]] == ["林芳"]


async def first_event(graph: Graph, example: str, variables: dict[str, Any]) -> dict[str, Any]:
    operations = Operations(graph.chain.service)
    line = Line(graph.token, await operations.principal(graph.token), lambda error: None)
    async with aclosing(operate(operations, Asked(example, None, variables), line, "en")) as events:
        said = await anext(events)
    assert "errors" not in said.body, said
    data: dict[str, Any] = said.body["data"]
    return data


def test_the_limits_are_those_of_the_code():
    settings = Settings()
    words = " ".join(TEXT.split())
    for said in (
        f"{connection.ROWS_DEFAULT} rows unless told otherwise and {connection.ROWS_MAX} at most",
        f"over {settings.query_bytes_max // 1024} KiB, {settings.query_tokens_max:,} tokens",
        f"{settings.query_depth_max} levels, {documents.ROOT_FIELDS_MAX} root fields",
        f"{documents.OPERATIONS_MAX} operations, {documents.FRAGMENTS_MAX} fragments",
        f"{documents.ALIASES_MAX} aliases, {documents.DIRECTIVES_MAX} directives",
        f"{documents.FIELDS_MAX:,} fields",
        f"or {documents.PAIRS_MAX:,} pairs of fields",
        f"over {endpoint.VARIABLES_VALUES_MAX:,} values or {endpoint.VARIABLES_DEPTH_MAX} levels",
        f"may cost more than {settings.query_cost_max:,}",
        f"After {settings.query_seconds_max} seconds",
        f"an answer over {settings.answer_bytes_max >> 20} MiB",
        f"{settings.session_cost_max:,} for a session ({settings.session_cost_per_s:,} come back",
        f"and for a tablet ({settings.device_cost_per_s})",
        f"{settings.developer_cost_max:,} for a developer's token ({settings.developer_cost_per_s:,})",
        f"a count and a `search` cost {cost.SEARCH}",
        f"`history` and the `ledger` {cost.WEIGHTS['Query.history']}, a mutation {cost.MUTATION}",
        f"more than {request.ROWS_PER_REQUEST_MAX:,} rows",
        f"up to {bulk.BULK_ROWS_MAX} customers",
        f"looked at one by one, {previewing.ASKED_MAX:,} at most",
        f"may have {settings.upload_bytes_max >> 20} MiB and {importing.LINES_MAX:,} lines",
        f"after {settings.works_days} days",
        f"`problems` are the first {imports.PROBLEMS_MAX} of them",
        f"a message over {socket.MESSAGE_BYTES_MAX // 1024} KiB",
        f"within {socket.INIT_S_MAX:.0f} seconds",
        f"takes nothing for {socket.SEND_S_MAX:.0f} seconds",
        f"At most {settings.lines_max:,} sockets and streams are open, {settings.lines_per_token_max} for one"
        f" token, with {settings.line_operations_max} operations on each",
    ):
        assert said in words, said
