"""What numbers of customers come to: each number's grouped facts, made once, joined with those who pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regulars_schema.rules.totals import Numbers
from regulars_server.storage.interface import Total, Totals, Where
from regulars_server.storage.sql.snapshot import COUNTED_AT_ONCE, Snapshot

_SUMMED = "CAST(NULL AS TEXT), count(*), count({0}.v), CAST(coalesce(sum({0}.v), 0) AS BIGINT)"
_INSTANTS = "{0}.v, count(*), count({0}.v), 0"


def totals(of: Snapshot, wheres: Sequence[Where], numbers: Sequence[Numbers]) -> list[Totals]:
    at_once = max(COUNTED_AT_ONCE // (1 + len(numbers)), 1)
    return [
        each
        for start in range(0, len(wheres), at_once)
        for each in _totals(of, wheres[start : start + at_once], numbers)
    ]


def _totals(of: Snapshot, wheres: Sequence[Where], numbers: Sequence[Numbers]) -> list[Totals]:
    made = [f"f{j} AS ({one.of.text})" for j, one in enumerate(numbers)]
    parameters: list[Any] = [value for one in numbers for value in one.of.parameters]
    selects: list[str] = []
    for i, where in enumerate(wheres):
        condition, more = of.passing("customer", where)
        parameters += more
        passing = f"{of.reaching('customer')} AND {condition}"
        made.append(f"m{i} AS (SELECT t.row AS row FROM customer t WHERE {passing})")
        selects.append(f"SELECT {i}, -1, CAST(NULL AS TEXT), count(*), 0, 0 FROM m{i}")
        for j, one in enumerate(numbers):
            what, group = (_INSTANTS, f" GROUP BY f{j}.v") if one.is_at else (_SUMMED, "")
            joined = f"m{i} JOIN f{j} ON f{j}.customer=m{i}.row"
            selects.append(f"SELECT {i}, {j}, {what.format(f'f{j}')} FROM {joined}{group}")
    found = [Totals(0, [[] for _ in numbers]) for _ in wheres]
    for i, j, *total in of.rows(f"WITH {', '.join(made)} {' UNION ALL '.join(selects)}", *parameters):
        if j < 0:
            found[i] = found[i]._replace(customers=total[1])
        else:
            found[i].of[j].append(Total(*total))
    return found
