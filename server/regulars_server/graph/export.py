"""Write schema/schema.graphql, sorted for the sake of diffs, and docs/API_REFERENCE.md: `make sdl`."""

from __future__ import annotations

from pathlib import Path

from graphql import build_schema as read_schema
from graphql import lexicographic_sort_schema, print_schema

from regulars_server.graph import reference
from regulars_server.graph.schema import build_schema

ROOT = Path(__file__).resolve().parents[3]
SDL = ROOT / "schema" / "schema.graphql"
REFERENCE = ROOT / "docs" / "API_REFERENCE.md"


def exported() -> str:
    """The SDL. Only this copy is sorted: sorting the served schema would break its unions and enums."""
    return print_schema(lexicographic_sort_schema(read_schema(build_schema().as_str()))) + "\n"


def documented() -> str:
    """The reference."""
    return reference.page(read_schema(exported()))


if __name__ == "__main__":
    SDL.write_text(exported(), "utf-8")
    print(f"wrote {SDL}")
    REFERENCE.write_text(documented(), "utf-8")
    print(f"wrote {REFERENCE}")
