"""Random GraphQL operations from the schema itself: valid, and as odd as their arguments may be."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLType,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
)
from graphql.type import GraphQLInterfaceType

TEXTS = ["", "a", "C", "林", "138 0013 8000", "%", "_", "'; DROP", "x@y.z", "a" * 100, "\u202e", "é", "\0"]
WORDS: dict[str, Sequence[Any]] = {
    "Int": [0, 1, 1, 2, 2, 3, 5, 7, -1, 300, 2**31 - 1],
    "Boolean": [True, False],
    "Date": ["2026-01-01", "1999-12-31"],
    "DateTime": ["2026-01-01T00:00:00Z", "2026-11-22T10:00:00+08:00"],
    "Money": [0, 5, 2**52],
    "JSON": [{}, {"name": "x"}, 7, ["a"], {"tags/x": True, "zz": 1}],
}
NEST_MAX = 5
PAGES = ("first", "last")
NO_CURSORS = ["", "x", "é", "bm8", "-1", None]
ROWS = [0, 1, 1, 2, 2, 3, 3, 5]


@dataclasses.dataclass
class Known:
    """What arguments may say besides plain words; a test adds to it what the answers tell."""

    texts: list[Any] = dataclasses.field(default_factory=list)
    cids: list[Any] = dataclasses.field(default_factory=list)
    cursors: list[Any] = dataclasses.field(default_factory=list)
    versions: list[Any] = dataclasses.field(default_factory=list)


class Operation(NamedTuple):
    root: str
    query: str
    variables: dict[str, Any]


class Queries:
    """Operations drawn from one seed; `ids` are the ids that they ask for.

    With `known` they are larger: with aliases (`name__1`), fragments, and what is in it.
    """

    def __init__(
        self, schema: GraphQLSchema, seed: int, ids: Sequence[str], known: Known | None = None
    ) -> None:
        self._schema = schema
        self._random = random.Random(seed)
        self._ids = ids
        self._known = known
        self._variables: dict[str, tuple[GraphQLInputType, Any]] = {}
        self._fragments: list[str] = []
        self._turns: list[str] = []
        """The roots of queries yet to be asked in this turn."""

    def query(self) -> Operation:
        assert self._schema.query_type is not None
        return self._operation("query", self._schema.query_type)

    def mutation(self, without: Sequence[str] = ()) -> Operation:
        assert self._schema.mutation_type is not None
        return self._operation("mutation", self._schema.mutation_type, without)

    def _operation(self, kind: str, root: GraphQLObjectType, without: Sequence[str] = ()) -> Operation:
        self._variables.clear()
        self._fragments.clear()
        names = [name for name in root.fields if name not in without]
        if self._known is not None and kind == "query":
            names += [name for name in names if "where" in root.fields[name].args] * 3
        if kind == "query" and self._known is not None:
            if not self._turns:  # all of them, in an order that is drawn, and anew
                self._turns = self._random.sample(names, len(names))
            name = self._turns.pop()
        else:
            name = self._random.choice(names)
        body = self._field(name, root.fields[name], 0)
        if self._known is not None and kind == "query" and self._random.random() < 0.2:
            other = self._random.choice([each for each in root.fields if each not in without])
            body += f" {self._aliased(self._field(other, root.fields[other], 0), 2)}"
        head = ", ".join(f"${key}: {type_}" for key, (type_, _) in self._variables.items())
        query = f"{kind} Q{f'({head})' if head else ''} {{ {body} }} {' '.join(self._fragments)}".strip()
        return Operation(name, query, {key: value for key, (_, value) in self._variables.items()})

    def _field(self, name: str, field: GraphQLField, nest: int) -> str:
        given = []
        for key, argument in field.args.items():
            likely = 0.3
            if self._known is not None:
                likely = {"first": 0.6 if nest == 0 else 0.9, "last": 0.05, "before": 0.1}.get(key, 0.2)
            if isinstance(argument.type, GraphQLNonNull) or self._random.random() < likely:
                variable = f"v{len(self._variables)}"
                self._variables[variable] = (argument.type, self._argument(key, argument.type))
                given.append(f"{key}: ${variable}")
        arguments = f"({', '.join(given)})" if given else ""
        inner = get_named_type(field.type)
        return f"{name}{arguments} {'' if is_leaf_type(inner) else self._selection(inner, nest + 1)}"

    def _argument(self, name: str, type_: GraphQLInputType) -> Any:
        """A value for an argument: one that makes sense by its name, more often than not."""
        known, draw = self._known, self._random
        if known is not None and draw.random() < 0.8:
            if name in PAGES:
                return draw.choice(ROWS)
            of = {
                "after": known.cursors,
                "before": known.cursors,
                "cid": known.cids,
                "search": known.texts,
                "expectedVersion": known.versions,
            }.get(name)
            if of:
                return draw.choice(of)
        if known is not None and name in ("after", "before"):
            return draw.choice(NO_CURSORS)
        return self._value(type_, 0)

    def _aliased(self, asked: str, number: int) -> str:
        return f"{asked.split('(')[0].split()[0]}__{number}: {asked}"

    def _selection(self, type_: GraphQLType, nest: int) -> str:
        body = self._plain_selection(type_, nest)
        if self._known is None or not isinstance(type_, GraphQLObjectType) or self._random.random() < 0.8:
            return body
        if self._random.random() < 0.5:
            return f"{{ ... on {type_.name} {body} }}"
        name = f"F{len(self._fragments)}"
        self._fragments.append(f"fragment {name} on {type_.name} {body}")
        return f"{{ ...{name} }}"

    def _plain_selection(self, type_: GraphQLType, nest: int) -> str:
        if isinstance(type_, GraphQLUnionType | GraphQLInterfaceType):
            possible = list(self._schema.get_possible_types(type_))
            chosen = self._random.sample(possible, 1)
            return (
                f"{{ __typename {' '.join(f'... on {t.name} {self._selection(t, nest)}' for t in chosen)} }}"
            )
        assert isinstance(type_, GraphQLObjectType)
        parts = ["__typename"]
        for name, field in type_.fields.items():
            is_leaf = is_leaf_type(get_named_type(field.type))
            if self._random.random() < (0.6 if is_leaf else 0.4 if nest < NEST_MAX else 0):
                parts.append(self._field(name, field, nest))
                if self._known is not None and self._random.random() < 0.08:
                    parts.append(self._aliased(self._field(name, field, nest), len(parts)))
        return f"{{ {' '.join(parts)} }}"

    def _value(self, type_: GraphQLInputType, nest: int) -> Any:
        if isinstance(type_, GraphQLNonNull):
            return self._given(type_.of_type, nest)
        return None if self._random.random() < 0.08 else self._given(type_, nest)

    def _given(self, type_: GraphQLInputType, nest: int) -> Any:
        draw = self._random
        if isinstance(type_, GraphQLList):
            return [self._value(type_.of_type, nest) for _ in range(draw.randint(0, 2))]
        if isinstance(type_, GraphQLEnumType):
            return draw.choice(list(type_.values))
        if isinstance(type_, GraphQLInputObjectType):
            if self._known is not None and type_.name.endswith(("Where", "Filter")) and draw.random() < 0.7:
                name = draw.choice(list(type_.fields))
                return {name: self._value(type_.fields[name].type, nest + 1)}
            likely = 0.25 if nest < 3 else 0.05
            return {
                name: self._value(field.type, nest + 1)
                for name, field in type_.fields.items()
                if isinstance(field.type, GraphQLNonNull) or draw.random() < likely
            }
        name = get_named_type(type_).name
        if self._known is not None and name == "String" and draw.random() < 0.5:
            return draw.choice(self._known.texts)
        return draw.choice(self._ids if name in ("ID", "UUID") else WORDS.get(name, TEXTS))
