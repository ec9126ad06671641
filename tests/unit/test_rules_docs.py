"""docs/RULES.md: every example holds for whom it says; every operator and metric is there."""

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from regulars_schema.entities import CUSTOMER
from regulars_schema.rules.evaluate import evaluate
from regulars_schema.rules.knowing import Chain, Deed, Known, Line
from regulars_schema.rules.metrics import METRICS
from regulars_schema.rules.text import parse
from regulars_schema.rules.tree import COMPARED, DATE_OPS, field_ops
from regulars_schema.rules.windows import ordinal
from tests.support.rules import CHAIN, IDS, STAFF, TODAY, UNITS, WORDS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "RULES.md").read_text("utf-8")
CELLS = re.compile(r"(?<!\\)\|")
ROWS = [
    [cell.replace("\\|", "|").strip() for cell in CELLS.split(line)[1:-1]]
    for line in PAGE.splitlines()
    if line.startswith("| ")
]
EXAMPLES = [row[2].strip("`") for row in ROWS if len(row) == 3 and row[0] not in ("test", "---", "metric")]
ZONE = ZoneInfo("Asia/Shanghai")


def bought(ago: int, amount: int) -> Deed:
    line = Line(category="oak", amount=amount, cost=amount // 2, currency="CNY")
    return Deed(f"p{ago}", TODAY - ago, "purchase", lines=(line,))


LIN = Known(
    IDS[0],
    TODAY,
    ZONE,
    {
        "name": "林芳", "gender": "female", "tags": ["vip"], "notes": "x", "owner": STAFF[1],
        "home_unit": UNITS[0], "trading_since": "2024-03-01", "birth": {"year": 1985, "month": 11, "day": 25},
        "custom.shoe_size": 38,
    },
    deeds=(
        bought(700, 300_000), Deed("c", TODAY - 365, "complaint"), bought(40, 200_000), bought(5, 100_000),
        Deed("v", TODAY - 1, "visit"),
    ),
    outward={"companion": (IDS[1],), "referrer": (IDS[1],)},
    tasks={"second purchase": ("open",)},
    cases={"complaint": ("heard",)},
    consents=frozenset({("marketing", "sms")}),
    units=frozenset({UNITS[0]}),
    currency="CNY",
)  # fmt: skip
WU = Known(IDS[1], TODAY, ZONE, {"name": "吴刚", "gender": "male"}, currency="CNY")
WORLD = Chain(CHAIN.schemes, CHAIN.segments, {}, STAFF[0], frozenset(STAFF), {IDS[0]: LIN, IDS[1]: WU}.get)


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_holds_for_one_and_not_for_the_other(text):
    rule = parse(text, WORDS)
    assert evaluate(rule, LIN, WORLD).answer is True
    assert evaluate(rule, WU, WORLD).answer is False


def test_every_operator_has_its_row():
    operators = {op for field in CUSTOMER.fields for op in field_ops(field)} | set(DATE_OPS) | {"between"}
    shown = " ".join(row[0] for row in ROWS)
    assert {op for op in operators - set(COMPARED) if op not in shown} == set()


def test_every_metric_is_in_the_table():
    told = {row[0].strip("`"): row for row in ROWS if len(row) == 4}
    for name, metric in METRICS.items():
        assert told[name][1:3] == [metric.label.zh, metric.label.en]
        assert told[name][3] == metric.unit


def test_the_sample_day_is_a_sunday_in_november():
    assert ordinal("2026-11-22") == TODAY
