"""A nightly file adds and alters what it wrote itself, and never undoes what staff wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from regulars import Shop
from regulars_schema.declare import JSON
from regulars_server.importing import ImportReport, import_file
from regulars_sync import document
from regulars_sync.ids import row_id
from regulars_sync.merge import Register
from tests.support.chain import Chain, new_chain

LIN = row_id("pos", "customer", "C-1")


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    """A chain whose till system calls its branches NJ (CN) and OR (SG)."""
    async with new_chain(tmp_path) as made:
        for code, country in (("NJ", "CN"), ("OR", "SG")):
            made.units[code] = row_id("pos", "unit", code)
            fields: dict[str, object] = {
                "name": code,
                "kind": "branch",
                "parent": made.units["hq"],
                "country": country,
            }
            await made.write("create", "unit", made.units[code], fields)
        yield made


async def night(chain: Chain, *lines: str, entity: str = "customer", source: str = "pos") -> ImportReport:
    """Read a file of these lines, as the till system sends it every night."""
    file = chain.folder / f"{entity}.csv"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return await import_file(chain.service, file, entity, source)


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    return report.created, report.updated, report.unchanged, len(report.refused)


async def seq(chain: Chain) -> int:
    async with chain.service.storage.unscoped_reader() as reader:
        return (await reader.head()).seq


async def registers(chain: Chain, id: str = LIN, entity: str = "customer") -> dict[str, Register]:
    async with chain.service.storage.unscoped_reader() as reader:
        return document.decode((await reader.find(entity, [id]))[id].documents.values())


async def values(chain: Chain, path: str, id: str = LIN) -> set[JSON]:
    """Every value that stands side by side in a field."""
    return {candidate.value for candidate in (await registers(chain, id))[path].values.values()}


async def shown(chain: Chain, id: str = LIN, entity: str = "customer") -> dict[str, Any]:
    declared = chain.service.storage.registry.get(entity)
    return dict(document.shown(declared, await registers(chain, id, entity)))


async def tablet(chain: Chain) -> Shop:
    shop = await chain.tablet("one", "NJ")
    await shop.sync()
    return shop


async def test_a_file_read_twice_writes_nothing_the_second_time(chain: Chain) -> None:
    customers = (
        "external_id,name,home_unit,phones,tags",
        "C-1,林芳,NJ,138 0013 8000,vip;oak",
        "C-2,Tan,OR,9123 4567,",
    )
    visits = ("external_id,kind,party,unit,at", "V-1,visit,C-1,NJ,2026-03-01 10:00")
    assert counts(await night(chain, *customers)) == (2, 0, 0, 0)
    assert counts(await night(chain, *visits, entity="interaction")) == (1, 0, 0, 0)
    before = await seq(chain)
    assert counts(await night(chain, *customers)) == (0, 0, 2, 0)
    assert counts(await night(chain, *visits, entity="interaction")) == (0, 0, 1, 0)
    assert await seq(chain) == before


async def test_a_phone_is_read_in_the_manner_of_its_own_lines_country(chain: Chain) -> None:
    await night(
        chain, "external_id,name,home_unit,phones", "C-1,林芳,NJ,138 0013 8000", "C-2,Tan,OR,9123 4567"
    )
    assert "phones/+8613800138000" in await registers(chain)
    assert "phones/+6591234567" in await registers(chain, row_id("pos", "customer", "C-2"))


async def test_what_staff_wrote_survives_every_later_night(chain: Chain) -> None:
    file = ("external_id,name,home_unit,notes", "C-1,林芳,NJ,from the till")
    await night(chain, *file)
    shop = await tablet(chain)
    await shop.customers.edit(LIN, notes="asked for oak")
    assert (await shop.sync()).equal
    before = await seq(chain)
    for _ in range(2):
        assert counts(await night(chain, *file)) == (0, 0, 1, 0)
    assert await seq(chain) == before
    assert await values(chain, "notes") == {"asked for oak"}


async def test_a_cell_that_changed_in_the_file_stands_beside_what_staff_wrote(chain: Chain) -> None:
    await night(chain, "external_id,name,home_unit,notes", "C-1,林芳,NJ,from the till")
    shop = await tablet(chain)
    await shop.customers.edit(LIN, notes="asked for oak")
    await shop.sync()
    changed = ("external_id,name,home_unit,notes", "C-1,林芳,NJ,new at the till")
    assert counts(await night(chain, *changed)) == (0, 1, 0, 0)
    assert await values(chain, "notes") == {"asked for oak", "new at the till"}
    before = await seq(chain)
    assert counts(await night(chain, *changed)) == (0, 0, 1, 0)
    assert await seq(chain) == before


async def test_a_changed_cell_replaces_what_the_file_wrote_before(chain: Chain) -> None:
    for notes in ("first", "second", "first"):
        await night(chain, "external_id,name,home_unit,notes", f"C-1,林芳,NJ,{notes}")
        assert await values(chain, "notes") == {notes}


async def test_a_file_writes_the_changed_cell_alone(chain: Chain) -> None:
    await night(chain, "external_id,name,home_unit,notes", "C-1,林芳,NJ,a")
    await night(chain, "external_id,name,home_unit,notes", "C-1,林芳,NJ,b")
    async with chain.service.storage.unscoped_reader() as reader:
        _, later = await reader.history("customer", LIN)
    assert b'"b"' in (later.body or b"")
    assert "林芳".encode() not in (later.body or b"")


async def test_what_staff_and_file_both_say_stands_once(chain: Chain) -> None:
    await night(chain, "external_id,name,home_unit,notes", "C-1,林芳,NJ,a")
    shop = await tablet(chain)
    await shop.customers.edit(LIN, notes="oak")
    await shop.sync()
    await night(chain, "external_id,name,home_unit,notes", "C-1,林芳,NJ,oak")
    assert await values(chain, "notes") == {"oak"}
    assert len((await registers(chain))["notes"].values) == 1


async def test_an_element_withdrawn_from_the_files_set_is_taken_out(chain: Chain) -> None:
    await night(chain, "external_id,name,home_unit,tags", "C-1,林芳,NJ,vip;oak")
    shop = await tablet(chain)
    await shop.customers.edit(LIN, **{"tags/regular": True})
    await shop.sync()
    assert counts(await night(chain, "external_id,name,home_unit,tags", "C-1,林芳,NJ,oak")) == (0, 1, 0, 0)
    row = await shown(chain)
    assert {path for path in row if path.startswith("tags/") and row[path]} == {"tags/oak", "tags/regular"}
    assert counts(await night(chain, "external_id,name,home_unit,tags", "C-1,林芳,NJ,oak")) == (0, 0, 1, 0)
    await night(chain, "external_id,name,home_unit,tags", "C-1,林芳,NJ,vip;oak")
    assert (await shown(chain))["tags/vip"] is True


async def test_an_empty_cell_and_a_missing_column_leave_what_stands(chain: Chain) -> None:
    await night(chain, "external_id,name,home_unit,tags,notes", "C-1,林芳,NJ,vip,a")
    assert counts(await night(chain, "external_id,name,home_unit,tags", "C-1,林芳,NJ,")) == (0, 0, 1, 0)
    row = await shown(chain)
    assert (row["notes"], row["tags/vip"]) == ("a", True)


async def test_another_source_does_not_count_as_this_one(chain: Chain) -> None:
    """Its external ids are its own, so equal numbers are two rows."""
    await night(chain, "external_id,name", "C-1,林芳")
    assert counts(await night(chain, "external_id,name", "C-1,王伟", source="club")) == (1, 0, 0, 0)
    assert await values(chain, "name") == {"林芳"}


async def test_a_refused_line_leaves_its_neighbours(chain: Chain) -> None:
    report = await night(
        chain,
        "external_id,name,home_unit,gender,phones",
        "C-1,林芳,NJ,female,138 0013 8000",
        "C-2,程远,NJ,seven,",
        ",nobody,NJ,,",
        "C-3,,NJ,male,",
        "C-4,王伟,NJ,male,call me",
        "C-5,Tan,OR,male,9123 4567",
    )
    assert counts(report) == (2, 0, 0, 4)
    assert {(line.line, line.external_id, line.code) for line in report.refused} == {
        (3, "C-2", "enum_unknown"),
        (4, None, "external_id_missing"),
        (5, "C-3", "fields_missing"),
        (6, "C-4", "phone_invalid"),
    }
    async with chain.service.storage.unscoped_reader() as reader:
        assert await reader.count("customer", None) == 2
        assert not await reader.open_entries(10)


async def test_a_fact_that_the_file_tells_otherwise_is_refused_and_stays(chain: Chain) -> None:
    await night(chain, "external_id,name,home_unit", "C-1,林芳,NJ")
    header = "external_id,kind,party,unit,at,note"
    visit = row_id("pos", "interaction", "V-1")
    await night(chain, header, "V-1,visit,C-1,NJ,2026-03-01 10:00,oak", entity="interaction")
    report = await night(chain, header, "V-1,visit,C-1,NJ,2026-03-01 10:00,elm", entity="interaction")
    assert counts(report) == (0, 0, 0, 1)
    assert (await shown(chain, visit, "interaction"))["note"] == "oak"
