"""What people do in a simulated chain. Each deed draws what it needs from the world and says what it did."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

import orjson
from msgspec.json import encode

from regulars.records import LinkKind
from regulars_sync.changes import Source, Value, Verified
from regulars_sync.clock import instant_of
from regulars_sync.errors import LocalError
from regulars_sync.ids import identity_id, link_id, made_id
from regulars_sync.protocol import LookupRequest
from tests.simulation.by_hand import run

if TYPE_CHECKING:
    from tests.simulation.tablet import Tablet
    from tests.simulation.world import World

PHONES = {
    "CN": [(f"138 0013 80{i:02}", f"+86 138-0013-80{i:02}") for i in range(12)],
    "SG": [(f"9123 45{i:02}", f"+65 9123 45{i:02}") for i in range(12)],
}
NAMES = ("林芳", "王伟", "Anna Tan", "陈静", "O'Neil", "刘洋", "Zoë")
LETTERS = str.maketrans("0123456789", "ghijklmnop")
"""For digits, as those are what a worn disk turns."""
TAGS = ("vip", "oak", "late payer", "new home")
TOLD = ("scheme", "scheme", "no scheme", "custom", "custom", "supplier", "consent", "task", "done")
SAID_OF_SCHEMES = {
    "tier": ("silver", "gold"),  # two words stand side by side
    "motive": ("quality", "cheap"),  # many at once
    "lifecycle": ("old", "loyal"),
}
FIELDS: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {
    "shoe": ({"type": "integer", "rule": "last_writer", "sensitivity": "internal"}, (38, 44)),
    "pets": ({"type": "text", "rule": "or_set", "sensitivity": "internal"}, ("cat", "dog")),
    "since": ({"type": "integer", "rule": "min", "sensitivity": "internal"}, (1999, 2011)),
    "bank": ({"type": "text", "rule": "review", "sensitivity": "sensitive"}, ("ICBC", "DBS")),
}
LINKS: tuple[LinkKind, ...] = ("family", "companion", "household")


# --- on a tablet --------------------------------------------------------------------------------


async def create(world: World, tablet: Tablet) -> str:
    id = tablet.shop.new_id()
    fields = new_card(world, tablet, id)
    await tablet.shop.write("customer", id, "create", fields)
    tablet.made.append(id)
    return f"customer {id[-5:]}"


def new_card(world: World, tablet: Tablet, id: str) -> dict[str, Any]:
    """The fields of a new customer, with a phone that others may have too."""
    rnd = world.random
    home = world.random.choice(sorted(tablet.units))
    country = tablet.shop.country or "CN"
    if rnd.random() < 0.25 or tablet.roams:  # what it has not sent yet comes from wherever it is by then
        world.movers.add(id)
    spelling = rnd.choice(rnd.choice(PHONES[country][id in world.movers :: 2]))
    digits = "".join(ch for ch in spelling if ch.isdecimal())
    prefix = {"CN": "86", "SG": "65"}[country]
    key = f"+{digits}" if spelling.startswith("+") else f"+{prefix}{digits}"
    world.customers[id] = home
    known_as = {f"external_ids/m:{id}": True} if id in world.movers else {}
    fields: dict[str, Any] = {
        **known_as,
        "name": rnd.choice(NAMES),
        "kind": "person",
        "home_unit": world.units[home],
        f"phones/{key}": spelling,
        "notes": text(world, id),
    }
    if rnd.random() < 0.2:
        fields["belief"] = text(world, id)
    return fields


def text(world: World, *ids: str) -> str:
    """A text about these customers, with their branch's canary when none of them can ever leave it."""
    drawn = f"{world.random.getrandbits(32):08x}".translate(LETTERS)
    homes = {world.customers.get(id) for id in ids}
    (home,) = homes if len(homes) == 1 else (None,)
    if home is None or world.movers.intersection(ids):
        return drawn
    world.about[drawn] = ids
    return canary(home) + drawn


def canary(number: int) -> str:
    """What stands in all that is about a branch's customers who can't move; the world's `CANARY` finds it."""
    return f"ca-{number}-"


def circle(world: World, id: str) -> str:
    """Among whom a customer may turn out to be somebody: a canary never travels with one who moves."""
    return "x" if id in world.movers else f"{world.customers.get(id)}-"


def some_fields(world: World, id: str, count: int) -> dict[str, Any]:
    rnd = world.random
    drawn = rnd.getrandbits(30)
    day = f"20{drawn % 20 + 10}-0{drawn % 9 + 1}-1{drawn % 9}"
    every: dict[str, Any] = {
        "name": f"{rnd.choice(NAMES)} {drawn % 97}",
        "notes": text(world, id),
        "address": text(world, id),
        "wechat": f"w{drawn % 1000}",
        "gender": rnd.choice(("female", "male", "other", None)),
        "birth": {"month": drawn % 12 + 1, "day": drawn % 28 + 1},
        "member_no": f"m{circle(world, id)}{drawn % 40}",
        "trading_since": rnd.choice((day, day, None)),
        "first_seen": f"{day}T10:00:00.000Z",
        "consent_asked_at": rnd.choice((f"{day}T10:00:00.000Z", None)),
        "privacy_notice": rnd.choice(("not_shown", "shown", "accepted", None)),
        "preferred_channel": rnd.choice(("phone", "sms", "wechat")),
        "income_band": rnd.choice(("low", "middle", "high")),
        "belief": text(world, id),
        "credit_status": rnd.choice(("good", "watch")),
        "tax_no": f"t{drawn % 50}",
        "acquisition_channel": rnd.choice(("hotline", "event")),
    }
    return {name: every[name] for name in rnd.sample(sorted(every), count)}


def any_customer(world: World, tablet: Tablet) -> str:
    """One of its customers, the first ones more often, so that tablets meet."""
    held = tablet.customers()
    if not held:
        return world.new_id()
    rnd = world.random
    return rnd.choice(held[:4]) if rnd.random() < 0.4 else rnd.choice(held)


async def edit(world: World, tablet: Tablet) -> str:
    id = any_customer(world, tablet)
    fields = some_fields(world, id, world.random.choice((1, 1, 2, 3)))
    verified: Verified | None = "verified" if world.random.random() < 0.25 else None
    await tablet.shop.write("customer", id, "edit", fields, verified=verified)
    return f"customer {id[-5:]}: {sorted(fields)}"


async def same(world: World, tablet: Tablet) -> str:
    """Everybody's favourite field of the chain's first customers."""
    held = sorted(tablet.customers())[:3] or [world.new_id()]
    id = world.random.choice(held)
    fields = ("preferred_channel", "notes", "privacy_notice", "trading_since", "member_no")
    field = world.random.choice(fields)
    every = some_fields(world, id, 17)
    await tablet.shop.write("customer", id, "edit", {field: every[field]})
    return f"customer {id[-5:]}: {field}"


async def twice(world: World, tablet: Tablet) -> str:
    world.faults["edited twice before a sync"] += 1
    id = any_customer(world, tablet)
    for _ in range(2):
        await tablet.shop.write("customer", id, "edit", {"notes": text(world, id), "archived": False})
    return f"customer {id[-5:]}, twice"


async def set_(world: World, tablet: Tablet) -> str:
    rnd = world.random
    id = any_customer(world, tablet)
    path = rnd.choice(
        [f"tags/{rnd.choice(TAGS)}", f"hobbies/{rnd.choice(TAGS)}", f"segments/{rnd.choice(world.segments)}"]
        + [f"contact_by/{rnd.choice(('phone', 'sms'))}"] * 2
    )
    present = rnd.random() < 0.6
    await tablet.shop.write("customer", id, "edit", {path: present})
    return f"customer {id[-5:]}: {path} {present}"


async def archive(world: World, tablet: Tablet) -> str:
    id = any_customer(world, tablet)
    archived = world.random.random() < 0.5
    await tablet.shop.write("customer", id, "edit", {"archived": archived})
    return f"customer {id[-5:]}: archived {archived}"


async def link(world: World, tablet: Tablet) -> str:
    rnd = world.random
    one, two = any_customer(world, tablet), any_customer(world, tablet)
    kind = rnd.choice(LINKS)
    known = await tablet.shop.links.of(one)
    if known and rnd.random() < 0.4:
        await tablet.shop.links.remove(known[0])
        return f"link {known[0].id[-5:]} removed"
    made = await tablet.shop.links.add(one, two, kind, text(world, one, two))
    return f"link {made.id[-5:]}"


async def record(world: World, tablet: Tablet) -> str:
    rnd = world.random
    party = [any_customer(world, tablet) for _ in range(rnd.choice((1, 1, 2)))]
    id = tablet.shop.new_id()
    await tablet.shop.write("interaction", id, "create", fact(world, tablet, party))
    return f"interaction {id[-5:]}"


def fact(world: World, tablet: Tablet, party: list[str]) -> dict[str, Any]:
    return {
        "kind": world.random.choice(("visit", "purchase", "call")),
        "at": instant_of(tablet.now_ms()),
        "unit": tablet.unit,
        "party": [{"customer": id, "role": "principal"} for id in dict.fromkeys(party)],
        "note": text(world, *party),
    }


async def tell(world: World, tablet: Tablet) -> str:
    """What is kept of a customer beside the card; whoever says it of the same thing makes the same row."""
    shop, rnd, held = tablet.shop, world.random, tablet.customers()
    if "assignment" not in tablet.registry.by_name or not held:
        return "nobody to tell of"
    id = rnd.choice(held[:4])
    said: str = rnd.choice(TOLD)
    try:
        match said:
            case "scheme":
                scheme = rnd.choice(sorted(SAID_OF_SCHEMES))
                value = rnd.choice(SAID_OF_SCHEMES[scheme])
                await shop.customers.assign(id, scheme, value, reason=text(world, id))
            case "no scheme":
                await shop.customers.unassign(id, rnd.choice(sorted(SAID_OF_SCHEMES)))
            case "custom":
                key = rnd.choice(sorted(FIELDS))
                source: Source = rnd.choice(("staff_visit", "self_form"))
                await shop.customers.set_custom(id, key, rnd.choice(FIELDS[key][1]), source)
            case "supplier":
                note = text(world, id)
                name = rnd.choice(("Oak & Co", "Elm"))
                await shop.suppliers.set(id, name, satisfaction=rnd.randint(1, 5), note=note)
            case "consent":
                proof = text(world, id)
                await shop.consents.record(id, "marketing", rnd.random() < 0.6, channel="phone", proof=proof)
            case "task":
                await shop.tasks.save(id, "call", rnd.choice(("birthday", "lamp")), note=text(world, id))
            case "done":
                if tasks := await shop.tasks.of(id):
                    await shop.tasks.done(
                        rnd.choice(tasks), status=rnd.choice(("done", "skipped", "cancelled"))
                    )
    except LocalError as error:
        world.sometimes["refused on the tablet"] += 1
        return f"{said} of {id[-5:]}: {error.code}"
    world.sometimes[f"told: {said}"] += 1
    return f"{said} of {id[-5:]}"


async def amend(world: World, tablet: Tablet) -> str:
    """Correct or void a fact."""
    found = await tablet.shop.interactions.of(any_customer(world, tablet))
    if not found:
        return "nothing to amend"
    fact = world.random.choice(list(found))
    if world.random.random() < 0.5:
        made = await tablet.shop.interactions.correct(fact, stage_reached=world.random.randint(1, 8))
    else:
        made = await tablet.shop.interactions.void(fact)
    return f"interaction {made.id[-5:]} for {fact.id[-5:]}"


async def early(world: World, tablet: Tablet) -> str:
    """A fact about a customer whom a colleague registered and this tablet has not got yet, or never will."""
    held = set(tablet.customers())
    known = [id for id in world.customers if id not in held] or [world.new_id()]
    customer = world.random.choice(known[-6:])
    id = tablet.shop.new_id()
    fields = {**fact(world, tablet, [customer]), "note": "heard of"}
    await tablet.shop.write("interaction", id, "create", fields)
    return f"interaction {id[-5:]} with {customer[-5:]}, not yet here"


async def group(world: World, tablet: Tablet) -> str:
    """A customer with the first visit, or a tag on several customers: all or nothing."""
    shop, rnd = tablet.shop, world.random
    tag = f"g-{rnd.getrandbits(40):010x}"
    if rnd.random() < 0.5:
        id, visit = shop.new_id(), shop.new_id()
        async with shop.transaction():
            await shop.write("customer", id, "create", {**new_card(world, tablet, id), f"tags/{tag}": True})
            world.groups[tag] = [id]
            await shop.write("interaction", visit, "create", fact(world, tablet, [id]))
            if rnd.random() < 0.5:
                await shop.write("customer", id, "edit", {"hobbies/tea": True})
        tablet.made.append(id)
        return f"customer {id[-5:]} with visit {visit[-5:]}"
    members = list(dict.fromkeys(any_customer(world, tablet) for _ in range(rnd.randint(2, 6))))
    world.groups[tag] = members
    async with shop.transaction():
        for id in members:
            await shop.write("customer", id, "edit", {f"tags/{tag}": True, **some_fields(world, id, 1)})
        if rnd.random() < 0.25:
            stranger = world.new_id()
            await shop.write("interaction", shop.new_id(), "create", fact(world, tablet, [stranger]))
    return f"{len(members)} customers get {tag}"


async def move(world: World, tablet: Tablet) -> str:
    movers = [id for id in tablet.customers() if id in world.movers]
    if not movers:
        return "nobody moves"
    id = world.random.choice(movers)
    number = world.random.randrange(len(world.units))
    await tablet.shop.write("customer", id, "edit", {"home_unit": world.units[number]})
    return f"customer {id[-5:]} to branch {number}"


async def lookup(world: World, tablet: Tablet) -> str:
    """Somebody else's customer stands in the shop: one who may move, as the others carry a canary."""
    held = set(tablet.customers())
    known = [id for id in sorted(world.movers) if id not in held]
    if not known or not tablet.shop._said.get("token") or tablet.fault:
        return "nobody is looked up"
    id = world.random.choice(known)
    request = LookupRequest("external_ids", f"m:{id}")
    status, _ = world.send("/sync/v1/lookup", encode(request), tablet.shop._said["token"])
    world.sometimes["looked up"] += status == 200
    return f"looks up {id[-5:]}: {status}"


async def propose(world: World, tablet: Tablet) -> str:
    """Two customers of a tablet may be one person; one whom it does not hold is none of its business."""
    if "identity" not in tablet.registry.by_name:
        return "a tool that can't propose"
    one, other = any_customer(world, tablet), any_customer(world, tablet)
    await tablet.shop.identities.propose(one, other)
    world.sometimes["proposed by a tablet"] += 1
    return f"{one[-5:]} and {other[-5:]} may be one"


async def decide(world: World, tablet: Tablet) -> str:
    """A tablet that says what is head office's to say, also of customers that it does not hold."""
    shop, rnd = tablet.shop, world.random
    if "identity" not in tablet.registry.by_name:
        return "a tool that can't decide"
    known = sorted(world.customers)
    one, other = sorted((any_customer(world, tablet), rnd.choice(known) if known else world.new_id()))
    said = {
        "decision": rnd.choice(("same", "not_same", "household")),
        "reason": rnd.choice(("person", "kept")),
    }
    op: Any = rnd.choice(("create", "edit"))
    fields: dict[str, Any] = {"one": one, "other": other, **said}
    values = {path: Value(value, verified="verified") for path, value in fields.items()}
    await shop._save([shop._draft("identity", identity_id(one, other), op, values, {}, None)])
    return f"decides: {one[-5:]} and {other[-5:]} {said['decision']}"


async def invalid(world: World, tablet: Tablet) -> str:
    """What the SDK would refuse, sent all the same; sometimes beside a good change in one transaction."""
    shop, rnd = tablet.shop, world.random
    id = any_customer(world, tablet)
    every: list[tuple[Any, str, str, dict[str, Any]]] = [
        ("edit", "customer", id, {"nickname": "x"}),
        ("edit", "customer", id, {"gender": "robot"}),
        ("edit", "customer", id, {"name": None}),
        ("create", "customer", world.new_id(), {"notes": text(world)}),  # whose home is where it is mended
        ("edit", "unit", world.units[0], {"name": "mine"}),
        ("edit", "interaction", world.new_id(), {"note": "changed"}),
        ("create", "link", world.new_id(), {"from_customer": id, "to_customer": id, "kind": "family"}),
        ("edit", "link", link_id(id, id, "family"), {"kind": "referrer"}),
        ("create", "customer", id, {"name": "again", "notes": text(world, id)}),
    ]
    bad = rnd.choice(every)
    given = [bad]
    if rnd.random() < 0.4:
        given.insert(rnd.randrange(2), ("edit", "customer", id, {"notes": text(world, id)}))
    drafted = [
        shop._draft(entity, at, op, {p: Value(v) for p, v in fields.items()}, {}, None)
        for op, entity, at, fields in given
    ]
    await shop._save(drafted)
    return f"{bad[0]} {bad[1]} {sorted(bad[3])} past the check"


async def mend(world: World, tablet: Tablet) -> str:
    """Mend or drop one of the changes that were refused."""
    shop, rnd = tablet.shop, world.random
    held = await shop.held()
    if not held:
        return "nothing is held"
    chosen = rnd.choice(held)
    entity = chosen.change.entity
    customers = tablet.customers()
    if rnd.random() < 0.4 or entity not in {"customer", "interaction"} or not customers:
        world.sometimes["dropped by the tablet"] += 1
        await shop.drop(chosen.cid)
        forget(world, chosen.id, chosen.change.fields)
        return f"drop {chosen.cid[:6]} ({chosen.code})"
    world.sometimes["mended by the tablet"] += 1
    if entity == "interaction":
        customer = rnd.choice(customers)
        party = [{"customer": customer, "role": "principal"}]
        await shop.mend(chosen.cid, party=party, note=text(world, customer))
    else:
        await shop.mend(chosen.cid, name=rnd.choice(NAMES))
    return f"mend {chosen.cid[:6]} ({chosen.code})"


def forget(world: World, id: str, paths: Iterable[str]) -> None:
    """A dropped change's transaction goes on without it."""
    for path in paths:
        if path.startswith("tags/g-"):
            world.groups[path[5:]] = [member for member in world.groups[path[5:]] if member != id]


TABLET_DEEDS: dict[str, Callable[[World, Tablet], Coroutine[Any, Any, str]]] = {
    "create": create,
    "edit": edit,
    "same": same,
    "twice": twice,
    "set": set_,
    "archive": archive,
    "link": link,
    "record": record,
    "tell": tell,
    "amend": amend,
    "early": early,
    "group": group,
    "move": move,
    "invalid": invalid,
    "mend": mend,
    "lookup": lookup,
    "propose": propose,
    "decide": decide,
}


# --- at head office --------------------------------------------------------------------------------


def _customer_row(world: World) -> tuple[str, dict[str, Any]] | None:
    ids = [id for (id,) in world.log("SELECT id FROM customer WHERE document IS NOT NULL ORDER BY row")]
    if not ids:
        return None
    id = world.random.choice(ids)
    found = world.log("SELECT document FROM customer WHERE id = ?", id)
    found += world.log(
        "SELECT s.document FROM customer t JOIN customer_sensitive s USING (row) WHERE t.id = ?", id
    )
    documents = [orjson.loads(raw) for (raw,) in found if raw is not None]
    return id, {path: seen for document in documents for path, seen in present(document).items()}


def present(document: dict[str, Any]) -> dict[str, list[str]]:
    """The cids of each path's values in a stored document."""
    listed = document.get("x", {})
    result = {}
    for path in document:
        if path not in {"id", "v", "x", "s"}:
            at, *beside = listed.get(path, [0])
            result[path] = [document["v"][i][0] for i in (at, *(i for i, _ in beside))]
    return result


def hq_edit(world: World) -> str:
    row = _customer_row(world)
    if row is None:
        return "no customer yet"
    id, values = row
    fields = some_fields(world, id, world.random.choice((1, 2)))
    has_seen = world.random.random() < 0.7
    seen = {path: values[path] for path in fields if path in values} if has_seen else {}
    ruling = world.server.write("edit", "customer", id, fields, seen)
    return f"customer {id[-5:]}: {sorted(fields)} {ruling.verdict if ruling else 'refused'}"


def hq_move(world: World) -> str:
    row = _customer_row(world)
    if row is None or row[0] not in world.movers:
        return "nobody moves"
    id, values = row
    number = world.random.randrange(len(world.units))
    seen = {"home_unit": values["home_unit"]} if world.random.random() < 0.7 else {}
    world.server.write("edit", "customer", id, {"home_unit": world.units[number]}, seen)
    return f"customer {id[-5:]} to branch {number}"


def _held(world: World) -> Any:
    entries = world.open_entries()
    return world.random.choice(entries) if entries else None


def hq_retry(world: World) -> str:
    entry = _held(world)
    if entry is None:
        return "nothing is held"
    by_head_office = world.random.random() < 0.5
    accepted = run(world.server.admission.retry(entry.group, by_head_office=by_head_office))
    if by_head_office and accepted:
        world.freed.add(entry.group)
    world.sometimes["head office released"] += accepted
    return f"retry {entry.group[:6]}: {accepted}"


def hq_mend(world: World) -> str:
    entry = _held(world)
    if entry is None or entry.entity not in {"customer", "interaction"}:
        return "nothing to mend"
    body = orjson.loads(entry.body)
    fields = {path: given["value"] for path, given in body["fields"].items() if path != "nickname"}
    if entry.entity == "customer":
        fields["name"] = world.random.choice(NAMES)
        fields.pop("gender", None)
    else:
        row = _customer_row(world)
        if row is None:
            return "nobody to put in"
        fields["party"] = [{"customer": row[0], "role": "principal"}]
        fields["note"] = text(world, row[0])
    ruling = world.server.write(body["op"], entry.entity, entry.id, fields, replaces=entry.cid)
    verdict = ruling.verdict if ruling else "refused"
    world.sometimes["head office mended"] += verdict in {"applied", "merged"}
    return f"mend {entry.cid[:6]}: {verdict}"


def paths_of(entry: Any) -> Iterable[str]:
    """What a logged change wrote; nothing where its bytes are no change."""
    return () if entry.code == "change_malformed" else orjson.loads(entry.body)["fields"]


def hq_drop(world: World) -> str:
    entry = _held(world)
    if entry is None or world.random.random() < 0.5:
        return "nothing to drop"
    entity = entry.entity if entry.entity in {"customer", "interaction", "link"} else "customer"
    ruling = world.server.write("edit", entity, entry.id or world.new_id(), {}, replaces=entry.cid)
    forget(world, entry.id, paths_of(entry))
    return f"drop {entry.cid[:6]}: {ruling.verdict if ruling else 'refused'}"


def hq_product(world: World) -> str:
    world.server.write("create", "product", world.new_id(), {"name": f"sofa {world.random.randrange(99)}"})
    return "a product"


def hq_define(world: World) -> str:
    """A field of the chain's own; each is made once."""
    key = world.random.choice(sorted(FIELDS))
    label = {"zh": key, "en": key}
    id = made_id("field_def", key)
    world.server.write("create", "field_def", id, {"key": key, "label": label, **FIELDS[key][0]}, {})
    return f"field {key}"


def pairs(world: World, *decisions: str) -> list[tuple[str, str, str]]:
    """What was said of pairs of customers, as far as it is one of these: (one, other, decision)."""
    sql = "SELECT one, other, decision FROM identity WHERE document IS NOT NULL ORDER BY id"
    return [pair for pair in world.log(sql) if pair[2] in decisions]


def a_pair(world: World) -> tuple[str, str] | None:
    """Two customers to decide of: proposed ones, merged ones, or any, also of two branches."""
    rnd = world.random
    proposed, merged = pairs(world, "proposed"), pairs(world, "same")
    if proposed and rnd.random() < 0.5:
        return rnd.choice(proposed)[:2]
    if merged and rnd.random() < 0.3:
        return rnd.choice(merged)[:2]
    ids = [id for (id,) in world.log("SELECT id FROM customer WHERE document IS NOT NULL ORDER BY row")]
    if len(ids) < 2:
        return None
    one, other = rnd.sample(ids, 2)
    return one, other


def hq_decide(world: World) -> str:
    pair = a_pair(world)
    if pair is None:
        return "nobody to be compared"
    decision = world.random.choice(("same", "same", "same", "same", "not_same", "household"))
    said = world.decide(*pair, decision)
    world.sometimes[f"head office says {decision}"] += said == "ok"
    return f"{pair[0][-5:]} and {pair[1][-5:]} {decision}: {said}"


def hq_contradict(world: World) -> str:
    """Two of whom each is the same as a third are said to be two."""
    merged = pairs(world, "same")
    apart = [
        tuple(sorted({*one[:2]} ^ {*two[:2]}))
        for at, one in enumerate(merged)
        for two in merged[:at]
        if len({*one[:2]} & {*two[:2]}) == 1
    ]
    if not apart:
        return "nobody is merged with two"
    one, other = world.random.choice(apart)
    said = world.decide(one, other, "not_same")
    return f"{one[-5:]} and {other[-5:]} are two all the same: {said}"


def hq_unmerge(world: World) -> str:
    merged = pairs(world, "same")
    if not merged:
        return "nobody is merged"
    id = world.random.choice(world.random.choice(merged)[:2])
    said = world.unmerge(id)
    world.sometimes["unmerged"] += said == "ok"
    return f"{id[-5:]} is taken out: {said}"


def hq_resolve(world: World) -> str:
    """Decisions contradict each other: one of them is taken back."""
    sql = "SELECT one, other, decision FROM identity WHERE row IN (SELECT row FROM torn) ORDER BY id"
    torn = world.log(sql)
    if not torn:
        return "nothing contradicts"
    one, other, was = world.random.choice(torn)
    said = world.decide(one, other, "not_same" if was == "same" else "same")
    world.sometimes["contradiction resolved"] += len(world.log(sql)) < len(torn)
    return f"{one[-5:]} and {other[-5:]} no more {was}: {said}"


def hq_scan(world: World) -> str:
    return f"scanned: {world.scan()}"


def hq_regroup(world: World) -> str:
    """A branch is put below the region, whose tablets then have all of it, or taken away again."""
    number = world.random.randrange(len(world.units))
    parent = world.random.choice((world.region, world.company))
    unit = world.units[number]
    world.server.write("edit", "unit", unit, {"parent": parent}, world.seen("unit", unit, "parent"))
    world.sometimes["a unit below a region"] += parent == world.region
    return f"branch {number} below the {'region' if parent == world.region else 'company'}"


def hq_relocate(world: World) -> str:
    """A tablet goes to another branch, of another country perhaps."""
    roaming = [tablet for tablet in world.tablets.values() if tablet.roams and not tablet.revoked]
    number = world.random.randrange(len(world.units))
    unit = world.units[number]
    if not roaming or (tablet := world.random.choice(roaming)).unit not in world.units or tablet.unit == unit:
        return "no tablet goes anywhere"
    device = world.token_of(tablet).device
    seen = world.seen("device", device, "unit")
    fields = {"unit": unit, f"left_units/{tablet.unit}": True, f"left_units/{unit}": False}
    ruling = world.server.write("edit", "device", device, fields, seen)
    if ruling is None or ruling.verdict not in {"applied", "merged"}:
        return "the server does not know it"
    for other in world.tablets.values():  # also a copy of it
        if world.token_of(other).device == device:
            other.unit, other.units, other.ever = unit, frozenset([number]), other.ever | {number}
    for token in world.server.tokens.values():
        if token.device == device:
            token.unit = unit
    world.sometimes["a tablet moved"] += 1
    return f"tablet {tablet.index} to branch {number}"


def hq_age(world: World) -> str:
    world.age()
    return "what is old now"


def hq_months(world: World) -> str:
    """Time passes in which nobody does anything."""
    days = world.random.choice((40, 200, 380, 800))
    world.ms += days * 86_400_000
    world.age()
    return f"{days} days later"


HEAD_OFFICE_DEEDS: dict[str, Callable[[World], str]] = {
    "edit": hq_edit,
    "move": hq_move,
    "retry": hq_retry,
    "mend": hq_mend,
    "drop": hq_drop,
    "product": hq_product,
    "define": hq_define,
    "decide": hq_decide,
    "contradict": hq_contradict,
    "unmerge": hq_unmerge,
    "resolve": hq_resolve,
    "scan": hq_scan,
    "regroup": hq_regroup,
    "relocate": hq_relocate,
    "age": hq_age,
    "months": hq_months,
}
