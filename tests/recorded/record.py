"""Record one schema version's traffic and files, so that later versions can be shown to serve them.

    git worktree add ../released <revision>; cd ../released
    PYTHONPATH=.:schema:sync:server:client_sdk python <this file> <folder>

Run it against the release itself. It plays a few weeks of two branches with that release's own SDK and
server, on a clock and randomness of its own, and keeps in the folder:

    session.jsonl     every request of every tablet and its answer, in order, and head office's deeds
    start.db.gz       the chain when the session began: units, staff, tablets already paired
    end.db.gz         the chain when it ended
    <tablet>.db.gz, <tablet>.outbox.db.gz   the tablets' files at the end, with edits not sent yet
"""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from regulars import Shop
from regulars_schema.declare import Enum, Field, Label, List, Ref, Struct, Text
from regulars_schema.entities import CUSTOMER, REGISTRY
from regulars_server import erasure
from regulars_server.app import DATABASE
from regulars_sync.changes import Value
from regulars_sync.errors import Offline
from regulars_sync.pins import SALT_BYTES, verifier
from tests.support.chain import Chain, new_chain

SEED = 16


class Recorder:
    """What every transport of a chain sends and is answered."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.lines: list[dict[str, Any]] = []
        self.tokens: dict[str, str] = {}

    def listen(self, tablet: str) -> None:
        transport = self.chain.transports[tablet]
        post = transport.post

        async def recorded(path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
            at = self.chain.clock.ms
            lost = transport.lose_answers_to == path
            if lost:
                transport.lose_answers_to = None
            status, answer = await post(path, body, token)
            line = {"tablet": tablet, "at": at, "path": path, "status": status, "lost": lost}
            self.lines.append({**line, "request": exact(body), "answer": exact(answer)})
            if token:
                self.tokens[tablet] = token
            if lost:
                raise Offline("offline")
            return status, answer

        transport.post = recorded  # type: ignore[method-assign]

    async def erase(self, customer: str) -> None:
        self.lines.append({"head_office": "erase", "at": self.chain.clock.ms, "customer": customer})
        await erasure.erase(self.chain.service, customer, "asked for it")


def exact(body: bytes) -> Any:
    """The JSON of a body, checked to be spelled again with the very same bytes."""
    said = json.loads(body)
    assert spelled(said) == body
    return said


def spelled(said: Any) -> bytes:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def keep(database: Path, name: Path) -> None:
    """A whole, compressed copy of a database that may be in use; the same bytes for the same content."""
    copy = database.with_suffix(".copy")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    name.write_bytes(gzip.compress(copy.read_bytes(), 9, mtime=0))
    copy.unlink()


async def tablet(chain: Chain, recorder: Recorder, name: str, unit: str, sensitive: bool) -> Shop:
    shop = await chain.tablet(name, unit, sensitive=sensitive, paired=False)
    recorder.listen(name)
    # The pairing itself goes through the recorder too.
    code = await chain.service.access.new_pairing_code(chain.units[unit], name, sensitive)
    await shop.pair("http://hq", code, name)
    return shop


def sample(field: Field, chain: Chain, others: dict[str, str], turn: int) -> Any:
    """Some value of a field's type, another one each turn."""
    kind = field.type
    if isinstance(kind, Enum):
        return list(kind.values)[turn % len(kind.values)]
    if isinstance(kind, Ref):
        return others[kind.entity]
    if isinstance(kind, Struct):
        return {"year": 1980 + turn, "month": 5, "day": 4 + turn, "calendar": "lunar", "leap": False}
    if isinstance(kind, List):
        return []
    if isinstance(kind, Text):
        return f"{field.name} {turn} 字"[: kind.chars_max]
    shapes = {"Boolean": bool(turn % 2), "Date": f"2026-03-{10 + turn}", "Int": turn}
    return shapes.get(kind.graphql, f"2026-03-{10 + turn}T08:30:00.000Z")


def every_field(chain: Chain, others: dict[str, str], turn: int) -> dict[str, Any]:
    """A value for every field of a customer's card, sets too."""
    given: dict[str, Any] = {}
    for field in CUSTOMER.fields:
        if field.name in {"home_unit", "archived"}:
            continue
        if field.name == "phones":
            given["phones"] = {f"138 0013 80{turn:02}": f"138 0013 80{turn:02}"}
        elif field.name == "emails":
            given["emails"] = {f"Lin{turn}@Example.com": f"Lin{turn}@Example.com"}
        elif field.is_set:
            given[field.name] = {sample(field, chain, others, turn): True}
        else:
            given[field.name] = sample(field, chain, others, turn)
    return given


async def session(chain: Chain, folder: Path) -> Recorder:
    recorder = Recorder(chain)
    clock = chain.clock
    others = {"unit": chain.units["Nanjing Road"]}
    kept: dict[str, dict[str, object]] = {
        "staff": {"name": "李雷", "role": "manager", f"units/{others['unit']}": True, "active": True},
        "product": {"name": "Oak table 橡木桌", "price": 129900, "currency": "CNY", "usage_days": 3650},
        "segment": {"name": "New homes", "purpose": "Moved within a year"},
    }
    for entity, fields in kept.items():
        others[entity] = chain.new_id()
        await chain.write("create", entity, others[entity], fields)
    pin = verifier("2468", chain.entropy(SALT_BYTES))
    await chain.write(
        "create", "staff_pin", others["staff"], {f"units/{others['unit']}": True, "verifier": pin}
    )

    one = await tablet(chain, recorder, "one", "Nanjing Road", sensitive=True)
    two = await tablet(chain, recorder, "two", "Nanjing Road", sensitive=False)
    orchard = await tablet(chain, recorder, "orchard", "Orchard", sensitive=False)
    keep(chain.folder / DATABASE, folder / "start.db.gz")
    for shop in (one, two, orchard):
        await shop.sync()

    # Creates and edits of every writable entity, every field, both levels, sets in and out.
    await one.sign_in("李雷", "2468")
    lin = await one.customers.create(name="林芳", phone="138 0013 8000")
    await one.customers.edit(lin, **every_field(chain, others, 1))
    await one.sync()
    clock.pass_(days=2)
    await one.customers.edit(lin, **every_field(chain, others, 2))
    await one.customers.edit(
        lin, tags={"tags 1 字": False, "vip": True}, hobbies=["tea"], notes=None, contact_by={"sms": False}
    )
    mei = await one.customers.create(name="Mei Tan", email="mei@example.com", credit_status="good")
    link = await one.links.add(lin, mei, "family", note="sisters")
    await one.segments.add(others["segment"], [lin, mei])
    visit = await one.interactions.record(
        [lin, {"customer": mei.id, "role": "payer"}, {"name": "a friend"}],
        kind="purchase",
        channel="store",
        stage_reached=7,
        outcome="won",
        note="橡木桌 in oak",
        effort_min=35,
        lines=[
            {
                "product": others["product"],
                "name": "Oak table",
                "quantity": 1,
                "amount": 129900,
                "currency": "CNY",
            },
            {"name": "Delivery", "quantity": 1, "amount": 5000, "currency": "CNY"},
        ],
    )
    await one.sync()
    await one.interactions.correct(visit, note="橡木桌, two chairs later")
    call = await one.interactions.record(mei, kind="call", outcome="no_answer")
    await one.interactions.void(call, note="wrong customer")
    await one.links.remove(link)
    await one.customers.archive(mei)
    clock.pass_(hours=5)
    async with one.transaction():
        wang = await one.customers.create(name="王芳")
        await one.interactions.record(wang, kind="visit")
        await one.customers.edit(wang, notes="came with her mother")
    await one.sync()

    # Two tablets that have not seen each other: values side by side.
    await two.sync()
    await one.customers.edit(lin, notes="from one", address="Nanjing Road 1")
    await two.customers.edit(lin, notes="from two", gender="female")
    await two.customers.restore(mei)
    chain.transports["two"].lose_answers_to = "/sync/v1/push"
    await one.sync()
    await two.sync()
    clock.pass_(minutes=3)
    await two.sync()

    # Held: a row that is not there yet. Rejected: names and values of no version. Mended, dropped.
    zhao = await two.customers.create(name="赵静")
    early = await one.interactions.record(zhao.id, kind="visit", note="before she is known")
    await one.sync()
    await two.sync()
    field = Field("shoe_size", Text(), Label("鞋码", "Shoe size"))
    ill = dataclasses.replace(CUSTOMER, fields=(*CUSTOMER.fields, field))
    entities = tuple(ill if e.name == "customer" else e for e in REGISTRY.entities)
    one.registry = dataclasses.replace(REGISTRY, entities=entities)
    await one.write("customer", wang.id, "edit", {"shoe_size": "38"})
    await one.write("customer", wang.id, "edit", {"shoe_size": "39", "notes": "mind the size"})
    one.registry = REGISTRY
    await one.sync()
    first, second = await one.held()
    await one.drop(first.cid)
    del second.change.fields["shoe_size"]
    await one._replace(second.change, "edit", {"notes": Value("mind the size: 39")})
    await one.sync()

    # A customer moves to the other branch; edits after it are held there.
    clock.pass_(days=9)
    await two.sync()
    await two.customers.edit(wang, address="on her way")
    await one.customers.edit(wang, home_unit=chain.units["Orchard"])
    await one.sync()
    await two.sync()
    await orchard.sync()
    await orchard.customers.edit(wang, notes="with us now", phone="+65 6123 4567")
    await orchard.interactions.record(wang, kind="visit", at=None, note="first visit at Orchard")
    await orchard.sync()
    await one.interactions.record(wang, kind="call", note="said goodbye")
    await one.sync()

    # An erasure at head office, and a late edit of who was erased.
    await recorder.erase(zhao.id)
    await one.customers.edit(early.party[0].customer or "", notes="too late")
    await one.sync()
    await two.sync()

    # Edits not sent yet, weeks old when a newer version opens the files.
    clock.pass_(days=3)
    await one.customers.edit(lin, notes="not sent yet", income_band="high", tags=["loyal"])
    await one.links.add(lin, mei, "companion")
    async with one.transaction():
        sun = await one.customers.create(name="孙丽", phone="139 1111 2222", hobby="silk")
        await one.interactions.record(sun, kind="quote", lines=[{"name": "Chair", "quantity": 4}])
    await one.interactions.record(lin, kind="followup", outcome="interested")
    await orchard.customers.edit(wang, tags=["orchard"], privacy_notice="accepted")
    return recorder


async def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        async with new_chain(Path(scratch), seed=SEED) as chain:
            recorder = await session(chain, folder)
            keep(chain.folder / DATABASE, folder / "end.db.gz")
            for name in chain.shops:
                for suffix in (".db", ".outbox.db"):
                    keep(chain.folder / f"{name}{suffix}", folder / f"{name}{suffix}.gz")
            first = {"schema": REGISTRY.version, "end": chain.clock.ms, "tokens": recorder.tokens}
            lines = [first, *recorder.lines]
            (folder / "session.jsonl").write_bytes(b"".join(spelled(line) + b"\n" for line in lines))


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    asyncio.run(main(Path(sys.argv[1])))
