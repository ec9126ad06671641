"""Sums of the facts that no tablet holds any more, for the tablets that hold the customer.

A baseline says of one customer row what its facts from before an edge come to, so that a tablet, which adds
the facts from the edge on, gives the server's numbers offline. A fact that names several rows of one person
is in the baseline of one of them, so those of all members add up to the person's.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable

import orjson

from regulars_schema.declare import JSON, Level
from regulars_schema.entities import BASELINE
from regulars_schema.rules.knowing import Before, Deed
from regulars_schema.rules.metrics import summed
from regulars_server.admission import Admission
from regulars_server.authors import UnitTree
from regulars_server.knowledge.loading import home_of, read
from regulars_server.settling import Settling
from regulars_server.storage.interface import Storage
from regulars_server.storage.standing import Checked
from regulars_sync.ids import WINDOW
from regulars_sync.known import deeds_of
from regulars_sync.reconcile import Row


async def renew(settling: Settling, customers: Iterable[str], edge: str, tree: UnitTree) -> None:
    """Let the baselines of these customers, and of those who are one person with them, be as of this edge.

    Who has no older facts, and had no baseline, gets none.
    """
    writer = settling.writer
    wanted = sorted(set(customers))
    clusters = await writer.clusters(wanted)
    persons = {clusters.get(id, (id,)) for id in wanted}
    members = sorted({member for person in persons for member in person})
    rows = await read(writer, members)
    there = await writer.rows([(BASELINE.name, id) for id in members])
    for person in sorted(persons):
        place = tree.place(home_of(rows, person))
        older: dict[str, list[Deed]] = defaultdict(list)
        for member, deed in deeds_of(rows, person, place.zone):
            if deed.at < edge:
                older[member].append(deed)
        for id in person:
            row = there[BASELINE.name, id]
            kinds = {kind: _said(sums) for kind, sums in summed(older[id], place.currency).items()}
            if (kinds or row.documents) and row.values.get("kinds") != kinds and id in rows.of["customer"]:
                said = {"id": id, "customer": id, "edge": edge, "kinds": kinds, "v": []}
                raw = orjson.dumps(said, option=orjson.OPT_SORT_KEYS)
                written = frozenset({Level.INTERNAL})
                settling.put(Row(BASELINE, id, {Level.INTERNAL: raw}, row.places, written=written))


async def refresh(admission: Admission, storage: Storage, checked: Iterable[Checked]) -> None:
    """Renew the baselines of those persons whose facts from before the window's edge may be others.

    Writes with no reader open: whoever writes may need one, and there are few.
    """
    entity, id = WINDOW
    persons = list(checked)
    async with storage.unscoped_reader() as reader:
        window = (await reader.find(entity, [id])).get(id)
        if window is None:
            return
        edge = str(orjson.loads(window.documents[Level.INTERNAL])["edge"])
        there = await reader.find(BASELINE.name, {id for one in persons for id in one.members})
    wanted = [
        one.customer
        for one in persons
        if any(fact.at < edge for fact in one.counted) or not there.keys().isdisjoint(one.members)
    ]
    if wanted:
        tree = await admission.tree()
        await admission.transact(lambda settling: renew(settling, wanted, edge, tree))


def _said(sums: Before) -> dict[str, JSON]:
    said = {f.name: getattr(sums, f.name) for f in dataclasses.fields(sums)}
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in said.items()}
