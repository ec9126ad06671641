"""One tablet in a process of its own: people write while it syncs. Every write that returned is printed.

python tests/faults/tablet.py FILE SEED SECONDS     writes and syncs; killed at any instant
python tests/faults/tablet.py FILE drain            syncs without a new write until nothing is pending
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from typing import Any

from regulars import Shop
from regulars_sync.errors import LocalError


def say(**told: Any) -> None:
    print(json.dumps(told), flush=True)


async def work(shop: Shop, chance: random.Random, until: float) -> None:
    stopped = asyncio.Event()
    loop = asyncio.create_task(shop.sync_forever(stopped=stopped))
    while time.monotonic() < until:
        if chance.random() < 0.15:
            await shop.sync()
        await one(shop, chance)
        await asyncio.sleep(chance.uniform(0, 0.05))
    stopped.set()
    await loop


async def one(shop: Shop, chance: random.Random) -> None:
    """One deed of somebody in the shop."""
    known = await shop.customers.list(limit=50)
    kind = chance.choice(("create", "group", "record", "edit", "edit", "tag")) if known else "create"
    try:
        if kind == "create":
            made = await shop.customers.create(name=f"guest {chance.randrange(10**9)}")
            say(entity="customer", id=made.id)
        elif kind == "group":
            async with shop.transaction():
                made = await shop.customers.create(name=f"guest {chance.randrange(10**9)}")
                visit = await shop.interactions.record(made, kind="visit")
            say(entity="customer", id=made.id)
            say(entity="interaction", id=visit.id)
        elif kind == "record":
            note = str(chance.random())
            visit = await shop.interactions.record(chance.choice(known), kind="call", note=note)
            say(entity="interaction", id=visit.id)
        elif kind == "edit":
            lin, note = chance.choice(known), f"note {chance.randrange(10**9)}"
            await shop.customers.edit(lin, notes=note)
            say(edited=lin.id, note=note)
        else:
            lin, tag = chance.choice(known), f"tag {chance.randrange(10**9)}"
            await shop.tags.add(lin, tag)
            say(tagged=lin.id, tag=tag)
    except LocalError as error:
        say(refused=error.code)


async def drain(shop: Shop) -> None:
    for _ in range(30):
        if (await shop.sync()).equal and not (await shop.status()).pending:
            break
        await asyncio.sleep(0.2)
    report, status = await shop.sync(), await shop.status()
    true = await shop.verify()
    rows = {c.id: (c.name, c.notes, sorted(c.tags)) for c in await shop.customers.list(limit=100_000)}
    say(
        equal=report.equal,
        problem=report.problem.code if report.problem else None,
        pending=status.pending,
        held=[(h.cid, h.code, h.field) for h in await shop.held()],
        digests={scope: list(digest) for scope, digest in true.items()},
        rows=rows,
    )


async def main(file: str, how: str, seconds: str = "0") -> None:
    async with Shop.open(file) as shop:
        if how == "drain":
            await drain(shop)
        else:
            await work(shop, random.Random(int(how)), time.monotonic() + float(seconds))


asyncio.run(main(*sys.argv[1:]))
