"""What divides all customers by what they bought, from the index of facts: fifths, and the Pareto cut."""

from __future__ import annotations

from typing import Any

from regulars_server.storage.sql.snapshot import Snapshot
from regulars_server.storage.standing import Cuts, Home

_PERIOD = "at >= ? AND at <= ?"
_FREQUENCY = f"SELECT customer, count(*) AS v FROM deed WHERE kind='purchase' AND {_PERIOD} GROUP BY customer"
_LINES = f"FROM deed_line WHERE kind IN ('purchase', 'return') AND {_PERIOD}{{there}} GROUP BY customer"
_SPEND = f"SELECT customer, CAST(sum(amount) AS BIGINT) AS v {_LINES}"
_MARGIN = (
    f"SELECT customer, CAST(sum(amount) - sum(cost) AS BIGINT) AS v {_LINES} HAVING count(*) = count(cost)"
)
_THERE = (
    " AND customer IN (SELECT row FROM customer WHERE home_unit IN (SELECT value FROM json_each(?)))"
    " AND (currency IS NULL OR currency = ?)"
)
_FIFTHS = (
    "SELECT max(v) FROM (SELECT v, ntile(5) OVER (ORDER BY v) AS tile FROM ({of}) AS each) AS tiled"
    " WHERE tile < 5 GROUP BY tile ORDER BY tile"
)
_RECENCY = (
    "SELECT min(v) FROM (SELECT v, ntile(5) OVER (ORDER BY v DESC) AS tile FROM"
    " (SELECT customer, max(at) AS v FROM deed WHERE kind='purchase' AND at <= ? GROUP BY customer) AS each"
    ") AS tiled WHERE tile < 5 GROUP BY tile ORDER BY tile"
)
_PARETO = (
    "SELECT min(v) FROM (SELECT v, sum(v) OVER (ORDER BY v DESC, customer ROWS UNBOUNDED PRECEDING) - v"
    " AS higher, sum(v) OVER () AS total FROM ({of}) AS each WHERE v > 0) AS ranked"
    " WHERE higher * 5 < total * 4"
)


def cuts(of: Snapshot, since: str, until: str, home: Home | None) -> Cuts:
    there, given = "", list[Any]()
    if home is not None:
        there, given = _THERE, [of.dialect.list(home.units), home.currency]

    def found(sql: str, *more: Any) -> tuple[int, ...]:
        return tuple(value for (value,) in of.rows(sql, since, until, *more) if value is not None)

    spend, margin = _SPEND.format(there=there), _MARGIN.format(there=there)
    return Cuts(
        recency=tuple(value for (value,) in of.rows(_RECENCY, until)),
        frequency=found(_FIFTHS.format(of=_FREQUENCY)),
        spend=found(_FIFTHS.format(of=spend), *given),
        margin=found(_FIFTHS.format(of=margin), *given),
        pareto=found(_PARETO.format(of=margin), *given),
    )
