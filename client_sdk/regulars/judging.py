"""What this tablet says of customers: schemes, metrics, segments and why, as of any instant, offline.

Each answer is the server's, or unknown (None) where this tablet can't know: a field it may not hold, facts
from before the window that no sum tells, a customer linked who is out of its reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import islice

from regulars.indexed import Index, Position
from regulars.knowing import Knowing
from regulars_schema.declare import JSON
from regulars_schema.rules import evaluate as oracle
from regulars_schema.rules.evaluate import FOREVER, Finding, evaluate
from regulars_schema.rules.knowing import Known
from regulars_schema.rules.metrics import METRICS, Unheld
from regulars_schema.rules.telling import told
from regulars_schema.rules.text import parse, show
from regulars_schema.rules.tree import InTest, Metric, Misread, NumberTest, Rule, Vocabulary, read
from regulars_schema.rules.windows import EVER, Window
from regulars_schema.schemes import Scheme
from regulars_sync.errors import LocalError

SLICE_CUSTOMERS = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a customer stands in a scheme."""

    scheme: str
    values: tuple[str, ...] | None
    """Keys; none where nothing is said; None: unknown here."""
    origin: str | None = None
    """Who says so: `person`, `import` or `rule`."""
    until: datetime | None = None
    """When it may be another although nothing happens; None: never."""
    check_by: date | None = None
    """From this day on a person's word no longer counts."""
    by_rule: tuple[str, ...] | None = None
    """What the rules say beside a person's or an import's word; None: unknown, or there are none."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric of a customer."""

    value: int | None
    """None: there is nothing to measure, or it is not known here."""
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Membership:
    segment: str
    answer: bool | None
    """None: unknown here."""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Which customers of a tablet a rule finds, by ids in the order of names; each person once."""

    yes: tuple[str, ...]
    unknown: tuple[str, ...]
    after: Position | None = None
    """Where to go on; None at the end."""
    asked: int = 0
    """How many customers were looked at one by one, because no index tells."""


def rule_of(given: str | Mapping[str, JSON], words: Vocabulary) -> Rule:
    """The rule that a text or JSON says; `LocalError` with line and column, or path, and a suggestion."""
    try:
        return parse(given, words) if isinstance(given, str) else read(dict(given), words)
    except Misread as misread:
        raise unreadable(misread, given) from None


def unreadable(misread: Misread, given: JSON = None) -> LocalError:
    """What is wrong with a rule, and where."""
    found = told(misread, given)
    place = {"path": list(misread.path)} if misread.path else {}
    return LocalError(found.code, **{"field": "rule", **found.detail, **place})


# --- one customer -----------------------------------------------------------------------------------------


def present(knowing: Knowing, id: str) -> Known:
    found = knowing.find(id)
    if found is None:
        raise LocalError("not_found", entity="customer")
    return found


def standing(knowing: Knowing, id: str, scheme: str) -> Standing:
    if scheme not in knowing.world.schemes:
        raise LocalError(
            "rule_unknown", field="scheme", name=scheme, allowed=", ".join(knowing.world.schemes)
        )
    return _standing(knowing, present(knowing, id), scheme)


def standings(knowing: Knowing, id: str) -> list[Standing]:
    """In every scheme for customers of this kind that this tablet may show."""
    known = present(knowing, id)
    return [_standing(knowing, known, of.key) for of in schemes(knowing, known.values.get("kind"))]


def schemes(knowing: Knowing, kind: str | None = None) -> list[Scheme]:
    """Those in use that are for this kind of customers, and no more sensitive than this tablet."""
    knowledge = knowing.setting.knowledge
    used = (knowledge.schemes.schemes[key] for key in knowledge.used)
    hidden = bool(knowing.setting.hidden)
    return [
        of
        for of in used
        if (kind is None or kind in of.for_kind) and not (hidden and of.level == "sensitive")
    ]


def _standing(knowing: Knowing, known: Known, scheme: str) -> Standing:
    found = oracle.standing(scheme, known, knowing.world)
    values = _values(found)
    valid = [a for a in known.assigned.get(scheme, ()) if a.check_by is None or known.today < a.check_by]
    origin = next((name for name in ("person", "import") if any(a.origin == name for a in valid)), None)
    if origin is None:
        ruled = knowing.world.schemes[scheme].mode == "rule"
        return Standing(scheme, values, "rule" if ruled and values else None, until(found))
    checks = [a.check_by for a in valid if a.origin == origin and a.check_by is not None]
    alone = replace(known, assigned={**known.assigned, scheme: ()})
    ruled = knowing.world.schemes[scheme].mode == "rule"
    return Standing(
        scheme,
        values,
        origin,
        until(found),
        date.fromordinal(min(checks)) if checks else None,
        _values(oracle.standing(scheme, alone, knowing.world)) if ruled else None,
    )


def _values(found: Finding) -> tuple[str, ...] | None:
    return None if found.answer is None else tuple(found.value or ())


def until(found: Finding) -> datetime | None:
    return None if found.until == FOREVER else found.until


def measured(knowing: Knowing, id: str, name: str, window: str | None) -> Measured:
    try:
        of = _window(name, window, knowing.setting.knowledge.words)
    except Misread as misread:
        raise unreadable(misread) from None
    known = present(knowing, id)
    if any(needed in known.hidden for needed in METRICS[name].needs):
        return Measured(None, unknown=True)
    try:
        return Measured(oracle.metric(name, known, knowing.world, of))
    except Unheld:
        return Measured(None, unknown=True)


def _window(name: str, window: str | None, words: Vocabulary) -> Window:
    given: JSON = {"number": {"metric": name}, "op": ">=", "value": 0}
    rule = read(given, words) if window is None else parse(f"{name}({window}) >= 0", words)
    if isinstance(rule, NumberTest) and isinstance(rule.number, Metric):
        return rule.number.window
    return EVER


def memberships(knowing: Knowing, id: str) -> list[Membership]:
    """The segments that the customer is a member of, and those of which nobody can know here."""
    known = present(knowing, id)
    found = []
    for segment in sorted(knowing.setting.knowledge.kept):
        said = evaluate(InTest(segment), known, knowing.world)
        if said.answer is not False:
            found.append(Membership(segment, said.answer, until(said)))
    return found


def explain(knowing: Knowing, id: str, of: str | Mapping[str, JSON]) -> dict[str, JSON]:
    """Why: of a scheme's key, a segment's id, or a rule as text or JSON."""
    words = knowing.setting.knowledge.words
    known = present(knowing, id)
    if isinstance(of, str) and of in knowing.world.schemes:
        found = oracle.standing(of, known, knowing.world)
    elif isinstance(of, str) and of in knowing.world.segments:
        found = evaluate(InTest(of), known, knowing.world)
    else:
        found = evaluate(rule_of(of, words), known, knowing.world)
    return oracle.explain(found, lambda rule: show(rule, words))


# --- all customers ----------------------------------------------------------------------------------------


def find(knowing: Knowing, rule: Rule, limit: int | None = None, after: Position | None = None) -> Found:
    """Those whom a rule finds, behind a position, as many as wanted."""
    yes: list[str] = []
    unknown: list[str] = []
    asked = 0
    candidates = Index(knowing, rule).candidates(after, limit)
    at_once = min(limit or SLICE_CUSTOMERS, SLICE_CUSTOMERS)
    while page := list(islice(candidates, at_once)):
        known = knowing.all(one.place[1] for one in page if one.asks)
        asked += len(known)
        for place, said, asks in page:
            id, answer = place[1], said
            if asks:
                person = known[id]
                if person is None or person.id != id:
                    continue
                answer = evaluate(rule, person, knowing.world).answer
            if answer is not False:
                (unknown if answer is None else yes).append(id)
                if len(yes) + len(unknown) == limit:
                    return Found(tuple(yes), tuple(unknown), place, asked)
    return Found(tuple(yes), tuple(unknown), None, asked)
