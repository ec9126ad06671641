"""A spreadsheet as changes: every record of a file becomes the fields of one row, or one refused line.

Nothing is stored or looked up here, so a file can be tried before it counts. What a column means follows
from the entity's declaration; only cells that hold a structure have a grammar:

    birth   1988-03-12 | 03-12 | lunar:1970-08-15
    party   C-00001 | C-00042:companion | ?Mrs Zhao:companion
            a customer or, after `?`, a name; without a role it is the principal
    lines   P-0042*2=39800/24000CNY | "name:oak shelf"*1=88000CNY
            product*quantity=amount[/cost]currency, of the whole line, in minor units

Several in one cell, as in every set, are parted by `;`. An empty cell is a field not written: a file adds
and alters, and what it leaves out stays.

A file of assignments has no external ids: a line says what a customer is in a scheme, and both are its key.

    customer,scheme,value,since,check_by,reason,evidence
    C-00001,tier,gold,,2027-05-03,of the old system,

A file that begins with `{` holds JSON lines: one object each, its names the columns. A text in it is read as
a cell is, and lists and structures may stand as such: `"party": [{"customer": "C-1", "role": "companion"}]`.
"""

from __future__ import annotations

import csv
import re
from codecs import BOM_UTF8
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from difflib import get_close_matches
from itertools import count
from pathlib import Path
from typing import TextIO

import orjson

from regulars_schema.declare import (
    JSON,
    Bool,
    Entity,
    Field,
    Form,
    Instant,
    Int,
    List,
    Ref,
    Registry,
    Struct,
    Type,
    Unfit,
    check_text,
)
from regulars_schema.entities import REGISTRY
from regulars_schema.normal import element_path
from regulars_sync.ids import row_id

Line = tuple[int, dict[str, JSON] | Unfit]
"""The number of a record's first line, and what it gives by column."""
LINE_CHARS_MAX = 1 << 20
"""Of a line of JSON."""
CELL_CHARS_MAX = 131_072
"""What the csv module holds in one cell."""
_BLOCK_CHARS = 1 << 20
WORDS = "assignment"
WORD_NEEDS = ("customer", "scheme", "value")
WORD_TELLS = ("since", "check_by", "reason", "evidence")
"""The columns of a file of assignments."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record as a change: `fields` holds JSON values by path."""

    line: int
    entity: str
    external_id: str
    """Of an assignment what names its customer."""
    id: str
    """Of an assignment empty: whom it names is not known here, and `fields` holds its cells by column."""
    fields: dict[str, JSON]


@dataclass(frozen=True, slots=True)
class Refused:
    """One record that can't be taken; `detail` fills the message of `code`, its `field` is the column."""

    line: int
    external_id: str | None
    code: str
    detail: dict[str, JSON]


def read_rows(
    path: Path, entity_name: str, source: str, *, zone: tzinfo = UTC, registry: Registry = REGISTRY
) -> Iterator[Row | Refused]:
    """Read a file of one entity, CSV or JSON lines, in its order, a record at a time.

    `source` names the system that gave the external ids. `zone` is that of instants written without one.
    The file may be UTF-8, with or without BOM, or GB18030. `line` counts the file's lines from 1 and is the
    first of a record that has several. A record's faults never touch another record.

    Raises `Unfit` before the first row when the file as a whole can't be read: `column_unknown`,
    `fields_missing` (no column `external_id`; of assignments `WORD_NEEDS`), `cell_invalid` (a column
    twice), `file_foreign`, `entity_unknown`.
    """
    entity = registry.get(entity_name)
    if not is_imported(entity):
        raise Unfit("entity_unknown", entity=entity_name)
    if entity.name == WORDS:
        yield from _words(path, entity)
        return
    known = columns(entity)
    cells = _Cells(source, zone)
    seen: set[str] = set()
    with _open(path) as file:
        for line, record in _lines(file, path, entity, ("external_id",), known):
            external_id = None
            try:
                if isinstance(record, Unfit):
                    raise record
                external_id = _external_id(record.pop("external_id", None))
                if external_id in seen:
                    raise Unfit("external_id_twice", external_id=external_id)
                seen.add(external_id)
                values = _provenance(entity, source, external_id)
                for name, given in record.items():
                    try:
                        values.update(cells.write(known[name], given))
                    except Unfit as unfit:
                        raise Unfit(unfit.code, **{**unfit.detail, "field": name}) from None
            except Unfit as unfit:
                yield Refused(line, external_id, unfit.code, unfit.detail)
            else:
                yield Row(line, entity.name, external_id, row_id(source, entity.name, external_id), values)


def is_imported(entity: Entity) -> bool:
    """Whether files of it are read."""
    return entity.name == WORDS or "external_ids" in entity.by_name


def _words(path: Path, entity: Entity) -> Iterator[Row | Refused]:
    """What a file says of customers in schemes."""
    with _open(path) as file:
        for line, record in _lines(file, path, entity, WORD_NEEDS, WORD_TELLS):
            customer = None
            try:
                if isinstance(record, Unfit):
                    raise record
                customer = _external_id(record.pop("customer", None), "customer")
                told: dict[str, JSON] = {}
                for name, given in record.items():
                    if name == "value":
                        told[name] = _several(given)
                    elif name == "evidence":
                        told[name] = _external_id(given, name)
                    elif isinstance(given, str):
                        told[name] = check_text(given, CELL_CHARS_MAX)
                    else:
                        raise Unfit("value_type", field=name, expected="a text")
                if missing := [name for name in WORD_NEEDS if name != "customer" and not told.get(name)]:
                    raise Unfit("fields_missing", entity=entity.name, fields=missing)
            except Unfit as unfit:
                yield Refused(line, customer, unfit.code, unfit.detail)
            else:
                yield Row(line, entity.name, customer, "", {"customer": customer, **told})


def _several(given: JSON) -> list[JSON]:
    found = _parts(given) if isinstance(given, str) else given
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise Unfit("value_type", field="value", expected="a list")
    return [check_text(one.strip(), CELL_CHARS_MAX) for one in found if isinstance(one, str)]


def _lines(
    file: TextIO, path: Path, entity: Entity, needs: Sequence[str], known: Iterable[str]
) -> Iterator[Line]:
    """What each record gives, of CSV or of JSON lines."""
    names = [*needs, *known]
    return _objects(file, names) if _is_json(path) else _cells(_records(file), path, entity, needs, names)


def _cells(
    records: Iterator[tuple[int, list[str] | Unfit]],
    path: Path,
    entity: Entity,
    needs: Sequence[str],
    names: list[str],
) -> Iterator[Line]:
    """The cells of each record that are not empty, by column."""
    header = _header(records, path, entity, needs, names)
    for line, record in records:
        if isinstance(record, Unfit):
            yield line, record
        elif len(record) != len(header):
            yield line, Unfit("cells_wrong", cells=len(record), columns=len(header))
        else:
            yield line, {n: text for n, cell in zip(header, record, strict=True) if (text := cell.strip())}


def _objects(file: TextIO, names: list[str]) -> Iterator[Line]:
    """The same of a file of JSON lines."""
    for line in count(1):
        text = file.readline(LINE_CHARS_MAX)
        is_cut = len(text) == LINE_CHARS_MAX and not text.endswith("\n")
        rest = text
        while rest and not rest.endswith("\n"):
            rest = file.readline(LINE_CHARS_MAX)
        if not text:
            return
        if not text.strip():
            continue
        try:
            found = None if is_cut else orjson.loads(text)
        except orjson.JSONDecodeError as error:
            yield line, _unreadable(text.strip(), str(error), "json")
            continue
        if not isinstance(found, dict):
            reason = f"it has over {LINE_CHARS_MAX} characters" if is_cut else "no object"
            yield line, _unreadable(text.strip(), reason, "json")
            continue
        foreign = next((name for name in found if name not in names), None)
        if foreign is not None:
            yield line, _unknown(foreign, names)
        else:
            told = {name: v.strip() if isinstance(v, str) else v for name, v in found.items()}
            yield line, {name: value for name, value in told.items() if value not in (None, "")}


def columns(entity: Entity) -> dict[str, Field]:
    """The fields that a column can write, by its name; beside them stands `external_id`."""
    return {f.name: f for f in entity.fields if f.name != "external_ids" and _has_cell(f.type)}


def _has_cell(type: Type) -> bool:
    inner = type.of if isinstance(type, List) else type
    return not isinstance(inner, Struct) or inner.name in _GRAMMARS


# --- the file -----------------------------------------------------------------------------------


def _open(path: Path) -> TextIO:
    """Open as UTF-8, or as GB18030 when it is that and not UTF-8.

    In what is neither, the broken characters become lone surrogates, which no text may hold: a name cut
    in the middle of a character costs its own line and not the file.
    """
    with path.open("rb") as file:
        marked = file.read(len(BOM_UTF8)) == BOM_UTF8
    gb18030 = not marked and not _decodes(path, "utf-8") and _decodes(path, "gb18030")
    encoding = "gb18030" if gb18030 else "utf-8-sig"
    return path.open(encoding=encoding, errors="surrogateescape", newline="")


def _is_json(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(64).removeprefix(BOM_UTF8).lstrip().startswith(b"{")


def _decodes(path: Path, encoding: str) -> bool:
    with path.open(encoding=encoding, newline="") as file:
        try:
            while file.read(_BLOCK_CHARS):
                pass
        except UnicodeDecodeError:
            return False
    return True


def _records(file: TextIO) -> Iterator[tuple[int, list[str] | Unfit]]:
    """The records with the number of their first line; blank ones are passed over.

    A quote that is opened and never closed would swallow all that follows. Its first line alone is
    refused, and reading goes on at the second.
    """
    ahead: deque[str] = deque()
    taken: list[str] = []

    def pull() -> str:
        text = ahead.popleft() if ahead else file.readline()
        if text:
            taken.append(text)
        return text

    line = 1
    while True:
        taken.clear()
        try:
            record = next(csv.reader(iter(pull, ""), strict=True), None)
        except csv.Error as error:
            ahead.extendleft(reversed(taken[1:]))
            yield line, _unreadable(taken[0].rstrip("\r\n"), str(error), "csv")
            line += 1
            continue
        if record is None:
            return
        if any(cell.strip() for cell in record):
            yield line, record
        line += len(taken)


def _header(
    records: Iterator[tuple[int, list[str] | Unfit]],
    path: Path,
    entity: Entity,
    needs: Sequence[str],
    names: list[str],
) -> list[str]:
    _, record = next(records, (0, None))
    if not isinstance(record, list) or any(not _is_text(cell) for cell in record):
        raise Unfit("file_foreign", file=path.name)
    header = [cell.strip() for cell in record]
    for position, name in enumerate(header):
        if name not in names:
            raise _unknown(name, names)
        if name in header[:position]:
            raise Unfit("cell_invalid", field="header", value=name, reason="the column stands twice")
    if missing := [name for name in needs if name not in header]:
        raise Unfit("fields_missing", entity=entity.name, fields=missing)
    return header


def _unknown(name: str, names: list[str]) -> Unfit:
    return Unfit("column_unknown", column=name[:80], nearest=get_close_matches(name, names, n=1, cutoff=0)[0])


def _is_text(cell: str) -> bool:
    try:
        check_text(cell, CELL_CHARS_MAX)
    except Unfit:
        return False
    return True


def _external_id(given: JSON, column: str = "external_id") -> str:
    if type(given) is int:
        given = str(given)
    external_id = given.strip() if isinstance(given, str) else ""
    if not external_id and column == "external_id":
        raise Unfit("external_id_missing")
    if not external_id:
        raise Unfit("field_required", field=column)
    if not _is_text(external_id):
        raise Unfit("text_invalid", field=column, reason="NUL or lone surrogate")
    return external_id


def _provenance(entity: Entity, source: str, external_id: str) -> dict[str, JSON]:
    """Where the row comes from: an element of the set, or on a fact, the list's one item."""
    field = entity.by_name["external_ids"]
    key = f"{source}:{external_id}"
    try:
        if field.is_set:
            field.type.check(key)
            return {f"external_ids/{key}": True}
        field.check([key])
    except Unfit as unfit:
        raise Unfit(unfit.code, **{**unfit.detail, "field": "external_id"}) from None
    return {"external_ids": [key]}


# --- a cell -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cells:
    source: str
    zone: tzinfo

    def write(self, field: Field, given: JSON) -> dict[str, JSON]:
        """The values by path that a cell writes; `Unfit` when it does not fit the field."""
        if isinstance(given, str):
            check_text(given, CELL_CHARS_MAX)
        if not field.is_set:
            value = self.value(field.type, given)
            field.check(value)
            return {field.name: value}
        written: dict[str, JSON] = {}
        if isinstance(given, str):
            given = list(_parts(given))
        if not isinstance(given, list):
            raise Unfit("value_type", expected="a list")
        for item in given:
            key = self.value(field.type, item)
            field.type.check(key)
            # The server makes the normal form, knowing the country; here it only has to be possible.
            element_path(field, str(key), key, None)
            written[f"{field.name}/{key}"] = True if field.form is Form.PLAIN else key
        return written

    def value(self, type: Type, given: JSON) -> JSON:
        """What a cell says, or a part of one; what is neither text, list nor structure stays as it is."""
        if isinstance(given, list) and isinstance(type, List):
            return [self.value(type.of, item) for item in given]
        if isinstance(given, dict) and isinstance(type, Struct):
            parts = type.parts
            return {n: self.value(parts[n].type, v) if n in parts else v for n, v in given.items()}
        if isinstance(type, Ref) and not isinstance(given, str):
            return row_id(self.source, type.entity, _external_id(given))
        return self.cell(type, given) if isinstance(given, str) else given

    def cell(self, type: Type, cell: str) -> JSON:
        match type:
            case Int():
                return _whole(cell)
            case Bool():
                return _truth(cell)
            case Instant():
                return self.instant(cell)
            case Ref():
                return row_id(self.source, type.entity, cell)
            case Struct():
                return _GRAMMARS[type.name](self, type, cell)
            case List():
                return [self.cell(type.of, item) for item in _parts(cell)]
            case _:
                return cell

    def instant(self, cell: str) -> str:
        found = _INSTANT.fullmatch(cell)
        if found is None:
            raise Unfit("instant_invalid")
        try:
            moment = datetime.fromisoformat(f"{found['day']}T{found['time']}{found['offset'] or ''}")
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=self.zone)
            moment = moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise Unfit("instant_invalid") from None
        return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"

    def birth(self, _: Struct, cell: str) -> JSON:
        found = _BIRTH.fullmatch(cell)
        if found is None:
            raise _unreadable(cell, "write 1988-03-12, 03-12 or lunar:1970-08-15", "birth")
        born: dict[str, JSON] = {
            name: int(found[name]) for name in ("year", "month", "day") if found[name] is not None
        }
        if found["lunar"]:
            if born["day"] > 30:
                raise Unfit("date_invalid")
            return {**born, "calendar": "lunar"}
        try:
            date(born.get("year", 2000), born["month"], born["day"])
        except ValueError:
            raise Unfit("date_invalid") from None
        return born

    def member(self, struct: Struct, cell: str) -> JSON:
        who, colon, role = cell.rpartition(":")
        who, role = (who.strip(), role.strip()) if colon else (cell, "principal")
        name = who.removeprefix("?").strip()
        if not name:
            raise _unreadable(cell, "there is nobody before the role", "party")
        if who.startswith("?"):
            return {"name": name, "role": role}
        return {"customer": self.value(struct.parts["customer"].type, name), "role": role}

    def line(self, struct: Struct, cell: str) -> JSON:
        found = _LINE.fullmatch(cell)
        if found is None or not (found["name"] or found["product"]).strip():
            raise _unreadable(cell, "write product*quantity=amount/costCURRENCY in minor units", "lines")
        line: dict[str, JSON] = {}
        if found["name"]:
            line["name"] = found["name"].strip()
        else:
            line["product"] = self.value(struct.parts["product"].type, found["product"].strip())
        for name in ("quantity", "amount", "cost"):
            if found[name] is not None:
                line[name] = _whole(found[name])
        return {**line, "currency": found["currency"]}

    def quiet_hours(self, _: Struct, cell: str) -> JSON:
        found = _HOURS.fullmatch(cell)
        if found is None:
            raise _unreadable(cell, "write 21:00-08:30", "quiet_hours")
        start, start_min, end, end_min = map(int, found.groups())
        return {"start": start * 60 + start_min, "end": end * 60 + end_min}

    def learned(self, _: Struct, cell: str) -> JSON:
        topic, colon, content = cell.partition(":")
        if not colon:
            raise _unreadable(cell, "write topic: what was learned", "facts")
        return {"topic": topic.strip(), "content": content.strip()}

    def opportunity(self, _: Struct, cell: str) -> JSON:
        found = _RATED.fullmatch(cell)
        if found is None:
            raise _unreadable(cell, "write urgency/effect/price, each 0 to 2, as 2/1/0", "opportunity")
        return dict(zip(("urgency", "effect", "price"), map(int, found.groups()), strict=True))


_GRAMMARS: Mapping[str, Callable[[_Cells, Struct, str], JSON]] = {
    "Birth": _Cells.birth,
    "PartyMember": _Cells.member,
    "Line": _Cells.line,
    "QuietHours": _Cells.quiet_hours,
    "LearnedFact": _Cells.learned,
    "Opportunity": _Cells.opportunity,
}
"""How a cell says a structure, by its name."""

_HOURS = re.compile(r"(\d\d?):(\d\d) *- *(\d\d?):(\d\d)", re.ASCII)
_RATED = re.compile(r"([0-2]) */ *([0-2]) */ *([0-2])", re.ASCII)
_INSTANT = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[T ](?P<time>\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?) ?(?P<offset>Z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_BIRTH = re.compile(
    r"(?P<lunar>lunar:)?(?:(?P<year>\d{4})-)?(?P<month>\d\d)-(?P<day>\d\d)",
    re.ASCII,
)
_LINE = re.compile(
    r'(?:"name:(?P<name>[^"]+)"|(?P<product>[^"*]+))'
    r"\*(?P<quantity>-?\d+)=(?P<amount>-?\d+)(?:/(?P<cost>-?\d+))?(?P<currency>[A-Z]{3})",
    re.ASCII,
)
_PART = re.compile(r'(?:"[^"]*"|[^;"]|")+')
_WHOLE = re.compile(r"-?\d{1,30}", re.ASCII)
_TRUTH = dict.fromkeys(("true", "yes", "1", "是"), True) | dict.fromkeys(("false", "no", "0", "否"), False)


def _parts(cell: str) -> list[str]:
    """What `;` parts, but not one inside a quoted name."""
    return [part for found in _PART.findall(cell) if (part := found.strip())]


def _whole(cell: str) -> int:
    if not _WHOLE.fullmatch(cell):
        raise Unfit("value_type", expected="a whole number")
    return int(cell)


def _truth(cell: str) -> bool:
    try:
        return _TRUTH[cell.lower()]
    except KeyError:
        raise Unfit("value_type", expected="true or false") from None


def _unreadable(cell: str, reason: str, field: str) -> Unfit:
    shown = cell[:80].encode(errors="replace").decode().replace("\0", "?")
    return Unfit("cell_invalid", value=shown, field=field, reason=reason)
