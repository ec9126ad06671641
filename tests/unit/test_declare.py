"""Declarations: what each type takes, what it refuses, and where customers are named."""

from dataclasses import replace
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.declare import (
    SAFE_INT_MAX,
    Bool,
    Date,
    Enum,
    Instant,
    Int,
    Label,
    Level,
    List,
    Nature,
    Part,
    Ref,
    Rule,
    Scope,
    Struct,
    Text,
    Unfit,
    is_id,
)
from regulars_schema.entities import REGISTRY
from tests.unit.histories import id_of

LABEL = Label("某", "some")
GRADE = Enum("Grade", {"low": LABEL, "high": LABEL}, label=LABEL)
PAIR = Struct("Pair", {"a": Part(Int(0, 9), LABEL, required=True), "b": Part(Text(3), LABEL)}, label=LABEL)
TYPES = [
    Text(),
    Text(3, empty=False),
    Bool(),
    Int(),
    Int(1, 8),
    Instant(),
    Date(),
    Ref("unit"),
    GRADE,
    PAIR,
    List(PAIR, 2),
]
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["low", id_of(1), "2026-11-22"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(TYPES), ANYTHING)
def test_a_type_returns_the_value_or_says_unfit(given_type, value):
    try:
        taken = given_type.check(value)
    except Unfit:
        return
    assert taken == value
    assert type(taken) is type(value)


TAKEN = [
    (Text(3), "林芳a"),
    (Text(), ""),
    (Bool(), False),
    (Int(), SAFE_INT_MAX),
    (Int(), -SAFE_INT_MAX),
    (Int(1, 8), 1),
    (Int(1, 8), 8),
    (Ref("unit"), id_of(1)),
    (GRADE, "high"),
    (PAIR, {"a": 1, "b": None}),
    (List(PAIR, 2), [{"a": 1}, {"a": 9, "b": "xyz"}]),
    (List(PAIR, 2), []),
]


@pytest.mark.parametrize(("given_type", "value"), TAKEN, ids=str)
def test_what_fits_is_taken(given_type, value):
    assert given_type.check(value) == value
    assert given_type.graphql


@given(st.datetimes(min_value=datetime.fromisoformat("1000-01-01")), st.dates())
def test_every_instant_and_day_in_its_one_spelling_is_taken(instant, day):
    spelled = f"{instant:%Y-%m-%dT%H:%M:%S}.{instant.microsecond // 1000:03}Z"
    assert Instant().check(spelled) == spelled
    assert Date().check(day.isoformat()) == day.isoformat()


@given(st.text(alphabet="0123456789-:TZ. +", max_size=25) | st.just("2026-11-22T24:00:00.000Z"))
def test_no_other_spelling_of_a_time_is_taken(text):
    for given_type, width in ((Instant(), 24), (Date(), 10)):
        try:
            given_type.check(text)
        except Unfit:
            continue
        assert len(text) == width
        assert date.fromisoformat(text[:10]) <= date.max


@given(st.uuids())
def test_an_id_has_one_spelling(uuid):
    assert is_id(str(uuid))
    for other in (uuid.hex, str(uuid) + "\n", f"{{{uuid}}}", uuid.urn, None, uuid):
        assert not is_id(other)
    assert is_id(str(uuid).upper()) == (str(uuid).upper() == str(uuid))


def test_a_lattice_climbs_in_the_order_of_its_values():
    assert GRADE.rank == {"low": 0, "high": 1}


def test_a_path_names_a_field_or_an_element_of_a_set():
    customer = REGISTRY.get("customer")
    assert customer.at("name") == (customer.by_name["name"], None)
    assert customer.at("tags/a/b") == (customer.by_name["tags"], "a/b")
    for path in ("tags", "tags/", "name/x", "", "/", "/x", "id", "v", "x", "s"):
        with pytest.raises(Unfit) as caught:
            customer.at(path)
        assert (caught.value.code, caught.value.detail["field"]) == ("field_unknown", path)


def test_null_clears_an_optional_field_only():
    customer = REGISTRY.get("customer")
    customer.by_name["kind"].check(None)
    with pytest.raises(Unfit, match="field_required"):
        customer.by_name["name"].check(None)
    with pytest.raises(Unfit, match="value_type"):
        customer.by_name["tags"].check(None)


def test_the_customers_that_a_row_names_are_found_wherever_they_stand():
    link, interaction, customer = map(REGISTRY.get, ("link", "interaction", "customer"))
    assert link.named_customers({"from_customer": "a", "to_customer": "b", "note": "c"}) == ["a", "b"]
    assert link.named_customers({"to_customer": "b", "from_customer": None}) == ["b"]
    party = [{"customer": "a"}, {"name": "x"}, {"customer": None}, {"customer": "b"}]
    assert interaction.named_customers({"party": party, "lines": [{"product": "p"}]}) == ["a", "b"]
    assert interaction.named_customers({}) == customer.named_customers({"owner": "s"}) == []


def test_the_registry_is_sound():
    for entity in REGISTRY.entities:
        assert REGISTRY.get(entity.name) is entity
        assert not {f.name for f in entity.fields} & {"id", "v", "x", "s"}
        assert len(entity.by_name) == len(entity.fields)
        for field in entity.fields:
            assert "/" not in field.name
            assert not (field.fixed and field.is_set)
            assert not field.is_set or not isinstance(field.type, Struct | List)
            assert field.rule is not Rule.LATTICE or isinstance(field.type, Enum)
            assert not entity.is_fact or (field.level is Level.INTERNAL and field.rule is Rule.LAST_WRITER)
        assert entity.scope is not Scope.HOME or "home_unit" in entity.by_name
        assert entity.scope is not Scope.NAMED or entity.naming
        assert entity.required or entity.nature is Nature.DERIVED
        assert set(entity.levels) >= {Level.INTERNAL}


def test_an_unknown_entity_is_unfit():
    with pytest.raises(Unfit) as caught:
        REGISTRY.get("x" * 200)
    assert (caught.value.code, caught.value.detail) == ("entity_unknown", {"entity": "x" * 80})


def test_the_fingerprint_changes_with_anything_declared():
    first = REGISTRY.entities[0]
    relabelled = replace(first, label=Label("别", "other"))
    wider = replace(first, fields=(*first.fields, replace(first.fields[0], name="later")))
    others = [replace(REGISTRY, entities=(made, *REGISTRY.entities[1:])) for made in (relabelled, wider)]
    prints = {r.fingerprint for r in (REGISTRY, *others, replace(REGISTRY, version=99))}
    assert len(prints) == 4
    assert replace(REGISTRY).fingerprint == REGISTRY.fingerprint
