"""Songhe Home 松禾家居, a furniture chain that does not exist: the data of demo, tests and benchmarks.

Everything follows from the seed: the same arguments write the same bytes, on any day and any machine. What
makes real data hard is all here on purpose: one number in many spellings, the same person in two branches,
lunar birthdays, three currencies, facts that correct facts. The files are what `spreadsheet` reads.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TypeVar
from zoneinfo import ZoneInfo

from regulars_schema.normal import pinyin
from regulars_server import sample_words as words

LAST_DAY = date(2026, 11, 20)
STORY_DAYS = 730
PROGRESS_ROWS = 2_000
TRIES = 50

UNIT_COLUMNS = ("external_id", "name", "kind", "parent", "time_zone", "country", "currency")
STAFF_COLUMNS = ("external_id", "name", "role", "units", "manager", "active")
PRODUCT_COLUMNS = ("external_id", "name", "category", "usage_days", "refill_lead_days", "price", "currency")
CUSTOMER_COLUMNS = (
    *("external_id", "name", "kind", "home_unit", "owner", "phones", "emails", "member_no", "wechat"),
    *("gender", "birth", "address", "acquisition_channel", "trading_since", "first_seen"),
    *("preferred_channel", "contact_by", "tags", "hobbies", "notes", "income_band", "credit_status"),
    "archived",
)
INTERACTION_COLUMNS = (
    *("external_id", "kind", "at", "unit", "staff", "channel", "party", "lines", "stage_reached", "outcome"),
    *("report_class", "effort_min", "note", "supersedes", "void"),
)

T = TypeVar("T")
Progress = Callable[[str, int, int], None]
"""Told the file, the rows written so far and the rows in all."""


@dataclass(frozen=True, slots=True)
class SampleSummary:
    directory: Path
    units: int
    staff: int
    products: int
    customers: int
    interactions: int
    without_phone: int
    twins: int
    """Customers entered a second time, in another branch, under a phone that one already has."""
    accompanied: int
    """Interactions with a companion in the party."""


def write_sample(
    directory: Path,
    seed: int = 1,
    customers: int = 2_000,
    interactions: int = 10_000,
    on_progress: Progress = lambda file, done, rows: None,
    *,
    last_day: date = LAST_DAY,
) -> SampleSummary:
    """Write units, staff, products, customers and interactions as five CSV files into `directory`.

    The interactions fill the two years that end with `last_day`. Equal arguments give equal bytes.
    `ValueError` when there are interactions and nobody to have them.
    """
    if interactions and not customers:
        raise ValueError("interactions need at least one customer")
    rng = Random(seed)
    branches = _open_branches()
    staff = _hire(rng, branches)
    people = _Register(rng, branches).enter(customers)
    facts = _live(rng, branches, people, interactions, last_day)
    for one in people:
        _describe(rng, one, last_day)

    directory.mkdir(parents=True, exist_ok=True)
    tables: tuple[tuple[str, Sequence[str], list[tuple[object, ...]]], ...] = (
        ("units.csv", UNIT_COLUMNS, list(_unit_rows(branches))),
        ("staff.csv", STAFF_COLUMNS, staff),
        ("products.csv", PRODUCT_COLUMNS, [_product_row(product) for product in PRODUCTS]),
        ("customers.csv", CUSTOMER_COLUMNS, [_customer_row(one) for one in people]),
        ("interactions.csv", INTERACTION_COLUMNS, [_fact_row(fact) for fact in facts]),
    )
    for name, header, rows in tables:
        _write(directory / name, header, rows, on_progress)
    return SampleSummary(
        directory=directory,
        units=len(words.REGIONS) + len(branches) + 1,
        staff=len(staff),
        products=len(PRODUCTS),
        customers=len(people),
        interactions=len(facts),
        without_phone=sum(1 for one in people if not one.phones),
        twins=sum(1 for one in people if one.twin),
        accompanied=sum(1 for fact in facts if ":companion" in fact.party),
    )


def _write(
    path: Path, header: Sequence[str], rows: Sequence[tuple[object, ...]], on_progress: Progress
) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for done, row in enumerate(rows, 1):
            writer.writerow(row)
            if done % PROGRESS_ROWS == 0 and done < len(rows):
                on_progress(path.name, done, len(rows))
    on_progress(path.name, len(rows), len(rows))


# --- the chain ----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Branch:
    id: str
    name: str
    region: str
    city: str
    area_code: str
    zone: ZoneInfo
    country: str
    currency: str
    weight: int
    manager: str = ""
    clerks: list[str] = field(default_factory=list)
    customers: list[_Customer] = field(default_factory=list)


def _open_branches() -> list[_Branch]:
    return [
        _Branch(
            *(f"U-{n:02}", name, words.REGIONS[region][0], city, area_code),
            *(ZoneInfo(zone), country, currency, weight),
        )
        for n, (name, region, city, area_code, (zone, country, currency), weight) in enumerate(
            words.BRANCHES, 2 + len(words.REGIONS)
        )
    ]


def _unit_rows(branches: list[_Branch]) -> Iterator[tuple[str, ...]]:
    yield "U-01", "Songhe Home 松禾家居", "company", "", *words.SHANGHAI
    for id, name, place in words.REGIONS:
        yield id, name, "region", "U-01", *place
    for branch in branches:
        yield (
            *(branch.id, branch.name, "branch", branch.region),
            *(branch.zone.key, branch.country, branch.currency),
        )


def _hire(rng: Random, branches: list[_Branch]) -> list[tuple[object, ...]]:
    """Forty: an administrator, an analyst, three regional and twelve branch managers, 23 clerks.

    One clerk serves two branches, and one has left.
    """
    rows: list[tuple[object, ...]] = []

    def hire(role: str, units: str, manager: str, country: str = "CN", active: str = "true") -> str:
        id = f"S-{len(rows) + 1:03}"
        name, _ = _person_name(rng, country, rng.choice(words.GENDERS))
        rows.append((id, name, role, units, manager, active))
        return id

    admin = hire("admin", "U-01", "")
    hire("analyst", "U-01", admin)
    heads = {id: hire("manager", id, admin) for id, *_ in words.REGIONS}
    for branch in branches:
        branch.manager = hire("manager", branch.id, heads[branch.region], branch.country)
    first, second, *_ = branches
    for branch in branches:
        units = f"{first.id};{second.id}" if branch is first else branch.id
        branch.clerks.append(hire("clerk", units, branch.manager, branch.country))
    second.clerks.append(first.clerks[0])
    for branch in branches[1:-1]:
        branch.clerks.append(hire("clerk", branch.id, branch.manager, branch.country))
    hire("clerk", first.id, first.manager, active="false")
    return rows


# --- goods --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Product:
    id: str
    name: str
    category: str
    price: int
    """Minor units of CNY."""
    pieces_max: int
    usage_days: int = 0
    refill_lead_days: int = 0


def _stock() -> list[_Product]:
    products: list[_Product] = []
    for category, pieces_max, prices in words.RANGE:
        for name, price in prices.items():
            yuan, *use = price if isinstance(price, tuple) else (price,)
            id = f"P-{len(products) + 1:04}"
            products.append(_Product(id, name, category, yuan * 100, pieces_max, *use))
    return products


PRODUCTS = tuple(_stock())
CONSUMABLES = tuple(product for product in PRODUCTS if product.usage_days)


def _product_row(product: _Product) -> tuple[object, ...]:
    use = (product.usage_days or "", product.refill_lead_days or "")
    return product.id, product.name, product.category, *use, product.price, "CNY"


@dataclass(frozen=True, slots=True)
class _Line:
    what: str
    quantity: int
    amount: int
    cost: int
    currency: str

    def spelled(self, with_cost: bool) -> str:
        cost = f"/{self.cost}" if with_cost else ""
        return f"{self.what}*{self.quantity}={self.amount}{cost}{self.currency}"

    def returned(self) -> _Line:
        return replace(self, quantity=-self.quantity, amount=-self.amount, cost=-self.cost)


def _basket(rng: Random, branch: _Branch, owns: bool) -> list[_Line]:
    """One to four different things; who owns furniture comes back for what wears out."""
    refill = owns and rng.random() < 0.45
    wanted = rng.sample(CONSUMABLES if refill else PRODUCTS, rng.choices((1, 2, 3, 4), (50, 28, 14, 8))[0])
    lines = []
    for product in wanted:
        quantity = rng.randint(1, product.pieces_max)
        price = product.price * 100 // words.HUNDREDTHS_OF_CNY[branch.currency]
        amount = price * quantity * rng.choice((100, 100, 100, 95, 90, 88)) // 100
        cost = price * quantity * (52 + int(product.id[2:]) % 13) // 100
        what = product.id
        if product.price > 100_000 and rng.random() < 0.05:
            what = f'"name:{rng.choice(words.CUSTOM_PIECES[branch.country != "CN"])}"'
        lines.append(_Line(what, quantity, amount, cost, branch.currency))
    return lines


# --- customers ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Number:
    country: str
    digits: str
    """National, without the trunk prefix."""
    area_chars: int = 0
    """How many of them are the area code of a fixed line."""
    extension: int = 0


@dataclass(slots=True)
class _Customer:
    id: str
    person: bool
    name: str
    latin: bool
    gender: str
    branch: _Branch
    owner: str
    number: _Number | None = None
    phones: str = ""
    twin: bool = False
    first_at: datetime | None = None
    first_bought_at: datetime | None = None
    purchases: int = 0
    card: dict[str, str] = field(default_factory=dict)


class _Register:
    """Enters customers one after another, some of them for the second time."""

    def __init__(self, rng: Random, branches: list[_Branch]) -> None:
        self.rng = rng
        self.branches = branches
        self.entered: list[_Customer] = []
        self.taken: set[_Number] = set()

    def enter(self, count: int) -> list[_Customer]:
        rng = self.rng
        weights = [branch.weight for branch in self.branches]
        again = set(rng.sample(range(1, count + 1), count // 100))
        for n, branch in enumerate(rng.choices(self.branches, weights, k=count), 1):
            known = self._elsewhere(branch) if n in again else None
            one = self._twin(known, branch) if known else self._stranger(branch)
            one.id = f"C-{n:05}"
            if rng.random() < 0.85:
                one.owner = rng.choice(branch.clerks)
            branch.customers.append(one)
            self.entered.append(one)
        return self.entered

    def _stranger(self, branch: _Branch) -> _Customer:
        rng = self.rng
        person = rng.random() < 0.85
        gender = rng.choice(words.GENDERS) if person else ""
        name, latin = (
            _person_name(rng, branch.country, gender) if person else _organization_name(rng, branch.country)
        )
        one = _Customer("", person, name, latin, gender, branch, "")
        if rng.random() >= 0.03:
            one.number = self._number(branch, mobile=person)
            one.phones = _spell(rng, one.number, branch.country)
            if rng.random() < 0.12:
                one.phones += ";" + _spell(rng, self._number(branch, mobile=not person), branch.country)
        return one

    def _elsewhere(self, branch: _Branch) -> _Customer | None:
        """Somebody with a phone whom another branch knows."""
        for _ in range(TRIES if self.entered else 0):
            known = self.rng.choice(self.entered)
            if known.person and known.number and not known.twin and known.branch is not branch:
                return known
        return None

    def _twin(self, known: _Customer, branch: _Branch) -> _Customer:
        """The same person as another clerk would write it down."""
        rng = self.rng
        name = known.name
        if rng.random() < 0.2:
            name = name.upper() if known.latin else f"{name[0]} {name[1:]}"
        one = replace(known, name=name, branch=branch, owner="", twin=True, card={})
        if known.number:
            one.phones = _spell(rng, known.number, branch.country)
        return one

    def _number(self, branch: _Branch, mobile: bool) -> _Number:
        """A number that nobody has, so that whoever shares one is meant to."""
        while True:
            number = _dial(self.rng, branch, mobile)
            if (bare := replace(number, extension=0)) not in self.taken:
                self.taken.add(bare)
                return number


def _dial(rng: Random, branch: _Branch, mobile: bool) -> _Number:
    extension = rng.randint(11, 899) if not mobile and rng.random() < 0.3 else 0
    if branch.country == "SG":
        head = rng.choice("89") if mobile else "6"
        return _Number("SG", f"{head}{rng.randrange(10**7):07}", extension=extension)
    if branch.country == "CA":
        area = rng.choice(("416", "647", "437", "905"))
        return _Number("CA", f"{area}{rng.randint(200, 999)}{rng.randrange(10**4):04}", 3, extension)
    if mobile:
        return _Number("CN", f"{rng.choice(words.MOBILE_HEADS)}{rng.randrange(10**8):08}")
    area = branch.area_code[1:]
    return _Number("CN", f"{area}{rng.choice('5678')}{rng.randrange(10**7):07}", len(area), extension)


def _spell(rng: Random, number: _Number, country: str) -> str:
    """One of the ways in which people write the number, such that it can be dialled in `country`."""
    digits, code = number.digits, words.CALLING_CODES[number.country]
    at_home = number.country == country
    if number.country == "CA":
        area, office, line = digits[:3], digits[3:6], digits[6:]
        spelled = [f"+{code} ({area}) {office}-{line}", f"+{code} {area} {office} {line}", f"+{code}{digits}"]
        if at_home:
            spelled += [f"{area}-{office}-{line}", f"({area}) {office}-{line}", f"{area}.{office}.{line}"]
    elif number.country == "SG":
        head, tail = digits[:4], digits[4:]
        spelled = [f"+{code} {head} {tail}", f"+{code}-{digits}"]
        if at_home:
            spelled += [f"{head} {tail}", digits, f"{head}-{tail}"]
    elif number.area_chars:
        area, line = digits[: number.area_chars], digits[number.area_chars :]
        spelled = [f"+{code} {area} {line[:4]} {line[4:]}", f"+{code}-{area}-{line}"]
        if at_home:
            spelled += [f"(0{area}) {line[:4]} {line[4:]}", f"0{area}-{line}", f"（0{area}）{line}"]
    else:
        head, middle, tail = digits[:3], digits[3:7], digits[7:]
        spelled = [f"+{code}-{digits}", f"+{code} {head} {middle} {tail}", f"(+{code}){digits}"]
        if at_home:
            spelled += [f"00{code} {digits}", f"{head} {middle} {tail}", f"{head}-{middle}-{tail}"]
            spelled += [digits] * 4 + [digits.translate(words.FULL_WIDTH)]
    return rng.choice(spelled) + (f" ext. {number.extension}" if number.extension else "")


# --- names --------------------------------------------------------------------------------------

SURNAME_WEIGHTS = tuple(72_000 // (rank + 9) for rank in range(len(words.SURNAMES)))


def _surname(rng: Random) -> str:
    if rng.random() < 0.025:
        return rng.choice(words.COMPOUND_SURNAMES)
    return rng.choices(words.SURNAMES, SURNAME_WEIGHTS)[0]


def _person_name(rng: Random, country: str, gender: str) -> tuple[str, bool]:
    """A name, and whether it is written in Latin letters."""
    if rng.random() < words.HAN_SHARE[country]:
        given = words.GIVEN[gender]
        second = rng.choice(given) if rng.random() < 0.8 else ""
        return f"{_surname(rng)}{rng.choice(given)}{second}", False
    if country == "CA" or (country == "CN" and rng.random() < 0.5):
        return f"{rng.choice(words.WESTERN_GIVEN[gender])} {rng.choice(words.WESTERN_SURNAMES)}", True
    if rng.random() < 0.3:
        return rng.choice(words.STRAITS_OTHER[gender]), True
    surname, given_name = rng.choice(words.STRAITS_SURNAMES), rng.choice(words.STRAITS_GIVEN[gender])
    return f"{surname} {given_name}" if " " in given_name else f"{given_name} {surname}", True


def _organization_name(rng: Random, country: str) -> tuple[str, bool]:
    if country != "CN":
        return f"{rng.choice(words.LATIN_WORDS)} {rng.choice(words.LATIN_TRADES)}", True
    place = rng.choice(words.ORGANIZATION_PLACES)
    return f"{place}{rng.choice(words.ORGANIZATION_WORDS)}{rng.choice(words.ORGANIZATION_TRADES)}", False


def _title(rng: Random, latin: bool) -> str:
    """Somebody of whom only this much was noted: `赵女士`, `Mrs Martin`."""
    title = rng.choice(words.TITLES[latin])
    if latin:
        return f"{title} {rng.choice(words.WESTERN_SURNAMES + words.STRAITS_SURNAMES)}"
    return f"{_surname(rng)}{title}"


# --- what a card says ---------------------------------------------------------------------------


def _describe(rng: Random, one: _Customer, last_day: date) -> None:
    """Fill the card. Its dates agree with the story, so this comes after it."""
    card, branch, n = one.card, one.branch, int(one.id[2:])
    in_china = branch.country == "CN"
    if rng.random() < (0.3 if one.person else 0.6):
        letters = "".join(ch for ch in pinyin(one.name)[0] if ch.isascii() and ch.isalnum())[:24]
        card["emails"] = f"{letters.title() if n % 10 == 0 else letters}{n}@{rng.choice(words.MAIL_HOSTS)}"
    if rng.random() < 0.5:
        card["member_no"] = f"SH{260_000 + n * 7}"
    if one.person:
        _describe_person(rng, one)
    if rng.random() < 0.5:
        road, number = rng.choice(words.ROADS[branch.country]), rng.randint(1, 1200)
        room = f"{rng.randint(1, 40)}幢{rng.randint(101, 3204)}室"
        card["address"] = (
            f"{branch.city}{road}{number}号{room}" if in_china else f"{number} {road}, {branch.city}"
        )
    if rng.random() < 0.7:
        card["acquisition_channel"] = _weighted(rng, words.ACQUIRED)
    old = _date(rng, one, last_day)
    if rng.random() < 0.3:
        card["preferred_channel"] = rng.choice(("phone", "wechat", "sms") if in_china else ("phone", "email"))
    if rng.random() < 0.5:
        ways = ("phone", "sms", "wechat", "email", "post")
        card["contact_by"] = ";".join(rng.sample(ways, rng.randint(1, 4)))
    tags = words.TAGS if one.person else words.ORGANIZATION_TAGS
    chosen = rng.sample(tags, _weighted(rng, {0: 55, 1: 33, 2: 12}))
    card["tags"] = ";".join([*chosen, *["老客户"] * old, *["VIP"] * (one.purchases >= 5)])
    if rng.random() < 0.25:
        card["notes"] = rng.choice(words.CARD_NOTES[one.latin])
    if rng.random() < (0.08 if one.person else 0.5):
        card["credit_status"] = _weighted(rng, {"good": 70, "unknown": 15, "watch": 11, "dangerous": 4})
    if rng.random() < 0.008:
        card["archived"] = "true"


def _describe_person(rng: Random, one: _Customer) -> None:
    card = one.card
    if not one.latin and rng.random() < 0.4:
        card["wechat"] = f"wx_{rng.randrange(16**8):08x}"
    if rng.random() < 0.8:
        card["gender"] = one.gender
    if rng.random() < 0.55:
        card["birth"] = _birth(rng, one.latin)
    card["hobbies"] = ";".join(rng.sample(words.HOBBIES, _weighted(rng, {0: 60, 1: 22, 2: 12, 3: 6})))
    if rng.random() < 0.2:
        card["income_band"] = _weighted(rng, {"low": 2, "middle": 5, "high": 3, "very_high": 1})


def _date(rng: Random, one: _Customer, last_day: date) -> bool:
    """When the customer was first seen and first bought; whether that was long ago."""
    begin = last_day - timedelta(STORY_DAYS)
    if old := rng.random() < 0.12:
        since = begin - timedelta(rng.randint(30, 3650))
        one.card["trading_since"] = since.isoformat()
        first_at = _opening(rng, one.branch, since)
    else:
        if one.first_bought_at:
            bought_on = one.first_bought_at.astimezone(one.branch.zone).date()
            one.card["trading_since"] = bought_on.isoformat()
        quiet = begin + timedelta(rng.randrange(STORY_DAYS))
        first_at = one.first_at or _opening(rng, one.branch, quiet)
    one.card["first_seen"] = _instant(first_at)
    return old


def _birth(rng: Random, latin: bool) -> str:
    year, month, day = rng.randint(1944, 2006), rng.randint(1, 12), rng.randint(1, 28)
    kind = rng.random()
    if kind < 0.18 and not latin:
        return f"lunar:{year}-{month:02}-{day:02}"
    return f"{month:02}-{day:02}" if kind > 0.85 else f"{year}-{month:02}-{day:02}"


def _weighted(rng: Random, weights: dict[T, int]) -> T:
    return rng.choices(tuple(weights), tuple(weights.values()))[0]


def _customer_row(one: _Customer) -> tuple[object, ...]:
    kind = "person" if one.person else "organization"
    known = (one.id, one.name, kind, one.branch.id, one.owner, one.phones)
    return *known, *(one.card.get(column, "") for column in CUSTOMER_COLUMNS[len(known) :])


# --- what happened ------------------------------------------------------------------------------


@dataclass(slots=True)
class _Fact:
    kind: str
    at: datetime
    unit: str
    staff: str
    channel: str = ""
    party: str = ""
    lines: list[_Line] = field(default_factory=list)
    with_cost: bool = False
    stage_reached: int = 0
    outcome: str = ""
    report_class: str = ""
    effort_min: int = 0
    note: str = ""
    supersedes: _Fact | None = None
    void: bool = False
    id: str = ""


def _fact_row(fact: _Fact) -> tuple[object, ...]:
    return (
        *(fact.id, fact.kind, _instant(fact.at), fact.unit, fact.staff, fact.channel, fact.party),
        ";".join(line.spelled(fact.with_cost) for line in fact.lines),
        *(fact.stage_reached or "", fact.outcome, fact.report_class, fact.effort_min or "", fact.note),
        *(fact.supersedes.id if fact.supersedes else "", "true" if fact.void else ""),
    )


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _opening(rng: Random, branch: _Branch, day: date) -> datetime:
    """A moment of that day while the branch is open, 10:00 to 21:00 there."""
    hour, minute = divmod(rng.randrange(10 * 60, 21 * 60), 60)
    at = datetime(day.year, day.month, day.day, hour, minute, rng.randrange(60), tzinfo=branch.zone)
    return at.astimezone(UTC)


def _live(
    rng: Random, branches: list[_Branch], people: list[_Customer], count: int, last_day: date
) -> list[_Fact]:
    """Every customer's story, together in order of time and numbered so.

    Few customers have much of it and some have none.
    """
    spans = [_span(rng) for _ in people]
    weights = [(rng.random() ** 3 + 0.02) * (last - first + 20) for first, last in spans]
    shares = Counter(rng.choices(range(len(people)), weights, k=count) if people else ())
    facts = [
        fact
        for n, (one, span) in enumerate(zip(people, spans, strict=True))
        for fact in _Story(rng, branches, one, last_day).tell(shares[n], span)
    ]
    facts.sort(key=lambda fact: fact.at)
    for n, fact in enumerate(facts, 1):
        fact.id = f"I-{n:06}"
    return facts


def _span(rng: Random) -> tuple[int, int]:
    """The first and last day, of the two years, on which one may come: some came before, some stay away."""
    first = rng.randrange(-STORY_DAYS // 2, STORY_DAYS - 10)
    days = rng.randrange(10, 240) if rng.random() < 0.55 else rng.randrange(240, 2 * STORY_DAYS)
    last = min(STORY_DAYS - 1, max(first, 0) + days)
    return max(first, 0), last


class _Story:
    """One customer from the first visit on: looking, weighing, owning, sometimes upset."""

    def __init__(self, rng: Random, branches: list[_Branch], one: _Customer, last_day: date) -> None:
        self.rng = rng
        self.one = one
        self.last_day = last_day
        self.near = [branch for branch in branches if branch.country == one.branch.country]
        self.mood = "new"
        self.stage = 0
        self.bought: list[_Line] = []

    def tell(self, count: int, span: tuple[int, int]) -> list[_Fact]:
        rng, one = self.rng, self.one
        begin = self.last_day - timedelta(STORY_DAYS - 1)
        days = [begin + timedelta(rng.randint(*span)) for _ in range(count)]
        facts: list[_Fact] = []
        bought: list[_Fact] = []
        for at in sorted(_opening(rng, one.branch, day) for day in days):
            before = facts[-1] if facts else None
            if before and before.kind == "purchase" and not before.supersedes and rng.random() < 0.04:
                fact = self._correct(before)
                bought.remove(before)
            else:
                fact = self._happen(at)
            facts.append(fact)
            if fact.kind == "purchase" and not fact.void:
                bought.append(fact)
        one.first_at = facts[0].at if facts else None
        one.first_bought_at = bought[0].at if bought else None
        one.purchases = len(bought)
        return facts

    def _happen(self, at: datetime) -> _Fact:
        rng, one = self.rng, self.one
        branch = one.branch if rng.random() < 0.94 else rng.choice(self.near)
        kind = _weighted(rng, words.NEXT[self.mood])
        if kind == "return" and not self.bought:
            kind = "followup"
        owner = one.owner if branch is one.branch and rng.random() < 0.7 else ""
        fact = _Fact(kind, at, branch.id, owner or rng.choice((*branch.clerks, branch.manager)))
        fact.channel = rng.choice(words.CHANNELS.get(kind, ("store",)))
        fact.party = self._party()
        if kind in words.OUTCOMES:
            fact.outcome = rng.choice(words.OUTCOMES[kind])
        if rng.random() < 0.7:
            fact.effort_min = rng.randint(*words.EFFORT_MIN.get(kind, (2, 20)))
        if kind in words.NOTES and fact.outcome != "no_answer" and rng.random() < 0.4:
            fact.note = rng.choice(words.NOTES[kind][one.latin])
        fact.report_class = self._reported(kind)
        self._move(fact, branch)
        return fact

    def _move(self, fact: _Fact, branch: _Branch) -> None:
        """How far this brought the customer, and what was on the table."""
        rng = self.rng
        owns = self.mood in ("owner", "upset")
        match fact.kind:
            case "visit":
                self.stage = min(8 if owns else 6, self.stage + rng.choice((0, 1, 1, 2)))
                fact.stage_reached = max(1, self.stage)
                if not owns:
                    self.mood = "weighing" if self.stage >= 5 else "browsing"
            case "quote":
                self.stage = max(self.stage, 5)
                fact.stage_reached = self.stage
                fact.lines = _basket(rng, branch, owns)
                self.mood = "weighing"
            case "purchase":
                fact.stage_reached, self.stage = 7, 2
                fact.lines = self.bought = _basket(rng, branch, owns)
                fact.with_cost = rng.random() < 0.9
                self.mood = "owner"
            case "return":
                fact.lines = [rng.choice(self.bought).returned()]
                fact.with_cost = True
                self.bought = []
            case "complaint":
                self.mood = "upset"
            case "service":
                self.mood = "owner"
            case "followup" if owns and fact.outcome == "solved":
                fact.stage_reached = 8
                self.mood = "owner"
            case _ if self.mood == "new":
                self.mood = "browsing"

    def _correct(self, wrong: _Fact) -> _Fact:
        """A further fact of the same moment: the purchase as it really was, or that there was none."""
        if self.rng.random() < 0.4:
            self.bought = []
            return replace(wrong, lines=[], stage_reached=0, outcome="", supersedes=wrong, void=True, note="")
        last = wrong.lines[-1]
        self.bought = [*wrong.lines[:-1], replace(last, amount=last.amount * 9 // 10)]
        note = words.CORRECTION_NOTE[self.one.latin]
        return replace(wrong, lines=self.bought, supersedes=wrong, note=note)

    def _party(self) -> str:
        rng, one = self.rng, self.one
        if rng.random() < 0.06:
            other = rng.choice(one.branch.customers)
            if rng.random() < 0.03 and other is not one:
                return f"{one.id};{other.id}:companion"
            return f"{one.id};?{_title(rng, one.latin)}:companion"
        if not one.person and rng.random() < 0.2:
            return f"{one.id};?{_title(rng, one.latin)}:decider"
        return one.id

    def _reported(self, kind: str) -> str:
        if kind == "complaint":
            return "urgent" if self.rng.random() < 0.6 else "routine"
        return _weighted(self.rng, {"": 70, "routine": 25, "periodic": 5})
