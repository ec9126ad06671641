"""`regulars doctor`: on one screen, whether the chain is whole, and what waits for somebody."""

from __future__ import annotations

import shutil
import sqlite3
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from regulars_schema.declare import Level
from regulars_server.cli import checkup
from regulars_server.cli.backups import FOLDER as BACKUPS
from regulars_server.cli.checkup import NAMED_MAX, Finding, State
from regulars_server.cli.checkup import problem as _problem
from regulars_server.cli.command import Run, command
from regulars_server.cli.rows import list_rows, values
from regulars_server.cli.terminal import FAILED, Terminal
from regulars_server.knowledge.indexing import Difference, differing, index_again
from regulars_server.service import Service
from regulars_server.storage.interface import Reader
from regulars_server.storage.migrations import APPLICATION_ID, STEPS
from regulars_server.storage.standing import Sweep
from regulars_sync.clock import DRIFT_MS_MAX, STAMPS_PER_MS
from regulars_sync.digest import EMPTY, Digest, add, row_hash
from regulars_sync.errors import LocalError, RegularsError
from regulars_sync.log import Entry
from regulars_sync.scope import CHAIN, at_level, device_scope, unit_scope

FREE_BYTES_MIN = 512 * 1024 * 1024
LISTED_MAX = 1_000
PAGE_ROWS, PAGE_BYTES = 5_000, 64 * 1024 * 1024
EARLIEST_MS = 1_767_225_600_000
"""2026: a clock before it is wrong."""

MARKS: dict[State, str] = {"ok": "[green]✓[/]", "look": "[yellow]![/]", "wrong": "[bold red]✗[/]"}


def register(app: typer.Typer) -> None:
    @command(
        app,
        "doctor",
        "值班一览：数据库、日志、摘要、备份、磁盘、时钟、设备、待处理修改、设置、证书；有错误时退出码为 1。",
        [
            "regulars doctor --data shop",
            "regulars doctor --json",
            "regulars doctor --url https://hq.example --backups /mnt/nas/regulars",
            "regulars doctor --mend",
        ],
    )
    async def doctor(
        run: Run,
        url: Annotated[
            str,
            typer.Option(
                help="Where tablets reach the server: is it there, its clock, its certificate. 网址"
            ),
        ] = "",
        backups: Annotated[
            Path | None, typer.Option(help="Where backups are kept; else in the folder. 备份目录")
        ] = None,
        mend: Annotated[
            bool,
            typer.Option("--mend", help="Have customers indexed anew of whom the index is wrong. 修复索引"),
        ] = False,
    ) -> int:
        """Check the chain beside a running server: file, log, digests, backups, journal, disk, clock; and say
        which tablets lag, what waits and what to do, and which settings are unsafe. Changes nothing but, with
        --mend, an index that differs from its facts.

        Exit code 1 when something is wrong.
        """
        from regulars_server.app import DATABASE

        if not await run.has_chain():
            raise LocalError("chain_missing", folder=run.place)
        path = run.data / DATABASE
        now_s = time.time()
        findings = (
            [] if run.settings.database else [*file_findings(path), disk(path), checkup.wal(path, now_s)]
        )
        findings.append(checkup.backup(backups or run.data / BACKUPS, now_s, run.settings.backup_days))
        findings.append(checkup.journal(run.data))
        # To open an older file would migrate it, perhaps under a server that runs.
        if all(f.state == "ok" for f in findings if f.check in {"version", "integrity"}):
            try:
                async with run.chain() as service:
                    findings += await chain_findings(service, mend)
            except RegularsError as error:
                findings.append(_problem("open", error))
            except (sqlite3.Error, ValueError, TypeError, KeyError) as error:  # bytes that nobody can read
                said = LocalError("file_damaged", file=run.place, reason=f"{type(error).__name__}: {error}")
                findings.append(_problem("open", said))
        findings.append(checkup.safety(run.settings))
        if url:
            findings += await checkup.at_url(url)
        show(run.terminal, findings)
        return FAILED if any(f.state == "wrong" for f in findings) else 0


def show(terminal: Terminal, findings: list[Finding]) -> None:
    terminal.data([asdict(finding) for finding in findings])
    if terminal.as_json:
        return
    for f in findings:
        terminal.out.print(f"{MARKS[f.state]} {escape(terminal.said(f.zh, f.en))}", soft_wrap=True)


def file_findings(path: Path) -> list[Finding]:
    """What can be said of the file without opening it as a chain."""
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)
        try:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            said = [row for (row,) in connection.execute("PRAGMA integrity_check(5)")]
        finally:
            connection.close()
    except sqlite3.DatabaseError as unread:
        return [_problem("integrity", LocalError("file_damaged", file=str(path), reason=str(unread)))]
    if application != APPLICATION_ID:
        return [_problem("version", LocalError("file_foreign", file=str(path)))]
    findings = [_version(path, version)]
    if said == ["ok"]:
        findings.append(Finding("integrity", "ok", "文件完好", "The file is whole"))
    else:
        shown = "; ".join(map(str, said))
        findings.append(_problem("integrity", LocalError("file_damaged", file=str(path), reason=shown)))
    return findings


def _version(path: Path, version: int) -> Finding:
    known = len(STEPS)
    if version > known:
        return _problem("version", LocalError("file_newer", file=str(path), found=version, known=known))
    if version < known:
        zh, en = f"数据库版本 {version}，将升级到 {known}", f"Database version {version}, to become {known}"
        return Finding("version", "look", zh, en)
    return Finding("version", "ok", f"数据库版本 {version}", f"Database version {version}")


def disk(path: Path) -> Finding:
    free, size = shutil.disk_usage(path.parent).free, path.stat().st_size
    zh = f"数据库 {size / 1e6:.1f} MB，磁盘剩余 {free / 1e9:.1f} GB"
    en = f"Database {size / 1e6:.1f} MB, {free / 1e9:.1f} GB free on the disk"
    return Finding("disk", "ok" if free >= max(FREE_BYTES_MIN, 2 * size) else "wrong", zh, en)


async def chain_findings(service: Service, mend: bool = False) -> list[Finding]:
    findings = [await _answers(service), await _log(service)]
    units = await list_rows(service, "unit")
    devices = await list_rows(service, "device")
    names = [CHAIN, *(unit_scope(u["id"]) for u in units), *(device_scope(d["id"]) for d in devices)]
    async with service.storage.unscoped_reader() as reader:
        head = await reader.head()
        findings.append(await _digests(reader, [at_level(name, level) for name in names for level in Level]))
        equal = await reader.equal_keys(LISTED_MAX)
        held = await reader.open_counts()
        gaps = await reader.gaps(LISTED_MAX)
        now = service.now_ms()
        sweep = await reader.sweep(now)
        indexed = await differing(reader, now)
    if mend and indexed:
        await index_again(service.storage, [one.customer for one in indexed])
    behind_ms = head.stamp_max // STAMPS_PER_MS - now
    if now < EARLIEST_MS or behind_ms > DRIFT_MS_MAX:
        zh, en = "本机时钟不对：早于已有的修改", "The clock of this machine is wrong: behind what was written"
        findings.append(Finding("clock", "wrong", zh, en))
    else:
        findings.append(Finding("clock", "ok", "时钟正常", "The clock is plausible"))
    roots = [u["name"] for u in units if not u.get("parent") and not u.get("archived")]
    if len(roots) != 1:
        shown = ", ".join(roots) or "-"
        zh = f"应只有一个最上级单元，现有：{shown}（可用 regulars unit archive 归档）"
        en = f"One unit should stand on top, here: {shown} (regulars unit archive takes one away)"
        findings.append(Finding("units", "look", zh, en))
    if stale := await _stale_pins(service):
        shown = ", ".join(stale)
        zh = f"口令的门店与员工的门店不同，请重设（regulars staff pin）：{shown}"
        en = f"PINs that are not where their members work; set them again (regulars staff pin): {shown}"
        findings.append(Finding("pins", "look", zh, en))
    names_by_id = {device["id"]: device["name"] for device in devices}
    findings.append(checkup.waiting(held, now))
    findings.append(await checkup.tablets(service, names_by_id))
    findings.append(_gaps(gaps, names_by_id))
    findings.append(checkup.works(await service.works.open(), now))
    findings += [_standing(sweep), _indexed(indexed, mend)]
    en = "keys that two customers or more share"
    findings.append(_count("equal_keys", len(equal), "个号码为多位顾客共有", en))
    return findings


def _gaps(found: list[Entry], names: dict[str, str]) -> Finding:
    """Changes that a tablet lost before it sent them; nobody can bring them back."""
    if not found:
        return Finding("gaps", "ok", "没有设备丢失过修改", "No device has lost changes")
    said = [(names.get(entry.device or "", "?"), entry.detail or {}) for entry in found[:5]]
    shown = ", ".join(f"{name} {d.get('first')}-{d.get('last')}" for name, d in said)
    zh = f"有设备丢失了尚未上传的修改，请当面核对：{shown}"
    return Finding("gaps", "look", zh, f"Devices lost changes before they sent them; ask there: {shown}")


def _standing(sweep: Sweep | None) -> Finding:
    """How far the servers are with looking where customers stand; that they are behind is no fault."""
    if sweep is None:
        return Finding("standing", "ok", "顾客的分类均为最新", "Where customers stand is up to date")
    zh = f"规则变动后已重查 {sweep.reached}/{sweep.total} 位顾客，待查 {sweep.waiting} 位"
    en = f"A rule changed: {sweep.reached} of {sweep.total} customers are in turn, {sweep.waiting} wait"
    return Finding("standing", "ok", zh, en)


def _indexed(found: list[Difference], mend: bool) -> Finding:
    """Of whom the facts that are laid out for rules are not those that count."""
    if not found:
        return Finding("index", "ok", "交易索引与记录相符", "The index of facts fits the facts")
    shown = ", ".join(one.customer for one in found[:NAMED_MAX])
    missing, surplus = sum(one.missing for one in found), sum(one.surplus for one in found)
    count = len(found)
    zh = f"{count} 位顾客的交易索引与记录不符：缺 {missing} 条，多 {surplus} 条：{shown}"
    en = f"The index of facts is wrong of {count} customers: {missing} missing, {surplus} too many: {shown}"
    if mend:
        return Finding("index", "look", f"{zh}；服务器将重建", f"{en}; a server makes it anew")
    return Finding("index", "wrong", f"{zh}（regulars doctor --mend）", f"{en} (regulars doctor --mend)")


def _count(check: str, found: int, zh: str, en: str) -> Finding:
    shown = f"{found}+" if found >= LISTED_MAX else str(found)
    return Finding(check, "look" if found else "ok", f"{shown} {zh}", f"{shown} {en}")


async def _stale_pins(service: Service) -> list[str]:
    """The members of staff whose PIN went to other units than those where they work now."""
    people = {row["id"]: row for row in await list_rows(service, "staff")}
    tree = await service.admission.tree()
    async with service.storage.unscoped_reader() as reader:
        found = await reader.find("staff_pin", people)
    return [
        people[id]["name"]
        for id, row in found.items()
        if set(values(service, "staff_pin", row).get("units") or ())
        != tree.below(people[id].get("units") or ())
    ]


async def _answers(service: Service) -> Finding:
    """How long one read takes; that it is laid out as this version wants was seen when it was opened."""
    begun = time.perf_counter()
    async with service.storage.unscoped_reader() as reader:
        seq = (await reader.head()).seq
    ms = (time.perf_counter() - begun) * 1_000
    zh = f"数据库应答 {ms:.0f} 毫秒，结构为第 {len(STEPS)} 版，提交 {seq}"
    en = f"The database answers in {ms:.0f} ms, laid out as version {len(STEPS)}, commit {seq}"
    return Finding("database", "ok", zh, en)


async def _log(service: Service) -> Finding:
    try:
        entries = await service.storage.verify_log()
    except RegularsError as error:
        return _problem("log", error)
    return Finding("log", "ok", f"日志 {entries} 条，哈希链完整", f"Log of {entries} entries, its hashes fit")


async def _digests(reader: Reader, scopes: list[str]) -> Finding:
    """Count and hash of every scope, computed anew from the stored bytes."""
    kept = await reader.digests(scopes)
    differing = [scope for scope in scopes if await recount(reader, scope) != kept.get(scope, EMPTY)]
    if differing:
        shown = ", ".join(differing[:5])
        return Finding("digests", "wrong", f"摘要不符：{shown}", f"The digest does not fit its rows: {shown}")
    rows = sum(kept.get(scope, EMPTY).rows for scope in scopes)
    return Finding("digests", "ok", f"{rows} 行与摘要相符", f"{rows} rows fit the digests of their scopes")


async def recount(reader: Reader, scope: str) -> Digest:
    """The digest of a scope from what its feed holds."""
    digest, after = EMPTY, {scope: 0}
    while True:
        page = await reader.feed(after, PAGE_ROWS, PAGE_BYTES)
        for rows in page.rows:
            digest = add(digest, [row_hash(rows.entity, document) for document in rows.documents])
        after = dict(page.reached)
        if not page.more:
            return digest
