"""From the inputs of a mutation to the paths of a change, and from what became of it to a typed answer."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, TypeVar

import strawberry

from regulars_schema.declare import JSON, Entity, Field, List, Struct, Type, Unfit
from regulars_server.graph.filters import ElementEdit, IdSetEdit, SetEdit
from regulars_server.graph.inputs import ATTRIBUTES
from regulars_server.graph.problems import Refusal, VersionConflict, conflict, refusal
from regulars_server.graph.request import Context
from regulars_server.graph.rows import Node, seq_of
from regulars_server.graph.types import TYPES
from regulars_server.mutations import Edit, Mutations
from regulars_server.versions import Expected
from regulars_sync.errors import Refused, RegularsError

S = TypeVar("S")
N = TypeVar("N", bound=Node)


def fields_of(entity: Entity, given: object) -> dict[str, JSON]:
    """The paths and values that an input writes; what is left out is not among them."""
    written: dict[str, JSON] = {}
    for field in entity.fields:
        value = getattr(given, ATTRIBUTES[entity.name].get(field.name, field.name), strawberry.UNSET)
        if value is strawberry.UNSET:
            continue
        if field.is_set:
            written |= _elements(field, value)
        else:
            written[field.name] = _plain(field.type, value)
    return written


def _elements(field: Field, value: Any) -> dict[str, JSON]:
    if value is None:
        return {}
    added, removed = (
        (value.add, value.remove) if isinstance(value, SetEdit | IdSetEdit | ElementEdit) else (value, None)
    )
    paths: dict[str, JSON] = {}
    for keys, present in ((removed, False), (added, True)):
        for key in keys or ():
            key = key.value if isinstance(key, Enum) else key
            if not key:
                raise Refused("text_empty", field=field.name)
            typed = key if present and field.form != "plain" else present
            paths[f"{field.name}/{key}"] = typed
    return paths


def _plain(type_: Type, value: Any) -> JSON:
    if value is None:
        return None
    if isinstance(type_, List):
        return [_plain(type_.of, item) for item in value]
    if isinstance(type_, Struct):
        parts = {
            name: _plain(part.type, getattr(value, ATTRIBUTES[type_.name].get(name, name)))
            for name, part in type_.parts.items()
        }
        return {name: part for name, part in parts.items() if part is not None}
    return value.value if isinstance(value, Enum) else value


@contextmanager
def fitting() -> Iterator[None]:
    """What does not fit inside is refused."""
    try:
        yield
    except Unfit as unfit:
        raise Refused(unfit.code, **unfit.detail) from None


class Writing:
    """One mutation of one request."""

    def __init__(self, context: Context, key: str) -> None:
        self.context = context
        self.key = key
        self.is_done = True
        """Whether the answer may be kept: something was done, or nothing had to be."""
        self.mutations = Mutations(context.service, context.principal, context.author)

    def entity(self, name: str) -> Entity:
        return self.context.service.storage.registry.by_name[name]

    @property
    def cid(self) -> str:
        return self.mutations.cid(self.key)

    def expected(self, version: str | None) -> Expected | None:
        """What somebody who reads as this one does saw of a row."""
        if version is None:
            return None
        context = self.context
        return Expected(seq_of(version, context.service.storage.chain.epoch), context.sensitive)

    def secret(self, purpose: str) -> bytes:
        """32 bytes that nobody can guess; the same ones when the mutation is sent again."""
        secret = self.context.service.storage.chain.secret
        return hmac.digest(secret, f"{purpose} {self.cid}".encode(), "sha256")

    async def create(self, type_: type[N], given: object) -> N | None:
        """Make the row; every refusal of it names its field."""
        name = type_.ENTITY
        id = Mutations.new_id(name, self.cid)
        return await self.write(
            type_, Edit(self.cid, "create", name, id, fields_of(self.entity(name), given))
        )

    async def edit(
        self, type_: type[N], id: str, fields: Mapping[str, JSON], expected: str | None = None
    ) -> N | None:
        if not fields:
            raise Refused("argument_invalid", reason="There is nothing to write.")
        return await self.write(type_, Edit(self.cid, "edit", type_.ENTITY, id, fields), expected)

    async def save(self, type_: type[N], id: str | None, given: object, expected: str | None) -> N | None:
        """Make the row when there is no id, else edit it."""
        if id is None:
            return await self.create(type_, given)
        return await self.edit(type_, id, fields_of(self.entity(type_.ENTITY), given), expected)

    async def write(self, type_: type[N], edit: Edit, expected: str | None = None) -> N | None:
        return await self.write_together(type_, [edit], expected)

    async def write_together(
        self, type_: type[N], edits: Sequence[Edit], expected: str | None = None
    ) -> N | None:
        """Write several rows, all or none; the first is answered."""
        epoch = self.context.service.storage.chain.epoch
        await self.context.refresh()
        seq = None if expected is None else seq_of(expected, epoch)
        await self.mutations.write_together(edits, seq)
        return await self.context.related(type_, edits[0].id)


async def settled(
    context: Context,
    key: str,
    run: Callable[[Writing], Awaitable[S]],
) -> S | Refusal:
    """The answer of a mutation: what was foreseen to go wrong is a value, all else is a fault of ours.

    What was done is kept under its key; what was refused is not.
    """
    await context.refresh()
    try:
        writing = Writing(context, key)
        context.asking.require(writing.cid)
        done = await run(writing)
        await context.refresh()
        context.asking.is_done = writing.is_done
        return done
    except RegularsError as error:
        await context.refresh()
        return refusal(error, context.lang)


async def settled_on(
    context: Context,
    key: str,
    entity: str,
    id: str | None,
    run: Callable[[Writing], Awaitable[S]],
) -> S | Refusal | VersionConflict:
    """The same, where the row may have changed since it was read: then the answer carries it as it is."""
    conflicted: RegularsError | None = None

    async def tried(writing: Writing) -> S:
        nonlocal conflicted
        try:
            return await run(writing)
        except RegularsError as error:
            if error.code != "version_conflict":
                raise
            conflicted = error
            raise

    answer = await settled(context, key, tried)
    if conflicted is None:
        return answer
    present = await context.related(TYPES[entity], id)
    if present is None:
        return refusal(Refused("not_found", entity=entity), context.lang)
    return conflict(conflicted, context.lang, present)
