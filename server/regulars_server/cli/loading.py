"""`regulars import` and `regulars sample`: CSV files into the chain, and files to try it with."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from regulars_schema.declare import Registry
from regulars_schema.entities import REGISTRY
from regulars_schema.messages import text
from regulars_server.cli.command import Run, command
from regulars_server.cli.terminal import PARTLY, Terminal
from regulars_server.importing import ImportReport, count_lines, import_file
from regulars_server.sample import write_sample
from regulars_server.spreadsheet import Refused, read_rows

ORDER = ("unit", "staff", "product", "customer", "interaction", "assignment")
"""What is named comes before what names it."""
SHOWN_MAX = 20
_WORD = re.compile(r"[a-z]+")


def register(app: typer.Typer) -> None:
    @command(
        app,
        "import",
        "导入 CSV 或 JSON 行，按外部编号新增或更新；重复导入不改动。不合格的行列出原因，其余照常导入。",
        [
            "regulars import sample/*.csv --source sample",
            "regulars import sample --source sample     (a folder's files, in the right order)",
            "regulars import 会员.csv --entity customer --source pos --refused refused.csv",
            "regulars import 会员.csv --entity customer --source pos --dry-run",
            "regulars import assignments.csv --source crm   (customer, scheme, value, since, check_by, ...)",
        ],
    )
    async def import_files(
        run: Run,
        files: Annotated[
            list[Path], typer.Argument(help="CSV or JSONL files, or a folder of them. 文件", exists=True)
        ],
        source: Annotated[
            str, typer.Option(help="The system that the external ids come from; keep it the same. 来源")
        ] = "csv",
        entity: Annotated[
            str | None, typer.Option(help=f"One of {', '.join(ORDER)}; else by the file's name. 种类")
        ] = None,
        refused: Annotated[
            Path | None, typer.Option(help="Write refused lines here, as CSV. 不合格行")
        ] = None,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Tell what would become of each line; write nothing. 试运行")
        ] = False,
    ) -> int:
        """Import files, CSV or JSON lines: upsert by external id, so importing twice changes nothing.

        Lines that do not fit are listed with number and reason, the others are taken (exit code 3).
        Fields that staff edited since are never undone. Columns are the field names of docs/MODEL.md.
        A dry run takes each file by itself: what one names must be there, not only in another.
        """
        terminal = run.terminal
        given = in_order(terminal, files, entity)
        for path, name in given:  # a foreign file is refused before anything is written
            next(read_rows(path, name, source), None)
        reports: list[tuple[Path, ImportReport]] = []
        async with run.chain() as service:
            with progress(terminal) as bar:
                for path, name in given:
                    task = bar.add_task(escape(path.name), total=count_lines([path]))
                    step = partial(bar.advance, task)
                    report = await import_file(service, path, name, source, step, dry_run)
                    bar.update(task, total=report.lines, completed=report.lines)
                    reports.append((path, report))
        show(terminal, reports)
        if refused is not None:
            write_refused(refused, reports, terminal.lang)
        return PARTLY if any(report.refused for _, report in reports) else 0

    @command(
        app,
        "sample",
        "生成一家虚构家具连锁的示例文件，供试用。",
        ["regulars sample sample", "regulars sample big --customers 20000 --interactions 100000 --seed 7"],
    )
    async def sample(
        run: Run,
        folder: Annotated[Path, typer.Argument(help="Where to write the five files. 目录")],
        customers: Annotated[int, typer.Option(min=0, help="How many. 顾客数")] = 2_000,
        interactions: Annotated[int, typer.Option(min=0, help="How many, over two years. 往来数")] = 10_000,
        seed: Annotated[int, typer.Option(help="The same seed writes the same files. 随机种子")] = 1,
    ) -> None:
        """Write the CSV files of a furniture chain that does not exist, to try things on."""
        if interactions and not customers:
            run.terminal.refuse("有往来就要有顾客。", "Interactions need at least one customer.")
        made = write_sample(folder, seed, customers, interactions)
        said = {name: getattr(made, name) for name in made.__slots__ if name != "directory"}
        run.terminal.data({"folder": str(folder), **said})
        run.terminal.line(
            f"{folder}：{made.units} 个单元，{made.staff} 名员工，{made.products} 种商品，"
            f"{made.customers} 位顾客，{made.interactions} 条往来",
            f"{folder}: {made.units} units, {made.staff} staff, {made.products} products, "
            f"{made.customers} customers, {made.interactions} interactions",
        )
        then = f"regulars import {folder} --source sample"
        run.terminal.note(f"导入：{then}", f"Next: {then}")


def progress(terminal: Terminal) -> Progress:
    """A bar for people at a terminal; elsewhere one line a file at its end; none for scripts."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=terminal.err, disable=terminal.as_json)


Tell = Callable[[str, int, int], None]
"""Of what, how much is done, and of how much."""


@contextmanager
def shown(terminal: Terminal, zh: str, en: str) -> Iterator[Tell]:
    """One bar for a work of several parts."""
    name = terminal.said(zh, en)
    with progress(terminal) as bar:
        task = bar.add_task(name, total=None)
        yield lambda part, done, total: bar.update(
            task, description=f"{name} {part}", completed=done, total=total
        )


def in_order(
    terminal: Terminal, paths: Sequence[Path], entity: str | None, registry: Registry = REGISTRY
) -> list[tuple[Path, str]]:
    """The files with what each holds, such that what is named comes before what names it."""
    if entity is not None and entity not in ORDER:
        terminal.refuse(
            f"--entity 应为：{', '.join(ORDER)}。", f"--entity should be one of: {', '.join(ORDER)}."
        )
    found: list[tuple[Path, str]] = []
    for path in paths:
        inside = sorted([*path.glob("*.csv"), *path.glob("*.jsonl")]) if path.is_dir() else [path]
        if not inside:
            terminal.refuse(f"{path} 中没有 CSV 或 JSONL 文件。", f"There is no CSV or JSONL file in {path}.")
        for file in inside:
            name = entity or guess(file.stem, registry)
            if name is None:
                terminal.refuse(
                    f"从文件名看不出 {file.name} 的内容，请加 --entity（{', '.join(ORDER)}）。",
                    f"What {file.name} holds can't be told from its name. Add --entity ({', '.join(ORDER)}).",
                )
            found.append((file, name))
    return sorted(found, key=lambda one: ORDER.index(one[1]))


def guess(stem: str, registry: Registry = REGISTRY) -> str | None:
    """What a file of this name holds: `customers-2026`, `Units`, `顾客`; None when nobody can tell."""
    words = set(_WORD.findall(stem.lower()))
    found = [
        name
        for name in ORDER
        if words & {name, registry.get(name).plural} or registry.get(name).label.zh in stem
    ]
    return found[0] if len(found) == 1 else None


def show(terminal: Terminal, reports: Sequence[tuple[Path, ImportReport]]) -> None:
    terminal.data(
        [
            {
                "file": str(path),
                "entity": report.entity,
                "created": report.created,
                "updated": report.updated,
                "unchanged": report.unchanged,
                "refused": [_refusal(one, terminal.lang) for one in report.refused],
            }
            for path, report in reports
        ]
    )
    if terminal.as_json:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(terminal.said("文件", "File"))
    for zh, en in (("新增", "created"), ("更新", "updated"), ("未变", "unchanged"), ("不合格", "refused")):
        table.add_column(terminal.said(zh, en), justify="right")
    for path, report in reports:
        counts = (report.created, report.updated, report.unchanged, len(report.refused))
        table.add_row(escape(path.name), *map(str, counts))
    terminal.out.print(table)
    for path, report in reports:
        for one in report.refused[:SHOWN_MAX]:
            said = _refusal(one, terminal.lang)
            terminal.out.print(
                escape(f"{path.name}:{one.line} {one.external_id or '?'} {said['reason']} ({one.code})"),
                soft_wrap=True,
            )
        if (more := len(report.refused) - SHOWN_MAX) > 0:
            terminal.line(
                f"{path.name}：另有 {more} 行，见 --refused 文件",
                f"{path.name}: {more} more; see --refused FILE",
            )


def _refusal(one: Refused, lang: str) -> dict[str, Any]:
    return {
        "line": one.line,
        "external_id": one.external_id,
        "code": one.code,
        "field": one.detail.get("field"),
        "reason": text(one.code, one.detail, lang),
    }


def write_refused(path: Path, reports: Sequence[tuple[Path, ImportReport]], lang: str) -> None:
    """The refused lines as CSV, with a BOM so that spreadsheets read the Chinese in it."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "line", "external_id", "code", "field", "reason"])
        for source, report in reports:
            for one in report.refused:
                writer.writerow([source.name, *_refusal(one, lang).values()])
