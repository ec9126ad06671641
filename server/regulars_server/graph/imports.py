"""Imports as GraphQL asks for them and tells how far they are."""

from __future__ import annotations

import asyncio
import re
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import orjson
import strawberry

from regulars_schema.messages import text
from regulars_server.graph.declared import mutation, resolved
from regulars_server.graph.enums import EntityName
from regulars_server.graph.importing import COUNTS, require_import
from regulars_server.graph.problems import Refusal, refusal
from regulars_server.graph.request import Context, Info
from regulars_server.graph.scalars import UUID, DateTime, instant_of
from regulars_server.graph.works import WorkState, owner_in, works_of
from regulars_server.graph.writing import Writing, settled
from regulars_server.mutations import Mutations
from regulars_server.spreadsheet import is_imported
from regulars_server.works import WorkRow
from regulars_sync.errors import Refused

PROBLEMS_MAX = 20
SOURCE = re.compile(r"[\w.-]{1,40}")


@strawberry.type(description="A line of a file that an import could not take, and why.")
class ImportProblem:
    line: int = strawberry.field(description="The number of the line in the file, from 1.")
    external_id: str | None = strawberry.field(description="Of its row, where it could be read.")
    code: str = strawberry.field(description="Stable: see docs/ERRORS.md.")
    field: str | None = strawberry.field(description="The column that is to blame.")
    message: str = strawberry.field(description="In the language of Accept-Language.")


@strawberry.type(description="The lines of an uploaded file, taken into the chain in the background.")
class Import:
    id: UUID = strawberry.field(description="Of the import.")
    state: WorkState = strawberry.field(description="How far it is.")
    entity: EntityName | None = strawberry.field(description="What each line is; null when it was voided.")
    source: str | None = strawberry.field(description="The system that gave the external ids.")
    dry_run: bool | None = strawberry.field(description="Whether nothing is written.")
    lines: int = strawberry.field(description="About how many lines there are; exact at its end.")
    lines_done: int = strawberry.field(description="How many of them were read by now.")
    created: int = strawberry.field(description="Lines that made a row.")
    updated: int = strawberry.field(description="Lines that changed a row.")
    unchanged: int = strawberry.field(description="Lines that said nothing new.")
    refused: int = strawberry.field(description="Lines that were not taken. Of a file nothing is held.")
    created_at: DateTime = strawberry.field(description="When it was asked for.")
    ended_at: DateTime | None = strawberry.field(description="When it ended.")
    expires_at: DateTime = strawberry.field(description="When what it tells of lines goes.")
    url: str | None = strawberry.field(
        description="Where all problems are fetched as JSON lines; null until it ended, and for none."
    )
    error: Refusal | None = strawberry.field(description="Why it did not come to its end.")
    report: strawberry.Private[Path]

    @resolved("The first 20 lines that were not taken.")
    async def problems(self, info: Info) -> list[ImportProblem]:
        found = await asyncio.to_thread(_first, self.report)
        return [
            ImportProblem(
                line=one["line"],
                external_id=one["externalId"],
                code=one["code"],
                field=one["field"],
                message=text(one["code"], one["detail"], info.context.lang),
            )
            for one in found
        ]


@strawberry.input(description="What to import.")
class ImportInput:
    upload_id: UUID = strawberry.field(description="What `POST /works/uploads` answered: CSV or JSON lines.")
    entity: EntityName = strawberry.field(description="What each line is.")
    source: str = strawberry.field(
        description="The system that gave the external ids, such as `pos`; keep it the same."
    )
    dry_run: bool = strawberry.field(
        default=False, description="Tell what would become of each line, and write nothing."
    )


@strawberry.type(description="The import, as it is now.")
class ImportSaved:
    import_: Import = strawberry.field(name="import", description="The import.")


ImportResult = Annotated[ImportSaved | Refusal, strawberry.union("ImportResult")]


@strawberry.type
class ImportQueries:
    @resolved("One of your imports; null when it is not yours.", name="import")
    async def import_(self, info: Info, id: UUID) -> Import | None:
        try:
            return _import(info.context, await works_of(info).get(id, owner_in(info), "import"))
        except Refused:
            return None

    @resolved("Your imports, the newest first; at most 100.")
    async def imports(self, info: Info) -> list[Import]:
        found = await works_of(info).list(owner_in(info), "import")
        return [_import(info.context, row) for row in found]


@strawberry.type
class ImportMutations:
    @mutation(
        "Take an uploaded file in, or try it: upsert by external id, so that the same file twice changes"
        " nothing. For head office, with your rights at the time when it runs."
    )
    async def import_start(self, info: Info, idempotency_key: str, input: ImportInput) -> ImportResult:
        async def run(writing: Writing) -> ImportSaved:
            context, works, owner = info.context, works_of(info), owner_in(info)
            upload = await works.get(input.upload_id, owner, "upload")
            if upload.state != "completed":
                raise upload.error or Refused("not_found", entity="upload", field="uploadId")
            entity = writing.entity(input.entity.value)
            if not is_imported(entity):
                raise Refused("entity_unknown", entity=entity.name, field="entity")
            if not SOURCE.fullmatch(input.source):
                reason = "`source` is up to 40 letters, digits, `_`, `.` and `-`."
                raise Refused("argument_invalid", reason=reason, field="source")
            require_import(context.principal, entity)
            asked: dict[str, Any] = {
                "upload": upload.id,
                "entity": entity.name,
                "source": input.source,
                "dryRun": input.dry_run,
                "lang": context.lang,
            }
            id = Mutations.new_id("import", writing.cid)
            await context.refresh()
            token = context.principal.token
            row = await works.ask(id, "import", owner, token, asked, upload.erased, place=upload.place)
            return ImportSaved(import_=_import(context, row))

        return await settled(info.context, idempotency_key, run)

    @mutation("Let an import not be done, or not any further: what it wrote by now stays.")
    async def import_cancel(self, info: Info, idempotency_key: str, id: UUID) -> ImportResult:
        async def run(writing: Writing) -> ImportSaved:
            row = await works_of(info).cancel(id, owner_in(info), "import")
            return ImportSaved(import_=_import(info.context, row))

        return await settled(info.context, idempotency_key, run)


def _import(context: Context, row: WorkRow) -> Import:
    error, asked, told = row.error, row.wanted, row.told
    return Import(
        id=UUID(row.id),
        state=WorkState(row.state),
        entity=EntityName(asked["entity"]) if asked else None,
        source=asked.get("source"),
        dry_run=asked.get("dryRun"),
        lines=told.get("lines", 0),
        lines_done=row.row_count,
        **{name: told.get(name, 0) for name in COUNTS},
        created_at=instant_of(row.made_ms),
        ended_at=None if row.ended_ms is None else instant_of(row.ended_ms),
        expires_at=instant_of(row.expires_ms),
        url=f"/works/{row.id}" if row.is_fetched and told.get("refused") else None,
        error=None if error is None else refusal(error, context.lang),
        report=context.service.works.report(row.id),
    )


def _first(report: Path) -> list[dict[str, Any]]:
    try:
        with report.open("rb") as file:
            return [orjson.loads(line) for line in islice(file, PROBLEMS_MAX) if line.endswith(b"\n")]
    except FileNotFoundError:
        return []
