"""Which customers are one person: what the server finds by itself, and what head office decides.

A decision is a row like any other, written by ordinary changes; `sync/identity` says what follows from it.
What the server and head office say is verified, so a branch's proposal never stands before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING

from regulars_schema.declare import JSON
from regulars_schema.entities import CUSTOMER, IDENTITY, REGISTRY
from regulars_server.settling import Settling, decoded
from regulars_server.versions import Expected, require_version
from regulars_sync import changes, document, log
from regulars_sync.changes import Change, Stated, Value
from regulars_sync.errors import Refused
from regulars_sync.identity import APART, SAME, Edge, clusters, judge, survivor
from regulars_sync.ids import identity_id, link_id
from regulars_sync.reconcile import Row

if TYPE_CHECKING:
    from regulars_server.service import Service

MATCHED_AT_ONCE = 500
"""How many customers are matched in one transaction."""

Pair = tuple[str, str]
"""Two customers, the smaller id first."""


def pair_of(one: str, other: str) -> Pair:
    """`Refused("argument_invalid")` when they are one and the same id."""
    if one == other:
        raise Refused("argument_invalid", reason="Name two customers.")
    return (one, other) if one < other else (other, one)


# --- what the server finds by itself --------------------------------------------------------------------


async def match(settling: Settling) -> int:
    """Ask of some of the customers that wait for it who else they may be; how many these were.

    Statements do not grow with them. What was decided of a pair stands; only a proposal becomes `same` when
    its keys were verified since. What would contradict a decision is proposed, not decided.
    """
    writer = settling.writer
    ids = await writer.unmatched(MATCHED_AT_ONCE)
    settling.batch.matched.update(ids)
    paths: dict[Pair, set[str]] = {}
    for one, other, path in await writer.alike(ids) if ids else ():
        paths.setdefault((one, other), set()).add(path)
    if not paths:
        return len(ids)
    members = sorted({id for pair in paths for id in pair})
    rows = await writer.rows(
        [*(("customer", id) for id in members), *(("identity", identity_id(*pair)) for pair in paths)]
    )
    cards = {id: document.decode(rows["customer", id].documents) for id in members}
    edges = [_edge(row) for row in await writer.kin(members)]
    drafted: list[Change] = []
    for pair, matched in sorted(paths.items()):
        known = rows["identity", identity_id(*pair)]
        said = known.values.get("decision")
        if known.erased or said not in (None, "proposed"):
            continue
        judged = judge(CUSTOMER, cards[pair[0]], cards[pair[1]], matched)
        if judged.decision == SAME:
            joined = [*edges, Edge(*pair, SAME)]
            if any(pair[0] in torn for torn in clusters(joined).contradictory):
                judged = judged._replace(decision="proposed", suggests="same")
            else:
                edges = joined
        if said != judged.decision:
            drafted.append(_said(settling, known, pair, judged._asdict(), settling.entropy(16).hex()))
    for draft in drafted:
        with suppress(Refused):  # one pair of which nothing can be said never keeps the others waiting
            await _write(settling, [draft])
    return len(ids)


# --- what head office decides -----------------------------------------------------------------------------


async def decide(
    service: Service,
    one: str,
    other: str,
    decision: str,
    cid: str,
    actor: str | None = None,
    expected: Expected | None = None,
) -> None:
    """Say of two customers whether they are one. A household also links them, and unlinks when it is none.

    Known by its cid, it is done once. `expected`: of what stands of the pair. `Refused`: not_found,
    argument_invalid, idempotency_reused, version_conflict.
    """
    pair = pair_of(one, other)
    fields = {"decision": decision, "reason": "person"}

    async def work(settling: Settling) -> None:
        keys = [*(("customer", id) for id in pair), ("identity", identity_id(*pair))]
        rows = await settling.writer.rows(keys)
        if await _is_done(settling, cid, pair, decision):
            return
        await require_version(settling.writer, *keys[2], expected)
        _require(rows[key] for key in keys[:2])
        known = rows[keys[2]]
        group = [_said(settling, known, pair, fields, cid, actor)]
        if "household" in (decision, known.values.get("decision")):
            group.append(await _link(settling, pair, decision == "household", _further(cid, 1), actor))
        await _write(settling, group)

    await service.admission.transact(work)


async def unmerge(
    service: Service, id: str, cid: str, actor: str | None = None, expected: Expected | None = None
) -> None:
    """Take exactly one customer out of its cluster; the others stay one. Nothing, when it stands alone.

    Known by its cid, it is done once. `expected`: of the customer's row. `Refused`: not_found,
    idempotency_reused, version_conflict.
    """

    async def work(settling: Settling) -> None:
        (row,) = (await settling.writer.rows([("customer", id)])).values()
        kin = {_pair(found): found for found in await settling.writer.kin([id])}
        cut = {pair: found for pair, found in kin.items() if id in pair and _decision(found) not in APART}
        if await _is_done(settling, cid, (id,), "not_same"):
            return
        await require_version(settling.writer, "customer", id, expected)
        _require([row])
        if not cut:
            return
        told = [(found, pair, "not_same", "person") for pair, found in sorted(cut.items())]
        left = [_edge(found) for pair, found in kin.items() if id not in pair]
        parts = sorted(_parts({member for pair in kin for member in pair} - {id}, left), key=survivor)
        for part in parts[1:]:
            pair = pair_of(survivor(parts[0]), survivor(part))
            key = ("identity", identity_id(*pair))
            known = kin.get(pair) or (await settling.writer.rows([key]))[key]
            if _decision(known) not in APART:
                told.append((known, pair, "same", "kept"))
        group = [
            _said(settling, known, pair, {"decision": said, "reason": reason}, _further(cid, n), actor)
            for n, (known, pair, said, reason) in enumerate(told)
        ]
        await _write(settling, group)

    await service.admission.transact(work)


def _parts(members: set[str], edges: Sequence[Edge]) -> set[frozenset[str]]:
    """The parts into which members fall who were connected through another."""
    of = clusters(edge for edge in edges if edge.decision == SAME).of
    return {of.get(member, frozenset({member})) for member in members}


def _require(rows: Iterable[Row]) -> None:
    for row in rows:
        if not row.documents:
            raise Refused("not_found", entity="customer")


async def _is_done(settling: Settling, cid: str, members: Sequence[str], decision: str) -> bool:
    """Whether this very decision was taken before; `Refused("idempotency_reused")` for another one."""
    known = (await settling.writer.entries({cid})).get(cid)
    if known is None:
        return False
    change = decoded(known)
    if change is None or change.entity != IDENTITY.name:
        raise Refused("idempotency_reused")
    said = {path: written.value for path, written in change.fields.items()}
    if said["decision"] != decision or not {said["one"], said["other"]}.issuperset(members):
        raise Refused("idempotency_reused")
    return True


def _further(cid: str, n: int) -> str:
    """The cid of the n-th change of a group whose first has this one."""
    return cid if n == 0 else blake2b(f"{cid} {n}".encode(), digest_size=16).hexdigest()


def _edge(row: Row) -> Edge:
    return Edge(row.values["one"], row.values["other"], row.values["decision"])


def _pair(row: Row) -> Pair:
    return row.values["one"], row.values["other"]


def _decision(row: Row) -> str | None:
    return row.values.get("decision")


# --- writing ----------------------------------------------------------------------------------------


def _said(
    settling: Settling,
    row: Row,
    pair: Pair,
    fields: Mapping[str, JSON],
    cid: str,
    actor: str | None = None,
) -> Change:
    """The change that says something of a pair, having seen all that was said before."""
    one, other = pair
    said = {path: Value(value, verified="verified") for path, value in fields.items()}
    return _change(settling, row, {"one": Value(one), "other": Value(other), **said}, cid, actor)


async def _link(settling: Settling, pair: Pair, active: bool, cid: str, actor: str | None) -> Change:
    key = ("link", link_id(*pair, "household"))
    row = (await settling.writer.rows([key]))[key]
    ends = {"from_customer": pair[0], "to_customer": pair[1], "kind": "household", "active": active}
    return _change(settling, row, {path: Value(value) for path, value in ends.items()}, cid, actor)


def _change(settling: Settling, row: Row, fields: dict[str, Value], cid: str, actor: str | None) -> Change:
    """A create also where the row exists, so that the same decision is always the same change."""
    registers = document.decode(row.documents)
    return Change(
        cid=cid,
        group=cid,
        op="create",
        entity=row.entity.name,
        id=row.id,
        fields=fields,
        seen={path: sorted(registers[path].values) for path in fields if path in registers},
        stated=Stated(settling.now_ms),
        schema=REGISTRY.version,
        actor=actor,
    )


async def _write(settling: Settling, drafted: Sequence[Change]) -> None:
    group = changes.grouped(drafted)
    await settling.load(group)  # before they are stamped: it tells the highest stamp
    group = settling.stamped(group)
    rulings = await settling.settle(group)
    for ruling in rulings:
        if ruling.verdict not in log.ACCEPTED:
            raise Refused(ruling.code or "change_malformed")
    for ruling, change in zip(rulings, group, strict=True):
        settling.log(ruling, changes.encode(change))
