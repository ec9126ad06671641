"""The outbox file: every change made here, in order, until long after it was acknowledged.

A change is written as a draft. Right before it is sent first its stamp is fixed and its bytes never
change again. What is acknowledged is marked cleared and kept: a server that was restored to an older
state is offered it again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import orjson

from regulars.files import Connect, File, drop, is_damage, replace
from regulars.salvage import COLUMNS, Found, salvage
from regulars_sync import changes, clock, trail
from regulars_sync.changes import GROUP_BYTES_MAX, GROUP_CHANGES_MAX, Change, Stated
from regulars_sync.errors import LocalError, Refused
from regulars_sync.protocol import Acked, Contact, Gap, PushRequest

KIND = 0x52474F31
UNDATED = 1
"""`cleared` of what was acknowledged when nobody wrote down the time yet."""
BATCH_CHANGES = 500
BATCH_BYTES = 1024 * 1024
INCARNATION_BYTES = 8
CID_BYTES = 16

DDL = """
CREATE TABLE said (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE incarnation (
    id TEXT PRIMARY KEY, place INTEGER NOT NULL, n INTEGER NOT NULL, trail TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE change (
    pos INTEGER PRIMARY KEY, cid TEXT NOT NULL UNIQUE, incarnation TEXT NOT NULL, n INTEGER NOT NULL,
    trail TEXT NOT NULL, grp TEXT NOT NULL, entity TEXT NOT NULL, id TEXT NOT NULL, replaces TEXT,
    body BLOB NOT NULL, known INTEGER NOT NULL, fixed INTEGER NOT NULL DEFAULT 0,
    cleared INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX change_n ON change (incarnation, n);
CREATE INDEX change_live ON change (entity, id) WHERE cleared = 0
"""


class Live(NamedTuple):
    """A change of the outbox that may have to be laid over the server's rows."""

    cid: str
    incarnation: str
    n: int
    entity: str
    id: str
    replaces: str | None
    body: bytes

    @property
    def change(self) -> Change:
        return changes.decode(self.body)


def _emptied(change: Change, entity: str, id: str, pos: int) -> tuple[bytes, str, str, int]:
    """What is left of a change: that it was made, and of whom it was."""
    left = msgspec.structs.replace(change, op="edit", entity=entity, id=id, fields={}, seen={}, replaces=None)
    return changes.encode(left), entity, id, pos


_LIVE = "SELECT cid, incarnation, n, entity, id, replaces, body FROM change WHERE cleared = 0"


class Outbox:
    """What this replica has to say. Randomness enters by constructor."""

    def __init__(self, path: Path, entropy: Callable[[int], bytes], durable: bool = True) -> None:
        self.file = File(path, KIND, DDL, durable, self._load)
        self.facts: Mapping[str, Any] = {}
        """Who this device is: server, token, device, unit, chain, country. Every transaction keeps it so."""
        self._entropy = entropy
        self._told = 0
        """Up to which change, by place, another process's were asked for."""
        self._foreign = 0

    def _load(self, connection: sqlite3.Connection) -> None:
        self.facts = dict(connection.execute("SELECT name, value FROM said").fetchall())

    async def open(self, connect: Connect, is_ours: bool) -> None:
        """Open the file. Of one that is damaged, now or later, every readable change goes into a new one.

        `is_ours`: also one that is no database at all any more. `LocalError("outbox_lost")`: nothing can be
        read; the file is left as it is.
        """
        path = self.file.path
        fresh = path.with_name(f"{path.name}.salvaged")

        async def mend() -> None:
            await self.file.exchange(connect, partial(self._salvage, connect, fresh))

        self.file.mend = mend

        async def adopt() -> None:
            if fresh.exists() and not path.exists():
                fresh.replace(path)

        try:
            if fresh.exists() and not path.exists():  # mend() was cut off in its last step
                await self.file.exchange(connect, adopt)
            else:
                await self.file.open(connect)
        except LocalError as error:
            if not is_damage(error) or (error.code == "file_foreign" and not is_ours):
                raise
            await mend()

    async def _salvage(self, connect: Connect, fresh: Path) -> None:
        path = self.file.path
        drop(fresh)
        new = Outbox(fresh, self._entropy)
        await new.file.open(connect)
        worker = await connect(Path(":memory:"))
        try:
            await new.file.purge(lambda connection: None)  # its first page stands in the file itself then
            found = await worker.run(lambda _: salvage(path, fresh))
            if found.is_empty:
                raise LocalError("outbox_lost", file=path.name)
            await new.file.write(lambda connection: new._take_over(connection, found))
            await new.file.purge(lambda connection: None)
        finally:
            await worker.close()
            await new.file.close()
        replace(path, fresh)

    def _take_over(self, connection: sqlite3.Connection, found: Found) -> None:
        """Be the outbox of which this was found. What is not known to be acknowledged is numbered anew."""
        stamps = [changes.decode(row[9]).stamp or 0 for row in found.changes if row[11]]
        last = max([int(found.said.get("last_stamp") or 0), *stamps])
        marks = ", ".join("?" * len(COLUMNS.split(",")))
        connection.executemany(f"INSERT OR IGNORE INTO change ({COLUMNS}) VALUES ({marks})", found.changes)
        places = {id: (place, n) for id, place, n, _ in found.incarnations}
        for id in dict.fromkeys(row[2] for row in found.changes):
            places.setdefault(id, (max((place for place, _ in places.values()), default=0) + 1, 0))
        lost, moved = int(found.said.get("lost") or 0), []
        gap = found.said.get("gap")
        for id, (place, n) in places.items():
            rows = connection.execute(
                "SELECT n, trail, cleared, pos, cid FROM change WHERE incarnation = ? ORDER BY n", (id,)
            ).fetchall()
            kept = 0
            while kept < len(rows) and rows[kept][0] == kept + 1 and rows[kept][2]:
                kept += 1
            there = {row[0] for row in rows}
            missing = [number for number in range(1, max([n, *there], default=0) + 1) if number not in there]
            if missing:
                lost += len(missing)
                gap = msgspec.json.encode(Gap(id, missing[0], missing[-1]))
            moved += [(pos, cid) for _, _, _, pos, cid in rows[kept:]]
            mark = rows[kept - 1][1] if kept else trail.start(id)
            connection.execute("INSERT INTO incarnation VALUES (?, ?, ?, ?)", (id, place, kept, mark))
        facts = {**found.said, "last_stamp": last, "gap": gap, "lost": lost}
        connection.executemany("INSERT OR REPLACE INTO said VALUES (?, ?)", list(facts.items()))
        self._move(connection, sorted(moved))

    # --- what the replica knows of itself ------------------------------------------------------------

    async def said(self) -> Mapping[str, Any]:
        """`facts`, read anew."""
        await self.file.read(self._load)
        return self.facts

    async def say(self, facts: Mapping[str, str | int | None]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO said VALUES (?, ?)", list(facts.items()))
            self._load(connection)

        await self.file.write(work)

    async def enrol(self, facts: Mapping[str, str | int | None]) -> None:
        """Be this device from now on: everything kept is offered in an incarnation of its own.

        What the server has already it knows by cid. `Refused("chain_other")` when changes of another
        chain are kept.
        """

        def work(connection: sqlite3.Connection) -> None:
            rows = connection.execute("SELECT pos, cid FROM change ORDER BY pos").fetchall()
            chain = connection.execute("SELECT value FROM said WHERE name = 'chain'").fetchone()
            if rows and chain and chain[0] not in (None, facts["chain"]):
                raise Refused("chain_other")
            connection.executemany("INSERT OR REPLACE INTO said VALUES (?, ?)", list(facts.items()))
            connection.execute("DELETE FROM said WHERE name IN ('gap', 'wiped', 'refused', 'former_token')")
            connection.execute("DELETE FROM incarnation")
            self._move(connection, rows)
            self._load(connection)

        await self.file.write(work)

    # --- writing -------------------------------------------------------------------------------------

    async def append(self, group: Sequence[Change], known: int) -> None:
        """Keep one transaction's changes, durably; `LocalError("group_too_large")` over the limits.

        `known` is the highest accepted stamp that the replica held when they were written.
        """
        bodies = [changes.encode(change) for change in group]
        if len(group) > GROUP_CHANGES_MAX or sum(map(len, bodies)) + 64 * len(bodies) > GROUP_BYTES_MAX:
            limits = {"changes_max": GROUP_CHANGES_MAX, "bytes_max": GROUP_BYTES_MAX}
            raise LocalError("group_too_large", **limits)

        def work(connection: sqlite3.Connection) -> None:
            current, n, mark = self._current(connection)
            rows = []
            for change, body in zip(group, bodies, strict=True):
                n, mark = n + 1, trail.extend(mark, change.cid)
                rows.append(
                    (
                        change.cid,
                        current,
                        n,
                        mark,
                        change.group,
                        change.entity,
                        change.id,
                        change.replaces,
                        body,
                        known,
                    )
                )
            connection.executemany(
                "INSERT INTO change (cid, incarnation, n, trail, grp, entity, id, replaces, body, known) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            connection.execute("UPDATE incarnation SET n = ?, trail = ? WHERE id = ?", (n, mark, current))

        await self.file.write(work)

    def _current(self, connection: sqlite3.Connection) -> tuple[str, int, str]:
        """The newest incarnation, its last number and trail; the first one is drawn when there is none."""
        row = connection.execute(
            "SELECT id, n, trail FROM incarnation ORDER BY place DESC LIMIT 1"
        ).fetchone()
        return row or self._draw(connection)

    def _draw(self, connection: sqlite3.Connection) -> tuple[str, int, str]:
        drawn = self._entropy(INCARNATION_BYTES).hex()
        connection.execute(
            "INSERT INTO incarnation SELECT ?, coalesce(max(place), 0) + 1, 0, ? FROM incarnation",
            (drawn, trail.start(drawn)),
        )
        return drawn, 0, trail.start(drawn)

    # --- reading -------------------------------------------------------------------------------------

    async def live(self, entity: str | None = None, id: str | None = None) -> list[Live]:
        """Changes not yet cleared, in order; of one entity or one row when named."""
        narrowed = _LIVE + (" AND entity = ?" if entity else "") + (" AND id = ?" if id else "")
        given = tuple(part for part in (entity, id) if part)

        def work(connection: sqlite3.Connection) -> list[Live]:
            return [Live(*row) for row in connection.execute(f"{narrowed} ORDER BY pos", given)]

        return await self.file.read(work)

    async def incarnations(self) -> list[str]:
        return await self.file.read(
            lambda c: [id for (id,) in c.execute("SELECT id FROM incarnation ORDER BY place")]
        )

    async def foreign(self) -> list[Live]:
        """Changes made since this was last asked, own ones too; none when no other process wrote."""

        def work(connection: sqlite3.Connection) -> list[Live]:
            (last,) = connection.execute("SELECT coalesce(max(pos), 0) FROM change").fetchone()
            is_foreign, self._foreign = self._foreign != self.file.foreign, self.file.foreign
            since, self._told = self._told, last
            if not is_foreign:
                return []
            sql = _LIVE.replace("cleared = 0", "pos > ? ORDER BY pos")
            return [Live(*row) for row in connection.execute(sql, (since,))]

        return await self.file.read(work)

    # --- sending -------------------------------------------------------------------------------------

    async def outgoing(self, contact: Contact, offset_ms: int, schema: int) -> PushRequest | None:
        """The next changes to push, whole groups, their stamps fixed; None when all is acknowledged.

        A server's word about an incarnation that differs from its own trail means that this replica or
        the server was restored or cloned: what is not acknowledged gets a new incarnation first.
        """

        def work(connection: sqlite3.Connection) -> PushRequest | None:
            for id, n in self._beyond(connection, contact.acks):
                first, bodies = self._batch(connection, id, n)
                if bodies:
                    fixed = self._fix(connection, bodies, contact.now, offset_ms)
                    self._name_rest(connection, id, first, [changes.decode(body) for body in fixed])
                    gap = connection.execute("SELECT value FROM said WHERE name = 'gap'").fetchone()
                    return PushRequest(
                        incarnation=id,
                        n=first,
                        schema=schema,
                        changes=[msgspec.Raw(body) for body in fixed],
                        gap=msgspec.json.decode(gap[0], type=Gap) if gap and gap[0] else None,
                    )
            return None

        return await self.file.write(work)

    def _beyond(self, connection: sqlite3.Connection, acks: Mapping[str, Acked]) -> list[tuple[str, int]]:
        """Each incarnation, oldest first, and the number up to which it is acknowledged.

        Of one whose history is not the server's nobody can tell where they part: all of it is offered
        again under a new one, and the server knows what it has by cid. So is what was
        written since when a number of it is lost, which is named.
        """
        rows = connection.execute("SELECT id, n FROM incarnation ORDER BY place").fetchall()
        for id, n in rows:
            is_used = n > 0 or id == rows[-1][0]
            if is_used and id in acks and not self._agrees(connection, id, acks[id]):
                self._renumber(connection, id, 1)
        for id, written in rows:
            n = acks[id].n if id in acks else 0
            sql = "SELECT count(*), max(n) FROM change WHERE incarnation = ? AND n > ?"
            count, last = connection.execute(sql, (id, n)).fetchone()
            if count and count < max(last, written) - n:
                self._renumber(connection, id, n + 1)
        rows = connection.execute("SELECT id FROM incarnation ORDER BY place").fetchall()
        return [(id, acks[id].n if id in acks else 0) for (id,) in rows]

    def _agrees(self, connection: sqlite3.Connection, incarnation: str, ack: Acked) -> bool:
        """Whether the server's word is about this very history."""
        return ack.n == 0 or ack.trail == self._trail_at(connection, incarnation, ack.n)

    def _trail_at(self, connection: sqlite3.Connection, incarnation: str, n: int) -> str | None:
        row = connection.execute(
            "SELECT trail FROM change WHERE incarnation = ? AND n = ?", (incarnation, n)
        ).fetchone()
        return row[0] if row else None

    def _batch(
        self, connection: sqlite3.Connection, incarnation: str, n: int
    ) -> tuple[int, list[tuple[int, bytes, int, int]]]:
        """The first number beyond `n`, and (pos, body, known, fixed) from it on.

        Whole groups without a gap between, up to the size of one push.
        """
        rows = connection.execute(
            "SELECT pos, body, known, fixed, grp, n FROM change "
            "WHERE incarnation = ? AND n > ? ORDER BY n LIMIT ?",
            (incarnation, n, BATCH_CHANGES + GROUP_CHANGES_MAX),
        ).fetchall()
        taken: list[tuple[int, bytes, int, int]] = []
        weight, at = 0, 0
        while at < len(rows):
            end = at
            while end < len(rows) and rows[end][4] == rows[at][4]:
                end += 1
            group = rows[at:end]
            if group[-1][5] != rows[0][5] + end - 1:
                break
            weight += sum(len(row[1]) for row in group)
            if taken and (len(taken) + len(group) > BATCH_CHANGES or weight > BATCH_BYTES):
                break
            taken += [(row[0], row[1], row[2], row[3]) for row in group]
            at = end
        return rows[0][5] if rows else n + 1, taken

    def _name_rest(
        self, connection: sqlite3.Connection, incarnation: str, first: int, batch: Sequence[Change]
    ) -> None:
        """Of a last group of which some are lost, whoever knows: say that no more of it will come."""
        last = batch[-1]
        missing = last.size - sum(change.group == last.group for change in batch)
        n = first + len(batch) - 1
        if missing > 0:
            gap = msgspec.json.encode(Gap(incarnation, n + 1, n + missing))
            connection.execute("INSERT OR IGNORE INTO said VALUES ('gap', ?)", (gap,))

    def _fix(
        self,
        connection: sqlite3.Connection,
        rows: Sequence[tuple[int, bytes, int, int]],
        server_now_ms: int,
        offset_ms: int,
    ) -> list[bytes]:
        """The bytes to send; drafts get their stamps now, durably, in order."""
        row = connection.execute("SELECT value FROM said WHERE name = 'last_stamp'").fetchone()
        last = int(row[0]) if row else 0
        bodies: list[bytes] = []
        updates: list[tuple[bytes, int]] = []
        for pos, body, known, fixed in rows:
            if not fixed:
                draft = changes.decode(body)
                last = clock.fix(draft.stated.at, offset_ms, server_now_ms, known, last)
                stated = Stated(draft.stated.at, offset_ms)
                body = changes.encode(msgspec.structs.replace(draft, stamp=last, stated=stated))
                updates.append((body, pos))
            bodies.append(body)
        if updates:
            connection.executemany("UPDATE change SET body = ?, fixed = 1 WHERE pos = ?", updates)
            connection.execute("INSERT OR REPLACE INTO said VALUES ('last_stamp', ?)", (last,))
        return bodies

    # --- after a contact -------------------------------------------------------------------------------

    async def renew(self, incarnation: str, expect: int) -> None:
        """Take a new incarnation for everything from number `expect` on; name what is missing before it."""
        await self.file.write(lambda connection: self._renumber(connection, incarnation, expect))

    def _renumber(self, connection: sqlite3.Connection, incarnation: str, first: int) -> None:
        rows = connection.execute(
            "SELECT pos, cid, n FROM change WHERE incarnation = ? AND n >= ? ORDER BY n", (incarnation, first)
        ).fetchall()
        (written,) = connection.execute(
            "SELECT max(n) FROM incarnation WHERE id = ?", (incarnation,)
        ).fetchone() or (0,)
        numbers = [first - 1, *(n for _, _, n in rows)]
        lost = [
            (before + 1, n - 1)
            for before, n in pairwise([*numbers, max(numbers[-1], written or 0) + 1])
            if n > before + 1
        ]
        if lost:
            gap = msgspec.json.encode(Gap(incarnation, lost[0][0], lost[-1][1]))
            connection.execute("INSERT OR REPLACE INTO said VALUES ('gap', ?)", (gap,))
        self._move(connection, [(pos, cid) for pos, cid, _ in rows])
        kept = connection.execute(
            "SELECT n, trail FROM change WHERE incarnation = ? ORDER BY n DESC LIMIT 1", (incarnation,)
        ).fetchone() or (0, trail.start(incarnation))
        connection.execute("UPDATE incarnation SET n = ?, trail = ? WHERE id = ?", (*kept, incarnation))

    def _move(self, connection: sqlite3.Connection, rows: Sequence[tuple[int, str]]) -> None:
        """Give these changes (pos, cid) new numbers in a new incarnation."""
        drawn, n, mark = self._draw(connection)
        for pos, cid in rows:
            n, mark = n + 1, trail.extend(mark, cid)
            connection.execute(
                "UPDATE change SET incarnation = ?, n = ?, trail = ?, cleared = 0 WHERE pos = ?",
                (drawn, n, mark, pos),
            )
        connection.execute("UPDATE incarnation SET n = ?, trail = ? WHERE id = ?", (n, mark, drawn))

    async def clear(
        self, acks: Mapping[str, Acked], still_open: Iterable[str], now_ms: int, backup_ms: int
    ) -> None:
        """Mark what the replica's rows hold by now; unmark what the server lost, or holds again.

        What was acknowledged before the server's oldest backup, both by its clock, is dropped: a server
        that was restored has it. The newest of that stays, so that trails can still be compared.
        """
        waiting = orjson.dumps(list(still_open)).decode()
        is_waiting = "cid IN (SELECT value FROM json_each(?))"

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(f"UPDATE change SET cleared = 0 WHERE {is_waiting} AND cleared", (waiting,))
            for id, ack in acks.items():
                if not self._agrees(connection, id, ack):
                    continue
                connection.execute(
                    "UPDATE change SET cleared = 0 WHERE incarnation = ? AND n > ? AND cleared", (id, ack.n)
                )
                done = connection.execute(
                    "UPDATE change SET cleared = ? WHERE incarnation = ? AND n <= ? "
                    f"AND cleared <= {UNDATED} AND NOT {is_waiting}",
                    (now_ms, id, ack.n, waiting),
                )
                if done.rowcount:
                    connection.execute("DELETE FROM said WHERE name = 'gap'")
                old = "FROM change WHERE incarnation = ? AND cleared > 0 AND cleared < ?"
                connection.execute(
                    f"DELETE {old} AND n < (SELECT max(n) {old})", (id, backup_ms, id, backup_ms)
                )

        await self.file.write(work)

    async def erase(self, keys: Iterable[tuple[str, str]], cids: Iterable[str] = ()) -> None:
        """Let own changes about these erased rows, and these changes, say nothing any more; idempotent.

        That goes for what is acknowledged, for what names such a row, and for what corrects it. Numbers and
        trail stand; what is still to be sent is answered as being about somebody who was erased.
        """
        wanted, given = list(keys), list(cids)

        def find(connection: sqlite3.Connection) -> list[tuple[bytes, str, str, int]]:
            found: dict[int, Change] = {}
            about: dict[int, tuple[str, str]] = {}
            for key in wanted:
                texts = [key[1]]
                for text in texts:
                    sql = "SELECT pos, body FROM change WHERE instr(body, CAST(? AS BLOB))"
                    for pos, body in connection.execute(sql, (text,)):
                        change = changes.decode(body)
                        found[pos], about[pos] = change, key
                        if change.entity == "interaction" and change.id not in texts:
                            texts.append(change.id)
            for cid in given:
                for pos, body in connection.execute("SELECT pos, body FROM change WHERE cid = ?", (cid,)):
                    change = found.setdefault(pos, changes.decode(body))
                    about.setdefault(pos, (change.entity, change.id))
            return [_emptied(change, *about[pos], pos) for pos, change in found.items() if change.fields]

        if (wanted or given) and (emptied := await self.file.read(find)):
            sql = "UPDATE change SET body = ?, entity = ?, id = ?, replaces = NULL WHERE pos = ?"

            def work(connection: sqlite3.Connection) -> None:
                connection.executemany(sql, emptied)
                connection.execute("INSERT OR REPLACE INTO said VALUES ('purge', 1)")

            await self.file.write(work)
        await self._purge()

    async def _purge(self) -> None:
        """Leave no byte of what was emptied in the file or beside it; put off while somebody else reads."""
        if (await self.said()).get("purge"):
            with suppress(LocalError):
                await self.file.purge(lambda connection: None)
                await self.file.write(lambda c: c.execute("DELETE FROM said WHERE name = 'purge'"))

    async def wipe(self, acks: Mapping[str, Acked] | None) -> None:
        """Delete what the server has, so that not a byte of it is left; all without `acks`.

        Changes that nobody else has stay, and what is needed to tell the server.
        """

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO said VALUES ('wiped', 1)")
            if acks is None:
                connection.execute("DELETE FROM change")
                connection.execute("DELETE FROM incarnation")
                kept = ("url", "token", "wiped", "last_stamp")
                connection.execute(f"DELETE FROM said WHERE name NOT IN ({', '.join('?' * len(kept))})", kept)
                self._load(connection)
                return
            for id, ack in acks.items():
                if self._agrees(connection, id, ack):
                    connection.execute("DELETE FROM change WHERE incarnation = ? AND n <= ?", (id, ack.n))
            self._load(connection)

        await self.file.purge(work)
