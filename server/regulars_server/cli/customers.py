"""`regulars customer`: what only head office does with a customer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from regulars_server import erasure
from regulars_server.cli.command import Run, command


def register(app: typer.Typer) -> None:
    customers = typer.Typer(no_args_is_help=True)
    app.add_typer(customers, name="customer", help="Customers: erase. 顾客")

    @command(
        customers,
        "erase",
        "彻底抹除一位顾客：各处不留痕迹，不可撤销，编号不再使用。交易保留，但不含本人信息。",
        ['regulars customer erase 0199c0de-… --reason "GDPR request 2026-17"'],
    )
    async def erase(
        run: Run,
        id: Annotated[str, typer.Argument(help="The customer's id. 顾客编号")],
        reason: Annotated[str, typer.Option(help="Kept in the log: name no person. 原因，勿写姓名")],
    ) -> None:
        """Remove a customer everywhere, for ever: nothing can bring them back.

        Sales stay, without the person. The file is written anew, so it takes as long as copying it.
        """
        async with run.chain() as service:
            done = await erasure.erase(service, id, reason)
        run.terminal.data({"id": id, **asdict(done)})
        run.terminal.line(
            f"已抹除；{done.links} 条关系一并抹除，{done.interactions} 条往来保留但不含本人信息",
            f"Erased, with {done.links} links; {done.interactions} interactions are kept without the person",
        )
