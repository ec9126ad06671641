"""What stands between a tablet and its server: each thing that is no whole answer of it is being offline."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import msgspec
import pytest

from regulars import Shop
from regulars.transport import HttpTransport, ask, retry_after_s
from regulars_sync import coding
from regulars_sync.errors import Offline
from regulars_sync.protocol import Problem, PullAnswer, PullRequest
from tests.support.chain import Chain, new_chain
from tests.support.misbehaving import Asked, Behaviour, Misbehaving, answer, misbehaving, raw, silence
from tests.support.server import free_port

PAGE = msgspec.json.encode(
    PullAnswer(chain="c", epoch="e", now=1_795_300_000_000, cursor="x" * 3_000, acks={}, pages=[])
)
LOGIN = b"<html><form action=/login>Welcome to the mall</form></html>"
HTML = "text/html; charset=utf-8"
REQUEST = PullRequest(schema=1, acked={f"{n:016x}": 0 for n in range(100)})
"""Long enough to be worth a coding."""


async def pull(url: str, *, coded: bool = True, timeout_s: float = 5.0, deadline_s: float = 5.0) -> object:
    wire = HttpTransport(url, coded=coded, timeout_s=timeout_s, deadline_s=deadline_s)
    try:
        return await ask(wire, "/sync/v1/pull", REQUEST, "secret-token", PullAnswer)
    finally:
        await wire.close()


async def offline(behave: Behaviour, **times: float) -> Offline:
    async with misbehaving(behave) as server:
        with pytest.raises(Offline) as caught:
            await pull(server.url, **times)  # type: ignore[arg-type]
        return caught.value


def http(head: str, body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {head}\r\n\r\n".encode().replace(b"\n", b"\r\n").replace(b"\r\r", b"\r") + body


# --- others that answer ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behave",
    [
        answer(200, LOGIN, HTML),
        answer(200, LOGIN),
        answer(200, b"", HTML),
        answer(200, b'{"code": "login_required"}'),
        answer(200, b"[]"),
        answer(204, b"", "text/plain"),
        answer(302, LOGIN, HTML, location="http://portal.example/"),
        answer(307, b'{"code":"busy","message":"go there"}', location="http://portal.example/"),
        answer(511, LOGIN, HTML),
        answer(511, b'{"code": "device_wipe", "message": "not by its own status"}'),
        answer(401, b'{"code": "device_wipe", "message": "not by its own status"}'),
        answer(407, LOGIN, HTML, proxy_authenticate="Basic realm=x"),
        answer(502, LOGIN, HTML),
        answer(503, LOGIN, HTML),
        answer(500, b'{"message": "no healthy upstream"}'),
        answer(200, PAGE, "application/octet-stream"),
        raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
        raw(b""),
        raw(b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n{}"),
    ],
)
async def test_what_is_no_answer_of_a_server_is_being_offline(behave: Behaviour) -> None:
    error = await offline(behave)
    assert "seconds" not in error.detail


async def test_the_token_never_follows_a_redirect() -> None:
    async with misbehaving(answer(200, PAGE)) as portal:
        for status in (301, 302, 303, 307, 308):
            await offline(answer(status, b"{}", location=f"{portal.url}/sync/v1/pull"))
        assert portal.asked == []


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120),
        ({"retry-after": "Sun, 22 Nov 2026 12:05:00 GMT", "date": "Sun, 22 Nov 2026 12:00:00 GMT"}, 300),
        ({"retry-after": "Sun, 22 Nov 2026 12:05:00 GMT"}, 299),
        ({"retry-after": "Sun, 22 Nov 2026 11:05:00 GMT"}, 0),
        ({"retry-after": "9" * 400}, 999_999_999),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": "Sun, 99 Nov 2026 12:05:00 GMT"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_both_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, 1_795_348_801.0) == seconds


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("body", "media"), [(LOGIN, HTML), (b'{"message": "slow down"}', "application/json")]
)
async def test_a_proxy_that_asks_to_wait_is_heard(status: int, body: bytes, media: str) -> None:
    error = await offline(answer(status, body, media, retry_after="7"))
    assert error.detail == {"status": status, "seconds": 7.0}


async def test_a_servers_own_problem_stays_what_it_is() -> None:
    busy = Problem("busy", "The server is busy.", {"seconds": 9}, True)
    async with misbehaving(answer(503, msgspec.json.encode(busy), retry_after="9")) as server:
        assert await pull(server.url) == busy


# --- lines that die -------------------------------------------------------------------------------------


async def test_a_half_open_line_ends_after_its_silence() -> None:
    assert (await offline(silence, timeout_s=0.2)).detail == {"reason": "ReadTimeout"}


async def test_an_answer_that_trickles_ends_at_the_deadline() -> None:
    head = http(f"200 OK\ncontent-type: application/json\ncontent-length: {len(PAGE)}")
    trickle = raw(head, *(PAGE[at : at + 1] for at in range(len(PAGE))), pause_s=0.02)
    assert (await offline(trickle, timeout_s=1, deadline_s=0.5)).detail == {"reason": "deadline"}


async def test_headers_that_trickle_end_at_the_deadline() -> None:
    trickle = raw(b"HTTP/1.1 200 OK\r\n", *(b"x-y: z\r\n" for _ in range(1_000)), pause_s=0.02)
    assert (await offline(trickle, timeout_s=1, deadline_s=0.5)).detail == {"reason": "deadline"}


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("coded", [coding.ZSTD, coding.GZIP, coding.IDENTITY])
@pytest.mark.parametrize("framing", ["length", "chunks", "close"])
async def test_an_answer_cut_anywhere_is_no_answer(reset: bool, coded: str, framing: str) -> None:
    body = coding.encode(PAGE, coded)
    head = f"200 OK\ncontent-type: application/json\ncontent-encoding: {coded}"
    if framing == "length":
        whole = http(f"{head}\ncontent-length: {len(body)}", body)
    elif framing == "chunks":
        whole = http(f"{head}\ntransfer-encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
    else:
        whole = http(f"{head}\nconnection: close", body)
    cuts = sorted({*range(1, len(whole), max(1, len(whole) // 12)), len(whole) - 1})
    for cut in cuts:
        await offline(raw(whole[:cut], reset=reset))
    if framing == "close" and coded == coding.IDENTITY:
        assert (await offline(raw(whole))).detail["reason"] == "its end is not marked"
    else:
        async with misbehaving(raw(whole)) as server:
            assert isinstance(await pull(server.url), PullAnswer)


async def test_nobody_there_and_no_such_name_are_being_offline() -> None:
    for url in (f"http://127.0.0.1:{free_port()}", "http://no-such-host.invalid"):
        with pytest.raises(Offline) as caught:
            await pull(url)
        assert caught.value.detail == {"reason": "ConnectError"}


async def test_a_line_that_is_listened_into_is_being_offline() -> None:
    """Whoever shows a certificate that nobody vouches for is not the server, and hears nothing."""
    async with misbehaving(answer(200, PAGE), tls=True) as server:
        with pytest.raises(Offline) as caught:
            await pull(server.url)
        assert caught.value.detail == {"reason": "ConnectError"}
        assert server.asked == []


# --- codings --------------------------------------------------------------------------------------------


async def said(asked: Asked) -> PullRequest:
    body = coding.Incoming(asked.headers.get("content-encoding", ""), 1_000_000)
    body.feed(asked.body)
    return msgspec.json.decode(body.end(), type=PullRequest)


async def test_requests_worth_it_and_answers_are_coded() -> None:
    async with misbehaving(answer(200, coding.encode(PAGE, "zstd"), content_encoding="zstd")) as server:
        assert isinstance(await pull(server.url), PullAnswer)
        (asked,) = server.asked
        assert asked.headers["accept-encoding"] == "zstd, gzip"
        assert asked.headers["content-encoding"] == "zstd"
        assert len(asked.body) * 3 < len(msgspec.json.encode(REQUEST))
        assert await said(asked) == REQUEST
        wire = HttpTransport(server.url, coded=True)
        await wire.post("/sync/v1/wiped", b"{}", None)
        await wire.close()
        assert "content-encoding" not in server.asked[-1].headers


async def test_on_this_very_machine_nothing_is_coded() -> None:
    async with misbehaving(answer(200, PAGE)) as server:
        wire = HttpTransport(server.url)
        await wire.post("/sync/v1/pull", b" " * 5_000, None)
        await wire.close()
        assert server.asked[0].headers["accept-encoding"] == "identity"
        assert "content-encoding" not in server.asked[0].headers


UNKNOWN = answer(415, b'{"code": "encoding_unknown", "message": "Use gzip or none."}')


@pytest.mark.parametrize(
    "refusal",
    [UNKNOWN, answer(415, LOGIN, HTML), answer(400, b'{"code": "body_invalid", "message": "no JSON"}')],
)
async def test_who_refuses_a_coded_body_is_asked_again_plainly_and_that_is_remembered(
    refusal: Behaviour,
) -> None:
    async def old(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await (refusal if "content-encoding" in asked.headers else answer(200, PAGE))(asked, writer)

    async with misbehaving(old) as server:
        wire = HttpTransport(server.url, coded=True)
        for _ in range(2):
            assert isinstance(await ask(wire, "/sync/v1/pull", REQUEST, None, PullAnswer), PullAnswer)
        await wire.close()
        assert ["content-encoding" in asked.headers for asked in server.asked] == [True, False, False]


async def test_a_refusal_that_has_nothing_to_do_with_the_coding_changes_nothing() -> None:
    refusal = Problem("body_invalid", "The body is not the JSON expected here.")
    async with misbehaving(answer(400, msgspec.json.encode(refusal))) as server:
        wire = HttpTransport(server.url, coded=True)
        for _ in range(2):
            assert await ask(wire, "/sync/v1/pull", REQUEST, None, PullAnswer) == refusal
        await wire.close()
        assert ["content-encoding" in asked.headers for asked in server.asked] == [True, False] * 2


@pytest.mark.parametrize(
    "behave",
    [
        answer(200, coding.encode(PAGE, "zstd")),
        answer(200, gzip.compress(PAGE)),
        answer(200, PAGE, content_encoding="zstd"),
        answer(200, PAGE, content_encoding="gzip"),
        answer(200, coding.encode(PAGE, "zstd"), content_encoding="gzip"),
        answer(200, coding.encode(PAGE, "zstd") + b"\0", content_encoding="zstd"),
        answer(200, gzip.compress(PAGE) + b"x", content_encoding="gzip"),
        answer(200, PAGE, content_encoding="br"),
    ],
)
async def test_an_answer_whose_coding_was_tampered_with_is_asked_for_plainly_the_next_time(
    behave: Behaviour,
) -> None:
    async with misbehaving(behave) as server:
        wire = HttpTransport(server.url, coded=True)
        with pytest.raises(Offline, match="answer_invalid"):
            await ask(wire, "/sync/v1/pull", REQUEST, None, PullAnswer)
        server.behave = answer(200, PAGE)
        assert isinstance(await ask(wire, "/sync/v1/pull", REQUEST, None, PullAnswer), PullAnswer)
        await wire.close()
        assert [asked.headers["accept-encoding"] for asked in server.asked] == ["zstd, gzip", "identity"]


@pytest.mark.parametrize("coded", ["zstd", "gzip"])
async def test_an_answer_that_inflates_without_end_is_let_go(
    coded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regulars.transport.ANSWER_BYTES_MAX", 100_000)
    bomb = coding.encode(b"[" + b" " * 50_000_000, coded)
    error = await offline(answer(200, bomb, content_encoding=coded))
    assert error.detail["reason"] == "body_too_large"


# --- the whole tablet -----------------------------------------------------------------------------------


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


class Between:
    """A proxy in front of the real app that codes on the way what both ends agreed on."""

    def __init__(self, chain: Chain) -> None:
        self._http = httpx2.AsyncClient(transport=httpx2.ASGITransport(chain.app), base_url="http://hq")
        self.codings: list[tuple[str | None, str | None]] = []

    async def __call__(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        async with self._http.stream("POST", asked.path, headers=asked.headers, content=asked.body) as came:
            body = b"".join([part async for part in came.aiter_raw()])
        self.codings.append((asked.headers.get("content-encoding"), came.headers.get("content-encoding")))
        coded = {"content_encoding": came.headers["content-encoding"]} if self.codings[-1][1] else {}
        await answer(came.status_code, body, came.headers["content-type"], **coded)(asked, writer)


async def test_a_round_over_coded_bodies_brings_and_takes_the_same(chain: Chain, tmp_path: Path) -> None:
    between = Between(chain)
    async with (
        misbehaving(between) as server,
        Shop.open(tmp_path / "b.db", transport=lambda url: HttpTransport(url, coded=True)) as shop,
    ):
        code = await chain.service.access.new_pairing_code(chain.units["Nanjing Road"], "b", False)
        await shop.pair(server.url, code)
        for n in range(30):
            await shop.customers.create(name=f"林芳 {n}", notes="likes oak")
        report = await shop.sync()
        assert (report.pushed, report.equal) == (30, True)
        assert ("zstd", "zstd") in between.codings
        assert await chain.digests_equal(shop)


MOODS: dict[str, Behaviour] = {
    "portal": answer(200, LOGIN, HTML),
    "redirect": answer(302, b"", HTML, location="http://portal.example/"),
    "bad gateway": answer(502, LOGIN, HTML),
    "reset": raw(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n", reset=True),
    "half": raw(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{"chain'),
}


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("mood", MOODS)
async def test_whatever_stands_in_the_way_at_any_request_of_a_round_harms_nothing(
    chain: Chain, tmp_path: Path, mood: str, at: int
) -> None:
    between = Between(chain)
    async with (
        misbehaving(between) as server,
        Shop.open(tmp_path / "b.db", transport=lambda url: HttpTransport(url, coded=True)) as shop,
    ):
        code = await chain.service.access.new_pairing_code(chain.units["Nanjing Road"], "b", False)
        await shop.pair(server.url, code)
        await shop.sync()
        lin = await shop.customers.create(name="林芳")
        await faulty(server, between, MOODS[mood], at)
        report = await shop.sync()
        assert report.problem is not None
        assert (report.problem.retryable, report.equal) == (True, False)
        assert (await shop.customers.get(lin.id)).name == "林芳"
        server.behave = between
        assert (await shop.sync()).equal
        assert (await shop.status()).pending == 0
        assert await chain.digests_equal(shop)
    async with chain.service.storage.unscoped_reader() as reader:
        assert len(await reader.history("customer", lin.id)) == 1


async def faulty(server: Misbehaving, right: Behaviour, wrong: Behaviour, at: int) -> None:
    """From its request number `at` on the server behaves wrongly; what it was asked is done all the same."""
    count = 0

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        if count <= at:
            await right(asked, writer)
            return
        await right(asked, _Nowhere())  # type: ignore[arg-type]
        await wrong(asked, writer)

    server.behave = behave


class _Nowhere:
    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...
