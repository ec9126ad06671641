"""Normal forms: equal things get equal keys, and a key is its own key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.declare import Unfit
from regulars_schema.entities import REGISTRY
from regulars_schema.normal import element_path, email_key, phone_key, pinyin, sort_name
from regulars_sync.check import admit, provisional
from tests.unit.histories import change, cid_of, id_of

CUSTOMER = REGISTRY.get("customer")
COUNTRIES = st.sampled_from(["CN", "US", "IT", "DE", "SG", "AR", "MX", None, "XX"])
PREFIXES = st.sampled_from(["", "+86 ", "0086", "+49 00", "+54 9", "+52 1", "0", "(", "+", "?", "？"])
NUMBERS = st.tuples(
    PREFIXES,
    st.text(alphabet="0123456789٣ -()", min_size=1, max_size=16),
    st.sampled_from(["", " ext 12", "转3", "#4"]),
).map("".join)


@given(NUMBERS, COUNTRIES)
def test_a_phone_key_is_its_own_key(typed, country):
    try:
        key = phone_key(typed, country)
    except Unfit:
        return
    assert phone_key(key, country) == key
    assert key[0] in "+?"
    assert key[1:].isdecimal()


@pytest.mark.parametrize(
    ("typed", "country", "key"),
    [
        ("138 0013 8000", "CN", "+8613800138000"),
        ("+86 138-0013-8000", None, "+8613800138000"),
        ("+86 138-0013-8000", "US", "+8613800138000"),
        ("138 0013 8000", None, "?13800138000"),
        ("010-6552 9988", "CN", "+861065529988"),
        ("12 转 3", "CN", "?123"),
        ("+49 0089-11 0814 48", "SG", "+498911081448"),
    ],
)
def test_a_phone_number_is_understood_in_its_country(typed, country, key):
    assert phone_key(typed, country) == key


@given(st.text(), COUNTRIES)
def test_any_text_is_a_phone_number_or_unfit(typed, country):
    if any(ch.isdecimal() for ch in typed):
        assert phone_key(typed, country)[0] in "+?"
    else:
        with pytest.raises(Unfit, match="phone_invalid"):
            phone_key(typed, country)


@given(st.text(alphabet="aBİ@. \t", max_size=10))
def test_an_email_key_is_its_own_key(typed):
    try:
        key = email_key(typed)
    except Unfit:
        return
    assert email_key(key) == key
    assert email_key(f" {typed}\n") == key
    assert key.count("@") == 1


@pytest.mark.parametrize("typed", ["", "a", "@b", "a@", "a@b@c", "a b@c"])
def test_what_is_no_address_is_unfit(typed):
    with pytest.raises(Unfit, match="email_invalid"):
        email_key(typed)


PATHS = st.tuples(
    st.sampled_from(["phones", "emails", "tags", "segments", "contact_by"]),
    st.text(max_size=12) | NUMBERS | st.sampled_from([id_of(1), "sms", "a@b", " vip "]),
    st.booleans() | st.text(max_size=12),
)


@given(PATHS, COUNTRIES)
def test_an_element_can_be_addressed_by_the_path_under_which_it_is_stored(given_, country):
    name, key, value = given_
    field = CUSTOMER.by_name[name]
    try:
        path = element_path(field, key, value, country)
    except Unfit:
        return
    assert element_path(field, path.partition("/")[2], False, country) == path
    assert len(path) <= 220
    assert "\0" not in path
    path.encode()


def test_the_typed_spelling_decides_where_there_is_one():
    phones, emails = CUSTOMER.by_name["phones"], CUSTOMER.by_name["emails"]
    assert element_path(phones, "x", "138 0013 8000", "CN") == "phones/+8613800138000"
    for country in ("CN", "SG", "US", None):
        assert element_path(phones, "+6591234567", "9123 4567", country) == "phones/+6591234567"
        assert element_path(phones, "+12025550123", "202-555-0123", country) == "phones/+12025550123"
    assert element_path(phones, "+6591234567", "138 0013 8000", "CN") == "phones/+8613800138000"
    assert element_path(emails, "x", " A@B ", None) == "emails/a@b"
    assert element_path(CUSTOMER.by_name["tags"], " vip ", "typed", None) == "tags/vip"


@given(
    st.dictionaries(PATHS.map(lambda p: f"{p[0]}/{p[1]}") | st.text(max_size=5), st.booleans(), max_size=4),
    COUNTRIES,
)
def test_a_tablet_shows_any_change_before_the_server_has_admitted_it(fields, country):
    seen = {path: [9] for path in fields}
    for entity in ("customer", "link", "nonsense"):
        made = change(1, fields, entity=entity, seen=seen)
        shown = provisional(REGISTRY, made, country)
        assert shown.seen.keys() == shown.fields.keys()
        assert provisional(REGISTRY, shown, country) == shown


@given(st.dictionaries(PATHS.map(lambda p: f"{p[0]}/{p[1]}"), st.booleans(), max_size=3), COUNTRIES)
def test_what_a_tablet_shows_is_what_the_server_admits(fields, country):
    made = change(1, fields, seen={path: [9] for path in fields})
    try:
        _, admitted = admit(REGISTRY, made, country, None)
    except Unfit:
        return
    assert admitted == provisional(REGISTRY, made, country)
    assert admit(REGISTRY, admitted, country, None)[1] == admitted


@given(st.permutations(["phones/138 0013 8000", "phones/+8613800138000", "phones/138-0013-8000"]))
def test_spelling_a_number_anew_keeps_it_whatever_stands_first(paths):
    fields = {path: path.endswith("138-0013-8000") for path in paths}
    made = change(1, fields, seen={paths[0]: [7], paths[1]: [8]})
    for given_ in (admit(REGISTRY, made, "CN", None)[1], provisional(REGISTRY, made, "CN")):
        assert {path: v.value for path, v in given_.fields.items()} == {"phones/+8613800138000": True}
        assert {path: set(cids) for path, cids in given_.seen.items()} == {
            "phones/+8613800138000": {cid_of(7), cid_of(8)}
        }


def test_names_are_found_and_sorted_by_their_pinyin():
    assert pinyin("林芳") == ("linfang", "lf")
    assert pinyin("Anna Li") == ("annali", "al")
    assert pinyin(" ") == ("", "")
    assert sorted(["王强", "林芳", "Li"], key=sort_name) == ["Li", "林芳", "王强"]


@given(st.text())
def test_pinyin_takes_any_text(name):
    full, initials = pinyin(name)
    assert len(initials) <= len(full)
    assert full == full.lower()
