"""What a chain changed of the shipped schemes, and its own ones: merge patches (RFC 7396) over their data.

    {"values": {"gold": {"rule": "monetary_fifth >= 4"}, "silver": null, "platinum": {...}},
     "order": ["diamond", "platinum"], "hints": {"male": {"on": true}}, "label": {"en": "Grade"}}

What is not named follows the product, also when the product changes it: so an upgrade keeps what the chain
said and takes what it did not speak of. `order` names values; each other stands behind the one that it stood
behind. A scheme of the chain's own is a patch over nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import pairwise

from regulars_schema.declare import JSON, Field, Label
from regulars_schema.rules.metrics import METRICS
from regulars_schema.rules.naming import circle, named
from regulars_schema.rules.tree import Misread, Rule, Vocabulary
from regulars_schema.schemes import BadScheme, Data, Scheme, Shipped, Table, scheme

ORDER = "order"


def merged(target: JSON, patch: JSON) -> JSON:
    """RFC 7396: an object's members replace those of the same name, null takes one away."""
    if type(patch) is not dict:
        return patch
    found = dict(target) if type(target) is dict else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


def composed(first: JSON, second: JSON) -> JSON:
    """One merge patch that says what these two say one after the other."""
    if type(first) is not dict or type(second) is not dict:
        return second
    return {**first, **{name: composed(first.get(name), value) for name, value in second.items()}}


@dataclass(frozen=True, slots=True)
class Schemes:
    """A chain's schemes: the shipped ones as it changed them, and its own."""

    schemes: Mapping[str, Scheme]
    words: Vocabulary
    """What rules may name: of each scheme its values."""
    problems: Mapping[str, BadScheme]
    """Changes that do not fit, by the key of their scheme: the shipped one stands, or none."""


def changed(
    shipped: Shipped,
    changes: Mapping[str, JSON],
    custom: Mapping[str, Field] | None = None,
    new: str | None = None,
    segments: Mapping[str, str] | None = None,
) -> Schemes:
    """The schemes under a chain's changes, by key. What does not fit is told, and nothing of it is so.

    Rules of the scheme that is `new` may name these segments alone; what was taken once may name any.
    """
    problems: dict[str, BadScheme] = {}
    while True:
        wanted = {key: changes[key] for key in sorted(changes) if key not in problems}
        found, wrong = _read(shipped, wanted, custom or {}, new, segments)
        if not wrong:
            return Schemes(found, _words(found, custom or {}), problems)
        problems |= wrong


def _read(
    shipped: Shipped,
    changes: Mapping[str, JSON],
    custom: Mapping[str, Field],
    new: str | None,
    segments: Mapping[str, str] | None,
) -> tuple[dict[str, Scheme], dict[str, BadScheme]]:
    wrong: dict[str, BadScheme] = {}
    data: dict[str, Data] = dict(shipped.data)
    for key, patch in changes.items():
        try:
            data[key] = _patched(shipped.data.get(key), key, patch)
        except BadScheme as bad:
            wrong[key] = bad
    # Rules of others may still name what a chain took away of a shipped scheme: it then never holds.
    values = {key: {**_values(shipped.data.get(key)), **_values(of)} for key, of in data.items()}
    words = Vocabulary(METRICS, values, custom=custom)
    found: dict[str, Scheme] = {}
    for key, of in data.items():
        if key not in changes:
            found[key] = shipped.schemes[key]
            continue
        try:
            allowed = replace(words, segments=segments) if key == new else words
            found[key] = scheme(Table(of, key), key, allowed, own=key not in shipped.data)
        except BadScheme as bad:
            wrong[key] = bad
    if not wrong and (round := circle({f"scheme {key}": _names(of) for key, of in found.items()})):
        way = [*round, round[0]]
        steps = {one.removeprefix("scheme "): other for one, other in pairwise(way)}
        at, name = min(((key, steps[key]) for key in steps if key in changes), key=lambda one: one[0] != new)
        wrong[at] = BadScheme.of(at, place_of(found[at], name), Misread("rule_circle", (), way=way))
    return found, wrong


def _names(of: Scheme) -> set[str]:
    return {f"scheme {key}" for rule in rules_of(of) for key in named(rule).schemes}


def place_of(of: Scheme, name: str) -> tuple[str, ...]:
    """Where its rules name a scheme or a segment: `segment` or `scheme`, and which."""
    for value in of.values:
        found = named(value.rule) if value.rule is not None else None
        names = [("scheme", found.schemes), ("segment", found.segments)] if found else ()
        if any(name == f"{kind} {key}" for kind, keys in names for key in keys):
            return "values", value.key, "rule"
    return ("values",)


def rules_of(of: Scheme) -> Iterable[Rule]:
    """Those that say who has a value."""
    return [value.rule for value in of.values if value.rule is not None]


def _words(schemes: Mapping[str, Scheme], custom: Mapping[str, Field]) -> Vocabulary:
    values = {key: [value.key for value in of.values] for key, of in schemes.items()}
    return Vocabulary(METRICS, values, custom=custom)


def _values(of: Data | None) -> dict[str, JSON]:
    found = of.get("values") if of else None
    return dict.fromkeys(found) if type(found) is dict else {}


def _patched(shipped: Data | None, key: str, patch: JSON) -> Data:
    """The data under a patch, its values in their order."""
    if type(patch) is not dict:
        raise BadScheme(key, (), Label("不是对象", "is no object"))
    if patch.get("key", key) != key:
        raise BadScheme(key, ("key",), Label("不可更改", "can't be changed"))
    said = {name: value for name, value in patch.items() if name != ORDER}
    found: dict[str, JSON] = {**merged(dict(shipped or {}), said), "key": key}
    if ORDER in patch:
        values = _values(found)
        order = patch[ORDER]
        if type(order) is not list or any(type(one) is not str or one not in values for one in order):
            known = ", ".join(values)
            raise BadScheme(key, (ORDER,), Label(f"只能列出 {known}", f"names others than {known}"))
        if len(set(order)) < len(order):
            raise BadScheme(key, (ORDER,), Label("有重复", "names one twice"))
        found["values"] = {one: found["values"][one] for one in _ordered(list(values), order)}
    gone = _values(shipped).keys() - _values(found).keys()
    if gone and type(found.get("hints")) is dict:
        found["hints"] = {name: _without(hint, gone) for name, hint in found["hints"].items()}
    return found


def _without(hint: JSON, gone: AbstractSet[str]) -> JSON:
    """A hint that no longer suggests what was taken away."""
    if type(hint) is not dict or type(suggests := hint.get("suggests")) is not list:
        return hint
    left = [value for value in suggests if value not in gone]
    told = {name: value for name, value in hint.items() if name != "suggests"}
    return {**told, "suggests": left} if left else told


def _ordered(stood: list[str], order: list[str]) -> list[str]:
    """Those named in their order; each other behind the one that it stood behind."""
    found = list(order)
    behind: str | None = None
    for one in stood:
        if one not in order:
            found.insert(0 if behind is None else found.index(behind) + 1, one)
        behind = one
    return found
