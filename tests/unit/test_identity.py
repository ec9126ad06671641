"""Who is one person: names that fit, what is decided by itself, and the golden card."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.entities import CUSTOMER
from regulars_schema.normal import likenesses
from regulars_sync import document, merge
from regulars_sync.changes import Value
from regulars_sync.identity import agreed, compatible, concerns, fold, judge
from regulars_sync.ids import identity_id
from regulars_sync.merge import Candidate, Register
from regulars_sync.reconcile import settle
from tests.unit.histories import (
    AUTHOR_A,
    HEAD_OFFICE,
    LATTICES,
    NOW_STAMP,
    THING,
    UNIT_A,
    UNIT_B,
    VALUES,
    change,
    cid_of,
    histories,
    id_of,
    replay,
    stored,
    world_of,
)

# --- names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("林芳", "林芳"),
        ("林芳", "林方"),
        ("林芳", "Lin Fang"),
        ("林芳", "Fang LIN"),
        ("林芳", "linfang"),
        ("林芳", "林女士"),
        ("林芳女士", "Ms. Lin Fang"),
        ("林芳", "芳"),
        ("林芳", "LF"),
        ("林芳", "F. Lin"),
        ("Ann Lee", "Ann"),
        ("Ann Lee", "Ann Mary Lee"),
        ("Ann Lee", "A. Lee"),
        ("Zoë", "zoë"),
    ],
)
def test_names_that_may_be_one_persons(a, b):
    assert compatible(a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("林芳", "张伟"),
        ("林芳", "林伟"),
        ("林芳", "Ann Lee"),
        ("Ann Lee", "Bob Lee"),
        ("Ann Lee", "B. Lee"),
        ("先生", "林先生"),
        ("??", "??"),
        ("Ann Ann", "Ann Lee"),
    ],
)
def test_names_of_two_people(a, b):
    assert not compatible(a, b)


NAMES = st.text("林芳方张伟 annle.A李", min_size=1, max_size=6)


@given(NAMES, NAMES)
def test_which_name_comes_first_is_indifferent(a, b):
    assert compatible(a, b) == compatible(b, a)


@given(NAMES)
def test_a_name_with_letters_fits_itself(name):
    assert compatible(name, name) == any(ch.isalpha() for ch in name)


# --- what is decided by itself -------------------------------------------------------------------------

PHONE = "phones/+8613800138000"
HOME, ELSEWHERE = "unit a", "unit b"


def card(name="林芳", home=HOME, verified=None, source=None, kind="person", **more):
    given_ = {"name": name, "home_unit": home, "kind": kind, PHONE: "138 0013 8000", **more}
    registers = {}
    for i, (path, value) in enumerate(given_.items()):
        found = Candidate(cid_of(i), NOW_STAMP, value, source, verified if path == PHONE else None)
        registers[path] = Register({found.cid: found})
    return registers


def judged(a, b, *paths):
    assert judge(CUSTOMER, a, b, paths) == judge(CUSTOMER, b, a, paths)
    return tuple(judge(CUSTOMER, a, b, paths))


def test_an_equal_key_verified_on_both_cards_makes_them_one():
    sure = card(home=ELSEWHERE, verified="verified")
    assert judged(card(verified="verified"), sure, PHONE) == ("same", "verified_key", "phones", None)
    assert judged(card(source="pos"), sure, PHONE)[0] == "same"


def test_one_verified_side_is_not_enough():
    assert judged(card(verified="verified"), card(home=ELSEWHERE), PHONE)[0] == "proposed"
    assert judged(card(verified="verified"), card(home=ELSEWHERE, verified="pending"), PHONE)[0] == "proposed"


def test_an_equal_key_within_one_unit_makes_them_one():
    assert judged(card(), card("Lin Fang"), PHONE) == ("same", "equal_key", "phones", None)
    assert judged(card(), card(home=ELSEWHERE), PHONE) == ("proposed", "equal_key", "phones", "same")
    assert judged(card(home=None), card(home=None), PHONE)[0] == "proposed"


def test_a_number_that_was_found_wrong_decides_nothing():
    assert judged(card(verified="rejected"), card(), PHONE)[0] == "proposed"


def test_a_shared_phone_with_other_names_suggests_a_household():
    sure = card("张伟", verified="verified")
    assert judged(card(verified="verified"), sure, PHONE) == ("proposed", "equal_key", "phones", "household")


def test_a_person_and_a_company_never_become_one_by_themselves():
    firm = card(kind="organization", verified="verified")
    assert judged(card(verified="verified"), firm, PHONE)[::3] == ("proposed", "not_same")


def test_an_equal_name_with_birth_or_address_only_proposes():
    assert judged(card(), card(), "name") == ("proposed", "similar", "name", "same")


BORN = {"year": 1990, "month": 5, "day": 3}


def test_likeness_is_the_spoken_name_with_birth_or_address():
    ours = set(likenesses({"name": "林芳", "birth": BORN, "address": "南京路 1号"}))
    assert len(ours) == 2
    assert ours & set(likenesses({"name": "Lin Fang", "birth": {**BORN, "leap": None}}))
    assert ours & set(likenesses({"name": "林芳", "address": "南京路1号。"}))
    assert not ours & set(likenesses({"name": "林芳", "birth": {**BORN, "day": 4}, "address": "南京路2号"}))
    assert not ours & set(likenesses({"name": "张伟", "birth": BORN}))
    assert likenesses({"name": "林芳"}) == likenesses({"birth": BORN}) == []


def test_only_what_a_person_is_recognised_by_asks_anew():
    for path in ("name", "birth", "address", "phones/+1", "member_no", "home_unit", "archived"):
        assert concerns(CUSTOMER, change(1, {path: "x"})), path
    assert not concerns(CUSTOMER, change(1, {"notes": "x", "tags/vip": True, "of_tomorrow": 1}))


# --- the golden card -------------------------------------------------------------------------------------

MEMBERS = st.dictionaries(st.sampled_from("abcd"), histories(), min_size=1, max_size=4)


def rows(histories_):
    """Each member's registers; cids of different members differ."""
    return {id: relabelled(id, replay(THING, made)) for id, made in histories_.items()}


def relabelled(id, registers):
    own = {}
    for path, register in registers.items():
        values = [c._replace(cid=id + c.cid[1:]) for c in register.values.values()]
        kept = {id + cid[1:] for cid in register.kept}
        own[path] = Register({c.cid: c for c in values}, kept, register.level)
    return own


def state(registers):
    return {path: (register.values, register.kept) for path, register in registers.items()}


@given(MEMBERS, st.randoms())
def test_fold_is_the_same_for_every_order_of_members(histories_, random):
    members = list(rows(histories_).items())
    shuffled = members[:]
    random.shuffle(shuffled)
    assert state(fold(THING, dict(members))) == state(fold(THING, dict(shuffled)))


@given(histories())
def test_a_single_member_folds_to_itself(made):
    row = replay(THING, made)
    assert state(fold(THING, {"a": row})) == state(row)


@given(MEMBERS)
def test_members_that_say_the_same_do_not_stand_against_each_other(histories_):
    """What is shown stays so; a field keeps several values only where they differ."""
    golden = fold(THING, rows(histories_))
    card = agreed(THING, golden)
    assert document.shown(THING, card) == document.shown(THING, golden)
    for path, register in golden.items():
        said = [candidate.value for candidate in register.values.values()]
        if all(value == said[0] for value in said):
            assert len(card[path].values) == len(said[:1])
        else:
            assert card[path].values == register.values


@given(MEMBERS)
def test_folding_leaves_every_member_as_it_was(histories_):
    members = rows(histories_)
    before = {id: state({p: r.copy() for p, r in row.items()}) for id, row in members.items()}
    fold(THING, members)
    assert {id: state(row) for id, row in members.items()} == before


@given(MEMBERS, histories())
def test_a_member_that_comes_and_goes_again_leaves_no_trace(histories_, made):
    members = rows(histories_)
    alone = state(fold(THING, members))
    others = {**members, "z": relabelled("e", replay(THING, made))}
    fold(THING, others)
    del others["z"]
    assert state(fold(THING, others)) == alone


@given(MEMBERS, st.data())
def test_an_edit_through_the_golden_card_leaves_its_value_alone(histories_, data):
    members = rows(histories_)
    golden = fold(THING, members)
    path = data.draw(st.sampled_from([path for path in VALUES if path not in LATTICES]))
    seen = [int(cid, 16) for cid in sorted(golden[path].values)] if path in golden else []
    edit = change(0xFFFF, {path: data.draw(VALUES[path])}, seen={path: seen} if seen else {})
    at = data.draw(st.sampled_from(sorted(members)))
    own = set(members[at][path].values) if path in members[at] else set()
    others = {id: state(row) for id, row in members.items() if id != at}
    merge.apply(members[at], THING, edit, NOW_STAMP, own.__contains__)
    assert set(fold(THING, members)[path].values) == {edit.cid}
    assert {id: state(row) for id, row in members.items() if id != at} == others


@given(MEMBERS)
def test_a_golden_lattice_shows_its_highest_alone(histories_):
    members = rows(histories_)
    golden = fold(THING, members)
    for path in LATTICES & golden.keys():
        assert len(golden[path].values) == 1
        shown = [document.shown(THING, row).get(path) for row in members.values()]
        rank = {None: -1, "low": 0, "middle": 1, "high": 2}
        assert rank[document.shown(THING, golden)[path]] == max(rank[value] for value in shown)


# --- who may decide ---------------------------------------------------------------------------------------

MINE, ALSO_MINE, THEIRS = id_of(1), id_of(2), id_of(3)
DECIDED = Value("not_same", verified="verified")


def three_customers(*more):
    return world_of(
        stored("customer", MINE, [f"unit:{UNIT_A}"], {"name": "林芳", "home_unit": UNIT_A}, 101),
        stored("customer", ALSO_MINE, [f"unit:{UNIT_A}"], {"name": "林方", "home_unit": UNIT_A}, 102),
        stored("customer", THEIRS, [f"unit:{UNIT_B}"], {"name": "林芳", "home_unit": UNIT_B}, 103),
        *more,
    )


def proposal(number=1, one=MINE, other=ALSO_MINE, decision="proposed", op="create", seen=None, **more):
    told = {"one": one, "other": other, "decision": decision, **more}
    return change(number, told, entity="identity", op=op, id=identity_id(one, other), seen=seen)


def ruled(world, author, made):
    (ruling,) = settle(world, author, [made])
    return ruling.verdict, ruling.code


def test_a_branch_proposes_and_nothing_more():
    assert ruled(three_customers(), AUTHOR_A, proposal(reason="person")) == ("applied", None)
    verified = Value("proposed", verified="verified")
    for made in (
        proposal(decision="same"),
        proposal(decision="household"),
        proposal(decision="not_same"),
        proposal(decision=verified),
        proposal(suggests="same"),
        proposal(reason="verified_key"),
        proposal(op="edit"),
        proposal(seen={"decision": [104]}),
    ):
        assert ruled(three_customers(), AUTHOR_A, made) == ("rejected", "decision_reserved"), made
        assert ruled(three_customers(), HEAD_OFFICE, made)[1] != "decision_reserved"


def test_a_branch_can_only_name_customers_that_it_holds():
    assert ruled(three_customers(), AUTHOR_A, proposal(other=THEIRS)) == ("held", "row_unknown")
    assert ruled(three_customers(), AUTHOR_A, proposal(other=id_of(9))) == ("held", "row_unknown")


def test_what_was_decided_before_stands_and_the_answer_does_not_tell_of_it():
    id = identity_id(MINE, ALSO_MINE)
    fields = {"one": MINE, "other": ALSO_MINE, "decision": DECIDED}
    world = three_customers(stored("identity", id, [], fields, 104))
    assert ruled(world, AUTHOR_A, proposal()) == ("applied", None)
    assert world.rows["identity", id].values["decision"] == "not_same"
    assert world.rows["identity", id].places == {}


def test_there_is_one_decision_a_pair():
    made = change(1, proposal().fields, entity="identity", op="create", id=id_of(8))
    assert ruled(three_customers(), HEAD_OFFICE, made) == ("rejected", "id_invalid")
    assert ruled(three_customers(), HEAD_OFFICE, proposal(one=ALSO_MINE, other=MINE))[1] == "id_invalid"
