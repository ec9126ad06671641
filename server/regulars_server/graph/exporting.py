"""A connection as a file: every row of it, read page by page from one snapshot.

The query is a GraphQL document with one connection at its root. Connections of its rows, one level below,
are given whole too: each of their rows is a row of its own behind its parent's, with `__parentId` (the
parent's id) and `__parentField` (as the query calls it). Objects and lists stay in their row.

As JSON lines a row has its own fields only; as Parquet there is a column for every field that any row may
have, null where a row has none.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol

import orjson
from graphql import (
    ArgumentNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedOutputType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    NamedTypeNode,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    TypeInfo,
    TypeInfoVisitor,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    get_named_type,
    parse_type,
    parse_value,
    visit,
)

from regulars_server.graph.documents import Invalid
from regulars_server.graph.request import ROWS_PER_REQUEST_MAX, Context
from regulars_server.graph.shapes import Shape, merge, shape_of
from regulars_server.works import WorkRow, Works
from regulars_sync.errors import Refused, RegularsError

if TYPE_CHECKING:
    from regulars_server.graph.operations import Operations

PAGE_ROWS = 250
PARENT_ROWS = 50
"""On a page whose rows have connections of their own."""
BELOW_ROWS = 100
"""On such a page, of all connections of one row together: a page stays below what a request may read."""
PAGING = frozenset({"first", "last", "before", "after"})
ID, AFTER, PARENT, ROOT = "regulars_id", "regulars_after", "regulars_parent", "regulars_page"
PARENT_ID, PARENT_FIELD = "__parentId", "__parentField"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, page after page."""

    page: DocumentNode
    nested: Mapping[str, DocumentNode]
    """By the name in the answer, the rest of one row's connection."""


class Sink(Protocol):
    """How rows are written; what waits is in the file when it is closed, which may be said twice."""

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None: ...

    def close(self) -> None: ...


class JsonLines:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            self._file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        pass


def planned(document: DocumentNode, schema: GraphQLSchema) -> Plan:
    """How to read all of the connection that a valid document asks for. `Refused("export_query")`."""
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    fragments = [d for d in document.definitions if isinstance(d, FragmentDefinitionNode)]
    if len(operations) != 1 or operations[0].operation is not OperationType.QUERY:
        raise Refused("export_query", reason="one query")
    operation = operations[0]
    roots = operation.selection_set.selections
    root = roots[0]
    assert schema.query_type is not None
    if len(roots) != 1 or not isinstance(root, FieldNode) or root.directives:
        raise Refused("export_query", reason="one field at its root")
    row = _row_type(schema.query_type.fields.get(root.name.value))
    if row is None:
        raise Refused("export_query", reason="a connection with `after` at its root")
    asked = _nodes(root)
    nested = [node for node in asked.selections if isinstance(node, FieldNode) and _is_paged(row, node)]
    _require_one_level(document, schema, {id(root), *map(id, nested)})
    if nested and "id" not in _fields_of(row):
        raise Refused("export_query", reason="no lists below rows without an id")
    few = max(1, BELOW_ROWS // max(1, len(nested)))
    shown = [
        _paged(node, few, _nodes(node), _own_type(row, node)) if node in nested else node
        for node in asked.selections
    ]
    size = PARENT_ROWS if nested else PAGE_ROWS
    page = _paged(root, size, SelectionSetNode(selections=tuple(shown)), row, ROOT)
    rest = {}
    for node in nested:
        more = _paged(node, PAGE_ROWS, _nodes(node), _own_type(row, node), after=True)
        on = InlineFragmentNode(
            type_condition=NamedTypeNode(name=NameNode(value=row.name)),
            directives=(),
            selection_set=SelectionSetNode(selections=(more,)),
        )
        given = ArgumentNode(name=NameNode(value="id"), value=VariableNode(name=NameNode(value=PARENT)))
        below = _field("node", (given,), SelectionSetNode(selections=(on,)), ROOT)
        rest[_key(node)] = _document(operation, below, fragments, {PARENT: "ID!", AFTER: "String"})
    return Plan(_document(operation, page, fragments, {AFTER: "String"}), rest)


def _require_one_level(document: DocumentNode, schema: GraphQLSchema, allowed: set[int]) -> None:
    info = TypeInfo(schema)

    class Found(Visitor):
        def enter_field(self, node: FieldNode, *_: Any) -> None:
            if _row_type(info.get_field_def()) is not None and id(node) not in allowed:
                raise Refused("export_query", reason="lists one level below its rows, outside of fragments")

    visit(document, TypeInfoVisitor(info, Found()))


def _row_type(field: GraphQLField | None) -> GraphQLNamedOutputType | None:
    """The type of a connection's rows, None where the field gives no connection that can be paged."""
    if field is None or not {"first", "after"} <= field.args.keys():
        return None
    named = get_named_type(field.type)
    if not isinstance(named, GraphQLObjectType) or not {"nodes", "pageInfo"} <= named.fields.keys():
        return None
    row: GraphQLNamedOutputType = get_named_type(named.fields["nodes"].type)
    return row


def _fields_of(row: GraphQLNamedOutputType) -> Mapping[str, GraphQLField]:
    return row.fields if isinstance(row, GraphQLObjectType | GraphQLInterfaceType) else {}


def _is_paged(row: GraphQLNamedOutputType, node: FieldNode) -> bool:
    return _row_type(_fields_of(row).get(node.name.value)) is not None


def _own_type(row: GraphQLNamedOutputType, node: FieldNode) -> GraphQLNamedOutputType:
    found = _row_type(_fields_of(row)[node.name.value])
    assert found is not None
    return found


def _nodes(connection: FieldNode) -> SelectionSetNode:
    """What is asked of each row: below `nodes`, or below `node` of `edges`."""
    given = {argument.name.value for argument in connection.arguments or ()}
    if given & PAGING:
        raise Refused("export_query", reason="no first, last, before or after: all rows are given")
    below = _only(connection)
    if below is not None and below.name.value == "edges":
        inner = _only(below)
        below = inner if inner is not None and inner.name.value == "node" else None
    elif below is not None and below.name.value != "nodes":
        below = None
    if below is not None and below.selection_set is not None:
        return below.selection_set
    raise Refused("export_query", reason="`nodes { ... }` alone below a connection")


def _only(node: FieldNode) -> FieldNode | None:
    """The one field below another one."""
    fields = node.selection_set.selections if node.selection_set else ()
    only = fields[0] if len(fields) == 1 else None
    return only if isinstance(only, FieldNode) and not only.directives else None


def _field(
    name: str,
    arguments: tuple[ArgumentNode, ...],
    selected: SelectionSetNode,
    alias: str | None,
    directives: tuple[DirectiveNode, ...] = (),
) -> FieldNode:
    return FieldNode(
        name=NameNode(value=name),
        alias=NameNode(value=alias) if alias else None,
        arguments=arguments,
        directives=directives,
        selection_set=selected,
    )


def _key(node: FieldNode) -> str:
    return (node.alias or node.name).value


def _leaf(name: str, alias: str | None = None) -> FieldNode:
    return FieldNode(
        name=NameNode(value=name),
        alias=NameNode(value=alias) if alias else None,
        arguments=(),
        directives=(),
        selection_set=None,
    )


def _paged(
    node: FieldNode,
    size: int,
    asked: SelectionSetNode,
    row: GraphQLNamedOutputType,
    alias: str | None = None,
    after: bool = False,
) -> FieldNode:
    """The connection with its page, the ids of its rows, and where it goes on."""
    said = list(node.arguments or ())
    first = parse_value(str(size))
    said.append(ArgumentNode(name=NameNode(value="first"), value=first))
    if after or alias == ROOT:
        value = VariableNode(name=NameNode(value=AFTER))
        said.append(ArgumentNode(name=NameNode(value="after"), value=value))
    selected = list(asked.selections)
    if "id" in _fields_of(row):
        selected.append(_leaf("id", ID))
    nodes = _field("nodes", (), SelectionSetNode(selections=tuple(selected)), None)
    info = SelectionSetNode(selections=(_leaf("hasNextPage"), _leaf("endCursor")))
    page = SelectionSetNode(selections=(nodes, _field("pageInfo", (), info, None)))
    return _field(node.name.value, tuple(said), page, alias or _key(node), tuple(node.directives or ()))


def _document(
    operation: OperationDefinitionNode,
    root: FieldNode,
    fragments: list[FragmentDefinitionNode],
    variables: Mapping[str, str],
) -> DocumentNode:
    more = [
        VariableDefinitionNode(
            variable=VariableNode(name=NameNode(value=name)), type=parse_type(type_), directives=()
        )
        for name, type_ in variables.items()
    ]
    made = OperationDefinitionNode(
        operation=OperationType.QUERY,
        name=None,
        variable_definitions=(*(operation.variable_definitions or ()), *more),
        directives=(),
        selection_set=SelectionSetNode(selections=(root,)),
    )
    return DocumentNode(definitions=(made, *fragments))


# --- columns --------------------------------------------------------------------------------------------


def columns_of(plan: Plan, schema: GraphQLSchema, variables: Mapping[str, Any]) -> dict[str, Shape]:
    """The shape of all rows together. `Refused`: export_query where one column would be of two types or
    an object has no fields; argument_invalid.
    """
    rows = _rows(shape_of(plan.page, schema, {**variables, AFTER: None})[ROOT])
    found = {name: shape for name, shape in rows.items() if name not in plan.nested}
    for below in [rows[key] for key in plan.nested if key in rows]:
        found = merge(found, {**_rows(below), PARENT_ID: "ID", PARENT_FIELD: "String"})
    found.pop(ID, None)
    _require_fields(found)
    return found


def _rows(connection: Shape) -> dict[str, Shape]:
    assert isinstance(connection, dict)
    nodes = connection["nodes"]
    assert isinstance(nodes, list)
    assert isinstance(nodes[0], dict)
    return nodes[0]


def _require_fields(shape: Shape) -> None:
    """A file of columns has no place for an object of which nothing is asked."""
    below = shape if isinstance(shape, list) else shape.values() if isinstance(shape, dict) else ("",)
    if not below:
        raise Refused("export_query", reason="a field in every object")
    for inner in below:
        if not isinstance(inner, str):
            _require_fields(inner)


def columnar() -> Callable[[IO[bytes], Mapping[str, Shape]], Sink]:
    """What writes Parquet. `Refused("parquet_missing")`."""
    try:
        from regulars_server.graph.columns import Columns
    except ImportError as error:
        raise Refused("parquet_missing") from error
    return Columns


# --- running --------------------------------------------------------------------------------------------


def rights_of(context: Context) -> str:
    """With which rights a context reads, as one text: equal for equal rights."""
    principal, scopes = context.principal, context.author.scopes
    said = [sorted(principal.rights), principal.sensitive, None if scopes is None else sorted(scopes)]
    return orjson.dumps(said).decode()


class Exporting:
    """Runs exports as whoever asked for them."""

    def __init__(self, operations: Operations, works: Works) -> None:
        self._operations = operations
        self._works = works

    async def plan(self, query: str, context: Context) -> Plan:
        """`Refused`: export_query, argument_invalid (no valid document), what documents are refused for."""
        try:
            document = await self._operations.valid(query, context.principal)
        except Invalid as invalid:
            reason = invalid.errors[0].message if invalid.errors else "?"
            raise Refused("argument_invalid", reason=reason) from None
        return planned(document.node, self._operations.schema)

    async def check(self, query: str, variables: Mapping[str, Any], format: str, context: Context) -> None:
        """`Refused` as `plan`, and where it can't be written in this format."""
        plan = await self.plan(query, context)
        if format == "parquet":
            columns_of(plan, self._operations.schema, variables)
            await asyncio.to_thread(columnar)

    def _sink(self, file: IO[bytes], plan: Plan, variables: Mapping[str, Any], format: str) -> Sink:
        if format == "parquet":
            return columnar()(file, columns_of(plan, self._operations.schema, variables))
        return JsonLines(file)

    async def run(self, work: WorkRow, pause: Callable[[], Any]) -> None:
        """Write the file; `RegularsError` says why it can't be, `Stopped` that nobody wants it.

        It holds all that was written when it was asked for. A replica that gives up is not asked again.
        """
        try:
            await self._run(work, pause, work.made_ms)
        except Refused as refused:
            if refused.code != "busy" or self._operations.service.reports is None:
                raise
            await self._run(work, pause, None)

    async def _run(self, work: WorkRow, pause: Callable[[], Any], from_ms: int | None) -> None:
        works, asked = self._works, work.wanted
        context = await self._context(work)
        context.from_ms = from_ms
        path = works.data(work.id)
        try:
            works.folder.mkdir(parents=True, exist_ok=True)
            rights = rights_of(context)
            bytes_max = min(works.settings.export_bytes_max, await works.room())
            async with context.reading() as reader:
                erased = (await reader.since({}, 0)).erased
            await works.begin(work.id, erased)
            with path.open("wb") as file:

                async def tell(rows: int) -> None:
                    await works.note(work.id, rows, _size(file, bytes_max))
                    await pause()
                    await self._require_same(work, rights)

                variables, format = asked["variables"], asked["format"]
                rows = await self.write(asked["query"], variables, format, context, file, tell)
                _size(file, bytes_max)
                file.flush()
            await works.finish(work.id, path, rows, rights)
        finally:
            await context.close()

    async def write(
        self,
        query: str,
        variables: Mapping[str, Any],
        format: str,
        context: Context,
        file: IO[bytes],
        tell: Callable[[int], Awaitable[None]],
    ) -> int:
        """Write all rows into a file; how many they are, which `tell` is told after each page. `Refused`."""
        plan = await self.plan(query, context)
        rows = 0
        with closing(await asyncio.to_thread(self._sink, file, plan, variables, format)) as sink:
            async for found in self._pages(plan, variables, context):
                await asyncio.to_thread(sink.write, found)
                rows += len(found)
                await tell(rows)
            await asyncio.to_thread(sink.close)
        return rows

    async def _context(self, work: WorkRow) -> Context:
        principal = await self._operations.service.access.standing(work.token)
        return await self._operations.context(principal, "en")

    async def _require_same(self, work: WorkRow, rights: str) -> None:
        context = await self._context(work)
        if rights_of(context) != rights:
            raise Refused("rights_changed")

    async def _pages(
        self, plan: Plan, variables: Mapping[str, Any], context: Context
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """The rows, those below a row behind it, some at a time."""
        after: str | None = None
        while True:
            page = await self._page(plan.page, {**variables, AFTER: after}, context)
            found: list[dict[str, Any]] = []
            for node in page["nodes"]:
                id = node.pop(ID, None)
                below = {key: node.pop(key, None) for key in plan.nested}
                found.append(node)
                for key, connection in below.items():
                    while connection is not None:
                        for child in connection["nodes"]:
                            child.pop(ID, None)
                            found.append({**child, PARENT_ID: id, PARENT_FIELD: key})
                        info = connection["pageInfo"]
                        if not info["hasNextPage"]:
                            break
                        yield found
                        found = []
                        more = {**variables, PARENT: id, AFTER: info["endCursor"]}
                        connection = (await self._page(plan.nested[key], more, context))[key]
            yield found
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]

    async def _page(
        self, document: DocumentNode, variables: Mapping[str, Any], context: Context
    ) -> dict[str, Any]:
        context.next_page(ROWS_PER_REQUEST_MAX)
        result = await self._operations.read_page(document, variables, context)
        for error in result.errors or ():
            cause = error.original_error
            while cause is not None and not isinstance(cause, RegularsError):
                cause = getattr(cause, "original_error", None)
            raise cause or Refused("argument_invalid", reason=error.message[:200])
        assert result.data is not None
        page: dict[str, Any] = orjson.loads(orjson.dumps(result.data[ROOT]))
        return page


def _size(file: IO[bytes], bytes_max: int) -> int:
    """How large a file is by now. `Refused("export_too_large")`."""
    size = file.tell()
    if size > bytes_max:
        raise Refused("export_too_large", bytes_max=bytes_max)
    return size
