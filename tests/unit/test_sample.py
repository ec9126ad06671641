"""The sample: the same bytes from one seed, and nothing in it that could not be taken."""

import csv
import tempfile
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars_schema.entities import REGISTRY
from regulars_schema.normal import element_path, phone_key
from regulars_server.sample import LAST_DAY, STORY_DAYS, write_sample
from regulars_server.spreadsheet import Row, read_rows

ENTITIES = {
    "units.csv": "unit",
    "staff.csv": "staff",
    "products.csv": "product",
    "customers.csv": "customer",
    "interactions.csv": "interaction",
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def tables(sample):
    return {name: load(sample.directory / name) for name in ENTITIES}


@pytest.fixture(scope="module")
def rows(sample):
    """All rows by entity, as the spreadsheet reader takes them."""
    return {entity: taken(sample.directory / name, entity) for name, entity in ENTITIES.items()}


def taken(path, entity) -> list[Row]:
    rows = []
    for row in read_rows(path, entity, "sample"):
        assert isinstance(row, Row), row
        rows.append(row)
    return rows


def load(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def written(**arguments):
    with tempfile.TemporaryDirectory() as directory:
        write_sample(Path(directory), **arguments)
        return {path.name: path.read_bytes() for path in sorted(Path(directory).iterdir())}


def share(part, whole):
    return len(list(part)) / len(whole)


def countries(tables):
    return {unit["external_id"]: unit["country"] for unit in tables["units.csv"]}


def phones(tables):
    """Each customer with the key of each of its phones."""
    country = countries(tables)
    for row in tables["customers.csv"]:
        for typed in filter(None, row["phones"].split(";")):
            yield row, phone_key(typed, country[row["home_unit"]])


@given(st.integers(), st.integers(0, 60), st.integers(0, 120))
@settings(max_examples=20, deadline=None)
def test_same_seed_writes_the_same_bytes(seed, customers, interactions):
    arguments = {"seed": seed, "customers": customers, "interactions": interactions if customers else 0}
    assert written(**arguments) == written(**arguments)


def test_another_seed_writes_other_customers():
    one, other = (written(seed=seed, customers=30, interactions=30) for seed in (1, 2))
    assert one["customers.csv"] != other["customers.csv"]
    assert one["products.csv"] == other["products.csv"]


@given(st.integers(), st.integers(1, 40), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_sample_of_any_size_is_taken_whole(seed, customers, interactions):
    with tempfile.TemporaryDirectory() as directory:
        summary = write_sample(Path(directory), seed, customers, interactions)
        assert (summary.customers, summary.interactions) == (customers, interactions)
        counts = {entity: len(taken(Path(directory, name), entity)) for name, entity in ENTITIES.items()}
        assert (counts["customer"], counts["interaction"]) == (customers, interactions)


def test_every_value_fits_its_declaration(rows):
    for name, found in rows.items():
        entity = REGISTRY.get(name)
        for row in found:
            assert set(entity.required) <= row.fields.keys()
            for path, value in row.fields.items():
                field, key = entity.at(path)
                field.check(value)
                if key is not None:
                    element_path(field, key, value, "CN")


def test_every_reference_leads_to_a_row(rows):
    ids = {entity: {row.id for row in found} for entity, found in rows.items()}
    for entity, column, target in (
        ("unit", "parent", "unit"),
        ("staff", "manager", "staff"),
        ("customer", "home_unit", "unit"),
        ("customer", "owner", "staff"),
        ("interaction", "unit", "unit"),
        ("interaction", "staff", "staff"),
        ("interaction", "supersedes", "interaction"),
    ):
        named = {row.fields[column] for row in rows[entity] if column in row.fields}
        assert named
        assert named <= ids[target], (entity, column)
    for row in rows["interaction"]:
        customers = set(REGISTRY.get("interaction").named_customers(row.fields))
        assert customers
        assert customers <= ids["customer"]
        lines = row.fields.get("lines", [])
        assert {line["product"] for line in lines if "product" in line} <= ids["product"]


def test_summary_counts_what_was_written(sample, tables):
    counts = (sample.units, sample.staff, sample.products, sample.customers, sample.interactions)
    assert counts == (16, 40, 60, 2_000, 10_000) == tuple(len(rows) for rows in tables.values())
    assert sample.without_phone == sum(not row["phones"] for row in tables["customers.csv"])
    assert sample.accompanied == sum(":companion" in row["party"] for row in tables["interactions.csv"])


def test_chain_is_one_company_three_regions_and_branches_in_three_countries(tables):
    units = tables["units.csv"]
    assert Counter(unit["kind"] for unit in units) == {"company": 1, "region": 3, "branch": 12}
    abroad = {(u["country"], u["currency"]) for u in units if u["kind"] == "branch" and u["country"] != "CN"}
    assert abroad == {("SG", "SGD"), ("CA", "CAD")}
    roles = Counter(member["role"] for member in tables["staff.csv"])
    assert roles == {"admin": 1, "analyst": 1, "manager": 15, "clerk": 23}


def test_customers_are_as_mixed_as_real_ones(tables):
    customers = tables["customers.csv"]
    persons = [row for row in customers if row["kind"] == "person"]
    assert share(persons, customers) == pytest.approx(0.85, abs=0.03)
    assert share((r for r in customers if not r["phones"]), customers) == pytest.approx(0.03, abs=0.01)
    assert share((r for r in customers if r["member_no"]), customers) == pytest.approx(0.5, abs=0.04)
    assert any(row["birth"].startswith("lunar:") for row in customers)
    assert any(len(row["birth"]) == len("03-12") for row in customers)
    assert any(row["name"].startswith(("欧阳", "司马", "上官", "诸葛")) for row in persons)
    assert {2, 3, 4} <= {len(row["name"]) for row in persons}
    assert any("\n" in row["notes"] for row in customers)


def test_phones_are_spelled_in_many_ways_and_all_can_be_dialled(tables):
    shapes = {"".join("9" if ch.isdecimal() else ch for ch in p["phones"]) for p in tables["customers.csv"]}
    assert {"999 9999 9999", "(999) 9999 9999", "9999 99999999999", "+99-99999999999"} <= shapes
    assert any(shape.startswith("+9 (999) 999-9999") for shape in shapes)
    assert any(" ext. " in shape for shape in shapes)
    assert any("０" in row["phones"] for row in tables["customers.csv"])
    assert all(key.startswith("+") for _, key in phones(tables))


def test_shared_phone_is_one_person_in_two_branches(sample, tables):
    owners: dict[str, list[dict[str, str]]] = {}
    for row, key in phones(tables):
        owners.setdefault(key, []).append(row)
    shared = [rows for rows in owners.values() if len(rows) > 1]
    assert sum(len(rows) - 1 for rows in shared) == sample.twins == 20
    for rows in shared:
        assert len({row["home_unit"] for row in rows}) > 1
        assert len({row["name"].replace(" ", "").lower() for row in rows}) == 1


def test_interactions_fall_in_the_two_years_and_in_business_hours(tables):
    zones = {unit["external_id"]: unit["time_zone"] for unit in tables["units.csv"]}
    for row in tables["interactions.csv"]:
        local = datetime.fromisoformat(row["at"]).astimezone(ZoneInfo(zones[row["unit"]]))
        assert LAST_DAY - timedelta(STORY_DAYS) < local.date() <= LAST_DAY
        assert 10 <= local.hour < 21


def test_interactions_are_numbered_by_time_and_corrections_follow(tables):
    rows = tables["interactions.csv"]
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    corrections = [row for row in rows if row["supersedes"]]
    assert corrections
    assert any(row["void"] for row in corrections)
    assert all(row["supersedes"] < row["external_id"] for row in corrections)


def test_some_come_with_a_companion_whom_few_know(tables):
    rows = tables["interactions.csv"]
    accompanied = [row for row in rows if ":companion" in row["party"]]
    assert share(accompanied, rows) == pytest.approx(0.06, abs=0.01)
    assert 0 < share((row for row in accompanied if ";C-" in row["party"]), accompanied) < 0.08


def test_money_is_in_the_currency_of_the_branch(rows):
    currencies = {row.id: row.fields.get("currency") for row in rows["unit"]}
    bought = [
        r.fields for r in rows["interaction"] if r.fields["kind"] == "purchase" and "void" not in r.fields
    ]
    assert {len(fields["lines"]) for fields in bought} == {1, 2, 3, 4}
    for fields in bought:
        assert {line["currency"] for line in fields["lines"]} == {currencies[fields["unit"]]}
        assert all(0 < line.get("cost", 1) <= line["amount"] for line in fields["lines"])


def test_goods_come_back_for_what_was_paid_with_the_sign_turned(rows):
    returned = [row.fields["lines"] for row in rows["interaction"] if row.fields["kind"] == "return"]
    assert returned
    assert all(line["quantity"] < 0 and line["amount"] < 0 for lines in returned for line in lines)


def test_card_agrees_with_the_story(tables):
    first: dict[str, str] = {}
    for row in tables["interactions.csv"]:
        first.setdefault(row["party"].partition(";")[0], row["at"])
    for row in tables["customers.csv"]:
        assert row["first_seen"] <= first.get(row["external_id"], row["first_seen"])


def test_progress_ends_with_every_row_of_every_file(tmp_path):
    told = []
    write_sample(tmp_path, customers=2_500, interactions=5_000, on_progress=lambda *step: told.append(step))
    assert told[-4:] == [
        ("customers.csv", 2_500, 2_500),
        ("interactions.csv", 2_000, 5_000),
        ("interactions.csv", 4_000, 5_000),
        ("interactions.csv", 5_000, 5_000),
    ]


def test_last_day_moves_the_story(tmp_path):
    write_sample(tmp_path, customers=20, interactions=200, last_day=date(2024, 3, 1))
    assert max(row["at"] for row in load(tmp_path / "interactions.csv")) < "2024-03-03"


def test_interactions_of_nobody_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one customer"):
        write_sample(tmp_path, customers=0)
