# ruff: noqa: E501 (queries)
"""Bulk mutations: a result for each row in its order, one policy for all, one read and one write."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from regulars_schema.entities import REGISTRY
from regulars_server import identities
from regulars_server.graph.bulk import BULK_ROWS_MAX
from regulars_server.storage.sqlite import SqliteStorage
from regulars_server.storage.sqlite.connection import InlineConnection
from regulars_sync.errors import Refused
from tests.support.chain import Chain, new_chain, seeded
from tests.support.graph import Graph, caller

NOBODY = "01a20038-0101-7724-a4c3-597164c48aff"
ROWS = "__typename ... on Error { code path message } ... on CustomersSaved { written results { __typename ... on CustomerSaved { customer { id name notes tags } } ... on VersionConflict { present { id version } } ... on Error { code path message } } }"
CREATE = f"mutation ($k: String!, $rows: [CustomerInput!]!, $on: BulkErrorPolicy!) {{ done: customersCreate(idempotencyKey: $k, inputs: $rows, onError: $on) {{ {ROWS} }} }}"
UPDATE = f"mutation ($k: String!, $rows: [CustomerUpdateInput!]!, $on: BulkErrorPolicy!) {{ done: customersUpdate(idempotencyKey: $k, updates: $rows, onError: $on) {{ {ROWS} }} }}"
TAG = f"mutation ($k: String!, $ids: [UUID!]!, $tags: [String!]!) {{ done: customersTag(idempotencyKey: $k, ids: $ids, tags: $tags) {{ {ROWS} }} }}"
RECORD = "mutation ($k: String!, $rows: [InteractionInput!]!, $on: BulkErrorPolicy!) { done: interactionsRecord(idempotencyKey: $k, inputs: $rows, onError: $on) { ... on InteractionsSaved { written results { __typename ... on InteractionSaved { interaction { id } } ... on Error { code path } } } ... on Error { code } } }"
EVERYTHING, FAILED = "REJECT_EVERYTHING", "REJECT_FAILED_ROWS"


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


@pytest.fixture
async def branch(chain: Chain) -> Graph:
    return await caller(chain, "manager", "Nanjing Road")


async def seq(chain: Chain) -> int:
    async with chain.service.storage.unscoped_reader() as reader:
        return (await reader.head()).seq


def codes(done: dict[str, Any]) -> list[str | None]:
    return [result.get("code") for result in done["results"]]


MIXED = [
    {"name": "林芳", "phones": ["138 0013 8000"]},
    {"name": " "},
    {"name": "王明", "ownerId": NOBODY},
    {"name": "陈静", "tags": ["vip"]},
    {"name": "何", "tags": [""]},
]


async def test_only_the_failed_rows_are_refused(chain: Chain, branch: Graph):
    done = (await branch.ask(CREATE, k="k", rows=MIXED, on=FAILED))["done"]
    assert codes(done) == [None, "text_empty", "not_found", None, "text_empty"]
    assert [result.get("path") for result in done["results"]] == [None, "name", "owner", None, "tags"]
    assert done["written"] == 2
    assert [done["results"][place]["customer"]["name"] for place in (0, 3)] == ["林芳", "陈静"]
    at = await seq(chain)
    assert (await branch.ask(CREATE, k="k", rows=MIXED, on=FAILED))["done"] == done
    assert await seq(chain) == at
    got = await branch.ask("{ customers(orderBy: NAME_ASC) { nodes { name } } }")
    assert [node["name"] for node in got["customers"]["nodes"]] == ["陈静", "林芳"]


async def test_everything_is_refused_with_what_is_wrong_with_each_row(chain: Chain, branch: Graph):
    at = await seq(chain)
    done = (await branch.ask(CREATE, k="k", rows=MIXED, on=EVERYTHING))["done"]
    assert codes(done) == ["bulk_rejected", "text_empty", "not_found", "bulk_rejected", "text_empty"]
    assert (done["written"], await seq(chain)) == (0, at)
    mended = [MIXED[0], MIXED[3]]
    done = (await branch.ask(CREATE, k="k", rows=mended, on=EVERYTHING))["done"]
    assert (done["written"], codes(done)) == (2, [None, None])


async def test_a_row_that_admission_refuses_undoes_the_others_too(chain: Chain, branch: Graph):
    at = await seq(chain)
    rows = [
        {"name": "林芳"},
        {"name": "王明", "birth": {"month": 13, "day": 1}},
        {"name": "陈", "phones": ["me"]},
    ]
    done = (await branch.ask(CREATE, k="k", rows=rows, on=EVERYTHING))["done"]
    assert codes(done) == ["bulk_rejected", "value_range", "phone_invalid"]
    assert await seq(chain) == at
    done = (await branch.ask(CREATE, k="k", rows=rows, on=FAILED))["done"]
    assert codes(done) == [None, "value_range", "phone_invalid"]


async def test_each_row_of_an_update_has_its_own_version(chain: Chain, branch: Graph):
    ids = [await branch.customer(name) for name in ("林芳", "王明", "陈静")]
    versions = [
        (await branch.ask("query ($id: UUID!) { customer(id: $id) { version } }", id=id))["customer"][
            "version"
        ]
        for id in ids
    ]
    await branch.ask(TAG, k="t", ids=[ids[1]], tags=["vip"])
    rows = [
        {"id": id, "set": {"notes": f"note {place}"}, "expectedVersion": version}
        for place, (id, version) in enumerate(zip(ids, versions, strict=True))
    ]
    at = await seq(chain)
    done = (await branch.ask(UPDATE, k="k", rows=rows, on=EVERYTHING))["done"]
    assert codes(done) == ["bulk_rejected", "version_conflict", "bulk_rejected"]
    conflict = done["results"][1]
    assert conflict["present"]["id"] == ids[1]
    assert conflict["present"]["version"] != versions[1]
    assert await seq(chain) == at
    done = (await branch.ask(UPDATE, k="k", rows=rows, on=FAILED))["done"]
    assert (codes(done), done["written"]) == ([None, "version_conflict", None], 2)
    assert [done["results"][place]["customer"]["notes"] for place in (0, 2)] == ["note 0", "note 2"]


async def test_what_is_out_of_reach_and_what_stands_twice_is_refused_by_itself(chain: Chain, branch: Graph):
    lin = await branch.customer("林芳")
    far = await (await caller(chain, "clerk", "Orchard")).customer("陈")
    rows = [{"id": id, "set": {"notes": "x"}} for id in (lin, far, NOBODY, lin)]
    rows.append({"id": lin, "set": {}})
    done = (await branch.ask(UPDATE, k="k", rows=rows, on=FAILED))["done"]
    assert codes(done) == [None, "not_found", "not_found", "row_twice", "row_twice"]
    assert done["results"][1] == done["results"][2]
    got = await branch.ask("query ($id: UUID!) { customer(id: $id) { notes contested { path } } }", id=lin)
    assert got["customer"] == {"notes": "x", "contested": []}


async def test_tags_archive_and_facts_in_bulk(chain: Chain, branch: Graph):
    ids = [await branch.customer(name) for name in ("林芳", "王明")]
    tagged = (await branch.ask(TAG, k="t", ids=ids, tags=["vip", "oak"]))["done"]
    assert [result["customer"]["tags"] for result in tagged["results"]] == [["oak", "vip"]] * 2
    for name, more, wanted in (
        ("customersUntag", ', tags: ["vip"]', {"tags": ["oak"], "archived": None}),
        ("customersArchive", "", {"tags": ["oak"], "archived": True}),
        ("customersReturn", "", {"tags": ["oak"], "archived": False}),
    ):
        query = f'mutation ($ids: [UUID!]!) {{ done: {name}(idempotencyKey: "{name}", ids: $ids{more}) {{ ... on CustomersSaved {{ results {{ ... on CustomerSaved {{ customer {{ tags archived }} }} }} }} }} }}'
        done = (await branch.ask(query, ids=ids))["done"]
        assert [result["customer"] for result in done["results"]] == [wanted] * 2
    visit = {"kind": "VISIT", "at": "2026-11-20T10:00:00Z"}
    rows = [{**visit, "party": [{"customerId": id}]} for id in (*ids, NOBODY)]
    recorded = (await branch.ask(RECORD, k="r", rows=rows, on=FAILED))["done"]
    assert (recorded["written"], codes(recorded)) == (2, [None, None, "not_found"])


async def test_too_many_rows_are_refused_whole_and_none_is_none(branch: Graph):
    done = (await branch.ask(TAG, k="t", ids=[NOBODY] * (BULK_ROWS_MAX + 1), tags=["a"]))["done"]
    assert (done["__typename"], done["code"]) == ("Refusal", "query_too_large")
    assert (await branch.ask(TAG, k="t", ids=[], tags=["a"]))["done"]["results"] == []


async def test_after_a_failed_disk_the_same_key_goes_on(
    chain: Chain, branch: Graph, monkeypatch: pytest.MonkeyPatch
):
    async def full(*_: Any, **__: Any) -> Any:
        raise Refused("storage_full")

    with monkeypatch.context() as patched:
        patched.setattr(type(chain.service.admission), "_commit", full)
        done = (await branch.ask(CREATE, k="k", rows=MIXED, on=FAILED))["done"]
    assert done["code"] == "storage_full"
    done = (await branch.ask(CREATE, k="k", rows=MIXED, on=FAILED))["done"]
    assert done["written"] == 2


async def test_a_bulk_and_a_single_mutation_have_one_key_together(branch: Graph):
    await branch.ask(CREATE, k="k", rows=[{"name": "林芳"}], on=FAILED)
    done = await branch.ask(
        'mutation { done: customerCreate(idempotencyKey: "k", input: { name: "林芳" }) { ... on Error { code } } }'
    )
    assert done["done"]["code"] == "idempotency_reused"


async def test_what_was_written_in_bulk_reaches_a_tablet_as_any_other(chain: Chain, branch: Graph):
    shop = await chain.tablet("one")
    await branch.ask(CREATE, k="k", rows=[{"name": f"C{i}"} for i in range(20)], on=EVERYTHING)
    assert (await shop.sync()).equal
    assert len(await shop.customers.list()) == 20


class Tally:
    """Counts statements under what is being done; the connection it stands before tells it."""

    def __init__(self) -> None:
        self.doing = ""
        self.counts: Counter[str] = Counter()

    async def connect(self, opener: Callable[[], sqlite3.Connection]) -> InlineConnection:
        return InlineConnection(Counting(opener(), self))  # type: ignore[arg-type]


class Counting:
    def __init__(self, connection: sqlite3.Connection, tally: Tally) -> None:
        self._connection, self._tally = connection, tally

    def execute(self, *given: Any) -> Any:
        self._tally.counts[self._tally.doing] += 1
        return self._connection.execute(*given)

    def executemany(self, *given: Any) -> Any:
        self._tally.counts[self._tally.doing] += 1
        return self._connection.executemany(*given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


async def counted(folder: Path, rows: int) -> Counter[str]:
    tally = Tally()
    storage = SqliteStorage(folder / "chain.db", REGISTRY, seeded(1), readers=1, connect=tally.connect)
    async with new_chain(folder, storage) as chain:
        office = await caller(chain, "admin")
        saved = await office.ask(
            'mutation { staffSave(idempotencyKey: "s", input: { name: "Mei", role: CLERK }) { ... on StaffSaved { staff { id } } } }'
        )
        card = {"ownerId": saved["staffSave"]["staff"]["id"], "homeUnitId": chain.units["Orchard"]}
        tally.doing = "create"
        made = await office.ask(
            CREATE, k="c", rows=[{"name": f"C{i}", **card} for i in range(rows)], on=FAILED
        )
        ids = [result["customer"]["id"] for result in made["done"]["results"]]
        tally.doing = "update"
        edits = [{"id": id, "set": {"notes": id, "tags": {"add": ["x"]}}} for id in ids]
        done = await office.ask(UPDATE, k="u", rows=edits, on=EVERYTHING)
        assert done["done"]["written"] == rows
        tally.doing = "record"
        visit = {"kind": "VISIT", "at": "2026-11-20T10:00:00Z", "unitId": chain.units["Orchard"]}
        visits = [{**visit, "party": [{"customerId": id}]} for id in ids]
        done = await office.ask(RECORD, k="r", rows=visits, on=FAILED)
        assert done["done"]["written"] == rows
        tally.doing = ""
    del tally.counts[""]
    return tally.counts


async def test_statements_do_not_grow_with_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(identities, "MATCHED_AT_ONCE", 1_000_000)
    for name in ("few", "many"):
        (tmp_path / name).mkdir()
    few, many = await counted(tmp_path / "few", 3), await counted(tmp_path / "many", 300)
    assert set(few) == {"create", "update", "record"}
    assert few == many
