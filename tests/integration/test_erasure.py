"""Erasing a person leaves nothing of them anywhere, and nothing brings them back."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import orjson
import pytest

from regulars import Shop
from regulars_schema.declare import Level
from regulars_server import erasure
from regulars_server.authors import SERVER
from regulars_server.importing import import_file
from regulars_sync import changes
from regulars_sync.changes import Value
from regulars_sync.errors import Refused
from regulars_sync.ids import row_id
from regulars_sync.protocol import PushRequest
from tests.support.chain import Chain, new_chain
from tests.support.commands import Commands
from tests.support.graph import caller

TRACES = (
    *("林芳菲", "linfangfei", "13800138000", "likes oak"),
    *("bought a table", "wrong amount", "sister-in-law", "quiet one"),
)
ERASE = """mutation ($key: String!, $id: UUID!) {
    done: customerErase(idempotencyKey: $key, id: $id, reason: "asked") {
        __typename ... on CustomerErased { id links interactions } ... on Error { code }
    }
}"""


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


@dataclass
class Known:
    """Somebody of whom much is known, on two tablets."""

    one: Shop
    two: Shop
    id: str
    wang: str
    sale: str
    void: str
    link: str


@pytest.fixture
async def known(chain: Chain) -> Known:
    one = await chain.tablet("one", sensitive=True)
    two = await chain.tablet("two")
    card = {"phone": "138 0013 8000", "belief": "quiet one", "notes": "likes oak"}
    lin = await one.customers.create(name="林芳菲", **card)
    wang = await one.customers.create(name="王伟", phone="139 0013 9000")
    link = await one.links.add(lin, wang, "family", note="sister-in-law")
    party = [{"customer": lin.id, "name": "林芳菲"}, {"customer": wang.id, "name": "her 林芳菲"}]
    lines = [{"name": "table", "amount": 50_000, "currency": "CNY"}]
    sale = await one.interactions.record(party, kind="purchase", note="bought a table", lines=lines)
    await one.sync()
    void = chain.new_id()  # a correction that does not name her
    given = {"kind": "purchase", "at": "2026-11-22T10:00:00.000Z", "supersedes": sale.id, "unit": one.unit}
    await chain.write("create", "interaction", void, {**given, "note": "wrong amount"})
    for turn in range(40):  # pages are split and rows move between them
        await one.customers.create(name=f"Somebody {turn}", notes="n" * (turn * 37 % 900))
        await one.customers.edit(lin.id, notes="likes oak " * (turn * 7 % 60))
        await one.customers.edit(wang.id, notes="w" * (turn * 31 % 700))
    await one.sync()
    await two.sync()
    await one.sync()
    return Known(one, two, lin.id, wang.id, sale.id, void, link.id)


def traces(chain: Chain, name: str) -> set[str]:
    """What is found of her in the bytes of these files."""
    found = b"".join(file.read_bytes() for file in chain.folder.glob(f"{name}*"))
    assert found
    return {trace for trace in TRACES if trace.encode() in found}


def indexed(file: Path, table: str) -> set[str]:
    """What of her name stands in the bytes of a full-text index, whose tokens are cut to what they add."""
    with closing(sqlite3.connect(file)) as connection:
        found = b"".join(block for (block,) in connection.execute(f"SELECT block FROM {table}_data"))
    assert found
    return {piece for piece in ("fei", "菲") if piece.encode() in found}


async def row(chain: Chain, entity: str, id: str) -> dict[str, object] | None:
    async with chain.service.storage.unscoped_reader() as reader:
        found = (await reader.find(entity, [id])).get(id)
    return None if found is None else orjson.loads(found.documents[Level.INTERNAL])


async def erase(chain: Chain, id: str) -> erasure.Erased:
    return await erasure.erase(chain.service, id, "asked for it")


async def test_nothing_of_the_person_is_left_in_any_byte(chain: Chain, known: Known) -> None:
    assert traces(chain, "chain.db") == set(TRACES)
    assert traces(chain, "one") > {"林芳菲", "bought a table", "likes oak"}
    assert traces(chain, "two") > {"林芳菲", "bought a table", "wrong amount"}
    assert indexed(chain.folder / "chain.db", "customer_search") == {"fei", "菲"}
    assert indexed(chain.folder / "two.db", "found") == {"fei", "菲"}
    done = await erase(chain, known.id)
    assert (done.links, done.interactions) == (1, 2)
    assert traces(chain, "chain.db") == set()
    assert indexed(chain.folder / "chain.db", "customer_search") == set()
    for name, shop in (("one", known.one), ("two", known.two)):
        report = await shop.sync()
        assert (report.problem, report.equal) == (None, True)
        assert traces(chain, name) == set()
        assert indexed(chain.folder / f"{name}.db", "found") == set()
        assert await shop.customers.find(known.id) is None
        assert list(await shop.links.of(known.wang)) == []
        assert await shop.customers.search("林芳菲") == []
        assert (await shop.status()).pending == 0
        assert await shop.held() == []
        assert await chain.digests_equal(shop)


async def test_money_stays_without_the_person_and_the_log_verifies(chain: Chain, known: Known) -> None:
    before = await chain.service.storage.verify_log()
    await erase(chain, known.id)
    sale = await row(chain, "interaction", known.sale)
    assert sale is not None
    assert sale["lines"] == [{"name": "table", "amount": 50_000, "currency": "CNY"}]
    assert sale["party"] == [{"role": "principal"}, {"customer": known.wang, "role": "companion"}]
    assert "note" not in sale
    assert await chain.service.storage.verify_log() == before + 1
    async with chain.service.storage.writer() as writer:
        (told,) = [e for e in await writer.about([known.id], [known.id]) if e.code == "erased"]
        assert told.detail == {"reason": "asked for it"}
        others = [e for e in await writer.about([known.id, known.sale, known.link], []) if e is not told]
    assert others
    assert all({e.body, e.key, e.field} == {None} and e.detail is None for e in others if e.cid != told.cid)


async def test_erasing_twice_is_done_once_and_nobody_is_not_found(chain: Chain, known: Known) -> None:
    await erase(chain, known.id)
    assert await erase(chain, known.id) == erasure.Erased()
    assert len([r for r in chain.service.journal.records() if r["do"] == "erase"]) == 1
    with pytest.raises(Refused, match="not_found"):
        await erase(chain, chain.new_id())


async def test_late_changes_are_refused_without_content_and_their_neighbours_applied(
    chain: Chain, known: Known
) -> None:
    one = known.one
    await one.customers.edit(known.id, notes="likes oak still")
    await one.interactions.record(known.id, kind="visit", note="likes oak again")
    await one.links.add(known.wang, known.id, "referrer")
    async with one.transaction():
        await one.customers.edit(known.wang, notes="beside her")
        await one.interactions.record([known.id, known.wang], kind="visit", note="likes oak")
        new = await one.customers.create(name="new")
    await erase(chain, known.id)
    transport = chain.transports["one"]
    bodies = await one._outbox.file.read(
        lambda c: [body for (body,) in c.execute("SELECT body FROM change ORDER BY pos DESC LIMIT 6")][::-1]
    )
    _, author = await chain.service.device(one._said["token"])  # a tablet that has not pulled yet
    answer = await chain.service.admission.push(
        author, PushRequest("another1", 1, 1, [msgspec.Raw(body) for body in bodies])
    )
    told = [(verdict.verdict, verdict.code) for verdict in answer.verdicts]
    gone = ("rejected", "erased")
    assert told == [gone, gone, gone, ("applied", None), gone, ("applied", None)]
    assert traces(chain, "chain.db") == set()
    wang = await row(chain, "customer", known.wang)
    assert wang is not None
    assert wang["notes"] == "beside her"
    assert await row(chain, "customer", new.id) is not None
    for _ in range(2):
        assert (await one.sync()).problem is None
    assert await one.held() == []
    assert (await one.status()).pending == 0
    assert traces(chain, "one") == set()
    assert transport.requests
    assert await chain.digests_equal(one)


async def test_what_was_not_sent_when_the_erasure_arrives_goes_out_without_content(
    chain: Chain, known: Known
) -> None:
    await known.one.interactions.record(known.id, kind="visit", note="likes oak")
    await known.one.customers.edit(known.wang, notes="kept")
    await erase(chain, known.id)
    sent = len(chain.transports["one"].requests)
    report = await known.one.sync()
    assert (report.rejected, report.applied) == (1, 1)
    assert not any(b"likes oak" in body for _, body in chain.transports["one"].requests[sent:])
    assert [verdict.code for verdict in report.verdicts if verdict.verdict == "rejected"] == ["erased"]
    assert traces(chain, "one") == set()
    assert (await known.one.sync()).pushed == 0


async def test_held_changes_about_the_person_are_closed_and_their_groups_go_on(
    chain: Chain, known: Known
) -> None:
    one = known.one
    async with one.transaction():
        await one.customers.edit(known.wang, notes="waits")
        await one.interactions.record([known.id, chain.new_id()], kind="visit", note="likes oak")
    report = await one.sync()
    assert report.held == 2
    (culprit,) = [held for held in await one.held() if held.code == "row_unknown"]
    await erase(chain, known.id)
    async with chain.service.storage.unscoped_reader() as reader:
        assert await reader.open_entries(100) == []
    wang = await row(chain, "customer", known.wang)
    assert wang is not None
    assert wang["notes"] == "waits"
    assert not await chain.service.admission.retry(culprit.cid, by_head_office=True)
    await chain.service.admission.sweep()
    mend = chain.service.change("create", "interaction", culprit.id, {"kind": "visit"})
    mend = msgspec.structs.replace(
        mend, fields={**culprit.change.fields, "party": Value([{"customer": known.id}])}, replaces=culprit.cid
    )
    ((ruling,),) = await chain.service.admission.write(SERVER, [[mend]])
    assert (ruling.verdict, ruling.code) == ("rejected", "erased")
    assert traces(chain, "chain.db") == set()
    await one.sync()
    assert await one.held() == []
    assert traces(chain, "one") == set()


async def test_a_value_named_in_a_verdict_goes_too(chain: Chain, known: Known) -> None:
    one = known.one
    body = changes.encode(chain.service.change("edit", "customer", known.id, {"kind": "likes oak"}))
    _, author = await chain.service.device(one._said["token"])
    answer = await chain.service.admission.push(author, PushRequest("another1", 1, 1, [msgspec.Raw(body)]))
    assert answer.verdicts[0].detail is not None
    assert "likes oak" in str(answer.verdicts[0].detail)
    await one.sync()
    await erase(chain, known.id)
    assert traces(chain, "chain.db") == set()
    assert await chain.service.storage.verify_log() > 0
    await one.sync()
    assert traces(chain, "one") == set()


async def test_a_restored_database_erases_again(chain: Chain, known: Known) -> None:
    copy = await chain.back_up()
    await erase(chain, known.id)
    await known.one.sync()
    await chain.restore(copy)
    assert await row(chain, "customer", known.id) is None
    assert await row(chain, "interaction", known.sale) is not None
    assert traces(chain, "chain.db") == set()
    for shop in (known.one, known.two, known.one, known.two):
        report = await shop.sync()
        assert report.problem is None
    for name, shop in (("one", known.one), ("two", known.two)):
        assert traces(chain, name) == set()
        assert indexed(chain.folder / f"{name}.db", "found") == set()
        assert await shop.held() == []
        assert await chain.digests_equal(shop)
    seq = await head(chain)
    await erasure.replay(chain.service)
    assert await head(chain) == seq


async def head(chain: Chain) -> int:
    async with chain.service.storage.unscoped_reader() as reader:
        return (await reader.head()).seq


async def test_a_server_that_never_knew_the_person_refuses_what_is_offered_again(chain: Chain) -> None:
    one = await chain.tablet("one")
    await one.sync()
    copy = await chain.back_up()
    lin = await one.customers.create(name="林芳菲")
    await one.interactions.record(lin, kind="visit", note="likes oak")
    other = await one.customers.create(name="other")
    await one.sync()
    await erase(chain, lin.id)
    await chain.restore(copy)
    for _ in range(3):
        assert (await one.sync()).problem is None
    assert traces(chain, "one") == traces(chain, "chain.db") == set()
    assert await row(chain, "customer", lin.id) is None
    assert await row(chain, "customer", other.id) is not None
    assert await one.held() == []
    assert await chain.digests_equal(one)


async def test_an_import_of_the_same_external_id_is_refused(chain: Chain, tmp_path: Path) -> None:
    customers, sales = tmp_path / "customers.csv", tmp_path / "sales.csv"
    customers.write_text("external_id,name,phones\nC-1,林芳菲,13800138000\nC-2,王伟,13900139000\n", "utf-8")
    sale = "S-1,purchase,2026-11-20T10:00:00Z,C-1,likes oak"
    sales.write_text(f"external_id,kind,at,party,note\n{sale}\n", "utf-8")
    assert (await import_file(chain.service, customers, "customer", "pos")).created == 2
    report = await import_file(chain.service, sales, "interaction", "pos")
    assert (report.created, report.refused) == (1, [])
    await erase(chain, row_id("pos", "customer", "C-1"))
    for _ in range(2):
        again = await import_file(chain.service, customers, "customer", "pos")
        assert (again.created, again.unchanged, [r.code for r in again.refused]) == (0, 1, ["erased"])
        again = await import_file(chain.service, sales, "interaction", "pos")
        assert (again.created, [r.code for r in again.refused]) == (0, ["erased"])
    assert traces(chain, "chain.db") == set()


async def test_external_ids_of_a_customer_made_by_hand_are_refused_too(chain: Chain, tmp_path: Path) -> None:
    one = await chain.tablet("one")
    lin = await one.customers.create(name="林芳菲", external_ids=["pos:C-1"])
    await one.sync()
    await erase(chain, lin.id)
    file = tmp_path / "customers.csv"
    file.write_text("external_id,name\nC-1,林芳菲\nC-2,王伟\n", "utf-8")
    report = await import_file(chain.service, file, "customer", "pos")
    assert (report.created, [refused.code for refused in report.refused]) == (1, ["erased"])


async def test_over_graphql_administrators_erase_and_once_for_each_key(chain: Chain, known: Known) -> None:
    office, branch = await caller(chain, "admin"), await caller(chain, "manager", "Nanjing Road")
    assert (await branch.ask(ERASE, key="k", id=known.id))["done"]["code"] == "not_allowed"
    mine = await office.customer("林芳菲")
    done = {"__typename": "CustomerErased", "id": known.id, "links": 1, "interactions": 2}
    assert (await office.ask(ERASE, key="k", id=known.id))["done"] == done
    assert (await office.ask(ERASE, key="k", id=known.id))["done"]["__typename"] == "CustomerErased"
    assert (await office.ask(ERASE, key="k", id=mine))["done"]["code"] == "idempotency_reused"
    assert (await office.ask(ERASE, key="other", id=chain.new_id()))["done"]["code"] == "not_found"
    seen = await office.ask("query ($id: UUID!) { customer(id: $id) { id } }", id=known.id)
    assert seen["customer"] is None
    assert (await office.ask("{ customers { totalCount } }"))["customers"]["totalCount"] == 42


async def test_a_replayed_mutation_does_not_answer_with_who_was_erased(chain: Chain) -> None:
    office = await caller(chain, "admin")
    create = """mutation { done: customerCreate(idempotencyKey: "k", input: {name: "林芳菲"}) {
        ... on CustomerSaved { customer { id } } ... on Error { code } } }"""
    made = (await office.ask(create))["done"]["customer"]["id"]
    await erase(chain, made)
    assert (await office.ask(create))["done"] == {"code": "erased"}


async def test_a_reader_in_the_way_makes_it_busy_and_asking_again_finishes(
    chain: Chain, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = chain.service.storage
    await storage._writer.run(lambda c: c.execute("PRAGMA busy_timeout=300").fetchall())  # type: ignore[attr-defined]
    async with storage.unscoped_reader():
        with pytest.raises(Refused, match="busy"):
            await erase(chain, known.id)
    assert await row(chain, "customer", known.id) is None
    assert traces(chain, "chain.db") != set()
    assert await erase(chain, known.id) == erasure.Erased()
    assert traces(chain, "chain.db") == set()


async def test_an_erasure_that_was_cut_off_is_done_at_the_next_start(
    chain: Chain, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_off(settling: object) -> None:
        raise KeyError

    with monkeypatch.context() as patch:
        patch.setattr(chain.service.admission, "_commit", cut_off)
        with pytest.raises(KeyError):
            await erase(chain, known.id)
    assert await row(chain, "customer", known.id) is not None
    await erasure.replay(chain.service)
    assert await row(chain, "customer", known.id) is None
    assert traces(chain, "chain.db") == set()


def test_the_command_erases_and_says_what_stays(tmp_path: Path) -> None:
    commands = Commands(tmp_path / "shop")
    commands("init")
    file = tmp_path / "customers.csv"
    file.write_text("external_id,name\nC-1,林芳菲\n", "utf-8")
    assert commands("import", str(file), "--entity", "customer", "--source", "pos").code == 0
    id = row_id("pos", "customer", "C-1")
    done = commands.asked("customer", "erase", id, "--reason", "asked")
    assert (done["id"], done["links"], done["interactions"]) == (id, 0, 0)
    nobody = commands.problem("customer", "erase", row_id("pos", "customer", "C-2"), "--reason", "x")
    assert nobody["code"] == "not_found"
    assert "林芳菲".encode() not in b"".join(f.read_bytes() for f in (tmp_path / "shop").glob("*"))
