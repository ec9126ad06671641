"""docs/API_REFERENCE.md is current, and every example of it runs: queries, mutations and subscriptions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
from graphql import build_schema

from regulars_server.authors import SERVER
from regulars_server.graph.export import REFERENCE, SDL, documented
from regulars_server.graph.reference import CIDS, IDS, MADE, Example, examples
from regulars_sync.changes import Change, Value
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, Tablet, caller
from tests.support.sockets import served

LATE = (
    "tokenRotate",
    "tokenExpire",
    "tokenRevoke",
    "customerUnmerge",
    "customerErase",
    "deviceWipe",
    "deviceRevoke",
)
"""What must come after the others, in this order."""
NOTHING = {"standingProgress"}
"""What has nothing to tell while nobody is being looked at."""
PROPOSE = """mutation ($k: String!, $a: UUID!, $b: UUID!) {
    identityPropose(idempotencyKey: $k, input: { one: $a, other: $b }) { __typename }
}"""


def _of(name: str) -> tuple[str, str]:
    return (name, MADE[name]) if name in MADE else (name.partition("_")[0], IDS[name])


async def told_of(chain: Chain, office: Graph) -> None:
    """The rows and changes that the examples speak of."""
    near = {f"units/{IDS['unit']}": True}
    customer = {"home_unit": IDS["unit"], "wechat": "lin"}
    party = [{"customer": IDS["customer"]}]
    rows: dict[str, dict[str, Any]] = {
        "unit": {"name": "West", "kind": "branch", "parent": chain.units["hq"]},
        "unit_2": {"name": "East", "kind": "branch", "parent": chain.units["hq"]},
        "staff": {"name": "Amy", "role": "manager", **near},
        "device": {"name": "till 1", "unit": IDS["unit"]},
        "device_2": {"name": "till 2", "unit": IDS["unit"]},
        "product": {"name": "Oak table"},
        "segment": {"name": "Known"},
        "customer": {
            "name": "林芳",
            "phones/+8613800138000": "138 0013 8000",
            f"segments/{IDS['segment']}": True,
            **customer,
        },
        "customer_2": {"name": "林方", **customer},
        "customer_3": {"name": "王明", **customer},
        "interaction": {"kind": "visit", "at": "2026-11-20T10:00:00.000Z", "party": party},
        "field_def": {
            "key": "shoe_size",
            "label": {"zh": "鞋码", "en": "Shoe size"},
            "type": "text",
            "rule": "last_writer",
            "sensitivity": "internal",
        },
        "assignment": {"customer": IDS["customer"], "scheme": "motive", "values/fame": True},
        "scheme": {"key": "quality", "changes": {"label": {"en": "Worth"}}},
        "task": {"plan": "verify", "customer": IDS["customer"], "subject": "card", "status": "open"},
    }
    made = [[chain.service.change("create", *_of(name), fields)] for name, fields in rows.items()]
    for (ruling,) in await chain.service.admission.write(SERVER, made):
        assert ruling.verdict in ("applied", "merged"), ruling
    chain.units |= {"West": IDS["unit"]}
    for number, (wrote, held) in enumerate(
        ((("changeReverse", "fieldChoose"), True), (("fieldChoose_2",), False))
    ):
        tablet = await Tablet(chain, office).pair("West")
        tablet.incarnation = f"{number:016x}"

        def edit(name: str, by: Tablet = tablet) -> Change:
            fields = {"preferred_channel": "sms"} if name == "changeReverse" else {"notes": name}
            return changed(by, CIDS[name], fields, IDS["customer"])

        await tablet.push(*map(edit, wrote))
        for name in ("heldDrop", "heldMend", "heldRetry") if held else ():
            await tablet.push(changed(tablet, CIDS[name], {"name": " "}))
    asked = {"query": "{ units { nodes { id } } }", "variables": {}, "format": "jsonl"}
    works = chain.service.works
    await works.ask(IDS["export"], "export", "login amy", "", asked, 0)

    async def csv() -> AsyncIterator[bytes]:
        yield b"external_id,name\nC-1,Amy\n"

    await works.receive(IDS["upload"], "login amy", "", 0, csv())
    tried = {"upload": IDS["upload"], "entity": "customer", "source": "pos", "dryRun": True, "lang": "en"}
    await works.ask(IDS["import"], "import", "login amy", "", tried, 0)
    await chain.service.access.new_token(
        "developer", "till 7", "clerk", None, False, maker="amy", id=IDS["token"]
    )


def changed(tablet: Tablet, cid: str, fields: dict[str, Any], id: str | None = None) -> Change:
    made = tablet.change(fields, cid)
    values = {path: Value(value) for path, value in fields.items()}
    return Change(**{
        **{name: getattr(made, name) for name in made.__struct_fields__},
        "fields": values, "op": "edit" if id else "create", "id": id or made.id,
    })  # fmt: skip


def in_order(example: Example) -> tuple[int, int, str]:
    kinds = ("query", "mutation", "subscription")
    late = LATE.index(example.name) + 1 if example.name in LATE else 0
    return kinds.index(example.kind), late, example.name


async def administrator(chain: Chain) -> Graph:
    """Somebody who has signed in: a program may not make tokens."""
    graph = await caller(chain, "admin", sensitive=True)
    await chain.service.access.add_login("amy", "correct horse", "admin", sensitive=True)
    said = {"name": "amy", "password": "correct horse"}
    graph.token = (await graph.http.post("/auth/login", json=said)).json()["token"]
    return graph


def test_the_reference_is_current():
    assert REFERENCE.read_text("utf-8") == documented(), "run `make sdl`"


async def test_every_example_of_the_reference_runs(tmp_path: Path):
    text = REFERENCE.read_text("utf-8")
    schema = build_schema(SDL.read_text("utf-8"))
    wrong: dict[str, Any] = {}
    limits: dict[str, Any] = {"session_cost_max": 0, "developer_cost_max": 0}
    async with new_chain(tmp_path, **limits) as chain, served(chain) as site:
        amy = await administrator(chain)
        await told_of(chain, amy)
        for number, example in enumerate(sorted(examples(schema), key=in_order)):
            assert example.document in text
            variables = orjson.loads(
                orjson.dumps(example.variables).replace(b"till-7-0001", b"key-%d" % number)
            )
            if example.kind == "subscription":
                async with site.socket(amy.token) as socket:
                    await socket.subscribe(example.document, **variables)
                    await provoke(chain, amy, number)
                    told: dict[str, Any] = {"data": {example.name: await socket.data()}}
            else:
                told = await amy.send(example.document, **variables)
            answer = (told.get("data") or {}).get(example.name)
            refused = isinstance(answer, dict) and {"code", "message"} <= answer.keys()
            if "errors" in told or (answer is None and example.name not in NOTHING) or refused:
                wrong[example.name] = told.get("errors", answer)
    assert wrong == {}


async def provoke(chain: Chain, amy: Graph, number: int) -> None:
    """Something of everything that subscriptions tell."""
    id = await amy.customer(f"New {number}")
    for entity, row, fields in (
        (
            "customer",
            IDS["customer"],
            {"notes": f"at {number}", f"segments/{IDS['segment']}": bool(number % 2)},
        ),
        ("customer", id, {f"segments/{IDS['segment']}": True}),
        ("device", IDS["device"], {"name": f"till {number}"}),
    ):
        await chain.write("edit", entity, row, fields)  # type: ignore[arg-type]
    await amy.ask(PROPOSE, k=f"pair {number}", a=id, b=IDS["customer_2"])
