"""The right that each root field asks for is asked for here, before anything of it runs.

A mutation answers a refusal of its own union, as for every other reason; a query or a subscription ends in
an error at its path. What is read below a root is asked for in `request.Context`, what is written in
`mutations.Mutations`: rows come and go by no other road.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from graphql import GraphQLField, GraphQLSchema, get_named_type, is_union_type

from regulars_server.access.rights import ROOTS
from regulars_server.graph.problems import Refusal, refusal
from regulars_server.graph.request import Context
from regulars_sync.errors import Refused

Resolve = Callable[..., Any]


def guard(schema: GraphQLSchema) -> None:
    """Let no root field run without its right. KeyError for one that says none in `rights.ROOTS`."""
    for root in (schema.query_type, schema.mutation_type, schema.subscription_type):
        for name, field in root.fields.items() if root is not None else ():
            right = ROOTS[f"{root}.{name}"]
            if field.subscribe is not None:
                field.subscribe = _asking(field, field.subscribe, right)
            elif field.resolve is not None:
                field.resolve = _asking(field, field.resolve, right)


def _asking(field: GraphQLField, resolve: Resolve, right: str) -> Resolve:
    told = get_named_type(field.type)
    answers = is_union_type(told) and any(member.name == Refusal.__name__ for member in told.types)

    @wraps(resolve)
    def asked(source: Any, info: Any, **arguments: Any) -> Any:
        context: Context = info.context
        try:
            context.principal.require(right)
        except Refused as refused:
            if not answers:
                raise
            return refusal(refused, context.lang)
        if context.turns is not None:
            context.turns.right = right
        return resolve(source, info, **arguments)

    return asked
