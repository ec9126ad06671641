"""The catalogue: every code that is used has a message, in both languages, with the same blanks."""

import re
import string
from pathlib import Path

import pytest
from graphql import GraphQLError
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.declare import Unfit
from regulars_schema.messages import MESSAGES, Kind, text
from regulars_server.graph.problems import formatted
from regulars_sync.errors import LocalError, Offline, Refused, RegularsError

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("schema", "sync", "server", "client_sdk")
RAISED = re.compile(r"\b(?:Unfit|Refused|LocalError|Offline|_Held|Problem)\(\s*\"([a-z_]+)\"")
RULED = re.compile(r"\"(?:held|rejected)\",\s*\"([a-z_]+)\"")
ASSIGNED = re.compile(r"\bcode(?:, \w+)? = \"([a-z_]+)\"")


def codes_in(source: str) -> set[str]:
    found = {code for pattern in (RAISED, RULED, ASSIGNED) for code in pattern.findall(source)}
    return found - {"applied", "merged", "held", "rejected"}


def blanks(template: str) -> set[str]:
    return {name for _, name, *_ in string.Formatter().parse(template) if name is not None}


def test_every_code_that_the_source_uses_has_a_message():
    used = {
        (code, path.name)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for code in codes_in(path.read_text())
    }
    assert len(used) > 40
    assert {(code, name) for code, name in used if code not in MESSAGES} == set()


def tabled() -> dict[str, tuple[str, ...]]:
    """The rows of docs/ERRORS.md by their codes."""
    lines = (ROOT / "docs" / "ERRORS.md").read_text("utf-8").splitlines()
    rows = [tuple(cell.strip() for cell in line.split(" | ")) for line in lines if line.startswith("| `")]
    return {row[0].strip("|` "): row for row in rows}


@pytest.mark.parametrize("code", MESSAGES)
def test_every_code_is_in_the_table_with_what_to_do_in_both_languages(code):
    row = tabled()[code]
    assert len(row) == 5
    assert row[1] == (str(MESSAGES[code].status) if MESSAGES[code].status else "–")
    assert row[3].strip()
    assert row[4].strip(" |")


def test_what_is_refused_is_never_a_code_of_this_tablet_alone():
    """Of verdicts and requests alone GraphQL answers codes, but for the lines of a file."""
    refused = re.compile(r"\b(?:Unfit|Refused)\(\s*\"([a-z_]+)\"")
    local = {
        (code, path.name)
        for path in (ROOT / "server" / "regulars_server").rglob("*.py")
        for code in refused.findall(path.read_text())
        if MESSAGES[code].kind is Kind.LOCAL and path.name != "spreadsheet.py"
    }
    assert local == set()


CAUSES = (
    st.sampled_from(sorted(MESSAGES)).map(Refused)
    | st.sampled_from(sorted(MESSAGES)).map(Unfit)
    | st.sampled_from([ValueError("secret"), KeyError("secret"), RecursionError("secret")])
    | st.text().map(lambda code: GraphQLError("wrong", extensions={"code": code}))
    | st.none()
)


@given(CAUSES, st.sampled_from(["en", "zh"]))
def test_every_error_of_an_answer_has_a_code_of_the_table(cause, lang):
    (said,), broke = formatted([GraphQLError("said", original_error=cause)], lang, lambda: "n")
    code = said["extensions"]["code"]
    assert code in MESSAGES
    assert "secret" not in str(said)
    assert broke is (code == "internal" and not isinstance(cause, Refused | Unfit))
    if isinstance(cause, Refused | Unfit):
        assert (code, said["message"]) == (cause.code, text(cause.code, {}, lang))


def test_the_search_for_codes_finds_each_way_of_using_one():
    source = 'Unfit("a")  Refused(\n "b")  Ruling(change, "held", "c", waits=x)  code = "d"  Problem("e", x)'
    assert codes_in(source) == set("abcde")


@pytest.mark.parametrize("code", MESSAGES)
def test_a_message_has_the_same_blanks_in_both_languages(code):
    message = MESSAGES[code]
    assert blanks(message.en) == blanks(message.zh)
    assert message.en
    assert message.zh
    assert re.fullmatch(r"[a-z_]+", code)


@pytest.mark.parametrize("code", MESSAGES)
def test_a_message_without_detail_shows_question_marks(code):
    for lang in ("en", "zh"):
        shown = text(code, {}, lang)
        assert "{" not in shown
        assert ("?" in shown) >= bool(blanks(MESSAGES[code].en))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
    max_leaves=5,
)
NAMES = st.sampled_from(sorted({name for m in MESSAGES.values() for name in blanks(m.en)})) | st.text()


@given(
    st.sampled_from(sorted(MESSAGES)) | st.text(),
    st.none() | st.dictionaries(NAMES, JSON_VALUES, max_size=4),
    st.sampled_from(["en", "zh", "zh-CN", "", "fr"]),
)
def test_text_never_raises(code, detail, lang):
    assert isinstance(text(code, detail, lang), str)


def test_text_never_raises_for_numbers_too_long_to_spell():
    assert isinstance(text("value_range", {"field": "x", "low": -(10**5_000), "high": 10**5_000}), str)


def test_lists_are_spelled_out_and_languages_chosen():
    assert (
        text("fields_missing", {"entity": "link", "fields": ["a", "b"]}) == "A create of “link” needs: a, b."
    )
    assert text("fields_missing", {"entity": "link", "fields": ["a"]}, "zh-CN") == "新建“link”缺少：a。"
    assert text("no_such_code", {}, "zh") == "no_such_code"


@pytest.mark.parametrize("code", MESSAGES)
def test_an_error_tells_what_the_catalogue_says_of_its_code(code):
    error, message = Refused(code), MESSAGES[code]
    assert error.retryable is message.retryable
    assert error.status == (message.status or 500)
    assert str(error) == f"{code}: {text(code)}"
    assert (message.status == 0) == (message.kind is Kind.LOCAL)


def test_an_error_keeps_its_detail_and_its_place_in_the_tree():
    error = Refused("too_many_tries", seconds=5)
    assert (error.code, error.detail, error.text("zh")) == (
        "too_many_tries",
        {"seconds": 5},
        "尝试过多，请等待 5 秒。",
    )
    assert isinstance(error, RegularsError)
    assert isinstance(Offline("offline"), LocalError)
    unknown = RegularsError("nobody_knows")
    assert (unknown.status, unknown.retryable, unknown.text()) == (500, False, "nobody_knows")
