"""Groups against rows: one shared fate, a code for everything that does not fit, and never an exception."""

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.declare import Level, is_id
from regulars_schema.entities import REGISTRY
from regulars_schema.messages import MESSAGES, Kind
from regulars_sync import changes, document, reconcile
from regulars_sync.changes import Change, Malformed, Value
from regulars_sync.clock import DRIFT_MS_MAX
from regulars_sync.ids import link_id
from regulars_sync.placement import conclude
from regulars_sync.reconcile import Author, Ruling, World, settle
from tests.unit.histories import (
    AUTHOR_A,
    AUTHOR_B,
    DEVICE_A,
    HEAD_OFFICE,
    NOW_MS,
    NOW_STAMP,
    UNIT_A,
    UNIT_B,
    change,
    cid_of,
    id_of,
    replay,
    snapshot,
    stored,
    world_of,
)

MINE, THEIRS, GONE, MISSING = id_of(1), id_of(2), id_of(3), id_of(4)
OTHER = id_of(5)
LINK = link_id(MINE, GONE, "family")
FACT = id_of(0xFA)
AT = "2026-11-22T13:05:09.120Z"
A, B = f"unit:{UNIT_A}", f"unit:{UNIT_B}"


def small_world() -> World:
    """A customer in A, one in B, one that left A for B, a link and a fact of A."""
    return world_of(
        stored("customer", MINE, [A], {"name": "林芳", "home_unit": UNIT_A}, 101),
        stored("customer", THEIRS, [B], {"name": "王强", "home_unit": UNIT_B}, 102),
        stored("customer", GONE, [B], {"name": "李娜", "home_unit": UNIT_B}, 103, left=[A]),
        stored("link", LINK, [A, B], {"from_customer": MINE, "to_customer": GONE, "kind": "family"}, 104),
        stored("interaction", FACT, [A], {"kind": "visit", "at": AT, "party": [{"customer": MINE}]}, 105),
    )


def visit(number: int, *customers: str, **fields: Any) -> Change:
    told = {"kind": "visit", "at": AT, "party": [{"customer": c} for c in customers], **fields}
    return change(number, told, entity="interaction", op="create", id=id_of(0xF0000 + number))


def alone(world: World, author: Author, made: Change) -> Ruling:
    (ruling,) = settle(world, author, [made])
    return ruling


def linked(one: str, other: str, kind: str = "family", id: str | None = None) -> Change:
    told = {"from_customer": one, "to_customer": other, "kind": kind}
    return change(1, told, entity="link", op="create", id=id or link_id(one, other, kind))


# --- every code -----------------------------------------------------------------------------------

NUL = "a\0b"
SURROGATE = "\ud800"
EDIT, CREATE = "edit", "create"

REJECTED: list[tuple[str, str | None, Change]] = [
    ("entity_unknown", None, change(1, {"name": "x"}, entity="nonsense")),
    ("entity_unknown", None, change(1, {}, entity="")),
    ("entity_not_writable", None, change(1, {"name": "x"}, entity="unit", id=UNIT_A)),
    ("entity_not_writable", None, change(1, {"code": "x"}, entity="change_verdict")),
    ("id_invalid", "id", change(1, {"name": "x"}, id="not-an-id")),
    ("id_invalid", "id", change(1, {"name": "x"}, id=MINE.upper().replace("0", "A", 1))),
    ("id_invalid", "id", linked(MINE, MINE, id=MISSING)),
    ("id_invalid", "owner", change(1, {"owner": "x"})),
    ("id_invalid", "segments/x", change(1, {"segments/x": True})),
    ("id_invalid", "party", visit(1, "x")),
    ("field_unknown", "nonsense", change(1, {"nonsense": 1})),
    ("field_unknown", "tags", change(1, {"tags": True})),
    ("field_unknown", "tags/", change(1, {"tags/": True})),
    ("field_unknown", "name/x", change(1, {"name/x": "y"})),
    ("field_unknown", "id", change(1, {"id": MINE})),
    ("field_unknown", "v", change(1, {"v": []})),
    ("field_unknown", "x" * 120, change(1, {"x" * 300: 1})),
    ("field_required", "name", change(1, {"name": None})),
    ("fields_missing", "name", change(1, {"kind": "person"}, op=CREATE, id=MISSING)),
    ("fields_missing", "kind", change(1, {}, op=CREATE, entity="interaction", id=MISSING)),
    ("field_fixed", "to_customer", change(1, {"to_customer": MINE}, entity="link", id=LINK)),
    ("value_type", "name", change(1, {"name": 5})),
    ("value_type", "name", change(1, {"name": {}})),
    ("value_type", "archived", change(1, {"archived": 1})),
    ("value_type", "tags/vip", change(1, {"tags/vip": None})),
    ("value_type", "tags/vip", change(1, {"tags/vip": 1})),
    ("value_type", "birth", change(1, {"birth": []})),
    ("value_type", "birth", change(1, {"birth": {"month": True, "day": 1}})),
    ("value_type", "party", visit(1, party={})),
    ("value_type", "party", visit(1, party=[MINE])),
    ("value_type", "stage_reached", visit(1, MINE, stage_reached=1.0)),
    ("value_range", "stage_reached", visit(1, MINE, stage_reached=9)),
    ("value_range", "birth", change(1, {"birth": {"month": 13, "day": 1}})),
    ("value_range", "lines", visit(1, MINE, lines=[{"amount": 2**53}])),
    ("enum_unknown", "kind", change(1, {"kind": "robot"})),
    ("enum_unknown", "kind", change(1, {"kind": 10**30})),
    ("enum_unknown", "contact_by/fax", change(1, {"contact_by/fax": False})),
    ("part_unknown", "birth", change(1, {"birth": {"month": 1, "day": 1, "hour": 2}})),
    ("part_required", "birth", change(1, {"birth": {"month": 1}})),
    ("part_required", "birth", change(1, {"birth": {"month": 1, "day": None}})),
    ("text_too_long", "name", change(1, {"name": "林" * 201})),
    ("text_too_long", "tags/" + "x" * 115, change(1, {"tags/" + "x" * 201: True})),
    ("text_too_long", "emails/" + "x" * 113, change(1, {"emails/" + "x" * 300 + "@y": True})),
    ("text_too_long", "phones/" + "1" * 113, change(1, {"phones/" + "1" * 300: True})),
    ("text_empty", "name", change(1, {"name": " \n"})),
    ("text_empty", "tags", change(1, {"tags/ ": True})),
    ("text_invalid", "name", change(1, {"name": NUL})),
    ("text_invalid", "name", change(1, {"name": SURROGATE})),
    ("text_invalid", "tags/" + NUL, change(1, {"tags/" + NUL: True})),
    ("text_invalid", "tags/" + SURROGATE, change(1, {"tags/" + SURROGATE: True})),
    ("text_invalid", "emails/" + NUL + "@y", change(1, {"emails/" + NUL + "@y": True})),
    ("text_invalid", "emails/z@y", change(1, {"emails/z@y": SURROGATE + "@y"})),
    ("list_too_long", "party", visit(1, *[MINE] * 51)),
    ("instant_invalid", "at", visit(1, MINE, at="2026-11-22T13:05:09Z")),
    ("instant_invalid", "at", visit(1, MINE, at="2026-13-22T13:05:09.120Z")),
    ("instant_invalid", "at", visit(1, MINE, at=5)),
    ("date_invalid", "trading_since", change(1, {"trading_since": "2026-02-30"})),
    ("date_invalid", "trading_since", change(1, {"trading_since": "22.11.2026"})),
    ("phone_invalid", "phones/x", change(1, {"phones/x": True})),
    ("phone_invalid", "phones/1", change(1, {"phones/1": ""})),
    ("email_invalid", "emails/x", change(1, {"emails/x": True})),
    ("fact_edited", None, change(1, {"note": "x"}, entity="interaction", id=FACT)),
    (
        "fact_exists",
        None,
        change(
            1,
            {"kind": "call", "at": AT, "party": [{"customer": MINE}]},
            entity="interaction",
            op=CREATE,
            id=FACT,
        ),
    ),
]


@pytest.mark.parametrize(("code", "field", "made"), REJECTED, ids=lambda given_: str(given_)[:40])
def test_what_does_not_fit_is_rejected_with_its_code_and_field(code, field, made):
    world = small_world()
    before = snapshot(world)
    ruling = alone(world, AUTHOR_A, made)
    assert (ruling.verdict, ruling.code, ruling.field, ruling.waits) == ("rejected", code, field, "person")
    assert MESSAGES[code].kind is Kind.VERDICT
    assert snapshot(world) == before


def test_every_rejection_of_the_catalogue_that_a_value_can_cause_is_tried():
    said = {code for code, _, _ in REJECTED}
    of_values = list(MESSAGES)[: list(MESSAGES).index("change_malformed")]
    assert set(of_values) == (said | {"value_too_large"}) - {"fact_edited", "fact_exists"}


def test_head_offices_documents_are_bounded():
    office = Author(None, None, head_office=True)
    made = change(1, {"name": "Many", "rule": {"all": [1] * 4_000}}, entity="segment", op=CREATE, id=MISSING)
    assert alone(small_world(), office, made).code == "value_too_large"


UNREACHED: list[tuple[str, str, Change]] = [
    ("row_unknown", f"row:customer:{MISSING}", change(1, {"kind": "person"}, id=MISSING)),
    ("row_unknown", f"row:customer:{THEIRS}", change(1, {"kind": "person"}, id=THEIRS)),
    ("row_unknown", f"row:customer:{THEIRS}", change(1, {"name": "x"}, op=CREATE, id=THEIRS)),
    ("row_unknown", f"row:customer:{MISSING}", visit(1, MINE, MISSING)),
    ("row_unknown", f"row:customer:{THEIRS}", visit(1, THEIRS, MINE)),
    ("row_unknown", f"row:unit:{UNIT_B}", visit(1, unit=UNIT_B)),
    ("row_unknown", "row:unit:None", visit(1, unit=None)),
    ("row_unknown", f"row:customer:{THEIRS}", linked(MINE, THEIRS)),
    ("row_unknown", f"row:customer:{MISSING}", linked(MISSING, MINE)),
    ("row_unknown", f"row:link:{MISSING}", change(1, {"note": "x"}, entity="link", id=MISSING)),
    ("scope_left", f"row:customer:{GONE}", change(1, {"kind": "person"}, id=GONE)),
    ("scope_left", f"row:customer:{GONE}", linked(MINE, GONE, "alliance")),
]


@pytest.mark.parametrize(("code", "waits", "made"), UNREACHED, ids=lambda given_: str(given_)[:60])
def test_what_is_out_of_reach_is_held_until_its_row_comes(code, waits, made):
    world = small_world()
    before = snapshot(world)
    assert alone(world, AUTHOR_A, made) == Ruling(made, "held", code, waits=waits)
    assert snapshot(world) == before


def test_an_id_out_of_reach_and_one_that_does_not_exist_get_the_same_answer():
    for edit in ({"kind": "person"}, {"archived": True}, {"belief": "x"}):
        hidden, missing = (alone(small_world(), AUTHOR_A, change(1, edit, id=id)) for id in (THEIRS, MISSING))
        told = [(r.verdict, r.code, r.field, r.detail, r.stamp) for r in (hidden, missing)]
        assert told[0] == told[1]
        assert [str(r.waits).replace(id, "*") for r, id in ((hidden, THEIRS), (missing, MISSING))] == [
            "row:customer:*"
        ] * 2


def test_a_fact_about_a_customer_who_left_is_accepted():
    assert alone(small_world(), AUTHOR_A, visit(1, GONE)).verdict == "applied"


def test_a_link_between_the_own_and_one_who_left_can_still_be_edited_where_it_is():
    assert (
        alone(small_world(), AUTHOR_A, change(1, {"note": "x"}, entity="link", id=LINK)).verdict == "applied"
    )


def test_a_revoked_device_is_held_whatever_it_sends():
    author = Author(DEVICE_A, AUTHOR_A.scopes, UNIT_A, "CN", revoked=True)
    for made in (change(1, {"name": "x"}), change(1, {}, entity="nonsense")):
        assert alone(small_world(), author, made) == Ruling(
            made, "held", "device_revoked", waits=f"device:{DEVICE_A}"
        )


@pytest.mark.parametrize(
    "fields",
    [{"later": 1}, {"kind": "robot"}, {"birth": {"month": 1, "day": 1, "hour": 1}}, {"contact_by/fax": True}],
    ids=str,
)
def test_what_a_newer_version_may_know_waits_for_it(fields):
    later = REGISTRY.version + 1
    made = change(1, fields, schema=later)
    assert alone(small_world(), AUTHOR_A, made) == Ruling(
        made, "held", "schema_newer", waits=f"schema:{later}"
    )
    assert alone(small_world(), AUTHOR_A, change(1, fields, schema=REGISTRY.version)).verdict == "rejected"


def test_an_entity_of_a_newer_version_waits_and_a_wrong_value_does_not():
    made = change(1, {"name": "x"}, entity="household", schema=7)
    assert alone(small_world(), AUTHOR_A, made).waits == "schema:7"
    assert alone(small_world(), AUTHOR_A, change(1, {"name": 5}, schema=7)).code == "value_type"


def test_reference_data_is_written_by_head_office_only():
    made = change(1, {"name": "一号店", "kind": "branch"}, entity="unit", op=CREATE, id=UNIT_A)
    assert alone(small_world(), HEAD_OFFICE, made).verdict == "applied"
    assert alone(small_world(), AUTHOR_A, made).code == "entity_not_writable"


# --- stamps ---------------------------------------------------------------------------------------


def test_a_stamp_from_2099_is_replaced_by_the_servers_and_said_so():
    world = small_world()
    ruling = alone(world, AUTHOR_A, change(1, {"kind": "person"}, stamp=4_070_908_800_000_000))
    assert (ruling.verdict, ruling.code, ruling.stamp) == ("applied", "stamp_replaced", NOW_STAMP + 1)
    registers = world.rows["customer", MINE].registers
    assert registers is not None
    assert registers["kind"].values[cid_of(1)].stamp == ruling.stamp == world.stamp_max


def test_a_fact_from_2099_gets_the_servers_stamp_too():
    world = small_world()
    made = msgspec.structs.replace(visit(1, MINE), stamp=-5)
    ruling = alone(world, AUTHOR_A, made)
    assert (ruling.code, ruling.stamp) == ("stamp_replaced", NOW_STAMP + 1)
    raw = world.rows["interaction", made.id].documents[Level.INTERNAL]
    assert orjson.loads(raw)["v"] == [[cid_of(1), NOW_STAMP + 1]]


def test_a_change_without_a_stamp_gets_the_servers_without_a_word():
    world = small_world()
    made = msgspec.structs.replace(change(1, {"kind": "person"}), stamp=None)
    assert alone(world, AUTHOR_A, made) == Ruling(made, "applied", None, stamp=NOW_STAMP + 1)


def test_a_stamp_within_tolerance_is_never_rewritten():
    world = small_world()
    stamp = NOW_STAMP + DRIFT_MS_MAX * 1_000
    assert alone(world, AUTHOR_A, change(1, {"kind": "person"}, stamp=stamp)).stamp == stamp
    assert alone(world, AUTHOR_A, change(2, {"gender": "male"}, stamp=3)).stamp == 3
    assert world.stamp_max == stamp


# --- what is applied ------------------------------------------------------------------------------


def test_a_create_on_an_existing_id_is_an_edit_that_has_seen_nothing():
    world = small_world()
    ruling = alone(world, AUTHOR_A, change(1, {"name": "林芳芳"}, op=CREATE))
    assert (ruling.verdict, ruling.code) == ("merged", None)
    registers = world.rows["customer", MINE].registers
    assert registers is not None
    assert set(registers["name"].values) == {cid_of(1), cid_of(101)}


def test_an_edit_that_saw_the_value_is_applied_and_one_that_did_not_is_merged():
    world = small_world()
    assert alone(world, AUTHOR_A, change(1, {"name": "a"}, seen={"name": [101]})).verdict == "applied"
    assert alone(world, AUTHOR_A, change(2, {"name": "b"}, seen={"name": [101]})).verdict == "merged"
    assert alone(world, AUTHOR_A, change(3, {"name": "c"}, seen={"name": [1, 2, 101]})).verdict == "applied"
    assert world.rows["customer", MINE].values["name"] == "c"


def test_a_group_that_writes_a_field_three_times_keeps_no_seen_cids():
    made = [
        change(1, {"name": "a"}, op=CREATE, id=MISSING, group=1, size=3),
        change(2, {"name": "b"}, id=MISSING, seen={"name": [1]}, group=1, size=3),
        change(3, {"name": "c"}, id=MISSING, seen={"name": [1, 2]}, group=1, size=3),
    ]
    together, apart = small_world(), small_world()
    assert [r.verdict for r in settle(together, AUTHOR_A, made)] == ["applied"] * 3
    for one in made:
        assert alone(apart, AUTHOR_A, msgspec.structs.replace(one, size=1)).verdict == "applied"
    for world in (together, apart):
        registers = world.rows["customer", MISSING].registers
        assert registers is not None
        assert registers["name"].kept == set()
        assert set(registers["name"].values) == {cid_of(3)}


def test_a_cid_accepted_on_another_row_stays_with_the_field():
    world = small_world()
    world.entries |= world_of(accepted=[(("customer", THEIRS), 102), (("customer", MINE), 77)]).entries
    made = change(1, {"name": "x"}, seen={"name": [101, 102, 77, 55]})
    assert alone(world, AUTHOR_A, made).verdict == "applied"
    registers = world.rows["customer", MINE].registers
    assert registers is not None
    assert registers["name"].kept == {cid_of(102), cid_of(55)}


def test_a_change_that_was_held_when_it_was_seen_is_cancelled_when_it_is_released():
    world = small_world()
    world.entries |= world_of(accepted=[(("customer", MINE), 50)]).entries
    world.entries[cid_of(50)].verdict = "held"
    assert alone(world, AUTHOR_A, change(60, {"kind": "person"}, seen={"kind": [50]})).verdict == "applied"
    assert alone(world, AUTHOR_A, change(50, {"kind": "organization"})).verdict == "merged"
    registers = world.rows["customer", MINE].registers
    assert registers is not None
    assert set(registers["kind"].values) == {cid_of(60)}
    assert registers["kind"].kept == set()


def test_a_fact_replayed_with_the_same_content_is_applied_again_without_a_trace():
    world = small_world()
    fields = {"kind": "visit", "at": AT, "party": [{"customer": MINE}], "unit": UNIT_A}
    for number in (1, 2):
        made = change(number, fields, entity="interaction", op=CREATE, id=MISSING)
        assert alone(world, AUTHOR_A, made).verdict == "applied"
    raw = world.rows["interaction", MISSING].documents[Level.INTERNAL]
    assert orjson.loads(raw)["v"][0][0] == cid_of(1)
    again = world_of(
        stored("customer", MINE, [A], {"name": "林芳"}, 101), stored("interaction", MISSING, [A], fields, 1)
    )
    assert alone(again, AUTHOR_A, change(3, fields, entity="interaction", op=CREATE, id=MISSING)).code is None
    assert not again.rows["interaction", MISSING].written
    other = change(4, {**fields, "note": "x"}, entity="interaction", op=CREATE, id=MISSING)
    assert alone(again, AUTHOR_A, other).code == "fact_exists"


def test_a_new_row_takes_its_unit_from_its_writer():
    world = small_world()
    assert alone(world, AUTHOR_A, change(1, {"name": "x"}, op=CREATE, id=MISSING)).verdict == "applied"
    assert world.rows["customer", MISSING].values["home_unit"] == UNIT_A
    assert world.moved_by_author == set()
    assert alone(world, AUTHOR_A, visit(2)).verdict == "applied"
    assert world.rows["interaction", visit(2).id].values["unit"] == UNIT_A


def test_a_row_just_made_can_be_edited_and_named_by_the_same_group():
    world = small_world()
    made = [
        change(1, {"name": "x"}, op=CREATE, id=MISSING, group=1, size=4),
        change(2, {"kind": "person"}, id=MISSING, group=1, size=4),
        msgspec.structs.replace(visit(3, MISSING), group=cid_of(1), size=4),
        msgspec.structs.replace(linked(MISSING, MINE), cid=cid_of(4), group=cid_of(1), size=4),
    ]
    assert [r.verdict for r in settle(world, AUTHOR_A, made)] == ["applied"] * 4


def test_an_empty_edit_is_applied_and_touches_nothing():
    world = small_world()
    before = snapshot(world)
    assert alone(world, AUTHOR_A, change(1, {}, id=THEIRS)).verdict == "applied"
    assert snapshot(world) == before


def test_the_author_may_go_on_with_a_customer_whom_its_own_change_moved():
    world = small_world()
    assert (
        alone(world, AUTHOR_A, change(1, {"home_unit": UNIT_B}, seen={"home_unit": [101]})).verdict
        == "applied"
    )
    assert world.moved_by_author == {MINE}
    world.rows["customer", MINE].places = {A: True, B: False}
    assert alone(world, AUTHOR_A, change(2, {"kind": "person"})).verdict == "applied"
    world.moved_by_author.clear()
    assert alone(world, AUTHOR_A, change(3, {"gender": "male"})).code == "scope_left"


def test_phones_are_admitted_under_their_normal_form_with_what_was_seen():
    world = small_world()
    assert alone(world, AUTHOR_A, change(1, {"phones/138 0013 8000": "138 0013 8000"})).verdict == "applied"
    made = change(2, {"phones/138-0013-8000": False}, seen={"phones/138-0013-8000": [1]})
    assert alone(world, AUTHOR_A, made).verdict == "applied"
    assert world.rows["customer", MINE].values["phones/+8613800138000"] is False


# --- one fate -------------------------------------------------------------------------------------

GOOD = [
    lambda n: change(n, {"name": f"n{n}"}),
    lambda n: change(n, {"tags/vip": True}),
    lambda n: change(n, {"belief": "x"}),
    lambda n: change(n, {"home_unit": UNIT_B}, seen={"home_unit": [101]}),
    lambda n: change(n, {"name": "new"}, op=CREATE, id=id_of(0x100 + n)),
    lambda n: change(n, {"kind": "person"}, stamp=4_070_908_800_000_000),
    lambda n: visit(n, MINE),
]
BAD = [made for _, _, made in REJECTED[:20]] + [made for _, _, made in UNREACHED]


@st.composite
def failing_groups(draw):
    size = draw(st.integers(1, 6))
    at = draw(st.integers(0, size - 1))
    bad = draw(st.sampled_from(BAD))
    made = [draw(st.sampled_from(GOOD))(n) for n in range(1, size + 1)]
    made[at] = msgspec.structs.replace(bad, cid=cid_of(at + 1))
    return at, [msgspec.structs.replace(c, group=cid_of(1), size=size) for c in made]


@given(failing_groups())
def test_one_bad_member_holds_all_and_only_the_culprit_has_its_own_code(given_):
    at, group = given_
    world = small_world()
    before = snapshot(world)
    expected = alone(small_world(), AUTHOR_A, msgspec.structs.replace(group[at], size=1, group=group[at].cid))
    rulings = settle(world, AUTHOR_A, group)
    assert [r.change.cid for r in rulings] == [c.cid for c in group]
    assert snapshot(world) == before
    assert all(not row.written for row in world.rows.values())
    culprit = rulings.pop(at)
    assert (culprit.verdict, culprit.code, culprit.waits) == (expected.verdict, expected.code, expected.waits)
    assert all((r.verdict, r.code, r.waits) == ("held", "group_held", culprit.waits) for r in rulings)


@given(failing_groups(), failing_groups())
def test_neighbours_of_a_refused_group_are_applied_as_if_it_had_never_come(one, other):
    good = change(50, {"name": "kept"}, seen={"name": [101]})
    world, calm = small_world(), small_world()
    settle(world, AUTHOR_A, one[1])
    assert settle(world, AUTHOR_A, [good]) == settle(calm, AUTHOR_A, [good])
    settle(world, AUTHOR_A, other[1])
    assert snapshot(world) == snapshot(calm)


@pytest.mark.parametrize(("sizes"), [[2], [1, 1], [3, 3], [2, 3], [3, 2]])
def test_a_group_that_did_not_come_whole_is_broken(sizes):
    world = small_world()
    group = [change(n, {"name": "x"}, group=1, size=size) for n, size in enumerate(sizes, 1)]
    rulings = settle(world, AUTHOR_A, group)
    assert [(r.verdict, r.code, r.waits) for r in rulings] == [("held", "group_broken", "person")] * len(
        group
    )
    assert not world.rows["customer", MINE].written


def test_a_group_that_says_the_same_change_twice_is_broken():
    world = small_world()
    group = [change(1, {"name": name}, group=1, size=2) for name in ("a", "b")]
    assert [r.code for r in settle(world, AUTHOR_A, group)] == ["group_broken"] * 2
    assert not world.rows["customer", MINE].written


# --- never an exception ---------------------------------------------------------------------------

IDS = st.sampled_from([MINE, THEIRS, GONE, MISSING, LINK, FACT, UNIT_A, "x", ""])
PATHS = st.sampled_from(
    [
        *(
            "name",
            "kind",
            "home_unit",
            "phones/1",
            "phones/+8613800138000",
            "emails/a@b",
            "tags/a",
            "tags/a/b",
            "birth",
        ),
        *(
            "archived",
            "belief",
            "segments/x",
            "contact_by/sms",
            "privacy_notice",
            "trading_since",
            "first_seen",
        ),
        *(
            "from_customer",
            "to_customer",
            "active",
            "at",
            "unit",
            "party",
            "lines",
            "void",
            "external_ids",
            "id",
            "v",
        ),
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | IDS
    | st.sampled_from(["person", "visit", "family", "shown", "138 0013 8000", AT, "2026-11-22", 10**200])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["customer", "role", "month", "day", "amount", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
FUZZED = st.builds(
    lambda number, op, entity, id, fields, seen, stamp, schema: msgspec.structs.replace(
        change(number, fields, op=op, entity=entity, id=id, schema=schema),
        seen={path: [cid_of(n) for n in seen] for path in list(fields)[:2]},
        stamp=stamp,
    ),
    st.integers(1, 6),
    st.sampled_from([EDIT, CREATE]),
    st.sampled_from([*REGISTRY.by_name, "customer", "link", "interaction", "nonsense"]),
    IDS,
    st.dictionaries(PATHS | st.text(max_size=4), ANYTHING, max_size=4),
    st.lists(st.integers(7, 9) | st.integers(101, 105), max_size=2),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 3),
)


@given(
    st.lists(FUZZED, min_size=1, max_size=4, unique_by=lambda c: c.cid),
    st.sampled_from([AUTHOR_A, AUTHOR_B, HEAD_OFFICE]),
    st.booleans(),
)
def test_settle_answers_whatever_decode_accepted(made, author, together):
    groups = [made] if together else [[c] for c in made]
    world = small_world()
    for group in groups:
        sent = []
        for c in group:
            try:
                raw = changes.encode(msgspec.structs.replace(c, size=len(group), group=group[0].cid))
                sent.append(changes.decode(raw))
            except (Malformed, UnicodeEncodeError, OverflowError):
                return
        keys, cids = reconcile.needs(REGISTRY, sent)
        assert all(is_id(id) and entity in REGISTRY.by_name for entity, id in keys)
        assert all(map(changes.is_cid, cids))
        rulings = settle(world, author, sent)
        assert [r.change.cid for r in rulings] == [c.cid for c in sent]
        for r in rulings:
            assert r.verdict in {"applied", "merged", "held", "rejected"}
            assert r.code is None or r.code in MESSAGES
            assert (r.waits is None) == (r.verdict in {"applied", "merged"})
            orjson.dumps(r.detail)
        assert len({r.verdict in {"applied", "merged"} for r in rulings}) == 1
    conclude(world)


def test_a_deeply_nested_value_is_rejected_and_not_a_stack_overflow():
    raw = changes.encode(change(1, {"kind": "x"})).replace(
        b'"value":"x"', b'"value":' + b"[" * 400 + b"]" * 400
    )
    made = changes.decode(raw)

    def deep(levels: int) -> Ruling:
        return deep(levels - 1) if levels else alone(small_world(), AUTHOR_A, made)

    assert deep(400).code == "enum_unknown"


def test_needs_names_the_rows_and_cids_that_settling_asks_for():
    made = [
        change(1, {"name": "x"}, seen={"name": [101]}),
        linked(MINE, GONE),
        visit(3, THEIRS),
        change(4, {}, entity="nonsense"),
        change(5, {}, id="\0"),
        visit(6, party=[{"customer": MISSING}, {"customer": 5}]),
        visit(7, party=5),
    ]
    keys, cids = reconcile.needs(REGISTRY, made)
    assert keys == {
        ("customer", MINE),
        ("customer", GONE),
        ("customer", THEIRS),
        ("customer", MISSING),
        ("link", LINK),
        *(("interaction", visit(n).id) for n in (3, 6, 7)),
    }
    assert cids == {cid_of(101)}


def test_a_field_that_a_newer_server_declared_survives_an_edit():
    world = small_world()
    row = world.rows["customer", MINE]
    said = orjson.loads(row.documents[Level.INTERNAL])
    row.documents[Level.INTERNAL] = orjson.dumps({**said, "later": [1]})
    assert (
        alone(world, AUTHOR_A, change(1, {"belief": "x", "name": "y"}, seen={"name": [101]})).verdict
        == "applied"
    )
    written = {level: orjson.loads(raw) for _, _, level, raw in conclude(world).documents}
    assert written[Level.INTERNAL]["later"] == [1]
    assert "later" not in written[Level.SENSITIVE]


def test_a_row_reads_the_same_before_and_after_its_registers_are_built():
    row = small_world().rows["customer", MINE]
    copied = row.copy()
    assert {p: v for p, v in row.values.items() if p not in document.META} == copied.values
    assert copied.registers == replay(
        row.entity, [change(101, {"name": Value("林芳"), "home_unit": UNIT_A}, stamp=101)]
    )
    assert (row.exists, copied.exists, reconcile.Row(row.entity, MISSING).exists) == (True, True, False)


def test_now_is_the_time_that_every_test_here_believes():
    assert small_world().now_ms == NOW_MS


# --- erased ---------------------------------------------------------------------------------------


def world_without(id: str) -> World:
    world = small_world()
    world.rows["customer", id] = reconcile.Row(REGISTRY.get("customer"), id, places={A: True}, erased=True)
    return world


ABOUT_ERASED = [
    change(1, {"notes": "x"}, id=MINE),
    change(1, {"name": "x"}, op=CREATE, id=MINE),
    change(1, {"nonsense": "x"}, id=MINE),
    change(1, {}, id=MINE),
    visit(1, MINE),
    visit(1, THEIRS, MINE),
    linked(MINE, THEIRS),
    linked(THEIRS, MINE),
]


@pytest.mark.parametrize("author", [AUTHOR_A, AUTHOR_B, HEAD_OFFICE])
@pytest.mark.parametrize("made", ABOUT_ERASED, ids=lambda made: f"{made.op} {made.entity}")
def test_what_is_about_an_erased_customer_is_refused_for_good(author: Author, made: Change) -> None:
    ruling = alone(world_without(MINE), author, made)
    assert (ruling.verdict, ruling.code, ruling.waits, ruling.detail) == ("rejected", "erased", None, None)


def test_a_revoked_device_hears_that_too() -> None:
    revoked = Author(DEVICE_A, frozenset(), revoked=True)
    assert alone(world_without(MINE), revoked, ABOUT_ERASED[0]).code == "erased"


@pytest.mark.parametrize("at", range(3))
def test_the_others_of_a_group_go_on_without_what_is_about_an_erased_customer(at: int) -> None:
    group = [change(2, {"notes": "kept"}, id=OTHER), change(3, {"wechat": "kept"}, id=OTHER)]
    group.insert(at, change(1, {"notes": "gone"}, id=MINE))
    group = changes.grouped(group)
    world = world_without(MINE)
    world.rows["customer", OTHER] = stored("customer", OTHER, [A], {"name": "x", "home_unit": UNIT_A}, 99)
    rulings = settle(world, AUTHOR_A, group)
    assert [ruling.code for ruling in rulings] == ["erased" if i == at else None for i in range(3)]
    assert world.rows["customer", OTHER].values["notes"] == "kept"
    assert not world.rows["customer", MINE].exists
    broken = settle(world, AUTHOR_A, group[:2])
    assert {ruling.code for ruling in broken} <= {"erased", "group_broken"}
    assert "group_broken" in {ruling.code for ruling in broken}
