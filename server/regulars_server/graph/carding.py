"""What stands on a card beside the fields of its row: gathered from the rows that name the person, read once.

Nothing is counted twice and nothing is stored: facts that were corrected or voided are left out, and what
several rows of one person say is put together.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import partial
from typing import TYPE_CHECKING

from strawberry import scalars

from regulars_schema import card as layout
from regulars_schema import custom
from regulars_schema.declare import JSON, Label, Ref
from regulars_schema.entities import CUSTOM_VALUE, CUSTOMER, FIELD_TAB, LINK_KIND, REGISTRY, TOPIC
from regulars_schema.rules.facts import buyer
from regulars_schema.schemes import Words
from regulars_schema.schemes.world import Knowledge
from regulars_server.graph.card import (
    CardAgencyCheck,
    CardBought,
    CardCompanion,
    CardFact,
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
    joined,
    plain,
    provenance,
    spoken,
)
from regulars_server.graph.enums import (
    CardSection,
    CustomerKind,
    CustomTab,
    FactStatus,
    FactTopic,
    LinkKind,
    PartyRole,
)
from regulars_server.graph.request import Context
from regulars_server.graph.rows import Row
from regulars_server.graph.scalars import UUID, DateTime, instant_of
from regulars_server.graph.standings import Standing, StandingOrigin
from regulars_server.graph.standings import standings as standings_of
from regulars_server.graph.types import TYPES, Customer, Product, Supplier
from regulars_server.knowledge import loading
from regulars_server.storage.interface import Order
from regulars_sync import document
from regulars_sync.known import Rows
from regulars_sync.merge import Registers

if TYPE_CHECKING:
    from regulars_server.graph.cards import Card

BOUGHT_MOST = 10
DEFINED_MAX = 1_000
READ_ROWS_MAX = 1_000
"""So many rows at most are counted of those that a card reads."""
INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Told:
    """The rows that name a person."""

    members: tuple[str, ...]
    rows: Rows

    @property
    def facts(self) -> list[tuple[str, Mapping[str, JSON]]]:
        """The facts that count, the latest first."""
        found = self.rows.counted(self.members).items()
        return sorted(found, key=lambda fact: (fact[1]["at"], fact[0]), reverse=True)


async def told(context: Context, card: Card) -> Told:
    """What was read for this card, or for another part of it."""
    members = await context.cluster(card.row.id)
    rows: Rows = await context.loaded("card", partial(_read, context), members[0])
    return Told(members, rows)


async def _read(context: Context, survivors: list[str]) -> Sequence[Rows]:
    """The rows of all of them, read at once."""
    clusters = await asyncio.gather(*map(context.cluster, survivors))
    members = [member for cluster in clusters for member in cluster]
    async with context.reading() as reader:
        rows = await loading.read(reader, members)
    for entity in rows.of:
        if not context.may_read(entity):
            rows.of[entity] = {}
    if not context.may_read("interaction"):
        rows.facts = {}
    count = len(rows.facts) + sum(map(len, rows.of.values()))
    context.spend(min(READ_ROWS_MAX * len(survivors), count))
    await context.service.pace.breathe()
    return [rows] * len(survivors)


# --- names ---------------------------------------------------------------------------------------------


async def names(context: Context, row: Row) -> dict[str, str]:
    """What people call the rows that this one names."""
    wanted: dict[str, list[str]] = defaultdict(list)
    for field in CUSTOMER.fields:
        given = row.values.get(field.name)
        if given and isinstance(field.type, Ref):
            wanted[field.type.entity] += given if field.is_set else [given]
    found: dict[str, str] = {}
    for entity, ids in wanted.items():
        for node in await context.related_all(TYPES[entity], ids):
            found[node.row.id] = node.row.values["name"]
    return found


async def zone(context: Context, row: Row) -> tzinfo:
    tree = await context.tree()
    return tree.place(row.values.get("home_unit")).zone


async def _people(context: Context, ids: Iterable[str]) -> dict[str, Customer]:
    return {person.row.id: person for person in await context.related_all(Customer, ids)}


def _name(person: Customer | None) -> str | None:
    return None if person is None else person.row.values["name"]


# --- links and company ---------------------------------------------------------------------------------


def _linked(told: Told) -> list[tuple[str, str, bool, str | None]]:
    """Active links: kind, the other end, whether it goes out, and what it says."""
    found = []
    for _, registers in told.rows.naming("link", told.members):
        link = _shown("link", registers)
        one, other = link["from_customer"], link["to_customer"]
        if link.get("active") is not False and not {one, other} <= set(told.members):
            goes = one in told.members
            found.append((link["kind"], other if goes else one, goes, link.get("note")))
    order = list(LINK_KIND.values)
    return sorted(found, key=lambda link: (order.index(link[0]), not link[2], link[1]))


def _shown(entity: str, registers: Registers) -> dict[str, JSON]:
    declared = REGISTRY.get(entity)
    return document.nested(declared, document.shown(declared, registers))


async def leaders(context: Context, card: Card) -> list[CardLeader]:
    if card.kind is not CustomerKind.ORGANIZATION:
        return []
    linked = [link for link in _linked(await told(context, card)) if _leads(link)]
    people = await _people(context, (other for _, other, _, _ in linked))
    found = []
    for kind, other, _, note in linked:
        person = people.get(other)
        found.append(
            CardLeader(
                kind=LinkKind(kind),
                label=_end(kind, False, card.lang),
                customer_id=UUID(other),
                name=_name(person),
                note=note,
                fields=[] if person is None else await _traits(context, person, card.lang),
            )
        )
    return found


def _leads(link: tuple[str, str, bool, str | None]) -> bool:
    kind, _, goes_out, _ = link
    return kind in layout.LEADERS and not goes_out


async def _traits(context: Context, person: Customer, lang: str) -> list[CardField]:
    row = (await context.golden(person)).row
    registers = document.decode(row.documents)
    where = await zone(context, row)
    fields = (CUSTOMER.by_name[name] for name in layout.TRAITS)
    return [
        field_of(
            field,
            row.values.get(field.name),
            registers,
            lang,
            context.sensitive,
            layout.PERSON,
            {},
            where,
        )
        for field in fields
    ]


async def links(context: Context, card: Card) -> list[CardLink]:
    leads = card.kind is CustomerKind.ORGANIZATION
    linked = [link for link in _linked(await told(context, card)) if not (leads and _leads(link))]
    people = await _people(context, (other for _, other, _, _ in linked))
    return [
        CardLink(
            kind=LinkKind(kind),
            label=_end(kind, goes_out, card.lang),
            outgoing=goes_out,
            customer_id=UUID(other),
            name=_name(people.get(other)),
            note=note,
        )
        for kind, other, goes_out, note in linked
    ]


def _end(kind: str, goes_out: bool, lang: str) -> str:
    """What people call the other end of a link."""
    said = spoken(LINK_KIND.values[kind], lang)
    return said if goes_out else said.removesuffix(" of")


async def companions(context: Context, card: Card) -> list[CardCompanion]:
    about = await told(context, card)
    met: dict[tuple[str | None, str | None], list[tuple[str, str | None]]] = defaultdict(list)
    for _, fact in about.facts:
        for member in fact.get("party") or ():
            id, name = member.get("customer"), member.get("name")
            if id not in about.members and (id or name):
                met[id, None if id else name].append((fact["at"], member.get("role")))
    people = await _people(context, (id for id, _ in met if id is not None))
    found = [
        CardCompanion(
            customer_id=None if id is None else UUID(id),
            name=_name(people.get(id)) if id is not None else name,
            roles=[PartyRole(role) for role in sorted({role for _, role in times if role})],
            times=len(times),
            last_at=DateTime(times[0][0]),
        )
        for (id, name), times in met.items()
    ]
    return sorted(found, key=lambda one: -one.times)


# --- what was learned and bought -----------------------------------------------------------------------


async def facts(context: Context, card: Card) -> list[CardTopic]:
    about = await told(context, card)
    learned = [
        (id, fact["at"], said) for id, fact in about.facts for said in fact.get("facts") or ()
    ]  # fmt: skip
    products = await _products(context, (said.get("product") for _, _, said in learned))
    by_topic: dict[str, list[CardFact]] = {topic: [] for topic in TOPIC.values}
    for id, at, said in learned:
        status = said.get("status")
        by_topic[said["topic"]].append(
            CardFact(
                at=DateTime(at),
                content=said["content"],
                product=products.get(said.get("product")),
                status=None if status is None else FactStatus(status),
                interaction_id=UUID(id),
            )
        )
    return [
        CardTopic(topic=FactTopic(topic), label=spoken(TOPIC.values[topic], card.lang), facts=found)
        for topic, found in by_topic.items()
        if found
    ]


async def agency_checks(context: Context, card: Card) -> list[CardAgencyCheck]:
    about = await told(context, card)
    found = []
    for id, fact in about.facts:
        if not fact.get("agency"):
            continue
        priced = [line for line in fact.get("lines") or () if line.get("cost") is not None]
        currencies = {line.get("currency") for line in priced}
        found.append(
            CardAgencyCheck(
                at=DateTime(fact["at"]),
                agency=fact["agency"],
                fields=list(fact.get("looked_into") or ()),
                cost=sum(line["cost"] for line in priced) if len(currencies) == 1 else None,
                currency=currencies.pop() if len(currencies) == 1 else None,
                interaction_id=UUID(id),
            )
        )
    return found


async def pins(context: Context, card: Card) -> list[Standing]:
    """Where somebody's word counts now."""
    about = await told(context, card)
    said = {
        _shown("assignment", found)["scheme"] for _, found in about.rows.naming("assignment", about.members)
    }
    customer = await context.related(Customer, card.row.id)
    if customer is None or not said:
        return []
    every = await standings_of(context, customer, sorted(said))
    return [one for one in every if one.origin in (StandingOrigin.PERSON, StandingOrigin.IMPORT)]


async def _products(context: Context, ids: Iterable[str | None]) -> dict[str | None, str]:
    found = await context.related_all(Product, (id for id in ids if id is not None))
    return {product.row.id: product.row.values["name"] for product in found}


async def preferences(context: Context, card: Card) -> CardPreferences:
    about = await told(context, card)
    times: Counter[tuple[str | None, str | None]] = Counter()
    pieces: Counter[tuple[str | None, str | None]] = Counter()
    last: dict[tuple[str | None, str | None], str] = {}
    for _, fact in about.facts:
        who = buyer(fact.get("party") or ())
        if fact["kind"] not in ("purchase", "return") or (who is not None and who not in about.members):
            continue
        back = fact["kind"] == "return"
        bought = [_product(line) for line in fact.get("lines") or ()]
        for what, line in zip(bought, fact.get("lines") or (), strict=True):
            quantity = 1 if line.get("quantity") is None else line["quantity"]
            pieces[what] += -abs(quantity) if back else quantity
        for what in {*bought} if not back else ():
            times[what] += 1
            last.setdefault(what, fact["at"])
    most = sorted(times, key=lambda what: (-times[what], -pieces[what], str(what)))
    most = [what for what in most if pieces[what] > 0 and what != (None, None)][:BOUGHT_MOST]
    products = await _products(context, (id for id, _ in most))
    return CardPreferences(
        declared=sorted(card.row.values.get("preferences") or ()),
        bought_most=[
            CardBought(
                product_id=None if id is None else UUID(id),
                name=products.get(id) if id is not None else name,
                times=times[id, name],
                quantity=pieces[id, name],
                last_at=DateTime(last[id, name]),
            )
            for id, name in most
        ],
    )


def _product(line: Mapping[str, JSON]) -> tuple[str | None, str | None]:
    id = line.get("product")
    return id, None if id is not None else line.get("name")


async def suppliers(context: Context, card: Card) -> list[CardSupplier]:
    if not context.may_read("supplier"):
        return []
    found: dict[str, CardSupplier] = {}
    for member in await context.cluster(card.row.id):
        for supplier in await context.referring(Supplier, "customer", member):
            said = supplier.row.values
            if not said.get("archived"):
                found.setdefault(
                    said["name"],
                    CardSupplier(
                        name=said["name"], satisfaction=said.get("satisfaction"), note=said.get("note")
                    ),
                )
    return [found[name] for name in sorted(found)]


async def standings(context: Context, card: Card) -> list[CardStanding]:
    """Those of which the customer may know, in order of the schemes."""
    members = await context.cluster(card.row.id)
    known, kept = await context.loaded("card standings", partial(_load_standings, context), members[0])
    found = []
    for key in known.used:
        scheme = known.schemes.schemes[key]
        for value in scheme.values:
            since_ms = kept.get(key, {}).get(value.key)
            if since_ms is None or value.disclose == INTERNAL or scheme.level.value != INTERNAL:
                continue
            found.append(
                CardStanding(
                    scheme=key,
                    label=_words(scheme.label, card.lang),
                    value=value.key,
                    value_label=_words(value.label, card.lang),
                    since=instant_of(since_ms),
                )
            )
    return found


async def _load_standings(
    context: Context, survivors: list[str]
) -> Sequence[tuple[Knowledge, Mapping[str, Mapping[str, int]]]]:
    async with context.reading() as reader:
        known = await context.service.worlds.of(reader)
        kept = await reader.standings(survivors)
    return [(known, kept.get(survivor, {})) for survivor in survivors]


def _words(words: Words, lang: str) -> str:
    return words.zh_hans if lang == "zh" else words.en


# --- a chain's own fields ------------------------------------------------------------------------------


async def tabs(context: Context, card: Card) -> list[CardTab]:
    about = await told(context, card)
    said: dict[str, Registers] = {}
    order = {id: at for at, id in enumerate(about.members)}
    rows = [(_shown("custom_value", found), found) for _, found in about.rows.naming("custom_value", order)]
    for values, registers in sorted(rows, key=lambda row: order[row[0]["customer"]]):
        said.setdefault(values["field_def"], registers)
    defined = await _defined(context, card.kind.value)
    return _tabs(defined, card.lang, lambda id: said.get(id, {}), context.sensitive)


async def _defined(context: Context, kind: str) -> list[tuple[str, Mapping[str, JSON]]]:
    if not context.may_read("field_def"):
        return []
    rows = await context.loaded("card fields", partial(_load_defined, context), "every")
    return [(id, d) for id, d in rows if not d.get("archived") and d.get("for_kind") in (None, kind)]


async def _load_defined(context: Context, _: list[str]) -> Sequence[list[tuple[str, Mapping[str, JSON]]]]:
    async with context.reading() as reader:
        found = await reader.select("field_def", None, Order("key"), DEFINED_MAX)
    context.spend(len(found))
    return [[(row.id, _shown("field_def", document.decode(row.documents.values()))) for row in found]]


def _tabs(
    defined: list[tuple[str, Mapping[str, JSON]]],
    lang: str,
    registers_of: Callable[[str], Registers],
    sensitive: bool,
) -> list[CardTab]:
    by_tab: dict[str, list[CardField]] = {tab: [] for tab in FIELD_TAB.values}
    for id, definition in defined:
        by_tab[definition.get("tab") or "basic"].append(
            _custom(definition, registers_of(id), lang, sensitive)
        )
    return [
        CardTab(key=CustomTab(tab), label=spoken(FIELD_TAB.values[tab], lang), fields=fields)
        for tab, fields in by_tab.items()
        if fields
    ]


def _custom(definition: Mapping[str, JSON], registers: Registers, lang: str, sensitive: bool) -> CardField:
    guarded = definition["sensitivity"] != INTERNAL
    hidden = guarded and not sensitive
    value = None if hidden else custom.shown(definition, _shown("custom_value", registers))
    known = provenance(CUSTOM_VALUE.by_name[custom.column(definition)], registers)
    words = [plain(item, lang) for item in (value if isinstance(value, list) else [value])]
    return CardField(
        name=f"{custom.NAMED}{definition['key']}",
        label=spoken(Label(**definition["label"]), lang),
        value=None if value is None else scalars.JSON(value),
        text=None if value is None else joined(words, lang),
        source=None if hidden else known.source,
        verified=None if hidden else known.verified,
        contested=known.contested and not hidden,
        choices=list(definition.get("choices") or ()),
        hidden=hidden,
        asked=not guarded,
        printed=not guarded,
        verified_at=None if hidden else known.judged_at,
        cid=None if hidden else known.cid,
    )


# --- the empty form ------------------------------------------------------------------------------------


async def form(context: Context, kind: str, lang: str) -> CardForm:
    """What a customer of this kind is asked for."""
    parts = []
    for section, fields in layout.fields_of(kind).items():
        asked = [
            field_of(field, None, {}, lang, True, kind, {}, UTC)
            for field in fields
            if layout.is_asked(field, kind) and layout.is_printed(field)
        ]
        if asked:
            label = spoken(layout.title_of(section), lang)
            parts.append(CardPart(key=CardSection(section), label=label, fields=asked))
    defined = [one for one in await _defined(context, kind) if one[1]["sensitivity"] == INTERNAL]
    where = f"kind={kind}&lang={lang}"
    return CardForm(
        kind=CustomerKind(kind),
        sections=parts,
        tabs=_tabs(defined, lang, lambda id: {}, True),
        html_url=f"/cards/blank.html?{where}",
        pdf_url=f"/cards/blank.pdf?{where}",
    )
