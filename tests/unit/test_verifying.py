"""Values that wait to be verified: the task that asks for it, and what a verdict writes."""

from __future__ import annotations

import pytest

from regulars_schema.entities import CUSTOMER
from regulars_sync.changes import Source, Value
from regulars_sync.merge import Candidate, Register
from regulars_sync.verifying import CLOSED, judged, may_see, pending, standing_of, task

FILLED = Candidate("a" * 32, 5, "teacher", "self_form", "pending")
CHECKED = Candidate("b" * 32, 3, "nurse", "agency", "verified")
NOTED = Candidate("c" * 32, 4, "baker", "staff_visit", None)


def test_only_what_a_customer_fills_in_waits_and_it_never_takes_the_place_of_what_was_verified():
    assert standing_of("self_form") == "pending"
    assert {standing_of(source) for source in ("staff_visit", "agency", "import", "pos", None)} == {None}
    weaker: tuple[Source, ...] = ("self_form", "agency", "import", "pos", "rule")
    for source in weaker:
        assert [may_see(Value(1, source), one) for one in (FILLED, CHECKED, NOTED)] == [True, False, True]
        assert may_see(Value(1, source, "verified"), CHECKED)
    assert may_see(Value(1), CHECKED)
    assert may_see(Value(1, "staff_visit"), CHECKED)
    registers = {"occupation": Register({FILLED.cid: FILLED, CHECKED.cid: CHECKED}), "name": Register()}
    assert pending(registers) == ["occupation"]


def test_one_task_is_open_at_a_time_and_a_closed_one_does_not_hide_the_next_form():
    first = task("c", "2026-11-22", {})
    assert first == task("c", "2026-11-22", {}), "two who notice it make one"
    assert first is not None
    assert first["subject"] == "2026-11-22"
    assert task("c", "2026-11-23", {"2026-11-22": "open"}) is None
    for status in CLOSED:
        again = task("c", "2026-11-22", {"2026-11-22": status})
        assert again is not None
        assert again["subject"] == "2026-11-22 2"


def test_a_verdict_keeps_where_a_value_is_from_and_a_rejected_one_yields_to_another():
    beside = [FILLED, CHECKED]
    assert judged(CUSTOMER, "occupation", beside, None, True).value == "teacher"
    assert judged(CUSTOMER, "occupation", beside, None, True).source == "self_form"
    left = judged(CUSTOMER, "occupation", beside, None, False)
    assert (left.value, left.source, left.verified) == ("nurse", "agency", "verified")
    alone = judged(CUSTOMER, "occupation", [FILLED], None, False)
    assert (alone.value, alone.verified) == ("teacher", "rejected")
    assert judged(CUSTOMER, "occupation", [NOTED, CHECKED], NOTED.cid, True).value == "baker"
    assert judged(CUSTOMER, "occupation", [NOTED], None, True).verified == "verified"
    for cid, values in ((FILLED.cid, [NOTED]), (None, [])):
        with pytest.raises(KeyError):
            judged(CUSTOMER, "occupation", values, cid, True)
