"""The command line: `regulars COMMAND`. Commands open the chain's own file, beside a running server too.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 something was refused and the rest taken.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from regulars_sync.errors import LocalError

HELP = """Regulars (熟客): the customers of a chain of shops, offline first.

连锁门店的顾客中心，离线可用。

\b
Start 开始
  regulars serve --data shop        a server; a new chain when the folder is empty
  regulars demo                     see it work
\b
Exit codes 退出码
  0 done 完成   1 refused or failed 失败   2 wrong usage 用法错误   3 taken but for some lines 部分不合格
"""


def create_cli() -> typer.Typer:
    """The command line, every command in its place; `LocalError("extra_missing")` where only the SDK is."""
    try:
        from regulars_server.cli import (
            backups,
            cards,
            customers,
            demo,
            devices,
            doctor,
            documents,
            exports,
            founding,
            held,
            identities,
            loading,
            logins,
            moving,
            serving,
            staff,
            units,
        )
    except ModuleNotFoundError as error:
        if (error.name or "regulars").startswith("regulars"):
            raise
        raise LocalError("extra_missing", module=error.name) from error
    app = typer.Typer(help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    rooms = (
        founding,
        serving,
        loading,
        exports,
        units,
        staff,
        customers,
        cards,
        identities,
        devices,
        logins,
        held,
    )
    for room in (*rooms, cards, documents, backups, moving, doctor, demo):
        room.register(app)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code."""
    try:
        app = create_cli()
    except LocalError as error:
        sys.exit(f"{error.text('zh')}\n{error.text()} ({error.code})")
    app(args=None if arguments is None else list(arguments), prog_name="regulars")
