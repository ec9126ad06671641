"""What rules are answered from is a function of the rows that name a person, in whatever order they come."""

from __future__ import annotations

from datetime import UTC, date
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.declare import Level
from regulars_schema.entities import CHANNEL
from regulars_schema.rules.facts import Product
from regulars_schema.rules.knowing import Assigned, Known
from regulars_sync.clock import STAMPS_PER_MS, ms_of
from regulars_sync.known import Place, Rows, deeds_of, known
from regulars_sync.units import Unit, Units, zone_of

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOON_MS = ms_of("2026-11-22T04:00:00.000Z")
STAMP = ms_of("2026-11-20T16:00:00.000Z") * STAMPS_PER_MS
"""Of whatever does not say its own: the beginning of 21 November in Shanghai."""
Said = tuple[str, str, dict[str, Any]]


def person(
    *said: Said, members: tuple[str, ...] = ("ann",), place: Place | None = None, **more: Any
) -> Known:
    found = known(rows_of(*said), members, place or Place(SHANGHAI, "CNY"), NOON_MS, **more)
    assert found is not None
    return found


def rows_of(*said: Said) -> Rows:
    """Each customer whom nobody describes has a name and no more."""
    rows = Rows()
    for entity, id, values in (
        ("customer", "ann", {"name": "Ann"}),
        ("customer", "bob", {"name": "Bob"}),
        *said,
    ):
        guarded = {path: value for path, value in values.items() if path.startswith("guarded")}
        written = values.get("v", [["c" + id, STAMP]])
        rows.put(
            entity,
            id,
            {
                Level.INTERNAL: orjson.dumps(
                    {"id": id, **{p: v for p, v in values.items() if p not in guarded}, "v": written}
                ),
                Level.SENSITIVE: orjson.dumps({"id": id, **guarded, "v": written}),
            },
        )
    return rows


def fact(id: str, *party: str | tuple[str, str], kind: str = "visit", day: int = 20, **more: Any) -> Said:
    named = [{"customer": m} if isinstance(m, str) else {"customer": m[0], "role": m[1]} for m in party]
    at = f"2026-11-{day}T10:00:00.000Z"
    return "interaction", id, {"kind": kind, "at": at, "party": named, **more}


def ids(of: Known) -> list[str]:
    return [deed.id for deed in of.deeds]


# --- facts ------------------------------------------------------------------------------------------------


def test_a_fact_of_several_members_counts_once_as_the_one_whose_it_is():
    bought = fact("f", ("bob", "payer"), ("ann", "companion"), kind="purchase", lines=[{"amount": 5}])
    for members in (("ann", "bob"), ("bob", "ann")):
        (one,) = person(bought, members=members).deeds
        assert (one.kind, one.role, len(one.lines)) == ("purchase", "payer", 1)
    (alone,) = person(bought).deeds
    assert (alone.kind, alone.role) == ("visit", "companion")
    (visit,) = person(fact("f", ("bob", "payer"), "ann"), members=("ann", "bob")).deeds
    assert visit.role == "payer"
    assert [who for who, _ in deeds_of(rows_of(bought), ("ann", "bob"), UTC)] == ["bob"]
    strangers = fact("f", "eve", "bob", "ann", kind="purchase")
    assert [who for who, _ in deeds_of(rows_of(strangers), ("ann", "bob"), UTC)] == ["ann"]


@given(st.permutations([fact("a", "ann"), fact("b", "ann", day=19), fact("c", "ann"), fact("x", "bob")]))
def test_facts_come_by_day_and_then_by_id_however_rows_came(said):
    assert ids(person(*said)) == ["b", "a", "c"]


def test_products_are_known_by_the_lines_that_name_them():
    rows = rows_of(fact("f", "ann", lines=[{"product": "p"}, {"product": None}, {}]), fact("g", "ann"))
    assert rows.named_products() == {"p"}
    rows.products = {"p": Product("oak")}
    (found,) = [deed for _, deed in deeds_of(rows, ["ann"], UTC) if deed.id == "f"]
    assert [line.category for line in found.lines] == ["oak", None, None]


OLD, NEW = fact("old", "ann", day=10), fact("new", "ann", day=20)


@pytest.mark.parametrize(
    ("said", "pending", "held"),
    [
        ([OLD, NEW], "", ["new"]),
        ([OLD, NEW], "old", ["old", "new"]),
        ([OLD, fact("right", "ann", supersedes="old")], "", ["right"]),
        ([OLD, fact("right", "ann", supersedes="old")], "right", []),
        ([OLD, fact("right", "ann", supersedes="old")], "old right", ["right"]),
        ([NEW, fact("right", "ann", day=10, supersedes="new")], "", []),
        ([NEW, fact("right", "ann", day=10, supersedes="new")], "right", ["right"]),
        ([fact("right", "ann", supersedes="gone")], "", ["right"]),
        ([fact("right", "ann", supersedes="gone")], "right", []),
        ([fact("a", "ann", supersedes="gone"), fact("b", "ann", supersedes="a")], "a b", []),
    ],
)
def test_a_fact_before_the_edge_is_held_where_the_sums_know_nothing_of_it(said, pending, held):
    """The sums of what lies before 15 November were made without what is pending."""
    edge_ms = ms_of("2026-11-15T00:00:00.000Z")
    assert ids(person(*said, edge_ms=edge_ms, pending=frozenset(pending.split()))) == held


def test_the_edge_is_the_first_day_that_lies_behind_it_as_a_whole():
    edges = {"2026-11-14T16:00:00.000Z": "2026-11-15", "2026-11-14T16:00:00.001Z": "2026-11-16"}
    for at, day in edges.items():
        assert person(edge_ms=ms_of(at)).edge == date.fromisoformat(day).toordinal()
    assert person().edge is None


# --- what else names a person -----------------------------------------------------------------------------


def link(one: str, other: str, kind: str = "companion", **more: Any) -> Said:
    return "link", f"{one}{other}{kind}", {"from_customer": one, "to_customer": other, "kind": kind, **more}


def test_links_lead_from_and_to_a_person_while_they_stand_and_never_to_itself():
    of = person(
        link("ann", "eve"), link("ann", "dan"), link("dan", "ann"), link("bob", "eve", "referrer"),
        link("ann", "bob"), link("gus", "bob"), link("ann", "gus", "spouse", active=False),
        members=("ann", "bob"),
    )  # fmt: skip
    assert of.outward == {"companion": ("dan", "eve"), "referrer": ("eve",)}
    assert of.inward == {"companion": ("dan", "gus")}


def test_a_task_of_no_status_is_open():
    of = person(
        ("task", "1", {"plan": "verify", "customer": "ann", "status": "open"}),
        ("task", "2", {"plan": "verify", "customer": "ann", "status": "done"}),
        ("task", "3", {"plan": "call", "customer": "ann"}),
        ("task", "4", {"plan": "call", "customer": "bob"}),
    )
    assert of.tasks == {"verify": ("done", "open"), "call": ("open",)}


@pytest.mark.parametrize(
    ("words", "granted"),
    [
        ([("sms", 20, True)], {"sms"}),
        ([("sms", 20, True), ("sms", 21, False)], set()),
        ([("sms", 21, True), ("sms", 20, False)], {"sms"}),
        ([("sms", 20, True), ("sms", 20, False)], set()),
        ([(None, 20, True), ("sms", 21, False)], set(CHANNEL.values) - {"sms"}),
        ([(None, 21, False), ("sms", 20, True)], set()),
        ([("sms", 20, None)], set()),
    ],
)
def test_the_latest_word_on_a_channel_counts_and_of_two_at_once_the_withdrawal(words, granted):
    for order in (words, words[::-1]):
        said = [
            ("consent", str(i), {"customer": "ann", "purpose": "news", "channel": channel, "granted": yes}
             | {"at": f"2026-11-{day}T10:00:00.000Z"})
            for i, (channel, day, yes) in enumerate(order)
        ]  # fmt: skip
        assert person(*said).consents == {("news", channel) for channel in granted}


def own(key: str, sensitivity: str = "internal") -> dict[str, Any]:
    return {"key": key, "type": "text", "rule": "last_writer", "sensitivity": sensitivity}


def test_fields_of_the_chains_own_are_the_survivors_first_and_hidden_with_what_is_sensitive():
    defined = {
        "size": own("size"),
        "debts": own("debts", "sensitive"),
        "none": own("none"),
    }
    rows = rows_of(
        *(
            ("custom_value", who + field, {"customer": who, "field_def": field, name: f"{field} of {who}"})
            for who in ("ann", "bob")
            for field, name in (("size", "value"), ("debts", "guarded_value"), ("unheard of", "value"))
        ),
        ("custom_value", "n", {"customer": "ann", "field_def": "none", "value": None}),
    )
    rows.defined = defined
    for members in (("ann", "bob"), ("bob", "ann")):
        of = known(rows, members, Place(), NOON_MS)
        assert of is not None
        wanted = {f"custom.{field}": f"{field} of {members[0]}" for field in ("size", "debts")}
        assert {name: value for name, value in of.values.items() if "custom" in name} == wanted
        assert of.hidden == frozenset()
    of = known(rows, ("ann",), Place(), NOON_MS, hidden=frozenset({"belief"}))
    assert of is not None
    assert of.hidden == {"belief", "custom.debts"}
    assert "custom.debts" not in of.values
    assert of.values["custom.size"] == "size of ann"


def assignment(scheme: str, /, of: str = "ann", **more: Any) -> Said:
    return "assignment", of + scheme, {"customer": of, "scheme": scheme, **more}


def test_what_is_said_in_schemes_tells_by_whom_since_when_and_until_when():
    day = date(2026, 11, 21).toordinal()
    words: dict[str, Any] = {"values/fame": True, "values/new": True, "values/old": False}
    later = [["cx", STAMP + 10**6 * STAMPS_PER_MS * 86_400, "pos"]]
    of = person(
        assignment("tier", reviewed="gold", check_by="2027-05-03", since="2026-11-01"),
        assignment("attention", value="key"),
        assignment("channel_role", value="b2b", v=[["ci", STAMP, "import"]]),
        assignment("location_type", value="street", v=later),
        assignment("consumer_group", **words),
        assignment("churn_cause", reviewed=None),
        assignment("belief", guarded_value="x"),
    )
    may = date(2027, 5, 3).toordinal()
    assert dict(of.assigned) == {
        "tier": (Assigned("gold", "person", date(2026, 11, 1).toordinal(), may),),
        "attention": (Assigned("key", "person", day),),
        "channel_role": (Assigned("b2b", "import", day),),
        "location_type": (Assigned("street", "import", day + 1),),
        "consumer_group": (Assigned("fame", "person", day), Assigned("new", "person", day)),
        "belief": (Assigned("x", "person", day),),
    }
    assert (
        "belief" not in person(assignment("belief", guarded_value="x"), hidden=frozenset({"belief"})).assigned
    )
    both = (
        assignment("tier", reviewed="gold", since="2026-11-02"),
        assignment("tier", "bob", reviewed="silver"),
    )
    assert [a.value for a in person(*both, members=("ann", "bob")).assigned["tier"]] == ["gold", "silver"]


def test_of_nobody_nothing_is_known_and_the_person_has_the_survivors_id():
    assert known(rows_of(), ("eve",), Place(), NOON_MS) is None
    of = person(
        ("customer", "bob", {"name": "Bob", "tags/vip": True, "segments/s": True}), members=("ann", "bob")
    )
    assert (of.id, of.values["tags"], of.segments) == ("ann", ["vip"], frozenset("s"))
    assert of.today == date(2026, 11, 22).toordinal()
    assert person(place=Place(ZoneInfo("Pacific/Kiritimati"))).today == of.today
    assert person(place=Place(ZoneInfo("America/Los_Angeles"))).today == of.today - 1


# --- units ------------------------------------------------------------------------------------------------

TREE = Units(
    [
        Unit("hq", "HQ", None, "CN", "Asia/Shanghai", "CNY"),
        Unit("east", "East", "hq", None),
        Unit("shop", "Shop", "east", "HK", None, "HKD"),
        Unit("stall", "Stall", "shop", None, "Europe/Paris"),
        Unit("one", "One", "two", None),
        Unit("two", "Two", "one", "JP"),
    ]
)


def test_a_unit_has_what_it_does_not_say_from_the_nearest_above():
    place = TREE.place("stall")
    assert place == Place(ZoneInfo("Europe/Paris"), "HKD", frozenset({"stall", "shop", "east", "hq"}))
    assert (TREE.country("stall"), TREE.country("east")) == ("HK", "CN")
    assert TREE.place("shop").zone == SHANGHAI
    assert TREE.above("stall") == ["stall", "shop", "east", "hq"]


def test_units_in_a_circle_and_unknown_ones_end():
    assert TREE.above("one") == ["one", "two"]
    assert TREE.below(["one"]) == {"one", "two"}
    assert (TREE.country("one"), TREE.place("one")) == ("JP", Place(above=frozenset({"one", "two"})))
    assert (TREE.country(None), TREE.place("nowhere"), TREE.above(None)) == (None, Place(), [])


def test_below_a_unit_are_itself_and_all_under_it():
    assert TREE.below(["hq"]) == {"hq", "east", "shop", "stall"}
    assert TREE.below(["stall", "one"]) == {"stall", "one", "two"}
    assert ("hq" in TREE, "nowhere" in TREE, len(TREE.ids)) == (True, False, 6)


@pytest.mark.parametrize("name", [None, "", "Mars/Olympus", "../etc/passwd", "\0", "Asia"])
def test_a_zone_that_this_machine_does_not_know_is_utc(name):
    assert zone_of(name) is UTC
    assert zone_of("Asia/Shanghai") == SHANGHAI
