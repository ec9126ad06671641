"""An uploaded file into the chain: the import of the command line, in the background, for whoever asked.

It writes with the chain's own word and compares with all there is, so it is head office's alone. What it
could not take is a line of JSON each. Begun anew it writes nothing twice: rows go by their external ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from regulars_schema.declare import Entity, Level, Unfit
from regulars_schema.messages import text
from regulars_server.access import Principal
from regulars_server.access.rights import IMPORT, WRITE
from regulars_server.graph.exporting import rights_of
from regulars_server.importing import ImportReport, count_lines, import_parts
from regulars_server.spreadsheet import Refused as RefusedLine
from regulars_server.works import WorkRow, Works
from regulars_sync.errors import Refused

if TYPE_CHECKING:
    from regulars_server.graph.operations import Operations

LINES_MAX = 500_000
"""Of one file: the external ids that were seen are held in memory."""
PART_ROWS = 100
"""So many are written at once; everybody else goes between."""
COUNTS = ("created", "updated", "unchanged", "refused")


def require_import(principal: Principal, entity: Entity) -> None:
    """`Refused`: not_allowed, scope_missing; also where some of it may not be read."""
    principal.require(IMPORT)
    principal.require(WRITE[entity.name])
    if Level.SENSITIVE in entity.levels and not principal.sensitive:
        raise Refused("not_allowed")


class Importing:
    """Runs imports for as long as whoever asked for them may."""

    def __init__(self, operations: Operations, works: Works) -> None:
        self._operations = operations
        self._works = works

    async def run(self, work: WorkRow, pause: Callable[[], Any]) -> None:
        """Take the file in; `RegularsError` says why it can't be, `Stopped` that nobody wants it."""
        try:
            await self._run(work, pause)
        except Unfit as unfit:
            raise Refused(unfit.code, **unfit.detail) from None
        except FileNotFoundError:
            raise Refused("not_found", entity="upload", field="uploadId") from None

    async def _run(self, work: WorkRow, pause: Callable[[], Any]) -> None:
        works, asked, service = self._works, work.wanted, self._operations.service
        rights = await self._rights(work)
        upload, path = works.data(asked["upload"]), works.report(work.id)
        lines = await asyncio.to_thread(count_lines, [upload])
        if lines > LINES_MAX:
            raise Refused("import_too_large", lines_max=LINES_MAX)
        bytes_max = await works.room()
        told = dict.fromkeys(COUNTS, 0)
        rows = size = 0
        await works.report_to(work.id, rights)
        await works.note(work.id, 0, 0, lines=lines, **told)
        parts = import_parts(service, upload, asked["entity"], asked["source"], asked["dryRun"], PART_ROWS)
        with path.open("wb") as file:
            async for part in parts:
                for one in part.refused:
                    size += file.write(_line(one, asked["lang"]))
                file.flush()
                rows += part.lines
                for name, more in _counts(part).items():
                    told[name] += more
                await works.note(work.id, rows, size, lines=max(lines, rows), **told)
                if size > bytes_max:
                    raise Refused("works_full", seconds=60)
                await pause()
                if await self._rights(work) != rights:
                    raise Refused("rights_changed")
        await works.note(work.id, rows, size, lines=rows, **told)
        await works.finish(work.id, path, rows, rights)
        if not asked["dryRun"]:
            await works.let_go(asked["upload"])

    async def _rights(self, work: WorkRow) -> str:
        """With which rights it goes on; `Refused` when they do not suffice any more."""
        principal = await self._operations.service.access.standing(work.token)
        context = await self._operations.context(principal, "en")
        require_import(context.principal, context.service.storage.registry.get(work.wanted["entity"]))
        return rights_of(context)


def _counts(report: ImportReport) -> dict[str, int]:
    """What became of how many lines, by the names of `COUNTS`."""
    taken = (report.created, report.updated, report.unchanged, len(report.refused))
    return dict(zip(COUNTS, taken, strict=True))


def _line(one: RefusedLine, lang: str) -> bytes:
    said = {
        "line": one.line,
        "externalId": one.external_id,
        "code": one.code,
        "field": one.detail.get("field"),
        "message": text(one.code, one.detail, lang),
        "detail": one.detail,
    }
    return orjson.dumps(said, default=str, option=orjson.OPT_APPEND_NEWLINE)
