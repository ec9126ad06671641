"""Who is one person on this tablet: its rows, gathered and folded to the card that is shown."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace

import orjson

from regulars.laid import Laid
from regulars.replica import readable
from regulars_schema.declare import Entity
from regulars_sync import merge
from regulars_sync.identity import Edge, agreed, clusters, fold, survivor


def clusters_in(connection: sqlite3.Connection, customers: Iterable[str]) -> dict[str, frozenset[str]]:
    """The cluster of each of these customers that is in one, by the decisions that this replica holds."""
    edges: dict[str, Edge] = {}
    known: set[str] = set()
    new = set(customers)
    while new:
        known |= new
        found = connection.execute(
            "SELECT r.id, CAST(r.document AS BLOB)"
            " FROM element e JOIN row r ON r.entity = e.entity AND r.id = e.id"
            " WHERE e.entity = 'identity' AND e.field = 'party'"
            " AND e.key IN (SELECT value FROM json_each(?))",
            (orjson.dumps(sorted(new)).decode(),),
        )
        for id, raw in found.fetchall():
            with readable("identity", id):
                said = orjson.loads(raw)
                edges[id] = Edge(said["one"], said["other"], said["decision"])
        new = {str(end) for edge in edges.values() for end in (edge.one, edge.other)} - known
    return clusters(edges.values()).of


def golden(entity: Entity, id: str, rows: Sequence[Laid]) -> Laid:
    """The person's card under this member's id: what all of its rows say together."""
    if len(rows) == 1:
        return rows[0]
    members = tuple(sorted(row.id for row in rows))
    registers = agreed(entity, fold(entity, {row.id: row.registers for row in rows}))
    first = survivor(members)
    state = replace(
        rows[0].state,
        pending=any(row.state.pending for row in rows),
        held=tuple(cid for row in rows for cid in row.state.held),
        contested=tuple(sorted(merge.contested(registers))),
        members=members,
        merged_into=None if id == first else first,
    )
    return Laid(id, registers, state, [live for row in rows for live in row.own])
