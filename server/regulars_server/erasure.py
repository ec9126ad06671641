"""Erasure: a person is removed everywhere, and the ids stay as tombstones for ever. docs/ERASURE.md says
what is destroyed where.

It is written into the journal before it is done, so a database that was put back to an earlier state
erases again at its next start.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from regulars_schema.declare import Level, is_id
from regulars_server.service import Service
from regulars_server.settling import Settling, decoded
from regulars_server.storage.interface import Order, Test
from regulars_server.versions import Expected, require_version
from regulars_sync.errors import Refused
from regulars_sync.ids import row_id
from regulars_sync.log import Entry
from regulars_sync.reconcile import Key, Row, Ruling

ROWS_MAX = 1_000_000
_PERSONAL = ("note",)
"""The free text of an interaction."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What one erasure did. Nothing, when it was done before."""

    links: int = 0
    interactions: int = 0
    """Kept without the person."""
    changes: int = 0
    """Of the log, emptied."""


async def erase(
    service: Service,
    id: str,
    reason: str,
    by: str | None = None,
    cid: str | None = None,
    expected: Expected | None = None,
) -> Erased:
    """Remove a customer everywhere, for ever. Asked twice it is done once.

    `cid` is that of the log's entry about it. `Refused`: not_found; idempotency_reused (the cid was used for
    something else); version_conflict; busy and storage_full, when bytes are still to be destroyed: ask again.
    """
    said = None if not reason.strip() else {"reason": reason.strip()}
    cid = cid or service.entropy(16).hex()

    async def work(settling: Settling) -> tuple[Erased, set[str]]:
        known = (await settling.writer.entries({cid})).get(cid)
        if known is not None:
            if (known.entity, known.id, known.code) != ("customer", id, "erased"):
                raise Refused("idempotency_reused")
            return Erased(), set()
        (row,) = (await settling.writer.rows([("customer", id)])).values()
        if row.erased:
            return Erased(), set()
        await require_version(settling.writer, "customer", id, expected)
        if not is_id(id) or not (row.exists or await settling.writer.about([id], [id])):
            raise Refused("not_found", entity="customer", field="id")
        others = await settling.writer.rows(_other_ids(row))
        also = [key for key, other in others.items() if not other.exists]
        links = [r for r in await settling.writer.dependents([id]) if not r.entity.is_fact]
        ids: list[Key] = [("customer", id), *also, *((link.entity.name, link.id) for link in links)]
        service.journal.append({"do": "erase", "customer": id, "ids": ids, "at": service.now_ms()})
        return await _carry_out(service, settling, ids, _entry(service, cid, id, said, by))

    return await _transact(service, work)


async def replay(service: Service) -> None:
    """Carry out again what the journal says was erased: the database may be an older one."""
    told = [[(e, i) for e, i in r["ids"]] for r in service.journal.records() if r["do"] == "erase"]

    async def work(settling: Settling) -> tuple[Erased, set[str]]:
        rows = await settling.writer.rows({key for ids in told for key in ids})
        groups: set[str] = set()
        for ids in told:
            if not all(rows[key].erased for key in ids if key in rows):
                cid = service.entropy(16).hex()
                _, more = await _carry_out(
                    service, settling, ids, _entry(service, cid, ids[0][1], None, None)
                )
                groups |= more
        return Erased(), groups

    if told:
        await _transact(service, work)


async def _transact(service: Service, work: Any) -> Erased:
    done: Erased
    done, groups = await service.admission.transact(work)
    for group in sorted(groups):
        await service.admission.retry(group)
    async with service.storage.writer() as writer:  # every reader may be taken
        erased = (await writer.since({}, 0)).erased
    await service.answers.forget(erased)
    await service.works.void(erased)
    if service.snapshots is not None:
        service.snapshots.forget(erased)
    await service.storage.scrub()
    return done


async def _carry_out(
    service: Service, settling: Settling, ids: Iterable[Key], entry: Entry
) -> tuple[Erased, set[str]]:
    """Let these rows go with all that is known of them; the groups that may go on without what was closed."""
    writer = settling.writer
    rows = await writer.rows(ids)
    customers = {id for entity, id in rows if entity == "customer"}
    dependents = await writer.dependents(sorted(customers))
    rows |= {(row.entity.name, row.id): row for row in dependents if not row.entity.is_fact}
    facts = await _with_corrections(settling, [row for row in dependents if row.entity.is_fact])
    for row in rows.values():
        if not row.erased:
            settling.erase(row)
    for row in facts:
        raw = without_person(row.documents[Level.INTERNAL], customers)
        settling.put(
            Row(row.entity, row.id, {Level.INTERNAL: raw}, row.places, None, frozenset({Level.INTERNAL}))
        )
    links = {id for entity, id in rows if entity == "link"}
    about = await writer.about([*customers, *links, *(row.id for row in facts)], [*customers, *links])
    known = {entry.cid: entry for entry in about}
    for waiting in await writer.open_entries(ROWS_MAX):
        change, replaced = decoded(waiting), known.get(waiting.replaces or "")
        if (replaced and replaced.is_open) or (change and settling.is_erased(change)):
            known.setdefault(waiting.cid, waiting)
    settling.batch.emptied |= known.keys()
    groups: set[str] = set()
    for cid, found in known.items():
        if found.is_open:
            ruling = Ruling(service.change("edit", found.entity, found.id, {}, cid=cid), "rejected", "erased")
            settling.note(found, ruling, closed=True)
            settling.batch.waits[found.group] = None
            groups.add(found.group)
    settling.append(entry)
    return Erased(len(links), len(facts), len(known)), groups


async def _with_corrections(settling: Settling, facts: list[Row]) -> list[Row]:
    """These facts and every one that supersedes one of them."""
    found = {row.id: row for row in facts}
    new = list(found)
    while new:
        test = Test("supersedes", "in", new)
        ids = [row.id for row in await settling.writer.select("interaction", test, Order(), ROWS_MAX)]
        new = [id for id in ids if id not in found]
        more = await settling.writer.rows([("interaction", id) for id in new])
        found |= {row.id: row for row in more.values()}
    return list(found.values())


def without_person(raw: bytes, customers: set[str]) -> bytes:
    """The document of a fact with its money and its parties' roles, without these customers and free text."""
    fact: dict[str, Any] = orjson.loads(raw)
    for name in _PERSONAL:
        fact.pop(name, None)
    party = []
    for member in fact.pop("party", None) or ():
        kept = {part: value for part, value in member.items() if part != "name"}
        if kept.get("customer") in customers:
            del kept["customer"]
        if kept:
            party.append(kept)
    if party:
        fact["party"] = party
    return orjson.dumps(fact)


def _other_ids(row: Row) -> list[Key]:
    """The ids under which an import would make this customer anew."""
    keys = [
        path.partition("/")[2]
        for path, value in row.values.items()
        if value and path.startswith("external_ids/")
    ]
    given = [key.partition(":") for key in keys]
    ids = {row_id(source, "customer", external) for source, colon, external in given if colon}
    return [("customer", id) for id in sorted(ids - {row.id})]


def _entry(service: Service, cid: str, id: str, said: dict[str, Any] | None, by: str | None) -> Entry:
    return Entry(
        cid=cid,
        group=cid,
        entity="customer",
        id=id,
        verdict="applied",
        code="erased",
        detail=said,
        actor=by,
        at_ms=service.now_ms(),
    )
