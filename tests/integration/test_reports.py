"""A replica of the database for reports: two real PostgreSQL instances, one streaming to the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx2
import pytest

from tests.support.commands import Commands
from tests.support.postgres import COPIED, FAST, PostgresServer, in_own_loop, postgres_server
from tests.support.server import serving

LAG_S = 3
ENOUGH_S = 30
UNITS = "{ units { nodes { name } } }"
EXPORT = f"""mutation {{ exportStart(idempotencyKey: "e", input: {{ query: "{UNITS}" }}) {{
    ... on ExportSaved {{ export {{ id }} }} }} }}"""


@dataclass
class Both:
    primary: PostgresServer
    standby: PostgresServer
    commands: Commands
    client: httpx2.Client
    sessions: dict[str, str]

    def ask(self, who: str, query: str) -> Any:
        head = {"authorization": f"Bearer {self.sessions[who]}"}
        return self.client.post("/graphql", json={"query": query}, headers=head).json()

    def units(self, who: str) -> set[str]:
        return {node["name"] for node in self.ask(who, UNITS)["data"]["units"]["nodes"]}

    @contextmanager
    def behind(self) -> Iterator[None]:
        """The standby hears of nothing for a while."""
        until(lambda: self.units("ana") == self.units("admin"))
        self.on_standby("SELECT pg_wal_replay_pause()")
        yield
        self.on_standby("SELECT pg_wal_replay_resume()")

    def on_standby(self, sql: str) -> Any:
        async def do() -> Any:
            connection = await asyncpg.connect(self.standby.url)
            try:
                return await connection.fetchval(sql)
            finally:
                await connection.close()

        return in_own_loop(do())


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """A chain on a primary with a standby: `admin` of head office, and analysts."""
    how, folder = {**FAST, **COPIED}, tmp_path_factory.mktemp("reports")
    with (
        postgres_server(**how) as primary,
        postgres_server(primary, **how) as standby,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("REGULARS_REPORTS_DATABASE", standby.url)
        patch.setenv("REGULARS_REPORTS_LAG_S_MAX", str(LAG_S))
        url = f"{primary.url}?schema=songhe"
        commands = Commands(folder, database=url)
        with (
            serving(folder, "--database", url) as (_, said),
            httpx2.Client(base_url=said["urls"][0], timeout=20) as client,
        ):
            analyst = ("--role", "analyst", "--password-stdin")
            for name in ("ana", "ben"):
                commands.asked("login", "add", name, *analyst, stdin="another horse 8\n")
            sessions = {}
            for name in ("admin", "ana", "ben"):
                login = {"name": name, "password": said["password"] if name == "admin" else "another horse 8"}
                sessions[name] = client.post("/auth/login", json=login).json()["token"]
            both = Both(primary, standby, commands, client, sessions)
            asks = "SELECT count(*) FROM pg_stat_activity WHERE application_name='regulars'"
            until(lambda: bool(both.units("ana")) and both.on_standby(asks) > 0)
            yield both


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + ENOUGH_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_an_export_holds_what_was_written_before_it_was_asked_for(both: Both) -> None:
    with both.behind():
        both.commands("unit", "add", "Orchard")
        assert "Orchard" not in both.units("ana")
        id = both.ask("ana", EXPORT)["data"]["exportStart"]["export"]["id"]
        head = {"authorization": f"Bearer {both.sessions['ana']}"}
        until(lambda: both.client.get(f"/works/{id}", headers=head).status_code == 200)
        assert "Orchard" in both.client.get(f"/works/{id}", headers=head).text


def test_a_right_ends_although_the_replica_has_not_heard(both: Both) -> None:
    with both.behind():
        assert both.units("ben")
        both.commands.asked("login", "deactivate", "ben")
        until(lambda: "errors" in both.ask("ben", UNITS))
        assert both.ask("ben", UNITS)["errors"][0]["extensions"]["code"] == "token_invalid"


def test_who_only_reads_is_answered_by_a_replica_that_is_not_too_far_behind(both: Both) -> None:
    with both.behind():
        before = both.units("ana")
        both.commands("unit", "add", "Bishan")
        written = time.monotonic()
        assert both.units("admin") == before | {"Bishan"}
        assert both.units("ana") == before
        assert time.monotonic() - written < LAG_S
        until(lambda: both.units("ana") == before | {"Bishan"})
        assert time.monotonic() - written > LAG_S - 1
    both.standby.stop()
    both.commands("unit", "add", "Clementi")
    assert both.units("ana") == before | {"Bishan", "Clementi"}
