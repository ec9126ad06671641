"""Who is one person: the clusters that decisions make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_sync.identity import APART, SAME, Clusters, Edge, clusters, survivor

ABC = frozenset("abc")


@pytest.mark.parametrize(
    ("decided", "expected"),
    [
        ([], Clusters({}, [])),
        ([("a", "b", "proposed")], Clusters({}, [])),
        ([("a", "b", "not_same"), ("c", "d", "household")], Clusters({}, [])),
        ([("a", "b", "same"), ("b", "c", "same")], Clusters(dict.fromkeys("abc", ABC), [])),
        ([("a", "b", "same"), ("b", "c", "proposed")], Clusters(dict.fromkeys("ab", frozenset("ab")), [])),
        ([("a", "b", "same"), ("c", "b", "same"), ("a", "c", "not_same")], Clusters({}, [ABC])),
        ([("a", "b", "same"), ("c", "b", "same"), ("c", "a", "household")], Clusters({}, [ABC])),
        (
            [("a", "b", "same"), ("c", "d", "same"), ("b", "c", "not_same")],
            Clusters(dict.fromkeys("ab", frozenset("ab")) | dict.fromkeys("cd", frozenset("cd")), []),
        ),
    ],
)
def test_connected_customers_are_one_unless_two_of_them_are_not(decided, expected):
    assert clusters(Edge(*said) for said in decided) == expected


pairs = st.lists(st.sampled_from("abcdef"), min_size=2, max_size=2, unique=True).map(sorted).map(tuple)
decisions = st.dictionaries(pairs, st.sampled_from([SAME, SAME, "proposed", *sorted(APART)]), max_size=9)


@given(decisions, st.randoms())
def test_clusters_depend_on_the_set_of_decisions_only(decided, rnd):
    edges = [Edge(one, other, decision) for (one, other), decision in decided.items()]
    found = clusters(edges)
    rnd.shuffle(edges)
    assert clusters([Edge(edge.other, edge.one, edge.decision) for edge in edges]) == found
    assert all(id in members for id, members in found.of.items())
    assert not {member for members in found.contradictory for member in members} & found.of.keys()


@given(decisions, pairs)
def test_taking_a_decision_back_restores_the_clusters_exactly(decided, pair):
    before = {pair_: decision for pair_, decision in decided.items() if pair_ != pair}
    edges = [Edge(one, other, decision) for (one, other), decision in before.items()]
    taken_back = Edge(pair[0], pair[1], "proposed")
    assert clusters([*edges, taken_back]) == clusters(edges)


def test_the_survivor_is_the_same_for_everybody():
    assert survivor({"b", "a", "c"}) == "a"
