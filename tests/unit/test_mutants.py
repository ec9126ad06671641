"""The list of mutants stays true to the source."""

from __future__ import annotations

from tests.mutants import MUTANTS, problems


def test_every_mutant_finds_its_place() -> None:
    assert problems() == []
    assert len(MUTANTS) >= 40
