"""Documents made from the schema: one root field with the least that it must be given and asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLOutputType,
    GraphQLSchema,
    Undefined,
    get_named_type,
    get_nullable_type,
    is_interface_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    is_union_type,
)

NOBODY = "01a20038-0101-7724-a4c3-597164c48aff"
LEAVES = {
    "UUID": f'"{NOBODY}"',
    "ID": f'"{NOBODY}"',
    "String": '"x"',
    "Int": "1",
    "Float": "1.5",
    "Boolean": "false",
    "DateTime": '"2026-11-20T10:00:00Z"',
    "Date": '"2026-11-20"',
    "JSON": "{}",
    "Phone": '"+8613800138000"',
    "Money": '{ amount: 100, currency: "CNY" }',
}
Given = Callable[[str, GraphQLInputType], str | None]
"""The path of an argument and its type to what it shall be given; None for the default."""


def roots(schema: GraphQLSchema) -> Iterator[tuple[str, str, GraphQLField]]:
    """Of every root field: the operation, the name, the field."""
    for operation, type_ in (
        ("query", schema.query_type),
        ("mutation", schema.mutation_type),
        ("subscription", schema.subscription_type),
    ):
        for name, field in type_.fields.items() if type_ is not None else ():
            yield operation, name, field


def call(operation: str, name: str, field: GraphQLField, given: Given | None = None) -> str:
    """A document that calls the root field with what it must be given."""
    arguments = {}
    for argument, declared in field.args.items():
        said = literal(argument, declared.type, declared.default_value is not Undefined, given)
        if said is not None:
            arguments[argument] = said
    return f"{operation} {{ done: {name}{_listed(arguments)} {selection(field.type)} }}"


def literal(path: str, type_: GraphQLInputType, optional: bool, given: Given | None) -> str | None:
    """The value at a path, None where it may be left out and nobody wants it."""
    said = given(path, type_) if given is not None else None
    if said is not None:
        return said
    required = is_non_null_type(type_) and not optional
    inner = get_nullable_type(type_)
    if is_list_type(inner):
        item = literal(path, inner.of_type, not required, given)
        return None if item is None else f"[{item}]"
    if isinstance(inner, GraphQLInputObjectType):
        return _object(path, inner, required, given)
    if not required:
        return None
    if isinstance(inner, GraphQLEnumType):
        return str(next(iter(inner.values)))
    return LEAVES[get_named_type(inner).name]


def _object(path: str, type_: GraphQLInputObjectType, required: bool, given: Given | None) -> str | None:
    if path.count(".") > 3:
        return None
    parts = {}
    for name, field in type_.fields.items():
        optional = field.default_value is not Undefined
        said = literal(f"{path}.{name}", field.type, optional, given)
        if said is not None:
            parts[name] = said
    if not parts and not required:
        return None
    if not parts and type_.is_one_of:
        name, field = next(iter(type_.fields.items()))
        parts[name] = LEAVES[get_named_type(field.type).name]
    return "{ " + ", ".join(f"{name}: {said}" for name, said in parts.items()) + " }"


def selection(type_: GraphQLOutputType, depth: int = 0) -> str:
    """Everything plain of a type, down to `depth` levels of objects without arguments."""
    of = get_named_type(type_)
    if is_leaf_type(of):
        return ""
    if is_union_type(of):
        error = " ... on Error { code path message detail retryable }"
        has_error = any(i.name == "Error" for member in of.types for i in member.interfaces)
        members = "".join(
            f" ... on {member.name} {selection(member, depth - 1)}"
            for member in of.types
            if depth > 0 and not any(i.name == "Error" for i in member.interfaces)
        )
        return "{ __typename" + (error if has_error else "") + members + " }"
    said = ["__typename"]
    if is_object_type(of) or is_interface_type(of):
        for name, field in of.fields.items() if depth > 0 else ():
            inner = get_named_type(field.type)
            if is_leaf_type(inner):
                said.append(name)
            elif depth > 1 and not any(is_non_null_type(a.type) for a in field.args.values()):
                said.append(f"{name} {selection(field.type, depth - 1)}")
    return "{ " + " ".join(said) + " }"


def _listed(arguments: Mapping[str, Any]) -> str:
    return "(" + ", ".join(f"{name}: {said}" for name, said in arguments.items()) + ")" if arguments else ""
