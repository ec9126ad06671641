"""Rows of the chain for a command: found by what a person calls them, written as head office."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from regulars_schema.declare import JSON, Level
from regulars_server.authors import SERVER
from regulars_server.cli.terminal import Terminal
from regulars_server.service import Service
from regulars_server.storage.interface import Found, Order
from regulars_sync import document
from regulars_sync.changes import Change
from regulars_sync.errors import Refused
from regulars_sync.ids import ENTROPY_BYTES, uuid7
from regulars_sync.log import ACCEPTED

ROWS_MAX = 100_000

Row = dict[str, Any]
"""Shown values by field, a set as the dict of its elements, with the row's `id`."""


def new_id(service: Service) -> str:
    return uuid7(service.now_ms(), service.entropy(ENTROPY_BYTES))


def values(service: Service, entity: str, found: Found) -> Row:
    shown = orjson.loads(found.documents[Level.INTERNAL])
    flat = {path: value for path, value in shown.items() if path not in document.META}
    return {"id": found.id, **document.nested(service.storage.registry.get(entity), flat)}


async def list_rows(service: Service, entity: str, archived: bool = True) -> list[Row]:
    """Every row of a small entity, by name."""
    async with service.storage.unscoped_reader() as reader:
        found = await reader.select(entity, None, Order("name"), ROWS_MAX)
    rows = [values(service, entity, one) for one in found]
    return [row for row in rows if archived or not row.get("archived")]


async def find_row(service: Service, terminal: Terminal, entity: str, called: str) -> Row:
    """The row with this id, name or external id (with or without its source)."""
    rows = await list_rows(service, entity)
    matching = [row for row in rows if called in _names(row)] or [
        row for row in rows if called.casefold() in str(row.get("name")).casefold()
    ]
    if len(matching) > 1:
        shown = ", ".join(f"{row['name']} ({row['id']})" for row in matching[:5])
        terminal.refuse(
            f"“{called}”可指多个：{shown}。请写编号。", f"“{called}” may be any of: {shown}. Give the id."
        )
    if not matching:
        label = service.storage.registry.get(entity).label
        terminal.refuse(
            f"没有名称或编号为“{called}”的{label.zh}。",
            f"There is no {label.en.lower()} with the name or id “{called}”.",
        )
    return matching[0]


def _names(row: Row) -> set[str]:
    external = row.get("external_ids") or {}
    return {row["id"], str(row.get("name")), *external, *(key.partition(":")[2] for key in external)}


async def write(service: Service, *changes: Change) -> None:
    """Apply changes one by one as head office; `Refused` with the code of the first that does not apply."""
    for change in changes:
        ((ruling,),) = await service.admission.write(SERVER, [[change]])
        if ruling.verdict not in ACCEPTED:
            raise Refused(ruling.code or "internal", **{"field": ruling.field, **(ruling.detail or {})})


async def put(service: Service, entity: str, id: str, fields: Mapping[str, JSON]) -> None:
    """Create the row, or write these fields over all that stands in them now."""
    async with service.storage.unscoped_reader() as reader:
        found = (await reader.find(entity, [id])).get(id)
    if found is None:
        await write(service, service.change("create", entity, id, fields))
        return
    registers = document.decode(found.documents)
    seen = {path: sorted(registers[path].values) for path in fields if path in registers}
    await write(service, service.change("edit", entity, id, fields, seen=seen))


def elements(field: str, keys: Iterable[str], before: Iterable[str] = ()) -> dict[str, JSON]:
    """The paths that make a set hold exactly these keys."""
    return {f"{field}/{key}": False for key in before} | {f"{field}/{key}": True for key in keys}
