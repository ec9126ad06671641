"""Segments on a tablet: whom they find, with no network, and what a rule would find."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from regulars.customers import id_of
from regulars.desk import Desk
from regulars.records import Customer, Segment
from regulars_schema.declare import JSON, is_id
from regulars_sync.errors import LocalError

if TYPE_CHECKING:
    from regulars.judging import Found
    from regulars.knowing import Knowing
    from regulars_schema.rules.tree import Rule

EXAMPLES = 10
Asked = Segment | str | Mapping[str, JSON]
"""A segment, its id, or a rule as text or JSON."""


@dataclass(frozen=True, slots=True)
class Members:
    """Persons by name, those who are members and those of whom this tablet can't know."""

    yes: tuple[Customer, ...]
    unknown: tuple[Customer, ...]
    after: tuple[str, str] | None = None
    """Where the next ones begin; None at the end."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rule would find among the customers of this tablet."""

    count: int
    unknown: int
    examples: tuple[Customer, ...]
    asked: int
    """How many were looked at one by one, because no index tells; 0: an index told all."""


class Segments:
    """Named sets of customers. Definitions come from head office; static members are added here too."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list(self, limit: int = 1_000) -> Sequence[Segment]:
        return await self._desk.list_records(Segment, limit=limit)

    async def members(
        self,
        segment: Asked,
        limit: int = 1_000,
        after: tuple[str, str] | None = None,
        as_of: datetime | None = None,
    ) -> Members:
        """Whom a segment or a rule finds on this tablet, `limit` at a time, behind `after`.

        `LocalError`: not_found for a segment that there is not; what is wrong with a rule, and where.
        """
        from regulars import judging

        def work(knowing: Knowing) -> Found:
            return judging.find(knowing, _rule(knowing, segment), limit, after)

        found = await self._desk.know(work, as_of)
        cards = await self._cards((*found.yes, *found.unknown))
        return Members(
            tuple(cards[id] for id in found.yes if id in cards),
            tuple(cards[id] for id in found.unknown if id in cards),
            found.after,
        )

    async def preview(self, rule: Asked, as_of: datetime | None = None) -> Preview:
        """How many a rule finds, and some of them; the errors of `members`."""
        from regulars import judging

        found = await self._desk.know(lambda knowing: judging.find(knowing, _rule(knowing, rule)), as_of)
        examples = await self._cards(found.yes[:EXAMPLES])
        return Preview(len(found.yes), len(found.unknown), tuple(examples.values()), found.asked)

    async def _cards(self, ids: Iterable[str]) -> dict[str, Customer]:
        return await self._desk.customers_of(ids)

    async def add(self, segment: Segment | str, customers: Iterable[Customer | str]) -> None:
        """All or none, as one transaction."""
        await self._put(segment, customers, True)

    async def remove(self, segment: Segment | str, customers: Iterable[Customer | str]) -> None:
        await self._put(segment, customers, False)

    async def _put(self, segment: Segment | str, customers: Iterable[Customer | str], present: bool) -> None:
        async with self._desk.transaction():
            for customer in customers:
                fields = {f"segments/{id_of(segment)}": present}
                await self._desk.write("customer", id_of(customer), "edit", fields)


def _rule(knowing: Knowing, asked: Asked) -> Rule:
    from regulars import judging
    from regulars_schema.rules.tree import InTest

    if isinstance(asked, Segment) or (isinstance(asked, str) and is_id(asked)):
        if id_of(asked) not in knowing.world.segments:
            raise LocalError("not_found", entity="segment")
        return InTest(id_of(asked))
    return judging.rule_of(asked, knowing.setting.knowledge.words)
