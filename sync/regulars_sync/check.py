"""Whether one change fits the declarations, and the form in which it is admitted.

Admission makes normal forms (a phone's path becomes its E.164 number) and fills what a new row
takes from its writer, and says what an older version wrote in this one's words. The same change and the
same writer give the same admitted form as long as the declarations are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from regulars_schema.declare import JSON, Entity, Form, Nature, Registry, Scope, Unfit, is_id
from regulars_schema.entities import MANAGERS
from regulars_schema.normal import element_path
from regulars_sync.changes import Change, Value
from regulars_sync.ids import identity_id, link_id, made_id
from regulars_sync.upgrade import reread, translated, upgraded, words


def admit(
    registry: Registry,
    change: Change,
    country: str | None,
    default_unit: str | None,
    head_office: bool = False,
) -> tuple[Entity, Change]:
    """The entity and the admitted form of a change, `Unfit` when it can only apply mended."""
    entity = registry.get(change.entity)
    change = upgraded(entity, change, registry.version)
    if entity.nature is Nature.DERIVED or (entity.nature is Nature.REFERENCE and not head_office):
        raise Unfit("entity_not_writable", entity=entity.name)
    if not is_id(change.id):
        raise Unfit("id_invalid", entity=entity.name, field="id")
    if entity.is_fact and change.op == "edit" and change.fields:
        raise Unfit("fact_edited", entity=entity.name)
    if entity.scope is Scope.SAME and not head_office:
        _only_propose(change)
    renamed: dict[str, str] = {}
    for path, written in change.fields.items():
        try:
            field, key = entity.at(path)
            field.check(written.value)
            if key is not None:
                normal = element_path(field, key, written.value, country)
                if normal != path:
                    renamed[path] = normal
        except Unfit as unfit:
            unfit.detail.setdefault("field", path[:120])
            raise
    change = _respelled(change, renamed)
    if change.op == "create":
        change = _created(entity, change, default_unit)
    return entity, change


def managed(entity: Entity, change: Change) -> list[str]:
    """The paths that a manager alone writes."""
    names = {field.name for field in entity.fields if field.managed}
    return [path for path in change.fields if path in names]


def may_manage(staff: Mapping[str, JSON] | None) -> bool:
    """Whether a member of staff, by the shown values of the row, writes what is managed."""
    return staff is not None and staff.get("role") in MANAGERS and staff.get("active") is not False


def _only_propose(change: Change) -> None:
    """A branch proposes that two customers are one, whatever was said before; `Unfit` for more than that."""
    said = {"decision": "proposed", "reason": "person"}
    for path, written in change.fields.items():
        if path in ("one", "other"):
            continue
        if written.value != said.get(path) or written.verified is not None:
            raise Unfit("decision_reserved", field=path[:120])
    if change.fields and (change.op == "edit" or change.seen):
        raise Unfit("decision_reserved", field="decision")


def _respelled(change: Change, normal: Mapping[str, str]) -> Change:
    """The change under the normal forms of its paths.

    Two spellings of one element in one change (the old one taken out, a new one put in) are one write:
    present, and having seen what both saw.
    """
    if not normal:
        return change
    fields: dict[str, Value] = {}
    seen: dict[str, list[str]] = {}
    for path, written in change.fields.items():
        to = normal.get(path, path)
        if to not in fields or written.value:
            fields[to] = written
        if path in change.seen:
            seen[to] = [*dict.fromkeys((*seen.get(to, ()), *change.seen[path]))]
    return msgspec.structs.replace(change, fields=fields, seen=seen)


def _created(entity: Entity, change: Change, default_unit: str | None) -> Change:
    missing = [name for name in entity.required if name not in change.fields]
    if missing:
        raise Unfit("fields_missing", entity=entity.name, fields=missing, field=missing[0])
    if entity.name == "link":
        ends = [change.fields[name].value for name in ("from_customer", "to_customer", "kind")]
        if change.id != link_id(*ends):
            raise Unfit("id_invalid", entity="link", field="id")
    if entity.name == "identity":
        one, other = (change.fields[name].value for name in ("one", "other"))
        if one >= other or change.id != identity_id(one, other):
            raise Unfit("id_invalid", entity="identity", field="id")
    if entity.made_of:
        made_of = [str(change.fields[name].value) for name in entity.made_of]
        if change.id != made_id(entity.name, *made_of):
            raise Unfit("id_invalid", entity=entity.name, field="id")
    home = {Scope.HOME: "home_unit", Scope.NAMED: "unit"}.get(entity.scope)
    if home in entity.by_name and home not in change.fields and default_unit is not None:
        fields = {**change.fields, home: Value(default_unit)}
        return msgspec.structs.replace(change, fields=fields)
    return change


def taken_as(entity: Entity, came: Change, admitted: Change, country: str | None) -> dict[str, JSON]:
    """How the admitted form of a change differs from what came; empty where it does not.

    `older` (path of an older version -> path and value now), `normal` (typed path -> its normal form),
    `filled` (field -> value).
    """
    if admitted is came:
        return {}
    older, _ = words(entity, came)
    came = reread(came, older) if older else came
    normal: dict[str, JSON] = {}
    for path, written in came.fields.items():
        if path not in admitted.fields:
            field, key = entity.at(path)
            normal[path] = element_path(field, key or "", written.value, country)
    made = set(normal.values())
    filled = {
        path: v.value for path, v in admitted.fields.items() if path not in came.fields and path not in made
    }
    differs: dict[str, JSON] = {"older": older, "normal": normal, "filled": filled}
    return {name: said for name, said in differs.items() if said}


def retaken(came: Change, said: Mapping[str, JSON]) -> Change:
    """The admitted form of a change, from what came and what `taken_as` said of it; needs no writer."""
    change = reread(came, said["older"]) if said.get("older") else came
    change = _respelled(change, said.get("normal") or {})
    filled = said.get("filled")
    if not filled:
        return change
    fields = change.fields | {path: Value(value) for path, value in filled.items()}
    return msgspec.structs.replace(change, fields=fields)


def provisional(registry: Registry, change: Change, country: str | None) -> Change:
    """The change as a tablet shows it before the server has admitted it; never raises.

    What does not fit is shown as it was typed: the server's verdict will say what is wrong.
    """
    entity = registry.by_name.get(change.entity)
    if entity is None:
        return change
    change = translated(entity, change, registry.version)[0]
    if not any(f.form is not Form.PLAIN for f in entity.fields):
        return change
    normal: dict[str, str] = {}
    for path, written in change.fields.items():
        with suppress(Unfit):
            field, key = entity.at(path)
            if key is not None:
                normal[path] = element_path(field, key, written.value, country)
    return _respelled(change, normal)
