"""A row as the bytes that every replica keeps, one document for each sensitivity level.

    {"id": "...", "name": "林芳", "tags/vip": true, ...,
     "v": [[cid, stamp, source?, verified?], ...],     entry 0 wrote every field not listed in x
     "x": {path: [i, [j, value], ...]},                shown value is entry i's; beside it entry j's value
     "s": {path: [cid, ...]}}                          seen cids kept for changes still to come

That is all a tablet needs to fill `seen` and to show what stands beside. The coding is canonical:
the same registers give the same bytes, whatever order built them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import orjson

from regulars_schema.declare import JSON, Entity, Field, Level, Unfit
from regulars_sync.changes import Change
from regulars_sync.merge import Candidate, Register, Registers, choose

Document = dict[str, JSON]
META = frozenset({"id", "v", "x", "s"})

_Entry = tuple[int, str, str, str]


def _entry(candidate: Candidate) -> _Entry:
    return candidate.stamp, candidate.cid, candidate.source or "", candidate.verified or ""


def _coded(entry: _Entry) -> list[JSON]:
    stamp, cid, source, verified = entry
    if verified:
        return [cid, stamp, source, verified]
    return [cid, stamp, source] if source else [cid, stamp]


def encode(entity: Entity, id: str, registers: Registers, level: Level) -> bytes | None:
    """The document of one level of a row, None when nothing was ever written at that level.

    A field that a newer version declared is carried along as it was read, at its own level.
    """
    document: Document = {"id": id}
    shown: dict[str, Candidate] = {}
    kept: dict[str, list[str]] = {}
    entries: set[_Entry] = set()
    plain: Counter[_Entry] = Counter()
    written = False
    for path in sorted(registers):
        register = registers[path]
        found = _declared(entity, path)
        if (found or register).level is not level:
            continue
        written = True
        if register.kept:
            kept[path] = sorted(register.kept)
        if not register.values:
            continue
        chosen = shown[path] = _chosen(found, register)
        document[path] = chosen.value
        for candidate in register.values.values():
            entries.add(_entry(candidate))
        if len(register.values) == 1:
            plain[_entry(chosen)] += 1
    if not written:
        return None
    first = min(plain, key=lambda entry: (-plain[entry], entry)) if plain else None
    order = sorted(entries, key=lambda entry: (entry != first, entry))
    index = {entry: i for i, entry in enumerate(order)}
    listed: dict[str, list[JSON]] = {}
    for path, chosen in shown.items():
        beside = [c for c in registers[path].values.values() if c.cid != chosen.cid]
        at = index[_entry(chosen)]
        if at or beside:
            beside.sort(key=_entry)
            listed[path] = [at, *([index[_entry(c)], c.value] for c in beside)]
    document["v"] = [_coded(entry) for entry in order]
    if listed:
        document["x"] = listed
    if kept:
        document["s"] = kept
    return orjson.dumps(document)


def encode_fact(id: str, change: Change, stamp: int) -> bytes:
    """The document of a fact: written once by one change, so one entry covers every field."""
    document: Document = {"id": id}
    for path in sorted(change.fields):
        document[path] = change.fields[path].value
    first = next(iter(change.fields.values()))
    document["v"] = [_coded((stamp, change.cid, first.source or "", first.verified or ""))]
    return orjson.dumps(document)


def decode(documents: Iterable[bytes | Document] | Mapping[Level, bytes]) -> Registers:
    """The registers of a row from the documents of its levels; the inverse of `encode`.

    Only where the levels are given can a field that nobody here declared be encoded again.
    """
    registers: Registers = {}
    by_level = documents.items() if isinstance(documents, Mapping) else ((None, raw) for raw in documents)
    for level, raw in by_level:
        document = orjson.loads(raw) if isinstance(raw, bytes) else raw
        entries = document["v"]
        listed = document.get("x", {})
        for path, value in document.items():
            if path in META:
                continue
            at, *beside = listed.get(path, (0,))
            register = registers[path] = Register(level=level)
            for i, held in ((at, value), *beside):
                candidate = _candidate(entries[i], held)
                register.values[candidate.cid] = candidate
        for path, cids in document.get("s", {}).items():
            registers.setdefault(path, Register(level=level)).kept.update(cids)
    return registers


def _declared(entity: Entity, path: str) -> Field | None:
    """The field at a path, None when a newer version declared it."""
    try:
        return entity.at(path)[0]
    except Unfit:
        return None


def _chosen(found: Field | None, register: Register) -> Candidate:
    """The shown value; of an undeclared field the one that its document showed, which is decoded first."""
    if found is None:
        return next(iter(register.values.values()))
    return choose(found, register.values.values())


def _candidate(entry: list[JSON], value: JSON) -> Candidate:
    cid, stamp, *rest = entry
    return Candidate(
        cid, stamp, value, (rest[0] or None) if rest else None, rest[1] if len(rest) > 1 else None
    )


def shown(entity: Entity, registers: Registers) -> Document:
    """What a reader sees: each path's chosen value."""
    return {
        path: _chosen(_declared(entity, path), register).value
        for path, register in registers.items()
        if register.values
    }


def elements(values: Mapping[str, JSON], field: str) -> dict[str, JSON]:
    """The present elements of a set among flat values: `{"vip": True}` for `tags/vip`."""
    prefix = f"{field}/"
    return {path[len(prefix) :]: value for path, value in values.items() if value and path.startswith(prefix)}


def nested(entity: Entity, values: Mapping[str, JSON]) -> Document:
    """Flat paths as one value a field: a set becomes a dict of its elements, present ones only."""
    result: Document = {}
    for path, value in values.items():
        if "/" in path:
            name, _, key = path.partition("/")
            if name in entity.set_names:
                elements_ = result.setdefault(name, {})
                if value:
                    elements_[key] = value
                continue
        result[path] = value
    return result


def levels_of(entity: Entity, paths: Iterable[str]) -> set[Level]:
    return {entity.at(path)[0].level for path in paths}
