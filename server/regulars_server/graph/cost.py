"""What an operation may cost, told from its document and variables before anything runs.

    cost = weight of the field + rows it may give x (1 + cost of what is asked of each)

A row is 1, and so is an object behind a relation; what a row carries in itself is free. A connection is
taken for as many rows as `first` or `last` says, and a list within a row for a few. What works harder
than its rows show is in `WEIGHTS`. What is read is counted too, and what was not needed is given back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_object_type,
)
from graphql.type import GraphQLInterfaceType

from regulars_server.graph.connection import ROWS_DEFAULT, ROWS_MAX

ROW: Final = 1
MUTATION: Final = 10
SEARCH: Final = 20
COUNT: Final = 20
NESTED_ROWS: Final = 20
"""Of a connection below another row that says neither `first` nor `last`."""
LIST_ROWS: Final = 2
"""Of a list that can't be asked for a number of rows."""
INTROSPECTED_PER_COST: Final = 20
"""So many parts of the schema cost as much as one row."""

WEIGHTS: Final[Mapping[str, int]] = {
    "Query.history": 100,
    "Query.loggedChange": 100,
    "Query.ledger": 100,
    "Query.heldChanges": 50,
    "Query.equalKeys": 100,
    "Query.identityReviews": 50,
    "Query.gaps": 20,
    "Query.labels": 20,
    "Query.ruleFilters": 20,
    "Query.ruleTemplates": 20,
    "Query.ruleRead": 2,
    "Query.segmentPreview": 500,
    "Query.composition": 100,
    "Query.combinedCard": 1_000,
    "Query.campaign": 50,
    "Customer.metrics": 5,
    "Customer.explain": 5,
    "Query.enumLabels": 20,
    "Query.customerCard": 20,
    "Query.cardForm": 20,
    "Customer.card": 2,
    "Card.tabs": 10,
    "Card.leaders": 10,
    "Card.links": 10,
    "Card.companions": 10,
    "Card.facts": 10,
    "Card.callOpener": 10,
    "Card.preferences": 10,
    "Card.standings": 5,
    "Card.pins": 20,
    "Card.agencyChecks": 10,
    "Customer.history": 50,
    "Customer.timeline": 10,
    "Customer.devices": 5,
    "Customer.reviews": 5,
    "Mutation.segmentSnapshot": 1_000,
    "Mutation.identityScan": 5_000,
}
"""Beside the rows that a field gives."""

GIVEN_ROWS: Final = ("ids", "inputs", "updates")
"""The arguments that name rows one by one."""

INTROSPECTED: Final[Mapping[str, int]] = {
    "types": 250,
    "directives": 10,
    "fields": 10,
    "inputFields": 8,
    "enumValues": 8,
    "possibleTypes": 8,
    "interfaces": 2,
    "args": 3,
}


@dataclass(frozen=True, slots=True)
class Size:
    """How many rows a field may give: what its arguments say, in the document or in variables."""

    said: tuple[int, ...] = ()
    variables: tuple[str, ...] = ()
    default: int = 1

    def of(self, variables: Mapping[str, Any]) -> int:
        found = [*self.said, *(_number(variables.get(name)) for name in self.variables)]
        return max((number for number in found if number is not None), default=self.default)


def _number(said: object) -> int | None:
    if isinstance(said, list):
        return len(said)
    if isinstance(said, int | float) and said == said:  # not NaN
        return int(min(max(said, 0), ROWS_MAX))
    return None


ONE: Final = Size()


@dataclass(frozen=True, slots=True)
class Price:
    """`weight` + `size` x what `inner` comes to."""

    weight: int
    size: Size = ONE
    inner: tuple[Price, ...] = ()

    def of(self, variables: Mapping[str, Any]) -> int:
        if not self.inner:
            return self.weight
        each = sum(price.of(variables) for price in self.inner)
        return self.weight + self.size.of(variables) * each

    def least(self) -> int:
        """What it comes to when no row is found."""
        return self.weight + (sum(price.least() for price in self.inner) if self.size is ONE else 0)


FREE: Final = Price(0)


def price(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
) -> Price:
    """The price of a valid operation, whose fragments are known to unfold into few fields."""
    return _Pricing(schema, fragments).operation(operation)


class _Pricing:
    def __init__(self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._schema = schema
        self._fragments = fragments

    def operation(self, operation: OperationDefinitionNode) -> Price:
        root = self._schema.get_root_type(operation.operation)
        if root is None:
            return FREE
        defaults = {
            definition.variable.name.value: definition.default_value
            for definition in operation.variable_definitions or ()
        }
        self._defaults: Mapping[str, ValueNode | None] = defaults
        inner = self._selection(root, operation.selection_set, None)
        return Price(0, ONE, tuple(inner))

    def _selection(
        self, type_: GraphQLNamedType, selection_set: SelectionSetNode, page: Size | None
    ) -> Iterable[Price]:
        """The prices of the fields that are not free; `page` is the size of the connection around them."""
        for node in selection_set.selections:
            if isinstance(node, FieldNode):
                found = self._field(type_, node, page)
                if found != FREE:
                    yield found
                continue
            if isinstance(node, FragmentSpreadNode):
                fragment: FragmentDefinitionNode | InlineFragmentNode = self._fragments[node.name.value]
            else:
                assert isinstance(node, InlineFragmentNode)
                fragment = node
            on = fragment.type_condition
            inner = type_ if on is None else self._schema.type_map[on.name.value]
            yield from self._selection(inner, fragment.selection_set, page)

    def _field(self, type_: GraphQLNamedType, node: FieldNode, page: Size | None) -> Price:
        name = node.name.value
        if name in ("__schema", "__type"):
            return Price(ROW + self._introspected(node) // INTROSPECTED_PER_COST)
        if name == "__typename" or not isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            return FREE
        field = type_.fields[name]
        weight = self._weight(type_, field, node)
        named = get_named_type(field.type)
        if is_leaf_type(named) or node.selection_set is None:
            return Price(weight)
        if is_connection(named):
            inner = tuple(self._selection(named, node.selection_set, self._size(type_, node)))
            return Price(weight, ONE, inner)
        is_list = is_list_type(get_nullable_type(field.type))
        written = None
        if type_ is self._schema.mutation_type and field.args.keys() & GIVEN_ROWS:
            written = self._size(type_, node)
        inner = tuple(self._selection(named, node.selection_set, written))
        if written is not None:
            return Price(weight, ONE, (Price(ROW), Price(0, written, (Price(ROW),)), *inner))
        if is_list and page is not None:
            return Price(weight, page, (Price(ROW), *inner))
        if _is_plain(field):
            if not inner:
                return Price(weight)
            return Price(weight, Size(default=LIST_ROWS) if is_list else ONE, inner)
        return Price(weight, self._size(type_, node) if is_list else ONE, (Price(ROW), *inner))

    def _weight(self, type_: GraphQLNamedType, field: GraphQLField, node: FieldNode) -> int:
        weight = WEIGHTS.get(f"{type_.name}.{node.name.value}")
        if weight is None:
            weight = MUTATION if type_ is self._schema.mutation_type else 0
            if node.name.value == "totalCount":
                weight = COUNT
        given = {argument.name.value for argument in node.arguments or ()}
        return weight + (SEARCH if "search" in given else 0)

    def _size(self, type_: GraphQLObjectType | GraphQLInterfaceType, node: FieldNode) -> Size:
        default = LIST_ROWS
        if "first" in type_.fields[node.name.value].args:
            default = ROWS_DEFAULT if type_ is self._schema.query_type else NESTED_ROWS
        said, variables = [], []
        for argument in node.arguments or ():
            if argument.name.value not in ("first", "last", *GIVEN_ROWS):
                continue
            value: ValueNode | None = argument.value
            if isinstance(value, VariableNode):
                variables.append(value.name.value)
                value = self._defaults.get(value.name.value)
            if isinstance(value, IntValueNode):
                said.append(min(max(int(value.value[:12]), 0), ROWS_MAX))
            elif isinstance(value, ListValueNode):
                said.append(len(value.values))
        return Size(tuple(said), tuple(variables), default)

    def _introspected(self, node: FieldNode) -> int:
        """About how many parts of the schema are told."""
        if node.selection_set is None:
            return 0
        inner = sum(self._introspected(each) for each in self._fields(node.selection_set))
        return INTROSPECTED.get(node.name.value, 1) * (1 + inner)

    def _fields(self, selection_set: SelectionSetNode) -> Iterable[FieldNode]:
        for node in selection_set.selections:
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, FragmentSpreadNode):
                yield from self._fields(self._fragments[node.name.value].selection_set)
            elif isinstance(node, InlineFragmentNode):
                yield from self._fields(node.selection_set)


def is_connection(type_: GraphQLNamedType) -> bool:
    return is_object_type(type_) and "pageInfo" in type_.fields


def _is_plain(field: GraphQLField) -> bool:
    """Whether it is read from the row and from nothing else."""
    return not field.args and getattr(field.resolve, "_is_default", False)
