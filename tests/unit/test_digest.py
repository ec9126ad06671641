"""Digests: equal exactly when the same rows are held, in whatever order they came."""

from hypothesis import given
from hypothesis import strategies as st

from regulars_sync import digest
from regulars_sync.digest import EMPTY

ROWS = st.sets(st.tuples(st.sampled_from(["customer", "link"]), st.binary(max_size=8)), max_size=8)


def of(rows):
    return digest.add(EMPTY, (digest.row_hash(*row) for row in rows))


@given(ROWS, ROWS)
def test_digests_are_equal_exactly_for_equal_sets_of_rows(one, other):
    assert (of(one) == of(other)) == (one == other)


@given(ROWS, st.randoms())
def test_the_order_of_rows_does_not_count(rows, random):
    assert of(random.sample(sorted(rows), len(rows))) == of(sorted(rows))


@given(ROWS, ROWS)
def test_rows_taken_out_leave_the_digest_of_the_others(kept, gone):
    gone -= kept
    assert digest.add(of(kept | gone), (digest.row_hash(*row) for row in gone), -1) == of(kept)


@given(ROWS)
def test_a_digest_counts_rows_and_spells_32_hex_digits(rows):
    found = of(rows)
    assert found.rows == len(rows)
    assert len(found.hash) == 32
    assert EMPTY == (0, "0" * 32)


def test_the_entity_counts_as_much_as_the_bytes():
    assert digest.row_hash("customer", b"{}") != digest.row_hash("link", b"{}")
    assert len(digest.row_hash("customer", b"{}")) == digest.HASH_BYTES
