# ruff: noqa: E501 (queries)
"""A chain asked over GraphQL: tokens of several roles, and requests as a client sends them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx2
import orjson

from regulars_sync.changes import Change, Stated, Value, encode
from tests.support.chain import Chain

SAVED = "... on CustomerSaved { customer { id version name } } ... on Error { code path message detail retryable }"
CREATE = f"mutation ($key: String!, $input: CustomerInput!) {{ customerCreate(idempotencyKey: $key, input: $input) {{ __typename {SAVED} }} }}"
RECORD = """mutation ($key: String!, $input: InteractionInput!) {
    interactionRecord(idempotencyKey: $key, input: $input) {
        __typename ... on InteractionSaved { interaction { id } } ... on Error { code path }
    }
}"""


@dataclass
class Graph:
    """One caller with one token."""

    chain: Chain
    token: str
    http: httpx2.AsyncClient
    keys: int = 0
    last: httpx2.Response | None = field(default=None, repr=False)

    async def send(
        self, query: str, headers: dict[str, str] | None = None, **variables: Any
    ) -> dict[str, Any]:
        """The whole answer, data and errors."""
        self.last = await self.http.post(
            "/graphql",
            json={"query": query, "variables": variables},
            headers={"authorization": f"Bearer {self.token}", **(headers or {})},
        )
        answer: dict[str, Any] = self.last.json()
        return answer

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of a query without errors."""
        answer = await self.send(query, **variables)
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    async def code(self, query: str, **variables: Any) -> str:
        """The code of the first error."""
        answer = await self.send(query, **variables)
        assert "errors" in answer, answer
        assert "Traceback" not in str(answer)
        return str(answer["errors"][0]["extensions"]["code"])

    def key(self) -> str:
        self.keys += 1
        return f"{self.token[-6:]}-{self.keys}"

    async def customer(self, name: str, **input: Any) -> str:
        """The id of a new customer."""
        done = await self.ask(CREATE, key=self.key(), input={"name": name, **input})
        assert done["customerCreate"]["__typename"] == "CustomerSaved", done
        return str(done["customerCreate"]["customer"]["id"])

    async def visit(self, *customers: str, at: str = "2026-11-20T10:00:00Z", **input: Any) -> str:
        party = [{"customerId": id} for id in customers]
        given = {"kind": "VISIT", "at": at, "party": party, **input}
        done = await self.ask(RECORD, key=self.key(), input=given)
        assert done["interactionRecord"]["__typename"] == "InteractionSaved", done
        return str(done["interactionRecord"]["interaction"]["id"])


async def caller(
    chain: Chain, role: str = "admin", unit: str | None = None, sensitive: bool = False
) -> Graph:
    """A developer token of a role, for a unit or the whole chain."""
    units = None if unit is None else [chain.units[unit]]
    _, token = await chain.service.access.new_token("developer", role, role, units, sensitive)
    return Graph(chain, token, http(chain))


def http(chain: Chain) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(chain.app), base_url="http://hq")


class Tablet:
    """Pushes changes as they are, so that some are held or rejected."""

    def __init__(self, chain: Chain, graph: Graph) -> None:
        self.chain, self.http = chain, graph.http
        self.n = 1
        self.incarnation = "a" * 16

    async def pair(self, unit: str) -> Tablet:
        code = await self.chain.service.access.new_pairing_code(self.chain.units[unit], "till")
        answer = await self.http.post("/sync/v1/pair", json={"code": code, "name": "till", "schema": 1})
        self.token, self.device = answer.json()["token"], answer.json()["device"]
        return self

    def change(self, fields: dict[str, Any], cid: str, group: str | None = None, size: int = 1) -> Change:
        return Change(
            cid=cid, group=group or cid, size=size, op="create", entity="customer", id=self.chain.new_id(),
            fields={path: Value(value) for path, value in fields.items()},
            stamp=self.chain.clock.ms, stated=Stated(self.chain.clock.ms), schema=1,
        )  # fmt: skip

    async def push(self, *changes: Change, **more: Any) -> list[str]:
        body = {
            "incarnation": self.incarnation,
            "n": self.n,
            "schema": 1,
            "changes": [orjson.Fragment(encode(c)) for c in changes],
            **more,
        }
        headers = {"authorization": f"Bearer {self.token}"}
        answer = await self.http.post("/sync/v1/push", content=orjson.dumps(body), headers=headers)
        assert answer.status_code == 200, answer.text
        self.n += len(changes)
        return [verdict["verdict"] for verdict in answer.json()["verdicts"]]
