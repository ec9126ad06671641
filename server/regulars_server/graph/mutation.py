"""The root of mutations. Each is a change (or asks for one) and takes an idempotency key.

The same key with the same content gives the same answer and does nothing twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated

import strawberry
from strawberry import scalars

from regulars_schema.declare import JSON
from regulars_server import devices, erasure
from regulars_server.access.access import pairing_code
from regulars_server.graph import inputs, payloads
from regulars_server.graph.assignments import AssignmentMutations
from regulars_server.graph.attached import AttachedMutations
from regulars_server.graph.bulk import BULK_ROWS_MAX, BulkMutations
from regulars_server.graph.custom import CustomMutations
from regulars_server.graph.declared import mutation, said
from regulars_server.graph.enums import LinkKind
from regulars_server.graph.identities import IdentityMutations
from regulars_server.graph.imports import ImportMutations
from regulars_server.graph.ledger import held_change
from regulars_server.graph.payloads import MemberResult
from regulars_server.graph.problems import refusal
from regulars_server.graph.request import Info
from regulars_server.graph.reversals import ReversalMutations
from regulars_server.graph.rules import with_tree
from regulars_server.graph.scalars import UUID
from regulars_server.graph.schemes import SchemeMutations
from regulars_server.graph.snapshots import SnapshotMutations
from regulars_server.graph.tokens import TokenMutations
from regulars_server.graph.types import Customer, Device, Interaction, Link, Product, Segment, Staff, Unit
from regulars_server.graph.verifying import AgencyInput, ValueSource, VerifyingMutations, write_filled
from regulars_server.graph.works import WorkMutations
from regulars_server.graph.writing import Writing, fields_of, settled, settled_on
from regulars_server.lookup import look_up
from regulars_server.mutations import Edit, Mutations
from regulars_server.service import Service
from regulars_server.versions import Expected
from regulars_sync.errors import Refused
from regulars_sync.ids import link_id

Origin = Annotated[
    ValueSource | None, said("Where the values are from; what the customer filled in waits to be verified.")
]

Agency = Annotated[
    AgencyInput | None, said("Of the origin AGENCY: who looked into it, and the cost; kept as a fact.")
]


@strawberry.type
class Mutation(
    WorkMutations,
    ImportMutations,
    BulkMutations,
    ReversalMutations,
    IdentityMutations,
    TokenMutations,
    AssignmentMutations,
    AttachedMutations,
    CustomMutations,
    SchemeMutations,
    SnapshotMutations,
    VerifyingMutations,
):
    # --- customers ------------------------------------------------------------

    @mutation("A new customer, at home in your unit unless `homeUnitId` says otherwise.")
    async def customer_create(
        self,
        info: Info,
        idempotency_key: str,
        input: inputs.CustomerInput,
        origin: Origin = None,
        agency: Agency = None,
    ) -> payloads.CustomerResult:
        async def run(writing: Writing) -> payloads.CustomerSaved:
            id = Mutations.new_id("customer", writing.cid)
            edit = Edit(writing.cid, "create", "customer", id, fields_of(writing.entity("customer"), input))
            home = input.home_unit_id or None
            saved = await write_filled(writing, Customer, edit, origin, id, home, agency=agency)
            return payloads.CustomerSaved(customer=saved)

        return await settled(info.context, idempotency_key, run)

    @mutation("Write some fields of a customer.")
    async def customer_update(
        self,
        info: Info,
        idempotency_key: str,
        id: UUID,
        set: inputs.CustomerEdit,
        expected_version: str | None = None,
        origin: Origin = None,
        agency: Agency = None,
    ) -> payloads.CustomerResult:
        async def run(writing: Writing) -> payloads.CustomerSaved:
            fields = fields_of(writing.entity("customer"), set)
            if (origin is None and agency is None) or not fields:
                saved = await writing.edit(Customer, id, fields, expected_version)
                return payloads.CustomerSaved(customer=saved)
            card = await info.context.related(Customer, id)
            home = None if card is None else card.home_unit_id
            edit = Edit(writing.cid, "edit", "customer", id, fields)
            saved = await write_filled(writing, Customer, edit, origin, id, home, expected_version, agency)
            return payloads.CustomerSaved(customer=saved)

        return await settled_on(info.context, idempotency_key, "customer", id, run)

    @mutation("Put a customer away. It can return.")
    async def customer_archive(
        self, info: Info, idempotency_key: str, id: UUID, expected_version: str | None = None
    ) -> payloads.CustomerResult:
        return await _write_customer(info, idempotency_key, id, {"archived": True}, expected_version)

    @mutation("Undo an archive that you have seen.")
    async def customer_return(
        self, info: Info, idempotency_key: str, id: UUID, expected_version: str | None = None
    ) -> payloads.CustomerResult:
        return await _write_customer(info, idempotency_key, id, {"archived": False}, expected_version)

    @mutation("Remove a person everywhere, for ever (docs/ERASURE.md). Administrators only; no undo.")
    async def customer_erase(
        self, info: Info, idempotency_key: str, id: UUID, reason: str, expected_version: str | None = None
    ) -> payloads.CustomerEraseResult:
        async def run(writing: Writing) -> payloads.CustomerErased:
            by = info.context.principal.staff
            seen = writing.expected(expected_version)
            done = await erasure.erase(info.context.service, id, reason, by, writing.cid, seen)
            info.context.asking.erased = await info.context.erased()  # it tells of nobody
            return payloads.CustomerErased(id=id, links=done.links, interactions=done.interactions)

        return await settled_on(info.context, idempotency_key, "customer", id, run)

    @mutation("Customers of any unit with exactly this key; your unit has seen them from now on.")
    async def customer_lookup(
        self, info: Info, idempotency_key: str, input: payloads.CustomerLookupInput
    ) -> payloads.CustomerLookupResult:
        async def run(writing: Writing) -> payloads.CustomersFound:
            context = info.context
            found = await look_up(
                context.service,
                context.principal,
                context.author,
                input.field.value,
                input.key,
                input.unit_id or None,
            )
            await context.refresh()
            known = [await context.related(Customer, id) for id in found]
            return payloads.CustomersFound(customers=[one for one in known if one is not None])

        return await settled(info.context, idempotency_key, run)

    @mutation("Put tags on a customer; those there stay.")
    async def customer_tag(
        self, info: Info, idempotency_key: str, id: UUID, tags: list[str], expected_version: str | None = None
    ) -> payloads.CustomerResult:
        written: dict[str, JSON] = {f"tags/{tag}": True for tag in tags}
        return await _write_customer(info, idempotency_key, id, written, expected_version)

    @mutation("Take tags off a customer.")
    async def customer_untag(
        self, info: Info, idempotency_key: str, id: UUID, tags: list[str], expected_version: str | None = None
    ) -> payloads.CustomerResult:
        written: dict[str, JSON] = {f"tags/{tag}": False for tag in tags}
        return await _write_customer(info, idempotency_key, id, written, expected_version)

    @mutation("Relate two customers; the same two and kind are the same link.")
    async def link_set(
        self,
        info: Info,
        idempotency_key: str,
        from_customer_id: UUID,
        to_customer_id: UUID,
        kind: Annotated[LinkKind, said("What the first is to the second.")],
        active: Annotated[bool, said("False takes it back.")] = True,
        note: str | None = strawberry.UNSET,
        expected_version: str | None = None,
    ) -> payloads.LinkResult:
        id = link_id(from_customer_id, to_customer_id, kind.value)
        fields: dict[str, JSON] = {
            "from_customer": from_customer_id,
            "to_customer": to_customer_id,
            "kind": kind.value,
            "active": active,
        }
        if note is not strawberry.UNSET:
            fields["note"] = note

        async def run(writing: Writing) -> payloads.LinkSaved:
            return payloads.LinkSaved(
                link=await writing.write(
                    Link, Edit(writing.cid, "create", "link", id, fields), expected_version
                )
            )

        return await settled_on(info.context, idempotency_key, "link", id, run)

    # --- interactions ------------------------------------------------------------

    @mutation("A new fact. Facts are never edited.")
    async def interaction_record(
        self, info: Info, idempotency_key: str, input: inputs.InteractionInput
    ) -> payloads.InteractionResult:
        async def run(writing: Writing) -> payloads.InteractionSaved:
            return payloads.InteractionSaved(interaction=await writing.create(Interaction, input))

        return await settled(info.context, idempotency_key, run)

    @mutation("A further fact that supersedes one: as it was, but for what `set` says.")
    async def interaction_correct(
        self, info: Info, idempotency_key: str, id: UUID, set: inputs.InteractionEdit
    ) -> payloads.InteractionResult:
        async def run(writing: Writing) -> payloads.InteractionSaved:
            corrected = fields_of(writing.entity("interaction"), set)
            return await _supersede(writing, id, corrected)

        return await settled(info.context, idempotency_key, run)

    @mutation("A further fact that says that one is void.")
    async def interaction_void(
        self, info: Info, idempotency_key: str, id: UUID, note: str | None = None
    ) -> payloads.InteractionResult:
        async def run(writing: Writing) -> payloads.InteractionSaved:
            said: dict[str, JSON] = {"void": True, "note": note, "lines": None}
            return await _supersede(writing, id, said)

        return await settled(info.context, idempotency_key, run)

    # --- segments ------------------------------------------------------------

    @mutation(
        "Make a segment, or edit one when `id` is given. Its rule may be text or a tree: see `ruleRead`."
        " Head office only."
    )
    async def segment_save(
        self,
        info: Info,
        idempotency_key: str,
        input: inputs.SegmentEdit,
        id: UUID | None = None,
        expected_version: str | None = None,
    ) -> payloads.SegmentResult:
        async def run(writing: Writing) -> payloads.SegmentSaved:
            given, warned = await with_tree(writing, id, input)
            saved = await writing.save(Segment, id, given, expected_version)
            return payloads.SegmentSaved(segment=saved, warnings=warned)

        return await settled_on(info.context, idempotency_key, "segment", id, run)

    @mutation("Put customers into a segment; each stands for itself.")
    async def segment_members_add(
        self, info: Info, idempotency_key: str, segment: UUID, customers: list[UUID]
    ) -> payloads.SegmentMembersResult:
        return await _set_members(info, idempotency_key, segment, customers, "segments", True)

    @mutation("No longer put customers into a segment; a rule may find them all the same.")
    async def segment_members_remove(
        self, info: Info, idempotency_key: str, segment: UUID, customers: list[UUID]
    ) -> payloads.SegmentMembersResult:
        return await _set_members(info, idempotency_key, segment, customers, "segments", False)

    @mutation("Keep customers out of a segment, whatever its rule finds and whoever puts them in.")
    async def segment_members_exclude(
        self, info: Info, idempotency_key: str, segment: UUID, customers: list[UUID]
    ) -> payloads.SegmentMembersResult:
        return await _set_members(info, idempotency_key, segment, customers, "excluded_segments", True)

    @mutation("No longer keep customers out of a segment.")
    async def segment_members_readmit(
        self, info: Info, idempotency_key: str, segment: UUID, customers: list[UUID]
    ) -> payloads.SegmentMembersResult:
        return await _set_members(info, idempotency_key, segment, customers, "excluded_segments", False)

    # --- what head office keeps ------------------------------------------------------------

    @mutation("Make a unit, or edit one when `id` is given. Head office only.")
    async def unit_save(
        self,
        info: Info,
        idempotency_key: str,
        input: inputs.UnitEdit,
        id: UUID | None = None,
        expected_version: str | None = None,
    ) -> payloads.UnitResult:
        async def run(writing: Writing) -> payloads.UnitSaved:
            return payloads.UnitSaved(unit=await writing.save(Unit, id, input, expected_version))

        return await settled_on(info.context, idempotency_key, "unit", id, run)

    @mutation("Make a member of staff, or edit one when `id` is given. Head office only.")
    async def staff_save(
        self,
        info: Info,
        idempotency_key: str,
        input: inputs.StaffEdit,
        id: UUID | None = None,
        expected_version: str | None = None,
    ) -> payloads.StaffResult:
        async def run(writing: Writing) -> payloads.StaffSaved:
            return payloads.StaffSaved(staff=await writing.save(Staff, id, input, expected_version))

        return await settled_on(info.context, idempotency_key, "staff", id, run)

    @mutation("Make a product, or edit one when `id` is given. Head office only.")
    async def product_save(
        self,
        info: Info,
        idempotency_key: str,
        input: inputs.ProductEdit,
        id: UUID | None = None,
        expected_version: str | None = None,
    ) -> payloads.ProductResult:
        async def run(writing: Writing) -> payloads.ProductSaved:
            return payloads.ProductSaved(product=await writing.save(Product, id, input, expected_version))

        return await settled_on(info.context, idempotency_key, "product", id, run)

    # --- held changes ------------------------------------------------------------

    @mutation("Try a held change and its group again; for head office anywhere in the chain.")
    async def held_retry(self, info: Info, idempotency_key: str, cid: str) -> payloads.HeldResult:
        async def run(writing: Writing) -> payloads.HeldSettled:
            await writing.mutations.retry(cid)
            return await _held(writing, cid)

        return await settled(info.context, idempotency_key, run)

    @mutation("Put a corrected change in its place: `set` writes paths, `without` leaves some out.")
    async def held_mend(
        self,
        info: Info,
        idempotency_key: str,
        cid: str,
        set: scalars.JSON,
        without: Annotated[list[str], said("Paths of the change that are left out.")] = [],  # noqa: B006 (strawberry copies it)
    ) -> payloads.HeldResult:
        async def run(writing: Writing) -> payloads.HeldSettled:
            if not isinstance(set, dict):
                raise Refused("value_type", field="set", expected="an object of paths and values")
            await writing.mutations.mend(idempotency_key, cid, set, without)
            return await _held(writing, cid)

        return await settled(info.context, idempotency_key, run)

    @mutation("Give up a held change; it stays in the log. Head office only.")
    async def held_drop(self, info: Info, idempotency_key: str, cid: str) -> payloads.HeldResult:
        async def run(writing: Writing) -> payloads.HeldSettled:
            await writing.mutations.drop(idempotency_key, cid)
            return await _held(writing, cid)

        return await settled(info.context, idempotency_key, run)

    # --- devices ------------------------------------------------------------

    @mutation("A pairing code for one tablet of a unit. Sensitive only if you are.")
    async def device_invite(
        self,
        info: Info,
        idempotency_key: str,
        unit: UUID,
        name: Annotated[str, said("What the tablet is called, such as `till 2`.")],
        sensitive: Annotated[bool, said("Whether it is to hold sensitive fields.")] = False,
    ) -> payloads.DeviceInviteResult:
        async def run(writing: Writing) -> payloads.DeviceInvited:
            await _require_unit(writing, unit)
            if sensitive and not info.context.sensitive:
                raise Refused("not_allowed")
            secret = writing.secret("pairing")
            code = info.context.asking.secret = pairing_code(secret)
            if info.context.asking.known is None:
                access = info.context.service.access
                await access.new_pairing_code(unit, name.strip()[:80], sensitive, secret=secret)
            return payloads.DeviceInvited(code=code)

        return await settled(info.context, idempotency_key, run)

    @mutation("From this moment the tablet reads nothing; what it still sends is held.")
    async def device_revoke(
        self, info: Info, idempotency_key: str, id: UUID, expected_version: str | None = None
    ) -> payloads.DeviceRevokeResult:
        async def run(writing: Writing) -> payloads.DeviceRevoked:
            device = await _shut_out(writing, id, devices.revoke, expected_version)
            return payloads.DeviceRevoked(device=device)

        return await settled_on(info.context, idempotency_key, "device", id, run)

    @mutation(
        "It was stolen: whatever it asks next, it is told to delete all that it holds. What it still sends is"
        " not taken. The order stands until it is confirmed, and for ever for copies of it."
    )
    async def device_wipe(
        self, info: Info, idempotency_key: str, id: UUID, expected_version: str | None = None
    ) -> payloads.DeviceWipeResult:
        async def run(writing: Writing) -> payloads.DeviceWiped:
            device = await _shut_out(writing, id, devices.wipe, expected_version)
            return payloads.DeviceWiped(device=device)

        return await settled_on(info.context, idempotency_key, "device", id, run)

    @mutation("The tablet belongs to another unit from now on. Head office only.")
    async def device_move(
        self, info: Info, idempotency_key: str, id: UUID, unit: UUID, expected_version: str | None = None
    ) -> payloads.DeviceMoveResult:
        async def run(writing: Writing) -> payloads.DeviceMoved:
            await info.context.refresh()
            await devices.move(info.context.service, id, unit, writing.expected(expected_version))
            await info.context.refresh()
            return payloads.DeviceMoved(device=await info.context.related(Device, id))

        return await settled_on(info.context, idempotency_key, "device", id, run)


async def _write_customer(
    info: Info, key: str, id: str, fields: Mapping[str, JSON], expected: str | None = None
) -> payloads.CustomerResult:
    async def run(writing: Writing) -> payloads.CustomerSaved:
        return payloads.CustomerSaved(customer=await writing.edit(Customer, id, fields, expected))

    return await settled_on(info.context, key, "customer", id, run)


async def _supersede(writing: Writing, id: str, changed: Mapping[str, JSON]) -> payloads.InteractionSaved:
    """Record a fact like another, but for what changed. Its external ids stay with the first alone."""
    old = await writing.context.related(Interaction, id)
    if old is None:
        raise Refused("not_found", entity="interaction", field="id")
    kept = {
        name: value for name, value in old.row.values.items() if name not in ("id", "void", "external_ids")
    }
    fields = {name: value for name, value in (kept | dict(changed)).items() if value is not None}
    new = Mutations.new_id("interaction", writing.cid)
    edit = Edit(writing.cid, "create", "interaction", new, {**fields, "supersedes": id})
    return payloads.InteractionSaved(interaction=await writing.write(Interaction, edit))


async def _set_members(
    info: Info, key: str, segment: str, customers: Sequence[str], field: str, present: bool
) -> payloads.SegmentMembersResult:
    async def run(writing: Writing) -> payloads.SegmentMembersSaved:
        if len(customers) > BULK_ROWS_MAX:
            raise Refused("query_too_large", what="customers", limit=BULK_ROWS_MAX)
        if await info.context.related(Segment, segment) is None:
            raise Refused("not_found", entity="segment", field="segment")
        ids = list(dict.fromkeys(customers))
        edits = [
            Edit(writing.mutations.cid(key, place), "edit", "customer", id, {f"{field}/{segment}": present})
            for place, id in enumerate(ids)
        ]
        await info.context.refresh()
        refused = await writing.mutations.write_each(edits)
        return payloads.SegmentMembersSaved(
            segment=await info.context.related(Segment, segment),
            results=[
                MemberResult(customer_id=UUID(id), error=refusal(error, info.context.lang) if error else None)
                for id, error in zip(ids, refused, strict=True)
            ],
        )

    return await settled(info.context, key, run)


async def _held(writing: Writing, cid: str) -> payloads.HeldSettled:
    await writing.context.refresh()
    change = await held_change(writing.context, cid)
    return payloads.HeldSettled(waits=change is not None, change=change)


async def _shut_out(
    writing: Writing,
    id: str,
    order: Callable[[Service, str, Expected | None], Awaitable[None]],
    expected: str | None,
) -> Device | None:
    context = writing.context
    device = await context.related(Device, id)
    if device is None:
        raise Refused("not_found", entity="device", field="id")
    await context.refresh()
    await _require_unit(writing, device.unit_id)
    await order(context.service, id, writing.expected(expected))
    return await context.related(Device, id)


async def _require_unit(writing: Writing, unit: str) -> None:
    """The unit exists, and lies within what the token was granted."""
    tree = await writing.context.service.admission.tree()
    if unit not in tree:
        raise Refused("not_found", entity="unit", field="unit")
    units = writing.context.principal.units
    if units is not None and unit not in tree.below(units):
        raise Refused("not_allowed")
