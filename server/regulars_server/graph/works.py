"""Exports as GraphQL asks for them and tells how far they are."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

import strawberry
from strawberry import scalars

from regulars_server.graph.declared import mutation, resolved, valued
from regulars_server.graph.exporting import Exporting
from regulars_server.graph.problems import Refusal, refusal
from regulars_server.graph.request import Context, Info
from regulars_server.graph.scalars import UUID, DateTime, instant_of
from regulars_server.graph.writing import Writing, settled
from regulars_server.mutations import Mutations
from regulars_server.works import WorkRow, owner_of
from regulars_sync.errors import Refused


@strawberry.enum(description="状态 · How far an export or an import is.")
class WorkState(Enum):
    QUEUED = valued("queued", "排队中 · It waits for its turn")
    RUNNING = valued("running", "进行中 · It is being done")
    COMPLETED = valued("completed", "已完成 · It is done")
    FAILED = valued("failed", "失败 · It could not be done; `error` says why, and it can be asked for anew")
    CANCELED = valued("canceled", "已取消 · Whoever asked for it wants it no more")
    EXPIRED = valued("expired", "已过期 · Its file is gone, in time")
    VOIDED = valued("voided", "已作废 · Somebody was erased since: its file is gone")


@strawberry.enum(description="格式 · How an export is written.")
class ExportFormat(Enum):
    JSONL = valued("jsonl", "JSON 行 · One JSON object a line")
    PARQUET = valued("parquet", "列式 · Parquet, where the server has the extra `parquet`")


@strawberry.type(description="All rows of a connection as a file, read in the background from one snapshot.")
class Export:
    id: UUID = strawberry.field(description="Of the export.")
    state: WorkState = strawberry.field(description="How far it is.")
    format: ExportFormat | None = strawberry.field(description="How it is written; null when it was voided.")
    rows: int = strawberry.field(description="How many rows were written by now.")
    bytes: str = strawberry.field(description="How large the file is by now.")
    created_at: DateTime = strawberry.field(description="When it was asked for.")
    ended_at: DateTime | None = strawberry.field(description="When it ended.")
    expires_at: DateTime = strawberry.field(description="When the file goes.")
    url: str | None = strawberry.field(
        description="Where the file is fetched with the same token, from any byte on; null until it is done."
    )
    error: Refusal | None = strawberry.field(description="Why it did not come to its end.")


@strawberry.input(description="What to export.")
class ExportInput:
    query: str = strawberry.field(
        description="A query with one connection at its root, without `first` and `after`: it gives all rows."
    )
    variables: scalars.JSON | None = strawberry.field(default=None, description="Its variables, an object.")
    format: ExportFormat = strawberry.field(default=ExportFormat.JSONL, description="How to write it.")


@strawberry.type(description="The export, as it is now.")
class ExportSaved:
    export: Export = strawberry.field(description="The export.")


ExportResult = Annotated[ExportSaved | Refusal, strawberry.union("ExportResult")]


@strawberry.type
class WorkQueries:
    @resolved("One of your exports; null when it is not yours.")
    async def export(self, info: Info, id: UUID) -> Export | None:
        try:
            return _export(info.context, await works_of(info).get(id, owner_in(info), "export"))
        except Refused:
            return None

    @resolved("Your exports, the newest first; at most 100.")
    async def exports(self, info: Info) -> list[Export]:
        return [_export(info.context, row) for row in await works_of(info).list(owner_in(info), "export")]


@strawberry.type
class WorkMutations:
    @mutation("Export all rows of a connection, with your rights at the time when it runs.")
    async def export_start(self, info: Info, idempotency_key: str, input: ExportInput) -> ExportResult:
        async def run(writing: Writing) -> ExportSaved:
            context = info.context
            if input.variables is not None and not isinstance(input.variables, dict):
                raise Refused("value_type", field="variables", expected="an object")
            assert context.operations is not None
            asked: dict[str, Any] = {
                "query": input.query,
                "variables": input.variables or {},
                "format": input.format.value,
            }
            await Exporting(context.operations, works_of(info)).check(**asked, context=context)
            id = Mutations.new_id("export", writing.cid)
            erased = await context.erased()
            await context.refresh()
            token = context.principal.token
            row = await works_of(info).ask(id, "export", owner_in(info), token, asked, erased)
            return ExportSaved(export=_export(context, row))

        return await settled(info.context, idempotency_key, run)

    @mutation("Let an export not be done, or not any further.")
    async def export_cancel(self, info: Info, idempotency_key: str, id: UUID) -> ExportResult:
        async def run(writing: Writing) -> ExportSaved:
            row = await works_of(info).cancel(id, owner_in(info), "export")
            return ExportSaved(export=_export(info.context, row))

        return await settled(info.context, idempotency_key, run)


def works_of(info: Info) -> Any:
    return info.context.service.works


def owner_in(info: Info) -> str:
    return owner_of(info.context.principal)


def _export(context: Context, row: WorkRow) -> Export:
    error, asked = row.error, row.wanted
    return Export(
        id=UUID(row.id),
        state=WorkState(row.state),
        format=ExportFormat(asked["format"]) if asked else None,
        rows=row.row_count,
        bytes=str(row.byte_count),
        created_at=instant_of(row.made_ms),
        ended_at=None if row.ended_ms is None else instant_of(row.ended_ms),
        expires_at=instant_of(row.expires_ms),
        url=f"/works/{row.id}" if row.state == "completed" else None,
        error=None if error is None else refusal(error, context.lang),
    )
