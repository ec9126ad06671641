"""`regulars export`: all rows of a connection as a file, for whoever holds the chain's files."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import orjson
import typer

from regulars_server.cli.command import Run, command
from regulars_server.cli.loading import progress
from regulars_sync.errors import LocalError, Refused

FORMATS = {".jsonl": "jsonl", ".parquet": "parquet"}


def register(app: typer.Typer) -> None:
    @command(
        app,
        "export",
        "将一个 GraphQL 列表的全部行导出为文件：JSON 行或 Parquet。",
        [
            "regulars export customers.graphql customers.jsonl",
            'regulars export visits.graphql visits.parquet --variables \'{"kind": "VISIT"}\'',
        ],
    )
    async def export(
        run: Run,
        document: Annotated[Path, typer.Argument(help="A query with one connection. 查询文件", exists=True)],
        file: Annotated[Path, typer.Argument(help="Where to: .jsonl or .parquet. 输出文件")],
        variables: Annotated[str, typer.Option(help="Its variables, as JSON. 变量")] = "{}",
        sensitive: Annotated[
            bool, typer.Option("--sensitive", help="With sensitive fields; else null. 含敏感字段")
        ] = False,
    ) -> None:
        """Write all rows of the one connection that a query asks for, from one snapshot, as head office.

        It is the `exportStart` of the API, without a limit on the file. The file appears when it is whole.
        """
        from regulars_server.graph.exporting import Exporting  # slow: help must not wait for it
        from regulars_server.graph.operations import Operations

        format = FORMATS.get(file.suffix)
        if format is None:
            run.terminal.refuse(
                f"{file.name} 应以 .jsonl 或 .parquet 结尾。",
                f"{file.name} should end in .jsonl or .parquet.",
            )
        if file.exists():
            raise LocalError("file_exists", file=str(file))
        given = _variables(variables)
        query = document.read_text("utf-8")
        part = file.with_name(f".{file.name}.part")
        async with run.chain() as service:
            operations = Operations(service)
            context = await operations.context(operations.head_office(sensitive), run.terminal.lang)
            try:
                with progress(run.terminal) as bar, part.open("wb") as out:
                    task = bar.add_task(file.name, total=None)

                    async def tell(rows: int) -> None:
                        bar.update(task, completed=rows)

                    rows = await Exporting(operations, service.works).write(
                        query, given, format, context, out, tell
                    )
                    bar.update(task, total=rows, completed=rows)
                    out.flush()
                    await asyncio.to_thread(os.fsync, out.fileno())
                part.replace(file)
            finally:
                part.unlink(missing_ok=True)
                await context.close()
        size = file.stat().st_size
        run.terminal.data({"file": str(file), "rows": rows, "bytes": size})
        run.terminal.line(f"{file}：{rows} 行，{size} 字节", f"{file}: {rows} rows, {size} bytes")


def _variables(text: str) -> dict[str, object]:
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refused("argument_invalid", reason=f"--variables: {error}") from None
    if not isinstance(given, dict):
        raise Refused("value_type", field="variables", expected="an object")
    return given
