"""Several `regulars serve` processes on one PostgreSQL database: whichever answers, it is one chain."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from regulars import Shop
from regulars_schema.entities import REGISTRY
from regulars_server.app import create_service, opened
from regulars_server.authors import SERVER
from regulars_server.service import Service
from regulars_server.settings import Settings
from regulars_server.storage.interface import Member
from regulars_server.storage.postgres import PostgresStorage
from regulars_sync.clock import instant_of
from regulars_sync.ids import uuid7
from tests.support.chain import new_chain
from tests.support.commands import Commands
from tests.support.postgres import FAST, Databases, postgres_server
from tests.support.server import serving

ENOUGH_S = 30
WOKEN_S_MAX = 1.5
"""Sooner than a look at the head would come."""


@pytest.fixture
def url(postgres: Databases) -> Iterator[str]:
    """An empty database: the first server makes everything."""
    url = postgres.new()
    yield f"{url}?schema=songhe"
    postgres.drop(url)


@pytest.fixture
def commands(tmp_path: Path, url: str) -> Commands:
    return Commands(tmp_path / "one", database=url)


def invited(commands: Commands, unit: str) -> str:
    return str(commands.asked("device", "invite", unit)["code"])


def token_of(url: str, code: str) -> str:
    asked = {"code": code, "name": "till", "schema": REGISTRY.version}
    return str(httpx2.post(f"{url}/sync/v1/pair", json=asked).json()["token"])


def test_commands_work_on_a_database_as_on_a_folder(commands: Commands, url: str) -> None:
    assert commands.problem("unit", "list")["code"] == "chain_missing"
    made = commands.asked("init", "--name", "Songhe", "--password-stdin", stdin="correct horse 7\n")
    assert made["data"].endswith("(songhe)")
    assert commands.problem("init")["code"] == "chain_exists"
    commands.asked("unit", "add", "Orchard")
    assert sorted(unit["name"] for unit in commands.asked("unit", "list")) == ["Orchard", "Songhe"]
    commands.asked("login", "add", "lin", "--role", "clerk", "--password-stdin", stdin="another horse 8\n")
    assert {login["name"] for login in commands.asked("login", "list")} == {"admin", "lin"}
    assert {f["check"] for f in commands.asked("doctor") if f["state"] != "ok"} <= {"backup"}
    assert not (commands.data / "chain.db").exists()


def test_what_one_server_took_another_one_gives_and_tells(
    commands: Commands, url: str, tmp_path: Path
) -> None:
    with (
        serving(commands.data, "--database", url) as (_, one),
        serving(tmp_path / "two", "--database", url) as (_, two),
    ):
        at_one, at_two = one["urls"][0], two["urls"][0]
        assert two["password"] is None
        assert (
            httpx2.get(f"{at_one}/readyz").json()["chain"] == httpx2.get(f"{at_two}/readyz").json()["chain"]
        )
        login = {"name": one["login"], "password": one["password"]}
        session = httpx2.post(f"{at_two}/auth/login", json=login).json()["token"]
        asked = {"query": "{ units { edges { node { name } } } }"}
        head = {"authorization": f"Bearer {session}"}
        assert "errors" not in httpx2.post(f"{at_one}/graphql", json=asked, headers=head).json()
        commands("unit", "add", "Orchard")
        codes = [invited(commands, "Orchard") for _ in range(2)]
        asyncio.run(tell(tmp_path, at_one, at_two, codes))
        refuse_the_revoked(commands, at_one, at_two)


async def tell(folder: Path, at_one: str, at_two: str, codes: list[str]) -> None:
    async with (
        Shop.open(folder / "a.db", durable=False) as a,
        Shop.open(folder / "b.db", durable=False) as b,
        asyncio.timeout(ENOUGH_S),
    ):
        await a.pair(at_one, codes[0], "a")
        await b.pair(at_two, codes[1], "b")
        reports: asyncio.Queue[Any] = asyncio.Queue()
        stopped = asyncio.Event()
        running = asyncio.create_task(b.sync_forever(reports.put_nowait, stopped))
        assert (await reports.get()).equal
        await asyncio.sleep(0.5)  # it listens by now
        for name in ("林芳", "王伟"):
            made = await a.customers.create(name=name)
            assert (await a.sync()).equal
            begun = time.monotonic()
            while made.id not in {customer.id for customer in await b.customers.list()}:
                await reports.get()
            assert time.monotonic() - begun < WOKEN_S_MAX
        stopped.set()
        await running


def refuse_the_revoked(commands: Commands, at_one: str, at_two: str) -> None:
    """A right that ends at one server has ended at the other within the time that is promised."""
    token = token_of(at_one, invited(commands, "Orchard"))
    pull: dict[str, Any] = {"cursor": None, "schema": REGISTRY.version, "acked": {}, "rows_max": 10}

    def pulled() -> httpx2.Response:
        head = {"authorization": f"Bearer {token}"}
        return httpx2.post(f"{at_two}/sync/v1/pull", json=pull, headers=head)

    assert pulled().status_code == 200
    commands.asked("device", "revoke", "till")
    until = time.monotonic() + 5
    while pulled().status_code == 200:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert pulled().json()["code"] == "device_revoked"


def test_a_server_restarts_under_load_without_an_error_but_503(
    commands: Commands, url: str, tmp_path: Path
) -> None:
    """A client that goes to the next server where nobody answers never sees another error."""
    seen: list[int] = []
    stop = threading.Event()
    addresses: dict[str, str] = {}

    def load() -> None:
        names = sorted(addresses)
        at = 0
        while not stop.is_set():
            at += 1
            try:
                answer = httpx2.get(f"{addresses[names[at % 2]]}/readyz", timeout=10)
            except httpx2.TransportError:
                continue
            seen.append(answer.status_code)

    with serving(commands.data, "--database", url) as (one, said):
        addresses["one"] = said["urls"][0]
        with serving(tmp_path / "two", "--database", url) as (_, said_two):
            addresses["two"] = said_two["urls"][0]
            worker = threading.Thread(target=load)
            worker.start()
            one.send_signal(signal.SIGTERM)
            assert one.wait(ENOUGH_S) == 0
            with serving(commands.data, "--database", url) as (_, said):
                addresses["one"] = said["urls"][0]
                time.sleep(0.3)
            stop.set()
            worker.join()
    assert set(seen) <= {200, 503}
    assert seen.count(200) > 10


def children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(child) for child in found.split()]


def until(holds: Callable[[], bool]) -> None:
    """It takes a while, not for ever."""
    end = time.monotonic() + ENOUGH_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_workers_serve_on_one_socket_are_replaced_and_end_together(
    commands: Commands, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGULARS_METRICS", "127.0.0.1:0")
    assert Commands(commands.data).problem("serve", "--workers", "2")["code"] == "argument_invalid"
    with serving(commands.data, "--database", url, "--workers", "2") as (process, said):
        assert said["password"]
        workers = children(process.pid)
        assert len(workers) == 2
        until(lambda: "regulars_commit_seq" in httpx2.get(said["metrics"]).text)
        with httpx2.Client(base_url=said["urls"][0]) as client:
            assert client.get("/readyz").json()["ok"]
        os.kill(workers[0], signal.SIGKILL)
        until(lambda: len(children(process.pid)) == 2 and workers[0] not in children(process.pid))
        with httpx2.Client(base_url=said["urls"][0]) as client:
            assert client.get("/readyz").json()["ok"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(ENOUGH_S) == 0
    with serving(commands.data, "--database", url, "--workers", "2") as (process, _):
        workers = children(process.pid)
        process.kill()
        process.wait()
        until(lambda: not any(Path(f"/proc/{worker}/stat").exists() for worker in workers))


def test_while_the_database_is_away_servers_say_503_and_find_it_again(tmp_path: Path) -> None:
    with (
        postgres_server(**FAST) as server,
        serving(tmp_path / "one", "--database", server.url) as (_, said),
        httpx2.Client(base_url=said["urls"][0], timeout=20) as client,
    ):
        login = {"name": said["login"], "password": said["password"]}
        assert client.post("/auth/login", json=login).status_code == 200
        server.stop()
        for answer in (client.get("/readyz"), client.post("/auth/login", json=login)):
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            assert answer.json()["code"] == "busy"
        assert client.get("/healthz").status_code == 200
        server.start()
        begun = time.monotonic()
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() - begun < 5
            time.sleep(0.05)
        assert client.post("/auth/login", json=login).status_code == 200


def test_a_database_that_is_not_there_is_named(tmp_path: Path) -> None:
    nowhere = Commands(tmp_path / "one", database="postgresql://me:secret@127.0.0.1:1/x")
    for arguments in (["unit", "list"], ["doctor"], ["serve", "--port", "0"], ["backup"]):
        problem = nowhere.problem(*arguments)
        assert problem["code"] == "database_away"
        assert "secret" not in str(problem)


def test_what_is_no_backup_makes_no_folder(tmp_path: Path) -> None:
    assert Commands(tmp_path / "new").problem("restore", "none.db")["code"] == "file_missing"
    assert not (tmp_path / "new").exists()


def test_a_limit_is_one_limit_whichever_server_answers(
    commands: Commands, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGULARS_LOOKUPS_PER_HOUR", "5")
    monkeypatch.setenv("REGULARS_SESSION_COST_MAX", "60")
    monkeypatch.setenv("REGULARS_SESSION_COST_PER_S", "1")
    with (
        serving(commands.data, "--database", url) as (_, one),
        serving(tmp_path / "two", "--database", url) as (_, two),
        httpx2.Client(base_url=one["urls"][0]) as at_one,
        httpx2.Client(base_url=two["urls"][0]) as at_two,
    ):
        servers = [at_one, at_two]
        login = {"name": one["login"], "password": one["password"]}
        session = at_one.post("/auth/login", json=login).json()["token"]
        commands("unit", "add", "Orchard")
        device = token_of(one["urls"][0], invited(commands, "Orchard"))

        asked = {"key": "M-1", "field": "member_no"}
        head = {"authorization": f"Bearer {device}"}
        told = [servers[i % 2].post("/sync/v1/lookup", json=asked, headers=head).json() for i in range(8)]
        assert [answer["code"] for answer in told] == ["not_found"] * 5 + ["too_many_tries"] * 3

        query = {"query": "{ units(first: 10) { edges { node { name } } } }"}
        head = {"authorization": f"Bearer {session}"}
        begun, spent, refused = time.monotonic(), 0, 0
        for i in range(60):
            answer = servers[i % 2].post("/graphql", json=query, headers=head).json()
            spent += answer["extensions"]["cost"]["actualQueryCost"]
            refused += "errors" in answer
        assert 30 < spent <= 60 + 1 * (time.monotonic() - begun + 1)
        assert refused > 10

        login["password"] = "wrong"
        told = [servers[i % 2].post("/auth/login", json=login).json() for i in range(8)]
        assert [answer["code"] for answer in told] == ["login_failed"] * 5 + ["too_many_tries"] * 3
        for server in servers:
            pairing = {"code": "2222-2222", "name": "till", "schema": REGISTRY.version}
            assert server.post("/sync/v1/pair", json=pairing).json()["code"] == "too_many_tries"


async def test_units_are_known_while_other_servers_write(tmp_path: Path) -> None:
    """A commit that is told between the end of a snapshot and its answer: the tree is given, and not kept."""
    async with new_chain(tmp_path) as chain:
        admission, units = chain.service.admission, chain.units.values()
        unscoped_reader = chain.service.storage.unscoped_reader

        @asynccontextmanager
        async def interrupted() -> AsyncIterator[Any]:
            async with unscoped_reader() as reader:
                yield reader
            admission.others_wrote(None)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(chain.service.storage, "unscoped_reader", interrupted)
            admission.others_wrote(None)
            tree = await admission.tree()
            assert all(unit in tree for unit in units)
            await chain.unit("Bishan", "branch", chain.units["hq"])
            assert chain.units["Bishan"] in await admission.tree()


@dataclass
class Node:
    """A server, and somebody at it."""

    client: httpx2.Client
    session: str

    def post(self, query: str, **variables: Any) -> httpx2.Response:
        head = {"authorization": f"Bearer {self.session}"}
        return self.client.post("/graphql", json={"query": query, "variables": variables}, headers=head)

    def ask(self, query: str, **variables: Any) -> Any:
        answer = self.post(query, **variables).json()
        assert "errors" not in answer, answer
        (found,) = answer["data"].values()
        return found

    def get(self, path: str) -> httpx2.Response:
        return self.client.get(path, headers={"authorization": f"Bearer {self.session}"})

    def upload(self, content: bytes) -> str:
        head = {"authorization": f"Bearer {self.session}"}
        return str(self.client.post("/works/uploads", content=content, headers=head).json()["id"])


@contextmanager
def two_nodes(
    url: str, folder: Path, commands: Commands, session: str | None = None
) -> Iterator[tuple[Node, Node]]:
    """One person's session at two servers."""
    with (
        serving(commands.data, "--database", url) as (_, one),
        serving(folder / "two", "--database", url) as (_, two),
        httpx2.Client(base_url=one["urls"][0], timeout=20) as at_one,
        httpx2.Client(base_url=two["urls"][0], timeout=20) as at_two,
    ):
        login = {"name": one["login"], "password": one["password"]}
        session = session or at_one.post("/auth/login", json=login).json()["token"]
        yield Node(at_one, session), Node(at_two, session)


CREATE = """mutation ($key: String!, $name: String!) { customerCreate(idempotencyKey: $key,
    input: {name: $name}) { ... on CustomerSaved { customer { id name version } } ... on Error { code } } }"""
TOKEN = """mutation { tokenCreate(idempotencyKey: "t", input: {label: "p", role: CLERK,
    scopes: ["read:customers"]}) {
    ... on TokenIssued { secret token { id } } ... on Error { code message } } }"""
REVOKE = """mutation ($id: UUID!) { tokenRevoke(idempotencyKey: "r", id: $id) { __typename
    ... on Error { code message } } }"""
EXPORT = """mutation ($key: String!) { exportStart(idempotencyKey: $key,
    input: {query: "{ customers { nodes { name } } }"}) {
    ... on ExportSaved { export { id } } ... on Error { code message } } }"""
EXPORTED = "query ($id: UUID!) { export(id: $id) { state } }"
IMPORT = """mutation ($key: String!, $id: UUID!) {
    importStart(idempotencyKey: $key, input: {uploadId: $id, entity: CUSTOMER, source: "pos"}) {
    ... on ImportSaved { import { id } } ... on Error { code message } } }"""
IMPORTED = "query ($id: UUID!) { import(id: $id) { state error { code } } }"
ROWS = "external_id,name\np1,林芳\np2,王伟\n".encode()


def test_what_one_server_answered_made_and_ended_another_one_knows(
    commands: Commands, url: str, tmp_path: Path
) -> None:
    with two_nodes(url, tmp_path, commands) as (one, two):
        made = one.post(CREATE, key="k", name="林芳")
        again = two.post(CREATE, key="k", name="林芳")
        assert again.json()["data"] == made.json()["data"]
        assert two.ask(CREATE, key="k", name="王伟")["code"] == "idempotency_reused"

        document = tmp_path / "names.graphql"
        document.write_text("query Names { customers { nodes { name } } }")
        (id,) = commands.asked("documents", "publish", str(document))["published"]
        for node in (one, two):
            head = {"authorization": f"Bearer {node.session}"}
            answer = node.client.post("/graphql", json={"documentId": id}, headers=head).json()
            assert answer["data"]["customers"]["nodes"] == [{"name": "林芳"}]

        token = one.ask(TOKEN)
        program = Node(two.client, token["secret"])
        names = "{ customers { nodes { name } } }"
        assert program.ask(names)["nodes"] == [{"name": "林芳"}]
        one.ask(REVOKE, id=token["token"]["id"])
        until(lambda: program.post(names).status_code == 401)


def test_files_of_works_are_fetched_and_imported_where_they_are(
    commands: Commands, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a folder that servers share that is everywhere; without one the others say so."""
    with two_nodes(url, tmp_path, commands) as (one, two):
        for key, uploader, asker in (("i1", one, two), ("i2", two, one)):
            id = asker.ask(IMPORT, key=key, id=uploader.upload(ROWS))["import"]["id"]
            until(lambda id=id: one.ask(IMPORTED, id=id)["state"] not in ("QUEUED", "RUNNING"))  # type: ignore[misc]
            assert one.ask(IMPORTED, id=id) == {"state": "COMPLETED", "error": None}
        id = one.ask(EXPORT, key="e1")["export"]["id"]
        until(lambda: one.ask(EXPORTED, id=id)["state"] == "COMPLETED")
        told = sorted(
            (node.get(f"/works/{id}") for node in (one, two)), key=lambda answer: answer.status_code
        )
        assert [answer.status_code for answer in told] == [200, 503]
        assert "林芳" in told[0].text
        assert told[1].json()["code"] == "work_elsewhere"
        assert int(told[1].headers["retry-after"]) > 0
    monkeypatch.setenv("REGULARS_WORKS_FOLDER", str(tmp_path / "shared"))
    with two_nodes(url, tmp_path, commands, one.session) as (one, two):
        id = one.ask(EXPORT, key="e2")["export"]["id"]
        until(lambda: two.ask(EXPORTED, id=id)["state"] == "COMPLETED")
        assert one.get(f"/works/{id}").text == two.get(f"/works/{id}").text != ""


CROWD = 120


def test_servers_share_looking_at_customers_and_one_that_is_killed_loses_nobody(
    commands: Commands, url: str, tmp_path: Path
) -> None:
    commands.asked("init", "--name", "Songhe", "--password-stdin", stdin="correct horse 7\n")
    service = create_service(Settings(data=tmp_path / "beside", database=url))
    segment = asyncio.run(crowd(service))
    with (
        serving(commands.data, "--database", url) as (one, _),
        serving(tmp_path / "two", "--database", url) as (_, _),
    ):
        until = time.monotonic() + ENOUGH_S
        while len(asyncio.run(entered(url, segment))) < 5:
            assert time.monotonic() < until
        os.kill(one.pid, signal.SIGKILL)
        while len(found := asyncio.run(entered(url, segment))) < CROWD:
            assert time.monotonic() < until
            time.sleep(0.2)
    assert len(found) == len(set(found)) == CROWD  # each once


async def crowd(service: Service) -> str:
    """Customers who visited, of whom nobody knows yet that they are in a segment."""
    segment, now = uuid7(service.now_ms(), service.entropy(10)), service.now_ms()
    rule = {"number": {"count": {"kind": ["visit"]}}, "op": ">=", "value": 1}
    changes = [service.change("create", "segment", segment, {"name": "S", "rule": rule})]
    for _ in range(CROWD):
        id = uuid7(now, service.entropy(10))
        said = {"kind": "visit", "at": instant_of(now - 86_400_000), "party": [{"customer": id}]}
        changes.append(service.change("create", "customer", id, {"name": "林芳"}))
        changes.append(service.change("create", "interaction", uuid7(now, service.entropy(10)), said))
    async with opened(service, sweep=False):
        for rulings in await service.admission.write(SERVER, [[change] for change in changes]):
            assert rulings[0].verdict == "applied"
    return segment


async def entered(url: str, segment: str) -> list[str]:
    """Whoever was found to come into the segment, as often as it was found."""
    storage = PostgresStorage(url, REGISTRY)
    await storage.open()
    try:
        async with storage.unscoped_reader() as reader:
            moved = await reader.movements(10 * CROWD, what="membership", key=segment)
            members = await reader.count("customer", Member(segment))
        assert len(moved) == members
        return [movement.customer for movement in moved]
    finally:
        await storage.close()
