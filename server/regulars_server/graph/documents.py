"""GraphQL documents: limits before any work is done, then parsed, validated and kept by their text.

Depth, aliases and root fields are counted after fragments are spread, from sums kept for each fragment,
so that a small document that unfolds into a huge one is refused at the cost of reading it. Validation
compares every two fields that answer under one name: so many pairs may there be, and no more.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

from graphql import (
    DefinitionNode,
    DocumentNode,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    StringValueNode,
    Visitor,
    parse,
    print_ast,
    specified_rules,
    validate,
    visit,
)

from regulars_schema.declare import Unfit
from regulars_server.graph.cost import FREE, Price, price
from regulars_sync.errors import Refused, RegularsError

ROOT_FIELDS_MAX = 20
ALIASES_MAX = 100
FIELDS_MAX = 2_000
DIRECTIVES_MAX = 100
INTROSPECTION_DEPTH_MAX = 20
OPERATIONS_MAX = 20
FRAGMENTS_MAX = 100
PAIRS_MAX = 5_000
VALIDATION_ERRORS_MAX = 20
KEPT_MAX = 256
KEPT_CHARS_MAX = 16_384


class Invalid(Exception):
    """The document can't be run; `errors` says why."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Operation:
    kind: OperationType
    price: Price
    is_introspection: bool
    """Whether it asks for nothing but the schema."""


class Document:
    """A valid document, and what each of its operations is."""

    def __init__(self, schema: GraphQLSchema, node: DocumentNode) -> None:
        self.node = node
        self.asks_schema = any(_asks_schema(definition) for definition in node.definitions)
        fragments = _fragments(node)
        self._operations = {
            definition.name.value if definition.name else None: Operation(
                definition.operation,
                price(schema, definition, fragments),
                _is_introspection(definition),
            )
            for definition in node.definitions
            if isinstance(definition, OperationDefinitionNode)
        }

    def operation(self, name: str | None) -> Operation:
        """The one that will run; one that is free where there is none of that name."""
        if name is None and len(self._operations) == 1:
            return next(iter(self._operations.values()))
        return self._operations.get(name, NOTHING)

    def named(self, name: str | None) -> dict[str, str]:
        """How a trace calls it: the operation's name, and a hash of the document without its values."""
        if name is None and len(self._operations) == 1:
            name = next(iter(self._operations))
        return {"graphql.operation.name": (name or "")[:80], "graphql.document.hash": self._hash}

    @cached_property
    def _hash(self) -> str:
        return blake2b(print_ast(visit(self.node, _Blank())).encode(), digest_size=8).hexdigest()


class _Blank(Visitor):
    """Takes every value out of a document: from the hash of a short one a phone number could be guessed."""

    def enter_string_value(self, node: StringValueNode, *_: Any) -> StringValueNode:
        return StringValueNode(value="")

    def enter_int_value(self, node: IntValueNode, *_: Any) -> IntValueNode:
        return IntValueNode(value="0")

    def enter_float_value(self, node: FloatValueNode, *_: Any) -> FloatValueNode:
        return FloatValueNode(value="0.0")


NOTHING = Operation(OperationType.QUERY, FREE, False)


def _fragments(node: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {d.name.value: d for d in node.definitions if isinstance(d, FragmentDefinitionNode)}


def _is_introspection(operation: OperationDefinitionNode) -> bool:
    asked = {
        node.name.value if isinstance(node, FieldNode) else "" for node in operation.selection_set.selections
    }
    return asked <= {"__schema", "__type", "__typename"} and asked != {"__typename"}


def _asks_schema(definition: DefinitionNode) -> bool:
    """Whether the schema is asked for anywhere in an operation or fragment."""
    if not isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
        return False
    todo: list[SelectionSetNode | None] = [definition.selection_set]
    while todo:
        selection_set = todo.pop()
        for node in selection_set.selections if selection_set else ():
            if isinstance(node, FieldNode) and node.name.value in ("__schema", "__type"):
                return True
            if isinstance(node, FieldNode | InlineFragmentNode):
                todo.append(node.selection_set)
    return False


@dataclass(slots=True)
class _Size:
    depth: int = 0
    introspection_depth: int = 0
    fields: int = 0
    aliases: int = 0
    roots: int = 0

    def take(self, other: _Size) -> None:
        """Count a fragment where it is spread."""
        self.depth = max(self.depth, other.depth)
        self.introspection_depth = max(self.introspection_depth, other.introspection_depth)
        self.fields += other.fields
        self.aliases += other.aliases
        self.roots += other.roots


class Documents:
    """The documents of one schema, within limits."""

    def __init__(self, schema: GraphQLSchema, bytes_max: int, tokens_max: int, depth_max: int) -> None:
        self._schema = schema
        self._bytes_max = bytes_max
        self._tokens_max = tokens_max
        self._depth_max = depth_max
        self._kept: OrderedDict[str, Document] = OrderedDict()

    def known(self, text: str) -> Document | None:
        """The document of this text when it was read before."""
        kept = self._kept.get(text)
        if kept is not None:
            self._kept.move_to_end(text)
        return kept

    def read(self, text: str, suggest: bool = True) -> Document:
        """The document of this text; `Refused("query_too_large")`, or `Invalid` with the mistakes in it.

        With `suggest` they say what may have been meant, which tells of the schema.
        """
        kept = self.known(text)
        if kept is not None:
            return kept
        document = self._read(text, suggest)
        if len(text) <= KEPT_CHARS_MAX:
            self._kept[text] = document
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        return document

    def _read(self, text: str, suggest: bool) -> Document:
        if len(text) > self._bytes_max or len(text.encode(errors="surrogatepass")) > self._bytes_max:
            raise Refused("query_too_large", what="bytes", limit=self._bytes_max)
        try:
            document = parse(text, max_tokens=self._tokens_max)
        except GraphQLError as error:
            if "tokens" in error.message:
                raise Refused("query_too_large", what="tokens", limit=self._tokens_max) from None
            raise Invalid([error]) from None
        except RecursionError:
            raise Refused("query_too_large", what="depth", limit=self._depth_max) from None
        try:
            self._measure(document)
            errors = validate(self._schema, document, specified_rules, VALIDATION_ERRORS_MAX, not suggest)
        except RecursionError:
            raise Refused("query_too_large", what="depth", limit=self._depth_max) from None
        if errors:
            raise Invalid([_asked_wrongly(error) for error in errors])
        return Document(self._schema, document)

    def _measure(self, document: DocumentNode) -> None:
        fragments = _fragments(document)
        known: dict[str, _Size] = {}
        operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
        _limit("operations", len(operations), OPERATIONS_MAX)
        _limit("fragments", len(document.definitions) - len(operations), FRAGMENTS_MAX)
        _limit("directives", sum(map(_directives, document.definitions)), DIRECTIVES_MAX)
        fields = pairs = 0
        for operation in operations:
            size = _size(operation.selection_set, fragments, known, ())
            _limit("root fields", size.roots, ROOT_FIELDS_MAX)
            _limit("depth", size.depth, self._depth_max)
            _limit("depth", size.introspection_depth, INTROSPECTION_DEPTH_MAX)
            _limit("aliases", size.aliases, ALIASES_MAX)
            fields += size.fields
            _limit("fields", fields, FIELDS_MAX)
            pairs += _pairs([operation.selection_set], fragments)
            _limit("fields of the same name", pairs, PAIRS_MAX)


def _asked_wrongly(error: GraphQLError) -> GraphQLError:
    """A mistake in the document, also where Python could not even read a value: a number of 5,000 digits."""
    cause = error.original_error
    if cause is None or isinstance(cause, GraphQLError | Unfit | RegularsError):
        return error
    return GraphQLError(error.message, error.nodes, error.source, error.positions)


def _limit(what: str, found: int, limit: int) -> None:
    if found > limit:
        raise Refused("query_too_large", what=what, limit=limit)


def _directives(definition: DefinitionNode) -> int:
    if not isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
        return 0
    found = len(definition.directives or ())
    todo: list[SelectionSetNode | None] = [definition.selection_set]
    while todo:
        selection_set = todo.pop()
        for node in selection_set.selections if selection_set else ():
            found += len(node.directives or ())
            if isinstance(node, FieldNode | InlineFragmentNode):
                todo.append(node.selection_set)
    return found


def _size(
    selection_set: SelectionSetNode,
    fragments: dict[str, FragmentDefinitionNode],
    known: dict[str, _Size],
    spread: tuple[str, ...],
) -> _Size:
    """How large a selection is with every fragment where it is spread; `Invalid` for a circle of them."""
    size = _Size()
    for node in selection_set.selections:
        if isinstance(node, FieldNode):
            inner = _Size()
            if node.selection_set is not None:
                inner = _size(node.selection_set, fragments, known, spread)
            size.fields += 1 + inner.fields
            size.aliases += (node.alias is not None) + inner.aliases
            size.roots += 1
            if node.name.value in ("__schema", "__type"):
                size.introspection_depth = max(size.introspection_depth, 1 + inner.depth)
            else:
                size.depth = max(size.depth, 1 + inner.depth)
                size.introspection_depth = max(size.introspection_depth, inner.introspection_depth)
        elif isinstance(node, InlineFragmentNode):
            size.take(_size(node.selection_set, fragments, known, spread))
        elif isinstance(node, FragmentSpreadNode):
            name = node.name.value
            if name in spread:
                message = f'Cannot spread fragment "{name}" within itself.'
                raise Invalid([GraphQLError(message, node)])
            if name not in known and name in fragments:
                inner_set = fragments[name].selection_set
                known[name] = _size(inner_set, fragments, known, (*spread, name))
            size.take(known.get(name, _Size()))
    return size


def _pairs(
    selection_sets: Iterable[SelectionSetNode | None], fragments: Mapping[str, FragmentDefinitionNode]
) -> int:
    """How many pairs of fields have to be compared: of one name, in selections that answer as one."""
    named: dict[str, list[SelectionSetNode | None]] = {}
    spread: set[str] = set()
    todo = list(selection_sets)
    while todo:
        selection_set = todo.pop()
        for node in selection_set.selections if selection_set else ():
            if isinstance(node, FieldNode):
                named.setdefault((node.alias or node.name).value, []).append(node.selection_set)
            elif isinstance(node, InlineFragmentNode):
                todo.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in spread:
                spread.add(node.name.value)
                if node.name.value in fragments:
                    todo.append(fragments[node.name.value].selection_set)
    return sum(len(sets) * (len(sets) - 1) // 2 + _pairs(sets, fragments) for sets in named.values())


def nesting(value: Any, most: int) -> int:
    """How deep lists and objects are nested in a value; counted no further than one beyond `most`."""
    depth, level = 0, [value]
    while level and depth <= most:
        depth += 1
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        level = [item for item in inner if isinstance(item, dict | list)]
    return depth


def count(value: Any, most: int) -> int:
    """How many values lists and objects hold, at every depth; counted no further than `most` and some."""
    found, todo = 1, [value]
    while todo and found <= most:
        item = todo.pop()
        inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        found += len(inner)
        todo += [each for each in inner if isinstance(each, dict | list)] if found <= most else []
    return found
