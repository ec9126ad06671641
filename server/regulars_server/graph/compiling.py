"""Plain fields of an object type, compiled: one Python function for (type, selection).

A field is plain when it takes no arguments, is read from an attribute, and its type is a leaf, an object,
union or interface of plain fields, or a list of these. Every value is checked as its type wants it, and
`Unusual` or whatever reading raises says that the object has to go the long way. Plain fields have no
effects, so reading them twice is harmless.

A reference (`declared.reference`) is plain too, but what it names is not here yet: the function leaves a
null in its place and notes it as `Pending`, so that all rows of a list are asked for at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import msgspec
from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLString,
    Undefined,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from graphql.type import GraphQLLeafType, GraphQLNamedOutputType
from msgspec.json import Decoder

from regulars_server.graph.declared import REFERENCE
from regulars_server.graph.rows import Node, Value
from regulars_server.graph.scalars import as_stored

FIELDS_KEPT_MAX = 20_000
"""So many fields may the compiled functions have together that are kept, those used last."""
ENUM_VALUES_MAX = 1_000
_INT_MAX = 2**31
_STRAWBERRY = "strawberry-definition"


class Unusual(Exception):
    """This object has to go the long way."""


class Reference:
    """What a reference names: rows of this class, each read by this function."""

    __slots__ = ("origin", "read")

    def __init__(self, origin: type[Node], read: Read) -> None:
        self.origin = origin
        self.read = read


Pending = tuple[dict[str, Any], str, str, Reference]
"""A place in the answer, and the name there, that waits for the row of an id."""
Read = Callable[[Any, list[Pending]], Any]


class Plain(NamedTuple):
    """A plain field, whatever is selected of it."""

    attribute: str
    wraps: tuple[str, ...]
    """From the outside in: `!` for non-null, `[` for a list."""
    of: GraphQLNamedOutputType
    is_reference: bool = False


class Chosen(NamedTuple):
    """A plain field under its name in the answer, with what is selected of it: structural, so it is a key."""

    name: str
    field: Plain | None
    """None for `__typename`."""
    inner: tuple[Selection, ...]
    """Of an object its own, of a union or interface one for each of its types."""

    @property
    def waits(self) -> bool:
        """Whether a reference is in it."""
        if self.field is not None and self.field.is_reference:
            return True
        return any(chosen.waits for selection in self.inner for chosen in selection.fields)


class Selection(NamedTuple):
    """What is selected of an object type."""

    type: GraphQLObjectType
    fields: tuple[Chosen, ...]


# --- what is plain ---------------------------------------------------------------------------------------


_known: WeakKeyDictionary[GraphQLObjectType, dict[str, Plain | None]] = WeakKeyDictionary()


def plain(type_: GraphQLObjectType, name: str) -> Plain | None:
    """The field of that name, None unless it is plain."""
    known = _known.setdefault(type_, {})
    if name not in known:
        field = type_.fields.get(name)
        if field is None:
            return None
        known[name] = _plain(field)
    return known[name]


def _plain(field: GraphQLField) -> Plain | None:
    declared = field.extensions.get(_STRAWBERRY) if field.extensions else None
    if field.args or declared is None:
        return None
    of: Any = field.type
    if (attribute := declared.metadata.get(REFERENCE)) is not None:
        return Plain(attribute, (), of, True) if is_object_type(of) else None
    wraps: list[str] = []
    while is_non_null_type(of) or is_list_type(of):
        wraps.append("!" if is_non_null_type(of) else "[")
        of = of.of_type
    name = declared.python_name
    if not getattr(field.resolve, "_is_default", False) or not name.isidentifier():
        return None
    return Plain(name, tuple(wraps), of)


def origin(type_: GraphQLObjectType) -> type | None:
    """The class of its objects, None where only a function could tell them."""
    definition = type_.extensions.get(_STRAWBERRY) if type_.extensions else None
    if definition is None or definition.is_type_of is not None:
        return None
    return (definition.concrete_of or definition).origin  # type: ignore[no-any-return]


def told_apart(abstract: GraphQLNamedOutputType, types: tuple[GraphQLObjectType, ...]) -> bool:
    """Whether the class of an object alone says which of these types of a union or interface it is."""
    definition = abstract.extensions.get(_STRAWBERRY) if abstract.extensions else None
    if definition is None or getattr(definition, "resolve_type", None) is not None:
        return False
    classes = [origin(type_) for type_ in types]
    return (
        None not in classes
        and not any(
            a is not b and issubclass(a, b)  # type: ignore[arg-type]
            for a in classes
            for b in classes
        )
        and len(set(classes)) == len(classes)
    )


# --- compiling -------------------------------------------------------------------------------------------


class Compiled:
    """The functions of the selections that were asked for last: the same queries come again and again."""

    def __init__(self, fields_max: int = FIELDS_KEPT_MAX) -> None:
        self._fields_max = fields_max
        self._fields = 0
        self._kept: OrderedDict[Selection, Read] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def read(self, selection: Selection) -> Read:
        read = self._kept.get(selection)
        if read is not None:
            self._kept.move_to_end(selection)
            return read
        read = self._kept[selection] = _Writer(self).written(selection)
        self._fields += len(selection.fields)
        while self._fields > self._fields_max:
            dropped, _ = self._kept.popitem(last=False)
            self._fields -= len(dropped.fields)
        return read

    def read_any(self, selections: tuple[Selection, ...]) -> Read:
        """A function for an object of one of several types; `KeyError` for one of another."""
        reads = {origin(selection.type): self.read(selection) for selection in selections}

        def read(o: Any, later: list[Pending]) -> Any:
            return reads[o.__class__](o, later)

        return read


class _Writer:
    """Writes one Python function; what it refers to goes into its globals."""

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        self._globals: dict[str, Any] = {"Unusual": Unusual}

    def written(self, selection: Selection) -> Read:
        class_ = origin(selection.type)
        reads = class_.READS if class_ is not None and issubclass(class_, Node) else {}
        lines = ["def read(o, later):", f" if o.__class__ is not {self._name(class_)}: raise Unusual"]
        stored: dict[Value, str] = {}
        fetched = []
        for at, (_, field, _) in enumerate(selection.fields):
            if field is None:
                continue
            read = reads.get(field.attribute)
            if isinstance(read, Value):
                fetched.append(f" v{at} = d.{stored.setdefault(read, f'd{at}')}")
            else:
                fetched.append(f" v{at} = {self._name(read)}(r)" if read else f" v{at} = o.{field.attribute}")
        if reads:
            lines.append(" r = o.row")
        if stored:
            lines.append(f" d = r.decoded({self._name(_decoder(stored))})")
        lines += fetched
        made, pending = [], []
        for at, (name, chosen, inner) in enumerate(selection.fields):
            v = f"v{at}"
            if chosen is None:
                made.append(f"{name!r}: {selection.type.name!r}")
            elif chosen.is_reference:
                waits = f"later.append((a, {name!r}, {v}, {self._name(self._reference(inner))}))"
                pending.append(f" if {v} is not None: {waits}")
                made.append(f"{name!r}: None")
            else:
                lines += self._checked(v, chosen.wraps, chosen.of, inner, 1)
                made.append(f"{name!r}: {v}")
        lines += [f" a = {{{', '.join(made)}}}", *pending, " return a"]
        # Only names of our own schema and reprs of names that the parser took are in it.
        exec("\n".join(lines), self._globals)
        return self._globals.pop("read")  # type: ignore[no-any-return]

    def _reference(self, inner: tuple[Selection, ...]) -> Reference:
        class_ = origin(inner[0].type)
        assert class_ is not None
        assert issubclass(class_, Node)
        return Reference(class_, self._compiled.read(inner[0]))

    def _checked(
        self, v: str, wraps: tuple[str, ...], of: Any, inner: tuple[Selection, ...], depth: int
    ) -> list[str]:
        """Lines that turn the variable into what the answer holds, or raise."""
        pad = " " * depth
        if wraps[:1] == ("!",):
            return [f"{pad}if {v} is None: raise Unusual", *self._present(v, wraps[1:], of, inner, depth)]
        return [f"{pad}if {v} is not None:", *self._present(v, wraps, of, inner, depth + 1)]

    def _present(
        self, v: str, wraps: tuple[str, ...], of: Any, inner: tuple[Selection, ...], depth: int
    ) -> list[str]:
        pad = " " * depth
        if wraps:
            item, items = f"{v}i", f"{v}l"
            return [
                f"{pad}if {v}.__class__ is not list: raise Unusual",
                f"{pad}{items} = []",
                f"{pad}for {item} in {v}:",
                *self._checked(item, wraps[1:], of, inner, depth + 1),
                f"{pad} {items}.append({item})",
                f"{pad}{v} = {items}",
            ]
        if is_leaf_type(of):
            return [f"{pad}{line}" for line in self._leaf(v, of)]
        is_one = is_object_type(of)
        read = self._compiled.read(inner[0]) if is_one else self._compiled.read_any(inner)
        return [f"{pad}{v} = {self._name(read)}({v}, later)"]

    def _leaf(self, v: str, of: GraphQLLeafType) -> list[str]:
        if of is GraphQLString or of is GraphQLID:
            return [f"if {v}.__class__ is not str: raise Unusual"]
        if of is GraphQLBoolean:
            return [f"if {v}.__class__ is not bool: raise Unusual"]
        if of is GraphQLInt:
            return [f"if {v}.__class__ is not int or not -{_INT_MAX} <= {v} < {_INT_MAX}: raise Unusual"]
        if of is GraphQLFloat:
            return [f"if {v}.__class__ is not float or {v} - {v} != 0: raise Unusual"]
        if isinstance(of, GraphQLScalarType) and of.coerce_output_value is as_stored:
            return [f"if {v}.__class__ is not str and {v}.__class__ is not int: raise Unusual"]
        kept = _EnumValues(of) if isinstance(of, GraphQLEnumType) else None
        return [f"{v} = {self._name(kept.__getitem__ if kept is not None else _coerced(of))}({v})"]

    def _name(self, value: Any) -> str:
        name = f"_{len(self._globals)}"
        self._globals[name] = value
        return name


def _decoder(stored: Mapping[Value, str]) -> Decoder[Any]:
    """Reads these values of a document, and no others, into attributes of these names."""
    required: list[Any] = [(name, Any) for value, name in stored.items() if value.is_required]
    others: list[Any] = [(name, Any, None) for value, name in stored.items() if not value.is_required]
    rename = {name: value.path for value, name in stored.items()}
    return Decoder(msgspec.defstruct("Stored", required + others, rename=rename, gc=False))


def _coerced(of: GraphQLLeafType) -> Callable[[Any], Any]:
    coerce = of.coerce_output_value

    def coerced(value: Any) -> Any:
        result = coerce(value)
        if result is None or result is Undefined:
            raise Unusual
        return result

    return coerced


class _EnumValues(dict[Any, Any]):
    """What an enum's values are called, each asked for once."""

    def __init__(self, of: GraphQLEnumType) -> None:
        self._coerced = _coerced(of)

    def __missing__(self, value: Any) -> Any:
        result = self._coerced(value)
        if len(self) < ENUM_VALUES_MAX:
            self[value] = result
        return result
