"""Free-text search: the tokens by which a row is found, what a text asks of them, and how well a row fits.

Server and tablet write a row's tokens beside it in the same words, index them with whatever they have, and
order what was found with the same `score`. A token is one run of letters, digits or Han characters:

    林 芳 林芳             one and two Han characters; of long texts two only
    lin linfang fang lf    names as they are spoken: each syllable, all from each syllable on, the initials
    l li                   how a name's syllables and words begin, up to two letters
    amy vip                words in Latin letters
    8 86 861 138 380       how a phone begins, and three digits in a row: every fragment of it is found
    ·linfang               the whole name
    ×linfng                the whole name, or one of its words, as it is and less one letter

A text is taken apart alike; all its words must be found. Only where nothing fits, a letter may be wrong:
two words that differ in one letter, or have two changed round, are equal once the right letter is left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import assert_never

from regulars_schema.declare import JSON, Entity, Form
from regulars_schema.normal import pinyin, syllables

SCANNED_CHARS_MAX = 1_000
"""So much of a long text is found."""
WORD_CHARS_MAX = 40
WORDS_MAX = 12
"""So many words of a query count."""
LOOSE_CHARS_MIN = 5
"""In shorter words one letter is too much to be wrong."""
LOOSE_CHARS_MAX = 24
BEGINNING_CHARS = 2
DIGITS = 3
WHOLE, BUT_ONE = "·", "×"

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(rf"[{_HAN}]+|[^\W_{_HAN}]+")
_IS_HAN = re.compile(rf"[{_HAN}]")
_DIGITS = re.compile(r"[0-9]+")


# --- what is asked of tokens ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    begins: bool = False
    """It is enough that a token begins so."""


@dataclass(frozen=True, slots=True)
class Each:
    parts: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class Either:
    parts: tuple[Match, ...]


Match = Token | Each | Either


def fits(match: Match, tokens: frozenset[str]) -> bool:
    """Whether a row with these tokens is one that was asked for."""
    match match:
        case Token(text, begins):
            return text in tokens or (begins and any(token.startswith(text) for token in tokens))
        case Each(parts):
            return all(fits(part, tokens) for part in parts)
        case Either(parts):
            return any(fits(part, tokens) for part in parts)
    assert_never(match)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a text asks for."""

    words: tuple[str, ...]
    whole: Match
    """The name is just this."""
    strict: Match
    loose: Match | None
    """Where nothing fits `strict`; None: nothing would be gained."""


@lru_cache(maxsize=256)
def asked(text: str) -> Asked | None:
    """None for an empty text, which asks for nothing; one of signs alone finds nothing."""
    said = _plain(text).split()
    if not said:
        return None
    words = tuple(word for word in said if _RUN.search(word))[:WORDS_MAX]
    if not words:
        return Asked((), Either(()), Either(()), None)
    parts = [_of_word(word) for word in words]
    strict = Each(tuple(strict for strict, _ in parts))
    letters = "".join(run for word in words for run in _RUN.findall(word) if not _DIGITS.fullmatch(run))
    spoken = _letters(letters)
    loose: list[Match] = []
    if any(loose for _, loose in parts):
        loose.append(Each(tuple(Either((s, x)) if x else s for s, x in parts)))
    if len(words) > 1 and (joined := _but_one(spoken)):
        loose.append(joined)
    whole = Either((Token(WHOLE + "".join(_RUN.findall("".join(words)))), Token(WHOLE + spoken)))
    return Asked(words, whole, strict, Either((strict, *loose)) if loose else None)


def _of_word(word: str) -> tuple[Match, Match | None]:
    """What one word asks for strictly; and what beside it where nothing fits, None for nothing."""
    digits = "".join(ch for ch in word if ch.isdecimal() and ch.isascii())
    if len(digits) >= DIGITS and 2 * len(digits) > len(word):
        return Each(tuple(map(Token, sorted(set(_grams(digits, DIGITS)))))), None
    strict: list[Match] = []
    loose: list[Match | None] = []
    for run in _RUN.findall(word):
        run = run[:WORD_CHARS_MAX]
        if _IS_HAN.match(run):
            strict.append(Each(tuple(Token(gram) for gram in _grams(run, min(len(run), 2)))))
            loose.append(_alike(run))
        else:
            strict.append(Token(run, begins=len(run) > BEGINNING_CHARS))
            loose.append(_but_one(run))
    if not any(loose):
        return Each(tuple(strict)), None
    return Each(tuple(strict)), Each(tuple(x or s for s, x in zip(strict, loose, strict=True)))


def _alike(run: str) -> Match | None:
    """Han characters of which one may be another, or that sound alike."""
    if len(run) < 2:
        return None
    found: list[Match] = [Token(_letters(run), begins=True)]
    if 2 < len(run) <= 4:
        found += [Each(tuple(map(Token, run[:i] + run[i + 1 :]))) for i in range(len(run))]
    return Either(tuple(found))


def _but_one(word: str) -> Match | None:
    if not LOOSE_CHARS_MIN <= len(word) <= LOOSE_CHARS_MAX or not word.isalpha():
        return None
    return Either(tuple(map(Token, sorted(_less_one(word)))))


# --- what a row is found by -------------------------------------------------------------------------------


def tokens(entity: Entity, values: Mapping[str, JSON]) -> frozenset[str]:
    """Of a row with these shown values, sets as dicts of their present elements."""
    found: set[str] = set()
    for field in entity.searched:
        for text in _texts(entity, field.name, values):
            if field.name == "name":
                found |= _name_tokens(text)
            elif field.form is Form.PHONE:
                found.update((text[:1], text[:2], *_grams(text, DIGITS)))
            elif field.is_set:
                found |= _element_tokens(text)
            else:
                _add_text_tokens(found, text, single=len(text) <= 2 * WORD_CHARS_MAX)
    return frozenset(found)


def written(entity: Entity, values: Mapping[str, JSON]) -> str:
    """The tokens as they are stored, in order, a space between two."""
    return " ".join(sorted(tokens(entity, values)))


def _texts(entity: Entity, name: str, values: Mapping[str, JSON]) -> list[str]:
    """What a searched field says, in the plain spelling; of a phone its digits."""
    value = values.get(name)
    if value is None:
        return []
    field = entity.by_name[name]
    if field.form is Form.PHONE:
        return ["".join(_DIGITS.findall(key)) for key, present in value.items() if present]
    said = [key for key, present in value.items() if present] if field.is_set else [str(value)]
    return [_plain(text) for text in said]


@lru_cache(maxsize=1_024)  # 4 KB each; 65,536 of them made a server grow by 200 MB over an import
def _name_tokens(name: str) -> frozenset[str]:
    found: set[str] = set()
    _add_text_tokens(found, name, single=True)
    spoken = [part for word in syllables(name) for part in _RUN.findall(word)]
    initials = "".join(word[0] for word in spoken)
    joined = "".join(spoken)
    for at, word in enumerate(spoken):
        found |= {
            word,
            word[:1],
            word[:BEGINNING_CHARS],
            "".join(spoken[at:])[:WORD_CHARS_MAX],
            initials[at:],
        }
    found |= {WHOLE + joined[:WORD_CHARS_MAX], WHOLE + "".join(_RUN.findall(name))[:WORD_CHARS_MAX]}
    for word in {joined, *(spoken if name.isascii() else ())}:
        if LOOSE_CHARS_MIN <= len(word) <= LOOSE_CHARS_MAX and word.isalpha():
            found |= _less_one(word)
    return frozenset(found)


@lru_cache(maxsize=16_384)
def _element_tokens(text: str) -> frozenset[str]:
    found: set[str] = set()
    _add_text_tokens(found, text, single=True)
    return frozenset(found)


def _add_text_tokens(found: set[str], text: str, single: bool) -> None:
    """`single`: also of one Han character."""
    for run in _RUN.findall(text[:SCANNED_CHARS_MAX]):
        if _IS_HAN.match(run):
            found.update(_grams(run, 2))
            if single:
                found.update(run)
        else:
            found.add(run[:WORD_CHARS_MAX])
            for digits in () if run.isalpha() else _DIGITS.findall(run):
                found.update(_grams(digits, DIGITS))


def _grams(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(len(text) - size + 1)]


def _less_one(word: str) -> set[str]:
    return {BUT_ONE + word, *(BUT_ONE + word[:at] + word[at + 1 :] for at in range(len(word)))}


def _letters(text: str) -> str:
    """As it is spoken, in one word."""
    return "".join(_RUN.findall(pinyin(text)[0])) if text else ""


def _plain(text: str) -> str:
    return (text if text.isascii() else unicodedata.normalize("NFKC", text)).lower()


# --- how well a row fits ------------------------------------------------------------------------------------


def score(asked: Asked, entity: Entity, values: Mapping[str, JSON]) -> int:
    """The higher, the better a row fits; the same wherever it is computed."""
    said = {field.name: _texts(entity, field.name, values) for field in entity.searched}
    name = next(iter(said.get("name", ())), "")
    spoken = [part for word in syllables(name) for part in _RUN.findall(word)] if name else []
    if not asked.words:
        return 0
    whole = _word_score("".join(asked.words), name.replace(" ", ""), spoken, said)
    each = [_word_score(word, name, spoken, said) for word in asked.words]
    return 4 * whole + sum(each) // len(each)


def _word_score(word: str, name: str, spoken: list[str], said: Mapping[str, Iterable[str]]) -> int:
    letters = "".join(_RUN.findall(word))
    joined, initials = "".join(spoken), "".join(part[0] for part in spoken)
    found = 0
    for value, is_so in (
        (100, name == word),
        (90, letters == joined),
        (85, len(letters) > 1 and letters == initials),
        (80, name.startswith(word)),
        (70, joined.startswith(letters)),
        (65, letters in spoken),
        (60, initials.startswith(letters)),
        (55, word in name),
        (50, letters in joined),
    ):
        if is_so and letters:
            found = value
            break
    digits = "".join(_DIGITS.findall(word))
    for field, texts in said.items():
        for text in texts:
            if field == "name" or not letters:
                continue
            if text == word or (field == "phones" and text == digits):
                found = max(found, 95)
            elif digits and field == "phones" and digits in text:
                found = max(found, 75 if text.endswith(digits) else 45)
            elif text.startswith(word):
                found = max(found, 40)
            elif word in text:
                found = max(found, 20)
    return found
