"""What a person says of a customer beside the card: in schemes, and in fields of the chain's own.

Two tablets that say it at once make one row, and its columns merge: of several values all stay, of a tier the
older is shown until a person decides. The checks are those of the server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from regulars.contested import Contested
from regulars.desk import Desk
from regulars.records import Assignment, Customer, CustomValue, FieldDef, Record, Task
from regulars_schema.custom import SETS, column, shown, written
from regulars_schema.declare import JSON, Level, Unfit
from regulars_schema.schemes import Scheme
from regulars_schema.schemes.assigning import COLUMNS, assigned, cleared
from regulars_sync.changes import Source, Value
from regulars_sync.errors import LocalError
from regulars_sync.ids import made_id
from regulars_sync.known import IMPORTS
from regulars_sync.verifying import CLOSED, PLAN, judged, pending, standing_of, task

if TYPE_CHECKING:
    from regulars.knowing import Setting

RECORDS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class CustomField:
    """What a field of the chain's own says of a customer."""

    key: str
    definition: FieldDef
    value: JSON
    """Of a set its items; None for nothing, and where this tablet may not hold it."""


@contextmanager
def fitting() -> Iterator[None]:
    """What does not fit inside is refused here."""
    try:
        yield
    except Unfit as unfit:
        raise LocalError(unfit.code, **unfit.detail) from None


async def setting_of(desk: Desk) -> Setting:
    return await desk.know(lambda known: known.setting)


async def today_of(desk: Desk, customer: Customer) -> date:
    """The day at the customer's home unit; at this tablet's for one without."""
    zone = (await setting_of(desk)).units.place(customer.home_unit or desk.unit).zone
    return datetime.fromtimestamp(desk.now_ms() / 1000, UTC).astimezone(zone).date()


# --- schemes ------------------------------------------------------------------------------------------


async def assign(
    desk: Desk,
    customer: Customer,
    scheme: str,
    values: Mapping[str, bool],
    reason: str | None,
    evidence: str | None,
    pinned: bool | None,
    check_by: date | None,
) -> Assignment:
    of = await _scheme(desk, scheme)
    with fitting():
        said = assigned(
            of,
            values,
            customer.kind or "person",
            await today_of(desk, customer),
            reason=reason,
            evidence=evidence,
            pinned=pinned,
            check_by=None if check_by is None else check_by.isoformat(),
        )
    if desk.staff_id is not None:
        said["decided_by"] = desk.staff_id
    await put_made(desk, "assignment", {"customer": customer.id, "scheme": scheme}, said, Assignment)
    return await _assignment(desk, customer.id, scheme)


async def unassign(desk: Desk, customer: str, scheme: str) -> None:
    of = await _scheme(desk, scheme)
    row = await _assignment(desk, customer, scheme)
    said = cleared(of, {name: getattr(row, name) for name in COLUMNS})
    values = {path: Value(value, "staff_visit", "verified") for path, value in said.items()}
    await desk.put("assignment", row.id, "edit", values)


async def assignments(desk: Desk, customer: str) -> Sequence[Assignment]:
    """What was said of a person, by scheme; of a merged one each member's."""
    found: list[Assignment] = []
    for member in await desk.members(customer):
        found += await desk.list_records(Assignment, element=("party", member), limit=RECORDS_MAX)
    return sorted(found, key=lambda one: (one.scheme or "", one.id))


async def contested(desk: Desk, customer: str) -> dict[str, Contested]:
    """Scheme -> the values that wait for a person: not a person's beside a file's, before which it stands."""
    found: dict[str, Contested] = {}
    for one in await assignments(desk, customer):
        for field in await desk.contested("assignment", one.id):
            persons = [value for value in field.values if value.source not in IMPORTS]
            if field.path in COLUMNS and one.scheme is not None and len(persons) != 1:
                found[one.scheme] = field
    return found


async def choose(desk: Desk, customer: str, scheme: str, choice: str) -> Assignment:
    of = await contested(desk, customer)
    if scheme not in of:
        raise LocalError("choice_gone", field=scheme)
    for one in await assignments(desk, customer):
        if one.scheme == scheme:
            await desk.choose("assignment", one.id, of[scheme].path, choice)
    return await _assignment(desk, customer, scheme)


async def _assignment(desk: Desk, customer: str, scheme: str) -> Assignment:
    row = await desk.get_record(Assignment, made_id("assignment", customer, scheme))
    if row is None:
        raise LocalError("not_found", entity="assignment")
    return row


async def _scheme(desk: Desk, key: str) -> Scheme:
    setting = await setting_of(desk)
    of = setting.knowledge.schemes.schemes.get(key)
    if of is None or key in setting.knowledge.archived:
        raise LocalError("not_found", entity="scheme")
    if of.level is Level.SENSITIVE and setting.hidden:
        raise LocalError("not_allowed")
    return of


# --- fields of the chain's own ------------------------------------------------------------------------


async def set_custom(
    desk: Desk, customer: Customer, key: str, value: JSON, source: Source = "staff_visit"
) -> None:
    setting = await setting_of(desk)
    id = made_id("field_def", key)
    defined = setting.defined.get(id)
    if defined is None or defined.get("archived"):
        raise LocalError("not_found", entity="field_def")
    if defined["sensitivity"] == "sensitive" and setting.hidden:
        raise LocalError("not_allowed")
    kind = customer.kind or "person"
    if defined.get("for_kind") not in (None, kind):
        raise LocalError("scheme_kind", field=key, scheme=key, kind=kind)
    if defined["rule"] in SETS and not isinstance(value, Mapping):
        value = dict.fromkeys([value] if isinstance(value, str) else value or (), True)
    with fitting():
        said = written(defined, value)
    made_of = {"customer": customer.id, "field_def": id}
    async with _together(desk):
        await put_made(desk, "custom_value", made_of, said, CustomValue, source)
        if standing_of(source) == "pending":
            await _ask_to_verify(desk, customer)


async def custom(desk: Desk, customer: Customer) -> Sequence[CustomField]:
    """Every field that is for such a customer, by key; of a merged one what its survivor says first."""
    setting = await setting_of(desk)
    rows: dict[str, CustomValue] = {}
    for member in await desk.members(customer.id):
        for row in await desk.list_records(CustomValue, element=("party", member), limit=RECORDS_MAX):
            rows.setdefault(row.field_def or "", row)
    found = []
    for id, defined in setting.defined.items():
        if defined.get("archived") or defined.get("for_kind") not in (None, customer.kind or "person"):
            continue
        definition, said = await desk.get_record(FieldDef, id), rows.get(id)
        name = column(defined)
        value = None if said is None else shown(defined, {name: getattr(said, name)})
        if definition is not None:
            found.append(CustomField(str(defined["key"]), definition, value))
    return sorted(found, key=lambda field: field.key)


# --- what waits to be verified ------------------------------------------------------------------------


async def fill(desk: Desk, customer: Customer, paths: Mapping[str, JSON], source: Source) -> None:
    """Write what is from elsewhere; what then waits gets one task, in the same transaction."""
    verified = standing_of(source)
    values = {path: Value(value, source, verified) for path, value in paths.items()}
    async with _together(desk):
        await desk.put("customer", customer.id, "edit", values)
        if verified == "pending":
            await _ask_to_verify(desk, customer)


async def verify(desk: Desk, customer: Customer, path: str, is_true: bool, choice: JSON) -> None:
    """Say that a value is true or is not; when nothing of the person waits any more its task is done."""
    members = await desk.members(customer.id)
    rows = {id: await desk.registers("customer", id) for id in members}
    found = {cid: c for row in rows.values() if path in row for cid, c in row[path].values.items()}
    cid = (
        next((c.cid for c in found.values() if choice in (c.cid, c.value)), "")
        if choice is not None
        else None
    )
    try:
        with fitting():
            value = judged(desk.registry.get("customer"), path, found.values(), cid, is_true)
    except KeyError:
        raise LocalError("choice_gone", field=path) from None
    waits = any(other != path for row in rows.values() for other in pending(row))
    for member in members if not waits else ():
        for row in await desk.list_records(CustomValue, element=("party", member), limit=RECORDS_MAX):
            waits = waits or bool(pending(await desk.registers("custom_value", row.id)))
    async with _together(desk):
        await desk.put("customer", customer.id, "edit", {path: value})
        for one in await _tasks(desk, members) if not waits else ():
            if one.status not in CLOSED:
                await desk.write("task", one.id, "edit", {"status": "done"})


async def _ask_to_verify(desk: Desk, customer: Customer) -> None:
    tasks = await _tasks(desk, await desk.members(customer.id))
    day = (await today_of(desk, customer)).isoformat()
    fields = task(customer.id, day, {str(one.subject): one.status or "open" for one in tasks})
    if fields is not None:
        id = made_id("task", *(str(fields[name]) for name in ("plan", "customer", "subject")))
        await desk.write("task", id, "create", fields)


async def _tasks(desk: Desk, members: Iterable[str]) -> list[Task]:
    found: list[Task] = []
    for member in members:
        found += await desk.list_records(Task, element=("party", member), limit=RECORDS_MAX)
    return [one for one in found if one.plan == PLAN]


@asynccontextmanager
async def _together(desk: Desk) -> AsyncIterator[None]:
    """One transaction; that which is open, where one is."""
    if desk.is_writing_together:
        yield
    else:
        async with desk.transaction():
            yield


# --- rows whose id is made of what they say -----------------------------------------------------------


async def put_made(
    desk: Desk,
    entity: str,
    made_of: Mapping[str, str],
    said: Mapping[str, JSON],
    kind: type[Record],
    source: Source = "staff_visit",
) -> None:
    """Make the row, or write to it where it is here already."""
    id = made_id(entity, *made_of.values())
    verified = "verified" if entity == "assignment" else standing_of(source)
    values = {path: Value(value, source, verified) for path, value in said.items()}
    if await desk.get_record(kind, id) is None:
        first = {path: Value(value, source) for path, value in made_of.items()}
        await desk.put(entity, id, "create", {**first, **values})
    else:
        await desk.put(entity, id, "edit", values)
