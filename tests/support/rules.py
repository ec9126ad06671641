"""Rules and customers drawn by Hypothesis, and the words that they may use."""

from __future__ import annotations

from datetime import UTC, date
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from regulars_schema.custom import fields
from regulars_schema.declare import JSON, Field
from regulars_schema.entities import CHANNEL, OUTCOME
from regulars_schema.rules.knowing import Assigned, Chain, Deed, Known, Line, SchemeRules, SegmentRule
from regulars_schema.rules.metrics import METRICS, summed
from regulars_schema.rules.tree import COMPARED, MONEY, SUMS, Rule, Vocabulary, field_ops, has_day, read
from regulars_schema.rules.windows import iso

TODAY = date(2026, 11, 22).toordinal()
IDS = [f"00000000-0000-7000-8000-00000000000{i}" for i in range(6)]
STAFF, UNITS, PRODUCTS = IDS[:2], IDS[2:4], IDS[4:]
SEGMENTS = [f"00000000-0000-7000-8000-00000000010{i}" for i in range(3)]
CATEGORIES = ["oak", "布艺"]
SCHEMES = {"lifecycle": ("prospect", "new", "old", "mature"), "motive": ("cheap", "fame")}
DEFINED = [
    {
        "key": key, "type": type, "rule": rule, "sensitivity": "internal", "choices": choices,
        "label": {"zh": "自定", "en": "Own"},
    }
    for key, type, rule, choices in [
        ("shoe_size", "integer", "last_writer", None),
        ("材质", "choice", "or_set", ["橡木", "true"]),
        ("fitted", "boolean", "last_writer", None),
        ("moved_on", "date", "max", None),
        ("nickname", "text", "last_writer", None),
    ]
]  # fmt: skip
WORDS = Vocabulary(METRICS, SCHEMES, dict.fromkeys(SEGMENTS, ""), custom=fields(DEFINED))
TEXTS = st.sampled_from(["林芳", "Lin Fang", "林 Ann", "ann", 'a "b"', "Zoë", "橡木"])
UNIT_NAMES = st.sampled_from(["day", "week", "month", "year"])
OPS = st.sampled_from(COMPARED)


def declared(name: str) -> Field:
    found = WORDS.field(name)
    assert found is not None
    return found


def _values(name: str, op: str) -> st.SearchStrategy[JSON]:
    of = declared(name).type
    kind = type(of).__name__
    one: st.SearchStrategy[JSON] = {
        "Enum": lambda: st.sampled_from(list(of.values)),  # type: ignore[attr-defined]
        "Ref": lambda: st.sampled_from(STAFF + UNITS + SEGMENTS),
        "Bool": st.booleans,
        "Int": lambda: st.integers(1, 5),
    }.get(kind, lambda: TEXTS)()
    if op == "between":
        return st.lists(one, min_size=2, max_size=2).map(sorted)
    if op == "in":
        return st.lists(one, min_size=1, max_size=3)
    return one


@st.composite
def field_tests(draw: st.DrawFn) -> JSON:
    name = draw(st.sampled_from([f.name for f in WORDS.fields if f.name != "birth"]))
    op = draw(st.sampled_from(field_ops(declared(name))))
    test = {"field": name, "op": op}
    return test if op in ("exists", "missing") else {**test, "value": draw(_values(name, op))}


def _some(values: list[JSON]) -> st.SearchStrategy[list[JSON]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


FILTERS: st.SearchStrategy[JSON] = st.fixed_dictionaries(
    {},
    optional={
        "kind": _some(["visit", "purchase", "return", "call", "complaint"]),
        "channel": _some(list(CHANNEL.values)),
        "category": _some(CATEGORIES),
        "product": _some(PRODUCTS),
        "outcome": _some(list(OUTCOME.values)),
        "stage_reached": _some(list(range(1, 9))),
        "unit": _some(UNITS),
        "place": st.just(["outdoor"]),
        "topic": _some(["family", "demand"]),
    },
)  # fmt: skip
DAYS = st.integers(TODAY - 900, TODAY + 40)
LASTS: st.SearchStrategy[JSON] = st.one_of(
    st.fixed_dictionaries({"last": st.integers(1, 40), "unit": UNIT_NAMES}),
    st.fixed_dictionaries({"this": UNIT_NAMES}),
    st.fixed_dictionaries({"previous": UNIT_NAMES}),
    st.builds(lambda a, b: {"from": iso(min(a, b)), "to": iso(max(a, b))}, DAYS, DAYS),
)
NEXTS: st.SearchStrategy[JSON] = st.fixed_dictionaries({"next": st.integers(1, 40), "unit": UNIT_NAMES})
WINDOWED = st.one_of(st.just({}), st.builds(lambda w: {"window": w}, LASTS))


@st.composite
def number_tests(draw: st.DrawFn) -> JSON:
    number = draw(
        st.one_of(
            st.builds(lambda f, w: {"count": f, **w}, FILTERS, WINDOWED),
            st.builds(
                lambda s, f, w, c: {"sum": s, "of": f, **w} | (c if s in MONEY else {}),
                st.sampled_from(SUMS), FILTERS, WINDOWED,
                st.sampled_from([{}, {"currency": "CNY"}, {"currency": "JPY"}]),
            ),
            st.builds(lambda m, w: {"metric": m, **w}, st.sampled_from(list(METRICS)), WINDOWED),
        )
    )  # fmt: skip
    op = draw(OPS)
    low, high = draw(st.integers(-3, 60)), draw(st.integers(0, 400))
    return {"number": number, "op": op, "value": sorted([low, high]) if op == "between" else low}


@st.composite
def date_tests(draw: st.DrawFn) -> JSON:
    day = st.builds(iso, DAYS)
    field = {"field": draw(st.sampled_from([f.name for f in WORDS.fields if has_day(f)]))}
    kind = draw(st.sampled_from(["literal", "window", "anniversary"]))
    if kind == "anniversary":
        test = {"date": field, "op": "anniversary", "value": draw(NEXTS)}
        return {**test, **draw(st.sampled_from([{}, {"calendar": "lunar"}]))}
    of = {draw(st.sampled_from(["first", "last"])): draw(FILTERS)}
    date_ = draw(st.sampled_from([field, of]))
    if kind == "literal":
        return {"date": date_, "op": draw(st.sampled_from(["on", "before", "after"])), "value": draw(day)}
    return {"date": date_, "op": "within", "value": draw(st.one_of(LASTS, NEXTS))}


OTHER_TESTS: st.SearchStrategy[JSON] = st.one_of(
    st.sampled_from([{"is": scheme, "values": [v]} for scheme, values in SCHEMES.items() for v in values]),
    st.sampled_from(SEGMENTS).map(lambda s: {"in": s}),
    st.sampled_from(UNITS).map(lambda u: {"under": u}),
    st.sampled_from(["me", "team"]).map(lambda w: {"owner": w}),
    st.sampled_from(["heard", "closed"]).map(lambda s: {"case": "complaint", "states": [s]}),
    st.sampled_from(["open", "done"]).map(lambda s: {"task": "second purchase", "states": [s]}),
    st.sampled_from(["sms", "phone"]).map(lambda c: {"consent": "marketing", "channel": c}),
    st.builds(
        lambda k, d: {"link": k, **d},
        st.sampled_from(["companion", "referrer"]),
        st.sampled_from([{}, {"direction": "to"}, {"direction": "from"}]),
    ),
)  # fmt: skip
TESTS: st.SearchStrategy[JSON] = st.one_of(field_tests(), number_tests(), date_tests(), OTHER_TESTS)


def _more(inner: st.SearchStrategy[JSON]) -> st.SearchStrategy[JSON]:
    return st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda rules: {"all": rules}),
        st.lists(inner, min_size=2, max_size=3).map(lambda rules: {"any": rules}),
        inner.map(lambda rule: {"not": rule}),
    )


JSON_RULES = st.recursive(TESTS, _more, max_leaves=5)
RULES: st.SearchStrategy[Rule] = JSON_RULES.map(lambda given: read(given, WORDS))


# --- customers --------------------------------------------------------------------------------------------

LINES = st.builds(
    Line,
    product=st.sampled_from([None, *PRODUCTS]),
    category=st.sampled_from([None, *CATEGORIES]),
    quantity=st.integers(1, 3),
    amount=st.integers(-20, 40),
    cost=st.one_of(st.none(), st.integers(0, 20)),
    currency=st.sampled_from([None, "CNY", "JPY"]),
    usage_days=st.sampled_from([None, 30]),
    lead_days=st.sampled_from([0, 7]),
)
DEEDS = st.builds(
    Deed,
    id=st.uuids(version=4).map(str),
    day=st.integers(TODAY - 900, TODAY + 20),
    kind=st.sampled_from(["visit", "purchase", "return", "call", "complaint", "touch"]),
    unit=st.sampled_from([None, *UNITS]),
    channel=st.sampled_from([None, *CHANNEL.values]),
    stage_reached=st.one_of(st.none(), st.integers(1, 8)),
    outcome=st.sampled_from([None, *OUTCOME.values]),
    effort_min=st.integers(0, 30),
    rating=st.one_of(st.none(), st.integers(1, 5)),
    opportunity=st.one_of(st.none(), st.integers(0, 6)),
    place=st.sampled_from([None, "indoor", "outdoor"]),
    topic=st.sampled_from([(), ("family",), ("demand", "family")]),
    lines=st.lists(LINES, max_size=2).map(tuple),
)
BIRTHS = st.fixed_dictionaries(
    {
        "year": st.sampled_from([None, 1960, 1985, 2000]),
        "month": st.integers(1, 12),
        "day": st.integers(1, 29),
    },
    optional={"calendar": st.sampled_from(["solar", "lunar"]), "leap": st.booleans()},
)
VALUES: st.SearchStrategy[dict[str, JSON]] = st.fixed_dictionaries(
    {"name": TEXTS},
    optional={
        "gender": st.sampled_from(["female", "male"]),
        "kind": st.sampled_from(["person", "organization"]),
        "birth": BIRTHS,
        "tags": st.lists(TEXTS, max_size=2, unique=True),
        "owner": st.sampled_from(STAFF),
        "archived": st.booleans(),
        "trading_since": st.builds(iso, DAYS),
        "first_seen": st.builds(lambda d: f"{iso(d)}T23:30:00.000Z", DAYS),
        "notes": TEXTS,
        "industry": TEXTS,
        "headcount": st.integers(0, 6),
        "do_not_contact": st.booleans(),
        "groups": st.lists(TEXTS, max_size=2, unique=True),
        "custom.shoe_size": st.integers(1, 5),
        "custom.材质": st.just(["橡木"]),
        "custom.moved_on": st.builds(iso, DAYS),
    },
)
KNOWN = st.builds(
    Known,
    id=st.sampled_from(IDS),
    today=st.just(TODAY),
    zone=st.sampled_from([UTC, ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")]),
    values=VALUES,
    hidden=st.sets(st.sampled_from(["notes", "income_band"]), max_size=1).map(frozenset),
    deeds=st.lists(DEEDS, max_size=8).map(lambda deeds: tuple(sorted(deeds, key=lambda d: d.day))),
    assigned=st.dictionaries(
        st.sampled_from(["lifecycle", "motive"]),
        st.lists(
            st.builds(
                Assigned, st.sampled_from(["new", "mature", "fame"]), st.sampled_from(["person", "import"]),
                DAYS, st.one_of(st.none(), st.integers(TODAY - 5, TODAY + 30)),
            ), max_size=2,
        ).map(tuple),
        max_size=1,
    ),
    outward=st.sampled_from([{}, {"companion": (IDS[1],)}, {"referrer": (IDS[1], IDS[2])}]),
    inward=st.sampled_from([{}, {"companion": (IDS[2],)}]),
    segments=st.sets(st.sampled_from(SEGMENTS), max_size=1).map(frozenset),
    excluded=st.sets(st.sampled_from(SEGMENTS), max_size=1).map(frozenset),
    cases=st.sampled_from([{}, {"complaint": ("heard",)}]),
    consents=st.sampled_from([frozenset(), frozenset({("marketing", "sms")})]),
    units=st.sets(st.sampled_from(UNITS)).map(frozenset),
    currency=st.sampled_from(["CNY", None]),
)  # fmt: skip


def rule(text: JSON) -> Rule:
    return read(text, WORDS)


BOUGHT = {"kind": ["purchase"]}
HALF = {"last": 6, "unit": "month"}
CHAIN = Chain(
    schemes={
        "lifecycle": SchemeRules(
            "rule",
            (
                ("mature", rule({"number": {"metric": "purchase_count"}, "op": ">=", "value": 3})),
                ("old", rule({"number": {"count": BOUGHT, "window": HALF}, "op": ">", "value": 0})),
                ("prospect", rule({"number": {"metric": "contact_count"}, "op": ">=", "value": 1})),
            ),
            {"mature": "old"},
        ),
        "motive": SchemeRules("person", multi=True),
    },
    segments={
        SEGMENTS[0]: SegmentRule(rule({"number": {"metric": "days_since_contact"}, "op": "<", "value": 30})),
        SEGMENTS[1]: SegmentRule(rule({"in": SEGMENTS[2]})),
        SEGMENTS[2]: SegmentRule(rule({"any": [{"in": SEGMENTS[1]}, {"in": SEGMENTS[0]}]})),
    },
    cuts={"days_since_purchase": (10, 30, 90, 365), "spend": (0, 10, 20, 40), "margin_pareto": (15,)},
    me=STAFF[0],
    team=frozenset(STAFF),
)  # fmt: skip


def beyond(known: Known, edge: int) -> Known:
    """The same customer on a replica that holds the facts from the edge on, and sums of those before."""
    from dataclasses import replace

    older = [deed for deed in known.deeds if deed.day < edge]
    held = tuple(deed for deed in known.deeds if deed.day >= edge)
    return replace(known, edge=edge, deeds=held, before=summed(older, known.currency))
