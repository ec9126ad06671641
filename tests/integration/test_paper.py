# ruff: noqa: E501 (values)
"""Cards on paper: in both languages, filled and blank, with nothing on them that anybody should not see."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx2
import pypdf
import pytest

from regulars_schema.entities import CUSTOMER
from regulars_server.knowledge.world import shipped
from regulars_server.paper.printing import Press, html
from regulars_server.paper.sheet import Block, Entry, Sheet, clean
from regulars_sync.ids import made_id
from tests.support.cards import FAR, GUARDED_LABEL, NAME, NEAR, SECRETS, Filled
from tests.support.chain import Chain, new_chain
from tests.support.graph import Graph, caller

FORMS = ("html", "pdf")


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with new_chain(tmp_path) as made:
        yield made


@pytest.fixture
async def filled(chain: Chain) -> Filled:
    return await Filled(chain).fill()


async def get(graph: Graph, path: str) -> httpx2.Response:
    return await graph.http.get(path, headers={"authorization": f"Bearer {graph.token}"})


class Read(HTMLParser):
    """What HTML says, and what it would fetch or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def said(body: bytes) -> str:
    """The text of a page or a PDF, without spaces and breaks."""
    if body.startswith(b"%PDF"):
        told = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(body)).pages)
    else:
        told = "".join(Read(body.decode()).words)
    return re.sub(r"[\s\u200b\x00]", "", told)


def pressed(name: str) -> Sheet:
    return Sheet("zh", "卡", name, "", "", [Block("基本资料", [Entry("姓名", name)])], [])


async def paper(graph: Graph, id: str, form: str, lang: str = "zh", kind: str = "person") -> bytes:
    answer = await get(graph, f"/cards/{id}.{form}?lang={lang}&kind={kind}")
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.mark.parametrize("form", FORMS)
async def test_a_card_says_what_is_known_in_both_languages(chain: Chain, filled: Filled, form: str):
    office = await caller(chain)
    zh, en = said(await paper(office, filled.lin, form)), said(await paper(office, filled.lin, form, "en"))
    for word in (
        "客户档案卡",
        "基本资料",
        "性别女",
        "1988-5-2农历",
        "南京路1号",
        "橡木桌",
        "女儿考上了",
        "小王",
        "宜居",
        "尺码",
    ):
        assert word in zh, word
    for word in ("Customercard", "Basics", "GenderFemale", "1988-5-2Lunar", "Ownsize", "女儿考上了"):
        assert word in en, word
    assert "记错的" not in zh
    firm = said(await paper(office, filled.firm, form))
    for word in ("客户特征", "交易活动现状", "以质取胜", "交货慢", "38", "爽朗", "所有者"):
        assert word in firm, word


@pytest.mark.parametrize("form", FORMS)
async def test_nothing_sensitive_is_printed_whoever_asks(chain: Chain, filled: Filled, form: str):
    sensitive = [field.label for field in CUSTOMER.fields if field.level == "sensitive"]
    for caller_ in (await caller(chain, sensitive=True), await caller(chain, "clerk", NEAR, True)):
        for id in (filled.lin, filled.firm):
            for lang in ("zh", "en"):
                body = await paper(caller_, id, form, lang)
                told = said(body)
                assert not [secret for secret in SECRETS if secret in told or secret.encode() in body]
                assert GUARDED_LABEL not in told
                assert "Ownwealth" not in told
                labels = [getattr(label, lang).replace(" ", "") for label in sensitive]
                assert not [label for label in labels if label in told]
                assert "减少服务" not in told
                assert "Reduced" not in told


@pytest.mark.parametrize("form", FORMS)
async def test_a_form_has_labels_and_lines_and_no_value_at_all(chain: Chain, filled: Filled, form: str):
    office = await caller(chain, sensitive=True)
    sensitive = [field.label.zh for field in CUSTOMER.fields if field.level == "sensitive"]
    known = (
        "林芳",
        "栖木",
        "南京路",
        "橡木",
        "2026",
        "Amy",
        "宜居",
        "NanjingRoad",
        *SECRETS,
        *sensitive,
        GUARDED_LABEL,
    )
    for kind, asks in (("person", "爱好"), ("organization", "业种")):
        told = said(await paper(office, "blank", form, kind=kind))
        assert "客户资料表" in told
        assert asks in told
        assert "尺码" in told
        assert not [word for word in known if word in told]
    assert "Hobbies" in said(await paper(office, "blank", form, "en"))


async def test_a_standing_is_told_only_where_the_customer_may_know(chain: Chain, filled: Filled):
    for scheme, said_ in (
        ("tier", {"reviewed": "gold", "pinned": True, "check_by": "2027-11-01"}),
        ("difficulty", {"values/harsh": True}),
        ("attention", {"value": "key"}),
    ):
        id = made_id("assignment", filled.lin, scheme)
        await filled.write("assignment", id, customer=filled.lin, scheme=scheme, **said_)
    await chain.service.checking.drain()
    async with chain.service.storage.unscoped_reader() as reader:
        kept = (await reader.standings([filled.lin]))[filled.lin]
    assert {"tier", "difficulty", "attention"} <= set(kept)
    office = await caller(chain, sensitive=True)
    query = "query ($id: UUID!) { customerCard(id: $id, lang: ZH) { standings { label scheme value valueLabel } } }"
    told = (await office.ask(query, id=filled.lin))["customerCard"]["standings"]
    assert [(standing["scheme"], standing["value"]) for standing in told] == [("tier", "gold")]
    schemes = shipped().schemes
    internal = {
        words.zh_hans
        for key in kept.keys() - {"tier"}
        for words in (schemes[key].label, *(v.label for v in schemes[key].values if v.key in kept[key]))
    }
    assert len(internal) >= 4
    for form in FORMS:
        paper_ = said(await paper(office, filled.lin, form))
        assert f"{told[0]['label']}{told[0]['valueLabel']}" in paper_
        assert not [word for word in internal if word in paper_]


@pytest.mark.parametrize("form", FORMS)
async def test_paper_says_who_verified_a_value_and_whose_word_a_standing_is_until_when(
    chain: Chain, filled: Filled, form: str
):
    office = await caller(chain, sensitive=True)
    save = 'mutation { staffSave(idempotencyKey: "s", input: { name: "李明", role: MANAGER }) { ... on StaffSaved { staff { id } } } }'
    staff = (await office.ask(save))["staffSave"]["staff"]["id"]
    _, token = await chain.service.access.new_token("developer", "li", "admin", None, True, owner=staff)
    li = Graph(chain, token, office.http)
    await li.ask(
        'mutation ($id: UUID!) { valueVerify(idempotencyKey: "v", input: { customerId: $id, path: "name", isTrue: true }) { __typename } }',
        id=filled.lin,
    )
    for scheme, value in (("tier", "diamond"), ("difficulty", "harsh")):
        given = {
            "customerId": filled.lin,
            "scheme": scheme,
            "value": value,
            "checkBy": "2027-05-03",
            "reason": "x",
        }
        query = "mutation ($k: String!, $i: AssignmentInput!) { assignmentSet(idempotencyKey: $k, input: $i) { __typename } }"
        await li.ask(query, k=scheme, i=given)
    await chain.service.checking.drain()
    for lang, words in (
        ("zh", ("已核实·李明·2026-11", "钻石客户")),
        ("en", ("verified·李明·2026-11", "Diamond")),
    ):
        paper_ = said(await paper(office, filled.lin, form, lang))
        for word in (*words, "李明2027-05-03"):
            assert word in paper_, word
        assert paper_.count("2027-05-03") == 1, (
            "what the customer may not be told is not printed, nor until when"
        )


async def test_a_long_table_ends_and_says_of_how_many_rows_it_is(chain: Chain, filled: Filled):
    learned = [{"topic": "habit", "content": f"第{n}件"} for n in range(30)]
    for day in (6, 7):
        await filled.met("visit", day, {"customer": filled.lin}, facts=learned)
    told = said(await paper(await caller(chain), filled.lin, "html"))
    assert "所知事项（50/63）" in told


async def test_a_page_runs_nothing_and_fetches_nothing_whatever_a_name_holds(chain: Chain, filled: Filled):
    answer = await get(await caller(chain), f"/cards/{filled.lin}.html?lang=zh")
    page = Read(answer.text)
    assert NAME in page.words
    assert not page.tags & {"script", "img", "link", "iframe", "object", "form", "a", "base"}
    assert page.attributes <= {"lang", "charset", "name", "content", "class", "scope"}
    assert "url(" not in answer.text
    assert "@import" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "private, no-store"


async def test_a_pdf_shows_a_name_that_is_a_program_as_it_is(chain: Chain, filled: Filled):
    answer = await get(await caller(chain), f"/cards/{filled.lin}.pdf?lang=zh")
    assert answer.headers["content-type"] == "application/pdf"
    reader = pypdf.PdfReader(io.BytesIO(answer.content))
    assert re.sub(r"\s", "", NAME) in said(answer.content)
    assert not {"/OpenAction", "/AA", "/Names"} & set(reader.root_object)


async def test_a_card_out_of_reach_is_not_found_like_one_that_is_not_there(chain: Chain, filled: Filled):
    near, far = await caller(chain, "clerk", NEAR), await caller(chain, "clerk", FAR)
    for form in FORMS:
        assert (await get(far, f"/cards/{filled.amy}.{form}")).status_code == 200
        told = [await get(near, f"/cards/{id}.{form}") for id in (filled.amy, chain.new_id(), "x")]
        assert [answer.status_code for answer in told] == [404] * 3
        assert len({answer.text for answer in told}) == 1
    assert "Amy" not in said(await paper(near, filled.lin, "html"))
    nobody = await near.http.get(f"/cards/{filled.lin}.pdf")
    assert (nobody.status_code, nobody.json()["code"]) == (401, "token_missing")
    _, token = await chain.service.access.new_token(
        "developer", "narrow", "admin", None, False, scopes=("read:units",)
    )
    answer = await get(Graph(chain, token, near.http), f"/cards/{filled.lin}.html")
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


async def test_a_language_or_kind_that_is_none_is_refused(chain: Chain, filled: Filled):
    office = await caller(chain)
    for query in ("lang=de", "kind=shop"):
        answer = await get(office, f"/cards/blank.html?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "enum_unknown")
    answer = await office.http.get(
        "/cards/blank.html", headers={"authorization": f"Bearer {office.token}", "accept-language": "zh-CN"}
    )
    assert "客户资料表" in answer.text


async def test_without_the_extra_it_says_what_to_install(
    chain: Chain, filled: Filled, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "typst", None)
    answer = await get(await caller(chain), f"/cards/{filled.lin}.pdf")
    assert (answer.status_code, answer.json()["code"]) == (501, "card_missing")
    assert "regulars[card]" in answer.json()["message"]
    assert (await get(await caller(chain), f"/cards/{filled.lin}.html")).status_code == 200


def test_a_pdf_carries_its_fonts_and_is_readable_without_any_of_the_systems():
    made = Press(system_fonts=False).pdf(pressed("龘靐齉 Ångström Привет עברית"), 0)
    for word in ("龘靐齉", "Ångström", "Привет", "עברית"):
        assert word in said(made) or word[::-1] in said(made), word
    (page,) = pypdf.PdfReader(io.BytesIO(made)).pages
    resources: Any = page["/Resources"]
    assert len(resources["/Font"]) >= 2
    for font in resources["/Font"].values():
        described = font["/DescendantFonts"][0]["/FontDescriptor"]
        assert {"/FontFile2", "/FontFile3"} & set(described)


def test_a_character_that_no_font_has_is_named_not_left_out():
    told = said(Press(system_fonts=False).pdf(pressed("\U00020bb7野 \U0010fffd"), 0))
    assert "〔U+20BB7〕野〔U+10FFFD〕" in told


def test_a_sheet_pressed_twice_is_the_same_file():
    press = Press(system_fonts=False)
    first = press.pdf(pressed("林芳"), 86_400_000)
    assert press.pdf(pressed("王伟"), 86_400_000) != first
    assert press.pdf(pressed("林芳"), 86_400_000) == first


def test_a_long_word_stays_on_the_page():
    made = Press(system_fonts=False).pdf(pressed("x" * 400), 0)
    (page,) = pypdf.PdfReader(io.BytesIO(made)).pages
    assert said(made).count("x") == 800
    assert len([line for line in page.extract_text().splitlines() if set(line) <= {"x", "\u200b"}]) > 6


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("a\u202eb\u2066c", "abc"),
        ("a\x00\x1bb", "ab"),
        (" a\n\tb ", "a b"),
        ("\u06a9\u200c\u06c1", "\u06a9\u200c\u06c1"),
    ],
)
def test_nothing_that_steers_a_screen_or_turns_the_reading_round_is_printed(typed: str, shown: str):
    assert clean(typed) == shown


def test_html_escapes_every_place_in_which_a_value_stands():
    evil = "<b>\"'&{{7*7}}"
    sheet = Sheet(
        "zh", evil, evil, evil, evil,
        [Block(evil, [Entry(evil, evil, evil), Entry(evil, choices=(evil,))]), Block(evil, [], [evil], [[evil]])],
        [evil],
    )  # fmt: skip
    text = html(sheet).decode()
    assert "<b>" not in text
    assert text.count("&lt;b&gt;&#34;&#39;&amp;{{7*7}}") == 15
