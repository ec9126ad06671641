"""Who is one person: whether two cards may be, what is decided by itself, and the card of all members.

A merge moves nothing. Members keep their rows; the golden card is folded from them whenever it is shown,
so taking a member out leaves everything as it was.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from regulars_schema.declare import JSON, Entity, Rule
from regulars_schema.normal import syllables
from regulars_sync.changes import Change
from regulars_sync.merge import Candidate, Register, Registers, choose

# --- clusters ----------------------------------------------------------------------------------------

SAME = "same"
APART = frozenset({"not_same", "household"})


class Edge(NamedTuple):
    """What was decided of two customers."""

    one: JSON
    other: JSON
    decision: JSON

    @classmethod
    def of(cls, values: Mapping[str, JSON]) -> Edge:
        """That of an identity row with these values."""
        return cls(values.get("one"), values.get("other"), values.get("decision"))


class Clusters(NamedTuple):
    of: dict[str, frozenset[str]]
    """Customer -> its cluster, itself included. Who stands alone is not in it."""
    contradictory: list[frozenset[str]]
    """Connected customers of whom two are not the same: each stands alone until a person resolves it."""


def clusters(edges: Iterable[Edge]) -> Clusters:
    """The clusters that these decisions make; the same for every order of them."""
    edges = list(edges)
    beside: dict[str, set[str]] = defaultdict(set)
    for one, other, decision in edges:
        if decision == SAME:
            beside[one].add(other)
            beside[other].add(one)
    component: dict[str, frozenset[str]] = {}
    for start in sorted(beside):
        if start in component:
            continue
        members, todo = {start}, [start]
        while todo:
            new = beside[todo.pop()] - members
            members |= new
            todo += new
        component.update(dict.fromkeys(members, frozenset(members)))
    torn = {
        component[one]
        for one, other, decision in edges
        if decision in APART and one in component and other in component[one]
    }
    of = {id: members for id, members in component.items() if members not in torn}
    return Clusters(of, sorted(torn, key=min))


def survivor(members: Iterable[str]) -> str:
    """The id under which a cluster is shown."""
    return min(members)


# --- which changes ask the question anew ------------------------------------------------------------

_BESIDE_KEYS = frozenset({"name", "kind", "home_unit", "birth", "address", "archived"})


def concerns(entity: Entity, change: Change) -> bool:
    """Whether a change of a customer writes anything by which one person is recognised."""
    for path in change.fields:
        name = path.partition("/")[0]
        field = entity.by_name.get(name)
        if name in _BESIDE_KEYS or (field is not None and field.identity):
            return True
    return False


# --- names ------------------------------------------------------------------------------------------

_TITLES = ("先生", "女士", "小姐", "太太", "老师", "师傅", "经理", "医生", "阿姨", "叔叔", "老板", "总")
_SPELLED_TITLES = frozenset(
    ("mr", "mrs", "ms", "miss", "mister", "madam", "sir", "dr", "doctor", "prof", "professor", "xiansheng")
)
_LETTERS = re.compile(r"[^\W_]+")


def name_words(name: str) -> list[str]:
    """A name's spelled words, lower case, without titles: `林芳女士`, `Ms. Lin Fang` give `lin`, `fang`."""
    words: list[str] = []
    for part in _LETTERS.findall(unicodedata.normalize("NFKC", name).lower()):
        for title in _TITLES:
            if part.endswith(title) and part != title:
                part = part.removesuffix(title)
                break
        if part not in _TITLES:
            words += syllables(part)
    return [word for word in words if word not in _SPELLED_TITLES]


def compatible(a: str, b: str) -> bool:
    """Whether two names may be one person's.

    Equal however they are spelled (`林芳`, `Lin Fang`, `Fang Lin`), or one is a part of the other, or has
    initials for words of it (`F. Lin`, `LF`). Equal pinyin of other characters may be: `林方` fits `林芳`.
    """
    ours, theirs = name_words(a), name_words(b)
    if not ours or not theirs:
        return False
    if "".join(ours) == "".join(theirs):
        return True
    if len(ours) > len(theirs):
        ours, theirs = theirs, ours
    spelled = "".join(ours)
    if len(ours) == 1 and len(spelled) > 1 and spelled == "".join(word[0] for word in theirs):
        return True
    if len(ours) == len(theirs):
        return _within(ours, theirs) or _within(theirs, ours)
    return _within(ours, theirs)


def _within(few: Iterable[str], many: Iterable[str]) -> bool:
    """Whether each word is one of the others, each of those once; a single letter stands for a word."""
    left = Counter(many)
    initials = []
    for word in few:
        if left[word]:
            left[word] -= 1
        elif len(word) == 1:
            initials.append(word)
        else:
            return False
    firsts = Counter(word[0] for word in left.elements())
    return not Counter(initials) - firsts


# --- what is decided by itself -------------------------------------------------------------------------

Decision = Literal["proposed", "same", "household", "not_same"]
Reason = Literal["verified_key", "equal_key", "similar", "person", "kept"]


class Judgement(NamedTuple):
    decision: Decision
    reason: Reason
    matched: str
    """The field that decided."""
    suggests: Decision | None = None
    """What head office is asked to confirm."""


def judge(entity: Entity, a: Registers, b: Registers, matched: Iterable[str]) -> Judgement:
    """What to say of two customers whose `matched` paths are equal (`phones/+8613…`, `member_no`, `name`).

    They are the same by themselves when their names are compatible and an equal key was verified on both
    cards, or both are at home in one unit. All else waits for head office. The order of the two is
    indifferent. `name` stands for an equal name with an equal birth or address: never enough by itself.
    """
    paths = sorted(set(matched))
    fit = compatible(str(_value(entity, a, "name") or ""), str(_value(entity, b, "name") or ""))
    kinds = {_value(entity, a, "kind"), _value(entity, b, "kind")} - {None}
    keys = [path for path in paths if path != "name" and not any(_is_denied(entity, c, path) for c in (a, b))]
    verified = [path for path in keys if all(_is_verified(entity, c, path) for c in (a, b))]
    first = _field((verified or keys or paths)[0])
    if len(kinds) > 1:
        return Judgement("proposed", "equal_key" if keys else "similar", first, "not_same")
    if verified and fit:
        return Judgement("same", "verified_key", first)
    home = _value(entity, a, "home_unit")
    if keys and fit and home is not None and home == _value(entity, b, "home_unit"):
        return Judgement("same", "equal_key", first)
    if not fit and any(_field(path) == "phones" for path in paths):
        return Judgement("proposed", "equal_key", "phones", "household")
    return Judgement("proposed", "equal_key" if first != "name" else "similar", first, "same")


def _field(path: str) -> str:
    return path.partition("/")[0]


def _shown(entity: Entity, registers: Registers, path: str) -> Candidate | None:
    register = registers.get(path)
    return choose(entity.at(path)[0], register.values.values()) if register and register.values else None


def _value(entity: Entity, registers: Registers, path: str) -> object:
    found = _shown(entity, registers, path)
    return None if found is None else found.value


def _is_verified(entity: Entity, registers: Registers, path: str) -> bool:
    """By code or head office, which say so, or by the cash system, which knows."""
    found = _shown(entity, registers, path)
    return found is not None and (
        found.verified == "verified" or (found.source == "pos" and found.verified is None)
    )


def _is_denied(entity: Entity, registers: Registers, path: str) -> bool:
    found = _shown(entity, registers, path)
    return found is not None and found.verified == "rejected"


# --- the golden card ----------------------------------------------------------------------------------


def agreed(entity: Entity, golden: Registers) -> Registers:
    """A golden card for showing: members that say the same do not stand against each other."""
    card: Registers = {}
    for path, register in golden.items():
        values = list(register.values.values())
        declared = entity.by_name.get(_field(path))
        if declared and len(values) > 1 and all(c.value == values[0].value for c in values):
            best = choose(declared, values)
            register = Register({best.cid: best}, register.kept, register.level)
        card[path] = register
    return card


def fold(entity: Entity, members: Mapping[str, Registers]) -> Registers:
    """The registers of one person: all values of all members, less what a change of any member has seen.

    Depends on the set of members only. One member alone folds to itself. A change through the golden card
    has seen the values of every member, so the field then holds its value alone.
    """
    golden: Registers = {}
    for registers in members.values():
        for path, register in registers.items():
            into = golden.setdefault(path, Register(level=register.level))
            into.values.update(register.values)
            into.kept |= register.kept
    for path, register in golden.items():
        for cid in register.kept & register.values.keys():
            del register.values[cid]
        declared = entity.by_name.get(path)
        if declared is not None and declared.rule is Rule.LATTICE and len(register.values) > 1:
            best = choose(declared, register.values.values())
            register.values = {best.cid: best}
    return golden
