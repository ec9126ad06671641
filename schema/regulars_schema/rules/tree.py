"""A rule as a tree of tests, and its JSON.

    {"all": [rule, ...]}   {"any": [rule, ...]}   {"not": rule}
    {"field": "gender", "op": "=", "value": "female"}
    {"number": {"count": filter, "window": window}, "op": ">=", "value": 3}
    {"number": {"sum": "amount", "of": filter, "window": window, "currency": "CNY"}, "op": "<", "value": 500}
    {"number": {"metric": "days_since_purchase"}, "op": "between", "value": [30, 60]}
    {"date": {"field": "birth"}, "op": "anniversary", "value": window, "calendar": "lunar"}
    {"date": {"last": filter}, "op": "before", "value": "2026-01-01"}
    {"is": "lifecycle", "values": ["old", "loyal"]}   {"in": segment}   {"under": unit}   {"owner": "me"}
    {"link": "supplies", "direction": "to", "rule": rule}   {"case": kind, "states": [...]}
    {"task": plan, "states": ["open"]}   {"consent": "marketing", "channel": "sms"}

A filter names what is counted: {"kind": ["purchase"], "category": ["oak"], ...}; left out, everything.
A window is {"last": 30, "unit": "day"}, {"next": ...}, {"this": "month"}, {"previous": "month"} or
{"from": day, "to": day}; left out, ever. `read` makes nodes of it or raises `Misread` with the path to what
is wrong; `write` is its inverse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from regulars_schema.declare import (
    JSON,
    Bool,
    Date,
    Entity,
    Enum,
    Field,
    Instant,
    Int,
    Ref,
    Text,
    Type,
    Unfit,
    is_id,
)
from regulars_schema.entities import (
    CALENDAR,
    CHANNEL,
    CUSTOMER,
    INTERACTION,
    LINK_KIND,
    METHOD,
    PARTY_ROLE,
    TOPIC,
)
from regulars_schema.rules.windows import (
    EVER,
    LENGTH_MAX,
    Between,
    Ever,
    Last,
    Next,
    Period,
    Unit,
    Window,
    iso,
    ordinal,
)

NODES_MAX = 200
DEPTH_MAX = 12
VALUES_MAX = 200
LINKS_MAX = 2
"""So many links may be followed, one from the other's end."""


class Misread(Exception):
    """What stands at `path` is no rule. `code` names the reason, `detail` fills its message."""

    def __init__(self, code: str, path: Sequence[str | int] = (), **detail: JSON) -> None:
        super().__init__(code, tuple(path), detail)
        self.code = code
        self.path = tuple(path)
        self.detail = detail


# --- nodes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AllOf:
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Not:
    rule: Rule


@dataclass(frozen=True, slots=True)
class FieldTest:
    field: str
    op: str
    value: JSON = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which facts count: of any of the kinds, and each other part one of its values."""

    parts: tuple[tuple[str, tuple[JSON, ...]], ...] = ()

    @property
    def kinds(self) -> tuple[JSON, ...]:
        return dict(self.parts).get("kind", ())

    @property
    def of_lines(self) -> dict[str, tuple[JSON, ...]]:
        return {name: values for name, values in self.parts if name in LINE_PARTS}


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    window: Window = EVER


@dataclass(frozen=True, slots=True)
class Count:
    of: Filter
    window: Window = EVER


@dataclass(frozen=True, slots=True)
class Sum:
    what: str
    of: Filter
    window: Window = EVER
    currency: str | None = None
    """None: that of the customer's home unit."""


@dataclass(frozen=True, slots=True)
class NumberTest:
    number: Metric | Count | Sum
    op: str
    value: int | tuple[int, int]


@dataclass(frozen=True, slots=True)
class DayOf:
    """The day that a field says."""

    field: str


@dataclass(frozen=True, slots=True)
class DayOfFact:
    """The day of the first or last fact that counts."""

    last: bool
    of: Filter


@dataclass(frozen=True, slots=True)
class DateTest:
    date: DayOf | DayOfFact
    op: str
    value: int | Window
    lunar: bool = False


@dataclass(frozen=True, slots=True)
class IsTest:
    scheme: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InTest:
    segment: str


@dataclass(frozen=True, slots=True)
class LinkTest:
    kind: str
    rule: Rule | None = None
    direction: str | None = None
    """`to`: of a link from this customer to another one; `from`: to this one; None: either."""


@dataclass(frozen=True, slots=True)
class TaskTest:
    plan: str
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaseTest:
    kind: str
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConsentTest:
    purpose: str
    channel: str


@dataclass(frozen=True, slots=True)
class UnderTest:
    unit: str


@dataclass(frozen=True, slots=True)
class OwnerTest:
    """Whose customer it is: `me`, or my `team`: those whose manager I am, and I."""

    who: str


Test = (
    FieldTest | NumberTest | DateTest | IsTest | InTest | LinkTest | TaskTest | CaseTest | ConsentTest
    | UnderTest | OwnerTest
)  # fmt: skip
Rule = AllOf | AnyOf | Not | Test


# --- what may be named ------------------------------------------------------------------------------------

TASK_STATES = ("open", "done", "skipped", "expired", "cancelled")
CASE_KINDS = ("complaint", "winback")
SUMS = ("amount", "cost", "margin", "quantity", "effort_min")
MONEY = ("amount", "cost", "margin")
"""Sums in minor units; only these have a currency."""
LINE_PARTS = ("product", "category")
FILTER_PARTS: Mapping[str, Type] = {
    **{
        name: INTERACTION.by_name[name].type
        for name in (
            "kind",
            "channel",
            "stage_reached",
            "outcome",
            "unit",
            "staff",
            "attention_focus",
            "place",
            "campaign",
        )
    },
    "methods_used": METHOD,
    "topic": TOPIC,
    "role": PARTY_ROLE,
    "product": Ref("product"),
    "category": Text(200),
}

COMPARED = ("=", "!=", "<", "<=", ">", ">=", "between")
NUMBER_OPS = COMPARED
DATE_OPS = ("on", "before", "after", "within", "anniversary")
EMPTINESS = ("exists", "missing")
DIRECTIONS = ("to", "from")


def field_ops(declared: Field) -> tuple[str, ...]:
    """The operators that a field of the customer takes."""
    if declared.is_set:
        return ("has", "lacks", *EMPTINESS)
    match declared.type:
        case Text():
            return ("=", "!=", "in", "starts", "contains", "sounds", *EMPTINESS)
        case Enum() | Ref():
            return ("=", "!=", "in", *EMPTINESS)
        case Bool():
            return ("=",)
        case Int():
            return (*COMPARED, "in", *EMPTINESS)
        case _:
            return EMPTINESS


def has_day(declared: Field) -> bool:
    """Whether `date(field)` may be asked of it."""
    return isinstance(declared.type, Date | Instant) or declared.name in {"birth", "founded_on"}


@dataclass(frozen=True)
class Vocabulary:
    """What a chain's rules may name."""

    metrics: Iterable[str] = ()
    schemes: Mapping[str, Iterable[str]] = field(default_factory=dict)
    segments: Mapping[str, str] | None = None
    """id -> name; None: any."""
    entity: Entity = CUSTOMER
    custom: Mapping[str, Field] = field(default_factory=dict)
    """The chain's own fields, by the name that rules give them (`custom.fields`)."""

    def field(self, name: str) -> Field | None:
        return self.entity.by_name.get(name) or self.custom.get(name)

    @property
    def fields(self) -> list[Field]:
        return [*self.entity.fields, *self.custom.values()]


# --- reading ----------------------------------------------------------------------------------------------

Path = tuple[str | int, ...]


def read(given: JSON, words: Vocabulary) -> Rule:
    """The rule that this JSON says; `Misread`."""
    return _Reader(words).rule(given, ())


class _Reader:
    def __init__(self, words: Vocabulary) -> None:
        self.words = words
        self.nodes = 0
        self.links = 0

    def rule(self, given: JSON, path: Path) -> Rule:
        if type(given) is not dict:
            raise Misread("rule_invalid", path, expected="{...}")
        self.nodes += 1
        if self.nodes > NODES_MAX:
            raise Misread("rule_too_large", path, nodes_max=NODES_MAX)
        if len(path) > 2 * DEPTH_MAX:
            raise Misread("rule_too_large", path, depth_max=DEPTH_MAX)
        head = next((key for key in _READ if key in given), None)
        if head is None:
            raise self.unknown(next(iter(given), ""), list(_READ), path)
        allowed, reading = _READ[head]
        for key in given:
            if key not in allowed:
                raise self.unknown(key, allowed, path)
        return reading(self, given, path)

    def unknown(self, name: JSON, known: Iterable[str], path: Path) -> Misread:
        """That nobody knows this name, and which it may have been."""
        shown = name[:80] if type(name) is str else type(name).__name__
        near = get_close_matches(shown, list(known), 1)
        if near:
            return Misread("rule_unknown", path, name=shown, suggestion=near[0])
        return Misread("rule_unknown", path, name=shown, allowed=sorted(known)[:20])

    def unknown_segment(self, given: JSON, names: Mapping[str, str], path: Path) -> Misread:
        """The same of a segment, which may have been named by what people call it."""
        ids = {name: id for id, name in sorted(names.items(), reverse=True)}
        near = get_close_matches(given, ids, 1) if type(given) is str else []
        if near:
            return Misread("rule_unknown", path, name=str(given)[:80], suggestion=ids[near[0]])
        return self.unknown(given, names, path)

    def one_of(self, value: JSON, known: Iterable[str], path: Path) -> str:
        known = tuple(known)
        if type(value) is not str or value not in known:
            raise self.unknown(value, known, path)
        return value

    def several(self, value: JSON, path: Path) -> list[JSON]:
        if type(value) is not list or not value:
            raise Misread("rule_invalid", path, expected="[...]")
        if len(value) > VALUES_MAX:
            raise Misread("rule_too_large", path, values_max=VALUES_MAX)
        return value

    def whole(self, value: JSON, path: Path, low: int = -(2**53) + 1, high: int = 2**53 - 1) -> int:
        if type(value) is not int or not low <= value <= high:
            raise Misread(
                "rule_invalid", path, expected=f"{low}..{high}" if low > -(2**53) + 1 else "1, 2, 3 ..."
            )
        return value

    def typed(self, declared: Field, value: JSON, path: Path) -> JSON:
        try:
            return declared.type.check(value)
        except Unfit as unfit:
            if unfit.code == "enum_unknown" and isinstance(declared.type, Enum):
                raise self.unknown(value, declared.type.values, path) from None
            raise Misread(unfit.code, path, **unfit.detail) from None

    def group(self, given: JSON, path: Path) -> Rule:
        head = "all" if "all" in given else "any"
        rules = self.several(given[head], (*path, head))
        read = tuple(self.rule(rule, (*path, head, i)) for i, rule in enumerate(rules))
        return AllOf(read) if head == "all" else AnyOf(read)

    def negation(self, given: JSON, path: Path) -> Rule:
        return Not(self.rule(given["not"], (*path, "not")))

    def field_test(self, given: JSON, path: Path) -> Rule:
        name = given["field"]
        declared = self.words.field(name) if type(name) is str else None
        if declared is None:
            known = [of.name for of in self.words.fields]
            raise self.unknown(name, [*known, *self.words.metrics], (*path, "field"))
        op = self.one_of(given.get("op"), field_ops(declared), (*path, "op"))
        at = (*path, "value")
        value = given.get("value")
        if op in EMPTINESS:
            if "value" in given:
                raise Misread("rule_invalid", at, expected="-")
            return FieldTest(name, op)
        if op == "between":
            return FieldTest(name, op, self.pair(value, at))
        if op == "in":
            values = self.several(value, at)
            return FieldTest(name, op, tuple(self.typed(declared, v, (*at, i)) for i, v in enumerate(values)))
        if op in ("has", "lacks", "starts", "contains", "sounds"):
            if type(value) is not str or not value.strip():
                raise Misread("rule_invalid", at, expected='"..."')
            if isinstance(declared.type, Enum):
                return FieldTest(name, op, self.one_of(value, declared.type.values, at))
            return FieldTest(name, op, value)
        return FieldTest(name, op, self.typed(declared, value, at))

    def pair(self, value: JSON, path: Path) -> tuple[int, int]:
        if type(value) is not list or len(value) != 2:
            raise Misread("rule_invalid", path, expected="[low, high]")
        low, high = (self.whole(v, (*path, i)) for i, v in enumerate(value))
        if low > high:
            raise Misread("rule_invalid", path, expected=f"[{high}, {low}]")
        return low, high

    def number_test(self, given: JSON, path: Path) -> Rule:
        op = self.one_of(given.get("op"), NUMBER_OPS, (*path, "op"))
        at = (*path, "value")
        value = given.get("value")
        wanted = self.pair(value, at) if op == "between" else self.whole(value, at)
        return NumberTest(self.number(given["number"], (*path, "number")), op, wanted)

    def number(self, given: JSON, path: Path) -> Metric | Count | Sum:
        self.parts(given, path, ("metric", "count", "sum", "of", "window", "currency"))
        window = self.window(given.get("window"), (*path, "window"))
        if isinstance(window, Next):
            raise Misread("rule_invalid", (*path, "window"), expected="last, this, previous")
        if "metric" in given:
            self.parts(given, path, ("metric", "window"))
            return Metric(self.one_of(given["metric"], self.words.metrics, (*path, "metric")), window)
        if "count" in given:
            self.parts(given, path, ("count", "window"))
            return Count(self.filter(given["count"], (*path, "count")), window)
        what = self.one_of(given.get("sum"), SUMS, (*path, "sum"))
        currency = given.get("currency")
        if currency is not None and not (
            what in MONEY
            and type(currency) is str
            and len(currency) == 3
            and currency.isascii()
            and currency.isupper()
        ):
            raise Misread("rule_invalid", (*path, "currency"), expected="CNY")
        return Sum(what, self.filter(given.get("of"), (*path, "of")), window, currency)

    def parts(self, given: JSON, path: Path, allowed: Sequence[str]) -> None:
        if type(given) is not dict:
            raise Misread("rule_invalid", path, expected="{...}")
        for key in given:
            if key not in allowed:
                raise self.unknown(key, allowed, path)

    def filter(self, given: JSON, path: Path) -> Filter:
        if given is None:
            return Filter()
        self.parts(given, path, tuple(FILTER_PARTS))
        parts: list[tuple[str, tuple[JSON, ...]]] = []
        for name in FILTER_PARTS:
            if name in given:
                at = (*path, name)
                values = self.several(given[name], at)
                declared = Field(name, FILTER_PARTS[name], INTERACTION.label)
                parts.append((name, tuple(self.typed(declared, v, (*at, i)) for i, v in enumerate(values))))
        return Filter(tuple(parts))

    def window(self, given: JSON, path: Path) -> Window:
        if given is None:
            return EVER
        self.parts(given, path, ("last", "next", "this", "previous", "unit", "from", "to"))
        match given:
            case {"last": count, "unit": unit, **rest} if not rest:
                return Last(self.length(count, path), self.unit(unit, path))
            case {"next": count, "unit": unit, **rest} if not rest:
                return Next(self.length(count, path), self.unit(unit, path))
            case {"this": unit, **rest} if not rest:
                return Period(self.unit(unit, path))
            case {"previous": unit, **rest} if not rest:
                return Period(self.unit(unit, path), 1)
            case {"from": first, "to": last, **rest} if not rest:
                window = Between(self.day(first, (*path, "from")), self.day(last, (*path, "to")))
                if window.first > window.last:
                    raise Misread("rule_invalid", path, expected=f"{last}..{first}")
                return window
        raise Misread("rule_invalid", path, expected='{"last": 30, "unit": "day"}')

    def length(self, value: JSON, path: Path) -> int:
        return self.whole(value, path, 1, LENGTH_MAX)

    def unit(self, value: JSON, path: Path) -> Unit:
        return Unit(self.one_of(value, list(Unit), path))

    def day(self, value: JSON, path: Path) -> int:
        try:
            return ordinal(value)
        except Unfit as unfit:
            raise Misread(unfit.code, path) from None

    def date_test(self, given: JSON, path: Path) -> Rule:
        date = self.date(given["date"], (*path, "date"))
        op = self.one_of(given.get("op"), DATE_OPS, (*path, "op"))
        at = (*path, "value")
        lunar = self.one_of(given.get("calendar", "solar"), CALENDAR.values, (*path, "calendar")) == "lunar"
        if lunar and op != "anniversary":
            raise Misread("rule_invalid", (*path, "calendar"), expected="anniversary")
        if op in ("on", "before", "after"):
            return DateTest(date, op, self.day(given.get("value"), at))
        if given.get("value") is None:
            raise Misread("rule_invalid", at, expected='{"next": 7, "unit": "day"}')
        window = self.window(given["value"], at)
        if op == "anniversary" and not (isinstance(window, Next) and isinstance(date, DayOf)):
            raise Misread("rule_invalid", at, expected='{"next": 7, "unit": "day"}')
        return DateTest(date, op, window, lunar)

    def date(self, given: JSON, path: Path) -> DayOf | DayOfFact:
        self.parts(given, path, ("field", "first", "last"))
        if len(given) != 1:
            raise Misread("rule_invalid", path, expected="field, first, last")
        if "field" in given:
            days = [declared.name for declared in self.words.fields if has_day(declared)]
            return DayOf(self.one_of(given["field"], days, (*path, "field")))
        ((which, of),) = given.items()
        return DayOfFact(which == "last", self.filter(of, (*path, which)))

    def is_test(self, given: JSON, path: Path) -> Rule:
        scheme = self.one_of(given["is"], self.words.schemes, (*path, "is"))
        at = (*path, "values")
        known = tuple(self.words.schemes[scheme])
        values = self.several(given.get("values"), at)
        return IsTest(scheme, tuple(self.one_of(v, known, (*at, i)) for i, v in enumerate(values)))

    def in_test(self, given: JSON, path: Path) -> Rule:
        segment = given["in"]
        known = self.words.segments
        if not is_id(segment) or (known is not None and segment not in known):
            raise self.unknown_segment(segment, known or {}, (*path, "in"))
        return InTest(segment)

    def link_test(self, given: JSON, path: Path) -> Rule:
        kind = self.one_of(given["link"], LINK_KIND.values, (*path, "link"))
        direction = given.get("direction")
        if direction is not None:
            direction = self.one_of(direction, DIRECTIONS, (*path, "direction"))
        if given.get("rule") is None:
            return LinkTest(kind, None, direction)
        self.links += 1
        if self.links > LINKS_MAX:
            raise Misread("rule_too_large", path, links_max=LINKS_MAX)
        rule = self.rule(given["rule"], (*path, "rule"))
        self.links -= 1
        return LinkTest(kind, rule, direction)

    def states(self, given: JSON, path: Path, known: Iterable[str]) -> tuple[str, ...]:
        at = (*path, "states")
        return tuple(
            self.one_of(v, known, (*at, i)) for i, v in enumerate(self.several(given.get("states"), at))
        )

    def text(self, value: JSON, path: Path) -> str:
        if type(value) is not str or not value.strip() or len(value) > 200:
            raise Misread("rule_invalid", path, expected='"..."')
        return value

    def task_test(self, given: JSON, path: Path) -> Rule:
        return TaskTest(self.text(given["task"], (*path, "task")), self.states(given, path, TASK_STATES))

    def case_test(self, given: JSON, path: Path) -> Rule:
        kind = self.one_of(given["case"], CASE_KINDS, (*path, "case"))
        return CaseTest(
            kind,
            tuple(
                self.text(v, (*path, "states", i))
                for i, v in enumerate(self.several(given.get("states"), (*path, "states")))
            ),
        )

    def consent_test(self, given: JSON, path: Path) -> Rule:
        channel = self.one_of(given.get("channel"), CHANNEL.values, (*path, "channel"))
        return ConsentTest(self.text(given["consent"], (*path, "consent")), channel)

    def under_test(self, given: JSON, path: Path) -> Rule:
        if not is_id(given["under"]):
            raise Misread("id_invalid", (*path, "under"), entity="unit")
        return UnderTest(given["under"])

    def owner_test(self, given: JSON, path: Path) -> Rule:
        who = given["owner"]
        if who not in ("me", "team"):
            raise Misread("rule_invalid", (*path, "owner"), expected="me, team")
        return OwnerTest(who)


_READ: Mapping[str, tuple[tuple[str, ...], Callable[[_Reader, JSON, Path], Rule]]] = {
    "all": (("all",), _Reader.group),
    "any": (("any",), _Reader.group),
    "not": (("not",), _Reader.negation),
    "field": (("field", "op", "value"), _Reader.field_test),
    "number": (("number", "op", "value"), _Reader.number_test),
    "date": (("date", "op", "value", "calendar"), _Reader.date_test),
    "is": (("is", "values"), _Reader.is_test),
    "in": (("in",), _Reader.in_test),
    "link": (("link", "direction", "rule"), _Reader.link_test),
    "task": (("task", "states"), _Reader.task_test),
    "case": (("case", "states"), _Reader.case_test),
    "consent": (("consent", "channel"), _Reader.consent_test),
    "under": (("under",), _Reader.under_test),
    "owner": (("owner",), _Reader.owner_test),
}


# --- writing ----------------------------------------------------------------------------------------------


def write(rule: Rule) -> dict[str, JSON]:
    """The JSON that `read` makes this rule of."""
    match rule:
        case AllOf(rules):
            return {"all": [write(r) for r in rules]}
        case AnyOf(rules):
            return {"any": [write(r) for r in rules]}
        case Not(inner):
            return {"not": write(inner)}
        case FieldTest(name, op, value):
            test: dict[str, JSON] = {"field": name, "op": op}
            return test if op in EMPTINESS else {**test, "value": _listed(value)}
        case NumberTest(number, op, value):
            return {"number": _number(number), "op": op, "value": _listed(value)}
        case DateTest(date, op, value, lunar):
            test = {
                "date": _date(date),
                "op": op,
                "value": iso(value) if isinstance(value, int) else write_window(value),
            }
            return {**test, "calendar": "lunar"} if lunar else test
        case IsTest(scheme, values):
            return {"is": scheme, "values": list(values)}
        case InTest(segment):
            return {"in": segment}
        case LinkTest(kind, linked, direction):
            test = {"link": kind} if direction is None else {"link": kind, "direction": direction}
            return test if linked is None else {**test, "rule": write(linked)}
        case TaskTest(plan, states):
            return {"task": plan, "states": list(states)}
        case CaseTest(kind, states):
            return {"case": kind, "states": list(states)}
        case ConsentTest(purpose, channel):
            return {"consent": purpose, "channel": channel}
        case UnderTest(unit):
            return {"under": unit}
        case OwnerTest(who):
            return {"owner": who}


def _listed(value: JSON) -> JSON:
    return list(value) if type(value) is tuple else value


def _number(number: Metric | Count | Sum) -> dict[str, JSON]:
    written: dict[str, JSON]
    match number:
        case Metric(name):
            written = {"metric": name}
        case Count(of):
            written = {"count": write_filter(of)}
        case Sum(what, of, _, currency):
            written = {"sum": what, "of": write_filter(of)}
            if currency is not None:
                written["currency"] = currency
    return written if number.window == EVER else {**written, "window": write_window(number.window)}


def _date(date: DayOf | DayOfFact) -> dict[str, JSON]:
    if isinstance(date, DayOf):
        return {"field": date.field}
    return {"last" if date.last else "first": write_filter(date.of)}


def write_filter(of: Filter) -> dict[str, JSON]:
    return {name: list(values) for name, values in of.parts}


def write_window(window: Window) -> dict[str, JSON]:
    match window:
        case Last(count, unit):
            return {"last": count, "unit": str(unit)}
        case Next(count, unit):
            return {"next": count, "unit": str(unit)}
        case Period(unit, back):
            return {"previous" if back else "this": str(unit)}
        case Between(first, last):
            return {"from": iso(first), "to": iso(last)}
        case Ever():
            return {}
