"""The cursor says what was signed, and nothing that was tampered with is taken."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from regulars_sync import cursor
from regulars_sync.cursor import Cursor
from regulars_sync.errors import Refused

SECRET = b"s" * 32
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
CURSORS = st.builds(
    Cursor,
    WORDS,
    WORDS,
    st.integers(0, 2**62),
    WORDS,
    st.dictionaries(WORDS, st.integers(0, 2**62), max_size=4),
)


def refused(text: str, secret: bytes = SECRET) -> bool:
    with pytest.raises(Refused) as caught:
        cursor.decode(text, secret)
    return caught.value.code == "cursor_invalid"


@given(CURSORS)
def test_decode_is_the_inverse_of_encode(given_):
    assert cursor.decode(cursor.encode(given_, SECRET), SECRET) == given_


@given(CURSORS, st.data())
def test_any_tampering_is_refused(given_, data):
    text = cursor.encode(given_, SECRET)
    at = data.draw(st.integers(0, len(text) - 1))
    cut = data.draw(st.integers(at, min(at + 2, len(text))))
    tampered = text[:at] + data.draw(st.text(max_size=2)) + text[cut:]
    assume(tampered != text)
    assert refused(tampered)


@given(CURSORS, st.data())
def test_any_other_byte_under_the_base64_is_refused(given_, data):
    raw = bytearray(urlsafe_b64decode(cursor.encode(given_, SECRET)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    assert refused(urlsafe_b64encode(raw).decode())


@given(st.text())
def test_arbitrary_text_is_refused(text):
    assert refused(text)


@pytest.mark.parametrize("junk", ["!", "\n", " ", "==", "é"])
def test_characters_that_a_lax_decoder_skips_are_refused(junk):
    text = cursor.encode(Cursor("c", "e", 1, "m", {}), SECRET)
    assert refused(text + junk)
    assert refused(junk + text)


def test_another_servers_cursor_is_refused():
    assert refused(cursor.encode(Cursor("c", "e", 1, "m", {}), b"t" * 32))


@pytest.mark.parametrize("payload", [b"", b"null", b"{}", b'{"chain":1}', b"\xff"])
def test_a_signed_payload_of_another_shape_is_refused(payload):
    signature = blake2b(payload, key=SECRET, digest_size=16).digest()
    assert refused(urlsafe_b64encode(signature + payload).decode())
