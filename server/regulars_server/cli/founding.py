"""`regulars init`: a new chain with its company and its first administrator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from regulars_server.access.access import CODE_DIGITS
from regulars_server.access.bearers import spell
from regulars_server.cli.command import Run, command
from regulars_server.cli.rows import list_rows, new_id, write
from regulars_server.service import Service
from regulars_sync.errors import LocalError
from regulars_sync.ids import row_id

SECRET_CHARS = 16


@dataclass(frozen=True, slots=True)
class Company:
    name: str = "熟客 Regulars"
    time_zone: str = "Asia/Shanghai"
    country: str = "CN"
    currency: str = "CNY"
    external_id: str | None = None
    """`SOURCE:ID` under which files to be imported know the company."""


Name = Annotated[str, typer.Option(help="What the company is called. 公司名称")]
TimeZone = Annotated[str, typer.Option(help="IANA name of the company's time zone. 时区")]
Country = Annotated[str, typer.Option(help="ISO 3166, two letters: how phones are dialled. 国家")]
Currency = Annotated[str, typer.Option(help="ISO 4217, three letters. 币种")]
External = Annotated[
    str | None,
    typer.Option("--external-id", help="SOURCE:ID of the company in files to be imported. 外部编号"),
]
DEFAULT = Company()


def register(app: typer.Typer) -> None:
    @command(
        app,
        "init",
        "新建一家连锁：数据库、公司和第一位管理员。已有数据的目录不会改动。",
        [
            "regulars init --data shop --name 松禾家居",
            "regulars init --data shop --name Songhe --time-zone Asia/Singapore --country SG --currency SGD",
            "regulars init --data shop --password-stdin < password.txt",
        ],
    )
    async def init(
        run: Run,
        name: Name = DEFAULT.name,
        time_zone: TimeZone = DEFAULT.time_zone,
        country: Country = DEFAULT.country,
        currency: Currency = DEFAULT.currency,
        external_id: External = None,
        login: Annotated[str, typer.Option(help="The first administrator. 第一位管理员")] = "admin",
        password_stdin: Annotated[
            bool, typer.Option("--password-stdin", help="Read the password from stdin. 从标准输入读密码")
        ] = False,
    ) -> None:
        """Make a chain: its database, its company and its first administrator.

        The password is asked for; without a terminal one is generated and shown once.
        A folder that holds a chain is refused.
        """
        company = Company(name, time_zone, country.upper(), currency.upper(), external_id)
        check(run, company)
        if await is_founded(run):
            raise LocalError("chain_exists", folder=run.place)
        terminal = run.terminal
        password = terminal.secret(f"{login} 的密码", f"Password of {login}", password_stdin)
        async with run.chain(new=True) as service:
            generated = await found(service, company, login, password)
            said = {"data": run.place, "chain": service.storage.chain.id, "login": login}
        terminal.data({**said, "password": generated})
        terminal.line(f"已新建：{run.place}，管理员 {login}", f"Made {run.place}, administrator {login}")
        if generated:
            show_once(run, generated)
        terminal.note(f"启动：regulars serve --data {run.data}", f"Next: regulars serve --data {run.data}")


def check(run: Run, company: Company) -> None:
    """`Refused("argument_invalid")` before anything is made."""
    try:
        ZoneInfo(company.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        run.terminal.refuse(
            f"没有时区“{company.time_zone}”，例如 Asia/Shanghai。",
            f"There is no time zone “{company.time_zone}”; write it like Asia/Shanghai.",
        )
    for given, chars, example in ((company.country, 2, "CN"), (company.currency, 3, "CNY")):
        if not (len(given) == chars and given.isascii() and given.isalpha()):
            run.terminal.refuse(
                f"“{given}”应为 {chars} 个字母，例如 {example}。",
                f"“{given}” should be {chars} letters, such as {example}.",
            )
    if company.external_id is not None and not all(company.external_id.partition(":")):
        run.terminal.refuse(
            "--external-id 应写作 来源:编号，例如 erp:U-01。",
            "--external-id is SOURCE:ID, such as erp:U-01.",
        )


async def is_founded(run: Run) -> bool:
    """Whether the folder holds a chain that somebody can sign in to; one left halfway is gone on with."""
    try:
        async with run.chain() as service:
            return bool(await service.access.logins())
    except LocalError as error:
        if error.code != "chain_missing":
            raise
        return False


async def found(service: Service, company: Company, login: str, password: str | None) -> str | None:
    """Write the company and the first login; the password when it was generated here."""
    generated = None if password is not None else new_secret(service)
    if not await list_rows(service, "unit"):
        source, _, external = (company.external_id or "").partition(":")
        fields = {
            "name": company.name,
            "kind": "company",
            "time_zone": company.time_zone,
            "country": company.country,
            "currency": company.currency,
        }
        if external:
            fields |= {f"external_ids/{company.external_id}": True}  # type: ignore[dict-item]
        id = row_id(source, "unit", external) if external else new_id(service)
        await write(service, service.change("create", "unit", id, fields))
    await service.access.add_login(login, password or generated or "", "admin", sensitive=True)
    return generated


def new_secret(service: Service, chars: int = SECRET_CHARS) -> str:
    """A password that can be read out: groups of four, without letters that are misread."""
    drawn = spell(int.from_bytes(service.entropy(16)), CODE_DIGITS, chars)
    return "-".join(drawn[i : i + 4] for i in range(0, chars, 4))


def show_once(run: Run, secret: str) -> None:
    run.terminal.line(f"密码（只显示一次）：{secret}", f"Password (shown this once): {secret}")
