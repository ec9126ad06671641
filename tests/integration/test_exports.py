# ruff: noqa: E501 (queries)
"""Exports: all rows of a connection from one snapshot, for whoever asked, and for nobody else."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from regulars_server.app import DATABASE, working_of
from regulars_server.graph import exporting
from regulars_server.graph.operations import Operations
from regulars_server.works import DEAD_MS, TRIES_MAX, Stopped
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, caller

ABOUT = "__typename ... on ExportSaved { export { id state rows bytes url error { code message } } } ... on Error { code message path }"
START = f"mutation ($k: String!, $q: String!, $v: JSON) {{ done: exportStart(idempotencyKey: $k, input: {{ query: $q, variables: $v }}) {{ {ABOUT} }} }}"
CANCEL = f'mutation ($id: UUID!) {{ done: exportCancel(idempotencyKey: "c", id: $id) {{ {ABOUT} }} }}'
STATE = "query ($id: UUID!) { export(id: $id) { state rows bytes url error { code } } }"
ALL = "{ customers(orderBy: NAME_ASC) { nodes { id name tags homeUnit { name } } } }"
ERASE = (
    'mutation ($id: UUID!) { customerErase(idempotencyKey: "e", id: $id, reason: "asked") { __typename } }'
)


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


@pytest.fixture
async def branch(chain: Chain) -> Graph:
    return await caller(chain, "manager", "Nanjing Road")


async def start(who: Graph, query: str = ALL, key: str = "k", **variables: Any) -> str:
    done = (await who.ask(START, k=key, q=query, v=variables))["done"]
    assert done["__typename"] == "ExportSaved", done
    return str(done["export"]["id"])


async def work(chain: Chain) -> None:
    assert await working_of(Operations(chain.service)).once()


async def fetch(who: Graph, id: str, **headers: str) -> httpx2.Response:
    sent = {"authorization": f"Bearer {who.token}", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return await who.http.get(f"/works/{id}", headers=sent)


async def exported(chain: Chain, who: Graph, query: str = ALL, key: str = "k", **variables: Any) -> list[Any]:
    id = await start(who, query, key, **variables)
    await work(chain)
    state = (await who.ask(STATE, id=id))["export"]
    assert state["state"] == "COMPLETED", state
    answer = await fetch(who, id)
    assert answer.status_code == 200, answer.text
    lines = [orjson.loads(line) for line in answer.content.splitlines()]
    assert (state["rows"], int(state["bytes"])) == (len(lines), len(answer.content))
    return lines


async def test_every_row_is_a_line_and_those_out_of_reach_are_not(
    chain: Chain, branch: Graph, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exporting, "PAGE_ROWS", 3)
    office = await caller(chain, "admin")
    for i in range(8):
        await branch.customer(f"C{i}", tags=["vip"])
    await office.customer("Far", homeUnitId=chain.units["Orchard"])
    lines = await exported(chain, branch)
    assert [line["name"] for line in lines] == [f"C{i}" for i in range(8)]
    assert set(lines[0]) == {"id", "name", "tags", "homeUnit"}
    assert lines[0]["homeUnit"] == {"name": "Nanjing Road"}
    assert len(await exported(chain, office)) == 9
    edges = "query Some($tag: String!) { customers(where: { tags: { has: $tag } }) { edges { node { ...card } } } } fragment card on Customer { name }"
    found = await exported(chain, office, edges, "e", tag="vip")
    assert sorted(line["name"] for line in found) == [f"C{i}" for i in range(8)]


async def test_the_rows_below_a_row_follow_it_all_of_them(
    chain: Chain, branch: Graph, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exporting, "PAGE_ROWS", 2)
    monkeypatch.setattr(exporting, "PARENT_ROWS", 1)
    lin, wang = await branch.customer("林芳"), await branch.customer("王明")
    visits = [await branch.visit(lin, at=f"2026-11-2{i}T10:00:00Z") for i in range(5)]
    query = "{ customers(orderBy: ID_ASC) { nodes { name visits: interactions { nodes { id at } } } } }"
    lines = await exported(chain, branch, query)
    assert {line["name"] for line in lines if "name" in line} == {"林芳", "王明"}
    place = next(i for i, line in enumerate(lines) if line.get("name") == "林芳")
    below = lines[place + 1 : place + 6]
    assert [line["id"] for line in below] == visits[::-1]
    assert below[0] == {
        "id": visits[4], "at": "2026-11-24T10:00:00.000Z", "__parentId": lin, "__parentField": "visits",
    }  # fmt: skip
    assert len(lines) == 7
    assert wang not in str(lines)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ me { name } }", "export_query"),
        ("{ customers { nodes { id } } units { nodes { id } } }", "export_query"),
        ("{ customers(first: 3) { nodes { id } } }", "export_query"),
        ("{ customers { totalCount } }", "export_query"),
        (
            "{ customers { nodes { interactions { nodes { party { customer { interactions { nodes { id } } } } } } } } }",
            "export_query",
        ),
        (
            "{ customers { nodes { ...f } } } fragment f on Customer { interactions { nodes { id } } }",
            "export_query",
        ),
        ('mutation { identityScan(idempotencyKey: "k") { __typename } }', "export_query"),
        ("{ nothing }", "argument_invalid"),
        ("{", "argument_invalid"),
    ],
)
async def test_what_is_no_connection_is_refused_at_once(chain: Chain, branch: Graph, query: str, code: str):
    done = (await branch.ask(START, k="k", q=query, v=None))["done"]
    assert (done["__typename"], done["code"]) == ("Refusal", code)
    assert not await working_of(Operations(chain.service)).once()


async def test_a_file_is_fetched_from_any_byte_on(chain: Chain, branch: Graph):
    for i in range(20):
        await branch.customer(f"C{i}")
    id = await start(branch)
    assert (await fetch(branch, id)).status_code == 404
    await work(chain)
    whole = await fetch(branch, id)
    tag = whole.headers["etag"]
    assert whole.headers["accept-ranges"] == "bytes"
    rest = await fetch(branch, id, range="bytes=100-", if_range=tag)
    assert (rest.status_code, rest.content) == (206, whole.content[100:])
    assert rest.headers["content-range"] == f"bytes 100-{len(whole.content) - 1}/{len(whole.content)}"
    other = await fetch(branch, id, range="bytes=100-", if_range='"other"')
    assert (other.status_code, other.content) == (200, whole.content)
    assert (await fetch(branch, id, range=f"bytes={len(whole.content)}-")).status_code == 416


async def test_an_export_is_one_snapshot(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exporting, "PAGE_ROWS", 2)
    office = await caller(chain, "admin")
    for i in range(6):
        await office.customer(f"C{i}", homeUnitId=chain.units["Orchard"])
    operations = Operations(chain.service)
    context = await operations.context(await chain.service.access.principal(office.token), "en")
    plan = exporting.planned((await operations.valid(ALL, context.principal)).node, operations.schema)
    first = (await operations.read_page(plan.page, {exporting.AFTER: None}, context)).data
    assert first is not None
    async with asyncio.timeout(10):
        await chain.write(
            "create", "customer", chain.new_id(), {"name": "C00", "home_unit": chain.units["Orchard"]}
        )
    names = [node["name"] for node in first[exporting.ROOT]["nodes"]]
    while (info := first[exporting.ROOT]["pageInfo"])["hasNextPage"]:
        context.next_page(1_000)
        first = (await operations.read_page(plan.page, {exporting.AFTER: info["endCursor"]}, context)).data
        assert first is not None
        names += [node["name"] for node in first[exporting.ROOT]["nodes"]]
    await context.close()
    assert names == [f"C{i}" for i in range(6)]
    assert len(await exported(chain, office)) == 7


async def test_nobody_else_sees_it_and_who_lost_a_right_fetches_nothing(chain: Chain, branch: Graph):
    await branch.customer("林芳")
    id = await start(branch)
    await work(chain)
    other = await caller(chain, "admin", sensitive=True)
    assert (await other.ask(STATE, id=id))["export"] is None
    assert (await other.ask("{ exports { id } }"))["exports"] == []
    assert (await fetch(other, id)).status_code == 404
    assert [one["id"] for one in (await branch.ask("{ exports { id } }"))["exports"]] == [id]
    assert (await fetch(branch, id)).status_code == 200
    with closing(sqlite3.connect(chain.folder / DATABASE)) as database, database:
        database.execute(
            "UPDATE access_token SET units = ? WHERE label = 'manager'", (f'["{chain.units["Orchard"]}"]',)
        )
    chain.clock.pass_(minutes=1)
    refused = await fetch(branch, id)
    assert (refused.status_code, refused.json()["code"]) == (403, "rights_changed")
    principal = await chain.service.access.principal(branch.token)
    await chain.service.access.revoke(principal.token)
    assert (await fetch(branch, id)).status_code == 401


async def test_it_runs_with_the_rights_of_that_moment(chain: Chain, branch: Graph):
    await branch.customer("林芳")
    id, gone = await start(branch), await start(branch, key="2")
    with closing(sqlite3.connect(chain.folder / DATABASE)) as database, database:
        database.execute("UPDATE access_token SET units = ?", (f'["{chain.units["Orchard"]}"]',))
    chain.clock.pass_(minutes=1)
    await work(chain)
    assert (await branch.ask(STATE, id=id))["export"]["rows"] == 0
    principal = await chain.service.access.principal(branch.token)
    await chain.service.access.revoke(principal.token)
    await work(chain)
    row = await chain.service.works.get(gone, f"token {principal.token}")
    assert (row.state, row.code) == ("failed", "token_invalid")
    assert not chain.service.works.data(gone).exists()


async def test_who_loses_a_right_while_it_runs_gets_nothing(
    chain: Chain, branch: Graph, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exporting, "PAGE_ROWS", 1)
    for i in range(3):
        await branch.customer(f"C{i}")
    id = await start(branch)

    async def shrink() -> None:
        with closing(sqlite3.connect(chain.folder / DATABASE)) as database, database:
            database.execute("UPDATE access_token SET units = ?", (f'["{chain.units["Orchard"]}"]',))

    works = chain.service.works
    row = await works.take()
    assert row is not None
    run = exporting.Exporting(Operations(chain.service), works).run
    with pytest.raises(Exception, match="rights_changed"):
        await run(row, shrink)
    assert row.id == id


async def test_the_same_key_is_the_same_export(chain: Chain, branch: Graph):
    first = await branch.ask(START, k="k", q=ALL, v=None)
    await work(chain)
    assert await branch.ask(START, k="k", q=ALL, v=None) == first
    other = "{ units { nodes { id } } }"
    assert (await branch.ask(START, k="k", q=other, v=None))["done"]["code"] == "idempotency_reused"
    assert len((await branch.ask("{ exports { id } }"))["exports"]) == 1


async def test_a_canceled_export_is_not_done(chain: Chain, branch: Graph):
    id = await start(branch)
    assert (await branch.ask(CANCEL, id=id))["done"]["export"]["state"] == "CANCELED"
    assert not await working_of(Operations(chain.service)).once()
    other = await caller(chain, "manager", "Nanjing Road")
    assert (await other.ask(CANCEL, id=id))["done"]["code"] == "not_found"


async def test_one_that_was_cut_off_is_begun_anew_and_never_lost(chain: Chain, branch: Graph):
    await branch.customer("林芳")
    id = await start(branch)
    works = chain.service.works
    for tries in range(TRIES_MAX):
        row = await works.take()
        assert row is not None, tries
        assert await works.take() is None
        chain.clock.pass_(ms=DEAD_MS + 1)
    assert await works.take() is None
    state = (await branch.ask(STATE, id=id))["export"]
    assert (state["state"], state["error"]) == ("FAILED", {"code": "work_interrupted"})
    again = await start(branch, key="again")
    assert await works.take() is not None
    chain.clock.pass_(ms=DEAD_MS + 1)
    await work(chain)
    assert (await branch.ask(STATE, id=again))["export"]["state"] == "COMPLETED"


async def test_a_server_that_stops_puts_it_back(chain: Chain, branch: Graph):
    await branch.customer("林芳")
    id = await start(branch)
    begun = asyncio.Event()

    async def wait(*_: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    working = working_of(Operations(chain.service))
    working._runs = {"export": wait}
    doing = asyncio.create_task(working.run())
    await begun.wait()
    doing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doing
    assert (await branch.ask(STATE, id=id))["export"]["state"] == "QUEUED"
    await work(chain)
    assert (await branch.ask(STATE, id=id))["export"]["state"] == "COMPLETED"


async def test_an_erasure_voids_what_was_exported_before(chain: Chain, branch: Graph):
    office = await caller(chain, "admin")
    lin = await branch.customer("林芳")
    await branch.customer("王明")
    done, waiting = await start(branch), await start(branch, key="2")
    await work(chain)
    await office.ask(ERASE, id=lin)
    assert not list(chain.service.works.folder.glob("*.*"))
    state = (await branch.ask(STATE, id=done))["export"]
    assert (state["state"], state["url"], state["error"]) == ("VOIDED", None, {"code": "erased"})
    refused = await fetch(branch, done)
    assert (refused.status_code, refused.json()["code"]) == (410, "erased")
    await work(chain)
    answer = await fetch(branch, waiting)
    assert [orjson.loads(line)["name"] for line in answer.content.splitlines()] == ["王明"]


async def test_an_erasure_stops_an_export_that_is_under_way(
    chain: Chain, branch: Graph, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exporting, "PAGE_ROWS", 1)
    await branch.customer("林芳")
    await branch.customer("王明")
    id = await start(branch)
    works = chain.service.works
    row = await works.take()
    assert row is not None

    async def erased() -> None:
        await works.void(1)  # as another process does

    with pytest.raises(Stopped):
        await exporting.Exporting(Operations(chain.service), works).run(row, erased)
    assert (await branch.ask(STATE, id=id))["export"]["state"] == "VOIDED"


async def test_files_are_bounded_in_number_size_and_time(tmp_path: Path):
    async with new_chain(tmp_path, export_bytes_max=200) as chain:
        office = await caller(chain, "admin")
        for i in range(10):
            await office.customer(f"C{i}", homeUnitId=chain.units["Orchard"])
        large = await start(office)
        await work(chain)
        assert (await office.ask(STATE, id=large))["export"]["error"] == {"code": "export_too_large"}
        assert not list(chain.service.works.folder.glob("*.*"))
        small = await start(office, "{ units { nodes { name } } }", "s")
        await work(chain)
        for i in range(5):
            await start(office, key=f"n{i}")
        full = (await office.ask(START, k="n6", q=ALL, v=None))["done"]
        assert full["code"] == "works_full"
        assert (await fetch(office, small)).status_code == 200
        chain.clock.pass_(days=8)
        assert (await fetch(office, small)).status_code == 404
        await chain.service.works.tidy()
        assert (await office.ask(STATE, id=small))["export"]["state"] == "EXPIRED"
        assert not chain.service.works.data(small).exists()


async def test_a_tablet_exports_nothing(chain: Chain, branch: Graph):
    code = await chain.service.access.new_pairing_code(chain.units["Orchard"], "till")
    paired = await branch.http.post("/sync/v1/pair", json={"code": code, "name": "till", "schema": 1})
    branch.token = paired.json()["token"]
    assert (await branch.ask(START, k="k", q=ALL, v=None))["done"]["code"] == "not_allowed"
