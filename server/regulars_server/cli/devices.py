"""`regulars device`: tablets are invited by a code, listed, revoked, ordered to wipe."""

from __future__ import annotations

from typing import Annotated

import typer

from regulars_server import devices
from regulars_server.access.access import PAIRING_MINUTES
from regulars_server.cli.command import Run, command
from regulars_server.cli.rows import find_row, list_rows
from regulars_server.cli.terminal import at


def register(app: typer.Typer) -> None:
    tablets = typer.Typer(no_args_is_help=True)
    app.add_typer(tablets, name="device", help="Tablets: invite, list, revoke, wipe. 平板")

    @command(
        tablets,
        "invite",
        "生成一个配对码，用一次，限时。在平板上输入：shop.pair(网址, code=配对码)。",
        ["regulars device invite 上海徐家汇店", "regulars device invite U-05 --name till-2 --minutes 60"],
    )
    async def invite(
        run: Run,
        unit: Annotated[str, typer.Argument(help="The tablet's unit: name, id or external id. 门店")],
        name: Annotated[str, typer.Option(help="What the tablet is called. 平板名称")] = "",
        sensitive: Annotated[
            bool, typer.Option("--sensitive", help="It may hold sensitive fields. 可存敏感字段")
        ] = False,
        minutes: Annotated[
            int, typer.Option(min=1, max=7 * 24 * 60, help="How long it may be used. 有效分钟")
        ] = PAIRING_MINUTES,
    ) -> None:
        """Make a code with which one tablet may join a unit, once."""
        async with run.chain() as service:
            row = await find_row(service, run.terminal, "unit", unit)
            code = await service.access.new_pairing_code(row["id"], name, sensitive, minutes)
        run.terminal.data({"code": code, "unit": row["id"], "minutes": minutes})
        run.terminal.line(
            f"{row['name']} 的配对码：{code}（{minutes} 分钟内有效，用一次）",
            f"Pairing code for {row['name']}: {code} (once, within {minutes} minutes)",
        )

    @command(tablets, "list", "列出平板。", ["regulars device list", "regulars device list --json"])
    async def list_(run: Run) -> None:
        """List the tablets, when each was last heard of, and which are shut out and have wiped themselves."""
        async with run.chain() as service:
            names = {row["id"]: row["name"] for row in await list_rows(service, "unit")}
            used = {token.owner: token.last_used_ms for token in await service.access.tokens()}
            rows = [
                {
                    "id": row["id"],
                    "name": row["name"],
                    "unit": names.get(row["unit"], row["unit"]),
                    "revoked": bool(row.get("revoked")),
                    "wipe": bool(row.get("wipe")),
                    "wiped_at": row.get("wiped_at"),
                    "last_heard": at(used.get(row["id"])),
                }
                for row in await list_rows(service, "device")
            ]
        heads = {"name": ("名称", "Name"), "unit": ("门店", "Unit"), "revoked": ("已吊销", "Revoked")}
        heads |= {"wipe": ("已下令清除", "To wipe"), "wiped_at": ("清除时间", "Wiped at")}
        run.terminal.rows(rows, {**heads, "last_heard": ("最近连接", "Last heard"), "id": ("编号", "Id")})

    @command(
        tablets,
        "revoke",
        "吊销一台平板：立即不能再读；仍送来的修改会暂存，由总部处理，之后平板自行清除。",
        ["regulars device revoke till-2", "regulars device revoke 0199c0de-…"],
    )
    async def revoke(
        run: Run, device: Annotated[str, typer.Argument(help="Its name or id. 名称或编号")]
    ) -> None:
        """Revoke a tablet: it reads nothing more, hands in what it has (held), and then wipes itself."""
        async with run.chain() as service:
            row = await find_row(service, run.terminal, "device", device)
            await devices.revoke(service, row["id"])
        run.terminal.data({"id": row["id"], "revoked": True})
        run.terminal.line(f"已吊销 {row['name']}", f"Revoked {row['name']}")

    @command(
        tablets,
        "wipe",
        "平板被盗：下次连接时立即清除全部数据，不再接收任何修改。",
        ["regulars device wipe till-2", "regulars device wipe 0199c0de-…"],
    )
    async def wipe(
        run: Run, device: Annotated[str, typer.Argument(help="Its name or id. 名称或编号")]
    ) -> None:
        """Order a stolen tablet to delete all it holds at its next contact; nothing more is taken from it."""
        async with run.chain() as service:
            row = await find_row(service, run.terminal, "device", device)
            await devices.wipe(service, row["id"])
        run.terminal.data({"id": row["id"], "revoked": True, "wipe": True})
        run.terminal.line(f"已下令清除 {row['name']}", f"Ordered {row['name']} to wipe")
