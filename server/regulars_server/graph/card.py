"""The card of a customer: its fields in their sections, each with its shown value and where that is from, and
what else stands on it. Which field stands where is `regulars_schema.card`; `carding` gathers the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from functools import partial
from typing import NamedTuple

import strawberry
from strawberry import scalars

from regulars_schema import card as layout
from regulars_schema.declare import JSON, Bool, Field, Instant, Label, Level, Ref, Struct
from regulars_schema.declare import Enum as EnumType
from regulars_schema.entities import BIRTH, CALENDAR, QUIET_HOURS
from regulars_schema.rules.calendars import in_zone
from regulars_server.graph.declared import resolved
from regulars_server.graph.enums import (
    CardSection,
    CustomerKind,
    CustomTab,
    FactStatus,
    FactTopic,
    LinkKind,
    PartyRole,
)
from regulars_server.graph.request import Context, Info
from regulars_server.graph.scalars import UUID, DateTime, Money, instant_of
from regulars_server.graph.types import Staff
from regulars_sync.clock import STAMPS_PER_MS
from regulars_sync.merge import Registers, choose

JUDGED = ("verified", "rejected")
Names = Mapping[str, str]
"""What people call the rows that ids name; of one out of reach there is none."""


@strawberry.type(description="A field on a card.")
class CardField:
    name: str = strawberry.field(
        description="The name in files, paths and on tablets; of a chain's own field `custom.` and its key."
    )
    label: str = strawberry.field(description="What people call it.")
    value: scalars.JSON | None = strawberry.field(
        description="The value shown, as it is stored; of a set the elements as they were typed."
    )
    text: str | None = strawberry.field(
        description="The same for people: values of closed lists by their labels, rows by their names."
    )
    source: str | None = strawberry.field(description="Where the value is from (S22).")
    verified: str | None = strawberry.field(description="What came of checking it (S23).")
    contested: bool = strawberry.field(
        description="Whether several values stand beside each other: `Customer.contested` tells them."
    )
    choices: list[str] = strawberry.field(
        description="Of a closed list its values as people call them, in their order; else empty."
    )
    hidden: bool = strawberry.field(description="Sensitive, and you may not read it: `value` says nothing.")
    asked: bool = strawberry.field(
        description="Whether the form that a customer of this kind fills in asks for it."
    )
    printed: bool = strawberry.field(
        description="Whether it stands on paper: nothing sensitive does, and nothing by which a chain sorts."
    )
    verified_at: DateTime | None = strawberry.field(description="When somebody verified or rejected it.")
    cid: strawberry.Private[str | None] = None

    @resolved("Who verified or rejected it; null where nobody did, or no person did.")
    async def verified_by(self, info: Info) -> Staff | None:
        if self.cid is None:
            return None
        actor = await info.context.loaded("verified by", partial(_actors, info.context), self.cid)
        return await info.context.related(Staff, actor)


@strawberry.type(description="A section of a card, with its fields in their order.")
class CardPart:
    key: CardSection = strawberry.field(description="Which section it is.")
    label: str = strawberry.field(description="What people call it.")
    fields: list[CardField] = strawberry.field(description="Its fields, whether filled or not.")


@strawberry.type(description="One of the three tabs of a chain's own fields (S20).")
class CardTab:
    key: CustomTab = strawberry.field(description="Which tab it is.")
    label: str = strawberry.field(description="What people call it.")
    fields: list[CardField] = strawberry.field(description="Its fields, whether filled or not.")


@strawberry.type(description="The owner, the manager or the legal person of an organization (S10).")
class CardLeader:
    kind: LinkKind = strawberry.field(description="Which of them.")
    label: str = strawberry.field(description="What people call it.")
    customer_id: UUID = strawberry.field(description="The person, by id.")
    name: str | None = strawberry.field(description="The person's name; null when out of reach.")
    note: str | None = strawberry.field(description="What the link says.")
    fields: list[CardField] = strawberry.field(
        description="Character, hobbies, family, education, birth and ability; none when out of reach."
    )


@strawberry.type(description="A link on a card.")
class CardLink:
    kind: LinkKind = strawberry.field(description="Which kind it is.")
    label: str = strawberry.field(description="What people call it.")
    outgoing: bool = strawberry.field(description="Whether it goes out from this customer.")
    customer_id: UUID = strawberry.field(description="The other customer, by id.")
    name: str | None = strawberry.field(description="The other's name; null when out of reach.")
    note: str | None = strawberry.field(description="What the link says.")


@strawberry.type(description="Somebody who was there with this customer (S7).")
class CardCompanion:
    customer_id: UUID | None = strawberry.field(description="By id; null of somebody without a card.")
    name: str | None = strawberry.field(description="The name; null when out of reach.")
    roles: list[PartyRole] = strawberry.field(description="In which roles.")
    times: int = strawberry.field(description="How often.")
    last_at: DateTime = strawberry.field(description="When the last time was.")


@strawberry.type(description="Something learned of a customer (S16).")
class CardFact:
    at: DateTime = strawberry.field(description="When it was learned.")
    content: str = strawberry.field(description="What was learned.")
    product: str | None = strawberry.field(description="The product that it is about.")
    status: FactStatus | None = strawberry.field(description="Of a demand: what became of it.")
    interaction_id: UUID = strawberry.field(description="The interaction in which it was learned, by id.")


@strawberry.type(description="What was learned of a customer under one topic, the latest first.")
class CardTopic:
    topic: FactTopic = strawberry.field(description="Which topic it is.")
    label: str = strawberry.field(description="What people call it.")
    facts: list[CardFact] = strawberry.field(description="The facts.")


@strawberry.type(description="What a customer bought, counted from what counts of its purchases and returns.")
class CardBought:
    product_id: UUID | None = strawberry.field(description="The product, by id; null for one without a row.")
    name: str | None = strawberry.field(description="Its name.")
    times: int = strawberry.field(description="In how many purchases.")
    quantity: int = strawberry.field(description="How many pieces, less those that came back.")
    last_at: DateTime = strawberry.field(description="When the last time was.")


@strawberry.type(description="Declared preferences, and what was bought beside them (S15).")
class CardPreferences:
    declared: list[str] = strawberry.field(description="What the customer said to like.")
    bought_most: list[CardBought] = strawberry.field(
        description="What was bought most often; at most ten. Computed, never stored."
    )


@strawberry.type(description="Of whom a customer buys besides (S19).")
class CardSupplier:
    name: str = strawberry.field(description="Its name.")
    satisfaction: int | None = strawberry.field(description="How satisfied the customer is with it, 1 to 5.")
    note: str | None = strawberry.field(description="What else is known.")


@strawberry.type(description="Where a customer stands in a scheme, of what the customer may be told (S43).")
class CardStanding:
    scheme: str = strawberry.field(description="The scheme, by key.")
    label: str = strawberry.field(description="What people call the scheme.")
    value: str = strawberry.field(description="The value, by key.")
    value_label: str = strawberry.field(description="What people call the value.")
    since: DateTime = strawberry.field(description="Since when it is so.")


@strawberry.type(description="What an agency looked into, and what that cost (S22, S23).")
class CardAgencyCheck:
    at: DateTime = strawberry.field(description="When it came.")
    agency: str = strawberry.field(description="Who looked into it.")
    fields: list[str] = strawberry.field(description="What was looked into, by name.")
    cost: Money | None = strawberry.field(description="In minor units; null where none is said.")
    currency: str | None = strawberry.field(description="Of the cost.")
    interaction_id: UUID = strawberry.field(description="The fact that says so, by id.")


@strawberry.type(
    description="How complete a card is (S26). Nothing sensitive counts, so it says the same to everybody."
)
class CardCompleteness:
    wanted: int = strawberry.field(description="How many fields a card of this kind wants.")
    filled: int = strawberry.field(description="How many of them say something.")
    share: float = strawberry.field(description="Filled of wanted, 0 to 1.")
    missing: list[str] = strawberry.field(description="Those that say nothing, by name.")


@strawberry.type(description="The empty form of a card, which a customer fills in (S22).")
class CardForm:
    kind: CustomerKind = strawberry.field(description="For whom it is.")
    sections: list[CardPart] = strawberry.field(description="What is asked, and nothing sensitive.")
    tabs: list[CardTab] = strawberry.field(description="What is asked of a chain's own fields.")
    html_url: str = strawberry.field(description="`GET` it with a token: for printing.")
    pdf_url: str = strawberry.field(description="`GET` it with a token: the same as PDF.")


def field_of(
    field: Field,
    value: JSON,
    registers: Registers,
    lang: str,
    sensitive: bool,
    kind: str,
    names: Names,
    zone: tzinfo,
) -> CardField:
    """A declared field, as one reader sees it."""
    if field.is_set:
        value = [typed if isinstance(typed, str) else key for key, typed in sorted((value or {}).items())]
    known = provenance(field, registers)
    is_hidden = field.level is not Level.INTERNAL and not sensitive
    return CardField(
        name=field.name,
        label=spoken(field.label, lang),
        value=scalars.JSON(value) if value not in (None, []) else None,
        text=_text(field, value, lang, names, zone),
        source=known.source,
        verified=known.verified,
        contested=known.contested,
        choices=_choices(field, lang),
        hidden=is_hidden,
        asked=layout.is_asked(field, kind),
        printed=layout.is_printed(field),
        verified_at=known.judged_at,
        cid=known.cid,
    )


class Provenance(NamedTuple):
    """Of what a field shows."""

    source: str | None
    verified: str | None
    """The state of verification."""
    contested: bool
    """Whether something stands beside it."""
    judged_at: DateTime | None
    """When it was verified or rejected; of the elements of a set the last of them."""
    cid: str | None
    """The change that did so."""


def provenance(field: Field, registers: Registers) -> Provenance:
    prefix = f"{field.name}/"
    written = [
        register
        for path, register in registers.items()
        if (path.startswith(prefix) if field.is_set else path == field.name)
    ]
    shown = [choose(field, register.values.values()) for register in written if register.values]
    verified = _shared([value.verified for value in shown])
    judged = max(shown, key=lambda value: value.stamp) if verified in JUDGED else None
    return Provenance(
        _shared([value.source for value in shown]),
        verified,
        any(len(register.values) > 1 for register in written),
        None if judged is None else instant_of(judged.stamp // STAMPS_PER_MS),
        None if judged is None else judged.cid,
    )


async def _actors(context: Context, cids: list[str]) -> Sequence[str | None]:
    """Who made each of these changes."""
    async with context.reading() as reader:
        found = await reader.accepted(cids)
    return [found[cid].actor if cid in found else None for cid in cids]


def _shared(said: list[str | None]) -> str | None:
    """What is said of every value alike; of the elements of a set it may differ."""
    return said[0] if len({*said}) == 1 else None


def _choices(field: Field, lang: str) -> list[str]:
    if isinstance(field.type, EnumType):
        return [spoken(label, lang) for label in field.type.values.values()]
    return [plain(said, lang) for said in (True, False)] if isinstance(field.type, Bool) else []


def _text(field: Field, value: JSON, lang: str, names: Names, zone: tzinfo) -> str | None:
    if value is None or value == []:
        return None
    given = value if isinstance(value, list) else [value]
    words = [_word(field, item, lang, names, zone) for item in given]
    return joined([word for word in words if word], lang) or None


def joined(words: list[str], lang: str) -> str:
    return ("、" if lang == "zh" else ", ").join(words)


def _word(field: Field, value: JSON, lang: str, names: Names, zone: tzinfo) -> str | None:
    type_ = field.type
    if isinstance(type_, Ref):
        return names.get(value)
    if isinstance(type_, EnumType) and value in type_.values:
        return spoken(type_.values[value], lang)
    if isinstance(type_, Instant):
        return moment(value, zone)
    if isinstance(type_, Struct):
        return _STRUCTS[type_.name](value, lang)
    return plain(value, lang)


def plain(value: JSON, lang: str) -> str:
    """A number, a text, or yes or no."""
    if isinstance(value, bool):
        return {"zh": "是" if value else "否", "en": "yes" if value else "no"}[lang]
    return str(value)


def moment(value: str, zone: tzinfo) -> str:
    return in_zone(value, zone).isoformat(" ", "minutes")[:16]


def _birth(value: Mapping[str, JSON], lang: str) -> str:
    said = "-".join(str(value[part]) for part in ("year", "month", "day") if value.get(part) is not None)
    calendar = value.get("calendar")
    if calendar == "lunar":
        said += f" {spoken(CALENDAR.values[calendar], lang)}"
    return f"{said} {spoken(BIRTH.parts['leap'].label, lang)}" if value.get("leap") else said


def _quiet(value: Mapping[str, JSON], lang: str) -> str:
    start, end = (f"{value[part] // 60:02}:{value[part] % 60:02}" for part in ("start", "end"))
    return f"{start}–{end}"


_STRUCTS: Mapping[str, Callable[[Mapping[str, JSON], str], str]] = {
    BIRTH.name: _birth,
    QUIET_HOURS.name: _quiet,
}


def spoken(label: Label, lang: str) -> str:
    return label.zh if lang == "zh" else label.en
