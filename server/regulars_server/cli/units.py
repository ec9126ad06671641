"""`regulars unit`: the chain's tree of company, regions, branches."""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.tree import Tree

from regulars_schema.entities import UNIT_KIND
from regulars_server.cli.command import Run, command
from regulars_server.cli.rows import Row, find_row, list_rows, new_id, put, write
from regulars_server.cli.terminal import Terminal

KINDS = ", ".join(UNIT_KIND.values)


def register(app: typer.Typer) -> None:
    units = typer.Typer(no_args_is_help=True)
    app.add_typer(units, name="unit", help="The chain's tree: company, regions, branches. 组织单元")

    @command(
        units,
        "add",
        "添加一个组织单元。没有写的时区、国家、币种取自上级。",
        [
            "regulars unit add 华东区 --kind region",
            "regulars unit add 上海徐家汇店 --parent 华东区",
            "regulars unit add Orchard --time-zone Asia/Singapore --country SG --currency SGD",
        ],
    )
    async def add(
        run: Run,
        name: Annotated[str, typer.Argument(help="Its name. 名称")],
        kind: Annotated[str, typer.Option(help=f"{KINDS}. 类型")] = "branch",
        parent: Annotated[str | None, typer.Option(help="Name or id; else the company. 上级")] = None,
        time_zone: Annotated[str | None, typer.Option(help="Such as Asia/Shanghai. 时区")] = None,
        country: Annotated[str | None, typer.Option(help="Such as CN. 国家")] = None,
        currency: Annotated[str | None, typer.Option(help="Such as CNY. 币种")] = None,
    ) -> None:
        """Add a unit. What is not given (time zone, country, currency) is that of the unit above."""
        async with run.chain() as service:
            above: str | None = None
            if parent is not None:
                above = (await find_row(service, run.terminal, "unit", parent))["id"]
            elif kind != "company":
                roots = [
                    row for row in await list_rows(service, "unit", archived=False) if not row.get("parent")
                ]
                above = roots[0]["id"] if roots else None
            fields = {
                "name": name,
                "kind": kind,
                "parent": above,
                "time_zone": time_zone,
                "country": country and country.upper(),
                "currency": currency and currency.upper(),
            }
            id = new_id(service)
            given = {field: value for field, value in fields.items() if value is not None}
            await write(service, service.change("create", "unit", id, given))
        run.terminal.data({"id": id, **given})
        run.terminal.line(f"已添加 {name}（{id}）", f"Added {name} ({id})")

    @command(units, "list", "列出组织单元。", ["regulars unit list", "regulars unit list --json"])
    async def list_(run: Run) -> None:
        """Show the units as a tree."""
        async with run.chain() as service:
            rows = await list_rows(service, "unit")
        run.terminal.data(rows)
        if not run.terminal.as_json:
            _draw(run.terminal, rows)

    @command(units, "archive", "归档一个组织单元；其数据保留。", ["regulars unit archive 东莞厚街店"])
    async def archive(
        run: Run, unit: Annotated[str, typer.Argument(help="Name, id or external id. 名称或编号")]
    ) -> None:
        """Archive a unit. Its customers and history stay."""
        async with run.chain() as service:
            row = await find_row(service, run.terminal, "unit", unit)
            await put(service, "unit", row["id"], {"archived": True})
        run.terminal.data({"id": row["id"], "archived": True})
        run.terminal.line(f"已归档 {row['name']}", f"Archived {row['name']}")


def _draw(terminal: Terminal, rows: list[Row]) -> None:
    ids = {row["id"] for row in rows}
    below: dict[str | None, list[Row]] = defaultdict(list)
    for row in rows:
        parent = row.get("parent")
        below[parent if parent in ids else None].append(row)
    drawn: set[str] = set()

    def grow(tree: Any, parent: str | None) -> None:
        for row in below[parent]:
            if row["id"] not in drawn:
                drawn.add(row["id"])
                label = UNIT_KIND.values.get(row["kind"])
                kind = (label.zh if terminal.lang == "zh" else label.en) if label else row["kind"]
                place = " ".join(filter(None, (row.get("country"), row.get("time_zone"))))
                gone = terminal.said(" 已归档", " archived") if row.get("archived") else ""
                grow(
                    tree.add(f"{escape(row['name'])} [dim]{kind}{gone} {escape(place)} {row['id']}[/]"),
                    row["id"],
                )

    root = Tree("", hide_root=True)
    grow(root, None)
    terminal.out.print(root)
