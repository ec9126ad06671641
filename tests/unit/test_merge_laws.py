"""Values side by side: every arrival order and every repetition leaves the same fields and the same bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.declare import Level, Rule
from regulars_sync import document, merge
from regulars_sync.changes import Change, Value
from regulars_sync.merge import Candidate
from tests.unit.histories import (
    GRADE,
    LATTICES,
    NOW_STAMP,
    THING,
    VALUES,
    change,
    cid_of,
    documents_of,
    histories,
    replay,
)

ORDERS = histories().flatmap(lambda made: st.tuples(st.just(made), st.permutations(made)))


@given(ORDERS, st.data())
def test_every_arrival_order_and_repetition_gives_the_same_values_and_bytes(orders, data):
    made, arriving = orders
    again = data.draw(st.lists(st.sampled_from(made), max_size=4))
    one, other = replay(THING, made), replay(THING, [*arriving, *again])
    assert document.shown(THING, one) == document.shown(THING, other)
    assert {p: (r.values, r.kept) for p, r in one.items()} == {
        p: (r.values, r.kept) for p, r in other.items()
    }
    assert documents_of(THING, one) == documents_of(THING, other)


@given(ORDERS, st.integers(0, 7))
def test_a_row_that_was_stored_and_read_between_two_changes_ends_the_same(orders, cut):
    made, arriving = orders
    accepted: set[str] = set()
    documents: dict[Level, bytes] = {}
    for arrived in arriving:
        registers = document.decode(documents)
        accepted.add(arrived.cid)
        merge.apply(registers, THING, arrived, arrived.stamp, accepted.__contains__)
        documents = documents_of(THING, registers)
    assert documents == documents_of(THING, replay(THING, made))


# --- a reference model, written from the design and not from the code -----------------------------


def modelled_values(accepted: list[Change], path: str) -> set[tuple[str, str]]:
    """A field holds every accepted value whose cid no accepted change has seen in that field."""
    writers = [c for c in accepted if path in c.fields]
    if path in LATTICES:
        ranks = {value: i for i, value in enumerate([None, *GRADE.values])}
        best = min(writers, key=lambda c: (-ranks[c.fields[path].value], c.stamp, c.cid))
        return {(best.cid, repr(best.fields[path]))}
    seen = {cid for c in accepted for cid in c.seen.get(path, ())}
    return {(c.cid, repr(c.fields[path])) for c in writers if c.cid not in seen}


def modelled_choice(rule: Rule, values: list[Change], path: str) -> str:
    """The cid of the shown value, from the words of the design."""

    def value(c):
        return c.fields[path].value

    earliest = sorted(values, key=lambda c: (c.stamp, c.cid))
    latest = earliest[::-1]
    given_ = [c for c in earliest if value(c) is not None] or earliest
    match rule:
        case Rule.VERIFIED:
            preferred = [c for c in latest if c.fields[path].verified == "verified"]
        case Rule.SET_ADD | Rule.ANY_TRUE:
            preferred = [c for c in latest if value(c)]
        case Rule.SET_REMOVE:
            preferred = [c for c in latest if not value(c)]
        case Rule.REVIEW | Rule.LATTICE:
            preferred = earliest
        case Rule.MIN:
            preferred = [c for c in given_ if value(c) == min(map(value, given_), key=str)]
        case Rule.MAX:
            preferred = [c for c in given_ if value(c) == max(map(value, given_), key=str)]
        case _:
            preferred = latest
    return (preferred or latest)[0].cid


@given(ORDERS)
def test_the_merge_equals_the_reference_model(orders):
    made, arriving = orders
    registers = replay(THING, arriving)
    for path in {path for c in made for path in c.fields}:
        expected = modelled_values(made, path)
        held = registers[path].values
        assert {(c.cid, repr(Value(c.value, c.source, c.verified))) for c in held.values()} == expected
        if path not in LATTICES:
            seen = {cid for c in made for cid in c.seen.get(path, ())}
            assert registers[path].kept == seen - {c.cid for c in made}
        if held:
            present = [c for c in made if c.cid in held]
            chosen = merge.choose(THING.at(path)[0], held.values())
            assert chosen.cid == modelled_choice(THING.at(path)[0].rule, present, path)


# --- laws -----------------------------------------------------------------------------------------


@st.composite
def candidates(draw):
    path = draw(st.sampled_from(sorted(VALUES)))
    cids = draw(st.lists(st.integers(1, 9), min_size=1, max_size=5, unique=True))
    return path, [
        Candidate(
            cid_of(n),
            draw(st.integers(0, 3)),
            draw(VALUES[path]),
            None,
            draw(st.sampled_from([None, "verified"])),
        )
        for n in cids
    ]


@given(candidates(), st.randoms())
def test_the_choice_depends_on_the_set_of_values_only(given_, random):
    path, values = given_
    field = THING.at(path)[0]
    shuffled = random.sample(values, len(values))
    assert merge.choose(field, shuffled) == merge.choose(field, values)


@given(histories())
def test_an_accepted_change_removes_exactly_what_it_saw(made):
    *before, last = made
    held = replay(THING, before)
    after = replay(THING, made)
    for path in held:
        expected = dict(held[path].values)
        if path in last.fields and path not in LATTICES:
            for cid in last.seen.get(path, ()):
                expected.pop(cid, None)
            expected[last.cid] = after[path].values[last.cid]
        if path not in LATTICES:
            assert after[path].values == expected


@given(ORDERS)
def test_a_seen_value_never_comes_back(orders):
    _, arriving = orders
    for cut in range(len(arriving) + 1):
        registers = replay(THING, arriving[:cut])
        for c in arriving[:cut]:
            for path, cids in c.seen.items():
                if path not in LATTICES:
                    assert not registers[path].values.keys() & set(cids)


@given(histories())
def test_changes_that_saw_all_before_them_leave_one_value(made):
    registers: merge.Registers = {}
    accepted: set[str] = set()
    for c in made:
        accepted.add(c.cid)
        seen = {path: [*registers[path].values] for path in c.fields if path in registers}
        aware = change(int(c.cid, 16), c.fields, stamp=c.stamp)
        aware.seen.update(seen)
        merge.apply(registers, THING, aware, c.stamp, accepted.__contains__)
        others = {path: v for path, v in c.fields.items() if path not in LATTICES}
        assert merge.stands_alone(registers, c.cid, others)
    assert merge.contested(registers) == []


@given(candidates(), st.permutations(range(5)))
def test_a_lattice_is_a_join(given_, order):
    _, values = given_
    grades = [c._replace(value=list(GRADE.values)[i % 3]) for i, c in enumerate(values)]
    field = THING.by_name["grade"]

    def join(one, other):
        return merge.choose(field, [one, other])

    a, b, c = (grades * 3)[:3]
    assert join(a, b) == join(b, a)
    assert join(a, join(b, c)) == join(join(a, b), c)
    assert join(a, a) == a
    ranks = GRADE.rank
    assert ranks[join(a, b).value] == max(ranks[a.value], ranks[b.value])


def test_a_lattice_ignores_what_was_seen():
    high = change(1, {"grade": "high"})
    low = change(2, {"grade": "low"}, seen={"grade": [1]})
    assert document.shown(THING, replay(THING, [high, low])) == {"grade": "high"}
    assert document.shown(THING, replay(THING, [low, high])) == {"grade": "high"}


def test_equal_stamps_are_decided_by_cid():
    one, two = change(1, {"last": "a"}, stamp=5), change(2, {"last": "b"}, stamp=5)
    assert document.shown(THING, replay(THING, [two, one])) == {"last": "b"}


@pytest.mark.parametrize(
    ("path", "first", "second", "shown"),
    [
        ("last", "old", "new", "new"),
        ("least", "a", None, "a"),
        ("least", "b", "a", "a"),
        ("most", None, "a", "a"),
        ("most", "b", "a", "b"),
        ("added/x", True, False, True),
        ("removed/x", True, False, False),
        ("removed/x", False, True, False),
        ("ever", True, False, True),
        ("grade", "high", "low", "high"),
        ("asked", "old", "new", "old"),
        ("sure", Value("old", None, "verified"), "new", "old"),
        ("sure", Value("old", None, "pending"), "new", "new"),
    ],
)
def test_of_two_writers_who_did_not_see_each_other_the_rule_decides(path, first, second, shown):
    one, two = change(1, {path: first}), change(2, {path: second})
    for order in ([one, two], [two, one]):
        registers = replay(THING, order)
        assert document.shown(THING, registers) == {path: shown}
        assert path == "grade" or merge.contested(registers) == [path]


def test_a_change_that_arrives_after_the_one_that_saw_it_is_cancelled_but_accepted():
    late, aware = change(1, {"last": "old"}), change(2, {"last": "new"}, seen={"last": [1]})
    registers = replay(THING, [aware])
    assert registers["last"].kept == {cid_of(1)}
    merge.apply(registers, THING, late, NOW_STAMP + 9, {cid_of(2)}.__contains__)
    assert document.shown(THING, registers) == {"last": "new"}
    assert registers["last"].kept == set()


def test_what_another_row_accepted_stays_with_the_field():
    aware = change(2, {"last": "new"}, seen={"last": [90]})
    registers = replay(THING, [aware])
    assert registers["last"].kept == {cid_of(90)}
    assert merge.stands_alone(registers, aware.cid, aware.fields)


def test_a_copied_register_shares_nothing():
    registers = replay(THING, [change(1, {"last": "a"}, seen={"last": [90]})])
    copied = registers["last"].copy()
    copied.values.clear()
    copied.kept.clear()
    assert registers["last"].values
    assert registers["last"].kept
