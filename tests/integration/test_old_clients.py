"""Tablets of an older version: what they send is taken or held, never dropped; what they hold stays whole.

What schemas 1 and 2 really sent and kept is on record in tests/recorded. It meets the server and the SDK of
today, and of versions to come (tests/support/released.py).
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from regulars import Shop
from regulars.overlay import shown
from regulars_schema.declare import Field, Label, Level, Registry, Text
from regulars_schema.entities import REGISTRY
from regulars_server.access import Principal
from regulars_server.authors import SERVER
from regulars_server.mutations import Mutations
from regulars_sync import changes, document
from regulars_sync.changes import Change
from regulars_sync.history import tell
from regulars_sync.protocol import Problem
from tests.support.chain import AppTransport, Chain, new_chain, open_chain
from tests.support.released import (
    FOURTH,
    RENAMED,
    RETIRED,
    altered,
    as_of,
    recorded_chain,
    replay,
    session,
    unpack,
    with_fields,
)
from tests.support.released import V1 as RECORDED_1
from tests.support.released import V2 as RECORDED_2

V1 = as_of(1)

# --- what schema 1 pushed --------------------------------------------------------------------------------

STATED = {
    "customer create applied": 4,
    "customer edit applied": 12,
    "customer edit merged": 2,
    "customer edit held scope_left": 1,
    "customer edit rejected erased": 1,
    "customer edit rejected field_unknown": 2,
    "interaction create applied": 7,
    "interaction create held row_unknown": 1,
    "link create applied": 1,
    "link edit applied": 1,
}
"""What every push of schema 1 was answered, by its own server."""

OTHERWISE: dict[str, tuple[Registry, dict[str, int]]] = {
    "today": (REGISTRY, {}),
    "renamed": (
        RENAMED,
        {"interaction create applied": -2, "interaction create held schema_older": 2},
    ),
    "two versions on": (
        FOURTH,
        {"interaction create applied": -2, "interaction create held schema_older": 2},
    ),
    "retired": (RETIRED, {"customer edit applied": -2, "customer edit held schema_older": 2}),
}
"""What a later server says otherwise. Held are: outcomes that a person must read, and two cards written in
full, with a field that is gone."""


def recorded_verdicts(record: Path = RECORDED_1) -> dict[str, tuple[Change, str, str | None]]:
    said: dict[str, tuple[Change, str, str | None]] = {}
    for line in session(record)[1]:
        if line.get("path") == "/sync/v1/push":
            for raw, verdict in zip(line["request"]["changes"], line["answer"]["verdicts"], strict=True):
                change = changes.decode(json.dumps(raw).encode())
                said[change.cid] = (change, verdict["verdict"], verdict.get("code"))
    return said


def summed(verdicts: list[tuple[str, str, str | None]]) -> Counter[str]:
    known = recorded_verdicts()
    return Counter(
        " ".join(filter(None, (known[cid][0].entity, known[cid][0].op, verdict, code)))
        for cid, verdict, code in verdicts
    )


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("which", OTHERWISE)
async def test_every_push_of_the_released_version_ends_as_stated(
    tmp_path: Path, which: str, twice: bool
) -> None:
    registry, otherwise = OTHERWISE[which]
    async with recorded_chain(tmp_path, "start", registry) as chain:
        done = await replay(chain, twice)
        assert summed(done.verdicts) == Counter(STATED) + Counter(otherwise) - Counter()
        assert done.proofs >= 30  # every pull ended with digests equal to the bytes kept
        if which == "today":
            for cid, verdict, code in done.verdicts:
                assert recorded_verdicts()[cid][1:] == (verdict, code)
        async with chain.service.storage.writer() as writer:  # the log keeps every change as it came
            entries = await writer.entries({cid for cid, *_ in done.verdicts})
        for cid, (change, *_) in recorded_verdicts().items():
            body = entries[cid].body
            assert entries[cid].is_emptied if body is None else changes.decode(body) == change


async def test_what_schema_2_sent_is_answered_as_its_own_server_did(tmp_path: Path) -> None:
    async with recorded_chain(tmp_path, "start", record=RECORDED_2) as chain:
        done = await replay(chain, record=RECORDED_2)
        stated = recorded_verdicts(RECORDED_2)
        assert len(done.verdicts) >= 30
        assert done.proofs >= 30
        for cid, verdict, code in done.verdicts:
            assert stated[cid][1:] == (verdict, code)


async def test_files_of_schema_2_are_opened_and_what_waits_in_them_is_sent(tmp_path: Path) -> None:
    async with recorded_chain(tmp_path, "end", record=RECORDED_2) as chain:
        waiting = 0
        for name in ("one", "two", "orchard"):
            for file in (f"{name}.db", f"{name}.outbox.db"):
                unpack(file, chain.folder / file, RECORDED_2)
            shop = await chain.tablet(name, paired=False)
            waiting += (await shop.status()).pending
            assert (await shop.sync()).equal
            assert (await shop.status()).pending == 0
            assert await chain.digests_equal(shop)
        assert waiting >= 5


async def values(chain: Chain, entity: str, id: str) -> dict[str, Any]:
    declared = chain.service.storage.registry.get(entity)
    async with chain.service.storage.unscoped_reader() as reader:
        documents = (await reader.find(entity, [id]))[id].documents
    return document.nested(declared, document.shown(declared, document.decode(documents)))


def customer(name: str) -> str:
    """The id under which the session made somebody."""
    for change, *_ in recorded_verdicts().values():
        if change.op == "create" and change.entity == "customer" and change.fields["name"].value == name:
            return change.id
    raise AssertionError(name)


async def test_what_was_written_to_a_former_name_stands_where_it_is_read_now(tmp_path: Path) -> None:
    async with recorded_chain(tmp_path, "start", RENAMED) as chain:
        await replay(chain)
        lin = await values(chain, "customer", customer("林芳"))
        assert lin["remarks"] == "from two"
        assert "notes" not in lin
        assert "wechat" not in lin
        assert set(lin["wechats"]) == {"wechat 1 字", "wechat 2 字"}
        assert lin["acquisition_channel"] == "phone_in"
        assert lin["language"] == "zh"
        async with chain.service.storage.unscoped_reader() as reader:
            stored = (await reader.find("customer", [customer("林芳")]))[customer("林芳")].documents
        beside = json.loads(stored[Level.INTERNAL])["x"]["remarks"]
        assert [value for _, value in beside[1:]] == ["from one"]  # values still stand side by side
        async with chain.service.storage.unscoped_reader() as reader:
            told = tell(RENAMED.get("customer"), await reader.history("customer", customer("林芳")))
        assert document.decode(stored) == told.registers  # the log alone tells the same, in today's words


async def test_head_office_mends_what_an_older_version_said(tmp_path: Path) -> None:
    async with recorded_chain(tmp_path, "start", RETIRED) as chain:
        await replay(chain)
        async with chain.service.storage.unscoped_reader() as reader:
            held = [e for e in await reader.open_entries(100) if e.code == "schema_older"]
        assert [(e.field, e.detail) for e in held] == [("belief", {"schema": 1})] * 2
        office = Mutations(chain.service, await _principal(chain), SERVER)
        for i, entry in enumerate(held):
            await office.mend(f"mend-{i}", entry.cid, {}, ["belief"])
        async with chain.service.storage.unscoped_reader() as reader:
            assert not [e for e in await reader.open_entries(100) if e.code == "schema_older"]
        lin = await values(chain, "customer", customer("林芳"))
        assert (lin["income_band"], "belief" in lin) == ("high", False)


async def _principal(chain: Chain) -> Any:
    return Principal("office", "session", "admin", None, True, None, None, False, "office", chain.clock.ms)


async def test_an_updated_tablet_mends_what_it_wrote_before_the_update(tmp_path: Path) -> None:
    def both(entity: Any) -> Any:
        return RENAMED.get(entity.name) if entity.name == "interaction" else RETIRED.get(entity.name)

    newer = altered(REGISTRY, RENAMED.version, customer=both, interaction=both)
    async with recorded_chain(tmp_path, "end", newer) as chain:
        old = await opened(chain, "one", V1)
        await old.sync()
        lin = customer("林芳")
        call = await old.interactions.record(lin, kind="call", outcome="no_answer")
        await old.customers.edit(lin, belief="none", notes="kept all the same")
        await old.customers.edit(lin, belief="dropped")
        assert (await old.sync()).held == 3
        assert {held.code for held in await old.held()} == {"schema_older"}
        for file in (old._rows.file, old._outbox.file):
            await file.close()
        new = await chain.tablet("one", paired=False, registry=newer)
        first, second, third = await new.held()
        assert "older version" in first.message("en")
        await new.mend(first.cid, outcome="lost")
        await new.mend(second.cid)
        await new.drop(third.cid)
        assert (await new.sync()).equal
        assert await new.held() == []
        assert (await values(chain, "interaction", call.id))["outcome"] == "lost"
        assert (await values(chain, "customer", lin))["notes"] == "kept all the same"


# --- files of schema 1 -----------------------------------------------------------------------------------


async def opened(chain: Chain, name: str, registry: Registry = REGISTRY) -> Shop:
    """A tablet's recorded files, opened by the SDK of today (or of a version to come)."""
    for file in (f"{name}.db", f"{name}.outbox.db"):
        unpack(file, chain.folder / file)
    return await chain.tablet(name, paired=False, registry=registry)


@pytest.mark.parametrize("registry", [REGISTRY, RENAMED], ids=["today", "renamed"])
async def test_edits_that_waited_in_a_released_file_are_shown_sent_and_converted(
    tmp_path: Path, registry: Registry
) -> None:
    async with recorded_chain(tmp_path, "end", registry) as chain:
        notes = "remarks" if registry is RENAMED else "notes"
        one, orchard = [await opened(chain, name, registry) for name in ("one", "orchard")]
        assert (await one.status()).pending == 5
        lin = customer("林芳")
        laid = await one._overlay.get("customer", lin)
        assert laid is not None
        before = shown(registry.get("customer"), laid)
        assert before[notes] == "not sent yet"  # under today's name, with no contact yet
        (sun,) = await one.customers.search("孙丽")
        assert "silk" in sun.hobbies
        report = await one.sync()
        assert (report.pushed, report.held, report.rejected, report.equal) == (5, 0, 0, True)
        assert (await orchard.sync()).equal
        assert (await one.status()).pending == 0
        there = await values(chain, "customer", lin)
        assert (there[notes], there["income_band"]) == ("not sent yet", "high")
        assert {"loyal", "vip"} <= set(there["tags"])
        wang = await values(chain, "customer", customer("王芳"))
        assert (wang["privacy_notice"], set(wang["tags"])) == ("accepted", {"orchard"})
        assert [fact.kind for fact in await one.interactions.of(sun.id)] == ["quote"]
        for shop in (one, orchard):
            assert (await shop.sync()).equal
            assert await chain.digests_equal(shop)


async def test_a_released_file_is_indexed_once_and_fetches_nothing_again(tmp_path: Path) -> None:
    def tagged(entity: Any) -> Any:
        old = entity.by_name
        return with_fields(entity, dataclasses.replace(old["hobbies"], stored=True, searched=True))

    newer = altered(REGISTRY, RENAMED.version, customer=tagged)
    async with recorded_chain(tmp_path, "end", newer) as chain:
        one = await opened(chain, "one", newer)
        rows = await one._rows.file.read(lambda c: c.execute("SELECT * FROM row").fetchall())
        found = await one.list_records(
            type(await one.customers.get(customer("林芳"))), element=("hobbies", "tea")
        )
        assert [c.id for c in found] == [
            customer("林芳")
        ]  # what it is found by follows from the newer version
        assert [c.id for c in await one.customers.search("tea")] == [customer("林芳")]
        assert [c.id for c in await one.customers.search("name2zi")] == [
            customer("林芳")
        ]  # as it was renamed
        report = await one.sync()
        assert report.equal
        first = json.loads(chain.transports["one"].requests[0][1])
        assert first["cursor"]
        sent = {(e, i): d for e, i, _, d in await one._rows.file.read(_all_rows)}
        assert {(e, i) for e, i, *_ in rows} <= sent.keys()
        assert report.pulled < len(rows)  # own edits come back, and nothing else


def _all_rows(connection: sqlite3.Connection) -> list[Any]:
    return connection.execute("SELECT * FROM row").fetchall()


async def test_indexing_that_was_cut_off_is_done_again_and_done_once(tmp_path: Path) -> None:
    async with recorded_chain(tmp_path, "end") as chain:
        unpack("one.db", tmp_path / "one.db")
        cut, whole = "SELECT * FROM find ORDER BY id", "SELECT value FROM said WHERE name = 'schema'"
        with closing(sqlite3.connect(tmp_path / "one.db", isolation_level=None)) as file:
            assert file.execute(whole).fetchall() == []
            before = file.execute(cut).fetchall()
            file.execute("CREATE TRIGGER cut BEFORE INSERT ON said BEGIN SELECT RAISE(ABORT, 'cut'); END")
        unpack("one.outbox.db", tmp_path / "one.outbox.db")
        with pytest.raises(sqlite3.IntegrityError, match="cut"):
            await chain.tablet("one", paired=False)
        with closing(sqlite3.connect(tmp_path / "one.db", isolation_level=None)) as file:
            assert file.execute(cut).fetchall() == before  # nothing is half done
            file.execute("DROP TRIGGER cut")
        one = await chain.tablet("one", paired=False)
        assert await one._rows.file.read(lambda c: c.execute(whole).fetchone()) == (REGISTRY.fingerprint,)
        await one._rows.file.write(lambda c: c.execute("DELETE FROM find"))
        again = await chain.tablet("one", paired=False)
        assert await again._rows.file.read(lambda c: c.execute(cut).fetchall()) == []  # not a second time


# --- an old tablet beside new ones -----------------------------------------------------------------------


@pytest.mark.parametrize("registry", [REGISTRY, RENAMED], ids=["today", "renamed"])
async def test_an_old_replica_keeps_what_it_does_not_know_byte_for_byte_through_its_own_edits(
    tmp_path: Path, registry: Registry
) -> None:
    async with recorded_chain(tmp_path, "end", registry) as chain:
        office, old = chain.service, await opened(chain, "one", V1)
        lin = customer("林芳")
        window = chain.new_id()
        await chain.write("create", "window", window, {"edge": "2024-11-01T00:00:00.000Z"})
        if registry is RENAMED:
            await chain.write("edit", "customer", lin, {"language": "yue", "remarks": "for the new ones"})
        assert (await old.sync()).equal
        async with office.storage.unscoped_reader() as reader:
            there = {
                ("customer", lin): (await reader.find("customer", [lin]))[lin].documents[Level.INTERNAL],
                ("window", window): (await reader.find("window", [window]))[window].documents[Level.INTERNAL],
            }
        held = {
            (e, i): d for e, i, level, d in await old._rows.file.read(_all_rows) if level == Level.INTERNAL
        }
        assert {key: held[key] for key in there} == there
        await old.customers.edit(lin, address="Orchard Road 2", notes="an old tablet wrote this")
        assert (await old.sync()).equal
        said = await values(chain, "customer", lin)
        assert said["address"] == "Orchard Road 2"
        if registry is RENAMED:
            assert (said["language"], said["remarks"]) == ("yue", "an old tablet wrote this")
        assert await chain.digests_equal(old)


# --- a server that is older than a tablet ------------------------------------------------------------------


async def test_what_a_newer_tablet_wrote_waits_for_the_upgrade_of_the_server(tmp_path: Path) -> None:
    def sized(entity: Any) -> Any:
        return with_fields(entity, Field("shoe_size", Text(8), Label("鞋码", "Shoe size"), since=99))

    newer = altered(REGISTRY, REGISTRY.version + 1, customer=sized)
    async with new_chain(tmp_path) as chain:
        one = await chain.tablet("one", registry=newer)
        lin = await one.customers.create(name="林芳")
        await one.write("customer", lin.id, "edit", {"shoe_size": "38"})
        assert (await one.sync()).held == 1
        assert [held.code for held in await one.held()] == ["schema_newer"]
        now = chain.clock.ms
    async with open_chain(tmp_path, registry=newer, now_ms=now, seed=2) as chain:
        one = await chain.tablet("one", paired=False, registry=newer)
        assert (await one.sync()).equal
        assert await one.held() == []
        assert (await values(chain, "customer", lin.id))["shoe_size"] == "38"


# --- the oldest version that is served ----------------------------------------------------------------------


async def test_a_tablet_too_old_to_be_served_is_told_kindly_and_hands_in_what_it_has(tmp_path: Path) -> None:
    demanding = dataclasses.replace(RENAMED, oldest_served=2)
    async with recorded_chain(tmp_path, "end", demanding) as chain:
        old = await opened(chain, "one", V1)
        report = await old.sync()
        assert (report.pushed, report.held, report.rejected) == (5, 0, 0)
        assert isinstance(report.problem, Problem)
        assert (report.problem.code, report.problem.retryable) == ("schema_too_old", False)
        assert report.problem.detail == {"schema": 1, "oldest": 2}
        assert (await values(chain, "customer", customer("林芳")))["remarks"] == "not sent yet"
        assert report.problem.contact is not None
        await old.customers.edit(customer("林芳"), address="still writing")
        assert (await old.sync()).pushed == 1  # what was acknowledged is not sent again
        # The app is updated: the same files are served again, and nothing was lost.
        await old._rows.file.close()
        await old._outbox.file.close()
        new = await chain.tablet("one", paired=False, registry=demanding)
        report = await new.sync()
        assert (report.pushed, report.equal, report.problem) == (0, True, None)
        assert (await new.customers.get(customer("林芳"))).address == "still writing"


@pytest.mark.parametrize(("lang", "word"), [("zh", "请升级应用"), ("en", "Update the app")])
async def test_the_oldest_version_served_is_stated_before_anything_is_asked(
    tmp_path: Path, lang: str, word: str
) -> None:
    demanding = dataclasses.replace(RENAMED, oldest_served=2)
    async with recorded_chain(tmp_path, "start", demanding) as chain:
        transport = AppTransport(chain.app, chain.service)
        hello = (await transport._client.get("/sync/v1")).json()
        assert hello["schema"] == {"version": RENAMED.version, "oldest": 2}
        assert (hello["protocol"], hello["now"] > 0) == (1, True)
        code = await chain.service.access.new_pairing_code(chain_unit(), "late", False)
        asked = {"code": code, "name": "late", "schema": 1}
        refused = await transport._client.post("/sync/v1/pair", json=asked, headers={"accept-language": lang})
        assert (refused.status_code, refused.json()["code"]) == (426, "schema_too_old")
        assert word in refused.json()["message"]
        await transport.close()


def chain_unit() -> str:
    """A unit of the recorded chain."""
    return str(next(line["answer"]["unit"] for line in session()[1] if line.get("path") == "/sync/v1/pair"))
