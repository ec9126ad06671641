"""The history of a row as GraphQL shows it: every change, and what it did to each field."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from functools import partial
from typing import Any

import orjson
import strawberry
from strawberry import scalars

from regulars_schema.declare import Entity, Level, Registry, Unfit
from regulars_schema.messages import text
from regulars_server.graph.connection import PageInfo, clamp
from regulars_server.graph.declared import resolved, valued
from regulars_server.graph.documents import nesting
from regulars_server.graph.enums import Verdict
from regulars_server.graph.request import Context, Info
from regulars_server.graph.scalars import UUID, DateTime, instant_of
from regulars_server.graph.types import Device, Staff
from regulars_sync.changes import is_cid
from regulars_sync.errors import Refused
from regulars_sync.history import State, Step, Story, Written, opened, tell
from regulars_sync.merge import Candidate

POS_DIGITS_MAX = 18
NESTING_MAX = 40


@strawberry.enum(description="取值状态 · What has become of one written value.")
class FieldState(Enum):
    SHOWN = valued(State.SHOWN, "当前显示 · Shown")
    BESIDE = valued(State.BESIDE, "并列 · Stands beside the shown one")
    REPLACED = valued(State.REPLACED, "已被取代 · Replaced by one that had seen it")
    WAITING = valued(State.WAITING, "等待 · Its change is held or rejected")
    REFUSED = valued(State.REFUSED, "未采用 · Its change was mended or dropped")


@strawberry.type(description="A value, and the change that wrote it.")
class FieldValue:
    value: scalars.JSON | None
    cid: str
    source: str | None
    verified: str | None


@strawberry.type(description="One value that a change wrote, and what that did.")
class WrittenField:
    path: str
    value: scalars.JSON | None
    source: str | None
    verified: str | None
    rule: str | None = strawberry.field(description="How values that have not seen each other are settled.")
    before: FieldValue | None = strawberry.field(description="What was shown until then.")
    replaced: list[FieldValue] = strawberry.field(description="The values that its writer had seen there.")
    beside: list[FieldValue] = strawberry.field(
        description="The values that stood there right after it and had not seen it."
    )
    state: FieldState = strawberry.field(description="What has become of it by now.")
    replaced_by: str | None = strawberry.field(description="The cid of the change that replaced it.")


@strawberry.type(description="A change as it came, and what became of it.")
class LoggedChange:
    cid: str = strawberry.field(description="The identity of the change for ever.")
    op: str | None = strawberry.field(description="`create` or `edit`.")
    entity: str
    row_id: str
    at: DateTime = strawberry.field(description="When the server took it.")
    stated: DateTime | None = strawberry.field(description="When it was made, as the device's clock said.")
    corrected: DateTime | None = strawberry.field(
        description="The same, put right by what the device's clock was off when it was sent."
    )
    verdict: Verdict = strawberry.field(description="What became of it, as it is now.")
    code: str | None = strawberry.field(
        description="Why, where it was not simply applied: see docs/ERRORS.md."
    )
    message: str | None = strawberry.field(description="The same in words, zh or en by Accept-Language.")
    path: str | None = strawberry.field(description="The field that is to blame.")
    detail: scalars.JSON | None = strawberry.field(description="What fills the message.")
    closed: bool = strawberry.field(description="Refused for good: mended or dropped.")
    emptied: bool = strawberry.field(description="Erasure destroyed what it said.")
    replaces: str | None = strawberry.field(description="The cid of the change that this one mends.")
    began: bool = strawberry.field(description="Whether the row began with it.")
    fields: list[WrittenField] = strawberry.field(description="What it wrote, field by field.")
    actor_id: UUID | None
    device_id: UUID | None
    pos: strawberry.Private[int]

    @resolved("Who made it.")
    async def actor(self, info: Info) -> Staff | None:
        return await info.context.related(Staff, self.actor_id)

    @resolved("On which tablet; null when it was made at the server.")
    async def device(self, info: Info) -> Device | None:
        return await info.context.related(Device, self.device_id)


@strawberry.type
class HistoryEdge:
    cursor: str
    node: LoggedChange


@strawberry.type(description="The changes of one row in the order in which they took effect.")
class HistoryConnection:
    edges: list[HistoryEdge]
    nodes: list[LoggedChange]
    page_info: PageInfo


async def read_story(context: Context, entity: Entity, id: str) -> Story:
    """The story of a row within reach; an empty one otherwise."""
    context.require_read(entity.name)
    story: Story = await context.loaded(("story", entity.name), partial(_load_stories, context, entity), id)
    return story


async def _load_stories(context: Context, entity: Entity, ids: list[str]) -> list[Story]:
    async with context.reading() as reader:
        entries = await reader.histories(entity.name, ids)
    context.spend(sum(map(len, entries.values())))
    return [tell(entity, entries.get(id, [])) for id in ids]


async def history(
    context: Context, name: str, id: str, path: str | None, first: int | None, after: str | None
) -> HistoryConnection:
    limit, pos = clamp(first), position(after)
    entity = context.service.storage.registry.by_name[name]
    story = await read_story(context, entity, id)
    steps = [step for step in story.steps if step.pos > pos]
    nodes = [node for step in steps if (node := logged(context, step, only=path, story=story)) is not None]
    more, nodes = len(nodes) > limit, nodes[:limit]
    return HistoryConnection(
        edges=[HistoryEdge(cursor=str(node.pos), node=node) for node in nodes],
        nodes=nodes,
        page_info=positions([node.pos for node in nodes], more, pos > 0),
    )


async def logged_change(context: Context, cid: str) -> LoggedChange | None:
    if not is_cid(cid):
        return None
    async with context.reading() as reader:
        accepted = await reader.accepted([cid])
        waiting = [] if accepted else await reader.open_entries(1, cids=[cid])
    if waiting:
        return logged(context, opened(waiting[0]), keep=True)
    if cid not in accepted:
        return None
    if not context.may_read(accepted[cid].entity):
        return None
    entity = context.service.storage.registry.by_name[accepted[cid].entity]
    story = await read_story(context, entity, accepted[cid].id)
    step = story.find(cid)
    return None if step is None else logged(context, step, story=story)


def position(cursor: str | None) -> int:
    """The place in the log that a cursor names, 0 for none; `Refused("cursor_invalid")`."""
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= POS_DIGITS_MAX):
        raise Refused("cursor_invalid")
    return int(cursor)


def positions(found: list[int], has_next: bool, has_previous: bool) -> PageInfo:
    return PageInfo(
        has_next_page=has_next,
        has_previous_page=has_previous,
        start_cursor=str(found[0]) if found else None,
        end_cursor=str(found[-1]) if found else None,
    )


def _is_at(path: str, wanted: str) -> bool:
    """Whether a path is the wanted one, or an element of the wanted set."""
    return path == wanted or path.startswith(f"{wanted}/")


def logged(
    context: Context, step: Step, keep: bool = False, only: str | None = None, story: Story | None = None
) -> LoggedChange | None:
    """The change with what its reader may see of it; None when that is nothing of its fields (at `only`)."""
    entry, last, change = step.entry, step.last, step.change
    if not context.may_read(entry.entity):
        return None
    registry = context.service.storage.registry
    hidden: set[str] = set()
    if not context.sensitive:
        hidden = set(hidden_paths(registry, entry.entity, [written.path for written in step.fields]))
    seen = [written for written in step.fields if written.path not in hidden]
    if hidden and not seen and not keep:
        return None
    shown = [written for written in seen if only is None or _is_at(written.path, only)]
    if only is not None and not shown:
        return None
    verdict = last.verdict
    if hidden and verdict == "merged" and not any(written.beside for written in seen):
        verdict = "applied"
    detail = None if last.field in hidden else last.reason
    return LoggedChange(
        cid=entry.cid,
        op=change.op if change else None,
        entity=entry.entity,
        row_id=entry.id,
        at=instant_of(entry.at_ms),
        stated=instant_of(change.stated.at) if change else None,
        corrected=instant_of(change.stated.at + change.stated.offset) if change else None,
        verdict=verdict,  # type: ignore[arg-type]
        code=last.code,
        message=text(last.code, {"field": last.field, **(detail or {})}, context.lang) if last.code else None,
        path=last.field,
        detail=detail,  # type: ignore[arg-type]
        closed=last.closed,
        emptied=entry.is_emptied,
        replaces=entry.replaces,
        began=story is not None and story.began_with(step),
        fields=[_written(registry, entry.entity, written) for written in shown],
        actor_id=UUID(entry.actor) if entry.actor else None,
        device_id=UUID(entry.device) if entry.device else None,
        pos=step.pos,
    )


def _written(registry: Registry, entity: str, written: Written) -> WrittenField:
    return WrittenField(
        path=written.path,
        value=showable(written.value.value),
        source=written.value.source,
        verified=written.value.verified,
        rule=rule_at(registry, entity, written.path),
        before=field_value(written.before) if written.before else None,
        replaced=[field_value(value) for value in written.replaced],
        beside=[field_value(value) for value in written.beside],
        state=written.state,  # type: ignore[arg-type]
        replaced_by=written.by,
    )


def field_value(value: Candidate) -> FieldValue:
    return FieldValue(
        value=showable(value.value), cid=value.cid, source=value.source, verified=value.verified
    )


def rule_at(registry: Registry, entity: str, path: str) -> str | None:
    try:
        return str(registry.get(entity).at(path)[0].rule)
    except Unfit:
        return None


def hidden_paths(registry: Registry, entity: str, paths: Iterable[str]) -> Iterable[str]:
    """The paths that are not plainly of the internal level; what nobody here declared may be anything."""
    for path in paths:
        try:
            if registry.get(entity).at(path)[0].level is not Level.INTERNAL:
                yield path
        except Unfit:
            yield path


def showable(value: Any) -> scalars.JSON | None:
    """A value as it was sent, which may be anything; one that no reader could take is told of in words."""
    try:
        encoded = orjson.dumps(value)
    except TypeError:
        encoded = b""
    if not encoded or nesting(value, NESTING_MAX) > NESTING_MAX:
        return scalars.JSON(f"({type(value).__name__})")
    return scalars.JSON(value)
