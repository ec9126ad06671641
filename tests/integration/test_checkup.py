"""What `regulars doctor` says around the chain's data: each finding, and what it takes to have it."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from regulars_server.app import DATABASE
from regulars_server.cli import checkup
from regulars_server.cli.checkup import DAY_S, Finding
from regulars_server.cli.doctor import chain_findings
from regulars_server.settings import Settings
from regulars_server.storage.interface import OpenCount
from regulars_sync.ids import identity_id
from tests.support.chain import Chain, new_chain
from tests.support.commands import Commands
from tests.support.server import free_port, serving

NOW_S = 1_800_000_000.0
NOW_MS = int(NOW_S * 1_000)


def state(finding: Finding) -> str:
    assert finding.zh
    assert finding.en
    return finding.state


@pytest.mark.parametrize(("days", "said"), [(0.5, "ok"), (5, "look"), (31, "wrong")])
def test_a_backup_is_looked_at_by_its_age(tmp_path: Path, days: float, said: str):
    file = tmp_path / "chain-20261122T031500Z.db"
    file.touch()
    os.utime(file, (NOW_S - days * DAY_S,) * 2)
    older = tmp_path / "chain-20251122T031500Z.db"
    older.touch()
    os.utime(older, (NOW_S - 300 * DAY_S,) * 2)
    assert state(checkup.backup(tmp_path, NOW_S, 30)) == said


def test_no_backup_is_told(tmp_path: Path):
    found = checkup.backup(tmp_path / "none", NOW_S, 30)
    assert state(found) == "look"
    assert "regulars backup" in found.en


def test_a_journal_is_counted_and_damage_is_wrong(tmp_path: Path):
    assert state(checkup.journal(tmp_path)) == "ok"
    (tmp_path / "journal.jsonl").write_text('{"do":"revoke","device":"x"}\n')
    assert "1 " in checkup.journal(tmp_path).en
    (tmp_path / "journal.jsonl").write_text("nonsense\n")
    assert state(checkup.journal(tmp_path)) == "wrong"


def test_a_wal_that_no_checkpoint_empties_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    database = tmp_path / "chain.db"
    database.touch()
    assert "empty" in checkup.wal(database, NOW_S).en
    (tmp_path / "chain.db-wal").write_bytes(b"x" * 2_000_000)
    os.utime(database, (NOW_S - 7_200,) * 2)
    found = checkup.wal(database, NOW_S)
    assert (state(found), "2 h ago" in found.en) == ("ok", True)
    monkeypatch.setattr(checkup, "WAL_BYTES_MAX", 1_000_000)
    assert state(checkup.wal(database, NOW_S)) == "look"


def test_what_waits_is_told_by_code_with_the_oldest_and_what_to_do():
    assert state(checkup.waiting([], NOW_MS)) == "ok"
    found = checkup.waiting(
        [
            OpenCount("rejected", "choice_unknown", 2, NOW_MS - 3_600_000),
            OpenCount("held", "row_missing", 1, NOW_MS - 3 * 86_400_000),
        ],
        NOW_MS,
    )
    assert state(found) == "look"
    assert found.en.index("row_missing (oldest 3 d ago") < found.en.index("choice_unknown (oldest 1 h ago")
    for command in ("regulars held retry", "regulars held list"):
        assert command in found.en
        assert command in found.zh


async def test_tablets_that_lag_are_named(tmp_path: Path):
    async with new_chain(tmp_path) as chain:
        await (await chain.tablet("silent")).sync()
        chain.clock.pass_(days=4)
        await (await chain.tablet("till")).sync()
        await chain.service.access.flush()
        names = {token.owner or "": token.label for token in await chain.service.access.tokens()}
        found = await checkup.tablets(chain.service, names)
        assert state(found) == "look"
        assert "silent (4 d)" in found.en
        assert "till" not in found.en
        assert "1 of 2" in found.en


@pytest.mark.parametrize(("minutes", "said"), [(5, "ok"), (90, "look")])
def test_a_work_that_nobody_gets_on_with_is_told(minutes: int, said: str):
    at_ms = NOW_MS - minutes * 60_000
    row: Any = SimpleNamespace(kind="export", id="e1", alive_ms=at_ms, made_ms=at_ms)
    found = checkup.works([row], NOW_MS)
    assert (state(found), "e1" in found.en) == (said, said == "look")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"host": "0.0.0.0"}, "REGULARS_HOST"),
        ({"metrics": "0.0.0.0:9470"}, "REGULARS_METRICS"),
        ({"origins": "http://desk.example"}, "REGULARS_ORIGINS"),
        ({"introspection": "all"}, "REGULARS_INTROSPECTION"),
        ({"log_level": "debug"}, "REGULARS_LOG_LEVEL"),
        ({"database": "postgresql://regulars@db1/hq?schema=a"}, "REGULARS_DATABASE"),
    ],
)
def test_an_unsafe_setting_is_named(tmp_path: Path, given: dict[str, Any], named: str):
    safe = Settings(data=tmp_path, metrics="127.0.0.1:9470", origins="https://desk.example")
    assert state(checkup.safety(safe)) == "ok"
    found = checkup.safety(replace(safe, **given))
    assert state(found) == "look"
    assert named in found.en
    assert named in found.zh


def test_a_database_elsewhere_is_safe_with_tls_and_here_without(tmp_path: Path):
    for database in ("postgresql://r@db1/hq?sslmode=verify-full", "postgresql://r@127.0.0.1/hq"):
        assert checkup.unsafe(Settings(data=tmp_path, database=database)) == []


def test_a_folder_that_others_may_read_is_named(tmp_path: Path):
    tmp_path.chmod(0o755)
    assert "chmod 700" in checkup.safety(Settings(data=tmp_path)).en


@pytest.mark.parametrize(
    ("ms", "said"), [(900, "ok"), (-1_500, "ok"), (5_000, "look"), (-86_400_000, "look")]
)
def test_a_clock_that_is_off_is_told(ms: int, said: str):
    assert state(checkup.clock_offset(ms)) == said


@pytest.mark.parametrize(("days", "said"), [(60, "ok"), (5, "look")])
def test_a_certificate_is_looked_at_before_it_ends(monkeypatch: pytest.MonkeyPatch, days: int, said: str):
    class Secured:
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def getpeercert(self) -> dict[str, str]:
            ends = datetime.fromtimestamp(time.time() + days * DAY_S, UTC)
            return {"notAfter": ends.strftime("%b %d %H:%M:%S %Y GMT")}

    context: Any = SimpleNamespace(wrap_socket=lambda plain, server_hostname: Secured())
    monkeypatch.setattr("socket.create_connection", lambda address, timeout: Secured())
    assert state(checkup.certificate("hq.example", 443, context)) == said


def test_a_certificate_that_nobody_vouches_for_is_wrong():
    port = free_port()
    assert state(checkup.certificate("127.0.0.1", port)) == "wrong"


async def test_a_url_elsewhere_without_tls_is_wrong(monkeypatch: pytest.MonkeyPatch):
    def nowhere(url: str, timeout: float) -> None:
        raise OSError(f"no way to {url}")

    monkeypatch.setattr("urllib.request.urlopen", nowhere)
    found = {f.check: state(f) for f in await checkup.at_url("http://hq.example/")}
    assert found == {"certificate": "wrong", "url": "wrong"}


async def test_a_url_without_answer_is_wrong():
    found = {f.check: state(f) for f in await checkup.at_url(f"http://127.0.0.1:{free_port()}")}
    assert found == {"url": "wrong"}


# --- the index of facts -----------------------------------------------------------------------------


async def indexed(chain: Chain, mend: bool = False) -> Finding:
    (found,) = [f for f in await chain_findings(chain.service, mend) if f.check == "index"]
    return found


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE deed SET kind = 'visit' WHERE kind = 'purchase'", "1 missing, 2 too many"),
        ("UPDATE deed_line SET amount = 7", "1 missing, 1 too many"),
        ("UPDATE deed_line SET kind = 'return'", "1 missing, 2 too many"),
        ("DELETE FROM deed WHERE kind = 'call'", "1 missing, 0 too many"),
        ("DELETE FROM deed WHERE kind = 'purchase'", "1 missing, 1 too many"),
        ("DELETE FROM deed_line", "1 missing, 1 too many"),
        (
            "INSERT INTO deed SELECT customer, 'x', at, kind, unit, staff, channel, stage_reached, outcome,"
            " role, effort_min, rating FROM deed WHERE kind = 'call'",
            "0 missing, 1 too many",
        ),
        (
            "UPDATE deed SET customer = (SELECT row FROM customer WHERE name = '王伟') WHERE kind = 'call'",
            "2 customers: 1 missing, 1 too many",
        ),
    ],
)
async def test_an_index_that_differs_from_its_facts_is_told_and_mended(
    tmp_path: Path, damage: str, said: str
):
    async with new_chain(tmp_path) as chain:
        lin, wang = sorted([chain.new_id(), chain.new_id()])
        await chain.write("create", "customer", lin, {"name": "林芳"})
        await chain.write("create", "customer", wang, {"name": "王伟"})
        one: dict[str, Any] = {"one": lin, "other": wang, "decision": "same"}
        await chain.write("create", "identity", identity_id(lin, wang), one)
        for kind, lines in (("purchase", [{"amount": 500, "currency": "CNY"}]), ("call", [])):
            at, party = "2026-11-20T10:00:00.000Z", [{"customer": wang}]
            fact: dict[str, Any] = {"kind": kind, "at": at, "party": party, "lines": lines}
            await chain.write("create", "interaction", chain.new_id(), fact)
        assert state(await indexed(chain)) == "ok", "who waits to be looked at is not indexed yet"
        await chain.service.checking.drain()
        with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
            tables = ("SELECT * FROM deed", "SELECT * FROM deed_line")
            whole = [connection.execute(table).fetchall() for table in tables]
            assert [len(table) for table in whole] == [2, 1]
            assert state(await indexed(chain)) == "ok"
            assert connection.execute(damage).rowcount == 1
            connection.commit()
            found = await indexed(chain)
            assert (state(found), said in found.en, lin in found.en) == ("wrong", True, True)
            assert "doctor --mend" in found.en
            assert "doctor --mend" in found.zh
            assert state(await indexed(chain, mend=True)) == "look"
            await chain.service.checking.drain()
            assert state(await indexed(chain)) == "ok"
            assert [connection.execute(table).fetchall() for table in tables] == whole


def test_doctor_asks_the_server_at_a_url_and_fits_one_screen(tmp_path: Path):
    commands = Commands(tmp_path / "data")
    with serving(tmp_path / "data") as (_, said):
        found = {f["check"]: f["state"] for f in commands.asked("doctor", "--url", said["urls"][0])}
        shown = commands("doctor", "--url", said["urls"][0])
    assert found["url"] == "ok"
    assert found["clock_offset"] == "ok"
    assert set(found) == {
        "version", "integrity", "disk", "wal", "backup", "journal", "database", "log", "digests", "clock",
        "held", "lag", "gaps", "works", "standing", "index", "equal_keys", "settings", "url", "clock_offset",
    }  # fmt: skip
    assert len(shown.out.splitlines()) <= 24
    commands.lang = "zh"
    assert "备份" in commands("doctor").out
    assert commands("doctor", "--url", f"http://127.0.0.1:{free_port()}").code == 1
