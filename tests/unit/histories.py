"""What the laws of the core are tried on: changes, random histories of a row, a world of two units."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from regulars_schema.declare import Bool, Entity, Enum, Field, Label, Level, Nature, Ref, Rule, Scope, Text
from regulars_schema.entities import REGISTRY
from regulars_sync import document, merge
from regulars_sync.changes import Change, Stated, Value
from regulars_sync.ids import WINDOW
from regulars_sync.log import Entry
from regulars_sync.reconcile import Author, Key, Row, World
from regulars_sync.scope import granted

NOW_MS = 1_795_000_000_000
NOW_STAMP = NOW_MS * 1_000
LABEL = Label("某", "some")

GRADE = Enum("Grade", {"low": LABEL, "middle": LABEL, "high": LABEL}, label=LABEL)

THING = Entity(
    "customer",
    "customers",
    LABEL,
    Nature.OPINION,
    Scope.HOME,
    (
        Field("last", Text(), LABEL, Rule.LAST_WRITER),
        Field("sure", Text(), LABEL, Rule.VERIFIED),
        Field("least", Text(), LABEL, Rule.MIN),
        Field("most", Text(), LABEL, Rule.MAX),
        Field("added", Text(), LABEL, Rule.SET_ADD),
        Field("removed", Text(), LABEL, Rule.SET_REMOVE),
        Field("ever", Bool(), LABEL, Rule.ANY_TRUE),
        Field("grade", GRADE, LABEL, Rule.LATTICE),
        Field("asked", Text(), LABEL, Rule.REVIEW),
        Field("home_unit", Ref("unit"), LABEL, Rule.REVIEW),
        Field("secret", Text(), LABEL, Rule.LAST_WRITER, Level.SENSITIVE),
        Field("secret_grade", GRADE, LABEL, Rule.LATTICE, Level.SENSITIVE),
        Field("secrets", Text(), LABEL, Rule.SET_ADD, Level.SENSITIVE),
    ),
)
"""One field for every rule, at both levels."""

_TEXTS = st.sampled_from(["a", "b", "c", None])
_GRADES = st.sampled_from([*GRADE.values, None])
VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "last": _TEXTS,
    "sure": _TEXTS,
    "least": _TEXTS,
    "most": _TEXTS,
    "added/x": st.booleans(),
    "added/y": st.sampled_from([True, False, "typed"]),
    "removed/x": st.booleans(),
    "ever": st.booleans(),
    "grade": _GRADES,
    "asked": _TEXTS,
    "secret": _TEXTS,
    "secret_grade": _GRADES,
    "secrets/x": st.booleans(),
}
LATTICES = frozenset({"grade", "secret_grade"})


def id_of(number: int) -> str:
    return f"00000000-0000-7000-8000-{number:012x}"


def cid_of(number: int) -> str:
    return f"{number:032x}"


def change(
    number: int,
    fields: Mapping[str, Any],
    *,
    entity: str = "customer",
    id: str = id_of(1),
    op: str = "edit",
    seen: Mapping[str, Sequence[int]] | None = None,
    stamp: int | None = None,
    group: int | None = None,
    size: int = 1,
    schema: int = 1,
) -> Change:
    """A change with cid `number`, alone in its group unless told; bare values become `Value`s."""
    return Change(
        cid=cid_of(number),
        group=cid_of(number if group is None else group),
        size=size,
        op=op,  # type: ignore[arg-type]
        entity=entity,
        id=id,
        fields={path: v if isinstance(v, Value) else Value(v) for path, v in fields.items()},
        seen={path: [cid_of(n) for n in numbers] for path, numbers in (seen or {}).items()},
        stamp=NOW_STAMP + number if stamp is None else stamp,
        stated=Stated(NOW_MS),
        schema=schema,
    )


@st.composite
def histories(draw: st.DrawFn, changes_max: int = 7) -> list[Change]:
    """Changes of one row in an order in which they could have been made.

    What a change has seen of a field are changes that wrote it before, and at times one that never comes
    (refused for good, or accepted on another row).
    """
    paths = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=3, unique=True))
    cids = draw(st.permutations(range(1, draw(st.integers(1, changes_max)) + 1)))
    made: list[Change] = []
    for number in cids:
        written = draw(st.lists(st.sampled_from(paths), min_size=1, unique=True))
        fields, seen = {}, {}
        for path in written:
            fields[path] = Value(
                draw(VALUES[path]),
                draw(st.sampled_from([None, "pos", "import"])),
                draw(st.sampled_from([None, "verified", "pending"])),
            )
            before = [int(c.cid, 16) for c in made if path in c.fields] + [90]
            if draw(st.booleans()):
                seen[path] = draw(st.lists(st.sampled_from(before), unique=True, max_size=4))
        made.append(change(number, fields, seen=seen, stamp=NOW_STAMP + draw(st.integers(0, 3))))
    return made


def replay(entity: Entity, changes: Iterable[Change], registers: merge.Registers | None = None):
    """The registers after these changes arrived in this order, each cid taken once, as a server does."""
    registers = {} if registers is None else registers
    accepted: set[str] = set()
    for arriving in changes:
        if arriving.cid not in accepted:
            accepted.add(arriving.cid)
            assert arriving.stamp is not None
            merge.apply(registers, entity, arriving, arriving.stamp, accepted.__contains__)
    return registers


def documents_of(entity: Entity, registers: merge.Registers, id: str = id_of(1)) -> dict[Level, bytes]:
    encoded = {level: document.encode(entity, id, registers, level) for level in Level}
    return {level: raw for level, raw in encoded.items() if raw is not None}


# --- a world of two units ---------------------------------------------------------------------------

UNIT_A, UNIT_B = id_of(0xA), id_of(0xB)
DEVICE_A, DEVICE_B = id_of(0xDA), id_of(0xDB)
BOTH_LEVELS = tuple(Level)
AUTHOR_A = Author(DEVICE_A, granted([UNIT_A], DEVICE_A, BOTH_LEVELS), UNIT_A, "CN")
AUTHOR_B = Author(DEVICE_B, granted([UNIT_B], DEVICE_B, BOTH_LEVELS), UNIT_B, "CN")
HEAD_OFFICE = Author(country="CN", head_office=True)


def stored(
    entity: str,
    id: str,
    places: Iterable[str],
    fields: Mapping[str, Any],
    number: int,
    left: Sequence[str] = (),
) -> Row:
    """A row as storage holds it, written by change `number` and placed in `places`, having left `left`."""
    declared = REGISTRY.get(entity)
    made = change(number, fields, entity=entity, id=id, op="create", stamp=number)
    if declared.is_fact:
        documents = {Level.INTERNAL: document.encode_fact(id, made, number)}
    else:
        documents = documents_of(declared, replay(declared, [made]), id)
    placed = dict.fromkeys(places, False) | dict.fromkeys(left, True)
    return Row(declared, id, documents, placed)


def world_of(*rows: Row, accepted: Iterable[tuple[Key, int]] = (), stamp_max: int = NOW_STAMP) -> World:
    entries = {
        cid_of(n): Entry(cid=cid_of(n), group=cid_of(n), entity=key[0], id=key[1], verdict="applied")
        for key, n in accepted
    }
    window = Row(REGISTRY.get(WINDOW[0]), WINDOW[1])
    by_key = {(row.entity.name, row.id): row for row in (window, *rows)}
    return World(REGISTRY, NOW_MS, stamp_max, by_key, entries)


def snapshot(world: World) -> Any:
    """All of a world that a refused group must leave as it was."""
    rows = {
        key: (
            dict(r.documents),
            dict(r.places),
            r.registers and documents_of(r.entity, r.registers),
            r.written,
        )
        for key, r in world.rows.items()
        if r.exists or r.places
    }
    return rows, world.stamp_max, set(world.moved_by_author), set(world.entries)
