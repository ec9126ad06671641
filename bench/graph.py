"""The figures of GraphQL: the product, the same schema on graphql-core's own executor, and a floor in turn.

The list is one request for 1,000 customers with 15 scalar fields and the home unit of each, in four pages of
250 (the most that a page has), read from SQLite by a program with the whole chain. One is a customer by id
with 20 fields. A search ranks what it found; a list that
goes through relations looks at units and interactions. The floor answers the very data that the product
answered: from memory, by orjson, Starlette and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from bench import data
from bench.figures import LIST, NUMBER, ONE, SEARCH, THROUGH
from bench.server import Kind, Server, Wire
from regulars_schema.normal import pinyin

NAMES = (LIST, ONE, SEARCH, THROUGH)
KINDS: tuple[Kind, ...] = ("floor", "ours", "core")
PAGES = 4

_FIELDS = """id version name kind homeUnitId ownerId gender address acquisitionChannel firstSeen
    preferredChannel notes memberNo wechat archived"""
_AFTER = ", ".join(f"$after{n}: String" for n in range(PAGES))
_PAGES = "\n    ".join(
    f"p{n}: customers(first: 250, after: $after{n}) {{ nodes {{ ...card }} }}" for n in range(PAGES)
)
_LIST = f"""query Customers({_AFTER}) {{
    {_PAGES}
}}
fragment card on Customer {{ {_FIELDS} homeUnit {{ id name kind }} }}"""
_ONE = f"""query Customer($id: UUID!) {{
    customer(id: $id) {{ {_FIELDS} phones {{ key typed }} tags contactBy tradingSince privacyNotice }}
}}"""
_CARD = "query ($id: UUID!) { customer(id: $id) { name phones { key } homeUnit { name } } }"
_PAGE = """query ($after: String) { customers(first: 250, after: $after) {
    nodes { id } pageInfo { endCursor } totalCount } }"""
_SEARCH = """query Search($text: String) { customers(search: $text, orderBy: RELEVANCE, first: 20) {
    nodes { id name memberNo phones { key } }
} }"""
_THROUGH = """query Through($unit: String) { customers(first: 20, where: {
    homeUnit: { name: { eq: $unit } }, interactions: { none: { kind: { eq: PURCHASE } } }
}) { nodes { id name } } }"""
COUNTS: dict[str, dict[Kind, int]] = {
    LIST: {"floor": 60, "ours": 12, "core": 2},
    ONE: {"floor": 400, "ours": 200, "core": 100},
    SEARCH: {"floor": 200, "ours": 40, "core": 20},
    THROUGH: {"floor": 200, "ours": 40, "core": 20},
}
"""How many requests are one sample."""


class Asking:
    """The requests, ready to be sent to any of the servers."""

    def __init__(self, servers: Mapping[Kind, Server], token: str) -> None:
        self._wires = {kind: Wire(server.port, token) for kind, server in servers.items()}
        self.bodies = bodies(self._wires["ours"])
        for name in NAMES:
            answers = [self._wires[kind].post("/graphql", self.bodies[name]) for kind in ("ours", "core")]
            ours, core = (orjson.loads(answer) for answer in answers)
            if "errors" in ours or ours["data"] != core["data"]:
                raise RuntimeError(f"{name}: not the same answer, or not one: {ours.get('errors')}")
            self._wires["floor"].post(f"/keep/{name}", answers[0])

    def send(self, name: str, kind: Kind, count: int) -> None:
        """So many of this request, one after the other."""
        path = f"/kept/{name}" if kind == "floor" else "/graphql"
        for _ in range(count):
            self._wires[kind].post(path, self.bodies[name])

    def wire(self, kind: Kind) -> Wire:
        return self._wires[kind]

    def close(self) -> None:
        for wire in self._wires.values():
            wire.close()


def bodies(wire: Wire) -> dict[str, bytes]:
    """Each request, by figure, for the chain behind this wire."""
    (first, *_) = _ask(wire, _PAGE)["customers"]["nodes"]
    card = _ask(wire, _CARD, **first)["customer"]
    after: dict[str, str | None] = {}
    cursor: str | None = None
    for n in range(PAGES):
        after[f"after{n}"] = cursor
        cursor = _ask(wire, _PAGE, after=cursor)["customers"]["pageInfo"]["endCursor"]
    return {
        LIST: _body(_LIST, after),
        ONE: _body(_ONE, first),
        SEARCH: _body(_SEARCH, {"text": pinyin(card["name"])[0]}),
        NUMBER: _body(_SEARCH, {"text": card["phones"][0]["key"]}),
        THROUGH: _body(_THROUGH, {"unit": card["homeUnit"]["name"]}),
    }


def _ask(wire: Wire, query: str, **variables: Any) -> Any:
    answer = orjson.loads(wire.post("/graphql", _body(query, variables)))
    if "errors" in answer:
        raise RuntimeError(f"{answer['errors'][:2]}")
    return answer["data"]


def _body(query: str, variables: dict[str, Any]) -> bytes:
    return orjson.dumps({"query": query, "variables": variables})


async def token(folder: Path) -> str:
    """The bearer of a program that has the whole chain."""
    async with data.access(folder) as access:
        _, bearer = await access.new_token("developer", "bench", "admin", None, False)
        return bearer
