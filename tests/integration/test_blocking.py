"""The SDK for scripts does what the asynchronous one does."""

from __future__ import annotations

from pathlib import Path

import pytest

from regulars import LocalError
from regulars.blocking import Shop


def test_a_script_writes_reads_and_groups_without_async(tmp_path: Path) -> None:
    with Shop.open(tmp_path / "branch.db") as shop:
        lin = shop.customers.create(name="林芳", phone="138 0013 8000")
        with shop.transaction():
            shop.customers.edit(lin, notes="likes oak")
            shop.interactions.record(lin, kind="visit", stage_reached=6)
        assert shop.customers.get(lin.id).notes == "likes oak"
        assert [fact.stage_reached for fact in shop.interactions.of(lin)] == [6]
        assert shop.status().pending == 3
    with Shop.open(tmp_path / "branch.db") as shop:
        (found,) = shop.customers.search("林芳")
        assert found.id == lin.id


def test_what_the_asynchronous_shop_knows_of_the_past_a_script_knows_too(tmp_path: Path) -> None:
    with Shop.open(tmp_path / "branch.db") as shop:
        lin = shop.customers.create(name="林芳")
        assert shop.customers.contested(lin) == []
        with pytest.raises(LocalError, match="choice_gone"):
            shop.customers.choose(lin, "name", "林芳")
        for asked in (
            lambda: shop.history("customer", lin.id),
            lambda: shop.ledger(reversible=True),
            lambda: shop.reverse("f" * 32),
        ):
            with pytest.raises(LocalError, match="not_paired"):
                asked()


def test_a_transaction_that_fails_writes_nothing_and_its_error_comes_through(tmp_path: Path) -> None:
    with Shop.open(tmp_path / "branch.db") as shop:

        def fails() -> None:
            with shop.transaction():
                shop.customers.create(name="林芳")
                shop.customers.create()

        with pytest.raises(LocalError, match="fields_missing"):
            fails()
        assert shop.customers.list() == []
        with pytest.raises(LocalError, match="not_paired"):
            shop.sync()
