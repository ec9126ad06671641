"""Where what is said in a scheme stands, and what may not be said."""

from __future__ import annotations

from datetime import date

import pytest

from regulars_schema.declare import Level, Rule, Unfit
from regulars_schema.entities import ASSIGNMENT
from regulars_schema.schemes import load
from regulars_schema.schemes.assigning import COLUMNS, REVIEWED, assigned, cleared, column, stands

SCHEMES = load().schemes
TODAY = date(2026, 11, 22)
KIND = {key: scheme.for_kind[0] for key, scheme in SCHEMES.items()}


@pytest.mark.parametrize("key", SCHEMES)
def test_every_scheme_has_a_column_that_merges_and_guards_as_it_asks(key: str):
    of = SCHEMES[key]
    field = ASSIGNMENT.by_name[column(of)]
    assert field.name in COLUMNS
    assert field.is_set is of.multi
    assert (field.level is Level.SENSITIVE) is (of.level is Level.SENSITIVE)
    assert (field.rule is Rule.REVIEW) is (key in REVIEWED)


@pytest.mark.parametrize("key", SCHEMES)
def test_what_is_said_is_read_back_and_taken_back(key: str):
    of = SCHEMES[key]
    one = of.values[-1].key
    said = assigned(of, {one: True}, KIND[key], TODAY, reason="bought twice")
    for path, value in said.items():
        ASSIGNMENT.at(path)[0].check(value)
    row = {path: value for path, value in said.items() if "/" not in path}
    if of.multi:
        row[column(of)] = {one: True}
    assert stands(of, row) == [one]
    taken = cleared(of, row)
    assert all(ASSIGNMENT.at(path)[0] for path in taken)
    assert taken[f"{column(of)}/{one}" if of.multi else column(of)] in (False, None)
    assert (of.level is Level.SENSITIVE) is ("reason" not in said), "a reason is as sensitive as its scheme"


def test_a_word_is_checked_again_after_the_days_of_its_scheme_and_a_pin_after_a_year():
    persona = assigned(SCHEMES["personality"], {"expert": True}, "person", TODAY, reason="knows oak")
    assert (persona["check_by"], persona["pinned"]) == ("2027-11-22", False)
    pin = assigned(SCHEMES["tier"], {"gold": True}, "person", TODAY)
    assert (pin["check_by"], pin["pinned"]) == ("2027-11-22", True)
    until = assigned(SCHEMES["tier"], {"gold": True}, "person", TODAY, check_by="2027-05-03")
    assert until["check_by"] == "2027-05-03"
    marked = assigned(SCHEMES["attention"], {"key": True}, "person", TODAY)
    assert (marked["check_by"], marked["pinned"]) == (None, False)


@pytest.mark.parametrize(
    ("key", "values", "kind", "code"),
    [
        ("tier", {"platinum": True}, "person", "enum_unknown"),
        ("tier", {"gold": True, "silver": True}, "person", "scheme_values"),
        ("tier", {"gold": False}, "person", "scheme_values"),
        ("tier", {}, "person", "scheme_values"),
        ("ownership", {SCHEMES["ownership"].values[0].key: True}, "person", "scheme_kind"),
        ("personality", {"expert": True}, "person", "evidence_missing"),
        ("motive", {"fame": True}, "person", "evidence_missing"),
    ],
)
def test_what_may_not_be_said_is_refused(key: str, values: dict[str, bool], kind: str, code: str):
    with pytest.raises(Unfit) as unfit:
        assigned(SCHEMES[key], values, kind, TODAY, reason="  ")
    assert unfit.value.code == code


def test_to_take_a_value_back_needs_no_evidence_and_a_file_gives_none():
    assert assigned(SCHEMES["motive"], {"fame": False}, "person", TODAY) == {"values/fame": False}
    said = assigned(SCHEMES["personality"], {"expert": True}, "person", TODAY, imported=True)
    assert (said["value"], said["check_by"]) == ("expert", None)
