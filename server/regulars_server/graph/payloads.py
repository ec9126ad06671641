"""What mutations answer: the row, or a typed error. Every result is a union, so `__typename` decides."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import strawberry

from regulars_server.graph.declared import valued
from regulars_server.graph.history import LoggedChange
from regulars_server.graph.problems import Refusal, VersionConflict
from regulars_server.graph.rows import Node
from regulars_server.graph.rules import RuleProblem
from regulars_server.graph.scalars import UUID
from regulars_server.graph.types import Customer, Device, Interaction, Link, Product, Segment, Staff, Unit

GONE = "As it is now; null when it is out of your reach since."


@strawberry.type
class CustomerSaved:
    customer: Customer | None = strawberry.field(description=GONE)


@strawberry.type(description="What one erasure did; nothing, when it was done before.")
class CustomerErased:
    id: UUID
    links: int = strawberry.field(description="Erased with the customer.")
    interactions: int = strawberry.field(description="Kept without the person.")


@strawberry.type
class InteractionSaved:
    interaction: Interaction | None = strawberry.field(description=GONE)


@strawberry.type
class LinkSaved:
    link: Link | None = strawberry.field(description=GONE)


@strawberry.type
class SegmentSaved:
    segment: Segment | None = strawberry.field(description=GONE)
    warnings: list[RuleProblem] = strawberry.field(description="What to think of its rule.")


@strawberry.type
class UnitSaved:
    unit: Unit | None = strawberry.field(description=GONE)


@strawberry.type
class StaffSaved:
    staff: Staff | None = strawberry.field(description=GONE)


@strawberry.type
class ProductSaved:
    product: Product | None = strawberry.field(description=GONE)


@strawberry.type(description="What became of one customer of a bulk mutation.")
class MemberResult:
    customer_id: UUID = strawberry.field(description="Whose result it is.")
    error: Refusal | None = strawberry.field(description="Null when it was done.")


@strawberry.type(description="Those without an error were done; the others are as they were.")
class SegmentMembersSaved:
    segment: Segment | None = strawberry.field(description=GONE)
    results: list[MemberResult] = strawberry.field(description="One for each customer that was named.")


@strawberry.type(description="A segment of those who were members of another at one moment.")
class SegmentSnapshotTaken:
    segment: Segment | None = strawberry.field(description=GONE)
    members: int = strawberry.field(description="How many customers were put in.")
    left_out: list[MemberResult] = strawberry.field(description="Those who could not be, and why.")


@strawberry.type(description="It was tried, mended or dropped.")
class HeldSettled:
    waits: bool = strawberry.field(description="Whether it waits still; `change` says for what.")
    change: LoggedChange | None = strawberry.field(description="Null once it is settled.")


@strawberry.type(description="It was done by a change of its own, which can be reversed in turn.")
class ChangeReversed:
    cid: str = strawberry.field(description="Of the change that did it.")
    row: Node | None = strawberry.field(description=GONE)
    paths: list[str] = strawberry.field(description="What it wrote.")


@strawberry.type(description="A tablet may be paired.")
class DeviceInvited:
    code: str = strawberry.field(description="For one tablet, once, within fifteen minutes.")


@strawberry.type(description="The tablet reads nothing any more.")
class DeviceRevoked:
    device: Device | None = strawberry.field(description=GONE)


@strawberry.type(description="It was ordered to delete all that it holds.")
class DeviceWiped:
    device: Device | None = strawberry.field(description=GONE)


@strawberry.enum(description="查询依据 · By what a customer of another unit is looked up.")
class IdentityKey(Enum):
    PHONE = valued("phones", "电话 · Phone")
    EMAIL = valued("emails", "邮箱 · E-mail")
    MEMBER_NO = valued("member_no", "会员号 · Member number")
    EXTERNAL_ID = valued("external_ids", "外部编号 · External id")


@strawberry.input(description="Who is looked up.")
class CustomerLookupInput:
    field: IdentityKey = strawberry.field(description="What the key is.")
    key: str = strawberry.field(description="The whole of it; a phone in any spelling.")
    unit_id: UUID | None = strawberry.field(description="Who asks; by default your unit.", default=None)


@strawberry.type(description="Customers who have the key.")
class CustomersFound:
    customers: list[Customer] = strawberry.field(
        description="Who has the key, and who is the same person; the survivor of each cluster first."
    )


@strawberry.type(description="The tablet belongs to the other unit.")
class DeviceMoved:
    device: Device | None = strawberry.field(description=GONE)


CustomerResult = Annotated[CustomerSaved | Refusal | VersionConflict, strawberry.union("CustomerResult")]
CustomerEraseResult = Annotated[
    CustomerErased | Refusal | VersionConflict, strawberry.union("CustomerEraseResult")
]
CustomerLookupResult = Annotated[CustomersFound | Refusal, strawberry.union("CustomerLookupResult")]
InteractionResult = Annotated[InteractionSaved | Refusal, strawberry.union("InteractionResult")]
LinkResult = Annotated[LinkSaved | Refusal | VersionConflict, strawberry.union("LinkResult")]
SegmentResult = Annotated[SegmentSaved | Refusal | VersionConflict, strawberry.union("SegmentResult")]
UnitResult = Annotated[UnitSaved | Refusal | VersionConflict, strawberry.union("UnitResult")]
StaffResult = Annotated[StaffSaved | Refusal | VersionConflict, strawberry.union("StaffResult")]
ProductResult = Annotated[ProductSaved | Refusal | VersionConflict, strawberry.union("ProductResult")]
SegmentMembersResult = Annotated[SegmentMembersSaved | Refusal, strawberry.union("SegmentMembersResult")]
SegmentSnapshotResult = Annotated[SegmentSnapshotTaken | Refusal, strawberry.union("SegmentSnapshotResult")]
ChangeResult = Annotated[ChangeReversed | Refusal | VersionConflict, strawberry.union("ChangeResult")]
HeldResult = Annotated[HeldSettled | Refusal, strawberry.union("HeldResult")]
DeviceInviteResult = Annotated[DeviceInvited | Refusal, strawberry.union("DeviceInviteResult")]
DeviceMoveResult = Annotated[DeviceMoved | Refusal | VersionConflict, strawberry.union("DeviceMoveResult")]
DeviceRevokeResult = Annotated[
    DeviceRevoked | Refusal | VersionConflict, strawberry.union("DeviceRevokeResult")
]
DeviceWipeResult = Annotated[DeviceWiped | Refusal | VersionConflict, strawberry.union("DeviceWipeResult")]
