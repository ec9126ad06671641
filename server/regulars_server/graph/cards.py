"""A customer's card as a whole, and the roots that give it and the empty form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import strawberry

from regulars_schema import card as layout
from regulars_schema.declare import JSON, Field
from regulars_server.graph import carding
from regulars_server.graph.card import (
    CardAgencyCheck,
    CardCompanion,
    CardCompleteness,
    CardField,
    CardForm,
    CardLeader,
    CardLink,
    CardPart,
    CardPreferences,
    CardStanding,
    CardSupplier,
    CardTab,
    CardTopic,
    field_of,
    spoken,
)
from regulars_server.graph.declared import Language, resolved, said
from regulars_server.graph.enums import CardSection, CustomerKind
from regulars_server.graph.request import Context, Info
from regulars_server.graph.rows import Row
from regulars_server.graph.scalars import UUID
from regulars_server.graph.standings import Standing
from regulars_server.graph.types import Customer
from regulars_sync import document


@strawberry.type(description="卡片 · The card of a customer (S10-S16, S19-S21).")
class Card:
    kind: CustomerKind = strawberry.field(description="Whose card it is, a person's or an organization's.")
    title: str = strawberry.field(description="The customer's name.")
    sections: list[CardPart] = strawberry.field(
        description="Those of a card of this kind, in their order; every field stands in one of them."
    )
    completeness: CardCompleteness = strawberry.field(description="How complete it is.")
    row: strawberry.Private[Row]
    lang: strawberry.Private[str]

    @resolved("Where the customer is at home, by id.")
    def home_unit_id(self) -> UUID | None:
        found = self.row.values.get("home_unit")
        return None if found is None else UUID(found)

    @resolved("The chain's own fields, in their three tabs.")
    async def tabs(self, info: Info) -> list[CardTab]:
        return await carding.tabs(info.context, self)

    @resolved("Of an organization: its owner, manager and legal person, each with traits of their own.")
    async def leaders(self, info: Info) -> list[CardLeader]:
        return await carding.leaders(info.context, self)

    @resolved("Who else the customer is linked with.")
    async def links(self, info: Info) -> list[CardLink]:
        return await carding.links(info.context, self)

    @resolved("Who was there with the customer, whoever came most often first.")
    async def companions(self, info: Info) -> list[CardCompanion]:
        return await carding.companions(info.context, self)

    @resolved("What was learned of the customer, by topic.")
    async def facts(self, info: Info) -> list[CardTopic]:
        return await carding.facts(info.context, self)

    @resolved("With what to open a call: the latest of family, occupation, recreation and dreams (S16).")
    async def call_opener(self, info: Info) -> list[CardTopic]:
        topics = await carding.facts(info.context, self)
        return [
            CardTopic(topic=told.topic, label=told.label, facts=told.facts[:1])
            for told in topics
            if told.topic.value in layout.FORD
        ]

    @resolved("Declared preferences, and what was bought most.")
    async def preferences(self, info: Info) -> CardPreferences:
        return await carding.preferences(info.context, self)

    @resolved("Of whom the customer buys besides.")
    async def suppliers(self, info: Info) -> list[CardSupplier]:
        return await carding.suppliers(info.context, self)

    @resolved("Where the customer stands, of what the customer may be told.")
    async def standings(self, info: Info) -> list[CardStanding]:
        return await carding.standings(info.context, self)

    @resolved("Where a person's or a file's word counts, beside what a rule says, and until when (3b).")
    async def pins(self, info: Info) -> list[Standing]:
        return await carding.pins(info.context, self)

    @resolved("What agencies looked into and what that cost, the latest first.")
    async def agency_checks(self, info: Info) -> list[CardAgencyCheck]:
        return await carding.agency_checks(info.context, self)

    @resolved("`GET` it with a token: the card for printing; nothing sensitive stands on it.")
    def html_url(self) -> str:
        return f"/cards/{self.row.id}.html?lang={self.lang}"

    @resolved("`GET` it with a token: the same as PDF.")
    def pdf_url(self) -> str:
        return f"/cards/{self.row.id}.pdf?lang={self.lang}"


async def card_of(context: Context, row: Row, lang: str) -> Card:
    """The card that a row makes, in one language."""
    kind = layout.kind_of(row.values.get("kind"))
    names = await carding.names(context, row)
    zone = await carding.zone(context, row)
    registers = document.decode(row.documents)
    values = row.values

    def told(field: Field) -> CardField:
        return field_of(field, values.get(field.name), registers, lang, context.sensitive, kind, names, zone)

    sections = [
        CardPart(
            key=CardSection(section),
            label=spoken(layout.title_of(section), lang),
            fields=[told(field) for field in fields],
        )
        for section, fields in layout.fields_of(kind).items()
    ]
    return Card(
        kind=CustomerKind(kind),
        title=values["name"],
        sections=sections,
        completeness=_completeness(values, kind),
        row=row,
        lang=lang,
    )


def _completeness(values: Mapping[str, JSON], kind: str) -> CardCompleteness:
    wanted = [field.name for fields in layout.fields_of(kind).values() for field in fields
              if layout.is_wanted(field, kind)]  # fmt: skip
    missing = [name for name in wanted if values.get(name) in (None, "", {}, [])]
    filled = len(wanted) - len(missing)
    return CardCompleteness(
        wanted=len(wanted), filled=filled, share=round(filled / len(wanted), 4), missing=missing
    )


@strawberry.type
class CardQueries:
    @resolved(
        "The whole card of whoever is named by one of its rows; null when out of reach."
        " The labels in the language of Accept-Language unless told."
    )
    async def customer_card(self, info: Info, id: UUID, lang: Language | None = None) -> Card | None:
        context = info.context
        customer = await context.related(Customer, id)
        if customer is None:
            return None
        golden = await context.golden(customer)
        return await card_of(context, golden.row, context.lang if lang is None else lang.value)

    @resolved("The empty form of a card, which a customer fills in: what is asked, and nothing sensitive.")
    async def card_form(
        self,
        info: Info,
        kind: Annotated[CustomerKind, said("Whom the form is for.")],
        lang: Language | None = None,
    ) -> CardForm:
        context = info.context
        return await carding.form(context, kind.value, context.lang if lang is None else lang.value)
