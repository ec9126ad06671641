"""What schemathesis is told of this product: its scalars, and when an answer is a failure."""

from __future__ import annotations

from pathlib import Path

import schemathesis  # type: ignore[import-not-found]  # installed by make fuzz
from graphql import build_schema, parse

from tests.support.answers import faults
from tests.support.literals import SCALARS

SCHEMA = build_schema((Path(__file__).resolve().parents[2] / "schema" / "schema.graphql").read_text("utf-8"))

for name, literals in SCALARS.items():
    schemathesis.graphql.scalar(name, literals)


@schemathesis.check  # type: ignore[untyped-decorator]
def answers_as_promised(ctx: object, response: object, case: object) -> None:
    found = list(faults(SCHEMA, parse(case.body), response.status_code, response.json()))  # type: ignore[attr-defined]
    assert not found, found
