"""What a person is known to have done, as it is laid out for rules in SQL; and whether that is so still."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from operator import attrgetter
from typing import NamedTuple

from regulars_schema.rules.knowing import Deed
from regulars_server.knowledge.loading import read_facts
from regulars_server.storage.interface import Batch, Order, Reader, Storage
from regulars_server.storage.standing import DEED, LINE, Counted
from regulars_sync.known import deeds_of

PAGE_ROWS = 500
_deed, _line = attrgetter(*DEED), attrgetter(*LINE)


def counted(deeds: Iterable[Deed]) -> tuple[Counted, ...]:
    """A row for each fact that counts, also of days to come, with its lines."""
    return tuple(Counted(_deed(deed), tuple(map(_line, deed.lines))) for deed in deeds)


class Difference(NamedTuple):
    """A customer of whom the index says other than the facts do."""

    customer: str
    missing: int
    """So many facts are not in it as they are."""
    surplus: int
    """So many are in it that are not, or not so."""


async def differing(reader: Reader, now_ms: int) -> list[Difference]:
    """Compare the index with a fresh computation, of everybody who does not wait to be looked at."""
    found: list[Difference] = []
    after = None
    while page := await reader.select("customer", None, Order(), PAGE_ROWS, after):
        after = page[-1].key
        found += await _differing(reader, [row.id for row in page], now_ms)
    return found


async def _differing(reader: Reader, customers: list[str], now_ms: int) -> list[Difference]:
    clusters = await reader.clusters(customers)
    persons = {clusters.get(id, (id,)) for id in customers}
    members = sorted({id for person in persons for id in person})
    waiting = await reader.unlooked(members, now_ms)
    kept = await reader.counted(members)
    rows = await read_facts(reader, members)
    found: list[Difference] = []
    for person in persons:
        if waiting.isdisjoint(person):
            fresh = set(counted(deed for _, deed in deeds_of(rows, person, UTC)))
            for id in person:
                want, has = fresh if id == person[0] else set[Counted](), kept.get(id, set())
                if want != has and id in customers:
                    found.append(Difference(id, len(want - has), len(has - want)))
    return sorted(found)


async def index_again(storage: Storage, customers: Iterable[str]) -> None:
    """Let these be looked at, by whoever looks next: what is laid out of them is then as their facts are."""
    async with storage.writer() as writer:
        await writer.commit(Batch(due=set(customers)))
