"""What a query's answer looks like before it is there: the shape of each field, from its GraphQL type.

A shape is the name of a scalar (`ENUM` for every enum), `[shape]` for a list, `{name: shape}` for an object.
Of an interface or a union it has the fields that are asked of any of its types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    OperationDefinitionNode,
    get_nullable_type,
    is_abstract_type,
    is_enum_type,
    is_list_type,
)
from graphql.execution.collect_fields import (
    CollectedFields,
    FieldDetailsList,
    FragmentDetails,
    collect_fields,
    collect_subfields,
)
from graphql.execution.values import VariableValues, get_variable_values

from regulars_sync.errors import Refused

Shape = str | list["Shape"] | dict[str, "Shape"]

ENUM = "enum"


def shape_of(document: DocumentNode, schema: GraphQLSchema, variables: Mapping[str, Any]) -> dict[str, Shape]:
    """The shape of what a valid document of one operation answers. `Refused("argument_invalid")`."""
    (operation,) = (d for d in document.definitions if isinstance(d, OperationDefinitionNode))
    given = get_variable_values(schema, operation.variable_definitions or (), dict(variables))
    if not isinstance(given, VariableValues):
        raise Refused("argument_invalid", reason=given[0].message[:200])
    fragments = {
        d.name.value: FragmentDetails(d)
        for d in document.definitions
        if isinstance(d, FragmentDefinitionNode)
    }

    def fields(type_: GraphQLObjectType, found: CollectedFields) -> dict[str, Shape]:
        shapes = {}
        for name, asked in found.grouped_field_set.items():
            field = schema.get_field(type_, asked[0].node.name.value)
            assert field is not None
            shapes[name] = shape(field.type, asked)
        return shapes

    def shape(type_: GraphQLOutputType, asked: FieldDetailsList) -> Shape:
        plain: Any = get_nullable_type(type_)
        if is_list_type(plain):
            return [shape(plain.of_type, asked)]
        if is_enum_type(plain):
            return ENUM
        if isinstance(plain, GraphQLObjectType):
            possibles = [plain]
        elif is_abstract_type(plain):
            possibles = schema.get_possible_types(plain)
        else:
            return str(plain.name)
        merged: dict[str, Shape] = {}
        for possible in possibles:
            below = collect_subfields(schema, fragments, given, operation, possible, asked)
            merged = merge(merged, fields(possible, below))
        return merged

    assert schema.query_type is not None
    try:
        root = collect_fields(schema, fragments, given, schema.query_type, operation)
    except GraphQLError as error:
        raise Refused("argument_invalid", reason=error.message[:200]) from None
    return fields(schema.query_type, root)


def merge(one: Mapping[str, Shape], other: Mapping[str, Shape]) -> dict[str, Shape]:
    """The fields of both. `Refused("export_query")` where one name is of two shapes."""
    merged = dict(one)
    for name, shape in other.items():
        merged[name] = _both(name, merged[name], shape) if name in merged else shape
    return merged


def _both(name: str, one: Shape, other: Shape) -> Shape:
    if isinstance(one, dict) and isinstance(other, dict):
        return merge(one, other)
    if isinstance(one, list) and isinstance(other, list):
        return [_both(name, one[0], other[0])]
    if one != other:
        raise Refused("export_query", reason=f"an alias: its lists have “{name}” of two types")
    return one
