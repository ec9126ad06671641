"""What divides all customers by what they bought, from the index of facts: fifths, and the Pareto cut."""

from __future__ import annotations

from regulars_server.storage.sql.snapshot import Snapshot
from regulars_server.storage.standing import Cuts

_PERIOD = "at >= ? AND at <= ?"
_FREQUENCY = f"SELECT customer, count(*) AS v FROM deed WHERE kind='purchase' AND {_PERIOD} GROUP BY customer"
_LINES = f"FROM deed_line WHERE kind IN ('purchase', 'return') AND {_PERIOD} GROUP BY customer"
_SPEND = f"SELECT customer, CAST(sum(amount) AS BIGINT) AS v {_LINES}"
_MARGIN = (
    f"SELECT customer, CAST(sum(amount) - sum(cost) AS BIGINT) AS v {_LINES} HAVING count(*) = count(cost)"
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
    f" AS higher, sum(v) OVER () AS total FROM ({_MARGIN}) AS each WHERE v > 0) AS ranked"
    " WHERE higher * 5 < total * 4"
)


def cuts(of: Snapshot, since: str, until: str) -> Cuts:
    def found(sql: str, *given: str) -> tuple[int, ...]:
        return tuple(value for (value,) in of.rows(sql, *given) if value is not None)

    return Cuts(
        recency=tuple(value for (value,) in of.rows(_RECENCY, until)),
        frequency=found(_FIFTHS.format(of=_FREQUENCY), since, until),
        spend=found(_FIFTHS.format(of=_SPEND), since, until),
        margin=found(_FIFTHS.format(of=_MARGIN), since, until),
        pareto=found(_PARETO, since, until),
    )
