"""Realistic rows for the storage contract: changes settled by the real core, committed to a storage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from regulars_schema.entities import REGISTRY
from regulars_schema.search import Asked, asked
from regulars_server.storage.interface import Batch, Commit, Incarnation, Storage
from regulars_sync import trail
from regulars_sync.changes import Change, Stated, Value, encode, groups
from regulars_sync.log import Entry, body_digest
from regulars_sync.placement import affected, conclude, moved, unloaded
from regulars_sync.reconcile import Author, Key, Ruling, World, needs, settle

START_MS = 1_795_000_000_000
HEAD_OFFICE = Author(head_office=True, country="CN")
Fields = Mapping[str, Any]


def uid(number: int) -> str:
    """A row's id; the order of numbers is the order of ids."""
    return f"01990000-0000-7000-8000-{number:012x}"


def cid(number: int) -> str:
    return f"{number:032x}"


UNITS = [uid(1000 + i) for i in range(4)]
NAMES = ["林芳", "王伟", "Ann Lee", "ann lee", "张三丰", "Zoë", "陈", "%_\\", "李 四"]


def searched(text: str) -> Asked:
    found = asked(text)
    assert found is not None
    return found


class Scribe:
    """Makes changes, has them settled, and commits what follows."""

    def __init__(self) -> None:
        self.last = 0
        self.now_ms = START_MS

    def change(
        self,
        entity: str,
        id: str,
        fields: Fields,
        op: str = "create",
        seen: Mapping[str, list[str]] | None = None,
        **more: Any,
    ) -> Change:
        self.last += 1
        made = cid(self.last)
        values = {path: v if isinstance(v, Value) else Value(v) for path, v in fields.items()}
        more.setdefault("group", made)
        return Change(
            cid=made,
            op=op,  # type: ignore[arg-type]
            entity=entity,
            id=id,
            fields=values,
            seen=dict(seen or {}),
            stamp=self.now_ms * 1000 + self.last,
            stated=Stated(self.now_ms),
            schema=1,
            **more,
        )

    async def push(
        self,
        storage: Storage,
        changes: Iterable[Change],
        author: Author = HEAD_OFFICE,
        incarnation: Incarnation | None = None,
        sightings: Mapping[tuple[str, str], int | None] = MappingProxyType({}),
        again: Iterable[Key] = (),
    ) -> tuple[list[Ruling], Commit]:
        """Settle and commit, as the server does it: one transaction for all.

        `sightings`: (customer, unit) -> when, of customers who exist; None ends one.
        `again`: rows to place anew.
        """
        changes = list(changes)
        async with storage.writer() as writer:
            keys, cids = needs(REGISTRY, changes)
            rows = await writer.rows({*keys, *(("customer", customer) for customer, _ in sightings)})
            for (customer, unit), at_ms in sightings.items():
                rows["customer", customer].sighted[unit] = at_ms
            entries = await writer.entries([*cids, *(change.cid for change in changes)])
            head = await writer.head()
            world = World(REGISTRY, self.now_ms, head.stamp_max, rows, entries)
            rulings: list[Ruling] = []
            for group in groups(changes):
                rulings += settle(world, author, group)
            dependents = list((await writer.rows(again)).values())
            if movers := moved(world):
                world.kin = await writer.kin(movers)
                dependents += await writer.dependents(affected(world))
            world.rows.update(await writer.rows(unloaded(world, dependents)))
            batch = Batch(conclude(world, dependents), at_ms=self.now_ms)
            for ruling in rulings:
                batch.entries.append(self.entry(ruling, author))
                if ruling.waits is not None:
                    batch.waits[ruling.change.group] = ruling.waits
            if incarnation is not None:
                for change in changes:
                    incarnation.n += 1
                    incarnation.trail = trail.extend(incarnation.trail, change.cid)
                batch.incarnation = incarnation
            batch.stamp_max = world.stamp_max
            commit = await writer.commit(batch)
        return rulings, commit

    def entry(self, ruling: Ruling, author: Author = HEAD_OFFICE) -> Entry:
        change = ruling.change
        body, key = encode(change), bytes.fromhex(change.cid)
        return Entry(
            cid=change.cid,
            group=change.group,
            entity=change.entity,
            id=change.id,
            verdict=ruling.verdict,
            code=ruling.code,
            field=ruling.field,
            detail=ruling.detail,
            device=author.device,
            replaces=change.replaces,
            stamp=ruling.stamp,
            at_ms=self.now_ms,
            body=body,
            key=key,
            digest=body_digest(key, body, ruling.field, ruling.detail),
        )

    def customer(self, number: int, unit: int | None = 0, **fields: Any) -> Change:
        home = {} if unit is None else {"home_unit": UNITS[unit]}
        return self.change("customer", uid(number), {"name": NAMES[number % len(NAMES)], **home, **fields})

    def fact(self, number: int, customer: int | None, minute: int = 0, **fields: Any) -> Change:
        party = {} if customer is None else {"party": [{"customer": uid(customer), "role": "principal"}]}
        at = f"2026-11-22T{minute // 60 % 24:02}:{minute % 60:02}:00.000Z"
        return self.change("interaction", uid(number), {"kind": "visit", "at": at, **party, **fields})
