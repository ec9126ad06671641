"""How a command is written: an async function that is given a `Run`, its options, and its examples.

`command` adds what every command has (`--data`, `--database`, `--lang`, `--json`), runs it, and turns what
was foreseen to go wrong into one line and an exit code.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from regulars_schema.declare import Unfit
from regulars_server.cli.terminal import FAILED, Terminal, language, stop
from regulars_server.settings import Settings
from regulars_server.telemetry import SILENT, Telemetry
from regulars_sync.errors import LocalError, Refused, RegularsError

if TYPE_CHECKING:
    from regulars_server.service import Service

Body = Callable[..., Coroutine[Any, Any, int | None]]
"""Gives the exit code, None for 0."""
B = TypeVar("B", bound=Body)

Data = Annotated[Path | None, typer.Option("--data", help="The chain's folder; else REGULARS_DATA. 数据目录")]
Database = Annotated[
    str | None,
    typer.Option("--database", help="A PostgreSQL address instead of a file; else REGULARS_DATABASE. 数据库"),
]
Lang = Annotated[str | None, typer.Option("--lang", help="zh or en; else that of the locale. 语言")]
Json = Annotated[bool, typer.Option("--json", help="For scripts: JSON on stdout. 供脚本使用")]


@dataclass(frozen=True, slots=True)
class Run:
    """What a command is given: where the chain is, and how to speak."""

    settings: Settings
    terminal: Terminal

    @property
    def data(self) -> Path:
        return self.settings.data

    @property
    def place(self) -> str:
        """Where the chain is, to show."""
        if not self.settings.database:
            return str(self.data)
        from regulars_server.storage.postgres import Address

        return Address.parse(self.settings.database).shown

    async def has_chain(self) -> bool:
        """Whether there is a database of ours, of whatever version, or of somebody else's."""
        if self.settings.database:
            from regulars_server.storage.postgres import Address, is_laid_out

            try:
                return await is_laid_out(Address.parse(self.settings.database))
            except Refused as refused:
                if refused.code != "busy":
                    raise
                raise LocalError("database_away", place=self.place) from refused
        from regulars_server.app import DATABASE

        return (self.data / DATABASE).exists()

    @asynccontextmanager
    async def chain(
        self, new: bool = False, sweep: bool = False, telemetry: Telemetry = SILENT
    ) -> AsyncIterator[Service]:
        """The chain's own files, opened beside a running server. `LocalError` chain_missing, file_*."""
        from regulars_server.app import create_service, opened  # slow: help must not wait for it

        if new:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not await self.has_chain():
            raise LocalError("chain_missing", folder=self.place)
        async with opened(create_service(self.settings, telemetry=telemetry), sweep) as service:
            yield service


def command(
    app: typer.Typer,
    name: str,
    zh: str,
    examples: Sequence[str],
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> Callable[[B], B]:
    """Register a command; its docstring, in English, and `zh` are its help."""

    def register(body: B) -> B:
        given = inspect.signature(body, eval_str=True)
        _, *own = given.parameters.values()
        common = {"data": Data, "database": Database, "lang": Lang, "json": Json}
        added = [
            inspect.Parameter(
                option,
                inspect.Parameter.KEYWORD_ONLY,
                default=False if option == "json" else None,
                annotation=annotation,
            )
            for option, annotation in common.items()
        ]
        own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]

        def wrapped(
            *, data: Path | None, database: str | None, lang: str | None, json: bool, **options: Any
        ) -> None:
            terminal = Terminal(language(lang, os.environ), json)
            where = {
                name: value for name, value in (("data", data), ("database", database)) if value is not None
            }
            stop(_run(terminal, where, lambda run: body(run, **options), new_loop))

        wrapped.__name__ = name
        wrapped.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
        wrapped.__annotations__ = {p.name: p.annotation for p in [*own, *added]}
        app.command(name, help=_help(inspect.getdoc(body) or "", zh, examples))(wrapped)
        return body

    return register


def _run(
    terminal: Terminal,
    where: dict[str, Any],
    body: Callable[[Run], Coroutine[Any, Any, int | None]],
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None,
) -> int:
    try:
        settings = replace(Settings.read(os.environ), **where)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(body(Run(settings, terminal))) or 0
    except (RegularsError, Unfit) as problem:
        terminal.error(problem)
    except OSError as error:
        reason = f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")
        terminal.error(LocalError("argument_invalid", reason=reason))
    except KeyboardInterrupt:
        return 130
    return FAILED


def _help(en: str, zh: str, examples: Sequence[str]) -> str:
    shown = "\n".join(f"  {example}" for example in examples)
    return f"{en}\n\n{zh}\n\n\b\nExamples 例\n{shown}".replace("[", "\\[")
