"""The log: each entry's hash covers what it says and everything before it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_sync import log
from regulars_sync.log import START, Entry, body_digest, entry_hash

KEYS = st.binary(min_size=log.KEY_BYTES, max_size=log.KEY_BYTES)


def entry(**members: object) -> Entry:
    said = {"cid": "1" * 32, "group": "1" * 32, "entity": "customer", "id": "i", "verdict": "applied"}
    return Entry(**(said | members))  # type: ignore[arg-type]


@given(KEYS, st.binary(), KEYS, st.binary())
def test_body_digests_are_equal_exactly_for_equal_key_and_body(key, body, other_key, other_body):
    same = body_digest(key, body) == body_digest(other_key, other_body)
    assert same == ((key, body) == (other_key, other_body))


@pytest.mark.parametrize(
    "altered",
    [
        {"cid": "2" * 32},
        {"verdict": "held"},
        {"code": "row_unknown"},
        {"at_ms": 1},
        {"closed": True},
        {"digest": b"d" * 16},
    ],
    ids=str,
)
def test_whatever_an_entry_says_is_in_its_hash(altered):
    assert entry_hash(START, entry(**altered)) != entry_hash(START, entry())


def test_an_altered_entry_breaks_every_hash_after_it():
    def chain(entries):
        found = [START]
        for e in entries:
            found.append(entry_hash(found[-1], e))
        return found

    told = [entry(at_ms=n) for n in range(5)]
    honest, forged = chain(told), chain([*told[:2], entry(at_ms=9), *told[3:]])
    assert [a == b for a, b in zip(honest, forged, strict=True)] == [True] * 3 + [False] * 3


def test_erasing_body_and_key_keeps_the_hash():
    key = b"k" * 16
    kept = entry(body=b"{}", key=key, digest=body_digest(key, b"{}"))
    before = entry_hash(START, kept)
    kept.body = kept.key = None
    assert entry_hash(START, kept) == before


SAID = [{}, {"field": "phones/+8613800138000"}, {"detail": {"value": "林芳"}}]


@pytest.mark.parametrize("said", SAID, ids=str)
@pytest.mark.parametrize("body", [b"{}", None])
def test_erasing_what_an_entry_says_of_a_person_keeps_the_hash(said, body):
    kept = entry(body=body, **said)
    kept.seal(b"k" * 16)
    before = entry_hash(START, kept)
    assert kept.is_sealed()
    for altered in ({"field": "other"}, {"detail": {"value": "x"}}, {"body": b"[]"}):
        assert not replace(kept, **altered).is_sealed()
    kept.body = kept.key = kept.field = kept.detail = None
    assert entry_hash(START, kept) == before
    assert kept.is_sealed()
    assert kept.is_emptied


@pytest.mark.parametrize("said", [{"body": b"{}"}, {"field": "name"}, {"detail": {}}], ids=str)
def test_an_entry_that_says_something_has_a_key(said):
    assert not entry(**said).is_sealed()
    assert entry().is_sealed()
    assert not entry().is_emptied


@pytest.mark.parametrize(
    ("verdict", "closed", "is_accepted", "is_open"),
    [
        ("applied", False, True, False),
        ("merged", False, True, False),
        ("held", False, False, True),
        ("rejected", False, False, True),
        ("held", True, False, False),
        ("rejected", True, False, False),
    ],
)
def test_an_entry_is_accepted_or_open_or_closed(verdict, closed, is_accepted, is_open):
    found = entry(verdict=verdict, closed=closed)
    assert (found.is_accepted, found.is_open) == (is_accepted, is_open)
