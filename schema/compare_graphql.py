"""Hold schema.graphql against released.graphql, the SDL of the last release: `make check` runs it.

What would break a client must stand in ALLOWED with the reason; what may surprise one is listed. At a
release, `python schema/compare_graphql.py --release` makes the present SDL the released one; the entries of
ALLOWED go then, and a test says so.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graphql import build_schema, find_breaking_changes, find_dangerous_changes

HERE = Path(__file__).resolve().parent
PRESENT = HERE / "schema.graphql"
RELEASED = HERE / "released.graphql"

ALLOWED: Mapping[str, str] = {}
"""A breaking change, in the words of this script -> why it may be."""


@dataclass(frozen=True, slots=True)
class Compared:
    breaking: tuple[str, ...]
    dangerous: tuple[str, ...]

    def refused(self, allowed: Mapping[str, str] = ALLOWED) -> list[str]:
        """Breaking changes that nobody gave a reason for."""
        return [change for change in self.breaking if not allowed.get(change, "").strip()]

    def stale(self, allowed: Mapping[str, str] = ALLOWED) -> list[str]:
        """What is allowed and does not happen."""
        return [change for change in allowed if change not in self.breaking]


def compared(released: str, present: str) -> Compared:
    """What a client of the released SDL meets in the present one."""
    old, new = build_schema(released), build_schema(present)
    breaking = sorted(change.description for change in find_breaking_changes(old, new))
    dangerous = sorted(change.description for change in find_dangerous_changes(old, new))
    return Compared(tuple(breaking), tuple(dangerous))


def main() -> int:
    if "--release" in sys.argv:
        RELEASED.write_text(PRESENT.read_text("utf-8"), "utf-8")
    found = compared(RELEASED.read_text("utf-8"), PRESENT.read_text("utf-8"))
    for change in found.dangerous:
        print(f"dangerous: {change}")
    for change in found.breaking:
        print(f"breaking: {change} {ALLOWED.get(change, 'NOT ALLOWED')}")
    for change in found.stale():
        print(f"allowed, but does not happen: {change}")
    return 1 if found.refused() or found.stale() else 0


if __name__ == "__main__":
    sys.exit(main())
