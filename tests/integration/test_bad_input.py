"""Bad input: a documented code each, neighbours applied, nothing lost, no traceback."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import orjson
import pytest

from regulars_schema.messages import MESSAGES
from regulars_server.app import DATABASE
from regulars_server.pull import pull
from regulars_sync import coding, cursor
from regulars_sync.changes import GROUP_CHANGES_MAX, Change, Stated, Value, encode
from regulars_sync.protocol import PUSH_CHANGES_MAX, PullRequest
from regulars_sync.scope import unit_scope
from tests.support.chain import Chain, new_chain


@pytest.fixture
async def chain(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        with caplog.at_level(logging.ERROR):
            yield made
    assert not [record for record in caplog.records if record.exc_info], "a traceback was logged"


class Device:
    """A client written from the protocol alone, so that it can say what the SDK never would."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(chain.app), base_url="http://hq")
        self.token = ""
        self.id = ""
        self.n = 0
        self.incarnation = chain.entropy(8).hex()
        self.rows_max = 2_000

    async def pair(self, unit: str = "Nanjing Road") -> Device:
        code = await self.chain.service.access.new_pairing_code(self.chain.units[unit], "raw")
        _, said = await self.post("/sync/v1/pair", {"code": code, "name": "raw", "schema": 1})
        self.token, self.id = said["token"], said["device"]
        return self

    async def post(self, path: str, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        answer = await self.http.post(
            path, content=raw, headers={"authorization": f"Bearer {self.token}", **headers}
        )
        said = answer.json()
        if answer.status_code != 200:
            assert said["code"] in MESSAGES
            assert said["message"]
            assert answer.status_code == MESSAGES[said["code"]].status
        return answer.status_code, said

    async def push(self, *changes: bytes, n: int | None = None) -> tuple[int, dict[str, Any]]:
        """Push these bytes as the next changes; the SDK's framing around whatever they are."""
        body = b'{"incarnation":"%s","n":%d,"schema":1,"changes":[%s]}' % (
            self.incarnation.encode(),
            self.n + 1 if n is None else n,
            b",".join(changes),
        )
        status, said = await self.post("/sync/v1/push", body)
        if status == 200:
            self.n = said["acked"]["n"]
        return status, said

    async def pull(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Every row within reach, by (entity, id)."""
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        at = None
        while True:
            asked = {"schema": 1, "rows_max": self.rows_max, **({"cursor": at} if at else {})}
            _, page = await self.post("/sync/v1/pull", asked)
            for part in page["pages"]:
                rows |= {(part["entity"], row["id"]): row for row in part["rows"]}
            at = page["cursor"]
            if page["head"]:
                return rows

    def change(
        self,
        entity: str = "customer",
        id: str | None = None,
        op: Any = "create",
        fields: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Change:
        cid = more.pop("cid", None) or self.chain.entropy(16).hex()
        given = {"name": "林芳"} if fields is None else fields
        return Change(
            **{
                "cid": cid,
                "group": cid,
                "op": op,
                "entity": entity,
                "id": id or self.chain.new_id(),
                "fields": {path: Value(value) for path, value in given.items()},
                "stamp": self.chain.clock.ms * 1000,
                "stated": Stated(self.chain.clock.ms),
                "schema": 1,
                **more,
            }
        )


@pytest.fixture
async def device(chain: Chain) -> AsyncIterator[Device]:
    device = await Device(chain).pair()
    yield device
    await device.http.aclose()


def codes(said: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(verdict["verdict"], verdict.get("code")) for verdict in said["verdicts"]]


BAD_CHANGES: dict[str, dict[str, Any]] = {
    "entity_unknown": {"entity": "spaceship"},
    "entity_not_writable": {"entity": "product", "fields": {"name": "oak"}},
    "field_unknown": {"fields": {"name": "a", "shoe_size": 41}},
    "enum_unknown": {"fields": {"name": "a", "gender": "seven"}},
    "fields_missing": {"fields": {"notes": "no name"}},
    "text_too_long": {"fields": {"name": "a", "notes": "x" * 4_001}},
    "text_empty": {"fields": {"name": "  "}},
    "text_invalid": {"fields": {"name": "a\x00b"}},
    "value_type": {"fields": {"name": 7}},
    "field_required": {"fields": {"name": None}},
    "date_invalid": {"fields": {"name": "a", "trading_since": "2026-02-30"}},
    "instant_invalid": {"fields": {"name": "a", "first_seen": "yesterday"}},
    "id_invalid": {"id": "1; DROP TABLE customer"},
    "phone_invalid": {"fields": {"name": "a", "phones/x": "call me"}},
    "email_invalid": {"fields": {"name": "a", "emails/x": True}},
    "part_unknown": {"fields": {"name": "a", "birth": {"month": 1, "day": 2, "hour": 3}}},
    "part_required": {"fields": {"name": "a", "birth": {"month": 1}}},
    "value_range": {"fields": {"name": "a", "birth": {"month": 13, "day": 1}}},
    "fact_edited": {"entity": "interaction", "op": "edit", "fields": {"note": "rewritten"}},
}


@pytest.mark.parametrize("code", BAD_CHANGES)
async def test_a_bad_change_is_rejected_with_its_code_and_its_neighbours_apply(
    device: Device, code: str
) -> None:
    before, bad, after = device.change(), device.change(**BAD_CHANGES[code]), device.change()
    status, said = await device.push(encode(before), encode(bad), encode(after))
    assert status == 200
    assert codes(said) == [("applied", None), ("rejected", code), ("applied", None)]
    assert said["verdicts"][1]["message"]
    assert said["acked"]["n"] == 3
    rows = await device.pull()
    assert {("customer", before.id), ("customer", after.id)} <= rows.keys()
    assert rows["change_verdict", bad.cid]["code"] == code
    async with device.chain.service.storage.unscoped_reader() as reader:
        (kept,) = await reader.open_entries(10)
    assert kept.body == encode(bad)


@pytest.mark.parametrize(
    "name",
    [b'"a\\ud800"', b'{"not":"text"}', b'"' + b"a" * 300 + b'"', b"1e999", b"[" * 300 + b"]" * 300],
)
async def test_a_value_that_is_no_text_is_rejected_alone(device: Device, name: bytes) -> None:
    good, bad = device.change(), encode(device.change())
    bad = bad.replace('"林芳"'.encode(), name)
    status, said = await device.push(bad, encode(good))
    assert status == 200
    assert codes(said)[1] == ("applied", None)
    assert codes(said)[0][0] == "rejected"


async def test_a_change_of_the_wrong_form_is_rejected_alone(device: Device) -> None:
    cid = device.chain.entropy(16).hex()
    status, said = await device.push(b'{"cid":"%s","op":"explode"}' % cid.encode(), encode(device.change()))
    assert (status, codes(said)) == (200, [("rejected", "change_malformed"), ("applied", None)])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"incarnation":"0123456789abcdef","n":1,"schema":1,"changes":[{"no":"cid"}]}',
        b'{"incarnation":"0123456789abcdef","n":0,"schema":1,"changes":[{}]}',
        b'{"incarnation":"../../etc","n":1,"schema":1,"changes":[{}]}',
        b'{"incarnation":"0123456789abcdef","n":1,"schema":1,"changes":[]}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
)
async def test_a_broken_body_is_refused_whole_and_nothing_is_done(device: Device, body: bytes) -> None:
    status, said = await device.post("/sync/v1/push", body)
    assert (status, said["code"]) == (400, "body_invalid")
    assert (await device.push(encode(device.change())))[1]["acked"]["n"] == 1


async def test_an_oversized_batch_is_refused_whole(device: Device) -> None:
    many = [encode(device.change()) for _ in range(PUSH_CHANGES_MAX + 1)]
    status, said = await device.push(*many)
    assert (status, said["code"]) == (400, "body_invalid")
    status, said = await device.post(
        "/sync/v1/push", b" " * (device.chain.service.settings.body_bytes_max + 1)
    )
    assert (status, said["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("coded", ["zstd", "gzip"])
async def test_a_small_body_that_inflates_to_a_huge_one_is_refused(device: Device, coded: str) -> None:
    bomb = coding.encode(b" " * (device.chain.service.settings.body_bytes_max * 4), coded)
    status, said = await device.post("/sync/v1/push", bomb, **{"content-encoding": coded})
    assert (status, said["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("coded", ["zstd", "gzip"])
async def test_a_body_that_stops_halfway_or_comes_in_an_unknown_coding_is_refused(
    device: Device, coded: str
) -> None:
    whole = coding.encode(b'{"schema":1}', coded)
    status, said = await device.post("/sync/v1/pull", whole[:-6], **{"content-encoding": coded})
    assert (status, said["code"]) == (400, "body_invalid")
    status, said = await device.post("/sync/v1/pull", whole, **{"content-encoding": "br"})
    assert (status, said["code"]) == (415, "encoding_unknown")


@pytest.mark.parametrize(
    ("accepted", "given"),
    [("zstd, gzip", "zstd"), ("gzip", "gzip"), ("gzip, zstd;q=0", "gzip"), ("identity", None), ("", None)],
)
async def test_an_answer_comes_in_the_coding_that_was_asked_for(
    device: Device, accepted: str, given: str | None
) -> None:
    await device.push(*(encode(device.change()) for _ in range(50)))
    headers = {"accept-encoding": accepted, "authorization": f"Bearer {device.token}"}
    async with device.http.stream("POST", "/sync/v1/pull", json={"schema": 1}, headers=headers) as answer:
        assert answer.headers.get("content-encoding") == given
        body = coding.Incoming(given or coding.IDENTITY, 10_000_000)
        body.feed(b"".join([part async for part in answer.aiter_raw()]))
    assert len(orjson.loads(body.end())["head"]["digests"]) > 1


async def test_an_oversized_transaction_is_rejected_whole_and_its_neighbours_apply(device: Device) -> None:
    first = device.chain.entropy(16).hex()
    note = "长" * 3_900
    group = [
        device.change(
            cid=first if i == 0 else None, group=first, size=100, fields={"name": "a", "notes": note}
        )
        for i in range(100)
    ]
    group[0] = device.change(cid=first, group=first, size=100, fields={"name": "a", "notes": note})
    status, said = await device.push(*map(encode, group), encode(device.change()))
    assert status == 200
    assert set(codes(said)[:100]) == {("rejected", "group_too_large")}
    assert codes(said)[100] == ("applied", None)
    too_many = device.change(size=GROUP_CHANGES_MAX + 1)
    assert codes((await device.push(encode(too_many)))[1]) == [("rejected", "change_malformed")]


async def test_a_transaction_that_is_not_whole_is_held_and_the_next_one_applies(device: Device) -> None:
    first = device.change(size=2)
    status, said = await device.push(encode(first), encode(device.change()))
    assert (status, codes(said)) == (200, [("held", "group_broken"), ("applied", None)])


async def test_a_transaction_still_under_way_is_left_for_the_next_push(device: Device) -> None:
    first = device.change(size=2)
    second = device.change(group=first.cid, size=2)
    status, said = await device.push(encode(first))
    assert (status, said["verdicts"], said["acked"]["n"]) == (200, [], 0)
    status, said = await device.push(encode(first), encode(second))
    assert codes(said) == [("applied", None)] * 2


async def test_a_gap_in_the_numbers_is_answered_with_the_number_expected(device: Device) -> None:
    await device.push(encode(device.change()))
    for n in (3, 5):
        status, said = await device.push(encode(device.change()), n=n)
        assert (status, said["code"], said["detail"]["expect"]) == (409, "number_gap", 2)


async def test_numbers_of_another_device_can_not_be_counted_on(device: Device) -> None:
    mine = encode(device.change())
    await device.push(mine)
    other = await Device(device.chain).pair()
    other.incarnation = device.incarnation
    for n, change in ((1, mine), (2, encode(other.change()))):
        status, said = await other.push(change, n=n)
        assert (status, said["code"]) == (409, "number_taken")
    await other.http.aclose()
    assert (await device.push(encode(device.change())))[1]["acked"]["n"] == 2


async def test_a_known_number_with_another_cid_is_answered_as_taken(device: Device) -> None:
    await device.push(encode(device.change()), encode(device.change()))
    status, said = await device.push(encode(device.change()), n=2)
    assert (status, said["code"], said["detail"]["expect"]) == (409, "number_taken", 2)


async def test_a_replay_is_answered_from_the_log_and_changes_nothing(device: Device) -> None:
    good, bad = encode(device.change()), encode(device.change(entity="spaceship"))
    _, first = await device.push(good, bad)
    rows = await device.pull()
    _, again = await device.push(good, bad, n=1)
    assert again["verdicts"] == first["verdicts"]
    assert again["acked"] == first["acked"]
    assert await device.pull() == rows


async def test_another_devices_change_can_not_be_mended(device: Device) -> None:
    bad = device.change(fields={"name": "林芳", "gender": "seven"})
    await device.push(encode(bad))
    other = await Device(device.chain).pair()
    _, said = await other.push(encode(other.change(id=bad.id, replaces=bad.cid)))
    assert codes(said) == [("held", "mend_foreign")]
    await other.http.aclose()
    async with device.chain.service.storage.unscoped_reader() as reader:
        assert bad.cid in {entry.cid for entry in await reader.open_entries(10)}
    assert ("customer", bad.id) not in await device.pull()


async def test_only_the_last_page_says_that_it_is_the_head(device: Device) -> None:
    await device.push(*(encode(device.change()) for _ in range(3)))
    every = await device.pull()
    assert len(every) > 3
    device.rows_max = 1
    assert await device.pull() == every


async def test_a_known_cid_with_other_content_is_rejected_and_kept(device: Device) -> None:
    change = device.change()
    await device.push(encode(change))
    forged = device.change(cid=change.cid, id=change.id, fields={"name": "somebody else"})
    status, said = await device.push(encode(forged))
    assert (status, codes(said)) == (200, [("rejected", "cid_reused")])
    assert said["acked"]["n"] == 2
    rows = await device.pull()
    assert rows["customer", change.id]["name"] == "林芳"
    async with device.chain.service.storage.unscoped_reader() as reader:
        assert [entry.body for entry in await reader.open_entries(10)] == [encode(forged)]


async def test_a_stamp_from_2099_gets_the_servers_own(device: Device) -> None:
    year_2099 = 4_070_908_800_000_000
    mad = device.change(stamp=year_2099)
    status, said = await device.push(encode(mad))
    assert (status, codes(said)) == (200, [("applied", "stamp_replaced")])
    rows = await device.pull()
    ((_, stamp),) = rows["customer", mad.id]["v"]
    assert stamp < (device.chain.clock.ms + 1_000) * 1000
    sane = device.change(id=mad.id, op="edit", fields={"name": "李娜"}, seen={"name": [mad.cid]})
    assert codes((await device.push(encode(sane)))[1]) == [("applied", None)]


async def test_an_id_out_of_reach_and_one_that_does_not_exist_get_the_same_answer(
    chain: Chain, device: Device
) -> None:
    other = await Device(chain).pair("Orchard")
    theirs = other.change(fields={"name": "secret"})
    await other.push(encode(theirs))
    answers = []
    for id in (theirs.id, chain.new_id()):
        edit = device.change(id=id, op="edit", fields={"notes": "mine?"})
        visit = device.change(
            "interaction",
            fields={"kind": "visit", "at": "2026-11-22T10:00:00.000Z", "party": [{"customer": id}]},
        )
        link = device.change("link", id=id, fields={"active": True}, op="edit")
        _, said = await device.push(encode(edit), encode(visit), encode(link))
        answers.append([{k: v for k, v in verdict.items() if k != "cid"} for verdict in said["verdicts"]])
    assert answers[0] == answers[1]
    assert {verdict["code"] for verdict in answers[0]} == {"row_unknown"}
    assert b"secret" not in orjson.dumps([*(await device.pull()).values()])
    await other.http.aclose()


async def test_a_create_on_an_id_that_exists_is_an_edit_that_has_seen_nothing(device: Device) -> None:
    first = device.change(fields={"name": "林芳", "notes": "one"})
    second = device.change(id=first.id, fields={"name": "林芳", "notes": "two"})
    _, said = await device.push(encode(first), encode(second))
    assert codes(said) == [("applied", None), ("merged", None)]
    row = (await device.pull())["customer", first.id]
    assert {row["notes"], *(value for _, value in row["x"]["notes"][1:])} == {"one", "two"}


async def test_the_same_fact_under_another_cid_is_a_replay_and_another_fact_is_not(device: Device) -> None:
    fields = {"kind": "note", "at": "2026-11-22T10:00:00.000Z", "unit": device.chain.units["Nanjing Road"]}
    fact = device.change("interaction", fields=fields)
    same = device.change("interaction", id=fact.id, fields=fields)
    other = device.change("interaction", id=fact.id, fields={**fields, "note": "not the same"})
    _, said = await device.push(encode(fact), encode(same), encode(other))
    assert codes(said) == [("applied", None), ("applied", None), ("rejected", "fact_exists")]


async def test_a_revoked_device_reads_nothing_and_what_it_pushes_is_held(
    chain: Chain, device: Device
) -> None:
    from regulars_server.devices import revoke

    await revoke(chain.service, device.id)
    status, said = await device.post("/sync/v1/pull", {"schema": 1, "acked": {device.incarnation: 0}})
    assert (status, said["code"]) == (403, "device_revoked")
    assert said["contact"]["acks"][device.incarnation]["n"] == 0
    status, said = await device.push(encode(device.change()))
    assert (status, codes(said)) == (200, [("held", "device_revoked")])
    async with chain.service.storage.unscoped_reader() as reader:
        (kept,) = await reader.open_entries(10)
    assert await chain.service.admission.retry(kept.group, by_head_office=True)


@pytest.mark.parametrize("token", ["", "nonsense", "rgl_dev_0000", "x" * 10_000])
async def test_a_token_that_is_none_is_refused(device: Device, token: str) -> None:
    device.token = token
    status, said = await device.post("/sync/v1/pull", {"schema": 1})
    assert (status, said["code"]) in {(401, "token_missing"), (401, "token_invalid")}


async def test_a_cursor_that_was_tampered_with_is_refused(device: Device) -> None:
    _, page = await device.post("/sync/v1/pull", {"schema": 1})
    forged = page["cursor"][:-4] + "AAAA"
    status, said = await device.post("/sync/v1/pull", {"schema": 1, "cursor": forged})
    assert (status, said["code"]) == (400, "cursor_invalid")


async def test_a_cursor_of_another_chain_or_epoch_is_refused_by_its_own_code(device: Device) -> None:
    chain = device.chain.service.storage.chain
    _, page = await device.post("/sync/v1/pull", {"schema": 1})
    said = cursor.decode(page["cursor"], chain.secret)
    for other, code in (({"chain": "other"}, "chain_other"), ({"epoch": "other"}, "epoch_changed")):
        signed = cursor.encode(msgspec.structs.replace(said, **other), chain.secret)
        _, problem = await device.post("/sync/v1/pull", {"schema": 1, "cursor": signed})
        assert problem["code"] == code


async def test_a_scope_that_a_device_has_no_more_is_told_as_dropped(chain: Chain) -> None:
    region = await chain.unit("East", "region", chain.units["hq"])
    branch = await chain.unit("Hangzhou", "branch", region)
    device = await Device(chain).pair("East")
    _, page = await device.post("/sync/v1/pull", {"schema": 1})
    await chain.write("edit", "unit", branch, {"parent": chain.units["hq"]})
    _, page = await device.post("/sync/v1/pull", {"schema": 1, "cursor": page["cursor"]})
    assert page["dropped"] == [unit_scope(branch)]
    assert unit_scope(branch) not in page["head"]["digests"]
    await device.http.aclose()


async def test_a_page_is_never_longer_than_the_server_allows(device: Device) -> None:
    await device.push(*(encode(device.change()) for _ in range(3)))
    service = device.chain.service
    _, author = await service.device(device.token)
    asked = PullRequest(schema=1, rows_max=1_000)
    page = orjson.loads(
        await pull(service.storage, author, asked, service.now_ms(), rows_max=2, backup_days=30)
    )
    assert sum(len(part["rows"]) for part in page["pages"]) == 2
    assert page["head"] is None


async def test_one_change_twice_in_a_push_is_one_change(device: Device) -> None:
    change = device.change()
    _, said = await device.push(encode(change), encode(change))
    assert codes(said) == [("applied", None)] * 2
    async with device.chain.service.storage.unscoped_reader() as reader:
        assert len(await reader.history("customer", change.id)) == 1


async def test_numbers_that_a_device_lost_are_logged_once(device: Device) -> None:
    gap = {"incarnation": "a" * 16, "first": 3, "last": 7}
    for n in (1, 2):
        body: dict[str, Any] = {"incarnation": device.incarnation, "n": n, "schema": 1, "gap": gap}
        body["changes"] = [orjson.Fragment(encode(device.change()))]
        assert (await device.post("/sync/v1/push", body))[1]["acked"]["n"] == n
    with closing(sqlite3.connect(device.chain.folder / DATABASE)) as database:
        assert database.execute("SELECT count(*) FROM log WHERE code='number_gap'").fetchone() == (1,)


async def test_a_client_too_old_is_told_kindly(device: Device) -> None:
    status, said = await device.post("/sync/v1/pull", {"schema": 0})
    assert (status, said["code"]) == (426, "schema_too_old")


async def test_a_newer_clients_unknown_field_is_held_until_the_server_knows_it(device: Device) -> None:
    newer = device.change(fields={"name": "林芳", "star_sign": "leo"}, schema=99)
    assert codes((await device.push(encode(newer)))[1]) == [("held", "schema_newer")]


async def test_problems_speak_the_callers_language(device: Device) -> None:
    _, said = await device.post(
        "/sync/v1/pull", {"schema": 0}, **{"accept-language": "zh-CN,zh;q=0.9,en;q=0.8"}
    )
    assert "版本" in said["message"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nothing"), ("GET", "/sync/v1/push"), ("PATCH", "/graphql")]
)
async def test_a_path_that_is_none_is_told_as_a_problem(device: Device, method: str, path: str) -> None:
    answer = await device.http.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (404, "path_unknown")
