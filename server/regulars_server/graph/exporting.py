"""A connection as a file: every row of it, one JSON object a line, read page by page from one snapshot.

The query is a GraphQL document with one connection at its root. Connections of its rows, one level below,
are given whole too: each of their rows is a line of its own behind its parent's, with `__parentId` (the
parent's id) and `__parentField` (as the query calls it). Objects and lists stay in their line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLField,
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
from regulars_server.works import WorkRow, Works
from regulars_sync.errors import Refused, RegularsError

if TYPE_CHECKING:
    from regulars_server.graph.operations import Operations

PAGE_ROWS = 250
PARENT_ROWS = 50
"""On a page whose rows have connections of their own."""
PAGING = frozenset({"first", "last", "before", "after"})
ID, AFTER, PARENT, ROOT = "regulars_id", "regulars_after", "regulars_parent", "regulars_page"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, page after page."""

    page: DocumentNode
    nested: Mapping[str, DocumentNode]
    """By the name in the answer, the rest of one row's connection."""


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
    if len(roots) != 1 or not isinstance(root, FieldNode):
        raise Refused("export_query", reason="one field at its root")
    row = _row_type(schema.query_type.fields.get(root.name.value))
    if row is None:
        raise Refused("export_query", reason="a connection with `after` at its root")
    asked = _nodes(root)
    nested = [node for node in asked.selections if isinstance(node, FieldNode) and _is_paged(row, node)]
    _require_one_level(document, schema, {id(root), *map(id, nested)})
    if nested and "id" not in row.fields:
        raise Refused("export_query", reason="no lists below rows without an id")
    shown = [
        _paged(node, None, _nodes(node), _own_type(row, node)) if node in nested else node
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


def _row_type(field: GraphQLField | None) -> GraphQLObjectType | None:
    """The type of a connection's rows, None where the field gives no connection that can be paged."""
    if field is None or not {"first", "after"} <= field.args.keys():
        return None
    named = get_named_type(field.type)
    if not isinstance(named, GraphQLObjectType) or not {"nodes", "pageInfo"} <= named.fields.keys():
        return None
    row = get_named_type(named.fields["nodes"].type)
    return row if isinstance(row, GraphQLObjectType) else None


def _is_paged(row: GraphQLObjectType, node: FieldNode) -> bool:
    return _row_type(row.fields.get(node.name.value)) is not None


def _own_type(row: GraphQLObjectType, node: FieldNode) -> GraphQLObjectType:
    found = _row_type(row.fields[node.name.value])
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
    name: str, arguments: tuple[ArgumentNode, ...], selected: SelectionSetNode, alias: str | None
) -> FieldNode:
    return FieldNode(
        name=NameNode(value=name),
        alias=NameNode(value=alias) if alias else None,
        arguments=arguments,
        directives=(),
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
    size: int | None,
    asked: SelectionSetNode,
    row: GraphQLObjectType,
    alias: str | None = None,
    after: bool = False,
) -> FieldNode:
    """The connection with its page, the ids of its rows, and where it goes on."""
    said = list(node.arguments or ())
    first = parse_value(str(size or PAGE_ROWS))
    said.append(ArgumentNode(name=NameNode(value="first"), value=first))
    if after or alias == ROOT:
        value = VariableNode(name=NameNode(value=AFTER))
        said.append(ArgumentNode(name=NameNode(value="after"), value=value))
    selected = list(asked.selections)
    if "id" in row.fields:
        selected.append(_leaf("id", ID))
    nodes = _field("nodes", (), SelectionSetNode(selections=tuple(selected)), None)
    info = SelectionSetNode(selections=(_leaf("hasNextPage"), _leaf("endCursor")))
    page = SelectionSetNode(selections=(nodes, _field("pageInfo", (), info, None)))
    return _field(node.name.value, tuple(said), page, alias or _key(node))


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

    async def run(self, work: WorkRow, pause: Callable[[], Any]) -> None:
        """Write the file; `RegularsError` says why it can't be, `Stopped` that nobody wants it."""
        works, asked = self._works, work.wanted
        context = await self._context(work)
        path = works.data(work.id)
        try:
            plan = await self.plan(asked["query"], context)
            works.folder.mkdir(parents=True, exist_ok=True)
            rights = rights_of(context)
            bytes_max = min(works.settings.export_bytes_max, await works.room())
            async with context.reading() as reader:
                erased = (await reader.since({}, 0)).erased
            await works.begin(work.id, erased)
            rows = size = 0
            after: str | None = None
            with path.open("wb") as file:
                while True:
                    page = await self._page(plan.page, {**asked["variables"], AFTER: after}, context)
                    for node in page["nodes"]:
                        for line in await self._lines(plan, node, asked["variables"], context):
                            raw = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
                            rows, size = rows + 1, size + len(raw)
                            file.write(raw)
                    if size > bytes_max:
                        raise Refused("export_too_large", bytes_max=bytes_max)
                    await works.note(work.id, rows, size)
                    if not page["pageInfo"]["hasNextPage"]:
                        break
                    after = page["pageInfo"]["endCursor"]
                    await pause()
                    await self._require_same(work, rights)
                file.flush()
            await works.finish(work.id, path, rows, rights)
        finally:
            await context.close()

    async def _context(self, work: WorkRow) -> Context:
        principal = await self._operations.service.access.standing(work.token)
        return await self._operations.context(principal, "en")

    async def _require_same(self, work: WorkRow, rights: str) -> None:
        context = await self._context(work)
        if rights_of(context) != rights:
            raise Refused("rights_changed")

    async def _lines(
        self, plan: Plan, node: dict[str, Any], variables: Mapping[str, Any], context: Context
    ) -> list[dict[str, Any]]:
        """A row's line, and those of the rows below it."""
        id = node.pop(ID, None)
        below = {key: node.pop(key) for key in plan.nested if node.get(key) is not None}
        lines = [node]
        for key, connection in below.items():
            while True:
                for child in connection["nodes"]:
                    child.pop(ID, None)
                    lines.append({**child, "__parentId": id, "__parentField": key})
                info = connection["pageInfo"]
                if not info["hasNextPage"]:
                    break
                more = {**variables, PARENT: id, AFTER: info["endCursor"]}
                parent = await self._page(plan.nested[key], more, context)
                connection = parent[key]
        return lines

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
