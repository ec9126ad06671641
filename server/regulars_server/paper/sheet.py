"""A card as it stands on paper: blocks of rows and tables, made of what `customerCard` or `cardForm` says.

The queries leave out what is not for paper, and whoever asks them has no right to anything sensitive: what is
not read can't be printed. A sheet is plain data, so HTML and PDF show the same.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from typing import Any

from regulars_schema.declare import Label
from regulars_schema.entities import CUSTOMER_KIND, PARTY_ROLE
from regulars_server.graph.card import moment, spoken

L = Label
FORM_FIELDS = "name label text source verified asked printed choices"
FIELDS = f"{FORM_FIELDS} verifiedAt verifiedBy {{ name }}"
CARD = f"""query Card($id: UUID!, $lang: Language!) {{ customerCard(id: $id, lang: $lang) {{
  kind title homeUnitId completeness {{ wanted filled missing }}
  sections {{ key label fields {{ {FIELDS} }} }}
  tabs {{ label fields {{ {FIELDS} }} }}
  leaders {{ label name note fields {{ {FIELDS} }} }}
  links {{ label name note }}
  companions {{ name roles times lastAt }}
  facts {{ label facts {{ at content product }} }}
  preferences {{ boughtMost {{ name times quantity lastAt }} }}
  suppliers {{ name satisfaction note }}
  standings {{ scheme label value valueLabel since }}
  pins {{ scheme {{ key }} values {{ key }} origin assignment {{ checkBy decidedBy {{ name }} }} }} }} }}"""
FORM = f"""query Form($kind: CustomerKind!, $lang: Language!) {{ cardForm(kind: $kind, lang: $lang) {{
  kind sections {{ key label fields {{ {FORM_FIELDS} }} }}
  tabs {{ label fields {{ {FORM_FIELDS} }} }} }} }}"""

SAID = {
    "title": L("客户档案卡", "Customer card"),
    "form": L("客户资料表", "Customer form"),
    "printed": L("打印于 {}", "Printed {}"),
    "most": L("{}（{} / {}）", "{} ({} of {})"),
    "own": L("{}（自定义）", "{} (own fields)"),
    "filled": L("已填 {} / {} 项", "{} of {} filled"),
    "please": L(
        "请填写您愿意告知的内容，其余可留空。",
        "Please fill in what you like to tell; leave the rest empty.",
    ),
    "signature": L("填写人签名", "Signature"),
    "date": L("日期", "Date"),
    "links": L("关系", "Links"),
    "companions": L("同来的人", "Who came along"),
    "facts": L("所知事项", "What was learned"),
    "bought": L("购买最多", "Bought most"),
    "suppliers": L("其他供应商", "Other suppliers"),
    "standings": L("等级", "Standing"),
    "kind": L("类型", "Kind"),
    "name": L("姓名", "Name"),
    "note": L("说明", "Note"),
    "role": L("角色", "Role"),
    "times": L("次数", "Times"),
    "last": L("最近", "Last"),
    "topic": L("事项", "Topic"),
    "content": L("内容", "Content"),
    "product": L("商品", "Product"),
    "quantity": L("数量", "Quantity"),
    "satisfaction": L("满意度", "Satisfaction"),
    "scheme": L("分类", "Scheme"),
    "value": L("值", "Value"),
    "since": L("起始", "Since"),
    "word": L("依据", "Said by"),
    "staff": L("员工", "staff"),
    "until": L("至", "Until"),
}
SOURCES = {
    "staff_visit": L("员工拜访", "staff visit"),
    "self_form": L("本人填写", "own form"),
    "agency": L("专业机构", "agency"),
    "import": L("导入", "import"),
    "pos": L("收银系统", "point of sale"),
    "rule": L("规则", "rule"),
}
VERIFIED = {
    "unverified": L("未核实", "unverified"),
    "pending": L("待核实", "to be verified"),
    "verified": L("已核实", "verified"),
    "rejected": L("已驳回", "rejected"),
}
ROWS_MAX = 50
"""Of one table; the title says how many there are."""
WIDE_CHARS = 60
CHOICES_CHARS = 20
TALL = frozenset({"address", "philosophy", "direction", "policy", "activity", "supplement", "experience"})
"""Fields for which a form leaves two lines."""
_SPACES = "\t\r\n"
_JOINERS = "\u200c\u200d"
"""Zero-width characters without which some scripts can't be written."""


@dataclass(frozen=True, slots=True)
class Entry:
    label: str
    text: str = ""
    note: str = ""
    lines: int = 1
    """To write on, where there is no text."""
    choices: tuple[str, ...] = ()
    """To tick instead."""
    wide: bool = False
    """Over the whole width."""


@dataclass(frozen=True, slots=True)
class Block:
    title: str
    entries: list[Entry] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    broad: int = 0
    """The column that takes what width is left."""


@dataclass(frozen=True, slots=True)
class Sheet:
    lang: str
    heading: str
    title: str
    remark: str
    foot: str
    blocks: list[Block]
    signed: list[str]
    """What to write at the end by hand."""


def clean(text: object) -> str:
    """Text as it may be printed: no control characters, and none that turn the direction of what follows."""
    kept = (
        " " if char in _SPACES else char
        for char in str(text)
        if char in _SPACES or char in _JOINERS or unicodedata.category(char) not in ("Cc", "Cf", "Cs")
    )
    return " ".join("".join(kept).split())


class _Words:
    def __init__(self, lang: str, zone: tzinfo = UTC) -> None:
        self.lang = lang
        self.zone = zone

    def __call__(self, key: str, *parts: object) -> str:
        return spoken(SAID[key], self.lang).format(*parts)

    def day(self, at: str) -> str:
        return moment(at, self.zone)[:10]


def filled(card: Mapping[str, Any], lang: str, now: str, zone: tzinfo) -> Sheet:
    """The sheet of a customer's card."""
    said = _Words(lang, zone)
    missing = {*card["completeness"]["missing"]}
    blocks = [_entries(part["label"], part["fields"], missing, said) for part in card["sections"]]
    blocks += [_entries(said("own", tab["label"]), tab["fields"], set(), said) for tab in card["tabs"]]
    for leader in card["leaders"]:
        if leader["name"] is not None:
            named = Entry(said("name"), clean(leader["name"]), clean(leader["note"] or ""))
            traits = _entries(clean(leader["label"]), leader["fields"], set(), said)
            blocks.append(Block(traits.title, [replace(named, wide=True), *traits.entries]))
    tables: list[tuple[str, list[str], int, Iterable[list[object]]]] = [
        (
            "standings",
            ["scheme", "value", "since", "word", "until"],
            1,
            (
                [s["label"], s["valueLabel"], said.day(s["since"]), *_pinned(s, card["pins"], said)]
                for s in card["standings"]
            ),
        ),
        (
            "facts",
            ["topic", "date", "content", "product"],
            2,
            (
                [topic["label"], said.day(fact["at"]), fact["content"], fact["product"]]
                for topic in card["facts"]
                for fact in topic["facts"]
            ),
        ),
        (
            "bought",
            ["product", "times", "quantity", "last"],
            0,
            (
                [b["name"], b["times"], b["quantity"], said.day(b["lastAt"])]
                for b in card["preferences"]["boughtMost"]
                if b["name"]
            ),
        ),
        (
            "suppliers",
            ["name", "satisfaction", "note"],
            2,
            ([s["name"], s["satisfaction"], s["note"]] for s in card["suppliers"]),
        ),
        (
            "links",
            ["kind", "name", "note"],
            2,
            ([link["label"], link["name"], link["note"]] for link in card["links"] if link["name"]),
        ),
        (
            "companions",
            ["name", "role", "times", "last"],
            0,
            (
                [c["name"], _roles(c["roles"], lang), c["times"], said.day(c["lastAt"])]
                for c in card["companions"]
                if c["name"]
            ),
        ),
    ]
    for title, heads, broad, rows in tables:
        every = list(rows)
        cells = [["" if cell is None else clean(cell) for cell in row] for row in every[:ROWS_MAX]]
        blocks.append(
            Block(
                _titled(said, title, len(every)),
                heads=[said(head) for head in heads],
                rows=cells,
                broad=broad,
            )
        )
    done = card["completeness"]
    return Sheet(
        lang=lang,
        heading=f"{said('title')} · {_kind(card['kind'], lang)}",
        title=clean(card["title"]),
        remark=said("filled", done["filled"], done["wanted"]),
        foot=said("printed", said.day(now)),
        blocks=[block for block in blocks if block.entries or block.rows],
        signed=[],
    )


def _titled(said: _Words, title: str, count: int) -> str:
    return said(title) if count <= ROWS_MAX else said("most", said(title), ROWS_MAX, count)


def blank(form: Mapping[str, Any], lang: str) -> Sheet:
    """The sheet of an empty form: labels, and lines to write on."""
    said = _Words(lang)
    parts = [(part["label"], part["fields"]) for part in (*form["sections"], *form["tabs"])]
    blocks = [
        Block(clean(label), _laid([_asked(told) for told in fields if told["asked"] and told["printed"]]))
        for label, fields in parts
    ]
    return Sheet(
        lang=lang,
        heading=_kind(form["kind"], lang),
        title=said("form"),
        remark=said("please"),
        foot="",
        blocks=[block for block in blocks if block.entries],
        signed=[said("signature"), said("date")],
    )


def _entries(title: str, fields: Iterable[Mapping[str, Any]], missing: set[str], said: _Words) -> Block:
    """What is said, and empty lines for what a card of this kind wants and has not."""
    found = [
        Entry(clean(told["label"]), clean(told["text"] or ""), _note(told, said))
        for told in fields
        if told["printed"] and (told["text"] or told["name"] in missing)
    ]
    return Block(clean(title), _laid(found))


def _asked(told: Mapping[str, Any]) -> Entry:
    lines = 2 if told["name"] in TALL else 1
    return Entry(clean(told["label"]), lines=lines, choices=tuple(map(clean, told["choices"])))


def _laid(entries: list[Entry]) -> list[Entry]:
    """With those that need it, or stand alone, over the whole width."""
    return [replace(entry, wide=len(entries) == 1 or _is_wide(entry)) for entry in entries]


def _is_wide(entry: Entry) -> bool:
    return len(entry.text) > WIDE_CHARS or entry.lines > 1 or sum(map(len, entry.choices)) > CHOICES_CHARS


def _note(told: Mapping[str, Any], said: _Words) -> str:
    """Where a value is from, and who verified it and when."""
    words = [
        spoken(labels[told[part]], said.lang)
        for part, labels in (("source", SOURCES), ("verified", VERIFIED))
        if told[part] in labels
    ]
    if told["verifiedBy"] is not None:
        words.append(clean(told["verifiedBy"]["name"]))
    if told["verifiedAt"] is not None:
        words.append(said.day(told["verifiedAt"]))
    return " · ".join(words)


def _pinned(
    standing: Mapping[str, Any], pins: Iterable[Mapping[str, Any]], said: _Words
) -> tuple[str | None, str | None]:
    """By whose word a standing is so, and until when, where it is by somebody's."""
    for pin in pins:
        if pin["scheme"]["key"] != standing["scheme"]:
            continue
        if standing["value"] not in [value["key"] for value in pin["values"]]:
            continue
        word = pin["assignment"]
        if pin["origin"] == "IMPORT":
            by = spoken(SOURCES["import"], said.lang)
        else:
            staff = word and word["decidedBy"]
            by = staff["name"] if staff else said("staff")
        return by, word and word["checkBy"]
    return None, None


def _roles(roles: Iterable[str], lang: str) -> str:
    return ", ".join(spoken(PARTY_ROLE.values[role.lower()], lang) for role in roles)


def _kind(name: str, lang: str) -> str:
    return spoken(CUSTOMER_KIND.values[name.lower()], lang)
