"""A client of the last release is not broken, but for what somebody gave a reason for."""

from __future__ import annotations

import pytest

from compare_graphql import ALLOWED, PRESENT, RELEASED, compared

OLD = """
enum Kind { A B }
input ShopInput { name: String }
union Found = Shop | Staff
type Shop { id: ID! name: String! staff(first: Int): [Staff!]! }
type Staff { id: ID! kind: Kind }
type Query { shop(id: ID!): Shop found: Found }
type Mutation { shopSave(input: ShopInput!): Shop }
"""


def test_the_present_schema_breaks_no_client_of_the_released_one():
    found = compared(RELEASED.read_text("utf-8"), PRESENT.read_text("utf-8"))
    assert found.refused() == []
    assert found.stale() == []
    assert all(len(reason.split()) > 3 for reason in ALLOWED.values())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (" name: String! staff", " staff"),
        (" staff(first: Int): [Staff!]!", " staff: [Staff!]!"),
        ("name: String! staff", "name: String staff"),
        ("[Staff!]!", "Staff"),
        ("shop(id: ID!)", "shop(id: ID!, unit: ID!)"),
        ("shop(id: ID!)", "shop(id: Int!)"),
        ("{ name: String }", "{ name: String! }"),
        ("{ name: String }", "{ name: String unit: ID! }"),
        ("{ A B }", "{ A }"),
        ("= Shop | Staff", "= Shop"),
        ("shopSave(input: ShopInput!): Shop", "shopMake: Shop"),
    ],
)
def test_what_breaks_a_client_is_refused_until_it_is_allowed(before: str, after: str):
    assert before in OLD
    found = compared(OLD, OLD.replace(before, after))
    assert found.refused({})
    assert found.refused(dict.fromkeys(found.breaking, "  ")) == list(found.breaking)
    assert found.refused(dict.fromkeys(found.breaking, "it was never used")) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{ A B }", "{ A B C }"),
        ("{ name: String }", "{ name: String unit: ID }"),
        ("Shop | Staff", "Shop | Staff | Query"),
    ],
)
def test_what_may_surprise_a_client_is_listed_and_taken(before: str, after: str):
    found = compared(OLD, OLD.replace(before, after))
    assert found.dangerous
    assert found.refused({}) == []


def test_what_is_added_is_no_change_to_a_client():
    found = compared(OLD, OLD.replace("kind: Kind }", "kind: Kind name: String }"))
    assert (found.breaking, found.dangerous) == ((), ())


def test_an_entry_for_what_does_not_happen_is_stale():
    assert compared(OLD, OLD).stale({"Shop.name was removed.": "gone"}) == ["Shop.name was removed."]
