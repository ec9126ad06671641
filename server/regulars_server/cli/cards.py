"""`regulars card`: a customer's card or the empty form as a file to print, for head office."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regulars_server.cli.command import Run, command
from regulars_sync.errors import LocalError


def register(app: typer.Typer) -> None:
    @command(
        app,
        "card",
        "将一位顾客的档案卡，或空白的客户资料表，写成可打印的文件。敏感内容从不打印。",
        [
            "regulars card 0199c0de-… --pdf lin.pdf --lang zh",
            "regulars card 0199c0de-… --html lin.html",
            "regulars card blank --kind organization --pdf form.pdf",
        ],
    )
    async def card(
        run: Run,
        id: Annotated[str, typer.Argument(help="The customer's id, or blank. 顾客编号，或 blank")],
        pdf: Annotated[Path | None, typer.Option(help="Where to, as PDF. 输出 PDF")] = None,
        html: Annotated[Path | None, typer.Option(help="Where to, as HTML. 输出 HTML")] = None,
        kind: Annotated[str, typer.Option(help="Of a form: person or organization. 类别")] = "person",
    ) -> None:
        """Write the card of a customer, or the empty form for one to fill in, as files to print.

        Nothing sensitive is on them, nor tags, segments and schemes that are internal. PDF takes the extra
        `card`; fonts are inside the file. --lang says in which language.
        """
        from regulars_server.graph.operations import Operations  # slow: help must not wait for it
        from regulars_server.paper.papers import printed, sheet_of
        from regulars_server.paper.printing import Press

        files = {form: file for form, file in (("html", html), ("pdf", pdf)) if file is not None}
        if not files:
            run.terminal.refuse("请用 --pdf 或 --html 指明文件。", "Say with --pdf or --html where to.")
        for file in files.values():
            if file.exists():
                raise LocalError("file_exists", file=str(file))
        async with run.chain() as service:
            operations = Operations(service)
            sheet = await sheet_of(operations, operations.head_office(False), id, kind, run.terminal.lang)
            made = {
                file: await printed(Press(), sheet, form, service.now_ms()) for form, file in files.items()
            }
        for file, body in made.items():
            file.write_bytes(body)
            run.terminal.line(f"{file}：{len(body)} 字节", f"{file}: {len(body)} bytes")
        run.terminal.data({"files": {str(file): len(body) for file, body in made.items()}})
