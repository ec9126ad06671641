"""`regulars login` and `regulars token`: how people and programs come in at head office."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from regulars_schema.entities import STAFF_ROLE
from regulars_server.access.access import GRACE_MS
from regulars_server.cli.command import Run, command
from regulars_server.cli.founding import new_secret, show_once
from regulars_server.cli.rows import find_row, list_rows
from regulars_server.cli.terminal import at
from regulars_server.service import Service
from regulars_server.tokens import Tokens, Wanted, open_login, shut_login

ROLES = ", ".join(STAFF_ROLE.values)
DAY_MS = 86_400_000
HOUR_MS = 3_600_000

Units = Annotated[
    list[str] | None,
    typer.Option("--unit", help="Reaches these units and all below; else the whole chain. 范围"),
]
Sensitive = Annotated[bool, typer.Option("--sensitive", help="May read sensitive fields. 可看敏感字段")]
Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", help="A right it has, as read:customers; else all of the role. 权限"),
]
Staff = Annotated[str | None, typer.Option(help="The member of staff it acts for. 对应员工")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from stdin. 从标准输入读密码")
]


def register(app: typer.Typer) -> None:
    _register_logins(app)
    _register_tokens(app)


async def _units(run: Run, service: Service, called: list[str] | None) -> list[str] | None:
    if not called:
        return None
    return [(await find_row(service, run.terminal, "unit", one))["id"] for one in called]


async def _staff(run: Run, service: Service, called: str | None) -> str | None:
    return None if called is None else str((await find_row(service, run.terminal, "staff", called))["id"])


def _register_logins(app: typer.Typer) -> None:
    logins = typer.Typer(no_args_is_help=True)
    app.add_typer(logins, name="login", help="People who sign in at head office; lost passwords. 总部登录")

    @command(
        logins,
        "add",
        "添加一个登录账号。",
        [
            "regulars login add wang --role manager --unit 华东区 --staff 王芳",
            "regulars login add boss --role admin --sensitive",
        ],
    )
    async def add(
        run: Run,
        name: Annotated[str, typer.Argument(help="The login's name. 账号")],
        role: Annotated[str, typer.Option(help=f"{ROLES}. 角色")] = "analyst",
        unit: Units = None,
        staff: Staff = None,
        sensitive: Sensitive = False,
        password_stdin: FromStdin = False,
    ) -> None:
        """Add a login. The password is asked for; without a terminal one is generated and shown once."""
        password = run.terminal.secret(f"{name} 的密码", f"Password of {name}", password_stdin)
        async with run.chain() as service:
            units = await _units(run, service, unit)
            person = await _staff(run, service, staff)
            generated = new_secret(service) if password is None else None
            await service.access.add_login(name, password or generated or "", role, person, units, sensitive)
            await _say(service, "login_made", name, role=role, units=units, sensitive=sensitive)
        run.terminal.data({"name": name, "role": role, "password": generated})
        run.terminal.line(f"已添加账号 {name}", f"Added the login {name}")
        if generated:
            show_once(run, generated)

    @command(logins, "list", "列出登录账号。", ["regulars login list"])
    async def list_(run: Run) -> None:
        """List the logins and what they reach."""
        async with run.chain() as service:
            units = {row["id"]: row["name"] for row in await list_rows(service, "unit")}
            people = {row["id"]: row["name"] for row in await list_rows(service, "staff")}
            rows = [
                {
                    "name": one.name,
                    "role": one.role,
                    "units": _reach(run, one.units, units),
                    "sensitive": one.sensitive,
                    "staff": people.get(one.staff or "", one.staff),
                    "active": one.active,
                }
                for one in await service.access.logins()
            ]
        heads = {"name": ("账号", "Login"), "role": ("角色", "Role"), "units": ("范围", "Reach")}
        more = {"sensitive": ("敏感", "Sensitive"), "staff": ("员工", "Staff"), "active": ("启用", "Active")}
        run.terminal.rows(rows, {**heads, **more})

    @command(
        logins,
        "password",
        "设置新密码（忘记密码时也用它），并结束该账号的所有会话。",
        ["regulars login password admin", "regulars login password admin --password-stdin < password.txt"],
    )
    async def password(
        run: Run,
        name: Annotated[str, typer.Argument(help="The login's name. 账号")],
        password_stdin: FromStdin = False,
    ) -> None:
        """Give a login a new password, also a lost one, and end its sessions."""
        given = run.terminal.secret(f"{name} 的新密码", f"New password of {name}", password_stdin)
        async with run.chain() as service:
            generated = new_secret(service) if given is None else None
            await service.access.set_password(name, given or generated or "")
            await _say(service, "login_password", name)
        run.terminal.data({"name": name, "password": generated})
        run.terminal.line(f"已更新 {name} 的密码", f"Changed the password of {name}")
        if generated:
            show_once(run, generated)

    @command(logins, "deactivate", "停用账号并结束其会话。", ["regulars login deactivate wang"])
    async def deactivate(
        run: Run, name: Annotated[str, typer.Argument(help="The login's name. 账号")]
    ) -> None:
        """Let a login in no more, and end its sessions."""
        async with run.chain() as service:
            await shut_login(service, name)
            await _say(service, "login_deactivated", name)
        run.terminal.data({"name": name, "active": False})
        run.terminal.line(f"已停用 {name}", f"{name} is let in no more")

    @command(logins, "activate", "重新启用账号。", ["regulars login activate wang"])
    async def activate(run: Run, name: Annotated[str, typer.Argument(help="The login's name. 账号")]) -> None:
        """Let a login in again, with the password it had."""
        async with run.chain() as service:
            await open_login(service, name)
            await _say(service, "login_activated", name)
        run.terminal.data({"name": name, "active": True})
        run.terminal.line(f"已启用 {name}", f"{name} is let in again")

    @command(
        logins,
        "change",
        "改变账号的角色与范围，立即生效并结束其会话。",
        [
            "regulars login change wang --role clerk --unit 南京路店",
            "regulars login change boss --role admin --sensitive",
        ],
    )
    async def change(
        run: Run,
        name: Annotated[str, typer.Argument(help="The login's name. 账号")],
        role: Annotated[str, typer.Option(help=f"{ROLES}. 角色")],
        unit: Units = None,
        staff: Staff = None,
        sensitive: Sensitive = False,
    ) -> None:
        """Give a login this role and reach, end its sessions, and cut its tokens to what it now has."""
        async with run.chain() as service:
            units, before = await _units(run, service, unit), await service.access.find_login(name)
            person = await _staff(run, service, staff) or before.staff
            await service.access.change_login(name, role, units, sensitive, person)
            await _say(service, "login_changed", before.name, role=role, units=units, sensitive=sensitive)
        run.terminal.data({"name": name, "role": role})
        run.terminal.line(f"已更改 {name}", f"Changed {name}")


async def _say(service: Service, did: str, name: str, **more: Any) -> None:
    """Write into the log what is about to be done to a login."""
    cid = service.entropy(16).hex()
    await Tokens(service, None).say(cid, did, f"login:{name}", name, **more)


def _reach(run: Run, units: tuple[str, ...] | None, names: dict[str, str]) -> list[str]:
    return [run.terminal.said("全部", "all")] if units is None else [names.get(one, one) for one in units]


def _register_tokens(app: typer.Typer) -> None:
    tokens = typer.Typer(no_args_is_help=True)
    app.add_typer(tokens, name="token", help="Tokens of programs that use the API. 程序令牌")

    @command(
        tokens,
        "add",
        "为程序生成令牌，只显示一次。",
        [
            "regulars token add pos-nightly --role analyst",
            "regulars token add report --unit 华东区 --days 90 --json",
            "regulars token add till --role clerk --scope read:customers --scope write:interactions",
        ],
    )
    async def add(
        run: Run,
        label: Annotated[str, typer.Argument(help="What it is for. 用途")],
        role: Annotated[str, typer.Option(help=f"{ROLES}. 角色")] = "analyst",
        unit: Units = None,
        staff: Staff = None,
        sensitive: Sensitive = False,
        days: Annotated[int | None, typer.Option(min=1, help="Ends after so many days. 有效天数")] = None,
        scope: Scopes = None,
        maker: Annotated[
            str | None, typer.Option(help="Never more than this login has. 不超过该账号")
        ] = None,
        trusted_only: Annotated[
            bool, typer.Option("--trusted-only", help="Trusted documents alone. 仅限可信查询")
        ] = False,
    ) -> None:
        """Make a token for a program. It is shown this once."""
        async with run.chain() as service:
            units = await _units(run, service, unit)
            person = await _staff(run, service, staff)
            ends = None if days is None else service.now_ms() + days * DAY_MS
            wanted = Wanted(
                label=label,
                role=role,
                units=None if units is None else tuple(units),
                sensitive=sensitive,
                scopes=None if scope is None else tuple(scope),
                expires_ms=ends,
                staff=person,
                trusted_only=trusted_only,
            )
            login = None if maker is None else (await service.access.find_login(maker)).name
            id, bearer = await Tokens(service, None).make(wanted, service.entropy(16).hex(), login)
        run.terminal.data({"id": id, "token": bearer})
        run.terminal.line(f"令牌（只显示一次）：{bearer}", f"Token (shown this once): {bearer}")
        run.terminal.note(f"编号 {id}", f"Its id is {id}")

    @command(tokens, "list", "列出令牌。", ["regulars token list", "regulars token list --all"])
    async def list_(
        run: Run,
        all_: Annotated[bool, typer.Option("--all", help="Sessions and tablets too. 含会话与平板")] = False,
    ) -> None:
        """List the tokens of programs; with --all those of tablets and sessions too."""
        async with run.chain() as service:
            rows = [
                {
                    "id": one.id,
                    "kind": one.kind,
                    "label": one.label,
                    "role": one.role,
                    "scopes": one.scopes,
                    "maker": one.maker,
                    "created": at(one.created_ms),
                    "expires": at(one.expires_ms),
                    "last_used": at(one.last_used_ms),
                    "revoked": at(one.revoked_ms),
                }
                for one in await service.access.tokens()
                if all_ or one.kind == "developer"
            ]
        heads = {"label": ("用途", "Label"), "kind": ("种类", "Kind"), "role": ("角色", "Role")}
        whose = {"scopes": ("权限", "Scopes"), "maker": ("创建者", "Maker")}
        times = {
            "created": ("生成", "Created"),
            "expires": ("到期", "Expires"),
            "last_used": ("最近使用", "Last used"),
            "revoked": ("吊销", "Revoked"),
        }
        run.terminal.rows(rows, {**heads, **whose, **times, "id": ("编号", "Id")})

    @command(tokens, "revoke", "吊销令牌，立即失效。", ["regulars token revoke 0199c0de-…"])
    async def revoke(run: Run, id: Annotated[str, typer.Argument(help="The token's id. 编号")]) -> None:
        """End a token at once."""
        async with run.chain() as service:
            await Tokens(service, None).revoke(id, service.entropy(16).hex())
        run.terminal.data({"id": id, "revoked": True})
        run.terminal.line("已吊销", "Revoked")

    @command(
        tokens,
        "rotate",
        "更换令牌；旧令牌在一段时间内仍有效。",
        ["regulars token rotate 0199c0de-…", "regulars token rotate 0199c0de-… --hours 1"],
    )
    async def rotate(
        run: Run,
        id: Annotated[str, typer.Argument(help="The token's id. 编号")],
        hours: Annotated[int, typer.Option(min=0, help="The present one still serves. 旧令牌有效小时")] = (
            GRACE_MS // HOUR_MS
        ),
    ) -> None:
        """Give a token another secret; the present one still serves for some hours."""
        async with run.chain() as service:
            cid = service.entropy(16).hex()
            bearer = await Tokens(service, None).rotate(id, cid, hours * HOUR_MS)
        run.terminal.data({"id": id, "token": bearer})
        run.terminal.line(f"新令牌（只显示一次）：{bearer}", f"New token (shown this once): {bearer}")

    @command(tokens, "expire", "设定令牌的到期时间。", ["regulars token expire 0199c0de-… --days 30"])
    async def expire(
        run: Run,
        id: Annotated[str, typer.Argument(help="The token's id. 编号")],
        days: Annotated[int, typer.Option(min=0, help="Ends after so many days. 有效天数")],
    ) -> None:
        """Let a token end after some days from now."""
        async with run.chain() as service:
            at_ms = service.now_ms() + days * DAY_MS
            await Tokens(service, None).expire(id, service.entropy(16).hex(), at_ms)
        run.terminal.data({"id": id, "expires": at(at_ms)})
        run.terminal.line(f"{at(at_ms)} 到期", f"Ends at {at(at_ms)}")

    @command(tokens, "history", "谁在何时对令牌做了什么。", ["regulars token history 0199c0de-…"])
    async def history(run: Run, id: Annotated[str, typer.Argument(help="The token's id. 编号")]) -> None:
        """Who did what to a token, and when."""
        async with run.chain() as service:
            rows = [
                {"at": at(entry.at_ms), **(entry.detail or {})}
                for entry in await Tokens(service, None).told(id)
            ]
        heads = {"at": ("时间", "At"), "did": ("操作", "Did"), "by": ("操作者", "By")}
        run.terminal.rows(rows, heads)
