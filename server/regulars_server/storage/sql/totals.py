"""What numbers of customers come to: each metric's grouped facts, joined with those who pass."""

from __future__ import annotations

from collections.abc import Sequence

from regulars_schema.rules.totals import Numbers
from regulars_server.storage.interface import Total, Totals, Where
from regulars_server.storage.sql.snapshot import Snapshot

_NUMBERS = "CAST(NULL AS TEXT), count(*), count(f.v), CAST(coalesce(sum(f.v), 0) AS BIGINT)"
_INSTANTS = "f.v, count(*), count(f.v), 0"


def totals(of: Snapshot, where: Where, numbers: Sequence[Numbers]) -> Totals:
    condition, parameters = of.passing("customer", where)
    selects = ["SELECT -1, CAST(NULL AS TEXT), count(*), 0, 0 FROM m"]
    for place, one in enumerate(numbers):
        what, more = (_INSTANTS, " GROUP BY f.v") if one.is_at else (_NUMBERS, "")
        selects.append(f"SELECT {place}, {what} FROM m JOIN ({one.of.text}) f ON f.customer=m.row{more}")
        parameters += one.of.parameters
    sql = (
        f"WITH m AS (SELECT t.row AS row FROM customer t WHERE {of.reaching('customer')} AND {condition})"
        f" {' UNION ALL '.join(selects)}"
    )
    found: list[list[Total]] = [[] for _ in numbers]
    customers = 0
    for place, *total in of.rows(sql, *parameters):
        if place < 0:
            customers = total[1]
        else:
            found[place].append(Total(*total))
    return Totals(customers, found)
