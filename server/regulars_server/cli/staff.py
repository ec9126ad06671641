"""`regulars staff`: who works where, and the PIN with which they sign in on a tablet."""

from __future__ import annotations

from typing import Annotated

import typer

from regulars_schema.entities import STAFF_ROLE
from regulars_server.cli.command import Run, command
from regulars_server.cli.rows import elements, find_row, list_rows, new_id, put, values, write
from regulars_server.service import Service
from regulars_sync.pins import SALT_BYTES, verifier

ROLES = ", ".join(STAFF_ROLE.values)
PIN_DIGITS = 6


def register(app: typer.Typer) -> None:
    people = typer.Typer(no_args_is_help=True)
    app.add_typer(people, name="staff", help="Staff: add, list, PIN. 员工")

    @command(
        people,
        "add",
        "添加一名员工。登录口令另设：regulars staff pin。",
        [
            "regulars staff add 王芳 --unit 上海徐家汇店",
            "regulars staff add 李敏 --unit 华东区",
        ],
    )
    async def add(
        run: Run,
        name: Annotated[str, typer.Argument(help="姓名")],
        role: Annotated[str, typer.Option(help=f"{ROLES}. 角色")] = "clerk",
        unit: Annotated[list[str] | None, typer.Option(help="Where; may be given twice. 门店")] = None,
    ) -> None:
        """Add a member of staff. The PIN comes by another command: regulars staff pin."""
        async with run.chain() as service:
            units = [(await find_row(service, run.terminal, "unit", one))["id"] for one in unit or ()]
            id = new_id(service)
            fields = {"name": name, "role": role, "active": True, **elements("units", units)}
            await write(service, service.change("create", "staff", id, fields))
        run.terminal.data({"id": id, "name": name, "role": role, "units": units})
        run.terminal.line(f"已添加 {name}（{id}）", f"Added {name} ({id})")

    @command(
        people,
        "list",
        "列出员工。",
        ["regulars staff list", "regulars staff list --unit 徐家汇 --json"],
    )
    async def list_(
        run: Run,
        unit: Annotated[str | None, typer.Option(help="Only those of this unit. 只列此门店")] = None,
    ) -> None:
        """List the staff, and who has a PIN."""
        async with run.chain() as service:
            names = {row["id"]: row["name"] for row in await list_rows(service, "unit")}
            within = None
            if unit is not None:
                within = (await find_row(service, run.terminal, "unit", unit))["id"]
            people_ = await list_rows(service, "staff")
            async with service.storage.unscoped_reader() as reader:
                pins = await reader.find("staff_pin", [row["id"] for row in people_])
        rows = [
            {
                "id": row["id"],
                "name": row["name"],
                "role": row["role"],
                "units": [names.get(one, one) for one in row.get("units") or ()],
                "active": row.get("active") is not False,
                "pin": row["id"] in pins,
            }
            for row in people_
            if within is None or within in (row.get("units") or ())
        ]
        heads = {"name": ("姓名", "Name"), "role": ("角色", "Role"), "units": ("门店", "Units")}
        more = {"active": ("在职", "Active"), "pin": ("有口令", "PIN"), "id": ("编号", "Id")}
        run.terminal.rows(rows, {**heads, **more})

    @command(
        people,
        "pin",
        "设置员工在平板上的登录口令；只下发到其门店的平板。员工换门店后请重设。",
        ["regulars staff pin 王芳", "echo 246810 | regulars staff pin 王芳 --pin-stdin"],
    )
    async def pin(
        run: Run,
        name: Annotated[str, typer.Argument(help="Name, id or external id. 姓名或编号")],
        pin_stdin: Annotated[
            bool, typer.Option("--pin-stdin", help="Read the PIN from stdin. 从标准输入读口令")
        ] = False,
    ) -> None:
        """Set the PIN of a member of staff, for the tablets of the units where they work.

        It is asked for; without a terminal one is generated and shown once. Set it again when they
        move to another unit.
        """
        terminal = run.terminal
        async with run.chain() as service:
            row = await find_row(service, terminal, "staff", name)
            given = terminal.secret(f"{row['name']} 的口令", f"PIN of {row['name']}", pin_stdin)
            chosen = given if given is not None else _digits(service)
            tree = await service.admission.tree()
            units = tree.below(row.get("units") or ())
            if not units:
                terminal.refuse(
                    f"{row['name']} 没有所属门店，请先设置。",
                    f"{row['name']} works in no unit yet.",
                )
            before: set[str] = set()
            async with service.storage.unscoped_reader() as reader:
                found = (await reader.find("staff_pin", [row["id"]])).get(row["id"])
            if found is not None:
                before = set(values(service, "staff_pin", found).get("units") or ())
            said = verifier(chosen, service.entropy(SALT_BYTES))
            fields = {"verifier": said, **elements("units", units, before - units)}
            await put(service, "staff_pin", row["id"], fields)
        terminal.data({"id": row["id"], "units": sorted(units), "pin": None if given else chosen})
        terminal.line(f"已设置 {row['name']} 的口令", f"Set the PIN of {row['name']}")
        if given is None:
            terminal.line(f"口令（只显示一次）：{chosen}", f"PIN (shown this once): {chosen}")


def _digits(service: Service) -> str:
    return f"{int.from_bytes(service.entropy(8)) % 10**PIN_DIGITS:0{PIN_DIGITS}}"
