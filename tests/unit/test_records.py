"""What a reader gets: typed values, typed spellings, and no surprise from a newer schema."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars import json_values
from regulars.json_values import EPOCH, to_json
from regulars.records import (
    ENTITY_OF,
    RECORD_OF,
    Birth,
    Customer,
    Interaction,
    InteractionKind,
    Line,
    Link,
    PartyMember,
    Product,
    Unit,
)
from regulars.row_state import RowState
from regulars_schema.declare import Date, Enum, Instant, Int, Json, List, Ref, Scalar, Struct, Text, Type
from regulars_schema.entities import INTERACTION_KIND, REGISTRY
from regulars_sync.document import nested

LIN = "0190a5c2-0000-7000-8000-000000000001"
OAK = "0190a5c2-0000-7000-8000-000000000002"
NORTH = "0190a5c2-0000-7000-8000-000000000003"

JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_customer_reads_as_typed_values():
    flat = {
        "name": "林芳",
        "kind": "person",
        "home_unit": NORTH,
        "phones/+8613800138000": "138 0013 8000",
        "phones/+8613900139000": True,
        "phones/+8613700137000": False,
        "tags/vip": True,
        "tags/left": False,
        "contact_by/phone": True,
        "birth": {"month": 8, "day": 15, "calendar": "lunar"},
        "trading_since": "2019-05-04",
        "first_seen": "2019-05-04T08:30:00.250Z",
        "credit_status": "good",
        "archived": False,
    }
    state = RowState(pending=True, contested=("name",))
    lin = Customer.of(LIN, nested(REGISTRY.get("customer"), flat), state)
    assert lin == Customer(
        id=LIN,
        name="林芳",
        kind="person",
        home_unit=NORTH,
        phones={"+8613800138000": "138 0013 8000", "+8613900139000": "+8613900139000"},
        tags=frozenset({"vip"}),
        contact_by=frozenset({"phone"}),
        birth=Birth(month=8, day=15, calendar="lunar"),
        trading_since=date(2019, 5, 4),
        first_seen=datetime(2019, 5, 4, 8, 30, 0, 250_000, tzinfo=UTC),
        credit_status="good",
        archived=False,
        state=state,
    )


def test_interaction_reads_its_lists_in_order():
    values = {
        "kind": "purchase",
        "at": "2026-11-22T13:05:09.120Z",
        "party": [{"customer": LIN, "role": "principal"}, {"name": "她母亲"}],
        "lines": [{"product": OAK, "quantity": 2, "amount": 129_900, "currency": "CNY"}],
        "external_ids": ["pos:17", "erp:4"],
    }
    bought = Interaction.of(OAK, values)
    assert bought.at == datetime(2026, 11, 22, 13, 5, 9, 120_000, tzinfo=UTC)
    assert bought.party == (PartyMember(customer=LIN, role="principal"), PartyMember(name="她母亲"))
    assert bought.lines == (Line(product=OAK, quantity=2, amount=129_900, currency="CNY"),)
    assert bought.external_ids == ("pos:17", "erp:4")
    assert bought.state == RowState()


def test_what_a_newer_version_wrote_is_none_or_left_out():
    newer = {
        "name": "Oak & Co",
        "kind": "household",
        "loyalty": {"level": 3},
        "birth": {"year": 1980},
        "contact_by": {"phone": True, "hologram": True, "sms": False},
        "tags": {"vip": True, "left": False},
        "first_seen": "yesterday",
        "notes": ["a", "b"],
        "archived": 1,
    }
    read = Customer.of(LIN, newer)
    assert read == Customer(id=LIN, name="Oak & Co", contact_by=frozenset({"phone"}), tags=frozenset({"vip"}))


def test_row_of_another_level_alone_has_no_required_values():
    assert Customer.of(LIN, {"belief": "none"}).name is None
    assert Product.of(LIN, {}).name == ""
    assert Interaction.of(LIN, {}).at == EPOCH
    assert Unit.of(LIN, {"name": "North"}).kind is None


def test_record_can_be_put_into_a_set():
    values = {"name": "林芳", "phones": {"+8613800138000": True}}
    assert len({Customer.of(LIN, values), Customer.of(LIN, values)}) == 1


@pytest.mark.parametrize("name", sorted(RECORD_OF))
@given(data=st.data())
def test_reading_never_raises(name, data):
    declared = [f.name for f in REGISTRY.get(name).fields]
    values = data.draw(st.dictionaries(st.sampled_from(declared) | st.text(), JSONS))
    read = RECORD_OF[name].of(LIN, values)
    assert (read.id, read.state) == (LIN, RowState())


PRINTED = st.characters(codec="utf-8", exclude_categories=["C", "Z"])


def allowed(type_: Type) -> st.SearchStrategy[Any]:
    """Values that pass their declaration."""
    match type_:
        case Scalar():
            return st.one_of(st.text(PRINTED, max_size=9), st.booleans(), st.integers(-9, 9))
        case Json():
            return st.dictionaries(st.text(PRINTED, max_size=5), st.integers(-9, 9))
        case Text():
            return st.text(PRINTED, min_size=1, max_size=min(9, type_.chars_max))
        case Ref():
            return st.uuids().map(str)
        case Int():
            return st.integers(type_.low, type_.high)
        case Instant():
            return st.datetimes(timezones=st.just(UTC)).map(to_json)
        case Date():
            return st.dates().map(to_json)
        case Enum():
            return st.sampled_from(sorted(type_.values))
        case List():
            return st.lists(allowed(type_.of), max_size=3)
        case Struct():
            return st.fixed_dictionaries(
                {name: allowed(part.type) for name, part in type_.parts.items() if part.required},
                optional={
                    name: allowed(part.type) for name, part in type_.parts.items() if not part.required
                },
            )
        case _:
            return st.booleans()


@pytest.mark.parametrize("name", sorted(RECORD_OF))
@given(data=st.data())
def test_every_valid_value_is_read_and_can_be_written_back(name, data):
    entity = REGISTRY.get(name)
    plain = [f for f in entity.fields if not f.is_set]
    values = {f.name: data.draw(allowed(f.type)) for f in plain}
    for f in plain:
        f.check(values[f.name])
    read = RECORD_OF[name].of(LIN, values)
    assert {f.name: to_json(getattr(read, f.name)) for f in plain} == values


def test_instant_is_written_in_utc_and_needs_a_time_zone():
    shanghai = timezone(timedelta(hours=8))
    assert to_json(datetime(2026, 11, 22, 21, 5, 9, 120_000, shanghai)) == "2026-11-22T13:05:09.120Z"
    with pytest.raises(ValueError, match="time zone"):
        to_json(datetime(2026, 11, 22, 21, 5))  # noqa: DTZ001


@given(st.sampled_from([json_values.integer, json_values.boolean]), JSONS)
def test_yes_and_one_are_not_mixed_up(read, value):
    kind = bool if read is json_values.boolean else int
    assert read(value) is (value if type(value) is kind else None)


def test_every_entity_that_a_shop_tool_reads_has_a_record():
    unread = {"change_verdict", "staff_pin", "scheme", "cut_points", "baseline"}
    assert set(RECORD_OF) == {e.name for e in REGISTRY.entities} - unread
    assert ENTITY_OF[Link] == "link"
    assert all(RECORD_OF[entity] is record for record, entity in ENTITY_OF.items())
    assert list(get_args(InteractionKind)) == list(INTERACTION_KIND.values)
