"""Sample customers of each value that a scheme gives by rule: where they belong (3b)."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

from regulars_schema.rules.knowing import Chain, Deed, Known, Line
from regulars_schema.schemes import load
from tests.support.rules import TODAY

SCHEMES = load().schemes
CHAIN = Chain(
    schemes={scheme.key: scheme.rules() for scheme in SCHEMES.values()},
    cuts={
        "days_since_purchase": (10, 30, 90, 180),
        "purchase_count": (1, 2, 3, 4),
        "spend": (100, 200, 300, 400),
        "margin": (50, 100, 150, 200),
        "margin_pareto": (200,),
    },
)


def known(*deeds: Deed, **more: object) -> Known:
    in_order = tuple(sorted(deeds, key=lambda deed: deed.day))
    return Known("c", TODAY, ZoneInfo("Asia/Shanghai"), deeds=in_order, currency="CNY", **more)  # type: ignore[arg-type]


def did(kind: str, ago: int, **more: object) -> Deed:
    return Deed(f"{kind}{ago}", TODAY - ago, kind, **more)  # type: ignore[arg-type]


def buy(ago: int, amount: int = 10, cost: int = 5, **more: object) -> Deed:
    return did("purchase", ago, lines=(Line(amount=amount, cost=cost, currency="CNY"),), **more)


def often(*agos: int, amount: int = 10, cost: int = 5) -> list[Deed]:
    return [buy(ago, amount, cost) for ago in agos]


def aged(years: int) -> Known:
    return known(values={"birth": {"year": 2026 - years, "month": 11, "day": 22}})


LOST = {"winback": ("lost",)}
STEADY = range(5, 1200, 30)
"""The days ago on which a loyal customer bought."""
SAMPLES: list[tuple[str, str | None, Known]] = [
    ("time_order", "potential", known(did("visit", 3))),
    ("time_order", "new", known(buy(3))),
    ("time_order", "old", known(buy(3), buy(2))),
    ("deal_phase", "upcoming", known(did("visit", 3))),
    ("deal_phase", "in_progress", known(buy(9), did("quote", 3, outcome="open"))),
    ("deal_phase", "had", known(did("quote", 9, outcome="open"), buy(3))),
    ("lifecycle", None, known()),
    ("lifecycle", "prospect", known(did("visit", 3))),
    ("lifecycle", "prospect", known(values={"phones": ["+8613800000000"]})),
    ("lifecycle", "new", known(buy(365))),
    ("lifecycle", "temporary", known(buy(366))),
    ("lifecycle", "temporary", known(replace(buy(366), id="other"), buy(366))),
    ("lifecycle", "old", known(*often(30, 20))),
    ("lifecycle", "temporary", known(*often(31, 21))),
    ("lifecycle", "permanent", known(*often(31, 21), cases=LOST)),
    ("lifecycle", "old", known(*often(100, 90, 1), cases=LOST)),
    ("lifecycle", "old", known(*often(*range(10, 100, 10)))),
    ("lifecycle", "mature", known(*often(*range(10, 110, 10)))),
    ("lifecycle", "loyal", known(*often(*range(10, 130, 10)))),
    ("lifecycle", "mature", known(*often(*range(91, 700, 60)), did("visit", 1))),
    ("funnel", "potential", known(did("visit", 3))),
    ("funnel", "potential", known(did("visit", 3, opportunity=6), did("visit", 2, opportunity=3))),
    ("funnel", "target", known(did("visit", 3, opportunity=4))),
    ("funnel", "target", known(did("visit", 3, outcome="interested"))),
    ("funnel", "won", known(did("visit", 3, outcome="interested"), buy(1))),
    ("funnel", "loyal", known(*often(*range(10, 130, 10)))),
    ("tier", None, known(did("visit", 3))),
    ("tier", "ordinary", known(buy(3, 300))),
    ("tier", "silver", known(buy(3, 400))),
    ("tier", "gold", known(*often(3, 4, 5, 6, amount=101))),
    ("tier", "diamond", known(*often(3, 4, 5, 6, 7, amount=81))),
    ("tier", "ordinary", known(buy(380, 500))),
    ("quality", None, known(did("visit", 3))),
    ("quality", "low", known(buy(3, 200))),
    ("quality", "middle", known(buy(3, 201))),
    ("quality", "middle", known(buy(3, 400))),
    ("quality", "high", known(buy(3, 401))),
    ("volume_class", None, known(did("visit", 3))),
    ("volume_class", "sporadic", known(buy(3, 500))),
    ("volume_class", "ordinary", known(buy(3, 500), buy(364))),
    ("volume_class", "main", known(buy(3, 500), buy(365))),
    ("volume_class", "main", known(buy(3, 500), buy(2), values={"trading_since": "2020-01-01"})),
    ("volume_class", "ordinary", known(buy(3, 400), buy(400))),
    ("management_class", None, known(did("visit", 3))),
    ("management_class", "routine", known(buy(180))),
    ("management_class", "temporary", known(buy(181))),
    ("management_class", "potential", known(buy(181), outward={"alliance": ("d",)})),
    ("management_class", "key", known(buy(3, 500, 300), inward={"alliance": ("d",)})),
    ("relation4", "lost", known(*often(100, 90))),
    ("relation4", "loyal", known(*often(*STEADY, amount=100))),
    ("relation4", None, known(*often(*STEADY, amount=100), values={"credit_status": "dangerous"})),
    ("relation4", "potential", known(buy(3, 500))),
    ("relation4", "marginal", known(buy(3, effort_min=60))),
    ("relation4", None, known(buy(3, effort_min=59))),
    ("rfm_cell", None, known(did("visit", 3))),
    ("rfm_cell", "recent_often_much", known(*often(3, 4, 5, 6, amount=80))),
    ("rfm_cell", "past_seldom_little", known(buy(31, 300))),
    ("rfm_cell", "recent_seldom_much", known(buy(30, 301))),
    ("profit_loyalty", None, known(did("visit", 3))),
    ("profit_loyalty", "partner", known(*often(*STEADY, amount=100, cost=50))),
    ("profit_loyalty", "affection", known(*often(*STEADY, amount=100, cost=95))),
    ("profit_loyalty", "vendor", known(buy(3, 500, 300))),
    ("profit_loyalty", "purchase", known(buy(3))),
    ("loyalty_cycle", "attention", known(did("visit", 3))),
    ("loyalty_cycle", "first", known(buy(3))),
    ("loyalty_cycle", "evaluation", known(buy(3), did("survey", 2, rating=1))),
    ("loyalty_cycle", "intends", known(buy(3), did("survey", 2, rating=1), did("quote", 1))),
    ("loyalty_cycle", "repeat", known(buy(3), buy(2), did("quote", 1))),
    ("pyramid", None, known()),
    ("pyramid", "won", known(did("visit", 3))),
    ("pyramid", "close", known(did("event", 3))),
    ("pyramid", "served", known(did("event", 3), did("service", 2))),
    ("pyramid", "moved", known(did("service", 2), did("compliment", 1))),
    ("pyramid", "kept", known(did("compliment", 1), buy(365), buy(3))),
    ("pyramid", "won", known(buy(800), buy(700))),
    ("age_band", None, known()),
    ("age_band", "minor", aged(17)),
    ("age_band", "young", aged(18)),
    ("age_band", "young", aged(39)),
    ("age_band", "middle_aged", aged(40)),
    ("age_band", "middle_aged", aged(59)),
    ("age_band", "elderly", aged(60)),
]
