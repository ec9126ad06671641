"""Trails: equal exactly when incarnation and history are."""

from hypothesis import given
from hypothesis import strategies as st

from regulars_sync import trail

CIDS = st.lists(st.integers(0, 2**128 - 1).map(lambda n: f"{n:032x}"), max_size=6)
INCARNATIONS = st.integers(0, 2**64 - 1).map(lambda n: f"{n:016x}")


def walked(incarnation: str, cids: list[str]) -> dict[int, str]:
    found = {0: trail.start(incarnation)}
    for n, cid in enumerate(cids, 1):
        found[n] = trail.extend(found[n - 1], cid)
    return found


@given(INCARNATIONS, CIDS, INCARNATIONS, CIDS)
def test_trails_are_equal_exactly_for_equal_histories(one, cids, other, other_cids):
    same = walked(one, cids)[len(cids)] == walked(other, other_cids)[len(other_cids)]
    assert same == ((one, cids) == (other, other_cids))


@given(INCARNATIONS, CIDS, st.integers(0, 7))
def test_acknowledged_means_this_very_history_up_to_n(incarnation, cids, n):
    own = walked(incarnation, cids)
    assert trail.acknowledged(own, n, own.get(n, "")) == (n in own)
    assert not trail.acknowledged(own, n, own[0][::-1] + "0")


@given(INCARNATIONS, CIDS.filter(bool), st.data())
def test_a_copied_replica_that_wrote_something_else_is_not_acknowledged(incarnation, cids, data):
    at = data.draw(st.integers(0, len(cids) - 1))
    other = [*cids[:at], f"{int(cids[at], 16) ^ 1:032x}", *cids[at + 1 :]]
    own, theirs = walked(incarnation, cids), walked(incarnation, other)
    for n in own:
        assert trail.acknowledged(own, n, theirs[n]) == (n <= at)
