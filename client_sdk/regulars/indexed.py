"""Whom a rule finds, as far as the index of the replica tells it in SQL; of the rest the oracle is asked.

The index knows customers one by one, of the facts that are held. So whoever is one person with others, of
whom own changes say something, or of whom facts from before the window would count, is always asked about.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

import orjson

from regulars.knowing import Knowing, Setting
from regulars.persons import clusters_in
from regulars_schema.rules.knowing import SegmentRule
from regulars_schema.rules.naming import tests
from regulars_schema.rules.sql import FALSE, TRUE, Asking, Compiled, Sql, compile_rule
from regulars_schema.rules.tree import (
    AllOf,
    AnyOf,
    DateTest,
    DayOf,
    DayOfFact,
    FieldTest,
    InTest,
    Not,
    NumberTest,
    Rule,
)
from regulars_sync.deeds import CARD, DEEDS, LINES, SETS
from regulars_sync.known import Place

Position = tuple[str, str]
"""The key of a customer's place among names, and its id."""
_OF_LINK = "json_extract(CAST(r.document AS TEXT), '$.{}')"
_LINKED = f"""SELECT k.n AS customer, other.key AS other, {_OF_LINK.format("kind")} AS kind,
    CASE WHEN {_OF_LINK.format("from_customer")} = one.key THEN 'to' ELSE 'from' END AS direction
    FROM element one JOIN card k ON k.id = one.key
    JOIN element other ON other.entity = 'link' AND other.field = 'party' AND other.id = one.id
    JOIN row r ON r.entity = 'link' AND r.id = one.id AND r.level = 'internal'
    WHERE one.entity = 'link' AND one.field = 'party' AND other.key <> one.key
    AND {_OF_LINK.format("active")} IS NOT 0"""
_CARDS = f"(SELECT n AS id, id AS text, {', '.join(CARD)} FROM card)"
_BY_NAME = f"find f CROSS JOIN {_CARDS} c ON c.text = f.id"
_BY_CARD = f"{_CARDS} c CROSS JOIN find f ON f.id = c.text"
"""A page is found on the way along the names; all, by what is asked of them."""
_AMONG = "IN (SELECT value FROM json_each(?))"


class ReplicaLayout:
    """Where a replica keeps what rules ask of; without the fields that this tablet may not hold."""

    deeds = DEEDS
    lines = LINES

    def __init__(self, setting: Setting) -> None:
        self._hidden = setting.hidden

    def column(self, field: str) -> str | None:
        return f'c."{field}"' if field in CARD and field not in self._hidden else None

    def holding(self, field: str) -> str | None:
        found = field in SETS and field not in self._hidden
        kept = (
            "SELECT k.n FROM element e JOIN card k ON k.id = e.id"
            f" WHERE e.entity = 'customer' AND e.field = '{field}' AND e.key = ?"
        )
        return kept if found else None

    def linked(self) -> str:
        return _LINKED


class Candidate(NamedTuple):
    place: Position
    answer: bool | None
    asks: bool
    """Whether only the oracle knows; else the answer stands."""


class Index:
    """One rule, put to the index."""

    def __init__(self, knowing: Knowing, rule: Rule) -> None:
        self._connection = knowing.connection
        self._own = knowing.own_customers()
        setting = knowing.setting
        segments = knowing.world.segments
        self._special = self._persons(knowing.connection)
        self._condition, exact = _compiled(rule, knowing, segments)
        if not exact and setting.hidden:
            blind = {id: SegmentRule(of.rule and _blind(of.rule, setting)) for id, of in segments.items()}
            _, exact = _compiled(_blind(rule, setting), knowing, blind)
        self._exact = exact
        if _reaches(rule, knowing, segments):
            self._special |= {
                id
                for (id,) in knowing.connection.execute(
                    "SELECT key FROM element WHERE entity = 'baseline' AND field = 'party'"
                )
            }

    @staticmethod
    def _persons(connection: sqlite3.Connection) -> set[str]:
        """Whoever is one person with others."""
        named = connection.execute(
            "SELECT DISTINCT key FROM element WHERE entity = 'identity' AND field = 'party'"
        )
        found = clusters_in(connection, [id for (id,) in named])
        return {id for id, among in found.items() if len(among) > 1}

    def candidates(self, after: Position | None, limit: int | None) -> Iterator[Candidate]:
        """Those who may fit, by name, behind a position; at least as many as `limit`, if there are."""
        own = sorted(place for place in self._own if after is None or place > after)
        while True:
            page = self._stored(after, limit)
            is_last = limit is None or len(page) < limit
            mine = [one for one in own if is_last or one <= page[-1].place]
            own = own[len(mine) :]
            yield from sorted([*page, *(Candidate(place, None, True) for place in mine)])
            if is_last:
                return
            after = page[-1].place

    def _stored(self, after: Position | None, limit: int | None) -> list[Candidate]:
        sure, may = self._condition
        fits = Sql("1") if sure == may else sure
        special = _listed(self._special)
        found = self._connection.execute(
            f"SELECT f.sort, f.id, {fits.text}, f.id {_AMONG}"
            f" FROM {_BY_NAME if limit else _BY_CARD}"
            f" WHERE f.entity = 'customer' AND (f.sort, f.id) > (?, ?)"
            f" AND ({may.text} OR f.id {_AMONG}) AND f.id NOT {_AMONG} ORDER BY f.sort, f.id LIMIT ?",
            (
                *fits.parameters,
                special,
                *(after or ("", "")),
                *may.parameters,
                special,
                _listed(id for _, id in self._own),
                -1 if limit is None else limit,
            ),
        ).fetchall()
        return [
            Candidate(
                (sort, id),
                True if is_sure and not asks else None,
                bool(asks) or not (is_sure or self._exact),
            )
            for sort, id, is_sure, asks in found
        ]


def _compiled(
    rule: Rule, knowing: Knowing, segments: Mapping[str, SegmentRule]
) -> tuple[tuple[Sql, Sql], bool]:
    """The conditions of who fits for sure and who may, in the zone of each customer's home; whether they are
    the same."""
    setting, world = knowing.setting, knowing.world
    layout, units = ReplicaLayout(setting), setting.units
    below = {unit: units.below([unit]) for unit in units.ids}
    homes: dict[tuple[int, Place], list[str]] = defaultdict(list)
    for unit in units.ids:
        place = units.place(unit)
        homes[_today(knowing, place), Place(place.zone, place.currency)].append(unit)
    nowhere = Place()
    parts: list[tuple[Sql, Compiled]] = []
    for (today, place), at in homes.items():
        asking = Asking(layout, today, place.zone, place.currency, segments, below, world.me, world.team)
        here = Sql(f"c.home_unit IN ({', '.join('?' * len(at))})", tuple(at))
        parts.append((here, compile_rule(rule, asking)))
    asking = Asking(
        layout, _today(knowing, nowhere), nowhere.zone, None, segments, below, world.me, world.team
    )
    ids = tuple(units.ids)
    here = Sql(f"(c.home_unit IS NULL OR c.home_unit NOT IN ({', '.join('?' * len(ids))}))", ids)
    parts.append((here, compile_rule(rule, asking)))
    exact = all(compiled.exact for _, compiled in parts)
    return (_any((here, of.sure) for here, of in parts), _any((here, of.may) for here, of in parts)), exact


def _any(parts: Iterable[tuple[Sql, Sql]]) -> Sql:
    kept = [(here, of) for here, of in parts if of != FALSE]
    if not kept:
        return FALSE
    texts = [here.text if of == TRUE else f"({here.text} AND {of.text})" for here, of in kept]
    return Sql(
        f"({' OR '.join(texts)})",
        tuple(p for here, of in kept for p in (*here.parameters, *(() if of == TRUE else of.parameters))),
    )


def _today(knowing: Knowing, place: Place) -> int:
    return datetime.fromtimestamp(knowing.as_of_ms / 1_000, place.zone).toordinal()


def _reaches(rule: Rule, knowing: Knowing, segments: Mapping[str, SegmentRule]) -> bool:
    """Whether facts from before the window's edge may count."""
    edge_ms = knowing.edge_ms
    if edge_ms is None:
        return False
    zones = {knowing.setting.units.place(unit).zone for unit in [*knowing.setting.units.ids, None]}
    edge = max(datetime.fromtimestamp(edge_ms / 1_000, zone).toordinal() for zone in zones)
    today = _today(knowing, Place())
    asked: set[str] = set()

    def reaches(one: Rule | None) -> bool:
        for test in () if one is None else tests(one):
            match test:
                case NumberTest(number) if number.window.days(today - 1)[0] <= edge:
                    return True
                case DateTest(DayOfFact()):
                    return True
                case InTest(segment) if segment not in asked:
                    asked.add(segment)
                    if segment in segments and reaches(segments[segment].rule):
                        return True
        return False

    return reaches(rule)


def _blind(rule: Rule, setting: Setting) -> Rule:
    """The rule with a test that always holds in the place of each that asks of a hidden field."""
    match rule:
        case AllOf(rules):
            return AllOf(tuple(_blind(one, setting) for one in rules))
        case AnyOf(rules):
            return AnyOf(tuple(_blind(one, setting) for one in rules))
        case Not(one):
            return Not(_blind(one, setting))
        case FieldTest(name) if name in setting.hidden:
            return AllOf(())
        case DateTest(DayOf(name)) if name in setting.hidden:
            return AllOf(())
    return rule


def _listed(values: Iterable[str]) -> str:
    return orjson.dumps(sorted(values)).decode()
