"""What metrics of customers come to: of all of them by SQL where a metric compiles, else one by one.

Amounts of two currencies are never added: a customer's money is in the currency of its home, and each
currency has a summary of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from regulars_schema.rules.evaluate import metric
from regulars_schema.rules.knowing import Chain, Known
from regulars_schema.rules.metrics import METRICS, Unheld
from regulars_schema.rules.sql import Asking
from regulars_schema.rules.totals import Numbers, compile_metric, days_since
from regulars_schema.rules.tree import Metric
from regulars_schema.rules.windows import EVER, Window
from regulars_server.knowledge.matching import Viewpoint, pages
from regulars_server.knowledge.previewing import with_others
from regulars_server.storage.interface import Any_, Reader, Total, Where

MEASURED_MAX = 2_000
"""So many customers are measured one by one at most."""


@dataclass(slots=True)
class Summary:
    """Everybody whom it is of is `measured`, has `nothing` to measure, or is `unknown`."""

    name: str
    currency: str | None
    """Of money."""
    measured: int = 0
    nothing: int = 0
    unknown: int = 0
    sum: int = 0
    of: int | None = None
    """Over how many of the customers the metric was measured; None: all."""

    @property
    def average(self) -> float | None:
        return self.sum / self.measured if self.measured else None


@dataclass(frozen=True, slots=True)
class Crowd:
    """Customers to be summed up; nobody is in two of its parts."""

    by_home: Sequence[tuple[Asking, Where]]
    """Those of whom rows tell the home, by home."""
    others: Where | None = None
    """Those of whom they do not."""
    people: Sequence[Known] = ()
    """Those who were read already."""


async def summaries(
    reader: Reader,
    names: Iterable[str],
    crowds: Sequence[Crowd],
    world: Chain,
    view: Viewpoint,
    in_time: Callable[[], bool],
) -> list[list[Summary]]:
    """Of each metric of each crowd, of money by currency; in the order of the names.

    The homes of all crowds are the same. What does not compile is measured of `MEASURED_MAX` customers at
    most, and while there is time.
    """
    wanted = list(dict.fromkeys(names))
    found = [_Summaries(wanted) for _ in crowds]
    slow: list[str] = []
    for home, (asking, _) in enumerate(crowds[0].by_home):
        compiled = {name: compile_metric(Metric(name), asking, world.cuts) for name in wanted}
        slow = [name for name, numbers in compiled.items() if numbers is None]
        summed = {name: numbers for name, numbers in compiled.items() if numbers is not None}
        if summed:
            wheres = [crowd.by_home[home][1] for crowd in crowds]
            for of, totals in zip(found, await reader.totals(wheres, list(summed.values())), strict=True):
                for (name, numbers), total in zip(summed.items(), totals.of, strict=True):
                    of.add(name, asking, numbers, totals.customers, total)
    measuring = _Measuring(reader, world, view, in_time)
    for crowd, of in zip(crowds, found, strict=True):
        await measuring.measure(wanted, crowd.people, of)
        if crowd.others is not None and not await measuring.measure_all(wanted, crowd.others, of):
            of.partial.update(wanted)
    for crowd, of in zip(crowds, found, strict=True):
        by_home = Any_(tuple(where for _, where in crowd.by_home))
        if slow and not await measuring.measure_all(slow, by_home, of):
            of.partial.update(slow)
    return [of.list() for of in found]


class _Summaries:
    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._found: dict[tuple[str, str | None], Summary] = {}
        self.partial: set[str] = set()
        for name in names:
            if METRICS[name].unit != "money":
                self.of(name, None)

    def of(self, name: str, currency: str | None) -> Summary:
        key = name, currency if METRICS[name].unit == "money" else None
        return self._found.setdefault(key, Summary(*key))

    def add(
        self, name: str, asking: Asking, numbers: Numbers, customers: int, totals: Sequence[Total]
    ) -> None:
        if not customers:
            return
        summary = self.of(name, asking.currency)
        selected = sum(total.customers for total in totals)
        measured = sum(total.measured for total in totals)
        for total in totals:
            if total.at is not None:
                summary.sum += total.measured * days_since(total.at, asking.today, asking.zone)
            summary.sum += total.sum
        if numbers.without is not None:
            measured += customers - selected
            summary.sum += (customers - selected) * numbers.without
        summary.measured += measured
        summary.nothing += customers - measured

    def list(self) -> list[Summary]:
        for name in self.partial:
            of = sum(
                each.measured + each.nothing + each.unknown
                for each in self._found.values()
                if each.name == name
            )
            for each in self._found.values():
                each.of = of if each.name == name else each.of
        keys = sorted(self._found, key=lambda key: (self._names.index(key[0]), key[1] or ""))
        return [self._found[key] for key in keys]


class _Measuring:
    """One by one, as many as there is time for."""

    def __init__(
        self,
        reader: Reader,
        world: Chain,
        view: Viewpoint,
        in_time: Callable[[], bool],
    ) -> None:
        self._reader = reader
        self._world = world
        self._view = view
        self._in_time = in_time
        self._left = MEASURED_MAX

    async def measure_all(self, names: Sequence[str], where: Where, found: _Summaries) -> bool:
        """Whether there was time for all."""
        wanted = await self._reader.count("customer", where)
        async for people in pages(self._reader, where, self._view, min(wanted, self._left)):
            if not self._in_time():
                return False
            await self.measure(names, people, found)
            self._left -= len(people)
            wanted -= len(people)
        return not wanted

    async def measure(self, names: Sequence[str], people: Sequence[Known], found: _Summaries) -> None:
        kinds = frozenset(kind for name in names if (kind := METRICS[name].links) is not None)
        world = self._world
        if kinds:
            world = await with_others(self._reader, people, world, kinds, self._view)
        for person in people:
            for name in names:
                summary = found.of(name, person.currency)
                value, is_known = measure(name, person, world)
                summary.unknown += not is_known
                summary.nothing += is_known and value is None
                summary.measured += value is not None
                summary.sum += value or 0


def measure(name: str, person: Known, world: Chain, window: Window = EVER) -> tuple[int | None, bool]:
    """The value, and whether it can be known."""
    if person.hidden.intersection(METRICS[name].needs):
        return None, False
    try:
        return metric(name, person, world, window), True
    except Unheld:
        return None, False
