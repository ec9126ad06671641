"""Which facts count, and what each is to a customer: from their set, in any order, however often."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import NamedTuple

from regulars_schema.declare import JSON
from regulars_schema.entities import OPPORTUNITY
from regulars_schema.rules.calendars import in_zone
from regulars_schema.rules.knowing import Deed, Line

BUYING = frozenset({"purchase", "return", "payment", "quote"})
BUYERS = ("payer", "principal", None)
"""Whose a purchase is: the first of the party with the first of these roles that somebody has."""


class Fact(NamedTuple):
    id: str
    stamp: int
    supersedes: str | None = None
    void: bool = False


def counting(facts: Iterable[Fact]) -> set[str]:
    """The ids of the facts that count.

    A fact that another supersedes does not; of two corrections of one fact the later one does (by stamp, then
    by id); one that was voided does not, nor does any correction of it. A fact whose former one is not here
    stands as its correction would.
    """
    after: dict[str, dict[str, Fact]] = {}
    by_id: dict[str, Fact] = {}
    for fact in facts:
        by_id[fact.id] = fact
        if fact.supersedes is not None:
            after.setdefault(fact.supersedes, {})[fact.id] = fact
    starts = [f.id for f in by_id.values() if f.supersedes is None] + [id for id in after if id not in by_id]
    found: set[str] = set()
    for id in starts:
        # from a fact that supersedes none that is here, no circle is reached: each supersedes one at most
        while (newer := after.get(id)) is not None and not any(fact.void for fact in newer.values()):
            id = max(newer.values(), key=_turn).id
        if newer is None and not by_id[id].void:
            found.add(id)
    return found


def _turn(fact: Fact) -> tuple[int, str]:
    return fact.stamp, fact.id


def deed(
    id: str, values: Mapping[str, JSON], customer: str, zone: tzinfo, products: Mapping[str, Product]
) -> Deed:
    """What a fact with these values is to one of the customers whom it names."""
    seen = as_seen_by(values, customer)
    return Deed(
        id=id,
        day=in_zone(values["at"], zone).toordinal(),
        kind=seen.kind,
        role=seen.role,
        unit=values.get("unit"),
        staff=values.get("staff"),
        channel=values.get("channel"),
        stage_reached=values.get("stage_reached"),
        outcome=values.get("outcome"),
        effort_min=values.get("effort_min") or 0,
        rating=values.get("satisfaction"),
        opportunity=_opportunity(values.get("opportunity")),
        attention_focus=values.get("attention_focus"),
        place=values.get("place"),
        campaign=values.get("campaign"),
        methods_used=tuple(values.get("methods_used") or ()),
        topic=tuple(fact["topic"] for fact in values.get("facts") or ()),
        lines=tuple(_line(line, seen.kind, products) for line in seen.lines),
        at=values["at"],
    )


class Seen(NamedTuple):
    """What of a fact depends on whose it is."""

    kind: str
    role: str | None
    lines: Sequence[Mapping[str, JSON]]


def as_seen_by(values: Mapping[str, JSON], customer: str) -> Seen:
    party = values.get("party") or ()
    role = next((member.get("role") for member in party if member.get("customer") == customer), None)
    if values["kind"] in BUYING and len(party) > 1 and buyer(party) != customer:
        return Seen("visit", role, ())
    return Seen(values["kind"], role, values.get("lines") or ())


def figures(line: Mapping[str, JSON], kind: str) -> tuple[int, int, int | None]:
    """Quantity, amount and cost of a line; money that went back is less than nothing."""
    amount, cost, quantity = line.get("amount") or 0, line.get("cost"), line.get("quantity")
    quantity = 1 if quantity is None else quantity
    if kind == "return":
        return quantity, -abs(amount), None if cost is None else -abs(cost)
    return quantity, amount, cost


class Product(NamedTuple):
    category: str | None = None
    usage_days: int | None = None
    lead_days: int = 0


_UNKNOWN = Product()


def buyer(party: Iterable[Mapping[str, JSON]]) -> str | None:
    """Whose a purchase with this party is."""
    for role in BUYERS:
        for member in party:
            if member.get("role") == role and member.get("customer") is not None:
                return str(member["customer"])
    return None


def _opportunity(rated: Mapping[str, JSON] | None) -> int | None:
    return None if rated is None else sum(rated[name] for name in OPPORTUNITY.parts)


def _line(line: Mapping[str, JSON], kind: str, products: Mapping[str, Product]) -> Line:
    product = products.get(line.get("product") or "", _UNKNOWN)
    quantity, amount, cost = figures(line, kind)
    return Line(
        product=line.get("product"),
        category=product.category,
        quantity=quantity,
        amount=amount,
        cost=cost,
        currency=line.get("currency"),
        usage_days=product.usage_days,
        lead_days=product.lead_days,
    )
