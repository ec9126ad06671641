# ruff: noqa: E501 (queries)
"""A chain asked over GraphQL: tokens of several roles, and requests as a client sends them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx2

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
