# ruff: noqa: E501 (queries)
"""Every id, cid, cursor and filter that the schema takes, given another branch's: the answer is that of nothing.

What is asked is made from the schema, so what is added to it is attacked as well.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLInputType, get_named_type, is_list_type

from regulars_server.graph.schema import build_schema
from regulars_server.storage.sql.snapshot import Snapshot
from tests.support.chain import Chain, new_chain
from tests.support.documents import NOBODY, call, literal, roots, selection
from tests.support.graph import Graph, Tablet, caller

SCHEMA = build_schema()._schema
FIELDS = {(operation, name): field for operation, name, field in roots(SCHEMA)}
CALLED = [(operation, name) for operation, name in FIELDS if operation != "subscription"]
IDS = {"UUID", "ID"}
LEFT_OUT = {"customerLookup"}
"""Meant to find other branches' customers, by an exact key."""
SECRET = "secret"
"""In every text of the other branch."""


class World:
    """Nanjing Road knows Lin; Orchard knows Tan and what is about Tan: nothing of it is anybody else's."""

    chain: Chain
    office: Graph
    near: dict[str, str]
    far: dict[str, str]
    far_cids: list[str]

    async def open(self, tmp_path: Path) -> World:
        chain = self.chain
        self.office = await caller(chain, "admin", sensitive=True)
        here = await caller(chain, "manager", "Nanjing Road")
        there = await caller(chain, "manager", "Orchard", sensitive=True)
        self.near, self.far = {}, {}
        for graph, ids, name in ((here, self.near, "林芳"), (there, self.far, SECRET)):
            ids["customer"] = await graph.customer(
                name, phones=["138 0013 8000"], emails=[f"{name}@x.cn"], tags=[name], notes=name, memberNo=name,
                hobbies=[name], externalIds=[f"pos:{name}"], gender="FEMALE", wechat=name,
            )  # fmt: skip
            other = await graph.customer(f"{name} 2", phones=["139 0013 9000"], tags=[name])
            ids["interaction"] = await graph.visit(ids["customer"], note=name)
            done = await graph.ask(
                'mutation ($a: UUID!, $b: UUID!) { linkSet(idempotencyKey: "l", fromCustomerId: $a, toCustomerId: $b, kind: FAMILY, note: "secret")'
                " { ... on LinkSaved { link { id } } } }",
                a=ids["customer"],
                b=other,
            )
            ids["link"] = done["linkSet"]["link"]["id"]
            done = await graph.ask(
                'mutation ($a: UUID!, $b: UUID!) { identityPropose(idempotencyKey: "p", input: { one: $a, other: $b }) { __typename } }',
                a=ids["customer"],
                b=other,
            )
        identities = await self.office.ask("{ identityReviews { nodes { identity { id oneId otherId } } } }")
        for ids in (self.near, self.far):
            (ids["identity"],) = [
                node["identity"]["id"]
                for node in identities["identityReviews"]["nodes"]
                if ids["customer"] in (node["identity"]["oneId"], node["identity"]["otherId"])
            ]
        saved = await self.office.ask(
            'mutation { segmentSave(idempotencyKey: "s", input: { name: "S" }) { ... on SegmentSaved { segment { id } } } }'
        )
        self.near["segment"] = saved["segmentSave"]["segment"]["id"]
        self.near["unit"] = chain.units["Nanjing Road"]
        tablet = await Tablet(chain, self.office).pair("Orchard")
        assert await tablet.push(tablet.change({"name": SECRET, "gender": "seven"}, "a" * 32)) == ["rejected"]
        history = "query ($id: UUID!) { history(entity: CUSTOMER, id: $id) { nodes { cid } } }"
        known = (await self.office.ask(history, id=self.far["customer"]))["history"]["nodes"]
        self.far_cids = ["a" * 32, known[0]["cid"]]
        return self

    async def state(self) -> Any:
        """All that head office sees of the other branch."""
        query = f"query ($c: UUID!, $i: UUID!, $f: ID!) {{ customer(id: $c) {selection(SCHEMA.get_type('Customer'), 2)} "  # type: ignore[arg-type]
        query += f"interaction(id: $i) {selection(SCHEMA.get_type('Interaction'), 2)} node(id: $f) {{ id version }} "  # type: ignore[arg-type]
        query += "history(entity: CUSTOMER, id: $c) { nodes { cid } } heldChanges { nodes { cid } } }"
        return await self.office.ask(
            query, c=self.far["customer"], i=self.far["interaction"], f=self.far["link"]
        )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with new_chain(tmp_path, developer_cost_max=0, device_cost_max=0) as chain:
        made = World()
        made.chain = chain
        yield await made.open(tmp_path)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many statements were read, by what they are."""
    found: Counter[str] = Counter()
    rows = Snapshot.rows

    def counted(self: Snapshot, sql: str, *parameters: Any) -> Any:
        found[sql] += 1
        return rows(self, sql, *parameters)

    monkeypatch.setattr(Snapshot, "rows", counted)
    return found


def paths_of(
    name: str, type_: GraphQLInputType, wanted: Callable[[str, str], bool], depth: int = 0
) -> Iterator[str]:
    """Where an argument takes what is wanted, by its path; what ANDs, ORs and NOTs hold is the same again."""
    inner = get_named_type(type_)
    if isinstance(inner, GraphQLInputObjectType):
        for part, field in inner.fields.items() if depth < 3 else ():
            if part not in ("AND", "OR", "NOT"):
                yield from paths_of(f"{name}.{part}", field.type, wanted, depth + 1)
    elif wanted(name.rpartition(".")[2], inner.name):
        yield name


def asked(operation: str, name: str, at: str, value: str, kind: str, near: dict[str, str], key: str) -> str:
    """A call with the value at one path, what is near wherever else an id is needed, and its own key."""

    def given(path: str, type_: GraphQLInputType) -> str | None:
        leaf, inner = path.rpartition(".")[2], get_named_type(type_)
        if path == at:
            return (
                f'["{value}"]'
                if is_list_type(getattr(type_, "of_type", type_)) or is_list_type(type_)
                else f'"{value}"'
            )
        if path == "idempotencyKey":
            return f'"{key}"'
        if isinstance(inner, GraphQLEnumType) and inner.name == "EntityName":
            return kind.upper()
        if path == "where":
            return None if not at.startswith("where.") else _where(at, value, type_)
        if inner.name in IDS and str(type_).endswith("!"):
            said = near["unit" if "unit" in leaf.lower() else "segment" if leaf == "segment" else "customer"]
            return f'["{said}"]' if is_list_type(getattr(type_, "of_type", type_)) else f'"{said}"'
        return None

    return call(operation, name, FIELDS[operation, name], given)


def _where(at: str, value: str, type_: GraphQLInputType) -> str:
    """A filter that is given at one path alone."""
    said, inner = f'"{value}"', get_named_type(type_)
    parts = at.split(".")[1:]
    for part in parts:
        assert isinstance(inner, GraphQLInputObjectType)
        field = inner.fields[part]
        inner = get_named_type(field.type)
        is_list = is_list_type(getattr(field.type, "of_type", field.type)) or is_list_type(field.type)
        if part == parts[-1] and is_list:
            said = f"[{said}]"
    for part in reversed(parts):
        said = f"{{ {part}: {said} }}"
    return said


def plain(answer: str, *given: str) -> str:
    """The answer's bytes, but for what was asked and for what is new with every request."""
    for id in given:
        answer = answer.replace(id, "ASKED")
    answer = re.sub(r'"throttleStatus":\{[^}]*\}', "", answer)
    answer = re.sub(r"[0-9a-f]{16}\.\d+", "VERSION", answer)
    found: dict[str, str] = {}
    return re.sub(
        r"[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f-]{27}", lambda m: found.setdefault(m[0], f"ID{len(found)}"), answer
    )


def nobody_like(id: str) -> str:
    """An id of nothing that sorts as this one does."""
    return id[:-1] + ("1" if id[-1] == "0" else "0")


def taking(wanted: Callable[[str, str], bool]) -> list[tuple[str, str, str]]:
    """Every place of every root field that takes what is wanted."""
    return [
        (operation, name, path)
        for operation, name in CALLED
        if name not in LEFT_OUT
        for argument, declared in FIELDS[operation, name].args.items()
        for path in paths_of(argument, declared.type, wanted)
    ]


async def send(graph: Graph, query: str) -> str:
    answer = await graph.send(query)
    assert graph.last is not None
    assert SECRET not in str(answer), (query, answer)
    return f"{graph.last.status_code} {graph.last.text}"


@pytest.mark.parametrize("who", ["manager", "device"])
async def test_no_id_of_another_branch_is_told_apart_from_none(
    world: World, statements: Counter[str], who: str
):
    branch = await caller(world.chain, "manager", "Nanjing Road")
    if who == "device":
        branch.token = (await Tablet(world.chain, branch).pair("Nanjing Road")).token
    before = await world.state()
    places = taking(lambda _, type_: type_ in IDS)
    assert len(places) > 60
    for operation, name, path in places:
        if operation == "mutation" and who != "manager":
            continue
        for kind, id in world.far.items():
            for last in (False, False, True):  # the server looks at its units and clock now and then
                answers, query = [], ""
                for given in (id, nobody_like(id)):
                    statements.clear()
                    query = asked(operation, name, path, given, kind, world.near, branch.key())
                    said = plain(await send(branch, query), given)
                    answers.append((said, sorted(statements.values())))
                far, none = answers
                assert far[0] == none[0], (query, kind)
                if far[1] == none[1]:
                    break
                assert not last, ("other statements were run", query, kind)
    assert await world.state() == before


@pytest.mark.parametrize("who", ["manager", "analyst"])
async def test_no_change_of_another_branch_is_told_apart_from_none(world: World, who: str):
    branch = await caller(world.chain, who, "Nanjing Road", sensitive=True)
    before = await world.state()
    places = taking(lambda name, type_: name == "cid" and type_ == "String")
    assert len(places) >= 5
    for operation, name, path in places:
        for cid in world.far_cids:
            far, none = [
                plain(
                    await send(
                        branch, asked(operation, name, path, given, "customer", world.near, branch.key())
                    ),
                    given,
                )
                for given in (cid, "0" * 32)
            ]
            assert far == none, (name, path)
    assert await world.state() == before


async def test_no_cursor_of_another_branchs_row_opens_anything(world: World):
    branch = await caller(world.chain, "manager", "Nanjing Road")
    tried = 0
    for operation, name in CALLED:
        field = FIELDS[operation, name]
        if operation != "query" or "after" not in field.args:
            continue
        for order in _orders(field.args.get("orderBy")):
            for cursor in await _cursors(world, name, order):
                for which in {"after", "before"} & field.args.keys():
                    given = {which: f'"{cursor}"', **_page(field.args, order, world.near)}
                    query = f"{{ done: {name}{_listed(given)} {selection(field.type, 3)} }}"
                    answer = await send(branch, query)
                    assert not any(id in answer for id in world.far.values()), query
                    tried += 1
    assert tried > 50


async def _cursors(world: World, name: str, order: str) -> list[str]:
    """The cursors that head office is given, of what is about the far customer where that is asked."""
    given = {
        "first": "50",
        **_page(FIELDS["query", name].args, order, world.far | {"segment": world.near["segment"]}),
    }
    listed = await world.office.send(f"{{ done: {name}{_listed(given)} {{ edges {{ cursor }} }} }}")
    return [edge["cursor"] for edge in ((listed.get("data") or {}).get("done") or {"edges": []})["edges"]]


def _page(args: Mapping[str, Any], order: str, ids: Mapping[str, str]) -> dict[str, str]:
    said = {"orderBy": order, "entity": "CUSTOMER"}
    said |= {"id": f'"{ids["customer"]}"', "segment": f'"{ids["segment"]}"'}
    return {argument: value for argument, value in said.items() if argument in args and value}


def _listed(arguments: Mapping[str, str]) -> str:
    return "(" + ", ".join(f"{name}: {said}" for name, said in arguments.items()) + ")" if arguments else ""


def _orders(argument: Any) -> list[str]:
    named = get_named_type(argument.type) if argument is not None else None
    return list(named.values) if isinstance(named, GraphQLEnumType) else [""]


async def test_no_filter_order_search_or_count_knows_another_branchs_rows(world: World):
    """Every operator of every field, also through relations, with every value that the other branch has."""
    branch = await caller(world.chain, "manager", "Nanjing Road")
    held = [
        SECRET,
        "+8613900139000",
        "+8613800138000",
        "FAMILY",
        "FEMALE",
        "2026-11-20T10:00:00Z",
        *world.far.values(),
    ]
    tried = 0
    for operation, name in CALLED:
        field = FIELDS[operation, name]
        if (
            operation != "query"
            or "where" not in field.args
            or name in ("units", "staff", "products", "segments", "devices", "ledger")
        ):
            continue
        plural = "{ totalCount nodes { id } }"
        near = {node["id"] for node in (await branch.ask(f"{{ done: {name} {plural} }}"))["done"]["nodes"]}
        for path in paths_of("where", field.args["where"].type, lambda *_: True):
            for value in held:
                said = _where_any(path, value, field.args["where"].type)
                if said is None:
                    continue
                for where in (said, f"{{ NOT: {said} }}")[: 1 + (value in (SECRET, world.far["customer"]))]:
                    answer = await branch.send(f"{{ done: {name}(where: {where}) {plural} }}")
                    if "errors" in answer:
                        assert answer["errors"][0]["extensions"]["code"] != "internal", answer
                        continue
                    found = answer["data"]["done"]
                    assert found["totalCount"] == len(found["nodes"])
                    assert {node["id"] for node in found["nodes"]} <= near
                    tried += 1
        if "search" in field.args:
            for words in (SECRET, SECRET[:3], "139001", f"{SECRET}@x"):
                found = (await branch.ask(f'{{ done: {name}(search: "{words}") {plural} }}'))["done"]
                assert {node["id"] for node in found["nodes"]} <= near
                assert found["totalCount"] == len(found["nodes"])
    assert tried > 500


def _where_any(at: str, value: str, type_: GraphQLInputType) -> str | None:
    """The same for any leaf: a text quoted, an enum's value bare; None where the value is of another type."""
    inner: Any = get_named_type(type_)
    for part in at.split(".")[1:]:
        inner = get_named_type(inner.fields[part].type)
    if isinstance(inner, GraphQLEnumType):
        return _where(at, value, type_).replace(f'"{value}"', value) if value in inner.values else None
    if inner.name == "Boolean":
        return _where(at, value, type_).replace(f'"{value}"', "true") if value == SECRET else None
    if inner.name == "DateTime":
        return _where(at, value, type_) if value.endswith("Z") else None
    if inner.name in IDS:
        return _where(at, value, type_) if value.count("-") == 4 else None
    return _where(at, value, type_) if inner.name == "String" else None


async def test_a_filter_through_a_fact_of_both_does_not_reach_the_far_card(world: World):
    """A visit of Lin with Tan is known here; nothing of Tan's own card is, so no test on it passes."""
    await world.office.visit(world.near["customer"], world.far["customer"])
    branch = await caller(world.chain, "manager", "Nanjing Road", sensitive=True)
    customer = SCHEMA.get_type("InteractionWhere")
    assert isinstance(customer, GraphQLInputObjectType)
    tried = 0
    for name, field in customer.fields.items():
        inner = get_named_type(field.type)
        if not isinstance(inner, GraphQLInputObjectType) or name in ("AND", "OR", "NOT"):
            continue
        for path in paths_of(f"where.{name}", inner, lambda name, _: name in ("eq", "has", "contains")):
            parts = set(path.split("."))
            if not parts & {"name", "tags", "notes"} or parts & {"none", "every"}:
                continue
            said = _where_any(path, SECRET, customer)
            found = await branch.ask(f"{{ done: interactions(where: {said}) {{ totalCount }} }}")
            assert found["done"]["totalCount"] == 0, said
            tried += 1
    assert tried


def test_the_attacks_cover_what_the_schema_takes():
    """A literal is made for every argument, so no field is left out by being hard to call."""
    for operation, name in CALLED:
        assert call(operation, name, FIELDS[operation, name])
    assert literal("x", FIELDS["query", "customer"].args["id"].type, False, None) == f'"{NOBODY}"'
