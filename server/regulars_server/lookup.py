"""Looking a customer of another unit up, online, by an exact key: counted, and written into the log.

Who is found comes into the asker's unit as one that it saw. The key itself is not written down.
"""

from __future__ import annotations

from regulars_schema.declare import Unfit
from regulars_schema.entities import CUSTOMER
from regulars_schema.normal import element_path
from regulars_server.access import Principal
from regulars_server.service import Service
from regulars_server.settling import Settling
from regulars_server.storage.interface import All, Not, Order, Test
from regulars_sync.errors import Refused
from regulars_sync.identity import Edge, clusters, survivor
from regulars_sync.log import Entry
from regulars_sync.reconcile import Author
from regulars_sync.scope import Reach, reach, unit_scope

FOUND_MAX = 20
CODE = "looked_up"


async def look_up(
    service: Service, principal: Principal, author: Author, field: str, key: str, unit: str | None = None
) -> list[str]:
    """The customers with this key, each followed by the others who are the same person, the survivor first.

    `unit`, by default the author's, has seen them from now on, unless they are within the author's reach.
    `Refused`: not_found (also for who was archived or erased), not_allowed (a unit out of reach),
    argument_invalid, too_many_tries, and what is wrong with the key.
    """
    unit = unit or author.unit
    tree = await service.admission.tree()
    if unit is not None and unit not in tree:
        raise Refused("not_found", entity="unit", field="unit")
    if author.scopes is not None and (unit is None or unit_scope(unit) not in author.scopes):
        raise Refused("not_allowed")
    now_ms = service.now_ms()
    await service.lookups.take(principal.token, now_ms, service.settings.lookups_per_hour)
    test = _test(field, key, tree.country(unit) if unit else author.country)

    async def work(settling: Settling) -> list[str]:
        writer = settling.writer
        wanted = All((test, Not(Test("archived", "eq", True))))
        found = [row.id for row in await writer.select("customer", wanted, Order(), FOUND_MAX)]
        rows = await writer.rows([("customer", id) for id in found])
        outside = [row.id for row in rows.values() if reach(row.places, author.scopes) is not Reach.IN]
        if unit is not None:
            await settling.see([(id, unit) for id in outside], now_ms)
        for id in found or [""]:
            settling.append(_entry(service, principal, id, field, unit, now_ms))
        of = clusters(Edge.of(row.values) for row in await writer.kin(found)).of
        together = {id: of.get(id, frozenset([id])) for id in found}
        ordered = [member for id in found for member in (survivor(together[id]), *sorted(together[id]))]
        return list(dict.fromkeys(ordered))

    ids = await service.admission.transact(work)
    if not ids:
        raise Refused("not_found", entity="customer", field="key")
    return ids


def _test(field: str, key: str, country: str | None) -> Test:
    """What a customer with exactly this key passes."""
    declared = CUSTOMER.by_name.get(field)
    if declared is None or not declared.identity:
        names = ", ".join(one.name for one in CUSTOMER.fields if one.identity)
        raise Refused("argument_invalid", reason=f"A customer is looked up by one of: {names}.")
    try:
        if not declared.is_set:
            declared.check(key)
            if not key.strip():
                raise Unfit("text_empty")
            return Test(field, "eq", key)
        normal = element_path(declared, key, True, country).partition("/")[2]
    except Unfit as unfit:
        raise Refused(unfit.code, **{"field": "key", **unfit.detail}) from None
    if normal.startswith("?"):  # a number that could be anybody's
        raise Refused("not_found", entity="customer", field="key")
    return Test(field, "has", normal)


def _entry(
    service: Service, principal: Principal, id: str, field: str, unit: str | None, now_ms: int
) -> Entry:
    cid = service.entropy(16).hex()
    return Entry(
        cid=cid,
        group=cid,
        entity="customer" if id else "",
        id=id,
        verdict="applied",
        code=CODE,
        detail={"field": field, "unit": unit},
        device=principal.device,
        actor=principal.staff,
        closed=True,
        at_ms=now_ms,
    )
