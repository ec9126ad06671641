"""The classification schemes that come with the product, and ready rules: data files beside this one (3b).

One TOML file is one scheme. Texts are pairs `[zh-Hans, en]`; a label also has `zh_hant` where its source is
in Traditional characters. In a scheme of mode `rule` the first value whose rule holds is the customer's; a
value that others are part of may have none. Of an `ordered` scheme the first value is the highest.

As data, a scheme is its file with values and hints as objects by their key (`Data`): what a chain changes of
it is a merge patch over that (`changing`), so a change names what it is about, whatever the file does to it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from typing import Any, TypeAlias, TypeVar

from regulars_schema.declare import JSON, Label, Level
from regulars_schema.entities import CUSTOMER_KIND
from regulars_schema.messages import text as message
from regulars_schema.rules.knowing import SchemeRules
from regulars_schema.rules.metrics import METRICS
from regulars_schema.rules.telling import told
from regulars_schema.rules.text import parse
from regulars_schema.rules.tree import IsTest, Misread, Rule, Vocabulary
from regulars_schema.rules.tree import read as read_rule

MODES = ("rule", "person", "import")
DISCLOSURES = ("internal", "customer")
TEMPLATES = "templates.toml"
Data: TypeAlias = Mapping[str, JSON]
T = TypeVar("T")


class BadScheme(Exception):
    """A data file, or what a chain changed, is wrong at a place: `tier.toml: values.gold.rule: ...`."""

    def __init__(
        self, file: str, place: Iterable[str | int], reason: Label, misread: Misread | None = None
    ) -> None:
        self.file = file
        self.place = ".".join(map(str, place))
        self.reason = reason
        self.misread = misread
        """Where a rule can't be read: why, and where in it."""
        super().__init__(f"{file}: {self.place}: {reason.en}")

    @classmethod
    def of(cls, file: str, place: Iterable[str | int], misread: Misread) -> BadScheme:
        """That a rule at this place can't be read, or comes to name itself."""
        found = told(misread)
        reason = Label(*(message(found.code, found.detail, lang) for lang in ("zh", "en")))
        return cls(file, place, reason, misread)


class Wrong(Exception):
    """A value does not fit, and why."""

    def __init__(self, zh: str, en: str) -> None:
        self.reason = Label(zh, en)
        super().__init__(en)


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

    key: str
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
    """Rows of DOMAIN.md; none of a chain's own."""
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
            self.ordered,
            self.level is Level.SENSITIVE,
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
    data: Mapping[str, Data]
    """The schemes by key, as what a chain changes is a patch over."""


def load() -> Shipped:
    """The schemes and templates that come with the product."""
    folder = files("regulars_schema.schemes")
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".toml"))
    return read({name: folder.joinpath(name).read_text("utf-8") for name in names})


def read(texts: Mapping[str, str]) -> Shipped:
    """Schemes and templates from the texts of their files by name; `BadScheme`."""
    parsed = {name: _parsed(name, text) for name, text in texts.items()}
    ready = Table(parsed.pop(TEMPLATES, {}), TEMPLATES)
    data = {name.removesuffix(".toml"): _keyed(given, name) for name, given in parsed.items()}
    words = Vocabulary(METRICS, {key: list(given.get("values", ())) for key, given in data.items()})
    schemes = [scheme(Table(given, f"{key}.toml"), key, words) for key, given in data.items()]
    templates = [_template(table, words) for table in ready.tables("templates")]
    ready.end()
    keys = [template.key for template in templates]
    if len(set(keys)) < len(keys):
        raise ready.wrong("templates", "键重复", "a key stands twice")
    templates += [_of_value(one, value) for one in schemes for value in one.values]
    return Shipped(
        {one.key: one for one in schemes},
        {template.key: template for template in templates},
        words,
        data,
    )


# --- reading ----------------------------------------------------------------------------------------------


class Table:
    """An object of a file or of a chain's; what nobody asks of it is an error at its end."""

    def __init__(self, given: Mapping[str, JSON], file: str, place: tuple[str | int, ...] = ()) -> None:
        self.given = given
        self.file = file
        self.place = place
        self.asked: set[str] = set()

    def wrong(self, name: str | int, zh: str, en: str) -> BadScheme:
        return BadScheme(self.file, (*self.place, name), Label(zh, en))

    def one(self, name: str, check: Callable[[Any], T]) -> T:
        if name not in self.given:
            raise self.wrong(name, "缺少", "is missing")
        self.asked.add(name)
        try:
            return check(self.given[name])
        except Misread as misread:
            raise BadScheme.of(self.file, (*self.place, name), misread) from None
        except Wrong as wrong:
            raise BadScheme(self.file, (*self.place, name), wrong.reason) from None

    def maybe(self, name: str, check: Callable[[Any], T], default: T) -> T:
        return self.one(name, check) if name in self.given else default

    def table(self, name: str) -> Table | None:
        given = self.maybe(name, _dict, None)
        return None if given is None else Table(given, self.file, (*self.place, name))

    def tables(self, name: str) -> list[Table]:
        given: list[JSON] = self.maybe(name, _list, [])
        for i, inner in enumerate(given):
            if type(inner) is not dict:
                raise self.wrong(f"{name}.{i}", "不是对象", "is no object")
        return [Table(inner, self.file, (*self.place, name, i)) for i, inner in enumerate(given)]

    def named(self, name: str) -> dict[str, Table]:
        """The objects in an object, by their keys."""
        found = self.table(name)
        return {key: inner for key in found.given if (inner := found.table(key))} if found else {}

    def key(self) -> str:
        """The key under which it stands."""
        key = self.place[-1]
        try:
            return _key(key)
        except Wrong as wrong:
            raise BadScheme(self.file, self.place, wrong.reason) from None

    def end(self) -> None:
        for name in self.given.keys() - self.asked:
            near = get_close_matches(str(name), sorted(self.asked), 1)
            zh, en = (f"，是否为 {near[0]}？", f"; did you mean {near[0]}?") if near else ("", "")
            raise self.wrong(name, f"未知的名称{zh}", f"is not known{en}")


def _parsed(name: str, text: str) -> dict[str, JSON]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadScheme(name, (), Label(str(error), str(error))) from None


def _keyed(given: Data, file: str) -> Data:
    """A file's lists of values and hints as objects by their keys."""
    table, found = Table(given, file), dict(given)
    for name in {"values", "hints"} & given.keys():
        found[name] = {}
        for i, inner in enumerate(table.tables(name)):
            key = inner.one("key", _key)
            if key in found[name]:
                raise table.wrong(f"{name}.{i}.key", "重复", "stands twice")
            found[name][key] = {part: value for part, value in inner.given.items() if part != "key"}
    return found


def _dict(given: Any) -> dict[str, JSON] | None:
    if type(given) is not dict:
        raise Wrong("不是对象", "is no object")
    return given


def _list(given: Any) -> list[JSON]:
    if type(given) is not list or not given:
        raise Wrong("不是列表，或为空", "is no list, or empty")
    return given


def _text(given: Any) -> str:
    if type(given) is not str or not given.strip():
        raise Wrong("不是文字，或为空", "is no text, or empty")
    return given


def _flag(given: Any) -> bool:
    if type(given) is not bool:
        raise Wrong("应为 true 或 false", "is neither true nor false")
    return given


def _days(given: Any) -> int | None:
    if type(given) is not int or given < 1:
        raise Wrong("不是天数", "is no number of days")
    return given


def _matching(pattern: str) -> Callable[[Any], str]:
    def check(given: Any) -> str:
        if not re.fullmatch(pattern, _text(given)):
            raise Wrong(f"{given!r} 不符合格式 {pattern}", f"{given!r} is not of the form {pattern}")
        return str(given)

    return check


_key = _matching("[a-z][a-z0-9_]*")
_source = _matching("S[1-9][0-9]{0,2}")


def _one_of(allowed: Iterable[str]) -> Callable[[Any], str]:
    allowed = tuple(allowed)

    def check(given: Any) -> str:
        if given not in allowed:
            said = ", ".join(allowed)
            raise Wrong(f"没有取值 {given!r}，可用：{said}", f"{given!r} is none of {said}")
        return str(given)

    return check


def _several(check: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    return lambda given: tuple(check(one) for one in _list(given))


def _pair(given: Any) -> Label:
    if len(_list(given)) != 2:
        raise Wrong("不是一对 [简体中文, 英文]", "is no pair [zh-Hans, en]")
    return Label(_text(given[0]), _text(given[1]))


def _words(table: Table) -> Words:
    label = table.table("label")
    if label is None:
        raise table.wrong("label", "缺少", "is missing")
    read = Words(label.one("zh_hans", _text), label.one("en", _text), label.maybe("zh_hant", _text, ""))
    label.end()
    return read if read.zh_hant else Words(read.zh_hans, read.en)


def _rule(words: Vocabulary) -> Callable[[Any], Rule]:
    """As text, or as JSON."""
    return lambda given: read_rule(given, words) if type(given) is dict else parse(_text(given), words)


def _playbook(table: Table | None) -> Playbook | None:
    if table is None:
        return None
    group = table.one("group", _pair) if "group" in table.given else None
    nothing: tuple[Label, ...] = ()
    parts = [table.maybe(n, _several(_pair), nothing) for n in ("cues", "problems", "actions", "avoid")]
    table.end()
    return Playbook(group, *parts)


def scheme(table: Table, key: str, words: Vocabulary, own: bool = False) -> Scheme:
    """The scheme that this data says; `own`: the chain's, which needs no rows. `BadScheme`."""
    table.one("key", _one_of([key]))
    mode = table.one("mode", _one_of(MODES))
    inner = table.named("values")
    if not inner:
        raise table.wrong("values", "缺少", "are missing")
    keys = list(inner)
    values = tuple(_value(value, mode, keys, words) for value in inner.values())
    nothing: tuple[str, ...] = ()
    sources = _several(_source)
    read = Scheme(
        key,
        _words(table),
        table.one("for_kind", _several(_one_of(CUSTOMER_KIND.values))),
        mode,
        table.maybe("sources", sources, nothing) if own else table.one("sources", sources),
        values,
        table.maybe("multi", _flag, False),
        table.maybe("ordered", _flag, False),
        Level(table.maybe("level", _one_of(list(Level)), Level.INTERNAL.value)),
        table.maybe("check_days", _days, None),
        table.maybe("evidence", _flag, False),
        _playbook(table.table("playbook")),
        tuple(_hint(hint, keys, words, own) for hint in table.named("hints").values()),
    )
    table.end()
    parents = {value.parent for value in values}
    for value in values:
        if (value.rule is None and value.key not in parents) if mode == "rule" else value.rule is not None:
            at = f"values.{value.key}.rule"
            raise table.wrong(at, f"与方式 {mode} 不符", f"does not go with mode {mode}")
    return read


def _value(table: Table, mode: str, keys: list[str], words: Vocabulary) -> Value:
    key = table.key()
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


def _hint(table: Table, keys: list[str], words: Vocabulary, own: bool) -> Hint:
    nothing: tuple[str, ...] = ()
    sources = _several(_source)
    hint = Hint(
        table.key(),
        table.one("rule", _rule(words)),
        table.one("text", _pair),
        table.maybe("sources", sources, nothing) if own else table.one("sources", sources),
        table.maybe("on", _flag, True),
        table.maybe("suggests", _several(_one_of(keys)), ()),
    )
    table.end()
    return hint


def _template(table: Table, words: Vocabulary) -> Template:
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
