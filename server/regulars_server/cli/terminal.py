"""What a command says: in Chinese or English, for people or, with `--json`, for scripts."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from regulars_schema.declare import Unfit
from regulars_schema.messages import text
from regulars_sync.errors import Refused, RegularsError

LANGUAGES = ("zh", "en")
FAILED = 1
PARTLY = 3
"""Something was refused and the rest taken."""


def language(asked: str | None, environment: Mapping[str, str]) -> str:
    """`zh` or `en`: what was asked for, else what the locale says."""
    if asked:
        return "zh" if asked.lower().startswith("zh") else "en"
    locale = next((v for n in ("LC_ALL", "LC_MESSAGES", "LANG") if (v := environment.get(n))), "")
    return "zh" if locale.lower().startswith("zh") else "en"


class Terminal:
    """One command's output. What it was asked for goes to stdout, everything else to stderr."""

    def __init__(self, lang: str, as_json: bool) -> None:
        self.lang = lang
        self.as_json = as_json
        self.out = Console(file=sys.stdout, highlight=False)
        self.err = Console(file=sys.stderr, highlight=False)

    def said(self, zh: str, en: str) -> str:
        return zh if self.lang == "zh" else en

    def note(self, zh: str, en: str) -> None:
        """Something to read beside the answer; a script never sees it."""
        if not self.as_json:
            self.err.print(escape(self.said(zh, en)), soft_wrap=True)

    def line(self, zh: str, en: str) -> None:
        """A line of the answer for people."""
        if not self.as_json:
            self.out.print(escape(self.said(zh, en)), soft_wrap=True)

    def data(self, value: object) -> None:
        """The answer for scripts: one JSON value on one line."""
        if self.as_json:
            self.out.file.write(orjson.dumps(value, default=_plain).decode() + "\n")
            self.out.file.flush()

    def rows(self, rows: Sequence[Mapping[str, Any]], heads: Mapping[str, tuple[str, str]]) -> None:
        """A list: as JSON all of it, for people a table of the columns that have a head (zh, en)."""
        self.data(list(rows))
        if self.as_json:
            return
        if not rows:
            self.note("没有记录。", "There is nothing to list.")
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name, (zh, en) in heads.items():
            table.add_column(self.said(zh, en), overflow="fold", no_wrap=name in {"id", "cid"})
        for row in rows:
            table.add_row(*(escape(self._cell(row.get(name))) for name in heads))
        self.out.print(table)

    def _cell(self, value: object) -> str:
        match value:
            case None | False:
                return ""
            case True:
                return "✓"
            case str():
                return value
            case datetime():
                return value.astimezone().isoformat(" ", "minutes")[:16]
            case Iterable():
                return ", ".join(map(str, value))
            case _:
                return str(value)

    def error(self, problem: RegularsError | Unfit) -> None:
        """One clear line of what happened and what to do."""
        said = text(problem.code, problem.detail, self.lang)
        if self.as_json:
            problem_said = {"code": problem.code, "message": said, "detail": problem.detail}
            self.err.file.write(orjson.dumps(problem_said, default=str).decode() + "\n")
        else:
            mark = self.said("失败", "Failed")
            self.err.print(f"[bold red]{mark}[/] {escape(said)} [dim]({problem.code})[/]", soft_wrap=True)

    def refuse(self, zh: str, en: str) -> NoReturn:
        """An argument can't be used; says why and what to do."""
        raise Refused("argument_invalid", reason=self.said(zh, en))

    def secret(self, zh: str, en: str, from_stdin: bool) -> str | None:
        """A secret that a person types twice, or a script gives on one line; None when nobody is there."""
        if from_stdin:
            return sys.stdin.readline().rstrip("\r\n")
        if not sys.stdin.isatty():
            return None
        first = getpass.getpass(self.said(f"{zh}：", f"{en}: "))
        if first != getpass.getpass(self.said("再输一次：", "Again: ")):
            self.refuse("两次输入不同。", "The two are not the same.")
        return first


def at(ms: int | None) -> datetime | None:
    """An instant for a table or a script."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)


def _plain(value: object) -> object:
    if isinstance(value, tuple | set | frozenset):
        return sorted(value)
    return str(value)


def stop(code: int) -> NoReturn:
    raise typer.Exit(code)
