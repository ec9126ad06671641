"""What only the server knows of the past, asked online: history, ledger; and reversals, which need it.

A reversal is made here as a change of this tablet's own, durable before it returns, and goes out with the
next sync: it has seen what this tablet shows.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from regulars.desk import Desk
from regulars.interactions import Interactions
from regulars.records import Interaction
from regulars_schema.declare import JSON
from regulars_sync.errors import LocalError, Offline, Refused
from regulars_sync.history import AWAY, Written, undone
from regulars_sync.merge import Candidate

R = TypeVar("R")
_VALUE = "value cid source verified"
_FIELDS = f"path value source verified rule state replacedBy before {{ {_VALUE} }} replaced {{ {_VALUE} }} beside {{ {_VALUE} }}"  # noqa: E501
_CHANGE = f"cid op entity rowId began at stated corrected verdict code message closed emptied replaces actorId deviceId fields {{ {_FIELDS} }}"  # noqa: E501
_WHO = "stated corrected at actorId deviceId"
_HISTORY = f"""query ($entity: EntityName!, $id: UUID!, $path: String, $first: Int, $after: String) {{
  history(entity: $entity, id: $id, path: $path, first: $first, after: $after) {{
    nodes {{ {_CHANGE} }} pageInfo {{ hasNextPage endCursor }} }} }}"""
_LEDGER = f"""query ($where: LedgerFilter, $first: Int, $after: String) {{
  ledger(where: $where, first: $first, after: $after) {{
    nodes {{ cid entity rowId decided stampReplaced reversible {_WHO} admitted {{ path typed value }}
      chosen {{ path rule winner reversible values {{ {_VALUE} shown {_WHO} }} }} }}
    pageInfo {{ hasNextPage endCursor }} }} }}"""
_LOGGED = f"query ($cid: String!) {{ loggedChange(cid: $cid) {{ {_CHANGE} }} }}"


class _Answer(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The names of closed lists are those of the schema: in lower case."""

    def __post_init__(self) -> None:
        for name in ("verdict", "state", "rule"):
            said = getattr(self, name, None)
            if isinstance(said, str):
                msgspec.structs.force_setattr(self, name, said.lower())


class PastValue(_Answer, frozen=True, rename="camel", kw_only=True):
    value: Any
    cid: str
    source: str | None
    verified: str | None


class PastField(_Answer, frozen=True, rename="camel", kw_only=True):
    """One value that a change wrote, and what that did."""

    path: str
    value: Any
    source: str | None
    verified: str | None
    rule: str | None
    before: PastValue | None
    """What was shown until then."""
    replaced: tuple[PastValue, ...]
    beside: tuple[PastValue, ...]
    state: str
    """shown, beside, replaced, waiting, refused: what has become of it."""
    replaced_by: str | None


class PastChange(_Answer, frozen=True, rename="camel", kw_only=True):
    """A change of a row, and what became of it."""

    cid: str
    op: str | None
    entity: str
    row_id: str
    began: bool
    """Whether the row began with it."""
    at: datetime
    """When the server took it."""
    stated: datetime | None
    """When it was made, as the device's clock said."""
    corrected: datetime | None
    """The same, put right."""
    verdict: str
    code: str | None
    message: str | None
    closed: bool
    emptied: bool
    replaces: str | None
    actor_id: str | None
    device_id: str | None
    fields: tuple[PastField, ...]


class Contender(PastValue, frozen=True, rename="camel", kw_only=True):
    shown: bool
    stated: datetime | None
    corrected: datetime | None
    at: datetime | None
    actor_id: str | None
    device_id: str | None


class ChosenField(_Answer, frozen=True, rename="camel", kw_only=True):
    """A field of which the shown value was chosen by its rule."""

    path: str
    rule: str
    winner: str
    values: tuple[Contender, ...]
    reversible: bool


class AdmittedField(_Answer, frozen=True, rename="camel", kw_only=True):
    path: str
    typed: str | None
    value: Any


class LedgerEntry(_Answer, frozen=True, rename="camel", kw_only=True):
    """A change with which something was decided by no person."""

    cid: str
    entity: str
    row_id: str
    decided: datetime
    at: datetime
    stated: datetime
    corrected: datetime
    stamp_replaced: bool
    reversible: bool
    chosen: tuple[ChosenField, ...]
    admitted: tuple[AdmittedField, ...]
    actor_id: str | None
    device_id: str | None


class PastPage(msgspec.Struct, Generic[R], frozen=True):
    """Some of them; `after` is where the next ones begin, None at the end."""

    items: tuple[R, ...]
    after: str | None


class Past(Desk):
    """What a shop asks of the server's log. `Offline` without a network, `Refused` by the server."""

    @abstractmethod
    async def graphql(self, query: str, variables: Mapping[str, JSON] | None = None) -> dict[str, Any]:
        """Ask the server, online, with this tablet's rights."""

    async def history(
        self, entity: str, id: str, path: str | None = None, first: int = 50, after: str | None = None
    ) -> PastPage[PastChange]:
        """The changes of a row, or of one of its fields, in the order in which they took effect."""
        given = {"entity": entity.upper(), "id": id, "path": path, "first": first, "after": after}
        return _page((await self._ask(_HISTORY, given))["history"], PastChange)

    async def ledger(
        self,
        *,
        unit: str | None = None,
        device: str | None = None,
        field: str | None = None,
        since: datetime | None = None,
        rule: str | None = None,
        reversible: bool | None = None,
        first: int = 50,
        after: str | None = None,
    ) -> PastPage[LedgerEntry]:
        """What was decided by no person, latest first: between values, of stamps, of normal forms."""
        where = {
            "unit": unit,
            "device": device,
            "field": field,
            "since": since.isoformat() if since else None,
            "rule": rule.upper() if rule else None,
            "reversible": reversible,
        }
        given = {"where": {k: v for k, v in where.items() if v is not None}, "first": first, "after": after}
        return _page((await self._ask(_LEDGER, given))["ledger"], LedgerEntry)

    async def reverse(self, cid: str, path: str | None = None) -> tuple[str, ...]:
        """Put back what a change replaced; of values beside each other show the other one.

        A customer made by mistake is archived, a fact voided, a correction undone. The paths written; it
        goes out with the next sync and can be reversed in turn. `Refused` not_found, reverse_nothing;
        `LocalError("not_found")` when the row is not on this tablet.
        """
        said = (await self._ask(_LOGGED, {"cid": cid}))["loggedChange"]
        if said is None:
            raise Refused("not_found", entity="change")
        change = msgspec.convert(said, PastChange)
        entity = self.registry.get(change.entity)
        if change.verdict not in {"applied", "merged"}:
            raise Refused("reverse_nothing")
        if entity.is_fact:
            fact = await self.get_record(Interaction, change.row_id)
            if fact is None:
                raise LocalError("not_found", entity=entity.label.en)
            made = await Interactions(self).reverse(fact)
            return ("supersedes",) if made.supersedes else ()
        row = await self._overlay.get(entity.name, change.row_id)
        if row is None:
            raise LocalError("not_found", entity=entity.label.en)
        away = next((at for at in AWAY if at[0] in entity.by_name), None)
        if path is None and change.began and away is not None:
            await self.write(entity.name, row.id, "edit", dict([away]))
            return (away[0],)
        written = [_written(cid, field) for field in change.fields if path in (None, field.path)]
        values = undone(entity, row.registers, written)
        if not values:
            raise Refused("reverse_nothing")
        await self.put(entity.name, row.id, "edit", values)
        return tuple(values)

    async def _ask(self, query: str, given: Mapping[str, JSON]) -> dict[str, Any]:
        answer = await self.graphql(query, given)
        if errors := answer.get("errors"):
            said = errors[0].get("extensions") or {}
            raise Refused(said.get("code") or "answer_invalid", **(said.get("detail") or {}))
        data = answer.get("data")
        if not isinstance(data, dict):
            raise Offline("answer_invalid")
        return data


def _page(said: Any, kind: type[R]) -> PastPage[R]:
    items = msgspec.convert(said["nodes"], type=tuple[kind, ...])  # type: ignore[valid-type]
    info = said["pageInfo"]
    return PastPage(items, info["endCursor"] if info["hasNextPage"] else None)


def _written(cid: str, field: PastField) -> Written:
    before = field.before
    return Written(
        field.path,
        Candidate(cid, 0, field.value, field.source, field.verified),
        Candidate(before.cid, 0, before.value, before.source, before.verified) if before else None,
    )
