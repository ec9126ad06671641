"""Normal forms: the spelling under which equal things are equal. Pure; the typed spelling is kept elsewhere.

The server's are the keys; a tablet that does not yet know its country makes provisional ones.
"""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers

from regulars_schema.declare import JSON, Entity, Enum, Field, Form, Ref, Text, Unfit, check_text


@lru_cache(maxsize=65_536)
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
    """The path of a set's element under its normal form; the typed spelling decides when there is one."""
    if field.form is not Form.PLAIN:
        typed = check_text(value if isinstance(value, str) else key, 200)
        normal = phone_key(typed, country) if field.form is Form.PHONE else email_key(typed)
        return f"{field.name}/{normal}"
    if isinstance(field.type, Ref | Enum):
        field.type.check(key)
        return f"{field.name}/{key}"
    plain = check_text(key, field.type.chars_max if isinstance(field.type, Text) else 200).strip()
    if not plain:
        raise Unfit("text_empty", field=field.name)
    return f"{field.name}/{plain}"


@lru_cache(maxsize=65_536)
def pinyin(name: str) -> tuple[str, str]:
    """The full pinyin and the initials of a name, lower case: `林芳` gives `linfang`, `lf`.

    Latin text stands for itself. The common reading is taken where a character has several.
    """
    if name.isascii():
        syllables = [name.lower()]
    else:
        from pypinyin import Style, lazy_pinyin  # half a second that most starts can do without

        syllables = [s.lower() for s in lazy_pinyin(name, style=Style.NORMAL) if s.strip()]
    words = [word for s in syllables for word in s.split()]
    return "".join(words), "".join(word[0] for word in words)


def sort_name(name: str) -> str:
    """The key by which names are put in order: pinyin, then the name itself."""
    return f"{pinyin(name)[0]} {name}"


def search_text(entity: Entity, fields: dict[str, JSON]) -> str:
    """All that free-text search looks through in a row, lower case, one piece to a line."""
    pieces: list[str] = []
    for field in entity.searched:
        value = fields.get(field.name)
        if value is None:
            continue
        if field.is_set:
            pieces += [key for key, present in value.items() if present]
        else:
            pieces.append(str(value).lower())
            if field.name == "name":
                pieces += pinyin(value)
    return "\n".join(pieces)
