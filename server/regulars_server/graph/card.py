"""The card of a customer: the fields in their sections, each with its shown value and where that is from."""

from __future__ import annotations

import strawberry
from strawberry import scalars

from regulars_schema.declare import JSON, Field, Label, Level
from regulars_schema.declare import Enum as EnumType
from regulars_server.graph.enums import CardSection
from regulars_server.graph.rows import Row
from regulars_sync import document
from regulars_sync.merge import Registers, choose


@strawberry.type(description="A field on a card.")
class CardField:
    name: str = strawberry.field(description="The name in files, paths and on tablets.")
    label: str = strawberry.field(description="What people call it.")
    value: scalars.JSON | None = strawberry.field(
        description="The value shown, as it is stored; of a set the elements as they were typed."
    )
    text: str | None = strawberry.field(
        description="The same for people: values of closed lists by their labels."
    )
    source: str | None
    verified: str | None
    contested: bool = strawberry.field(
        description="Whether several values stand beside each other: `Customer.contested` tells them."
    )
    hidden: bool = strawberry.field(description="Sensitive, and you may not read it: `value` says nothing.")


@strawberry.type(description="A section of a card, with its fields in their order.")
class CardPart:
    key: CardSection = strawberry.field(description="Which section it is.")
    label: str = strawberry.field(description="What people call it.")
    fields: list[CardField] = strawberry.field(description="Its fields, whether filled or not.")


@strawberry.type(description="卡片 · The card of a customer (S10-S14).")
class Card:
    sections: list[CardPart] = strawberry.field(
        description="Those that have fields, in the order of the card."
    )


def card_of(row: Row, lang: str, sensitive: bool) -> Card:
    """The card that a row makes, in one language."""
    entity = row.entity
    assert entity.sections is not None, "only customers have cards"
    registers = document.decode(row.documents)
    parts = []
    for section, label in entity.sections.values.items():
        fields = [
            _field(field, row.values.get(field.name), registers, lang, sensitive)
            for field in entity.fields
            if field.section == section
        ]
        if fields:
            parts.append(CardPart(key=CardSection(section), label=_in(label, lang), fields=fields))
    return Card(sections=parts)


def _field(field: Field, value: JSON, registers: Registers, lang: str, sensitive: bool) -> CardField:
    if field.is_set:
        prefix = f"{field.name}/"
        written = [register for path, register in registers.items() if path.startswith(prefix)]
        value = [typed if isinstance(typed, str) else key for key, typed in sorted((value or {}).items())]
    else:
        written = [registers[field.name]] if field.name in registers else []
    shown = [choose(field, register.values.values()) for register in written if register.values]
    return CardField(
        name=field.name,
        label=_in(field.label, lang),
        value=scalars.JSON(value) if value not in (None, []) else None,
        text=_text(field, value, lang),
        source=_shared([value.source for value in shown]),
        verified=_shared([value.verified for value in shown]),
        contested=any(len(register.values) > 1 for register in written),
        hidden=field.level is not Level.INTERNAL and not sensitive,
    )


def _shared(said: list[str | None]) -> str | None:
    """What is said of every value alike; of the elements of a set it may differ."""
    return said[0] if len({*said}) == 1 else None


def _text(field: Field, value: JSON, lang: str) -> str | None:
    if value is None or value == []:
        return None
    if isinstance(value, list):
        return ("、" if lang == "zh" else ", ").join(_word(field, item, lang) for item in value)
    return _word(field, value, lang)


def _word(field: Field, value: JSON, lang: str) -> str:
    if isinstance(field.type, EnumType) and value in field.type.values:
        return _in(field.type.values[value], lang)
    if isinstance(value, bool):
        return {"zh": "是" if value else "否", "en": "yes" if value else "no"}[lang]
    if isinstance(value, dict):
        return "-".join(str(part) for part in value.values() if part is not None)
    return str(value)


def _in(label: Label, lang: str) -> str:
    return label.zh if lang == "zh" else label.en
