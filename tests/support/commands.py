"""`regulars` commands of a test on one folder, in this process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from regulars_server.cli import create_cli


@dataclass
class Answer:
    code: int
    out: str
    err: str


@dataclass
class Commands:
    data: Path
    lang: str = "en"
    database: str | None = None

    def __call__(self, *arguments: str, stdin: str | None = None, data: bool = True) -> Answer:
        where = ["--data", str(self.data)] if data else []
        where += ["--database", self.database] if self.database else []
        given = [*arguments, *where, "--lang", self.lang]
        result = CliRunner().invoke(create_cli(), given, input=stdin, catch_exceptions=False)
        return Answer(result.exit_code, result.stdout, result.stderr)

    def asked(self, *arguments: str, stdin: str | None = None, code: int = 0) -> Any:
        """What a script reads."""
        answer = self(*arguments, "--json", stdin=stdin)
        assert answer.code == code, answer
        return json.loads(answer.out)

    def problem(self, *arguments: str, stdin: str | None = None) -> dict[str, Any]:
        """The refusal that a script reads."""
        answer = self(*arguments, "--json", stdin=stdin)
        assert answer.code == 1, answer
        (line,) = answer.err.splitlines()
        found: dict[str, Any] = json.loads(line)
        return found
