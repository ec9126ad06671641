"""Whom the lines of a file of assignments mean, and what they then say (3b).

A customer is named by its external id in the source of the file, by its id, or by its member number, in this
order. What a file says yields to what a person says; of an ordered scheme with a rule a `check_by` makes it a
hold: until that day the better of both counts (S35).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from regulars_schema.declare import JSON, Unfit, is_id
from regulars_schema.entities import CUSTOMER
from regulars_schema.schemes.assigning import assigned
from regulars_schema.schemes.world import Knowledge
from regulars_server.service import Service
from regulars_server.spreadsheet import Refused, Row
from regulars_server.storage.interface import Found, Order, Reader, Test
from regulars_sync import document
from regulars_sync.ids import made_id, row_id

NAMED_MAX = 10_000
"""So many customers may have the member numbers of a batch."""


class Words:
    """The lines of one file."""

    def __init__(self, service: Service, source: str) -> None:
        self._service = service
        self._source = source
        self._said: set[str] = set()

    async def meant(self, rows: Sequence[Row]) -> list[Row | Refused]:
        """The lines as rows of the chain, in their order."""
        async with self._service.storage.unscoped_reader() as reader:
            known = await self._service.worlds.of(reader)
            people = await self._customers(reader, {row.external_id for row in rows})
            shown = {str(row.fields["evidence"]) for row in rows if "evidence" in row.fields}
            facts = await self._found(reader, "interaction", shown)
        meant: list[Row | Refused] = []
        for row in rows:
            try:
                meant.append(self._row(row, known, people, facts))
            except Unfit as unfit:
                meant.append(Refused(row.line, row.external_id, unfit.code, unfit.detail))
        return meant

    def _row(
        self, row: Row, known: Knowledge, people: Mapping[str, list[Found]], facts: Mapping[str, Found]
    ) -> Row:
        told: Mapping[str, Any] = row.fields
        of = known.schemes.schemes.get(told["scheme"])
        if of is None or of.key in known.archived:
            raise Unfit("enum_unknown", field="scheme", value=told["scheme"][:80], allowed=sorted(known.used))
        found = people.get(row.external_id, [])
        if not found:
            raise Unfit("not_found", entity="customer", field="customer")
        if len(found) > 1:
            raise Unfit("customer_ambiguous", field="customer", key=row.external_id[:80])
        evidence = told.get("evidence")
        if evidence is not None and evidence not in facts:
            raise Unfit("not_found", entity="interaction", field="evidence")
        card = document.shown(CUSTOMER, document.decode(found[0].documents.values()))
        fields = assigned(
            of,
            dict.fromkeys(told["value"], True),
            str(card.get("kind") or "person"),
            datetime.fromtimestamp(self._service.now_ms() / 1000, UTC).date(),
            reason=told.get("reason"),
            evidence=None if evidence is None else facts[evidence].id,
            since=told.get("since"),
            check_by=told.get("check_by"),
            imported=True,
        )
        id = made_id("assignment", found[0].id, of.key)
        if id in self._said:
            raise Unfit("row_twice", field="customer")
        self._said.add(id)
        said: dict[str, JSON] = {"customer": found[0].id, "scheme": of.key, **fields}
        return replace(row, id=id, fields=said)

    async def _customers(self, reader: Reader, names: set[str]) -> dict[str, list[Found]]:
        """Name -> whom it means: the one, or several who have this member number."""
        found = {name: [row] for name, row in (await self._found(reader, "customer", names)).items()}
        rest = sorted(names - found.keys())
        if not rest:
            return found
        rows = await reader.select("customer", Test("member_no", "in", rest), Order(), NAMED_MAX)
        clusters = await reader.clusters({row.id for row in rows})
        persons: set[tuple[str, str]] = set()
        for row in rows:
            number = document.shown(CUSTOMER, document.decode(row.documents.values()))["member_no"]
            person = clusters.get(row.id, (row.id,))[0]
            if (number, person) not in persons:
                persons.add((number, person))
                found.setdefault(number, []).append(row)
        return found

    async def _found(self, reader: Reader, entity: str, names: Iterable[str]) -> dict[str, Found]:
        """By external id of the source, else by id."""
        ids = {name: (row_id(self._source, entity, name), name) for name in names}
        rows = await reader.find(entity, {id for pair in ids.values() for id in pair if is_id(id)})
        found = {name: next((rows[id] for id in pair if id in rows), None) for name, pair in ids.items()}
        return {name: row for name, row in found.items() if row is not None}
