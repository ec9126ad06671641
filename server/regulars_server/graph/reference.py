"""docs/API_REFERENCE.md: every query, mutation and subscription with its arguments and an example that runs.

The examples follow from the schema: a new root field has one as soon as it is there. A test runs them all
in a chain that has the rows of `IDS` and the changes of `CIDS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_required_argument,
    is_required_input_field,
)

from regulars_sync.ids import made_id

PLAIN_MAX = 6
"""How many plain fields of an object an example asks for."""


def _id(number: int) -> str:
    return f"01990000-0000-7000-8000-{number:012x}"


def _cid(number: int) -> str:
    return f"{number:032x}"


_ROWS = (
    "customer customer_2 customer_3 unit unit_2 staff device device_2 product segment interaction"
    " token export import upload"
)
IDS: Mapping[str, str] = {name: _id(place) for place, name in enumerate(_ROWS.split(), 1)}
"""The rows that the examples speak of."""
MADE: Mapping[str, str] = {
    "assignment": made_id("assignment", IDS["customer"], "motive"),
    "scheme": made_id("scheme", "quality"),
    "field_def": made_id("field_def", "shoe_size"),
    "task": made_id("task", "verify", IDS["customer"], "card"),
}
"""Those whose id is made of what they say."""
_CHANGES = "changeReverse fieldChoose fieldChoose_2 heldDrop heldMend heldRetry"
CIDS: Mapping[str, str] = {name: _cid(place) for place, name in enumerate(_CHANGES.split(), 1)}
"""The changes that they speak of: `heldDrop` and its like are held, `fieldChoose` stands beside another."""
OF: Mapping[str, Any] = {
    "Mutation.assignmentSet.input.scheme": "attention",
    "Mutation.assignmentSet.input.value": "key",
    "Mutation.assignmentClear.input.scheme": "motive",
    "Mutation.customersAssign.inputs.scheme": "attention",
    "Mutation.customersAssign.inputs.value": "key",
    "Mutation.consentRecord.input.purpose": "MARKETING",
    "Mutation.customValueSet.input.field": "shoe_size",
    "Mutation.customValueSet.input.value": "38",
    "Mutation.fieldDefSave.input.key": "hat_size",
    "Mutation.fieldDefSave.input.label": {"zh": "帽号", "en": "Hat size"},
    "Mutation.fieldDefSave.input.type": "INTEGER",
    "Mutation.fieldDefSave.input.rule": "LAST_WRITER",
    "Mutation.schemeSave.key": "tier",
    "Mutation.schemeSave.changes": {"label": {"en": "Grade"}},
    "Mutation.schemeReset.key": "quality",
    "Mutation.supplierSet.input.name": "Oak & Co",
    "Mutation.taskSave.input.plan": "call",
    "Mutation.taskSave.input.subject": "2026-11-22",
    "Mutation.taskDone.input.id": MADE["task"],
    "Mutation.segmentSnapshot.id": IDS["segment"],
    "Mutation.segmentSnapshot.name": "Oak, autumn",
    "Query.scheme.key": "tier",
    "Query.combinedCard.of": {"unit": IDS["unit"]},
    "Mutation.customerArchive.id": IDS["customer_2"],
    "Mutation.customerErase.id": IDS["customer_3"],
    "Mutation.customerReturn.id": IDS["customer_2"],
    "Mutation.customersCreate.inputs.homeUnitId": IDS["unit"],
    "Mutation.deviceMove.unit": IDS["unit_2"],
    "Mutation.exportCancel.id": IDS["export"],
    "Mutation.exportStart.input.query": "{ customers { nodes { id name } } }",
    "Mutation.importStart.input.source": "pos",
    "Mutation.importStart.input.uploadId": IDS["upload"],
    "Query.export.id": IDS["export"],
    "Query.fieldDef.id": MADE["field_def"],
    "Query.segmentPreview.rule": "gender = female and days_since_contact < 90",
    "Query.ruleRead.rule": "gender = female and count(visit, last 30 days) >= 2",
    "Query.task.id": MADE["task"],
    "Mutation.deviceWipe.id": IDS["device_2"],
    "Query.loggedChange.cid": CIDS["changeReverse"],
}
"""By place, what is not told by its name."""
NAMED: Mapping[str, Any] = {
    "at": "2027-01-01T00:00:00Z",
    "customerId": IDS["customer"],
    "customers": IDS["customer"],
    "from_customer_id": IDS["customer"],
    "fromCustomerId": IDS["customer"],
    "idempotencyKey": "till-7-0001",
    "label": "till 7",
    "key": "+86 138 0013 8000",
    "name": "林芳",
    "note": "likes oak",
    "notes": "likes oak",
    "one": IDS["customer"],
    "other": IDS["customer_2"],
    "path": "notes",
    "reason": "asked by the customer",
    "scheme": "lifecycle",
    "segment": IDS["segment"],
    "tags": "vip",
    "toCustomerId": IDS["customer_2"],
    "unit": IDS["unit"],
    "unitId": IDS["unit"],
}
TYPED: Mapping[str, Any] = {
    "Boolean": True,
    "Date": "2026-11-22",
    "DateTime": "2026-11-22T08:20:00Z",
    "EntityName": "CUSTOMER",
    "IdentityKey": "PHONE",
    "IdentityVerdict": "SAME",
    "Int": 1,
    "JSON": {"name": "林芳"},
    "LinkKind": "FAMILY",
    "Money": 480000,
    "StaffRole": "CLERK",
    "UnitKind": "BRANCH",
}
FIRST = ("at", "cid", "code", "id", "kind", "name", "version")
"""Plain fields that an example asks for before others."""
TOLD: Mapping[str, tuple[str, ...]] = {
    "AssignmentInput": ("value",),
    "CustomValueInput": ("value",),
    "CompositionInput": ("scheme",),
    "MovementsInput": ("scheme",),
    "StaffEdit": ("name", "role"),
    "UnitEdit": ("name", "kind"),
}
"""Of an input what is given besides what must be; of one in which nothing must, else the first of `ANY`."""
ANY = ("name", "label", "notes", "note")


@dataclass(frozen=True, slots=True)
class Example:
    kind: str
    name: str
    document: str
    variables: dict[str, Any]


def examples(schema: GraphQLSchema) -> Iterator[Example]:
    """One for each root field, in the order of the page."""
    for kind, root in _roots(schema):
        for name in sorted(root.fields):
            yield _example(schema, kind, root, name)


def page(schema: GraphQLSchema) -> str:
    """The whole page."""
    lines = [
        "# GraphQL reference",
        "<!-- Written by `make sdl`, not by hand. -->",
        "",
        "Every query, mutation and subscription. [API.md](API.md) is the guide,",
        "[schema/schema.graphql](../schema/schema.graphql) has all types, [ERRORS.md](ERRORS.md) all codes.",
        "The examples are run by a test.",
    ]
    for kind, root in _roots(schema):
        lines += ["", f"## {root.name}"]
        for name in sorted(root.fields):
            field, example = root.fields[name], _example(schema, kind, root, name)
            lines += ["", f"### {name}", "", f"{field.description}", "", f"Gives `{field.type}`."]
            if field.args:
                lines += ["", "| argument | type | |", "|---|---|---|"]
                lines += [_row(said, argument) for said, argument in sorted(field.args.items())]
            lines += ["", "```graphql", example.document, "```"]
            if example.variables:
                variables = orjson.dumps(example.variables, option=orjson.OPT_INDENT_2).decode()
                lines += ["", "```json", variables, "```"]
    return "\n".join([*lines, ""])


def _row(name: str, argument: GraphQLArgument) -> str:
    described = " ".join((argument.description or "").split()).replace("|", "\\|")
    return f"| `{name}` | `{argument.type}` | {described} |"


def _roots(schema: GraphQLSchema) -> Iterator[tuple[str, GraphQLObjectType]]:
    for kind, root in (
        ("query", schema.query_type),
        ("mutation", schema.mutation_type),
        ("subscription", schema.subscription_type),
    ):
        if root is not None:
            yield kind, root


def _example(schema: GraphQLSchema, kind: str, root: GraphQLObjectType, name: str) -> Example:
    field = root.fields[name]
    given = {
        said: argument
        for said, argument in field.args.items()
        if is_required_argument(argument) or said == "first"
    }
    variables = {
        said: 3 if said == "first" else _value(f"{root.name}.{name}.{said}", said, argument.type)
        for said, argument in given.items()
    }
    declared = ", ".join(f"${said}: {argument.type}" for said, argument in given.items())
    passed = ", ".join(f"{said}: ${said}" for said in given)
    asked = f"{name}({passed})" if passed else name
    lines = [f"{kind}{f' ({declared})' if declared else ''} {{", f"  {asked}"]
    lines[-1] += _selection(schema, get_named_type(field.type), "  ", kind == "mutation")
    return Example(kind, name, "\n".join([*lines, "}"]), variables)


# --- what is asked ----------------------------------------------------------------------------------


def _selection(schema: GraphQLSchema, named: GraphQLNamedType, indent: str, is_result: bool) -> str:
    """What is asked of a type, in braces; of one row no more than its plain fields."""
    if is_leaf_type(named):
        return ""
    inner = indent + "  "
    if isinstance(named, GraphQLObjectType):
        asked = list(_fields(schema, named, inner))
    else:
        asked = ["__typename", *(["id"] if named.name == "Node" else [])]
    if is_result and is_abstract_type(named):
        asked += [
            f"... on {possible.name}{_selection(schema, possible, inner, False)}"
            for possible in schema.get_possible_types(named)
            if not any(interface.name == "Error" for interface in possible.interfaces)
        ]
        asked.append("... on Error { code path message }")
    if all(word.isidentifier() for word in asked):
        return f" {{ {' '.join(asked)} }}"
    return "\n".join([" {", *(inner + line for line in asked), indent + "}"])


def _fields(schema: GraphQLSchema, type_: GraphQLObjectType, indent: str) -> Iterator[str]:
    free = {name: field for name, field in type_.fields.items() if not _needs(field)}
    if "nodes" in free and "pageInfo" in free:
        yield f"nodes{_selection(schema, get_named_type(free['nodes'].type), indent, False)}"
        yield "pageInfo { hasNextPage endCursor }"
        return
    plain = [name for name, field in free.items() if is_leaf_type(get_named_type(field.type))]
    plain.sort(key=lambda name: name not in FIRST)
    yield from plain[:PLAIN_MAX]
    if not any(interface.name == "Node" for interface in type_.interfaces):
        for name, field in free.items():
            named = get_named_type(field.type)
            if not is_leaf_type(named) and not (plain and _is_deep(named)):
                yield f"{name}{_selection(schema, named, indent, False)}"


def _is_deep(named: GraphQLNamedType) -> bool:
    """Whether it has more than plain fields, and is no row."""
    if not isinstance(named, GraphQLObjectType) or any(i.name == "Node" for i in named.interfaces):
        return False
    return not all(is_leaf_type(get_named_type(field.type)) for field in named.fields.values())


def _needs(field: GraphQLField) -> bool:
    return any(is_required_argument(argument) for argument in field.args.values())


# --- what is given ----------------------------------------------------------------------------------


def _value(place: str, name: str, type_: Any) -> Any:
    """A value for an argument, or for a field of an input."""
    if place in OF:
        return OF[place]
    inner = get_nullable_type(type_)
    if is_list_type(inner):
        return [_value(place, name, inner.of_type)]
    named = get_named_type(type_)
    if isinstance(named, GraphQLInputObjectType):
        return {part: _value(f"{place}.{part}", part, said.type) for part, said in _given(named)}
    if name in ("id", "ids"):
        return IDS.get(_subject(place), IDS["customer"])
    if name == "cid":
        return CIDS[place.split(".")[1]]
    if named.name in TYPED:
        return TYPED[named.name]
    if name in NAMED:
        return NAMED[name]
    if isinstance(named, GraphQLEnumType):
        return next(iter(named.values))
    raise LookupError(f"{place}: say in `NAMED` or `OF` what the example gives")


def _given(input_: GraphQLInputObjectType) -> list[tuple[str, GraphQLInputField]]:
    """What must be given, or else something."""
    required = [name for name, field in input_.fields.items() if is_required_input_field(field)]
    if input_.name in TOLD:
        required += TOLD[input_.name]
    elif not {*required} - {"id"}:
        required += [name for name in ANY if name in input_.fields][:1]
    return [(name, input_.fields[name]) for name in required]


def _subject(place: str) -> str:
    """The kind of row that a root field is about, by the first word of its name."""
    name = place.split(".")[1]
    word = "".join(char if char.islower() else " " for char in name).split()[0]
    return word.removesuffix("s") if word.removesuffix("s") in IDS else word
