# ruff: noqa: E501 (queries)
"""Imports over the API: an uploaded file, tried or taken in, in the background, for head office alone."""

from __future__ import annotations

import gzip
import sqlite3
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from zstandard import ZstdCompressor

from regulars_server.app import DATABASE, working_of
from regulars_server.graph import importing
from regulars_server.graph.operations import Operations
from regulars_server.working import Working
from regulars_server.works import DEAD_MS, Stopped
from regulars_sync.errors import Refused
from regulars_sync.ids import row_id
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, caller

ALL = "id state entity source dryRun lines linesDone created updated unchanged refused url error { code } problems { line externalId code field message }"
ABOUT = f"__typename ... on ImportSaved {{ import {{ {ALL} }} }} ... on Error {{ code path }}"
START = f"mutation ($k: String!, $u: UUID!, $e: EntityName!, $s: String!, $dry: Boolean!) {{ done: importStart(idempotencyKey: $k, input: {{ uploadId: $u, entity: $e, source: $s, dryRun: $dry }}) {{ {ABOUT} }} }}"
CANCEL = f'mutation ($id: UUID!) {{ done: importCancel(idempotencyKey: "c", id: $id) {{ {ABOUT} }} }}'
STATE = f"query ($id: UUID!) {{ import(id: $id) {{ {ALL} }} }}"
NAMES = "{ customers(orderBy: NAME_ASC) { nodes { name } } }"
ERASE = (
    'mutation ($id: UUID!) { customerErase(idempotencyKey: "e", id: $id, reason: "asked") { __typename } }'
)
FILE = (
    "external_id,name,phones,birth\nC-1,A,138 0013 8000,\nC-2,B,,never\nC-3,C,,\nC-3,D,,\nC-4,E,,1988-03-12\n"
)
COUNTS = ("created", "updated", "unchanged", "refused")


@pytest.fixture
async def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Chain]:
    monkeypatch.setattr(importing, "PART_ROWS", 2)
    async with new_chain(tmp_path) as made:
        yield made


@pytest.fixture
async def office(chain: Chain) -> Graph:
    return await caller(chain, "admin", sensitive=True)


def compressed(content: bytes) -> bytes:
    return ZstdCompressor().compress(content)


async def send(who: Graph, content: str | bytes = FILE, **headers: str) -> httpx2.Response:
    sent = {"authorization": f"Bearer {who.token}", **headers}
    return await who.http.post("/works/uploads", content=content, headers=sent)


async def upload(who: Graph, content: str = FILE) -> str:
    answer = await send(who, content)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def ask(
    who: Graph, upload: str, dry: bool = False, key: str = "k", entity: str = "CUSTOMER", source: str = "pos"
) -> dict[str, Any]:
    done: dict[str, Any] = (await who.ask(START, k=key, u=upload, e=entity, s=source, dry=dry))["done"]
    return done


async def start(who: Graph, upload: str, dry: bool = False, key: str = "k") -> str:
    done = await ask(who, upload, dry, key)
    assert done["__typename"] == "ImportSaved", done
    assert done["import"]["state"] == "QUEUED"
    return str(done["import"]["id"])


async def state(who: Graph, id: str, lang: str = "en") -> dict[str, Any]:
    answer = await who.send(STATE, {"accept-language": lang}, id=id)
    found: dict[str, Any] = answer["data"]["import"]
    return found


async def work(chain: Chain) -> None:
    assert await working_of(Operations(chain.service)).once()


async def imported(
    chain: Chain, who: Graph, upload: str, dry: bool = False, key: str = "k"
) -> dict[str, Any]:
    id = await start(who, upload, dry, key)
    await work(chain)
    return await state(who, id)


async def fetch(who: Graph, id: str, **headers: str) -> httpx2.Response:
    return await who.http.get(f"/works/{id}", headers={"authorization": f"Bearer {who.token}", **headers})


async def names(who: Graph) -> list[str]:
    return [node["name"] for node in (await who.ask(NAMES))["customers"]["nodes"]]


async def seq(chain: Chain) -> int:
    async with chain.service.storage.unscoped_reader() as reader:
        return (await reader.head()).seq


async def test_a_dry_run_writes_nothing_and_tells_what_the_run_then_does(chain: Chain, office: Graph):
    before = await upload(office, "external_id,name\nC-1,A\nC-4,Old\n")
    assert (await imported(chain, office, before, key="0"))["created"] == 2
    file, at = await upload(office), await seq(chain)
    tried = await imported(chain, office, file, dry=True)
    assert await seq(chain) == at
    assert await names(office) == ["A", "Old"]
    done = await imported(chain, office, file, key="2")
    same = ("state", "lines", "linesDone", "problems", *COUNTS)
    assert [tried[name] for name in same] == [done[name] for name in same]
    assert (tried["dryRun"], done["dryRun"]) == (True, False)
    assert [done[name] for name in COUNTS] == [1, 2, 0, 2]
    assert (done["state"], done["lines"], done["linesDone"]) == ("COMPLETED", 5, 5)
    assert [(p["line"], p["externalId"], p["field"]) for p in done["problems"]] == [
        (3, "C-2", "birth"),
        (5, "C-3", None),
    ]
    assert await names(office) == ["A", "C", "E"]
    for id in (tried["id"], done["id"]):
        answer = await fetch(office, id)
        lines = [orjson.loads(line) for line in answer.content.splitlines()]
        assert [line["line"] for line in lines] == [3, 5]
        assert [line["message"] for line in lines] == [p["message"] for p in done["problems"]]
    whole, rest = await fetch(office, done["id"]), await fetch(office, done["id"], range="bytes=10-")
    assert (rest.status_code, rest.content) == (206, whole.content[10:])


async def test_the_same_file_again_changes_nothing_and_speaks_the_callers_language(
    chain: Chain, office: Graph
):
    first = await imported(chain, office, await upload(office))
    at = await seq(chain)
    again = await imported(chain, office, await upload(office), key="2")
    assert [again[name] for name in COUNTS] == [0, 0, 3, 2]
    assert await seq(chain) == at
    zh = await state(office, first["id"], "zh")
    assert zh["problems"][0]["code"] == first["problems"][0]["code"]
    assert zh["problems"][0]["message"] != first["problems"][0]["message"]


async def test_the_file_goes_once_it_is_taken_in_and_stays_after_a_dry_run(chain: Chain, office: Graph):
    file, works = await upload(office), chain.service.works
    await imported(chain, office, file, dry=True)
    assert works.data(file).exists()
    assert (await fetch(office, file)).status_code == 404
    done = await imported(chain, office, file, key="2")
    assert not works.data(file).exists()
    assert (await ask(office, file, key="3"))["code"] == "not_found"
    chain.clock.pass_(days=8)
    await works.tidy()
    assert (await state(office, done["id"]))["state"] == "EXPIRED"
    assert not list(works.folder.glob("*.*"))


async def test_a_file_of_another_kind_fails_as_a_whole(chain: Chain, office: Graph):
    for key, text, code in (
        ("1", "external_id,colour\nC-1,red\n", "column_unknown"),
        ("2", "name\nA\n", "fields_missing"),
        ("3", "", "file_foreign"),
    ):
        found = await imported(chain, office, await upload(office, text), key=key)
        assert (found["state"], found["error"], found["url"]) == ("FAILED", {"code": code}, None)
    assert await names(office) == []


async def test_what_can_not_be_imported_is_refused_at_once(chain: Chain, office: Graph):
    file = await upload(office)
    assert (await ask(office, file, entity="DEVICE"))["code"] == "entity_unknown"
    assert (await ask(office, file, source="p/s"))["code"] == "argument_invalid"
    assert (await ask(office, chain.new_id()))["code"] == "not_found"
    other = await caller(chain, "admin", sensitive=True)
    assert (await ask(other, file))["code"] == "not_found"
    id = await start(office, file)
    assert await state(other, id) is None
    assert (await other.ask("{ imports { id } }"))["imports"] == []
    assert (await other.ask(CANCEL, id=id))["done"]["code"] == "not_found"


async def test_only_who_may_read_all_of_it_imports_it(chain: Chain, office: Graph):
    plain = await caller(chain, "admin")
    assert (await ask(plain, await upload(plain)))["code"] == "not_allowed"
    done = await ask(plain, await upload(plain, "external_id,name\nP-1,Sofa\n"), entity="PRODUCT")
    assert done["__typename"] == "ImportSaved"
    manager = await caller(chain, "manager", "Nanjing Road", sensitive=True)
    refused = await send(manager)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")


async def test_what_another_system_says_of_customers_in_schemes_is_imported_too(chain: Chain, office: Graph):
    await imported(chain, office, await upload(office), key="1")
    lines = (
        b'{"customer": "C-1", "scheme": "tier", "value": "gold", "check_by": "2027-05-03"}',
        b'{"customer": "C-1", "scheme": "motive", "value": ["new", "cheap"]}',
        b'{"customer": "C-9", "scheme": "tier", "value": "gold"}',
        b'{"customer": "C-4", "scheme": "motive", "value": 3}',
    )
    file = await upload(office, b"\n".join(lines).decode())
    plain = await caller(chain, "admin")
    assert (await ask(plain, await upload(plain), entity="ASSIGNMENT"))["code"] == "not_allowed"
    done = await ask(office, file, key="2", entity="ASSIGNMENT")
    await work(chain)
    found = await state(office, done["import"]["id"])
    assert (found["state"], [found[name] for name in COUNTS]) == ("COMPLETED", [2, 0, 0, 2])
    told = [(p["line"], p["externalId"], p["code"], p["field"]) for p in found["problems"]]
    assert told == [(3, "C-9", "not_found", "customer"), (4, "C-4", "value_type", "value")]
    asked = 'query ($id: UUID!) { customer(id: $id) { standings(schemes: ["motive", "tier"]) { scheme { key } values { key } origin } } }'
    standings = (await office.ask(asked, id=row_id("pos", "customer", "C-1")))["customer"]["standings"]
    stands = {s["scheme"]["key"]: ({v["key"] for v in s["values"]}, s["origin"]) for s in standings}
    assert stands == {"motive": ({"new", "cheap"}, "IMPORT"), "tier": ({"gold"}, "IMPORT")}


async def test_who_loses_the_right_imports_no_further(chain: Chain, office: Graph):
    works = chain.service.works
    ids = [await start(office, await upload(office), key=key) for key in ("1", "2")]
    row = await works.take()
    assert row is not None

    async def shrink() -> None:
        with closing(sqlite3.connect(chain.folder / DATABASE)) as database, database:
            database.execute("UPDATE access_token SET units = ?", (f'["{chain.units["Orchard"]}"]',))

    with pytest.raises(Exception, match=r"not_allowed|rights_changed"):
        await importing.Importing(Operations(chain.service), works).run(row, shrink)
    chain.clock.pass_(minutes=1)
    await work(chain)
    await work(chain)
    for id in ids:
        ended = await works.get(id, row.owner)
        assert (ended.state, ended.code) == ("failed", "not_allowed")
    async with chain.service.storage.unscoped_reader() as reader:
        found = await reader.find("customer", [row_id("pos", "customer", f"C-{i}") for i in (1, 4)])
    assert list(found) == [row_id("pos", "customer", "C-1")]


async def test_one_that_fails_halfway_keeps_what_it_told_of_lines_until_it_expires_or_somebody_is_erased(
    chain: Chain, office: Graph, monkeypatch: pytest.MonkeyPatch
):
    lin = await office.customer("林芳", homeUnitId=chain.units["Orchard"])
    works = chain.service.works

    async def breaks() -> None:
        raise Refused("works_full", seconds=60)

    async def failed(key: str) -> dict[str, Any]:
        id = await start(office, await upload(office), key=key)
        run = importing.Importing(Operations(chain.service), works).run
        assert await Working(works, {"import": lambda row, _: run(row, breaks)}).once()
        await works.tidy()
        return await state(office, id)

    one = await failed("1")
    assert (one["state"], one["error"], one["linesDone"]) == ("FAILED", {"code": "works_full"}, 2)
    assert [problem["externalId"] for problem in one["problems"]] == ["C-2"]
    answer = await fetch(office, one["id"])
    assert answer.status_code == 200
    assert [orjson.loads(line)["externalId"] for line in answer.content.splitlines()] == ["C-2"]
    assert (await fetch(await caller(chain, "admin", sensitive=True), one["id"])).status_code == 404
    chain.clock.pass_(days=8)
    assert (await fetch(office, one["id"])).json()["code"] == "works_full"
    await works.tidy()
    assert not list(works.folder.glob("*.*"))
    other = await failed("2")
    await office.ask(ERASE, id=lin)
    assert not list(works.folder.glob("*.*"))
    assert (await state(office, other["id"]))["state"] == "VOIDED"


async def test_one_that_was_cut_off_is_begun_anew(chain: Chain, office: Graph):
    id = await start(office, await upload(office))
    works = chain.service.works
    row = await works.take()
    assert row is not None

    async def dies() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await importing.Importing(Operations(chain.service), works).run(row, dies)
    assert (await state(office, id))["state"] == "RUNNING"
    chain.clock.pass_(ms=DEAD_MS + 1)
    await work(chain)
    found = await state(office, id)
    assert (found["state"], [found[name] for name in COUNTS]) == ("COMPLETED", [2, 0, 1, 2])
    assert await names(office) == ["A", "C", "E"]


async def test_a_canceled_import_goes_no_further(chain: Chain, office: Graph):
    works = chain.service.works
    id = await start(office, await upload(office))
    row = await works.take()
    assert row is not None

    async def canceled() -> None:
        assert (await office.ask(CANCEL, id=id))["done"]["import"]["state"] == "CANCELED"

    with pytest.raises(Stopped):
        await importing.Importing(Operations(chain.service), works).run(row, canceled)
    assert "E" not in await names(office)
    assert not works.report(id).exists()


async def test_the_same_key_is_the_same_import(chain: Chain, office: Graph):
    file = await upload(office)
    first = await ask(office, file)
    await work(chain)
    assert await ask(office, file) == first
    assert (await ask(office, file, dry=True))["code"] == "idempotency_reused"
    assert len((await office.ask("{ imports { id } }"))["imports"]) == 1


async def test_an_erasure_voids_uploads_and_what_imports_told(chain: Chain, office: Graph):
    lin = await office.customer("林芳", homeUnitId=chain.units["Orchard"])
    file = await upload(office)
    tried = await imported(chain, office, file, dry=True)
    waiting = await start(office, file, key="2")
    await office.ask(ERASE, id=lin)
    assert not list(chain.service.works.folder.glob("*.*"))
    for id in (tried["id"], waiting):
        found = await state(office, id)
        assert (found["state"], found["problems"], found["error"]) == ("VOIDED", [], {"code": "erased"})
    assert (await fetch(office, tried["id"])).status_code == 410
    assert (await ask(office, file, key="3"))["code"] == "erased"
    assert not await working_of(Operations(chain.service)).once()


async def test_an_erasure_meets_an_upload_under_way(chain: Chain):
    works = chain.service.works

    async def chunks() -> AsyncIterator[bytes]:
        yield b"external_id,name\n"
        await works.void(1)
        yield b"C-1,A\n"

    with pytest.raises(Exception, match="work_interrupted"):
        await works.receive(chain.new_id(), "login amy", "", 0, chunks())
    assert not list(works.folder.glob("*.*"))


async def test_uploads_are_bounded_and_one_that_stops_leaves_nothing(tmp_path: Path):
    async with new_chain(tmp_path, upload_bytes_max=100) as chain:
        office = await caller(chain, "admin", sensitive=True)
        refused = await send(office, "x" * 101)
        assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
        for encoding, small in (("gzip", gzip.compress(b"x" * 101)), ("zstd", compressed(b"x" * 101))):
            refused = await send(office, small, **{"content-encoding": encoding})
            assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
        works = chain.service.works
        assert not list(works.folder.glob("*.*"))
        await upload(office, "x" * 100)
        assert await works.room() == chain.service.settings.works_bytes_max - 100

        async def stalls() -> AsyncIterator[bytes]:
            yield b"x"
            chain.clock.pass_(ms=DEAD_MS + 1)
            assert await works.take() is None
            yield b"y"

        with pytest.raises(Exception, match="work_interrupted"):
            await works.receive(chain.new_id(), "login amy", "", 0, stalls())


async def test_a_file_of_too_many_lines_is_not_begun(
    chain: Chain, office: Graph, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(importing, "LINES_MAX", 4)
    found = await imported(chain, office, await upload(office))
    assert (found["state"], found["error"]) == ("FAILED", {"code": "import_too_large"})
    assert await names(office) == []


async def test_json_lines_are_taken_like_cells(chain: Chain, office: Graph):
    lines = [
        {"external_id": "C-1", "name": "A", "phones": ["138 0013 8000"], "birth": {"month": 3, "day": 12}},
        {"external_id": "C-2", "name": "B", "birth": "never"},
        {"external_id": 3, "name": "C", "tags": "vip;oak", "notes": None},
        {"external_id": "C-4", "colour": "red"},
    ]
    text = "".join(f"{orjson.dumps(line).decode()}\n" for line in lines) + "[1]\n{"
    done = await imported(chain, office, await upload(office, text))
    assert (done["state"], [done[name] for name in COUNTS]) == ("COMPLETED", [2, 0, 0, 4])
    assert [(p["line"], p["externalId"], p["code"]) for p in done["problems"]] == [
        (2, "C-2", "cell_invalid"), (4, None, "column_unknown"),
        (5, None, "cell_invalid"), (6, None, "cell_invalid"),
    ]  # fmt: skip
    same = "external_id,name,phones,birth,tags\nC-1,A,138 0013 8000,03-12,\n3,C,,,vip;oak\n"
    again = await imported(chain, office, await upload(office, same), key="2")
    assert [again[name] for name in COUNTS] == [0, 0, 2, 0]


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_an_upload_may_come_in_a_coding(chain: Chain, office: Graph, encoding: str):
    encode = gzip.compress if encoding == "gzip" else compressed
    answer = await send(office, encode(FILE.encode()), **{"content-encoding": encoding})
    assert answer.json()["bytes"] == len(FILE)
    assert chain.service.works.data(answer.json()["id"]).read_text() == FILE
    for body in (encode(FILE.encode())[:-1], encode(FILE.encode()) + b"x", b"not that"):
        refused = await send(office, body, **{"content-encoding": encoding})
        assert (refused.status_code, refused.json()["code"]) == (400, "body_invalid")
    assert (await send(office, **{"content-encoding": "br"})).json()["code"] == "encoding_unknown"


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_a_bomb_fills_neither_memory_nor_disk(tmp_path: Path, encoding: str):
    """A small body that stands for 256 MB, where uploads may have 32."""
    plain = bytes(256 << 20)
    bomb = gzip.compress(plain, 1) if encoding == "gzip" else compressed(plain)
    del plain
    async with new_chain(tmp_path, upload_bytes_max=32 << 20) as chain:
        office = await caller(chain, "admin", sensitive=True)
        tracemalloc.start()
        try:
            refused = await send(office, bomb, **{"content-encoding": encoding})
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
        assert most < 16 << 20
        assert not list(chain.service.works.folder.glob("*.*"))
