"""graphql-core with a short way for plain fields: one compiled function an object instead of a call a field.

A field is plain when it takes no arguments, is read from an attribute, and its type is a leaf, an object of
plain fields, or a list of these. Every value is checked as its type wants it; on anything unusual the whole
object goes the long way, so errors are exactly graphql-core's own. Plain fields have no effects, so reading
them twice is harmless.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLString,
    Undefined,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet
from graphql.pyutils import Path
from graphql.type import GraphQLLeafType, GraphQLResolveInfo
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

Read = Callable[[Any], Any]
Signature = tuple[Any, ...]

FIELDS_KEPT_MAX = 20_000
"""So many fields may the compiled functions have together that are kept, those used last."""
ENUM_VALUES_MAX = 1_000
_INT_MAX = 2**31
_STRAWBERRY = "strawberry-definition"


class Unusual(Exception):
    """This object has to go the long way."""


class CompiledExecutor(StrawberryGraphQLCoreExecutionContext):
    """Use it as `executor_class`. Results, data and errors, are those of the class that it extends."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._parted: dict[int, tuple[GroupedFieldSet, Read | None, GroupedFieldSet]] = {}

    def execute_collected_subfields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path,
        grouped_field_set: GroupedFieldSet,
        new_defer_usages: Any,
        position_context: Any,
    ) -> Any:
        def long_way() -> Any:
            return super(CompiledExecutor, self).execute_collected_subfields(
                parent_type, source_value, path, grouped_field_set, new_defer_usages, position_context
            )

        read, rest = self._part(parent_type, grouped_field_set)
        if read is None or new_defer_usages:
            return long_way()
        try:
            plain: dict[str, Any] = read(source_value)
        except Exception:
            return long_way()
        if not rest:
            return plain
        resolved = self.execute_fields(parent_type, source_value, path, rest, position_context)
        if isinstance(resolved, dict):
            return _joined(grouped_field_set, plain, resolved)
        return _joined_later(grouped_field_set, plain, resolved)

    def complete_iterable_value(
        self,
        item_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        items: Iterable[Any],
        position_context: Any,
    ) -> Any:
        of = get_nullable_type(item_type)
        if (
            is_object_type(of)
            and type(items) is list
            and self.get_stream_usage(field_details_list, path) is None
        ):
            fields, defers, _ = self.collect_subfields(of, field_details_list)
            read, rest = self._part(of, fields)
            if read is not None and not rest and not defers:
                try:
                    return [read(item) for item in items]
                except Exception:
                    pass  # one of them is unusual, which is rare: all go the long way
        return super().complete_iterable_value(
            item_type, field_details_list, info, path, items, position_context
        )

    # --- what is plain -----------------------------------------------------------------------------------

    def _part(self, type_: GraphQLObjectType, fields: GroupedFieldSet) -> tuple[Read | None, GroupedFieldSet]:
        """A function for the plain ones of these fields (None: not worth it), and the others."""
        known = self._parted.get(id(fields))
        if known is None:
            signatures = {name: self._signature(type_, details) for name, details in fields.items()}
            rest = {name: fields[name] for name, signature in signatures.items() if signature is None}
            plain = tuple((name, s) for name, s in signatures.items() if s is not None)
            read = _compiled((type_, plain)) if plain and _origin(type_) is not None else None
            known = self._parted[id(fields)] = (fields, read, rest)  # `fields` kept, so its id stays its own
        return known[1], known[2]

    def _signature(self, parent: GraphQLObjectType, details: FieldDetailsList) -> Signature | None:
        """What to read and as which type, None unless the field is plain."""
        name = details[0].node.name.value
        if name == "__typename":
            return ("", parent.name)
        field = parent.fields.get(name)
        if field is None or (attribute := _attribute(field)) is None or self.middleware_manager:
            return None
        of: Any = field.type
        wraps: list[str] = []
        while not (is_leaf_type(of) or is_object_type(of)):
            if is_non_null_type(of):
                wraps.append("!")
            elif is_list_type(of):
                wraps.append("[")
            else:
                return None
            of = of.of_type
        inner: Signature | None = ()
        if is_object_type(of):
            if _origin(of) is None:
                return None
            fields, defers, _ = self.collect_subfields(of, details)
            nested = [(key, self._signature(of, each)) for key, each in fields.items()]
            if defers or any(signature is None for _, signature in nested):
                return None
            inner = tuple(nested)
        return (attribute, tuple(wraps), of, inner)


def _attribute(field: GraphQLField) -> str | None:
    """The attribute that answers the field by itself, None where a function does."""
    if field.args or not getattr(field.resolve, "_is_default", False):
        return None
    name = field.extensions[_STRAWBERRY].python_name
    return name if name.isidentifier() else None


def _origin(type_: GraphQLObjectType) -> type | None:
    """The class of its objects."""
    definition = type_.extensions.get(_STRAWBERRY) if type_.extensions else None
    return getattr(definition, "origin", None)


def _joined(order: GroupedFieldSet, plain: dict[str, Any], resolved: dict[str, Any]) -> dict[str, Any]:
    both = plain | resolved
    return {name: both[name] for name in order if name in both}


async def _joined_later(
    order: GroupedFieldSet, plain: dict[str, Any], resolved: Awaitable[dict[str, Any]]
) -> dict[str, Any]:
    return _joined(order, plain, await resolved)


# --- compiling ---------------------------------------------------------------------------------------------

_reads: OrderedDict[Signature, Read] = OrderedDict()
_fields_kept = 0


def _compiled(key: Signature) -> Read:
    """The function for this type and these fields; kept, because the same queries come again and again."""
    global _fields_kept
    read = _reads.get(key)
    if read is not None:
        _reads.move_to_end(key)
        return read
    read = _reads[key] = _Compiler().read(*key)
    _fields_kept += len(key[1])
    while _fields_kept > FIELDS_KEPT_MAX:
        (_, fields), _ = _reads.popitem(last=False)
        _fields_kept -= len(fields)
    return read


class _Compiler:
    """Writes one Python function an object type; what it refers to goes into its globals."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {"Unusual": Unusual}

    def read(self, type_: GraphQLObjectType, fields: tuple[tuple[str, Signature], ...]) -> Read:
        lines = [f"def read(o):\n if o.__class__ is not {self._name(_origin(type_))}: raise Unusual"]
        made = []
        for at, (name, signature) in enumerate(fields):
            if signature[0] == "":
                made.append(f"{name!r}: {signature[1]!r}")
                continue
            attribute, wraps, of, inner = signature
            lines.append(f" v{at} = o.{attribute}")
            lines += self._checked(f"v{at}", list(wraps), of, inner, 1)
            made.append(f"{name!r}: v{at}")
        lines.append(f" return {{{', '.join(made)}}}")
        # Only names of our own schema and reprs of names that the parser took are in it.
        exec("\n".join(lines), self._known)
        return self._known.pop("read")  # type: ignore[no-any-return]

    def _checked(self, v: str, wraps: list[str], of: Any, inner: Signature, depth: int) -> list[str]:
        """Lines that turn the variable into what the answer holds, or raise."""
        pad = " " * depth
        if wraps[:1] == ["!"]:
            return [f"{pad}if {v} is None: raise Unusual", *self._present(v, wraps[1:], of, inner, depth)]
        return [f"{pad}if {v} is not None:", *self._present(v, wraps, of, inner, depth + 1)]

    def _present(self, v: str, wraps: list[str], of: Any, inner: Signature, depth: int) -> list[str]:
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
        if is_object_type(of):
            return [f"{pad}{v} = {self._name(_compiled((of, inner)))}({v})"]
        return [f"{pad}{line}" for line in self._leaf(v, of)]

    def _leaf(self, v: str, of: GraphQLLeafType) -> list[str]:
        if of is GraphQLString or of is GraphQLID:
            return [f"if {v}.__class__ is not str: raise Unusual"]
        if of is GraphQLBoolean:
            return [f"if {v}.__class__ is not bool: raise Unusual"]
        if of is GraphQLInt:
            return [f"if {v}.__class__ is not int or not -{_INT_MAX} <= {v} < {_INT_MAX}: raise Unusual"]
        if of is GraphQLFloat:
            return [f"if {v}.__class__ is not float or {v} - {v} != 0: raise Unusual"]
        kept = _EnumValues(of) if isinstance(of, GraphQLEnumType) else None
        return [f"{v} = {self._name(kept.__getitem__ if kept is not None else _coerced(of))}({v})"]

    def _name(self, value: Any) -> str:
        name = f"_{len(self._known)}"
        self._known[name] = value
        return name


def _coerced(of: GraphQLLeafType) -> Read:
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
