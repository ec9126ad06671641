# ruff: noqa: E501 (queries)
"""Sockets and event streams: who is let in, how much they may do, when they end, and what they cost others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from regulars_server import devices
from regulars_server.graph.live.socket import MESSAGE_BYTES_MAX
from tests.support.chain import Chain, new_chain
from tests.support.graph import Tablet, caller
from tests.support.server import ServerProcess
from tests.support.sockets import PATIENCE_S, Served, Socket, events, served, told

ME = "{ me { name role } }"
CHANGES = "subscription ($after: String) { changes(after: $after) { cursor rows { kind id row { ... on Customer { name } } } } }"
TOKEN = "x-graphql-event-stream-token"


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path, lines_max=6, lines_per_token_max=4, line_operations_max=3) as made:
        yield made


@pytest.fixture
async def site(chain: Chain) -> AsyncIterator[Served]:
    async with served(chain) as made:
        yield made


async def asked(socket: Socket, query: str, **variables: Any) -> dict[str, Any]:
    await socket.subscribe(query, **variables)
    return await socket.hear()


# --- who is let in -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        {"authorization": "Bearer {}"},
        {"Authorization": "{}"},
        {"headers": {"Authorization": "Bearer {}"}},
    ],
)
async def test_a_token_comes_with_the_first_message(
    chain: Chain, site: Served, payload: dict[str, Any]
) -> None:
    token = (await caller(chain)).token
    filled = {
        k: v.format(token) if isinstance(v, str) else {n: t.format(token) for n, t in v.items()}
        for k, v in payload.items()
    }
    async with site.socket() as socket:
        await socket.say(type="connection_init", payload=filled)
        assert await socket.hear() == {"type": "connection_ack"}


async def test_a_token_may_come_with_the_handshake(chain: Chain, site: Served) -> None:
    headers = {"authorization": f"Bearer {(await caller(chain)).token}"}
    async with site.socket(additional_headers=headers) as socket:
        await socket.say(type="connection_init")
        assert await socket.hear() == {"type": "connection_ack"}


@pytest.mark.parametrize("payload", [None, {}, {"authorization": "Bearer x"}, {"authorization": 1}])
async def test_a_stranger_is_forbidden(site: Served, payload: object) -> None:
    async with site.socket() as socket:
        await socket.say(type="connection_init", payload=payload)
        assert await socket.closed() == 4403


async def test_whoever_says_nothing_is_not_waited_for(site: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regulars_server.graph.live.socket.INIT_S_MAX", 0.05)
    async with site.socket() as socket:
        assert await socket.closed() == 4408


async def test_the_protocol_is_kept_to_over_the_wire(chain: Chain, site: Served) -> None:
    token = (await caller(chain)).token
    async with site.socket() as socket:
        await socket.subscribe(ME)
        assert await socket.closed() == 4401
    async with site.socket(token) as socket:
        await socket.say(type="connection_init")
        assert await socket.closed() == 4429
    async with site.socket(token) as socket:
        await socket.line.send("no json")
        assert await socket.closed() == 4400
    async with site.socket(token) as socket:
        await socket.line.send(b'{"type":"ping"}')
        assert await socket.closed() == 4400
    async with site.socket(token) as socket:
        await socket.say(type="ping", payload={"n": 1})
        assert await socket.hear() == {"type": "pong", "payload": {"n": 1}}
        for _ in range(2):
            await socket.say(type="subscribe", id="1", payload={"query": CHANGES})
        assert await socket.closed() == 4409
    async with site.socket(token) as socket:
        await socket.say(type="ping", payload={"x": "x" * MESSAGE_BYTES_MAX})
        assert await socket.closed() == 1009


@pytest.mark.parametrize("offered", [["graphql-ws"], ["other", "graphql-ws"], None])
async def test_the_legacy_protocol_is_not_spoken(site: Served, offered: list[str] | None) -> None:
    subprotocols = [Subprotocol(name) for name in offered] if offered else None
    async with site.socket(subprotocols=subprotocols) as socket:
        assert await socket.closed() == 4406


async def test_pages_of_other_sites_open_no_socket(chain: Chain, site: Served) -> None:
    own = Origin(f"http://127.0.0.1:{site.port}")
    async with site.socket((await caller(chain)).token, origin=own):
        pass
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{site.port + 1}"):
        with pytest.raises(InvalidStatus) as refused:
            async with site.socket(origin=Origin(origin)):
                pass
        assert refused.value.response.status_code == 403


# --- operations ---------------------------------------------------------------------------------------------


async def test_queries_and_mutations_run_over_a_socket_too(chain: Chain, site: Served) -> None:
    admin = await caller(chain)
    async with site.socket(admin.token) as socket:
        said = await asked(socket, ME)
        assert (said["type"], said["payload"]["data"]["me"]["role"]) == ("next", "admin")
        assert said["payload"]["extensions"]["cost"]["actualQueryCost"] >= 0
        assert await socket.hear() == {"id": "1", "type": "complete"}
        create = 'mutation ($key: String!) { customerCreate(idempotencyKey: $key, input: {name: "林芳"}) { __typename } }'
        said = await asked(socket, create, key="k")
        assert said["payload"]["data"] == {"customerCreate": {"__typename": "CustomerSaved"}}
        assert (await socket.hear())["type"] == "complete"
        for query in (
            "{ nothing }",
            "{",
            "subscription { changes { cursor } deviceStatus { id } }",
            "{ me { " * 30,
        ):
            said = await asked(socket, query)
            assert said["type"] == "error", said
            assert said["payload"][0]["extensions"]["code"]


async def test_an_operation_that_was_stopped_is_told_of_no_more(chain: Chain, site: Served) -> None:
    admin = await caller(chain)
    async with site.socket(admin.token) as socket:
        await asked(socket, CHANGES)
        await socket.say(type="complete", id="1")
        await admin.customer("x")
        said = await asked(socket, ME)
        assert (said["id"], said["type"]) == ("2", "next")
        await socket.hear()
        await socket.say(type="subscribe", id="1", payload={"query": CHANGES})  # the id is free again
        assert (await socket.hear())["id"] == "1"


async def test_an_answer_that_is_too_large_is_not_sent(
    chain: Chain, site: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = await caller(chain)
    await admin.customer("x" * 50)
    query = f"{{ customers {{ nodes {{ {' '.join(f'n{n}: name' for n in range(90))} }} }} }}"
    object.__setattr__(chain.service.settings, "answer_bytes_max", 2_000)
    async with site.socket(admin.token) as socket:
        said = await asked(socket, query)
        assert (said["type"], said["payload"][0]["extensions"]["code"]) == ("error", "answer_too_large")
        assert (await asked(socket, ME))["type"] == "next"
    async with site.http(admin.token) as http, events(http, json={"query": query}) as stream:
        _, data = await told(stream)
        assert data["errors"][0]["extensions"]["code"] == "answer_too_large"
        assert await told(stream) == ("complete", None)


async def test_a_subscription_without_a_stream_says_what_it_needs(chain: Chain) -> None:
    assert await (await caller(chain)).code(CHANGES) == "stream_needed"


async def test_operations_and_lines_are_bounded(chain: Chain, site: Served) -> None:
    admin, other = await caller(chain), await caller(chain)
    async with site.socket(admin.token) as socket:
        for _ in range(3):
            assert (await asked(socket, CHANGES))["type"] == "next"
        said = await asked(socket, CHANGES)
        assert (said["type"], said["payload"][0]["extensions"]["code"]) == ("error", "streams_too_many")
        async with site.socket(admin.token), site.socket(admin.token), site.socket(admin.token):
            async with site.socket() as fifth:
                await fifth.say(type="connection_init", payload={"authorization": admin.token})
                assert await fifth.closed() == 1013
            async with site.socket(other.token), site.socket(other.token):
                with pytest.raises(InvalidStatus) as refused:
                    async with site.socket(other.token):
                        pass
                assert refused.value.response.status_code == 429
                async with site.http(other.token) as http:
                    accept = {"accept": "text/event-stream"}
                    assert (
                        await http.post("/graphql", json={"query": CHANGES}, headers=accept)
                    ).status_code == 429
                    assert (await http.put("/graphql")).status_code == 429
    async with site.socket(admin.token) as socket:
        assert (await asked(socket, ME))["type"] == "next"
    await gone(chain)


async def gone(chain: Chain, left: int = 0) -> None:
    """Wait until so many lines are open."""
    async with asyncio.timeout(PATIENCE_S):
        while len(chain.service.lines) > left:  # noqa: ASYNC110 (there is no event for it)
            await asyncio.sleep(0.01)


# --- the end of a right ---------------------------------------------------------------------------------


async def ended(site: Served, token: str, end: Any) -> None:
    """Every line of a token ends within a second of `end`, whatever it is."""
    async with (
        site.socket(token) as idle,
        site.socket(token) as busy,
        site.http(token) as http,
        events(http, json={"query": CHANGES}) as stream,
    ):
        assert (await asked(busy, CHANGES))["type"] == "next"
        await told(stream)
        await end()
        begun = asyncio.get_running_loop().time()
        assert await idle.closed() == 4403
        assert await busy.closed() == 4403
        async with asyncio.timeout(PATIENCE_S):
            async for _ in stream:
                pass
        assert asyncio.get_running_loop().time() - begun < 1.0


async def test_a_revoked_token_ends_its_lines_within_a_second(chain: Chain, site: Served) -> None:
    id, token = await chain.service.access.new_token("developer", "x", "admin", None, False)
    other = await caller(chain)
    async with site.socket(other.token) as stays:
        await ended(site, token, lambda: chain.service.access.revoke(id))
        assert (await asked(stays, ME))["type"] == "next"


async def test_a_right_that_another_process_ended_ends_within_a_second(chain: Chain, site: Served) -> None:
    id, token = await chain.service.access.new_token("developer", "x", "admin", None, False)

    async def elsewhere() -> None:
        from regulars_server.access.models import TokenRow

        async with chain.service.access._database.writer() as db:
            await TokenRow.filter(id=id).using_db(db).update(revoked_ms=chain.clock())

    await ended(site, token, elsewhere)


async def test_an_expired_token_and_one_rotated_out_end_their_lines(chain: Chain, site: Served) -> None:
    _, token = await chain.service.access.new_token(
        "developer", "x", "admin", None, False, expires_ms=chain.clock.ms + 3_600_000
    )

    async def expire() -> None:
        chain.clock.pass_(hours=2)

    await ended(site, token, expire)
    id, token = await chain.service.access.new_token("developer", "x", "admin", None, False)

    async def rotate() -> None:
        await chain.service.access.rotate(id, grace_ms=1_000)
        chain.clock.pass_(seconds=2)

    await ended(site, token, rotate)


async def test_a_deactivated_login_and_another_password_end_the_lines_of_its_sessions(
    chain: Chain, site: Served
) -> None:
    access = chain.service.access
    await access.add_login("amy", "correct horse", "admin")
    _, token = await access.login("amy", "correct horse")
    await ended(site, token, lambda: access.set_password("amy", "battery staple"))
    _, token = await access.login("amy", "battery staple")
    await ended(site, token, lambda: access.deactivate("amy"))


async def test_a_revoked_tablet_ends_its_lines(chain: Chain, site: Served) -> None:
    tablet = await Tablet(chain, await caller(chain)).pair("Nanjing Road")
    await ended(site, tablet.token, lambda: devices.revoke(chain.service, tablet.device))


async def test_lines_of_any_number_of_tokens_are_looked_at_with_few_statements(chain: Chain) -> None:
    bearers = [(await caller(chain)).token for _ in range(30)]
    statements: list[str] = []
    await chain.service.access.principals(bearers[:1])
    connection = chain.service.access._database._clients[0]._connection
    await connection.set_trace_callback(statements.append)
    found = await chain.service.access.principals([*bearers, "rgl_api_x"])
    await connection.set_trace_callback(None)
    assert set(found) == set(bearers)
    assert len(statements) <= 2


# --- the end of a server, and of a client -------------------------------------------------------------------


async def test_a_server_that_stops_says_so_to_everybody(chain: Chain) -> None:
    admin = await caller(chain)
    async with (
        served(chain) as site,
        site.socket(admin.token) as idle,
        site.socket(admin.token) as busy,
        site.http(admin.token) as http,
        events(http, json={"query": CHANGES}) as stream,
    ):
        await asked(busy, CHANGES)
        await told(stream)
        stopping = asyncio.create_task(site.stop())
        assert await idle.closed() == 1001
        assert await busy.closed() == 1001
        assert [event async for event in stream] in ([], [("complete", None)])
        await stopping


def test_a_killed_server_misses_nothing_for_whoever_comes_back(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data")
    server.start()
    token = str(server.run("token", "add", "x", "--role", "admin")["token"])

    async def listen(after: str | None, write: bool) -> tuple[str, list[str]]:
        site = Served(None, server.port, None)  # type: ignore[arg-type]
        async with site.socket(token) as socket, site.http(token) as http:
            said = await asked(socket, CHANGES, after=after)
            change = said["payload"]["data"]["changes"]
            if write:
                create = (
                    'mutation { customerCreate(idempotencyKey: "k", input: {name: "missed"}) { __typename } }'
                )
                assert (await http.post("/graphql", json={"query": create})).status_code == 200
                server.kill()
                assert await dropped(socket)
            return change["cursor"], [row["row"]["name"] for row in change["rows"]]

    cursor, rows = asyncio.run(listen(None, write=True))
    assert rows == []
    server.start()
    assert asyncio.run(listen(cursor, write=False))[1] == ["missed"]
    assert server.stop() == 0


async def dropped(socket: Socket) -> bool:
    """Whether the line breaks."""
    async with asyncio.timeout(PATIENCE_S):
        await socket.line.wait_closed()
    return True


async def test_a_client_that_takes_nothing_is_given_up_and_holds_up_nobody(
    chain: Chain, site: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regulars_server.graph.live.socket.SEND_S_MAX", 0.2)
    admin = await caller(chain)
    for n in range(40):
        await admin.customer(f"{n}", notes="x" * 1_900)
    much = f"{{ customers {{ nodes {{ {' '.join(f'n{n}: notes' for n in range(90))} }} }} }}"
    async with site.socket(admin.token) as quick, site.socket(admin.token) as slow:
        await asked(quick, CHANGES)
        slow.line.transport.pause_reading()
        for _ in range(3):
            await slow.subscribe(much)
        await gone(chain, 1)
        id = await admin.customer("x")
        said = await quick.hear()
        assert said["payload"]["data"]["changes"]["rows"][-1]["id"] == id
        slow.line.transport.abort()


async def test_who_is_gone_without_a_word_is_noticed(chain: Chain, site: Served) -> None:
    admin = await caller(chain)
    async with site.socket(admin.token) as socket:
        await asked(socket, CHANGES)
        socket.line.transport.abort()
        await gone(chain)


# --- one stream for all operations -----------------------------------------------------------------------


async def test_operations_share_a_reserved_stream(chain: Chain, site: Served) -> None:
    admin = await caller(chain)
    async with site.http(admin.token) as http:
        reserved = await http.put("/graphql")
        assert (reserved.status_code, len(reserved.text)) == (201, 32)
        token = {TOKEN: reserved.text}
        async with events(http, "GET", token) as stream:
            for id in ("a", "b"):
                body = {"query": CHANGES, "extensions": {"operationId": id}}
                answer = await http.post("/graphql", json=body, headers=token)
                assert (answer.status_code, answer.text) == (202, "")
                event, said = await told(stream)
                assert (event, said["id"], said["payload"]["data"]["changes"]["rows"]) == ("next", id, [])
            again = {"query": CHANGES, "extensions": {"operationId": "a"}}
            assert (await http.post("/graphql", json=again, headers=token)).status_code == 400
            assert (await http.delete("/graphql?operationId=a", headers=token)).status_code == 200
            await admin.customer("x")
            event, said = await told(stream)
            assert (event, said["id"]) == ("next", "b")
            body = {"query": ME, "extensions": {"operationId": "c"}}
            assert (await http.post("/graphql", json=body, headers=token)).status_code == 202
            assert (await told(stream))[1]["payload"]["data"]["me"]["role"] == "admin"
            assert await told(stream) == ("complete", {"id": "c"})
            for bad, status in (
                ({"query": ME}, 400),
                ({"query": "{ nothing }", "extensions": {"operationId": "d"}}, 400),
                ({"query": ME, "extensions": {"operationId": 1}}, 400),
            ):
                assert (await http.post("/graphql", json=bad, headers=token)).status_code == status
            second = await http.get("/graphql", headers={**token, "accept": "text/event-stream"})
            assert second.status_code == 409
        await gone(chain)
        late = await http.post("/graphql", json=body, headers=token)
        assert (late.status_code, late.json()["errors"][0]["extensions"]["code"]) == (404, "stream_unknown")


async def test_a_reservation_is_of_one_token_and_for_a_while(
    chain: Chain, site: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regulars_server.graph.live.streams.RESERVED_S_MAX", 0.2)
    admin, other = await caller(chain), await caller(chain)
    async with site.http(admin.token) as http, site.http(other.token) as stranger, site.http() as nobody:
        assert (await nobody.put("/graphql")).status_code == 401
        token = {TOKEN: (await http.put("/graphql")).text}
        body = {"query": ME, "extensions": {"operationId": "a"}}
        assert (await stranger.post("/graphql", json=body, headers=token)).status_code == 404
        assert (await stranger.delete("/graphql?operationId=a", headers=token)).status_code == 404
        async with events(nobody, "GET", params={"token": token[TOKEN]}) as stream:  # as an EventSource does
            assert (await http.post("/graphql", json=body, headers=token)).status_code == 202
            assert (await told(stream))[0] == "next"
        token = {TOKEN: (await http.put("/graphql")).text}
        await asyncio.sleep(0.3)
        late = await http.get("/graphql", headers={**token, "accept": "text/event-stream"})
        assert late.status_code == 404
