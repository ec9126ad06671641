"""PIN verifiers: what fits, and what never does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars_sync.errors import Refused
from regulars_sync.pins import SALT_BYTES, fits, verifier

SALT = bytes(range(SALT_BYTES))


@settings(max_examples=15, deadline=None)
@given(st.text("0123456789", min_size=4, max_size=8), st.text("0123456789", min_size=4, max_size=8))
def test_a_verifier_fits_its_own_pin_and_no_other(pin, other):
    made = verifier(pin, SALT)
    assert fits(pin, made)
    assert fits(other, made) == (other == pin)


def test_a_verifier_is_the_same_for_the_same_salt_and_another_for_another():
    assert verifier("2580", SALT) == verifier("2580", SALT)
    assert verifier("2580", SALT) != verifier("2580", bytes(SALT_BYTES))


def test_a_verifier_never_shows_the_pin_and_fits_its_column():
    made = verifier("25802580", SALT)
    assert "2580" not in made
    assert len(made) <= 200


def test_a_verifier_made_by_an_earlier_release_still_fits():
    made = "scrypt$14$8$1$AAECAwQFBgcICQoLDA0ODw==$TTIcHkO4LVrTx1bSDty85sS1coVLIkH4JDzMp+0VP+g="
    assert fits("2580", made)
    assert not fits("2581", made)


def test_wide_digits_of_a_chinese_keyboard_are_the_same_pin():
    assert fits("２５８０", verifier("2580", SALT))
    assert fits(" 2580 ", verifier("2580", SALT))


@pytest.mark.parametrize("pin", ["", "123", "   1  ", "1" * 65])
def test_a_pin_of_the_wrong_length_is_refused_and_fits_nothing(pin):
    with pytest.raises(Refused) as caught:
        verifier(pin, SALT)
    assert caught.value.code == "argument_invalid"
    assert not fits(pin, verifier("2580", SALT))


def test_a_salt_of_the_wrong_length_is_a_bug():
    with pytest.raises(ValueError, match="16 bytes"):
        verifier("2580", b"short")


@given(st.text(max_size=120))
def test_a_text_that_is_no_verifier_fits_nothing(text):
    assert not fits("2580", text)


@pytest.mark.parametrize("cost", ["31$8$1", "14$99$1", "14$8$9", "0$8$1", "14$0$1", "14$8$0"])
def test_a_verifier_at_an_absurd_cost_is_not_even_tried(cost):
    tail = verifier("2580", SALT).split("$", 4)[4]
    assert not fits("2580", f"scrypt${cost}${tail}")
