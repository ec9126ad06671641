"""Import of files, CSV or JSON lines: upsert by external id, through the same road as every change.

A row's id is made of source and external id, so reading a file twice writes nothing. Of a row that
exists, a field is written only when the file's value is another than this source wrote last, and the
change has seen only the source's own and equal values: a nightly file never undoes what staff wrote, nor that
somebody verified it. The id of an assignment is made of customer and scheme (`import_words`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from regulars_schema.declare import JSON, Entity, Unfit
from regulars_schema.normal import element_path
from regulars_server.authors import SERVER, UnitTree
from regulars_server.import_words import Words
from regulars_server.service import Service
from regulars_server.spreadsheet import WORDS, Refused, Row, read_rows
from regulars_server.storage.interface import Found, Reader
from regulars_sync import changes, document
from regulars_sync.changes import Change, Malformed

BATCH_ROWS = 500


@dataclass(slots=True)
class ImportReport:
    """What became of lines of one file."""

    entity: str
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: list[Refused] = field(default_factory=list)
    """Line, external id, code and detail of each line that was not taken."""

    @property
    def lines(self) -> int:
        return self.created + self.updated + self.unchanged + len(self.refused)

    def add(self, part: ImportReport) -> None:
        self.created += part.created
        self.updated += part.updated
        self.unchanged += part.unchanged
        self.refused += part.refused


async def import_file(
    service: Service,
    path: Path,
    entity_name: str,
    source: str,
    on_progress: Callable[[int], None] = lambda lines: None,
    dry_run: bool = False,
) -> ImportReport:
    """Read a file of one entity; lines that do not fit are reported and the others taken.

    A `dry_run` tells the same and writes nothing. `Unfit` when the file as a whole can't be read:
    unknown columns, no header.
    """
    report = ImportReport(entity_name)
    async for part in import_parts(service, path, entity_name, source, dry_run):
        report.add(part)
        on_progress(part.lines)
    return report


async def import_parts(
    service: Service,
    path: Path,
    entity_name: str,
    source: str,
    dry_run: bool = False,
    rows_max: int = BATCH_ROWS,
) -> AsyncIterator[ImportReport]:
    """The same, some lines at a time and what became of those; whoever reads may stop between."""
    entity = service.storage.registry.get(entity_name)
    lines = read_rows(path, entity.name, source, registry=service.storage.registry)
    words = Words(service, source)
    tree = await service.admission.tree()
    while batch := await asyncio.to_thread(_next, lines, rows_max):
        rows = [line for line in batch if isinstance(line, Row)]
        part = ImportReport(entity.name, refused=[line for line in batch if isinstance(line, Refused)])
        if entity.name == WORDS:
            meant = await words.meant(rows)
            rows = [line for line in meant if isinstance(line, Row)]
            part.refused += [line for line in meant if isinstance(line, Refused)]
        await _take(service, tree, entity, source, rows, part, dry_run)
        part.refused.sort(key=lambda line: line.line)
        yield part


def _next(lines: Iterator[Row | Refused], rows_max: int) -> list[Row | Refused]:
    return list(islice(lines, rows_max))


async def _take(
    service: Service,
    tree: UnitTree,
    entity: Entity,
    source: str,
    rows: list[Row],
    report: ImportReport,
    dry_run: bool,
) -> None:
    async with service.storage.unscoped_reader() as reader:
        found = await reader.find(entity.name, [row.id for row in rows])
        drafted: dict[str | None, list[tuple[Row, Change]]] = {}
        for row in rows:
            country = tree.country(row.fields.get("home_unit") or row.fields.get("unit"))
            try:
                change = await _change(service, reader, entity, source, row, found.get(row.id), country)
            except Unfit as unfit:
                report.refused.append(Refused(row.line, row.external_id, unfit.code, unfit.detail))
                continue
            if change is None:
                report.unchanged += 1
            else:
                drafted.setdefault(country, []).append((row, change))
    for country, given in drafted.items():
        author = replace(SERVER, country=country)
        groups = [[change] for _, change in given]
        results = await service.admission.write(author, groups, keep_going=True, dry_run=dry_run)
        for (row, _), (ruling,) in zip(given, results, strict=True):
            if ruling.verdict not in {"applied", "merged"}:
                detail = {"field": ruling.field, **(ruling.detail or {})}
                report.refused.append(Refused(row.line, row.external_id, ruling.code or "", detail))
            elif row.id in found:
                report.updated += 1
            else:
                report.created += 1


async def _change(
    service: Service,
    reader: Reader,
    entity: Entity,
    source: str,
    row: Row,
    found: Found | None,
    country: str | None,
) -> Change | None:
    """The change that makes the row what the file says, None when it is that already."""
    actor = f"import:{source}"
    fields = _normal(entity, row.fields, country)
    if found is None:
        return service.change("create", entity.name, row.id, fields, actor=actor, source="import")
    registers = document.decode(found.documents.values())
    if entity.is_fact:
        held = document.shown(entity, registers)
        if held == fields:
            return None
        return service.change("create", entity.name, row.id, fields, actor=actor, source="import")
    wrote, own = await _written_by(reader, entity, row.id, actor, country)
    _withdraw(entity, fields, wrote)
    fixed = {found.name for found in entity.fields if found.fixed}
    changed: dict[str, JSON] = {}
    seen: dict[str, list[str]] = {}
    for path, value in fields.items():
        if path in fixed or (path in wrote and wrote[path] == value):
            continue
        values = list(registers[path].values.values()) if path in registers else []
        equal = [c for c in values if c.value == value]
        if entity.name != WORDS and any(c.verified == "verified" for c in equal):
            continue
        changed[path] = value
        cids = {c.cid for c in values if c.cid in own} | {c.cid for c in equal if c.verified != "verified"}
        if cids:
            seen[path] = sorted(cids)
    if not changed:
        return None
    return service.change("edit", entity.name, row.id, changed, seen=seen, actor=actor, source="import")


def _normal(entity: Entity, fields: Mapping[str, JSON], country: str | None) -> dict[str, JSON]:
    """The fields under the paths that admission gives them."""
    result: dict[str, JSON] = {}
    for path, value in fields.items():
        found, key = entity.at(path)
        result[path if key is None else element_path(found, key, value, country)] = value
    return result


async def _written_by(
    reader: Reader, entity: Entity, id: str, actor: str, country: str | None
) -> tuple[dict[str, JSON], set[str]]:
    """What this source wrote last into each path of a row, and the cids of all its changes."""
    wrote: dict[str, Any] = {}
    own: set[str] = set()
    for entry in await reader.history(entity.name, id):
        if entry.actor != actor or entry.body is None:
            continue
        try:
            change = changes.decode(entry.body)
        except Malformed:
            continue
        own.add(change.cid)
        wrote |= _normal(entity, {path: written.value for path, written in change.fields.items()}, country)
    return wrote, own


def _withdraw(entity: Entity, fields: dict[str, JSON], wrote: Mapping[str, JSON]) -> None:
    """Elements that the source wrote before and that a set in the file no longer has are taken out."""
    given = {path.partition("/")[0] for path in fields if "/" in path}
    for path, value in wrote.items():
        name = path.partition("/")[0]
        if "/" in path and value and name in given and path not in fields and name != "external_ids":
            fields[path] = False


def count_lines(paths: Iterable[Path]) -> int:
    """About how many rows these files have, for a progress bar."""
    total = 0
    for path in paths:
        with path.open("rb") as file:
            total += max(0, sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b"")) - 1)
    return total
