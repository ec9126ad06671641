"""A client written from docs/PROTOCOL.md alone: JSON, hashes and dictionaries, nothing of the product.

It is as short as the protocol allows and keeps everything in memory; what a real client must keep durably
is what `kept` holds. `post(path, body, token)` sends bytes and returns (status, bytes), or raises
ConnectionError when no answer came.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any

JSON = Any
Post = Callable[[str, bytes, str | None], Any]


class Problem(Exception):
    """A refusal, as the server worded it."""

    def __init__(self, said: dict[str, JSON]) -> None:
        super().__init__(said["code"])
        self.code: str = said["code"]
        self.detail: dict[str, JSON] = said.get("detail", {})
        self.contact: dict[str, JSON] | None = said.get("contact")


def spelled(value: JSON) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def trail_start(incarnation: str) -> str:
    return blake2b(incarnation.encode(), digest_size=16).hexdigest()


def trail_next(trail: str, cid: str) -> str:
    return blake2b(bytes.fromhex(trail) + bytes.fromhex(cid), digest_size=16).hexdigest()


def digest(documents: Iterable[tuple[str, bytes]]) -> list[JSON]:
    """Of (entity, document) pairs: how many, and the exclusive or of their hashes."""
    count, total = 0, 0
    for entity, raw in documents:
        hashed = blake2b(raw, digest_size=16, person=entity.encode()[:16]).digest()
        count, total = count + 1, total ^ int.from_bytes(hashed, "big")
    return [count, f"{total:032x}"]


def row_id(ms: int, entropy: bytes) -> str:
    """UUIDv7 of RFC 9562: 48 bits of time, 74 of chance."""
    chance = int.from_bytes(entropy, "big")
    return _dashed(ms << 80 | 7 << 76 | (chance >> 62 & 0xFFF) << 64 | 2 << 62 | chance & ((1 << 62) - 1))


def link_id(from_customer: str, to_customer: str, kind: str) -> str:
    """UUIDv8: a hash of the parts, each behind its length."""
    hashed = blake2b(digest_size=16, person=b"regulars.link")
    for part in (from_customer, to_customer, kind):
        hashed.update(len(part.encode()).to_bytes(4, "big") + part.encode())
    bits = int.from_bytes(hashed.digest(), "big")
    return _dashed(bits & ~(0xF << 76) & ~(3 << 62) | 8 << 76 | 2 << 62)


def _dashed(bits: int) -> str:
    text = f"{bits:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


class Stranger:
    """One device. `kept` is all its durable state, so a copy of it is a copy of the device."""

    def __init__(
        self, post: Post, now_ms: Callable[[], int], random: Callable[[int], bytes], schema: int = 2
    ) -> None:
        self.post, self.now_ms, self.random, self.schema = post, now_ms, random, schema
        self.offset, self.rows_max = 0, 1_000
        self.kept: dict[str, JSON] = {
            "token": None,
            "cursor": None,
            "stage": [],
            "rows": {},  # scope -> {(entity, id): document}
            "acks": {},
            "stamp_max": 0,
            "last_stamp": 0,
            "incarnations": [],  # oldest first: {"id", "changes": [{cid, group, known, body, draft?}]}
            "gap": None,
        }
        self.verdicts: dict[str, dict[str, JSON]] = {}

    async def ask(self, path: str, said: dict[str, JSON]) -> tuple[dict[str, JSON], bytes]:
        begun = self.now_ms()
        status, raw = await self.post(f"/sync/v1/{path}", spelled(said), self.kept["token"])
        answer = json.loads(raw)
        contact = answer if status == 200 else answer.get("contact") or {}
        if "now" in contact:
            self.offset = contact["now"] - (begun + self.now_ms()) // 2
        if status != 200:
            raise Problem(answer)
        return answer, raw

    async def pair(self, code: str, name: str) -> dict[str, JSON]:
        answer, _ = await self.ask("pair", {"code": code, "name": name, "schema": self.schema})
        self.kept.update(token=answer["token"], device=answer["device"], unit=answer["unit"])
        return answer

    # --- reading ----------------------------------------------------------------------------------------

    def documents(self, entity: str, id: str) -> list[dict[str, JSON]]:
        """The documents of a row, one for each level held."""
        found = {
            scope.partition("/")[2]: rows[entity, id]
            for scope, rows in self.kept["rows"].items()
            if (entity, id) in rows
        }
        return [json.loads(raw) for raw in found.values()]

    def shown(self, entity: str, id: str) -> dict[str, JSON]:
        """The row as a person sees it: own changes that the rows do not hold yet laid over it."""
        values: dict[str, JSON] = {}
        for document in self.documents(entity, id):
            values |= {path: v for path, v in document.items() if path not in ("id", "v", "x", "s")}
        for change in self.own(entity, id):
            values |= {path: v["value"] for path, v in change["body"]["fields"].items()}
        return values

    def own(self, entity: str, id: str) -> list[dict[str, JSON]]:
        """Own changes of a row, beyond the acks that stand beside the rows."""
        return [
            change
            for life in self.kept["incarnations"]
            for n, change in enumerate(life["changes"], 1)
            if n > self.kept["acks"].get(life["id"], {"n": 0})["n"]
            and (change["body"]["entity"], change["body"]["id"]) == (entity, id)
        ]

    def seen(self, entity: str, id: str, path: str) -> list[str]:
        cids = {c["body"]["cid"] for c in self.own(entity, id) if path in c["body"]["fields"]}
        for document in self.documents(entity, id):
            if path in document:
                at, *beside = document.get("x", {}).get(path, [0])
                cids |= {document["v"][i][0] for i in (at, *(i for i, _ in beside))}
        return sorted(cids)

    # --- writing ----------------------------------------------------------------------------------------

    def write(self, *writes: tuple[str, str, str, dict[str, JSON]], replaces: str | None = None) -> list[str]:
        """One transaction of (op, entity, id, {path: value}); the cids of its changes."""
        if not self.kept["incarnations"]:
            self.draw()
        life, group, cids = self.kept["incarnations"][-1], None, []
        for op, entity, id, fields in writes:
            cid = self.random(16).hex()
            group = group or cid
            seen = {p: s for p in fields if (s := self.seen(entity, id, p))} if op == "edit" else {}
            body = {"cid": cid, "group": group, "size": len(writes), "op": op, "entity": entity, "id": id}
            body["fields"] = {path: {"value": value} for path, value in fields.items()}
            body |= {"seen": seen, "stated": {"at": self.now_ms()}, "schema": self.schema}
            if replaces:
                body["replaces"] = replaces
            life["changes"].append({"body": body, "known": self.kept["stamp_max"], "fixed": False})
            cids.append(cid)
        return cids

    def draw(self) -> dict[str, JSON]:
        self.kept["incarnations"].append({"id": self.random(8).hex(), "changes": []})
        return self.kept["incarnations"][-1]  # type: ignore[no-any-return]

    def fix(self, change: dict[str, JSON], server_now: int) -> None:
        """Give a draft its stamp, for ever."""
        body = change["body"]
        wall = min(body["stated"]["at"] + self.offset, server_now) * 1000
        stamp = max(wall, change["known"] + 1, self.kept["last_stamp"] + 1)
        self.kept["last_stamp"] = body["stamp"] = stamp
        body["stated"]["offset"] = self.offset
        change["fixed"] = True

    # --- a round ----------------------------------------------------------------------------------------

    async def sync(self) -> bool:
        """Pull, push, pull; whether every scope was proven equal. What the server refused is raised."""
        try:
            equal, contact = await self.pull()
        except Problem as problem:
            if problem.contact is not None:
                await self.push(problem.contact)
            if problem.code in ("device_revoked", "device_wipe"):
                await self.wipe(everything=problem.code == "device_wipe")
            raise
        return (await self.pull())[0] if await self.push(contact) else equal

    async def pull(self) -> tuple[bool, dict[str, JSON]]:
        while True:
            stage = self.kept["stage"]
            cursor = json.loads(stage[-1])["cursor"] if stage else self.kept["cursor"]
            said: dict[str, JSON] = {"schema": self.schema, "rows_max": self.rows_max}
            said["acked"] = {life["id"]: 0 for life in self.kept["incarnations"]}
            if cursor:
                said["cursor"] = cursor
            try:
                answer, raw = await self.ask("pull", said)
            except Problem as problem:
                if problem.code not in ("epoch_changed", "cursor_invalid"):
                    raise
                self.kept.update(cursor=None, stage=[])
                continue
            stage.append(raw)
            if answer["head"]:
                return self.apply(answer["head"]), {"now": answer["now"], "acks": answer["acks"]}

    def apply(self, head: dict[str, JSON]) -> bool:
        """In one transaction: rows, cursor, acks. False: they are not the server's, so all is pulled anew."""
        rows = self.kept["rows"] if self.kept["cursor"] else {}
        for raw in self.kept["stage"]:
            page = json.loads(raw)
            for part in page["pages"]:
                held = rows.setdefault(part["scope"], {})
                for document in part["rows"]:
                    held[part["entity"], document["id"]] = spelled(document)
                for id in part["left"]:
                    held.pop((part["entity"], id), None)
                for id in part.get("erased", []):
                    self.erase(id)
            for scope in page["dropped"]:
                rows.pop(scope, None)
            self.kept.update(cursor=page["cursor"], acks=page["acks"])
        self.kept.update(rows=rows, stage=[], stamp_max=head["stamp_max"])
        own = {scope: digest((e, raw) for (e, _), raw in held.items()) for scope, held in rows.items()}
        nothing = [0, "0" * 32]
        equal = all(own.get(s, nothing) == head["digests"].get(s, nothing) for s in own | head["digests"])
        if not equal:
            self.kept["cursor"] = None
        return equal

    def erase(self, id: str) -> None:
        """Let own changes about somebody who was erased say nothing any more."""
        for life in self.kept["incarnations"]:
            for change in life["changes"]:
                body = change["body"]
                if id in spelled(body).decode() and body["fields"]:
                    body.update(op="edit", entity="customer", id=id, fields={}, seen={})
                    body.pop("replaces", None)

    async def wipe(self, everything: bool) -> None:
        """Delete all that the server has, or all there is; then say so, and only then forget the token."""
        self.kept.update(rows={}, stage=[], cursor=None, acks={}, stamp_max=0)
        if everything:
            self.kept["incarnations"] = []
        await self.ask("wiped", {})
        self.kept["token"] = None

    async def push(self, contact: dict[str, JSON]) -> bool:
        """Send what is not acknowledged, oldest incarnation first; whether anything was sent."""
        acks, pushed, renewals = dict(contact["acks"]), False, 0
        for life in [life for life in self.kept["incarnations"] if not self.agrees(life, acks)]:
            self.renew(life, 1)
        while True:
            for life in self.kept["incarnations"]:
                done = acks.get(life["id"], {"n": 0})["n"]
                if batch := life["changes"][done : done + 2_000]:
                    break
            else:
                return pushed
            while batch[0]["body"]["group"] != batch[-1]["body"]["group"] and (
                sum(c["body"]["group"] == batch[-1]["body"]["group"] for c in batch)
                < batch[-1]["body"]["size"]
            ):
                batch.pop()  # an incomplete last group waits for the next push
            for change in batch:
                if not change["fixed"]:
                    self.fix(change, contact["now"])
            said = {"incarnation": life["id"], "n": done + 1, "schema": self.schema}
            said["changes"] = [change["body"] for change in batch]
            if self.kept["gap"]:
                said["gap"] = self.kept["gap"]
            try:
                answer, _ = await self.ask("push", said)
            except Problem as problem:
                if problem.code not in ("number_gap", "number_taken") or renewals > 3:
                    raise
                renewals += 1
                expect = problem.detail["expect"]
                if problem.code == "number_gap" and expect - 1 < len(life["changes"]):
                    acks[life["id"]] = {"n": expect - 1, "trail": problem.detail["trail"]}
                    if self.agrees(life, acks):
                        continue
                self.renew(life, expect)
                continue
            pushed, self.kept["gap"] = True, None
            acks[life["id"]] = answer["acked"]
            self.verdicts |= {verdict["cid"]: verdict for verdict in answer["verdicts"]}

    def agrees(self, life: dict[str, JSON], acks: dict[str, JSON]) -> bool:
        """Whether the server's number and trail are those of this very history."""
        ack = acks.get(life["id"])
        if ack is None or ack["n"] == 0:
            return True
        trail = trail_start(life["id"])
        for change in life["changes"][: ack["n"]]:
            trail = trail_next(trail, change["body"]["cid"])
        return ack["n"] <= len(life["changes"]) and bool(trail == ack["trail"])

    def renew(self, life: dict[str, JSON], first: int) -> None:
        """Number everything from `first` on anew, in an incarnation of its own."""
        if first - 1 > len(life["changes"]):
            self.kept["gap"] = {
                "incarnation": life["id"],
                "first": len(life["changes"]) + 1,
                "last": first - 1,
            }
        moved = life["changes"][first - 1 :]
        del life["changes"][first - 1 :]
        self.draw()["changes"] += moved

    def copied(self) -> Stranger:
        """A copy of the device, as a restored image of its disk would be."""
        twin = Stranger(self.post, self.now_ms, self.random, self.schema)
        twin.kept = copy.deepcopy(self.kept)
        return twin
