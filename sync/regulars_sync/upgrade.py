"""A change of an older schema, said as this version says it.

Tablets stay behind for weeks, and the bytes of a change never alter. So the declarations tell what became
of names and values (`Field.was`, `Field.given`, `Enum.was`, `Entity.retired`), each with the first version
that is without the old one, and a change of any older version is read in one step, however far behind. What
they can't tell is left for a person: it is held as `schema_older`, never dropped and never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from regulars_schema.declare import JSON, Entity, Enum, List, Struct, Type, Unfit
from regulars_sync.changes import Change, Value

OUTGROWN = "schema_older"


def upgraded(entity: Entity, change: Change, version: int) -> Change:
    """The change as `version` says it; `Unfit(OUTGROWN)` names a path that only a person can say."""
    said, unsaid = translated(entity, change, version)
    if unsaid:
        raise Unfit(OUTGROWN, field=unsaid[0], schema=change.schema)
    return said


def translated(entity: Entity, change: Change, version: int) -> tuple[Change, list[str]]:
    """The same, and the paths that can't be said otherwise: those stay as they came. Never raises."""
    if change.schema >= version:
        return change, []
    otherwise, unsaid = words(entity, change)
    said = reread(change, otherwise)
    for field in entity.fields if change.op == "create" else ():
        if field.required and field.since > change.schema and field.name not in said.fields:
            if field.given is None:
                unsaid.append(field.name)
            else:
                said.fields[field.name] = Value(field.given)
    return said, unsaid


def words(entity: Entity, change: Change) -> tuple[dict[str, tuple[str, JSON]], list[str]]:
    """Each path that is said otherwise now, as path and value; and the paths that nothing stands for."""
    otherwise: dict[str, tuple[str, JSON]] = {}
    unsaid: list[str] = []
    for path, written in change.fields.items():
        said = _said(entity, path, written, change.schema)
        if said is None:
            unsaid.append(path)
        elif said != (path, written):
            otherwise[path] = said[0], said[1].value
    return otherwise, unsaid


def reread(change: Change, otherwise: Mapping[str, Sequence[JSON]]) -> Change:
    """The change with these of its paths said as (path, value), and what each had seen."""
    fields: dict[str, Value] = {}
    seen: dict[str, list[str]] = {}
    for path, written in change.fields.items():
        to, value = otherwise.get(path, (path, written.value))
        fields[to] = msgspec.structs.replace(written, value=value)
        if path in change.seen:
            seen[to] = [*dict.fromkeys((*seen.get(to, ()), *change.seen[path]))]
    return msgspec.structs.replace(change, fields=fields, seen=seen)


def _said(entity: Entity, path: str, written: Value, schema: int) -> tuple[str, Value] | None:
    """The path and value that stand for these now, None when nothing does."""
    name, slash, key = path.partition("/")
    field = entity.by_name.get(name)
    stands, until = entity.former.get(name, (field, 0))
    if schema < until:
        if stands is None or (not slash and stands.is_set and not written.value):
            return None
        field = stands
        if stands.is_set and not slash:  # a set took over: the value is put in, and what was there stays
            slash, key, written = "/", written.value, msgspec.structs.replace(written, value=True)
    if field is None or field.is_set != bool(slash):  # it was never declared so: the check says it
        return path, written
    if slash:
        element = _value(field.type, key, schema)
        return (f"{field.name}/{element}", written) if isinstance(element, str) else None
    value = _value(field.type, written.value, schema)
    if value is None and written.value is not None:
        return None
    return field.name, msgspec.structs.replace(written, value=value)


def _value(kind: Type, value: JSON, schema: int) -> JSON:
    """The value in this version's words, None when it has none; what has a wrong shape stays as it is."""
    match kind, value:
        case Enum(was=was), str():
            while value in was and schema < was[value][0]:
                value = was[value][1]
        case Struct(parts=parts), dict():
            said = {k: _value(parts[k].type, v, schema) if k in parts else v for k, v in value.items()}
            return None if any(said[k] is None and v is not None for k, v in value.items()) else said
        case List(of=of), list():
            items = [_value(of, item, schema) for item in value]
            return None if None in items else items
    return value
