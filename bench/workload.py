"""What is measured with: a branch, its customers, and the changes that its tablet made while offline.

Everything follows from the seed and the hour. A change is one that the SDK would have made and sent:
its fields, its `seen`, a stamp fixed before the first send, a group of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Literal

import msgspec

from regulars.interactions import instant
from regulars.outbox import BATCH_CHANGES, CID_BYTES, INCARNATION_BYTES
from regulars_schema.declare import JSON
from regulars_schema.entities import CHANNEL, INTERACTION_KIND, OUTCOME, REGISTRY
from regulars_sync import changes, clock
from regulars_sync.changes import Change, Source, Stated, Value
from regulars_sync.ids import ENTROPY_BYTES, uuid7
from regulars_sync.protocol import PushRequest

DAY_MS = 86_400_000
STORY_DAYS = 700
SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗"
GIVEN = "芳伟敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂英华建国文辉玲梅玉兰"
LATIN = ("Grace Tan", "Daniel Lim", "Mei Wong", "Olivia Smith", "Noah Martin", "Priya Nair", "Amir Rahman")
NOTES = (
    "看了云岭三人沙发，想等双十一再定，先留了尺寸。",
    "Likes oak, is comparing prices with another shop; call again after the weekend.",
    "送货时楼梯窄，下次提前量；客户很满意安装师傅。",
    "带了先生一起来，决定餐桌 1.8m，椅子还要再看。",
)
STREETS = ("中山东路", "人民路", "Orchard Road", "解放大道", "湖滨路")
TAGS = ("vip", "装修中", "老客户", "design", "wholesale")
PRODUCTS = 60
STAFF = 20


@dataclass(slots=True)
class Workload:
    """The branch, and what was made in it. Ids and cids are drawn from one seed."""

    now_ms: int
    rng: Random = field(default_factory=lambda: Random(1))
    company: str = ""
    unit: str = ""
    staff: list[str] = field(default_factory=list)
    products: list[str] = field(default_factory=list)
    customers: list[Change] = field(default_factory=list)

    def new_id(self, ms: int) -> str:
        return uuid7(ms, self.rng.randbytes(ENTROPY_BYTES))

    def change(
        self,
        op: Literal["create", "edit"],
        entity: str,
        id: str,
        fields: Mapping[str, JSON],
        at_ms: int,
        seen: Mapping[str, list[str]] | None = None,
        source: Source | None = "staff_visit",
    ) -> Change:
        """A change without a stamp, as the SDK drafts it."""
        cid = self.rng.randbytes(CID_BYTES).hex()
        return Change(
            cid=cid,
            group=cid,
            op=op,
            entity=entity,
            id=id,
            fields={path: Value(value, source) for path, value in fields.items()},
            seen=dict(seen or {}),
            stated=Stated(at_ms),
            schema=REGISTRY.version,
            actor=self.rng.choice(self.staff) if self.staff else None,
        )

    def reference(self) -> list[list[Change]]:
        """Company and branch, then the branch's staff and products: what head office writes."""
        at = self.now_ms - STORY_DAYS * DAY_MS
        self.company, self.unit = self.new_id(at), self.new_id(at)
        place = {"country": "CN", "time_zone": "Asia/Shanghai", "currency": "CNY"}
        company = {"name": "Songhe Home 松禾家居", "kind": "company", **place}
        branch = {"name": "南京新街口店", "kind": "branch", "parent": self.company}
        units = [
            self.change("create", "unit", self.company, company, at),
            self.change("create", "unit", self.unit, branch, at),
        ]
        staff, products = [], []
        for _ in range(STAFF):
            id = self.new_id(at)
            fields = {"name": self._name(), "role": "clerk", f"units/{self.unit}": True, "active": True}
            staff.append(self.change("create", "staff", id, fields, at))
        for n in range(PRODUCTS):
            id = self.new_id(at)
            goods = {"name": f"云岭沙发 {n:03}", "category": "沙发", "price": 8_990_00, "currency": "CNY"}
            products.append(self.change("create", "product", id, goods, at))
        self.staff = [change.id for change in staff]
        self.products = [change.id for change in products]
        return [units, staff, products]

    def branch(self, name: str, staff: int) -> tuple[Workload, list[list[Change]]]:
        """One more branch of this company, with its own staff; and what head office writes of it."""
        at = self.now_ms - STORY_DAYS * DAY_MS
        other = Workload(self.now_ms, self.rng, self.company, self.new_id(at), [], self.products)
        unit = {"name": name, "kind": "branch", "parent": self.company}
        people = []
        for _ in range(staff):
            id = self.new_id(at)
            fields = {"name": self._name(), "role": "clerk", f"units/{other.unit}": True, "active": True}
            people.append(self.change("create", "staff", id, fields, at))
            other.staff.append(id)
        return other, [[self.change("create", "unit", other.unit, unit, at)], people]

    def new_customers(self, count: int, first: int = 0) -> Iterator[Change]:
        """Each with a phone number of its own, counted from `first`."""
        rng = self.rng
        for n in range(first + len(self.customers), first + len(self.customers) + count):
            at = self.now_ms - rng.randrange(DAY_MS, STORY_DAYS * DAY_MS)
            number = f"+86{rng.choice(('138', '139', '150', '186'))}{n % 100_000_000:08}"
            fields: dict[str, JSON] = {
                "name": self._name(),
                "kind": "person",
                "home_unit": self.unit,
                "owner": rng.choice(self.staff),
                f"phones/{number}": f"{number[3:6]} {number[6:10]} {number[10:]}",
                "gender": rng.choice(("female", "male")),
                "address": f"{rng.choice(STREETS)} {rng.randint(1, 999)} 号",
                "acquisition_channel": "street",
                "first_seen": _instant(at),
                f"contact_by/{rng.choice(('sms', 'wechat', 'phone'))}": True,
                "preferred_channel": "wechat",
                f"tags/{rng.choice(TAGS)}": True,
                "notes": rng.choice(NOTES),
            }
            change = self.change("create", "customer", self.new_id(at), fields, at)
            self.customers.append(change)
            yield change

    def new_interactions(self, count: int, days: int) -> Iterator[Change]:
        """Facts of the last `days`, in the order in which they happened, of customers that exist."""
        rng = self.rng
        kinds, channels, outcomes = (list(e.values) for e in (INTERACTION_KIND, CHANNEL, OUTCOME))
        for n in range(count):
            at = self.now_ms - days * DAY_MS + n * days * DAY_MS // count
            party = [{"customer": rng.choice(self.customers).id, "role": "principal"}]
            if rng.random() < 0.15:
                party.append({"customer": rng.choice(self.customers).id, "role": "companion"})
            fields: dict[str, JSON] = {
                "kind": rng.choice(kinds),
                "at": _instant(at),
                "unit": self.unit,
                "staff": rng.choice(self.staff),
                "channel": rng.choice(channels),
                "party": party,
                "stage_reached": rng.randint(1, 8),
                "outcome": rng.choice(outcomes),
                "effort_min": rng.randint(5, 90),
                "note": rng.choice(NOTES),
            }
            if rng.random() < 0.5:
                fields["lines"] = [self._line() for _ in range(rng.randint(1, 3))]
            yield self.change("create", "interaction", self.new_id(at), fields, at)

    def edits(self, customers: Sequence[Change]) -> Iterator[Change]:
        """An edit of each customer that has seen what stands there: a note, a channel, one more tag."""
        for n, made in enumerate(customers):
            fields = {
                "notes": f"{self.rng.choice(NOTES)} ({n})",
                "preferred_channel": "phone",
                f"tags/第{n % 40}批": True,
            }
            seen = {path: [made.cid] for path in ("notes", "preferred_channel")}
            yield self.change("edit", "customer", made.id, fields, self.now_ms - DAY_MS + n, seen)

    def _name(self) -> str:
        rng = self.rng
        if rng.random() < 0.1:
            return rng.choice(LATIN)
        return rng.choice(SURNAMES) + "".join(rng.choices(GIVEN, k=rng.choice((1, 2))))

    def _line(self) -> dict[str, JSON]:
        rng = self.rng
        amount = rng.randint(100, 16_000) * 100
        return {
            "product": rng.choice(self.products),
            "quantity": rng.randint(1, 4),
            "amount": amount,
            "cost": amount * 6 // 10,
            "currency": "CNY",
        }


def _instant(ms: int) -> str:
    return instant(datetime.fromtimestamp(ms / 1000, UTC), ms)


def pushes(rng: Random, drafted: Sequence[Change], now_ms: int, batch: int = BATCH_CHANGES) -> list[bytes]:
    """The bodies of the pushes that bring these changes, as many at once as the SDK sends, stamps fixed."""
    incarnation = rng.randbytes(INCARNATION_BYTES).hex()
    bodies: list[bytes] = []
    last = 0
    for at in range(0, len(drafted), batch):
        raw = []
        for change in drafted[at : at + batch]:
            last = clock.fix(change.stated.at, 0, now_ms, 0, last)
            raw.append(msgspec.Raw(changes.encode(msgspec.structs.replace(change, stamp=last))))
        request = PushRequest(incarnation=incarnation, n=at + 1, schema=REGISTRY.version, changes=raw)
        bodies.append(msgspec.json.encode(request))
    return bodies
