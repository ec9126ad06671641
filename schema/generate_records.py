"""The records that the SDK hands out: one frozen dataclass for each entity that a tablet reads."""

from __future__ import annotations

import keyword
import textwrap
from dataclasses import dataclass

from regulars_schema.declare import (
    Bool,
    Date,
    Entity,
    Enum,
    Field,
    Form,
    Instant,
    Int,
    Json,
    Label,
    List,
    Ref,
    Registry,
    Scalar,
    Struct,
    Text,
    Type,
)

UNREAD = frozenset({"change_verdict", "staff_pin", "scheme", "cut_points", "baseline"})
"""The SDK reads these itself; no shop tool does."""
PERSON = '''
    @property
    def members(self) -> tuple[str, ...]:
        """The ids that are this person, the survivor's first; its own alone when it was never merged."""
        return self.state.members or (self.id,)

    @property
    def merged_into(self) -> str | None:
        """The id under which the person is listed, where that is another."""
        return self.state.merged_into
'''.rstrip().splitlines()
"""What a customer is beside its row."""
RESERVED = frozenset({"id", "state", "of", "field"})
LINE_CHARS_MAX = 110
OF_PARAMETERS = "id: str, values: Mapping[str, JSON], state: RowState = AS_THE_SERVER_HAS_IT"

HEADER = '''\
"""Written by schema/generate.py from the declared entities: `make generate`, not by hand.

Long because: every field has its line.

What a reader gets: a record holds the shown value of each field, None where there is none or where a
newer version wrote something that this one does not know. A required field is never None, except for
a closed list, which a newer version may extend, and in an entity with sensitive fields, of which a
reader may hold those alone. Money is an integer in minor units; instants are in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, Protocol, Self, get_args

from regulars.json_values import (
    EPOCH,
    boolean,
    choice,
    choices,
    chosen,
    day,
    each,
    elements,
    instant,
    integer,
    mapping,
    scalar,
    spellings,
    text,
)
from regulars.row_state import RowState
from regulars_schema.declare import JSON

AS_THE_SERVER_HAS_IT = RowState()


class Record(Protocol):
    """What every record has."""

    @property
    def id(self) -> str: ...

    @property
    def state(self) -> RowState: ...

    @classmethod
    def of(cls, id: str, values: Mapping[str, JSON], state: RowState = ...) -> Self:
        """The record of a row from its shown values, a set as the dict of its present elements.

        Never raises: names that are not declared are ignored.
        """
        ...


'''


@dataclass(frozen=True, slots=True)
class Read:
    """How one value is typed and read: `code` reads it from the expression put for `{}`."""

    type: str
    code: str
    empty: str = "None"
    """What is read where there is no such value."""


def records(registry: Registry) -> str:
    """`client_sdk/regulars/records.py`."""
    entities = [e for e in registry.entities if e.name not in UNREAD]
    types = [t for e in entities for f in e.fields for t in within(f.type)]
    enums = {t.name: t for t in types if isinstance(t, Enum)}
    structs = {t.name: t for t in types if isinstance(t, Struct)}
    pieces = [HEADER]
    pieces += [_enum(enum) for enum in enums.values()]
    pieces += [_struct(struct) for struct in structs.values()]
    pieces += [_record(entity) for entity in entities]
    by_entity = "".join(f'    "{e.name}": {class_name(e)},\n' for e in entities)
    pieces.append(f"\n\nRECORD_OF: Mapping[str, type[Record]] = {{\n{by_entity}}}\n")
    pieces.append(
        "ENTITY_OF: Mapping[type[Record], str] = {record: name for name, record in RECORD_OF.items()}\n"
    )
    return "".join(pieces)


def class_name(entity: Entity) -> str:
    return "".join(word.capitalize() for word in entity.name.split("_"))


def within(type_: Type) -> list[Type]:
    """The type and those that it is made of, innermost first."""
    if isinstance(type_, List):
        return [*within(type_.of), type_]
    if isinstance(type_, Struct):
        return [*(t for part in type_.parts.values() for t in within(part.type)), type_]
    return [type_]


def _enum(enum: Enum) -> str:
    quoted = [f'"{value}"' for value in enum.values]
    line = f"{enum.name} = Literal[{', '.join(quoted)}]\n"
    if len(line) > LINE_CHARS_MAX:
        line = f"{enum.name} = Literal[\n" + "".join(f"    {value},\n" for value in quoted) + "]\n"
    return f"{line}{_known(enum)}: tuple[{enum.name}, ...] = get_args({enum.name})\n"


def _known(enum: Enum) -> str:
    return "".join(f"_{ch}" if ch.isupper() else ch.upper() for ch in enum.name)


def _struct(struct: Struct) -> str:
    required = [name for name, part in struct.parts.items() if part.required]
    lines = ["", "", "@dataclass(frozen=True, slots=True, kw_only=True)", f"class {struct.name}:"]
    for name, part in struct.parts.items():
        read = _read(part.type)
        declared = f"{name}: {read.type}" if part.required else f"{name}: {_optional(read)} = {read.empty}"
        lines += [f"    {declared}", _label(part.label)]
    lines += [
        "",
        "    @classmethod",
        "    def of(cls, value: JSON) -> Self | None:",
        "        if not isinstance(value, dict):",
        "            return None",
    ]
    arguments = []
    for name, part in struct.parts.items():
        code = _read(part.type).code.format(f'value.get("{name}")')
        if part.required:
            lines.append(f"        {name} = {code}")
            code = name
        arguments.append(f"            {name}={code},")
    if required:
        lines += [
            f"        if {' or '.join(f'{name} is None' for name in required)}:",
            "            return None",
        ]
    return "\n".join([*lines, "        return cls(", *arguments, "        )", ""])


def _record(entity: Entity) -> str:
    for f in entity.fields:
        if f.name in RESERVED or keyword.iskeyword(f.name):
            raise ValueError(f"{entity.name}.{f.name}: a record can't have a field of that name")
    lines = ["", "", "@dataclass(frozen=True, slots=True, kw_only=True)", f"class {class_name(entity)}:"]
    lines += [*_docstring(entity), "", "    id: str"]
    arguments = ["            id=id,"]
    for f in entity.fields:
        read = _field(entity, f)
        default = "" if f.required else f" = {read.empty}"
        lines += [f"    {f.name}: {read.type}{default}", _label(f.label)]
        arguments.append(f"            {f.name}={read.code},")
    return "\n".join(
        [
            *lines,
            "    state: RowState = AS_THE_SERVER_HAS_IT",
            "",
            "    @classmethod",
            f"    def of(cls, {OF_PARAMETERS}) -> Self:",
            "        return cls(",
            *arguments,
            "            state=state,",
            "        )",
            *(PERSON if entity.name == "customer" else []),
            "",
        ]
    )


def _field(entity: Entity, f: Field) -> Read:
    value = f'values.get("{f.name}")'
    read = _read_set(f) if f.is_set else _read(f.type)
    code = read.code.format(value)
    if f.required and len(entity.levels) == 1 and (stand_in := _stand_in(f.type)):
        return Read(read.type, f"{code} or {stand_in}", stand_in)
    return Read(_optional(read), code, read.empty)


def _stand_in(type_: Type) -> str | None:
    """What stands in a record for a required value that can't be read. A closed list has nothing."""
    return '""' if isinstance(type_, Text | Ref) else "EPOCH" if isinstance(type_, Instant) else None


def _optional(read: Read) -> str:
    return f"{read.type} | None" if read.empty == "None" else read.type


def _read(type_: Type) -> Read:
    """How a value of a type is read."""
    match type_:
        case Text() | Ref():
            return Read("str", "text({})")
        case Bool():
            return Read("bool", "boolean({})")
        case Int():
            return Read("int", "integer({})")
        case Instant():
            return Read("datetime", "instant({})")
        case Date():
            return Read("date", "day({})")
        case Enum():
            return Read(type_.name, f"choice({{}}, {_known(type_)})")
        case Scalar():
            return Read("str | int | bool", "scalar({})")
        case Json():
            return Read("Mapping[str, JSON]", "mapping({})", "field(default_factory=dict, hash=False)")
        case Struct():
            return Read(type_.name, f"{type_.name}.of({{}})")
        case List(of=Text()):
            return Read("tuple[str, ...]", "each({}, text)", "()")
        case List(of=Enum() as of):
            return Read(f"tuple[{of.name}, ...]", f"chosen({{}}, {_known(of)})", "()")
        case List(of=Struct() as of):
            return Read(f"tuple[{of.name}, ...]", f"each({{}}, {of.name}.of)", "()")
    raise TypeError(f"{type_} has no place in a record yet: say here how it is read")


def _read_set(f: Field) -> Read:
    if f.form is not Form.PLAIN:
        return Read("Mapping[str, str]", "spellings({})", "field(default_factory=dict, hash=False)")
    if isinstance(f.type, Enum):
        return Read(f"frozenset[{f.type.name}]", f"choices({{}}, {_known(f.type)})", "frozenset()")
    return Read("frozenset[str]", "elements({})", "frozenset()")


def _docstring(entity: Entity) -> list[str]:
    return textwrap.wrap(
        f'"""{entity.label.zh}: {entity.about}"""', 100, initial_indent="    ", subsequent_indent="    "
    )


def _label(label: Label) -> str:
    return f'    """{label.zh} · {label.en}"""'
