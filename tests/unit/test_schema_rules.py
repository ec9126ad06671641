"""The rules of the SDL: each catches the schema made to break it, and a good one keeps them all."""

from __future__ import annotations

import pytest
from graphql import build_schema

from tests.support.schema_rules import GOOD, RULES, Rule, found


def test_a_good_schema_keeps_every_rule():
    assert found(build_schema(GOOD)) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_catches_the_schema_made_to_break_it(rule: Rule):
    assert found(build_schema(rule.bad, assume_valid=True), [rule])


def test_rules_have_names_of_their_own():
    assert len({rule.name for rule in RULES}) == len(RULES)
