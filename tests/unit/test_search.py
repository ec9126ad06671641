"""What a text finds: names in characters, letters, pinyin, initials; fragments of numbers; a wrong letter."""

from __future__ import annotations

import re
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.entities import CUSTOMER, PRODUCT
from regulars_schema.search import Asked, Either, asked, fits, score, tokens, written

LIN = {
    "name": "林芳菲",
    "phones": {"+8613800138000": "138 0013 8000"},
    "member_no": "VIP-00412",
    "emails": {"fei@oak.cn": True},
    "tags": {"老客户": True, "oak": True, "gone": False},
    "notes": "喜欢橡木家具，比价中; prefers mornings",
    "belief": "secret",
}
AMY = {"name": "Amy O'Neil"}
WANG = {"name": "王伟", "phones": {"?12345": "12345"}}


def how(text: str, values: dict[str, Any]) -> str | None:
    """`strict` or `loose`; None: not found."""
    wanted = asked(text)
    assert wanted is not None
    found = tokens(CUSTOMER, values)
    if fits(wanted.strict, found):
        return "strict"
    return "loose" if wanted.loose and fits(wanted.loose, found) else None


FOUND = """林芳菲 林芳 芳菲 林 菲 linfangfei linf LinFang fangfei fei lff ff l fa lin_fang 芳菲_138 林fang
林_-_芳 138_0013_8000 138-0013 +86_138 +8613800138000 8000 013 ８０００ vip-00412 VIP00412 0412 vip fei@oak.cn
oak 老客户 老 橡木 比价中 mornings"""


@pytest.mark.parametrize("text", [text.replace("_", " ") for text in FOUND.split()])
def test_a_customer_is_found_by(text):
    assert how(text, LIN) == "strict"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("linfanfei", LIN),
        ("linfangfie", LIN),
        ("lingfangfei", LIN),
        ("linfamgfei", LIN),
        ("lin famgfei", LIN),
        ("wangwie", WANG),
        ("wamgwei", WANG),
        ("amy oneal", AMY),
        ("林方菲", LIN),
        ("凌芳菲", LIN),
        ("王维", WANG),
    ],
)
def test_one_wrong_letter_or_character_is_forgiven_where_nothing_fits(text, values):
    assert how(text, values) in ("loose", "strict")


@pytest.mark.parametrize("text", ["secret", "gone", "13900", "林伟", "wang", "xyz", "橡家", "lfx", "99", "%"])
def test_a_customer_is_not_found_by(text):
    assert how(text, LIN) is None


def test_a_text_without_words_asks_for_nothing():
    assert asked("") is asked(" \t　") is None
    assert asked("% _") == Asked((), Either(()), Either(()), None)


def ranked(text: str, *cards: dict[str, Any]) -> list[object]:
    wanted = asked(text)
    assert wanted is not None
    return [card["name"] for card in sorted(cards, key=lambda card: -score(wanted, CUSTOMER, card))]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("林芳", ["林芳", "林芳菲", "王林芳"]),
        ("linfang", ["林芳", "林芳菲", "王林芳"]),
        ("lf", ["林芳", "林芳菲"]),
        ("ann", ["Ann", "Anna", "Joanna"]),
        ("ann lee", ["Ann Lee", "Ann Leemann", "Lee Ann"]),
    ],
)
def test_the_closer_a_name_the_higher_it_stands(text, names):
    assert ranked(text, *({"name": name} for name in reversed(names))) == names


def test_what_is_said_of_somebody_stands_below_whose_name_it_is():
    other = {"name": "Bob", "notes": "knows 林芳", "tags": {"林芳": True}}
    assert ranked("林芳", other, {"name": "林芳"}) == ["林芳", "Bob"]
    ends, holds = (
        {"name": "a", "phones": {"+8613800138000": True}},
        {"name": "b", "phones": {"+8680001380": True}},
    )
    assert ranked("8000", holds, ends) == ["a", "b"]


names = st.text(st.sampled_from("林芳菲王伟李abcdef'- "), min_size=1, max_size=8).filter(lambda t: t.strip())


@given(names)
def test_whoever_is_called_so_is_found_by_it(name):
    wanted = asked(name)
    found = tokens(CUSTOMER, {"name": name})
    assert wanted is None or not re.search(r"\w", name) or fits(wanted.strict, found)


@given(st.text(st.sampled_from("abcdefgh"), min_size=6, max_size=12), st.data())
def test_a_word_with_one_letter_wrong_is_always_found(word, data):
    at = data.draw(st.integers(0, len(word) - 1))
    letter = data.draw(st.sampled_from("xyz"))
    turned = word[:at] + word[at : at + 2][::-1] + word[at + 2 :]
    for typed in (
        word[:at] + letter + word[at + 1 :],
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at:],
        turned,
    ):
        assert how(typed, {"name": word}), typed


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_tokens_are_single_words_whatever_is_written(text):
    values = {"name": text or "x", "notes": text, "tags": {text or "x": True}, "member_no": text}
    for token in tokens(CUSTOMER, values):
        assert token
        assert not re.search(r"[\s\x00-\x2f:-@\[-`{-\x7f]", token), token
    assert written(CUSTOMER, values).split(" ") == sorted(tokens(CUSTOMER, values)) or not written(
        CUSTOMER, values
    )
    wanted = asked(text)
    assert wanted is None or isinstance(wanted, Asked)


def test_products_are_found_by_their_names():
    wanted = asked("xiangmu")
    assert wanted is not None
    assert fits(wanted.strict, tokens(PRODUCT, {"name": "橡木桌", "category": "家具"}))


def test_what_is_kept_of_names_is_bounded():
    """However many customers an import brings: 4,000 of them were 60 MB."""
    for n in range(1_024):
        written(CUSTOMER, {"name": f"warm {n}"})
    tracemalloc.start()
    try:
        for n in range(4_000):
            name = f"{chr(0x4E00 + n)}{chr(0x5E00 + n)} Alexandra {n}"
            written(CUSTOMER, {"name": name, "phones": {f"+8613{n:09}": True}})
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 9 << 20
