"""Ids: drawn ones sort by time, derived ones agree everywhere."""

from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.declare import is_id
from regulars_sync.ids import ENTROPY_BYTES, link_id, row_id, uuid7

MS = st.integers(0, 2**48 - 1)
ENTROPY = st.binary(min_size=ENTROPY_BYTES, max_size=ENTROPY_BYTES)
PART = st.text(st.characters(), max_size=12)


@given(MS, ENTROPY, MS, ENTROPY)
def test_drawn_ids_sort_by_time(ms, entropy, other_ms, other_entropy):
    if ms != other_ms:
        one, other = uuid7(ms, entropy), uuid7(other_ms, other_entropy)
        assert (one < other) == (ms < other_ms)


@given(MS, ENTROPY)
def test_drawn_id_is_a_uuid7_that_tells_its_time(ms, entropy):
    drawn = uuid7(ms, entropy)
    assert is_id(drawn)
    assert (UUID(drawn).version, UUID(drawn).variant) == (7, RFC_4122)
    assert UUID(drawn).int >> 80 == ms


def test_drawn_id_is_spelled_as_in_the_rfc():
    # RFC 9562, A.6: rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F.
    entropy = (0xCC3 << 62 | 0x18C4DC0C0C07398F).to_bytes(ENTROPY_BYTES)
    assert uuid7(0x017F22E279B0, entropy) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(ENTROPY, st.integers(0, 73))
def test_every_used_bit_of_entropy_makes_another_id(entropy, bit):
    flipped = (int.from_bytes(entropy) ^ 1 << bit).to_bytes(ENTROPY_BYTES)
    assert uuid7(0, entropy) != uuid7(0, flipped)


@pytest.mark.parametrize(
    ("ms", "entropy"), [(-1, bytes(10)), (2**48, bytes(10)), (0, bytes(9)), (0, bytes(16))]
)
def test_drawn_id_refuses_what_it_cannot_hold(ms, entropy):
    with pytest.raises(ValueError, match="must be"):
        uuid7(ms, entropy)


@given(PART, PART, PART)
def test_derived_id_is_a_uuid8(source, entity, external_id):
    derived = row_id(source, entity, external_id)
    assert is_id(derived)
    assert (UUID(derived).version, UUID(derived).variant) == (8, RFC_4122)


@given(st.tuples(PART, PART, PART), st.tuples(PART, PART, PART))
def test_derived_ids_are_equal_only_for_equal_parts(parts, others):
    assert (row_id(*parts) == row_id(*others)) == (parts == others)


def test_derived_id_depends_on_where_one_part_ends():
    assert row_id("ab", "c", "d") != row_id("a", "bc", "d") != row_id("a", "b", "cd")


def test_derived_ids_never_change_between_releases():
    assert row_id("pos", "customer", "C-00001") == "9c15a203-1855-88e4-891c-da8224c3e960"
    assert link_id("a", "b", "family") == "9d0abacf-c1dd-8d55-a6d0-969d1d78f2f8"


def test_link_and_row_of_the_same_words_differ():
    assert link_id("a", "b", "c") != row_id("a", "b", "c")


def test_link_id_keeps_its_direction():
    assert link_id("a", "b", "family") != link_id("b", "a", "family")
