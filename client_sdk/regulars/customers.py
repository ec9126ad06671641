"""Customers, their tags and links, as a branch tool uses them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from regulars import telling
from regulars.contested import Contested
from regulars.desk import Desk
from regulars.records import Assignment, Customer, Interaction, Link, LinkKind, Segment, Staff
from regulars_schema.declare import JSON, Entity, Form, Unfit
from regulars_schema.entities import CUSTOMER
from regulars_schema.normal import element_path
from regulars_sync.changes import Source
from regulars_sync.check import may_manage
from regulars_sync.errors import LocalError
from regulars_sync.ids import identity_id, link_id

if TYPE_CHECKING:
    from regulars.judging import Measured, Membership, Standing
    from regulars.telling import CustomField

MANAGED = frozenset(field.name for field in CUSTOMER.fields if field.managed)
SINGULAR = {"phone": "phones", "email": "emails", "tag": "tags", "hobby": "hobbies"}


def id_of(row: Customer | Segment | str) -> str:
    return row if isinstance(row, str) else row.id


def paths(entity: Entity, values: Mapping[str, JSON], country: str | None) -> dict[str, JSON]:
    """What a person writes (`phone="138 0013 8000"`, `tags=["vip"]`) as the paths of a change.

    A set takes the elements to add, a dict says of each whether it is there. `LocalError` names what
    does not fit.
    """
    written: dict[str, JSON] = {}
    for name, value in values.items():
        if "/" in name:
            written[name] = value
            continue
        field = entity.by_name.get(SINGULAR.get(name, name))
        if field is None:
            raise LocalError("field_unknown", entity=entity.name, field=name)
        if not field.is_set:
            written[field.name] = value
            continue
        elements = {value: True} if isinstance(value, str) else value
        if not isinstance(elements, Mapping):
            elements = dict.fromkeys(elements or (), True)
        for key, present in elements.items():
            typed = key if present is True and field.form is not Form.PLAIN else present
            try:
                written[element_path(field, key, typed, country)] = typed
            except Unfit as unfit:
                raise LocalError(unfit.code, **{"field": field.name, **unfit.detail}) from None
    return written


class Customers:
    """The customers of this tablet: the server's rows with own changes laid over them."""

    def __init__(self, desk: Desk, look_up: Callable[[str, str], Awaitable[list[str]]]) -> None:
        self._desk = desk
        self._look_up = look_up

    async def lookup(
        self,
        *,
        phone: str | None = None,
        email: str | None = None,
        member_no: str | None = None,
        external_id: str | None = None,
    ) -> Sequence[Customer]:
        """Whoever has exactly this key, in whatever unit, online; from now on this tablet holds them.

        Give one of them. Who is the same person comes along. `Refused`: not_found, too_many_tries and what
        is wrong with the key; `Offline`; `LocalError("not_paired")`.
        """
        keys = {"phones": phone, "emails": email, "member_no": member_no, "external_ids": external_id}
        given = [(field, key) for field, key in keys.items() if key is not None]
        if len(given) != 1:
            raise LocalError("argument_invalid", reason="give one key")
        ((field, key),) = given
        found = [await self.find(id) for id in await self._look_up(field, key)]
        return [customer for customer in found if customer is not None]

    async def create(self, **fields: JSON) -> Customer:
        """Register a customer: `name` and any field of the card; `phone=`, `email=`, `tag=` take one element.

        `LocalError` says which field does not fit; nothing is written then.
        """
        desk = self._desk
        await self._may_write(fields)
        id = desk.new_id()
        if desk.unit is not None:
            fields.setdefault("home_unit", desk.unit)
        fields.setdefault("kind", "person")
        await desk.write("customer", id, "create", paths(CUSTOMER, fields, desk.country))
        return await self.get(id)

    async def edit(self, customer: Customer | str, **fields: JSON) -> Customer:
        """Write these fields and no other. `LocalError("not_found")` when the row is not on this tablet."""
        id = id_of(customer)
        await self._may_write(fields)
        await self._desk.write("customer", id, "edit", paths(CUSTOMER, fields, self._desk.country))
        return await self.get(id)

    async def contested(self, customer: Customer | str) -> Sequence[Contested]:
        """The fields on which writers disagree, with every value, who wrote it as far as known, and when."""
        return await self._desk.contested("customer", id_of(customer))

    async def choose(self, customer: Customer | str, field: str, choice: JSON) -> Customer:
        """Let one of a field's values, named by its cid or by itself, be the only one (a set's as `tags/x`).

        `LocalError("choice_gone")` when it does not stand there beside another.
        """
        await self._desk.choose("customer", id_of(customer), field, choice)
        return await self.get(id_of(customer))

    # --- where it stands, by somebody's word -----------------------------------------------------------

    async def assign(
        self,
        customer: Customer | str,
        scheme: str,
        *values: str,
        remove: Sequence[str] = (),
        reason: str | None = None,
        evidence: Interaction | str | None = None,
        pinned: bool | None = None,
        check_by: date | None = None,
    ) -> Assignment:
        """Say what a customer is in a scheme: its value, or, where it may have several, values to add.

        Some schemes ask for a reason or the interaction that shows it. Where a rule decides, this is a pin,
        until `check_by` (as the scheme says, or for a year). Of a tier, lifecycle or churn cause that two
        tablets set at once the older word is shown until somebody decides (`contested_assignments`).
        `LocalError`: enum_unknown, scheme_values, scheme_kind, evidence_missing, not_allowed, not_found.
        """
        said = {**dict.fromkeys(remove, False), **dict.fromkeys(values, True)}
        shown_by = evidence if evidence is None or isinstance(evidence, str) else evidence.id
        card = await self.get(id_of(customer))
        return await telling.assign(self._desk, card, scheme, said, reason, shown_by, pinned, check_by)

    async def unassign(self, customer: Customer | str, scheme: str) -> None:
        """Take back what was said of a customer in a scheme; where there is a rule, it decides again."""
        await telling.unassign(self._desk, id_of(customer), scheme)

    async def assignments(self, customer: Customer | str) -> Sequence[Assignment]:
        """What was said of a customer, by scheme. `standings` tells where it stands by that and by rules."""
        return await telling.assignments(self._desk, id_of(customer))

    async def contested_assignments(self, customer: Customer | str) -> Mapping[str, Contested]:
        """Scheme -> what two people said of the customer who had not seen each other's word."""
        return await telling.contested(self._desk, id_of(customer))

    async def choose_assignment(self, customer: Customer | str, scheme: str, value: str) -> Assignment:
        """Decide between them."""
        return await telling.choose(self._desk, id_of(customer), scheme, value)

    # --- fields of the chain's own, and where values are from ------------------------------------------

    async def custom(self, customer: Customer | str) -> Sequence[CustomField]:
        """Every field of the chain's own that is for such a customer, whether it says something or not."""
        return await telling.custom(self._desk, await self.get(id_of(customer)))

    async def set_custom(
        self, customer: Customer | str, field: str, value: JSON, source: Source = "staff_visit"
    ) -> None:
        """Write a field of the chain's own, by its key. Of a set: items to add, or `{item: present}`."""
        await telling.set_custom(self._desk, await self.get(id_of(customer)), field, value, source)

    async def fill(self, customer: Customer | str, source: Source = "self_form", **fields: JSON) -> Customer:
        """Write what is from elsewhere, such as a form that the customer filled in.

        That waits to be verified, stands beside what was verified before, and makes one task.
        """
        card = await self.get(id_of(customer))
        await self._may_write(fields)
        await telling.fill(self._desk, card, paths(CUSTOMER, fields, self._desk.country), source)
        return await self.get(card.id)

    async def verify(
        self, customer: Customer | str, field: str, is_true: bool = True, choice: JSON = None
    ) -> Customer:
        """Say that a field's value (a set's as `phones/+86...`) is true, or that it is not.

        Meant is `choice`, a cid or a value; else the one that waits, or the one shown. When nothing waits
        any more, the task to verify is done. `LocalError("choice_gone")`.
        """
        card = await self.get(id_of(customer))
        await telling.verify(self._desk, card, field, is_true, choice)
        return await self.get(card.id)

    async def _may_write(self, fields: Mapping[str, JSON]) -> None:
        """`LocalError("not_allowed")`: the service of a customer is reduced or ended by a manager (S8). The
        server asks the same of what is pushed."""
        if not fields.keys() & MANAGED:
            return
        me = self._desk.staff_id
        staff = None if me is None else await self._desk.get_record(Staff, me)
        if staff is None or not may_manage({"role": staff.role, "active": staff.active}):
            raise LocalError("not_allowed")

    async def archive(self, customer: Customer | str) -> Customer:
        return await self.edit(customer, archived=True)

    async def restore(self, customer: Customer | str) -> Customer:
        """Bring an archived customer back."""
        return await self.edit(customer, archived=False)

    async def get(self, id: str) -> Customer:
        """The card of the person whose id, or one of whose ids, this is (`members`, `merged_into`).

        `LocalError("not_found")` when this tablet does not hold the customer.
        """
        found = await self.find(id)
        if found is None:
            raise LocalError("not_found", entity="customer")
        return found

    async def find(self, id: str) -> Customer | None:
        return await self._desk.get_record(Customer, id)

    async def list(
        self, limit: int = 100, after: Customer | None = None, archived: bool = False
    ) -> Sequence[Customer]:
        """Persons by name (pinyin), `limit` at a time, behind `after`; archived ones only when asked."""
        found: list[Customer] = []
        position = await self._desk.position(Customer, after.id) if after else None
        while True:
            page = await self._desk.list_records(Customer, limit=limit, after=position)
            found += [customer for customer in page if archived or not customer.archived]
            if len(page) < limit or len(found) >= limit:
                return found[:limit]
            position = await self._desk.position(Customer, page[-1].id)

    async def search(self, text: str, limit: int = 50) -> Sequence[Customer]:
        """By name, pinyin, initials, part of a phone, member number, e-mail, tag, note; the best first.

        All words must be found. Only where nothing fits, a letter may be wrong.
        """
        return await self._desk.search_records(Customer, text, limit)

    async def with_phone(self, phone: str) -> Sequence[Customer]:
        """Whoever has this number, however it is spelled."""
        (path,) = paths(CUSTOMER, {"phone": phone}, self._desk.country)
        field, _, key = path.partition("/")
        return await self._desk.list_records(Customer, element=(field, key))

    async def household(self, customer: Customer | str) -> Sequence[Customer]:
        """Who is linked with a person as of one household, each person once."""
        own = set(await self._desk.members(id_of(customer)))
        cards: dict[str, Customer] = {}
        for link in await Links(self._desk).of(customer):
            ends = {link.from_customer, link.to_customer}
            for id in sorted(ends - own) if link.kind == "household" else ():
                found = await self.find(id)
                if found is not None:
                    cards.setdefault(found.merged_into or found.id, found)
        return list(cards.values())

    # --- what is known of one -----------------------------------------------------------------------------

    async def standings(self, customer: Customer | str, as_of: datetime | None = None) -> Sequence[Standing]:
        """Where a customer stands in each scheme that is for its kind, now or as of an instant.

        As the server says it, or unknown. `LocalError("not_found")`, as the others here.
        """
        from regulars import judging

        return await self._desk.know(lambda known: judging.standings(known, id_of(customer)), as_of)

    async def standing(
        self, customer: Customer | str, scheme: str, as_of: datetime | None = None
    ) -> Standing:
        """The same in one scheme. `LocalError("rule_unknown")` for a scheme that there is not."""
        from regulars import judging

        return await self._desk.know(lambda known: judging.standing(known, id_of(customer), scheme), as_of)

    async def metric(
        self, customer: Customer | str, name: str, window: str | None = None, as_of: datetime | None = None
    ) -> Measured:
        """A metric of docs/RULES.md, ever or in a window as rules write it (`last 30 days`)."""
        from regulars import judging

        return await self._desk.know(
            lambda known: judging.measured(known, id_of(customer), name, window), as_of
        )

    async def memberships(
        self, customer: Customer | str, as_of: datetime | None = None
    ) -> Sequence[Membership]:
        """The segments that a customer is a member of, and those of which this tablet can't know."""
        from regulars import judging

        return await self._desk.know(lambda known: judging.memberships(known, id_of(customer)), as_of)

    async def explain(
        self,
        customer: Customer | str,
        of: Segment | str | Mapping[str, JSON],
        as_of: datetime | None = None,
    ) -> dict[str, JSON]:
        """Why: of a rule (text or JSON), a segment or a scheme's key. A tree of tests, each with its answer,
        what was compared, and until when it stands. `LocalError` with line, column and suggestion."""
        from regulars import judging

        asked = id_of(of) if isinstance(of, Segment) else of
        return await self._desk.know(lambda known: judging.explain(known, id_of(customer), asked), as_of)


class Identities:
    """Who is one person. A tablet proposes; head office decides, and the cards become one on every tablet."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def propose(self, one: Customer | str, other: Customer | str) -> None:
        """Ask head office whether two customers of this tablet are one person; nothing is merged by it.

        `LocalError` not_found, argument_invalid (they are one already).
        """
        first, second = sorted((id_of(one), id_of(other)))
        for id in (first, second):
            if await self._desk.get_record(Customer, id) is None:
                raise LocalError("not_found", entity="customer")
        if second in await self._desk.members(first):
            raise LocalError("argument_invalid", reason="they are one person already")
        said = {"one": first, "other": second, "decision": "proposed", "reason": "person"}
        await self._desk.write("identity", identity_id(first, second), "create", said)


class Tags:
    """Free labels on customers. Two tablets that tag at once both keep their tag."""

    def __init__(self, desk: Desk, customers: Customers) -> None:
        self._desk = desk
        self._customers = customers

    async def add(self, customer: Customer | str, *tags: str) -> Customer:
        return await self._customers.edit(customer, tags=list(tags))

    async def remove(self, customer: Customer | str, *tags: str) -> Customer:
        return await self._customers.edit(customer, tags=dict.fromkeys(tags, False))

    async def customers(self, tag: str, limit: int = 1_000) -> Sequence[Customer]:
        """Whoever has the tag, by name."""
        return await self._desk.list_records(Customer, element=("tags", tag), limit=limit)


class Links:
    """How customers belong together. Two tablets that make the same link make one."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def add(
        self,
        from_customer: Customer | str,
        to_customer: Customer | str,
        kind: LinkKind,
        note: str | None = None,
    ) -> Link:
        ends = {"from_customer": id_of(from_customer), "to_customer": id_of(to_customer), "kind": kind}
        id = link_id(*ends.values())
        fields: dict[str, JSON] = {**ends, "active": True}
        if note is not None:
            fields["note"] = note
        known = await self._desk.get_record(Link, id)
        if known is None:
            await self._desk.write("link", id, "create", fields)
        else:
            await self._desk.write(
                "link", id, "edit", {k: fields[k] for k in ("active", "note") if k in fields}
            )
        made = await self._desk.get_record(Link, id)
        assert made is not None
        return made

    async def remove(self, link: Link) -> None:
        await self._desk.write("link", link.id, "edit", {"active": False})

    async def of(self, customer: Customer | str) -> Sequence[Link]:
        """The active links from and to a person."""
        by_id: dict[str, Link] = {}
        for member in await self._desk.members(id_of(customer)):
            found = await self._desk.list_records(Link, element=("party", member), limit=1_000)
            by_id |= {link.id: link for link in found}
        return [link for link in by_id.values() if link.active]
