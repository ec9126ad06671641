"""The life of a device: shut out, wiped, paired again. What it wrote is not lost; what it held is gone."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from regulars import LocalError, Shop
from regulars_schema.declare import Level
from regulars_server import devices, sync_endpoints
from regulars_server.admission import Admission
from regulars_server.authors import SERVER
from regulars_server.storage.layout import level_of
from regulars_sync.errors import Offline, Refused
from regulars_sync.round import SyncReport
from tests.support.chain import AppTransport, Chain, new_chain

PATIENCE_S = 20.0
SECRET = "vermilion"
"""Stands in everything that is about a customer here."""


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


async def device_of(shop: Shop) -> str:
    device = (await shop.status()).device
    assert device is not None
    return device


async def row_of(chain: Chain, device: str) -> dict[str, object]:
    return (await devices._rows(chain.service, [device]))[device]


def bytes_of(chain: Chain, name: str, part: str = "") -> bytes:
    """Every byte of a tablet's file (`part`: of its outbox) and of what SQLite keeps beside it."""
    files = [chain.folder / f"{name}{part}.db{suffix}" for suffix in ("", "-wal", "-shm")]
    return b"".join(file.read_bytes() for file in files if file.exists())


async def filled(chain: Chain, name: str = "one") -> Shop:
    """A tablet that holds many customers, has edited some, and has one change that is held."""
    shop = await chain.tablet(name)
    async with shop.transaction():
        for number in range(200):
            await shop.customers.create(name=f"{SECRET} {number}", notes=f"{SECRET} " * 50)
    await shop.sync()
    for customer in (await shop.customers.list())[:20]:
        await shop.customers.edit(customer, notes=f"{SECRET} again")
    await shop.interactions.record(chain.new_id(), kind="visit", note=f"{SECRET} of nobody")
    assert (await shop.sync()).held == 1
    return shop


async def held_of(chain: Chain, device: str) -> list[str]:
    async with chain.service.storage.unscoped_reader() as reader:
        return [entry.code or "" for entry in await reader.open_entries(1_000, device=device)]


async def test_a_revoked_tablet_hands_in_what_it_has_and_then_holds_nothing(chain: Chain) -> None:
    one = await filled(chain)
    device = await device_of(one)
    await one.customers.create(name=f"{SECRET} last")
    await devices.revoke(chain.service, device)
    assert SECRET.encode() in bytes_of(chain, "one")
    report = await one.sync()
    assert (report.pushed, report.held, report.wiped) == (1, 1, True)
    assert report.problem is not None
    assert report.problem.code == "device_revoked"
    status = await one.status()
    assert (status.wiped, status.paired, status.pending, status.rows) == (True, False, 0, 0)
    assert await one.customers.list() == []
    assert SECRET.encode() not in bytes_of(chain, "one")
    assert SECRET.encode() not in bytes_of(chain, "one", ".outbox")
    assert sorted(await held_of(chain, device)) == ["device_revoked", "row_unknown"]
    assert (await row_of(chain, device)).keys() >= {"revoked", "wiped_at"}
    with pytest.raises(LocalError, match="not_paired"):
        await one.sync()


async def test_a_revoked_tablet_that_can_not_hand_in_keeps_everything(chain: Chain) -> None:
    one = await chain.tablet("one")
    lin = await one.customers.create(name="林芳")
    await one.sync()
    await one.interactions.record(lin, kind="visit")
    await devices.revoke(chain.service, await device_of(one))
    chain.transports["one"].lose_answers_to = "/sync/v1/push"
    report = await one.sync()
    assert not report.wiped
    status = await one.status()
    assert (status.paired, status.wiped, status.pending) == (True, False, 1)
    assert (await one.sync()).wiped
    assert (await one.status()).pending == 0


async def test_what_is_written_while_a_revoked_tablet_wipes_itself_stays(chain: Chain) -> None:
    one = await filled(chain)
    device = await device_of(one)
    await devices.revoke(chain.service, device)
    wipe = one._rows.wipe

    async def written_meanwhile() -> set[tuple[str, str]]:
        await one.customers.create(name="just now")
        return await wipe()

    one._rows.wipe = written_meanwhile  # type: ignore[method-assign]
    assert (await one.sync()).wiped
    assert [c.name for c in await one.customers.list()] == ["just now"]
    assert (await one.status()).pending == 1


async def test_the_confirmation_is_repeated_until_the_server_has_answered_it(chain: Chain) -> None:
    one = await filled(chain)
    device = await device_of(one)
    await devices.revoke(chain.service, device)
    for _ in range(3):
        chain.transports["one"].lose_answers_to = "/sync/v1/wiped"
        report = await one.sync()
        assert report.wiped
        assert report.problem is not None
        assert report.problem.code == "offline"
        assert (await one.status()).paired
    first = (await row_of(chain, device))["wiped_at"]
    assert (await one.sync()).wiped
    assert not (await one.status()).paired
    assert (await row_of(chain, device))["wiped_at"] == first


async def test_a_server_that_has_no_time_for_the_confirmation_is_told_again(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await filled(chain)
    device = await device_of(one)
    await devices.revoke(chain.service, device)

    async def busy(*_: object) -> None:
        raise Refused("busy", seconds=1)

    with monkeypatch.context() as patched:
        patched.setattr(sync_endpoints, "confirm_wiped", busy)
        assert (await one.sync()).wiped
        assert (await one.status()).paired
    assert "wiped_at" not in await row_of(chain, device)
    await one.sync()
    assert not (await one.status()).paired
    assert "wiped_at" in await row_of(chain, device)


async def test_a_device_with_all_its_rights_can_not_say_that_it_was_wiped(chain: Chain) -> None:
    one = await chain.tablet("one")
    status, body = await chain.transports["one"].post("/sync/v1/wiped", b"{}", str(one._said["token"]))
    assert (status, b"not_allowed" in body) == (403, True)


async def test_a_stolen_tablet_wipes_itself_at_its_next_contact_and_nothing_of_it_is_taken_in(
    chain: Chain,
) -> None:
    one = await filled(chain)
    device = await device_of(one)
    stolen = await one.customers.create(name=f"{SECRET} by the thief")
    await devices.wipe(chain.service, device)
    report = await one.sync()
    assert (report.pushed, report.pulled, report.wiped) == (0, 0, True)
    assert report.problem is not None
    assert report.problem.code == "device_wipe"
    for part in ("", ".outbox"):
        assert SECRET.encode() not in bytes_of(chain, "one", part)
    status = await one.status()
    assert (status.wiped, status.paired, status.pending, status.unit) == (True, False, 0, None)
    assert (await row_of(chain, device)).keys() >= {"revoked", "wipe", "wiped_at"}
    async with chain.service.storage.unscoped_reader() as reader:
        assert await reader.history("customer", stolen.id) == []


async def test_the_order_to_wipe_outlives_any_number_of_lost_answers(chain: Chain) -> None:
    one = await filled(chain)
    await devices.wipe(chain.service, await device_of(one))
    wire = chain.transports["one"]
    for _ in range(3):
        wire.lose_answers_to = "/sync/v1/pull"
        assert not (await one.sync()).wiped
        assert (await one.status()).rows
    for _ in range(3):
        wire.lose_answers_to = "/sync/v1/wiped"
        assert (await one.sync()).wiped
        assert (await one.status()).rows == 0
    assert (await one.status()).paired
    await one.sync()
    assert not (await one.status()).paired


@pytest.mark.parametrize("path", ["/sync/v1/pull", "/sync/v1/push", "/sync/v1/live"])
async def test_whatever_a_stolen_tablet_asks_it_is_told_to_wipe(chain: Chain, path: str) -> None:
    one = await chain.tablet("one")
    token = str(one._said["token"])
    await devices.wipe(chain.service, await device_of(one))
    client = chain.transports["one"]._client
    headers = {"authorization": f"Bearer {token}"}
    if path.endswith("live"):
        answer = await client.get(path, headers=headers)
    else:
        body = {"schema": 1, "incarnation": "ab" * 8, "n": 1, "changes": [{}]}
        answer = await client.post(path, json=body, headers=headers)
    said = answer.json()
    assert (answer.status_code, said["code"]) == (403, "device_wipe")
    assert "contact" not in said


async def test_an_order_between_pull_and_push_is_obeyed_all_the_same(chain: Chain) -> None:
    one = await filled(chain)
    device = await device_of(one)
    await one.customers.create(name="not sent")
    steps = []

    async def order() -> None:
        await devices.wipe(chain.service, device)

    post = chain.transports["one"].post

    async def posted(path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        steps.append(path)
        if path == "/sync/v1/push":
            await order()
        return await post(path, body, token)

    chain.transports["one"].post = posted  # type: ignore[method-assign]
    report = await one.sync()
    assert (report.wiped, report.pushed) == (True, 0)
    assert steps == ["/sync/v1/pull", "/sync/v1/push", "/sync/v1/wiped"]


async def test_a_tablet_in_its_loop_hears_the_order_at_once_and_the_loop_ends(chain: Chain) -> None:
    one = await filled(chain)
    reports: asyncio.Queue[SyncReport] = asyncio.Queue()
    async with asyncio.timeout(PATIENCE_S):
        task = asyncio.create_task(one.sync_forever(reports.put_nowait))
        assert (await reports.get()).equal
        await devices.wipe(chain.service, await device_of(one))
        await task
    assert [reports.get_nowait().wiped for _ in range(reports.qsize())][-1]
    assert not (await one.status()).paired


async def test_a_restored_database_gives_nobody_a_right_back(chain: Chain) -> None:
    one, two = await chain.tablet("one"), await chain.tablet("two")
    for shop in (one, two):
        await shop.sync()
    copy = await chain.back_up()
    await devices.revoke(chain.service, await device_of(one))
    await devices.wipe(chain.service, await device_of(two))
    await chain.restore(copy)
    for shop, code in ((one, "device_revoked"), (two, "device_wipe")):
        report = await shop.sync()
        assert report.problem is not None
        assert (report.problem.code, report.pulled, report.wiped) == (code, 0, True)


async def test_a_revocation_stands_in_the_journal_before_it_takes_effect(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await chain.tablet("one")
    device = await device_of(one)

    async def power_fails(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(chain.service.access, "revoke", power_fails)
        with pytest.raises(SystemExit):
            await devices.wipe(chain.service, device)
    assert (await one.sync()).equal
    await devices.replay(chain.service)
    assert (await one.sync()).wiped


async def test_a_replay_of_what_is_so_already_writes_nothing(chain: Chain) -> None:
    one = await chain.tablet("one")
    device = await device_of(one)
    for _ in range(2):
        await devices.revoke(chain.service, device)
        await devices.wipe(chain.service, device)
    async with chain.service.storage.unscoped_reader() as reader:
        before = await reader.head()
        assert len(await reader.history("device", device)) == 3
    await devices.replay(chain.service)
    async with chain.service.storage.unscoped_reader() as reader:
        assert await reader.head() == before
        (row,) = (await reader.find("device", [device])).values()
    assert b'"wipe":true' in row.documents[Level.INTERNAL]


async def test_the_order_to_wipe_stands_although_a_revocation_came_after_it(chain: Chain) -> None:
    one = await chain.tablet("one")
    copy = await chain.back_up()
    await devices.wipe(chain.service, await device_of(one))
    await devices.revoke(chain.service, await device_of(one))
    await chain.restore(copy)
    report = await one.sync()
    assert report.problem is not None
    assert (report.problem.code, report.wiped) == ("device_wipe", True)


# --- invited ---------------------------------------------------------------------------------------------


async def test_a_tablet_reads_sensitive_fields_only_when_it_was_invited_to(chain: Chain) -> None:
    for name, sensitive in (("one", False), ("two", True)):
        shop = await chain.tablet(name, sensitive=sensitive)
        _, author = await chain.service.device(str((await shop._outbox.said())["token"]))
        assert author.scopes is not None
        assert any(level_of(scope) is Level.SENSITIVE for scope in author.scopes) is sensitive


async def test_a_unit_that_another_process_just_made_takes_a_tablet_at_once(chain: Chain) -> None:
    await chain.service.admission.tree()
    beside = Admission(chain.service.storage, chain.clock, chain.entropy)
    unit = chain.units["new"] = chain.new_id()
    fields = {"name": "new", "kind": "branch", "parent": chain.units["hq"]}
    await beside.write(SERVER, [[chain.service.change("create", "unit", unit, fields)]])
    shop = await chain.tablet("one", "new")
    assert (await shop.status()).device is not None


# --- paired again ----------------------------------------------------------------------------------------


async def invited(chain: Chain, unit: str = "Nanjing Road") -> str:
    return await chain.service.access.new_pairing_code(chain.units[unit], "again")


async def test_a_wiped_tablet_is_paired_again_as_another_device(chain: Chain) -> None:
    one = await filled(chain)
    old, token = await device_of(one), one._said["token"]
    await devices.wipe(chain.service, old)
    await one.sync()
    lin = await one.customers.create(name="林芳")
    await one.pair("http://hq", await invited(chain, "Orchard"))
    assert await device_of(one) != old
    assert one._said["token"] != token
    report = await one.sync()
    assert (report.pushed, report.applied, report.equal) == (1, 1, True)
    status = await one.status()
    assert (status.wiped, status.paired, status.pending, status.unit) == (
        False,
        True,
        0,
        chain.units["Orchard"],
    )
    assert (await one.customers.get(lin.id)).home_unit == chain.units["Orchard"]
    assert await chain.digests_equal(one)


async def test_what_a_revoked_tablet_could_not_hand_in_is_offered_when_it_is_paired_again(
    chain: Chain,
) -> None:
    one = await filled(chain)
    old = await device_of(one)
    before = await one._outbox.incarnations()
    made = [await one.customers.create(name=f"offline {number}") for number in range(5)]
    cids = [live.cid for live in (await one._outbox.live())[-5:]]
    await devices.revoke(chain.service, old)
    post = chain.transports["one"].post

    async def no_push(path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        if path == "/sync/v1/push":
            raise Offline("offline")
        return await post(path, body, token)

    chain.transports["one"].post = no_push  # type: ignore[method-assign]
    assert not (await one.sync()).wiped
    chain.transports["one"].post = post  # type: ignore[method-assign]
    await one.pair("http://hq", await invited(chain))
    for part in ("", ".outbox"):
        assert SECRET.encode() not in bytes_of(chain, "one", part)
    live = await one._outbox.live()
    assert [change.cid for change in live] == cids
    assert {change.incarnation for change in live}.isdisjoint(before)
    report = await one.sync()
    assert (report.pushed, report.applied, report.renewals, report.equal) == (5, 5, 0, True)
    assert (await one.status()).pending == 0
    async with chain.service.storage.unscoped_reader() as reader:
        for customer in made:
            (entry,) = await reader.history("customer", customer.id)
            assert (entry.verdict, entry.cid in cids, entry.device) == ("applied", True, await device_of(one))
    assert await chain.digests_equal(one)


async def test_a_tablet_that_was_not_shut_out_is_not_paired_twice(chain: Chain) -> None:
    one = await chain.tablet("one")
    await devices.revoke(chain.service, await device_of(one))
    with pytest.raises(LocalError, match="already_paired"):
        await one.pair("http://hq", await invited(chain))
    await one.sync()
    await one.pair("http://hq", await invited(chain))
    await one.sync()
    with pytest.raises(LocalError, match="already_paired"):
        await one.pair("http://hq", await invited(chain))


async def test_what_was_held_under_the_old_device_stays_held_once(chain: Chain) -> None:
    """The server held it, the answer was lost, and the tablet is paired again: it is known by its cid."""
    one = await chain.tablet("one")
    old = await device_of(one)
    await one.sync()
    lin = await one.customers.create(name="林芳")
    await devices.revoke(chain.service, old)
    chain.transports["one"].lose_answers_to = "/sync/v1/push"
    assert not (await one.sync()).wiped
    await one.pair("http://hq", await invited(chain))
    report = await one.sync()
    assert (report.pushed, report.held) == (1, 1)
    assert await held_of(chain, old) == ["device_revoked"]
    async with chain.service.storage.unscoped_reader() as reader:
        (group,) = [entry.group for entry in await reader.open_entries(10)]
    assert await chain.service.admission.retry(group, by_head_office=True)
    assert (await one.sync()).equal
    assert (await one.customers.get(lin.id)).name == "林芳"
    assert (await one.status()).pending == 0


async def test_a_tablet_of_one_chain_does_not_carry_its_changes_into_another(
    chain: Chain, tmp_path: Path
) -> None:
    one = await filled(chain)
    await devices.revoke(chain.service, await device_of(one))
    await one.sync()
    await one.customers.create(name="of the first chain")
    (tmp_path / "second").mkdir()
    async with new_chain(tmp_path / "second", seed=2) as other:
        one._new_transport = lambda url: AppTransport(other.app, other.service)
        with pytest.raises(Refused, match="chain_other"):
            await one.pair("http://other", await invited(other))
    one._new_transport = lambda url: chain.transports["one"]
    await one.pair("http://hq", await invited(chain))
    assert (await one.sync()).applied == 1


async def test_a_tablet_that_the_restored_server_does_not_know_is_paired_again_and_loses_nothing(
    chain: Chain,
) -> None:
    copy = await chain.back_up()
    one = await chain.tablet("one")
    made = [await one.customers.create(name=f"{number}") for number in range(3)]
    await one.sync()
    made.append(await one.customers.create(name="not sent"))
    await chain.restore(copy)
    report = await one.sync()
    assert report.problem is not None
    assert report.problem.code == "token_invalid"
    await one.pair("http://hq", await invited(chain))
    report = await one.sync()
    assert (report.applied, report.equal) == (4, True)
    assert {c.id for c in await one.customers.list()} == {c.id for c in made}
    assert (await one.status()).pending == 0


# --- copied ----------------------------------------------------------------------------------------------


async def copy_of(chain: Chain, shop: Shop, name: str) -> Shop:
    """Another tablet with a copy of this one's files."""
    for file in (shop._rows.file, shop._outbox.file):
        assert file._connection is not None
        await file._connection.run(lambda c: c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
        shutil.copyfile(file.path, chain.folder / file.path.name.replace("one", name))
    return await chain.tablet(name, paired=False)


async def test_a_clone_hands_in_reads_nothing_and_goes_on_once_it_is_paired_again(chain: Chain) -> None:
    one = await filled(chain)
    twin = await copy_of(chain, one, "twin")
    made = []
    for shop in (one, twin, one):
        made.append(await shop.customers.create(name="before it is known"))
        assert (await shop.sync()).equal
    rows = (await twin.status()).rows
    made.append(await twin.customers.create(name="of the clone"))
    for _ in range(2):
        report = await twin.sync()
        assert report.problem is not None
        assert (report.problem.code, report.pulled, report.held) == ("device_cloned", 0, 0)
        assert not report.wiped
    assert (await twin.status()).rows == rows
    assert (await one.sync()).equal
    made.append(await twin.customers.create(name="not sent"))
    await twin.pair("http://hq", await invited(chain))
    assert await device_of(twin) != await device_of(one)
    assert (await twin.sync()).pulled >= rows  # another device begins anew: a copy's rows are not its own
    for _ in range(2):
        for shop in (twin, one):
            assert (await shop.sync()).equal
            made.append(await shop.customers.create(name="after"))
    for shop in (twin, one, twin):
        assert (await shop.sync()).equal
    for shop in (one, twin):
        names = {c.id for c in await shop.customers.list(limit=1_000)}
        assert {c.id for c in made} < names
        assert len(names) == 200 + len(made)
        assert (await shop.status()).pending == 0
        assert await chain.digests_equal(shop)
    async with chain.service.storage.unscoped_reader() as reader:
        for customer in made:
            assert [entry.verdict for entry in await reader.history("customer", customer.id)] == ["applied"]


async def test_a_tablet_restored_time_and_again_is_no_clone(chain: Chain) -> None:
    """The incarnation that it had is silent; only the newest goes on."""
    one = await chain.tablet("one")
    await one.customers.create(name="first")
    await one.sync()
    shop = one
    for turn in range(3):
        restored = await copy_of(chain, one, f"restored{turn}")
        for _ in range(2):
            await shop.customers.create(name=f"lost or not {turn}")
            assert (await shop.sync()).equal
        shop = restored  # the one before is heard no more
        for _ in range(3):
            await shop.customers.create(name=f"restored {turn}")
            report = await shop.sync()
            assert (report.problem, report.equal) == (None, True)
    assert len(await shop.customers.list()) == 1 + 3 * (2 + 3)
    assert await chain.digests_equal(shop)


# --- another token ---------------------------------------------------------------------------------------


def token_of(shop: Shop) -> str:
    return str(shop._said["token"])


async def answers_to(chain: Chain, token: str) -> int:
    status, _ = await chain.transports["one"].post("/sync/v1/pull", b'{"schema":1}', token)
    return status


async def test_an_old_token_is_replaced_and_serves_for_its_grace(chain: Chain) -> None:
    one = await chain.tablet("one")
    first = token_of(one)
    chain.clock.pass_(days=89)
    assert (await one.sync()).equal
    assert token_of(one) == first
    chain.clock.pass_(days=2)
    assert (await one.sync()).equal
    second = token_of(one)
    assert second != first
    assert (await one._outbox.said())["token"] == second
    assert [await answers_to(chain, token) for token in (first, second)] == [200, 200]
    await one.customers.create(name="林芳")
    assert (await one.sync()).applied == 1
    assert token_of(one) == second
    chain.clock.pass_(days=1, seconds=10)
    assert [await answers_to(chain, token) for token in (first, second)] == [401, 200]
    chain.clock.pass_(days=91)
    assert (await one.sync()).equal
    assert token_of(one) not in (first, second)


async def test_a_lost_answer_costs_no_token(chain: Chain) -> None:
    one = await chain.tablet("one")
    first = token_of(one)
    chain.clock.pass_(days=91)
    for _ in range(3):
        chain.transports["one"].lose_answers_to = "/sync/v1/rotate"
        assert (await one.sync()).equal
        assert token_of(one) == first
    assert (await one.sync()).equal
    second = token_of(one)
    assert second != first
    status, _ = await chain.transports["one"].post("/sync/v1/rotate", b"{}", first)
    assert status == 200
    assert await answers_to(chain, second) == 200, "a request that comes late takes nothing away"


async def test_a_token_is_durable_before_it_is_used(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    one = await chain.tablet("one")
    first = token_of(one)
    chain.clock.pass_(days=91)

    async def power_fails(facts: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(one._outbox, "say", power_fails)
        with pytest.raises(SystemExit):
            await one.sync()
    assert token_of(one) == (await one._outbox.said())["token"] == first
    assert (await one.sync()).equal
    assert token_of(one) != first


async def test_a_server_restored_to_before_the_change_is_met_with_the_former_token(chain: Chain) -> None:
    one = await chain.tablet("one")
    await one.customers.create(name="林芳")
    await one.sync()
    copy = await chain.back_up()
    chain.clock.pass_(days=91)
    await one.sync()
    second = token_of(one)
    await chain.restore(copy)
    report = await one.sync()
    assert report.problem is not None
    assert report.problem.code == "token_invalid"
    assert (await one.sync()).equal
    assert token_of(one) == second
    assert (await one.sync()).equal
    with pytest.raises(LocalError, match="already_paired"):  # nobody refuses it any more
        await one.pair("http://hq", await invited(chain))


async def test_a_device_that_was_shut_out_gets_no_other_token(chain: Chain) -> None:
    one = await chain.tablet("one")
    await devices.revoke(chain.service, await device_of(one))
    status, body = await chain.transports["one"].post("/sync/v1/rotate", b"{}", token_of(one))
    assert (status, b"device_revoked" in body) == (403, True)
