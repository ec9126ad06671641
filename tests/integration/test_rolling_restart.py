"""Servers that are restarted one after another while everybody works: nobody meets an error, nothing is lost.

Not an error: 503 with Retry-After, and a live line that ends and is taken up again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from regulars import Shop
from tests.integration.test_several_servers import children, invited, until
from tests.support.balancer import balancing
from tests.support.commands import Commands
from tests.support.postgres import Databases
from tests.support.server import serving

DRAIN_S = 1
SETTLE_S = 0.5
CREATE = """mutation ($key: String!, $name: String!) {
    customerCreate(idempotencyKey: $key, input: {name: $name}) {
        __typename ... on CustomerSaved { customer { id } } ... on Error { code } } }"""
ALL = """query ($a: String) {
    customers(first: 100, after: $a) { nodes { id } pageInfo { endCursor hasNextPage } } }"""
LIST = "{ customers(first: 20, orderBy: NAME_ASC) { nodes { id name } } }"
CHANGES = (
    "subscription ($after: String) { changes(after: $after, entities: [CUSTOMER]) { cursor rows { id } } }"
)


@pytest.fixture
def url(postgres: Databases) -> Iterator[str]:
    url = postgres.new()
    yield f"{url}?schema=songhe"
    postgres.drop(url)


@dataclass
class Load:
    """What clients do at one address, what they were told was done, and what they met."""

    url: str
    session: str
    made: set[str] = field(default_factory=set)
    heard: set[str] = field(default_factory=set)
    met: list[object] = field(default_factory=list)
    asked: int = 0
    lines: int = 0
    is_over: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """What is made from then on is heard of."""

    async def post(self, client: httpx2.AsyncClient, query: str, **variables: Any) -> Any:
        """The data; None where it is to be asked again."""
        asked = {"query": query, "variables": variables}
        try:
            answer = await client.post("/graphql", json=asked)
        except httpx2.TransportError as error:
            self.met.append(error)
            return None
        self.asked += 1
        if answer.status_code == 503 and int(answer.headers["retry-after"]) > 0:
            return None
        said = answer.json()
        if answer.status_code != 200 or "errors" in said:
            self.met.append((answer.status_code, said))
            return None
        return said["data"]

    def client(self) -> httpx2.AsyncClient:
        head = {"authorization": f"Bearer {self.session}"}
        return httpx2.AsyncClient(base_url=self.url, headers=head, timeout=30)

    async def query(self) -> None:
        async with self.client() as client:
            while not self.is_over:
                await self.post(client, LIST)

    async def mutate(self) -> None:
        async with self.client() as client:
            number = 0
            while not self.is_over:
                data = await self.post(client, CREATE, key=f"m{number}", name=f"Customer {number}")
                if data is not None:
                    self.made.add(data["customerCreate"]["customer"]["id"])
                    number += 1

    async def push_and_pull(self, shop: Shop) -> None:
        while not self.is_over:
            made = await shop.customers.create(name="林芳")
            report = await shop.sync()
            if not report.equal:
                if report.problem is None or "seconds" not in report.problem.detail:
                    self.met.append(report)
                continue
            self.made.add(made.id)

    async def listen(self) -> None:
        """Until all that was made is heard of."""
        cursor = None
        async with self.client() as client:
            while not (self.is_over and self.made <= self.heard):
                asked = {"query": CHANGES, "variables": {"after": cursor}}
                head = {"accept": "text/event-stream"}
                self.lines += 1
                try:
                    async with client.stream("POST", "/graphql", json=asked, headers=head) as lines:
                        if lines.status_code == 503:
                            continue
                        async for line in lines.aiter_lines():
                            if line.startswith("data: {"):
                                said = orjson.loads(line[6:])
                                if "errors" in said:
                                    self.met.append(said)
                                    break
                                cursor = said["data"]["changes"]["cursor"]
                                self.begun.set()
                                self.heard |= {row["id"] for row in said["data"]["changes"]["rows"]}
                            if self.is_over and self.made <= self.heard:
                                return
                except httpx2.TransportError as error:
                    self.met.append(error)

    async def all_customers(self) -> list[str]:
        found: list[str] = []
        after = None
        async with self.client() as client:
            while True:
                data = (await self.post(client, ALL, a=after))["customers"]
                found += [node["id"] for node in data["nodes"]]
                if not data["pageInfo"]["hasNextPage"]:
                    return found
                after = data["pageInfo"]["endCursor"]


async def work(load: Load, folder: Path, codes: list[str], restart: Any) -> None:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        shops = []
        for number, code in enumerate(codes):
            shops.append(await stack.enter_async_context(Shop.open(folder / f"{number}.db", durable=False)))
            await shops[-1].pair(load.url, code, f"till {number}")
        listening = group.create_task(load.listen())
        async with asyncio.timeout(20):
            await load.begun.wait()
        for task in (load.query(), load.mutate(), *map(load.push_and_pull, shops)):
            group.create_task(task)
        await asyncio.sleep(SETTLE_S)
        await restart()
        await asyncio.sleep(SETTLE_S)
        load.is_over = True
        async with asyncio.timeout(20), load.client() as client:
            while not listening.done():  # a change wakes the line, which looks whether all is over
                await load.post(client, CREATE, key=f"last {time.monotonic_ns()}", name="last")
                await asyncio.sleep(0.1)
    found = await load.all_customers()
    assert len(found) == len(set(found))
    assert load.made <= set(found)
    assert load.met == []
    assert len(load.made) > 5
    assert load.asked > 20


def prepared(url: str, said: dict[str, Any], commands: Commands, tablets: int) -> tuple[str, list[str]]:
    """A session, and codes for so many tablets."""
    commands.asked("unit", "add", "Orchard")
    login = {"name": said["login"], "password": said["password"]}
    session = httpx2.post(f"{said['urls'][0]}/auth/login", json=login).json()["token"]
    return session, [invited(commands, "Orchard") for _ in range(tablets)]


def test_two_servers_are_restarted_in_turn_under_load(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGULARS_DRAIN_SECONDS", str(DRAIN_S))
    monkeypatch.setenv("REGULARS_SESSION_COST_MAX", "0")
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(tmp_path / str(i), "--database", url)) for i in range(2)]
        session, codes = prepared(url, servers[0][1], Commands(tmp_path / "0", database=url), 2)

        async def run() -> None:
            addresses = [said["urls"][0] for _, said in servers]
            async with balancing(*addresses) as balancer:

                async def restart() -> None:
                    for i, (process, _) in enumerate(servers):
                        process.send_signal(signal.SIGTERM)
                        assert await asyncio.to_thread(process.wait, 30) == 0
                        again = serving(tmp_path / str(i), "--database", url)
                        _, said = await asyncio.to_thread(stack.enter_context, again)
                        balancer.servers[i] = said["urls"][0]
                        await balancer.is_told(said["urls"][0])

                await balancer.is_told(addresses[0])
                load = Load(balancer.url, session)
                await work(load, tmp_path, codes, restart)
                assert balancer.cut == 0
                assert load.lines >= 2

        asyncio.run(run())


def replaced(keeper: int, worker: int) -> Callable[[], bool]:
    return lambda: worker not in children(keeper) and len(children(keeper)) == 2


def test_workers_are_replaced_in_turn_under_load(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They accept on one socket; the balancer is there to make a connection of each request."""
    monkeypatch.setenv("REGULARS_SESSION_COST_MAX", "0")
    with serving(tmp_path / "0", "--database", url, "--workers", "2") as (process, said):
        session, codes = prepared(url, said, Commands(tmp_path / "0", database=url), 1)

        async def run() -> None:
            async with balancing(said["urls"][0], looks=False) as balancer:

                async def restart() -> None:
                    for worker in children(process.pid):
                        os.kill(worker, signal.SIGTERM)
                        await asyncio.to_thread(until, replaced(process.pid, worker))
                        await asyncio.sleep(SETTLE_S)

                await work(Load(balancer.url, session), tmp_path, codes, restart)
                assert balancer.cut == 0

        asyncio.run(run())
