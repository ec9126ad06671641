"""Write schema/schema.graphql: `make sdl`. Types and fields are sorted, so that a diff shows what changed."""

from __future__ import annotations

from pathlib import Path

from graphql import build_schema as read_schema
from graphql import lexicographic_sort_schema, print_schema

from regulars_server.graph.schema import build_schema

SDL = Path(__file__).resolve().parents[3] / "schema" / "schema.graphql"


def exported() -> str:
    """The SDL. Only this copy is sorted: sorting the served schema would break its unions and enums."""
    return print_schema(lexicographic_sort_schema(read_schema(build_schema().as_str()))) + "\n"


if __name__ == "__main__":
    SDL.write_text(exported(), "utf-8")
    print(f"wrote {SDL}")
