"""Where each field of a customer stands on its card, who fills it in, and what is for paper."""

from __future__ import annotations

import pytest

from regulars_schema import card
from regulars_schema.declare import Level
from regulars_schema.entities import CARD_SECTION, CUSTOMER

NAMES = [field.name for field in CUSTOMER.fields]


@pytest.mark.parametrize("kind", list(card.SECTIONS))
def test_every_field_stands_in_exactly_one_section_of_each_card(kind: str):
    found = card.fields_of(kind)
    assert list(found) == list(card.SECTIONS[kind])
    assert sorted(field.name for fields in found.values() for field in fields) == sorted(NAMES)


def test_it_is_said_once_of_every_field_who_fills_it_in():
    said = [*card.ASKED, *card.OBSERVED, *card.KEPT]
    assert sorted(said) == sorted(NAMES)


def test_the_cards_of_both_kinds_have_all_sections():
    assert {section for sections in card.SECTIONS.values() for section in sections} == set(
        CARD_SECTION.values
    )
    ten = ("education", "family", "social", "career", "lifestyle", "personality", "experience", "business")
    assert {*ten, "basic", "other"} <= set(card.SECTIONS[card.PERSON])  # S14
    assert card.SECTIONS[card.ORGANIZATION][0] == "basic"  # S10 to S13
    assert card.SECTIONS[card.ORGANIZATION][2:5] == ("features", "business", "dealings")


def test_nothing_sensitive_and_nothing_that_sorts_customers_is_for_paper():
    printed = {field.name for field in CUSTOMER.fields if card.is_printed(field)}
    assert {*NAMES} >= card.INWARD
    assert not printed & card.INWARD
    assert not printed & {field.name for field in CUSTOMER.fields if field.level is Level.SENSITIVE}
    assert {"name", "phones", "address", "preferences", "problems"} <= printed


def test_a_card_is_complete_without_what_not_everybody_may_read():
    for kind in card.SECTIONS:
        wanted = [field for field in CUSTOMER.fields if card.is_wanted(field, kind)]
        assert wanted
        assert {field.level for field in wanted} == {Level.INTERNAL}


def test_traits_of_leaders_are_fields_of_a_person():
    assert {*card.TRAITS} <= {*NAMES}
    assert all(card.PERSON in {**card.ASKED, **card.OBSERVED}[name] for name in card.TRAITS)
