"""Write the code that follows from the declared entities: `make generate`.

    python schema/generate.py            write what is out of date
    python schema/generate.py --check    write nothing; exit with 1 when anything is out of date

One output is one (path, function) in `OUTPUTS`. What is written is plain, typed and committed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from generate_docs import errors, metrics, model, rights, schemes, settings
from generate_graphql import OUTPUTS as GRAPHQL_OUTPUTS
from generate_records import records
from regulars_schema.declare import Bool, Entity, Field, Int, Level, List, Ref, Registry, Struct
from regulars_schema.entities import REGISTRY

ROOT = Path(__file__).resolve().parents[1]
RESERVED = frozenset({"row", "id", "seq", "document", "hash", "name_sort", "search"})


def tables(registry: Registry) -> str:
    """The columns and index entries of every entity, for `storage/`."""
    lines = [
        '"""Written by schema/generate.py from the declared entities: `make generate`, not by hand."""',
        "",
        "from regulars_server.storage.layout import Column, Keys, Table",
        "",
        "TABLES: dict[str, Table] = {",
    ]
    for entity in registry.entities:
        lines += [f'    "{entity.name}": Table(', f'        name="{entity.name}",']
        lines += _tuple("columns", [_column(f) for f in _stored(entity) if not _has_keys(f)])
        lines += _tuple("keys", [_keys(entity, f) for f in _stored(entity) if _has_keys(f)])
        lines += [
            f"        sort_name={'name' in entity.by_name and entity.by_name['name'].stored},",
            f"        search={any(f.searched for f in entity.fields)},",
            f"        sensitive={Level.SENSITIVE in entity.levels},",
            "    ),",
        ]
    return "\n".join([*lines, "}", ""])


def _stored(entity: Entity) -> list[Field]:
    for f in entity.fields:
        if (f.stored or f.searched) and f.level is not Level.INTERNAL:
            raise ValueError(f"{entity.name}.{f.name} is {f.level}: it can't be found or sorted by")
        if f.stored and f.name in RESERVED:
            raise ValueError(f"{entity.name}.{f.name}: storage has a column of its own by that name")
    return [f for f in entity.fields if f.stored]


def _has_keys(f: Field) -> bool:
    return f.is_set or isinstance(f.type, List)


def _column(f: Field) -> str:
    if isinstance(f.type, Struct):
        raise ValueError(f"{f.name}: a struct has no column")
    kind = "bool" if isinstance(f.type, Bool) else "int" if isinstance(f.type, Int) else "text"
    names = f', "{f.type.entity}"' if isinstance(f.type, Ref) else ""
    return f'Column("{f.name}", "{kind}"{names})'


def _keys(entity: Entity, f: Field) -> str:
    words = [f'"{f.name}"', f"is_set={f.is_set}"]
    if isinstance(f.type, List) and isinstance(f.type.of, Struct):
        (part,) = [part for name, part in entity.naming if name == f.name]
        words += [f'part="{part}"', 'names="customer"']
    elif isinstance(f.type, Ref):
        words.append(f'names="{f.type.entity}"')
    if f.identity:
        words.append("identity=True")
    return f"Keys({', '.join(words)})"


def _tuple(name: str, items: list[str]) -> list[str]:
    if not items:
        return [f"        {name}=(),"]
    if len(items) == 1:
        return [f"        {name}=({items[0]},),"]
    return [f"        {name}=(", *(f"            {item}," for item in items), "        ),"]


OUTPUTS: list[tuple[str, Callable[[Registry], str]]] = [
    ("server/regulars_server/storage/tables.py", tables),
    ("client_sdk/regulars/records.py", records),
    ("docs/MODEL.md", model),
    ("docs/ERRORS.md", errors),
    ("docs/SETTINGS.md", settings),
    ("docs/METRICS.md", metrics),
    ("docs/RIGHTS.md", rights),
    ("docs/SCHEMES.md", schemes),
    *GRAPHQL_OUTPUTS,
]


def main(arguments: list[str]) -> int:
    outdated = 0
    for name, write in OUTPUTS:
        path, text = ROOT / name, write(REGISTRY)
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        outdated += 1
        if "--check" in arguments:
            print(f"{name} is out of date: run `make generate`", file=sys.stderr)
        else:
            path.write_text(text, "utf-8")
            print(f"wrote {name}")
    return 1 if outdated and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
