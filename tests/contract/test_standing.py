"""Where customers stand, in every storage: who is due, what is kept of them, what moved."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regulars_schema.entities import REGISTRY
from regulars_server.storage.interface import All, Batch, Member, Not, Order, Person, Stands, Storage
from regulars_server.storage.interface import Test as Probe
from regulars_server.storage.memory import MemoryStorage
from regulars_server.storage.postgres import PostgresStorage
from regulars_server.storage.sqlite import SqliteStorage, inline
from regulars_server.storage.standing import (
    DEED,
    EVERYBODY,
    LINE,
    Checked,
    Concern,
    Counted,
    Cuts,
    Due,
    Home,
    Movement,
    Sweep,
)
from regulars_sync.errors import Refused
from regulars_sync.ids import identity_id
from tests.contract.rows import UNITS, Scribe, uid

A, B = "a", "b"
LATER = 10**9


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    made: Storage
    match request.param:
        case "memory":
            made = MemoryStorage(REGISTRY)
        case "sqlite":
            made = SqliteStorage(tmp_path / "chain.db", REGISTRY)
        case _:
            made = PostgresStorage(request.getfixturevalue("postgres_url"), REGISTRY)
    await made.open()
    while await made.sweep_on(0, 10):
        pass
    yield made
    await made.close()


@pytest.fixture
def scribe() -> Scribe:
    return Scribe()


async def commit(storage: Storage, *due: int, **more: Any) -> int:
    async with storage.writer() as writer:
        return (await writer.commit(Batch(due={uid(id) for id in due}, **more))).seq


async def units(storage: Storage, scribe: Scribe) -> None:
    """The first is above the second and the third, the fourth stands alone."""
    for id, parent in zip(UNITS, (None, UNITS[0], UNITS[1], None), strict=True):
        said = {"name": "U", "kind": "branch", **({"parent": parent} if parent else {})}
        ((ruling,), _) = await scribe.push(storage, [scribe.change("unit", id, said)])
        assert ruling.verdict == "applied"


async def customers(storage: Storage, scribe: Scribe, *numbers: int) -> None:
    for number in numbers:
        await scribe.push(storage, [scribe.customer(number)])


async def head(storage: Storage) -> int:
    async with storage.unscoped_reader() as reader:
        return (await reader.head()).seq


def moved(customer: int, key: str, before: str | None, after: str | None, **more: Any) -> Movement:
    return Movement(0, 5, uid(customer), more.get("what", "standing"), key, before, after, more.get("reason"))


async def kept(storage: Storage, *numbers: int) -> tuple[dict[str, Any], dict[str, Any]]:
    ids = [uid(number) for number in numbers]
    async with storage.unscoped_reader() as reader:
        return await reader.standings(ids), await reader.memberships(ids)


# --- who is due -------------------------------------------------------------------------------------------


async def test_who_is_due_is_taken_by_one_worker_until_it_lets_go(storage, scribe):
    await customers(storage, scribe, 1, 2, 3)
    async with storage.unscoped_reader() as reader:
        assert await reader.next_due() is None
    await commit(storage, 2, 1, 9)
    async with storage.unscoped_reader() as reader:
        assert await reader.next_due() == 0
    assert await storage.claim(A, 100, 50, 1) == [Due(uid(1), 2, None)]
    assert await storage.claim(B, 100, 50, 5) == [Due(uid(2), 2, None)]
    assert await storage.claim(B, 149, 50, 5) == []
    async with storage.unscoped_reader() as reader:
        assert await reader.next_due() == 150
    assert await storage.claim(B, 150, 50, 1) == [Due(uid(1), 2, None)]
    await storage.conclude(B, await head(storage), [], [uid(1), uid(3)])
    assert [due.customer for due in await storage.claim(A, 151, 50, 5)] == [uid(1), uid(2)]


async def test_who_was_written_of_is_taken_before_and_without_those_who_wait_for_other_reasons(
    storage, scribe
):
    await customers(storage, scribe, 1, 2, 3, 4, 5)
    while await storage.sweep_on(5, 9):
        pass
    await commit(storage, swept={EVERYBODY})
    while await storage.sweep_on(5, 9):
        pass
    await commit(storage, 4, 3)
    for who in ([3, 4], [1], [2], [5]):
        taken = await storage.claim(A, 9, 50, 9, 1)
        assert [due.customer for due in taken] == [uid(n) for n in who]


async def test_what_was_found_is_kept_and_is_due_again_when_it_says(storage, scribe):
    await customers(storage, scribe, 1)
    seq = await commit(storage, 1)
    await storage.claim(A, 1, 50, 5)
    told = await storage.conclude(
        A,
        seq,
        [
            Checked(
                uid(1),
                [uid(1)],
                700,
                standing=[("tier", "gold", 5), ("motive", "fame", 5), ("motive", "cheap", 5)],
                membership=[(uid(70), 5)],
                movements=[
                    moved(1, "tier", None, "gold", reason={"rule": "x"}),
                    moved(1, uid(70), None, "member", what="membership"),
                ],
            )
        ],
    )
    assert [(movement.n, movement.key) for movement in told] == [(1, "tier"), (2, uid(70))]
    standing = {"tier": {"gold": 5}, "motive": {"cheap": 5, "fame": 5}}
    assert await kept(storage, 1, 2) == ({uid(1): standing}, {uid(1): {uid(70): 5}})
    async with storage.unscoped_reader() as reader:
        assert await reader.next_due() == 700
        assert await reader.movements(5) == told[::-1]
    assert await storage.claim(A, 699, 50, 5) == []
    assert await storage.claim(A, 700, 50, 5) == [Due(uid(1), 0, seq, since=700)]
    again = Checked(
        uid(1),
        [uid(1)],
        None,
        standing=[("tier", "silver", 6)],
        no_standing=[(uid(1), "tier", "gold"), (uid(1), "motive", "fame")],
        no_membership=[(uid(1), uid(70))],
        movements=[moved(1, "tier", "gold", "silver")],
    )
    await storage.conclude(A, seq, [again])
    assert await kept(storage, 1) == ({uid(1): {"tier": {"silver": 6}, "motive": {"cheap": 5}}}, {})
    async with storage.unscoped_reader() as reader:
        assert await reader.next_due() is None
        assert [m.n for m in await reader.movements(5)] == [3, 2, 1]


async def test_nothing_is_kept_of_what_changed_meanwhile_and_it_stays_due(storage, scribe):
    await customers(storage, scribe, 1)
    seq = await commit(storage, 1)
    await storage.claim(A, 1, 50, 5)
    await commit(storage, 1)
    movements = [moved(1, "tier", None, "gold")]
    checked = [Checked(uid(1), [uid(1)], 700, [("tier", "gold", 5)], movements=movements)]
    assert await storage.conclude(A, seq, checked) == []
    assert await kept(storage, 1) == ({}, {})
    assert await storage.claim(A, 1, 50, 5) == [Due(uid(1), 2, None)]
    assert len(await storage.conclude(A, await head(storage), checked)) == 1


async def test_nothing_is_kept_of_whom_another_has_taken_since(storage, scribe):
    await customers(storage, scribe, 1)
    seq = await commit(storage, 1)
    await storage.claim(A, 1, 50, 5)
    await storage.claim(B, 51, 50, 5)
    checked = [Checked(uid(1), [uid(1)], 700, movements=[moved(1, "tier", None, "gold")])]
    assert await storage.conclude(A, seq, checked) == []
    assert len(await storage.conclude(B, seq, checked)) == 1
    assert await storage.conclude(B, seq, checked) == []


async def test_a_person_is_kept_under_the_survivor_alone(storage, scribe):
    await customers(storage, scribe, 1, 2)
    seq = await commit(storage, 1, 2)
    await storage.claim(A, 1, 50, 5)
    for id in (1, 2):
        await storage.conclude(A, seq, [Checked(uid(id), [uid(id)], None, [("tier", "gold", id)])])
    link = {"one": uid(1), "other": uid(2), "decision": "same"}
    await scribe.push(storage, [scribe.change("identity", identity_id(uid(1), uid(2)), link)])
    seq = await commit(storage, 2)
    assert [due.customer for due in await storage.claim(A, 1, 50, 5)] == [uid(2)]
    one = Checked(uid(1), [uid(1), uid(2)], 9, no_standing=[(uid(2), "tier", "gold")])
    await storage.conclude(A, seq, [one])
    assert await kept(storage, 1, 2) == ({uid(1): {"tier": {"gold": 1}}}, {})
    assert await storage.claim(A, LATER, 50, 5) == [Due(uid(1), 0, seq, since=9)]
    async with storage.unscoped_reader() as reader:
        test = Person(Stands("tier", ("gold",)))
        assert [row.id for row in await reader.select("customer", test, Order(), 9)] == [uid(1)]


async def test_whoever_is_at_the_end_of_a_link_is_due_a_link_fewer_further(storage, scribe):
    await customers(storage, scribe, 1, 2)
    seq = await commit(storage, 1)
    await storage.claim(A, 1, 50, 5)
    await storage.conclude(A, seq, [Checked(uid(1), [uid(1)], None, others=[uid(2), uid(9)], hops=1)])
    assert await storage.claim(A, 1, 50, 5) == [Due(uid(2), 1, None)]


async def test_whom_a_fact_named_that_is_corrected_is_due(storage, scribe):
    await customers(storage, scribe, 1, 2, 3, 4)
    facts = [scribe.fact(50, 1), scribe.fact(51, 2, supersedes=uid(50)), scribe.fact(53, 4)]
    await scribe.push(storage, facts)
    await storage.claim(A, 1, 50, 9)
    await storage.conclude(A, await head(storage), [Checked(uid(id), [uid(id)], None) for id in (1, 2, 3, 4)])
    await scribe.push(storage, [scribe.fact(52, 3, supersedes=uid(51))])
    assert [due.customer for due in await storage.claim(A, LATER, 50, 9)] == [uid(1), uid(2), uid(3)]


async def test_nothing_is_kept_of_whom_was_erased(storage, scribe):
    await customers(storage, scribe, 1, 2)
    seq = await commit(storage, 1, 2)
    await storage.claim(A, 1, 50, 5)
    checked = [
        Checked(
            uid(id),
            [uid(id)],
            9,
            [("tier", "gold", 5)],
            membership=[(uid(70), 5)],
            movements=[moved(id, "tier", None, "gold")],
        )
        for id in (1, 2)
    ]
    await storage.conclude(A, seq, checked)
    async with storage.writer() as writer:
        await writer.commit(Batch(erased=[("customer", uid(1))], due={uid(1)}))
    assert set((await kept(storage, 1, 2))[0]) == {uid(2)}
    async with storage.unscoped_reader() as reader:
        assert [movement.customer for movement in await reader.movements(9)] == [uid(2)]
    assert [due.customer for due in await storage.claim(A, LATER, 50, 5)] == [uid(2)]
    assert await storage.conclude(A, LATER, checked[:1]) == []


async def test_a_sweep_makes_everybody_due_by_and_by(storage, scribe):
    await customers(storage, scribe, 1, 2, 3)
    seq = await commit(storage, swept={EVERYBODY})
    assert not await storage.claim(A, LATER, 50, 9)
    async with storage.unscoped_reader() as reader:
        assert await reader.next_due() == 0
        assert await reader.sweep(7) == Sweep(0, 3, 0)
    assert await storage.sweep_on(7, 2)
    async with storage.unscoped_reader() as reader:
        assert await reader.sweep(7) == Sweep(2, 3, 2)
    assert [due.customer for due in await storage.claim(A, 7, 50, 9)] == [uid(1), uid(2)]
    await storage.conclude(A, seq, [Checked(uid(id), [uid(id)], None) for id in (1, 2)])
    await commit(storage, 3)
    assert await storage.sweep_on(8, 2)
    assert not await storage.sweep_on(8, 2)
    assert await storage.claim(A, 8, 50, 9) == [Due(uid(3), 2, None)]
    async with storage.unscoped_reader() as reader:
        assert await reader.sweep(8) == Sweep(3, 3, 1)
    await storage.conclude(A, await head(storage), [Checked(uid(3), [uid(3)], None)])
    async with storage.unscoped_reader() as reader:
        assert await reader.sweep(8) is None
    await commit(storage, swept={EVERYBODY})
    assert await storage.sweep_on(9, 9)
    assert len(await storage.claim(A, 9, 50, 9)) == 3


async def looked_at(storage: Storage, *numbers: int, **counted: Any) -> None:
    """Everybody of these was looked at, and nothing is due."""
    seq = await commit(storage, *numbers)
    await storage.claim(A, 1, 50, 9)
    checked = [Checked(uid(n), [uid(n)], None, counted=counted.get(f"of_{n}", ())) for n in numbers]
    await storage.conclude(A, seq, checked)


async def swept(storage: Storage, at: int) -> list[str]:
    """Who is due by all that changed."""
    while await storage.sweep_on(at, 2):
        pass
    return [due.customer for due in await storage.claim(A, at, 0, 9)]


async def test_what_changed_makes_those_due_whom_it_concerns(storage, scribe):
    await units(storage, scribe)
    for n in range(4):
        await scribe.push(storage, [scribe.customer(1 + n, n)])
    bought = {"of_1": [purchase(100, 6, 5, 5)], "of_4": [purchase(101, 6, 5, 5), purchase(102, 7, 5, 5)]}
    for concern, who in (
        (Concern("product", PRODUCTS[0]), [1, 4]),
        (Concern("product", PRODUCTS[1]), [4]),
        (Concern("product", uid(89)), []),
        (Concern("buyers"), [1, 4]),
        (Concern("unit", UNITS[0]), [1, 2, 3]),
        (Concern("unit", UNITS[2]), [3]),
        (EVERYBODY, [1, 2, 3, 4]),
    ):
        await looked_at(storage, 1, 2, 3, 4, **bought)
        await commit(storage, swept={concern})
        assert await swept(storage, 5) == [uid(n) for n in who], concern


async def test_what_changes_during_a_sweep_is_asked_of_all_and_of_nobody_twice(storage, scribe):
    await customers(storage, scribe, 1, 2, 3, 4)
    await looked_at(storage, 1, 2, 3, 4)
    await commit(storage, swept={EVERYBODY})
    assert await storage.sweep_on(5, 2)
    assert [due.customer for due in await storage.claim(A, 5, 50, 9)] == [uid(1), uid(2)]
    await storage.conclude(A, await head(storage), [Checked(uid(n), [uid(n)], None) for n in (1, 2)])
    for product in range(3):
        await commit(storage, swept={Concern("product", uid(80 + product))})
    assert await storage.sweep_on(6, 2)  # it goes on where it was
    assert [due.customer for due in await storage.claim(A, 6, 50, 9)] == [uid(3), uid(4)]
    await storage.conclude(A, await head(storage), [Checked(uid(n), [uid(n)], None) for n in (3, 4)])
    rounds = 0
    while await storage.sweep_on(7, 4):
        rounds += 1
    assert rounds == 2  # the end of this round and one more, for all three
    assert await storage.claim(A, 7, 50, 9) == []


async def test_whoever_is_looked_at_while_something_changes_is_looked_at_again(storage, scribe):
    """The facts that are kept of them are from before, and may not name the product yet."""
    await customers(storage, scribe, 1, 2)
    await looked_at(storage, 1, 2)
    seq = await commit(storage, 1)
    await storage.claim(B, 5, 50, 9)
    await commit(storage, swept={Concern("product", PRODUCTS[0])})
    assert await swept(storage, 6) == []
    checked = Checked(uid(1), [uid(1)], None, counted=[purchase(100, 6, 5, 5)])
    assert await storage.conclude(B, seq, [checked]) == []
    assert [due.customer for due in await storage.claim(A, 6, 50, 9)] == [uid(1)]


async def test_a_change_before_the_sweep_reaches_somebody_is_not_lost_on_who_was_looked_at_before(
    storage, scribe
):
    await customers(storage, scribe, 1)
    seq = await commit(storage, 1)
    await storage.claim(A, 1, 50, 9)
    await commit(storage, swept={EVERYBODY})
    await storage.sweep_on(2, 9)
    checked = Checked(uid(1), [uid(1)], None, movements=[moved(1, "x", None, "y")])
    assert await storage.conclude(A, seq, [checked]) == []
    assert len(await storage.claim(A, 3, 50, 9)) == 1


# --- what is found ----------------------------------------------------------------------------------------


async def test_a_branch_sees_where_its_own_customers_stand_and_no_others(storage, scribe):
    await scribe.push(storage, [scribe.customer(1, 0), scribe.customer(2, 1)])
    seq = await commit(storage, 1, 2)
    await storage.claim(A, 1, 50, 5)
    checked = [
        Checked(
            uid(id),
            [uid(id)],
            None,
            [("tier", "gold", 5)],
            membership=[(uid(70), 5)],
            movements=[moved(id, "tier", None, "gold")],
        )
        for id in (1, 2)
    ]
    await storage.conclude(A, seq, checked)
    async with storage.reader(frozenset({f"unit:{UNITS[0]}"})) as reader:
        assert set(await reader.standings([uid(1), uid(2)])) == {uid(1)}
        assert set(await reader.memberships([uid(1), uid(2)])) == {uid(1)}
        assert [movement.customer for movement in await reader.movements(9)] == [uid(1)]
        assert await reader.count("customer", Member(uid(70))) == 1


async def test_customers_are_found_by_where_they_stand(storage, scribe):
    await customers(storage, scribe, 1, 2, 3)
    seq = await commit(storage, 1, 2, 3)
    await storage.claim(A, 1, 50, 5)
    values = {1: "gold", 2: "silver", 3: "gold"}
    checked = [Checked(uid(id), [uid(id)], None, [("tier", value, 5)]) for id, value in values.items()]
    checked[0] = Checked(uid(1), [uid(1)], None, [("tier", "gold", 5)], membership=[(uid(70), 5)])
    await storage.conclude(A, seq, checked)
    async with storage.unscoped_reader() as reader:

        async def found(where: Any) -> list[str]:
            return [row.id for row in await reader.select("customer", where, Order(), 9)]

        assert await found(Stands("tier", ("gold",))) == [uid(1), uid(3)]
        assert await found(Stands("tier", ("silver", "gold"))) == [uid(1), uid(2), uid(3)]
        assert await found(Stands("tier", ())) == []
        assert await found(Stands("quality", ("gold",))) == []
        assert await found(Member(uid(70))) == [uid(1)]
        test = All((Not(Member(uid(70))), Stands("tier", ("gold",)), Probe("name", "exists", True)))
        assert await found(test) == [uid(3)]
        assert await reader.counts("customer", [Member(uid(70)), Not(Member(uid(70)))]) == [1, 2]
        with pytest.raises(Refused):
            await reader.count("segment", Member(uid(70)))


async def test_movements_are_read_by_page_of_a_customer_a_scheme_or_a_segment(storage, scribe):
    await customers(storage, scribe, 1, 2)
    seq = await commit(storage, 1, 2)
    await storage.claim(A, 1, 50, 5)
    movements = [moved(1 + n % 2, "xyz"[n % 3], None, str(n)) for n in range(6)]
    checked = [Checked(uid(1 + n), [uid(1 + n)], None, movements=movements[n::2]) for n in range(2)]
    await storage.conclude(A, seq, checked)
    async with storage.unscoped_reader() as reader:
        first = await reader.movements(4)
        assert [movement.n for movement in first] == [6, 5, 4, 3]
        assert [movement.n for movement in await reader.movements(4, before=3)] == [2, 1]
        mine = await reader.movements(9, customers=[uid(1)])
        assert [movement.after for movement in mine] == ["4", "2", "0"]
        of_x = await reader.movements(9, what="standing", key="x")
        assert {movement.customer for movement in of_x} == {uid(1), uid(2)}
        assert await reader.movements(9, what="membership", key="x") == []


PRODUCTS = [uid(80), uid(81)]


def purchase(number: int, day: int, amount: int, cost: int | None, kind: str = "purchase") -> Counted:
    said = {"id": uid(number), "at": f"2026-11-{day:02}T00:00:00.000Z", "kind": kind, "effort_min": 0}
    line = {"product": PRODUCTS[number % 2], "quantity": 1, "amount": amount, "cost": cost, "currency": "CNY"}
    return Counted(tuple(said.get(n) for n in DEED), (tuple(line.get(n) for n in LINE),))


async def divided(
    storage: Storage, scribe: Scribe, bought: list[list[Counted]], home: Home | None = None
) -> Cuts:
    for n in range(1, len(bought) + 1):
        await scribe.push(storage, [scribe.customer(n, unit=n % 2)])
    seq = await commit(storage, *range(1, len(bought) + 1))
    await storage.claim(A, 1, 50, 50)
    checked = [Checked(uid(n), [uid(n)], None, counted=of) for n, of in enumerate(bought, 1)]
    await storage.conclude(A, seq, checked)
    async with storage.unscoped_reader() as reader:
        return await reader.cuts("2026-11-05T00:00:00.000Z", "2026-11-25T00:00:00.000Z", home)


async def test_money_is_divided_among_those_of_one_currency(storage, scribe):
    foreign = {"quantity": 1, "amount": 7_777, "cost": 0, "currency": "SGD"}
    bought = [[purchase(100 + n, 6 + n, 100 * n, 50)] for n in range(1, 11)]
    for of in bought:
        of[0] = of[0]._replace(lines=(*of[0].lines, tuple(foreign.get(n) for n in LINE)))
    found = await divided(storage, scribe, bought, Home("CNY", (UNITS[0],)))
    assert len(found.recency) == 4
    assert found.frequency == (1, 1, 1, 1)
    assert found.spend == (200, 400, 600, 800)
    assert found.margin == (150, 350, 550, 750)
    assert found.pareto == (550,)
    async with storage.unscoped_reader() as reader:
        within = "2026-11-05T00:00:00.000Z", "2026-11-25T00:00:00.000Z"
        there = await reader.cuts(*within, Home("SGD", (UNITS[1],)))
        assert there.spend == there.margin == (7_777,) * 4
        nobody = await reader.cuts(*within, Home("JPY", (UNITS[2],)))
        assert (nobody.spend, nobody.margin, nobody.pareto) == ((), (), ())
        assert nobody.recency == found.recency


async def test_customers_are_divided_by_what_they_bought(storage, scribe):
    assert await divided(storage, scribe, [[]]) == Cuts()
    bought = [[purchase(100 + n, 6 + n, 100 * n, 50)] for n in range(1, 11)]
    bought[9] += [purchase(120, 6, 900, 50), purchase(121, 4, 9_999, 50), purchase(122, 26, 9_999, 50)]
    bought[8] += [purchase(123, 7, -900, -50, "return")]
    bought[7] += [purchase(124, 7, 5, None)]
    found = await divided(storage, scribe, bought)
    days = [f"2026-11-{day:02}T00:00:00.000Z" for day in (15, 13, 11, 9)]
    assert found.recency == tuple(days)
    assert found.frequency == (1, 1, 1, 1)
    assert found.spend == (100, 300, 500, 700)
    assert found.margin == (50, 250, 450, 650)
    assert found.pareto == (450,)


# --- all of them agree ------------------------------------------------------------------------------------

number = st.integers(1, 4)
CONCERNS = [
    EVERYBODY,
    Concern("buyers"),
    *(Concern("product", id) for id in PRODUCTS),
    *(Concern("unit", id) for id in UNITS[:3]),
]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.sets(number), st.sets(st.sampled_from(CONCERNS), max_size=2)),
        st.tuples(st.just("claim"), st.sampled_from("ab"), st.integers(1, 4), st.integers(1, 4)),
        st.tuples(st.just("pass"), st.integers(1, 60)),
        st.tuples(st.just("sweep"), st.integers(1, 3)),
        st.tuples(st.just("erase"), number),
        st.tuples(st.just("fact"), number, st.integers(0, 3)),
        st.tuples(
            st.just("conclude"),
            st.sampled_from("ab"),
            st.sets(number, min_size=1),
            st.integers(0, 3),
            st.none() | st.integers(1, 90),
            st.sampled_from(["gold", "silver"]),
            st.sets(number),
        ),
    ),
    max_size=14,
)


async def told(storage: Storage, history: list[tuple[Any, ...]]) -> list[Any]:
    """What a storage says at each step of a history."""
    scribe, now, heard = Scribe(), 0, list[Any]()
    await units(storage, scribe)
    for n in range(4):
        await scribe.push(storage, [scribe.customer(1 + n, n)])
    for place, step in enumerate(history):
        match step:
            case "commit", due, swept:
                await commit(storage, *due, swept=swept)
            case "claim", worker, limit, others:
                heard.append(await storage.claim(worker, now, 20, limit, others))
            case "pass", ms:
                now += ms
            case "sweep", limit:
                heard.append(await storage.sweep_on(now, limit))
            case "erase", id:
                async with storage.writer() as writer:
                    await writer.commit(Batch(erased=[("customer", uid(id))]))
            case "fact", id, former:
                more: dict[str, Any] = {"supersedes": uid(100 + former)} if former else {}
                await scribe.push(storage, [scribe.fact(100 + place, id, **more)])
            case "conclude", worker, ids, back, due, value, others:
                ids = sorted(ids)
                seq = await head(storage) - back
                checked = [
                    Checked(
                        uid(ids[0]),
                        [uid(id) for id in ids],
                        None if due is None else now + due,
                        [("tier", value, now)],
                        [
                            (uid(id), "tier", other)
                            for id in ids
                            for other in ("gold", "silver")
                            if other != value
                        ],
                        [(uid(70), now)] if value == "gold" else [],
                        [(uid(id), uid(70)) for id in ids if value != "gold"],
                        [moved(ids[0], "tier", None, value)],
                        [uid(other) for other in sorted(others)],
                        1,
                        [purchase(200 + place + n, 1 + (place + n) % 28, 7 * n, n) for n in range(back + 1)],
                    )
                ]
                heard.append(await storage.conclude(worker, seq, checked, [uid(id) for id in ids]))
        heard.append(await kept(storage, 1, 2, 3, 4))
        async with storage.unscoped_reader() as reader:
            heard.append(await reader.movements(50))
            heard.append(await reader.cuts("2026-11-03T00:00:00.000Z", "2026-11-25T00:00:00.000Z"))
            heard.append((await reader.next_due(), await reader.sweep(now)))
            heard.append([row.id for row in await reader.select("customer", Member(uid(70)), Order(), 9)])
    return heard


@given(steps)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_memory_and_sqlite_say_the_same_of_any_history(history):
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            memory = MemoryStorage(REGISTRY)
            sqlite = SqliteStorage(Path(folder) / "chain.db", REGISTRY, readers=1, connect=inline)
            await memory.open()
            await sqlite.open()
            try:
                assert await told(sqlite, history) == await told(memory, history)
            finally:
                await sqlite.close()

    asyncio.run(run())


@given(st.data())
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_memory_and_postgres_say_the_same_of_any_history(postgres, data):
    history = data.draw(steps)

    async def run(url: str) -> None:
        memory, real = MemoryStorage(REGISTRY), PostgresStorage(url, REGISTRY)
        await memory.open()
        await real.open()
        try:
            assert await told(real, history) == await told(memory, history)
        finally:
            await real.close()

    with postgres.one() as url:
        asyncio.run(run(url))
