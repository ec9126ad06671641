"""The classification schemes that come with the product, and ready rules: data files beside this one (3b).

One TOML file is one scheme. Texts are pairs `[zh-Hans, en]`; a label also has `zh_hant` where its source is
in Traditional characters. In a scheme of mode `rule` the first value whose rule holds is the customer's; a
value that others are part of may have none. Of an `ordered` scheme the first value is the highest.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeVar

from regulars_schema.declare import JSON, Label, Level
from regulars_schema.entities import CUSTOMER_KIND
from regulars_schema.rules.knowing import SchemeRules
from regulars_schema.rules.metrics import METRICS
from regulars_schema.rules.text import parse
from regulars_schema.rules.tree import IsTest, Misread, Rule, Vocabulary

MODES = ("rule", "person", "import")
DISCLOSURES = ("internal", "customer")
TEMPLATES = "templates.toml"
T = TypeVar("T")


class BadScheme(Exception):
    """A data file is wrong at a place: `tier.toml: values.2.rule: ...`."""

    def __init__(self, file: str, place: Iterable[str | int], reason: str) -> None:
        super().__init__(f"{file}: {'.'.join(map(str, place))}: {reason}")


@dataclass(frozen=True, slots=True)
class Words:
    """A label in the scripts of the sources."""

    zh_hans: str
    en: str
    zh_hant: str | None = None


@dataclass(frozen=True, slots=True)
class Playbook:
    """What a person who meets such a customer should know (S45)."""

    group: Label | None = None
    """Who they are."""
    cues: tuple[Label, ...] = ()
    """What one knows them by."""
    problems: tuple[Label, ...] = ()
    actions: tuple[Label, ...] = ()
    avoid: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class Value:
    key: str
    label: Words
    parent: str | None = None
    rule: Rule | None = None
    disclose: str = "internal"
    """Whether the customer may be told (S43)."""
    benefits: tuple[Label, ...] = ()
    playbook: Playbook | None = None


@dataclass(frozen=True, slots=True)
class Hint:
    """What a rule proposes to the person who decides; it assigns nothing."""

    rule: Rule
    text: Label
    sources: tuple[str, ...]
    on: bool = True
    suggests: tuple[str, ...] = ()
    """Values of the scheme."""


@dataclass(frozen=True, slots=True)
class Scheme:
    key: str
    label: Words
    for_kind: tuple[str, ...]
    """The kinds of customers that it is for."""
    mode: str
    """By whom a value is set: `rule`, `person` or `import`; a person's word beats the others'."""
    sources: tuple[str, ...]
    values: tuple[Value, ...]
    multi: bool = False
    ordered: bool = False
    level: Level = Level.INTERNAL
    check_days: int | None = None
    """After so many days a person's word is to be checked again (S68)."""
    evidence: bool = False
    """Whether a person must say what it rests on."""
    playbook: Playbook | None = None
    """What holds for all of its values."""
    hints: tuple[Hint, ...] = ()

    def rules(self) -> SchemeRules:
        """As the evaluator asks it."""
        ruled = ((value.key, value.rule) for value in self.values)
        return SchemeRules(
            self.mode,
            tuple((key, rule) for key, rule in ruled if rule is not None),
            {value.key: value.parent for value in self.values if value.parent is not None},
            self.multi,
        )


@dataclass(frozen=True, slots=True)
class Template:
    """A rule to start from."""

    key: str
    label: Words
    rule: Rule
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shipped:
    schemes: Mapping[str, Scheme]
    templates: Mapping[str, Template]
    """Those of the file, and one for each value: `lifecycle.dormant`."""
    words: Vocabulary
    """What their rules name."""


def load() -> Shipped:
    """The schemes and templates that come with the product."""
    folder = files("regulars_schema.schemes")
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".toml"))
    return read({name: folder.joinpath(name).read_text("utf-8") for name in names})


def read(texts: Mapping[str, str]) -> Shipped:
    """Schemes and templates from the texts of their files by name; `BadScheme`."""
    tables = {name: _parsed(name, text) for name, text in texts.items()}
    ready = tables.pop(TEMPLATES, _Table({}, TEMPLATES))
    named = {name: [v.one("key", _key) for v in table.tables("values")] for name, table in tables.items()}
    words = Vocabulary(METRICS, {name.removesuffix(".toml"): values for name, values in named.items()})
    schemes = [_scheme(table, words) for table in tables.values()]
    templates = [_template(table, words) for table in ready.tables("templates")]
    ready.end()
    keys = [template.key for template in templates]
    if len(set(keys)) < len(keys):
        raise ready.wrong("templates", "a key stands twice")
    templates += [_of_value(scheme, value) for scheme in schemes for value in scheme.values]
    return Shipped(
        {scheme.key: scheme for scheme in schemes},
        {template.key: template for template in templates},
        words,
    )


# --- reading ----------------------------------------------------------------------------------------------


class _Table:
    """A table of a file; what nobody asks of it is an error at its end."""

    def __init__(self, given: Mapping[str, JSON], file: str, place: tuple[str | int, ...] = ()) -> None:
        self.given = given
        self.file = file
        self.place = place
        self.asked: set[str] = set()

    def wrong(self, name: str | int, reason: str) -> BadScheme:
        return BadScheme(self.file, (*self.place, name), reason)

    def one(self, name: str, check: Callable[[Any], T]) -> T:
        if name not in self.given:
            raise self.wrong(name, "is missing")
        self.asked.add(name)
        try:
            return check(self.given[name])
        except Misread as misread:
            raise self.wrong(name, f"{misread.code} {misread.detail}") from None
        except (ValueError, TypeError) as error:
            raise self.wrong(name, str(error)) from None

    def maybe(self, name: str, check: Callable[[Any], T], default: T) -> T:
        return self.one(name, check) if name in self.given else default

    def table(self, name: str) -> _Table | None:
        given = self.maybe(name, _dict, None)
        return None if given is None else _Table(given, self.file, (*self.place, name))

    def tables(self, name: str) -> list[_Table]:
        given: list[JSON] = self.maybe(name, _list, [])
        for i, inner in enumerate(given):
            if type(inner) is not dict:
                raise self.wrong(f"{name}.{i}", "is no table")
        return [_Table(inner, self.file, (*self.place, name, i)) for i, inner in enumerate(given)]

    def end(self) -> None:
        for name in self.given.keys() - self.asked:
            raise self.wrong(name, "is not known")


def _parsed(name: str, text: str) -> _Table:
    try:
        return _Table(tomllib.loads(text), name)
    except tomllib.TOMLDecodeError as error:
        raise BadScheme(name, (), str(error)) from None


def _dict(given: Any) -> dict[str, JSON] | None:
    if type(given) is not dict:
        raise TypeError("is no table")
    return given


def _list(given: Any) -> list[JSON]:
    if type(given) is not list or not given:
        raise TypeError("is no list, or empty")
    return given


def _text(given: Any) -> str:
    if type(given) is not str or not given.strip():
        raise TypeError("is no text, or empty")
    return given


def _flag(given: Any) -> bool:
    if type(given) is not bool:
        raise TypeError("is neither true nor false")
    return given


def _days(given: Any) -> int | None:
    if type(given) is not int or given < 1:
        raise TypeError("is no number of days")
    return given


def _matching(pattern: str) -> Callable[[Any], str]:
    def check(given: Any) -> str:
        if not re.fullmatch(pattern, _text(given)):
            raise ValueError(f"{given!r} is not of the form {pattern}")
        return str(given)

    return check


_key = _matching("[a-z][a-z0-9_]*")
_source = _matching("S[1-9][0-9]{0,2}")


def _one_of(allowed: Iterable[str]) -> Callable[[Any], str]:
    allowed = tuple(allowed)

    def check(given: Any) -> str:
        if given not in allowed:
            raise ValueError(f"{given!r} is none of {', '.join(allowed)}")
        return str(given)

    return check


def _several(check: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    return lambda given: tuple(check(one) for one in _list(given))


def _pair(given: Any) -> Label:
    if len(_list(given)) != 2:
        raise ValueError("is no pair [zh-Hans, en]")
    return Label(_text(given[0]), _text(given[1]))


def _words(table: _Table) -> Words:
    label = table.table("label")
    if label is None:
        raise table.wrong("label", "is missing")
    read = Words(label.one("zh_hans", _text), label.one("en", _text), label.maybe("zh_hant", _text, ""))
    label.end()
    return read if read.zh_hant else Words(read.zh_hans, read.en)


def _rule(words: Vocabulary) -> Callable[[Any], Rule]:
    return lambda given: parse(_text(given), words)


def _playbook(table: _Table | None) -> Playbook | None:
    if table is None:
        return None
    group = table.one("group", _pair) if "group" in table.given else None
    nothing: tuple[Label, ...] = ()
    parts = [table.maybe(n, _several(_pair), nothing) for n in ("cues", "problems", "actions", "avoid")]
    table.end()
    return Playbook(group, *parts)


def _scheme(table: _Table, words: Vocabulary) -> Scheme:
    key = table.one("key", _one_of([table.file.removesuffix(".toml")]))
    mode = table.one("mode", _one_of(MODES))
    inner = table.tables("values")
    keys = [str(value.given["key"]) for value in inner]
    values = tuple(_value(value, mode, keys, words) for value in inner)
    scheme = Scheme(
        key,
        _words(table),
        table.one("for_kind", _several(_one_of(CUSTOMER_KIND.values))),
        mode,
        table.one("sources", _several(_source)),
        values,
        table.maybe("multi", _flag, False),
        table.maybe("ordered", _flag, False),
        Level(table.maybe("level", _one_of(list(Level)), Level.INTERNAL.value)),
        table.maybe("check_days", _days, None),
        table.maybe("evidence", _flag, False),
        _playbook(table.table("playbook")),
        tuple(_hint(hint, keys, words) for hint in table.tables("hints")),
    )
    table.end()
    parents = {value.parent for value in values}
    for i, value in enumerate(values):
        if keys.index(value.key) < i:
            raise table.wrong(f"values.{i}.key", "stands twice")
        if (value.rule is None and value.key not in parents) if mode == "rule" else value.rule is not None:
            raise table.wrong(f"values.{i}.rule", f"does not go with mode {mode}")
    return scheme


def _value(table: _Table, mode: str, keys: list[str], words: Vocabulary) -> Value:
    key = table.one("key", _key)
    before = keys[: keys.index(key)]
    value = Value(
        key,
        _words(table),
        table.one("parent", _one_of(before)) if "parent" in table.given else None,
        table.one("rule", _rule(words)) if "rule" in table.given else None,
        table.maybe("disclose", _one_of(DISCLOSURES), "internal"),
        table.maybe("benefits", _several(_pair), ()),
        _playbook(table.table("playbook")),
    )
    table.end()
    return value


def _hint(table: _Table, keys: list[str], words: Vocabulary) -> Hint:
    hint = Hint(
        table.one("rule", _rule(words)),
        table.one("text", _pair),
        table.one("sources", _several(_source)),
        table.maybe("on", _flag, True),
        table.maybe("suggests", _several(_one_of(keys)), ()),
    )
    table.end()
    return hint


def _template(table: _Table, words: Vocabulary) -> Template:
    template = Template(
        table.one("key", _key),
        _words(table),
        table.one("rule", _rule(words)),
        table.one("sources", _several(_source)),
    )
    table.end()
    return template


def _of_value(scheme: Scheme, value: Value) -> Template:
    """Whoever has the value; the label shows the scheme, too, since one word has several meanings."""
    one, other = scheme.label, value.label
    traditional = f"{one.zh_hant}：{other.zh_hant}" if one.zh_hant and other.zh_hant else None
    label = Words(f"{one.zh_hans}：{other.zh_hans}", f"{one.en}: {other.en}", traditional)
    return Template(f"{scheme.key}.{value.key}", label, IsTest(scheme.key, (value.key,)), scheme.sources)
