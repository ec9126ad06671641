"""Rules as people write them, on one line:

    is(lifecycle) in [old, loyal] and count(visit | call where channel = store, last 30 days) >= 2
    sum(amount of purchase where category = "oak", last 1 year) >= 5000.00 CNY and not tags has "vip"
    date(birth) anniversary within next 7 days lunar or link(companion: gender = female)

`parse(show(rule))` is the rule again, and `show(parse(text))` the text as it is spelled best. What is no rule
raises `Misread` with `line` and `column` in its detail.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

from lark import Lark, Token, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from regulars_schema.declare import JSON, Enum
from regulars_schema.rules.tree import (
    DEPTH_MAX,
    EMPTINESS,
    FILTER_PARTS,
    AllOf,
    AnyOf,
    CaseTest,
    ConsentTest,
    Count,
    DateTest,
    DayOf,
    FieldTest,
    Filter,
    InTest,
    IsTest,
    LinkTest,
    Metric,
    Misread,
    Not,
    NumberTest,
    OwnerTest,
    Rule,
    Sum,
    TaskTest,
    UnderTest,
    Vocabulary,
    read,
)
from regulars_schema.rules.windows import EVER, Between, Ever, Last, Next, Period, Window, iso

TEXT_CHARS_MAX = 20_000
MINOR_DIGITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI"), 0),
    **dict.fromkeys(("VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
"""ISO 4217: how many digits of a currency are behind the point; of the others two."""


# --- reading ----------------------------------------------------------------------------------------------


@cache
def _grammar() -> Lark:
    grammar = files("regulars_schema.rules").joinpath("grammar.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", maybe_placeholders=False, propagate_positions=True)


def parse(text: str, words: Vocabulary) -> Rule:
    """The rule that a text says; `Misread` with the place where it stops being one."""
    if len(text) > TEXT_CHARS_MAX:
        raise Misread("rule_too_large", chars_max=TEXT_CHARS_MAX)
    try:
        tree = _grammar().parse(text)
    except UnexpectedInput as unexpected:
        raise _unread(unexpected, text) from None
    building = _Building(words)
    given = building.rule(tree.children[0])
    try:
        return read(given, words)
    except Misread as misread:
        line, column = building.place(given, misread.path)
        raise Misread(misread.code, misread.path, **misread.detail, line=line, column=column) from None


def _unread(unexpected: UnexpectedInput, text: str) -> Misread:
    line, column = unexpected.line, unexpected.column
    if isinstance(unexpected, UnexpectedToken):
        found, expected = str(unexpected.token), unexpected.accepts or unexpected.expected
    else:
        assert isinstance(unexpected, UnexpectedCharacters)
        found, expected = text[unexpected.pos_in_stream :][:1], unexpected.allowed or set()
    if not found:
        lines = text.splitlines() or [""]
        line, column = len(lines), len(lines[-1]) + 1
    wanted = sorted({word for name in expected for word in _spelled(name)})
    near = get_close_matches(found, wanted, 1)
    detail: dict[str, JSON] = {"suggestion": near[0]} if near else {"expected": ", ".join(wanted[:20])}
    return Misread("rule_unreadable", found=found[:80], line=line, column=column, **detail)


_SPELLED = {
    "COMPARE": ("=", "!=", "<", "<=", ">", ">="),
    "TEXT_OP": ("has", "lacks", "starts", "contains", "sounds"),
    "EMPTINESS": EMPTINESS,
    "UNIT": ("days", "weeks", "months", "years"),
    "STRING": ('"..."',),
    "NAME": ("...",),
    "DATE": ("2026-01-31",),
    "INTEGER": ("123",),
    "MONEY": ("123.00 CNY",),
}


def _spelled(terminal: str) -> Iterable[str]:
    if terminal in _SPELLED:
        return _SPELLED[terminal]
    if terminal == "$END":
        return ()
    pattern = next((t.pattern.value for t in _grammar().terminals if t.name == terminal), terminal)
    return (pattern,)


_Branch: TypeAlias = Any
"""A lark `Tree`, or a `Token` where one stands for itself."""


class _Building:
    """Makes a parsed text's JSON, and remembers where each part of it stands."""

    def __init__(self, words: Vocabulary) -> None:
        self.words = words
        self.places: dict[tuple[int, str | int], tuple[int, int]] = {}
        self.kept: list[JSON] = []
        self.depth = 0

    def place(self, given: JSON, path: tuple[str | int, ...]) -> tuple[int, int]:
        """Line and column of what stands at a path, or of the nearest around it."""
        place = self.places.get((id(given), ""), (1, 1))
        for key in path:
            place = self.places.get((id(given), key), place)
            try:
                given = given[key]
            except (KeyError, IndexError, TypeError):
                return place
            place = self.places.get((id(given), ""), place)
        return place

    def put(self, made: JSON, branch: _Branch, **parts: _Branch) -> JSON:
        """What was made of a branch, remembered with its place and the places of its parts."""
        self.kept.append(made)  # so that no other object takes its id
        self.places[id(made), ""] = _place(branch)
        for key, part in parts.items():
            self.places[id(made), key] = _place(part)
        return made

    def rule(self, branch: _Branch) -> JSON:
        if self.depth > 2 * DEPTH_MAX:
            line, column = _place(branch)
            raise Misread("rule_too_large", depth_max=DEPTH_MAX, line=line, column=column)
        self.depth += 1
        made = self.one(branch)
        self.depth -= 1
        return made

    def one(self, branch: _Branch) -> JSON:
        children = branch.children
        match branch.data:
            case "any_of" | "all_of":
                head = "any" if branch.data == "any_of" else "all"
                return self.put({head: [self.rule(child) for child in children]}, branch)
            case "negation":
                return self.put({"not": self.rule(children[0])}, branch)
            case "is_test":
                scheme, choice = children
                values = self.put([_word(v) for v in choice.children], choice)
                self.items(values, choice.children)
                return self.put({"is": str(scheme), "values": values}, branch, **{"is": scheme})
            case "in_test":
                return self.put({"in": _word(children[0])}, branch, **{"in": children[0]})
            case "link_test":
                kind, *more = children
                made = {"link": str(kind)}
                for part in more:
                    if isinstance(part, Token):
                        made["direction"] = str(part)
                    else:
                        made["rule"] = self.rule(part)
                return self.put(made, branch, link=kind)
            case "task_test" | "case_test":
                head = str(branch.data)[:4]
                which, choice = children
                states = self.put([_word(v) for v in choice.children], choice)
                self.items(states, choice.children)
                return self.put({head: _word(which), "states": states}, branch, **{head: which})
            case "consent_test":
                purpose, channel = children
                made = {"consent": _word(purpose), "channel": str(channel)}
                return self.put(made, branch, consent=purpose, channel=channel)
            case "field_day":
                date = self.put({"field": str(children[0])}, children[0], field=children[0])
                return self.day(date, children[1], branch)
            case "first_day" | "last_day":
                head = str(branch.data)[:-4]
                date = self.put({head: self.filter(children[0])}, children[0])
                return self.day(date, children[1], branch)
            case "count":
                *of, op = children
                number = self.put({"count": self.filter(of[0])}, of[0])
                return self.number(number, of[1:], op, branch)
            case "sum":
                what, *of, op = children
                number = self.put({"sum": str(what), "of": self.filter(of[0])}, of[0], sum=what)
                return self.number(number, of[1:], op, branch)
            case "metric":
                name, window, op = children
                number = self.put({"metric": str(name)}, name, metric=name)
                return self.number(number, [window], op, branch)
            case "under":
                name, unit = children
                if name != "home_unit":
                    raise _at(Misread("rule_unknown", name=str(name), suggestion="home_unit"), name)
                return self.put({"under": _word(unit)}, branch, under=unit)
        return self.named(branch)

    def items(self, made: list[JSON], tokens: Iterable[Token]) -> None:
        for i, token in enumerate(tokens):
            self.places[id(made), i] = _place(token)

    def named(self, branch: _Branch) -> JSON:
        name, op = branch.children
        if name in self.words.metrics and self.words.field(name) is None:
            return self.number(self.put({"metric": str(name)}, name, metric=name), [], op, branch)
        said, values, tokens = self.said(op)
        if name == "owner" and said == "=" and tokens[0].type == "NAME" and values[0] in ("me", "team"):
            return self.put({"owner": values[0]}, branch, owner=tokens[0])
        made: dict[str, JSON] = {"field": str(name), "op": said}
        if said in EMPTINESS:
            return self.put(made, branch, field=name, op=op)
        if said in ("in", "between"):
            made["value"] = self.put(values, tokens[0])
            self.items(values, tokens)
        else:
            made["value"] = values[0]
        return self.put(made, branch, field=name, op=op, value=tokens[0])

    def said(self, op: _Branch) -> tuple[str, list[JSON], list[Token]]:
        """The operator, its values, and where they stand."""
        children = op.children
        match op.data:
            case "compared":
                return str(children[0]), [_value(children[1])], children[1:]
            case "emptiness":
                return str(children[0]), [], children
            case "between":
                return "between", [_value(v) for v in children], children
        return "in", [_value(v) for v in children], children

    def number(self, number: JSON, windows: list[_Branch], op: _Branch, branch: _Branch) -> JSON:
        if windows:
            number["window"] = self.window(windows[0])
        said, values, tokens = self.said(op)
        currencies = {token[-3:] for token in tokens if token.type == "MONEY"}
        if currencies:
            if "sum" not in number or len(currencies) > 1:
                raise _at(Misread("rule_invalid", expected="123"), tokens[-1])
            number["currency"] = currencies.pop()
        value = self.put(values, tokens[0]) if said in ("between", "in") else values[0] if values else None
        return self.put({"number": number, "op": said, "value": value}, branch, op=op, value=tokens[0])

    def day(self, date: JSON, op: _Branch, branch: _Branch) -> JSON:
        made = {"date": date, "op": str(op.data)}
        first = op.children[0]
        made["value"] = str(first) if isinstance(first, Token) else self.window(first)
        if len(op.children) > 1:
            made["calendar"] = "lunar"
        return self.put(made, branch, op=op, value=first)

    def window(self, branch: _Branch) -> JSON:
        children = branch.children
        match branch.data:
            case "last" | "next":
                made: JSON = {str(branch.data): _value(children[0]), "unit": children[1].removesuffix("s")}
            case "dates":
                made = {"from": str(children[0]), "to": str(children[1])}
            case data:
                made = {str(data): str(children[0]).removesuffix("s")}
        return self.put(made, branch)

    def filter(self, branch: _Branch) -> JSON:
        made: dict[str, JSON] = {}
        kinds = [child for child in branch.children if isinstance(child, Token)]
        if kinds:
            made["kind"] = self.put([_word(kind) for kind in kinds], kinds[0])
            self.items(made["kind"], kinds)
        for conditions in branch.children[len(kinds) :]:
            for condition in conditions.children:
                name, *values = condition.children
                if name in made:
                    raise _at(Misread("rule_invalid", expected=f"{name} in [...]"), name)
                made[str(name)] = self.put([_value(v) for v in values], values[0])
                self.items(made[str(name)], values)
                self.places[id(made), str(name)] = _place(name)
        return self.put(made, branch)


def _place(part: _Branch) -> tuple[int, int]:
    if isinstance(part, Token):
        return part.line or 1, part.column or 1
    return (1, 1) if part.meta.empty else (part.meta.line, part.meta.column)


def _at(misread: Misread, token: Token) -> Misread:
    line, column = _place(token)
    return Misread(misread.code, misread.path, **misread.detail, line=line, column=column)


def _word(token: Token) -> str:
    return str(_value(token)) if token.type == "STRING" else str(token)


def _value(token: Token) -> JSON:
    match token.type:
        case "STRING":
            try:
                return json.loads(token)
            except ValueError:
                raise _at(Misread("rule_invalid", expected='"..."'), token) from None
        case "INTEGER":
            return int(token) if len(token) < 20 else str(token)
        case "MONEY":
            return _minor(token)
        case _:
            return {"true": True, "false": False}.get(token, str(token))


def _minor(token: Token) -> int:
    amount, currency = token[:-3].strip(), token[-3:]
    whole, _, part = amount.removeprefix("-").partition(".")
    digits = MINOR_DIGITS.get(currency, 2)
    if len(part) > digits or len(whole) > 16:
        raise _at(Misread("rule_invalid", expected=f"{shown_money(100, currency)}"), token)
    minor = int(whole + part.ljust(digits, "0"))
    return -minor if amount[0] == "-" else minor


def shown_money(minor: int, currency: str) -> str:
    """`5000.00 CNY` of 500000."""
    digits = MINOR_DIGITS.get(currency, 2)
    figures = str(abs(minor)).rjust(digits + 1, "0")
    amount = f"{figures[:-digits]}.{figures[-digits:]}" if digits else figures
    return f"{'-' if minor < 0 else ''}{amount} {currency}"


# --- printing ---------------------------------------------------------------------------------------------


def show(rule: Rule, words: Vocabulary) -> str:
    """The rule's text on one line."""
    return "".join(_show(rule, words))


def _show(rule: Rule, words: Vocabulary) -> Iterator[str]:
    match rule:
        case AllOf(rules) | AnyOf(rules):
            for i, inner in enumerate(rules):
                if i:
                    yield " and " if isinstance(rule, AllOf) else " or "
                yield from _nested(inner, words)
        case Not(inner):
            yield "not "
            yield from _nested(inner, words)
        case FieldTest(name, op, value):
            yield f"{name} {op}"
            if op == "in":
                yield f" [{', '.join(_shown(name, v, words) for v in value)}]"
            elif op == "between":
                yield f" {value[0]} and {value[1]}"
            elif op not in EMPTINESS:
                yield f" {_shown(name, value, words)}"
        case NumberTest(number, op, value):
            currency = number.currency if isinstance(number, Sum) else None
            figures = [
                str(v) if currency is None else shown_money(v, currency)
                for v in (value if isinstance(value, tuple) else (value,))
            ]
            yield f"{_show_number(number)} {op} {' and '.join(figures)}"
        case DateTest(date, op, value, lunar):
            if isinstance(date, DayOf):
                yield f"date({date.field})"
            else:
                yield f"{'last' if date.last else 'first'}({_show_filter(date.of)})"
            if isinstance(value, int):
                yield f" {op} {iso(value)}"
            else:
                yield f"{' anniversary' if op == 'anniversary' else ''} within {show_window(value)}"
            if lunar:
                yield " lunar"
        case IsTest(scheme, values):
            yield f"is({scheme}) in [{', '.join(values)}]"
        case InTest(segment):
            yield f'in("{segment}")'
        case LinkTest(kind, linked, direction):
            yield f"link({kind}" if direction is None else f"link({kind} {direction}"
            yield "" if linked is None else ": "
            if linked is not None:
                yield from _show(linked, words)
            yield ")"
        case TaskTest(which, states):
            yield f"task({_quoted(which)}) in [{', '.join(states)}]"
        case CaseTest(which, states):
            yield f"case({which}) in [{', '.join(map(_quoted, states))}]"
        case ConsentTest(purpose, channel):
            yield f"consent({_quoted(purpose)}, {channel})"
        case UnderTest(unit):
            yield f'home_unit under "{unit}"'
        case OwnerTest(who):
            yield f"owner = {who}"


def _nested(rule: Rule, words: Vocabulary) -> Iterator[str]:
    group = isinstance(rule, AllOf | AnyOf)
    yield "(" * group
    yield from _show(rule, words)
    yield ")" * group


def _shown(name: str, value: JSON, words: Vocabulary) -> str:
    declared = words.field(name)
    if declared is not None and isinstance(declared.type, Enum) and name not in words.custom:
        return str(value)
    if type(value) is bool:
        return "true" if value else "false"
    return _quoted(value) if type(value) is str else str(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _show_number(number: Metric | Count | Sum) -> str:
    window = "" if number.window == EVER else show_window(number.window)
    match number:
        case Metric(name):
            return f"{name}({window})" if window else name
        case Count(of):
            return f"count({_show_filter(of)}{', ' * bool(window)}{window})"
        case Sum(what, of):
            return f"sum({what} of {_show_filter(of)}{', ' * bool(window)}{window})"


def _show_filter(of: Filter) -> str:
    kinds = " | ".join(map(str, of.kinds)) or "any"
    conditions = [
        f"{name} = {_part(name, values[0])}"
        if len(values) == 1
        else f"{name} in [{', '.join(_part(name, v) for v in values)}]"
        for name, values in of.parts
        if name != "kind"
    ]
    return f"{kinds} where {' and '.join(conditions)}" if conditions else kinds


def _part(name: str, value: JSON) -> str:
    if isinstance(FILTER_PARTS[name], Enum) or type(value) is int:
        return str(value)
    return _quoted(value)


def show_window(window: Window) -> str:
    """`last 30 days`, `this month`, `2026-01-01..2026-03-31`."""
    match window:
        case Last(count, unit):
            return f"last {count} {unit}{'s' * (count > 1)}"
        case Next(count, unit):
            return f"next {count} {unit}{'s' * (count > 1)}"
        case Period(unit, back):
            return f"{'previous' if back else 'this'} {unit}"
        case Between(first, last):
            return f"{iso(first)}..{iso(last)}"
        case Ever():
            return "ever"
