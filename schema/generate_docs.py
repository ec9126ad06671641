"""The reference pages that follow from the source: docs/MODEL.md, docs/ERRORS.md, docs/SETTINGS.md, ..."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

from generate_records import within
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
    List,
    Nature,
    Ref,
    Registry,
    Rule,
    Scalar,
    Scope,
    Struct,
    Text,
    Type,
)
from regulars_schema.messages import MESSAGES, Kind, Message
from regulars_schema.rules.text import show
from regulars_schema.schemes import Scheme, Shipped, load
from regulars_server.access.rights import ANYBODY, ENDPOINTS, OF_PEOPLE, RIGHTS, ROLES, ROOTS, STRANGER
from regulars_server.settings import Settings
from regulars_server.telemetry.declared import METRICS

SETTINGS_SOURCE = Path(__file__).resolve().parents[1] / "server/regulars_server/settings.py"
BY_HAND = "<!-- Written by schema/generate.py: `make generate`, not by hand. -->"

RULES: Mapping[Rule, str] = {
    Rule.LAST_WRITER: "the value with the highest stamp",
    Rule.VERIFIED: "a verified value before an unverified one, then the highest stamp",
    Rule.MIN: "the lowest value; a cleared one yields",
    Rule.MAX: "the highest value; a cleared one yields",
    Rule.SET_ADD: "a set, each element for itself: it is present when anyone put it in",
    Rule.SET_REMOVE: "a set, each element for itself: it is absent when anyone took it out",
    Rule.ANY_TRUE: "true when anyone said true",
    Rule.LATTICE: "the furthest step of the list, in the order below; it is kept alone and never goes back",
    Rule.REVIEW: "the earliest value, until a person decides",
}
NATURES: Mapping[Nature, str] = {
    Nature.FACT: "a fact: append-only, corrected by a further fact",
    Nature.OPINION: "an opinion: anyone in scope may edit it, each field merges by its rule",
    Nature.REFERENCE: "reference data: only head office writes it",
    Nature.DERIVED: "derived: the server itself writes it",
}
SCOPES: Mapping[Scope, str] = {
    Scope.CHAIN: "the whole chain",
    Scope.HOME: "the unit in `home_unit`",
    Scope.NAMED: "the scopes of every customer that it names; those of its own `unit` when it names none",
    Scope.SAME: "the units of both customers while it says that they are one, else head office alone",
    Scope.UNITS: "every unit in its `units`",
    Scope.DEVICE: "the device in its `device`",
}
KINDS: Mapping[Kind, str] = {
    Kind.VERDICT: "Of one change. Its neighbours are not touched, and nothing refused is lost.",
    Kind.REQUEST: "Of a whole request. Nothing was done.",
    Kind.LOCAL: "Of this tablet or this command. Nothing is half done.",
}


IN_GRAPHQL = (
    "GraphQL answers the codes of a verdict and of a request; of the local ones only those of the lines "
    "of an imported file. A mutation that did nothing answers `Error` (`Refusal`, `VersionConflict`) "
    "with `code`, `path`, `message`, `detail` and `retryable`; each row of a bulk mutation has its own. "
    "What ends a request, or a field of a query, is an entry of `errors` with the same in `extensions`. "
    "A mistake in the document or in variables is `argument_invalid` (or the code of the value), in the "
    "words of the GraphQL specification. A fault of ours is `internal`, with the number under which it "
    "was logged and nothing else. Messages are zh or en by `Accept-Language`, and say what to do. The "
    "column HTTP is the status with `Accept: application/graphql-response+json` when nothing was run; "
    "with `application/json` it is 200.",
)


def model(registry: Registry) -> str:
    """`docs/MODEL.md`: every entity, field, shape and closed list."""
    types = [t for e in registry.entities for f in e.fields for t in within(f.type)]
    structs = {t.name: t for t in types if isinstance(t, Struct)}
    enums = {t.name: t for t in types if isinstance(t, Enum)}
    sections = [e.sections for e in registry.entities if e.sections is not None]
    enums |= {enum.name: enum for enum in sections}
    lines = [
        "# Model",
        BY_HAND,
        "",
        f"Everything that schema version {registry.version} knows, as `schema/regulars_schema/entities.py` "
        "declares it.",
        "",
        "**Merge** is the rule that chooses the value shown among those that have not seen each other; the "
        "others stay beside it until someone who saw them writes again:",
        "",
        *(f"- **{rule}**: {RULES[rule]}" for rule in Rule),
        "",
        "**Level** is the sensitivity: each level of a row is a document of its own, in the scope of its "
        "level. **Identity**: equal values on two customers suggest one person. **Stored**: it has a column "
        "or index entries, so it can be filtered, sorted or joined; *search*: free text finds it. "
        "A field in **bold** must be written by the create; *fixed* is written by the create only.",
        "",
        "Instants are UTC with milliseconds, `2026-11-22T13:05:09.120Z`. Money is an integer in minor units; "
        "its ISO 4217 currency stands beside it.",
    ]
    for entity in registry.entities:
        lines += _entity(entity)
    if structs:
        lines += ["", "## Shapes"]
    for struct in structs.values():
        rows = [
            [_name(name, part.required), _type(part.type), part.label.zh, part.label.en]
            for name, part in struct.parts.items()
        ]
        lines += ["", f"### {struct.name}", "", *_table(["Part", "Type", "中文", "English"], rows)]
    lines += ["", "## Closed lists"]
    for enum in enums.values():
        labels = [[f"`{value}`", label.zh, label.en] for value, label in enum.values.items()]
        lines += ["", f"### {enum.name}", "", *_table(["Value", "中文", "English"], labels)]
    return "\n".join([*lines, ""])


def _entity(entity: Entity) -> list[str]:
    header = ["Field", "Type", "中文", "English", "Merge", "Level", "Identity", "Stored"]
    return [
        "",
        f"## {entity.name} · {entity.label.zh} · {entity.label.en}",
        "",
        entity.about,
        f"It is {NATURES[entity.nature]}. Held by {SCOPES[entity.scope]}.",
        "",
        *_table(header, [_field(entity, f) for f in entity.fields]),
        *_card(entity),
    ]


def _card(entity: Entity) -> list[str]:
    """What stands in which section of the card."""
    if entity.sections is None:
        return []
    lines = [
        "",
        f"Its card has the sections of [{entity.sections.name}](#{entity.sections.name.lower()}):",
        "",
    ]
    for section, label in entity.sections.values.items():
        if names := [f"`{f.name}`" for f in entity.fields if f.section == section]:
            lines.append(f"- {label.zh} · {label.en}: {', '.join(names)}")
    return lines


def _field(entity: Entity, f: Field) -> list[str]:
    name = _name(f.name, f.required) + (" *fixed*" if f.fixed else "")
    type_ = f"set of {_type(f.type)}" if f.is_set else _type(f.type)
    if f.form is not Form.PLAIN:
        type_ += f", {f.form} normal form"
    merge = "" if entity.is_fact else str(f.rule)
    found = ["yes"] if f.stored else []
    if f.searched:
        found.append("*search*")
    return [
        name,
        type_,
        f.label.zh,
        f.label.en,
        merge,
        f.level,
        "yes" if f.identity else "",
        ", ".join(found),
    ]


def _name(name: str, required: bool) -> str:
    return f"**`{name}`**" if required else f"`{name}`"


def _type(type_: Type) -> str:
    match type_:
        case Text():
            return f"text ≤ {type_.chars_max}"
        case Bool():
            return "yes/no"
        case Int():
            bounded = (type_.low, type_.high) != (Int().low, Int().high)
            return f"integer {type_.low}…{type_.high}" if bounded else "integer"
        case Instant():
            return "instant"
        case Date():
            return "day"
        case Ref():
            return f"id of {type_.entity}"
        case Enum() | Struct():
            return f"[{type_.name}](#{type_.name.lower()})"
        case List():
            return f"list of {_type(type_.of)}, ≤ {type_.items_max}"
        case Scalar():
            return "text, whole number, true or false"
        case Json():
            return "JSON object"
    raise TypeError(f"{type_} has no words yet: say here what it is")


def errors(_: Registry) -> str:
    """`docs/ERRORS.md`: the catalogue of codes."""
    return errors_page(MESSAGES)


def errors_page(messages: Mapping[str, Message]) -> str:
    lines = [
        "# Errors",
        BY_HAND,
        "",
        "A code is stable for ever and is the same in verdicts, HTTP answers, GraphQL and the SDK. "
        "*Retry*: the same thing may pass later without being altered. `{names}` are filled from the "
        "error's detail. The catalogue is `schema/regulars_schema/messages.py`.",
        "",
        *IN_GRAPHQL,
    ]
    for kind in Kind:
        rows = [
            [f"`{code}`", str(m.status or "–"), "yes" if m.retryable else "", m.en, m.zh]
            for code, m in messages.items()
            if m.kind is kind
        ]
        if rows:
            header = ["Code", "HTTP", "Retry", "English", "中文"]
            lines += ["", f"## {kind.value.capitalize()}", "", KINDS[kind], "", *_table(header, rows)]
    return "\n".join([*lines, ""])


def settings(_: Registry) -> str:
    """`docs/SETTINGS.md`: every variable of the environment."""
    return settings_page(SETTINGS_SOURCE.read_text("utf-8"), {f.name: f.default for f in fields(Settings)})


def settings_page(source: str, defaults: Mapping[str, object]) -> str:
    """The page of the settings in a class's source; `ValueError` names the one that nobody described."""
    described = _described(source)
    rows = []
    for name, default in defaults.items():
        variable = f"REGULARS_{name.upper()}"
        meaning, space, last = described.get(name, "").rpartition(" ")
        if last != variable or not space:
            raise ValueError(f"the setting {name} needs a docstring that ends with {variable}")
        rows.append([f"`{variable}`", f"`{_typed(default)}`", meaning])
    return "\n".join(
        [
            "# Settings",
            BY_HAND,
            "",
            "Read once from the environment when the server starts. The defaults work. "
            "A yes or no is `true`, `1`, `false` or `0`.",
            "",
            *_table(["Variable", "Default", "Meaning"], rows),
            "",
        ]
    )


def metrics(_: Registry) -> str:
    """`docs/METRICS.md`: everything that Prometheus is told."""
    rows = [
        [f"`{metric.name}`", metric.kind, ", ".join(f"`{label}`" for label in metric.labels), metric.help]
        for metric in METRICS
    ]
    return "\n".join(
        [
            "# Metrics",
            BY_HAND,
            "",
            "Read at the address of `REGULARS_METRICS` (docs/OPERATIONS.md). A `gauge` is added up over "
            "workers; a `figure` is of the whole chain and the same whichever server tells it, taken every "
            "30 seconds. No label holds what a customer wrote.",
            "",
            *_table(["Metric", "Kind", "Labels", "Meaning"], rows),
            "",
        ]
    )


CALLERS = {
    "device": "tablet",
    "analyst": "analyst",
    "clerk": "clerk",
    "manager": "manager",
    "head_office": "head office",
}


def rights(_: Registry) -> str:
    """Who may do what, from the tables by which the server decides it."""
    asked: dict[str, list[str]] = {}
    for root, right in ROOTS.items():
        asked.setdefault(right, []).append(f"`{root.partition('.')[2]}`")
    of_rights = [
        [
            f"`{right}`",
            about,
            *("yes" if right in ROLES[who] else "" for who in CALLERS),
            ", ".join(asked.get(right, [])),
        ]
        for right, about in RIGHTS.items()
    ]
    of_endpoints = [
        [
            f"`{endpoint}`",
            "everybody" if STRANGER in who else ", ".join(CALLERS[c] for c in CALLERS if c in who),
        ]
        for endpoint, who in ENDPOINTS.items()
    ]
    people = ", ".join(f"`{right}`" for right in sorted(OF_PEOPLE))
    return "\n".join(
        [
            "# Rights",
            BY_HAND,
            "",
            "A right is a family of operations on one kind of thing; a role is a set of rights. Which rows",
            "it reaches is said by the units of a login or token, and whether sensitive fields are shown by",
            "its flag; both are decided in SQL. An admin of the whole chain is head office, one of units is",
            "a manager. A token's scopes are rights of its role, all of them unless told otherwise; never",
            f"{people}.",
            "",
            *_table(["Right", "Meaning", *CALLERS.values(), "Root fields that ask for it"], of_rights),
            "",
            f"Asked of anybody with a valid token: {', '.join(asked[ANYBODY])}.",
            "",
            "## Endpoints",
            "",
            "Everybody else is answered 401 without a token and 403 with one.",
            "",
            *_table(["Endpoint", "Who may call it"], of_endpoints),
            "",
        ]
    )


def schemes(_: Registry) -> str:
    """`docs/SCHEMES.md`: the classification schemes and templates that come with the product."""
    return schemes_page(load())


SET_BY = {"rule": "a rule", "person": "a person", "import": "an import or a person"}


def schemes_page(shipped: Shipped) -> str:
    ruled = [
        [f"`{scheme.key}`", f"`{value.key}`", show(value.rule, shipped.words)]
        for scheme in shipped.schemes.values()
        for value in scheme.values
        if value.rule is not None
    ]
    ready = [
        [f"`{t.key}`", t.label.zh_hans, t.label.en, show(t.rule, shipped.words), ", ".join(t.sources)]
        for t in shipped.templates.values()
        if "." not in t.key
    ]
    return "\n".join(
        [
            "# Schemes",
            BY_HAND,
            "",
            "The classification schemes that come with the product: data files in",
            "`schema/regulars_schema/schemes/`, with playbooks, benefits and hints in zh and en. Values in",
            "brackets are part of the one before them. **Rows** are those of the source documents.",
            "",
            *_table(
                ["Scheme", "中文", "English", "Of", "Set by", "Values", "Rows"],
                map(_scheme, shipped.schemes.values()),
            ),
            "",
            "## Who says it",
            "",
            "A person's word stands before an import's, and this before a rule's, each until its",
            "`check_by`; in a scheme set by a rule a person's word is a pin, for a year unless it says",
            "otherwise. What a person and a file say is kept side by side, each with its own days: when",
            "the person's word is to be checked again the file's counts. In an ordered scheme set by a",
            "rule, such as `tier`, an import with a `check_by` is a hold: until that day the better of it",
            "and the rule counts. Said one by one by `assignmentSet`, for up to 500 by `customersAssign`,",
            "of a whole file by an import of assignments (docs/API.md), on a tablet by",
            "`shop.customers.assign`.",
            "",
            "## Rules",
            "",
            "The first rule that holds gives the value. The first value of an *ordered* scheme is the best.",
            "",
            *_table(["Scheme", "Value", "Rule"], ruled),
            "",
            "## Templates",
            "",
            "Ready rules to start from: the conditions of the sources. Beside them each value of a scheme is",
            "one, such as `lifecycle.dormant`.",
            "",
            *_table(["Template", "中文", "English", "Rule", "Rows"], ready),
            "",
            "## Rows",
            "",
            "What carries each row here. Other rows are of the card, of interactions or of reports.",
            "",
            *_table(["Row", "Schemes", "Templates"], _rows(shipped)),
            "",
        ]
    )


def _rows(shipped: Shipped) -> list[list[str]]:
    schemes = {
        scheme.key: {*scheme.sources, *(row for hint in scheme.hints for row in hint.sources)}
        for scheme in shipped.schemes.values()
    }
    ready = {t.key: set(t.sources) for t in shipped.templates.values() if "." not in t.key}
    rows = sorted(set().union(*schemes.values(), *ready.values()), key=lambda row: int(row[1:]))
    return [
        [
            row,
            *(
                ", ".join(f"`{k}`" for k, of in carrying.items() if row in of)
                for carrying in (schemes, ready)
            ),
        ]
        for row in rows
    ]


def _scheme(scheme: Scheme) -> list[str]:
    traits = [name for name in ("multi", "ordered", "evidence") if getattr(scheme, name)]
    parts = [
        f"{'(' * bool(v.parent)}`{v.key}` {v.label.zh_hant or v.label.zh_hans}{')' * bool(v.parent)}"
        for v in scheme.values
    ]
    return [
        f"`{scheme.key}`",
        " / ".join(filter(None, (scheme.label.zh_hans, scheme.label.zh_hant))),
        scheme.label.en,
        ", ".join(scheme.for_kind),
        "; ".join([SET_BY[scheme.mode], *traits]),
        ", ".join(parts),
        ", ".join(scheme.sources),
    ]


def _described(source: str) -> dict[str, str]:
    """Attribute docstrings of the class `Settings`, each on one line."""
    found: dict[str, str] = {}
    for body in (
        n.body for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == "Settings"
    ):
        for node, following in pairwise(body):
            match node, following:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str() as words)),
                ):
                    found[name] = " ".join(words.split())
    return found


def _typed(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def _table(header: list[str], rows: Iterable[Iterable[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(_cell(cell) for cell in cells)} |" for cells in lines]


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
