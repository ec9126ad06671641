"""What this tablet knows of customers: its rows and its own pending changes, as rules ask of them.

A person is known by the golden card and by all that names a member (`regulars_sync.known`, as on the server).
Own changes count from the moment they are written until the rows have them, once; those that the server held
or rejected do not, as they do not there. Facts from before the window are known by the server's baseline.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from regulars import replica
from regulars.outbox import Live
from regulars.overlay import Overlay, is_pending, known, shown
from regulars.persons import clusters_in
from regulars_schema.declare import JSON, Registry
from regulars_schema.entities import CUSTOMER
from regulars_schema.rules.facts import Product
from regulars_schema.rules.knowing import Before, Chain, Known
from regulars_schema.rules.metrics import added
from regulars_schema.schemes import Shipped, load
from regulars_schema.schemes.world import Knowledge, SchemeRow, SegmentRow, know
from regulars_sync import known as assembling
from regulars_sync.clock import ms_of
from regulars_sync.ids import WINDOW
from regulars_sync.known import NAMING, SENSITIVE, Rows
from regulars_sync.merge import Register, choose
from regulars_sync.units import Unit, Units

HOME = CUSTOMER.by_name["home_unit"]
NOWHERE = Register()
_NAMING = orjson.dumps(["interaction", "baseline", *NAMING]).decode()
_AMONG = "IN (SELECT value FROM json_each(?))"
_OF_FACTS = f"FROM element WHERE entity = 'interaction' AND field = 'supersedes' AND {{}} {_AMONG}"
_FORMER = f"SELECT key {_OF_FACTS.format('id')}"
_LATER = f"SELECT id {_OF_FACTS.format('key')}"
_CHAIN = "('cut_points', 'field_def', 'scheme', 'segment', 'staff', 'unit')"


@dataclass(frozen=True)
class Setting:
    """What is the same for all customers of a tablet."""

    knowledge: Knowledge
    units: Units
    defined: Mapping[str, Mapping[str, JSON]]
    """Custom fields, by id."""
    staff: Mapping[str, Mapping[str, JSON]]
    hidden: frozenset[str]
    """The fields that this tablet may not hold."""

    def team(self, me: str | None) -> frozenset[str]:
        """Who looks after customers under this member of staff, who is one of them."""
        if me is None:
            return frozenset()
        return frozenset({me, *(id for id, of in self.staff.items() if of.get("manager") == me)})


class Settings:
    """The latest `Setting` of a replica, kept until one of the rows that it is read from is another."""

    def __init__(self) -> None:
        self._shipped: Shipped | None = None
        self._seen: object = None
        self._found: Setting | None = None

    def of(self, connection: sqlite3.Connection) -> Setting:
        documents = connection.execute(
            f"SELECT entity, id, CAST(document AS BLOB) FROM row WHERE entity IN {_CHAIN}"
        ).fetchall()
        sensitive = replica.number(connection, "sensitive") == 1
        if self._found is None or self._seen != (documents, sensitive):
            self._found = self._read(documents, sensitive)
            self._seen = documents, sensitive
        return self._found

    def _read(self, documents: Sequence[tuple[str, str, bytes]], sensitive: bool) -> Setting:
        rows: dict[str, dict[str, dict[str, JSON]]] = {}
        for entity, id, raw in documents:
            with replica.readable(entity, id):
                rows.setdefault(entity, {})[id] = orjson.loads(raw)
        if self._shipped is None:
            self._shipped = load()
        schemes, segments = (rows.get(entity, {}).values() for entity in ("scheme", "segment"))
        cuts = max(rows.get("cut_points", {}).values(), key=lambda row: str(row["day"]), default=None)
        knowledge = know(
            self._shipped,
            [SchemeRow(row["key"], row.get("changes"), bool(row.get("archived"))) for row in schemes],
            [
                SegmentRow(row["id"], row.get("rule"), bool(row.get("archived")), row["name"])
                for row in segments
            ],
            cuts["cuts"] if cuts else None,
        )
        return Setting(
            knowledge,
            Units(_unit(row) for row in rows.get("unit", {}).values()),
            rows.get("field_def", {}),
            rows.get("staff", {}),
            frozenset() if sensitive else SENSITIVE,
        )


class Knowing:
    """Customers as of an instant and of one state of both files, inside somebody's read transaction."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        registry: Registry,
        overlay: Overlay,
        live: Sequence[Live],
        setting: Setting,
        as_of_ms: int,
        me: str | None,
    ) -> None:
        self.connection = connection
        self.setting = setting
        self.as_of_ms = as_of_ms
        self._registry = registry
        self._overlay = overlay
        acked = replica.acks(connection) if live else {}
        self._live = [change for change in live if is_pending(change, acked)]
        self.touched: dict[str, set[str]] = {}
        """The rows that pending changes write, by entity."""
        for change in self._live:
            self.touched.setdefault(change.entity, set()).add(change.id)
        window = self._plain("window", [WINDOW[1]]).get(WINDOW[1])
        self.edge_ms = ms_of(window["edge"]) if window else None
        """Of facts from before, only sums are known."""
        self._pending = frozenset(self.touched.get("interaction", ()))
        self._known: dict[str, Known | None] = {}
        chain = setting.knowledge.chain
        self.world = Chain(chain.schemes, chain.segments, chain.cuts, me, setting.team(me), self.find)

    def find(self, id: str) -> Known | None:
        """The person that this customer is; None when this tablet does not hold it."""
        if id not in self._known:
            self._known |= self.all([id])
        return self._known[id]

    def all(self, ids: Iterable[str]) -> dict[str, Known | None]:
        """The persons that these are, each under the id it was asked for."""
        wanted = list(ids)
        of = clusters_in(self.connection, wanted)
        members = {id: tuple(sorted(of.get(id, (id,)))) for id in wanted}
        every = {member for among in members.values() for member in among}
        rows, baselines = self._rows(every)
        found: dict[str, Known | None] = {}
        made: dict[tuple[str, ...], Known | None] = {}
        for id, among in members.items():
            if among not in made:
                made[among] = self._assembled(rows, baselines, among)
            found[id] = made[among] if id in rows.of["customer"] else None
        return found

    def _assembled(
        self, rows: Rows, baselines: Mapping[str, Mapping[str, JSON]], members: tuple[str, ...]
    ) -> Known | None:
        first = next((id for id in members if id in rows.of["customer"]), None)
        if first is None:
            return None
        at_home = rows.of["customer"][first].get("home_unit", NOWHERE).values.values()
        home = choose(HOME, at_home).value if at_home else None
        place = self.setting.units.place(home)
        own = [baselines[id] for id in members if id in baselines]
        edges = [ms_of(of["edge"]) for of in own]
        return assembling.known(
            rows,
            members,
            place,
            self.as_of_ms,
            hidden=self.setting.hidden,
            edge_ms=max(edges, default=None),
            before=_before(own),
            pending=self._pending,
        )

    def own_customers(self) -> list[tuple[str, str]]:
        """Where among names those stand of whom pending changes say something, their persons' others too."""
        ids = set(self.touched.get("customer", ()))
        for entity in self.touched.keys() & {"interaction", *NAMING}:
            declared = self._registry.get(entity)
            laid = self._overlay.lay(self.connection, declared, self.touched[entity], self._live)
            for row in laid.values():
                ids.update(map(str, declared.named_customers(shown(declared, row))))
        ids.update(*clusters_in(self.connection, ids).values())
        customer = self._registry.get("customer")
        laid = self._overlay.lay(self.connection, customer, ids, self._live)
        return [self._overlay.sort_key(customer, row) for row in laid.values()]

    def counting(self, facts: Iterable[str]) -> set[str]:
        """Which facts count of these, and of those that correct them or are corrected by them."""
        rows = Rows()
        self._lay(rows, "interaction", {*facts, *self.touched.get("interaction", ())})
        self._follow(rows)
        return rows.counting

    # --- rows ---------------------------------------------------------------------------------------------

    def _rows(self, members: set[str]) -> tuple[Rows, dict[str, Mapping[str, JSON]]]:
        """All that this tablet holds of these customers, and their baselines."""
        rows = Rows(defined=self.setting.defined)
        self._lay(rows, "customer", members)
        ids: dict[str, set[str]] = {}
        for entity, id in self.connection.execute(
            f"SELECT entity, id FROM element WHERE entity {_AMONG} AND field = 'party' AND key {_AMONG}",
            (_NAMING, _listed(members)),
        ):
            ids.setdefault(entity, set()).add(id)
        for entity in (*NAMING, "interaction"):
            self._lay(rows, entity, ids.get(entity, set()) | self.touched.get(entity, set()))
        self._follow(rows)
        rows.products = self._products(rows.named_products())
        return rows, self._plain("baseline", ids.get("baseline", ()))

    def _lay(self, rows: Rows, entity: str, ids: Iterable[str]) -> None:
        declared = self._registry.get(entity)
        for id, row in self._overlay.lay(self.connection, declared, ids, self._live).items():
            rows.lay(entity, id, known(declared, row.registers))

    def _follow(self, rows: Rows) -> None:
        """Add the facts that stand for others, and those they stand for, whomever they name."""
        asked: set[str] = set()
        while new := rows.facts.keys() - asked:
            asked |= new
            given = (_listed(new),)
            told = {id for sql in (_FORMER, _LATER) for (id,) in self.connection.execute(sql, given)}
            self._lay(rows, "interaction", told - asked)

    def _products(self, ids: Iterable[str]) -> dict[str, Product]:
        found = self._plain("product", ids)
        return {
            id: Product(of.get("category"), of.get("usage_days"), of.get("refill_lead_days") or 0)
            for id, of in found.items()
        }

    def _plain(self, entity: str, ids: Iterable[str]) -> dict[str, Mapping[str, JSON]]:
        """The shown values of rows that no tablet writes."""
        found: dict[str, Mapping[str, JSON]] = {}
        for id, raws in replica.documents(self.connection, entity, ids).items():
            with replica.readable(entity, id):
                found[id] = orjson.loads(raws[0])
        return found


def _unit(row: Mapping[str, JSON]) -> Unit:
    inherited = ("parent", "country", "time_zone", "currency")
    return Unit(row["id"], row["name"], *map(row.get, inherited))


def _before(baselines: Iterable[Mapping[str, JSON]]) -> dict[str, Before]:
    """The sums of all members, by kind."""
    found: dict[str, Before] = {}
    for baseline in baselines:
        for kind, said in baseline["kinds"].items():
            one = sums(said)
            found[kind] = added(found[kind], one) if kind in found else one
    return found


def sums(said: Mapping[str, JSON]) -> Before:
    """One kind's sums as a baseline spells them."""
    sets = {name: frozenset(said.get(name, ())) for name in ("categories", "products")}
    return Before(**{**said, **sets})


def _listed(values: Iterable[str]) -> str:
    return orjson.dumps(list(values)).decode()
