"""`regulars backup` and `regulars restore`: copies of a chain, and the way back."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from regulars_server import backups
from regulars_server.cli.command import Run, command
from regulars_server.cli.loading import Tell, shown
from regulars_server.cli.terminal import at
from regulars_sync.errors import LocalError

DAY_MS = 86_400_000
FOLDER = "backups"


def register(app: typer.Typer) -> None:
    @command(
        app,
        "backup",
        "备份：服务器运行时也可使用。得到某一时刻的完整副本，校验后才出现；--keep 只保留最近几份。",
        [
            "regulars backup --data shop",
            "regulars backup /mnt/nas/shop.db --data shop",
            "regulars backup /mnt/nas/shop --keep 14 --data shop     (every night, from cron)",
        ],
    )
    async def backup(
        run: Run,
        to: Annotated[
            Path | None, typer.Argument(help="A file ending in .db, or a folder. 文件或目录")
        ] = None,
        keep: Annotated[
            int | None, typer.Option(min=1, help="Delete all but the latest so many here. 保留份数")
        ] = None,
    ) -> None:
        """Copy the chain as it is at this instant, beside a running server too.

        The copy is checked before it appears. It holds customers and secrets: keep it as you keep the chain.
        """
        if not await run.has_chain():
            raise LocalError("chain_missing", folder=run.place)
        folder, name = _named(run, to, keep)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with shown(run.terminal, "备份", "backup") as tell:
            made = await _back_up(run, folder / name, tell)
        dropped = _drop(folder, keep, made.chain) if keep else []
        run.terminal.data({**_said(made), "dropped": dropped})
        size, when = f"{made.bytes / 1e6:.1f} MB", _when(made)
        run.terminal.line(
            f"已备份到 {made.file}（{size}，截至 {when}）", f"{made.file}: {size}, up to {when}"
        )
        for file in dropped:
            run.terminal.line(f"已删除旧备份 {file}", f"Deleted an older one: {file}")

    @command(
        app,
        "restore",
        "从备份恢复：先停止服务器。现有数据会保留在旁边；平板会重新上交服务器丢失的修改。",
        ["regulars restore shop/backups/chain-20261122T031500Z.db --data shop"],
    )
    async def restore(run: Run, copy: Annotated[Path, typer.Argument(help="A backup. 备份文件")]) -> None:
        """Let the chain go on from a backup. Stop the server first; what is there now is kept beside it.

        Tablets notice by themselves and offer again what the server lost. Erasures and revocations since
        the backup are carried out again from the journal.
        """
        from regulars_server.app import DATABASE, wall_ms
        from regulars_server.snapshots import FOLDER as SNAPSHOTS

        backups.look(copy)  # what is no copy makes no folder
        was_there = await run.has_chain()
        run.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        epoch = os.urandom(backups.EPOCH_BYTES).hex()
        if run.settings.database:
            from regulars_server import backups_postgres
            from regulars_server.storage.postgres import Address

            address = Address.parse(run.settings.database)
            aside = f"{address.schema}_before_{_stamp().lower()}"
            with shown(run.terminal, "恢复", "restore") as tell:
                found = await backups_postgres.put_back(copy, address, run.data, aside, epoch, tell)
        else:
            aside = str(run.data / f"{DATABASE}.before-restore-{_stamp()}")
            found = backups.put_back(copy, run.data / DATABASE, Path(aside), epoch)
        shutil.rmtree(run.data / SNAPSHOTS, ignore_errors=True)  # of an epoch that is no more
        async with run.chain():  # migrates it, and carries the journal out
            pass
        kept = aside if was_there else None
        run.terminal.data({**_said(found), "kept": kept})
        when = _when(found)
        run.terminal.line(f"已恢复到 {when} 的状态。", f"The chain stands as it was at {when}.")
        if kept:
            run.terminal.line(f"原有数据保留在 {kept}", f"What was there is kept: {kept}")
        days = (wall_ms() - found.at_ms) / DAY_MS
        if found.at_ms and days > run.settings.backup_days:
            run.terminal.note(
                f"此备份已有 {days:.0f} 天，超过平板保留已上交修改的 {run.settings.backup_days} 天"
                "（REGULARS_BACKUP_DAYS）：其间的部分修改可能已无法找回。",
                f"It is {days:.0f} days old, and tablets keep what they handed in for"
                f" {run.settings.backup_days} (REGULARS_BACKUP_DAYS): some of what came between may be lost.",
            )


async def _back_up(run: Run, copy: Path, tell: Tell) -> backups.Copy:
    if not run.settings.database:
        from regulars_server.app import DATABASE

        return backups.back_up(run.data / DATABASE, copy, lambda done, total: tell("", done, total))
    from regulars_server import backups_postgres
    from regulars_server.storage.postgres import Address

    return await backups_postgres.back_up(Address.parse(run.settings.database), run.data, copy, tell)


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")


def _named(run: Run, to: Path | None, keep: int | None) -> tuple[Path, str]:
    if to is not None and to.suffix == ".db" and not to.is_dir():
        if keep:
            run.terminal.refuse("--keep 需要目录。", "--keep needs a folder, not a file.")
        return to.parent, to.name
    return to or run.data / FOLDER, f"chain-{_stamp()}.db"


def _drop(folder: Path, keep: int, chain: str) -> list[str]:
    """Delete the older copies of this chain; what is no whole copy of it is left alone."""
    dropped: list[str] = []
    for file in sorted(folder.glob("chain-*Z.db"), reverse=True)[keep:]:
        try:
            if backups.look(file).chain != chain:
                continue
        except LocalError:
            continue
        file.unlink()
        backups.journal_of(file).unlink(missing_ok=True)
        dropped.append(str(file))
    return dropped


def _said(copy: backups.Copy) -> dict[str, object]:
    when = at(copy.at_ms or None)
    return {
        "file": copy.file,
        "chain": copy.chain,
        "seq": copy.seq,
        "at": when and when.isoformat(),
        "bytes": copy.bytes,
    }


def _when(copy: backups.Copy) -> str:
    when = at(copy.at_ms or None)
    return "-" if when is None else when.isoformat(" ", "seconds")
