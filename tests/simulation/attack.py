"""A device that lies: it is paired, and sends whatever may harm others or show what it must not see.

Each attack draws what it needs from the world, and must be answered as a stranger would be: without a
failure of the server, without a byte from beyond its scope. Whether anybody was harmed the oracle says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import orjson

from regulars_schema.entities import REGISTRY
from regulars_sync.changes import Change, Stated, Value, encode
from regulars_sync.ids import identity_id, uuid7
from tests.simulation.deeds import circle

if TYPE_CHECKING:
    from tests.simulation.world import World

YEARS_MS = 20 * 365 * 86_400_000
Request = tuple[str, bytes]


class Liar:
    """One paired device of the first branch, and what it has picked up."""

    def __init__(self, world: World, device: str, bearer: str) -> None:
        self.world = world
        self.device = device
        self.bearer = bearer
        self.incarnation = world.entropy(8).hex()
        self.n = 0

    def attack(self) -> str:
        world = self.world
        name = world.random.choice(sorted(ATTACKS))
        statuses = []
        for path, body in ATTACKS[name](self):
            status, answer = world.send(path, body, self.bearer)
            statuses.append(status)
            world.check(status != 500 or world.server.trouble.met, "the server failed", name, answer[:300])
            world.check_canaries(frozenset({0}), answer, "a liar is told of another branch's customer", name)
            if path.endswith("push") and status == 200:
                self.n = max(self.n, orjson.loads(answer)["acked"]["n"])
        world.faults[f"liar: {name}"] += 1
        return f"liar: {name} {statuses}"

    def change(self, entity: str, id: str, fields: dict[str, Any], op: str = "edit", **more: Any) -> Change:
        world = self.world
        cid = more.pop("cid", None) or world.entropy(16).hex()
        given: dict[str, Any] = {
            "cid": cid,
            "group": cid,
            "op": op,
            "entity": entity,
            "id": id,
            "fields": {path: Value(value) for path, value in fields.items()},
            "stamp": world.ms * 1000,
            "stated": Stated(world.ms),
            "schema": REGISTRY.version,
        }
        return Change(**{**given, **more})

    def push(self, *changes: Change, n: int | None = None, incarnation: str | None = None) -> Request:
        body = {
            "incarnation": incarnation or self.incarnation,
            "n": self.n + 1 if n is None else n,
            "schema": REGISTRY.version,
            "changes": [orjson.Fragment(encode(change)) for change in changes],
        }
        return "/sync/v1/push", orjson.dumps(body)

    def pull(self, **given: Any) -> Request:
        return "/sync/v1/pull", orjson.dumps({"schema": REGISTRY.version, "cursor": None, **given})

    def customer(self, home: int) -> str:
        """One that the server knows: the id of what was not sent yet can't be guessed."""
        known = {id for (id,) in self.world.log("SELECT id FROM customer WHERE document IS NOT NULL")}
        found = [id for id, at in self.world.customers.items() if at == home and id in known]
        return self.world.random.choice(found) if found else self.world.new_id()

    # --- attacks ----------------------------------------------------------------------------------

    def replays(self) -> Iterator[Request]:
        """Sends again what somebody else once sent."""
        kept = self.world.overheard
        if kept:
            yield self.world.random.choice(kept)

    def reuses_a_cid(self) -> Iterator[Request]:
        """Says something else under a change that is known."""
        rows = self.world.log("SELECT DISTINCT lower(hex(cid)) FROM log WHERE body IS NOT NULL ORDER BY 1")
        (cid,) = self.world.random.choice(rows)
        yield self.push(self.change("customer", self.customer(0), {"name": "liar"}, cid=cid))

    def guesses_ids(self) -> Iterator[Request]:
        """Writes to customers of another branch, and about them."""
        stranger = self.customer(1)
        yield self.push(self.change("customer", stranger, {"name": "liar"}))
        fact = {
            "kind": "visit",
            "at": "2026-11-22T10:00:00.000Z",
            "unit": self.world.units[0],
            "party": [{"customer": stranger, "role": "principal"}],
        }
        yield self.push(self.change("interaction", self.world.new_id(), fact, "create"))
        yield self.pull()

    def takes_a_known_id(self) -> Iterator[Request]:
        """Registers a customer under the id of another branch's."""
        fields = {"name": "liar", "kind": "person", "home_unit": self.world.units[0]}
        yield self.push(self.change("customer", self.customer(1), fields, "create"))

    def decides_who_is_who(self) -> Iterator[Request]:
        """Says that a customer of its branch is another branch's, in all the ways there are, and looks."""
        one, other = sorted((self.customer(0), self.customer(1)))
        pair = {"one": one, "other": other}
        proposed = {**pair, "decision": "proposed", "reason": "person"}
        for op, fields in (
            ("create", {**pair, "decision": "same"}),
            ("edit", {"decision": "same", "reason": "person"}),
            ("create", {**proposed, "suggests": "same"}),
            ("create", proposed),
        ):
            yield self.push(self.change("identity", identity_id(one, other), fields, op))
        yield self.pull()

    def comes_from_the_future(self) -> Iterator[Request]:
        """Stamps twenty years ahead, to win for ever and to poison every clock."""
        ahead = self.world.ms + YEARS_MS
        id = uuid7(ahead, self.world.entropy(10))
        fields = {"name": "liar", "kind": "person", "home_unit": self.world.units[0]}
        yield self.push(self.change("customer", id, fields, "create", stamp=ahead * 1000))
        known = self.customer(0)
        number = {"member_no": f"{circle(self.world, known)}liar"}
        yield self.push(self.change("customer", known, number, stamp=2**62))

    def claims_another_history(self) -> Iterator[Request]:
        """Goes on with another device's incarnation."""
        rows = self.world.log("SELECT id, n FROM incarnation WHERE device <> ? ORDER BY id", self.device)
        if rows:
            incarnation, n = self.world.random.choice(rows)
            edit = self.change("customer", self.customer(0), {"name": "liar"})
            yield self.push(edit, n=n + 1, incarnation=incarnation)
            yield self.pull(acked={incarnation: n})

    def breaks_a_group(self) -> Iterator[Request]:
        """Says that a transaction has two thousand changes, and sends one, twice over."""
        group = self.world.entropy(16).hex()
        for _ in range(2):
            edit = self.change("customer", self.customer(0), {"name": "liar"}, group=group, size=2_000)
            other = self.change("customer", self.customer(0), {"notes": "liar"})
            yield self.push(edit, other)

    def counts_wrong(self) -> Iterator[Request]:
        edit = self.change("customer", self.customer(0), {"name": "liar"})
        for n in (self.n + 7, 0, -1, 2**40):
            yield self.push(edit, n=n)

    def forges_a_cursor(self) -> Iterator[Request]:
        """Changes bytes of its own cursor, and asks with what is none."""
        status, answer = self.world.send(*self.pull(), self.bearer)
        if status == 200:
            cursor = orjson.loads(answer)["cursor"]
            at = self.world.random.randrange(len(cursor))
            yield self.pull(cursor=cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :])
            yield self.pull(cursor=cursor[:at])
        yield self.pull(cursor="{}")

    def stops_halfway(self) -> Iterator[Request]:
        """Truncated JSON, and JSON that is something else."""
        path, body = self.push(self.change("customer", self.customer(0), {"name": "liar"}))
        yield path, body[: self.world.random.randrange(len(body))]
        yield path, b"[" * 500
        yield "/sync/v1/pull", b'{"schema": "x"}'

    def holds_half_a_character(self) -> Iterator[Request]:
        path, body = self.push(self.change("customer", self.customer(0), {"name": "liar"}))
        yield path, body.replace(b'"liar"', b'"\\ud83d"')


ATTACKS: dict[str, Callable[[Liar], Iterator[Request]]] = {
    attack.__name__.replace("_", " "): attack
    for attack in (
        Liar.replays,
        Liar.reuses_a_cid,
        Liar.guesses_ids,
        Liar.takes_a_known_id,
        Liar.decides_who_is_who,
        Liar.comes_from_the_future,
        Liar.claims_another_history,
        Liar.breaks_a_group,
        Liar.counts_wrong,
        Liar.forges_a_cursor,
        Liar.stops_halfway,
        Liar.holds_half_a_character,
    )
}
