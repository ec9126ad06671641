"""How much a rule's JSON may hold, and of what: what is just allowed is read, and what is beyond is told."""

from __future__ import annotations

from typing import Any

import pytest

from regulars_schema.rules.tree import DEPTH_MAX, LINKS_MAX, NODES_MAX, VALUES_MAX, Misread, read, write
from regulars_schema.rules.windows import LENGTH_MAX
from tests.support.rules import IDS, SEGMENTS, WORDS

EXISTS = {"field": "gender", "op": "exists"}
MOST = 2**53 - 1


def nested(head: str, depth: int) -> Any:
    rule: Any = EXISTS
    for _ in range(depth):
        rule = {"not": rule} if head == "not" else {head: [rule]}
    return rule


def linked(times: int) -> Any:
    rule: Any = EXISTS
    for _ in range(times):
        rule = {"link": "companion", "rule": rule}
    return rule


def count(op: str = ">=", value: Any = 1, **more: Any) -> Any:
    return {"number": {"count": {}, **more}, "op": op, "value": value}


def total(what: str, currency: Any) -> Any:
    return {"number": {"sum": what, "currency": currency}, "op": "=", "value": 1}


def dated(op: str = "on", value: Any = "2026-11-22", date: Any = None, **more: Any) -> Any:
    return {"date": date or {"field": "birth"}, "op": op, "value": value, **more}


WEEK = {"next": 7, "unit": "day"}
STARTS = {"field": "name", "op": "starts", "value": "a"}
HAS = {"field": "tags", "op": "has", "value": "a"}


@pytest.mark.parametrize(
    ("least", "beyond", "code"),
    [
        ({"all": [EXISTS] * (NODES_MAX - 1)}, {"all": [EXISTS] * NODES_MAX}, "rule_too_large"),
        (nested("not", 2 * DEPTH_MAX), nested("not", 2 * DEPTH_MAX + 1), "rule_too_large"),
        (nested("all", DEPTH_MAX), nested("all", DEPTH_MAX + 1), "rule_too_large"),
        (linked(LINKS_MAX), linked(LINKS_MAX + 1), "rule_too_large"),
        ({"all": [linked(2), linked(2)]}, {"all": [linked(2), linked(3)]}, "rule_too_large"),
        ({"field": "headcount", "op": "in", "value": [1] * VALUES_MAX},
         {"field": "headcount", "op": "in", "value": [1] * (VALUES_MAX + 1)}, "rule_too_large"),
        ({"any": [EXISTS]}, {"any": []}, "rule_invalid"),
        (count(value=MOST), count(value=MOST + 1), "rule_invalid"),
        (count(value=-MOST), count(value=-MOST - 1), "rule_invalid"),
        (count(value=0), count(value=0.0), "rule_invalid"),
        (count("between", [2, 2]), count("between", [2, 1]), "rule_invalid"),
        (count("between", [1, 2]), count("between", [1, 2, 3]), "rule_invalid"),
        (count(window={"last": 1, "unit": "day"}), count(window={"last": 0, "unit": "day"}), "rule_invalid"),
        (count(window={"last": LENGTH_MAX, "unit": "year"}),
         count(window={"last": LENGTH_MAX + 1, "unit": "year"}), "rule_invalid"),
        (count(window={"this": "week"}), count(window={"this": "week", "unit": "day"}), "rule_invalid"),
        (count(window={"from": "2026-01-01", "to": "2026-01-01"}),
         count(window={"from": "2026-01-02", "to": "2026-01-01"}), "rule_invalid"),
        (count(window={"previous": "year"}), count(window={"previous": "days"}), "rule_unknown"),
        (count(window={"previous": "year"}), count(window=WEEK), "rule_invalid"),
        (total("margin", "CNY"), total("margin", "cny"), "rule_invalid"),
        (total("cost", "CNY"), total("cost", "CNYX"), "rule_invalid"),
        (total("amount", "CNY"), total("amount", "ÇNY"), "rule_invalid"),
        (total("amount", "CNY"), total("amount", 5), "rule_invalid"),
        (total("effort_min", None), total("effort_min", "CNY"), "rule_invalid"),
        (total("effort_min", None), total("effort", None), "rule_unknown"),
        (count(), {"number": {"count": {}, "of": {}}, "op": "=", "value": 1}, "rule_unknown"),
        (count(), {"number": {"metric": "age", "of": {}}, "op": "=", "value": 1}, "rule_unknown"),
        (count(), {"number": 5, "op": "=", "value": 1}, "rule_invalid"),
        (dated(), dated(value="2026-11-31"), "date_invalid"),
        (dated(), dated(value=5), "date_invalid"),
        (dated(date={"last": {}}), dated(date={"last": {}, "first": {}}), "rule_invalid"),
        (dated(), dated(date={"field": "gender"}), "rule_unknown"),
        (dated("within", WEEK), dated("within", None), "rule_invalid"),
        (dated("anniversary", WEEK, calendar="lunar"),
         dated("within", WEEK, calendar="lunar"), "rule_invalid"),
        (dated("anniversary", WEEK, calendar="solar"),
         dated("anniversary", WEEK, calendar="moon"), "rule_unknown"),
        (dated("anniversary", WEEK), dated("anniversary", {"this": "week"}), "rule_invalid"),
        (dated("anniversary", WEEK), dated("anniversary", WEEK, date={"last": {}}), "rule_invalid"),
        ({"in": SEGMENTS[0]}, {"in": IDS[0]}, "rule_unknown"),
        ({"under": IDS[0]}, {"under": "x"}, "id_invalid"),
        ({"owner": "team"}, {"owner": "them"}, "rule_invalid"),
        ({"link": "companion", "direction": "to"}, {"link": "companion", "direction": "two"}, "rule_unknown"),
        ({"task": "x" * 200, "states": ["open"]}, {"task": "x" * 201, "states": ["open"]}, "rule_invalid"),
        ({"task": "x", "states": ["open"]}, {"task": " ", "states": ["open"]}, "rule_invalid"),
        ({"task": "x", "states": ["open"]}, {"task": "x", "states": []}, "rule_invalid"),
        ({"case": "winback", "states": ["x"]}, {"case": "winback", "states": [""]}, "rule_invalid"),
        ({"consent": "x", "channel": "sms"}, {"consent": "x", "channel": "fax"}, "rule_unknown"),
        ({"is": "motive", "values": ["fame"]}, {"is": "motive", "values": ["gold"]}, "rule_unknown"),
        ({"is": "motive", "values": ["fame"]}, {"is": "tier", "values": ["fame"]}, "rule_unknown"),
        (EXISTS, {"field": "gender", "op": "exists", "value": None}, "rule_invalid"),
        (EXISTS, {**EXISTS, "values": []}, "rule_unknown"),
        (EXISTS, {"field": ["gender"], "op": "exists"}, "rule_unknown"),
        (STARTS, {**STARTS, "value": " "}, "rule_invalid"),
        ({"field": "name", "op": "=", "value": "a"}, {"field": "name", "op": "=", "value": 5}, "value_type"),
        (HAS, {**HAS, "op": "="}, "rule_unknown"),
        (count(), {"number": {"count": {"kind": ["visits"]}}, "op": "=", "value": 1}, "rule_unknown"),
        (count(), {"number": {"count": {"sort": ["visit"]}}, "op": "=", "value": 1}, "rule_unknown"),
        (count(), {"number": {"count": {"kind": []}}, "op": "=", "value": 1}, "rule_invalid"),
    ],
)  # fmt: skip
def test_what_is_just_allowed_is_read_and_what_is_beyond_is_told(least, beyond, code):
    rule = read(least, WORDS)
    assert read(write(rule), WORDS) == rule
    with pytest.raises(Misread) as raised:
        read(beyond, WORDS)
    assert raised.value.code == code
