"""What a released schema version left on record (tests/recorded), and playing it to the server of today.

The registries of other versions are derived here: the released one, and one that is still to come.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from regulars_schema.declare import Entity, Enum, Field, Label, Registry, Rule, Text
from regulars_schema.entities import ACQUISITION_CHANNEL, CHANNEL, OUTCOME, REGISTRY
from regulars_server import erasure
from regulars_server.app import DATABASE
from regulars_sync.digest import EMPTY, Digest, add, row_hash
from tests.support.chain import AppTransport, Chain, open_chain

RECORDED = Path(__file__).parents[1] / "recorded"
V1, V2 = RECORDED / "v1", RECORDED / "v2"

# --- other versions -----------------------------------------------------------------------------------


def as_of(version: int, registry: Registry = REGISTRY) -> Registry:
    """The declarations as an older version had them."""
    entities = tuple(
        dataclasses.replace(e, fields=tuple(f for f in e.fields if f.since <= version))
        for e in registry.entities
        if e.since <= version
    )
    return dataclasses.replace(registry, version=version, entities=entities)


def altered(registry: Registry, version: int, **alter: Callable[[Entity], Entity]) -> Registry:
    """A further version, in which some entities are declared otherwise."""
    entities = tuple(alter.get(e.name, lambda e: e)(e) for e in registry.entities)
    return dataclasses.replace(registry, version=version, entities=entities)


def with_fields(entity: Entity, *fields: Field, without: Iterable[str] = ()) -> Entity:
    gone = {*without, *(f.name for f in fields)}
    return dataclasses.replace(entity, fields=(*(f for f in entity.fields if f.name not in gone), *fields))


def split(enum: Enum, version: int, **stands: str | None) -> Enum:
    """The enum without these values, others standing for them; None where only a person can say."""
    values = {name: label for name, label in enum.values.items() if name not in stands}
    values |= {name: Label(name, name) for name in stands.values() if name is not None}
    return dataclasses.replace(enum, values=values, was={name: (version, to) for name, to in stands.items()})


def _customer(entity: Entity) -> Entity:
    old = entity.by_name
    return with_fields(
        entity,
        dataclasses.replace(old["notes"], name="remarks", was=(("notes", 4),)),
        dataclasses.replace(old["wechat"], name="wechats", rule=Rule.SET_ADD, was=(("wechat", 4),), since=4),
        dataclasses.replace(
            old["acquisition_channel"],
            type=split(ACQUISITION_CHANNEL, 4, hotline="phone_in", niche_media="social_media"),
        ),
        Field("language", Text(16), Label("语言", "Language"), required=True, since=4, given="zh"),
        without=("notes", "wechat"),
    )


def _interaction(entity: Entity) -> Entity:
    outcome = dataclasses.replace(entity.by_name["outcome"], type=split(OUTCOME, 4, no_answer=None))
    return with_fields(entity, outcome)


def _retiring(entity: Entity) -> Entity:
    return dataclasses.replace(with_fields(entity, without=["belief"]), retired={"belief": 4})


RENAMED = altered(REGISTRY, 4, customer=_customer, interaction=_interaction)
"""To come: a field renamed, two values of an enum become others, one can only be told by a person, a set
takes over from a single value, and a new field is required."""
RETIRED = altered(REGISTRY, 4, customer=_retiring)
"""To come: a field is gone and nothing stands for it."""


def _fourth(entity: Entity) -> Entity:
    old = entity.by_name
    channel = old["preferred_channel"]
    chat = split(CHANNEL, 4, sms="chat")
    chat = dataclasses.replace(chat, was={"sms": (4, "text"), "text": (5, "chat")})
    return with_fields(
        entity,
        dataclasses.replace(old["remarks"], name="comments", was=(("notes", 4), ("remarks", 5))),
        Field("notes", CHANNEL, Label("新", "Another field under a former name"), since=5),
        dataclasses.replace(channel, type=chat),
        without=["remarks"],
    )


FOURTH = altered(RENAMED, 5, customer=_fourth)
"""One further: what was renamed is renamed again, a value stands for one that stood for another, and a former
name means something else."""

# --- what is on record ----------------------------------------------------------------------------------


def unpack(name: str, to: Path, record: Path = V1) -> None:
    to.write_bytes(gzip.decompress((record / f"{name}.gz").read_bytes()))


def session(record: Path = V1) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What is said of the whole, and every line of the session in order."""
    said, *lines = [json.loads(line) for line in (record / "session.jsonl").read_bytes().splitlines()]
    return said, lines


@asynccontextmanager
async def recorded_chain(
    folder: Path, which: str, registry: Registry = REGISTRY, record: Path = V1
) -> AsyncIterator[Chain]:
    """The released server's chain at the `start` or the `end` of the session, opened by this server."""
    unpack(f"{which}.db", folder / DATABASE, record)
    said, lines = session(record)
    at = said["end"] if which == "end" else lines[0]["at"]
    async with open_chain(folder, registry=registry, now_ms=at, seed=99) as chain:
        yield chain


@dataclass
class Plain:
    """What any client keeps of the rows: their bytes by scope, and the digests counted from them."""

    scopes: dict[str, dict[tuple[str, str], bytes]] = field(default_factory=dict)

    def keep(self, page: bytes) -> None:
        for part in json.loads(page)["pages"]:
            held = self.scopes.setdefault(part["scope"], {})
            for row in part["rows"]:
                spelled = orjson.dumps(row)
                assert spelled in page  # the bytes as sent
                held[part["entity"], row["id"]] = spelled
            for id in part["left"]:
                held.pop((part["entity"], id), None)

    def differs(self, digests: dict[str, list[Any]]) -> list[str]:
        return [
            scope
            for scope in digests.keys() | self.scopes.keys()
            if Digest(*digests.get(scope, EMPTY))
            != add(EMPTY, (row_hash(e, raw) for (e, _), raw in self.scopes.get(scope, {}).items()))
        ]


@dataclass
class Replayed:
    """What today's server said to the released tablets."""

    verdicts: list[tuple[str, str, str | None]] = field(default_factory=list)
    """(cid, verdict, code), in the order of the pushes."""
    tablets: dict[str, Plain] = field(default_factory=dict)
    proofs: int = 0


async def replay(chain: Chain, twice: bool = False, record: Path = V1) -> Replayed:
    """Send what the released tablets sent, in order and at its time, with the cursors answered here.

    With `twice` every push is sent again at once, as after a lost answer: it is answered alike.
    """
    said, lines = session(record)
    done = Replayed()
    transport = AppTransport(chain.app, chain.service)
    cursors: dict[str | None, str | None] = {None: None}
    for line in lines:
        chain.clock.ms = line["at"]
        if line.get("head_office") == "erase":
            await erasure.erase(chain.service, line["customer"], "asked for it")
            continue
        if line["path"] == "/sync/v1/pair":
            continue
        request = dict(line["request"])
        if "cursor" in request:
            request["cursor"] = cursors[request["cursor"]]
        body = json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode()
        token = said["tokens"][line["tablet"]]
        status, raw = await transport.post(line["path"], body, token)
        assert status == line["status"], raw
        answer = json.loads(raw)
        if line["path"] == "/sync/v1/pull":
            cursors[line["answer"]["cursor"]] = answer["cursor"]
            plain = done.tablets.setdefault(line["tablet"], Plain())
            plain.keep(raw)
            if answer["head"]:
                assert plain.differs(answer["head"]["digests"]) == []
                done.proofs += 1
            continue
        assert answer["acked"] == line["answer"]["acked"]
        done.verdicts += [(v["cid"], v["verdict"], v.get("code")) for v in answer["verdicts"]]
        if twice:
            again = json.loads((await transport.post(line["path"], body, token))[1])
            assert again["verdicts"] == answer["verdicts"]
    await transport.close()
    return done
