"""Where a customer stands in every scheme, by whose word, and what the rule says beside a pin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from enum import Enum
from functools import partial
from typing import NamedTuple

import strawberry

from regulars_schema import schemes as declared
from regulars_schema.rules.evaluate import FOREVER, standing
from regulars_schema.rules.knowing import Chain, Known
from regulars_schema.schemes.assigning import stands
from regulars_schema.schemes.world import Knowledge
from regulars_server.graph.declared import valued
from regulars_server.graph.knowing import known_of, looking, with_others
from regulars_server.graph.request import Context
from regulars_server.graph.scalars import DateTime, instant
from regulars_server.graph.schemes import Scheme, SchemeValue, scheme_of
from regulars_server.graph.types import Assignment, Customer, Staff
from regulars_server.graph.verifying import kind_of

ASSIGNMENTS_MAX = 1_000


@strawberry.enum(description="依据 · By whose word a customer stands where it stands.")
class StandingOrigin(Enum):
    RULE = valued("rule", "规则 · The scheme's rule")
    PERSON = valued("person", "人工 · A person")
    IMPORT = valued("import", "导入 · Another system")


@strawberry.type(description="分类状况 · Where a customer stands in a scheme.")
class Standing:
    scheme: Scheme = strawberry.field(description="The scheme.")
    values: list[SchemeValue] = strawberry.field(description="The values it has; none where nobody said any.")
    known: bool = strawberry.field(
        description="False: it can't be told with what you may read, and `values` says nothing."
    )
    origin: StandingOrigin | None = strawberry.field(description="By whose word; null where there is none.")
    ruled: list[SchemeValue] = strawberry.field(
        description="What the scheme's rule says, where it has one, also beside somebody's word."
    )
    assignment: Assignment | None = strawberry.field(
        description="What a person or an import said: why, by whom, since when, and until when."
    )
    turns_at: DateTime | None = strawberry.field(
        description="When it is to be looked at again although nothing happens; null for never."
    )
    zh: str = strawberry.field(description="All of it in a few words, in Chinese.")
    en: str = strawberry.field(description="All of it in a few words, in English.")


class Stood(NamedTuple):
    """A person, the chain around it, and the schemes as they are answered."""

    known: Known
    world: Chain
    told: dict[str, Scheme]

    def values(self, key: str, among: Sequence[str]) -> list[SchemeValue]:
        return [value for value in self.told[key].values if value.key in among] if among else []


async def standings(
    context: Context, customer: Customer, keys: Sequence[str] | None = None
) -> list[Standing]:
    """Of the schemes for such a customer, by key; `Refused` as for all that rules look at."""
    look = await looking(context)
    person = await known_of(context, customer.row.id, look.now_ms)
    if person is None:
        return []
    chain, kind = look.telling.knowledge, kind_of(customer)
    schemes = chain.schemes.schemes
    wanted = [
        key for key in sorted(chain.used) if (keys is None or key in keys) and kind in schemes[key].for_kind
    ]
    links = frozenset(link for key in wanted for link in look.telling.of_scheme(key))
    world = await with_others(context, look.world, person, links, look.now_ms)
    found = Stood(person, world, await context.loaded("schemes", partial(_told, chain), ""))
    said: dict[str, list[Assignment]] = {}
    for row in await context.named(Assignment, customer.row.id, ASSIGNMENTS_MAX, None):
        node = context.node(Assignment, row)
        said.setdefault(node.scheme, []).append(node)
    return [
        await _standing(context, found, schemes[key], said.get(key, []), not look.telling.shown(key))
        for key in wanted
    ]


async def _told(chain: Knowledge, ids: list[str]) -> Sequence[object]:
    """Every scheme as it is answered, once for the request."""
    told = {key: scheme_of(chain, key) for key in chain.used}
    return [told for _ in ids]


async def _standing(
    context: Context, found: Stood, of: declared.Scheme, said: Sequence[Assignment], hidden: bool
) -> Standing:
    person, world = found.known, found.world
    finding = standing(of.key, person, world)
    values: list[str] = [] if hidden or finding.value is None else list(finding.value)
    ruled: list[str] = []
    if of.mode == "rule" and of.key not in person.assigned:
        ruled = values
    elif of.mode == "rule" and not hidden:
        alone = replace(person, assigned={k: v for k, v in person.assigned.items() if k != of.key})
        ruled = list(standing(of.key, alone, world).value or ())
    valid = [a for a in person.assigned.get(of.key, ()) if a.check_by is None or person.today < a.check_by]
    origins = [o for o in ("person", "import") if any(a.origin == o for a in valid)]
    origin = origins[0] if origins else "rule" if of.mode == "rule" and values else None
    word = next((node for node in said if set(stands(of, node.row.values)) & set(values)), None)
    assignment = word or (said[0] if said and not hidden else None)
    by = None
    if origin == "person" and word is not None and word.decided_by_id is not None:
        by = await context.related(Staff, word.decided_by_id)
    checks = [a.check_by for a in valid if a.origin == origin and a.check_by is not None]
    until = min(checks, default=None)
    parts = _Parts(values, ruled, origin, None if by is None else by.name, until, hidden)
    return Standing(
        scheme=found.told[of.key],
        values=found.values(of.key, values),
        known=not hidden and finding.answer is not None,
        origin=None if hidden or origin is None else StandingOrigin(origin),
        ruled=found.values(of.key, ruled),
        assignment=None if hidden else assignment,
        turns_at=None if finding.until >= FOREVER else DateTime(instant(finding.until)),
        zh=_in_chinese(of, parts),
        en=_in_english(of, parts),
    )


class _Parts(NamedTuple):
    values: Sequence[str]
    ruled: Sequence[str]
    origin: str | None
    by: str | None
    until: int | None
    hidden: bool


def _in_english(of: declared.Scheme, parts: _Parts) -> str:
    names = {value.key: value.label.en for value in of.values}
    values = ", ".join(names[key] for key in parts.values)
    if not values:
        return "not to be read" if parts.hidden else "nothing said"
    if parts.origin == "rule":
        return values
    told = "imported" if parts.origin == "import" else "said"
    if of.mode == "rule":
        ruled = ", ".join(names[key] for key in parts.ruled) or "nothing"
        told = f"rule says {ruled}, {'imported' if parts.origin == 'import' else 'pinned'}"
    by = f" by {parts.by}" if parts.by else ""
    until = ""
    if parts.until is not None:
        day = date.fromordinal(parts.until)
        until = f", until {day.day} {day:%B %Y}"
    return f"{told} {values}{by}{until}"


def _in_chinese(of: declared.Scheme, parts: _Parts) -> str:
    names = {value.key: value.label.zh_hans for value in of.values}
    values = "、".join(names[key] for key in parts.values)
    if not values:
        return "无权查看" if parts.hidden else "未填写"
    if parts.origin == "rule":
        return values
    told = "导入为" if parts.origin == "import" else "判定为"
    if of.mode == "rule":
        ruled = "、".join(names[key] for key in parts.ruled) or "无"
        told = f"规则为{ruled}，{parts.by or ''}{'导入为' if parts.origin == 'import' else '固定为'}"
    elif parts.by:
        told = f"{parts.by}{told}"
    until = ""
    if parts.until is not None:
        day = date.fromordinal(parts.until)
        until = f"，至{day.year}年{day.month}月{day.day}日"
    return f"{told}{values}{until}"
