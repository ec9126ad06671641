"""`regulars documents`: the GraphQL documents that may be sent by id, and by some callers alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from regulars_server.access.documents import checked_id, id_of
from regulars_server.cli.command import Run, command
from regulars_server.cli.terminal import at
from regulars_sync.errors import Refused

if TYPE_CHECKING:
    from regulars_server.settings import Settings

SHOWN_MAX = 5


def register(app: typer.Typer) -> None:
    documents = typer.Typer(no_args_is_help=True)
    app.add_typer(documents, name="documents", help="Trusted GraphQL documents. 可信查询")

    @command(
        documents,
        "publish",
        "发布可信查询：JSON（编号到查询）或 .graphql 文件。",
        [
            "regulars documents publish persisted-documents.json",
            "regulars documents publish till.graphql --json",
        ],
    )
    async def publish(
        run: Run,
        file: Annotated[Path, typer.Argument(help="A JSON map of id to document, or GraphQL. 文件")],
    ) -> None:
        """Publish what a build has persisted (Relay, graphql-codegen), or one GraphQL file under its hash.

        All are checked against the schema first; with one mistake none is published.
        """
        given = _read(file)
        check = _checker(run.settings)
        wanted, mistakes = {}, []
        for called, text in given.items():
            try:
                wanted[checked_id(called, text)] = (check(text), text)
            except Refused as refused:
                mistakes.append(f"{called[:20]}: {refused.text(run.terminal.lang)}")
        if mistakes:
            shown = "; ".join(mistakes[:SHOWN_MAX])
            run.terminal.refuse(
                f"{len(mistakes)} 个查询有误，未发布任何内容：{shown}",
                f"{len(mistakes)} documents have mistakes, none was published: {shown}",
            )
        async with run.chain() as service:
            added = await service.access.documents.publish(wanted)
        run.terminal.data({"published": sorted(wanted), "new": sorted(added)})
        run.terminal.line(
            f"已发布 {len(wanted)} 个查询，其中新增 {len(added)} 个",
            f"Published {len(wanted)} documents, {len(added)} of them new",
        )

    @command(documents, "list", "列出可信查询。", ["regulars documents list"])
    async def list_(run: Run) -> None:
        """List trusted documents, and whether they still fit the schema."""
        check = _checker(run.settings)
        async with run.chain() as service:
            rows = [
                {
                    "id": one.id,
                    "name": one.name,
                    "fits": _fits(check, one.text),
                    "published": at(one.published_ms),
                    "retired": at(one.retired_ms),
                }
                for one in await service.access.documents.all()
            ]
        heads = {"name": ("名称", "Name"), "fits": ("有效", "Fits"), "published": ("发布", "Published")}
        run.terminal.rows(rows, {**heads, "retired": ("停用", "Retired"), "id": ("编号", "Id")})

    @command(documents, "retire", "停用可信查询。", ["regulars documents retire sha256:9f86d0…"])
    async def retire(run: Run, id: Annotated[list[str], typer.Argument(help="Their ids. 编号")]) -> None:
        """Serve documents no more."""
        async with run.chain() as service:
            await service.access.documents.retire(id)
        run.terminal.data({"retired": id})
        run.terminal.line("已停用", "Retired")


def _read(file: Path) -> dict[str, str]:
    """The documents of a file by their ids. `Refused("argument_invalid")`."""
    text = file.read_text("utf-8")
    if file.suffix != ".json":
        return {id_of(text): text}
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refused("argument_invalid", reason=f"{file.name}: {error}") from None
    if not isinstance(given, dict) or not all(isinstance(one, str) for one in given.values()):
        raise Refused("argument_invalid", reason=f"{file.name} should map ids to documents.")
    return given


def _checker(settings: Settings) -> Callable[[str], str]:
    from graphql import OperationDefinitionNode  # slow: help must not wait for it

    from regulars_server.graph.documents import Documents, Invalid
    from regulars_server.graph.schema import build_schema

    documents = Documents(
        build_schema()._schema, settings.query_bytes_max, settings.query_tokens_max, settings.query_depth_max
    )

    def check(text: str) -> str:
        """The names of its operations. `Refused`."""
        try:
            document = documents.read(text)
        except Invalid as invalid:
            raise Refused("argument_invalid", reason=invalid.errors[0].message) from None
        operations = (d for d in document.node.definitions if isinstance(d, OperationDefinitionNode))
        return ", ".join(one.name.value for one in operations if one.name)

    return check


def _fits(check: Callable[[str], str], text: str) -> bool:
    try:
        check(text)
    except Refused:
        return False
    return True
