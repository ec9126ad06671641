"""Too much at once: who finds no room is told when to come again, and everybody else is served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from regulars_server.gate import Gate
from regulars_sync.changes import encode
from tests.support.chain import Chain, new_chain
from tests.support.sockets import Served, served

TIGHT: dict[str, Any] = {
    **{f"{kind}_at_once": 1 for kind in ("pushes", "pulls", "queries")},
    **{f"{kind}_waiting_max": 1 for kind in ("pushes", "pulls", "queries")},
}
QUERY = {"query": "{ customers(first: 1) { totalCount } }"}
PATHS = {"push": "/sync/v1/push", "pull": "/sync/v1/pull", "query": "/graphql"}
KINDS = sorted(PATHS)


@asynccontextmanager
async def busy(gate: Gate) -> AsyncIterator[None]:
    """Every place of the gate is taken, and every place before it."""
    waiting: list[asyncio.Task[None]] = []

    async def wait() -> None:
        with gate.visit() as visit:
            await visit.turn()

    with ExitStack() as stack:
        for _ in range(gate.bounds.at_once):
            await stack.enter_context(gate.visit()).turn()
        waiting += [asyncio.create_task(wait()) for _ in range(gate.bounds.waiting_max)]
        await until(lambda: gate.waiting == gate.bounds.waiting_max)
        yield
    await asyncio.gather(*waiting)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while True:
            if is_so():
                return
            await asyncio.sleep(0.001)


def gates(chain: Chain) -> dict[str, Gate]:
    return {kind: getattr(chain.service.gates, kind) for kind in KINDS}


def at_rest(gate: Gate) -> bool:
    return (gate.reading, gate.waiting, gate.working, gate.bytes) == (0, 0, 0, 0)


async def bearers(chain: Chain) -> dict[str, str]:
    """Of a tablet, and of head office."""
    shop = await chain.tablet("one")
    _, office = await chain.service.access.new_token("developer", "hq", "admin", None, False)
    device = (await shop._outbox.said())["token"]
    return {"push": device, "pull": device, "query": office}


def body(kind: str, chain: Chain) -> bytes:
    schema = chain.service.storage.registry.version
    asked = {
        "push": {"incarnation": "a" * 16, "n": 1, "schema": schema, "changes": []},
        "pull": {"schema": schema, "acked": {}},
        "query": QUERY,
    }
    return orjson.dumps(asked[kind])


async def send(site: Served, kind: str, token: str, lang: str = "en") -> httpx2.Response:
    headers = {"content-type": "application/json", "accept-language": lang}
    async with site.http(token) as http:
        return await http.post(PATHS[kind], content=body(kind, site.chain), headers=headers)


async def hang(site: Served, kind: str, token: str, length: int, sent: bytes) -> asyncio.StreamWriter:
    """A request whose body stops after a few bytes."""
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    head = f"POST {PATHS[kind]} HTTP/1.1\r\nhost: hq\r\nauthorization: Bearer {token}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    writer.write(head.encode() + sent)
    await writer.drain()
    return writer


@pytest.mark.parametrize("full", KINDS)
async def test_each_kind_of_work_has_a_gate_of_its_own(tmp_path: Path, full: str):
    async with new_chain(tmp_path, **TIGHT) as chain, served(chain) as site:
        tokens = await bearers(chain)
        async with busy(gates(chain)[full]):
            for kind in KINDS:
                answer = await send(site, kind, tokens[kind], "zh")
                assert (answer.status_code == 503) == (kind == full), (kind, answer.text)
                if kind == full:
                    said = answer.json()
                    said = said["errors"][0] if kind == "query" else said
                    assert "服务器繁忙" in said["message"]
                    assert 1 <= int(answer.headers["retry-after"]) <= 60
            async with site.http() as http:
                assert (await http.get("/healthz")).status_code == 200
                assert (await http.get("/readyz")).status_code == 200
        answer = await send(site, full, tokens[full])
        assert answer.status_code != 503
        assert all(at_rest(gate) for gate in gates(chain).values())


async def test_a_flood_of_slow_bodies_keeps_nobody_out_and_ends(tmp_path: Path):
    async with new_chain(tmp_path, **TIGHT, body_seconds_max=1) as chain, served(chain) as site:
        tokens = await bearers(chain)
        shops = [await chain.tablet(f"slow {n}") for n in range(5)]
        slow = [(await shop._outbox.said())["token"] for shop in shops]
        gate = gates(chain)["push"]
        lines = [await hang(site, "push", token, 1_000_000, b"{") for token in slow for _ in range(4)]
        await until(lambda: gate.reading == 20)
        assert gate.bytes <= 20
        await chain.shops["one"].customers.create(name="林芳")
        assert (await chain.shops["one"].sync()).problem is None
        assert (await send(site, "query", tokens["query"])).status_code == 200
        await until(lambda: at_rest(gate))
        for line in lines:
            line.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_given_up_halfway_frees_its_room(tmp_path: Path, kind: str):
    async with new_chain(tmp_path, **TIGHT) as chain, served(chain) as site:
        token = (await bearers(chain))[kind]
        gate = gates(chain)[kind]
        lines = [await hang(site, kind, token, 5_000, b"x" * 1_000) for _ in range(4)]
        await until(lambda: (gate.reading, gate.bytes) == (4, 4_000))
        for line in lines:
            line.close()
        await until(lambda: at_rest(gate))


async def test_one_tablet_has_few_requests_inside(tmp_path: Path):
    async with new_chain(tmp_path) as chain, served(chain) as site:
        tokens = await bearers(chain)
        lines = [await hang(site, "push", tokens["push"], 5_000, b"x") for _ in range(4)]
        await until(lambda: gates(chain)["push"].reading == 4)
        assert (await send(site, "push", tokens["push"])).status_code == 503
        assert (await send(site, "pull", tokens["pull"])).status_code == 200
        for line in lines:
            line.close()


async def test_bodies_hold_no_more_memory_than_they_may(tmp_path: Path):
    async with new_chain(tmp_path, bodies_bytes_max=100_000) as chain, served(chain) as site:
        tokens = await bearers(chain)
        gate = gates(chain)["push"]
        first = await hang(site, "push", tokens["push"], 90_000, b"x" * 80_000)
        await until(lambda: gate.bytes == 80_000)
        async with site.http(tokens["push"]) as http:
            refused = await http.post("/sync/v1/push", content=b"x" * 60_000)
        assert refused.status_code == 503
        assert gate.bytes == 80_000
        first.close()
        await until(lambda: at_rest(gate))


async def test_what_ends_while_it_waits_or_works_frees_its_room(tmp_path: Path):
    """A task that is cancelled anywhere, as at the end of a server."""
    async with new_chain(tmp_path, **TIGHT) as chain:
        tokens = await bearers(chain)
        gate = gates(chain)["push"]
        transport = httpx2.ASGITransport(chain.app)
        headers = {"authorization": f"Bearer {tokens['push']}"}
        async with httpx2.AsyncClient(transport=transport, base_url="http://hq", headers=headers) as http:
            async with chain.service.storage.writer():
                tasks = [
                    asyncio.create_task(http.post("/sync/v1/push", content=_push(chain, n))) for n in range(2)
                ]
                await until(lambda: (gate.working, gate.waiting) == (1, 1))
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                assert at_rest(gate)
            answer = await http.post("/sync/v1/push", content=_push(chain, 2))
            assert answer.status_code == 200


def _push(chain: Chain, n: int) -> bytes:
    change = chain.service.change("create", "customer", chain.new_id(), {"name": f"{n}"})
    asked = {"incarnation": f"{n:016}", "n": 1, "schema": change.schema}
    return orjson.dumps({**asked, "changes": [orjson.Fragment(encode(change))]})


@pytest.mark.parametrize("kind", ["push", "pull"])
async def test_a_tablet_that_finds_no_room_comes_again_and_loses_nothing(tmp_path: Path, kind: str):
    async with new_chain(tmp_path, **TIGHT) as chain:
        shop = await chain.tablet("one")
        await shop.sync()
        made = await shop.customers.create(name="林芳")
        async with busy(gates(chain)[kind]):
            report = await shop.sync()
            assert report.problem is not None
            assert (report.problem.code, report.problem.retryable) == ("busy", True)
            assert report.problem.detail["seconds"] >= 1
            assert (await shop.status()).pending == 1
            assert (await shop.status()).held == 0
            assert (await shop.customers.get(made.id)).name == "林芳"
        report = await shop.sync()
        assert (report.problem, report.applied, report.equal) == (None, 1, True)
        assert await chain.digests_equal(shop)
