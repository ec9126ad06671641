"""Write the GraphQL types, inputs and root queries that follow from the declared entities.

The attribute of a reference ends in `_id` (of a set of them in `_ids`); the row it names stands under
the plain name. Nothing of the sensitive level can be filtered or ordered by, because it is not stored.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator

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
    Level,
    List,
    Ref,
    Registry,
    Scalar,
    Struct,
    Type,
)

L = Label
INT_32_MAX = 2**31 - 1
EXPOSED = (
    *("unit", "staff", "product", "device", "segment", "field_def", "customer", "link", "identity"),
    *("custom_value", "supplier", "assignment", "task", "interaction", "consent"),
)
FILTERS = "BooleanFilter, DateFilter, DateTimeFilter, ElementEdit, ElementFilter, Filter, IdFilter, IdSetEdit"
FILTERS += ", IdSetFilter, IntFilter, MoneyFilter, Relation, SetEdit, SetFilter, StandingFilter, TextFilter"
LISTED = ("unit", "staff", "product", "device", "segment", "field_def", "customer", "task", "interaction")
TESTED = (*LISTED, "link")
"""What a `where` may test, as a list of its own or through a relation."""
BACK: dict[str, dict[str, tuple[str, tuple[str, ...], Label]]] = {
    "unit": {
        "children": ("unit", ("parent",), L("下级", "Units right below it")),
        "customers": ("customer", ("home_unit",), L("顾客", "Customers at home there")),
        "devices": ("device", ("unit",), L("设备", "Devices that stand there")),
        "staff": ("staff", ("units",), L("员工", "Staff who belong to it")),
    },
    "staff": {"customers": ("customer", ("owner",), L("顾客", "Customers it looks after"))},
    "segment": {"customers": ("customer", ("segments",), L("静态成员", "Static members"))},
    "customer": {
        "links": ("link", ("from_customer", "to_customer"), L("关系", "Links of the person")),
        "interactions": ("interaction", ("party",), L("往来", "Interactions of the person")),
    },
    "interaction": {"superseded_by": ("interaction", ("supersedes",), L("更正", "Facts that correct it"))},
}
"""What other rows are tested by whom they name: (entity, the fields that name, label) by name."""
STANDS = (
    ("member_of", "UUID", L("分群成员", "Members of a segment, by its rule or by hand")),
    ("standing", "StandingFilter", L("分类", "Those of a value in a scheme")),
)
"""What is tested of customers beside their rows."""
WRITTEN = ("unit", "staff", "product", "segment", "customer", "interaction")
ENUMS = "from regulars_server.graph.enums import"
CREATED = ("customer", "interaction")
"""What has a mutation that only makes; the others are saved, whether there or not."""
SINGULAR = {"staff": "staff_member"}
PERSON = """
    @resolved("The card of the person, folded from the values of all members; its id is the survivor's")
    async def golden(self, info: Info) -> Customer:
        return await info.context.golden(self)

    @resolved("The rows that are this person, as they stand, the survivor's first")
    async def members(self, info: Info) -> list[Customer]:
        return await info.context.related_all(Customer, await info.context.cluster(self.row.id))

    @resolved("The id under which the person is listed; of one that was never merged its own")
    async def survivor_id(self, info: Info) -> UUID:
        return UUID((await info.context.cluster(self.row.id))[0])

    @resolved("同住 · Who is linked with the person as of one household, those within reach")
    async def household(self, info: Info) -> list[Customer]:
        return await info.context.related_all(Customer, await info.context.household(self.row.id))

    @resolved("卡片 · The card, in its sections; the labels in the language of Accept-Language unless told")
    async def card(
        self, info: Info, lang: Language | None = None
    ) -> Annotated[Card, strawberry.lazy("regulars_server.graph.cards")]:
        from regulars_server.graph.cards import card_of

        return await card_of(info.context, self.row, info.context.lang if lang is None else lang.value)

    @resolved("时间线 · Everything that happened to the person, the latest first")
    async def timeline(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> Annotated[TimelineConnection, strawberry.lazy("regulars_server.graph.timeline")]:
        from regulars_server.graph.timeline import timeline

        return await timeline(info.context, self.row.id, first, after)

    @resolved("历史 · Every change of the row, or those of one of its fields, oldest first")
    async def history(
        self, info: Info, path: str | None = None, first: int | None = None, after: str | None = None
    ) -> Annotated[HistoryConnection, strawberry.lazy("regulars_server.graph.history")]:
        from regulars_server.graph.history import history

        info.context.principal.require("read:changes")
        return await history(info.context, self.ENTITY, self.row.id, path, first, after)

    @resolved("设备 · The tablets on which the person lives: those of the units within reach that hold it")
    async def devices(self, info: Info) -> list[Device]:
        return await info.context.tablets(Device, self.row.id)

    @resolved("指标 · Numbers of the person: all, or those of these names; as of an instant")
    async def metrics(
        self,
        info: Info,
        names: Annotated[list[str] | None, said("As rules name them; all unless told.")] = None,
        window: Annotated[str | None, said("Of which facts, such as `last 30 days`.")] = None,
        as_of: DateTime | None = None,
    ) -> list[MetricValue]:
        from regulars_server.graph.knowing import metrics

        return await metrics(info.context, self.row.id, names, window, as_of)

    @resolved("解释 · Why a rule, a segment or a scheme says of the person what it says; as of an instant")
    async def explain(
        self,
        info: Info,
        of: ExplainInput,
        as_of: DateTime | None = None,
    ) -> Explanation | None:
        from regulars_server.graph.knowing import explained

        return await explained(info.context, self.row.id, of, as_of)

    @resolved("分群 · The segments that the person is in, as far as you may be told")
    async def memberships(
        self, info: Info
    ) -> list[Annotated[Membership, strawberry.lazy("regulars_server.graph.segments")]]:
        from regulars_server.graph.segments import memberships

        return await memberships(info.context, self)

    @resolved("变动 · Where the person came from and went to, in schemes and segments; the latest first")
    async def movements(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> list[Annotated[Movement, strawberry.lazy("regulars_server.graph.segments")]]:
        from regulars_server.graph.segments import movements_of

        return await movements_of(info.context, self.row.id, first, after)

    @resolved("待处理 · What waits for a person to decide")
    async def reviews(
        self, info: Info
    ) -> Annotated[CustomerReviews, strawberry.lazy("regulars_server.graph.identities")]:
        from regulars_server.graph.identities import reviews

        return await reviews(info.context, self)

    @resolved("分类状况 · Where the person stands in each scheme; with `schemes` in those, by their keys")
    async def standings(
        self, info: Info, schemes: list[str] | None = None
    ) -> list[Annotated[Standing, strawberry.lazy("regulars_server.graph.standings")]]:
        from regulars_server.graph.standings import standings

        return await standings(info.context, self, schemes)

    @resolved("自定义字段 · What the chain's own fields say of the person, whether filled or not")
    async def custom_fields(
        self, info: Info
    ) -> list[Annotated[CustomField, strawberry.lazy("regulars_server.graph.custom")]]:
        from regulars_server.graph.custom import custom_fields

        return await custom_fields(info.context, self)
""".splitlines()
"""What a customer is beside its row."""
ORDER_FIRST = {"interaction": "at desc"}
HEADER = '"""Written by schema/generate.py from the declared entities: `make generate`, not by hand.{}"""'


def enums(registry: Registry) -> str:
    lines = [
        _header(),
        "",
        "from enum import Enum",
        "",
        "import strawberry",
        "",
        "from regulars_server.graph.declared import valued",
        "",
    ]
    for enum in _enums(registry):
        about = _both(enum.label)
        lines += ["", f"@strawberry.enum(description={about!r})", f"class {enum.name}(Enum):"]
        for value, label in enum.values.items():
            lines.append(f"    {value.upper()} = valued({value!r}, {_both(label)!r})")
        lines.append("")
    lines += [
        "",
        "@strawberry.enum(description='实体 · An entity whose rows can be asked for.')",
        "class EntityName(Enum):",
    ]
    for name in EXPOSED:
        about = _both(registry.by_name[name].label)
        lines.append(f"    {name.upper()} = valued({name!r}, {about!r})")
    return _formatted(lines)


def types(registry: Registry) -> str:
    long = " Long because: every field has its line."
    lines = [
        _header(long),
        "# ruff: noqa: E501 (descriptions)",
        "",
        "from __future__ import annotations",
        "",
        "from collections.abc import Mapping",
        "from typing import TYPE_CHECKING, Annotated, ClassVar",
        "",
        "import strawberry",
        "from strawberry import scalars",
        "",
        "from regulars_schema.declare import JSON",
        "from regulars_server.graph.connection import Connection",
        "from regulars_server.graph.declared import Language, reference, resolved, said",
        ENUMS,
        "from regulars_server.graph.findings import ExplainInput, Explanation, MetricValue",
        "from regulars_server.graph.request import Info",
        "from regulars_server.graph.rows import Element, Node, Reads, Value",
        "from regulars_server.graph.scalars import UUID, Date, DateTime, Money",
        "",
        "if TYPE_CHECKING:",
        "    from regulars_server.graph.cards import Card",
        "    from regulars_server.graph.custom import CustomField",
        "    from regulars_server.graph.history import HistoryConnection",
        "    from regulars_server.graph.identities import CustomerReviews",
        "    from regulars_server.graph.segments import Membership, Movement",
        "    from regulars_server.graph.standings import Standing",
        "    from regulars_server.graph.timeline import TimelineConnection",
        "",
    ]
    for struct in _structs(registry):
        lines += _struct_type(struct)
    for name in EXPOSED:
        lines += _entity_type(registry, registry.by_name[name])
    lines += ["", "TYPES: Mapping[str, type[Node]] = {"]
    lines += [f'    "{name}": {_class(name)},' for name in EXPOSED]
    lines += ["}", '"""The GraphQL type of each entity that has one."""', ""]
    return _formatted(_with_used_enums(registry, lines))


def inputs(registry: Registry) -> str:
    lines = [
        _header("\n\nLong because: every field has its line.\n"),
        "",
        "from __future__ import annotations",
        "",
        "from enum import Enum",
        "",
        "import strawberry",
        "from strawberry import scalars",
        "",
        "from regulars_server.graph.declared import valued",
        ENUMS,
        f"from regulars_server.graph.filters import {FILTERS}",
        "from regulars_server.graph.scalars import UUID, Date, DateTime, Money",
        "",
    ]
    for struct in _structs(registry):
        lines += _struct_input(struct)
    for name in TESTED:
        lines += _where(registry.by_name[name])
        lines += _some(registry.by_name[name])
    for name in LISTED:
        lines += _order(registry.by_name[name])
    for name in WRITTEN:
        entity = registry.by_name[name]
        if name in CREATED:
            lines += _input(entity, f"{_class(name)}Input", f"A new row. {_both(entity.label)}", create=True)
        about = f"What to write: what is left out stays, null clears. {_both(entity.label)}"
        lines += _input(entity, f"{_class(name)}Edit", about, create=False)
    lines += ["", "ATTRIBUTES: dict[str, dict[str, str]] = {"]
    for owner, pairs in _attributes(registry):
        lines.append(f"    {owner!r}: {pairs!r},")
    lines += ["}", '"""Field or part -> the attribute that carries it, where the two differ."""', ""]
    lines += ["", "RELATIONS: dict[str, dict[str, Relation]] = {"]
    for owner in TESTED:
        lines.append(f"    {owner!r}: {{")
        for name, (target, fields, back, _, _) in _relations(registry.by_name[owner]).items():
            lines.append(f"        {name!r}: Relation({target!r}, {fields!r}, {back}),")
        lines.append("    },")
    lines += ["}", '"""What can be tested of the rows that are tied to one of an entity."""', ""]
    return _formatted(_with_used_enums(registry, lines))


def roots(registry: Registry) -> str:
    lines = [
        _header(),
        "",
        "from __future__ import annotations",
        "",
        "from typing import Annotated",
        "",
        "import strawberry",
        "",
        "from regulars_server.graph import inputs, types",
        "from regulars_server.graph.connection import Connection, page",
        "from regulars_server.graph.declared import resolved, said",
        "from regulars_server.graph.request import Info",
        "from regulars_server.graph.scalars import UUID",
        "",
        "",
        "@strawberry.type",
        "class RowQueries:",
    ]
    for name in LISTED:
        lines += _root(registry.by_name[name])
    return _formatted(lines)


OUTPUTS = [
    ("server/regulars_server/graph/enums.py", enums),
    ("server/regulars_server/graph/types.py", types),
    ("server/regulars_server/graph/inputs.py", inputs),
    ("server/regulars_server/graph/roots.py", roots),
]


# --- what is walked ------------------------------------------------------------


def _fields(registry: Registry) -> Iterator[Field]:
    for name in EXPOSED:
        yield from registry.by_name[name].fields


def _inner(type_: Type) -> Iterator[Type]:
    yield type_
    if isinstance(type_, List):
        yield from _inner(type_.of)
    elif isinstance(type_, Struct):
        for part in type_.parts.values():
            yield from _inner(part.type)


def _enums(registry: Registry) -> list[Enum]:
    found = {t.name: t for f in _fields(registry) for t in _inner(f.type) if isinstance(t, Enum)}
    verdict = registry.by_name["change_verdict"].by_name["verdict"].type
    assert isinstance(verdict, Enum)
    sections = [e.sections for e in registry.entities if e.sections is not None]
    return list({**found, **{enum.name: enum for enum in (*sections, verdict)}}.values())


def _structs(registry: Registry) -> list[Struct]:
    return list(
        {t.name: t for f in _fields(registry) for t in _inner(f.type) if isinstance(t, Struct)}.values()
    )


def _attributes(registry: Registry) -> Iterator[tuple[str, dict[str, str]]]:
    for struct in _structs(registry):
        pairs = {name: _attribute(name, part.type) for name, part in struct.parts.items()}
        yield struct.name, {name: attribute for name, attribute in pairs.items() if name != attribute}
    for name in EXPOSED:
        fields = registry.by_name[name].fields
        pairs = {f.name: _attribute(f.name, f.type, f.is_set) for f in fields}
        yield name, {field: attribute for field, attribute in pairs.items() if field != attribute}


# --- words ------------------------------------------------------------


def _header(more: str = "") -> str:
    return HEADER.format(more)


def _both(label: Label) -> str:
    return f"{label.zh} · {label.en}"


def _class(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _attribute(name: str, type_: Type, is_set: bool = False) -> str:
    if not isinstance(type_, Ref):
        return name
    return f"{name.removesuffix('s')}_ids" if is_set else f"{name}_id"


def _python(type_: Type, suffix: str = "") -> str:
    """The annotation of a value; `suffix` names a struct's input."""
    match type_:
        case Bool():
            return "bool"
        case Int():
            return "int" if type_.low >= -INT_32_MAX and type_.high <= INT_32_MAX else "Money"
        case Instant():
            return "DateTime"
        case Date():
            return "Date"
        case Ref():
            return "UUID"
        case Enum():
            return type_.name
        case Struct():
            return f"{type_.name}{suffix}"
        case List():
            return f"list[{_python(type_.of, suffix)}]"
        case Json() | Scalar():
            return "scalars.JSON"
    return "str"


def _described(text: str, **more: str) -> str:
    words = "".join(f", {key}={value}" for key, value in more.items())
    return f"strawberry.field(description={text!r}{words})"


def _formatted(lines: Iterable[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--line-length", "110", "-"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _with_used_enums(registry: Registry, lines: list[str]) -> list[str]:
    """The lines with the import of those enums that they name."""
    words = set(
        re.findall(r"\w+", "\n".join(line for line in lines if "class " not in line or "(Enum)" in line))
    )
    used = [enum.name for enum in _enums(registry) if enum.name in words]
    return [
        f"{ENUMS} {', '.join(sorted(used, key=str.casefold))}" if line == ENUMS else line for line in lines
    ]


# --- object types ------------------------------------------------------------


def _related(attribute: str, name: str, target: str, about: str) -> list[str]:
    return [
        "",
        f"    @reference({attribute!r}, {about!r})",
        f"    async def {name}(self, info: Info) -> {_class(target)} | None:",
        f"        return await info.context.related({_class(target)}, self.{attribute})",
    ]


def _related_all(attribute: str, name: str, target: str, about: str) -> list[str]:
    return [
        "",
        f"    @resolved({about!r})",
        f"    async def {name}(self, info: Info) -> list[{_class(target)}]:",
        f"        return await info.context.related_all({_class(target)}, self.{attribute})",
    ]


def _struct_type(struct: Struct) -> list[str]:
    lines = ["", f"@strawberry.type(description={_both(struct.label)!r})", f"class {struct.name}:"]
    builds, relations = [], []
    for name, part in struct.parts.items():
        attribute = _attribute(name, part.type)
        optional = "" if part.required else " | None"
        about = _both(part.label)
        lines.append(f"    {attribute}: {_python(part.type)}{optional} = {_described(about)}")
        builds.append(f"{attribute}=given{f'[{name!r}]' if part.required else f'.get({name!r})'}")
        if isinstance(part.type, Ref) and part.type.entity in EXPOSED:
            relations += _related(attribute, name, part.type.entity, about)
    return [
        *lines,
        "",
        "    @classmethod",
        f"    def of(cls, given: Mapping[str, JSON]) -> {struct.name}:",
        f"        return cls({', '.join(builds)})",
        *relations,
        "",
    ]


def _read(f: Field) -> str:
    if f.is_set:
        read = f"row.elements({f.name!r})" if f.form is not Form.PLAIN else f"row.keys({f.name!r})"
    elif isinstance(f.type, Struct):
        read = f"row.part({f.name!r}, {f.type.name}.of)"
    elif isinstance(f.type, List) and isinstance(f.type.of, Struct):
        read = f"row.parts({f.name!r}, {f.type.of.name}.of)"
    elif isinstance(f.type, List):
        read = f"row.flat.get({f.name!r}) or []"
    else:
        return f"Value({f.name!r}{', is_required=True' if f.required else ''})"
    return f"lambda row: {read}"


def _annotated(f: Field) -> str:
    if f.is_set:
        return f"list[{'Element' if f.form is not Form.PLAIN else _python(f.type)}]"
    inner = _python(f.type)
    return inner if f.required or isinstance(f.type, List) else f"{inner} | None"


def _entity_type(registry: Registry, entity: Entity) -> list[str]:
    name = _class(entity.name)
    about = f"{_both(entity.label)}. {entity.about}".strip()
    lines = ["", f"@strawberry.type(description={about!r})", f"class {name}(Node):"]
    lines.append(f"    ENTITY: ClassVar[str] = {entity.name!r}")
    reads: list[str] = []
    relations: list[str] = []
    for f in entity.fields:
        attribute, said = _attribute(f.name, f.type, f.is_set), _both(f.label)
        if f.level is Level.SENSITIVE:
            said += " (sensitive: null without that right)"
        lines.append(f"    {attribute}: {_annotated(f)} = {_described(said)}")
        reads.append(f"        {attribute!r}: {_read(f)},")
        if isinstance(f.type, Ref) and f.type.entity in EXPOSED:
            write = _related_all if f.is_set else _related
            said += "; null when out of reach" if not f.is_set else "; those within reach"
            relations += write(attribute, f.name, f.type.entity, said)
    for field, part in entity.naming:
        if part is not None:
            relations += [
                "",
                "    @resolved('顾客 · The customers it names, those within reach')",
                "    async def customers(self, info: Info) -> list[Customer]:",
                f"        named = [item.{part}_id for item in self.{field} if item.{part}_id is not None]",
                "        return await info.context.related_all(Customer, named)",
            ]
    for f in entity.fields:
        if isinstance(f.type, Ref) and f.name == "supersedes":
            relations += [
                "",
                "    @resolved('更正 · The facts that correct or void this one')",
                f"    async def superseded_by(self, info: Info) -> list[{name}]:",
                f"        return await info.context.referring({name}, {f.name!r}, self.row.id)",
            ]
    if entity.name == "customer":
        relations += PERSON
        for other in registry.entities:
            if other.name in EXPOSED and other.naming:
                relations += _naming(other)
    return [
        *lines,
        "    READS: ClassVar[Reads] = {",
        "        **Node.READS,",
        *reads,
        "    }",
        *relations,
        "",
    ]


def _naming(other: Entity) -> list[str]:
    said = f"{_both(other.label)}: those within reach that name this person, newest first"
    return [
        "",
        f"    @resolved({said!r})",
        f"    async def {other.plural}(",
        "        self, info: Info, first: int | None = None, after: str | None = None",
        f"    ) -> Connection[{_class(other.name)}]:",
        f"        return await info.context.naming({_class(other.name)}, self.row.id, first, after)",
    ]


# --- inputs ------------------------------------------------------------


def _struct_input(struct: Struct) -> list[str]:
    lines = ["", f"@strawberry.input(description={_both(struct.label)!r})", f"class {struct.name}Input:"]
    for name, part in struct.parts.items():
        optional = "" if part.required else " | None"
        default = {} if part.required else {"default": "None"}
        lines.append(
            f"    {_attribute(name, part.type)}: {_python(part.type, 'Input')}{optional} = "
            f"{_described(_both(part.label), **default)}"
        )
    return [*lines, ""]


def _filter(f: Field) -> str:
    if isinstance(f.type, List):
        return "IdSetFilter" if isinstance(f.type.of, Struct) else "SetFilter"
    if f.is_set:
        return _set_input(f.type, "Filter")
    match f.type:
        case Bool():
            return "BooleanFilter"
        case Int():
            return f"{_class(_python(f.type))}Filter"
        case Instant():
            return "DateTimeFilter"
        case Date():
            return "DateFilter"
        case Ref():
            return "IdFilter"
        case Enum():
            return f"Filter[{f.type.name}]"
    return "TextFilter"


def _set_input(type_: Type, what: str) -> str:
    """The filter or edit of a set, by what its elements are."""
    if isinstance(type_, Enum):
        return f"Element{what}[{type_.name}]"
    return f"IdSet{what}" if isinstance(type_, Ref) else f"Set{what}"


def _where(entity: Entity) -> list[str]:
    name = f"{_class(entity.name)}Where"
    lines = [
        "",
        f"@strawberry.input(description='Tests on {entity.plural}; all that are given must pass.')",
        f"class {name}:",
        f"    and_: list[{name}] | None = strawberry.field(name='AND', default=strawberry.UNSET)",
        f"    or_: list[{name}] | None = strawberry.field(name='OR', default=strawberry.UNSET)",
        f"    not_: {name} | None = strawberry.field(name='NOT', default=strawberry.UNSET)",
        "    id: IdFilter | None = strawberry.UNSET",
    ]
    for f in entity.fields:
        if f.stored:
            attribute = _attribute(f.name, f.type, f.is_set)
            said = _described(_both(f.label), default="strawberry.UNSET")
            lines.append(f"    {attribute}: {_filter(f)} | None = {said}")
    if entity.name == "customer":
        for name, type_, label in STANDS:
            lines.append(
                f"    {name}: {type_} | None = {_described(_both(label), default='strawberry.UNSET')}"
            )
    for name, (target, _, _, many, label) in _relations(entity).items():
        said = _described(_both(label), default="strawberry.UNSET")
        lines.append(f"    {name}: {_class(target)}{'ListFilter' if many else 'Where'} | None = {said}")
    return [*lines, ""]


def _relations(entity: Entity) -> dict[str, tuple[str, tuple[str, ...], bool, bool, Label]]:
    """By name: the entity on the other side, the fields that tie, whether they are its own, whether it is
    many rows, the label."""
    found: dict[str, tuple[str, tuple[str, ...], bool, bool, Label]] = {}
    for f in entity.fields:
        if f.stored and isinstance(f.type, Ref) and f.type.entity in TESTED:
            found[f.name] = (f.type.entity, (f.name,), False, f.is_set, f.label)
    for field, part in entity.naming:
        if part is not None:
            found["customers"] = ("customer", (field,), False, True, L("顾客", "The customers it names"))
    for name, (target, fields, label) in BACK.get(entity.name, {}).items():
        found[name] = (target, fields, True, True, label)
    return found


def _some(entity: Entity) -> list[str]:
    name = _class(entity.name)
    said = f"Tests on those {entity.plural} that are tied to a row, as far as they are within reach."
    return [
        "",
        f"@strawberry.input(description={said!r})",
        f"class {name}ListFilter:",
        *(f"    {way}: {name}Where | None = strawberry.UNSET" for way in ("some", "none", "every")),
        "",
    ]


def _order(entity: Entity) -> list[str]:
    lines = ["", "@strawberry.enum", f"class {_class(entity.name)}Order(Enum):"]
    for field in ["id", *(f.name for f in entity.fields if f.stored and not f.is_set)]:
        if field != "id" and isinstance(entity.by_name[field].type, List | Ref):
            continue
        lines += [f"    {field.upper()}_{way.upper()} = '{field} {way}'" for way in ("asc", "desc")]
    if entity.searched:
        said = "相关度 · Relevance: what fits `search` best comes first; 200 rows at most"
        lines.append(f"    RELEVANCE = valued('relevance desc', {said!r})")
    return [*lines, ""]


def _input(entity: Entity, name: str, about: str, create: bool) -> list[str]:
    lines = ["", f"@strawberry.input(description={about!r})", f"class {name}:"]
    for f in entity.fields:
        if f.name in _WRITTEN_ELSEWHERE.get(entity.name, ()):
            continue
        attribute = _attribute(f.name, f.type, f.is_set)
        if f.is_set:
            annotation = (
                f"list[{_python(f.type)}] | None" if create else f"{_set_input(f.type, 'Edit')} | None"
            )
        else:
            inner = _python(f.type, "Input")
            annotation = inner if create and f.required else f"{inner} | None"
        default = {} if create and f.required else {"default": "strawberry.UNSET"}
        lines.append(f"    {attribute}: {annotation} = {_described(_both(f.label), **default)}")
    return [*lines, ""]


_WRITTEN_ELSEWHERE = {
    "customer": ("archived", "segments", "excluded_segments"),
    "segment": ("snapshot_of", "taken_at"),
    "interaction": ("supersedes", "void"),
}
"""What has a mutation of its own."""


# --- root queries ------------------------------------------------------------


def _root(entity: Entity) -> list[str]:
    name, single = _class(entity.name), SINGULAR.get(entity.name, entity.name)
    first = ORDER_FIRST.get(entity.name, "id asc").upper().replace(" ", "_")
    searched = any(f.searched for f in entity.fields)
    search = ["        search: str | None = None,"] if searched else []
    persons = entity.name == "customer"
    if persons:
        search.append(
            "        merged: Annotated[bool, said('Every row, also those that are one person.')] = False,"
        )
    about = f"{_both(entity.label)}: all within reach, by keyset"
    if persons:
        about += "; one for each person, or every row (`merged`)"
    return [
        "",
        f"    @resolved({f'{_both(entity.label)}: one by its id; null when there is none within reach'!r})",
        f"    async def {single}(self, info: Info, id: UUID) -> types.{name} | None:",
        f"        return await info.context.related(types.{name}, id)",
        "",
        f"    @resolved({about!r})",
        f"    async def {entity.plural}(",
        "        self,",
        "        info: Info,",
        "        first: int | None = None,",
        "        after: str | None = None,",
        "        last: int | None = None,",
        "        before: str | None = None,",
        f"        where: inputs.{name}Where | None = None,",
        f"        order_by: inputs.{name}Order = inputs.{name}Order.{first},",
        *search,
        f"    ) -> Connection[types.{name}]:",
        f"        return await page(info.context, types.{name}, first, after, last, before, where,"
        f" order_by.value, {'search' if searched else 'None'}{', persons=not merged' if persons else ''})",
    ]
