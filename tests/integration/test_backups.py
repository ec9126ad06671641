"""Copies of a chain and the way back: nothing acknowledged is lost, nothing erased or revoked returns."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from regulars_server import backups, devices, erasure
from regulars_server.app import DATABASE
from regulars_server.journal import JOURNAL
from regulars_server.knowledge.indexing import differing
from regulars_server.storage.interface import Head
from regulars_sync.errors import LocalError
from tests.support.chain import Chain, new_chain, open_chain
from tests.support.commands import Commands
from tests.support.postgres import Databases
from tests.support.server import serving

EPOCH = "e" * 16


def put_back(chain_folder: Path, copy: Path) -> Path:
    aside = chain_folder / "aside.db"
    backups.put_back(copy, chain_folder / DATABASE, aside, EPOCH)
    return aside


async def closed(chain: Chain) -> None:
    await chain.service.access.close()
    await chain.service.storage.close()


async def reopened(chain: Chain) -> None:
    await chain.service.storage.open()
    await chain.service.access.open()
    await devices.replay(chain.service)
    await erasure.replay(chain.service)


async def test_a_copy_of_a_chain_in_use_is_put_back_and_tablets_bring_what_it_lacks(tmp_path: Path) -> None:
    async with new_chain(tmp_path) as chain:
        one, two = await chain.tablet("one"), await chain.tablet("two")
        lin = await one.customers.create(name="林芳")
        await one.interactions.record(lin, kind="visit")
        await one.sync()
        assert await indexed(chain, lin.id) == 1
        copy = tmp_path / "copies" / "one.db"
        copy.parent.mkdir()
        made = backups.back_up(tmp_path / DATABASE, copy)
        assert copy.stat().st_mode & 0o777 == 0o600
        assert (made.bytes, made.seq) == (copy.stat().st_size, (await head(chain)).seq)
        wang = await one.customers.create(name="王伟")
        await one.customers.edit(lin, notes="after the copy")
        await one.interactions.record(lin, kind="call")
        await one.sync()
        await two.sync()
        assert await indexed(chain, lin.id) == 2
        await closed(chain)
        aside = put_back(tmp_path, copy)
        assert aside.exists()
        await reopened(chain)
        assert chain.service.storage.chain.epoch == EPOCH
        assert await indexed(chain, lin.id) == 1
        for shop in (two, one, two):
            report = await shop.sync()
            assert report.problem is None
        assert (await two.customers.get(lin.id)).notes == "after the copy"
        assert (await two.customers.get(wang.id)).name == "王伟"
        assert await indexed(chain, lin.id) == 2
        for shop in (one, two):
            assert await chain.digests_equal(shop)


async def indexed(chain: Chain, customer: str) -> int:
    """How many facts of a customer the index has, when everybody was looked at: those that there are."""
    await chain.service.checking.drain()
    async with chain.service.storage.unscoped_reader() as reader:
        assert await differing(reader, chain.clock()) == []
        return len((await reader.counted([customer]))[customer])


async def head(chain: Chain) -> Head:
    async with chain.service.storage.unscoped_reader() as reader:
        return await reader.head()


@pytest.mark.parametrize("machine", ["the same", "a new one"])
async def test_who_was_erased_or_revoked_since_is_so_again(tmp_path: Path, machine: str) -> None:
    """On the same machine the journal is there; to a new one it comes with a later copy than the database."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    copy = tmp_path / "copy.db"
    async with new_chain(old) as chain:
        one = await chain.tablet("one")
        lin = await one.customers.create(name="林芳")
        await one.sync()
        device = (await one.status()).device
        assert device is not None
        backups.back_up(old / DATABASE, copy)
        await devices.revoke(chain.service, device)
        await erasure.erase(chain.service, lin.id, "asked for")
        later = tmp_path / "later.db"
        backups.back_up(old / DATABASE, later)
    folder = old
    if machine == "a new one":
        folder = new
        backups.journal_of(copy).unlink(missing_ok=True)
        backups.journal_of(later).rename(backups.journal_of(copy))
    put_back(folder, copy)
    async with open_chain(folder, now_ms=chain.clock()) as again:
        async with again.service.storage.unscoped_reader() as reader:
            assert await reader.find("customer", [lin.id]) == {}
            (there,) = (await reader.find("device", [device])).values()
        assert b'"revoked":true' in b"".join(there.documents.values())


async def test_a_chain_that_is_open_is_never_replaced(tmp_path: Path) -> None:
    async with new_chain(tmp_path) as chain:
        copy = tmp_path / "copy.db"
        backups.back_up(tmp_path / DATABASE, copy)
        with pytest.raises(LocalError, match="file_busy"):
            put_back(tmp_path, copy)
        one = await chain.tablet("one")
        await one.customers.create(name="林芳")
        assert (await one.sync()).applied == 1


def filled(path: Path) -> Path:
    """A folder with a chain of a few rows, closed."""

    async def make() -> None:
        async with new_chain(path):
            pass

    path.mkdir()
    asyncio.run(make())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return filled(tmp_path / "chain")


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (DATABASE, JOURNAL) if (folder / name).exists()}


def test_a_damaged_chain_is_replaced_and_kept(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    backups.back_up(folder / DATABASE, copy)
    (folder / DATABASE).write_bytes(b"\0" * 8_192)
    aside = put_back(folder, copy)
    assert aside.read_bytes() == b"\0" * 8_192
    assert backups.look(folder / DATABASE).chain == backups.look(copy).chain


def test_another_chain_is_not_put_in_the_place_of_this_one(folder: Path, tmp_path: Path) -> None:
    other = filled(tmp_path / "other")
    with closing(sqlite3.connect(other / DATABASE)) as connection:
        connection.execute("UPDATE chain SET id='other'")
        connection.commit()
    copy = tmp_path / "copy.db"
    backups.back_up(other / DATABASE, copy)
    before = bytes_of(folder)
    with pytest.raises(LocalError, match="chain_other"):
        put_back(folder, copy)
    assert bytes_of(folder) == before


@pytest.mark.parametrize(
    ("content", "code"), [(b"", "file_foreign"), (b"x" * 9_000, "file_foreign"), (None, "file_missing")]
)
def test_what_is_no_copy_changes_nothing(
    folder: Path, tmp_path: Path, content: bytes | None, code: str
) -> None:
    copy = tmp_path / "copy.db"
    if content is not None:
        copy.write_bytes(content)
    before = bytes_of(folder)
    with pytest.raises(LocalError, match=code):
        put_back(folder, copy)
    assert bytes_of(folder) == before


def test_a_copy_with_a_broken_page_never_appears(folder: Path, tmp_path: Path) -> None:
    with (folder / DATABASE).open("r+b") as file:
        file.seek(4_096)
        file.write(os.urandom(4_096))
    copy = tmp_path / "copies" / "copy.db"
    copy.parent.mkdir()
    with pytest.raises(LocalError, match="file_damaged"):
        backups.back_up(folder / DATABASE, copy)
    assert list(copy.parent.iterdir()) == []


@pytest.mark.parametrize("step", range(3))
def test_power_that_fails_in_between_leaves_the_one_or_the_other(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    copy = tmp_path / "copy.db"
    (folder / JOURNAL).write_bytes(b'{"do":"wipe","device":"x"}\n')
    backups.back_up(folder / DATABASE, copy)
    chain = backups.look(copy).chain
    left = [step]

    def cut(name: str) -> None:
        real = getattr(os, name)

        def failing(*given: object, **named: object) -> object:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return real(*given, **named)

        monkeypatch.setattr(os, name, failing)

    for name in ("link", "replace"):
        cut(name)
    with pytest.raises(KeyboardInterrupt):
        put_back(folder, copy)
    assert backups.look(folder / DATABASE).chain == chain
    monkeypatch.undo()
    backups.put_back(copy, folder / DATABASE, tmp_path / "aside-2.db", EPOCH)
    assert (folder / JOURNAL).read_bytes() == b'{"do":"wipe","device":"x"}\n'


# --- the commands ---------------------------------------------------------------------------------------


def test_the_commands_say_what_they_did(tmp_path: Path) -> None:
    regulars = Commands(tmp_path / "chain")
    assert regulars("init", "--name", "Songhe", "--password-stdin", stdin="correct horse").code == 0
    first = regulars.asked("backup")
    assert Path(first["file"]).parent == tmp_path / "chain" / "backups"
    nights = tmp_path / "nights"
    made = [regulars.asked("backup", str(nights), "--keep", "2") for _ in range(4)]
    assert [len(night["dropped"]) for night in made] == [0, 0, 1, 1]
    assert sorted(str(file) for file in nights.glob("*.db")) == [made[2]["file"], made[3]["file"]]
    assert regulars.problem("backup", made[3]["file"])["code"] == "file_exists"
    assert regulars.problem("backup", str(tmp_path / "x.db"), "--keep", "2")["code"] == "argument_invalid"
    regulars("unit", "add", "Orchard", "--kind", "branch")
    names = {unit["name"] for unit in regulars.asked("unit", "list")}
    done = regulars.asked("restore", first["file"])
    assert (done["chain"], done["seq"]) == (first["chain"], first["seq"])
    assert Path(done["kept"]).exists()
    assert {unit["name"] for unit in regulars.asked("unit", "list")} == names - {"Orchard"}
    back = regulars("restore", done["kept"])
    assert back.code == 0
    assert "is kept" in back.out
    assert {unit["name"] for unit in regulars.asked("unit", "list")} == names
    assert Commands(tmp_path / "none").problem("backup")["code"] == "chain_missing"
    assert Commands(tmp_path / "fresh").asked("restore", first["file"])["kept"] is None


def test_an_old_copy_says_what_may_be_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    regulars = Commands(tmp_path / "chain")
    regulars("init", "--name", "Songhe", "--password-stdin", stdin="correct horse")
    made = regulars.asked("backup")
    with closing(sqlite3.connect(made["file"])) as connection:
        connection.execute("UPDATE commit_mark SET at_ms=at_ms - 40 * 86400000")
        connection.commit()
    assert "REGULARS_BACKUP_DAYS" in regulars("restore", made["file"]).err


# --- PostgreSQL -------------------------------------------------------------------------------------------


@pytest.fixture
def url(postgres: Databases) -> Iterator[str]:
    url = postgres.new()
    yield f"{url}?schema=songhe"
    postgres.drop(url)


def test_a_copy_is_put_back_on_either_engine(tmp_path: Path, url: str) -> None:
    there = Commands(tmp_path / "chain", database=url)
    there("init", "--name", "Songhe", "--password-stdin", stdin="correct horse")
    first = there.asked("backup")
    there("unit", "add", "Orchard", "--kind", "branch")
    names = {unit["name"] for unit in there.asked("unit", "list")}
    done = there.asked("restore", first["file"])
    assert done["kept"].startswith("songhe_before_")
    assert {unit["name"] for unit in there.asked("unit", "list")} == names - {"Orchard"}
    kept = Commands(tmp_path / "chain", database=url.replace("songhe", done["kept"]))
    assert {unit["name"] for unit in kept.asked("unit", "list")} == names
    here = Commands(tmp_path / "file")
    assert here.asked("restore", first["file"])["kept"] is None
    here("unit", "add", "Third", "--kind", "branch")
    assert {unit["name"] for unit in here.asked("unit", "list")} == (names - {"Orchard"}) | {"Third"}
    assert {f["check"] for f in here.asked("doctor") if f["state"] != "ok"} <= {"backup"}
    there.asked("restore", here.asked("backup")["file"])
    assert "Third" in {unit["name"] for unit in there.asked("unit", "list")}
    assert [login["name"] for login in there.asked("login", "list")] == ["admin"]


def test_a_chain_in_postgresql_that_is_served_or_another_one_stays(tmp_path: Path, url: str) -> None:
    there = Commands(tmp_path / "chain", database=url)
    there("init", "--name", "Songhe", "--password-stdin", stdin="correct horse")
    first = there.asked("backup")
    with serving(tmp_path / "chain", "--database", url):
        assert there.problem("restore", first["file"])["code"] == "file_busy"
    other = filled(tmp_path / "other")
    copy = tmp_path / "copy.db"
    backups.back_up(other / DATABASE, copy)
    assert there.problem("restore", str(copy))["code"] == "chain_other"
    assert [unit["name"] for unit in there.asked("unit", "list")] == ["Songhe"]


def test_tokens_and_logins_that_were_ended_since_stay_so(tmp_path: Path) -> None:
    regulars = Commands(tmp_path / "chain")
    regulars("init", "--name", "Songhe", "--password-stdin", stdin="correct horse")
    for name in ("lin", "wang"):
        regulars.asked("login", "add", name, "--role", "clerk", "--password-stdin", stdin="another horse 8\n")
    kept, ended = (regulars.asked("token", "add", label, "--role", "analyst")["id"] for label in ("a", "b"))
    made = regulars.asked("backup")
    for name in ("lin", "wang"):
        regulars.asked("login", "deactivate", name)
    regulars.asked("login", "activate", "wang")
    regulars.asked("token", "revoke", ended)
    regulars.asked("restore", made["file"])
    active = {login["name"]: login["active"] for login in regulars.asked("login", "list")}
    assert active == {"admin": True, "lin": False, "wang": True}
    living = {token["id"] for token in regulars.asked("token", "list") if not token.get("revoked")}
    assert kept in living
    assert ended not in living
