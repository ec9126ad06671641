"""Rules as SQL say what the oracle says, on SQLite and PostgreSQL alike, wherever they compile.

REGULARS_TEST_RULES=10000 tries so many rules on each engine; by default some hundreds.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regulars_schema.declare import JSON
from regulars_schema.entities import CUSTOMER
from regulars_schema.rules.evaluate import evaluate
from regulars_schema.rules.knowing import Deed, Known
from regulars_schema.rules.sql import Asking, compile_rule, instant
from regulars_schema.rules.text import show
from regulars_schema.rules.tree import Metric, NumberTest
from regulars_server.storage.postgres.dialect import translated
from tests.support.rules import CHAIN, KNOWN, RULES, TODAY, UNITS, WORDS

RULES_A_CROWD = 25
CROWDS = -(-int(os.environ.get("REGULARS_TEST_RULES", "500")) // RULES_A_CROWD)
SCALARS = [f.name for f in CUSTOMER.fields if not f.is_set and f.name != "birth"]
TYPES = {"Bool": "BOOLEAN", "Int": "BIGINT"}
COLUMNS = ", ".join(f"{n} {TYPES.get(type(CUSTOMER.by_name[n].type).__name__, 'TEXT')}" for n in SCALARS)
SETS = [f.name for f in CUSTOMER.fields if f.is_set]
DEED = """id TEXT, customer TEXT, at TEXT, kind TEXT, unit TEXT, staff TEXT, channel TEXT,
stage_reached INTEGER, outcome TEXT, role TEXT, effort_min BIGINT"""
LINE = "product TEXT, category TEXT, quantity BIGINT, amount BIGINT, currency TEXT"
DDL = (
    f"CREATE TABLE customer (id TEXT, {COLUMNS})",
    "CREATE TABLE element (customer TEXT, field TEXT, key TEXT)",
    "CREATE TABLE link (customer TEXT, other TEXT, kind TEXT, direction TEXT)",
    f"CREATE TABLE deed ({DEED})",
    f"CREATE TABLE deed_line ({DEED}, {LINE})",
)
TABLES = ("customer", "element", "link", "deed", "deed_line")
Run = Callable[[str, Any], list[Any]]


class Plain:
    """A layout of plain tables."""

    deeds = "deed"
    lines = "deed_line"

    def column(self, field: str) -> str | None:
        return f"c.{field}" if field in SCALARS else None

    def holding(self, field: str) -> str:
        return f"SELECT customer FROM element WHERE field = '{field}' AND key = ?"

    def linked(self) -> str:
        return "SELECT customer, other, kind, direction FROM link"


def rows(crowd: list[Known]) -> Iterator[tuple[str, list[JSON]]]:
    """(table, row) of all that is known of them; each fact somewhere in its day."""
    for known in crowd:
        yield "customer", [known.id, *(known.values.get(name) for name in SCALARS)]
        sets = {name: known.values.get(name) or () for name in SETS}
        sets |= {"segments": known.segments, "excluded_segments": known.excluded}
        for name, keys in sets.items():
            for key in keys:
                yield "element", [known.id, name, key]
        for direction, links in (("to", known.outward), ("from", known.inward)):
            for kind, others in links.items():
                yield from (("link", [known.id, other, kind, direction]) for other in others)
        for deed in known.deeds:
            begins = datetime.fromisoformat(instant(deed.day, known.zone))
            ends = datetime.fromisoformat(instant(deed.day + 1, known.zone))
            part = int(deed.id[:2], 16) / 255
            at = (begins + part * (ends - begins - timedelta(milliseconds=1))).astimezone(UTC)
            told = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            row: list[JSON] = [deed.id, known.id, told, deed.kind, deed.unit, deed.staff, deed.channel]
            row += [deed.stage_reached, deed.outcome, deed.role, deed.effort_min]
            yield "deed", row
            for line in deed.lines:
                yield (
                    "deed_line",
                    [*row, line.product, line.category, line.quantity, line.amount, line.currency],
                )


@st.composite
def crowds(draw: st.DrawFn) -> list[Known]:
    """Some customers of one zone and currency."""
    zone = draw(st.sampled_from([UTC, ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")]))
    currency = draw(st.sampled_from(["CNY", None]))
    crowd = []
    for i, known in enumerate(draw(st.lists(KNOWN, min_size=2, max_size=6))):
        home = draw(st.sampled_from([None, *UNITS]))
        values = {**known.values, "segments": sorted(known.segments), "home_unit": home}
        values["excluded_segments"] = sorted(known.excluded)
        crowd.append(
            replace(
                known,
                id=f"c{i}",
                zone=zone,
                currency=currency,
                values=values,
                hidden=frozenset(),
                units=frozenset([home] if home else []),
            )
        )
    return crowd


def try_rules(run: Run, crowd: list[Known], rules: list[Any]) -> None:
    zone, currency = crowd[0].zone, crowd[0].currency
    asking = Asking(
        Plain(), TODAY, zone, currency, CHAIN.segments, {u: [u] for u in UNITS}, CHAIN.me, CHAIN.team
    )
    for table in TABLES:
        run(f"DELETE FROM {table}", ())
    for table, row in rows(crowd):
        run(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
    for rule in rules:
        compiled = compile_rule(rule, asking)
        sure, may = (
            {id for (id,) in run(f"SELECT c.id FROM customer c WHERE {said.text}", said.parameters)}
            for said in compiled
        )
        answers = {known.id: evaluate(rule, known, CHAIN).answer for known in crowd}
        fits = {id for id, answer in answers.items() if answer}
        assert sure <= fits <= may, show(rule, WORDS)
        assert not compiled.exact or sure == fits
        denied = f"SELECT c.id FROM customer c WHERE NOT {compiled.may.text}"
        assert {id for (id,) in run(denied, compiled.may.parameters)} == set(answers) - may, "NULL somewhere"


DRAWN = given(crowds(), st.lists(RULES, min_size=RULES_A_CROWD, max_size=RULES_A_CROWD))
HOWEVER = settings(
    max_examples=CROWDS,
    deadline=None,
    suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow, HealthCheck.large_base_example],
)


def test_rules_in_sqlite_say_what_the_oracle_says():
    database = sqlite3.connect(":memory:")
    for statement in DDL:
        database.execute(statement)

    @HOWEVER
    @DRAWN
    def tried(crowd, rules):
        try_rules(lambda sql, given: database.execute(sql, given).fetchall(), crowd, rules)

    tried()
    database.close()


def test_days_since_a_fact_of_today_are_none():
    database = sqlite3.connect(":memory:")
    for statement in DDL:
        database.execute(statement)
    days = [Deed(f"0{ago}", TODAY - ago, "visit") for ago in (0, 1, 2)]
    crowd = [Known(f"c{i}", TODAY, UTC, deeds=(deed,)) for i, deed in enumerate(days)]
    crowd.append(Known("none", TODAY, UTC))
    rules = [
        NumberTest(Metric("days_since_visit"), op, value)
        for op in ("=", "!=", "<", "<=", ">", ">=")
        for value in (0, 1)
    ]
    try_rules(lambda sql, given: database.execute(sql, given).fetchall(), crowd, rules)
    database.close()


def test_rules_in_postgres_say_what_the_oracle_says(postgres):
    with postgres.one() as url, asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(url))

        def run(sql: str, given: Any) -> list[Any]:
            return list(runner.run(connection.fetch(translated(sql), *given)))

        run("CREATE SCHEMA rules", ())
        run("SET search_path = rules", ())
        for statement in DDL:
            run(statement, ())

        @HOWEVER
        @DRAWN
        def tried(crowd, rules):
            try_rules(run, crowd, rules)

        tried()
        runner.run(connection.close())
