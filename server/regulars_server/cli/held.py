"""`regulars held`: changes that wait or were refused, and what a person can do with them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from regulars_schema.messages import text
from regulars_server.cli.command import Run, command
from regulars_server.cli.rows import list_rows, write
from regulars_server.cli.terminal import FAILED, at
from regulars_server.service import Service
from regulars_sync import changes
from regulars_sync.errors import Refused
from regulars_sync.log import Entry

LISTED_MAX = 1_000

Cid = Annotated[str, typer.Argument(help="The change's cid, as `held list` shows it. 修改编号")]


def register(app: typer.Typer) -> None:
    held = typer.Typer(no_args_is_help=True)
    app.add_typer(held, name="held", help="Changes that wait or were refused. 暂存的修改")

    @command(held, "list", "列出暂存和待修正的修改及原因。", ["regulars held list"])
    async def list_(
        run: Run, limit: Annotated[int, typer.Option(min=1, help="At most so many. 最多")] = LISTED_MAX
    ) -> None:
        """List held and rejected changes, each with why and what to do."""
        async with run.chain() as service:
            async with service.storage.unscoped_reader() as reader:
                entries = await reader.open_entries(limit)
            devices = {row["id"]: row["name"] for row in await list_rows(service, "device")}
        rows = [_row(entry, devices, run.terminal.lang) for entry in entries]
        heads = {"at": ("时间", "At"), "device": ("平板", "Tablet"), "entity": ("种类", "Entity")}
        more = {"verdict": ("结果", "Verdict"), "why": ("原因", "Why"), "cid": ("编号", "Cid")}
        run.terminal.rows(rows, {**heads, **more})

    @command(
        held,
        "retry",
        "以总部的名义再试一次，连同同一事务的其他修改。",
        ["regulars held retry 5b1f0c9e…", "regulars held retry --all"],
    )
    async def retry(
        run: Run,
        cid: Annotated[str, typer.Argument(help="The change's cid. 修改编号")] = "",
        all_: Annotated[bool, typer.Option("--all", help="Every one. 全部")] = False,
    ) -> int:
        """Try a held change again in head office's name, with all of its transaction.

        Exit code 1 when something still does not apply.
        """
        if bool(cid) is all_:
            run.terminal.refuse("请给出修改编号，或 --all。", "Give a cid, or --all.")
        async with run.chain() as service:
            if all_:
                async with service.storage.unscoped_reader() as reader:
                    groups = list(dict.fromkeys(e.group for e in await reader.open_entries(LISTED_MAX)))
            else:
                groups = [(await _find(service, cid)).group]
            accepted = [
                group for group in groups if await service.admission.retry(group, by_head_office=True)
            ]
        run.terminal.data({"tried": len(groups), "accepted": len(accepted)})
        run.terminal.line(
            f"试了 {len(groups)} 个事务，采用 {len(accepted)} 个",
            f"Tried {len(groups)} transactions, accepted {len(accepted)}",
        )
        return 0 if len(accepted) == len(groups) else FAILED

    @command(held, "drop", "放弃一条修改；同一事务的其余修改继续。", ["regulars held drop 5b1f0c9e…"])
    async def drop(run: Run, cid: Cid) -> None:
        """Give a held change up. The rest of its transaction goes on without it; the log keeps it."""
        async with run.chain() as service:
            entry = await _find(service, cid)
            made = service.change("edit", entry.entity, entry.id, {})
            await write(service, msgspec.structs.replace(made, replaces=entry.cid))
        run.terminal.data({"cid": entry.cid, "dropped": True})
        run.terminal.line("已放弃", "Dropped")


async def _find(service: Service, cid: str) -> Entry:
    """The open change whose cid begins so; `Refused("mend_invalid")`."""
    async with service.storage.unscoped_reader() as reader:
        found = [e for e in await reader.open_entries(LISTED_MAX) if e.cid.startswith(cid)]
    if len(found) != 1:
        raise Refused("mend_invalid", replaces=cid)
    return found[0]


def _row(entry: Entry, devices: dict[str, str], lang: str) -> dict[str, Any]:
    written: dict[str, Any] = {}
    if entry.body is not None:
        try:
            written = {path: value.value for path, value in changes.decode(entry.body).fields.items()}
        except changes.Malformed:
            written = {}
    return {
        "cid": entry.cid,
        "group": entry.group,
        "at": at(entry.at_ms),
        "device": devices.get(entry.device or "", entry.device),
        "entity": entry.entity,
        "id": entry.id,
        "verdict": entry.verdict,
        "code": entry.code,
        "why": text(entry.code or "", {"field": entry.field, **(entry.detail or {})}, lang),
        "fields": written,
    }
