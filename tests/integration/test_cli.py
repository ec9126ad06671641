"""Commands on a chain's folder: what they do, what they say, and how they end."""

from __future__ import annotations

import asyncio
import csv
import re
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest
from starlette.applications import Starlette
from typer.main import get_command

from regulars import Shop
from regulars.transport import HttpTransport
from regulars_server.app import DATABASE, create_app, create_service, opened
from regulars_server.cli import create_cli
from regulars_server.cli.loading import guess
from regulars_server.cli.rows import elements, list_rows, new_id, put, values, write
from regulars_server.cli.terminal import language
from regulars_server.service import Service
from regulars_server.settings import Settings
from regulars_server.storage.interface import Batch
from regulars_sync.errors import Refused
from regulars_sync.log import Entry
from regulars_sync.pins import fits
from tests.support.commands import Commands

T = TypeVar("T")
PASSWORD = "correct horse"
CHAIN = ("--name", "Songhe", "--external-id", "sample:U-01", "--password-stdin")


@pytest.fixture
def regulars(tmp_path: Path) -> Commands:
    """A chain with a company and an administrator."""
    commands = Commands(tmp_path / "chain")
    assert commands("init", *CHAIN, stdin=PASSWORD).code == 0
    return commands


@pytest.fixture
def branch(regulars: Commands) -> Commands:
    """The same with a branch and a clerk."""
    regulars("unit", "add", "Orchard", "--country", "sg")
    regulars("staff", "add", "王芳", "--unit", "Orchard")
    return regulars


def inside(commands: Commands, work: Callable[[Service], Awaitable[T]]) -> T:
    """What `work` finds in the chain after the commands."""

    async def run() -> T:
        async with opened(create_service(Settings(data=commands.data)), sweep=False) as service:
            return await work(service)

    return asyncio.run(run())


def rows(commands: Commands, entity: str) -> list[dict[str, Any]]:
    return inside(commands, lambda service: list_rows(service, entity))


# --- help and errors ----------------------------------------------------------------------------


def every_command(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    group = group or get_command(create_cli())
    for name, found in group.commands.items():
        if hasattr(found, "commands"):
            yield from every_command(found, (*path, name))
        else:
            yield (*path, name), found


@pytest.mark.parametrize(
    ("path", "found"), list(every_command()), ids=lambda v: " ".join(v) if type(v) is tuple else ""
)
def test_help_of_every_command_has_chinese_and_an_example_of_itself(path, found):
    assert f"regulars {' '.join(path)}" in found.help
    assert any("\u4e00" <= c <= "\u9fff" for c in found.help)
    options = {option for param in found.params for option in param.opts}
    assert {"--lang"} <= options
    assert path == ("demo",) or {"--data", "--json"} <= options


def test_help_is_shown_for_a_command_alone(tmp_path):
    answer = Commands(tmp_path)("unit", data=False)
    assert answer.code == 2
    answer = Commands(tmp_path)("import", "--help")
    assert answer.code == 0
    assert "regulars import sample" in answer.out


@pytest.mark.parametrize(
    ("environment", "asked", "lang"),
    [
        ({"LANG": "zh_CN.UTF-8"}, None, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, None, "en"),
        ({"LC_MESSAGES": "zh_TW", "LANG": "en_US"}, None, "zh"),
        ({}, None, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "en", "en"),
        ({}, "zh-Hant", "zh"),
    ],
)
def test_language_is_that_of_the_locale_unless_asked(environment, asked, lang):
    assert language(asked, environment) == lang


def test_folder_without_a_chain_is_told_with_what_to_do(tmp_path):
    commands = Commands(tmp_path / "none")
    answer = commands("unit", "list")
    assert (answer.code, answer.out) == (1, "")
    assert "regulars init" in answer.err
    assert not commands.data.exists()
    commands.lang = "zh"
    assert "请先新建" in commands("doctor").err
    assert commands.problem("held", "list")["code"] == "chain_missing"


def test_setting_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("REGULARS_PORT", "eighty")
    assert Commands(tmp_path).problem("unit", "list")["code"] == "setting_invalid"


def test_foreign_and_newer_and_unfinished_files_are_refused_untouched(tmp_path):
    commands = Commands(tmp_path)
    path = tmp_path / DATABASE
    path.write_bytes(b"not a database at all" * 100)
    for arguments in (["unit", "list"], ["init"], ["serve", "--port", "0"]):
        assert commands.problem(*arguments)["code"] == "file_foreign"
    assert path.read_bytes() == b"not a database at all" * 100
    path.unlink()
    commands("init", "--password-stdin", stdin=PASSWORD)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    problem = commands.problem("serve", "--port", "0")
    assert (problem["code"], problem["detail"]["found"]) == ("file_newer", 99)
    assert commands.asked("doctor", code=1)[0]["state"] == "wrong"


def test_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    answer = Commands(tmp_path / "file" / "chain")("init", "--password-stdin", stdin=PASSWORD)
    assert answer.code == 1
    assert "Traceback" not in answer.err
    assert str(tmp_path / "file") in answer.err.replace("\n", "")


# --- init ---------------------------------------------------------------------------------------


def test_init_makes_a_company_and_an_administrator(regulars):
    (company,) = rows(regulars, "unit")
    assert (company["name"], company["kind"], company["time_zone"]) == ("Songhe", "company", "Asia/Shanghai")
    principal, _ = inside(regulars, lambda service: service.access.login("admin", PASSWORD))
    assert (principal.role, principal.units, principal.sensitive) == ("admin", None, True)


def test_init_shows_a_generated_password_once_and_refuses_a_second_time(tmp_path):
    commands = Commands(tmp_path)
    made = commands.asked("init")
    inside(commands, lambda service: service.access.login("admin", made["password"]))
    before = (tmp_path / DATABASE).read_bytes()
    assert commands.problem("init")["code"] == "chain_exists"
    assert (tmp_path / DATABASE).read_bytes() == before


@pytest.mark.parametrize(
    "wrong",
    [
        ["--time-zone", "Mars/Olympus"],
        ["--country", "China"],
        ["--currency", "¥"],
        ["--external-id", "U-01"],
    ],
)
def test_init_with_an_argument_that_is_none_makes_nothing(tmp_path, wrong):
    commands = Commands(tmp_path / "chain")
    assert commands.problem("init", *wrong)["code"] == "argument_invalid"
    assert not commands.data.exists()


def test_init_goes_on_where_it_was_left(tmp_path):
    commands = Commands(tmp_path)
    assert commands.problem("init", "--password-stdin", stdin="short")["code"] == "argument_invalid"
    assert commands("init", "--password-stdin", stdin=PASSWORD).code == 0
    assert len(rows(commands, "unit")) == 1


# --- import ---------------------------------------------------------------------------------------


def test_sample_imported_twice_changes_nothing(regulars, tmp_path):
    made = regulars.asked("sample", str(tmp_path / "csv"), "--customers", "40", "--interactions", "120")
    first = regulars.asked("import", str(tmp_path / "csv"), "--source", "sample")
    assert [one["entity"] for one in first] == ["unit", "staff", "product", "customer", "interaction"]
    assert [one["created"] for one in first] == [15, made["staff"], made["products"], 40, 120]
    assert first[0]["updated"] == 1
    assert not any(one["refused"] for one in first)
    head = inside(regulars, head_seq)
    again = regulars.asked("import", str(tmp_path / "csv"), "--source", "sample")
    assert all((one["created"], one["updated"], one["refused"]) == (0, 0, []) for one in again)
    assert inside(regulars, head_seq) == head
    assert [row["name"] for row in rows(regulars, "unit") if not row.get("parent")] == [
        "Songhe Home 松禾家居"
    ]


async def head_seq(service: Service) -> int:
    async with service.storage.unscoped_reader() as reader:
        return (await reader.head()).seq


def write_csv(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return str(path)


def test_refused_lines_are_told_with_number_and_reason_and_the_others_taken(branch, tmp_path):
    file = write_csv(
        tmp_path / "customers.csv",
        "external_id,name,gender,phones",
        "C-1,林芳,female,138 0013 8000",
        "C-2,程远,m,",
        ",无编号,male,",
        "C-3,,male,",
    )
    (tried,) = branch.asked("import", file, "--source", "pos", "--dry-run", code=3)
    assert (tried["created"], tried["unchanged"], len(tried["refused"])) == (1, 0, 3)
    report = tmp_path / "refused.csv"
    answer = branch("import", file, "--source", "pos", "--refused", str(report))
    assert re.search(r"customers.csv +1 +0 +0 +3", answer.out)
    assert answer.code == 3
    assert "customers.csv:3 C-2" in answer.out
    assert "(enum_unknown)" in answer.out
    with report.open(encoding="utf-8-sig", newline="") as written:
        listed = list(csv.DictReader(written))
    assert [(row["line"], row["code"]) for row in listed] == [
        ("3", "enum_unknown"),
        ("4", "external_id_missing"),
        ("5", "fields_missing"),
    ]
    assert "female" in listed[0]["reason"]
    branch.lang = "zh"
    assert "没有取值" in branch("import", file, "--source", "pos").out
    (taken,) = branch.asked("import", file, "--source", "pos", code=3)
    assert (taken["created"], taken["unchanged"], len(taken["refused"])) == (0, 1, 3)


def test_import_refuses_a_foreign_file_before_anything_is_written(branch, tmp_path):
    good = write_csv(tmp_path / "products.csv", "external_id,name", "P-1,oak shelf")
    bad = write_csv(tmp_path / "customers.csv", "external_id,name,colour", "C-1,林芳,red")
    problem = branch.problem("import", good, bad)
    assert (problem["code"], problem["detail"]["column"]) == ("column_unknown", "colour")
    assert rows(branch, "product") == []


def test_import_asks_what_a_file_holds_when_its_name_does_not_say(branch, tmp_path):
    file = write_csv(tmp_path / "会员.csv", "external_id,name", "C-1,林芳")
    assert "--entity" in branch.problem("import", file)["message"]
    assert "--entity" in branch.problem("import", file, "--entity", "people")["message"]
    assert branch.asked("import", file, "--entity", "customer")[0]["created"] == 1
    assert branch("import", str(tmp_path / "none.csv")).code == 2


@pytest.mark.parametrize(
    ("stem", "entity"),
    [
        ("customers", "customer"),
        ("Customer_2026-11", "customer"),
        ("2026-units", "unit"),
        ("顾客导出", "customer"),
        ("communities", None),
        ("interactions-of-customers", None),
        ("会员", None),
    ],
)
def test_what_a_file_holds_is_guessed_from_whole_words(stem, entity):
    assert guess(stem) == entity


# --- units, staff, logins, tokens -----------------------------------------------------------------


def test_units_are_added_below_the_company_listed_and_archived(regulars):
    region = regulars.asked("unit", "add", "East", "--kind", "region")
    added = regulars.asked("unit", "add", "西湖店", "--parent", "East", "--time-zone", "Asia/Shanghai")
    assert added["parent"] == region["id"]
    shown = regulars("unit", "list").out
    assert shown.index("Songhe") < shown.index("East") < shown.index("西湖店")
    regulars("unit", "archive", "西湖店")
    assert {row["name"] for row in regulars.asked("unit", "list") if row.get("archived")} == {"西湖店"}
    assert regulars.problem("unit", "add", "x", "--parent", "nowhere")["code"] == "argument_invalid"
    assert regulars.problem("unit", "add", "x", "--kind", "moon")["code"] == "enum_unknown"


def test_name_that_fits_several_is_refused_with_their_ids(regulars):
    for name in ("North one", "North two"):
        regulars("unit", "add", name)
    message = regulars.problem("device", "invite", "north")["message"]
    assert all(row["id"] in message for row in rows(regulars, "unit") if row["name"].startswith("North"))


def pin_rows(commands: Commands) -> dict[str, dict[str, Any]]:
    async def by_id(service: Service) -> dict[str, dict[str, Any]]:
        ids = [row["id"] for row in await list_rows(service, "staff")]
        async with service.storage.unscoped_reader() as reader:
            found = await reader.find("staff_pin", ids)
        return {id: values(service, "staff_pin", row) for id, row in found.items()}

    return inside(commands, by_id)


def test_pin_fits_and_goes_to_the_units_of_the_member_and_a_new_one_replaces_it(branch):
    (person,) = branch.asked("staff", "list")
    assert (person["name"], person["units"], person["pin"]) == ("王芳", ["Orchard"], False)
    branch("staff", "pin", "王芳", "--pin-stdin", stdin="2468")
    row = pin_rows(branch)[person["id"]]
    assert fits("2468", row["verifier"])
    assert list(row["units"]) == [unit["id"] for unit in rows(branch, "unit") if unit["name"] == "Orchard"]
    generated = branch.asked("staff", "pin", "王芳")["pin"]
    assert fits(generated, pin_rows(branch)[person["id"]]["verifier"])
    assert branch.asked("staff", "list")[0]["pin"] is True
    assert branch.problem("staff", "pin", "王芳", "--pin-stdin", stdin="1")["code"] == "argument_invalid"


def test_pin_of_who_works_nowhere_is_refused(regulars):
    regulars("staff", "add", "李敏")
    assert "no unit" in regulars.problem("staff", "pin", "李敏")["message"]


def test_lost_password_is_set_again_from_the_command_line(regulars):
    made = regulars.asked("login", "password", "admin")
    with pytest.raises(Refused):
        inside(regulars, lambda service: service.access.login("admin", PASSWORD))
    inside(regulars, lambda service: service.access.login("admin", made["password"]))
    assert regulars.problem("login", "password", "nobody")["code"] == "not_found"


def test_logins_are_added_deactivated_and_activated(branch):
    added = branch.asked("login", "add", "wang", "--role", "manager", "--unit", "Orchard", "--staff", "王芳")
    inside(branch, lambda service: service.access.login("wang", added["password"]))
    branch("login", "deactivate", "wang")
    with pytest.raises(Refused):
        inside(branch, lambda service: service.access.login("wang", added["password"]))
    listed = {row["name"]: row for row in branch.asked("login", "list")}
    assert (listed["wang"]["units"], listed["wang"]["active"]) == (["Orchard"], False)
    assert listed["admin"]["units"] == ["all"]
    branch("login", "activate", "wang")
    inside(branch, lambda service: service.access.login("wang", added["password"]))
    assert branch.problem("login", "add", "wang")["code"] == "argument_invalid"


def test_tokens_are_added_rotated_and_revoked(regulars):
    added = regulars.asked("token", "add", "pos", "--days", "9")
    inside(regulars, lambda service: service.access.principal(added["token"]))
    (listed,) = regulars.asked("token", "list")
    assert (listed["id"], listed["label"], listed["revoked"]) == (added["id"], "pos", None)
    fresh = regulars.asked("token", "rotate", added["id"], "--hours", "0")["token"]
    inside(regulars, lambda service: service.access.principal(fresh))
    with pytest.raises(Refused):
        inside(regulars, lambda service: service.access.principal(added["token"]))
    regulars("token", "revoke", added["id"])
    with pytest.raises(Refused):
        inside(regulars, lambda service: service.access.principal(fresh))
    assert regulars.problem("token", "revoke", "none")["code"] == "not_found"


# --- tablets and what they send -------------------------------------------------------------------


class Direct(HttpTransport):
    """Into the app without a socket."""

    def __init__(self, app: Starlette) -> None:
        super().__init__("http://hq")
        self._client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hq")


def on_tablet(commands: Commands, work: Callable[[Shop], Awaitable[T]], name: str = "till") -> T:
    """Pair a tablet with a code of the command line, do `work` on it."""
    code = commands.asked("device", "invite", "Orchard", "--name", name)["code"]

    async def run(service: Service) -> T:
        transport = Direct(create_app(service.settings, service))
        path = commands.data / f"{name}.db"
        async with Shop.open(path, transport=lambda url: transport, durable=False) as shop:
            await shop.pair("http://hq", code, name)
            await shop.sync()
            return await work(shop)

    return inside(commands, run)


async def send_a_stray(shop: Shop) -> None:
    """A visit of a customer that the chain does not know, and one in the same transaction that it takes."""
    async with shop.transaction():
        await shop.interactions.record("01a20000-0000-7000-8000-000000000001", kind="visit")
        await shop.customers.create(name="林芳")
    await shop.sync()


def test_tablet_is_invited_listed_revoked_and_ordered_to_wipe(branch):
    on_tablet(branch, send_a_stray)
    (listed,) = branch.asked("device", "list")
    assert (listed["name"], listed["unit"], listed["revoked"]) == ("till", "Orchard", False)
    assert listed["last_heard"] is not None
    branch("device", "revoke", "till")
    (listed,) = branch.asked("device", "list")
    assert (listed["revoked"], listed["wipe"], listed["wiped_at"]) == (True, False, None)
    branch("device", "wipe", "till")
    (listed,) = branch.asked("device", "list")
    assert (listed["revoked"], listed["wipe"], listed["wiped_at"]) == (True, True, None)
    assert branch.problem("device", "wipe", "nothing")["code"] == "argument_invalid"
    assert branch.problem("device", "revoke", "nothing")["code"] == "argument_invalid"


def test_held_changes_are_listed_with_why_retried_and_dropped(branch):
    on_tablet(branch, send_a_stray)
    stray, companion = sorted(branch.asked("held", "list"), key=lambda row: row["entity"], reverse=True)
    assert (stray["entity"], stray["code"], companion["code"]) == ("interaction", "row_unknown", "group_held")
    assert stray["device"] == "till"
    assert companion["fields"]["name"] == "林芳"
    branch.lang = "zh"
    assert "等待" in branch("held", "list").out.replace("\n", "")
    assert branch.asked("held", "retry", stray["cid"], code=1) == {"tried": 1, "accepted": 0}
    assert branch.problem("held", "drop", "ffff")["code"] == "mend_invalid"
    assert branch.problem("held", "retry")["code"] == "argument_invalid"
    branch("held", "drop", stray["cid"][:12])
    assert branch.asked("held", "list") == []
    assert [row["name"] for row in rows(branch, "customer")] == ["林芳"]


def test_held_retry_applies_what_has_become_possible(branch):
    on_tablet(branch, send_a_stray)

    async def enter(service: Service) -> None:
        made = service.change("create", "customer", "01a20000-0000-7000-8000-000000000001", {"name": "X"})
        await write(service, made)

    inside(branch, enter)
    retried = branch.asked("held", "retry", "--all")
    assert retried["tried"] == retried["accepted"]
    assert branch.asked("held", "list") == []


# --- doctor ---------------------------------------------------------------------------------------


def states(commands: Commands, code: int) -> dict[str, str]:
    return {finding["check"]: finding["state"] for finding in commands.asked("doctor", code=code)}


def test_doctor_finds_a_whole_chain_whole_and_changes_nothing(branch):
    on_tablet(branch, send_a_stray)
    head = inside(branch, head_seq)
    found = states(branch, 0)
    assert set(found) >= {"version", "integrity", "disk", "log", "digests", "clock", "held", "equal_keys"}
    assert {check for check, state in found.items() if state != "ok"} == {"held", "backup"}
    branch.asked("backup")
    assert states(branch, 0)["backup"] == "ok"
    assert inside(branch, head_seq) == head


def test_doctor_leaves_an_older_database_as_it_is(branch):
    with closing(sqlite3.connect(branch.data / DATABASE)) as connection:
        connection.execute("PRAGMA user_version=1")
    found = states(branch, 0)
    assert found["version"] == "look"
    assert "log" not in found
    with closing(sqlite3.connect(branch.data / DATABASE)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


@pytest.mark.parametrize(
    ("harm", "check"),
    [
        ("UPDATE unit SET document = CAST(replace(document, 'Orchard', 'Orchid!') AS BLOB)", "digests"),
        ("UPDATE unit SET document = CAST('{' AS BLOB)", "open"),
        ("UPDATE log SET verdict = 'held' WHERE pos = 1", "log"),
        ("UPDATE chain SET stamp_max = 9000000000000000", "clock"),
    ],
)
def test_doctor_finds_what_was_tampered_with(branch, harm, check):
    connection = sqlite3.connect(branch.data / DATABASE)
    with connection:
        assert connection.execute(harm).rowcount > 0
    connection.close()
    assert states(branch, 1)[check] == "wrong"


def test_doctor_has_an_index_made_anew_when_it_is_told_to(branch):
    async def buy(service: Service) -> None:
        lin = "01a20000-0000-7000-8000-000000000001"
        await write(service, service.change("create", "customer", lin, {"name": "林芳"}))
        fact = {"kind": "visit", "at": "2026-11-20T10:00:00.000Z", "party": [{"customer": lin}]}
        await write(service, service.change("create", "interaction", lin[:-1] + "2", fact))
        await service.checking.drain()

    inside(branch, buy)
    with closing(sqlite3.connect(branch.data / DATABASE)) as connection:
        assert connection.execute("DELETE FROM deed").rowcount == 1
        connection.commit()
    assert states(branch, 1)["index"] == "wrong"
    (mended,) = [found for found in branch.asked("doctor", "--mend") if found["check"] == "index"]
    assert (mended["state"], "1 missing" in mended["en"]) == ("look", True)
    inside(branch, lambda service: service.checking.drain())
    assert states(branch, 0)["index"] == "ok"


def test_doctor_names_the_entry_of_which_one_byte_was_flipped(branch):
    connection = sqlite3.connect(branch.data / DATABASE)
    entries = connection.execute("SELECT pos, body FROM log WHERE body IS NOT NULL ORDER BY pos").fetchall()
    pos, body = entries[len(entries) // 2]
    flipped = bytes([*body[:-10], body[-10] ^ 1, *body[-9:]])
    with connection:
        connection.execute("UPDATE log SET body = ? WHERE pos = ?", (flipped, pos))
    connection.close()
    (log,) = [finding for finding in branch.asked("doctor", code=1) if finding["check"] == "log"]
    assert log["state"] == "wrong"
    assert f"log entry {pos} is" in log["en"]


def test_doctor_explains_a_log_whose_end_is_missing(branch):
    connection = sqlite3.connect(branch.data / DATABASE)
    (end,) = connection.execute("SELECT max(pos) FROM log").fetchone()
    with connection:
        connection.execute("DELETE FROM log WHERE pos = ?", (end,))
    connection.close()
    (log,) = [finding for finding in branch.asked("doctor", code=1) if finding["check"] == "log"]
    assert log["state"] == "wrong"
    assert f"ends with entry {end - 1}" in log["en"]


def test_doctor_tells_of_numbers_that_a_tablet_lost(branch):
    assert states(branch, 0)["gaps"] == "ok"

    async def lose(service: Service) -> None:
        entry = Entry(
            cid="0" * 32, group="0" * 32, entity="", id="", verdict="rejected", code="number_gap",
            detail={"incarnation": "a" * 16, "first": 3, "last": 7}, closed=True,
        )  # fmt: skip
        entry.seal(bytes(16))
        async with service.storage.writer() as writer:
            await writer.commit(Batch(entries=[entry]))

    inside(branch, lose)
    (gaps,) = [finding for finding in branch.asked("doctor") if finding["check"] == "gaps"]
    assert (gaps["state"], "? 3-7" in gaps["en"]) == ("look", True)


def test_doctor_tells_equal_keys_and_two_units_on_top(branch):
    unit = {"home_unit": rows(branch, "unit")[0]["id"]}

    async def enter(service: Service) -> None:
        for name in ("林芳", "王伟"):  # else they would be one person by now
            fields = {"name": name, "phones/+8613800138000": True, **unit}
            await write(service, service.change("create", "customer", new_id(service), fields))

    inside(branch, enter)
    branch("unit", "add", "Another", "--kind", "company")
    found = states(branch, 0)
    assert (found["equal_keys"], found["units"]) == ("look", "look")


def test_doctor_tells_a_pin_that_did_not_follow_its_member(branch):
    branch("staff", "pin", "王芳")
    assert "pins" not in states(branch, 0)
    branch("unit", "add", "Nanjing Road")

    async def move(service: Service) -> None:
        (person,) = await list_rows(service, "staff")
        units = {unit["name"]: unit["id"] for unit in await list_rows(service, "unit")}
        await put(service, "staff", person["id"], elements("units", [units["Nanjing Road"]], person["units"]))

    inside(branch, move)
    assert states(branch, 0)["pins"] == "look"
    branch("staff", "pin", "王芳")
    assert "pins" not in states(branch, 0)


def test_sensitive_documents_count_in_the_digests(branch):
    async def enter(service: Service) -> None:
        fields = {"name": "林芳", "belief": "x", "home_unit": (await list_rows(service, "unit"))[0]["id"]}
        await write(service, service.change("create", "customer", new_id(service), fields))

    inside(branch, enter)
    assert states(branch, 0)["digests"] == "ok"


def test_the_sdk_alone_says_how_to_get_the_server(tmp_path: Path) -> None:
    hidden = ["tortoise", "strawberry", "starlette", "uvicorn", "argon2", "graphql"]
    script = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({hidden!r}))\n"
        "from regulars_server.cli import main\n"
        "main(sys.argv[1:])\n"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    done = run("serve", "--data", str(tmp_path / "shop"))
    assert done.returncode == 1
    assert "regulars[server]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_scan_finds_who_may_be_one_person(branch, tmp_path):
    lines = ("C-1,林芳,+86 138 0013 8000", "C-2,Lin Fang,+8613800138000", "C-3,张伟,")
    file = write_csv(tmp_path / "customers.csv", "external_id,name,phones", *lines)
    branch.asked("import", file, "--source", "pos")
    assert branch.asked("identities", "scan") == {"customers": 3, "proposed": 1}
