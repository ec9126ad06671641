"""Regulars in a minute: a chain is made and filled, two tablets of one branch work a day without a network,
come back, and equal the server.

    make demo                  the server stays up afterwards
    make demo ARGS=--once      ends by itself; not 0 when a tablet does not equal the server
    regulars demo --lang zh    the same, in Chinese

Everything goes the ways that a shop goes: `regulars` commands, a real server process, the SDK over HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import io
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from regulars import Customer, Interaction, Shop, Staff, SyncReport
from regulars.transport import Download, HttpTransport
from regulars_schema.declare import JSON, Rule
from regulars_schema.entities import CUSTOMER
from regulars_server.app import create_service, opened
from regulars_server.cli import create_cli
from regulars_server.cli.doctor import recount
from regulars_server.cli.terminal import PARTLY, language
from regulars_server.settings import Settings
from regulars_sync.digest import EMPTY, Digest
from regulars_sync.errors import Offline
from regulars_sync.scope import CHAIN, device_scope, unit_scope

SOURCE = "sample"
COMPANY, BRANCH = "U-01", "U-05"
"""External ids of the sample."""
PINS = ("246810", "135790")
PHONE = "+8613800138000"
STOP_S_MAX = 30
HEARD_S_MAX = 3

RULES: dict[Rule, tuple[str, str]] = {
    Rule.LAST_WRITER: ("后写者显示，另一值保留待查", "the last writer is shown, the other value is kept"),
    Rule.VERIFIED: ("已核实的优先，再看先后", "what was verified goes before what was not"),
    Rule.MIN: ("取最早", "the earliest"),
    Rule.SET_REMOVE: ("撤回优先", "a withdrawal wins"),
    Rule.SET_ADD: ("都保留", "both are kept"),
    Rule.ANY_TRUE: ("有一方归档即归档", "archived when anybody archived it"),
}


class Cable(HttpTransport):
    """The network of one tablet, which can be pulled out."""

    plugged = True

    async def post(self, path: str, body: bytes, token: str | None) -> tuple[int, bytes]:
        if not Cable.plugged:
            raise Offline("offline")
        return await super().post(path, body, token)

    @contextlib.asynccontextmanager
    async def fetch(
        self, path: str, token: str, start: int = 0, etag: str | None = None
    ) -> AsyncIterator[Download]:
        if not Cable.plugged:
            raise Offline("offline")
        async with super().fetch(path, token, start, etag) as answer:
            yield answer


@dataclass
class Show:
    """What the person at the terminal reads."""

    lang: str
    console: Console
    began: float

    def said(self, zh: str, en: str) -> str:
        return zh if self.lang == "zh" else en

    def chapter(self, zh: str, en: str) -> None:
        passed = time.monotonic() - self.began
        self.console.print()
        self.console.rule(f"[bold]{self.said(zh, en)}[/] [dim]{passed:.0f} s[/]", align="left")

    def line(self, zh: str, en: str) -> None:
        self.console.print(escape(self.said(zh, en)), soft_wrap=True)

    def table(self, heads: Sequence[tuple[str, str]], rows: Sequence[Sequence[object]]) -> None:
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for zh, en in heads:
            table.add_column(self.said(zh, en), overflow="fold")
        for row in rows:
            table.add_row(*(escape(str(cell)) for cell in row))
        self.console.print(table)


# --- the commands a shop would type ---------------------------------------------------------------


@dataclass
class Regulars:
    """The command line on one chain's folder."""

    show: Show
    data: Path

    def __call__(self, *arguments: str, stdin: str = "", expect: int = 0) -> None:
        """Run a command and show it with its output."""
        self.show.console.print(f"[cyan]$ regulars {escape(' '.join(arguments))}[/]", soft_wrap=True)
        self._run([*arguments, "--lang", self.show.lang], stdin, expect)

    def asked(self, *arguments: str, stdin: str = "") -> Any:
        """Run a command as a script does; what it answers."""
        with contextlib.redirect_stdout(io.StringIO()) as out:
            self._run([*arguments, "--json"], stdin, 0)
        return orjson.loads(out.getvalue())

    def _run(self, arguments: list[str], stdin: str, expect: int) -> None:
        before, sys.stdin = sys.stdin, io.StringIO(stdin)
        try:
            given = [*arguments, "--data", str(self.data)]
            code = create_cli()(args=given, prog_name="regulars", standalone_mode=False)
        finally:
            sys.stdin = before
        if code != expect:
            raise SystemExit(f"regulars {' '.join(arguments)}: exit code {code}")


def fill(regulars: Regulars, customers: int, interactions: int) -> None:
    """The sample chain, by the import that everybody has."""
    show, files = regulars.show, regulars.data / "csv"
    sizes = ["--customers", str(customers), "--interactions", str(interactions)]
    regulars("sample", str(files), *sizes)
    regulars("import", str(files), "--source", SOURCE)
    show.line("再导入一次，没有任何改动：", "The same files again change nothing:")
    regulars("import", str(files), "--source", SOURCE)
    show.line("不合格的行列出行号与原因：", "A line that does not fit is told, the others are taken:")
    late = files / "customers-late.csv"
    with late.open("w", encoding="utf-8", newline="") as file:
        rows = [["external_id", "name", "home_unit", "phones", "gender"]]
        rows += [
            ["L-1", "许静", BRANCH, "139-1700-2211", "female"],
            ["L-2", "程远", BRANCH, "13917002212", "m"],
        ]
        csv.writer(file).writerows(rows)
    regulars("import", str(late), "--source", SOURCE, expect=PARTLY)


@contextlib.contextmanager
def server(regulars: Regulars, port: int) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """A server process on the chain; stopped at the end as a service manager stops it."""
    regulars.show.console.print("[cyan]$ regulars serve[/]")
    command = [sys.executable, "-m", "regulars_server.cli", "serve", "--json", "--port", str(port)]
    with (regulars.data / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--data", str(regulars.data)], stdout=subprocess.PIPE, stderr=log
        )
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            if not first:
                raise SystemExit((regulars.data / "server.log").read_text("utf-8"))
            yield process, orjson.loads(first)
        finally:
            process.terminate()
            try:
                process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


# --- the day ---------------------------------------------------------------------------------------


@dataclass
class Clash:
    """One field that both tablets wrote without having seen each other."""

    customer: Customer
    path: str
    one: JSON
    two: JSON


@dataclass
class Story:
    """What was done offline, for telling what became of it."""

    clashes: list[Clash]
    apart: Customer
    archived: Customer
    bought: Interaction


async def regular_customers(shop: Shop, count: int) -> list[Customer]:
    """Customers that the branch has had for long: people with a phone."""
    listed = await shop.customers.list(limit=500)
    return [one for one in listed if one.kind == "person" and one.phones][:count]


async def work(show: Show, one: Shop, two: Shop) -> Story:
    """A day on two tablets that hear nothing of each other or the server."""
    same, apart, moved, left, quiet = await regular_customers(one, 5)
    # tablet 1
    async with one.transaction():
        lin = await one.customers.create(name="林芳", phone="138 0013 8000", tags=["vip"])
        await one.interactions.record(lin, kind="visit", stage_reached=6, note="喜欢橡木，比价中")
    await one.customers.edit(apart, address="衡山路 20 号 3 楼")
    await one.tags.add(apart, "橡木")
    await one.customers.edit(same, notes="周末上午联系", trading_since="2021-05-01")
    sofa = (await one.products(limit=1))[0]
    line = {"product": sofa.id, "quantity": 1, "amount": 899_000, "currency": "CNY"}
    bought = await one.interactions.record(moved, kind="purchase", lines=[line], outcome="won")
    line = {**line, "amount": 859_000}
    bought = await one.interactions.correct(bought, lines=[line], note="漏了会员折扣")
    await one.customers.archive(left)
    await one.customers.edit(quiet, contact_by={"sms": False})
    # tablet 2: the same day, the same people
    again = await two.customers.create(name="林 芳", phone="+86-138-0013-8000")
    await two.interactions.record(again, kind="visit", stage_reached=3)
    await two.customers.edit(apart.id, wechat="hengshan_20")
    await two.tags.add(apart.id, "老顾客")
    await two.customers.edit(same.id, notes="只在工作日晚上联系", trading_since="2019-10-02")
    proven = "淮海中路 999 弄 5 号"
    await two.write("customer", moved.id, "edit", {"address": proven}, verified="verified")
    await one.customers.edit(moved, address="淮海路 999 弄")  # later, and nobody looked at a document
    await two.customers.edit(left.id, notes="下月搬家，要两张床")
    await two.interactions.record(left.id, kind="call", note="预约看床")
    await two.customers.edit(quiet.id, contact_by={"sms": True})
    clashes = [
        Clash(same, "notes", "周末上午联系", "只在工作日晚上联系"),
        Clash(same, "trading_since", date(2021, 5, 1), date(2019, 10, 2)),
        Clash(moved, "address", "淮海路 999 弄", proven),
        Clash(quiet, "contact_by/sms", False, True),
    ]
    return Story(clashes, apart, left, bought)


async def tell_offline(show: Show, story: Story, tablets: Sequence[tuple[Shop, Staff]]) -> None:
    """What each tablet shows while it is alone."""
    heads = [("平板", "Tablet"), ("员工", "Staff"), ("待发送", "Pending"), ("林芳", "林芳"), ("同步", "Sync")]
    rows = []
    for n, (shop, person) in enumerate(tablets, 1):
        found = await shop.customers.search("linfang")
        report = await shop.sync()
        problem = report.problem.code if report.problem else ""
        pending = (await shop.status()).pending
        phones = [p for customer in found for p in customer.phones if p == PHONE]
        rows.append((n, person.name, pending, f"{len(phones)} × {PHONE}", problem))
    show.table(heads, rows)
    heads = [("顾客", "Customer"), ("字段", "Field"), ("平板 1", "Tablet 1"), ("平板 2", "Tablet 2")]
    rows_ = [
        (clash.customer.name, label(show, clash.path), *[await value(shop, clash) for shop, _ in tablets])
        for clash in story.clashes
    ]
    show.table(heads, rows_)


async def tell_merged(show: Show, story: Story, shop: Shop) -> None:
    """What was merged, and by which rule."""
    for clash in story.clashes:
        after = await shop.customers.get(clash.customer.id)
        rule = CUSTOMER.at(clash.path)[0].rule
        kept = " ⚑" if clash.path in after.state.contested else ""
        now = await value(shop, clash)
        show.line(
            f"{after.name} · {label(show, clash.path)} · {rule}：{RULES[rule][0]}",
            f"{after.name} · {label(show, clash.path)} · {rule}: {RULES[rule][1]}",
        )
        show.line(
            f"    平板 1 {clash.one} · 平板 2 {clash.two}  →  {now}{kept}",
            f"    tablet 1 {clash.one} · tablet 2 {clash.two}  →  {now}{kept}",
        )
    show.line("⚑ 两个值都保留，可查看、可改定。", "⚑ both values are kept until somebody decides.")
    both = await shop.customers.get(story.apart.id)
    card = f"{both.address} · {both.wechat} · {', '.join(sorted(both.tags))}"
    show.line(
        f"{both.name} · 不同字段互不影响：{card}", f"{both.name} · different fields do not touch: {card}"
    )
    left = await shop.customers.get(story.archived.id)
    calls = [fact.note for fact in await shop.interactions.of(left) if fact.kind == "call"]
    told = f"archived={left.archived} · {left.notes} · {calls[0]}"
    show.line(
        f"{left.name} · 平板 1 归档，平板 2 修改，都保留：{told}",
        f"{left.name} · archived on tablet 1, edited on tablet 2, all of it stands: {told}",
    )
    bought = await shop.interactions.get(story.bought.id)
    amount = f"{(bought.lines[0].amount or 0) / 100:.2f} {bought.lines[0].currency}"
    show.line(
        f"购买金额更正为 {amount}：原记录不改，由新记录取代",
        f"A purchase was corrected to {amount}: by a further fact, the first is not edited",
    )


def label(show: Show, path: str) -> str:
    field, key = CUSTOMER.at(path)
    named = show.said(field.label.zh, field.label.en)
    return named if key is None else f"{named}/{key}"


async def value(shop: Shop, clash: Clash) -> object:
    """What a tablet shows in a clash's field."""
    customer = await shop.customers.get(clash.customer.id)
    name, _, key = clash.path.partition("/")
    found = getattr(customer, name)
    return key in found if key else found


async def equal(show: Show, data: Path, shops: Sequence[Shop]) -> bool:
    """Count anew what each tablet and the server hold, byte for byte."""
    is_equal = True
    rows: list[Sequence[object]] = []
    async with (
        opened(create_service(Settings(data=data)), sweep=False) as service,
        service.storage.unscoped_reader() as reader,
    ):
        for n, shop in enumerate(shops, 1):
            status = await shop.status()
            held = await shop.verify()
            scopes = {
                CHAIN: show.said("全连锁", "chain"),
                unit_scope(status.unit or ""): show.said("本门店", "the branch"),
                device_scope(status.device or ""): show.said("本机", "the tablet"),
            }
            for scope, named in scopes.items():
                here, there = held.get(scope, EMPTY), await recount(reader, scope)
                fits = here == there
                is_equal &= fits
                rows.append((n, named, here.rows, short(here), short(there), "✓" if fits else "✗"))
            is_equal &= held.keys() <= scopes.keys()
    heads = [("平板", "Tablet"), ("范围", "Scope"), ("行", "Rows"), ("平板摘要", "Its digest")]
    show.table([*heads, ("服务器摘要", "The server's"), ("", "")], rows)
    return is_equal


def short(digest: Digest) -> str:
    return digest.hash[:16]


def reported(who: int, report: SyncReport) -> Sequence[object]:
    refused = report.held + report.rejected
    return (
        who,
        report.pushed,
        report.applied,
        report.merged,
        refused,
        report.pulled,
        "✓" if report.equal else "✗",
    )


async def day(show: Show, regulars: Regulars, url: str, codes: Sequence[str], people: Sequence[str]) -> bool:
    """Pair, work offline, come back; whether all are equal at the end."""
    Cable.plugged = True
    files = [regulars.data / f"tablet-{n}.db" for n in (1, 2)]
    async with Shop.open(files[0], transport=Cable) as one, Shop.open(files[1], transport=Cable) as two:
        shops = (one, two)
        for n, (shop, code) in enumerate(zip(shops, codes, strict=True), 1):
            await shop.pair(url, code, f"till {n}")
            report = await shop.sync()
            show.line(
                f"平板 {n} 用 {code} 配对，收到 {report.pulled} 行",
                f"Tablet {n} paired with {code}, {report.pulled} rows pulled",
            )
        show.chapter("断网，工作一天", "The network goes away; a day's work")
        Cable.plugged = False
        signed = [await shop.sign_in(id, pin) for shop, id, pin in zip(shops, people, PINS, strict=True)]
        story = await work(show, one, two)
        await tell_offline(show, story, list(zip(shops, signed, strict=True)))
        show.chapter("恢复网络，依次同步", "The network is back; they sync in turn")
        Cable.plugged = True
        rows = [reported(n, await shop.sync()) for n, shop in ((1, one), (2, two), (1, one))]
        heads = [("平板", "Tablet"), ("发送", "Pushed"), ("采用", "Applied"), ("合并", "Merged")]
        show.table([*heads, ("暂存", "Held"), ("收到", "Pulled"), ("摘要一致", "Digests equal")], rows)
        show.chapter("合并的结果与规则", "What was merged, and by which rule")
        await tell_merged(show, story, two)
        show.chapter("平板与服务器逐字节一致", "Tablets and server, byte for byte")
        is_equal = await equal(show, regulars.data, shops)
        cards = [await shop.customers.with_phone("13800138000") for shop in shops]
        (lin, *others), facts = cards[0], await one.interactions.of(cards[0][0])
        show.line(
            f"两台平板各登记了 {PHONE}：现在是同一人 {lin.name}，{len(facts)} 次到店；合并可精确撤销",
            f"Both tablets registered {PHONE}: one person, {lin.name}, {len(facts)} visits; undone at will",
        )
        is_one = cards[0] == cards[1] and not others and (len(lin.members), len(facts)) == (2, 2)
        quiet = [await shop.held() for shop in shops]
        return is_equal and is_one and quiet == [[], []]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("demo", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--once", action="store_true", help="end by itself")
    parser.add_argument("--lang", help="zh or en; else that of the locale")
    parser.add_argument("--port", type=int, default=0, help="the server's; else a free one")
    for hidden, default in (("--customers", 2_000), ("--interactions", 10_000)):
        parser.add_argument(hidden, type=int, default=default, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server is stopped too
    show = Show(language(given.lang, os.environ), Console(highlight=False), time.monotonic())
    with tempfile.TemporaryDirectory(prefix="regulars-demo-") as folder:
        regulars = Regulars(show, Path(folder))
        try:
            return run(regulars, given.customers, given.interactions, given.port, given.once)
        except KeyboardInterrupt:
            return 130


def run(regulars: Regulars, customers: int, interactions: int, port: int, once: bool) -> int:
    show, password = regulars.show, secrets.token_urlsafe(9)
    show.chapter("新建连锁，导入示例", "A chain is made and filled")
    company = ["--name", "松禾家居 Songhe Home", "--external-id", f"{SOURCE}:{COMPANY}"]
    regulars("init", *company, "--password-stdin", stdin=password)
    fill(regulars, customers, interactions)
    staff = [row for row in regulars.asked("staff", "list", "--unit", BRANCH) if row["active"]][:2]
    for row, pin in zip(staff, PINS, strict=True):
        regulars("staff", "pin", row["id"], "--pin-stdin", stdin=pin)
    show.chapter("启动服务器，两台平板加入同一门店", "The server starts; two tablets join one branch")
    with server(regulars, port) as (process, said):
        codes = [regulars.asked("device", "invite", BRANCH)["code"] for _ in PINS]
        url = said["urls"][0]
        is_equal = asyncio.run(day(show, regulars, url, codes, [row["id"] for row in staff]))
        show.chapter("完成" if is_equal else "不一致！", "Done" if is_equal else "They are NOT equal!")
        if once:
            process.terminate()
            process.wait(STOP_S_MAX)
        else:
            stay(show, process, said, password)
    return 0 if is_equal and process.returncode == 0 else 1


def stay(show: Show, process: subprocess.Popen[bytes], said: dict[str, Any], password: str) -> None:
    """Leave the server up until Ctrl-C."""
    try:
        show.line(f"服务器   {said['urls'][0]}", f"Server   {said['urls'][0]}")
        show.line(f"GraphQL  {said['graphql']}", f"GraphQL  {said['graphql']}")
        show.line(f"登录     admin / {password}", f"Login    admin / {password}")
        show.line("Ctrl-C 停止并删除示例。", "Ctrl-C stops it and deletes the sample.")
        process.wait()
    except KeyboardInterrupt:  # which the server heard too, when it came from the keyboard
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(HEARD_S_MAX)


if __name__ == "__main__":
    sys.exit(main())
