"""`regulars move`: a chain from a file to PostgreSQL."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import Annotated

import typer

from regulars_server.cli.command import Run, command
from regulars_server.cli.loading import shown
from regulars_server.cli.terminal import FAILED
from regulars_sync.errors import LocalError


def register(app: typer.Typer) -> None:
    @command(
        app,
        "move",
        "迁移到 PostgreSQL：先停止服务器。可中断后继续；结束时逐项校验，平板无需任何操作。",
        [
            "regulars move --to postgresql://regulars@db/regulars --data shop",
            "regulars move --to 'postgresql://regulars@db/regulars?schema=songhe' --data shop",
        ],
    )
    async def move(
        run: Run,
        to: Annotated[str, typer.Option(help="A PostgreSQL address; ?schema= names the chain's. 目标")],
    ) -> int:
        """Move a chain from its file to PostgreSQL. Stop the server first; tablets notice nothing but that.

        It may be cut off and started again, and goes on where it was. Digests and log are checked at the
        end; only then the file is given up. The folder stays: journal and snapshots live there.
        """
        from regulars_server.app import DATABASE, create_service, opened
        from regulars_server.cli.doctor import chain_findings, show
        from regulars_server.storage import copying
        from regulars_server.storage.migrations import MOVED
        from regulars_server.storage.postgres import Address

        address = Address.parse(to)
        file = run.data / DATABASE
        if run.settings.database or not file.exists():
            raise LocalError("chain_missing", folder=str(run.data))
        async with copying.from_sqlite(str(file)) as source:
            with shown(run.terminal, "迁移", "move") as tell:
                async with copying.to_postgres(address) as target:
                    rows = await copying.copy(source, target, tell)
            run.terminal.note("校验……", "Checking ...")
            async with opened(create_service(replace(run.settings, database=to)), sweep=False) as service:
                findings = await chain_findings(service)
            if any(finding.state == "wrong" for finding in findings):
                show(run.terminal, findings)
                return FAILED
        with closing(sqlite3.connect(file)) as given_up:
            given_up.execute(f"CREATE TABLE {MOVED}(place TEXT NOT NULL)")
            given_up.execute(f"INSERT INTO {MOVED} VALUES(?)", (address.shown,))
            given_up.commit()
        run.terminal.data({"to": address.shown, "rows": rows, "kept": str(file)})
        run.terminal.line(
            f"已迁移 {rows:,} 行到 {address.shown}，校验一致。",
            f"{rows:,} rows are in {address.shown}, checked.",
        )
        run.terminal.note(
            f"启动：REGULARS_DATABASE=... regulars serve --data {run.data}   原文件保留在 {file}",
            f"Next: REGULARS_DATABASE=... regulars serve --data {run.data}   The file stays: {file}",
        )
        return 0
