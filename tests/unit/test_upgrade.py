"""A change of an older version is said in this one's words, or named for a person; nothing is guessed."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.declare import Enum, Level, List, Ref, Registry, Rule, Struct, Type, Unfit
from regulars_schema.entities import CHANNEL, CUSTOMER, OUTCOME, REGISTRY
from regulars_sync.changes import Change, Stated, Value
from regulars_sync.check import admit
from regulars_sync.upgrade import OUTGROWN, translated, upgraded
from tests.support.released import FOURTH, RENAMED, RETIRED, altered, as_of, split, with_fields

CID, SEEN = "00" * 16, "11" * 16
ID = "01a20000-0000-7000-8000-000000000000"


def change(fields: dict[str, Any], schema: int = 1, op: str = "edit", entity: str = "customer") -> Change:
    return Change(
        cid=CID,
        group=CID,
        op=op,  # type: ignore[arg-type]
        entity=entity,
        id=ID,
        fields={path: Value(value, "staff_visit") for path, value in fields.items()},
        seen={path: [SEEN] for path in fields},
        stated=Stated(1),
        schema=schema,
    )


def said(registry: Registry, given: Change) -> dict[str, Any]:
    done = upgraded(registry.get(given.entity), given, registry.version)
    assert set(done.seen) <= set(done.fields)
    return {path: value.value for path, value in done.fields.items()}


@pytest.mark.parametrize(
    ("written", "is_said"),
    [
        ({"notes": "oak"}, {"remarks": "oak"}),
        ({"notes": None}, {"remarks": None}),
        ({"acquisition_channel": "hotline"}, {"acquisition_channel": "phone_in"}),
        ({"acquisition_channel": "website"}, {"acquisition_channel": "website"}),
        ({"wechat": "lin_fang"}, {"wechats/lin_fang": True}),
        ({"tags/vip": False, "name": "林芳"}, {"tags/vip": False, "name": "林芳"}),
    ],
)
def test_names_and_values_of_an_older_version_are_said_as_they_are_now(
    written: dict[str, Any], is_said: dict[str, Any]
) -> None:
    given = change(written)
    assert said(RENAMED, given) == is_said
    done, _ = translated(RENAMED.get("customer"), given, RENAMED.version)
    assert set(done.seen) == set(is_said)  # what was seen goes along
    assert all(value.source == "staff_visit" for value in done.fields.values())


@pytest.mark.parametrize(
    ("registry", "entity", "written"),
    [
        (RETIRED, "customer", {"belief": "none"}),
        (RENAMED, "customer", {"wechat": None}),
        (RENAMED, "customer", {"wechat": ""}),
        (RENAMED, "interaction", {"outcome": "no_answer"}),
    ],
)
def test_what_nothing_stands_for_is_left_to_a_person(
    registry: Registry, entity: str, written: dict[str, Any]
) -> None:
    given = change(
        {**written, "note": "kept"}, entity=entity, op="create" if entity == "interaction" else "edit"
    )
    with pytest.raises(Unfit) as unfit:
        upgraded(registry.get(entity), given, registry.version)
    assert (unfit.value.code, unfit.value.detail["schema"]) == (OUTGROWN, 1)
    done, unsaid = translated(registry.get(entity), given, registry.version)
    assert unsaid == list(written)
    assert done.fields == given.fields  # it stays as it came


def test_a_change_of_this_version_or_a_newer_one_is_left_alone() -> None:
    for schema in (RENAMED.version, RENAMED.version + 1):
        given = change({"notes": "oak", "wechat": "x", "nonsense": 1}, schema)
        assert translated(RENAMED.get("customer"), given, RENAMED.version) == (given, [])


def test_a_name_that_no_version_declared_is_rejected_as_before() -> None:
    with pytest.raises(Unfit) as unfit:
        admit(RENAMED, change({"shoe_size": "38"}), None, None)
    assert unfit.value.code == "field_unknown"


def test_a_create_is_taken_to_say_what_a_newer_version_requires() -> None:
    given = change({"name": "林芳", "kind": "person"}, op="create")
    assert said(RENAMED, given)["language"] == "zh"
    assert "language" not in said(RENAMED, change({"name": "林芳"}))

    def strict(entity: Any) -> Any:
        return with_fields(entity, dataclasses.replace(entity.by_name["language"], given=None))

    asking = altered(RENAMED, RENAMED.version, customer=strict)
    with pytest.raises(Unfit) as unfit:
        upgraded(asking.get("customer"), given, asking.version)
    assert unfit.value.detail["field"] == "language"


# --- two versions behind ----------------------------------------------------------------------------------


def test_conversions_chain_over_two_versions() -> None:
    assert said(FOURTH, change({"notes": "oak", "preferred_channel": "sms"}, 1)) == {
        "comments": "oak",
        "preferred_channel": "chat",
    }
    assert said(FOURTH, change({"remarks": "oak", "preferred_channel": "text"}, 3)) == {
        "comments": "oak",
        "preferred_channel": "chat",
    }
    assert said(FOURTH, change({"notes": "phone"}, 4)) == {"notes": "phone"}  # the name means another now


def test_values_inside_lists_parts_and_sets_are_converted() -> None:
    role = split(REGISTRY.get("interaction").by_name["party"].type.of.parts["role"].type, 3, payer="buyer")  # type: ignore[attr-defined]

    def party(entity: Any) -> Any:
        old = entity.by_name["party"]
        struct = old.type.of
        parts = {**struct.parts, "role": dataclasses.replace(struct.parts["role"], type=role)}
        return with_fields(
            entity, dataclasses.replace(old, type=List(dataclasses.replace(struct, parts=parts), 50))
        )

    def consent(entity: Any) -> Any:
        old = entity.by_name["contact_by"]
        return with_fields(entity, dataclasses.replace(old, type=split(CHANNEL, 3, sms="text", post=None)))

    registry = altered(REGISTRY, 3, interaction=party, customer=consent)
    people = [{"customer": ID, "role": "payer"}, {"name": "a friend"}]
    assert said(registry, change({"party": people}, entity="interaction"))["party"] == [
        {"customer": ID, "role": "buyer"},
        {"name": "a friend"},
    ]
    assert said(registry, change({"contact_by/sms": True})) == {"contact_by/text": True}
    assert translated(registry.get("customer"), change({"contact_by/post": True}), 3)[1] == [
        "contact_by/post"
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
paths = st.sampled_from([*(f.name for f in CUSTOMER.fields), "remarks", "wechats", "language"]).flatmap(
    lambda name: st.sampled_from([name, f"{name}/x", f"{name}/", f"{name}/sms"])
) | st.text(max_size=12)


@given(
    st.dictionaries(paths, json_values, max_size=5),
    st.integers(0, 5),
    st.sampled_from([REGISTRY, RENAMED, RETIRED, FOURTH]),
    st.sampled_from(["create", "edit"]),
)
def test_translating_never_raises_and_is_the_same_every_time(
    fields: dict[str, Any], schema: int, registry: Registry, op: str
) -> None:
    given = change(fields, schema, op)
    once = translated(registry.get("customer"), given, registry.version)
    assert once == translated(registry.get("customer"), given, registry.version)
    assert given.fields == change(fields, schema, op).fields
    assert bool(once[0].fields) or not fields
    assert set(once[1]) <= {*once[0].fields, *registry.get("customer").required}
    code = None
    with suppress(Unfit):
        code = OUTGROWN
        upgraded(registry.get("customer"), given, registry.version)
        code = None
    assert (code == OUTGROWN) is bool(once[1])


# --- the declarations themselves ----------------------------------------------------------------------------


def _enums(kind: Type) -> list[Enum]:
    match kind:
        case Enum():
            return [kind]
        case List(of=of):
            return _enums(of)
        case Struct(parts=parts):
            return [enum for part in parts.values() for enum in _enums(part.type)]
    return []


@pytest.mark.parametrize("registry", [REGISTRY, RENAMED, RETIRED, FOURTH])
def test_former_names_are_of_past_versions_and_ids_are_made_of_none(registry: Registry) -> None:
    for entity in registry.entities:
        for name, (_, until) in entity.former.items():
            assert 1 < until <= registry.version, name
            again = entity.by_name.get(name)
            assert again is None or again.since >= until, f"{name} means two things at once"
        for field in entity.fields:
            for enum in _enums(field.type):
                assert not enum.was.keys() & enum.values.keys()
                assert all(1 < until <= registry.version for until, _ in enum.was.values())
            names_customers = isinstance(field.type, Ref) or field.name in {name for name, _ in entity.naming}
            if field.fixed or names_customers:
                assert not field.was, field.name
            if field.fixed:
                assert not any(enum.was for enum in _enums(field.type)), field.name


def test_the_released_version_is_this_one_less_what_came_since() -> None:
    first = as_of(1)
    assert first.version == 1
    assert {"identity", "window", "scheme", "assignment"}.isdisjoint(first.by_name)
    assert "left_units" not in first.get("device").by_name
    assert "window" in as_of(2).by_name
    assert {"name", "tags"} < first.get("customer").by_name.keys() == as_of(2).get("customer").by_name.keys()
    assert CUSTOMER.by_name.keys() - first.get("customer").by_name.keys() >= {"industry", "groups"}
    assert (OUTCOME.was, CUSTOMER.levels) == ({}, (Level.INTERNAL, Level.SENSITIVE))
    assert CUSTOMER.by_name["tags"].rule is Rule.SET_ADD
