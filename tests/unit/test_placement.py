"""Where rows go: entries and departures at both levels, dependents along with their customer."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.declare import Level
from regulars_schema.entities import REGISTRY
from regulars_sync.ids import link_id
from regulars_sync.placement import Place, Writes, conclude, moved, unloaded
from regulars_sync.reconcile import Row, World, settle
from regulars_sync.scope import Reach, granted, reach, scopes_of
from tests.unit.histories import (
    AUTHOR_A,
    HEAD_OFFICE,
    UNIT_A,
    UNIT_B,
    change,
    documents_of,
    id_of,
    stored,
    world_of,
)

ONE, TWO, THREE = id_of(1), id_of(2), id_of(3)
A, B = f"unit:{UNIT_A}", f"unit:{UNIT_B}"
AT = "2026-11-22T13:05:09.120Z"
TO_B = change(9, {"home_unit": UNIT_B}, seen={"home_unit": [101]})


def person(id: str, unit: str, number: int = 101, **fields: object) -> Row:
    scope = f"unit:{unit}"
    places = [scope, f"{scope}/sensitive"] if fields else [scope]
    return stored("customer", id, places, {"name": "林芳", "home_unit": unit, **fields}, number)


def meeting(*customers: str, places: list[str]) -> Row:
    fields = {"kind": "visit", "at": AT, "party": [{"customer": c} for c in customers]}
    return stored("interaction", id_of(0xFA), places, fields, 105)


def places_of(writes: Writes) -> set[Place]:
    assert max(Counter(writes.places).values(), default=1) == 1
    return set(writes.places)


def test_a_move_leaves_the_old_unit_and_enters_the_new_one_at_both_levels():
    world = world_of(person(ONE, UNIT_A, belief="x"))
    settle(world, AUTHOR_A, [TO_B])
    writes = conclude(world)
    assert places_of(writes) == {
        Place(A, "customer", ONE, True),
        Place(f"{A}/sensitive", "customer", ONE, True),
        Place(B, "customer", ONE, False),
        Place(f"{B}/sensitive", "customer", ONE, False),
    }
    assert [(id, level) for _, id, level, _ in writes.documents] == [(ONE, Level.INTERNAL)]
    assert writes.ready == {f"row:customer:{ONE}"}
    assert moved(world) == {ONE}


def test_rows_that_name_a_moved_customer_move_along():
    world = world_of(person(ONE, UNIT_A))
    settle(world, AUTHOR_A, [TO_B])
    dependent = meeting(ONE, places=[A])
    writes = conclude(world, [dependent])
    assert {p for p in places_of(writes) if p.entity == "interaction"} == {
        Place(A, "interaction", dependent.id, True),
        Place(B, "interaction", dependent.id, False),
    }
    assert f"row:interaction:{dependent.id}" in writes.ready
    assert all(entity.name == "customer" for entity, *_ in writes.documents)


def test_an_interaction_of_two_units_stays_where_one_customer_remains():
    world = world_of(person(ONE, UNIT_A), person(TWO, UNIT_A, 102), person(THREE, UNIT_B, 103))
    settle(world, AUTHOR_A, [TO_B])
    stays = conclude(world, [meeting(ONE, TWO, places=[A])])
    assert {p for p in places_of(stays) if p.entity == "interaction"} == {
        Place(B, "interaction", id_of(0xFA), False)
    }
    leaves = conclude(world, [meeting(ONE, THREE, places=[A, B])])
    assert {p for p in places_of(leaves) if p.entity == "interaction"} == {
        Place(A, "interaction", id_of(0xFA), True)
    }


def test_a_dependent_that_stands_unwritten_in_the_world_moves_along_too():
    dependent = meeting(ONE, places=[A])
    world = world_of(person(ONE, UNIT_A), dependent)
    settle(world, AUTHOR_A, [TO_B])
    assert Place(A, "interaction", dependent.id, True) in conclude(world, [meeting(ONE, places=[A])]).places


def test_a_dependent_that_was_written_too_is_placed_once():
    link = link_id(ONE, TWO, "family")
    fields = {"from_customer": ONE, "to_customer": TWO, "kind": "family"}

    def row():
        return stored("link", link, [A], fields, 104)

    world = world_of(person(ONE, UNIT_A), person(TWO, UNIT_A, 102), row())
    settle(world, AUTHOR_A, [TO_B])
    settle(world, AUTHOR_A, [change(10, {"note": "x"}, entity="link", id=link)])
    writes = conclude(world, [row()])
    assert {p for p in places_of(writes) if p.entity == "link"} == {
        Place(A, "link", link, False),
        Place(B, "link", link, False),
    }


def test_an_edited_link_stays_where_its_customers_are_and_asks_for_them():
    link = link_id(ONE, TWO, "family")
    fields = {"from_customer": ONE, "to_customer": TWO, "kind": "family"}
    world = world_of(stored("link", link, [A], fields, 104))
    settle(world, AUTHOR_A, [change(10, {"note": "x"}, entity="link", id=link)])
    assert unloaded(world) == {("customer", ONE), ("customer", TWO)}
    with pytest.raises(AssertionError):
        conclude(world)
    world.rows |= world_of(person(ONE, UNIT_A), person(TWO, UNIT_A, 102)).rows
    assert unloaded(world) == set()
    assert places_of(conclude(world)) == {Place(A, "link", link, False)}


def test_a_dependent_asks_for_every_customer_it_names():
    world = world_of(person(ONE, UNIT_A))
    settle(world, AUTHOR_A, [TO_B])
    assert unloaded(world, [meeting(ONE, TWO, places=[A])]) == {("customer", TWO)}


def test_rows_whose_bytes_did_not_change_are_not_written():
    world = world_of(person(ONE, UNIT_A))
    row = world.rows["customer", ONE]
    world.rows["customer", ONE] = same = row.copy()
    same.written = frozenset(Level)
    writes = conclude(world)
    assert (writes.documents, writes.places, writes.ready) == ([], [], set())


def test_only_the_level_that_was_written_gets_a_document_and_an_entry():
    world = world_of(person(ONE, UNIT_A))
    settle(world, AUTHOR_A, [change(1, {"belief": "x"})])
    writes = conclude(world)
    assert [(id, level) for _, id, level, _ in writes.documents] == [(ONE, Level.SENSITIVE)]
    assert places_of(writes) == {Place(f"{A}/sensitive", "customer", ONE, False)}


def test_levels_that_different_changes_wrote_are_all_stored():
    world = world_of(person(ONE, UNIT_A, belief="x"))
    settle(world, AUTHOR_A, [change(1, {"belief": "y"})])
    settle(world, AUTHOR_A, [change(2, {"kind": "person"})])
    assert {level for _, _, level, _ in conclude(world).documents} == set(Level)


def test_a_departure_is_told_once():
    world = world_of(stored("customer", ONE, [B], {"name": "x", "home_unit": UNIT_B}, 101, left=[A]))
    settle(world, HEAD_OFFICE, [change(1, {"kind": "person"})])
    assert places_of(conclude(world)) == {Place(B, "customer", ONE, False)}


def test_values_that_cancelled_each_other_leave_no_stale_document():
    world = world_of(person(ONE, UNIT_A, belief="x"))
    made = [
        change(1, {"belief": "a"}, seen={"belief": [101, 2]}, group=1, size=2),
        change(2, {"belief": "b"}, seen={"belief": [101, 1]}, group=1, size=2),
    ]
    settle(world, AUTHOR_A, made)
    assert [(level, raw) for _, _, level, raw in conclude(world).documents] == [
        (
            Level.SENSITIVE,
            documents_of(REGISTRY.get("customer"), world.rows["customer", ONE].registers or {})[
                Level.SENSITIVE
            ],
        )
    ]


def test_a_new_row_is_placed_and_what_waited_for_it_is_ready():
    world = world_of()
    settle(world, AUTHOR_A, [change(1, {"name": "x", "belief": "y"}, op="create")])
    writes = conclude(world)
    assert places_of(writes) == {
        Place(A, "customer", ONE, False),
        Place(f"{A}/sensitive", "customer", ONE, False),
    }
    assert writes.ready == {f"row:customer:{ONE}"}
    assert moved(world) == set()


def test_a_new_fact_is_written_and_placed_where_its_customers_are():
    world = world_of(person(ONE, UNIT_A), person(TWO, UNIT_B, 102))
    fields = {"kind": "visit", "at": AT, "party": [{"customer": ONE}, {"customer": TWO}, {"name": "某"}]}
    settle(world, HEAD_OFFICE, [change(1, fields, entity="interaction", op="create", id=THREE)])
    writes = conclude(world)
    assert [(entity.name, id) for entity, id, *_ in writes.documents] == [("interaction", THREE)]
    assert places_of(writes) == {Place(A, "interaction", THREE, False), Place(B, "interaction", THREE, False)}
    assert writes.ready == {f"row:interaction:{THREE}"}


def test_a_customer_without_a_home_is_head_offices_alone():
    world = world_of()
    settle(world, HEAD_OFFICE, [change(1, {"name": "x"}, op="create")])
    assert conclude(world).places == []
    assert len(conclude(world).documents) == 1


def test_an_edit_that_moves_nothing_writes_one_entry_and_readies_nothing():
    world = world_of(person(ONE, UNIT_A))
    settle(world, AUTHOR_A, [change(1, {"kind": "person"})])
    writes = conclude(world)
    assert places_of(writes) == {Place(A, "customer", ONE, False)}
    assert writes.ready == set()
    assert moved(world) == set()


def test_a_unit_that_comes_back_into_a_scope_it_left_enters_anew():
    row = stored("customer", ONE, [B], {"name": "x", "home_unit": UNIT_B}, 101, left=[A])
    world = world_of(row)
    settle(world, HEAD_OFFICE, [change(1, {"home_unit": UNIT_A}, seen={"home_unit": [101]})])
    writes = conclude(world)
    assert places_of(writes) == {Place(B, "customer", ONE, True), Place(A, "customer", ONE, False)}
    assert writes.ready == {f"row:customer:{ONE}"}


# --- every walk of a customer between units -------------------------------------------------------


@given(st.lists(st.sampled_from([UNIT_A, UNIT_B]), min_size=1, max_size=6), st.booleans())
def test_after_any_moves_exactly_the_home_unit_holds_the_row_and_its_dependents(homes, sensitive):
    fields: dict[str, Any] = {"belief": "x"} if sensitive else {}
    documents = dict(person(ONE, UNIT_A, **fields).documents)
    places = {
        "customer": dict(person(ONE, UNIT_A, **fields).places),
        "interaction": {A: False},
    }
    last = 101
    for number, home in enumerate(homes, 1):
        row = Row(REGISTRY.get("customer"), ONE, documents, places["customer"])
        world: World = world_of(row)
        dependent = meeting(ONE, places=[])
        dependent.places = places["interaction"]
        settle(world, HEAD_OFFICE, [change(number, {"home_unit": home}, seen={"home_unit": [last]})])
        writes = conclude(world, [dependent] if moved(world) else [])
        documents |= {level: raw for _, _, level, raw in writes.documents}
        for place in writes.places:
            places[place.entity][place.scope] = place.left
        last = number
        scope = f"unit:{home}"
        expected = {scope, f"{scope}/sensitive"} if sensitive else {scope}
        assert {s for s, left in places["customer"].items() if not left} == expected
        assert {s for s, left in places["interaction"].items() if not left} == {scope}


# --- scopes ---------------------------------------------------------------------------------------


def test_each_kind_of_scope_says_who_holds_a_row():
    units = {ONE: {UNIT_A}, TWO: {UNIT_A, UNIT_B}, THREE: set()}

    def scopes(entity: str, values: dict[str, Any], id: str = THREE) -> set[str]:
        declared = REGISTRY.get(entity)
        return scopes_of(declared, id, values, declared.named_customers(values), units)

    assert scopes("unit", {}) == {"chain"}
    assert scopes("customer", {"home_unit": UNIT_A}, ONE) == {A}
    assert scopes("customer", {"home_unit": UNIT_A}, TWO) == {A, B}
    assert scopes("customer", {}) == set()
    assert scopes("staff_pin", {f"units/{UNIT_A}": True, f"units/{UNIT_B}": False}) == {A}
    assert scopes("change_verdict", {"device": ONE}) == {f"device:{ONE}"}
    assert scopes("change_verdict", {}) == set()
    assert scopes("link", {"from_customer": ONE, "to_customer": TWO}) == {A, B}
    assert scopes("link", {"from_customer": ONE, "to_customer": THREE}) == {A}
    assert scopes("identity", {"one": ONE, "other": TWO, "decision": "same"}) == {A, B}
    assert scopes("identity", {"one": ONE, "other": TWO, "decision": "not_same"}) == set()
    assert scopes("interaction", {"unit": UNIT_B}) == {B}
    assert scopes("interaction", {"unit": UNIT_B, "party": [{"customer": ONE}]}) == {A}
    assert scopes("interaction", {}) == set()


def test_a_grant_names_every_scope_at_every_level():
    both = granted([UNIT_A], "d", [*Level])
    assert both == {"chain", A, "device:d"} | {f"{s}/sensitive" for s in ("chain", A, "device:d")}
    assert granted([], None, [Level.INTERNAL]) == {"chain"}


@pytest.mark.parametrize(
    ("places", "scopes", "expected"),
    [
        ({A: False}, None, Reach.IN),
        ({}, None, Reach.IN),
        ({}, {A}, Reach.NEVER),
        ({B: False}, {A}, Reach.NEVER),
        ({A: True}, {A}, Reach.LEFT),
        ({A: True, B: False}, {A, B}, Reach.IN),
        ({A: False, B: True}, {A, B}, Reach.IN),
        ({A: True, B: False}, {A}, Reach.LEFT),
    ],
)
def test_reach_is_in_left_or_never(places, scopes, expected):
    assert reach(places, frozenset(scopes) if scopes is not None else None) is expected
