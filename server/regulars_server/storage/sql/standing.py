"""Where customers stand, in SQL: who is due, what is kept, what moved (`storage.standing`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import orjson

from regulars_schema.declare import JSON
from regulars_server.storage.sql import deeds
from regulars_server.storage.sql.dialect import Connection, Dialect
from regulars_server.storage.sql.snapshot import Snapshot
from regulars_server.storage.standing import (
    BUYING,
    EVERYBODY,
    HOPS,
    Checked,
    Concern,
    Counted,
    Due,
    Movement,
    Sweep,
    What,
)

_AMONG = "IN (SELECT value FROM json_each(?))"
_QUEUED = (
    "INSERT INTO recheck(row, due, seq, hops, held, worker) SELECT customer.row, {due}, {seq}, {hops}, 0, ''"
    " FROM customer WHERE {where} AND customer.document IS NOT NULL ON CONFLICT(row) DO UPDATE SET"
    " due=CASE WHEN recheck.due < excluded.due THEN recheck.due ELSE excluded.due END,"
    " seq=CASE WHEN recheck.seq > excluded.seq THEN recheck.seq ELSE excluded.seq END,"
    " hops=CASE WHEN recheck.due <= excluded.due AND recheck.hops > excluded.hops THEN recheck.hops"
    " ELSE excluded.hops END"
)
_OF_A_UNIT = (
    "EXISTS (WITH RECURSIVE above(id) AS (SELECT customer.home_unit"
    " UNION SELECT u.parent FROM unit u JOIN above a ON u.id=a.id)"
    " SELECT 1 FROM above a JOIN swept w ON w.what='unit' AND w.key=a.id WHERE w.seq > {seen})"
)
_CONCERNED: Mapping[str, str] = {
    "all": "EXISTS (SELECT 1 FROM swept w WHERE w.what='all' AND w.seq > {seen})",
    "buyers": "EXISTS (SELECT 1 FROM swept w WHERE w.what='buyers' AND w.seq > {seen}) AND EXISTS (SELECT 1"
    f" FROM deed d WHERE d.customer=customer.row AND d.kind IN {BUYING})",
    "product": "EXISTS (SELECT 1 FROM deed_line l JOIN swept w ON w.what='product' AND w.key=l.product"
    " WHERE l.customer=customer.row AND w.seq > {seen})",
    "unit": _OF_A_UNIT,
}
"""Of each concern which customers it is one of, of those who were looked at as of `seen`."""
_SEEN = "coalesce((SELECT r.seen FROM recheck r WHERE r.row=customer.row), -1)"
_LOOKED_AT = "EXISTS (SELECT 1 FROM recheck r WHERE r.row=customer.row AND r.held > 0)"


# --- reading ------------------------------------------------------------------------------------------------


def standings(of: Snapshot, customers: Collection[str]) -> dict[str, dict[str, dict[str, int]]]:
    sql = (
        "SELECT t.id, s.scheme, s.value, s.since FROM customer t CROSS JOIN standing s ON s.row=t.row"
        f" WHERE t.id {_AMONG} AND {of.reaching('customer')} ORDER BY t.id, s.scheme, s.value"
    )
    found: dict[str, dict[str, dict[str, int]]] = {}
    for id, scheme, value, since in of.rows(sql, of.dialect.list(customers)):
        found.setdefault(id, {}).setdefault(scheme, {})[value] = since
    return found


def memberships(of: Snapshot, customers: Collection[str]) -> dict[str, dict[str, int]]:
    sql = (
        "SELECT t.id, m.segment, m.since FROM customer t CROSS JOIN membership m ON m.row=t.row"
        f" WHERE t.id {_AMONG} AND {of.reaching('customer')} ORDER BY t.id, m.segment"
    )
    found: dict[str, dict[str, int]] = {}
    for id, segment, since in of.rows(sql, of.dialect.list(customers)):
        found.setdefault(id, {})[segment] = since
    return found


def movements(
    of: Snapshot,
    limit: int,
    before: int | None,
    customers: Collection[str] | None,
    what: What | None,
    key: str | None,
) -> list[Movement]:
    tests, given = [of.reaching("customer")], list[Any]()
    for test, value in (
        ("m.n < ?", before),
        (f"t.id {_AMONG}", None if customers is None else of.dialect.list(customers)),
        ("m.what = ?", what),
        ("m.key = ?", key),
    ):
        if value is not None:
            tests.append(test)
            given.append(value)
    sql = (
        "SELECT m.n, m.at_ms, t.id, m.what, m.key, m.was, m.became, m.reason FROM movement m"
        f" JOIN customer t ON t.row=m.row WHERE {' AND '.join(tests)} ORDER BY m.n DESC LIMIT ?"
    )
    return [
        Movement(*row[:-1], orjson.loads(row[-1]) if row[-1] else None)  # type: ignore[call-arg]
        for row in of.rows(sql, *given, limit)
    ]


def next_due(of: Snapshot) -> int | None:
    sql = (
        "SELECT min(CASE WHEN held > due THEN held ELSE due END) FROM"
        " (SELECT held, due FROM recheck WHERE due IS NOT NULL ORDER BY due LIMIT ?) AS first"
    )
    ((due,),) = of.rows(sql, _FIRST)
    return 0 if of.rows("SELECT 1 FROM sweep") else due


_FIRST = 10_000
"""Of so many who are due first it is looked when one is; more are never held at once."""


def sweep(of: Snapshot, now_ms: int) -> Sweep | None:
    ((total,),) = of.rows("SELECT count(*) FROM customer WHERE document IS NOT NULL")
    sql = "SELECT row, (SELECT min(is_whole) FROM swept) FROM sweep"
    found = [row if is_whole else 0 for row, is_whole in of.rows(sql)]
    sql = "SELECT count(*) FROM customer WHERE document IS NOT NULL AND row <= ?"
    reached = of.rows(sql, found[0])[0][0] if found else total
    ((waiting,),) = of.rows("SELECT count(*) FROM recheck WHERE due <= ?", now_ms)
    return Sweep(reached, total, waiting) if found or waiting else None


def unlooked(of: Snapshot, customers: Collection[str], now_ms: int) -> set[str]:
    sql = (
        f"SELECT t.id FROM customer t LEFT JOIN recheck r ON r.row=t.row WHERE t.id {_AMONG}"
        f" AND {of.reaching('customer')} AND (r.due <= ?"
        " OR coalesce(r.seen, -1) < (SELECT max(seq) FROM swept)"
        " AND t.row > (SELECT CASE WHEN (SELECT min(is_whole) FROM swept)=1 THEN row ELSE 0 END FROM sweep))"
    )
    return {id for (id,) in of.rows(sql, of.dialect.list(customers), now_ms)}


# --- writing ------------------------------------------------------------------------------------------------


def queue(
    connection: Connection,
    dialect: Dialect,
    terms: Mapping[str, int],
    due: set[str],
    facts: list[str],
    seq: int,
) -> None:
    """Within a commit: these customers are due, and all whom the families of these facts name."""
    wanted = set(due)
    if facts:
        wanted |= _families(connection, dialect, terms, facts)
    if wanted:
        sql = _QUEUED.format(due=0, seq="?", hops=HOPS, where=f"id {_AMONG}")
        connection.execute(sql, (seq, dialect.list(sorted(wanted))))


def _families(
    connection: Connection, dialect: Dialect, terms: Mapping[str, int], facts: list[str]
) -> set[str]:
    """Whom facts name that correct one of these, or are corrected by it, in however many steps."""
    tied = (
        "SELECT i.id FROM interaction i"
        f" WHERE i.supersedes IS NOT NULL AND (i.id {_AMONG} OR i.supersedes {_AMONG})"
    )
    ids = dialect.list(facts)
    starts = [id for (id,) in connection.execute(tied, (ids, ids))]
    if not starts:
        return set()
    sql = (
        "WITH RECURSIVE family(id) AS (SELECT value FROM json_each(?)"
        " UNION SELECT CASE WHEN i.id=f.id THEN i.supersedes ELSE i.id END FROM family f"
        " JOIN interaction i ON i.id=f.id OR i.supersedes=f.id WHERE i.supersedes IS NOT NULL)"
        " SELECT DISTINCT e.key FROM family f JOIN interaction i ON i.id=f.id"
        f" JOIN element e ON e.row=i.row AND e.field={terms['interaction.party']}"
    )
    return {id for (id,) in connection.execute(sql, (dialect.list(starts),))}


def sweep_for(connection: Connection, concerns: Collection[Concern], seq: int) -> None:
    """Within a commit: those whom these concern are due, by and by."""
    if not concerns:
        return
    connection.execute("INSERT INTO sweep VALUES(1, 0) ON CONFLICT DO NOTHING")
    sql = (
        "INSERT INTO swept SELECT ?, ?, ?, CASE WHEN row=0 THEN 1 ELSE 0 END FROM sweep WHERE one=1"
        " ON CONFLICT(what, key) DO UPDATE SET seq=excluded.seq, is_whole=excluded.is_whole"
    )
    connection.executemany(sql, [(*concern, seq) for concern in sorted(concerns)])


def forget(connection: Connection, row: int | None) -> None:
    """Within a commit: nothing is kept of a customer who was erased."""
    for table in ("recheck", "standing", "membership", "movement"):
        connection.execute(f"DELETE FROM {table} WHERE row=?", (row,))


def claim(
    connection: Connection, worker: str, now_ms: int, held_ms: int, limit: int, others: int | None
) -> list[Due]:
    sql = (
        "SELECT t.id, r.hops, r.seen, CASE WHEN r.seq <= r.seen AND r.due > 0 THEN r.due END, r.row"
        " FROM recheck r JOIN customer t ON t.row=r.row"
        " WHERE r.due <= ? AND r.held <= ? ORDER BY r.due, r.row LIMIT ?"
    )
    found = list(connection.execute(sql, (0, now_ms, limit)))
    found = found or list(connection.execute(sql, (now_ms, now_ms, limit if others is None else others)))
    taken = [(now_ms + held_ms, worker, row) for *_, row in found]
    connection.executemany("UPDATE recheck SET held=?, worker=? WHERE row=?", taken)
    return [Due(*due) for *due, _ in found]


def sweep_on(connection: Connection, now_ms: int, limit: int) -> bool:
    found = list(connection.execute("SELECT row FROM sweep"))
    if not found:
        return False
    ((reached,),) = found
    sql = "SELECT row FROM customer WHERE row > ? AND document IS NOT NULL ORDER BY row LIMIT ?"
    rows = [row for (row,) in connection.execute(sql, (reached, limit))]
    if not rows:
        return _begin_again(connection)
    for what, seq in list(connection.execute("SELECT what, max(seq) FROM swept GROUP BY what ORDER BY what")):
        concerned = _CONCERNED[what].format(seen=_SEEN)
        where = f"customer.row > ? AND customer.row <= ? AND ({concerned} OR {_LOOKED_AT})"
        hops = 0 if what == EVERYBODY.what else HOPS
        sql = _QUEUED.format(due="?", seq="?", hops=hops, where=where)
        connection.execute(sql, (now_ms, seq, reached, rows[-1]))
    connection.execute("UPDATE sweep SET row=?", (rows[-1],))
    return True


def _begin_again(connection: Connection) -> bool:
    """All were asked: what changed meanwhile is asked of those who came first too."""
    connection.execute("DELETE FROM swept WHERE is_whole=1")
    connection.execute("UPDATE swept SET is_whole=1")
    connection.execute("UPDATE sweep SET row=0")
    connection.execute("DELETE FROM sweep WHERE NOT EXISTS (SELECT 1 FROM swept)")
    return bool(list(connection.execute("SELECT 1 FROM sweep")))


def conclude(
    connection: Connection,
    dialect: Dialect,
    worker: str,
    seq: int,
    checked: Sequence[Checked],
    left: Collection[str],
) -> list[Movement]:
    many = connection.executemany
    ids = {id for one in checked for id in one.members} | set(left)
    sql = (
        "SELECT t.id, t.row, r.seq, r.held, r.worker FROM customer t LEFT JOIN recheck r ON r.row=t.row"
        f" WHERE t.id {_AMONG} AND t.document IS NOT NULL"
    )
    found = {id: (row, *state) for id, row, *state in connection.execute(sql, (dialect.list(sorted(ids)),))}
    rows = {id: row for id, (row, *_) in found.items()}
    given_back = {rows[id] for id in left if id in rows}
    kept: list[Checked] = []
    for one in checked:
        states = [found.get(id) for id in one.members]
        mine = [state for state in states if state and state[3] == worker]
        is_due_again = any(state and state[1] is not None and state[1] > seq for state in states)
        is_foreign = any(state is None or (state[3] not in (None, "", worker)) for state in states)
        if mine and not is_due_again and not is_foreign:
            kept.append(one)
        else:
            given_back |= {state[0] for state in mine}
    many(
        "UPDATE recheck SET held=0, worker='' WHERE row=? AND worker=?",
        [(row, worker) for row in sorted(given_back)],
    )
    many(
        "DELETE FROM standing WHERE row=? AND scheme=? AND value=?",
        [(rows[id], scheme, value) for one in kept for id, scheme, value in one.no_standing],
    )
    many(
        "DELETE FROM membership WHERE segment=? AND row=?",
        [(segment, rows[id]) for one in kept for id, segment in one.no_membership],
    )
    many(
        "INSERT INTO standing VALUES(?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [(rows[one.customer], *told) for one in kept for told in one.standing],
    )
    many(
        "INSERT INTO membership VALUES(?, ?, ?) ON CONFLICT DO NOTHING",
        [(segment, rows[one.customer], since) for one in kept for segment, since in one.membership],
    )
    facts: dict[int, Sequence[Counted]] = {rows[id]: () for one in kept for id in one.members}
    deeds.replace(connection, dialect, facts | {rows[one.customer]: one.counted for one in kept})
    many(
        "DELETE FROM recheck WHERE row=?",
        [(rows[id],) for one in kept for id in one.members if id != one.customer],
    )
    many(
        "INSERT INTO recheck VALUES(?, ?, ?, 0, ?, 0, '') ON CONFLICT(row) DO UPDATE SET due=excluded.due,"
        " hops=0, seen=excluded.seen, held=0, worker=''",
        [(rows[one.customer], one.due_ms, seq, seq) for one in kept],
    )
    for hops in sorted({one.hops for one in kept if one.others}):
        others = {id for one in kept if one.hops == hops for id in one.others}
        sql = _QUEUED.format(due=0, seq=seq, hops=hops, where=f"id {_AMONG}")
        connection.execute(sql, (dialect.list(sorted(others)),))
    return _numbered(connection, rows, [movement for one in kept for movement in one.movements])


def _numbered(connection: Connection, rows: Mapping[str, int], moved: Iterable[Movement]) -> list[Movement]:
    ((top,),) = connection.execute("SELECT coalesce(max(n), 0) FROM movement")
    told = [movement._replace(n=n) for n, movement in enumerate(moved, top + 1)]
    connection.executemany(
        "INSERT INTO movement VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
        [(m.n, m.at_ms, rows[m.customer], m.what, m.key, m.before, m.after, _said(m.reason)) for m in told],
    )
    return told


def _said(reason: JSON) -> str | None:
    return None if reason is None else orjson.dumps(reason).decode()
