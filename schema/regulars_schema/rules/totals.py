"""A metric as SQL: the number of each customer, from one grouped scan of the index of facts.

What a metric says of a customer depends on the zone and currency of its home, so each home has a statement
of its own. A metric that does not compile (whole days between facts, what lies beyond links) is measured by
the oracle, one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

from regulars_schema.declare import JSON
from regulars_schema.rules.metrics import SCORES, Score, tallied
from regulars_schema.rules.sql import AGED, Asking, Sql, facts_of, instant, of_kinds
from regulars_schema.rules.tree import Count, Filter, Metric, Sum
from regulars_schema.rules.windows import Window

TENURE = "tenure_days"
WHOLE_SINCE = 1990
"""Offsets from UTC are whole minutes since then; earlier instants are told whole."""
_UNTIL = 2100
_HOUR, _MINUTE = 13, 16


class Numbers(NamedTuple):
    """Selects `customer`, a row each, and `v`, which is null where there is nothing to measure."""

    of: Sql
    without: int | None
    """The number of whoever is not selected; None: there is nothing to measure."""
    is_at: bool = False
    """`v` is an instant, or its first characters that tell the day; the number is the days since."""


def compile_metric(number: Metric, asking: Asking, cuts: Mapping[str, tuple[int, ...]]) -> Numbers | None:
    """None where it does not compile."""
    name, window = number.name, number.window
    at = _instants(number, asking)
    if at is not None:
        part = f"substr(r.v, 1, {part_of_a_day(asking.zone)})"
        value = f"CASE WHEN r.v < '{WHOLE_SINCE}' THEN r.v ELSE {part} END"
        text = f"SELECT r.customer AS customer, {value} AS v FROM ({at.text}) r"
        return Numbers(Sql(text, at.parameters), None, is_at=True)
    if name in SCORES:
        return _scored(SCORES[name], window, asking, cuts)
    tally = tallied(number)
    if tally is not None:
        return _tallied(tally, asking)
    made = _MADE.get(name)
    return None if made is None else made(window, asking)


def days_since(at: str, today: int, zone: tzinfo) -> int:
    """Of an instant as a `Numbers` has it."""
    told = f"{at}:00" if len(at) == _HOUR else at
    return today - datetime.fromisoformat(told).replace(tzinfo=UTC).astimezone(zone).toordinal()


@lru_cache
def part_of_a_day(zone: tzinfo) -> int:
    """In how many characters of an instant it is told which day it is there: its hour, or its minute."""
    months = (
        datetime(year, month, 1, tzinfo=zone) for year in range(WHOLE_SINCE, _UNTIL) for month in (1, 7)
    )
    hour = timedelta(hours=1)
    return _HOUR if not any((at.utcoffset() or hour) % hour for at in months) else _MINUTE


def _instants(number: Metric, asking: Asking) -> Sql | None:
    """Of the first or last of these facts, of a metric that is the days since."""
    if number.name not in AGED and number.name != TENURE:
        return None
    kinds = of_kinds(*AGED.get(number.name, ("purchase",)))
    value = "min(d.at)" if number.name == TENURE else "max(d.at)"
    return _by_customer(value, *facts_of(kinds, number.window.days(asking.today), asking))


def _by_customer(value: str, source: str, given: tuple[JSON, ...]) -> Sql:
    return Sql(f"SELECT d.customer AS customer, {value} AS v FROM {source} GROUP BY d.customer", given)


def _money(of: Filter, window: Window, value: str, asking: Asking) -> Sql:
    source, given = facts_of(of, window.days(asking.today), asking, "lines")
    if asking.currency is None:
        return _by_customer(value, f"{source} AND d.currency IS NULL", given)
    source += " AND (d.currency IS NULL OR d.currency = ?)"
    return _by_customer(value, source, (*given, asking.currency))


_AMOUNT = "CAST(sum(d.amount) AS BIGINT)"
_MARGIN = "CASE WHEN count(*) = count(d.cost) THEN CAST(sum(d.amount) - sum(d.cost) AS BIGINT) END"
_EFFORT = "CAST(sum(d.effort_min) AS BIGINT)"


def _tallied(tally: Count | Sum, asking: Asking) -> Numbers:
    if isinstance(tally, Sum) and tally.what in ("amount", "margin"):
        value = _AMOUNT if tally.what == "amount" else _MARGIN
        return Numbers(_money(tally.of, tally.window, value, asking), 0)
    value = "count(*)" if isinstance(tally, Count) else _EFFORT
    return Numbers(_by_customer(value, *facts_of(tally.of, tally.window.days(asking.today), asking)), 0)


def _scored(
    score: Score, window: Window, asking: Asking, cuts: Mapping[str, tuple[int, ...]]
) -> Numbers | None:
    ends = score.ends(cuts, asking.currency)
    number = Metric(score.of, score.window or window)
    at, tally = _instants(number, asking), tallied(number)
    of = Numbers(at, None) if at is not None else None if tally is None else _tallied(tally, asking)
    if of is None:
        return None
    if not ends:
        return Numbers(Sql("SELECT 0 AS customer, 0 AS v WHERE FALSE"), None)
    given: tuple[JSON, ...]
    if at is not None:  # older than an end: before the day so many days ago
        passed, given = "r.v < ?", tuple(instant(asking.today - end, asking.zone) for end in ends)
    elif score.pareto:
        passed, given, ends = "r.v >= ?", ends[:1], ends[:1]
    else:
        passed, given = "r.v > ?", ends
    above = " + ".join([f"CASE WHEN {passed} THEN 1 ELSE 0 END"] * len(ends))
    value = above if score.pareto else f"5 - ({above})" if score.falls else f"1 + {above}"
    text = f"SELECT r.customer AS customer, CASE WHEN r.v IS NOT NULL THEN {value} END AS v"
    without = None if of.without is None else score.value(of.without, ends)
    return Numbers(Sql(f"{text} FROM ({of.of.text}) r", (*given, *of.of.parameters)), without)


def _quotient(over: str, under: str) -> str:
    """Rounded down, as the oracle does it; both are whole numbers."""
    return f"({over} - ((({over}) % ({under})) + ({under})) % ({under})) / ({under})"


def _average_order(window: Window, asking: Asking) -> Numbers:
    bought = of_kinds("purchase")
    count = _by_customer("count(*)", *facts_of(bought, window.days(asking.today), asking))
    amount = _money(bought, window, _AMOUNT, asking)
    value = _quotient("coalesce(a.v, 0)", "n.v")
    text = f"SELECT n.customer AS customer, {value} AS v FROM ({count.text}) n"
    text += f" LEFT JOIN ({amount.text}) a ON a.customer = n.customer"
    return Numbers(Sql(text, (*count.parameters, *amount.parameters)), None)


def _margin_per_hour(window: Window, asking: Asking) -> Numbers:
    effort = _by_customer(_EFFORT, *facts_of(Filter(), window.days(asking.today), asking))
    margin = _money(of_kinds("purchase", "return"), window, _MARGIN, asking)
    value = _quotient("60 * (CASE WHEN a.customer IS NULL THEN 0 ELSE a.v END)", "n.v")
    text = f"SELECT n.customer AS customer, CASE WHEN n.v <> 0 THEN {value} END AS v FROM ({effort.text}) n"
    text += f" LEFT JOIN ({margin.text}) a ON a.customer = n.customer"
    return Numbers(Sql(text, (*effort.parameters, *margin.parameters)), None)


def _distinct(column: str) -> Callable[[Window, Asking], Numbers]:
    def made(window: Window, asking: Asking) -> Numbers:
        source, given = facts_of(of_kinds("purchase"), window.days(asking.today), asking, "lines")
        source += f" AND d.{column} <> ''"
        return Numbers(_by_customer(f"count(DISTINCT d.{column})", source, given), 0)

    return made


def _satisfaction(window: Window, asking: Asking) -> Numbers:
    source, given = facts_of(Filter(), window.days(asking.today), asking)
    latest = (
        "SELECT d.customer AS customer, d.rating AS rating, row_number() OVER"
        f" (PARTITION BY d.customer ORDER BY d.at DESC, d.id DESC) AS place FROM {source}"
        " AND d.rating IS NOT NULL"
    )
    value = _quotient("CAST(sum(d.rating) - count(*) AS BIGINT) * 25", "count(*)")
    return Numbers(_by_customer(value, f"({latest}) d WHERE d.place <= 3", given), None)


_MADE: Mapping[str, Callable[[Window, Asking], Numbers]] = {
    "average_order": _average_order,
    "margin_per_hour": _margin_per_hour,
    "distinct_categories": _distinct("category"),
    "distinct_products": _distinct("product"),
    "satisfaction": _satisfaction,
}
