"""The GraphQL schema, put together from its roots."""

from __future__ import annotations

from functools import cache

import strawberry
from strawberry.schema.config import StrawberryConfig

from regulars_server.graph.guard import guard
from regulars_server.graph.mutation import Mutation
from regulars_server.graph.query import Query
from regulars_server.graph.scalars import SCALARS
from regulars_server.graph.subscription import Subscription
from regulars_server.graph.timeline import EVENTS
from regulars_server.graph.types import TYPES
from regulars_server.graph.words import describe


@cache
def build_schema() -> strawberry.Schema:
    """The one of this process: what was compiled for it serves every chain."""
    schema = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[*TYPES.values(), *EVENTS],
        config=StrawberryConfig(scalar_map=dict(SCALARS)),
    )
    describe(schema._schema)
    guard(schema._schema)
    return schema
