"""Numbers of a customer that have a name, computed from the set of facts and never stored as counters (3c).

A metric is a function of sums by kind (`Before`, which facts after the edge add to) and of the facts
themselves. Money is in minor units of the home unit's currency, ages in whole days, scores from 0 to 100.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from calendar import isleap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from regulars_schema.declare import Label
from regulars_schema.entities import INTERACTION_KIND
from regulars_schema.rules.calendars import born_on, in_zone
from regulars_schema.rules.knowing import Before, Deed, Known
from regulars_schema.rules.tree import Count, Filter, Metric, Sum
from regulars_schema.rules.windows import DAY_MAX, Last, Window
from regulars_schema.rules.windows import Unit as Period

CONTACTS = frozenset(INTERACTION_KIND.values) - {"form", "gift", "payment", "touch", "note"}
"""Kinds of interaction in which the customer took part; a touch may stay unanswered."""


ASKED = ("request", "complaint")
ANSWERS = frozenset({"call", "message", "followup", "visit", "quote", "service", "purchase", "return"})
"""What answers a request or a complaint."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What counts of one customer in a window, as of a day."""

    known: Known
    today: int
    sums: Mapping[str, Before]
    deeds: Sequence[Deed]
    by_kind: Mapping[str, Sequence[Deed]]
    whole: bool
    """Whether `deeds` are all that `sums` counts."""
    cuts: Mapping[str, tuple[int, ...]]
    """Published cut points (`World.cuts`)."""
    window: Window
    find: Callable[[str], Known | None]
    """Others, by whom numbers of those whom it brought are known."""

    def count(self, kinds: Iterable[str]) -> int:
        return sum(self.sums[kind].count for kind in kinds if kind in self.sums)

    def first(self, kinds: Iterable[str]) -> int | None:
        return min((self.sums[kind].first for kind in kinds if kind in self.sums), default=None)

    def last(self, kinds: Iterable[str]) -> int | None:
        return max((self.sums[kind].last for kind in kinds if kind in self.sums), default=None)


Unit = Literal["count", "days", "money", "percent", "score", "years"]
Turns = Callable[["Facts", int, Sequence[int]], Iterable[int]]
"""Of a metric that moves although no fact comes or leaves: days to come, the first after which it has passed
an edge (from below to it, or from it to below) among them."""


@dataclass(frozen=True, slots=True)
class MetricDef:
    label: Label
    unit: Unit
    of: Callable[[Facts], int | None]
    """None: there is nothing to measure, no comparison holds. `Unheld` where only the facts would tell."""
    turns: Turns | None = None
    """None: it stays while no fact comes or leaves."""
    needs: tuple[str, ...] = ()
    """The fields that it reads."""
    links: str | None = None
    """The kind of links at whose other end it looks at others."""


class Unheld(Exception):
    """Needs facts that this replica does not hold."""


def _ago(kinds: Iterable[str]) -> Callable[[Facts], int | None]:
    wanted = tuple(sorted(kinds))

    def of(facts: Facts) -> int | None:
        last = facts.last(wanted)
        return None if last is None else facts.today - last

    return of


def _count(kinds: Iterable[str]) -> Callable[[Facts], int | None]:
    wanted = tuple(sorted(kinds))
    return lambda facts: facts.count(wanted)


def _spend(facts: Facts) -> int:
    return sum(facts.sums[kind].amount for kind in ("purchase", "return") if kind in facts.sums)


def _margin(facts: Facts) -> int | None:
    total = 0
    for kind in ("purchase", "return"):
        if kind in facts.sums:
            cost = facts.sums[kind].cost
            if cost is None:
                return None
            total += facts.sums[kind].amount - cost
    return total


def _average_order(facts: Facts) -> int | None:
    count = facts.count(("purchase",))
    return facts.sums["purchase"].amount // count if count else None


def _effort(facts: Facts) -> int:
    return sum(sums.effort_min for sums in facts.sums.values())


def _margin_per_hour(facts: Facts) -> int | None:
    """What an hour of the effort put into the customer brings (S38, S128)."""
    margin, effort = _margin(facts), _effort(facts)
    return None if margin is None or not effort else 60 * margin // effort


def _interval(facts: Facts) -> int | None:
    """Mean days between purchases, of two days of purchase at least."""
    bought = facts.sums.get("purchase")
    if bought is None or bought.count < 2:
        return None
    return (bought.last - bought.first) // (bought.count - 1)


def _silence(facts: Facts) -> int | None:
    """Days since the last purchase in percent of the customer's own mean interval (S31)."""
    interval, last = _interval(facts), facts.last(("purchase",))
    return 100 * (facts.today - last) // interval if interval and last is not None else None


def _open_quotes(facts: Facts) -> int:
    """Quotes after the last purchase that nobody has decided on (S26)."""
    bought = facts.last(("purchase",)) or 0
    older = facts.known.before.get("quote")
    if older is not None and older.last > bought:
        raise Unheld
    quotes = [deed for deed in facts.by_kind.get("quote", ()) if deed.day > bought]
    return sum(deed.outcome in (None, "open", "interested") for deed in quotes)


def _days_bought(facts: Facts) -> list[int]:
    if not facts.whole:
        raise Unheld
    return [deed.day for deed in facts.by_kind.get("purchase", ())]


def _spread(facts: Facts) -> int | None:
    """Mean distance of the intervals between purchases from their mean, in days."""
    days = _days_bought(facts)
    if len(days) < 3:
        return None
    gaps = [after - before for before, after in pairwise(days)]
    mean = sum(gaps) // len(gaps)
    return sum(abs(gap - mean) for gap in gaps) // len(gaps)


def _tenure(facts: Facts) -> int | None:
    first = facts.first(("purchase",))
    return None if first is None else facts.today - first


def _known_days(facts: Facts) -> int | None:
    firsts = [sums.first for sums in facts.sums.values()]
    seen = facts.known.values.get("first_seen")
    if seen is not None:
        firsts.append(in_zone(seen, facts.known.zone).toordinal())
    return facts.today - min(firsts) if firsts else None


def _categories(facts: Facts) -> int:
    return len({name for sums in facts.sums.values() for name in sums.categories})


def _products(facts: Facts) -> int:
    return len({name for sums in facts.sums.values() for name in sums.products})


def _runout(facts: Facts) -> int | None:
    """Days until the first product that the customer bought is used up (S87); negative: since."""
    lasts = _used_up(facts)
    return min(until for until, _ in lasts) - facts.today if lasts else None


def _refill(facts: Facts) -> int | None:
    """Days until one should be reminded of the first product that is used up: some days before (S87)."""
    lasts = _used_up(facts)
    return min(until - lead for until, lead in lasts) - facts.today if lasts else None


def _used_up(facts: Facts) -> list[tuple[int, int]]:
    """Of each product the day on which it is used up, and how many days before to remind."""
    if not facts.whole and "purchase" in facts.known.before:
        raise Unheld
    lasts: dict[str, tuple[int, int]] = {}
    for deed in facts.by_kind.get("purchase", ()):
        for line in deed.lines:
            if line.product is not None and line.usage_days is not None:
                until = deed.day + line.quantity * line.usage_days, line.lead_days
                lasts[line.product] = max(until, lasts.get(line.product, until))
    return list(lasts.values())


def _waits(facts: Facts) -> list[tuple[int, int | None]]:
    """The day of each request or complaint, and that of the first answer since, if any (S75)."""
    if any(kind in facts.known.before for kind in ASKED):
        raise Unheld
    answered = [deed.day for deed in facts.deeds if deed.kind in ANSWERS]
    asked = [deed.day for deed in facts.deeds if deed.kind in ASKED]
    return [(day, next((after for after in answered if after >= day), None)) for day in asked]


def _response(facts: Facts) -> int | None:
    """Mean days from a request or complaint to the first answer, of those that were answered."""
    waited = [answer - day for day, answer in _waits(facts) if answer is not None]
    return sum(waited) // len(waited) if waited else None


def _waiting(facts: Facts) -> int | None:
    """Days since the first request or complaint that nobody has answered."""
    open_ = [day for day, answer in _waits(facts) if answer is None]
    return facts.today - min(open_) if open_ else None


def _brought(facts: Facts) -> list[Known]:
    """Those whom the customer brought; `Unheld` where one is out of reach or counts in another currency."""
    found = [facts.find(id) for id in facts.known.linked("referrer", "to")]
    known = [other for other in found if other is not None and other.currency == facts.known.currency]
    if len(known) < len(found):
        raise Unheld
    return known


def _referral_value(facts: Facts) -> int:
    """What those whom it brought spent (S77)."""
    return sum(_spend(counted(other, facts.window, facts.today)) for other in _brought(facts))


def _referral_turns(facts: Facts, value: int, edges: Sequence[int]) -> Iterable[int]:
    return {turn for other in _brought(facts) for turn in turns_of(other, facts.window)}


def _satisfaction(facts: Facts) -> int | None:
    """Mean rating of the last three that rated, as a score."""
    rated = [deed.rating for deed in facts.deeds if deed.rating is not None][-3:]
    if len(rated) < 3 and not facts.whole:
        raise Unheld
    return (sum(rated) - len(rated)) * 25 // len(rated) if rated else None


def _opportunity(facts: Facts) -> int | None:
    """How the chance of a sale was rated last (S97)."""
    rated = [deed.opportunity for deed in facts.deeds if deed.opportunity is not None]
    if not rated and not facts.whole:
        raise Unheld
    return rated[-1] if rated else None


def _loyalty(facts: Facts) -> int | None:
    """Four equal parts (S53): months with a purchase among the last twelve, tenure up to three years, how
    regular the intervals are, and customers brought, up to two."""
    bought = facts.sums.get("purchase")
    if bought is None:
        return 0
    days = _days_bought(facts)
    months = {_month(day) for day in days[bisect_right(days, facts.today - 365) :]}
    spread, mean = _spread(facts), _interval(facts)
    regular = 0 if spread is None or not mean else max(0, 25 - 25 * spread // mean)
    tenure = min(25, 25 * (facts.today - bought.first) // 1095)
    return (
        min(25, 25 * len(months) // 12)
        + tenure
        + regular
        + min(25, 13 * len(facts.known.linked("referrer", "to")))
    )


@lru_cache(maxsize=1 << 14)
def _month(day: int) -> tuple[int, int]:
    at = date.fromordinal(day)
    return at.year, at.month


def _age(facts: Facts) -> int | None:
    born = _born(facts)
    if born is None:
        return None
    birth, today = date.fromordinal(born), date.fromordinal(facts.today)
    return today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))


def _born(facts: Facts) -> int | None:
    birth = facts.known.values.get("birth")
    return None if birth is None else born_on(birth)


# --- when a value moves by itself ---


def _ages(facts: Facts, value: int, edges: Sequence[int]) -> Iterable[int]:
    return [facts.today + edge - value for edge in edges]


def _nears(facts: Facts, value: int, edges: Sequence[int]) -> Iterable[int]:
    return [facts.today + value - edge + 1 for edge in edges]


def _silence_turns(facts: Facts, value: int, edges: Sequence[int]) -> Iterable[int]:
    interval, last = _interval(facts), facts.last(("purchase",))
    assert interval is not None
    assert last is not None
    return [last - -edge * interval // 100 for edge in edges]


def _age_turns(facts: Facts, value: int, edges: Sequence[int]) -> Iterable[int]:
    born = _born(facts)
    assert born is not None
    birth = date.fromordinal(born)
    years = [birth.year + edge for edge in edges if edge > value and birth.year + edge <= 9999]
    leap = (birth.month, birth.day) == (2, 29)
    return [
        date(year, 3, 1).toordinal() if leap and not isleap(year) else birth.replace(year=year).toordinal()
        for year in years
    ]


def _loyalty_turns(facts: Facts, value: int, edges: Sequence[int]) -> Iterable[int]:
    """When a month of the last twelve has no purchase any more, and when the tenure gives the next point."""
    bought = facts.sums.get("purchase")
    if bought is None:
        return []
    days = _days_bought(facts)
    lasts = {_month(day): day for day in days[bisect_right(days, facts.today - 365) :]}
    point = min(25, 25 * (facts.today - bought.first) // 1095) + 1
    return [
        *(day + 365 for day in lasts.values()),
        *([bought.first - -1095 * point // 25] if point <= 25 else []),
    ]


# --- scores ---


@dataclass(frozen=True, slots=True)
class Score:
    """What stands for a number by cut points of all customers."""

    of: str
    cuts: str
    window: Window | None = None
    """Of whose facts; None: of those that are asked for."""
    falls: bool = False
    """Whether a greater number makes a lower score."""
    pareto: bool = False

    def ends(self, cuts: Mapping[str, tuple[int, ...]], currency: str | None) -> tuple[int, ...] | None:
        """The cut points for a customer of that home currency: `spend`, or, where a chain has several,
        `spend CNY` of those whose home has that one; None where none are published."""
        return cuts.get(f"{self.cuts} {currency}") or cuts.get(self.cuts)

    def value(self, number: int, cuts: Sequence[int]) -> int:
        """The fifth of all customers that the number is in, 5 the best (S40); or 1 for those who bring four
        fifths together (S39), 0 for the others."""
        if self.pareto:
            return int(number >= cuts[0])
        above = sum(number > cut for cut in cuts)
        return 5 - above if self.falls else 1 + above


_YEAR = Last(12, Period.MONTH)
SCORES: Mapping[str, Score] = {
    "recency_fifth": Score("days_since_purchase", "days_since_purchase", falls=True),
    "frequency_fifth": Score("purchase_count", "purchase_count", _YEAR),
    "monetary_fifth": Score("spend", "spend", _YEAR),
    "margin_fifth": Score("margin", "margin", _YEAR),
    "margin_pareto": Score("margin", "margin_pareto", _YEAR, pareto=True),
}


def _scored(name: str) -> Callable[[Facts], int | None]:
    score = SCORES[name]

    def of(facts: Facts) -> int | None:
        cuts = score.ends(facts.cuts, facts.known.currency)
        if score.window is not None:
            facts = counted(facts.known, score.window, facts.today, facts.cuts, facts.find)
        value = METRICS[score.of].of(facts)
        return score.value(value, cuts) if cuts and value is not None else None

    return of


L = Label
METRICS: Mapping[str, MetricDef] = {
    "purchase_count": MetricDef(L("购买次数", "Purchases"), "count", _count(("purchase",))),
    "contact_count": MetricDef(L("接触次数", "Contacts"), "count", _count(CONTACTS)),
    "visit_count": MetricDef(L("到店次数", "Visits"), "count", _count(("visit",))),
    "complaint_count": MetricDef(L("投诉次数", "Complaints"), "count", _count(("complaint",))),
    "referral_count": MetricDef(L("介绍顾客数", "Customers brought"), "count", lambda f: len(f.known.linked("referrer", "to"))),
    "referral_value": MetricDef(L("介绍顾客消费额", "What those brought spent"), "money", _referral_value, _referral_turns, links="referrer"),
    "distinct_categories": MetricDef(L("购买类别数", "Categories bought"), "count", _categories),
    "distinct_products": MetricDef(L("购买商品数", "Products bought"), "count", _products),
    "days_since_purchase": MetricDef(L("距上次购买天数", "Days since the last purchase"), "days", _ago(("purchase",)), _ages),
    "days_since_contact": MetricDef(L("距上次接触天数", "Days since the last contact"), "days", _ago(CONTACTS), _ages),
    "days_since_visit": MetricDef(L("距上次到店天数", "Days since the last visit"), "days", _ago(("visit",)), _ages),
    "days_since_complaint": MetricDef(L("距上次投诉天数", "Days since the last complaint"), "days", _ago(("complaint",)), _ages),
    "waiting_days": MetricDef(L("等待答复天数", "Days since a request that nobody answered"), "days", _waiting, _ages),
    "response_days": MetricDef(L("平均答复天数", "Mean days until an answer"), "days", _response),
    "tenure_days": MetricDef(L("成为顾客天数", "Days since the first purchase"), "days", _tenure, _ages),
    "known_days": MetricDef(L("相识天数", "Days since first seen"), "days", _known_days, _ages, ("first_seen",)),
    "next_runout_days": MetricDef(L("距用完天数", "Days until a product is used up"), "days", _runout, _nears),
    "refill_days": MetricDef(L("距提醒补货天数", "Days until to remind of a refill"), "days", _refill, _nears),
    "interval_days": MetricDef(L("平均购买间隔", "Mean days between purchases"), "days", _interval),
    "interval_spread_days": MetricDef(L("购买间隔离散", "Spread of the days between purchases"), "days", _spread),
    "silence_percent": MetricDef(L("静默占平均间隔百分比", "Days since the last purchase in percent of the mean interval"), "percent", _silence, _silence_turns),
    "open_quotes": MetricDef(L("未决报价数", "Open quotes"), "count", _open_quotes),
    "spend": MetricDef(L("消费额", "Spend"), "money", _spend),
    "margin": MetricDef(L("毛利", "Margin"), "money", _margin),
    "average_order": MetricDef(L("平均单额", "Average order"), "money", _average_order),
    "effort_min": MetricDef(L("投入分钟", "Effort in minutes"), "count", _effort),
    "margin_per_hour": MetricDef(L("每小时投入毛利", "Margin per hour of effort"), "money", _margin_per_hour),
    "satisfaction": MetricDef(L("满意度", "Satisfaction"), "score", _satisfaction),
    "opportunity": MetricDef(L("机会评分", "Rating of the opportunity"), "count", _opportunity),
    "loyalty": MetricDef(L("忠诚度", "Loyalty"), "score", _loyalty, _loyalty_turns),
    "recency_fifth": MetricDef(L("最近消费五分位", "Fifth by recency"), "score", _scored("recency_fifth")),
    "frequency_fifth": MetricDef(L("消费频率五分位", "Fifth by frequency"), "score", _scored("frequency_fifth")),
    "monetary_fifth": MetricDef(L("消费额五分位", "Fifth by spend"), "score", _scored("monetary_fifth")),
    "margin_fifth": MetricDef(L("毛利五分位", "Fifth by margin"), "score", _scored("margin_fifth")),
    "margin_pareto": MetricDef(L("贡献八成毛利", "Among those who bring 80 % of the margin"), "score", _scored("margin_pareto")),
    "age": MetricDef(L("年龄", "Age"), "years", _age, _age_turns, ("birth",)),
}  # fmt: skip


# --- what is a plain count or sum of facts ----------------------------------------------------------------

_COUNTS: Mapping[str, tuple[str, ...]] = {
    "purchase_count": ("purchase",),
    "visit_count": ("visit",),
    "complaint_count": ("complaint",),
    "contact_count": tuple(sorted(CONTACTS)),
}
_BOUGHT = Filter((("kind", ("purchase", "return")),))
_SUMS: Mapping[str, tuple[str, Filter]] = {
    "spend": ("amount", _BOUGHT),
    "margin": ("margin", _BOUGHT),
    "effort_min": ("effort_min", Filter()),
}


def tallied(number: Metric) -> Count | Sum | None:
    """The count or sum that a metric is another name of."""
    if number.name in _COUNTS:
        return Count(Filter((("kind", _COUNTS[number.name]),)), number.window)
    if number.name in _SUMS:
        what, of = _SUMS[number.name]
        return Sum(what, of, number.window)
    return None


# --- counting ---------------------------------------------------------------------------------------------


def spans_of(known: Known, window: Window) -> Mapping[int, tuple[int, int]]:
    """From when to when the facts of a day count, of each day with facts that do or will."""
    held: dict[int, tuple[int, int]] | None = known.memo.get(("spans", window))
    if held is None:
        first, _ = window.days(known.today)
        held = {day: window.span(day) for day in dict.fromkeys(known.days) if day >= first}
        known.memo["spans", window] = held
    return held


def turns_of(known: Known, window: Window) -> list[int]:
    """The days to come on which a fact comes into the window or leaves it, in order."""
    held: list[int] | None = known.memo.get(("turns", window))
    if held is None:
        spans = [*spans_of(known, window).values()]
        spans += [window.span(day) for sums in known.before.values() for day in (sums.first, sums.last)]
        days = {day for span in spans for day in span}
        held = known.memo["turns", window] = sorted(day for day in days if known.today < day <= DAY_MAX)
    return held


def counted(
    known: Known,
    window: Window,
    today: int,
    cuts: Mapping[str, tuple[int, ...]] | None = None,
    find: Callable[[str], Known | None] = lambda _: None,
) -> Facts:
    """What counts in the window as of today; `Unheld` when it reaches beyond the edge in a way no sum tells."""
    first, last = window.days(today)
    older: list[str] = []
    for kind, sums in known.before.items():
        if sums.last < first or sums.first > last:
            continue
        if sums.first < first or sums.last > last:
            raise Unheld
        older.append(kind)
    start, end = bisect_left(known.days, first), bisect_right(known.days, last)
    held: _Held | None = known.memo.get((start, end, *older))
    if held is None:
        deeds = known.ordered[start:end]
        by_kind = _by_kind(deeds)
        totals = {kind: _sum(kind, of, known.currency) for kind, of in by_kind.items()}
        for kind in older:
            totals[kind] = added(known.before[kind], totals[kind]) if kind in totals else known.before[kind]
        held = known.memo[start, end, *older] = totals, deeds, by_kind
    return Facts(known, today, *held, not older, cuts or {}, window, find)


_Held = tuple[Mapping[str, Before], Sequence[Deed], Mapping[str, Sequence[Deed]]]


def summed(deeds: Iterable[Deed], currency: str | None) -> dict[str, Before]:
    """The sums of these facts by kind."""
    return {kind: _sum(kind, of, currency) for kind, of in _by_kind(deeds).items()}


def _by_kind(deeds: Iterable[Deed]) -> dict[str, list[Deed]]:
    found: dict[str, list[Deed]] = {}
    for deed in deeds:
        found.setdefault(deed.kind, []).append(deed)
    return found


def _sum(kind: str, deeds: Sequence[Deed], currency: str | None) -> Before:
    lines = [line for deed in deeds for line in deed.lines]
    bought = [line for line in lines if line.currency is None or line.currency == currency]
    costs = [line.cost for line in bought if line.cost is not None]
    days = [deed.day for deed in deeds]
    goods = lines if kind == "purchase" else []
    return Before(
        count=len(deeds),
        first=min(days),
        last=max(days),
        amount=sum([line.amount for line in bought]),
        cost=sum(costs) if len(costs) == len(bought) else None,
        quantity=sum([line.quantity for line in bought]),
        effort_min=sum([deed.effort_min for deed in deeds]),
        categories=frozenset([line.category for line in goods if line.category]),
        products=frozenset([line.product for line in goods if line.product]),
    )


def added(one: Before, other: Before) -> Before:
    """Both together: any order gives the same."""
    return Before(
        one.count + other.count,
        min(one.first, other.first),
        max(one.last, other.last),
        one.amount + other.amount,
        None if one.cost is None or other.cost is None else one.cost + other.cost,
        one.quantity + other.quantity,
        one.effort_min + other.effort_min,
        one.categories | other.categories,
        one.products | other.products,
    )
