"""The oracle of the rule language: what a rule says of one customer on a day, why, and until when.

Three-valued (Kleene): None is what this replica can't know. A test on what is missing does not hold; its
opposite does. `Finding.until` is the first instant at which the answer could be another although nothing
happens: never too late, sometimes too early, and then one looks again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from regulars_schema.declare import JSON
from regulars_schema.normal import pinyin
from regulars_schema.rules.calendars import born_on, in_zone, next_anniversary
from regulars_schema.rules.knowing import Assigned, Deed, Known, World, fits, lines_of
from regulars_schema.rules.metrics import METRICS, SCORES, Score, Unheld, counted, spans_of, tallied, turns_of
from regulars_schema.rules.tree import (
    AllOf,
    AnyOf,
    CaseTest,
    ConsentTest,
    Count,
    DateTest,
    DayOf,
    FieldTest,
    Filter,
    InTest,
    IsTest,
    LinkTest,
    Metric,
    Not,
    NumberTest,
    OwnerTest,
    Rule,
    Sum,
    TaskTest,
    UnderTest,
)
from regulars_schema.rules.windows import DAY_MAX, EVER, NEVER, Window

Answer = bool | None
FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Finding:
    rule: Rule
    answer: Answer
    until: datetime = FOREVER
    value: JSON = None
    """What was compared, where something was."""
    parts: tuple[Finding, ...] = ()


def evaluate(rule: Rule, known: Known, world: World) -> Finding:
    """What the rule says of this customer as of its day. A segment that contains itself is unknown."""
    return _Judge(world).judge(rule, known)


def standing(scheme: str, known: Known, world: World) -> Finding:
    """The values that a customer has in a scheme (`Finding.value`), and until when."""
    return _Judge(world).stands(scheme, known, IsTest(scheme, ()))


class _Judge:
    def __init__(self, world: World) -> None:
        self.world = world
        self.inside: list[tuple[str, str]] = []

    def judge(self, rule: Rule, known: Known) -> Finding:
        match rule:
            case AllOf(rules):
                return _joined(rule, [self.judge(r, known) for r in rules], False)
            case AnyOf(rules):
                return _joined(rule, [self.judge(r, known) for r in rules], True)
            case Not(inner):
                found = self.judge(inner, known)
                return Finding(
                    rule, None if found.answer is None else not found.answer, found.until, None, (found,)
                )
            case FieldTest(name):
                if name in known.hidden:
                    return Finding(rule, None)
                value = known.values.get(name)
                return Finding(rule, _field_holds(rule, value), value=value)
            case NumberTest():
                return self.numbered(rule, known)
            case DateTest():
                return _dated(rule, known)
            case IsTest(scheme, values):
                found = self.stands(scheme, known, rule)
                if found.answer is None:
                    return found
                parents = self.world.schemes[scheme].parents
                answer = any(_above(value, parents) & set(values) for value in found.value)
                return Finding(rule, answer, found.until, found.value, found.parts)
            case InTest(segment):
                return self.member(rule, segment, known)
            case LinkTest():
                return self.linked(rule, known)
            case TaskTest(plan, states):
                held = known.tasks.get(plan, ())
                return Finding(rule, any(state in states for state in held), value=list(held))
            case CaseTest(kind, states):
                held = known.cases.get(kind, ())
                return Finding(rule, any(state in states for state in held), value=list(held))
            case ConsentTest(purpose, channel):
                return Finding(rule, (purpose, channel) in known.consents)
            case UnderTest(unit):
                return Finding(rule, unit in known.units)
            case OwnerTest(who):
                owner = known.values.get("owner")
                world = self.world
                return Finding(
                    rule, owner is not None and (owner == world.me or (who == "team" and owner in world.team))
                )

    # --- numbers ------------------------------------------------------------------------------------------

    def numbered(self, rule: NumberTest, known: Known) -> Finding:
        """Each once: many rules ask the same."""
        cuts = self.world.cuts
        held: tuple[object, Finding] | None = known.memo.get(rule)
        if held is not None and held[0] is cuts:
            return held[1]
        number = rule.number
        if not isinstance(number, Metric):
            found = _tallied(rule, number, known)
        elif any(name in known.hidden for name in METRICS[number.name].needs):
            found = Finding(rule, None)
        else:
            found = _measured(rule, number, known, self.world)
        known.memo[rule] = cuts, found
        return found

    # --- schemes ------------------------------------------------------------------------------------------

    def stands(self, scheme: str, known: Known, rule: Rule) -> Finding:
        """A person's word until it is due to be checked, then an import's, then the rules'.

        Where values by rule are ordered, an import that is due to be checked only holds up: the better counts
        (S35).
        """
        rules = self.world.schemes.get(scheme)
        if rules is None or (rules.guarded and known.hidden):
            return Finding(rule, None)
        said = known.assigned.get(scheme, ())
        held: str | None = None
        until = FOREVER
        for origin in ("person", "import"):
            valid = [
                a for a in said if a.origin == origin and (a.check_by is None or known.today < a.check_by)
            ]
            if valid:
                until = min(
                    (_start(known, a.check_by) for a in valid if a.check_by is not None), default=FOREVER
                )
                values = [a.value for a in valid] if rules.multi else [max(valid, key=_weight).value]
                if origin == "import" and until != FOREVER and rules.rank(values[0]) is not None:
                    held = values[0]
                    break
                return Finding(rule, True, until, values)
        if rules.mode != "rule":
            return Finding(rule, True, FOREVER, [])
        if (scheme, known.id) in self.inside:
            return Finding(rule, None)
        self.inside.append((scheme, known.id))
        tried: list[Finding] = []
        values = []
        for value, condition in rules.rules:
            found = self.judge(condition, known)
            tried.append(found)
            if found.answer:
                values.append(value)
                if not rules.multi:
                    break
            elif found.answer is None:
                self.inside.pop()
                return Finding(rule, None, min(f.until for f in tried), None, tuple(tried))
        self.inside.pop()
        if held is not None and (not values or (rules.rank(values[0]) or 0) > (rules.rank(held) or 0)):
            values = [held]
        return Finding(rule, True, min([until, *(f.until for f in tried)]), values, tuple(tried))

    # --- others -------------------------------------------------------------------------------------------

    def member(self, rule: InTest, segment: str, known: Known) -> Finding:
        if segment in known.excluded:
            return Finding(rule, False, value="excluded")
        if segment in known.segments:
            return Finding(rule, True, value="member")
        defined = self.world.segments.get(segment)
        if defined is None or (segment, known.id) in self.inside:
            return Finding(rule, None)
        if defined.rule is None:
            return Finding(rule, False)
        self.inside.append((segment, known.id))
        found = self.judge(defined.rule, known)
        self.inside.pop()
        return Finding(rule, found.answer, found.until, None, (found,))

    def linked(self, rule: LinkTest, known: Known) -> Finding:
        ids = known.linked(rule.kind, rule.direction)
        if rule.rule is None:
            return Finding(rule, bool(ids), value=list(ids))
        found: list[Finding] = []
        for id in ids:
            other = self.world.customer(id)
            found.append(Finding(rule.rule, None) if other is None else self.judge(rule.rule, other))
        joined = _joined(rule, found, True)
        return Finding(rule, joined.answer, joined.until, list(ids), joined.parts)


def _weight(assigned: Assigned) -> tuple[int, str]:
    return assigned.since, assigned.value


def _above(value: str, parents: Mapping[str, str]) -> set[str]:
    """The value and those that it is part of."""
    found = {value}
    while (parent := parents.get(value)) is not None and parent not in found:
        found.add(parent)
        value = parent
    return found


def _joined(rule: Rule, parts: Sequence[Finding], decides: bool) -> Finding:
    """All or any of the parts. One that `decides` decides; while several do, all must turn first."""
    deciding = [part.until for part in parts if part.answer is decides]
    if deciding:
        return Finding(rule, decides, max(deciding), None, tuple(parts))
    until = min((part.until for part in parts), default=FOREVER)
    unknown = any(part.answer is None for part in parts)
    return Finding(rule, None if unknown else not decides, until, None, tuple(parts))


def _start(known: Known, day: int) -> datetime:
    return FOREVER if day > DAY_MAX else known.start_of(day)


# --- fields -----------------------------------------------------------------------------------------------


def _field_holds(rule: FieldTest, value: JSON) -> bool:
    wanted = rule.value
    if type(wanted) is bool:
        return bool(value) is wanted
    missing = value is None or value in ([], "")
    match rule.op:
        case "exists":
            return not missing
        case "missing":
            return missing
        case "!=":
            return bool(value != wanted)
        case "lacks":
            return missing or wanted not in value
    if missing:
        return False
    match rule.op:
        case "has":
            return wanted in value
        case "in":
            return value in wanted
        case "starts":
            return str(value).casefold().startswith(str(wanted).casefold())
        case "contains":
            return str(wanted).casefold() in str(value).casefold()
        case "sounds":
            return sounds(str(value), str(wanted))
        case "=":
            return bool(value == wanted)
    return bool(compare(rule.op, (value, value), wanted))


def sounds(text: str, spoken: str) -> bool:
    """Whether a text begins with what was heard: its pinyin or its initials."""
    heard = pinyin("".join(spoken.split()))[0]
    whole, initials = pinyin(text)
    return whole.startswith(heard) or initials.startswith(heard)


Range = tuple[int | None, int | None]
"""From least to most; None where there is no bound."""


def compare(op: str, value: Range, wanted: Any) -> Answer:
    """Whether a number in a range stands so to the one that is wanted; None where it may or may not."""
    low, high = value
    least, most = wanted if op == "between" else (wanted, wanted)
    match op:
        case ">=" | ">":
            edge = least if op == ">=" else least + 1
            return _at_least(low, high, edge)
        case "<" | "<=":
            edge = least if op == "<" else least + 1
            return _negated(_at_least(low, high, edge))
        case "!=":
            return _negated(compare("=", value, wanted))
    above, beyond = _at_least(low, high, least), _at_least(low, high, most + 1)
    if above is False or beyond is True:
        return False
    return True if above is True and beyond is False else None


def _at_least(low: int | None, high: int | None, edge: int) -> Answer:
    if low is not None and low >= edge:
        return True
    return False if high is not None and high < edge else None


def _negated(answer: Answer) -> Answer:
    return None if answer is None else not answer


# --- counts and sums --------------------------------------------------------------------------------------


def _tallied(
    rule: NumberTest, number: Count | Sum, known: Known, scale: Scale | None = None, lacking: Answer = None
) -> Finding:
    """Walk from today through the days on which facts come into the window or leave it.

    `scale` says what is compared instead of the number; `lacking` is the answer where a cost is not known.
    """
    today, window = known.today, number.window
    turns: dict[int, tuple[int, int]] = {}
    running = costless = 0
    spans = spans_of(known, window)
    for deed in _deeds(number.of, known):
        if deed.day not in spans:
            continue
        enters, leaves = spans[deed.day]
        weight: int | None = 1 if isinstance(number, Count) else _weighed(number, deed, known.currency)
        more, less = (0, 1) if weight is None else (weight, 0)
        if enters <= today:
            running, costless = running + more, costless + less
        else:
            was = turns.get(enters, (0, 0))
            turns[enters] = was[0] + more, was[1] + less
        if leaves <= DAY_MAX:
            was = turns.get(leaves, (0, 0))
            turns[leaves] = was[0] - more, was[1] - less
    older = [sums for kind, sums in known.before.items() if not number.of.kinds or kind in number.of.kinds]
    for sums in older:
        for day in (sums.first, sums.last):
            turns.update((turn, turns.get(turn, (0, 0))) for turn in window.span(day) if turn > today)
    plain = not number.of.parts or (len(number.of.parts) == 1 and bool(number.of.kinds))

    def value(day: int) -> Range:
        low: int | None = running
        high: int | None = running
        first, last = window.days(day) if older else (day, day)
        for sums in older:
            if sums.last < first or sums.first > last:
                continue
            more = _sum_before(number, sums) if plain and first <= sums.first and sums.last <= last else None
            if more is not None:
                low, high = _plus(low, more), _plus(high, more)
            elif isinstance(number, Count):
                high = _plus(high, sums.count)
            else:
                low = high = None
        return (low, high) if scale is None else scale(low, high)

    def answer(found: Range) -> Answer:
        return lacking if costless else compare(rule.op, found, rule.value)

    now = value(today)
    said, until = answer(now), FOREVER
    shown = None if costless else now[0] if now[0] == now[1] else list(now)
    for day in sorted(turns):
        more, less = turns[day]
        running, costless = running + more, costless + less
        if day <= DAY_MAX and answer(value(day)) is not said:
            until = _start(known, day)
            break
    return Finding(rule, said, until, shown)


def _plus(one: int | None, other: int) -> int | None:
    return None if one is None else one + other


def _deeds(of: Filter, known: Known) -> Iterator[Deed]:
    deeds: Iterable[Deed] = known.ordered
    if of.kinds:
        deeds = (deed for kind in of.kinds for deed in known.by_kind.get(kind, ()))
    if len(of.parts) == bool(of.kinds):
        return iter(deeds)
    return (deed for deed in deeds if fits(of, deed))


def _weighed(number: Sum, deed: Deed, currency: str | None) -> int | None:
    """What a fact adds; None where a cost is not known."""
    if number.what == "effort_min":
        return deed.effort_min
    wanted = number.currency or currency
    lines = [line for line in lines_of(number.of, deed) if line.currency is None or line.currency == wanted]
    match number.what:
        case "quantity":
            return sum([line.quantity for line in lines])
        case "amount":
            return sum([line.amount for line in lines])
    costs = [line.cost for line in lines if line.cost is not None]
    if len(costs) < len(lines):
        return None
    return sum(costs) if number.what == "cost" else sum([line.amount for line in lines]) - sum(costs)


def _sum_before(number: Count | Sum, sums: Any) -> int | None:
    if isinstance(number, Count):
        return int(sums.count)
    match number.what:
        case "margin":
            return None if sums.cost is None or number.currency else sums.amount - sums.cost
        case "amount" | "cost" if number.currency:
            return None
    found: int | None = getattr(sums, number.what)
    return found


# --- metrics ----------------------------------------------------------------------------------------------

_TRIES_MAX = 24
"""So many turns are looked at; beyond, one looks again."""


def metric(
    name: str, known: Known, world: World, window: Window = EVER, today: int | None = None
) -> int | None:
    """A metric's value as of a day (the customer's own by default); None when there is nothing to measure.
    `Unheld` where this replica can't know."""
    today = known.today if today is None else today
    return METRICS[name].of(counted(known, window, today, world.cuts, world.customer))


def _measured(rule: NumberTest, number: Metric, known: Known, world: World) -> Finding:
    scale: Scale | None = None
    if number.name in SCORES:
        score = SCORES[number.name]
        cuts = score.ends(world.cuts, known.currency)
        if not cuts:
            return Finding(rule, False)
        number = Metric(score.of, number.window if score.window is None else score.window)
        scale = Scale(score, cuts)
    tally = tallied(number)
    if tally is not None:
        return _tallied(rule, tally, known, scale, False)
    return _watched(rule, number, known, scale, world)


@dataclass(frozen=True, slots=True)
class Scale:
    """A score that stands for a number."""

    score: Score
    cuts: tuple[int, ...]

    def __call__(self, low: int | None, high: int | None) -> Range:
        ends = (high, low) if self.score.falls else (low, high)
        return tuple(None if end is None else self.score.value(end, self.cuts) for end in ends)  # type: ignore[return-value]


def _watched(rule: NumberTest, number: Metric, known: Known, scale: Scale | None, world: World) -> Finding:
    """Go from one day on which the metric may turn to the next, until the answer does."""
    declared = METRICS[number.name]
    if scale is not None:
        edges = [cut + 1 for cut in scale.cuts]
    else:
        wanted = rule.value if isinstance(rule.value, tuple) else (rule.value,)
        edges = [edge + more for edge in wanted for more in (0, 1)]
    structural = turns_of(known, number.window)

    def look(day: int) -> tuple[Answer, int | None, list[int]]:
        try:
            facts = counted(known, number.window, day, world.cuts, world.customer)
            value = declared.of(facts)
        except Unheld:
            return None, None, []
        if value is None:
            return False, None, []
        coming = declared.turns(facts, value, edges) if declared.turns is not None else ()
        shown = value if scale is None else scale(value, value)[0]
        return compare(rule.op, (shown, shown), rule.value), shown, [d for d in coming if d > day]

    said, value, coming = look(known.today)
    day, until = known.today, FOREVER
    for tried in range(_TRIES_MAX + 1):
        at = bisect_right(structural, day)
        day = min([*structural[at : at + 1], *coming], default=NEVER)
        if day > DAY_MAX:
            break
        answer, _, coming = look(day)
        if answer is not said or tried == _TRIES_MAX:
            until = _start(known, day)
            break
    return Finding(rule, said, until, value)


# --- days -------------------------------------------------------------------------------------------------


def _dated(rule: DateTest, known: Known) -> Finding:
    if isinstance(rule.date, DayOf):
        name = rule.date.field
        if name in known.hidden:
            return Finding(rule, None)
        value = known.values.get(name)
        if rule.op == "anniversary":
            return _anniversary(rule, known, value)
        day = day_of(value, known)
        if day is None:
            return Finding(rule, False)
        return _day_holds(rule, known, day)
    held = [deed.day for deed in _deeds(rule.date.of, known)]
    future = [day for day in held if day > known.today]
    coming = _start(known, min(future)) if future else FOREVER
    held = [day for day in held if day <= known.today]
    older = [s for kind, s in known.before.items() if not rule.date.of.kinds or kind in rule.date.of.kinds]
    plain = not rule.date.of.parts or (len(rule.date.of.parts) == 1 and rule.date.of.kinds)
    if rule.date.last:
        day = max(held, default=None)
        if day is None and older:
            if not plain:
                return Finding(rule, None, coming)
            day = max(sums.last for sums in older)
    else:
        if older and not plain:
            return Finding(rule, None)
        day = min([*held, *(sums.first for sums in older)], default=None)
    if day is None:
        return Finding(rule, False, coming)
    found = _day_holds(rule, known, day)
    return Finding(rule, found.answer, min(found.until, coming), found.value)


def _day_holds(rule: DateTest, known: Known, day: int) -> Finding:
    wanted = rule.value
    shown = date.fromordinal(day).isoformat()
    if isinstance(wanted, int):
        answer = {"on": day == wanted, "before": day < wanted, "after": day > wanted}[rule.op]
        return Finding(rule, answer, value=shown)
    enters, leaves = wanted.span(day)
    inside = enters <= known.today < leaves
    turn = leaves if inside else enters if enters > known.today else NEVER
    return Finding(rule, inside, _start(known, turn), shown)


def day_of(value: JSON, known: Known) -> int | None:
    """The day that a date, an instant or a birth with its year says, in the solar calendar."""
    if value is None:
        return None
    if isinstance(value, str):
        if len(value) == 10:
            return date.fromisoformat(value).toordinal()
        return in_zone(value, known.zone).toordinal()
    return born_on(value)


def _anniversary(rule: DateTest, known: Known, value: JSON) -> Finding:
    if isinstance(value, str):
        day = day_of(value, known)
        assert day is not None
        at = date.fromordinal(day)
        value = {"year": at.year, "month": at.month, "day": at.day}
    if not value:
        return Finding(rule, False)
    coming = next_anniversary(value, known.today, rule.lunar)
    if coming is None:
        return Finding(rule, False)
    assert not isinstance(rule.value, int)
    enters, leaves = rule.value.span(coming)
    inside = enters <= known.today < leaves
    until = _start(known, leaves if inside else enters)
    return Finding(rule, inside, until, date.fromordinal(coming).isoformat())


# --- telling ----------------------------------------------------------------------------------------------


def explain(found: Finding, show: Callable[[Rule], str]) -> dict[str, JSON]:
    """A finding as a tree for people: the text of each part, its answer, what was compared, until when."""
    told: dict[str, JSON] = {"rule": show(found.rule), "answer": found.answer}
    if found.value is not None:
        told["value"] = found.value
    if found.until != FOREVER:
        told["until"] = found.until.isoformat()
    if found.parts:
        told["parts"] = [explain(part, show) for part in found.parts]
    return told
