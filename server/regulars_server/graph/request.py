"""One request: who asks, one snapshot to read from, and loaders that turn many look-ups into one.

Every row that a query shows passes through here, so scope, sensitivity and the limit on rows are
decided in this one place and never for each scalar.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
import strawberry
from strawberry.dataloader import DataLoader

from regulars_schema.declare import JSON, Entity, Level
from regulars_server.access import Principal
from regulars_server.access.rights import READ, READS
from regulars_server.authors import UnitTree
from regulars_server.graph.asking import Asking
from regulars_server.graph.connection import Connection, clamp, connected, decode_cursor
from regulars_server.graph.rows import Node, Row
from regulars_server.one_by_one import OneByOne
from regulars_server.service import Service
from regulars_server.storage.interface import All, Any_, Found, Order, Reader, Test, Where
from regulars_sync import document
from regulars_sync.errors import Refused
from regulars_sync.identity import agreed, fold
from regulars_sync.reconcile import Author

ROWS_PER_REQUEST_MAX = 10_000
NESTED_ROWS_DEFAULT = 20
COUNT_ROWS = 20
"""What a count is held equal to, whatever it counts."""
REFERRING_MAX = 1_000
PIECE_ROWS = 100

if TYPE_CHECKING:
    from regulars_server.graph.live.turns import Turns
    from regulars_server.graph.operations import Operations

N = TypeVar("N", bound=Node)
Load = Callable[[list[str]], Awaitable[Sequence[object]]]


class Loader(DataLoader[str, object]):
    """Many may wait for one row: where one of them is cancelled, the others still get it."""

    def load(self, key: str) -> Awaitable[object]:
        return asyncio.shield(super().load(key))


class Context:
    """Used by one request only; `close` when it is answered."""

    def __init__(
        self,
        service: Service,
        principal: Principal,
        author: Author,
        lang: str,
        one_by_one: OneByOne | None = None,
    ) -> None:
        self.service = service
        self.principal = principal
        self.author = author
        self.lang = lang
        self.sensitive = principal.sensitive
        self.rows_left = ROWS_PER_REQUEST_MAX
        self.turns: Turns | None = None
        """Of the subscription that it began."""
        self.one_by_one = one_by_one or OneByOne()
        self.asking = Asking()
        self.from_ms: int | None = None
        """What was committed by then is read at least; None: all that was."""
        self.operations: Operations | None = None
        """What runs it, for mutations that run a query later."""
        self._registry = service.storage.registry
        self._lock = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._reader: Reader | None = None
        self._is_closed = False
        self._loaders: dict[object, Loader] = {}

    # --- the snapshot ----------------------------------------------------------------------------------

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reader]:
        """The request's reader, for one at a time: all of a query is read from one snapshot."""
        async with self._lock:
            if self._is_closed:  # a part of an answer that nobody waits for any more
                raise Refused("busy", seconds=1)
            if self._reader is None:
                opened = self.service.reader(self.author.scopes, self.from_ms)
                self._reader = await self._stack.enter_async_context(opened)
            yield self._reader

    async def refresh(self) -> None:
        """Let go of the snapshot: what is read from now on was written by now."""
        async with self._lock:
            self._reader = None
            self._loaders.clear()
            await self._stack.aclose()

    async def close(self) -> None:
        """Let go of it for good."""
        self._is_closed = True
        await self.refresh()

    def next_page(self, rows: int) -> None:
        """Forget what was loaded and allow so many rows anew; the snapshot stays."""
        self._loaders.clear()
        self.rows_left = rows

    # --- rights ----------------------------------------------------------------------------------------

    def may_read(self, entity: str) -> bool:
        """Whether rows of this entity are within the token's rights; of what has no right, only with all."""
        right, rights = READ.get(entity), self.principal.rights
        return rights >= READS if right is None else right in rights

    def require_read(self, entity: str) -> None:
        """`Refused`: not_allowed, scope_missing."""
        if not self.may_read(entity):
            self.principal.require(READ.get(entity, "read:changes"))

    async def erased(self) -> int:
        """How many rows of the chain were ever erased, by now."""
        await self.refresh()
        async with self.reading() as reader:
            return (await reader.since({}, 0)).erased

    # --- rows ----------------------------------------------------------------------------------------------

    def entity(self, type_: type[Node]) -> Entity:
        return self._registry.by_name[type_.ENTITY]

    def row(self, entity: Entity, found: Found) -> Row:
        return Row(entity, found, self.service.storage.chain.epoch, self.sensitive)

    def nodes(self, type_: type[N], found: Iterable[Found]) -> list[N]:
        entity, epoch = self.entity(type_), self.service.storage.chain.epoch
        return [type_.of(Row(entity, row, epoch, self.sensitive)) for row in found]

    def node(self, type_: type[N], found: Found) -> N:
        return type_.of(self.row(self.entity(type_), found))

    async def find(self, entity: Entity, ids: Iterable[str]) -> dict[str, Found]:
        """The rows with these ids; none of an entity that may not be read."""
        if not self.may_read(entity.name):
            return {}
        async with self.reading() as reader:
            found = await reader.find(entity.name, ids)
        self.spend(len(found))
        return found

    async def select(
        self,
        entity: Entity,
        where: Where | None,
        order: Order,
        limit: int,
        after: tuple[JSON, str] | None = None,
        before: tuple[JSON, str] | None = None,
        backwards: bool = False,
    ) -> list[Found]:
        self.require_read(entity.name)
        limit = min(limit, self.rows_left + 1)
        async with self.reading() as reader:
            found = await reader.select(entity.name, where, order, limit, after, before, backwards)
        self.spend(len(found))
        await self.service.pace.breathe()
        return found

    async def count(self, entity: Entity, where: Where | None) -> int:
        self.require_read(entity.name)
        self.spend(COUNT_ROWS)
        async with self.reading() as reader:
            return await reader.count(entity.name, where)

    def spend(self, rows: int) -> None:
        """Count rows that were read; `Refused("query_too_large")` when the request has had its share."""
        self.rows_left -= rows
        if self.rows_left < 0:
            raise Refused("query_too_large", what="rows", limit=ROWS_PER_REQUEST_MAX)

    async def tree(self) -> UnitTree:
        """The chain's units, read once."""
        found = await self._loader("tree", self._load_tree).load("every")
        assert isinstance(found, UnitTree)
        return found

    async def _load_tree(self, _: list[str]) -> Sequence[object]:
        async with self.reading() as reader:
            return [await self.service.admission.tree(reader)]

    # --- relations -----------------------------------------------------------------------------------

    async def related(self, type_: type[N], id: str | None) -> N | None:
        """The row that an id names, null when it is out of reach or does not exist."""
        if id is None:
            return None
        (found,) = await self.related_each(type_, (id,))
        return found

    async def related_each(self, type_: type[N], ids: Iterable[str]) -> list[N | None]:
        """The row of each of these ids, null in the place of one out of reach."""
        loader = self._loader(("id", type_.ENTITY), partial(self._load, type_))
        found = await asyncio.gather(*map(loader.load, ids))
        return [node if isinstance(node, type_) else None for node in found]

    async def related_all(self, type_: type[N], ids: Iterable[str]) -> list[N]:
        """The rows within reach among these ids, in their order, each once."""
        found = await self.related_each(type_, dict.fromkeys(ids))
        return [node for node in found if node is not None]

    async def cluster(self, customer: str) -> tuple[str, ...]:
        """The ids within reach that are one person with this one, the survivor's first."""
        found = await self._loader("cluster", self._load_clusters).load(customer)
        assert isinstance(found, tuple)
        return found

    async def golden(self, customer: N) -> N:
        """The card of the person, folded from all rows within reach that are it."""
        members = await self.related_all(type(customer), await self.cluster(customer.row.id))
        if len(members) < 2:
            return customer
        entity, first = customer.row.entity, members[0].row
        rows = {member.row.id: document.decode(member.row.documents) for member in members}
        folded = agreed(entity, fold(entity, rows))
        documents = {level: document.encode(entity, first.id, folded, level) for level in Level}
        told = {level: raw for level, raw in documents.items() if raw is not None}
        return customer.of(self.row(entity, first.found._replace(documents=told)))

    async def household(self, customer: str) -> list[str]:
        """The customers whom an active link ties to this person's household."""
        members = await self.cluster(customer)
        loader = self._loader("household", self._load_households)
        found = await asyncio.gather(*(loader.load(member) for member in members))
        ids = dict.fromkeys(id for ids in found if isinstance(ids, list) for id in ids)
        return [id for id in ids if id not in members]

    async def referring(self, type_: type[N], field: str, id: str) -> list[N]:
        """The rows whose field names this id, oldest first."""
        loader = self._loader(("referring", type_.ENTITY, field), partial(self._load_referring, type_, field))
        found = await loader.load(id)
        assert isinstance(found, list)
        return found

    async def naming(
        self, type_: type[N], customer: str, first: int | None, after: str | None
    ) -> Connection[N]:
        """The rows that name a person, newest first; a page of customers is read together."""
        entity = self.entity(type_)
        order = _newest(entity)
        key = decode_cursor(entity, order, after) if after is not None else None
        limit = clamp(first, NESTED_ROWS_DEFAULT)
        latest = await self.named(type_, customer, limit, key)
        await self.service.pace.breathe()
        found = latest[:limit]
        nodes = [self.node(type_, row) for row in found]
        return connected(
            nodes,
            found,
            order,
            len(latest) > limit,
            key is not None,
            partial(self._count_naming, entity, customer),
        )

    async def named(
        self, type_: type[Node], customer: str, limit: int, after: tuple[JSON, str] | None
    ) -> list[Found]:
        """The newest rows that name a person beyond a key; more than `limit` of them where there are more."""
        entity = self.entity(type_)
        load = partial(self._load_naming, entity, _newest(entity), limit, after)
        loader = self._loader(("naming", entity.name, limit, after), load)
        members = await self.cluster(customer)
        named: dict[str, Found] = {}
        for rows in await asyncio.gather(*(loader.load(member) for member in members)):
            assert isinstance(rows, list)
            named |= {row.id: row for row in rows}
        return sorted(named.values(), key=lambda row: row.key, reverse=True)

    async def units_holding(self, customer: str) -> list[str]:
        """The units within reach that hold a person."""
        members = await self.cluster(customer)
        load = self._load_holders
        found = await asyncio.gather(*(self.loaded("holders", load, member) for member in members))
        return sorted(frozenset[str]().union(*found))

    async def tablets(self, type_: type[N], customer: str) -> list[N]:
        """The tablets of the units within reach that hold a person, but for those that were wiped."""
        units = await self.units_holding(customer)
        load = partial(self._load_referring, type_, "unit")
        key = ("referring", type_.ENTITY, "unit")
        found = await asyncio.gather(*(self.loaded(key, load, unit) for unit in units))
        nodes = [node for some in found for node in some if node.row.values.get("wiped_at") is None]
        return sorted(nodes, key=lambda node: node.row.id)

    async def loaded(self, key: object, load: Load, id: str) -> Any:
        """What `load` gives for this id, asked together with the other ids of the request."""
        return await self._loader(key, load).load(id)

    async def _load_holders(self, customers: list[str]) -> Sequence[object]:
        async with self.reading() as reader:
            found = await reader.holders(customers)
        return [found.get(customer, frozenset()) for customer in customers]

    async def _count_naming(self, entity: Entity, customer: str) -> int:
        found = await self._loader(("count", entity.name), partial(self._load_counts, entity)).load(customer)
        assert isinstance(found, int)
        return found

    def _loader(self, key: object, load: object) -> Loader:
        if key not in self._loaders:
            self._loaders[key] = Loader(load_fn=load)  # type: ignore[call-overload]
        return self._loaders[key]

    async def _load(self, type_: type[Node], ids: list[str]) -> Sequence[object]:
        found = await self.find(self.entity(type_), ids)
        nodes: list[Node | None] = []
        for at, id in enumerate(ids):
            if at % PIECE_ROWS == 0:
                await self.service.pace.breathe()
            nodes.append(self.node(type_, found[id]) if id in found else None)
        return nodes

    async def _load_clusters(self, ids: list[str]) -> Sequence[object]:
        async with self.reading() as reader:
            found = await reader.clusters(ids)
        return [found.get(id, (id,)) for id in ids]

    async def _load_households(self, ids: list[str]) -> Sequence[object]:
        ends = ("from_customer", "to_customer")
        test = All(
            (
                Test("kind", "eq", "household"),
                Test("active", "eq", True),
                Any_(tuple(Test(end, "in", ids) for end in ends)),
            )
        )
        found = await self.select(self._registry.by_name["link"], test, Order(), REFERRING_MAX)
        links = [orjson.loads(row.documents[Level.INTERNAL]) for row in found]
        tied = [(link[a], link[b]) for link in links for a, b in (ends, ends[::-1])]
        return [[other for mine, other in tied if mine == id] for id in ids]

    async def _load_referring(self, type_: type[Node], field: str, ids: list[str]) -> Sequence[object]:
        found = await self.select(self.entity(type_), Test(field, "in", ids), Order(), REFERRING_MAX)
        by_id: dict[str, list[Node]] = {id: [] for id in ids}
        for row in found:
            node = self.node(type_, row)
            by_id[node.row.values[field]].append(node)
        return [by_id[id] for id in ids]

    async def _load_counts(self, entity: Entity, customers: list[str]) -> Sequence[object]:
        """How many rows name each of these persons."""
        self.require_read(entity.name)
        self.spend(COUNT_ROWS * len(customers))
        members = await asyncio.gather(*map(self.cluster, customers))
        async with self.reading() as reader:
            return await reader.counts(entity.name, [_naming(entity, ids) for ids in members])

    async def _load_naming(
        self, entity: Entity, order: Order, limit: int, after: tuple[JSON, str] | None, customers: list[str]
    ) -> Sequence[object]:
        """The newest rows of each customer, one more than asked for where there are more.

        One read is as long as the pages of all together, so at least one customer's page is full after it
        or nothing is left; a customer with very many rows costs one further read, not one for each other.
        """
        pages: dict[str, list[Found]] = {customer: [] for customer in customers}
        todo = list(pages)
        while todo:
            rows_max = len(todo) * (limit + 1)
            found = await self.select(entity, _naming(entity, todo), order, rows_max, after)
            waiting = set(todo)
            for at, row in enumerate(found):
                if at % PIECE_ROWS == 0:
                    await self.service.pace.breathe()
                values = orjson.loads(row.documents[Level.INTERNAL])
                for customer in waiting.intersection(entity.named_customers(values)):
                    pages[customer].append(row)
            if len(found) < rows_max:
                break
            after = found[-1].key
            todo = [customer for customer in todo if len(pages[customer]) <= limit]
        return [pages[customer] for customer in customers]


def _newest(entity: Entity) -> Order:
    return Order("at" if "at" in entity.by_name else "id", descending=True)


def _naming(entity: Entity, customers: Iterable[str]) -> Where:
    tests: list[Where] = [
        Test(field, "eq" if part is None else "has", customer)
        for field, part in entity.naming
        for customer in customers
    ]
    return Any_(tuple(tests))


Info = strawberry.Info[Context, None]
