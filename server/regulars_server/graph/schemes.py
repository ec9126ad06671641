"""The chain's classification schemes: the shipped ones as it changed them, and its own (3b)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Annotated

import strawberry
from strawberry import scalars

from regulars_schema import schemes as declared
from regulars_schema.declare import JSON, Label, Level
from regulars_schema.rules.text import show
from regulars_schema.rules.tree import Rule
from regulars_schema.rules.tree import write as write_rule
from regulars_schema.schemes import BadScheme
from regulars_schema.schemes.changing import composed
from regulars_schema.schemes.world import Knowledge
from regulars_server.graph.declared import mutation, resolved, said, valued
from regulars_server.graph.enums import CustomerKind
from regulars_server.graph.problems import Refusal
from regulars_server.graph.request import Info
from regulars_server.graph.rules import knowledge, refused
from regulars_server.graph.writing import Writing, settled
from regulars_server.mutations import Edit
from regulars_sync.errors import Refused
from regulars_sync.ids import made_id


@strawberry.enum(description="方式 · By whom a value of a scheme is set; a person's word beats the others'.")
class SchemeMode(Enum):
    RULE = valued("rule", "规则 · The first value whose rule holds")
    PERSON = valued("person", "人工 · A person")
    IMPORT = valued("import", "导入 · Another system")


@strawberry.enum(description="告知 · Who may be told a value.")
class Disclosure(Enum):
    INTERNAL = valued("internal", "内部 · Staff alone; it is never printed")
    CUSTOMER = valued("customer", "客户 · The customer, too")


@strawberry.type(description="What people call something, in every script that there is of it.")
class Words:
    zh_hans: str = strawberry.field(description="In simplified Chinese.")
    zh_hant: str | None = strawberry.field(description="In traditional Chinese, where the source is in it.")
    en: str = strawberry.field(description="In English.")


@strawberry.type(description="Some words for staff, in two languages.")
class SchemeText:
    zh: str = strawberry.field(description="In Chinese.")
    en: str = strawberry.field(description="In English.")


@strawberry.type(description="要点 · What a person who meets such a customer should know (S45).")
class Playbook:
    group: SchemeText | None = strawberry.field(description="Who they are.")
    cues: list[SchemeText] = strawberry.field(description="What one knows them by.")
    problems: list[SchemeText] = strawberry.field(description="What they may run into.")
    actions: list[SchemeText] = strawberry.field(description="What to do.")
    avoid: list[SchemeText] = strawberry.field(description="What not to do.")


@strawberry.type(description="值 · One of the values of a scheme.")
class SchemeValue:
    key: str = strawberry.field(description="By which it is known.")
    label: Words = strawberry.field(description="What people call it.")
    parent: str | None = strawberry.field(description="The value that it is a part of, by its key.")
    rule: str | None = strawberry.field(description="Who has it, as text; null where a person says.")
    rule_tree: scalars.JSON | None = strawberry.field(description="The same rule as a tree.")
    disclose: Disclosure = strawberry.field(description="Who may be told it (S43).")
    benefits: list[SchemeText] = strawberry.field(description="What such a customer gets (S113).")
    playbook: Playbook | None = strawberry.field(description="What to know of such a customer.")


@strawberry.type(description="提示 · What a rule proposes to the person who decides; it assigns nothing.")
class SchemeHint:
    key: str = strawberry.field(description="By which it is known.")
    rule: str = strawberry.field(description="Of whom it is told, as text.")
    text: SchemeText = strawberry.field(description="What it says.")
    on: bool = strawberry.field(description="Whether it is told.")
    suggests: list[str] = strawberry.field(description="Values of the scheme, by their keys.")
    sources: list[str] = strawberry.field(description="The rows of docs/DOMAIN_COVERAGE.md that it rests on.")


@strawberry.type(description="分类方案 · One way in which customers are told apart.")
class Scheme:
    key: str = strawberry.field(description="By which it is known, such as `tier`.")
    label: Words = strawberry.field(description="What people call it.")
    for_kind: list[CustomerKind] = strawberry.field(description="The kinds of customers that it is for.")
    mode: SchemeMode = strawberry.field(description="By whom a value is set.")
    multi: bool = strawberry.field(description="Whether a customer may have several values.")
    ordered: bool = strawberry.field(description="Whether the first value is the highest.")
    sensitive: bool = strawberry.field(description="Whether it takes that right to read who has a value.")
    check_days: int | None = strawberry.field(
        description="After so many days a person's word is to be checked again."
    )
    evidence: bool = strawberry.field(description="Whether a person must say what it rests on (S68).")
    values: list[SchemeValue] = strawberry.field(description="Its values, in their order.")
    playbook: Playbook | None = strawberry.field(description="What holds for all of its values.")
    hints: list[SchemeHint] = strawberry.field(description="What rules propose.")
    sources: list[str] = strawberry.field(
        description="The rows of docs/DOMAIN_COVERAGE.md that it rests on; none of a chain's own."
    )
    archived: bool = strawberry.field(description="No longer used; rules may still name it.")
    changed_by_chain: bool = strawberry.field(description="Whether the chain changed it, or made it.")
    changes: scalars.JSON | None = strawberry.field(
        description="What the chain changed of it, as a merge patch (RFC 7396); an upgrade keeps it."
    )
    problem: str | None = strawberry.field(
        description="Why its changes can't be read since an upgrade; the shipped scheme stands meanwhile."
    )


@strawberry.type(description="The scheme as it is now.")
class SchemeSaved:
    scheme: Scheme | None = strawberry.field(description="Null for one that is no more.")


SchemeResult = Annotated[SchemeSaved | Refusal, strawberry.union("SchemeResult")]
Key = Annotated[str, said("The scheme, by its key, such as `tier`.")]


@strawberry.type
class SchemeQueries:
    @resolved("Every scheme, by its key; of those that are no longer used only when asked.")
    async def schemes(
        self,
        info: Info,
        archived: Annotated[bool, said("Those that are no longer used, too.")] = False,
    ) -> list[Scheme]:
        known = await knowledge(info.context)
        keys = sorted(known.schemes.schemes)
        return [scheme_of(known, key) for key in keys if archived or key not in known.archived]

    @resolved("One scheme by its key; null when there is none.")
    async def scheme(self, info: Info, key: Key) -> Scheme | None:
        known = await knowledge(info.context)
        return scheme_of(known, key) if key in known.schemes.schemes else None


@strawberry.type
class SchemeMutations:
    @mutation(
        "Change a shipped scheme, or make one of the chain's own: `changes` is a merge patch (RFC 7396), put"
        " over what was changed before. What does not fit is refused with its place. Head office only."
    )
    async def scheme_save(
        self,
        info: Info,
        idempotency_key: str,
        key: Key,
        changes: Annotated[scalars.JSON, said("What to change: values and hints are objects by their key.")],
        archived: Annotated[bool | None, said("True: no longer used. False: used again.")] = None,
    ) -> SchemeResult:
        async def run(writing: Writing) -> SchemeSaved:
            known = await knowledge(info.context)
            if not isinstance(changes, Mapping):
                raise Refused("value_type", field="changes", expected="an object")
            every = composed(known.changes.get(key), changes)
            return await _save(writing, key, every, archived)

        return await settled(info.context, idempotency_key, run)

    @mutation("Take back what the chain changed of a scheme; one of its own is gone. Head office only.")
    async def scheme_reset(self, info: Info, idempotency_key: str, key: Key) -> SchemeResult:
        async def run(writing: Writing) -> SchemeSaved:
            known = await knowledge(info.context)
            if key not in known.changes and key not in known.archived:
                raise Refused("not_found", entity="scheme", field="key")
            return await _save(writing, key, None, False)

        return await settled(info.context, idempotency_key, run)


async def _save(writing: Writing, key: str, changes: JSON, archived: bool | None) -> SchemeSaved:
    context = writing.context
    if not re.fullmatch("[a-z][a-z0-9_]{0,79}", key):
        form = "[a-z][a-z0-9_]*"
        reason = f"应为 {form}" if context.lang == "zh" else f"is not of the form {form}"
        raise Refused("scheme_invalid", field="key", place="key", reason=reason)
    try:
        (await knowledge(context)).with_scheme(key, changes)
    except BadScheme as bad:
        raise _unfit(bad, key, changes, context.lang) from None
    fields: dict[str, JSON] = {"key": key, "changes": changes}
    if archived is not None:
        fields["archived"] = archived
    await context.refresh()
    await writing.mutations.write(Edit(writing.cid, "create", "scheme", made_id("scheme", key), fields))
    await context.refresh()
    known = await knowledge(context)
    return SchemeSaved(scheme=scheme_of(known, key) if key in known.schemes.schemes else None)


def _unfit(bad: BadScheme, key: str, changes: JSON, lang: str) -> Refused:
    """Where it does not fit; of a rule by the rule's own code, with the place in it."""
    at = f"changes.{bad.place}" if bad.file.removesuffix(".toml") == key and bad.place else "changes"
    if bad.misread is None:
        reason = bad.reason.zh if lang == "zh" else bad.reason.en
        return Refused("scheme_invalid", field=at, place=bad.place or key, reason=reason)
    given = changes
    for part in bad.place.split("."):
        given = given.get(part) if isinstance(given, Mapping) else None
    found = refused(bad.misread, at, given)
    found.detail["place"] = bad.place if at != "changes" else f"{bad.file}.{bad.place}"
    return found


def scheme_of(known: Knowledge, key: str) -> Scheme:
    of = known.schemes.schemes[key]
    problem, changes = known.problems.get(key), known.changes.get(key)
    return Scheme(
        key=key,
        label=words_of(of.label),
        for_kind=[CustomerKind(kind) for kind in of.for_kind],
        mode=SchemeMode(of.mode),
        multi=of.multi,
        ordered=of.ordered,
        sensitive=of.level is Level.SENSITIVE,
        check_days=of.check_days,
        evidence=of.evidence,
        values=_values(known, of),
        playbook=_playbook(of.playbook),
        hints=[
            SchemeHint(
                key=hint.key,
                rule=show(hint.rule, known.words),
                text=_text(hint.text),
                on=hint.on,
                suggests=list(hint.suggests),
                sources=list(hint.sources),
            )
            for hint in of.hints
        ],
        sources=list(of.sources),
        archived=key in known.archived,
        changed_by_chain=changes is not None,
        changes=None if changes is None else scalars.JSON(changes),
        problem=None if problem is None else str(problem),
    )


def _values(known: Knowledge, of: declared.Scheme) -> list[SchemeValue]:
    return [
        SchemeValue(
            key=value.key,
            label=words_of(value.label),
            parent=value.parent,
            rule=None if value.rule is None else show(value.rule, known.words),
            rule_tree=_tree(value.rule),
            disclose=Disclosure(value.disclose),
            benefits=_texts(value.benefits),
            playbook=_playbook(value.playbook),
        )
        for value in of.values
    ]


def words_of(label: declared.Words) -> Words:
    return Words(zh_hans=label.zh_hans, zh_hant=label.zh_hant, en=label.en)


def _tree(rule: Rule | None) -> scalars.JSON | None:
    return None if rule is None else scalars.JSON(write_rule(rule))


def _text(label: Label) -> SchemeText:
    return SchemeText(zh=label.zh, en=label.en)


def _texts(labels: Iterable[Label]) -> list[SchemeText]:
    return [_text(label) for label in labels]


def _playbook(playbook: declared.Playbook | None) -> Playbook | None:
    if playbook is None:
        return None
    return Playbook(
        group=None if playbook.group is None else _text(playbook.group),
        cues=_texts(playbook.cues),
        problems=_texts(playbook.problems),
        actions=_texts(playbook.actions),
        avoid=_texts(playbook.avoid),
    )
