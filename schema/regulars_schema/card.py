"""The card of a customer (S10-S14, S21): which field stands where on it, who fills it in, and what of it is
for paper.

Every field of a customer is in exactly one of `ASKED`, `OBSERVED` and `KEPT`; a field that is in none, or in
two, is a fault that a test finds. The card of a person has the ten sections of S14, that of an organization
the four parts of S10-S13; each with the ways of contact beside the basics.
"""

from __future__ import annotations

from collections.abc import Mapping

from regulars_schema.declare import Field, Label, Level
from regulars_schema.entities import CARD_SECTION, CUSTOMER

PERSON, ORGANIZATION = "person", "organization"

_OF_BOTH = frozenset({PERSON, ORGANIZATION})
_OF_PERSONS = frozenset({PERSON})
_OF_ORGANIZATIONS = frozenset({ORGANIZATION})

SECTIONS: Mapping[str, tuple[str, ...]] = {
    PERSON: (
        "basic",
        "contact",
        "education",
        "family",
        "social",
        "career",
        "lifestyle",
        "personality",
        "experience",
        "business",
        "other",
    ),
    ORGANIZATION: ("basic", "contact", "features", "business", "dealings", "other"),
}
"""By kind, the sections of its card in their order."""


_FOLDED: Mapping[str, Mapping[str, str]] = {
    PERSON: {"features": "business", "dealings": "business"},
    ORGANIZATION: dict.fromkeys(
        ("education", "family", "social", "career", "lifestyle", "personality", "experience"), "other"
    ),
}
"""By kind, where fields stand whose own section its card has not."""

ASKED: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(
        (
            "name",
            "phones",
            "emails",
            "wechat",
            "address",
            "preferred_channel",
            "contact_by",
            "quiet_hours",
            "do_not_contact",
            "preferences",
            "owned_products",
            "purchase_traits",
            "supplement",
        ),
        _OF_BOTH,
    ),
    **dict.fromkeys(
        (
            "gender",
            "birth",
            "education",
            "family",
            "household_size",
            "social_life",
            "occupation",
            "career",
            "income_band",
            "hobbies",
            "lifestyle",
            "habits",
            "belief",
            "life_values",
            "experience",
        ),
        _OF_PERSONS,
    ),
    **dict.fromkeys(
        (
            "tax_no",
            "org_form",
            "industry",
            "founded_on",
            "assets",
            "service_area",
            "sales_capacity",
            "philosophy",
            "direction",
            "policy",
            "headcount",
            "turnover",
            "competitor_relations",
            "activity",
            "trade_terms",
        ),
        _OF_ORGANIZATIONS,
    ),
}
"""What a customer is asked for and can fill in itself (S22 ②), and of which kinds."""

OBSERVED: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(
        ("acquisition_channel", "trading_since", "economic_status", "credit_status", "risk_level", "notes"),
        _OF_BOTH,
    ),
    **dict.fromkeys(("character", "ability"), _OF_PERSONS),
    **dict.fromkeys(
        (
            "growth_potential",
            "management_traits",
            "staff_quality",
            "cooperation_attitude",
            "problems",
            "strengths",
            "measures",
            "reputation",
        ),
        _OF_ORGANIZATIONS,
    ),
}
"""What staff find out and write down; no form that goes to a customer asks for it."""

KEPT = frozenset(
    {
        "kind",
        "member_no",
        "external_ids",
        "home_unit",
        "owner",
        "first_seen",
        "consent_asked_at",
        "privacy_notice",
        "tags",
        "groups",
        "segments",
        "excluded_segments",
        "price_sensitivity",
        "fault_tolerance",
        "service_stance",
        "stance_reason",
        "service_plan",
        "credit_incidents",
        "archived",
    }
)
"""What the chain keeps or decides of a customer: a card is complete without it."""

INWARD = frozenset(
    {
        "external_ids",
        "tags",
        "segments",
        "excluded_segments",
        "price_sensitivity",
        "fault_tolerance",
        "service_stance",
        "stance_reason",
        "archived",
    }
)
"""How the chain sorts and treats its customers (S43, S122): not for paper, which anybody may come to see."""

TRAITS = ("character", "hobbies", "family", "education", "birth", "ability")
"""What the card of an organization shows of its owner, manager and legal person (S10)."""
LEADERS = ("owner_of", "manager_of", "legal_of")
"""The links that make somebody one of these."""
FORD = ("family", "occupation", "recreation", "dreams")
"""Topics of facts with which to open a call (S16)."""


def kind_of(said: str | None) -> str:
    """Which card a customer has: that of a person, unless it is said to be an organization."""
    return ORGANIZATION if said == ORGANIZATION else PERSON


def section_of(field: Field, kind: str) -> str:
    """The one section in which a field stands on a card of this kind."""
    assert field.section is not None, field.name
    return _FOLDED[kind].get(field.section, field.section)


def fields_of(kind: str) -> dict[str, list[Field]]:
    """By section, in order, every field of a customer."""
    found: dict[str, list[Field]] = {section: [] for section in SECTIONS[kind]}
    for field in CUSTOMER.fields:
        found[section_of(field, kind)].append(field)
    return found


def is_asked(field: Field, kind: str) -> bool:
    """Whether the form that a customer of this kind fills in asks for it."""
    return kind in ASKED.get(field.name, ())


def is_wanted(field: Field, kind: str) -> bool:
    """Whether a card of this kind is the more complete with it (S26); so that completeness says the same to
    everybody, nothing sensitive counts."""
    wanted = ASKED.get(field.name) or OBSERVED.get(field.name) or ()
    return kind in wanted and field.level is Level.INTERNAL


def is_printed(field: Field) -> bool:
    """Whether it may stand on paper."""
    return field.level is Level.INTERNAL and field.name not in INWARD


def title_of(section: str) -> Label:
    return CARD_SECTION.values[section]
