"""Whether an answer of GraphQL is one that the server promises: judged from outside, by the schema alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    is_list_type,
    is_non_null_type,
    is_object_type,
)

from regulars_schema.messages import MESSAGES

TYPES: Mapping[str, type | tuple[type, ...]] = {
    "Int": int,
    "Float": (int, float),
    "String": str,
    "ID": str,
    "Boolean": bool,
    "UUID": str,
    "Date": str,
    "DateTime": str,
    "Money": int,
}


def faults(schema: GraphQLSchema, document: DocumentNode, status: int, said: Any) -> Iterator[str]:
    """What is wrong with an answer: a fault of ours, a code outside the catalogue, a wrong shape."""
    if status >= 500:
        yield f"status {status}"
    if not isinstance(said, dict) or not said.keys() <= {"data", "errors", "extensions"}:
        yield "not an answer of GraphQL"
        return
    for error in said.get("errors", ()):
        code = error.get("extensions", {}).get("code")
        if code == "internal" or code not in MESSAGES:
            yield f"code {code}: {error.get('message')}"
    if said.get("data") is None:
        if not said.get("errors"):
            yield "neither data nor errors"
        return
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    (operation,) = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    root = schema.get_root_type(operation.operation)
    assert root is not None
    yield from _object(schema, root, operation.selection_set, fragments, said["data"], ())


def _object(
    schema: GraphQLSchema,
    type_: GraphQLNamedType,
    selection_set: SelectionSetNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    value: Any,
    path: tuple[Any, ...],
) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no {type_.name}"
        return
    asked: dict[str, tuple[Any, list[SelectionSetNode]]] = {}
    if not is_object_type(type_):
        if "__typename" not in value or value["__typename"] not in schema.type_map:
            return
        type_ = schema.type_map[value["__typename"]]
    todo: list[SelectionSetNode] = [selection_set]
    while todo:
        for node in todo.pop().selections:
            if isinstance(node, FieldNode):
                key = (node.alias or node.name).value
                of = _field(type_, node.name.value)
                known = asked.setdefault(key, (of, []))
                known[1].extend([node.selection_set] if node.selection_set else [])
                continue
            inner = fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
            assert isinstance(inner, FragmentDefinitionNode | InlineFragmentNode)
            on = inner.type_condition
            if on is None or _applies(schema, on.name.value, type_):
                todo.append(inner.selection_set)
    if value.keys() - asked.keys():
        yield f"{path}: {value.keys() - asked.keys()} was not asked for"
    for key, (of, sets) in asked.items():
        if key not in value:
            yield f"{path}: {key} is missing"
        elif of is not None:
            yield from _value(schema, of, sets, fragments, value[key], (*path, key))


def _field(type_: GraphQLNamedType, name: str) -> Any:
    if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType) and name in type_.fields:
        return type_.fields[name].type
    return None


def _applies(schema: GraphQLSchema, on: str, type_: GraphQLNamedType) -> bool:
    wanted = schema.type_map[on]
    if wanted is type_:
        return True
    possible = [] if is_object_type(wanted) else schema.get_possible_types(wanted)  # type: ignore[arg-type]
    return type_ in possible


def _value(
    schema: GraphQLSchema,
    of: Any,
    sets: list[SelectionSetNode],
    fragments: Mapping[str, FragmentDefinitionNode],
    value: Any,
    path: tuple[Any, ...],
) -> Iterator[str]:
    if is_non_null_type(of):
        if value is None:
            yield f"{path} is null"
            return
        of = of.of_type
    if value is None:
        return
    if is_list_type(of):
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
            return
        for at, item in enumerate(value):
            yield from _value(schema, of.of_type, sets, fragments, item, (*path, at))
    elif sets:
        whole = SelectionSetNode(selections=tuple(node for each in sets for node in each.selections))
        yield from _object(schema, of, whole, fragments, value, path)
    elif isinstance(of, GraphQLEnumType):
        if value not in of.values:
            yield f"{path}: {value!r} is no {of.name}"
    elif of.name in TYPES:
        wanted = TYPES[of.name]
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            yield f"{path}: {value!r} is no {of.name}"
