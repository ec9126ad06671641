"""The rule language at the API: reading a rule, ready ones to start from, and all that a rule may ask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from enum import Enum

import strawberry
from strawberry import scalars

from regulars_schema.custom import NAMED as CUSTOM
from regulars_schema.declare import JSON, Field, Label, Level, Ref
from regulars_schema.declare import Enum as EnumType
from regulars_schema.entities import CHANNEL, CUSTOMER, INTERACTION, LINK_KIND, TASK
from regulars_schema.messages import text as message
from regulars_schema.rules.metrics import METRICS
from regulars_schema.rules.prospects import mixes_prospects
from regulars_schema.rules.telling import told
from regulars_schema.rules.text import parse, show
from regulars_schema.rules.tree import (
    CASE_KINDS,
    DATE_OPS,
    DIRECTIONS,
    FILTER_PARTS,
    NUMBER_OPS,
    SUMS,
    TASK_STATES,
    Misread,
    Rule,
    field_ops,
    has_day,
    read,
    write,
)
from regulars_schema.rules.windows import Unit as Period
from regulars_schema.schemes import Words
from regulars_schema.schemes.world import Knowledge
from regulars_server.graph.declared import Language, resolved, valued
from regulars_server.graph.inputs import SegmentEdit
from regulars_server.graph.request import Context, Info
from regulars_server.graph.writing import Writing
from regulars_server.mutations import Mutations
from regulars_sync.errors import Refused

LABELS: Mapping[str, Label] = {
    "=": Label("等于", "is"),
    "!=": Label("不等于", "is not"),
    "in": Label("是其中之一", "is one of"),
    "<": Label("少于", "less than"),
    "<=": Label("至多", "at most"),
    ">": Label("多于", "more than"),
    ">=": Label("至少", "at least"),
    "between": Label("介于", "between"),
    "has": Label("包含", "has"),
    "lacks": Label("不包含", "has not"),
    "exists": Label("已填写", "is filled in"),
    "missing": Label("未填写", "is not filled in"),
    "starts": Label("开头是", "begins with"),
    "contains": Label("含有", "contains"),
    "sounds": Label("读音像", "sounds like"),
    "on": Label("在当天", "on"),
    "before": Label("早于", "before"),
    "after": Label("晚于", "after"),
    "within": Label("在期间内", "within"),
    "anniversary": Label("周年在期间内", "comes round within"),
    "to": Label("该顾客指向对方", "from this customer to the other"),
    "from": Label("对方指向该顾客", "from the other to this customer"),
    "under": Label("属于", "is under"),
    "any": Label("任意", "any"),
    "me": Label("我", "me"),
    "team": Label("我的团队", "my team"),
    "complaint": Label("投诉", "Complaint"),
    "winback": Label("挽回", "Win-back"),
    "count": Label("往来次数", "How many interactions"),
    "first": Label("首次往来", "First interaction"),
    "last": Label("最近往来", "Latest interaction"),
    "amount": Label("金额合计", "Sum of amounts"),
    "cost": Label("成本合计", "Sum of costs"),
    "margin": Label("毛利合计", "Sum of margins"),
    "quantity": Label("数量合计", "Sum of quantities"),
    "effort_min": Label("投入分钟合计", "Sum of minutes of effort"),
    "day": Label("天", "Days"),
    "week": Label("周", "Weeks"),
    "month": Label("月", "Months"),
    "year": Label("年", "Years"),
    "segment": Label("在分群中", "In a segment"),
    "task": Label("任务", "Task"),
    "case": Label("个案", "Case"),
    "consent": Label("同意", "Consent"),
    "home_unit": Label("所属门店属于", "Home unit under"),
    "owner": Label("负责人是", "Owner"),
    "role": Label("角色", "Role"),
    "product": Label("商品", "Product"),
    "category": Label("类别", "Category"),
    "topic": Label("所知事项", "Learned about"),
}
AN_ID = "01990000-0000-7000-8000-000000000001"
"""Stands for any row in an example."""


@strawberry.type(description="What is wrong with a rule, or what to think of before it is used.")
class RuleProblem:
    code: str
    message: str = strawberry.field(description="In the language of Accept-Language, Chinese or English.")
    path: str | None = strawberry.field(description="Where in the JSON, such as `all[1].value`.")
    line: int | None = strawberry.field(description="Where in the text, from 1.")
    column: int | None = strawberry.field(description="Where in the line, from 1, in characters.")
    offset: int | None = strawberry.field(description="How many characters of the text come before it.")
    suggestion: str | None = strawberry.field(description="What was meant, perhaps.")


@strawberry.type(description="A rule that was read; or why it could not be.")
class RuleReading:
    text: str | None = strawberry.field(
        description="On one line, as it is spelled best; null where it is no rule."
    )
    json: scalars.JSON | None = strawberry.field(description="Its tree; null where it is no rule.")
    problems: list[RuleProblem] = strawberry.field(description="Why it is no rule; empty where it is one.")
    warnings: list[RuleProblem] = strawberry.field(description="What to think of before it is used.")


@strawberry.type(description="A ready rule to start from.")
class RuleTemplate:
    key: str = strawberry.field(description="Of a scheme's value `scheme.value`.")
    label: str = strawberry.field(description="What people call it.")
    text: str = strawberry.field(description="The rule on one line.")
    json: scalars.JSON = strawberry.field(description="Its tree.")
    sources: list[str] = strawberry.field(description="The rows of docs/DOMAIN_COVERAGE.md that it carries.")


@strawberry.enum(description="筛选类别 · What kind of test it is.")
class RuleFilterKind(Enum):
    FIELD = valued("field", "字段 · A field of the card")
    DATE = valued("date", "日期 · A day on the card")
    METRIC = valued("metric", "指标 · A number that has a name")
    FACTS = valued("facts", "往来 · Interactions: how many, how much, when")
    SCHEME = valued("scheme", "分类 · A value in a scheme")
    SEGMENT = valued("segment", "分群 · Membership of a segment")
    LINK = valued("link", "关系 · A link to another customer")
    TASK = valued("task", "任务 · The state of a task")
    CASE = valued("case", "个案 · The state of a case")
    CONSENT = valued("consent", "同意 · What the customer consented to")
    UNIT = valued("unit", "门店 · Where the customer is at home")
    OWNER = valued("owner", "负责人 · Who looks after the customer")


@strawberry.type(description="Something to choose from.")
class RuleChoice:
    value: str = strawberry.field(description="As it stands in rules.")
    label: str = strawberry.field(description="What people call it.")
    parent: str | None = strawberry.field(description="The value that it is part of.", default=None)


@strawberry.type(description="What narrows the interactions that are counted.")
class RulePart:
    name: str = strawberry.field(description="As it stands in rules, behind `where`; of `kind` in front.")
    label: str = strawberry.field(description="What people call it.")
    type: str = strawberry.field(
        description="Of its value: `text`, `integer`, `enum`, or the entity it names."
    )
    values: list[RuleChoice] = strawberry.field(description="Of a closed list.")


@strawberry.type(description="One thing that a rule may ask of a customer.")
class RuleFilter:
    kind: RuleFilterKind = strawberry.field(description="What kind of test it is.")
    name: str = strawberry.field(description="As it stands in rules.")
    label: str = strawberry.field(description="What people call it.")
    type: str = strawberry.field(
        description="Of its value: `text`, `integer`, `boolean`, `date`, `enum`, or the entity it names."
    )
    unit: str | None = strawberry.field(
        description="Of a number: count, days, money (in minor units), percent, score or years."
    )
    operators: list[RuleChoice] = strawberry.field(
        description="What can be asked; none where it is asked as it is."
    )
    values: list[RuleChoice] = strawberry.field(description="Of a closed list.")
    windows: bool = strawberry.field(description="Whether it takes a window of days, such as `last 30 days`.")
    sensitive: bool = strawberry.field(
        description="Without that right every answer that rests on it is unknown."
    )
    example: str = strawberry.field(description="A rule that asks it.")


@strawberry.type(description="All that a rule may ask, for building a screen.")
class RuleFilters:
    filters: list[RuleFilter] = strawberry.field(description="What may be asked of a customer.")
    parts: list[RulePart] = strawberry.field(description="What narrows the interactions that are counted.")
    periods: list[RuleChoice] = strawberry.field(description="The units of windows.")


# --- reading ----------------------------------------------------------------------------------------


async def knowledge(context: Context) -> Knowledge:
    """What the chain's rules may name, as of the request's snapshot."""
    async with context.reading() as reader:
        return await context.service.worlds.of(reader)


def rule_of(given: JSON, known: Knowledge) -> Rule:
    """The rule that is given as text or as JSON; `Misread`."""
    if isinstance(given, str):
        return parse(given, known.words)
    return read(given, known.words)


def required(given: JSON, known: Knowledge, field: str = "rule") -> Rule:
    """The same; `Refused` with the place of what is no rule in it."""
    try:
        return rule_of(given, known)
    except Misread as misread:
        raise refused(misread, field, given) from None


async def with_tree(
    writing: Writing, id: str | None, given: SegmentEdit
) -> tuple[SegmentEdit, list[RuleProblem]]:
    """What a segment is given, its rule as a tree, and what to think of that; `Refused`."""
    if given.rule is None or given.rule is strawberry.UNSET:
        return given, []
    context = writing.context
    known = await knowledge(context)
    tree = write(required(given.rule, known))
    try:
        found = known.with_segment(id or Mutations.new_id("segment", writing.cid), tree)
    except Misread as misread:
        raise refused(misread, "rule") from None
    return replace(given, rule=scalars.JSON(tree)), warnings(found, known, context.lang)


def refused(misread: Misread, field: str, given: JSON = None) -> Refused:
    """What is wrong with the rule that `field` gave, as text or as JSON."""
    found = told(misread, given)
    place = f"{field}.{found.path}" if found.path else field
    offset = {} if found.offset is None else {"offset": found.offset}
    return Refused(found.code, **found.detail, **offset, field=place)


def problem(misread: Misread, given: JSON, lang: str) -> RuleProblem:
    found = told(misread, given)
    return RuleProblem(
        code=found.code,
        message=message(found.code, {"field": found.path or "rule", **found.detail}, lang),
        path=found.path or None,
        line=found.line,
        column=found.column,
        offset=found.offset,
        suggestion=found.suggestion,
    )


def warnings(rule: Rule, known: Knowledge, lang: str) -> list[RuleProblem]:
    if not mixes_prospects(rule, known.chain.schemes, known.segments):
        return []
    code = "rule_prospects"
    said = message(code, {}, lang)
    return [
        RuleProblem(code=code, message=said, path=None, line=None, column=None, offset=None, suggestion=None)
    ]


# --- what may be asked ------------------------------------------------------------------------------


def filters(known: Knowledge, lang: str) -> Iterator[RuleFilter]:
    yield from _of_card(known, lang)
    for name, metric in METRICS.items():
        ops = _choices(NUMBER_OPS, lang)
        example = f"{name}(last 12 months) >= 1"
        sensitive = any(CUSTOMER.by_name[need].level is Level.SENSITIVE for need in metric.needs)
        yield _filter(
            RuleFilterKind.METRIC, name, _in(metric.label, lang), "integer", example, operators=ops,
            unit=metric.unit, windows=True, sensitive=sensitive,
        )  # fmt: skip
    yield from _of_facts(lang)
    for key, scheme in known.schemes.schemes.items():
        if key not in known.archived:
            values = [
                RuleChoice(value=value.key, label=_spoken(value.label, lang), parent=value.parent)
                for value in scheme.values
            ]
            yield _filter(
                RuleFilterKind.SCHEME, key, _spoken(scheme.label, lang), "enum",
                f"is({key}) in [{values[0].value}]", operators=_choices(["in"], lang), values=values,
                sensitive=scheme.level is Level.SENSITIVE,
            )  # fmt: skip
    for kind, label in LINK_KIND.values.items():
        ways = _choices(DIRECTIONS, lang)
        example = f"link({kind}: kind = person)"
        yield _filter(RuleFilterKind.LINK, kind, _in(label, lang), "customer", example, operators=ways)
    yield from _of_others(lang)


def _of_card(known: Knowledge, lang: str) -> Iterator[RuleFilter]:
    for field in known.words.fields:
        ops = field_ops(field)
        label, type_ = _in(field.label, lang), _type(field)
        sensitive = field.level is Level.SENSITIVE
        yield _filter(
            RuleFilterKind.FIELD, field.name, label, type_, _example(field, ops[0]),
            operators=_choices(ops, lang), values=_values(field, lang), sensitive=sensitive,
        )  # fmt: skip
        if has_day(field):
            yield _filter(
                RuleFilterKind.DATE, field.name, label, "date", f"date({field.name}) within last 30 days",
                operators=_choices(DATE_OPS, lang), windows=True, sensitive=sensitive,
            )  # fmt: skip


def _of_facts(lang: str) -> Iterator[RuleFilter]:
    numbers = _choices(NUMBER_OPS, lang)
    kind = RuleFilterKind.FACTS
    label = _in(LABELS["count"], lang)
    yield _filter(
        kind, "count", label, "integer", "count(visit, last 30 days) >= 2", operators=numbers, unit="count",
        windows=True,
    )  # fmt: skip
    for name in SUMS:
        unit = "money" if name in ("amount", "cost", "margin") else "count"
        example = f"sum({name} of purchase, last 1 year) >= 1"
        yield _filter(
            kind,
            name,
            _in(LABELS[name], lang),
            "integer",
            example,
            operators=numbers,
            unit=unit,
            windows=True,
        )
    for name in ("first", "last"):
        days = _choices([op for op in DATE_OPS if op != "anniversary"], lang)
        example = f"{name}(purchase) within last 30 days"
        yield _filter(kind, name, _in(LABELS[name], lang), "date", example, operators=days, windows=True)


def _of_others(lang: str) -> Iterator[RuleFilter]:
    one_of = _choices(["in"], lang)

    def label(name: str) -> str:
        return _in(LABELS[name], lang)

    yield _filter(RuleFilterKind.SEGMENT, "segment", label("segment"), "segment", f'in("{AN_ID}")')
    yield _filter(
        RuleFilterKind.TASK, "task", label("task"), "text", 'task("second purchase") in [open]',
        operators=one_of, values=_labelled(TASK.by_name["status"], TASK_STATES, lang),
    )  # fmt: skip
    yield _filter(
        RuleFilterKind.CASE, "case", label("case"), "text", 'case(complaint) in ["heard"]', operators=one_of,
        values=_choices(CASE_KINDS, lang),
    )  # fmt: skip
    channels = [RuleChoice(value=value, label=_in(said, lang)) for value, said in CHANNEL.values.items()]
    example = 'consent("marketing", sms)'
    yield _filter(RuleFilterKind.CONSENT, "consent", label("consent"), "text", example, values=channels)
    example = f'home_unit under "{AN_ID}"'
    under = _choices(["under"], lang)
    yield _filter(RuleFilterKind.UNIT, "home_unit", label("home_unit"), "unit", example, operators=under)
    who = _choices(["me", "team"], lang)
    equal = _choices(["="], lang)
    yield _filter(
        RuleFilterKind.OWNER, "owner", label("owner"), "enum", "owner = me", operators=equal, values=who
    )


def parts(lang: str) -> list[RulePart]:
    found = []
    for name, type_ in FILTER_PARTS.items():
        declared = INTERACTION.by_name.get(name)
        label = declared.label if declared is not None else LABELS[name]
        field = Field(name, type_, label)
        found.append(
            RulePart(name=name, label=_in(label, lang), type=_type(field), values=_values(field, lang))
        )
    return found


def _filter(
    kind: RuleFilterKind,
    name: str,
    label: str,
    type_: str,
    example: str,
    operators: Iterable[RuleChoice] = (),
    values: Iterable[RuleChoice] = (),
    unit: str | None = None,
    windows: bool = False,
    sensitive: bool = False,
) -> RuleFilter:
    return RuleFilter(
        kind=kind, name=name, label=label, type=type_, unit=unit, operators=list(operators),
        values=list(values), windows=windows, sensitive=sensitive, example=example,
    )  # fmt: skip


def _example(field: Field, op: str) -> str:
    if op in ("exists", "missing"):
        return f"{field.name} {op}"
    match field.type:
        case EnumType(_, values):
            value = next(iter(values))
            return f"{field.name} {op} " + (
                f'"{value}"' if field.is_set or field.name.startswith(CUSTOM) else value
            )
        case Ref():
            return f'{field.name} {op} "{AN_ID}"'
    value = {"boolean": "true", "integer": "1"}.get(_type(field), '"..."')
    return f"{field.name} {op} {value}"


_TYPES = {
    "Text": "text",
    "Enum": "enum",
    "Bool": "boolean",
    "Int": "integer",
    "Date": "date",
    "Instant": "date",
}


def _type(field: Field) -> str:
    if isinstance(field.type, Ref):
        return field.type.entity
    return _TYPES.get(type(field.type).__name__, "text")


def _values(field: Field, lang: str) -> list[RuleChoice]:
    return _labelled(field, field.type.values, lang) if isinstance(field.type, EnumType) else []


def _labelled(field: Field, values: Iterable[str], lang: str) -> list[RuleChoice]:
    labels = field.type.values if isinstance(field.type, EnumType) else {}
    return [RuleChoice(value=value, label=_in(labels[value], lang)) for value in values]


def _choices(values: Iterable[str], lang: str) -> list[RuleChoice]:
    return [RuleChoice(value=value, label=_in(LABELS[value], lang)) for value in values]


def _in(label: Label, lang: str) -> str:
    return label.zh if lang == "zh" else label.en


def _spoken(words: Words, lang: str) -> str:
    return words.zh_hans if lang == "zh" else words.en


# --- roots ------------------------------------------------------------------------------------------


@strawberry.type
class RuleQueries:
    @resolved("A rule, given as text or as its tree, in both forms; or where it stops being one.")
    async def rule_read(self, info: Info, rule: scalars.JSON) -> RuleReading:
        context = info.context
        known = await knowledge(context)
        try:
            found = rule_of(rule, known)
        except Misread as misread:
            problems = [problem(misread, rule, context.lang)]
            return RuleReading(text=None, json=None, problems=problems, warnings=[])
        return RuleReading(
            text=show(found, known.words),
            json=scalars.JSON(write(found)),
            problems=[],
            warnings=warnings(found, known, context.lang),
        )

    @resolved("All that a rule may ask, with labels, operators and values: for building a screen.")
    async def rule_filters(self, info: Info, lang: Language = Language.EN) -> RuleFilters:
        known = await knowledge(info.context)
        periods = _choices([str(period) for period in Period], lang.value)
        return RuleFilters(filters=list(filters(known, lang.value)), parts=parts(lang.value), periods=periods)

    @resolved("Ready rules to start from: for each value of a scheme, and for what the sources ask for.")
    async def rule_templates(self, info: Info, lang: Language = Language.EN) -> list[RuleTemplate]:
        shipped = (await knowledge(info.context)).shipped
        return [
            RuleTemplate(
                key=key,
                label=_spoken(template.label, lang.value),
                text=show(template.rule, shipped.words),
                json=scalars.JSON(write(template.rule)),
                sources=list(template.sources),
            )
            for key, template in shipped.templates.items()
        ]
