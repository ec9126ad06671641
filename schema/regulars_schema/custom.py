"""Custom fields (S20): where their values stand, and whether a value fits.

The merge rule and the sensitivity of a definition choose the column of a `custom_value` row, and a column's
own rule merges: no replica needs the definition to agree on a value. Both are fixed when it is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from regulars_schema.declare import JSON, Bool, Date, Enum, Field, Int, Label, Level, Rule, Text, Type, Unfit

NAMED = "custom."
"""How rules and cards name a custom field: `custom.shoe_size`."""
_COLUMNS = {
    "last_writer": "value",
    "review": "reviewed",
    "min": "least",
    "max": "most",
    "or_set": "items",
    "append": "items",
}
_TYPES: Mapping[str, Type] = {
    "text": Text(1_000),
    "integer": Int(),
    "boolean": Bool(),
    "date": Date(),
    "choice": Text(80),
}
ORDERED = frozenset({"integer", "date"})
"""Types of which one value is less than another."""
SETS = frozenset({"or_set", "append"})


def column(defined: Mapping[str, JSON]) -> str:
    """The field of a `custom_value` row in which values of this definition stand."""
    guarded = "guarded_" if defined["sensitivity"] == "sensitive" else ""
    return guarded + _COLUMNS[defined["rule"]]


def fields(definitions: Iterable[Mapping[str, JSON]]) -> dict[str, Field]:
    """The fields that these definitions make for rules (`Vocabulary.custom`), by name."""
    return {field.name: field for field in map(_field, definitions)}


def _field(defined: Mapping[str, JSON]) -> Field:
    label = Label(defined["label"]["zh"], defined["label"]["en"])
    type_ = _TYPES[defined["type"]]
    if defined["type"] == "choice":
        choices = {choice: Label(choice, choice) for choice in defined.get("choices") or ()}
        type_ = Enum("Choice", choices, label=label)
    return Field(
        f"{NAMED}{defined['key']}",
        type_,
        label,
        Rule.SET_ADD if defined["rule"] in SETS else Rule.LAST_WRITER,
        Level(defined["sensitivity"]),
    )


def check_definition(defined: Mapping[str, JSON]) -> None:
    """`Unfit` custom_rule_unfit where the merge rule can't merge values of the type."""
    rule, type_ = defined["rule"], defined["type"]
    if rule in ("min", "max") and type_ not in ORDERED:
        raise Unfit("custom_rule_unfit", rule=rule, type=type_, allowed=sorted(ORDERED))
    if rule in SETS and type_ in ("boolean", "integer"):
        raise Unfit("custom_rule_unfit", rule=rule, type=type_, allowed=["choice", "date", "text"])
    if type_ == "choice" and not defined.get("choices"):
        raise Unfit("part_required", part="choices")


def written(defined: Mapping[str, JSON], value: JSON) -> dict[str, JSON]:
    """What a change writes so that the field says this: path -> value; `Unfit`.

    Of a set, `{item: present}`; what is only added to takes nothing away. Null clears a single value.
    """
    name = column(defined)
    if defined["rule"] not in SETS:
        if value is not None:
            _check(defined, value)
        return {name: value}
    if type(value) is not dict:
        raise Unfit("value_type", expected="{item: present}")
    for item, present in value.items():
        _check(defined, item)
        if type(present) is not bool:
            raise Unfit("value_type", expected="true or false")
        if not present and defined["rule"] == "append":
            raise Unfit("custom_append_only")
    return {f"{name}/{item}": present for item, present in value.items()}


def shown(defined: Mapping[str, JSON], values: Mapping[str, JSON]) -> JSON:
    """What a row with these shown (nested) values says; of a set its items in order; None for nothing."""
    value = values.get(column(defined))
    if defined["rule"] in SETS:
        return sorted(value) if value else None
    return value


def _check(defined: Mapping[str, JSON], value: JSON) -> None:
    _TYPES[defined["type"]].check(value)
    if defined["type"] == "choice" and value not in defined["choices"]:
        raise Unfit("enum_unknown", value=value, allowed=defined["choices"])
