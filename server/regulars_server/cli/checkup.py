"""What `regulars doctor` looks at around the chain's data: backups, tablets, works, settings, a URL.

Each check gives one `Finding`: `ok`, `look` (for a person; nothing is broken) or `wrong`.
"""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import orjson

from regulars_server.journal import Journal
from regulars_server.service import Service
from regulars_server.settings import Settings
from regulars_server.storage.interface import OpenCount
from regulars_server.telemetry.figures import lags_s
from regulars_server.works import WorkRow
from regulars_sync.errors import RegularsError

DAY_S, HOUR_S = 86_400.0, 3_600.0
BACKUP_S_MAX = 2 * DAY_S
WAL_BYTES_MAX = 256 * 1024 * 1024
LAG_S_MAX = 3 * DAY_S
WORK_S_MAX = HOUR_S
CLOCK_MS_MAX = 2_000
CERTIFICATE_DAYS_MIN = 14
URL_S_MAX = 10
NAMED_MAX = 5

HELD = "held"
State = Literal["ok", "look", "wrong"]
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost", ""})

WHAT_TO_DO: Mapping[str, tuple[str, str]] = {
    "held": (
        "等待的内容到达后自动通过；也可 regulars held retry",
        "passes by itself when what it waits for comes, or: regulars held retry",
    ),
    "rejected": (
        "需修正或放弃：regulars held list / drop",
        "to be mended or dropped: regulars held list, drop",
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    state: State
    """`look` is for a person and nothing is broken."""
    zh: str
    en: str


def problem(check: str, error: RegularsError) -> Finding:
    return Finding(check, "wrong", error.text("zh"), error.text("en"))


def ago(seconds: float) -> tuple[str, str]:
    """A length of time in words, zh and en."""
    for unit_s, zh, en in ((DAY_S, "天", "d"), (HOUR_S, "小时", "h"), (60.0, "分钟", "min")):
        if seconds >= unit_s:
            return f"{seconds / unit_s:.0f} {zh}", f"{seconds / unit_s:.0f} {en}"
    return f"{max(seconds, 0):.0f} 秒", f"{max(seconds, 0):.0f} s"


# --- files ------------------------------------------------------------------------------------------


def backup(folder: Path, now_s: float, days_max: int) -> Finding:
    """How old the newest backup in a folder is; one older than tablets keep what they sent is wrong."""
    made = [file.stat().st_mtime for file in folder.glob("chain-*Z.db")]
    if not made:
        zh = f"{folder} 中没有备份：regulars backup（别处的备份用 --backups 指明）"
        return Finding(
            "backup", "look", zh, f"No backup in {folder}: regulars backup (--backups says where else)"
        )
    age = now_s - max(made)
    state: State = "ok" if age <= BACKUP_S_MAX else "look" if age <= days_max * DAY_S else "wrong"
    zh, en = ago(age)
    return Finding("backup", state, f"最近的备份在 {zh}前", f"The newest backup is {en} old")


def journal(folder: Path) -> Finding:
    try:
        records = sum(1 for _ in Journal(folder).records())
    except RegularsError as error:
        return problem("journal", error)
    except OSError as error:
        return Finding(
            "journal", "wrong", f"日志文件无法读取：{error}", f"The journal can't be read: {error}"
        )
    return Finding("journal", "ok", f"撤销与删除记录 {records} 条", f"Journal of {records} records")


def wal(database: Path, now_s: float) -> Finding:
    """How much of the WAL waits for a checkpoint, and for how long."""
    file = database.with_name(f"{database.name}-wal")
    size = file.stat().st_size if file.exists() else 0
    age = max(now_s - database.stat().st_mtime, 0) if size else 0.0
    zh, en = ago(age)
    said_zh = f"WAL {size / 1e6:.1f} MB，上次检查点在 {zh}前" if size else "WAL 为空"
    said = f"WAL of {size / 1e6:.1f} MB, last checkpoint {en} ago" if size else "The WAL is empty"
    if size <= WAL_BYTES_MAX:
        return Finding("wal", "ok", said_zh, said)
    return Finding(
        "wal", "look", f"{said_zh}：有读者长时间未结束", f"{said}: a reader stays open, look for it"
    )


# --- the chain --------------------------------------------------------------------------------------


def waiting(found: list[OpenCount], now_ms: int) -> Finding:
    """What is held and rejected, by code, the oldest of each, and what to do."""
    if not found:
        return Finding(HELD, "ok", "没有待处理的修改", "No change waits for anybody")
    zh_lines, en_lines = [], []
    for one in sorted(found, key=lambda one: one.oldest_ms):
        zh, en = ago((now_ms - one.oldest_ms) / 1_000)
        do_zh, do_en = WHAT_TO_DO[one.verdict]
        zh_lines.append(f"{one.changes} 条 {one.code or one.verdict}（最早 {zh}前；{do_zh}）")
        en_lines.append(f"{one.changes} {one.verdict} {one.code or ''} (oldest {en} ago; {do_en})")
    return Finding(HELD, "look", "待处理：" + "；".join(zh_lines), "Waiting: " + "; ".join(en_lines))


async def tablets(service: Service, names: Mapping[str, str]) -> Finding:
    """Which tablets were not heard of for long."""
    lags = {names.get(device, device): lag for device, lag in (await lags_s(service)).items()}
    late = {name: lag for name, lag in lags.items() if lag > LAG_S_MAX}
    if not late:
        return Finding(
            "lag", "ok", f"{len(lags)} 台设备近日均有连接", f"{len(lags)} tablets, all heard of lately"
        )
    shown = [(name, ago(lag) if lag < math.inf else ("从未连接", "never")) for name, lag in late.items()]
    shown = shown[:NAMED_MAX]
    zh = "、".join(f"{name}（{said[0]}）" for name, said in shown)
    en = ", ".join(f"{name} ({said[1]})" for name, said in shown)
    return Finding(
        "lag",
        "look",
        f"{len(late)}/{len(lags)} 台设备多日未连接：{zh}（regulars device list）",
        f"{len(late)} of {len(lags)} tablets not heard of for days: {en} (regulars device list)",
    )


def works(found: list[WorkRow], now_ms: int) -> Finding:
    """Exports and imports that nobody gets on with."""
    stuck = [work for work in found if now_ms - max(work.alive_ms, work.made_ms) > WORK_S_MAX * 1_000]
    if not stuck:
        zh, en = f"{len(found)} 项导入导出进行中", f"{len(found)} exports and imports under way"
        return Finding("works", "ok", zh, en)
    shown = ", ".join(f"{work.kind} {work.id}" for work in stuck[:NAMED_MAX])
    zh = f"{len(stuck)} 项导入导出停滞，服务器是否在运行？{shown}"
    return Finding(
        "works", "look", zh, f"{len(stuck)} exports or imports are stuck; does a server run? {shown}"
    )


# --- settings ---------------------------------------------------------------------------------------


def unsafe(settings: Settings) -> list[tuple[str, str]]:
    """Settings, and files, that let in or tell more than they should; zh and en of each."""
    found: list[tuple[str, str]] = []

    def say(what: str, zh: str, en: str) -> None:
        found.append((f"{what}：{zh}", f"{what}: {en}"))

    host = settings.metrics.rpartition(":")[0].strip("[]")
    database = urlsplit(settings.database)
    if settings.host not in LOOPBACK:
        say(f"REGULARS_HOST={settings.host}", "前面必须有 TLS 代理", "a proxy with TLS must stand in front")
    if host not in LOOPBACK:
        say(f"REGULARS_METRICS={settings.metrics}", "只应内部可达", "to be reached by Prometheus alone")
    if "http://" in settings.origins:
        say("REGULARS_ORIGINS", "含没有 TLS 的网站", "lists a site without TLS")
    if "all" in settings.introspection.split(","):
        say("REGULARS_INTROSPECTION=all", "任何人可读模式", "tells everybody the schema")
    if settings.log_level.lower() == "debug":
        say("REGULARS_LOG_LEVEL=debug", "库可能记下客户内容", "libraries may log what was written")
    if (database.hostname or "") not in LOOPBACK and "sslmode=verify-full" not in database.query:
        say(
            "REGULARS_DATABASE",
            "未要求核对 TLS（sslmode=verify-full）",
            "asks for no checked TLS (sslmode=verify-full)",
        )
    if settings.data.exists() and stat.S_IMODE(settings.data.stat().st_mode) & 0o077:
        say(str(settings.data), "其他用户可读（chmod 700）", "is open to other users (chmod 700)")
    return found


def safety(settings: Settings) -> Finding:
    found = unsafe(settings)
    if not found:
        return Finding("settings", "ok", "设置安全", "The settings are safe")
    return Finding("settings", "look", "；".join(zh for zh, _ in found), "; ".join(en for _, en in found))


# --- a URL ------------------------------------------------------------------------------------------


async def at_url(url: str) -> list[Finding]:
    """Whether a server answers there, its clock against this machine's, and its certificate."""
    return await asyncio.to_thread(_at_url, url.rstrip("/"))


def _at_url(url: str) -> list[Finding]:
    parts, findings = urlsplit(url), []
    if parts.scheme == "https":
        findings.append(certificate(parts.hostname or "", parts.port or 443))
    elif (parts.hostname or "") not in LOOPBACK:
        zh, en = f"{url} 没有 TLS", f"{url} is without TLS: everybody on the way can read"
        findings.append(Finding("certificate", "wrong", zh, en))
    try:
        begun = time.time()
        with urllib.request.urlopen(f"{url}/readyz", timeout=URL_S_MAX) as answer:
            answer.read()
        with urllib.request.urlopen(f"{url}/sync/v1", timeout=URL_S_MAX) as answer:
            there_ms = orjson.loads(answer.read())["now"]
        between = (begun + time.time()) / 2
    except (OSError, ValueError, KeyError, TypeError) as error:
        said = getattr(error, "reason", None) or error
        return [
            *findings,
            Finding("url", "wrong", f"{url} 没有应答：{said}", f"{url} does not answer: {said}"),
        ]
    findings.append(Finding("url", "ok", f"{url} 正常应答", f"{url} answers"))
    return [*findings, clock_offset(there_ms - int(between * 1_000))]


def clock_offset(ms: int) -> Finding:
    zh, en = f"与服务器时钟相差 {ms} 毫秒", f"The server's clock is {ms} ms from this one"
    return Finding("clock_offset", "ok" if abs(ms) <= CLOCK_MS_MAX else "look", zh, en)


def certificate(host: str, port: int, context: ssl.SSLContext | None = None) -> Finding:
    context = context or ssl.create_default_context()
    try:
        with (
            socket.create_connection((host, port), URL_S_MAX) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            ends = ssl.cert_time_to_seconds(str((secured.getpeercert() or {})["notAfter"]))
    except (OSError, KeyError, ValueError) as error:
        return Finding("certificate", "wrong", f"证书无效：{error}", f"The certificate is not good: {error}")
    days = (ends - time.time()) / DAY_S
    zh, en = f"证书还有 {days:.0f} 天到期", f"The certificate ends in {days:.0f} days"
    return Finding("certificate", "ok" if days >= CERTIFICATE_DAYS_MIN else "look", zh, en)
