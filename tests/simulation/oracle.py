"""What must be true of a chain at rest: every replica against the model, every write against the log."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import orjson

from regulars import Customer
from regulars.overlay import shown
from regulars_schema.declare import JSON, Entity, Level, Nature
from regulars_schema.entities import REGISTRY
from regulars_sync.document import decode, nested
from regulars_sync.history import Story, tell
from tests.simulation.by_hand import run
from tests.simulation.holding import Holding, Told
from tests.simulation.model import (
    Accepted,
    Cell,
    Cells,
    Key,
    Model,
    Together,
    Written,
    cells_of,
    field_of,
    read,
)
from tests.simulation.tablet import Tablet
from tests.simulation.world import World

ACCEPTED = {"applied", "merged"}
STORIES = 15
SAMPLED = 6
"""Of rows without own open changes, whose bytes were compared already, so many are read as a person does."""

PENDING = 2**62
"""The place of a stamp that is not fixed yet."""

Over = Mapping[Key, list[Accepted]]
"""Own open changes of a tablet, by the row that they are about."""

NOTHING: dict[str, Any] = {"op": "edit", "entity": "", "id": "", "fields": {}}
"""What can be read of bytes that are no change."""


Reach = Mapping[Key, AbstractSet[str] | None]
"""Row -> the units whose tablets hold it; None: all."""


class Log:
    """The change log as it stands at the end: each change as it came, and the last word on it."""

    def __init__(self, world: World) -> None:
        self.bodies: dict[str, dict[str, Any]] = {}
        self.copies: Counter[str] = Counter()
        self.first: dict[str, str] = {}
        self.verdict: dict[str, str] = {}
        self.code: dict[str, str | None] = {}
        self.closed: dict[str, bool] = {}
        self.stamp: dict[str, int] = {}
        self.group: dict[str, str] = {}
        self.device: dict[str, str | None] = {}
        self.replaces: dict[str, str] = {}
        self.told: list[Told] = []
        for (
            pos,
            at_ms,
            id,
            detail,
            cid,
            grp,
            verdict,
            code,
            closed,
            stamp,
            body,
            device,
            replaces,
        ) in world.log(
            "SELECT pos, at_ms, id, detail, lower(hex(cid)), lower(hex(coalesce(grp, cid))), verdict, code, "
            "closed, stamp, body, device, lower(hex(replaces)) FROM log ORDER BY pos"
        ):
            self.told += [Told(ms) for before, ms in world.aged if before == pos - 1]
            if body is not None:
                self.copies[cid] += 1
                self.bodies[cid] = NOTHING if code == "change_malformed" else orjson.loads(body)
                self.group[cid], self.device[cid] = grp, device
                if replaces:
                    self.replaces[cid] = replaces
            was_accepted = self.verdict.get(cid) in ACCEPTED
            self.first.setdefault(cid, verdict)
            self.verdict[cid], self.code[cid] = verdict, code
            self.closed[cid], self.stamp[cid] = bool(closed), stamp
            if code == "looked_up" and id:
                unit = orjson.loads(detail)["unit"]
                self.told.append(Told(at_ms, device=device, looked_up=(id, unit)))
            elif verdict in ACCEPTED and not was_accepted and self.bodies.get(cid, NOTHING)["fields"]:
                self._accept(world, cid, at_ms)
        self.told += [Told(ms) for before, ms in world.aged if before >= (pos if self.first else 0)]

    def _accept(self, world: World, cid: str, at_ms: int) -> None:
        """In its admitted form: a create without a home takes its tablet's unit, as it is at that moment."""
        body = self.bodies[cid]
        device = self.device[cid] or self.device.get(self.replaces.get(cid, ""))
        is_new = body["op"] == "create" and body["entity"] == "customer"
        if is_new and "home_unit" not in body["fields"] and device is not None:
            devices = [told for told in self.told if told.change and told.change.key[0] == "device"]
            unit = Holding.of(REGISTRY, devices, world.paired)
            home = {"home_unit": {"value": unit.unit_of(device)}}
            body = {**body, "fields": {**body["fields"], **home}}
        is_freed = self.device[cid] is None or self.group[cid] in world.freed
        self.told.append(Told(at_ms, Accepted(cid, self.stamp[cid], body), device, is_freed))

    def accepted(self) -> list[Accepted]:
        return [told.change for told in self.told if told.change is not None]

    def is_open(self, cid: str) -> bool:
        return self.verdict[cid] not in ACCEPTED and not self.closed[cid]


def examine(world: World) -> None:
    """Raise `Failure` at the first law that does not hold."""
    log = Log(world)
    model = Model.of(REGISTRY, log.accepted())
    holding = Holding.of(REGISTRY, log.told, world.paired)
    together = holding.clusters()
    customers = {id: holding.units(id, together) for entity, id in model.rows if entity == "customer"}
    run(world.server.storage.verify_log())
    _writes(world, log)
    _groups(world, log)
    _stamps(world, log, model)
    stored = _rows(world, model)
    _stories(world, stored)
    reach = {key: model.units(key, customers, together) for key in stored}
    counting = model.counting(key for key in model.rows if key[0] == "interaction")
    for key, raw in _baselines(world).items():
        stored[key] = {Level.INTERNAL: raw}
        reach[key] = customers.get(key[1], set())
    _merged(world, together)
    _nothing_waits_in_vain(world)
    for tablet in world.tablets.values():
        _canaries(world, tablet)
        if not tablet.revoked:
            _replica(world, tablet, holding, reach, stored)
            _counting(world, tablet, model, counting)
            _verdicts(world, tablet, log)
            over = _overlay(world, tablet, log, model)
            _persons(world, tablet, model, over, together)
        incarnations = tablet.outbox("SELECT id FROM incarnation")
        world.check(len(incarnations) < 40, "incarnations without end", tablet.index, len(incarnations))
    _count(world, log, model, together)


def _writes(world: World, log: Log) -> None:
    """Every write that the SDK acknowledged is in the log exactly once, whatever was said of it."""
    for cid, copies in log.copies.items():
        world.check(copies == 1, "a change is logged twice", cid)
    for tablet in world.tablets.values():
        kept = {cid for (cid,) in tablet.outbox("SELECT cid FROM change")}
        missing = (set(tablet.wrote) - world.lost | kept) - log.bodies.keys()
        world.check(not missing, "an acknowledged write is not in the log", tablet.index, missing)


def _groups(world: World, log: Log) -> None:
    """All of a transaction was accepted (or given up, or mended), or none of it."""
    members: dict[str, list[str]] = defaultdict(list)
    for cid, group in log.group.items():
        members[group].append(cid)
    for group, cids in members.items():
        is_open = {log.is_open(cid) for cid in cids}
        said = [(cid[:6], log.verdict[cid], log.code[cid], log.closed[cid]) for cid in cids]
        world.check(len(is_open) == 1, "half a group", group, said)


def _stamps(world: World, log: Log, model: Model) -> None:
    """A change stands above everything that its writer had seen, and no clock poisons the others'.

    A copied or restored tablet does not know the stamp that its other self gave to a draft of its own; where
    the server was restored too, others may have seen either stamp.
    """
    copied = world.faults["tablet cloned"] + world.faults["tablet restored"]
    either = bool(copied and world.faults["server restored"])
    for changes in model.changes.values():
        by_cid = {change.cid: change for change in changes}
        for change in changes:
            for path in change.fields:
                for cid in change.seen(path) & by_cid.keys():
                    own = bool(copied) and log.device[cid] in {log.device[change.cid]} - {None}
                    is_above = by_cid[cid].stamp < change.stamp or either or own
                    world.check(is_above, "a stamp below what it saw", change.cid)
    newest = max((change.stamp for changes in model.changes.values() for change in changes), default=0)
    world.check(newest < (world.ms + 600_000) * 1000, "stamps run ahead of the server's clock", newest)


def _rows(world: World, model: Model) -> dict[Key, dict[str, bytes]]:
    """The server's rows are the model's, field by field, with what stands beside and what is kept."""
    stored: dict[Key, dict[str, bytes]] = defaultdict(dict)
    for entity in REGISTRY.entities:
        if entity.nature is Nature.DERIVED:
            continue
        sql = f"SELECT id, document FROM {entity.name} WHERE document IS NOT NULL"
        for id, raw in world.log(sql):
            stored[entity.name, id][Level.INTERNAL] = raw
        if Level.SENSITIVE in entity.levels:
            sql = f"SELECT t.id, s.document FROM {entity.name} t JOIN {entity.name}_sensitive s USING (row)"
            for id, raw in world.log(sql):
                stored[entity.name, id][Level.SENSITIVE] = raw
    world.check(
        stored.keys() == model.rows.keys(), "other rows than accepted", stored.keys() ^ model.rows.keys()
    )
    for key, documents in stored.items():
        cells = {path: cell for raw in documents.values() for path, cell in read(orjson.loads(raw)).items()}
        expected = model.rows[key]
        if REGISTRY.by_name[key[0]].nature is Nature.FACT:
            cells, expected = _values(cells), _values(expected)
        world.check(cells == expected, "a row differs from the model", key, _difference(cells, expected))
    return stored


def _baselines(world: World) -> dict[Key, bytes]:
    """What tablets are told of facts that they do not hold: with the customer, wherever that is."""
    sql = "SELECT id, document FROM baseline WHERE document IS NOT NULL"
    return {("baseline", id): raw for id, raw in world.log(sql)}


def _stories(world: World, stored: dict[Key, dict[str, bytes]]) -> None:
    """What the log tells of a row ends where the row stands; of those with values beside, and some others."""
    keys = sorted(stored)
    told = [key for key in keys if any(b'"x":' in raw for raw in stored[key].values())][:STORIES]
    told += keys[:: max(1, len(keys) // STORIES)]

    async def stories() -> list[Story]:
        async with world.server.storage.unscoped_reader() as reader:
            return [tell(REGISTRY.by_name[entity], await reader.history(entity, id)) for entity, id in told]

    for key, story in zip(told, run(stories()), strict=True):
        world.check(story.registers == decode(stored[key].values()), "a story ends elsewhere", key)


def _values(cells: Cells) -> Cells:
    """Of a fact only the values count: one change wrote them all."""
    return {path: Cell(Written("", 0, cell.shown.value)) for path, cell in cells.items() if cell.shown}


def _difference(one: Cells, two: Cells) -> list[Any]:
    def brief(cell: Cell | None) -> Any:
        if cell is None:
            return None
        shown, *beside = (w and (w.cid[:6], w.stamp, w.value) for w in (cell.shown, *cell.beside.values()))
        return shown, beside, [cid[:6] for cid in cell.kept]

    paths = sorted(path for path in one.keys() | two if one.get(path) != two.get(path))
    return [(path, brief(one.get(path)), brief(two.get(path))) for path in paths]


def _merged(world: World, together: Together) -> None:
    """Whom the server lists under which id is what the decisions say."""
    sql = "SELECT t.id, s.id FROM merged JOIN customer t USING (row) JOIN customer s ON s.row = survivor"
    listed = dict(world.log(sql))
    expected = {id: min(members) for id, members in together.items() if id != min(members)}
    world.check(listed == expected, "other survivors than decided", listed.items() ^ expected.items())


def _nothing_waits_in_vain(world: World) -> None:
    """What is held can't be accepted as it is: trying it once more changes nothing."""

    async def groups() -> list[str]:
        async with world.server.storage.unscoped_reader() as reader:
            return list(dict.fromkeys(entry.group for entry in await reader.open_entries(10_000)))

    for group in run(groups()):
        world.check(not run(world.server.admission.retry(group)), "a group waited in vain", group)


def _canaries(world: World, tablet: Tablet) -> None:
    """Not a byte of another branch in its files: rows, log of the database, free pages."""
    for path in tablet.files:
        for suffix in ("", "-wal"):
            file = path.with_name(path.name + suffix)
            if file.exists():
                law = "another branch's customer in a file"
                world.check_canaries(tablet.ever, file.read_bytes(), law, tablet.index, file.name)


def _replica(
    world: World, tablet: Tablet, holding: Holding, reach: Reach, stored: dict[Key, dict[str, bytes]]
) -> None:
    """It holds exactly the rows of its scopes, byte for byte, at the levels that it may read."""
    mine = holding.below({holding.unit_of(world.token_of(tablet).device)})
    wanted = {
        (*key, level): raw
        for key, documents in stored.items()
        if (units := reach[key]) is None or units & mine
        for level, raw in documents.items()
        if level == Level.INTERNAL or tablet.sensitive
    }
    held = {
        (entity, id, level): raw
        for entity, id, level, raw in tablet.rows("SELECT entity, id, level, document FROM row")
        if entity != "change_verdict"
    }
    world.check(held.keys() == wanted.keys(), "other rows than its scopes", held.keys() ^ wanted.keys())
    world.check(held == wanted, "other bytes than the server", tablet.index)
    world.check(tablet.is_indexed(), "an index that is not that of its rows", tablet.index)


def _counting(world: World, tablet: Tablet, model: Model, counting: set[str]) -> None:
    """Of the facts that it holds those count that do at head office: no more, no fewer."""
    held = set(tablet.rows("SELECT entity, id FROM row WHERE entity = 'interaction'"))
    here = {key: model.rows[key] for key in held if key in model.rows}
    alone = Model(model.registry, model.changes, here).counting(here)
    wrong = alone ^ {id for _, id in here if id in counting}
    world.check(not wrong, "a fact counts here and not at head office, or there alone", tablet.index, wrong)


def _verdicts(world: World, tablet: Tablet, log: Log) -> None:
    """It was told the last word on every change of its own that was ever held or rejected."""
    device = world.token_of(tablet).device
    told = {
        id: orjson.loads(raw)
        for id, raw in tablet.rows("SELECT id, document FROM row WHERE entity='change_verdict'")
    }
    for cid, of in log.device.items():
        if of != device or (log.first[cid] in ACCEPTED):
            continue
        said = told.pop(cid, None)
        expected = (log.verdict[cid], log.code[cid], log.closed[cid])
        if said is None and world.leapt_ms and not log.is_open(cid):
            continue  # it is final, and was told of for long enough
        got = said and (said["verdict"], said["code"], said["closed"])
        world.check(got == expected, "a tablet was not told the last word", tablet.index, cid, got, expected)
    world.check(not told.keys() & log.bodies.keys(), "told of changes that are not its own", told.keys())


def _overlay(world: World, tablet: Tablet, log: Log, model: Model) -> dict[Key, list[Accepted]]:
    """What it shows is the model within its reach, with its own open changes, the result, laid over.

    What was held under a device that the tablet was before is head office's alone.
    """
    device = world.token_of(tablet).device
    live = [
        (cid, orjson.loads(body))
        for cid, body in tablet.outbox("SELECT cid, body FROM change ORDER BY pos")
        if cid in log.bodies and log.is_open(cid) and log.device[cid] == device
    ]
    status = run(tablet.shop.status())
    shown_held = {held.cid for held in run(tablet.shop.held())}
    about = {cid[:6] for cid, _ in live} ^ {cid[:6] for cid in shown_held}
    world.check(
        not about and status.held == len(live), "other held changes than the log's", tablet.index, about
    )
    held = set(tablet.rows("SELECT DISTINCT entity, id FROM row"))
    replaced = {body.get("replaces") for _, body in live}
    over: dict[Key, list[Accepted]] = defaultdict(list)
    for cid, body in live:
        if cid not in replaced:
            over[body["entity"], body["id"]].append(Accepted(cid, body.get("stamp", PENDING), body))
    for entity in REGISTRY.entities:
        if entity.nature is Nature.DERIVED:
            continue
        ids = sorted({id for name, id in over if name == entity.name})
        plain = sorted({id for name, id in held - over.keys() if name == entity.name})
        ids += world.random.sample(plain, min(len(plain), SAMPLED))
        laid = run(tablet.shop._overlay.find(entity.name, ids))

        for id in ids:
            key = (entity.name, id)
            changes = _shown_changes(tablet, model, over, held, key)
            if changes is None:
                world.check(id not in laid, "shows a row that left", tablet.index, key)
                continue
            expected = _values_shown(entity, changes)
            got = shown(entity, laid[id]) if id in laid else None
            if got != (expected or None):
                mine = got or {}
                paths = [p for p in {*mine, *expected} if mine.get(p) != expected.get(p)]
                said = [(p, mine.get(p, "-"), expected.get(p, "-")) for p in paths]
                own = [(change.cid[:6], change.stamp) for change in over[key]]
                world.check(False, "shows something else", tablet.index, key, said, own)
    return over


def _shown_changes(
    tablet: Tablet, model: Model, over: Over, held: set[Key], key: Key
) -> list[Accepted] | None:
    """The changes that make what a tablet shows of a row; None where it shows none."""
    entity = REGISTRY.by_name[key[0]]

    def may_read(path: str) -> bool:
        return tablet.sensitive or field_of(entity, path).level is Level.INTERNAL

    def is_declared(path: str) -> bool:
        return path.partition("/")[0] in entity.by_name

    changes = [_with(change, is_declared) for change in over.get(key, ())]
    if key not in held and not any(change.body["op"] == "create" for change in changes):
        return None
    return [*(_with(change, may_read) for change in model.changes[key] if key in held), *changes]


def _values_shown(entity: Entity, changes: Iterable[Accepted]) -> dict[str, JSON]:
    cells = cells_of(entity, changes)
    return nested(entity, {path: cell.shown.value for path, cell in cells.items() if cell.shown})


def _persons(world: World, tablet: Tablet, model: Model, over: Over, together: Together) -> None:
    """One card for each person, whichever id it is asked for by: as if all had been written on one row."""
    customer = REGISTRY.by_name["customer"]
    held = set(tablet.rows("SELECT DISTINCT entity, id FROM row WHERE entity = 'customer'"))
    written: dict[str, list[Accepted]] = {}
    for key in sorted(held | {key for key in over if key[0] == "customer"}):
        changes = _shown_changes(tablet, model, over, held, key)
        if changes is not None and _values_shown(customer, changes):
            written[key[1]] = changes
    persons = {  # of a row that left, the tablet has but what it tried to write, and no decisions
        id: sorted(together.get(id, {id})) if ("customer", id) in held else [id] for id in written
    }
    for id, members in persons.items():
        world.check(members == [id] or written.keys() >= set(members), "part of a person", tablet.index, id)
    listed = run(tablet.shop.customers.list(limit=10_000, archived=True))
    survivors = sorted({members[0] for members in persons.values()})
    world.check(
        sorted(card.id for card in listed) == survivors, "a list of others than persons", tablet.index
    )
    merged = sorted(id for id, members in persons.items() if len(members) > 1)
    alone = sorted(persons.keys() - set(merged))
    for id in merged + world.random.sample(alone, min(len(alone), SAMPLED)):
        members = persons[id]
        card = run(tablet.shop.customers.get(id))
        into = None if id == members[0] else members[0]
        said = (card.members, card.merged_into)
        world.check(said == (tuple(members), into), "somebody else", tablet.index, id, said, members)
        values = _values_shown(customer, [change for member in members for change in written[member]])
        expected = Customer.of(id, values, card.state)
        world.check(card == expected, "another card than its person's", tablet.index, card, expected)
        world.sometimes["golden cards"] += len(members) > 1


def _with(change: Accepted, wanted: Callable[[str], bool]) -> Accepted:
    """The change with these of its fields only."""
    fields = {path: given for path, given in change.fields.items() if wanted(path)}
    return change._replace(body={**change.body, "fields": fields})


def _count(world: World, log: Log, model: Model, together: Together) -> None:
    """What came to pass, for the floor under a run's coverage."""
    some = world.sometimes
    for cid, verdict in log.verdict.items():
        if cid not in log.bodies:
            continue
        some["held, then accepted"] += log.first[cid] == "held" and verdict in ACCEPTED
        some["mends accepted"] += (
            verdict in ACCEPTED and cid in log.replaces and bool(log.bodies[cid]["fields"])
        )
        some["given up"] += log.code[cid] == "dropped"
        some["held for a revoked device"] += log.code[cid] == "device_revoked"
        some["held for a row that left"] += log.code[cid] == "scope_left"
        some["rejected"] += log.first[cid] == "rejected"
    sizes = Counter(log.group.values())
    some["groups accepted whole"] += sum(
        size > 1 and log.verdict[group] in ACCEPTED for group, size in sizes.items() if group in log.verdict
    )
    some["groups held whole"] += sum(
        size > 1 and group in log.verdict and log.is_open(group) for group, size in sizes.items()
    )
    for key, cells in model.rows.items():
        for path, cell in cells.items():
            some["values side by side"] += bool(cell.beside)
            some["seen cids kept"] += bool(cell.kept)
            if cell.beside:
                some[f"rule {field_of(REGISTRY.by_name[key[0]], path).rule}"] += 1
    people = set(together.values())
    some["persons of several cards"] += len(people)
    some["persons of two branches"] += sum(
        len({model.shown(("customer", id), "home_unit") for id in members}) > 1 for members in people
    )
    for cid, body in log.bodies.items():
        if body["entity"] == "identity":
            said = {path: given["value"] for path, given in body["fields"].items()}
            is_by_itself = said.get("reason") in {"verified_key", "equal_key"}
            some["merged by itself"] += is_by_itself and said.get("decision") == "same"
            some["decision reserved"] += log.code[cid] == "decision_reserved"
    ((torn,),) = world.log("SELECT count(*) FROM torn")
    some["contradictions at the end"] += torn
    some["households"] += sum(
        model.shown(key, "decision") == "household" for key in model.rows if key[0] == "identity"
    )
    some["facts that left the window"] += sum(
        model._is_before_edge(key) for key in model.rows if key[0] == "interaction"
    )
    dependents = {
        id
        for key in model.rows
        if key[0] in {"link", "interaction"}
        for id in (
            model.shown(key, "from_customer"),
            *(member.get("customer") for member in model.shown(key, "party") or []),
        )
    }
    for id, number in world.customers.items():
        home = model.shown(("customer", id), "home_unit")
        if home is not None and home != world.units[number]:
            some["customers moved"] += 1
            some["moved with dependents"] += id in dependents

    async def equal() -> int:
        async with world.server.storage.unscoped_reader() as reader:
            return len(await reader.equal_keys(1_000))

    some["duplicates found"] += run(equal())
    some["epochs changed"] += len(world.epochs) - 1
    some["incarnations renewed"] += sum(
        len(tablet.outbox("SELECT id FROM incarnation")) > 1 for tablet in world.tablets.values()
    )
