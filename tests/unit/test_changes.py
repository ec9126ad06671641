"""The change: bytes made once, and `Malformed` for everything that is none."""

from itertools import pairwise

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_sync import changes
from regulars_sync.changes import (
    GROUP_CHANGES_MAX,
    NAME_CHARS_MAX,
    SEEN_MAX,
    Change,
    Malformed,
    Stated,
    Value,
)
from tests.unit.histories import change, cid_of

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
CIDS = st.integers(0, 2**128 - 1).map(cid_of)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@st.composite
def well_formed(draw):
    cid = draw(CIDS)
    paths = draw(st.lists(NAMES, max_size=4, unique=True))
    others = st.lists(CIDS.filter(lambda other: other != cid), max_size=3)
    return Change(
        cid=cid,
        group=draw(CIDS),
        size=draw(st.integers(1, GROUP_CHANGES_MAX)),
        op=draw(st.sampled_from(["create", "edit"])),
        entity=draw(NAMES),
        id=draw(NAMES),
        fields={
            path: Value(
                draw(JSON_VALUES),
                draw(st.sampled_from([None, "pos", "rule"])),
                draw(st.sampled_from([None, "verified"])),
            )
            for path in paths
        },
        seen={path: draw(others) for path in paths[:2]},
        stamp=draw(st.none() | st.integers(-(2**63), 2**63 - 1)),
        stated=Stated(draw(st.integers(-(2**53) + 1, 2**53 - 1)), draw(st.integers(-(10**9), 10**9))),
        schema=draw(st.integers(0, 2**31 - 1)),
        actor=draw(st.none() | NAMES),
        replaces=draw(st.none() | CIDS),
    )


def refused_cid(raw: bytes) -> str | None:
    """The cid that is told of these bytes, whether they hold a change or not."""
    try:
        return changes.decode(raw).cid
    except Malformed as malformed:
        return malformed.cid


@given(well_formed())
def test_decode_is_the_inverse_of_encode(made):
    raw = changes.encode(made)
    assert changes.decode(raw) == made
    assert changes.encode(changes.decode(raw)) == raw


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_malformed_and_nothing_else(raw):
    with pytest.raises(Malformed) as caught:
        changes.decode(raw)
    assert caught.value.reason


@given(JSON_VALUES)
def test_arbitrary_json_is_malformed_and_nothing_else(value):
    with pytest.raises(Malformed):
        changes.decode(orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_SUBCLASS))


@given(well_formed(), st.data())
def test_mutated_bytes_are_a_change_or_malformed(made, data):
    raw = bytearray(changes.encode(made))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        cut = data.draw(st.integers(at, min(len(raw), at + 3)))
        raw[at:cut] = data.draw(
            st.sampled_from([b"", b"\0", b"\xff", b'"', b"{", b"[", b"1e999", b"9" * 30, b"\\ud800"])
        )
    cid = refused_cid(bytes(raw))
    assert cid is None or changes.is_cid(cid)


PLAIN = orjson.loads(changes.encode(change(1, {"name": "林"}, seen={"name": [2]})))


@given(well_formed(), st.sampled_from(sorted(Change.__struct_fields__)), JSON_VALUES)
def test_a_member_of_any_other_value_is_a_change_or_malformed_under_its_cid(made, member, value):
    said = orjson.loads(changes.encode(made)) | {member: value}
    expected = said["cid"] if changes.is_cid(said["cid"]) else None
    assert refused_cid(orjson.dumps(said)) == expected


@pytest.mark.parametrize(
    "altered",
    [
        {"cid": "A" * 32},
        {"cid": "1" * 31},
        {"cid": "1" * 33},
        {"group": "g" * 32},
        {"group": ""},
        {"replaces": "x"},
        {"size": 0},
        {"size": GROUP_CHANGES_MAX + 1},
        {"size": 1.5},
        {"op": "delete"},
        {"entity": None},
        {"entity": "cust\0omer"},
        {"entity": "e" * (NAME_CHARS_MAX + 1)},
        {"id": "\0"},
        {"id": "i" * (NAME_CHARS_MAX + 1)},
        {"actor": "\0"},
        {"fields": []},
        {"fields": {"name": "林"}},
        {"fields": {"name": {"value": "林", "source": "rumour"}}},
        {"fields": {"name": {"value": "林", "verified": True}}},
        {"fields": {"name": {}}},
        {"fields": {"name": {"value": 1}, "n\0": {"value": 1}}},
        {"seen": {"kind": [cid_of(2)]}},
        {"seen": {"name": ["x"]}},
        {"seen": {"name": [cid_of(1)]}},
        {"seen": {"name": [cid_of(2)] * (SEEN_MAX + 1)}},
        {"stamp": 2**63},
        {"stamp": -(2**63) - 1},
        {"stamp": "1"},
        {"stated": {"at": 2**53}},
        {"stated": {"at": -(2**53)}},
        {"stated": {"at": 0, "offset": 2**53}},
        {"stated": {}},
        {"schema": -1},
        {"schema": 2**31},
    ],
    ids=str,
)
def test_a_misshapen_member_is_named_and_the_cid_reported(altered):
    said = PLAIN | altered
    with pytest.raises(Malformed) as caught:
        changes.decode(msgspec.json.encode(said))
    assert caught.value.cid == (said["cid"] if "cid" not in altered else None)
    assert len(caught.value.reason) < 300


@pytest.mark.parametrize("member", ["cid", "group", "op", "entity", "id", "fields", "stated", "schema"])
def test_a_missing_member_is_malformed(member):
    said = {name: value for name, value in PLAIN.items() if name != member}
    with pytest.raises(Malformed) as caught:
        changes.decode(orjson.dumps(said))
    assert caught.value.cid == said.get("cid")


@pytest.mark.parametrize(
    "value",
    [
        b"NaN",
        b"Infinity",
        b"1e999",
        b"9" * 5_000,
        b'"\\ud800"',
        b"[" * 5_000 + b"]" * 5_000,
        b"\xff",
        b'"\0"',
        b"",
    ],
    ids=["nan", "infinity", "float", "int", "surrogate", "deep", "utf-8", "control", "nothing"],
)
def test_a_value_that_json_cannot_carry_is_malformed(value):
    raw = orjson.dumps(PLAIN).replace('"林"'.encode(), value)
    with pytest.raises(Malformed):
        changes.decode(raw)


@pytest.mark.parametrize(
    "altered",
    [
        {"size": GROUP_CHANGES_MAX},
        {"stamp": 2**63 - 1},
        {"stamp": -(2**63)},
        {"stated": {"at": 2**53 - 1, "offset": -(2**53) + 1}},
        {"seen": {"name": [cid_of(2)] * SEEN_MAX}},
        {"schema": 0},
        {"id": "i" * NAME_CHARS_MAX},
        {"later": "a member that a newer version added"},
    ],
    ids=str,
)
def test_the_limits_themselves_are_taken(altered):
    changes.decode(orjson.dumps(PLAIN | altered))


@given(st.text(alphabet="0123456789abcdefABCg\n ", max_size=40))
def test_a_cid_is_32_lower_case_hex_digits(text):
    assert changes.is_cid(text) == (len(text) == 32 and set(text) <= set("0123456789abcdef"))
    assert not changes.is_cid(None)


@given(st.lists(st.integers(1, 3)))
def test_consecutive_members_of_a_transaction_stand_together(numbers):
    made = [change(i, {}, group=number) for i, number in enumerate(numbers)]
    found = list(changes.groups(made))
    assert [c for group in found for c in group] == made
    assert all(len({c.group for c in group}) == 1 for group in found)
    assert all(one[0].group != other[0].group for one, other in pairwise(found))


def test_changes_written_together_are_tied_under_the_cid_of_the_first():
    drafted = [change(n, {"name": str(n)}) for n in (3, 1, 2)]
    tied = changes.grouped(drafted)
    assert [(c.cid, c.group, c.size) for c in tied] == [(c.cid, cid_of(3), 3) for c in drafted]
    assert [c.fields for c in tied] == [c.fields for c in drafted]
    assert list(changes.groups(tied)) == [tied]
