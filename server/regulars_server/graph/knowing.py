"""What is known of one customer: its numbers, why a rule holds of it, as of any day."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from strawberry import scalars

from regulars_schema.rules import evaluate as oracle
from regulars_schema.rules.evaluate import FOREVER, Finding
from regulars_schema.rules.knowing import Chain, Known
from regulars_schema.rules.metrics import METRICS
from regulars_schema.rules.text import parse, show
from regulars_schema.rules.tree import LINKS_MAX, InTest, Metric, Misread, NumberTest, Rule, Vocabulary
from regulars_schema.rules.windows import EVER, Window
from regulars_server.authors import UnitTree
from regulars_server.graph.findings import Answer, ExplainInput, ExplainStep, Explanation, MetricValue
from regulars_server.graph.request import Context
from regulars_server.graph.rules import knowledge, refused, required
from regulars_server.graph.scalars import DateTime, instant, instant_of, ms_of
from regulars_server.knowledge.loading import known as load_known
from regulars_server.knowledge.statistics import measure
from regulars_server.knowledge.telling import Eyes, Telling
from regulars_server.storage.interface import Order, Test
from regulars_sync.errors import Refused

READ_OF = ("customer", "interaction", "link", "assignment", "task", "consent", "custom_value", "segment")
"""What a rule may look at: who may not read one of these is told nothing that follows from it."""
KNOWN_ROWS = 5
"""What a customer's facts and cards are held equal to."""
OTHERS_MAX = 500
"""So many customers are looked at through links; beyond, it is unknown."""
TEAM_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Looking:
    """With whose eyes customers are looked at."""

    telling: Telling
    tree: UnitTree
    world: Chain
    words: Vocabulary
    now_ms: int
    """The same for all of the request."""

    def as_of(self, given: DateTime | None) -> int:
        return self.now_ms if given is None else ms_of(given)


async def looking(context: Context) -> Looking:
    """One for the request; `Refused` not_allowed, scope_missing where what rules look at may not be read."""
    found = await context.loaded("looking", partial(_look, context), "")
    assert isinstance(found, Looking)
    return found


async def _look(context: Context, ids: list[str]) -> Sequence[object]:
    for entity in READ_OF:
        context.require_read(entity)
    known, me = await knowledge(context), context.principal.staff
    team = frozenset[str]()
    if me is not None:
        async with context.reading() as reader:
            found = await reader.select("staff", Test("manager", "eq", me), Order(), TEAM_MAX)
        team = frozenset({me, *(row.id for row in found)})
    eyes = Eyes(context.sensitive, context.author.scopes is None, me, team)
    telling = Telling(known, eyes)
    tree = await context.tree()
    now_ms = context.service.now_ms()
    return [Looking(telling, tree, telling.world(), known.words, now_ms) for _ in ids]


async def known_of(context: Context, id: str, as_of_ms: int) -> Known | None:
    """The person of whom this is a row, as of an instant; None: out of reach."""
    found = await context.loaded(("known", as_of_ms), partial(_load, context, as_of_ms), id)
    assert found is None or isinstance(found, Known)
    return found


async def _load(context: Context, as_of_ms: int, ids: list[str]) -> Sequence[object]:
    look = await looking(context)
    context.spend(KNOWN_ROWS * len(ids))
    async with context.reading() as reader:
        found = await load_known(reader, ids, tree=look.tree, as_of_ms=as_of_ms, sensitive=context.sensitive)
    await context.service.pace.breathe()
    return [found.get(id) for id in ids]


async def with_others(
    context: Context, world: Chain, person: Known, kinds: frozenset[str], as_of_ms: int
) -> Chain:
    """The world in which whoever is linked to this person can be looked at, as far as rules follow links."""
    found: dict[str, Known] = {person.id: person}
    last = [person]
    for _ in range(LINKS_MAX):
        linked = {id for one in last for kind in kinds for id in one.linked(kind)}
        ids = sorted(linked - found.keys())[:OTHERS_MAX]
        if not ids:
            break
        others = await asyncio.gather(*(known_of(context, id, as_of_ms) for id in ids))
        last = [other for other in others if other is not None]
        found |= {id: other for id, other in zip(ids, others, strict=True) if other is not None}
    return replace(world, find=found.get)


# --- numbers ----------------------------------------------------------------------------------------


async def metrics(
    context: Context, id: str, names: list[str] | None, window: str | None, as_of: DateTime | None
) -> list[MetricValue]:
    look = await looking(context)
    wanted = list(METRICS) if names is None else names
    for name in wanted:
        if name not in METRICS:
            raise Refused("rule_unknown", field="names", name=name[:80], allowed=", ".join(METRICS))
    within = window_of(window, look.words)
    at_ms = look.as_of(as_of)
    person = await known_of(context, id, at_ms)
    if person is None:
        return []
    kinds = frozenset(kind for name in wanted if (kind := METRICS[name].links) is not None)
    world = await with_others(context, look.world, person, kinds, at_ms)
    return [measured(name, person, world, within, context.lang) for name in wanted]


def window_of(text: str | None, words: Vocabulary) -> Window:
    """`last 30 days` as a window; `Refused`."""
    if text is None:
        return EVER
    before = "purchase_count("
    try:
        rule = parse(f"{before}{text}) >= 0", words)
    except Misread as misread:
        detail = {name: value for name, value in misread.detail.items() if name not in ("line", "column")}
        raise refused(Misread(misread.code, (), **detail), "window") from None
    if not isinstance(rule, NumberTest) or not isinstance(rule.number, Metric):
        raise Refused("rule_invalid", field="window", expected="last 30 days")
    return rule.number.window


def measured(name: str, person: Known, world: Chain, window: Window, lang: str) -> MetricValue:
    metric = METRICS[name]
    value, is_known = measure(name, person, world, window)
    label = metric.label.zh if lang == "zh" else metric.label.en
    return MetricValue(
        name=name,
        label=label,
        unit=metric.unit,
        currency=person.currency if metric.unit == "money" else None,
        value=None if value is None else scalars.JSON(value),
        is_known=is_known,
    )


# --- why --------------------------------------------------------------------------------------------


async def explained(
    context: Context, id: str, of: ExplainInput, as_of: DateTime | None
) -> Explanation | None:
    rule, segment, scheme = of.rule, of.segment, of.scheme
    if sum(given is not None for given in (rule, segment, scheme)) != 1:
        raise Refused("argument_invalid", reason="Give one of rule, segment and scheme.")
    look = await looking(context)
    known = look.telling.knowledge
    at_ms = look.as_of(as_of)
    asked: Rule | None = None
    if scheme is not None:
        if scheme not in known.schemes.schemes:
            raise Refused("not_found", entity="scheme", field="scheme")
        kinds = look.telling.of_scheme(scheme)
    else:
        if segment is not None and segment not in known.segments:
            raise Refused("not_found", entity="segment", field="segment")
        asked = required(rule, known) if segment is None else InTest(segment)
        kinds = look.telling.looks_at_others(asked)
    person = await known_of(context, id, at_ms)
    if person is None:
        return None
    world = await with_others(context, look.world, person, kinds, at_ms)
    if asked is None:
        assert scheme is not None
        found = oracle.standing(scheme, person, world)
    else:
        found = oracle.evaluate(asked, person, world)

    def text(rule: Rule) -> str:
        return show(rule, look.words)

    return Explanation(
        as_of=instant_of(at_ms),
        answer=Answer.of(found.answer),
        values=list(found.value or ()) if scheme is not None else [],
        until=_until(found),
        steps=list(_steps(found, text)),
    )


def _steps(found: Finding, text: Callable[[Rule], str], depth: int = 0) -> Iterator[ExplainStep]:
    yield ExplainStep(
        depth=depth,
        text=text(found.rule),
        answer=Answer.of(found.answer),
        value=None if found.value is None else scalars.JSON(found.value),
        until=_until(found),
    )
    for part in found.parts:
        yield from _steps(part, text, depth + 1)


def _until(found: Finding) -> DateTime | None:
    return None if found.until == FOREVER else DateTime(instant(found.until))
