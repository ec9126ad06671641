"""`regulars serve` as a process: how it starts, what it says when it can't, how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from regulars import Shop
from regulars.transport import HttpTransport
from regulars_schema.entities import REGISTRY
from regulars_server.app import DATABASE
from tests.support.commands import Commands
from tests.support.server import serving

ENOUGH_S = 30
STREAM_S = 15
"""Less than the server waits for what does not end."""


def test_an_empty_folder_becomes_a_chain_and_the_password_is_told_once(tmp_path):
    data = tmp_path / "shop"
    with serving(data, "--name", "Songhe") as (process, said):
        url = said["urls"][0]
        with httpx2.Client(base_url=url) as client:
            login = {"name": said["login"], "password": said["password"]}
            assert client.post("/auth/login", json=login).status_code == 200
            assert client.get("/readyz").json()["ok"] is True
        process.send_signal(signal.SIGTERM)
        assert process.wait(ENOUGH_S) == 0
    with serving(data) as (process, said):
        assert said["password"] is None
        process.send_signal(signal.SIGINT)
        assert process.wait(ENOUGH_S) == 0
    (company,) = Commands(data).asked("unit", "list")
    assert company["name"] == "Songhe"
    assert Commands(data).asked("doctor")


def test_people_read_addresses_and_the_password(tmp_path):
    command = [sys.executable, "-m", "regulars_server.cli", "serve", "--data", str(tmp_path), "--lang", "zh"]
    process = subprocess.Popen(
        [*command, "--port", "0", "--host", "0.0.0.0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    assert process.stdout is not None
    try:
        shown = [process.stdout.readline() for _ in range(3)]
        process.terminate()
        shown += process.stdout.readlines()
        assert process.wait(ENOUGH_S) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    text = "".join(shown)
    assert "密码（只显示一次）" in text
    assert "http://127.0.0.1:" in text
    assert "/graphql" in text
    assert "已停止" in text


def test_a_port_in_use_is_told_and_nothing_is_made(tmp_path):
    commands = Commands(tmp_path / "shop")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        problem = commands.problem("serve", "--port", port)
        assert (problem["code"], problem["detail"]["port"]) == ("address_taken", int(port))
        assert not commands.data.exists()
        commands.lang = "zh"
        assert "已被其他程序占用" in commands("serve", "--port", port).err
    assert commands.problem("serve", "--host", "203.0.113.7")["code"] == "address_invalid"


def test_a_command_beside_the_server_is_seen_by_it_at_once(tmp_path):
    commands = Commands(tmp_path / "shop")

    async def enrol(url: str, name: str, code: str) -> tuple[str | None, list[str | None]]:
        async with Shop.open(tmp_path / f"{name}.db", durable=False) as shop:
            await shop.pair(url, code, name)
            report = await shop.sync()
            assert report.equal, report
            return shop.unit, [unit.name for unit in await shop.units()]

    with serving(commands.data) as (process, said):
        url = said["urls"][0]
        for name in ("Orchard", "Nanjing Road"):
            unit = commands.asked("unit", "add", name)
            code = commands.asked("device", "invite", name)["code"]
            paired, names = asyncio.run(enrol(url, name.split()[0], code))
            assert paired == unit["id"]
            assert name in names
        assert {row["name"] for row in commands.asked("device", "list")} == {"Orchard", "Nanjing"}
        assert commands.asked("doctor")
        process.terminate()
        assert process.wait(ENOUGH_S) == 0


def until_refused(url: str) -> None:
    """Return when nobody listens there any more."""
    address = httpx2.URL(url)
    deadline = time.monotonic() + ENOUGH_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection((address.host, address.port or 80), 1).close()
        except ConnectionRefusedError:
            return
        except OSError:  # it is closing
            continue
    raise AssertionError("it still listens")


class Watched(HttpTransport):
    """Tells when a push has been sent: by then its head and body are on their way."""

    pushing: asyncio.Event

    async def post(self, path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        if path.endswith("/push"):
            self.pushing.set()
        return await super().post(path, body, token)


def test_an_import_beside_the_server_reaches_a_tablet(tmp_path):
    commands = Commands(tmp_path / "shop")
    file = tmp_path / "customers.csv"

    async def work(url: str, code: str, unit: str) -> None:
        async with Shop.open(tmp_path / "till.db", durable=False) as shop:
            await shop.pair(url, code)
            await shop.sync()
            for name in ("林芳", "林芳芳"):  # created, then updated
                file.write_text(f"external_id,name,home_unit\nC-1,{name},{unit}\n", "utf-8")
                await asyncio.to_thread(commands.asked, "import", str(file), "--source", "csv")
                report = await shop.sync()
                assert report.equal, report
                assert [customer.name for customer in await shop.customers.list()] == [name]

    with serving(commands.data) as (process, said):
        units = tmp_path / "units.csv"
        units.write_text("external_id,name,kind\nU-1,Orchard,branch\n", "utf-8")
        commands.asked("import", str(units), "--source", "csv")
        code = commands.asked("device", "invite", "U-1")["code"]
        asyncio.run(work(said["urls"][0], code, "U-1"))
        process.terminate()
        assert process.wait(ENOUGH_S) == 0


def test_sigterm_ends_a_stream_that_would_go_on_for_ever(tmp_path):
    commands = Commands(tmp_path / "shop")
    with serving(commands.data) as (process, said):
        commands("unit", "add", "Orchard")
        code = commands.asked("device", "invite", "Orchard")["code"]
        with httpx2.Client(base_url=said["urls"][0], timeout=STREAM_S) as client:
            asked = {"code": code, "name": "till", "schema": REGISTRY.version}
            token = client.post("/sync/v1/pair", json=asked).json()["token"]
            head = {"authorization": f"Bearer {token}"}
            with client.stream("GET", "/sync/v1/live", headers=head) as stream:
                lines = stream.iter_lines()
                assert next(lines) == "event: ready"
                process.terminate()
                assert "event: end" in list(lines)
        assert process.wait(STREAM_S) == 0


async def test_sigterm_lets_a_push_under_way_end_and_keeps_it(tmp_path: Path) -> None:
    commands = Commands(tmp_path / "shop")
    transports: list[Watched] = []

    def transport(url: str) -> Watched:
        transports.append(made := Watched(url))
        made.pushing = asyncio.Event()
        return made

    with serving(commands.data) as (process, said):
        url = said["urls"][0]
        await asyncio.to_thread(commands, "unit", "add", "Orchard")
        code = (await asyncio.to_thread(commands.asked, "device", "invite", "Orchard"))["code"]
        async with Shop.open(tmp_path / "till.db", transport=transport, durable=False) as shop:
            await shop.pair(url, code)
            await shop.sync()
            lin = await shop.customers.create(name="林芳")
            lock = sqlite3.connect(commands.data / DATABASE, isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")  # so that the push can't end yet
            try:
                syncing = asyncio.create_task(shop.sync())
                await transports[0].pushing.wait()
                await asyncio.to_thread(until_read, url)
                process.send_signal(signal.SIGTERM)
                await asyncio.to_thread(until_refused, url)
                assert not syncing.done()
            finally:
                lock.rollback()
                lock.close()
            report = await syncing
        assert await asyncio.to_thread(process.wait, ENOUGH_S) == 0
    assert (report.pushed, report.applied) == (1, 1), report
    connection = sqlite3.connect(commands.data / DATABASE)
    assert connection.execute("SELECT count(*) FROM customer WHERE id = ?", (lin.id,)).fetchone() == (1,)
    connection.close()


def until_read(url: str) -> None:
    """Return once the server has answered what was sent after the push: then it has read the push."""
    with httpx2.Client(base_url=url) as client:
        for _ in range(10):
            assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    "arguments", [["serve", "--port", "70000"], ["serve", "--port", "x"], ["frobnicate"]]
)
def test_wrong_usage_is_exit_code_2(tmp_path, arguments):
    assert Commands(tmp_path)(*arguments, data=arguments[0] == "serve").code == 2
