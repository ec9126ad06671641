"""The story of a row is told from its log alone, and ends where the stored row stands."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.declare import Level, Registry
from regulars_schema.entities import REGISTRY
from regulars_sync import changes, document, merge
from regulars_sync.changes import Value
from regulars_sync.history import State, tell, undone
from regulars_sync.log import Entry
from regulars_sync.reconcile import Author, Row, World, settle
from regulars_sync.scope import granted
from tests.unit.histories import (
    DEVICE_A,
    NOW_MS,
    NOW_STAMP,
    THING,
    UNIT_A,
    change,
    cid_of,
    documents_of,
    histories,
    id_of,
)

ORDERS = histories().flatmap(lambda made: st.permutations(made))
THINGS = Registry(1, (THING,))
HEAD_OFFICE = Author(country="CN", head_office=True)
BRANCH = Author(unit=UNIT_A, country="CN", head_office=True)


class Log:
    """What a server logs of one row's changes, settled by the real core."""

    def __init__(self, registry=THINGS, entity="customer", author=HEAD_OFFICE):
        self.author, self.entity = author, registry.get(entity)
        row = Row(self.entity, id_of(1))
        self.world = World(registry, NOW_MS, NOW_STAMP, {(entity, id_of(1)): row}, {})
        self.entries: list[Entry] = []

    def take(self, made, held_first=False):
        """Settle a change; one that is held first gets a later entry without a body."""
        (ruling,) = settle(self.world, self.author, [made])
        if held_first:
            self.append(made, "held", body=changes.encode(made))
        body = None if held_first else changes.encode(made)
        self.append(made, ruling.verdict, ruling.code, ruling.detail, ruling.stamp, body)
        return ruling

    def append(self, made, verdict, code=None, detail=None, stamp=0, body=None, closed=False):
        entry = Entry(
            cid=made.cid, group=made.group, entity=made.entity, id=made.id, verdict=verdict, code=code,
            detail=detail, stamp=stamp, body=body, pos=len(self.entries) + 1, closed=closed,
        )  # fmt: skip
        self.entries.append(entry)

    @property
    def registers(self):
        registers = self.world.rows[self.entity.name, id_of(1)].registers
        assert registers is not None
        return registers

    @property
    def documents(self):
        row = self.world.rows[self.entity.name, id_of(1)]
        return documents_of(self.entity, row.registers) if row.registers is not None else row.documents

    def story(self):
        return tell(self.entity, self.entries)


def created(made, **more):
    return msgspec.structs.replace(made, op="create", **more)


@given(ORDERS, st.lists(st.booleans(), min_size=7, max_size=7))
def test_the_last_state_of_the_story_is_the_stored_row(arriving, held):
    log = Log()
    for made, held_first in zip(arriving, held, strict=False):
        assert log.take(created(made), held_first).verdict in {"applied", "merged"}
    story = log.story()
    assert documents_of(THING, story.registers) == log.documents
    shown = document.shown(THING, story.registers)
    for step in story.steps:
        for written in step.fields:
            values = story.registers[written.path].values
            assert (written.state is State.REPLACED) == (written.value.cid not in values)
            assert (written.by is None) == (written.state is not State.REPLACED)
            if written.state is State.SHOWN:
                assert shown[written.path] == written.value.value


@given(ORDERS)
def test_what_was_shown_before_a_change_is_what_the_one_before_it_left(arriving):
    log = Log()
    for made in arriving:
        shown = document.shown(THING, log.story().registers)
        log.take(created(made))
        step = log.story().steps[-1]
        for written in step.fields:
            assert (written.before.value if written.before else None) == shown.get(written.path)


@given(ORDERS)
def test_every_choice_between_values_is_logged_with_those_that_stood_there(arriving):
    log = Log()
    for made in arriving:
        ruling = log.take(created(made))
        registers = log.registers
        said = (ruling.detail or {}).get("beside", {})
        assert said.keys() == {path for path in made.fields if registers[path].values.keys() != {made.cid}}
        assert (ruling.verdict == "merged") == bool(said)
        for path, (shown, *others) in said.items():
            values = registers[path].values
            assert {shown, *others} == values.keys() or (not values and shown == made.cid)
            assert not values or merge.choose(THING.at(path)[0], values.values()).cid == shown


def test_a_story_says_who_saw_whom():
    log = Log()
    log.take(change(1, {"last": "a"}, op="create"))
    log.take(change(2, {"last": "b"}, seen={"last": [1]}))
    log.take(change(3, {"last": "c"}, seen={"last": [1]}))
    log.take(change(4, {"last": "d"}, seen={"last": [2, 3]}))
    one, two, three, four = (step.fields[0] for step in log.story().steps)
    assert (one.state, one.by, one.before) == (State.REPLACED, cid_of(2), None)
    assert (two.state, two.by, two.before.value) == (State.REPLACED, cid_of(4), "a")
    assert [value.value for value in two.replaced] == ["a"]
    assert (three.before.value, [v.value for v in three.beside]) == ("b", ["b"])
    assert (four.state, four.before.value) == (State.SHOWN, "c")
    assert sorted(value.value for value in four.replaced) == ["b", "c"]


def test_what_is_held_waits_and_what_was_mended_is_refused():
    log = Log()
    waiting, refused = change(1, {"last": "a"}), change(2, {"last": "b"})
    log.append(waiting, "held", "row_unknown", body=changes.encode(waiting))
    log.append(refused, "rejected", "value_type", body=changes.encode(refused))
    log.append(refused, "rejected", "mended", closed=True)
    story = log.story()
    assert [step.fields[0].state for step in story.steps] == [State.WAITING, State.REFUSED]
    assert story.registers == {}


def test_normal_forms_and_filled_fields_are_told_as_they_were_admitted():
    log = Log(REGISTRY, author=BRANCH)
    made = change(1, {"name": "林芳", "kind": "person", "phones/138 0013 8000": "138 0013 8000"}, op="create")
    ruling = log.take(made)
    assert ruling.detail == {
        "normal": {"phones/138 0013 8000": "phones/+8613800138000"},
        "filled": {"home_unit": UNIT_A},
    }
    (step,) = log.story().steps
    assert {w.path for w in step.fields} == {"name", "kind", "phones/+8613800138000", "home_unit"}
    assert documents_of(log.entity, log.story().registers) == log.documents


def test_a_fact_is_told_once_however_often_it_came():
    log = Log(REGISTRY, "interaction")
    fields = {"kind": "visit", "at": "2026-11-22T10:00:00.000Z", "unit": UNIT_A}
    log.take(change(1, {**fields, "note": Value("x", "pos")}, entity="interaction", op="create"))
    log.take(change(2, {**fields, "note": Value("x", "pos")}, entity="interaction", op="create"))
    story = log.story()
    assert story.registers == document.decode(log.documents)
    assert {w.state for step in story.steps for w in step.fields} == {State.SHOWN}


def test_what_was_emptied_is_missing_from_the_story_and_nothing_else():
    log = Log()
    log.take(change(1, {"last": "a", "sure": "s"}, op="create"))
    log.take(change(2, {"last": "b"}, seen={"last": [1]}))
    log.entries[0].body = log.entries[0].detail = None
    first, second = log.story().steps
    assert (first.change, first.fields) == (None, [])
    assert (second.fields[0].before, second.fields[0].state) == (None, State.SHOWN)


def test_a_field_that_this_version_does_not_know_is_left_out():
    log = Log()
    made = change(1, {"last": "a", "future": "f"}, op="create")
    log.append(made, "applied", stamp=1, body=changes.encode(made))
    assert [w.path for w in log.story().steps[0].fields] == ["last"]


def test_a_hidden_dispute_is_logged_though_its_author_is_not_told():
    author = Author(DEVICE_A, granted([UNIT_A], DEVICE_A, (Level.INTERNAL,)), UNIT_A)
    log = Log()
    log.take(change(1, {"last": "a", "secret": "one"}, op="create"))
    log.world.rows["customer", id_of(1)].places = {f"unit:{UNIT_A}": False}
    log.author = author
    ruling = log.take(change(2, {"secret": "two"}))
    assert ruling.verdict == "applied"
    assert ruling.detail["beside"] == {"secret": [cid_of(2), cid_of(1)]}
    assert log.entries[-1].reason is None


# --- taking back ----------------------------------------------------------------------------------------


def taken_back(log, number):
    """What is to be written for this change to be as if it had not been."""
    step = log.story().find(cid_of(number))
    return undone(log.entity, log.registers, step.fields)


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=5))
def test_taking_back_the_last_of_many_shows_what_was_shown_before_it(values):
    log = Log()
    for number, value in enumerate(values, 1):
        log.take(created(change(number, {"last": value}, seen={"last": list(range(1, number))})))
    *_, before, last = values
    back = taken_back(log, len(values))
    assert {path: value.value for path, value in back.items()} == ({"last": before} if before != last else {})
    for number in range(1, len(values)):
        assert taken_back(log, number) == {}


def test_taking_back_keeps_source_and_proof_of_what_comes_again():
    log = Log()
    log.take(change(1, {"sure": Value("a", "pos", "verified")}, op="create"))
    log.take(change(2, {"sure": Value("a", None, None)}, seen={"sure": [1]}))
    assert taken_back(log, 2) == {"sure": Value("a", "pos", "verified")}


def test_taking_back_either_of_two_that_stand_side_by_side_keeps_the_one_that_was_not_shown():
    log = Log()
    log.take(change(1, {"last": "a"}, op="create"))
    log.take(change(2, {"last": "b"}))
    assert document.shown(THING, log.registers)["last"] == "b"
    assert taken_back(log, 2) == taken_back(log, 1) == {"last": Value("a")}


def test_taking_back_a_first_value_leaves_nothing_of_it():
    log = Log()
    fields = {"last": "a", "added/x": True, "added/y": False, "ever": True, "least": None}
    log.take(change(1, fields, op="create"))
    assert taken_back(log, 1) == {"last": Value(None), "added/x": Value(False), "ever": Value(False)}


def test_what_only_rises_never_changes_or_is_required_is_not_taken_back():
    log = Log()
    log.take(change(1, {"grade": "low"}, op="create"))
    log.take(change(2, {"grade": "high"}, seen={"grade": [1]}))
    assert taken_back(log, 2) == {}
    link = Log(REGISTRY, "link")
    fields = {"from_customer": id_of(2), "to_customer": id_of(3), "kind": "household", "note": "n"}
    made = change(1, fields, entity="link", op="create")
    registers: merge.Registers = {}
    merge.apply(registers, link.entity, made, 1, {made.cid}.__contains__)
    link.append(made, "applied", stamp=1, body=changes.encode(made))
    (step,) = link.story().steps
    assert undone(link.entity, registers, step.fields) == {"note": Value(None)}


def test_only_the_first_accepted_change_that_creates_began_the_row():
    log = Log()
    log.append(change(9, {"last": "z"}), "held", "row_unknown", body=changes.encode(change(9, {"last": "z"})))
    log.take(change(1, {"last": "a"}, op="create"))
    log.take(change(2, {"last": "b"}, op="create"))
    story = log.story()
    assert [story.began_with(step) for step in story.steps] == [False, True, False]
    assert story.find(cid_of(3)) is None


def test_a_body_that_is_no_change_or_another_one_tells_nothing():
    log = Log()
    log.append(change(1, {"last": "a"}), "applied", body=b"{")
    log.append(change(2, {"last": "b"}), "applied", body=changes.encode(change(3, {"last": "c"})))
    assert [step.change for step in log.story().steps] == [None, None]
    assert log.story().registers == {}
