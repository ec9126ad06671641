"""A rule as SQL: text for SQLite and PostgreSQL, on server and tablet, equal to the oracle where it compiles.

`compile_rule` gives two conditions on a customer `c`: who fits for sure, and who may. Where a test does not
compile (a spelling that no index knows, a number that only the facts tell), it adds nobody to the first and
everybody to the second; whoever may but need not is asked of the oracle. Both conditions are true or false,
never NULL. Facts count by sets: one grouped scan of an index for each test, not one for each customer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, tzinfo
from typing import NamedTuple, Protocol

from regulars_schema.declare import JSON, Bool, Date, Entity, Enum, Instant, Int, Ref, Text
from regulars_schema.entities import CUSTOMER
from regulars_schema.rules.knowing import SegmentRule
from regulars_schema.rules.metrics import CONTACTS, tallied
from regulars_schema.rules.tree import (
    AllOf,
    AnyOf,
    Count,
    DateTest,
    DayOf,
    FieldTest,
    Filter,
    InTest,
    LinkTest,
    Metric,
    Not,
    NumberTest,
    OwnerTest,
    Rule,
    UnderTest,
)
from regulars_schema.rules.windows import DAY_MAX, DAY_MIN, EVER, Window, iso


class Sql(NamedTuple):
    text: str
    parameters: tuple[JSON, ...] = ()


COLUMNS = frozenset(
    {"kind", "unit", "staff", "channel", "stage_reached", "outcome", "role", "product", "category"}
)
"""Parts of a filter that a database keeps of each fact."""
TRUE, FALSE = Sql("TRUE"), Sql("FALSE")


class Layout(Protocol):
    """Where a database keeps what rules ask of."""

    deeds: str
    """The facts that count (`facts.deed`): id, customer, at, kind, unit, staff, channel, stage_reached,
    outcome, role, effort_min."""
    lines: str
    """Their lines: the same columns, and product, category, quantity, amount, currency."""

    def column(self, field: str) -> str | None:
        """An expression for a field's shown value in `c`; None where it has none."""
        ...

    def holding(self, field: str) -> str | None:
        """A subselect of the ids of customers with an element, which is its one parameter."""
        ...

    def linked(self) -> str:
        """A subselect `customer, other, kind, direction` of links, each from both ends: `to` as seen from the
        one from whom it leads, `from` as seen by the other."""
        ...


@dataclass(frozen=True, slots=True)
class Asking:
    """As of when and by whom a rule is asked, of customers of one zone and currency."""

    layout: Layout
    today: int
    zone: tzinfo
    currency: str | None = None
    segments: Mapping[str, SegmentRule] | None = None
    units_below: Mapping[str, Iterable[str]] | None = None
    """The units under each, itself included."""
    me: str | None = None
    team: frozenset[str] = frozenset()
    entity: Entity = CUSTOMER
    inside: tuple[str, ...] = ()


class Compiled(NamedTuple):
    sure: Sql
    may: Sql

    @property
    def exact(self) -> bool:
        """Whether nobody must be asked of the oracle."""
        return self.sure == self.may


ANYBODY = Compiled(FALSE, TRUE)


def compile_rule(rule: Rule, asking: Asking) -> Compiled:
    match rule:
        case AllOf(rules) | AnyOf(rules):
            parts = [compile_rule(inner, asking) for inner in rules]
            join = _all if isinstance(rule, AllOf) else _any
            return Compiled(join(part.sure for part in parts), join(part.may for part in parts))
        case Not(inner):
            part = compile_rule(inner, asking)
            return Compiled(_not(part.may), _not(part.sure))
        case FieldTest():
            return _field(rule, asking)
        case NumberTest():
            return _number(rule, asking)
        case DateTest():
            return _date(rule, asking)
        case InTest(segment):
            return _segment(segment, asking)
        case LinkTest():
            return _link(rule, asking)
        case UnderTest(unit):
            below = (asking.units_below or {}).get(unit, ())
            return _exact(_among(asking.layout.column("home_unit"), tuple(below)))
        case OwnerTest(who):
            mine = {asking.me} | (asking.team if who == "team" else frozenset())
            return _exact(_among(asking.layout.column("owner"), tuple(sorted(m for m in mine if m))))
        case _:
            return ANYBODY


def _exact(condition: Sql | None) -> Compiled:
    return ANYBODY if condition is None else Compiled(condition, condition)


def _all(parts: Iterable[Sql]) -> Sql:
    kept = [part for part in parts if part != TRUE]
    if FALSE in kept:
        return FALSE
    return _joined(" AND ", kept) if kept else TRUE


def _any(parts: Iterable[Sql]) -> Sql:
    kept = [part for part in parts if part != FALSE]
    if TRUE in kept:
        return TRUE
    return _joined(" OR ", kept) if kept else FALSE


def _joined(word: str, parts: Sequence[Sql]) -> Sql:
    if len(parts) == 1:
        return parts[0]
    return Sql(
        f"({word.join(part.text for part in parts)})", tuple(p for part in parts for p in part.parameters)
    )


def _not(part: Sql) -> Sql:
    if part in (TRUE, FALSE):
        return FALSE if part == TRUE else TRUE
    return Sql(f"(NOT {part.text})", part.parameters)


def _among(column: str | None, values: tuple[JSON, ...]) -> Sql | None:
    if column is None:
        return None
    if not values:
        return FALSE
    return Sql(f"({column} IS NOT NULL AND {column} IN ({_marks(values)}))", values)


def _marks(values: Sequence[JSON]) -> str:
    return ", ".join("?" * len(values))


# --- fields -----------------------------------------------------------------------------------------------


def _field(rule: FieldTest, asking: Asking) -> Compiled:
    declared = asking.entity.by_name.get(rule.field)
    if declared is None:  # the chain's own: each a row of its own
        return ANYBODY
    if declared.is_set:
        held = asking.layout.holding(rule.field)
        if held is None or rule.op not in ("has", "lacks"):
            return ANYBODY
        has = Sql(f"(c.id IN ({held}))", (rule.value,))
        return _exact(has if rule.op == "has" else _not(has))
    column = asking.layout.column(rule.field)
    if column is None:
        return ANYBODY
    there = f"{column} IS NOT NULL"
    if isinstance(declared.type, Text):
        there = f"({there} AND {column} <> '')"
    match declared.type, rule.op, rule.value:
        case _, "exists", _:
            return _exact(Sql(f"({there})"))
        case _, "missing", _:
            return _exact(Sql(f"(NOT ({there}))"))
        case Bool(), _, bool(wanted):
            return _exact(Sql(f"(coalesce({column}, FALSE) = {str(wanted).upper()})"))
        case Text() | Enum() | Ref() | Int(), "=", wanted:
            return _exact(Sql(f"({there} AND {column} = ?)", (wanted,)))
        case Text() | Enum() | Ref() | Int(), "!=", wanted:
            return _exact(Sql(f"({column} IS NULL OR {column} <> ?)", (wanted,)))
        case Text() | Enum() | Ref() | Int(), "in", wanted:
            return _exact(_among(column, tuple(wanted)))
        case Int(), "between", (low, high):
            return _exact(Sql(f"({there} AND {column} BETWEEN ? AND ?)", (low, high)))
        case Int(), ("<" | "<=" | ">" | ">=") as op, wanted:
            return _exact(Sql(f"({there} AND {column} {op} ?)", (wanted,)))
    return ANYBODY


# --- facts ------------------------------------------------------------------------------------------------


def instant(day: int, zone: tzinfo) -> str:
    """The instant at which a day begins, as it is stored: fixed width, so text order is time order."""
    if day <= DAY_MIN + 1:
        return "0001-01-01T00:00:00.000Z"
    if day >= DAY_MAX:
        return "9999-12-31T23:59:59.999Z"
    at = date.fromordinal(day)
    start = datetime(at.year, at.month, at.day, tzinfo=zone).astimezone(UTC)
    return start.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def facts_of(
    of: Filter, days: tuple[int, int], asking: Asking, more: str = ""
) -> tuple[str, tuple[JSON, ...]]:
    """FROM and WHERE of the facts of a filter on these days; by lines where it names their parts."""
    table = asking.layout.lines if of.of_lines or more == "lines" else asking.layout.deeds
    conditions: list[str] = []
    parameters: list[JSON] = []
    for name, values in of.parts:
        conditions.append(f"d.{name} IN ({_marks(values)})")
        parameters += values
    first, last = days
    if first > DAY_MIN:
        conditions.append("d.at >= ?")
        parameters.append(instant(first, asking.zone))
    conditions.append("d.at < ?")
    parameters.append(instant(min(last + 1, DAY_MAX), asking.zone))
    return f"{table} d WHERE {' AND '.join(conditions)}", tuple(parameters)


def _some(facts: tuple[str, tuple[JSON, ...]]) -> Sql:
    """Customers who have any of these facts."""
    return Sql(f"(c.id IN (SELECT d.customer FROM {facts[0]}))", facts[1])


def _counted(facts: tuple[str, tuple[JSON, ...]], value: str, op: str, wanted: JSON) -> Sql:
    """Customers who have so many of these facts; where any or none will do, nobody's are counted."""
    match op, wanted:
        case (">=", 1) | (">", 0) | ("!=", 0):
            return _some(facts)
        case ("<", 1) | ("<=", 0) | ("=", 0):
            return _not(_some(facts))
    return _having(facts, value, op, wanted)


def _having(facts: tuple[str, tuple[JSON, ...]], value: str, op: str, wanted: JSON) -> Sql:
    """Customers whose facts stand so; those without any stand at 0."""
    source, parameters = facts
    figures = wanted if isinstance(wanted, tuple) else (wanted,)
    stands = f"{value} BETWEEN ? AND ?" if op == "between" else f"{value} {'<>' if op == '!=' else op} ?"
    if not _holds(op, 0, wanted):
        text = f"(c.id IN (SELECT d.customer FROM {source} GROUP BY d.customer HAVING {stands}))"
    else:
        text = f"(c.id NOT IN (SELECT d.customer FROM {source} GROUP BY d.customer HAVING NOT ({stands})))"
    return Sql(text, (*parameters, *figures))


def _holds(op: str, value: int, wanted: JSON) -> bool:
    match op:
        case "between":
            return bool(wanted[0] <= value <= wanted[1])
        case "=":
            return bool(value == wanted)
        case "!=":
            return bool(value != wanted)
        case "<":
            return bool(value < wanted)
        case "<=":
            return bool(value <= wanted)
        case ">":
            return bool(value > wanted)
    return bool(value >= wanted)


AGED: Mapping[str, tuple[str, ...]] = {
    "days_since_purchase": ("purchase",),
    "days_since_visit": ("visit",),
    "days_since_complaint": ("complaint",),
    "days_since_contact": tuple(sorted(CONTACTS)),
}


def _number(rule: NumberTest, asking: Asking) -> Compiled:
    number = rule.number
    if isinstance(number, Metric):
        if number.name in AGED:
            return _exact(_aged(rule, AGED[number.name], number.window, asking))
        tally = tallied(number)
        if tally is None:
            return ANYBODY
        number = tally
    if not _kept(number.of):
        return ANYBODY
    days = number.window.days(asking.today)
    if isinstance(number, Count):
        count = "count(DISTINCT d.id)" if number.of.of_lines else "count(*)"
        return _exact(_counted(facts_of(number.of, days, asking), count, rule.op, rule.value))
    if number.what in ("cost", "margin") or (number.what == "effort_min" and number.of.of_lines):
        return ANYBODY
    if number.what == "effort_min":
        facts = facts_of(number.of, days, asking)
        return _exact(_having(facts, "sum(d.effort_min)", rule.op, rule.value))
    source, parameters = facts_of(number.of, days, asking, "lines")
    currency = number.currency or asking.currency
    if currency is None:
        source += " AND d.currency IS NULL"
    else:
        source, parameters = f"{source} AND (d.currency IS NULL OR d.currency = ?)", (*parameters, currency)
    return _exact(_having((source, parameters), f"sum(d.{number.what})", rule.op, rule.value))


def _kept(of: Filter) -> bool:
    return all(name in COLUMNS for name, _ in of.parts)


def of_kinds(*kinds: str) -> Filter:
    return Filter((("kind", kinds),))


def _aged(rule: NumberTest, kinds: tuple[str, ...], window: Window, asking: Asking) -> Sql:
    """Days since the last of these facts: a bound on when it was."""
    low, high = rule.value if isinstance(rule.value, tuple) else (rule.value, rule.value)
    match rule.op:
        case "<":
            low, high = 0, low - 1
        case "<=":
            low = 0
        case ">":
            low, high = low + 1, DAY_MAX
        case ">=":
            high = DAY_MAX
    of, days = of_kinds(*kinds), window.days(asking.today)
    inside = _between(of, days, True, asking.today - high, asking.today - low, asking)
    if rule.op != "!=":
        return inside
    return _all((_some(facts_of(of, days, asking)), _not(inside)))


def _between(of: Filter, days: tuple[int, int], is_last: bool, first: int, last: int, asking: Asking) -> Sql:
    """Customers of whose facts on `days` the last, or the first, was from one day to another."""
    if last < first or last < DAY_MIN or first > DAY_MAX:
        return FALSE
    if is_last and last >= days[1]:
        return _some(facts_of(of, (max(first, days[0]), days[1]), asking))
    if not is_last and first <= days[0]:
        return _some(facts_of(of, (days[0], min(last, days[1])), asking))
    source, parameters = facts_of(of, days, asking)
    value = "max(d.at)" if is_last else "min(d.at)"
    bounds = (instant(max(first, DAY_MIN), asking.zone), instant(min(last + 1, DAY_MAX), asking.zone))
    text = (
        f"(c.id IN (SELECT d.customer FROM {source} GROUP BY d.customer HAVING {value} >= ? AND {value} < ?))"
    )
    return Sql(text, (*parameters, *bounds))


# --- days -------------------------------------------------------------------------------------------------


def _date(rule: DateTest, asking: Asking) -> Compiled:
    match rule.op, rule.value:
        case "on", int(day):
            first, last = day, day
        case "before", int(day):
            first, last = DAY_MIN, day - 1
        case "after", int(day):
            first, last = day + 1, DAY_MAX
        case "within", window if not isinstance(window, int):
            first, last = window.days(asking.today)
        case _:
            return ANYBODY
    if isinstance(rule.date, DayOf):
        declared = asking.entity.by_name.get(rule.date.field)
        column = None if declared is None else asking.layout.column(rule.date.field)
        if declared is None or column is None:
            return ANYBODY
        if last < first:
            return _exact(FALSE)
        there = f"{column} IS NOT NULL AND {column}"
        match declared.type:
            case Date():
                return _exact(
                    Sql(f"({there} BETWEEN ? AND ?)", (iso(max(first, DAY_MIN)), iso(min(last, DAY_MAX))))
                )
            case Instant():
                bounds = (instant(first, asking.zone), instant(min(last + 1, DAY_MAX), asking.zone))
                return _exact(Sql(f"({there} >= ? AND {column} < ?)", bounds))
        return ANYBODY
    if not _kept(rule.date.of):
        return ANYBODY
    of, days = rule.date.of, EVER.days(asking.today)
    return _exact(_between(of, days, rule.date.last, first, last, asking))


# --- others -----------------------------------------------------------------------------------------------


def _segment(segment: str, asking: Asking) -> Compiled:
    member, excluded = asking.layout.holding("segments"), asking.layout.holding("excluded_segments")
    defined = (asking.segments or {}).get(segment)
    if member is None or defined is None or segment in asking.inside:
        return ANYBODY
    put = Sql(f"(c.id IN ({member}))", (segment,))
    out = FALSE if excluded is None else Sql(f"(c.id IN ({excluded}))", (segment,))
    by_rule = Compiled(FALSE, FALSE)
    if defined.rule is not None:
        by_rule = compile_rule(defined.rule, replace(asking, inside=(*asking.inside, segment)))
    return Compiled(_all((_not(out), _any((put, by_rule.sure)))), _all((_not(out), _any((put, by_rule.may)))))


def _link(rule: LinkTest, asking: Asking) -> Compiled:
    if rule.rule is not None:
        return ANYBODY
    wanted = {"kind": rule.kind} | ({} if rule.direction is None else {"direction": rule.direction})
    conditions = " AND ".join(f"l.{name} = ?" for name in wanted)
    linked = f"SELECT l.customer FROM ({asking.layout.linked()}) l WHERE {conditions}"
    return _exact(Sql(f"(c.id IN ({linked}))", tuple(wanted.values())))
