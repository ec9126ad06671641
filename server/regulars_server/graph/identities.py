"""Who is one person, as GraphQL asks and answers it: what waits for head office, and what it decides."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import Enum
from functools import partial
from typing import Annotated

import strawberry

from regulars_server import identities
from regulars_server.graph.connection import Edge, PageInfo, clamp, decode_cursor, encode_cursor
from regulars_server.graph.declared import mutation, resolved, valued
from regulars_server.graph.payloads import GONE, CustomerResult, CustomerSaved
from regulars_server.graph.problems import Refusal, VersionConflict
from regulars_server.graph.request import REFERRING_MAX, Context, Info
from regulars_server.graph.rows import ContestedField
from regulars_server.graph.scalars import UUID
from regulars_server.graph.types import Customer, Identity
from regulars_server.graph.writing import Writing, settled, settled_on
from regulars_server.mutations import Edit
from regulars_server.storage.interface import All, Any_, Found, Order, Test, Torn
from regulars_sync.ids import identity_id


@strawberry.enum(description="判定 · What head office can say of two customers.")
class IdentityVerdict(Enum):
    SAME = valued("same", "同一人 · They are one person; branches that hold one get both")
    NOT_SAME = valued("not_same", "不是同一人 · They are two; it is remembered")
    HOUSEHOLD = valued("household", "同一家庭 · They are two of one household; it links them so")


@strawberry.type(description="Two customers of whom head office is to say whether they are one person.")
class IdentityReview:
    identity: Identity = strawberry.field(description="What was said of them so far, and why.")
    contradictory: bool = strawberry.field(
        description="One of the decisions in a cluster that contradict each other: until one of them is"
        " decided otherwise, nobody in the cluster is merged."
    )

    @resolved("One of the two; null when erased since.")
    async def one(self, info: Info) -> Customer | None:
        return await info.context.related(Customer, self.identity.one_id)

    @resolved("The other; null when erased since.")
    async def other(self, info: Info) -> Customer | None:
        return await info.context.related(Customer, self.identity.other_id)


@strawberry.type(description="What waits for a person to decide of a customer.")
class CustomerReviews:
    identities: list[IdentityReview] = strawberry.field(
        description="Pairs with another customer of whom head office is asked; only it is told."
    )
    fields: list[ContestedField] = strawberry.field(
        description="The fields of the row on which writers disagree."
    )


async def reviews(context: Context, customer: Customer) -> CustomerReviews:
    """What waits of this customer, whoever of the person the pair names."""
    pairs: dict[str, IdentityReview] = {}
    if "admin:identities" in context.principal.rights:
        load = partial(_load_reviews, context)
        members = await context.cluster(customer.row.id)
        for found in await asyncio.gather(*(context.loaded("reviews", load, member) for member in members)):
            pairs |= {review.identity.row.id: review for review in found}
    return CustomerReviews(identities=[pairs[id] for id in sorted(pairs)], fields=customer.contested())


async def _load_reviews(context: Context, customers: list[str]) -> list[list[IdentityReview]]:
    entity = context.entity(Identity)
    named = Any_(tuple(Test(end, "in", customers) for end in ("one", "other")))
    rows = await context.select(entity, All((named, _WAITING)), Order(), REFERRING_MAX)
    among = await _torn(context, rows)
    found: dict[str, list[IdentityReview]] = {customer: [] for customer in customers}
    for row in rows:
        review = IdentityReview(identity=context.node(Identity, row), contradictory=row.id in among)
        for end in (review.identity.one_id, review.identity.other_id):
            if end in found:
                found[end].append(review)
    return [found[customer] for customer in customers]


async def _torn(context: Context, rows: Sequence[Found]) -> set[str]:
    """Which of these pairs are in a cluster whose decisions contradict each other."""
    among = All((Torn(), Test("id", "in", [row.id for row in rows])))
    return {row.id for row in await context.select(context.entity(Identity), among, Order(), len(rows) + 1)}


_WAITING = Any_((Test("decision", "eq", "proposed"), Torn()))


@strawberry.type(description="Pairs that head office is asked about.")
class IdentityReviewConnection:
    edges: list[Edge[IdentityReview]]
    nodes: list[IdentityReview]
    page_info: PageInfo


@strawberry.input(description="Two customers, in whichever order.")
class IdentityPairInput:
    one: UUID = strawberry.field(description="One of the two.")
    other: UUID = strawberry.field(description="The other.")


@strawberry.input(description="What is said of two customers.")
class IdentityDecisionInput(IdentityPairInput):
    decision: IdentityVerdict = strawberry.field(description="What they are to each other.")


@strawberry.input(description="Who is taken out of its cluster.")
class CustomerUnmergeInput:
    id: UUID


@strawberry.type(description="It was decided; this is what both became.")
class IdentityDecided:
    one: Customer | None = strawberry.field(description=GONE)
    other: Customer | None = strawberry.field(description=GONE)
    identity: Identity | None = strawberry.field(description="What stands of the pair now.")


@strawberry.type(description="Head office will see the proposal; nothing is merged by it.")
class IdentityProposed:
    one: Customer | None = strawberry.field(description=GONE)
    other: Customer | None = strawberry.field(description=GONE)


@strawberry.type(description="All were looked at; what was found waits in `identityReviews`.")
class IdentityScanned:
    customers: int = strawberry.field(description="How many were looked at.")


IdentityDecideResult = Annotated[
    IdentityDecided | Refusal | VersionConflict, strawberry.union("IdentityDecideResult")
]
IdentityProposeResult = Annotated[IdentityProposed | Refusal, strawberry.union("IdentityProposeResult")]
IdentityScanResult = Annotated[IdentityScanned | Refusal, strawberry.union("IdentityScanResult")]


@strawberry.type
class IdentityQueries:
    @resolved(
        "Pairs of customers that head office is asked about: proposed ones, and those of a cluster whose"
        " decisions contradict each other. Head office only."
    )
    async def identity_reviews(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> IdentityReviewConnection:
        return await _reviews(info.context, first, after)


async def _reviews(context: Context, first: int | None, after: str | None) -> IdentityReviewConnection:
    entity, order = context.entity(Identity), Order()
    key = decode_cursor(entity, order, after) if after is not None else None
    limit = clamp(first)
    rows = await context.select(entity, _WAITING, order, limit + 1, key)
    found = rows[:limit]
    among = await _torn(context, found)
    nodes = [
        IdentityReview(identity=context.node(Identity, row), contradictory=row.id in among) for row in found
    ]
    cursors = [encode_cursor(order, row.key) for row in found]
    info = PageInfo(
        has_next_page=len(rows) > limit,
        has_previous_page=key is not None,
        start_cursor=cursors[0] if cursors else None,
        end_cursor=cursors[-1] if cursors else None,
    )
    edges = [Edge(cursor=cursor, node=node) for cursor, node in zip(cursors, nodes, strict=True)]
    return IdentityReviewConnection(edges=edges, nodes=nodes, page_info=info)


@strawberry.type
class IdentityMutations:
    @mutation("Say of two customers whether they are one person. Head office only; it can be said anew.")
    async def identity_decide(
        self,
        info: Info,
        idempotency_key: str,
        input: IdentityDecisionInput,
        expected_version: str | None = None,
    ) -> IdentityDecideResult:
        async def run(writing: Writing) -> IdentityDecided:
            context = info.context
            said: str = input.decision.value
            staff = context.principal.staff
            seen = writing.expected(expected_version)
            await identities.decide(context.service, input.one, input.other, said, writing.cid, staff, seen)
            await context.refresh()
            return IdentityDecided(
                one=await context.related(Customer, input.one),
                other=await context.related(Customer, input.other),
                identity=await context.related(Identity, pair),
            )

        pair = identity_id(input.one, input.other)
        return await settled_on(info.context, idempotency_key, "identity", pair, run)

    @mutation("Propose to head office that two customers within your reach are one person.")
    async def identity_propose(
        self, info: Info, idempotency_key: str, input: IdentityPairInput
    ) -> IdentityProposeResult:
        async def run(writing: Writing) -> IdentityProposed:
            one, other = identities.pair_of(input.one, input.other)
            said = {"one": one, "other": other, "decision": "proposed", "reason": "person"}
            id = identity_id(one, other)
            await writing.mutations.write(Edit(writing.cid, "create", "identity", id, said))
            await info.context.refresh()
            return IdentityProposed(
                one=await info.context.related(Customer, input.one),
                other=await info.context.related(Customer, input.other),
            )

        return await settled(info.context, idempotency_key, run)

    @mutation("Take exactly this customer out of those it was merged with. Head office only.")
    async def customer_unmerge(
        self,
        info: Info,
        idempotency_key: str,
        input: CustomerUnmergeInput,
        expected_version: str | None = None,
    ) -> CustomerResult:
        async def run(writing: Writing) -> CustomerSaved:
            context = info.context
            staff, seen = context.principal.staff, writing.expected(expected_version)
            await identities.unmerge(context.service, input.id, writing.cid, staff, seen)
            await context.refresh()
            return CustomerSaved(customer=await context.related(Customer, input.id))

        return await settled_on(info.context, idempotency_key, "customer", input.id, run)

    @mutation("Look at every customer for others who may be the same person. Head office only.")
    async def identity_scan(self, info: Info, idempotency_key: str) -> IdentityScanResult:
        async def run(writing: Writing) -> IdentityScanned:
            return IdentityScanned(customers=await info.context.service.admission.scan())

        return await settled(info.context, idempotency_key, run)
