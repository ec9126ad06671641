"""Normal forms: the spelling under which equal things are equal. Pure; the typed spelling is kept elsewhere.

The server's are the keys; a tablet that does not yet know its country makes provisional ones.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b

import phonenumbers

from regulars_schema.declare import JSON, Enum, Field, Form, Ref, Text, Unfit, check_text


@lru_cache(maxsize=4_096)
def phone_key(typed: str, country: str | None) -> str:
    """E.164 (`+8613800138000`) where the number can be understood, else `?` and its digits.

    A number nobody can dial is kept all the same, but it never identifies a person. A key is its own
    key, so an element can always be addressed by the path under which it is stored.
    """
    if _NOT_UNDERSTOOD.match(typed):
        return typed
    key = _dialled(typed, country)
    for _ in range(_PREFIXES_MAX):
        again = key if key[0] == "?" else _dialled(key, country)
        if again == key:
            break
        key = again
    return key


_NOT_UNDERSTOOD = re.compile(r"\?\d+\Z")
_PREFIXES_MAX = 4
"""A number typed with several trunk zeros loses one at each reading."""


def _is_of(key: str, typed: str) -> bool:
    """Whether this is the E.164 form of what was typed in the country that it names itself."""
    if not _E164.match(key):
        return False
    try:
        code = phonenumbers.parse(key).country_code or 0
    except phonenumbers.NumberParseException:
        return False
    return phone_key(typed, phonenumbers.region_code_for_country_code(code)) == key


_E164 = re.compile(r"\+[1-9][0-9]+\Z")


def _dialled(typed: str, country: str | None) -> str:
    digits = "".join(ch for ch in typed if ch.isdecimal())
    if not digits:
        raise Unfit("phone_invalid", value=typed[:80])
    try:
        parsed = phonenumbers.parse(typed, country)
    except phonenumbers.NumberParseException:
        return f"?{digits}"
    if not phonenumbers.is_possible_number(parsed):
        return f"?{digits}"
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def email_key(typed: str) -> str:
    """Trimmed and lower case, with one `@` that has something on both sides."""
    key = typed.strip().lower()
    name, at, host = key.partition("@")
    if not (name and at and host) or "@" in host or " " in key:
        raise Unfit("email_invalid", value=typed[:80])
    return key


def element_path(field: Field, key: str, value: JSON, country: str | None) -> str:
    """The path of a set's element under its normal form; the typed spelling decides when there is one.

    A phone's key that is the spelling's E.164 form in the country that it names stands: it was made where
    the number was typed, and that may have been elsewhere.
    """
    if field.form is not Form.PLAIN:
        typed = check_text(value if isinstance(value, str) else key, 200)
        if field.form is Form.PHONE and _is_of(key, typed):
            return f"{field.name}/{key}"
        normal = phone_key(typed, country) if field.form is Form.PHONE else email_key(typed)
        return f"{field.name}/{normal}"
    if isinstance(field.type, Ref | Enum):
        field.type.check(key)
        return f"{field.name}/{key}"
    plain = check_text(key, field.type.chars_max if isinstance(field.type, Text) else 200).strip()
    if not plain:
        raise Unfit("text_empty", field=field.name)
    return f"{field.name}/{plain}"


@lru_cache(maxsize=4_096)
def syllables(name: str) -> list[str]:
    """The words of a name in Latin letters, lower case; each Han character is one: `林芳 Ann` gives
    `lin`, `fang`, `ann`. The common reading is taken where a character has several.
    """
    if name.isascii():
        return name.lower().split()
    from pypinyin import Style, lazy_pinyin  # half a second that most starts can do without

    spelled = (s.lower() for s in lazy_pinyin(name, style=Style.NORMAL) if s.strip())
    return [word for s in spelled for word in s.split()]


def pinyin(name: str) -> tuple[str, str]:
    """The full pinyin and the initials of a name, lower case: `林芳` gives `linfang`, `lf`.

    Latin text stands for itself.
    """
    words = syllables(name)
    return "".join(words), "".join(word[0] for word in words)


LIKENED = frozenset({"name", "birth", "address"})
"""The fields from which `likenesses` follow."""


def likenesses(values: Mapping[str, JSON]) -> list[str]:
    """What two cards of one person have in common without a key: the name as it is spoken, with the birth
    or with the address. Equal texts say alike; nothing can be read from one.
    """
    name = values.get("name")
    if not name:
        return []
    spoken = "".join(_WORD.findall(pinyin(name)[0]))
    found = []
    birth, address = values.get("birth"), values.get("address")
    if birth:
        found.append(f"birth {sorted((k, v) for k, v in birth.items() if v)}")
    if address and (lane := "".join(_WORD.findall(unicodedata.normalize("NFKC", address).lower()))):
        found.append(f"address {lane}")
    return [blake2b(f"{spoken} {what}".encode(), digest_size=16).hexdigest() for what in found if spoken]


_WORD = re.compile(r"[^\W_]+")


def sort_name(name: str) -> str:
    """The key by which names are put in order: pinyin, then the name itself."""
    return f"{pinyin(name)[0]} {name}"
