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

_NOTHING: dict[str, list[JSON]] = {}
_FIRST = (0,)
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
    chosen: dict[str, _Entry] = {}
    contested: list[str] = []
    kept: dict[str, list[str]] = {}
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
        values = register.values
        if not values:
            continue
        shown = _chosen(found, register)
        document[path] = shown.value
        entry = chosen[path] = _entry(shown)
        if len(values) == 1:
            plain[entry] += 1
        else:
            contested.append(path)
    if not written:
        return None
    first = min(plain, key=lambda entry: (-plain[entry], entry)) if plain else None
    entries = {_entry(candidate) for path in contested for candidate in registers[path].values.values()}
    order = sorted(entries.union(plain), key=lambda entry: (entry != first, entry))
    listed: dict[str, list[JSON]] = {}
    if len(order) > 1 or contested:
        index = {entry: i for i, entry in enumerate(order)}
        listed = {path: [at] for path, entry in chosen.items() if (at := index[entry])}
        for path in contested:
            cid = chosen[path][1]
            beside = sorted((c for c in registers[path].values.values() if c.cid != cid), key=_entry)
            listed[path] = [index[chosen[path]], *([index[_entry(c)], c.value] for c in beside)]
    document["v"] = [_coded(entry) for entry in order]
    if listed:
        document["x"] = {path: listed[path] for path in sorted(listed)}
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
        entries = [_uncoded(entry) for entry in document["v"]]
        listed = document.get("x", _NOTHING)
        for path, value in document.items():
            if path in META:
                continue
            at, *beside = listed.get(path, _FIRST)
            cid, stamp, source, verified = entries[at]
            held = {cid: Candidate(cid, stamp, value, source, verified)}
            for i, other in beside:
                cid, stamp, source, verified = entries[i]
                held[cid] = Candidate(cid, stamp, other, source, verified)
            registers[path] = Register(held, set(), level)
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
    if found is None or len(register.values) == 1:
        return next(iter(register.values.values()))
    return choose(found, register.values.values())


def _uncoded(entry: list[JSON]) -> tuple[str, int, str | None, str | None]:
    cid, stamp, *rest = entry
    return cid, stamp, (rest[0] or None) if rest else None, rest[1] if len(rest) > 1 else None


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
    if not entity.set_names:
        return dict(values)
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
