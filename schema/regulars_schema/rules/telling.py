"""What is no rule, as it is told to people: code, what fills its message, and where it stands."""

from __future__ import annotations

from typing import NamedTuple

from regulars_schema.declare import JSON
from regulars_schema.rules.tree import Misread


class Told(NamedTuple):
    code: str
    detail: dict[str, JSON]
    """Fills the message of the code, in any language."""
    path: str
    """Where in the JSON, such as `all[1].value`; empty for all of it."""
    line: int | None
    """Where in the text, from 1, as `column`."""
    column: int | None
    offset: int | None
    """How many characters of the text come before it."""
    suggestion: str | None
    """What was meant, perhaps."""


def told(misread: Misread, given: JSON = None) -> Told:
    """What is wrong with a rule that was given as text or as JSON."""
    detail = dict(misread.detail)
    near = detail.get("suggestion")
    detail["allowed"] = near or ", ".join(map(str, detail.get("allowed") or ())) or "-"
    detail["expected"] = near or detail.get("expected") or "-"
    if misread.code == "rule_too_large":
        limits = (f"{name}: {most}" for name, most in misread.detail.items() if name.endswith("_max"))
        detail["what"] = ", ".join(limits)
    if "way" in detail:
        detail["way"] = " > ".join(map(str, detail["way"]))
    line, column = detail.get("line"), detail.get("column")
    offset = None
    if isinstance(given, str) and line and column:
        offset = sum(len(each) + 1 for each in given.split("\n")[: line - 1]) + column - 1
    shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in misread.path)
    return Told(misread.code, detail, shown.lstrip("."), line, column, offset, near)
