"""Every cell of the table of winners in docs/PROTOCOL.md, read from that very table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from regulars import LocalError, Shop
from regulars.records import Customer, Interaction, Link
from regulars_server import erasure, identities
from regulars_server.authors import SERVER
from regulars_sync import changes, document
from regulars_sync.protocol import PushRequest
from tests.support.chain import Chain, new_chain

PROTOCOL = Path(__file__).resolve().parents[2] / "docs" / "PROTOCOL.md"


def cells(header: str = "| at head office |") -> list[tuple[str, str, str]]:
    """(what head office does, what the tablet does, or head office then, who wins)"""
    lines = PROTOCOL.read_text("utf-8").splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(header))
    table = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    head, _, *rows = table
    return [(row[0], rival, winner) for row in rows for rival, winner in zip(head[1:], row[1:], strict=True)]


@dataclass
class Scene:
    """A tablet and what it held when it went away, and head office."""

    chain: Chain
    tablet: Shop
    lin: Customer
    wang: Customer
    link: Link
    fact: Interaction
    held: str
    made: str = ""
    """The id of the interaction that the tablet made meanwhile."""

    async def write(self, entity: str, id: str, **fields: object) -> None:
        """An edit by head office that has seen all there is."""
        async with self.chain.service.storage.unscoped_reader() as reader:
            registers = document.decode((await reader.find(entity, [id]))[id].documents)
        given = {path.replace("__", "/"): value for path, value in fields.items()}
        seen = {path: sorted(registers[path].values) for path in given if path in registers}
        edit = self.chain.service.change("edit", entity, id, given, seen=seen)
        ((ruling,),) = await self.chain.service.admission.write(SERVER, [[edit]])
        assert ruling.verdict == "applied"

    async def counting(self, shop: Shop) -> set[str]:
        return {fact.id for fact in await shop.interactions.of(self.lin)}


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with new_chain(tmp_path) as chain:
        one = await chain.tablet("one")
        lin = await one.customers.create(name="林芳", tag="vip")
        wang = await one.customers.create(name="王伟")
        link = await one.links.add(lin, wang, "family")
        fact = await one.interactions.record(lin, kind="purchase")
        await one.interactions.record(chain.new_id(), kind="call")
        assert (await one.sync()).held == 1
        (held,) = await one.held()
        yield Scene(chain, one, await one.customers.get(lin.id), wang, link, fact, held.cid)


# --- what head office does, and whether it holds ---------------------------------------------------------


async def void(scene: Scene) -> None:
    fields = {"kind": "purchase", "at": "2026-11-22T10:00:00.000Z", "void": True, "supersedes": scene.fact.id}
    party = [{"customer": scene.lin.id}]
    await scene.chain.write("create", "interaction", scene.chain.new_id(), {**fields, "party": party})


async def erase(scene: Scene) -> None:
    await erasure.erase(scene.chain.service, scene.lin.id, "asked for it")


async def merge(scene: Scene) -> None:
    cid = scene.chain.entropy(16).hex()
    await identities.decide(scene.chain.service, scene.lin.id, scene.wang.id, "same", cid)


async def is_merged(scene: Scene, shop: Shop) -> bool:
    card = await shop.customers.find(scene.wang.id)
    return card is not None and set(card.members) == {scene.lin.id, scene.wang.id}


async def is_archived(scene: Scene, shop: Shop) -> bool:
    return (await shop.customers.get(scene.lin.id)).archived is True


async def is_void(scene: Scene, shop: Shop) -> bool:
    return scene.fact.id not in await scene.counting(shop)


async def is_unlinked(scene: Scene, shop: Shop) -> bool:
    return not await shop.links.of(scene.lin)


async def is_untagged(scene: Scene, shop: Shop) -> bool:
    return "vip" not in (await shop.customers.get(scene.lin.id)).tags


async def is_erased(scene: Scene, shop: Shop) -> bool:
    return await shop.customers.find(scene.lin.id) is None


Act = Callable[[Scene], Awaitable[None]]
Holds = Callable[[Scene, Shop], Awaitable[bool]]
ACTS: dict[str, tuple[Act, Holds]] = {
    "archive": (lambda scene: scene.write("customer", scene.lin.id, archived=True), is_archived),
    "void": (void, is_void),
    "remove a link": (lambda scene: scene.write("link", scene.link.id, active=False), is_unlinked),
    "remove a tag": (lambda scene: scene.write("customer", scene.lin.id, tags__vip=False), is_untagged),
    "erase": (erase, is_erased),
    "merge": (merge, is_merged),
}

# --- what the tablet does meanwhile, and whether it holds ------------------------------------------------


async def edit(scene: Scene, act: str) -> None:
    if act == "void":
        scene.made = (await scene.tablet.interactions.correct(scene.fact, outcome="won")).id
    elif act == "remove a link":
        await scene.tablet.write("link", scene.link.id, "edit", {"note": "sisters"})
    else:
        await scene.tablet.customers.edit(scene.lin, notes="edited")


async def new_fact(scene: Scene, act: str) -> None:
    scene.made = (await scene.tablet.interactions.record(scene.lin, kind="visit")).id


async def mend(scene: Scene, act: str) -> None:
    (held,) = await scene.tablet.held()
    scene.made = held.id
    await scene.tablet.mend(scene.held, party=[{"customer": scene.lin.id}])


async def be_late(scene: Scene, act: str) -> None:
    shop = scene.tablet
    if act == "archive":
        await shop.customers.restore(scene.lin)
    elif act == "remove a link":
        await shop.links.add(scene.lin, scene.wang, "family")
    elif act == "remove a tag":
        await shop.tags.add(scene.lin, "vip")
    elif act == "merge":
        await shop.identities.propose(scene.lin, scene.wang)
    else:  # the row itself again, by what was restored to before its first sending
        row = scene.fact.id if act == "void" else scene.lin.id
        (body,) = await shop._outbox.file.read(
            lambda c: c.execute("SELECT body FROM change WHERE id = ? ORDER BY pos", (row,)).fetchone()
        )
        cid = scene.chain.entropy(16).hex().encode()
        await push(scene, body.replace(changes.decode(body).cid.encode(), cid))


async def push(scene: Scene, body: bytes) -> None:
    _, author = await scene.chain.service.device(scene.tablet._said["token"])
    await scene.chain.service.admission.push(author, PushRequest("restored1", 1, 1, [body]))  # type: ignore[list-item]


async def edit_holds(scene: Scene, shop: Shop, act: str) -> bool:
    if act == "void":
        return scene.made in await scene.counting(shop)
    if act == "remove a link":
        row = await shop.get_record(Link, scene.link.id)
        return row is not None and row.note == "sisters"
    found = await shop.customers.find(scene.lin.id)
    return found is not None and found.notes == "edited"


async def fact_holds(scene: Scene, shop: Shop, act: str) -> bool:
    with suppress(LocalError):
        return (await shop.interactions.get(scene.made)).kind in {"visit", "call"}
    return False


async def late_holds(scene: Scene, shop: Shop, act: str) -> bool:
    return not await ACTS[act][1](scene, shop)


Rival = Callable[[Scene, str], Awaitable[None]]
RivalHolds = Callable[[Scene, Shop, str], Awaitable[bool]]
RIVALS: dict[str, tuple[Rival, RivalHolds]] = {
    "edit": (edit, edit_holds),
    "new fact": (new_fact, fact_holds),
    "mend": (mend, fact_holds),
    "late device": (be_late, late_holds),
}


@pytest.mark.parametrize(("act", "rival", "winner"), cells())
async def test_the_winner_is_the_one_that_the_table_names(
    scene: Scene, act: str, rival: str, winner: str
) -> None:
    do, holds = ACTS[act]
    oppose, rival_holds = RIVALS[rival]
    again = rival == "late device" and act in {"void", "erase"}
    if not again:
        await oppose(scene, act)
    await do(scene)
    scene.chain.clock.pass_(days=21)
    if again:
        await oppose(scene, act)
    fresh = await scene.chain.tablet("fresh")
    for shop in (scene.tablet, scene.tablet, fresh):
        assert (await shop.sync()).problem is None
    for shop in (fresh, scene.tablet):
        both = await holds(scene, shop), await rival_holds(scene, shop, act)
        assert both == {"both": (True, True), act: (True, False), rival: (False, True)}[winner]
        assert await scene.chain.digests_equal(shop)
    assert await scene.chain.service.storage.verify_log() > 0


@pytest.mark.parametrize(("act", "then", "winner"), cells("| done at head office, and then |"))
async def test_both_by_head_office_end_as_the_second_table_says(
    scene: Scene, act: str, then: str, winner: str
) -> None:
    await ACTS[act][0](scene)
    await ACTS[then][0](scene)
    fresh = await scene.chain.tablet("fresh")
    for shop in (fresh, scene.tablet):
        assert (await shop.sync()).equal
        both = await ACTS[act][1](scene, shop), await ACTS[then][1](scene, shop)
        assert both == {"both": (True, True), then: (False, True)}[winner]
        assert await scene.chain.digests_equal(shop)


def test_the_table_has_every_pair() -> None:
    assert {(act, rival) for act, rival, _ in cells()} == {(act, rival) for act in ACTS for rival in RIVALS}
