"""What tablets are told of facts that lie before the window: sums that follow every correction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from regulars_schema.declare import Level
from regulars_server.ageing import Ageing
from regulars_sync.clock import ms_of
from regulars_sync.ids import identity_id
from tests.integration.test_knowing import Told
from tests.integration.test_scopes import move
from tests.support.chain import new_chain

OLD, NEW = "2021-03-0{}T10:00:00.000Z", "2026-10-0{}T10:00:00.000Z"


class Aged(Told):
    async def bought(self, *customers: str, amount: int = 500, at: str = OLD.format(1), **fields: Any) -> str:
        return await super().bought(*customers, amount=amount, at=at, **fields)

    async def age(self) -> None:
        service = self.chain.service
        await Ageing(service.storage, service.admission, service.now_ms, service.entropy).once()

    async def sums(self, id: str) -> dict[str, Any] | None:
        """What the chain's tablets are told of a customer, by kind."""
        async with self.chain.service.storage.unscoped_reader() as reader:
            row = (await reader.find("baseline", [id])).get(id)
        if row is None:
            return None
        said: dict[str, Any] = orjson.loads(row.documents[Level.INTERNAL])
        assert said["edge"] == "2024-11-01T00:00:00.000Z"
        return {kind: (one["count"], one["amount"]) for kind, one in said["kinds"].items()}

    async def look(self) -> None:
        await self.chain.service.checking.drain()


@pytest.fixture
async def told(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        assert chain.clock.ms > ms_of("2026-11-01T00:00:00.000Z")
        yield Aged(chain)


async def test_only_who_has_older_facts_has_a_baseline_and_it_is_told_before_the_facts_leave(told: Aged):
    lin, new = await told.customer(), await told.customer("王伟")
    await told.bought(lin, amount=1)
    await told.bought(lin, amount=2, at=OLD.format(2))
    await told.bought(lin, new, amount=4, at=NEW.format(1))
    tablet = await told.chain.tablet("one")
    assert (await tablet.sync()).equal
    await told.age()
    assert await told.sums(lin) == {"purchase": (2, 3)}
    assert await told.sums(new) is None
    assert (await tablet.sync()).equal
    assert await told.chain.digests_equal(tablet)
    one, other = sorted([lin, new])
    pair = {"one": one, "other": other}
    await told.write("identity", identity_id(one, other), **pair, decision="same", reason="person")
    await told.look()
    assert (await told.sums(lin), await told.sums(new)) == ({"purchase": (2, 3)}, None)


async def test_a_late_an_imported_and_a_voided_fact_are_in_the_sums_once(told: Aged):
    lin = await told.customer()
    first = await told.bought(lin, amount=1)
    await told.age()
    late = await told.bought(lin, amount=10, at=OLD.format(2))
    await told.look()
    assert await told.sums(lin) == {"purchase": (2, 11)}
    await told.bought(lin, amount=20, supersedes=late, at=OLD.format(2))
    await told.look()
    await told.look()
    assert await told.sums(lin) == {"purchase": (2, 21)}
    await told.write("interaction", kind="purchase", at=OLD.format(1), supersedes=first, void=True)
    await told.look()
    assert await told.sums(lin) == {"purchase": (1, 20)}


async def test_members_of_one_person_add_up_to_the_person(told: Aged):
    one, other = sorted([await told.customer(), await told.customer("林 芳")])
    await told.bought(one, amount=1)
    await told.bought(other, amount=2)
    await told.bought(one, other, amount=4)
    await told.age()
    assert await told.sums(other) == {
        "purchase": (1, 2),
        "visit": (1, 0),
    }  # as two, the other came along
    pair = {"one": one, "other": other}
    await told.write("identity", identity_id(one, other), **pair, decision="same", reason="person")
    await told.look()
    assert (await told.sums(one), await told.sums(other)) == ({"purchase": (2, 5)}, {"purchase": (1, 2)})
    await told.chain.write("edit", "identity", identity_id(one, other), {"decision": "not_same"})
    await told.look()
    assert await told.sums(other) == {"purchase": (1, 2), "visit": (1, 0)}


async def test_a_baseline_goes_where_its_customer_goes(told: Aged):
    lin = await told.customer()
    await told.bought(lin, amount=1)
    await told.age()
    far = await told.chain.tablet("far", unit="Orchard")
    assert (await far.sync()).equal
    await move(told.chain, lin, "Orchard")
    assert (await far.sync()).equal
    assert await told.chain.digests_equal(far)
    async with told.chain.service.storage.reader(
        frozenset({f"unit:{told.chain.units['Orchard']}"})
    ) as reader:
        assert lin in await reader.find("baseline", [lin])
