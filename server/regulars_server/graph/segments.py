"""Segments at the API: previews, members, movements, what a crowd is made of, campaigns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from typing import Annotated

import strawberry
from strawberry import scalars

from regulars_schema.declare import JSON
from regulars_schema.declare import Enum as EnumType
from regulars_schema.entities import CUSTOMER, OUTCOME
from regulars_schema.rules.metrics import METRICS
from regulars_schema.rules.text import show
from regulars_schema.rules.tree import write
from regulars_schema.schemes import Words
from regulars_server.graph.connection import clamp
from regulars_server.graph.declared import Language, resolved, said, valued
from regulars_server.graph.knowing import Looking, looking
from regulars_server.graph.movements import Moved as Told
from regulars_server.graph.movements import told as movements_told
from regulars_server.graph.request import COUNT_ROWS, Context, Info
from regulars_server.graph.rules import RuleProblem, required, warnings
from regulars_server.graph.scalars import UUID, DateTime, instant_of
from regulars_server.graph.types import Customer, Segment, Unit
from regulars_server.knowledge import matching, previewing, statistics
from regulars_server.knowledge.matching import Viewpoint
from regulars_server.knowledge.statistics import Summary
from regulars_server.storage.interface import (
    All,
    Any_,
    Member,
    Not,
    Operator,
    Order,
    Person,
    Related,
    Stands,
    Test,
    Where,
)
from regulars_server.storage.standing import Movement as Moved
from regulars_server.storage.standing import What
from regulars_sync.errors import Refused

EXAMPLES_MAX = 10
VALUES_MAX = 100
"""So many values may a composition have."""
TIME_SHARE = 0.4
"""Of the time that a query has, a preview takes so much."""
NOBODY = Any_(())
SCHEMES_MAX = 10
"""So many schemes may a combined card be asked by."""
COMBINED = ("nature", "lifecycle", "tier", "quality", "attention")
COMBINED_METRICS = ("spend", "margin", "purchase_count", "days_since_contact")
"""What a combined card tells unless it is asked otherwise."""


@strawberry.type(description="A number over the customers whom a rule finds.")
class MetricSummary:
    name: str = strawberry.field(description="As it stands in rules.")
    label: str = strawberry.field(description="What people call it, in the language of Accept-Language.")
    unit: str = strawberry.field(description="Count, days, money (minor units), percent, score or years.")
    currency: str | None = strawberry.field(description="Of money: amounts of each currency are apart.")
    measured: int = strawberry.field(description="How many customers have such a number.")
    nothing: int = strawberry.field(description="Of how many there is nothing to measure.")
    unknown: int = strawberry.field(description="Of how many it rests on what can't be known here.")
    sum: scalars.JSON = strawberry.field(description="Of those measured, a whole number.")
    average: float | None = strawberry.field(description="Of those measured; null where there are none.")
    statistics_of: int | None = strawberry.field(
        description="Null: it is over all who fit. Else over so many of them, since it had to be computed"
        " of one after the other."
    )


@strawberry.enum(description="判断方式 · How a preview was answered.")
class PreviewBy(Enum):
    DATABASE = valued("database", "数据库 · The database alone knew")
    EACH = valued("each", "逐个 · Customers were looked at one by one, all who had to be")
    SAMPLE = valued("sample", "抽样 · So many had to be looked at that only some were")


@strawberry.type(description="Whom a rule finds, before it is a segment's.")
class SegmentPreview:
    text: str = strawberry.field(description="The rule on one line.")
    json: scalars.JSON = strawberry.field(description="Its tree.")
    warnings: list[RuleProblem] = strawberry.field(description="What to think of before it is used.")
    by: PreviewBy = strawberry.field(description="How it was answered.")
    exact: bool = strawberry.field(description="Whether `count` is all who fit; else at least so many do.")
    total: int = strawberry.field(description="The persons within reach.")
    looked_at: int = strawberry.field(description="How many had an answer: all, but for a sample.")
    count: int = strawberry.field(description="How many of them fit.")
    unknown: int = strawberry.field(description="How many of them rest on what you may not see.")
    share: float | None = strawberry.field(
        description="Of all, 0 to 1; of a sample what it tells of all. Null where there is nobody."
    )
    statistics: list[MetricSummary] = strawberry.field(
        description="The numbers that were asked for; of money one for each home currency."
    )
    example_ids: strawberry.Private[list[str]]

    @resolved("Ten who fit, or as many as there are.")
    async def examples(self, info: Info) -> list[Customer]:
        return await info.context.related_all(Customer, self.example_ids)


@strawberry.input(description="By what customers are told apart: one of these.")
class CompositionInput:
    scheme: str | None = strawberry.field(description="The values of a scheme, by its key.", default=None)
    field: str | None = strawberry.field(description="A field that is a closed list.", default=None)


@strawberry.input(description="Of what movements are told: one of these.")
class MovementsInput:
    scheme: str | None = strawberry.field(description="Values of a scheme, by its key.", default=None)
    segment: UUID | None = strawberry.field(description="Membership of a segment.", default=None)


@strawberry.type(name="ListedMovement", description="A movement in a list, with whom and what it is of.")
class Movement(Told):
    cursor: str

    @resolved("Who moved.")
    async def customer(self, info: Info) -> Customer | None:
        return await info.context.related(Customer, self.customer_id)

    @resolved("Into or out of which segment.")
    async def segment(self, info: Info) -> Segment | None:
        return await info.context.related(Segment, self.segment_id)


@strawberry.type(description="A customer is in a segment.")
class Membership:
    segment_id: UUID = strawberry.field(description="Which one.")
    since: DateTime | None = strawberry.field(description="Since when; null where it was only just put in.")
    by_hand: bool = strawberry.field(
        description="Whether somebody put the customer in, whatever a rule says."
    )

    @resolved("Which one.")
    async def segment(self, info: Info) -> Segment | None:
        return await info.context.related(Segment, self.segment_id)


@strawberry.type(description="Those of one value.")
class CompositionPart:
    value: str | None = strawberry.field(description="As it stands in rules; null: those with none.")
    label: str = strawberry.field(description="What people call it.")
    count: int = strawberry.field(description="How many persons: as many as `customers` lists.")
    share: float | None = strawberry.field(description="Of all, 0 to 1.")
    statistics: list[MetricSummary] = strawberry.field(
        description="The numbers that were asked for; of money one for each home currency."
    )


@strawberry.type(description="客户构成 · What customers are made of (S99).")
class Composition:
    total: int = strawberry.field(description="All persons within reach, or all in the segment.")
    parts: list[CompositionPart] = strawberry.field(description="By value, in their order.")
    statistics: list[MetricSummary] = strawberry.field(
        description="The same numbers of all of them: what those of a part are a share of."
    )


@strawberry.input(description="Of whom a combined card is: one of these.")
class CombinedCardInput:
    unit: UUID | None = strawberry.field(description="Those at home in this unit, or below it.", default=None)
    segment: UUID | None = strawberry.field(description="The members of this segment.", default=None)


@strawberry.type(description="What the customers on a combined card are made of, by one scheme.")
class CombinedPart:
    scheme: str = strawberry.field(description="By its key.")
    label: str = strawberry.field(description="What people call it.")
    composition: Composition = strawberry.field(description="How many have each value.")


@strawberry.type(description="综合的客户档案 · The combined card of a unit's or a segment's customers (S24).")
class CombinedCard:
    name: str = strawberry.field(description="Of the unit or the segment.")
    total: int = strawberry.field(description="How many persons there are.")
    preview: SegmentPreview = strawberry.field(
        description="The same as a rule finds them: numbers summed up, and examples."
    )
    parts: list[CombinedPart] = strawberry.field(description="What they are made of, scheme by scheme.")


@strawberry.type(description="How many touches came to one outcome.")
class CampaignOutcome:
    outcome: str | None = strawberry.field(description="Null: none is written.")
    label: str = strawberry.field(description="What people call it.")
    count: int = strawberry.field(description="How many interactions.")


@strawberry.type(description="活动 · What became of a campaign: interactions that name it (S100).")
class Campaign:
    members: int = strawberry.field(description="Persons within reach who are in it.")
    touched: int = strawberry.field(description="Those of them whom an interaction of it names.")
    touches: int = strawberry.field(description="Interactions of it within reach.")
    outcomes: list[CampaignOutcome] = strawberry.field(description="The same by outcome.")


# --- who is in ----------------------------------------------------------------------------------------


async def members_of(context: Context, segment: str) -> Where:
    """Who is in a segment, as far as this reader may be told: of a rule that looks at more than the reader
    sees, only those who were put in by hand."""
    put = Person(Test("segments", "has", segment))
    out = Not(Person(Test("excluded_segments", "has", segment)))
    look = await looking(context)
    defined = look.telling.knowledge.segments.get(segment)
    if defined is None or defined.rule is None or not look.telling.segment(segment):
        return All((put, out))
    return All((Any_((put, Member(segment))), out))


async def told(context: Context, where: Where) -> Where:
    """The test with what it asks of segments and schemes as far as this reader may be told."""
    match where:
        case All(tests):
            return All(tuple([await told(context, test) for test in tests]))
        case Any_(tests):
            return Any_(tuple([await told(context, test) for test in tests]))
        case Not(test):
            return Not(await told(context, test))
        case Related(entity, field, back, test):
            return Related(entity, field, back, await told(context, test))
        case Member(segment):
            return await members_of(context, segment)
        case Stands(scheme, _):
            look = await looking(context)
            return where if look.telling.scheme(scheme) else NOBODY
    return where


async def memberships(context: Context, customer: Customer) -> list[Membership]:
    look = await looking(context)
    ids = await context.cluster(customer.row.id)
    kept: dict[str, int] = {}
    for id in ids:
        found = await context.loaded("memberships", partial(_load_memberships, context), id)
        kept |= {s: since for s, since in found.items() if look.telling.segment(s)}
    rows = await context.related_all(Customer, ids)
    put = {segment for row in rows for segment in row.row.keys("segments")}
    out = {segment for row in rows for segment in row.row.keys("excluded_segments")}
    return [
        Membership(
            segment_id=UUID(segment),
            since=instant_of(kept[segment]) if segment in kept else None,
            by_hand=segment in put,
        )
        for segment in sorted((kept.keys() | put) - out)
    ]


async def _load_memberships(context: Context, ids: list[str]) -> Sequence[object]:
    async with context.reading() as reader:
        found = await reader.memberships(ids)
    return [found.get(id, {}) for id in ids]


# --- before it is saved -----------------------------------------------------------------------------


async def preview(context: Context, rule: JSON, names: list[str]) -> SegmentPreview:
    look = await looking(context)
    known = look.telling.knowledge
    asked = required(rule, known)
    wanted, view, in_time = _metrics(names), _viewpoint(look), _in_time(context, look)
    kinds = look.telling.looks_at_others(asked)
    async with context.reading() as reader:
        found = await previewing.preview(reader, asked, look.world, view, kinds, in_time)
        crowd = statistics.Crowd(found.fits.by_home, people=found.members)
        told = await statistics.summaries(reader, wanted, [crowd], look.world, view, in_time)
        first = await reader.select("customer", found.fits.sure, Order(), EXAMPLES_MAX)
    by = PreviewBy.EACH if found.waiting else PreviewBy.DATABASE
    by = by if found.is_whole else PreviewBy.SAMPLE
    return SegmentPreview(
        text=show(asked, look.words),
        json=scalars.JSON(write(asked)),
        warnings=warnings(asked, known, context.lang),
        by=by,
        exact=found.is_whole and not found.unknown,
        total=found.total,
        looked_at=found.total - found.waiting + min(found.asked, found.waiting),
        count=found.count,
        unknown=found.unknown,
        share=found.share,
        statistics=[_summary(each, context.lang) for each in told[0]],
        example_ids=sorted([*(row.id for row in first), *(one.id for one in found.members)])[:EXAMPLES_MAX],
    )


def _metrics(names: Sequence[str]) -> list[str]:
    """Each once; `Refused` rule_unknown."""
    for name in names:
        if name not in METRICS:
            raise Refused("rule_unknown", field="metrics", name=name[:80], allowed=", ".join(METRICS))
    return list(dict.fromkeys(names))


def _viewpoint(look: Looking) -> Viewpoint:
    eyes = look.telling.eyes
    return Viewpoint(look.tree, look.now_ms, eyes.sensitive, eyes.me, eyes.team)


def _in_time(context: Context, look: Looking) -> Callable[[], bool]:
    now_ms = context.service.now_ms
    until_ms = look.now_ms + context.service.settings.query_seconds_max * 1_000 * TIME_SHARE
    return lambda: now_ms() < until_ms


def _summary(of: Summary, lang: str) -> MetricSummary:
    metric = METRICS[of.name]
    return MetricSummary(
        name=of.name,
        label=metric.label.zh if lang == "zh" else metric.label.en,
        unit=metric.unit,
        currency=of.currency,
        measured=of.measured,
        nothing=of.nothing,
        unknown=of.unknown,
        sum=scalars.JSON(of.sum),
        average=of.average,
        statistics_of=of.of,
    )


# --- what moved -------------------------------------------------------------------------------------


async def movements(
    context: Context, segment: str | None, scheme: str | None, first: int | None, after: str | None
) -> list[Movement]:
    """Of everybody within reach, latest first."""
    if (segment is None) == (scheme is None):
        raise Refused("argument_invalid", reason="Give one of segment and scheme.")
    look = await looking(context)
    what: What = "membership" if scheme is None else "standing"
    key = segment or scheme
    assert key is not None
    if not _may_tell(look, what, key):
        raise Refused("not_allowed")
    limit, before = clamp(first), _place(after)
    async with context.reading() as reader:
        found = await reader.movements(limit, before, None, what, key)
    context.spend(len(found))
    return [_movement(moved, context) for moved in found]


async def movements_of(context: Context, id: str, first: int | None, after: str | None) -> list[Movement]:
    """Of one person, latest first."""
    look = await looking(context)
    limit, before = clamp(first, 20), _place(after)
    ids = await context.cluster(id)
    key = ("movements", limit, before)
    load = partial(_load_movements, context, look, limit, before)
    found = [moved for member in ids for moved in await context.loaded(key, load, member)]
    return [_movement(moved, context) for moved in sorted(found, key=lambda moved: -moved.n)[:limit]]


async def _load_movements(
    context: Context, look: Looking, limit: int, before: int | None, ids: list[str]
) -> Sequence[object]:
    """The latest of each: read as long as all together, again for those who have not had theirs."""
    pages: dict[str, list[Moved]] = {id: [] for id in ids}
    todo = ids
    while todo:
        rows_max = max(len(todo) * limit, 1)
        async with context.reading() as reader:
            found = await reader.movements(rows_max, before, todo)
        context.spend(len(found))
        for moved in found:
            if moved.customer in todo and _may_tell(look, moved.what, moved.key):
                pages[moved.customer].append(moved)
        if len(found) < rows_max:
            break
        before = found[-1].n
        todo = [id for id in todo if len(pages[id]) < limit]
    return [pages[id][:limit] for id in ids]


def _may_tell(look: Looking, what: What, key: str) -> bool:
    return look.telling.scheme(key) if what == "standing" else look.telling.segment(key)


def _movement(moved: Moved, context: Context) -> Movement:
    return Movement(**vars(movements_told(moved, context)), cursor=str(moved.n))


def _place(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise Refused("cursor_invalid")
    return int(cursor)


# --- what a crowd is made of ------------------------------------------------------------------------


async def composition(
    context: Context,
    scheme: str | None,
    field: str | None,
    within: str | None,
    names: Sequence[str],
    lang: str,
) -> Composition | None:
    if (scheme is None) == (field is None):
        raise Refused("argument_invalid", reason="Give one of scheme and field.")
    if within is not None and await context.related(Segment, within) is None:
        return None
    look = await looking(context)
    parts = _by_scheme(look, scheme, lang) if scheme is not None else _by_field(field, lang)
    around = None if within is None else await members_of(context, within)
    return await _composed(context, parts, around, names, lang)


async def _composed(
    context: Context, parts: Sequence[Part], around: Where | None, names: Sequence[str], lang: str
) -> Composition:
    wheres: list[Where] = [Person() if around is None else around]
    wheres += [Person(test) if around is None else Person(All((around, test))) for _, _, test in parts]
    wanted = _metrics(names)
    context.spend(COUNT_ROWS * (1 + len(wanted)))
    look = await looking(context)
    in_time = _in_time(context, look)
    view = _viewpoint(look)
    async with context.reading() as reader:
        counts = await reader.counts("customer", wheres)
        told: list[list[Summary]] = [[] for _ in wheres]
        if wanted:
            homes = matching.homes(view)
            lived = await reader.counts("customer", [home for _, home in homes])
            homes = [home for home, lives in zip(homes, lived, strict=True) if lives] or homes[:1]
            crowds = [
                statistics.Crowd(
                    [(asking, All((where, home))) for asking, home in homes], All((where, matching.MERGED))
                )
                for where in wheres
            ]
            told = await statistics.summaries(reader, wanted, crowds, look.world, view, in_time)
    total = counts[0]
    summed = [[_summary(each, lang) for each in some] for some in told]
    return Composition(
        total=total,
        parts=[
            CompositionPart(
                value=value,
                label=label,
                count=count,
                share=count / total if total else None,
                statistics=some,
            )
            for (value, label, _), count, some in zip(parts, counts[1:], summed[1:], strict=True)
        ],
        statistics=summed[0],
    )


async def combined(
    context: Context, unit: str | None, segment: str | None, schemes: Sequence[str] | None, metrics: list[str]
) -> CombinedCard | None:
    if (unit is None) == (segment is None):
        raise Refused("argument_invalid", reason="Give one of unit and segment.")
    if schemes is not None and len(schemes) > SCHEMES_MAX:
        raise Refused("query_too_large", what="schemes", limit=SCHEMES_MAX)
    row = await (context.related(Unit, unit) if segment is None else context.related(Segment, segment))
    if row is None:
        return None
    look = await looking(context)
    rule: JSON = {"under": unit} if segment is None else {"in": segment}
    if segment is not None:
        around = await members_of(context, segment)
    else:
        assert unit is not None
        around = Person(Test("home_unit", "in", sorted(look.tree.below([unit]))))
    known = look.telling.knowledge
    asked = [key for key in COMBINED if key in known.used] if schemes is None else dict.fromkeys(schemes)
    parts: list[CombinedPart] = []
    for key in asked:
        made_of = await _composed(context, _by_scheme(look, key, context.lang), around, (), context.lang)
        label = known.schemes.schemes[key].label
        parts.append(CombinedPart(scheme=key, label=_said(label, context.lang), composition=made_of))
    everybody = parts[0].composition if parts else await _composed(context, (), around, (), context.lang)
    found = await preview(context, rule, metrics)
    return CombinedCard(name=row.name, total=everybody.total, preview=found, parts=parts)


def _said(label: Words, lang: str) -> str:
    return label.zh_hans if lang == "zh" else label.en


Part = tuple[str | None, str, Where]


def _by_scheme(look: Looking, key: str, lang: str) -> list[Part]:
    known = look.telling.knowledge
    scheme = known.schemes.schemes.get(key)
    if scheme is None or key in known.archived:
        raise Refused("not_found", entity="scheme", field="scheme")
    if not look.telling.scheme(key):
        raise Refused("not_allowed")
    found: list[Part] = [
        (value.key, _said(value.label, lang), Stands(key, (value.key,)))
        for value in scheme.values[:VALUES_MAX]
    ]
    every = Stands(key, tuple(value.key for value in scheme.values))
    return [*found, (None, _none(lang), Not(every))]


def _by_field(name: str | None, lang: str) -> list[Part]:
    field = CUSTOMER.by_name.get(name or "")
    if field is None or not field.stored or not isinstance(field.type, EnumType):
        names = [f.name for f in CUSTOMER.fields if f.stored and isinstance(f.type, EnumType)]
        raise Refused("rule_unknown", field="field", name=(name or "")[:80], allowed=", ".join(names))
    op: Operator = "has" if field.is_set else "eq"
    found: list[Part] = [
        (value, label.zh if lang == "zh" else label.en, Test(field.name, op, value))
        for value, label in field.type.values.items()
    ]
    return [*found, (None, _none(lang), Test(field.name, "exists", False))]


def _none(lang: str) -> str:
    return "无" if lang == "zh" else "None"


async def campaign(context: Context, segment: str) -> Campaign | None:
    if await context.related(Segment, segment) is None:
        return None
    context.spend(2 * COUNT_ROWS)
    inside = await members_of(context, segment)
    of = Test("campaign", "eq", segment)
    touched = Person(All((inside, Related("interaction", "party", True, of))))
    outcomes: list[tuple[str | None, str, Where]] = [
        (value, label.zh if context.lang == "zh" else label.en, Test("outcome", "eq", value))
        for value, label in OUTCOME.values.items()
    ]
    outcomes.append((None, _none(context.lang), Test("outcome", "exists", False)))
    facts: list[Where] = [of, *(All((of, test)) for _, _, test in outcomes)]
    async with context.reading() as reader:
        members, touched_ = await reader.counts("customer", [inside, touched])
        touches, *counts = await reader.counts("interaction", facts)
    return Campaign(
        members=members,
        touched=touched_,
        touches=touches,
        outcomes=[
            CampaignOutcome(outcome=value, label=label, count=count)
            for (value, label, _), count in zip(outcomes, counts, strict=True)
        ],
    )


# --- roots ------------------------------------------------------------------------------------------


@strawberry.type
class SegmentQueries:
    @resolved(
        "Whom a rule finds, before it is a segment's: how many, what share, sum and average of metrics, ten"
        " examples. Where the database alone can't say, customers are looked at one by one, so many at most."
    )
    async def segment_preview(
        self,
        info: Info,
        rule: scalars.JSON,
        metrics: Annotated[list[str], said("Metrics to sum up, as rules name them.")] = [],  # noqa: B006
    ) -> SegmentPreview:
        return await preview(info.context, rule, metrics)

    @resolved("Who came to another value of a scheme, or into a segment and out of it; the latest first.")
    async def movements(
        self, info: Info, about: MovementsInput, first: int | None = None, after: str | None = None
    ) -> list[Movement]:
        return await movements(info.context, about.segment, about.scheme, first, after)

    @resolved(
        "What customers are made of, by the values of a scheme or of a field; null without such a segment."
    )
    async def composition(
        self,
        info: Info,
        by: Annotated[CompositionInput, said("By what they are told apart.")],
        within: Annotated[UUID | None, said("Only of the members of this segment.")] = None,
        metrics: Annotated[list[str], said("Metrics to sum up of each part, as rules name them.")] = [],  # noqa: B006
        lang: Language = Language.EN,
    ) -> Composition | None:
        return await composition(info.context, by.scheme, by.field, within, metrics, lang.value)

    @resolved(
        "The combined card of all customers of a unit, or of a group of units by the one above them, or of a"
        " segment: what they are made of and what their numbers come to (S24); null without such a one."
    )
    async def combined_card(
        self,
        info: Info,
        of: CombinedCardInput,
        schemes: Annotated[
            list[str] | None, said("By which schemes they are told apart; ten at most. By default five.")
        ] = None,
        metrics: Annotated[
            list[str] | None, said("Metrics to sum up, as rules name them. By default four.")
        ] = None,
    ) -> CombinedCard | None:
        names = list(COMBINED_METRICS if metrics is None else metrics)
        return await combined(info.context, of.unit, of.segment, schemes, names)

    @resolved("What became of a campaign, which is a segment: who was touched, with what outcome.")
    async def campaign(self, info: Info, segment: UUID) -> Campaign | None:
        return await campaign(info.context, segment)
