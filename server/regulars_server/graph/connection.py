"""Relay connections by keyset: a cursor is the place of a row in an order, so inserts never shift a page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import orjson
import strawberry

from regulars_schema.declare import JSON, Bool, Entity, Int, Unfit, check_text
from regulars_server.graph.declared import resolved
from regulars_server.graph.filters import entities_of, where_of
from regulars_server.graph.searching import RELEVANCE
from regulars_server.graph.searching import search as search_of
from regulars_server.storage.interface import All, Found, Order, Person, Where
from regulars_sync.errors import Refused

if TYPE_CHECKING:
    from regulars_server.graph.request import Context
    from regulars_server.graph.rows import Node

T = TypeVar("T")
N = TypeVar("N", bound="Node")

ROWS_DEFAULT = 50
ROWS_MAX = 250
CURSOR_CHARS_MAX = 2_000


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more follows: ask `after` the end cursor.")
    has_previous_page: bool = strawberry.field(description="Whether there is more before it.")
    start_cursor: str | None = strawberry.field(description="The place of the first; null when it is empty.")
    end_cursor: str | None = strawberry.field(description="The place of the last; null when it is empty.")


@strawberry.type
class Edge(Generic[T]):
    cursor: str
    node: T


@strawberry.type(description="A page of rows. `totalCount` is counted only when it is asked for.")
class Connection(Generic[T]):
    nodes: list[T]
    page_info: PageInfo
    cursors: strawberry.Private[Callable[[], list[str]]]
    counting: strawberry.Private[Callable[[], Awaitable[int]]]

    @resolved("The rows, each with its cursor.")
    def edges(self) -> list[Edge[T]]:
        return [
            Edge(cursor=cursor, node=node) for cursor, node in zip(self.cursors(), self.nodes, strict=True)
        ]

    @resolved("How many rows there are within reach, on all pages.")
    async def total_count(self) -> int:
        return await self.counting()


def parsed_order(said: str) -> Order:
    """`name desc` as the enums of orders carry it."""
    field, way = said.split()
    return Order(field, way == "desc")


def encode_cursor(order: Order, key: tuple[JSON, str]) -> str:
    raw = orjson.dumps([order.field, order.descending, *key])
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_cursor(entity: Entity, order: Order, cursor: str) -> tuple[JSON, str]:
    """The key in a cursor of this order; `Refused("cursor_invalid")` for anything else."""
    if len(cursor) > CURSOR_CHARS_MAX or not cursor.isascii():
        raise Refused("cursor_invalid")
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        field, descending, value, id = orjson.loads(raw)
        check_text(id, 200)
        declared = entity.by_name.get(order.field)
        if value is not None:
            if order == RELEVANCE or (declared is not None and isinstance(declared.type, Int | Bool)):
                if not isinstance(value, int) or abs(value) >= 2**53:
                    raise ValueError
            else:
                check_text(value, CURSOR_CHARS_MAX)
    except (binascii.Error, ValueError, TypeError, Unfit):
        raise Refused("cursor_invalid") from None
    if (field, descending) != (order.field, order.descending):
        raise Refused("cursor_invalid")
    return value, id


def clamp(rows: int | None, default: int = ROWS_DEFAULT) -> int:
    """How many rows are given; `Refused("argument_invalid")` when it is negative."""
    if rows is None:
        return default
    if rows < 0:
        raise Refused("argument_invalid", reason="first and last are at least 0.")
    return min(rows, ROWS_MAX)


def connected(
    nodes: Sequence[T],
    found: Sequence[Found],
    order: Order,
    has_next: bool,
    has_previous: bool,
    counting: Callable[[], Awaitable[int]],
) -> Connection[T]:
    info = PageInfo(
        has_next_page=has_next,
        has_previous_page=has_previous,
        start_cursor=encode_cursor(order, found[0].key) if found else None,
        end_cursor=encode_cursor(order, found[-1].key) if found else None,
    )
    return Connection(
        nodes=list(nodes),
        page_info=info,
        cursors=lambda: [encode_cursor(order, row.key) for row in found],
        counting=counting,
    )


async def page(
    context: Context,
    type_: type[N],
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
    where: object | None,
    order_by: str,
    search: str | None,
    fixed: Where | None = None,
    persons: bool = False,
) -> Connection[N]:
    """One page of the rows within reach that pass every test, with `persons` one for each person.

    `Refused` for arguments that make no sense.
    """
    entity = context.entity(type_)
    if first is not None and last is not None:
        raise Refused("argument_invalid", reason="Give first or last, not both.")
    order = parsed_order(order_by)
    tests: list[Where] = [] if fixed is None else [fixed]
    if where is not None:
        asked = where_of(context.service.storage.registry, entity, where, context.author.country)
        for other in entities_of(asked):
            context.require_read(other)
        tests.append(await _told(context, asked))

    def with_(test: Where | None) -> Where | None:
        every = tests if test is None else [*tests, test]
        wanted = All(tuple(every)) if every else None
        return Person(wanted) if persons else wanted

    after_key = decode_cursor(entity, order, after) if after is not None else None
    before_key = decode_cursor(entity, order, before) if before is not None else None
    backwards = last is not None
    limit = clamp(last if backwards else first)
    searched = await search_of(context, entity, search)
    wanted = with_(searched.test if searched else None)
    if order == RELEVANCE:
        if searched is None:
            raise Refused("argument_invalid", reason="RELEVANCE is an order of a search.")
        best = await searched.best(context, entity, with_)
        found = _between(best, limit + 1, after_key, before_key, backwards)
    else:
        found = await context.select(entity, wanted, order, limit + 1, after_key, before_key, backwards)
    more = len(found) > limit
    if more:
        found = found[1:] if backwards else found[:limit]
    has_next = before_key is not None if backwards else more
    has_previous = more if backwards else after_key is not None
    nodes = context.nodes(type_, found)
    return connected(nodes, found, order, has_next, has_previous, lambda: context.count(entity, wanted))


async def _told(context: Context, where: Where) -> Where:
    """The test as far as its reader may be told where customers stand."""
    from regulars_server.graph.segments import told

    return await told(context, where)


def _between(
    rows: list[Found],
    limit: int,
    after: tuple[JSON, str] | None,
    before: tuple[JSON, str] | None,
    backwards: bool,
) -> list[Found]:
    """As `Reader.select` cuts a page, of rows whose keys fall."""
    found = [row for row in rows if (not after or row.key < after) and (not before or row.key > before)]
    return found[max(len(found) - limit, 0) :] if backwards else found[:limit]
