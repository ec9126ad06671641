"""What is kept of a customer beside the card: consents, tasks, and of whom it buys besides."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from regulars.customers import id_of
from regulars.desk import Desk
from regulars.interactions import instant
from regulars.records import Channel, Consent, ConsentPurpose, Interaction, Supplier, Task, TaskStatus
from regulars.telling import put_made
from regulars_schema.declare import JSON
from regulars_sync.errors import LocalError
from regulars_sync.ids import made_id
from regulars_sync.verifying import CLOSED

if TYPE_CHECKING:
    from regulars.records import Customer

PAGE = 1_000


class Consents:
    """A ledger of what customers granted and withdrew; nothing of it is ever edited."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def record(
        self,
        customer: Customer | str,
        purpose: ConsentPurpose,
        granted: bool,
        *,
        channel: Channel | None = None,
        at: datetime | None = None,
        proof: str | None = None,
    ) -> Consent:
        """Record that a consent was granted or withdrawn, by one way or, without a channel, by all."""
        desk = self._desk
        said: dict[str, JSON] = {
            "customer": id_of(customer),
            "purpose": purpose,
            "granted": granted,
            "channel": channel,
            "at": instant(at, desk.now_ms()),
            "unit": desk.unit,
            "staff": desk.staff_id,
            "proof": proof,
        }
        id = desk.new_id()
        fields = {name: value for name, value in said.items() if value is not None}
        await desk.write("consent", id, "create", fields)
        made = await desk.get_record(Consent, id)
        assert made is not None
        return made

    async def of(self, customer: Customer | str) -> Sequence[Consent]:
        """Every word of a person, the latest first."""
        found: dict[str, Consent] = {}
        for member in await self._desk.members(id_of(customer)):
            rows = await self._desk.list_records(Consent, element=("party", member), limit=PAGE)
            found |= {row.id: row for row in rows}
        return sorted(found.values(), key=lambda row: (str(row.at), row.id), reverse=True)


class Suppliers:
    """Of whom customers buy besides (S19). Two tablets that name the same supplier make one row."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def set(
        self,
        customer: Customer | str,
        name: str,
        *,
        satisfaction: int | None = None,
        note: str | None = None,
        archived: bool | None = None,
    ) -> Supplier:
        """Say how satisfied, 1 to 5, a customer is with a supplier; what is left out stays."""
        told = {"satisfaction": satisfaction, "note": note, "archived": archived}
        said: dict[str, JSON] = {field: value for field, value in told.items() if value is not None}
        made_of = {"customer": id_of(customer), "name": name}
        await put_made(self._desk, "supplier", made_of, said, Supplier)
        made = await self._desk.get_record(Supplier, made_id("supplier", *made_of.values()))
        assert made is not None
        return made

    async def of(self, customer: Customer | str) -> Sequence[Supplier]:
        found: dict[str, Supplier] = {}
        for member in await self._desk.members(id_of(customer)):
            rows = await self._desk.list_records(Supplier, element=("party", member), limit=PAGE)
            found |= {row.id: row for row in rows if not row.archived}
        return sorted(found.values(), key=lambda row: (str(row.name), row.id))


class Tasks:
    """What is to be done for customers. A task that was done stays done, whatever another tablet says."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def open(
        self,
        owner: str | None = None,
        *,
        mine: bool = False,
        unit: str | None = None,
        due_by: date | None = None,
    ) -> Sequence[Task]:
        """The open tasks that this tablet holds, what is due first; of these what passes all that is given.

        `owner`: that person's. `mine`: those of whoever is signed in, and nobody's about customers in that
        person's care. `unit`: about customers at home there. `due_by`: due on that day or before.
        """
        me = self._desk.staff_id
        if mine and me is None:
            raise LocalError("argument_invalid", reason="nobody is signed in")
        found: list[Task] = []
        after = None
        while True:
            page = await self._desk.list_records(Task, limit=PAGE, after=after)
            open_ = [one for one in page if one.status not in CLOSED and owner in (None, one.owner)]
            if due_by is not None:
                open_ = [one for one in open_ if one.due is not None and one.due <= due_by]
            if mine:
                open_ = [one for one in open_ if one.owner in (None, me)]
            if open_ and (mine or unit is not None):
                cards = await self._desk.customers_of({one.customer for one in open_ if one.customer})
                open_ = [
                    one
                    for one in open_
                    if (card := cards.get(one.customer or "")) is not None
                    and (unit is None or card.home_unit == unit)
                    and (not mine or me in (one.owner, card.owner))
                ]
            found += open_
            if len(page) < PAGE:
                return sorted(found, key=lambda one: (str(one.due or "9999"), one.id))
            after = await self._desk.position(Task, page[-1].id)

    async def of(self, customer: Customer | str) -> Sequence[Task]:
        """Every task of a person, open or not, by the day it is due."""
        found: dict[str, Task] = {}
        for member in await self._desk.members(id_of(customer)):
            rows = await self._desk.list_records(Task, element=("party", member), limit=PAGE)
            found |= {row.id: row for row in rows}
        return sorted(found.values(), key=lambda one: (str(one.due or "9999"), one.id))

    async def save(
        self,
        customer: Customer | str,
        plan: str,
        subject: str,
        *,
        due: date | None = None,
        owner: str | None = None,
        note: str | None = None,
    ) -> Task:
        """Make a task. Its id is made of plan, customer and subject: who notices the same makes the same."""
        told = {"due": None if due is None else due.isoformat(), "owner": owner, "note": note}
        said: dict[str, JSON] = {"status": "open"}
        said |= {field: value for field, value in told.items() if value is not None}
        made_of = {"plan": plan, "customer": id_of(customer), "subject": subject}
        await put_made(self._desk, "task", made_of, said, Task)
        return await self._get(made_id("task", *made_of.values()))

    async def done(
        self,
        task: Task | str,
        *,
        by: Interaction | str | None = None,
        note: str | None = None,
        status: TaskStatus = "done",
    ) -> Task:
        """Close it: done, skipped or cancelled. `by`: the interaction that did it."""
        if status not in CLOSED:
            raise LocalError("argument_invalid", reason="a closed task does not open again")
        id = task if isinstance(task, str) else task.id
        await self._get(id)
        told = {"closed_by": by if by is None or isinstance(by, str) else by.id, "note": note}
        said: dict[str, JSON] = {"status": status}
        await self._desk.write("task", id, "edit", said | {k: v for k, v in told.items() if v is not None})
        return await self._get(id)

    async def _get(self, id: str) -> Task:
        found = await self._desk.get_record(Task, id)
        if found is None:
            raise LocalError("not_found", entity="task")
        return found
