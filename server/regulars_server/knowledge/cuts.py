"""Cut points: what divides the chain's customers today, as a dated row for every replica (S39, S40).

The population is whoever bought within the last twelve months, for recency whoever bought ever. Amounts of
two currencies are neither added nor compared: a chain of several has cut points of money for each, of those
whose home has it and of what they spent in it. When the cuts are others than before, every buyer is looked
at again: rules rest on them, and so does the instant at which time turns an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b

from regulars_schema.declare import JSON
from regulars_schema.rules.calendars import in_zone
from regulars_schema.rules.metrics import SCORES
from regulars_server.admission import Admission
from regulars_server.authors import SERVER, UnitTree, tree_root
from regulars_server.knowledge.world import Worlds
from regulars_server.storage.interface import Storage
from regulars_server.storage.standing import Cuts, Home
from regulars_sync.changes import Change, Stated, Value
from regulars_sync.clock import instant_of
from regulars_sync.errors import Refused
from regulars_sync.ids import made_id

ENTITY = "cut_points"


class Cutting:
    """Publishes cut points once a day. Time comes from outside; any server of the chain may do it."""

    def __init__(
        self, storage: Storage, admission: Admission, worlds: Worlds, now_ms: Callable[[], int]
    ) -> None:
        self._storage = storage
        self._admission = admission
        self._worlds = worlds
        self._now_ms = now_ms

    async def once(self) -> None:
        """Publish today's, unless that was done, nothing changed, or not everybody was looked at yet."""
        tree = await self._admission.tree()
        now = self._now_ms()
        zone = tree.place(tree_root(tree)).zone
        today = datetime.fromtimestamp(now / 1_000, zone).date()
        id = made_id(ENTITY, today.isoformat())
        async with self._storage.unscoped_reader() as reader:
            if id in await reader.find(ENTITY, [id]):
                return
            sweep = await reader.sweep(now)
            if sweep is not None and sweep.reached < sweep.total:
                return
            window = SCORES["monetary_fifth"].window
            assert window is not None
            first = date.fromordinal(window.days(today.toordinal())[0])
            since = datetime(first.year, first.month, first.day, tzinfo=zone).astimezone(UTC)
            period = instant_of(round(since.timestamp() * 1_000)), instant_of(now)
            found = await reader.cuts(*period)
            homes = homes_of(tree)
            money = {home.currency: await reader.cuts(*period, home) for home in homes}
            before = (await self._worlds.of(reader)).cuts
        cuts = told(found, money, today, lambda at: in_zone(at, zone).date())
        if not cuts or cuts == {metric: list(values) for metric, values in before.items()}:
            return
        cid = blake2b(f"{self._storage.chain.id} {id}".encode(), digest_size=16).hexdigest()
        change = Change(
            cid=cid,
            group=cid,
            op="create",
            entity=ENTITY,
            id=id,
            fields={"day": Value(today.isoformat()), "cuts": Value(cuts)},
            stated=Stated(now),
            schema=self._storage.registry.version,
        )
        with suppress(Refused):  # another server was quicker
            await self._admission.write(SERVER, [[change]])


def homes_of(tree: UnitTree) -> list[Home]:
    """The units of each currency."""
    units: dict[str, list[str]] = {}
    for unit in tree.ids:
        currency = tree.place(unit).currency
        if currency is not None:
            units.setdefault(currency, []).append(unit)
    return [Home(currency, tuple(sorted(there))) for currency, there in sorted(units.items())]


def told(
    found: Cuts, money: Mapping[str, Cuts], today: date, day_of: Callable[[str], date]
) -> dict[str, JSON]:
    """As rules name them (`Score.ends`); what nobody gave a value for is left out."""
    ages = [(today - day_of(at)) // timedelta(days=1) for at in found.recency]
    every: dict[str, list[int]] = {
        "days_since_purchase": ages,
        "purchase_count": list(found.frequency),
    }
    for currency, of in (money or {"": found}).items():
        ending = f" {currency}" if len(money) > 1 else ""
        every[f"spend{ending}"] = list(of.spend)
        every[f"margin{ending}"] = list(of.margin)
        every[f"margin_pareto{ending}"] = list(of.pareto)
    return {name: values for name, values in every.items() if values}
