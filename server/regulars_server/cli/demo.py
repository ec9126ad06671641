"""`regulars demo`: examples/demo.py, from the command line."""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from typing import Annotated

import typer

from regulars_server.cli.command import Lang
from regulars_server.cli.terminal import FAILED, Terminal, language, stop
from regulars_sync.errors import LocalError

SCRIPT = Path(__file__).resolve().parents[3] / "examples" / "demo.py"

HELP = """See it work: a chain, two tablets that work a day without a network, and come back equal.

演示：新建连锁，两台平板断网工作一天，恢复后与服务器逐字节一致。

\b
Examples 例
  regulars demo
  regulars demo --once --lang zh     (ends by itself; 1 when a tablet does not equal the server)
"""


def register(app: typer.Typer) -> None:
    @app.command("demo", help=HELP)
    def demo(
        once: Annotated[bool, typer.Option("--once", help="End by itself. 自动结束")] = False,
        port: Annotated[int, typer.Option(min=0, max=65_535, help="The server's; 0 is a free one. 端口")] = 0,
        lang: Lang = None,
    ) -> None:
        if not SCRIPT.exists():
            terminal = Terminal(language(lang, os.environ), as_json=False)
            reason = terminal.said(
                "演示随源代码提供：克隆仓库后运行 make demo。",
                "The demo comes with the source: clone the repository and run make demo.",
            )
            terminal.error(LocalError("argument_invalid", reason=reason))
            stop(FAILED)
        chosen = ["--lang", lang] if lang else []
        script = runpy.run_path(str(SCRIPT), run_name="regulars_demo")
        stop(script["main"]([*(["--once"] if once else []), "--port", str(port), *chosen]))
