"""Documents: canonical bytes, one for each level, that lose nothing."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.declare import Level
from regulars_sync import document, merge
from regulars_sync.merge import Candidate, Register
from tests.unit.histories import THING, VALUES, change, cid_of, documents_of, histories, id_of, replay

ID = id_of(1)
SENSITIVE = {path for path in VALUES if THING.at(path)[0].level is Level.SENSITIVE}


@st.composite
def registers(draw):
    """Any registers, also those that no history of one chain leaves."""
    made: merge.Registers = {}
    for path in draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=6, unique=True)):
        register = made[path] = Register()
        for n in draw(st.lists(st.integers(1, 5), max_size=3, unique=True)):
            cid = cid_of(n)
            source = draw(st.sampled_from([None, "pos"]))
            verified = draw(st.sampled_from([None, "verified"]))
            register.values[cid] = Candidate(cid, n, draw(VALUES[path]), source, verified)
        register.kept = {cid_of(n) for n in draw(st.sets(st.integers(6, 9), max_size=2))}
    return made


def told(given_):
    return {path: r for path, r in given_.items() if r.values or r.kept}


@given(registers())
def test_decode_is_the_inverse_of_encode(given_):
    documents = documents_of(THING, given_)
    assert document.decode(documents) == told(given_)
    assert document.decode(documents.values()) == told(given_)
    assert document.decode(orjson.loads(raw) for raw in documents.values()) == told(given_)


@given(registers(), st.randoms())
def test_the_same_registers_give_the_same_bytes_whatever_order_built_them(given_, random):
    rebuilt: merge.Registers = {}
    for path in random.sample(sorted(given_), len(given_)):
        values = list(given_[path].values.items())
        rebuilt[path] = Register(dict(random.sample(values, len(values))), set(given_[path].kept))
    assert documents_of(THING, rebuilt) == documents_of(THING, given_)


@given(registers())
def test_a_decoded_document_is_encoded_to_the_same_bytes(given_):
    documents = documents_of(THING, told(given_))
    assert documents_of(THING, document.decode(documents)) == documents


@given(registers())
def test_levels_never_mix(given_):
    for level, raw in documents_of(THING, given_).items():
        said = orjson.loads(raw)
        paths = (said.keys() - document.META) | said.get("x", {}).keys() | said.get("s", {}).keys()
        assert all((path in SENSITIVE) == (level is Level.SENSITIVE) for path in paths)
        cids = {entry[0] for entry in said["v"]}
        assert cids == {
            c for p, r in given_.items() if (p in SENSITIVE) == (level is Level.SENSITIVE) for c in r.values
        }


@given(registers())
def test_entry_0_covers_every_written_field_that_is_not_listed(given_):
    for raw in documents_of(THING, given_).values():
        said = orjson.loads(raw)
        for path in said.keys() - document.META - said.get("x", {}).keys():
            (held,) = given_[path].values.values()
            assert said["v"][0][:2] == [held.cid, held.stamp]
        for path, (at, *beside) in said.get("x", {}).items():
            assert at or beside, f"{path} need not be listed"


@given(registers())
def test_the_document_shows_what_the_rule_chooses(given_):
    flat: document.Document = {}
    for raw in documents_of(THING, given_).values():
        flat |= {p: v for p, v in orjson.loads(raw).items() if p not in document.META}
    assert flat == document.shown(THING, given_)


def test_a_new_row_stores_one_pair():
    raw = documents_of(THING, replay(THING, [change(7, {"last": "林芳", "added/x": True})]))[Level.INTERNAL]
    assert orjson.loads(raw) == {
        "id": ID,
        "added/x": True,
        "last": "林芳",
        "v": [[cid_of(7), change(7, {}).stamp]],
    }


def test_the_entry_that_wrote_most_fields_is_entry_0():
    made = [change(1, {"last": "a"}), change(2, {"most": "b", "least": "c"})]
    said = orjson.loads(documents_of(THING, replay(THING, made))[Level.INTERNAL])
    assert [entry[0] for entry in said["v"]] == [cid_of(2), cid_of(1)]
    assert said["x"] == {"last": [1]}


def test_a_level_that_was_never_written_has_no_document():
    made = replay(THING, [change(1, {"last": "a"})])
    assert document.encode(THING, ID, made, Level.SENSITIVE) is None
    assert document.encode(THING, ID, {}, Level.INTERNAL) is None


def test_a_level_whose_values_all_cancelled_each_other_is_written_empty_and_not_left_stale():
    made = [
        change(1, {"secret": "a"}, seen={"secret": [2]}),
        change(2, {"secret": "b"}, seen={"secret": [1]}),
    ]
    raw = document.encode(THING, ID, replay(THING, made), Level.SENSITIVE)
    assert raw == orjson.dumps({"id": ID, "v": []})
    assert document.decode([raw]) == {}


def test_kept_cids_stand_in_the_document_without_a_value():
    raw = document.encode(THING, ID, {"last": Register({}, {cid_of(9), cid_of(8)})}, Level.INTERNAL)
    assert raw == orjson.dumps({"id": ID, "v": [], "s": {"last": [cid_of(8), cid_of(9)]}})


@given(registers(), st.sampled_from([*Level]))
def test_a_field_of_a_newer_version_survives_a_round_trip_at_its_level(given_, level):
    given_["last"] = Register({cid_of(1): Candidate(cid_of(1), 1, "a")})
    given_["secret"] = Register({cid_of(1): Candidate(cid_of(1), 1, "a")})
    documents = documents_of(THING, given_)
    said = orjson.loads(documents[level])
    said["later"] = "new"
    said.setdefault("x", {})["later"] = [len(said["v"]), [0, "old"]]
    said["v"].append([cid_of(40), 40])
    said.setdefault("s", {})["later"] = [cid_of(41)]
    documents[level] = orjson.dumps(said)
    decoded = document.decode(documents)
    assert document.shown(THING, decoded)["later"] == "new"
    written = {path: r.copy() for path, r in decoded.items()}
    edit = change(50, {"asked": "x"}, stamp=50)
    merge.apply(written, THING, edit, 50, lambda cid: False)
    again = documents_of(THING, written)
    assert set(again) == set(documents)
    assert all(("later" in orjson.loads(raw)) == (at is level) for at, raw in again.items())
    assert document.decode(again)["later"] == decoded["later"]


def test_a_field_of_a_newer_version_whose_level_nobody_told_is_put_into_no_document():
    decoded = document.decode([{"id": ID, "later": "x", "last": "a", "v": [[cid_of(1), 1]]}])
    documents = documents_of(THING, decoded)
    assert [(level, orjson.loads(raw).keys()) for level, raw in documents.items()] == [
        (Level.INTERNAL, {"id", "last", "v"})
    ]


@given(histories())
def test_nested_and_elements_show_the_present_elements_only(made):
    flat = document.shown(THING, replay(THING, made))
    nested = document.nested(THING, flat)
    for name in ("added", "removed", "secrets"):
        present = {p.partition("/")[2]: v for p, v in flat.items() if p.startswith(f"{name}/") and v}
        assert document.elements(flat, name) == nested.get(name, {}) == present
    assert {p: v for p, v in flat.items() if "/" not in p} == {
        p: v for p, v in nested.items() if p not in ("added", "removed", "secrets")
    }


def test_a_fact_is_one_entry_that_covers_all():
    made = change(3, {"note": "hi", "kind": "visit"}, entity="interaction")
    raw = document.encode_fact(ID, made, 12)
    assert raw == orjson.dumps({"id": ID, "kind": "visit", "note": "hi", "v": [[cid_of(3), 12]]})


def test_levels_of_paths_are_those_of_their_fields():
    assert document.levels_of(THING, ["last", "added/x"]) == {Level.INTERNAL}
    assert document.levels_of(THING, ["last", "secrets/x"]) == set(Level)
