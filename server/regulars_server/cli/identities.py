"""`regulars identities`: who is one person, asked of everybody who is there."""

from __future__ import annotations

import typer

from regulars_server.cli.command import Run, command
from regulars_server.cli.loading import progress
from regulars_server.storage.interface import Test


def register(app: typer.Typer) -> None:
    identities = typer.Typer(no_args_is_help=True)
    app.add_typer(identities, name="identities", help="Who is one person: scan. 身份")

    @command(
        identities,
        "scan",
        "逐一核对全部顾客：找出可能是同一人的记录，能确定的合并，其余待总部确认。",
        ["regulars identities scan"],
    )
    async def scan(run: Run) -> None:
        """Look at every customer for others who may be the same person.

        What is sure is merged, all else waits for head office; what was decided before stands. A server
        looks at new and edited customers by itself: this is for data that was there before.
        """
        async with run.chain() as service:
            async with service.storage.unscoped_reader() as reader:
                total = await reader.count("customer", None)
            with progress(run.terminal) as bar:
                task = bar.add_task("scan", total=total)
                customers = await service.admission.scan(lambda done: bar.update(task, completed=done))
            async with service.storage.unscoped_reader() as reader:
                waiting = await reader.count("identity", Test("decision", "eq", "proposed"))
        run.terminal.data({"customers": customers, "proposed": waiting})
        run.terminal.line(
            f"已核对 {customers} 位顾客；{waiting} 对待总部确认",
            f"{customers} customers looked at; {waiting} pairs wait for head office",
        )
