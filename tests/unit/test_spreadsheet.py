"""A spreadsheet as changes: what a cell means, and that a bad line costs itself alone."""

import csv
import io
import tempfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars_schema.declare import Unfit
from regulars_schema.entities import REGISTRY
from regulars_schema.messages import MESSAGES, text
from regulars_server.sample import write_sample
from regulars_server.spreadsheet import Refused, Row, columns, read_rows
from regulars_sync.ids import row_id


def read(content, entity="customer", source="pos", **options):
    """Every result of a file with this content, text or bytes."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, f"{entity}.csv")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(read_rows(path, entity, source, **options))


def table(header, *rows):
    out = io.StringIO()
    csv.writer(out).writerows([header, *rows])
    return out.getvalue()


def cell(entity, column, value, **options):
    """What one cell becomes: the fields it writes, or the refusal of its line."""
    [found] = read(table(["external_id", column], ["X-1", value]), entity, **options)
    if isinstance(found, Refused):
        return found.code, found.detail
    return {path: v for path, v in found.fields.items() if not path.startswith("external_ids")}


# --- what a cell means --------------------------------------------------------------------------


def test_row_says_where_it_comes_from():
    assert read("external_id,name\nC-1,林芳\n") == [
        Row(
            line=2,
            entity="customer",
            external_id="C-1",
            id=row_id("pos", "customer", "C-1"),
            fields={"external_ids/pos:C-1": True, "name": "林芳"},
        )
    ]


def test_fact_keeps_its_external_id_in_a_list():
    [row] = read("external_id,kind\nI-1,visit\n", "interaction")
    assert row.fields == {"external_ids": ["pos:I-1"], "kind": "visit"}


def test_empty_cell_is_not_written():
    [row] = read('external_id,name,notes,tags\nC-1,林芳,"  ",\n')
    assert row.fields.keys() == {"external_ids/pos:C-1", "name"}


@pytest.mark.parametrize(
    ("entity", "column", "value", "fields"),
    [
        ("customer", "name", "  林芳 ", {"name": "林芳"}),
        ("customer", "kind", "person", {"kind": "person"}),
        ("customer", "tags", "VIP; 老客户 ;VIP", {"tags/VIP": True, "tags/老客户": True}),
        ("customer", "tags", "a/b", {"tags/a/b": True}),
        ("customer", "contact_by", "sms;wechat", {"contact_by/sms": True, "contact_by/wechat": True}),
        ("customer", "phones", "138 0013 8000", {"phones/138 0013 8000": "138 0013 8000"}),
        ("customer", "emails", "Fang@Example.com", {"emails/Fang@Example.com": "Fang@Example.com"}),
        ("customer", "home_unit", "U-05", {"home_unit": row_id("pos", "unit", "U-05")}),
        ("customer", "trading_since", "2019-04-30", {"trading_since": "2019-04-30"}),
        ("customer", "archived", "TRUE", {"archived": True}),
        ("staff", "active", "否", {"active": False}),
        ("staff", "units", "U-1;U-2", {f"units/{row_id('pos', 'unit', u)}": True for u in ("U-1", "U-2")}),
        ("product", "price", "19900", {"price": 19900}),
        ("interaction", "supersedes", "I-1", {"supersedes": row_id("pos", "interaction", "I-1")}),
    ],
)
def test_cell_means_what_its_field_declares(entity, column, value, fields):
    assert cell(entity, column, value) == fields


@pytest.mark.parametrize(
    ("value", "birth"),
    [
        ("1988-03-12", {"year": 1988, "month": 3, "day": 12}),
        ("03-12", {"month": 3, "day": 12}),
        ("02-29", {"month": 2, "day": 29}),
        ("lunar:1970-08-15", {"year": 1970, "month": 8, "day": 15, "calendar": "lunar"}),
        ("lunar:02-30", {"month": 2, "day": 30, "calendar": "lunar"}),
    ],
)
def test_birth_may_lack_the_year_or_be_lunar(value, birth):
    assert cell("customer", "birth", value) == {"birth": birth}


@pytest.mark.parametrize("value", ["1989-02-29", "04-31", "lunar:1970-08-31", "13-01"])
def test_birth_on_no_day_of_the_calendar_is_refused(value):
    assert cell("customer", "birth", value) == ("date_invalid", {"field": "birth"})


def test_party_names_customers_and_strangers():
    known = [row_id("pos", "customer", f"C-{n}") for n in (1, 42)]
    assert cell("interaction", "party", "C-1;C-42:companion;?Mrs Zhao:companion; ?李先生") == {
        "party": [
            {"customer": known[0], "role": "principal"},
            {"customer": known[1], "role": "companion"},
            {"name": "Mrs Zhao", "role": "companion"},
            {"name": "李先生", "role": "principal"},
        ]
    }


def test_party_takes_an_id_with_a_colon_when_the_role_is_written():
    expected = {"customer": row_id("pos", "customer", "till:7"), "role": "payer"}
    assert cell("interaction", "party", "till:7:payer") == {"party": [expected]}


def test_lines_count_money_in_minor_units():
    product = row_id("pos", "product", "P-0042")
    assert cell("interaction", "lines", 'P-0042*2=19900/12000CNY;"name:oak shelf; left"*-1=-500SGD') == {
        "lines": [
            {"product": product, "quantity": 2, "amount": 19900, "cost": 12000, "currency": "CNY"},
            {"name": "oak shelf; left", "quantity": -1, "amount": -500, "currency": "SGD"},
        ]
    }


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        ("2026-11-22T13:05:09Z", "2026-11-22T13:05:09.000Z"),
        ("2026-11-22T13:05:09.1209Z", "2026-11-22T13:05:09.120Z"),
        ("2026-11-22T13:05:09+08:00", "2026-11-22T05:05:09.000Z"),
        ("2026-11-22 13:05:09 -0330", "2026-11-22T16:35:09.000Z"),
        ("2026-11-22 13:05", "2026-11-22T13:05:00.000Z"),
    ],
)
def test_instant_becomes_utc(value, instant):
    assert cell("interaction", "at", value) == {"at": instant}


def test_bare_instant_is_of_the_zone_that_was_given():
    zone = ZoneInfo("Asia/Shanghai")
    assert cell("interaction", "at", "2026-11-22 13:05", zone=zone) == {"at": "2026-11-22T05:05:00.000Z"}
    assert cell("interaction", "at", "2026-11-22T13:05Z", zone=zone) == {"at": "2026-11-22T13:05:00.000Z"}


@given(
    st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 30)),  # noqa: DTZ001 - the zone is drawn beside it
    st.integers(-14 * 60, 14 * 60),
)
def test_one_moment_reads_the_same_in_every_zone(moment, minutes):
    moment = moment.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    assert cell("interaction", "at", moment.isoformat()) == cell(
        "interaction", "at", moment.astimezone(UTC).isoformat()
    )


# --- a bad cell -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entity", "column", "value", "code"),
    [
        ("customer", "name", "x" * 201, "text_too_long"),
        ("customer", "name", "a\0b", "text_invalid"),
        ("customer", "kind", "dog", "enum_unknown"),
        ("customer", "contact_by", "phone;pigeon", "enum_unknown"),
        ("customer", "phones", "无", "phone_invalid"),
        ("customer", "emails", "fang at example", "email_invalid"),
        ("customer", "birth", "12 March", "cell_invalid"),
        ("customer", "trading_since", "30.4.2019", "date_invalid"),
        ("customer", "archived", "maybe", "value_type"),
        ("customer", "owner", "S\0", "text_invalid"),
        ("product", "price", "199.00", "value_type"),
        ("product", "price", "1_000", "value_type"),
        ("product", "price", "9" * 5_000, "value_type"),
        ("product", "usage_days", "-1", "value_range"),
        ("interaction", "at", "2026-11-22", "instant_invalid"),
        ("interaction", "at", "2026-02-30 10:00", "instant_invalid"),
        ("interaction", "at", "0001-01-01T00:00+14:00", "instant_invalid"),
        ("interaction", "stage_reached", "9", "value_range"),
        ("interaction", "party", "C-1:compenion", "enum_unknown"),
        ("interaction", "party", "?:companion", "cell_invalid"),
        ("interaction", "party", ";".join(["C-1"] * 51), "list_too_long"),
        ("interaction", "lines", "P-1*2=199.00CNY", "cell_invalid"),
        ("interaction", "lines", " *2=199CNY", "cell_invalid"),
        ("interaction", "lines", "x" * 100_000, "cell_invalid"),
    ],
)
def test_bad_cell_is_refused_with_code_and_column(entity, column, value, code):
    found, detail = cell(entity, column, value)
    assert (found, detail["field"]) == (code, column)
    assert "?" not in text(code, {k: v for k, v in detail.items() if k != "value"} | {"value": ""}, "en")


def test_bad_cell_costs_its_line_alone():
    found = read("external_id,name,kind\nC-1,A,person\nC-2,B,dog\nC-3,C,organization\n")
    assert [(type(f), f.line, f.external_id) for f in found] == [
        (Row, 2, "C-1"),
        (Refused, 3, "C-2"),
        (Row, 4, "C-3"),
    ]


# --- a bad line -----------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["C-2,B", "C-2,B,person,", "C-2,B,person,more"])
def test_line_with_too_few_or_too_many_cells_is_refused(line):
    found = read(f"external_id,name,kind\nC-1,A,person\n{line}\n")
    assert found[1] == Refused(3, None, "cells_wrong", {"cells": line.count(",") + 1, "columns": 3})


def test_line_without_external_id_is_refused():
    assert read("external_id,name\n ,A\n") == [Refused(2, None, "external_id_missing", {})]


def test_second_line_of_an_external_id_is_refused_though_the_first_was_too():
    found = read("external_id,kind\nC-1,dog\n C-1 ,person\n")
    assert [(f.line, f.external_id, f.code) for f in found] == [
        (2, "C-1", "enum_unknown"),
        (3, "C-1", "external_id_twice"),
    ]


def test_external_id_that_is_no_text_is_refused_and_not_repeated():
    [nul] = read("external_id,name\nC\x001,A\n")
    [surrogate] = read(b"\xef\xbb\xbfexternal_id,name\nC\xff,A\n")
    [long] = read(f"external_id,name\n{'C' * 120},A\n")
    assert (nul.code, nul.external_id) == (surrogate.code, surrogate.external_id) == ("text_invalid", None)
    assert (long.code, long.detail["field"]) == ("text_too_long", "external_id")


def test_blank_lines_are_passed_over():
    assert [f.line for f in read("\nexternal_id,name\n\nC-1,A\n,\n   \nC-2,B")] == [4, 7]


def test_record_of_several_lines_is_counted_from_its_first():
    found = read('external_id,notes\r\nC-1,"one\r\ntwo, ""three"""\r\nC-2,x\r\n')
    assert [(f.line, f.fields["notes"]) for f in found] == [(2, 'one\r\ntwo, "three"'), (4, "x")]


def test_quote_that_is_never_closed_costs_its_line_alone():
    found = read('external_id,notes\nC-1,"open\nC-2,x\nC-3,"y\nz"\n')
    assert [(f.line, f.external_id) for f in found if isinstance(f, Row)] == [(3, "C-2"), (4, "C-3")]
    assert (found[0].line, found[0].code) == (2, "cell_invalid")


def test_cell_beyond_all_bounds_costs_its_line_alone():
    found = read(f"external_id,notes\nC-1,{'x' * 140_000}\nC-2,{'x' * 5_000}\nC-3,x\n")
    assert [getattr(f, "code", "") for f in found] == ["cell_invalid", "text_too_long", ""]


# --- a file -------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_file_is_read_in_the_encodings_that_are_met(encoding, newline):
    content = newline.join(["external_id,name", "C-1,欧阳静", 'C-2,"𠮷野, Chloé"', ""])
    assert [f.fields["name"] for f in read(content.encode(encoding))] == ["欧阳静", "𠮷野, Chloé"]


def test_character_cut_in_two_costs_its_line_alone():
    whole = "external_id,name\nC-1,欧阳静\nC-2,".encode() + "林芳".encode()[:-1] + "\nC-3,王伟\n".encode()
    for content in (whole, b"\xef\xbb\xbf" + whole):
        first, second, third = read(content)
        assert (first.fields["name"], third.fields["name"]) == ("欧阳静", "王伟")
        assert (second.code, second.detail["field"]) == ("text_invalid", "name")


@pytest.mark.parametrize(
    ("content", "code", "detail"),
    [
        ("external_id,nmae\n", "column_unknown", {"column": "nmae", "nearest": "name"}),
        (
            "external_id,external_ids\n",
            "column_unknown",
            {"column": "external_ids", "nearest": "external_id"},
        ),
        ("external_id,name,name\n", "cell_invalid", {"value": "name", "field": "header"}),
        ("name\n", "fields_missing", {"entity": "customer", "fields": ["external_id"]}),
        ("", "file_foreign", {"file": "customer.csv"}),
        (b"PK\x03\x04\x00\x00\xff\xfe", "file_foreign", {"file": "customer.csv"}),
        ("external_id,name\n".encode("utf-16"), "file_foreign", {"file": "customer.csv"}),
        ('"external_id', "file_foreign", {"file": "customer.csv"}),
    ],
)
def test_file_that_is_no_such_table_is_refused_whole(content, code, detail):
    with pytest.raises(Unfit) as refused:
        read(content)
    assert refused.value.code == code
    assert detail.items() <= refused.value.detail.items()


@pytest.mark.parametrize("entity", ["dog", "link", "segment"])
def test_only_entities_that_keep_external_ids_are_read(entity):
    with pytest.raises(Unfit) as refused:
        read("external_id\n", entity)
    assert refused.value.code == "entity_unknown"


def test_every_field_but_the_external_ids_has_a_column():
    for name in ("unit", "staff", "product", "customer", "interaction"):
        entity = REGISTRY.get(name)
        assert columns(entity).keys() == entity.by_name.keys() - {"external_ids"}


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(tail):
    results = read(b"external_id,name,phones,birth\n" + tail)
    for found in results:
        assert isinstance(found, Row) or found.code in MESSAGES
    lines = [found.line for found in results]
    assert lines == sorted(set(lines))


CELL = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.tuples(CELL, CELL, CELL), max_size=6))
def test_every_record_is_answered_once_and_in_order(records):
    ids = [f"C-{n}" for n in range(len(records))]
    found = read(
        table(["external_id", "name", "notes", "tags"], *([i, *r] for i, r in zip(ids, records, strict=True)))
    )
    assert [f.external_id for f in found] == ids
    for one, (name, notes, _) in zip(found, records, strict=True):
        if isinstance(one, Row):
            assert one.fields.get("name", "") == name.strip()
            assert one.fields.get("notes", "") == notes.strip()


# --- JSON lines ---------------------------------------------------------------------------------


def lines(*records):
    return "".join(f"{orjson.dumps(record).decode()}\n" for record in records)


def test_json_lines_say_what_the_same_cells_say(tmp_path):
    """Every file of the sample, its cells as texts."""
    sample = write_sample(tmp_path, 3, 40, 80)
    for entity in ("unit", "staff", "product", "customer", "interaction"):
        (path,) = (
            p for p in sample.directory.glob("*.csv") if p.stem in (entity, REGISTRY.get(entity).plural)
        )
        with path.open(encoding="utf-8-sig", newline="") as file:
            told = lines(*csv.DictReader(file))
        rows = list(read_rows(path, entity, "pos"))
        again = read(told, entity)
        assert len(again) == len(rows) > 0
        for one, other in zip(again, rows, strict=True):
            assert isinstance(one, Row)
            assert isinstance(other, Row)
            assert (one.id, one.fields) == (other.id, other.fields)


def test_json_lines_hold_lists_and_structures_as_such():
    record = {
        "external_id": 7, "kind": "purchase", "at": "2026-11-22T10:00:00+08:00", "unit": "U-1",
        "party": [{"customer": "C-1", "role": "principal"}, {"name": "Mrs Zhao", "role": "companion"}],
        "lines": [{"product": "P-1", "quantity": 2, "amount": 39800, "currency": "CNY"}],
    }  # fmt: skip
    cells = table(
        ["external_id", "kind", "at", "unit", "party", "lines"],
        ["7", "purchase", "2026-11-22T10:00:00+08:00", "U-1", "C-1;?Mrs Zhao:companion", "P-1*2=39800CNY"],
    )
    [found], [same] = read(lines(record), "interaction"), read(cells, "interaction")
    assert isinstance(found, Row)
    assert isinstance(same, Row)
    assert (found.id, found.fields) == (same.id, same.fields)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('{"external_id": "B", "colour": 1}', "column_unknown"),
        ('{"external_id": "B", "name": 1}', "value_type"),
        ('{"external_id": "B", "name": ["x"]}', "value_type"),
        ('{"external_id": "B", "tags": {"vip": true}}', "value_type"),
        ('{"external_id": "B", "tags": [1]}', "value_type"),
        ('{"external_id": "B", "home_unit": true}', "external_id_missing"),
        ('{"external_id": true}', "external_id_missing"),
        ('{"external_id": "A"}', "external_id_twice"),
        ('{"name": "B"}', "external_id_missing"),
        ("[1]", "cell_invalid"),
        ("{", "cell_invalid"),
        ("[" * 5_000, "cell_invalid"),
        ('{"external_id": "' + "x" * (1 << 20) + '"}', "cell_invalid"),
        ('{"external_id": "B", "name": "\\ud800"}', "cell_invalid"),
    ],
)
def test_a_bad_json_line_costs_itself_alone(line, code):
    first, bad, last = read('{"external_id": "A"}\n' + line + '\n\n{"external_id": "Z"}')
    assert (first.external_id, bad.code, last.external_id) == ("A", code, "Z")
    assert (bad.line, last.line) == (2, 4)
    assert len(text(bad.code, bad.detail, "zh")) < 400
