# ruff: noqa: E501 (a rule is a line)
"""What a schema is held to, as data: the meaning of graphql-schema-linter's and graphql-eslint's rules for
Relay, naming and descriptions, and the habits of this one. Each rule carries a small schema that it must catch.

`found(schema)` tells every place that breaks a rule, as `rule: Place what is wrong`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_introspection_type,
    is_list_type,
    is_non_null_type,
    is_specified_directive,
    is_specified_scalar_type,
)

Check = Callable[[GraphQLSchema], Iterator[str]]

PASCAL = re.compile(r"[A-Z][A-Za-z0-9]*\Z")
CAMEL = re.compile(r"[a-z][A-Za-z0-9]*\Z")
UPPER = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*\Z")
HAN = re.compile(r"[一-鿿]")
REASON = re.compile(r"Since \d+\.\d+(\.\d+)? \(\d{4}-\d\d-\d\d\): \S.*\Z", re.DOTALL)
"""A deprecation says since which version and day, and what to use instead."""
LOGIC = frozenset({"AND", "OR", "NOT"})
"""The only fields of inputs in capitals, as everywhere in GraphQL filters."""
INPUT_ENDS = ("Input", "Edit", "Filter", "Where")
KIND_ENDS = ("Type", "Enum", "Interface", "Union", "Object", "Scalar")
ROOT_STARTS = ("get", "list", "fetch", "query", "mutation", "subscription", "all")
VERBS = frozenset(
    [
        "create",
        "update",
        "delete",
        "remove",
        "add",
        "set",
        "save",
        "do",
        "run",
        "start",
        "archive",
        "merge",
        "open",
        "close",
        "send",
        "put",
    ]
)


@dataclass(frozen=True)
class Rule:
    name: str
    about: str
    check: Check
    bad: str
    """The SDL of a schema that breaks this rule."""


# --- what is walked ---------------------------------------------------------------------------------


def types(schema: GraphQLSchema) -> list[GraphQLNamedType]:
    return [
        type_
        for name, type_ in sorted(schema.type_map.items())
        if not is_introspection_type(type_) and not is_specified_scalar_type(type_)
    ]


def roots(schema: GraphQLSchema) -> list[GraphQLObjectType]:
    return [root for root in (schema.query_type, schema.mutation_type, schema.subscription_type) if root]


def composites(schema: GraphQLSchema) -> Iterator[GraphQLObjectType | GraphQLInterfaceType]:
    for type_ in types(schema):
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            yield type_


def fields(schema: GraphQLSchema) -> Iterator[tuple[str, str, GraphQLField]]:
    for type_ in composites(schema):
        for name, field in type_.fields.items():
            yield f"{type_.name}.{name}", name, field


def arguments(schema: GraphQLSchema) -> Iterator[tuple[str, str, Any]]:
    for place, _, field in fields(schema):
        for name, argument in field.args.items():
            yield f"{place}({name})", name, argument


def input_fields(schema: GraphQLSchema) -> Iterator[tuple[str, str, Any]]:
    for type_ in types(schema):
        if isinstance(type_, GraphQLInputObjectType):
            for name, field in type_.fields.items():
                yield f"{type_.name}.{name}", name, field


def values(schema: GraphQLSchema) -> Iterator[tuple[str, str, Any]]:
    for type_ in types(schema):
        if isinstance(type_, GraphQLEnumType):
            for name, value in type_.values.items():
                yield f"{type_.name}.{name}", name, value


def directives(schema: GraphQLSchema) -> Iterator[Any]:
    return (one for one in schema.directives if not is_specified_directive(one))


def described(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    """Everything that can have a description, with the one that it has."""
    for type_ in types(schema):
        yield type_.name, type_.description
    for directive in directives(schema):
        yield f"@{directive.name}", directive.description
        for name, argument in directive.args.items():
            yield f"@{directive.name}({name})", argument.description
    for walk in (fields, arguments, input_fields, values):
        for place, _, thing in walk(schema):
            yield place, thing.description


def connections(schema: GraphQLSchema) -> Iterator[GraphQLObjectType]:
    for type_ in types(schema):
        if isinstance(type_, GraphQLObjectType) and type_.name.endswith("Connection"):
            yield type_


def mutations(schema: GraphQLSchema) -> Iterator[tuple[str, GraphQLField]]:
    if schema.mutation_type:
        yield from schema.mutation_type.fields.items()


def shape(type_: Any) -> str:
    return str(type_)


# --- descriptions -----------------------------------------------------------------------------------


def _is_described(kinds: Callable[[GraphQLSchema], Iterable[tuple[str, str | None]]]) -> Check:
    def check(schema: GraphQLSchema) -> Iterator[str]:
        for place, description in kinds(schema):
            if not (description or "").strip():
                yield f"{place} has no description"

    return check


def _type_words(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    for type_ in types(schema):
        if type_ not in roots(schema):
            yield type_.name, type_.description
    for directive in directives(schema):
        yield f"@{directive.name}", directive.description
        for name, argument in directive.args.items():
            yield f"@{directive.name}({name})", argument.description


def _words(walk: Callable[[GraphQLSchema], Iterator[tuple[str, str, Any]]]) -> Check:
    return _is_described(lambda schema: ((place, thing.description) for place, _, thing in walk(schema)))


def _capitalised(schema: GraphQLSchema) -> Iterator[str]:
    for place, description in described(schema):
        for part in (description or "").split(" · "):
            first = part.strip()[:1]
            if first.isalpha() and first.isascii() and first.islower():
                yield f"{place} begins with a small letter: {description!r}"
                break


def _trimmed(schema: GraphQLSchema) -> Iterator[str]:
    for place, description in described(schema):
        if description is not None and description != description.strip():
            yield f"{place} has space around its description"


def _labelled(schema: GraphQLSchema) -> Iterator[str]:
    told = [(place, value.description) for place, _, value in values(schema)]
    told += [(type_.name, type_.description) for type_ in types(schema) if isinstance(type_, GraphQLEnumType)]
    for place, description in told:
        zh, dot, en = (description or "").partition(" · ")
        if not (dot and HAN.search(zh) and en.strip() and not HAN.search(en)):
            yield f"{place} should be described as `中文 · English`, not {description!r}"


# --- names ----------------------------------------------------------------------------------------


def _named(
    walk: Callable[[GraphQLSchema], Iterator[tuple[str, str, Any]]],
    form: re.Pattern[str],
    kind: str,
    but: frozenset[str] = frozenset(),
) -> Check:
    def check(schema: GraphQLSchema) -> Iterator[str]:
        for place, name, _ in walk(schema):
            if not form.match(name) and name not in but:
                yield f"{place} is not in {kind}"

    return check


def _type_names(schema: GraphQLSchema) -> Iterator[str]:
    for type_ in types(schema):
        if not PASCAL.match(type_.name):
            yield f"{type_.name} is not in PascalCase"
        if type_.name.endswith(KIND_ENDS):
            yield f"{type_.name} says what kind of type it is"


def _input_names(schema: GraphQLSchema) -> Iterator[str]:
    for type_ in types(schema):
        is_input = isinstance(type_, GraphQLInputObjectType)
        if is_input and not type_.name.endswith(INPUT_ENDS):
            yield f"{type_.name} is an input and should end in one of {', '.join(INPUT_ENDS)}"
        if not is_input and type_.name.endswith(("Input", "Where")):
            yield f"{type_.name} is no input and should not be called one"


def _sorted_values(schema: GraphQLSchema) -> Iterator[str]:
    for type_ in types(schema):
        if isinstance(type_, GraphQLEnumType) and list(type_.values) != sorted(type_.values):
            yield f"{type_.name} should list its values in the order of the alphabet"


def _typename_prefix(schema: GraphQLSchema) -> Iterator[str]:
    for type_ in composites(schema):
        prefix = type_.name[0].lower() + type_.name[1:]
        for name in type_.fields:
            rest = name.removeprefix(prefix)
            if rest != name and rest[:1].isupper():
                yield f"{type_.name}.{name} says the name of its type again"


def _root_names(schema: GraphQLSchema) -> Iterator[str]:
    for root in roots(schema):
        for name in root.fields:
            for start in ROOT_STARTS:
                if name.startswith(start) and name[len(start) : len(start) + 1].isupper():
                    yield f"{root.name}.{name} should be a noun without `{start}`"


# --- Relay ----------------------------------------------------------------------------------------


def _connection_types(schema: GraphQLSchema) -> Iterator[str]:
    for type_ in types(schema):
        is_object = isinstance(type_, GraphQLObjectType)
        if type_.name.endswith("Connection") and not is_object:
            yield f"{type_.name} should be an object"
        elif isinstance(type_, GraphQLObjectType) and not type_.name.endswith("Connection"):
            if {"edges", "pageInfo"}.isdisjoint(type_.fields):
                continue
            yield f"{type_.name} is a connection and should end in Connection"
    for connection in connections(schema):
        edges, info = connection.fields.get("edges"), connection.fields.get("pageInfo")
        if edges is None or not re.fullmatch(r"\[\w+Edge!\]!", shape(edges.type)):
            yield f"{connection.name}.edges should be [...Edge!]!"
        if info is None or shape(info.type) != "PageInfo!":
            yield f"{connection.name}.pageInfo should be PageInfo!"


def _edge_types(schema: GraphQLSchema) -> Iterator[str]:
    for type_ in types(schema):
        if not type_.name.endswith("Edge"):
            continue
        if not isinstance(type_, GraphQLObjectType):
            yield f"{type_.name} should be an object"
            continue
        cursor, node = type_.fields.get("cursor"), type_.fields.get("node")
        if cursor is None or shape(cursor.type) != "String!":
            yield f"{type_.name}.cursor should be String!"
        if node is None or is_list_type(node.type) or "[" in shape(node.type):
            yield f"{type_.name}.node should be one node"
    for connection in connections(schema):
        if (edges := connection.fields.get("edges")) is not None:
            edge = get_named_type(edges.type).name
            if edge != f"{connection.name.removesuffix('Connection')}Edge":
                yield f"{connection.name} should have edges of its own, not {edge}"


def _nodes(schema: GraphQLSchema) -> Iterator[str]:
    """`nodes` beside `edges`, of the same type."""
    for connection in connections(schema):
        nodes, edges = connection.fields.get("nodes"), connection.fields.get("edges")
        edge = get_named_type(edges.type) if edges else None
        node = edge.fields.get("node") if isinstance(edge, GraphQLObjectType) else None
        if nodes is None or node is None or shape(nodes.type) != f"[{get_named_type(node.type).name}!]!":
            yield f"{connection.name}.nodes should be the list of what its edges lead to"


def _page_info(schema: GraphQLSchema) -> Iterator[str]:
    info = schema.type_map.get("PageInfo")
    if info is None and not any(connections(schema)):
        return
    wanted = {
        "hasNextPage": "Boolean!",
        "hasPreviousPage": "Boolean!",
        "startCursor": "String",
        "endCursor": "String",
    }
    given = {n: shape(f.type) for n, f in info.fields.items()} if isinstance(info, GraphQLObjectType) else {}
    if given != wanted:
        yield f"PageInfo should have exactly {wanted}"


def _connection_arguments(schema: GraphQLSchema) -> Iterator[str]:
    wanted = {"first": "Int", "after": "String", "last": "Int", "before": "String"}
    for place, _, field in fields(schema):
        paged = get_named_type(field.type).name.endswith("Connection")
        given = {name: shape(argument.type) for name, argument in field.args.items() if name in wanted}
        if paged and not {"first", "after"} <= given.keys():
            yield f"{place} is a connection and should take first and after"
        if ("last" in given) != ("before" in given):
            yield f"{place} should take last and before together"
        for name, type_ in given.items():
            if type_ != wanted[name] and (paged or name == "first"):
                yield f"{place}({name}) should be {wanted[name]}"
        if paged and is_list_type(field.type):
            yield f"{place} should be one connection"


def _node_type(schema: GraphQLSchema) -> Iterator[str]:
    node = schema.type_map.get("Node")
    if not isinstance(node, GraphQLInterfaceType) or shape(node.fields["id"].type) != "ID!":
        yield "Node should be an interface with `id: ID!`"
        return
    query = schema.query_type
    root = query.fields.get("node") if query else None
    if (
        root is None
        or shape(root.type) != "Node"
        or {n: shape(a.type) for n, a in root.args.items()} != {"id": "ID!"}
    ):
        yield "Query.node should be `node(id: ID!): Node`"
    for type_ in types(schema):
        if not isinstance(type_, GraphQLObjectType) or node in type_.interfaces:
            continue
        if "id" in type_.fields and shape(type_.fields["id"].type) == "ID!":
            yield f"{type_.name} has an `id: ID!` and should implement Node"


# --- mutations --------------------------------------------------------------------------------------


def _mutation_results(schema: GraphQLSchema) -> Iterator[str]:
    error = schema.type_map.get("Error")
    for name, field in mutations(schema):
        result = get_named_type(field.type)
        if not (is_non_null_type(field.type) and isinstance(result, GraphQLUnionType)):
            yield f"Mutation.{name} should answer a union that is never null"
            continue
        if not result.name.endswith("Result"):
            yield f"{result.name}, the answer of {name}, should end in Result"
        failed = [one for one in result.types if error in one.interfaces]
        if not failed:
            yield f"{result.name} should say what went wrong: a member that implements Error"
        if len(failed) == len(result.types):
            yield f"{result.name} should say what was done"


def _mutation_keys(schema: GraphQLSchema) -> Iterator[str]:
    for name, field in mutations(schema):
        key = field.args.get("idempotencyKey")
        if key is None or shape(key.type) != "String!":
            yield f"Mutation.{name} should take idempotencyKey: String!"


def _mutation_names(schema: GraphQLSchema) -> Iterator[str]:
    """Noun, then verb, so that what belongs together stands together: `customerCreate`."""
    for name, _ in mutations(schema):
        words = re.findall(r"[A-Z]?[a-z0-9]+", name)
        if len(words) < 2 or words[0] in VERBS:
            yield f"Mutation.{name} should be a noun and then a verb"


# --- what is left ----------------------------------------------------------------------------------


def _deprecations(schema: GraphQLSchema) -> Iterator[str]:
    for walk in (fields, arguments, input_fields, values):
        for place, _, thing in walk(schema):
            if thing.deprecation_reason is not None and not REASON.match(thing.deprecation_reason):
                yield f"{place} should be deprecated as `Since 1.2 (2026-11-22): use ...`"


def _scalars(schema: GraphQLSchema) -> Iterator[str]:
    for type_ in types(schema):
        if isinstance(type_, GraphQLScalarType) and not (type_.specified_by_url or "").startswith("https://"):
            yield f"{type_.name} should say by @specifiedBy what it is"


def _used(schema: GraphQLSchema) -> Iterator[str]:
    reached: set[str] = set()
    todo: list[Any] = list(roots(schema))
    while todo:
        type_ = get_named_type(todo.pop())
        if type_.name in reached:
            continue
        reached.add(type_.name)
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            todo += type_.interfaces
            for field in type_.fields.values():
                todo += [field.type, *(argument.type for argument in field.args.values())]
        if isinstance(type_, GraphQLInterfaceType):
            todo += schema.get_possible_types(type_)
        elif isinstance(type_, GraphQLUnionType):
            todo += type_.types
        elif isinstance(type_, GraphQLInputObjectType):
            todo += [field.type for field in type_.fields.values()]
    for type_ in types(schema):
        if type_.name not in reached:
            yield f"{type_.name} is reached from nowhere"


def _lists(schema: GraphQLSchema) -> Iterator[str]:
    for place, _, field in fields(schema):
        inner = field.type.of_type if is_non_null_type(field.type) else field.type
        if is_list_type(inner):
            if not is_non_null_type(inner.of_type) and place != "Query.nodes":
                yield f"{place} may hold nothing at a place in its list"
            if not is_non_null_type(field.type):
                yield f"{place} should be an empty list, not null"


def _unique_values(schema: GraphQLSchema) -> Iterator[str]:
    for type_ in types(schema):
        if isinstance(type_, GraphQLUnionType | GraphQLEnumType):
            names = (
                [t.name for t in type_.types] if isinstance(type_, GraphQLUnionType) else list(type_.values)
            )
            if not names or (isinstance(type_, GraphQLUnionType) and len(names) < 2):
                yield f"{type_.name} leaves no choice"


# --- the rules ----------------------------------------------------------------------------------

NODE = """
"A row." interface Node { "Its id." id: ID! }
"A shop." type Shop implements Node { "Its id." id: ID! }
"What was refused." interface Error { "Why." code: String! }
"What was refused." type Refusal implements Error { "Why." code: String! }
"""
READ = '"One row." node("Its id." id: ID!): Node'
PAGED = """
"A place." type PageInfo {
  "More." hasNextPage: Boolean! "More." hasPreviousPage: Boolean!
  "The first." startCursor: String "The last." endCursor: String
}
"A shop in a list." type ShopEdge { "Its place." cursor: String! "The shop." node: Shop! }
"A page." type ShopConnection {
  "In their order." edges: [ShopEdge!]! "The same." nodes: [Shop!]! "Where it is." pageInfo: PageInfo!
}
"""
WRITTEN = """
"What became of it." union ShopResult = Shop | Refusal
type Mutation { "Open one." shopOpen("Of the deed." idempotencyKey: String!): ShopResult! }
"""
GOOD = f"""{NODE}{PAGED}{WRITTEN}
"A day." scalar Day @specifiedBy(url: "https://www.rfc-editor.org/rfc/rfc3339")
"种类 · Kind" enum ShopKind {{ "大 · Large" LARGE "小 · Small" SMALL }}
"Tests on shops." input ShopWhere {{ "All of them." AND: [ShopWhere!] "Its name." shopName: String }}
type Query {{
  {READ}
  "The shops." shops("How many." first: Int "From here." after: String "Which." where: ShopWhere): ShopConnection!
  "种类 · Its kind." kind("The day." day: Day @deprecated(reason: "Since 1.2 (2026-11-22): it is always today.")): ShopKind
}}
"""
"""A schema that keeps every rule."""


def bad(query: str = "", more: str = "") -> str:
    return f'{NODE}{more}\ntype Query {{ {READ} {query} "What was refused." error: Error }}'


def paged(before: str, after: str) -> str:
    """The good schema with one thing in it altered."""
    assert before in GOOD
    return GOOD.replace(before, after)


RULES: tuple[Rule, ...] = (
    Rule("types-described", "Every type and directive has a description.", _is_described(_type_words),
         bad("a: Int", "type Bare { \"A.\" a: Int }")),
    Rule("fields-described", "Every field has one.", _words(fields), bad("a: Int")),
    Rule("arguments-described", "Every argument has one.", _words(arguments), bad('"A." a(b: Int): Int')),
    Rule("input-fields-described", "Every field of an input has one.", _words(input_fields),
         bad(more='"In." input AInput { b: Int }')),
    Rule("values-described", "Every value of an enum has one.", _words(values), bad(more='"种 · K" enum K { A }')),
    Rule("descriptions-capitalised", "A description begins with a capital or with `code`.", _capitalised,
         bad('"an int" a: Int')),
    Rule("descriptions-trimmed", "No space around it.", _trimmed, bad('"An int. " a: Int')),
    Rule("values-labelled", "Enums and their values are told in zh and en.", _labelled, bad(more='"种 · K" enum K { "A." A "B." B }')),
    Rule("type-names", "Types are in PascalCase, and do not say their kind.", _type_names,
         bad(more='"A." type shop_type { "A." a: Int }')),
    Rule("field-names", "Fields are in camelCase.", _named(fields, CAMEL, "camelCase"), bad('"A." a_b: Int')),
    Rule("argument-names", "Arguments are in camelCase.", _named(arguments, CAMEL, "camelCase"),
         bad('"A." a("B." b_c: Int): Int')),
    Rule("input-field-names", "Fields of inputs are in camelCase, but for AND, OR, NOT.",
         _named(input_fields, CAMEL, "camelCase", LOGIC), bad(more='"In." input AInput { "B." XOR: Int }')),
    Rule("value-names", "Values of enums are in CAPITALS.", _named(values, UPPER, "CAPITALS"),
         bad(more='"种 · K" enum K { "甲 · A" aB }')),
    Rule("values-sorted", "Values of enums stand in the order of the alphabet.", _sorted_values,
         bad(more='"种 · K" enum K { "乙 · B" B "甲 · A" A }')),
    Rule("input-names", "Inputs are called so; nothing else is.", _input_names, bad(more='"In." input Bag { "B." b: Int }')),
    Rule("no-typename-prefix", "A field does not say the name of its type again.", _typename_prefix,
         bad(more='"A." type Bag { "B." bagSize: Int }')),
    Rule("root-names", "Root fields are nouns.", _root_names, bad('"A." getShop: Shop')),
    Rule("connection-types", "Connections end in Connection and have edges and pageInfo.", _connection_types,
         paged("nodes: [Shop!]! \"Where it is.\" pageInfo: PageInfo!", "nodes: [Shop!]!")),
    Rule("edge-types", "Edges are of their connection, with cursor and node.", _edge_types,
         paged('cursor: String!', 'cursor: Int')),
    Rule("connection-nodes", "A connection has nodes beside edges.", _nodes, paged('nodes: [Shop!]!', "nodes: [Shop]")),
    Rule("page-info", "PageInfo is Relay's.", _page_info, paged("startCursor: String ", "startCursor: Int ")),
    Rule("connection-arguments", "Connections take first and after; last only with before.", _connection_arguments,
         paged('"From here." after: String', '"To there." before: String')),
    Rule("node", "Node and its root field are Relay's, and every row is one.", _node_type,
         paged("type Shop implements Node", "type Shop")),
    Rule("mutation-results", "A mutation answers a union ...Result of what was done and an Error.", _mutation_results,
         paged("ShopResult = Shop | Refusal", "ShopResult = Shop | ShopEdge")),
    Rule("mutation-keys", "A mutation takes an idempotency key.", _mutation_keys,
         paged("idempotencyKey: String!", "idempotencyKey: String")),
    Rule("mutation-names", "A mutation is a noun and then a verb.", _mutation_names, paged("shopOpen", "createShop")),
    Rule("deprecations", "A deprecation says since when, and what instead.", _deprecations,
         paged("Since 1.2 (2026-11-22): it is always today.", "No longer used.")),
    Rule("scalars-specified", "A scalar says by @specifiedBy what it is.", _scalars,
         paged(' @specifiedBy(url: "https://www.rfc-editor.org/rfc/rfc3339")', "")),
    Rule("types-used", "Every type is reached from a root.", _used, bad(more='"A." type Bag { "B." b: Int }')),
    Rule("lists", "A list is never null and holds no nulls, but for Relay's `nodes(ids)`.", _lists, bad('"A." a: [Int]')),
    Rule("choices", "An enum or a union leaves a choice.", _unique_values, bad(more='"A." union Either = Shop')),
)  # fmt: skip


def found(schema: GraphQLSchema, rules: Iterable[Rule] = RULES) -> list[str]:
    """Every place that breaks one of the rules."""
    return [f"{rule.name}: {place}" for rule in rules for place in rule.check(schema)]
