# ruff: noqa: E501 (queries)
"""No N+1 anywhere in the SDL: whatever a list of rows is asked for, one row costs as many statements as fifty.

The walk takes every field of every type that a query reaches through a list, so a new field is in it as
soon as it is in the schema. It asks a chain in which each relation leads to something. What a bulk mutation
gives back and what an event of `changes` tells are walked alike.
"""

from __future__ import annotations

import itertools
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_required_argument,
)

from regulars_schema.entities import REGISTRY
from regulars_server import pace
from regulars_server.authors import SERVER
from regulars_server.graph.schema import build_schema
from regulars_server.storage.interface import Order
from regulars_server.storage.sqlite import SqliteStorage
from regulars_server.storage.sqlite.connection import InlineConnection as Driver
from regulars_sync.changes import Change
from regulars_sync.ids import identity_id, link_id, made_id
from tests.support.chain import Chain, new_chain, seeded
from tests.support.counted import Counted
from tests.support.graph import Graph, Tablet, caller
from tests.support.sockets import served

DEFINED = {"type": "text", "rule": "last_writer", "sensitivity": "internal"}
SIZES = (1, 10, 50)
ROWS = SIZES[-1]
INNER = 12
"""How many rows of an inner list are asked for."""
OF_THE_ROW = frozenset(
    {"contested", "beside", "phones", "birth", "admitted", "replaced", "totalCount", "*"}
    | {"leaders", "standings", "fields", "tests", "benefits", "playbook", "label"}
    | {"group", "cues", "problems", "actions", "avoid"}
)
"""What a row carries in itself, so that there may be none; and of a card what only some customers have."""


@dataclass(frozen=True)
class Way:
    """How a type is reached: the fields around it, and whether one of them is a list as long as we ask for."""

    steps: tuple[str, ...] = ()
    sized: bool = False
    many: bool = False

    def to(self, selection: str) -> str:
        opened = "".join(f"{step} {{ __typename " for step in ("", *self.steps))
        return f"{opened}{selection}{' }' * (len(self.steps) + 1)}"


class Walk:
    """Every field of every object type that a query reaches through a list."""

    def __init__(self, schema: GraphQLSchema, given: Mapping[str, str]) -> None:
        """`given`: the values of the arguments that must be given, by their names."""
        assert schema.query_type is not None
        self.schema = schema
        self.given = given
        self.ways: dict[tuple[str, bool], Way] = {}
        """By type, and whether through a list: the shortest way."""
        todo = [(schema.query_type, Way())]
        while todo:
            type_, way = todo.pop(0)
            for name, field in type_.fields.items():
                for target, step in self._steps(type_, name, field):
                    sized = way.sized or (type_ is schema.query_type and "first" in field.args)
                    many = way.many or (sized and _is_list(field.type))
                    found = Way((*way.steps, *step), sized, many)
                    if (target.name, many) not in self.ways:
                        self.ways[target.name, many] = found
                        todo.append((target, found))

    def questions(self) -> Iterator[tuple[str, str]]:
        """(`Type.field`, the document that asks it of `%(rows)s` rows); plain fields all in one."""
        for (name, many), way in sorted(self.ways.items()):
            type_ = self.schema.type_map[name]
            assert isinstance(type_, GraphQLObjectType)
            if many:
                yield f"{name}.*", way.to(self._plain(type_))
                for field_name, field in type_.fields.items():
                    if field.args or not is_leaf_type(get_named_type(field.type)):
                        yield f"{name}.{field_name}", way.to(self._asked(type_, field_name, field))

    def of(self, name: str) -> Iterator[tuple[str, str]]:
        """(`Type.field`, what to select) of a type that is reached in another way; plain fields all in one."""
        type_ = self.schema.type_map[name]
        assert isinstance(type_, GraphQLObjectType)
        yield f"{name}.*", self._plain(type_)
        for field_name, field in type_.fields.items():
            if field.args or not is_leaf_type(get_named_type(field.type)):
                yield f"{name}.{field_name}", f"__typename {self._asked(type_, field_name, field)}"

    def _steps(
        self, type_: GraphQLObjectType, name: str, field: GraphQLField
    ) -> Iterator[tuple[GraphQLObjectType, tuple[str, ...]]]:
        """The object types that a field leads to, and how it is asked for."""
        named = get_named_type(field.type)
        asked = f"{name}{self._arguments(type_, field)}"
        if isinstance(named, GraphQLObjectType):
            yield named, (asked,)
        elif is_abstract_type(named):
            for possible in self.schema.get_possible_types(named):
                yield possible, (asked, f"... on {possible.name}")

    def _arguments(self, type_: GraphQLObjectType, field: GraphQLField) -> str:
        said = []
        for name, argument in field.args.items():
            if name == "first":
                said.append(f"first: {'%(rows)s' if type_ is self.schema.query_type else INNER}")
            elif name == "orderBy":
                said.append("orderBy: ID_DESC")  # what `filled` made last
            elif is_required_argument(argument):
                assert name in self.given, f"say what to give as {name} of {type_.name}"
                said.append(f"{name}: {self.given[name]}")
        return f"({', '.join(said)})" if said else ""

    def _asked(self, type_: GraphQLObjectType, name: str, field: GraphQLField) -> str:
        """One field with the plain fields of what it leads to, through a connection."""
        if is_leaf_type(get_named_type(field.type)):
            return f"{name}{self._arguments(type_, field)}"
        parts = []
        for target, (asked, *fragment) in self._steps(type_, name, field):
            inner = self._plain(target)
            for paged in ("edges", "nodes", "node"):
                if target.name.endswith(("Connection", "Edge")) and paged in target.fields:
                    inner += f" {self._asked(target, paged, target.fields[paged])}"
            parts.append(
                f"{asked} {{ __typename {fragment[0]} {{ {inner} }} }}"
                if fragment
                else f"{asked} {{ {inner} }}"
            )
        return " ".join(parts)

    def _plain(self, type_: GraphQLObjectType) -> str:
        plain = [n for n, f in type_.fields.items() if is_leaf_type(get_named_type(f.type)) and not f.args]
        return " ".join(["__typename", *plain])


def _is_list(type_: GraphQLOutputType) -> bool:
    return bool(is_list_type(get_nullable_type(type_)))


def objects(answer: Any) -> int:
    """How many objects an answer holds."""
    if isinstance(answer, dict):
        return 1 + sum(map(objects, answer.values()))
    return sum(map(objects, answer)) if isinstance(answer, list) else 0


async def filled(chain: Chain, office: Graph) -> dict[str, str]:
    """Fifty of everything, each relation leading to something; the values of arguments that must be given."""
    near, far = chain.units["Nanjing Road"], chain.units["Orchard"]
    mine = chain.new_id()
    tills = [await Tablet(chain, office).pair("Nanjing Road") for _ in range(2)]
    made: list[list[Change]] = []

    def write(entity: str, id: str | None = None, /, **fields: Any) -> str:
        id = id or chain.new_id()
        made.append([chain.service.change("create", entity, id, fields)])
        return id

    def make(entity: str, /, **fields: Any) -> str:
        return write(entity, made_id(entity, *(fields[n] for n in REGISTRY.get(entity).made_of)), **fields)

    amy = write("staff", name="Amy", role="manager", **{f"units/{near}": True})
    segment = write("segment", name="Known", owner=amy)
    out = write("segment", name="Out", owner=amy, snapshot_of=segment)
    late = write("segment", name="Late", owner=amy, snapshot_of=segment)
    oak = write("product", name="Oak table")
    for n in range(ROWS):
        write("unit", name=f"U{n}", kind="branch", parent=near)
        write("staff", name=f"S{n}", role="clerk", manager=amy, **{f"units/{near}": True})
        write("segment", name=f"G{n}", owner=amy, snapshot_of=segment)
        write("product", name=f"P{n}")
        write("device", name=f"D{n}", unit=near, **{f"left_units/{far}": True})
    card = {"owner": amy, f"segments/{segment}": True, "tags/vip": True, "belief": "x"}
    card |= {"quiet_hours": {"start": 1260, "end": 480}, f"owned_products/{oak}": True}
    card |= {f"excluded_segments/{out}": True}
    ones, others = [
        [
            write("customer", name=f"C{n}", home_unit=unit, **card, **{f"emails/{n + shift}@x.cn": True})
            for n in range(ROWS + 1)
        ]
        for unit, shift in ((near, 0), (far, 1))
    ]
    facts: list[str] = []
    for n, (one, other) in enumerate(zip(ones, others, strict=True)):
        told: dict[str, Any] = {
            "kind": "purchase",
            "at": f"2027-01-01T10:{n:02}:00.000Z",
            "unit": near,
            "staff": amy,
        }
        told["party"] = [{"customer": one, "role": "principal"}, {"customer": others[n - 1]}]
        told["facts"] = [{"topic": "dreams", "content": "a house by the sea", "product": oak}]
        told |= {"agency": "Oak & Ash", "looked_into": ["industry"]}
        told |= {"opportunity": {"urgency": 1, "effect": 2, "price": 0}, "campaign": segment}
        told["lines"] = [{"product": oak, "amount": 5, "currency": "CNY"}]
        facts.append(write("interaction", **told, supersedes=write("interaction", **told)))
        for kind, to in (("household", ones[n - 1]), ("family", other)):
            ends = {"from_customer": one, "to_customer": to}
            write("link", link_id(one, to, kind), **ends, kind=kind, active=True)
        pair = {"one": min(one, other), "other": max(one, other)}
        write("identity", identity_id(one, other), **pair, decision="same", reason="person")
    for n, (one, fact) in enumerate(zip(ones, facts, strict=True)):
        size = make("field_def", key=f"size_{n}", label={"zh": "尺码", "en": "Size"}, **DEFINED)
        make("custom_value", customer=one, field_def=size, value="38")
        make("supplier", customer=one, name=f"Oak {n}")
        make(
            "assignment",
            customer=one,
            scheme="motive",
            **{"values/fame": True},
            evidence=fact,
            decided_by=amy,
        )
        make("task", plan="verify", customer=one, subject="card", owner=amy, closed_by=fact)
        granted = {"purpose": "marketing", "granted": True, "at": "2027-01-01T10:00:00.000Z"}
        write("consent", customer=one, unit=near, staff=amy, **granted)
    for (ruling,) in await chain.service.admission.write(SERVER, made):
        assert ruling.verdict in ("applied", "merged"), ruling
    await chain.service.admission.scan()
    cids = itertools.count(1)
    for till, tablet in enumerate(tills):
        tablet.incarnation = f"{till:016x}"

        def change(
            op: str, id: str, fields: dict[str, Any], by: Tablet = tablet, entity: str = "customer"
        ) -> Change:
            made = by.change(fields, f"{next(cids):032x}")
            return msgspec.structs.replace(made, op=op, entity=entity, id=id, actor=amy)

        edits = [change("edit", id, {"notes": f"from till {till}"}) for id in ones]
        for one, other in zip(ones[1:], ones[:-1], strict=True) if till == 0 else ():
            edits.append(change("edit", one, {"tags/oak": True}))
            ends = {"from_customer": one, "to_customer": other, "kind": "companion"}
            edits.append(change("create", link_id(one, other, "companion"), ends, entity="link"))
            pair = {"one": min(one, other), "other": max(one, other), "decision": "proposed"}
            edits.append(change("create", identity_id(one, other), pair, entity="identity"))
        edits.append(change("create" if till == 0 else "edit", mine, {"name": "Lin"}))
        edits += [change("edit", mine, {"wechat": f"w{n}"}) for n in range(ROWS)]
        await tablet.push(*edits)
        for n in range(1, ROWS):
            gap = {"incarnation": tablet.incarnation, "first": 10_000 * n, "last": 10_000 * n + 7}
            await tablet.push(change("create", chain.new_id(), {"name": " "}), gap=gap)
    await chain.service.checking.drain()
    moved = [[chain.service.change("edit", "customer", id, {f"segments/{late}": True})] for id in ones]
    judged = partial(chain.service.change, source="agency", verified="verified", actor=amy)
    moved += [[judged("edit", "customer", id, {"industry": "oak", "reputation": "good"})] for id in ones]
    await chain.service.admission.write(SERVER, moved)
    await chain.service.checking.drain()
    ids = {"id": mine, "segment": segment, "cid": f"{1:032x}"}
    asked = {"rule": '"spend > 0"', "of": '{ rule: "spend > 0 and link(family: spend > 0)" }'}
    asked |= {"key": '"tier"', "kind": "PERSON", "by": '{ field: "gender" }'}
    asked["about"] = f'{{ segment: "{late}" }}'
    return {"entity": "CUSTOMER", "ids": "[]", **asked, **{name: f'"{id}"' for name, id in ids.items()}}


async def twice_if_unequal(
    asked: Callable[[], Awaitable[tuple[list[int], list[int]]]],
) -> tuple[list[int], list[int]]:
    """Statements and objects by the number of rows; the server itself reads the tree of units now and then."""
    statements, sizes = await asked()
    return (statements, sizes) if len(set(statements)) == 1 else await asked()


@asynccontextmanager
async def counting(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Chain, Graph, list[str]]]:
    """A chain whose statements are noted. Answers so long that they are made in slices ask for each: not here."""
    monkeypatch.setattr(pace, "SLICE_S", 3_600)
    counted: list[str] = []

    async def connect(opener: Callable[[], sqlite3.Connection]) -> Driver:
        return Driver(Counted(opener(), counted.append))  # type: ignore[arg-type]

    storage = SqliteStorage(folder / "chain.db", REGISTRY, seeded(1), readers=1, connect=connect)
    unlimited = {
        "query_cost_max": 10**9,
        "developer_cost_max": 0,
        "query_depth_max": 20,
        "query_seconds_max": 600,
    }
    async with new_chain(folder, storage, **unlimited) as chain:
        yield chain, await caller(chain, "admin", sensitive=True), counted


async def test_no_field_of_the_schema_asks_once_for_each_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wrong = []
    parents = [0]
    async with counting(tmp_path, monkeypatch) as (chain, office, counted):
        given = await filled(chain, office)

        async def asked(document: str) -> tuple[list[int], list[int]]:
            """By the number of rows: how many statements, how many objects."""
            statements, sizes = [], []
            for rows in SIZES:
                counted.clear()
                answer = await office.ask(document % {"rows": rows})
                statements.append(len(counted))
                sizes.append(objects(answer))
            return statements, sizes

        for name, document in Walk(build_schema()._schema, given).questions():
            statements, sizes = await twice_if_unequal(partial(asked, document))
            if name.endswith(".*"):
                parents = sizes
            leads_on = name.partition(".")[2] in OF_THE_ROW or sizes[-1] > parents[-1]
            if len(set(statements)) > 1 or not sizes[0] < sizes[1] < sizes[2] or not leads_on:
                wrong.append((name, statements, sizes))
    assert wrong == [], wrong


async def test_no_row_that_a_bulk_mutation_gives_back_is_asked_for_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    wrong = []
    async with counting(tmp_path, monkeypatch) as (chain, office, counted):
        walk = Walk(build_schema()._schema, await filled(chain, office))
        page = await office.ask("{ customers(first: 50, orderBy: ID_DESC) { nodes { id } } }")
        ids = [node["id"] for node in page["customers"]["nodes"]]
        for field, selection in walk.of("Customer"):
            wanted = f"... on CustomersSaved {{ results {{ ... on CustomerSaved {{ customer {{ {selection} }} }} }} }}"
            document = f"mutation ($key: String!, $ids: [UUID!]!, $tags: [String!]!) {{ customersTag(idempotencyKey: $key, ids: $ids, tags: $tags) {{ __typename {wanted} }} }}"

            async def asked() -> tuple[list[int], list[int]]:
                statements, sizes = [], []
                for rows in SIZES:
                    variables = {"key": office.key(), "ids": ids[:rows], "tags": [office.key()]}
                    counted.clear()
                    answer = await office.ask(document, **variables)  # noqa: B023 (called at once)
                    assert answer["customersTag"]["__typename"] == "CustomersSaved", answer
                    statements.append(len(counted))
                    sizes.append(objects(answer))
                return statements, sizes

            statements, sizes = await twice_if_unequal(asked)
            if len(set(statements)) > 1 or not sizes[0] < sizes[1] < sizes[2]:
                wrong.append((field, statements, sizes))
    assert wrong == []


TOUCHED = {
    "customer": "notes", "unit": "name", "staff": "name", "segment": "purpose", "product": "category",
    "device": "name", "link": "note", "identity": "matched", "supplier": "note", "assignment": "reason",
    "task": "note", "custom_value": "value", "field_def": "tab",
}  # fmt: skip
"""What is written anew of a row, so that it is in an event."""


async def test_no_row_of_an_event_is_asked_for_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wrong = []
    async with counting(tmp_path, monkeypatch) as (chain, office, counted), served(chain) as site:
        walk = Walk(build_schema()._schema, await filled(chain, office))
        everybody = await office.ask("{ customers(first: 1, orderBy: ID_DESC) { nodes { id } } }")
        party = [{"customer": everybody["customers"]["nodes"][0]["id"], "role": "principal"}]

        async def touch(entity: str, ids: list[str]) -> None:
            at = {"at": "2027-01-02T10:00:00.000Z"}
            said: dict[str, dict[str, Any]] = {
                "interaction": {"kind": "visit", "party": party, **at},
                "consent": {**party[0], "purpose": "survey", "granted": True, **at},
            }
            for id in ids:
                if entity in said:  # a fact is never edited
                    fields = {name: value for name, value in said[entity].items() if name != "role"}
                    change = chain.service.change("create", entity, chain.new_id(), fields)
                else:
                    anew = "service" if entity == "field_def" else "anew"
                    change = chain.service.change("edit", entity, id, {TOUCHED[entity]: anew})
                changes.append([change])

        node = walk.schema.type_map["Node"]
        assert is_abstract_type(node)
        for type_ in sorted(walk.schema.get_possible_types(node), key=str):
            entity = re.sub(r"(?<!^)([A-Z])", r"_\1", type_.name).lower()
            async with chain.service.storage.unscoped_reader() as reader:
                ids = [row.id for row in await reader.select(entity, None, Order(), 5_000)][-ROWS:]
            cursors = {}
            for rows, part in ((50, ids[10:]), (10, ids[1:10]), (1, ids[:1])):
                async with site.socket(office.token) as socket:
                    await socket.subscribe(
                        f"subscription {{ changes(entities: [{entity.upper()}]) {{ cursor }} }}"
                    )
                    cursors[rows] = (await socket.data())["cursor"]
                changes: list[list[Change]] = []
                await touch(entity, part)
                for (ruling,) in await chain.service.admission.write(SERVER, changes):
                    assert ruling.verdict in ("applied", "merged"), (entity, ruling)
            for field, selection in walk.of(type_.name):
                document = f"subscription ($after: String) {{ changes(after: $after, entities: [{entity.upper()}]) {{ rows {{ row {{ __typename ... on {type_.name} {{ {selection} }} }} }} }} }}"

                async def asked() -> tuple[list[int], list[int]]:
                    statements, sizes = [], []
                    for rows in SIZES:
                        async with site.socket(office.token) as socket:
                            counted.clear()
                            await socket.subscribe(document, after=cursors[rows])  # noqa: B023
                            event = await socket.data()
                            statements.append(len(counted))
                        assert len(event["rows"]) == rows, (field, len(event["rows"]), rows)  # noqa: B023
                        sizes.append(objects(event))
                    return statements, sizes

                statements, sizes = await twice_if_unequal(asked)
                if len(set(statements)) > 1 or not sizes[0] < sizes[1] < sizes[2]:
                    wrong.append((field, statements, sizes))
    assert wrong == []
