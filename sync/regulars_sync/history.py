"""The story of a row, field by field, told from nothing but its log entries.

Every accepted change is merged again in the order in which it took effect, so the last state of the
story is the stored row. What an erasure emptied is missing from it, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from regulars_schema.declare import Entity, Rule, Unfit
from regulars_sync import changes, document, merge
from regulars_sync.changes import Change, Malformed, Value
from regulars_sync.check import retaken
from regulars_sync.log import Entry
from regulars_sync.merge import Candidate, Register, Registers

AWAY: tuple[tuple[str, bool], ...] = (("archived", True), ("active", False))
"""What takes a row away again that was made by mistake: the first of these that it has."""


class State(StrEnum):
    """What has become of one written value."""

    SHOWN = "shown"
    BESIDE = "beside"
    """It stands beside the shown one: neither writer had seen the other."""
    REPLACED = "replaced"
    """A change that had seen it took its place, or a higher value of a lattice did."""
    WAITING = "waiting"
    """Its change is held or rejected."""
    REFUSED = "refused"
    """Its change was refused for good, mended or dropped."""


@dataclass(slots=True)
class Written:
    """One value that a change wrote."""

    path: str
    value: Candidate
    before: Candidate | None = None
    """What was shown until then."""
    replaced: list[Candidate] = field(default_factory=list)
    """The values that it had seen, as far as they stood there."""
    beside: list[Candidate] = field(default_factory=list)
    """The values that stood there right after it and that had not seen it."""
    state: State = State.SHOWN
    """At the end of the story."""
    by: str | None = None
    """The cid that took its place."""


@dataclass(slots=True)
class Step:
    """One change: as it came, what became of it, and what it did to each field."""

    entry: Entry
    """As it came."""
    last: Entry
    """The latest entry of its cid."""
    pos: int
    """Of the entry with which it took effect; of its first one while it has none."""
    change: Change | None
    """In its admitted form once it was accepted; None where the log holds no change any more."""
    fields: list[Written] = field(default_factory=list)


@dataclass(slots=True)
class Story:
    steps: list[Step]
    """In order of `pos`."""
    registers: Registers

    def find(self, cid: str) -> Step | None:
        return next((step for step in self.steps if step.entry.cid == cid), None)

    def began_with(self, step: Step) -> bool:
        """Whether the row began with this change."""
        first = next((s for s in self.steps if s.last.is_accepted), None)
        return first is step and step.change is not None and step.change.op == "create"


def tell(entity: Entity, entries: Iterable[Entry]) -> Story:
    """The story of a row from all of its log entries, oldest first."""
    steps: dict[str, Step] = {}
    for entry in entries:
        step = steps.setdefault(entry.cid, opened(entry))
        if entry.is_accepted and not step.last.is_accepted:
            step.pos = entry.pos
        step.last = entry
    story = Story(sorted(steps.values(), key=lambda step: step.pos), {})
    accepted: set[str] = set()
    gone: dict[tuple[str, str], str] = {}
    for step in story.steps:
        if step.change is None:
            continue
        if not step.last.is_accepted:
            for written in step.fields:
                written.state = State.REFUSED if step.last.closed else State.WAITING
            continue
        accepted.add(step.entry.cid)
        step.change = change = retaken(step.change, step.last.detail or {})
        step.fields = []
        if entity.is_fact:
            _record(story, step, change)
        else:
            _merge(story.registers, entity, step, change, accepted, gone)
    for step in story.steps:
        if step.last.is_accepted and not entity.is_fact:
            for written in step.fields:
                _conclude(story.registers, entity, written, gone)
    return story


def opened(entry: Entry) -> Step:
    """The step of a change as it came, with nothing done yet."""
    change = change_in(entry)
    paths = change.fields if change else ()
    fields = [Written(path, _candidate(change, path, 0), state=State.WAITING) for path in paths if change]
    return Step(entry, entry, entry.pos, change, fields)


def undone(entity: Entity, registers: Registers, fields: Iterable[Written]) -> dict[str, Value]:
    """What to write, having seen all of `registers`, so that what one change wrote is as if it had not been.

    Of a field that holds several values still: another of them than the one shown. Else what the change
    replaced. A field in which its value does not stand any more is left out, and so is one that only ever
    rises (a lattice) or never changes.
    """
    found: dict[str, Value] = {}
    for written in fields:
        path, own = written.path, written.value
        field_ = entity.at(path)[0]
        values = registers[path].values if path in registers else {}
        if own.cid not in values or field_.fixed or field_.rule is Rule.LATTICE:
            continue
        shown = merge.choose(field_, values.values())
        back: Candidate | None = written.before
        if len(values) > 1:
            others = [value for value in values.values() if value.cid != own.cid]
            back = merge.choose(field_, others) if shown.cid == own.cid else own
        if back is not None:
            if (back.value, back.verified) != (shown.value, shown.verified):
                found[path] = as_written(back)
        elif not field_.required:
            absent = False if field_.is_set or field_.rule is Rule.ANY_TRUE else None
            if shown.value != absent:
                found[path] = Value(absent)
    return found


def as_written(value: Candidate) -> Value:
    """What a change writes that says the same as this value."""
    return Value(value.value, value.source, value.verified)  # type: ignore[arg-type]


def change_in(entry: Entry) -> Change | None:
    """The change that an entry logged, None when there is none to be read, or one of another cid."""
    if entry.body is None:
        return None
    try:
        change = changes.decode(entry.body)
    except Malformed:
        return None
    return change if change.cid == entry.cid else None


def _candidate(change: Change, path: str, stamp: int) -> Candidate:
    value = change.fields[path]
    return Candidate(change.cid, stamp, value.value, value.source, value.verified)


def _record(story: Story, step: Step, change: Change) -> None:
    """A fact is written once; a replay of it under another cid says the same."""
    stamp = step.last.stamp
    if change.fields and not story.registers:
        story.registers = document.decode([document.encode_fact(change.id, change, stamp)])
    step.fields = [Written(path, _candidate(change, path, stamp)) for path in change.fields]


def _merge(
    registers: Registers,
    entity: Entity,
    step: Step,
    change: Change,
    accepted: set[str],
    gone: dict[tuple[str, str], str],
) -> None:
    known = {path: value for path, value in change.fields.items() if _is_declared(entity, path)}
    change = msgspec.structs.replace(change, fields=known)
    before = {path: registers[path].copy() if path in registers else Register() for path in known}
    merge.apply(registers, entity, change, step.last.stamp, accepted.__contains__)
    for path in known:
        was, now = before[path].values, registers[path].values
        seen = change.seen.get(path, ())
        for cid in seen:
            gone.setdefault((path, cid), change.cid)
        step.fields.append(
            Written(
                path,
                _candidate(change, path, step.last.stamp),
                merge.choose(entity.at(path)[0], was.values()) if was else None,
                [value for cid, value in was.items() if cid not in now],
                [value for cid, value in now.items() if cid != change.cid],
            )
        )


def _conclude(
    registers: Registers, entity: Entity, written: Written, gone: dict[tuple[str, str], str]
) -> None:
    values = registers[written.path].values
    if not values:
        written.state = State.REPLACED
        return
    shown = merge.choose(entity.at(written.path)[0], values.values()).cid
    if written.value.cid in values:
        written.state = State.SHOWN if written.value.cid == shown else State.BESIDE
    else:
        written.state = State.REPLACED
        written.by = gone.get((written.path, written.value.cid), shown)


def _is_declared(entity: Entity, path: str) -> bool:
    try:
        entity.at(path)
    except Unfit:
        return False
    return True
