"""Customers as rules know them, read from the rows of storage: a batch in a dozen statements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import orjson

from regulars_schema.declare import JSON, Level
from regulars_schema.rules.facts import Product
from regulars_schema.rules.knowing import Known
from regulars_server.authors import UnitTree
from regulars_server.storage.interface import Any_, Found, Order, Reader, Test, Where
from regulars_sync.known import NAMING, SENSITIVE, Rows
from regulars_sync.known import known as assembled

PAGE_ROWS = 5_000
DEFINED_MAX = 10_000


async def known(
    reader: Reader, ids: Iterable[str], *, tree: UnitTree, as_of_ms: int, sensitive: bool
) -> dict[str, Known]:
    """The persons of whom these customers are rows, by each id that was asked for and is within reach.

    Merged customers give one `Known`, that of the survivor. What the reader may not see is hidden: without
    `sensitive` the fields of that level, and rows out of its scopes.
    """
    wanted = list(dict.fromkeys(ids))
    clusters = await reader.clusters(wanted)
    persons = {id: clusters.get(id, (id,)) for id in wanted}
    members = sorted({member for person in persons.values() for member in person})
    rows = await read(reader, members)
    hidden = frozenset[str]() if sensitive else SENSITIVE
    found: dict[str, Known] = {}
    made: dict[tuple[str, ...], Known | None] = {}
    for id, person in persons.items():
        if person not in made:
            home = home_of(rows, person)
            made[person] = assembled(rows, person, tree.place(home), as_of_ms, hidden=hidden)
        one = made[person]
        if one is not None:
            found[id] = one
    return found


async def read(reader: Reader, members: Sequence[str]) -> Rows:
    """All that tells of these customers."""
    rows = await read_facts(reader, members)
    for id, row in (await reader.find("customer", members)).items():
        rows.put("customer", id, row.documents)
    for entity in NAMING:
        ends = ("from_customer", "to_customer") if entity == "link" else ("customer",)
        await _put(reader, rows, entity, Any_(tuple(Test(end, "in", list(members)) for end in ends)))
    defined = await reader.select("field_def", None, Order(), DEFINED_MAX)
    rows.defined = {row.id: _internal(row) for row in defined}
    return rows


async def read_facts(reader: Reader, members: Sequence[str]) -> Rows:
    """The facts that name these customers, all that decides which of them count, and the products."""
    rows = Rows()
    await _put(reader, rows, "interaction", Test("party", "overlaps", list(members)))
    await _families(reader, rows)
    rows.products = await _products(reader, rows)
    return rows


def home_of(rows: Rows, person: Iterable[str]) -> str | None:
    """Where a person is at home: where the first member that is there is."""
    for id in person:
        if id in rows.of["customer"]:
            register = rows.of["customer"][id].get("home_unit")
            return next(iter(register.values.values())).value if register and register.values else None
    return None


async def _put(reader: Reader, rows: Rows, entity: str, where: Where) -> list[Found]:
    found: list[Found] = []
    after = None
    while True:
        page = await reader.select(entity, where, Order(), PAGE_ROWS, after)
        found += page
        if len(page) < PAGE_ROWS:
            break
        after = page[-1].key
    for row in found:
        rows.put(entity, row.id, row.documents)
    return found


async def _families(reader: Reader, rows: Rows) -> None:
    """Facts that correct or void those that were read, whomever they name, and what these correct."""
    asked: set[str] = set()
    facts = rows.facts
    while todo := sorted(facts.keys() - asked):
        asked.update(todo)
        await _put(reader, rows, "interaction", Test("supersedes", "in", todo))
        former = {target for id in todo if (target := rows.supersedes(id)) is not None} - facts.keys()
        for id, row in (await reader.find("interaction", sorted(former))).items() if former else ():
            rows.put("interaction", id, row.documents)


async def _products(reader: Reader, rows: Rows) -> dict[str, Product]:
    ids = sorted(rows.named_products())
    if not ids:
        return {}
    found = {id: _internal(row) for id, row in (await reader.find("product", ids)).items()}
    return {
        id: Product(said.get("category"), said.get("usage_days"), said.get("refill_lead_days") or 0)
        for id, said in found.items()
    }


def _internal(row: Found) -> Mapping[str, JSON]:
    said: dict[str, JSON] = orjson.loads(row.documents[Level.INTERNAL])
    return said
