"""Histories of a small chain whose tablets and server are asked the same about every customer."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import msgspec

from regulars import Interaction, Shop
from regulars.judging import Found, find
from regulars.knowing import Knowing
from regulars_schema.rules.evaluate import evaluate
from regulars_schema.rules.knowing import Chain as RuleWorld
from regulars_schema.rules.knowing import Known
from regulars_schema.rules.text import parse
from regulars_schema.rules.tree import Rule
from regulars_server.ageing import Ageing
from regulars_server.authors import SERVER, UnitTree
from regulars_server.knowledge.loading import known
from regulars_server.knowledge.world import read
from regulars_sync.changes import Value
from regulars_sync.clock import instant_of
from regulars_sync.errors import LocalError
from regulars_sync.ids import identity_id, made_id
from tests.support.chain import NOON_MS, Chain, Clock

DAY_MS = 86_400_000
RULES = (
    "purchase_count >= 2",
    "days_since_purchase < 40",
    "count(visit | call where channel = store, last 60 days) >= 1",
    "sum(amount of purchase, last 1 year) between 500 and 3000",
    'spend > 1000 and not tags has "vip"',
    "is(lifecycle) in [old, loyal]",
    "is(tier) in [gold, diamond] or is(motive) in [fame]",
    "link(companion: purchase_count >= 1)",
    "link(referrer) and referral_count >= 1",
    'income_band = high or tags has "vip"',
    'consent("marketing", sms)',
    'task("second purchase") in [open]',
    "date(first_seen) within last 30 days or last(visit) within last 30 days",
    'owner = team or home_unit under "{unit}"',
)


class History:
    """A chain with a few tablets, driven at random. `steps` are the names of what it may do."""

    def __init__(self, chain: Chain, seed: int) -> None:
        self.chain = chain
        self.rng = random.Random(seed)
        self.products: list[str] = []
        self.segments: list[str] = []
        self.staff: str = ""
        self.customers: list[str] = []
        self.facts: list[str] = []
        self.ageing = Ageing(chain.service.storage, chain.service.admission, chain.clock, chain.entropy)

    @property
    def steps(self) -> list[Callable[[], Any]]:
        often = [self.visit, self.visit, self.visit, self.buy, self.buy, self.correct, self.void]
        return [*often, self.edit, self.say, self.link, self.register, self.sync, self.sync, self.rest]

    async def begin(self) -> None:
        chain, rng = self.chain, self.rng
        for category in ("oak", "布艺"):
            self.products.append(id := chain.new_id())
            of: dict[str, object] = {"name": category, "category": category, "usage_days": 30}
            await chain.write("create", "product", id, of)
        self.staff = chain.new_id()
        await chain.write("create", "staff", self.staff, {"name": "Li", "role": "clerk"})
        self.segments.append(chain.new_id())
        await chain.write("create", "segment", self.segments[0], {"name": "by hand"})
        for rule in ("purchase_count >= 2 and link(companion)", "is(lifecycle) in [old]"):
            self.segments.append(id := chain.new_id())
            tree = {"all": [{"number": {"metric": "purchase_count"}, "op": ">=", "value": 2}]}
            await chain.write("create", "segment", id, {"name": rule, "rule": tree})
        cuts = {"spend": [100, 500, 900, 2000], "days_since_purchase": [10, 20, 50, 90]}
        day = date(2026, 11, 1).isoformat()
        await chain.write("create", "cut_points", made_id("cut_points", day), {"day": day, "cuts": cuts})
        skewed = Clock(NOON_MS + rng.choice((-1, 1)) * rng.randrange(400) * DAY_MS)
        await chain.tablet("one", "Nanjing Road")
        await chain.tablet("two", "Nanjing Road", sensitive=True)
        await chain.tablet("three", "Orchard", clock=skewed)
        for shop in chain.shops.values():
            await shop.sync()
        await self.ageing.once()
        for _ in range(3):
            await self.register()

    def _shop(self) -> Shop:
        return self.rng.choice(list(self.chain.shops.values()))

    def _at(self) -> datetime:
        ago = self.rng.choice((0, 1, 10, 45, 200, 720, 800)) * DAY_MS
        return datetime.fromtimestamp((self.chain.clock.ms - ago) / 1_000, UTC)

    def _party(self) -> list[Any]:
        return self.rng.sample(self.customers, min(len(self.customers), self.rng.choice((1, 1, 2))))

    async def register(self) -> None:
        unit = self.rng.choice(["Nanjing Road", "Orchard"])
        name = self.rng.choice(["林芳", "王伟", "Ann Lee"])
        fields: dict[str, object] = {
            "name": name,
            "kind": "person",
            "home_unit": self.chain.units[unit],
            "owner": self.staff,
        }
        self.customers.append(id := self.chain.new_id())
        await self.chain.write("create", "customer", id, fields)

    async def visit(self) -> None:
        kind, channel = (
            self.rng.choice(["visit", "call", "complaint", "quote"]),
            self.rng.choice(["store", None]),
        )
        await self._record(kind=kind, channel=channel, effort_min=self.rng.choice([None, 10]))

    async def buy(self) -> None:
        line = {
            "product": self.rng.choice(self.products),
            "quantity": self.rng.randrange(1, 3),
            "amount": self.rng.randrange(100, 900),
            "currency": self.rng.choice(["CNY", "CNY", "SGD"]),
        }
        await self._record(kind=self.rng.choice(["purchase", "purchase", "return"]), lines=[line])

    async def _record(self, **fields: Any) -> None:
        shop = self._shop()
        given = {name: value for name, value in fields.items() if value is not None}
        if self.rng.random() < 0.2:
            id, at = self.chain.new_id(), instant_of(int(self._at().timestamp() * 1_000))
            party = [{"customer": customer} for customer in self._party()]
            self.facts.append(id)
            if self.rng.random() < 0.5:
                await self._import(id, {"at": at, "party": party, **given})
            else:
                await self.chain.write("create", "interaction", id, {"at": at, "party": party, **given})
            return
        with suppress(LocalError):
            made = await shop.interactions.record(self._party(), at=self._at(), **given)
            self.facts.append(made.id)

    async def _import(self, id: str, fields: dict[str, Any]) -> None:
        """A fact that no tablet gets when it is older than the window."""
        service = self.chain.service
        change = service.change("create", "interaction", id, fields)
        written = {path: Value(value.value, "import") for path, value in change.fields.items()}
        change = msgspec.structs.replace(change, fields=written)
        ((ruling,),) = await service.admission.write(SERVER, [[change]])
        assert ruling.verdict == "applied", ruling

    async def _fact(self, shop: Shop) -> Interaction | None:
        held = [await shop.get_record(Interaction, id) for id in self.facts[-8:]]
        found = [fact for fact in held if fact is not None and not fact.void]
        return self.rng.choice(found) if found else None

    async def correct(self) -> None:
        shop = self._shop()
        if fact := await self._fact(shop):
            fields: Any = self.rng.choice([{"effort_min": 5}, {"at": instant_of(self.chain.clock.ms)}])
            with suppress(LocalError):
                made = await shop.interactions.correct(fact, **fields)
                self.facts.append(made.id)

    async def void(self) -> None:
        shop = self._shop()
        if fact := await self._fact(shop):
            with suppress(LocalError):
                await shop.interactions.void(fact)

    async def edit(self) -> None:
        fields: Any = self.rng.choice(
            [
                {"tags": {"vip": self.rng.random() < 0.7}},
                {"gender": "female"},
                {"income_band": "high"},
                {"segments": {self.segments[0]: True}},
                {"excluded_segments": {self.segments[1]: True}},
                {"home_unit": self.chain.units[self.rng.choice(["Nanjing Road", "Orchard"])]},
            ]
        )
        with suppress(LocalError):
            await self._shop().customers.edit(self.rng.choice(self.customers), **fields)

    async def say(self) -> None:
        shop, customer = self._shop(), self.rng.choice(self.customers)
        match self.rng.randrange(3):
            case 0:
                scheme, value = self.rng.choice(
                    [("lifecycle", "loyal"), ("motive", "fame"), ("tier", "gold")]
                )
                column = {"motive": f"values/{value}", "lifecycle": "reviewed", "tier": "reviewed"}[scheme]
                fields = {
                    "customer": customer,
                    "scheme": scheme,
                    column: True if scheme == "motive" else value,
                }
                entity, id = "assignment", made_id("assignment", customer, scheme)
            case 1:
                fields = {"customer": customer, "purpose": "marketing", "granted": self.rng.random() < 0.6}
                fields |= {
                    "at": instant_of(self.chain.clock.ms),
                    "channel": self.rng.choice(["sms", "phone"]),
                }
                entity, id = "consent", shop.new_id()
            case _:
                fields = {"plan": "second purchase", "customer": customer, "subject": "x", "status": "open"}
                entity, id = "task", made_id("task", "second purchase", customer, "x")
        with suppress(LocalError):
            await shop.write(entity, id, "create", fields)

    async def link(self) -> None:
        if len(self.customers) > 1:
            one, other = self.rng.sample(self.customers, 2)
            with suppress(LocalError):
                await self._shop().links.add(one, other, self.rng.choice(["companion", "referrer"]))

    async def merge(self) -> None:
        one, other = sorted(self.rng.sample(self.customers, 2))
        decision: dict[str, object] = {"one": one, "other": other, "decision": "same", "reason": "person"}
        await self.chain.write("create", "identity", identity_id(one, other), decision)

    async def rest(self) -> None:
        days = self.rng.choice((1, 3, 40))
        self.chain.clock.pass_(days=days)
        if self.rng.random() < 0.5:
            await self.ageing.once()

    async def sync(self) -> None:
        """One round, perhaps cut off somewhere."""
        name = self.rng.choice(list(self.chain.shops))
        line = self.chain.transports[name]
        line.offline_after_pulls = self.rng.choice([None, None, 0, 1, 2])
        line.lose_answers_to = self.rng.choice([None, None, "/sync/v1/push", "/sync/v1/pull"])
        await self.chain.shops[name].sync()
        line.offline_after_pulls = line.lose_answers_to = None

    async def settle(self) -> None:
        for _ in range(3):
            for shop in self.chain.shops.values():
                report = await shop.sync()
                assert report.problem is None, report.problem
            await self.chain.service.checking.drain()  # as the server does soon after whatever was written

    # --- asking -------------------------------------------------------------------------------------------

    async def compare(self) -> list[tuple[str, bool]]:
        """What each rule says of each customer on each tablet, that it is the server's or unknown; (rule,
        whether it was known)."""
        at_ms = self.chain.clock.ms
        told: list[tuple[str, bool]] = []
        for name, shop in self.chain.shops.items():
            there, world = await self._server(at_ms, sensitive=name == "two")
            here = await shop.know(lambda knowing: _here(knowing, self.customers), _instant(at_ms))
            for id, mine in here.items():
                theirs = there[id]
                if not mine.before:
                    assert _plain(mine) == _plain(theirs), (name, id)
            chain, words = world
            for text in RULES:
                rule = parse(text.replace("{unit}", self.chain.units["hq"]), words)
                answers = await shop.know(partial(_both, rule, here, there, chain), _instant(at_ms))
                found = await shop.know(partial(_found, rule), _instant(at_ms))
                persons = {id: answers[id][0] for id in here if here[id].id == id}
                for said, ids in ((True, found.yes), (None, found.unknown)):
                    assert {id for id, answer in persons.items() if answer is said} == set(ids), (
                        name,
                        text,
                        said,
                        ids,
                        persons,
                        here,
                    )
                for id, (answer, wanted) in answers.items():
                    assert answer is None or answer == wanted, (name, id, text, answer, wanted)
                    if answer is None and wanted is not None:
                        assert here[id].before or here[id].hidden or "link(" in text, (name, id, text)
                    told.append((text, answer is not None))
        return told

    async def _server(self, at_ms: int, sensitive: bool) -> tuple[dict[str, Known], Any]:
        async with self.chain.service.storage.unscoped_reader() as reader:
            tree = await UnitTree.read(reader)
            found = await known(reader, self.customers, tree=tree, as_of_ms=at_ms, sensitive=sensitive)
            knowledge = await read(reader)
        return found, (replace(knowledge.chain, find=found.get), knowledge.words)


def _instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1_000, UTC)


def _here(knowing: Knowing, ids: list[str]) -> dict[str, Known]:
    return {id: known for id, known in knowing.all(ids).items() if known is not None}


def _found(rule: Rule, knowing: Knowing) -> Found:
    return find(knowing, rule)


def _both(
    rule: Rule, here: dict[str, Known], there: dict[str, Known], world: RuleWorld, knowing: Knowing
) -> dict[str, tuple[Any, Any]]:
    return {
        id: (evaluate(rule, known, knowing.world).answer, evaluate(rule, there[id], world).answer)
        for id, known in here.items()
    }


def _plain(known: Known) -> Known:
    values = {n: sorted(v) if isinstance(v, list) else v for n, v in known.values.items() if v is not None}
    return replace(known, values={n: v for n, v in values.items() if n not in known.hidden}, edge=None)
