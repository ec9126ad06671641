"""What recurs in the schema is described once, here: pages, filters, orders, keys and versions.

`describe` gives these words to whatever has none of its own, so a new connection, filter or mutation is
described as soon as it is there. What stands once is described where it is declared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
)

ARGUMENTS: Mapping[str, str] = {
    "about": "Of what.",
    "after": "Only what follows this cursor.",
    "asOf": "As of when: what happened later does not count; now unless told.",
    "before": "Only what comes before this cursor.",
    "cid": "The change, by its cid.",
    "customers": "The customers, by their ids.",
    "device": "Only what this tablet wrote.",
    "entity": "The kind of row.",
    "expectedVersion": "The `version` you read: when the row is not at it any more, nothing is written.",
    "first": "How many at most, from the start; 250 is the most that is given.",
    "fromCustomerId": "The customer it goes out from.",
    "id": "The id of the row.",
    "idempotencyKey": "Chosen by you, one a deed: what has the same key is done once.",
    "ids": "The ids of the rows.",
    "input": "What to do it with.",
    "lang": "The language of the labels.",
    "last": "How many at most, from the end; 250 is the most that is given.",
    "of": "What is asked.",
    "note": "Some words about it.",
    "orderBy": "In which order.",
    "path": "One field only; an element of a set is `field/key`.",
    "schemes": "Only these schemes, by their keys.",
    "search": "Words that must all be found; docs/API.md says in what, and how.",
    "rule": "A rule, as text or as its tree: see docs/RULES.md.",
    "reason": "Why; it is kept in the log.",
    "segment": "The segment, by its id.",
    "set": "What to write: what is left out stays, null clears.",
    "tags": "The tags.",
    "toCustomerId": "The customer it goes to.",
    "unit": "The unit, by its id.",
    "where": "Which of them.",
}
FIELDS: Mapping[str, str] = {
    "actorId": "Who made it, by id; null when nobody signed in.",
    "cid": "The cid of the change.",
    "code": "Stable for ever: see docs/ERRORS.md.",
    "cursor": "Its place in the list: give it as `after` or `before`.",
    "deviceId": "On which tablet, by id; null when it was made at the server.",
    "edges": "The same as `nodes`, each with its cursor.",
    "entity": "The kind of row, as tablets and files name it.",
    "id": "The id of the row, for ever.",
    "node": "What is listed.",
    "nodes": "What is listed, in its order.",
    "pageInfo": "Where this page stands in the list.",
    "path": "The field; an element of a set is `field/key`.",
    "rowId": "The id of the row.",
    "source": "Where the writer had it from, such as staff_visit or import.",
    "value": "The value, in the form in which it is stored.",
    "verified": "Whether it was checked: unverified, pending, verified or rejected.",
}
INPUTS: Mapping[str, str] = {
    "AND": "All of these hold.",
    "NOT": "This does not hold.",
    "OR": "One of these holds.",
    "add": "Put these into the set.",
    "contains": "Holds this somewhere.",
    "entity": "The kind of row.",
    "eq": "Equal to this.",
    "every": "Each of them passes; also where there is none.",
    "exists": "True: there is a value. False: there is none.",
    "gt": "More than this.",
    "gte": "This or more.",
    "has": "This is in the set.",
    "hasAll": "All of these are in the set.",
    "hasAny": "One of these is in the set.",
    "id": "The id of the row.",
    "in": "One of these.",
    "lt": "Less than this.",
    "lte": "This or less.",
    "ne": "Anything but this.",
    "none": "None of them passes; also where there is none.",
    "notIn": "None of these, or no value at all.",
    "remove": "Take these out of the set.",
    "some": "At least one of them passes.",
    "startsWith": "Begins with this.",
}
WAYS: Mapping[str, tuple[str, str]] = {"ASC": ("升序", "ascending"), "DESC": ("降序", "descending")}


def describe(schema: GraphQLSchema) -> None:
    """Describe what has no description and recurs."""
    for type_ in schema.type_map.values():
        type_.description = type_.description or _of_type(type_)
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            _say(type_.fields, FIELDS)
            for field in type_.fields.values():
                _say(field.args, ARGUMENTS)
        elif isinstance(type_, GraphQLInputObjectType):
            _say(type_.fields, INPUTS)
        elif isinstance(type_, GraphQLEnumType) and type_.name.endswith("Order"):
            for name, words in _orders(type_, schema.type_map.get(type_.name.removesuffix("Order"))):
                type_.values[name].description = type_.values[name].description or words


def said(description: str | None, lang: str) -> str:
    """What a label that is told in both languages, `中文 · English`, says in one of them."""
    zh, dot, en = (description or "").partition(" · ")
    return en if dot and lang == "en" else zh


def _say(things: Mapping[str, Any], words: Mapping[str, str]) -> None:
    for name, thing in things.items():
        thing.description = thing.description or words.get(name)


def _of_type(type_: GraphQLNamedType) -> str | None:
    name = type_.name
    if name.endswith("Edge"):
        return f"One {name.removesuffix('Edge')} of a list, with its place."
    if name.endswith("Connection"):
        return f"A page of {name.removesuffix('Connection')}."
    if name.endswith("Order"):
        return "排序 · By what the list is ordered."
    if isinstance(type_, GraphQLUnionType) and name.endswith("Result"):
        return "What was done, or why it was not."
    if name.endswith("Saved"):
        return "It was written; this is what it became."
    return None


def _orders(order: GraphQLEnumType, type_: GraphQLNamedType | None) -> Iterator[tuple[str, str]]:
    """Each value of an order with the label of its field and its way."""
    fields = type_.fields if isinstance(type_, GraphQLObjectType) else {}
    for name in order.values:
        column, _, way = name.rpartition("_")
        first, *rest = column.lower().split("_")
        field = fields.get(first + "".join(word.capitalize() for word in rest))
        zh, dot, en = ((field.description if field else None) or "").partition(" · ")
        if way in WAYS:
            ways = WAYS[way]
            yield name, f"{zh}，{ways[0]} · {en}, {ways[1]}" if dot else f"编号，{ways[0]} · Id, {ways[1]}"
