"""Being seen: what begins, renews and ends the sighting of a customer by a unit that is not its home."""

from dataclasses import replace

import msgspec

from regulars_sync.changes import Change, Stated
from regulars_sync.clock import ms_of
from regulars_sync.reconcile import Author, Ruling, World, settle
from regulars_sync.scope import unit_scope
from tests.unit.histories import (
    AUTHOR_A,
    HEAD_OFFICE,
    NOW_MS,
    UNIT_A,
    UNIT_B,
    change,
    id_of,
    stored,
    world_of,
)

ONE, TWO, THREE = id_of(1), id_of(2), id_of(3)


def small_world() -> World:
    return world_of(
        stored("customer", ONE, [f"unit:{UNIT_A}"], {"name": "林芳", "home_unit": UNIT_A}, 101),
    )


def alone(world: World, author: Author, made: Change) -> Ruling:
    (ruling,) = settle(world, author, [made])
    return ruling


def sighted(world: World, id: str = ONE) -> dict[str, int | None]:
    return world.rows["customer", id].sighted


def visit(number: int, unit: str | None, *customers: str, at: str = "2026-11-18T00:00:00.000Z", **more):
    fields = {"kind": "visit", "at": at, "party": [{"customer": id} for id in customers]}
    given = fields | ({"unit": unit} if unit else {})
    return change(number, given, entity="interaction", id=id_of(0xF00 + number), op="create", **more)


def test_a_customer_registered_for_another_unit_was_seen_where_that_was_done():
    world = small_world()
    fields = {"name": "x", "home_unit": UNIT_B}
    late = msgspec.structs.replace(change(1, fields, op="create", id=TWO), stated=Stated(NOW_MS - 90, 40))
    early = msgspec.structs.replace(change(2, fields, op="create", id=THREE), stated=Stated(NOW_MS + 90, 0))
    own = change(3, {"name": "x"}, op="create", id=id_of(77))
    for made in (late, early, own):
        assert alone(world, AUTHOR_A, made).verdict == "applied"
    assert sighted(world, TWO) == {UNIT_A: NOW_MS - 50}
    assert sighted(world, THREE) == {UNIT_A: NOW_MS}
    assert sighted(world, id_of(77)) == {}
    assert alone(world, HEAD_OFFICE, change(4, fields, op="create", id=id_of(78))).verdict == "applied"
    assert sighted(world, id_of(78)) == {}


def test_what_a_tablet_registered_before_it_was_moved_was_not_seen_where_it_is_now():
    world = small_world()
    moved = replace(AUTHOR_A, lost=frozenset({unit_scope(UNIT_B)}))
    made = change(1, {"name": "x", "home_unit": UNIT_B}, op="create", id=TWO)
    assert alone(world, moved, made).verdict == "applied"
    assert sighted(world, TWO) == {}


def test_a_move_hands_over():
    world = small_world()
    world.rows["customer", ONE].seen = {UNIT_A: 5, UNIT_B: 6}
    alone(world, HEAD_OFFICE, change(1, {"home_unit": UNIT_B}, seen={"home_unit": [101]}))
    assert sighted(world) == {UNIT_A: None}
    alone(world, HEAD_OFFICE, change(2, {"notes": "x"}))
    assert sighted(world) == {UNIT_A: None}
    alone(world, HEAD_OFFICE, change(3, {"home_unit": UNIT_A}, seen={"home_unit": [101, 1]}))
    assert sighted(world) == {UNIT_A: None, UNIT_B: None}


def test_a_fact_renews_a_sighting_and_never_makes_one():
    world = small_world()
    row = world.rows["customer", ONE]
    day = ms_of("2026-11-18T00:00:00.000Z")
    assert day < NOW_MS
    alone(world, AUTHOR_A, visit(1, UNIT_A, ONE))
    assert sighted(world) == {}
    row.seen = {UNIT_A: day, UNIT_B: 5}
    alone(world, AUTHOR_A, visit(2, UNIT_A, ONE))
    alone(world, AUTHOR_A, visit(3, UNIT_B, ONE))
    alone(world, AUTHOR_A, visit(4, None, ONE))
    assert sighted(world) == {}
    later = msgspec.structs.replace(visit(5, UNIT_A, ONE), stated=Stated(NOW_MS, 7))
    alone(world, AUTHOR_A, later)
    assert sighted(world) == {UNIT_A: day + 7}
    alone(world, AUTHOR_A, visit(6, UNIT_A, ONE))
    assert sighted(world) == {UNIT_A: day + 7}
    alone(world, HEAD_OFFICE, visit(7, UNIT_B, ONE, at="2099-01-01T00:00:00.000Z"))
    assert sighted(world) == {UNIT_A: day + 7, UNIT_B: NOW_MS}
    assert row.seen == {UNIT_A: day, UNIT_B: 5}


def test_a_fact_of_a_group_that_is_held_renews_nothing():
    world = small_world()
    world.rows["customer", ONE].seen = {UNIT_A: 5}
    made = [visit(1, UNIT_A, ONE, group=1, size=2), visit(2, UNIT_A, id_of(99), group=1, size=2)]
    assert {ruling.verdict for ruling in settle(world, AUTHOR_A, made)} == {"held"}
    assert sighted(world) == {}


def test_a_fact_of_a_unit_whose_sighting_ended_renews_nothing():
    world = small_world()
    world.rows["customer", ONE].seen = {UNIT_A: 5}
    alone(world, AUTHOR_A, change(1, {"home_unit": UNIT_B}, seen={"home_unit": [101]}))
    assert alone(world, AUTHOR_A, visit(2, UNIT_A, ONE)).verdict == "applied"
    assert sighted(world) == {UNIT_A: None}
